//! Makes the plan of one switch and decides whether it is held, for both `trunkd plan` and the
//! executor. No async, no I/O, no clock.

use std::collections::{BTreeMap, BTreeSet};

use super::diff::{Differences, Plan, Want};
use super::guard::{Hold, Limits, Verdict, judge, judge_unknown_key};
use super::known::Known;
use crate::gateway::{Desired, GatewayName, RevisionKey};

/// What runs on a switch and what is wanted there.
#[derive(Clone, Copy)]
pub struct Assessment<'a> {
    pub known: &'a Known,
    pub desired: &'a Desired,
    pub wants: &'a BTreeMap<GatewayName, Want>,
    /// The key behind the revisions of `wants`.
    pub key: &'a RevisionKey,
    /// Between `wants` and `known`.
    pub differences: &'a Differences,
    pub limits: Limits,
}

/// Changes that need no approval: already approved, or already done.
#[derive(Debug, Default)]
pub struct Exempt {
    /// Removals that an order approved.
    pub approved: BTreeSet<GatewayName>,
    /// Restarts that an order contains.
    pub ordered: BTreeSet<GatewayName>,
    /// Removals within the window without approval.
    pub recent: BTreeSet<GatewayName>,
}

impl Assessment<'_> {
    /// The smallest change. `adopt` names gateways to take over that are not ours.
    pub fn plan(&self, adopt: &BTreeSet<GatewayName>) -> Plan {
        self.known.plan(self.differences, self.desired, self.wants, adopt)
    }

    /// The reason why the plan is held, if it is.
    pub fn hold(&self, plan: &Plan, exempt: &Exempt) -> Option<Hold> {
        self.hold_removals(plan, exempt)
            .or_else(|| self.hold_restarts(plan, exempt))
    }

    pub(super) fn hold_removals(&self, plan: &Plan, exempt: &Exempt) -> Option<Hold> {
        let removals = plan.removals();
        if removals.is_empty() {
            return None;
        }
        let ours = self.known.actual.ours();
        let has_vanished = self.desired.counts().is_empty() && !ours.is_empty();
        // What runs on exactly one switch is on another one, or will be.
        let moved = removals.iter().filter(|name| self.desired.is_on_one(name));
        let approved = exempt.approved.iter().chain(moved).cloned().collect();
        match judge(&ours, &removals, has_vanished, &self.limits, &approved, &exempt.recent) {
            Verdict::Go => None,
            Verdict::Hold(hold) => Some(hold),
        }
    }

    /// Restarts of gateways whose revision was made with an unknown key.
    pub(super) fn hold_restarts(&self, plan: &Plan, exempt: &Exempt) -> Option<Hold> {
        let restarts = plan.unknown_restarts(self.key).cloned();
        let restarts: BTreeSet<_> = restarts.filter(|name| !exempt.ordered.contains(name)).collect();
        if restarts.is_empty() {
            return None;
        }
        judge_unknown_key(self.known.actual.count_ours(), restarts, &self.limits)
    }
}
