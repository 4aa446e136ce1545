//! What becomes of each gateway. Pure.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;

use super::super::gateways::bulk::wrong_type;
use super::super::gateways::{NewValue, ProblemField};
use super::report::{Difference, DomainOutcome, TransferDomain, TransferItem};
use super::{MAX_PER_DOMAIN, Wanted};
use crate::all_cores::on_all_cores;
use crate::desired::Current;
use crate::gateway::{Document, DomainName, GatewayName, RawDomain, Rules, ValueChange};

/// A gateway, and what becomes of it.
pub(super) struct Drafted {
    pub(super) domain: DomainName,
    pub(super) name: GatewayName,
    /// It shall be there.
    pub(super) is_wanted: bool,
    pub(super) at: std::sync::Arc<str>,
    pub(super) difference: Difference,
    /// The stored bytes.
    pub(super) before: Option<Bytes>,
    pub(super) after: Option<Vec<u8>>,
    pub(super) changes: Vec<ValueChange>,
    pub(super) findings: Vec<ProblemField>,
}

/// The new values take too many bytes.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct TooLarge;

/// In the order of the list. All new values together may have `max_bytes`.
pub(super) fn draft_all(
    current: &Current,
    rules: &Rules,
    wanted: &[Wanted],
    force: bool,
    max_bytes: usize,
) -> Result<Vec<Drafted>, TooLarge> {
    let new_bytes = AtomicUsize::new(0);
    let parts = on_all_cores(wanted, |part| {
        let mut drafts = Vec::with_capacity(part.len());
        for wanted in part {
            if new_bytes.load(Ordering::Relaxed) > max_bytes {
                break;
            }
            let draft = draft(current, rules, wanted, force);
            let bytes = draft.after.as_ref().map_or(0, Vec::len);
            new_bytes.fetch_add(bytes, Ordering::Relaxed);
            drafts.push(draft);
        }
        drafts
    });
    match new_bytes.into_inner() > max_bytes {
        true => Err(TooLarge),
        false => Ok(parts.into_iter().flatten().collect()),
    }
}

fn draft(current: &Current, rules: &Rules, wanted: &Wanted, force: bool) -> Drafted {
    let name = wanted.name.as_str().as_bytes();
    let mut drafted = Drafted {
        domain: wanted.domain.clone(),
        name: wanted.name.clone(),
        is_wanted: wanted.value.is_some(),
        at: wanted.at.clone(),
        difference: Difference::Same,
        before: None,
        after: None,
        changes: Vec::new(),
        findings: Vec::new(),
    };
    match current.domains.get(&wanted.domain) {
        Some(RawDomain::Hash(fields)) => drafted.before = fields.get(name).map(|value| fields.shared(value)),
        Some(RawDomain::WrongType(kind)) => {
            drafted.difference = Difference::Refused;
            drafted.findings.push(wrong_type(kind));
            return drafted;
        }
        None => {}
    }
    let known = drafted.before.as_ref().and_then(|value| Document::parse(value).ok());
    let after = wanted.value.as_ref().map(|value| {
        let mut value = value.clone();
        value.keep_secrets(known.as_ref().unwrap_or(&Document::empty()));
        value
    });
    drafted.changes = Document::differences(known.as_ref(), after.as_ref());
    drafted.difference = match (&drafted.before, &after) {
        (None, None) => Difference::Same,
        (None, Some(_)) => Difference::Added,
        (Some(_), None) => Difference::Removed,
        // What is no object is replaced, also by an empty one.
        (Some(_), Some(_)) if known.is_some() && drafted.changes.is_empty() => Difference::Same,
        (Some(_), Some(_)) => Difference::Changed,
    };
    if let (Difference::Added | Difference::Changed, Some(after)) = (drafted.difference, after) {
        let after = after.to_json().into_bytes();
        let parsed = crate::gateway::parse(wanted.domain.text(), name, &after, rules);
        drafted.findings = parsed.findings.iter().map(ProblemField::of).collect();
        if parsed.gateway.is_none() && !force {
            drafted.difference = Difference::Refused;
        }
        drafted.after = Some(after);
    }
    drafted
}

impl Drafted {
    pub(super) fn is_write(&self) -> bool {
        use Difference::{Added, Changed, Removed};
        matches!(self.difference, Added | Changed | Removed)
    }

    pub(super) fn new_value(&self) -> NewValue<'_> {
        NewValue {
            domain: &self.domain,
            name: self.name.as_str().as_bytes(),
            value: self.after.as_deref(),
        }
    }

    pub(super) fn item(&self) -> TransferItem {
        TransferItem {
            domain: self.domain.to_string(),
            name: self.name.to_string(),
            difference: self.difference,
            changes: self.changes.clone(),
            findings: self.findings.clone(),
            at: self.at.to_string(),
        }
    }
}

/// Each domain with its changes and whether they can be written. The error is a domain with too many.
pub(super) fn domains(drafts: &[Drafted]) -> Result<Vec<TransferDomain>, (DomainName, usize)> {
    let mut by_domain: BTreeMap<&DomainName, (usize, bool)> = BTreeMap::new();
    for drafted in drafts {
        let (changes, is_refused) = by_domain.entry(&drafted.domain).or_default();
        *changes += usize::from(drafted.is_write());
        *is_refused |= drafted.difference == Difference::Refused;
    }
    let domain = |(domain, (changes, is_refused)): (&DomainName, (usize, bool))| {
        if changes > MAX_PER_DOMAIN {
            return Err((domain.clone(), changes));
        }
        Ok(TransferDomain {
            domain: domain.to_string(),
            changes,
            outcome: match (is_refused, changes) {
                (true, _) => DomainOutcome::Refused,
                (false, 0) => DomainOutcome::Same,
                (false, _) => DomainOutcome::Ready,
            },
        })
    };
    by_domain.into_iter().map(domain).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;
    use crate::gateway::{ProfileName, RevisionKey};

    fn current(fields: &[(&str, &str)]) -> Current {
        let fields = fields.iter();
        let fields = fields.map(|(name, value)| (name.as_bytes().to_vec(), value.as_bytes().to_vec()));
        let wrong = RawDomain::WrongType("string".to_owned());
        Current {
            desired: Arc::default(),
            domains: Arc::new([("acme".to_owned(), RawDomain::hash(fields)), ("odd".to_owned(), wrong)].into()),
            key: RevisionKey::new([7; 32]),
            is_whole: true,
            stale: None,
        }
    }

    fn wanted(domain: &str, name: &str, value: Option<&str>) -> Wanted {
        Wanted {
            domain: domain.into(),
            name: GatewayName::parse(name).unwrap(),
            value: value.map(|value| Document::parse(value.as_bytes()).unwrap()),
            at: "list:1".into(),
        }
    }

    fn rules() -> Rules {
        Rules::new(ProfileName::parse("external").unwrap(), BTreeMap::new())
    }

    const STORED: &str = r#"{"param":{"realm":"r.example","username":"u","password":"p"}}"#;

    #[track_caller]
    fn one(stored: &[(&str, &str)], wanted: Wanted) -> Drafted {
        let drafts = draft_all(&current(stored), &rules(), &[wanted], false, usize::MAX).unwrap();
        let [drafted] = <[Drafted; 1]>::try_from(drafts).ok().unwrap();
        drafted
    }

    #[test]
    fn a_value_that_means_the_same_is_left_as_it_is_written() {
        let stored = [("gw", STORED)];
        let same = r#"{ "param": {"password":"p","username":"u","realm":"r.example"} }"#;
        let drafted = one(&stored, wanted("acme", "gw", Some(same)));
        assert_eq!(drafted.difference, Difference::Same);
        assert!(drafted.after.is_none() && drafted.changes.is_empty());
        let gone = one(&stored, wanted("acme", "other", None));
        assert_eq!(gone.difference, Difference::Same);
    }

    #[test]
    fn a_secret_that_is_not_mentioned_stays_and_one_that_changes_is_not_shown() {
        let stored = [("gw", STORED)];
        let without = r#"{"param":{"realm":"r.example","username":"v"}}"#;
        let drafted = one(&stored, wanted("acme", "gw", Some(without)));
        assert_eq!(drafted.difference, Difference::Changed);
        assert_eq!(drafted.changes.len(), 1);
        let after = String::from_utf8(drafted.after.unwrap()).unwrap();
        assert!(after.contains(r#""password":"p""#), "{after}");
        let other = r#"{"param":{"realm":"r.example","username":"u","password":"q"}}"#;
        let drafted = one(&stored, wanted("acme", "gw", Some(other)));
        assert!(drafted.changes[0].secret && drafted.changes[0].after.is_none());
    }

    #[test]
    fn what_freeswitch_would_refuse_stops_its_domain_alone() {
        let bad = wanted("acme", "bad", Some(r#"{"param":{}}"#));
        let list = [bad.clone(), wanted("new", "gw", Some(STORED))];
        let drafts = draft_all(&current(&[]), &rules(), &list, false, usize::MAX).unwrap();
        assert_eq!(drafts[0].difference, Difference::Refused);
        assert!(!drafts[0].findings.is_empty());
        let outcomes: Vec<_> = domains(&drafts).unwrap().iter().map(|domain| domain.outcome).collect();
        assert_eq!(outcomes, [DomainOutcome::Refused, DomainOutcome::Ready]);
        let forced = draft_all(&current(&[]), &rules(), &[bad], true, usize::MAX).unwrap();
        assert_eq!(forced[0].difference, Difference::Added);
        let odd = one(&[], wanted("odd", "gw", Some(STORED)));
        assert_eq!(odd.difference, Difference::Refused);
    }

    #[test]
    fn what_is_no_object_is_replaced_even_by_an_empty_one() {
        let drafts = draft_all(
            &current(&[("gw", "[]")]),
            &rules(),
            &[wanted("acme", "gw", Some("{}"))],
            true,
            usize::MAX,
        );
        assert_eq!(drafts.unwrap()[0].difference, Difference::Changed);
    }

    #[test]
    fn new_values_are_bounded_together() {
        let list = [wanted("acme", "a", Some(STORED)), wanted("acme", "b", Some(STORED))];
        let draft = |max| draft_all(&current(&[]), &rules(), &list, false, max).map(|drafts| drafts.len());
        assert_eq!(draft(2 * STORED.len()), Ok(2));
        assert_eq!(draft(2 * STORED.len() - 1), Err(TooLarge));
    }

    fn object() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i32>().prop_map(Value::from),
            "[a-c]{0,2}".prop_map(Value::from),
        ];
        let value = leaf.prop_recursive(3, 20, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
                prop::collection::hash_map("param|params|password|[a-c]", inner, 0..4)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        });
        prop::collection::hash_map("param|params|password|[a-c]", value, 0..4)
            .prop_map(|map| Value::Object(map.into_iter().collect()))
    }

    proptest! {
        /// What is written is what the list says: written again, it changes nothing.
        #[test]
        fn a_transfer_is_idempotent(stored in object(), value in object()) {
            let (stored, value) = (stored.to_string(), value.to_string());
            let list = [wanted("acme", "gw", Some(&value))];
            let first = draft_all(&current(&[("gw", &stored)]), &rules(), &list, true, usize::MAX);
            let first = first.unwrap().remove(0);
            let now = match &first.after {
                Some(after) => String::from_utf8(after.clone()).unwrap(),
                None => stored,
            };
            prop_assert_eq!(first.after.is_some(), first.is_write());
            let again = draft_all(&current(&[("gw", &now)]), &rules(), &list, true, usize::MAX).unwrap();
            prop_assert_eq!(again[0].difference, Difference::Same, "{:?}", again[0].changes);
        }
    }
}
