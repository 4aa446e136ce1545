//! What was ordered against how things are now: an order acts on the gateways and versions that were shown, and on nothing else. Pure.

use std::collections::{BTreeMap, BTreeSet};

use super::diff::{Action, Have, Plan, Want};
use super::known::Known;
use crate::control::{OrderContent, OrderedAction, Version};
use crate::gateway::{Desired, GatewayName};

/// What was ordered, gateway by gateway.
#[derive(Debug, Clone, Default)]
pub struct Ordered {
    actions: BTreeMap<GatewayName, OrderedAction>,
    /// To be served no more.
    release: BTreeSet<GatewayName>,
    /// Something else than was shown, at some time since.
    void: BTreeSet<GatewayName>,
}

/// How far that is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Progress {
    /// To be done, and as it was shown.
    pub to_do: BTreeSet<GatewayName>,
    /// As it was shown, and on its way: being deleted, or not asked for its revision yet.
    pub on_its_way: BTreeSet<GatewayName>,
    pub done: BTreeSet<GatewayName>,
    /// Something else by now.
    pub changed: BTreeSet<GatewayName>,
}

impl Ordered {
    /// Names that no gateway can have are passed over.
    pub fn of(content: &OrderContent) -> Self {
        let actions = content.actions.iter();
        let parsed = actions.filter_map(|(name, action)| Some((GatewayName::parse(name).ok()?, action.clone())));
        let release = content.release.iter();
        Self {
            actions: parsed.collect(),
            release: release.filter_map(|name| GatewayName::parse(name).ok()).collect(),
            void: BTreeSet::new(),
        }
    }

    /// What is something else than was shown, or is wanted again, is no longer ordered, whatever becomes of it.
    pub fn forget(&mut self, changed: &BTreeSet<GatewayName>, desired: &Desired, switch: &str) {
        let kills = self.actions.iter().filter(|(_, action)| action.to.is_none());
        let wanted = kills.filter(|(name, _)| is_wanted(desired, name, switch));
        self.void.extend(wanted.map(|(name, _)| name.clone()));
        self.void.extend(changed.iter().cloned());
        self.release.retain(|name| !is_wanted(desired, name, switch));
    }

    /// Whether nothing is to be done on the switch.
    pub fn changes_nothing(&self) -> bool {
        self.actions.is_empty()
    }

    /// Whether something that was to go is wanted again: what was approved is no longer true.
    pub fn is_outdated(&self, desired: &Desired, switch: &str) -> bool {
        let kills = self.actions.iter().filter(|(_, action)| action.to.is_none());
        let mut gone = kills.map(|(name, _)| name).chain(&self.release);
        gone.any(|name| is_wanted(desired, name, switch))
    }

    /// What may be served no more where nobody can tell what runs: all that was released or was to be killed, and is not wanted again.
    pub fn removable<'a>(&'a self, desired: &'a Desired, switch: &'a str) -> impl Iterator<Item = &'a GatewayName> {
        let kills = self.actions.iter().filter(|(_, action)| action.to.is_none());
        let kills = kills.map(|(name, _)| name).filter(|name| !self.void.contains(*name));
        self.release
            .iter()
            .chain(kills)
            .filter(move |name| !is_wanted(desired, name, switch))
    }

    /// What may be served no more, since it is not wanted again.
    pub fn released<'a>(&'a self, desired: &'a Desired, switch: &'a str) -> impl Iterator<Item = &'a GatewayName> {
        self.release
            .iter()
            .filter(move |name| !is_wanted(desired, name, switch))
    }

    /// The gateways that are to be taken over from whoever made them, where they are the ones that were shown.
    pub fn adopted(&self, known: &Known) -> BTreeSet<GatewayName> {
        let is_shown = |name: &GatewayName, action: &OrderedAction| {
            let from = action
                .from
                .as_ref()
                .filter(|from| from.revision.is_none() && !self.void.contains(name));
            let have = known.actual.gateways.get(name);
            matches!((from, have), (Some(from), Some(have)) if is_run(from, have))
        };
        let adopted = self.actions.iter().filter(|(name, action)| is_shown(name, action));
        adopted.map(|(name, _)| name.clone()).collect()
    }

    /// How far these are, by what runs and what is wanted, and by the plan that was made of both.
    pub fn progress(&self, known: &Known, wants: &BTreeMap<GatewayName, Want>, plan: &Plan) -> Progress {
        let planned: BTreeMap<_, _> = plan.actions.iter().map(|action| (action.gateway(), action)).collect();
        let mut progress = Progress::default();
        for (name, shown) in &self.actions {
            let (have, want) = (known.actual.gateways.get(name), wants.get(name));
            let place = if self.void.contains(name) || !is_as_wanted(shown.to.as_ref(), want) {
                &mut progress.changed
            } else if known.unsettled.contains(name) {
                &mut progress.on_its_way
            } else if planned.get(name).is_some_and(|action| is_shown(shown, action)) {
                &mut progress.to_do
            } else if is_reached(shown.to.as_ref(), have) {
                &mut progress.done
            } else {
                &mut progress.changed
            };
            place.insert(name.clone());
        }
        progress
    }

    /// The removals that were approved and are still what was shown, done or not. What runs may not be known here; then nothing is.
    pub fn removals<'a>(&'a self, progress: &'a Progress) -> impl Iterator<Item = &'a GatewayName> {
        let is_removal = |name: &&GatewayName| self.actions.get(*name).is_some_and(|shown| shown.to.is_none());
        progress.as_shown().filter(is_removal)
    }
}

impl Progress {
    /// Everything that is as it was shown, or as it was to become.
    pub fn as_shown(&self) -> impl Iterator<Item = &GatewayName> {
        self.to_do.iter().chain(&self.on_its_way).chain(&self.done)
    }
}

/// Of a change that was shown, as it is ordered.
pub fn shown(action: &Action) -> OrderedAction {
    OrderedAction {
        from: action.from().map(|from| Version {
            profile: from.profile.to_string(),
            revision: from.revision.clone(),
        }),
        to: action.to().map(|to| Version {
            profile: to.profile.to_string(),
            revision: Some(to.revision.clone()),
        }),
    }
}

fn is_wanted(desired: &Desired, name: &GatewayName, switch: &str) -> bool {
    let entry = desired.get(name.as_str());
    entry.is_some_and(|entry| entry.gateway.serves(Some(switch)))
}

/// A restart of which the kill is done is a start of the same.
fn is_shown(shown: &OrderedAction, action: &Action) -> bool {
    let from = match (&shown.from, action.from()) {
        (Some(from), Some(have)) => is_run(from, have),
        (None, Some(_)) => false,
        (_, None) => true,
    };
    from && is_as_wanted(shown.to.as_ref(), action.to())
}

fn is_run(version: &Version, have: &Have) -> bool {
    version.profile == have.profile.as_str() && version.revision == have.revision
}

fn is_as_wanted(version: Option<&Version>, want: Option<&Want>) -> bool {
    match (version, want) {
        (Some(version), Some(want)) => {
            version.profile == want.profile.as_str() && version.revision.as_ref() == Some(&want.revision)
        }
        (None, None) => true,
        _ => false,
    }
}

fn is_reached(to: Option<&Version>, have: Option<&Have>) -> bool {
    match (to, have) {
        (Some(to), Some(have)) => is_run(to, have),
        (None, None) => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests;
