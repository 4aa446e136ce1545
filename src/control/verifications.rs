//! Edited gateways that have to work within a while, and what worked before: the hash
//! `trunkd:verifying:<switch>`. In Redis, so that an edit is taken back even if its trunkd dies meanwhile.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::gateway::{GatewayName, StoredValue};
use crate::keys;
use crate::redis::{Store, StoreError};

/// Fields per command: each may hold a value of 64 KiB.
const CHUNK: usize = 100;

/// An edit of a gateway that worked, until it is known whether it works again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verification {
    pub domain: String,
    /// What has to work.
    pub revision: String,
    /// The digest of the value that Redis has.
    pub edit: String,
    /// What worked before.
    pub good: Good,
    /// It is just that which is started again, after a rollback.
    #[serde(default)]
    pub is_way_back: bool,
    /// Right before the restart.
    pub began: Timestamp,
}

/// A version that worked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Good {
    pub value: StoredValue,
    /// When it was last known to work.
    pub worked_at: Timestamp,
}

impl Store {
    /// Those of a switch. What another version wrote is skipped.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(crate) async fn read_verifications(
        &self,
        switch: &str,
    ) -> Result<Vec<(GatewayName, Verification)>, StoreError> {
        let found: Vec<(String, String)> = self
            .read("read verifications", self.timeout(), async |connection| {
                redis::cmd("HGETALL")
                    .arg(keys::verifying(switch))
                    .query_async(connection)
                    .await
            })
            .await?;
        let parsed = found
            .iter()
            .filter_map(|(name, json)| Some((GatewayName::parse(name).ok()?, serde_json::from_str(json).ok()?)));
        Ok(parsed.collect())
    }

    /// Called before the restarts.
    ///
    /// # Errors
    /// [`StoreError`]. Then some may be written.
    pub(crate) async fn write_verifications(
        &self,
        switch: &str,
        new: &[(GatewayName, Verification)],
    ) -> Result<(), StoreError> {
        for part in new.chunks(CHUNK) {
            let mut command = redis::cmd("HSET");
            command.arg(keys::verifying(switch));
            for (name, verification) in part {
                let json = serde_json::to_string(verification).unwrap_or_default();
                command.arg(name.as_str()).arg(json);
            }
            self.write("write verifications", self.timeout(), async |connection| {
                command.exec_async(connection).await
            })
            .await?;
        }
        Ok(())
    }

    /// # Errors
    /// [`StoreError`].
    pub(crate) async fn drop_verifications(&self, switch: &str, over: &[GatewayName]) -> Result<(), StoreError> {
        let names: Vec<_> = over.iter().map(GatewayName::as_str).collect();
        for part in names.chunks(CHUNK) {
            self.write("drop verifications", self.timeout(), async |connection| {
                redis::cmd("HDEL")
                    .arg(keys::verifying(switch))
                    .arg(part)
                    .exec_async(connection)
                    .await
            })
            .await?;
        }
        Ok(())
    }
}
