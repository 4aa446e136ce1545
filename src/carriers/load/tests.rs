use super::*;

fn name(name: &str) -> GatewayName {
    GatewayName::parse(name).unwrap()
}

fn seen(instance: u64, second: i64, progress: Progress) -> Attempt {
    let since = Timestamp::from_second(second).unwrap();
    Attempt {
        instance,
        since,
        progress,
    }
}

fn usage(recent: usize, pending: usize, in_flight: usize) -> Usage {
    Usage {
        recent,
        pending,
        in_flight,
    }
}

#[test]
fn a_start_is_pending_until_its_successor_registers_and_counts_for_a_second_more() {
    let (start, mut load) = (Instant::now(), Load::default());
    let at = |ms| start + Duration::from_millis(ms);
    let old = seen(1, 0, Progress::Answered);
    load.add(name("gw"), Some(old), Expected::OfNewInstance, start);
    // The old one registers once more before it is killed.
    load.observe(|_| Some(seen(1, 9, Progress::Unanswered)), at(10));
    assert_eq!(load.usage(at(10)), usage(0, 1, 1));
    load.observe(|_| Some(seen(2, 10, Progress::NotSent)), at(3000));
    assert_eq!(load.usage(at(3000)), usage(0, 1, 1));
    load.observe(|_| Some(seen(2, 11, Progress::Unanswered)), at(3500));
    assert_eq!(load.usage(at(3500)), usage(1, 0, 1));
    load.observe(|_| Some(seen(2, 12, Progress::Answered)), at(3600));
    assert_eq!(load.usage(at(3600)), usage(1, 0, 0));
    load.observe(|_| Some(seen(2, 12, Progress::Answered)), at(4500));
    assert!(load.is_empty());
}

#[test]
fn registering_again_is_noticed_by_the_time_of_the_state() {
    let (start, mut load) = (Instant::now(), Load::default());
    let before = seen(1, 5, Progress::Answered);
    load.add(name("gw"), Some(before), Expected::OfSameInstance, start);
    load.observe(|_| Some(before), start);
    assert_eq!(load.usage(start), usage(0, 1, 1));
    load.observe(|_| Some(seen(1, 6, Progress::Answered)), start);
    assert_eq!(load.usage(start), usage(1, 0, 0));
}

#[test]
fn what_was_pending_when_others_were_sent_counts_as_sent_too() {
    let (start, mut load) = (Instant::now(), Load::default());
    load.add(name("a"), None, Expected::OfNewInstance, start);
    load.add(name("b"), None, Expected::OfNewInstance, start);
    let only_a = |gateway: &GatewayName| (*gateway == name("a")).then(|| seen(1, 0, Progress::Unanswered));
    load.observe(only_a, start);
    assert_eq!(load.usage(start), usage(2, 1, 2));
}

#[test]
fn a_start_that_never_registers_is_forgotten_and_one_can_be_taken_back() {
    let (start, mut load) = (Instant::now(), Load::default());
    load.add(name("gw"), None, Expected::OfNewInstance, start);
    load.observe(|_| None, start + SOON - Duration::from_millis(1));
    assert!(!load.is_empty());
    load.observe(|_| None, start + SOON);
    assert!(load.is_empty());
    load.add(name("gw"), None, Expected::OfNewInstance, start);
    load.withdraw(&name("gw"));
    assert!(load.is_empty());
}

#[test]
fn an_answer_that_never_comes_is_in_flight_until_freeswitch_gives_up() {
    let (start, mut load) = (Instant::now(), Load::default());
    load.add(name("gw"), None, Expected::OfNewInstance, start);
    let trying = |_: &GatewayName| Some(seen(1, 0, Progress::Unanswered));
    load.observe(trying, start);
    let late = start + Duration::from_secs(30);
    load.observe(trying, late);
    assert_eq!(load.usage(late), usage(0, 0, 1));
    load.observe(trying, start + ANSWERED_BY);
    assert!(load.is_empty());
}

#[test]
fn what_another_trunkd_began_counts_until_it_is_sent_and_a_second_more() {
    let (start, clock) = (Instant::now(), Timestamp::from_second(100).unwrap());
    let at = |ms| start + Duration::from_millis(ms);
    let mut load = Load::default();
    let began = [
        ("started", seen(1, 90, Progress::NotSent)),
        ("trying", seen(1, 90, Progress::Unanswered)),
        ("just answered", seen(1, 100, Progress::Answered)),
        (
            "answered by a switch whose clock is ahead",
            seen(1, 105, Progress::Answered),
        ),
        ("answered long ago", seen(1, 90, Progress::Answered)),
        ("parked", seen(1, 99, Progress::Stopped)),
    ];
    for (gateway, seen) in began {
        load.take_over(name(&gateway.replace(' ', "-")), seen, start, clock);
    }
    assert_eq!(load.usage(start), usage(3, 1, 2));
    let answered = seen(1, 101, Progress::Answered);
    load.observe(|_| Some(answered), at(500));
    assert_eq!(load.usage(at(500)), usage(4, 0, 0));
    load.observe(|_| Some(answered), at(1000));
    assert_eq!(load.usage(at(1000)), usage(1, 0, 0));
    load.observe(|_| Some(answered), at(1500));
    assert!(load.is_empty());
}
