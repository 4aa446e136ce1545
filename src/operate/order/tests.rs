use super::*;
use crate::control::{OrderReport, OrderedAction, Report};

/// A report of a trunkd that took the order `1` into account.
fn report(leads: bool, done: bool, left: usize) -> Report {
    Report {
        leads,
        last_order: Some(OrderReport {
            id: "1".to_owned(),
            done,
            left,
            undone: BTreeMap::new(),
        }),
        ..Report::default()
    }
}

fn reports(of: impl IntoIterator<Item = Report>) -> Reports {
    let mut reports = Reports::default();
    for (number, report) in of.into_iter().enumerate() {
        reports.insert("fs1", &format!("trunkd{number}"), report);
    }
    reports
}

fn one_kill() -> OrderContent {
    let kill = OrderedAction { from: None, to: None };
    OrderContent {
        actions: [("gw1".to_owned(), kill)].into(),
        ..OrderContent::default()
    }
}

fn ends(reports: &Reports, content: &OrderContent) -> Option<OrderOutcome> {
    outcome(reports, "fs1", "1", content)
}

#[test]
fn an_order_ends_when_every_trunkd_has_taken_it_into_account() {
    let all = reports([report(true, true, 0), report(false, true, 0)]);
    assert!(ends(&all, &one_kill()).is_some());
    let leader_at_work = reports([report(true, false, 1), report(false, true, 0)]);
    assert_eq!(ends(&leader_at_work, &one_kill()), None);
    let other_behind = reports([report(true, true, 0), Report::default()]);
    assert_eq!(ends(&other_behind, &one_kill()), None);
    assert_eq!(ends(&Reports::default(), &one_kill()), None);
}

#[test]
fn changes_need_a_lease_holder_and_a_release_does_not() {
    let without_holder = reports([report(false, true, 0)]);
    assert_eq!(ends(&without_holder, &one_kill()), None);
    assert!(ends(&without_holder, &OrderContent::default()).is_some());
}

#[test]
fn what_was_not_done_or_is_still_held_is_in_the_outcome() {
    let mut leader = report(true, true, 0);
    leader.held = Some("removes 40 of 50".to_owned());
    if let Some(order) = &mut leader.last_order {
        order.undone = [("gw1".to_owned(), "refused".to_owned())].into();
    }
    let outcome = ends(&reports([leader, report(false, true, 0)]), &one_kill());
    let expected = OrderOutcome::Finished {
        undone: [("gw1".to_owned(), "refused".to_owned())].into(),
        still_held: Some(Message::same("removes 40 of 50")),
    };
    assert_eq!(outcome, Some(expected));
}

#[test]
fn a_release_is_not_done_while_something_is_held() {
    let held = |undone| OrderOutcome::Finished {
        undone,
        still_held: Some(Message::same("later edits")),
    };
    assert!(!held(BTreeMap::new()).is_done(&[]));
    assert!(!held([("gw1".to_owned(), String::new())].into()).is_done(&[]));
    assert!(!OrderOutcome::Abandoned { left: Some(0) }.is_done(&[]));
    let released = OrderOutcome::Finished {
        undone: BTreeMap::new(),
        still_held: None,
    };
    assert!(released.is_done(&[]));
}

#[test]
fn only_the_lease_holder_says_how_many_changes_are_left() {
    let left = |reports: &Reports| changes_left(reports, "fs1", "1");
    assert_eq!(
        left(&reports([report(true, false, 3), report(false, false, 9)])),
        Some(3)
    );
    assert_eq!(left(&reports([report(false, false, 9)])), None);
    assert_eq!(changes_left(&reports([report(true, false, 3)]), "fs1", "2"), None);
}
