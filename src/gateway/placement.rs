//! On how many switches a gateway runs: on all of its `nodes`, or on exactly one that trunkd chooses.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{GatewayName, Rollbacks};

/// What the key `placement` of a gateway that runs on exactly one switch says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OnOne {
    /// The switches to choose from: the gateway's `nodes`. `None` is every switch.
    pub nodes: Option<Box<[String]>>,
    /// The switches that are preferred, the best one first.
    pub prefer: Box<[String]>,
    pub failback: Failback,
}

impl OnOne {
    /// Whether the gateway may run on this switch.
    pub fn allows(&self, switch: &str) -> bool {
        let nodes = self.nodes.as_deref();
        nodes.is_none_or(|nodes| nodes.iter().any(|node| node == switch))
    }
}

/// Whether a gateway goes back by itself to the switch that it had to leave.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Failback {
    #[default]
    Manual,
    /// When the better switch has been live for this long.
    After(Duration),
}

/// Which switch has a gateway: a field of `trunkd:placement`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Placed {
    /// The switch that has it. While it moves away: the one that it leaves.
    pub switch: String,
    /// Counts the changes of this record.
    pub epoch: u64,
    /// When the gateway came to this switch, or when its move began.
    pub since: Timestamp,
    pub reason: PlacedFor,
    /// Who asked for it, as in the history; empty if nobody did.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub by: String,
    /// The move that is under way.
    #[serde(default, skip_serializing_if = "Option::is_none", rename = "move")]
    pub step: Option<Move>,
}

/// Why a gateway is on its switch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum PlacedFor {
    /// It had no switch before.
    First,
    /// The switch that had it died.
    Failover,
    /// The switch that had it is drained.
    Drain,
    /// The switch that had it is not one of its `nodes`, or not in the settings.
    Edit,
    /// A better switch is live again.
    Failback,
    /// A person or a program moved it.
    Asked,
    /// It was moved to spread gateways evenly.
    Rebalance,
    /// A move did not work, so it went back.
    Returned,
}

/// A move that is under way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "step", rename_all = "snake_case")]
pub enum Move {
    /// It is to go to another switch when it is its turn.
    Waiting { to: String },
    /// No switch is to have it: the one that it leaves has not deleted it yet.
    Leaving { to: String },
    /// It is on its new switch, and has to become usable there.
    Arriving { from: String },
}

impl Placed {
    /// The switch that is to run the gateway now. `None` while it leaves its switch.
    pub fn owner(&self) -> Option<&str> {
        match self.step {
            Some(Move::Leaving { .. }) => None,
            Some(Move::Waiting { .. } | Move::Arriving { .. }) | None => Some(&self.switch),
        }
    }

    /// The switch that it is on when its move is over.
    pub fn ends_at(&self) -> &str {
        self.goes_to().unwrap_or(&self.switch)
    }

    /// Where it is going, if it is not there yet.
    pub fn goes_to(&self) -> Option<&str> {
        match &self.step {
            Some(Move::Waiting { to } | Move::Leaving { to }) => Some(to),
            Some(Move::Arriving { .. }) | None => None,
        }
    }
}

impl PlacedFor {
    /// As it is stored.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::First => "first",
            Self::Failover => "failover",
            Self::Drain => "drain",
            Self::Edit => "edit",
            Self::Failback => "failback",
            Self::Asked => "asked",
            Self::Rebalance => "rebalance",
            Self::Returned => "returned",
        }
    }
}

/// Which switch has each gateway that runs on exactly one. Cheap to clone.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Placements {
    placed: Arc<BTreeMap<GatewayName, Arc<Placed>>>,
    lost: Arc<BTreeSet<GatewayName>>,
}

impl Placements {
    pub fn get(&self, name: &GatewayName) -> Option<&Arc<Placed>> {
        self.placed.get(name)
    }

    pub fn iter(&self) -> impl Iterator<Item = (&GatewayName, &Arc<Placed>)> {
        self.placed.iter()
    }

    pub fn is_empty(&self) -> bool {
        self.placed.is_empty()
    }

    /// Whether Redis no longer has the record of this gateway. It stays on its switch.
    pub fn is_lost(&self, name: &GatewayName) -> bool {
        self.lost.contains(name)
    }

    /// These, and those of `before` that vanished and that still matter.
    #[must_use]
    pub fn with_lost(mut self, before: &Self, matters: impl Fn(&GatewayName) -> bool) -> Self {
        let lost = before
            .iter()
            .filter(|(name, _)| self.get(name).is_none() && matters(name));
        let lost: Vec<_> = lost.map(|(name, placed)| (name.clone(), Arc::clone(placed))).collect();
        if !lost.is_empty() {
            self.lost = Arc::new(lost.iter().map(|(name, _)| name.clone()).collect());
            Arc::make_mut(&mut self.placed).extend(lost);
        }
        self
    }

    /// The switch that is to run the gateway now.
    pub fn owner(&self, name: &GatewayName) -> Option<&str> {
        self.get(name)?.owner()
    }

    /// The gateways whose owner is another one in `other`.
    pub(super) fn differing(&self, other: &Self) -> BTreeSet<GatewayName> {
        if Arc::ptr_eq(&self.placed, &other.placed) {
            return BTreeSet::new();
        }
        let names = self.placed.keys().chain(other.placed.keys());
        let differs = |name: &&GatewayName| self.owner(name) != other.owner(name);
        names.filter(differs).cloned().collect()
    }
}

/// What trunkd itself has decided about gateways. Cheap to clone.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Records {
    /// Edits that are not, or not simply, carried out.
    pub rollbacks: Rollbacks,
    /// Which switch has each gateway that runs on exactly one.
    pub placements: Placements,
}

impl Records {
    /// The gateways for which `other` makes a difference.
    pub(super) fn differing(&self, other: &Self) -> BTreeSet<GatewayName> {
        let mut differing = self.rollbacks.differing(&other.rollbacks);
        differing.append(&mut self.placements.differing(&other.placements));
        differing
    }
}

impl From<Placements> for Records {
    fn from(placements: Placements) -> Self {
        Self {
            placements,
            ..Self::default()
        }
    }
}

impl From<Rollbacks> for Records {
    fn from(rollbacks: Rollbacks) -> Self {
        Self {
            rollbacks,
            ..Self::default()
        }
    }
}

impl FromIterator<(GatewayName, Placed)> for Placements {
    fn from_iter<T: IntoIterator<Item = (GatewayName, Placed)>>(all: T) -> Self {
        let all = all.into_iter();
        Self {
            placed: Arc::new(all.map(|(name, placed)| (name, Arc::new(placed))).collect()),
            lost: Arc::default(),
        }
    }
}
