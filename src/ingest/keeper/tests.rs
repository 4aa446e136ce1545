use super::*;

const LIMIT: Duration = Duration::from_secs(60);
const MINUTES: Duration = Duration::from_secs(300);

fn outage(seconds: u64, stale_as_of_ms: Option<u64>) -> Option<Outage> {
    let lasted = Duration::from_secs(seconds);
    Some(Outage { lasted, stale_as_of_ms })
}

fn touched(sighted_ms: Option<u64>, unseen: Option<Duration>) -> Touched {
    Touched {
        is_known: true,
        sighted_ms,
        unseen,
    }
}

#[test]
fn the_states_of_a_switch_are_marked_stale_after_a_minute_and_once() {
    let last_seen = touched(Some(7000), Some(MINUTES));
    assert_eq!(next_step(outage(59, None), Some(&last_seen), LIMIT), NextStep::Nothing);
    assert_eq!(
        next_step(outage(60, None), Some(&last_seen), LIMIT),
        NextStep::MarkStale
    );
    let marked = outage(65, Some(7000));
    assert_eq!(next_step(marked, Some(&last_seen), LIMIT), NextStep::Nothing);
    assert_eq!(
        next_step(outage(60, None), None, LIMIT),
        NextStep::Nothing,
        "Redis is away"
    );
    let never_seen = touched(None, None);
    assert_eq!(
        next_step(outage(60, None), Some(&never_seen), LIMIT),
        NextStep::MarkStale
    );
    assert_eq!(
        next_step(outage(65, Some(0)), Some(&never_seen), LIMIT),
        NextStep::Nothing
    );
}

#[test]
fn a_switch_that_another_trunkd_sees_is_left_to_it_and_marked_again_when_that_one_loses_it() {
    let seen = touched(Some(90_000), Some(Duration::from_secs(59)));
    assert_eq!(
        next_step(outage(600, Some(7000)), Some(&seen), LIMIT),
        NextStep::Nothing
    );
    let lost = touched(Some(90_000), Some(LIMIT));
    assert_eq!(
        next_step(outage(601, Some(7000)), Some(&lost), LIMIT),
        NextStep::MarkStale
    );
    assert_eq!(
        next_step(outage(606, Some(90_000)), Some(&lost), LIMIT),
        NextStep::Nothing
    );
}

#[test]
fn a_redis_that_lost_data_or_was_away_is_compared_with_a_connected_switch() {
    let known = touched(Some(7000), Some(Duration::ZERO));
    assert_eq!(next_step(None, Some(&known), LIMIT), NextStep::Nothing);
    assert_eq!(next_step(None, None, LIMIT), NextStep::SnapshotSoon);
    let forgotten = Touched {
        is_known: false,
        ..known
    };
    assert_eq!(next_step(None, Some(&forgotten), LIMIT), NextStep::SnapshotNow);
}
