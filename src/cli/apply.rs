//! `trunkd apply`: has the serving trunkd do exactly what was shown.

use std::collections::BTreeMap;
use std::process::ExitCode;

use futures_util::future::join_all;
use indicatif::{ProgressBar, ProgressStyle};

use super::terminal::confirm;
use super::{Shared, print};
use crate::operate::order::{self, OrderOutcome, PROGRESS_LIMIT};
use crate::operate::plan;
use crate::operate::{Caller, sources};
use crate::reconcile::Action;
use crate::settings::Flags;
use crate::shown::{shown, shown_line};

/// From this many changes on there is a progress bar.
const PROGRESS_BAR_FROM: usize = 10;

#[derive(clap::Args)]
pub(super) struct Arguments {
    /// Only this switch
    #[arg(long, value_name = "SWITCHNAME")]
    node: Option<String>,
    /// Don't ask
    #[arg(long)]
    yes: bool,
    /// Take over gateways that have a desired name but were not started by trunkd
    #[arg(long)]
    adopt: bool,
}

pub(super) async fn run(shared: &Shared, arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let settings = shared.settings(Flags::new())?;
    let store = sources::store(&settings)?;
    let node = arguments.node.as_deref();
    let plans = plan::to_approve(&settings, &store, node, arguments.adopt).await?;
    super::plan::warn(&plans);
    super::plan::show(&plans)?;
    let unread = plans.switches.iter().any(|plan| plan.error.is_some());
    let work: Vec<_> = plans.switches.iter().filter(|plan| plan.is_pending()).collect();
    if work.is_empty() && plans.others_held.is_empty() {
        return Ok(if unread { ExitCode::FAILURE } else { ExitCode::SUCCESS });
    }
    order::check_served(&settings, &store, &work).await?;
    let by = Caller::cli().identity.to_string();
    let asked: Vec<_> = work.iter().map(|plan| (plan.switch.as_str(), plan.actions())).collect();
    let question = question(&asked, !plans.others_held.is_empty());
    if !arguments.yes && !confirm(&question, "look at the plan, and add --yes to carry it out")? {
        print("Nothing was changed.\n")?;
        return Ok(ExitCode::FAILURE);
    }
    let bar = progress_bar(work.iter().map(|plan| plan.actions().len()).sum());
    let progress = |done: usize| bar.inc(u64::try_from(done).unwrap_or_default());
    let doing = work
        .iter()
        .map(|plan| order::carry_out(&settings, &store, &by, plan, progress));
    let releasing = order::release_others(&settings, &store, &by, &plans.others_held);
    let (outcomes, released) = tokio::join!(join_all(doing), releasing);
    bar.finish_and_clear();
    let mut all_done = !unread;
    for (plan, outcome) in work.iter().zip(outcomes) {
        let outcome = outcome?;
        all_done &= outcome.is_done(plan.actions());
        let text = format!("{}: {}", plan.switch, outcome_text(&outcome, plan.actions()));
        print(&format!("{}\n", shown_line(&text)))?;
    }
    if let Some(outcome) = released? {
        all_done &= outcome.is_done(&[]);
        let text = outcome_text(&outcome, &[]);
        print(&format!("switches that trunkd only serves: {text}\n"))?;
    }
    Ok(if all_done { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// `Kill 500 on fs1, 500 on fs2; start 3 on fs1?`
fn question(work: &[(&str, &[Action])], with_others: bool) -> String {
    let verb = |action: &Action| match action {
        Action::Kill { .. } => "kill",
        Action::Restart { .. } => "restart",
        Action::Start { .. } => "start",
    };
    let mut parts = Vec::new();
    for asked in ["kill", "restart", "start"] {
        let count = |actions: &[Action]| actions.iter().filter(|action| verb(action) == asked).count();
        let counts = work.iter().map(|(switch, actions)| (switch, count(actions)));
        let counts = counts.filter(|(_, count)| *count > 0);
        let counts: Vec<_> = counts.map(|(switch, count)| format!("{count} on {switch}")).collect();
        if !counts.is_empty() {
            parts.push(format!("{asked} {}", counts.join(", ")));
        }
    }
    let held = work.iter().filter(|(_, actions)| actions.is_empty());
    let held: Vec<_> = held.map(|(switch, _)| *switch).collect();
    if !held.is_empty() {
        parts.push(format!("release what is held from {}", held.join(", ")));
    }
    if with_others {
        parts.push("release what is held from switches that trunkd only serves".to_owned());
    }
    let text = parts.join("; ");
    let mut letters = text.chars();
    let first = letters.next().map(|first| first.to_ascii_uppercase());
    format!("{}{}?", first.unwrap_or_default(), letters.as_str())
}

/// Visible only on a terminal.
fn progress_bar(total: usize) -> ProgressBar {
    if total < PROGRESS_BAR_FROM {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new(u64::try_from(total).unwrap_or(u64::MAX));
    if let Ok(style) = ProgressStyle::with_template("{bar:40} {pos}/{len} {elapsed}") {
        bar.set_style(style);
    }
    bar
}

/// `started 3, restarted 1, killed 2; not done: gw7: reason`.
fn outcome_text(outcome: &OrderOutcome, planned: &[Action]) -> String {
    match outcome {
        OrderOutcome::Finished {
            still_held: Some(held), ..
        } if planned.is_empty() => {
            let held = shown(held.en());
            format!(
                "nothing was released, since Redis holds something else by now than was shown: {held}; see \
                 `trunkd plan`"
            )
        }
        OrderOutcome::Finished { undone, still_held } => {
            let mut text = done(undone, planned);
            if let Some(held) = still_held {
                text.push_str(&format!("; and of later edits {}: see `trunkd plan`", shown(held.en())));
            }
            text
        }
        OrderOutcome::Abandoned { left } => {
            let all = planned.len();
            let what = match left {
                Some(left) => format!(
                    "no progress for {} s, {left} of {all} were left",
                    PROGRESS_LIMIT.as_secs()
                ),
                None => format!("no trunkd took the order up, {all} of {all} were left"),
            };
            format!("{what}; the order was taken back. The log of `trunkd serve` says more")
        }
    }
}

fn done(undone: &BTreeMap<String, String>, planned: &[Action]) -> String {
    let count = |is_it: fn(&Action) -> bool| {
        let well = planned
            .iter()
            .filter(|action| !undone.contains_key(action.gateway().as_str()));
        well.filter(|action| is_it(action)).count()
    };
    let counts = [
        ("started", count(|action| matches!(action, Action::Start { .. }))),
        ("restarted", count(|action| matches!(action, Action::Restart { .. }))),
        ("killed", count(|action| matches!(action, Action::Kill { .. }))),
    ];
    let counts = counts.iter().filter(|(_, count)| *count > 0);
    let mut text = counts
        .map(|(word, count)| format!("{word} {count}"))
        .collect::<Vec<_>>()
        .join(", ");
    if text.is_empty() {
        text.push_str(if undone.is_empty() {
            "released"
        } else {
            "nothing was done"
        });
    }
    for (at, (name, reason)) in undone.iter().enumerate() {
        text.push_str(if at == 0 { "; not done: " } else { ", " });
        text.push_str(&format!("{}: {}", shown(name), shown(reason)));
    }
    text
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::gateway::{GatewayName, ProfileName};
    use crate::reconcile::{Have, Want};

    fn gateway(number: usize) -> GatewayName {
        GatewayName::parse(&format!("gw{number}")).unwrap()
    }

    fn kill(number: usize) -> Action {
        let from = Have {
            profile: ProfileName::parse("external").unwrap(),
            revision: Some("r".to_owned()),
            registers: false,
        };
        Action::Kill {
            gateway: gateway(number),
            from,
        }
    }

    fn start(number: usize) -> Action {
        let to = Want {
            profile: ProfileName::parse("external").unwrap(),
            revision: "r".to_owned(),
            former: Box::default(),
            registers: false,
            domain: Arc::from("acme"),
        };
        Action::Start {
            gateway: gateway(number),
            to,
        }
    }

    #[test]
    fn the_question_has_the_totals_of_each_switch() {
        let many: Vec<_> = (0..500).map(kill).collect();
        let few: Vec<_> = (0..2).map(kill).chain((2..5).map(start)).collect();
        let asked = question(&[("fs1", &many), ("fs2", &few)], false);
        assert_eq!(asked, "Kill 500 on fs1, 2 on fs2; start 3 on fs2?");
        assert_eq!(
            question(&[("fs1", &[])], true),
            "Release what is held from fs1; release what is held from switches that trunkd only serves?"
        );
    }

    #[test]
    fn an_order_that_nobody_took_up_has_everything_left() {
        let planned = [kill(0), kill(1)];
        let text = |left| outcome_text(&OrderOutcome::Abandoned { left }, &planned);
        assert!(
            text(None).starts_with("no trunkd took the order up, 2 of 2 were left"),
            "{}",
            text(None)
        );
        assert!(
            text(Some(1)).starts_with("no progress for 30 s, 1 of 2 were left"),
            "{}",
            text(Some(1))
        );
    }

    #[test]
    fn what_was_not_done_is_named_and_made_safe_to_show() {
        let undone = [("gw1".to_owned(), "a \u{1b}[31m reason".to_owned())].into();
        let outcome = OrderOutcome::Finished {
            undone,
            still_held: None,
        };
        let planned = [kill(0), kill(1)];
        assert_eq!(
            outcome_text(&outcome, &planned),
            "killed 1; not done: gw1: a \\u{1b}[31m reason"
        );
        assert!(!outcome.is_done(&planned));
    }
}
