//! Desired states: their names, and what a switch loses between two of them. Pure.

use std::collections::{BTreeSet, VecDeque};
use std::sync::{Arc, OnceLock, Weak};

use sha2::{Digest, Sha256};

use crate::gateway::{Desired, Entry, EntryChange, GatewayName};

/// A gateway that some switch loses between two states.
pub(super) struct Lost {
    pub(super) name: GatewayName,
    pub(super) before: Arc<Entry>,
    pub(super) now: Option<Arc<Entry>>,
}

impl Lost {
    pub(super) fn is_of(&self, switch: &str) -> bool {
        let is_kept = |now: &Arc<Entry>| now.gateway.serves(Some(switch));
        self.before.gateway.serves(Some(switch)) && !self.now.as_ref().is_some_and(is_kept)
    }
}

/// The step from one state to another. Computed once for all switches that take it. Keeps neither
/// state alive.
pub(super) struct Step {
    from: Weak<Desired>,
    to: Weak<Desired>,
    lost: Box<[Lost]>,
    /// How many gateways of `from` name no switch.
    everywhere: OnceLock<usize>,
}

impl Step {
    pub(super) fn new(from: &Arc<Desired>, to: &Arc<Desired>) -> Self {
        let lost = EntryChange::between(from.served(), to.served()).filter_map(|change| {
            let before = change.before?;
            let is_lost = change.now.is_none_or(|now| now.gateway.nodes != before.gateway.nodes);
            is_lost.then(|| Lost {
                name: change.name.clone(),
                before: Arc::clone(before),
                now: change.now.cloned(),
            })
        });
        Self {
            lost: lost.collect(),
            from: Arc::downgrade(from),
            to: Arc::downgrade(to),
            everywhere: OnceLock::new(),
        }
    }

    /// The gateways that run on exactly one switch, and now on another one or on none.
    pub(super) fn moved(&self) -> BTreeSet<GatewayName> {
        let is_moved = |lost: &&Lost| lost.now.as_ref().is_some_and(|now| now.gateway.is_on_one());
        self.lost
            .iter()
            .filter(is_moved)
            .map(|lost| lost.name.clone())
            .collect()
    }

    /// The gateways that this switch loses.
    pub(super) fn lost<'a>(&'a self, switch: &'a str) -> impl Iterator<Item = &'a Lost> {
        self.lost.iter().filter(move |lost| lost.is_of(switch))
    }

    /// How many gateways this switch has in `from`, the state at which the step begins.
    pub(super) fn before(&self, from: &Desired, switch: &str) -> usize {
        let everywhere = self.everywhere.get_or_init(|| {
            let entries = from.served().values();
            entries.filter(|entry| entry.gateway.nodes.is_none()).count()
        });
        everywhere + from.naming(switch)
    }
}

/// The most recent steps.
#[derive(Default)]
pub(super) struct Steps(VecDeque<Arc<Step>>);

/// Most switches are at the newest state or at the one before a hold, so few steps are in use.
const STEPS_KEPT: usize = 4;

impl Steps {
    pub(super) fn between(&mut self, from: &Arc<Desired>, to: &Arc<Desired>) -> Arc<Step> {
        let known = self.0.iter().find(|step| is(&step.from, from) && is(&step.to, to));
        if let Some(step) = known {
            return Arc::clone(step);
        }
        let step = Arc::new(Step::new(from, to));
        self.0.push_front(Arc::clone(&step));
        self.0.truncate(STEPS_KEPT);
        step
    }

    #[cfg(test)]
    pub(super) fn taken(&self) -> usize {
        self.0.len()
    }
}

fn is(known: &Weak<Desired>, desired: &Arc<Desired>) -> bool {
    std::ptr::eq(known.as_ptr(), Arc::as_ptr(desired))
}

/// Names a state so that all trunkd can refer to it: the sum of a hash over each gateway's name and
/// nodes. The cost of a step is proportional to its changes.
#[derive(Default)]
pub(super) struct StateNames {
    last: Option<(Arc<Desired>, u128)>,
}

impl StateNames {
    pub(super) fn of(&mut self, desired: &Arc<Desired>) -> String {
        let sum = match &self.last {
            Some((last, sum)) if Arc::ptr_eq(last, desired) => *sum,
            Some((last, sum)) => EntryChange::between(last.served(), desired.served()).fold(*sum, |sum, change| {
                let of = |entry: Option<&Arc<Entry>>| entry.map_or(0, |entry| digest(change.name, entry));
                sum.wrapping_sub(of(change.before)).wrapping_add(of(change.now))
            }),
            None => desired
                .served()
                .iter()
                .fold(0, |sum: u128, (name, entry)| sum.wrapping_add(digest(name, entry))),
        };
        self.last = Some((Arc::clone(desired), sum));
        format!("{sum:032x}")
    }
}

fn digest(name: &GatewayName, entry: &Entry) -> u128 {
    let mut hash = Sha256::new();
    let mut add = |text: &str| {
        hash.update(text.len().to_le_bytes());
        hash.update(text);
    };
    add(name.as_str());
    for node in entry.gateway.nodes.iter().flatten() {
        add(node);
    }
    let mut first = [0; 16];
    first.copy_from_slice(&hash.finalize()[..16]);
    u128::from_le_bytes(first)
}

#[cfg(test)]
mod tests;
