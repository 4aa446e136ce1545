//! Decides which gateways get another switch, and how far each move has got. Values in, values out; the
//! clock is passed in.
//!
//! A planned move takes three steps, each of them a record in Redis, so that any trunkd can go on with it:
//! *waiting* for its turn, *leaving* (no switch has it, the old one un-REGISTERs), *arriving* (the new one
//! has it, and it must become usable). A dead switch can't be asked, so a failover is one step.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::choose::choose;
use crate::gateway::{Desired, Failback, GatewayName, Move, OnOne, Placed, PlacedFor};

/// A switch, as far as placement needs it.
#[derive(Debug, Clone, PartialEq)]
pub struct SwitchState {
    pub weight: u32,
    pub life: Life,
    /// Since when it has been live without a gap.
    pub live_since: Option<Timestamp>,
    /// Neither its event socket nor its SIP answers. That alone doesn't make it dead.
    pub is_silent: bool,
    /// An operator drains it: it gets no gateway, and loses those that it has.
    pub is_drained: bool,
    /// trunkd may change it by itself: it is neither paused nor only observed.
    pub is_ours: bool,
}

impl SwitchState {
    /// Whether it may get gateways.
    fn is_open(&self) -> bool {
        self.life == Life::Live && !self.is_drained && self.is_ours
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Life {
    #[default]
    Unknown,
    Live,
    /// trunkd can't reach it, but it may well be alive.
    Degraded,
    Dead,
}

/// What is known of a gateway on a switch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Runs {
    /// The switch can't be asked.
    Unknown,
    No,
    Yes {
        /// Whether calls can use it; `None` if nothing tells.
        usable: Option<bool>,
        /// Whether its carrier refuses it for good.
        is_refused: bool,
    },
}

/// How patient moves are.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// The shortest time in *leaving*: the old switch may be about to start the gateway.
    pub quiet: Duration,
    /// How long a switch may take to delete a gateway.
    pub leave: Duration,
    /// How long a gateway may take to become usable on its new switch.
    pub arrive: Duration,
    /// After a move that did not work, until the next one: each takes the gateway out of service for a while.
    pub again: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            quiet: Duration::from_secs(1),
            leave: Duration::from_secs(60),
            arrive: Duration::from_secs(120),
            again: Duration::from_secs(300),
        }
    }
}

/// What is decided from.
pub struct Input<'a> {
    pub now: Timestamp,
    pub desired: &'a Desired,
    pub switches: &'a BTreeMap<String, SwitchState>,
    pub runs: &'a dyn Fn(&str, &GatewayName) -> Runs,
    /// Whether every switch had the time to be seen. Until then nothing is placed for the first time.
    pub is_settled: bool,
    /// How many gateways like this one may move at the same time, and what they have in common.
    pub lane: &'a dyn Fn(&GatewayName) -> Lane,
    pub patience: Patience,
}

/// The gateways of one carrier share a lane.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lane {
    pub carrier: String,
    pub most: usize,
}

/// A record to write if it is still as it was.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    pub gateway: GatewayName,
    pub before: Option<Arc<Placed>>,
    /// `None` deletes the record.
    pub after: Option<Placed>,
}

/// The next step of every gateway that needs one.
pub fn decide(input: &Input<'_>) -> Vec<Change> {
    let mut lanes = Lanes::of(input);
    let entries = input.desired.served().iter();
    let placed = entries.filter_map(|(name, entry)| Some((name, entry.gateway.placement.as_deref()?)));
    let mut changes = Vec::new();
    for (name, rule) in placed {
        let before = input.desired.placements().get(name);
        let after = match before {
            Some(placed) => input.next(name, rule, placed, &mut lanes),
            None => input.first(name, rule),
        };
        let is_lost = input.desired.placements().is_lost(name);
        let after = after.or_else(|| before.filter(|_| is_lost).map(|placed| Placed::clone(placed)));
        changes.extend(after.map(|after| Change {
            gateway: name.clone(),
            before: before.cloned(),
            after: Some(after),
        }));
    }
    changes.extend(input.outdated());
    changes
}

impl Input<'_> {
    /// The switches that may get gateways.
    fn open(&self) -> impl Iterator<Item = (&str, u32)> {
        let open = self.switches.iter().filter(|(_, state)| state.is_open());
        open.map(|(name, state)| (name.as_str(), state.weight))
    }

    fn is_open(&self, switch: &str) -> bool {
        self.switches.get(switch).is_some_and(SwitchState::is_open)
    }

    fn first(&self, name: &GatewayName, rule: &OnOne) -> Option<Placed> {
        if !self.is_settled {
            return None;
        }
        // One that has it already need not start it.
        let has_it = |(switch, _): &(&str, u32)| matches!((self.runs)(switch, name), Runs::Yes { .. });
        let switch = choose(name, rule, self.open().filter(has_it)).or_else(|| choose(name, rule, self.open()))?;
        Some(Placed {
            switch: switch.to_owned(),
            epoch: 1,
            since: self.now,
            reason: PlacedFor::First,
            by: String::new(),
            step: None,
        })
    }

    fn next(&self, name: &GatewayName, rule: &OnOne, placed: &Placed, lanes: &mut Lanes<'_>) -> Option<Placed> {
        if self.is_gone(&placed.switch) {
            return self.fail_over(name, rule, placed);
        }
        match &placed.step {
            Some(Move::Leaving { to }) => self.leave(name, rule, placed, to),
            Some(Move::Arriving { from }) => self.arrive(name, rule, placed, from),
            Some(Move::Waiting { to }) if !self.is_open(to) || !rule.allows(to) => Some(Placed {
                step: None,
                ..self.after(placed)
            }),
            Some(Move::Waiting { .. }) | None => {
                let (to, reason) = self.planned(name, rule, placed)?;
                // Where this trunkd sees nothing it could not tell when the gateway is gone, or works.
                let is_seen = |switch: &str| (self.runs)(switch, name) != Runs::Unknown;
                let can_move = self.can_leave(&placed.switch) && is_seen(&placed.switch) && is_seen(&to);
                if !can_move || !lanes.enter(name) {
                    return None;
                }
                Some(Placed {
                    since: self.now,
                    reason,
                    step: Some(Move::Leaving { to }),
                    ..self.after(placed)
                })
            }
        }
    }

    /// Whether a switch can't be asked to let its gateways go, and doesn't need to be.
    fn is_gone(&self, switch: &str) -> bool {
        self.switches.get(switch).is_none_or(|state| {
            let is_given_up = state.is_drained && state.is_silent;
            state.is_ours && (state.life == Life::Dead || is_given_up)
        })
    }

    fn can_leave(&self, switch: &str) -> bool {
        let state = self.switches.get(switch);
        state.is_some_and(|state| state.life == Life::Live && state.is_ours)
    }

    /// Whether a switch that is back is still to delete the gateway. It thinks that it is registered, but the carrier has
    /// got another contact since.
    fn has_from_before(&self, switch: &str, name: &GatewayName) -> bool {
        let since = self.switches.get(switch).and_then(|state| state.live_since);
        let is_back = since.is_some_and(|since| lasts(since, self.now) < self.patience.leave);
        is_back && matches!((self.runs)(switch, name), Runs::Yes { .. })
    }

    fn fail_over(&self, name: &GatewayName, rule: &OnOne, placed: &Placed) -> Option<Placed> {
        let is_fit = |switch: &str| rule.allows(switch) && !self.has_from_before(switch, name);
        let fit = || self.open().filter(|(switch, _)| is_fit(switch));
        let goes_to = placed.goes_to().filter(|to| fit().any(|(switch, _)| switch == *to));
        let switch = goes_to.or_else(|| choose(name, rule, fit()))?;
        let is_known = self.switches.get(&placed.switch);
        let reason = match is_known {
            None => PlacedFor::Edit,
            Some(state) if state.is_drained && state.life != Life::Dead => PlacedFor::Drain,
            Some(_) => PlacedFor::Failover,
        };
        Some(Placed {
            switch: switch.to_owned(),
            since: self.now,
            reason,
            by: String::new(),
            step: None,
            ..self.after(placed)
        })
    }

    /// Where a gateway is to go, and why, if its switch lives.
    fn planned(&self, name: &GatewayName, rule: &OnOne, placed: &Placed) -> Option<(String, PlacedFor)> {
        if let Some(Move::Waiting { to }) = &placed.step {
            return Some((to.clone(), placed.reason));
        }
        if placed.reason == PlacedFor::Returned && lasts(placed.since, self.now) < self.patience.again {
            return None;
        }
        let here = placed.switch.as_str();
        if !rule.allows(here) {
            return Some((choose(name, rule, self.open())?.to_owned(), PlacedFor::Edit));
        }
        if self.switches.get(here).is_some_and(|state| state.is_drained) {
            return Some((choose(name, rule, self.open())?.to_owned(), PlacedFor::Drain));
        }
        let Failback::After(after) = rule.failback else {
            return None;
        };
        if !matches!(placed.reason, PlacedFor::Failover | PlacedFor::Drain) {
            return None;
        }
        let has_been_live = |switch: &str| {
            let since = self.switches.get(switch).and_then(|state| state.live_since);
            since.is_some_and(|since| lasts(since, self.now) >= after)
        };
        let steady = self
            .open()
            .filter(|(switch, _)| *switch == here || has_been_live(switch));
        let best = choose(name, rule, steady)?;
        (best != here).then(|| (best.to_owned(), PlacedFor::Failback))
    }

    /// No switch has it: the next one gets it when the old one has let it go.
    fn leave(&self, name: &GatewayName, rule: &OnOne, placed: &Placed, to: &str) -> Option<Placed> {
        let is_open = self.is_open(to) && rule.allows(to);
        let to = match is_open {
            true => to,
            false => match choose(name, rule, self.open()) {
                Some(other) if other != placed.switch => other,
                Some(_) | None => return Some(self.stay(placed, placed.reason)),
            },
        };
        let (from, takes) = (placed.switch.clone(), lasts(placed.since, self.now));
        match (self.runs)(&from, name) {
            Runs::No if takes >= self.patience.quiet => Some(Placed {
                switch: to.to_owned(),
                since: self.now,
                step: Some(Move::Arriving { from }),
                ..self.after(placed)
            }),
            Runs::Unknown | Runs::Yes { .. } if takes >= self.patience.leave => {
                Some(self.stay(placed, PlacedFor::Returned))
            }
            Runs::Unknown | Runs::No | Runs::Yes { .. } => (!is_open).then(|| Placed {
                step: Some(Move::Leaving { to: to.to_owned() }),
                ..self.after(placed)
            }),
        }
    }

    /// It has to work on its new switch. If it doesn't, it goes back, once.
    fn arrive(&self, name: &GatewayName, rule: &OnOne, placed: &Placed, from: &str) -> Option<Placed> {
        let settled = || Placed {
            step: None,
            ..self.after(placed)
        };
        let is_late = lasts(placed.since, self.now) >= self.patience.arrive;
        let registers = self
            .desired
            .get(name.as_str())
            .is_some_and(|entry| entry.gateway.registers());
        match (self.runs)(&placed.switch, name) {
            Runs::Yes { usable: Some(true), .. } => return Some(settled()),
            // Nothing tells whether it works.
            Runs::Yes { usable: None, .. } if !registers => return Some(settled()),
            Runs::Yes { is_refused: true, .. } => {}
            Runs::Unknown | Runs::No | Runs::Yes { .. } if !is_late => return None,
            // It may well work there.
            Runs::Unknown => return Some(settled()),
            Runs::No | Runs::Yes { .. } => {}
        }
        let may_return = placed.reason != PlacedFor::Returned && self.is_open(from) && rule.allows(from);
        Some(match may_return && self.can_leave(&placed.switch) {
            true => Placed {
                since: self.now,
                reason: PlacedFor::Returned,
                by: String::new(),
                step: Some(Move::Leaving { to: from.to_owned() }),
                ..self.after(placed)
            },
            false => settled(),
        })
    }

    /// The move is given up.
    fn stay(&self, placed: &Placed, reason: PlacedFor) -> Placed {
        Placed {
            since: self.now,
            reason,
            by: String::new(),
            step: None,
            ..self.after(placed)
        }
    }

    fn after(&self, placed: &Placed) -> Placed {
        Placed {
            epoch: placed.epoch + 1,
            ..placed.clone()
        }
    }

    /// Records of gateways that no longer run on exactly one switch. The record of a gateway that Redis no
    /// longer wants stays while its switch may still run it, so that no other one starts it.
    fn outdated(&self) -> impl Iterator<Item = Change> {
        let records = self.desired.placements().iter();
        let is_outdated = |name: &GatewayName, placed: &Placed| match self.desired.get(name.as_str()) {
            Some(entry) => !entry.gateway.is_on_one(),
            None if self.desired.refused().contains_key(name) || self.desired.has_unreadable_domain() => false,
            None => !self.switches.contains_key(&placed.switch) || (self.runs)(&placed.switch, name) == Runs::No,
        };
        records
            .filter(move |(name, placed)| is_outdated(name, placed))
            .map(|(name, placed)| Change {
                gateway: name.clone(),
                before: Some(Arc::clone(placed)),
                after: None,
            })
    }
}

/// How many gateways of each carrier move.
struct Lanes<'a> {
    lane: &'a dyn Fn(&GatewayName) -> Lane,
    moving: BTreeMap<String, usize>,
}

impl<'a> Lanes<'a> {
    fn of(input: &Input<'a>) -> Self {
        let mut moving = BTreeMap::new();
        for (name, placed) in input.desired.placements().iter() {
            if matches!(placed.step, Some(Move::Leaving { .. } | Move::Arriving { .. })) {
                *moving.entry((input.lane)(name).carrier).or_default() += 1;
            }
        }
        Self {
            lane: input.lane,
            moving,
        }
    }

    /// Whether one more may move now.
    fn enter(&mut self, name: &GatewayName) -> bool {
        let Lane { carrier, most } = (self.lane)(name);
        let moving = self.moving.entry(carrier).or_default();
        let is_free = *moving < most;
        *moving += usize::from(is_free);
        is_free
    }
}

/// How long ago it was; zero if the clock was set back.
fn lasts(since: Timestamp, now: Timestamp) -> Duration {
    Duration::try_from(now.duration_since(since)).unwrap_or_default()
}

#[cfg(test)]
mod tests;
