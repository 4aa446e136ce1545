//! Table: every param of a gateway that FreeSWITCH reads.

use super::{Below, Condition, Fallback, Group, Kind, NotServed, Number, ParamSpec, SpecialValue};
use crate::language::{Text, text};

/// The smallest number of seconds that FreeSWITCH accepts (FACTS 15).
const LEAST_SECONDS: i32 = 5;

const fn seconds(default: u32) -> Number {
    number(LEAST_SECONDS, Below::Takes(default))
}

const fn number(least: i32, below: Below) -> Number {
    Number {
        least,
        below,
        is_sent_as_written: false,
    }
}

/// `parse_gateways` drops a registering gateway without it (FACTS 13).
pub(crate) const WHEN_REGISTERING: Condition = Condition {
    param: "register",
    value: "true",
};

/// `gateway->options_user_agent` in sofia.c is a pointer into the answer's XML, which mod_xml_curl frees (FACTS 12).
const PING_USER_AGENT: NotServed = NotServed {
    reason: text(
        "is left out: over mod_xml_curl FreeSWITCH would send freed memory to the carrier",
        "不会下发：经由 mod_xml_curl 时，FreeSWITCH 会把已释放的内存发送给运营商",
    ),
    fix: text(
        "set user-agent-string in the profile's template",
        "请在 profile 的模板中设置 user-agent-string",
    ),
};

/// What most params are; each says in what it differs.
const PLAIN: ParamSpec = ParamSpec {
    name: "",
    group: Group::Account,
    kind: Kind::Text,
    default: Fallback::Nothing,
    when_empty: None,
    special_values: &[],
    required_when: None,
    alias_of: None,
    not_served: None,
    secret: false,
    is_common: false,
    purpose: Text::EMPTY,
    advice: None,
    example: "",
};

use Fallback::{Is, Value};
use Group::{Account, Addresses, Calls, Identity, Pings, Timers};

/// Every param that FreeSWITCH reads, by group.
pub const PARAMS: [ParamSpec; 34] = [
    ParamSpec {
        group: Account,
        name: "register",
        kind: Kind::Bool,
        default: Value("true"),
        when_empty: Some("false"),
        is_common: true,
        purpose: text(
            "Log in at the carrier (account trunk), or not (IP trunk).",
            "是否向运营商注册：账号注册型中继填 true，IP 对接型中继填 false。",
        ),
        example: "false",
        ..PLAIN
    },
    ParamSpec {
        group: Account,
        name: "username",
        kind: Kind::User,
        default: Is(text(
            "`FreeSWITCH`; required to register",
            "`FreeSWITCH`；需要注册时必填",
        )),
        required_when: Some(WHEN_REGISTERING),
        is_common: true,
        purpose: text(
            "The account: user of To, of From without `from-user`, and of the digest without `auth-username`.",
            "账号名：用于 To 头，未设置 `from-user` 时用于 From 头，未设置 `auth-username` 时用于摘要鉴权。",
        ),
        advice: Some(text(
            "No `@`: set `from-user` and `from-domain` for an account such as `user@example.net`.",
            "不要包含 `@`：账号形如 `user@example.net` 时，请分别设置 `from-user` 和 `from-domain`。",
        )),
        example: "1001",
        ..PLAIN
    },
    ParamSpec {
        group: Account,
        name: "auth-username",
        kind: Kind::Text,
        default: Is(text("`username`", "同 `username`")),
        purpose: text(
            "The account name in the digest, when it differs.",
            "摘要鉴权专用的账号名，仅在与注册账号名不同时填写。",
        ),
        advice: Some(text(
            "Some IMS carriers need it; no `:` and no `\"`.",
            "部分 IMS 运营商要求填写；不能包含 `:` 和 `\"`。",
        )),
        example: "1001@ims.example.net",
        ..PLAIN
    },
    ParamSpec {
        group: Account,
        name: "password",
        kind: Kind::Text,
        default: Is(text("required to register", "需要注册时必填")),
        secret: true,
        required_when: Some(WHEN_REGISTERING),
        is_common: true,
        purpose: text("The account's password.", "账号的密码。"),
        advice: Some(text(
            "At most 255 bytes together with scheme, realm, account name and three `:`.",
            "与 scheme、realm、账号名及三个 `:` 合计最多 255 字节。",
        )),
        example: "change-me",
        ..PLAIN
    },
    ParamSpec {
        group: Account,
        name: "realm",
        kind: Kind::Host,
        default: Is(text(
            "`proxy`, else the gateway's name",
            "同 `proxy`；未设置时为网关名称",
        )),
        is_common: true,
        purpose: text(
            "The carrier's host or address, with the port unless it is 5060; in the digest the realm of the \
             carrier's challenge counts.",
            "运营商的域名或地址，端口不是 5060 时须带上端口；摘要鉴权以运营商质询（challenge）中的 realm 为准。",
        ),
        advice: Some(text(
            "With `proxy` beside it, any text will do.",
            "同时设置了 `proxy` 时，此处可以填任意文本。",
        )),
        example: "sip.example.net",
        ..PLAIN
    },
    ParamSpec {
        group: Account,
        name: "scheme",
        kind: Kind::Text,
        default: Value("Digest"),
        purpose: text(
            "Only shown: the scheme of the carrier's challenge counts.",
            "仅用于显示：实际以运营商质询中的鉴权方案为准。",
        ),
        advice: Some(text("Leave it out.", "不必填写。")),
        example: "Digest",
        ..PLAIN
    },
    ParamSpec {
        group: Addresses,
        name: "proxy",
        kind: Kind::Host,
        default: Is(text("`realm`", "同 `realm`")),
        is_common: true,
        purpose: text(
            "Where requests go, when not to the realm: `host[:port][;parameters]`.",
            "请求发往的代理地址，不直接发往 realm 时填写：`host[:port][;parameters]`。",
        ),
        advice: Some(text(
            "No `sip:` before it; with parameters write the port too (`host:5060;…`), or set `gw-auth-acl`.",
            "前面不要加 `sip:`；带参数时须同时写明端口（`host:5060;…`），或者设置 `gw-auth-acl`。",
        )),
        example: "192.0.2.10:5060",
        ..PLAIN
    },
    ParamSpec {
        group: Addresses,
        name: "register-proxy",
        kind: Kind::Route,
        default: Is(text("`proxy`", "同 `proxy`")),
        purpose: text(
            "Where REGISTER and pings go instead.",
            "REGISTER 和 OPTIONS 心跳改为发往此地址。",
        ),
        advice: Some(text(
            "As `proxy`; `sip:` may stand before it.",
            "写法同 `proxy`，前面可以加 `sip:`。",
        )),
        example: "registrar.example.net:5060",
        ..PLAIN
    },
    ParamSpec {
        group: Addresses,
        name: "outbound-proxy",
        kind: Kind::Route,
        default: Is(text("`proxy`", "同 `proxy`")),
        purpose: text("Where calls go instead.", "呼叫改为发往此地址。"),
        advice: Some(text(
            "As `proxy`; `sip:` may stand before it.",
            "写法同 `proxy`，前面可以加 `sip:`。",
        )),
        example: "sbc.example.net:5060",
        ..PLAIN
    },
    ParamSpec {
        group: Addresses,
        name: "register-transport",
        kind: Kind::Transport,
        default: Value("udp"),
        is_common: true,
        purpose: text(
            "`udp`, `tcp`, `tls` or `sctp`: the transport in the Contact, and of requests to hosts without a \
             `;transport=` of their own.",
            "`udp`、`tcp`、`tls` 或 `sctp`：Contact 头中的传输协议；目的地址没有自带 `;transport=` 时，请求也用它发\
             送。",
        ),
        advice: Some(text(
            "`tls` needs a profile with TLS, or FreeSWITCH drops the gateway.",
            "`tls` 要求 profile 已启用 TLS，否则 FreeSWITCH 会丢弃该网关。",
        )),
        example: "tcp",
        ..PLAIN
    },
    ParamSpec {
        group: Addresses,
        name: "gw-auth-acl",
        kind: Kind::Networks,
        default: Is(text(
            "the hosts of `proxy`, `register-proxy`, `outbound-proxy`",
            "`proxy`、`register-proxy`、`outbound-proxy` 中的主机",
        )),
        purpose: text(
            "The senders whose challenges (401, 407) are answered: networks with commas between, or the name of \
             an access list.",
            "只应答这些来源的鉴权质询（401、407）：以逗号分隔的网段，或访问控制列表（ACL）的名称。",
        ),
        advice: Some(text(
            "Needed for IPv6, and where the carrier answers from other addresses; a single address needs its `/32`.",
            "使用 IPv6 或运营商从其他地址应答时必须设置；单个地址须带上 `/32`。",
        )),
        example: "192.0.2.0/24",
        ..PLAIN
    },
    ParamSpec {
        group: Identity,
        name: "from-user",
        kind: Kind::User,
        default: Is(text("`username`", "同 `username`")),
        is_common: true,
        purpose: text("The user in From.", "From 头中的用户名。"),
        advice: Some(text("IMS: usually the user name.", "IMS：通常填账号名。")),
        example: "1001",
        ..PLAIN
    },
    ParamSpec {
        group: Identity,
        name: "from-domain",
        kind: Kind::FromHost,
        default: Is(text("`proxy`", "同 `proxy`")),
        is_common: true,
        purpose: text(
            "The host in From, of pings as well.",
            "From 头中的域，OPTIONS 心跳也使用它。",
        ),
        advice: Some(text(
            "IMS: usually the realm; `auto-aleg-full` and `auto-aleg-domain` end FreeSWITCH on calls without an A \
             leg.",
            "IMS：通常填 realm；`auto-aleg-full` 和 `auto-aleg-domain` 遇到没有 A leg 的呼叫会使 FreeSWITCH 崩溃退\
             出。",
        )),
        example: "ims.example.net",
        ..PLAIN
    },
    ParamSpec {
        group: Identity,
        name: "caller-id-in-from",
        kind: Kind::Bool,
        default: Value("false"),
        is_common: true,
        purpose: text(
            "Put the caller's number in From instead of `from-user`; its host is the profile's own address unless \
             `from-domain` is set.",
            "From 头中使用主叫号码，而不是 `from-user`；未设置 `from-domain` 时，其域为 profile 自身的地址。",
        ),
        advice: Some(text("Most IP trunks want true.", "大多数 IP 对接型中继应填 true。")),
        example: "true",
        ..PLAIN
    },
    ParamSpec {
        group: Identity,
        name: "distinct-to",
        kind: Kind::Bool,
        default: Value("false"),
        purpose: text(
            "Register with `username@proxy` in To instead of what From has.",
            "注册时 To 头使用 `username@proxy`，而不是与 From 头相同。",
        ),
        example: "true",
        ..PLAIN
    },
    ParamSpec {
        group: Identity,
        name: "extension-in-contact",
        kind: Kind::Bool,
        default: Value("false"),
        purpose: text(
            "Register as `extension@ip` instead of `gw+name@ip`.",
            "注册时 Contact 使用 `extension@ip`，而不是 `gw+name@ip`。",
        ),
        advice: Some(text(
            "For carriers that refuse the `gw+` form.",
            "用于不接受 `gw+` 形式的运营商。",
        )),
        example: "true",
        ..PLAIN
    },
    ParamSpec {
        group: Identity,
        name: "contact-host",
        kind: Kind::ContactHost,
        default: Is(text(
            "the profile's `ext-sip-ip`, else its `sip-ip`",
            "profile 的 `ext-sip-ip`；未设置时为其 `sip-ip`",
        )),
        special_values: &[SpecialValue {
            word: "sip-ip",
            in_any_case: false,
        }],
        purpose: text(
            "The host in Contact: a name or an address without port and brackets, or `sip-ip`.",
            "Contact 头中的主机：不带端口和方括号的域名或地址，或者填 `sip-ip`。",
        ),
        example: "203.0.113.7",
        ..PLAIN
    },
    ParamSpec {
        group: Identity,
        name: "contact-params",
        kind: Kind::UriParameters,
        purpose: text(
            "Parameters added to Contact, such as `tport=tls`.",
            "附加到 Contact 的参数，例如 `tport=tls`。",
        ),
        advice: Some(text(
            "No `transport=`: that is `register-transport`.",
            "不要写 `transport=`：它由 `register-transport` 决定。",
        )),
        example: "tport=tls",
        ..PLAIN
    },
    ParamSpec {
        group: Identity,
        name: "rfc-5626",
        kind: Kind::Bool,
        default: Value("false"),
        purpose: text(
            "Add `reg-id` and an instance id to Contact (RFC 5626).",
            "在 Contact 中加入 `reg-id` 和实例标识（RFC 5626）。",
        ),
        advice: Some(text(
            "Works only with `enable-rfc-5626` in the profile.",
            "仅当 profile 启用了 `enable-rfc-5626` 时有效。",
        )),
        example: "true",
        ..PLAIN
    },
    ParamSpec {
        group: Identity,
        name: "reg-id",
        kind: Kind::Text,
        purpose: text("The `reg-id` of `rfc-5626`.", "`rfc-5626` 使用的 `reg-id`。"),
        advice: Some(text(
            "Needed with `rfc-5626`; 1 for instance.",
            "启用 `rfc-5626` 时必填，例如 1。",
        )),
        example: "1",
        ..PLAIN
    },
    ParamSpec {
        group: Calls,
        name: "extension",
        kind: Kind::User,
        default: Is(text("`username`", "同 `username`")),
        special_values: &[SpecialValue {
            word: "auto_to_user",
            in_any_case: true,
        }],
        purpose: text(
            "The destination of inbound calls; `auto_to_user` takes the number that was dialled.",
            "呼入时送入拨号计划的被叫号码；填 `auto_to_user` 则取对方实际拨打的号码。",
        ),
        example: "auto_to_user",
        ..PLAIN
    },
    ParamSpec {
        group: Calls,
        name: "context",
        kind: Kind::Text,
        default: Is(text("the profile's `context`", "profile 的 `context`")),
        purpose: text(
            "The dialplan context of inbound calls.",
            "呼入时使用的拨号计划上下文（context）。",
        ),
        example: "public",
        ..PLAIN
    },
    ParamSpec {
        group: Calls,
        name: "destination-prefix",
        kind: Kind::Prefix,
        purpose: text(
            "Digits put before the called number.",
            "加在被叫号码前面的数字（报号前缀）。",
        ),
        example: "9",
        ..PLAIN
    },
    ParamSpec {
        group: Timers,
        name: "expire-seconds",
        kind: Kind::Number(Number {
            is_sent_as_written: true,
            ..seconds(3600)
        }),
        default: Value("3600"),
        is_common: true,
        purpose: text(
            "The length of a registration, at least 5.",
            "注册有效期（秒），至少 5。",
        ),
        advice: Some(text("60 behind NAT.", "位于 NAT 之后时填 60。")),
        example: "600",
        ..PLAIN
    },
    ParamSpec {
        group: Timers,
        name: "retry-seconds",
        kind: Kind::Number(seconds(30)),
        default: Value("30"),
        purpose: text(
            "The wait after a refused registration, at least 5: it is multiplied by the refusals in a row, \
             without a limit, but for a 503 or a time-out.",
            "注册被拒绝后的等待时间（秒），至少 5：会乘以连续被拒绝的次数，没有上限；503 和超时除外。",
        ),
        example: "60",
        ..PLAIN
    },
    ParamSpec {
        group: Timers,
        name: "retry_seconds",
        kind: Kind::Number(seconds(30)),
        default: Is(text("`retry-seconds`", "同 `retry-seconds`")),
        alias_of: Some("retry-seconds"),
        purpose: text("Another spelling of `retry-seconds`.", "`retry-seconds` 的另一种写法。"),
        advice: Some(text("Write `retry-seconds`.", "请改写为 `retry-seconds`。")),
        example: "60",
        ..PLAIN
    },
    ParamSpec {
        group: Timers,
        name: "timeout-seconds",
        kind: Kind::Number(seconds(60)),
        default: Value("60"),
        purpose: text(
            "The limit of one registration, at least 5.",
            "单次注册的时限（秒），至少 5。",
        ),
        example: "30",
        ..PLAIN
    },
    ParamSpec {
        group: Timers,
        name: "908-retry-seconds",
        kind: Kind::Number(number(
            1,
            Below::Without(text(
                "FreeSWITCH waits retry-seconds",
                "FreeSWITCH 按 retry-seconds 等待",
            )),
        )),
        default: Is(text("`retry-seconds`", "同 `retry-seconds`")),
        purpose: text(
            "The wait after a registration that timed out.",
            "注册超时后的等待时间（秒）。",
        ),
        example: "60",
        ..PLAIN
    },
    ParamSpec {
        group: Pings,
        name: "ping",
        kind: Kind::Number(number(
            LEAST_SECONDS,
            Below::Without(text("FreeSWITCH does not ping", "FreeSWITCH 不发送心跳")),
        )),
        default: Is(text("no pings", "不发送心跳")),
        is_common: true,
        purpose: text(
            "Seconds between OPTIONS, at least 5; a gateway that registers is FAILED at its first lost ping, \
             whatever `ping-max` is.",
            "OPTIONS 心跳的间隔（秒），至少 5；需要注册的网关丢失一次心跳即变为 FAILED，与 `ping-max` 无关。",
        ),
        advice: Some(text(
            "25 for IP trunks, whose only sign of life it is; From has no user, only the host of `from-domain` or \
             else `proxy`, which a few carriers ban.",
            "IP 对接型中继建议填 25，这是判断其是否存活的唯一依据；心跳的 From 头没有用户名，只有 `from-domain` 的\
             域（未设置时为 `proxy`），少数运营商会因此封禁。",
        )),
        example: "25",
        ..PLAIN
    },
    ParamSpec {
        group: Pings,
        name: "ping-min",
        kind: Kind::Number(number(
            1,
            Below::Keeps(text(
                "lost pings never make the gateway DOWN",
                "丢失心跳永远不会使网关变为 DOWN",
            )),
        )),
        default: Value("1"),
        purpose: text(
            "The count of answers that UP needs: an answer adds one, up to `ping-max`, a lost ping takes one \
             away, and below this the gateway is DOWN.",
            "处于 UP 所需的应答计数：每收到一次应答加一，最多到 `ping-max`，每丢失一次心跳减一；低于此值时网关为 \
             DOWN。",
        ),
        advice: Some(text(
            "At least 1, at most `ping-max`.",
            "至少为 1，且不大于 `ping-max`。",
        )),
        example: "1",
        ..PLAIN
    },
    ParamSpec {
        group: Pings,
        name: "ping-max",
        kind: Kind::Number(number(
            1,
            Below::Keeps(text(
                "no answer is ever counted, and the first lost ping makes the gateway DOWN",
                "任何应答都不计数，丢失一次心跳后网关即变为 DOWN",
            )),
        )),
        default: Value("1"),
        purpose: text(
            "The most answers that count: with `ping-min` 1, so many lost pings in a row make an IP trunk DOWN.",
            "应答计数的上限：`ping-min` 为 1 时，连续丢失这么多次心跳会使 IP 对接型中继变为 DOWN。",
        ),
        advice: Some(text("3 to forgive two lost pings.", "填 3 可容忍连续丢失两次心跳。")),
        example: "3",
        ..PLAIN
    },
    ParamSpec {
        group: Pings,
        name: "ping-monitoring",
        kind: Kind::Bool,
        default: Value("false"),
        purpose: text("An event for every ping.", "每次心跳都产生一个事件。"),
        example: "true",
        ..PLAIN
    },
    ParamSpec {
        group: Pings,
        name: "contact-in-ping",
        kind: Kind::Bool,
        default: Value("false"),
        purpose: text(
            "Send the gateway's own Contact in pings.",
            "在心跳中携带网关自己的 Contact 头。",
        ),
        example: "true",
        ..PLAIN
    },
    ParamSpec {
        group: Pings,
        name: "ping-user-agent",
        kind: Kind::Header,
        default: Is(text(
            "the profile's `user-agent-string`",
            "profile 的 `user-agent-string`",
        )),
        not_served: Some(PING_USER_AGENT),
        purpose: text(
            "Not served: over mod_xml_curl FreeSWITCH sends freed memory instead.",
            "不会下发：经由 mod_xml_curl 时，FreeSWITCH 会把已释放的内存发送出去。",
        ),
        advice: Some(text(
            "Set `user-agent-string` in the profile.",
            "请在 profile 中设置 `user-agent-string`。",
        )),
        example: "Example SBC",
        ..PLAIN
    },
];
