//! `trunkd check`: everything that can be wrong before FreeSWITCH asks.

use std::process::ExitCode;

use jiff::Timestamp;
use serde::Serialize;

use super::terminal::clock;
use super::{Shared, catalog_with_last_good, json_text, print, rules, store, templates, unreadable};
use crate::desired::LastGood;
use crate::gateway::{Finding, Severity};
use crate::http;
use crate::settings::Flags;
use crate::shown::shown_line;

#[derive(clap::Args)]
pub(super) struct Arguments {
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// What was looked at, and what was found. In JSON as it stands.
#[derive(Serialize)]
struct Report {
    /// Errors that are not about one gateway: settings, templates, TLS files, Redis.
    errors: Vec<String>,
    warnings: Vec<String>,
    /// Of gateways, errors and warnings.
    gateways: Vec<Finding>,
    served: usize,
    /// Of when the gateways are, if that is the last good state since Redis cannot be read.
    last_good: Option<Timestamp>,
}

pub(super) async fn run(shared: &Shared, arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let report = look(shared).await;
    if arguments.json {
        print(&json_text(&report)?)?;
    } else {
        print(&report.lines())?;
    }
    Ok(if report.is_well() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

async fn look(shared: &Shared) -> Report {
    let mut report = Report {
        errors: Vec::new(),
        warnings: Vec::new(),
        gateways: Vec::new(),
        served: 0,
        last_good: None,
    };
    let settings = match shared.settings(Flags::new()) {
        Ok(settings) => settings,
        Err(error) => {
            report.errors.push(error.to_string());
            return report;
        }
    };
    report.warnings.extend(settings.warnings());
    report
        .errors
        .extend(settings.validate_for_serve().err().map(|error| error.to_string()));
    if let Some(tls) = &settings.http.tls {
        let config = http::server_config(tls);
        report.errors.extend(config.err().map(|error| error.to_string()));
    }
    let templates = match templates(&settings) {
        Ok(templates) => templates,
        Err(error) => {
            report.errors.push(error.to_string());
            return report;
        }
    };
    report
        .warnings
        .extend(templates.warnings().iter().map(ToString::to_string));
    let kept = LastGood::load(&settings.data_dir).unwrap_or_else(|error| {
        report.warnings.push(error.to_string());
        None
    });
    let read = async {
        let store = store(&settings)?;
        let catalog = catalog_with_last_good(&store, rules(&settings, &templates)?, kept);
        catalog.all().await.map_err(|error| unreadable(&settings, error))
    };
    match read.await {
        Ok(current) => {
            report.gateways = current.desired.findings().to_vec();
            report.served = current.desired.served().len();
            if let Some((last_good, reason)) = current.stale {
                report.errors.push(unreadable(&settings, reason).to_string());
                report.last_good = Some(last_good);
            }
        }
        Err(error) => {
            let error = error.to_string();
            if !report.errors.contains(&error) {
                report.errors.push(error);
            }
        }
    }
    report
}

impl Report {
    fn is_well(&self) -> bool {
        self.errors.is_empty() && self.gateways.iter().all(|finding| finding.severity != Severity::Error)
    }

    fn lines(&self) -> String {
        let mut lines: Vec<String> = Vec::new();
        lines.extend(self.errors.iter().map(|error| format!("error: {error}")));
        lines.extend(self.warnings.iter().map(|warning| format!("warning: {warning}")));
        lines.extend(self.gateways.iter().map(ToString::to_string));
        let refused = self
            .gateways
            .iter()
            .filter(|finding| finding.severity == Severity::Error)
            .count();
        let errors = self.errors.len() + refused;
        let warnings = self.warnings.len() + self.gateways.len() - refused;
        let served = self.served;
        let last_good = self.last_good.map_or_else(String::new, |at| {
            format!(" (the last good state, of {})", clock(at, Timestamp::now()))
        });
        lines.push(format!(
            "gateways served: {served}{last_good}; errors: {errors}; warnings: {warnings}"
        ));
        lines.iter().map(|line| format!("{}\n", shown_line(line))).collect()
    }
}
