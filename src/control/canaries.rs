//! Gateways that are tried before others of their carrier: the hash `trunkd:canaries`. In Redis, so that
//! every switch waits for the same ones.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::keys;
use crate::redis::{Store, StoreError};

/// The gateways of a carrier that are tried first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Canary {
    pub id: String,
    /// Where they are watched.
    pub switch: String,
    /// gateway → the revision that has to work.
    pub first: BTreeMap<String, String>,
    pub at: Timestamp,
}

impl Canary {
    pub fn new(switch: &str, first: BTreeMap<String, String>, at: Timestamp) -> Self {
        Self {
            id: format!("{:016x}", rand::random::<u64>()),
            switch: switch.to_owned(),
            first,
            at,
        }
    }
}

impl Store {
    /// By carrier. What another version wrote is skipped.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(crate) async fn read_canaries(&self) -> Result<BTreeMap<String, Canary>, StoreError> {
        let found: Vec<(String, String)> = self
            .read("read canaries", self.timeout(), async |connection| {
                redis::cmd("HGETALL").arg(keys::CANARIES).query_async(connection).await
            })
            .await?;
        let parsed = found
            .into_iter()
            .filter_map(|(carrier, json)| Some((carrier, serde_json::from_str(&json).ok()?)));
        Ok(parsed.collect())
    }

    /// Begins one unless there is one, and returns the one that counts.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(crate) async fn begin_canary(&self, carrier: &str, canary: &Canary) -> Result<Canary, StoreError> {
        static BEGIN: LazyLock<redis::Script> = LazyLock::new(|| {
            redis::Script::new(
                "redis.call('HSETNX', KEYS[1], ARGV[1], ARGV[2])
                 return redis.call('HGET', KEYS[1], ARGV[1])",
            )
        });
        let mut call = BEGIN.key(keys::CANARIES);
        call.arg(carrier).arg(serde_json::to_string(canary).unwrap_or_default());
        let json: String = self
            .write("begin a canary", self.timeout(), async |connection| {
                call.invoke_async(connection).await
            })
            .await?;
        Ok(serde_json::from_str(&json).unwrap_or_else(|_| canary.clone()))
    }

    /// Ends the one that is there, if it is still this one.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(crate) async fn end_canary(&self, carrier: &str, canary: &Canary) -> Result<(), StoreError> {
        static END: LazyLock<redis::Script> = LazyLock::new(|| {
            redis::Script::new(
                "local json = redis.call('HGET', KEYS[1], ARGV[1])
                 local is_read, canary = pcall(cjson.decode, json or '')
                 if is_read and canary.id == ARGV[2] then redis.call('HDEL', KEYS[1], ARGV[1]) end",
            )
        });
        let mut call = END.key(keys::CANARIES);
        call.arg(carrier).arg(&canary.id);
        self.write("end a canary", self.timeout(), async |connection| {
            call.invoke_async::<()>(connection).await
        })
        .await
    }
}
