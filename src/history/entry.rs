//! One entry of the history.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::carriers::parking::Unparked;
use crate::gateway::{PlacedFor, ValueChange};

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

impl Entry {
    /// An entry about a switch, by trunkd itself.
    pub fn of_switch(switch: &str, event: Event) -> Self {
        Self {
            id: String::new(),
            at: Timestamp::now(),
            who: "trunkd".to_owned(),
            domain: None,
            gateway: None,
            switch: Some(switch.to_owned()),
            event,
        }
    }

    /// The same about a gateway; one that is in no domain is not ours.
    #[must_use]
    pub fn with_gateway(self, gateway: &str, domain: Option<String>) -> Self {
        Self {
            gateway: Some(gateway.to_owned()),
            domain,
            ..self
        }
    }
}

impl Entry {
    /// It happens now, and is about no gateway and no switch.
    pub fn now(who: impl ToString, event: Event) -> Self {
        Self {
            id: String::new(),
            at: Timestamp::now(),
            who: who.to_string(),
            domain: None,
            gateway: None,
            switch: None,
            event,
        }
    }
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
    /// More gateways changed together than are recorded one by one.
    Edits {
        created: usize,
        changed: usize,
        deleted: usize,
    },
    /// A gateway stopped being usable on a switch, or its first registration failed.
    Outage {
        /// `403 Forbidden`, `no answer`, `ping lost`, `unregistered`.
        reason: String,
        /// When it stopped being usable.
        #[schema(value_type = String, format = DateTime)]
        since: Timestamp,
    },
    /// A gateway is usable again.
    Recovered {
        /// The entry of its outage.
        outage: String,
        /// The reason of its outage.
        reason: String,
        /// How long it was not usable.
        seconds: u64,
    },
    /// No trunkd can reach a switch. One entry, however many gateways it has.
    SwitchLost {
        /// Why it can't be reached.
        reason: String,
        /// When it was last seen.
        #[schema(value_type = String, format = DateTime)]
        since: Timestamp,
        /// How many gateways it had.
        gateways: usize,
        /// How many of them were usable.
        usable: usize,
    },
    /// A switch can be reached again, and its gateways were read.
    SwitchBack {
        /// The entry that says when it was lost.
        outage: String,
        /// How long it was not seen.
        seconds: u64,
        gateways: usize,
        usable: usize,
    },
    /// A gateway is parked on a switch: its carrier refuses it, so it is tried later.
    Parked {
        /// `403 Forbidden`.
        reason: String,
        /// How often it was tried since it was parked first.
        tries: u32,
        /// When it is tried next.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[schema(value_type = Option<String>, format = DateTime)]
        next_try: Option<Timestamp>,
    },
    /// It is no longer parked.
    Unparked {
        reason: Unparked,
        /// How long it was parked.
        seconds: u64,
    },
    /// More than half of a carrier's gateways on a switch began to fail together. None of them is parked.
    CarrierOut {
        carrier: String,
        /// How many fail.
        failing: usize,
        /// How many register with it.
        of: usize,
        #[schema(value_type = String, format = DateTime)]
        since: Timestamp,
    },
    /// They no longer fail together.
    CarrierBack {
        carrier: String,
        /// How long they did.
        seconds: u64,
    },
    /// A gateway that runs on exactly one switch is on another one now.
    Moved {
        from: String,
        to: String,
        reason: PlacedFor,
    },
    /// A switch is drained: its gateways that run on exactly one switch move away.
    Drain,
    /// It may get gateways again.
    Undrain,
    /// trunkd changed a gateway on a switch, or could not.
    Action {
        action: ActionKind,
        outcome: ActionOutcome,
        /// Why it failed.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
        /// How long it took, in milliseconds.
        ms: u64,
    },
    /// A plan with so many changes that they are summed up.
    Actions {
        started: usize,
        restarted: usize,
        killed: usize,
        failed: usize,
        seconds: u64,
    },
    /// An edit was taken back, because the carrier refused it: the version before runs.
    RolledBack {
        /// `403 Forbidden`
        reason: String,
        /// When the version before last worked.
        #[schema(value_type = String, format = DateTime)]
        worked_at: Timestamp,
        /// The carrier refused the version before too, so the edit stays after all.
        #[serde(default)]
        gave_up: bool,
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
    /// The plan of a switch is held, because it removes or restarts too much.
    Hold {
        /// `held: removes 40 of 50 (more than 10)`.
        reason: String,
        /// The same in Chinese; an older trunkd wrote none.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason_zh: Option<String>,
    },
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

/// What trunkd does to a gateway on a switch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ActionKind {
    Start,
    Restart,
    Kill,
    Register,
    Unregister,
    Park,
    Unpark,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ActionOutcome {
    Done,
    Failed,
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
