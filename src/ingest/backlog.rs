//! Events on their way to Redis. Bounded: with Redis away for long, the channel and the list lose the oldest events, which are counted; the
//! hashes lose nothing, since the newest event of each gateway stays. Where there is no channel and no list, that is all that ever waits.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use bytes::Bytes;

use crate::observed::{Change, Observation};

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

/// How much waits at most.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// Events that wait whole.
    pub(super) events: usize,
    /// Memory, of those and of what waits for the hashes alone. The switch decides how long an event is.
    pub(super) bytes: usize,
}

/// What found no room.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Dropped {
    /// Events that the channel and the list do not get.
    pub(super) announcements: u64,
    /// Gateways whose state the hashes do not get: a snapshot is due.
    pub(super) states: u64,
}

/// What waits, oldest first.
#[derive(Debug)]
pub(super) struct Backlog {
    entries: VecDeque<Entry>,
    /// For the hashes alone, and older than all of `entries`.
    newest: Newest,
    limits: Limits,
    /// What all of it takes.
    bytes: usize,
    /// Whether there is a channel or a list, that every event goes to.
    announces: bool,
    dropped: Dropped,
}

/// The newest change of each gateway, in the order in which the gateways came.
#[derive(Debug, Default)]
struct Newest {
    order: VecDeque<Arc<str>>,
    of: HashMap<Arc<str>, Entry>,
}

impl Entry {
    /// What it takes in memory, about: the event, the texts in its row, which are the event's, and the rest of both.
    fn bytes(&self) -> usize {
        const REST: usize = 768;
        2 * self.observation.json.len() + REST
    }
}

impl Backlog {
    pub(super) fn new(limits: Limits, announces: bool) -> Self {
        Self {
            entries: VecDeque::new(),
            newest: Newest::default(),
            limits,
            bytes: 0,
            announces,
            dropped: Dropped::default(),
        }
    }

    pub(super) fn push(&mut self, mut entry: Entry) {
        // Else the whole read buffer that it is a part of would stay with it.
        entry.observation.json = Bytes::copy_from_slice(&entry.observation.json);
        self.bytes += entry.bytes();
        if self.announces || entry.observation.change == Change::Nothing {
            self.entries.push_back(entry);
        } else {
            self.bytes -= self.newest.push(entry);
        }
        self.shed();
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len() + self.newest.of.len()
    }

    /// How many more events of `event_bytes` find room before others are dropped for them.
    pub(super) fn room(&self, event_bytes: usize) -> usize {
        let bytes = self.limits.bytes.saturating_sub(self.bytes);
        let events = self.limits.events.saturating_sub(self.entries.len());
        events.min(bytes / event_bytes)
    }

    /// What was lost since this was last asked.
    pub(super) fn take_dropped(&mut self) -> Dropped {
        std::mem::take(&mut self.dropped)
    }

    /// Up to `most` events of one run and about `bytes`, oldest first; give them back with [`Backlog::put_back`] if they
    /// could not be written.
    pub(super) fn take(&mut self, most: usize, bytes: usize) -> Vec<Entry> {
        let mut batch: Vec<Entry> = Vec::with_capacity(most.min(self.len()));
        let before = self.bytes;
        while batch.len() < most && before - self.bytes < bytes {
            match self.newest.front().or(self.entries.front()) {
                Some(entry) if batch.first().is_none_or(|first| first.core_uuid == entry.core_uuid) => {}
                _ => break,
            }
            let entry = self.newest.pop_front().or_else(|| self.entries.pop_front());
            self.bytes -= entry.as_ref().map_or(0, Entry::bytes);
            batch.extend(entry);
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
            self.bytes += entry.bytes();
            if is_whole {
                self.entries.push_front(entry);
            } else {
                self.bytes -= self.newest.put_back(entry);
            }
        }
        self.shed();
    }

    /// The marks of this run that are higher than `newest` are not to be believed: what they are of goes to the channel and
    /// the list, and not to the hashes.
    pub(super) fn distrust(&mut self, core_uuid: &str, newest: u64) {
        let is_odd = |entry: &Entry| &*entry.core_uuid == core_uuid && entry.observation.mark > newest;
        for entry in self.entries.iter_mut().filter(|entry| is_odd(entry)) {
            entry.observation.change = Change::Nothing;
            entry.observation.is_odd = true;
        }
        let odd: Vec<_> = self
            .newest
            .of
            .iter()
            .filter(|(_, entry)| is_odd(entry))
            .map(|(name, _)| name.clone())
            .collect();
        for name in odd {
            self.bytes -= self.newest.remove(&name).map_or(0, |entry| entry.bytes());
        }
    }

    fn shed(&mut self) {
        while self.entries.len() > self.limits.events || self.bytes > self.limits.bytes {
            let Some(mut entry) = self.entries.pop_front() else {
                // What is left is of each gateway the newest.
                let Some(entry) = self.newest.pop_front() else { return };
                self.bytes -= entry.bytes();
                self.dropped.states += 1;
                continue;
            };
            self.dropped.announcements += u64::from(self.announces);
            if entry.observation.change == Change::Nothing {
                self.bytes -= entry.bytes();
            } else {
                entry.observation.announce = false;
                self.bytes -= self.newest.push(entry);
            }
        }
    }
}

impl Newest {
    /// Answers what no longer takes room for it.
    fn push(&mut self, entry: Entry) -> usize {
        let gateway = entry.observation.gateway.clone();
        match self.of.remove(&gateway) {
            Some(known) => {
                let both = known.bytes() + entry.bytes();
                let newer = newer(known, entry);
                let left = newer.bytes();
                self.of.insert(gateway, newer);
                both - left
            }
            None => {
                self.order.push_back(gateway.clone());
                self.of.insert(gateway, entry);
                0
            }
        }
    }

    fn front(&self) -> Option<&Entry> {
        self.of.get(self.order.front()?)
    }

    fn pop_front(&mut self) -> Option<Entry> {
        self.of.remove(&self.order.pop_front()?)
    }

    fn remove(&mut self, gateway: &Arc<str>) -> Option<Entry> {
        self.order.retain(|name| name != gateway);
        self.of.remove(gateway)
    }

    /// Puts an older one in front; a newer one that came meanwhile stands.
    fn put_back(&mut self, entry: Entry) -> usize {
        let gateway = entry.observation.gateway.clone();
        match self.of.remove(&gateway) {
            Some(known) => {
                let both = known.bytes() + entry.bytes();
                let newer = newer(entry, known);
                let left = newer.bytes();
                self.of.insert(gateway, newer);
                both - left
            }
            None => {
                self.order.push_front(gateway.clone());
                self.of.insert(gateway, entry);
                0
            }
        }
    }
}

/// What is left of two changes of a gateway.
fn newer(before: Entry, after: Entry) -> Entry {
    let is_one_run = before.core_uuid == after.core_uuid;
    match (&before.observation.change, &after.observation.change) {
        // The row is the newer one's, the value in the gateways hash the older one's.
        (Change::Set(_), Change::Note(row)) if is_one_run && after.observation.mark >= before.observation.mark => {
            let row = row.clone();
            let observation = Observation {
                change: Change::Set(row),
                mark: after.observation.mark,
                ..before.observation
            };
            Entry { observation, ..before }
        }
        (Change::Delete, Change::Note(_)) if is_one_run => before,
        // Of one run, the mark says what is newer: a late event may come last.
        _ if is_one_run && before.observation.mark > after.observation.mark => before,
        _ => after,
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
            is_odd: false,
        };
        Entry {
            core_uuid: core.into(),
            observation,
        }
    }

    fn events(events: usize) -> Limits {
        let bytes = usize::MAX;
        Limits { events, bytes }
    }

    fn long(sequence: u64, gateway: &str, bytes: usize) -> Entry {
        let mut entry = entry(sequence, gateway, "core");
        entry.observation.json = vec![b'x'; bytes].into();
        entry
    }

    #[test]
    fn long_events_are_dropped_by_their_bytes_and_counted() {
        const BUDGET: usize = 1_000_000;
        let limits = Limits {
            events: 20_000,
            bytes: BUDGET,
        };
        let mut backlog = Backlog::new(limits, true);
        for sequence in 1..=1000 {
            backlog.push(long(sequence, &format!("g{}", sequence % 3), 60_000));
            assert!(backlog.bytes <= BUDGET);
        }
        let dropped = backlog.take_dropped();
        let kept = backlog.entries.len() as u64;
        assert!(
            (2..8).contains(&kept) && dropped.announcements + kept == 1000,
            "{dropped:?}"
        );
        // The newest of each gateway is among what stayed.
        assert_eq!(dropped.states, 0);
        assert_eq!(
            backlog.take(10, 100_000).len(),
            1,
            "a batch is bounded by its bytes too"
        );
        let rest = backlog.take(usize::MAX, usize::MAX);
        assert_eq!((backlog.len(), backlog.bytes), (0, 0));
        backlog.put_back(rest);

        let mut backlog = Backlog::new(limits, true);
        for sequence in 1..=1000 {
            backlog.push(long(sequence, &format!("made-up-{sequence}"), 60_000));
            assert!(backlog.bytes <= BUDGET);
        }
        let dropped = backlog.take_dropped();
        assert!(dropped.states > 900, "{dropped:?}");
    }

    #[test]
    fn a_note_takes_no_value_from_the_hash() {
        let row = |reason: &str| {
            let reason = Some(reason.to_owned());
            Arc::new(crate::observed::Row {
                reason,
                ..crate::observed::Row::unknown(jiff::Timestamp::UNIX_EPOCH)
            })
        };
        let with = |sequence, mark, change| {
            let mut entry = long(sequence, "g", 10 * sequence as usize);
            (entry.observation.mark, entry.observation.change) = (mark, change);
            entry
        };
        let set = with(1, 1, Change::Set(row("old")));
        let note = with(2, 1, Change::Note(row("new")));
        let mut backlog = Backlog::new(events(9), false);
        backlog.push(set.clone());
        backlog.push(note.clone());
        let both = backlog.take(9, usize::MAX);
        assert_eq!((both.len(), both[0].observation.json.len()), (1, 10));
        assert_eq!(both[0].observation.change, Change::Set(row("new")));
        // It came while the batch was on its way.
        backlog.push(note.clone());
        backlog.put_back(vec![set.clone()]);
        assert_eq!(backlog.take(9, usize::MAX), both);
        backlog.push(note);
        backlog.push(with(3, 3, Change::Set(row("newer"))));
        assert_eq!(
            backlog.take(9, usize::MAX)[0].observation.change,
            Change::Set(row("newer"))
        );
        assert_eq!(backlog.bytes, 0);
    }

    #[test]
    fn a_batch_never_mixes_two_runs() {
        let mut backlog = Backlog::new(events(10), true);
        for (sequence, core) in [(7, "a"), (8, "a"), (1, "b")] {
            backlog.push(entry(sequence, "g", core));
        }
        let sizes: Vec<_> = std::iter::from_fn(|| Some(backlog.take(10, usize::MAX)).filter(|batch| !batch.is_empty()))
            .map(|b| b.len())
            .collect();
        assert_eq!(sizes, [2, 1]);
    }

    #[test]
    fn with_no_channel_and_no_list_the_newest_of_each_gateway_waits_and_nothing_is_dropped() {
        let mut backlog = Backlog::new(events(2), false);
        for sequence in 1..=100 {
            backlog.push(entry(sequence, ["a", "b", "c"][sequence as usize % 3], "core"));
        }
        let mut late = entry(50, "a", "core");
        late.observation.mark = 50;
        backlog.push(late);
        let batch = backlog.take(10, usize::MAX);
        backlog.put_back(batch);
        backlog.push(entry(101, "c", "core"));
        let sequences: Vec<_> = backlog
            .take(10, usize::MAX)
            .iter()
            .map(|e| e.observation.sequence)
            .collect();
        assert_eq!(sequences, [100, 101, 99]);
        assert_eq!(backlog.take_dropped(), Dropped::default());
    }

    proptest! {
        /// Whatever is pushed, taken and put back: order is kept, the bound holds, each gateway's newest change arrives, and what the
        /// channel did not get was counted.
        #[test]
        fn nothing_is_lost_uncounted_and_the_newest_of_each_gateway_stays(
            steps in proptest::collection::vec((0u8..4, 0u8..5, 1usize..7), 1..200),
            limit in 1usize..20,
        ) {
            let mut backlog = Backlog::new(events(limit), true);
            let (mut written, mut newest, mut pushed, mut dropped) = (Vec::new(), std::collections::HashMap::new(), 0u64, 0u64);
            for (kind, gateway, size) in steps {
                match kind {
                    0 | 1 => {
                        pushed += 1;
                        newest.insert(gateway.to_string(), pushed);
                        backlog.push(entry(pushed, &gateway.to_string(), "core"));
                    }
                    2 => { let batch = backlog.take(size, usize::MAX); backlog.put_back(batch); }
                    _ => written.extend(backlog.take(size, usize::MAX)),
                }
                dropped += backlog.take_dropped().announcements;
                prop_assert!(backlog.len() <= limit + 5);
            }
            written.extend(backlog.take(usize::MAX, usize::MAX));
            dropped += backlog.take_dropped().announcements;
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
