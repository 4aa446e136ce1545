//! Looks at all switches all the time: has any gateway two registrations that a trunkd could have prevented?
//!
//! A switch that a trunkd can reach again may still have registered what moved meanwhile: those gateways have a grace.
//! It ends for each of them when it is gone, for all when the switch is told to start anything, because killing comes
//! first, and after [`GRACE`] anyway.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tokio::task::JoinHandle;

use super::{Fleet, Member, unrest};
use crate::program::Addresses;
use crate::support::app::Other;
use crate::support::fake_switch::{RegState, View};

/// In ticks of the switch: trunkd connects, reads what there is, and kills.
const GRACE: i64 = 150;
const BETWEEN_LOOKS: Duration = Duration::from_millis(1);

/// While this is there, all switches are looked at.
pub(super) struct Watch {
    stop: Arc<AtomicBool>,
    watching: JoinHandle<Tally>,
}

#[derive(Default)]
struct Tally {
    looks: usize,
    /// Moments in which two had one registered
    double: Vec<String>,
    /// The same in a grace
    in_grace: usize,
    /// Switches that no trunkd could reach at some moment
    lost: BTreeSet<&'static str>,
}

/// What is known of one switch
struct Watched {
    member: Arc<Member>,
    addresses: Addresses,
    /// gateway → the instance that is registered, at the last look; `None` while no trunkd could reach the switch
    last: Option<BTreeMap<String, u64>>,
    grace: Option<Grace>,
}

struct Grace {
    instances: BTreeSet<u64>,
    since: Instant,
    since_tick: i64,
}

impl Watch {
    pub(super) fn start(fleet: &Fleet) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let until = stop.clone();
        let mut all: Vec<_> = fleet
            .members
            .iter()
            .map(|member| Watched {
                member: member.clone(),
                addresses: fleet.addresses.clone(),
                last: Some(BTreeMap::new()),
                grace: None,
            })
            .collect();
        let watching = tokio::task::spawn_blocking(move || {
            let mut tally = Tally::default();
            while !until.load(Ordering::Relaxed) {
                look(&mut all, &mut tally);
                std::thread::sleep(BETWEEN_LOOKS);
            }
            tally
        });
        Self { stop, watching }
    }

    /// Panics if two switches had one gateway registered, or one that was never lost lost its gateways.
    pub(super) async fn end(mut self, fleet: &Fleet) {
        self.stop.store(true, Ordering::Relaxed);
        let tally = (&mut self.watching).await.unwrap();
        let moved = Other::new(&fleet.redis).await.history("moved").await;
        let failovers: Vec<_> = moved.iter().filter(|entry| entry["reason"] == "failover").collect();
        println!(
            "fleet: {} looks, {} with two registrations, {} more in a grace; {} moves, {} of them failovers",
            tally.looks,
            tally.double.len(),
            tally.in_grace,
            moved.len(),
            failovers.len()
        );
        assert!(tally.double.is_empty(), "registered twice: {:#?}", tally.double);
        let is_lost = |entry: &&serde_json::Value| tally.lost.contains(entry["from"].as_str().unwrap());
        let wrong: Vec<_> = failovers.into_iter().filter(|entry| !is_lost(entry)).collect();
        assert!(wrong.is_empty(), "their switch was never lost: {wrong:#?}");
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

/// Switches are looked at one after the other. What one has before and after a look at another, it has during that look.
fn look(all: &mut [Watched], tally: &mut Tally) {
    tally.looks += 1;
    let before: Vec<_> = all.iter().map(|watched| watched.last.clone()).collect();
    for at in 0..all.len() {
        all[at].look();
        let Some(here) = &all[at].last else {
            tally.lost.insert(all[at].member.name);
            continue;
        };
        for other in 0..at {
            let (Some(first), Some(here_before)) = (&all[other].last, &before[at]) else {
                continue;
            };
            let twice = here
                .iter()
                .filter(|(name, instance)| here_before.get(*name) == Some(instance) && first.contains_key(*name));
            for (name, instance) in twice {
                let is_in_grace = all[at].is_in_grace(*instance) || all[other].is_in_grace(first[name]);
                match is_in_grace {
                    true => tally.in_grace += 1,
                    false => tally.double.push(format!(
                        "{name} on {} and {} at {}",
                        all[other].member.name,
                        all[at].member.name,
                        jiff::Timestamp::now()
                    )),
                }
            }
        }
    }
}

impl Watched {
    fn look(&mut self) {
        let is_reachable = self.member.is_reachable(&self.addresses);
        let (registered, tick, started) = self.member.switch.view(|view| {
            let started = view.arrival(|line| line.contains("startgw"));
            (registered(view), view.ticks(), started)
        });
        if !is_reachable {
            self.last = None;
            return;
        }
        if self.last.is_none() {
            self.grace = Some(Grace {
                instances: registered.values().copied().collect(),
                since: Instant::now(),
                since_tick: tick,
            });
        }
        let is_over = |grace: &Grace| tick - grace.since_tick > GRACE || started.is_some_and(|at| at > grace.since);
        self.grace = self.grace.take().filter(|grace| !is_over(grace));
        self.last = Some(registered);
    }

    fn is_in_grace(&self, instance: u64) -> bool {
        self.grace
            .as_ref()
            .is_some_and(|grace| grace.instances.contains(&instance))
    }
}

/// Those that run on one switch all the time
fn registered(view: &View) -> BTreeMap<String, u64> {
    let gateways = view.gateways();
    let registered = gateways.iter().filter(|gateway| gateway.state == RegState::Reged);
    let watched = registered.filter(|gateway| unrest::is_always_on_one(&gateway.name));
    watched
        .map(|gateway| (gateway.name.clone(), gateway.instance))
        .collect()
}
