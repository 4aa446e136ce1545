//! Builds the parts, starts them, and stops them together. No rule about gateways or switches lives here.

pub mod http;
pub mod security;
mod throttle;
pub mod tls;

use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, sleep};
use tokio_util::sync::CancellationToken;

use crate::backoff::Backoff;
use crate::event_socket::SwitchAddress;
use crate::gateway::{NameError, ProfileName};
use crate::health::{self, Health, Part};
use crate::ingest::{self, Ingest};
use crate::metrics;
use crate::settings::{Settings, SettingsError};
use crate::sofia_conf::{TemplateError, Templates};
use crate::store::{Catalog, Embedded, EmbeddedError, Observed, Options, StatusKeys, Store, StoreError};
use crate::xml_curl;

/// Everything but the HTTP server gets so long to finish when trunkd stops.
const STOP_LIMIT: Duration = Duration::from_secs(4);

/// A trunkd that is built and listens, but does nothing yet.
pub struct Application {
    settings: Settings,
    timing: ingest::Timing,
    listener: TcpListener,
    embedded: Option<Embedded>,
    store: Store,
    source: Arc<LiveSource>,
    health: Arc<Health>,
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
    Embedded(#[from] EmbeddedError),
    #[error(transparent)]
    Http(#[from] http::BindError),
    #[error("cannot listen on {address}: {source}; choose another http.listen, or stop what listens there")]
    Listen {
        address: SocketAddr,
        source: std::io::Error,
    },
    #[error("the HTTP server ended: {0}")]
    Ended(std::io::Error),
}

impl Application {
    /// Builds every part and opens the listening socket. `resync_interval` comes from the settings, the other timing as given.
    ///
    /// # Errors
    /// [`ServerError`]: whatever would keep trunkd from serving. A Redis or a switch that is away is none of that.
    pub async fn build(settings: Settings, timing: ingest::Timing) -> Result<Self, ServerError> {
        settings.validate_for_serve()?;
        metrics::install();
        let health = Arc::new(Health::new());
        health.set(Part::Redis, health::State::Degraded, Some("not asked yet".to_owned()));
        let templates = TemplateFiles::load(&settings, &health)?;
        let address = settings.http.listen;
        let listener = TcpListener::bind(address).map_err(|source| ServerError::Listen { address, source })?;
        let embedded = match settings.redis.embedded {
            true => Some(Embedded::start(&settings.data_dir).await?),
            false => None,
        };
        let store = Store::new(
            Options::from_settings(&settings.redis, &settings.data_dir)?,
            health.clone(),
        )?;
        let rules = templates.current.load().rules(&templates.default_profile)?;
        let catalog = Catalog::new(store.clone(), rules);
        let source = Arc::new(LiveSource {
            catalog,
            templates,
            health: health.clone(),
        });
        let timing = ingest::Timing {
            resync_interval: settings.reconcile.resync_interval,
            ..timing
        };
        Ok(Self {
            settings,
            timing,
            listener,
            embedded,
            store,
            source,
            health,
        })
    }

    /// Where it listens; tells the port when the settings left it open.
    pub fn address(&self) -> SocketAddr {
        self.listener.local_addr().unwrap_or(self.settings.http.listen)
    }

    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Serves until `stop`; then answers what is being asked, writes what is held, and leaves the switches as they are.
    ///
    /// # Errors
    /// When the HTTP server cannot start, or ends by itself.
    pub async fn run_until_stopped(self, stop: CancellationToken) -> Result<(), ServerError> {
        let (source, health) = (self.source.clone(), self.health.clone());
        let server = http::bind(self.listener, &self.settings.http, source, health, metrics::install())?;
        let handle = server.handle();

        // Redis stops last: ingest writes to it until its own end.
        let redis_stop = CancellationToken::new();
        let redis = self
            .embedded
            .map(|embedded| tokio::spawn(embedded.supervise(redis_stop.clone())));

        let mut tasks = JoinSet::new();
        tasks.spawn(reload_on_sighup(self.source.clone(), stop.clone()));
        let upkeep = metrics::upkeep(metrics::install());
        let until = stop.clone();
        tasks.spawn(async move { until.run_until_cancelled(upkeep).await.unwrap_or_default() });
        tasks.spawn(refresh(self.source.clone(), self.timing.resync_interval, stop.clone()));
        let keys = Arc::new(StatusKeys::from(&self.settings.status));
        let instance: Arc<str> = format!("{:016x}", rand::random::<u64>()).into();
        let observed = |name: &str| Observed::new(self.store.clone(), keys.clone(), name, instance.clone());
        let names: Vec<_> = self
            .settings
            .switches
            .iter()
            .map(|switch| switch.name.clone())
            .collect();
        for switch in &self.settings.switches {
            let address = SwitchAddress {
                name: switch.name.clone(),
                address: switch.address.to_string(),
                password: switch.password.clone(),
            };
            let ingest = Ingest::new(
                address,
                observed(&switch.name),
                self.timing.clone(),
                self.health.clone(),
            );
            tasks.spawn(ingest.run(stop.clone()));
        }
        if !names.is_empty() {
            let forget = forget_removed(self.store.clone(), names, keys.clone(), instance.clone());
            let stop = stop.clone();
            tasks.spawn(async move { stop.run_until_cancelled(forget).await.unwrap_or_default() });
        }

        let mut server = std::pin::pin!(server);
        let ended = tokio::select! {
            ended = &mut server => ended.map_err(ServerError::Ended),
            () = stop.cancelled() => {
                tracing::info!("stopping");
                tokio::join!(handle.stop(true), server).1.map_err(ServerError::Ended)
            }
        };
        stop.cancel();
        if tokio::time::timeout(STOP_LIMIT, async { while tasks.join_next().await.is_some() {} })
            .await
            .is_err()
        {
            tracing::warn!("some parts did not stop within {STOP_LIMIT:?}");
        }
        redis_stop.cancel();
        if let Some(redis) = redis {
            let _ = redis.await;
        }
        ended
    }
}

/// Removes what Redis keeps of switches that the settings no longer name. A trunkd without any switch keeps out of it: others may ingest.
async fn forget_removed(store: Store, names: Vec<String>, keys: Arc<StatusKeys>, instance: Arc<str>) {
    let mut backoff = Backoff::new(Duration::from_millis(500), Duration::from_secs(30));
    let known = loop {
        match store.switch_names().await {
            Ok(known) => break known,
            Err(_) => sleep(backoff.delay()).await,
        }
    };
    for name in known.iter().filter(|known| !names.contains(known)) {
        let observed = Observed::new(store.clone(), keys.clone(), name, instance.clone());
        while observed.forget().await.is_err() {
            sleep(backoff.delay()).await;
        }
        tracing::info!(switch = %name, "no longer in the settings: its states were removed from Redis");
    }
}

/// Reads the desired gateways at intervals, so that what is wrong with them is told and counted though nobody asks.
async fn refresh(source: Arc<LiveSource>, every: Duration, stop: CancellationToken) {
    let mut ticks = interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while stop.run_until_cancelled(ticks.tick()).await.is_some() {
        let _ = source.catalog_all().await;
    }
}

async fn reload_on_sighup(source: Arc<LiveSource>, stop: CancellationToken) {
    let mut hangups = match signal(SignalKind::hangup()) {
        Ok(hangups) => hangups,
        Err(error) => {
            return tracing::error!("SIGHUP cannot be listened for, so templates are read at start only: {error}");
        }
    };
    while let Some(Some(())) = stop.run_until_cancelled(hangups.recv()).await {
        source.reload();
    }
}

/// The templates on disk, and the last good reading of them.
struct TemplateFiles {
    dir: PathBuf,
    default_profile: ProfileName,
    current: ArcSwap<Templates>,
}

impl TemplateFiles {
    fn load(settings: &Settings, health: &Health) -> Result<Self, ServerError> {
        let default_profile =
            ProfileName::parse(&settings.templates.default_profile).map_err(ServerError::DefaultProfile)?;
        let templates = read_templates(&settings.templates.dir)?;
        health.set(Part::Templates, health::State::Ok, None);
        ::metrics::gauge!(metrics::TEMPLATES_OK).set(1.0);
        Ok(Self {
            dir: settings.templates.dir.clone(),
            default_profile,
            current: ArcSwap::from_pointee(templates),
        })
    }
}

fn read_templates(dir: &Path) -> Result<Templates, TemplateError> {
    let templates = Templates::load(dir)?;
    for warning in templates.warnings() {
        tracing::warn!("{warning}");
    }
    Ok(templates)
}

/// What answers are made from: the templates and the catalog.
struct LiveSource {
    catalog: Catalog,
    templates: TemplateFiles,
    health: Arc<Health>,
}

impl LiveSource {
    /// Reads the templates again; broken ones are refused, and the last good ones stay.
    fn reload(&self) {
        let read = read_templates(&self.templates.dir)
            .and_then(|templates| Ok((templates.rules(&self.templates.default_profile)?, templates)));
        match read {
            Ok((rules, templates)) => {
                let profiles = templates.profile_names().count();
                self.templates.current.store(Arc::new(templates));
                self.catalog.set_rules(rules);
                self.health.set(Part::Templates, health::State::Ok, None);
                tracing::info!(profiles, dir = %self.templates.dir.display(), "templates read again");
            }
            Err(error) => {
                tracing::error!("templates refused, the last good ones stay in use: {error}");
                self.health
                    .set(Part::Templates, health::State::Degraded, Some(error.to_string()));
                ::metrics::gauge!(metrics::TEMPLATES_OK).set(0.0);
                return;
            }
        }
        ::metrics::gauge!(metrics::TEMPLATES_OK).set(1.0);
    }

    async fn catalog_all(&self) -> Result<crate::store::Current, crate::store::Unavailable> {
        let result = self.catalog.all().await;
        self.health.set_serving(result.is_ok());
        result
    }
}

impl xml_curl::Source for LiveSource {
    async fn desired(&self, gateway: Option<&str>) -> Result<xml_curl::Current, xml_curl::Unavailable> {
        let read = match gateway {
            Some(gateway) => self.catalog.one(gateway).await,
            None => self.catalog_all().await,
        };
        let current = read.map_err(|error| xml_curl::Unavailable(error.to_string()))?;
        Ok(xml_curl::Current {
            desired: current.desired,
            key: current.key,
            templates: self.templates.current.load_full(),
            stale_since: current.stale.map(|(since, _)| since),
        })
    }
}
