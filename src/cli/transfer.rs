//! Shows a transfer, asks, and writes it: for `sync`, `diff`, `restore` and imports.

use std::process::ExitCode;

use super::gateway::problem_line;
use super::history::change_text;
use super::print;
use super::terminal::{confirm, size};
use crate::operate::gateways::SwitchForecast;
use crate::operate::transfer::{Difference, DomainOutcome, Transfer, TransferDomain, TransferItem, TransferReport};
use crate::operate::{Caller, OperateError, Service};
use crate::settings::Settings;
use crate::shown::{shown, shown_line};

/// Something would change.
pub(super) const DIFFERS: u8 = 2;
/// Gateways that are shown on a terminal. In a pipe all are.
const MAX_SHOWN: usize = 200;

/// How a person wants it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asking {
    /// Only show it.
    pub(super) dry_run: bool,
    /// Don't ask.
    pub(super) yes: bool,
}

/// Shows the difference, asks, writes, and says how it ended. The exit status: 0 it is as it shall be; 1
/// something is refused or was changed meanwhile; 2 something would change, in a dry run.
pub(super) async fn show_and_write(
    settings: &Settings,
    service: &Service,
    transfer: Transfer,
    asking: Asking,
) -> anyhow::Result<ExitCode> {
    let report = transfer.report();
    print(&text(report))?;
    let pending = report.changes(DomainOutcome::Ready);
    let is_refused = report.counts.refused > 0;
    if asking.dry_run || (pending == 0 && is_refused) {
        return Ok(match (is_refused, pending) {
            (true, _) => ExitCode::FAILURE,
            (false, 0) => ExitCode::SUCCESS,
            (false, _) => ExitCode::from(DIFFERS),
        });
    }
    let question = match pending {
        1 => "Write this change?".to_owned(),
        _ => format!("Write these {pending} changes?"),
    };
    if pending > 0 && !asking.yes && !confirm(&question, "look at the difference, and add --yes to write it")? {
        print("Nothing was changed.\n")?;
        return Ok(ExitCode::FAILURE);
    }
    let done = match service.write_transfer(&Caller::cli(), transfer).await {
        Ok(done) => done,
        Err(OperateError::TransferStopped { cause, done }) => {
            print(&outcome_text(&done))?;
            return Err(cause.naming_server(settings).into());
        }
        Err(error) => return Err(error.naming_server(settings).into()),
    };
    print(&outcome_text(&done))?;
    Ok(match done.is_clean() {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    })
}

/// The difference, and what the switches would do.
pub(super) fn text(report: &TransferReport) -> String {
    let most = size().map_or(usize::MAX, |_| MAX_SHOWN);
    let mut text = String::new();
    for item in report.items.iter().take(most) {
        text.push_str(&item_text(item));
    }
    if let more @ 1.. = report.items.len().saturating_sub(most) {
        text.push_str(&format!("… and {more} more; in a pipe all are shown\n"));
    }
    text.push_str(&summary(report));
    for forecast in &report.plan {
        if let Some(line) = forecast_text(forecast) {
            text.push_str(&format!("{}\n", shown_line(&line)));
        }
    }
    text
}

/// `~ acme/carrier1 (carriers.yaml:9): param.proxy "x" -> "y"`, and its findings below.
fn item_text(item: &TransferItem) -> String {
    let sign = match item.difference {
        Difference::Added => '+',
        Difference::Changed => '~',
        Difference::Removed => '-',
        Difference::Refused => '!',
        Difference::Same => '=',
    };
    let mut line = format!("{sign} {}/{}", shown(&item.domain), shown(&item.name));
    if !item.at.is_empty() {
        line.push_str(&format!(" ({})", shown(&item.at)));
    }
    let changes: Vec<_> = match item.difference {
        Difference::Removed => Vec::new(),
        _ => item.changes.iter().map(change_text).collect(),
    };
    if !changes.is_empty() {
        line.push_str(&format!(": {}", changes.join(", ")));
    }
    let mut text = format!("{}\n", shown_line(&line));
    for finding in &item.findings {
        text.push_str(&format!("    {}\n", problem_line(finding)));
    }
    text
}

/// `2 to add, 1 to change, 10 as they are.`
fn summary(report: &TransferReport) -> String {
    let counts = &report.counts;
    let parts = [
        (counts.added, "to add"),
        (counts.changed, "to change"),
        (counts.removed, "to remove"),
        (counts.refused, "refused"),
        (counts.same, "as they are"),
    ];
    let parts = parts.into_iter().filter(|(count, _)| *count > 0);
    let parts: Vec<_> = parts.map(|(count, what)| format!("{count} {what}")).collect();
    let mut text = match parts.is_empty() {
        true => "No gateways.\n".to_owned(),
        false => format!("{}.\n", parts.join(", ")),
    };
    let refused = report.domains.iter();
    for domain in refused.filter(|domain| domain.outcome == DomainOutcome::Refused) {
        let line = format!(
            "Nothing of domain {} is written, because one of its gateways is refused (--force writes it all the same).",
            shown(&domain.domain)
        );
        text.push_str(&format!("{}\n", shown_line(&line)));
    }
    text
}

/// `fs1: would start 2, restart 1; held: removes 40 of 50`.
fn forecast_text(forecast: &SwitchForecast) -> Option<String> {
    let counts = [
        (forecast.start, "start"),
        (forecast.restart, "restart"),
        (forecast.stop, "stop"),
    ];
    let counts = counts.into_iter().filter(|(count, _)| *count > 0);
    let counts: Vec<_> = counts.map(|(count, what)| format!("{what} {count}")).collect();
    if counts.is_empty() {
        return None;
    }
    let mut line = format!("{}: would {}", shown(&forecast.switch), counts.join(", "));
    if let Some(held) = &forecast.held {
        line.push_str(&format!("; {}, until `trunkd apply`", held.en()));
    }
    if forecast.paused {
        line.push_str("; paused, until `trunkd resume`");
    }
    Some(line)
}

/// A line for each domain that had something to write.
fn outcome_text(report: &TransferReport) -> String {
    let domains = report.domains.iter();
    let lines = domains
        .filter(|domain| domain.outcome != DomainOutcome::Same)
        .map(|domain| {
            let line = format!("{}: {}", shown(&domain.domain), domain_text(domain));
            format!("{}\n", shown_line(&line))
        });
    match lines.collect::<String>() {
        text if text.is_empty() => "Nothing to change.\n".to_owned(),
        text => text,
    }
}

fn domain_text(domain: &TransferDomain) -> String {
    match domain.outcome {
        DomainOutcome::Same => "nothing to change".to_owned(),
        DomainOutcome::Ready | DomainOutcome::NotWritten => "not written".to_owned(),
        DomainOutcome::Refused => "not written: a gateway is refused".to_owned(),
        DomainOutcome::Written => format!("{} written", domain.changes),
        DomainOutcome::ChangedMeanwhile => {
            "not written: somebody changed one of its gateways meanwhile, so run this again".to_owned()
        }
        DomainOutcome::Unknown => "Redis did not answer, so it is written or not: run this again".to_owned(),
    }
}
