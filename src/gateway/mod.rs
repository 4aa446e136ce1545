//! What a gateway is: names, the value an operator writes, FreeSWITCH's rules about it, and which gateways are desired.
//!
//! Pure: no I/O, no XML, no Redis keys, no clock.

mod accounts;
mod canonical;
mod check;
mod desired;
mod document;
mod domain;
mod fields;
mod finding;
mod findings;
mod freeswitch;
mod hooks;
mod host;
mod json;
mod name;
mod names;
mod nodes;
mod pairs;
mod param_values;
pub mod params;
mod parse;
mod placeholder;
mod placement;
mod profile_params;
mod revision;
mod rollback;
mod rules;
pub mod value_keys;
pub mod variables;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use host::Host;
use params::Kind;

use crate::settings::{AllowHooks, Settings};

pub use accounts::{shared_account, shared_accounts};
pub use desired::{Counts, Desired, Entries, Entry, EntryChange, Refused, RefusedNames};
pub use document::{Document, Member, Members, ValueChange};
pub use domain::{DomainName, MAX_DOMAIN_BYTES, RawDomains};
pub use fields::{FieldChange, Fields, Span};
pub(crate) use finding::shown;
pub use finding::{Finding, Severity};
pub use findings::{FindingChanges, Findings};
pub(crate) use freeswitch::is_false;
pub use freeswitch::is_true;
pub use name::{GatewayName, NameError, ProfileName};
pub(crate) use names::{fix_for_param, param_spelt};
pub use pairs::{Pairs, Variable, Variables};
pub use parse::{Parsed, parse};
pub use placement::{Failback, Move, OnOne, Placed, PlacedFor, Placements, Records};
pub use revision::{KeyError, RevisionKey, former_revisions, revision};
pub use rollback::{Phase, Rollback, Rollbacks, StoredValue, Tried};

/// The variable that carries a gateway's revision on the switch, and is reserved for that.
pub const REVISION_VARIABLE: &str = "trunkd_revision";

/// What the templates say of a profile, as far as FreeSWITCH's rules about gateways need it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ProfileFacts {
    /// Whether the profile has TLS: `None` when the template leaves it to a FreeSWITCH global.
    pub tls: Option<bool>,
    /// Whether the profile has `enable-rfc-5626`: `None` when the template leaves it to a FreeSWITCH global.
    pub rfc_5626: Option<bool>,
    /// Gateways in the template itself. They own their names (FACTS 18).
    pub gateways: BTreeSet<GatewayName>,
}

/// What gateways are checked against.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rules {
    pub default_profile: ProfileName,
    /// Those that have a template; empty when the templates are not known, and any profile is taken.
    pub profiles: BTreeMap<ProfileName, ProfileFacts>,
    pub policy: Policy,
}

impl Rules {
    pub fn new(default_profile: ProfileName, profiles: BTreeMap<ProfileName, ProfileFacts>) -> Self {
        Self {
            default_profile,
            profiles,
            policy: Policy::default(),
        }
    }

    /// The same, with what the settings say about gateways.
    pub fn with_policy(self, policy: Policy) -> Self {
        Self { policy, ..self }
    }
}

/// What the settings say about gateways.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Policy {
    /// The switches in the settings: what `nodes` may name. With none, nothing is known and any name may be right.
    pub switches: BTreeSet<String>,
    /// The variables that may execute something on the switch.
    pub hooks: AllowedHooks,
}

impl Policy {
    pub fn of(settings: &Settings) -> Self {
        let hooks = match &settings.gateways.allow_hooks {
            AllowHooks::No => AllowedHooks::None,
            AllowHooks::Yes => AllowedHooks::All,
            AllowHooks::Names(names) => AllowedHooks::Names(names.iter().cloned().collect()),
        };
        Self {
            switches: settings.switches.iter().map(|switch| switch.name.clone()).collect(),
            hooks,
        }
    }
}

/// Which variables that execute something are allowed in a gateway ([`Policy::hooks`]).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum AllowedHooks {
    #[default]
    None,
    All,
    /// These names alone, in lower case.
    Names(BTreeSet<String>),
}

/// One `cti_gateway@<domain>` key as it was read. Cheap to clone.
#[derive(Clone, PartialEq, Eq)]
pub enum RawDomain {
    Hash(Arc<Fields>),
    /// The key exists but is no hash: its Redis type.
    WrongType(String),
}

impl RawDomain {
    pub fn hash(fields: impl IntoIterator<Item = (Vec<u8>, Vec<u8>)>) -> Self {
        Self::Hash(Arc::new(fields.into_iter().collect()))
    }
}

impl fmt::Debug for RawDomain {
    /// Says how much there is, never what: values hold passwords.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Hash(fields) => write!(f, "Hash({} fields)", fields.len()),
            Self::WrongType(kind) => f.debug_tuple("WrongType").field(kind).finish(),
        }
    }
}

/// A gateway that FreeSWITCH would take, in the form it is served in.
#[derive(Clone, PartialEq, Eq)]
pub struct Gateway {
    pub domain: Arc<str>,
    pub name: GatewayName,
    pub profile: ProfileName,
    pub enabled: bool,
    /// The switchnames that are to have it; `None` is every switch. If it runs on exactly one: that one, if
    /// it is placed.
    pub nodes: Option<Box<[String]>>,
    /// Set if it runs on exactly one switch.
    pub placement: Option<Box<OnOne>>,
    /// What the operator calls the carrier; FreeSWITCH never gets it.
    pub carrier: Option<Box<str>>,
    /// Whether an edit that the carrier refuses may be taken back.
    pub rollback: bool,
    /// `<param>` name → value, sorted by name, each name once.
    pub params: Pairs,
    /// Sorted by name, each name once.
    pub variables: Variables,
}

impl Gateway {
    /// Whether the switch called `node` is to have this gateway; with no node asked for, whether any may.
    pub fn serves(&self, node: Option<&str>) -> bool {
        match (&self.nodes, node) {
            (Some(nodes), Some(node)) => nodes.iter().any(|n| n == node),
            _ => true,
        }
    }

    /// Whether exactly one switch is to have it, so that losing it elsewhere is no removal.
    pub fn is_on_one(&self) -> bool {
        self.placement.is_some()
    }

    /// The value of a `<param>`, if it is set.
    pub fn param(&self, name: &str) -> Option<&str> {
        self.params
            .iter()
            .find(|(known, _)| *known == name)
            .map(|(_, value)| value)
    }

    /// What the key `carrier` says, else [`Gateway::carrier_host`]. Gateways with the same one share a
    /// carrier.
    pub fn carrier_name(&self) -> Option<String> {
        match &self.carrier {
            Some(carrier) => Some(carrier.to_string()),
            None => self.carrier_host(),
        }
    }

    /// The host in `register-proxy`, `proxy` or `realm`, else the name, as for FreeSWITCH; in lower case.
    pub fn carrier_host(&self) -> Option<String> {
        let params = ["register-proxy", "proxy", "realm"];
        let text = params
            .iter()
            .find_map(|name| self.param(name).filter(|text| !text.is_empty()))
            .unwrap_or(self.name.as_str());
        Host::parse(text, Kind::Route)
            .ok()
            .map(|host| host.name.to_ascii_lowercase())
    }

    /// The hosts that REGISTER, pings and calls are sent to, in lower case, each with the first param that names it.
    /// What can't be read is left out.
    pub fn route_hosts(&self) -> BTreeMap<String, &'static str> {
        let set = |name: &'static str| Some((name, self.param(name).filter(|text| !text.is_empty())?));
        let calls = set("proxy").or(set("realm"));
        let registrar = set("register-proxy").filter(|_| self.registers());
        let texts = [registrar, calls, set("outbound-proxy")].into_iter().flatten();
        let mut hosts = BTreeMap::new();
        for (param, text) in texts {
            if let Ok(host) = Host::parse(text, Kind::Route) {
                hosts.entry(host.name.to_ascii_lowercase()).or_insert(param);
            }
        }
        hosts
    }

    /// Whether FreeSWITCH registers it at the carrier (FACTS 13: a missing `register` means true).
    pub fn registers(&self) -> bool {
        self.param("register").is_none_or(is_true)
    }
}

impl fmt::Debug for Gateway {
    /// Names only: values may be passwords.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gateway")
            .field("domain", &self.domain)
            .field("name", &self.name)
            .field("profile", &self.profile)
            .field("enabled", &self.enabled)
            .field("nodes", &self.nodes)
            .field("placement", &self.placement)
            .field("carrier", &self.carrier)
            .field("rollback", &self.rollback)
            .field("params", &self.params)
            .field("variables", &self.variables)
            .finish()
    }
}

/// Which calls get a variable (FACTS 16).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Direction {
    /// Written as no `direction` attribute at all: FreeSWITCH takes any other text, "both" too, as neither.
    #[default]
    Both,
    Inbound,
    Outbound,
}

impl Direction {
    /// As in a gateway's value.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Both => "both",
            Self::Inbound => "inbound",
            Self::Outbound => "outbound",
        }
    }
}
