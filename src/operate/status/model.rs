//! The status as data: switches, their gateways, and the condition of each.

use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use super::deviation::Deviation;
use crate::control::Conflict;
use crate::gateway::Finding;
use crate::observed::{Challenge, Row, SwitchState};
use crate::registration::{Calls, PingStatus, State};

#[derive(Serialize)]
pub struct Status {
    /// Whether nothing needs attention.
    pub well: bool,
    /// Set if Redis can't be read. The gateways are then from the last good state.
    pub redis_down: Option<RedisDown>,
    pub switches: Vec<Switch>,
    /// Desired gateways whose `nodes` name no known switch.
    pub on_no_switch: Vec<Unplaced>,
    /// Problems of gateways in Redis.
    pub findings: Vec<Finding>,
}

#[derive(Serialize)]
pub struct RedisDown {
    pub reason: String,
    /// The time of the last good state.
    pub last_good: Timestamp,
}

#[derive(Serialize)]
pub struct Switch {
    pub name: String,
    #[serde(flatten)]
    pub state: SwitchState,
    /// Whether a trunkd is connected to it. If not, the rest is the last known state.
    pub watched: bool,
    /// The gateways were read from the switch itself, because Redis can't be read.
    pub asked: bool,
    pub paused: bool,
    /// `apply` or `observe`; `null` if no trunkd has reported on it.
    pub mode: Option<String>,
    /// Why its plan is held, if it is.
    pub held: Option<String>,
    /// Redis has no domain, so `trunkd restore` may be needed.
    #[serde(skip)]
    pub is_store_empty: bool,
    /// How many more gateways may be removed without approval.
    pub removals_left: Option<usize>,
    /// What an operator must fix.
    pub conflicts: Vec<Conflict>,
    /// Of all its gateways, not only the selected ones.
    pub counts: Counts,
    pub gateways: Vec<Gateway>,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Counts {
    pub up: usize,
    pub down: usize,
    pub missing: usize,
    pub trying: usize,
    pub unknown: usize,
}

/// The condition of a gateway, worst first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Condition {
    Down,
    /// Desired, but not on the switch.
    Missing,
    /// Its first registration is in progress.
    Trying,
    /// An IP trunk without a ping, or a switch that can't be reached.
    Unknown,
    Up,
}

/// All keys are always present; `null` means unknown.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ObservedGateway)]
pub struct Gateway {
    pub name: String,
    /// `null` if it is not desired.
    pub domain: Option<String>,
    pub condition: Condition,
    /// Whether it needs attention: down, missing, trying, or not what Redis wants.
    pub failing: bool,
    pub profile: Option<String>,
    /// FreeSWITCH's word: `REGED`, `FAIL_WAIT`, `NOREG`, …
    #[schema(value_type = Option<String>)]
    pub state: Option<State>,
    /// `UP`, `DOWN` or `INVALID`.
    #[schema(value_type = Option<String>)]
    pub ping: Option<PingStatus>,
    /// The SIP status of the last registration.
    pub status: Option<String>,
    pub phrase: Option<String>,
    #[schema(value_type = Option<String>, format = DateTime)]
    pub since: Option<Timestamp>,
    #[schema(value_type = Option<String>, format = DateTime)]
    pub seen: Option<Timestamp>,
    pub stale: Option<bool>,
    pub usable: Option<bool>,
    #[schema(value_type = Option<String>, format = DateTime)]
    pub usable_since: Option<Timestamp>,
    pub reason: Option<String>,
    pub ping_every: Option<u32>,
    pub ping_ms: Option<f64>,
    pub ping_stuck: bool,
    pub calls: Option<Calls>,
    pub challenge: Option<Challenge>,
    #[schema(value_type = Option<String>, format = DateTime)]
    pub retry_at: Option<Timestamp>,
    /// Of the value in Redis; `null` if it is not desired, or refused.
    pub desired_revision: Option<String>,
    /// What trunkd is bringing to the switch. Older than the desired one while that is refused or not
    /// noticed yet.
    pub applied_revision: Option<String>,
    /// What the switch runs.
    pub observed_revision: Option<String>,
    /// Why it is not what Redis wants.
    pub deviation: Option<Deviation>,
    /// The same, for people.
    pub note: Option<String>,
}

/// A desired gateway whose `nodes` name no known switch.
#[derive(Serialize)]
pub struct Unplaced {
    pub name: String,
    pub domain: String,
    pub profile: String,
    pub nodes: Vec<String>,
    pub note: String,
}

impl Gateway {
    pub fn from_row(name: String, row: Option<&Row>, condition: Condition) -> Self {
        let text = |of: fn(&Row) -> &Option<String>| row.and_then(|row| of(row).clone());
        Self {
            name,
            domain: None,
            condition,
            failing: condition < Condition::Unknown,
            profile: text(|row| &row.profile),
            state: row.and_then(|row| row.state.clone()),
            ping: row.and_then(|row| row.ping.clone()),
            status: text(|row| &row.status),
            phrase: text(|row| &row.phrase),
            since: row.map(|row| row.since),
            seen: row.map(|row| row.seen),
            stale: row.map(|row| row.stale),
            usable: row.and_then(|row| row.usable),
            usable_since: row.and_then(|row| row.usable_since),
            reason: text(|row| &row.reason),
            ping_every: row.and_then(|row| row.ping_every),
            ping_ms: row.and_then(|row| row.ping_ms),
            ping_stuck: row.is_some_and(|row| row.ping_stuck),
            calls: row.and_then(|row| row.calls),
            challenge: row.and_then(|row| row.challenge.clone()),
            retry_at: row.and_then(|row| row.retry_at),
            desired_revision: None,
            applied_revision: None,
            observed_revision: text(|row| &row.revision),
            deviation: None,
            note: None,
        }
    }

    /// A gateway that a switch neither has nor is to have.
    pub fn gone(name: &str) -> Self {
        Self::from_row(name.to_owned(), None, Condition::Unknown)
    }

    /// Sorts the worst first, then what is up but not what Redis wants.
    pub fn rank(&self) -> (bool, Condition) {
        (!self.failing, self.condition)
    }
}

impl Condition {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Down => "down",
            Self::Missing => "missing",
            Self::Trying => "trying",
            Self::Unknown => "unknown",
            Self::Up => "up",
        }
    }

    /// `pings` says whether the desired gateway has a ping, for rows without that field.
    pub fn of(row: Option<&Row>, pings: bool, is_known: bool) -> Self {
        let Some(row) = row else {
            return if is_known { Self::Missing } else { Self::Unknown };
        };
        match usable(row, pings) {
            Some(true) => Self::Up,
            None => Self::Unknown,
            Some(false) if is_first_try(row) => Self::Trying,
            Some(false) => Self::Down,
        }
    }
}

/// Whether calls can use it. Rows of an older trunkd have only the state.
fn usable(row: &Row, pings: bool) -> Option<bool> {
    let is_said = row.usable.is_some() || row.ping_every.is_some();
    match &row.state {
        _ if is_said => row.usable,
        Some(State::Reged) => Some(true),
        Some(State::Noreg) => pings.then_some(row.ping == Some(PingStatus::Up)),
        _ => Some(false),
    }
}

/// Nothing was refused yet. A refused gateway keeps its reason while it retries.
fn is_first_try(row: &Row) -> bool {
    let is_under_way = matches!(row.state, None | Some(State::Unreged | State::Trying | State::Register));
    // The event before REGED carries the 200 of the registration.
    let is_refused = row.status.as_ref().is_some_and(|status| !status.starts_with('2'));
    is_under_way && row.reason.is_none() && !is_refused && row.challenge.is_none()
}

impl Counts {
    pub fn of(gateways: &[Gateway]) -> Self {
        let mut counts = Self::default();
        for gateway in gateways {
            *match gateway.condition {
                Condition::Up => &mut counts.up,
                Condition::Down => &mut counts.down,
                Condition::Missing => &mut counts.missing,
                Condition::Trying => &mut counts.trying,
                Condition::Unknown => &mut counts.unknown,
            } += 1;
        }
        counts
    }
}

impl Switch {
    /// Whether the switch itself needs attention, apart from its gateways.
    pub fn is_failing(&self) -> bool {
        !(self.state.connected && self.watched) || self.held.is_some() || !self.conflicts.is_empty()
    }

    /// Whether it or a selected gateway needs attention.
    pub fn needs_attention(&self) -> bool {
        self.is_failing() || self.gateways.iter().any(|gateway| gateway.failing)
    }
}

impl Status {
    /// Whether nothing needs attention.
    pub fn is_well(&self) -> bool {
        let is_bad = |finding: &Finding| finding.severity == crate::gateway::Severity::Error;
        self.redis_down.is_none()
            && self.on_no_switch.is_empty()
            && !self.findings.iter().any(is_bad)
            && !self.switches.iter().any(Switch::needs_attention)
    }
}

#[cfg(test)]
mod tests;
