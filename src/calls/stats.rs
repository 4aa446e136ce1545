//! Sums over switches and gateways. Pure.

use super::switch::{Failure, GatewayCalls, Since};
use super::window::{Figures, Span};

/// Calls of one gateway or of many, over their switches.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Stats {
    /// Of the switches together: the latest.
    pub since: Option<Since>,
    /// As [`Span::ALL`].
    windows: [Figures; Span::ALL.len()],
    /// The last call that failed, and the switch.
    pub last_failure: Option<(String, Failure)>,
}

impl Stats {
    pub fn of(&self, span: Span) -> &Figures {
        &self.windows[span as usize]
    }

    /// Adds what is known of one gateway on one switch.
    pub(super) fn add(&mut self, switch: &str, since: Since, calls: Option<&GatewayCalls>, now: u64) {
        self.since = Some(match self.since {
            None => since,
            Some(before) => before.and(since),
        });
        let Some(calls) = calls else { return };
        for (sum, figures) in self.windows.iter_mut().zip(calls.figures(now)) {
            sum.add(&figures);
        }
        if let Some(failure) = calls.last_failure
            && self.last_failure.as_ref().is_none_or(|(_, last)| last.at < failure.at)
        {
            self.last_failure = Some((switch.to_owned(), failure));
        }
    }
}

impl Since {
    /// Both together: what one of them doesn't know isn't known.
    fn and(self, other: Self) -> Self {
        let latest = |one: Option<_>, other: Option<_>| one.zip(other).map(|(one, other)| Ord::max(one, other));
        Self {
            counted: latest(self.counted, other.counted),
            complete: latest(self.complete, other.complete),
            as_of: self.as_of.into_iter().chain(other.as_of).min(),
        }
    }
}
