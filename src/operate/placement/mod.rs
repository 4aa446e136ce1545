//! Gateways that run on exactly one switch: where they are, and moves that people ask for.
//!
//! A move is a wish in the gateway's record. The placer carries it out when its turn comes.

mod drain;
mod fleet;
mod rebalance;

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;
use tokio::time::{Instant, sleep};
use utoipa::ToSchema;

use super::gateways::{GatewayRef, stored};
use super::service::Service;
use super::{Caller, OperateError};
use crate::control::PlacementChange;
use crate::desired::Current;
use crate::gateway::{Gateway, Move, Placed, PlacedFor};
use crate::language::{Bilingual, Text, text};
pub use drain::{DrainProgress, SwitchPlacement};
pub use rebalance::{Rebalance, RebalanceMove};

const POLL: Duration = Duration::from_millis(200);
/// How often a record is read again because somebody else changed it.
const TRIES: usize = 5;

/// Which switch has a gateway.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Where {
    pub domain: String,
    pub gateway: String,
    pub placement: PlacementMode,
    /// The switch that has it. `null` if it runs on all of its switches, while it moves, and if no live switch
    /// may have it.
    pub switch: Option<String>,
    /// Where that switch's SIP profile answers, as it told trunkd: `host:port`. For calls that come from another
    /// switch.
    pub sip: Option<String>,
    /// The switches that are to run it now.
    pub switches: Vec<String>,
    /// How it came there. `null` if it runs on all of its switches, or was never placed.
    pub placed: Option<PlacedSince>,
}

/// On how many switches a gateway runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum PlacementMode {
    /// On all of its `nodes`.
    All,
    /// On exactly one of them.
    One,
}

#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct PlacedSince {
    #[schema(value_type = String, format = DateTime)]
    pub since: Timestamp,
    pub reason: PlacedFor,
    /// Who asked for it; empty if nobody did.
    pub by: String,
    /// Counts the changes.
    pub epoch: u64,
    /// The move that is under way: `waiting` for its turn, `leaving` its switch, `arriving` at the new one.
    #[schema(value_type = Option<Object>)]
    pub step: Option<Move>,
}

/// Why a gateway can't move to a switch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CannotMove {
    /// It runs on all of its switches.
    NotOnOne,
    /// No switch has it yet.
    NotPlaced,
    /// The switch is none of its `nodes`.
    NotItsNode,
    AlreadyThere,
    /// It is drained, paused, or no trunkd is connected to it.
    NotOpen,
    /// It moves already.
    Moves,
}

impl CannotMove {
    fn reason(self) -> Text {
        match self {
            Self::NotOnOne => text(
                "it runs on all of its switches; `\"placement\": \"one\"` lets it run on one",
                "它在其所有 FreeSWITCH 上运行；设置 `\"placement\": \"one\"` 后只在一台上运行",
            ),
            Self::NotPlaced => text(
                "it has no switch yet: a trunkd that serves gives it one when one is live",
                "它还没有所在的 FreeSWITCH：有 FreeSWITCH 在线后，由运行中的 trunkd 分配",
            ),
            Self::NotItsNode => text(
                "that is none of its switches: add it to `nodes`",
                "该 FreeSWITCH 不在它的 `nodes` 中：请先加入",
            ),
            Self::AlreadyThere => text("it is there", "它已经在那里"),
            Self::NotOpen => text(
                "that switch is drained or paused, or no trunkd is connected to it",
                "该 FreeSWITCH 正在排空或已暂停，或没有 trunkd 与之连接",
            ),
            Self::Moves => text("it is on its way already: try again later", "它正在迁移中：请稍后再试"),
        }
    }
}

impl fmt::Display for CannotMove {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.reason().en)
    }
}

impl Bilingual for CannotMove {
    fn chinese(&self) -> String {
        self.reason().zh.to_owned()
    }
}

/// How a move ended.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct MoveAnswer {
    pub outcome: MoveOutcome,
    #[serde(flatten)]
    pub now: Where,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum MoveOutcome {
    /// It is on the switch, and works there as far as that can be told.
    Moved,
    /// It is on its way, or waits for its turn.
    Pending,
    /// It did not work there, or the switch could not take it: it is where it was, or on another one.
    NotMoved,
}

impl Service {
    /// Which switch has a gateway.
    ///
    /// # Errors
    /// Redis can't be read, the caller may not see the domain, or there is no such gateway, or it isn't served.
    pub async fn where_is(&self, caller: &Caller, of: &GatewayRef) -> Result<Where, OperateError> {
        caller.check_sees(of.domain.text())?;
        let current = self.catalog.all().await;
        let current = current.map_err(OperateError::unavailable(&self.settings))?;
        self.located(&current, of).await
    }

    /// Asks for a move, and waits for its end if `wait` is given.
    ///
    /// # Errors
    /// The caller may not edit the domain; [`OperateError::CannotMove`]; Redis can't be written.
    pub async fn move_gateway(
        &self,
        caller: &Caller,
        of: &GatewayRef,
        to: &str,
        wait: Option<Duration>,
    ) -> Result<MoveAnswer, OperateError> {
        caller.may_edit(of.domain.text())?;
        let fleet = self.fleet().await?;
        fleet.check_known(to)?;
        for _ in 0..TRIES {
            let current = self.writable().await?;
            let gateway = Self::served(&current, of)?;
            let placed = Self::movable(&current, gateway, to)?;
            if !fleet.is_open(to) {
                return Err(cannot(of, to, CannotMove::NotOpen));
            }
            let wish = Placed {
                epoch: placed.epoch + 1,
                reason: PlacedFor::Asked,
                by: caller.identity.to_string(),
                step: Some(Move::Waiting { to: to.to_owned() }),
                ..placed.clone()
            };
            let change = PlacementChange {
                gateway: of.name.clone(),
                epoch: Some(placed.epoch),
                placed: Some(wish),
                entry: None,
            };
            let made = self.history.place(&[change]).await;
            if made.map_err(OperateError::writing(&self.settings))? == [true] {
                return self.await_move(of, to, wait.unwrap_or_default()).await;
            }
        }
        Err(cannot(of, to, CannotMove::Moves))
    }

    async fn await_move(&self, of: &GatewayRef, to: &str, wait: Duration) -> Result<MoveAnswer, OperateError> {
        let deadline = Instant::now() + wait;
        loop {
            let current = self.writable().await?;
            let now = self.located(&current, of).await?;
            let step = now.placed.as_ref().and_then(|placed| placed.step.as_ref());
            let outcome = match step {
                Some(_) => MoveOutcome::Pending,
                None if now.switch.as_deref() == Some(to) => MoveOutcome::Moved,
                None => MoveOutcome::NotMoved,
            };
            if outcome != MoveOutcome::Pending || Instant::now() >= deadline {
                return Ok(MoveAnswer { outcome, now });
            }
            sleep(POLL).await;
        }
    }

    /// The record of a gateway that may move to this switch.
    fn movable<'a>(current: &'a Current, gateway: &Gateway, to: &str) -> Result<&'a Placed, OperateError> {
        let refuse = |why| OperateError::CannotMove {
            gateway: gateway.name.to_string(),
            to: to.to_owned(),
            why,
        };
        let rule = gateway.placement.as_ref().ok_or_else(|| refuse(CannotMove::NotOnOne))?;
        let placed = current.desired.placements().get(&gateway.name);
        let placed = placed.ok_or_else(|| refuse(CannotMove::NotPlaced))?;
        match &placed.step {
            None | Some(Move::Waiting { .. }) if placed.switch == to => Err(refuse(CannotMove::AlreadyThere)),
            Some(Move::Leaving { .. } | Move::Arriving { .. }) => Err(refuse(CannotMove::Moves)),
            None | Some(Move::Waiting { .. }) if rule.allows(to) => Ok(placed),
            None | Some(Move::Waiting { .. }) => Err(refuse(CannotMove::NotItsNode)),
        }
    }

    fn served<'a>(current: &'a Current, of: &GatewayRef) -> Result<&'a Gateway, OperateError> {
        let entry = current.desired.get(of.name.as_str());
        match entry.filter(|entry| *entry.gateway.domain == **of.domain.text()) {
            Some(entry) => Ok(&entry.gateway),
            None if stored(current, of).is_some() => Err(OperateError::NotServed(of.name.to_string())),
            None => Err(Self::missing(current, of)),
        }
    }

    /// Where a switch answers SIP.
    async fn sip_of(&self, switch: &str) -> Result<Option<String>, OperateError> {
        let known = self.settings.switches.iter().find(|known| known.name == switch);
        match known.and_then(|known| known.sip.as_ref()) {
            Some(sip) => Ok(Some(sip.to_string())),
            None => self
                .store
                .sip_address(switch)
                .await
                .map_err(OperateError::at(&self.settings)),
        }
    }

    async fn located(&self, current: &Current, of: &GatewayRef) -> Result<Where, OperateError> {
        let gateway = Self::served(current, of)?;
        let placed = current
            .desired
            .placements()
            .get(&gateway.name)
            .filter(|_| gateway.is_on_one());
        let switch = placed.and_then(|placed| placed.owner()).map(str::to_owned);
        let sip = match &switch {
            Some(switch) => self.sip_of(switch).await?,
            None => None,
        };
        let names: BTreeSet<_> = self.settings.switches.iter().map(|switch| &switch.name).collect();
        let switches = match (&gateway.placement, &gateway.nodes) {
            (Some(_), _) => switch.iter().cloned().collect(),
            (None, Some(nodes)) => nodes.to_vec(),
            (None, None) => names.into_iter().cloned().collect(),
        };
        Ok(Where {
            domain: of.domain.to_string(),
            gateway: of.name.to_string(),
            placement: match gateway.is_on_one() {
                true => PlacementMode::One,
                false => PlacementMode::All,
            },
            switch,
            sip,
            switches,
            placed: placed.map(|placed| PlacedSince {
                since: placed.since,
                reason: placed.reason,
                by: placed.by.clone(),
                epoch: placed.epoch,
                step: placed.step.clone(),
            }),
        })
    }
}

fn cannot(of: &GatewayRef, to: &str, why: CannotMove) -> OperateError {
    OperateError::CannotMove {
        gateway: of.name.to_string(),
        to: to.to_owned(),
        why,
    }
}
