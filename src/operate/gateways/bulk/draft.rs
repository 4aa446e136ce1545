//! What becomes of each gateway. Pure.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;

use super::super::model::ProblemField;
use super::Change;
use crate::all_cores::on_all_cores;
use crate::desired::Current;
use crate::gateway::{Document, DomainName, Fields, GatewayName, RawDomain, Rules, Severity};
use crate::language::{Bilingual, Message, Text, message, text};

/// A gateway, and what becomes of it.
pub(super) struct Drafted {
    pub(super) domain: DomainName,
    pub(super) name: String,
    pub(super) draft: Draft,
}

pub(super) enum Draft {
    Write {
        gateway: GatewayName,
        before: Bytes,
        /// `None`: it is deleted.
        after: Option<Vec<u8>>,
    },
    Unchanged,
    Missing,
    Refused(Vec<ProblemField>),
}

/// The new values take too many bytes.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct TooLarge;

/// In the order of the names. All new values together may have `max_bytes`.
pub(super) fn draft_all(
    current: &Current,
    rules: &Rules,
    names: Vec<(DomainName, String)>,
    change: &Change,
    force: bool,
    max_bytes: usize,
) -> Result<Vec<Drafted>, TooLarge> {
    let mut domains = HashMap::new();
    for (domain, _) in &names {
        domains
            .entry(domain.as_bytes())
            .or_insert_with(|| Stored::of(current, domain));
    }
    let (drafter, new_bytes) = (Drafter { rules, change, force }, AtomicUsize::new(0));
    let parts = on_all_cores(&names, |part| {
        let draft = |(domain, name): &(DomainName, String)| {
            if new_bytes.load(Ordering::Relaxed) > max_bytes {
                return Draft::Unchanged;
            }
            let draft = drafter.draft(&domains[domain.as_bytes()], domain, name);
            if let Draft::Write { after: Some(after), .. } = &draft {
                new_bytes.fetch_add(after.len(), Ordering::Relaxed);
            }
            draft
        };
        part.iter().map(draft).collect::<Vec<_>>()
    });
    if new_bytes.into_inner() > max_bytes {
        return Err(TooLarge);
    }
    drop(domains);
    let drafted = names.into_iter().zip(parts.into_iter().flatten());
    Ok(drafted
        .map(|((domain, name), draft)| Drafted { domain, name, draft })
        .collect())
}

/// What Redis holds of a domain.
enum Stored<'a> {
    Fields(&'a Fields, HashMap<&'a [u8], &'a [u8]>),
    WrongType(&'a str),
    Missing,
}

impl<'a> Stored<'a> {
    fn of(current: &'a Current, domain: &DomainName) -> Self {
        match current.domains.get(domain) {
            Some(RawDomain::Hash(fields)) => Self::Fields(fields, fields.iter().collect()),
            Some(RawDomain::WrongType(kind)) => Self::WrongType(kind),
            None => Self::Missing,
        }
    }
}

struct Drafter<'a> {
    rules: &'a Rules,
    change: &'a Change,
    force: bool,
}

impl Drafter<'_> {
    fn draft(&self, stored: &Stored<'_>, domain: &DomainName, name: &str) -> Draft {
        let (fields, values) = match stored {
            Stored::Fields(fields, values) => (fields, values),
            Stored::WrongType(kind) => return refused(wrong_type(kind)),
            Stored::Missing => return Draft::Missing,
        };
        let Some(before) = values.get(name.as_bytes()) else {
            return Draft::Missing;
        };
        let gateway = match GatewayName::parse(name) {
            Ok(gateway) => gateway,
            Err(error) => return refused(problem(error.message(), error.fix())),
        };
        let write = |after| Draft::Write {
            gateway,
            before: fields.shared(before),
            after,
        };
        if matches!(self.change, Change::Delete) {
            return write(None);
        }
        let Ok(known) = Document::parse(before) else {
            let reason = text("the value is no JSON object", "值不是 JSON 对象");
            return refused(problem(reason, text("replace it whole", "请整个替换")));
        };
        let after = changed(&known, self.change);
        if after == known {
            return Draft::Unchanged;
        }
        let after = after.to_json().into_bytes();
        let parsed = crate::gateway::parse(domain.text(), name.as_bytes(), &after, self.rules);
        if parsed.gateway.is_some() || self.force {
            return write(Some(after));
        }
        let errors = parsed
            .findings
            .iter()
            .filter(|finding| finding.severity == Severity::Error);
        Draft::Refused(errors.map(ProblemField::of).collect())
    }
}

/// The value after the change. `Delete` leaves it as it is.
fn changed(known: &Document, change: &Change) -> Document {
    let mut after = known.clone();
    match change {
        Change::Enable if !known.is_enabled() => after.set("enabled", &true.into()),
        Change::Disable if known.is_enabled() => after.set("enabled", &false.into()),
        Change::Patch(patch) => after.merge(patch),
        Change::Tag(tags) => after.add_texts("tags", tags),
        Change::Untag(tags) => after.remove_texts("tags", tags),
        Change::Enable | Change::Disable | Change::Delete => {}
    }
    after
}

pub(in crate::operate) fn wrong_type(kind: &str) -> ProblemField {
    problem(
        message!(
            "the key of its domain is a {kind} and no hash",
            "其所属域的键的类型为 {kind}，不是 hash"
        ),
        text("move the key away", "请移走该键"),
    )
}

fn refused(problem: ProblemField) -> Draft {
    Draft::Refused(vec![problem])
}

fn problem(reason: impl Into<Message>, fix: Text) -> ProblemField {
    ProblemField {
        severity: Severity::Error,
        pointer: String::new(),
        reason: reason.into(),
        fix: fix.into(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;

    use super::*;
    use crate::gateway::{ProfileName, RevisionKey};

    #[track_caller]
    fn check(before: &str, change: &Change, after: &str) {
        let known = Document::parse(before.as_bytes()).unwrap();
        assert_eq!(changed(&known, change).to_json(), after);
    }

    #[test]
    fn new_values_are_bounded_together() {
        let name = |name: &str| ("a".into(), name.to_owned());
        let domain = RawDomain::hash(["x", "y"].map(|name| (name.into(), b"{}".to_vec())));
        let current = Current {
            desired: Arc::default(),
            domains: Arc::new([("a".to_owned(), domain)].into()),
            key: RevisionKey::new([7; 32]),
            is_whole: true,
            stale: None,
        };
        let rules = Rules::new(ProfileName::parse("external").unwrap(), BTreeMap::new());
        let len = r#"{"enabled":false}"#.len();
        let draft = |names: &[&str], max_bytes| {
            let names = names.iter().map(|of| name(of)).collect();
            let drafts = draft_all(&current, &rules, names, &Change::Disable, true, max_bytes)?;
            Ok(drafts
                .iter()
                .filter(|drafted| matches!(drafted.draft, Draft::Write { .. }))
                .count())
        };
        assert_eq!(draft(&["x", "y", "missing"], 2 * len), Ok(2));
        assert_eq!(draft(&["x", "y"], 2 * len - 1), Err(TooLarge));
    }

    #[test]
    fn what_is_so_already_stays_as_it_is_written() {
        check("{}", &Change::Enable, "{}");
        check(r#"{"enabled":"yes"}"#, &Change::Enable, r#"{"enabled":"yes"}"#);
        check(r#"{"enabled":0}"#, &Change::Enable, r#"{"enabled":true}"#);
        check(r#"{"enabled":"no"}"#, &Change::Disable, r#"{"enabled":"no"}"#);
        check("{}", &Change::Disable, r#"{"enabled":false}"#);
    }

    #[test]
    fn tags_come_behind_those_that_are_there_and_the_last_one_takes_the_key_along() {
        let tags = |tags: &[&str]| tags.iter().map(ToString::to_string).collect::<Vec<_>>();
        let (tag, untag) = (Change::Tag(tags(&["b", "a"])), Change::Untag(tags(&["b", "a"])));
        check("{}", &tag, r#"{"tags":["b","a"]}"#);
        check(r#"{"tags":["a"],"x":1}"#, &tag, r#"{"tags":["a","b"],"x":1}"#);
        check(r#"{"tags":["a", "b"]}"#, &tag, r#"{"tags":["a", "b"]}"#);
        check(r#"{"tags":["a","c"]}"#, &untag, r#"{"tags":["c"]}"#);
        check(r#"{"tags":["a"],"x":1}"#, &untag, r#"{"x":1}"#);
        check(r#"{"tags":["c", "d"]}"#, &untag, r#"{"tags":["c", "d"]}"#);
        check(r#"{"tags":[]}"#, &untag, r#"{"tags":[]}"#);
    }
}
