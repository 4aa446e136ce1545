//! Events on their way to Redis. Bounded: with Redis away for long, the channel and the list lose the oldest events, which are counted; the
//! hashes lose nothing, since the newest event of each gateway stays.

use std::collections::VecDeque;
use std::sync::Arc;

use indexmap::IndexMap;

use crate::store::{Change, Observation};

/// An event of one run of the switch.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Entry {
    pub(super) core_uuid: Arc<str>,
    pub(super) observation: Observation,
}

/// What waits, oldest first.
#[derive(Debug)]
pub(super) struct Backlog {
    entries: VecDeque<Entry>,
    /// The newest change of each gateway whose event had to leave `entries`: for the hashes alone, and older than all of `entries`.
    overflow: IndexMap<Arc<str>, Entry>,
    limit: usize,
    dropped: u64,
}

impl Backlog {
    /// Keeps up to `limit` events whole.
    pub(super) fn new(limit: usize) -> Self {
        Self {
            entries: VecDeque::new(),
            overflow: IndexMap::new(),
            limit,
            dropped: 0,
        }
    }

    pub(super) fn push(&mut self, entry: Entry) {
        self.entries.push_back(entry);
        self.shed();
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len() + self.overflow.len()
    }

    /// How many events the channel and the list lost since this was last asked.
    pub(super) fn take_dropped(&mut self) -> u64 {
        std::mem::take(&mut self.dropped)
    }

    /// Up to `most` events of one run, oldest first; give them back with [`Backlog::put_back`] if they could not be written.
    pub(super) fn take(&mut self, most: usize) -> Vec<Entry> {
        let mut batch: Vec<Entry> = Vec::new();
        while batch.len() < most {
            let front = self.overflow.first().map(|(_, entry)| entry).or(self.entries.front());
            match front {
                Some(entry) if batch.first().is_none_or(|first| first.core_uuid == entry.core_uuid) => {}
                _ => break,
            }
            let taken = self
                .overflow
                .shift_remove_index(0)
                .map(|(_, entry)| entry)
                .or_else(|| self.entries.pop_front());
            batch.extend(taken);
        }
        batch
    }

    /// Puts a batch that was taken back in front.
    pub(super) fn put_back(&mut self, batch: Vec<Entry>) {
        for entry in batch.into_iter().rev() {
            if entry.observation.announce {
                self.entries.push_front(entry);
            } else {
                self.overflow.entry(entry.observation.gateway.clone()).or_insert(entry);
            }
        }
        self.shed();
    }

    fn shed(&mut self) {
        while self.entries.len() > self.limit {
            let Some(mut entry) = self.entries.pop_front() else {
                return;
            };
            self.dropped += 1;
            if entry.observation.change != Change::Nothing {
                entry.observation.announce = false;
                let gateway = entry.observation.gateway.clone();
                self.overflow.shift_remove(&gateway);
                self.overflow.insert(gateway, entry);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use proptest::prelude::*;

    use super::*;

    fn entry(sequence: u64, gateway: &str, core: &str) -> Entry {
        let observation = Observation {
            sequence,
            gateway: gateway.into(),
            change: Change::Delete,
            mark: sequence,
            json: Bytes::new(),
            announce: true,
        };
        Entry {
            core_uuid: core.into(),
            observation,
        }
    }

    #[test]
    fn a_batch_never_mixes_two_runs() {
        let mut backlog = Backlog::new(10);
        for (sequence, core) in [(7, "a"), (8, "a"), (1, "b")] {
            backlog.push(entry(sequence, "g", core));
        }
        let sizes: Vec<_> = std::iter::from_fn(|| Some(backlog.take(10)).filter(|batch| !batch.is_empty()))
            .map(|b| b.len())
            .collect();
        assert_eq!(sizes, [2, 1]);
    }

    proptest! {
        /// Whatever is pushed, taken and put back: order is kept, the bound holds, each gateway's newest change arrives, and what the
        /// channel did not get was counted.
        #[test]
        fn nothing_is_lost_uncounted_and_the_newest_of_each_gateway_stays(
            steps in proptest::collection::vec((0u8..4, 0u8..5, 1usize..7), 1..200),
            limit in 1usize..20,
        ) {
            let mut backlog = Backlog::new(limit);
            let (mut written, mut newest, mut pushed, mut dropped) = (Vec::new(), std::collections::HashMap::new(), 0u64, 0u64);
            for (kind, gateway, size) in steps {
                match kind {
                    0 | 1 => {
                        pushed += 1;
                        newest.insert(gateway.to_string(), pushed);
                        backlog.push(entry(pushed, &gateway.to_string(), "core"));
                    }
                    2 => { let batch = backlog.take(size); backlog.put_back(batch); }
                    _ => written.extend(backlog.take(size)),
                }
                dropped += backlog.take_dropped();
                prop_assert!(backlog.len() <= limit + 5);
            }
            written.extend(backlog.take(usize::MAX));
            dropped += backlog.take_dropped();
            prop_assert_eq!(backlog.len(), 0);
            let announced: Vec<_> = written.iter().filter(|e| e.observation.announce).map(|e| e.observation.sequence).collect();
            prop_assert!(announced.is_sorted());
            prop_assert_eq!(announced.len() as u64 + dropped, pushed);
            let mut last = std::collections::HashMap::new();
            for entry in &written {
                let before = last.insert(entry.observation.gateway.to_string(), entry.observation.sequence);
                prop_assert!(before.is_none_or(|before| before < entry.observation.sequence));
            }
            prop_assert_eq!(last, newest);
        }
    }
}
