//! `trunkd plan`: what would change on each switch, and what keeps it from happening.

use std::fmt::Write as _;
use std::io::IsTerminal;
use std::process::ExitCode;
use std::time::Duration;

use super::{Shared, json_text, print};
use crate::language::Message;
use crate::operate::plan::{self, HeldBy, Plans, SwitchPlan};
use crate::operate::sources;
use crate::reconcile::{Hold, plan_text};
use crate::settings::Flags;
use crate::shown::{shown, shown_line};

/// Something would change.
const CHANGES_PENDING: u8 = 2;

#[derive(clap::Args)]
pub(super) struct Arguments {
    /// Only this switch
    #[arg(long, value_name = "SWITCHNAME")]
    node: Option<String>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(shared: &Shared, arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let settings = shared.settings(Flags::new())?;
    let store = sources::store(&settings)?;
    let plans = plan::read(&settings, &store, arguments.node.as_deref(), false).await?;
    warn(&plans);
    match arguments.json {
        true => print(&json_text(&plans)?)?,
        false => show(&plans)?,
    }
    Ok(match plans.switches.iter().any(|plan| plan.error.is_some()) {
        true => ExitCode::FAILURE,
        false if plans.pending => ExitCode::from(CHANGES_PENDING),
        false => ExitCode::SUCCESS,
    })
}

/// Warns on standard error, so that the output stays clean.
pub(super) fn warn(plans: &Plans) {
    if let Some(reason) = &plans.stale {
        eprintln!("trunkd: {}", shown_line(&reason.to_string()));
    }
    if plans.is_key_missing {
        eprintln!(
            "trunkd: Redis has no trunkd:key, which `trunkd serve` creates: until then every gateway of \
             trunkd's counts as changed"
        );
    }
}

pub(super) fn show(plans: &Plans) -> anyhow::Result<()> {
    let colour = std::io::stdout().is_terminal();
    let mut text: String = plans.switches.iter().map(|plan| plan_lines(plan, colour)).collect();
    for hold in &plans.others_held {
        let (trunkd, held) = (shown(&hold.trunkd), shown(hold.held.en()));
        let _ = writeln!(
            text,
            "switches that trunkd only serves: {held}, says trunkd {trunkd}; `trunkd apply` releases it, or \
             undo the edit"
        );
    }
    print(&text)
}

fn plan_lines(plan: &SwitchPlan, colour: bool) -> String {
    let name = &plan.switch;
    let (mut text, remarks) = match &plan.plan {
        Some(changes) => {
            let text = plan_text(name, changes, &plan.changes, plan.held.as_ref(), colour);
            (text, lasts(plan).into_iter().chain(remarks(plan)).collect())
        }
        None => {
            let error = plan.error.as_ref().map_or("", Message::en);
            let text = format!("{name}: no plan: {}\n", shown_line(error));
            (text, holds_elsewhere(plan))
        }
    };
    for remark in remarks {
        let _ = writeln!(text, "  ! {}", shown_line(&remark));
    }
    text
}

/// Holds that the plan doesn't show.
fn holds_elsewhere(plan: &SwitchPlan) -> Vec<String> {
    let known = plan.held.as_ref().map(Hold::summary);
    let elsewhere = plan
        .holds
        .iter()
        .filter(|hold| known.as_deref() != Some(hold.held.en()));
    let remark = |hold: &HeldBy| {
        let (trunkd, held) = (shown(&hold.trunkd), shown(hold.held.en()));
        match hold.leads {
            true => format!("trunkd serve says {held}; `trunkd apply` releases it"),
            false => {
                format!("trunkd {trunkd}, which serves this switch too, says {held}; `trunkd apply` releases it")
            }
        }
    };
    elsewhere.map(remark).collect()
}

fn lasts(plan: &SwitchPlan) -> Option<String> {
    let lasts = plan.lasts.as_ref()?;
    let time = humantime::format_duration(Duration::from_secs(lasts.seconds));
    Some(match &lasts.carrier {
        Some(carrier) => format!("takes about {time}, at the pace of {}", shown(carrier)),
        None => format!("takes about {time}"),
    })
}

/// Why `trunkd serve` doesn't carry the plan out, if so.
fn remarks(plan: &SwitchPlan) -> Vec<String> {
    let mut remarks = holds_elsewhere(plan);
    if plan.paused {
        remarks.push("paused: nothing is changed by itself until `trunkd resume`".to_owned());
    }
    let again = plan.tries_again.iter();
    remarks
        .extend(again.map(|(gateway, why)| format!("gateway {gateway}: {}; `trunkd apply` tries it again", why.en())));
    let Some(report) = &plan.serve else {
        remarks.push("no trunkd serve looks at this switch".to_owned());
        return remarks;
    };
    if report.mode != "apply" {
        let mode = &report.mode;
        remarks.push(format!(
            "trunkd serve runs with reconcile.mode = {mode:?}: nothing is changed by itself"
        ));
    }
    let troubles = report.troubles.iter();
    remarks.extend(troubles.map(|(gateway, reason)| format!("gateway {}: {}", shown(gateway), shown(reason))));
    remarks
}
