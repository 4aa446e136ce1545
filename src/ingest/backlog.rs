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
mod tests;
