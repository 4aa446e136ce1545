//! Switches that ask for their configuration and are in no settings: a `switchname` that is not what the settings say, a
//! FreeSWITCH that was forgotten there, or somebody who makes names up.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use ::metrics::{counter, gauge};

use crate::metrics::{UNKNOWN_SWITCH_REQUESTS, UNKNOWN_SWITCHES};
use crate::shown::shown;
use crate::throttle::Throttle;

/// Names that are remembered: enough to correct the settings by, and no more than a few kilobytes, since anybody can make
/// them up.
const MOST_NAMES: usize = 64;
/// Names that a line shows.
const SHOWN_NAMES: usize = 5;
/// A name that has not asked for so long is not reported any more.
const REMEMBERED: Duration = Duration::from_secs(60 * 60);

/// Shared by every request.
#[derive(Debug)]
pub struct UnknownSwitches {
    configured: BTreeSet<String>,
    seen: Mutex<Seen>,
    line: Throttle,
}

#[derive(Debug, Default)]
struct Seen {
    /// When each asked last.
    names: BTreeMap<String, Instant>,
    /// When one asked last that there was no room for.
    others: Option<Instant>,
}

impl UnknownSwitches {
    /// `configured` are the names of the settings. Without any nobody is unknown: trunkd can serve switches that it does
    /// not watch.
    pub fn new(configured: impl IntoIterator<Item = String>) -> Self {
        Self {
            configured: configured.into_iter().collect(),
            seen: Mutex::default(),
            line: Throttle::default(),
        }
    }

    /// A switch of this name asked. Logs a name that was not known, one line a minute at most; whether the report changed.
    pub fn note(&self, name: &str, now: Instant) -> bool {
        if self.configured.is_empty() || self.configured.contains(name) {
            return false;
        }
        counter!(UNKNOWN_SWITCH_REQUESTS).increment(1);
        let is_news = self.lock().note(name, now);
        if is_news
            && let Some(report) = self.report(now)
            && let Some(held) = self.line.pass(now)
        {
            tracing::warn!(held, "{report}");
        }
        is_news
    }

    /// Who asked within the last hour; `None` when nobody did.
    pub fn report(&self, now: Instant) -> Option<String> {
        let mut seen = self.lock();
        seen.forget(now);
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
            "{more_than}{count} switch names that no [[switch]] has asked for sofia.conf within the last hour: {}{others}; add each \
             as a [[switch]], or correct `switchname` in its switch.conf.xml",
            names.join(", ")
        ))
    }

    fn lock(&self) -> MutexGuard<'_, Seen> {
        // An insert either happened or did not.
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seen {
    fn note(&mut self, name: &str, now: Instant) -> bool {
        if let Some(asked) = self.names.get_mut(name) {
            *asked = now;
            return false;
        }
        if self.names.len() >= MOST_NAMES {
            self.forget(now);
        }
        if self.names.len() >= MOST_NAMES {
            return self.others.replace(now).is_none();
        }
        self.names.insert(name.to_owned(), now);
        true
    }

    fn forget(&mut self, now: Instant) {
        let is_recent = |asked: &Instant| now.saturating_duration_since(*asked) < REMEMBERED;
        self.names.retain(|_, asked| is_recent(asked));
        self.others = self.others.filter(is_recent);
    }
}

#[cfg(test)]
mod tests;
