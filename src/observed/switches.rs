//! Reads the state of all switches.

use std::collections::HashMap;

use super::WRITE_TIMEOUT;
use super::change::SwitchState;
use super::row::Row;
use super::text::{Pairs, texts};
use crate::keys;
use crate::redis::{Store, StoreError};

impl Store {
    /// The names of the switches that Redis knows.
    pub async fn switch_names(&self) -> Result<Vec<String>, StoreError> {
        let names: Vec<Vec<u8>> = self
            .read("read switches", WRITE_TIMEOUT, async |connection| {
                redis::cmd("HKEYS").arg(keys::SWITCHES).query_async(connection).await
            })
            .await?;
        Ok(names
            .iter()
            .map(|name| String::from_utf8_lossy(name).into_owned())
            .collect())
    }

    /// Every switch that Redis knows, with its rows.
    pub async fn read_switches(&self) -> Result<Vec<(String, SwitchState, HashMap<String, Row>)>, StoreError> {
        let states: Pairs = self
            .read("read switches", WRITE_TIMEOUT, async |connection| {
                redis::cmd("HGETALL").arg(keys::SWITCHES).query_async(connection).await
            })
            .await?;
        let mut switches = Vec::new();
        for (name, state) in texts(states) {
            let rows: Pairs = self
                .read("read status", WRITE_TIMEOUT, async |connection| {
                    redis::cmd("HGETALL")
                        .arg(keys::status(&name))
                        .query_async(connection)
                        .await
                })
                .await?;
            let rows = texts(rows)
                .into_iter()
                .filter_map(|(name, row)| Some((name, serde_json::from_str(&row).ok()?)));
            let unknown = SwitchState {
                connected: false,
                since: String::new(),
                core_uuid: String::new(),
                last_seen: String::new(),
                reason: None,
            };
            let state = serde_json::from_str(&state).unwrap_or(unknown);
            switches.push((name, state, rows.collect()));
        }
        switches.sort_by(|a, b| a.0.cmp(&b.0));
        Ok(switches)
    }
}
