//! What is written to the observed state, and what is read of it.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::row::Row;

/// What an event does to the hashes.
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    Set(Arc<Row>),
    /// The row alone: the event says nothing of the state, so the value in the gateways hash stays.
    Note(Arc<Row>),
    Delete,
    /// The event says nothing of the gateway's state.
    Nothing,
}

/// One event, and what is to become of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Observation {
    pub sequence: u64,
    pub gateway: Arc<str>,
    pub change: Change,
    /// The newest sequence that the change reflects; see `ingest::view`.
    pub mark: u64,
    pub json: Bytes,
    /// Whether the event goes to the channel and the list, once; not when it had to be dropped there while Redis was away.
    pub announce: bool,
    /// Its sequence is not to be believed: it says nothing of how far the switch is.
    pub is_odd: bool,
}

impl AsRef<Self> for Observation {
    fn as_ref(&self) -> &Self {
        self
    }
}

/// What a batch did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Applied {
    Done {
        applied: u64,
        older: u64,
        repeated: u64,
        /// Redis knows another run of the switch than this.
        of_other_run: bool,
    },
    /// Redis no longer knows the switch, so it lost its data: nothing was written; begin again, then apply the batch again.
    Forgotten,
}

/// One difference between a snapshot and what is stored.
#[derive(Debug, Clone, PartialEq)]
pub struct Correction {
    pub gateway: String,
    pub op: CorrectionOp,
    /// What was compared with, empty for none: if it changed meanwhile, the item is skipped.
    pub old_row: String,
    pub old_value: String,
}

#[derive(Debug, Clone, PartialEq)]
pub enum CorrectionOp {
    /// The row, and the value for the gateways hash, the channel and the list when it is the value that differs.
    Set { row: String, value: Option<String> },
    /// The value is announced.
    Delete { value: String },
}

/// A row, and perhaps a value, of a switch that is out of reach.
#[derive(Debug, Clone, PartialEq)]
pub struct StaleItem {
    pub gateway: String,
    pub old_row: String,
    pub row: String,
    pub old_value: String,
    pub value: Option<String>,
}

/// What Redis holds of one switch. Raw, so that a script can tell whether it changed since.
#[derive(Debug, Clone, Default)]
pub struct Stored {
    /// gateway → row.
    pub rows: HashMap<String, String>,
    /// gateway → value of the gateways hash, of every switch.
    pub values: HashMap<String, String>,
    /// The names in `trunkd:switches`.
    pub switches: Vec<String>,
}

/// The value of a field in `trunkd:switches`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SwitchState {
    pub connected: bool,
    /// RFC 3339 in UTC; empty when unknown, as are the next two.
    pub since: String,
    pub core_uuid: String,
    pub last_seen: String,
    /// Why it is not connected: the last error.
    #[serde(default)]
    pub reason: Option<String>,
}

/// How this trunkd stands with the switch, for `trunkd:switches`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sighting {
    Connected { core_uuid: String, since: Timestamp },
    Disconnected { since: Timestamp, reason: Option<String> },
}

/// What Redis knows of the switch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Touched {
    /// Redis knows a run of the switch; if not, it lost its data.
    pub is_known: bool,
    /// When any trunkd last saw the switch, in ms by Redis's clock; `None` when none did.
    pub sighted_ms: Option<u64>,
    /// How long ago that was.
    pub unseen: Option<Duration>,
}
