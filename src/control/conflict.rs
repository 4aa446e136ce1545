//! What keeps a wanted gateway from its place on a switch.

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Deserializer, Serialize};

use crate::gateway::{GatewayName, ProfileName, shown};

/// Something on a switch that an operator must fix. `Display` is one line with the fix.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(tag = "conflict", rename_all = "snake_case")]
pub enum Conflict {
    /// Gateways are wanted in a profile that the switch doesn't run.
    ProfileNotRunning {
        #[schema(value_type = String)]
        profile: ProfileName,
        #[schema(value_type = Vec<String>)]
        gateways: BTreeSet<GatewayName>,
    },
    /// The switch runs a gateway of a wanted name, in `profile`, that carries no revision.
    NotOurs {
        #[schema(value_type = String)]
        gateway: GatewayName,
        #[schema(value_type = String)]
        profile: ProfileName,
        /// The domain that wants the name.
        domain: String,
    },
    /// A second gateway of the name is in `profile` (FACTS 18).
    Ghost {
        #[schema(value_type = String)]
        gateway: GatewayName,
        #[schema(value_type = String)]
        profile: ProfileName,
    },
}

/// How many names a line repeats.
const MAX_NAMED: usize = 5;

impl fmt::Display for Conflict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ProfileNotRunning { profile, gateways } => {
                write!(f, "profile {profile} does not run on this switch, and has to for ")?;
                for (at, gateway) in gateways.iter().take(MAX_NAMED).enumerate() {
                    write!(f, "{}{gateway}", if at == 0 { "" } else { ", " })?;
                }
                if let Some(more @ 1..) = gateways.len().checked_sub(MAX_NAMED) {
                    write!(f, " and {more} more")?;
                }
                write!(f, "; `sofia profile {profile} start` starts it")
            }
            Self::NotOurs {
                gateway,
                profile,
                domain,
            } => write!(
                f,
                "gateway {gateway} of domain {} is left alone: profile {profile} has one of this name without a \
                 revision, so it is not ours; \
                 `trunkd apply --adopt` takes it over",
                shown(domain)
            ),
            Self::Ghost { gateway, profile } => write!(
                f,
                "gateway {gateway} has a ghost in profile {profile}, whose answers are booked on the live one; \
                 `sofia profile {profile} restart` removes it, and hangs up the calls of that profile"
            ),
        }
    }
}

/// Skips conflicts that this version doesn't know.
pub(super) fn known_conflicts<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Conflict>, D::Error> {
    let values = Vec::<serde_json::Value>::deserialize(deserializer)?;
    let known = values
        .into_iter()
        .filter_map(|value| serde_json::from_value(value).ok());
    Ok(known.collect())
}
