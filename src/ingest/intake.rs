//! Reads the events of one session into the view and the backlog. Never waits for Redis, except for a short time to let
//! a busy one catch up.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::{Instant, timeout};

use super::backlog::{Dropped, Entry};
use super::{Ingest, bounded, register};
use crate::event_socket::{Event, GatewayEvent, Session, Subclass};
use crate::metrics;
use crate::observed::{Change, Observation};
use crate::shown::shown;

/// A peer that sends this many unreadable events in a row is not FreeSWITCH.
const MAX_UNREADABLE: u32 = 100;
/// Events applied under one lock when they come fast.
const CHUNK: usize = 256;
/// About what an event takes in the backlog.
const EVENT_BYTES: usize = 2 * 1024;
/// Memory for the view of one switch: 100,000 gateways take a third.
const MAX_VIEW_BYTES: usize = 256 * 1024 * 1024;
/// A batch that takes longer to write says that Redis takes nothing at the moment.
const WRITE_STALLED: Duration = Duration::from_secs(1);
/// The longest time for which a switch is held back while Redis is busy. FreeSWITCH keeps 100,000 events for a
/// slow listener (FACTS 33), more than 10,000 gateways fire in this time when all register again.
const MAX_HELD: Duration = Duration::from_secs(30);

/// What the intake keeps between two reads of the session.
struct Progress {
    core_uuid: Arc<str>,
    held_since: Option<Instant>,
    /// Unreadable events in a row.
    unreadable: u32,
}

/// Whether to read on while the backlog fills up.
#[derive(Debug, PartialEq, Eq)]
enum Pressure {
    /// There is room, and plenty: the next hold is a new one.
    None,
    /// Read on.
    Tolerable,
    /// Let TCP and the switch hold the events, so that the channel and the list lose none.
    Hold,
}

/// `room`: events that find room in the backlog. `writing_for`: how long the current batch has been on its way.
fn pressure(room: usize, writing_for: Option<Duration>, held_for: Duration) -> Pressure {
    if room > super::BACKLOG_EVENTS / 2 {
        Pressure::None
    } else if room >= CHUNK || writing_for.is_some_and(|took| took > WRITE_STALLED) || held_for > MAX_HELD {
        Pressure::Tolerable
    } else {
        Pressure::Hold
    }
}

impl Ingest {
    /// Until the session is over, or must be ended. Returns why.
    pub(super) async fn read_events(&self, mut session: Session) -> String {
        let mut progress = Progress {
            core_uuid: session.core_uuid.as_str().into(),
            held_since: None,
            unreadable: 0,
        };
        let (mut received, mut events) = (Vec::new(), Vec::new());
        loop {
            self.wait_for_room(&mut progress.held_since).await;
            if let Err(lost) = session.next(&mut received, CHUNK).await {
                return bounded(&lost);
            }
            let mut parsed = Ok(());
            for json in received.drain(..) {
                parsed = self.parse(json, &mut progress, &mut events);
                if parsed.is_err() {
                    break;
                }
            }
            let applied = self.apply_events(&progress.core_uuid, &mut events);
            if let Err(reason) = parsed.and(applied) {
                return reason;
            }
        }
    }

    async fn wait_for_room(&self, held_since: &mut Option<Instant>) {
        loop {
            let (room, writing_for) = {
                let state = self.lock();
                let writing_for = state.writing_since.map(|since| since.elapsed());
                (state.backlog.room(EVENT_BYTES), writing_for)
            };
            let held_for = held_since.map_or(Duration::ZERO, |since| since.elapsed());
            match pressure(room, writing_for, held_for) {
                Pressure::None => {
                    *held_since = None;
                    return;
                }
                Pressure::Tolerable => return,
                Pressure::Hold => {
                    held_since.get_or_insert_with(Instant::now);
                    let _ = timeout(WRITE_STALLED / 10, self.batch_written.notified()).await;
                }
            }
        }
    }

    /// Reads one event and acts on those that are about the switch itself. An error is why the session must end.
    fn parse(&self, json: Bytes, progress: &mut Progress, events: &mut Vec<GatewayEvent>) -> Result<(), String> {
        let event = match Event::parse(json) {
            Ok(event) => event,
            Err(error) => return self.skip_unreadable(&bounded(&error), &mut progress.unreadable),
        };
        progress.unreadable = 0;
        match event {
            Event::Gateway(event) if event.core_uuid != *progress.core_uuid => {
                return Err("FreeSWITCH was restarted".to_owned());
            }
            Event::Gateway(event) if event.switchname != self.switch.name => {
                return Err(format!("its switchname is now \"{}\"", shown(&event.switchname)));
            }
            Event::Gateway(event) => events.push(event),
            Event::Heartbeat {
                sequence: Some(sequence),
            } => self.lock().view.apply_heartbeat(sequence),
            Event::Heartbeat { sequence: None } | Event::Other(_) => {}
            Event::ProfileStart => self.snapshot_soon(),
            Event::Shutdown => self.shutting_down(),
        }
        Ok(())
    }

    fn skip_unreadable(&self, error: &str, in_a_row: &mut u32) -> Result<(), String> {
        if let Some(more) = self.unreadable_logs.pass(std::time::Instant::now()) {
            let message = "an event could not be read; a snapshot makes up for it";
            tracing::error!(switch = self.switch(), %error, more, "{message}");
        }
        self.count_dropped("unreadable", 1);
        self.snapshot_soon();
        *in_a_row += 1;
        match *in_a_row >= MAX_UNREADABLE {
            true => Err(format!("{MAX_UNREADABLE} events in a row could not be read: {error}")),
            false => Ok(()),
        }
    }

    /// The last events still describe the gateways, but nothing may be changed on this run any more.
    fn shutting_down(&self) {
        {
            let mut state = self.lock();
            state.usable_before = state.usable();
            state.is_shutting_down = true;
        }
        tracing::info!(switch = self.switch(), "FreeSWITCH is shutting down");
        self.set_degraded("FreeSWITCH is shutting down".to_owned());
        self.notify_readers();
    }

    /// Applies events in the order they came. An error is why the session must end.
    fn apply_events(&self, core_uuid: &Arc<str>, events: &mut Vec<GatewayEvent>) -> Result<(), String> {
        if events.is_empty() {
            return Ok(());
        }
        let (mut by_subclass, mut older, mut odd) = ([0; Subclass::ALL.len()], 0, 0);
        let mut state = self.lock();
        for event in events.drain(..) {
            let row = state.view.row(&event.gateway);
            let was_challenged = row.is_some_and(|row| row.challenge.is_some());
            let register = register::after_event(row.and_then(|row| row.state.as_ref()), &event);
            let effect = state.view.apply_event(&event);
            by_subclass[event.subclass as usize] += 1;
            older += u64::from(effect.is_older);
            odd += u64::from(effect.is_odd);
            if effect.is_odd {
                self.log_odd(&event);
            }
            if matches!(effect.change, Change::Note(_)) && !was_challenged {
                self.log_challenge(&event);
            }
            let register = register.filter(|_| !effect.is_odd);
            state.backlog.push(Entry {
                core_uuid: core_uuid.clone(),
                observation: Observation {
                    sequence: event.sequence,
                    gateway: event.gateway,
                    change: effect.change,
                    mark: effect.mark,
                    json: event.json,
                    announce: true,
                    is_odd: effect.is_odd,
                    registers: register.into_iter().collect(),
                },
            });
        }
        let (dropped, is_unsettled) = (state.backlog.take_dropped(), state.view.take_unsettled());
        let is_too_large = state.view.bytes() > MAX_VIEW_BYTES;
        drop(state);
        self.work.notify_one();
        self.notify_readers();
        if is_unsettled {
            self.snapshot_soon();
        }
        if by_subclass[Subclass::Add as usize] > 0 {
            self.lookup_within(self.timing.settle);
        }
        self.handle_dropped(dropped);
        self.count_events(by_subclass, older, odd);
        match is_too_large {
            true => Err(format!(
                "its gateways take more than {} MiB",
                MAX_VIEW_BYTES / 1024 / 1024
            )),
            false => Ok(()),
        }
    }

    fn handle_dropped(&self, dropped: Dropped) {
        self.count_dropped("channel_and_list", dropped.announcements);
        self.count_dropped("hash", dropped.states);
        if dropped.states > 0 {
            self.snapshot_soon();
        }
    }

    fn log_odd(&self, event: &GatewayEvent) {
        if let Some(more) = self.odd_logs.pass(std::time::Instant::now()) {
            tracing::warn!(
                switch = self.switch(),
                gateway = %shown(&event.gateway),
                sequence = event.sequence,
                more,
                "ignored an event whose sequence is far from the ones before; a snapshot gets the state"
            );
        }
    }

    fn log_challenge(&self, event: &GatewayEvent) {
        if let Some(more) = self.challenge_logs.pass(std::time::Instant::now()) {
            tracing::warn!(
                switch = self.switch(),
                gateway = %shown(&event.gateway),
                realm = %shown(event.realm.as_deref().unwrap_or_default()),
                more,
                "FreeSWITCH did not answer a carrier's challenge, because its sender is none of the gateway's hosts: \
                 set the gateway's gw-auth-acl to a list in acl.conf that contains the sender's address"
            );
        }
    }

    fn count_events(&self, by_subclass: [u64; Subclass::ALL.len()], older: u64, odd: u64) {
        self.count_dropped("hash", odd);
        ::metrics::counter!(metrics::EVENTS_STALE, "switch" => self.label()).increment(older);
        let counts = Subclass::ALL.into_iter().zip(by_subclass);
        for (subclass, count) in counts.filter(|(_, count)| *count > 0) {
            ::metrics::counter!(metrics::EVENTS, "switch" => self.label(), "subclass" => subclass.as_str())
                .increment(count);
        }
    }

    fn count_dropped(&self, target: &'static str, count: u64) {
        if count > 0 {
            ::metrics::counter!(metrics::EVENTS_DROPPED, "switch" => self.label(), "target" => target).increment(count);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ingest::BACKLOG_EVENTS;

    #[test]
    fn a_switch_is_held_back_only_while_a_full_backlog_is_being_written() {
        let busy = Some(Duration::from_millis(20));
        let none = Duration::ZERO;
        assert_eq!(pressure(BACKLOG_EVENTS, None, none), Pressure::None);
        assert_eq!(pressure(CHUNK, busy, none), Pressure::Tolerable);
        assert_eq!(pressure(CHUNK - 1, busy, none), Pressure::Hold);
        assert_eq!(pressure(0, busy, MAX_HELD), Pressure::Hold);
    }

    #[test]
    fn a_switch_is_not_held_back_for_a_redis_that_takes_nothing() {
        let none = Duration::ZERO;
        let stalled = Some(WRITE_STALLED + Duration::from_millis(1));
        assert_eq!(pressure(0, stalled, none), Pressure::Tolerable);
        let long = MAX_HELD + Duration::from_millis(1);
        assert_eq!(pressure(0, Some(Duration::ZERO), long), Pressure::Tolerable);
    }
}
