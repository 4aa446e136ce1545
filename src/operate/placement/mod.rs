//! Gateways that run on exactly one switch: where they are, and moves that people ask for.
//!
//! A move is a wish in the gateway's record. The placer carries it out when its turn comes.

mod drain;
mod model;
mod rebalance;
mod switches;
mod targets;

use std::collections::BTreeSet;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::gateways::{GatewayRef, stored};
use super::service::Service;
use super::{Caller, OperateError};
use crate::desired::Current;
use crate::gateway::{Gateway, GatewayName, Move, Placed, PlacedFor};
pub use drain::{DrainProgress, PlacementOverview, Stuck, SwitchPlacement};
pub use model::{CannotMove, MoveAnswer, MoveOutcome, PlacedSince, PlacementMode, Rebalance, RebalanceMove, Where};
use rebalance::wish;
use switches::check_known;

const POLL: Duration = Duration::from_millis(200);
/// How often a record is read again because somebody else changed it.
const TRIES: usize = 5;

impl Service {
    /// Which switch has a gateway.
    ///
    /// # Errors
    /// Redis can't be read, the caller may not see the domain, or there is no such gateway, or it isn't served.
    pub async fn where_is(&self, caller: &Caller, of: &GatewayRef) -> Result<Where, OperateError> {
        caller.check_sees(of.domain.text())?;
        let current = self.catalog.all().await;
        let current = current.map_err(OperateError::unavailable(&self.settings))?;
        self.located(&current, Self::served(&current, of)?).await
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
        let pool = self.pool().await?;
        check_known(&pool, to)?;
        for _ in 0..TRIES {
            let current = self.writable().await?;
            let gateway = Self::served(&current, of)?;
            let placed = Self::movable(&current, gateway, to)?;
            if !pool.is_open(to) {
                return Err(cannot(&of.name, to, CannotMove::NotOpen));
            }
            let wish = wish(&of.name, placed, to, PlacedFor::Asked, caller);
            let made = self.history.place(&[wish]).await;
            if made.map_err(OperateError::writing(&self.settings))? == [true] {
                return self.await_move(of, to, wait.unwrap_or_default()).await;
            }
        }
        Err(cannot(&of.name, to, CannotMove::Moves))
    }

    async fn await_move(&self, of: &GatewayRef, to: &str, wait: Duration) -> Result<MoveAnswer, OperateError> {
        let deadline = Instant::now() + wait;
        loop {
            let current = self.writable().await?;
            let gateway = Self::served(&current, of)?;
            let placed = current
                .desired
                .placements()
                .get(&of.name)
                .filter(|_| gateway.is_on_one());
            let outcome = match placed {
                Some(placed) if placed.step.is_some() => MoveOutcome::Pending,
                Some(placed) if placed.switch == to => MoveOutcome::Moved,
                Some(_) | None => MoveOutcome::NotMoved,
            };
            if outcome != MoveOutcome::Pending || Instant::now() >= deadline {
                let now = self.located(&current, gateway).await?;
                return Ok(MoveAnswer { outcome, now });
            }
            sleep(POLL).await;
        }
    }

    /// The record of a gateway that may move to this switch.
    fn movable<'a>(current: &'a Current, gateway: &Gateway, to: &str) -> Result<&'a Placed, OperateError> {
        let refuse = |why| cannot(&gateway.name, to, why);
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
        match current.desired.get_in(of.domain.text(), of.name.as_str()) {
            Some(entry) => Ok(&entry.gateway),
            None if stored(current, of).is_some() => Err(OperateError::NotServed(of.name.to_string())),
            None => Err(Self::missing(current, of)),
        }
    }

    /// Where a switch answers SIP. `None` if nobody knows.
    async fn sip_of(&self, current: &Current, switch: &str) -> Option<String> {
        let known = self.settings.switches.iter().find(|known| known.name == switch);
        match known.and_then(|known| known.sip.as_ref()) {
            Some(sip) => Some(sip.to_string()),
            // A caller with the last known switch needs no answer of a Redis that is away.
            None if current.stale.is_some() => None,
            None => self.store.sip_address(switch).await.ok().flatten(),
        }
    }

    /// Where a served gateway is.
    pub(in crate::operate) async fn located(
        &self,
        current: &Current,
        gateway: &Gateway,
    ) -> Result<Where, OperateError> {
        let placed = current
            .desired
            .placements()
            .get(&gateway.name)
            .filter(|_| gateway.is_on_one());
        let switch = placed.and_then(|placed| placed.owner()).map(str::to_owned);
        let sip = match &switch {
            Some(switch) => self.sip_of(current, switch).await,
            None => None,
        };
        let note = match &gateway.placement {
            Some(rule) if placed.is_none() && current.stale.is_none() => {
                // Every write holds this future several times over.
                let pool = Box::pin(self.pool()).await?;
                Some(pool.why_unplaced(rule))
            }
            Some(_) | None => None,
        };
        let switches = match &gateway.nodes {
            Some(nodes) => nodes.to_vec(),
            None => {
                let names = self.settings.switches.iter().map(|switch| switch.name.clone());
                names.collect::<BTreeSet<_>>().into_iter().collect()
            }
        };
        Ok(Where {
            domain: gateway.domain.to_string(),
            gateway: gateway.name.to_string(),
            placement: PlacementMode::of(gateway),
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
            note,
        })
    }
}

fn cannot(gateway: &GatewayName, to: &str, why: CannotMove) -> OperateError {
    OperateError::CannotMove {
        gateway: gateway.to_string(),
        to: to.to_owned(),
        why,
    }
}
