//! Pages of gateways, and summaries of domains and switches.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use super::super::by_word::ByWord;
use super::super::calls::CallStats;
use super::super::gateways::Validity;
use super::super::held::held_for;
use super::super::placement::PlacementMode;
use super::super::service::Service;
use super::super::status::{Gateway, Note, SwitchNotes};
use super::super::{Caller, OperateError, recorded};
use super::counts::Counts;
use super::item::{Item, ListState, profile};
use super::one_switch::seen;
use super::query::ListQuery;
use super::select::{Basis, Selected, select};
use super::{Known, index};
use crate::calls::CallLog;
use crate::control::Report;
use crate::language::Message;
use crate::observed::SwitchState;

/// A gateway in a list.
#[derive(Debug, Serialize, ToSchema)]
pub struct ListedGateway {
    pub name: String,
    /// `null`: a switch runs it, and Redis doesn't want it.
    pub domain: Option<String>,
    pub description: Option<String>,
    pub carrier: Option<String>,
    pub tags: Vec<String>,
    pub profile: String,
    pub enabled: bool,
    /// `null` if it is not desired.
    pub validity: Option<Validity>,
    /// The worst of its states.
    pub state: ListState,
    /// On how many of its switches it runs. `null` if it is not served.
    pub placement: Option<PlacementMode>,
    /// The switch that has it, if it runs on exactly one.
    pub switch: Option<String>,
    pub switches: Vec<Gateway>,
    /// Its calls that ended. `null` unless `[calls] enabled = true`.
    pub call_stats: Option<CallStats>,
}

/// A page of a list.
#[derive(Debug, Serialize, ToSchema)]
pub struct Page {
    pub items: Vec<ListedGateway>,
    /// Where the next page begins: send it as `after`. `null` if this is the last.
    pub next: Option<String>,
    /// How many gateways the filter selects.
    pub total: usize,
    pub counts: Counts,
    /// Set if Redis can't be read: since when this is the last known state.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub stale_since: Option<Timestamp>,
}

/// Domains.
#[derive(Debug, Serialize, ToSchema)]
pub struct Domains {
    pub items: Vec<DomainSummary>,
    /// Set if Redis can't be read: since when this is the last known state.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub stale_since: Option<Timestamp>,
}

/// Switches.
#[derive(Debug, Serialize, ToSchema)]
pub struct Switches {
    pub items: Vec<SwitchSummary>,
    /// Set if Redis can't be read: since when this is the last known state.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub stale_since: Option<Timestamp>,
}

/// A domain.
#[derive(Debug, Serialize, ToSchema)]
pub struct DomainSummary {
    pub name: String,
    pub gateways: usize,
    /// Gateways that are refused.
    pub invalid: usize,
    /// By state, as in the list of gateways.
    #[schema(value_type = BTreeMap<String, usize>)]
    pub state: ByWord,
}

/// A switch.
#[derive(Debug, Serialize, ToSchema)]
pub struct SwitchSummary {
    pub name: String,
    pub connected: bool,
    /// Since when it is connected or not: RFC 3339; empty if unknown.
    pub since: String,
    pub core_uuid: String,
    pub last_seen: String,
    /// Why it is not connected.
    pub reason: Option<Message>,
    /// Whether a trunkd is connected to it.
    pub watched: bool,
    pub paused: bool,
    /// `apply`, `observe` or `off`; `null` if no trunkd has reported on it.
    pub mode: Option<String>,
    /// Why its plan is held, if it is.
    pub held: Option<Message>,
    /// The trunkd that changes it.
    pub leader: Option<String>,
    /// How many more gateways may be removed without approval; `null` for who sees some domains alone.
    pub removals_left: Option<usize>,
    /// What an operator must fix.
    pub conflicts: Vec<Note>,
    /// Gateways by state, of the caller's domains.
    #[schema(value_type = BTreeMap<String, usize>)]
    pub state: ByWord,
    /// Gateways that it runs, by profile, of the caller's domains.
    #[serde(skip)]
    pub profiles: BTreeMap<String, usize>,
    /// When it was paused: RFC 3339.
    #[serde(skip)]
    pub paused_since: Option<String>,
    /// It is paused because every switch is.
    #[serde(skip)]
    pub all_paused: bool,
}

impl Service {
    /// A page of gateways.
    ///
    /// # Errors
    /// The caller may not see the domain that he asks for; the query is wrong; Redis can't be read.
    pub async fn list(&self, caller: &Caller, query: &ListQuery) -> Result<Page, OperateError> {
        if let Some(domain) = &query.domain {
            caller.check_sees(domain)?;
        }
        self.catch_up().await?;
        let notes = self.notes().await?.for_caller(caller);
        let (listing, query, caller) = (self.listing().clone(), query.clone(), caller.clone());
        let calls = self.known_calls().await;
        let default_profile = self.settings.templates.default_profile.clone();
        let page = tokio::task::spawn_blocking(move || {
            let known = listing.read();
            let sees = |domain: Option<&str>| caller.sees_in(domain);
            let basis = Basis {
                default_profile: &default_profile,
                notes: &notes,
            };
            let selected = select(&known.index, &query, basis, sees)?;
            let mut page = page(&known, selected, &notes, &default_profile);
            for item in &mut page.items {
                item.call_stats = calls.as_deref().and_then(|log| item.counted(log));
            }
            Ok(page)
        });
        page.await.unwrap_or_else(|_| Err(OperateError::Interrupted))
    }

    /// The domains that the caller sees, by name.
    ///
    /// # Errors
    /// Redis can't be read.
    pub async fn domains(&self, caller: &Caller) -> Result<Domains, OperateError> {
        self.catch_up().await?;
        let known = self.listing().read();
        let mut domains: BTreeMap<String, DomainSummary> = BTreeMap::new();
        let named = known.current().into_iter().flat_map(|current| current.domains.keys());
        for domain in named.map(|domain| domain.text()).filter(|domain| caller.sees(domain)) {
            domains.insert(domain.to_string(), DomainSummary::empty(domain));
        }
        for item in known.index.items().values() {
            let Some(summary) = item.domain.as_deref().and_then(|domain| domains.get_mut(domain)) else {
                continue;
            };
            summary.gateways += 1;
            summary.invalid += usize::from(matches!(item.validity, Some(Validity::Invalid | Validity::Kept)));
            *summary.state.entry(item.state.as_str()).or_default() += 1;
        }
        Ok(Domains {
            items: domains.into_values().collect(),
            stale_since: known.stale_since(),
        })
    }

    /// Every switch that Redis or the settings know, by name. Gateways are counted that the caller sees.
    ///
    /// # Errors
    /// Redis can't be read.
    pub async fn switches(&self, caller: &Caller) -> Result<Switches, OperateError> {
        self.catch_up().await?;
        let notes = match self.stale_since() {
            // What was paused or resumed just now must be in the answer.
            None => self.status.notes().await.map_err(OperateError::at(&self.settings))?,
            Some(_) => self.status.last_notes(),
        };
        let known = self.listing().read();
        let mut states: BTreeMap<String, ByWord> = BTreeMap::new();
        let mut profiles: BTreeMap<String, BTreeMap<String, usize>> = BTreeMap::new();
        let items = known.index.items().values();
        let seen = items.filter(|item| caller.sees_in(item.domain.as_deref()));
        for on in seen.flat_map(|item| &item.on) {
            let of_switch = states.entry(on.switch.to_string()).or_default();
            *of_switch.entry(ListState::from(on.condition).as_str()).or_default() += 1;
            if let Some(profile) = on.row.as_ref().and_then(|row| row.profile.as_ref()) {
                let of_switch = profiles.entry(on.switch.to_string()).or_default();
                *of_switch.entry(profile.clone()).or_default() += 1;
            }
        }
        let seen = known
            .fleet
            .switches()
            .map(|(name, rows)| (name.to_string(), rows.state.clone()));
        let mut all: BTreeMap<String, SwitchState> = seen.collect();
        for switch in &self.settings.switches {
            all.entry(switch.name.clone()).or_default();
        }
        let summary = |(name, state): (String, SwitchState)| {
            let by_state = states.remove(&name).unwrap_or_default();
            let profiles = profiles.remove(&name).unwrap_or_default();
            SwitchSummary {
                profiles,
                watched: known.fleet.is_watched(&name),
                ..SwitchSummary::new(caller, name, state, &notes, by_state)
            }
        };
        Ok(Switches {
            items: all.into_iter().map(summary).collect(),
            stale_since: known.stale_since(),
        })
    }
}

impl ListedGateway {
    /// `None` if what runs under its name isn't this gateway, or isn't ours.
    fn counted(&self, log: &CallLog) -> Option<CallStats> {
        self.validity.filter(|validity| *validity != Validity::Shadowed)?;
        let on: Vec<_> = self.switches.iter().map(|on| &*on.switch).collect();
        Some(CallStats::of_gateway(log, &self.name, &on))
    }
}

impl DomainSummary {
    fn empty(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            gateways: 0,
            invalid: 0,
            state: ByWord::new(),
        }
    }
}

impl SwitchSummary {
    fn new(caller: &Caller, name: String, state: SwitchState, notes: &SwitchNotes, by_state: ByWord) -> Self {
        let report = notes.report(&name);
        let conflicts = report.iter().flat_map(|report| &report.conflicts);
        let conflicts = conflicts.filter(|conflict| caller.sees_in(conflict.domain()));
        let mode = report.map(|report| report.mode.clone()).filter(|mode| !mode.is_empty());
        let left = report.and_then(|report| report.removals_left);
        Self {
            watched: false,
            paused: notes.is_paused(&name),
            mode,
            held: held_for(caller, report.and_then(Report::held)),
            leader: notes.leader(&name).map(str::to_owned),
            removals_left: left.filter(|_| caller.sees_all()),
            conflicts: conflicts.map(Note::from).collect(),
            connected: state.connected,
            since: state.since,
            core_uuid: state.core_uuid,
            last_seen: state.last_seen,
            reason: state.reason.as_deref().map(recorded),
            state: by_state,
            profiles: BTreeMap::new(),
            paused_since: notes.paused_since(&name).map(str::to_owned),
            all_paused: notes.are_all_paused(),
            name,
        }
    }
}

fn page(known: &Known, selected: Selected, notes: &SwitchNotes, default_profile: &str) -> Page {
    let mut on_switches = observed(known, &selected.items, notes);
    let items = selected.items.into_iter().map(|item| {
        let switches = on_switches.remove(&(item.name.clone(), item.domain.clone()));
        let served = item.served.as_ref().map(|entry| &entry.gateway);
        let on_one = served.filter(|gateway| gateway.is_on_one());
        ListedGateway {
            placement: served.map(PlacementMode::of),
            // Its `nodes` are the switch that it is on.
            switch: on_one.and_then(|gateway| gateway.nodes.as_deref()?.first().cloned()),
            profile: profile(&item.text, served, default_profile).to_owned(),
            name: item.name.to_string(),
            domain: item.domain.as_ref().map(ToString::to_string),
            description: item.text.description,
            carrier: item.text.carrier.as_deref().map(str::to_owned),
            tags: item.text.tags,
            enabled: item.text.enabled,
            validity: item.validity,
            state: item.state,
            switches: switches.unwrap_or_default(),
            call_stats: None,
        }
    });
    Page {
        items: items.collect(),
        next: selected.next.map(|next| next.to_text()),
        total: selected.total,
        counts: selected.counts,
        stale_since: known.stale_since(),
    }
}

/// What each switch does with these gateways, as in the status.
pub(super) fn observed(known: &Known, items: &[Item], notes: &SwitchNotes) -> HashMap<index::Key, Vec<Gateway>> {
    let Some(current) = known.current() else {
        return HashMap::new();
    };
    let mut found: HashMap<index::Key, Vec<Gateway>> = HashMap::new();
    for (switch, _) in known.fleet.switches() {
        let here: Vec<_> = items
            .iter()
            .filter(|item| item.on.iter().any(|on| on.switch == *switch))
            .collect();
        let names: BTreeSet<&str> = here.iter().map(|item| &*item.name).collect();
        let seen = seen(known, current, switch, &names, notes);
        let mut by_name: HashMap<String, Gateway> = seen
            .gateways
            .into_iter()
            .map(|gateway| (gateway.name.clone(), gateway))
            .collect();
        for item in here {
            let Some(gateway) = by_name.remove(&*item.name) else {
                continue;
            };
            let key = (item.name.clone(), item.domain.clone());
            found.entry(key).or_default().push(gateway);
        }
    }
    found
}
