//! How long to wait before the next attempt to connect, and what of it is worth a log line. Pure,
//! except for the jitter.

use std::time::Duration;

use crate::backoff::Backoff;

/// How long to wait between two attempts to connect.
#[derive(Debug, Clone, Copy)]
pub struct RetryDelays {
    pub first: Duration,
    pub most: Duration,
    /// While only an operator can fix the connection.
    pub refused: Duration,
}

#[derive(Debug)]
pub struct Reconnect {
    backoff: Backoff,
    /// A connection that lasted longer was a success.
    stable_after: Duration,
    refused: Duration,
    /// The error that was logged last. The same one again is not logged.
    logged: Option<String>,
}

#[derive(Debug, PartialEq, Eq)]
pub struct NextAttempt {
    pub wait: Duration,
    pub is_logged: bool,
}

impl Reconnect {
    pub fn new(delays: RetryDelays) -> Self {
        Self {
            backoff: Backoff::new(delays.first, delays.most),
            stable_after: delays.most,
            refused: delays.refused,
            logged: None,
        }
    }

    /// A connection ended. A switch that accepts us and hangs up is neither hammered nor does it fill the log.
    pub fn after_lost(&mut self, reason: &str, lasted: Duration) -> NextAttempt {
        if lasted > self.stable_after {
            self.backoff.reset();
            self.logged = None;
        }
        NextAttempt {
            is_logged: self.is_news(reason),
            wait: self.backoff.delay(),
        }
    }

    /// No connection came about. `needs_operator`: trying soon again is of no use.
    pub fn after_failure(&mut self, reason: &str, needs_operator: bool) -> NextAttempt {
        NextAttempt {
            is_logged: self.is_news(reason),
            wait: match needs_operator {
                true => self.refused,
                false => self.backoff.delay(),
            },
        }
    }

    fn is_news(&mut self, reason: &str) -> bool {
        let is_news = self.logged.as_deref() != Some(reason);
        self.logged = Some(reason.to_owned());
        is_news
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DELAYS: RetryDelays = RetryDelays {
        first: Duration::from_millis(200),
        most: Duration::from_secs(10),
        refused: Duration::from_secs(60),
    };

    #[test]
    fn the_same_error_is_logged_once_and_tried_again_ever_more_slowly() {
        let mut reconnect = Reconnect::new(DELAYS);
        let mut longest = DELAYS.first;
        for attempt in 0..20 {
            let next = reconnect.after_failure("refused", false);
            assert_eq!(next.is_logged, attempt == 0);
            assert!(
                next.wait >= longest / 2 && next.wait <= longest,
                "{:?} of {longest:?}",
                next.wait
            );
            longest = (longest * 2).min(DELAYS.most);
        }
        assert!(reconnect.after_failure("timed out", false).is_logged, "that is news");
        assert!(reconnect.after_failure("refused", false).is_logged);
    }

    #[test]
    fn what_only_an_operator_can_fix_is_tried_once_a_minute() {
        let mut reconnect = Reconnect::new(DELAYS);
        for _ in 0..3 {
            let next = reconnect.after_failure("wrong password", true);
            assert_eq!(next.wait, Duration::from_secs(60));
        }
        assert!(reconnect.after_failure("refused", false).wait <= Duration::from_millis(200));
    }

    #[test]
    fn only_a_connection_that_lasted_starts_the_delays_anew() {
        let mut reconnect = Reconnect::new(DELAYS);
        for attempt in 0..10 {
            let next = reconnect.after_lost("closed", Duration::from_millis(5));
            assert_eq!(next.is_logged, attempt == 0);
        }
        assert!(reconnect.after_lost("closed", Duration::ZERO).wait >= DELAYS.most / 2);
        let next = reconnect.after_lost("closed", DELAYS.most + Duration::from_millis(1));
        assert!(next.is_logged && next.wait <= DELAYS.first);
    }
}
