//! Logs new and resolved findings about gateways, once per change.

use crate::gateway::{Finding, Findings, Severity};

/// Log lines of each kind per read of Redis. A bulk edit may cause tens of thousands of findings;
/// `trunkd check` lists them all.
const MAX_LINES: usize = 20;

pub(crate) fn log_changes(before: Option<&Findings>, now: &Findings) {
    let none = Findings::default();
    let changes = now.changes_since(before.unwrap_or(&none));
    let (errors, warnings) = by_severity(changes.new);
    // Errors come first.
    for finding in errors.iter().chain(&warnings).take(MAX_LINES) {
        match finding.severity {
            Severity::Error => tracing::error!("{}", finding.without_severity()),
            Severity::Warning => tracing::warn!("{}", finding.without_severity()),
        }
    }
    let new = errors.len() + warnings.len();
    if new > MAX_LINES {
        let counted = format!(
            "{} errors and {} warnings about gateways are new",
            errors.len(),
            warnings.len()
        );
        tracing::warn!("{counted}; the first {MAX_LINES} are above, `trunkd check` lists all");
    }
    let (fixed, _) = by_severity(changes.gone);
    for finding in fixed.iter().take(MAX_LINES) {
        tracing::info!("resolved: {}", finding.without_severity());
    }
    if fixed.len() > MAX_LINES {
        tracing::info!(
            "{} errors about gateways are gone; the first {MAX_LINES} are above",
            fixed.len()
        );
    }
}

/// The errors, and the warnings.
fn by_severity(findings: Vec<&Finding>) -> (Vec<&Finding>, Vec<&Finding>) {
    findings
        .into_iter()
        .partition(|finding| finding.severity == Severity::Error)
}
