//! Orders and pauses of operators. In Redis, so that they apply to every trunkd.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::jobs::Job;
use crate::keys;
use crate::redis::{Store, StoreError};

/// The hash `trunkd:control`.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Control {
    /// All switches are paused, since then.
    pub paused: Option<String>,
    /// These switches are paused, since then.
    pub paused_switches: BTreeMap<String, String>,
    /// These switches are drained.
    pub drained: BTreeMap<String, Drained>,
    /// switch → the order of `trunkd apply`.
    pub orders: BTreeMap<String, Order>,
    /// switch → its jobs, oldest first.
    pub jobs: BTreeMap<String, Vec<Job>>,
}

/// A switch gets none of the gateways that run on exactly one, and loses those that it has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Drained {
    pub at: Timestamp,
    /// Who asked for it, as in the history.
    pub by: String,
}

/// The head of an order of `trunkd apply`. [`OrderContent`] has the gateways, and is read once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    pub id: String,
    pub at: Timestamp,
    /// Who approved it, as in the history. `None` in orders of an older trunkd.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// When it was carried out. It then stays for a while, so that every trunkd sees what was approved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub done_at: Option<Timestamp>,
}

/// What was shown, to be done once, regardless of mode and pauses.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderContent {
    /// gateway → the change that was shown.
    #[serde(default)]
    pub actions: BTreeMap<String, OrderedAction>,
    /// Gateways to stop serving unless they are wanted again: what was held back when shown.
    #[serde(default)]
    pub release: BTreeSet<String>,
    /// For switches that are not in the settings: the states of Redis that were held back when shown
    /// ([`Report::state`](super::Report::state)). A trunkd that holds one of these back serves it from
    /// now on.
    #[serde(default)]
    pub states: BTreeSet<String>,
}

/// A change that was shown: without `to` a kill, without `from` a start, else a restart.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderedAction {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Version>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<Version>,
}

/// A version of a gateway.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Version {
    pub profile: String,
    /// `None`: not ours.
    pub revision: Option<String>,
}

impl Order {
    /// Whether it is not carried out yet, or was carried out recently by another trunkd, so that its
    /// approvals apply here too.
    pub fn is_current(&self, now: Timestamp) -> bool {
        self.done_at
            .is_none_or(|done_at| now.duration_since(done_at) <= DONE_ORDER_LASTS)
    }
}

impl Control {
    pub fn is_paused(&self, switch: &str) -> bool {
        self.paused_since(switch).is_some()
    }

    /// The start of the pause, if paused.
    pub fn paused_since(&self, switch: &str) -> Option<&str> {
        let own = self.paused_switches.get(switch);
        self.paused.as_ref().or(own).map(String::as_str)
    }
}

/// Stands for all switches that ask for their configuration but are not in the settings. An order for
/// them approves removals.
pub const OTHER_SWITCHES: &str = "*";

/// How long a finished order is kept. Long enough for clocks that differ; short, because its approvals
/// apply to a trunkd that starts within that time.
const DONE_ORDER_LASTS: SignedDuration = SignedDuration::from_mins(2);
/// The content is deleted with its order. This is the expiry if nobody deletes it, long enough for a
/// trunkd that was away.
const CONTENT_LASTS: Duration = Duration::from_secs(7 * 24 * 3600);

const PAUSED: &str = "paused";
const PAUSED_SWITCH: &str = "paused:";
const DRAINED: &str = "drained:";
const ORDER: &str = "apply:";

impl Store {
    /// Reads orders and pauses. Fields that this version doesn't know are left alone.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn read_control(&self) -> Result<Control, StoreError> {
        let fields = self.read_control_fields().await?;
        let mut control = Control::default();
        for (field, value) in fields {
            if field == PAUSED {
                control.paused = Some(value);
            } else if let Some(switch) = field.strip_prefix(PAUSED_SWITCH) {
                control.paused_switches.insert(switch.to_owned(), value);
            } else if let (Some(switch), Ok(drained)) = (field.strip_prefix(DRAINED), serde_json::from_str(&value)) {
                control.drained.insert(switch.to_owned(), drained);
            } else if let (Some(switch), Ok(order)) = (field.strip_prefix(ORDER), serde_json::from_str(&value)) {
                control.orders.insert(switch.to_owned(), order);
            } else if let Some((switch, job)) = Job::parse(&field, &value) {
                control.jobs.entry(switch.to_owned()).or_default().push(job);
            }
        }
        for jobs in control.jobs.values_mut() {
            jobs.sort_by_key(|job| job.at);
        }
        Ok(control)
    }

    /// Pauses one switch, or all.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn pause(&self, switch: Option<&str>, since: Timestamp) -> Result<(), StoreError> {
        let field = pause_field(switch);
        self.write("pause", self.timeout(), async |connection| {
            redis::cmd("HSET")
                .arg(keys::CONTROL)
                .arg(field)
                .arg(since.to_string())
                .exec_async(connection)
                .await
        })
        .await
    }

    /// Ends a pause. Resuming all also ends the pauses of single switches.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn resume(&self, switch: Option<&str>) -> Result<(), StoreError> {
        let mut fields = vec![pause_field(switch)];
        if switch.is_none() {
            let control = self.read_control().await?;
            fields.extend(control.paused_switches.keys().map(|switch| pause_field(Some(switch))));
        }
        self.write("resume", self.timeout(), async |connection| {
            redis::cmd("HDEL")
                .arg(keys::CONTROL)
                .arg(fields)
                .exec_async(connection)
                .await
        })
        .await
    }

    /// Drains a switch. False if it is drained already.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn drain(&self, switch: &str, drained: &Drained) -> Result<bool, StoreError> {
        let value = serde_json::to_string(drained).unwrap_or_default();
        self.write("drain", self.timeout(), async |connection| {
            redis::cmd("HSETNX")
                .arg(keys::CONTROL)
                .arg(drained_field(switch))
                .arg(&value)
                .query_async(connection)
                .await
        })
        .await
    }

    /// Ends a drain. False if there was none.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn undrain(&self, switch: &str) -> Result<bool, StoreError> {
        self.write("end a drain", self.timeout(), async |connection| {
            redis::cmd("HDEL")
                .arg(keys::CONTROL)
                .arg(drained_field(switch))
                .query_async(connection)
                .await
        })
        .await
    }

    /// Writes an order for a switch, approved by `by`, and returns its id.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn order(&self, switch: &str, content: &OrderContent, by: &str) -> Result<String, StoreError> {
        let order = Order {
            id: format!("{:016x}", rand::random::<u64>()),
            at: Timestamp::now(),
            by: Some(by.to_owned()),
            done_at: None,
        };
        let head = serde_json::to_string(&order).unwrap_or_default();
        let body = serde_json::to_string(&(&order.id, content)).unwrap_or_default();
        // A script, because the documented ACL user may not use MULTI.
        static WRITE: LazyLock<redis::Script> = LazyLock::new(|| {
            redis::Script::new(
                "redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
                 redis.call('SET', KEYS[2], ARGV[3], 'EX', ARGV[4])",
            )
        });
        let mut call = WRITE.key(keys::CONTROL);
        call.key(keys::order(switch))
            .arg(format!("{ORDER}{switch}"))
            .arg(&head)
            .arg(&body)
            .arg(CONTENT_LASTS.as_secs());
        self.write("order", self.timeout(), async |connection| {
            call.invoke_async::<()>(connection).await
        })
        .await?;
        Ok(order.id)
    }

    /// The content of an order; `None` if it is gone.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn read_order(&self, switch: &str, id: &str) -> Result<Option<OrderContent>, StoreError> {
        let body: Option<String> = self
            .read("read order", self.timeout(), async |connection| {
                redis::cmd("GET").arg(keys::order(switch)).query_async(connection).await
            })
            .await?;
        let content = body.and_then(|body| serde_json::from_str::<(String, OrderContent)>(&body).ok());
        Ok(content.filter(|(of, _)| of == id).map(|(_, content)| content))
    }

    /// Marks the order as carried out. A later one for the same switch is not affected.
    pub(crate) async fn order_done(&self, switch: &str, order: &Order) -> Result<(), StoreError> {
        let done = Order {
            done_at: Some(Timestamp::now()),
            ..order.clone()
        };
        let value = serde_json::to_string(&done).unwrap_or_default();
        self.replace_order("order done", switch, &order.id, &value).await
    }

    /// Deletes the order. A later one for the same switch is not affected.
    pub(crate) async fn drop_order(&self, switch: &str, id: &str) -> Result<(), StoreError> {
        self.replace_order("drop order", switch, id, "").await
    }

    /// Deletes it if `value` is empty.
    async fn replace_order(
        &self,
        operation: &'static str,
        switch: &str,
        id: &str,
        value: &str,
    ) -> Result<(), StoreError> {
        static REPLACE: LazyLock<redis::Script> = LazyLock::new(|| {
            redis::Script::new(
                "local order = redis.call('HGET', KEYS[1], ARGV[1])
                 if not order or cjson.decode(order).id ~= ARGV[2] then return end
                 if ARGV[3] ~= '' then return redis.call('HSET', KEYS[1], ARGV[1], ARGV[3]) end
                 redis.call('HDEL', KEYS[1], ARGV[1])
                 redis.call('DEL', KEYS[2])",
            )
        });
        let mut call = REPLACE.key(keys::CONTROL);
        call.key(keys::order(switch))
            .arg(format!("{ORDER}{switch}"))
            .arg(id)
            .arg(value);
        self.write(operation, self.timeout(), async |connection| {
            call.invoke_async::<()>(connection).await
        })
        .await
    }
}

/// The names of all fields about these switches, or about all.
pub(crate) fn fields_of(switches: impl Iterator<Item = String>) -> impl Iterator<Item = String> {
    let each = switches.flat_map(|switch| {
        let drained = drained_field(&switch);
        [pause_field(Some(&switch)), drained, format!("{ORDER}{switch}")]
    });
    std::iter::once(pause_field(None)).chain(each)
}

fn drained_field(switch: &str) -> String {
    format!("{DRAINED}{switch}")
}

fn pause_field(switch: Option<&str>) -> String {
    switch.map_or_else(|| PAUSED.to_owned(), |switch| format!("{PAUSED_SWITCH}{switch}"))
}
