//! When the switch is to be asked what it has. Pure: the time is passed in.

use std::time::Duration;

use tokio::time::Instant;

/// A snapshot keeps locks that call set-up needs, so the pause is this many times as long as it took.
const QUIET_FACTOR: u32 = 10;

#[derive(Debug)]
pub(super) struct Schedule {
    snapshot_at: Instant,
    /// When the gateways that are incomplete by then are looked up by name.
    lookup_at: Option<Instant>,
    /// No snapshot before this.
    quiet_until: Instant,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Due {
    Lookup,
    Snapshot,
    /// Nothing until then.
    NotBefore(Instant),
}

impl Schedule {
    /// A snapshot is due now.
    pub(super) fn new(now: Instant) -> Self {
        Self {
            snapshot_at: now,
            lookup_at: None,
            quiet_until: now,
        }
    }

    /// What is due. A lookup that is due is taken from the schedule.
    pub(super) fn next(&mut self, now: Instant) -> Due {
        if self.lookup_at.is_some_and(|at| at <= now) {
            self.lookup_at = None;
            return Due::Lookup;
        }
        let snapshot_at = self.snapshot_at.max(self.quiet_until);
        if snapshot_at <= now {
            return Due::Snapshot;
        }
        Due::NotBefore(self.lookup_at.map_or(snapshot_at, |at| at.min(snapshot_at)))
    }

    /// Has a snapshot taken at `at`, or sooner if one is due sooner. True when this moved it.
    pub(super) fn snapshot_by(&mut self, at: Instant) -> bool {
        let is_sooner = at < self.snapshot_at;
        self.snapshot_at = self.snapshot_at.min(at);
        is_sooner
    }

    /// The same for the lookup.
    pub(super) fn lookup_by(&mut self, at: Instant) -> bool {
        let is_sooner = self.lookup_at.is_none_or(|lookup_at| at < lookup_at);
        if is_sooner {
            self.lookup_at = Some(at);
        }
        is_sooner
    }

    /// The next snapshot is due then, whatever was asked for before.
    pub(super) fn postpone_snapshot(&mut self, at: Instant) {
        self.snapshot_at = at;
    }

    /// The switch took from `began` to `ended` to answer for a snapshot. The pause after it is `max_pause` at most.
    pub(super) fn rest(&mut self, began: Instant, ended: Instant, max_pause: Duration) {
        let pause = (ended.duration_since(began) * QUIET_FACTOR).min(max_pause);
        self.quiet_until = self.quiet_until.max(began) + pause;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_snapshot_is_due_at_the_soonest_time_that_was_asked_for() {
        let start = Instant::now();
        let mut schedule = Schedule::new(start);
        assert_eq!(schedule.next(start), Due::Snapshot);
        schedule.postpone_snapshot(start + 60 * SECOND);
        assert!(schedule.snapshot_by(start + 5 * SECOND));
        assert!(!schedule.snapshot_by(start + 9 * SECOND), "one is due sooner");
        assert_eq!(schedule.next(start), Due::NotBefore(start + 5 * SECOND));
        assert_eq!(schedule.next(start + 5 * SECOND), Due::Snapshot);
    }

    #[test]
    fn a_lookup_comes_before_a_snapshot_and_is_due_once() {
        let start = Instant::now();
        let mut schedule = Schedule::new(start + 3 * SECOND);
        assert!(schedule.lookup_by(start + 2 * SECOND));
        assert!(!schedule.lookup_by(start + 4 * SECOND));
        assert_eq!(schedule.next(start), Due::NotBefore(start + 2 * SECOND));
        assert_eq!(schedule.next(start + 3 * SECOND), Due::Lookup);
        assert_eq!(schedule.next(start + 3 * SECOND), Due::Snapshot);
    }

    #[test]
    fn a_switch_is_left_alone_ten_times_as_long_as_it_took_to_answer() {
        let start = Instant::now();
        let mut schedule = Schedule::new(start);
        schedule.rest(start, start + SECOND, 60 * SECOND);
        schedule.snapshot_by(start + 2 * SECOND);
        assert_eq!(schedule.next(start + 2 * SECOND), Due::NotBefore(start + 10 * SECOND));
        schedule.lookup_by(start + 2 * SECOND);
        assert_eq!(schedule.next(start + 2 * SECOND), Due::Lookup, "it takes no such lock");
        assert_eq!(schedule.next(start + 10 * SECOND), Due::Snapshot);
        // The second list of a snapshot adds its own pause.
        schedule.rest(start + SECOND, start + 2 * SECOND, 60 * SECOND);
        assert_eq!(schedule.next(start + 19 * SECOND), Due::NotBefore(start + 20 * SECOND));
        // A very slow switch is still asked once an interval.
        let mut schedule = Schedule::new(start);
        schedule.rest(start, start + 30 * SECOND, 60 * SECOND);
        assert_eq!(schedule.next(start + 59 * SECOND), Due::NotBefore(start + 60 * SECOND));
    }
}
