//! Events and snapshots of the switches → the store. Sends no command that changes FreeSWITCH.
//!
//! One task a switch, of loops that share a view and a backlog: the connector reads events, the writer takes them to Redis, the surveyor compares
//! snapshots with what is stored (the doubter asks for one whenever Redis was away), the reviser compares the revisions after each, and the keeper
//! says in Redis whether the switch can be reached. Reading never waits for Redis.

mod backlog;
mod reviser;
mod sequence;
mod snapshot;
mod usable;
mod view;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt::{Display, Write as _};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use crate::backoff::Backoff;
use crate::event_socket::{
    self, Changes, Commands, Event, GatewayEvent, GatewayStatus, OpenError, QueryError, SNAPSHOT_CHUNK, Session,
    Subclass, SwitchAddress,
};
use crate::gateway::GatewayName;
use crate::health::{self, GatewayCounts, Health, Part};
use crate::metrics;
use crate::observed::{Applied, Change, Observation, Observed, Row, Sighting, Touched};
use crate::redis::StoreError;
use crate::registration::State;
use crate::shown::{MAX_SHOWN_BYTES, shown};
use crate::throttle::Throttle;
use backlog::{Backlog, Dropped, Entry, Limits};
use snapshot::Identity;
use view::{Changed, View};

/// Events that wait whole while Redis is away, a switch: about 40 MB.
const BACKLOG: usize = 20_000;
/// Memory for them, however long they are, and for what waits for the hashes alone.
const BACKLOG_BYTES: usize = 64 * 1024 * 1024;
/// What an event takes of it, about.
const EVENT_BYTES: usize = 2 * 1024;
/// Events in one script call: Redis's other clients wait a few milliseconds at most.
const BATCH: usize = 500;
/// Memory in one script call: three times what so many events take.
const BATCH_BYTES: usize = 3 * 1024 * 1024;
/// Memory for what is known of the gateways of one switch: 100,000 of them take a third.
const VIEW_BYTES: usize = 256 * 1024 * 1024;
/// So many events in a row that cannot be read are not FreeSWITCH's.
const UNREADABLE: u32 = 100;
/// Events that are taken in at once when they come faster than one by one.
const CHUNK: usize = 256;
/// A batch that is on its way for longer says that Redis takes none at the moment.
const STUCK: Duration = Duration::from_secs(1);
/// A switch that sends more than a busy Redis takes is held back so long at a time. FreeSWITCH keeps 100,000 events for a listener that is behind
/// (FACTS 33): more than 10,000 gateways tell in this time when all of them register anew.
const MOST_HELD: Duration = Duration::from_secs(30);
/// So many gateways are asked for by name, before a list of all is cheaper.
const FEW: usize = 32;
/// What is still unwritten when trunkd stops gets so long.
const LAST_FLUSH: Duration = Duration::from_secs(3);

const LIMITS: Limits = Limits {
    events: BACKLOG,
    bytes: BACKLOG_BYTES,
};

/// How often, how soon and how long. The defaults are what an operator gets; tests shorten them.
#[derive(Debug, Clone)]
pub struct Timing {
    pub connection: event_socket::Timing,
    /// A full comparison at least so often.
    pub resync_interval: Duration,
    /// A comparison that events asked for comes so much later: FreeSWITCH's ticks are a second apart.
    pub settle: Duration,
    /// Between two tries to reach a switch.
    pub first_retry: Duration,
    pub most_retry: Duration,
    /// The same when only an operator can mend it.
    pub refused_retry: Duration,
    /// How often Redis is told that the switch is connected.
    pub touch_interval: Duration,
    /// A switch that can't be reached for so long has its states marked stale.
    pub stale_after: Duration,
    /// A ping that is under way for so long is stuck.
    pub ping_limit: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            connection: event_socket::Timing::default(),
            resync_interval: Duration::from_secs(60),
            settle: Duration::from_millis(2500),
            first_retry: Duration::from_millis(200),
            most_retry: Duration::from_secs(10),
            refused_retry: Duration::from_secs(60),
            touch_interval: Duration::from_secs(5),
            stale_after: Duration::from_secs(60),
            ping_limit: view::PING_LIMIT,
        }
    }
}

/// The ingest of one switch.
pub struct Ingest {
    switch: SwitchAddress,
    observed: Observed,
    timing: Timing,
    health: Arc<Health>,
    shared: Mutex<Shared>,
    flushing: tokio::sync::Mutex<()>,
    /// Something waits in the backlog.
    work: Notify,
    /// Something of it was written.
    written: Notify,
    /// `Shared::survey_at` was moved.
    survey: Notify,
    /// A list of all gateways was read.
    listed: Notify,
    /// The connection came or went.
    moved: Notify,
    /// Counts changes of what is known of the switch, for [`Ingest::changed`].
    version: watch::Sender<u64>,
    unreadable_logs: Throttle,
    challenge_logs: Throttle,
    odd_logs: Throttle,
}

/// What runs on a switch, or what changed of it since it was asked for last.
#[derive(Debug, Clone)]
pub struct Running {
    /// Whether there are no gateways but these; else all others are as they were.
    pub is_all: bool,
    pub gateways: Vec<RunningGateway>,
    pub gone: Vec<Arc<str>>,
    /// The profiles that run.
    pub profiles: BTreeSet<String>,
    /// Second gateways of a name, with the other profile that they are in (FACTS 18).
    pub ghosts: Vec<(Arc<str>, String)>,
}

#[derive(Debug, Clone)]
pub struct RunningGateway {
    pub name: Arc<str>,
    /// `None` until an event or a snapshot names it.
    pub profile: Option<String>,
    pub state: Option<State>,
    /// `None` until the switch was asked; then what it answered.
    pub revision: Option<Option<String>>,
}

struct Shared {
    view: View,
    /// Since the first snapshot of this run.
    profiles: Option<BTreeSet<String>>,
    /// This run of the switch has announced its end.
    is_shutting_down: bool,
    backlog: Backlog,
    /// Since when Redis has taken nothing of it, though it was tried.
    writing_since: Option<Instant>,
    link: Link,
    /// When the next snapshot is due.
    survey_at: Instant,
    /// When one is due unless everything is known by then.
    look_at: Option<Instant>,
    /// But neither before this.
    quiet_until: Instant,
}

/// How we stand with the switch.
enum Link {
    Up {
        commands: Commands,
        changes: Changes,
        identity: Identity,
        since: Timestamp,
    },
    Down {
        since: Instant,
        /// The same by the clock
        at: Timestamp,
        /// The last error
        reason: Option<String>,
        /// Its states are marked stale, and nobody has seen it since this sighting.
        marked: Option<u64>,
    },
}

/// What the switch is to be asked for.
enum Due {
    /// All its gateways
    All,
    Some(Vec<Arc<str>>),
}

/// What a snapshot brought.
struct Survey {
    identity: Identity,
    sequence: u64,
    listed: Vec<GatewayStatus>,
}

impl Ingest {
    pub fn new(switch: SwitchAddress, observed: Observed, timing: Timing, health: Arc<Health>) -> Self {
        let now = Instant::now();
        let shared = Shared {
            view: View::default(),
            profiles: None,
            is_shutting_down: false,
            backlog: Backlog::new(LIMITS, observed.announces()),
            writing_since: None,
            link: Link::down(None),
            survey_at: now,
            look_at: None,
            quiet_until: now,
        };
        Self {
            switch,
            observed,
            timing,
            health,
            shared: Mutex::new(shared),
            flushing: tokio::sync::Mutex::default(),
            work: Notify::new(),
            written: Notify::new(),
            survey: Notify::new(),
            listed: Notify::new(),
            moved: Notify::new(),
            version: watch::Sender::new(0),
            unreadable_logs: Throttle::default(),
            challenge_logs: Throttle::default(),
            odd_logs: Throttle::default(),
        }
    }

    pub fn switch(&self) -> &str {
        &self.switch.name
    }

    /// Whether what runs on the switch is known: it is connected, and was read.
    pub fn is_known(&self) -> bool {
        self.lock().is_known()
    }

    /// What runs on the switch, as far as a snapshot and the events since tell; `None` while that is not known. For one reader, who keeps it:
    /// what was told once is not told again.
    pub fn news(&self) -> Option<Running> {
        let mut shared = self.lock();
        if !shared.is_known() {
            return None;
        }
        let profiles = shared.profiles.clone()?;
        let ghosts = shared.view.ghosts().to_vec();
        let (is_all, names) = match shared.view.take_changed() {
            Changed::All => (
                true,
                shared.view.rows().map(|(name, _)| name.clone()).collect::<Vec<_>>(),
            ),
            Changed::Only(names) => (false, names.into_iter().collect()),
        };
        let (mut gateways, mut gone) = (Vec::with_capacity(names.len()), Vec::new());
        for name in names {
            match shared.view.row(&name) {
                Some(row) => gateways.push(RunningGateway {
                    profile: row.profile.clone(),
                    state: row.state.clone(),
                    revision: shared.view.revision_is_known(&name).then(|| row.revision.clone()),
                    name,
                }),
                None => gone.push(name),
            }
        }
        Some(Running {
            is_all,
            gateways,
            gone,
            profiles,
            ghosts,
        })
    }

    /// The live gateways of this run of FreeSWITCH that are not on their way out, each with its revision. `None` as for
    /// [`Ingest::news`], and when it is another run.
    pub fn revisions(&self, core_uuid: &str) -> Option<HashMap<Arc<str>, String>> {
        let shared = self.lock();
        if !shared.is_known() || !shared.is_run(core_uuid) {
            return None;
        }
        let live = shared.view.rows().filter(|(name, row)| {
            let goes = matches!(row.state, Some(State::Unregister | State::Down));
            !goes && shared.view.revision_is_known(name)
        });
        Some(
            live.filter_map(|(name, row)| Some((name.clone(), row.revision.clone()?)))
                .collect(),
        )
    }

    /// Which live gateway of that name the switch has, if any: a number that its successor does not share. `None` as for [`Ingest::news`].
    pub fn instance(&self, gateway: &str) -> Option<Option<u64>> {
        let shared = self.lock();
        shared.is_known().then(|| shared.view.instance(gateway))
    }

    /// The connection for commands, and the run of FreeSWITCH that it is to.
    pub fn commands(&self) -> Option<(Commands, Changes)> {
        match &self.lock().link {
            Link::Up { commands, changes, .. } => Some((commands.clone(), changes.clone())),
            Link::Down { .. } => None,
        }
    }

    /// Asks the switch for the revisions of live gateways, and remembers them. In the order of the names, at most [`SNAPSHOT_CHUNK`] of them.
    ///
    /// # Errors
    /// As [`Commands::revisions`].
    pub async fn ask_revisions(
        &self,
        commands: &Commands,
        names: &[GatewayName],
    ) -> Result<Vec<Option<String>>, QueryError> {
        let instances: Vec<_> = {
            let shared = self.lock();
            names.iter().map(|name| shared.view.instance(name.as_str())).collect()
        };
        let revisions = commands.revisions(names).await?;
        let mut is_untold = false;
        let mut shared = self.lock();
        for ((name, instance), revision) in names.iter().zip(instances).zip(&revisions) {
            if let Some(instance) = instance {
                is_untold |= shared.view.set_revision(name.as_str(), instance, revision.clone());
            }
        }
        drop(shared);
        if is_untold {
            self.look_within(self.timing.settle);
        }
        self.bump();
        Ok(revisions)
    }

    /// Something is not as it was thought: compare soon.
    pub fn survey_soon(&self) {
        self.survey_within(self.timing.settle);
    }

    /// Tells whenever [`Ingest::news`] may have any.
    pub fn changed(&self) -> watch::Receiver<u64> {
        self.version.subscribe()
    }

    fn bump(&self) {
        self.version.send_modify(|version| *version += 1);
    }

    /// Runs until `stop`, then writes what it still holds.
    pub async fn run(self: Arc<Self>, stop: CancellationToken) {
        self.health.set(
            self.part(),
            health::State::Degraded,
            Some("not connected yet".to_owned()),
        );
        tokio::select! {
            () = self.connector() => {}
            () = self.writer() => {}
            () = self.surveyor() => {}
            () = self.reviser() => {}
            () = self.keeper() => {}
            () = self.doubter() => {}
            () = stop.cancelled() => {}
        }
        let last = async {
            while self.flush().await == Flushed::More {}
            let now = Timestamp::now();
            let sighting = match self.sighting() {
                Sighting::Connected { .. } => Sighting::Disconnected {
                    since: now,
                    reason: Some("trunkd was stopped".to_owned()),
                },
                disconnected => disconnected,
            };
            let _ = self.observed.touch(&sighting, now).await;
        };
        if timeout(LAST_FLUSH, last).await.is_err() {
            let waiting = self.lock().backlog.len();
            tracing::error!(
                switch = self.name(),
                waiting,
                "stopping with events that Redis did not take; they are lost"
            );
        }
    }

    // ---- the connector: the switch → view and backlog

    async fn connector(&self) {
        let mut backoff = Backoff::new(self.timing.first_retry, self.timing.most_retry);
        let mut told = String::new();
        loop {
            let wait = match Session::open(&self.switch, self.timing.connection).await {
                Ok(session) => {
                    self.count_connect("connected");
                    let opened = Instant::now();
                    let reason = self.listen(session).await;
                    self.disconnected(&reason);
                    // One that lets us in and throws us out is not to be hammered, nor to fill the log.
                    if opened.elapsed() > self.timing.most_retry {
                        backoff.reset();
                        told.clear();
                    }
                    if reason != told {
                        tracing::warn!(switch = self.name(), address = %self.switch.address, "lost the switch: {reason}");
                        told = reason;
                    }
                    backoff.delay()
                }
                Err(error) => {
                    self.count_connect(error.kind());
                    let reason = bounded(&error);
                    if reason != told {
                        self.tell_unreachable(&error);
                        told.clone_from(&reason);
                    }
                    self.unreachable(reason);
                    if error.needs_an_operator() {
                        self.timing.refused_retry
                    } else {
                        backoff.delay()
                    }
                }
            };
            sleep(wait).await;
        }
    }

    fn tell_unreachable(&self, error: &OpenError) {
        let (switch, address) = (self.name(), &self.switch.address);
        if error.needs_an_operator() {
            tracing::error!(switch, %address, "cannot use the switch: {}", bounded(error));
        } else {
            tracing::warn!(switch, %address, "cannot reach the switch, trying on: {}", bounded(error));
        }
    }

    /// Takes events in until the connection ends; answers why.
    async fn listen(&self, mut session: Session) -> String {
        let identity = Identity {
            switchname: self.switch.name.clone(),
            hostname: session.hostname.clone(),
            core_uuid: session.core_uuid.clone(),
        };
        let core: Arc<str> = identity.core_uuid.as_str().into();
        tracing::info!(switch = self.name(), address = %self.switch.address, core_uuid = %core, "connected to the switch");
        self.connected(session.commands.clone(), session.changes.clone(), identity);
        let (mut arrived, mut events, mut held_since, mut unreadable) = (Vec::new(), Vec::new(), None, 0);
        loop {
            self.make_room(&mut held_since).await;
            if let Err(lost) = session.next(&mut arrived, CHUNK).await {
                return bounded(&lost);
            }
            let read = |json| self.read(json, &core, &mut events, &mut unreadable);
            let end = arrived.drain(..).find_map(read);
            let end = end.or(self.take(&core, &mut events));
            if let Some(reason) = end {
                return reason;
            }
        }
    }

    /// Waits while Redis takes events, but slower than they come: TCP and the switch hold them meanwhile, so that the channel and the list lose none.
    /// Not for a Redis that takes none.
    async fn make_room(&self, held_since: &mut Option<Instant>) {
        loop {
            {
                let shared = self.lock();
                let room = shared.backlog.room(EVENT_BYTES);
                if room > BACKLOG / 2 {
                    *held_since = None;
                }
                if room >= CHUNK || shared.writing_since.is_some_and(|since| since.elapsed() > STUCK) {
                    return;
                }
            }
            if held_since.get_or_insert_with(Instant::now).elapsed() > MOST_HELD {
                return;
            }
            let _ = timeout(STUCK / 10, self.written.notified()).await;
        }
    }

    /// Reads one event; answers why the connection is to end, if it is. `unreadable` counts those in a row that could not be read.
    fn read(&self, json: Bytes, core: &str, events: &mut Vec<GatewayEvent>, unreadable: &mut u32) -> Option<String> {
        let event = match Event::parse(json) {
            Ok(event) => event,
            Err(error) => {
                let error = bounded(&error);
                if let Some(more) = self.unreadable_logs.pass(std::time::Instant::now()) {
                    let message = "an event could not be read; a snapshot makes up for it";
                    tracing::error!(switch = self.name(), %error, more, "{message}");
                }
                self.count_dropped("unreadable", 1);
                self.survey_within(self.timing.settle);
                *unreadable += 1;
                let is_nonsense = *unreadable >= UNREADABLE;
                return is_nonsense.then(|| format!("{UNREADABLE} events in a row could not be read: {error}"));
            }
        };
        *unreadable = 0;
        match event {
            Event::Gateway(event) if event.core_uuid != core => return Some("it was restarted".to_owned()),
            Event::Gateway(event) if event.switchname != self.switch.name => {
                return Some(format!("it now calls itself \"{}\"", shown(&event.switchname)));
            }
            Event::Gateway(event) => events.push(event),
            Event::Heartbeat { sequence } => {
                if let Some(sequence) = sequence {
                    self.lock().view.hear(sequence);
                }
            }
            Event::Other(_) => {}
            Event::ProfileStart => self.survey_within(self.timing.settle),
            Event::Shutdown => self.shutting_down(),
        }
        None
    }

    /// The last events still tell of the gateways; but nothing is to be changed on this run any more.
    fn shutting_down(&self) {
        self.lock().is_shutting_down = true;
        tracing::info!(switch = self.name(), "FreeSWITCH is shutting down");
        let reason = "FreeSWITCH is shutting down".to_owned();
        self.health.set(self.part(), health::State::Degraded, Some(reason));
        self.bump();
    }

    /// mod_sofia does not answer: what it runs is not known until it was read again.
    pub fn not_ready(&self) {
        self.lock().profiles = None;
        self.bump();
        self.survey_within(self.timing.settle);
    }

    /// Starts afresh with this run of the switch.
    fn connected(&self, commands: Commands, changes: Changes, identity: Identity) {
        let mut shared = self.lock();
        shared.view = View::new(self.timing.ping_limit);
        shared.profiles = None;
        shared.is_shutting_down = false;
        shared.link = Link::Up {
            commands,
            changes,
            identity,
            since: Timestamp::now(),
        };
        shared.survey_at = Instant::now();
        shared.quiet_until = shared.survey_at;
        drop(shared);
        let reason = "connected; its gateways are not read yet".to_owned();
        self.health.set(self.part(), health::State::Degraded, Some(reason));
        ::metrics::gauge!(metrics::SWITCH_CONNECTED, "switch" => self.label()).set(1.0);
        self.moved.notify_one();
        self.survey.notify_one();
    }

    fn disconnected(&self, reason: &str) {
        self.lock().link = Link::down(Some(reason.to_owned()));
        self.health
            .set(self.part(), health::State::Degraded, Some(reason.to_owned()));
        self.bump();
        ::metrics::gauge!(metrics::SWITCH_CONNECTED, "switch" => self.label()).set(0.0);
        self.moved.notify_one();
    }

    /// The last error while it cannot be reached.
    fn unreachable(&self, error: String) {
        if let Link::Down { reason, .. } = &mut self.lock().link
            && reason.as_ref() != Some(&error)
        {
            *reason = Some(error.clone());
            self.moved.notify_one();
        }
        self.health.set(self.part(), health::State::Degraded, Some(error));
    }

    /// Takes events in, in the order they came; answers why the connection is to end, if it is.
    fn take(&self, core: &Arc<str>, events: &mut Vec<GatewayEvent>) -> Option<String> {
        if events.is_empty() {
            return None;
        }
        let (mut of_subclass, mut older, mut odd) = ([0; Subclass::ALL.len()], 0, 0);
        let mut shared = self.lock();
        for event in events.drain(..) {
            let was_challenged = shared
                .view
                .row(&event.gateway)
                .is_some_and(|row| row.challenge.is_some());
            let meaning = shared.view.event(&event);
            of_subclass[event.subclass as usize] += 1;
            older += u64::from(meaning.older);
            odd += u64::from(meaning.odd);
            if meaning.odd {
                self.tell_odd(&event);
            }
            if matches!(meaning.change, Change::Note(_)) && !was_challenged {
                self.tell_challenge(&event);
            }
            shared.backlog.push(Entry {
                core_uuid: core.clone(),
                observation: Observation {
                    sequence: event.sequence,
                    gateway: event.gateway,
                    change: meaning.change,
                    mark: meaning.mark,
                    json: event.json,
                    announce: true,
                    is_odd: meaning.odd,
                },
            });
        }
        let (dropped, unsettled) = (shared.backlog.take_dropped(), shared.view.take_unsettled());
        let is_too_much = shared.view.bytes() > VIEW_BYTES;
        drop(shared);
        self.work.notify_one();
        self.bump();
        if unsettled {
            self.survey_within(self.timing.settle);
        }
        if of_subclass[Subclass::Add as usize] > 0 {
            self.look_within(self.timing.settle);
        }
        self.dropped(dropped);
        self.count_dropped("hash", odd);
        ::metrics::counter!(metrics::EVENTS_STALE, "switch" => self.label()).increment(older);
        for (subclass, count) in Subclass::ALL
            .into_iter()
            .zip(of_subclass)
            .filter(|(_, count)| *count > 0)
        {
            ::metrics::counter!(metrics::EVENTS, "switch" => self.label(), "subclass" => subclass.as_str())
                .increment(count);
        }
        let reason = || format!("it tells of more gateways than {} MiB hold", VIEW_BYTES / 1024 / 1024);
        is_too_much.then(reason)
    }

    fn dropped(&self, dropped: Dropped) {
        self.count_dropped("channel_and_list", dropped.announcements);
        self.count_dropped("hash", dropped.states);
        if dropped.states > 0 {
            self.survey_within(self.timing.settle);
        }
    }

    fn tell_odd(&self, event: &GatewayEvent) {
        if let Some(more) = self.odd_logs.pass(std::time::Instant::now()) {
            tracing::warn!(
                switch = self.name(),
                gateway = %shown(&event.gateway),
                sequence = event.sequence,
                more,
                "an event's sequence is far from those before it: it changes no state, a snapshot tells it"
            );
        }
    }

    fn tell_challenge(&self, event: &GatewayEvent) {
        if let Some(more) = self.challenge_logs.pass(std::time::Instant::now()) {
            tracing::warn!(
                switch = self.name(),
                gateway = %shown(&event.gateway),
                realm = %shown(event.realm.as_deref().unwrap_or_default()),
                more,
                "FreeSWITCH did not answer a carrier's challenge, since its sender is none of the gateway's hosts: set \
                 the gateway's gw-auth-acl to a list of acl.conf that holds the sender's address"
            );
        }
    }

    // ---- the writer: backlog → Redis

    async fn writer(&self) {
        let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(2));
        loop {
            match self.flush().await {
                Flushed::All => {
                    backoff.reset();
                    self.work.notified().await;
                }
                Flushed::More => backoff.reset(),
                Flushed::Failed => sleep(backoff.delay()).await,
            }
        }
    }

    /// Takes one batch to Redis; one at a time, so that order is kept.
    async fn flush(&self) -> Flushed {
        let _alone = self.flushing.lock().await;
        if !self.forget_sequences().await {
            return Flushed::Failed;
        }
        let batch = {
            let mut shared = self.lock();
            let batch = shared.backlog.take(BATCH, BATCH_BYTES);
            if !batch.is_empty() {
                shared.writing_since.get_or_insert_with(Instant::now);
            }
            batch
        };
        let Some(first) = batch.first() else {
            return Flushed::All;
        };
        let core = first.core_uuid.clone();
        // Given back if this is cancelled in the middle: writing a batch twice has one effect.
        let mut batch = GiveBack { ingest: self, batch };
        let applied = match self.observed.apply(&core, &batch.batch).await {
            Ok(Applied::Forgotten) => {
                tracing::warn!(
                    switch = self.name(),
                    "Redis lost what it knew of the switch; writing it again"
                );
                self.survey_within(Duration::ZERO);
                match self.observed.begin(&core).await {
                    Ok(_) => return Flushed::More,
                    Err(_) => return Flushed::Failed,
                }
            }
            Ok(Applied::Done {
                applied,
                older,
                repeated,
                of_other_run,
            }) => {
                if of_other_run {
                    self.survey_within(Duration::ZERO);
                }
                (applied, older + repeated)
            }
            Err(_) => {
                // Whatever Redis goes through, a comparison is due afterwards.
                self.survey_within(self.timing.settle);
                return Flushed::Failed;
            }
        };
        let written = std::mem::take(&mut batch.batch);
        self.lock().writing_since = None;
        self.written.notify_one();
        if written.iter().any(|entry| !entry.observation.announce) {
            self.survey_within(self.timing.settle);
        }
        ::metrics::counter!(metrics::EVENTS_STORED, "switch" => self.label()).increment(applied.0);
        ::metrics::counter!(metrics::EVENTS_STALE, "switch" => self.label()).increment(applied.1);
        Flushed::More
    }

    /// When what was believed of the run's sequences is not any more, Redis has to forget it first. False when it could not.
    async fn forget_sequences(&self) -> bool {
        let core = {
            let mut shared = self.lock();
            let turned = shared.view.take_turned();
            let Link::Up { identity, .. } = &shared.link else {
                return true;
            };
            if !turned {
                return true;
            }
            let (core, heard) = (identity.core_uuid.clone(), shared.view.heard());
            shared.backlog.distrust(&core, heard);
            core
        };
        tracing::warn!(
            switch = self.name(),
            "its events have other sequences than before: what is known of their order is forgotten"
        );
        let is_done = self.observed.distrust(&core).await.is_ok();
        if !is_done {
            self.lock().view.turn();
        }
        self.survey_within(self.timing.settle);
        is_done
    }

    // ---- the surveyor: snapshots → Redis

    async fn surveyor(&self) {
        let mut backoff = Backoff::new(Duration::from_millis(500), Duration::from_secs(10));
        loop {
            let due = self.survey_due().await;
            let up = {
                let shared = self.lock();
                match &shared.link {
                    Link::Up { commands, identity, .. } if !shared.is_shutting_down => {
                        Some((commands.clone(), identity.clone()))
                    }
                    Link::Up { .. } | Link::Down { .. } => None,
                }
            };
            let Some((commands, identity)) = up else {
                self.moved_survey(self.timing.resync_interval);
                continue;
            };
            if let Due::Some(names) = due {
                if self.inspect(&commands, &identity, names).await.is_err() {
                    // Which tells what is the matter.
                    self.survey_within(self.timing.settle);
                }
                continue;
            }
            self.moved_survey(self.timing.resync_interval);
            match self.survey(&commands, identity).await {
                Ok(()) => {
                    backoff.reset();
                    self.count_snapshot("done");
                }
                Err(SurveyError::RedisAway) => {
                    self.count_snapshot("redis_away");
                    self.survey_within(backoff.delay());
                }
                Err(SurveyError::Outdated) => {
                    self.count_snapshot("outdated");
                    self.survey_within(backoff.delay());
                }
                Err(SurveyError::Switch(error)) => {
                    self.count_snapshot("failed");
                    let error = bounded(&error);
                    tracing::warn!(switch = self.name(), "the list of gateways could not be read: {error}");
                    self.health.set(self.part(), health::State::Degraded, Some(error));
                    self.survey_within(backoff.delay());
                }
            }
        }
    }

    /// Redis was lost and found: after a failover, or a crash, it lacks the last of what it had acknowledged, though no write of ours failed.
    async fn doubter(&self) {
        let mut found = self.observed.found();
        while found.changed().await.is_ok() {
            self.survey_within(self.timing.settle);
            // A Redis that is lost again and again is no reason to ask the switch all the time.
            sleep(self.timing.settle * 4).await;
        }
        std::future::pending().await
    }

    async fn survey_due(&self) -> Due {
        loop {
            let due = {
                let mut shared = self.lock();
                let now = Instant::now();
                if shared.look_at.is_some_and(|at| at <= now) {
                    shared.look_at = None;
                    let open: Vec<_> = shared.view.open().take(FEW + 1).cloned().collect();
                    if open.len() > FEW || shared.profiles.is_none() {
                        shared.survey_at = shared.survey_at.min(now);
                    } else if !open.is_empty() {
                        return Due::Some(open);
                    }
                }
                let at = shared.survey_at.max(shared.quiet_until);
                if at <= now {
                    return Due::All;
                }
                shared.look_at.map_or(at, |look| look.min(at))
            };
            tokio::select! {
                () = sleep_until(due) => {}
                () = self.survey.notified() => {}
            }
        }
    }

    /// Asks the switch what it has, and sets right what Redis says otherwise.
    async fn survey(&self, commands: &Commands, identity: Identity) -> Result<(), SurveyError> {
        let failed = |error: QueryError| {
            if matches!(error, QueryError::NoSofia) {
                self.lock().profiles = None;
            }
            SurveyError::Switch(error.to_string())
        };
        // Redis is only told of a run that answers: a dead one's connection may look alive yet.
        if commands.core_uuid().await.map_err(failed)? != identity.core_uuid {
            return Err(SurveyError::Outdated);
        }
        let begun = self.observed.begin(&identity.core_uuid).await;
        if begun.is_err() && self.lock().is_run(&identity.core_uuid) {
            // The switch itself is well.
            self.health.set(self.part(), health::State::Ok, None);
        }
        let reflected = begun?;
        let before = self.observed.read().await?.rows;
        let sequence = reflected.max(self.lock().view.heard());
        let asked = Instant::now();
        let listed = commands.gateways().await.map_err(failed)?;
        // The lists are made under locks that call set-up needs: leave those alone for most of the time, whatever events ask for.
        let quiet = |since: Instant| (since.elapsed() * 10).min(self.timing.resync_interval);
        let quiet_until = asked + quiet(asked);
        let survey = Survey {
            identity,
            sequence,
            listed,
        };
        let now = Timestamp::now();
        let unasked = {
            let mut shared = self.lock();
            shared.quiet_until = quiet_until;
            if !shared.is_run(&survey.identity.core_uuid) {
                return Ok(());
            }
            if shared.profiles.is_none() {
                let rows = before
                    .into_iter()
                    .filter_map(|(name, row)| Some((name, serde_json::from_str(&row).ok()?)));
                // In a run that Redis did not know yet every gateway was started anew.
                let kept = |row: Row| Row {
                    revision: None,
                    challenge: row.challenge.filter(|_| reflected > 0),
                    ..row
                };
                shared.view.seed(rows.map(|(name, row)| (name, kept(row))));
            }
            shared.view.absorb(&survey.listed, survey.sequence, now);
            let unasked = shared.view.unasked().map(|(name, instance)| (name.clone(), instance));
            let mut names = Vec::new();
            for (name, instance) in unasked.collect::<Vec<_>>() {
                match GatewayName::parse(&name) {
                    Ok(name) => names.push(name),
                    // It cannot be ours.
                    Err(_) => drop(shared.view.set_revision(&name, instance, None)),
                }
            }
            names
        };
        self.bump();
        for names in unasked.chunks(SNAPSHOT_CHUNK) {
            self.ask_revisions(commands, names).await.map_err(failed)?;
        }
        // Asked last: while mod_sofia is being unloaded, no gateway seems to have a revision, and this fails.
        let asked = Instant::now();
        let profiles = commands.profiles().await.map_err(failed)?;
        {
            let mut shared = self.lock();
            shared.quiet_until += quiet(asked);
            if shared.is_run(&survey.identity.core_uuid) {
                shared.profiles = Some(profiles.into_iter().collect());
                self.health.set(self.part(), health::State::Ok, None);
            }
        }
        self.bump();
        self.listed.notify_one();
        self.mend(&survey, now).await
    }

    /// Asks the switch for a few gateways, each by its name, and has Redis say what it answers.
    async fn inspect(&self, commands: &Commands, identity: &Identity, names: Vec<Arc<str>>) -> Result<(), SurveyError> {
        let failed = |error: QueryError| SurveyError::Switch(error.to_string());
        let sequence = self.lock().view.newest();
        let mut answers = Vec::with_capacity(names.len());
        for name in names {
            // Of a name that no command may carry only a list tells.
            let gateway = GatewayName::parse(&name).map_err(|error| SurveyError::Switch(error.to_string()))?;
            answers.push((name, commands.gateway(&gateway).await.map_err(failed)?));
        }
        let now = Timestamp::now();
        let (taken, unasked) = {
            let mut shared = self.lock();
            if !shared.is_run(&identity.core_uuid) {
                return Ok(());
            }
            let taken = shared.view.absorb_some(&answers, sequence, now);
            let unasked = taken.iter().filter(|name| !shared.view.revision_is_known(name));
            let unasked: Vec<_> = unasked.filter_map(|name| GatewayName::parse(name).ok()).collect();
            (taken, unasked)
        };
        self.bump();
        self.ask_revisions(commands, &unasked).await.map_err(failed)?;
        if taken.is_empty() {
            self.look_again();
            return Ok(());
        }
        // Events that the answers reflect go first, so that they are not taken for differences.
        while self.flush().await == Flushed::More {}
        let stored = self.observed.read_some(&taken).await?;
        let mends: Vec<_> = {
            let mut shared = self.lock();
            if !shared.is_run(&identity.core_uuid) {
                return Ok(());
            }
            let taken: Vec<_> = taken
                .into_iter()
                .filter(|name| shared.view.is_as_of(name, sequence))
                .collect();
            shared.view.told_of(&taken);
            let row = |name: &Arc<str>| Some((name.clone(), shared.view.row(name)?));
            let rows = taken.iter().filter_map(row);
            rows.map(|(name, row)| snapshot::set_right(&stored, &name, row, identity, sequence, now))
                .collect()
        };
        let mended = self.observed.mend_some(&identity.core_uuid, sequence, &mends).await?;
        let mended = mended.ok_or(SurveyError::Outdated)?;
        tracing::debug!(
            switch = self.name(),
            asked = answers.len(),
            mended,
            "gateways looked at by name"
        );
        self.look_again();
        Ok(())
    }

    async fn mend(&self, survey: &Survey, now: Timestamp) -> Result<(), SurveyError> {
        // Events that the snapshot reflects go first, so that they are not taken for differences.
        while self.flush().await == Flushed::More {}
        let stored = self.observed.read().await?;
        let mends = {
            let mut shared = self.lock();
            if !shared.is_run(&survey.identity.core_uuid) {
                return Ok(());
            }
            shared.view.told();
            snapshot::differences(&stored, &shared.view, &survey.identity, survey.sequence, now)
        };
        let mended = self
            .observed
            .mend(&survey.identity.core_uuid, survey.sequence, &mends)
            .await?
            .ok_or(SurveyError::Outdated)?;
        if mended > 0 {
            tracing::info!(
                switch = self.name(),
                mended,
                "gateway states in Redis differed from the switch and were set right"
            );
            ::metrics::counter!(metrics::SNAPSHOT_CORRECTIONS, "switch" => self.label()).increment(mended);
        }
        self.look_again();
        Ok(())
    }

    /// What was looked at may have changed meanwhile.
    fn look_again(&self) {
        let (unsettled, is_open) = {
            let view = &mut self.lock().view;
            (view.take_unsettled(), view.open().next().is_some())
        };
        if unsettled {
            self.survey_within(self.timing.settle);
        }
        if is_open {
            self.look_within(self.timing.settle);
        }
    }

    /// A snapshot is due within `wait`, or sooner if one is due sooner already.
    fn survey_within(&self, wait: Duration) {
        let at = Instant::now() + wait;
        let mut shared = self.lock();
        if at < shared.survey_at {
            shared.survey_at = at;
            drop(shared);
            self.survey.notify_one();
        }
    }

    /// Unless events and answers have told everything, and Redis too, by then, the switch is asked for what is missing within `wait`: by name, or
    /// where it is much, for a snapshot, since the list is made under a lock that call set-up needs.
    fn look_within(&self, wait: Duration) {
        let at = Instant::now() + wait;
        let mut shared = self.lock();
        if shared.look_at.is_none_or(|look| at < look) {
            shared.look_at = Some(at);
            drop(shared);
            self.survey.notify_one();
        }
    }

    fn moved_survey(&self, wait: Duration) {
        self.lock().survey_at = Instant::now() + wait;
    }

    // ---- the keeper: whether the switch can be reached → Redis

    async fn keeper(&self) {
        loop {
            self.keep().await;
            self.gauge();
            let _ = timeout(self.timing.touch_interval, self.moved.notified()).await;
        }
    }

    async fn keep(&self) {
        let sighting = self.sighting();
        let touched = self.observed.touch(&sighting, Timestamp::now()).await;
        match (sighting, touched) {
            (Sighting::Connected { .. }, Ok(touched)) if !touched.is_known => self.survey_within(Duration::ZERO),
            // Whatever Redis goes through, a comparison is due afterwards.
            (Sighting::Connected { .. }, Err(_)) => self.survey_within(self.timing.settle),
            (Sighting::Disconnected { .. }, Ok(touched)) => {
                if self.is_to_be_marked(&touched)
                    && let Ok(Some(rows)) = self.mark_stale().await
                {
                    self.stale(rows, &touched);
                }
            }
            _ => {}
        }
    }

    fn sighting(&self) -> Sighting {
        match &self.lock().link {
            Link::Up { identity, since, .. } => Sighting::Connected {
                core_uuid: identity.core_uuid.clone(),
                since: *since,
            },
            Link::Down { at, reason, .. } => Sighting::Disconnected {
                since: *at,
                reason: reason.clone(),
            },
        }
    }

    /// Whether the switch has been out of reach for so long that its states are to be marked. While another trunkd sees it they are
    /// that one's to write, and when it sees it no longer they are to be marked again.
    fn is_to_be_marked(&self, touched: &Touched) -> bool {
        let limit = self.timing.stale_after;
        let is_seen = touched.unseen.is_some_and(|unseen| unseen < limit);
        match &self.lock().link {
            Link::Down { since, marked, .. } => {
                !is_seen && since.elapsed() >= limit && *marked != Some(touched.sighted_ms.unwrap_or_default())
            }
            Link::Up { .. } => false,
        }
    }

    fn stale(&self, rows: u64, touched: &Touched) {
        if let Link::Down { marked, .. } = &mut self.lock().link {
            *marked = Some(touched.sighted_ms.unwrap_or_default());
        }
        let seconds = self.timing.stale_after.as_secs();
        tracing::warn!(
            switch = self.name(),
            rows,
            "out of reach for {seconds} s: its gateways' states are marked stale"
        );
    }

    async fn mark_stale(&self) -> Result<Option<u64>, StoreError> {
        let stored = self.observed.read().await?;
        self.observed
            .mark_stale(
                &snapshot::stale_items(&stored, &self.switch.name),
                self.timing.stale_after,
            )
            .await
    }

    fn gauge(&self) {
        let shared = self.lock();
        let mut states = BTreeMap::<_, u32>::new();
        let (mut counts, mut challenges) = (GatewayCounts::default(), 0_u32);
        for (_, row) in shared.view.rows() {
            let state = row.state.as_ref().map_or("", |state| state.as_str());
            *states.entry(metrics::state_label(state)).or_default() += 1;
            *match row.usable {
                Some(true) => &mut counts.usable,
                Some(false) => &mut counts.not_usable,
                None => &mut counts.unknown,
            } += 1;
            counts.ping_stuck += u32::from(row.ping_stuck);
            challenges += u32::from(row.challenge.is_some());
        }
        let (waiting, is_known) = (shared.backlog.len(), shared.is_known());
        drop(shared);
        self.health.set_gateways(&self.part(), is_known.then_some(counts));
        for state in metrics::STATE_LABELS {
            let count = states.get(state).copied().unwrap_or_default();
            ::metrics::gauge!(metrics::SWITCH_GATEWAYS, "switch" => self.label(), "state" => state).set(count);
        }
        let usable = [counts.usable, counts.not_usable, counts.unknown];
        for (word, count) in metrics::USABLE_LABELS.into_iter().zip(usable) {
            ::metrics::gauge!(metrics::SWITCH_USABLE, "switch" => self.label(), "usable" => word).set(count);
        }
        ::metrics::gauge!(metrics::SWITCH_PINGS_STUCK, "switch" => self.label()).set(counts.ping_stuck);
        ::metrics::gauge!(metrics::SWITCH_CHALLENGES, "switch" => self.label()).set(challenges);
        #[allow(clippy::cast_precision_loss, reason = "a queue's length is far below 2^52")]
        ::metrics::gauge!(metrics::INGEST_BACKLOG, "switch" => self.label()).set(waiting as f64);
    }

    fn count_dropped(&self, target: &'static str, count: u64) {
        if count > 0 {
            ::metrics::counter!(metrics::EVENTS_DROPPED, "switch" => self.label(), "target" => target).increment(count);
        }
    }

    fn count_connect(&self, outcome: &'static str) {
        ::metrics::counter!(metrics::SWITCH_CONNECTS, "switch" => self.label(), "outcome" => outcome).increment(1);
    }

    fn count_snapshot(&self, outcome: &'static str) {
        ::metrics::counter!(metrics::SNAPSHOTS, "switch" => self.label(), "outcome" => outcome).increment(1);
    }

    fn name(&self) -> &str {
        &self.switch.name
    }

    fn label(&self) -> String {
        self.switch.name.clone()
    }

    fn part(&self) -> Part {
        Part::Switch(self.switch.name.clone())
    }

    fn lock(&self) -> MutexGuard<'_, Shared> {
        // A panic in here would leave a view that the next snapshot sets right.
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shared {
    fn is_known(&self) -> bool {
        let answers = matches!(&self.link, Link::Up { commands, .. } if !commands.is_over());
        answers && !self.is_shutting_down && self.profiles.is_some()
    }

    /// Whether this is still the run that we are connected to.
    fn is_run(&self, core: &str) -> bool {
        matches!(&self.link, Link::Up { identity, .. } if identity.core_uuid == core)
    }
}

impl Link {
    fn down(reason: Option<String>) -> Self {
        Self::Down {
            since: Instant::now(),
            at: Timestamp::now(),
            reason,
            marked: None,
        }
    }
}

/// An error as it is logged and shown. It may quote the switch, at any length.
fn bounded(error: &impl Display) -> String {
    // Our longest messages, with what they quote.
    const MOST_CHARS: usize = 1024;
    // Of four bytes each: what is shown whole.
    const PIECE_CHARS: usize = MAX_SHOWN_BYTES / 4;
    let text = error.to_string();
    let start: Vec<char> = text.chars().take(MOST_CHARS + 1).collect();
    let pieces = start[..start.len().min(MOST_CHARS)].chunks(PIECE_CHARS);
    let mut out: String = pieces
        .map(|piece| shown(&String::from_iter(piece)).to_string())
        .collect();
    if start.len() > MOST_CHARS {
        let _ = write!(out, "… ({} bytes)", text.len());
    }
    out
}

#[derive(Debug, PartialEq, Eq)]
enum Flushed {
    All,
    More,
    Failed,
}

enum SurveyError {
    /// The store has told why.
    RedisAway,
    /// Another run, or another trunkd's snapshot, is newer.
    Outdated,
    Switch(String),
}

impl From<StoreError> for SurveyError {
    fn from(_: StoreError) -> Self {
        Self::RedisAway
    }
}

/// A batch on its way; what is still in it when it is dropped goes back to the backlog.
struct GiveBack<'a> {
    ingest: &'a Ingest,
    batch: Vec<Entry>,
}

impl Drop for GiveBack<'_> {
    fn drop(&mut self) {
        if !self.batch.is_empty() {
            self.ingest.lock().backlog.put_back(std::mem::take(&mut self.batch));
        }
    }
}
