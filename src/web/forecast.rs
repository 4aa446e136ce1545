//! A change of many gateways: its numbers, and what the switches do about it, as pages show them.

use std::time::Duration;

use super::address::gateway_url;
use super::texts::Texts;
use crate::carriers::Lasts;
use crate::operate::gateways::SwitchForecast;

/// What one switch does.
pub(super) struct OnSwitch {
    pub(super) name: String,
    pub(super) starts: usize,
    pub(super) restarts: usize,
    pub(super) stops: usize,
    pub(super) interruption_seconds: Option<usize>,
    /// Why somebody must approve it.
    pub(super) held: Option<String>,
    pub(super) remarks: Vec<String>,
}

/// A gateway with its page.
pub(super) struct Name {
    pub(super) domain: String,
    pub(super) name: String,
    pub(super) url: String,
}

impl OnSwitch {
    /// Without switches that have nothing to do.
    pub(super) fn all(t: Texts, plan: &[SwitchForecast]) -> Vec<Self> {
        let concerned = plan
            .iter()
            .filter(|on| on.start + on.restart + on.stop > 0 || on.held.is_some());
        concerned.map(|on| Self::of(t, on)).collect()
    }

    fn of(t: Texts, on: &SwitchForecast) -> Self {
        let mut remarks = Vec::new();
        if on.paused {
            remarks.push(t.get("bulk-paused").into_owned());
        }
        match on.mode.as_deref() {
            Some("apply") => {}
            Some(mode) => remarks.push(t.with("bulk-mode", mode).into_owned()),
            None => remarks.push(t.get("bulk-nobody").into_owned()),
        }
        remarks.extend(on.lasts.as_ref().map(|lasts| takes(t, lasts)));
        Self {
            name: on.switch.clone(),
            starts: on.start,
            restarts: on.restart,
            stops: on.stop,
            interruption_seconds: on.interruption_seconds,
            held: on.held.as_ref().map(|held| held.in_language(t.0).to_owned()),
            remarks,
        }
    }
}

/// What restarts do to calls. `None` if no switch restarts anything.
pub(super) fn interruption(t: Texts, switches: &[OnSwitch]) -> Option<String> {
    let longest = switches.iter().filter_map(|on| on.interruption_seconds).max()?;
    Some(t.count("bulk-interruption", longest).into_owned())
}

impl Name {
    pub(super) fn new(domain: &str, name: &str) -> Self {
        Self {
            domain: domain.to_owned(),
            name: name.to_owned(),
            url: gateway_url(domain, name),
        }
    }
}

/// How long it takes.
pub(super) fn takes(t: Texts, lasts: &Lasts) -> String {
    let time = humantime::format_duration(Duration::from_secs(lasts.seconds)).to_string();
    match &lasts.carrier {
        Some(carrier) => t.fill("plan-takes-paced", &[("time", &*time), ("carrier", carrier)]),
        None => t.with("plan-takes", &time).into_owned(),
    }
}

/// Numbers with what they count: the first one always, the others unless they are zero.
pub(super) fn counted(t: Texts, rows: &[(&str, usize)]) -> Vec<(String, usize)> {
    let shown = rows
        .iter()
        .enumerate()
        .filter(|(at, (_, count))| *at == 0 || *count > 0);
    shown.map(|(_, (id, count))| (t.get(id).into_owned(), *count)).collect()
}

/// `and 7 more`, if there are.
pub(super) fn more(t: Texts, count: usize) -> Option<String> {
    (count > 0).then(|| t.count("bulk-more", count).into_owned())
}
