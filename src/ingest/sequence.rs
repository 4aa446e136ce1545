//! Which `Event-Sequence` is plausible. Pure.
//!
//! FreeSWITCH numbers all its events, so the ones that we receive have gaps, and its dispatch
//! threads may reorder them (FACTS 32). But there is a limit to how far it gets between two
//! heartbeats, and to how late an event can be. A sequence beyond that is odd: if it were believed,
//! every later event would count as old. So its event is ignored, and a snapshot gets the state.
//! When several odd sequences in a row are consistent, they are right, and the ones before were
//! wrong.

/// A switch that fires 50,000 events a second gets so far between two heartbeats (20 s).
const MAX_LEAP: u64 = 1_000_000;
/// How many events FreeSWITCH keeps for a slow listener (FACTS 33).
const MAX_LATE: u64 = 100_000;
/// So many consecutive odd ones are believed.
const WITNESSES: u32 = 3;

/// The sequences of one connection.
#[derive(Debug, Default)]
pub(super) struct Sequences {
    /// The highest believed one.
    newest: Option<u64>,
    /// The last odd one, and how many in a row were consistent up to it.
    odd: Option<(u64, u32)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    Believed,
    Odd,
    /// This one is believed, and those before it were wrong.
    Reset,
}

impl Sequences {
    /// The highest believed one, 0 before the first.
    pub(super) fn newest(&self) -> u64 {
        self.newest.unwrap_or_default()
    }

    pub(super) fn judge(&mut self, sequence: u64) -> Verdict {
        if self.newest.is_none_or(|newest| follows(newest, sequence)) {
            self.newest = self.newest.max(Some(sequence));
            self.odd = None;
            return Verdict::Believed;
        }
        let agreeing = match self.odd {
            // The same event twice is one witness.
            Some((last, agreeing)) if last == sequence => agreeing,
            Some((last, agreeing)) if follows(last, sequence) => agreeing + 1,
            _ => 1,
        };
        if agreeing < WITNESSES {
            self.odd = Some((sequence, agreeing));
            return Verdict::Odd;
        }
        *self = Self {
            newest: Some(sequence),
            odd: None,
        };
        Verdict::Reset
    }
}

fn follows(newest: u64, sequence: u64) -> bool {
    (newest.saturating_sub(MAX_LATE)..=newest.saturating_add(MAX_LEAP)).contains(&sequence)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdicts(sequences: &[u64]) -> Vec<Verdict> {
        let mut of = Sequences::default();
        sequences.iter().map(|sequence| of.judge(*sequence)).collect()
    }

    #[test]
    fn gaps_and_late_ones_are_believed() {
        let heard = [500_000, 500_007, 500_003, 1_400_000, 1_350_000, 1_400_001];
        assert!(verdicts(&heard).iter().all(|verdict| *verdict == Verdict::Believed));
    }

    #[test]
    fn odd_ones_among_others_change_nothing() {
        let heard = [1000, 1 << 50, 1001, 1 << 51, 1 << 52, 1002, (1 << 53) - 1, 5, 1003];
        let mut of = Sequences::default();
        for sequence in heard {
            let is_odd = of.judge(sequence) == Verdict::Odd;
            assert_eq!(is_odd, sequence > 2000, "{sequence}");
        }
        assert_eq!(of.newest(), 1003);
    }

    #[test]
    fn several_that_agree_are_right_whether_they_are_higher_or_lower() {
        use Verdict::{Believed, Odd, Reset};
        let (low, high) = (10, 1 << 40);
        assert_eq!(
            verdicts(&[low, high, high + 5, high + 9, high + 10]),
            [Believed, Odd, Odd, Reset, Believed]
        );
        // The first that is heard may be the odd one.
        assert_eq!(
            verdicts(&[high, low, low + 1, low + 2, low + 3]),
            [Believed, Odd, Odd, Reset, Believed]
        );
    }
}
