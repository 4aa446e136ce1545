//! The names of keys. Those of the contract are settings; ours begin with `trunkd:`.

use crate::gateway::DomainName;
use crate::settings::StatusSettings;

/// Which keys hold desired gateways.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GatewayKeys {
    /// A pattern for SCAN, such as `cti_gateway@*`.
    Pattern(String),
    /// Domains named in the settings; a key is the prefix and the domain.
    Domains { prefix: String, domains: Vec<String> },
}

/// The secret behind the revisions.
pub(crate) const REVISION_KEY: &str = "trunkd:key";
/// LIST: keys that were replaced, the latest first.
pub(crate) const FORMER_REVISION_KEYS: &str = "trunkd:key:former";
/// HASH: what operators ask of the changing of switches.
pub(crate) const CONTROL: &str = "trunkd:control";
/// HASH: switchname, a space and a trunkd → what that says of the switch.
pub(crate) const RECONCILE: &str = "trunkd:reconcile";
/// HASH: revision → the fields of the gateway that has it, secrets as hashes.
pub(crate) const FORMS: &str = "trunkd:forms";
/// ZSET: revision → when its form was needed last, in milliseconds since 1970.
pub(crate) const FORMS_USED: &str = "trunkd:forms:used";
/// HASH: switchname → whether it is connected.
pub(crate) const SWITCHES: &str = "trunkd:switches";

impl GatewayKeys {
    /// What stands before the domain: everything up to the pattern's first special character.
    pub(crate) fn prefix(&self) -> &str {
        match self {
            Self::Pattern(pattern) => &pattern[..pattern.find(['*', '?', '[', '\\']).unwrap_or(pattern.len())],
            Self::Domains { prefix, .. } => prefix,
        }
    }

    /// The domain of a key; `None` when the key is not one of these.
    pub(crate) fn domain(&self, key: &[u8]) -> Option<DomainName> {
        key.strip_prefix(self.prefix().as_bytes()).map(DomainName::new)
    }

    pub(crate) fn key(&self, domain: &DomainName) -> Vec<u8> {
        [self.prefix().as_bytes(), domain.as_bytes()].concat()
    }
}

/// Where observed state goes: the settings' `[status]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatusKeys {
    /// HASH: gateway → the JSON of its latest event.
    pub hash: String,
    /// Each event is published here; `None` is off.
    pub channel: Option<String>,
    /// Each event is appended here; `None` is off.
    pub list: Option<String>,
    /// How many events the list keeps.
    pub list_max: usize,
}

impl From<&StatusSettings> for StatusKeys {
    fn from(settings: &StatusSettings) -> Self {
        let set = |name: &String| (!name.is_empty()).then(|| name.clone());
        Self {
            hash: settings.hash.clone(),
            channel: set(&settings.channel),
            list: set(&settings.list),
            list_max: settings.list_max,
        }
    }
}

/// STRING: the trunkd that may change the switch.
pub(crate) fn lease(switch: &str) -> String {
    format!("trunkd:lease:{switch}")
}

/// STRING: what was ordered for the switch.
pub(crate) fn order(switch: &str) -> String {
    format!("trunkd:order:{switch}")
}

/// ZSET: the gateways that were taken off the switch with nobody's approval, by when.
pub(crate) fn removals(switch: &str) -> String {
    format!("trunkd:removals:{switch}")
}

/// HASH: gateway → its row, of one switch.
pub(crate) fn status(switch: &str) -> String {
    format!("trunkd:status:{switch}")
}

/// HASH: the run of FreeSWITCH that the state is of, and the sequences that it reflects.
pub(crate) fn meta(switch: &str) -> String {
    format!("trunkd:ingest:{switch}")
}

/// HASH: gateway → the sequence of its newest event since the last snapshot.
pub(crate) fn marks(switch: &str) -> String {
    format!("trunkd:marks:{switch}")
}

/// HASH: block of sequences → bits of those that had their effect. Kept for an hour after its last event, bounded by
/// `apply.lua`, which keeps the blocks before those under the same name with `:before`.
pub(crate) fn seen(switch: &str, core_uuid: &str) -> String {
    format!("trunkd:seen:{switch}:{core_uuid}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_domain_is_what_follows_the_patterns_literal_part() {
        let all = GatewayKeys::Pattern("cti_gateway@*".into());
        assert_eq!(all.domain(b"cti_gateway@example.net"), Some("example.net".into()));
        assert_eq!(all.domain(b"cti_gateway@\xff"), Some(DomainName::new(b"\xff")));
        assert_eq!(all.domain(b"cti_gateway"), None);
        let some = GatewayKeys::Pattern("pbx7:gw@[ab]*".into());
        assert_eq!(some.domain(b"pbx7:gw@a.example"), Some("a.example".into()));
        assert_eq!(
            GatewayKeys::Domains {
                prefix: "gw@".into(),
                domains: vec!["d".into()]
            }
            .key(&"d".into()),
            b"gw@d"
        );
    }

    #[test]
    fn keys_of_ours_begin_as_the_settings_keep_free() {
        let own = [REVISION_KEY, FORMER_REVISION_KEYS, CONTROL, RECONCILE, FORMS, SWITCHES].map(str::to_owned);
        let of_switch = [
            lease("fs1"),
            status("fs1"),
            meta("fs1"),
            marks("fs1"),
            seen("fs1", "uuid"),
        ];
        for key in own.into_iter().chain(of_switch) {
            assert!(key.starts_with(crate::settings::OWN_KEYS), "{key}");
        }
    }
}
