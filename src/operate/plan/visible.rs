//! The part of a plan that is about some domains.

use std::collections::BTreeSet;

use super::model::{Plans, SwitchPlan};

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
        }
        let shown: BTreeSet<_> = self.actions().iter().map(|action| action.gateway().clone()).collect();
        self.changes.retain(|gateway, _| shown.contains(gateway));
        self.tries_again.retain(|gateway, _| shown.contains(gateway));
        self.rollbacks.retain(|gateway, _| shown.contains(gateway));
        if let Some(hold) = &mut self.held {
            hold.removals.retain(|gateway| shown.contains(gateway));
        }
        self.held.take_if(|hold| hold.removals.is_empty());
        for hold in &mut self.holds {
            hold.held_back.retain(|gateway| sees_removed(gateway));
        }
        self.holds.retain(|hold| !hold.held_back.is_empty());
        // It names gateways of all domains.
        self.serve = None;
    }
}
