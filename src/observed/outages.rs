//! The outages of a switch and of its gateways: which are open, and the entries about them.
//!
//! The hash `trunkd:outages:<switch>` follows the rows: the script opens and closes an outage only
//! if the row says so, so that each has one entry, no matter how many trunkd report it.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use redis::{Cmd, Script};
use serde::{Deserialize, Serialize};

use super::text::{Pairs, text, texts};
use super::{Observed, WRITE_TIMEOUT};
use crate::history::{Entry, History, RECORD_LUA};
use crate::keys;
use crate::redis::{Store, StoreError};

/// Items per script call: each may append to two streams.
const CHUNK: usize = 200;
const HOUR_MS: i64 = 3_600_000;

/// What is known about the outages of a gateway on a switch.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct GatewayOutages {
    pub open: Option<OpenOutage>,
    /// When the last ones began, in Unix milliseconds.
    pub recent: Vec<i64>,
}

impl GatewayOutages {
    /// How many outages began within the last hour. Flaps count one by one, up to 20.
    pub fn within_the_last_hour(&self, now_ms: i64) -> usize {
        self.recent.iter().filter(|at| now_ms - **at < HOUR_MS).count()
    }
}

/// An outage that is not over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenOutage {
    /// Its entry in the history.
    pub id: String,
    /// Unix milliseconds.
    pub since_ms: i64,
    pub reason: String,
}

/// A switch that is out of reach.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct LostSwitch {
    /// Its entry in the history.
    pub id: String,
    /// When it was last seen, in Unix milliseconds.
    pub since_ms: i64,
    /// As Redis has it.
    #[serde(skip)]
    raw: String,
}

/// What Redis knows about the outages of one switch.
#[derive(Debug, Clone, Default)]
pub struct KnownOutages {
    pub gateways: BTreeMap<String, GatewayOutages>,
    /// The switch was out of reach, and nobody recorded yet that it is back.
    pub lost: Option<LostSwitch>,
}

/// One change of what is open.
#[derive(Debug, Clone, PartialEq)]
pub struct OutageStep {
    pub gateway: String,
    pub op: OutageOp,
}

#[derive(Debug, Clone, PartialEq)]
pub enum OutageOp {
    Open {
        entry: Entry,
        since_ms: i64,
        reason: String,
    },
    Close {
        entry: Entry,
        outage: String,
    },
    /// The gateway is gone, or nothing tells any more whether it is usable. Without an id only what
    /// is older than an hour is forgotten.
    Drop {
        outage: String,
    },
}

/// The result of a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recorded {
    /// This call recorded the entry.
    pub is_new: bool,
    /// What is open now.
    pub open: Option<OpenOutage>,
}

/// A script that records entries.
macro_rules! recording {
    ($name:literal) => {{
        static SCRIPT: LazyLock<Script> = LazyLock::new(|| {
            let common = include_str!("scripts/common.lua");
            let script = include_str!(concat!("scripts/", $name, ".lua"));
            Script::new(&format!("{common}\n{RECORD_LUA}\n{script}"))
        });
        &*SCRIPT
    }};
}

impl Store {
    /// The outages of the gateways on a switch: those that are open, and those of the last hour.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn read_outages(&self, switch: &str) -> Result<KnownOutages, StoreError> {
        let (outages, lost): (Pairs, Option<Vec<u8>>) = self
            .read("read outages", WRITE_TIMEOUT, async |connection| {
                redis::pipe()
                    .hgetall(keys::outages(switch))
                    .hget(keys::meta(switch), "lost")
                    .query_async(connection)
                    .await
            })
            .await?;
        let gateways = texts(outages).into_iter();
        let gateways = gateways.map(|(name, value)| (name, serde_json::from_str(&value).unwrap_or_default()));
        let lost = lost.map(text).and_then(|raw| {
            let lost: LostSwitch = serde_json::from_str(&raw).ok()?;
            Some(LostSwitch { raw, ..lost })
        });
        Ok(KnownOutages {
            gateways: gateways.collect(),
            lost,
        })
    }
}

impl Observed {
    /// What Redis knows about the outages of this switch.
    pub async fn read_outages(&self) -> Result<KnownOutages, StoreError> {
        self.store.read_outages(&self.switch).await
    }

    /// Opens and closes outages. The results are in the order of the steps. Safe to repeat.
    pub async fn record_outages(&self, history: &History, steps: &[OutageStep]) -> Result<Vec<Recorded>, StoreError> {
        let mut recorded = Vec::with_capacity(steps.len());
        for part in steps.chunks(CHUNK) {
            let answer: Vec<Vec<u8>> = self
                .run("record outages", recording!("outages"), |call| {
                    call.arg(keys::outages(&self.switch));
                    limits(call, history);
                    call.arg(history.limits().per_gateway);
                    for step in part {
                        step.write(call, history);
                    }
                })
                .await?;
            recorded.extend(answer.chunks_exact(2).map(|item| {
                Recorded {
                    is_new: item[0] == b"1",
                    open: serde_json::from_slice(&item[1])
                        .ok()
                        .and_then(|known: GatewayOutages| known.open),
                }
            }));
        }
        Ok(recorded)
    }

    /// Records that the switch is out of reach, unless that is recorded, or a trunkd has seen the
    /// switch within `after_ms`. Returns whether an entry was recorded.
    pub async fn record_lost(
        &self,
        history: &History,
        entry: &Entry,
        seen_ms: u64,
        after_ms: u128,
    ) -> Result<bool, StoreError> {
        self.run("record outages", recording!("lost"), |call| {
            call.arg(after_ms);
            limits(call, history);
            call.arg(history.prepare(entry).entry).arg(seen_ms);
        })
        .await
    }

    /// Records that the switch is back, unless that is recorded.
    pub async fn record_back(&self, history: &History, entry: &Entry, lost: &LostSwitch) -> Result<bool, StoreError> {
        self.run("record outages", recording!("back"), |call| {
            call.arg(&lost.raw);
            limits(call, history);
            call.arg(history.prepare(entry).entry);
        })
        .await
    }
}

fn limits(call: &mut Cmd, history: &History) {
    let limits = history.limits();
    call.arg(keys::HISTORY).arg(limits.entries).arg(limits.age.as_millis());
}

impl OutageStep {
    fn write(&self, call: &mut Cmd, history: &History) {
        let (op, entry, outage, since_ms, reason) = match &self.op {
            OutageOp::Open {
                entry,
                since_ms,
                reason,
            } => ("O", Some(entry), "", *since_ms, reason.as_str()),
            OutageOp::Close { entry, outage } => ("C", Some(entry), outage.as_str(), 0, ""),
            OutageOp::Drop { outage } => ("D", None, outage.as_str(), 0, ""),
        };
        let prepared = entry.map(|entry| history.prepare(entry));
        let (of_gateway, entry) = match &prepared {
            Some(prepared) => (prepared.of_gateway.as_str(), prepared.entry.as_str()),
            None => ("", ""),
        };
        call.arg(op).arg(&self.gateway).arg(of_gateway).arg(entry);
        call.arg(outage).arg(since_ms).arg(reason);
    }
}
