//! What each gateway of a switch sent and was answered lately.

use std::collections::{BTreeMap, HashMap};

use serde::Deserialize;

use super::WRITE_TIMEOUT;
use super::text::text;
use crate::keys;
use crate::redis::{Store, StoreError, since_epoch};

/// Gateways in a page, so that other clients of Redis wait a few milliseconds at most.
const PAGE: usize = 1000;
const MINUTE: u64 = 60;
/// In which refusals are counted; as in `apply.lua`.
const SLOT: u64 = 10 * MINUTE;
const SLOTS_OF_AN_HOUR: u64 = 6;

/// The REGISTERs of a gateway on one switch.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Registers {
    /// Sent within the last minute.
    pub sent: f64,
    /// Refused within the last hour, by SIP status code; `other` for the codes that found no room.
    pub refused: BTreeMap<String, u64>,
}

/// Of an entry of [`keys::refusals`]. An older trunkd wrote neither.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Entry {
    /// Minute since 1970 → REGISTERs that were sent.
    sent: BTreeMap<u64, u64>,
    /// Ten minutes since 1970 → SIP status code → refusals.
    hour: BTreeMap<u64, BTreeMap<String, u64>>,
}

impl Entry {
    /// `now` in seconds since 1970.
    fn at(self, now: u64) -> Registers {
        let (minute, slot) = (now / MINUTE, now / SLOT);
        let sent = |minute: u64| self.sent.get(&minute).map_or(0.0, |sent| *sent as f64);
        // Of the minute before, the part that was within the last 60 s.
        let left = 1.0 - (now % MINUTE) as f64 / MINUTE as f64;
        let mut refused = BTreeMap::new();
        for (_, codes) in self.hour.iter().filter(|(of, _)| slot < **of + SLOTS_OF_AN_HOUR) {
            for (code, count) in codes {
                *refused.entry(code.clone()).or_default() += count;
            }
        }
        Registers {
            sent: sent(minute) + sent(minute.saturating_sub(1)) * left,
            refused,
        }
    }
}

impl Store {
    /// Every gateway of a switch that sent a REGISTER within a minute or was refused within an hour. Read
    /// page by page.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn read_registers(&self, switch: &str) -> Result<HashMap<String, Registers>, StoreError> {
        type Page = (u64, Vec<(Vec<u8>, Vec<u8>)>);
        let mut found = HashMap::new();
        let mut cursor = 0;
        loop {
            let (time, (next, page)): ((u64, u64), Page) = self
                .read("read registers", WRITE_TIMEOUT, async |connection| {
                    redis::pipe()
                        .cmd("TIME")
                        .cmd("HSCAN")
                        .arg(keys::refusals(switch))
                        .arg(cursor)
                        .arg("COUNT")
                        .arg(PAGE)
                        .query_async(connection)
                        .await
                })
                .await?;
            let now = since_epoch(time).as_secs();
            for (gateway, entry) in page {
                let registers = serde_json::from_slice::<Entry>(&entry).unwrap_or_default().at(now);
                if registers != Registers::default() {
                    found.insert(text(gateway), registers);
                }
            }
            if next == 0 {
                return Ok(found);
            }
            cursor = next;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_older_than_a_minute_or_an_hour_counts_no_more() {
        let json = r#"{"epoch":0,"newest":9,"codes":{"403":99},"sent":{"100":6,"101":3},
            "hour":{"9":{"403":1},"10":{"403":2,"503":1}}}"#;
        let at = |now| serde_json::from_str::<Entry>(json).unwrap().at(now);
        assert_eq!(at(101 * 60).sent, 9.0);
        assert_eq!(at(101 * 60 + 30).sent, 6.0);
        assert_eq!(at(102 * 60 + 30).sent, 1.5);
        assert_eq!(at(103 * 60).sent, 0.0);
        let codes = |now| at(now).refused.into_iter().collect::<Vec<_>>();
        assert_eq!(codes(101 * 60), [("403".to_owned(), 3), ("503".to_owned(), 1)]);
        assert_eq!(codes(155 * 60), [("403".to_owned(), 2), ("503".to_owned(), 1)]);
        assert_eq!(codes(160 * 60), []);
        let older = serde_json::from_str::<Entry>(r#"{"epoch":0,"newest":9,"codes":{"403":99}}"#).unwrap();
        assert_eq!(older.at(0), Registers::default());
    }
}
