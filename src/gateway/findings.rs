//! All findings about the desired gateways.
//!
//! Tens of thousands of findings are common, because every unknown key is one. So successive states share
//! them, and a comparison costs what changed.

use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

use imbl::OrdMap;
use imbl::ordmap::DiffItem;

use super::Finding;

/// Findings sorted by place, each once. Cheap to clone.
#[derive(Clone, Default)]
pub struct Findings {
    /// How many places have the same finding: names may be equal once shortened.
    counts: OrdMap<Shared, usize>,
}

/// The findings that differ between two states.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct FindingChanges<'a> {
    pub new: Vec<&'a Finding>,
    pub gone: Vec<&'a Finding>,
}

impl Findings {
    pub fn len(&self) -> usize {
        self.counts.len()
    }

    pub fn is_empty(&self) -> bool {
        self.counts.is_empty()
    }

    pub fn iter(&self) -> impl Iterator<Item = &Finding> {
        self.counts.keys().map(|shared| &*shared.0)
    }

    pub fn to_vec(&self) -> Vec<Finding> {
        self.iter().cloned().collect()
    }

    /// What changed since `before`, each list in order.
    pub fn changes_since<'a>(&'a self, before: &'a Findings) -> FindingChanges<'a> {
        let mut changes = FindingChanges::default();
        for change in before.counts.diff(&self.counts) {
            match change {
                DiffItem::Add(finding, _) => changes.new.push(&*finding.0),
                DiffItem::Remove(finding, _) => changes.gone.push(&*finding.0),
                // More or fewer places say the same.
                DiffItem::Update { .. } => {}
            }
        }
        changes
    }

    pub(super) fn add(&mut self, finding: &Arc<Finding>) {
        *self.counts.entry(Shared(Arc::clone(finding))).or_default() += 1;
    }

    pub(super) fn remove(&mut self, finding: &Arc<Finding>) {
        let finding = Shared(Arc::clone(finding));
        if let Some(count @ 2..) = self.counts.remove(&finding) {
            self.counts.insert(finding, count - 1);
        }
    }
}

impl fmt::Debug for Findings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

/// Ordered as the finding itself.
#[derive(Clone)]
struct Shared(Arc<Finding>);

impl Ord for Shared {
    fn cmp(&self, other: &Self) -> Ordering {
        #[cfg(test)]
        work::COMPARISONS.with(|count| count.set(count.get() + 1));
        match Arc::ptr_eq(&self.0, &other.0) {
            true => Ordering::Equal,
            false => self.0.cmp(&other.0),
        }
    }
}

impl PartialOrd for Shared {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Shared {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Shared {}

/// Counts comparisons, so that a test can tell how much work there was.
#[cfg(test)]
pub(super) mod work {
    use std::cell::Cell;

    thread_local! {
        pub(super) static COMPARISONS: Cell<usize> = const { Cell::new(0) };
    }

    /// How many findings were compared while `work` ran on this thread.
    pub(in crate::gateway) fn comparisons<T>(work: impl FnOnce() -> T) -> (usize, T) {
        let before = COMPARISONS.get();
        let done = work();
        (COMPARISONS.get() - before, done)
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;
    use crate::gateway::Severity;
    use crate::language::Message;

    fn finding(number: u8) -> Arc<Finding> {
        Arc::new(Finding {
            domain: "acme".to_owned(),
            gateway: Some(format!("gw{number:03}")),
            field: None,
            severity: Severity::Warning,
            reason: Message::same("it is odd"),
            fix: Message::same("rename it"),
        })
    }

    proptest! {
        #[test]
        fn changes_are_those_of_two_lists(first in vec(0..40u8, 0..60), removed in vec(0..60usize, 0..30), added in vec(0..40u8, 0..30)) {
            let (mut before, mut kept) = (Findings::default(), first.clone());
            first.iter().for_each(|number| before.add(&finding(*number)));
            let mut now = before.clone();
            for at in removed {
                if at < kept.len() {
                    now.remove(&finding(kept.remove(at)));
                }
            }
            for number in added {
                now.add(&finding(number));
                kept.push(number);
            }
            let listed = |mut numbers: Vec<u8>| {
                numbers.sort_unstable();
                numbers.dedup();
                numbers.into_iter().map(|number| (*finding(number)).clone()).collect::<Vec<_>>()
            };
            let (first, kept) = (listed(first), listed(kept));
            prop_assert_eq!(now.to_vec(), kept.clone());
            let changes = now.changes_since(&before);
            prop_assert_eq!(changes.new, kept.iter().filter(|one| !first.contains(one)).collect::<Vec<_>>());
            prop_assert_eq!(changes.gone, first.iter().filter(|one| !kept.contains(one)).collect::<Vec<_>>());
        }
    }
}
