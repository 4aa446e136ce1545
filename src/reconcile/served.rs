//! What each switch is served: what Redis wants, unless that would take too many of its gateways away.
//!
//! The same guard as for killing stands before serving: a switch that boots in the middle of a mistake must not get what a running one is kept
//! from. While it holds, the switch is served what it was served before.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::guard::{Hold, Limits, Verdict, judge};
use crate::gateway::{Desired, Entry, EntryChange, GatewayName, ProfileName};

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
    /// Counts the answers that it got.
    answers: u64,
    /// What the next answer to `startgw _all_` is to hold: see [`Served::limit_batch`].
    batch: Option<Batch>,
}

#[derive(Clone)]
struct Batch {
    profile: ProfileName,
    gateways: Arc<BTreeSet<GatewayName>>,
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

    /// `switch` asked, and is answered.
    pub fn note_answer(&self, switch: &str) {
        if let Some(standing) = self.lock().get_mut(switch) {
            standing.answers += 1;
        }
    }

    /// How many answers `switch` got.
    pub fn answers(&self, switch: &str) -> u64 {
        self.lock().get(switch).map_or(0, |standing| standing.answers)
    }

    /// Until [`Served::end_batch`], answers to `startgw _all_` of this switch and profile hold these gateways alone, so that a batch of ours is
    /// no larger than its pace.
    pub fn limit_batch(&self, switch: &str, profile: &ProfileName, gateways: BTreeSet<GatewayName>) {
        let batch = Batch {
            profile: profile.clone(),
            gateways: Arc::new(gateways),
        };
        self.lock().entry(switch.to_owned()).or_default().batch = Some(batch);
    }

    pub fn end_batch(&self, switch: &str) {
        if let Some(standing) = self.lock().get_mut(switch) {
            standing.batch = None;
        }
    }

    /// The gateways that the answer to `startgw _all_` is limited to, if it is.
    pub fn batch(&self, switch: &str, profile: &str) -> Option<Arc<BTreeSet<GatewayName>>> {
        let switches = self.lock();
        let batch = switches.get(switch)?.batch.as_ref()?;
        batch
            .profile
            .as_str()
            .eq_ignore_ascii_case(profile)
            .then(|| batch.gateways.clone())
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Standing>> {
        // Each field is replaced whole.
        self.switches.lock().unwrap_or_else(PoisonError::into_inner)
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
        let rules = Rules {
            default_profile: external.clone(),
            profiles: [(external, ProfileFacts::default())].into(),
        };
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
        served.limit_batch("fs1", &profile, [GatewayName::parse("a").unwrap()].into());
        assert_eq!(served.batch("fs1", "EXTERNAL").unwrap().len(), 1);
        assert!(served.batch("fs1", "internal").is_none() && served.batch("fs2", "external").is_none());
        served.end_batch("fs1");
        assert!(served.batch("fs1", "external").is_none());
    }
}
