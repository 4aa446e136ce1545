//! Starts the tasks of an [`Application`], and stops them together.

use std::net::TcpListener;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::build::{Application, Parts};
use super::error::AppError;
use super::reconcile::LiveSwitch;
use super::tasks::Tasks;
use super::{last_good, systemd, upkeep};
use crate::api::Api;
use crate::calls;
use crate::carriers::Carriers;
use crate::embedded::Embedded;
use crate::event_socket::SwitchAddress;
use crate::health::{Part, State};
use crate::history::History;
use crate::http::{self, MetricsPages, ReadGateways, SwitchAddresses, Tls};
use crate::ingest::{Ingest, Recorder};
use crate::keys::StatusKeys;
use crate::metrics::{self, GatewaySample};
use crate::observed::Observed;
use crate::operate::Service;
use crate::portal::Portal;
use crate::reconcile::{self, Executor};
use crate::settings::{ReconcileMode, SwitchSettings, WebhookSettings};
use crate::web;
use crate::webhooks::Webhook;
use crate::xml_curl::DocumentCache;

/// From the signal to the end. Redis stops last, because requests and tasks need it; it has
/// [`Embedded::STOP_LIMIT`] of this.
const STOP_LIMIT: Duration = Duration::from_secs(5);

impl Application {
    /// Serves until `stop`. Then it answers the requests in flight, writes pending events, and
    /// leaves the switches as they are. Stopping takes 5 s at most; the log names what is cut then.
    ///
    /// # Errors
    /// The HTTP server cannot start, or a task ends by itself.
    pub async fn run_until_stopped(self, stop: CancellationToken) -> Result<(), AppError> {
        let Self {
            listener,
            http_runtime,
            portal,
            embedded,
            parts,
        } = self;
        let mut tasks = Tasks::new(stop.child_token());
        let tls_of_api = portal.as_ref().and_then(Portal::tls);
        parts.spawn_http(&mut tasks, listener, http_runtime, tls_of_api)?;
        let mut redis = Tasks::new(CancellationToken::new());
        if let Some(embedded) = embedded {
            redis.spawn("embedded Redis", |stop| embedded.supervise(stop));
        }
        parts.spawn_others(&mut tasks);
        if let Some(portal) = portal {
            let service = parts.service.clone();
            tasks.spawn("live events", |stop| async move { service.follow(stop).await });
            spawn_portal(&mut tasks, portal);
        }
        systemd::ready();

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
        systemd::stopping();
        let deadline = Instant::now() + STOP_LIMIT;
        tasks.finish(deadline - Embedded::STOP_LIMIT).await;
        redis.finish(deadline).await;
        Ok(ended?)
    }
}

/// What `/metrics/gateways` and `/metrics/carriers` show.
struct GatewaysOf(Arc<Service>);

impl ReadGateways for GatewaysOf {
    fn read(self: Arc<Self>) -> BoxFuture<'static, Result<Vec<GatewaySample>, String>> {
        Box::pin(async move { self.0.gateway_metrics().await.map_err(|error| error.to_string()) })
    }

    fn carriers(self: Arc<Self>) -> BoxFuture<'static, Result<String, String>> {
        Box::pin(async move { self.0.carrier_metrics().await.map_err(|error| error.to_string()) })
    }
}

impl Parts {
    fn spawn_http(
        &self,
        tasks: &mut Tasks,
        listener: TcpListener,
        runtime: oneshot::Sender<Handle>,
        tls_of_api: Option<Arc<Tls>>,
    ) -> Result<(), http::BindError> {
        let switches = Arc::new(SwitchAddresses::new(&self.settings.switches));
        let mut server = http::bind(
            listener,
            &self.settings.http,
            switches.clone(),
            self.source.clone(),
            DocumentCache::new(self.settings.redis.timeout),
            self.health.clone(),
            MetricsPages {
                process: metrics::install(),
                gateways: Arc::new(GatewaysOf(self.service.clone())),
            },
        )?;
        server.send_runtime_to(runtime);
        let source = self.source.clone();
        let tls = server.tls().into_iter().chain(tls_of_api).collect();
        tasks.spawn("HTTP server", |stop| async move {
            if let Err(error) = server.run(stop).await {
                tracing::error!("the HTTP server ended: {error}");
            }
        });
        tasks.spawn_cut("addresses of the switches", async move { switches.look_up().await });
        tasks.spawn("SIGHUP", |stop| upkeep::reload_on_sighup(source, tls, stop));
        Ok(())
    }

    fn spawn_others(&self, tasks: &mut Tasks) {
        let (source, store) = (self.source.clone(), self.store.clone());
        let resync_interval = self.timing.ingest.resync_interval;
        let refresh = upkeep::refresh(source.clone(), store.clone(), resync_interval);
        tasks.spawn_cut("upkeep of the metrics", metrics::upkeep(metrics::install()));
        tasks.spawn_cut("reading at intervals", refresh);
        let (service, changes) = (self.service.clone(), source.changes.subscribe());
        let (known_before, noticed) = (self.known_before.clone(), self.noticed.clone());
        tasks.spawn("edits past trunkd", |stop| async move {
            service.record_noticed(known_before, changes, noticed, stop).await;
        });
        tasks.spawn_cut("changes in Redis", async move { source.watch().await });

        let instance = instance();
        let switches = &self.settings.switches;
        let names: Vec<_> = switches.iter().map(|switch| switch.name.clone()).collect();
        self.spawn_holds(tasks, names.clone(), instance.clone());
        let keys = Arc::new(StatusKeys::from(&self.settings.status));
        let ingests = switches.iter().map(|switch| {
            let ingest = self.spawn_switch(tasks, switch, keys.clone(), instance.clone());
            (switch, ingest)
        });
        let ingests: Vec<_> = ingests.collect();
        self.spawn_placement(tasks, &ingests, &instance);
        for webhook in &self.settings.webhooks {
            self.spawn_webhook(tasks, webhook, instance.clone());
        }
        let stale_after = self.timing.ingest.stale_after;
        self.spawn_backups(tasks);
        let remove_gone = upkeep::remove_gone_switches(store, names, keys, instance, stale_after);
        tasks.spawn_cut("switches that are gone", remove_gone);
    }

    /// What every trunkd does about holds, whether it has executors or not.
    fn spawn_holds(&self, tasks: &mut Tasks, names: Vec<String>, instance: Arc<str>) {
        let source = self.source.clone();
        let others = reconcile::Others::new(
            source.served.clone(),
            self.store.clone(),
            self.health.clone(),
            instance,
            if self.has_executors() { names } else { Vec::new() },
        );
        let interval = self.timing.reconcile.interval;
        tasks.spawn("reports of what is held", |stop| others.beat(interval, stop));
        let (data_dir, noticed) = (self.settings.data_dir.clone(), self.noticed.subscribe());
        tasks.spawn_cut("keeping the last good state", async move {
            last_good::keep(&source, others, noticed, &data_dir, interval).await;
        });
    }

    fn spawn_switch(
        &self,
        tasks: &mut Tasks,
        switch: &SwitchSettings,
        keys: Arc<StatusKeys>,
        instance: Arc<str>,
    ) -> Arc<Ingest> {
        let name = &switch.name;
        let address = SwitchAddress {
            name: name.clone(),
            address: switch.address.to_string(),
            password: switch.password.clone(),
        };
        let observed = Observed::new(self.store.clone(), keys, name, instance.clone());
        let timing = self.timing.ingest.clone();
        let history = History::new(self.store.clone(), &self.settings.history);
        let recorder = Recorder {
            history: history.clone(),
            domains: self.source.clone(),
        };
        self.spawn_calls(tasks, address.clone(), instance.clone());
        let ingest = Arc::new(Ingest::new(address, observed, recorder, timing, self.health.clone()));
        tasks.spawn(format_args!("ingest of {name}"), |stop| ingest.clone().run(stop));
        if !self.has_executors() {
            return ingest;
        }
        let shared = reconcile::ExecutorContext {
            source: self.source.clone(),
            served: self.source.served.clone(),
            running: self.source.running.clone(),
            store: self.store.clone(),
            history,
            holder: instance,
            health: self.health.clone(),
            carriers: Carriers::new(&self.settings.carriers),
            before: self.known_before.as_ref().map(|(before, _)| before.desired.clone()),
        };
        let live = Arc::new(LiveSwitch(ingest.clone(), Mutex::default()));
        self.source.running.add(name, live.clone());
        let timing = self.timing.reconcile.clone();
        let executor = Executor::new(live, shared, &self.settings.reconcile, timing);
        tasks.spawn(format_args!("reconciler of {name}"), |stop| executor.run(stop));
        ingest
    }

    fn spawn_calls(&self, tasks: &mut Tasks, switch: SwitchAddress, holder: Arc<str>) {
        let Some(log) = self.service.calls() else { return };
        let timing = calls::Timing {
            connection: self.timing.ingest.connection,
            retry: self.timing.ingest.retry_delays(),
            save: self.timing.save_calls,
            lease: self.timing.reconcile.lease,
        };
        let name = switch.name.clone();
        let (ours, health) = (self.source.clone(), self.health.clone());
        let saving = (self.store.clone(), holder);
        let listener = calls::Listener::new(switch, log.clone(), ours, saving, timing, health);
        tasks.spawn(format_args!("calls of {name}"), |stop| listener.run(stop));
    }

    /// FreeSWITCH's side must not fail because of a receiver's certificates.
    fn spawn_webhook(&self, tasks: &mut Tasks, settings: &WebhookSettings, holder: Arc<str>) {
        let history = History::new(self.store.clone(), &self.settings.history);
        let (health, timing) = (self.health.clone(), self.timing.webhooks.clone());
        match Webhook::new(settings, history, holder, health, timing) {
            Ok(webhook) => tasks.spawn(format_args!("webhook {}", settings.name), |stop| webhook.run(stop)),
            Err(error) => {
                tracing::error!(webhook = settings.name, "{error}; nothing is posted until a restart");
                let part = Part::Webhook(settings.name.clone());
                self.health.set(part, State::Degraded, Some(error.to_string()));
            }
        }
    }

    fn spawn_backups(&self, tasks: &mut Tasks) {
        let backup = &self.settings.backup;
        if let Some(dir) = backup.dir.clone() {
            let (service, health, keep) = (self.service.clone(), self.health.clone(), backup.keep);
            tasks.spawn_cut("backups", async move {
                service.back_up_daily(&dir, keep, &health).await;
            });
        }
    }

    fn has_executors(&self) -> bool {
        self.settings.reconcile.mode != ReconcileMode::Off
    }
}

/// The API and the pages.
fn spawn_portal(tasks: &mut Tasks, portal: Portal) {
    let api = Api::new();
    let configure = move |config: &mut actix_web::web::ServiceConfig| {
        api.configure(config);
        web::configure(config);
    };
    tasks.spawn("API and pages", |stop| async move {
        if let Err(error) = portal.run(configure, stop).await {
            tracing::error!("the listener of the API ended: {error}");
        }
    });
}

/// Tells this trunkd from all others, and operators where it runs: `host/process/…`.
fn instance() -> Arc<str> {
    let host = nix::unistd::gethostname().unwrap_or_default();
    let (host, process) = (host.to_string_lossy(), std::process::id());
    format!("{host}/{process}/{:08x}", rand::random::<u32>()).into()
}
