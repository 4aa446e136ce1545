//! Drains: a switch gets none of the gateways that run on exactly one, and loses those that it has.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use super::fleet::Fleet;
use crate::access::Role;
use crate::control::Drained;
use crate::desired::Current;
use crate::event_socket::{Session, Timing};
use crate::gateway::{Gateway, Move};
use crate::history::{Entry, Event};
use crate::operate::service::Service;
use crate::operate::{Caller, OperateError, sources};
use crate::placement::choose;

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

#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct DrainedSince {
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
    /// Who asked for it, as in the history.
    pub by: String,
}

/// How far a drain is.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct DrainProgress {
    #[serde(flatten)]
    pub switch: SwitchPlacement,
    /// Gateways that no other live switch may have, so that they stay.
    pub stuck: usize,
    /// The calls that are up on it, over any gateway or none. `null` if it can't be asked.
    pub calls: Option<u64>,
}

impl DrainProgress {
    /// Whether it can be stopped without losing a registration or a call.
    pub fn is_over(&self) -> bool {
        self.switch.gateways == 0 && self.switch.leaving == 0 && self.calls == Some(0)
    }
}

impl Service {
    /// Drains a switch. Its gateways move away a few at a time.
    ///
    /// # Errors
    /// The caller is no admin; there is no such switch; Redis can't be written.
    pub async fn drain(&self, caller: &Caller, switch: &str) -> Result<DrainProgress, OperateError> {
        caller.requires(Role::Admin)?;
        self.fleet().await?.check_known(switch)?;
        let drained = Drained {
            at: Timestamp::now(),
            by: caller.identity.to_string(),
        };
        let is_new = self.store.drain(switch, &drained).await;
        if is_new.map_err(OperateError::writing(&self.settings))? {
            self.record_drain(caller, switch, Event::Drain).await;
        }
        self.drain_progress(caller, switch).await
    }

    /// Ends a drain. The switch gets gateways again; those that left stay where they are.
    ///
    /// # Errors
    /// As [`Service::drain`].
    pub async fn undrain(&self, caller: &Caller, switch: &str) -> Result<(), OperateError> {
        caller.requires(Role::Admin)?;
        self.fleet().await?.check_known(switch)?;
        let was_drained = self.store.undrain(switch).await;
        if was_drained.map_err(OperateError::writing(&self.settings))? {
            self.record_drain(caller, switch, Event::Undrain).await;
        }
        Ok(())
    }

    /// What is left on a switch.
    ///
    /// # Errors
    /// The caller is no admin; there is no such switch; Redis can't be read.
    pub async fn drain_progress(&self, caller: &Caller, switch: &str) -> Result<DrainProgress, OperateError> {
        caller.requires(Role::Admin)?;
        let (current, fleet) = (self.writable().await?, self.fleet().await?);
        fleet.check_known(switch)?;
        let stuck = stuck(&current, &fleet, switch);
        let known = spread(&current, &fleet, caller).remove(switch);
        Ok(DrainProgress {
            switch: known.ok_or(OperateError::NoSwitch)?,
            stuck,
            calls: self.calls_up(switch).await,
        })
    }

    /// How the gateways that the caller sees and that run on exactly one switch are spread, by switch.
    ///
    /// # Errors
    /// Redis can't be read.
    pub async fn spread(&self, caller: &Caller) -> Result<Vec<SwitchPlacement>, OperateError> {
        let current = self.catalog.all().await;
        let current = current.map_err(OperateError::unavailable(&self.settings))?;
        let fleet = self.fleet().await?;
        Ok(spread(&current, &fleet, caller).into_values().collect())
    }

    async fn calls_up(&self, switch: &str) -> Option<u64> {
        let settings = self.settings.switches.iter().find(|known| known.name == switch)?;
        let session = Session::open(&sources::address(settings), Timing::default())
            .await
            .ok()?;
        session.commands.calls_up().await.ok()
    }

    async fn record_drain(&self, caller: &Caller, switch: &str, event: Event) {
        let entry = Entry {
            switch: Some(switch.to_owned()),
            ..Entry::now(&caller.identity, event)
        };
        self.history.record_done(&entry).await;
    }
}

fn spread(current: &Current, fleet: &Fleet, caller: &Caller) -> BTreeMap<String, SwitchPlacement> {
    let switches = fleet.switches.iter().map(|(name, switch)| {
        let drained = switch.drained.as_ref();
        let placement = SwitchPlacement {
            switch: name.clone(),
            weight: switch.weight,
            connected: switch.is_connected,
            paused: switch.is_paused,
            drained: drained.map(|drained| DrainedSince {
                at: drained.at,
                by: drained.by.clone(),
            }),
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

/// The gateways on a switch that no other live switch may have.
fn stuck(current: &Current, fleet: &Fleet, switch: &str) -> usize {
    let others = || fleet.open().filter(|(name, _)| *name != switch);
    let served = current.desired.served().values().map(|entry| &entry.gateway);
    let is_stuck = |gateway: &&Gateway| {
        let placed = current.desired.placements().get(&gateway.name);
        let is_here = placed.is_some_and(|placed| placed.owner() == Some(switch));
        let rule = gateway.placement.as_deref().filter(|_| is_here);
        rule.is_some_and(|rule| choose(&gateway.name, rule, others()).is_none())
    };
    served.filter(is_stuck).count()
}
