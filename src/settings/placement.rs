//! `[placement]`: when a switch counts as dead, so that its gateways move to another one.

use std::time::Duration;

use serde::Deserialize;

use super::error::SettingsError;
use super::text;

/// What the lease of placement is of: `trunkd:lease:placement`. So no switch may have this name.
pub const PLACEMENT_LEASE: &str = "placement";
/// Below this, a few lost datagrams while the event socket reconnects would look like a death.
const SHORTEST: Duration = Duration::from_secs(2);
const LONGEST: Duration = Duration::from_secs(3600);

/// `[placement]`. Counts for gateways with `"placement": "one"` only.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PlacementSettings {
    /// How long neither the event socket nor SIP may answer until a switch counts as dead.
    /// `TRUNKD_PLACEMENT__FAILOVER_AFTER`.
    #[serde(deserialize_with = "text::one")]
    pub failover_after: Duration,
    /// Whether a switch counts as dead after a minute without event socket, although its SIP
    /// answers.
    /// `TRUNKD_PLACEMENT__FAILOVER_ON_EVENT_SOCKET`.
    #[serde(deserialize_with = "text::one")]
    pub failover_on_event_socket: bool,
}

impl Default for PlacementSettings {
    fn default() -> Self {
        Self {
            failover_after: Duration::from_secs(6),
            failover_on_event_socket: false,
        }
    }
}

type Refuse<'a> = dyn Fn(&str, String) -> Result<(), SettingsError> + 'a;

pub(super) fn check(placement: &PlacementSettings, invalid: &Refuse) -> Result<(), SettingsError> {
    if !(SHORTEST..=LONGEST).contains(&placement.failover_after) {
        let problem = "write a time from \"2s\" to \"1h\"; \"6s\" is usual";
        return invalid("placement.failover_after", problem.to_owned());
    }
    Ok(())
}
