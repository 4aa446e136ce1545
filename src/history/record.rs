//! Records entries. Scripts of other rooms include [`RECORD_LUA`], so that an edit and its entry are
//! written in one step.

use std::sync::LazyLock;
use std::time::Duration;

use super::{Entry, History};
use crate::keys;
use crate::redis::{Store, StoreError};

/// Every trunkd notices the same change within this time.
const CLAIM_LASTS: Duration = Duration::from_secs(3600);

/// Defines `record(stream, of_gateway, entry, details, entries, age_ms)`. `of_gateway` and `details`
/// may be ''. Returns the entry's id. `details`, which may hold secrets, goes to the gateway's own
/// stream only.
pub const RECORD_LUA: &str = include_str!("record.lua");

/// An entry that is ready for [`RECORD_LUA`].
#[derive(Debug, Clone)]
pub struct Prepared {
    /// The entry as JSON.
    pub entry: String,
    /// The stream of the entry's gateway, or empty.
    pub of_gateway: String,
    pub entries: usize,
    pub age_ms: u128,
    pub per_gateway: usize,
}

impl History {
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Prepares an entry for a script that records it.
    pub fn prepare(&self, entry: &Entry) -> Prepared {
        let of_gateway = match (&entry.domain, &entry.gateway) {
            (Some(domain), Some(gateway)) => keys::history_of(domain, gateway),
            _ => String::new(),
        };
        Prepared {
            entry: serde_json::to_string(entry).unwrap_or_default(),
            of_gateway,
            entries: self.limits.entries,
            age_ms: self.limits.age.as_millis(),
            per_gateway: self.limits.per_gateway,
        }
    }

    /// Records what is done already: a failure is only logged.
    pub async fn record_done(&self, entry: &Entry) {
        if let Err(error) = self.record(entry).await {
            tracing::warn!(who = entry.who, "not recorded in the history: {error}");
        }
    }

    /// Records an entry unless another trunkd did: the first with a claim does.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn record_once(&self, claim: &str, entry: &Entry) -> Result<(), StoreError> {
        static RECORD: LazyLock<redis::Script> = LazyLock::new(|| {
            redis::Script::new(&format!(
                "{RECORD_LUA}
                 if redis.call('SET', KEYS[3], '1', 'NX', 'EX', ARGV[5]) then
                   record(KEYS[1], KEYS[2], ARGV[1], '', ARGV[2], ARGV[3], ARGV[4])
                 end"
            ))
        });
        let prepared = self.prepare(entry);
        let mut call = RECORD.key(keys::HISTORY);
        call.key(&prepared.of_gateway)
            .key(keys::recorded_once(claim))
            .arg(&prepared.entry)
            .arg(prepared.entries)
            .arg(prepared.age_ms)
            .arg(prepared.per_gateway)
            .arg(CLAIM_LASTS.as_secs());
        self.store
            .write("record history", self.store.timeout(), async |connection| {
                call.invoke_async(connection).await
            })
            .await
    }

    /// Records an entry and returns its id.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn record(&self, entry: &Entry) -> Result<String, StoreError> {
        static RECORD: LazyLock<redis::Script> = LazyLock::new(|| {
            redis::Script::new(&format!(
                "{RECORD_LUA}
                 return record(KEYS[1], KEYS[2], ARGV[1], '', ARGV[2], ARGV[3], ARGV[4])"
            ))
        });
        let prepared = self.prepare(entry);
        let mut call = RECORD.key(keys::HISTORY);
        call.key(&prepared.of_gateway)
            .arg(&prepared.entry)
            .arg(prepared.entries)
            .arg(prepared.age_ms)
            .arg(prepared.per_gateway);
        self.store
            .write("record history", self.store.timeout(), async |connection| {
                call.invoke_async(connection).await
            })
            .await
    }
}
