//! Which operations currently fail, so that losing and recovering Redis is logged once each.
//!
//! One operation may fail while all others work, because of a key of the wrong type or a missing right.
//! So a success is logged only when nothing fails any more.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::error::Cause;

/// A failure that was not retried for this long is forgotten. Longer than every retry interval.
const FORGET_AFTER: Duration = Duration::from_secs(15);

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Transition {
    Failing,
    Recovered,
}

#[derive(Debug, Default)]
pub(crate) struct Failures {
    by_operation: BTreeMap<&'static str, Failure>,
}

#[derive(Debug)]
struct Failure {
    cause: Cause,
    reason: String,
    at: Instant,
}

impl Failures {
    pub(crate) fn failed(
        &mut self,
        operation: &'static str,
        cause: Cause,
        reason: &str,
        now: Instant,
    ) -> Option<Transition> {
        let was_ok = self.by_operation.is_empty();
        if cause == Cause::Connection {
            // A lost connection explains these.
            self.by_operation.retain(|_, failure| failure.cause == Cause::Refused);
        }
        let failure = Failure {
            cause,
            reason: reason.to_owned(),
            at: now,
        };
        let before = self.by_operation.insert(operation, failure);
        let is_new_refusal = cause == Cause::Refused && before.is_none_or(|before| before.cause != Cause::Refused);
        (was_ok || is_new_refusal).then_some(Transition::Failing)
    }

    pub(crate) fn succeeded(&mut self, operation: &'static str, now: Instant) -> Option<Transition> {
        if self.by_operation.is_empty() {
            return None;
        }
        self.by_operation.remove(operation);
        self.by_operation.retain(|_, failure| {
            failure.cause != Cause::Connection && now.saturating_duration_since(failure.at) < FORGET_AFTER
        });
        self.by_operation.is_empty().then_some(Transition::Recovered)
    }

    /// The reason of the worst failure: one that affects everything comes first.
    pub(crate) fn worst(&self) -> Option<&String> {
        let first = |cause| self.by_operation.values().find(move |failure| failure.cause == cause);
        let worst = [Cause::Connection, Cause::Broken, Cause::Refused]
            .into_iter()
            .find_map(first);
        worst.map(|failure| &failure.reason)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_failing_operation_among_working_ones_is_reported_once() {
        let (mut failures, now) = (Failures::default(), Instant::now());
        assert_eq!(failures.succeeded("read", now), None);
        assert_eq!(
            failures.failed("read control", Cause::Refused, "WRONGTYPE", now),
            Some(Transition::Failing)
        );
        for second in 1..60 {
            let now = now + Duration::from_secs(second);
            assert_eq!(failures.succeeded("read", now), None);
            assert_eq!(failures.worst().map(String::as_str), Some("WRONGTYPE"));
            assert_eq!(failures.failed("read control", Cause::Refused, "WRONGTYPE", now), None);
        }
        assert_eq!(failures.succeeded("read control", now), Some(Transition::Recovered));
        assert_eq!(failures.worst(), None);
    }

    #[test]
    fn a_lost_redis_is_reported_once_and_recovers_with_the_first_success() {
        let (mut failures, now) = (Failures::default(), Instant::now());
        assert_eq!(
            failures.failed("renew", Cause::Broken, "broken pipe", now),
            Some(Transition::Failing)
        );
        for operation in ["read", "renew", "write", "only once"] {
            assert_eq!(failures.failed(operation, Cause::Connection, "refused", now), None);
        }
        assert_eq!(failures.worst().map(String::as_str), Some("refused"));
        assert_eq!(failures.succeeded("read", now), Some(Transition::Recovered));
    }

    #[test]
    fn a_failure_that_is_never_retried_is_forgotten() {
        let (mut failures, now) = (Failures::default(), Instant::now());
        failures.failed("pause", Cause::Broken, "it took too long", now);
        assert_eq!(failures.succeeded("read", now + FORGET_AFTER / 2), None);
        assert_eq!(
            failures.succeeded("read", now + FORGET_AFTER),
            Some(Transition::Recovered)
        );
    }

    #[test]
    fn another_refusal_is_reported_separately() {
        let (mut failures, now) = (Failures::default(), Instant::now());
        assert_eq!(
            failures.failed("a", Cause::Refused, "no", now),
            Some(Transition::Failing)
        );
        assert_eq!(
            failures.failed("b", Cause::Refused, "no", now),
            Some(Transition::Failing)
        );
        assert_eq!(failures.failed("b", Cause::Refused, "no", now), None);
    }
}
