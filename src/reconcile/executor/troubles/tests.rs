use std::time::Duration;

use super::*;
use crate::gateway::ProfileName;
use crate::reconcile::plan::Want;

fn name(name: &str) -> GatewayName {
    GatewayName::parse(name).unwrap()
}

fn start(gateway: &str, revision: &str) -> Action {
    Action::Start {
        gateway: name(gateway),
        to: Want {
            profile: ProfileName::parse("external").unwrap(),
            revision: revision.to_owned(),
            former: Box::default(),
            registers: true,
            domain: "acme".into(),
        },
    }
}

fn plan(actions: Vec<Action>) -> Plan {
    Plan {
        actions,
        ..Plan::default()
    }
}

/// A time by which every retry is due.
fn much_later(now: Instant) -> Instant {
    now + Timing::default().most_retry
}

fn fail(troubles: &mut Troubles, action: &Action, failure: Failure, reason: &str, now: Instant) -> Retry {
    troubles.record(action, failure, reason.to_owned(), now, &Timing::default())
}

#[test]
fn a_refused_version_is_tried_three_times_and_then_never_until_it_is_edited() {
    let (mut troubles, now) = (Troubles::default(), Instant::now());
    let action = start("acme", "r1");
    assert_eq!(
        fail(&mut troubles, &action, Failure::Refused, "refused", now),
        Retry::Later { is_new: true }
    );
    assert_eq!(
        fail(&mut troubles, &action, Failure::Refused, "refused", now),
        Retry::Later { is_new: false }
    );
    assert_eq!(troubles.may_retry(&name("acme"), much_later(now)), Some(true));
    assert_eq!(
        fail(&mut troubles, &action, Failure::Refused, "refused", now),
        Retry::Never
    );
    assert_eq!(troubles.may_retry(&name("acme"), much_later(now)), Some(false));
    assert_eq!(troubles.retries().count(), 0);

    troubles.forget_resolved(&plan(vec![action]), &BTreeSet::new());
    assert_eq!(troubles.may_retry(&name("acme"), now), Some(false));
    troubles.forget_resolved(&plan(vec![start("acme", "r2")]), &BTreeSet::new());
    assert_eq!(troubles.may_retry(&name("acme"), now), None);
}

#[test]
fn a_failure_of_another_kind_starts_the_count_of_refusals_again() {
    let (mut troubles, now) = (Troubles::default(), Instant::now());
    let action = start("acme", "r1");
    for failure in [
        Failure::Refused,
        Failure::Refused,
        Failure::Temporary,
        Failure::Refused,
        Failure::Refused,
    ] {
        assert_ne!(fail(&mut troubles, &action, failure, "reason", now), Retry::Never);
    }
    assert_eq!(
        fail(&mut troubles, &action, Failure::Refused, "reason", now),
        Retry::Never
    );
}

#[test]
fn a_temporary_failure_is_retried_forever_and_ever_later() {
    let (mut troubles, now, timing) = (Troubles::default(), Instant::now(), Timing::default());
    let action = start("acme", "r1");
    let mut delay = Duration::ZERO;
    for _ in 0..20 {
        fail(&mut troubles, &action, Failure::Temporary, "reason", now);
        delay = troubles.retries().next().unwrap() - now;
        assert_eq!(troubles.may_retry(&name("acme"), now), Some(false));
        assert_eq!(troubles.may_retry(&name("acme"), now + delay), Some(true));
    }
    assert!(
        delay >= timing.most_retry / 2 && delay <= timing.most_retry,
        "{delay:?}"
    );
}

#[test]
fn a_trouble_is_over_when_nothing_is_left_to_do_unless_the_gateway_is_still_on_its_way() {
    let (mut troubles, now) = (Troubles::default(), Instant::now());
    fail(&mut troubles, &start("acme", "r1"), Failure::Temporary, "reason", now);
    troubles.forget_resolved(&Plan::default(), &[name("acme")].into());
    assert_eq!(troubles.reason(&name("acme")), Some("reason"));
    troubles.forget_resolved(&Plan::default(), &BTreeSet::new());
    assert_eq!(troubles.reason(&name("acme")), None);
}

#[test]
fn an_order_has_what_it_contains_tried_again() {
    let (mut troubles, now) = (Troubles::default(), Instant::now());
    for gateway in ["ordered", "other"] {
        fail(&mut troubles, &start(gateway, "r1"), Failure::Temporary, "reason", now);
    }
    assert_eq!(
        troubles.summary().unwrap(),
        "gateway ordered: reason (and 1 more: `trunkd status`)"
    );
    troubles.forget(&[name("ordered")].into());
    assert_eq!(troubles.may_retry(&name("ordered"), now), None);
    assert_eq!(troubles.may_retry(&name("other"), now), Some(false));
}
