//! Keeps the connection for calls open, and counts what it hears.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::switch::SwitchCalls;
use super::{CallLog, seconds};
use crate::control::Lease;
use crate::event_socket::{self, Hangup, Hangups, OpenError, Reconnect, RetryDelays, SwitchAddress};
use crate::health::{Health, Part, State};
use crate::keys;
use crate::metrics;
use crate::redis::Store;
use crate::shown::shown_within;
use crate::throttle::Throttle;

/// Events read under one lock when they come fast.
const CHUNK: usize = 64;
/// How often old calls are forgotten.
const SWEEP_INTERVAL: Duration = Duration::from_secs(60);
/// Time to save when trunkd stops.
const FINAL_SAVE: Duration = Duration::from_secs(1);
/// Of an error, which may quote the switch.
const MAX_REASON: usize = 1024;

/// Which gateways are counted.
pub trait OurGateways: Send + Sync {
    /// Whether this switch is served a gateway of that name.
    fn is_ours(&self, switch: &str, gateway: &str) -> bool;
}

#[derive(Debug, Clone, Copy)]
pub struct Timing {
    pub connection: event_socket::Timing,
    pub retry: RetryDelays,
    /// How often changed figures are saved.
    pub save: Duration,
    /// When the trunkd that saves dies, another one takes over within twice this time.
    pub lease: Duration,
}

/// Hears the calls of one switch.
pub struct Listener {
    switch: SwitchAddress,
    log: Arc<CallLog>,
    ours: Arc<dyn OurGateways>,
    store: Store,
    lease: Lease,
    timing: Timing,
    health: Arc<Health>,
    unreadable_logs: Throttle,
    full_logs: Throttle,
}

/// What became of the events of a chunk.
#[derive(Default)]
struct Heard {
    counted: u64,
    unreadable: u64,
    no_room: u64,
}

impl Listener {
    /// `holder` is the name of this trunkd.
    pub fn new(
        switch: SwitchAddress,
        log: Arc<CallLog>,
        ours: Arc<dyn OurGateways>,
        (store, holder): (Store, Arc<str>),
        timing: Timing,
        health: Arc<Health>,
    ) -> Self {
        let lease = Lease::new(store.clone(), &keys::calls_of(&switch.name), holder, timing.lease);
        Self {
            switch,
            log,
            ours,
            store,
            lease,
            timing,
            health,
            unreadable_logs: Throttle::default(),
            full_logs: Throttle::default(),
        }
    }

    /// Runs until `stop`, then saves what was counted.
    pub async fn run(self, stop: CancellationToken) {
        self.set_degraded("not connected yet".to_owned());
        let count = async {
            // Before anything is counted, so that nothing counts twice. The store logs any error.
            let _ = self.log.restore(&self.store, &self.switch.name).await;
            self.not_connected();
            tokio::join!(self.stay_connected(), self.sweep(), self.save(), self.lease.hold());
        };
        stop.run_until_cancelled(count).await;
        let finish = async {
            // Late renewals may have cost us the lease. Then nobody else saves what we counted.
            let _ = self.lease.renew_or_take().await;
            self.save_once().await;
            let _ = self.lease.release().await;
        };
        let _ = timeout(FINAL_SAVE, finish).await;
    }

    async fn save(&self) {
        loop {
            sleep(self.timing.save).await;
            self.save_once().await;
        }
    }

    /// Writes if it is this trunkd that does.
    async fn save_once(&self) {
        if self.lease.term().is_some() {
            let _ = self.log.save(&self.store, &self.switch.name).await;
        } else if let Some(mut calls) = self.log.lock(&self.switch.name) {
            calls.clear_forgotten();
        }
    }

    async fn stay_connected(&self) {
        let (switch, address) = (&*self.switch.name, &*self.switch.address);
        let mut reconnect = Reconnect::new(self.timing.retry);
        loop {
            let next = match Hangups::open(&self.switch, self.timing.connection).await {
                Ok(hangups) => {
                    let opened = Instant::now();
                    self.connected();
                    let reason = self.count(hangups).await;
                    self.disconnected(&reason);
                    let next = reconnect.after_lost(&reason, opened.elapsed());
                    if next.is_logged {
                        tracing::warn!(switch, address, "lost the connection for calls: {reason}");
                    }
                    next
                }
                Err(error) => {
                    let reason = bounded(&error);
                    let next = reconnect.after_failure(&reason, error.needs_an_operator());
                    if next.is_logged {
                        log_failure(switch, address, &error, &reason);
                    }
                    self.set_degraded(reason);
                    next
                }
            };
            sleep(next.wait).await;
        }
    }

    /// Counts until the connection is over. Returns why.
    async fn count(&self, mut hangups: Hangups) -> String {
        let mut received = Vec::with_capacity(CHUNK);
        loop {
            if let Err(lost) = hangups.next(&mut received, CHUNK).await {
                return shown_within(&lost.to_string(), MAX_REASON).to_string();
            }
            self.count_chunk(&mut received);
            // A flood doesn't keep this thread from other tasks.
            tokio::task::yield_now().await;
        }
    }

    fn count_chunk(&self, received: &mut Vec<Bytes>) {
        let mut heard = Heard::default();
        let hangups: Vec<_> = received
            .drain(..)
            .filter_map(|json| self.parse(&json, &mut heard))
            .collect();
        if let Some(mut calls) = self.log.lock(&self.switch.name) {
            let now = seconds(Timestamp::now());
            for hangup in &hangups {
                self.count_one(&mut calls, hangup, now, &mut heard);
            }
        }
        self.report(&heard);
    }

    fn parse(&self, json: &Bytes, heard: &mut Heard) -> Option<Hangup> {
        match Hangup::parse(json) {
            Ok(hangup) => hangup,
            Err(error) => {
                heard.unreadable += 1;
                if let Some(more) = self.unreadable_logs.pass(std::time::Instant::now()) {
                    let error = shown_within(&error.to_string(), MAX_REASON).to_string();
                    tracing::warn!(switch = self.switch.name, error, more, "a call was not counted");
                }
                None
            }
        }
    }

    fn count_one(&self, calls: &mut SwitchCalls, hangup: &Hangup, now: u64, heard: &mut Heard) {
        // A gateway that was removed while a call was up still counts it (FACTS 40).
        if !calls.has(&hangup.gateway) && !self.ours.is_ours(&self.switch.name, &hangup.gateway) {
            return;
        }
        if calls.add(hangup, now) {
            heard.counted += 1;
            return;
        }
        heard.no_room += 1;
        if let Some(more) = self.full_logs.pass(std::time::Instant::now()) {
            tracing::warn!(switch = self.switch.name, more, "no memory is left to count calls");
        }
    }

    fn connected(&self) {
        if let Some(mut calls) = self.log.lock(&self.switch.name) {
            calls.since.connected(Timestamp::now());
        }
        tracing::info!(switch = self.switch.name, "counting calls");
        self.health.set(self.part(), State::Ok, None);
        self.set_gauge(1.0);
    }

    fn disconnected(&self, reason: &str) {
        self.not_connected();
        self.set_degraded(reason.to_owned());
    }

    fn not_connected(&self) {
        if let Some(mut calls) = self.log.lock(&self.switch.name) {
            calls.since.disconnected();
        }
    }

    async fn sweep(&self) {
        loop {
            sleep(SWEEP_INTERVAL).await;
            if let Some(mut calls) = self.log.lock(&self.switch.name) {
                calls.forget_old(seconds(Timestamp::now()));
            }
        }
    }

    fn set_degraded(&self, reason: String) {
        self.health.set(self.part(), State::Degraded, Some(reason));
        self.set_gauge(0.0);
    }

    fn part(&self) -> Part {
        Part::Calls(self.switch.name.clone())
    }

    fn set_gauge(&self, value: f64) {
        ::metrics::gauge!(metrics::CALLS_CONNECTED, "switch" => self.switch.name.clone()).set(value);
    }

    fn report(&self, heard: &Heard) {
        let switch = || self.switch.name.clone();
        ::metrics::counter!(metrics::CALLS_COUNTED, "switch" => switch()).increment(heard.counted);
        for (reason, count) in [("unreadable", heard.unreadable), ("no_room", heard.no_room)] {
            if count > 0 {
                ::metrics::counter!(metrics::CALLS_DROPPED, "switch" => switch(), "reason" => reason).increment(count);
            }
        }
    }
}

fn log_failure(switch: &str, address: &str, error: &OpenError, reason: &str) {
    match error.needs_an_operator() {
        true => tracing::error!(switch, address, "cannot count the calls of the switch: {reason}"),
        false => tracing::warn!(
            switch,
            address,
            "cannot count the calls of the switch, retrying: {reason}"
        ),
    }
}

fn bounded(error: &OpenError) -> String {
    shown_within(&error.to_string(), MAX_REASON).to_string()
}
