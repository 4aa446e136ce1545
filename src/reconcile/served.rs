//! What each switch is served: what Redis wants, unless that would remove too many of its gateways.
//!
//! Serving has the same guard as killing: a switch that boots in the middle of a mistake must not
//! get a state that is held for a running switch. During a hold, the switch is served its previous
//! state.
//!
//! A request may use any switch name. Memory is bounded by the names in the settings and in the
//! gateways. All other switches get the same gateways, so they share one guard.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::plan::Held;
use super::served_state::{Guard, Runs, ServedState};
use super::starts::Starting;
pub use super::starts::{Given, Start};
use super::states::{StateNames, Steps};
use crate::gateway::RevisionKey;
use crate::gateway::{Desired, EntryChange, GatewayName, ProfileName};

/// The most switches outside the settings that gateways name and that have their own guard. When
/// full, the one with the oldest request is dropped.
const MOST_NAMED: usize = 4096;
/// The longest switch name that is kept, in bytes. A host name is never longer.
const MAX_NAME_BYTES: usize = 255;
/// Represents every switch that no gateway names.
const ANY_SWITCH: &str = "";

/// What each switch is served. Shared in an `Arc`.
pub struct Served {
    /// `None`: nothing is held, except when every domain vanished from Redis.
    guard: Option<Guard>,
    states: Mutex<States>,
}

struct States {
    /// Switches in the settings.
    configured: BTreeMap<String, ServedState>,
    /// Other switches that a gateway names.
    named: BTreeMap<String, Named>,
    /// All switches that no gateway names.
    any: ServedState,
    /// The last state that was decided for all switches, and the last one that was held for none.
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
    /// Value of `clock` at its last request; 0 means never.
    asked: u64,
}

/// The result for switches without an executor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Others {
    /// The worst hold among them.
    pub held: Option<Held>,
    /// Nothing is held for any switch, including those with an executor.
    pub all_accepted: bool,
}

impl Served {
    /// `restored` is the state that an earlier trunkd served, if known; `switches` are those in the
    /// settings. Without a guard every edit is served. The loss of every domain is held even then:
    /// it is not an edit, but for example a Redis that restarted without persistence.
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

    /// What `switch` is served now that Redis wants `newest`, and the hold if that is not `newest`.
    pub fn decide(&self, switch: &str, newest: &Arc<Desired>, now: Instant) -> (Arc<Desired>, Option<Held>) {
        self.lock().decide(switch, newest, self.guard.as_ref(), None, now)
    }

    /// Like [`Self::decide`], for a switch that asks and is given the whole answer.
    pub fn answer(&self, switch: &str, newest: &Arc<Desired>, now: Instant) -> Arc<Desired> {
        let mut states = self.lock();
        states.clock += 1;
        let asked = states.clock;
        states.decide(switch, newest, self.guard.as_ref(), Some(asked), now).0
    }

    /// Decides for every known switch. `listed` are the switches with an executor, which reports
    /// their holds itself.
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

    /// The gateways that a switch in the settings is served and that `newest` lacks.
    pub fn held_back(&self, switch: &str, newest: &Arc<Desired>) -> BTreeMap<GatewayName, Arc<str>> {
        let mut states = self.lock();
        let States { configured, steps, .. } = &mut *states;
        let standing = configured.get(switch);
        standing
            .map(|standing| standing.held_back(switch, newest, steps))
            .unwrap_or_default()
    }

    /// What `switch` is served while something is held for it.
    pub fn holding(&self, switch: &str) -> Option<Arc<Desired>> {
        self.lock().known(switch).holding()
    }

    /// Sets the removals from a switch in the settings that an operator approved. An empty set
    /// withdraws earlier approvals.
    pub fn approve(&self, switch: &str, removals: BTreeSet<GatewayName>) {
        self.of(switch, |standing| standing.approve(removals));
    }

    /// Accepts changes of a switch in the settings that an operator ordered and that still match
    /// `newest`. From now on they are served, even while other changes are held.
    pub fn accept(&self, switch: &str, newest: &Arc<Desired>, gateways: &BTreeSet<GatewayName>) {
        self.of(switch, |standing| standing.accept_these(newest, gateways));
    }

    /// The lease holder of a switch in the settings serves it exactly this state, so this trunkd
    /// may, too. The gateways that this trunkd knows to be running are still guarded.
    pub fn agree(&self, switch: &str, newest: &Arc<Desired>) {
        self.of(switch, |standing| standing.agree(newest));
    }

    /// Releases what is held now for all switches not in `listed`: those that ask for their config
    /// and have no executor.
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

    /// Sets what runs on a switch in the settings, as its executor knows it. `None`: unknown, or
    /// the executor starts over.
    pub fn set_runs(&self, switch: &str, runs: Option<Runs>, now: Instant) {
        self.of(switch, |standing| standing.set_runs(runs, self.guard.as_ref(), now));
    }

    /// The gateways that a switch in the settings lost within the window without approval.
    pub fn recent(&self, switch: &str, now: Instant) -> BTreeSet<GatewayName> {
        self.of(switch, |standing| standing.removals(now).set())
            .unwrap_or_default()
    }

    /// Whether serving `newest` now, for the first time, would remove anything from a switch in the
    /// settings. If so, its recent removals must be known first.
    pub fn may_lose(&self, switch: &str, newest: &Arc<Desired>) -> bool {
        let mut states = self.lock();
        let States { configured, steps, .. } = &mut *states;
        let standing = configured.get(switch).filter(|_| self.guard.is_some());
        standing.is_some_and(|standing| standing.may_lose(switch, newest, steps))
    }

    /// The recent removals that no other trunkd can know about yet, and how long ago each happened.
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

    /// Notes all removals that are recorded for the window, by any trunkd, and how long ago each
    /// happened.
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

    /// The name that all trunkd use for this state.
    pub fn state_name(&self, desired: &Arc<Desired>) -> String {
        self.lock().names.of(desired)
    }

    /// Until [`Served::end_start`], records what `switch` is given when it asks for this. Answers
    /// to `startgw _all_` are limited to these gateways meanwhile, so a batch is never larger than
    /// the pace allows.
    pub fn begin_start(&self, switch: &str, profile: &ProfileName, what: Start) {
        let starting = Starting {
            profile: profile.clone(),
            what,
            given: None,
        };
        self.lock().starting.insert(switch.to_owned(), starting);
    }

    /// What the switch was given. `None` if it did not ask.
    pub fn end_start(&self, switch: &str) -> Option<Given> {
        self.lock().starting.remove(switch)?.given
    }

    /// The gateways to which the answer to `startgw _all_` is limited, if it is.
    pub fn batch(&self, switch: &str, profile: &str) -> Option<Arc<BTreeSet<GatewayName>>> {
        let states = self.lock();
        let starting = states.starting.get(switch)?;
        match &starting.what {
            Start::Many(gateways) if starting.is_of(profile) => Some(gateways.clone()),
            Start::Many(_) | Start::One(_) => None,
        }
    }

    /// Records that `switch` is answered `desired`, for one gateway or, if `None`, for `_all_`.
    /// Requests for anything else, by other clients or by FreeSWITCH for other reasons, are
    /// ignored.
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
        // A switch without an earlier decision counts as having been served this state.
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
                // There is no room to keep its state: it is guarded against the state that was
                // accepted by all.
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
            // No gateway names it any more, so it gets what all others get.
            self.named.remove(switch);
        }
        (accepted, held)
    }

    /// Gives every switch that a gateway names its own guard, whether it asks or not. Otherwise the
    /// removal of all gateways that name it would go unnoticed.
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

    /// Keeps state for this switch, if there is room.
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

#[cfg(test)]
mod tests;
