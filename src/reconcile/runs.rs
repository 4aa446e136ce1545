//! What a switch runs, and ran, as far as the guard needs it.

use std::collections::BTreeSet;
use std::sync::Arc;

use imbl::OrdSet;
use tokio::time::Instant;

use crate::gateway::{GatewayName, ProfileName};

/// The gateways that run on a switch. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Runs {
    /// The gateways that carry a revision.
    pub ours: OrdSet<GatewayName>,
    /// Those of `ours` that were not desired when this was computed.
    pub unwanted: Arc<BTreeSet<GatewayName>>,
    /// The running profiles.
    pub profiles: BTreeSet<ProfileName>,
}

/// Those that ran when a switch was last seen.
pub(super) struct Ran {
    pub(super) ours: OrdSet<GatewayName>,
    /// When this expires.
    pub(super) until: Instant,
    /// The switch is visible again.
    pub(super) is_back: bool,
}
