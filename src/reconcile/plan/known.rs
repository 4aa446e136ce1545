//! What runs on a switch, as it was listed → what a plan is made from. `serve` lists it from ingest's view, `plan` by one look at the switch.

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
    /// Gateways that are on their way: being deleted, or not asked for their revision yet. They are left alone until that is over.
    pub unsettled: BTreeSet<GatewayName>,
}

/// A live gateway, as it is listed: of one name there is one.
#[derive(Debug)]
pub struct Listed<'a> {
    pub name: &'a str,
    /// `None` until an event or a snapshot names it.
    pub profile: Option<&'a str>,
    pub state: Option<&'a State>,
    /// `None` until the switch was asked; then what it answered.
    pub revision: Option<Option<&'a str>>,
}

impl Known {
    /// Names that no gateway and no profile of ours can have are passed over.
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

    /// These are the profiles that run, and the ghosts.
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

    /// The gateway of that name is this one now.
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
        self.actual.gateways.insert(name, have);
    }

    /// There is no gateway of that name any more.
    pub fn forget(&mut self, name: &GatewayName) {
        self.unsettled.remove(name);
        self.actual.gateways.remove(name);
    }

    /// What is to be done about `differences`: [`Differences::plan`], but what is on its way is left alone. So is what runs under a name whose
    /// value is refused: a bad value removes nothing, even when trunkd was started after it was written and knows no valid version to keep.
    pub fn plan(
        &self,
        differences: &Differences,
        desired: &Desired,
        wants: &BTreeMap<GatewayName, Want>,
        adopt: &BTreeSet<GatewayName>,
    ) -> Plan {
        let mut plan = differences.plan(wants, &self.actual, adopt);
        let is_left = |name: &GatewayName| self.unsettled.contains(name) || desired.refused().contains_key(name);
        // Of a domain that cannot be read nobody knows which gateways it has.
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

/// What `switch` is to run.
pub fn wants(desired: &Desired, key: &RevisionKey, switch: &str) -> BTreeMap<GatewayName, Want> {
    let entries = desired.served().iter();
    let here = entries.filter(|(_, entry)| entry.gateway.serves(Some(switch)));
    here.map(|(name, entry)| (name.clone(), Want::of(&entry.gateway, key)))
        .collect()
}

#[cfg(test)]
mod tests;
