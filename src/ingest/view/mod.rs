//! What one run of a switch is doing with its gateways, as far as its events and snapshots tell.
//! Pure: values in, values out; no clock, no I/O.
//!
//! Events may be duplicated, late or out of order (FACTS 32), a gateway's successor comes before the gateway is gone
//! (FACTS 23), and what was fired while nobody listened is lost (FACTS 33). So each gateway has a mark, the newest
//! sequence that its row reflects. A snapshot counts as of a sequence, the floor, and leaves gateways with a newer mark
//! alone.
//!
//! `events` and `snapshots` apply what came, `revisions` keeps what was asked, `change_log` tells readers what changed.

mod change_log;
mod events;
mod revisions;
mod snapshots;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::sequence::{Sequences, Verdict};
use crate::observed::{Challenge, Change, Row};
use crate::registration::State;
use change_log::ChangeLog;
pub(super) use change_log::Changes;
pub use change_log::Cursor;

/// An unanswered ping ends after 32 s, the SIP stack's timer B, at one of the next ticks.
pub(super) const PING_LIMIT: Duration = Duration::from_secs(40);

/// The gateways of one run of a switch.
#[derive(Debug)]
pub(super) struct View {
    live: HashMap<Arc<str>, LiveGateway>,
    marks: HashMap<Arc<str>, Mark>,
    /// A snapshot reflects every event up to here.
    floor: u64,
    sequences: Sequences,
    /// The sequences believed so far turned out to be wrong.
    is_sequence_reset: bool,
    /// About what gateways and marks take in memory. Bounded by the caller: the switch decides how many there are.
    bytes: usize,
    /// A ping that takes longer is stuck.
    ping_limit: Duration,
    /// Something came in an order that events alone cannot settle: a snapshot is due.
    is_unsettled: bool,
    /// Second gateways of a name in another profile, from the last snapshot (FACTS 18).
    ghosts: Vec<(Arc<str>, String)>,
    last_instance: u64,
    change_log: ChangeLog,
}

#[derive(Debug)]
struct LiveGateway {
    row: Arc<Row>,
    /// Killed gateways of the same name that are not deleted yet. Their deletes and their DOWN are not this one's.
    predecessors: usize,
    /// The sequences of predecessors' `gateway_delete` events, so that a duplicate counts once.
    deletes: Vec<u64>,
    /// The switch was asked, and `row.revision` is its answer.
    is_revision_known: bool,
    /// That answer is newer than the row in Redis.
    is_revision_unstored: bool,
    /// All that is known comes from before this connection.
    is_seeded: bool,
    ping_in_progress: Option<PingInProgress>,
    /// Distinguishes this gateway from predecessors and successors of its name.
    instance: u64,
}

#[derive(Debug, Clone, Copy)]
struct PingInProgress {
    /// When it was due, by the switch's clock.
    due: i64,
    first_seen: Timestamp,
}

#[derive(Debug, Clone, Copy)]
struct Mark {
    sequence: u64,
    /// The newest event was a delete that removed a row. A late add then belongs to a successor.
    is_removed: bool,
}

/// What an event does.
#[derive(Debug, PartialEq)]
pub(super) struct EventEffect {
    pub(super) change: Change,
    /// The newest sequence that the change reflects.
    pub(super) mark: u64,
    /// The event is older than what was known already.
    pub(super) is_older: bool,
    /// Its sequence is not plausible, so it changes nothing.
    pub(super) is_odd: bool,
}

impl Default for View {
    fn default() -> Self {
        Self::new(PING_LIMIT)
    }
}

impl View {
    pub(super) fn new(ping_limit: Duration) -> Self {
        Self {
            live: HashMap::new(),
            marks: HashMap::new(),
            floor: 0,
            sequences: Sequences::default(),
            is_sequence_reset: false,
            bytes: 0,
            ping_limit,
            is_unsettled: false,
            ghosts: Vec::new(),
            last_instance: 0,
            change_log: ChangeLog::default(),
        }
    }

    /// Forgets everything for a new connection. Every reader then starts over. Instances are numbered
    /// on: somebody may still wait for a successor of one from before.
    pub(super) fn reset(&mut self) {
        let mut change_log = std::mem::take(&mut self.change_log);
        change_log.record_all();
        *self = Self {
            change_log,
            last_instance: self.last_instance,
            ..Self::new(self.ping_limit)
        };
    }

    /// Takes over the rows that Redis had before this connection, so that unchanged states keep
    /// their times. What events said since then stands.
    pub(super) fn seed(&mut self, rows: impl IntoIterator<Item = (String, Row)>) {
        self.change_log.record_all();
        for (name, stored) in rows {
            if let Some(live) = self.live.get(name.as_str()) {
                if let Some(row) = continue_stored(&live.row, stored) {
                    self.set_row(&name, row.into());
                }
            } else if !self.marks.contains_key(name.as_str()) {
                let live = LiveGateway {
                    is_seeded: true,
                    ..LiveGateway::new(stored.into(), self.new_instance())
                };
                self.insert(name.into(), live);
            }
        }
    }

    // ---- what is known

    pub(super) fn rows(&self) -> impl Iterator<Item = (&Arc<str>, &Row)> {
        self.live.iter().map(|(name, live)| (name, &*live.row))
    }

    pub(super) fn row(&self, name: &str) -> Option<&Row> {
        self.live.get(name).map(|live| &*live.row)
    }

    pub(super) fn instance(&self, name: &str) -> Option<u64> {
        self.live.get(name).map(|live| live.instance)
    }

    pub(super) fn ghosts(&self) -> &[(Arc<str>, String)] {
        &self.ghosts
    }

    /// The gateways whose [`View::rows`] or [`View::is_revision_known`] changed since this reader's last call.
    pub(super) fn changes_since(&self, cursor: &mut Cursor) -> Changes {
        self.change_log.read(cursor)
    }

    /// An event newer than the last snapshot decided what the gateway's row is, or that there is none.
    pub(super) fn is_newer(&self, name: &str) -> bool {
        self.marks.contains_key(name)
    }

    /// Whether the newest that is known of the gateway is its answer as of `sequence`.
    pub(super) fn is_as_of(&self, name: &str, sequence: u64) -> bool {
        self.marks.get(name).is_some_and(|mark| mark.sequence == sequence)
    }

    /// The gateways that lack a state, which FreeSWITCH may never send for one that does not register (FACTS 31), or a
    /// revision, or whose revision is not in Redis yet.
    pub(super) fn incomplete(&self) -> impl Iterator<Item = &Arc<str>> {
        let incomplete = self
            .live
            .iter()
            .filter(|(_, live)| live.row.state.is_none() || !live.is_revision_known || live.is_revision_unstored);
        incomplete.map(|(name, _)| name)
    }

    /// Whether a snapshot is due. Clears the flag.
    pub(super) fn take_unsettled(&mut self) -> bool {
        std::mem::take(&mut self.is_unsettled)
    }

    /// About what the gateways take in memory.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    // ---- sequences

    /// The highest sequence of an event.
    pub(super) fn newest_event(&self) -> u64 {
        self.sequences.newest()
    }

    /// The highest sequence that is known.
    pub(super) fn newest_sequence(&self) -> u64 {
        self.newest_event().max(self.floor)
    }

    /// A heartbeat carries the sequence that the switch has reached.
    pub(super) fn apply_heartbeat(&mut self, sequence: u64) {
        self.accept_sequence(sequence);
    }

    /// Whether the sequences in Redis are wrong and must be forgotten. Clears the flag.
    pub(super) fn take_sequence_reset(&mut self) -> bool {
        std::mem::take(&mut self.is_sequence_reset)
    }

    /// Sets the flag again: Redis could not be told.
    pub(super) fn retry_sequence_reset(&mut self) {
        self.is_sequence_reset = true;
    }

    /// False when the sequence is not plausible.
    fn accept_sequence(&mut self, sequence: u64) -> bool {
        match self.sequences.judge(sequence) {
            Verdict::Believed => true,
            Verdict::Odd => {
                self.is_unsettled = true;
                false
            }
            Verdict::Reset => {
                self.retain_marks(|_| false);
                self.floor = 0;
                self.is_sequence_reset = true;
                self.is_unsettled = true;
                true
            }
        }
    }

    // ---- changing the maps, with their memory counted

    fn insert(&mut self, name: Arc<str>, live: LiveGateway) {
        self.bytes += live.bytes() + name.len();
        let name_bytes = name.len();
        if let Some(before) = self.live.insert(name, live) {
            self.bytes = self.bytes.saturating_sub(before.bytes() + name_bytes);
        }
    }

    fn set_row(&mut self, name: &str, row: Arc<Row>) {
        if let Some(live) = self.live.get_mut(name) {
            self.bytes = self.bytes.saturating_sub(live.bytes());
            live.row = row;
            self.bytes += live.bytes();
        }
    }

    fn remove(&mut self, name: &str) -> Option<LiveGateway> {
        let live = self.live.remove(name)?;
        self.bytes = self.bytes.saturating_sub(live.bytes() + name.len());
        Some(live)
    }

    fn set_mark(&mut self, name: &Arc<str>, mark: Mark) {
        if self.marks.insert(name.clone(), mark).is_none() {
            self.bytes += mark_bytes(name);
        }
    }

    fn retain_marks(&mut self, stays: impl Fn(&Mark) -> bool) {
        let bytes = &mut self.bytes;
        self.marks.retain(|name, mark| {
            let stays = stays(mark);
            if !stays {
                *bytes = bytes.saturating_sub(mark_bytes(name));
            }
            stays
        });
    }

    fn new_instance(&mut self) -> u64 {
        self.last_instance += 1;
        self.last_instance
    }
}

impl LiveGateway {
    fn new(row: Arc<Row>, instance: u64) -> Self {
        Self {
            row,
            predecessors: 0,
            deletes: Vec::new(),
            is_revision_known: false,
            is_revision_unstored: false,
            is_seeded: false,
            ping_in_progress: None,
            instance,
        }
    }

    /// About what it takes in memory. The revision is ours, and short.
    fn bytes(&self) -> usize {
        const ROW_AND_ENTRY: usize = 896;
        let row = &*self.row;
        let challenge = row.challenge.as_ref().and_then(|challenge| challenge.realm.as_ref());
        let refusal = row.refused.as_ref().and_then(|refused| refused.phrase.as_ref());
        let texts = [&row.profile, &row.status, &row.phrase, &row.reason];
        let texts = texts
            .into_iter()
            .flatten()
            .chain(challenge)
            .chain(refusal)
            .map(String::len);
        ROW_AND_ENTRY + texts.sum::<usize>()
    }
}

fn mark_bytes(name: &str) -> usize {
    const ENTRY: usize = 64;
    ENTRY + name.len()
}

/// The row of a gateway that an event showed first, continued from what Redis had; `None` when the event brought news.
fn continue_stored(row: &Row, stored: Row) -> Option<Row> {
    let is_same = row.is_first_sight && stored.usable == row.usable && stored.usable_since.is_some();
    is_same.then(|| Row {
        usable_since: stored.usable_since,
        reason: row.reason.clone().or(stored.reason),
        challenge: row.challenge.clone().or(stored.challenge),
        refused: row.refused.clone().or(stored.refused),
        is_first_sight: false,
        ..row.clone()
    })
}

/// The challenge stays in the row until the gateway is registered.
fn kept_challenge(before: Option<&Row>, state: Option<&State>) -> Option<Challenge> {
    before.filter(|_| state != Some(&State::Reged))?.challenge.clone()
}

/// The states between two attempts follow a FAILED by themselves and carry no answer. Keep the
/// answer that led there: it is what an operator wants to know.
fn kept_answer(before: Option<&Row>, state: Option<&State>) -> (Option<String>, Option<String>) {
    match (before, state) {
        (Some(row), Some(State::FailWait | State::Unreged | State::Trying)) => (row.status.clone(), row.phrase.clone()),
        _ => (None, None),
    }
}
