//! What the executor remembers between plans, and what is due next.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use imbl::OrdSet;
use tokio::time::Instant;

use super::batch::BatchSize;
use super::canary::Canaries;
use super::carriers::CarrierLoads;
use super::jobs::ActiveJob;
use super::orders::ReadOrder;
use super::parking::ParkingMemory;
use super::record::ActionLog;
use super::switch::{DesiredSource, Refreshed, Switch, Wanted};
use super::troubles::Troubles;
use super::verify::Edits;
use super::{Executor, Timing};
use crate::control::{OrderReport, Term};
use crate::gateway::{Desired, Entries, EntryChange, GatewayName, RevisionKey};
use crate::reconcile::plan::{Action, Actual, Authority, Differences, Have, Known, Plan, Want};
use crate::reconcile::state_log::StateLog;

/// What is remembered between plans.
#[derive(Default)]
pub(super) struct Memory {
    pub(super) wants: BTreeMap<GatewayName, Want>,
    /// Between `wants` and what runs.
    pub(super) differences: Differences,
    /// What `wants` was computed from.
    pub(super) made_of: Option<(Arc<Desired>, RevisionKey)>,
    /// Gateways whose forms are not in Redis yet.
    pub(super) unwritten: BTreeSet<GatewayName>,
    pub(super) troubles: Troubles,
    pub(super) state_log: StateLog,
    pub(super) is_held: bool,
    /// Whether this trunkd holds the lease in this step.
    pub(super) leads: bool,
    /// Planned removals, and when each was first planned.
    pub(super) doomed: BTreeMap<GatewayName, Instant>,
    /// The domains that gateways had until they were removed from Redis.
    pub(super) former_domains: BTreeMap<GatewayName, Arc<str>>,
    /// What was done and is not in the history yet.
    pub(super) action_log: ActionLog,
    /// Whether the history says that the plan is held; `None`: not known in this term.
    pub(super) recorded_hold: Option<bool>,
    /// The gateways of the previous plan, so that newer edits go first.
    pub(super) pending: BTreeSet<GatewayName>,
    /// The running gateways that are ours.
    pub(super) ours: OrdSet<GatewayName>,
    /// Revisions whose forms are in Redis.
    pub(super) forms: BTreeSet<String>,
    /// When Redis was last told which forms this switch needs.
    pub(super) forms_needed_at: Option<Instant>,
    /// The last order read.
    pub(super) order: Option<ReadOrder>,
    pub(super) last_order: Option<OrderReport>,
    /// By id: the jobs that this trunkd has taken up in this term.
    pub(super) jobs: BTreeMap<String, ActiveJob>,
    pub(super) carriers: CarrierLoads,
    pub(super) batch_size: BatchSize,
    pub(super) parking: ParkingMemory,
    /// When the removals shared by all trunkd were last read; `None`: not in this term.
    pub(super) removals_read: Option<Instant>,
    /// When the reports of the other trunkd were last read.
    pub(super) others_read: Option<Instant>,
    /// The last term in which this trunkd held the lease.
    pub(super) term: Option<Term>,
    /// Edits that have to work, and what worked before.
    pub(super) edits: Edits,
    pub(super) canaries: Canaries,
}

impl Memory {
    /// Updates the differences after `actual` changed.
    pub(super) fn compare(&mut self, actual: &Actual, learned: &Refreshed) {
        match learned {
            Refreshed::All => {
                self.differences = Differences::between(&self.wants, actual);
                self.ours = actual.ours().into_iter().collect();
            }
            Refreshed::Changes(changed) => {
                for name in changed {
                    self.differences.update(name, &self.wants, actual);
                    match actual.gateways.get(name).is_some_and(Have::is_ours) {
                        true => drop(self.ours.insert(name.clone())),
                        false => drop(self.ours.remove(name)),
                    }
                }
            }
        }
    }

    /// This trunkd got the lease. What it remembers from an earlier term may be stale.
    pub(super) fn begin(&mut self, term: Option<Term>) {
        self.term = term;
        self.jobs.clear();
        self.carriers = CarrierLoads::default();
        self.batch_size = BatchSize::default();
        self.troubles.clear();
        self.removals_read = None;
        self.recorded_hold = None;
        self.forms_needed_at = None;
        self.edits.begin_term();
        self.canaries.begin_term();
    }

    /// The actions to try now, in order: first what another switch has, then ordered ones, then edits made
    /// since the last plan, so that an edit does not wait behind a flood. `authority` says which actions are allowed.
    pub(super) fn due(
        &mut self,
        plan: &Plan,
        authority: impl Fn(&Action) -> Option<Authority>,
        now: Instant,
        timing: &Timing,
    ) -> Vec<(Action, Authority)> {
        let removals = plan.removals();
        self.doomed.retain(|name, _| removals.contains(name));
        for name in removals {
            self.doomed.entry(name).or_insert(now);
        }
        self.former_domains.retain(|name, _| self.doomed.contains_key(name));
        let mut due = Vec::new();
        for action in &plan.actions {
            if let Some(authority) = authority(action)
                && self.may_act(action.gateway(), authority, now, timing)
            {
                due.push((action.clone(), authority));
            }
        }
        due.sort_by_key(|(action, authority)| {
            let is_elsewhere = *authority == Authority::Placement && action.to().is_none();
            let is_ordered = *authority == Authority::Order;
            (!is_elsewhere, !is_ordered, self.pending.contains(action.gateway()))
        });
        self.pending = plan.actions.iter().map(|action| action.gateway().clone()).collect();
        due
    }

    fn may_act(&self, gateway: &GatewayName, authority: Authority, now: Instant, timing: &Timing) -> bool {
        if let Some(may_retry) = self.troubles.may_retry(gateway, now) {
            return may_retry;
        }
        // A program that rewrites a domain may delete it first, so an unordered removal waits a moment.
        let is_confirmed = |since: &Instant| now.duration_since(*since) >= timing.confirm;
        authority != Authority::Redis || self.doomed.get(gateway).is_none_or(is_confirmed)
    }

    /// When a retry or a confirmed removal is due next, if any waits.
    pub(super) fn next_due(&self, timing: &Timing) -> Option<Instant> {
        let confirmed = self.doomed.values().map(|since| *since + timing.confirm);
        self.troubles.retries().chain(confirmed).min()
    }
}

impl<S: Switch, W: DesiredSource> Executor<S, W> {
    /// Updates the wants. An unchanged gateway keeps its computed revision.
    pub(super) fn want(&mut self, wanted: &Wanted, running: &Known) {
        let actual = &running.actual;
        let switch = self.switch.name();
        let memory = &mut self.memory;
        let before = memory.made_of.take().filter(|(_, key)| *key == wanted.key);
        let before = before.map(|(desired, _)| desired);
        memory.made_of = Some((wanted.desired.clone(), wanted.key.clone()));
        if before
            .as_ref()
            .is_some_and(|before| Arc::ptr_eq(before, &wanted.desired))
        {
            return;
        }
        let none = Entries::new();
        let known = before.as_ref().map_or(&none, |before| before.served());
        if before.is_none() {
            memory.wants.clear();
            memory.compare(actual, &Refreshed::All);
        }
        for change in EntryChange::between(known, wanted.desired.served()) {
            let runs = actual.gateways.get(change.name).and_then(|have| have.revision.as_ref());
            if let Some(before) = &before {
                let wanted_before = memory.wants.get(change.name);
                memory.edits.replace(change.name, runs, wanted_before, before);
            }
            match change.now.filter(|entry| entry.gateway.serves(Some(switch))) {
                Some(entry) => {
                    memory.unwritten.insert(change.name.clone());
                    memory.former_domains.remove(change.name);
                    let want = Want::of(&entry.gateway, &wanted.key);
                    memory.wants.insert(change.name.clone(), want);
                }
                None => {
                    if let Some(want) = memory.wants.remove(change.name) {
                        memory.former_domains.insert(change.name.clone(), want.domain);
                    }
                    memory.unwritten.remove(change.name);
                }
            }
            memory.differences.update(change.name, &memory.wants, actual);
        }
        if let (None, Some(earlier)) = (&before, self.before.take()) {
            memory.edits.recall(&earlier, &wanted.key, &memory.differences, running);
        }
        memory.edits.forget_replaced(&memory.differences);
    }
}

#[cfg(test)]
mod tests;
