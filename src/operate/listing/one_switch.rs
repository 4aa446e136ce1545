//! Some gateways on one switch.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use serde::Serialize;

use super::super::status::{Gateway, OnSwitch, Switch, SwitchNotes};
use super::Known;
use crate::desired::Current;

/// A gateway on a switch: the data of a live event.
#[derive(Debug, Serialize)]
pub(in crate::operate) struct SeenGateway {
    #[serde(skip)]
    pub(in crate::operate) name: Arc<str>,
    #[serde(skip)]
    pub(in crate::operate) domain: Option<Arc<str>>,
    /// The switch doesn't have it any more, nor is it to have it.
    gone: bool,
    #[serde(flatten)]
    gateway: Gateway,
}

/// These gateways on a switch, as in the status.
pub(super) fn seen(
    known: &Known,
    current: &Current,
    switch: &str,
    names: &BTreeSet<&str>,
    notes: &SwitchNotes,
) -> Switch {
    let rows = names
        .iter()
        .filter_map(|name| Some(((*name).to_owned(), known.fleet.row(switch, name)?)));
    let state = known.fleet.state(switch).cloned().unwrap_or_default();
    let view = notes.view(current, switch, known.fleet.is_watched(switch), names);
    view.switch(switch.to_owned(), state, rows.collect())
}

pub(in crate::operate) fn on_switch(
    known: &Known,
    switch: &Arc<str>,
    gateways: &BTreeSet<Arc<str>>,
    notes: &SwitchNotes,
) -> Vec<SeenGateway> {
    let Some(current) = known.current() else {
        return Vec::new();
    };
    let names: BTreeSet<&str> = gateways.iter().map(|name| &**name).collect();
    let seen = seen(known, current, switch, &names, notes);
    let on = OnSwitch {
        switch,
        watched: seen.watched,
    };
    let mut by_name: HashMap<String, Gateway> = seen
        .gateways
        .into_iter()
        .map(|gateway| (gateway.name.clone(), gateway))
        .collect();
    let said = gateways.iter().map(|name| {
        let found = by_name.remove(&**name);
        let entry = current.desired.get(name);
        let domain = entry.map(|entry| entry.gateway.domain.clone());
        SeenGateway {
            name: name.clone(),
            domain: domain.or_else(|| known.index.domain_of(name)),
            gone: found.is_none(),
            gateway: found.unwrap_or_else(|| Gateway::gone(on, name)),
        }
    });
    said.collect()
}
