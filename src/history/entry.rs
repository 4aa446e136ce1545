//! One entry of the history.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::gateway::ValueChange;

/// What happened, when, and who did it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Entry {
    /// The entry's id: its place in the Redis stream `trunkd:history`.
    #[serde(default)]
    #[schema(example = "1764151200000-0")]
    pub id: String,
    /// When it happened.
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
    /// `user:NAME`, `token:NAME`, `cli:USER@HOST`, `redis` for a write that came past trunkd, or
    /// `trunkd`.
    pub who: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub domain: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gateway: Option<String>,
    /// The switch on which it happened.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub switch: Option<String>,
    #[serde(flatten)]
    pub event: Event,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Event {
    /// A gateway's value in Redis changed.
    Edit {
        edit: EditKind,
        /// What changed, key by key. Empty if a value was no JSON object.
        changes: Vec<ValueChange>,
        /// The entry that this edit undoes.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reverts: Option<String>,
        /// The other name, if the gateway was renamed or copied.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        other_name: Option<String>,
    },
    /// More gateways changed at once than are recorded one by one.
    Edits {
        created: usize,
        changed: usize,
        deleted: usize,
    },
    /// A gateway stopped being usable on a switch.
    Outage {
        /// `403 Forbidden`, `ping lost`, `switch away`.
        reason: String,
    },
    /// A gateway is usable again.
    Recovered {
        /// The entry of its outage.
        outage: String,
        reason: String,
        /// How long it was not usable.
        seconds: u64,
    },
    /// A password was shown.
    Reveal {
        /// `param.password`.
        field: String,
    },
    Access {
        #[serde(flatten)]
        access: Access,
    },
    /// Changes of a switch, or of all, were stopped by an operator.
    Pause,
    /// A pause ended.
    Resume,
    /// An operator approved a plan.
    Apply {
        /// The plan's id.
        plan: String,
    },
    /// A plan is held.
    Hold { reason: String },
    /// It is no longer held.
    Release,
}

/// What was done to a gateway's value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum EditKind {
    Create,
    Change,
    Delete,
    Copy,
    Rename,
    Revert,
}

/// Who may do what, and who tried.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "access", rename_all = "snake_case")]
pub enum Access {
    SignIn,
    SignInFailed { name: String, address: String },
    UserAdded { name: String },
    UserRemoved { name: String },
    PasswordChanged { name: String },
    TokenCreated { name: String },
    TokenRevoked { name: String },
}
