//! What one run of one switch is doing with its gateways, as far as its events and snapshots tell. Pure: values in, values out.
//!
//! Events may be doubled, late, or overtake each other (FACTS 32), a gateway's successor comes before it is gone (FACTS 23), and what fired
//! while nobody listened is lost (FACTS 33). So each gateway has a mark, the newest sequence that its row reflects; a snapshot counts as of a
//! sequence, the floor, and leaves gateways with a newer mark alone.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::sequence::{Sequences, Verdict};
use super::usable::{Sign, UNANSWERED_CHALLENGE, judge};
use crate::event_socket::{GatewayEvent, GatewayStatus, Subclass};
use crate::observed::{Challenge, Change, Row};
use crate::registration::{PingStatus, State};

/// A ping that is not answered ends after 32 s, the SIP stack's timer B, and at one of the next ticks.
pub(super) const PING_LIMIT: Duration = Duration::from_secs(40);
/// A snapshot's time is that of its arrival, an event's that of the switch's clock: what differs by less is the same.
const SAME_TIME: Duration = Duration::from_secs(5);

/// The gateways of one run of a switch.
#[derive(Debug)]
pub(super) struct View {
    live: HashMap<Arc<str>, Live>,
    marks: HashMap<Arc<str>, Mark>,
    /// Every event up to here is reflected by a snapshot.
    floor: u64,
    sequences: Sequences,
    /// What was believed of the sequences is not any more.
    turned: bool,
    /// What gateways and marks take in memory, about: the switch decides about it.
    bytes: usize,
    /// A ping that takes longer is stuck.
    ping_limit: Duration,
    /// Something came in an order that events alone cannot settle: a snapshot is due.
    unsettled: bool,
    /// Second gateways of a name in another profile, as the last snapshot listed them (FACTS 18).
    ghosts: Vec<(Arc<str>, String)>,
    instances: u64,
    changed: Changed,
}

/// Which gateways may be others, or otherwise, than when it was asked last.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) enum Changed {
    #[default]
    All,
    Only(HashSet<Arc<str>>),
}

impl Changed {
    fn add(&mut self, name: &Arc<str>) {
        if let Self::Only(names) = self
            && !names.contains(name)
        {
            names.insert(name.clone());
        }
    }
}

#[derive(Debug)]
struct Live {
    row: Arc<Row>,
    /// Killed gateways of the same name that are not deleted yet: their deletes and their DOWN are not this one's.
    predecessors: usize,
    /// The `gateway_delete` events of predecessors, so that one delivered twice counts once.
    deleted: Vec<u64>,
    /// Whether `row.revision` is what the switch answered; else it was not asked yet.
    revision_is_known: bool,
    /// No event since carried that answer to Redis.
    revision_is_untold: bool,
    /// What is known of it comes from before this connection.
    is_seeded: bool,
    /// When the ping that is under way was due, by the switch's clock, and when it was first seen to be under way.
    ping_under_way: Option<(i64, Timestamp)>,
    /// Tells this gateway from a predecessor and a successor of its name.
    instance: u64,
}

#[derive(Debug, Clone, Copy)]
struct Mark {
    sequence: u64,
    /// The newest event was a delete that took a row away. An add that comes late belongs to a successor then.
    removed: bool,
}

/// What an event means.
#[derive(Debug, PartialEq)]
pub(super) struct Meaning {
    pub(super) change: Change,
    /// The newest sequence that the change reflects.
    pub(super) mark: u64,
    /// The event is older than what was known already.
    pub(super) older: bool,
    /// Its sequence is not to be believed, so it changes nothing.
    pub(super) odd: bool,
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
            turned: false,
            bytes: 0,
            ping_limit,
            unsettled: false,
            ghosts: Vec::new(),
            instances: 0,
            changed: Changed::All,
        }
    }

    /// Takes over what was known before this run was connected to, so that what goes on keeps its times. What events
    /// told meanwhile stands.
    pub(super) fn seed(&mut self, rows: impl IntoIterator<Item = (String, Row)>) {
        self.changed = Changed::All;
        for (name, row) in rows {
            if let Some(live) = self.live.get(name.as_str()) {
                if let Some(row) = continued(&live.row, row) {
                    self.set_row(&name, row.into());
                }
                continue;
            }
            if self.marks.contains_key(name.as_str()) {
                continue;
            }
            let live = Live {
                row: row.into(),
                predecessors: 0,
                deleted: Vec::new(),
                revision_is_known: false,
                revision_is_untold: false,
                is_seeded: true,
                ping_under_way: None,
                instance: self.new_instance(),
            };
            self.put(name.into(), live);
        }
    }

    /// What gateways take in memory, about.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    fn put(&mut self, name: Arc<str>, live: Live) {
        self.bytes += live.bytes() + name.len();
        if let Some(before) = self.live.insert(name.clone(), live) {
            self.bytes = self.bytes.saturating_sub(before.bytes() + name.len());
        }
    }

    fn set_row(&mut self, name: &str, row: Arc<Row>) {
        if let Some(live) = self.live.get_mut(name) {
            self.bytes = self.bytes.saturating_sub(live.bytes());
            live.row = row;
            self.bytes += live.bytes();
        }
    }

    fn remove(&mut self, name: &str) -> Option<Live> {
        let live = self.live.remove(name)?;
        self.bytes = self.bytes.saturating_sub(live.bytes() + name.len());
        Some(live)
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

    fn mark(&mut self, name: &Arc<str>, mark: Mark) {
        if self.marks.insert(name.clone(), mark).is_none() {
            self.bytes += mark_bytes(name);
        }
    }

    /// The highest sequence that was heard.
    pub(super) fn heard(&self) -> u64 {
        self.sequences.newest()
    }

    /// The highest that is known.
    pub(super) fn newest(&self) -> u64 {
        self.heard().max(self.floor)
    }

    /// A heartbeat says how far the switch is.
    pub(super) fn hear(&mut self, sequence: u64) {
        self.judge_sequence(sequence);
    }

    /// Whether what Redis knows of this run's sequences is not to be believed; asking takes the mark away.
    pub(super) fn take_turned(&mut self) -> bool {
        std::mem::take(&mut self.turned)
    }

    /// Puts it back.
    pub(super) fn turn(&mut self) {
        self.turned = true;
    }

    /// False when the sequence is not to be believed.
    fn judge_sequence(&mut self, sequence: u64) -> bool {
        match self.sequences.hear(sequence) {
            Verdict::Believed => true,
            Verdict::Odd => {
                self.unsettled = true;
                false
            }
            Verdict::Turned => {
                self.retain_marks(|_| false);
                self.floor = 0;
                self.turned = true;
                self.unsettled = true;
                true
            }
        }
    }

    /// The gateways of which something is not known: the state, which FreeSWITCH may never tell of one that does not register (FACTS 31), or the
    /// revision; or not in Redis, since the switch answered after the gateway's last event.
    pub(super) fn open(&self) -> impl Iterator<Item = &Arc<str>> {
        let open = self
            .live
            .iter()
            .filter(|(_, live)| live.row.state.is_none() || !live.revision_is_known || live.revision_is_untold);
        open.map(|(name, _)| name)
    }

    /// The rows of gateways without a newer event are on their way to Redis, with a snapshot.
    pub(super) fn told(&mut self) {
        for (_, live) in self.live.iter_mut().filter(|(name, _)| !self.marks.contains_key(*name)) {
            live.revision_is_untold = false;
        }
    }

    /// The rows of these are.
    pub(super) fn told_of(&mut self, names: &[Arc<str>]) {
        for name in names {
            if let Some(live) = self.live.get_mut(name) {
                live.revision_is_untold = false;
            }
        }
    }

    /// What [`View::rows`] and [`View::revision_is_known`] answer otherwise than when this was asked last.
    pub(super) fn take_changed(&mut self) -> Changed {
        std::mem::replace(&mut self.changed, Changed::Only(HashSet::new()))
    }

    /// Whether a snapshot is due; asking takes the mark away.
    pub(super) fn take_unsettled(&mut self) -> bool {
        std::mem::take(&mut self.unsettled)
    }

    pub(super) fn rows(&self) -> impl Iterator<Item = (&Arc<str>, &Row)> {
        self.live.iter().map(|(name, live)| (name, &*live.row))
    }

    /// Whether an event newer than the last snapshot decided what the gateway's row is, or that there is none.
    pub(super) fn is_newer(&self, name: &str) -> bool {
        self.marks.contains_key(name)
    }

    /// Whether the newest that is known of the gateway is what it answered as of `sequence`.
    pub(super) fn is_as_of(&self, name: &str, sequence: u64) -> bool {
        self.marks.get(name).is_some_and(|mark| mark.sequence == sequence)
    }

    pub(super) fn row(&self, name: &str) -> Option<&Row> {
        self.live.get(name).map(|live| &*live.row)
    }

    /// Notes what the switch answered when it was asked for the revision of this instance of a gateway. Answers whether Redis lacks
    /// it.
    pub(super) fn set_revision(&mut self, name: &str, instance: u64, revision: Option<String>) -> bool {
        let Some((name, _)) = self.live.get_key_value(name) else {
            return false;
        };
        let name = name.clone();
        let Some(live) = self.live.get_mut(&name).filter(|live| live.instance == instance) else {
            return false;
        };
        if live.row.revision != revision {
            Arc::make_mut(&mut live.row).revision = revision;
            live.revision_is_untold = true;
            self.changed.add(&name);
        }
        if !std::mem::replace(&mut live.revision_is_known, true) {
            self.changed.add(&name);
        }
        live.revision_is_untold
    }

    /// Whether this instance of a gateway was known to carry another revision.
    pub(super) fn differs(&self, name: &str, instance: u64, revision: Option<&str>) -> bool {
        let live = self.live.get(name).filter(|live| live.instance == instance);
        live.is_some_and(|live| live.revision_is_known && live.row.revision.as_deref() != revision)
    }

    /// The gateways whose revision was asked for already, each with its instance.
    pub(super) fn asked(&self) -> impl Iterator<Item = (&Arc<str>, u64)> {
        let asked = self.live.iter().filter(|(_, live)| live.revision_is_known);
        asked.map(|(name, live)| (name, live.instance))
    }

    /// The gateways whose revision was not asked for yet, each with its instance.
    pub(super) fn unasked(&self) -> impl Iterator<Item = (&Arc<str>, u64)> {
        let unasked = self.live.iter().filter(|(_, live)| !live.revision_is_known);
        unasked.map(|(name, live)| (name, live.instance))
    }

    pub(super) fn instance(&self, name: &str) -> Option<u64> {
        self.live.get(name).map(|live| live.instance)
    }

    pub(super) fn revision_is_known(&self, name: &str) -> bool {
        self.live.get(name).is_some_and(|live| live.revision_is_known)
    }

    pub(super) fn ghosts(&self) -> &[(Arc<str>, String)] {
        &self.ghosts
    }

    /// Takes an event in.
    pub(super) fn event(&mut self, event: &GatewayEvent) -> Meaning {
        let nothing = |older| Meaning {
            change: Change::Nothing,
            mark: event.sequence,
            older,
            odd: false,
        };
        if !self.judge_sequence(event.sequence) {
            return Meaning {
                odd: true,
                ..nothing(false)
            };
        }
        if event.sequence <= self.floor {
            return nothing(event.subclass != Subclass::InvalidDigestReq);
        }
        let mark = self.marks.get(&event.gateway).copied();
        let is_newest = mark.is_none_or(|mark| event.sequence > mark.sequence);
        match event.subclass {
            Subclass::Add if is_newest => self.added(event, event.sequence),
            Subclass::Add => match mark {
                Some(mark) if mark.removed => self.added(event, mark.sequence),
                _ => {
                    self.unsettled = true;
                    nothing(true)
                }
            },
            Subclass::State if !is_newest => nothing(true),
            Subclass::State => self.changed(event).unwrap_or_else(|| nothing(false)),
            Subclass::Delete => match self.live.get_mut(&event.gateway) {
                Some(live) if live.deleted.contains(&event.sequence) => nothing(true),
                Some(live) if live.predecessors > 0 => {
                    live.predecessors -= 1;
                    live.deleted.push(event.sequence);
                    nothing(false)
                }
                _ if !is_newest => {
                    self.unsettled = true;
                    nothing(true)
                }
                _ => self.deleted(event),
            },
            Subclass::InvalidDigestReq if is_newest => self.challenged(event).unwrap_or_else(|| nothing(false)),
            Subclass::InvalidDigestReq => nothing(false),
        }
    }

    fn deleted(&mut self, event: &GatewayEvent) -> Meaning {
        self.changed.add(&event.gateway);
        let removed = self.remove(&event.gateway).is_some();
        let mark = Mark {
            sequence: event.sequence,
            removed,
        };
        self.mark(&event.gateway, mark);
        Meaning {
            change: Change::Delete,
            mark: event.sequence,
            older: false,
            odd: false,
        }
    }

    fn added(&mut self, event: &GatewayEvent, mark: u64) -> Meaning {
        let predecessors = self
            .live
            .get(&event.gateway)
            .map_or(0, |before| before.predecessors + 1);
        let row = Row {
            profile: event.profile.clone(),
            ..Row::unknown(event.at)
        };
        // A snapshot may have listed this one already, and then it is its own predecessor.
        self.unsettled |= predecessors > 0;
        self.set(event, row, predecessors, mark)
    }

    /// `None` when the state is a predecessor's.
    fn changed(&mut self, event: &GatewayEvent) -> Option<Meaning> {
        let before = self.live.get(&event.gateway);
        let predecessors = before.map_or(0, |before| before.predecessors);
        // Only a killed gateway becomes DOWN (FACTS 22).
        if predecessors > 0 && event.state == Some(State::Down) {
            return None;
        }
        let before = before.map(|before| &*before.row);
        if before.is_none() {
            self.unsettled = true;
        }
        let row = after_event(before, event);
        Some(self.set(event, row, predecessors, event.sequence))
    }

    /// A challenge that was not answered. It says nothing of the state, so the mark stays; `None` when the gateway is not known.
    fn challenged(&mut self, event: &GatewayEvent) -> Option<Meaning> {
        let before = &self.live.get(&event.gateway)?.row;
        let challenge = Challenge {
            from: None,
            realm: event.realm.as_deref().map(|realm| realm.trim_matches('"').to_owned()),
            at: event.at,
        };
        let is_down = before.usable == Some(false);
        let reason = is_down.then(|| UNANSWERED_CHALLENGE.to_owned());
        let row = Arc::new(Row {
            challenge: Some(challenge),
            reason: reason.or_else(|| before.reason.clone()),
            ..Row::clone(before)
        });
        self.set_row(&event.gateway, row.clone());
        let mark = self.marks.get(&event.gateway);
        Some(Meaning {
            change: Change::Note(row),
            mark: mark.map_or(self.floor, |mark| mark.sequence),
            older: false,
            odd: false,
        })
    }

    fn set(&mut self, event: &GatewayEvent, row: Row, predecessors: usize, mark: u64) -> Meaning {
        self.changed.add(&event.gateway);
        let row = Arc::new(row);
        let change = Change::Set(row.clone());
        match self.live.get_mut(&event.gateway) {
            Some(live) if event.subclass == Subclass::State => {
                live.predecessors = predecessors;
                live.revision_is_untold = false;
                live.is_seeded = false;
                if row.state == Some(State::Noreg) {
                    live.ping_under_way = None;
                }
                self.set_row(&event.gateway, row);
            }
            before => {
                let deleted = before.map(|live| std::mem::take(&mut live.deleted)).unwrap_or_default();
                let live = Live {
                    row,
                    predecessors,
                    deleted,
                    revision_is_known: false,
                    revision_is_untold: false,
                    is_seeded: false,
                    ping_under_way: None,
                    instance: self.new_instance(),
                };
                self.put(event.gateway.clone(), live);
            }
        }
        let removed = false;
        self.mark(
            &event.gateway,
            Mark {
                sequence: mark,
                removed,
            },
        );
        Meaning {
            change,
            mark,
            older: false,
            odd: false,
        }
    }

    fn new_instance(&mut self) -> u64 {
        self.instances += 1;
        self.instances
    }

    /// Takes a snapshot in that counts as of `sequence`. Afterwards [`View::rows`] is what is true, but for gateways with newer events.
    pub(super) fn absorb(&mut self, listed: &[GatewayStatus], sequence: u64, now: Timestamp) {
        let mut by_name: HashMap<&str, Vec<&GatewayStatus>> = HashMap::new();
        for status in listed {
            by_name.entry(&status.name).or_default().push(status);
        }
        let newer =
            |marks: &HashMap<Arc<str>, Mark>, name: &str| marks.get(name).is_some_and(|mark| mark.sequence > sequence);

        let mut ghosts = Vec::new();
        self.live.retain(|name, live| {
            let stays = by_name.contains_key(&**name) || newer(&self.marks, name);
            if !stays {
                self.changed.add(name);
                self.bytes = self.bytes.saturating_sub(live.bytes() + name.len());
            }
            stays
        });
        for (name, entries) in by_name {
            let name = &Arc::from(name);
            if newer(&self.marks, name) {
                match self.live.get(name) {
                    Some(live) if live.row.profile.is_none() => {
                        let row = Row {
                            profile: Some(entries[0].profile.clone()),
                            ..Row::clone(&live.row)
                        };
                        self.set_row(name, row.into());
                        self.changed.add(name);
                    }
                    Some(_) => {}
                    // Listed, and deleted by a newer event: of this one, or of a predecessor that nobody told us of?
                    None => self.unsettled = true,
                }
                continue;
            }
            let before = self.live.get(name).map(|live| &*live.row);
            // A name in a second profile is a ghost, which no event speaks of (FACTS 18): stay with the profile that is known.
            let known = before.and_then(|row| row.profile.as_deref());
            let status = entries
                .iter()
                .find(|entry| Some(entry.profile.as_str()) == known)
                .unwrap_or(&entries[0]);
            let predecessors = entries.iter().filter(|entry| entry.profile == status.profile).count() - 1;
            let live_before = self.live.get(name);
            let ping_under_way = ping_under_way(live_before, status, now);
            let row = observed(
                live_before,
                status,
                self.is_stuck(live_before, ping_under_way, now),
                now,
            );
            if before.is_none_or(|before| before.profile != row.profile || before.state != row.state) {
                self.changed.add(name);
            }
            for ghost in entries.iter().filter(|entry| entry.profile != status.profile) {
                ghosts.push((name.clone(), ghost.profile.clone()));
            }
            let instance = self.instance(name).unwrap_or_else(|| self.new_instance());
            let live = Live {
                row: row.into(),
                predecessors,
                deleted: Vec::new(),
                revision_is_known: self.revision_is_known(name),
                revision_is_untold: self.live.get(name).is_some_and(|live| live.revision_is_untold),
                is_seeded: false,
                ping_under_way,
                instance,
            };
            self.put(name.clone(), live);
        }
        self.ghosts = ghosts;
        self.floor = sequence;
        self.retain_marks(|mark| mark.sequence > sequence);
    }

    /// Whether the ping that is under way can have no answer any more.
    fn is_stuck(&self, before: Option<&Live>, under_way: Option<(i64, Timestamp)>, now: Timestamp) -> bool {
        under_way.is_some_and(|(due, since)| {
            let is_that = |live: &&Live| live.ping_under_way.is_none_or(|(known, _)| known == due);
            let was_stuck = before.filter(is_that).is_some_and(|live| live.row.ping_stuck);
            was_stuck || is_longer(since, now, self.ping_limit)
        })
    }

    /// Takes in what the switch answered to the question for single gateways, which counts as of `sequence`. Answers of which of them the row is
    /// what is true now; of the others an event told since, or only a snapshot can tell.
    pub(super) fn absorb_some(
        &mut self,
        answers: &[(Arc<str>, Option<GatewayStatus>)],
        sequence: u64,
        now: Timestamp,
    ) -> Vec<Arc<str>> {
        let mut taken = Vec::with_capacity(answers.len());
        for (name, status) in answers {
            let is_newer = self.marks.get(name).is_some_and(|mark| mark.sequence > sequence);
            let live = self.live.get(name).filter(|_| !is_newer && self.floor <= sequence);
            let Some(live) = live else { continue };
            let is_known_as = |profile: &str| live.row.profile.as_deref().is_none_or(|known| known == profile);
            let Some(status) = status.as_ref().filter(|status| is_known_as(&status.profile)) else {
                self.unsettled = true;
                continue;
            };
            let under_way = ping_under_way(Some(live), status, now);
            let row = observed(Some(live), status, self.is_stuck(Some(live), under_way, now), now);
            self.set_row(name, row.into());
            if let Some(live) = self.live.get_mut(name) {
                live.ping_under_way = under_way;
                live.is_seeded = false;
            }
            self.changed.add(name);
            // What was fired before the question is in the answer.
            let removed = false;
            self.mark(name, Mark { sequence, removed });
            taken.push(name.clone());
        }
        taken
    }
}

impl Live {
    /// What it takes in memory, about. The revision is ours, and short.
    fn bytes(&self) -> usize {
        const ROW_AND_ENTRY: usize = 768;
        let row = &*self.row;
        let challenge = row.challenge.as_ref().and_then(|challenge| challenge.realm.as_ref());
        let texts = [&row.profile, &row.status, &row.phrase, &row.reason];
        let texts = texts.into_iter().flatten().chain(challenge).map(String::len);
        ROW_AND_ENTRY + texts.sum::<usize>()
    }
}

fn mark_bytes(name: &str) -> usize {
    const ENTRY: usize = 64;
    ENTRY + name.len()
}

/// What an event says of a gateway.
fn after_event(before: Option<&Row>, event: &GatewayEvent) -> Row {
    let goes_on = before.filter(|row| row.state == event.state);
    let (status, phrase) = match &event.status {
        Some(_) => (event.status.clone(), event.phrase.clone()),
        None => kept_answer(before, event.state.as_ref()),
    };
    let is_up = event.ping != Some(PingStatus::Down);
    let mut row = Row {
        profile: event.profile.clone().or_else(|| before?.profile.clone()),
        state: event.state.clone(),
        ping: event.ping.clone(),
        status,
        phrase,
        since: goes_on.map_or(event.at, |row| row.since),
        revision: before.and_then(|row| row.revision.clone()),
        ping_every: before.and_then(|row| row.ping_every),
        ping_ms: before.and_then(|row| row.ping_ms).filter(|_| is_up),
        // Of one that does not register, it is an answered ping that fires an event.
        ping_stuck: before.is_some_and(|row| row.ping_stuck) && event.state != Some(State::Noreg),
        calls: before.and_then(|row| row.calls),
        challenge: kept_challenge(before, event.state.as_ref()),
        retry_at: goes_on.and_then(|row| row.retry_at),
        ..Row::unknown(event.at)
    };
    let sign = if event.status.is_some() {
        Sign::Answer
    } else {
        Sign::Event
    };
    judge(&mut row, before, sign);
    row
}

fn kept_challenge(before: Option<&Row>, state: Option<&State>) -> Option<Challenge> {
    before.filter(|_| state != Some(&State::Reged))?.challenge.clone()
}

/// The row of a gateway that was seen for the first time by an event, with what was known of it before; `None` when it
/// knows as much by itself.
fn continued(row: &Row, known: Row) -> Option<Row> {
    let goes_on = row.is_first_sight && known.usable == row.usable && known.usable_since.is_some();
    goes_on.then(|| Row {
        usable_since: known.usable_since,
        reason: row.reason.clone().or(known.reason),
        challenge: row.challenge.clone().or(known.challenge),
        is_first_sight: false,
        ..row.clone()
    })
}

/// When the ping that is under way was due, and when that was first seen.
fn ping_under_way(before: Option<&Live>, status: &GatewayStatus, now: Timestamp) -> Option<(i64, Timestamp)> {
    let due = status.details.pinging.then_some(status.details.ping_due)?;
    let known = before.and_then(|live| live.ping_under_way);
    known.filter(|(known, _)| *known == due).or(Some((due, now)))
}

fn is_longer(since: Timestamp, now: Timestamp, limit: Duration) -> bool {
    Duration::try_from(now.duration_since(since)).is_ok_and(|took| took >= limit)
}

/// The states between two tries follow a FAILED by themselves and carry no answer: keep the one that led there, it is what an operator wants
/// to know.
fn kept_answer(before: Option<&Row>, state: Option<&State>) -> (Option<String>, Option<String>) {
    match (before, state) {
        (Some(row), Some(State::FailWait | State::Unreged | State::Trying)) => (row.status.clone(), row.phrase.clone()),
        _ => (None, None),
    }
}

/// What a snapshot says of a gateway.
fn observed(before: Option<&Live>, status: &GatewayStatus, ping_stuck: bool, now: Timestamp) -> Row {
    let is_seeded = before.is_some_and(|live| live.is_seeded);
    // A row that no snapshot was in yet has no profile.
    let revision = before.and_then(|live| live.row.revision.clone());
    let is_it = |row: &&Row| row.profile.as_ref().is_none_or(|profile| *profile == status.profile);
    let before = before.map(|live| &*live.row).filter(is_it);
    let goes_on = before.filter(|row| row.state.as_ref() == Some(&status.state));
    let up_since = status.uptime.and_then(|uptime| now.checked_sub(uptime).ok());
    let first_seen = before.filter(|row| row.state.is_none()).map(|row| row.since);
    let (answer, phrase) = match goes_on {
        Some(row) => (row.status.clone(), row.phrase.clone()),
        None => kept_answer(before, Some(&status.state)),
    };
    let details = &status.details;
    let waits = matches!(status.state, State::Failed | State::FailWait);
    let retry = details
        .retry
        .filter(|_| waits)
        .map(|seconds| Duration::from_secs(seconds.into()));
    let mut row = Row {
        profile: Some(status.profile.clone()),
        state: Some(status.state.clone()),
        ping: Some(status.ping.clone()),
        status: answer,
        phrase,
        since: goes_on.map(|row| row.since).or(first_seen).or(up_since).unwrap_or(now),
        revision,
        ping_every: Some(details.ping_every),
        ping_ms: details.ping_ms,
        ping_stuck,
        calls: Some(details.calls),
        challenge: kept_challenge(before, Some(&status.state)),
        retry_at: retry.and_then(|wait| now.checked_add(wait).ok()),
        ..Row::unknown(now)
    };
    judge(&mut row, before, Sign::Snapshot);
    // What Redis knew of it was taken over before the first snapshot.
    row.is_first_sight = false;
    let was_up_since = before
        .filter(|before| before.usable == Some(true))
        .and_then(|before| before.usable_since);
    // While nobody listened it may have been down.
    let goes_on =
        |up_since: &Timestamp| was_up_since.is_some_and(|was| !is_seeded || !is_longer(was, *up_since, SAME_TIME));
    if row.usable == Some(true)
        && let Some(up_since) = up_since.filter(|up_since| !goes_on(up_since))
    {
        row.usable_since = Some(up_since);
    }
    row
}

#[cfg(test)]
mod tests;
