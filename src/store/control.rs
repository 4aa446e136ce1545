//! What operators ask of the changing of switches, and what the reconcilers say of it. In Redis, so that it holds for every trunkd.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::{Store, StoreError, keys};

/// What is asked at the moment: the hash `trunkd:control`.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Control {
    /// Nothing is changed on any switch.
    pub paused: bool,
    /// Nothing is changed on these.
    pub paused_switches: BTreeSet<String>,
    /// switch → what `trunkd apply` ordered for it.
    pub orders: BTreeMap<String, Order>,
}

/// `trunkd apply`: carry out what is planned, once, whatever the mode and pauses say.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Order {
    pub id: String,
    pub at: Timestamp,
    /// Gateways whose removal is approved.
    #[serde(default)]
    pub removals: BTreeSet<String>,
    /// Gateways without our revision that are to be taken over.
    #[serde(default)]
    pub adopt: BTreeSet<String>,
    /// When it was carried out. It stays for a while then, so that each of several trunkd learns what was approved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub done_at: Option<Timestamp>,
}

/// What the reconciler of a switch says: a field of `trunkd:reconcile`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// `apply`, `observe` or `off`.
    pub mode: String,
    pub paused: bool,
    /// What the plan would still do.
    pub start: usize,
    pub restart: usize,
    pub kill: usize,
    pub unchanged: usize,
    /// Why the plan waits, if it does.
    pub held: Option<String>,
    /// What an operator must mend, each a sentence.
    pub conflicts: Vec<String>,
    /// gateway → why it is not as it should be.
    pub troubles: BTreeMap<String, String>,
    /// gateway → the revision that it is to run with, where that is not the one it runs with.
    pub pending: BTreeMap<String, String>,
    /// The last order that was carried out.
    pub order: Option<String>,
    /// How many more removals are done without asking.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub removals_left: Option<usize>,
    /// When this was last true.
    pub at: Option<Timestamp>,
}

impl Order {
    /// Not carried out yet; or a moment ago by another trunkd, so that what it approved holds here too.
    pub fn is_current(&self, now: Timestamp) -> bool {
        self.done_at
            .is_none_or(|done_at| now.duration_since(done_at) <= DONE_ORDER_LASTS)
    }
}

impl Report {
    /// How many changes the plan would still make.
    pub fn left(&self) -> usize {
        self.start + self.restart + self.kill
    }
}

impl Control {
    pub fn is_paused(&self, switch: &str) -> bool {
        self.paused || self.paused_switches.contains(switch)
    }
}

/// Stands in the place of a switch's name for those that ask for their configuration and are in no settings: an order for them approves removals.
pub const OTHER_SWITCHES: &str = "*";

/// How long an order is kept that was carried out. Long enough for clocks that differ; short, since what it approved holds for a trunkd that
/// starts within that time.
const DONE_ORDER_LASTS: SignedDuration = SignedDuration::from_mins(2);

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
                control.paused = true;
            } else if let Some(switch) = field.strip_prefix(PAUSED_SWITCH) {
                control.paused_switches.insert(switch.to_owned());
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
        self.write("pause", self.timeout, async |connection| {
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
            fields.extend(control.paused_switches.iter().map(|switch| pause_field(Some(switch))));
        }
        self.write("resume", self.timeout, async |connection| {
            redis::cmd("HDEL")
                .arg(keys::CONTROL)
                .arg(fields)
                .exec_async(connection)
                .await
        })
        .await
    }

    /// Orders what is planned for a switch to be carried out.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn order(&self, switch: &str, order: &Order) -> Result<(), StoreError> {
        let value = serde_json::to_string(order).unwrap_or_default();
        self.write("order", self.timeout, async |connection| {
            let field = format!("{ORDER}{switch}");
            redis::cmd("HSET")
                .arg(keys::CONTROL)
                .arg(field)
                .arg(value)
                .exec_async(connection)
                .await
        })
        .await
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
                 if ARGV[3] == '' then redis.call('HDEL', KEYS[1], ARGV[1]) else redis.call('HSET', KEYS[1], ARGV[1], ARGV[3]) end",
            )
        });
        let mut call = REPLACE.key(keys::CONTROL);
        call.arg(format!("{ORDER}{switch}")).arg(id).arg(value);
        self.write(operation, self.timeout, async |connection| {
            call.invoke_async::<()>(connection).await
        })
        .await
    }

    pub(crate) async fn write_report(&self, switch: &str, report: &Report) -> Result<(), StoreError> {
        let value = serde_json::to_string(report).unwrap_or_default();
        self.write("write report", self.timeout, async |connection| {
            redis::cmd("HSET")
                .arg(keys::RECONCILE)
                .arg(switch)
                .arg(value)
                .exec_async(connection)
                .await
        })
        .await
    }

    /// What the reconcilers say, by switch.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn read_reports(&self) -> Result<BTreeMap<String, Report>, StoreError> {
        let fields: BTreeMap<String, String> = self
            .read("read reports", self.timeout, async |connection| {
                redis::cmd("HGETALL").arg(keys::RECONCILE).query_async(connection).await
            })
            .await?;
        let reports = fields
            .into_iter()
            .filter_map(|(switch, value)| Some((switch, serde_json::from_str(&value).ok()?)));
        Ok(reports.collect())
    }
}

/// The names of all fields that say anything of these switches, or of all.
pub(super) fn fields_of(switches: impl Iterator<Item = String>) -> impl Iterator<Item = String> {
    let each = switches.flat_map(|switch| [pause_field(Some(&switch)), format!("{ORDER}{switch}")]);
    std::iter::once(pause_field(None)).chain(each)
}

fn pause_field(switch: Option<&str>) -> String {
    switch.map_or_else(|| PAUSED.to_owned(), |switch| format!("{PAUSED_SWITCH}{switch}"))
}
