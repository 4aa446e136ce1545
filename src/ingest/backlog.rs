//! Events on their way to Redis. Bounded: while Redis is away for long, the channel and the list
//! lose the oldest events, which are counted. The hashes lose nothing, because the newest event of
//! each gateway stays. Without a channel and a list, that is all that ever waits. Pure.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use bytes::Bytes;

use crate::observed::{Change, Observation};

/// What waits for Redis to count it, of one gateway. A carrier that refuses every 30 s takes half an
/// hour for so many: two events each time.
const MAX_REGISTERS: usize = 128;

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

/// The most that may wait.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// Events that wait whole.
    pub(super) events: usize,
    /// Memory, of those and of what waits for the hashes alone: the switch decides how long an event is.
    pub(super) bytes: usize,
}

/// What was dropped for lack of room.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Dropped {
    /// Events that are missing in the channel and the list.
    pub(super) announcements: u64,
    /// Gateways whose state is missing in the hashes: a snapshot is due.
    pub(super) states: u64,
}

/// What waits, oldest first.
#[derive(Debug)]
pub(super) struct Backlog {
    entries: VecDeque<Entry>,
    /// For the hashes alone. All are older than `entries`.
    newest: Newest,
    limits: Limits,
    /// About what all of it takes in memory.
    bytes: usize,
    /// There is a channel or a list, which gets every event.
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
    /// About what it takes in memory: the event, its texts again in the row, and the rest of both.
    fn bytes(&self) -> usize {
        const REST: usize = 768;
        2 * self.observation.json.len() + size_of_val(&*self.observation.registers) + REST
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
        // A slice would keep the whole read buffer alive.
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

    /// How many more events of `event_bytes` fit before others are dropped.
    pub(super) fn room(&self, event_bytes: usize) -> usize {
        let bytes = self.limits.bytes.saturating_sub(self.bytes);
        let events = self.limits.events.saturating_sub(self.entries.len());
        events.min(bytes / event_bytes)
    }

    /// What was dropped since the last call.
    pub(super) fn take_dropped(&mut self) -> Dropped {
        std::mem::take(&mut self.dropped)
    }

    /// Up to `max_events` of one run and about `max_bytes`, oldest first. Return them with
    /// [`Backlog::put_back`] if they could not be written.
    pub(super) fn take(&mut self, max_events: usize, max_bytes: usize) -> Vec<Entry> {
        let mut batch: Vec<Entry> = Vec::with_capacity(max_events.min(self.len()));
        let before = self.bytes;
        while batch.len() < max_events && before - self.bytes < max_bytes {
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

    /// Returns a batch that was taken to the front.
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

    /// Marks of this run that are higher than `newest` are wrong. Their events go to the channel
    /// and the list, but not to the hashes.
    pub(super) fn distrust(&mut self, core_uuid: &str, newest: u64) {
        let is_odd = |entry: &Entry| &*entry.core_uuid == core_uuid && entry.observation.mark > newest;
        for entry in self.entries.iter_mut().filter(|entry| is_odd(entry)) {
            self.bytes -= size_of_val(&*entry.observation.registers);
            entry.observation.registers.clear();
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
                // Only the newest of each gateway is left.
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
    /// Returns the bytes that this freed.
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

    /// Returns an older one to the front. A newer one that came meanwhile stays. Returns the bytes that this freed.
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

/// Two events of a gateway as one.
fn newer(mut before: Entry, mut after: Entry) -> Entry {
    if before.core_uuid != after.core_uuid {
        return after;
    }
    let mut registers = std::mem::take(&mut before.observation.registers);
    registers.append(&mut after.observation.registers);
    registers.drain(..registers.len().saturating_sub(MAX_REGISTERS));
    let mut newer = newer_change(before, after);
    newer.observation.registers = registers;
    newer
}

/// Two changes of a gateway within one run as one.
fn newer_change(before: Entry, after: Entry) -> Entry {
    match (&before.observation.change, &after.observation.change) {
        // The newer one has the row, the older one the value for the gateways hash.
        (Change::Set(_), Change::Note(row)) if after.observation.mark >= before.observation.mark => {
            let row = row.clone();
            let observation = Observation {
                change: Change::Set(row),
                mark: after.observation.mark,
                ..before.observation
            };
            Entry { observation, ..before }
        }
        (Change::Delete, Change::Note(_)) => before,
        // The mark says which is newer: a late event may come last.
        _ if before.observation.mark > after.observation.mark => before,
        _ => after,
    }
}

#[cfg(test)]
mod tests;
