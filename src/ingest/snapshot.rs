//! Compares a snapshot with what Redis holds: which rows and values differ, and the event-shaped values that correct
//! them. Pure.

use std::borrow::Cow;

use jiff::{Timestamp, tz::TimeZone};
use serde_json::{Map, Value};

use super::view::View;
use crate::event_socket::{Subclass, headers};
use crate::observed::{Begun, Correction, CorrectionOp, Row, StaleItem, Stored};

/// Marks a value that is not an event as FreeSWITCH sent it.
const SOURCE: &str = "trunkd-Source";
const FROM_SNAPSHOT: &str = "snapshot";
const FROM_DISCONNECT: &str = "disconnected";

/// One run of a switch.
#[derive(Debug, Clone)]
pub(super) struct RunIdentity {
    pub(super) switchname: String,
    pub(super) hostname: String,
    pub(super) core_uuid: String,
}

/// When the switch was asked, and in which run. The answers are in the view.
#[derive(Debug, Clone)]
pub(super) struct Snapshot {
    pub(super) identity: RunIdentity,
    /// It counts as of this sequence.
    pub(super) sequence: u64,
    /// [`Begun::counted`], which is only needed where calls are counted.
    pub(super) counted: u64,
    pub(super) taken_at: Timestamp,
}

impl Snapshot {
    pub(super) fn begun(&self) -> Begun {
        Begun {
            sequence: self.sequence,
            counted: self.counted,
        }
    }
}

/// The parts of a stored value that decide whether it is still true.
struct StoredValue<'a> {
    switchname: Cow<'a, str>,
    core_uuid: Cow<'a, str>,
    state: Option<Cow<'a, str>>,
    ping: Option<Cow<'a, str>>,
    source: Option<Cow<'a, str>>,
}

/// What must change in Redis so that it says what the view says. The snapshot was just applied to the view.
pub(super) fn differences(stored: &Stored, view: &View, snapshot: &Snapshot) -> Vec<Correction> {
    let rows = view.rows().filter(|(name, _)| !view.is_newer(name));
    let mut corrections: Vec<_> = rows
        .map(|(name, row)| correction(stored, name, row, snapshot))
        .collect();

    let is_ours = |value: &str| parse(value).is_some_and(|value| value.switchname == snapshot.identity.switchname);
    let without_row = stored
        .values
        .iter()
        .filter(|(name, _)| !stored.rows.contains_key(*name));
    let ours = without_row.filter(|(_, value)| is_ours(value)).map(|(name, _)| name);
    let known = stored.rows.keys().chain(ours);
    let gone = known.filter(|name| view.row(name).is_none() && !view.is_newer(name));
    corrections.extend(gone.map(|name| removal(stored, name, snapshot)));
    corrections.sort_by(|a, b| a.gateway.cmp(&b.gateway));
    corrections
}

/// What must change so that Redis has this row of the gateway.
pub(super) fn correction(stored: &Stored, name: &str, row: &Row, snapshot: &Snapshot) -> Correction {
    let old_value = stored.values.get(name).map_or("", String::as_str);
    let is_true = is_true(old_value, row, &snapshot.identity, stored);
    let value = (!is_true).then(|| event_shaped(Subclass::State, name, row, snapshot));
    Correction {
        gateway: name.to_owned(),
        op: CorrectionOp::Set {
            row: row.to_json(),
            value,
        },
        old_row: stored.rows.get(name).cloned().unwrap_or_default(),
        old_value: old_value.to_owned(),
        calls: row.calls,
    }
}

fn removal(stored: &Stored, name: &str, snapshot: &Snapshot) -> Correction {
    let old_row = stored.rows.get(name).cloned().unwrap_or_default();
    let row = serde_json::from_str(&old_row).unwrap_or_else(|_| Row::unknown(snapshot.taken_at));
    let value = event_shaped(Subclass::Delete, name, &row, snapshot);
    Correction {
        gateway: name.to_owned(),
        op: CorrectionOp::Delete { value },
        old_row,
        old_value: stored.values.get(name).cloned().unwrap_or_default(),
        calls: None,
    }
}

/// The rows and values of a switch that is out of reach, marked stale. Those that are marked already are left out.
pub(super) fn stale_items(stored: &Stored, switchname: &str) -> Vec<StaleItem> {
    let mut items: Vec<_> = stored
        .rows
        .iter()
        .filter_map(|(gateway, old_row)| {
            let row: Row = serde_json::from_str(old_row).ok().filter(|row: &Row| !row.stale)?;
            let old_value = stored.values.get(gateway).cloned().unwrap_or_default();
            let value = disconnected(&old_value, switchname);
            let row = Row { stale: true, ..row }.to_json();
            Some(StaleItem {
                gateway: gateway.clone(),
                old_row: old_row.clone(),
                row,
                old_value,
                value,
            })
        })
        .collect();
    items.sort_by(|a, b| a.gateway.cmp(&b.gateway));
    items
}

/// Whether a value of the gateways hash is true: of this run of this switch with this state, or of
/// another known switch, whose state is as good.
fn is_true(value: &str, row: &Row, identity: &RunIdentity, stored: &Stored) -> bool {
    let Some(value) = parse(value) else { return false };
    if value.switchname != identity.switchname {
        return stored.switches.iter().any(|known| *known == value.switchname);
    }
    value.core_uuid == identity.core_uuid
        && value.state.as_deref() == row.state.as_ref().map(|state| state.as_str())
        && value.ping.as_deref() == row.ping.as_ref().map(|ping| ping.as_str())
        && value.source.as_deref() != Some(FROM_DISCONNECT)
}

fn parse(value: &str) -> Option<StoredValue<'_>> {
    let names = ["FreeSWITCH-Switchname", "Core-UUID", "State", "Ping-Status", SOURCE];
    let [switchname, core_uuid, state, ping, source] = headers(value, names).ok()?;
    Some(StoredValue {
        switchname: switchname.unwrap_or_default(),
        core_uuid: core_uuid.unwrap_or_default(),
        state,
        ping,
        source,
    })
}

/// The value with `"trunkd-Source": "disconnected"`; `None` when it is of another switch.
fn disconnected(value: &str, switchname: &str) -> Option<String> {
    let known = parse(value).filter(|known| known.switchname == switchname)?;
    if known.source.is_none() {
        // An event as FreeSWITCH sent it: lists and duplicate keys stay as they are.
        let event = value.trim_end().strip_suffix('}')?;
        return Some(format!("{event},\"{SOURCE}\":\"{FROM_DISCONNECT}\"}}"));
    }
    let mut fields: Map<String, Value> = serde_json::from_str(value).ok()?;
    fields.insert(SOURCE.to_owned(), FROM_DISCONNECT.into());
    serde_json::to_string(&fields).ok()
}

/// A value with the fields of FreeSWITCH's event, in its order, marked as ours.
fn event_shaped(subclass: Subclass, gateway: &str, row: &Row, snapshot: &Snapshot) -> String {
    let (identity, now) = (&snapshot.identity, snapshot.taken_at);
    let local = now.to_zoned_datetime(TimeZone::system());
    let gmt = now.to_zoned_datetime(TimeZone::UTC);
    let mut fields = Map::new();
    let mut add = |name: &str, value: &str| drop(fields.insert(name.to_owned(), value.into()));
    add("Event-Subclass", subclass.as_str());
    add("Event-Name", "CUSTOM");
    add("Core-UUID", &identity.core_uuid);
    add("FreeSWITCH-Hostname", &identity.hostname);
    add("FreeSWITCH-Switchname", &identity.switchname);
    add("Event-Date-Local", &local.strftime("%Y-%m-%d %H:%M:%S").to_string());
    add("Event-Date-GMT", &gmt.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string());
    add("Event-Date-Timestamp", &now.as_microsecond().to_string());
    add("Event-Sequence", &snapshot.sequence.to_string());
    if let (Subclass::Delete, Some(profile)) = (subclass, &row.profile) {
        add("profile-name", profile);
    }
    add("Gateway", gateway);
    if subclass == Subclass::State {
        let optional = [
            ("State", row.state.as_ref().map(|state| state.as_str())),
            ("Ping-Status", row.ping.as_ref().map(|ping| ping.as_str())),
            ("Phrase", row.phrase.as_deref()),
            ("Status", row.status.as_deref()),
        ];
        for (name, value) in optional {
            if let Some(value) = value {
                add(name, value);
            }
        }
    }
    add(SOURCE, FROM_SNAPSHOT);
    Value::Object(fields).to_string()
}
