//! `trunkd apply`: has the trunkd that serves do what was shown, that and nothing else, and says how it went.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{IsTerminal, Write};
use std::process::ExitCode;
use std::time::Duration;

use futures_util::future::join_all;
use indicatif::{ProgressBar, ProgressStyle};
use jiff::Timestamp;
use tokio::time::{Instant, sleep};

use super::plan::{self, HeldBy, SwitchPlan};
use super::{Shared, is_watched, print, store, unreadable, while_doing};
use crate::control::{OTHER_SWITCHES, OrderContent, Reports};
use crate::observed::SwitchState;
use crate::reconcile::{Action, shown_change};
use crate::redis::{Store, StoreError};
use crate::settings::{Flags, ReconcileMode};
use crate::shown::{shown, shown_line};

/// Without a sign of progress for so long nobody carries the order out. The slowest single step is a `startgw`, which has as long.
const PATIENCE: Duration = Duration::from_secs(30);
/// How often the reports are read.
const GLANCE: Duration = Duration::from_millis(200);
/// A serving trunkd writes to Redis every 5 s, and after Redis lost it.
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
    if is_off && others.is_empty() {
        anyhow::bail!("reconcile.mode is \"off\", so trunkd changes no switch: set it to \"apply\" or \"observe\"");
    }
    let plans = match is_off {
        true => Vec::new(),
        false => plan::read(&settings, &store, arguments.node.as_deref(), arguments.adopt).await?,
    };
    plan::show(&plans, &others)?;
    let unread = plans.iter().any(|plan| plan.error.is_some());
    let work: Vec<_> = plans.iter().filter(|plan| plan.is_pending()).collect();
    if work.is_empty() && others.is_empty() {
        return Ok(if unread { ExitCode::FAILURE } else { ExitCode::SUCCESS });
    }
    let away = |error: StoreError| unreadable(&settings, error);
    serving(&store, &work).await.map_err(away)??;
    let asked: Vec<_> = work.iter().map(|plan| (plan.switch.as_str(), actions(plan))).collect();
    if !arguments.yes && !is_agreed(&question(&asked, !others.is_empty()))? {
        print("Nothing was changed.\n")?;
        return Ok(ExitCode::FAILURE);
    }
    let bar = progress_bar(work.iter().map(|plan| actions(plan).len()).sum());
    let doing = work.iter().map(|plan| carry_out(&store, plan, &bar));
    let (outcomes, released) = tokio::join!(join_all(doing), release_others(&store, &others));
    bar.finish_and_clear();
    let mut all_done = !unread;
    for (plan, outcome) in work.iter().zip(outcomes) {
        let outcome = outcome.map_err(away)?;
        all_done &= outcome.is_done(actions(plan));
        let text = format!("{}: {}", plan.switch, outcome.text(actions(plan)));
        print(&format!("{}\n", shown_line(&text)))?;
    }
    if let Some(outcome) = released.map_err(away)? {
        all_done &= outcome.is_done(&[]);
        print(&format!("switches that trunkd only serves: {}\n", outcome.text(&[])))?;
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
        // To release what is held the switch need not be there.
        let away = work.iter().filter(|plan| !actions(plan).is_empty()).find(|plan| {
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

fn is_agreed(question: &str) -> anyhow::Result<bool> {
    let stdin = std::io::stdin();
    if !stdin.is_terminal() {
        anyhow::bail!("there is no terminal to ask on: look at the plan, and add --yes to carry it out");
    }
    eprint!("{question} [y/N] ");
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
#[derive(Debug, PartialEq, Eq)]
enum Outcome {
    Over {
        /// gateway → why its change was not made.
        undone: BTreeMap<String, String>,
        /// What is held all the same, of edits that came later.
        still_held: Option<String>,
    },
    /// Nobody carried it to its end, and it was taken back. `left` of its changes were not made; `None` when nobody took it up.
    Forsaken { left: Option<usize> },
}

/// Releases what is held from switches that no settings name. Nothing is killed there: they are served what Redis wants from now on.
async fn release_others(store: &Store, others: &[HeldBy]) -> Result<Option<Outcome>, StoreError> {
    if others.is_empty() {
        return Ok(None);
    }
    let content = OrderContent {
        states: others.iter().filter_map(|hold| hold.state.clone()).collect(),
        ..OrderContent::default()
    };
    let outcome = order(store, OTHER_SWITCHES, &content, &ProgressBar::hidden()).await?;
    Ok(Some(outcome))
}

/// Orders what was shown of a switch, and waits until that is over.
async fn carry_out(store: &Store, planned: &SwitchPlan, bar: &ProgressBar) -> Result<Outcome, StoreError> {
    let actions = actions(planned).iter();
    let content = OrderContent {
        actions: actions
            .map(|action| (action.gateway().to_string(), shown_change(action)))
            .collect(),
        release: planned.holds.iter().flat_map(|hold| hold.held_back.clone()).collect(),
        states: BTreeSet::new(),
    };
    order(store, &planned.switch, &content, bar).await
}

async fn order(store: &Store, switch: &str, content: &OrderContent, bar: &ProgressBar) -> Result<Outcome, StoreError> {
    let id = store.order(switch, content).await?;
    let (mut left, mut moved, mut heard) = (None, Instant::now(), Instant::now());
    loop {
        // A Redis that hangs for a moment ends nothing.
        if let Ok(reports) = store.read_all_reports().await {
            if let Some(outcome) = outcome(&reports, switch, &id, content) {
                return Ok(outcome);
            }
            let now_left = left_of(&reports, switch, &id);
            if now_left.is_some() && now_left != left {
                let before = left.unwrap_or(content.actions.len());
                let done = before.saturating_sub(now_left.unwrap_or(before));
                bar.inc(u64::try_from(done).unwrap_or_default());
                (left, moved) = (now_left, Instant::now());
            }
            if reports.of(switch).next().is_some() {
                heard = Instant::now();
            }
        }
        if moved.elapsed() > PATIENCE || heard.elapsed() > FIRST_SIGN {
            store.drop_order(switch, &id).await?;
            return Ok(Outcome::Forsaken { left });
        }
        sleep(GLANCE).await;
    }
}

/// It is over when every trunkd that is alive has taken it into account, and the one that changes the switch has done what it could.
fn outcome(reports: &Reports, switch: &str, id: &str, content: &OrderContent) -> Option<Outcome> {
    let (_, leading) = reports.leading(switch)?;
    if !content.actions.is_empty() && !leading.leads {
        return None;
    }
    let mut undone = BTreeMap::new();
    for (_, report) in reports.of(switch) {
        let last = report.last_order.as_ref().filter(|last| last.id == id && last.done)?;
        undone.extend(last.undone.clone());
    }
    let still_held = reports
        .holding(switch)
        .next()
        .and_then(|(_, report)| report.held.clone());
    Some(Outcome::Over { undone, still_held })
}

fn left_of(reports: &Reports, switch: &str, id: &str) -> Option<usize> {
    let (_, leading) = reports.leading(switch).filter(|(_, leading)| leading.leads)?;
    let last = leading.last_order.as_ref().filter(|last| last.id == id)?;
    Some(last.left)
}

impl Outcome {
    fn is_done(&self, planned: &[Action]) -> bool {
        match self {
            Self::Over { undone, still_held } => undone.is_empty() && (!planned.is_empty() || still_held.is_none()),
            Self::Forsaken { .. } => false,
        }
    }

    /// `started 3, restarted 1, killed 2; not done: gw7: reason`.
    fn text(&self, planned: &[Action]) -> String {
        match self {
            Self::Over {
                still_held: Some(held), ..
            } if planned.is_empty() => {
                let held = shown(held);
                format!(
                    "nothing was released, since Redis holds something else by now than was shown: {held}; see `trunkd plan`"
                )
            }
            Self::Over { undone, still_held } => {
                let mut text = done(undone, planned);
                if let Some(held) = still_held {
                    text.push_str(&format!("; and of later edits {}: see `trunkd plan`", shown(held)));
                }
                text
            }
            Self::Forsaken { left } => {
                let all = planned.len();
                let what = match left {
                    Some(left) => format!("no progress for {} s, {left} of {all} were left", PATIENCE.as_secs()),
                    None => format!("no trunkd took the order up, {all} of {all} were left"),
                };
                format!("{what}; the order was taken back. The log of `trunkd serve` says more")
            }
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
        let text = |left| Outcome::Forsaken { left }.text(&planned);
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
        let outcome = Outcome::Over {
            undone,
            still_held: None,
        };
        let planned = [kill(0), kill(1)];
        assert_eq!(outcome.text(&planned), "killed 1; not done: gw1: a \\u{1b}[31m reason");
        assert!(!outcome.is_done(&planned));
    }
}
