//! The part of a plan that is about some domains.

use std::collections::BTreeSet;

use super::super::held::HELD;
use super::model::{Plans, SwitchPlan};
use crate::reconcile::{Action, HoldReason, Weight};

impl Plans {
    /// Leaves out what is in other domains, or in an unknown one. Then the rest can be approved alone.
    pub(in crate::operate) fn limit_to(&mut self, sees: impl Fn(&str) -> bool) {
        // Which domains these holds are about isn't known.
        self.others_held.clear();
        for switch in &mut self.switches {
            switch.limit_to(&sees);
        }
        self.pending = self.switches.iter().any(SwitchPlan::is_pending);
    }
}

impl SwitchPlan {
    fn limit_to(&mut self, sees: impl Fn(&str) -> bool) {
        let reports = self.holds.iter().map(|hold| &hold.removed_from);
        let reports = reports.chain(self.serve.as_ref().map(|report| &report.removed_from));
        let reports: Vec<_> = reports.cloned().collect();
        let sees_removed = |gateway: &str| {
            let mut domains = reports.iter().filter_map(|report| report.get(gateway)).peekable();
            domains.peek().is_some() && domains.all(|domain| sees(domain))
        };
        if let Some(plan) = &mut self.plan {
            plan.actions.retain(|action| match action.to() {
                Some(to) => sees(&to.domain),
                None => sees_removed(action.gateway().as_str()),
            });
            plan.conflicts.retain(|conflict| conflict.domain().is_some_and(&sees));
            let unchanged = self.unchanged.iter().filter(|(domain, _)| sees(domain));
            plan.unchanged = unchanged.map(|(_, count)| count).sum();
        }
        let shown: BTreeSet<_> = self.actions().iter().map(|action| action.gateway().clone()).collect();
        self.changes.retain(|gateway, _| shown.contains(gateway));
        self.tries_again.retain(|gateway, _| shown.contains(gateway));
        self.rollbacks.retain(|gateway, _| shown.contains(gateway));
        let ours = self.ours();
        if let Some(hold) = &mut self.held {
            hold.removals.retain(|gateway| shown.contains(gateway));
            hold.weight = Weight { ours, earlier: 0 };
            if matches!(hold.reason, HoldReason::TooMany { .. } | HoldReason::All) {
                hold.reason = HoldReason::AllDomains;
            }
        }
        self.held.take_if(|hold| hold.removals.is_empty());
        let held = self.held.as_ref().map(|hold| hold.held().summary_message());
        for hold in &mut self.holds {
            hold.held_back.retain(|gateway| sees_removed(gateway));
            hold.held = held.clone().unwrap_or_else(|| HELD.into());
        }
        self.holds.retain(|hold| !hold.held_back.is_empty());
        // These are about all domains.
        (self.serve, self.lasts) = (None, None);
    }

    /// How many gateways of ours the plan is about.
    fn ours(&self) -> usize {
        let running = self.actions().iter().filter_map(Action::from);
        let unchanged = self.plan.as_ref().map_or(0, |plan| plan.unchanged);
        running.filter(|have| have.is_ours()).count() + unchanged
    }
}
