//! Which operations fail at the moment, so that losing and finding Redis is logged once each.
//!
//! One operation may fail while all others go well: a key of another type, a right that the user lacks. So a
//! success is news only once nothing fails any more.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// An operation that nobody tried again for so long counts no more. Longer than the longest of those that
/// are tried again and again.
const FORGET_AFTER: Duration = Duration::from_secs(15);

/// Why an operation failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// There was no connection: as for every other operation.
    Connection,
    /// It took too long, or the connection ended.
    Broken,
    /// Redis refused it.
    Refused,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum News {
    Failing,
    Well,
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
    pub(crate) fn failed(&mut self, operation: &'static str, cause: Cause, reason: &str, now: Instant) -> Option<News> {
        let was_well = self.by_operation.is_empty();
        if cause == Cause::Connection {
            // That explains these.
            self.by_operation.retain(|_, failure| failure.cause == Cause::Refused);
        }
        let failure = Failure {
            cause,
            reason: reason.to_owned(),
            at: now,
        };
        let before = self.by_operation.insert(operation, failure);
        let is_new_refusal = cause == Cause::Refused && before.is_none_or(|before| before.cause != Cause::Refused);
        (was_well || is_new_refusal).then_some(News::Failing)
    }

    pub(crate) fn succeeded(&mut self, operation: &'static str, now: Instant) -> Option<News> {
        if self.by_operation.is_empty() {
            return None;
        }
        self.by_operation.remove(operation);
        self.by_operation.retain(|_, failure| {
            failure.cause != Cause::Connection && now.saturating_duration_since(failure.at) < FORGET_AFTER
        });
        self.by_operation.is_empty().then_some(News::Well)
    }

    /// Why the worst of them fails: one that has to do with all comes first.
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
    fn one_operation_that_fails_among_others_that_go_well_is_told_once() {
        let (mut failures, now) = (Failures::default(), Instant::now());
        assert_eq!(failures.succeeded("read", now), None);
        assert_eq!(
            failures.failed("read control", Cause::Refused, "WRONGTYPE", now),
            Some(News::Failing)
        );
        for second in 1..60 {
            let now = now + Duration::from_secs(second);
            assert_eq!(failures.succeeded("read", now), None);
            assert_eq!(failures.worst().map(String::as_str), Some("WRONGTYPE"));
            assert_eq!(failures.failed("read control", Cause::Refused, "WRONGTYPE", now), None);
        }
        assert_eq!(failures.succeeded("read control", now), Some(News::Well));
        assert_eq!(failures.worst(), None);
    }

    #[test]
    fn a_lost_redis_is_told_once_and_found_with_the_first_success() {
        let (mut failures, now) = (Failures::default(), Instant::now());
        assert_eq!(
            failures.failed("renew", Cause::Broken, "broken pipe", now),
            Some(News::Failing)
        );
        for operation in ["read", "renew", "write", "only once"] {
            assert_eq!(failures.failed(operation, Cause::Connection, "refused", now), None);
        }
        assert_eq!(failures.worst().map(String::as_str), Some("refused"));
        assert_eq!(failures.succeeded("read", now), Some(News::Well));
    }

    #[test]
    fn what_was_tried_once_and_never_again_is_forgotten() {
        let (mut failures, now) = (Failures::default(), Instant::now());
        failures.failed("pause", Cause::Broken, "it took too long", now);
        assert_eq!(failures.succeeded("read", now + FORGET_AFTER / 2), None);
        assert_eq!(failures.succeeded("read", now + FORGET_AFTER), Some(News::Well));
    }

    #[test]
    fn another_refusal_is_news_of_its_own() {
        let (mut failures, now) = (Failures::default(), Instant::now());
        assert_eq!(failures.failed("a", Cause::Refused, "no", now), Some(News::Failing));
        assert_eq!(failures.failed("b", Cause::Refused, "no", now), Some(News::Failing));
        assert_eq!(failures.failed("b", Cause::Refused, "no", now), None);
    }
}
