//! Restarts, registers, unregisters, parks and unparks a gateway on its switches, without an edit.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::{Instant, sleep};

use super::super::service::Service;
use super::super::status::Switch;
use super::super::{Caller, OperateError};
use super::GatewayRef;
use super::effect::{Effect, Outcome, POLL, effect};
use super::read::stored;
use crate::control::{Job, JobAction, JobOutcome};
use crate::desired::Current;
use crate::language::{Text, text};
use crate::operate::recorded::failure;
use crate::registration::State;
use crate::settings::ReconcileMode;

/// What to do with a gateway, and where.
#[derive(Debug, Clone)]
pub struct JobRequest {
    pub action: JobAction,
    /// `None`: on every switch that is to run it.
    pub switch: Option<String>,
    /// Wait this long for the effect.
    pub wait: Option<Duration>,
}

/// The job on one switch.
struct Running {
    id: String,
    /// Since when the gateway had its state before the job. That state says nothing about the job.
    before: Option<Timestamp>,
    outcome: JobOutcome,
}

impl Service {
    /// Has the trunkd that changes each switch do it there, and tells what came of it.
    ///
    /// # Errors
    /// The caller may not edit the domain; there is no such gateway or switch; none of the switches can be
    /// reached; Redis can't be written.
    pub async fn run_job(
        &self,
        caller: &Caller,
        of: &GatewayRef,
        request: &JobRequest,
    ) -> Result<Vec<Effect>, OperateError> {
        caller.may_edit(of.domain.text())?;
        let current = self.writable().await?;
        self.check_runnable(&current, of, request.action)?;
        let switches = self.status.of_gateway(caller, &current, of.name.as_str()).await?;
        let switches = selected(switches, request.switch.as_deref())?;
        let mut jobs = BTreeMap::new();
        for switch in switches.iter().filter(|switch| is_target(switch)) {
            let job = Job::new(request.action, &caller.identity);
            let gateways = BTreeSet::from([of.name.clone()]);
            let added = self.store.add_job(&switch.name, &job, &gateways).await;
            if !added.map_err(OperateError::writing(&self.settings))? {
                return Err(OperateError::TooManyJobs(switch.name.clone()));
            }
            let running = Running {
                id: job.id,
                before: since(switch),
                outcome: JobOutcome::Pending,
            };
            jobs.insert(switch.name.clone(), running);
        }
        if jobs.is_empty()
            && let Some(away) = switches.iter().find(|switch| !switch.gateways.is_empty())
        {
            return Err(OperateError::NotConnected(away.name.clone()));
        }
        self.wait_for_jobs(caller, of, request, jobs).await
    }

    pub(super) fn check_runnable(
        &self,
        current: &Current,
        of: &GatewayRef,
        action: JobAction,
    ) -> Result<(), OperateError> {
        if stored(current, of).is_none() {
            return Err(Self::missing(current, of));
        }
        if self.settings.reconcile.mode == ReconcileMode::Off {
            return Err(OperateError::ModeOff);
        }
        if action != JobAction::Restart && of.name.means_all() {
            return Err(OperateError::MeansAll(of.name.to_string()));
        }
        match current.desired.get_in(of.domain.text(), of.name.as_str()) {
            Some(_) => Ok(()),
            None => Err(OperateError::NotServed(of.name.to_string())),
        }
    }

    /// Waits until every job is done and had its effect, or time is up. What nobody took up by then is
    /// taken back.
    async fn wait_for_jobs(
        &self,
        caller: &Caller,
        of: &GatewayRef,
        request: &JobRequest,
        mut jobs: BTreeMap<String, Running>,
    ) -> Result<Vec<Effect>, OperateError> {
        let deadline = Instant::now() + request.wait.unwrap_or_default();
        loop {
            self.read_outcomes(of, &mut jobs).await?;
            let current = self.catalog.all().await;
            let current = current.map_err(OperateError::unavailable(&self.settings))?;
            let switches = self.status.of_gateway(caller, &current, of.name.as_str()).await?;
            let switches = selected(switches, request.switch.as_deref())?;
            let effect: Vec<_> = switches
                .into_iter()
                .map(|switch| {
                    let job = jobs.get(&switch.name);
                    effect_of(request.action, switch, job)
                })
                .collect();
            if effect.iter().all(|effect| effect.outcome.is_final()) || request.wait.is_none() {
                return Ok(effect);
            }
            if Instant::now() >= deadline {
                return self.give_up(effect, &jobs).await;
            }
            sleep(POLL).await;
        }
    }

    async fn read_outcomes(&self, of: &GatewayRef, jobs: &mut BTreeMap<String, Running>) -> Result<(), OperateError> {
        for (switch, running) in jobs.iter_mut().filter(|(_, job)| job.outcome == JobOutcome::Pending) {
            let job = self.store.read_job(switch, &running.id).await;
            let job = job.map_err(OperateError::at(&self.settings))?;
            if job.is_none_or(|job| job.done_at.is_none()) {
                continue;
            }
            let outcomes = self.store.read_job_outcomes(&running.id).await;
            let mut outcomes = outcomes.map_err(OperateError::at(&self.settings))?;
            running.outcome = outcomes.remove(of.name.as_str()).unwrap_or(JobOutcome::Pending);
        }
        Ok(())
    }

    async fn give_up(
        &self,
        mut effect: Vec<Effect>,
        jobs: &BTreeMap<String, Running>,
    ) -> Result<Vec<Effect>, OperateError> {
        for effect in &mut effect {
            let Some(running) = jobs.get(&effect.switch) else {
                continue;
            };
            if running.outcome != JobOutcome::Pending {
                continue;
            }
            let withdrawn = self.store.withdraw_job(&effect.switch, &running.id).await;
            if withdrawn.map_err(OperateError::writing(&self.settings))? {
                effect.outcome = Outcome::Failed {
                    reason: text(
                        "no trunkd took it up in time, so it was taken back",
                        "没有 trunkd 及时执行，因此已撤回",
                    )
                    .into(),
                };
            }
        }
        Ok(effect)
    }
}

/// Of all switches or one.
fn selected(switches: Vec<Switch>, name: Option<&str>) -> Result<Vec<Switch>, OperateError> {
    let Some(name) = name else { return Ok(switches) };
    let known = switches.iter().map(|switch| switch.name.clone()).collect();
    match switches.into_iter().find(|switch| switch.name == name) {
        Some(switch) => Ok(vec![switch]),
        None => Err(OperateError::UnknownSwitch {
            name: name.to_owned(),
            known,
        }),
    }
}

/// Whether the switch runs the gateway or is to, and can be reached.
fn is_target(switch: &Switch) -> bool {
    !switch.gateways.is_empty() && is_reachable(switch)
}

fn is_reachable(switch: &Switch) -> bool {
    switch.state.connected && switch.watched
}

fn since(switch: &Switch) -> Option<Timestamp> {
    switch.gateways.first()?.since
}

fn effect_of(action: JobAction, switch: Switch, job: Option<&Running>) -> Effect {
    let now = since(&switch);
    let is_reachable = is_reachable(&switch);
    let state = switch.gateways.first().and_then(|gateway| gateway.state.as_ref());
    let was_down = matches!(state, None | Some(State::Down));
    let mut effect = effect(switch, false);
    effect.outcome = match job {
        None if effect.outcome == Outcome::NotForThisSwitch => Outcome::NotForThisSwitch,
        None => Outcome::Failed {
            reason: text("the switch could not be reached", "无法连接该 FreeSWITCH").into(),
        },
        Some(job) => match &job.outcome {
            JobOutcome::Failed(reason) => Outcome::Failed {
                reason: failure(reason),
            },
            JobOutcome::Pending if !is_reachable => {
                pending(text("the switch can't be reached", "无法连接该 FreeSWITCH"))
            }
            JobOutcome::Pending => pending(text("waiting for its turn", "等待执行")),
            JobOutcome::Done if action == JobAction::Park && was_down => Outcome::Applied,
            JobOutcome::Done if now == job.before => pending(text(
                "FreeSWITCH has not reported its new state yet",
                "FreeSWITCH 尚未报告新的状态",
            )),
            JobOutcome::Done if matches!(action, JobAction::Unregister | JobAction::Park) => Outcome::Applied,
            JobOutcome::Done => effect.outcome,
        },
    };
    effect
}

fn pending(reason: Text) -> Outcome {
    Outcome::Pending { reason: reason.into() }
}
