//! What is wrong with a gateway, where, and how to fix it.

use std::borrow::Cow;
use std::fmt;

use serde::Serialize;

use crate::language::Message;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Served, but perhaps not as intended.
    Warning,
    /// Not served.
    Error,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Warning => "warning",
            Self::Error => "error",
        })
    }
}

/// A finding for the operator. It never contains a value that could be a secret.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, utoipa::ToSchema)]
pub struct Finding {
    pub domain: String,
    /// The hash field, shortened and escaped; `None` for the whole domain.
    pub gateway: Option<String>,
    /// The place in the value, such as `param.realm`; `None` for the whole value.
    pub field: Option<String>,
    pub severity: Severity,
    pub reason: Message,
    pub fix: Message,
}

impl fmt::Display for Finding {
    /// One line: `error: domain acme, gateway gw1, param.realm: reason; fix`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.severity, self.without_severity())
    }
}

impl Finding {
    /// For a log line, whose level says how severe it is.
    pub fn without_severity(&self) -> String {
        let part = |name: &str, part: &Option<String>| {
            part.as_ref().map_or_else(String::new, |part| format!(", {name}{part}"))
        };
        format!(
            "domain {}{}{}: {}; {}",
            shown(&self.domain),
            part("gateway ", &self.gateway),
            part("", &self.field),
            self.reason.en(),
            self.fix.en()
        )
    }
}

/// A problem with a text, in whatever param.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) reason: Message,
    pub(super) fix: Message,
}

impl Fault {
    pub(super) fn new(reason: impl Into<Message>, fix: impl Into<Message>) -> Self {
        Self {
            reason: reason.into(),
            fix: fix.into(),
        }
    }

    /// The same, about the value of a param.
    pub(super) fn at(self, severity: Severity, param: impl Into<Cow<'static, str>>) -> Note {
        Note {
            severity,
            param: param.into(),
            fault: self,
        }
    }
}

/// A finding about a param.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Note {
    pub(super) severity: Severity,
    /// The param's name.
    pub(super) param: Cow<'static, str>,
    pub(super) fault: Fault,
}

/// Collects the findings about one gateway.
pub(super) struct Report<'a> {
    pub(super) domain: &'a str,
    pub(super) gateway: &'a str,
    pub(super) findings: Vec<Finding>,
}

impl Report<'_> {
    pub(super) fn error(
        &mut self,
        field: impl Into<Option<String>>,
        reason: impl Into<Message>,
        fix: impl Into<Message>,
    ) {
        self.push(Severity::Error, field.into(), Fault::new(reason, fix));
    }

    pub(super) fn warn(
        &mut self,
        field: impl Into<Option<String>>,
        reason: impl Into<Message>,
        fix: impl Into<Message>,
    ) {
        self.push(Severity::Warning, field.into(), Fault::new(reason, fix));
    }

    pub(super) fn push(&mut self, severity: Severity, field: Option<String>, fault: Fault) {
        self.findings.push(Finding {
            domain: self.domain.to_string(),
            gateway: Some(self.gateway.to_string()),
            field,
            severity,
            reason: fault.reason,
            fix: fault.fix,
        });
    }
}

/// The longest quote of an operator's text, in characters.
const MAX_SHOWN_CHARS: usize = 64;

/// An operator's text, escaped and shortened for one line of a log or terminal.
pub(crate) fn shown(text: &str) -> String {
    let mut out = String::new();
    for (count, c) in text.chars().enumerate() {
        if count == MAX_SHOWN_CHARS {
            out.push('…');
            break;
        }
        if is_unprintable(c) {
            out.extend(c.escape_unicode());
        } else {
            out.push(c);
        }
    }
    out
}

/// Characters that would break a line, move a cursor or hide: controls, line separators, and marks of writing
/// direction.
fn is_unprintable(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200B}'..='\u{200F}' | '\u{2028}'..='\u{202E}' | '\u{2060}'..='\u{2069}')
        || matches!(c, '\u{FEFF}' | '\u{FFF9}'..='\u{FFFB}' | '\u{FFFE}' | '\u{FFFF}')
}
