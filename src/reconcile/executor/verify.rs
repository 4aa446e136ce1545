//! Follows edited gateways until they work, and takes edits back that their carrier refuses.

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

use super::Executor;
use super::switch::{DesiredSource, Refreshed, Switch, Wanted};
use crate::control::Verification;
use crate::gateway::{Desired, GatewayName, Phase, RevisionKey, Rollback};
use crate::history::{Entry, Event};
use crate::metrics;
use crate::reconcile::plan::{
    Action, Authority, Decision, Differences, EditVerdict, Edited, Known, Version, Want, verify,
};
use crate::shown::shown;

/// What is followed on one switch.
#[derive(Default)]
pub(super) struct Edits {
    /// Edits that have to work within a while.
    pending: BTreeMap<GatewayName, Pending>,
    /// Whether `pending` has what an earlier lease holder left.
    is_read: bool,
    /// Of gateways that work, or did: the version and when.
    worked: BTreeMap<GatewayName, Worked>,
    /// The values of versions that run and are no longer wanted.
    replaced: BTreeMap<GatewayName, Version>,
    /// The state for which outdated records were last looked for.
    cleaned: Weak<Desired>,
}

struct Pending {
    verification: Verification,
    /// Since when the switch is known to run it.
    runs_since: Option<Instant>,
}

struct Worked {
    revision: String,
    /// `None`: it still does.
    until: Option<Timestamp>,
}

impl Edits {
    /// What an earlier term left may be stale.
    pub(super) fn begin_term(&mut self) {
        self.pending.clear();
        self.is_read = false;
    }

    /// Remembers which gateways work, after the switch changed.
    pub(super) fn observe(&mut self, known: &Known, learned: &Refreshed, now: Timestamp) {
        match learned {
            Refreshed::All => {
                let gone = |name: &GatewayName| !known.actual.gateways.contains_key(name);
                self.worked.retain(|name, _| !gone(name));
                known.seen.keys().for_each(|name| self.observe_one(name, known, now));
            }
            Refreshed::Changes(changed) => changed.iter().for_each(|name| self.observe_one(name, known, now)),
        }
    }

    fn observe_one(&mut self, name: &GatewayName, known: &Known, now: Timestamp) {
        let have = known.actual.gateways.get(name);
        let revision = have.and_then(|have| have.revision.as_ref());
        let usable = known.seen.get(name).and_then(|seen| seen.usable);
        match (revision, usable) {
            (Some(revision), Some(true)) => {
                let worked = Worked {
                    revision: revision.clone(),
                    until: None,
                };
                self.worked.insert(name.clone(), worked);
            }
            (Some(_), _) => {
                if let Some(worked) = self.worked.get_mut(name) {
                    worked.until.get_or_insert(now);
                }
            }
            (None, _) => drop(self.worked.remove(name)),
        }
    }

    /// A gateway gets another version: the one that runs may be needed again. `runs` is its revision, if
    /// that is known yet.
    pub(super) fn replace(
        &mut self,
        name: &GatewayName,
        runs: Option<&String>,
        wanted: Option<&Want>,
        before: &Desired,
    ) {
        let Some(wanted) = wanted else { return };
        let revision = match runs {
            Some(runs) if wanted.is_revision(runs) => runs,
            None if !self.replaced.contains_key(name) => &wanted.revision,
            _ => return,
        };
        if let Some(value) = before.served_value(name) {
            let revision = revision.clone();
            self.replaced.insert(name.clone(), Version { revision, value });
        }
    }

    /// The same after a restart of trunkd, for edits that were made while there was none.
    pub(super) fn recall(&mut self, before: &Desired, key: &RevisionKey, differences: &Differences, known: &Known) {
        for name in differences.names() {
            let runs = known.actual.gateways.get(name).and_then(|have| have.revision.as_ref());
            if let Some(entry) = before.get(name.as_str()) {
                self.replace(name, runs, Some(&Want::of(&entry.gateway, key)), before);
            }
        }
    }

    /// Forgets the values of versions that no longer run.
    pub(super) fn forget_replaced(&mut self, differences: &Differences) {
        self.replaced.retain(|name, _| differences.contains(name));
    }

    /// The gateways that have to work within a while.
    pub(super) fn pending(&self) -> impl Iterator<Item = &GatewayName> {
        self.pending.keys()
    }

    /// The value of this version, which runs and is no longer wanted.
    pub(super) fn replaced_value(&self, name: &GatewayName, revision: &str) -> Option<&[u8]> {
        let replaced = self
            .replaced
            .get(name)
            .filter(|replaced| replaced.revision == revision)?;
        Some(&replaced.value)
    }

    /// When a gateway last worked with this version.
    fn worked_at(&self, name: &GatewayName, revision: &str, now: Timestamp) -> Option<Timestamp> {
        let worked = self.worked.get(name).filter(|worked| worked.revision == revision)?;
        Some(worked.until.unwrap_or(now))
    }

    /// What has to work after a restart.
    fn verification(&self, action: &Action, desired: &Desired, now: Timestamp) -> Option<Verification> {
        let (gateway, to) = (action.gateway(), action.to()?);
        let pending = self.pending.get(gateway).map(|pending| &pending.verification);
        let from = match action {
            Action::Restart { from, .. } => from.revision.as_deref()?,
            // It was killed already, for another edit.
            Action::Start { .. } => &pending?.revision,
            Action::Kill { .. } => return None,
        };
        let entry = desired.get(gateway.as_str())?;
        if !entry.gateway.rollback || pending.is_some_and(|pending| pending.revision == to.revision) {
            return None;
        }
        let value = desired.stored_value(gateway)?;
        let edited = Edited {
            domain: &to.domain,
            from,
            to: &to.revision,
            value,
            rollback: desired
                .rollbacks()
                .about(&to.domain, gateway, value)
                .map(|known| &**known),
            worked_at: self.worked_at(gateway, from, now),
            running: self.replaced.get(gateway),
            pending,
        };
        edited.verification(now)
    }

    fn add(&mut self, new: impl IntoIterator<Item = (GatewayName, Verification)>) {
        let new = new.into_iter().map(|(name, verification)| {
            let runs_since = None;
            (
                name,
                Pending {
                    verification,
                    runs_since,
                },
            )
        });
        self.pending.extend(new);
    }

    /// What is known about each pending edit. One that is no longer wanted is over.
    fn judge(&mut self, known: &Known, wants: &BTreeMap<GatewayName, Want>, limit: Duration) -> Vec<Judged> {
        let now = Instant::now();
        let mut judged = Vec::new();
        for (
            name,
            Pending {
                verification,
                runs_since,
            },
        ) in &mut self.pending
        {
            let wanted = wants.get(name).map(|want| &want.revision);
            let have = known.actual.gateways.get(name);
            if have.and_then(|have| have.revision.as_ref()) == Some(&verification.revision) {
                runs_since.get_or_insert(now);
            }
            let running_for = runs_since.map_or(Duration::ZERO, |since| now.duration_since(since));
            let of_switch = (have, known.seen.get(name));
            let verdict = verify(verification, wanted, of_switch, running_for, limit);
            if verdict != EditVerdict::Wait {
                judged.push(Judged {
                    name: name.clone(),
                    verification: verification.clone(),
                    verdict,
                });
            }
        }
        judged
    }
}

pub(super) struct Judged {
    pub(super) name: GatewayName,
    pub(super) verification: Verification,
    pub(super) verdict: EditVerdict,
}

impl<S: Switch, W: DesiredSource> Executor<S, W> {
    /// Writes down what has to survive a crash, before the actions that are due are carried out. Returns
    /// those that may be.
    pub(super) async fn prepare(
        &mut self,
        due: Vec<(Action, Authority)>,
        decision: &Decision,
        known: &Known,
        wanted: &Wanted,
    ) -> Vec<Action> {
        let due = self.try_few_first(due, decision, known, wanted).await;
        let due = self.record_removals(due).await;
        let actions = due.into_iter().map(|(action, _)| action).collect();
        self.memory.carriers.waiting.clear();
        let actions = self.within_pace(actions).await;
        self.begin_verifying(actions, &wanted.desired).await
    }

    /// Writes down what worked, before gateways are restarted for an edit. Returns the actions that may be
    /// carried out: without Redis none of these.
    async fn begin_verifying(&mut self, actions: Vec<Action>, desired: &Desired) -> Vec<Action> {
        if !self.edit_rules.rollback {
            return actions;
        }
        let now = Timestamp::now();
        let edits = &mut self.memory.edits;
        let new = actions.iter().filter_map(|action| {
            let verification = edits.verification(action, desired, now)?;
            Some((action.gateway().clone(), verification))
        });
        let new: Vec<_> = new.collect();
        if new.is_empty() {
            return actions;
        }
        if self.store.write_verifications(self.switch.name(), &new).await.is_err() {
            let is_new = |action: &Action| new.iter().any(|(name, _)| name == action.gateway());
            return actions.into_iter().filter(|action| !is_new(action)).collect();
        }
        edits.add(new);
        actions
    }

    /// Decides about the pending edits, and takes back what was refused.
    pub(super) async fn verify_edits(&mut self, known: &Known, wanted: &Wanted) {
        let name = self.switch.name().to_owned();
        if !self.memory.edits.is_read {
            let Ok(left) = self.store.read_verifications(&name).await else {
                return;
            };
            self.memory.edits.add(left);
            self.memory.edits.is_read = true;
        }
        let limit = self.edit_rules.verify_within;
        let judged = self.memory.edits.judge(known, &self.memory.wants, limit);
        let mut over = Vec::new();
        for judged in judged {
            if self.settle(&judged, &wanted.desired).await {
                over.push(judged.name);
            }
        }
        if !over.is_empty() && self.store.drop_verifications(&name, &over).await.is_ok() {
            self.memory.edits.pending.retain(|name, _| !over.contains(name));
        }
        self.forget_outdated(&wanted.desired).await;
    }

    /// Does what a verdict asks for. False if it could not, and is to be tried again.
    async fn settle(&self, judged: &Judged, desired: &Desired) -> bool {
        let (switch, gateway, domain) = (self.switch.name(), &judged.name, &judged.verification.domain);
        match &judged.verdict {
            EditVerdict::Wait | EditVerdict::Superseded => true,
            EditVerdict::Works => {
                let version = if judged.verification.is_way_back {
                    "the version before"
                } else {
                    "the edit"
                };
                tracing::info!(switch, %gateway, domain, "{version} works");
                true
            }
            EditVerdict::Unclear(answer) => {
                let answer = answer.as_deref().unwrap_or("no answer");
                tracing::warn!(
                    switch,
                    %gateway,
                    domain,
                    "does not work yet after an edit, which stays, because the carrier did not refuse it: {answer}"
                );
                true
            }
            EditVerdict::Refused(answer) => {
                let Some((rollback, edited)) = self.rollback(judged, answer, desired) else {
                    return true;
                };
                self.record_rollback(gateway, &rollback, &edited).await
            }
        }
    }

    /// What becomes of a refused edit, and the value of it.
    fn rollback(&self, judged: &Judged, answer: &str, desired: &Desired) -> Option<(Rollback, Vec<u8>)> {
        let (name, verification) = (&judged.name, &judged.verification);
        let edited = desired.stored_value(name)?.to_vec();
        let good = &verification.good;
        let rollback = match verification.is_way_back {
            false => Rollback {
                domain: verification.domain.clone(),
                edit: verification.edit.clone(),
                phase: Phase::RolledBack,
                good: good.value.clone(),
                worked_at: good.worked_at,
                at: Timestamp::now(),
                switch: self.switch.name().to_owned(),
                answer: shown(answer).to_string(),
                canary: None,
            },
            true => Rollback {
                phase: Phase::GaveUp,
                at: Timestamp::now(),
                answer: shown(answer).to_string(),
                ..Rollback::clone(desired.rollbacks().about(&verification.domain, name, &edited)?)
            },
        };
        Some((rollback, edited))
    }

    async fn record_rollback(&self, gateway: &GatewayName, rollback: &Rollback, edited: &[u8]) -> bool {
        let (switch, domain, answer) = (self.switch.name(), &rollback.domain, &rollback.answer);
        let gave_up = rollback.phase == Phase::GaveUp;
        let event = Event::RolledBack {
            reason: answer.clone(),
            worked_at: rollback.worked_at,
            gave_up,
        };
        let entry = Entry::of_switch(switch, event).with_gateway(gateway.as_str(), Some(domain.clone()));
        match self.history.roll_back(gateway, edited, rollback, &entry).await {
            Ok(true) if gave_up => tracing::error!(
                switch, %gateway, domain, "the carrier refuses the version before too, so the edit stays: {answer}"
            ),
            Ok(true) => tracing::warn!(
                switch,
                %gateway,
                domain,
                "rolled back: the carrier refused the edit with {answer}; `trunkd apply` tries it again"
            ),
            // Another switch was faster, or somebody edited it again.
            Ok(false) => return true,
            Err(_) => return false,
        }
        let outcome = if gave_up { "gave_up" } else { "rolled_back" };
        ::metrics::counter!(metrics::ROLLBACKS, "switch" => switch.to_owned(), "outcome" => outcome).increment(1);
        true
    }

    /// Deletes records about values that Redis no longer has.
    async fn forget_outdated(&mut self, desired: &Arc<Desired>) {
        if self.memory.edits.cleaned.ptr_eq(&Arc::downgrade(desired)) {
            return;
        }
        let outdated = desired.outdated_rollbacks(Timestamp::now());
        if outdated.is_empty() || self.store.forget_rollbacks(&outdated).await.is_ok() {
            self.memory.edits.cleaned = Arc::downgrade(desired);
        }
    }
}
