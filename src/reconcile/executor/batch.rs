//! How many gateways a switch is given in one answer to `startgw _all_`. Pure: the time is passed in.

use std::time::Duration;

/// Such an answer stays below 1 MiB, which every FreeSWITCH reads (FACTS 5).
const FIRST: usize = 500;
/// Fewer are not worth a reload of FreeSWITCH's whole configuration.
const LEAST: usize = 50;
/// FreeSWITCH parses in time that grows with the square of the gateways (FACTS 52).
const MOST: usize = 4000;

/// Grows while the switch takes batches fast, and shrinks when it takes them slowly.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct BatchSize {
    size: usize,
    /// More were too many for one answer.
    most: usize,
}

impl Default for BatchSize {
    fn default() -> Self {
        Self {
            size: FIRST,
            most: MOST,
        }
    }
}

impl BatchSize {
    pub(super) fn get(self) -> usize {
        self.size
    }

    /// The switch took this long for a batch, and may take `limit`.
    pub(super) fn learn(&mut self, gateways: usize, took: Duration, limit: Duration) {
        if took > limit {
            self.size = (self.size / 2).max(LEAST);
        } else if gateways >= self.size && took < limit / 2 {
            self.size = (self.size * 2).min(self.most);
        }
    }

    /// The switch was given a batch, and none of it runs. Whether it may have been too large an answer, which
    /// FreeSWITCH throws away unless its `response-max-bytes` allows it (FACTS 5): then less is tried.
    pub(super) fn was_too_large(&mut self, gateways: usize) -> bool {
        let was_too_large = gateways > FIRST;
        if was_too_large {
            self.most = (gateways / 2).max(FIRST);
            self.size = self.most;
        }
        was_too_large
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_millis(500);

    fn grown() -> BatchSize {
        let mut size = BatchSize::default();
        for _ in 0..10 {
            size.learn(size.get(), Duration::ZERO, LIMIT);
        }
        size
    }

    #[test]
    fn batches_grow_while_the_switch_is_fast_and_never_beyond_the_most() {
        let mut size = BatchSize::default();
        assert_eq!(size.get(), FIRST);
        size.learn(FIRST, LIMIT / 2 - Duration::from_millis(1), LIMIT);
        assert_eq!(size.get(), 2 * FIRST);
        size.learn(FIRST, Duration::ZERO, LIMIT);
        assert_eq!(size.get(), 2 * FIRST, "a small batch says nothing about a large one");
        size.learn(2 * FIRST, LIMIT, LIMIT);
        assert_eq!(size.get(), 2 * FIRST, "neither fast nor slow");
        assert_eq!(grown().get(), MOST);
    }

    #[test]
    fn batches_shrink_while_the_switch_is_slow_and_grow_again() {
        let mut size = grown();
        size.learn(1, LIMIT + Duration::from_millis(1), LIMIT);
        assert_eq!(size.get(), MOST / 2);
        for _ in 0..10 {
            size.learn(size.get(), 2 * LIMIT, LIMIT);
        }
        assert_eq!(size.get(), LEAST);
        size.learn(LEAST, Duration::ZERO, LIMIT);
        assert_eq!(size.get(), 2 * LEAST);
    }

    #[test]
    fn an_answer_that_was_thrown_away_is_not_tried_again() {
        let mut size = grown();
        assert!(size.was_too_large(MOST));
        size.learn(MOST / 2, Duration::ZERO, LIMIT);
        assert_eq!(size.get(), MOST / 2);
        assert!(size.was_too_large(FIRST + 1));
        assert_eq!(size.get(), FIRST);
        assert!(!size.was_too_large(FIRST), "these are refused one by one");
    }
}
