//! A start in progress, and what FreeSWITCH was given for it.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::plan::Want;
use crate::gateway::{Desired, GatewayName, ProfileName, RevisionKey};

/// A start command in progress: FreeSWITCH requests the gateways while it runs.
pub(super) struct Starting {
    pub(super) profile: ProfileName,
    pub(super) what: Start,
    pub(super) given: Option<Given>,
}

/// What FreeSWITCH was ordered to start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Start {
    /// `startgw G`
    One(GatewayName),
    /// `startgw _all_`
    Many(Arc<BTreeSet<GatewayName>>),
}

/// The answer to FreeSWITCH's request for what it was ordered to start.
pub struct Given {
    pub(super) desired: Arc<Desired>,
    pub(super) key: RevisionKey,
}

impl Given {
    /// Whether the answer contained the gateway in the wanted version.
    pub fn holds(&self, gateway: &GatewayName, want: &Want) -> bool {
        let entry = self.desired.served().get(gateway);
        entry.is_some_and(|entry| Want::of(&entry.gateway, &self.key) == *want)
    }
}

impl Starting {
    /// Ignores case, as FreeSWITCH does for profile names.
    pub(super) fn is_of(&self, profile: &str) -> bool {
        self.profile.as_str().eq_ignore_ascii_case(profile)
    }
}
