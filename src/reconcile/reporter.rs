//! The report of one switch in Redis, read by `plan`, `apply`, `status` and the other trunkd.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::sleep;

use crate::control::Report;
use crate::redis::Store;

/// Reports of dead trunkd are deleted once in this many writes.
const CLEAN_EVERY: u32 = 12;

/// Writes the report when it changes, and again at intervals. A fresh report proves that this
/// trunkd is alive, and a rewrite restores a report that Redis lost.
pub(super) struct Reporter {
    store: Store,
    switch: String,
    holder: Arc<str>,
    said: Mutex<Option<Report>>,
    writes: AtomicU32,
}

impl Reporter {
    pub(super) fn new(store: Store, switch: &str, holder: Arc<str>) -> Self {
        Self {
            store,
            switch: switch.to_owned(),
            holder,
            said: Mutex::default(),
            writes: AtomicU32::new(0),
        }
    }

    pub(super) async fn set(&self, report: Report) {
        let mut said = self.said.lock().await;
        if said.as_ref() == Some(&report) {
            return;
        }
        // If the write fails, the next beat repeats it.
        self.write(&report).await;
        *said = Some(report);
    }

    /// Writes the current report at intervals, forever.
    pub(super) async fn beat(&self, interval: Duration) {
        loop {
            sleep(interval).await;
            let said = self.said.lock().await;
            if let Some(report) = &*said {
                self.write(report).await;
            }
        }
    }

    pub(super) async fn withdraw(&self) {
        *self.said.lock().await = None;
        let _ = self.store.drop_report(&self.switch, &self.holder).await;
    }

    async fn write(&self, report: &Report) {
        let clean = self.writes.fetch_add(1, Ordering::Relaxed).is_multiple_of(CLEAN_EVERY);
        // The store logs Redis errors.
        let _ = self.store.write_report(&self.switch, &self.holder, report, clean).await;
    }
}
