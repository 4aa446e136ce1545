//! A gateway of an import, with what is to be said about it.

use crate::gateway::Severity;
use crate::import::{Imported, Level, Remark, Verdict};
use crate::language::Message;
use crate::operate::gateways::ProblemField;
use crate::operate::transfer::{Difference, TransferItem};
use crate::shown::{shown, shown_line};
use crate::web::change::Change;
use crate::web::forecast::more;
use crate::web::gateway::Rich;
use crate::web::texts::Texts;

/// Fields and remarks of one gateway.
const MOST_LINES: usize = 50;

/// The first ones.
pub(super) struct List<T> {
    pub(super) items: Vec<T>,
    /// `and 7 more`, if there are.
    pub(super) more: Option<String>,
}

pub(super) struct Row {
    pub(super) name: String,
    pub(super) domain: String,
    /// File and line.
    pub(super) place: String,
    /// What becomes of it.
    pub(super) word: String,
    pub(super) is_bad: bool,
    /// Of what is new or goes, the fields are folded behind their number.
    pub(super) folded: Option<String>,
    pub(super) changes: List<Change>,
    pub(super) said: List<Said>,
}

/// Something to know.
pub(super) struct Said {
    pub(super) level: String,
    pub(super) is_error: bool,
    /// File and line, or else the field.
    pub(super) place: String,
    pub(super) reason: Rich,
    pub(super) fix: Rich,
}

impl<T> List<T> {
    pub(super) fn new(t: Texts, all: impl ExactSizeIterator<Item = T>, most: usize) -> Self {
        let left_out = all.len().saturating_sub(most);
        Self::of_some(t, all.take(most).collect(), left_out)
    }

    pub(super) fn of_some(t: Texts, items: Vec<T>, left_out: usize) -> Self {
        Self {
            items,
            more: more(t, left_out),
        }
    }
}

impl Row {
    /// A difference.
    pub(super) fn of_item(t: Texts, item: &TransferItem, has_findings: bool) -> Self {
        let word = match item.difference {
            Difference::Added => "import-added",
            Difference::Changed => "import-changed",
            Difference::Removed => "import-removed",
            Difference::Same => "import-same",
            Difference::Refused => "import-refused",
        };
        let is_bad = item.difference == Difference::Refused;
        let is_whole = matches!(item.difference, Difference::Added | Difference::Removed);
        let findings = match has_findings || is_bad {
            true => &item.findings[..],
            false => &[],
        };
        Self {
            name: shown(&item.name).to_string(),
            domain: shown(&item.domain).to_string(),
            place: shown(&item.at).to_string(),
            word: t.get(word).into_owned(),
            is_bad,
            folded: is_whole.then(|| t.count("import-fields", item.changes.len()).into_owned()),
            changes: List::new(t, item.changes.iter().map(Change::new), MOST_LINES),
            said: List::new(
                t,
                findings.iter().map(|finding| Said::of_finding(t, finding)),
                MOST_LINES,
            ),
        }
    }

    /// A gateway that stays as it is stored.
    pub(super) fn of_existing(t: Texts, item: &TransferItem) -> Self {
        Self {
            word: t.get("import-differs").into_owned(),
            ..Self::of_item(t, item, false)
        }
    }

    /// A gateway of the source.
    pub(super) fn of_gateway(t: Texts, gateway: &Imported) -> Self {
        let word = match gateway.verdict {
            Verdict::Taken => "import-taken",
            Verdict::Changed => "import-taken-changed",
            Verdict::Skipped => "import-skipped",
        };
        Self {
            name: shown(&gateway.name).to_string(),
            domain: shown(gateway.domain.as_deref().unwrap_or_default()).to_string(),
            place: shown(&gateway.place.to_string()).to_string(),
            word: t.get(word).into_owned(),
            is_bad: gateway.verdict == Verdict::Skipped,
            folded: None,
            changes: List::of_some(t, Vec::new(), 0),
            said: List::new(t, gateway.remarks.iter().map(|remark| Said::of(t, remark)), MOST_LINES),
        }
    }
}

impl Said {
    pub(super) fn of(t: Texts, remark: &Remark) -> Self {
        let level = match remark.level {
            Level::Note => "import-note",
            Level::Warning => "severity-warning",
            Level::Error => "severity-error",
        };
        let place = match &remark.field {
            Some(field) => format!("{}, {field}", remark.place),
            None => remark.place.to_string(),
        };
        Self {
            level: t.get(level).into_owned(),
            is_error: remark.level == Level::Error,
            place: shown(&place).to_string(),
            reason: rich(t, &remark.reason),
            fix: remark.fix.as_ref().map(|fix| rich(t, fix)).unwrap_or_default(),
        }
    }

    fn of_finding(t: Texts, finding: &ProblemField) -> Self {
        let (level, is_error) = match finding.severity {
            Severity::Warning => ("severity-warning", false),
            Severity::Error => ("severity-error", true),
        };
        Self {
            level: t.get(level).into_owned(),
            is_error,
            place: shown(finding.pointer.trim_start_matches('/'))
                .to_string()
                .replace('/', "."),
            reason: rich(t, &finding.reason),
            fix: rich(t, &finding.fix),
        }
    }
}

fn rich(t: Texts, text: &Message) -> Rich {
    Rich::new(shown_line(text.in_language(t.0)).to_string())
}
