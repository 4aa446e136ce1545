use std::collections::BTreeSet;
use std::sync::Arc;

use insta::assert_snapshot;
use proptest::prelude::*;

use super::*;
use crate::gateway::ProfileName;
use crate::reconcile::plan::Weight;
use crate::reconcile::{Actual, Differences, Have, HoldReason, Limits, Verdict, Want, judge};

fn gateway(name: &str) -> GatewayName {
    GatewayName::parse(name).unwrap()
}

fn profile(name: &str) -> ProfileName {
    ProfileName::parse(name).unwrap()
}

fn map<const N: usize>(fields: [(&str, &str); N]) -> BTreeMap<String, String> {
    fields.map(|(field, value)| (field.to_owned(), value.to_owned())).into()
}

fn want(in_profile: &str, revision: &str) -> Want {
    Want {
        profile: profile(in_profile),
        revision: revision.repeat(32),
        former: Box::default(),
        registers: true,
        domain: Arc::from("acme"),
    }
}

fn have(in_profile: &str, revision: Option<&str>) -> Have {
    Have {
        profile: profile(in_profile),
        revision: revision.map(|digit| digit.repeat(32)),
        registers: true,
    }
}

/// One of everything: a plan, and the known field changes.
fn example() -> (Plan, BTreeMap<GatewayName, Vec<FieldChange>>, Actual) {
    let desired = [
        ("adopted", want("external", "a")),
        ("changed-behind-our-back", want("external", "a")),
        ("edited", want("external", "b")),
        ("late", want("later", "a")),
        ("moved", want("internal", "a")),
        ("new", want("external", "a")),
        ("same", want("external", "a")),
        ("theirs", want("external", "a")),
    ];
    let haves = [
        ("adopted", have("external", None)),
        ("changed-behind-our-back", have("external", Some("7"))),
        ("edited", have("external", Some("a"))),
        ("moved", have("external", Some("a"))),
        ("old1", have("external", Some("a"))),
        ("old2", have("internal", Some("a"))),
        ("same", have("external", Some("a"))),
        ("theirs", have("external", None)),
    ];
    let actual = Actual {
        gateways: haves.map(|(name, have)| (gateway(name), have)).into(),
        profiles: ["external", "internal"].map(profile).into(),
        ghosts: [(gateway("edited"), profile("internal"))].into(),
    };
    let desired = desired.map(|(name, want)| (gateway(name), want)).into();
    let plan = Differences::between(&desired, &actual).plan(&desired, &actual, &[gateway("adopted")].into());
    let changes = differing_fields(
        &map([
            ("param.password", "hunter2"),
            ("param.realm", "a.example.net"),
            ("param.ping", "25"),
        ]),
        &map([
            ("param.password", "hunter3"),
            ("param.realm", "b.example.net"),
            ("variables.sip_h_X-Token", "t0ken"),
            ("variables.greeting", "two\u{202e} words"),
        ]),
    );
    (plan, [(gateway("edited"), changes)].into(), actual)
}

#[test]
fn a_plan_is_shown_a_line_a_change() {
    let (plan, changes, _) = example();
    assert_snapshot!(plan_text("fs1", &plan, &changes, None, false), @r#"
        fs1: 1 to start, 4 to restart, 2 to kill
          ~ restart  adopted                  external             taken over
          ~ restart  changed-behind-our-back  external             revision: 77777777 → aaaaaaaa
          ~ restart  edited                   external             param.password: changed (secret)
                                                                   param.ping: "25" → (not set)
                                                                   param.realm: "a.example.net" → "b.example.net"
                                                                   variables.greeting: (not set) → "two\u{202e} words"
                                                                   variables.sip_h_X-Token: (not set) → (secret)
          ~ restart  moved                    external → internal
          + start    new                      external             (domain acme)
          - kill     old1                     external
          - kill     old2                     internal
          = unchanged 1
          ! profile later does not run on this switch, and has to for late; `sofia profile later start` starts it
          ! gateway theirs of domain acme is left alone: profile external has one of this name without a revision, so it is not ours; `trunkd apply --adopt` takes it over
          ! gateway edited has a ghost in profile internal, whose answers are booked on the live one; `sofia profile internal restart` removes it, and hangs up the calls of that profile
        "#);
}

#[test]
fn a_held_plan_says_so_in_its_title_at_each_removal_and_at_the_end() {
    let (plan, changes, actual) = example();
    let Verdict::Hold(hold) = judge(
        &actual.ours(),
        &plan.removals(),
        false,
        &Limits { max_removals: Some(1) },
        &BTreeSet::new(),
        &BTreeSet::new(),
    ) else {
        panic!("not held");
    };
    assert_snapshot!(plan_text("fs1", &plan, &changes, Some(&hold), false), @r#"
        fs1: 1 to start, 4 to restart, 2 to kill (held)
          ~ restart  adopted                  external             taken over
          ~ restart  changed-behind-our-back  external             revision: 77777777 → aaaaaaaa
          ~ restart  edited                   external             param.password: changed (secret)
                                                                   param.ping: "25" → (not set)
                                                                   param.realm: "a.example.net" → "b.example.net"
                                                                   variables.greeting: (not set) → "two\u{202e} words"
                                                                   variables.sip_h_X-Token: (not set) → (secret)
          ~ restart  moved                    external → internal
          + start    new                      external             (domain acme)
          - kill     old1                     external             (held)
          - kill     old2                     internal             (held)
          = unchanged 1
          ! profile later does not run on this switch, and has to for late; `sofia profile later start` starts it
          ! gateway theirs of domain acme is left alone: profile external has one of this name without a revision, so it is not ours; `trunkd apply --adopt` takes it over
          ! gateway edited has a ghost in profile internal, whose answers are booked on the live one; `sofia profile internal restart` removes it, and hangs up the calls of that profile
          ! held: removes 2 of 6 (more than 1); `trunkd apply` releases it, or undo the edit
        "#);
}

#[test]
fn a_plan_with_nothing_in_it_says_that() {
    let plan = Plan {
        unchanged: 12,
        ..Plan::default()
    };
    assert_snapshot!(plan_text("fs1", &plan, &BTreeMap::new(), None, false), @r#"
        fs1: nothing to do
          = unchanged 12
        "#);
}

#[test]
fn colour_is_only_added() {
    let (plan, changes, actual) = example();
    let hold = Hold {
        removals: plan.removals(),
        weight: Weight {
            ours: actual.ours().len(),
            earlier: 0,
        },
        reason: HoldReason::All,
    };
    let plain = plan_text("fs1", &plan, &changes, Some(&hold), false);
    let coloured = plan_text("fs1", &plan, &changes, Some(&hold), true);
    assert!(!plain.contains('\u{1b}'));
    assert!(coloured.contains("\u{1b}[32m+ start "), "{coloured}");
    let mut stripped = String::new();
    for (at, piece) in coloured.split("\u{1b}[").enumerate() {
        stripped.push_str(if at == 0 {
            piece
        } else {
            piece.split_once('m').unwrap().1
        });
    }
    assert_eq!(stripped, plain);
}

#[test]
fn one_very_long_name_does_not_push_the_others_away() {
    let long = "x".repeat(200);
    let start = |name: &str| Action::Start {
        gateway: gateway(name),
        to: want("external", "a"),
    };
    let plan = Plan {
        actions: vec![start("short"), start(&long)],
        ..Plan::default()
    };
    let text = plan_text("fs1", &plan, &BTreeMap::new(), None, false);
    let width = |line: usize| text.lines().nth(line).unwrap().len();
    assert!(width(1) < 100 && width(2) > 200, "{text}");
}

#[test]
fn what_differs_between_two_versions_of_a_gateway_is_named_as_in_its_json() {
    let version = |password, direction| Gateway {
        domain: Arc::from("acme"),
        name: gateway("gw"),
        profile: profile("external"),
        enabled: true,
        nodes: None,
        placement: None,
        carrier: None,
        rollback: true,
        params: [("password", password), ("realm", "a")].into_iter().collect(),
        variables: [("codecs", "PCMA", direction)].into_iter().collect(),
    };
    let (old, new) = (
        version("hunter2", Direction::Both),
        version("hunter3", Direction::Inbound),
    );
    let told: Vec<_> = differing_fields(&fields(&old), &fields(&new))
        .iter()
        .map(change_text)
        .collect();
    assert_eq!(
        told,
        [
            "param.password: changed (secret)",
            "variables.codecs direction: (not set) → \"inbound\""
        ]
    );
    assert_eq!(differing_fields(&fields(&old), &fields(&old)), []);
}

#[test]
fn a_secret_is_known_by_its_field_in_any_case() {
    for field in [
        "param.password",
        "variables.sip_auth_password",
        "variables.API_TOKEN",
        "variables.client_Secret",
        "variables.sip_h_Authorization",
        "variables.sip_h_X-Api-Key",
    ] {
        assert!(is_secret(field), "{field}");
    }
    for field in [
        "param.realm",
        "param.username",
        "variables.absolute_codec_string",
        "variables.sip_sticky_contact",
    ] {
        assert!(!is_secret(field), "{field}");
    }
}

proptest! {
    #[test]
    fn every_difference_is_told_once_and_no_secret_ever(
        old in prop::collection::btree_map("param\\.(realm|ping|password|username)|variables\\.(my_Token|x)", "[a-z]{8}", 0..6),
        new in prop::collection::btree_map("param\\.(realm|ping|password|username)|variables\\.(my_Token|x)", "[a-z]{8}", 0..6),
    ) {
        let changes = differing_fields(&old, &new);
        let told: BTreeSet<_> = changes.iter().map(|change| &change.field).collect();
        prop_assert_eq!(told.len(), changes.len());
        for field in old.keys().chain(new.keys()) {
            prop_assert_eq!(told.contains(field), old.get(field) != new.get(field));
        }
        let text = serde_json::to_string(&changes).unwrap() + &changes.iter().map(change_text).collect::<String>();
        for (field, value) in old.iter().chain(&new) {
            let is_open = |(name, other): (&String, &String)| other == value && !is_secret(name);
            if is_secret(field) && !old.iter().any(is_open) && !new.iter().any(is_open) {
                prop_assert!(!text.contains(value.as_str()), "{} is in {}", value, text);
            }
        }
    }
}
