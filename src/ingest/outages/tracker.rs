//! Which gateways are out, by their rows. Pure: the clock is passed in.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

use crate::observed::{OpenOutage, Row};
use crate::registration::State;

/// A gateway that was killed is gone within two seconds, and its successor is there (FACTS 22). One
/// that stays DOWN was unregistered by hand (FACTS 38).
const DOWN_LASTS: Duration = Duration::from_secs(15);
/// A REGISTER without an answer ends after 32 s with a state of its own.
const TRYING_LASTS: Duration = Duration::from_secs(60);
/// An open outage of a gateway that the switch has not had for this long is dropped. A restart takes
/// seconds.
const GONE_AFTER: Duration = Duration::from_secs(60);

/// What a row says about outages.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    /// It is up: an open outage is over.
    Up,
    Out,
    /// It is out if this lasts.
    OutAfter(Duration),
    /// Nothing tells whether it is usable, and nothing will.
    Unmeasured,
    /// It is about to start, or usable until its registration is answered.
    Unsettled,
}

/// What to do about a gateway.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    Open { since: Timestamp, reason: String },
    Close { outage: OpenOutage, up_since: Timestamp },
    Drop { outage: String },
}

/// What is open as far as this trunkd knows, and what may become an outage.
#[derive(Debug, Default)]
pub(super) struct Tracker {
    open: HashMap<Arc<str>, OpenOutage>,
    /// Gateways that are out if that lasts, and since when.
    settling: HashMap<Arc<str>, Instant>,
    /// Gateways with an open outage that the switch doesn't have.
    missing: HashMap<Arc<str>, Instant>,
}

impl Tracker {
    /// Redis was read.
    pub(super) fn load(&mut self, open: BTreeMap<String, OpenOutage>) {
        self.open = open.into_iter().map(|(name, open)| (name.into(), open)).collect();
        self.missing.retain(|name, _| self.open.contains_key(name));
    }

    /// What is open now, after a step.
    pub(super) fn set(&mut self, gateway: &str, open: Option<OpenOutage>) {
        match open {
            Some(open) => drop(self.open.insert(gateway.into(), open)),
            None => drop(self.open.remove(gateway)),
        }
    }

    /// Whether an event that made this row may begin or end an outage. Called for each event.
    pub(super) fn concerns(&self, gateway: &str, row: &Row) -> bool {
        match row.usable {
            Some(false) => row.usable_since == Some(row.seen),
            Some(true) => !self.open.is_empty() && self.open.contains_key(gateway),
            None => false,
        }
    }

    /// The switch is out of reach, so time says nothing about its gateways.
    pub(super) fn forget_settling(&mut self) {
        self.settling.clear();
    }

    pub(super) fn is_settling(&self) -> bool {
        !self.settling.is_empty()
    }

    pub(super) fn settling(&self) -> impl Iterator<Item = &Arc<str>> {
        self.settling.keys()
    }

    pub(super) fn open(&self) -> impl Iterator<Item = &Arc<str>> {
        self.open.keys()
    }

    /// Judges a gateway by its row; `None`: the switch doesn't have it.
    pub(super) fn judge(&mut self, gateway: &Arc<str>, row: Option<&Row>, now: Instant) -> Option<Step> {
        let verdict = row.map(|row| (row, verdict(row)));
        if !matches!(verdict, Some((_, Verdict::OutAfter(_)))) {
            self.settling.remove(gateway);
        }
        let open = self.open.get(gateway);
        let Some((row, verdict)) = verdict else {
            let outage = open?.id.clone();
            let since = *self.missing.entry(gateway.clone()).or_insert(now);
            return (now.duration_since(since) >= GONE_AFTER).then_some(Step::Drop { outage });
        };
        self.missing.remove(gateway);
        match (verdict, open) {
            (Verdict::Up, Some(open)) => Some(Step::Close {
                outage: open.clone(),
                up_since: up_since(row),
            }),
            (Verdict::Unmeasured, Some(open)) => Some(Step::Drop {
                outage: open.id.clone(),
            }),
            (Verdict::Out, None) => Some(opened(row)),
            (Verdict::OutAfter(lasts), None) => {
                let since = *self.settling.entry(gateway.clone()).or_insert(now);
                (now.duration_since(since) >= lasts).then(|| opened(row))
            }
            (Verdict::OutAfter(_), Some(_)) => {
                self.settling.remove(gateway);
                None
            }
            (Verdict::Up | Verdict::Unmeasured, None) | (Verdict::Out, Some(_)) | (Verdict::Unsettled, _) => None,
        }
    }
}

fn verdict(row: &Row) -> Verdict {
    match (row.usable, row.state.as_ref()) {
        (Some(true), Some(State::Reged | State::Noreg)) => Verdict::Up,
        (Some(false), Some(State::Down | State::Unregister)) => Verdict::OutAfter(DOWN_LASTS),
        (Some(false), Some(State::Unreged | State::Trying | State::Register | State::Expired)) => {
            Verdict::OutAfter(TRYING_LASTS)
        }
        (Some(false), _) => Verdict::Out,
        (None, Some(State::Noreg)) => Verdict::Unmeasured,
        (Some(true) | None, _) => Verdict::Unsettled,
    }
}

fn opened(row: &Row) -> Step {
    let reason = row.reason.clone().unwrap_or_else(|| "not registered".to_owned());
    Step::Open {
        since: row.usable_since.unwrap_or(row.since),
        reason,
    }
}

/// A gateway that was restarted counts as usable while it registers, but it is up once it is REGED.
fn up_since(row: &Row) -> Timestamp {
    match row.state {
        Some(State::Reged) => row.since,
        _ => row.usable_since.unwrap_or(row.since),
    }
}

#[cfg(test)]
mod tests;
