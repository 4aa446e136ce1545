//! Who holds a lease, by the monotonic clock of one trunkd. Takes times as arguments.

use tokio::time::{Duration, Instant};

#[derive(Default)]
pub(super) struct LeaseClock {
    /// We hold it until then, unless we renew it.
    until: Option<Instant>,
    /// Counts how often we got it.
    term: u64,
    /// The other holder, and until when that is known to be true.
    other: Option<(String, Instant)>,
}

/// A period in which we held the lease without a break.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Term(u64);

/// What Redis answered.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found {
    Ours,
    /// The holder, and the time left without a renewal.
    Others(String, Duration),
    Nobodys,
}

impl LeaseClock {
    /// The current term, if we hold the lease.
    pub(super) fn term(&self, now: Instant) -> Option<Term> {
        self.until.filter(|until| now < *until).map(|_| Term(self.term))
    }

    pub(super) fn other(&self) -> Option<&str> {
        self.other.as_ref().map(|(other, _)| other.as_str())
    }

    /// Whether a lease that nobody holds may be taken. If the key vanished before its holder's time,
    /// Redis lost it, and the holder may not know yet.
    pub(super) fn may_take(&self, now: Instant) -> bool {
        self.other.as_ref().is_none_or(|(_, until)| now >= *until)
    }

    /// Records an answer of Redis to a question of `asked`, and returns whether the holder changed.
    /// `margin` is the time between two renewals.
    pub(super) fn record(&mut self, found: Found, asked: Instant, length: Duration, margin: Duration) -> bool {
        let was_ours = self.until.is_some_and(|until| asked < until);
        let other_before = self.other.take();
        match found {
            Found::Ours => {
                if !was_ours {
                    self.term += 1;
                }
                // From before we asked: no later than Redis counts.
                self.until = Some(asked + length);
                !was_ours
            }
            Found::Others(other, left) => {
                self.until = None;
                // It may have been renewed after the previous check, and lost since.
                let until = asked + left.min(length) + margin;
                let is_known = other_before.is_some_and(|(before, _)| before == other);
                self.other = Some((other, until));
                was_ours || !is_known
            }
            // Not ours yet, or a third trunkd took it in between.
            Found::Nobodys => {
                self.until = None;
                self.other = other_before;
                was_ours
            }
        }
    }

    /// Gives the lease up, and returns whether we held it.
    pub(super) fn release(&mut self) -> bool {
        self.until.take().is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LENGTH: Duration = Duration::from_secs(5);
    const MARGIN: Duration = Duration::from_secs(1);

    fn others(left: u64) -> Found {
        Found::Others("other".to_owned(), Duration::from_secs(left))
    }

    #[test]
    fn a_holder_stops_by_its_own_clock_counted_from_before_it_asked() {
        let (mut clock, asked) = (LeaseClock::default(), Instant::now());
        assert!(clock.record(Found::Ours, asked, LENGTH, MARGIN), "a change of holder");
        let term = clock.term(asked).unwrap();
        assert_eq!(clock.term(asked + LENGTH - MARGIN), Some(term));
        assert_eq!(clock.term(asked + LENGTH), None, "no renewal arrived");
        // A renewal in time goes on with the same term; one that comes too late begins another.
        assert!(!clock.record(Found::Ours, asked + MARGIN, LENGTH, MARGIN));
        assert_eq!(clock.term(asked + LENGTH), Some(term));
        assert!(clock.record(Found::Ours, asked + LENGTH * 2, LENGTH, MARGIN));
        assert_ne!(clock.term(asked + LENGTH * 2), Some(term));
    }

    #[test]
    fn a_lease_that_vanished_is_taken_only_after_its_holder_must_know() {
        let (mut clock, asked) = (LeaseClock::default(), Instant::now());
        assert!(clock.may_take(asked), "nobody is known to hold it");
        assert!(clock.record(others(3), asked, LENGTH, MARGIN));
        assert_eq!(clock.other(), Some("other"));
        let left = Duration::from_secs(3) + MARGIN;
        clock.record(Found::Nobodys, asked + MARGIN, LENGTH, MARGIN);
        assert!(!clock.may_take(asked + left - Duration::from_millis(1)));
        assert!(clock.may_take(asked + left));
    }

    #[test]
    fn a_lease_set_by_hand_for_hours_is_waited_for_no_longer_than_any_other() {
        let (mut clock, asked) = (LeaseClock::default(), Instant::now());
        clock.record(others(3600), asked, LENGTH, MARGIN);
        assert!(clock.may_take(asked + LENGTH + MARGIN));
    }

    #[test]
    fn a_lost_or_released_lease_ends_the_term_immediately() {
        let (mut clock, asked) = (LeaseClock::default(), Instant::now());
        clock.record(Found::Ours, asked, LENGTH, MARGIN);
        assert!(clock.record(others(5), asked + MARGIN, LENGTH, MARGIN));
        assert_eq!(clock.term(asked + MARGIN), None);
        assert!(
            !clock.record(others(5), asked + MARGIN, LENGTH, MARGIN),
            "the same holder"
        );
        clock.record(Found::Ours, asked + LENGTH * 2, LENGTH, MARGIN);
        assert!(clock.release() && !clock.release());
        assert_eq!(clock.term(asked + LENGTH * 2), None);
    }
}
