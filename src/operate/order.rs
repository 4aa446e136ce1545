//! Orders: exactly what was shown is done, by the trunkd that changes the switch.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::{Instant, sleep};

use super::plan::{HeldBy, SwitchPlan};
use super::{OperateError, is_watched};
use crate::control::{OTHER_SWITCHES, OrderContent, Reports};
use crate::language::Message;
use crate::observed::SwitchState;
use crate::reconcile::{Action, shown_change};
use crate::redis::{Store, StoreError};
use crate::settings::Settings;

/// An order without progress for this long is taken back. The slowest step is a `startgw`, which may
/// take as long.
pub const PROGRESS_LIMIT: Duration = Duration::from_secs(30);
/// How often the reports are read.
const POLL_INTERVAL: Duration = Duration::from_millis(200);
/// A serving trunkd writes to Redis every 5 s, also after Redis lost everything.
const FIRST_REPORT_LIMIT: Duration = Duration::from_secs(6);

/// How an order ended.
#[derive(Debug, PartialEq, Eq)]
pub enum OrderOutcome {
    Finished {
        /// gateway → why its change was not made.
        undone: BTreeMap<String, String>,
        /// A hold that remains, because of later edits.
        still_held: Option<Message>,
    },
    /// Nobody finished it, and it was taken back. `left` changes were not made; `None` if no trunkd took
    /// it up.
    Abandoned { left: Option<usize> },
}

impl OrderOutcome {
    /// Whether everything that was planned is done.
    pub fn is_done(&self, planned: &[Action]) -> bool {
        match self {
            Self::Finished { undone, still_held } => undone.is_empty() && (!planned.is_empty() || still_held.is_none()),
            Self::Abandoned { .. } => false,
        }
    }
}

/// Checks that a trunkd is there to carry out these plans. Waits a moment for one that Redis has just
/// forgotten.
///
/// # Errors
/// [`OperateError::NoneServes`] or [`OperateError::NotConnected`].
pub async fn check_served(settings: &Settings, store: &Store, work: &[&SwitchPlan]) -> Result<(), OperateError> {
    let start = Instant::now();
    loop {
        let switches = store.read_switches(None).await.map_err(OperateError::at(settings))?;
        let now = Timestamp::now();
        let is_served = |state: &SwitchState| is_watched(state, now);
        // The switch need not be connected to release what is held.
        let mut changing = work.iter().filter(|plan| !plan.actions().is_empty());
        let away = changing.find(|plan| {
            !switches
                .iter()
                .any(|(name, state, _)| *name == plan.switch && is_served(state))
        });
        let Some(away) = away else { return Ok(()) };
        if !switches.is_empty() || start.elapsed() > FIRST_REPORT_LIMIT {
            return Err(match switches.iter().any(|(_, state, _)| is_served(state)) {
                false => OperateError::NoneServes,
                true => OperateError::NotConnected(away.switch.clone()),
            });
        }
        sleep(POLL_INTERVAL).await;
    }
}

/// Orders what was shown for a switch, approved by `by`, and waits for the end. Calls `progress` with the number of
/// changes that were made since the last call.
///
/// # Errors
/// Redis can't be written.
pub async fn carry_out(
    settings: &Settings,
    store: &Store,
    by: &str,
    planned: &SwitchPlan,
    progress: impl Fn(usize),
) -> Result<OrderOutcome, OperateError> {
    let ordering = async {
        release_edits(store, planned).await?;
        order(store, by, &planned.switch, &content(planned), progress).await
    };
    ordering.await.map_err(OperateError::at(settings))
}

/// Edits that were taken back or wait are wanted again. First: an order is about what is wanted.
async fn release_edits(store: &Store, planned: &SwitchPlan) -> Result<(), StoreError> {
    let released = planned
        .rollbacks
        .iter()
        .map(|(name, rollback)| (name.clone(), rollback.phase, rollback.released(Timestamp::now())));
    store.change_rollbacks(&released.collect::<Vec<_>>()).await.map(drop)
}

/// Exactly what the plan shows.
pub(super) fn content(planned: &SwitchPlan) -> OrderContent {
    let actions = planned.actions().iter();
    OrderContent {
        actions: actions
            .map(|action| (action.gateway().to_string(), shown_change(action)))
            .collect(),
        release: planned.holds.iter().flat_map(|hold| hold.held_back.clone()).collect(),
        states: BTreeSet::new(),
    }
}

/// Releases what is held for switches that no settings name. Nothing is killed there; they are served
/// what Redis wants.
///
/// # Errors
/// Redis can't be written.
pub async fn release_others(
    settings: &Settings,
    store: &Store,
    by: &str,
    others: &[HeldBy],
) -> Result<Option<OrderOutcome>, OperateError> {
    if others.is_empty() {
        return Ok(None);
    }
    let content = OrderContent {
        states: others.iter().filter_map(|hold| hold.state.clone()).collect(),
        ..OrderContent::default()
    };
    let outcome = order(store, by, OTHER_SWITCHES, &content, |_| {}).await;
    outcome.map(Some).map_err(OperateError::at(settings))
}

async fn order(
    store: &Store,
    by: &str,
    switch: &str,
    content: &OrderContent,
    progress: impl Fn(usize),
) -> Result<OrderOutcome, StoreError> {
    let id = store.order(switch, content, by).await?;
    let (mut left, mut moved, mut reported) = (None, Instant::now(), Instant::now());
    loop {
        // A read that fails for a moment ends nothing.
        if let Ok(reports) = store.read_all_reports().await {
            if let Some(outcome) = outcome(&reports, switch, &id, content) {
                return Ok(outcome);
            }
            let now_left = changes_left(&reports, switch, &id);
            if now_left.is_some() && now_left != left {
                let before = left.unwrap_or(content.actions.len());
                progress(before.saturating_sub(now_left.unwrap_or(before)));
                (left, moved) = (now_left, Instant::now());
            }
            if reports.of(switch).next().is_some() {
                reported = Instant::now();
            }
        }
        if moved.elapsed() > PROGRESS_LIMIT || reported.elapsed() > FIRST_REPORT_LIMIT {
            store.drop_order(switch, &id).await?;
            return Ok(OrderOutcome::Abandoned { left });
        }
        sleep(POLL_INTERVAL).await;
    }
}

/// The order is finished when every running trunkd has taken it into account, and the lease holder has
/// done what it could.
fn outcome(reports: &Reports, switch: &str, id: &str, content: &OrderContent) -> Option<OrderOutcome> {
    let (_, leading) = reports.leading(switch)?;
    if !content.actions.is_empty() && !leading.leads {
        return None;
    }
    let mut undone = BTreeMap::new();
    for (_, report) in reports.of(switch) {
        let last = report.last_order.as_ref().filter(|last| last.id == id && last.done)?;
        undone.extend(last.undone.clone());
    }
    let still_held = reports.holding(switch).next().and_then(|(_, report)| report.held());
    Some(OrderOutcome::Finished { undone, still_held })
}

fn changes_left(reports: &Reports, switch: &str, id: &str) -> Option<usize> {
    let (_, leading) = reports.leading(switch).filter(|(_, leading)| leading.leads)?;
    let last = leading.last_order.as_ref().filter(|last| last.id == id)?;
    Some(last.left)
}

#[cfg(test)]
mod tests;
