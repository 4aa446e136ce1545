//! What other trunkd know: removals, and holds for a switch that this trunkd cannot see.

use std::collections::BTreeSet;
use std::sync::Arc;

use tokio::time::Instant;

use super::Executor;
use super::orders::OrderState;
use super::switch::{DesiredSource, Switch};
use crate::control::{Control, OrderReport, Report};
use crate::gateway::Desired;
use crate::health::{self, Part};
use crate::reconcile::plan::{Action, Authority, Held};

impl<S: Switch, W: DesiredSource> Executor<S, W> {
    /// Judges what a switch is served while its state is not known: that hold must be visible, and an
    /// order must release it.
    pub(super) async fn serve_unseen(&mut self, order: OrderState, desired: &Arc<Desired>, control: &Control) {
        let name = self.switch.name().to_owned();
        let mut released = BTreeSet::new();
        if let Some(read) = self.memory.order.as_mut().filter(|_| order != OrderState::None) {
            read.changes.forget(&BTreeSet::new(), desired, &name);
            released.extend(read.changes.removable(desired, &name).cloned());
        }
        self.served.accept(&name, desired, &released);
        self.served.approve(&name, released);
        let mut held = self.served.decide(&name, desired, Instant::now()).1;
        if held.is_some() && self.others_agree(desired).await {
            held = self.served.decide(&name, desired, Instant::now()).1;
        }
        let part = Part::Reconcile(name.clone());
        if let Some(held) = held {
            self.health.set(part, health::State::Degraded, Some(held.to_string()));
        } else if self.memory.is_held {
            self.health.set(part, health::State::Ok, None);
        }
        self.memory.is_held = held.is_some();
        self.memory.state_log.update_hold(&name, held.as_ref());
        if order == OrderState::Current
            && let Some(read) = &mut self.memory.order
            && read.changes.changes_nothing()
        {
            // The order only released the hold.
            read.is_finished = self.store.order_done(&name, &read.head).await.is_ok();
        }
        if order != OrderState::None
            && let Some(read) = &self.memory.order
        {
            self.memory.last_order = Some(OrderReport {
                id: read.head.id.clone(),
                done: read.changes.changes_nothing(),
                ..OrderReport::default()
            });
        }
        let held_back = self.held_back(held.as_ref(), desired);
        let report = Report {
            mode: self.mode.as_str().to_owned(),
            paused: control.is_paused(&name),
            removed_from: self.removed_from(&held_back),
            held_back: held_back.keys().map(ToString::to_string).collect(),
            state: Some(self.served.state_name(desired)),
            last_order: self.memory.last_order.clone(),
            ..Report::default()
        };
        let held = held.as_ref().map(Held::summary_message);
        self.reporter.set(report.holding(held)).await;
    }

    /// Whether the lease holder, which knows what the switch runs, already serves this state. Then it is
    /// safe to serve here too, even if this trunkd was away when the removals were approved.
    pub(super) async fn others_agree(&mut self, desired: &Arc<Desired>) -> bool {
        let name = self.switch.name();
        let now = Instant::now();
        let is_fresh = |read: Instant| now.duration_since(read) < self.timing.interval / 2;
        if self.lease.term().is_some() || self.memory.others_read.is_some_and(is_fresh) {
            return false;
        }
        self.memory.others_read = Some(now);
        let Ok(reports) = self.store.read_all_reports().await else {
            return false;
        };
        let agree = reports.agree(name, &self.holder, &self.served.state_name(desired));
        if agree {
            self.served.agree(name, desired);
        }
        agree
    }

    /// Reads the recent removals of all trunkd, and shares those that only this trunkd knows.
    pub(super) async fn read_removals(&mut self, desired: &Arc<Desired>) {
        let (name, now) = (self.switch.name(), Instant::now());
        let is_fresh = |read: Instant| now.duration_since(read) < self.timing.interval;
        let is_shared = self.ledger.share(name).await;
        let is_known = self.memory.removals_read.is_some_and(is_fresh);
        if is_shared && is_known && !self.served.may_lose(name, desired) {
            return;
        }
        let is_read = is_shared && self.ledger.read(name).await;
        self.memory.removals_read = is_read.then_some(now);
    }

    /// Records unordered removals in Redis before they are done. If that fails, they are not done.
    pub(super) async fn record_removals(&self, mut actions: Vec<(Action, Authority)>) -> Vec<(Action, Authority)> {
        let is_counted =
            |(action, authority): &(Action, Authority)| action.to().is_none() && *authority == Authority::Redis;
        let counted = actions.iter().filter(|action| is_counted(action));
        let removals: Vec<_> = counted.map(|(action, _)| action.gateway().clone()).collect();
        if removals.is_empty() {
            return actions;
        }
        let is_known = self.memory.removals_read.is_some();
        if !is_known || !self.ledger.record(self.switch.name(), &removals).await {
            actions.retain(|action| !is_counted(action));
        }
        actions
    }
}
