//! Which rows changed, in the order of the changes: the stream `trunkd:changes`. Every trunkd can
//! follow what any of them observes.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use jiff::Timestamp;

use super::WRITE_TIMEOUT;
use super::change::SwitchState;
use super::row::Row;
use super::text::{Pairs, texts};
use crate::history::is_entry_id;
use crate::keys;
use crate::redis::{Store, StoreError};

/// Entries per command.
const STEP: usize = 500;
/// Names per HMGET.
const NAMES: usize = 1000;

/// A place in the stream: the id of an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Position(String);

/// What changed after a position.
#[derive(Debug, Clone, Default)]
pub struct RowChanges {
    /// switch → gateways whose row was written or removed.
    pub rows: BTreeMap<String, BTreeSet<String>>,
    /// Whether the state of a switch changed.
    pub switches: bool,
    /// switch → when all of its rows that did not change were true: a snapshot found them so.
    pub confirmed: BTreeMap<String, Timestamp>,
    /// The last entry that was read.
    pub position: Option<Position>,
}

type Entries = Vec<(String, HashMap<String, String>)>;

impl Position {
    /// The id of an entry, such as `1764151200000-0`.
    pub fn parse(text: &str) -> Option<Self> {
        is_entry_id(text).then(|| Self(text.to_owned()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Before the first entry.
    fn start() -> Self {
        Self("0-0".to_owned())
    }
}

impl Store {
    /// Where the stream ends now.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn changes_end(&self) -> Result<Position, StoreError> {
        let last: Entries = self
            .read("read changes", WRITE_TIMEOUT, async |connection| {
                redis::cmd("XREVRANGE")
                    .arg(keys::CHANGES)
                    .arg(&["+", "-", "COUNT", "1"])
                    .query_async(connection)
                    .await
            })
            .await?;
        Ok(last
            .into_iter()
            .next()
            .map_or_else(Position::start, |(id, _)| Position(id)))
    }

    /// What changed after `position`. `None` if the stream no longer goes back that far: read
    /// everything.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn changes_since(&self, position: &Position) -> Result<Option<RowChanges>, StoreError> {
        let mut changes = RowChanges::default();
        let mut from = position.clone();
        loop {
            let entries: Entries = self
                .read("read changes", WRITE_TIMEOUT, async |connection| {
                    redis::cmd("XRANGE")
                        .arg(keys::CHANGES)
                        .arg(&[from.as_str(), "+", "COUNT"])
                        .arg(STEP)
                        .query_async(connection)
                        .await
                })
                .await?;
            // The entry of the position itself proves that none after it was cut off.
            let is_known = match entries.first() {
                Some((first, _)) => *first == from.0,
                None => false,
            };
            if !is_known {
                let is_empty = entries.is_empty() && from == Position::start();
                return Ok(is_empty.then_some(changes));
            }
            let is_last = entries.len() < STEP;
            for (id, fields) in entries.into_iter().skip(1) {
                changes.add(&fields);
                from = Position(id);
            }
            changes.position = Some(from.clone());
            if is_last {
                return Ok(Some(changes));
            }
        }
    }

    /// The state of each switch that Redis knows.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn read_switch_states(&self) -> Result<BTreeMap<String, SwitchState>, StoreError> {
        let states: Pairs = self
            .read("read switches", WRITE_TIMEOUT, async |connection| {
                redis::cmd("HGETALL").arg(keys::SWITCHES).query_async(connection).await
            })
            .await?;
        let states = texts(states).into_iter();
        Ok(states
            .map(|(name, state)| (name, serde_json::from_str(&state).unwrap_or_default()))
            .collect())
    }

    /// These rows of a switch; `None` for one that is gone.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn read_rows(
        &self,
        switch: &str,
        gateways: &BTreeSet<String>,
    ) -> Result<Vec<(String, Option<Row>)>, StoreError> {
        let names: Vec<&String> = gateways.iter().collect();
        let mut rows = Vec::with_capacity(names.len());
        for some in names.chunks(NAMES) {
            let found: Vec<Option<Vec<u8>>> = self
                .read("read rows", WRITE_TIMEOUT, async |connection| {
                    redis::cmd("HMGET")
                        .arg(keys::status(switch))
                        .arg(some)
                        .query_async(connection)
                        .await
                })
                .await?;
            let parsed = found
                .into_iter()
                .map(|row| row.and_then(|row| serde_json::from_slice(&row).ok()));
            rows.extend(some.iter().map(|name| (*name).clone()).zip(parsed));
        }
        Ok(rows)
    }
}

impl RowChanges {
    fn add(&mut self, fields: &HashMap<String, String>) {
        let (Some(switch), Some(names)) = (fields.get("switch"), fields.get("names")) else {
            return;
        };
        let seen = fields.get("seen").and_then(|seen| seen.parse().ok());
        if let Some(seen) = seen {
            self.confirmed.insert(switch.clone(), seen);
        }
        if names.is_empty() {
            self.switches |= seen.is_none();
            return;
        }
        let rows = self.rows.entry(switch.clone()).or_default();
        rows.extend(names.split('\n').map(str::to_owned));
    }
}
