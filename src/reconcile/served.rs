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
mod tests {
    use super::super::plan::Limits;
    use super::*;
    use crate::gateway::{ProfileFacts, RawDomain, RawDomains, Rules};

    fn desired(gateways: &[String], nodes: &str) -> Arc<Desired> {
        let external = ProfileName::parse("external").unwrap();
        let rules = Rules::new(external.clone(), [(external, ProfileFacts::default())].into());
        let value = format!(r#"{{"param":{{"register":"false"}}{nodes}}}"#).into_bytes();
        let fields = gateways.iter().map(|name| (name.clone().into_bytes(), value.clone()));
        let domain = ("acme".to_owned(), RawDomain::hash(fields));
        let raw: RawDomains = (!gateways.is_empty()).then_some(domain).into_iter().collect();
        Arc::new(Desired::build(&raw, &rules, None))
    }

    /// Gateways that name so many switches between them, each of them twice; without the first so many.
    fn naming(switches: usize, without: usize) -> Arc<Desired> {
        let external = ProfileName::parse("external").unwrap();
        let rules = Rules::new(external.clone(), [(external, ProfileFacts::default())].into());
        let chunks: Vec<usize> = (0..switches).collect();
        let gateways = chunks.chunks(50).chain(chunks.chunks(64)).enumerate().skip(without);
        let fields = gateways.map(|(gateway, chunk)| {
            let nodes: Vec<_> = chunk.iter().map(|number| format!("\"n{number:04}\"")).collect();
            let value = format!(r#"{{"param":{{"register":"false"}},"nodes":[{}]}}"#, nodes.join(","));
            (format!("gw{gateway}").into_bytes(), value.into_bytes())
        });
        let raw: RawDomains = [("acme".to_owned(), RawDomain::hash(fields))].into();
        Arc::new(Desired::build(&raw, &rules, None))
    }

    fn some(count: usize) -> Vec<String> {
        (0..count).map(|n| format!("gw{n}")).collect()
    }

    fn count(desired: &Desired) -> usize {
        desired.served().len()
    }

    const GUARD: Guard = Guard {
        limits: Limits { max_removals: None },
        window: Duration::from_secs(600),
        confirm: Duration::from_millis(250),
        settle: Duration::from_secs(60),
    };

    /// With fs1 and fs2 in the settings.
    fn guarded(restored: Option<Arc<Desired>>) -> Served {
        Served::new(Some(GUARD), restored, ["fs1", "fs2"].map(str::to_owned))
    }

    fn names(names: &[String]) -> BTreeSet<GatewayName> {
        names.iter().map(|name| GatewayName::parse(name).unwrap()).collect()
    }

    /// A switch that runs these in its profile.
    fn runs(ours: &[String]) -> Option<Runs> {
        Some(Runs {
            ours: names(ours).into_iter().collect(),
            unwanted: Arc::default(),
            profiles: [ProfileName::parse("external").unwrap()].into(),
        })
    }

    #[test]
    fn a_flood_of_removals_is_held_until_it_is_undone_or_accepted() {
        let now = Instant::now();
        for size in [2, 3, 300] {
            let served = guarded(None);
            let (all, none) = (desired(&some(size), ""), desired(&[], ""));
            served.decide("fs1", &all, now);
            for _ in 0..3 {
                let (given, hold) = served.decide("fs1", &none, now);
                assert_eq!((count(&given), hold.is_some()), (size, true));
            }
            assert!(served.decide("fs1", &all, now).1.is_none());
            assert!(served.decide("fs1", &none, now).1.is_some());
            served.accept("fs1", &none, &names(&some(size)));
            let (given, hold) = served.decide("fs1", &none, now);
            assert_eq!((count(&given), hold), (0, None));
        }
    }

    #[test]
    fn of_what_is_held_some_can_be_accepted() {
        let (served, now) = (guarded(None), Instant::now());
        let few = desired(&[some(10)[9..].to_vec(), vec!["new".to_owned()]].concat(), "");
        served.decide("fs1", &desired(&some(10), ""), now);
        assert!(served.decide("fs1", &few, now).1.is_some());
        let ordered = [&some(10)[..2], &["new".to_owned()]].concat();
        served.accept("fs1", &few, &names(&ordered));
        let (given, hold) = served.decide("fs1", &few, now);
        assert!(given.get("gw0").is_none() && given.get("new").is_some() && given.get("gw2").is_some());
        assert_eq!((count(&given), hold.map(|hold| hold.removals)), (9, Some(7)));
    }

    #[test]
    fn without_a_guard_any_flood_goes_but_an_empty_store_is_held_until_it_is_filled_or_released() {
        let (served, now) = (Served::new(None, None, ["fs1".to_owned()]), Instant::now());
        served.decide("fs1", &desired(&some(9), ""), now);
        assert!(served.decide("fs1", &desired(&some(1), ""), now).1.is_none());
        let none = desired(&[], "");
        let (given, hold) = served.decide("fs1", &none, now);
        assert_eq!((count(&given), hold.is_some()), (1, true));
        assert!(served.decide("fs1", &desired(&some(2), ""), now).1.is_none());
        served.decide("fs1", &none, now);
        served.release_others(&[]);
        assert_eq!(count(&served.decide("fs1", &none, now).0), 0);
    }

    #[test]
    fn what_is_added_waits_with_a_held_plan() {
        let (served, now) = (guarded(None), Instant::now());
        served.decide("fs1", &desired(&some(10), ""), now);
        let (given, hold) = served.decide("fs1", &desired(&["new".to_owned()], ""), now);
        assert!(hold.is_some() && given.get("new").is_none() && count(&given) == 10);
    }

    #[test]
    fn a_switch_that_loses_its_gateways_to_another_is_guarded_by_itself() {
        let (served, now) = (guarded(None), Instant::now());
        served.decide("fs1", &desired(&some(4), ""), now);
        served.decide("fs2", &desired(&some(4), ""), now);
        let moved = desired(&some(4), r#","nodes":["fs2"]"#);
        assert!(served.decide("fs1", &moved, now).1.is_some());
        assert!(served.decide("fs2", &moved, now).1.is_none());
    }

    #[test]
    fn what_an_earlier_trunkd_served_is_guarded_too() {
        let (served, now) = (guarded(Some(desired(&some(3), ""))), Instant::now());
        let (given, hold) = served.decide("fs1", &desired(&[], ""), now);
        assert!(hold.is_some() && count(&given) == 3 && served.holding("fs1").is_some());
        let (given, hold) = served.decide("fs1", &desired(&some(4), ""), now);
        assert!(hold.is_none() && count(&given) == 4 && served.holding("fs1").is_none());
    }

    #[test]
    fn what_is_held_from_switches_without_an_executor_can_be_released() {
        let (served, now) = (guarded(None), Instant::now());
        let (all, none) = (desired(&some(3), ""), desired(&[], ""));
        let listed = ["fs1".to_owned(), "fs2".to_owned()];
        assert!(served.decide_all(&all, &listed, now).all_accepted);
        for switch in ["fs1", "unlisted"] {
            assert!(served.decide(switch, &none, now).1.is_some());
        }
        let others = served.decide_all(&none, &listed, now);
        assert!(others.held.is_some() && !others.all_accepted);
        served.release_others(&listed);
        assert!(served.decide("fs1", &none, now).1.is_some());
        assert_eq!(count(&served.decide("unlisted", &none, now).0), 0);
        served.decide("unlisted", &all, now);
        assert!(
            served.decide("unlisted", &none, now).1.is_some(),
            "the next flood is held again"
        );
    }

    #[test]
    fn small_floods_add_up_until_the_window_has_moved_on() {
        let (served, start) = (guarded(None), Instant::now());
        let left = |from: usize| desired(&some(30)[from..], "");
        served.decide("fs1", &left(0), start);
        // The limit is 6 of 30.
        for gone in 1..=6 {
            assert!(served.decide("fs1", &left(gone), start).1.is_none());
        }
        let hold = served.decide("fs1", &left(7), start).1.unwrap();
        assert_eq!((hold.removals, hold.weight.earlier, hold.weight.ours), (1, 6, 30));
        let later = start + GUARD.window;
        assert!(
            served
                .decide("fs1", &left(7), later - Duration::from_millis(1))
                .1
                .is_some()
        );
        assert!(served.decide("fs1", &left(7), later).1.is_none());
    }

    #[test]
    fn a_domain_that_is_written_anew_again_and_again_is_no_flood_of_removals() {
        let (served, now) = (guarded(None), Instant::now());
        let all = desired(&some(30), "");
        served.decide("fs1", &all, now);
        for tenant in 0..6 {
            let without: Vec<_> = some(30)
                .into_iter()
                .enumerate()
                .filter(|(n, _)| n / 5 != tenant)
                .collect();
            let without: Vec<_> = without.into_iter().map(|(_, name)| name).collect();
            assert!(
                served.decide("fs1", &desired(&without, ""), now).1.is_none(),
                "{tenant}"
            );
            assert!(served.decide("fs1", &desired(&some(30), ""), now).1.is_none());
        }
        // But if a switch boots in the middle of that, it was without them.
        served.answer("fs1", &desired(&some(30)[5..], ""), now);
        served.answer("fs1", &all, now);
        assert!(served.decide("fs1", &desired(&some(30)[..28], ""), now).1.is_some());
    }

    #[test]
    fn what_other_trunkd_took_off_the_switch_counts_too() {
        let (served, now) = (guarded(None), Instant::now());
        served.decide("fs1", &desired(&some(30)[4..], ""), now);
        let gone: Vec<_> = names(&some(4))
            .into_iter()
            .map(|name| (name, GUARD.window / 2))
            .collect();
        served.note_removals("fs1", &gone, now);
        assert_eq!(served.recent("fs1", now), names(&some(4)));
        assert!(served.decide("fs1", &desired(&some(30)[7..], ""), now).1.is_some());
        assert!(
            served
                .decide("fs1", &desired(&some(30)[7..], ""), now + GUARD.window / 2)
                .1
                .is_none()
        );
    }

    #[test]
    fn what_a_switch_does_not_run_while_it_runs_the_others_is_no_loss() {
        let (served, start) = (guarded(Some(desired(&some(20), ""))), Instant::now());
        let few = desired(&some(20)[15..], "");
        let held = |now| served.decide("fs1", &few, now).1.is_some();
        assert!(held(start), "it is not known what runs");
        // It boots: its profile runs, and no gateway yet.
        served.set_runs("fs1", runs(&[]), start);
        assert!(held(start) && held(start + GUARD.settle * 2));
        served.set_runs("fs1", runs(&some(20)[15..]), start);
        assert!(held(start));
        served.set_runs("fs1", runs(&some(20)[15..]), start);
        assert!(held(start + GUARD.settle - Duration::from_millis(1)));
        // Lost from sight, it begins anew.
        served.set_runs("fs1", None, start);
        served.set_runs("fs1", runs(&some(20)[15..]), start);
        let start = start + GUARD.settle;
        assert!(held(start));
        assert!(!held(start + GUARD.settle));
    }

    #[test]
    fn what_is_agreed_elsewhere_is_served_unless_the_switch_runs_what_it_would_lose() {
        let now = Instant::now();
        let few = desired(&some(20)[15..], "");
        for (running, is_held) in [(15..20, false), (0..20, true)] {
            let served = guarded(Some(desired(&some(20), "")));
            served.set_runs("fs1", runs(&some(20)[running]), now);
            assert!(served.decide("fs1", &few, now).1.is_some());
            served.agree("fs1", &few);
            assert_eq!(served.decide("fs1", &few, now).1.is_some(), is_held);
            assert!(served.decide("fs2", &few, now).1.is_some(), "it was agreed for fs1");
        }
    }

    #[test]
    fn a_switch_that_was_stopped_is_guarded_by_what_it_ran() {
        let (served, start) = (guarded(None), Instant::now());
        served.decide("fs1", &desired(&some(30), ""), start);
        served.set_runs("fs1", runs(&some(30)), start);
        // Four went and were not killed, since somebody paused it.
        served.decide("fs1", &desired(&some(30)[4..], ""), start);
        let mut now = start + GUARD.window;
        served.set_runs("fs1", None, now);
        let held = |now| served.decide("fs1", &desired(&some(30)[8..], ""), now).1;
        assert_eq!(held(now).map(|held| held.removals), Some(8));
        // It boots.
        served.set_runs("fs1", runs(&[]), now);
        assert!(held(now).is_some());
        now += GUARD.settle;
        served.set_runs("fs1", runs(&some(30)[4..]), now);
        assert!(held(now).is_none(), "it runs without the first four");
    }

    #[test]
    fn what_goes_while_somebody_looks_did_not_go_by_a_boot() {
        let (served, now) = (guarded(None), Instant::now());
        served.decide("fs1", &desired(&some(30), ""), now);
        served.set_runs("fs1", runs(&some(30)), now);
        // The connection was lost, and is back.
        served.set_runs("fs1", None, now);
        served.set_runs("fs1", runs(&some(30)), now);
        // Ten are taken away by an order, and one by an edit.
        let few = desired(&some(30)[10..], "");
        served.approve("fs1", names(&some(10)));
        served.accept("fs1", &few, &names(&some(10)));
        assert!(served.decide("fs1", &few, now).1.is_none());
        served.set_runs("fs1", runs(&some(30)[10..]), now);
        served.approve("fs1", BTreeSet::new());
        assert!(served.decide("fs1", &desired(&some(30)[11..], ""), now).1.is_none());
    }

    #[test]
    fn a_boot_does_no_more_than_the_plan_may_where_edits_wait() {
        let (served, start) = (guarded(None), Instant::now());
        served.decide("fs1", &desired(&some(30), ""), start);
        let mut now = start;
        let mut gone = 0;
        // Nobody carries them out, and each fits into its window.
        let held = loop {
            gone += 2;
            now += GUARD.window;
            let unwanted = names(&some(30)[..gone - 2]);
            let runs = runs(&some(30)).map(|runs| Runs {
                unwanted: Arc::new(unwanted),
                ..runs
            });
            served.set_runs("fs1", runs, now);
            if let Some(held) = served.decide("fs1", &desired(&some(30)[gone..], ""), now).1 {
                break held;
            }
        };
        assert_eq!((held.removals, gone), (8, 8));
        assert_eq!(count(&served.holding("fs1").unwrap()), 24);
    }

    #[test]
    fn a_newcomer_is_guarded_like_all_others_however_many_asked_before() {
        let (served, now) = (guarded(None), Instant::now());
        served.answer("somebody", &desired(&some(10), ""), now);
        for number in 0..MOST_NAMED + 100 {
            served.answer(&format!("made-up-{number}"), &desired(&some(10), ""), now);
        }
        assert!(served.lock().named.is_empty());
        let none = desired(&[], "");
        for newcomer in ["newcomer", "made-up-7", "fs1", &"x".repeat(60_000)] {
            assert_eq!(count(&served.answer(newcomer, &none, now)), 10, "{newcomer:.20}");
        }
    }

    #[test]
    fn a_switch_that_gateways_name_is_guarded_before_it_asks() {
        let (served, now) = (guarded(None), Instant::now());
        let named = desired(&some(10), r#","nodes":["named"]"#);
        let listed = ["fs1".to_owned(), "fs2".to_owned()];
        assert!(served.decide_all(&named, &listed, now).all_accepted);
        let elsewhere = desired(&some(10), r#","nodes":["elsewhere"]"#);
        assert!(served.decide_all(&elsewhere, &listed, now).held.is_some());
        assert_eq!(count(&served.answer("named", &elsewhere, now)), 10);
        assert_eq!(
            served.answer("elsewhere", &elsewhere, now).nodes().collect::<Vec<_>>(),
            ["elsewhere"]
        );
        served.release_others(&listed);
        served.decide_all(&desired(&some(10), ""), &listed, now);
        assert!(served.lock().named.is_empty(), "all get the same now");
    }

    #[test]
    fn of_switches_that_gateways_name_so_many_are_kept_and_the_others_guarded_from_what_all_accepted() {
        let (served, now) = (guarded(None), Instant::now());
        let all = naming(MOST_NAMED + 2, 0);
        served.decide_all(&all, &[], now);
        assert_eq!(served.lock().named.len(), MOST_NAMED);
        let (first, beyond) = ("n0000".to_owned(), format!("n{:04}", MOST_NAMED + 1));
        served.answer(&first, &all, now);
        let given = served.decide(&beyond, &desired(&[], ""), now).0;
        assert_eq!(count(&given), count(&all), "there is no place for it");
        // Whoever asks gets the place of one that did not ask for the longest time.
        served.answer(&beyond, &all, now);
        let states = served.lock();
        assert!(states.named.len() == MOST_NAMED && states.named.contains_key(&beyond));
        assert!(states.named.contains_key(&first));
    }

    #[test]
    fn an_edit_is_decided_once_for_all_that_stand_at_the_same_state() {
        let (served, now) = (guarded(None), Instant::now());
        served.decide_all(&naming(1000, 0), &[], now);
        served.decide_all(&naming(1000, 1), &[], now);
        assert_eq!(served.lock().steps.taken(), 1);
    }

    #[test]
    fn a_batch_is_for_its_switch_and_profile_alone() {
        let served = guarded(None);
        let profile = ProfileName::parse("external").unwrap();
        let batch = Start::Many(Arc::new([GatewayName::parse("a").unwrap()].into()));
        served.begin_start("fs1", &profile, batch);
        assert_eq!(served.batch("fs1", "EXTERNAL").unwrap().len(), 1);
        assert!(served.batch("fs1", "internal").is_none() && served.batch("fs2", "external").is_none());
        assert!(served.end_start("fs1").is_none(), "it did not ask");
        assert!(served.batch("fs1", "external").is_none());
    }

    #[test]
    fn given_is_what_was_asked_for_by_that_start_alone() {
        let served = guarded(None);
        let (profile, key) = (ProfileName::parse("external").unwrap(), RevisionKey::new([7; 32]));
        let (names, now) = (some(2), desired(&some(2), ""));
        let name = |index: usize| GatewayName::parse(&names[index]).unwrap();
        let want = |index| Want::of(&now.served()[&name(index)].gateway, &key);
        let start = |what: Start, asked: [Option<&str>; 2], given: &Arc<Desired>| {
            served.begin_start("fs1", &profile, what);
            for (switch, profile) in [("fs1", "external"), ("fs2", "external"), ("fs1", "internal")] {
                let asked = asked[usize::from((switch, profile) != ("fs1", "external"))];
                served.record_given(switch, profile, asked, given, &key);
            }
            served.end_start("fs1")
        };
        let (one, all) = (Start::One(name(0)), Start::Many(Arc::new([name(0), name(1)].into())));
        let other = Some(names[1].as_str());
        let this = Some(names[0].as_str());
        assert!(start(one.clone(), [other, this], &now).is_none(), "asked for another");
        assert!(start(one.clone(), [None, this], &now).is_none(), "asked for all");
        assert!(start(all.clone(), [this, None], &now).is_none(), "asked for one");
        let given = start(one.clone(), [this, other], &now).unwrap();
        assert!(given.holds(&name(0), &want(0)) && !given.holds(&name(0), &want(1)));
        let given = start(all, [None, this], &now).unwrap();
        assert!(given.holds(&name(0), &want(0)) && given.holds(&name(1), &want(1)));
        let given = start(one, [this, other], &desired(&[], "")).unwrap();
        assert!(!given.holds(&name(0), &want(0)), "it was not in what was given");
    }
}
