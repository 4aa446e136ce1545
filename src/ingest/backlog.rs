//! Events on their way to Redis. Bounded: with Redis away for long, the channel and the list lose the oldest events, which are counted; the
//! hashes lose nothing, since the newest event of each gateway stays. Where there is no channel and no list, that is all that ever waits.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use bytes::Bytes;

use crate::store::{Change, Observation};

/// An event of one run of the switch.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Entry {
    pub(super) core_uuid: Arc<str>,
    pub(super) observation: Observation,
}

impl AsRef<Observation> for Entry {
    fn as_ref(&self) -> &Observation {
        &self.observation
    }
}

/// What waits, oldest first.
#[derive(Debug)]
pub(super) struct Backlog {
    entries: VecDeque<Entry>,
    /// For the hashes alone, and older than all of `entries`.
    newest: Newest,
    limit: usize,
    /// Whether there is a channel or a list, that every event goes to.
    announces: bool,
    dropped: u64,
}

/// The newest change of each gateway, in the order in which the gateways came.
#[derive(Debug, Default)]
struct Newest {
    order: VecDeque<Arc<str>>,
    of: HashMap<Arc<str>, Entry>,
}

impl Backlog {
    /// Keeps up to `limit` events whole.
    pub(super) fn new(limit: usize, announces: bool) -> Self {
        Self {
            entries: VecDeque::new(),
            newest: Newest::default(),
            limit,
            announces,
            dropped: 0,
        }
    }

    pub(super) fn push(&mut self, entry: Entry) {
        if self.announces || entry.observation.change == Change::Nothing {
            self.entries.push_back(entry);
            self.shed();
        } else {
            self.newest.push(entry);
        }
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len() + self.newest.of.len()
    }

    /// How many more events find room before others are dropped for them.
    pub(super) fn room(&self) -> usize {
        self.limit.saturating_sub(self.entries.len())
    }

    /// How many events the channel and the list lost since this was last asked.
    pub(super) fn take_dropped(&mut self) -> u64 {
        std::mem::take(&mut self.dropped)
    }

    /// Up to `most` events of one run, oldest first; give them back with [`Backlog::put_back`] if they could not be written.
    pub(super) fn take(&mut self, most: usize) -> Vec<Entry> {
        let mut batch: Vec<Entry> = Vec::with_capacity(most.min(self.len()));
        while batch.len() < most {
            match self.newest.front().or(self.entries.front()) {
                Some(entry) if batch.first().is_none_or(|first| first.core_uuid == entry.core_uuid) => {}
                _ => break,
            }
            batch.extend(self.newest.pop_front().or_else(|| self.entries.pop_front()));
        }
        batch
    }

    /// Puts a batch that was taken back in front.
    pub(super) fn put_back(&mut self, batch: Vec<Entry>) {
        for entry in batch.into_iter().rev() {
            let is_whole = match entry.observation.change {
                Change::Nothing => true,
                _ => self.announces && entry.observation.announce,
            };
            if is_whole {
                self.entries.push_front(entry);
            } else {
                self.newest.put_back(entry);
            }
        }
        self.shed();
    }

    fn shed(&mut self) {
        while self.entries.len() > self.limit {
            let Some(mut entry) = self.entries.pop_front() else {
                return;
            };
            self.dropped += u64::from(self.announces);
            if entry.observation.change != Change::Nothing {
                entry.observation.announce = false;
                self.newest.push(entry);
            }
        }
    }
}

impl Newest {
    fn push(&mut self, mut entry: Entry) {
        match self.of.get_mut(&entry.observation.gateway) {
            // Of one run, the mark says what is newer: a late event may come last.
            Some(known) if known.core_uuid == entry.core_uuid && known.observation.mark > entry.observation.mark => {}
            known => {
                // Else the whole read buffer that it is a part of would stay with it.
                entry.observation.json = Bytes::copy_from_slice(&entry.observation.json);
                match known {
                    Some(known) => *known = entry,
                    None => {
                        let gateway = entry.observation.gateway.clone();
                        self.order.push_back(gateway.clone());
                        self.of.insert(gateway, entry);
                    }
                }
            }
        }
    }

    fn front(&self) -> Option<&Entry> {
        self.of.get(self.order.front()?)
    }

    fn pop_front(&mut self) -> Option<Entry> {
        self.of.remove(&self.order.pop_front()?)
    }

    /// A newer one that came meanwhile stands.
    fn put_back(&mut self, entry: Entry) {
        let gateway = entry.observation.gateway.clone();
        if !self.of.contains_key(&gateway) {
            self.order.push_front(gateway.clone());
            self.of.insert(gateway, entry);
        }
    }
}

#[cfg(test)]
mod tests {
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
        let mut backlog = Backlog::new(10, true);
        for (sequence, core) in [(7, "a"), (8, "a"), (1, "b")] {
            backlog.push(entry(sequence, "g", core));
        }
        let sizes: Vec<_> = std::iter::from_fn(|| Some(backlog.take(10)).filter(|batch| !batch.is_empty()))
            .map(|b| b.len())
            .collect();
        assert_eq!(sizes, [2, 1]);
    }

    #[test]
    fn with_no_channel_and_no_list_the_newest_of_each_gateway_waits_and_nothing_is_dropped() {
        let mut backlog = Backlog::new(2, false);
        for sequence in 1..=100 {
            backlog.push(entry(sequence, ["a", "b", "c"][sequence as usize % 3], "core"));
        }
        let mut late = entry(50, "a", "core");
        late.observation.mark = 50;
        backlog.push(late);
        let batch = backlog.take(10);
        backlog.put_back(batch);
        backlog.push(entry(101, "c", "core"));
        let sequences: Vec<_> = backlog.take(10).iter().map(|e| e.observation.sequence).collect();
        assert_eq!(sequences, [100, 101, 99]);
        assert_eq!(backlog.take_dropped(), 0);
    }

    proptest! {
        /// Whatever is pushed, taken and put back: order is kept, the bound holds, each gateway's newest change arrives, and what the
        /// channel did not get was counted.
        #[test]
        fn nothing_is_lost_uncounted_and_the_newest_of_each_gateway_stays(
            steps in proptest::collection::vec((0u8..4, 0u8..5, 1usize..7), 1..200),
            limit in 1usize..20,
        ) {
            let mut backlog = Backlog::new(limit, true);
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
