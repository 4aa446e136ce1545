use super::*;
use crate::reconcile::plan::Want;

fn start(name: &str) -> Action {
    Action::Start {
        gateway: GatewayName::parse(name).unwrap(),
        to: Want {
            profile: "external".parse().unwrap(),
            revision: "r".to_owned(),
            former: Box::default(),
            registers: false,
            domain: "acme".into(),
        },
    }
}

fn add(log: &mut ActionLog, name: &str, failure: Option<&str>) {
    let took = Duration::from_millis(1500);
    log.add("fs1", &start(name), Some("acme".to_owned()), failure, took, None);
}

#[test]
fn the_actions_of_a_small_plan_are_recorded_one_by_one() {
    let mut log = ActionLog::default();
    log.begin(MAX_SINGLE);
    add(&mut log, "gw1", None);
    add(&mut log, "gw2", Some("no answer"));
    let entries = log.take("fs1", false);
    assert_eq!(entries.len(), 2);
    assert_eq!(
        (entries[0].domain.as_deref(), entries[0].gateway.as_deref()),
        (Some("acme"), Some("gw1"))
    );
    let failed = Event::Action {
        action: ActionKind::Start,
        outcome: ActionOutcome::Failed,
        reason: Some("no answer".to_owned()),
        ms: 1500,
    };
    assert_eq!(entries[1].event, failed);
    assert!(log.take("fs1", true).is_empty());
}

#[test]
fn a_large_plan_is_summed_up_when_it_is_done() {
    let mut log = ActionLog::default();
    log.begin(MAX_SINGLE + 1);
    for number in 0..=MAX_SINGLE {
        // Its rounds get smaller and smaller.
        log.begin(MAX_SINGLE + 1 - number);
        add(&mut log, &format!("gw{number}"), (number == 0).then_some("no answer"));
        assert!(log.take("fs1", false).is_empty());
    }
    let entries = log.take("fs1", true);
    let [entry] = &entries[..] else { panic!("{entries:?}") };
    assert_eq!((entry.gateway.as_deref(), entry.switch.as_deref()), (None, Some("fs1")));
    let expected = |event: &Event| matches!(event, Event::Actions { started, restarted: 0, killed: 0, failed: 1, .. } if *started == MAX_SINGLE);
    assert!(expected(&entry.event), "{:?}", entry.event);
    add(&mut log, "gw1", None);
    assert_eq!(log.take("fs1", true).len(), 1, "the next plan is small");
}
