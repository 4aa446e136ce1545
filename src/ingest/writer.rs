//! Writes the backlog to Redis, batch by batch, in order.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::Ingest;
use super::backlog::Entry;
use super::state::{Connection, SwitchState};
use crate::backoff::Backoff;
use crate::metrics;
use crate::observed::Applied;

/// Events in one script call, so that Redis's other clients wait a few milliseconds at most.
const BATCH_EVENTS: usize = 500;
/// The same in bytes: three times the usual size of this many events.
const BATCH_BYTES: usize = 3 * 1024 * 1024;
const FIRST_RETRY: Duration = Duration::from_millis(100);
const MAX_RETRY: Duration = Duration::from_secs(2);

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Flushed {
    /// Nothing waits any more.
    All,
    /// A batch was written, or can be tried again right away.
    More,
    Failed,
}

/// A batch that is being written. What is still in it when it is dropped goes back to the backlog:
/// writing a batch twice has one effect.
struct PendingBatch<'a> {
    state: &'a Mutex<SwitchState>,
    entries: Vec<Entry>,
}

impl<'a> PendingBatch<'a> {
    fn take(state: &'a Mutex<SwitchState>) -> Self {
        let mut guard = state.lock().unwrap_or_else(PoisonError::into_inner);
        let entries = guard.backlog.take(BATCH_EVENTS, BATCH_BYTES);
        if !entries.is_empty() {
            guard.writing_since.get_or_insert_with(Instant::now);
        }
        drop(guard);
        Self { state, entries }
    }

    fn written(mut self) -> Vec<Entry> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).writing_since = None;
        std::mem::take(&mut self.entries)
    }
}

impl Drop for PendingBatch<'_> {
    fn drop(&mut self) {
        if !self.entries.is_empty() {
            let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            state.backlog.put_back(std::mem::take(&mut self.entries));
        }
    }
}

impl Ingest {
    pub(super) async fn run_writer(&self) {
        let mut backoff = Backoff::new(FIRST_RETRY, MAX_RETRY);
        loop {
            match self.flush().await {
                Flushed::All => {
                    backoff.reset();
                    self.work.notified().await;
                }
                Flushed::More => backoff.reset(),
                Flushed::Failed => sleep(backoff.delay()).await,
            }
        }
    }

    /// Writes all that waits, or until Redis fails.
    pub(super) async fn flush_all(&self) {
        while self.flush().await == Flushed::More {}
    }

    /// Writes one batch. One at a time, so that order is kept.
    async fn flush(&self) -> Flushed {
        let _one_at_a_time = self.flushing.lock().await;
        if !self.forget_sequences().await {
            return Flushed::Failed;
        }
        let batch = PendingBatch::take(&self.state);
        let Some(first) = batch.entries.first() else {
            return Flushed::All;
        };
        let core_uuid = first.core_uuid.clone();
        match self.observed.apply(&core_uuid, &batch.entries).await {
            Ok(Applied::Forgotten) => {
                drop(batch);
                self.begin_again(&core_uuid).await
            }
            Ok(Applied::Done {
                applied,
                older,
                repeated,
                of_other_run,
            }) => {
                let written = batch.written();
                self.batch_written.notify_one();
                self.note_outages(&written);
                if of_other_run {
                    self.snapshot_within(Duration::ZERO);
                }
                if written.iter().any(|entry| !entry.observation.announce) {
                    self.snapshot_soon();
                }
                ::metrics::counter!(metrics::EVENTS_STORED, "switch" => self.label()).increment(applied);
                ::metrics::counter!(metrics::EVENTS_STALE, "switch" => self.label()).increment(older + repeated);
                Flushed::More
            }
            Err(_) => {
                // Redis may have lost something, so compare once it is back.
                self.snapshot_soon();
                Flushed::Failed
            }
        }
    }

    async fn begin_again(&self, core_uuid: &str) -> Flushed {
        tracing::warn!(
            switch = self.switch(),
            "Redis lost what it knew of the switch; writing it again"
        );
        self.snapshot_within(Duration::ZERO);
        match self.observed.begin(core_uuid).await {
            Ok(_) => Flushed::More,
            Err(_) => Flushed::Failed,
        }
    }

    /// When the sequences of this run turned out to be wrong, Redis must forget them first. False when it could not.
    async fn forget_sequences(&self) -> bool {
        let core_uuid = {
            let mut state = self.lock();
            let is_reset = state.view.take_sequence_reset();
            let Connection::Up { identity, .. } = &state.connection else {
                return true;
            };
            if !is_reset {
                return true;
            }
            let (core_uuid, newest) = (identity.core_uuid.clone(), state.view.newest_event());
            state.backlog.distrust(&core_uuid, newest);
            core_uuid
        };
        tracing::warn!(
            switch = self.switch(),
            "its event sequences are not the ones from before; forgetting the order of its events"
        );
        let is_done = self.observed.distrust(&core_uuid).await.is_ok();
        if !is_done {
            self.lock().view.retry_sequence_reset();
        }
        self.snapshot_soon();
        is_done
    }
}

#[cfg(test)]
mod tests;
