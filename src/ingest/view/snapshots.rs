//! Snapshots, and answers about single gateways, applied to the view.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::{LiveGateway, Mark, PingInProgress, View, kept_answer, kept_challenge};
use crate::event_socket::GatewayStatus;
use crate::ingest::refused;
use crate::ingest::usable::{RowSource, judge};
use crate::observed::Row;
use crate::registration::State;

/// A snapshot's time is that of its arrival, an event's that of the switch's clock. Times that
/// differ by less are equal.
const CLOCK_TOLERANCE: Duration = Duration::from_secs(5);

impl View {
    /// Applies a snapshot that counts as of `sequence`. Afterwards [`View::rows`] is the truth,
    /// except for gateways with newer events.
    pub(in crate::ingest) fn apply_snapshot(&mut self, listed: &[GatewayStatus], sequence: u64, now: Timestamp) {
        let mut by_name: HashMap<&str, Vec<&GatewayStatus>> = HashMap::new();
        for status in listed {
            by_name.entry(&status.name).or_default().push(status);
        }
        let gone = self.live.keys().filter(|name| !by_name.contains_key(&***name));
        let gone: Vec<_> = gone
            .filter(|name| !self.has_newer_event(name, sequence))
            .cloned()
            .collect();
        for name in gone {
            self.change_log.record(&name);
            self.remove(&name);
        }
        self.ghosts.clear();
        for (name, entries) in by_name {
            let name = Arc::from(name);
            if self.has_newer_event(&name, sequence) {
                self.add_profile(&name, entries[0]);
            } else {
                self.apply_listed(name, &entries, now);
            }
        }
        self.floor = sequence;
        self.retain_marks(|mark| mark.sequence > sequence);
    }

    fn has_newer_event(&self, name: &str, sequence: u64) -> bool {
        self.marks.get(name).is_some_and(|mark| mark.sequence > sequence)
    }

    /// An event decided the state of this one, but an event of its state names no profile.
    fn add_profile(&mut self, name: &Arc<str>, status: &GatewayStatus) {
        match self.live.get(name) {
            Some(live) if live.row.profile.is_none() => {
                let row = Row {
                    profile: Some(status.profile.clone()),
                    ..Row::clone(&live.row)
                };
                self.set_row(name, row.into());
                self.change_log.record(name);
            }
            Some(_) => {}
            // Listed, and deleted by a newer event: was that this one's, or an unknown predecessor's?
            None => self.is_unsettled = true,
        }
    }

    /// The entries of one name: the gateway, its predecessors that wait to be deleted, and ghosts.
    fn apply_listed(&mut self, name: Arc<str>, entries: &[&GatewayStatus], now: Timestamp) {
        let before = self.live.get(&name);
        // A name in a second profile is a ghost that no event mentions (FACTS 18): stay with the known profile.
        let known = before.and_then(|live| live.row.profile.as_deref());
        let is_known = |entry: &&&GatewayStatus| Some(entry.profile.as_str()) == known;
        let status = entries.iter().find(is_known).unwrap_or(&entries[0]);
        let predecessors = entries.iter().filter(|entry| entry.profile == status.profile).count() - 1;

        let ping_in_progress = ping_in_progress(before, status, now);
        let row = row_from_snapshot(before, status, self.is_stuck(before, ping_in_progress, now), now);
        let is_changed = before.is_none_or(|live| live.row.profile != row.profile || live.row.state != row.state);
        let (is_revision_known, is_revision_unstored) = before.map_or((false, false), |live| {
            (live.is_revision_known, live.is_revision_unstored)
        });
        let instance = before.map(|live| live.instance);
        if is_changed {
            self.change_log.record(&name);
        }
        let ghosts = entries.iter().filter(|entry| entry.profile != status.profile);
        self.ghosts
            .extend(ghosts.map(|ghost| (name.clone(), ghost.profile.clone())));
        let instance = instance.unwrap_or_else(|| self.new_instance());
        let live = LiveGateway {
            predecessors,
            is_revision_known,
            is_revision_unstored,
            ping_in_progress,
            ..LiveGateway::new(row.into(), instance)
        };
        self.insert(name, live);
    }

    /// Applies what the switch answered about single gateways; the answers count as of `sequence`. Returns the gateways
    /// whose rows are now the truth. Of the others an event said something newer, or only a snapshot can tell.
    pub(in crate::ingest) fn apply_lookups(
        &mut self,
        answers: &[(Arc<str>, Option<GatewayStatus>)],
        sequence: u64,
        now: Timestamp,
    ) -> Vec<Arc<str>> {
        let mut applied = Vec::with_capacity(answers.len());
        for (name, status) in answers {
            if self.floor > sequence || self.has_newer_event(name, sequence) {
                continue;
            }
            let Some(live) = self.live.get(name) else { continue };
            let is_known_as = |profile: &str| live.row.profile.as_deref().is_none_or(|known| known == profile);
            let Some(status) = status.as_ref().filter(|status| is_known_as(&status.profile)) else {
                self.is_unsettled = true;
                continue;
            };
            let ping_in_progress = ping_in_progress(Some(live), status, now);
            let is_stuck = self.is_stuck(Some(live), ping_in_progress, now);
            let row = row_from_snapshot(Some(live), status, is_stuck, now);
            self.set_row(name, row.into());
            if let Some(live) = self.live.get_mut(name) {
                live.ping_in_progress = ping_in_progress;
                live.is_seeded = false;
            }
            self.change_log.record(name);
            // The answer reflects every event that was fired before the question.
            let is_removed = false;
            self.set_mark(name, Mark { sequence, is_removed });
            applied.push(name.clone());
        }
        applied
    }

    /// Whether the ping in progress can get no answer any more.
    fn is_stuck(&self, before: Option<&LiveGateway>, ping: Option<PingInProgress>, now: Timestamp) -> bool {
        ping.is_some_and(|ping| {
            let is_same = |live: &&LiveGateway| live.ping_in_progress.is_none_or(|known| known.due == ping.due);
            let was_stuck = before.filter(is_same).is_some_and(|live| live.row.ping_stuck);
            was_stuck || is_longer(ping.first_seen, now, self.ping_limit)
        })
    }
}

fn ping_in_progress(before: Option<&LiveGateway>, status: &GatewayStatus, now: Timestamp) -> Option<PingInProgress> {
    let due = status.details.pinging.then_some(status.details.ping_due)?;
    let known = before.and_then(|live| live.ping_in_progress);
    let first_seen = known
        .filter(|known| known.due == due)
        .map_or(now, |known| known.first_seen);
    Some(PingInProgress { due, first_seen })
}

fn is_longer(since: Timestamp, now: Timestamp, limit: Duration) -> bool {
    Duration::try_from(now.duration_since(since)).is_ok_and(|took| took >= limit)
}

pub(super) fn row_from_snapshot(
    live: Option<&LiveGateway>,
    status: &GatewayStatus,
    ping_stuck: bool,
    now: Timestamp,
) -> Row {
    // A row that no snapshot was applied to yet has no profile.
    let is_same_profile = |row: &&Row| row.profile.as_ref().is_none_or(|profile| *profile == status.profile);
    let before = live.map(|live| &*live.row).filter(is_same_profile);
    let same_state = before.filter(|row| row.state.as_ref() == Some(&status.state));
    let up_since = status.uptime.and_then(|uptime| now.checked_sub(uptime).ok());
    let first_seen = before.filter(|row| row.state.is_none()).map(|row| row.since);
    let (answer, phrase) = match same_state {
        Some(row) => (row.status.clone(), row.phrase.clone()),
        None => kept_answer(before, Some(&status.state)),
    };
    let details = &status.details;
    let is_waiting = matches!(status.state, State::Failed | State::FailWait);
    let retry = details
        .retry
        .filter(|_| is_waiting)
        .map(|seconds| Duration::from_secs(seconds.into()));
    let mut row = Row {
        profile: Some(status.profile.clone()),
        state: Some(status.state.clone()),
        ping: Some(status.ping.clone()),
        status: answer,
        phrase,
        since: same_state
            .map(|row| row.since)
            .or(first_seen)
            .or(up_since)
            .unwrap_or(now),
        revision: live.and_then(|live| live.row.revision.clone()),
        ping_every: Some(details.ping_every),
        ping_ms: details.ping_ms,
        ping_stuck,
        calls: Some(details.calls),
        challenge: kept_challenge(before, Some(&status.state)),
        retry_at: retry.and_then(|wait| now.checked_add(wait).ok()),
        ..Row::unknown(now)
    };
    judge(&mut row, before, RowSource::Snapshot);
    row.refused = refused::after_snapshot(before, &row);
    // The rows in Redis were taken over before the first snapshot.
    row.is_first_sight = false;
    let is_seeded = live.is_some_and(|live| live.is_seeded);
    if row.usable == Some(true)
        && let Some(up_since) = up_since.filter(|up_since| !was_up_then(before, is_seeded, *up_since))
    {
        row.usable_since = Some(up_since);
    }
    row
}

/// Whether the gateway was known to be up when the switch says that it came up. A seeded one may have been down while
/// nobody listened.
fn was_up_then(before: Option<&Row>, is_seeded: bool, up_since: Timestamp) -> bool {
    let was_up_since = before
        .filter(|before| before.usable == Some(true))
        .and_then(|before| before.usable_since);
    was_up_since.is_some_and(|was| !is_seeded || !is_longer(was, up_since, CLOCK_TOLERANCE))
}
