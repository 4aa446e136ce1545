//! Which gateways are desired: what is kept, what is removed, who gets a name.

#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
#[path = "support/bilingual.rs"]
#[allow(unreachable_pub)]
mod bilingual;

use jiff::Timestamp;
use trunkd::gateway::{
    Counts, Desired, GatewayName, Phase, ProfileFacts, ProfileName, RawDomain, RawDomains, Rollback, Rollbacks, Rules,
    Severity, StoredValue,
};
use trunkd::language::{Language, Message};

fn profile(name: &str) -> ProfileName {
    ProfileName::parse(name).unwrap()
}

/// Two profiles; a template of the second has these gateways of its own.
fn rules(own: &[&str]) -> Rules {
    let gateways: BTreeSet<_> = own.iter().map(|name| GatewayName::parse(name).unwrap()).collect();
    let internal = ProfileFacts {
        tls: Some(false),
        gateways,
        ..ProfileFacts::default()
    };
    Rules::new(
        profile("external"),
        [
            (profile("external"), ProfileFacts::default()),
            (profile("internal"), internal),
        ]
        .into(),
    )
}

fn hash(fields: &[(&str, &str)]) -> RawDomain {
    RawDomain::hash(
        fields
            .iter()
            .map(|(name, json)| (name.as_bytes().to_vec(), json.as_bytes().to_vec())),
    )
}

fn domains<const N: usize>(domains: [(&str, RawDomain); N]) -> RawDomains {
    domains.map(|(name, domain)| (name.to_owned(), domain)).into()
}

/// A valid gateway that differs from others.
fn valid(mark: &str) -> String {
    format!(r#"{{"param":{{"register":false,"context":"{mark}"}}}}"#)
}

const INVALID: &str = r#"{"param":{"username":"u"}}"#;
const DISABLED: &str = r#"{"enabled":false,"param":{"register":false}}"#;

/// name → (domain, context, whether it is kept) of what is served.
fn served(desired: &Desired) -> BTreeMap<String, (String, String, bool)> {
    desired
        .served()
        .iter()
        .map(|(name, entry)| {
            let gateway = &entry.gateway;
            assert_eq!(&gateway.name, name);
            let context = gateway.param("context").unwrap_or_default().to_owned();
            (
                name.to_string(),
                (gateway.domain.to_string(), context, entry.kept.is_some()),
            )
        })
        .collect()
}

fn check(text: &Message) {
    bilingual::check(text.en(), text.in_language(Language::Zh));
}

/// Every finding, and every reason why a gateway is kept or refused, is there in both languages.
fn errors(desired: &Desired) -> Vec<String> {
    for finding in desired.findings().iter() {
        check(&finding.reason);
        check(&finding.fix);
    }
    desired
        .served()
        .values()
        .filter_map(|entry| entry.kept.as_ref())
        .for_each(check);
    desired.refused().values().for_each(|refused| check(&refused.reason));
    desired
        .findings()
        .iter()
        .filter(|f| f.severity == Severity::Error)
        .map(ToString::to_string)
        .collect()
}

#[test]
fn a_bad_value_keeps_the_last_valid_version_and_says_so() {
    let one = Desired::build(&domains([("a", hash(&[("gw", &valid("1"))]))]), &rules(&[]), None);
    let two = Desired::build(&domains([("a", hash(&[("gw", INVALID)]))]), &rules(&[]), Some(&one));
    let entry = two.get("gw").unwrap();
    assert_eq!(entry.gateway.param("context"), Some("1"));
    assert_eq!(
        entry.kept.as_ref().map(Message::en),
        Some(
            "new value refused, param.password: is not set, and register is true (its default); FreeSWITCH would drop the gateway"
        )
    );
    assert_eq!(
        two.counts()["a"],
        Counts {
            kept: 1,
            ..Counts::default()
        }
    );
    assert_eq!(errors(&two).len(), 1);
    // and on, through another bad value, until it is good again
    let three = Desired::build(&domains([("a", hash(&[("gw", "not JSON")]))]), &rules(&[]), Some(&two));
    assert_eq!(served(&three)["gw"], ("a".into(), "1".into(), true));
    let four = Desired::build(
        &domains([("a", hash(&[("gw", &valid("2"))]))]),
        &rules(&[]),
        Some(&three),
    );
    assert_eq!(served(&four)["gw"], ("a".into(), "2".into(), false));
    assert_eq!(errors(&four), [""; 0]);
}

#[test]
fn a_value_that_never_was_valid_is_not_served() {
    let desired = Desired::build(
        &domains([("a", hash(&[("gw", INVALID), ("ok", &valid("1"))]))]),
        &rules(&[]),
        None,
    );
    assert_eq!(served(&desired).keys().collect::<Vec<_>>(), ["ok"]);
    assert_eq!(
        desired.counts()["a"],
        Counts {
            valid: 1,
            invalid: 1,
            ..Counts::default()
        }
    );
}

#[test]
fn what_removes_a_gateway() {
    let before = Desired::build(
        &domains([("a", hash(&[("gw", &valid("1")), ("other", &valid("1"))]))]),
        &rules(&[]),
        None,
    );
    let after = |raw: RawDomains| Desired::build(&raw, &rules(&[]), Some(&before));
    assert!(
        after(domains([("a", hash(&[("other", &valid("1"))]))]))
            .get("gw")
            .is_none(),
        "HDEL"
    );
    assert!(after(RawDomains::new()).served().is_empty(), "DEL");
    let disabled = after(domains([("a", hash(&[("gw", DISABLED)]))]));
    assert!(disabled.get("gw").is_none(), "enabled: false");
    assert_eq!(
        disabled.counts()["a"],
        Counts {
            disabled: 1,
            ..Counts::default()
        }
    );
    let disabled = after(domains([("a", hash(&[("gw", r#"{"enabled":false}"#)]))]));
    assert!(disabled.get("gw").is_none(), "enabled: false, whatever the rest is");
    let moved = after(domains([(
        "a",
        hash(&[(
            "gw",
            r#"{"param":{"register":false},"profile":"internal","nodes":["fs2"]}"#,
        )]),
    )]));
    let gateway = &moved.get("gw").unwrap().gateway;
    assert_eq!(gateway.profile, profile("internal"));
    assert!(!gateway.serves(Some("fs1")));
}

#[test]
fn a_bad_value_does_not_wake_what_was_disabled() {
    let one = Desired::build(&domains([("a", hash(&[("gw", &valid("1"))]))]), &rules(&[]), None);
    let two = Desired::build(&domains([("a", hash(&[("gw", DISABLED)]))]), &rules(&[]), Some(&one));
    let three = Desired::build(&domains([("a", hash(&[("gw", INVALID)]))]), &rules(&[]), Some(&two));
    assert!(three.served().is_empty());
    assert_eq!(
        three.counts()["a"],
        Counts {
            kept: 1,
            ..Counts::default()
        }
    );
}

#[test]
fn a_key_of_the_wrong_type_keeps_all_that_was_in_it() {
    let hashes = domains([
        ("a", hash(&[("x", &valid("1")), ("y", &valid("2")), ("bad", INVALID)])),
        ("b", hash(&[("z", &valid("3"))])),
    ]);
    let one = Desired::build(&hashes, &rules(&[]), None);
    let wrong = domains([
        ("a", RawDomain::WrongType("string".into())),
        ("b", hash(&[("z", &valid("3"))])),
    ]);
    let two = Desired::build(&wrong, &rules(&[]), Some(&one));
    assert_eq!(
        served(&two)
            .into_iter()
            .map(|(name, (_, mark, kept))| (name, mark, kept))
            .collect::<Vec<_>>(),
        [
            ("x".into(), "1".into(), true),
            ("y".into(), "2".into(), true),
            ("z".into(), "3".into(), false),
        ]
    );
    assert_eq!(
        two.get("x").unwrap().kept.as_ref().map(Message::en),
        Some("the key of domain a is of Redis type 'string', not a hash")
    );
    assert_eq!(
        two.counts()["a"],
        Counts {
            kept: 2,
            ..Counts::default()
        }
    );
    assert_eq!(
        errors(&two),
        [
            "error: domain a: the key of domain a is of Redis type 'string', not a hash; delete the key, or store it as a hash; until then its gateways stay as they were"
        ]
    );
    let three = Desired::build(&hashes, &rules(&[]), Some(&two));
    assert_eq!(served(&three), served(&one));
    assert_eq!(
        Desired::build(&wrong, &rules(&[]), None).served().len(),
        1,
        "nothing to keep"
    );
}

#[test]
fn of_one_name_the_first_domain_is_served_and_the_others_reported() {
    let raw = |a: &str| {
        domains([
            ("a", hash(&[("gw", a)])),
            ("b", hash(&[("gw", &valid("b"))])),
            ("c", hash(&[("gw", &valid("c"))])),
        ])
    };
    let one = Desired::build(&raw(&valid("a")), &rules(&[]), None);
    assert_eq!(served(&one)["gw"].0, "a");
    assert_eq!(
        one.counts()["c"],
        Counts {
            shadowed: 1,
            ..Counts::default()
        }
    );
    assert_eq!(
        errors(&one),
        [
            "error: domain b, gateway gw: domain a has a gateway of this name, and FreeSWITCH knows a name once, over all profiles; rename one of the two",
            "error: domain c, gateway gw: domain a has a gateway of this name, and FreeSWITCH knows a name once, over all profiles; rename one of the two",
        ]
    );
    assert_eq!(served(&Desired::build(&raw(DISABLED), &rules(&[]), None))["gw"].0, "b");
    // a typo, and a restart after it, hand the name to nobody else
    let typo = Desired::build(&raw(INVALID), &rules(&[]), None);
    assert!(typo.served().is_empty());
    let refused = &typo.refused()["gw"];
    assert_eq!(&*refused.domain, "a");
    assert!(
        refused.reason.en().starts_with("param.password: is not set"),
        "{}",
        refused.reason.en()
    );
    assert_eq!(errors(&typo).len(), 3);
    assert!(errors(&typo)[0].starts_with("error: domain a, gateway gw, param.password: is not set"));
    assert_eq!(
        errors(&typo)[1],
        "error: domain b, gateway gw: domain a, by a value that is refused, has a gateway of this name, and FreeSWITCH knows a name once, over all profiles; rename one of the two"
    );
    assert_eq!(
        typo.counts()["b"],
        Counts {
            shadowed: 1,
            ..Counts::default()
        }
    );
    // invalid now, but valid before: it goes on
    assert_eq!(
        served(&Desired::build(&raw(INVALID), &rules(&[]), Some(&one)))["gw"],
        ("a".into(), "a".into(), true)
    );
}

#[test]
fn a_template_owns_its_gateways_names() {
    let raw = domains([("a", hash(&[("own", &valid("1")), ("gw", &valid("1"))]))]);
    let desired = Desired::build(&raw, &rules(&["own"]), None);
    assert_eq!(served(&desired).keys().collect::<Vec<_>>(), ["gw"]);
    assert_eq!(
        desired.counts()["a"],
        Counts {
            valid: 1,
            shadowed: 1,
            ..Counts::default()
        }
    );
    assert!(errors(&desired)[0].starts_with("error: domain a, gateway own: a template has a gateway of this name"));
    let before = Desired::build(&raw, &rules(&[]), None);
    assert_eq!(
        served(&Desired::build(&raw, &rules(&["own"]), Some(&before))),
        served(&desired)
    );
}

#[test]
fn a_name_that_no_gateway_may_have_harms_no_neighbour() {
    let mut fields = BTreeMap::from([(b"gw".to_vec(), valid("1").into_bytes())]);
    for bad in [&b"\xff\xfe"[..], b"a b", b"_all_", b"", b"a\nb"] {
        fields.insert(bad.to_vec(), valid("2").into_bytes());
    }
    let raw: RawDomains = [("a".to_owned(), RawDomain::hash(fields))].into();
    let desired = Desired::build(&raw, &rules(&[]), None);
    assert_eq!(served(&desired).keys().collect::<Vec<_>>(), ["gw"]);
    assert_eq!(
        desired.counts()["a"],
        Counts {
            valid: 1,
            invalid: 5,
            ..Counts::default()
        }
    );
    assert_eq!(errors(&desired).len(), 5);
}

#[test]
fn what_did_not_change_is_not_read_again() {
    let raw = |y: &str| domains([("a", hash(&[("x", &valid("1")), ("y", y)]))]);
    let one = Desired::build(&raw(&valid("1")), &rules(&[]), None);
    let two = Desired::build(&raw(&valid("2")), &rules(&[]), Some(&one));
    assert!(Arc::ptr_eq(one.get("x").unwrap(), two.get("x").unwrap()));
    assert!(!Arc::ptr_eq(one.get("y").unwrap(), two.get("y").unwrap()));
    // under other rules it is read again, and is the same still
    let three = Desired::build(&raw(&valid("2")), &rules(&["z"]), Some(&two));
    assert!(Arc::ptr_eq(three.get("x").unwrap(), two.get("x").unwrap()));
    // a kept one that goes on being kept for the same reason is the same, too
    let four = Desired::build(&raw(INVALID), &rules(&[]), Some(&three));
    let five = Desired::build(&raw("{\"param\": {\"username\": \"v\"}}"), &rules(&[]), Some(&four));
    assert!(Arc::ptr_eq(four.get("y").unwrap(), five.get("y").unwrap()));
}

#[test]
fn a_profile_that_lost_its_template_keeps_its_gateways_desired() {
    let raw = domains([(
        "a",
        hash(&[("gw", r#"{"param":{"register":false},"profile":"internal"}"#)]),
    )]);
    let one = Desired::build(&raw, &rules(&[]), None);
    let fewer = Rules {
        profiles: [(profile("external"), ProfileFacts::default())].into(),
        ..rules(&[])
    };
    let two = Desired::build(&raw, &fewer, Some(&one));
    assert!(
        two.get("gw")
            .unwrap()
            .kept
            .as_ref()
            .unwrap()
            .en()
            .starts_with("new value refused, profile: there is no template")
    );
}

/// What is decided about an edit of the gateway `gw` in the domain `acme`.
fn rollback(phase: Phase, edit: &str, good: &str) -> Rollback {
    Rollback {
        domain: "acme".to_owned(),
        edit: Rollback::digest(edit.as_bytes()),
        phase,
        good: StoredValue::new(good.as_bytes()).unwrap(),
        worked_at: "2026-11-26T14:02:00Z".parse().unwrap(),
        at: "2026-11-26T14:03:00Z".parse().unwrap(),
        switch: "fs1".to_owned(),
        answer: "403 Forbidden".to_owned(),
        canary: None,
    }
}

#[test]
fn an_edit_that_is_not_carried_out_keeps_the_version_that_worked_until_there_is_another() {
    let rules = rules(&[]);
    let name = GatewayName::parse("gw").unwrap();
    let (good, edit) = (valid("good"), valid("edit"));
    let raw = domains([("acme", hash(&[("gw", &edit), ("other", &good)]))]);
    let of = |phase| Rollbacks::from_iter([(name.clone(), rollback(phase, &edit, &good))]);
    let serves = |desired: &Desired| served(desired)["gw"].clone();
    let mut before = Desired::build(&raw, &rules, None);
    for (phase, is_kept) in [
        (Phase::Waiting, true),
        (Phase::Held, true),
        (Phase::Released, false),
        (Phase::RolledBack, true),
        (Phase::GaveUp, false),
    ] {
        let now = Desired::build_with(&raw, &of(phase).into(), &rules, Some(&before));
        let context = if is_kept { "good" } else { "edit" };
        assert_eq!(serves(&now), ("acme".into(), context.into(), is_kept), "{phase:?}");
        assert_eq!(
            served(&now),
            served(&Desired::build_with(&raw, &of(phase).into(), &rules, None))
        );
        assert_eq!(now.findings().to_vec().len(), usize::from(is_kept));
        assert_eq!(now.stored_value(&name), Some(edit.as_bytes()));
        assert_eq!(
            now.served_value(&name).as_deref(),
            Some(if is_kept { &good } else { &edit }.as_bytes())
        );
        assert!(
            now.outdated_rollbacks("2026-11-26T15:00:00Z".parse().unwrap())
                .is_empty()
        );
        before = now;
    }
    let rolled_back = of(Phase::RolledBack);
    let now = Desired::build_with(&raw, &rolled_back.clone().into(), &rules, Some(&before));
    let finding = &now.findings().to_vec()[0];
    assert_eq!(finding.severity, Severity::Warning);
    assert_eq!(
        finding.reason.en(),
        "rolled back: 403 Forbidden with the new param.context; the version that worked until 2026-11-26T14:02:00Z runs"
    );
    for text in [&finding.reason, &finding.fix] {
        check(text);
    }
    // A trunkd that starts without Redis serves it too.
    let restored = Desired::build(&now.last_valid(), &rules, None);
    assert_eq!(serves(&restored), ("acme".into(), "good".into(), false));
    assert_eq!(served(&now.carrying_out_all(&raw, &rules))["gw"].1, "edit");

    let edited = domains([("acme", hash(&[("gw", &valid("more")), ("other", &good)]))]);
    let next = Desired::build_with(&edited, &rolled_back.clone().into(), &rules, Some(&now));
    assert_eq!(serves(&next), ("acme".into(), "more".into(), false));
    assert_eq!(next.outdated_rollbacks(Timestamp::UNIX_EPOCH).len(), 1);
    let gone = Desired::build_with(&domains([]), &rolled_back.clone().into(), &rules, Some(&now));
    assert_eq!(gone.outdated_rollbacks(Timestamp::UNIX_EPOCH).len(), 1);
}

#[test]
fn desired_can_be_shared_between_threads_and_shows_no_secret() {
    fn shared<T: Send + Sync>(_: &T) {}
    let raw = domains([(
        "a",
        hash(&[
            ("gw", r#"{"param":{"username":"u","password":"hunter2"}}"#),
            ("bad", r#"{"param":{"password":"hunter2"}}"#),
        ]),
    )]);
    let desired = Desired::build(&raw, &rules(&[]), None);
    shared(&desired);
    assert!(!format!("{desired:?}{raw:?}").contains("hunter2"));
}

/// What an operator may have written into a field.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Value {
    Valid(u8),
    Internal(u8),
    Invalid(u8),
    Disabled,
}

impl Value {
    fn json(self) -> String {
        match self {
            Self::Valid(2) => format!(r#"{{"nodes":["fs1"],{}"#, &valid("2")[1..]),
            Self::Valid(mark) => valid(&mark.to_string()),
            Self::Internal(mark) => format!(r#"{{"profile":"internal","param":{{"register":"","context":{mark}}}}}"#),
            Self::Invalid(0) => "{".to_owned(),
            Self::Invalid(1) => INVALID.to_owned(),
            Self::Invalid(_) => r#"{"param":{"register":false},"profile":"nope"}"#.to_owned(),
            Self::Disabled => DISABLED.to_owned(),
        }
    }
}

/// A domain's key: `None` is one of the wrong type.
type Key = Option<BTreeMap<&'static str, Value>>;

fn state() -> impl Strategy<Value = BTreeMap<&'static str, Key>> {
    let value = prop_oneof![
        4 => (0..3u8).prop_map(Value::Valid),
        1 => (0..2u8).prop_map(Value::Internal),
        3 => (0..3u8).prop_map(Value::Invalid),
        1 => Just(Value::Disabled),
    ];
    let names = prop::sample::select(&["g1", "g2", "own", "bad name"][..]);
    let key = prop_oneof![8 => btree_map(names, value, 0..4).prop_map(Some), 1 => Just(None)];
    btree_map(prop::sample::select(&["a", "b", "c"][..]), key, 0..4)
}

fn raw_of(state: &BTreeMap<&'static str, Key>) -> RawDomains {
    let raw = state.iter().map(|(domain, key)| {
        let raw = match key {
            Some(fields) => RawDomain::hash(
                fields
                    .iter()
                    .map(|(n, v)| (n.as_bytes().to_vec(), v.json().into_bytes())),
            ),
            None => RawDomain::WrongType("list".to_owned()),
        };
        ((*domain).to_owned(), raw)
    });
    raw.collect()
}

/// A domain of unchanged gateways: with this many, only changed ones are decided again.
fn crowd() -> (String, RawDomain) {
    let fields = (0..40).map(|number| (format!("crowd{number}").into_bytes(), valid("0").into_bytes()));
    ("crowd".to_owned(), RawDomain::hash(fields))
}

/// The contract said again, as plainly as it can be: what counts for each field, after a history of states.
#[derive(Default)]
struct Model {
    /// (domain, name) → the last valid value, and whether it is kept.
    counting: BTreeMap<(&'static str, &'static str), (Value, bool)>,
    /// Refused fields that never had a valid value.
    refused: BTreeSet<(&'static str, &'static str)>,
}

impl Model {
    fn step(&mut self, state: &BTreeMap<&'static str, Key>) {
        self.counting
            .retain(|(domain, name), (_, kept)| match state.get(domain) {
                None => false,
                Some(None) => {
                    *kept = true;
                    true
                }
                Some(Some(fields)) => fields.contains_key(name),
            });
        self.refused.clear();
        for (domain, key) in state {
            for (name, value) in key.iter().flatten().filter(|(name, _)| **name != "bad name") {
                match value {
                    Value::Invalid(_) => match self.counting.get_mut(&(*domain, *name)) {
                        Some((_, kept)) => *kept = true,
                        None => drop(self.refused.insert((*domain, *name))),
                    },
                    _ => {
                        self.counting.insert((domain, name), (*value, false));
                    }
                }
            }
        }
    }

    fn served(&self, own: &[&str]) -> BTreeMap<String, (String, String, bool)> {
        let mut served = BTreeMap::new();
        for ((domain, name), (value, kept)) in &self.counting {
            let is_claimed = self.refused.iter().any(|(first, same)| same == name && first < domain);
            if let Value::Valid(mark) | Value::Internal(mark) = value
                && !own.contains(name)
                && !is_claimed
            {
                served
                    .entry((*name).to_owned())
                    .or_insert(((*domain).to_owned(), mark.to_string(), *kept));
            }
        }
        served
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_the_contract_holds(history in vec((state(), any::<bool>()), 1..6), is_crowded in any::<bool>()) {
        let mut model = Model::default();
        let mut previous: Option<Desired> = None;
        for (state, template_owns) in &history {
            let own: &[&str] = if *template_owns { &["own"] } else { &[] };
            let (mut raw, under) = (raw_of(state), rules(own));
            raw.extend(is_crowded.then(crowd));
            let desired = Desired::build(&raw, &under, previous.as_ref());
            model.step(state);
            let mut of_states = served(&desired);
            of_states.retain(|name, _| !name.starts_with("crowd"));
            prop_assert_eq!(of_states, model.served(own));

            // Each field is counted once, and each bad one reported.
            for (domain, key) in state {
                let c = desired.counts()[*domain];
                let of_model = model.counting.keys().filter(|(d, _)| d == domain).count();
                let fields = key.as_ref().map_or(of_model, BTreeMap::len);
                prop_assert_eq!(c.valid + c.kept + c.invalid + c.disabled + c.shadowed, fields);
                let kept = model.counting.iter().filter(|((d, _), (_, kept))| d == domain && *kept).count();
                prop_assert_eq!(c.kept, kept);
                for (name, value) in key.iter().flatten() {
                    let reported = desired.findings().iter().any(|f| {
                        f.severity == Severity::Error && f.domain == *domain && f.gateway.as_deref() == Some(name)
                    });
                    if *name == "bad name" || matches!(value, Value::Invalid(_)) {
                        prop_assert!(reported);
                    }
                }
            }
            prop_assert!(desired.findings().iter().is_sorted());

            // Nothing of it depends on what could be reused: neither a second time, nor when
            // everything is decided again, nor after a restart.
            let facts = |d: &Desired| {
                let refused = d.refused().clone();
                (d.served().clone(), refused, d.findings().to_vec(), d.counts().clone(), d.names_node("fs1"))
            };
            let again = Desired::build(&raw, &under, Some(&desired));
            prop_assert_eq!(facts(&again), facts(&desired));
            prop_assert!(desired.served().iter().all(|(name, entry)| Arc::ptr_eq(entry, &again.served()[name])));
            let elsewhere = Desired::build(&raw, &rules(&["another"]), Some(&desired));
            prop_assert_eq!(facts(&Desired::build(&raw, &under, Some(&elsewhere))), facts(&desired));
            let saved = previous.as_ref().map(|p| Desired::build(&p.last_valid(), &under, None));
            let restarted = Desired::build(&raw, &under, saved.as_ref());
            prop_assert_eq!(facts(&restarted), facts(&desired));
            previous = Some(desired);
        }
    }
}
