//! The REGISTERs that trunkd causes at one carrier from one switch.
//!
//! FreeSWITCH sends them when its worker runs, at most once a second (FACTS 24), so a start is *pending*
//! first. What a switch sends within any second is then no more than the larger of what it sent within
//! the last one and what is pending. The sum of that over all switches is what a carrier's pace limits.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

use crate::gateway::GatewayName;
use crate::registration::State;

/// What a pace is counted over.
const WINDOW: Duration = Duration::from_secs(1);
/// A restart takes four seconds. A start that is not seen to register within this time was refused, or
/// its events were lost.
const SOON: Duration = Duration::from_secs(10);
/// FreeSWITCH gives up on an answer after 32 s, the SIP stack's timer F, or its `timeout-seconds`.
const ANSWERED_BY: Duration = Duration::from_secs(64);

/// What is known of a gateway's registration on the switch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attempt {
    /// Its successor has another one.
    pub instance: u64,
    /// When its state was entered.
    pub since: Timestamp,
    pub progress: Progress,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// It was unregistered on request, or never registers.
    Stopped,
    NotSent,
    Unanswered,
    Answered,
}

impl From<Option<&State>> for Progress {
    fn from(state: Option<&State>) -> Self {
        match state {
            Some(State::Unregister | State::Down | State::Noreg) => Self::Stopped,
            None | Some(State::Unreged) => Self::NotSent,
            Some(State::Trying) => Self::Unanswered,
            Some(_) => Self::Answered,
        }
    }
}

/// Which REGISTER follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expected {
    /// The first one of a gateway that is started.
    OfNewInstance,
    /// The next one of a gateway that runs.
    OfSameInstance,
}

/// The REGISTERs of one switch at one carrier.
#[derive(Debug, Default)]
pub struct Load(BTreeMap<GatewayName, Caused>);

#[derive(Debug)]
struct Caused {
    at: Instant,
    before: Option<Attempt>,
    expected: Expected,
    sent: Option<Instant>,
    /// Others that were pending at the same time were seen to be sent: this one was probably sent with
    /// them, and its event is under way.
    perhaps_sent: Option<Instant>,
    is_answered: bool,
}

/// How much of a carrier's pace is in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Usage {
    /// Sent within the last second.
    pub recent: usize,
    /// Not sent yet.
    pub pending: usize,
    /// Not sent or not answered yet.
    pub in_flight: usize,
}

impl Load {
    /// A REGISTER of this gateway may follow from now on.
    pub fn add(&mut self, gateway: GatewayName, before: Option<Attempt>, expected: Expected, now: Instant) {
        let caused = Caused {
            at: now,
            before,
            expected,
            sent: None,
            perhaps_sent: None,
            is_answered: false,
        };
        self.0.insert(gateway, caused);
    }

    /// Another trunkd may have caused the REGISTER of this gateway. `clock` is the wall clock that `since` is compared with.
    pub fn take_over(&mut self, gateway: GatewayName, seen: Attempt, now: Instant, clock: Timestamp) {
        // If the switch's clock is ahead, `since` is in the future.
        let is_over = Duration::try_from(clock.duration_since(seen.since)).is_ok_and(|age| age >= WINDOW);
        let sent = match seen.progress {
            Progress::NotSent => None,
            Progress::Unanswered => Some(now),
            Progress::Answered if !is_over => Some(now),
            Progress::Answered | Progress::Stopped => return,
        };
        let caused = Caused {
            at: now,
            before: Some(seen),
            expected: Expected::OfSameInstance,
            sent,
            perhaps_sent: None,
            is_answered: seen.progress == Progress::Answered,
        };
        self.0.insert(gateway, caused);
    }

    /// The switch was not asked to register this gateway after all.
    pub fn withdraw(&mut self, gateway: &GatewayName) {
        if self.0.get(gateway).is_some_and(|caused| caused.sent.is_none()) {
            self.0.remove(gateway);
        }
    }

    /// Takes what the switch says now.
    pub fn observe(&mut self, seen: impl Fn(&GatewayName) -> Option<Attempt>, now: Instant) {
        let mut is_any_sent = false;
        for (gateway, caused) in &mut self.0 {
            let seen = seen(gateway);
            if caused.sent.is_none() && caused.is_sent(seen) {
                caused.sent = Some(now);
                is_any_sent = true;
            }
            caused.is_answered |=
                caused.sent.is_some() && seen.is_none_or(|seen| seen.progress != Progress::Unanswered);
        }
        self.0.retain(|_, caused| !caused.is_over(now));
        for caused in self
            .0
            .values_mut()
            .filter(|caused| is_any_sent && caused.sent.is_none())
        {
            caused.perhaps_sent = Some(now);
        }
    }

    pub fn usage(&self, now: Instant) -> Usage {
        let count = |wanted: &dyn Fn(&Caused) -> bool| self.0.values().filter(|caused| wanted(caused)).count();
        Usage {
            recent: count(&|caused| {
                let sent = caused.sent.or(caused.perhaps_sent);
                sent.is_some_and(|sent| now.duration_since(sent) < WINDOW)
            }),
            pending: count(&|caused| caused.sent.is_none()),
            in_flight: count(&|caused| !caused.is_answered),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Caused {
    fn is_sent(&self, seen: Option<Attempt>) -> bool {
        let is_on_its_way = |seen: &Attempt| matches!(seen.progress, Progress::Unanswered | Progress::Answered);
        let Some(seen) = seen.filter(is_on_its_way) else {
            return false;
        };
        let before = self.before;
        match self.expected {
            Expected::OfNewInstance => before.is_none_or(|before| before.instance != seen.instance),
            Expected::OfSameInstance => before != Some(seen),
        }
    }

    fn is_over(&self, now: Instant) -> bool {
        match self.sent {
            None => now.duration_since(self.at) >= SOON,
            Some(sent) => {
                let lasts = if self.is_answered { WINDOW } else { ANSWERED_BY };
                now.duration_since(sent) >= lasts
            }
        }
    }
}

#[cfg(test)]
mod tests;
