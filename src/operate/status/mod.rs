//! What each switch's gateways are doing: from Redis or, if that is down, from the last good state on
//! disk and the switches themselves. Changes nothing.

mod condition;
mod deviation;
mod model;
mod note;
mod notes;
mod select;
mod unplaced;
mod view;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use jiff::Timestamp;
use tokio::time::timeout;

pub use condition::Condition;
pub use deviation::{Blocker, Deviation};
pub use model::{Counts, DrainedSince, Gateway, OnSwitch, RedisDown, Status, Switch, Unplaced, VERSION};
pub use note::{BlockCode, Note, NoteCode, ReasonCode};
pub(in crate::operate) use notes::SwitchNotes;
pub use select::{NoSuchState, Selection, StateFilter};
pub(in crate::operate) use unplaced::unplaced;

use super::carriers::{CarrierList, RecentRegisters, Sources, of_status};
use super::pool::SwitchPool;
use super::{Caller, OperateError, held, is_watched, sources};
use crate::calls::CallLog;
use crate::carriers::Carriers;
use crate::control::{Control, Report};
use crate::desired::{Catalog, Current, LastGood, LastGoodError};
use crate::event_socket::{self, GatewayStatus, Session};
use crate::language::Bilingual;
use crate::observed::{Row, SwitchState};
use crate::reconcile::{want, wants};
use crate::redis::{Store, StoreError};
use crate::settings::{Settings, SwitchSettings};
use view::View;

/// Limit for asking a switch. It lists 10,000 gateways in a tenth of a second.
const SWITCH_LIMIT: Duration = Duration::from_secs(5);

/// Reads the status.
pub struct StatusSource {
    settings: Settings,
    store: Store,
    catalog: Arc<Catalog>,
    /// Why the last good state can't be read, for instance by another user. It matters only while Redis
    /// is down.
    no_last_good: Option<LastGoodError>,
    last_notes: notes::LastNotes,
    registers: RecentRegisters,
    /// What a trunkd saved. `None` unless calls are counted.
    calls: Option<CallLog>,
}

/// What Redis knows about the switches.
struct Observed {
    switches: Vec<(String, SwitchState, HashMap<String, Row>)>,
    has_key: bool,
    control: Control,
    reports: BTreeMap<String, Report>,
}

impl StatusSource {
    /// The second value says why gateways can't be checked against the templates, if so.
    ///
    /// # Errors
    /// The settings name no Redis, or the default profile's name is bad.
    pub fn open(settings: Settings) -> Result<(Self, Option<OperateError>), OperateError> {
        let store = sources::store(&settings)?;
        let rules = sources::templates(&settings).and_then(|templates| sources::rules(&settings, &templates));
        let (rules, unchecked) = match rules {
            Ok(rules) => (rules, None),
            Err(error) => (sources::rules_without_templates(&settings)?, Some(error)),
        };
        let (last_good, no_last_good) = match LastGood::load(&settings.data_dir) {
            Ok(last_good) => (last_good, None),
            Err(error) => (None, Some(error)),
        };
        let switches = settings.switches.iter().map(|switch| switch.name.clone());
        let source = Self {
            calls: settings.calls.enabled.then(|| CallLog::new(switches)),
            registers: RecentRegisters::default(),
            catalog: sources::catalog(&store, rules, last_good),
            settings,
            store,
            no_last_good,
            last_notes: notes::LastNotes::default(),
        };
        Ok((source, unchecked))
    }

    /// For a trunkd that serves: it has these open already.
    pub(in crate::operate) fn new(settings: Settings, store: Store, catalog: Arc<Catalog>) -> Self {
        Self {
            settings,
            store,
            catalog,
            no_last_good: None,
            registers: RecentRegisters::default(),
            calls: None,
            last_notes: notes::LastNotes::default(),
        }
    }

    /// One gateway on every switch.
    ///
    /// # Errors
    /// Redis can't be read.
    pub(in crate::operate) async fn of_gateway(
        &self,
        caller: &Caller,
        current: &Current,
        gateway: &str,
    ) -> Result<Vec<Switch>, OperateError> {
        // Every write holds this future several times over, and a page with a form some more.
        let observed = Box::pin(self.observed(Some(gateway))).await;
        let mut observed = observed.map_err(OperateError::at(&self.settings))?;
        if !caller.sees_all() {
            let reports = observed.reports.values_mut();
            reports.for_each(|report| *report = held::without_numbers(report));
        }
        Ok(self.redis_switches(current, observed, Some(gateway)))
    }

    /// Without its carriers if nobody looks at them: they cost a read of every gateway's counters.
    ///
    /// # Errors
    /// Redis can't be read, and there is no last good state.
    pub async fn read(&self, with_carriers: bool) -> Result<Status, OperateError> {
        // In parallel, so that a Redis that hangs costs one limit.
        let (current, observed) = tokio::join!(self.catalog.all(), self.observed(None));
        let current = current.map_err(|error| {
            let error = OperateError::unreadable(&self.settings, error);
            match &self.no_last_good {
                Some(why) => error.after(why),
                None => error,
            }
        })?;
        let down = current.stale.as_ref().map(|(last_good, error)| RedisDown {
            reason: OperateError::unreadable(&self.settings, error).message(),
            last_good: *last_good,
        });
        let mut status = match (observed, down) {
            (Ok(observed), down) => self.redis_status(&current, observed, down, with_carriers).await,
            (Err(_), Some(down)) => self.switches_status(&current, down).await,
            (Err(error), None) => return Err(OperateError::unreadable(&self.settings, error)),
        };
        status.switches.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(status)
    }

    /// With the rows of all gateways, or only of one.
    async fn observed(&self, gateway: Option<&str>) -> Result<Observed, StoreError> {
        let store = &self.store;
        let (switches, has_key, control, reports) = tokio::try_join!(
            store.read_switches(gateway),
            store.has_key(),
            store.read_control(),
            store.read_reports()
        )?;
        Ok(Observed {
            switches,
            has_key,
            control,
            reports,
        })
    }

    async fn redis_status(
        &self,
        current: &Current,
        observed: Observed,
        down: Option<RedisDown>,
        with_carriers: bool,
    ) -> Status {
        let reports = with_carriers.then(|| observed.reports.clone());
        let pool = self.pool(&observed);
        let on_no_switch = unplaced(&current.desired, &pool);
        let switches = self.redis_switches(current, observed, None);
        let mut status = Status {
            version: VERSION,
            well: false,
            redis_down: down,
            on_no_switch,
            switches,
            carriers: CarrierList::default(),
            findings: current.desired.findings().to_vec(),
        };
        if let Some(reports) = reports {
            status.carriers = self.carriers(&status, current, &reports).await;
        }
        status
    }

    async fn carriers(&self, status: &Status, current: &Current, reports: &BTreeMap<String, Report>) -> CarrierList {
        let switches: Vec<_> = status.switches.iter().map(|switch| switch.name.clone()).collect();
        let registers = self.registers.read(&self.store, &switches).await;
        if let Some(calls) = &self.calls {
            // Those that were read before stay.
            let _ = calls.restore_all(&self.store).await;
        }
        let carriers = Carriers::new(&self.settings.carriers);
        let sources = Sources {
            carriers: &carriers,
            reports: reports.iter().map(|(switch, report)| (&**switch, report)).collect(),
            registers: &registers,
            calls: self.calls.as_ref(),
            sees_all: true,
        };
        of_status(status, &current.desired, &sources)
    }

    fn pool(&self, observed: &Observed) -> SwitchPool {
        let now = Timestamp::now();
        let seen = observed.switches.iter();
        let seen = seen.map(|(name, state, _)| (name.as_str(), is_watched(state, now)));
        SwitchPool::new(&self.settings, &observed.control, &observed.reports, seen)
    }

    /// Every switch that Redis or the settings know, with all gateways or only one.
    fn redis_switches(&self, current: &Current, observed: Observed, gateway: Option<&str>) -> Vec<Switch> {
        let now = Timestamp::now();
        let Observed {
            mut switches,
            has_key,
            control,
            mut reports,
        } = observed;
        let reported: BTreeSet<_> = switches.iter().map(|(name, ..)| name.clone()).collect();
        let ours = self.settings.switches.iter().map(|switch| &switch.name);
        let silent = ours.filter(|name| !reported.contains(*name));
        switches.extend(silent.map(|name| (name.clone(), SwitchState::default(), HashMap::new())));
        let switches = switches.into_iter().map(|(name, state, rows)| {
            let view = View {
                watched: is_watched(&state, now),
                asked: false,
                paused: control.is_paused(&name),
                drained: control.drained.get(&name).cloned(),
                report: reports.remove(&name),
                wants: match gateway {
                    None => wants(&current.desired, &current.key, &name),
                    Some(gateway) => want(&current.desired, &current.key, &name, gateway)
                        .into_iter()
                        .collect(),
                },
                has_key,
                desired: &current.desired,
            };
            view.switch(name, state, rows)
        });
        switches.collect()
    }

    async fn switches_status(&self, current: &Current, down: RedisDown) -> Status {
        let asked = self.settings.switches.iter().map(|switch| ask(switch, current));
        let switches = join_all(asked).await;
        let seen = switches
            .iter()
            .map(|switch| (switch.name.as_str(), switch.state.connected));
        let pool = SwitchPool::new(&self.settings, &Control::default(), &BTreeMap::new(), seen);
        Status {
            version: VERSION,
            well: false,
            redis_down: Some(down),
            on_no_switch: unplaced(&current.desired, &pool),
            switches,
            carriers: CarrierList::default(),
            findings: current.desired.findings().to_vec(),
        }
    }
}

/// Asks a switch for its gateways.
async fn ask(switch: &SwitchSettings, current: &Current) -> Switch {
    let (state, rows) = match listed(switch).await {
        Ok(gateways) => {
            let now = Timestamp::now();
            let mut rows = HashMap::new();
            for gateway in gateways {
                // The first of a name is the live one (FACTS 25).
                rows.entry(gateway.name.clone()).or_insert_with(|| row(gateway, now));
            }
            let connected = SwitchState {
                connected: true,
                ..SwitchState::default()
            };
            (connected, rows)
        }
        Err(reason) => {
            let state = SwitchState {
                reason: Some(reason),
                ..SwitchState::default()
            };
            (state, HashMap::new())
        }
    };
    let view = View {
        watched: false,
        asked: true,
        paused: false,
        drained: None,
        report: None,
        wants: wants(&current.desired, &current.key, &switch.name),
        has_key: false,
        desired: &current.desired,
    };
    view.switch(switch.name.clone(), state, rows)
}

async fn listed(switch: &SwitchSettings) -> Result<Vec<GatewayStatus>, String> {
    let address = sources::address(switch);
    let asking = async {
        let session = Session::open(&address, event_socket::Timing::default())
            .await
            .map_err(|error| error.to_string())?;
        session.commands.gateways().await.map_err(|error| error.to_string())
    };
    let late = |_| Err(format!("no answer within {} s", SWITCH_LIMIT.as_secs()));
    timeout(SWITCH_LIMIT, asking).await.unwrap_or_else(late)
}

fn row(gateway: GatewayStatus, now: Timestamp) -> Row {
    let uptime = gateway.uptime.unwrap_or_default();
    // FreeSWITCH doesn't say since when a gateway is down: see `View::gateway`.
    Row {
        profile: Some(gateway.profile),
        state: Some(gateway.state),
        ping: Some(gateway.ping),
        since: now.checked_sub(uptime).unwrap_or(now),
        seen: now,
        ..Row::unknown(now)
    }
}
