//! Makes live events.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use serde::Serialize;
use serde_json::json;

use super::super::listing;
use super::super::service::Service;
use super::super::status::SwitchNotes;
use super::LivePosition;
use crate::history::{Entry, Event};

/// One event, ready to be sent.
#[derive(Debug, Clone)]
pub struct LiveEvent {
    pub kind: LiveKind,
    pub domain: Option<Arc<str>>,
    pub gateway: Option<Arc<str>>,
    pub(super) is_about_people: bool,
    /// JSON in one line.
    data: String,
    /// As a server-sent event: `id`, `event` and `data`.
    pub text: Bytes,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LiveKind {
    /// A gateway's state on a switch.
    Gateway,
    /// A switch was connected, lost, or taken out.
    Switch,
    /// What is held, paused or left to do on a switch.
    Plan,
    /// An entry of the history.
    History,
    /// Events were missed: read everything again.
    Resync,
}

impl LiveKind {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Gateway => "gateway",
            Self::Switch => "switch",
            Self::Plan => "plan",
            Self::History => "history",
            Self::Resync => "resync",
        }
    }
}

impl LiveEvent {
    fn new(kind: LiveKind, data: &impl Serialize) -> Self {
        Self {
            kind,
            domain: None,
            gateway: None,
            is_about_people: false,
            data: serde_json::to_string(data).unwrap_or_default(),
            text: Bytes::new(),
        }
    }

    pub(super) fn at(mut self, position: &LivePosition) -> Self {
        let Self { kind, data, .. } = &self;
        self.text = format!("id: {position}\nevent: {}\ndata: {data}\n\n", kind.as_str()).into();
        self.data = String::new();
        self
    }
}

pub(super) fn resync() -> LiveEvent {
    LiveEvent::new(LiveKind::Resync, &json!({}))
}

pub(super) fn entry(entry: &Entry) -> LiveEvent {
    LiveEvent {
        domain: entry.domain.as_deref().map(Arc::from),
        gateway: entry.gateway.as_deref().map(Arc::from),
        is_about_people: matches!(entry.event, Event::Access { .. }),
        ..LiveEvent::new(LiveKind::History, entry)
    }
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
            said.push(LiveEvent::new(LiveKind::Plan, &data));
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
            LiveEvent::new(LiveKind::Switch, &json!({ "switch": **switch, "state": state }))
        });
        said.collect()
    }
}
