//! The observed state of gateways in Redis.
//!
//! `ingest` decides what to write. The scripts ensure that each write takes effect once, no matter
//! how many trunkd repeat it.

mod batch;
mod change;
mod changes;
mod counted;
mod outages;
mod registers;
mod row;
mod switches;
mod text;

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use redis::{Cmd, ErrorKind, ServerErrorKind};
use tokio::sync::watch;

use crate::keys::{self, StatusKeys};
use crate::redis::{Burst, Store, StoreError};
use batch::{Packed, pack_calls};
pub use change::{
    Applied, Begun, Change, Correction, CorrectionOp, Observation, Register, Sighting, StaleItem, Stored, SwitchState,
    Touched,
};
pub use changes::{Position, RowChanges};
pub use counted::Counted;
pub use outages::{GatewayOutages, KnownOutages, LostSwitch, OpenOutage, OutageOp, OutageStep, Recorded};
pub use registers::Registers;
pub use row::{Challenge, Row, reason};
use text::{stamp, text, texts};

/// One of our Lua scripts, appended to the shared part.
macro_rules! script {
    ($name:literal) => {{
        static SCRIPT: std::sync::LazyLock<redis::Script> = std::sync::LazyLock::new(|| {
            redis::Script::new(concat!(
                include_str!("scripts/common.lua"),
                include_str!(concat!("scripts/", $name, ".lua"))
            ))
        });
        &*SCRIPT
    }};
}

/// No request waits for a write, so it may take longer than a read.
const WRITE_TIMEOUT: Duration = Duration::from_secs(5);
/// Items per script call. Small, so that other clients of Redis wait a few milliseconds at most.
const SCRIPT_CHUNK: usize = 500;
/// Bytes per script call, for rows and values that a carrier made long.
const SCRIPT_CHUNK_BYTES: usize = 1024 * 1024;

/// The observed state of one switch in Redis.
#[derive(Clone)]
pub struct Observed {
    store: Store,
    keys: Arc<StatusKeys>,
    switch: Arc<str>,
    /// `"FreeSWITCH-Switchname":"<switch>"`, as in FreeSWITCH's JSON.
    switch_field: Arc<str>,
    /// Distinguishes this trunkd's sightings of the switch from those of others.
    instance: Arc<str>,
    burst: Arc<Burst>,
}

impl Observed {
    pub fn new(store: Store, keys: Arc<StatusKeys>, switch: &str, instance: Arc<str>) -> Self {
        let name = serde_json::Value::from(switch).to_string();
        store.expect_type(&keys.hash, "hash", "status.hash");
        if let Some(list) = &keys.list {
            store.expect_type(list, "list", "status.list");
        }
        Self {
            store,
            keys,
            switch: switch.into(),
            switch_field: format!("\"FreeSWITCH-Switchname\":{name}").into(),
            instance,
            burst: Arc::default(),
        }
    }

    pub fn switch(&self) -> &str {
        &self.switch
    }

    /// Changes each time Redis is available again after an outage: it may have lost acknowledged
    /// writes.
    pub fn recovered(&self) -> watch::Receiver<u64> {
        self.store.recovered()
    }

    /// A connection found the switch in this run. Returns what Redis reflects of it.
    pub async fn begin(&self, core_uuid: &str) -> Result<Begun, StoreError> {
        self.begin_run(core_uuid, false).await
    }

    /// The sequences that Redis knows of this run cannot be trusted. Forgets which of them the rows
    /// reflect.
    pub async fn distrust(&self, core_uuid: &str) -> Result<(), StoreError> {
        self.begin_run(core_uuid, true).await.map(drop)
    }

    async fn begin_run(&self, core_uuid: &str, forget: bool) -> Result<Begun, StoreError> {
        let (sequence, counted) = self
            .run("begin", script!("begin"), |call| {
                call.arg(core_uuid).arg(u8::from(forget));
            })
            .await?;
        Ok(Begun { sequence, counted })
    }

    /// Whether events go to a channel or a list, besides the hashes.
    pub fn announces(&self) -> bool {
        self.keys.channel.is_some() || self.keys.list.is_some()
    }

    /// Writes a batch of events, in order. Safe to repeat.
    pub async fn apply(&self, core_uuid: &str, batch: &[impl AsRef<Observation>]) -> Result<Applied, StoreError> {
        let seen = keys::seen(&self.switch, core_uuid);
        let (applied, older, repeated, of_other_run): (i64, u64, u64, bool) = self
            .run("apply", script!("apply"), |call| {
                call.arg(core_uuid).arg(&seen);
                Packed::new(batch, self.announces()).write(call);
            })
            .await?;
        match u64::try_from(applied) {
            Ok(applied) => Ok(Applied::Done {
                applied,
                older,
                repeated,
                of_other_run,
            }),
            Err(_) => Ok(Applied::Forgotten),
        }
    }

    /// Reads what is stored for the switch, to compare it with a snapshot.
    pub async fn read(&self) -> Result<Stored, StoreError> {
        let (rows, values, switches) = self
            .store
            .read("read status", WRITE_TIMEOUT, async |connection| {
                let rows = text::read_hash(connection, &keys::status(&self.switch)).await?;
                let values = text::read_hash(connection, &self.keys.hash).await?;
                let mut names = redis::cmd("HKEYS");
                let switches: Vec<Vec<u8>> = names.arg(keys::SWITCHES).query_async(connection).await?;
                Ok((rows, values, switches))
            })
            .await?;
        Ok(Stored {
            rows: texts(rows),
            values: texts(values),
            switches: switches.into_iter().map(text).collect(),
        })
    }

    /// Like [`Observed::read`], for these gateways only (at least one).
    pub async fn read_some(&self, gateways: &[Arc<str>]) -> Result<Stored, StoreError> {
        type Found = Vec<Option<Vec<u8>>>;
        let names: Vec<&str> = gateways.iter().map(|name| &**name).collect();
        let (rows, values, switches) = self
            .store
            .read("read status", WRITE_TIMEOUT, async |connection| {
                redis::pipe()
                    .hmget(keys::status(&self.switch), &names)
                    .hmget(&self.keys.hash, &names)
                    .hkeys(keys::SWITCHES)
                    .query_async::<(Found, Found, Vec<Vec<u8>>)>(connection)
                    .await
            })
            .await?;
        let pairs = |found: Found| {
            let names = names.iter().map(|name| name.as_bytes().to_vec());
            names
                .zip(found)
                .filter_map(|(name, value)| Some((name, value?)))
                .collect()
        };
        Ok(Stored {
            rows: texts(pairs(rows)),
            values: texts(pairs(values)),
            switches: switches.into_iter().map(text).collect(),
        })
    }

    /// Corrects the differences from a snapshot that counts as of `begun`, and counts its calls.
    /// Returns the number of corrected values, or `None` if there is a newer snapshot or run.
    pub async fn correct(
        &self,
        core_uuid: &str,
        begun: Begun,
        items: &[Correction],
    ) -> Result<Option<u64>, StoreError> {
        let (mut corrected, mut rest) = (0, items);
        loop {
            let (part, after) = rest.split_at(chunk(rest));
            let what = if after.is_empty() { "last" } else { "part" };
            let Some(done) = self.correct_part(core_uuid, begun, what, part).await? else {
                return Ok(None);
            };
            corrected += done;
            if after.is_empty() {
                return Ok(Some(corrected));
            }
            rest = after;
        }
    }

    /// Like [`Observed::correct`], for a few gateways that were queried one by one. Their calls are
    /// left to the next snapshot.
    pub async fn correct_some(
        &self,
        core_uuid: &str,
        sequence: u64,
        items: &[Correction],
    ) -> Result<Option<u64>, StoreError> {
        let begun = Begun { sequence, counted: 0 };
        self.correct_part(core_uuid, begun, "some", items).await
    }

    async fn correct_part(
        &self,
        core_uuid: &str,
        begun: Begun,
        what: &str,
        items: &[Correction],
    ) -> Result<Option<u64>, StoreError> {
        let done: i64 = self
            .run("correct", script!("correct"), |call| {
                call.arg(core_uuid).arg(begun.sequence).arg(what);
                call.arg(begun.counted).arg(pack_calls(items, what != "some"));
                for item in items {
                    let (op, row, value) = match &item.op {
                        CorrectionOp::Set { row, value } => {
                            let op = if row::differ_in_seen(&item.old_row, row) {
                                "T"
                            } else {
                                "S"
                            };
                            (op, row.as_str(), value.as_deref().unwrap_or_default())
                        }
                        CorrectionOp::Delete { value } => ("D", "", value.as_str()),
                    };
                    call.arg(&item.gateway)
                        .arg(op)
                        .arg(&item.old_row)
                        .arg(row)
                        .arg(&item.old_value)
                        .arg(value);
                }
            })
            .await?;
        Ok(u64::try_from(done).ok())
    }

    /// Records that the switch is connected or not. It stays connected while another trunkd sees
    /// it.
    pub async fn touch(&self, sighting: &Sighting, now: Timestamp) -> Result<Touched, StoreError> {
        let (connected, core_uuid, since, reason) = match sighting {
            Sighting::Connected { core_uuid, since } => (1, core_uuid.as_str(), since, ""),
            Sighting::Disconnected { since, reason } => (0, "", since, reason.as_deref().unwrap_or_default()),
        };
        let (is_known, sighted_ms, now_ms): (bool, i64, u64) = self
            .run("touch", script!("touch"), |call| {
                call.arg(&*self.instance)
                    .arg(connected)
                    .arg(stamp(now))
                    .arg(core_uuid)
                    .arg(stamp(*since))
                    .arg(reason);
            })
            .await?;
        let sighted_ms = u64::try_from(sighted_ms).ok();
        Ok(Touched {
            is_known,
            sighted_ms,
            unseen: sighted_ms.map(|sighted| Duration::from_millis(now_ms.saturating_sub(sighted))),
        })
    }

    /// Marks the rows and values of a switch that no trunkd has seen for `after` as stale. Returns
    /// the number of marked rows, or `None` if another trunkd sees the switch.
    pub async fn mark_stale(&self, items: &[StaleItem], after: Duration) -> Result<Option<u64>, StoreError> {
        let mut marked = 0;
        for part in items.chunks(SCRIPT_CHUNK) {
            let done: i64 = self
                .run("mark stale", script!("stale"), |call| {
                    call.arg(after.as_millis());
                    for item in part {
                        let value = item.value.as_deref().unwrap_or_default();
                        call.arg(&item.gateway)
                            .arg(&item.old_row)
                            .arg(&item.row)
                            .arg(&item.old_value)
                            .arg(value);
                    }
                })
                .await?;
            match u64::try_from(done) {
                Ok(done) => marked += done,
                Err(_) => return Ok(None),
            }
        }
        Ok(Some(marked))
    }

    /// Removes everything stored for a switch that was removed from the settings. Returns false if
    /// another trunkd saw it within `unseen`, or named it in its settings within `unnamed`.
    pub async fn forget(&self, unseen: Duration, unnamed: Duration) -> Result<bool, StoreError> {
        let gone: i64 = self
            .run("forget", script!("forget"), |call| {
                for limit in [unseen, unnamed] {
                    call.arg(limit.as_millis());
                }
                call.arg(keys::outages(&self.switch)).arg(keys::HELD);
            })
            .await?;
        Ok(gone >= 0)
    }

    async fn run<T: redis::FromRedisValue>(
        &self,
        operation: &'static str,
        script: &'static redis::Script,
        arguments: impl FnOnce(&mut Cmd),
    ) -> Result<T, StoreError> {
        let keys = [
            self.keys.hash.clone(),
            self.keys.list.clone().unwrap_or_default(),
            keys::status(&self.switch),
            keys::meta(&self.switch),
            keys::marks(&self.switch),
            keys::calls(&self.switch),
            keys::refusals(&self.switch),
            keys::gone(&self.switch),
        ];
        // `redis::ScriptInvocation` makes one allocation per argument, so it is not used here.
        let mut call = redis::cmd("EVALSHA");
        call.arg(script.get_hash()).arg(keys.len()).arg(&keys);
        call.arg(&*self.switch).arg(&*self.switch_field);
        call.arg(self.keys.channel.as_deref().unwrap_or_default())
            .arg(self.keys.list_max);
        arguments(&mut call);
        self.store
            .write_burst(&self.burst, operation, WRITE_TIMEOUT, async |connection| {
                match call.query_async(connection).await {
                    Err(error) if error.kind() == ErrorKind::Server(ServerErrorKind::NoScript) => {
                        script.load_async(connection).await?;
                        call.query_async(connection).await
                    }
                    answer => answer,
                }
            })
            .await
    }
}

/// The number of items in the next script call.
fn chunk(items: &[Correction]) -> usize {
    let mut bytes = 0;
    let fits = |item: &&Correction| {
        let new = match &item.op {
            CorrectionOp::Set { row, value } => row.len() + value.as_ref().map_or(0, String::len),
            CorrectionOp::Delete { value } => value.len(),
        };
        bytes += new + item.old_row.len() + item.old_value.len();
        bytes <= SCRIPT_CHUNK_BYTES
    };
    items
        .iter()
        .take(SCRIPT_CHUNK)
        .take_while(fits)
        .count()
        .max(1)
        .min(items.len())
}

#[cfg(test)]
mod tests;
