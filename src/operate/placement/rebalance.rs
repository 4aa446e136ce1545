//! Spreads gateways evenly again: shown first, then done as it was shown.

use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};

use super::model::{Rebalance, RebalanceMove};
use crate::access::Role;
use crate::control::PlacementChange;
use crate::desired::Current;
use crate::gateway::{Gateway, GatewayName, Move, Placed, PlacedFor};
use crate::operate::pool::SwitchPool;
use crate::operate::service::Service;
use crate::operate::{Caller, OperateError};
use crate::placement::choose;

impl Service {
    /// The moves that would put each gateway where it would be if it were placed now. Changes nothing.
    ///
    /// # Errors
    /// The caller is no admin; Redis can't be read.
    pub async fn plan_rebalance(&self, caller: &Caller) -> Result<Rebalance, OperateError> {
        caller.requires(Role::Admin)?;
        let (current, pool) = (self.writable().await?, self.pool().await?);
        Ok(shown(&moves(&current, &pool)))
    }

    /// Asks for the moves that were shown. The number of those asked for: a gateway that moves meanwhile is left
    /// alone.
    ///
    /// # Errors
    /// The caller is no admin; [`OperateError::RebalanceChanged`]; Redis can't be written.
    pub async fn rebalance(&self, caller: &Caller, id: &str) -> Result<usize, OperateError> {
        caller.requires(Role::Admin)?;
        let (current, pool) = (self.writable().await?, self.pool().await?);
        let moves = moves(&current, &pool);
        let now = shown(&moves);
        if now.id != id {
            return Err(OperateError::RebalanceChanged(Box::new(now)));
        }
        let wishes = moves
            .iter()
            .map(|(gateway, placed, to)| wish(&gateway.name, placed, to, PlacedFor::Rebalance, caller));
        let wishes: Vec<_> = wishes.collect();
        let made = self.history.place(&wishes).await;
        let made = made.map_err(OperateError::writing(&self.settings))?;
        Ok(made.into_iter().filter(|made| *made).count())
    }
}

/// The gateways that would be on another switch if they were placed now, each with its record and that switch.
pub(super) fn moves<'a>(current: &'a Current, pool: &'a SwitchPool) -> Vec<(&'a Gateway, &'a Placed, &'a str)> {
    let gateways = current.desired.served().values().map(|entry| &entry.gateway);
    let moves = gateways.filter_map(|gateway| {
        let rule = gateway.placement.as_ref()?;
        let placed = current.desired.placements().get(&gateway.name)?;
        if placed.step.is_some() || !pool.is_open(&placed.switch) {
            return None;
        }
        let best = choose(&gateway.name, rule, pool.open())?;
        (best != placed.switch).then_some((gateway, &**placed, best))
    });
    moves.collect()
}

fn shown(moves: &[(&Gateway, &Placed, &str)]) -> Rebalance {
    let mut digest = Sha256::new();
    for (gateway, placed, to) in moves {
        digest.update(format!("{}\n{}\n{to}\n", gateway.name, placed.epoch));
    }
    let mut id = HEXLOWER.encode(&digest.finalize());
    id.truncate(32);
    let moves = moves.iter().map(|(gateway, placed, to)| RebalanceMove {
        domain: gateway.domain.to_string(),
        gateway: gateway.name.to_string(),
        from: placed.switch.clone(),
        to: (*to).to_owned(),
    });
    Rebalance {
        id,
        moves: moves.collect(),
    }
}

/// The change by which somebody asks for a move.
pub(super) fn wish(
    name: &GatewayName,
    placed: &Placed,
    to: &str,
    reason: PlacedFor,
    caller: &Caller,
) -> PlacementChange {
    PlacementChange {
        gateway: name.clone(),
        epoch: Some(placed.epoch),
        placed: Some(Placed {
            epoch: placed.epoch + 1,
            reason,
            by: caller.identity.to_string(),
            step: Some(Move::Waiting { to: to.to_owned() }),
            ..placed.clone()
        }),
        entry: None,
    }
}
