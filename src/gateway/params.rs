//! The catalog of params: every `<param>` of a gateway that FreeSWITCH reads, where its value goes, and
//! advice for operators.
//!
//! The checks of values (`check.rs`), the suggestions for misspelt names, the tables in
//! docs/gateways.md, and what forms are drawn from ([`describe()`]) come from here.
//! Source: `parse_gateways` in sofia.c (FACTS 12).

mod catalog;
mod describe;

use std::borrow::Cow;

use serde::Serialize;
use utoipa::ToSchema;

use crate::language::{Language, Text, text};

pub(super) use catalog::WHEN_REGISTERING;

pub use catalog::PARAMS;
pub use describe::{
    Description, GroupDescription, KeyDescription, ParamDescription, ValueType, VariableDescription, describe,
};

/// One param of the catalog.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ParamSpec {
    /// The exact name: FreeSWITCH ignores any other spelling.
    pub name: &'static str,
    pub group: Group,
    pub kind: Kind,
    pub default: Fallback,
    /// What an empty value means. `None`: that the param is not set, as for most.
    pub when_empty: Option<&'static str>,
    pub special_values: &'static [SpecialValue],
    /// When the param must be set.
    pub required_when: Option<Condition>,
    /// The param that this name is another spelling of.
    pub alias_of: Option<&'static str>,
    /// Why trunkd never serves it.
    pub not_served: Option<NotServed>,
    /// Whether the value may never be shown.
    pub secret: bool,
    /// Whether it is one of the few that most gateways need.
    pub is_common: bool,
    /// What it is for: one sentence.
    pub purpose: Text,
    /// What to do with it: one sentence.
    pub advice: Option<Text>,
    /// A value that passes every check of the param.
    pub example: &'static str,
}

/// A param whose value decides whether another one must be set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = ParamCondition)]
pub struct Condition {
    /// The name of the param that decides.
    pub param: &'static str,
    /// The value that it must have, set or by default.
    pub value: &'static str,
}

/// A word that FreeSWITCH replaces with something else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SpecialValue {
    pub word: &'static str,
    /// Whether FreeSWITCH knows it in upper case, too.
    pub in_any_case: bool,
}

/// Why a param is not served, as in a finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotServed {
    pub reason: Text,
    pub fix: Text,
}

impl ParamSpec {
    /// Which fact of docs/freeswitch.md says how FreeSWITCH reads the value.
    pub fn fact(&self) -> u8 {
        match self.kind {
            Kind::Bool => 13,
            Kind::Host
            | Kind::Route
            | Kind::FromHost
            | Kind::ContactHost
            | Kind::User
            | Kind::Prefix
            | Kind::UriParameters
            | Kind::Networks => 14,
            Kind::Number(_) | Kind::Transport => 15,
            Kind::Header | Kind::Text => 12,
        }
    }

    /// The numbers that FreeSWITCH accepts, if it reads one.
    pub fn number(&self) -> Option<Number> {
        match self.kind {
            Kind::Number(number) => Some(number),
            _ => None,
        }
    }
}

/// Groups of params, in the order of tables and forms.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = ParamGroup)]
pub enum Group {
    Account,
    Addresses,
    Identity,
    Calls,
    Timers,
    Pings,
}

impl Group {
    pub const ALL: [Self; 6] = [
        Self::Account,
        Self::Addresses,
        Self::Identity,
        Self::Calls,
        Self::Timers,
        Self::Pings,
    ];

    /// As a heading.
    pub fn title(self) -> Text {
        match self {
            Self::Account => text("The account", "账号"),
            Self::Addresses => text("Where requests go", "请求发往何处"),
            Self::Identity => text("From, To and Contact", "From、To 和 Contact 头"),
            Self::Calls => text("Calls", "呼叫"),
            Self::Timers => text("Times", "时间"),
            Self::Pings => text("Pings", "OPTIONS 心跳"),
        }
    }
}

/// Where a value goes, which decides what it may contain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `switch_true` reads it (FACTS 13).
    Bool,
    /// `atoi` reads it.
    Number(Number),
    /// `host[:port][;parameters]`, put behind `sip:` (FACTS 14).
    Host,
    /// The same, optionally after `sip:` or `sips:` and a user part: a separate proxy.
    Route,
    /// The same as [`Kind::Host`], but nothing is ever sent there: the host of From.
    FromHost,
    /// A host name or address without port and brackets, or `sip-ip`: the host of the Contact.
    ContactHost,
    /// The user part of a SIP URI, or a piece of it.
    User,
    /// What stands before a called number in the user part of a SIP URI.
    Prefix,
    /// Parameters of the Contact's URI, with `;` between.
    UriParameters,
    /// `udp`, `tcp`, `tls` or `sctp`: the beginning counts, in any case.
    Transport,
    /// Networks with commas between, or the name of an access list.
    Networks,
    /// The text of a SIP header.
    Header,
    /// Any text.
    Text,
}

/// The numbers that FreeSWITCH accepts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Number {
    pub least: i32,
    pub below: Below,
    /// Whether FreeSWITCH also sends the text itself, in a header that holds digits only.
    pub is_sent_as_written: bool,
}

/// What FreeSWITCH does with a number that is too small.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Below {
    /// It uses this number instead.
    Takes(u32),
    /// It ignores it, as if the param were not set: what it does then. 0 is how to say so.
    Without(Text),
    /// It uses it: with what result.
    Keeps(Text),
}

impl Below {
    /// What happens, as a clause.
    pub fn in_language(self, language: Language) -> Cow<'static, str> {
        match (self, language) {
            (Self::Takes(instead), Language::En) => format!("FreeSWITCH takes {instead} instead").into(),
            (Self::Takes(instead), Language::Zh) => format!("FreeSWITCH 改用 {instead}").into(),
            (Self::Without(words) | Self::Keeps(words), _) => words.in_language(language).into(),
        }
    }
}

/// What is used if a param or a key is not set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fallback {
    /// This value. Setting it changes nothing.
    Value(&'static str),
    /// Described in words, such as the value of another param.
    Is(Text),
    Nothing,
}

impl Fallback {
    /// As in docs/gateways.md.
    pub fn in_language(self, language: Language) -> Cow<'static, str> {
        match self {
            Self::Value(value) => format!("`{value}`").into(),
            Self::Is(words) => words.in_language(language).into(),
            Self::Nothing => "–".into(),
        }
    }

    /// The value, where it is one.
    pub fn value(self) -> Option<&'static str> {
        match self {
            Self::Value(value) => Some(value),
            Self::Is(_) | Self::Nothing => None,
        }
    }
}

/// The param with this exact name.
pub fn param(name: &str) -> Option<&'static ParamSpec> {
    // A gateway has a handful of params, and comparing lengths first makes this cheaper than hashing.
    PARAMS.iter().find(|spec| spec.name == name)
}

#[cfg(test)]
mod tests;
