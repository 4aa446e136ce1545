//! Settings → an [`Application`] whose parts are built and whose socket listens.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use socket2::{Domain, Socket, Type};
use tokio::runtime::Handle;
use tokio::sync::{oneshot, watch};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::error::AppError;
use super::open_files;
use super::source::LiveSource;
use super::templates::TemplateFiles;
use crate::data_dir::DataDir;
use crate::desired::{Catalog, Current, LastGood, remove_leftovers};
use crate::embedded::Embedded;
use crate::gateway::Desired;
use crate::health::{Health, Part, State};
use crate::ingest;
use crate::liveness;
use crate::metrics;
use crate::operate::{Noticed, Service};
use crate::placement::Patience;
use crate::portal::Portal;
use crate::reconcile::{self, Served};
use crate::redis::{Options, Store};
use crate::settings::{ApiSettings, ReconcileMode, Settings};
use crate::webhooks;

/// Intervals and limits that the settings do not have. Operators get the defaults; tests shorten
/// them.
#[derive(Debug, Clone)]
pub struct Timing {
    pub ingest: ingest::Timing,
    pub reconcile: reconcile::Timing,
    pub webhooks: webhooks::Timing,
    pub liveness: liveness::Timing,
    /// How patient moves of gateways are.
    pub patience: Patience,
    /// How often the calls that were counted are saved.
    pub save_calls: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            ingest: ingest::Timing::default(),
            reconcile: reconcile::Timing::default(),
            webhooks: webhooks::Timing::default(),
            liveness: liveness::Timing::default(),
            patience: Patience::default(),
            save_calls: Duration::from_secs(60),
        }
    }
}

/// A trunkd that is built and listens, but does nothing yet.
pub struct Application {
    pub(super) listener: TcpListener,
    /// Takes the runtime of the first HTTP worker.
    pub(super) http_runtime: oneshot::Sender<Handle>,
    /// `None` if it is switched off or can't listen.
    pub(super) portal: Option<Portal>,
    pub(super) embedded: Option<Embedded>,
    pub(super) parts: Parts,
}

/// What the tasks work with.
pub(super) struct Parts {
    pub(super) settings: Settings,
    pub(super) timing: Timing,
    pub(super) store: Store,
    pub(super) source: Arc<LiveSource>,
    pub(super) health: Arc<Health>,
    pub(super) service: Arc<Service>,
    /// What an earlier trunkd knew.
    pub(super) known_before: Option<(Current, Timestamp)>,
    /// How far edits past trunkd are in the history.
    pub(super) noticed: watch::Sender<Noticed>,
    _data_dir: Option<DataDir>,
    /// Closes the tracking connection to Redis when dropped.
    _tracking: DropGuard,
}

impl Application {
    /// Builds every part and opens the listening socket. The resync interval comes from the
    /// settings, the rest of the timing from `timing`.
    ///
    /// # Errors
    /// [`AppError`]: anything that would keep trunkd from serving. A Redis or a switch that is away is no error.
    pub async fn build(settings: Settings, mut timing: Timing) -> Result<Self, AppError> {
        settings.validate_for_serve()?;
        timing.ingest.resync_interval = settings.reconcile.resync_interval;
        metrics::install();
        let health = Arc::new(Health::new());
        for part in [Part::Redis, Part::Gateways] {
            health.set(part, State::Degraded, Some("not asked yet".to_owned()));
        }
        let templates = TemplateFiles::load(&settings, &health)?;
        open_files::raise_limit(&settings);
        let listener = listen(settings.http.listen, settings.http.max_connections)?;
        let data_dir = lock_data_dir(&settings, &health).await?;
        let embedded = match &data_dir {
            Some(data_dir) if settings.redis.embedded => Some(Embedded::start(data_dir).await?),
            _ => None,
        };
        let options = Options::from_settings(&settings.redis, &settings.data_dir)?;
        let store = Store::new(options, health.clone());
        store.check_server().await?;
        let rules = templates.rules(&templates.current.load())?;
        let tracking = CancellationToken::new();
        let (http_runtime, runtime) = oneshot::channel();
        let catalog = Arc::new(Catalog::tracking(store.clone(), rules, runtime, tracking.clone()));
        let restored = restore_last_good(&catalog, &settings.data_dir);
        let known_before = catalog.known();
        let guard = (settings.reconcile.mode != ReconcileMode::Off).then(|| guard(&settings, &timing.reconcile));
        let switches = settings.switches.iter().map(|switch| switch.name.clone());
        let served = Arc::new(Served::new(guard, restored, switches));
        let service = Arc::new(Service::new(&settings, &store, catalog.clone()));
        let portal = bind_portal(&settings.api, &service, &health);
        let source = LiveSource::new(&settings, catalog, templates, health.clone(), &store, served);
        Ok(Self {
            listener,
            http_runtime,
            portal,
            embedded,
            parts: Parts {
                settings,
                timing,
                store,
                source: Arc::new(source),
                health,
                service,
                known_before,
                noticed: watch::Sender::default(),
                _data_dir: data_dir,
                _tracking: tracking.drop_guard(),
            },
        })
    }

    /// The address that it listens on, with the port that the kernel chose if the settings have 0.
    pub fn address(&self) -> SocketAddr {
        self.listener.local_addr().unwrap_or(self.parts.settings.http.listen)
    }

    /// Where the API listens, if it does.
    pub fn api_address(&self) -> Option<SocketAddr> {
        self.portal.as_ref()?.address().ok()
    }

    /// What people and programs ask.
    pub fn service(&self) -> &Service {
        &self.parts.service
    }

    pub fn store(&self) -> &Store {
        &self.parts.store
    }
}

/// The backlog is as long as `max_connections`: a fleet that restarts connects all at the same
/// time.
fn listen(address: SocketAddr, max_connections: usize) -> Result<TcpListener, AppError> {
    let listen = || -> io::Result<TcpListener> {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
        socket.set_reuse_address(true)?;
        socket.bind(&address.into())?;
        socket.listen(i32::try_from(max_connections).unwrap_or(i32::MAX))?;
        Ok(socket.into())
    };
    listen().map_err(|source| AppError::Listen { address, source })
}

/// FreeSWITCH's side must not fail because of the operators'.
fn bind_portal(settings: &ApiSettings, service: &Arc<Service>, health: &Health) -> Option<Portal> {
    if !settings.enabled {
        return None;
    }
    match Portal::bind(settings, service.clone()) {
        Ok(portal) => Some(portal),
        Err(error) => {
            tracing::error!("{error}; FreeSWITCH is served all the same");
            health.set(Part::Api, State::Degraded, Some(error.to_string()));
            None
        }
    }
}

/// `None` if the directory cannot be used but trunkd can serve without it.
async fn lock_data_dir(settings: &Settings, health: &Health) -> Result<Option<DataDir>, AppError> {
    match DataDir::lock(&settings.data_dir).await {
        Ok(data_dir) => {
            remove_leftovers(&settings.data_dir);
            health.set(Part::DataDir, State::Ok, None);
            Ok(Some(data_dir))
        }
        // The last good state is for a later start; the switches need answers now.
        Err(error) if !error.is_taken() && !settings.redis.embedded => {
            tracing::error!("{error}; a trunkd that starts while Redis is away will have nothing to serve");
            health.set(Part::DataDir, State::Degraded, Some(error.to_string()));
            Ok(None)
        }
        Err(error) => Err(error.into()),
    }
}

fn restore_last_good(catalog: &Catalog, data_dir: &Path) -> Option<Arc<Desired>> {
    let last_good = LastGood::load(data_dir).unwrap_or_else(|error| {
        tracing::error!("{error}");
        None
    })?;
    tracing::info!(at = %last_good.at, domains = last_good.domains.len(), "starting from the last good state");
    Some(catalog.restore(last_good))
}

fn guard(settings: &Settings, timing: &reconcile::Timing) -> reconcile::Guard {
    reconcile::Guard {
        limits: reconcile::Limits {
            max_removals: settings.reconcile.max_removals,
        },
        window: settings.reconcile.removals_window,
        confirm: timing.confirm,
        settle: timing.settle,
    }
}
