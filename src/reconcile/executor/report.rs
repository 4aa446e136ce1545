//! Logs, health, metrics and the report in Redis.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::Executor;
use super::act::ActionOutcome;
use super::switch::{DesiredSource, Switch};
use super::troubles::{Failure, Retry};
use crate::control::{Control, Report};
use crate::gateway::{Desired, GatewayName};
use crate::health::{self, Part};
use crate::metrics;
use crate::reconcile::plan::{Action, Decision, Held};
use crate::shown::shown;

impl<S: Switch, W: DesiredSource> Executor<S, W> {
    /// `by`: who asked for it. `None` if the plan did.
    pub(super) fn record_outcome(&mut self, action: &Action, outcome: ActionOutcome, took: Duration, by: Option<&str>) {
        let (verb, past) = match action {
            Action::Start { .. } => ("start", "started"),
            Action::Restart { .. } => ("restart", "restarted"),
            Action::Kill { .. } => ("kill", "killed"),
        };
        let (gateway, switch) = (action.gateway(), self.switch.name().to_owned());
        let domain_of = self.domain_of(action);
        let domain = domain_of.clone().unwrap_or_default();
        let (label, failure) = match outcome {
            ActionOutcome::Done => ("done", None),
            ActionOutcome::Refused(reason) => ("refused", Some((Failure::Refused, reason))),
            ActionOutcome::Failed(reason) => ("failed", Some((Failure::Temporary, reason))),
            ActionOutcome::Yielded => {
                return tracing::debug!(%switch, %gateway, "left to another trunkd");
            }
            ActionOutcome::Interrupted => {
                return tracing::debug!(%switch, %gateway, "could not {verb}: the switch went away meanwhile");
            }
        };
        self.count_action(verb, label);
        let Some((failure, reason)) = failure else {
            self.memory.troubles.resolve(gateway);
            let log = &mut self.memory.action_log;
            log.add(&switch, action, domain_of, None, took, by);
            return tracing::info!(%switch, %gateway, domain, by, "{past}");
        };
        let troubles = &mut self.memory.troubles;
        let retry = troubles.record(action, failure, reason.clone(), Instant::now(), &self.timing);
        if retry != (Retry::Later { is_new: false }) {
            let log = &mut self.memory.action_log;
            log.add(&switch, action, domain_of, Some(&reason), took, by);
        }
        match retry {
            Retry::Later { is_new: false } => {}
            Retry::Later { is_new: true } => {
                tracing::warn!(%switch, %gateway, domain, "could not {verb}, trying again: {reason}");
            }
            Retry::Never => {
                tracing::error!(
                    %switch,
                    %gateway,
                    domain,
                    "could not {verb}, and it is not tried again until it is edited, or until `trunkd apply`: {reason}"
                );
            }
        }
    }

    pub(super) fn count_action(&self, action: &'static str, outcome: &'static str) {
        let switch = self.switch.name().to_owned();
        let counter = ::metrics::counter!(
            metrics::RECONCILE_ACTIONS, "switch" => switch, "action" => action, "outcome" => outcome
        );
        counter.increment(1);
    }

    /// Logs holds and conflicts once, and sets the health and the metrics.
    pub(super) fn publish(&mut self, decision: &Decision, control: &Control) {
        let name = self.switch.name().to_owned();
        let (plan, held) = (&decision.plan, decision.held.as_ref());
        self.memory.state_log.update(&name, held, &plan.conflicts);
        self.memory.is_held = held.is_some();
        let wrong = held
            .map(ToString::to_string)
            .or_else(|| plan.conflicts.first().map(ToString::to_string))
            .or_else(|| self.memory.troubles.summary());
        let state = match wrong {
            Some(_) => health::State::Degraded,
            None => health::State::Ok,
        };
        let paused = control.paused_since(&name);
        let pause = paused.map(|since| {
            let since = shown(since);
            format!("paused since {since}: it is changed by orders alone until `trunkd resume`")
        });
        let other = self.lease.other().filter(|_| wrong.is_none());
        let other = other.map(|other| format!("trunkd {} changes this switch", shown(&other)));
        let waiting = self.memory.carriers.waiting.iter();
        let waiting = waiting.map(|(carrier, waiting)| waiting.text(carrier));
        let parking = self.memory.parking.texts();
        let reasons: Vec<_> = wrong
            .into_iter()
            .chain(pause)
            .chain(waiting)
            .chain(parking)
            .chain(other)
            .collect();
        let reason = (!reasons.is_empty()).then(|| reasons.join("; "));
        self.health.set(Part::Reconcile(name.clone()), state, reason);
        let counts = [
            (metrics::RECONCILE_HELD, usize::from(held.is_some())),
            (metrics::RECONCILE_PAUSED, usize::from(paused.is_some())),
            (metrics::RECONCILE_PENDING, plan.actions.len()),
            (metrics::RECONCILE_CONFLICTS, plan.conflicts.len()),
        ];
        for (metric, count) in counts {
            #[allow(clippy::cast_precision_loss, reason = "a count of gateways is far below 2^52")]
            ::metrics::gauge!(metric, "switch" => name.clone()).set(count as f64);
        }
    }

    /// Writes the report that `status` and `apply` show.
    pub(super) async fn report(&self, decision: &Decision, desired: &Arc<Desired>, control: &Control) {
        let (plan, memory) = (&decision.plan, &self.memory);
        let count = |wanted: fn(&Action) -> bool| plan.actions.iter().filter(|action| wanted(action)).count();
        let pending = plan
            .actions
            .iter()
            .filter_map(|action| Some((action.gateway().to_string(), action.to()?.revision.clone())));
        let troubles = memory.troubles.iter();
        let troubles = troubles.map(|(name, reason)| (name.to_string(), reason.to_owned()));
        let held_back = self.held_back(decision.held.as_ref(), desired);
        let report = Report {
            mode: self.mode.as_str().to_owned(),
            paused: control.is_paused(self.switch.name()),
            leads: memory.leads,
            knows: true,
            start: count(|action| matches!(action, Action::Start { .. })),
            restart: count(|action| matches!(action, Action::Restart { .. })),
            kill: count(|action| matches!(action, Action::Kill { .. })),
            unchanged: plan.unchanged,
            removed_from: self.removed_from(&held_back),
            held_back: held_back.keys().map(ToString::to_string).collect(),
            state: Some(self.served.state_name(desired)),
            removals_left: Some(decision.removals_left(&memory.ours, self.limits)),
            conflicts: plan.conflicts.clone(),
            troubles: troubles.collect(),
            pending: pending.collect(),
            waiting: memory.carriers.waiting.clone(),
            verifying: memory.edits.pending().map(ToString::to_string).collect(),
            parked: memory.parking.parked(),
            carriers_out: memory.parking.known.carriers_out.clone(),
            last_order: memory.last_order.clone(),
            ..Report::default()
        };
        let held = decision.held.as_ref().map(Held::summary_message);
        self.reporter.set(report.holding(held)).await;
    }

    /// The gateways that are served although Redis doesn't want them, and their domains.
    pub(super) fn held_back(&self, held: Option<&Held>, desired: &Arc<Desired>) -> BTreeMap<GatewayName, Arc<str>> {
        held.map(|_| self.served.held_back(self.switch.name(), desired))
            .unwrap_or_default()
    }

    pub(super) fn removed_from(&self, held_back: &BTreeMap<GatewayName, Arc<str>>) -> BTreeMap<String, String> {
        let known = self.memory.former_domains.iter().chain(held_back);
        known
            .map(|(gateway, domain)| (gateway.to_string(), domain.to_string()))
            .collect()
    }
}
