//! Carries out the plans of one switch: one plan at a time, one reload at a time, paced, each action verified and told once.

mod orders;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use imbl::OrdSet;
use tokio::sync::{Mutex, watch};
use tokio::time::{Instant, sleep, sleep_until, timeout_at};
use tokio_util::sync::CancellationToken;

use super::decision::{Decision, Look, Word};
use super::diff::{Action, Actual, Differences, Have, Plan, Want};
use super::guard::{Held, Limits};
use super::known::Known;
use super::ledger::Ledger;
use super::plan_text::form;
use super::reporter::Reporter;
use super::running::Running;
use super::served::{Given, Served, Start};
use super::told::Told;
use crate::backoff::Backoff;
use crate::control::{Control, Lease, OrderReport, Report, Term};
use crate::event_socket::{Changes, CommandError, Commands, Killed, Permit, QueryError};
use crate::gateway::RevisionKey;
use crate::gateway::{Desired, Entries, EntryChange, GatewayName, ProfileName};
use crate::health::{self, Health, Part};
use crate::metrics;
use crate::redis::Store;
use crate::settings::{ReconcileMode, ReconcileSettings};
use crate::shown::shown;
use orders::{OrderState, ReadOrder};

/// Restarts that wait for their deletes at once: a tick or two each (FACTS 22).
const AT_ONCE: usize = 64;
/// From so many starts of one profile on, `startgw _all_` with an answer of just those is cheaper than as many reloads (FACTS 21).
const BATCH_FROM: usize = 16;
/// The most gateways in such an answer: 1 MiB is the most that FreeSWITCH reads by itself (FACTS 5).
const BATCH_MOST: usize = 500;
/// FreeSWITCH is believed that it does not take a version when it refused it so many times in a row: an answer that it gave up waiting for, or
/// could not read, looks the same.
const REFUSALS: u32 = 3;
/// A reconciler says so many times in [`Timing::forms_kept`] which forms it needs.
const FORMS_NEEDED_EVERY: u32 = 24;

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

/// A switch, as the executor needs it.
pub trait Switch: Send + Sync + 'static {
    fn name(&self) -> &str;
    /// Whether what runs is known in full.
    fn is_known(&self) -> bool;
    /// Brings `known`, which is the only one that is ever brought up to date, to what runs.
    fn learn(&self, known: &mut Known) -> Result<Learned, Unknown>;
    /// Which live gateway of that name it has, if any: a number that its successor does not share. `Err` while nobody can tell.
    fn instance(&self, gateway: &GatewayName) -> Result<Option<u64>, Unknown>;
    /// Tells of every change of these three.
    fn changed(&self) -> watch::Receiver<u64>;
    /// The connection for commands.
    fn commands(&self) -> Option<(Commands, Changes)>;
    /// Asks for the revisions of live gateways, and remembers the answers.
    fn ask_revisions(
        &self,
        commands: &Commands,
        gateways: &[GatewayName],
    ) -> impl Future<Output = Result<Vec<Option<String>>, QueryError>> + Send;
    /// Something is not as it was thought.
    fn survey_soon(&self);
    /// Nothing can be changed on it until what runs there was read again.
    fn not_ready(&self);
}

/// What is to be looked at again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Learned {
    /// Everything
    Anew,
    /// These gateways; with the profiles and the ghosts, which are few.
    Changes(Vec<GatewayName>),
}

/// The switch is not connected, or not read yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unknown;

/// Where the desired gateways come from.
pub trait Wanting: Send + Sync + 'static {
    /// What Redis wants now; `None` when it cannot be read.
    fn wanted(&self) -> impl Future<Output = Option<Wanted>> + Send;
    /// Tells that it may have changed.
    fn changed(&self) -> watch::Receiver<u64>;
}

pub struct Wanted {
    pub desired: Arc<Desired>,
    pub key: RevisionKey,
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

/// What is remembered between plans.
#[derive(Default)]
struct Memory {
    wants: BTreeMap<GatewayName, Want>,
    /// Between `wants` and what runs
    differences: Differences,
    /// What `wants` were made of.
    made_of: Option<(Arc<Desired>, RevisionKey)>,
    /// Wants whose forms are not written down yet.
    unwritten: BTreeSet<GatewayName>,
    troubles: HashMap<GatewayName, Trouble>,
    told: Told,
    is_held: bool,
    /// In this step.
    leads: bool,
    /// Removals, and since when they are wanted.
    doomed: BTreeMap<GatewayName, Instant>,
    /// What the plan before had to do: an edit that came since goes first.
    pending: BTreeSet<GatewayName>,
    /// The gateways that run and are ours
    ours: OrdSet<GatewayName>,
    /// These revisions have their forms in Redis.
    forms: BTreeSet<String>,
    /// When Redis was told last which ones this switch needs.
    forms_needed_at: Option<Instant>,
    /// The order that was read last.
    order: Option<ReadOrder>,
    last_order: Option<OrderReport>,
    /// When it was last read which removals all trunkd know of; `None`: not in this term.
    removals_read: Option<Instant>,
    /// When it was last read what the other trunkd say.
    others_read: Option<Instant>,
    /// In which the lease was ours the last time.
    term: Option<Term>,
}

/// Why a gateway is not as it should be.
struct Trouble {
    /// Of the version that failed: another one is tried at once.
    revision: Option<String>,
    reason: String,
    /// How many times in a row FreeSWITCH refused it.
    refusals: u32,
    /// `None`: this version is not tried again.
    again: Option<Instant>,
    backoff: Backoff,
}

/// How an action ended.
enum Outcome {
    Done,
    /// FreeSWITCH does not take this version.
    Refused(String),
    Failed(String),
    /// Not done, or not to its end: another trunkd may change the switch by now.
    Yielded,
    /// Not done, or not to its end: the switch shuts down, or the connection to it ended. That says nothing about the
    /// gateway.
    Interrupted,
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
        self.forget_resolved(&decision.plan, &known.unsettled);
        self.begin_order(order, &decision);
        let paused = control.is_paused(self.switch.name());
        let starts_by_itself = decision.held.is_none() && self.mode == ReconcileMode::Apply && !paused;
        self.running.is_kept_complete(self.switch.name(), starts_by_itself);
        let actions = self.due(&decision);
        self.tell(&decision, &control);
        if term.is_none() {
            self.report(&decision, &wanted.desired, &control).await;
            return later;
        }
        self.keep_forms(&wanted, &known.actual).await;
        if order == OrderState::Current && !actions.iter().any(|(_, word)| *word == Word::Order) {
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
        let again = self.memory.troubles.values().filter_map(|trouble| trouble.again);
        let doomed = self.memory.doomed.values().map(|since| *since + self.timing.confirm);
        // What is due already was not done, so there is no use in looking at once.
        let soonest = Instant::now() + self.timing.coalesce;
        again
            .chain(doomed)
            .min()
            .map_or(later, |next| next.max(soonest).min(later))
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
        let look = Look {
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

    /// What a switch is served that cannot be seen at the moment is told of too: a hold of that must be known, and released.
    async fn serve_unseen(&mut self, order: OrderState, desired: &Arc<Desired>, control: &Control) {
        let name = self.switch.name().to_owned();
        let mut released = BTreeSet::new();
        if let Some(read) = self.memory.order.as_mut().filter(|_| order != OrderState::None) {
            read.changes.forget(&BTreeSet::new(), desired, &name);
            released.extend(read.changes.removable(desired, &name).cloned());
        }
        self.served.accept(&name, desired, &released);
        self.served.approve(&name, released);
        let mut held = self.served.decide(&name, desired, Instant::now()).1;
        if held.is_some() && self.others_agree(desired).await {
            held = self.served.decide(&name, desired, Instant::now()).1;
        }
        let part = Part::Reconcile(name.clone());
        if let Some(held) = held {
            self.health.set(part, health::State::Degraded, Some(held.to_string()));
        } else if self.memory.is_held {
            self.health.set(part, health::State::Ok, None);
        }
        self.memory.is_held = held.is_some();
        self.memory.told.hold(&name, held.as_ref());
        if order == OrderState::Current
            && let Some(read) = &mut self.memory.order
            && read.changes.changes_nothing()
        {
            // There was nothing to be done but to release it.
            read.is_finished = self.store.order_done(&name, &read.head).await.is_ok();
        }
        if order != OrderState::None
            && let Some(read) = &self.memory.order
        {
            self.memory.last_order = Some(OrderReport {
                id: read.head.id.clone(),
                done: read.changes.changes_nothing(),
                ..OrderReport::default()
            });
        }
        let report = Report {
            mode: self.mode.as_str().to_owned(),
            paused: control.is_paused(&name),
            held: held.as_ref().map(Held::summary),
            held_back: self.held_back(held.as_ref(), desired),
            state: Some(self.served.state_name(desired)),
            last_order: self.memory.last_order.clone(),
            ..Report::default()
        };
        self.reporter.say(report).await;
    }

    /// The trunkd that changes the switch knows what it runs, and serves it just this: then it may be served so from here as well, though this one
    /// was away when that was approved, or when it went bit by bit.
    async fn others_agree(&mut self, desired: &Arc<Desired>) -> bool {
        let name = self.switch.name();
        let now = Instant::now();
        let is_fresh = |read: Instant| now.duration_since(read) < self.timing.interval / 2;
        if self.lease.term().is_some() || self.memory.others_read.is_some_and(is_fresh) {
            return false;
        }
        self.memory.others_read = Some(now);
        let Ok(reports) = self.store.read_all_reports().await else {
            return false;
        };
        let agree = reports.agree(name, &self.holder, &self.served.state_name(desired));
        if agree {
            self.served.agree(name, desired);
        }
        agree
    }

    // ---- removals

    /// Learns which gateways went lately, from whatever trunkd knew it; and tells of those that only this one knows.
    async fn read_removals(&mut self, desired: &Arc<Desired>) {
        let (name, now) = (self.switch.name(), Instant::now());
        let is_fresh = |read: Instant| now.duration_since(read) < self.timing.interval;
        let is_shared = self.ledger.share(name).await;
        let is_known = self.memory.removals_read.is_some_and(is_fresh);
        if is_shared && is_known && !self.served.may_lose(name, desired) {
            return;
        }
        let is_read = is_shared && self.ledger.read(name).await;
        self.memory.removals_read = is_read.then_some(now);
    }

    /// Removals that nobody ordered are written down before they are done; those that cannot be are not done.
    async fn record_removals(&self, mut actions: Vec<(Action, Word)>) -> Vec<(Action, Word)> {
        let is_counted = |(action, word): &(Action, Word)| action.to().is_none() && *word == Word::Redis;
        let counted = actions.iter().filter(|action| is_counted(action));
        let removals: Vec<_> = counted.map(|(action, _)| action.gateway().clone()).collect();
        if removals.is_empty() {
            return actions;
        }
        let is_known = self.memory.removals_read.is_some();
        if !is_known || !self.ledger.record(self.switch.name(), &removals).await {
            actions.retain(|action| !is_counted(action));
        }
        actions
    }

    /// Brings the wants up to date; a gateway that did not change keeps its revision.
    fn want(&mut self, wanted: &Wanted, actual: &Actual) {
        let switch = self.switch.name();
        let memory = &mut self.memory;
        let before = memory.made_of.take().filter(|(_, key)| *key == wanted.key);
        let before = before.map(|(desired, _)| desired);
        memory.made_of = Some((wanted.desired.clone(), wanted.key.clone()));
        if before
            .as_ref()
            .is_some_and(|before| Arc::ptr_eq(before, &wanted.desired))
        {
            return;
        }
        let none = Entries::new();
        let known = before.as_ref().map_or(&none, |before| before.served());
        if before.is_none() {
            memory.wants.clear();
            memory.compare(actual, &Learned::Anew);
        }
        for change in EntryChange::between(known, wanted.desired.served()) {
            match change.now.filter(|entry| entry.gateway.serves(Some(switch))) {
                Some(entry) => {
                    memory.unwritten.insert(change.name.clone());
                    let want = Want::of(&entry.gateway, &wanted.key);
                    memory.wants.insert(change.name.clone(), want);
                }
                None => {
                    memory.wants.remove(change.name);
                    memory.unwritten.remove(change.name);
                }
            }
            memory.differences.look(change.name, &memory.wants, actual);
        }
    }

    /// What may be tried now, in the order in which it is to be: what was ordered first; then an edit that came since the last plan, so that it does
    /// not wait behind a flood. So that the next one doesn't either, this is a round of the work at most, after which there is a new plan.
    fn due(&mut self, decision: &Decision) -> Vec<(Action, Word)> {
        let now = Instant::now();
        let (memory, plan) = (&mut self.memory, &decision.plan);
        // A program that writes a domain anew may take it away first: what is gone must be gone for a moment.
        let removals = plan.removals();
        memory.doomed.retain(|name, _| removals.contains(name));
        for name in removals {
            memory.doomed.entry(name).or_insert(now);
        }
        let is_young = |since: &Instant| now.duration_since(*since) < self.timing.confirm;
        let waits = |action: &Action, word: Word| match memory.troubles.get(action.gateway()) {
            Some(trouble) => trouble.again.is_none_or(|again| again > now),
            None => word != Word::Order && memory.doomed.get(action.gateway()).is_some_and(is_young),
        };
        let mut due = Vec::new();
        for action in &plan.actions {
            if let Some(word) = decision.allows(action).filter(|word| !waits(action, *word)) {
                due.push((action.clone(), word));
            }
        }
        due.sort_by_key(|(action, word)| (*word != Word::Order, memory.pending.contains(action.gateway())));
        memory.pending = plan.actions.iter().map(|action| action.gateway().clone()).collect();
        due
    }

    /// A trouble is over when nothing is to be done about the gateway any more, or something else.
    fn forget_resolved(&mut self, plan: &Plan, unsettled: &BTreeSet<GatewayName>) {
        let planned: HashMap<_, _> = plan
            .actions
            .iter()
            .map(|action| (action.gateway(), action.to()))
            .collect();
        let same = |name: &GatewayName, trouble: &Trouble| match planned.get(name) {
            Some(to) => to.map(|to| &to.revision) == trouble.revision.as_ref(),
            None => unsettled.contains(name),
        };
        self.memory.troubles.retain(|name, trouble| same(name, trouble));
    }

    // ---- doing

    async fn act(&mut self, actions: Vec<Action>) {
        let Some((commands, changes)) = self.switch.commands() else {
            return;
        };
        let (batches, single) = in_batches(actions);
        // No round waits long for its pace, so that what is told of the work moves on.
        let round = self.pace.lock().await.burst().clamp(8, AT_ONCE);
        let this = &*self;
        let doing = futures_util::stream::iter(single.into_iter().take(round))
            .map(|action| async {
                let outcome = this.act_on(&action, &commands, &changes).await;
                (action, outcome)
            })
            .buffer_unordered(AT_ONCE);
        let mut done: Vec<_> = doing.collect().await;
        for (profile, mut actions) in batches {
            actions.truncate(self.pace.lock().await.burst().clamp(1, BATCH_MOST));
            done.extend(this.start_batch(&profile, actions, &commands, &changes).await);
        }
        for (action, outcome) in done {
            // What failed on a switch that went away meanwhile failed because of that.
            let interrupted = matches!(outcome, Outcome::Refused(_) | Outcome::Failed(_)) && !self.switch.is_known();
            self.note(&action, if interrupted { Outcome::Interrupted } else { outcome });
        }
    }

    async fn act_on(&self, action: &Action, commands: &Commands, changes: &Changes) -> Outcome {
        // Before the kill, so that no gateway is down longer than its replacing takes.
        if action.to().is_some_and(|to| to.registers) {
            self.pace.lock().await.take(1).await;
        }
        let before = self.switch.instance(action.gateway()).unwrap_or_default();
        if let Some(from) = action.from() {
            if !self.may_change() {
                return Outcome::Yielded;
            }
            match changes.kill(&from.profile, action.gateway(), self.permit()).await {
                Ok(Killed::Marked) => {}
                Ok(Killed::NoSuchGateway) => self.switch.survey_soon(),
                Err(error) => return self.unanswered(&error),
            }
            if action.awaits_deletion() || action.to().is_none() {
                match self.gone(action.gateway()).await {
                    Ok(true) => {}
                    Err(Unknown) => return Outcome::Interrupted,
                    Ok(false) => {
                        self.switch.survey_soon();
                        return Outcome::Failed(format!(
                            "it was killed, and is not gone after {:?}",
                            self.timing.delete
                        ));
                    }
                }
            }
        }
        match action.to() {
            Some(to) => self.start(action.gateway(), to, commands, changes, before).await,
            None => Outcome::Done,
        }
    }

    /// Asked right before each command that changes the switch: whatever kept us since the last one, another trunkd may do it by now.
    fn may_change(&self) -> bool {
        self.permit().holds()
    }

    /// The same, for a command that may wait before it is sent.
    fn permit(&self) -> Permit {
        let (lease, ours) = (self.lease.clone(), self.memory.term);
        Permit::new(move || ours.is_some() && lease.term() == ours)
    }

    /// How an action ended of which a command has no usable answer.
    fn unanswered(&self, error: &QueryError) -> Outcome {
        match error {
            QueryError::Command(CommandError::NotPermitted { .. }) => Outcome::Yielded,
            QueryError::Command(CommandError::Lost { .. }) => Outcome::Interrupted,
            QueryError::NoSofia => {
                self.switch.not_ready();
                Outcome::Interrupted
            }
            _ => Outcome::Failed(error.to_string()),
        }
    }

    /// Waits for a killed gateway's `gateway_delete`.
    async fn gone(&self, gateway: &GatewayName) -> Result<bool, Unknown> {
        self.until(self.timing.delete, || Ok(self.switch.instance(gateway)?.is_none()))
            .await
    }

    /// Waits for the `gateway_add` of what was started, so that its revision is booked on it, and the next plan does not start it again.
    /// `before` is what was there before.
    async fn appeared(&self, gateways: &[(&GatewayName, Option<u64>)]) {
        let is_new = |gateway: &GatewayName, before: &Option<u64>| {
            let now = self.switch.instance(gateway)?;
            Ok(now.is_some() && now != *before)
        };
        let all = || {
            gateways
                .iter()
                .try_fold(true, |all, (gateway, before)| Ok(all && is_new(gateway, before)?))
        };
        if self.until(self.timing.appear, all).await == Ok(false) {
            // Refused, or its event was lost.
            self.switch.survey_soon();
        }
    }

    /// Waits until `holds`; false after `limit`.
    async fn until(&self, limit: Duration, holds: impl Fn() -> Result<bool, Unknown>) -> Result<bool, Unknown> {
        let deadline = Instant::now() + limit;
        let mut changed = self.switch.changed();
        loop {
            changed.mark_unchanged();
            if holds()? {
                return Ok(true);
            }
            if timeout_at(deadline, changed.changed()).await.is_err() {
                return Ok(false);
            }
        }
    }

    async fn start(
        &self,
        gateway: &GatewayName,
        to: &Want,
        commands: &Commands,
        changes: &Changes,
        before: Option<u64>,
    ) -> Outcome {
        let (started, given) = {
            let _alone = self.reload.lock().await;
            if !self.may_change() {
                return Outcome::Yielded;
            }
            let name = self.switch.name();
            self.served.begin_start(name, &to.profile, Start::One(gateway.clone()));
            let started = changes.start(&to.profile, gateway, self.permit()).await;
            (started, self.served.end_start(name))
        };
        if let Err(error) = started {
            return self.unanswered(&error);
        }
        self.appeared(&[(gateway, before)]).await;
        match self.switch.ask_revisions(commands, std::slice::from_ref(gateway)).await {
            Ok(found) => verified(gateway, found.into_iter().next().flatten(), to, given.as_ref()),
            Err(error) => self.unanswered(&error),
        }
    }

    /// Starts many gateways of a profile together, as many as the pace allows.
    async fn start_batch(
        &self,
        profile: &ProfileName,
        actions: Vec<Action>,
        commands: &Commands,
        changes: &Changes,
    ) -> Vec<(Action, Outcome)> {
        let names: Vec<_> = actions.iter().map(|action| action.gateway().clone()).collect();
        let registering = actions
            .iter()
            .filter(|action| action.to().is_some_and(|to| to.registers))
            .count();
        self.pace.lock().await.take(registering).await;
        let (started, given) = {
            let _alone = self.reload.lock().await;
            if !self.may_change() {
                return actions.into_iter().map(|action| (action, Outcome::Yielded)).collect();
            }
            let (name, batch) = (self.switch.name(), Arc::new(names.iter().cloned().collect()));
            self.served.begin_start(name, profile, Start::Many(batch));
            let started = changes.start_all(profile, self.permit()).await;
            (started, self.served.end_start(name))
        };
        let found = match started {
            Ok(()) => {
                let new: Vec<_> = names.iter().map(|name| (name, None)).collect();
                self.appeared(&new).await;
                self.switch.ask_revisions(commands, &names).await
            }
            Err(error) => Err(error),
        };
        let outcomes: Vec<_> = match found {
            Ok(found) => actions
                .iter()
                .zip(found)
                .filter_map(|(action, found)| Some(verified(action.gateway(), found, action.to()?, given.as_ref())))
                .collect(),
            Err(error) => actions.iter().map(|_| self.unanswered(&error)).collect(),
        };
        actions.into_iter().zip(outcomes).collect()
    }

    // ---- telling

    fn note(&mut self, action: &Action, outcome: Outcome) {
        let (word, past) = match action {
            Action::Start { .. } => ("start", "started"),
            Action::Restart { .. } => ("restart", "restarted"),
            Action::Kill { .. } => ("kill", "killed"),
        };
        let (gateway, switch) = (action.gateway(), self.switch.name().to_owned());
        let domain = action.to().map_or("", |to| &*to.domain);
        let (label, reason, refused) = match outcome {
            Outcome::Done => ("done", None, false),
            Outcome::Refused(reason) => ("refused", Some(reason), true),
            Outcome::Failed(reason) => ("failed", Some(reason), false),
            Outcome::Yielded => {
                return tracing::debug!(%switch, %gateway, "left to another trunkd");
            }
            Outcome::Interrupted => {
                return tracing::debug!(%switch, %gateway, "could not {word}: the switch went away meanwhile");
            }
        };
        ::metrics::counter!(metrics::RECONCILE_ACTIONS, "switch" => switch.clone(), "action" => word, "outcome" => label).increment(1);
        let Some(reason) = reason else {
            self.memory.troubles.remove(gateway);
            return tracing::info!(%switch, %gateway, domain, "{past}");
        };
        let revision = action.to().map(|to| to.revision.clone());
        let trouble = self.memory.troubles.entry(gateway.clone()).or_insert_with(|| Trouble {
            revision: None,
            reason: String::new(),
            refusals: 0,
            again: None,
            backoff: Backoff::new(self.timing.first_retry, self.timing.most_retry),
        });
        let delay = trouble.backoff.delay();
        trouble.refusals = if refused { trouble.refusals + 1 } else { 0 };
        if trouble.refusals >= REFUSALS {
            trouble.again = None;
            tracing::error!(%switch, %gateway, domain, "could not {word}, and it is not tried again until it is edited, or until `trunkd apply`: {reason}");
        } else {
            trouble.again = Some(Instant::now() + delay);
            if trouble.reason != reason {
                tracing::warn!(%switch, %gateway, domain, "could not {word}, trying again: {reason}");
            }
        }
        trouble.revision = revision;
        trouble.reason = reason;
    }

    /// Logs holds and conflicts once, and sets the health and the metrics.
    fn tell(&mut self, decision: &Decision, control: &Control) {
        let name = self.switch.name().to_owned();
        let (plan, held) = (&decision.plan, decision.held.as_ref());
        self.memory.told.now(&name, held, &plan.conflicts);
        self.memory.is_held = held.is_some();
        let wrong = held
            .map(ToString::to_string)
            .or_else(|| plan.conflicts.first().map(ToString::to_string))
            .or_else(|| self.first_trouble());
        let state = match wrong {
            Some(_) => health::State::Degraded,
            None => health::State::Ok,
        };
        let paused = control.paused_since(&name);
        let pause = paused.map(|since| {
            let since = shown(since);
            format!("paused since {since}: it is changed by orders alone until `trunkd resume`")
        });
        let other = self.lease.other().filter(|_| wrong.is_none());
        let other = other.map(|other| format!("trunkd {} changes this switch", shown(&other)));
        let reasons: Vec<_> = wrong.into_iter().chain(pause).chain(other).collect();
        let reason = (!reasons.is_empty()).then(|| reasons.join("; "));
        self.health.set(Part::Reconcile(name.clone()), state, reason);
        let counts = [
            (metrics::RECONCILE_HELD, usize::from(held.is_some())),
            (metrics::RECONCILE_PAUSED, usize::from(paused.is_some())),
            (metrics::RECONCILE_PENDING, plan.actions.len()),
            (metrics::RECONCILE_CONFLICTS, plan.conflicts.len()),
        ];
        for (metric, count) in counts {
            #[allow(clippy::cast_precision_loss, reason = "a count of gateways is far below 2^52")]
            ::metrics::gauge!(metric, "switch" => name.clone()).set(count as f64);
        }
    }

    fn first_trouble(&self) -> Option<String> {
        let troubles = &self.memory.troubles;
        let (gateway, trouble) = troubles.iter().min_by_key(|(name, _)| *name)?;
        let more = match troubles.len() - 1 {
            0 => String::new(),
            more => format!(" (and {more} more: `trunkd status`)"),
        };
        Some(format!("gateway {gateway}: {}{more}", trouble.reason))
    }

    /// Writes down for `status` and `apply` how things stand.
    async fn report(&self, decision: &Decision, desired: &Arc<Desired>, control: &Control) {
        let (plan, memory) = (&decision.plan, &self.memory);
        let count = |wanted: fn(&Action) -> bool| plan.actions.iter().filter(|action| wanted(action)).count();
        let pending = plan
            .actions
            .iter()
            .filter_map(|action| Some((action.gateway().to_string(), action.to()?.revision.clone())));
        let troubles = memory
            .troubles
            .iter()
            .map(|(name, trouble)| (name.to_string(), trouble.reason.clone()));
        let report = Report {
            mode: self.mode.as_str().to_owned(),
            paused: control.is_paused(self.switch.name()),
            leads: memory.leads,
            knows: true,
            start: count(|action| matches!(action, Action::Start { .. })),
            restart: count(|action| matches!(action, Action::Restart { .. })),
            kill: count(|action| matches!(action, Action::Kill { .. })),
            unchanged: plan.unchanged,
            held: decision.held.as_ref().map(Held::summary),
            held_back: self.held_back(decision.held.as_ref(), desired),
            state: Some(self.served.state_name(desired)),
            removals_left: Some(decision.removals_left(&memory.ours, self.limits)),
            conflicts: plan.conflicts.clone(),
            troubles: troubles.collect(),
            pending: pending.collect(),
            last_order: memory.last_order.clone(),
        };
        self.reporter.say(report).await;
    }

    fn held_back(&self, held: Option<&Held>, desired: &Arc<Desired>) -> BTreeSet<String> {
        let back = held
            .map(|_| self.served.held_back(self.switch.name(), desired))
            .unwrap_or_default();
        back.iter().map(ToString::to_string).collect()
    }

    /// Keeps what a plan needs to say which fields differ, of what runs and what is wanted.
    async fn keep_forms(&mut self, Wanted { desired, key }: &Wanted, actual: &Actual) {
        self.need_forms(actual).await;
        let memory = &mut self.memory;
        let unwritten = memory.unwritten.iter().filter_map(|name| {
            let revision = &memory.wants.get(name)?.revision;
            let entry = desired.served().get(name)?;
            (!memory.forms.contains(revision)).then(|| (revision.clone(), form(&entry.gateway, key)))
        });
        let forms: BTreeMap<_, _> = unwritten.collect();
        if !forms.is_empty() && self.store.write_forms(&forms).await.is_err() {
            return;
        }
        memory.unwritten.clear();
        memory.forms.extend(forms.into_keys());
    }

    /// Says at intervals which forms this switch needs, and writes again what Redis lost of them. What no switch of any
    /// trunkd has needed for long is dropped.
    async fn need_forms(&mut self, actual: &Actual) {
        let (now, kept) = (Instant::now(), self.timing.forms_kept);
        let memory = &mut self.memory;
        if memory
            .forms_needed_at
            .is_some_and(|at| now < at + kept / FORMS_NEEDED_EVERY)
        {
            return;
        }
        let wanted = memory.wants.values().map(|want| want.revision.clone());
        let runs = actual.gateways.values().filter_map(|have| have.revision.clone());
        let needed: BTreeSet<_> = wanted.chain(runs).collect();
        let Ok(missing) = self.store.need_forms(&needed).await else {
            return;
        };
        let lost = memory.wants.iter().filter(|(_, want)| missing.contains(&want.revision));
        memory.unwritten.extend(lost.map(|(name, _)| name.clone()));
        memory.forms = &needed - &missing;
        memory.forms_needed_at = Some(now);
        // By then every reconciler that runs has said what it needs, whatever was down before.
        if now.duration_since(self.started) > kept {
            let _ = self.store.drop_old_forms(kept).await;
        }
    }
}

impl Memory {
    /// What runs is known to be something else.
    fn compare(&mut self, actual: &Actual, learned: &Learned) {
        match learned {
            Learned::Anew => {
                self.differences = Differences::between(&self.wants, actual);
                self.ours = actual.ours().into_iter().collect();
            }
            Learned::Changes(changed) => {
                for name in changed {
                    self.differences.look(name, &self.wants, actual);
                    match actual.gateways.get(name).is_some_and(Have::is_ours) {
                        true => drop(self.ours.insert(name.clone())),
                        false => drop(self.ours.remove(name)),
                    }
                }
            }
        }
    }

    /// From here on this trunkd changes the switch. What it remembers of its deeds may be older than another's.
    fn begin(&mut self, term: Option<Term>) {
        self.term = term;
        self.troubles.clear();
        self.removals_read = None;
        self.forms_needed_at = None;
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

/// What FreeSWITCH has under a name after it was started, against what it was to have.
fn verified(gateway: &GatewayName, found: Option<String>, to: &Want, given: Option<&Given>) -> Outcome {
    let given = given.map(|given| given.holds(gateway, to));
    match found {
        Some(found) if found == to.revision => Outcome::Done,
        // By an edit in between, of which the next plan knows; or by another trunkd that wants something else.
        Some(found) => Outcome::Failed(format!(
            "FreeSWITCH was served another version of it, revision {found}: an edit came between, or its xml_curl binding asks another trunkd"
        )),
        None if given == Some(true) => Outcome::Refused(
            "FreeSWITCH does not have it after startgw, though it asked: either its log says why it was refused, or a gateway of this name that \
             is not ours, on its disk or in the template, came first"
                .to_owned(),
        ),
        None if given.is_some() => {
            Outcome::Failed("FreeSWITCH asked for it when this trunkd served another version of it, or none: an edit came between".to_owned())
        }
        None => Outcome::Failed(
            "FreeSWITCH did not ask this trunkd for it: see its log, and the gateway-url, the credentials and the time-out of its xml_curl binding"
                .to_owned(),
        ),
    }
}

/// Many starts of one profile are done together.
fn in_batches(actions: Vec<Action>) -> (BTreeMap<ProfileName, Vec<Action>>, Vec<Action>) {
    let (mut starts, mut single) = (BTreeMap::<_, Vec<_>>::new(), Vec::new());
    for action in actions {
        match &action {
            Action::Start { to, .. } => starts.entry(to.profile.clone()).or_default().push(action),
            Action::Restart { .. } | Action::Kill { .. } => single.push(action),
        }
    }
    starts.retain(|_, actions| {
        let few = actions.len() < BATCH_FROM;
        if few {
            single.append(actions);
        }
        !few
    });
    (starts, single)
}

/// Lets so many registrations begin in a second; the first ones at once.
struct Pace {
    per_second: u32,
    left: f64,
    at: Instant,
}

impl Pace {
    fn new(per_second: u32) -> Self {
        let per_second = per_second.max(1);
        Self {
            per_second,
            left: f64::from(per_second),
            at: Instant::now(),
        }
    }

    /// As many as may begin together.
    fn burst(&self) -> usize {
        usize::try_from(self.per_second).unwrap_or(usize::MAX)
    }

    async fn take(&mut self, count: usize) {
        let now = Instant::now();
        let rate = f64::from(self.per_second);
        self.left = (self.left + now.duration_since(self.at).as_secs_f64() * rate).min(rate);
        self.at = now;
        #[allow(clippy::cast_precision_loss, reason = "a batch is small")]
        let count = count as f64;
        self.left -= count;
        if self.left < 0.0 {
            sleep(Duration::from_secs_f64(-self.left / rate)).await;
        }
    }
}
