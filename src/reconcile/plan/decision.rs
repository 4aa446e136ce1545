//! Decides what to do on a switch, and on whose authority, from the plan, the guard and the order.
//! No async, no I/O; the clock is passed in.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use imbl::OrdSet;
use tokio::time::Instant;

use super::assess::{Assessment, Exempt};
use super::diff::{Action, Differences, Plan, Want};
use super::guard::{Held, Limits};
use super::known::Known;
use super::ordered::{Ordered, Progress};
use crate::gateway::{Desired, GatewayName, RevisionKey};
use crate::reconcile::served::Served;
use crate::reconcile::served_state::Runs;

/// A switch whose state is known, with what is wanted and ordered for it.
pub struct DecisionInput<'a> {
    pub switch: &'a str,
    pub known: &'a Known,
    /// The gateways of `known` that are ours.
    pub ours: &'a OrdSet<GatewayName>,
    pub desired: &'a Arc<Desired>,
    pub wants: &'a BTreeMap<GatewayName, Want>,
    /// The key behind the revisions of `wants`.
    pub key: &'a RevisionKey,
    /// Between `wants` and `known`.
    pub differences: &'a Differences,
    /// The current or the last order.
    pub order: Option<&'a Ordered>,
    /// The order was carried out by another trunkd.
    pub is_carried_out: bool,
    /// Whether the switch is changed without an order.
    pub by_itself: bool,
    pub limits: Limits,
}

pub struct Decision {
    pub plan: Plan,
    pub held: Option<Held>,
    /// Progress of the order; empty if there is none.
    pub progress: Progress,
    is_carried_out: bool,
    /// Recent removals without approval.
    pub recent: BTreeSet<GatewayName>,
    by_itself: bool,
    /// The gateways in the plan that run on exactly one switch, and start here or leave.
    placed: BTreeSet<GatewayName>,
}

/// On whose authority a change is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Authority {
    /// It was shown to an operator, who ordered it.
    Order,
    /// The gateway runs on exactly one switch, and is placed here or elsewhere. Nothing holds that.
    Placement,
    /// Redis wants it, and it is not held.
    Redis,
}

impl DecisionInput<'_> {
    /// Also updates what the switch is served.
    pub fn decide(&self, served: &Served, now: Instant) -> Decision {
        let order = self.order.filter(|_| !self.is_carried_out);
        let adopt = order.map(|order| order.adopted(self.known)).unwrap_or_default();
        let assessment = self.assessment();
        let plan = assessment.plan(&adopt);
        let (mut progress, mut approved, mut as_shown) = <(Progress, BTreeSet<_>, BTreeSet<_>)>::default();
        if let Some(order) = self.order {
            progress = order.progress(self.known, self.wants, &plan);
            approved = order.removals(&progress).cloned().collect();
            as_shown = progress.as_shown().cloned().collect();
        }
        served.set_runs(
            self.switch,
            Some(Runs {
                ours: self.ours.clone(),
                unwanted: Arc::new(plan.removals()),
                profiles: self.known.actual.profiles.clone(),
            }),
            now,
        );
        let released = self.order.into_iter();
        let released = released.flat_map(|order| order.released(self.desired, self.switch));
        let released: BTreeSet<_> = released.cloned().collect();
        served.approve(self.switch, &approved | &released);
        served.accept(self.switch, self.desired, &(&as_shown | &released));
        let unserved = served.decide(self.switch, self.desired, now).1;
        let recent = served.recent(self.switch, now);
        if self.is_carried_out {
            // The order is complete, so its leftover kills are no longer approved.
            approved.clear();
        }
        let exempt = Exempt {
            approved,
            ordered: progress.to_do.clone(),
            recent,
        };
        let held = assessment.hold_removals(&plan, &exempt).map(|hold| hold.held());
        let held = held.or(unserved);
        let held = held.or_else(|| assessment.hold_restarts(&plan, &exempt).map(|hold| hold.held()));
        let recent = exempt.recent;
        Decision {
            held,
            progress,
            is_carried_out: self.is_carried_out,
            recent,
            by_itself: self.by_itself,
            placed: placed_actions(&plan, self.desired),
            plan,
        }
    }

    fn assessment(&self) -> Assessment<'_> {
        Assessment {
            known: self.known,
            desired: self.desired,
            wants: self.wants,
            key: self.key,
            differences: self.differences,
            limits: self.limits,
        }
    }
}

/// The gateways that run on exactly one switch, and start here or leave.
fn placed_actions(plan: &Plan, desired: &Desired) -> BTreeSet<GatewayName> {
    let starts_or_ends = plan
        .actions
        .iter()
        .filter(|action| !matches!(action, Action::Restart { .. }));
    let names = starts_or_ends.map(Action::gateway);
    names.filter(|name| desired.is_on_one(name)).cloned().collect()
}

impl Decision {
    /// On whose authority this action may run. `None` if it may not.
    pub fn allows(&self, action: &Action) -> Option<Authority> {
        if !self.is_carried_out && self.progress.to_do.contains(action.gateway()) {
            return Some(Authority::Order);
        }
        if self.by_itself && self.placed.contains(action.gateway()) {
            return Some(Authority::Placement);
        }
        self.acts_by_itself().then_some(Authority::Redis)
    }

    /// Whether what Redis wants may be done without an order.
    pub fn acts_by_itself(&self) -> bool {
        self.by_itself && self.held.is_none()
    }

    /// How many more gateways may be removed from the switch without approval.
    pub fn removals_left(&self, ours: &OrdSet<GatewayName>, limits: Limits) -> usize {
        let back = self.recent.iter().filter(|name| ours.contains(*name)).count();
        limits.left(ours.len() + self.recent.len() - back, self.recent.len())
    }
}

#[cfg(test)]
mod tests;
