//! Compares one switch's rows with what Redis wants.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::condition::Condition;
use super::deviation::{Blocker, Deviation};
use super::model::{Counts, DrainedSince, Gateway, OnSwitch, Switch};
use super::note::Note;
use crate::carriers::Parked;
use crate::control::{Conflict, Drained, Report};
use crate::gateway::{Desired, Entry, GatewayName, Phase};
use crate::observed::{Row, SwitchState};
use crate::reconcile::Want;

/// What the rows of one switch are compared with.
pub(in crate::operate) struct View<'a> {
    pub(super) watched: bool,
    /// The rows come from the switch itself, so revisions and plans are unknown.
    pub(super) asked: bool,
    pub(super) paused: bool,
    pub(super) drained: Option<Drained>,
    pub(super) report: Option<Report>,
    pub(super) wants: BTreeMap<GatewayName, Want>,
    /// Whether the revisions of `wants` are those that `trunkd serve` makes.
    pub(super) has_key: bool,
    pub(super) desired: &'a Desired,
}

impl View<'_> {
    /// The gateways that the switch has or should have.
    pub(in crate::operate) fn switch(self, name: String, state: SwitchState, mut rows: HashMap<String, Row>) -> Switch {
        let wanted = self.wants.keys().map(ToString::to_string);
        let names: BTreeSet<_> = rows.keys().cloned().chain(wanted).collect();
        let gateways: Vec<_> = names
            .into_iter()
            .map(|gateway| {
                let row = rows.remove(&gateway);
                self.gateway(&name, gateway, row, state.connected)
            })
            .collect();
        let report = self.report.unwrap_or_default();
        Switch {
            name,
            state,
            watched: self.watched,
            asked: self.asked,
            paused: self.paused,
            drained: self.drained.as_ref().map(DrainedSince::from),
            placed: gateways.iter().filter(|gateway| gateway.is_placed).count(),
            held: report.held(),
            mode: (!report.mode.is_empty()).then_some(report.mode),
            is_store_empty: self.desired.counts().is_empty(),
            removals_left: report.removals_left,
            conflicts: report.conflicts.iter().map(Note::from).collect(),
            counts: Counts::of(&gateways),
            gateways,
        }
    }

    fn gateway(&self, switch: &str, name: String, row: Option<Row>, connected: bool) -> Gateway {
        let entry = self.desired.get(&name).map(|entry| &entry.gateway);
        let want = self.wants.get(name.as_str());
        let pings = entry.is_some_and(|gateway| gateway.param("ping").is_some());
        let condition = Condition::of(row.as_ref(), pings, connected && (self.watched || self.asked));
        let deviation = self.deviation(&name, row.as_ref(), want, connected);
        let on = OnSwitch {
            switch,
            watched: self.watched,
        };
        let mut gateway = Gateway::from_row(on, name, row.as_ref(), condition);
        // A switch doesn't say since when a gateway is down.
        gateway.since = gateway.since.filter(|_| !self.asked || condition == Condition::Up);
        gateway.domain = want.and(entry).map(|gateway| gateway.domain.to_string());
        gateway.desired_revision = want.filter(|_| self.has_key).map(|want| want.revision.clone());
        let pending = self
            .report
            .as_ref()
            .and_then(|report| report.pending.get(&gateway.name));
        gateway.applied_revision = pending.or(gateway.observed_revision.as_ref()).cloned();
        gateway.is_verified = self
            .report
            .as_ref()
            .is_some_and(|report| report.verifying.contains(&gateway.name));
        gateway.is_placed = want.and(entry).is_some_and(|gateway| gateway.is_on_one());
        gateway.failing |= deviation.as_ref().is_some_and(Deviation::is_failure);
        gateway.note = deviation.as_ref().map(Deviation::note);
        gateway.deviation = deviation;
        gateway
    }

    /// Why the switch does not run what Redis wants, if so.
    fn deviation(&self, name: &str, row: Option<&Row>, want: Option<&Want>, connected: bool) -> Option<Deviation> {
        let on_one = self.desired.get(name).filter(|entry| entry.gateway.is_on_one());
        if want.and(on_one).is_some() && !connected {
            return Some(Deviation::NotTakenOver);
        }
        if row.is_some_and(|row| row.stale) {
            return Some(Deviation::SwitchUnreachable);
        }
        let runs = row.and_then(|row| row.revision.as_ref());
        if let (Some(_), Some(refused)) = (runs, self.desired.refused().get(name)) {
            let problem = refused.reason.clone();
            return Some(Deviation::NewValueRefused { problem });
        }
        if let Some(kept) = self.desired.get(name).and_then(|entry| kept(entry)) {
            return Some(kept);
        }
        if let Some(reported) = self.reported(name, want) {
            return Some(reported);
        }
        if let Some(parked) = self.parked(name, want) {
            return Some(Deviation::Parked { parked: parked.clone() });
        }
        match (want, row) {
            (Some(_), None) if !connected => Some(Deviation::SwitchNotConnected),
            (Some(_), None) => Some(Deviation::Missing {
                blocker: (!self.asked).then(|| self.blocker(name)),
            }),
            _ if self.asked => None,
            (Some(want), Some(_)) if self.has_key && runs.is_some_and(|runs| !want.is_revision(runs)) => {
                let blocker = self.blocker(name);
                Some(Deviation::Outdated { blocker })
            }
            (None, Some(_)) if runs.is_some() && on_one.is_some() => self.elsewhere(name),
            (None, Some(_)) if runs.is_some() => {
                let blocker = self.blocker(name);
                Some(Deviation::Unwanted { blocker })
            }
            (None, Some(_)) => Some(Deviation::NotOurs),
            (Some(_), Some(_)) | (None, None) => None,
        }
    }

    /// It runs here, and is to run on another switch alone. While none is chosen, it stays.
    fn elsewhere(&self, name: &str) -> Option<Deviation> {
        let name = &self.desired.get(name)?.gateway.name;
        let placed = self.desired.placements().get(name)?;
        Some(Deviation::Elsewhere {
            switch: placed.ends_at().to_owned(),
            blocker: self.blocker(name.as_str()),
        })
    }

    /// How the wanted version is parked.
    fn parked(&self, name: &str, want: Option<&Want>) -> Option<&Parked> {
        let parked = self.report.as_ref()?.parked.get(name)?;
        want?.is_revision(&parked.revision).then_some(parked)
    }

    /// What the reconciler reports about it.
    fn reported(&self, name: &str, want: Option<&Want>) -> Option<Deviation> {
        let report = self.report.as_ref()?;
        if let Some(problem) = report.troubles.get(name).cloned() {
            return Some(Deviation::ActionFailed { problem });
        }
        let of_gateway = report.conflicts.iter().find(|conflict| match conflict {
            Conflict::NotOurs { gateway, .. } | Conflict::Ghost { gateway, .. } => gateway.as_str() == name,
            Conflict::ProfileNotRunning { .. } => false,
        });
        if let Some(conflict) = of_gateway.cloned() {
            return Some(Deviation::Conflict { conflict });
        }
        let profile = &want?.profile;
        let is_stopped = |conflict: &Conflict| match conflict {
            Conflict::ProfileNotRunning { profile: stopped, .. } => stopped == profile,
            Conflict::NotOurs { .. } | Conflict::Ghost { .. } => false,
        };
        let profile = report.conflicts.iter().any(is_stopped).then(|| profile.clone())?;
        Some(Deviation::ProfileNotRunning { profile })
    }

    /// Why the change has not been made.
    fn blocker(&self, name: &str) -> Blocker {
        let held = self.report.as_ref().and_then(Report::held);
        match (&self.report, held) {
            _ if !self.watched => Blocker::NoTrunkd,
            (_, Some(held)) => Blocker::Held { held },
            _ if self.paused => Blocker::Paused,
            (Some(report), None) if report.mode != "apply" => Blocker::Mode {
                mode: report.mode.clone(),
            },
            (Some(report), None) => {
                let waiting = report.waiting.iter();
                let mut waiting = waiting.filter(|(_, waiting)| waiting.gateways.contains(name));
                match waiting.next() {
                    Some((carrier, waiting)) => Blocker::Pace {
                        carrier: carrier.clone(),
                        per_second: waiting.per_second,
                    },
                    None => Blocker::InProgress,
                }
            }
            (None, None) => Blocker::NoReconciler,
        }
    }
}

/// Why an older version is served than the one in Redis, if so.
fn kept(entry: &Entry) -> Option<Deviation> {
    let problem = entry.kept.clone()?;
    Some(match entry.rollback.as_ref().map(|rollback| rollback.phase) {
        Some(Phase::Waiting) => Deviation::EditWaits { problem },
        Some(Phase::Held) => Deviation::EditHeld { problem },
        Some(_) => Deviation::RolledBack { problem },
        None => Deviation::Kept { problem },
    })
}

#[cfg(test)]
mod tests;
