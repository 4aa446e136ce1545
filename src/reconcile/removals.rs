//! Which gateways a switch lost within the window, with nobody's approval. Pure: the clock is passed in.
//!
//! A gateway counts once, however often it goes, and until the window has moved on, even when it is back. But one that was only left out of
//! what is served for a moment, as by a program that writes a domain anew, and is back before anybody was given that, was never lost.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tokio::time::Instant;

use crate::gateway::GatewayName;

/// Times that differ by less are one: what comes back from Redis is off by the way there.
const SAME: Duration = Duration::from_secs(1);

#[derive(Debug, Clone)]
pub struct Removals {
    window: Duration,
    gone: BTreeMap<GatewayName, Gone>,
}

#[derive(Debug, Clone, Copy)]
struct Gone {
    at: Instant,
    /// It was killed, or a switch was given what it is not in.
    is_lost: bool,
    /// Other trunkd can know of it.
    is_shared: bool,
}

impl Removals {
    pub fn new(window: Duration) -> Self {
        Self {
            window,
            gone: BTreeMap::new(),
        }
    }

    /// These are no longer served.
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

    /// A switch is given what is served: what is left out of that is lost now.
    pub fn give(&mut self, now: Instant) {
        for gone in self.gone.values_mut().filter(|gone| !gone.is_lost) {
            gone.at = now;
            gone.is_lost = true;
        }
    }

    /// This one went then, and all trunkd can know it.
    pub fn lose(&mut self, gateway: GatewayName, at: Instant) {
        let before = self.gone.get(&gateway).map_or(at, |gone| gone.at);
        let gone = Gone {
            at: before.max(at),
            is_lost: true,
            // Unless it went again since that was written down.
            is_shared: before <= at + SAME,
        };
        self.gone.insert(gateway, gone);
    }

    /// All trunkd know of these and no others: Redis may have lost what was shared.
    pub fn share_again(&mut self, known: &BTreeSet<GatewayName>) {
        for (gateway, gone) in &mut self.gone {
            gone.is_shared &= known.contains(gateway);
        }
    }

    /// What was left out for so long is lost, whether anybody was given that or not.
    pub fn confirm(&mut self, after: Duration, now: Instant) {
        for gone in self.gone.values_mut() {
            gone.is_lost |= now.saturating_duration_since(gone.at) >= after;
        }
    }

    /// What is lost, and no other trunkd can know of yet; and for how long.
    pub fn unshared(&self, now: Instant) -> impl Iterator<Item = (&GatewayName, Duration)> {
        let unshared = self.gone.iter().filter(|(_, gone)| gone.is_lost && !gone.is_shared);
        unshared.map(move |(gateway, gone)| (gateway, now.saturating_duration_since(gone.at)))
    }

    /// What is served again counts only if it was lost.
    pub fn take_back(&mut self, is_served: impl Fn(&GatewayName) -> bool) {
        self.gone.retain(|gateway, gone| gone.is_lost || !is_served(gateway));
    }

    /// Forgets what went before the window.
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

    /// When the next one is forgotten.
    pub fn next_end(&self) -> Option<Instant> {
        self.gone.values().map(|gone| gone.at + self.window).min()
    }
}

#[cfg(test)]
mod tests;
