//! Entries in the history: what was done on the switch, and holds. Only the lease holder records.

use std::time::Duration;

use futures_util::StreamExt;
use tokio::time::Instant;

use super::{DesiredSource, Executor, Switch};
use crate::gateway::GatewayName;
use crate::history::{ActionKind, ActionOutcome, Entry, Event};
use crate::language::Language;
use crate::reconcile::plan::{Action, Decision};
use crate::shown::shown_within;

/// The changes of a larger plan are summed up in one entry.
const MAX_SINGLE: usize = 200;
/// Entries that are written at the same time.
const AT_ONCE: usize = 16;
/// Bytes of a reason.
const MAX_REASON: usize = 512;

/// What was done on the switch and is not recorded yet.
#[derive(Default)]
pub(super) struct ActionLog {
    entries: Vec<Entry>,
    /// Of a plan that is too large for single entries.
    sum: Option<Sum>,
}

struct Sum {
    began: Instant,
    started: usize,
    restarted: usize,
    killed: usize,
    failed: usize,
}

impl ActionLog {
    /// A plan with this many changes is about to be carried out.
    pub(super) fn begin(&mut self, actions: usize) {
        if actions > MAX_SINGLE && self.sum.is_none() {
            self.sum = Some(Sum {
                began: Instant::now(),
                started: 0,
                restarted: 0,
                killed: 0,
                failed: 0,
            });
        }
    }

    /// `failure`: why it failed. A repeated failure is not added. `by`: who asked for it, if anybody did.
    pub(super) fn add(
        &mut self,
        switch: &str,
        action: &Action,
        domain: Option<String>,
        failure: Option<&str>,
        took: Duration,
        by: Option<&str>,
    ) {
        if let Some(sum) = &mut self.sum {
            *match (action, failure) {
                (_, Some(_)) => &mut sum.failed,
                (Action::Start { .. }, None) => &mut sum.started,
                (Action::Restart { .. }, None) => &mut sum.restarted,
                (Action::Kill { .. }, None) => &mut sum.killed,
            } += 1;
            return;
        }
        let of = (action.gateway(), domain);
        self.add_one(switch, kind(action), of, failure, took, by);
    }

    /// One entry, however many there are.
    pub(super) fn add_one(
        &mut self,
        switch: &str,
        action: ActionKind,
        (gateway, domain): (&GatewayName, Option<String>),
        failure: Option<&str>,
        took: Duration,
        by: Option<&str>,
    ) {
        let event = Event::Action {
            action,
            outcome: match failure {
                Some(_) => ActionOutcome::Failed,
                None => ActionOutcome::Done,
            },
            reason: failure.map(|reason| shown_within(reason, MAX_REASON).to_string()),
            ms: u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
        };
        let mut entry = Entry::of_switch(switch, event).with_gateway(gateway.as_str(), domain);
        if let Some(by) = by {
            by.clone_into(&mut entry.who);
        }
        self.entries.push(entry);
    }

    /// What can be recorded now. A sum is complete when its plan is.
    fn take(&mut self, switch: &str, is_plan_done: bool) -> Vec<Entry> {
        let mut entries = std::mem::take(&mut self.entries);
        if is_plan_done && let Some(sum) = self.sum.take() {
            let event = Event::Actions {
                started: sum.started,
                restarted: sum.restarted,
                killed: sum.killed,
                failed: sum.failed,
                seconds: sum.began.elapsed().as_secs(),
            };
            entries.push(Entry::of_switch(switch, event));
        }
        entries
    }
}

fn kind(action: &Action) -> ActionKind {
    match action {
        Action::Start { .. } => ActionKind::Start,
        Action::Restart { .. } => ActionKind::Restart,
        Action::Kill { .. } => ActionKind::Kill,
    }
}

impl<S: Switch, W: DesiredSource> Executor<S, W> {
    /// Records what was done. What Redis does not take is lost: the changes are made, and in the log.
    pub(super) async fn record_actions(&mut self, is_plan_done: bool) {
        let entries = self.memory.action_log.take(self.switch.name(), is_plan_done);
        let history = &self.history;
        futures_util::stream::iter(&entries)
            .for_each_concurrent(AT_ONCE, |entry| async {
                let _ = history.record(entry).await;
            })
            .await;
    }

    /// Records when the plan becomes held, and when it no longer is.
    pub(super) async fn record_hold(&mut self, decision: &Decision) {
        let is_held = decision.held.is_some();
        if self.memory.recorded_hold == Some(is_held) {
            return;
        }
        let name = self.switch.name();
        let done = match &decision.held {
            Some(held) => {
                let reason = held.summary_message();
                let event = Event::Hold {
                    reason: reason.en().to_owned(),
                    reason_zh: Some(reason.in_language(Language::Zh).to_owned()),
                };
                let entry = Entry::of_switch(name, event);
                self.store.begin_hold(&self.history, name, &entry).await
            }
            None => {
                let entry = Entry {
                    who: self.approver().unwrap_or_else(|| "trunkd".to_owned()),
                    ..Entry::of_switch(name, Event::Release)
                };
                self.store.end_hold(&self.history, name, &entry).await
            }
        };
        // If Redis didn't take it, the next plan tries again.
        self.memory.recorded_hold = done.is_ok().then_some(is_held);
    }

    /// Who approved what is being carried out.
    fn approver(&self) -> Option<String> {
        let read = self.memory.order.as_ref().filter(|read| !read.is_finished)?;
        read.head.by.clone()
    }

    /// The domain of a gateway that is acted on; of a removed one the last known.
    pub(super) fn domain_of(&self, action: &Action) -> Option<String> {
        let wanted = action.to().map(|to| to.domain.to_string());
        let former = || self.memory.former_domains.get(action.gateway());
        wanted.or_else(|| former().map(ToString::to_string))
    }
}

#[cfg(test)]
mod tests;
