//! One switch's rows beside what Redis wants of it: how each gateway is, and why.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use jiff::Timestamp;

use super::super::terminal::age;
use super::model::{Condition, Counts, Gateway, Switch};
use crate::control::Report;
use crate::gateway::{Desired, GatewayName};
use crate::observed::{Row, SwitchState};
use crate::reconcile::Want;

/// What the rows of one switch are compared with.
pub(super) struct View<'a> {
    pub(super) watched: bool,
    /// The rows were read from the switch itself: nothing is known of revisions and plans.
    pub(super) asked: bool,
    pub(super) paused: bool,
    pub(super) report: Option<Report>,
    pub(super) wants: BTreeMap<GatewayName, Want>,
    /// Whether the revisions of `wants` are those that `trunkd serve` makes.
    pub(super) has_key: bool,
    pub(super) desired: &'a Desired,
    pub(super) now: Timestamp,
}

/// Why a gateway is not what Redis wants.
struct Deviation {
    text: String,
    is_failure: bool,
}

impl View<'_> {
    /// The gateways that the switch has, and those that it should have.
    pub(super) fn switch(self, name: String, state: SwitchState, mut rows: HashMap<String, Row>) -> Switch {
        let wanted = self.wants.keys().map(ToString::to_string);
        let names: BTreeSet<_> = rows.keys().cloned().chain(wanted).collect();
        let gateways: Vec<_> = names
            .into_iter()
            .map(|gateway| {
                let row = rows.remove(&gateway);
                self.gateway(gateway, row, state.connected)
            })
            .collect();
        let report = self.report.unwrap_or_default();
        Switch {
            name,
            state,
            watched: self.watched,
            asked: self.asked,
            paused: self.paused,
            mode: (!report.mode.is_empty()).then_some(report.mode),
            held: report.held,
            is_store_empty: self.desired.counts().is_empty(),
            removals_left: report.removals_left,
            conflicts: report.conflicts,
            counts: Counts::of(&gateways),
            gateways,
        }
    }

    fn gateway(&self, name: String, row: Option<Row>, connected: bool) -> Gateway {
        let entry = self.desired.get(&name).map(|entry| &entry.gateway);
        let want = self.wants.get(name.as_str());
        let pings = entry.is_some_and(|gateway| gateway.param("ping").is_some());
        let condition = Condition::of(row.as_ref(), pings, connected && (self.watched || self.asked));
        let deviation = self.deviation(&name, row.as_ref(), want, connected);
        let mut gateway = Gateway::from_row(name, row.as_ref(), condition);
        // A switch does not say since when a gateway is down.
        gateway.since = gateway.since.filter(|_| !self.asked || condition == Condition::Up);
        gateway.domain = want.and(entry).map(|gateway| gateway.domain.to_string());
        gateway.desired_revision = want.filter(|_| self.has_key).map(|want| want.revision.clone());
        let pending = self
            .report
            .as_ref()
            .and_then(|report| report.pending.get(&gateway.name));
        gateway.applied_revision = pending.or(gateway.observed_revision.as_ref()).cloned();
        gateway.failing |= deviation.as_ref().is_some_and(|deviation| deviation.is_failure);
        // What was last known is not news.
        let trouble = trouble(&gateway, self.now).filter(|_| gateway.stale != Some(true));
        let notes: Vec<_> = trouble
            .into_iter()
            .chain(deviation.map(|deviation| deviation.text))
            .collect();
        gateway.note = (!notes.is_empty()).then(|| notes.join("; "));
        gateway
    }

    /// Why the switch does not run what Redis wants, if so.
    fn deviation(&self, name: &str, row: Option<&Row>, want: Option<&Want>, connected: bool) -> Option<Deviation> {
        let failure = |text: String| Some(Deviation { text, is_failure: true });
        let remark = |text: &str| {
            Some(Deviation {
                text: text.to_owned(),
                is_failure: false,
            })
        };
        if row.is_some_and(|row| row.stale) {
            return remark("switch out of reach: last known state");
        }
        let runs = row.and_then(|row| row.revision.as_ref());
        if let (Some(_), Some(refused)) = (runs, self.desired.refused().get(name)) {
            return failure(format!("kept: new value refused, {}", refused.reason));
        }
        if let Some(kept) = self.desired.get(name).and_then(|entry| entry.kept.as_ref()) {
            return failure(format!("kept: {kept}"));
        }
        if let Some(reason) = self.reported(name, want) {
            return failure(reason);
        }
        match (want, row) {
            (Some(_), None) if !connected => remark("switch not connected"),
            (Some(_), None) if self.asked => failure("desired, and not on this switch".to_owned()),
            (Some(_), None) => failure(format!("desired, and not on this switch: {}", self.blocker())),
            _ if self.asked => None,
            (Some(want), Some(_)) if self.has_key && runs.is_some_and(|runs| !want.is_revision(runs)) => {
                failure(format!("the edit is not on this switch: {}", self.blocker()))
            }
            (None, Some(_)) if runs.is_some() => failure(format!("no longer desired: {}", self.blocker())),
            (None, Some(_)) => remark("not ours, and not among the desired gateways"),
            (Some(_), Some(_)) | (None, None) => None,
        }
    }

    /// What the reconciler says of it.
    fn reported(&self, name: &str, want: Option<&Want>) -> Option<String> {
        let report = self.report.as_ref()?;
        if let Some(reason) = report.troubles.get(name) {
            return Some(reason.clone());
        }
        let about = |subject: String| report.conflicts.iter().find(move |text| text.starts_with(&subject));
        if let Some(conflict) = about(format!("gateway {name} ")) {
            return Some(conflict.clone());
        }
        let profile = &want?.profile;
        about(format!("profile {profile} does not run")).map(|_| {
            format!("profile {profile} does not run on this switch; `sofia profile {profile} start` starts it")
        })
    }

    /// Why what differs has not been done.
    fn blocker(&self) -> String {
        match &self.report {
            _ if !self.watched => "no trunkd is connected to it".to_owned(),
            Some(Report { held: Some(held), .. }) => held.clone(),
            _ if self.paused => "paused".to_owned(),
            Some(report) if report.mode != "apply" => format!("reconcile.mode is {:?}", report.mode),
            Some(_) => "under way".to_owned(),
            None => "no reconciler looks at it".to_owned(),
        }
    }
}

/// `403 Forbidden, down for 2 h 10 min, next try in 3 min`.
fn trouble(gateway: &Gateway, now: Timestamp) -> Option<String> {
    let mut parts = Vec::new();
    let answer = [&gateway.status, &gateway.phrase].map(|part| part.as_deref().unwrap_or_default());
    let answer = answer.join(" ").trim().to_owned();
    if let Some(challenge) = &gateway.challenge {
        let from = challenge
            .from
            .as_ref()
            .map_or_else(String::new, |from| format!(" from {from}"));
        parts.push(format!("a challenge{from} was not answered: set gw-auth-acl"));
    }
    match gateway.condition {
        Condition::Down | Condition::Trying => {
            parts.extend(gateway.reason.clone().or((!answer.is_empty()).then_some(answer)));
            let word = gateway.condition.as_str();
            parts.push(match gateway.usable_since.or(gateway.since) {
                Some(since) => format!("{word} for {}", age(now.duration_since(since))),
                None => word.to_owned(),
            });
            let retry = gateway.retry_at.filter(|retry| *retry > now);
            parts.extend(retry.map(|retry| format!("next try in {}", age(retry.duration_since(now)))));
        }
        Condition::Missing | Condition::Unknown | Condition::Up => {}
    }
    if gateway.ping_stuck {
        parts.push("its ping is stuck, so PING may be wrong".to_owned());
    }
    (!parts.is_empty()).then(|| parts.join(", "))
}
