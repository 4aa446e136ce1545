//! Carries out the plans of one switch: one plan at a time, one reload at a time, paced, each action verified and told once.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use jiff::{SignedDuration, Timestamp};
use tokio::sync::{Mutex, watch};
use tokio::time::{Instant, sleep, sleep_until, timeout_at};
use tokio_util::sync::CancellationToken;

use super::diff::{Action, Actual, Differences, Plan, Want};
use super::guard::{Hold, Limits, Verdict, judge};
use super::known::Known;
use super::plan_text::form;
use super::running::Running;
use super::served::{Given, Served, Start};
use crate::backoff::Backoff;
use crate::event_socket::{Changes, CommandError, Commands, Killed, Permit, QueryError};
use crate::gateway::{Desired, Entries, EntryChange, GatewayName, ProfileName};
use crate::health::{self, Health, Part};
use crate::metrics;
use crate::settings::{ReconcileMode, ReconcileSettings};
use crate::shown::shown;
use crate::sofia_conf::RevisionKey;
use crate::store::{Control, Lease, Order, Report, Store, Term};

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
/// An order that nobody began within this time is nobody's wish any more. Long enough for clocks that differ.
const ORDER_LASTS: SignedDuration = SignedDuration::from_mins(10);
/// Nor is one that was begun so long ago, whatever kept it from its end.
const BEGUN_ORDER_LASTS: SignedDuration = SignedDuration::from_mins(60);

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
    mode: ReconcileMode,
    limits: Limits,
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
    /// What was told of conflicts and holds, so that it is told once.
    told: BTreeSet<String>,
    /// Removals, and since when they are wanted.
    doomed: BTreeMap<GatewayName, Instant>,
    /// What the plan before had to do: an edit that came since goes first.
    pending: BTreeSet<GatewayName>,
    report: Report,
    /// These revisions have their forms in Redis.
    forms: BTreeSet<String>,
    /// When Redis was told last which ones this switch needs.
    forms_needed_at: Option<Instant>,
    /// The order that is carried out, and the last one that was.
    ordered: Option<String>,
    order: Option<String>,
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
        let lease = Lease::new(shared.store.clone(), switch.name(), shared.holder, timing.lease);
        Self {
            switch,
            wanting: shared.wanting,
            served: shared.served,
            running: shared.running,
            store: shared.store,
            lease: Arc::new(lease),
            health: shared.health,
            mode: settings.mode,
            limits: Limits {
                max_removals: settings.max_removals,
            },
            timing,
            pace: Mutex::new(Pace::new(settings.starts_per_second)),
            reload: Mutex::new(()),
            memory: Memory::default(),
            started: Instant::now(),
        }
    }

    /// Until `stop`. What runs on the switch stays as it is then.
    pub async fn run(self, stop: CancellationToken) {
        let lease = self.lease.clone();
        let holding = hold(lease.clone(), self.switch.clone());
        tokio::select! {
            () = self.act_on_changes() => {}
            () = holding => {}
            () = stop.cancelled() => {}
        }
        // Left to its end if Redis does not answer.
        let _ = lease.release().await;
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
        let Ok(learned) = self.switch.learn(known) else {
            // Whatever was the matter, with a new connection it is worth another try.
            self.memory.troubles.clear();
            return later;
        };
        self.memory.compare(&known.actual, &learned);
        let Ok(control) = self.store.read_control().await else {
            return later;
        };
        let Some(wanted) = self.wanting.wanted().await else {
            return later;
        };
        let name = self.switch.name().to_owned();
        tracing::trace!(switch = %name, "what is wanted is known");
        let term = self.lease.term();
        if term.is_some() && term != self.memory.term {
            tracing::info!(switch = %name, "this trunkd changes the switch from now on");
            self.memory.begin(term);
        }
        if term.is_none() {
            // Another trunkd's to tell.
            self.memory.troubles.clear();
            // And to write: whoever gets the lease begins with all of them.
            self.memory.unwritten.clear();
        }
        let order = self.order(&name, &control, term).await;
        // Whoever carries an order out, it was approved for all.
        let learned = self.learned(&name, &control).cloned();
        let approvals = order.as_ref().or(learned.as_ref());
        let approved: BTreeSet<_> = approvals.iter().flat_map(|order| parsed(&order.removals)).collect();
        let adopt: BTreeSet<_> = order.iter().flat_map(|order| parsed(&order.adopt)).collect();
        self.served.approve(&name, approved.clone());

        self.want(&wanted, &name, &known.actual);
        let memory = &self.memory;
        let plan = known.plan(&memory.differences, &wanted.desired, &memory.wants, &adopt);
        let mut unserved = self.served.decide(&name, &wanted.desired).1;
        if let (Some(hold), Some(_)) = (&unserved, approvals) {
            // What the switch does not run was in no plan that somebody could approve, and nothing is lost with it.
            let idle = hold
                .removals
                .iter()
                .filter(|name| !known.actual.gateways.contains_key(*name));
            self.served
                .approve(&name, approved.iter().chain(idle).cloned().collect());
            unserved = self.served.decide(&name, &wanted.desired).1;
        }
        if let Some(learned) = learned {
            self.memory.order = Some(learned.id);
        }
        let approved = if order.is_some() { approved } else { BTreeSet::new() };
        let held = unserved.or_else(|| self.judge(&known.actual, &plan, &wanted.desired, &approved));
        let paused = control.is_paused(&name);
        let starts_by_itself = held.is_none() && self.mode == ReconcileMode::Apply && !paused;
        self.running.is_kept_complete(&name, starts_by_itself);
        self.forget_mended(&plan, &known.unsettled);
        if let Some(order) = &order
            && self.memory.ordered.as_ref() != Some(&order.id)
        {
            // Whoever orders may have mended what FreeSWITCH refused.
            self.memory.troubles.clear();
            self.memory.ordered = Some(order.id.clone());
        }
        let actions = self.due(&plan, order.is_some());
        self.tell(&plan, held.as_ref(), paused);
        if term.is_none() {
            return later;
        }
        self.keep_forms(&wanted, &known.actual).await;
        let may_act = starts_by_itself || (held.is_none() && order.is_some());
        if may_act && !actions.is_empty() {
            tracing::trace!(switch = %name, actions = actions.len(), "acting");
            self.act(actions).await;
            self.report(&plan, held.as_ref(), paused).await;
            return Instant::now();
        }
        if let Some(order) = order {
            self.finish(&name, order, held.as_ref()).await;
        }
        self.report(&plan, held.as_ref(), paused).await;
        if !may_act {
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

    /// What is ordered and not carried out yet.
    async fn order(&self, switch: &str, control: &Control, term: Option<Term>) -> Option<Order> {
        let order = control.orders.get(switch)?;
        let is_over = !order.is_current(Timestamp::now()) || (order.done_at.is_none() && self.is_forgotten(order));
        if is_over && term.is_some() {
            if order.done_at.is_none() {
                tracing::warn!(switch, order = %shown(&order.id), "ordered at {}, too long ago to be meant still", order.at);
            }
            let _ = self.store.drop_order(switch, &order.id).await;
        }
        let is_ours = order.done_at.is_none() && self.memory.order.as_ref() != Some(&order.id);
        (is_ours && !is_over).then(|| order.clone())
    }

    /// An order that another trunkd carried out, when it is first heard of.
    fn learned<'a>(&self, switch: &str, control: &'a Control) -> Option<&'a Order> {
        let order = control.orders.get(switch)?;
        let is_news = order.done_at.is_some() && self.memory.order.as_ref() != Some(&order.id);
        (is_news && order.is_current(Timestamp::now())).then_some(order)
    }

    /// Whether nobody took the order up when it was given.
    fn is_forgotten(&self, order: &Order) -> bool {
        let is_begun = self.memory.ordered.as_ref() == Some(&order.id);
        let lasts = if is_begun { BEGUN_ORDER_LASTS } else { ORDER_LASTS };
        Timestamp::now().duration_since(order.at) > lasts
    }

    /// Brings the wants up to date; a gateway that did not change keeps its revision.
    fn want(&mut self, wanted: &Wanted, switch: &str, actual: &Actual) {
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

    fn judge(&self, actual: &Actual, plan: &Plan, desired: &Desired, approved: &BTreeSet<GatewayName>) -> Option<Hold> {
        let removals = plan.removals();
        if removals.is_empty() {
            return None;
        }
        let vanished = desired.counts().is_empty();
        match judge(&actual.ours(), &removals, vanished, &self.limits, approved) {
            Verdict::Go => None,
            Verdict::Hold(hold) => Some(hold),
        }
    }

    /// What may be tried now, in the order in which it is to be: an edit that came since the last plan does not wait behind a flood. So that the
    /// next one doesn't either, this is a round of the work at most, after which there is a new plan.
    fn due(&mut self, plan: &Plan, is_ordered: bool) -> Vec<Action> {
        let now = Instant::now();
        let memory = &mut self.memory;
        // A program that writes a domain anew may take it away first: what is gone must be gone for a moment.
        let removals = plan.removals();
        memory.doomed.retain(|name, _| removals.contains(name));
        for name in removals {
            memory.doomed.entry(name).or_insert(now);
        }
        let is_young = |since: &Instant| !is_ordered && now.duration_since(*since) < self.timing.confirm;
        let waits = |action: &&Action| match memory.troubles.get(action.gateway()) {
            Some(trouble) => trouble.again.is_none_or(|again| again > now),
            None => memory.doomed.get(action.gateway()).is_some_and(is_young),
        };
        let due = plan.actions.iter().filter(|action| !waits(action)).cloned();
        let (waited, mut due): (Vec<_>, Vec<_>) = due.partition(|action| memory.pending.contains(action.gateway()));
        due.extend(waited);
        memory.pending = plan.actions.iter().map(|action| action.gateway().clone()).collect();
        due
    }

    /// A trouble is over when nothing is to be done about the gateway any more, or something else.
    fn forget_mended(&mut self, plan: &Plan, unsettled: &BTreeSet<GatewayName>) {
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
    fn tell(&mut self, plan: &Plan, held: Option<&Hold>, paused: bool) {
        let name = self.switch.name().to_owned();
        let mut now: BTreeSet<String> = plan.conflicts.iter().map(ToString::to_string).collect();
        now.extend(held.map(ToString::to_string));
        for fresh in now.difference(&self.memory.told) {
            tracing::warn!(switch = %name, "{fresh}");
        }
        for over in self.memory.told.difference(&now) {
            tracing::info!(switch = %name, "no longer so: {over}");
        }
        let part = Part::Reconcile(name.clone());
        match held
            .map(ToString::to_string)
            .or_else(|| plan.conflicts.first().map(ToString::to_string))
            .or_else(|| self.first_trouble())
        {
            Some(reason) => self.health.set(part, health::State::Degraded, Some(reason)),
            None => {
                let other = self
                    .lease
                    .other()
                    .map(|other| format!("trunkd {other} changes this switch"));
                let reason = if paused { Some("paused".to_owned()) } else { other };
                self.health.set(part, health::State::Ok, reason);
            }
        }
        self.memory.told = now;
        let counts = [
            (metrics::RECONCILE_HELD, usize::from(held.is_some())),
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

    /// Writes down for `status` and `apply` how things stand, when that changed.
    async fn report(&mut self, plan: &Plan, held: Option<&Hold>, paused: bool) {
        let count = |wanted: fn(&Action) -> bool| plan.actions.iter().filter(|action| wanted(action)).count();
        let pending = plan
            .actions
            .iter()
            .filter_map(|action| Some((action.gateway().to_string(), action.to()?.revision.clone())));
        let troubles = self
            .memory
            .troubles
            .iter()
            .map(|(name, trouble)| (name.to_string(), trouble.reason.clone()));
        let report = Report {
            mode: self.mode.as_str().to_owned(),
            paused,
            start: count(|action| matches!(action, Action::Start { .. })),
            restart: count(|action| matches!(action, Action::Restart { .. })),
            kill: count(|action| matches!(action, Action::Kill { .. })),
            unchanged: plan.unchanged,
            held: held.map(Hold::summary),
            conflicts: plan.conflicts.iter().map(ToString::to_string).collect(),
            troubles: troubles.collect(),
            pending: pending.collect(),
            order: self.memory.order.clone(),
            removals_left: None,
            at: None,
        };
        if report != self.memory.report {
            let dated = Report {
                at: Some(Timestamp::now()),
                ..report.clone()
            };
            if self.store.write_report(self.switch.name(), &dated).await.is_ok() {
                self.memory.report = report;
            }
        }
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

    /// An order is over when nothing is left of it that can be done now. So is one whose plan is held all the same, since there is more in it
    /// by now than somebody saw: approvals never wait for a later plan.
    async fn finish(&mut self, switch: &str, order: Order, held: Option<&Hold>) {
        if self.store.order_done(switch, &order).await.is_ok() {
            match held {
                None => tracing::info!(switch, order = %shown(&order.id), "carried out what was ordered"),
                Some(hold) => {
                    tracing::warn!(switch, order = %shown(&order.id), "not carried out what was ordered: {hold}")
                }
            }
            self.served.approve(switch, BTreeSet::new());
            self.memory.order = Some(order.id);
        }
    }
}

impl Memory {
    /// What runs is known to be something else.
    fn compare(&mut self, actual: &Actual, learned: &Learned) {
        match learned {
            Learned::Anew => self.differences = Differences::between(&self.wants, actual),
            Learned::Changes(changed) => {
                for name in changed {
                    self.differences.look(name, &self.wants, actual);
                }
            }
        }
    }

    /// From here on this trunkd changes the switch. What it remembers of its deeds may be older than another's, and what it told is overwritten.
    fn begin(&mut self, term: Option<Term>) {
        self.term = term;
        self.troubles.clear();
        self.report = Report::default();
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

fn parsed(names: &BTreeSet<String>) -> impl Iterator<Item = GatewayName> {
    names.iter().filter_map(|name| GatewayName::parse(name).ok())
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
