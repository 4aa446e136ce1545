use super::*;
use crate::gateway::ProfileName;
use crate::reconcile::executor::troubles::Failure;

fn name(name: &str) -> GatewayName {
    GatewayName::parse(name).unwrap()
}

fn external() -> ProfileName {
    ProfileName::parse("external").unwrap()
}

fn start(gateway: &str) -> Action {
    Action::Start {
        gateway: name(gateway),
        to: Want {
            profile: external(),
            revision: "r1".to_owned(),
            former: Box::default(),
            registers: true,
            domain: "acme".into(),
        },
    }
}

fn kill(gateway: &str) -> Action {
    Action::Kill {
        gateway: name(gateway),
        from: Have {
            profile: external(),
            revision: Some("r0".to_owned()),
            registers: true,
        },
    }
}

fn plan(actions: &[Action]) -> Plan {
    Plan {
        actions: actions.to_vec(),
        ..Plan::default()
    }
}

fn due(memory: &mut Memory, actions: &[Action], now: Instant) -> Vec<String> {
    due_by(memory, actions, |_| Some(Authority::Redis), now)
}

fn due_by(
    memory: &mut Memory,
    actions: &[Action],
    authority: impl Fn(&Action) -> Option<Authority>,
    now: Instant,
) -> Vec<String> {
    let due = memory.due(&plan(actions), authority, now, &Timing::default());
    due.iter().map(|(action, _)| action.gateway().to_string()).collect()
}

#[test]
fn a_gateway_is_killed_only_after_it_was_unwanted_for_the_confirm_delay() {
    let (mut memory, timing, now) = (Memory::default(), Timing::default(), Instant::now());
    assert!(due(&mut memory, &[kill("gone")], now).is_empty());
    assert_eq!(memory.next_due(&timing), Some(now + timing.confirm));
    assert!(due(&mut memory, &[kill("gone")], now + timing.confirm / 2).is_empty());
    assert_eq!(due(&mut memory, &[kill("gone")], now + timing.confirm), ["gone"]);
}

#[test]
fn a_gateway_that_comes_back_starts_its_confirm_delay_again() {
    let (mut memory, timing, now) = (Memory::default(), Timing::default(), Instant::now());
    due(&mut memory, &[kill("rewritten")], now);
    due(&mut memory, &[], now + timing.confirm / 2);
    assert_eq!(memory.next_due(&timing), None);
    assert!(due(&mut memory, &[kill("rewritten")], now + timing.confirm).is_empty());
}

#[test]
fn an_ordered_kill_does_not_wait_to_be_confirmed() {
    let (mut memory, now) = (Memory::default(), Instant::now());
    let killed = due_by(&mut memory, &[kill("gone")], |_| Some(Authority::Order), now);
    assert_eq!(killed, ["gone"]);
}

#[test]
fn only_what_is_allowed_is_due() {
    let (mut memory, now) = (Memory::default(), Instant::now());
    let ordered = |action: &Action| (*action.gateway() == name("b")).then_some(Authority::Order);
    assert_eq!(due_by(&mut memory, &[start("a"), start("b")], ordered, now), ["b"]);
}

#[test]
fn orders_come_first_then_new_edits_then_what_waited_already() {
    let (mut memory, now) = (Memory::default(), Instant::now());
    due(&mut memory, &[start("a"), start("b")], now);
    let actions = [start("a"), start("b"), start("edited"), start("ordered")];
    let authority = |action: &Action| match *action.gateway() == name("ordered") {
        true => Some(Authority::Order),
        false => Some(Authority::Redis),
    };
    let due = due_by(&mut memory, &actions, authority, now);
    assert_eq!(due, ["ordered", "edited", "a", "b"]);
}

#[test]
fn a_failed_action_waits_for_its_retry_even_when_it_is_ordered() {
    let (mut memory, timing, now) = (Memory::default(), Timing::default(), Instant::now());
    let reason = "reason".to_owned();
    memory
        .troubles
        .record(&start("acme"), Failure::Temporary, reason, now, &timing);
    let retry_at = memory.next_due(&timing).unwrap();
    assert!(retry_at > now && retry_at <= now + timing.first_retry);
    let ordered = |_: &Action| Some(Authority::Order);
    assert!(due_by(&mut memory, &[start("acme")], ordered, now).is_empty());
    assert_eq!(due_by(&mut memory, &[start("acme")], ordered, retry_at), ["acme"]);
}

#[test]
fn a_new_term_forgets_troubles_of_the_one_before() {
    let (mut memory, now) = (Memory::default(), Instant::now());
    let reason = "reason".to_owned();
    memory
        .troubles
        .record(&start("acme"), Failure::Temporary, reason, now, &Timing::default());
    memory.begin(None);
    assert_eq!(due(&mut memory, &[start("acme")], now), ["acme"]);
}
