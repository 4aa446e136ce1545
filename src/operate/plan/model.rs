//! Plans as data.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::Serialize;
use utoipa::ToSchema;

use crate::carriers::Lasts;
use crate::control::Report;
use crate::gateway::{GatewayName, Rollback};
use crate::language::Message;
use crate::reconcile::{Action, FieldChange, Hold, Plan};
use crate::redis::StoreError;

/// The plans of all switches, or of one.
#[derive(Debug, Serialize)]
pub struct Plans {
    /// Whether anything would change on any switch.
    pub pending: bool,
    pub switches: Vec<SwitchPlan>,
    /// Holds for switches that ask for their configuration but are not in the settings.
    pub others_held: Vec<HeldBy>,
    /// Redis has no `trunkd:key` yet, so every gateway of ours counts as changed.
    #[serde(skip)]
    pub is_key_missing: bool,
    /// Why the desired gateways may be old, if so.
    #[serde(skip)]
    pub stale: Option<StoreError>,
}

/// What a running trunkd holds.
#[derive(Debug, Serialize)]
pub struct HeldBy {
    pub trunkd: String,
    pub held: Message,
    /// Gateways that are served although Redis doesn't want them.
    #[serde(skip)]
    pub held_back: BTreeSet<String>,
    /// gateway → the domain that it was removed from, if known.
    #[serde(skip)]
    pub removed_from: BTreeMap<String, String>,
    /// The state of Redis that is held back.
    #[serde(skip)]
    pub state: Option<String>,
    /// Whether it holds the lease of the switch.
    pub leads: bool,
}

#[derive(Debug, Serialize)]
pub struct SwitchPlan {
    pub switch: String,
    /// Why the switch could not be read. Then there is no plan, which is not an empty plan.
    pub error: Option<Message>,
    pub plan: Option<Plan>,
    /// How many gateways run as they should, by domain.
    #[serde(skip)]
    pub unchanged: BTreeMap<Arc<str>, usize>,
    /// The fields that differ, for gateways to restart whose current fields are known.
    pub changes: BTreeMap<GatewayName, Vec<FieldChange>>,
    /// Edits that are not carried out by themselves, and why. To approve the plan tries them again.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub tries_again: BTreeMap<GatewayName, Message>,
    #[serde(skip)]
    pub rollbacks: BTreeMap<GatewayName, Rollback>,
    pub held: Option<Hold>,
    /// How long it takes; `null` for less than a second.
    pub lasts: Option<Lasts>,
    /// What each trunkd holds: changes, or what it serves.
    pub holds: Vec<HeldBy>,
    pub paused: bool,
    /// The report of the `trunkd serve` that changes this switch.
    pub serve: Option<Report>,
}

/// A plan with its id, which names exactly what it shows.
#[derive(Debug, Serialize, ToSchema)]
pub struct ShownPlan {
    /// Send it to approve this plan, and no other.
    pub id: String,
    /// As `trunkd plan --json` prints it.
    #[serde(flatten)]
    #[schema(value_type = Object)]
    pub plans: Plans,
}

impl SwitchPlan {
    /// The changes to make; none without a plan.
    pub fn actions(&self) -> &[Action] {
        self.plan.as_ref().map_or(&[], |plan| &plan.actions)
    }

    /// Whether something would change, or a trunkd holds something back.
    pub fn is_pending(&self) -> bool {
        !self.holds.is_empty() || !self.actions().is_empty()
    }
}
