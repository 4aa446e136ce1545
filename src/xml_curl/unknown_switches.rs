//! Switches that ask for their configuration but are not in the settings: their `switchname`
//! differs from the settings, they were forgotten there, or somebody makes up names.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use ::metrics::{counter, gauge};

use crate::metrics::{UNKNOWN_SWITCH_REQUESTS, UNKNOWN_SWITCHES};
use crate::shown::shown;
use crate::throttle::Throttle;

/// Names that are stored: enough to correct the settings by, and a few kilobytes at most, because
/// anybody can make them up.
const MAX_NAMES: usize = 64;
/// Names in a report.
const SHOWN_NAMES: usize = 5;
/// How long a name is reported after its last request.
const REPORTED_FOR: Duration = Duration::from_secs(60 * 60);

/// Shared by all requests.
#[derive(Debug)]
pub struct UnknownSwitches {
    configured: BTreeSet<String>,
    seen: Mutex<Seen>,
    line: Throttle,
}

#[derive(Debug, Default)]
struct Seen {
    /// The last request of each.
    names: BTreeMap<String, Instant>,
    /// The last request of a name that there was no room for.
    others: Option<Instant>,
}

impl UnknownSwitches {
    /// `configured` are the names in the settings. Without any, no switch is unknown: trunkd may
    /// serve switches that it does not watch.
    pub fn new(configured: impl IntoIterator<Item = String>) -> Self {
        Self {
            configured: configured.into_iter().collect(),
            seen: Mutex::default(),
            line: Throttle::default(),
        }
    }

    /// Records a request of a switch, and returns whether the report changed. Logs a name that is
    /// new, at most once a minute.
    pub fn record(&self, name: &str, now: Instant) -> bool {
        if self.configured.is_empty() || self.configured.contains(name) {
            return false;
        }
        counter!(UNKNOWN_SWITCH_REQUESTS).increment(1);
        let is_news = self.lock().record(name, now);
        if is_news
            && let Some(report) = self.report(now)
            && let Some(held) = self.line.pass(now)
        {
            tracing::warn!(held, "{report}");
        }
        is_news
    }

    /// The unknown switches of the last hour; `None` if there were none.
    pub fn report(&self, now: Instant) -> Option<String> {
        let mut seen = self.lock();
        seen.expire(now);
        let count = seen.names.len();
        #[allow(clippy::cast_precision_loss, reason = "a small number")]
        gauge!(UNKNOWN_SWITCHES).set(count as f64);
        if count == 0 {
            return None;
        }
        let more_than = if seen.others.is_some() { "more than " } else { "" };
        let names: Vec<_> = seen
            .names
            .keys()
            .take(SHOWN_NAMES)
            .map(|name| format!("\"{}\"", shown(name)))
            .collect();
        let others = if count > SHOWN_NAMES { ", …" } else { "" };
        Some(format!(
            "{more_than}{count} switch names that no [[switch]] has asked for sofia.conf within the last \
             hour: {}{others}; add each as a [[switch]], or correct `switchname` in its switch.conf.xml",
            names.join(", ")
        ))
    }

    fn lock(&self) -> MutexGuard<'_, Seen> {
        // An insert either happened or did not.
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seen {
    fn record(&mut self, name: &str, now: Instant) -> bool {
        if let Some(asked) = self.names.get_mut(name) {
            *asked = now;
            return false;
        }
        if self.names.len() >= MAX_NAMES {
            self.expire(now);
        }
        if self.names.len() >= MAX_NAMES {
            return self.others.replace(now).is_none();
        }
        self.names.insert(name.to_owned(), now);
        true
    }

    fn expire(&mut self, now: Instant) {
        let is_recent = |asked: &Instant| now.saturating_duration_since(*asked) < REPORTED_FOR;
        self.names.retain(|_, asked| is_recent(asked));
        self.others = self.others.filter(is_recent);
    }
}

#[cfg(test)]
mod tests;
