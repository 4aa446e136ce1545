//! Events applied to the view.

use std::sync::Arc;

use super::{EventEffect, LiveGateway, Mark, View, kept_answer, kept_challenge};
use crate::event_socket::{GatewayEvent, Subclass};
use crate::ingest::refused;
use crate::ingest::usable::{RowSource, judge};
use crate::observed::{Challenge, Change, Row, reason};
use crate::registration::{PingStatus, State};

impl View {
    pub(in crate::ingest) fn apply_event(&mut self, event: &GatewayEvent) -> EventEffect {
        if !self.accept_sequence(event.sequence) {
            return EventEffect {
                is_odd: true,
                ..EventEffect::none(event)
            };
        }
        if event.sequence <= self.floor {
            return match event.subclass {
                Subclass::InvalidDigestReq => EventEffect::none(event),
                Subclass::Add | Subclass::State | Subclass::Delete => EventEffect::older(event),
            };
        }
        let mark = self.marks.get(&event.gateway).copied();
        let is_newest = mark.is_none_or(|mark| event.sequence > mark.sequence);
        match event.subclass {
            Subclass::Add if is_newest => self.apply_add(event, event.sequence),
            Subclass::Add => match mark {
                Some(mark) if mark.is_removed => self.apply_add(event, mark.sequence),
                _ => self.unsettle(event),
            },
            Subclass::State if is_newest => self.apply_state(event),
            Subclass::State => EventEffect::older(event),
            Subclass::Delete => self.apply_delete(event, is_newest),
            Subclass::InvalidDigestReq if is_newest => self.apply_challenge(event),
            Subclass::InvalidDigestReq => EventEffect::none(event),
        }
    }

    /// An older event that only a snapshot can put in its place.
    fn unsettle(&mut self, event: &GatewayEvent) -> EventEffect {
        self.is_unsettled = true;
        EventEffect::older(event)
    }

    fn apply_add(&mut self, event: &GatewayEvent, mark: u64) -> EventEffect {
        let before = self.live.get_mut(&event.gateway);
        let predecessors = before.as_ref().map_or(0, |before| before.predecessors + 1);
        let deletes = before.map(|live| std::mem::take(&mut live.deletes)).unwrap_or_default();
        // A snapshot may have listed this one already. Then it counted itself as its predecessor.
        self.is_unsettled |= predecessors > 0;
        let row = Arc::new(Row {
            profile: event.profile.clone(),
            ..Row::unknown(event.at)
        });
        let live = LiveGateway {
            predecessors,
            deletes,
            ..LiveGateway::new(row.clone(), self.new_instance())
        };
        self.insert(event.gateway.clone(), live);
        self.changed_by(event, row, mark)
    }

    fn apply_state(&mut self, event: &GatewayEvent) -> EventEffect {
        let Some(live) = self.live.get_mut(&event.gateway) else {
            self.is_unsettled = true;
            let row = Arc::new(row_from_event(None, event));
            let live = LiveGateway::new(row.clone(), self.new_instance());
            self.insert(event.gateway.clone(), live);
            return self.changed_by(event, row, event.sequence);
        };
        // Only a killed gateway becomes DOWN (FACTS 22), so this is a predecessor's.
        if live.predecessors > 0 && event.state == Some(State::Down) {
            return EventEffect::none(event);
        }
        let row = Arc::new(row_from_event(Some(&live.row), event));
        live.is_revision_unstored = false;
        live.is_seeded = false;
        if row.state == Some(State::Noreg) {
            live.ping_in_progress = None;
        }
        self.set_row(&event.gateway, row.clone());
        self.changed_by(event, row, event.sequence)
    }

    fn changed_by(&mut self, event: &GatewayEvent, row: Arc<Row>, mark: u64) -> EventEffect {
        self.change_log.record(&event.gateway);
        let is_removed = false;
        self.set_mark(
            &event.gateway,
            Mark {
                sequence: mark,
                is_removed,
            },
        );
        EventEffect {
            change: Change::Set(row),
            mark,
            ..EventEffect::none(event)
        }
    }

    fn apply_delete(&mut self, event: &GatewayEvent, is_newest: bool) -> EventEffect {
        match self.live.get_mut(&event.gateway) {
            Some(live) if live.deletes.contains(&event.sequence) => return EventEffect::older(event),
            Some(live) if live.predecessors > 0 => {
                live.predecessors -= 1;
                live.deletes.push(event.sequence);
                return EventEffect::none(event);
            }
            _ if !is_newest => return self.unsettle(event),
            _ => {}
        }
        self.change_log.record(&event.gateway);
        let is_removed = self.remove(&event.gateway).is_some();
        let sequence = event.sequence;
        self.set_mark(&event.gateway, Mark { sequence, is_removed });
        EventEffect {
            change: Change::Delete,
            ..EventEffect::none(event)
        }
    }

    /// FreeSWITCH did not answer a challenge. That says nothing about the state, so the mark stays.
    fn apply_challenge(&mut self, event: &GatewayEvent) -> EventEffect {
        let Some(before) = self.row(&event.gateway) else {
            return EventEffect::none(event);
        };
        let challenge = Challenge {
            from: None,
            realm: event.realm.as_deref().map(|realm| realm.trim_matches('"').to_owned()),
            at: event.at,
        };
        let is_down = before.usable == Some(false);
        let unanswered = is_down.then(|| reason::CHALLENGE_NOT_ANSWERED.to_owned());
        let row = Arc::new(Row {
            challenge: Some(challenge),
            reason: unanswered.or_else(|| before.reason.clone()),
            ..before.clone()
        });
        self.set_row(&event.gateway, row.clone());
        let mark = self.marks.get(&event.gateway);
        EventEffect {
            change: Change::Note(row),
            mark: mark.map_or(self.floor, |mark| mark.sequence),
            ..EventEffect::none(event)
        }
    }
}

impl EventEffect {
    fn none(event: &GatewayEvent) -> Self {
        Self {
            change: Change::Nothing,
            mark: event.sequence,
            is_older: false,
            is_odd: false,
        }
    }

    fn older(event: &GatewayEvent) -> Self {
        Self {
            is_older: true,
            ..Self::none(event)
        }
    }
}

fn row_from_event(before: Option<&Row>, event: &GatewayEvent) -> Row {
    let same_state = before.filter(|row| row.state == event.state);
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
        since: same_state.map_or(event.at, |row| row.since),
        revision: before.and_then(|row| row.revision.clone()),
        ping_every: before.and_then(|row| row.ping_every),
        ping_ms: before.and_then(|row| row.ping_ms).filter(|_| is_up),
        // A gateway that does not register fires an event only when a ping is answered.
        ping_stuck: before.is_some_and(|row| row.ping_stuck) && event.state != Some(State::Noreg),
        calls: before.and_then(|row| row.calls),
        challenge: kept_challenge(before, event.state.as_ref()),
        retry_at: same_state.and_then(|row| row.retry_at),
        ..Row::unknown(event.at)
    };
    let source = match event.status {
        Some(_) => RowSource::EventWithAnswer,
        None => RowSource::Event,
    };
    judge(&mut row, before, source);
    row.refused = refused::after_event(before, &row, event.status.as_deref());
    row
}
