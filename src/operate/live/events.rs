//! Makes live events.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::json;

use super::super::held::HELD;
use super::super::listing;
use super::super::service::Service;
use super::super::status::SwitchNotes;
use super::event::{LiveEvent, LiveKind};
use crate::history::RawEntry;

pub(super) fn resync() -> LiveEvent {
    LiveEvent::new(LiveKind::Resync, &json!({}))
}

/// Whether Redis can be read.
pub(super) fn redis(is_connected: bool) -> LiveEvent {
    LiveEvent::new(LiveKind::Redis, &json!({ "connected": is_connected }))
}

/// Two of a hold: its numbers are for those who see all domains.
pub(super) fn entry(entry: &RawEntry) -> Vec<LiveEvent> {
    let event = LiveEvent {
        domain: entry.text("domain").map(Arc::from),
        gateway: entry.text("gateway").map(Arc::from),
        is_about_people: entry.text("kind") == Some("access"),
        ..LiveEvent::new(LiveKind::History, &entry.json)
    };
    let Some(json) = entry.json.as_ref().filter(|_| entry.text("kind") == Some("hold")) else {
        return vec![event];
    };
    let mut json = json.clone();
    json.insert("reason".to_owned(), HELD.en.into());
    json.insert("reason_zh".to_owned(), HELD.zh.into());
    for_both(event, LiveEvent::new(LiveKind::History, &json))
}

/// One for who sees all domains, and one for all others.
fn for_both(all: LiveEvent, others: LiveEvent) -> Vec<LiveEvent> {
    let events = [(all, true), (others, false)];
    let marked = events.map(|(event, all)| LiveEvent {
        for_all_domains: Some(all),
        ..event
    });
    marked.into()
}

/// The plans that differ from those known. The first look says nothing.
pub(super) fn plans(notes: &SwitchNotes, known: &mut BTreeMap<String, String>, is_due: bool) -> Vec<LiveEvent> {
    if !is_due {
        return Vec::new();
    }
    let is_first = known.is_empty();
    let mut said = Vec::new();
    for (switch, report) in notes.reports() {
        let data = json!({
            "switch": switch,
            "mode": report.mode,
            "paused": notes.is_paused(switch),
            "held": report.held,
            "start": report.start,
            "restart": report.restart,
            "kill": report.kill,
        });
        let text = data.to_string();
        if known.insert(switch.clone(), text.clone()).as_ref() != Some(&text) && !is_first {
            let for_others = json!({
                "switch": switch,
                "mode": report.mode,
                "paused": notes.is_paused(switch),
                "held": report.held.as_ref().map(|_| HELD.en),
            });
            let [all, others] = [data, for_others].map(|data| LiveEvent::new(LiveKind::Plan, &data));
            said.extend(for_both(all, others));
        }
    }
    known.retain(|switch, _| notes.report(switch).is_some());
    said
}

impl Service {
    pub(super) fn gateway_events(
        &self,
        changed: &BTreeMap<Arc<str>, BTreeSet<Arc<str>>>,
        notes: &SwitchNotes,
    ) -> Vec<LiveEvent> {
        let known = self.listing().read();
        let mut said = Vec::new();
        for (switch, gateways) in changed {
            for seen in listing::on_switch(&known, switch, gateways, notes) {
                said.push(LiveEvent {
                    domain: seen.domain.clone(),
                    gateway: Some(seen.name.clone()),
                    ..LiveEvent::new(LiveKind::Gateway, &seen)
                });
            }
        }
        said
    }

    pub(super) fn switch_events(&self, changed: &BTreeSet<Arc<str>>) -> Vec<LiveEvent> {
        let known = self.listing().read();
        let said = changed.iter().map(|switch| {
            let state = known.fleet.state(switch);
            let watched = known.fleet.is_watched(switch);
            LiveEvent::new(
                LiveKind::Switch,
                &json!({ "switch": **switch, "watched": watched, "state": state }),
            )
        });
        said.collect()
    }
}
