//! `trunkd apply`: has the trunkd that serves carry out what is planned, and tells how that went.

use std::collections::BTreeSet;
use std::io::{IsTerminal, Write};
use std::process::ExitCode;
use std::time::Duration;

use futures_util::future::join_all;
use indicatif::{ProgressBar, ProgressStyle};
use jiff::Timestamp;
use tokio::time::{Instant, sleep};

use super::plan::{self, SwitchPlan};
use super::{Shared, is_watched, print, store, unreadable, while_doing};
use crate::gateway::GatewayName;
use crate::reconcile::{Action, Plan};
use crate::settings::{Flags, ReconcileMode};
use crate::shown::shown_line;
use crate::store::{OTHER_SWITCHES, Order, Report, Store, StoreError, SwitchState};

/// Without a sign of progress for so long nobody carries the order out. The slowest single step is a `startgw`, which has as long.
const PATIENCE: Duration = Duration::from_secs(30);
/// How often the report is looked at.
const GLANCE: Duration = Duration::from_millis(200);
/// A serving trunkd tells Redis so every 5 s, and after Redis lost it.
const FIRST_SIGN: Duration = Duration::from_secs(6);
/// From so many changes on there is a progress bar.
const LONG: usize = 10;

#[derive(clap::Args)]
pub(super) struct Arguments {
    /// This switch alone
    #[arg(long, value_name = "SWITCHNAME")]
    node: Option<String>,
    /// Don't ask
    #[arg(long)]
    yes: bool,
    /// Take over gateways that have a desired name and are not trunkd's
    #[arg(long)]
    adopt: bool,
}

pub(super) async fn run(shared: &Shared, arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let settings = shared.settings(Flags::new())?;
    let is_off = settings.reconcile.mode == ReconcileMode::Off;
    let store = store(&settings)?;
    let others = plan::others_held(&settings, &store, arguments.node.as_deref()).await?;
    if is_off && others.is_none() {
        anyhow::bail!("reconcile.mode is \"off\", so trunkd changes no switch: set it to \"apply\" or \"observe\"");
    }
    let plans = match is_off {
        true => Vec::new(),
        false => plan::read(&settings, &store, arguments.node.as_deref(), arguments.adopt).await?,
    };
    plan::show(&plans, others.as_deref())?;
    let unread = plans.iter().any(|plan| plan.error.is_some());
    let work: Vec<_> = plans.iter().filter(|plan| plan.is_pending()).collect();
    if work.is_empty() && others.is_none() {
        return Ok(if unread { ExitCode::FAILURE } else { ExitCode::SUCCESS });
    }
    let away = |error: StoreError| unreadable(&settings, error);
    serving(&store, &work).await.map_err(away)??;
    if !arguments.yes && !is_agreed()? {
        print("Nothing was changed.\n")?;
        return Ok(ExitCode::FAILURE);
    }
    if others.is_some() {
        release_others(&store).await.map_err(away)?;
    }
    let total = work.iter().map(|plan| actions(plan).len()).sum();
    let bar = progress_bar(total);
    let doing = work.iter().map(|plan| carry_out(&store, plan, arguments.adopt, &bar));
    let outcomes = join_all(doing).await.into_iter().collect::<Result<Vec<_>, _>>();
    bar.finish_and_clear();
    let mut all_done = !unread;
    for (plan, outcome) in work.iter().zip(outcomes.map_err(away)?) {
        all_done &= outcome.is_done(actions(plan));
        let text = format!("{}: {}", plan.switch, outcome.text(actions(plan)));
        print(&format!("{}\n", shown_line(&text)))?;
    }
    Ok(if all_done { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn actions(plan: &SwitchPlan) -> &[Action] {
    plan.plan.as_ref().map_or(&[], |plan| &plan.actions)
}

/// Whether there is a trunkd that could carry it out; a moment is given to one that Redis has just forgotten.
async fn serving(store: &Store, work: &[&SwitchPlan]) -> Result<anyhow::Result<()>, StoreError> {
    let start = Instant::now();
    loop {
        let switches = store.read_switches().await?;
        let now = Timestamp::now();
        let is_served = |state: &SwitchState| is_watched(state, now);
        let away = work.iter().find(|plan| {
            !switches
                .iter()
                .any(|(name, state, _)| *name == plan.switch && is_served(state))
        });
        let Some(away) = away else { return Ok(Ok(())) };
        if !switches.is_empty() || start.elapsed() > FIRST_SIGN {
            return Ok(Err(match switches.iter().any(|(_, state, _)| is_served(state)) {
                false => anyhow::anyhow!("no trunkd serves this Redis: start `trunkd serve`"),
                true => anyhow::anyhow!(
                    "the trunkd that serves is not connected to {0}: `trunkd status` and its log say why, or name another switch with --node",
                    away.switch
                ),
            }));
        }
        sleep(GLANCE).await;
    }
}

fn is_agreed() -> anyhow::Result<bool> {
    let stdin = std::io::stdin();
    if !stdin.is_terminal() {
        anyhow::bail!("there is no terminal to ask on: look at the plan, and add --yes to carry it out");
    }
    eprint!("Carry this out? [y/N] ");
    std::io::stderr().flush().map_err(while_doing("cannot ask"))?;
    let mut answer = String::new();
    stdin.read_line(&mut answer).map_err(while_doing("cannot ask"))?;
    Ok(matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes"))
}

/// Seen on a terminal alone.
fn progress_bar(total: usize) -> ProgressBar {
    if total < LONG {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new(u64::try_from(total).unwrap_or(u64::MAX));
    if let Ok(style) = ProgressStyle::with_template("{bar:40} {pos}/{len} {elapsed}") {
        bar.set_style(style);
    }
    bar
}

/// How an order ended.
enum Outcome {
    /// With what the reconciler said then.
    Over(Report),
    /// Nobody did anything about it; what was said last. The order was taken back.
    Forsaken(Option<Report>),
}

/// Releases what is held from switches that no settings name. Nothing is killed there: they are served what Redis wants from now on.
async fn release_others(store: &Store) -> Result<(), StoreError> {
    let order = Order {
        id: format!("{:016x}", rand::random::<u64>()),
        at: Timestamp::now(),
        removals: BTreeSet::new(),
        adopt: BTreeSet::new(),
        done_at: None,
    };
    store.order(OTHER_SWITCHES, &order).await
}

/// Orders what is planned for a switch, and waits until that is over.
async fn carry_out(store: &Store, planned: &SwitchPlan, adopt: bool, bar: &ProgressBar) -> Result<Outcome, StoreError> {
    let text = |names: BTreeSet<GatewayName>| names.iter().map(ToString::to_string).collect();
    let adopted = actions(planned)
        .iter()
        .filter(|action| adopt && action.from().is_some_and(|from| !from.is_ours()))
        .map(|action| action.gateway().clone());
    let order = Order {
        id: format!("{:016x}", rand::random::<u64>()),
        at: Timestamp::now(),
        removals: text(planned.plan.as_ref().map(Plan::removals).unwrap_or_default()),
        adopt: text(adopted.collect()),
        done_at: None,
    };
    store.order(&planned.switch, &order).await?;
    let (mut last, mut shown, mut moved) = (None, 0, Instant::now());
    loop {
        // A Redis that hangs for a moment ends nothing.
        if let Ok(mut reports) = store.read_reports().await {
            let report = reports.remove(&planned.switch);
            if let Some(report) = report.clone().filter(|report| report.order.as_ref() == Some(&order.id)) {
                return Ok(Outcome::Over(report));
            }
            if report != last {
                let left = report.as_ref().map_or(usize::MAX, Report::left);
                let done = actions(planned).len().saturating_sub(left);
                bar.inc(u64::try_from(done.saturating_sub(shown)).unwrap_or_default());
                shown = shown.max(done);
                (last, moved) = (report, Instant::now());
            }
        }
        if moved.elapsed() > PATIENCE {
            store.drop_order(&planned.switch, &order.id).await?;
            return Ok(Outcome::Forsaken(last));
        }
        sleep(GLANCE).await;
    }
}

impl Outcome {
    fn is_done(&self, planned: &[Action]) -> bool {
        match self {
            Self::Over(report) => report.held.is_none() && failed(report, planned).is_empty(),
            Self::Forsaken(_) => false,
        }
    }

    /// `started 3, restarted 1, killed 2; failed: gw7: reason`.
    fn text(&self, planned: &[Action]) -> String {
        match self {
            Self::Over(Report { held: Some(held), .. }) => {
                format!("nothing was done, since more would go by now than was shown: {held}; see `trunkd plan`")
            }
            Self::Over(report) => done(report, planned),
            Self::Forsaken(report) => {
                let left = report.as_ref().map_or_else(
                    || "nothing was heard of it".to_owned(),
                    |report| format!("{} of {} were left", report.left(), planned.len()),
                );
                format!(
                    "no progress for {} s, {left}; the order was taken back. The log of `trunkd serve` says more",
                    PATIENCE.as_secs()
                )
            }
        }
    }
}

fn done(report: &Report, planned: &[Action]) -> String {
    let failed = failed(report, planned);
    let count = |is_it: fn(&Action) -> bool| {
        let well = planned
            .iter()
            .filter(|action| !failed.iter().any(|(name, _)| *name == action.gateway().as_str()));
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
        text.push_str(if failed.is_empty() {
            "released"
        } else {
            "nothing was done"
        });
    }
    for (at, (name, reason)) in failed.iter().enumerate() {
        text.push_str(if at == 0 { "; failed: " } else { ", " });
        text.push_str(&format!("{name}: {reason}"));
    }
    text
}

/// What was planned and did not come about, with the reason.
fn failed<'a>(report: &'a Report, planned: &[Action]) -> Vec<(&'a str, &'a str)> {
    let was_planned = |name: &str| planned.iter().any(|action| action.gateway().as_str() == name);
    let troubles = report.troubles.iter().filter(|(name, _)| was_planned(name));
    troubles
        .map(|(name, reason)| (name.as_str(), reason.as_str()))
        .collect()
}
