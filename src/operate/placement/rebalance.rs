//! Spreads gateways evenly again: shown first, then done as it was shown.

use data_encoding::HEXLOWER;
use serde::Serialize;
use sha2::{Digest, Sha256};
use utoipa::ToSchema;

use crate::access::Role;
use crate::control::PlacementChange;
use crate::desired::Current;
use crate::gateway::{Move, Placed, PlacedFor};
use crate::operate::pool::SwitchPool;
use crate::operate::service::Service;
use crate::operate::{Caller, OperateError};
use crate::placement::choose;

/// What a rebalance moves.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct Rebalance {
    /// Approves exactly these moves.
    pub id: String,
    /// By gateway.
    pub moves: Vec<RebalanceMove>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct RebalanceMove {
    pub domain: String,
    pub gateway: String,
    pub from: String,
    pub to: String,
}

impl Service {
    /// The moves that would put each gateway where it would be if it were placed now. Changes nothing.
    ///
    /// # Errors
    /// The caller is no admin; Redis can't be read.
    pub async fn plan_rebalance(&self, caller: &Caller) -> Result<Rebalance, OperateError> {
        caller.requires(Role::Admin)?;
        let (current, pool) = (self.writable().await?, self.pool().await?);
        Ok(rebalance(&current, &pool))
    }

    /// Asks for the moves that were shown. The number of those asked for: a gateway that moves meanwhile is left
    /// alone.
    ///
    /// # Errors
    /// The caller is no admin; [`OperateError::RebalanceChanged`]; Redis can't be written.
    pub async fn rebalance(&self, caller: &Caller, id: &str) -> Result<usize, OperateError> {
        caller.requires(Role::Admin)?;
        let (current, pool) = (self.writable().await?, self.pool().await?);
        let shown = rebalance(&current, &pool);
        if shown.id != id {
            return Err(OperateError::RebalanceChanged(Box::new(shown)));
        }
        let wishes = shown.moves.iter().filter_map(|wanted| {
            let (name, placed) = current.desired.get(&wanted.gateway).and_then(|entry| {
                let name = &entry.gateway.name;
                Some((name, current.desired.placements().get(name)?))
            })?;
            Some(PlacementChange {
                gateway: name.clone(),
                epoch: Some(placed.epoch),
                placed: Some(Placed {
                    epoch: placed.epoch + 1,
                    reason: PlacedFor::Rebalance,
                    by: caller.identity.to_string(),
                    step: Some(Move::Waiting { to: wanted.to.clone() }),
                    ..Placed::clone(placed)
                }),
                entry: None,
            })
        });
        let wishes: Vec<_> = wishes.collect();
        let made = self.history.place(&wishes).await;
        let made = made.map_err(OperateError::writing(&self.settings))?;
        Ok(made.into_iter().filter(|made| *made).count())
    }
}

fn rebalance(current: &Current, pool: &SwitchPool) -> Rebalance {
    let desired = &current.desired;
    let mut moves = Vec::new();
    let mut digest = Sha256::new();
    for (name, entry) in desired.served() {
        let (Some(rule), Some(placed)) = (&entry.gateway.placement, desired.placements().get(name)) else {
            continue;
        };
        if placed.step.is_some() || !pool.is_open(&placed.switch) {
            continue;
        }
        let Some(best) = choose(name, rule, pool.open()).filter(|best| *best != placed.switch) else {
            continue;
        };
        digest.update(format!("{name}\n{}\n{best}\n", placed.epoch));
        moves.push(RebalanceMove {
            domain: entry.gateway.domain.to_string(),
            gateway: name.to_string(),
            from: placed.switch.clone(),
            to: best.to_owned(),
        });
    }
    let mut id = HEXLOWER.encode(&digest.finalize());
    id.truncate(32);
    Rebalance { id, moves }
}
