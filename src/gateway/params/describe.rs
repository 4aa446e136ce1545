//! The catalog as data for clients: what the API answers, and what forms are drawn from.

use std::borrow::Cow;

use serde::Serialize;
use utoipa::ToSchema;

use super::super::freeswitch::Transport;
use super::super::value_keys::{KEYS, KeySpec, KeyType};
use super::super::variables::{VARIABLES, VariableSpec};
use super::{Condition, Group, Kind, PARAMS, ParamSpec};
use crate::language::{Language, Text};

/// What a gateway's value may hold, with texts in one language. In texts, words between backticks are code.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = ParamCatalog)]
pub struct Description {
    /// The language of the texts.
    pub language: Language,
    /// The keys of the value itself.
    pub keys: Vec<KeyDescription>,
    /// Every param that FreeSWITCH reads, in the order of a form.
    pub groups: Vec<GroupDescription>,
    /// The variables that operators set most. Any other may be set as well.
    pub variables: Vec<VariableDescription>,
}

/// A key of the value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct KeyDescription {
    /// The exact name.
    pub name: &'static str,
    /// Another spelling that is read as well. Clients should write `name`.
    pub other_name: Option<&'static str>,
    /// What its value is.
    #[serde(rename = "type")]
    pub kind: KeyType,
    /// The value that counts if the key is not set. `null`: there is none, or `default_text` describes it.
    pub default: Option<&'static str>,
    /// The default in words; `–` if there is none.
    pub default_text: Cow<'static, str>,
    /// What it means.
    pub purpose: &'static str,
    /// A value, as JSON.
    pub example: &'static str,
}

/// Params that belong together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = ParamGroupDescription)]
pub struct GroupDescription {
    /// Names the group in every language.
    pub name: Group,
    /// Its heading.
    pub title: &'static str,
    /// Its params, in the order of a form.
    pub params: Vec<ParamDescription>,
}

/// A param of a gateway.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct ParamDescription {
    /// The exact name: FreeSWITCH ignores any other spelling.
    pub name: &'static str,
    /// The group that it is in.
    pub group: Group,
    /// What its value is.
    #[serde(rename = "type")]
    pub kind: ValueType,
    /// The value that FreeSWITCH uses if the param is not set. `null`: there is none, or `default_text` describes it.
    pub default: Option<&'static str>,
    /// The default in words, such as that of another param; `–` if there is none.
    pub default_text: Cow<'static, str>,
    /// The smallest number that FreeSWITCH accepts.
    pub least: Option<i32>,
    /// What happens with a number that is smaller, or with a text that is no number.
    pub below: Option<Cow<'static, str>>,
    /// The values to choose from. Empty: any value of the type.
    pub choices: Vec<&'static str>,
    /// Words that FreeSWITCH replaces with something else, such as the number that was dialled. Any other value of the
    /// type may be written as well.
    pub special_values: Vec<&'static str>,
    /// What an empty value means. `null`: that the param is not set.
    pub when_empty: Option<&'static str>,
    /// When the param must be set. `null`: never.
    pub required_when: Option<Condition>,
    /// The param that this name is another spelling of. Clients should write that one.
    pub alias_of: Option<&'static str>,
    /// Whether trunkd serves it. A param that isn't served has no effect.
    pub served: bool,
    /// Whether the value is a secret: it can be written, and is never shown.
    pub secret: bool,
    /// Whether it is one of the few that most gateways need.
    pub common: bool,
    /// What it is for, in one sentence.
    pub purpose: &'static str,
    /// What to do with it, in one sentence.
    pub advice: Option<&'static str>,
    /// A value that FreeSWITCH accepts.
    pub example: &'static str,
    /// The number of the fact in docs/freeswitch.md that says how FreeSWITCH reads the value.
    pub fact: u8,
}

/// A channel variable.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct VariableDescription {
    /// The exact name.
    pub name: &'static str,
    /// What it is for, in one sentence.
    pub purpose: &'static str,
    /// What to do with it, in one sentence.
    pub advice: &'static str,
    /// A value.
    pub example: &'static str,
}

/// What the value of a param is.
///
/// - `bool`: `true` or `false`. FreeSWITCH also takes other words, such as `yes`.
/// - `number`: digits.
/// - `host`: `host[:port][;parameters]`.
/// - `route`: the same, optionally after `sip:` or `sips:` and a user part.
/// - `from_host`: a host for the From header; nothing is sent there.
/// - `contact_host`: a name or address without port and brackets, or `sip-ip`.
/// - `user`: the user part of a SIP URI.
/// - `prefix`: what stands before a called number.
/// - `uri_parameters`: `name=value`, with `;` between several.
/// - `transport`: one of `choices`.
/// - `networks`: networks with commas between, or the name of an access list.
/// - `header`: the text of a SIP header.
/// - `text`: any text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = ParamType)]
pub enum ValueType {
    Bool,
    Number,
    Host,
    Route,
    FromHost,
    ContactHost,
    User,
    Prefix,
    UriParameters,
    Transport,
    Networks,
    Header,
    Text,
}

impl From<Kind> for ValueType {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Bool => Self::Bool,
            Kind::Number(_) => Self::Number,
            Kind::Host => Self::Host,
            Kind::Route => Self::Route,
            Kind::FromHost => Self::FromHost,
            Kind::ContactHost => Self::ContactHost,
            Kind::User => Self::User,
            Kind::Prefix => Self::Prefix,
            Kind::UriParameters => Self::UriParameters,
            Kind::Transport => Self::Transport,
            Kind::Networks => Self::Networks,
            Kind::Header => Self::Header,
            Kind::Text => Self::Text,
        }
    }
}

/// The whole catalog, with texts in one language.
pub fn describe(language: Language) -> Description {
    let groups = Group::ALL.map(|group| GroupDescription {
        name: group,
        title: group.title().in_language(language),
        params: PARAMS
            .iter()
            .filter(|spec| spec.group == group)
            .map(|spec| describe_param(spec, language))
            .collect(),
    });
    Description {
        language,
        keys: KEYS.iter().map(|key| describe_key(key, language)).collect(),
        groups: groups.into(),
        variables: VARIABLES
            .iter()
            .map(|variable| describe_variable(variable, language))
            .collect(),
    }
}

fn describe_key(key: &KeySpec, language: Language) -> KeyDescription {
    KeyDescription {
        name: key.name,
        other_name: key.other_name,
        kind: key.kind,
        default: key.default.value(),
        default_text: key.default.in_language(language),
        purpose: key.purpose.in_language(language),
        example: key.example,
    }
}

fn describe_param(spec: &ParamSpec, language: Language) -> ParamDescription {
    let number = spec.number();
    let words = |text: Text| text.in_language(language);
    ParamDescription {
        name: spec.name,
        group: spec.group,
        kind: spec.kind.into(),
        default: spec.default.value(),
        default_text: spec.default.in_language(language),
        least: number.map(|number| number.least),
        below: number.map(|number| number.below.in_language(language)),
        choices: choices(spec.kind),
        special_values: spec.special_values.iter().map(|special| special.word).collect(),
        when_empty: spec.when_empty,
        required_when: spec.required_when,
        alias_of: spec.alias_of,
        served: spec.not_served.is_none(),
        secret: spec.secret,
        common: spec.is_common,
        purpose: words(spec.purpose),
        advice: spec.advice.map(words),
        example: spec.example,
        fact: spec.fact(),
    }
}

fn choices(kind: Kind) -> Vec<&'static str> {
    match kind {
        Kind::Bool => vec!["true", "false"],
        Kind::Transport => Transport::ALL.map(Transport::word).into(),
        _ => Vec::new(),
    }
}

fn describe_variable(variable: &VariableSpec, language: Language) -> VariableDescription {
    VariableDescription {
        name: variable.name,
        purpose: variable.purpose.in_language(language),
        advice: variable.advice.in_language(language),
        example: variable.example,
    }
}
