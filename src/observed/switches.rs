//! Reads the state of all switches.

use std::collections::HashMap;

use super::WRITE_TIMEOUT;
use super::change::SwitchState;
use super::row::Row;
use super::text::{Pairs, read_hash, texts};
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

    /// Every switch that Redis knows, with its rows, or only that of one gateway.
    pub async fn read_switches(
        &self,
        gateway: Option<&str>,
    ) -> Result<Vec<(String, SwitchState, HashMap<String, Row>)>, StoreError> {
        let read = self
            .read("read switches", WRITE_TIMEOUT, async |connection| {
                let states: Pairs = redis::cmd("HGETALL")
                    .arg(keys::SWITCHES)
                    .query_async(connection)
                    .await?;
                let mut read = Vec::with_capacity(states.len());
                for (name, state) in texts(states) {
                    let key = keys::status(&name);
                    let rows: Pairs = match gateway {
                        None => read_hash(connection, &key).await?,
                        Some(gateway) => {
                            let mut row = redis::cmd("HGET");
                            row.arg(key).arg(gateway);
                            let row: Option<Vec<u8>> = row.query_async(connection).await?;
                            row.map(|row| (gateway.as_bytes().to_vec(), row)).into_iter().collect()
                        }
                    };
                    read.push((name, state, rows));
                }
                Ok(read)
            })
            .await?;
        let mut switches = Vec::with_capacity(read.len());
        for (name, state, rows) in read {
            let rows = texts(rows)
                .into_iter()
                .filter_map(|(name, row)| Some((name, serde_json::from_str(&row).ok()?)));
            let state = serde_json::from_str(&state).unwrap_or_default();
            switches.push((name, state, rows.collect()));
        }
        switches.sort_by(|a, b| a.0.cmp(&b.0));
        Ok(switches)
    }
}
