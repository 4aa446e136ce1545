//! A snapshot against what is stored: which rows and values differ, and the event-shaped values that mend them. Pure.

use std::borrow::Cow;

use jiff::{Timestamp, tz::TimeZone};
use serde_json::{Map, Value};

use super::view::View;
use crate::event_socket::{Subclass, headers};
use crate::observed::{Mend, MendOp, Row, StaleItem, Stored};

/// Marks a value that is not an event as FreeSWITCH sent it.
const SOURCE: &str = "trunkd-Source";
const FROM_SNAPSHOT: &str = "snapshot";
const FROM_DISCONNECT: &str = "disconnected";

/// The run of a switch that a snapshot is of.
#[derive(Debug, Clone)]
pub(super) struct RunIdentity {
    pub(super) switchname: String,
    pub(super) hostname: String,
    pub(super) core_uuid: String,
}

/// What of a stored value decides whether it is still true.
struct StoredValue<'a> {
    switchname: Cow<'a, str>,
    core_uuid: Cow<'a, str>,
    state: Option<Cow<'a, str>>,
    ping: Option<Cow<'a, str>>,
    source: Option<Cow<'a, str>>,
}

/// What must change in Redis so that it says what the view says. The view has just absorbed a snapshot that counts as of `sequence`.
pub(super) fn differences(
    stored: &Stored,
    view: &View,
    identity: &RunIdentity,
    sequence: u64,
    now: Timestamp,
) -> Vec<Mend> {
    let mut mends = Vec::new();
    for (name, row) in view.rows().filter(|(name, _)| !view.is_newer(name)) {
        mends.push(correction(stored, name, row, identity, sequence, now));
    }
    let ours = |value: &str| parse(value).is_some_and(|value| value.switchname == identity.switchname);
    let mut gone: Vec<_> = stored.rows.keys().collect();
    gone.extend(
        stored
            .values
            .iter()
            .filter(|(name, value)| !stored.rows.contains_key(*name) && ours(value))
            .map(|(name, _)| name),
    );
    for name in gone
        .into_iter()
        .filter(|name| view.row(name).is_none() && !view.is_newer(name))
    {
        let old_row = stored.rows.get(name).cloned().unwrap_or_default();
        let row = serde_json::from_str(&old_row).unwrap_or_else(|_| Row::unknown(now));
        let value = event_shaped(Subclass::Delete, name, &row, identity, sequence, now);
        let old_value = stored.values.get(name).cloned().unwrap_or_default();
        mends.push(Mend {
            gateway: name.clone(),
            op: MendOp::Delete { value },
            old_row,
            old_value,
        });
    }
    mends.sort_by(|a, b| a.gateway.cmp(&b.gateway));
    mends
}

/// What must change so that Redis says this of the gateway.
pub(super) fn correction(
    stored: &Stored,
    name: &str,
    row: &Row,
    identity: &RunIdentity,
    sequence: u64,
    now: Timestamp,
) -> Mend {
    let old_value = stored.values.get(name).map_or("", String::as_str);
    let value = (!says(old_value, row, identity, stored))
        .then(|| event_shaped(Subclass::State, name, row, identity, sequence, now));
    Mend {
        gateway: name.to_owned(),
        op: MendOp::Set {
            row: row.to_json(),
            value,
        },
        old_row: stored.rows.get(name).cloned().unwrap_or_default(),
        old_value: old_value.to_owned(),
    }
}

/// The rows and values of a switch that is out of reach, as they are to be marked. Those that are marked already are left out.
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

/// Whether the value is true: of this run of this switch, with this state; or another known switch's, whose word is as good.
fn says(value: &str, row: &Row, identity: &RunIdentity, stored: &Stored) -> bool {
    let Some(value) = parse(value) else { return false };
    if value.switchname != identity.switchname {
        return stored.switches.iter().any(|known| *known == value.switchname);
    }
    let same = |stored: &Option<Cow<'_, str>>, true_word: Option<&str>| stored.as_deref() == true_word;
    value.core_uuid == identity.core_uuid
        && same(&value.state, row.state.as_ref().map(|state| state.as_str()))
        && same(&value.ping, row.ping.as_ref().map(|ping| ping.as_str()))
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

/// The value with `"trunkd-Source": "disconnected"`; `None` when it is another switch's.
fn disconnected(value: &str, switchname: &str) -> Option<String> {
    let known = parse(value).filter(|known| known.switchname == switchname)?;
    if known.source.is_none() {
        // An event as FreeSWITCH sent it: lists and doubled keys stay as they are.
        let event = value.trim_end().strip_suffix('}')?;
        return Some(format!("{event},\"{SOURCE}\":\"{FROM_DISCONNECT}\"}}"));
    }
    let mut fields: Map<String, Value> = serde_json::from_str(value).ok()?;
    fields.insert(SOURCE.to_owned(), FROM_DISCONNECT.into());
    serde_json::to_string(&fields).ok()
}

/// A value with the fields of FreeSWITCH's event, in its order, marked as ours.
fn event_shaped(
    subclass: Subclass,
    gateway: &str,
    row: &Row,
    identity: &RunIdentity,
    sequence: u64,
    now: Timestamp,
) -> String {
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
    add("Event-Sequence", &sequence.to_string());
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
