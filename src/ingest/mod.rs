//! Events and snapshots of the switches → the observed state in Redis. Sends no command that changes FreeSWITCH.
//!
//! One [`Ingest`] a switch, of several tasks that share a view and a backlog behind one lock (`state`):
//!
//! | task | file | does |
//! | --- | --- | --- |
//! | connector | `connector`, `intake` | keeps a session open, reads its events into view and backlog |
//! | writer | `writer` | writes the backlog to Redis in batches |
//! | surveyor | `surveyor` | takes snapshots when they are due, corrects Redis |
//! | reviser | `reviser` | compares the gateways' revisions after each snapshot |
//! | keeper | `keeper`, `gauges` | says in Redis whether the switch can be reached |
//! | outages | `outages` | records in the history what stopped being usable, and what is again |
//!
//! Reading never waits for a Redis that takes nothing. What decides takes values, and the time as
//! one: `view`, `backlog`, `sequence`, `usable`, `refused`, `register`, `snapshot`, `schedule`. Others read
//! what runs through `running`.

mod backlog;
mod connector;
mod gauges;
mod intake;
mod keeper;
mod outages;
mod refused;
mod register;
mod reviser;
mod running;
mod schedule;
mod sequence;
mod snapshot;
mod state;
mod surveyor;
mod timing;
mod usable;
mod view;
mod writer;

use std::fmt::Display;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use crate::event_socket::SwitchAddress;
use crate::health::{Health, Part};
use crate::observed::Observed;
use crate::shown::shown_within;
use crate::throttle::Throttle;
use backlog::{Backlog, Limits};
use outages::Outages;
pub use outages::{Domains, Recorder};
pub use running::{Cursor, RunningChanges, RunningGateway};
use state::SwitchState;
pub use timing::Timing;
use view::View;

/// Events of a switch that wait whole while Redis is away: about 40 MB.
const BACKLOG_EVENTS: usize = 20_000;
/// Memory for them, however long they are, and for what waits for the hashes alone.
const BACKLOG_BYTES: usize = 64 * 1024 * 1024;
/// Time to write what still waits when trunkd stops.
const FINAL_FLUSH: Duration = Duration::from_secs(3);

/// The ingest of one switch.
pub struct Ingest {
    switch: SwitchAddress,
    observed: Observed,
    recorder: Recorder,
    timing: Timing,
    health: Arc<Health>,
    state: Mutex<SwitchState>,
    /// Locked after `state`, if both are.
    outages: Mutex<Outages>,
    outages_changed: Notify,
    /// Held while a batch is written.
    flushing: tokio::sync::Mutex<()>,
    /// Something waits in the backlog.
    work: Notify,
    batch_written: Notify,
    schedule_changed: Notify,
    snapshot_applied: Notify,
    connection_changed: Notify,
    switch_starts: Notify,
    /// Counts changes of what is known of the switch, for [`Ingest::changed`].
    version: watch::Sender<u64>,
    unreadable_logs: Throttle,
    challenge_logs: Throttle,
    odd_logs: Throttle,
}

impl Ingest {
    pub fn new(
        switch: SwitchAddress,
        observed: Observed,
        recorder: Recorder,
        timing: Timing,
        health: Arc<Health>,
    ) -> Self {
        let limits = Limits {
            events: BACKLOG_EVENTS,
            bytes: BACKLOG_BYTES,
        };
        let backlog = Backlog::new(limits, observed.announces());
        let state = SwitchState::new(View::new(timing.ping_limit), backlog, Instant::now());
        Self {
            switch,
            observed,
            recorder,
            timing,
            health,
            state: Mutex::new(state),
            outages: Mutex::default(),
            outages_changed: Notify::new(),
            flushing: tokio::sync::Mutex::default(),
            work: Notify::new(),
            batch_written: Notify::new(),
            schedule_changed: Notify::new(),
            snapshot_applied: Notify::new(),
            connection_changed: Notify::new(),
            switch_starts: Notify::new(),
            version: watch::Sender::new(0),
            unreadable_logs: Throttle::default(),
            challenge_logs: Throttle::default(),
            odd_logs: Throttle::default(),
        }
    }

    pub fn switch(&self) -> &str {
        &self.switch.name
    }

    /// Runs until `stop`, then writes what still waits.
    pub async fn run(self: Arc<Self>, stop: CancellationToken) {
        self.set_degraded("not connected yet".to_owned());
        tokio::select! {
            () = self.run_connector() => {}
            () = self.run_writer() => {}
            () = self.run_surveyor() => {}
            () = self.run_outage_recovery() => {}
            () = self.run_reviser() => {}
            () = self.run_keeper() => {}
            () = self.run_outages() => {}
            () = stop.cancelled() => {}
        }
        let finish = async {
            self.flush_all().await;
            self.report_stop().await;
        };
        if timeout(FINAL_FLUSH, finish).await.is_err() {
            let waiting = self.lock().backlog.len();
            tracing::error!(
                switch = self.switch(),
                waiting,
                "stopping with events that Redis did not take; they are lost"
            );
        }
    }

    fn snapshot_within(&self, wait: Duration) {
        if self.lock().schedule.snapshot_by(Instant::now() + wait) {
            self.schedule_changed.notify_one();
        }
    }

    /// Gateways that are still incomplete after `wait` are looked up by name. Where there are many, a snapshot is taken
    /// instead; it is avoided because FreeSWITCH makes the list under a lock that call set-up needs.
    fn lookup_within(&self, wait: Duration) {
        if self.lock().schedule.lookup_by(Instant::now() + wait) {
            self.schedule_changed.notify_one();
        }
    }

    fn notify_readers(&self) {
        self.version.send_modify(|version| *version += 1);
    }

    fn label(&self) -> String {
        self.switch.name.clone()
    }

    fn part(&self) -> Part {
        Part::Switch(self.switch.name.clone())
    }

    fn lock(&self) -> MutexGuard<'_, SwitchState> {
        // After a panic under the lock the next snapshot corrects the view.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An error for logs and health. It may quote the switch, at any length.
fn bounded(error: &impl Display) -> String {
    // Our longest messages, with what they quote.
    const MAX_BYTES: usize = 1024;
    shown_within(&error.to_string(), MAX_BYTES).to_string()
}
