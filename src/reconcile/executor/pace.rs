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

    pub(super) async fn take(&mut self, count: usize) {
        let now = Instant::now();
        let rate = f64::from(self.per_second);
        self.left = (self.left + now.duration_since(self.at).as_secs_f64() * rate).min(rate);
        self.at = now;
        #[allow(clippy::cast_precision_loss, reason = "a batch is small")]
        let count = count as f64;
        self.left -= count;
        if self.left < 0.0 {
            sleep(Duration::from_secs_f64(-self.left / rate)).await;
        }
    }
}

#[cfg(test)]
mod tests;
