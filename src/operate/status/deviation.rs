//! Why a gateway on a switch is not what Redis wants.

use std::fmt;

use crate::control::Conflict;
use crate::gateway::ProfileName;

/// `Display` is what a person reads, [`Note`](super::Note) what programs get.
#[derive(Debug, Clone, PartialEq)]
pub enum Deviation {
    /// The switch can't be reached, and this is its last known state.
    SwitchUnreachable,
    SwitchNotConnected,
    /// The new value is refused. What runs stays.
    NewValueRefused {
        problem: String,
    },
    /// trunkd serves the last valid version of the gateway.
    Kept {
        problem: String,
    },
    /// An action on it failed.
    ActionFailed {
        problem: String,
    },
    Conflict {
        conflict: Conflict,
    },
    ProfileNotRunning {
        profile: ProfileName,
    },
    /// It is desired, but not on the switch.
    Missing {
        blocker: Option<Blocker>,
    },
    /// It runs with an older revision.
    Outdated {
        blocker: Blocker,
    },
    /// It runs, but is no longer desired.
    Unwanted {
        blocker: Blocker,
    },
    /// It runs, trunkd did not start it, and Redis doesn't want it.
    NotOurs,
}

/// What keeps a change from being made.
#[derive(Debug, Clone, PartialEq)]
pub enum Blocker {
    /// No trunkd is connected to the switch.
    NoTrunkd,
    Held {
        held: String,
    },
    Paused,
    Mode {
        mode: String,
    },
    /// Nothing: it is in progress.
    InProgress,
    /// No trunkd reconciles the switch.
    NoReconciler,
}

impl Deviation {
    /// Whether it needs attention.
    pub fn is_failure(&self) -> bool {
        match self {
            Self::SwitchUnreachable | Self::SwitchNotConnected | Self::NotOurs => false,
            Self::NewValueRefused { .. }
            | Self::Kept { .. }
            | Self::ActionFailed { .. }
            | Self::Conflict { .. }
            | Self::ProfileNotRunning { .. }
            | Self::Missing { .. }
            | Self::Outdated { .. }
            | Self::Unwanted { .. } => true,
        }
    }
}

impl fmt::Display for Deviation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SwitchUnreachable => f.write_str("switch out of reach: last known state"),
            Self::SwitchNotConnected => f.write_str("switch not connected"),
            Self::NewValueRefused { problem } => write!(f, "kept: new value refused, {problem}"),
            Self::Kept { problem } => write!(f, "kept: {problem}"),
            Self::ActionFailed { problem } => f.write_str(problem),
            Self::Conflict { conflict } => conflict.fmt(f),
            Self::ProfileNotRunning { profile } => write!(
                f,
                "profile {profile} does not run on this switch; `sofia profile {profile} start` starts it"
            ),
            Self::Missing { blocker: None } => f.write_str("desired, and not on this switch"),
            Self::Missing { blocker: Some(blocker) } => write!(f, "desired, and not on this switch: {blocker}"),
            Self::Outdated { blocker } => write!(f, "the edit is not on this switch: {blocker}"),
            Self::Unwanted { blocker } => write!(f, "no longer desired: {blocker}"),
            Self::NotOurs => f.write_str("not ours, and not among the desired gateways"),
        }
    }
}

impl fmt::Display for Blocker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoTrunkd => f.write_str("no trunkd is connected to it"),
            Self::Held { held } => f.write_str(held),
            Self::Paused => f.write_str("paused"),
            Self::Mode { mode } => write!(f, "reconcile.mode is {mode:?}"),
            Self::InProgress => f.write_str("under way"),
            Self::NoReconciler => f.write_str("no reconciler looks at it"),
        }
    }
}
