//! The values that are written to the observed state, and those read from it.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::row::Row;
use crate::registration::Calls;

/// What an event does to the hashes.
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    Set(Arc<Row>),
    /// Only the row changes. The event does not carry the state, so the value in the gateways hash
    /// stays.
    Note(Arc<Row>),
    Delete,
    /// The event does not carry the gateway's state.
    Nothing,
}

/// One event, and what to do with it.
#[derive(Debug, Clone, PartialEq)]
pub struct Observation {
    pub sequence: u64,
    pub gateway: Arc<str>,
    pub change: Change,
    /// The newest sequence that the change reflects; see `ingest::view`.
    pub mark: u64,
    pub json: Bytes,
    /// Whether the event goes to the channel and the list, once. False if it had to be dropped
    /// there while Redis was away.
    pub announce: bool,
    /// The sequence cannot be trusted: it does not show how far the switch is.
    pub is_odd: bool,
    /// What to count: of this event, and of earlier ones of the gateway that were merged with it.
    pub registers: Vec<Register>,
}

/// What an event says about a REGISTER. A trunkd counts it in Redis if it is newer than the last one
/// counted for its gateway.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Register {
    pub sequence: u64,
    /// It was sent since the event before.
    pub is_sent: bool,
    /// The SIP status code of the response with which it failed.
    pub refused: Option<u16>,
}

impl AsRef<Self> for Observation {
    fn as_ref(&self) -> &Self {
        self
    }
}

/// The result of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Applied {
    Done {
        applied: u64,
        older: u64,
        repeated: u64,
        /// Redis knows another run of the switch.
        of_other_run: bool,
    },
    /// Redis no longer knows the switch, so it lost its data. Nothing was written: begin again,
    /// then repeat the batch.
    Forgotten,
}

/// One difference between a snapshot and what is stored.
#[derive(Debug, Clone, PartialEq)]
pub struct Correction {
    pub gateway: String,
    pub op: CorrectionOp,
    /// What was compared with, or empty for none. If it has changed since, the item is skipped.
    pub old_row: String,
    pub old_value: String,
    /// Calls since the gateway was started, to be added up.
    pub calls: Option<Calls>,
}

/// What Redis reflects when a connection finds the switch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Begun {
    /// The newest sequence.
    pub sequence: u64,
    /// The last turn in which calls were counted. A snapshot that is requested later is newer than
    /// everything that was counted up to then.
    pub counted: u64,
}

#[derive(Debug, Clone, PartialEq)]
pub enum CorrectionOp {
    /// The row, and if the value differs, the new value for the gateways hash, the channel and the
    /// list.
    Set { row: String, value: Option<String> },
    /// The value is announced.
    Delete { value: String },
}

/// A row, and perhaps a value, of an unreachable switch.
#[derive(Debug, Clone, PartialEq)]
pub struct StaleItem {
    pub gateway: String,
    pub old_row: String,
    pub row: String,
    pub old_value: String,
    pub value: Option<String>,
}

/// What Redis holds for one switch. Raw text, so that a script can check whether it has changed
/// since.
#[derive(Debug, Clone, Default)]
pub struct Stored {
    /// gateway → row.
    pub rows: HashMap<String, String>,
    /// gateway → value in the gateways hash, from any switch.
    pub values: HashMap<String, String>,
    /// The names in `trunkd:switches`.
    pub switches: Vec<String>,
}

/// The value of a field in `trunkd:switches`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct SwitchState {
    pub connected: bool,
    /// RFC 3339 in UTC; empty if unknown. The next two fields are also empty if unknown.
    pub since: String,
    pub core_uuid: String,
    pub last_seen: String,
    /// The last error, if the switch is not connected.
    #[serde(default)]
    pub reason: Option<String>,
}

/// This trunkd's connection to the switch, for `trunkd:switches`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sighting {
    Connected { core_uuid: String, since: Timestamp },
    Disconnected { since: Timestamp, reason: Option<String> },
}

/// What Redis knows about the switch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Touched {
    /// Redis knows a run of the switch. If false, it lost its data.
    pub is_known: bool,
    /// When any trunkd last saw the switch, in ms by Redis's clock. `None` if none did.
    pub sighted_ms: Option<u64>,
    /// Time since then.
    pub unseen: Option<Duration>,
}
