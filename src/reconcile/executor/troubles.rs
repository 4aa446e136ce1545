//! Gateways whose last action failed, and when each is tried again. Pure: the time is passed in.

use std::collections::{BTreeSet, HashMap};

use tokio::time::Instant;

use super::Timing;
use crate::backoff::Backoff;
use crate::gateway::GatewayName;
use crate::reconcile::plan::{Action, Plan};

/// How many refusals in a row prove that FreeSWITCH refuses a version. A timeout, or an answer that it
/// could not read, looks like one refusal.
pub(super) const MAX_REFUSALS: u32 = 3;

/// The gateways that are not as they should be.
#[derive(Default)]
pub(super) struct Troubles(HashMap<GatewayName, Trouble>);

/// Why a gateway is not as it should be.
struct Trouble {
    /// The version that failed. Another version is tried without delay.
    revision: Option<String>,
    reason: String,
    /// How many times in a row FreeSWITCH refused it.
    refusals: u32,
    /// `None`: this version is not tried again.
    retry_at: Option<Instant>,
    backoff: Backoff,
}

/// How an action failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Failure {
    /// FreeSWITCH does not accept this version.
    Refused,
    /// Anything that may pass by itself.
    Temporary,
}

/// What happens after a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Retry {
    /// `is_new`: the reason is not the one of the failure before.
    Later { is_new: bool },
    /// Not until the gateway is edited or ordered.
    Never,
}

impl Troubles {
    pub(super) fn record(
        &mut self,
        action: &Action,
        failure: Failure,
        reason: String,
        now: Instant,
        timing: &Timing,
    ) -> Retry {
        let trouble = self.0.entry(action.gateway().clone()).or_insert_with(|| Trouble {
            revision: None,
            reason: String::new(),
            refusals: 0,
            retry_at: None,
            backoff: Backoff::new(timing.first_retry, timing.most_retry),
        });
        let delay = trouble.backoff.delay();
        trouble.refusals = match failure {
            Failure::Refused => trouble.refusals + 1,
            Failure::Temporary => 0,
        };
        let retry = match trouble.refusals >= MAX_REFUSALS {
            true => Retry::Never,
            false => Retry::Later {
                is_new: trouble.reason != reason,
            },
        };
        trouble.retry_at = (retry != Retry::Never).then(|| now + delay);
        trouble.revision = action.to().map(|to| to.revision.clone());
        trouble.reason = reason;
        retry
    }

    /// The last action on this gateway succeeded.
    pub(super) fn resolve(&mut self, gateway: &GatewayName) {
        self.0.remove(gateway);
    }

    /// A trouble is over when nothing is left to do about the gateway, or something else.
    pub(super) fn forget_resolved(&mut self, plan: &Plan, unsettled: &BTreeSet<GatewayName>) {
        let actions = plan.actions.iter();
        let planned: HashMap<_, _> = actions.map(|action| (action.gateway(), action.to())).collect();
        self.0.retain(|name, trouble| match planned.get(name) {
            Some(to) => to.map(|to| &to.revision) == trouble.revision.as_ref(),
            None => unsettled.contains(name),
        });
    }

    /// Tries these again without delay, whatever failed before.
    pub(super) fn forget(&mut self, gateways: &BTreeSet<GatewayName>) {
        self.0.retain(|name, _| !gateways.contains(name));
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    /// Whether this gateway may be acted on; `None` if its last action did not fail.
    pub(super) fn may_retry(&self, gateway: &GatewayName, now: Instant) -> Option<bool> {
        let trouble = self.0.get(gateway)?;
        Some(trouble.retry_at.is_some_and(|retry_at| retry_at <= now))
    }

    /// Whether this gateway's last action failed and is tried again.
    pub(super) fn will_retry(&self, gateway: &GatewayName) -> bool {
        self.0.get(gateway).is_some_and(|trouble| trouble.retry_at.is_some())
    }

    pub(super) fn retries(&self) -> impl Iterator<Item = Instant> {
        self.0.values().filter_map(|trouble| trouble.retry_at)
    }

    pub(super) fn reason(&self, gateway: &GatewayName) -> Option<&str> {
        self.0.get(gateway).map(|trouble| trouble.reason.as_str())
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&GatewayName, &str)> {
        self.0.iter().map(|(name, trouble)| (name, trouble.reason.as_str()))
    }

    /// One line for `/health`: the first gateway by name, and how many more there are.
    pub(super) fn summary(&self) -> Option<String> {
        let (gateway, reason) = self.iter().min_by_key(|(name, _)| *name)?;
        let more = match self.0.len() - 1 {
            0 => String::new(),
            more => format!(" (and {more} more: `trunkd status`)"),
        };
        Some(format!("gateway {gateway}: {reason}{more}"))
    }
}

#[cfg(test)]
mod tests;
