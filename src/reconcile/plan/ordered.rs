//! Compares an order with the current state. An order acts only on the gateways and versions that
//! were shown. Pure.

use std::collections::{BTreeMap, BTreeSet};

use super::diff::{Action, Have, Plan, Want};
use super::known::Known;
use crate::control::{OrderContent, OrderedAction, Version};
use crate::gateway::{Desired, GatewayName};

/// The order, by gateway.
#[derive(Debug, Clone, Default)]
pub struct Ordered {
    actions: BTreeMap<GatewayName, OrderedAction>,
    /// No longer to be served.
    release: BTreeSet<GatewayName>,
    /// Gateways that have differed from what was shown since then.
    void: BTreeSet<GatewayName>,
}

/// Progress of the order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Progress {
    /// As shown, and still to be done.
    pub to_do: BTreeSet<GatewayName>,
    /// As shown, and pending: being deleted, or its revision is not known yet.
    pub on_its_way: BTreeSet<GatewayName>,
    pub done: BTreeSet<GatewayName>,
    /// No longer as shown.
    pub changed: BTreeSet<GatewayName>,
}

impl Ordered {
    /// Skips names that no gateway can have.
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

    /// Drops gateways from the order that are no longer as shown or are wanted again, whatever
    /// happens to them later.
    pub fn forget(&mut self, changed: &BTreeSet<GatewayName>, desired: &Desired, switch: &str) {
        let wanted = self.kills().filter(|name| desired.serves(name, switch));
        let wanted: Vec<_> = wanted.cloned().collect();
        self.void.extend(wanted);
        self.void.extend(changed.iter().cloned());
        self.release.retain(|name| !desired.serves(name, switch));
    }

    fn kills(&self) -> impl Iterator<Item = &GatewayName> {
        let kills = self.actions.iter().filter(|(_, action)| action.to.is_none());
        kills.map(|(name, _)| name)
    }

    /// Whether the order changes nothing on the switch.
    pub fn changes_nothing(&self) -> bool {
        self.actions.is_empty()
    }

    /// Whether a gateway that was to be removed is wanted again: then the approval is outdated.
    pub fn is_outdated(&self, desired: &Desired, switch: &str) -> bool {
        let mut gone = self.kills().chain(&self.release);
        gone.any(|name| desired.serves(name, switch))
    }

    /// The gateways that may stop being served while it is unknown what runs: released or to be
    /// killed, and not wanted again.
    pub fn removable<'a>(&'a self, desired: &'a Desired, switch: &'a str) -> impl Iterator<Item = &'a GatewayName> {
        let kills = self.kills().filter(|name| !self.void.contains(*name));
        let kills = kills.filter(move |name| !desired.serves(name, switch));
        self.released(desired, switch).chain(kills)
    }

    /// The released gateways that are not wanted again, so they may stop being served.
    pub fn released<'a>(&'a self, desired: &'a Desired, switch: &'a str) -> impl Iterator<Item = &'a GatewayName> {
        self.release.iter().filter(move |name| !desired.serves(name, switch))
    }

    /// The gateways to take over although they are not ours, if they are still as shown.
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

    /// The progress of each ordered gateway, from what runs, what is wanted and the plan made from
    /// both.
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

    /// The approved removals that are still as shown, done or not. Empty where it is unknown what
    /// runs.
    pub fn removals<'a>(&'a self, progress: &'a Progress) -> impl Iterator<Item = &'a GatewayName> {
        let is_removal = |name: &&GatewayName| self.actions.get(*name).is_some_and(|shown| shown.to.is_none());
        progress.as_shown().filter(is_removal)
    }
}

impl Progress {
    /// Everything that is as shown, or as it was to become.
    pub fn as_shown(&self) -> impl Iterator<Item = &GatewayName> {
        self.to_do.iter().chain(&self.on_its_way).chain(&self.done)
    }
}

/// The order for a change that was shown.
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

/// A restart whose kill is done is planned as a start of the same version.
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
