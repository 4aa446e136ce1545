//! Calls over the last minutes or hours, in slots of time. Pure: the time is passed in.

use std::collections::{BTreeMap, VecDeque};

use super::cause::Cause;
use crate::event_socket::Direction;

/// How a call ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Outcome {
    /// After this many seconds of talk.
    Answered {
        seconds: u32,
    },
    Failed(Cause),
}

/// One leg of a call that ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Call {
    pub(super) direction: Direction,
    pub(super) outcome: Outcome,
}

/// How far back a window goes, and how exactly.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Span {
    FiveMinutes,
    Hour,
    Day,
}

impl Span {
    pub const ALL: [Self; 3] = [Self::FiveMinutes, Self::Hour, Self::Day];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::FiveMinutes => "5m",
            Self::Hour => "1h",
            Self::Day => "24h",
        }
    }

    /// The length of a slot in seconds. The slot that now is in counts as one.
    pub(super) fn slot_seconds(self) -> u64 {
        match self {
            Self::FiveMinutes => 10,
            Self::Hour => 60,
            Self::Day => 15 * 60,
        }
    }

    pub(super) fn slots(self) -> u64 {
        match self {
            Self::FiveMinutes => 30,
            Self::Hour => 60,
            Self::Day => 96,
        }
    }

    fn slot(self, now: u64) -> u64 {
        now / self.slot_seconds()
    }
}

/// What is counted apart within a slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Answered(Direction),
    Failed(Direction, Cause),
}

/// Different kinds in a slot. Beyond, causes share [`Cause::OTHER`].
const MAX_KINDS: usize = 16;

/// More than a window ever has.
const MAX_SAVED: usize = 4096;

/// Calls of one kind in one slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Entry {
    slot: u32,
    kind: Kind,
    count: u32,
    /// How long they talked.
    seconds: u32,
}

/// Calls of one gateway within a [`Span`]. A slot without calls takes no memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Window {
    span: Span,
    /// The newest last.
    entries: VecDeque<Entry>,
}

/// An entry as Redis keeps it: slot, kind, calls, seconds.
pub(super) type SavedEntry = (u32, String, u32, u32);

/// Sums of calls.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Figures {
    pub inbound: Tally,
    pub outbound: Tally,
    /// Those that failed, by cause.
    pub causes: BTreeMap<Cause, u64>,
}

/// Sums of calls in one direction.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    pub answered: u64,
    pub failed: u64,
    /// How long the answered ones talked.
    pub seconds: u64,
}

impl Window {
    pub(super) fn new(span: Span) -> Self {
        Self {
            span,
            entries: VecDeque::new(),
        }
    }

    /// Counts a call that ends now. `now` is in seconds since 1970.
    pub(super) fn add(&mut self, call: &Call, now: u64) {
        self.forget_old(now);
        let newest = self.entries.back().map_or(0, |entry| u64::from(entry.slot));
        // The clock was set back a little: the slot that it had reached takes the call.
        let slot = u32::try_from(self.span.slot(now).max(newest)).unwrap_or(u32::MAX);
        let (kind, seconds) = match call.outcome {
            Outcome::Answered { seconds } => (Kind::Answered(call.direction), seconds),
            Outcome::Failed(cause) => (Kind::Failed(call.direction, cause), 0),
        };
        let kinds = self.entries.iter().rev().take_while(|entry| entry.slot == slot).count();
        let start = self.entries.len() - kinds;
        let position = |kind: Kind| self.entries.range(start..).position(|entry| entry.kind == kind);
        let (kind, position) = match (position(kind), kind) {
            (None, Kind::Failed(direction, _)) if kinds >= MAX_KINDS => {
                let other = Kind::Failed(direction, Cause::OTHER);
                (other, position(other))
            }
            (position, _) => (kind, position),
        };
        let entry = position.and_then(|at| self.entries.get_mut(start + at));
        match entry {
            Some(entry) => {
                entry.count = entry.count.saturating_add(1);
                entry.seconds = entry.seconds.saturating_add(seconds);
            }
            None => self.entries.push_back(Entry {
                slot,
                kind,
                count: 1,
                seconds,
            }),
        }
    }

    /// Drops what is older than the span.
    pub(super) fn forget_old(&mut self, now: u64) {
        let slot = self.span.slot(now);
        // The clock was far ahead before: nobody knows when those calls were.
        let ahead = slot + self.span.slots();
        if self.entries.back().is_some_and(|entry| u64::from(entry.slot) >= ahead) {
            self.entries.clear();
        }
        while self.entries.front().is_some_and(|entry| !self.is_within(entry, slot)) {
            self.entries.pop_front();
        }
        if self.entries.is_empty() {
            self.entries.shrink_to_fit();
        }
    }

    /// What happened within the span.
    pub(super) fn figures(&self, now: u64) -> Figures {
        let slot = self.span.slot(now);
        let mut figures = Figures::default();
        for entry in self.entries.iter().filter(|entry| self.is_within(entry, slot)) {
            let (count, seconds) = (u64::from(entry.count), u64::from(entry.seconds));
            match entry.kind {
                Kind::Answered(direction) => {
                    let tally = figures.of(direction);
                    tally.answered += count;
                    tally.seconds += seconds;
                }
                Kind::Failed(direction, cause) => {
                    figures.of(direction).failed += count;
                    *figures.causes.entry(cause).or_default() += count;
                }
            }
        }
        figures
    }

    pub(super) fn to_saved(&self) -> Vec<SavedEntry> {
        let entries = self.entries.iter();
        entries
            .map(|entry| (entry.slot, entry.kind.to_text(), entry.count, entry.seconds))
            .collect()
    }

    /// What still counts of what was saved. Entries that can't be read are left out.
    pub(super) fn from_saved(span: Span, saved: Vec<SavedEntry>, now: u64) -> Self {
        let read = |(slot, kind, count, seconds): SavedEntry| {
            Some(Entry {
                slot,
                kind: Kind::parse(&kind)?,
                count,
                seconds,
            })
        };
        let mut entries: VecDeque<_> = saved.into_iter().filter_map(read).collect();
        entries.make_contiguous().sort_by_key(|entry| entry.slot);
        entries.truncate(MAX_SAVED);
        let mut window = Self { span, entries };
        window.forget_old(now);
        window
    }

    /// Entries of 16 bytes each.
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    fn is_within(&self, entry: &Entry, slot: u64) -> bool {
        u64::from(entry.slot) + self.span.slots() > slot
    }
}

impl Figures {
    pub fn answered(&self) -> u64 {
        self.inbound.answered + self.outbound.answered
    }

    pub fn failed(&self) -> u64 {
        self.inbound.failed + self.outbound.failed
    }

    pub fn attempted(&self) -> u64 {
        self.answered() + self.failed()
    }

    /// The answer-seizure ratio, from 0 to 1: of all calls, those that were answered. `None` without calls.
    pub fn asr(&self) -> Option<f64> {
        (self.attempted() > 0).then(|| self.answered() as f64 / self.attempted() as f64)
    }

    /// The average call duration in seconds: of answered calls, from the answer to the end.
    pub fn acd(&self) -> Option<f64> {
        let seconds = self.inbound.seconds + self.outbound.seconds;
        (self.answered() > 0).then(|| seconds as f64 / self.answered() as f64)
    }

    pub fn add(&mut self, other: &Self) {
        self.inbound.add(other.inbound);
        self.outbound.add(other.outbound);
        for (cause, count) in &other.causes {
            *self.causes.entry(*cause).or_default() += count;
        }
    }

    fn of(&mut self, direction: Direction) -> &mut Tally {
        match direction {
            Direction::In => &mut self.inbound,
            Direction::Out => &mut self.outbound,
        }
    }
}

impl Tally {
    fn add(&mut self, other: Self) {
        self.answered += other.answered;
        self.failed += other.failed;
        self.seconds += other.seconds;
    }
}

impl Kind {
    /// `in` and `out` were answered; `out USER_BUSY` failed.
    fn to_text(self) -> String {
        match self {
            Self::Answered(direction) => direction.as_str().to_owned(),
            Self::Failed(direction, cause) => format!("{} {cause}", direction.as_str()),
        }
    }

    fn parse(text: &str) -> Option<Self> {
        let (direction, cause) = match text.split_once(' ') {
            Some((direction, cause)) => (direction, Some(cause)),
            None => (text, None),
        };
        let direction = Direction::parse(direction)?;
        Some(match cause {
            Some(cause) => Self::Failed(direction, cause.into()),
            None => Self::Answered(direction),
        })
    }
}

#[cfg(test)]
mod tests;
