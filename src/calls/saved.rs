//! What was counted, in Redis: so a trunkd that starts doesn't begin at zero, and commands can show it.
//!
//! Each trunkd counts everything itself. One of them, the holder of a lease, writes.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::switch::{Failure, GatewayCalls, Since};
use super::window::{SavedEntry, Span, Window};
use super::{CallLog, seconds};
use crate::keys;
use crate::redis::{Store, StoreError};

/// Longer than the longest window: afterwards nothing of it counts.
const LASTS: Duration = Duration::from_secs(25 * 3600);
/// Gateways in one write or read, so that other clients of Redis wait a few milliseconds at most.
const PAGE: usize = 200;
/// For one of them.
const TIMEOUT: Duration = Duration::from_secs(2);

/// The calls of one gateway on one switch.
#[derive(Serialize, Deserialize)]
struct Saved {
    at: Timestamp,
    since: Option<Timestamp>,
    complete_since: Option<Timestamp>,
    /// As [`Span::ALL`].
    windows: [Vec<SavedEntry>; Span::ALL.len()],
    last_failure: Option<Failure>,
}

impl Saved {
    fn of(calls: &GatewayCalls, since: Since) -> Self {
        Self {
            at: Timestamp::now(),
            since: since.counted,
            complete_since: since.complete,
            windows: calls.windows.each_ref().map(Window::to_saved),
            last_failure: calls.last_failure,
        }
    }

    fn into_calls(self, now: Timestamp) -> (GatewayCalls, Since) {
        let mut windows = Span::ALL.into_iter().zip(self.windows);
        let windows = Span::ALL.map(|span| {
            let (_, entries) = windows.next().unwrap_or((span, Vec::new()));
            Window::from_saved(span, entries, seconds(now))
        });
        let since = Since {
            counted: self.since,
            complete: self.complete_since,
            as_of: Some(self.at),
        };
        (GatewayCalls::restored(windows, self.last_failure), since)
    }
}

/// What Redis doesn't have yet of one switch. Goes back to the log unless it [was written](Page::written): also when
/// a stop cuts the write short.
struct Page<'a> {
    log: &'a CallLog,
    switch: &'a str,
    since: Since,
    changed: Vec<(Box<str>, GatewayCalls)>,
    forgotten: Vec<Box<str>>,
}

impl<'a> Page<'a> {
    /// `None` if Redis has everything.
    fn take(log: &'a CallLog, switch: &'a str) -> Option<Self> {
        let mut calls = log.lock(switch)?;
        let (changed, forgotten) = (calls.take_unsaved(PAGE), calls.take_forgotten(PAGE));
        let is_empty = changed.is_empty() && forgotten.is_empty();
        let since = calls.since;
        drop(calls);
        (!is_empty).then(|| Self {
            log,
            switch,
            since,
            changed,
            forgotten,
        })
    }

    fn to_pipe(&self) -> redis::Pipeline {
        let key = keys::ended_calls(self.switch);
        let mut pipe = redis::pipe();
        for (gateway, calls) in &self.changed {
            let json = serde_json::to_string(&Saved::of(calls, self.since)).unwrap_or_default();
            pipe.hset(&key, &**gateway, json).ignore();
        }
        for gateway in &self.forgotten {
            pipe.hdel(&key, &**gateway).ignore();
        }
        pipe.expire(&key, LASTS.as_secs().cast_signed()).ignore();
        pipe
    }

    fn written(mut self) {
        self.changed.clear();
        self.forgotten.clear();
    }
}

impl Drop for Page<'_> {
    fn drop(&mut self) {
        if let Some(mut calls) = self.log.lock(self.switch) {
            let changed = self.changed.iter().map(|(gateway, _)| &**gateway);
            calls.give_back(changed, std::mem::take(&mut self.forgotten));
        }
    }
}

impl CallLog {
    /// Writes what changed since the last time.
    pub(super) async fn save(&self, store: &Store, switch: &str) -> Result<(), StoreError> {
        while let Some(page) = Page::take(self, switch) {
            let pipe = page.to_pipe();
            store
                .write("save calls", TIMEOUT, async |connection| {
                    pipe.query_async::<()>(connection).await
                })
                .await?;
            page.written();
        }
        Ok(())
    }

    /// Reads all that was saved of a switch.
    pub(super) async fn restore(&self, store: &Store, switch: &str) -> Result<(), StoreError> {
        let (key, mut cursor) = (keys::ended_calls(switch), 0_u64);
        loop {
            let page = store.read("read calls", TIMEOUT, async |connection| {
                let mut scan = redis::cmd("HSCAN");
                scan.arg(&key).arg(cursor).arg("COUNT").arg(PAGE);
                scan.query_async::<(u64, Vec<(String, Vec<u8>)>)>(connection).await
            });
            let (next, page) = page.await?;
            for (gateway, json) in page {
                self.take_saved(switch, &gateway, &json);
            }
            if next == 0 {
                return Ok(());
            }
            cursor = next;
        }
    }

    /// Reads all that was saved. For a command.
    ///
    /// # Errors
    /// Redis can't be read.
    pub async fn restore_all(&self, store: &Store) -> Result<(), StoreError> {
        for switch in self.switches.keys() {
            self.restore(store, switch).await?;
        }
        Ok(())
    }

    /// Reads what was saved of a gateway, on all switches. For a command.
    ///
    /// # Errors
    /// Redis can't be read.
    pub async fn read_saved(&self, store: &Store, gateway: &str) -> Result<(), StoreError> {
        for switch in self.switches.keys() {
            let key = keys::ended_calls(switch);
            let saved = store.read("read calls", TIMEOUT, async |connection| {
                let mut get = redis::cmd("HGET");
                get.arg(&key).arg(gateway);
                get.query_async::<Option<Vec<u8>>>(connection).await
            });
            if let Some(json) = saved.await? {
                self.take_saved(switch, gateway, &json);
            }
        }
        Ok(())
    }

    /// What can't be read was not written by a trunkd of this version, and is left out.
    fn take_saved(&self, switch: &str, gateway: &str, json: &[u8]) {
        let now = Timestamp::now();
        let saved = serde_json::from_slice::<Saved>(json);
        if let (Ok(saved), Some(mut calls)) = (saved, self.lock(switch)) {
            let (restored, since) = saved.into_calls(now);
            calls.restore(gateway, restored, since);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::calls::tests::hangup;
    use crate::event_socket::Hangup;

    const DAY: u64 = 24 * 3600;

    fn call(gateway: &str) -> Hangup {
        hangup(gateway, Timestamp::UNIX_EPOCH, Some(60))
    }

    fn names(page: Option<&Page<'_>>) -> (Vec<String>, Vec<String>) {
        let page = page.unwrap();
        let changed = page.changed.iter().map(|(name, _)| name.to_string());
        let forgotten = page.forgotten.iter().map(ToString::to_string);
        (changed.collect(), forgotten.collect())
    }

    #[test]
    fn what_was_not_written_is_written_the_next_time() {
        let log = CallLog::new(["fs1".to_owned()]);
        log.lock("fs1").unwrap().add(&call("idle"), 0);
        Page::take(&log, "fs1").unwrap().written();
        assert!(Page::take(&log, "fs1").is_none(), "Redis has everything");
        let mut calls = log.lock("fs1").unwrap();
        calls.add(&call("busy"), 3 * DAY);
        calls.forget_old(3 * DAY);
        drop(calls);
        let expected = (vec!["busy".to_owned()], vec!["idle".to_owned()]);
        let page = Page::take(&log, "fs1");
        assert_eq!(names(page.as_ref()), expected);
        assert!(Page::take(&log, "fs1").is_none(), "it is being written");
        // trunkd stops in the middle, or Redis refuses it.
        drop(page);
        assert_eq!(names(Page::take(&log, "fs1").as_ref()), expected);
    }

    #[test]
    fn a_gateway_that_has_calls_again_is_not_deleted() {
        let log = CallLog::new(["fs1".to_owned()]);
        let mut calls = log.lock("fs1").unwrap();
        calls.add(&call("gw"), 0);
        calls.forget_old(3 * DAY);
        calls.add(&call("gw"), 3 * DAY);
        drop(calls);
        let expected = (vec!["gw".to_owned()], Vec::new());
        assert_eq!(names(Page::take(&log, "fs1").as_ref()), expected);
    }
}
