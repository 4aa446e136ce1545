//! What the switches do about an edit: before it is made, and while it takes effect.

use std::collections::BTreeSet;
use std::time::Duration;

use serde::Serialize;
use tokio::time::{Instant, sleep};
use utoipa::ToSchema;

use super::super::pool::{SwitchPool, will_serve};
use super::super::service::Service;
use super::super::status::{Blocker, Condition, Deviation, Gateway as Observed, Switch};
use super::super::{Caller, OperateError, recorded};
use super::GatewayRef;
use crate::desired::Current;
use crate::gateway::{Gateway, revision};
use crate::language::{Bilingual, Message, Text, text};
use crate::operate::recorded::failure;
use crate::reconcile::restart_seconds;
use crate::registration::State;

const REGISTERING: Text = text("registering", "正在注册");

const UNPLACED: Text = text(
    "it runs on one switch, which has not been chosen yet",
    "它只在一台 FreeSWITCH 上运行，尚未选定",
);

const TOO_MANY_REMOVED: Text = text(
    "as many gateways were removed from this switch lately as may be without approval",
    "近期从该 FreeSWITCH 删除的网关数已达到无需批准的上限",
);

/// How often Redis is asked for the state while somebody waits for an effect.
pub(super) const POLL: Duration = Duration::from_millis(100);

/// What an edit does on one switch.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Effect {
    pub switch: String,
    #[serde(flatten)]
    pub outcome: Outcome,
    /// The gateway's state on the switch.
    #[schema(value_type = Option<String>)]
    pub state: Option<State>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Outcome {
    /// The switch does what Redis says.
    Applied,
    /// The switch has the new version, and it doesn't work: `403 Forbidden`; or an action failed.
    Failed { reason: Message },
    /// The carrier refused the edit, so the version before runs again.
    RolledBack { reason: Message },
    /// An operator must approve it first.
    Held { reason: Message },
    /// It has not taken effect yet.
    Pending { reason: Message },
    /// The switch neither had the gateway nor gets it.
    NotForThisSwitch,
    /// In a dry run: the switch would start it.
    WouldStart,
    /// In a dry run: the switch would stop it and start it with the new value. Calls stay up.
    WouldRestart {
        /// For how long new calls fail, about; 0 for less than a second.
        interruption_seconds: usize,
    },
    /// In a dry run: the switch would stop it.
    WouldStop,
    /// In a dry run: nothing would change on the switch.
    WouldStay,
}

impl Outcome {
    /// Whether waiting longer can change it.
    pub(super) fn is_final(&self) -> bool {
        !matches!(self, Self::Pending { .. })
    }
}

impl Service {
    /// What each switch does with the gateway now.
    ///
    /// # Errors
    /// The caller may not see the domain, or Redis can't be read.
    pub async fn effect(&self, caller: &Caller, of: &GatewayRef) -> Result<Vec<Effect>, OperateError> {
        caller.check_sees(of.domain.text())?;
        self.wait_for_effect(caller, of, Duration::ZERO).await
    }

    /// Waits until every switch did what Redis says, or can't, or time is up.
    pub(super) async fn wait_for_effect(
        &self,
        caller: &Caller,
        of: &GatewayRef,
        limit: Duration,
    ) -> Result<Vec<Effect>, OperateError> {
        let deadline = Instant::now() + limit;
        let mut had: BTreeSet<String> = BTreeSet::new();
        loop {
            // A command, which doesn't follow Redis, would read every gateway each time.
            let current = self
                .catalog
                .one(of.name.as_str())
                .await
                .map_err(OperateError::unavailable(&self.settings))?;
            let switches = self.of_gateway(caller, &current, of.name.as_str()).await?;
            for switch in &switches {
                if !switch.gateways.is_empty() {
                    had.insert(switch.name.clone());
                }
            }
            let entry = current.desired.get(of.name.as_str());
            let rule = entry.filter(|entry| current.desired.is_unplaced(&entry.gateway.name));
            let rule = rule.and_then(|entry| entry.gateway.placement.as_deref());
            let effect: Vec<_> = switches
                .into_iter()
                .map(|switch| match rule.is_some_and(|rule| rule.allows(&switch.name)) {
                    true => unplaced(switch),
                    false => {
                        let had = had.contains(&switch.name);
                        effect(switch, had)
                    }
                })
                .collect();
            if effect.iter().all(|effect| effect.outcome.is_final()) || Instant::now() >= deadline {
                return Ok(effect);
            }
            sleep(POLL).await;
        }
    }

    /// What each switch would do if the gateway became `after`.
    pub(super) async fn predict(
        &self,
        caller: &Caller,
        current: &Current,
        of: &GatewayRef,
        after: Option<&Gateway>,
        is_deleted: bool,
    ) -> Result<Vec<Effect>, OperateError> {
        let before = current.desired.get(of.name.as_str());
        let placements = current.desired.placements();
        // Where it no longer runs, it is not removed.
        let moves = after.is_some_and(|after| after.enabled && after.is_on_one());
        let is_other = before.is_some_and(|entry| *entry.gateway.domain < **of.domain.text());
        let switches = self.status.of_gateway(caller, current, of.name.as_str()).await?;
        let pool = match after.is_some_and(Gateway::is_on_one) {
            true => Box::pin(self.pool()).await?,
            false => SwitchPool::default(),
        };
        let runs = |name: &str| {
            switches
                .iter()
                .any(|switch| switch.name == name && !switch.gateways.is_empty())
        };
        let owner =
            after.and_then(|after| pool.owner(after, placements.get(&after.name).map(|placed| &**placed), runs));
        let owner = owner.map(str::to_owned);
        let predicted = switches.into_iter().map(|switch| {
            let now = before.filter(|entry| entry.gateway.serves(Some(&switch.name)));
            let will_serve = |after: &&Gateway| will_serve(after, owner.as_deref(), &switch.name);
            let then = after.filter(|after| after.enabled).filter(will_serve);
            let is_refused = after.is_none() && !is_deleted;
            let outcome = match (now, then) {
                // An earlier domain has the name, or a refused value changes nothing.
                _ if is_other || is_refused => Outcome::WouldStay,
                (None, None) => Outcome::NotForThisSwitch,
                (None, Some(_)) => Outcome::WouldStart,
                (Some(_), None) => match switch.removals_left {
                    Some(0) if !moves => Outcome::Held {
                        reason: TOO_MANY_REMOVED.into(),
                    },
                    _ => Outcome::WouldStop,
                },
                (Some(now), Some(then)) => match revision(&now.gateway, &current.key) == revision(then, &current.key) {
                    true => Outcome::WouldStay,
                    false => Outcome::WouldRestart {
                        interruption_seconds: restart_seconds(&now.gateway, then),
                    },
                },
            };
            Effect {
                outcome,
                state: switch.gateways.first().and_then(|gateway| gateway.state.clone()),
                switch: switch.name,
            }
        });
        Ok(predicted.collect())
    }
}

/// It is not decided yet which switch has the gateway.
fn unplaced(switch: Switch) -> Effect {
    Effect {
        outcome: Outcome::Pending {
            reason: UNPLACED.into(),
        },
        state: switch.gateways.first().and_then(|gateway| gateway.state.clone()),
        switch: switch.name,
    }
}

pub(super) fn effect(switch: Switch, had: bool) -> Effect {
    let gateway = switch.gateways.first();
    let outcome = match gateway {
        None if had => Outcome::Applied,
        None => Outcome::NotForThisSwitch,
        Some(gateway) => outcome(gateway),
    };
    Effect {
        outcome,
        state: gateway.and_then(|gateway| gateway.state.clone()),
        switch: switch.name,
    }
}

fn outcome(gateway: &Observed) -> Outcome {
    let pending = |reason: Message| Outcome::Pending { reason };
    match &gateway.deviation {
        Some(Deviation::ActionFailed { problem }) => {
            return Outcome::Failed {
                reason: failure(problem),
            };
        }
        Some(
            Deviation::Missing {
                blocker: Some(Blocker::Held { held }),
            }
            | Deviation::Outdated {
                blocker: Blocker::Held { held },
            }
            | Deviation::Unwanted {
                blocker: Blocker::Held { held },
            },
        ) => return Outcome::Held { reason: held.clone() },
        Some(Deviation::NewValueRefused { problem } | Deviation::Kept { problem }) => {
            return Outcome::Failed {
                reason: problem.clone(),
            };
        }
        Some(Deviation::RolledBack { problem }) => {
            return Outcome::RolledBack {
                reason: problem.clone(),
            };
        }
        Some(Deviation::EditHeld { problem }) => {
            return Outcome::Held {
                reason: problem.clone(),
            };
        }
        // It was there before, and trunkd leaves it alone.
        Some(Deviation::NotOurs) => return Outcome::NotForThisSwitch,
        Some(deviation) => return pending(deviation.message()),
        None => {}
    }
    // It may still show why the version before was refused.
    let is_registering = matches!(
        gateway.state,
        Some(State::Unreged | State::Trying | State::Register | State::Unregister)
    );
    match gateway.condition {
        Condition::Down if is_registering => pending(REGISTERING.into()),
        Condition::Up => Outcome::Applied,
        Condition::Unknown if gateway.observed_revision.is_some() => Outcome::Applied,
        // It is taken back, or has some seconds left.
        Condition::Down if gateway.is_verified => pending(down_reason(gateway)),
        Condition::Down => Outcome::Failed {
            reason: down_reason(gateway),
        },
        Condition::Trying => pending(REGISTERING.into()),
        Condition::Unknown | Condition::Missing => {
            pending(text("not on the switch yet", "尚未在该 FreeSWITCH 上").into())
        }
    }
}

/// In the carrier's words, if it said any.
fn down_reason(gateway: &Observed) -> Message {
    let said = gateway.reason.clone().or_else(|| gateway.answer());
    said.map_or_else(|| text("it is down", "不可用").into(), |said| recorded(&said))
}
