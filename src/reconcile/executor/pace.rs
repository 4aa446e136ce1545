//! Limits how many registrations start per second.

use std::time::Duration;

use tokio::time::{Instant, sleep};

/// A token bucket: one second's worth of registrations may start together.
pub(super) struct Pace {
    per_second: u32,
    left: f64,
    at: Instant,
}

impl Pace {
    pub(super) fn new(per_second: u32) -> Self {
        let per_second = per_second.max(1);
        Self {
            per_second,
            left: f64::from(per_second),
            at: Instant::now(),
        }
    }

    /// How many registrations may start together.
    pub(super) fn burst(&self) -> usize {
        usize::try_from(self.per_second).unwrap_or(usize::MAX)
    }

    /// How many may start now.
    pub(super) fn available(&mut self) -> usize {
        self.refill();
        #[allow(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "at most `per_second`"
        )]
        let available = self.left.max(0.0) as usize;
        available
    }

    pub(super) async fn take(&mut self, count: usize) {
        self.refill();
        let rate = f64::from(self.per_second);
        #[allow(clippy::cast_precision_loss, reason = "a batch is small")]
        let count = count as f64;
        self.left -= count;
        if self.left < 0.0 {
            sleep(Duration::from_secs_f64(-self.left / rate)).await;
        }
    }

    fn refill(&mut self) {
        let now = Instant::now();
        let rate = f64::from(self.per_second);
        self.left = (self.left + now.duration_since(self.at).as_secs_f64() * rate).min(rate);
        self.at = now;
    }
}

#[cfg(test)]
mod tests;
