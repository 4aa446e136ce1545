//! The state that each part of trunkd last reported, and whether `sofia.conf` can be served: the
//! contents of `/health`.
//!
//! Other rooms write here. Health asks nobody and decides nothing, and knows neither HTTP nor
//! Redis.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use serde::{Deserialize, Serialize, Serializer};

/// A part that can be ok or degraded, in the order of `/health`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Part {
    Redis,
    /// Whether the gateways that are served are those in Redis, and how old they are if not.
    Gateways,
    Templates,
    /// Whether the last good state can be kept on disk.
    DataDir,
    /// Whether the backup of the day is written. Listed if there is to be one.
    Backup,
    /// Whether the HTTP server has room for connections. Listed after it was full for the first
    /// time.
    Http,
    /// The operators' side: listed if it can't listen.
    Api,
    /// A switch, by its `[[switch]] name`.
    Switch(String),
    /// Whether a switch is alive, by its name, as all trunkd see it. Listed after the first doubt.
    Liveness(String),
    /// The connection for calls of a switch, by its name. Listed if calls are counted.
    Calls(String),
    /// The executor of a switch, by its name.
    Reconcile(String),
    /// The orders and pauses in Redis. Listed after the first problem with them.
    Control,
    /// The lease on a switch, by its name. Listed after the first problem with it.
    Lease(String),
    /// Gateways that run on exactly one switch. Degraded while one has none.
    Placement,
    /// A webhook, by its name. Degraded while its receiver takes nothing.
    Webhook(String),
    /// Switches that ask for `sofia.conf` and are not in the settings.
    UnknownSwitches,
}

impl Part {
    /// Its name in `/health`. That of a switch has a prefix, so that a switch may be called
    /// `redis`.
    pub fn name(&self) -> Cow<'_, str> {
        match self {
            Part::Redis => Cow::Borrowed("redis"),
            Part::Gateways => Cow::Borrowed("gateways"),
            Part::Templates => Cow::Borrowed("templates"),
            Part::DataDir => Cow::Borrowed("data_dir"),
            Part::Backup => Cow::Borrowed("backup"),
            Part::Http => Cow::Borrowed("http"),
            Part::Api => Cow::Borrowed("api"),
            Part::Switch(name) => Cow::Owned(format!("switch:{name}")),
            Part::Liveness(name) => Cow::Owned(format!("liveness:{name}")),
            Part::Calls(name) => Cow::Owned(format!("calls:{name}")),
            Part::Reconcile(name) => Cow::Owned(format!("reconcile:{name}")),
            Part::Control => Cow::Borrowed("control"),
            Part::Lease(name) => Cow::Owned(format!("lease:{name}")),
            Part::Placement => Cow::Borrowed("placement"),
            Part::Webhook(name) => Cow::Owned(format!("webhook:{name}")),
            Part::UnknownSwitches => Cow::Borrowed("unknown_switches"),
        }
    }

    /// What to do when it is degraded and the reason doesn't say it all.
    pub fn runbook(&self) -> Option<&'static str> {
        match self {
            Part::Redis => Some("docs/runbooks.md#trunkdredisaway"),
            Part::Gateways => Some("docs/runbooks.md#trunkdstale"),
            Part::Templates => Some("docs/runbooks.md#trunkdtemplatesrefused"),
            Part::Backup => Some("docs/runbooks.md#trunkdbackupfails"),
            Part::Switch(_) | Part::Liveness(_) | Part::Calls(_) => Some("docs/runbooks.md#trunkdswitchaway"),
            Part::Reconcile(_) => Some("docs/runbooks.md#switches"),
            Part::Control | Part::Lease(_) => Some("docs/runbooks.md#trunkdnobodyleads"),
            Part::Placement => Some("docs/runbooks.md#trunkdgatewaywithoutswitch"),
            Part::Webhook(_) => Some("docs/runbooks.md#trunkdwebhookgivesup"),
            Part::DataDir | Part::Http | Part::Api | Part::UnknownSwitches => None,
        }
    }
}

impl Serialize for Part {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.name())
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    Ok,
    Degraded,
}

/// Shared as `Arc<Health>`.
#[derive(Debug, Default)]
pub struct Health {
    parts: Mutex<BTreeMap<Part, PartState>>,
    serving: AtomicBool,
}

#[derive(Debug, Clone)]
struct PartState {
    state: State,
    since: Timestamp,
    reason: Option<String>,
    gateways: Option<GatewayCounts>,
}

/// How many gateways of a switch are usable. A carrier that is down does not degrade trunkd or the
/// switch.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct GatewayCounts {
    pub usable: u32,
    pub not_usable: u32,
    pub unknown: u32,
    /// Those of them whose ping is stuck, so that its state means nothing.
    pub ping_stuck: u32,
}

impl Health {
    /// No part yet, and not serving. A part that must report later should first be
    /// [`set`](Self::set) degraded.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the state of `part`. If only the reason changes, `since` stays.
    ///
    /// Anybody who can reach `/health` sees `reason`: it names the problem and the fix, and never a
    /// secret.
    pub fn set(&self, part: Part, state: State, reason: Option<String>) {
        let mut parts = self.lock();
        let before = parts.get(&part);
        let since = match before {
            Some(before) if before.state == state => before.since,
            _ => Timestamp::now(),
        };
        let gateways = before.and_then(|before| before.gateways);
        let after = PartState {
            state,
            since,
            reason,
            gateways,
        };
        parts.insert(part, after);
    }

    /// Sets the gateway counts of a switch that has a state; `None` while they are not known.
    pub fn set_gateways(&self, part: &Part, gateways: Option<GatewayCounts>) {
        if let Some(part) = self.lock().get_mut(part) {
            part.gateways = gateways;
        }
    }

    /// Sets whether every profile of the templates can be served; `/health` is a 503 if not.
    pub fn set_serving(&self, serving: bool) {
        self.serving.store(serving, Ordering::Relaxed);
    }

    pub fn report(&self) -> HealthReport {
        let parts: Vec<_> = self
            .lock()
            .iter()
            .map(|(name, part)| PartReport {
                name: name.clone(),
                state: part.state,
                since: part.since,
                reason: part.reason.clone(),
                runbook: name.runbook().filter(|_| part.state == State::Degraded),
                gateways: part.gateways,
            })
            .collect();
        let serving = self.serving.load(Ordering::Relaxed);
        let is_ok = serving && parts.iter().all(|part| part.state == State::Ok);
        HealthReport {
            status: if is_ok { State::Ok } else { State::Degraded },
            version: env!("CARGO_PKG_VERSION"),
            serving,
            parts,
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Part, PartState>> {
        // A panic leaves the map intact: an insert either happened or did not.
        self.parts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The body of `/health`, with the fields in this order.
#[derive(Debug, Clone, Serialize)]
pub struct HealthReport {
    /// `degraded` if any part is, or if nothing can be served.
    pub status: State,
    pub version: &'static str,
    /// Whether `/xml_curl` can serve every profile of the templates.
    pub serving: bool,
    pub parts: Vec<PartReport>,
}

#[derive(Debug, Clone, Serialize)]
pub struct PartReport {
    pub name: Part,
    pub state: State,
    /// When `state` last changed (RFC 3339, UTC).
    pub since: Timestamp,
    pub reason: Option<String>,
    /// Only for a part that is degraded: the section of the documentation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub runbook: Option<&'static str>,
    /// Only for a switch that is connected and whose gateways are known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gateways: Option<GatewayCounts>,
}

#[cfg(test)]
mod tests;
