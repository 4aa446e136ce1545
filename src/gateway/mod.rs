//! What a gateway is: names, the value an operator writes, FreeSWITCH's rules about it, and which gateways are desired.
//!
//! Pure: no I/O, no XML, no Redis keys, no clock.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// A gateway's name, checked: `^[A-Za-z0-9_.-]+$` and not `_all_` in any case (FACTS 11), at most 255 bytes. Nothing else may enter a
/// FreeSWITCH command.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GatewayName(Arc<str>);

impl GatewayName {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A SIP profile's name, under the same character rule.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProfileName(Arc<str>);

/// What the templates say of a profile, as far as FreeSWITCH's rules about gateways need it.
#[derive(Debug, Clone, Default)]
pub struct ProfileFacts {
    /// Whether the profile has TLS: `None` when the template leaves it to a FreeSWITCH global.
    pub tls: Option<bool>,
    /// Gateways that stand in the template itself, which own their names (FACTS 18).
    pub gateways: BTreeSet<GatewayName>,
}

/// What gateways are checked against.
#[derive(Debug, Clone)]
pub struct Rules {
    pub default_profile: ProfileName,
    pub profiles: BTreeMap<ProfileName, ProfileFacts>,
}

/// One `cti_gateway@<domain>` key as it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RawDomain {
    /// field → value, as the bytes that Redis holds.
    Hash(BTreeMap<Vec<u8>, Vec<u8>>),
    /// The key exists but is no hash: its Redis type.
    WrongType(String),
}

/// domain → what its key holds.
pub type RawDomains = BTreeMap<String, RawDomain>;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    Warning,
    Error,
}
