//! `trunkd check`: everything that can be wrong before FreeSWITCH asks.

use std::process::ExitCode;

use jiff::Timestamp;

use super::terminal::clock;
use super::{Shared, json_text, print};
use crate::gateway::Severity;
use crate::operate::check::{CheckReport, check};
use crate::settings::Flags;
use crate::shown::shown_line;

#[derive(clap::Args)]
pub(super) struct Arguments {
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    /// Also ask DNS for the host of every gateway
    #[arg(long)]
    hosts: bool,
}

pub(super) async fn run(shared: &Shared, arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let report = check(shared.load_settings(Flags::new()), arguments.hosts).await;
    print(&match arguments.json {
        true => json_text(&report)?,
        false => lines(&report, Timestamp::now()),
    })?;
    Ok(match report.is_well() {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    })
}

fn lines(report: &CheckReport, now: Timestamp) -> String {
    let mut lines: Vec<String> = Vec::new();
    lines.extend(report.errors.iter().map(|error| format!("error: {error}")));
    lines.extend(report.warnings.iter().map(|warning| format!("warning: {warning}")));
    lines.extend(report.gateways.iter().map(ToString::to_string));
    let is_error = |finding: &&crate::gateway::Finding| finding.severity == Severity::Error;
    let refused = report.gateways.iter().filter(is_error).count();
    let errors = report.errors.len() + refused;
    let warnings = report.warnings.len() + report.gateways.len() - refused;
    let served = report.served;
    let last_good = report.last_good.map_or_else(String::new, |at| {
        format!(" (the last good state, of {})", clock(at, now))
    });
    lines.push(format!(
        "gateways served: {served}{last_good}; errors: {errors}; warnings: {warnings}"
    ));
    lines.iter().map(|line| format!("{}\n", shown_line(line))).collect()
}
