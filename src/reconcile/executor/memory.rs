//! What the executor remembers between plans, and what is due next.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use imbl::OrdSet;
use tokio::time::Instant;

use super::Executor;
use super::orders::ReadOrder;
use super::switch::{Learned, Switch, Wanted, Wanting};
use crate::backoff::Backoff;
use crate::control::{OrderReport, Term};
use crate::gateway::{Desired, Entries, EntryChange, GatewayName, RevisionKey};
use crate::reconcile::plan::{Action, Actual, Authority, Decision, Differences, Have, Plan, Want};
use crate::reconcile::state_log::StateLog;

/// How many refusals in a row prove that FreeSWITCH refuses a version. A timeout, or an answer that it
/// could not read, looks like one refusal.
pub(super) const MAX_REFUSALS: u32 = 3;

/// What is remembered between plans.
#[derive(Default)]
pub(super) struct Memory {
    pub(super) wants: BTreeMap<GatewayName, Want>,
    /// Between `wants` and what runs
    pub(super) differences: Differences,
    /// What `wants` were made of.
    pub(super) made_of: Option<(Arc<Desired>, RevisionKey)>,
    /// Wants whose forms are not written down yet.
    pub(super) unwritten: BTreeSet<GatewayName>,
    pub(super) troubles: HashMap<GatewayName, Trouble>,
    pub(super) state_log: StateLog,
    pub(super) is_held: bool,
    /// In this step.
    pub(super) leads: bool,
    /// Removals, and since when they are wanted.
    pub(super) doomed: BTreeMap<GatewayName, Instant>,
    /// What the plan before had to do: an edit that came since goes first.
    pub(super) pending: BTreeSet<GatewayName>,
    /// The gateways that run and are ours
    pub(super) ours: OrdSet<GatewayName>,
    /// These revisions have their forms in Redis.
    pub(super) forms: BTreeSet<String>,
    /// When Redis was told last which ones this switch needs.
    pub(super) forms_needed_at: Option<Instant>,
    /// The order that was read last.
    pub(super) order: Option<ReadOrder>,
    pub(super) last_order: Option<OrderReport>,
    /// When it was last read which removals all trunkd know of; `None`: not in this term.
    pub(super) removals_read: Option<Instant>,
    /// When it was last read what the other trunkd say.
    pub(super) others_read: Option<Instant>,
    /// In which the lease was ours the last time.
    pub(super) term: Option<Term>,
}

/// Why a gateway is not as it should be.
pub(super) struct Trouble {
    /// Of the version that failed: another one is tried at once.
    pub(super) revision: Option<String>,
    pub(super) reason: String,
    /// How many times in a row FreeSWITCH refused it.
    pub(super) refusals: u32,
    /// `None`: this version is not tried again.
    pub(super) again: Option<Instant>,
    pub(super) backoff: Backoff,
}

impl Memory {
    /// What runs is known to be something else.
    pub(super) fn compare(&mut self, actual: &Actual, learned: &Learned) {
        match learned {
            Learned::Anew => {
                self.differences = Differences::between(&self.wants, actual);
                self.ours = actual.ours().into_iter().collect();
            }
            Learned::Changes(changed) => {
                for name in changed {
                    self.differences.look(name, &self.wants, actual);
                    match actual.gateways.get(name).is_some_and(Have::is_ours) {
                        true => drop(self.ours.insert(name.clone())),
                        false => drop(self.ours.remove(name)),
                    }
                }
            }
        }
    }

    /// From here on this trunkd changes the switch. What it remembers of its deeds may be older than another's.
    pub(super) fn begin(&mut self, term: Option<Term>) {
        self.term = term;
        self.troubles.clear();
        self.removals_read = None;
        self.forms_needed_at = None;
    }
}

impl<S: Switch, W: Wanting> Executor<S, W> {
    /// Brings the wants up to date; a gateway that did not change keeps its revision.
    pub(super) fn want(&mut self, wanted: &Wanted, actual: &Actual) {
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
            memory.compare(actual, &Learned::Anew);
        }
        for change in EntryChange::between(known, wanted.desired.served()) {
            match change.now.filter(|entry| entry.gateway.serves(Some(switch))) {
                Some(entry) => {
                    memory.unwritten.insert(change.name.clone());
                    let want = Want::of(&entry.gateway, &wanted.key);
                    memory.wants.insert(change.name.clone(), want);
                }
                None => {
                    memory.wants.remove(change.name);
                    memory.unwritten.remove(change.name);
                }
            }
            memory.differences.look(change.name, &memory.wants, actual);
        }
    }

    /// What may be tried now, in the order in which it is to be: what was ordered first; then an edit that came since the last plan, so that it does
    /// not wait behind a flood. So that the next one doesn't either, this is a round of the work at most, after which there is a new plan.
    pub(super) fn due(&mut self, decision: &Decision) -> Vec<(Action, Authority)> {
        let now = Instant::now();
        let (memory, plan) = (&mut self.memory, &decision.plan);
        // A program that writes a domain anew may take it away first: what is gone must be gone for a moment.
        let removals = plan.removals();
        memory.doomed.retain(|name, _| removals.contains(name));
        for name in removals {
            memory.doomed.entry(name).or_insert(now);
        }
        let is_young = |since: &Instant| now.duration_since(*since) < self.timing.confirm;
        let waits = |action: &Action, word: Authority| match memory.troubles.get(action.gateway()) {
            Some(trouble) => trouble.again.is_none_or(|again| again > now),
            None => word != Authority::Order && memory.doomed.get(action.gateway()).is_some_and(is_young),
        };
        let mut due = Vec::new();
        for action in &plan.actions {
            if let Some(word) = decision.allows(action).filter(|word| !waits(action, *word)) {
                due.push((action.clone(), word));
            }
        }
        due.sort_by_key(|(action, word)| (*word != Authority::Order, memory.pending.contains(action.gateway())));
        memory.pending = plan.actions.iter().map(|action| action.gateway().clone()).collect();
        due
    }

    /// A trouble is over when nothing is to be done about the gateway any more, or something else.
    pub(super) fn forget_resolved(&mut self, plan: &Plan, unsettled: &BTreeSet<GatewayName>) {
        let planned: HashMap<_, _> = plan
            .actions
            .iter()
            .map(|action| (action.gateway(), action.to()))
            .collect();
        let same = |name: &GatewayName, trouble: &Trouble| match planned.get(name) {
            Some(to) => to.map(|to| &to.revision) == trouble.revision.as_ref(),
            None => unsettled.contains(name),
        };
        self.memory.troubles.retain(|name, trouble| same(name, trouble));
    }
}
