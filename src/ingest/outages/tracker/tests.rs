use super::*;
use crate::registration::PingStatus;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_764_151_200 + seconds).unwrap()
}

fn row(state: State, usable: Option<bool>, seconds: i64) -> Row {
    Row {
        state: Some(state),
        ping: Some(PingStatus::Up),
        usable,
        usable_since: Some(at(seconds)),
        reason: (usable == Some(false)).then(|| "403 Forbidden".to_owned()),
        ..Row::unknown(at(seconds))
    }
}

fn gateway() -> Arc<str> {
    "carrier1".into()
}

fn open() -> OpenOutage {
    OpenOutage {
        id: "1-0".to_owned(),
        since_ms: at(0).as_millisecond(),
        reason: "403 Forbidden".to_owned(),
    }
}

fn with_open() -> Tracker {
    let mut tracker = Tracker::default();
    tracker.set("carrier1", Some(open()));
    tracker
}

#[test]
fn a_refusal_opens_an_outage_and_the_rest_of_the_cycle_changes_nothing() {
    let (mut tracker, now) = (Tracker::default(), Instant::now());
    let failed = row(State::Failed, Some(false), 5);
    assert!(tracker.concerns("carrier1", &failed));
    let step = tracker.judge(&gateway(), Some(&failed), now);
    let expected = Step::Open {
        since: at(5),
        reason: "403 Forbidden".to_owned(),
    };
    assert_eq!(step, Some(expected));
    tracker.set("carrier1", Some(open()));
    for state in [State::FailWait, State::Unreged, State::Trying, State::Failed] {
        let later = Row {
            seen: at(30),
            ..row(state, Some(false), 5)
        };
        assert!(!tracker.concerns("carrier1", &later), "usable did not change");
        assert_eq!(tracker.judge(&gateway(), Some(&later), now), None);
    }
    assert!(!tracker.is_settling());
}

#[test]
fn an_outage_ends_when_the_gateway_is_registered_not_while_it_registers() {
    let (mut tracker, now) = (with_open(), Instant::now());
    // After a restart FreeSWITCH counts it as usable until it is refused.
    let trying = row(State::Trying, Some(true), 10);
    assert_eq!(tracker.judge(&gateway(), Some(&trying), now), None);
    let reged = row(State::Reged, Some(true), 12);
    assert!(tracker.concerns("carrier1", &reged));
    let expected = Step::Close {
        outage: open(),
        up_since: at(12),
    };
    assert_eq!(tracker.judge(&gateway(), Some(&reged), now), Some(expected));
    tracker.set("carrier1", None);
    assert_eq!(tracker.judge(&gateway(), Some(&reged), now), None);
    assert!(!tracker.concerns("carrier1", &reged), "a re-registration costs nothing");
}

#[test]
fn a_gateway_that_is_killed_and_started_again_is_no_outage() {
    let (mut tracker, now) = (Tracker::default(), Instant::now());
    let down = row(State::Down, Some(false), 0);
    assert_eq!(tracker.judge(&gateway(), Some(&down), now), None);
    assert!(tracker.is_settling());
    let reged = row(State::Reged, Some(true), 4);
    assert_eq!(
        tracker.judge(&gateway(), Some(&reged), now + Duration::from_secs(4)),
        None
    );
    assert!(!tracker.is_settling());
}

#[test]
fn one_that_stays_down_is_an_outage_and_so_is_one_that_comes_up_refused() {
    let (mut tracker, now) = (Tracker::default(), Instant::now());
    let down = row(State::Down, Some(false), 0);
    assert_eq!(tracker.judge(&gateway(), Some(&down), now), None);
    let later = tracker.judge(&gateway(), Some(&down), now + DOWN_LASTS);
    assert!(matches!(later, Some(Step::Open { since, .. }) if since == at(0)));

    let mut tracker = Tracker::default();
    assert_eq!(tracker.judge(&gateway(), Some(&down), now), None);
    let refused = row(State::FailWait, Some(false), 0);
    let step = tracker.judge(&gateway(), Some(&refused), now + Duration::from_secs(2));
    assert!(matches!(step, Some(Step::Open { .. })));
}

#[test]
fn a_lost_ping_is_an_outage_of_a_gateway_that_does_not_register() {
    let (mut tracker, now) = (Tracker::default(), Instant::now());
    let lost = row(State::Noreg, Some(false), 0);
    assert!(matches!(
        tracker.judge(&gateway(), Some(&lost), now),
        Some(Step::Open { .. })
    ));
    let mut tracker = with_open();
    let up = row(State::Noreg, Some(true), 60);
    let step = tracker.judge(&gateway(), Some(&up), now);
    assert!(matches!(step, Some(Step::Close { up_since, .. }) if up_since == at(60)));
    // Without a ping, nothing will ever tell.
    let unmeasured = row(State::Noreg, None, 60);
    let mut tracker = with_open();
    let outage = "1-0".to_owned();
    assert_eq!(
        tracker.judge(&gateway(), Some(&unmeasured), now),
        Some(Step::Drop { outage })
    );
}

#[test]
fn an_open_outage_survives_a_restart_and_goes_with_the_gateway() {
    let (mut tracker, now) = (with_open(), Instant::now());
    assert_eq!(tracker.judge(&gateway(), None, now), None);
    let starting = Row::unknown(at(3));
    assert_eq!(tracker.judge(&gateway(), Some(&starting), now), None);
    // Missing anew, so the time starts again.
    let again = now + GONE_AFTER;
    assert_eq!(tracker.judge(&gateway(), None, again), None);
    let step = tracker.judge(&gateway(), None, again + GONE_AFTER);
    let outage = "1-0".to_owned();
    assert_eq!(step, Some(Step::Drop { outage }));
}

#[test]
fn what_redis_says_replaces_what_was_known() {
    let mut tracker = with_open();
    tracker.load(BTreeMap::new());
    assert_eq!(tracker.open().count(), 0);
    tracker.load(BTreeMap::from([("other".to_owned(), open())]));
    assert_eq!(tracker.open().map(|name| &**name).collect::<Vec<_>>(), ["other"]);
}

#[test]
fn the_time_while_the_switch_is_out_of_reach_does_not_count() {
    let (mut tracker, now) = (Tracker::default(), Instant::now());
    let down = row(State::Down, Some(false), 0);
    assert_eq!(tracker.judge(&gateway(), Some(&down), now), None);
    tracker.forget_settling();
    let trying = row(State::Trying, Some(false), 100);
    assert_eq!(
        tracker.judge(&gateway(), Some(&trying), now + Duration::from_secs(100)),
        None
    );
}
