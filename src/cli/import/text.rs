//! The report of an import for people.

use std::fmt::Write as _;

use super::super::history::change_text;
use crate::import::{Import, Imported, Verdict};
use crate::operate::gateways::SwitchForecast;
use crate::operate::import::{ImportAnswer, ImportDraft};
use crate::operate::transfer::{DomainOutcome, TransferItem, TransferReport};
use crate::shown::{shown, shown_line};

/// How many gateways are listed by name where nothing is to be said about them.
const MAX_NAMED: usize = 20;
/// How many that exist are listed with their differences.
const MAX_EXISTING: usize = 200;

/// What was read, and what differs from what is stored.
pub(super) fn report(draft: &ImportDraft) -> String {
    let mut lines = source(draft.import());
    let left = draft.existing().len();
    for item in draft.existing().iter().take(MAX_EXISTING) {
        lines.push(format!(
            "{} is there already and differs: {}",
            place(item),
            changes(item)
        ));
    }
    if left > MAX_EXISTING {
        lines.push(format!("… and {} more that are there already", left - MAX_EXISTING));
    }
    if left > 0 {
        let these = if left == 1 { "It stays" } else { "These stay" };
        lines.push(format!("{these} as stored; --overwrite replaces them."));
    }
    let difference = draft.difference();
    lines.extend(difference.items.iter().filter_map(item_line));
    lines.push(counts(difference));
    lines.extend(difference.plan.iter().filter_map(forecast));
    lines.iter().map(|line| format!("{}\n", shown_line(line))).collect()
}

/// The gateways that something is to be said about, one after the other, then the others.
fn source(import: &Import) -> Vec<String> {
    let mut lines: Vec<_> = import.remarks.iter().map(ToString::to_string).collect();
    let (plain, others): (Vec<_>, Vec<_>) = import
        .gateways
        .iter()
        .partition(|gateway| gateway.verdict == Verdict::Taken && gateway.remarks.is_empty());
    for gateway in others {
        lines.push(format!(
            "{}: {} {}",
            gateway.place,
            name(gateway),
            gateway.verdict.as_str()
        ));
        lines.extend(gateway.remarks.iter().map(|remark| format!("  {remark}")));
    }
    if !plain.is_empty() {
        let names: Vec<_> = plain
            .iter()
            .take(MAX_NAMED)
            .map(|gateway| shown(&gateway.name).to_string())
            .collect();
        let more = match plain.len().saturating_sub(MAX_NAMED) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        lines.push(format!("Taken as they are: {}{more}.", names.join(", ")));
    }
    let [taken, changed, skipped] =
        [Verdict::Taken, Verdict::Changed, Verdict::Skipped].map(|verdict| import.count(verdict));
    lines.push(format!(
        "Read {}: {taken} taken, {changed} changed, {skipped} skipped.",
        gateways(import.gateways.len())
    ));
    lines
}

/// `carrier1 in acme`.
fn name(gateway: &Imported) -> String {
    match &gateway.domain {
        Some(domain) => format!("{} in {}", shown(&gateway.name), shown(domain)),
        None => shown(&gateway.name).to_string(),
    }
}

fn place(item: &TransferItem) -> String {
    format!("{} in {}", shown(&item.name), shown(&item.domain))
}

fn changes(item: &TransferItem) -> String {
    let changes: Vec<_> = item.changes.iter().map(change_text).collect();
    changes.join(", ")
}

/// What is replaced or refused. New gateways are listed as read.
fn item_line(item: &TransferItem) -> Option<String> {
    use crate::operate::transfer::Difference::{Changed, Refused};
    match item.difference {
        Changed => Some(format!("{} is replaced: {}", place(item), changes(item))),
        Refused => {
            let reasons: Vec<_> = item.findings.iter().map(|finding| finding.reason.en()).collect();
            Some(format!("{} can't be written: {}", place(item), reasons.join(", ")))
        }
        _ => None,
    }
}

fn counts(difference: &TransferReport) -> String {
    let counts = &difference.counts;
    format!(
        "To write: {} new, {} replaced; {} are stored so already.",
        counts.added, counts.changed, counts.same
    )
}

/// `fs1: would start 12`.
fn forecast(switch: &SwitchForecast) -> Option<String> {
    let mut parts = Vec::new();
    for (count, what) in [
        (switch.start, "start"),
        (switch.restart, "restart"),
        (switch.stop, "stop"),
    ] {
        if count > 0 {
            parts.push(format!("{what} {count}"));
        }
    }
    if parts.is_empty() {
        return None;
    }
    let mut line = format!("{}: would {}", shown(&switch.switch), parts.join(", "));
    if let Some(held) = &switch.held {
        let _ = write!(line, "; {held}");
    }
    if switch.paused {
        line.push_str("; paused");
    }
    Some(line)
}

pub(super) fn question(draft: &ImportDraft) -> String {
    let counts = &draft.difference().counts;
    format!("Write {}?", gateways(counts.added + counts.changed))
}

/// What was written.
pub(super) fn outcome(answer: &ImportAnswer) -> String {
    let difference = &answer.difference;
    if difference.dry_run {
        return match difference.counts.differing() {
            0 => "There is nothing to write.\n".to_owned(),
            _ => "Nothing was written.\n".to_owned(),
        };
    }
    let mut text = format!("Wrote {}.\n", gateways(difference.changes(DomainOutcome::Written)));
    for domain in &difference.domains {
        let reason = match domain.outcome {
            DomainOutcome::Refused => "one of its gateways can't be written",
            DomainOutcome::ChangedMeanwhile => "somebody else changed it meanwhile: run this again",
            _ => continue,
        };
        let _ = writeln!(text, "{}: nothing was written, {reason}", shown(&domain.domain));
    }
    text
}

fn gateways(count: usize) -> String {
    match count {
        1 => "1 gateway".to_owned(),
        _ => format!("{count} gateways"),
    }
}
