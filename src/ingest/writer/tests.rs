use bytes::Bytes;

use super::*;
use crate::ingest::backlog::{Backlog, Limits};
use crate::ingest::view::View;
use crate::observed::{Change, Observation};

const ROOM: Limits = Limits {
    events: 2 * BATCH_EVENTS,
    bytes: usize::MAX,
};

fn state(limits: Limits, announces: bool) -> Mutex<SwitchState> {
    let backlog = Backlog::new(limits, announces);
    Mutex::new(SwitchState::new(View::default(), backlog, Instant::now()))
}

fn push(state: &Mutex<SwitchState>, sequence: u64, gateway: &str, bytes: usize) {
    let observation = Observation {
        sequence,
        gateway: gateway.into(),
        change: Change::Delete,
        mark: sequence,
        json: Bytes::from(vec![b'x'; bytes]),
        announce: true,
        is_odd: false,
        registers: Vec::new(),
    };
    let core_uuid = "core".into();
    state.lock().unwrap().backlog.push(Entry { core_uuid, observation });
}

fn sequences(entries: &[Entry]) -> Vec<u64> {
    entries.iter().map(|entry| entry.observation.sequence).collect()
}

#[test]
fn a_batch_is_what_waits_up_to_a_number_and_a_size() {
    let state = state(ROOM, true);
    for sequence in 1..=700 {
        push(&state, sequence, "g", 100);
    }
    assert_eq!(PendingBatch::take(&state).written().len(), BATCH_EVENTS);
    assert_eq!(PendingBatch::take(&state).written().len(), 200);
    assert!(PendingBatch::take(&state).entries.is_empty());
    for sequence in 1..=100 {
        push(&state, sequence, "g", 64 * 1024);
    }
    let large = PendingBatch::take(&state).written().len();
    assert!((20..30).contains(&large), "{large} events of 64 KiB");
}

#[test]
fn a_batch_that_was_not_written_goes_back_in_front() {
    let state = state(ROOM, true);
    for sequence in 1..=3 {
        push(&state, sequence, "g", 10);
    }
    let batch = PendingBatch::take(&state);
    push(&state, 4, "g", 10);
    drop(batch);
    assert!(state.lock().unwrap().writing_since.is_some(), "it is still being tried");
    let written = PendingBatch::take(&state).written();
    assert_eq!(sequences(&written), [1, 2, 3, 4]);
    assert!(state.lock().unwrap().writing_since.is_none());
}

#[test]
fn while_redis_is_away_the_newest_of_each_gateway_is_kept_for_the_hashes() {
    let state = state(Limits { events: 10, ..ROOM }, true);
    for sequence in 1..=1000 {
        push(&state, sequence, ["a", "b", "c"][sequence as usize % 3], 10);
        drop(PendingBatch::take(&state));
    }
    let dropped = state.lock().unwrap().backlog.take_dropped();
    assert_eq!((dropped.announcements, dropped.states), (990, 0));
    let written = PendingBatch::take(&state).written();
    let whole: Vec<_> = written
        .iter()
        .filter(|entry| entry.observation.announce)
        .cloned()
        .collect();
    assert_eq!(sequences(&whole), (991..=1000).collect::<Vec<_>>());
    let newest = |gateway: &str| {
        let of_gateway = written.iter().filter(|entry| &*entry.observation.gateway == gateway);
        of_gateway.map(|entry| entry.observation.sequence).max()
    };
    assert_eq!(
        [newest("a"), newest("b"), newest("c")],
        [Some(999), Some(1000), Some(998)]
    );
}
