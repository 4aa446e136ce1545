//! Jobs of operators: gateways that are restarted, registered, unregistered, parked or unparked by name.
//! They are carried out while the switch is paused too, but by the lease holder alone and at the pace of
//! all starts.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures_util::StreamExt;
use jiff::Timestamp;
use tokio::time::Instant;

use super::act::{AT_ONCE, ActionOutcome};
use super::carriers::Registers;
use super::troubles::Troubles;
use super::{DesiredSource, Executor, Switch};
use crate::carriers::Expected;
use crate::control::trouble;
use crate::control::{Control, Job, JobAction, JobOutcome};
use crate::event_socket::{Changes, Commands, RegistrationReply};
use crate::gateway::{GatewayName, ProfileName};
use crate::history::ActionKind;
use crate::reconcile::plan::{Action, Known, Want};

/// A job that this trunkd carries out.
pub(super) struct ActiveJob {
    job: Job,
    pending: BTreeSet<GatewayName>,
    /// Killed for a restart, and not started yet.
    killed: BTreeSet<GatewayName>,
    /// What Redis has not taken yet.
    unsaved: Vec<(GatewayName, JobOutcome)>,
}

/// One gateway of a job.
struct Task {
    job: String,
    action: JobAction,
    by: String,
    gateway: GatewayName,
}

impl Registers for Task {
    fn registers(&self) -> Option<(&GatewayName, Expected)> {
        let expected = match self.action {
            JobAction::Restart => Expected::OfNewInstance,
            JobAction::Register | JobAction::Unpark => Expected::OfSameInstance,
            JobAction::Unregister | JobAction::Park => return None,
        };
        Some((&self.gateway, expected))
    }
}

/// What to do with it on the switch.
#[derive(Debug, PartialEq, Eq)]
enum Step {
    Change(Action),
    Registration {
        profile: ProfileName,
        registers: bool,
    },
    /// Its revision isn't known yet.
    Wait,
    /// Nothing: the plan has started it, or starts it or not as it is parked now.
    Done,
}

/// A gateway of a job after its turn.
struct Worked {
    task: Task,
    /// `None` if the switch was not asked.
    change: Option<Action>,
    outcome: ActionOutcome,
    took: Duration,
}

impl<S: Switch, W: DesiredSource> Executor<S, W> {
    /// Does the next round of all jobs together, without the gateways that are `busy`. False if nothing
    /// was due.
    pub(super) async fn work_on_jobs(
        &mut self,
        control: &Control,
        known: &Known,
        busy: &BTreeSet<GatewayName>,
    ) -> bool {
        let Some(jobs) = control.jobs.get(self.switch.name()) else {
            self.memory.jobs.clear();
            return false;
        };
        self.take_up(jobs).await;
        let round = self.pace.lock().await.burst().clamp(8, AT_ONCE);
        let tasks = due(&self.memory.jobs, &self.memory.troubles, busy, round);
        let tasks = self.within_pace(tasks).await;
        let is_due = !tasks.is_empty();
        if is_due && let Some((commands, changes)) = self.switch.commands() {
            let this = &*self;
            let doing = futures_util::stream::iter(tasks)
                .map(|task| this.work_on(task, known, &commands, &changes))
                .buffer_unordered(AT_ONCE);
            let worked: Vec<_> = doing.collect().await;
            for worked in worked {
                self.record_work(worked);
            }
        }
        self.save_jobs().await;
        is_due
    }

    /// Reads new jobs, and forgets and deletes old ones.
    async fn take_up(&mut self, jobs: &[Job]) {
        let (name, now) = (self.switch.name().to_owned(), Timestamp::now());
        self.memory.jobs.retain(|id, _| jobs.iter().any(|job| job.id == *id));
        for job in jobs {
            if job.is_over(now) {
                if job.done_at.is_none() {
                    tracing::warn!(
                        switch = name,
                        action = job.action.as_str(),
                        by = job.by,
                        asked_at = %job.at,
                        "not all of this was done in time, and the rest is not done any more"
                    );
                }
                self.memory.jobs.remove(&job.id);
                let _ = self.store.drop_job(&name, &job.id).await;
                continue;
            }
            if job.done_at.is_some() || self.memory.jobs.contains_key(&job.id) {
                continue;
            }
            let Ok(outcomes) = self.store.read_job_outcomes(&job.id).await else {
                return;
            };
            let active = ActiveJob::new(job, outcomes);
            // From here on it can't be taken back. If it was, it is not there.
            let is_there = self.store.save_job(&name, &active.job, &[]).await;
            if matches!(is_there, Ok(true)) {
                // The operator may have fixed what failed before.
                self.memory.troubles.forget(&active.pending);
                self.memory.jobs.insert(job.id.clone(), active);
            }
        }
    }

    async fn work_on(&self, task: Task, known: &Known, commands: &Commands, changes: &Changes) -> Worked {
        let began = Instant::now();
        let killed = self
            .memory
            .jobs
            .get(&task.job)
            .is_some_and(|job| job.killed.contains(&task.gateway));
        let is_parked = self.memory.parking.known.gateways.contains_key(&task.gateway);
        let step = step(task.action, &task.gateway, known, &self.memory.wants, killed, is_parked);
        let is_ready = matches!(step, Ok(Step::Change(_) | Step::Registration { .. } | Step::Done));
        if is_ready && !self.set_parked_by_hand(task.action, &task.gateway, &task.by).await {
            return Worked {
                task,
                change: None,
                outcome: ActionOutcome::Yielded,
                took: began.elapsed(),
            };
        }
        let (change, outcome) = match step {
            Ok(Step::Change(action)) => {
                let outcome = self.act_on(&action, commands, changes).await;
                (Some(action), outcome)
            }
            Ok(Step::Registration { profile, registers }) => {
                let outcome = self.set_registration(&task.gateway, &profile, registers, changes).await;
                (None, outcome)
            }
            Ok(Step::Wait) => (None, ActionOutcome::Yielded),
            Ok(Step::Done) => (None, ActionOutcome::Done),
            Err(reason) => (None, ActionOutcome::Failed(reason)),
        };
        Worked {
            task,
            change,
            outcome: self.unless_gone(outcome),
            took: began.elapsed(),
        }
    }

    pub(super) async fn set_registration(
        &self,
        gateway: &GatewayName,
        profile: &ProfileName,
        registers: bool,
        changes: &Changes,
    ) -> ActionOutcome {
        if registers {
            self.pace.lock().await.take(1).await;
        }
        if !self.may_change() {
            return ActionOutcome::Yielded;
        }
        let reply = match registers {
            true => changes.register(profile, gateway, self.permit()).await,
            false => changes.unregister(profile, gateway, self.permit()).await,
        };
        match reply {
            Ok(RegistrationReply::Accepted) => ActionOutcome::Done,
            Ok(RegistrationReply::NeverRegisters) => ActionOutcome::Failed(trouble::NEVER_REGISTERS.en.to_owned()),
            Ok(RegistrationReply::NoSuchGateway) => {
                self.switch.survey_soon();
                ActionOutcome::Failed(trouble::NOT_THERE.en.to_owned())
            }
            Err(error) => self.unanswered(&error),
        }
    }

    fn record_work(&mut self, worked: Worked) {
        let Worked {
            task,
            change,
            outcome,
            took,
        } = worked;
        let Task {
            job,
            action,
            by,
            gateway,
        } = task;
        let failure = match &outcome {
            ActionOutcome::Done => None,
            ActionOutcome::Refused(reason) | ActionOutcome::Failed(reason) => Some(reason.clone()),
            ActionOutcome::Yielded | ActionOutcome::Interrupted => return,
        };
        let is_gone = self.switch.instance(&gateway) == Ok(None);
        match &change {
            Some(change) => self.record_outcome(change, outcome, took, Some(&by)),
            None => self.record_registration(action, &gateway, failure.as_deref(), took, &by),
        }
        // A gateway that was killed must come back.
        let retries = change.is_some() && is_gone && self.memory.troubles.will_retry(&gateway);
        let Some(active) = self.memory.jobs.get_mut(&job) else {
            return;
        };
        if failure.is_some() && retries {
            active.killed.insert(gateway);
            return;
        }
        active.pending.remove(&gateway);
        self.memory.parking.job_is_done(action, &gateway);
        let outcome = failure.map_or(JobOutcome::Done, JobOutcome::Failed);
        active.unsaved.push((gateway, outcome));
    }

    fn record_registration(
        &mut self,
        action: JobAction,
        gateway: &GatewayName,
        failure: Option<&str>,
        took: Duration,
        by: &str,
    ) {
        let switch = self.switch.name().to_owned();
        let domain = self.memory.wants.get(gateway).map(|want| want.domain.to_string());
        let (label, verb) = (if failure.is_some() { "failed" } else { "done" }, action.as_str());
        self.count_action(verb, label);
        match failure {
            None => tracing::info!(%switch, %gateway, domain, by, "{}", action.done()),
            Some(reason) => tracing::warn!(%switch, %gateway, domain, by, "could not {verb}: {reason}"),
        }
        let kind = match action {
            JobAction::Restart => ActionKind::Restart,
            JobAction::Register => ActionKind::Register,
            JobAction::Unregister => ActionKind::Unregister,
            JobAction::Park => ActionKind::Park,
            JobAction::Unpark => ActionKind::Unpark,
        };
        let log = &mut self.memory.action_log;
        log.add_one(&switch, kind, (gateway, domain), failure, took, Some(by));
    }

    /// Writes progress. What Redis does not take is written with the next progress.
    async fn save_jobs(&mut self) {
        let name = self.switch.name().to_owned();
        for active in self.memory.jobs.values_mut() {
            let is_done = active.pending.is_empty();
            if active.unsaved.is_empty() && !is_done || active.job.done_at.is_some() {
                continue;
            }
            let job = Job {
                left: Some(active.pending.len()),
                done_at: is_done.then(Timestamp::now),
                ..active.job.clone()
            };
            if self.store.save_job(&name, &job, &active.unsaved).await.is_ok() {
                active.unsaved.clear();
                active.job = job;
            }
        }
    }
}

impl ActiveJob {
    /// Whether it still has to do something with this gateway.
    pub(super) fn has(&self, gateway: &GatewayName) -> bool {
        self.pending.contains(gateway)
    }

    fn new(job: &Job, outcomes: BTreeMap<String, JobOutcome>) -> Self {
        let pending = outcomes
            .into_iter()
            .filter(|(_, outcome)| *outcome == JobOutcome::Pending);
        let pending: BTreeSet<_> = pending.filter_map(|(name, _)| GatewayName::parse(&name).ok()).collect();
        Self {
            job: Job {
                left: Some(pending.len()),
                ..job.clone()
            },
            pending,
            killed: BTreeSet::new(),
            unsaved: Vec::new(),
        }
    }
}

/// The tasks of the next round, the oldest job first. A gateway is in a round once.
fn due(
    jobs: &BTreeMap<String, ActiveJob>,
    troubles: &Troubles,
    busy: &BTreeSet<GatewayName>,
    round: usize,
) -> Vec<Task> {
    let mut jobs: Vec<_> = jobs.values().collect();
    jobs.sort_by_key(|active| active.job.at);
    let mut taken = busy.clone();
    let mut tasks = Vec::new();
    for active in jobs {
        for gateway in &active.pending {
            if tasks.len() == round {
                return tasks;
            }
            let may = troubles.may_retry(gateway, Instant::now()) != Some(false);
            if may && taken.insert(gateway.clone()) {
                tasks.push(Task {
                    job: active.job.id.clone(),
                    action: active.job.action,
                    by: active.job.by.clone(),
                    gateway: gateway.clone(),
                });
            }
        }
    }
    tasks
}

/// `killed`: the job has killed it already. `is_parked`: it is parked. `Err`: why nothing can be done.
fn step(
    action: JobAction,
    gateway: &GatewayName,
    known: &Known,
    wants: &BTreeMap<GatewayName, Want>,
    killed: bool,
    is_parked: bool,
) -> Result<Step, String> {
    let have = known.actual.gateways.get(gateway);
    if have.is_none() && known.unsettled.contains(gateway) {
        return Ok(Step::Wait);
    }
    if have.is_some_and(|have| !have.is_ours()) {
        return Err(trouble::STARTED_BY_OTHERS.en.to_owned());
    }
    let registers = match action {
        JobAction::Restart => {
            let to = wants.get(gateway).ok_or(trouble::NOT_WANTED.en)?;
            if !known.actual.profiles.contains(&to.profile) {
                return Err(trouble::no_profile(&to.profile));
            }
            let (gateway, to) = (gateway.clone(), to.clone());
            return Ok(match have {
                Some(_) if killed => Step::Done,
                Some(from) => Step::Change(Action::Restart {
                    gateway,
                    from: from.clone(),
                    to,
                }),
                None => Step::Change(Action::Start { gateway, to }),
            });
        }
        JobAction::Unpark if !is_parked => return Err(trouble::NOT_PARKED.en.to_owned()),
        JobAction::Register | JobAction::Unpark => true,
        JobAction::Unregister => false,
        JobAction::Park => match wants.get(gateway) {
            None => return Err(trouble::NOT_WANTED.en.to_owned()),
            Some(want) if !want.registers => return Err(trouble::NEVER_REGISTERS.en.to_owned()),
            Some(_) => false,
        },
    };
    match have {
        // It is parked without running, or the plan starts it.
        None if is_parked || action == JobAction::Park => Ok(Step::Done),
        None => Err(trouble::NOT_THERE.en.to_owned()),
        Some(have) if !have.registers => Err(trouble::NEVER_REGISTERS.en.to_owned()),
        Some(have) => Ok(Step::Registration {
            profile: have.profile.clone(),
            registers,
        }),
    }
}

#[cfg(test)]
mod tests;
