//! Tries an edit of many working gateways of one carrier with a few of them first.
//!
//! The others wait in `trunkd:rollbacks`, where they keep their version on every switch, also on one
//! that boots meanwhile.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};

use super::Executor;
use super::switch::{DesiredSource, Switch, Wanted};
use crate::control::Canary;
use crate::gateway::{Desired, GatewayName, Phase, Rollback, StoredValue, Tried};
use crate::history::{Entry, Event};
use crate::language::{Language, message};
use crate::reconcile::plan::{Action, Authority, Decision, First, Known, Next, next};
use crate::shown::shown;

/// After this and the time to verify an edit, another switch takes over.
const OVERDUE: SignedDuration = SignedDuration::from_mins(2);

/// The canaries of all carriers.
#[derive(Default)]
pub(super) struct Canaries {
    known: BTreeMap<String, Canary>,
    /// Whether `known` has what there was at the begin of the term.
    is_read: bool,
}

impl Canaries {
    pub(super) fn begin_term(&mut self) {
        *self = Self::default();
    }
}

/// carrier → its working gateways that are to be restarted for an edit.
type Edited = BTreeMap<String, BTreeMap<String, Candidate>>;

/// A gateway that may be tried first.
struct Candidate {
    /// The revision that it gets.
    revision: String,
    /// The value that works.
    good: StoredValue,
}

impl<S: Switch, W: DesiredSource> Executor<S, W> {
    /// Takes out the actions that have to wait for others of the same carrier.
    pub(super) async fn try_few_first(
        &mut self,
        actions: Vec<(Action, Authority)>,
        decision: &Decision,
        known: &Known,
        wanted: &Wanted,
    ) -> Vec<(Action, Authority)> {
        let rules = &self.edit_rules;
        if !rules.rollback || rules.canary == 0 {
            return actions;
        }
        let edited = self.edited(decision, known, &wanted.desired);
        let is_flood = edited.values().any(|of| of.len() > rules.canary_from);
        let canaries = &self.memory.canaries;
        let waits = wanted.desired.rollbacks().count(Phase::Waiting) > 0;
        if canaries.is_read && canaries.known.is_empty() && !is_flood && !waits {
            return actions;
        }
        let Ok(canaries) = self.store.read_canaries().await else {
            return Vec::new();
        };
        self.memory.canaries = Canaries {
            known: canaries,
            is_read: true,
        };
        self.forget_orphans(&wanted.desired).await;
        self.judge_canaries(known, wanted).await;
        let Some(waiting) = self.waiting(edited, &wanted.desired).await else {
            return Vec::new();
        };
        let names: BTreeSet<_> = waiting.iter().map(|(name, _)| name.clone()).collect();
        if !waiting.is_empty() {
            // If Redis does not take it, they wait in this step alone.
            let _ = self.store.hold_edits(&waiting).await;
        }
        let may_go = |(action, authority): &(Action, Authority)| {
            *authority == Authority::Order || !names.contains(action.gateway())
        };
        actions.into_iter().filter(may_go).collect()
    }

    /// Without those that nobody can tell about, or that couldn't go back.
    fn edited(&self, decision: &Decision, known: &Known, desired: &Desired) -> Edited {
        let mut edited = Edited::new();
        for action in &decision.plan.actions {
            if decision.allows(action) == Some(Authority::Redis)
                && let Some((carrier, candidate)) = self.candidate(action, known, desired)
            {
                let of = edited.entry(carrier).or_default();
                of.insert(action.gateway().to_string(), candidate);
            }
        }
        edited
    }

    fn candidate(&self, action: &Action, known: &Known, desired: &Desired) -> Option<(String, Candidate)> {
        let Action::Restart { gateway, from, to } = action else {
            return None;
        };
        let entry = desired.get(gateway.as_str()).filter(|entry| entry.gateway.rollback)?;
        let works = known.seen.get(gateway)?.usable == Some(true);
        let stored = desired.stored_value(gateway)?;
        let is_decided = desired.rollbacks().about(&to.domain, gateway, stored).is_some();
        if !works || is_decided {
            return None;
        }
        let runs = self.memory.edits.replaced_value(gateway, from.revision.as_deref()?)?;
        let candidate = Candidate {
            revision: to.revision.clone(),
            good: StoredValue::new(runs)?,
        };
        Some((self.carriers.name_of(&entry.gateway)?, candidate))
    }

    /// What the others wait with. `None` if Redis can't be written.
    async fn waiting(&mut self, edited: Edited, desired: &Desired) -> Option<Vec<(GatewayName, Rollback)>> {
        let (now, rules) = (Timestamp::now(), &self.edit_rules);
        let mut waiting = Vec::new();
        for (carrier, of) in edited {
            let canary = match self.memory.canaries.known.get(&carrier) {
                Some(known) => known.clone(),
                None if of.len() > rules.canary_from => {
                    let new = Canary::new(self.switch.name(), first(&of, rules.canary), now);
                    let canary = self.store.begin_canary(&carrier, &new).await.ok()?;
                    tracing::info!(
                        switch = self.switch.name(),
                        carrier = %shown(&carrier),
                        edited = of.len(),
                        first = canary.first.len(),
                        "a few of the edited gateways of this carrier are tried before the others"
                    );
                    self.memory.canaries.known.insert(carrier.clone(), canary.clone());
                    canary
                }
                None => continue,
            };
            let is_first = |name: &str, candidate: &Candidate| canary.first.get(name) == Some(&candidate.revision);
            let others = of.into_iter().filter(|(name, candidate)| !is_first(name, candidate));
            waiting.extend(others.filter_map(|(name, candidate)| {
                let name = GatewayName::parse(&name).ok()?;
                let rollback = self.waits(&name, candidate, &carrier, desired, now)?;
                Some((name, rollback))
            }));
        }
        Some(waiting)
    }

    fn waits(
        &self,
        name: &GatewayName,
        candidate: Candidate,
        carrier: &str,
        desired: &Desired,
        now: Timestamp,
    ) -> Option<Rollback> {
        let entry = desired.get(name.as_str())?;
        Some(Rollback {
            domain: entry.gateway.domain.to_string(),
            edit: Rollback::digest(desired.stored_value(name)?),
            phase: Phase::Waiting,
            good: candidate.good,
            worked_at: now,
            at: now,
            switch: self.switch.name().to_owned(),
            answer: String::new(),
            canary: Some(Tried {
                carrier: carrier.to_owned(),
                ..Tried::default()
            }),
        })
    }

    /// Edits that wait for nothing, because they came when the canary was just over, are judged anew.
    async fn forget_orphans(&self, desired: &Desired) {
        let canaries = &self.memory.canaries.known;
        let is_orphan = |rollback: &Rollback| {
            let carrier = rollback.canary.as_ref().map(|tried| &tried.carrier);
            rollback.phase == Phase::Waiting && carrier.is_none_or(|carrier| !canaries.contains_key(carrier))
        };
        let orphans = desired.rollbacks().iter().filter(|(_, rollback)| is_orphan(rollback));
        let orphans: Vec<_> = orphans
            .map(|(name, rollback)| (name.clone(), Arc::clone(rollback)))
            .collect();
        if !orphans.is_empty() {
            // If Redis does not take it, the next step tries again.
            let _ = self.store.forget_rollbacks(&orphans).await;
        }
    }

    /// Lets the others follow, or holds them, once it is known how the first ones fare.
    async fn judge_canaries(&mut self, known: &Known, wanted: &Wanted) {
        let (now, switch) = (Timestamp::now(), self.switch.name());
        let limit = OVERDUE + SignedDuration::try_from(self.edit_rules.verify_within).unwrap_or(OVERDUE);
        let mut over = Vec::new();
        for (carrier, canary) in &self.memory.canaries.known {
            let is_overdue = now.duration_since(canary.at) > limit;
            if canary.switch != switch && !is_overdue {
                continue;
            }
            let first = canary.first.iter();
            let verdict =
                next(first.map(
                    |(name, revision)| match self.first(name, revision, known, &wanted.desired) {
                        // It never came to that.
                        First::Waits if is_overdue => First::Void,
                        first => first,
                    },
                ));
            let is_done = match verdict {
                Next::Wait => continue,
                Next::Go => {
                    self.move_waiting(carrier, Phase::Released, &Tried::default(), "", &wanted.desired)
                        .await
                }
                Next::Again => self.forget_waiting(carrier, &wanted.desired).await,
                Next::Hold { tried, failed, answer } => {
                    let carrier_name = carrier.clone();
                    let tried = Tried {
                        carrier: carrier_name,
                        tried,
                        failed,
                    };
                    let answer = answer.unwrap_or_default();
                    self.hold_waiting(canary, &tried, &answer, &wanted.desired).await
                }
            };
            if is_done && self.store.end_canary(carrier, canary).await.is_ok() {
                over.push(carrier.clone());
            }
        }
        self.memory.canaries.known.retain(|carrier, _| !over.contains(carrier));
    }

    /// How a gateway fares that is tried first.
    fn first(&self, name: &str, revision: &str, known: &Known, desired: &Desired) -> First {
        let Ok(name) = GatewayName::parse(name) else {
            return First::Void;
        };
        let have = known
            .actual
            .gateways
            .get(&name)
            .and_then(|have| have.revision.as_deref());
        let value = desired.stored_value(&name);
        let entry = desired.get(name.as_str());
        let rollback = entry
            .zip(value)
            .and_then(|(entry, value)| desired.rollbacks().about(&entry.gateway.domain, &name, value));
        if let Some(rollback) = rollback
            && matches!(rollback.phase, Phase::RolledBack | Phase::GaveUp)
        {
            return First::Fails(Some(rollback.answer.clone()));
        }
        let is_wanted = self
            .memory
            .wants
            .get(&name)
            .is_some_and(|want| want.revision == revision);
        let seen = known.seen.get(&name);
        match (have == Some(revision), seen.and_then(|seen| seen.usable)) {
            _ if !is_wanted => First::Void,
            (false, _) => First::Waits,
            (true, Some(true)) => First::Works,
            _ if self.memory.edits.pending().any(|pending| *pending == name) => First::Waits,
            (true, _) => First::Fails(seen.and_then(|seen| seen.reason.clone())),
        }
    }

    fn waiting_for<'a>(
        carrier: &'a str,
        desired: &'a Desired,
    ) -> impl Iterator<Item = (&'a GatewayName, &'a Arc<Rollback>)> {
        let waits = move |rollback: &Rollback| {
            let of_carrier = rollback.canary.as_ref().is_some_and(|tried| tried.carrier == *carrier);
            rollback.phase == Phase::Waiting && of_carrier
        };
        desired.rollbacks().iter().filter(move |(_, rollback)| waits(rollback))
    }

    async fn move_waiting(&self, carrier: &str, to: Phase, tried: &Tried, answer: &str, desired: &Desired) -> bool {
        let at = Timestamp::now();
        let moved = Self::waiting_for(carrier, desired).map(|(name, waits)| {
            let moved = Rollback {
                phase: to,
                at,
                answer: answer.to_owned(),
                canary: (to == Phase::Held).then(|| tried.clone()),
                ..Rollback::clone(waits)
            };
            (name.clone(), Phase::Waiting, moved)
        });
        self.store.change_rollbacks(&moved.collect::<Vec<_>>()).await.is_ok()
    }

    async fn forget_waiting(&self, carrier: &str, desired: &Desired) -> bool {
        let waiting = Self::waiting_for(carrier, desired).map(|(name, waits)| (name.clone(), Arc::clone(waits)));
        self.store.forget_rollbacks(&waiting.collect::<Vec<_>>()).await.is_ok()
    }

    async fn hold_waiting(&self, canary: &Canary, tried: &Tried, answer: &str, desired: &Desired) -> bool {
        let carrier = &tried.carrier;
        let waiting = Self::waiting_for(carrier, desired).count();
        if !self.move_waiting(carrier, Phase::Held, tried, answer, desired).await {
            return false;
        }
        let carrier = shown(carrier);
        let reason = message!(
            "held: {outcome}; {waiting} more edits of carrier {carrier} wait for `trunkd apply`, or for another edit",
            "已暂缓：{outcome}；运营商 {carrier} 的另外 {waiting} 处修改等待 `trunkd apply` 或再次修改",
            outcome = tried.outcome(answer)
        );
        tracing::error!(switch = self.switch.name(), "{}", reason.en());
        let event = Event::Hold {
            reason: reason.en().to_owned(),
            reason_zh: Some(reason.in_language(Language::Zh).to_owned()),
        };
        let entry = Entry::of_switch(self.switch.name(), event);
        // A hold that isn't recorded is in the status all the same.
        let _ = self.history.record_once(&format!("canary:{}", canary.id), &entry).await;
        true
    }
}

/// The first few by name, so that every trunkd chooses the same.
fn first(edited: &BTreeMap<String, Candidate>, count: usize) -> BTreeMap<String, String> {
    let first = edited.iter().take(count);
    first
        .map(|(name, candidate)| (name.clone(), candidate.revision.clone()))
        .collect()
}
