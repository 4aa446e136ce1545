//! Builds the parts, starts them, and stops them together. No rule about gateways or switches lives here.

mod live;
mod tasks;

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use sd_notify::NotifyState;
use socket2::{Domain, Socket, Type};
use tokio::runtime::Handle;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{oneshot, watch};
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::backoff::Backoff;
use crate::data_dir::{DataDir, DataDirError};
use crate::desired::{Catalog, LastGood, remove_leftovers};
use crate::embedded::{Embedded, EmbeddedError};
use crate::event_socket::SwitchAddress;
use crate::gateway::NameError;
use crate::health::{self, Health, Part};
use crate::ingest::{self, Ingest};
use crate::keys::StatusKeys;
use crate::metrics;
use crate::observed::Observed;
use crate::reconcile::{self, Executor, Served};
use crate::redis::{Options, Store, StoreError};
use crate::settings::{ReconcileMode, Settings, SettingsError};
use crate::shown::shown;
use crate::sofia_conf::TemplateError;
use crate::xml_curl::{Documents, UnknownSwitches};
pub use tasks::EndedEarly;

use crate::http::gate::{self, SwitchAddresses};
use crate::http::server as http;
use crate::http::tls::Tls;
use live::{LiveSource, LiveSwitch, TemplateFiles};
use tasks::Tasks;

/// From the signal to the end. Requests and tasks have what [`Embedded::STOP_LIMIT`] leaves of it: they need Redis, so it stops last.
const STOP_LIMIT: Duration = Duration::from_secs(5);

/// How often, how soon and how long. The defaults are what an operator gets; tests shorten them.
#[derive(Debug, Clone, Default)]
pub struct Timing {
    pub ingest: ingest::Timing,
    pub reconcile: reconcile::Timing,
}

/// A trunkd that is built and listens, but does nothing yet.
pub struct Application {
    listener: TcpListener,
    /// Gets the runtime of the first HTTP worker.
    http_runtime: oneshot::Sender<Handle>,
    embedded: Option<Embedded>,
    parts: Parts,
}

/// What the tasks work with.
struct Parts {
    settings: Settings,
    timing: Timing,
    store: Store,
    source: Arc<LiveSource>,
    health: Arc<Health>,
    _data_dir: Option<DataDir>,
    /// Ends the connection that Redis tells of changes on.
    _tracking: DropGuard,
}

#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    #[error(transparent)]
    Settings(#[from] SettingsError),
    #[error(transparent)]
    Templates(#[from] TemplateError),
    #[error("templates.default_profile: {0}")]
    DefaultProfile(NameError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    DataDir(#[from] DataDirError),
    #[error(transparent)]
    Embedded(#[from] EmbeddedError),
    #[error(transparent)]
    Http(#[from] http::BindError),
    #[error("cannot listen on {address}: {source}; choose another http.listen, or stop what listens there")]
    Listen { address: SocketAddr, source: io::Error },
    #[error(transparent)]
    EndedEarly(#[from] EndedEarly),
}

impl Application {
    /// Builds every part and opens the listening socket. `resync_interval` comes from the settings, the other timing as given.
    ///
    /// # Errors
    /// [`ServerError`]: whatever would keep trunkd from serving. A Redis or a switch that is away is none of that.
    pub async fn build(settings: Settings, timing: Timing) -> Result<Self, ServerError> {
        settings.validate_for_serve()?;
        metrics::install();
        let health = Arc::new(Health::new());
        for part in [Part::Redis, Part::Gateways] {
            health.set(part, health::State::Degraded, Some("not asked yet".to_owned()));
        }
        let templates = TemplateFiles::load(&settings, &health)?;
        let address = settings.http.listen;
        raise_open_files(&settings);
        let listener =
            listen(address, settings.http.max_connections).map_err(|source| ServerError::Listen { address, source })?;
        let data_dir = match DataDir::lock(&settings.data_dir).await {
            Ok(data_dir) => {
                remove_leftovers(&settings.data_dir);
                health.set(Part::DataDir, health::State::Ok, None);
                Some(data_dir)
            }
            // What it keeps is for another day; today there are switches to serve.
            Err(error) if !error.is_taken() && !settings.redis.embedded => {
                tracing::error!("{error}; a trunkd that starts while Redis is away will have nothing to serve");
                health.set(Part::DataDir, health::State::Degraded, Some(error.to_string()));
                None
            }
            Err(error) => return Err(error.into()),
        };
        let embedded = match &data_dir {
            Some(data_dir) if settings.redis.embedded => Some(Embedded::start(data_dir).await?),
            _ => None,
        };
        let store = Store::new(
            Options::from_settings(&settings.redis, &settings.data_dir)?,
            health.clone(),
        )?;
        store.check_server().await?;
        let rules = templates.rules(&templates.current.load())?;
        let tracking = CancellationToken::new();
        let (http_runtime, runtime) = oneshot::channel();
        let catalog = Catalog::tracking(store.clone(), rules, runtime, tracking.clone());
        let catalog = Arc::new(catalog);
        let guard = reconcile::Guard {
            limits: reconcile::Limits {
                max_removals: settings.reconcile.max_removals,
            },
            window: settings.reconcile.removals_window,
            confirm: timing.reconcile.confirm,
            settle: timing.reconcile.settle,
        };
        let kept = LastGood::load(&settings.data_dir).unwrap_or_else(|error| {
            tracing::error!("{error}");
            None
        });
        let restored = kept.map(|kept| {
            tracing::info!(at = %kept.at, domains = kept.domains.len(), "starting from the last good state");
            catalog.restore(kept)
        });
        let guard = (settings.reconcile.mode != ReconcileMode::Off).then_some(guard);
        let switches = settings.switches.iter().map(|switch| switch.name.clone());
        let served = Arc::new(Served::new(guard, restored, switches));
        let source = Arc::new(LiveSource {
            catalog,
            templates,
            health: health.clone(),
            running: Arc::default(),
            unknown: UnknownSwitches::new(settings.switches.iter().map(|switch| switch.name.clone())),
            ledger: reconcile::Ledger::new(store.clone(), served.clone(), settings.reconcile.removals_window),
            served,
            fresh: Mutex::default(),
            changes: watch::Sender::new(0),
        });
        let ingest = ingest::Timing {
            resync_interval: settings.reconcile.resync_interval,
            ..timing.ingest
        };
        let timing = Timing { ingest, ..timing };
        Ok(Self {
            listener,
            http_runtime,
            embedded,
            parts: Parts {
                settings,
                timing,
                store,
                source,
                health,
                _data_dir: data_dir,
                _tracking: tracking.drop_guard(),
            },
        })
    }

    /// Where it listens; tells the port when the settings left it open.
    pub fn address(&self) -> SocketAddr {
        self.listener.local_addr().unwrap_or(self.parts.settings.http.listen)
    }

    pub fn store(&self) -> &Store {
        &self.parts.store
    }

    /// Serves until `stop`; then answers what is being asked, writes what is held, and leaves the switches as they are. All that takes 5 s at most;
    /// what is cut then, the log tells.
    ///
    /// # Errors
    /// When the HTTP server cannot start, or when it or another part ends by itself.
    pub async fn run_until_stopped(self, stop: CancellationToken) -> Result<(), ServerError> {
        let Self {
            listener,
            http_runtime,
            embedded,
            parts,
        } = self;
        let (source, health) = (parts.source.clone(), parts.health.clone());
        let documents = Documents::new(parts.settings.redis.timeout);
        let switches = Arc::new(SwitchAddresses::new(&parts.settings.switches));
        let mut server = http::bind(
            listener,
            &parts.settings.http,
            switches.clone(),
            source,
            documents,
            health,
            metrics::install(),
        )?;
        let mut redis = Tasks::new(CancellationToken::new());
        if let Some(embedded) = embedded {
            redis.spawn("embedded Redis", |stop| embedded.supervise(stop));
        }
        let mut tasks = Tasks::new(stop.child_token());
        server.send_runtime_to(http_runtime);
        let tls = server.tls();
        tasks.spawn("HTTP server", |stop| async move {
            if let Err(error) = server.run(stop).await {
                tracing::error!("the HTTP server ended: {error}");
            }
        });
        tasks.spawn_cut("addresses of the switches", async move { switches.look_up().await });
        tasks.spawn("SIGHUP", |stop| reload_on_sighup(parts.source.clone(), tls, stop));
        parts.spawn(&mut tasks);
        tell_systemd(&[NotifyState::Ready]);

        let ended = tokio::select! {
            biased;
            () = stop.cancelled() => Ok(()),
            early = tasks.ended_early() => Err(early),
            early = redis.ended_early() => Err(early),
        };
        match &ended {
            Ok(()) => tracing::info!("stopping"),
            Err(early) => tracing::error!("stopping: {early}"),
        }
        tell_systemd(&[NotifyState::Stopping]);
        let deadline = Instant::now() + STOP_LIMIT;
        tasks.finish(deadline - Embedded::STOP_LIMIT).await;
        redis.finish(deadline).await;
        Ok(ended?)
    }
}

impl Parts {
    fn spawn(&self, tasks: &mut Tasks) {
        let names: Vec<_> = self
            .settings
            .switches
            .iter()
            .map(|switch| switch.name.clone())
            .collect();
        tasks.spawn_cut("upkeep of the metrics", metrics::upkeep(metrics::install()));
        tasks.spawn_cut(
            "reading at intervals",
            refresh(
                self.source.clone(),
                self.store.clone(),
                self.timing.ingest.resync_interval,
            ),
        );
        let source = self.source.clone();
        tasks.spawn_cut("changes in Redis", async move { source.watch().await });
        let has_executors = self.settings.reconcile.mode != ReconcileMode::Off;
        let instance = instance();
        let source = self.source.clone();
        let others = reconcile::Others::new(
            source.served.clone(),
            self.store.clone(),
            self.health.clone(),
            instance.clone(),
            if has_executors { names.clone() } else { Vec::new() },
        );
        let interval = self.timing.reconcile.interval;
        tasks.spawn("reports of what is held", |stop| others.beat(interval, stop));
        let data_dir = self.settings.data_dir.clone();
        tasks.spawn_cut("keeping the last good state", async move {
            source.keep(others, &data_dir, interval).await
        });
        let keys = Arc::new(StatusKeys::from(&self.settings.status));
        let observed = |name: &str| Observed::new(self.store.clone(), keys.clone(), name, instance.clone());
        for switch in &self.settings.switches {
            let address = SwitchAddress {
                name: switch.name.clone(),
                address: switch.address.to_string(),
                password: switch.password.clone(),
            };
            let ingest = Arc::new(Ingest::new(
                address,
                observed(&switch.name),
                self.timing.ingest.clone(),
                self.health.clone(),
            ));
            tasks.spawn(format_args!("ingest of {}", switch.name), |stop| {
                ingest.clone().run(stop)
            });
            if has_executors {
                let shared = reconcile::ExecutorContext {
                    source: self.source.clone(),
                    served: self.source.served.clone(),
                    running: self.source.running.clone(),
                    store: self.store.clone(),
                    holder: instance.clone(),
                    health: self.health.clone(),
                };
                let live = Arc::new(LiveSwitch(ingest));
                self.source.running.add(&switch.name, live.clone());
                let timing = self.timing.reconcile.clone();
                let executor = Executor::new(live, shared, &self.settings.reconcile, timing);
                tasks.spawn(format_args!("reconciler of {}", switch.name), |stop| executor.run(stop));
            }
        }
        let unseen = self.timing.ingest.stale_after;
        let forget = forget_removed(self.store.clone(), names, keys, instance, unseen);
        tasks.spawn_cut("switches that are gone", forget);
    }
}

/// As many may wait to be let in as may be in: a fleet that restarts comes all at once.
fn listen(address: SocketAddr, most: usize) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(i32::try_from(most).unwrap_or(i32::MAX))?;
    Ok(socket.into())
}

/// Every connection is an open file, and many systems allow a program 1,024 of these until it asks for more.
fn raise_open_files(settings: &Settings) {
    /// For Redis, the switches, files.
    const OTHERS: usize = 256;
    let connections = settings.http.max_connections;
    let most = gate::most_connections(connections, settings.switches.len());
    let wanted = u64::try_from(most.saturating_add(OTHERS)).unwrap_or(u64::MAX);
    let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else {
        return;
    };
    if soft >= wanted {
        return;
    }
    if let Err(error) = setrlimit(Resource::RLIMIT_NOFILE, wanted.min(hard), hard) {
        tracing::warn!("the limit of open files stays {soft}: {error}");
    } else if hard < wanted {
        tracing::warn!(
            "this process may open {hard} files, and http.max_connections = {connections} needs {wanted}: raise the hard limit (systemd: \
             LimitNOFILE, shell: ulimit -Hn), or lower http.max_connections"
        );
    }
}

/// Tells this trunkd from all others, and an operator where it runs: `host/process/…`.
fn instance() -> Arc<str> {
    let host = nix::unistd::gethostname().unwrap_or_default();
    let (host, process) = (host.to_string_lossy(), std::process::id());
    format!("{host}/{process}/{:08x}", rand::random::<u32>()).into()
}

/// Says to systemd how far we are, if it started us with `Type=notify`.
fn tell_systemd(state: &[NotifyState]) {
    if let Err(error) = sd_notify::notify(state) {
        tracing::warn!("systemd cannot be told of {state:?}: {error}");
    }
}

/// A switch is gone for good when no trunkd's settings have named it for a day: so many times the
/// 60 s after which a switch counts as out of reach.
const GONE_AFTER: u32 = 1440;
/// How often such switches are looked for: every 10 min, in the same unit.
const GONE_LOOK: u32 = 10;

/// Removes what Redis keeps of switches that the settings no longer name, once no trunkd sees them:
/// another trunkd's settings may still name them. At the start these are switches that were just taken
/// out of the settings; a trunkd without any switch leaves them alone. What another trunkd left behind
/// is removed a day after it went.
async fn forget_removed(store: Store, names: Vec<String>, keys: Arc<StatusKeys>, instance: Arc<str>, unseen: Duration) {
    let mut backoff = Backoff::new(Duration::from_millis(500), Duration::from_secs(30));
    let gone = (unseen * GONE_AFTER, unseen * GONE_AFTER);
    let (mut limits, mut is_start) = ((unseen, Duration::ZERO), !names.is_empty());
    if !is_start {
        limits = gone;
    }
    loop {
        let known = store.switch_names().await;
        let removed = known.iter().flatten().filter(|known| !names.contains(known));
        let (mut left, mut failed) = (0, known.is_err());
        for name in removed {
            let observed = Observed::new(store.clone(), keys.clone(), name, instance.clone());
            match observed.forget(limits.0, limits.1).await {
                Ok(true) => {
                    tracing::info!(switch = %shown(name), "no longer in the settings: its states were removed from Redis")
                }
                Ok(false) => left += 1,
                Err(_) => failed = true,
            }
        }
        match (failed, left) {
            (true, _) => sleep(backoff.delay()).await,
            (false, 1..) if is_start => sleep(unseen).await,
            (false, _) => {
                (limits, is_start) = (gone, false);
                sleep(unseen * GONE_LOOK).await;
            }
        }
    }
}

/// Reads the desired gateways at intervals, so that what is wrong with them is told and counted though nobody asks; and looks between whether
/// Redis answers, so that the health tells of it.
async fn refresh(source: Arc<LiveSource>, store: Store, every: Duration) {
    const PING: Duration = Duration::from_secs(5);
    let mut backoff = Backoff::new(Duration::from_millis(200), PING);
    loop {
        source.report_unknown_switches();
        let read = source.serves(source.catalog.read_again().await);
        let again = match read {
            Ok(current) if current.stale.is_none() => {
                backoff.reset();
                Instant::now() + every
            }
            Ok(_) | Err(_) => Instant::now() + backoff.delay(),
        };
        while Instant::now() < again {
            sleep_until(again.min(Instant::now() + PING)).await;
            // Nobody may ask, and Redis may be back.
            if store.ping().await.is_ok() && !source.is_fresh() {
                break;
            }
        }
    }
}

async fn reload_on_sighup(source: Arc<LiveSource>, tls: Option<Arc<Tls>>, stop: CancellationToken) {
    let mut hangups = match signal(SignalKind::hangup()) {
        Ok(hangups) => hangups,
        Err(error) => {
            tracing::error!(
                "SIGHUP cannot be listened for, so templates and TLS files are read at start only: {error}"
            );
            return stop.cancelled().await;
        }
    };
    while let Some(Some(())) = stop.run_until_cancelled(hangups.recv()).await {
        source.reload();
        match tls.as_ref().map(|tls| tls.reload()) {
            Some(Ok(())) => tracing::info!("TLS files read again"),
            Some(Err(error)) => tracing::error!("TLS files refused, those read before stay in use: {error}"),
            None => {}
        }
    }
}
