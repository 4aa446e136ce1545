//! Table: the keys of a gateway's JSON value that trunkd knows. It leaves all others alone.

use serde::Serialize;
use utoipa::ToSchema;

use super::params::Fallback;
use crate::language::{Text, text};

/// One key of the catalog.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeySpec {
    pub name: &'static str,
    /// Another spelling, read as well. The name wins if both are given.
    pub other_name: Option<&'static str>,
    pub kind: KeyType,
    pub default: Fallback,
    /// What it means.
    pub purpose: Text,
    /// A value, as JSON.
    pub example: &'static str,
}

/// What the value of a key is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum KeyType {
    /// An object of params: name → string, number or boolean.
    Params,
    /// An object of variables: name → string, number, boolean, or an object with `value` and `direction`.
    Variables,
    /// `true` or `false`.
    Bool,
    /// The name of a SIP profile.
    Profile,
    /// A list of switchnames.
    Switches,
    /// `"all"`, `"one"`, or an object with `mode`, `prefer` and `failback`.
    Placement,
    /// A list of strings.
    Texts,
    /// A string.
    Text,
}

impl KeyType {
    /// As in a table.
    pub fn title(self) -> Text {
        match self {
            Self::Params | Self::Variables => text("object", "对象"),
            Self::Bool => text("true or false", "true 或 false"),
            Self::Profile | Self::Text => text("string", "字符串"),
            Self::Placement => text("string or object", "字符串或对象"),
            Self::Switches | Self::Texts => text("list of strings", "字符串列表"),
        }
    }
}

use Fallback::{Is, Nothing, Value};

const PLAIN: KeySpec = KeySpec {
    name: "",
    other_name: None,
    kind: KeyType::Text,
    default: Nothing,
    purpose: Text::EMPTY,
    example: "",
};

/// Every key that trunkd knows.
pub const KEYS: [KeySpec; 10] = [
    KeySpec {
        name: "param",
        other_name: Some("params"),
        kind: KeyType::Params,
        purpose: text(
            "Each entry becomes a `<param>`. A value is a string, number or boolean. An empty value counts as not \
             set, except for `register`, where it means false.",
            "每一项成为一个 `<param>`。值可以是字符串、数字或布尔值。空值视为未设置；`register` 例外，空值表示 false。",
        ),
        example: r#"{"register": false, "realm": "sip.example.net"}"#,
        ..PLAIN
    },
    KeySpec {
        name: "variables",
        other_name: Some("variable"),
        kind: KeyType::Variables,
        purpose: text(
            "Each entry becomes a `<variable>` on calls in both directions. \
             `{\"value\": \"x\", \"direction\": \"inbound\"}` (or `outbound`, `both`) limits it. `p:name` sets a \
             field of the caller profile. `trunkd_revision` is reserved.",
            "每一项成为呼入和呼出通话上的一个 `<variable>`。`{\"value\": \"x\", \"direction\": \"inbound\"}`\
             （或 `outbound`、`both`）可限定方向。`p:name` 设置主叫资料（caller profile）中的字段。\
             `trunkd_revision` 为保留名称。",
        ),
        example: r#"{"sip_sticky_contact": "true"}"#,
        ..PLAIN
    },
    KeySpec {
        name: "profile",
        kind: KeyType::Profile,
        default: Is(text(
            "`templates.default_profile`",
            "设置项 `templates.default_profile`",
        )),
        purpose: text("The SIP profile.", "所属的 SIP profile。"),
        example: r#""external""#,
        ..PLAIN
    },
    KeySpec {
        name: "enabled",
        kind: KeyType::Bool,
        default: Value("true"),
        purpose: text("`false` takes the gateway out.", "`false` 表示停用该网关。"),
        example: "true",
        ..PLAIN
    },
    KeySpec {
        name: "nodes",
        kind: KeyType::Switches,
        default: Is(text("all", "全部")),
        purpose: text(
            "The switches that get it, by `switchname`, compared exactly.",
            "下发到哪些 FreeSWITCH：按 `switchname` 精确匹配。",
        ),
        example: r#"["fs1", "fs2"]"#,
        ..PLAIN
    },
    KeySpec {
        name: "placement",
        kind: KeyType::Placement,
        default: Value(r#""all""#),
        purpose: text(
            "`\"one\"`: exactly one live switch of `nodes` has it, and when that one dies another one takes it over. \
             `{\"mode\": \"one\", \"prefer\": [\"fs1\"], \"failback\": \"after 10m\"}` says which, and when it goes back \
             by itself (`manual`: it doesn't).",
            "`\"one\"`：`nodes` 中只有一台在线的 FreeSWITCH 拥有此网关；该机失效时由另一台接管。\
             `{\"mode\": \"one\", \"prefer\": [\"fs1\"], \"failback\": \"after 10m\"}` 指定首选的机器，以及何时自动切回\
             （`manual` 表示不自动切回）。",
        ),
        example: r#""one""#,
        ..PLAIN
    },
    KeySpec {
        name: "description",
        purpose: text(
            "A note for people. FreeSWITCH never gets it.",
            "供人查看的说明，不会下发给 FreeSWITCH。",
        ),
        example: r#""Main trunk, contract 4711""#,
        ..PLAIN
    },
    KeySpec {
        name: "tags",
        kind: KeyType::Texts,
        purpose: text(
            "Words to find gateways by. FreeSWITCH never gets them.",
            "用于检索网关的标签，不会下发给 FreeSWITCH。",
        ),
        example: r#"["berlin", "backup"]"#,
        ..PLAIN
    },
    KeySpec {
        name: "carrier",
        purpose: text(
            "The carrier's name. FreeSWITCH never gets it.",
            "运营商名称，不会下发给 FreeSWITCH。",
        ),
        example: r#""Example Telecom""#,
        ..PLAIN
    },
    KeySpec {
        name: "rollback",
        kind: KeyType::Bool,
        default: Is(text("`reconcile.rollback`", "设置项 `reconcile.rollback`")),
        purpose: text(
            "`false` keeps an edit even if the carrier refuses it.",
            "`false` 表示即使运营商拒绝，也保留修改。",
        ),
        example: "false",
        ..PLAIN
    },
];

/// Every spelling of every key.
pub(super) fn spellings() -> impl Iterator<Item = &'static str> {
    KEYS.iter().flat_map(|key| [Some(key.name), key.other_name]).flatten()
}
