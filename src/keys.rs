//! Names of Redis keys. Those that other programs share are settings; trunkd's own begin with `trunkd:`.

use crate::gateway::DomainName;
use crate::settings::{RedisSettings, StatusSettings};

/// Which keys hold desired gateways.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GatewayKeys {
    /// A SCAN pattern such as `cti_gateway@*`.
    Pattern(String),
    /// The domains in the settings. A key is the prefix followed by the domain.
    Domains { prefix: String, domains: Vec<String> },
}

/// STRING: the secret key that revisions are computed with.
pub(crate) const REVISION_KEY: &str = "trunkd:key";
/// LIST: earlier revision keys, newest first.
pub(crate) const FORMER_REVISION_KEYS: &str = "trunkd:key:former";
/// HASH: operators' pauses, orders and jobs.
pub(crate) const CONTROL: &str = "trunkd:control";
/// HASH: `<switchname> <trunkd>` → that trunkd's report on the switch.
pub(crate) const RECONCILE: &str = "trunkd:reconcile";
/// HASH: revision → the gateway's fields at that revision, with secrets hashed.
pub(crate) const FORMS: &str = "trunkd:forms";
/// ZSET: revision → when its form was last used, in Unix milliseconds.
pub(crate) const FORMS_USED: &str = "trunkd:forms:used";
/// STREAM: which rows of which switch changed. The scripts of `observed` write it.
pub(crate) const CHANGES: &str = "trunkd:changes";
/// STREAM: what happened, without secrets.
pub(crate) const HISTORY: &str = "trunkd:history";
/// HASH: domain/gateway → the set of files that wrote the gateway last (`trunkd sync --set`).
pub(crate) const SETS: &str = "trunkd:sets";
/// HASH: webhook → id of the last entry of the history that it is done with.
pub(crate) const WEBHOOKS: &str = "trunkd:webhooks";
/// HASH: switchname → the history's entry about the hold of its plan.
pub(crate) const HELD: &str = "trunkd:held";
/// HASH: gateway → an edit of it that the carrier refused, or that waits, and what runs in its place.
pub(crate) const ROLLBACKS: &str = "trunkd:rollbacks";
/// HASH: gateway → the one switch that has it.
pub(crate) const PLACEMENT: &str = "trunkd:placement";
/// HASH: carrier → the gateways that are tried before others of it.
pub(crate) const CANARIES: &str = "trunkd:canaries";
/// HASH: switchname → whether it is connected.
pub(crate) const SWITCHES: &str = "trunkd:switches";
/// HASH: trunkd → what it sees of each switch.
pub(crate) const SIGHTS: &str = "trunkd:sights";
/// HASH: switchname → where its SIP answers, as it said itself.
pub(crate) const SIP_ADDRESSES: &str = "trunkd:sip";

/// HASH: name → role, domains and password hash of a person.
pub(crate) const USERS: &str = "trunkd:users";
/// HASH: SHA-256 of a token's secret → its name, role and domains.
pub(crate) const TOKENS: &str = "trunkd:tokens";
/// STRING: SHA-256 of the one-time code that makes the first admin. Expires.
pub(crate) const SETUP: &str = "trunkd:setup";

impl GatewayKeys {
    /// The part before the domain: everything up to the pattern's first special character.
    pub(crate) fn prefix(&self) -> &str {
        match self {
            Self::Pattern(pattern) => &pattern[..pattern.find(['*', '?', '[', '\\']).unwrap_or(pattern.len())],
            Self::Domains { prefix, .. } => prefix,
        }
    }

    /// The domain of a key. `None` if the key doesn't hold gateways.
    pub(crate) fn domain(&self, key: &[u8]) -> Option<DomainName> {
        key.strip_prefix(self.prefix().as_bytes()).map(DomainName::new)
    }

    pub(crate) fn key(&self, domain: &DomainName) -> Vec<u8> {
        [self.prefix().as_bytes(), domain.as_bytes()].concat()
    }
}

impl From<&RedisSettings> for GatewayKeys {
    fn from(settings: &RedisSettings) -> Self {
        match &settings.domains[..] {
            [] => Self::Pattern(settings.gateway_keys.clone()),
            domains => Self::Domains {
                prefix: settings.key_prefix().to_owned(),
                domains: domains.to_vec(),
            },
        }
    }
}

/// Where observed state is written: the `[status]` settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatusKeys {
    /// HASH: gateway → JSON of its latest event.
    pub hash: String,
    /// Every event is published here. `None` is off.
    pub channel: Option<String>,
    /// Every event is appended here. `None` is off.
    pub list: Option<String>,
    /// The list is trimmed to this many events.
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

/// STRING: the trunkd that holds the lease, and so may change the switch, or post to the webhook.
pub(crate) fn lease(of: &str) -> String {
    format!("trunkd:lease:{of}")
}

/// What the lease of a webhook is of.
pub(crate) fn webhook(name: &str) -> String {
    format!("webhook:{name}")
}

/// STRING: the operator's order for the switch.
pub(crate) fn order(switch: &str) -> String {
    format!("trunkd:order:{switch}")
}

/// HASH: gateway → what became of it in an operator's job. Expires.
pub(crate) fn job(id: &str) -> String {
    format!("trunkd:job:{id}")
}

/// ZSET: gateway → when it was removed from the switch without an operator's approval.
pub(crate) fn removals(switch: &str) -> String {
    format!("trunkd:removals:{switch}")
}

/// HASH: switchname → how much of the carrier's pace it uses. Expires.
pub(crate) fn pace(carrier: &str) -> String {
    format!("trunkd:pace:{carrier}")
}

/// HASH: gateway → why it is parked on the switch, and until when.
pub(crate) fn parked(switch: &str) -> String {
    format!("trunkd:parked:{switch}")
}

/// HASH: carrier → since when most of its gateways on the switch fail together.
pub(crate) fn carriers_out(switch: &str) -> String {
    format!("trunkd:carriers-out:{switch}")
}

/// STREAM: what happened to one gateway, with what an edit replaced.
pub(crate) fn history_of(domain: &str, gateway: &str) -> String {
    // A gateway's name has no slash.
    format!("trunkd:history:{domain}/{gateway}")
}

/// STRING: a digest of the gateway's value when an edit of it was last recorded.
pub(crate) fn recorded(domain: &str, gateway: &str) -> String {
    format!("trunkd:recorded:{domain}/{gateway}")
}

/// STRING: an entry of the history that several trunkd would make was made.
pub(crate) fn recorded_once(claim: &str) -> String {
    format!("trunkd:recorded-once:{claim}")
}

/// HASH: gateway → an edit of it that has to work within a while, and what worked before.
pub(crate) fn verifying(switch: &str) -> String {
    format!("trunkd:verifying:{switch}")
}

/// HASH: gateway → its state on the switch.
pub(crate) fn status(switch: &str) -> String {
    format!("trunkd:status:{switch}")
}

/// HASH: gateway → its outage on the switch, and when its last ones began.
pub(crate) fn outages(switch: &str) -> String {
    format!("trunkd:outages:{switch}")
}

/// HASH: the FreeSWITCH run (core UUID) that the state belongs to, and the event sequences it includes.
pub(crate) fn meta(switch: &str) -> String {
    format!("trunkd:ingest:{switch}")
}

/// HASH: gateway → sequence of its newest event since the last snapshot.
pub(crate) fn marks(switch: &str) -> String {
    format!("trunkd:marks:{switch}")
}

/// HASH: gateway → its calls, added up over restarts of the gateway.
pub(crate) fn calls(switch: &str) -> String {
    format!("trunkd:calls:{switch}")
}

/// What the lease of a switch's calls is of: its holder saves them.
pub(crate) fn calls_of(switch: &str) -> String {
    format!("calls:{switch}")
}

/// HASH: gateway → its calls that ended within the last day. Expires.
pub(crate) fn ended_calls(switch: &str) -> String {
    format!("trunkd:ended-calls:{switch}")
}

/// HASH: gateway → how often its carrier refused it, by SIP status code, and what it sent lately.
pub(crate) fn refusals(switch: &str) -> String {
    format!("trunkd:refusals:{switch}")
}

/// ZSET: gateway → when it left the switch. Its counters are removed an hour later.
pub(crate) fn gone(switch: &str) -> String {
    format!("trunkd:gone:{switch}")
}

/// HASH: block of sequences → bitmap of the events that were applied. Expires an hour after its last
/// event. `apply.lua` bounds it, and moves earlier blocks to the same key with `:before` appended.
pub(crate) fn seen(switch: &str, core_uuid: &str) -> String {
    format!("trunkd:seen:{switch}:{core_uuid}")
}

/// HASH: id → an import that its owner looks at before it is written, encrypted. Expires.
pub(crate) fn uploads(owner: &str) -> String {
    format!("trunkd:uploads:{owner}")
}

/// STRING: whose session it is, by the SHA-256 of its cookie. Expires.
pub(crate) fn session(cookie_hash: &str) -> String {
    format!("trunkd:session:{cookie_hash}")
}

/// HASH: failed sign-ins of one user name. Expires.
pub(crate) fn sign_ins_of_name(name: &str) -> String {
    format!("trunkd:sign-ins:name:{name}")
}

/// HASH: failed sign-ins from one address. Expires.
pub(crate) fn sign_ins_of_address(address: &str) -> String {
    format!("trunkd:sign-ins:address:{address}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_domain_follows_the_literal_part_of_the_pattern() {
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
    fn our_own_keys_begin_with_the_prefix_that_settings_may_not_use() {
        let own = [
            REVISION_KEY,
            FORMER_REVISION_KEYS,
            CONTROL,
            RECONCILE,
            FORMS,
            CHANGES,
            HISTORY,
            SETS,
            WEBHOOKS,
            HELD,
            ROLLBACKS,
            CANARIES,
            PLACEMENT,
            SWITCHES,
            SIGHTS,
            SIP_ADDRESSES,
            USERS,
            TOKENS,
            SETUP,
        ]
        .map(str::to_owned);
        let of_switch = [
            lease("fs1"),
            lease(&webhook("alerts")),
            verifying("fs1"),
            status("fs1"),
            outages("fs1"),
            job("5e88"),
            meta("fs1"),
            marks("fs1"),
            calls("fs1"),
            lease(&calls_of("fs1")),
            ended_calls("fs1"),
            refusals("fs1"),
            gone("fs1"),
            pace("sip.example.net"),
            parked("fs1"),
            carriers_out("fs1"),
            seen("fs1", "uuid"),
            history_of("acme", "gw1"),
            recorded("acme", "gw1"),
            recorded_once("5e88"),
        ];
        let of_people = [
            uploads("user:alice"),
            session("5e88"),
            sign_ins_of_name("alice"),
            sign_ins_of_address("192.0.2.1"),
        ];
        for key in own.into_iter().chain(of_switch).chain(of_people) {
            assert!(key.starts_with(crate::settings::OWN_KEYS), "{key}");
        }
    }
}
