//! What the switches do about a change of many gateways, for all of them together and from memory.

use std::collections::{BTreeSet, HashMap};

use serde::Serialize;
use utoipa::ToSchema;

use super::super::super::listing::Fleet;
use super::super::super::status::SwitchNotes;
use super::draft::{Draft, Drafted};
use crate::control::Report;
use crate::desired::Current;
use crate::gateway::{Desired, EntryChange, Gateway, GatewayName, RawDomain, RawDomains, Rules, revision};
use crate::language::Message;
use crate::reconcile::{Limits, Verdict, judge};

/// What a switch does about it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct SwitchForecast {
    pub switch: String,
    /// Gateways that it starts.
    pub start: usize,
    /// Gateways that it stops and starts with their new value. Calls stay up; new ones fail for a few
    /// seconds.
    pub restart: usize,
    /// Gateways that it stops.
    pub stop: usize,
    /// Why an operator must approve it first, if so: `held: removes 40 of 50 (more than 10)`.
    pub held: Option<Message>,
    /// Nothing is changed on it until somebody resumes.
    pub paused: bool,
    /// `apply`: trunkd changes it by itself. `null` if no trunkd has reported on it.
    pub mode: Option<String>,
}

/// What is known of the switches.
pub(super) struct Seen {
    pub(super) switches: Vec<Here>,
    pub(super) notes: SwitchNotes,
}

/// What is known of one switch.
pub(super) struct Here {
    pub(super) name: String,
    /// Removed lately without approval.
    pub(super) recent: BTreeSet<GatewayName>,
}

/// field → its new value; `None` if it is deleted.
type NewValues<'a> = HashMap<&'a [u8], Option<&'a [u8]>>;

/// What is desired after these are written.
pub(super) fn desired_after<'a>(
    current: &Current,
    rules: &Rules,
    written: impl Iterator<Item = &'a Drafted>,
) -> Desired {
    let mut by_domain: HashMap<&[u8], NewValues<'_>> = HashMap::new();
    for drafted in written {
        if let Draft::Write { after, .. } = &drafted.draft {
            let of_domain = by_domain.entry(drafted.domain.as_bytes()).or_default();
            of_domain.insert(drafted.name.as_bytes(), after.as_deref());
        }
    }
    let mut domains = RawDomains::clone(&current.domains);
    for (name, raw) in current.domains.iter() {
        let (RawDomain::Hash(fields), Some(values)) = (raw, by_domain.get(name.as_bytes())) else {
            continue;
        };
        let fields = fields.with(values);
        // Redis has no empty hash.
        match fields.is_empty() {
            true => domains.remove(name),
            false => domains.insert(name.clone(), RawDomain::Hash(fields.into())),
        };
    }
    Desired::build(&domains, rules, Some(&current.desired))
}

/// In the order of the switches.
pub(super) fn forecast(
    current: &Current,
    after: &Desired,
    seen: Seen,
    fleet: &Fleet,
    limits: Limits,
) -> Vec<SwitchForecast> {
    let Seen { switches, notes } = seen;
    let switches = switches.into_iter();
    let mut all: Vec<_> = switches
        .map(|here| (SwitchForecast::of(&here.name, &notes), here))
        .collect();
    for change in EntryChange::between(current.desired.served(), after.served()) {
        let before = change.before.map(|entry| &entry.gateway);
        let now = change.now.map(|entry| &entry.gateway);
        // What runs under a name whose value is refused stays.
        let stays = now.is_none() && after.refused().contains_key(change.name);
        let differs = match (before, now) {
            (Some(before), Some(now)) => revision(before, &current.key) != revision(now, &current.key),
            _ => true,
        };
        for (forecast, here) in all.iter_mut().filter(|_| !stays) {
            let runs = |gateway: Option<&Gateway>| gateway.is_some_and(|gateway| gateway.serves(Some(&here.name)));
            match (runs(before), runs(now)) {
                (false, true) => forecast.start += 1,
                (true, false) => forecast.stop += 1,
                (true, true) if differs => forecast.restart += 1,
                (true, true) | (false, false) => {}
            }
        }
    }
    let held = all.into_iter().map(|(mut forecast, here)| {
        if forecast.stop > 0 {
            forecast.held = hold(after, &here, fleet, limits).or(forecast.held);
        }
        forecast
    });
    held.collect()
}

impl SwitchForecast {
    fn of(switch: &str, notes: &SwitchNotes) -> Self {
        let report = notes.report(switch);
        Self {
            switch: switch.to_owned(),
            start: 0,
            restart: 0,
            stop: 0,
            held: report.and_then(Report::held),
            paused: notes.is_paused(switch),
            mode: report.map(|report| report.mode.clone()).filter(|mode| !mode.is_empty()),
        }
    }
}

/// What the guard says about all removals that the switch then has before it.
fn hold(after: &Desired, here: &Here, fleet: &Fleet, limits: Limits) -> Option<Message> {
    let ours: BTreeSet<_> = fleet
        .rows(&here.name)
        .filter(|(_, row)| row.revision.is_some())
        .filter_map(|(name, _)| GatewayName::parse(name).ok())
        .collect();
    let is_removed =
        |name: &&GatewayName| !after.serves(name, &here.name) && !after.refused().contains_key(name.as_str());
    let removals: BTreeSet<_> = ours.iter().filter(is_removed).cloned().collect();
    let has_vanished = after.counts().is_empty() && !ours.is_empty();
    let approved = BTreeSet::new();
    match judge(&ours, &removals, has_vanished, &limits, &approved, &here.recent) {
        Verdict::Go => None,
        Verdict::Hold(hold) => Some(hold.held().summary_message()),
    }
}
