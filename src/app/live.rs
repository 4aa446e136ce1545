//! The parts as the other rooms see them: what answers and plans are made from, and a switch as the executor needs it.

use std::collections::HashMap;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use jiff::Timestamp;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};

use super::ServerError;
use crate::desired::{Catalog, Current, Unavailable};
use crate::event_socket::{Changes, Commands, QueryError};
use crate::gateway::RevisionKey;
use crate::gateway::{Desired, GatewayName, Policy, ProfileName, Rules};
use crate::health::{self, Health, Part};
use crate::ingest::Ingest;
use crate::metrics;
use crate::reconcile::{
    DesiredSource, Known, Ledger, Listed, Others, Refreshed, Rescan, Running, RunningSource, Served, Switch, Unknown,
    Wanted,
};
use crate::settings::Settings;
use crate::sofia_conf::{TemplateError, Templates};
use crate::xml_curl::{self, Gateway, Kind, SofiaConf, UnknownSwitches};

/// Edits come in bursts, and each is a file written whole: for as many times as long as that takes there is no other.
const KEEP_AFTER: RangeInclusive<Duration> = Duration::from_millis(200)..=Duration::from_secs(2);
const KEEP_SHARE: u32 = 20;

/// The templates on disk, and the last good reading of them.
pub(super) struct TemplateFiles {
    pub(super) dir: PathBuf,
    pub(super) default_profile: ProfileName,
    policy: Policy,
    pub(super) current: ArcSwap<Templates>,
}

impl TemplateFiles {
    pub(super) fn load(settings: &Settings, health: &Health) -> Result<Self, ServerError> {
        let default_profile =
            ProfileName::parse(&settings.templates.default_profile).map_err(ServerError::DefaultProfile)?;
        let templates = read_templates(&settings.templates.dir)?;
        health.set(Part::Templates, health::State::Ok, None);
        ::metrics::gauge!(metrics::TEMPLATES_OK).set(1.0);
        Ok(Self {
            dir: settings.templates.dir.clone(),
            default_profile,
            policy: Policy::of(settings),
            current: ArcSwap::from_pointee(templates),
        })
    }

    /// What gateways are checked against, with these templates.
    pub(super) fn rules(&self, templates: &Templates) -> Result<Rules, TemplateError> {
        Ok(templates.rules(&self.default_profile)?.with_policy(self.policy.clone()))
    }
}

fn read_templates(dir: &Path) -> Result<Templates, TemplateError> {
    let templates = Templates::load(dir)?;
    for warning in templates.warnings() {
        tracing::warn!("{warning}");
    }
    Ok(templates)
}

/// What answers and plans are made from: the templates and the catalog.
pub(super) struct LiveSource {
    pub(super) catalog: Arc<Catalog>,
    pub(super) templates: TemplateFiles,
    pub(super) health: Arc<Health>,
    pub(super) served: Arc<Served>,
    pub(super) running: Arc<Running>,
    pub(super) unknown: UnknownSwitches,
    pub(super) ledger: Ledger,
    /// Whether what was served last was what Redis held; `None` before the first.
    pub(super) fresh: Mutex<Option<bool>>,
    /// Counts what may be changes of the desired gateways.
    pub(super) changes: watch::Sender<u64>,
}

impl LiveSource {
    /// Reads the templates again; broken ones are refused, and the last good ones stay.
    pub(super) fn reload(&self) {
        let read = read_templates(&self.templates.dir)
            .and_then(|templates| Ok((self.templates.rules(&templates)?, templates)));
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

    /// Tells of changes as long as there may be any.
    pub(super) async fn watch(&self) {
        loop {
            self.catalog.changed().await;
            self.changes.send_modify(|version| *version += 1);
        }
    }

    /// Keeps the last good state on disk. One that is held from a switch is none: a trunkd that starts in the middle of a mistake must know what was
    /// before.
    ///
    /// `others` tells of what is held from switches that have no executor. It is looked at every `interval` at the least, since what is held today may go
    /// when others went long ago.
    pub(super) async fn keep(&self, mut others: Others, data_dir: &Path, interval: Duration) {
        let mut changes = self.changes.subscribe();
        let (mut kept, mut told) = (None, None);
        let mut took = Duration::ZERO;
        // At a start the first answer comes first.
        sleep(*KEEP_AFTER.start()).await;
        loop {
            changes.mark_unchanged();
            let accepted = self.accepted(&mut others).await;
            let good = self.catalog.to_keep().filter(|(desired, _)| is(&accepted, desired));
            if let Some((desired, good)) = good.filter(|(desired, _)| !is(&kept, desired)) {
                let folder = data_dir.to_owned();
                let began = Instant::now();
                let stored = match tokio::task::spawn_blocking(move || good.store(&folder)).await {
                    Ok(stored) => stored,
                    Err(error) => match error.try_into_panic() {
                        Ok(panic) => std::panic::resume_unwind(panic),
                        // Cancelled: the runtime is shutting down, and so is trunkd.
                        Err(_) => return std::future::pending().await,
                    },
                };
                match stored {
                    Ok(()) => {
                        took = began.elapsed();
                        self.health.set(Part::DataDir, health::State::Ok, None);
                        (kept, told) = (Some(desired), None);
                    }
                    Err(error) => {
                        let error = error.to_string();
                        self.health
                            .set(Part::DataDir, health::State::Degraded, Some(error.clone()));
                        if told.as_ref() != Some(&error) {
                            tracing::error!(
                                "{error}; a trunkd that starts while Redis is away will have nothing to serve"
                            );
                            told = Some(error);
                        }
                    }
                }
            }
            // What several readers read at once is told apart though it is the same: one of it is kept at the next look.
            if accepted.is_none_or(|desired| is(&kept, &desired)) || told.is_some() {
                let _ = timeout(interval, changes.changed()).await;
            }
            sleep((took * KEEP_SHARE).clamp(*KEEP_AFTER.start(), *KEEP_AFTER.end())).await;
        }
    }

    /// What was read, when nothing of it is held from any switch.
    async fn accepted(&self, others: &mut Others) -> Option<Arc<Desired>> {
        let current = self.serves(self.catalog.all().await).ok()?;
        others.look(&current.desired).await.then_some(current.desired)
    }

    /// Says in `/health` who asked and is in no settings. That is no fault of trunkd's: anybody can ask.
    pub(super) fn report_unknown_switches(&self) {
        let report = self.unknown.report(std::time::Instant::now());
        self.health.set(Part::UnknownSwitches, health::State::Ok, report);
    }

    /// What a rescan is answered, when that is not all.
    async fn missing(&self, asked: &SofiaConf, desired: &Arc<Desired>, key: &RevisionKey) -> Option<Arc<Desired>> {
        if asked.kind() != Kind::Rescan {
            return None;
        }
        let (running, asked) = (self.running.clone(), asked.clone());
        let (desired, key) = (desired.clone(), key.clone());
        // Ten thousand gateways are compared: not on a thread that others wait for.
        let compared = tokio::task::spawn_blocking(move || {
            let asks = Rescan {
                switch: &asked.node,
                core_uuid: asked.core_uuid.as_deref(),
                profile: asked.profile.as_deref()?,
            };
            let missing = running.missing(asks, &desired, &key)?;
            Some(Arc::new(desired.only(&missing)))
        });
        // All are served when this fails.
        compared.await.ok().flatten()
    }

    /// Whether what was served last was what Redis held.
    pub(super) fn is_fresh(&self) -> bool {
        *self.fresh.lock().unwrap_or_else(PoisonError::into_inner) == Some(true)
    }

    /// Says how fresh what is served is.
    pub(super) fn serves(&self, read: Result<Current, Unavailable>) -> Result<Current, Unavailable> {
        self.health.set_serving(read.is_ok());
        let why = match &read {
            Ok(Current { stale: None, .. }) => None,
            Ok(Current {
                stale: Some((since, error)),
                ..
            }) => {
                let age = Timestamp::now().duration_since(*since).as_secs();
                Some(format!(
                    "the last good state, of {since:.0} and {age} s old, is served: {error}"
                ))
            }
            Err(unavailable) => Some(unavailable.to_string()),
        };
        let mut fresh = self.fresh.lock().unwrap_or_else(PoisonError::into_inner);
        let is_news = fresh.replace(why.is_none()) != Some(why.is_none());
        match why {
            Some(why) => {
                if is_news {
                    tracing::error!("{why}");
                }
                self.health.set(Part::Gateways, health::State::Degraded, Some(why));
            }
            None if is_news => {
                tracing::info!("what is served is what Redis holds");
                self.health.set(Part::Gateways, health::State::Ok, None);
            }
            None => {}
        }
        drop(fresh);
        read
    }
}

/// Whether the one that is known is this very state.
fn is(known: &Option<Arc<Desired>>, desired: &Arc<Desired>) -> bool {
    known.as_ref().is_some_and(|known| Arc::ptr_eq(known, desired))
}

impl xml_curl::Source for LiveSource {
    async fn desired(&self, asked: &SofiaConf) -> Result<xml_curl::Current, xml_curl::Unavailable> {
        if self.unknown.note(&asked.node, std::time::Instant::now()) {
            self.report_unknown_switches();
        }
        let read = match &asked.gateway {
            Gateway::One(gateway) => self.catalog.one(gateway).await,
            Gateway::NotAsked | Gateway::All => self.catalog.all().await,
        };
        let current = self
            .serves(read)
            .map_err(|error| xml_curl::Unavailable(error.to_string()))?;
        let mut desired = match current.is_whole {
            true => self.ledger.answer(&asked.node, &current.desired).await,
            false => self.served.holding(&asked.node).unwrap_or(current.desired),
        };
        let mut is_for_one = false;
        if let (Gateway::All, Some(profile)) = (&asked.gateway, &asked.profile)
            && let Some(batch) = self.served.batch(&asked.node, profile)
        {
            desired = Arc::new(desired.only(&batch));
            is_for_one = true;
        }
        // What is not known to be wanted still is not started by trunkd either.
        if current.stale.is_none()
            && let Some(missing) = self.missing(asked, &desired, &current.key).await
        {
            desired = missing;
            is_for_one = true;
        }
        let asked_to_start = match &asked.gateway {
            Gateway::NotAsked => None,
            Gateway::All => Some(None),
            Gateway::One(gateway) => Some(Some(gateway.as_str())),
        };
        if let (Some(gateway), Some(profile)) = (asked_to_start, &asked.profile) {
            self.served
                .record_given(&asked.node, profile, gateway, &desired, &current.key);
        }
        Ok(xml_curl::Current {
            desired,
            key: current.key,
            templates: self.templates.current.load_full(),
            stale_since: current.stale.map(|(since, _)| since),
            is_for_one,
        })
    }
}

impl DesiredSource for LiveSource {
    async fn wanted(&self) -> Option<Wanted> {
        let current = self.serves(self.catalog.all().await).ok()?;
        // An old state is good enough to be served, but nothing is killed for its sake.
        current.stale.is_none().then_some(Wanted {
            desired: current.desired,
            key: current.key,
        })
    }

    fn changed(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }
}

/// A switch as ingest knows it, for the executor.
pub(super) struct LiveSwitch(pub(super) Arc<Ingest>);

impl RunningSource for LiveSwitch {
    fn revisions(&self, core_uuid: &str) -> Option<HashMap<Arc<str>, String>> {
        self.0.revisions(core_uuid)
    }
}

impl Switch for LiveSwitch {
    fn name(&self) -> &str {
        self.0.switch()
    }

    fn is_known(&self) -> bool {
        self.0.is_known()
    }

    fn refresh(&self, known: &mut Known) -> Result<Refreshed, Unknown> {
        let news = self.0.news().ok_or(Unknown)?;
        let ghosts = news.ghosts.iter().map(|(name, profile)| (&**name, profile.as_str()));
        let profiles = news.profiles.iter().map(String::as_str);
        let gateways = news.gateways.iter().map(|gateway| Listed {
            name: &gateway.name,
            profile: gateway.profile.as_deref(),
            state: gateway.state.as_ref(),
            revision: gateway.revision.as_ref().map(Option::as_deref),
        });
        if news.is_all {
            *known = Known::new(profiles, ghosts, gateways);
            return Ok(Refreshed::All);
        }
        known.set_profiles_and_ghosts(profiles, ghosts);
        let mut changed = Vec::with_capacity(news.gateways.len() + news.gone.len());
        for listed in gateways {
            if let Ok(name) = GatewayName::parse(listed.name) {
                known.set(name.clone(), &listed);
                changed.push(name);
            }
        }
        for name in news.gone.iter().filter_map(|name| GatewayName::parse(name).ok()) {
            known.forget(&name);
            changed.push(name);
        }
        Ok(Refreshed::Changes(changed))
    }

    fn instance(&self, gateway: &GatewayName) -> Result<Option<u64>, Unknown> {
        self.0.instance(gateway.as_str()).ok_or(Unknown)
    }

    fn changed(&self) -> watch::Receiver<u64> {
        self.0.changed()
    }

    fn commands(&self) -> Option<(Commands, Changes)> {
        self.0.commands()
    }

    async fn ask_revisions(
        &self,
        commands: &Commands,
        gateways: &[GatewayName],
    ) -> Result<Vec<Option<String>>, QueryError> {
        self.0.ask_revisions(commands, gateways).await
    }

    fn survey_soon(&self) {
        self.0.survey_soon();
    }

    fn not_ready(&self) {
        self.0.not_ready();
    }
}
