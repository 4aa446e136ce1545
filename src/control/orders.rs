//! What operators ask of the changing of switches. In Redis, so that it holds for every trunkd.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::keys;
use crate::redis::{Store, StoreError};

/// What is asked at the moment: the hash `trunkd:control`.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Control {
    /// Nothing is changed on any switch, since then.
    pub paused: Option<String>,
    /// Nothing is changed on these, since then.
    pub paused_switches: BTreeMap<String, String>,
    /// switch → what `trunkd apply` ordered for it.
    pub orders: BTreeMap<String, Order>,
}

/// That something was ordered by `trunkd apply`. What, is in [`OrderContent`], which is read once: it names each gateway.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    pub id: String,
    pub at: Timestamp,
    /// When it was carried out. It stays for a while then, so that each of several trunkd learns what was approved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub done_at: Option<Timestamp>,
}

/// Do exactly what was shown, once, whatever the mode and pauses say.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderContent {
    /// gateway → the change that was shown.
    #[serde(default)]
    pub actions: BTreeMap<String, OrderedAction>,
    /// Gateways that are served no more, unless they are wanted again: what was held back when that was shown.
    #[serde(default)]
    pub release: BTreeSet<String>,
    /// For switches of no settings, of which nobody knows what they run: the states of Redis that were held back when that was shown
    /// ([`Report::state`](Report::state)). A trunkd that holds one of these back serves it from now on.
    #[serde(default)]
    pub states: BTreeSet<String>,
}

/// One change that was shown: a kill without `to`, a start without `from`, else a restart.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderedAction {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Version>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<Version>,
}

/// Which gateway of a name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Version {
    pub profile: String,
    /// `None`: it is not ours.
    pub revision: Option<String>,
}

impl Order {
    /// Not carried out yet; or a moment ago by another trunkd, so that what it approved holds here too.
    pub fn is_current(&self, now: Timestamp) -> bool {
        self.done_at
            .is_none_or(|done_at| now.duration_since(done_at) <= DONE_ORDER_LASTS)
    }
}

impl Control {
    pub fn is_paused(&self, switch: &str) -> bool {
        self.paused_since(switch).is_some()
    }

    /// Since when, as it was written down, if it is.
    pub fn paused_since(&self, switch: &str) -> Option<&str> {
        let own = self.paused_switches.get(switch);
        self.paused.as_ref().or(own).map(String::as_str)
    }
}

/// Stands in the place of a switch's name for those that ask for their configuration and are in no settings: an order for them approves removals.
pub const OTHER_SWITCHES: &str = "*";

/// How long an order is kept that was carried out. Long enough for clocks that differ; short, since what it approved holds for a trunkd that
/// starts within that time.
const DONE_ORDER_LASTS: SignedDuration = SignedDuration::from_mins(2);
/// What an order says goes with it; this is for one that nobody takes away. Long enough for a trunkd that was away to learn of it.
const CONTENT_LASTS: Duration = Duration::from_secs(7 * 24 * 3600);

const PAUSED: &str = "paused";
const PAUSED_SWITCH: &str = "paused:";
const ORDER: &str = "apply:";

impl Store {
    /// What is asked at the moment. A field that this version does not know is left alone.
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
            } else if let (Some(switch), Ok(order)) = (field.strip_prefix(ORDER), serde_json::from_str(&value)) {
                control.orders.insert(switch.to_owned(), order);
            }
        }
        Ok(control)
    }

    /// Stops the changing of one switch, or of all.
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

    /// Takes a pause back. Resuming all takes the pauses of single switches back too.
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

    /// Orders this for a switch; answers the order's id.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn order(&self, switch: &str, content: &OrderContent) -> Result<String, StoreError> {
        let order = Order {
            id: format!("{:016x}", rand::random::<u64>()),
            at: Timestamp::now(),
            done_at: None,
        };
        let head = serde_json::to_string(&order).unwrap_or_default();
        let body = serde_json::to_string(&(&order.id, content)).unwrap_or_default();
        self.write("order", self.timeout(), async |connection| {
            redis::pipe()
                .atomic()
                .cmd("SET")
                .arg(keys::order(switch))
                .arg(&body)
                .arg("EX")
                .arg(CONTENT_LASTS.as_secs())
                .ignore()
                .hset(keys::CONTROL, format!("{ORDER}{switch}"), &head)
                .ignore()
                .exec_async(connection)
                .await
        })
        .await?;
        Ok(order.id)
    }

    /// What was ordered; `None` when that is not there any more.
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

    /// The order was carried out. A later one for the same switch stays as it is.
    pub(crate) async fn order_done(&self, switch: &str, order: &Order) -> Result<(), StoreError> {
        let done = Order {
            done_at: Some(Timestamp::now()),
            ..order.clone()
        };
        let value = serde_json::to_string(&done).unwrap_or_default();
        self.replace_order("order done", switch, &order.id, &value).await
    }

    /// The order is taken back, or was carried out long ago. A later one for the same switch stays.
    pub(crate) async fn drop_order(&self, switch: &str, id: &str) -> Result<(), StoreError> {
        self.replace_order("drop order", switch, id, "").await
    }

    /// With nothing, when `value` is empty.
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

/// The names of all fields that say anything of these switches, or of all.
pub(crate) fn fields_of(switches: impl Iterator<Item = String>) -> impl Iterator<Item = String> {
    let each = switches.flat_map(|switch| [pause_field(Some(&switch)), format!("{ORDER}{switch}")]);
    std::iter::once(pause_field(None)).chain(each)
}

fn pause_field(switch: Option<&str>) -> String {
    switch.map_or_else(|| PAUSED.to_owned(), |switch| format!("{PAUSED_SWITCH}{switch}"))
}
