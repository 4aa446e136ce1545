//! Says in Redis whether the switch can be reached, and marks its states stale when it was out of reach for long.

use std::time::Duration;

use jiff::Timestamp;
use tokio::time::timeout;

use super::state::Connection;
use super::{Ingest, snapshot};
use crate::observed::{Sighting, Touched};
use crate::redis::StoreError;

/// What to do after Redis was told about the connection.
#[derive(Debug, PartialEq, Eq)]
enum NextStep {
    Nothing,
    SnapshotNow,
    SnapshotSoon,
    MarkStale,
}

/// How long the switch has been out of reach, and the last sighting that its stale states were marked with.
#[derive(Debug, Clone, Copy)]
struct Outage {
    lasted: Duration,
    stale_as_of_ms: Option<u64>,
}

/// `outage` is `None` while the switch is connected; `touched` is `None` when Redis could not be told.
fn next_step(outage: Option<Outage>, touched: Option<&Touched>, stale_after: Duration) -> NextStep {
    match (outage, touched) {
        // Redis lost its data.
        (None, Some(touched)) if !touched.is_known => NextStep::SnapshotNow,
        (None, Some(_)) => NextStep::Nothing,
        // Redis may have lost something, so compare once it is back.
        (None, None) => NextStep::SnapshotSoon,
        (Some(outage), Some(touched)) if is_stale(outage, touched, stale_after) => NextStep::MarkStale,
        (Some(_), _) => NextStep::Nothing,
    }
}

/// Whether the states must be marked stale. While another trunkd sees the switch, it writes them;
/// when that one loses the switch too, they must be marked again.
fn is_stale(outage: Outage, touched: &Touched, stale_after: Duration) -> bool {
    let is_seen_by_other = touched.unseen.is_some_and(|unseen| unseen < stale_after);
    let is_marked = outage.stale_as_of_ms == Some(as_of_ms(touched));
    outage.lasted >= stale_after && !is_seen_by_other && !is_marked
}

/// 0 when nobody ever saw the switch.
fn as_of_ms(touched: &Touched) -> u64 {
    touched.sighted_ms.unwrap_or_default()
}

impl Ingest {
    pub(super) async fn run_keeper(&self) {
        loop {
            self.report_reachability().await;
            self.publish_gauges();
            let _ = timeout(self.timing.touch_interval, self.connection_changed.notified()).await;
        }
    }

    async fn report_reachability(&self) {
        let sighting = self.lock().connection.sighting();
        let touched = self.observed.touch(&sighting, Timestamp::now()).await.ok();
        let outage = match &self.lock().connection {
            _ if matches!(sighting, Sighting::Connected { .. }) => None,
            // It came back meanwhile, which is reported next.
            Connection::Up { .. } => return,
            Connection::Down {
                since, stale_as_of_ms, ..
            } => Some(Outage {
                lasted: since.elapsed(),
                stale_as_of_ms: *stale_as_of_ms,
            }),
        };
        match (next_step(outage, touched.as_ref(), self.timing.stale_after), touched) {
            (NextStep::SnapshotNow, _) => self.snapshot_within(Duration::ZERO),
            (NextStep::SnapshotSoon, _) => self.snapshot_soon(),
            (NextStep::MarkStale, Some(touched)) => {
                // Redis away, or seen by another trunkd: tried again at the next report.
                if let Ok(Some(rows)) = self.mark_stale(&touched).await {
                    self.marked_stale(rows, &touched);
                }
            }
            (NextStep::MarkStale, None) | (NextStep::Nothing, _) => {}
        }
    }

    async fn mark_stale(&self, touched: &Touched) -> Result<Option<u64>, StoreError> {
        let stored = self.observed.read().await?;
        let items = snapshot::stale_items(&stored, &self.switch.name);
        let marked = self.observed.mark_stale(&items, self.timing.stale_after).await?;
        if marked.is_some() {
            self.record_lost(&stored, touched).await?;
        }
        Ok(marked)
    }

    fn marked_stale(&self, rows: u64, touched: &Touched) {
        if let Connection::Down { stale_as_of_ms, .. } = &mut self.lock().connection {
            *stale_as_of_ms = Some(as_of_ms(touched));
        }
        let seconds = self.timing.stale_after.as_secs();
        tracing::warn!(
            switch = self.switch(),
            rows,
            "out of reach for {seconds} s: marked the states of its gateways stale"
        );
    }

    /// trunkd stops, so it no longer sees the switch.
    pub(super) async fn report_stop(&self) {
        let now = Timestamp::now();
        let sighting = match self.lock().connection.sighting() {
            Sighting::Connected { .. } => Sighting::Disconnected {
                since: now,
                reason: Some("trunkd was stopped".to_owned()),
            },
            disconnected @ Sighting::Disconnected { .. } => disconnected,
        };
        let _ = self.observed.touch(&sighting, now).await;
    }
}

#[cfg(test)]
mod tests;
