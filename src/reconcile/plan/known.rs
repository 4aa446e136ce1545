//! What runs on a switch, as listed: the input for a plan. `serve` takes it from ingest's view,
//! `plan` from one query of the switch.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tokio::time::Instant;

use super::diff::{Action, Actual, Differences, Have, Plan, Want};
use crate::carriers::Registration;
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
    /// Gateways that are not to be started now.
    pub parked: BTreeSet<GatewayName>,
    /// Gateways that register and aren't REGED.
    pub not_registered: BTreeMap<GatewayName, Registration>,
    /// When each gateway was first seen DOWN.
    pub(super) down: BTreeMap<GatewayName, Instant>,
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
    /// `None` if it is REGED or never registers, or the switch is read only once.
    pub registration: Option<&'a Registration>,
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
        now: Instant,
    ) -> Self {
        let mut known = Self::default();
        known.set_profiles_and_ghosts(profiles, ghosts);
        for listed in gateways {
            if let Ok(name) = GatewayName::parse(listed.name) {
                known.set(name, &listed, now);
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
    pub fn set(&mut self, name: GatewayName, listed: &Listed<'_>, now: Instant) {
        let down_since = self.down.get(&name).copied().unwrap_or(now);
        self.forget(&name);
        let profile = listed.profile.and_then(|profile| ProfileName::parse(profile).ok());
        let (Some(profile), Some(revision)) = (profile, listed.revision) else {
            self.unsettled.insert(name);
            return;
        };
        match listed.state {
            Some(State::Unregister) => drop(self.unsettled.insert(name.clone())),
            Some(State::Down) => {
                self.down.insert(name.clone(), down_since);
                self.unsettled.insert(name.clone());
            }
            _ => {}
        }
        if let Some(registration) = listed.registration {
            self.not_registered.insert(name.clone(), registration.clone());
        }
        let have = Have {
            profile,
            revision: revision.map(str::to_owned),
            registers: listed.state != Some(&State::Noreg),
        };
        self.seen.insert(name.clone(), listed.seen.clone());
        self.actual.gateways.insert(name, have);
    }

    /// Call it before each plan. A killed gateway is DOWN for a tick before it is deleted (FACTS 22). One that is
    /// DOWN for longer was unregistered, and stays like that (FACTS 38): it is no longer in transition.
    pub fn settle(&mut self, now: Instant, deleted_within: Duration) {
        let is_deleted = |since: &Instant| now.duration_since(*since) < deleted_within;
        for (name, _) in self.down.iter().filter(|(_, since)| !is_deleted(since)) {
            self.unsettled.remove(name);
        }
    }

    /// For a switch that is read only once: what is DOWN counts as unregistered.
    #[must_use]
    pub fn settled(mut self) -> Self {
        self.unsettled.retain(|name| !self.down.contains_key(name));
        self
    }

    /// The gateway with this name no longer exists.
    pub fn forget(&mut self, name: &GatewayName) {
        self.down.remove(name);
        self.not_registered.remove(name);
        self.unsettled.remove(name);
        self.seen.remove(name);
        self.actual.gateways.remove(name);
    }

    /// [`Differences::plan`] for `differences`, without gateways in transition. It also leaves
    /// alone a gateway whose value in Redis is refused: a bad value removes nothing, even if trunkd
    /// started after it was written and knows no valid version to keep. What is parked is not started.
    pub fn plan(
        &self,
        differences: &Differences,
        desired: &Desired,
        wants: &BTreeMap<GatewayName, Want>,
        adopt: &BTreeSet<GatewayName>,
    ) -> Plan {
        let mut plan = differences.plan(wants, &self.actual, adopt);
        let is_left = |name: &GatewayName| {
            self.unsettled.contains(name) || desired.refused().contains_key(name) || desired.is_unplaced(name)
        };
        // The gateways of an unreadable domain are unknown, so nothing is killed.
        let is_blind = |action: &Action| matches!(action, Action::Kill { .. }) && desired.has_unreadable_domain();
        let is_parked =
            |action: &Action| matches!(action, Action::Start { gateway, .. } if self.parked.contains(gateway));
        plan.actions
            .retain(|action| !is_left(action.gateway()) && !is_blind(action) && !is_parked(action));
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
