//! Reads what is to be shown: from Redis, or while that is away from the last good state on disk
//! and the switches themselves.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use jiff::Timestamp;
use tokio::time::timeout;

use super::super::{
    Shared, catalog_with_last_good, is_watched, rules, rules_without_templates, store, templates, unreadable,
    while_doing,
};
use super::model::{RedisAway, Status, Switch, Unplaced};
use super::view::View;
use crate::control::{Control, Report};
use crate::desired::{Catalog, Current, LastGood, LastGoodError};
use crate::event_socket::{self, GatewayStatus, Session, SwitchAddress};
use crate::gateway::{Desired, Gateway};
use crate::observed::{Row, SwitchState};
use crate::reconcile::wants;
use crate::redis::{Store, StoreError};
use crate::settings::{Flags, Settings, SwitchSettings};

/// For a switch that is asked itself: it lists 10,000 gateways in a tenth of a second.
const SWITCH_PATIENCE: Duration = Duration::from_secs(5);

/// Switches named in one note.
const MAX_NAMED: usize = 5;

/// Where the status is read from.
pub(super) struct Source {
    settings: Settings,
    store: Store,
    catalog: Arc<Catalog>,
    /// Why the last good state cannot be read, as by another user. It is missed only while Redis is
    /// away.
    no_last_good: Option<LastGoodError>,
}

/// What Redis holds of the switches.
struct Observed {
    switches: Vec<(String, SwitchState, HashMap<String, Row>)>,
    has_key: bool,
    control: Control,
    reports: BTreeMap<String, Report>,
}

impl Source {
    pub(super) fn open(shared: &Shared) -> anyhow::Result<Self> {
        let settings = shared.settings(Flags::new())?;
        let store = store(&settings)?;
        let rules = match templates(&settings).and_then(|templates| rules(&settings, &templates)) {
            Ok(rules) => rules,
            Err(error) => {
                eprintln!("trunkd: gateways are not checked against the templates: {error}");
                rules_without_templates(&settings)?
            }
        };
        let (kept, no_last_good) = match LastGood::load(&settings.data_dir) {
            Ok(kept) => (kept, None),
            Err(error) => (None, Some(error)),
        };
        let catalog = catalog_with_last_good(&store, rules, kept);
        Ok(Self {
            settings,
            store,
            catalog,
            no_last_good,
        })
    }

    pub(super) async fn read(&self) -> anyhow::Result<Status> {
        // At once, so that a Redis that hangs is waited for once.
        let (current, observed) = tokio::join!(self.catalog.all(), self.observed());
        let current = current.map_err(|error| {
            let error = unreadable(&self.settings, error);
            match &self.no_last_good {
                Some(why) => while_doing(error)(why),
                None => error,
            }
        })?;
        let away = current.stale.as_ref().map(|(last_good, error)| RedisAway {
            reason: unreadable(&self.settings, error).to_string(),
            last_good: *last_good,
        });
        let mut status = match (observed, away) {
            (Ok(observed), away) => self.as_redis_says(&current, observed, away),
            (Err(_), Some(away)) => self.as_switches_say(&current, away).await,
            (Err(error), None) => return Err(unreadable(&self.settings, error)),
        };
        status.switches.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(status)
    }

    async fn observed(&self) -> Result<Observed, StoreError> {
        let store = &self.store;
        let (switches, has_key, control, reports) = tokio::try_join!(
            store.read_switches(),
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

    fn as_redis_says(&self, current: &Current, observed: Observed, away: Option<RedisAway>) -> Status {
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
        switches.extend(silent.map(|name| (name.clone(), never_connected(), HashMap::new())));
        let known: BTreeSet<_> = switches.iter().map(|(name, ..)| name.clone()).collect();
        let switches = switches.into_iter().map(|(name, state, rows)| {
            let view = View {
                watched: is_watched(&state, now),
                asked: false,
                paused: control.is_paused(&name),
                report: reports.remove(&name),
                wants: wants(&current.desired, &current.key, &name),
                has_key,
                desired: &current.desired,
                now,
            };
            view.switch(name, state, rows)
        });
        Status {
            well: false,
            redis_away: away,
            switches: switches.collect(),
            on_no_switch: unplaced(&current.desired, &known),
            findings: current.desired.findings().to_vec(),
        }
    }

    async fn as_switches_say(&self, current: &Current, away: RedisAway) -> Status {
        let asked = self.settings.switches.iter().map(|switch| ask(switch, current));
        let known = self.settings.switches.iter().map(|switch| switch.name.clone());
        Status {
            well: false,
            redis_away: Some(away),
            switches: join_all(asked).await,
            on_no_switch: unplaced(&current.desired, &known.collect()),
            findings: current.desired.findings().to_vec(),
        }
    }
}

/// The gateways of a switch, from itself.
async fn ask(switch: &SwitchSettings, current: &Current) -> Switch {
    let now = Timestamp::now();
    let (state, rows) = match listed(switch).await {
        Ok(gateways) => {
            let mut rows = HashMap::new();
            for gateway in gateways {
                // The first of a name is the live one (FACTS 25).
                rows.entry(gateway.name.clone()).or_insert_with(|| row(gateway, now));
            }
            let connected = SwitchState {
                connected: true,
                ..never_connected()
            };
            (connected, rows)
        }
        Err(reason) => {
            let state = SwitchState {
                reason: Some(reason),
                ..never_connected()
            };
            (state, HashMap::new())
        }
    };
    let view = View {
        watched: false,
        asked: true,
        paused: false,
        report: None,
        wants: wants(&current.desired, &current.key, &switch.name),
        has_key: false,
        desired: &current.desired,
        now,
    };
    view.switch(switch.name.clone(), state, rows)
}

async fn listed(switch: &SwitchSettings) -> Result<Vec<GatewayStatus>, String> {
    let address = SwitchAddress {
        name: switch.name.clone(),
        address: switch.address.to_string(),
        password: switch.password.clone(),
    };
    let asking = async {
        let session = Session::open(&address, event_socket::Timing::default())
            .await
            .map_err(|error| error.to_string())?;
        session.commands.gateways().await.map_err(|error| error.to_string())
    };
    let late = |_| Err(format!("no answer within {} s", SWITCH_PATIENCE.as_secs()));
    timeout(SWITCH_PATIENCE, asking).await.unwrap_or_else(late)
}

fn row(gateway: GatewayStatus, now: Timestamp) -> Row {
    let uptime = gateway.uptime.unwrap_or_default();
    // Of a gateway that is down FreeSWITCH does not say since when: see `View::gateway`.
    Row {
        profile: Some(gateway.profile),
        state: Some(gateway.state),
        ping: Some(gateway.ping),
        since: now.checked_sub(uptime).unwrap_or(now),
        seen: now,
        ..Row::unknown(now)
    }
}

fn never_connected() -> SwitchState {
    SwitchState {
        connected: false,
        since: String::new(),
        core_uuid: String::new(),
        last_seen: String::new(),
        reason: None,
    }
}

/// The gateways whose `nodes` name none of the switches that are known. With no switch known nobody
/// can tell.
fn unplaced(desired: &Desired, known: &BTreeSet<String>) -> Vec<Unplaced> {
    if known.is_empty() {
        return Vec::new();
    }
    let gateways = desired.served().values().map(|entry| &entry.gateway);
    let is_unplaced = |gateway: &&Gateway| {
        let nodes = gateway.nodes.as_deref();
        nodes.is_some_and(|nodes| !nodes.iter().any(|node| known.contains(node)))
    };
    gateways
        .filter(is_unplaced)
        .map(|gateway| note(gateway, known))
        .collect()
}

fn note(gateway: &Gateway, known: &BTreeSet<String>) -> Unplaced {
    let nodes = gateway.nodes.as_deref().unwrap_or_default();
    let similar = |node: &String| known.iter().find(|known| known.eq_ignore_ascii_case(node));
    let named: Vec<_> = nodes.iter().map(|node| format!("{node:?}")).collect();
    let mut note = match named.is_empty() {
        true => "its nodes are empty".to_owned(),
        false => format!("its nodes name no known switch: {}", named.join(", ")),
    };
    match nodes.iter().find_map(similar) {
        Some(meant) => note.push_str(&format!("; did you mean {meant:?}?")),
        None => {
            let mut names: Vec<_> = known.iter().take(MAX_NAMED).map(String::as_str).collect();
            names.extend((known.len() > MAX_NAMED).then_some("…"));
            note.push_str(&format!("; known are {}", names.join(", ")));
        }
    }
    Unplaced {
        name: gateway.name.to_string(),
        domain: gateway.domain.to_string(),
        profile: gateway.profile.to_string(),
        nodes: nodes.to_vec(),
        note,
    }
}
