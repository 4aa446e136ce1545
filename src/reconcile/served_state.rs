//! What one switch is served: what Redis wants, unless that would remove too many of its gateways.
//! The clock is an argument.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::time::Instant;

use super::loss::{Fate, Loss, Question};
use super::plan::{Held, Limits, Weight, weigh};
use super::removals::Removals;
use super::runs::Ran;
pub use super::runs::Runs;
use super::states::{Lost, Steps};
use crate::gateway::{Desired, GatewayName};

/// How removals are judged.
#[derive(Debug, Clone, Copy)]
pub struct Guard {
    pub limits: Limits,
    /// How long a removal counts.
    pub window: Duration,
    /// A gateway that is back sooner than this was not removed.
    pub confirm: Duration,
    /// A switch that has run its other gateways but not this one for this long is not just booting.
    pub settle: Duration,
}

pub(super) struct ServedState {
    accepted: Option<Arc<Desired>>,
    held: Option<HeldBack>,
    /// Removals that an operator approved with `trunkd apply`.
    approved: BTreeSet<GatewayName>,
    removals: Removals,
    /// `None` while unknown.
    runs: Option<Runs>,
    /// The gateways that ran when the switch was last lost from sight. It can lose them if it was
    /// stopped and boots.
    ran: Option<Ran>,
    /// Gateways whose removal is held, and since when the switch is known not to run them.
    absent: BTreeMap<GatewayName, Instant>,
    /// A state that the lease holder agreed to serve.
    agreed: Option<Weak<Desired>>,
}

/// A state that was not accepted, and why.
struct HeldBack {
    newest: Arc<Desired>,
    held: Held,
    /// When the verdict may change.
    until: Option<Instant>,
    /// The verdict may have changed already.
    is_old: bool,
}

impl ServedState {
    pub(super) fn new(accepted: Option<Arc<Desired>>, guard: Option<&Guard>) -> Self {
        Self {
            accepted,
            held: None,
            approved: BTreeSet::new(),
            removals: Removals::new(guard.map_or(Duration::ZERO, |guard| guard.window)),
            runs: None,
            ran: None,
            absent: BTreeMap::new(),
            agreed: None,
        }
    }

    /// The state that is served.
    pub(super) fn accepted(&self) -> Option<&Arc<Desired>> {
        self.accepted.as_ref()
    }

    /// The state that is served while another one is held.
    pub(super) fn holding(&self) -> Option<Arc<Desired>> {
        self.held.as_ref().and(self.accepted.clone())
    }

    /// The gateways that are served and that `newest` lacks, and their domains.
    pub(super) fn held_back(
        &self,
        switch: &str,
        newest: &Arc<Desired>,
        steps: &mut Steps,
    ) -> BTreeMap<GatewayName, Arc<str>> {
        match &self.accepted {
            Some(accepted) if !Arc::ptr_eq(accepted, newest) => {
                let step = steps.between(accepted, newest);
                let lost = step.lost(switch);
                lost.map(|lost| (lost.name.clone(), lost.before.gateway.domain.clone()))
                    .collect()
            }
            _ => BTreeMap::new(),
        }
    }

    /// Whether `newest` removes a gateway and is not held already.
    pub(super) fn may_lose(&self, switch: &str, newest: &Arc<Desired>, steps: &mut Steps) -> bool {
        let is_held = self.held.as_ref().is_some_and(|back| Arc::ptr_eq(&back.newest, newest));
        match &self.accepted {
            Some(accepted) if !is_held && !Arc::ptr_eq(accepted, newest) => {
                steps.between(accepted, newest).lost(switch).next().is_some()
            }
            _ => false,
        }
    }

    /// Accepts `newest` if it may be served; otherwise returns the hold. If nothing was served
    /// before, `first` counts as the previous state.
    pub(super) fn decide(
        &mut self,
        switch: &str,
        newest: &Arc<Desired>,
        first: Option<&Arc<Desired>>,
        guard: Option<&Guard>,
        steps: &mut Steps,
        now: Instant,
    ) -> Option<Held> {
        let before = self.accepted.as_ref().or(first).unwrap_or(newest).clone();
        self.accepted = Some(before.clone());
        if Arc::ptr_eq(&before, newest) {
            self.held = None;
            return None;
        }
        if let Some(back) = &self.held
            && Arc::ptr_eq(&back.newest, newest)
            && !back.is_old
            && back.until.is_none_or(|until| now < until)
        {
            return Some(back.held);
        }
        let before = self.follow_moves(before, newest, steps);
        let step = steps.between(&before, newest);
        self.removals.expire(now);
        let question = Question {
            switch,
            before: &before,
            newest,
            step: &step,
        };
        self.watch_absent(&question, now);
        let settle = guard.map_or(Duration::MAX, |guard| guard.settle);
        let held = self.judge(&question, guard, settle, now);
        if let Some(held) = held {
            let ends = self.absent.values().map(|since| *since + settle);
            let ends = ends
                .chain(self.ran.as_ref().map(|ran| ran.until))
                .filter(|end| *end > now);
            let until = ends.chain(self.removals.next_end()).min();
            self.held = Some(HeldBack {
                newest: newest.clone(),
                held,
                until,
                is_old: false,
            });
            return Some(held);
        }
        if guard.is_some() && !self.is_agreed(newest) {
            let counts = |lost: &&Lost| !self.approved.contains(&lost.name) && !self.is_absent(&lost.name, settle, now);
            let gone: Vec<_> = step.lost(switch).filter(counts).map(|lost| lost.name.clone()).collect();
            self.removals.leave_out(gone, now);
        }
        self.accept(switch, newest);
        None
    }

    /// Serves each gateway that runs on exactly one switch to that one, even while a removal is held: the
    /// switch must not start what another one has.
    fn follow_moves(&mut self, before: Arc<Desired>, newest: &Arc<Desired>, steps: &mut Steps) -> Arc<Desired> {
        let moved = steps.between(&before, newest).moved();
        if moved.is_empty() {
            return before;
        }
        let before = Arc::new(before.with_those_of(newest, &moved));
        self.accepted = Some(before.clone());
        before
    }

    /// Serves this state from now on.
    pub(super) fn accept(&mut self, switch: &str, newest: &Arc<Desired>) {
        self.removals.take_back(|name| newest.serves(name, switch));
        self.accepted = Some(newest.clone());
        self.held = None;
        self.agreed = None;
        self.absent.clear();
    }

    /// Serves these gateways from now on as they are in `newest`, or no longer if they are not in
    /// it.
    pub(super) fn accept_these(&mut self, newest: &Arc<Desired>, names: &BTreeSet<GatewayName>) {
        let Some(accepted) = &self.accepted else { return };
        let differs = |name: &GatewayName| match (accepted.get(name.as_str()), newest.get(name.as_str())) {
            (Some(one), Some(other)) => !Arc::ptr_eq(one, other),
            (None, None) => false,
            _ => true,
        };
        if !Arc::ptr_eq(accepted, newest) && names.iter().any(differs) {
            self.accepted = Some(Arc::new(accepted.with_those_of(newest, names)));
            self.held = None;
        }
        if let Some(ran) = &mut self.ran {
            let is_gone = |name: &&GatewayName| newest.get(name.as_str()).is_none();
            names
                .iter()
                .filter(is_gone)
                .for_each(|name| drop(ran.ours.remove(name)));
        }
    }

    /// Accepts the held state, if there is one.
    pub(super) fn release(&mut self, switch: &str) {
        if let Some(back) = self.held.take() {
            self.accept(switch, &back.newest);
        }
    }

    /// Another trunkd agreed to serve this state, so only the running gateways are still judged.
    pub(super) fn agree(&mut self, newest: &Arc<Desired>) {
        self.agreed = Some(Arc::downgrade(newest));
        self.judge_again();
    }

    /// Approves exactly these removals and withdraws earlier approvals.
    pub(super) fn approve(&mut self, removals: BTreeSet<GatewayName>) {
        if self.approved != removals {
            self.approved = removals;
            self.judge_again();
        }
    }

    /// Sets what runs. `None`: unknown, or the switch may have been restarted since the last call.
    pub(super) fn set_runs(&mut self, runs: Option<Runs>, guard: Option<&Guard>, now: Instant) {
        let Some(guard) = guard else { return };
        self.ran = self.ran.take().filter(|ran| now < ran.until);
        match (&runs, self.runs.take(), &mut self.ran) {
            (None, Some(last), ran) => {
                let before = ran.take().map(|ran| ran.ours).unwrap_or_default();
                *ran = Some(Ran {
                    ours: before.union(last.ours),
                    until: now + guard.window,
                    is_back: false,
                });
            }
            // A gateway that goes while the switch is visible did not go because of a boot.
            (Some(now_runs), Some(last), Some(ran)) => {
                let gone = ran
                    .ours
                    .iter()
                    .filter(|name| last.ours.contains(*name) && !now_runs.ours.contains(*name));
                let gone: Vec<_> = gone.cloned().collect();
                gone.iter().for_each(|name| drop(ran.ours.remove(name)));
            }
            // After `settle`, a booting switch has loaded what it was served.
            (Some(_), _, Some(ran)) if !ran.is_back => {
                ran.until = ran.until.min(now + guard.settle);
                ran.is_back = true;
            }
            _ => {}
        }
        if runs.is_none() {
            self.absent.clear();
        }
        self.runs = runs;
        self.judge_again();
    }

    pub(super) fn removals(&mut self, now: Instant) -> &mut Removals {
        self.removals.expire(now);
        &mut self.removals
    }

    /// A switch is given what is served.
    pub(super) fn give(&mut self, now: Instant) {
        self.removals.give(now);
    }

    fn judge_again(&mut self) {
        if let Some(back) = &mut self.held {
            back.is_old = true;
        }
    }

    fn is_agreed(&self, newest: &Arc<Desired>) -> bool {
        let agreed = self.agreed.as_ref();
        agreed.is_some_and(|agreed| std::ptr::eq(agreed.as_ptr(), Arc::as_ptr(newest)))
    }

    fn is_absent(&self, name: &GatewayName, settle: Duration, now: Instant) -> bool {
        let since = self.absent.get(name);
        since.is_some_and(|since| now.saturating_duration_since(*since) >= settle)
    }

    fn judge(&self, question: &Question<'_>, guard: Option<&Guard>, settle: Duration, now: Instant) -> Option<Held> {
        // Without a guard every edit is served. But the loss of every domain, as after a restart of
        // a Redis without persistence, is not an edit.
        let vanished = question.newest.counts().is_empty() && !question.before.counts().is_empty();
        let limits = guard
            .map(|guard| guard.limits)
            .or(vanished.then_some(Limits::default()))?;
        let lost: Vec<_> = question.step.lost(question.switch).collect();
        if lost.is_empty() {
            return None;
        }
        let is_held = |loss: Loss| {
            let reason = weigh(loss.removals, loss.stay, loss.weight, vanished, &limits)?;
            Some(Held {
                removals: loss.removals,
                weight: loss.weight,
                reason,
            })
        };
        let of_served = match self.is_agreed(question.newest) {
            true => None,
            false => is_held(self.loss_of_served(question, &lost, settle, now)),
        };
        of_served.or_else(|| is_held(self.loss_of_running(question, &lost, now)?))
    }

    /// What the switch loses from what it is served, except gateways that it is known not to run.
    fn loss_of_served(&self, question: &Question<'_>, lost: &[&Lost], settle: Duration, now: Instant) -> Loss {
        let is_free = |name: &GatewayName| self.approved.contains(name) || self.is_absent(name, settle, now);
        let removals = lost.iter().filter(|lost| !is_free(&lost.name)).count();
        let stay = question.step.before(question.before, question.switch) - lost.len();
        let had = |name: &GatewayName| question.before.serves(name, question.switch);
        let stays = |name: &GatewayName| question.newest.serves(name, question.switch);
        self.loss(removals, stay, |name| match (had(name), stays(name)) {
            (true, false) if !is_free(name) => Fate::Goes,
            (true, true) => Fate::Stays,
            _ => Fate::Gone,
        })
    }

    /// What the switch loses from what it runs, as in the plan, and from what it ran a moment ago:
    /// a boot must not remove what the plan may not.
    fn loss_of_running(&self, question: &Question<'_>, lost: &[&Lost], now: Instant) -> Option<Loss> {
        let is_agreed = self.is_agreed(question.newest);
        let ran = self.ran.as_ref().filter(|ran| now < ran.until && !is_agreed);
        let none = Runs::default();
        let runs = match (&self.runs, ran) {
            (None, None) => return None,
            (runs, _) => runs.as_ref().unwrap_or(&none),
        };
        let is_wanted = |name: &GatewayName| question.newest.serves(name, question.switch);
        let goes = |name: &GatewayName| question.newest.loses(name, question.switch);
        let unwanted = runs.unwanted.iter().filter(|name| goes(name));
        let more = lost.iter().map(|lost| &lost.name);
        let more = more.filter(|name| runs.ours.contains(*name) && !runs.unwanted.contains(*name));
        let mut going = unwanted.chain(more).cloned().collect::<BTreeSet<_>>();
        let mut all = runs.ours.len();
        for name in ran
            .into_iter()
            .flat_map(|ran| &ran.ours)
            .filter(|name| !runs.ours.contains(*name))
        {
            all += 1;
            if goes(name) {
                going.insert(name.clone());
            }
        }
        let removals = going.iter().filter(|name| !self.approved.contains(*name)).count();
        let stay = all.saturating_sub(going.len());
        let is_there = |name: &GatewayName| runs.ours.contains(name) || ran.is_some_and(|ran| ran.ours.contains(name));
        Some(
            self.loss(removals, stay, |name| match (is_there(name), is_wanted(name)) {
                (true, false) if !self.approved.contains(name) && goes(name) => Fate::Goes,
                (true, true) => Fate::Stays,
                _ => Fate::Gone,
            }),
        )
    }

    fn loss(&self, removals: usize, stay: usize, fate: impl Fn(&GatewayName) -> Fate) -> Loss {
        let (mut earlier, mut back) = (0, 0);
        for name in self.removals.names() {
            match fate(name) {
                Fate::Goes => {}
                Fate::Stays => {
                    earlier += 1;
                    back += 1;
                }
                Fate::Gone => earlier += 1,
            }
        }
        let ours = stay.saturating_sub(back) + removals + earlier;
        Loss {
            removals,
            stay,
            weight: Weight { ours, earlier },
        }
    }

    /// Notes since when the switch is known not to run gateways that it would lose. A booting
    /// switch runs nothing yet and will load what it is served. So the profile must run, with at
    /// least one of its gateways that stay.
    fn watch_absent(&mut self, question: &Question<'_>, now: Instant) {
        let before = std::mem::take(&mut self.absent);
        let Some(runs) = &self.runs else { return };
        let mut has_gateways = HashMap::new();
        for lost in question.step.lost(question.switch) {
            let profile = &lost.before.gateway.profile;
            if runs.ours.contains(&lost.name) || !runs.profiles.contains(profile) {
                continue;
            }
            let runs_others = has_gateways
                .entry(profile)
                .or_insert_with(|| runs.ours.iter().any(|name| question.is_kept(name, profile)));
            if *runs_others {
                let since = before.get(&lost.name).copied().unwrap_or(now);
                self.absent.insert(lost.name.clone(), since);
            }
        }
    }
}
