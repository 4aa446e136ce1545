//! The status as data: switches, their gateways, and the condition of each.

use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use super::super::carriers::CarrierList;
use super::condition::Condition;
use super::deviation::Deviation;
use super::note::{Note, ReasonCode};
use crate::control::Drained;
use crate::gateway::Finding;
use crate::language::Message;
use crate::observed::{Challenge, Row, SwitchState};
use crate::registration::{Calls, PingStatus, State};

/// The version of the shape of [`Status`]. A field or code that is taken away or means something else
/// makes a new one; one that is added doesn't (`docs/status.md`).
pub const VERSION: u32 = 1;

/// The status of everything.
#[derive(Serialize, ToSchema)]
pub struct Status {
    /// The version of this shape: 1.
    pub version: u32,
    /// Whether nothing needs attention.
    pub well: bool,
    /// Set if Redis can't be read. The gateways are then from the last good state.
    pub redis_down: Option<RedisDown>,
    pub switches: Vec<Switch>,
    /// Desired gateways whose `nodes` name no known switch, and those on exactly one switch that have none.
    pub on_no_switch: Vec<Unplaced>,
    /// Of all gateways that you see, not only the selected ones.
    pub carriers: CarrierList,
    /// Problems of gateways in Redis.
    pub findings: Vec<Finding>,
}

#[derive(Serialize, ToSchema)]
pub struct RedisDown {
    pub reason: Message,
    /// The time of the last good state.
    #[schema(value_type = String, format = DateTime)]
    pub last_good: Timestamp,
}

#[derive(Serialize, ToSchema)]
#[schema(as = SwitchStatus)]
pub struct Switch {
    pub name: String,
    #[serde(flatten)]
    pub state: SwitchState,
    /// Whether a trunkd is connected to it. If not, the rest is the last known state.
    pub watched: bool,
    /// The gateways were read from the switch itself, because Redis can't be read.
    pub asked: bool,
    pub paused: bool,
    /// Set while it is drained: it gets no gateway that runs on exactly one switch.
    pub drained: Option<DrainedSince>,
    /// Gateways that run on exactly one switch, and this is the one.
    pub placed: usize,
    /// `apply` or `observe`; `null` if no trunkd has reported on it.
    pub mode: Option<String>,
    /// Why its plan is held, if it is.
    pub held: Option<Message>,
    /// Redis has no domain, so `trunkd restore` may be needed.
    #[serde(skip)]
    pub is_store_empty: bool,
    /// How many more gateways may be removed without approval; `null` for who sees some domains alone.
    pub removals_left: Option<usize>,
    /// What an operator must fix.
    pub conflicts: Vec<Note>,
    /// Of all its gateways, not only the selected ones.
    pub counts: Counts,
    pub gateways: Vec<Gateway>,
}

/// Since when a switch is drained.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct DrainedSince {
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
    /// Who asked for it, as in the history.
    pub by: String,
}

impl From<&Drained> for DrainedSince {
    fn from(drained: &Drained) -> Self {
        Self {
            at: drained.at,
            by: drained.by.clone(),
        }
    }
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = ConditionCounts)]
pub struct Counts {
    pub up: usize,
    pub down: usize,
    pub missing: usize,
    pub trying: usize,
    pub unknown: usize,
}

/// A gateway on one switch, the same wherever it is shown. All keys are always present; `null` means
/// unknown.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = GatewayOnSwitch)]
pub struct Gateway {
    pub switch: String,
    /// Whether a trunkd is connected to the switch. If not, the rest is the last known state.
    pub watched: bool,
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
    /// Why calls can't use it.
    pub reason: Option<String>,
    pub reason_code: Option<ReasonCode>,
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
    pub note: Option<Note>,
    #[serde(skip)]
    pub deviation: Option<Deviation>,
    /// It was just edited: if the carrier refuses that, it is taken back.
    #[serde(skip)]
    pub is_verified: bool,
    /// It runs on exactly one switch, and this is the one.
    #[serde(skip)]
    pub is_placed: bool,
}

/// A desired gateway whose `nodes` name no known switch, or that runs on exactly one and has none.
#[derive(Serialize, ToSchema)]
#[schema(as = UnplacedGateway)]
pub struct Unplaced {
    pub name: String,
    pub domain: String,
    pub profile: String,
    pub nodes: Vec<String>,
    pub note: Message,
}

/// The switch of a gateway.
#[derive(Debug, Clone, Copy)]
pub struct OnSwitch<'a> {
    pub switch: &'a str,
    pub watched: bool,
}

impl Gateway {
    pub fn from_row(on: OnSwitch<'_>, name: String, row: Option<&Row>, condition: Condition) -> Self {
        let text = |of: fn(&Row) -> &Option<String>| row.and_then(|row| of(row).clone());
        Self {
            switch: on.switch.to_owned(),
            watched: on.watched,
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
            reason_code: ReasonCode::of(row, condition),
            ping_every: row.and_then(|row| row.ping_every),
            ping_ms: row.and_then(|row| row.ping_ms),
            ping_stuck: row.is_some_and(|row| row.ping_stuck),
            calls: row.and_then(|row| row.calls),
            challenge: row.and_then(|row| row.challenge.clone()),
            retry_at: row.and_then(|row| row.retry_at),
            desired_revision: None,
            applied_revision: None,
            observed_revision: text(|row| &row.revision),
            note: None,
            deviation: None,
            is_verified: false,
            is_placed: false,
        }
    }

    /// A gateway that a switch neither has nor is to have.
    pub fn gone(on: OnSwitch<'_>, name: &str) -> Self {
        Self::from_row(on, name.to_owned(), None, Condition::Unknown)
    }

    /// The answer to the last registration: `403 Forbidden`.
    pub fn answer(&self) -> Option<String> {
        let status = self.status.as_ref()?;
        Some(match &self.phrase {
            Some(phrase) => format!("{status} {phrase}"),
            None => status.clone(),
        })
    }

    /// Sorts the worst first, then what is up but not what Redis wants.
    pub fn rank(&self) -> (bool, Condition) {
        (!self.failing, self.condition)
    }
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
