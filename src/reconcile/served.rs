//! What each switch is served: what Redis wants, unless that would take too many of its gateways away.
//!
//! The same guard as for killing stands before serving: a switch that boots in the middle of a mistake must not get what a running one is kept
//! from. While it holds, the switch is served what it was served before.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::diff::Want;
use super::guard::{Hold, Limits, Verdict, judge};
use crate::gateway::{Desired, Entry, EntryChange, GatewayName, ProfileName};
use crate::sofia_conf::RevisionKey;

/// Switches that are remembered. Any name can be asked for; those beyond are served what Redis wants.
const MOST_SWITCHES: usize = 4096;

/// What was served last, by switch. Shared in an `Arc`.
pub struct Served {
    /// `None`: nothing is held but a store that vanished.
    limits: Option<Limits>,
    /// What every switch was served by an earlier trunkd.
    restored: Option<Arc<Desired>>,
    switches: Mutex<BTreeMap<String, Standing>>,
}

#[derive(Default)]
struct Standing {
    accepted: Option<Arc<Desired>>,
    /// What was not accepted, and why.
    held: Option<(Arc<Desired>, Hold)>,
    /// Removals that somebody asked for by `trunkd apply`.
    approved: BTreeSet<GatewayName>,
    starting: Option<Starting>,
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
    /// `restored` is what an earlier trunkd served, if that is known. Without limits any edit is served; but that every domain is gone, as after a restart
    /// of a Redis that kept nothing, is none.
    pub fn new(limits: Option<Limits>, restored: Option<Arc<Desired>>) -> Self {
        Self {
            limits,
            restored,
            switches: Mutex::default(),
        }
    }

    /// What `switch` is to be served now that Redis wants `newest`, and why it is not that, if so.
    pub fn decide(&self, switch: &str, newest: &Arc<Desired>) -> (Arc<Desired>, Option<Hold>) {
        let mut switches = self.lock();
        if !switches.contains_key(switch) {
            if switches.len() >= MOST_SWITCHES {
                return (newest.clone(), None);
            }
            switches.insert(switch.to_owned(), Standing::default());
        }
        let Some(standing) = switches.get_mut(switch) else {
            return (newest.clone(), None);
        };
        let Some(accepted) = standing.accepted.clone().or_else(|| self.restored.clone()) else {
            standing.accepted = Some(newest.clone());
            return (newest.clone(), None);
        };
        if Arc::ptr_eq(&accepted, newest) {
            standing.held = None;
            return (accepted, None);
        }
        if let Some((held, hold)) = &standing.held
            && Arc::ptr_eq(held, newest)
        {
            return (accepted, Some(hold.clone()));
        }
        let removals: BTreeSet<_> = gone(&accepted, newest, switch).cloned().collect();
        let vanished = newest.counts().is_empty() && !accepted.counts().is_empty();
        let limits = self.limits.or(vanished.then_some(Limits::default()));
        let verdict = match limits.filter(|_| !removals.is_empty()) {
            None => Verdict::Go,
            Some(limits) => judge(
                &names(&accepted, switch),
                &removals,
                vanished,
                &limits,
                &standing.approved,
            ),
        };
        match verdict {
            Verdict::Go => {
                standing.accepted = Some(newest.clone());
                standing.held = None;
                (newest.clone(), None)
            }
            Verdict::Hold(hold) => {
                standing.accepted = Some(accepted.clone());
                standing.held = Some((newest.clone(), hold.clone()));
                (accepted, Some(hold))
            }
        }
    }

    /// What `switch` is served while something is held from it.
    pub fn holding(&self, switch: &str) -> Option<Arc<Desired>> {
        let switches = self.lock();
        let standing = switches.get(switch)?;
        standing.held.as_ref().and(standing.accepted.clone())
    }

    /// The switches that something is held from, as of the last time that each was decided for, and why.
    pub fn held(&self) -> BTreeMap<String, Hold> {
        let switches = self.lock();
        let held = switches
            .iter()
            .filter_map(|(switch, standing)| Some((switch.clone(), standing.held.as_ref()?.1.clone())));
        held.collect()
    }

    /// Somebody asked for these removals from `switch`; none takes earlier approvals back.
    pub fn approve(&self, switch: &str, removals: BTreeSet<GatewayName>) {
        let mut switches = self.lock();
        let standing = switches.entry(switch.to_owned()).or_default();
        if standing.approved != removals {
            standing.approved = removals;
            // To be judged again.
            standing.held = None;
        }
    }

    /// Releases what is held at the moment from every switch but these: from those that ask for their configuration and have no executor.
    pub fn release_others(&self, listed: &[String]) {
        for (_, standing) in self.lock().iter_mut().filter(|(switch, _)| !listed.contains(switch)) {
            if let Some((newest, _)) = standing.held.take() {
                standing.accepted = Some(newest);
            }
        }
    }

    /// The switches that have asked, and those that were decided for.
    pub fn switches(&self) -> Vec<String> {
        self.lock().keys().cloned().collect()
    }

    /// Until [`Served::end_start`] it is remembered what `switch` is given when it asks for this. Answers to `startgw _all_` hold these
    /// gateways alone then, so that a batch of ours is no larger than its pace.
    pub fn begin_start(&self, switch: &str, profile: &ProfileName, what: Start) {
        let starting = Starting {
            profile: profile.clone(),
            what,
            given: None,
        };
        self.lock().entry(switch.to_owned()).or_default().starting = Some(starting);
    }

    /// What it was given; `None` when it did not ask.
    pub fn end_start(&self, switch: &str) -> Option<Given> {
        self.lock().get_mut(switch)?.starting.take()?.given
    }

    /// The gateways that the answer to `startgw _all_` is limited to, if it is.
    pub fn batch(&self, switch: &str, profile: &str) -> Option<Arc<BTreeSet<GatewayName>>> {
        let switches = self.lock();
        let starting = switches.get(switch)?.starting.as_ref()?;
        match &starting.what {
            Start::Many(gateways) if starting.is_of(profile) => Some(gateways.clone()),
            Start::Many(_) | Start::One(_) => None,
        }
    }

    /// `switch` is answered `desired`, asked for one gateway or, without one, for `_all_`. Whoever else asks in its name meanwhile, and FreeSWITCH
    /// for any other reason, asks for something else.
    pub fn note_given(
        &self,
        switch: &str,
        profile: &str,
        gateway: Option<&str>,
        desired: &Arc<Desired>,
        key: &RevisionKey,
    ) {
        let mut switches = self.lock();
        let starting = switches.get_mut(switch).and_then(|standing| standing.starting.as_mut());
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

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Standing>> {
        // Each field is replaced whole.
        self.switches.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Starting {
    /// As FreeSWITCH compares the names of profiles
    fn is_of(&self, profile: &str) -> bool {
        self.profile.as_str().eq_ignore_ascii_case(profile)
    }
}

/// The gateways of a switch that it would lose.
fn gone<'a>(before: &'a Desired, now: &'a Desired, switch: &str) -> impl Iterator<Item = &'a GatewayName> {
    let serves = move |entry: Option<&Arc<Entry>>| entry.is_some_and(|entry| entry.gateway.serves(Some(switch)));
    EntryChange::between(before.served(), now.served())
        .filter(move |change| serves(change.before) && !serves(change.now))
        .map(|change| change.name)
}

/// The gateways of a switch.
fn names(desired: &Desired, switch: &str) -> BTreeSet<GatewayName> {
    let ours = desired
        .served()
        .iter()
        .filter(|(_, entry)| entry.gateway.serves(Some(switch)));
    ours.map(|(name, _)| name.clone()).collect()
}

#[cfg(test)]
mod tests {
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

    fn some(count: usize) -> Vec<String> {
        (0..count).map(|n| format!("gw{n}")).collect()
    }

    fn count(desired: &Desired) -> usize {
        desired.served().len()
    }

    #[test]
    fn a_flood_of_removals_is_held_until_it_is_undone_or_approved() {
        for size in [2, 3, 300] {
            let served = Served::new(Some(Limits::default()), None);
            let (all, none) = (desired(&some(size), ""), desired(&[], ""));
            served.decide("fs1", &all);
            for _ in 0..3 {
                let (now, hold) = served.decide("fs1", &none);
                assert_eq!((count(&now), hold.is_some()), (size, true));
            }
            assert!(served.decide("fs1", &all).1.is_none());
            let (_, hold) = served.decide("fs1", &none);
            served.approve("fs1", hold.unwrap().removals);
            let (now, hold) = served.decide("fs1", &none);
            assert_eq!((count(&now), hold), (0, None));
        }
    }

    #[test]
    fn without_limits_any_flood_goes_but_an_empty_store_is_held_until_it_is_filled_or_released() {
        let served = Served::new(None, None);
        served.decide("fs1", &desired(&some(9), ""));
        assert!(served.decide("fs1", &desired(&some(1), "")).1.is_none());
        let none = desired(&[], "");
        let (now, hold) = served.decide("fs1", &none);
        assert_eq!((count(&now), hold.is_some()), (1, true));
        assert!(served.decide("fs1", &desired(&some(2), "")).1.is_none());
        served.decide("fs1", &none);
        served.release_others(&[]);
        assert_eq!(count(&served.decide("fs1", &none).0), 0);
    }

    #[test]
    fn what_is_added_waits_with_a_held_plan() {
        let served = Served::new(Some(Limits::default()), None);
        served.decide("fs1", &desired(&some(10), ""));
        let (now, hold) = served.decide("fs1", &desired(&["new".to_owned()], ""));
        assert!(hold.is_some() && now.get("new").is_none() && count(&now) == 10);
    }

    #[test]
    fn a_switch_that_loses_its_gateways_to_another_is_guarded_by_itself() {
        let served = Served::new(Some(Limits::default()), None);
        served.decide("fs1", &desired(&some(4), ""));
        served.decide("fs2", &desired(&some(4), ""));
        let moved = desired(&some(4), r#","nodes":["fs2"]"#);
        assert!(served.decide("fs1", &moved).1.is_some());
        assert!(served.decide("fs2", &moved).1.is_none());
    }

    #[test]
    fn what_an_earlier_trunkd_served_is_guarded_too() {
        let served = Served::new(Some(Limits::default()), Some(desired(&some(3), "")));
        let (now, hold) = served.decide("fs1", &desired(&[], ""));
        assert!(hold.is_some() && count(&now) == 3 && served.held().contains_key("fs1"));
        let (now, hold) = served.decide("fs1", &desired(&some(4), ""));
        assert!(hold.is_none() && count(&now) == 4 && served.held().is_empty());
    }

    #[test]
    fn what_is_held_from_switches_without_an_executor_can_be_released() {
        let served = Served::new(Some(Limits::default()), None);
        let (all, none) = (desired(&some(3), ""), desired(&[], ""));
        for switch in ["fs1", "unlisted"] {
            served.decide(switch, &all);
            assert!(served.decide(switch, &none).1.is_some());
        }
        served.release_others(&["fs1".to_owned()]);
        assert!(served.decide("fs1", &none).1.is_some());
        assert_eq!(count(&served.decide("unlisted", &none).0), 0);
        served.decide("unlisted", &all);
        assert!(
            served.decide("unlisted", &none).1.is_some(),
            "the next flood is held again"
        );
    }

    #[test]
    fn a_batch_is_for_its_switch_and_profile_alone() {
        let served = Served::new(Some(Limits::default()), None);
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
        let served = Served::new(None, None);
        let (profile, key) = (ProfileName::parse("external").unwrap(), RevisionKey::new([7; 32]));
        let (names, now) = (some(2), desired(&some(2), ""));
        let name = |index: usize| GatewayName::parse(&names[index]).unwrap();
        let want = |index| Want::of(&now.served()[&name(index)].gateway, &key);
        let start = |what: Start, asked: [Option<&str>; 2], given: &Arc<Desired>| {
            served.begin_start("fs1", &profile, what);
            for (switch, profile) in [("fs1", "external"), ("fs2", "external"), ("fs1", "internal")] {
                let asked = asked[usize::from((switch, profile) != ("fs1", "external"))];
                served.note_given(switch, profile, asked, given, &key);
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
