//! Drains: a switch gets none of the gateways that run on exactly one, and loses those that it has.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::future::join_all;
use jiff::Timestamp;
use serde::Serialize;
use tokio::time::timeout;
use utoipa::ToSchema;

use super::rebalance::moves;
use super::switches::check_known;
use crate::access::Role;
use crate::control::Drained;
use crate::desired::Current;
use crate::event_socket::{Session, Timing};
use crate::gateway::{Gateway, Move, OnOne};
use crate::history::Event;
use crate::language::Message;
use crate::operate::pause::check_switch;
use crate::operate::pool::SwitchPool;
use crate::operate::service::Service;
use crate::operate::status::DrainedSince;
use crate::operate::{Caller, OperateError, sources};
use crate::placement::choose;

/// Limit for asking a switch how many calls are up.
const SWITCH_LIMIT: Duration = Duration::from_secs(5);
/// Stuck gateways that are named.
const MAX_STUCK: usize = 20;

/// How the gateways that run on exactly one switch are spread.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct SwitchPlacement {
    pub switch: String,
    /// How many gateways are spread over it, against others: `weight` in the settings.
    pub weight: u32,
    /// Whether a trunkd is connected to it.
    pub connected: bool,
    pub paused: bool,
    /// Set while it is drained.
    pub drained: Option<DrainedSince>,
    /// The gateways that it has, those included that wait to leave it.
    pub gateways: usize,
    /// Those that are on their way from it.
    pub leaving: usize,
    /// Those that are on their way to it.
    pub arriving: usize,
}

/// How far a drain is.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct DrainProgress {
    #[serde(flatten)]
    pub switch: SwitchPlacement,
    /// How many gateways no other live switch may have, so that they stay.
    pub stuck: usize,
    /// Some of those.
    pub stuck_gateways: Vec<Stuck>,
    /// The calls that are up on it, over any gateway or none. `null` if it can't be asked.
    pub calls: Option<u64>,
}

/// A gateway that no other live switch may have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Stuck {
    pub domain: String,
    pub gateway: String,
    pub reason: Message,
}

/// How gateways on exactly one switch are spread, and what goes on. Empty if there are none, and nothing is
/// drained.
#[derive(Debug, Default)]
pub struct PlacementOverview {
    pub switches: Vec<SwitchPlacement>,
    /// The drains, by switch, for an admin.
    pub drains: BTreeMap<String, DrainProgress>,
    /// How many moves would spread gateways evenly, for an admin.
    pub moves: usize,
}

impl SwitchPlacement {
    /// Whether gateways on exactly one switch have to do with it.
    pub fn is_in_use(&self) -> bool {
        self.gateways + self.leaving + self.arriving > 0 || self.drained.is_some()
    }
}

impl DrainProgress {
    /// Whether it has none of the gateways that run on exactly one switch.
    pub fn is_empty(&self) -> bool {
        self.switch.gateways == 0 && self.switch.leaving == 0
    }

    /// Whether it can be stopped without losing a registration or a call.
    pub fn is_over(&self) -> bool {
        self.is_empty() && self.calls == Some(0)
    }
}

impl Service {
    /// Drains a switch. Its gateways move away a few at a time.
    ///
    /// # Errors
    /// The caller is no admin; there is no such switch; Redis can't be written.
    pub async fn drain(&self, caller: &Caller, switch: &str) -> Result<(), OperateError> {
        caller.requires(Role::Admin)?;
        check_switch(&self.settings, &self.store, Some(switch)).await?;
        let drained = Drained {
            at: Timestamp::now(),
            by: caller.identity.to_string(),
        };
        let is_new = self.store.drain(switch, &drained).await;
        if is_new.map_err(OperateError::writing(&self.settings))? {
            self.record_switch(caller, Some(switch), Event::Drain).await;
        }
        Ok(())
    }

    /// Ends a drain. The switch gets gateways again; those that left stay where they are. False if there was
    /// none.
    ///
    /// # Errors
    /// As [`Service::drain`].
    pub async fn undrain(&self, caller: &Caller, switch: &str) -> Result<bool, OperateError> {
        caller.requires(Role::Admin)?;
        check_switch(&self.settings, &self.store, Some(switch)).await?;
        let was_drained = self.store.undrain(switch).await;
        let was_drained = was_drained.map_err(OperateError::writing(&self.settings))?;
        if was_drained {
            self.record_switch(caller, Some(switch), Event::Undrain).await;
        }
        Ok(was_drained)
    }

    /// What is left on a switch.
    ///
    /// # Errors
    /// The caller is no admin; there is no such switch; Redis can't be read.
    pub async fn drain_progress(&self, caller: &Caller, switch: &str) -> Result<DrainProgress, OperateError> {
        caller.requires(Role::Admin)?;
        let (current, pool) = (self.writable().await?, self.pool().await?);
        check_known(&pool, switch)?;
        let known = spread(&current, &pool, caller).remove(switch);
        let known = known.ok_or(OperateError::NoSwitch)?;
        Ok(self.progress(&current, &pool, known).await)
    }

    async fn progress(&self, current: &Current, pool: &SwitchPool, switch: SwitchPlacement) -> DrainProgress {
        let name = &switch.switch;
        let stuck = stuck(current, pool, name);
        let named = stuck.iter().take(MAX_STUCK);
        let stuck_gateways = named.map(|(gateway, rule)| Stuck {
            domain: gateway.domain.to_string(),
            gateway: gateway.name.to_string(),
            reason: pool.obstacles(rule, Some(name)),
        });
        DrainProgress {
            calls: match switch.connected {
                true => self.calls_up(name).await,
                // A host that is down would keep everybody waiting.
                false => None,
            },
            stuck_gateways: stuck_gateways.collect(),
            stuck: stuck.len(),
            switch,
        }
    }

    /// What the page of the switches shows, read once.
    ///
    /// # Errors
    /// Redis can't be read.
    pub async fn placement_overview(&self, caller: &Caller) -> Result<PlacementOverview, OperateError> {
        let (current, pool) = (self.writable().await?, self.pool().await?);
        let switches = spread(&current, &pool, caller);
        if !switches.values().any(SwitchPlacement::is_in_use) {
            return Ok(PlacementOverview::default());
        }
        let is_admin = caller.requires(Role::Admin).is_ok();
        let drained = switches.values().filter(|switch| is_admin && switch.drained.is_some());
        let drains = drained.map(|switch| self.progress(&current, &pool, switch.clone()));
        let drains = join_all(drains).await.into_iter();
        Ok(PlacementOverview {
            drains: drains
                .map(|progress| (progress.switch.switch.clone(), progress))
                .collect(),
            moves: match is_admin {
                true => moves(&current, &pool).len(),
                false => 0,
            },
            switches: switches.into_values().collect(),
        })
    }

    /// How the gateways that the caller sees and that run on exactly one switch are spread, by switch.
    ///
    /// # Errors
    /// Redis can't be read.
    pub async fn spread(&self, caller: &Caller) -> Result<Vec<SwitchPlacement>, OperateError> {
        let current = self.catalog.all().await;
        let current = current.map_err(OperateError::unavailable(&self.settings))?;
        let pool = self.pool().await?;
        Ok(spread(&current, &pool, caller).into_values().collect())
    }

    async fn calls_up(&self, switch: &str) -> Option<u64> {
        let settings = self.settings.switches.iter().find(|known| known.name == switch)?;
        let address = sources::address(settings);
        let asking = async {
            let session = Session::open(&address, Timing::default()).await.ok()?;
            session.commands.calls_up().await.ok()
        };
        timeout(SWITCH_LIMIT, asking).await.ok().flatten()
    }
}

fn spread(current: &Current, pool: &SwitchPool, caller: &Caller) -> BTreeMap<String, SwitchPlacement> {
    let switches = pool.switches.iter().map(|(name, switch)| {
        let placement = SwitchPlacement {
            switch: name.clone(),
            weight: switch.weight,
            connected: switch.is_connected,
            paused: switch.is_paused,
            drained: switch.drained.as_ref().map(DrainedSince::from),
            gateways: 0,
            leaving: 0,
            arriving: 0,
        };
        (name.clone(), placement)
    });
    let mut switches: BTreeMap<_, _> = switches.collect();
    let served = current.desired.served().values().map(|entry| &entry.gateway);
    for gateway in served.filter(|gateway| gateway.is_on_one() && caller.sees(&gateway.domain)) {
        let Some(placed) = current.desired.placements().get(&gateway.name) else {
            continue;
        };
        let mut count = |switch: &str, add: fn(&mut SwitchPlacement)| {
            if let Some(known) = switches.get_mut(switch) {
                add(known);
            }
        };
        match &placed.step {
            None | Some(Move::Waiting { .. }) => count(&placed.switch, |known| known.gateways += 1),
            Some(Move::Leaving { to }) => {
                count(&placed.switch, |known| known.leaving += 1);
                count(to, |known| known.arriving += 1);
            }
            Some(Move::Arriving { .. }) => count(&placed.switch, |known| known.arriving += 1),
        }
    }
    switches
}

/// The gateways on a switch that no other live switch may have, each with its rule.
fn stuck<'a>(current: &'a Current, pool: &SwitchPool, switch: &str) -> Vec<(&'a Gateway, &'a OnOne)> {
    let others = || pool.open().filter(|(name, _)| *name != switch);
    let served = current.desired.served().values().map(|entry| &entry.gateway);
    let here = served.filter(|gateway| current.desired.placements().owner(&gateway.name) == Some(switch));
    let ruled = here.filter_map(|gateway| Some((gateway, gateway.placement.as_deref()?)));
    ruled
        .filter(|(gateway, rule)| choose(&gateway.name, rule, others()).is_none())
        .collect()
}
