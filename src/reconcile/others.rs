//! Holds for switches without an executor: switches that ask for their config but are not in the
//! settings, or all switches with `reconcile.mode = "off"`. They are reported and released
//! together, because trunkd cannot ask them what they run.

use std::collections::BTreeSet;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::plan::Held;
use super::reporter::Reporter;
use super::served::Served;
use super::state_log::StateLog;
use crate::control::{OTHER_SWITCHES, OrderReport, Report};
use crate::gateway::Desired;
use crate::health::{self, Health, Part};
use crate::redis::Store;

pub struct Others {
    served: Arc<Served>,
    store: Store,
    health: Arc<Health>,
    reporter: Arc<Reporter>,
    /// The switches that have an executor.
    listed: Vec<String>,
    told: StateLog,
    /// The order that was read last, and the states it covers.
    order: Option<(String, BTreeSet<String>)>,
    last_order: Option<OrderReport>,
}

impl Others {
    pub fn new(served: Arc<Served>, store: Store, health: Arc<Health>, holder: Arc<str>, listed: Vec<String>) -> Self {
        let reporter = Reporter::new(store.clone(), OTHER_SWITCHES, holder);
        Self {
            served,
            store,
            health,
            reporter: Arc::new(reporter),
            listed,
            told: StateLog::default(),
            order: None,
            last_order: None,
        }
    }

    /// Decides what every switch is served now that Redis wants `newest`, and carries out a pending
    /// order. Returns true if nothing is held for any switch.
    pub async fn look(&mut self, newest: &Arc<Desired>) -> bool {
        let mut decided = self.served.decide_all(newest, &self.listed, Instant::now());
        if self.heed_order(newest).await {
            decided = self.served.decide_all(newest, &self.listed, Instant::now());
        }
        let held = decided.held;
        let part = Part::Reconcile(OTHER_SWITCHES.to_owned());
        match held {
            Some(held) => self.health.set(part, health::State::Degraded, Some(held.to_string())),
            None => self.health.set(part, health::State::Ok, None),
        }
        self.told.update_hold(OTHER_SWITCHES, held.as_ref());
        let report = Report {
            kill: held.map_or(0, |held| held.removals),
            state: Some(self.served.state_name(newest)),
            last_order: self.last_order.clone(),
            ..Report::default()
        };
        let held = held.as_ref().map(Held::summary_message);
        self.reporter.set(report.holding(held)).await;
        decided.all_accepted
    }

    /// Rewrites the report at intervals, as proof that this trunkd is alive, until `stop`.
    pub fn beat(&self, interval: Duration, stop: CancellationToken) -> impl Future<Output = ()> + Send + 'static {
        let reporter = self.reporter.clone();
        async move {
            stop.run_until_cancelled(reporter.beat(interval)).await;
            reporter.withdraw().await;
        }
    }

    /// Releases what is held if it is the state that the operator was shown. An order is valid as
    /// long as that state is current, so a trunkd that was away still sees it.
    async fn heed_order(&mut self, newest: &Arc<Desired>) -> bool {
        let Ok(control) = self.store.read_control().await else {
            return false;
        };
        let Some(order) = control.orders.get(OTHER_SWITCHES) else {
            return false;
        };
        if self.order.as_ref().is_none_or(|(id, _)| *id != order.id) {
            let Ok(content) = self.store.read_order(OTHER_SWITCHES, &order.id).await else {
                return false;
            };
            let states = content.unwrap_or_default().states;
            self.order = Some((order.id.clone(), states));
        }
        let state = self.served.state_name(newest);
        let stands = self.order.as_ref().is_some_and(|(_, states)| states.contains(&state));
        let is_news = self.last_order.as_ref().is_none_or(|last| last.id != order.id);
        if is_news && stands {
            self.served.release_others(&self.listed);
        }
        self.last_order = Some(OrderReport {
            id: order.id.clone(),
            done: true,
            ..OrderReport::default()
        });
        if order.done_at.is_none() {
            let _ = self.store.order_done(OTHER_SWITCHES, order).await;
        } else if !stands && !order.is_current(Timestamp::now()) {
            let _ = self.store.drop_order(OTHER_SWITCHES, &order.id).await;
        }
        is_news && stands
    }
}
