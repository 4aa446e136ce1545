//! What the switches do about a change of many gateways, for all of them together and from memory. Pure.

mod run;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use serde::Serialize;
use utoipa::ToSchema;

use super::super::listing::Fleet;
use super::super::pool::{SwitchPool, will_serve};
use super::super::status::SwitchNotes;
use crate::carriers::{Carriers, Lasts, Starts};
use crate::control::Report;
use crate::desired::Current;
use crate::gateway::{
    Desired, DomainName, EntryChange, Fields, Gateway, GatewayName, RawDomain, RawDomains, Rules, revision,
};
use crate::language::Message;
use crate::reconcile::{Limits, Verdict, judge, restart_seconds};

/// What a switch does about it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct SwitchForecast {
    pub switch: String,
    /// Gateways that it starts.
    pub start: usize,
    /// Gateways that it stops and starts with their new value. Calls stay up.
    pub restart: usize,
    /// For how long new calls over one of them fail, about; 0 for less than a second. `null` if it
    /// restarts none.
    pub interruption_seconds: Option<usize>,
    /// How long it takes until all have started; `null` for less than a second.
    pub lasts: Option<Lasts>,
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
pub(in crate::operate) struct Seen {
    switches: Vec<Here>,
    notes: Arc<SwitchNotes>,
    pool: SwitchPool,
}

/// What is known of one switch.
struct Here {
    name: String,
    /// Removed lately without approval.
    recent: BTreeSet<GatewayName>,
}

/// What the settings allow.
struct Limited<'a> {
    removals: Limits,
    carriers: &'a Carriers,
    starts_per_second: u32,
}

/// A field that is written.
pub(in crate::operate) struct NewValue<'a> {
    pub(in crate::operate) domain: &'a DomainName,
    pub(in crate::operate) name: &'a [u8],
    /// `None`: it is deleted.
    pub(in crate::operate) value: Option<&'a [u8]>,
}

/// field → its new value; `None` if it is deleted.
type NewValues<'a> = HashMap<&'a [u8], Option<&'a [u8]>>;

/// What is desired after these are written.
pub(in crate::operate) fn desired_after<'a>(
    current: &Current,
    rules: &Rules,
    written: impl Iterator<Item = NewValue<'a>>,
) -> Desired {
    let mut by_domain: BTreeMap<&DomainName, NewValues<'_>> = BTreeMap::new();
    for new in written {
        by_domain.entry(new.domain).or_default().insert(new.name, new.value);
    }
    let mut domains = RawDomains::clone(&current.domains);
    for (domain, values) in by_domain {
        let fields = match domains.get(domain) {
            Some(RawDomain::Hash(fields)) => with_values(fields, &values),
            Some(RawDomain::WrongType(_)) => continue,
            None => with_values(&Fields::default(), &values),
        };
        // Redis has no empty hash.
        match fields.is_empty() {
            true => domains.remove(domain),
            false => domains.insert(domain.clone(), RawDomain::Hash(fields.into())),
        };
    }
    Desired::build_with(&domains, current.desired.records(), rules, Some(&current.desired))
}

fn with_values(fields: &Fields, values: &NewValues<'_>) -> Fields {
    let changed = fields.with(values);
    let mut new = values
        .iter()
        .filter_map(|(name, value)| Some((*name, (*value)?)))
        .filter(|(name, _)| fields.get(name).is_none())
        .peekable();
    if new.peek().is_none() {
        return changed;
    }
    let all = changed.iter().chain(new);
    all.map(|(name, value)| (name.to_vec(), value.to_vec())).collect()
}

/// In the order of the switches.
fn forecast(
    current: &Current,
    after: &Desired,
    seen: Seen,
    fleet: &Fleet,
    limits: &Limited<'_>,
) -> Vec<SwitchForecast> {
    let Seen { switches, notes, pool } = seen;
    let switches = switches.into_iter();
    let mut all: Vec<_> = switches
        .map(|here| (SwitchForecast::of(&here.name, &notes), here, Starts::default()))
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
        let placed = now.and_then(|now| current.desired.placements().get(&now.name));
        let has_it = |switch: &str| fleet.has(switch, change.name.as_str());
        let owner = now.and_then(|now| pool.owner(now, placed.map(|placed| &**placed), has_it));
        let carrier = now.filter(|now| now.registers()).map(|now| limits.carriers.of(now));
        for (forecast, here, starts) in all.iter_mut().filter(|_| !stays) {
            let serves = |gateway: &Gateway| gateway.serves(Some(&here.name));
            let will_serve = |now: &Gateway| will_serve(now, owner, &here.name);
            match (before.is_some_and(serves), now.is_some_and(will_serve)) {
                (false, true) => {
                    forecast.start += 1;
                    carrier.inspect(|carrier| starts.add(*carrier, false));
                }
                (true, false) => forecast.stop += 1,
                (true, true) if differs => {
                    forecast.add_restart(before.zip(now));
                    carrier.inspect(|carrier| starts.add(*carrier, true));
                }
                (true, true) | (false, false) => {}
            }
        }
    }
    let held = all.into_iter().map(|(mut forecast, here, starts)| {
        forecast.lasts = starts.lasts(limits.starts_per_second);
        if forecast.stop > 0 {
            forecast.held = hold(after, &here, fleet, limits.removals).or(forecast.held);
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
            interruption_seconds: None,
            lasts: None,
            stop: 0,
            held: report.and_then(Report::held),
            paused: notes.is_paused(switch),
            mode: report.map(|report| report.mode.clone()).filter(|mode| !mode.is_empty()),
        }
    }

    fn add_restart(&mut self, versions: Option<(&Gateway, &Gateway)>) {
        self.restart += 1;
        let seconds = versions.map(|(before, now)| restart_seconds(before, now));
        self.interruption_seconds = self.interruption_seconds.max(seconds);
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
        |name: &&GatewayName| after.loses(name, &here.name) && !after.refused().contains_key(name.as_str());
    let removals: BTreeSet<_> = ours.iter().filter(is_removed).cloned().collect();
    let has_vanished = after.counts().is_empty() && !ours.is_empty();
    let approved = BTreeSet::new();
    match judge(&ours, &removals, has_vanished, &limits, &approved, &here.recent) {
        Verdict::Go => None,
        Verdict::Hold(hold) => Some(hold.held().summary_message()),
    }
}
