//! Decides whether an edited gateway works, and whether its edit is taken back.
//!
//! Takes values and returns values: no I/O, no clock.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::diff::Have;
use super::known::Seen;
use crate::control::{Good, Verification};
use crate::gateway::{Phase, Rollback};

/// A version that worked longer ago than this may no longer be right either.
const WORKED_RECENTLY: SignedDuration = SignedDuration::from_hours(1);

/// A version that runs, and its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version {
    pub revision: String,
    pub value: Vec<u8>,
}

/// A restart for an edit, before it is made.
#[derive(Debug)]
pub struct Edited<'a> {
    pub domain: &'a str,
    /// What runs now.
    pub from: &'a str,
    /// What will run.
    pub to: &'a str,
    /// The value that Redis has.
    pub value: &'a [u8],
    /// What is decided about that value.
    pub rollback: Option<&'a Rollback>,
    /// When the version that runs last worked, if it did.
    pub worked_at: Option<Timestamp>,
    /// The value of the version that runs, if known.
    pub running: Option<&'a Version>,
    /// The verification of the version that runs, if it isn't over.
    pub pending: Option<&'a Verification>,
}

/// What is known about an edit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing yet.
    Wait,
    /// Another version is wanted, and runs.
    Superseded,
    Works,
    /// The carrier refused it for good: `403 Forbidden`.
    Refused(String),
    /// It doesn't work, and the carrier didn't say that it never will. Why not, if known.
    Unclear(Option<String>),
}

impl Edited<'_> {
    /// What has to work after the restart. `None` if nothing could be done about it.
    pub fn verification(&self, now: Timestamp) -> Option<Verification> {
        let (good, is_way_back) = match self.rollback {
            Some(rollback) if rollback.phase.keeps_old() => {
                let (value, worked_at) = (rollback.good.clone(), rollback.worked_at);
                (Good { value, worked_at }, true)
            }
            // The version before was refused as well.
            Some(rollback) if rollback.phase == Phase::GaveUp => return None,
            _ => (self.good(now)?, false),
        };
        Some(Verification {
            domain: self.domain.to_owned(),
            revision: self.to.to_owned(),
            edit: Rollback::digest(self.value),
            good,
            is_way_back,
            began: now,
        })
    }

    /// The version to go back to: the one that runs, or what worked before that one.
    fn good(&self, now: Timestamp) -> Option<Good> {
        let is_recent = |at: &Timestamp| now.duration_since(*at) <= WORKED_RECENTLY;
        let running = self.running.filter(|running| running.revision == self.from);
        if let (Some(worked_at), Some(running)) = (self.worked_at.filter(is_recent), running) {
            let value = crate::gateway::StoredValue::new(&running.value)?;
            return Some(Good { value, worked_at });
        }
        let pending = self.pending.filter(|pending| pending.revision == self.from)?;
        Some(pending.good.clone()).filter(|good| is_recent(&good.worked_at))
    }
}

/// `wanted`: the revision that is to run. `running_for`: since when the switch runs the version, as far
/// as this trunkd has seen.
pub fn verify(
    verification: &Verification,
    wanted: Option<&String>,
    (have, seen): (Option<&Have>, Option<&Seen>),
    running_for: Duration,
    limit: Duration,
) -> Verdict {
    let runs = have.and_then(|have| have.revision.as_ref());
    if wanted != Some(&verification.revision) {
        // Until the next version runs, it says what worked before.
        let is_needed = wanted.is_some() && runs.is_none_or(|runs| *runs == verification.revision);
        return if is_needed { Verdict::Wait } else { Verdict::Superseded };
    }
    let Some(seen) = seen.filter(|_| runs == Some(&verification.revision)) else {
        return Verdict::Wait;
    };
    match (&seen.reason, seen.usable) {
        (_, Some(true)) => Verdict::Works,
        (Some(answer), _) if seen.is_refused_for_good => Verdict::Refused(answer.clone()),
        (reason, _) if running_for >= limit => Verdict::Unclear(reason.clone()),
        _ => Verdict::Wait,
    }
}

#[cfg(test)]
mod tests;
