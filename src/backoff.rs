//! The delay between retries: exponential, with jitter and a maximum.

use std::time::Duration;

use rand::RngExt;

/// Delays that double from `first` to `most`. Each is shortened by up to half at random, so that a
/// fleet of clients does not retry in step.
#[derive(Debug, Clone)]
pub struct Backoff {
    first: Duration,
    most: Duration,
    next: Duration,
}

impl Backoff {
    pub fn new(first: Duration, most: Duration) -> Self {
        Self {
            first,
            most,
            next: first,
        }
    }

    /// The delay before the next retry.
    pub fn delay(&mut self) -> Duration {
        let full = self.next;
        self.next = (full * 2).min(self.most);
        full.mul_f64(rand::rng().random_range(0.5..=1.0))
    }

    /// After a success: start again from `first`.
    pub fn reset(&mut self) {
        self.next = self.first;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_up_to_the_most_and_start_again_after_a_success() {
        let (first, most) = (Duration::from_millis(200), Duration::from_secs(10));
        let mut backoff = Backoff::new(first, most);
        let mut full = first;
        for _ in 0..20 {
            let delay = backoff.delay();
            assert!(delay >= full / 2 && delay <= full, "{delay:?} of {full:?}");
            full = (full * 2).min(most);
        }
        assert_eq!(full, most);
        backoff.reset();
        assert!(backoff.delay() <= first);
    }
}
