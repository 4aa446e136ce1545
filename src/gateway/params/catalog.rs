//! Table: every param of a gateway that FreeSWITCH reads.

use super::{Below, Fallback, Group, Kind, Number, ParamSpec};

/// The smallest number of seconds that FreeSWITCH accepts (FACTS 15).
const LEAST_SECONDS: i32 = 5;

const fn seconds(default: u32) -> Kind {
    Kind::Number(Number {
        least: LEAST_SECONDS,
        below: Below::Takes(default),
    })
}

const fn number(least: i32, below: Below) -> Kind {
    Kind::Number(Number { least, below })
}

const fn spec(
    group: Group,
    name: &'static str,
    kind: Kind,
    default: Fallback,
    purpose: &'static str,
    advice: &'static str,
) -> ParamSpec {
    ParamSpec {
        name,
        group,
        kind,
        default,
        secret: false,
        purpose,
        advice,
    }
}

use Fallback::{Is, Nothing, Value};
use Group::{Account, Addresses, Calls, Identity, Pings, Timers};

/// Every param that FreeSWITCH reads, by group.
pub const PARAMS: [ParamSpec; 34] = [
    spec(
        Account,
        "register",
        Kind::Bool,
        Value("true"),
        "Log in at the carrier (account trunk), or not (IP trunk).",
        "",
    ),
    spec(
        Account,
        "username",
        Kind::User,
        Is("`FreeSWITCH`; required to register"),
        "The account: user of To, of From without `from-user`, and of the digest without `auth-username`.",
        "No `@`: set `from-user` and `from-domain` for an account such as `user@example.net`.",
    ),
    spec(
        Account,
        "auth-username",
        Kind::Text,
        Is("`username`"),
        "The account name in the digest, when it differs.",
        "Some IMS carriers need it; no `:` and no `\"`.",
    ),
    ParamSpec {
        secret: true,
        ..spec(
            Account,
            "password",
            Kind::Text,
            Is("required to register"),
            "The account's password.",
            "At most 255 bytes together with scheme, realm, account name and three `:`.",
        )
    },
    spec(
        Account,
        "realm",
        Kind::Host,
        Is("`proxy`, else the gateway's name"),
        "The carrier's host or address, with the port unless it is 5060; in the digest the realm of the \
         carrier's challenge counts.",
        "With `proxy` beside it, any text will do.",
    ),
    spec(
        Account,
        "scheme",
        Kind::Text,
        Value("Digest"),
        "Only shown: the scheme of the carrier's challenge counts.",
        "Leave it out.",
    ),
    spec(
        Addresses,
        "proxy",
        Kind::Host,
        Is("`realm`"),
        "Where requests go, when not to the realm: `host[:port][;parameters]`.",
        "No `sip:` before it; with parameters write the port too (`host:5060;…`), or set `gw-auth-acl`.",
    ),
    spec(
        Addresses,
        "register-proxy",
        Kind::Route,
        Is("`proxy`"),
        "Where REGISTER and pings go instead.",
        "As `proxy`; `sip:` may stand before it.",
    ),
    spec(
        Addresses,
        "outbound-proxy",
        Kind::Route,
        Is("`proxy`"),
        "Where calls go instead.",
        "As `proxy`; `sip:` may stand before it.",
    ),
    spec(
        Addresses,
        "register-transport",
        Kind::Transport,
        Value("udp"),
        "`udp`, `tcp`, `tls` or `sctp`: the transport in the Contact, and of requests to hosts without a \
         `;transport=` of their own.",
        "`tls` needs a profile with TLS, or FreeSWITCH drops the gateway.",
    ),
    spec(
        Addresses,
        "gw-auth-acl",
        Kind::Networks,
        Is("the hosts of `proxy`, `register-proxy`, `outbound-proxy`"),
        "The senders whose challenges (401, 407) are answered: networks with commas between, or the name of an \
         access list.",
        "Needed for IPv6, and where the carrier answers from other addresses; a single address needs its `/32`.",
    ),
    spec(
        Identity,
        "from-user",
        Kind::User,
        Is("`username`"),
        "The user in From.",
        "IMS: usually the user name.",
    ),
    spec(
        Identity,
        "from-domain",
        Kind::FromHost,
        Is("`proxy`"),
        "The host in From, of pings as well.",
        "IMS: usually the realm; `auto-aleg-full` and `auto-aleg-domain` end FreeSWITCH on calls without an A leg.",
    ),
    spec(
        Identity,
        "caller-id-in-from",
        Kind::Bool,
        Value("false"),
        "Put the caller's number in From instead of `from-user`; its host is the profile's own address unless \
         `from-domain` is set.",
        "Most IP trunks want true.",
    ),
    spec(
        Identity,
        "distinct-to",
        Kind::Bool,
        Value("false"),
        "Register with `username@proxy` in To instead of what From has.",
        "",
    ),
    spec(
        Identity,
        "extension-in-contact",
        Kind::Bool,
        Value("false"),
        "Register as `extension@ip` instead of `gw+name@ip`.",
        "For carriers that refuse the `gw+` form.",
    ),
    spec(
        Identity,
        "contact-host",
        Kind::ContactHost,
        Is("the profile's `ext-sip-ip`, else its `sip-ip`"),
        "The host in Contact: a name or an address without port and brackets, or `sip-ip`.",
        "",
    ),
    spec(
        Identity,
        "contact-params",
        Kind::UriParameters,
        Nothing,
        "Parameters added to Contact, such as `tport=tls`.",
        "No `transport=`: that is `register-transport`.",
    ),
    spec(
        Identity,
        "rfc-5626",
        Kind::Bool,
        Value("false"),
        "Add `reg-id` and an instance id to Contact (RFC 5626).",
        "Works only with `enable-rfc-5626` in the profile.",
    ),
    spec(
        Identity,
        "reg-id",
        Kind::Text,
        Nothing,
        "The `reg-id` of `rfc-5626`.",
        "Needed with `rfc-5626`; 1 for instance.",
    ),
    spec(
        Calls,
        "extension",
        Kind::User,
        Is("`username`"),
        "The destination of inbound calls; `auto_to_user` takes the number that was dialled.",
        "",
    ),
    spec(
        Calls,
        "context",
        Kind::Text,
        Is("the profile's `context`"),
        "The dialplan context of inbound calls.",
        "",
    ),
    spec(
        Calls,
        "destination-prefix",
        Kind::User,
        Nothing,
        "Digits put before the called number.",
        "",
    ),
    spec(
        Timers,
        "expire-seconds",
        seconds(3600),
        Value("3600"),
        "The length of a registration, at least 5.",
        "60 behind NAT.",
    ),
    spec(
        Timers,
        "retry-seconds",
        seconds(30),
        Value("30"),
        "The wait after a refused registration, at least 5: it is multiplied by the refusals in a row, without \
         a limit, but for a 503 or a time-out.",
        "",
    ),
    spec(
        Timers,
        "retry_seconds",
        seconds(30),
        Is("`retry-seconds`"),
        "Another spelling of `retry-seconds`.",
        "Write `retry-seconds`.",
    ),
    spec(
        Timers,
        "timeout-seconds",
        seconds(60),
        Value("60"),
        "The limit of one registration, at least 5.",
        "",
    ),
    spec(
        Timers,
        "908-retry-seconds",
        number(1, Below::Without("waits retry-seconds")),
        Is("`retry-seconds`"),
        "The wait after a registration that timed out.",
        "",
    ),
    spec(
        Pings,
        "ping",
        number(LEAST_SECONDS, Below::Without("does not ping")),
        Is("no pings"),
        "Seconds between OPTIONS, at least 5; a gateway that registers is FAILED at its first lost ping, \
         whatever `ping-max` is.",
        "25 for IP trunks, whose only sign of life it is; From has no user, only the host of `from-domain` or \
         else `proxy`, which a few carriers ban.",
    ),
    spec(
        Pings,
        "ping-min",
        number(1, Below::Keeps),
        Value("1"),
        "The count of answers that UP needs: an answer adds one, up to `ping-max`, a lost ping takes one away, \
         and below this the gateway is DOWN.",
        "At least 1, at most `ping-max`.",
    ),
    spec(
        Pings,
        "ping-max",
        number(1, Below::Keeps),
        Value("1"),
        "The most answers that count: with `ping-min` 1, so many lost pings in a row make an IP trunk DOWN.",
        "3 to forgive two lost pings.",
    ),
    spec(
        Pings,
        "ping-monitoring",
        Kind::Bool,
        Value("false"),
        "An event for every ping.",
        "",
    ),
    spec(
        Pings,
        "contact-in-ping",
        Kind::Bool,
        Value("false"),
        "Send the gateway's own Contact in pings.",
        "",
    ),
    spec(
        Pings,
        "ping-user-agent",
        Kind::Header,
        Is("the profile's `user-agent-string`"),
        "Not served: over mod_xml_curl FreeSWITCH sends freed memory instead.",
        "Set `user-agent-string` in the profile.",
    ),
];
