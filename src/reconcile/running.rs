//! Which gateways a rescan is for. FreeSWITCH's `rescan` only adds: it parses every gateway of the answer, in a time that
//! grows with the square of their number and under a lock, and passes over all that run already (FACTS 52, 53).
//!
//! What runs is asked for when it is needed, not kept: an answer is as fresh as the last event that came.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::all_cores::on_all_cores;
use crate::gateway::{Desired, Gateway, GatewayName};
use crate::gateway::{RevisionKey, revision};

/// A switch that can tell what it runs.
pub trait RunningSource: Send + Sync {
    /// The live gateways that are not on their way out, and the revision of each. `None` while that is not known of the
    /// run of FreeSWITCH with this Core-UUID.
    fn revisions(&self, core_uuid: &str) -> Option<HashMap<Arc<str>, String>>;
}

/// What the switches in the settings run. Shared in an `Arc`.
#[derive(Default)]
pub struct Running {
    switches: Mutex<BTreeMap<String, Known>>,
}

#[derive(Clone)]
struct Known {
    switch: Arc<dyn RunningSource>,
    /// Whether trunkd starts by itself what is missing there.
    is_kept_complete: bool,
}

/// Who asks for a rescan, and for what.
#[derive(Debug, Clone, Copy)]
pub struct Rescan<'a> {
    pub switch: &'a str,
    /// Of the run of FreeSWITCH that asks, when it said so.
    pub core_uuid: Option<&'a str>,
    pub profile: &'a str,
}

impl Running {
    /// A switch of the settings.
    pub fn add(&self, name: &str, switch: Arc<dyn RunningSource>) {
        let known = Known {
            switch,
            is_kept_complete: false,
        };
        self.lock().insert(name.to_owned(), known);
    }

    /// Says whether trunkd starts by itself what is missing on a switch. An event tells of a gateway that was killed by
    /// hand only a second or two later, so where nobody else would start it a rescan gets it in any case.
    pub fn is_kept_complete(&self, name: &str, is_kept_complete: bool) {
        if let Some(known) = self.lock().get_mut(name) {
            known.is_kept_complete = is_kept_complete;
        }
    }

    /// Of the gateways that a switch is to run, those that it does not run in this version, in the profile. `None` when
    /// that is not known, or none is to be left out: all of them then.
    pub fn missing(&self, asks: Rescan<'_>, desired: &Desired, key: &RevisionKey) -> Option<BTreeSet<GatewayName>> {
        let known = self.lock().get(asks.switch).cloned();
        let known = known.filter(|known| known.is_kept_complete)?;
        let runs = known.switch.revisions(asks.core_uuid?)?;
        let gateways = desired.served().values().map(|entry| &entry.gateway);
        let wanted: Vec<_> = gateways
            .filter(|gateway| gateway.profile.as_str().eq_ignore_ascii_case(asks.profile))
            .filter(|gateway| gateway.serves(Some(asks.switch)))
            .collect();
        let missing = missing(&wanted, key, &runs);
        (missing.len() < wanted.len()).then_some(missing)
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
