//! The reports of all trunkd about changing switches: the hash `trunkd:reconcile`, one field per switch
//! and trunkd.
//!
//! No report hides another, because a hold of any trunkd affects what it serves. Each field carries the
//! time when it was written, by Redis's clock, so that reports of a dead trunkd are ignored.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::conflict::{Conflict, known_conflicts};
use crate::carriers::{CarrierOut, Parked};
use crate::keys;
use crate::language::{Language, Message};
use crate::redis::{Store, StoreError, script_with_now, since_epoch};
use crate::shown::shown;

/// The report of one trunkd about one switch.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Report {
    /// `apply`, `observe` or `off`.
    pub mode: String,
    pub paused: bool,
    /// Whether this trunkd holds the lease of the switch.
    pub leads: bool,
    /// Whether it knows what runs on the switch. If not, the counts are 0.
    pub knows: bool,
    /// Changes that the plan would still make.
    pub start: usize,
    pub restart: usize,
    pub kill: usize,
    pub unchanged: usize,
    /// Why the plan is held, or a state is not served.
    pub held: Option<String>,
    /// The same in Chinese; an older trunkd has none.
    pub held_zh: Option<String>,
    /// Gateways that are served although Redis doesn't want them.
    pub held_back: BTreeSet<String>,
    /// gateway → the domain that it was removed from, if known. Of those that are to be killed or are held
    /// back.
    pub removed_from: BTreeMap<String, String>,
    /// Identifies the state of Redis behind this report: two trunkd with the same value have read the same
    /// gateways.
    pub state: Option<String>,
    /// How many gateways may still be removed without approval.
    pub removals_left: Option<usize>,
    /// What an operator must fix.
    #[serde(deserialize_with = "known_conflicts")]
    pub conflicts: Vec<Conflict>,
    /// gateway → why the last action on it failed.
    pub troubles: BTreeMap<String, String>,
    /// gateway → the revision that it should run with, if it doesn't.
    pub pending: BTreeMap<String, String>,
    /// Carrier → what waits for its pace.
    pub waiting: BTreeMap<String, Waiting>,
    /// Edited gateways that have to work within a while.
    pub verifying: BTreeSet<String>,
    /// gateway → how it is parked.
    pub parked: BTreeMap<String, Parked>,
    /// Carrier → since when most of its gateways fail together.
    pub carriers_out: BTreeMap<String, CarrierOut>,
    /// The last order that it processed.
    pub last_order: Option<OrderReport>,
}

/// What waits for the pace of a carrier.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Waiting {
    /// REGISTERs per second of the carrier; `None` if it only limits those without an answer.
    pub per_second: Option<u32>,
    pub gateways: BTreeSet<String>,
}

impl Waiting {
    /// For `/health`: `1288 gateways wait for sip.example.net, which gets 5 REGISTERs a second`.
    pub fn text(&self, carrier: &str) -> String {
        let count = self.gateways.len();
        let noun = if count == 1 { "gateway waits" } else { "gateways wait" };
        match self.per_second {
            Some(pace) => format!(
                "{count} {noun} for {}, which gets {pace} REGISTERs a second",
                shown(carrier)
            ),
            None => format!("{count} {noun} for answers of {}", shown(carrier)),
        }
    }
}

/// The progress of an order.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct OrderReport {
    pub id: String,
    /// Whether this trunkd has finished with it.
    pub done: bool,
    /// Changes that are still to be made.
    pub left: usize,
    /// gateway → why its change was not made.
    pub undone: BTreeMap<String, String>,
}

/// The reports of all running trunkd, by switch and trunkd.
#[derive(Debug, Clone, Default)]
pub struct Reports(BTreeMap<String, BTreeMap<String, Report>>);

/// A report that was not written for this long is from a dead trunkd. A running one writes three times
/// as often.
pub const REPORT_LASTS: Duration = Duration::from_secs(15);

impl Report {
    /// With this hold, if any.
    pub(crate) fn holding(self, held: Option<Message>) -> Self {
        let text = |language| Some(held.as_ref()?.in_language(language).to_owned());
        Self {
            held: text(Language::En),
            held_zh: text(Language::Zh),
            ..self
        }
    }

    /// Why the plan is held, in both languages.
    pub fn held(&self) -> Option<Message> {
        let held = self.held.as_ref()?;
        Some(Message::new(held, self.held_zh.as_ref().unwrap_or(held)))
    }
}

impl Reports {
    /// By trunkd.
    pub fn of(&self, switch: &str) -> impl Iterator<Item = (&str, &Report)> {
        let found = self.0.get(switch).into_iter().flatten();
        found.map(|(holder, report)| (holder.as_str(), report))
    }

    /// The report of the lease holder, or else of a trunkd that knows what the switch runs.
    pub fn leading(&self, switch: &str) -> Option<(&str, &Report)> {
        self.of(switch).max_by_key(|(_, report)| (report.leads, report.knows))
    }

    /// Reports with a hold.
    pub fn holding(&self, switch: &str) -> impl Iterator<Item = (&str, &Report)> {
        self.of(switch).filter(|(_, report)| report.held.is_some())
    }

    /// Whether another trunkd than `holder` holds the lease, knows what the switch runs, holds nothing, and
    /// serves this state.
    pub fn agree(&self, switch: &str, holder: &str, state: &str) -> bool {
        let is_it = |(other, report): (&str, &Report)| {
            let is_well = report.leads && report.knows && report.held.is_none();
            other != holder && is_well && report.state.as_deref() == Some(state)
        };
        self.of(switch).any(is_it)
    }

    pub fn insert(&mut self, switch: &str, holder: &str, report: Report) {
        let of_switch = self.0.entry(switch.to_owned()).or_default();
        of_switch.insert(holder.to_owned(), report);
    }

    /// One report per switch: the leading one, with the hold of another trunkd if it has none itself.
    pub fn merged(self) -> BTreeMap<String, Report> {
        let merge = |switch: &String| {
            let mut merged = self.leading(switch)?.1.clone();
            if merged.held.is_none()
                && let Some((holder, report)) = self.holding(switch).next()
            {
                let holder = shown(holder);
                let add = |held: &Option<String>, said: String| held.as_ref().map(|held| format!("{held}{said}"));
                merged.held = add(&report.held, format!(", says trunkd {holder}"));
                merged.held_zh = add(&report.held_zh, format!("（来自 trunkd {holder}）"));
            }
            Some((switch.clone(), merged))
        };
        self.0.keys().filter_map(merge).collect()
    }
}

impl Store {
    /// One report per switch, merged from all running trunkd.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn read_reports(&self) -> Result<BTreeMap<String, Report>, StoreError> {
        Ok(self.read_all_reports().await?.merged())
    }

    /// The reports of all running trunkd.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn read_all_reports(&self) -> Result<Reports, StoreError> {
        let (time, fields): ((u64, u64), BTreeMap<String, String>) = self
            .read("read reports", self.timeout(), async |connection| {
                redis::pipe()
                    .cmd("TIME")
                    .cmd("HGETALL")
                    .arg(keys::RECONCILE)
                    .query_async(connection)
                    .await
            })
            .await?;
        let now = since_epoch(time);
        let mut reports = Reports::default();
        for (field, value) in fields {
            let Ok(written) = serde_json::from_str::<Written>(&value) else {
                continue;
            };
            // A report without a trunkd and a time, from an older version. Newer ones delete it.
            let (switch, holder) = field.split_once(' ').unwrap_or((&field, ""));
            let is_alive =
                holder.is_empty() || now.saturating_sub(Duration::from_millis(written.written_ms)) <= REPORT_LASTS;
            if is_alive {
                reports.insert(switch, holder, written.report);
            }
        }
        Ok(reports)
    }

    /// Writes a report with the time. `clean` also deletes reports of dead trunkd.
    pub(crate) async fn write_report(
        &self,
        switch: &str,
        holder: &str,
        report: &Report,
        clean: bool,
    ) -> Result<(), StoreError> {
        static WRITE: LazyLock<redis::Script> = LazyLock::new(|| {
            script_with_now(
                "local json = string.sub(ARGV[2], 1, -2) .. ',\"written_ms\":' .. string.format('%d', now) .. '}'
                 redis.call('HSET', KEYS[1], ARGV[1], json)
                 redis.call('HDEL', KEYS[1], ARGV[3])
                 if ARGV[5] == '0' then return end
                 for _, field in ipairs(redis.call('HKEYS', KEYS[1])) do
                   if string.sub(field, 1, #ARGV[3] + 1) == ARGV[3] .. ' ' and field ~= ARGV[1] then
                     local written = string.match(redis.call('HGET', KEYS[1], field), '\"written_ms\":(%d+)}$')
                     if not written or now - tonumber(written) > 4 * tonumber(ARGV[4]) then
                       redis.call('HDEL', KEYS[1], field)
                     end
                   end
                 end",
            )
        });
        let json = serde_json::to_string(report).unwrap_or_default();
        let mut call = WRITE.key(keys::RECONCILE);
        call.arg(format!("{switch} {holder}"))
            .arg(json)
            .arg(switch)
            .arg(REPORT_LASTS.as_millis())
            .arg(u8::from(clean));
        self.write("write report", self.timeout(), async |connection| {
            call.invoke_async::<()>(connection).await
        })
        .await
    }

    /// Deletes the report about a switch.
    pub(crate) async fn drop_report(&self, switch: &str, holder: &str) -> Result<(), StoreError> {
        self.write("drop report", self.timeout(), async |connection| {
            redis::cmd("HDEL")
                .arg(keys::RECONCILE)
                .arg(format!("{switch} {holder}"))
                .exec_async(connection)
                .await
        })
        .await
    }
}

/// As it is stored.
#[derive(Deserialize)]
struct Written {
    #[serde(flatten)]
    report: Report,
    #[serde(default)]
    written_ms: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reports(all: &[(&str, Report)]) -> Reports {
        let of_switch = all
            .iter()
            .map(|(holder, report)| ((*holder).to_owned(), report.clone()));
        Reports([("fs1".to_owned(), of_switch.collect())].into())
    }

    #[test]
    fn the_lease_holder_reports_a_switch_and_the_holds_of_others_are_added() {
        let leads = Report {
            leads: true,
            knows: true,
            unchanged: 5,
            ..Report::default()
        };
        let holds = Report {
            held: Some("held: removes 15 of 20 (more than 5)".to_owned()),
            held_zh: Some("已暂缓：要删除 20 个中的 15 个（超过 5 个）".to_owned()),
            ..Report::default()
        };
        let merged = reports(&[("a", holds.clone()), ("b", leads.clone())]).merged();
        assert_eq!(merged["fs1"].unchanged, 5);
        assert_eq!(
            merged["fs1"].held.as_deref(),
            Some("held: removes 15 of 20 (more than 5), says trunkd a")
        );
        merged["fs1"].held().unwrap().check();
        let both = Report { leads: true, ..holds };
        let merged = reports(&[("a", both.clone()), ("b", Report::default())]).merged();
        assert_eq!(merged["fs1"], both);
    }

    #[test]
    fn what_an_older_trunkd_wrote_can_be_read() {
        let json = r#"{"mode":"apply","paused":false,"start":1,"restart":0,"kill":0,"unchanged":2,"held":null,"conflicts":[],"troubles":{},
            "pending":{},"order":"0123","at":"2026-11-25T10:00:00Z"}"#;
        let written: Written = serde_json::from_str(json).unwrap();
        assert_eq!(
            (written.report.start, written.report.unchanged, written.written_ms),
            (1, 2, 0)
        );
    }
}
