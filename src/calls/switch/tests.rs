use super::*;

const START: u64 = 1_795_633_493;
const DAY: u64 = 24 * 3600;

fn hangup(gateway: &str, answered_seconds: Option<u32>, cause: &str) -> Hangup {
    Hangup {
        gateway: gateway.to_owned(),
        direction: Direction::Out,
        at: Timestamp::from_second(START as i64).unwrap(),
        answered_seconds,
        cause: cause.to_owned(),
        sip_status: answered_seconds.is_none().then_some(486),
    }
}

#[test]
fn each_gateway_has_its_own_figures_and_its_last_failure() {
    let mut calls = SwitchCalls::default();
    assert!(calls.add(&hangup("a", Some(60), "NORMAL_CLEARING"), START));
    assert!(calls.add(&hangup("a", None, "USER_BUSY"), START));
    assert!(calls.add(&hangup("a", Some(30), "NORMAL_CLEARING"), START + 600));
    assert!(calls.add(&hangup("b", Some(1), "NORMAL_CLEARING"), START));
    let a = calls.get("a").unwrap();
    let [five_minutes, hour, day] = a.figures(START + 600);
    assert_eq!((five_minutes.answered(), five_minutes.failed()), (1, 0));
    assert_eq!((hour.answered(), hour.failed(), hour.acd()), (2, 1, Some(45.0)));
    assert_eq!(day, hour);
    let failure = a.last_failure.unwrap();
    assert_eq!((failure.cause.as_str(), failure.sip_status), ("USER_BUSY", Some(486)));
    assert_eq!(calls.get("b").unwrap().last_failure, None);
    assert!(calls.get("c").is_none());
}

#[test]
fn a_gateway_without_calls_for_a_day_takes_no_memory() {
    let mut calls = SwitchCalls::default();
    calls.add(&hangup("a", None, "NO_ANSWER"), START);
    calls.add(&hangup("b", None, "NO_ANSWER"), START + DAY);
    assert_eq!(calls.entries, 6);
    calls.forget_old(START + DAY + 900);
    assert!(!calls.has("a") && calls.has("b"));
    assert_eq!(calls.entries, 2, "the five minutes of the other are over, too");
    calls.forget_old(START + 3 * DAY);
    assert!(calls.gateways.is_empty() && calls.entries == 0);
}

#[test]
fn without_room_a_call_is_not_counted() {
    let mut calls = SwitchCalls {
        entries: MAX_ENTRIES,
        ..SwitchCalls::default()
    };
    assert!(!calls.add(&hangup("a", None, "NO_ANSWER"), START));
    assert!(!calls.has("a"));
}

#[test]
fn figures_are_complete_since_the_last_connection_and_counted_since_the_first() {
    let at = |second| Timestamp::from_second(second).unwrap();
    let mut since = Since::default();
    since.connected(at(1));
    assert_eq!((since.counted, since.complete), (Some(at(1)), Some(at(1))));
    since.disconnected();
    assert_eq!((since.counted, since.complete), (Some(at(1)), None));
    since.connected(at(9));
    assert_eq!((since.counted, since.complete), (Some(at(1)), Some(at(9))));
}
