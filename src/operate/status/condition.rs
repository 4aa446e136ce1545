//! Whether a gateway works.

use serde::Serialize;
use utoipa::ToSchema;

use crate::observed::Row;
use crate::registration::{PingStatus, State};

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
