//! The calls on one switch, by gateway. Pure: the time is passed in.

use std::collections::HashMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::cause::Cause;
use super::window::{Call, Figures, Outcome, Span, Window};
use crate::event_socket::{Direction, Hangup};

/// Entries of all windows together, 16 bytes each. 14,000 gateways that are never idle take them all.
const MAX_ENTRIES: usize = 8 * 1024 * 1024;

/// What was counted on one switch.
#[derive(Debug, Default)]
pub(super) struct SwitchCalls {
    gateways: HashMap<Box<str>, GatewayCalls>,
    /// In all windows of all gateways.
    entries: usize,
    pub(super) since: Since,
    /// Gateways that had no call for a day, and are still saved.
    forgotten: Vec<Box<str>>,
}

/// What the figures go back to. Calls that ended while nobody listened are in none of them (FACTS 33).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Since {
    /// When counting began. `None`: not yet.
    pub counted: Option<Timestamp>,
    /// Since when no call was missed. `None` while the switch isn't connected.
    pub complete: Option<Timestamp>,
    /// When they were read, if that isn't now.
    pub as_of: Option<Timestamp>,
}

/// What was counted of one gateway on one switch.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct GatewayCalls {
    /// As [`Span::ALL`].
    pub(super) windows: [Window; Span::ALL.len()],
    pub(super) last_failure: Option<Failure>,
    /// Whether Redis has it so.
    is_saved: bool,
}

/// A call that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    pub at: Timestamp,
    pub direction: Direction,
    pub cause: Cause,
    pub sip_status: Option<u16>,
}

impl Since {
    pub(super) fn connected(&mut self, now: Timestamp) {
        self.counted.get_or_insert(now);
        self.complete = Some(now);
    }

    pub(super) fn disconnected(&mut self) {
        self.complete = None;
        self.as_of = None;
    }
}

impl SwitchCalls {
    /// Counts a call that ends now. Returns whether there was room for it.
    pub(super) fn add(&mut self, hangup: &Hangup, now: u64) -> bool {
        if self.entries >= MAX_ENTRIES {
            return false;
        }
        if !self.has(&hangup.gateway) {
            self.gateways
                .insert(hangup.gateway.as_str().into(), GatewayCalls::default());
        }
        let Some(gateway) = self.gateways.get_mut(hangup.gateway.as_str()) else {
            return false;
        };
        self.entries -= gateway.len();
        gateway.add(hangup, now);
        self.entries += gateway.len();
        true
    }

    /// Whether calls of this gateway were counted within the last day.
    pub(super) fn has(&self, gateway: &str) -> bool {
        self.gateways.contains_key(gateway)
    }

    pub(super) fn get(&self, gateway: &str) -> Option<&GatewayCalls> {
        self.gateways.get(gateway)
    }

    /// Drops what is older than a day, and gateways that had no call since.
    pub(super) fn forget_old(&mut self, now: u64) {
        let forgotten = &mut self.forgotten;
        self.gateways.retain(|name, gateway| {
            gateway.windows.iter_mut().for_each(|window| window.forget_old(now));
            if gateway.len() == 0 {
                forgotten.push(name.clone());
            }
            gateway.len() > 0
        });
        self.entries = self.gateways.values().map(GatewayCalls::len).sum();
    }

    /// Puts back what was saved before this trunkd started, or for a command.
    pub(super) fn restore(&mut self, gateway: &str, calls: GatewayCalls, since: Since) {
        let earliest = self.since.counted.into_iter().chain(since.counted).min();
        self.since = Since {
            counted: earliest,
            ..since
        };
        if calls.len() > 0 && self.entries < MAX_ENTRIES {
            self.entries += calls.len();
            if let Some(before) = self.gateways.insert(gateway.into(), calls) {
                self.entries -= before.len();
            }
        }
    }

    /// Gateways whose calls Redis doesn't have so, `limit` at most. They count as saved from now on.
    pub(super) fn take_unsaved(&mut self, limit: usize) -> Vec<(Box<str>, GatewayCalls)> {
        let unsaved = self.gateways.iter_mut().filter(|(_, gateway)| !gateway.is_saved);
        let taken = unsaved.take(limit).map(|(name, gateway)| {
            gateway.is_saved = true;
            (name.clone(), gateway.clone())
        });
        taken.collect()
    }

    /// Gateways whose calls Redis still has, `limit` at most.
    pub(super) fn take_forgotten(&mut self, limit: usize) -> Vec<Box<str>> {
        // One that had a call since is written instead.
        self.forgotten.retain(|name| !self.gateways.contains_key(name));
        let from = self.forgotten.len().saturating_sub(limit);
        self.forgotten.split_off(from)
    }

    /// What was taken to be written, and was not.
    pub(super) fn give_back<'a>(&mut self, unsaved: impl Iterator<Item = &'a str>, forgotten: Vec<Box<str>>) {
        for name in unsaved {
            if let Some(gateway) = self.gateways.get_mut(name) {
                gateway.is_saved = false;
            }
        }
        self.forgotten.extend(forgotten);
    }

    /// Another trunkd saves.
    pub(super) fn clear_forgotten(&mut self) {
        self.forgotten.clear();
    }
}

impl Default for GatewayCalls {
    fn default() -> Self {
        Self {
            windows: Span::ALL.map(Window::new),
            last_failure: None,
            is_saved: false,
        }
    }
}

impl GatewayCalls {
    pub(super) fn restored(windows: [Window; Span::ALL.len()], last_failure: Option<Failure>) -> Self {
        Self {
            windows,
            last_failure,
            is_saved: true,
        }
    }

    fn add(&mut self, hangup: &Hangup, now: u64) {
        self.is_saved = false;
        let outcome = match hangup.answered_seconds {
            Some(seconds) => Outcome::Answered { seconds },
            None => Outcome::Failed(Cause::from(&*hangup.cause)),
        };
        let direction = hangup.direction;
        let call = Call { direction, outcome };
        self.windows.iter_mut().for_each(|window| window.add(&call, now));
        if let Outcome::Failed(cause) = outcome {
            self.last_failure = Some(Failure {
                at: hangup.at,
                direction,
                cause,
                sip_status: hangup.sip_status,
            });
        }
    }

    /// As [`Span::ALL`].
    pub(super) fn figures(&self, now: u64) -> [Figures; Span::ALL.len()] {
        self.windows.each_ref().map(|window| window.figures(now))
    }

    fn len(&self) -> usize {
        self.windows.iter().map(Window::len).sum()
    }
}

#[cfg(test)]
mod tests;
