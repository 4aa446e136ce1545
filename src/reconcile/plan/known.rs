//! What runs on a switch, as listed: the input for a plan. `serve` takes it from ingest's view,
//! `plan` from one query of the switch.

use std::collections::{BTreeMap, BTreeSet};

use super::diff::{Action, Actual, Differences, Have, Plan, Want};
use crate::control::Conflict;
use crate::gateway::RevisionKey;
use crate::gateway::{Desired, GatewayName, ProfileName};
use crate::registration::State;

/// What runs on a switch.
#[derive(Debug, Clone, Default)]
pub struct Known {
    pub actual: Actual,
    /// Gateways in transition: being deleted, or their revision is not known yet. They are left
    /// alone until that is over.
    pub unsettled: BTreeSet<GatewayName>,
    /// How those of `actual` fare.
    pub seen: BTreeMap<GatewayName, Seen>,
}

/// How a gateway fares.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Seen {
    /// Whether calls can use it; `None` if unknown.
    pub usable: Option<bool>,
    /// Why not, if known: `403 Forbidden`.
    pub reason: Option<String>,
    /// Whether the carrier won't answer anything else to the same registration.
    pub is_refused_for_good: bool,
}

/// A live gateway, as listed. Each name has only one.
#[derive(Debug)]
pub struct Listed<'a> {
    pub name: &'a str,
    /// `None` until an event or a snapshot names it.
    pub profile: Option<&'a str>,
    pub state: Option<&'a State>,
    /// `None` until the switch was asked; then its answer.
    pub revision: Option<Option<&'a str>>,
    pub seen: Seen,
}

impl Known {
    /// Skips names that no gateway or profile of ours can have.
    pub fn new<'a>(
        profiles: impl IntoIterator<Item = &'a str>,
        ghosts: impl IntoIterator<Item = (&'a str, &'a str)>,
        gateways: impl IntoIterator<Item = Listed<'a>>,
    ) -> Self {
        let mut known = Self::default();
        known.set_profiles_and_ghosts(profiles, ghosts);
        for listed in gateways {
            if let Ok(name) = GatewayName::parse(listed.name) {
                known.set(name, &listed);
            }
        }
        known
    }

    /// Sets the running profiles and the ghosts.
    pub fn set_profiles_and_ghosts<'a>(
        &mut self,
        profiles: impl IntoIterator<Item = &'a str>,
        ghosts: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) {
        let profile = |name: &str| ProfileName::parse(name).ok();
        self.actual.profiles = profiles.into_iter().filter_map(profile).collect();
        let ghosts = ghosts.into_iter();
        self.actual.ghosts = ghosts
            .filter_map(|(name, other)| Some((GatewayName::parse(name).ok()?, profile(other)?)))
            .collect();
    }

    /// Sets the gateway with this name.
    pub fn set(&mut self, name: GatewayName, listed: &Listed<'_>) {
        self.forget(&name);
        let profile = listed.profile.and_then(|profile| ProfileName::parse(profile).ok());
        let (Some(profile), Some(revision)) = (profile, listed.revision) else {
            self.unsettled.insert(name);
            return;
        };
        if matches!(listed.state, Some(State::Unregister | State::Down)) {
            self.unsettled.insert(name.clone());
        }
        let have = Have {
            profile,
            revision: revision.map(str::to_owned),
            registers: listed.state != Some(&State::Noreg),
        };
        self.seen.insert(name.clone(), listed.seen.clone());
        self.actual.gateways.insert(name, have);
    }

    /// The gateway with this name no longer exists.
    pub fn forget(&mut self, name: &GatewayName) {
        self.unsettled.remove(name);
        self.seen.remove(name);
        self.actual.gateways.remove(name);
    }

    /// [`Differences::plan`] for `differences`, without gateways in transition. It also leaves
    /// alone a gateway whose value in Redis is refused: a bad value removes nothing, even if trunkd
    /// started after it was written and knows no valid version to keep.
    pub fn plan(
        &self,
        differences: &Differences,
        desired: &Desired,
        wants: &BTreeMap<GatewayName, Want>,
        adopt: &BTreeSet<GatewayName>,
    ) -> Plan {
        let mut plan = differences.plan(wants, &self.actual, adopt);
        let is_left = |name: &GatewayName| self.unsettled.contains(name) || desired.refused().contains_key(name);
        // The gateways of an unreadable domain are unknown, so nothing is killed.
        let is_blind = |action: &Action| matches!(action, Action::Kill { .. }) && desired.has_unreadable_domain();
        plan.actions
            .retain(|action| !is_left(action.gateway()) && !is_blind(action));
        plan.conflicts.retain(|conflict| match conflict {
            Conflict::NotOurs { gateway, .. } => !is_left(gateway),
            Conflict::Ghost { .. } | Conflict::ProfileNotRunning { .. } => true,
        });
        plan
    }
}

/// The gateways that `switch` is to run.
pub fn wants(desired: &Desired, key: &RevisionKey, switch: &str) -> BTreeMap<GatewayName, Want> {
    let entries = desired.served().iter();
    let here = entries.filter(|(_, entry)| entry.gateway.serves(Some(switch)));
    here.map(|(name, entry)| (name.clone(), Want::of(&entry.gateway, key)))
        .collect()
}

/// The gateway of this name, if `switch` is to run it.
pub fn want(desired: &Desired, key: &RevisionKey, switch: &str, gateway: &str) -> Option<(GatewayName, Want)> {
    let entry = desired
        .get(gateway)
        .filter(|entry| entry.gateway.serves(Some(switch)))?;
    Some((entry.gateway.name.clone(), Want::of(&entry.gateway, key)))
}

#[cfg(test)]
mod tests;
