//! Carries out the plans of one switch: one plan at a time, one reload at a time, paced, every action
//! verified.

mod act;
mod batch;
mod canary;
mod carriers;
mod forms;
mod jobs;
mod memory;
mod orders;
mod pace;
mod parking;
mod record;
mod report;
mod switch;
mod troubles;
mod unseen;
mod verify;
mod wait;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use super::ledger::Ledger;
use super::plan::{Action, Authority, Decision, DecisionInput, Known, Limits};
use super::reporter::Reporter;
use super::running::Running;
use super::served::Served;
use crate::carriers::Carriers;
use crate::control::{Control, Lease, Term};
use crate::gateway::Desired;
use crate::health::Health;
use crate::history::History;
use crate::metrics;
use crate::redis::Store;
use crate::settings::{ReconcileMode, ReconcileSettings};
use memory::Memory;
use orders::OrderState;
use pace::Pace;
pub use switch::{DesiredSource, Refreshed, Switch, Unknown, Wanted};

/// The delays of an executor. The defaults are for production; tests shorten them.
#[derive(Debug, Clone)]
pub struct Timing {
    /// How long a killed gateway's `gateway_delete` may take.
    pub delete: Duration,
    /// A gateway that is DOWN for longer was not killed, but unregistered.
    pub down: Duration,
    /// How long a started gateway's `gateway_add` may take before the gateway counts as refused.
    pub appear: Duration,
    /// How long a switch may take for a batch of starts. Batches grow and shrink with it.
    pub batch: Duration,
    /// How long a gateway must be gone from Redis before it is killed.
    pub confirm: Duration,
    /// The first and the longest delay before a failed action is retried.
    pub first_retry: Duration,
    pub most_retry: Duration,
    /// Debounces changes on the switch, which come in bursts. An edit in Redis is handled without delay.
    pub coalesce: Duration,
    /// The longest time between two plans.
    pub interval: Duration,
    /// When the trunkd that holds the lease of a switch dies, another one takes over within twice this
    /// time.
    pub lease: Duration,
    /// How long the fields behind a revision are kept after they were last needed.
    pub forms_kept: Duration,
    /// A gateway that a running switch has not had for this long is no loss when it is no longer served:
    /// a switch that boots has its gateways by then.
    pub settle: Duration,
    /// How long a gateway that was refused too often is parked before it may try again. Each wait is twice as long
    /// as the one before, up to 24 times this.
    pub first_park: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            delete: Duration::from_secs(10),
            down: Duration::from_secs(15),
            appear: Duration::from_secs(2),
            batch: Duration::from_millis(500),
            confirm: Duration::from_millis(250),
            first_retry: Duration::from_secs(1),
            most_retry: Duration::from_secs(60),
            coalesce: Duration::from_millis(250),
            interval: Duration::from_secs(5),
            lease: Duration::from_secs(5),
            forms_kept: Duration::from_secs(24 * 60 * 60),
            settle: Duration::from_secs(60),
            first_park: Duration::from_secs(60 * 60),
        }
    }
}

/// What the executors of all switches share.
pub struct ExecutorContext<W> {
    pub source: Arc<W>,
    pub served: Arc<Served>,
    pub running: Arc<Running>,
    pub store: Store,
    pub history: History,
    /// Identifies this trunkd among the others.
    pub holder: Arc<str>,
    pub health: Arc<Health>,
    /// The gateways as an earlier trunkd knew them.
    pub before: Option<Arc<Desired>>,
    pub carriers: Carriers,
}

/// The executor of one switch.
pub struct Executor<S, W> {
    switch: Arc<S>,
    source: Arc<W>,
    served: Arc<Served>,
    running: Arc<Running>,
    store: Store,
    history: History,
    lease: Arc<Lease>,
    health: Arc<Health>,
    reporter: Arc<Reporter>,
    holder: Arc<str>,
    mode: ReconcileMode,
    limits: Limits,
    ledger: Ledger,
    timing: Timing,
    carriers: Carriers,
    park_after: u32,
    pace: Mutex<Pace>,
    /// FreeSWITCH never gets two reloads at the same time.
    reload: Mutex<()>,
    memory: Memory,
    started: Instant,
    edit_rules: EditRules,
    /// The gateways as an earlier trunkd knew them.
    before: Option<Arc<Desired>>,
}

/// What happens to edits that don't work.
struct EditRules {
    rollback: bool,
    verify_within: Duration,
    canary_from: usize,
    canary: usize,
}

impl<S: Switch, W: DesiredSource> Executor<S, W> {
    pub fn new(switch: Arc<S>, context: ExecutorContext<W>, settings: &ReconcileSettings, timing: Timing) -> Self {
        let holder = context.holder;
        let lease = Lease::new(context.store.clone(), switch.name(), holder.clone(), timing.lease);
        let reporter = Reporter::new(context.store.clone(), switch.name(), holder.clone());
        let ledger = Ledger::new(context.store.clone(), context.served.clone(), settings.removals_window);
        Self {
            switch,
            source: context.source,
            served: context.served,
            running: context.running,
            store: context.store,
            history: context.history,
            lease: Arc::new(lease),
            health: context.health,
            reporter: Arc::new(reporter),
            holder,
            mode: settings.mode,
            limits: Limits {
                max_removals: settings.max_removals,
            },
            ledger,
            timing,
            carriers: context.carriers,
            park_after: settings.park_after,
            pace: Mutex::new(Pace::new(settings.starts_per_second)),
            reload: Mutex::new(()),
            memory: Memory::default(),
            started: Instant::now(),
            edit_rules: EditRules {
                rollback: settings.rollback,
                verify_within: settings.verify_within,
                canary_from: settings.canary_from,
                canary: settings.canary,
            },
            before: context.before,
        }
    }

    /// Runs until `stop`. The gateways on the switch stay as they are then.
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
        // If Redis does not answer, both expire by themselves.
        tokio::join!(reporter.withdraw(), async { drop(lease.release().await) });
    }

    async fn act_on_changes(mut self) {
        let (mut switch, mut source) = (self.switch.changed(), self.source.changed());
        let mut lease = self.lease.changed();
        let mut known = Known::default();
        loop {
            switch.mark_unchanged();
            source.mark_unchanged();
            lease.mark_unchanged();
            let again = self.step(&mut known).await;
            let coalesce = self.timing.coalesce;
            tokio::select! {
                _ = source.changed() => {}
                _ = lease.changed() => {}
                () = async { let _ = switch.changed().await; sleep(coalesce).await } => {}
                () = sleep_until(again) => {}
            }
        }
    }

    /// Plans and acts once. Returns when to plan again if nothing changes.
    async fn step(&mut self, known: &mut Known) -> Instant {
        let later = Instant::now() + self.timing.interval;
        tracing::trace!(switch = self.switch.name(), "planning");
        let is_known = self.refresh(known);
        let Ok(control) = self.store.read_control().await else {
            return later;
        };
        let Some(wanted) = self.source.wanted().await else {
            return later;
        };
        tracing::trace!(switch = self.switch.name(), "the desired gateways are read");
        let term = self.lease.term();
        if !self.begin_step(term).await {
            return later;
        }
        let order = self.order(&control, term).await;
        if term.is_some() {
            self.drop_outdated_order(&control, &wanted.desired).await;
        }
        self.read_removals(&wanted.desired).await;
        if !is_known {
            self.serve_unseen(order, &wanted.desired, &control).await;
            return later;
        }
        self.want(&wanted, known);
        self.take_over_loads();
        self.verify_edits(known, &wanted).await;
        known.parked = self.memory.parking.stopped(&self.memory.wants);
        let mut decision = self.decide(known, &wanted, order, &control);
        if decision.held.is_some() && self.others_agree(&wanted.desired).await {
            decision = self.decide(known, &wanted, order, &control);
        }
        self.memory.troubles.forget_resolved(&decision.plan, &known.unsettled);
        self.begin_order(order, &decision);
        self.running
            .is_kept_complete(self.switch.name(), decision.acts_by_itself());
        let authority = |action: &Action| decision.allows(action);
        let actions = self.memory.due(&decision.plan, authority, Instant::now(), &self.timing);
        self.publish(&decision, &control);
        if term.is_none() {
            self.report(&decision, &wanted.desired, &control).await;
            return later;
        }
        self.keep_forms(&wanted, &known.actual).await;
        self.record_hold(&decision).await;
        if order == OrderState::Current && !actions.iter().any(|(_, authority)| *authority == Authority::Order) {
            self.finish_order(&decision).await;
        }
        let actions = self.prepare(actions, &decision, known, &wanted).await;
        let busy: BTreeSet<_> = actions.iter().map(|action| action.gateway().clone()).collect();
        let has_acted = !actions.is_empty();
        if has_acted {
            tracing::trace!(switch = self.switch.name(), actions = actions.len(), "acting");
            self.memory.action_log.begin(actions.len());
            // A client that waits for an edit must see that it is being verified before it can fail.
            self.report(&decision, &wanted.desired, &control).await;
            self.act(actions).await;
        }
        let has_worked = self.work_on_jobs(&control, known, &busy).await;
        let has_worked = self.work_on_parking(&control, known, &busy).await || has_worked;
        if has_acted || has_worked {
            self.record_actions(false).await;
            self.report(&decision, &wanted.desired, &control).await;
            return Instant::now();
        }
        self.record_actions(true).await;
        self.report(&decision, &wanted.desired, &control).await;
        self.next_step(&decision, later)
    }

    /// Forgets what only matters to the lease holder of an earlier step, and reads what is parked. False if Redis
    /// can't be read.
    async fn begin_step(&mut self, term: Option<Term>) -> bool {
        if term.is_some() && term != self.memory.term {
            tracing::info!(
                switch = self.switch.name(),
                "this trunkd changes the switch from now on"
            );
            self.memory.begin(term);
        }
        if term.is_none() {
            self.memory.carriers.waiting.clear();
            // The lease holder reports troubles and writes forms; a new holder starts with all of them.
            self.memory.troubles.clear();
            self.memory.unwritten.clear();
            self.record_actions(true).await;
        }
        self.memory.leads = term.is_some();
        self.read_parking().await
    }

    /// When to plan again, given what could not be done now.
    fn next_step(&self, decision: &Decision, later: Instant) -> Instant {
        let is_allowed = |action: &Action| decision.allows(action).is_some();
        let soonest = Instant::now() + self.timing.coalesce;
        let later = match self.memory.carriers.look_again_in(self.timing.coalesce) {
            Some(soon) => later.min(Instant::now() + soon),
            None => later,
        };
        if !decision.plan.actions.iter().any(is_allowed) {
            return later;
        }
        // What is already due could not be done, so an immediate retry is useless.
        let next = self.memory.next_due(&self.timing);
        next.map_or(later, |next| next.max(soonest).min(later))
    }

    /// Updates `known` from the switch; false if its state is not known.
    fn refresh(&mut self, known: &mut Known) -> bool {
        match self.switch.refresh(known) {
            Ok(learned) => {
                if learned == Refreshed::All {
                    // A gateway that was absent before may be about to boot.
                    self.served.set_runs(self.switch.name(), None, Instant::now());
                }
                self.memory.compare(&known.actual, &learned);
                self.memory.edits.observe(known, &learned, Timestamp::now());
                known.settle(Instant::now(), self.timing.down);
                true
            }
            Err(Unknown) => {
                self.served.set_runs(self.switch.name(), None, Instant::now());
                // A new connection may fix whatever failed.
                self.memory.troubles.clear();
                false
            }
        }
    }

    fn decide(&mut self, known: &Known, wanted: &Wanted, order: OrderState, control: &Control) -> Decision {
        let memory = &self.memory;
        let read = memory.order.as_ref().filter(|_| order != OrderState::None);
        let input = DecisionInput {
            switch: self.switch.name(),
            known,
            ours: &memory.ours,
            desired: &wanted.desired,
            wants: &memory.wants,
            key: &wanted.key,
            differences: &memory.differences,
            order: read.map(|read| &read.changes),
            is_carried_out: order == OrderState::CarriedOut,
            by_itself: self.mode == ReconcileMode::Apply && !control.is_paused(self.switch.name()),
            limits: self.limits,
        };
        let decision = input.decide(&self.served, Instant::now());
        if let Some(read) = self.memory.order.as_mut().filter(|_| order != OrderState::None) {
            read.changes
                .forget(&decision.progress.changed, &wanted.desired, self.switch.name());
        }
        decision
    }
}

/// Holds the lease of a switch while its state is known here.
async fn hold<S: Switch>(lease: Arc<Lease>, switch: Arc<S>) {
    let mut changed = switch.changed();
    let gauge = |lease: &Lease| {
        let is_ours = lease.term().is_some();
        ::metrics::gauge!(metrics::RECONCILE_LEASE, "switch" => switch.name().to_owned()).set(f64::from(is_ours));
    };
    loop {
        changed.mark_unchanged();
        if switch.is_known() {
            // The store has logged any Redis error.
            let _ = lease.renew_or_take().await;
            gauge(&lease);
            sleep(lease.interval()).await;
        } else {
            let _ = lease.release().await;
            gauge(&lease);
            let _ = changed.changed().await;
        }
    }
}
