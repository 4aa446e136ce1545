//! What is to be done on a switch, and by whose word: the plan, the guard and the order together. No async, no I/O; the clock is passed in.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use imbl::OrdSet;
use tokio::time::Instant;

use super::diff::{Action, Differences, Plan, Want};
use super::guard::{Held, Limits, Verdict, judge};
use super::known::Known;
use super::ordered::{Ordered, Progress};
use super::served::Served;
use super::standing::Runs;
use crate::gateway::{Desired, GatewayName};

/// A switch that is known, and what is wanted and ordered for it.
pub struct Look<'a> {
    pub switch: &'a str,
    pub known: &'a Known,
    /// Of the gateways of `known`, those that are ours.
    pub ours: &'a OrdSet<GatewayName>,
    pub desired: &'a Arc<Desired>,
    pub wants: &'a BTreeMap<GatewayName, Want>,
    /// Between `wants` and `known`
    pub differences: &'a Differences,
    /// What is ordered and not carried out yet.
    pub order: Option<&'a Ordered>,
    /// What another trunkd carried out.
    pub learned: Option<&'a Ordered>,
    /// Whether the switch is changed without an order.
    pub by_itself: bool,
    pub limits: Limits,
}

pub struct Decision {
    pub plan: Plan,
    pub held: Option<Held>,
    /// How far the order is; empty without one.
    pub progress: Progress,
    /// What went lately, with nobody's approval.
    pub recent: BTreeSet<GatewayName>,
    by_itself: bool,
}

/// By whose word something is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Word {
    /// It was shown to somebody, and ordered.
    Order,
    /// Redis wants it, and nothing holds it.
    Redis,
}

impl Look<'_> {
    /// Also has the switch served accordingly.
    pub fn decide(&self, served: &Served, now: Instant) -> Decision {
        let adopt = self.order.map(|order| order.adopted(self.known)).unwrap_or_default();
        let plan = self.known.plan(self.differences, self.desired, self.wants, &adopt);
        let progress = |changes: Option<&Ordered>| match changes {
            Some(changes) => changes.progress(self.known, self.wants, &plan),
            None => Progress::default(),
        };
        let (ordered, learned) = (progress(self.order), progress(self.learned));
        let removals = |changes: Option<&Ordered>, progress: &Progress| -> BTreeSet<GatewayName> {
            let removals = changes.into_iter().flat_map(|changes| changes.removals(progress));
            removals.cloned().collect()
        };
        let approved = removals(self.order, &ordered);
        let unwanted = plan.removals();
        served.set_runs(
            self.switch,
            Some(Runs {
                ours: self.ours.clone(),
                unwanted: Arc::new(unwanted.clone()),
                profiles: self.known.actual.profiles.clone(),
            }),
            now,
        );
        served.approve(self.switch, &approved | &removals(self.learned, &learned));
        let as_shown = ordered.as_shown().chain(learned.as_shown()).cloned().collect();
        served.accept(self.switch, self.desired, &as_shown);
        let unserved = served.decide(self.switch, self.desired, now).1;
        let recent = served.recent(self.switch, now);
        let held = self.judge(&unwanted, &approved, &recent).or(unserved);
        Decision {
            plan,
            held,
            progress: ordered,
            recent,
            by_itself: self.by_itself,
        }
    }

    fn judge(
        &self,
        removals: &BTreeSet<GatewayName>,
        approved: &BTreeSet<GatewayName>,
        recent: &BTreeSet<GatewayName>,
    ) -> Option<Held> {
        if removals.is_empty() {
            return None;
        }
        let vanished = self.desired.counts().is_empty();
        let ours = self.known.actual.ours();
        match judge(&ours, removals, vanished, &self.limits, approved, recent) {
            Verdict::Go => None,
            Verdict::Hold(hold) => Some(hold.held()),
        }
    }
}

impl Decision {
    /// Whether this may be done, and by whose word.
    pub fn allows(&self, action: &Action) -> Option<Word> {
        if self.progress.to_do.contains(action.gateway()) {
            return Some(Word::Order);
        }
        (self.by_itself && self.held.is_none()).then_some(Word::Redis)
    }

    /// How many gateways may still be taken off the switch with nobody's approval.
    pub fn removals_left(&self, ours: &OrdSet<GatewayName>, limits: Limits) -> usize {
        let back = self.recent.iter().filter(|name| ours.contains(*name)).count();
        limits.left(ours.len() + self.recent.len() - back, self.recent.len())
    }
}

#[cfg(test)]
mod tests;
