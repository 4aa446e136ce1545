//! What each switch is served: what Redis wants, unless that would take too many of its gateways away.
//!
//! The same guard as for killing stands before serving: a switch that boots in the middle of a mistake must not get what a running one is kept
//! from. While it holds, the switch is served what it was served before.
//!
//! Any name can be asked for. What is kept is bounded by what the settings and the gateways name: all other switches get the same gateways, so
//! one guard stands for all of them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::plan::Held;
use super::plan::Want;
use super::served_state::{Guard, Runs, ServedState};
use super::states::{StateNames, Steps};
use crate::gateway::RevisionKey;
use crate::gateway::{Desired, EntryChange, GatewayName, ProfileName};

/// Switches of no settings that gateways name and that are guarded each by itself; the one that asked least lately gives its place up.
const MOST_NAMED: usize = 4096;
/// The longest name that is kept, in bytes: a host name has no more.
const MAX_NAME_BYTES: usize = 255;
/// Stands for every switch that no gateway names.
const ANY_SWITCH: &str = "";

/// What is served, by switch. Shared in an `Arc`.
pub struct Served {
    /// `None`: nothing is held but a store that vanished.
    guard: Option<Guard>,
    states: Mutex<States>,
}

struct States {
    /// Those of the settings
    configured: BTreeMap<String, ServedState>,
    /// Others that some gateway names
    named: BTreeMap<String, Named>,
    /// All that none names
    any: ServedState,
    /// The last state that was decided for all, and the last that was held from none.
    newest: Option<Arc<Desired>>,
    accepted_by_all: Option<Arc<Desired>>,
    /// Counts requests.
    clock: u64,
    steps: Steps,
    names: StateNames,
    starting: BTreeMap<String, Starting>,
}

struct Named {
    standing: ServedState,
    /// When it asked last; 0 is never.
    asked: u64,
}

/// How things stand with switches that have no executor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Others {
    /// The worst that is held from one of them.
    pub held: Option<Held>,
    /// Nothing is held from any switch, these or others.
    pub all_accepted: bool,
}

/// A start that FreeSWITCH was told and asks for.
struct Starting {
    profile: ProfileName,
    what: Start,
    given: Option<Given>,
}

/// What FreeSWITCH is told to start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Start {
    /// `startgw G`
    One(GatewayName),
    /// `startgw _all_`
    Many(Arc<BTreeSet<GatewayName>>),
}

/// What FreeSWITCH was answered when it asked for what it had been told to start.
pub struct Given {
    desired: Arc<Desired>,
    key: RevisionKey,
}

impl Given {
    /// Whether the gateway was in it, as it is wanted.
    pub fn holds(&self, gateway: &GatewayName, want: &Want) -> bool {
        let entry = self.desired.served().get(gateway);
        entry.is_some_and(|entry| Want::of(&entry.gateway, &self.key) == *want)
    }
}

impl Served {
    /// `restored` is what an earlier trunkd served, if that is known; `switches` are those of the settings. Without a guard any edit is served; but
    /// that every domain is gone, as after a restart of a Redis that kept nothing, is none.
    pub fn new(
        guard: Option<Guard>,
        restored: Option<Arc<Desired>>,
        switches: impl IntoIterator<Item = String>,
    ) -> Self {
        let standing = || ServedState::new(restored.clone(), guard.as_ref());
        let configured = switches.into_iter().map(|switch| (switch, standing())).collect();
        let states = States {
            configured,
            named: BTreeMap::new(),
            any: standing(),
            newest: None,
            accepted_by_all: restored,
            clock: 0,
            steps: Steps::default(),
            names: StateNames::default(),
            starting: BTreeMap::new(),
        };
        Self {
            guard,
            states: Mutex::new(states),
        }
    }

    /// What `switch` is to be served now that Redis wants `newest`, and why it is not that, if so.
    pub fn decide(&self, switch: &str, newest: &Arc<Desired>, now: Instant) -> (Arc<Desired>, Option<Held>) {
        self.lock().decide(switch, newest, self.guard.as_ref(), None, now)
    }

    /// The same for a switch that asks, and is given all of it.
    pub fn answer(&self, switch: &str, newest: &Arc<Desired>, now: Instant) -> Arc<Desired> {
        let mut states = self.lock();
        states.clock += 1;
        let asked = states.clock;
        states.decide(switch, newest, self.guard.as_ref(), Some(asked), now).0
    }

    /// Decides for every switch that anything is kept of. `listed` are those that have an executor, which tells of their holds.
    pub fn decide_all(&self, newest: &Arc<Desired>, listed: &[String], now: Instant) -> Others {
        let mut states = self.lock();
        let configured: Vec<_> = states.configured.keys().cloned().collect();
        let named: Vec<_> = states.named.keys().cloned().collect();
        let (mut worst, mut all_accepted) = (None::<Held>, true);
        for switch in configured.iter().chain(&named).map(String::as_str).chain([ANY_SWITCH]) {
            let held = states.decide(switch, newest, self.guard.as_ref(), None, now).1;
            all_accepted &= held.is_none();
            if !listed.iter().any(|listed| listed == switch) {
                worst = worst.into_iter().chain(held).max_by_key(|held| held.removals);
            }
        }
        if all_accepted {
            states.accepted_by_all = Some(newest.clone());
        }
        Others {
            held: worst,
            all_accepted,
        }
    }

    /// The gateways that a switch of the settings is served and `newest` does not have.
    pub fn held_back(&self, switch: &str, newest: &Arc<Desired>) -> BTreeSet<GatewayName> {
        let mut states = self.lock();
        let States { configured, steps, .. } = &mut *states;
        let standing = configured.get(switch);
        standing
            .map(|standing| standing.held_back(switch, newest, steps))
            .unwrap_or_default()
    }

    /// What `switch` is served while something is held from it.
    pub fn holding(&self, switch: &str) -> Option<Arc<Desired>> {
        self.lock().known(switch).holding()
    }

    /// Somebody asked for these removals from a switch of the settings; none takes earlier approvals back.
    pub fn approve(&self, switch: &str, removals: BTreeSet<GatewayName>) {
        self.of(switch, |standing| standing.approve(removals));
    }

    /// Somebody asked for these changes of a switch of the settings, and they are still what `newest` holds: it is served so from here on, whatever is
    /// held beside.
    pub fn accept(&self, switch: &str, newest: &Arc<Desired>, gateways: &BTreeSet<GatewayName>) {
        self.of(switch, |standing| standing.accept_these(newest, gateways));
    }

    /// The trunkd that changes a switch of the settings has it served just this: so it may be from here. What runs there, as far as this one knows,
    /// is guarded all the same.
    pub fn agree(&self, switch: &str, newest: &Arc<Desired>) {
        self.of(switch, |standing| standing.agree(newest));
    }

    /// Releases what is held at the moment from every switch but these: from those that ask for their configuration and have no executor.
    pub fn release_others(&self, listed: &[String]) {
        let mut states = self.lock();
        let States {
            configured, named, any, ..
        } = &mut *states;
        let named = named.iter_mut().map(|(switch, named)| (switch, &mut named.standing));
        for (switch, standing) in configured.iter_mut().chain(named) {
            if !listed.contains(switch) {
                standing.release(switch);
            }
        }
        any.release(ANY_SWITCH);
    }

    /// What runs on a switch of the settings, as far as its executor knows; `None` when it does not, or when it begins anew.
    pub fn set_runs(&self, switch: &str, runs: Option<Runs>, now: Instant) {
        self.of(switch, |standing| standing.set_runs(runs, self.guard.as_ref(), now));
    }

    /// The gateways that a switch of the settings lost within the window, with nobody's approval.
    pub fn recent(&self, switch: &str, now: Instant) -> BTreeSet<GatewayName> {
        self.of(switch, |standing| standing.removals(now).set())
            .unwrap_or_default()
    }

    /// Whether a switch of the settings loses anything if it is served `newest` now, for the first time: then it must be known what it lost lately.
    pub fn may_lose(&self, switch: &str, newest: &Arc<Desired>) -> bool {
        let mut states = self.lock();
        let States { configured, steps, .. } = &mut *states;
        let standing = configured.get(switch).filter(|_| self.guard.is_some());
        standing.is_some_and(|standing| standing.may_lose(switch, newest, steps))
    }

    /// Those of them that no other trunkd can know of yet, and how long ago they went.
    pub fn unshared_removals(&self, switch: &str, now: Instant) -> Vec<(String, Duration)> {
        let Some(guard) = &self.guard else {
            return Vec::new();
        };
        let unshared = |standing: &mut ServedState| {
            let removals = standing.removals(now);
            removals.confirm(guard.confirm, now);
            let unshared = removals.unshared(now);
            unshared.map(|(gateway, age)| (gateway.to_string(), age)).collect()
        };
        self.of(switch, unshared).unwrap_or_default()
    }

    /// These went so long ago, whoever took them off the switch: all that is written down of the window.
    pub fn note_removals(&self, switch: &str, gone: &[(GatewayName, Duration)], now: Instant) {
        let known = gone.iter().map(|(gateway, _)| gateway.clone()).collect();
        self.of(switch, |standing| {
            let removals = standing.removals(now);
            for (gateway, age) in gone {
                removals.lose(gateway.clone(), now.checked_sub(*age).unwrap_or(now));
            }
            removals.share_again(&known);
        });
    }

    /// What several trunkd call this state.
    pub fn state_name(&self, desired: &Arc<Desired>) -> String {
        self.lock().names.of(desired)
    }

    /// Until [`Served::end_start`] it is remembered what `switch` is given when it asks for this. Answers to `startgw _all_` hold these
    /// gateways alone then, so that a batch of ours is no larger than its pace.
    pub fn begin_start(&self, switch: &str, profile: &ProfileName, what: Start) {
        let starting = Starting {
            profile: profile.clone(),
            what,
            given: None,
        };
        self.lock().starting.insert(switch.to_owned(), starting);
    }

    /// What it was given; `None` when it did not ask.
    pub fn end_start(&self, switch: &str) -> Option<Given> {
        self.lock().starting.remove(switch)?.given
    }

    /// The gateways that the answer to `startgw _all_` is limited to, if it is.
    pub fn batch(&self, switch: &str, profile: &str) -> Option<Arc<BTreeSet<GatewayName>>> {
        let states = self.lock();
        let starting = states.starting.get(switch)?;
        match &starting.what {
            Start::Many(gateways) if starting.is_of(profile) => Some(gateways.clone()),
            Start::Many(_) | Start::One(_) => None,
        }
    }

    /// `switch` is answered `desired`, asked for one gateway or, without one, for `_all_`. Whoever else asks in its name meanwhile, and FreeSWITCH
    /// for any other reason, asks for something else.
    pub fn record_given(
        &self,
        switch: &str,
        profile: &str,
        gateway: Option<&str>,
        desired: &Arc<Desired>,
        key: &RevisionKey,
    ) {
        let mut states = self.lock();
        let starting = states.starting.get_mut(switch);
        let Some(starting) = starting.filter(|one| one.is_of(profile)) else {
            return;
        };
        let is_it = match &starting.what {
            Start::One(name) => gateway == Some(name.as_str()),
            Start::Many(_) => gateway.is_none(),
        };
        if is_it {
            starting.given = Some(Given {
                desired: desired.clone(),
                key: key.clone(),
            });
        }
    }

    fn of<T>(&self, switch: &str, work: impl FnOnce(&mut ServedState) -> T) -> Option<T> {
        self.lock().configured.get_mut(switch).map(work)
    }

    fn lock(&self) -> MutexGuard<'_, States> {
        // Each field is replaced whole.
        self.states.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl States {
    fn decide(
        &mut self,
        switch: &str,
        newest: &Arc<Desired>,
        guard: Option<&Guard>,
        asked: Option<u64>,
        now: Instant,
    ) -> (Arc<Desired>, Option<Held>) {
        self.meet_nodes(newest, guard);
        // What one that was never decided for is taken to have been served.
        let first = self.accepted_by_all.as_ref().or(self.any.accepted()).cloned();
        let mut passing = None;
        let (switch, standing) = if let Some(standing) = self.configured.get_mut(switch) {
            (switch, standing)
        } else if self.named.contains_key(switch)
            || newest.names_node(switch)
            || first.as_ref().is_some_and(|first| first.names_node(switch))
        {
            if asked.is_some() && switch.len() <= MAX_NAME_BYTES && !self.named.contains_key(switch) {
                self.make_room();
                self.name(switch, guard);
            }
            match self.named.get_mut(switch) {
                Some(named) => {
                    named.asked = asked.unwrap_or(named.asked);
                    (switch, &mut named.standing)
                }
                // There is no place to keep anything of it: it is guarded from what was accepted by all.
                None => {
                    let standing = ServedState::new(None, guard);
                    (switch, passing.insert(standing))
                }
            }
        } else {
            (ANY_SWITCH, &mut self.any)
        };
        let held = standing.decide(switch, newest, first.as_ref(), guard, &mut self.steps, now);
        if asked.is_some() {
            standing.give(now);
        }
        let accepted = standing.accepted().unwrap_or(newest).clone();
        if Arc::ptr_eq(&accepted, newest) && !newest.names_node(switch) {
            // It gets what all others get, now that no gateway names it.
            self.named.remove(switch);
        }
        (accepted, held)
    }

    /// A switch that a gateway names is guarded by itself from then on, whether it asks or not: else a removal of all that name it would pass unseen.
    fn meet_nodes(&mut self, newest: &Arc<Desired>, guard: Option<&Guard>) {
        let nodes: BTreeSet<String> = match &self.newest {
            Some(known) if Arc::ptr_eq(known, newest) => return,
            Some(known) => EntryChange::between(known.served(), newest.served())
                .flat_map(|change| {
                    change
                        .now
                        .into_iter()
                        .flat_map(|now| now.gateway.nodes.iter().flatten())
                })
                .cloned()
                .collect(),
            None => {
                let before = self.any.accepted().into_iter().flat_map(|before| before.nodes());
                before.chain(newest.nodes()).map(str::to_owned).collect()
            }
        };
        self.newest = Some(newest.clone());
        for node in nodes {
            if !self.configured.contains_key(&node) {
                self.name(&node, guard);
            }
        }
    }

    /// Keeps what becomes of that switch, if there is room.
    fn name(&mut self, switch: &str, guard: Option<&Guard>) {
        if self.named.len() >= MOST_NAMED || switch.len() > MAX_NAME_BYTES || self.named.contains_key(switch) {
            return;
        }
        let before = self.any.accepted().or(self.accepted_by_all.as_ref());
        let standing = ServedState::new(before.cloned(), guard);
        self.named.insert(switch.to_owned(), Named { standing, asked: 0 });
    }

    fn make_room(&mut self) {
        if self.named.len() < MOST_NAMED {
            return;
        }
        let oldest = self.named.iter().min_by_key(|(_, named)| named.asked);
        if let Some(oldest) = oldest.map(|(switch, _)| switch.clone()) {
            self.named.remove(&oldest);
        }
    }

    fn known(&self, switch: &str) -> &ServedState {
        let configured = self.configured.get(switch);
        configured
            .or(self.named.get(switch).map(|named| &named.standing))
            .unwrap_or(&self.any)
    }
}

impl Starting {
    /// As FreeSWITCH compares the names of profiles
    fn is_of(&self, profile: &str) -> bool {
        self.profile.as_str().eq_ignore_ascii_case(profile)
    }
}

#[cfg(test)]
mod tests;
