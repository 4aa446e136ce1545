//! What one run of one switch is doing with its gateways, as far as its events and snapshots tell. Pure: values in, values out.
//!
//! Events may be doubled, late, or overtake each other (FACTS 32), a gateway's successor comes before it is gone (FACTS 23), and what fired
//! while nobody listened is lost (FACTS 33). So each gateway has a mark, the newest sequence that its row reflects; a snapshot counts as of a
//! sequence, the floor, and leaves gateways with a newer mark alone.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use jiff::Timestamp;

use crate::event_socket::{GatewayEvent, GatewayStatus, Subclass};
use crate::registration::State;
use crate::store::{Change, Row};

/// The gateways of one run of a switch.
#[derive(Debug, Default)]
pub(super) struct View {
    live: HashMap<Arc<str>, Live>,
    marks: HashMap<Arc<str>, Mark>,
    /// Every event up to here is reflected by a snapshot.
    floor: u64,
    /// The highest sequence seen.
    newest: u64,
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
}

impl View {
    /// Takes over what was known before this run was connected to, so that a state that goes on keeps its `since`.
    /// What events told meanwhile stands.
    pub(super) fn seed(&mut self, rows: impl IntoIterator<Item = (String, Row)>) {
        self.changed = Changed::All;
        for (name, row) in rows {
            if self.marks.contains_key(name.as_str()) {
                continue;
            }
            let instance = self.new_instance();
            self.live.entry(name.into()).or_insert(Live {
                row: row.into(),
                predecessors: 0,
                deleted: Vec::new(),
                revision_is_known: false,
                revision_is_untold: false,
                instance,
            });
        }
    }

    pub(super) fn newest(&self) -> u64 {
        self.newest
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
        self.changed.add(&name);
        live.revision_is_untold |= live.row.revision != revision;
        Arc::make_mut(&mut live.row).revision = revision;
        live.revision_is_known = true;
        live.revision_is_untold
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
        self.newest = self.newest.max(event.sequence);
        let nothing = |older| Meaning {
            change: Change::Nothing,
            mark: event.sequence,
            older,
        };
        if event.subclass == Subclass::InvalidDigestReq {
            return nothing(false);
        }
        if event.sequence <= self.floor {
            return nothing(true);
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
                _ => {
                    self.changed.add(&event.gateway);
                    let removed = self.live.remove(&event.gateway).is_some();
                    self.marks.insert(
                        event.gateway.clone(),
                        Mark {
                            sequence: event.sequence,
                            removed,
                        },
                    );
                    Meaning {
                        change: Change::Delete,
                        mark: event.sequence,
                        older: false,
                    }
                }
            },
            Subclass::InvalidDigestReq => nothing(false),
        }
    }

    fn added(&mut self, event: &GatewayEvent, mark: u64) -> Meaning {
        let predecessors = self
            .live
            .get(&event.gateway)
            .map_or(0, |before| before.predecessors + 1);
        let row = Row {
            profile: event.profile.clone(),
            state: None,
            ping: None,
            status: None,
            phrase: None,
            since: event.at,
            seen: event.at,
            revision: None,
            stale: false,
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
        let goes_on = before.filter(|row| row.state == event.state);
        let (status, phrase) = match &event.status {
            Some(_) => (event.status.clone(), event.phrase.clone()),
            None => kept_answer(before, event.state.as_ref()),
        };
        let row = Row {
            profile: event
                .profile
                .clone()
                .or_else(|| before.and_then(|row| row.profile.clone())),
            state: event.state.clone(),
            ping: event.ping.clone(),
            status,
            phrase,
            since: goes_on.map_or(event.at, |row| row.since),
            seen: event.at,
            revision: before.and_then(|row| row.revision.clone()),
            stale: false,
            ..Row::unknown(event.at)
        };
        Some(self.set(event, row, predecessors, event.sequence))
    }

    fn set(&mut self, event: &GatewayEvent, row: Row, predecessors: usize, mark: u64) -> Meaning {
        self.changed.add(&event.gateway);
        let row = Arc::new(row);
        let change = Change::Set(row.clone());
        match self.live.get_mut(&event.gateway) {
            Some(live) if event.subclass == Subclass::State => {
                live.row = row;
                live.predecessors = predecessors;
                live.revision_is_untold = false;
            }
            before => {
                let deleted = before.map(|live| std::mem::take(&mut live.deleted)).unwrap_or_default();
                let live = Live {
                    row,
                    predecessors,
                    deleted,
                    revision_is_known: false,
                    revision_is_untold: false,
                    instance: self.new_instance(),
                };
                self.live.insert(event.gateway.clone(), live);
            }
        }
        self.marks.insert(
            event.gateway.clone(),
            Mark {
                sequence: mark,
                removed: false,
            },
        );
        Meaning {
            change,
            mark,
            older: false,
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
        self.live.retain(|name, _| {
            let stays = by_name.contains_key(&**name) || newer(&self.marks, name);
            if !stays {
                self.changed.add(name);
            }
            stays
        });
        for (name, entries) in by_name {
            let name = &Arc::from(name);
            if newer(&self.marks, name) {
                match self.live.get_mut(name) {
                    Some(live) if live.row.profile.is_none() => {
                        Arc::make_mut(&mut live.row).profile = Some(entries[0].profile.clone());
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
            let row = observed(before, status, now);
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
                instance,
            };
            self.live.insert(name.clone(), live);
        }
        self.ghosts = ghosts;
        self.floor = self.floor.max(sequence);
        self.newest = self.newest.max(sequence);
        self.marks.retain(|_, mark| mark.sequence > sequence);
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
            let live = self.live.get_mut(name).filter(|_| !is_newer && self.floor <= sequence);
            let Some(live) = live else { continue };
            let is_known_as = |profile: &str| live.row.profile.as_deref().is_none_or(|known| known == profile);
            let Some(status) = status.as_ref().filter(|status| is_known_as(&status.profile)) else {
                self.unsettled = true;
                continue;
            };
            live.row = Arc::new(observed(Some(&live.row), status, now));
            self.changed.add(name);
            // What was fired before the question is in the answer.
            let mark = Mark {
                sequence,
                removed: false,
            };
            self.marks.insert(name.clone(), mark);
            taken.push(name.clone());
        }
        taken
    }
}

/// The states between two tries follow a FAILED by themselves and carry no answer: keep the one that led there, it is what an operator wants
/// to know.
fn kept_answer(before: Option<&Row>, state: Option<&State>) -> (Option<String>, Option<String>) {
    match (before, state) {
        (Some(row), Some(State::FailWait | State::Unreged | State::Trying)) => (row.status.clone(), row.phrase.clone()),
        _ => (None, None),
    }
}

fn observed(before: Option<&Row>, status: &GatewayStatus, now: Timestamp) -> Row {
    let goes_on =
        before.filter(|row| row.state.as_ref() == Some(&status.state) && row.profile.as_ref() == Some(&status.profile));
    let up_since = status.uptime.and_then(|uptime| now.checked_sub(uptime).ok());
    let first_seen = before.filter(|row| row.state.is_none()).map(|row| row.since);
    Row {
        profile: Some(status.profile.clone()),
        state: Some(status.state.clone()),
        ping: Some(status.ping.clone()),
        status: goes_on.and_then(|row| row.status.clone()),
        phrase: goes_on.and_then(|row| row.phrase.clone()),
        since: goes_on.map(|row| row.since).or(first_seen).or(up_since).unwrap_or(now),
        seen: now,
        revision: before.and_then(|row| row.revision.clone()),
        stale: false,
        ..Row::unknown(now)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use bytes::Bytes;
    use proptest::prelude::*;

    use super::*;
    use crate::event_socket::{Event, parse_gateways};
    use crate::registration::PingStatus;

    fn event(subclass: Subclass, gateway: &str, sequence: u64, state: Option<State>) -> GatewayEvent {
        GatewayEvent {
            json: Bytes::new(),
            subclass,
            gateway: gateway.into(),
            profile: (subclass != Subclass::State).then(|| "external".to_owned()),
            ping: state.as_ref().map(|_| PingStatus::Down),
            state,
            status: None,
            phrase: None,
            core_uuid: "core".into(),
            switchname: "fs1".into(),
            sequence,
            at: at(sequence),
        }
    }

    fn at(sequence: u64) -> Timestamp {
        Timestamp::from_second(1_795_400_000 + i64::try_from(sequence).unwrap()).unwrap()
    }

    fn add(gateway: &str, sequence: u64) -> GatewayEvent {
        event(Subclass::Add, gateway, sequence, None)
    }

    fn state(gateway: &str, sequence: u64, state: State) -> GatewayEvent {
        event(Subclass::State, gateway, sequence, Some(state))
    }

    fn delete(gateway: &str, sequence: u64) -> GatewayEvent {
        event(Subclass::Delete, gateway, sequence, None)
    }

    fn listed(name: &str, state: State) -> GatewayStatus {
        GatewayStatus {
            name: name.into(),
            profile: "external".into(),
            state,
            ping: PingStatus::Up,
            uptime: None,
        }
    }

    fn view_of(events: &[GatewayEvent]) -> View {
        let mut view = View::default();
        for event in events {
            view.event(event);
        }
        view
    }

    fn state_of(view: &View, name: &str) -> Option<State> {
        view.row(name).and_then(|row| row.state.clone())
    }

    #[test]
    fn a_delete_after_its_successors_add_leaves_the_successor() {
        let mut view = view_of(&[add("g", 1), state("g", 2, State::Reged), add("g", 3)]);
        assert_eq!(view.event(&delete("g", 4)).change, Change::Nothing);
        assert!(view.row("g").is_some());
        assert_eq!(view.event(&delete("g", 5)).change, Change::Delete);
        assert!(view.row("g").is_none());
    }

    #[test]
    fn a_predecessors_delete_that_comes_twice_counts_once() {
        let mut view = view_of(&[add("g", 1), state("g", 2, State::Reged), add("g", 3), delete("g", 4)]);
        let again = view.event(&delete("g", 4));
        assert_eq!((again.change, again.older), (Change::Nothing, true));
        assert!(view.row("g").is_some());
    }

    #[test]
    fn the_recorded_replacement_ends_registered() {
        let path = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/tests/recordings/event_socket/killgw-startgw-rescan.txt"
        );
        let recording = std::fs::read_to_string(path).unwrap();
        let mut view = View::default();
        view.absorb(
            &[listed("gw_ok", State::Reged), listed("gw_noreg", State::Noreg)],
            387,
            at(0),
        );
        for part in recording.split("Content-Type: text/event-json\n\n").skip(1) {
            let json = &part[..part.find('}').unwrap() + 1];
            let Event::Gateway(event) = Event::parse(json.to_owned().into()).unwrap() else {
                panic!("{json}")
            };
            view.event(&event);
        }
        assert_eq!(state_of(&view, "gw_ok"), Some(State::Reged));
        assert_eq!(view.row("gw_noreg").unwrap().state, None);
        let refused = view.row("gw_bad").unwrap();
        assert_eq!(refused.state, Some(State::FailWait));
        assert_eq!(
            (refused.status.as_deref(), refused.phrase.as_deref()),
            (Some("403"), Some("Forbidden"))
        );
    }

    #[test]
    fn a_predecessors_down_is_not_the_successors() {
        let mut view = view_of(&[
            add("g", 1),
            state("g", 2, State::Reged),
            add("g", 3),
            state("g", 4, State::Trying),
        ]);
        assert_eq!(view.event(&state("g", 5, State::Down)).change, Change::Nothing);
        assert_eq!(state_of(&view, "g"), Some(State::Trying));
    }

    #[test]
    fn a_delete_that_overtook_its_successors_add_does_not_cost_the_successor() {
        let mut view = view_of(&[add("g", 1), state("g", 2, State::Reged)]);
        assert_eq!(view.event(&delete("g", 4)).change, Change::Delete);
        let restored = view.event(&add("g", 3));
        assert!(matches!(restored.change, Change::Set(_)));
        assert_eq!(
            restored.mark, 4,
            "else Redis, which saw the delete, would take it for old"
        );
        assert!(view.row("g").is_some());
    }

    #[test]
    fn an_add_that_comes_after_its_own_delete_brings_nothing_back() {
        let mut view = view_of(&[delete("g", 2)]);
        assert_eq!(view.event(&add("g", 1)).change, Change::Nothing);
        assert!(view.row("g").is_none());
        assert!(view.take_unsettled());
    }

    #[test]
    fn a_revision_is_untold_until_an_event_or_a_snapshot_carries_it() {
        let mut view = view_of(&[add("g", 1), state("g", 2, State::Reged)]);
        let asked = |view: &mut View, revision: &str| {
            let instance = view.instance("g").unwrap();
            view.set_revision("g", instance, Some(revision.to_owned()))
        };
        let is_open = |view: &View| view.open().count() == 1;
        assert!(asked(&mut view, "r1") && is_open(&view));
        view.told();
        assert!(is_open(&view), "the event is newer than the snapshot");
        view.event(&state("g", 3, State::Trying));
        assert!(!is_open(&view));
        assert!(!asked(&mut view, "r1"), "nothing new");
        assert!(asked(&mut view, "r2"));
        view.absorb(&[listed("g", State::Trying)], 3, at(3));
        assert!(is_open(&view));
        view.told();
        assert!(!is_open(&view));
        assert!(asked(&mut view, "r3"));
        let taken = view.absorb_some(&[("g".into(), Some(listed("g", State::Trying)))], 3, at(4));
        view.told_of(&taken);
        assert!(!is_open(&view));
    }

    #[test]
    fn a_gateway_is_complete_with_its_state_and_its_revision() {
        let mut view = view_of(&[add("g", 1)]);
        let is_complete = |view: &View| view.open().next().is_none();
        let instance = view.instance("g").unwrap();
        view.set_revision("g", instance, None);
        assert!(!is_complete(&view));
        view.event(&state("g", 2, State::Trying));
        assert!(is_complete(&view));
        view.event(&add("g", 3));
        assert!(!is_complete(&view), "its successor was not asked");
    }

    #[test]
    fn a_gateway_that_was_asked_for_is_as_answered_unless_an_event_is_newer() {
        let mut view = view_of(&[add("ip", 1), add("carrier", 2), state("carrier", 7, State::Reged)]);
        let answers = [
            ("ip".into(), Some(listed("ip", State::Noreg))),
            ("carrier".into(), Some(listed("carrier", State::Trying))),
        ];
        assert_eq!(view.absorb_some(&answers, 5, at(6)), [Arc::from("ip")]);
        assert_eq!(state_of(&view, "ip"), Some(State::Noreg));
        assert_eq!(state_of(&view, "carrier"), Some(State::Reged));
        let late = view.event(&state("ip", 4, State::Trying));
        assert_eq!(
            (late.change, late.older),
            (Change::Nothing, true),
            "it was in the answer"
        );
        assert!(!view.take_unsettled());
        let gone = view.absorb_some(&[("ip".into(), None)], 8, at(9));
        assert!(
            gone.is_empty() && view.take_unsettled(),
            "only a snapshot tells that it is gone"
        );
        let moved = GatewayStatus {
            profile: "internal".into(),
            ..listed("carrier", State::Reged)
        };
        let answers = [("carrier".into(), Some(moved))];
        assert!(
            view.absorb_some(&answers, 8, at(9)).is_empty() && view.take_unsettled(),
            "a ghost, perhaps"
        );
    }

    #[test]
    fn an_older_state_never_overwrites_a_newer_one() {
        let mut view = view_of(&[add("g", 1), state("g", 3, State::Reged)]);
        let late = view.event(&state("g", 2, State::Trying));
        assert_eq!((late.change, late.older), (Change::Nothing, true));
        assert_eq!(state_of(&view, "g"), Some(State::Reged));
    }

    #[test]
    fn since_is_when_the_state_was_entered_and_seen_when_it_was_last_true() {
        let view = view_of(&[add("g", 1), state("g", 2, State::Reged), state("g", 9, State::Reged)]);
        let row = view.row("g").unwrap();
        assert_eq!((row.since, row.seen), (at(2), at(9)));
        assert_eq!(row.profile.as_deref(), Some("external"));
    }

    #[test]
    fn a_challenge_says_nothing_of_the_state() {
        let mut view = view_of(&[add("g", 1)]);
        let meaning = view.event(&event(Subclass::InvalidDigestReq, "g", 2, None));
        assert_eq!((meaning.change, meaning.older), (Change::Nothing, false));
    }

    #[test]
    fn a_snapshot_takes_away_what_is_gone_and_leaves_newer_events_alone() {
        let mut view = view_of(&[
            add("gone", 1),
            add("newer", 2),
            state("newer", 7, State::Reged),
            delete("killed", 8),
        ]);
        view.absorb(
            &[
                listed("newer", State::Trying),
                listed("found", State::Noreg),
                listed("killed", State::Reged),
            ],
            5,
            at(20),
        );
        assert!(view.row("gone").is_none());
        assert_eq!(state_of(&view, "newer"), Some(State::Reged));
        assert_eq!(state_of(&view, "found"), Some(State::Noreg));
        assert!(view.row("killed").is_none());
        assert!(view.take_unsettled(), "listed and deleted: only another snapshot tells");
        let late = view.event(&state("found", 4, State::Trying));
        assert_eq!((late.change, late.older), (Change::Nothing, true));
    }

    #[test]
    fn a_snapshot_in_the_middle_of_a_replacement_counts_the_predecessor() {
        let path = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/tests/recordings/api/sofia-xmlstatus-gateway-while-one-is-replaced.txt"
        );
        let mut view = View::default();
        view.absorb(&parse_gateways(&std::fs::read(path).unwrap()).unwrap(), 10, at(10));
        assert_eq!(state_of(&view, "gw_ok"), Some(State::Unreged));
        assert_eq!(view.event(&delete("gw_ok", 11)).change, Change::Nothing);
        assert!(view.row("gw_ok").is_some());
    }

    #[test]
    fn a_ghost_in_another_profile_does_not_stand_for_the_gateway() {
        let mut view = view_of(&[add("g", 1), state("g", 2, State::Reged)]);
        let ghost = GatewayStatus {
            profile: "internal".into(),
            ..listed("g", State::Trying)
        };
        view.absorb(&[ghost, listed("g", State::Reged)], 2, at(3));
        let row = view.row("g").unwrap();
        assert_eq!(
            (row.profile.as_deref(), &row.state),
            (Some("external"), &Some(State::Reged))
        );
        assert_eq!(view.event(&delete("g", 3)).change, Change::Delete);
    }

    #[test]
    fn a_state_that_goes_on_keeps_its_since_over_a_snapshot_and_a_restart_of_trunkd() {
        let before = view_of(&[add("g", 1), state("g", 2, State::Reged)])
            .row("g")
            .unwrap()
            .clone();
        let mut view = View::default();
        view.seed([("g".to_owned(), before)]);
        view.absorb(&[listed("g", State::Reged)], 50, at(60));
        assert_eq!(view.row("g").unwrap().since, at(2));
        view.absorb(&[listed("g", State::FailWait)], 51, at(61));
        assert_eq!(view.row("g").unwrap().since, at(61));
    }

    /// What [`View::rows`] and [`View::revision_is_known`] answered when it was asked last.
    type Followed = BTreeMap<String, (Option<String>, Option<State>, Option<Option<String>>)>;

    /// Brings what was known up to date by what the view says changed.
    fn follow(known: &mut Followed, view: &mut View) {
        let names: Vec<Arc<str>> = match view.take_changed() {
            Changed::All => {
                known.clear();
                view.rows().map(|(name, _)| name.clone()).collect()
            }
            Changed::Only(names) => names.into_iter().collect(),
        };
        for name in names {
            let now = view.row(&name).map(|row| {
                let revision = view.revision_is_known(&name).then(|| row.revision.clone());
                (row.profile.clone(), row.state.clone(), revision)
            });
            match now {
                Some(now) => drop(known.insert(name.to_string(), now)),
                None => drop(known.remove(&*name)),
            }
        }
    }

    /// mod_sofia in small: which instances of a name there are, and the events that it fires for what happens to them.
    #[derive(Debug, Clone, Default)]
    struct Truth {
        live: Option<State>,
        /// Killed ones: whether they are DOWN already.
        killed: Vec<bool>,
    }

    impl Truth {
        fn step(&mut self, what: u8) -> Option<(Subclass, Option<State>)> {
            match what {
                0 if self.live.is_none() => {
                    self.live = Some(State::Unreged);
                    Some((Subclass::Add, None))
                }
                1 if self.live.is_some() => {
                    self.live = None;
                    self.killed.push(false);
                    None
                }
                2 if !self.killed.is_empty() => {
                    if std::mem::replace(&mut self.killed[0], true) {
                        self.killed.remove(0);
                        return Some((Subclass::Delete, None));
                    }
                    Some((Subclass::State, Some(State::Down)))
                }
                3..=5 if self.live.is_some() => {
                    let next = [State::Trying, State::Reged, State::FailWait][usize::from(what) - 3].clone();
                    self.live = Some(next.clone());
                    Some((Subclass::State, Some(next)))
                }
                _ => None,
            }
        }

        /// What is answered to the question for this one.
        fn one(&self, name: &str) -> Option<GatewayStatus> {
            self.live.clone().map(|state| listed(name, state))
        }

        fn list(&self, name: &str) -> Vec<GatewayStatus> {
            let killed = self
                .killed
                .iter()
                .map(|&down| listed(name, if down { State::Down } else { State::Unregister }));
            self.live
                .iter()
                .map(|state| listed(name, state.clone()))
                .chain(killed)
                .collect()
        }
    }

    proptest! {
        /// Whatever happens, and whenever it is asked for: who follows what changed knows what there is.
        #[test]
        fn what_is_said_to_have_changed_is_all_that_changed(
            steps in proptest::collection::vec((0usize..3, 0u8..11, any::<bool>()), 1..60),
        ) {
            let names = ["a", "b", "c"];
            let mut truths: [Truth; 3] = Default::default();
            let (mut view, mut known) = (View::default(), Followed::new());
            for (at_step, (which, what, is_asked)) in (1..).zip(&steps) {
                match what {
                    0..6 => if let Some((subclass, state)) = truths[*which].step(*what) {
                        view.event(&event(subclass, names[*which], at_step, state));
                    },
                    6..8 => if let Some(instance) = view.instance(names[*which]) {
                        view.set_revision(names[*which], instance, (*what == 6).then(|| format!("r{at_step}")));
                    },
                    8 => {
                        let name = names[*which];
                        view.absorb_some(&[(name.into(), truths[*which].one(name))], at_step, at(at_step));
                    }
                    9 => {
                        let list: Vec<_> = names.iter().zip(&truths).flat_map(|(name, truth)| truth.list(name)).collect();
                        view.absorb(&list, at_step, at(at_step));
                    }
                    _ => {
                        let row = observed(None, &listed(names[*which], State::Reged), at(at_step));
                        view.seed([(names[*which].to_owned(), row)]);
                    }
                }
                if *is_asked {
                    follow(&mut known, &mut view);
                    let mut anew = Followed::new();
                    view.changed = Changed::All;
                    follow(&mut anew, &mut view);
                    prop_assert_eq!(&known, &anew);
                }
            }
        }

        /// Whenever the snapshot is taken, or the gateways are asked for one by one, and whichever of the events around it come after it: once all have come, the view is the truth, or it
        /// says that another snapshot is due, and is the truth after that.
        #[test]
        fn events_and_a_snapshot_at_any_moment_end_in_the_truth(
            steps in proptest::collection::vec((0usize..2, 0u8..6), 1..60),
            taken in 0usize..60,
            known_when_asked in 0usize..60,
            is_single: bool,
        ) {
            let names = ["a", "b"];
            let mut truths = [Truth::default(), Truth::default()];
            let (mut events, mut snapshot) = (Vec::new(), None);
            for (index, (which, what)) in steps.iter().enumerate() {
                if index == taken.min(steps.len() - 1) {
                    let list: Vec<_> = names.iter().zip(&truths).flat_map(|(name, truth)| truth.list(name)).collect();
                    let single = names.iter().zip(&truths).map(|(name, truth)| (Arc::from(*name), truth.one(name)));
                    snapshot = Some((events.len(), list, single.collect::<Vec<_>>()));
                }
                if let Some((subclass, state)) = truths[*which].step(*what) {
                    events.push(event(subclass, names[*which], events.len() as u64 + 1, state));
                }
            }
            let (fired, list, single) = snapshot.unwrap();
            let known = known_when_asked.min(fired);
            let mut view = view_of(&events[..known]);
            // The answer comes when all that it reflects was fired; what was not known when it was asked for comes after it.
            if is_single {
                view.absorb_some(&single, known as u64, at(100));
            } else {
                view.absorb(&list, known as u64, at(100));
            }
            for event in &events[known..] {
                view.event(event);
            }
            if view.take_unsettled() {
                let list: Vec<_> = names.iter().zip(&truths).flat_map(|(name, truth)| truth.list(name)).collect();
                view.absorb(&list, view.newest(), at(200));
            }
            // A name that is only being deleted counts as there until it is gone: only the end is compared.
            for (name, truth) in names.iter().zip(&truths) {
                if let Some(live) = &truth.live {
                    let row = view.row(name);
                    prop_assert!(row.is_some(), "{name} is live");
                    let state = row.unwrap().state.clone();
                    prop_assert!(state.is_none() || state.as_ref() == Some(live), "{name}: {state:?}, in truth {live:?}");
                } else if truth.killed.is_empty() {
                    prop_assert!(view.row(name).is_none(), "{name} is gone");
                }
            }
        }
    }
}
