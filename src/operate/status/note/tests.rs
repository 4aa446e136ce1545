use jiff::Timestamp;

use super::*;
use crate::language::Message;

fn row(state: State, reason: Option<&str>) -> Row {
    Row {
        state: Some(state),
        reason: reason.map(str::to_owned),
        ..Row::unknown(Timestamp::UNIX_EPOCH)
    }
}

#[test]
fn the_reason_of_a_row_has_a_code() {
    let of = |text: &str| ReasonCode::of(Some(&row(State::FailWait, Some(text))), Condition::Down);
    for (text, code) in [
        ("403 Forbidden", ReasonCode::Refused),
        ("no answer", ReasonCode::NoAnswer),
        ("challenge not answered", ReasonCode::ChallengeNotAnswered),
        ("unregistered", ReasonCode::Unregistered),
        ("ping lost", ReasonCode::PingLost),
        ("ping stuck", ReasonCode::PingStuck),
    ] {
        assert_eq!(of(text), Some(code), "{text}");
    }
}

#[test]
fn a_gateway_that_is_down_always_has_a_code() {
    for (state, code) in [
        (State::Noreg, ReasonCode::PingLost),
        (State::Timeout, ReasonCode::NoAnswer),
        (State::Down, ReasonCode::Unregistered),
        (State::FailWait, ReasonCode::NotRegistered),
        ("REG_NEW".into(), ReasonCode::NotRegistered),
    ] {
        let found = ReasonCode::of(Some(&row(state.clone(), None)), Condition::Down);
        assert_eq!(found, Some(code), "{state}");
    }
}

#[test]
fn a_gateway_that_calls_can_use_has_no_reason() {
    let row = row(State::Reged, None);
    assert_eq!(ReasonCode::of(Some(&row), Condition::Up), None);
    assert_eq!(ReasonCode::of(None, Condition::Missing), None);
    assert_eq!(
        ReasonCode::of(Some(&row), Condition::Trying),
        Some(ReasonCode::Registering)
    );
}

#[test]
fn a_note_names_what_blocks_the_change() {
    let held = Deviation::Outdated {
        blocker: Blocker::Held {
            held: Message::same("held: removes 40 of 50"),
        },
    };
    let note = held.note();
    assert_eq!(
        (note.code, note.blocked_by),
        (NoteCode::Outdated, Some(BlockCode::Held))
    );
    assert!(note.text.en().contains("held: removes 40 of 50"), "{:?}", note.text);
    let missing = Deviation::Missing { blocker: None }.note();
    assert_eq!((missing.code, missing.blocked_by), (NoteCode::Missing, None));
}
