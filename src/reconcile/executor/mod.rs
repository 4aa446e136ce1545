//! Carries out the plans of one switch: one plan at a time, one reload at a time, paced, every action
//! verified.

mod act;
mod forms;
mod memory;
mod orders;
mod pace;
mod report;
mod switch;
mod troubles;
mod unseen;
mod wait;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use super::ledger::Ledger;
use super::plan::{Action, Authority, Decision, DecisionInput, Known, Limits};
use super::reporter::Reporter;
use super::running::Running;
use super::served::Served;
use crate::control::{Control, Lease};
use crate::health::Health;
use crate::metrics;
use crate::redis::Store;
use crate::settings::{ReconcileMode, ReconcileSettings};
use memory::Memory;
use orders::OrderState;
use pace::Pace;
pub use switch::{Learned, Switch, Unknown, Wanted, Wanting};

/// How long and how soon. The defaults are what an operator gets; tests shorten them.
#[derive(Debug, Clone)]
pub struct Timing {
    /// For a killed gateway's `gateway_delete`, before it is looked whether it is there.
    pub delete: Duration,
    /// For a started gateway's `gateway_add`, before it counts as refused.
    pub appear: Duration,
    /// A gateway must be gone from Redis for so long before it is killed.
    pub confirm: Duration,
    /// Before a failed action is tried again, at first and at most.
    pub first_retry: Duration,
    pub most_retry: Duration,
    /// What the switch does by itself is looked at this much later, since it comes in bursts. An edit in Redis is looked at at once.
    pub coalesce: Duration,
    /// A look at least so often.
    pub interval: Duration,
    /// Of several trunkd, another one changes the switch within twice this time when the one that did is gone.
    pub lease: Duration,
    /// What a plan needs to say which fields differ is kept for so long after it was needed last.
    pub forms_kept: Duration,
    /// What a switch that runs its other gateways does not run for so long is no loss if it is served no more: whatever boots has its gateways
    /// by then.
    pub settle: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            delete: Duration::from_secs(10),
            appear: Duration::from_secs(2),
            confirm: Duration::from_millis(250),
            first_retry: Duration::from_secs(1),
            most_retry: Duration::from_secs(60),
            coalesce: Duration::from_millis(250),
            interval: Duration::from_secs(5),
            lease: Duration::from_secs(5),
            forms_kept: Duration::from_secs(24 * 60 * 60),
            settle: Duration::from_secs(60),
        }
    }
}

/// What the executors of all switches have in common.
pub struct Shared<W> {
    pub wanting: Arc<W>,
    pub served: Arc<Served>,
    pub running: Arc<Running>,
    pub store: Store,
    /// Tells this trunkd from the others.
    pub holder: Arc<str>,
    pub health: Arc<Health>,
}

/// The executor of one switch.
pub struct Executor<S, W> {
    switch: Arc<S>,
    wanting: Arc<W>,
    served: Arc<Served>,
    running: Arc<Running>,
    store: Store,
    lease: Arc<Lease>,
    health: Arc<Health>,
    reporter: Arc<Reporter>,
    holder: Arc<str>,
    mode: ReconcileMode,
    limits: Limits,
    ledger: Ledger,
    timing: Timing,
    pace: Mutex<Pace>,
    /// FreeSWITCH never gets two reloads at once.
    reload: Mutex<()>,
    memory: Memory,
    started: Instant,
}

impl<S: Switch, W: Wanting> Executor<S, W> {
    pub fn new(switch: Arc<S>, shared: Shared<W>, settings: &ReconcileSettings, timing: Timing) -> Self {
        let holder = shared.holder;
        let lease = Lease::new(shared.store.clone(), switch.name(), holder.clone(), timing.lease);
        let reporter = Reporter::new(shared.store.clone(), switch.name(), holder.clone());
        let ledger = Ledger::new(shared.store.clone(), shared.served.clone(), settings.removals_window);
        Self {
            switch,
            wanting: shared.wanting,
            served: shared.served,
            running: shared.running,
            store: shared.store,
            lease: Arc::new(lease),
            health: shared.health,
            reporter: Arc::new(reporter),
            holder,
            mode: settings.mode,
            limits: Limits {
                max_removals: settings.max_removals,
            },
            ledger,
            timing,
            pace: Mutex::new(Pace::new(settings.starts_per_second)),
            reload: Mutex::new(()),
            memory: Memory::default(),
            started: Instant::now(),
        }
    }

    /// Until `stop`. What runs on the switch stays as it is then.
    pub async fn run(self, stop: CancellationToken) {
        let (lease, reporter) = (self.lease.clone(), self.reporter.clone());
        let holding = hold(lease.clone(), self.switch.clone());
        let interval = self.timing.interval;
        tokio::select! {
            () = self.act_on_changes() => {}
            () = holding => {}
            () = reporter.beat(interval) => {}
            () = stop.cancelled() => {}
        }
        // Both left to their end if Redis does not answer.
        tokio::join!(reporter.fall_silent(), async { drop(lease.release().await) });
    }

    async fn act_on_changes(mut self) {
        let (mut switch, mut wanting) = (self.switch.changed(), self.wanting.changed());
        let mut lease = self.lease.changed();
        let mut known = Known::default();
        loop {
            switch.mark_unchanged();
            wanting.mark_unchanged();
            lease.mark_unchanged();
            let again = self.step(&mut known).await;
            let coalesce = self.timing.coalesce;
            tokio::select! {
                _ = wanting.changed() => {}
                _ = lease.changed() => {}
                () = async { let _ = switch.changed().await; sleep(coalesce).await } => {}
                () = sleep_until(again) => {}
            }
        }
    }

    /// Looks, decides and acts once; answers when to look again if nothing changes.
    async fn step(&mut self, known: &mut Known) -> Instant {
        let later = Instant::now() + self.timing.interval;
        tracing::trace!(switch = self.switch.name(), "looking");
        let is_known = self.learn(known);
        let Ok(control) = self.store.read_control().await else {
            return later;
        };
        let Some(wanted) = self.wanting.wanted().await else {
            return later;
        };
        tracing::trace!(switch = self.switch.name(), "what is wanted is known");
        let term = self.lease.term();
        if term.is_some() && term != self.memory.term {
            tracing::info!(
                switch = self.switch.name(),
                "this trunkd changes the switch from now on"
            );
            self.memory.begin(term);
        }
        if term.is_none() {
            // Another trunkd's to tell.
            self.memory.troubles.clear();
            // And to write: whoever gets the lease begins with all of them.
            self.memory.unwritten.clear();
        }
        self.memory.leads = term.is_some();
        let order = self.order(&control, term).await;
        if term.is_some() {
            self.drop_outdated_order(&control, &wanted.desired).await;
        }
        self.read_removals(&wanted.desired).await;
        if !is_known {
            self.serve_unseen(order, &wanted.desired, &control).await;
            return later;
        }
        self.want(&wanted, &known.actual);
        let mut decision = self.decide(known, &wanted, order, &control);
        if decision.held.is_some() && self.others_agree(&wanted.desired).await {
            decision = self.decide(known, &wanted, order, &control);
        }
        self.memory.troubles.forget_resolved(&decision.plan, &known.unsettled);
        self.begin_order(order, &decision);
        let paused = control.is_paused(self.switch.name());
        let starts_by_itself = decision.held.is_none() && self.mode == ReconcileMode::Apply && !paused;
        self.running.is_kept_complete(self.switch.name(), starts_by_itself);
        let authority = |action: &Action| decision.allows(action);
        let actions = self.memory.due(&decision.plan, authority, Instant::now(), &self.timing);
        self.publish(&decision, &control);
        if term.is_none() {
            self.report(&decision, &wanted.desired, &control).await;
            return later;
        }
        self.keep_forms(&wanted, &known.actual).await;
        if order == OrderState::Current && !actions.iter().any(|(_, word)| *word == Authority::Order) {
            self.finish_order(&decision).await;
        }
        let actions = self.record_removals(actions).await;
        if !actions.is_empty() {
            tracing::trace!(switch = self.switch.name(), actions = actions.len(), "acting");
            self.act(actions.into_iter().map(|(action, _)| action).collect()).await;
            self.report(&decision, &wanted.desired, &control).await;
            return Instant::now();
        }
        self.report(&decision, &wanted.desired, &control).await;
        self.next_step(&decision, later)
    }

    /// When something is to be done that could not be done now.
    fn next_step(&self, decision: &Decision, later: Instant) -> Instant {
        let is_allowed = |action: &Action| decision.allows(action).is_some();
        if !decision.plan.actions.iter().any(is_allowed) {
            return later;
        }
        // What is due already was not done, so there is no use in looking at once.
        let soonest = Instant::now() + self.timing.coalesce;
        let next = self.memory.next_due(&self.timing);
        next.map_or(later, |next| next.max(soonest).min(later))
    }

    /// Brings `known` to what runs, if that is known.
    fn learn(&mut self, known: &mut Known) -> bool {
        match self.switch.learn(known) {
            Ok(learned) => {
                if learned == Learned::Anew {
                    // What was absent before may just have begun to boot.
                    self.served.set_runs(self.switch.name(), None, Instant::now());
                }
                self.memory.compare(&known.actual, &learned);
                true
            }
            Err(Unknown) => {
                self.served.set_runs(self.switch.name(), None, Instant::now());
                // Whatever was the matter, with a new connection it is worth another try.
                self.memory.troubles.clear();
                false
            }
        }
    }

    fn decide(&mut self, known: &Known, wanted: &Wanted, order: OrderState, control: &Control) -> Decision {
        let memory = &self.memory;
        let read = memory.order.as_ref().filter(|_| order != OrderState::None);
        let look = DecisionInput {
            switch: self.switch.name(),
            known,
            ours: &memory.ours,
            desired: &wanted.desired,
            wants: &memory.wants,
            key: &wanted.key,
            differences: &memory.differences,
            order: read.map(|read| &read.changes),
            is_carried_out: order == OrderState::Learned,
            by_itself: self.mode == ReconcileMode::Apply && !control.is_paused(self.switch.name()),
            limits: self.limits,
        };
        let decision = look.decide(&self.served, Instant::now());
        if let Some(read) = self.memory.order.as_mut().filter(|_| order != OrderState::None) {
            read.changes
                .forget(&decision.progress.changed, &wanted.desired, self.switch.name());
        }
        decision
    }
}

/// Keeps the lease of a switch for as long as it could be changed from here.
async fn hold<S: Switch>(lease: Arc<Lease>, switch: Arc<S>) {
    let mut changed = switch.changed();
    let gauge = |lease: &Lease| {
        let is_ours = lease.term().is_some();
        ::metrics::gauge!(metrics::RECONCILE_LEASE, "switch" => switch.name().to_owned()).set(f64::from(is_ours));
    };
    loop {
        changed.mark_unchanged();
        if switch.is_known() {
            // What is wrong with Redis, the store has told.
            let _ = lease.look().await;
            gauge(&lease);
            sleep(lease.interval()).await;
        } else {
            let _ = lease.release().await;
            gauge(&lease);
            let _ = changed.changed().await;
        }
    }
}
