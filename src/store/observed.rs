//! What the switches' gateways are doing, as it is written to Redis. What to write is decided by `ingest`; that it has one effect, however
//! many trunkd write it, by the scripts.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;
use redis::{Cmd, ErrorKind, ServerErrorKind};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use super::{StatusKeys, Store, StoreError, keys, script};
use crate::registration::{Calls, PingStatus, State};

/// A write has nobody waiting for it, so it may take longer than a request's read before it is tried again.
const WRITE_TIMEOUT: Duration = Duration::from_secs(5);
/// Items in one script call, so that Redis's other clients wait a few milliseconds at most.
const SCRIPT_CHUNK: usize = 500;
/// Sequences in one bitmap of those that had their effect.
const SEEN_BITS: u64 = 65_536;

/// The observed state of one switch, in Redis.
#[derive(Clone)]
pub struct Observed {
    store: Store,
    keys: Arc<StatusKeys>,
    switch: Arc<str>,
    /// `"FreeSWITCH-Switchname":"<switch>"`, as FreeSWITCH's JSON has it.
    switch_field: Arc<str>,
    /// Tells this trunkd's sightings of the switch from another's.
    instance: Arc<str>,
}

/// A gateway's state on one switch: the value in `trunkd:status:<switchname>`. Times are RFC 3339 in UTC.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// `None` until an event or a snapshot names it.
    pub profile: Option<String>,
    /// `None` between a gateway's start and the first sign of its state.
    pub state: Option<State>,
    pub ping: Option<PingStatus>,
    /// The SIP answer that led to the state, such as `403`, and its phrase.
    pub status: Option<String>,
    pub phrase: Option<String>,
    /// When the state was entered.
    pub since: Timestamp,
    /// When the state was last known to be true.
    pub seen: Timestamp,
    /// The `trunkd_revision` that the gateway runs with.
    pub revision: Option<String>,
    /// The switch is out of reach: this is its last known state.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub stale: bool,
    /// Whether calls can go over it; `None`: nobody knows, as of a NOREG gateway without a ping.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usable: Option<bool>,
    /// When `usable` last changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usable_since: Option<Timestamp>,
    /// Why it is not usable, such as `403 Forbidden` or `ping lost`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Seconds between two pings, 0 for none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ping_every: Option<u32>,
    /// The last OPTIONS round trip.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ping_ms: Option<f64>,
    /// A ping has been under way for longer than one can take, so `ping` may be wrong.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub ping_stuck: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub calls: Option<Calls>,
    /// A challenge that FreeSWITCH did not answer (FACTS 45).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub challenge: Option<Challenge>,
    /// When FreeSWITCH registers again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_at: Option<Timestamp>,
}

/// A challenge that FreeSWITCH did not answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Challenge {
    /// The sender's address, where FreeSWITCH tells it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub realm: Option<String>,
    pub at: Timestamp,
}

impl Row {
    /// Of a gateway of which nothing is known yet.
    pub fn unknown(at: Timestamp) -> Self {
        Self {
            profile: None,
            state: None,
            ping: None,
            status: None,
            phrase: None,
            since: at,
            seen: at,
            revision: None,
            stale: false,
            usable: None,
            usable_since: None,
            reason: None,
            ping_every: None,
            ping_ms: None,
            ping_stuck: false,
            calls: None,
            challenge: None,
            retry_at: None,
        }
    }

    pub fn to_json(&self) -> String {
        // Strings, times and booleans always serialize.
        serde_json::to_string(self).unwrap_or_default()
    }
}

/// What an event does to the hashes.
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    Set(Arc<Row>),
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
pub struct Mend {
    pub gateway: String,
    pub op: MendOp,
    /// What was compared with, empty for none: if it changed meanwhile, the item is skipped.
    pub old_row: String,
    pub old_value: String,
}

#[derive(Debug, Clone, PartialEq)]
pub enum MendOp {
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
    /// Why it is not connected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

impl Observed {
    pub fn new(store: Store, keys: Arc<StatusKeys>, switch: &str, instance: Arc<str>) -> Self {
        let name = serde_json::Value::from(switch).to_string();
        Self {
            store,
            keys,
            switch: switch.into(),
            switch_field: format!("\"FreeSWITCH-Switchname\":{name}").into(),
            instance,
        }
    }

    pub fn switch(&self) -> &str {
        &self.switch
    }

    /// Tells whenever Redis was found again after it was lost: it may lack what it had acknowledged.
    pub fn found(&self) -> watch::Receiver<u64> {
        self.store.found()
    }

    /// A connection found the switch in this run. Answers the newest sequence that Redis reflects of it.
    pub async fn begin(&self, core_uuid: &str) -> Result<u64, StoreError> {
        self.run("begin", script!("begin"), |call| {
            call.arg(core_uuid);
        })
        .await
    }

    /// Whether events go to a channel or a list, beside the hashes.
    pub fn announces(&self) -> bool {
        self.keys.channel.is_some() || self.keys.list.is_some()
    }

    /// Writes a batch of events, in order; safe to repeat.
    pub async fn apply(&self, core_uuid: &str, batch: &[impl AsRef<Observation>]) -> Result<Applied, StoreError> {
        let seen = keys::seen_prefix(&self.switch, core_uuid);
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

    /// What is stored of the switch, to be compared with a snapshot.
    pub async fn read(&self) -> Result<Stored, StoreError> {
        let (rows, values, switches) = self
            .store
            .read("read status", WRITE_TIMEOUT, async |connection| {
                redis::pipe()
                    .hgetall(keys::status(&self.switch))
                    .hgetall(&self.keys.hash)
                    .hkeys(keys::SWITCHES)
                    .query_async::<(Pairs, Pairs, Vec<Vec<u8>>)>(connection)
                    .await
            })
            .await?;
        Ok(Stored {
            rows: texts(rows),
            values: texts(values),
            switches: switches.into_iter().map(text).collect(),
        })
    }

    /// Reads of these gateways, at least one, what [`Observed::read`] reads of all.
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

    /// Sets right what differed from a snapshot that counts as of `sequence`. Answers how many values were mended; `None` when there is a newer
    /// snapshot, or run.
    pub async fn mend(&self, core_uuid: &str, sequence: u64, items: &[Mend]) -> Result<Option<u64>, StoreError> {
        let mut mended = 0;
        let mut parts = items.chunks(SCRIPT_CHUNK).peekable();
        loop {
            let part = parts.next().unwrap_or_default();
            let last = parts.peek().is_none();
            let what = if last { "last" } else { "part" };
            let Some(done) = self.mend_part(core_uuid, sequence, what, part).await? else {
                return Ok(None);
            };
            mended += done;
            if last {
                return Ok(Some(mended));
            }
        }
    }

    /// The same of a few gateways that were asked for one by one.
    pub async fn mend_some(&self, core_uuid: &str, sequence: u64, items: &[Mend]) -> Result<Option<u64>, StoreError> {
        self.mend_part(core_uuid, sequence, "some", items).await
    }

    async fn mend_part(
        &self,
        core_uuid: &str,
        sequence: u64,
        what: &str,
        items: &[Mend],
    ) -> Result<Option<u64>, StoreError> {
        let done: i64 = self
            .run("mend", script!("mend"), |call| {
                call.arg(core_uuid).arg(sequence).arg(what);
                for item in items {
                    let (op, row, value) = match &item.op {
                        MendOp::Set { row, value } => ("S", row.as_str(), value.as_deref().unwrap_or_default()),
                        MendOp::Delete { value } => ("D", "", value.as_str()),
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

    /// Notes that the switch is connected, or no longer; another trunkd that sees it keeps it connected. Answers whether Redis still knows the
    /// switch: if not, it lost its data.
    pub async fn touch(&self, connected: bool, core_uuid: &str, now: Timestamp) -> Result<bool, StoreError> {
        self.run("touch", script!("touch"), |call| {
            call.arg(&*self.instance)
                .arg(u8::from(connected))
                .arg(stamp(now))
                .arg(core_uuid);
        })
        .await
    }

    /// Marks the rows and values of a switch that nobody has seen for `after`. Answers how many rows were marked; `None` when another trunkd sees it.
    pub async fn mark_stale(&self, items: &[StaleItem], after: Duration) -> Result<Option<u64>, StoreError> {
        let mut marked = 0;
        for part in items.chunks(SCRIPT_CHUNK) {
            let done: i64 = self
                .run("mark stale", script!("stale"), |call| {
                    call.arg(u64::try_from(after.as_millis()).unwrap_or(u64::MAX));
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

    /// The switch was taken out of the settings: removes what is kept of it. False if another trunkd saw
    /// it within `unseen`, or named it in its settings within `unnamed`.
    pub async fn forget(&self, unseen: Duration, unnamed: Duration) -> Result<bool, StoreError> {
        let gone: i64 = self
            .run("forget", script!("forget"), |call| {
                for limit in [unseen, unnamed] {
                    call.arg(u64::try_from(limit.as_millis()).unwrap_or(u64::MAX));
                }
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
        ];
        // Not by `redis::ScriptInvocation`, which has an allocation for each argument.
        let mut call = redis::cmd("EVALSHA");
        call.arg(script.get_hash()).arg(keys.len()).arg(&keys);
        call.arg(&*self.switch).arg(&*self.switch_field);
        call.arg(self.keys.channel.as_deref().unwrap_or_default())
            .arg(self.keys.list_max);
        arguments(&mut call);
        self.store
            .write(operation, WRITE_TIMEOUT, async |connection| {
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

/// A batch as `apply.lua` takes it, which says what is what.
struct Packed<'a> {
    touched: Vec<u8>,
    events: Vec<u8>,
    names: Vec<&'a str>,
    values: Vec<&'a [u8]>,
    rows: Vec<String>,
}

impl<'a> Packed<'a> {
    fn new(batch: &'a [impl AsRef<Observation>], announces: bool) -> Self {
        let mut packed = Self {
            touched: Vec::new(),
            events: Vec::new(),
            names: Vec::new(),
            values: Vec::with_capacity(batch.len()),
            rows: Vec::new(),
        };
        let announced = batch.iter().map(AsRef::as_ref).filter(|event| event.announce);
        let mut bytes: BTreeMap<_, u16> = announced.map(|event| (place(event.sequence).0, 0)).collect();
        for (number, ((bitmap, byte), of)) in (1..).zip(&mut bytes) {
            *of = number;
            packed.touched.extend(lua_number(*bitmap));
            packed.touched.extend(byte.to_le_bytes());
        }
        let mut numbers: HashMap<&str, u16> = HashMap::new();
        for (event, replaced) in batch.iter().map(AsRef::as_ref).zip(replaced(batch)) {
            let op: u8 = match &event.change {
                Change::Set(row) if !replaced => {
                    packed.rows.push(row.to_json());
                    1
                }
                Change::Delete => 2,
                Change::Set(_) | Change::Nothing => 0,
            };
            let which = match op {
                0 => 0,
                _ => *numbers.entry(&event.gateway).or_insert_with(|| {
                    packed.names.push(&event.gateway);
                    u16::try_from(packed.names.len()).unwrap_or(u16::MAX)
                }),
            };
            let (byte, bit) = place(event.sequence);
            let byte = if event.announce { bytes[&byte] } else { 0 };
            packed.events.extend(lua_number(event.sequence));
            packed.events.extend(lua_number(event.mark));
            packed.events.extend(which.to_le_bytes());
            packed.events.push(op);
            packed.events.extend(byte.to_le_bytes());
            packed.events.push(bit);
            let goes_somewhere = op == 1 || (event.announce && announces);
            packed.values.push(if goes_somewhere { &event.json } else { &[] });
        }
        packed
    }

    fn write(&self, call: &mut Cmd) {
        call.arg(&self.touched).arg(&self.events).arg(self.names.len());
        call.arg(&self.names).arg(&self.values).arg(&self.rows);
    }
}

/// Where a sequence has its bit: the bitmap, the byte in it, and the bit, as SETBIT counts.
fn place(sequence: u64) -> ((u64, u16), u8) {
    let byte = u16::try_from(sequence % SEEN_BITS / 8).unwrap_or_default();
    ((sequence / SEEN_BITS, byte), 0x80 >> (sequence % 8))
}

/// Exact up to 2^53, as all numbers are in Lua.
#[allow(
    clippy::cast_precision_loss,
    reason = "a switch that fires a million events a second comes so far in 285 years"
)]
fn lua_number(number: u64) -> [u8; 8] {
    (number as f64).to_le_bytes()
}

/// Which rows of a batch a later one replaces: the hashes need only that one.
fn replaced(batch: &[impl AsRef<Observation>]) -> Vec<bool> {
    let mut replaced = vec![false; batch.len()];
    let mut later: HashMap<&str, u64> = HashMap::with_capacity(batch.len());
    for (index, observation) in batch.iter().map(AsRef::as_ref).enumerate().rev() {
        match observation.change {
            Change::Set(_) => {
                let mark = later.entry(&observation.gateway).or_default();
                replaced[index] = *mark >= observation.mark;
                *mark = observation.mark.max(*mark);
            }
            // What stands before it decides whose value it finds.
            Change::Delete => drop(later.remove(&*observation.gateway)),
            Change::Nothing => {}
        }
    }
    replaced
}

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

/// A hash as Redis sends it. Bytes, since one value that is no UTF-8 must not cost the others.
type Pairs = HashMap<Vec<u8>, Vec<u8>>;

fn texts(pairs: Pairs) -> HashMap<String, String> {
    pairs
        .into_iter()
        .map(|(name, value)| (text(name), text(value)))
        .collect()
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap_or_else(|e| String::from_utf8_lossy(e.as_bytes()).into_owned())
}

/// RFC 3339 with milliseconds.
fn stamp(at: Timestamp) -> String {
    format!("{at:.3}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_several_rows_of_a_gateway_the_newest_is_written() {
        let row = Row {
            profile: None,
            state: None,
            ping: None,
            status: None,
            phrase: None,
            since: Timestamp::UNIX_EPOCH,
            seen: Timestamp::UNIX_EPOCH,
            revision: None,
            stale: false,
            ..Row::unknown(Timestamp::UNIX_EPOCH)
        };
        let set = || Change::Set(Arc::new(row.clone()));
        let batch = [
            ("a", 1, set()),
            ("b", 2, set()),
            ("a", 3, set()),
            ("a", 4, Change::Nothing),
            ("c", 6, set()),
            ("c", 5, set()),
            ("d", 7, set()),
            ("d", 8, Change::Delete),
            ("d", 8, set()),
        ];
        let batch = batch.map(|(gateway, mark, change)| Observation {
            sequence: mark,
            gateway: gateway.into(),
            change,
            mark,
            json: Bytes::new(),
            announce: true,
        });
        let replaced = replaced(&batch);
        let left: Vec<_> = (0..batch.len()).filter(|index| !replaced[*index]).collect();
        assert_eq!(left, [1, 2, 3, 4, 5, 6, 7, 8], "all but the first");
    }
}
