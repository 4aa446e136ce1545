//! What answers and plans are made from: the templates, the catalog, and what each switch is served
//! of it.

use std::sync::Arc;
use std::time::Instant;

use tokio::sync::watch;

use super::freshness::Freshness;
use super::templates::TemplateFiles;
use crate::calls::OurGateways;
use crate::carriers::Carriers;
use crate::desired::{Catalog, Current, Unavailable};
use crate::gateway::{Desired, GatewayName, RevisionKey};
use crate::health::{Health, Part, State};
use crate::ingest::Domains;
use crate::reconcile::{BootRules, Ledger, Rescan, Running, Served};
use crate::redis::Store;
use crate::settings::Settings;
use crate::shown::shown;
use crate::xml_curl::{self, CurrentConfig, RequestKind, RequestedGateway, SofiaConfRequest, UnknownSwitches};

pub(super) struct LiveSource {
    pub(super) catalog: Arc<Catalog>,
    pub(super) served: Arc<Served>,
    pub(super) running: Arc<Running>,
    pub(super) health: Arc<Health>,
    /// Counts what may be changes of the desired gateways.
    pub(super) changes: watch::Sender<u64>,
    templates: TemplateFiles,
    unknown: UnknownSwitches,
    ledger: Ledger,
    freshness: Freshness,
    boot: BootRules,
}

impl LiveSource {
    pub(super) fn new(
        settings: &Settings,
        catalog: Arc<Catalog>,
        templates: TemplateFiles,
        health: Arc<Health>,
        store: &Store,
        served: Arc<Served>,
    ) -> Self {
        Self {
            catalog,
            running: Arc::default(),
            health,
            changes: watch::Sender::new(0),
            templates,
            unknown: UnknownSwitches::new(settings.switches.iter().map(|switch| switch.name.clone())),
            ledger: Ledger::new(store.clone(), served.clone(), settings.reconcile.removals_window),
            served,
            freshness: Freshness::default(),
            boot: BootRules {
                slice: settings.reconcile.boot_slice,
                carriers: Carriers::new(&settings.carriers),
            },
        }
    }

    pub(super) fn reload_templates(&self) {
        if let Some(rules) = self.templates.reload(&self.health) {
            self.catalog.set_rules(rules);
        }
    }

    /// Passes changes on to everybody who subscribed, forever.
    pub(super) async fn watch(&self) {
        loop {
            self.catalog.changed().await;
            self.changes.send_modify(|version| *version += 1);
        }
    }

    /// Lists in `/health` the switches that asked and are not in the settings. The part stays ok:
    /// anybody can ask.
    pub(super) fn report_unknown_switches(&self) {
        let report = self.unknown.report(Instant::now());
        self.health.set(Part::UnknownSwitches, State::Ok, report);
    }

    pub(super) fn is_fresh(&self) -> bool {
        self.freshness.is_fresh()
    }

    /// The state of all gateways; reports how fresh it is.
    pub(super) async fn all(&self) -> Result<Current, Unavailable> {
        self.report_freshness(self.catalog.all().await)
    }

    pub(super) async fn read_again(&self) -> Result<Current, Unavailable> {
        self.report_freshness(self.catalog.read_again().await)
    }

    fn report_freshness(&self, read: Result<Current, Unavailable>) -> Result<Current, Unavailable> {
        self.freshness.report(&read, &self.health);
        read
    }

    /// What the request is answered with, if that is not everything.
    async fn part(
        &self,
        request: &SofiaConfRequest,
        desired: &Arc<Desired>,
        key: &RevisionKey,
    ) -> Option<Arc<Desired>> {
        match request.kind() {
            RequestKind::Rescan => self.missing(request, desired, key).await,
            RequestKind::Profile => self.first(request, desired).await,
            _ => None,
        }
    }

    /// The gateways that a profile gets when it starts. `None` serves all of them: trunkd starts the
    /// rest only if it reaches the switch, and nothing is held.
    async fn first(&self, request: &SofiaConfRequest, desired: &Arc<Desired>) -> Option<Arc<Desired>> {
        if self.served.holding(&request.node).is_some() {
            return None;
        }
        let was_usable = self.running.before_boot(&request.node)?;
        let parked = self.running.parked(&request.node);
        let (rules, request, desired) = (self.boot.clone(), request.clone(), desired.clone());
        let choice = tokio::task::spawn_blocking(move || {
            let profile = request.profile.as_deref()?;
            let first = rules.first(&desired, &request.node, profile, &was_usable, &parked)?;
            tracing::info!(
                switch = %shown(&request.node),
                profile = %shown(profile),
                now = first.len(),
                "the profile starts with some of its gateways; the others follow"
            );
            Some(Arc::new(desired.only(&first)))
        });
        choice.await.ok().flatten()
    }

    /// The gateways that a rescan must add: those that the switch does not run. `None` serves all
    /// of them.
    async fn missing(
        &self,
        request: &SofiaConfRequest,
        desired: &Arc<Desired>,
        key: &RevisionKey,
    ) -> Option<Arc<Desired>> {
        let (running, request) = (self.running.clone(), request.clone());
        let (desired, key) = (desired.clone(), key.clone());
        // This compares up to ten thousand gateways, so it must not run on a thread that serves
        // others.
        let comparison = tokio::task::spawn_blocking(move || {
            let rescan = Rescan {
                switch: &request.node,
                core_uuid: request.core_uuid.as_deref(),
                profile: request.profile.as_deref()?,
            };
            let missing = running.missing(rescan, &desired, &key)?;
            Some(Arc::new(desired.only(&missing)))
        });
        comparison.await.ok().flatten()
    }
}

impl Domains for LiveSource {
    fn is_known(&self) -> bool {
        self.catalog.last().is_some()
    }

    fn domain(&self, switch: &str, gateway: &str) -> Option<String> {
        let desired = self.served.holding(switch).or_else(|| self.catalog.last())?;
        let name = GatewayName::parse(gateway).ok()?;
        let domain = match desired.get(gateway) {
            Some(entry) if entry.gateway.serves(Some(switch)) => &entry.gateway.domain,
            Some(_) => return None,
            None => &desired.refused().get(&name)?.domain,
        };
        Some(domain.to_string())
    }
}

impl OurGateways for LiveSource {
    fn is_ours(&self, switch: &str, gateway: &str) -> bool {
        self.domain(switch, gateway).is_some()
    }
}

impl xml_curl::ConfigSource for LiveSource {
    async fn current(&self, request: &SofiaConfRequest) -> Result<CurrentConfig, xml_curl::Unavailable> {
        if self.unknown.record(&request.node, Instant::now()) {
            self.report_unknown_switches();
        }
        if request.kind() == RequestKind::Profile {
            self.running.starts(&request.node);
        }
        let read = match &request.gateway {
            RequestedGateway::One(gateway) => self.catalog.one(gateway).await,
            RequestedGateway::Absent | RequestedGateway::All => self.catalog.all().await,
        };
        let current = self
            .report_freshness(read)
            .map_err(|error| xml_curl::Unavailable(error.to_string()))?;
        let mut desired = match current.is_whole {
            true => self.ledger.answer(&request.node, &current.desired).await,
            false => self.served.holding(&request.node).unwrap_or(current.desired),
        };
        let mut is_shared = true;
        if let (RequestedGateway::All, Some(profile)) = (&request.gateway, &request.profile)
            && let Some(batch) = self.served.batch(&request.node, profile)
        {
            desired = Arc::new(desired.only(&batch));
            is_shared = false;
        }
        // A stale state may lack what was removed since, so trunkd does not start gateways from it
        // either.
        if current.stale.is_none()
            && let Some(part) = self.part(request, &desired, &current.key).await
        {
            desired = part;
            is_shared = false;
        }
        let asked_to_start = match &request.gateway {
            RequestedGateway::Absent => None,
            RequestedGateway::All => Some(None),
            RequestedGateway::One(gateway) => Some(Some(gateway.as_str())),
        };
        if let (Some(gateway), Some(profile)) = (asked_to_start, &request.profile) {
            self.served
                .record_given(&request.node, profile, gateway, &desired, &current.key);
        }
        Ok(CurrentConfig {
            desired,
            key: current.key,
            templates: self.templates.current.load_full(),
            stale_since: current.stale.map(|(since, _)| since),
            is_shared,
        })
    }
}
