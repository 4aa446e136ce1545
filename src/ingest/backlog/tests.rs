use proptest::prelude::*;

use super::*;
use crate::observed::Register;

fn entry(sequence: u64, gateway: &str, core: &str) -> Entry {
    let observation = Observation {
        sequence,
        gateway: gateway.into(),
        change: Change::Delete,
        mark: sequence,
        json: Bytes::new(),
        announce: true,
        is_odd: false,
        registers: Vec::new(),
    };
    Entry {
        core_uuid: core.into(),
        observation,
    }
}

fn events(events: usize) -> Limits {
    let bytes = usize::MAX;
    Limits { events, bytes }
}

fn long(sequence: u64, gateway: &str, bytes: usize) -> Entry {
    let mut entry = entry(sequence, gateway, "core");
    entry.observation.json = vec![b'x'; bytes].into();
    entry
}

#[test]
fn long_events_are_dropped_by_their_bytes_and_counted() {
    const BUDGET: usize = 1_000_000;
    let limits = Limits {
        events: 20_000,
        bytes: BUDGET,
    };
    let mut backlog = Backlog::new(limits, true);
    for sequence in 1..=1000 {
        backlog.push(long(sequence, &format!("g{}", sequence % 3), 60_000));
        assert!(backlog.bytes <= BUDGET);
    }
    let dropped = backlog.take_dropped();
    let kept = backlog.entries.len() as u64;
    assert!(
        (2..8).contains(&kept) && dropped.announcements + kept == 1000,
        "{dropped:?}"
    );
    // The newest of each gateway is among what stayed.
    assert_eq!(dropped.states, 0);
    assert_eq!(
        backlog.take(10, 100_000).len(),
        1,
        "a batch is bounded by its bytes too"
    );
    let rest = backlog.take(usize::MAX, usize::MAX);
    assert_eq!((backlog.len(), backlog.bytes), (0, 0));
    backlog.put_back(rest);

    let mut backlog = Backlog::new(limits, true);
    for sequence in 1..=1000 {
        backlog.push(long(sequence, &format!("made-up-{sequence}"), 60_000));
        assert!(backlog.bytes <= BUDGET);
    }
    let dropped = backlog.take_dropped();
    assert!(dropped.states > 900, "{dropped:?}");
}

#[test]
fn a_note_takes_no_value_from_the_hash() {
    let row = |reason: &str| {
        let reason = Some(reason.to_owned());
        Arc::new(crate::observed::Row {
            reason,
            ..crate::observed::Row::unknown(jiff::Timestamp::UNIX_EPOCH)
        })
    };
    let with = |sequence, mark, change| {
        let mut entry = long(sequence, "g", 10 * sequence as usize);
        (entry.observation.mark, entry.observation.change) = (mark, change);
        entry
    };
    let set = with(1, 1, Change::Set(row("old")));
    let note = with(2, 1, Change::Note(row("new")));
    let mut backlog = Backlog::new(events(9), false);
    backlog.push(set.clone());
    backlog.push(note.clone());
    let both = backlog.take(9, usize::MAX);
    assert_eq!((both.len(), both[0].observation.json.len()), (1, 10));
    assert_eq!(both[0].observation.change, Change::Set(row("new")));
    // It came while the batch was on its way.
    backlog.push(note.clone());
    backlog.put_back(vec![set.clone()]);
    assert_eq!(backlog.take(9, usize::MAX), both);
    backlog.push(note);
    backlog.push(with(3, 3, Change::Set(row("newer"))));
    assert_eq!(
        backlog.take(9, usize::MAX)[0].observation.change,
        Change::Set(row("newer"))
    );
    assert_eq!(backlog.bytes, 0);
}

#[test]
fn a_batch_never_mixes_two_runs() {
    let mut backlog = Backlog::new(events(10), true);
    for (sequence, core) in [(7, "a"), (8, "a"), (1, "b")] {
        backlog.push(entry(sequence, "g", core));
    }
    let sizes: Vec<_> = std::iter::from_fn(|| Some(backlog.take(10, usize::MAX)).filter(|batch| !batch.is_empty()))
        .map(|b| b.len())
        .collect();
    assert_eq!(sizes, [2, 1]);
}

#[test]
fn with_no_channel_and_no_list_the_newest_of_each_gateway_waits_and_nothing_is_dropped() {
    let mut backlog = Backlog::new(events(2), false);
    for sequence in 1..=100 {
        backlog.push(entry(sequence, ["a", "b", "c"][sequence as usize % 3], "core"));
    }
    let mut late = entry(50, "a", "core");
    late.observation.mark = 50;
    backlog.push(late);
    let batch = backlog.take(10, usize::MAX);
    backlog.put_back(batch);
    backlog.push(entry(101, "c", "core"));
    let sequences: Vec<_> = backlog
        .take(10, usize::MAX)
        .iter()
        .map(|e| e.observation.sequence)
        .collect();
    assert_eq!(sequences, [100, 101, 99]);
    assert_eq!(backlog.take_dropped(), Dropped::default());
}

proptest! {
    /// Whatever is pushed, taken and put back: order is kept, the bound holds, each gateway's
    /// newest change arrives, and what the channel did not get was counted.
    #[test]
    fn nothing_is_lost_uncounted_and_the_newest_of_each_gateway_stays(
        steps in proptest::collection::vec((0u8..4, 0u8..5, 1usize..7), 1..200),
        limit in 1usize..20,
    ) {
        let mut backlog = Backlog::new(events(limit), true);
        let (mut written, mut newest, mut pushed, mut dropped) = (Vec::new(), std::collections::HashMap::new(), 0u64, 0u64);
        for (kind, gateway, size) in steps {
            match kind {
                0 | 1 => {
                    pushed += 1;
                    newest.insert(gateway.to_string(), pushed);
                    backlog.push(entry(pushed, &gateway.to_string(), "core"));
                }
                2 => { let batch = backlog.take(size, usize::MAX); backlog.put_back(batch); }
                _ => written.extend(backlog.take(size, usize::MAX)),
            }
            dropped += backlog.take_dropped().announcements;
            prop_assert!(backlog.len() <= limit + 5);
        }
        written.extend(backlog.take(usize::MAX, usize::MAX));
        dropped += backlog.take_dropped().announcements;
        prop_assert_eq!(backlog.len(), 0);
        let announced: Vec<_> = written.iter().filter(|e| e.observation.announce).map(|e| e.observation.sequence).collect();
        prop_assert!(announced.is_sorted());
        prop_assert_eq!(announced.len() as u64 + dropped, pushed);
        let mut last = std::collections::HashMap::new();
        for entry in &written {
            let before = last.insert(entry.observation.gateway.to_string(), entry.observation.sequence);
            prop_assert!(before.is_none_or(|before| before < entry.observation.sequence));
        }
        prop_assert_eq!(last, newest);
    }
}

#[test]
fn merged_events_keep_their_registers_up_to_a_number() {
    let refused = |sequence: u64, core: &str| {
        let mut entry = entry(sequence, "g", core);
        entry.observation.registers = vec![Register {
            sequence,
            is_sent: false,
            refused: Some(403),
        }];
        entry
    };
    let sequences = |backlog: &mut Backlog| -> Vec<u64> {
        let taken = backlog.take(usize::MAX, usize::MAX);
        let registers = taken.iter().flat_map(|entry| &entry.observation.registers);
        registers.map(|register| register.sequence).collect()
    };
    let mut backlog = Backlog::new(events(10), false);
    backlog.push(refused(1, "core"));
    backlog.push(entry(2, "g", "core"));
    backlog.push(refused(3, "core"));
    assert_eq!(backlog.len(), 1);
    assert_eq!(sequences(&mut backlog), [1, 3]);
    assert_eq!(backlog.bytes, 0);

    let most = MAX_REGISTERS as u64;
    for sequence in 1..=most + 2 {
        backlog.push(refused(sequence, "core"));
    }
    assert_eq!(sequences(&mut backlog), (3..=most + 2).collect::<Vec<_>>());

    // Sequences of another run mean nothing in this one.
    backlog.push(refused(9, "core"));
    backlog.push(refused(1, "next"));
    assert_eq!(sequences(&mut backlog), [1]);
    assert_eq!(backlog.bytes, 0);
}
