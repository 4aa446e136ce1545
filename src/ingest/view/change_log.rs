//! Which gateways changed, numbered, so that any number of readers can follow at their own pace.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// Gateways that the log remembers: some 2 MB a switch at names of usual length. Reading all gateways costs a reader no
/// more than reading this many changes.
const MAX_CHANGES: usize = 16_384;

/// How far a reader has followed. A new one has read nothing, so it is told to read everything.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Cursor(u64);

/// What a reader has to read.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::ingest) enum Changes {
    /// Every gateway: the reader is new, fell behind the log, or everything changed.
    All,
    /// These, each once, in the order of their last changes.
    Only(Vec<Arc<str>>),
}

/// Holds the newest change of each gateway alone, so a gateway that changes often pushes no other out.
#[derive(Debug)]
pub(in crate::ingest) struct ChangeLog {
    /// The number of the last change.
    last: u64,
    /// Readers that have not read up to here must read everything.
    complete_after: u64,
    by_number: BTreeMap<u64, Arc<str>>,
    numbers: HashMap<Arc<str>, u64>,
    max_changes: usize,
}

impl Default for ChangeLog {
    fn default() -> Self {
        Self::with_capacity(MAX_CHANGES)
    }
}

impl ChangeLog {
    fn with_capacity(max_changes: usize) -> Self {
        Self {
            last: 1,
            complete_after: 1,
            by_number: BTreeMap::new(),
            numbers: HashMap::new(),
            max_changes,
        }
    }

    /// One gateway changed, came or went.
    pub(super) fn record(&mut self, gateway: &Arc<str>) {
        self.last += 1;
        if let Some(number) = self.numbers.get_mut(gateway) {
            self.by_number.remove(number);
            *number = self.last;
        } else {
            self.numbers.insert(gateway.clone(), self.last);
        }
        self.by_number.insert(self.last, gateway.clone());
        if self.by_number.len() > self.max_changes
            && let Some((number, oldest)) = self.by_number.pop_first()
        {
            self.numbers.remove(&oldest);
            self.complete_after = number;
        }
    }

    /// Everything may have changed.
    pub(super) fn record_all(&mut self) {
        self.last += 1;
        self.complete_after = self.last;
        self.by_number.clear();
        self.numbers.clear();
    }

    /// What changed since `cursor` was here last. Moves the cursor to the last change.
    pub(super) fn read(&self, cursor: &mut Cursor) -> Changes {
        let read_up_to = std::mem::replace(&mut cursor.0, self.last);
        if read_up_to < self.complete_after {
            return Changes::All;
        }
        Changes::Only(
            self.by_number
                .range(read_up_to + 1..)
                .map(|(_, name)| name.clone())
                .collect(),
        )
    }
}

#[cfg(test)]
mod tests;
