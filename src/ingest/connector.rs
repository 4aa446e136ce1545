//! Keeps a session with the switch open, and reports the state of the connection.

use std::time::Duration;

use tokio::time::{Instant, sleep, sleep_until};

use super::schedule::Schedule;
use super::snapshot::RunIdentity;
use super::state::Connection;
use super::{Ingest, bounded};
use crate::event_socket::{OpenError, Reconnect, Session};
use crate::health;
use crate::metrics;
use jiff::Timestamp;

impl Ingest {
    pub(super) async fn run_connector(&self) {
        let mut reconnect = Reconnect::new(self.timing.retry_delays());
        loop {
            let next = match Session::open(&self.switch, self.timing.connection).await {
                Ok(session) => {
                    self.count_connect("connected");
                    let opened = Instant::now();
                    let reason = self.run_session(session).await;
                    self.disconnected(&reason);
                    let next = reconnect.after_lost(&reason, opened.elapsed());
                    if next.is_logged {
                        let (switch, address) = (self.switch(), &self.switch.address);
                        tracing::warn!(switch, %address, "lost the switch: {reason}");
                    }
                    next
                }
                Err(error) => {
                    self.count_connect(error.kind());
                    let reason = bounded(&error);
                    let next = reconnect.after_failure(&reason, error.needs_an_operator());
                    if next.is_logged {
                        self.log_failure(&error, &reason);
                    }
                    self.connect_failed(reason);
                    next
                }
            };
            self.wait_to_connect(next.wait).await;
        }
    }

    /// Not as long for a switch that is starting.
    async fn wait_to_connect(&self, wait: Duration) {
        let soon = Instant::now() + self.timing.first_retry;
        let starting = async {
            while !self.lock().is_starting() {
                self.switch_starts.notified().await;
            }
            sleep_until(soon).await;
        };
        tokio::select! {
            () = sleep(wait) => {}
            () = starting => {}
        }
    }

    fn log_failure(&self, error: &OpenError, reason: &str) {
        let (switch, address) = (self.switch(), &self.switch.address);
        if error.needs_an_operator() {
            tracing::error!(switch, %address, "cannot use the switch: {reason}");
        } else {
            tracing::warn!(switch, %address, "cannot reach the switch, retrying: {reason}");
        }
    }

    /// Returns why the session ended.
    async fn run_session(&self, session: Session) -> String {
        let identity = RunIdentity {
            switchname: self.switch.name.clone(),
            hostname: session.hostname.clone(),
            core_uuid: session.core_uuid.clone(),
        };
        let core_uuid = &identity.core_uuid;
        tracing::info!(switch = self.switch(), address = %self.switch.address, %core_uuid, "connected to the switch");
        self.connected(&session, identity);
        self.read_events(session).await
    }

    /// Starts over with this run of the switch.
    fn connected(&self, session: &Session, identity: RunIdentity) {
        let mut state = self.lock();
        state.view.reset();
        state.profiles = None;
        state.is_shutting_down = false;
        state.connection = Connection::Up {
            commands: session.commands.clone(),
            changes: session.changes.clone(),
            identity,
            since: Timestamp::now(),
            pulse: session.pulse.clone(),
        };
        state.schedule = Schedule::new(Instant::now());
        drop(state);
        self.set_degraded("connected; its gateways are not read yet".to_owned());
        ::metrics::gauge!(metrics::SWITCH_CONNECTED, "switch" => self.label()).set(1.0);
        self.connection_changed.notify_one();
        self.schedule_changed.notify_one();
    }

    fn disconnected(&self, reason: &str) {
        let mut state = self.lock();
        state.connection = state.connection.lost(reason.to_owned());
        drop(state);
        self.set_degraded(reason.to_owned());
        self.notify_readers();
        ::metrics::gauge!(metrics::SWITCH_CONNECTED, "switch" => self.label()).set(0.0);
        self.connection_changed.notify_one();
    }

    fn connect_failed(&self, error: String) {
        if let Connection::Down { reason, .. } = &mut self.lock().connection
            && reason.as_ref() != Some(&error)
        {
            *reason = Some(error.clone());
            self.connection_changed.notify_one();
        }
        self.set_degraded(error);
    }

    pub(super) fn set_degraded(&self, reason: String) {
        self.health.set(self.part(), health::State::Degraded, Some(reason));
    }

    fn count_connect(&self, outcome: &'static str) {
        ::metrics::counter!(metrics::SWITCH_CONNECTS, "switch" => self.label(), "outcome" => outcome).increment(1);
    }
}
