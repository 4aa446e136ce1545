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

use crate::keys::{self, StatusKeys};
use crate::redis::{Burst, Store, StoreError};
use crate::registration::{Calls, PingStatus, State};

/// A script of ours; the shared part stands before each.
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

/// A write has nobody waiting for it, so it may take longer than a request's read before it is tried again.
const WRITE_TIMEOUT: Duration = Duration::from_secs(5);
/// Items in one script call, so that Redis's other clients wait a few milliseconds at most.
const SCRIPT_CHUNK: usize = 500;
/// The same in bytes, for rows and values that a carrier made long.
const SCRIPT_CHUNK_BYTES: usize = 1024 * 1024;
/// Sequences in one block of bits that say which had their effect: few enough that a lone event costs little.
const SEEN_BITS: u64 = 512;

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
    burst: Arc<Burst>,
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
    /// Whether calls can go over it; `None` when nobody knows.
    #[serde(default)]
    pub usable: Option<bool>,
    /// When that last changed; `None` in rows of a trunkd that did not tell it.
    #[serde(default)]
    pub usable_since: Option<Timestamp>,
    /// Why it is not usable, if that is known.
    #[serde(default)]
    pub reason: Option<String>,
    /// Seconds between two pings, 0 for none; `None` until a snapshot tells it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ping_every: Option<u32>,
    /// The round trip of the last answered ping.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ping_ms: Option<f64>,
    /// A ping has been under way for longer than one can take: `ping` is no longer true.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub ping_stuck: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub calls: Option<Calls>,
    /// The last challenge that FreeSWITCH did not answer, until the gateway is registered, or started anew.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub challenge: Option<Challenge>,
    /// When FreeSWITCH tries to register again, while it waits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_at: Option<Timestamp>,
    /// The switch is out of reach: this is its last known state.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub stale: bool,
    /// Who made the row knew nothing of the gateway before `usable_since`: if Redis does, that stands.
    #[serde(skip)]
    pub is_first_sight: bool,
}

/// A challenge that FreeSWITCH did not answer, since its sender is none of the gateway's hosts (FACTS 45).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Challenge {
    /// The sender's address, where an event tells it: FreeSWITCH 1.11 does not.
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
            usable: None,
            usable_since: Some(at),
            reason: None,
            ping_every: None,
            ping_ms: None,
            ping_stuck: false,
            calls: None,
            challenge: None,
            retry_at: None,
            stale: false,
            is_first_sight: false,
        }
    }

    pub fn to_json(&self) -> String {
        // Strings, numbers, times and booleans always serialize.
        serde_json::to_string(self).unwrap_or_default()
    }
}

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

    /// Tells whenever Redis was found again after it was lost: it may lack what it had acknowledged.
    pub fn recovered(&self) -> watch::Receiver<u64> {
        self.store.recovered()
    }

    /// A connection found the switch in this run. Answers the newest sequence that Redis reflects of it.
    pub async fn begin(&self, core_uuid: &str) -> Result<u64, StoreError> {
        self.begin_run(core_uuid, false).await
    }

    /// The sequences that Redis knows of this run are not to be believed: what the rows reflect is forgotten.
    pub async fn distrust(&self, core_uuid: &str) -> Result<(), StoreError> {
        self.begin_run(core_uuid, true).await.map(drop)
    }

    async fn begin_run(&self, core_uuid: &str, forget: bool) -> Result<u64, StoreError> {
        self.run("begin", script!("begin"), |call| {
            call.arg(core_uuid).arg(u8::from(forget));
        })
        .await
    }

    /// Whether events go to a channel or a list, beside the hashes.
    pub fn announces(&self) -> bool {
        self.keys.channel.is_some() || self.keys.list.is_some()
    }

    /// Writes a batch of events, in order; safe to repeat.
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

    /// Sets right what differed from a snapshot that counts as of `sequence`. Answers how many values were corrected; `None` when there is a newer
    /// snapshot, or run.
    pub async fn correct(
        &self,
        core_uuid: &str,
        sequence: u64,
        items: &[Correction],
    ) -> Result<Option<u64>, StoreError> {
        let (mut corrected, mut rest) = (0, items);
        loop {
            let (part, after) = rest.split_at(chunk(rest));
            let what = if after.is_empty() { "last" } else { "part" };
            let Some(done) = self.correct_part(core_uuid, sequence, what, part).await? else {
                return Ok(None);
            };
            corrected += done;
            if after.is_empty() {
                return Ok(Some(corrected));
            }
            rest = after;
        }
    }

    /// The same of a few gateways that were asked for one by one.
    pub async fn correct_some(
        &self,
        core_uuid: &str,
        sequence: u64,
        items: &[Correction],
    ) -> Result<Option<u64>, StoreError> {
        self.correct_part(core_uuid, sequence, "some", items).await
    }

    async fn correct_part(
        &self,
        core_uuid: &str,
        sequence: u64,
        what: &str,
        items: &[Correction],
    ) -> Result<Option<u64>, StoreError> {
        let done: i64 = self
            .run("correct", script!("correct"), |call| {
                call.arg(core_uuid).arg(sequence).arg(what);
                for item in items {
                    let (op, row, value) = match &item.op {
                        CorrectionOp::Set { row, value } => ("S", row.as_str(), value.as_deref().unwrap_or_default()),
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

    /// Notes that the switch is connected, or no longer; another trunkd that sees it keeps it connected.
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

/// How many items go into the next script call.
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

/// A batch as `apply.lua` takes it, which says what is what.
struct Packed<'a> {
    touched: Vec<u8>,
    events: Vec<u8>,
    names: Vec<&'a str>,
    values: Vec<&'a [u8]>,
    rows: Vec<String>,
}

/// What `apply.lua` does with an event.
const SET: u8 = 1;
const DELETE: u8 = 2;
const NOTE: u8 = 3;
/// [`Row::is_first_sight`].
const FIRST_SIGHT: u8 = 0x10;
/// [`Observation::is_odd`].
const ODD: u8 = 0x20;

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
        let mut blocks: BTreeMap<u64, u16> = announced.map(|event| (event.sequence / SEEN_BITS, 0)).collect();
        for (number, (block, of)) in (1..).zip(&mut blocks) {
            *of = number;
            packed.touched.extend(lua_number(*block));
        }
        let mut numbers: HashMap<&str, u16> = HashMap::new();
        for (event, replaced) in batch.iter().map(AsRef::as_ref).zip(replaced(batch)) {
            let op = match &event.change {
                Change::Set(row) | Change::Note(row) if !replaced => {
                    packed.rows.push(row.to_json());
                    let first = if row.is_first_sight { FIRST_SIGHT } else { 0 };
                    let is_set = matches!(event.change, Change::Set(_));
                    first | if is_set { SET } else { NOTE }
                }
                Change::Delete => DELETE,
                Change::Set(_) | Change::Note(_) | Change::Nothing => 0,
            };
            let which = match op {
                0 => 0,
                _ => *numbers.entry(&event.gateway).or_insert_with(|| {
                    packed.names.push(&event.gateway);
                    u16::try_from(packed.names.len()).unwrap_or(u16::MAX)
                }),
            };
            let block = if event.announce {
                blocks[&(event.sequence / SEEN_BITS)]
            } else {
                0
            };
            // Lua counts from 1.
            let byte = u8::try_from(event.sequence % SEEN_BITS / 8 + 1).unwrap_or_default();
            packed.events.extend(lua_number(event.sequence));
            packed.events.extend(lua_number(event.mark));
            packed.events.extend(which.to_le_bytes());
            packed.events.push(if event.is_odd { op | ODD } else { op });
            packed.events.extend(block.to_le_bytes());
            packed.events.extend([byte, 1 << (event.sequence % 8)]);
            let goes_somewhere = op & !FIRST_SIGHT == SET || (event.announce && announces);
            packed.values.push(if goes_somewhere { &event.json } else { &[] });
        }
        packed
    }

    fn write(&self, call: &mut Cmd) {
        call.arg(&self.touched).arg(&self.events).arg(self.names.len());
        call.arg(&self.names).arg(&self.values).arg(&self.rows);
    }
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
            // A row that follows holds it; one that stands before it has the value.
            Change::Note(_) => {
                let later = later.get(&*observation.gateway);
                replaced[index] = later.is_some_and(|mark| *mark >= observation.mark);
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
        let row = Row::unknown(Timestamp::UNIX_EPOCH);
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
            ("e", 9, Change::Note(Arc::new(row.clone()))),
            ("e", 9, set()),
            ("e", 9, Change::Note(Arc::new(row.clone()))),
        ];
        let batch = batch.map(|(gateway, mark, change)| Observation {
            sequence: mark,
            gateway: gateway.into(),
            change,
            mark,
            json: Bytes::new(),
            announce: true,
            is_odd: false,
        });
        let replaced = replaced(&batch);
        let left: Vec<_> = (0..batch.len()).filter(|index| !replaced[*index]).collect();
        assert_eq!(
            left,
            [1, 2, 3, 4, 5, 6, 7, 8, 10, 11],
            "all but the first, and a note before a row"
        );
    }
}
