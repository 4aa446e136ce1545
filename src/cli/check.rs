//! `trunkd check`: everything that can be wrong before FreeSWITCH asks.

use std::process::ExitCode;

use serde::Serialize;

use super::{Shared, catalog, print, store, templates, unreadable};
use crate::gateway::{Finding, Severity};
use crate::server;
use crate::settings::Flags;

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
}

pub(super) async fn run(shared: &Shared, arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let report = look(shared).await;
    if arguments.json {
        print(&format!("{}\n", serde_json::to_string_pretty(&report)?))?;
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
        let config = server::tls::server_config(tls);
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
    let read = async {
        let store = store(&settings)?;
        catalog(&settings, &store, &templates)?
            .all()
            .await
            .map_err(|error| unreadable(&settings, error))
    };
    match read.await {
        Ok(current) => {
            report.gateways = current.desired.findings().to_vec();
            report.served = current.desired.served().len();
            report
                .errors
                .extend(current.stale.map(|(_, reason)| reason.to_string()));
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
        lines.push(format!(
            "gateways served: {served}; errors: {errors}; warnings: {warnings}\n"
        ));
        lines.join("\n")
    }
}
