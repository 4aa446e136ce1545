//! Which gateways a rescan is for. FreeSWITCH's `rescan` only adds: under a lock it parses every
//! gateway in the answer, in time that grows with the square of their number, and skips those that
//! already run (FACTS 52, 53).
//!
//! The running gateways are queried when needed, not cached, so an answer is as fresh as the last
//! event.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::all_cores::on_all_cores;
use crate::gateway::{Desired, Gateway, GatewayName};
use crate::gateway::{RevisionKey, revision};

/// A switch whose event socket could be reached within this time can be reached again when it starts.
const RECENTLY: Duration = Duration::from_secs(24 * 60 * 60);

/// A switch that can report what it runs.
pub trait RunningSource: Send + Sync {
    /// The live gateways that are not being deleted, with their revisions. `None` while they are
    /// unknown for the FreeSWITCH run with this Core-UUID.
    fn revisions(&self, core_uuid: &str) -> Option<HashMap<Arc<str>, String>>;
    /// The gateways that could carry calls when the switch was last heard of.
    fn usable(&self) -> HashSet<Arc<str>>;
    /// It asks for the configuration of a profile that starts.
    fn starts(&self);
}

/// What the switches in the settings run. Shared in an `Arc`.
#[derive(Default)]
pub struct Running {
    switches: Mutex<BTreeMap<String, Known>>,
}

#[derive(Clone)]
struct Known {
    switch: Arc<dyn RunningSource>,
    /// Whether trunkd starts missing gateways there on its own.
    is_kept_complete: bool,
    /// When that was last so.
    kept_at: Option<Instant>,
    /// What is parked there.
    parked: Arc<BTreeSet<GatewayName>>,
}

/// The source of a rescan request, and its profile.
#[derive(Debug, Clone, Copy)]
pub struct Rescan<'a> {
    pub switch: &'a str,
    /// The Core-UUID of the FreeSWITCH run that asks, if the request has it.
    pub core_uuid: Option<&'a str>,
    pub profile: &'a str,
}

impl Running {
    /// Adds a switch from the settings.
    pub fn add(&self, name: &str, switch: Arc<dyn RunningSource>) {
        let known = Known {
            switch,
            is_kept_complete: false,
            kept_at: None,
            parked: Arc::default(),
        };
        self.lock().insert(name.to_owned(), known);
    }

    /// Sets whether trunkd starts missing gateways on a switch on its own. The event for a gateway
    /// that was killed by hand arrives a second or two late. Where nothing else would start that
    /// gateway, a rescan must always include it.
    pub fn is_kept_complete(&self, name: &str, is_kept_complete: bool) {
        if let Some(known) = self.lock().get_mut(name) {
            known.is_kept_complete = is_kept_complete;
            known.kept_at = is_kept_complete.then(Instant::now);
        }
    }

    /// Sets what is parked on a switch: FreeSWITCH is not given it.
    pub fn set_parked(&self, name: &str, parked: BTreeSet<GatewayName>) {
        if let Some(known) = self.lock().get_mut(name) {
            known.parked = Arc::new(parked);
        }
    }

    /// What is parked on a switch.
    pub fn parked(&self, name: &str) -> Arc<BTreeSet<GatewayName>> {
        self.lock()
            .get(name)
            .map(|known| known.parked.clone())
            .unwrap_or_default()
    }

    /// The gateways wanted on the switch that it does not run in this version and profile. `None`
    /// when that is unknown or nothing may be left out: then all of them are needed.
    pub fn missing(&self, asks: Rescan<'_>, desired: &Desired, key: &RevisionKey) -> Option<BTreeSet<GatewayName>> {
        let known = self.lock().get(asks.switch).cloned();
        let known = known.filter(|known| known.is_kept_complete)?;
        let runs = known.switch.revisions(asks.core_uuid?)?;
        let gateways = desired.served().values().map(|entry| &entry.gateway);
        let wanted: Vec<_> = gateways
            .filter(|gateway| gateway.profile.as_str().eq_ignore_ascii_case(asks.profile))
            .filter(|gateway| gateway.serves(Some(asks.switch)))
            .collect();
        let mut missing = missing(&wanted, key, &runs);
        missing.retain(|name| !known.parked.contains(name));
        (missing.len() < wanted.len()).then_some(missing)
    }

    /// The switch asks for the configuration of a profile that starts.
    pub fn starts(&self, switch: &str) {
        let known = self.lock().get(switch).cloned();
        if let Some(known) = known {
            known.switch.starts();
        }
    }

    /// The gateways that could carry calls before the switch stopped, if this trunkd will start on its
    /// own what the switch is not given now. It can if it could recently.
    pub fn before_boot(&self, switch: &str) -> Option<HashSet<Arc<str>>> {
        let known = self.lock().get(switch).cloned()?;
        known.kept_at.filter(|at| at.elapsed() < RECENTLY)?;
        Some(known.switch.usable())
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Known>> {
        // Each entry is replaced whole.
        self.switches.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn missing(wanted: &[&Gateway], key: &RevisionKey, runs: &HashMap<Arc<str>, String>) -> BTreeSet<GatewayName> {
    let parts = on_all_cores(wanted, |part| {
        let missing = part.iter().filter(|gateway| {
            runs.get(gateway.name.as_str())
                .is_none_or(|runs| *runs != revision(gateway, key))
        });
        missing.map(|gateway| gateway.name.clone()).collect::<Vec<_>>()
    });
    parts.into_iter().flatten().collect()
}

#[cfg(test)]
mod tests;
