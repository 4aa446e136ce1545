use std::sync::Arc;

use super::*;
use crate::gateway::ProfileName;
use crate::reconcile::{Actual, Differences};

fn gateway(name: &str) -> GatewayName {
    GatewayName::parse(name).unwrap()
}

fn external() -> ProfileName {
    ProfileName::parse("external").unwrap()
}

/// name, revision
fn wants(all: &[(&str, &str)]) -> BTreeMap<GatewayName, Want> {
    let want = |revision: &str| Want {
        profile: external(),
        revision: revision.to_owned(),
        former: Box::default(),
        registers: false,
        domain: Arc::from("acme"),
    };
    all.iter()
        .map(|(name, revision)| (gateway(name), want(revision)))
        .collect()
}

/// name, revision; not ours without one
fn known(all: &[(&str, Option<&str>)]) -> Known {
    let have = |revision: Option<&str>| Have {
        profile: external(),
        revision: revision.map(str::to_owned),
        registers: false,
    };
    let gateways = all.iter().map(|(name, revision)| (gateway(name), have(*revision)));
    Known {
        actual: Actual {
            gateways: gateways.collect(),
            profiles: [external()].into(),
            ghosts: BTreeSet::new(),
        },
        ..Known::default()
    }
}

fn plan(known: &Known, wants: &BTreeMap<GatewayName, Want>, adopt: &BTreeSet<GatewayName>) -> Plan {
    Differences::between(wants, &known.actual).plan(wants, &known.actual, adopt)
}

/// An order for everything in the plan.
fn ordered(known: &Known, wants: &BTreeMap<GatewayName, Want>) -> Ordered {
    let all = known.actual.gateways.keys().cloned().collect();
    let actions = plan(known, wants, &all).actions;
    Ordered {
        actions: actions
            .iter()
            .map(|action| (action.gateway().clone(), shown(action)))
            .collect(),
        ..Ordered::default()
    }
}

fn names(names: &BTreeSet<GatewayName>) -> Vec<&str> {
    names.iter().map(GatewayName::as_str).collect()
}

fn progress(order: &Ordered, known: &Known, wants: &BTreeMap<GatewayName, Want>) -> Progress {
    order.progress(known, wants, &plan(known, wants, &order.adopted(known)))
}

#[test]
fn what_is_as_it_was_shown_is_to_be_done_and_then_done() {
    let before = known(&[("edited", Some("1")), ("gone", Some("1")), ("theirs", None)]);
    let wanted = wants(&[("edited", "2"), ("new", "1"), ("theirs", "1")]);
    let order = ordered(&before, &wanted);
    let first = progress(&order, &before, &wanted);
    assert_eq!(names(&first.to_do), ["edited", "gone", "new", "theirs"]);
    assert_eq!(
        order.removals(&first).map(GatewayName::as_str).collect::<Vec<_>>(),
        ["gone"]
    );
    // In the middle of two restarts, one of them still pending.
    let mut middle = known(&[("new", Some("1")), ("theirs", None)]);
    middle.unsettled.insert(gateway("theirs"));
    let second = progress(&order, &middle, &wanted);
    assert_eq!(names(&second.to_do), ["edited"]);
    assert_eq!(names(&second.on_its_way), ["theirs"]);
    assert_eq!(names(&second.done), ["gone", "new"]);
    let after = known(&[("edited", Some("2")), ("new", Some("1")), ("theirs", Some("1"))]);
    assert_eq!(progress(&order, &after, &wanted).done.len(), 4);
}

#[test]
fn what_is_something_else_by_now_is_left() {
    let before = known(&[
        ("back", Some("1")),
        ("edited", Some("1")),
        ("gone", Some("1")),
        ("theirs", None),
    ]);
    let order = ordered(&before, &wants(&[("edited", "2"), ("new", "1"), ("theirs", "1")]));
    // Wanted differently.
    let wanted = wants(&[("back", "1"), ("edited", "3"), ("new", "2")]);
    let now = progress(&order, &before, &wanted);
    assert_eq!(names(&now.changed), ["back", "edited", "new", "theirs"]);
    assert_eq!(names(&now.to_do), ["gone"]);
    // Running differently.
    let other = known(&[
        ("edited", Some("9")),
        ("gone", Some("9")),
        ("new", None),
        ("theirs", Some("9")),
    ]);
    let wanted = wants(&[("edited", "2"), ("new", "1"), ("theirs", "1")]);
    let now = progress(&order, &other, &wanted);
    assert_eq!(names(&now.changed), ["edited", "gone", "new", "theirs"]);
    assert!(order.removals(&now).eq([&gateway("back")]), "somebody else took it off");
}

#[test]
fn what_was_not_shown_is_not_in_it() {
    let before = known(&[("gone", Some("1")), ("later", Some("1")), ("theirs", None)]);
    let order = ordered(&before, &wants(&[("later", "1")]));
    let wanted = wants(&[("theirs", "1")]);
    let now = progress(&order, &before, &wanted);
    assert_eq!(names(&now.to_do), ["gone"]);
    assert!(order.adopted(&before).is_empty() && now.changed.is_empty());
}

#[test]
fn what_was_something_else_for_a_while_is_not_ordered_any_more() {
    let before = known(&[("gone", Some("1"))]);
    let mut order = ordered(&before, &wants(&[]));
    order.release = [gateway("released")].into();
    let none = Desired::default();
    assert!(
        order
            .removable(&none, "fs1")
            .eq([&gateway("released"), &gateway("gone")])
    );
    let wanted = progress(&order, &before, &wants(&[("gone", "1")]));
    order.forget(&wanted.changed, &none, "fs1");
    assert_eq!(names(&progress(&order, &before, &wants(&[])).changed), ["gone"]);
    assert!(order.removable(&none, "fs1").eq([&gateway("released")]));
}
