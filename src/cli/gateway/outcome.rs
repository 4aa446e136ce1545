//! Prints what a write did, or would do, and makes the exit status of it.

use std::process::ExitCode;

use super::super::history::change_text;
use super::super::print;
use super::text::problem_line;
use crate::operate::OperateError;
use crate::operate::gateways::{Effect, GatewayRef, Outcome, ProblemField, Written};
use crate::settings::Settings;
use crate::shown::{shown, shown_line};

/// Something would change, or is held or not done yet.
pub(in crate::cli) const PENDING: u8 = 2;

/// What was done: `Created`, `create`, and to which gateway.
pub(super) struct Done {
    would: &'static str,
    did: &'static str,
    gateway: String,
}

impl Done {
    pub(super) fn new(would: &'static str, did: &'static str, of: &GatewayRef) -> Self {
        Self {
            would,
            did,
            gateway: place(of),
        }
    }

    /// `carrier2, a copy of carrier1 in default`.
    pub(super) fn described(would: &'static str, did: &'static str, gateway: String) -> Self {
        Self { would, did, gateway }
    }
}

/// `carrier1 in default`.
pub(super) fn place(of: &GatewayRef) -> String {
    format!("{} in {}", of.name, shown(of.domain.text()))
}

/// Prints the end of a write. Exit status 1: refused, or it failed on a switch. 2: it is held or pending, or
/// in a dry run something would change.
pub(super) fn finish(
    settings: &Settings,
    written: Result<Written, OperateError>,
    dry_run: bool,
    done: impl FnOnce(&Written) -> Done,
) -> anyhow::Result<ExitCode> {
    let written = match written {
        Ok(written) => written,
        Err(OperateError::Refused(problems)) => return Ok(refused(&problems)),
        Err(error) => return Err(error.naming_server(settings).into()),
    };
    let done = done(&written);
    let is_change = is_change(&written, dry_run);
    let mut text = headline(&written, &done, dry_run, is_change);
    for effect in &written.effect {
        text.push_str(&format!("  {}\n", shown_line(&effect_text(effect))));
    }
    print(&text)?;
    for problem in written.gateway.iter().flat_map(|gateway| &gateway.findings) {
        eprintln!("{}", problem_line(problem));
    }
    Ok(match is_failed(&written.effect) {
        true => ExitCode::FAILURE,
        false if dry_run && is_change => ExitCode::from(PENDING),
        false if !dry_run && is_pending(&written.effect) => ExitCode::from(PENDING),
        false => ExitCode::SUCCESS,
    })
}

/// What came of a job, and the exit status: 1 if it failed on a switch, 2 if it is pending on one.
pub(super) fn finish_job(done: &Done, effect: &[Effect]) -> (String, ExitCode) {
    let (code, headline) = match () {
        () if is_failed(effect) => (ExitCode::FAILURE, format!("Could not {} {}", done.would, done.gateway)),
        () if is_pending(effect) => {
            let headline = format!("Not yet {}: {}", done.did, done.gateway);
            (ExitCode::from(PENDING), headline)
        }
        () => (ExitCode::SUCCESS, format!("{} is {}", done.gateway, done.did)),
    };
    let mut text = format!("{}.\n", shown_line(&headline));
    for effect in effect {
        text.push_str(&format!("  {}\n", shown_line(&effect_text(effect))));
    }
    (text, code)
}

fn is_failed(effect: &[Effect]) -> bool {
    let is_failed = |effect: &Effect| matches!(effect.outcome, Outcome::Failed { .. } | Outcome::RolledBack { .. });
    effect.iter().any(is_failed)
}

fn is_pending(effect: &[Effect]) -> bool {
    let is_pending = |effect: &Effect| matches!(effect.outcome, Outcome::Held { .. } | Outcome::Pending { .. });
    effect.iter().any(is_pending)
}

/// A rename changes no key of the value.
fn is_change(written: &Written, dry_run: bool) -> bool {
    match dry_run {
        true => !written.changes.is_empty() || written.is_new || written.gateway.is_none(),
        false => written.history.is_some(),
    }
}

fn headline(written: &Written, done: &Done, dry_run: bool, is_change: bool) -> String {
    let gateway = &done.gateway;
    let mut line = match (is_change, dry_run) {
        (false, _) => return format!("{gateway} is so already: nothing to change.\n"),
        (true, true) => format!("Would {} {gateway}", done.would),
        (true, false) => format!("{} {gateway}", done.did),
    };
    let changes: Vec<_> = written.changes.iter().map(change_text).collect();
    if written.gateway.is_some() && !written.is_new && !changes.is_empty() {
        line.push_str(&format!(": {}", changes.join(", ")));
    }
    format!("{}.\n", shown_line(&line))
}

fn refused(problems: &[ProblemField]) -> ExitCode {
    eprintln!("trunkd: FreeSWITCH would refuse this gateway, so nothing was written; --force writes it all the same");
    for problem in problems {
        eprintln!("{}", problem_line(problem));
    }
    ExitCode::FAILURE
}

/// `fs1: failed: 403 Forbidden`.
fn effect_text(effect: &Effect) -> String {
    let state = effect.state.as_ref().map(ToString::to_string);
    let what = match &effect.outcome {
        Outcome::Applied => match state {
            Some(state) => format!("applied, {state}"),
            None => "applied, it is gone".to_owned(),
        },
        Outcome::Failed { reason } => format!("failed: {}", reason.en()),
        Outcome::RolledBack { reason } => reason.en().to_owned(),
        Outcome::Held { reason } if reason.en().starts_with("held") => reason.en().to_owned(),
        Outcome::Held { reason } => format!("held: {}", reason.en()),
        Outcome::Pending { reason } => format!("pending: {}", reason.en()),
        Outcome::NotForThisSwitch => "not for this switch".to_owned(),
        Outcome::WouldStart => "would start it".to_owned(),
        Outcome::WouldRestart {
            interruption_seconds: 0,
        } => "would restart it; new calls fail for less than a second".to_owned(),
        Outcome::WouldRestart { interruption_seconds } => {
            format!("would restart it; new calls fail for about {interruption_seconds} s")
        }
        Outcome::WouldStop => "would stop it".to_owned(),
        Outcome::WouldStay => "nothing would change".to_owned(),
    };
    format!("{}: {what}", shown(&effect.switch))
}
