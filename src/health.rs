//! What each part of trunkd last said of itself, and whether `sofia.conf` can be answered: what `/health` tells.
//!
//! A board that others write on: it asks nobody, decides nothing, and knows neither HTTP nor Redis. It stands below every
//! other room, so that any of them may write.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use serde::{Serialize, Serializer};

/// A part that can be well or unwell, in the order `/health` lists them.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Part {
    Redis,
    /// Whether what is served is what Redis holds, and how old it is if not.
    Gateways,
    Templates,
    /// Whether what must outlive trunkd can be kept.
    DataDir,
    /// Whether the HTTP server has room. It is there once it had none.
    Http,
    /// A switch, by its `[[switch]] name`.
    Switch(String),
    /// What is being changed on a switch, by its name.
    Reconcile(String),
    /// What operators ask of the changing of switches: only once something was wrong with it.
    Control,
    /// The lease on a switch, by its name: only once something was wrong with it.
    Lease(String),
    /// Who asks for `sofia.conf` and is in no settings.
    UnknownSwitches,
}

impl Part {
    /// The name `/health` gives it; a switch's carries a prefix, so that one called `redis` is still told apart.
    pub fn name(&self) -> Cow<'_, str> {
        match self {
            Part::Redis => Cow::Borrowed("redis"),
            Part::Gateways => Cow::Borrowed("gateways"),
            Part::Templates => Cow::Borrowed("templates"),
            Part::DataDir => Cow::Borrowed("data_dir"),
            Part::Http => Cow::Borrowed("http"),
            Part::Switch(name) => Cow::Owned(format!("switch:{name}")),
            Part::Reconcile(name) => Cow::Owned(format!("reconcile:{name}")),
            Part::Control => Cow::Borrowed("control"),
            Part::Lease(name) => Cow::Owned(format!("lease:{name}")),
            Part::UnknownSwitches => Cow::Borrowed("unknown_switches"),
        }
    }
}

impl Serialize for Part {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.name())
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    Ok,
    Degraded,
}

/// Shared as `Arc<Health>`; every call takes a short lock and no other.
#[derive(Debug, Default)]
pub struct Health {
    parts: Mutex<BTreeMap<Part, Standing>>,
    serving: AtomicBool,
}

#[derive(Debug, Clone)]
struct Standing {
    state: State,
    since: Timestamp,
    reason: Option<String>,
    gateways: Option<GatewayCounts>,
}

/// How many gateways of a switch are usable. A carrier that is down does not make trunkd or its switch unwell.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct GatewayCounts {
    pub usable: u32,
    pub not_usable: u32,
    pub unknown: u32,
    /// Of all of these, those whose ping no longer says anything.
    pub ping_stuck: u32,
}

impl Health {
    /// Knows no part yet and does not serve: a part that should be there but has not reported must first be
    /// [`set`](Self::set) degraded by whoever starts it.
    pub fn new() -> Self {
        Self::default()
    }

    /// Says how `part` is. Saying it again changes nothing; a new reason in the same state keeps `since`, which tells when the
    /// state changed.
    ///
    /// `reason` is shown to whoever may ask `/health`: it names the thing and the fix, and never a secret.
    pub fn set(&self, part: Part, state: State, reason: Option<String>) {
        let mut parts = self.lock();
        let before = parts.get(&part);
        let since = match before {
            Some(standing) if standing.state == state => standing.since,
            _ => Timestamp::now(),
        };
        let gateways = before.and_then(|standing| standing.gateways);
        let standing = Standing {
            state,
            since,
            reason,
            gateways,
        };
        parts.insert(part, standing);
    }

    /// Says how the gateways of a switch that reported are; `None` while nobody knows.
    pub fn set_gateways(&self, part: &Part, gateways: Option<GatewayCounts>) {
        if let Some(standing) = self.lock().get_mut(part) {
            standing.gateways = gateways;
        }
    }

    /// Says whether every profile that the templates know could be answered now: false makes `/health` a 503.
    pub fn set_serving(&self, serving: bool) {
        self.serving.store(serving, Ordering::Relaxed);
    }

    pub fn report(&self) -> Report {
        let parts: Vec<_> = self
            .lock()
            .iter()
            .map(|(part, standing)| PartReport {
                name: part.clone(),
                state: standing.state,
                since: standing.since,
                reason: standing.reason.clone(),
                gateways: standing.gateways,
            })
            .collect();
        let serving = self.serving.load(Ordering::Relaxed);
        let well = serving && parts.iter().all(|part| part.state == State::Ok);
        Report {
            status: if well { State::Ok } else { State::Degraded },
            version: env!("CARGO_PKG_VERSION"),
            serving,
            parts,
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Part, Standing>> {
        // Whoever panicked here left a whole map behind: an insert either happened or did not.
        self.parts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// `/health`'s answer; its fields are written in this order.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// `degraded` as soon as one part is, or nothing can be served.
    pub status: State,
    pub version: &'static str,
    /// Whether `/xml_curl` can answer every profile that it knows.
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
    /// Of a switch that is connected and known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gateways: Option<GatewayCounts>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn since(health: &Health, part: &Part) -> Timestamp {
        health.lock()[part].since
    }

    #[test]
    fn since_moves_only_when_the_state_does() {
        let health = Health::new();
        health.set(Part::Redis, State::Degraded, Some("refused".into()));
        let first = since(&health, &Part::Redis);

        health.set(Part::Redis, State::Degraded, Some("timed out".into()));
        assert_eq!(since(&health, &Part::Redis), first);
        assert_eq!(health.report().parts[0].reason.as_deref(), Some("timed out"));

        while Timestamp::now() == first {}
        health.set(Part::Redis, State::Ok, None);
        assert!(since(&health, &Part::Redis) > first);
    }

    #[test]
    fn one_bad_part_degrades_the_whole_and_so_does_not_serving() {
        let health = Health::new();
        health.set(Part::Templates, State::Ok, None);
        assert_eq!(health.report().status, State::Degraded);
        health.set_serving(true);
        assert_eq!(health.report().status, State::Ok);
        health.set(Part::Switch("fs1".into()), State::Degraded, None);
        assert_eq!(health.report().status, State::Degraded);
    }

    #[test]
    fn the_parts_come_in_one_order_whoever_reports_first() {
        let health = Health::new();
        for part in [
            Part::Switch("b".into()),
            Part::Templates,
            Part::Switch("a".into()),
            Part::Redis,
        ] {
            health.set(part, State::Ok, None);
        }
        let names: Vec<_> = health
            .report()
            .parts
            .iter()
            .map(|part| part.name.name().into_owned())
            .collect();
        assert_eq!(names, ["redis", "templates", "switch:a", "switch:b"]);
    }
}
