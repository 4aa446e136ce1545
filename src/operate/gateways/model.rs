//! What is known of one gateway, as data.

use jiff::Timestamp;
use serde::Serialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::super::calls::CallStats;
use super::super::placement::Where;
use super::super::status::Gateway;
use super::precondition::ETag;
use crate::gateway::{Finding, Severity};
use crate::language::Message;

/// One gateway: what Redis holds, what trunkd thinks of it, and what each switch does with it.
#[derive(Debug, Serialize, ToSchema)]
pub struct GatewayDetail {
    pub domain: String,
    pub name: String,
    /// The value in Redis without its secrets: `param`, `variables`, `profile`, `enabled`, `nodes` and
    /// whatever else stands in it. `null` if it is no JSON object.
    #[schema(value_type = Option<Object>)]
    pub value: Option<Box<RawValue>>,
    /// The secrets that are set, such as `param.password`. They can be written, and are never shown.
    pub secrets: Vec<String>,
    pub validity: Validity,
    /// What is wrong with the value, and what may not be as intended.
    pub findings: Vec<ProblemField>,
    /// The revision that a switch runs when the value has taken effect; `null` if it is not served.
    pub desired_revision: Option<String>,
    /// Which of its switches are to run it. `null` if it is not served.
    pub placement: Option<Where>,
    /// The gateway on each switch.
    pub switches: Vec<Gateway>,
    /// Its calls that ended. `null` unless `[calls] enabled = true`.
    pub call_stats: Option<CallStats>,
    /// Set if Redis can't be read: since when this is the last known state.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub stale_since: Option<Timestamp>,
    #[serde(skip)]
    pub etag: Option<ETag>,
}

/// Whether FreeSWITCH gets the gateway.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Validity {
    /// It is served.
    Valid,
    /// `enabled` is false.
    Disabled,
    /// The value is refused, by trunkd or by the carrier, and an earlier version is served.
    Kept,
    /// The value is refused, and nothing is served.
    Invalid,
    /// Another domain has a gateway of this name, and comes first.
    Shadowed,
}

/// A problem at one place of a value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct ProblemField {
    /// `error`: FreeSWITCH would refuse it. `warning`: it is served, but perhaps not as intended.
    #[schema(value_type = String)]
    pub severity: Severity,
    /// A JSON pointer into the value, such as `/param/realm`; empty for the whole value.
    pub pointer: String,
    pub reason: Message,
    pub fix: Message,
}

impl Validity {
    pub const ALL: [Self; 5] = [Self::Valid, Self::Disabled, Self::Kept, Self::Invalid, Self::Shadowed];

    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|validity| validity.as_str() == word)
    }

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Valid => "valid",
            Self::Disabled => "disabled",
            Self::Kept => "kept",
            Self::Invalid => "invalid",
            Self::Shadowed => "shadowed",
        }
    }
}

impl ProblemField {
    pub fn of(finding: &Finding) -> Self {
        Self {
            severity: finding.severity,
            pointer: finding.field.as_deref().map_or_else(String::new, pointer),
            reason: finding.reason.clone(),
            fix: finding.fix.clone(),
        }
    }
}

/// `param.realm` → `/param/realm`; `nodes[1]` → `/nodes/1`. A name below `param` or `variables` may have
/// dots of its own.
pub(super) fn pointer(field: &str) -> String {
    let (top, rest) = field
        .split_once('.')
        .map_or((field, None), |(top, rest)| (top, Some(rest)));
    let mut out = String::new();
    for part in std::iter::once(top).chain(rest) {
        let (name, index) = match part.strip_suffix(']').and_then(|part| part.split_once('[')) {
            Some((name, index)) if index.bytes().all(|byte| byte.is_ascii_digit()) => (name, Some(index)),
            _ => (part, None),
        };
        out.push('/');
        out.push_str(&name.replace('~', "~0").replace('/', "~1"));
        if let Some(index) = index {
            out.push('/');
            out.push_str(index);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::pointer;

    #[test]
    fn a_field_becomes_a_json_pointer() {
        for (field, expected) in [
            ("param.realm", "/param/realm"),
            ("profile", "/profile"),
            ("nodes[1]", "/nodes/1"),
            ("variables.a.b/c~d", "/variables/a.b~1c~0d"),
            ("tags", "/tags"),
        ] {
            assert_eq!(pointer(field), expected);
        }
    }
}
