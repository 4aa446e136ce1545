//! Codes for programs: why a gateway can't be used, and why it is not what Redis wants.
//!
//! `docs/status.md` explains each; `tests/status_docs.rs` holds it to that.

use serde::Serialize;
use utoipa::ToSchema;

use super::condition::Condition;
use super::deviation::{Blocker, Deviation};
use crate::control::Conflict;
use crate::language::{Bilingual, Message};
use crate::observed::{Row, reason};
use crate::registration::State;

/// Why something is not as Redis wants it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Note {
    pub code: NoteCode,
    /// What keeps the change from being made; `null` unless the code is `missing`, `outdated`,
    /// `unwanted` or `elsewhere`.
    pub blocked_by: Option<BlockCode>,
    /// The same for people.
    pub text: Message,
}

/// Why a gateway is not what Redis wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum NoteCode {
    SwitchUnreachable,
    SwitchNotConnected,
    NewValueRefused,
    Kept,
    RolledBack,
    EditHeld,
    EditWaits,
    ActionFailed,
    NameInUse,
    Ghost,
    ProfileNotRunning,
    Parked,
    Missing,
    Outdated,
    Unwanted,
    Elsewhere,
    NotTakenOver,
    NotOurs,
}

/// What keeps a change from being made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum BlockCode {
    NoTrunkd,
    Held,
    Paused,
    Mode,
    Pace,
    InProgress,
    NoReconciler,
}

/// Why calls can't use a gateway.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ReasonCode {
    Refused,
    NoAnswer,
    ChallengeNotAnswered,
    Unregistered,
    PingLost,
    PingStuck,
    Registering,
    NotRegistered,
}

impl Deviation {
    pub(super) fn note(&self) -> Note {
        let (code, blocker) = match self {
            Self::SwitchUnreachable => (NoteCode::SwitchUnreachable, None),
            Self::SwitchNotConnected => (NoteCode::SwitchNotConnected, None),
            Self::NewValueRefused { .. } => (NoteCode::NewValueRefused, None),
            Self::Kept { .. } => (NoteCode::Kept, None),
            Self::RolledBack { .. } => (NoteCode::RolledBack, None),
            Self::EditHeld { .. } => (NoteCode::EditHeld, None),
            Self::EditWaits { .. } => (NoteCode::EditWaits, None),
            Self::ActionFailed { .. } => (NoteCode::ActionFailed, None),
            Self::Conflict { conflict } => return Note::from(conflict),
            Self::ProfileNotRunning { .. } => (NoteCode::ProfileNotRunning, None),
            Self::Parked { .. } => (NoteCode::Parked, None),
            Self::Missing { blocker } => (NoteCode::Missing, blocker.as_ref()),
            Self::Outdated { blocker } => (NoteCode::Outdated, Some(blocker)),
            Self::Unwanted { blocker } => (NoteCode::Unwanted, Some(blocker)),
            Self::Elsewhere { blocker, .. } => (NoteCode::Elsewhere, Some(blocker)),
            Self::NotTakenOver => (NoteCode::NotTakenOver, None),
            Self::NotOurs => (NoteCode::NotOurs, None),
        };
        Note {
            code,
            blocked_by: blocker.map(BlockCode::from),
            text: self.message(),
        }
    }
}

impl From<&Conflict> for Note {
    fn from(conflict: &Conflict) -> Self {
        let code = match conflict {
            Conflict::ProfileNotRunning { .. } => NoteCode::ProfileNotRunning,
            Conflict::NotOurs { .. } => NoteCode::NameInUse,
            Conflict::Ghost { .. } => NoteCode::Ghost,
        };
        Self {
            code,
            blocked_by: None,
            text: conflict.message(),
        }
    }
}

impl From<&Blocker> for BlockCode {
    fn from(blocker: &Blocker) -> Self {
        match blocker {
            Blocker::NoTrunkd => Self::NoTrunkd,
            Blocker::Held { .. } => Self::Held,
            Blocker::Paused => Self::Paused,
            Blocker::Mode { .. } => Self::Mode,
            Blocker::Pace { .. } => Self::Pace,
            Blocker::InProgress => Self::InProgress,
            Blocker::NoReconciler => Self::NoReconciler,
        }
    }
}

impl ReasonCode {
    /// `None` if calls can use it, or nothing is known about it.
    pub(super) fn of(row: Option<&Row>, condition: Condition) -> Option<Self> {
        let row = row?;
        let known = row.reason.as_deref().map(|text| match text {
            reason::PING_LOST => Self::PingLost,
            reason::PING_STUCK => Self::PingStuck,
            reason::CHALLENGE_NOT_ANSWERED => Self::ChallengeNotAnswered,
            reason::NO_ANSWER => Self::NoAnswer,
            reason::UNREGISTERED => Self::Unregistered,
            _ => Self::Refused,
        });
        match condition {
            Condition::Up | Condition::Missing => None,
            Condition::Unknown => known,
            Condition::Trying => Some(Self::Registering),
            Condition::Down => Some(known.unwrap_or_else(|| Self::of_state(row))),
        }
    }

    /// For rows without a reason: of an older trunkd, or read from the switch.
    fn of_state(row: &Row) -> Self {
        match row.state {
            Some(State::Noreg) => Self::PingLost,
            Some(State::Timeout) => Self::NoAnswer,
            Some(State::Down | State::Unregister) => Self::Unregistered,
            _ => Self::NotRegistered,
        }
    }
}

#[cfg(test)]
mod tests;
