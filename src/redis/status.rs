//! Whether Redis can be used, for `/health`, the metrics and the log. Losing and recovering Redis is
//! logged once each.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use super::error::StoreError;
use super::failures::{Failures, Transition};
use super::link::Link;
use super::pool::Access;
use crate::health::{self, Health, Part};
use crate::metrics;

pub(crate) struct RedisStatus {
    health: Arc<Health>,
    /// Knows the master in use.
    link: Arc<Link>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    read: Failures,
    write: Failures,
    /// Set while the server that was read is not a master.
    not_master: Option<String>,
    /// Set while no Sentinel answers. Redis itself may be fine.
    sentinels: Option<String>,
    /// Our keys with a wrong value, and the fix, by key or by operation.
    keys: BTreeMap<&'static str, String>,
    is_control_too_large: bool,
}

impl State {
    /// Why Redis can't be read or written.
    fn down(&self) -> Option<&String> {
        self.read.worst().or(self.not_master.as_ref()).or(self.write.worst())
    }
}

impl RedisStatus {
    pub(super) fn new(health: Arc<Health>, link: Arc<Link>) -> Self {
        Self {
            health,
            link,
            state: Mutex::default(),
        }
    }

    /// Records how an operation ended.
    pub(super) fn record(&self, access: Access, operation: &'static str, error: Option<&StoreError>) {
        let now = Instant::now();
        let reason = error.map(ToString::to_string).unwrap_or_default();
        let mut state = self.lock();
        let failures = match access {
            Access::Read => &mut state.read,
            Access::Write => &mut state.write,
        };
        let transition = match error {
            Some(error) => failures.failed(operation, error.cause(), &reason, now),
            None => failures.succeeded(operation, now),
        };
        match (transition, access) {
            (Some(Transition::Failing), _) if matches!(error, Some(StoreError::WrongType(_))) => {
                tracing::error!("{reason}");
            }
            (Some(Transition::Failing), Access::Read) => tracing::error!("Redis cannot be read: {reason}"),
            (Some(Transition::Failing), Access::Write) => {
                tracing::error!("Redis takes no writes; the switches' events are kept until it does: {reason}");
            }
            (Some(Transition::Recovered), Access::Read) => tracing::info!("Redis can be read again"),
            (Some(Transition::Recovered), Access::Write) => tracing::info!("Redis takes writes again"),
            (None, _) => {}
        }
        if error.is_some() {
            ::metrics::counter!(metrics::REDIS_ERRORS, "operation" => operation).increment(1);
        }
        self.publish(&state);
    }

    /// Records whether the server that was read is a master. If not, `reason` says why its data can't
    /// be trusted.
    pub(super) fn record_role(&self, reason: Option<String>) {
        let mut state = self.lock();
        let before = std::mem::replace(&mut state.not_master, reason.clone());
        match (before, reason) {
            (None, Some(reason)) => tracing::error!("Redis is not a master, so no switch is changed: {reason}"),
            (Some(_), None) => tracing::info!("Redis is a master again"),
            _ => {}
        }
        self.publish(&state);
    }

    /// Records whether any Sentinel answers.
    pub(super) fn record_sentinels(&self, reason: Option<String>) {
        let mut state = self.lock();
        let before = std::mem::replace(&mut state.sentinels, reason.clone());
        if before == reason {
            return;
        }
        match (before, reason) {
            (None, Some(reason)) => tracing::error!("a failover of Redis would go unnoticed: {reason}"),
            (Some(_), None) => tracing::info!("the Sentinels answer again"),
            _ => {}
        }
        self.publish(&state);
    }

    /// Records that one of our keys has a wrong value, or a good one again. `what` is the key, or the
    /// operation that found it.
    pub(crate) fn record_key(&self, what: &'static str, problem: Option<String>) {
        let mut state = self.lock();
        let before = match problem.clone() {
            Some(problem) => state.keys.insert(what, problem),
            None => state.keys.remove(what),
        };
        if before == problem {
            return;
        }
        match problem {
            Some(problem) => tracing::error!("{problem}"),
            None => tracing::info!("fixed: {}", before.unwrap_or_default()),
        }
        self.publish(&state);
    }

    /// Records whether `trunkd:control` has too many fields, and returns whether it had.
    pub(crate) fn record_control_size(&self, is_too_large: bool) -> bool {
        std::mem::replace(&mut self.lock().is_control_too_large, is_too_large)
    }

    pub(crate) fn health(&self) -> &Health {
        &self.health
    }

    fn publish(&self, state: &State) {
        let down = state.down();
        ::metrics::gauge!(metrics::REDIS_UP).set(if down.is_none() { 1.0 } else { 0.0 });
        let worst = down
            .or(state.sentinels.as_ref())
            .or(state.keys.values().next())
            .cloned();
        let health = match worst {
            None => health::State::Ok,
            Some(_) => health::State::Degraded,
        };
        let master = self.link.master().map(|address| format!("the master is {address}"));
        let reason = match (worst, master) {
            (Some(worst), Some(master)) => Some(format!("{worst}; {master}")),
            (worst, master) => worst.or(master),
        };
        self.health.set(Part::Redis, health, reason);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Each field is replaced whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
