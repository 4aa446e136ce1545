//! A server that sent something that is not a reply is not contacted for a while, so that it costs
//! neither connections nor log lines.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::backoff::Backoff;
use crate::throttle::Throttle;

/// The first and the longest quarantine.
const FIRST: Duration = Duration::from_millis(100);
const MOST: Duration = Duration::from_secs(10);

#[derive(Debug, Default)]
pub(crate) struct Quarantine {
    state: Mutex<Option<State>>,
    /// Checked after every operation.
    is_set: AtomicBool,
    log: Throttle,
}

#[derive(Debug)]
struct State {
    until: Instant,
    backoff: Backoff,
    reason: String,
}

impl Quarantine {
    pub(crate) fn impose(&self, server: &str, reason: &str, now: Instant) {
        let mut state = self.lock();
        let state = state.get_or_insert_with(|| State {
            until: now,
            backoff: Backoff::new(FIRST, MOST),
            reason: String::new(),
        });
        reason.clone_into(&mut state.reason);
        // Connections opened together count once.
        if now >= state.until {
            state.until = now + state.backoff.delay();
        }
        self.is_set.store(true, Ordering::Relaxed);
        if let Some(more) = self.log.pass(now) {
            let more = if more > 0 {
                format!(" ({more} more times since the last line)")
            } else {
                String::new()
            };
            tracing::error!("disconnected from {server}: {reason}{more}; check that a Redis listens there");
        }
    }

    /// Why nobody may connect now, if so.
    pub(crate) fn reason(&self, now: Instant) -> Option<String> {
        let state = self.lock();
        state
            .as_ref()
            .filter(|state| now < state.until)
            .map(|state| state.reason.clone())
    }

    /// The server sent a valid reply.
    pub(crate) fn lift(&self) {
        if self.is_set.swap(false, Ordering::Relaxed) {
            *self.lock() = None;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<State>> {
        // Each field is replaced whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_gets_longer_until_the_server_sends_a_valid_reply() {
        let (quarantine, mut now) = (Quarantine::default(), Instant::now());
        assert_eq!(quarantine.reason(now), None);
        for full in [FIRST, FIRST * 2, FIRST * 4] {
            quarantine.impose("Redis", "junk", now);
            quarantine.impose("Redis", "junk", now);
            assert_eq!(
                quarantine.reason(now + full / 2 - Duration::from_millis(1)).as_deref(),
                Some("junk")
            );
            now += full;
            assert_eq!(quarantine.reason(now), None, "it may be tried again");
        }
        quarantine.lift();
        quarantine.impose("Redis", "junk", now);
        assert_eq!(quarantine.reason(now + FIRST), None);
    }
}
