//! Sends the commands of a plan and verifies their results.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures_util::StreamExt;
use tokio::time::Instant;

use super::Executor;
use super::carriers::Registers;
use super::switch::{DesiredSource, Switch, Unknown};
use super::wait::{await_start, is_gone};
use crate::control::trouble;
use crate::event_socket::{Changes, CommandError, Commands, Killed, Permit, QueryError};
use crate::gateway::{GatewayName, ProfileName};
use crate::reconcile::plan::{Action, Want};
use crate::reconcile::served::{Given, Start};

/// The most restarts that wait for their deletes at the same time, a tick or two each (FACTS 22).
pub(super) const AT_ONCE: usize = 64;
/// From this many starts in one profile, `startgw _all_` answered with just those gateways is cheaper
/// than one reload each (FACTS 21).
const BATCH_FROM: usize = 16;

/// How an action ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum ActionOutcome {
    Done,
    /// FreeSWITCH does not accept this version.
    Refused(String),
    Failed(String),
    /// Not done or not finished, because the lease was lost.
    Yielded,
    /// Not done or not finished, because the switch shut down or disconnected. That says nothing about
    /// the gateway.
    Interrupted,
}

impl<S: Switch, W: DesiredSource> Executor<S, W> {
    pub(super) async fn act(&mut self, actions: Vec<Action>) {
        let mut left: BTreeSet<_> = actions.iter().map(|action| action.gateway().clone()).collect();
        let Some((commands, changes)) = self.switch.commands() else {
            return self.give_back(&left);
        };
        let (batches, single) = in_batches(actions);
        // A round is no larger than a burst, so that the report shows progress.
        let round = self.pace.lock().await.burst().clamp(8, AT_ONCE);
        let this = &*self;
        let doing = futures_util::stream::iter(single.into_iter().take(round))
            .map(|action| async {
                let began = Instant::now();
                let outcome = this.act_on(&action, &commands, &changes).await;
                (action, outcome, began.elapsed())
            })
            .buffer_unordered(AT_ONCE);
        let mut done: Vec<_> = doing.collect().await;
        for (profile, actions) in batches {
            let actions = self.limit_batch(actions).await;
            let began = Instant::now();
            let started = self.start_batch(&profile, actions, &commands, &changes).await;
            let took = began.elapsed();
            done.extend(started.into_iter().map(|(action, outcome)| (action, outcome, took)));
        }
        for (action, outcome, took) in done {
            left.remove(action.gateway());
            let outcome = self.unless_gone(outcome);
            self.record_outcome(&action, outcome, took, None);
        }
        self.give_back(&left);
    }

    /// The next batch of these. What registers comes first, but nothing waits for it that doesn't.
    async fn limit_batch(&self, actions: Vec<Action>) -> Vec<Action> {
        let (mut batch, others): (Vec<_>, Vec<_>) =
            actions.into_iter().partition(|action| action.registers().is_some());
        let mut pace = self.pace.lock().await;
        batch.truncate(match others.is_empty() {
            true => pace.burst().max(1),
            false => pace.available(),
        });
        batch.extend(others);
        batch.truncate(self.memory.batch_size.get());
        batch
    }

    /// If the switch is gone, a failure says nothing about the gateway.
    pub(super) fn unless_gone(&self, outcome: ActionOutcome) -> ActionOutcome {
        let is_failure = matches!(outcome, ActionOutcome::Refused(_) | ActionOutcome::Failed(_));
        match is_failure && !self.switch.is_known() {
            true => ActionOutcome::Interrupted,
            false => outcome,
        }
    }

    pub(super) async fn act_on(&self, action: &Action, commands: &Commands, changes: &Changes) -> ActionOutcome {
        // Wait before the kill, so that the gateway is down as briefly as possible.
        if action.registers().is_some() {
            self.pace.lock().await.take(1).await;
        }
        let before = self.switch.instance(action.gateway()).unwrap_or_default();
        if let Some(from) = action.from() {
            if !self.may_change() {
                return ActionOutcome::Yielded;
            }
            match changes.kill(&from.profile, action.gateway(), self.permit()).await {
                Ok(Killed::Marked) => {}
                Ok(Killed::NoSuchGateway) => self.switch.survey_soon(),
                Err(error) => return self.unanswered(&error),
            }
            if action.awaits_deletion() || action.to().is_none() {
                match is_gone(&*self.switch, action.gateway(), self.timing.delete).await {
                    Ok(true) => {}
                    Err(Unknown) => return ActionOutcome::Interrupted,
                    Ok(false) => {
                        self.switch.survey_soon();
                        return ActionOutcome::Failed(trouble::not_gone(self.timing.delete));
                    }
                }
            }
        }
        match action.to() {
            Some(to) => self.start(action.gateway(), to, commands, changes, before).await,
            None => ActionOutcome::Done,
        }
    }

    /// Checked right before each command that changes the switch: the lease may be lost by now.
    pub(super) fn may_change(&self) -> bool {
        self.permit().holds()
    }

    /// The same check, for a command that may wait before it is sent.
    pub(super) fn permit(&self) -> Permit {
        let (lease, ours) = (self.lease.clone(), self.memory.term);
        Permit::new(move || ours.is_some() && lease.term() == ours)
    }

    /// The outcome of an action when a command failed.
    pub(super) fn unanswered(&self, error: &QueryError) -> ActionOutcome {
        match error {
            QueryError::Command(CommandError::NotPermitted { .. }) => ActionOutcome::Yielded,
            QueryError::Command(CommandError::Lost { .. }) => ActionOutcome::Interrupted,
            QueryError::NoSofia => {
                self.switch.not_ready();
                ActionOutcome::Interrupted
            }
            _ => ActionOutcome::Failed(error.to_string()),
        }
    }

    async fn start(
        &self,
        gateway: &GatewayName,
        to: &Want,
        commands: &Commands,
        changes: &Changes,
        before: Option<u64>,
    ) -> ActionOutcome {
        let (started, given) = {
            let _alone = self.reload.lock().await;
            if !self.may_change() {
                return ActionOutcome::Yielded;
            }
            let name = self.switch.name();
            self.served.begin_start(name, &to.profile, Start::One(gateway.clone()));
            let started = changes.start(&to.profile, gateway, self.permit()).await;
            (started, self.served.end_start(name))
        };
        if let Err(error) = started {
            return self.unanswered(&error);
        }
        await_start(&*self.switch, &[(gateway, before)], self.timing.appear).await;
        match self.switch.ask_revisions(commands, std::slice::from_ref(gateway)).await {
            Ok(found) => verified(gateway, found.into_iter().next().flatten(), to, given.as_ref()),
            Err(error) => self.unanswered(&error),
        }
    }

    /// Starts many gateways of one profile with one command.
    async fn start_batch(
        &mut self,
        profile: &ProfileName,
        actions: Vec<Action>,
        commands: &Commands,
        changes: &Changes,
    ) -> Vec<(Action, ActionOutcome)> {
        let names: Vec<_> = actions.iter().map(|action| action.gateway().clone()).collect();
        let registering = actions.iter().filter_map(Registers::registers).count();
        self.pace.lock().await.take(registering).await;
        let (started, given, took) = {
            let _alone = self.reload.lock().await;
            if !self.may_change() {
                return with_outcome(actions, &ActionOutcome::Yielded);
            }
            let (name, batch) = (self.switch.name(), Arc::new(names.iter().cloned().collect()));
            self.served.begin_start(name, profile, Start::Many(batch));
            let began = Instant::now();
            let started = changes.start_all(profile, self.permit()).await;
            (started, self.served.end_start(name), began.elapsed())
        };
        let found = match started {
            Ok(()) => {
                self.memory.batch_size.learn(names.len(), took, self.timing.batch);
                let new: Vec<_> = names.iter().map(|name| (name, None)).collect();
                await_start(&*self.switch, &new, self.timing.appear).await;
                self.switch.ask_revisions(commands, &names).await
            }
            Err(error) => Err(error),
        };
        let is_in_vain = match &found {
            Ok(found) => found.iter().all(Option::is_none),
            Err(error) => matches!(error, QueryError::Reply { .. }),
        };
        if is_in_vain && given.is_some() && self.memory.batch_size.was_too_large(names.len()) {
            tracing::warn!(
                switch = self.switch.name(),
                %profile,
                gateways = names.len(),
                "FreeSWITCH took none of these gateways, so it gets fewer at once; is response-max-bytes set in its \
                 xml_curl.conf.xml?"
            );
            return with_outcome(actions, &ActionOutcome::Yielded);
        }
        let outcomes: Vec<_> = match found {
            Ok(found) => actions
                .iter()
                .zip(found)
                .filter_map(|(action, found)| Some(verified(action.gateway(), found, action.to()?, given.as_ref())))
                .collect(),
            Err(error) => return with_outcome(actions, &self.unanswered(&error)),
        };
        actions.into_iter().zip(outcomes).collect()
    }
}

fn with_outcome(actions: Vec<Action>, outcome: &ActionOutcome) -> Vec<(Action, ActionOutcome)> {
    actions.into_iter().map(|action| (action, outcome.clone())).collect()
}

/// Compares what FreeSWITCH runs after a start with what it should run.
fn verified(gateway: &GatewayName, found: Option<String>, to: &Want, given: Option<&Given>) -> ActionOutcome {
    let given = given.map(|given| given.holds(gateway, to));
    match found {
        Some(found) if found == to.revision => ActionOutcome::Done,
        // An edit came between, which the next plan handles, or another trunkd wants something else.
        Some(found) => ActionOutcome::Failed(trouble::other_version(&found)),
        None if given == Some(true) => ActionOutcome::Refused(trouble::REFUSED.en.to_owned()),
        None if given.is_some() => ActionOutcome::Failed(trouble::SERVED_OTHER.en.to_owned()),
        None => ActionOutcome::Failed(trouble::NOT_ASKED.en.to_owned()),
    }
}

/// Separates starts that are worth a batch, by profile, from the actions to do one by one.
fn in_batches(actions: Vec<Action>) -> (BTreeMap<ProfileName, Vec<Action>>, Vec<Action>) {
    let (mut starts, mut single) = (BTreeMap::<_, Vec<_>>::new(), Vec::new());
    for action in actions {
        match &action {
            Action::Start { to, .. } => starts.entry(to.profile.clone()).or_default().push(action),
            Action::Restart { .. } | Action::Kill { .. } => single.push(action),
        }
    }
    starts.retain(|_, actions| {
        let few = actions.len() < BATCH_FROM;
        if few {
            single.append(actions);
        }
        !few
    });
    (starts, single)
}
