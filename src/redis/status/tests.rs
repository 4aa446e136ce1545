use std::time::Duration;

use super::*;

struct Fixture {
    status: RedisStatus,
    health: Arc<Health>,
}

impl Fixture {
    fn new() -> Self {
        Self::of(Link::of_sentinels())
    }

    fn of(link: Link) -> Self {
        let health = Arc::new(Health::new());
        let status = RedisStatus::new(health.clone(), Arc::new(link));
        Self { status, health }
    }

    fn record(&self, access: Access, error: Option<&StoreError>) {
        self.status.record(access, "an operation", error);
    }

    /// State and reason of the part `redis` in `/health`.
    fn reported(&self) -> (health::State, Option<String>) {
        let part = self.health.report().parts.remove(0);
        assert_eq!(part.name, Part::Redis);
        (part.state, part.reason)
    }

    fn is_ok(&self) -> bool {
        self.reported() == (health::State::Ok, None)
    }

    fn is_degraded_by(&self, words: &str) -> bool {
        let (state, reason) = self.reported();
        state == health::State::Degraded && reason.is_some_and(|reason| reason.contains(words))
    }
}

fn timeout() -> StoreError {
    StoreError::Timeout {
        server: "Redis at 127.0.0.1:6379".to_owned(),
        operation: "an operation",
        limit: Duration::from_secs(1),
    }
}

#[test]
fn reads_and_writes_fail_and_recover_separately() {
    let redis = Fixture::new();
    redis.record(Access::Read, None);
    assert!(redis.is_ok());
    redis.record(Access::Write, Some(&timeout()));
    redis.record(Access::Read, None);
    assert!(redis.is_degraded_by("did not answer within 1s"));
    redis.record(Access::Write, None);
    assert!(redis.is_ok());
}

#[test]
fn a_replica_degrades_health_although_every_read_works() {
    let redis = Fixture::new();
    redis.status.record_role(Some("this is a replica".to_owned()));
    redis.record(Access::Read, None);
    assert!(redis.is_degraded_by("replica"));
    redis.status.record_role(None);
    assert!(redis.is_ok());
}

#[test]
fn what_stops_everything_is_reported_before_missing_sentinels_and_wrong_keys() {
    let redis = Fixture::new();
    redis.status.record_key("trunkd:key", Some("it is a list".to_owned()));
    assert!(redis.is_degraded_by("it is a list"));
    redis.status.record_sentinels(Some("no Sentinel".to_owned()));
    assert!(redis.is_degraded_by("no Sentinel"));
    redis.record(Access::Read, Some(&timeout()));
    assert!(redis.is_degraded_by("did not answer"));
    redis.record(Access::Read, None);
    redis.status.record_sentinels(None);
    redis.status.record_key("trunkd:key", None);
    assert!(redis.is_ok());
}

#[test]
fn the_master_in_use_is_named_with_and_without_a_problem() {
    let redis = Fixture::of(Link::with_master(6380));
    redis.record(Access::Read, None);
    let named = "the master is 127.0.0.1:6380";
    assert_eq!(redis.reported(), (health::State::Ok, Some(named.to_owned())));
    redis.record(Access::Read, Some(&timeout()));
    assert!(redis.is_degraded_by(named));
}
