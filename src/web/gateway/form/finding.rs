//! Findings at the form's fields.

use crate::gateway::Severity;
use crate::operate::gateways::ProblemField;
use crate::web::gateway::rich::Rich;
use crate::web::texts::Texts;

/// What is wrong with a field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::web::gateway) struct FoundProblem {
    /// The control's name: `param.realm`; empty for the whole.
    pub(in crate::web::gateway) field: String,
    pub(in crate::web::gateway) is_error: bool,
    pub(in crate::web::gateway) reason: Rich,
    pub(in crate::web::gateway) fix: Rich,
}

impl FoundProblem {
    pub(in crate::web::gateway) fn of(t: Texts, problem: &ProblemField) -> Self {
        Self {
            field: control(&problem.pointer),
            is_error: problem.severity == Severity::Error,
            reason: Rich::new(problem.reason.in_language(t.0)),
            fix: Rich::new(problem.fix.in_language(t.0)),
        }
    }

    /// An error of the form itself.
    pub(super) fn error(field: &str, reason: impl Into<String>, fix: impl Into<String>) -> Self {
        Self {
            field: field.to_owned(),
            is_error: true,
            reason: Rich::new(reason),
            fix: Rich::new(fix),
        }
    }
}

/// `/param/realm` → `param.realm`; `/nodes/1` → `nodes`; `/placement/prefer/0` → `placement.prefer`.
fn control(pointer: &str) -> String {
    let mut parts = pointer.split('/').skip(1);
    let unescape = |part: &str| part.replace("~1", "/").replace("~0", "~");
    match (parts.next(), parts.next()) {
        (Some("param" | "params"), Some(name)) => format!("param.{}", unescape(name)),
        (Some("variables" | "variable"), Some(name)) => format!("variable.{}", unescape(name)),
        (Some("placement"), Some(part @ ("prefer" | "failback"))) => format!("placement.{part}"),
        (Some(top), _) => unescape(top),
        (None, _) => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::control;

    #[test]
    fn a_pointer_names_a_control() {
        for (pointer, expected) in [
            ("/param/realm", "param.realm"),
            ("/params/ping", "param.ping"),
            ("/variables/a~1b", "variable.a/b"),
            ("/nodes/1", "nodes"),
            ("/placement", "placement"),
            ("/placement/mode", "placement"),
            ("/placement/prefer/0", "placement.prefer"),
            ("/placement/failback", "placement.failback"),
            ("", ""),
        ] {
            assert_eq!(control(pointer), expected);
        }
    }
}
