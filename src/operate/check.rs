//! Everything that can be wrong before FreeSWITCH asks.

use jiff::Timestamp;
use serde::Serialize;

use super::{OperateError, hosts, sources};
use crate::desired::LastGood;
use crate::gateway::{Desired, Finding, Severity, shared_accounts};
use crate::http;
use crate::settings::{Settings, SettingsError};

/// What was checked and found.
#[derive(Serialize)]
pub struct CheckReport {
    /// Errors in the settings, templates, TLS files and Redis.
    pub errors: Vec<String>,
    pub warnings: Vec<String>,
    /// Errors and warnings about gateways.
    pub gateways: Vec<Finding>,
    pub served: usize,
    /// Set if Redis can't be read: the gateways are from the last good state of this time.
    pub last_good: Option<Timestamp>,
}

/// Checks everything. `settings` is what loading them gave. With `looks_up_hosts`, DNS is asked for every host.
pub async fn check(settings: Result<Settings, SettingsError>, looks_up_hosts: bool) -> CheckReport {
    let mut report = CheckReport {
        errors: Vec::new(),
        warnings: Vec::new(),
        gateways: Vec::new(),
        served: 0,
        last_good: None,
    };
    let settings = match settings {
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
    let api = settings.api.tls.as_ref().filter(|_| settings.api.enabled);
    for (section, files) in [("http.tls", settings.http.tls.as_ref()), ("api.tls", api)] {
        let tls = files.map(|files| http::Tls::load(section, files.clone()));
        report
            .errors
            .extend(tls.and_then(Result::err).map(|error| error.to_string()));
    }
    let templates = match sources::templates(&settings) {
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
        let store = sources::store(&settings)?;
        let catalog = sources::catalog(&store, sources::rules(&settings, &templates)?, kept);
        catalog.all().await.map_err(OperateError::unavailable(&settings))
    };
    match read.await {
        Ok(current) => {
            report.add_gateways(&current.desired, looks_up_hosts).await;
            if let Some((last_good, reason)) = current.stale {
                report
                    .errors
                    .push(OperateError::unreadable(&settings, reason).to_string());
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

impl CheckReport {
    async fn add_gateways(&mut self, desired: &Desired, looks_up_hosts: bool) {
        let served = || desired.served().values().map(|entry| &entry.gateway);
        self.served = desired.served().len();
        self.gateways = desired.findings().to_vec();
        self.gateways.extend(shared_accounts(served()));
        if looks_up_hosts {
            let resolved = hosts::resolve(served(), hosts::ALL_LIMIT).await;
            self.gateways.extend(resolved.findings);
            self.warnings.extend(resolved.problem);
        }
    }

    /// Whether there are no errors.
    pub fn is_well(&self) -> bool {
        self.errors.is_empty() && self.gateways.iter().all(|finding| finding.severity != Severity::Error)
    }
}
