//! Carries out what is decided: one trunkd at a time, by compare-and-set.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::sync::{Arc, Weak};
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::decide::{Change, Input, Lane, Life, Patience, Runs, SwitchState, decide};
use crate::carriers::Carriers;
use crate::control::{Control, Lease, PlacementChange};
use crate::gateway::{Desired, GatewayName, Move, Placed, PlacedFor};
use crate::health::{Health, Part, State};
use crate::history::{Entry, Event, History};
use crate::metrics;
use crate::redis::Store;
use crate::settings::PLACEMENT_LEASE;
use crate::shown::shown;

/// How often to look.
const INTERVAL: Duration = Duration::from_millis(250);
/// How often to decide again when nothing changed: time passes.
const DECIDE_AGAIN: Duration = Duration::from_secs(5);
/// How many gateways of a carrier move at the same time, if it has no pace.
const MOST_MOVING: usize = 50;
/// Those that move have to wait for the carrier's pace, out of service, so no more than it takes in this time.
const PACED: u32 = 5;
/// Names in a sentence.
const MAX_NAMED: usize = 5;

/// The fleet, as the placer needs it. A trait because `reconcile`, `ingest` and `liveness` are beside this room.
pub trait Fleet: Send + Sync + 'static {
    /// The desired gateways as Redis has them now. `None` if it can't be read.
    fn desired(&self) -> impl Future<Output = Option<Arc<Desired>>> + Send;
    /// Changes whenever the desired gateways may have changed.
    fn changed(&self) -> watch::Receiver<u64>;
    /// What is known of the life of each switch. Empty while [`PlacerContext::wanted`] is false.
    fn lives(&self) -> BTreeMap<String, Seen>;
    /// Another trunkd that could place gateways is connected to more switches.
    fn sees_fewer(&self) -> bool;
    fn runs(&self, switch: &str, gateway: &GatewayName) -> Runs;
}

/// What is known of the life of a switch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Seen {
    pub life: Life,
    /// Neither its event socket nor its SIP answers.
    pub is_silent: bool,
}

/// What a placer is made of.
pub struct PlacerContext<F> {
    pub fleet: F,
    /// Set to whether any gateway runs on exactly one switch, so that the switches are watched.
    pub wanted: watch::Sender<bool>,
    pub store: Store,
    pub history: History,
    pub health: Arc<Health>,
    pub carriers: Carriers,
    /// switch → its weight. Those that trunkd changes by itself, unless they are paused.
    pub weights: BTreeMap<String, u32>,
    /// The name of this trunkd.
    pub holder: Arc<str>,
    pub patience: Patience,
    pub lease: Duration,
    /// By then every switch that lives was seen.
    pub settle: Duration,
}

/// Places gateways while this trunkd holds the lease.
pub struct Placer<F> {
    context: PlacerContext<F>,
    lease: Arc<Lease>,
    /// Whether this trunkd would place gateways if it held the lease.
    competes: watch::Sender<bool>,
    /// Since when a switch has been live without a gap.
    live_since: BTreeMap<String, Timestamp>,
    /// Since when the switches are watched.
    watched_since: Option<Instant>,
    /// Since when another trunkd sees more of them.
    sees_fewer_since: Option<Instant>,
    /// The state that was last looked through for gateways on one switch, and whether it has any.
    counted: (Weak<Desired>, bool),
    /// What was last seen.
    seen: (Weak<Desired>, BTreeMap<String, SwitchState>),
    /// When it was last decided about that, if nothing is left to do.
    decided: Option<Instant>,
    problem: Option<String>,
}

impl<F: Fleet> Placer<F> {
    pub fn new(context: PlacerContext<F>) -> Self {
        let lease = Lease::new(
            context.store.clone(),
            PLACEMENT_LEASE,
            context.holder.clone(),
            context.lease,
        );
        Self {
            context,
            lease: Arc::new(lease),
            competes: watch::Sender::new(false),
            live_since: BTreeMap::new(),
            watched_since: None,
            sees_fewer_since: None,
            counted: (Weak::new(), false),
            seen: (Weak::new(), BTreeMap::new()),
            decided: None,
            problem: None,
        }
    }

    /// Runs until `stop`.
    pub async fn run(mut self, stop: CancellationToken) {
        let (lease, competes) = (self.lease.clone(), self.competes.subscribe());
        let placing = async { tokio::join!(self.keep_placing(), lease.hold_while(competes)) };
        stop.run_until_cancelled(placing).await;
        // If Redis does not answer, it expires by itself.
        drop(self.lease.release().await);
    }

    async fn keep_placing(&mut self) {
        let mut changes = self.context.fleet.changed();
        loop {
            changes.mark_unchanged();
            self.step().await;
            match self.counted.1 {
                true => sleep(INTERVAL).await,
                // Most fleets have nothing to place.
                false => drop(timeout(DECIDE_AGAIN, changes.changed()).await),
            }
        }
    }

    async fn step(&mut self) {
        let Some(desired) = self.context.fleet.desired().await else {
            return;
        };
        let has_any = self.has_any(&desired);
        let competes = has_any && self.is_fit();
        self.competes.send_replace(competes);
        if !has_any {
            return self.stand_down(&desired);
        }
        let control = match self.lease.term() {
            Some(_) => self.context.store.read_control().await,
            None => Ok(Control::default()),
        };
        let Ok(control) = control else { return };
        let switches = self.switches(&control);
        let is_settled = self.is_settled(&switches);
        self.report_news(&desired, switches.clone());
        if self.lease.term().is_none() {
            self.decided = None;
            return;
        }
        if self.decided.is_some_and(|at| at.elapsed() < DECIDE_AGAIN) {
            return;
        }
        let changes = self.decide(&desired, &switches, is_settled);
        let is_all = changes.is_empty() || self.write(&desired, &changes).await;
        let moves = |placed: &Placed| placed.step.is_some();
        let is_moving = desired.placements().iter().any(|(_, placed)| moves(placed));
        self.decided = (is_all && is_settled && !is_moving).then(Instant::now);
    }

    /// Whether it is to have the lease. It moves only what it sees on both switches, so the lease goes to one that is
    /// connected to most of them; one that changes no switch would only keep it from others.
    fn is_fit(&mut self) -> bool {
        self.sees_fewer_since = match self.context.fleet.sees_fewer() {
            true => self.sees_fewer_since.or_else(|| Some(Instant::now())),
            false => None,
        };
        // A switch that starts is not seen by all at the same moment.
        let sees_fewer = self
            .sees_fewer_since
            .is_some_and(|since| since.elapsed() >= self.context.lease);
        !self.context.weights.is_empty() && !sees_fewer
    }

    fn report_news(&mut self, desired: &Arc<Desired>, switches: BTreeMap<String, SwitchState>) {
        let is_same = std::ptr::eq(self.seen.0.as_ptr(), Arc::as_ptr(desired)) && self.seen.1 == switches;
        if !is_same {
            self.report(desired, &switches);
            self.seen = (Arc::downgrade(desired), switches);
            self.decided = None;
        }
    }

    /// Nothing runs on exactly one switch.
    fn stand_down(&mut self, desired: &Desired) {
        self.watched_since = None;
        self.decided = None;
        if self.problem.is_some() || !self.seen.1.is_empty() {
            self.report(desired, &BTreeMap::new());
            self.seen = (Weak::new(), BTreeMap::new());
        }
    }

    /// Whether any gateway runs on exactly one switch, or did.
    fn has_any(&mut self, desired: &Arc<Desired>) -> bool {
        if !std::ptr::eq(self.counted.0.as_ptr(), Arc::as_ptr(desired)) {
            let has_one = desired.served().values().any(|entry| entry.gateway.is_on_one());
            self.counted = (Arc::downgrade(desired), has_one || !desired.placements().is_empty());
            self.context
                .wanted
                .send_if_modified(|wanted| std::mem::replace(wanted, has_one) != has_one);
        }
        self.counted.1
    }

    /// What is known of each switch now.
    fn switches(&mut self, control: &Control) -> BTreeMap<String, SwitchState> {
        let lives = self.context.fleet.lives();
        let now = Timestamp::now();
        self.live_since
            .retain(|switch, _| lives.get(switch).is_some_and(|seen| seen.life == Life::Live));
        for (switch, _) in lives.iter().filter(|(_, seen)| seen.life == Life::Live) {
            self.live_since.entry(switch.clone()).or_insert(now);
        }
        let weights = &self.context.weights;
        let names: BTreeSet<_> = lives.keys().chain(weights.keys()).collect();
        let state = |switch: &String| {
            let Seen { life, is_silent } = lives.get(switch).copied().unwrap_or_default();
            SwitchState {
                weight: weights.get(switch).copied().unwrap_or(1),
                life,
                live_since: self.live_since.get(switch).copied(),
                is_silent,
                is_drained: control.drained.contains_key(switch),
                is_ours: weights.contains_key(switch) && !control.is_paused(switch),
            }
        };
        names
            .into_iter()
            .map(|switch| (switch.clone(), state(switch)))
            .collect()
    }

    /// Whether each switch was seen, or had the time for it.
    fn is_settled(&mut self, switches: &BTreeMap<String, SwitchState>) -> bool {
        let since = *self.watched_since.get_or_insert_with(Instant::now);
        let is_known = |state: &SwitchState| state.life != Life::Unknown;
        switches.values().all(is_known) || since.elapsed() >= self.context.settle
    }

    fn decide(
        &self,
        desired: &Arc<Desired>,
        switches: &BTreeMap<String, SwitchState>,
        is_settled: bool,
    ) -> Vec<Change> {
        let fleet = &self.context.fleet;
        decide(&Input {
            now: Timestamp::now(),
            desired,
            switches,
            runs: &|switch, gateway| fleet.runs(switch, gateway),
            is_settled,
            lane: &|gateway| lane(&self.context.carriers, desired, gateway),
            patience: self.context.patience,
        })
    }

    /// Whether all were written.
    async fn write(&self, desired: &Desired, changes: &[Change]) -> bool {
        if self.lease.term().is_none() {
            return false;
        }
        let records: Vec<_> = changes.iter().map(|change| record(change, desired)).collect();
        let Ok(made) = self.context.history.place(&records).await else {
            return false;
        };
        for (change, _) in changes.iter().zip(&made).filter(|(_, made)| **made) {
            note(change);
        }
        made.iter().all(|made| *made)
    }

    /// How many gateways each switch has, and which have none, in the metrics and in `/health`.
    fn report(&mut self, desired: &Desired, switches: &BTreeMap<String, SwitchState>) {
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        let mut without = Vec::new();
        for (name, entry) in desired.served().iter().filter(|(_, entry)| entry.gateway.is_on_one()) {
            let placed = desired.placements().get(name);
            let is_dead = |switch: &str| switches.get(switch).is_some_and(|state| state.life == Life::Dead);
            match placed.filter(|placed| !is_dead(&placed.switch)) {
                Some(placed) => *counts.entry(&placed.switch).or_default() += 1,
                None => without.push(&entry.gateway.name),
            }
        }
        for switch in self.context.weights.keys() {
            let count = counts.get(switch.as_str()).copied().unwrap_or_default();
            ::metrics::gauge!(metrics::PLACEMENT_GATEWAYS, "switch" => switch.clone()).set(count as f64);
        }
        ::metrics::gauge!(metrics::PLACEMENT_WITHOUT_SWITCH).set(without.len() as f64);
        let names = without
            .iter()
            .take(MAX_NAMED)
            .map(|name| name.as_str())
            .collect::<Vec<_>>()
            .join(", ");
        let problem = (!without.is_empty()).then(|| {
            let more = if without.len() > MAX_NAMED { ", …" } else { "" };
            format!(
                "{} gateways with \"placement\": \"one\" have no live switch ({names}{more}): `trunkd status` says \
                 which switches are live, drained or paused",
                without.len()
            )
        });
        if self.problem != problem {
            let state = if problem.is_some() { State::Degraded } else { State::Ok };
            self.context.health.set(Part::Placement, state, problem.clone());
            self.problem = problem;
        }
    }
}

/// The gateways of one carrier move a few at a time: each is out of service until it has registered again.
fn lane(carriers: &Carriers, desired: &Desired, gateway: &GatewayName) -> Lane {
    let gateway = desired.get(gateway.as_str()).map(|entry| &entry.gateway);
    let pace = gateway.and_then(|gateway| carriers.of(gateway)?.registers_per_second);
    Lane {
        carrier: gateway
            .and_then(|gateway| carriers.name_of(gateway))
            .unwrap_or_default(),
        most: pace.map_or(MOST_MOVING, |pace| {
            let most = usize::try_from(pace.saturating_mul(PACED)).unwrap_or(MOST_MOVING);
            most.clamp(1, MOST_MOVING)
        }),
    }
}

fn record(change: &Change, desired: &Desired) -> PlacementChange {
    PlacementChange {
        gateway: change.gateway.clone(),
        epoch: change.before.as_ref().map(|before| before.epoch),
        placed: change.after.clone(),
        entry: moved(change).map(|(from, to, reason)| {
            let domain = desired
                .get(change.gateway.as_str())
                .map(|entry| entry.gateway.domain.to_string());
            let entry = Entry::of_switch(
                to,
                Event::Moved {
                    from: from.to_owned(),
                    to: to.to_owned(),
                    reason,
                },
            );
            let by = change
                .after
                .as_ref()
                .map(|after| after.by.clone())
                .filter(|by| !by.is_empty());
            let entry = entry.with_gateway(change.gateway.as_str(), domain);
            Entry {
                who: by.unwrap_or(entry.who),
                ..entry
            }
        }),
    }
}

/// From where to where, and why, if the gateway is on its new switch now, or back on the old one.
fn moved(change: &Change) -> Option<(&str, &str, PlacedFor)> {
    let (before, after) = (change.before.as_deref()?, change.after.as_ref()?);
    match (&before.step, &after.step) {
        (Some(Move::Arriving { from }), None) if before.switch == after.switch => {
            Some((from, &after.switch, after.reason))
        }
        // It never left.
        (Some(Move::Leaving { to }), None) if before.switch == after.switch => Some((to, &after.switch, after.reason)),
        (_, None) if before.switch != after.switch => Some((&before.switch, &after.switch, after.reason)),
        _ => None,
    }
}

fn note(change: &Change) {
    let gateway = shown(change.gateway.as_str()).to_string();
    match (&change.after, moved(change)) {
        (_, Some((from, to, reason))) => {
            tracing::info!(gateway, from, to, reason = reason.as_str(), "moved");
            ::metrics::counter!(metrics::PLACEMENT_MOVES, "reason" => reason.as_str()).increment(1);
        }
        (Some(after), None) => {
            tracing::debug!(gateway, switch = after.switch, epoch = after.epoch, step = ?after.step, "placed");
        }
        (None, None) => tracing::debug!(gateway, "no longer placed"),
    }
}
