//! The gateways that a switch lost within the window without approval. Pure: the clock is passed
//! in.
//!
//! A gateway counts once, however often it goes, until the window has passed, even if it is back. A
//! gateway that is only left out for a moment (a program rewrites its domain) and is back before
//! the change was given to a switch was never lost.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tokio::time::Instant;

use crate::gateway::GatewayName;

/// Times closer than this count as equal: a time read from Redis is off by the network delay.
const SAME: Duration = Duration::from_secs(1);

#[derive(Debug, Clone)]
pub struct Removals {
    window: Duration,
    gone: BTreeMap<GatewayName, Gone>,
}

#[derive(Debug, Clone, Copy)]
struct Gone {
    at: Instant,
    /// It was killed, or a switch was given a state without it.
    is_lost: bool,
    /// Other trunkd can know about it.
    is_shared: bool,
}

impl Removals {
    pub fn new(window: Duration) -> Self {
        Self {
            window,
            gone: BTreeMap::new(),
        }
    }

    /// These gateways are no longer served.
    pub fn leave_out(&mut self, gateways: impl IntoIterator<Item = GatewayName>, now: Instant) {
        for gateway in gateways {
            let gone = self.gone.entry(gateway).or_insert(Gone {
                at: now,
                is_lost: false,
                is_shared: false,
            });
            gone.at = now;
            gone.is_shared = false;
        }
    }

    /// A switch is given what is served. Every gateway left out of that counts as lost now.
    pub fn give(&mut self, now: Instant) {
        for gone in self.gone.values_mut().filter(|gone| !gone.is_lost) {
            gone.at = now;
            gone.is_lost = true;
        }
    }

    /// This gateway was lost at `at`, and all trunkd can know about it.
    pub fn lose(&mut self, gateway: GatewayName, at: Instant) {
        let before = self.gone.get(&gateway).map_or(at, |gone| gone.at);
        let gone = Gone {
            at: before.max(at),
            is_lost: true,
            // False if it was removed again after it was recorded.
            is_shared: before <= at + SAME,
        };
        self.gone.insert(gateway, gone);
    }

    /// All trunkd know about `known` and nothing else: Redis may have lost what was shared.
    pub fn share_again(&mut self, known: &BTreeSet<GatewayName>) {
        for (gateway, gone) in &mut self.gone {
            gone.is_shared &= known.contains(gateway);
        }
    }

    /// A gateway left out for this long counts as lost, whether or not a switch was given that
    /// state.
    pub fn confirm(&mut self, after: Duration, now: Instant) {
        for gone in self.gone.values_mut() {
            gone.is_lost |= now.saturating_duration_since(gone.at) >= after;
        }
    }

    /// The lost gateways that no other trunkd can know about yet, and how long ago each was lost.
    pub fn unshared(&self, now: Instant) -> impl Iterator<Item = (&GatewayName, Duration)> {
        let unshared = self.gone.iter().filter(|(_, gone)| gone.is_lost && !gone.is_shared);
        unshared.map(move |(gateway, gone)| (gateway, now.saturating_duration_since(gone.at)))
    }

    /// A gateway that is served again counts only if it was lost.
    pub fn take_back(&mut self, is_served: impl Fn(&GatewayName) -> bool) {
        self.gone.retain(|gateway, gone| gone.is_lost || !is_served(gateway));
    }

    /// Forgets removals older than the window.
    pub fn expire(&mut self, now: Instant) {
        let window = self.window;
        self.gone
            .retain(|_, gone| now.saturating_duration_since(gone.at) < window);
    }

    pub fn names(&self) -> impl Iterator<Item = &GatewayName> {
        self.gone.keys()
    }

    pub fn set(&self) -> BTreeSet<GatewayName> {
        self.gone.keys().cloned().collect()
    }

    /// When the next removal expires.
    pub fn next_end(&self) -> Option<Instant> {
        self.gone.values().map(|gone| gone.at + self.window).min()
    }
}

#[cfg(test)]
mod tests;
