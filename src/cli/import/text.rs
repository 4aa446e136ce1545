//! The report of an import for people.

use super::super::history::change_text;
use super::super::terminal::gateways;
use crate::import::{Import, Imported, Verdict};
use crate::operate::transfer::TransferItem;
use crate::shown::{shown, shown_line};

/// How many gateways are listed by name where nothing is to be said about them.
const MAX_NAMED: usize = 20;
/// How many that exist are listed with their differences.
const MAX_EXISTING: usize = 200;

/// What is left as it is stored.
pub(super) fn existing(existing: &[TransferItem]) -> String {
    let mut lines = Vec::new();
    for item in existing.iter().take(MAX_EXISTING) {
        let changes: Vec<_> = item.changes.iter().map(change_text).collect();
        let place = format!("{} in {}", shown(&item.name), shown(&item.domain));
        lines.push(format!("{place} is there already and differs: {}", changes.join(", ")));
    }
    if let more @ 1.. = existing.len().saturating_sub(MAX_EXISTING) {
        lines.push(format!("… and {more} more that are there already"));
    }
    match existing.len() {
        0 => {}
        1 => lines.push("It stays as it is stored; --overwrite replaces it.".to_owned()),
        _ => lines.push("They stay as they are stored; --overwrite replaces them.".to_owned()),
    }
    joined(&lines)
}

/// What was read: the gateways that something is to be said about, one after the other, then the others.
pub(super) fn source(import: &Import) -> String {
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
    joined(&lines)
}

fn joined(lines: &[String]) -> String {
    lines.iter().map(|line| format!("{}\n", shown_line(line))).collect()
}

/// `carrier1 in acme`.
fn name(gateway: &Imported) -> String {
    match &gateway.domain {
        Some(domain) => format!("{} in {}", shown(&gateway.name), shown(domain)),
        None => shown(&gateway.name).to_string(),
    }
}
