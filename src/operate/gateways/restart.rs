//! Restarts many gateways: a job per switch, and how far it is.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use super::super::service::Service;
use super::super::{Caller, OperateError};
use super::GatewayRef;
use super::bulk::{Chosen, check_expected};
use super::effect::{Effect, Outcome};
use crate::access::Role;
use crate::control::{Job, JobAction, JobOutcome};
use crate::desired::Current;
use crate::gateway::{DomainName, GatewayName};
use crate::language::{Bilingual, Message};
use crate::operate::recorded::failure;
use crate::reconcile::restart_seconds;
use crate::settings::ReconcileMode;

/// The most gateways of one call. At 50 starts a second they take 20 s.
pub const MAX_RESTARTS: usize = 1000;

#[derive(Debug, Clone, Default)]
pub struct RestartOptions {
    /// Only say what would happen.
    pub dry_run: bool,
    /// Do nothing unless this many gateways are restarted: those that a person was shown.
    pub expected: Option<usize>,
    /// Only on this switch. Otherwise on every one that runs them, or is to.
    pub switch: Option<String>,
}

/// What is restarted, or would be.
#[derive(Debug)]
pub struct Restart {
    /// For [`Service::restart_progress`]. `None` if nothing was begun.
    pub id: Option<String>,
    pub gateways: Vec<GatewayRef>,
    pub left_out: Vec<LeftOut>,
    pub switches: Vec<RestartOn>,
}

/// A gateway that can't be restarted.
#[derive(Debug, Serialize, ToSchema)]
pub struct LeftOut {
    pub domain: String,
    pub name: String,
    pub reason: Message,
}

#[derive(Debug, PartialEq, Eq)]
pub struct RestartOn {
    pub switch: String,
    pub gateways: BTreeSet<GatewayName>,
    /// For how long new calls over one of them fail, about; 0 for less than a second.
    pub interruption_seconds: usize,
    /// No trunkd is connected to it, so nothing is restarted there.
    pub is_away: bool,
}

/// How far the restarts on one switch are.
#[derive(Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct RestartProgress {
    pub switch: String,
    pub state: RestartState,
    /// Gateways that were to be restarted.
    pub all: usize,
    /// Those whose turn is still to come.
    pub left: usize,
    /// Gateway → why it was not restarted.
    pub failed: BTreeMap<String, Message>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum RestartState {
    /// No trunkd has begun.
    Waiting,
    Running,
    Done,
    /// It took too long, and the rest is not done.
    GivenUp,
}

impl Service {
    /// Has the trunkd that changes each switch restart all of these that run there, or are to.
    ///
    /// # Errors
    /// The caller may not edit one of the domains; more than [`MAX_RESTARTS`] are chosen; none of the
    /// switches can be reached; another number than expected; Redis can't be written.
    pub async fn restart_many(
        &self,
        caller: &Caller,
        chosen: &Chosen,
        options: &RestartOptions,
    ) -> Result<Restart, OperateError> {
        caller.requires(Role::Operator)?;
        if self.settings.reconcile.mode == ReconcileMode::Off {
            return Err(OperateError::ModeOff);
        }
        let names = self.chosen(caller, chosen).await?;
        if names.len() > MAX_RESTARTS {
            return Err(OperateError::TooManyGateways {
                chosen: names.len(),
                most: MAX_RESTARTS,
            });
        }
        let current = self.writable().await?;
        let (gateways, left_out) = self.restartable(&current, names);
        check_expected(options.expected, gateways.len())?;
        let switches = self
            .restarts_by_switch(&current, &gateways, options.switch.as_deref())
            .await?;
        let id = match options.dry_run {
            true => None,
            false => self.begin_restarts(caller, &switches).await?,
        };
        Ok(Restart {
            id,
            gateways,
            left_out,
            switches,
        })
    }

    /// What a restart of this gateway does on each switch. Nothing is restarted.
    ///
    /// # Errors
    /// As [`Service::run_job`].
    pub async fn predict_restart(&self, caller: &Caller, of: &GatewayRef) -> Result<Vec<Effect>, OperateError> {
        caller.may_edit(of.domain.text())?;
        let current = self.writable().await?;
        self.check_runnable(&current, of, JobAction::Restart)?;
        let switches = self
            .restarts_by_switch(&current, std::slice::from_ref(of), None)
            .await?;
        if let Some(away) = switches.first()
            && switches.iter().all(|on| on.is_away)
        {
            return Err(OperateError::NotConnected(away.switch.clone()));
        }
        let effect = |on: RestartOn| Effect {
            outcome: match on.is_away {
                true => Outcome::WouldStay,
                false => Outcome::WouldRestart {
                    interruption_seconds: on.interruption_seconds,
                },
            },
            switch: on.switch,
            state: None,
        };
        Ok(switches.into_iter().map(effect).collect())
    }

    fn restartable(&self, current: &Current, names: Vec<(DomainName, String)>) -> (Vec<GatewayRef>, Vec<LeftOut>) {
        let (mut gateways, mut left_out) = (Vec::new(), Vec::new());
        for (domain, name) in names {
            let checked = match GatewayName::parse(&name) {
                Ok(name) => {
                    let of = GatewayRef {
                        domain: domain.clone(),
                        name,
                    };
                    let is_runnable = self.check_runnable(current, &of, JobAction::Restart);
                    is_runnable.map(|()| of).map_err(|error| error.message())
                }
                Err(error) => Err(error.message()),
            };
            match checked {
                Ok(of) => gateways.push(of),
                Err(reason) => left_out.push(LeftOut {
                    domain: domain.to_string(),
                    name,
                    reason,
                }),
            }
        }
        (gateways, left_out)
    }

    /// Only switches that have any of them to restart.
    async fn restarts_by_switch(
        &self,
        current: &Current,
        gateways: &[GatewayRef],
        only: Option<&str>,
    ) -> Result<Vec<RestartOn>, OperateError> {
        self.catch_up().await?;
        let known = self.listing().read();
        let configured = self.settings.switches.iter().map(|switch| switch.name.clone());
        let reported = known.fleet.switches().map(|(name, _)| name.to_string());
        let mut switches: BTreeSet<String> = configured.chain(reported).collect();
        if let Some(only) = only {
            let known = switches.clone();
            switches.retain(|name| name == only);
            if switches.is_empty() {
                let name = only.to_owned();
                return Err(OperateError::UnknownSwitch { name, known });
            }
        }
        let on = |switch: String| {
            let names = gateways.iter().map(|of| &of.name);
            let here = names.filter(|name| current.desired.serves(name, &switch));
            let seconds = here.clone().filter_map(|name| {
                let gateway = &current.desired.get(name.as_str())?.gateway;
                Some(restart_seconds(gateway, gateway))
            });
            RestartOn {
                interruption_seconds: seconds.max().unwrap_or_default(),
                gateways: here.cloned().collect(),
                is_away: !known.fleet.is_watched(&switch),
                switch,
            }
        };
        let all = switches.into_iter().map(on);
        Ok(all.filter(|on| !on.gateways.is_empty()).collect())
    }

    /// All or nothing: what was asked for is taken back if a switch takes no more jobs.
    async fn begin_restarts(&self, caller: &Caller, switches: &[RestartOn]) -> Result<Option<String>, OperateError> {
        let all = Job::new(JobAction::Restart, &caller.identity);
        let mut begun: Vec<(&str, String)> = Vec::new();
        for (place, on) in switches.iter().filter(|on| !on.is_away).enumerate() {
            let job = Job {
                id: format!("{}-{place}", all.id),
                ..all.clone()
            };
            let added = self.store.add_job(&on.switch, &job, &on.gateways).await;
            let problem = match added {
                Ok(true) => {
                    begun.push((&on.switch, job.id));
                    continue;
                }
                Ok(false) => OperateError::TooManyJobs(on.switch.clone()),
                Err(error) => OperateError::writing(&self.settings)(error),
            };
            for (switch, id) in begun {
                let _ = self.store.withdraw_job(switch, &id).await;
            }
            return Err(problem);
        }
        match (begun.is_empty(), switches.first()) {
            (true, Some(away)) => Err(OperateError::NotConnected(away.switch.clone())),
            (true, None) => Ok(None),
            (false, _) => Ok(Some(all.id)),
        }
    }

    /// How far it is on each switch. A switch that is done is forgotten after a minute. Others than who
    /// asked for it see it only if they see all domains.
    ///
    /// # Errors
    /// Redis can't be read.
    pub async fn restart_progress(&self, caller: &Caller, id: &str) -> Result<Vec<RestartProgress>, OperateError> {
        let away = OperateError::at(&self.settings);
        let control = self.store.read_control().await.map_err(away)?;
        let (part, by, now) = (format!("{id}-"), caller.identity.to_string(), Timestamp::now());
        let mut progress = Vec::new();
        for (switch, jobs) in &control.jobs {
            let is_shown = |job: &&Job| job.id.starts_with(&part) && (job.by == by || caller.sees_all());
            for job in jobs.iter().filter(is_shown) {
                let outcomes = self.store.read_job_outcomes(&job.id).await.map_err(away)?;
                progress.push(RestartProgress::new(switch, job, outcomes, now));
            }
        }
        Ok(progress)
    }
}

impl RestartProgress {
    fn new(switch: &str, job: &Job, outcomes: BTreeMap<String, JobOutcome>, now: Timestamp) -> Self {
        let state = match (job.done_at, job.left) {
            (Some(_), _) => RestartState::Done,
            (None, _) if job.is_over(now) => RestartState::GivenUp,
            (None, Some(_)) => RestartState::Running,
            (None, None) => RestartState::Waiting,
        };
        let pending = outcomes.values().filter(|outcome| **outcome == JobOutcome::Pending);
        Self {
            switch: switch.to_owned(),
            state,
            all: outcomes.len(),
            left: pending.count(),
            failed: outcomes
                .into_iter()
                .filter_map(|(gateway, outcome)| match outcome {
                    JobOutcome::Failed(reason) => Some((gateway, failure(&reason))),
                    JobOutcome::Pending | JobOutcome::Done => None,
                })
                .collect(),
        }
    }

    /// Whether more is to come.
    pub fn is_under_way(&self) -> bool {
        matches!(self.state, RestartState::Waiting | RestartState::Running)
    }
}
