//! What is shown: switches, their gateways, and how each is. In JSON as it stands.

use jiff::Timestamp;
use serde::Serialize;

use crate::gateway::Finding;
use crate::observed::{Challenge, Row, SwitchState};
use crate::registration::{Calls, PingStatus, State};

#[derive(Serialize)]
pub(super) struct Status {
    /// Whether everything that is shown is as it should be, as the exit status says.
    pub(super) well: bool,
    /// Set when Redis could not be read; the gateways are those of the last good state then.
    pub(super) redis_away: Option<RedisAway>,
    pub(super) switches: Vec<Switch>,
    /// Desired gateways whose `nodes` name no known switch.
    pub(super) on_no_switch: Vec<Unplaced>,
    /// What is wrong with gateways in Redis.
    pub(super) findings: Vec<Finding>,
}

#[derive(Serialize)]
pub(super) struct RedisAway {
    pub(super) reason: String,
    /// Of when the last good state is.
    pub(super) last_good: Timestamp,
}

#[derive(Serialize)]
pub(super) struct Switch {
    pub(super) name: String,
    #[serde(flatten)]
    pub(super) state: SwitchState,
    /// Whether a trunkd is connected to it now: else what follows is what was last known.
    pub(super) watched: bool,
    /// The gateways were read from the switch itself, since Redis could not be read.
    pub(super) asked: bool,
    pub(super) paused: bool,
    /// `apply` or `observe`; `null` when no reconciler has looked at it.
    pub(super) mode: Option<String>,
    /// Why its plan waits, if it does.
    pub(super) held: Option<String>,
    /// Redis holds no domain, so that `trunkd restore` may be what is needed.
    #[serde(skip)]
    pub(super) is_store_empty: bool,
    /// How many more removals are done without asking.
    pub(super) removals_left: Option<usize>,
    /// What an operator must fix.
    pub(super) conflicts: Vec<String>,
    /// Of all its gateways, whichever are shown.
    pub(super) counts: Counts,
    pub(super) gateways: Vec<Gateway>,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Serialize)]
pub(super) struct Counts {
    pub(super) up: usize,
    pub(super) down: usize,
    pub(super) missing: usize,
    pub(super) trying: usize,
    pub(super) unknown: usize,
}

/// How a gateway is, the worst first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Condition {
    Down,
    /// Desired, and the switch does not have it.
    Missing,
    /// Its first registration is under way.
    Trying,
    /// Nothing tells: an IP trunk without a ping, or a switch that nobody reaches.
    Unknown,
    Up,
}

/// The keys are always there; `null` where nothing is known.
#[derive(Serialize)]
pub(super) struct Gateway {
    pub(super) name: String,
    /// `null` when it is not desired.
    pub(super) domain: Option<String>,
    pub(super) condition: Condition,
    /// Whether it needs attention: it is down, missing or trying, or is not what Redis wants.
    pub(super) failing: bool,
    pub(super) profile: Option<String>,
    pub(super) state: Option<State>,
    pub(super) ping: Option<PingStatus>,
    pub(super) status: Option<String>,
    pub(super) phrase: Option<String>,
    pub(super) since: Option<Timestamp>,
    pub(super) seen: Option<Timestamp>,
    pub(super) stale: Option<bool>,
    pub(super) usable: Option<bool>,
    pub(super) usable_since: Option<Timestamp>,
    pub(super) reason: Option<String>,
    pub(super) ping_every: Option<u32>,
    pub(super) ping_ms: Option<f64>,
    pub(super) ping_stuck: bool,
    pub(super) calls: Option<Calls>,
    pub(super) challenge: Option<Challenge>,
    pub(super) retry_at: Option<Timestamp>,
    /// Of what Redis holds now; `null` when it is not desired, or refused.
    pub(super) desired_revision: Option<String>,
    /// What trunkd brings onto the switch: older than the desired one while that is refused or not
    /// noticed yet.
    pub(super) applied_revision: Option<String>,
    /// What the switch runs.
    pub(super) observed_revision: Option<String>,
    pub(super) note: Option<String>,
}

/// A desired gateway that no known switch is to have.
#[derive(Serialize)]
pub(super) struct Unplaced {
    pub(super) name: String,
    pub(super) domain: String,
    pub(super) profile: String,
    pub(super) nodes: Vec<String>,
    pub(super) note: String,
}

impl Gateway {
    /// What the row says of a gateway.
    pub(super) fn from_row(name: String, row: Option<&Row>, condition: Condition) -> Self {
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
            note: None,
        }
    }

    /// Where it stands in the list: the worst first, then what is up but not what Redis wants.
    pub(super) fn rank(&self) -> (bool, Condition) {
        (!self.failing, self.condition)
    }
}

impl Condition {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Down => "down",
            Self::Missing => "missing",
            Self::Trying => "trying",
            Self::Unknown => "unknown",
            Self::Up => "up",
        }
    }

    /// `pings` says whether the desired gateway has a ping, for rows that do not say so themselves.
    pub(super) fn of(row: Option<&Row>, pings: bool, is_known: bool) -> Self {
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

/// Whether calls can go over it. Rows of an older trunkd have only the state.
fn usable(row: &Row, pings: bool) -> Option<bool> {
    let is_said = row.usable.is_some() || row.ping_every.is_some();
    match &row.state {
        _ if is_said => row.usable,
        Some(State::Reged) => Some(true),
        Some(State::Noreg) => pings.then_some(row.ping == Some(PingStatus::Up)),
        _ => Some(false),
    }
}

/// Nothing was refused yet. A refused gateway keeps its reason while it tries again.
fn is_first_try(row: &Row) -> bool {
    let is_under_way = matches!(row.state, None | Some(State::Unreged | State::Trying | State::Register));
    is_under_way && row.reason.is_none() && row.status.is_none() && row.challenge.is_none()
}

impl Counts {
    pub(super) fn of(gateways: &[Gateway]) -> Self {
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

    /// `480 up, 12 down, 3 trying`.
    pub(super) fn text(&self) -> String {
        let counts = [
            (self.up, "up"),
            (self.down, "down"),
            (self.missing, "missing"),
            (self.trying, "trying"),
            (self.unknown, "unknown"),
        ];
        let counts = counts.iter().filter(|(count, _)| *count > 0);
        let text: Vec<_> = counts.map(|(count, what)| format!("{count} {what}")).collect();
        match text.is_empty() {
            true => "no gateways".to_owned(),
            false => text.join(", "),
        }
    }
}

impl Switch {
    /// Whether the switch itself, its gateways apart, needs attention.
    pub(super) fn is_failing(&self) -> bool {
        !(self.state.connected && self.watched) || self.held.is_some() || !self.conflicts.is_empty()
    }

    /// Whether it, or one of its gateways that are shown, does.
    pub(super) fn needs_attention(&self) -> bool {
        self.is_failing() || self.gateways.iter().any(|gateway| gateway.failing)
    }
}

impl Status {
    /// Whether anything that is shown needs attention.
    pub(super) fn is_well(&self) -> bool {
        let is_bad = |finding: &Finding| finding.severity == crate::gateway::Severity::Error;
        self.redis_away.is_none()
            && self.on_no_switch.is_empty()
            && !self.findings.iter().any(is_bad)
            && !self.switches.iter().any(Switch::needs_attention)
    }
}
