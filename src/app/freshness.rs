//! Whether the gateways that are served are those in Redis: in `/health`, and in the log when that
//! changes.

use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;

use crate::desired::{Current, Unavailable};
use crate::health::{Health, Part, State};

/// Whether the state read last was what Redis held; `None` before the first.
#[derive(Debug, Default)]
pub(super) struct Freshness(Mutex<Option<bool>>);

impl Freshness {
    pub(super) fn is_fresh(&self) -> bool {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) == Some(true)
    }

    pub(super) fn report(&self, read: &Result<Current, Unavailable>, health: &Health) {
        let problem = match read {
            Ok(current) => current
                .stale
                .as_ref()
                .map(|(since, error)| describe_stale(*since, Timestamp::now(), error)),
            Err(unavailable) => Some(unavailable.to_string()),
        };
        health.set_serving(read.is_ok());
        self.record(problem, health);
    }

    fn record(&self, problem: Option<String>, health: &Health) {
        // Held until the health is set, so that the last of two concurrent reads wins in both.
        let mut fresh = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_news = fresh.replace(problem.is_none()) != Some(problem.is_none());
        match problem {
            Some(problem) => {
                if is_news {
                    tracing::error!("{problem}");
                }
                health.set(Part::Gateways, State::Degraded, Some(problem));
            }
            None if is_news => {
                tracing::info!("the gateways that are served are those in Redis");
                health.set(Part::Gateways, State::Ok, None);
            }
            None => {}
        }
    }
}

fn describe_stale(since: Timestamp, now: Timestamp, error: &impl std::fmt::Display) -> String {
    let age = now.duration_since(since).as_secs();
    format!("the last good state, of {since:.0} and {age} s old, is served: {error}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn health_has_the_newest_problem_until_a_fresh_read() {
        let (freshness, health) = (Freshness::default(), Health::new());
        let reason = || health.report().parts[0].reason.clone();
        assert!(!freshness.is_fresh(), "nothing was read yet");
        for problem in ["refused", "timed out"] {
            freshness.record(Some(problem.to_owned()), &health);
            assert_eq!((freshness.is_fresh(), reason().as_deref()), (false, Some(problem)));
        }
        freshness.record(None, &health);
        assert_eq!((freshness.is_fresh(), reason()), (true, None));
        assert_eq!(health.report().parts[0].state, State::Ok);
    }

    #[test]
    fn a_stale_state_is_described_with_its_time_and_age() {
        let since: Timestamp = "2026-01-02T03:04:05.678Z".parse().unwrap();
        let now = since + jiff::SignedDuration::from_secs(35);
        let text = describe_stale(since, now, &"Redis is away");
        assert_eq!(
            text,
            "the last good state, of 2026-01-02T03:04:05Z and 35 s old, is served: Redis is away"
        );
    }
}
