use super::*;

#[test]
fn who_is_usable() {
    let (up, down) = (Some(&PingStatus::Up), Some(&PingStatus::Down));
    let (yes, no, unknown) = (Some(true), Some(false), None);
    let is = |state, ping, before| is_usable(&state, ping, Pinged::Unknown, before);
    assert_eq!(is(State::Reged, up, no), yes);
    for state in [State::Unreged, State::Trying, State::Register] {
        assert_eq!(is(state.clone(), up, yes), yes, "{state} of a healthy gateway");
        assert_eq!(is(state.clone(), down, yes), no, "{state} after a ping was lost");
        assert_eq!(
            is(state.clone(), up, no),
            no,
            "{state} after an unregister by hand (FACTS 38)"
        );
        assert_eq!(is(state.clone(), up, unknown), yes, "{state} of one that nobody knows");
        assert_eq!(is(state.clone(), down, unknown), no, "{state} for the first time");
    }
    for state in ["UNREGISTER", "FAILED", "FAIL_WAIT", "EXPIRED", "DOWN", "TIMEOUT"] {
        assert_eq!(is(state.into(), up, yes), no, "{state}");
    }
    assert_eq!(is("REG_NEW".into(), up, yes), unknown);
    let trunk = |ping, pinged| is_usable(&State::Noreg, ping, pinged, yes);
    assert_eq!(trunk(up, Pinged::Yes), yes);
    assert_eq!(trunk(down, Pinged::Yes), no);
    assert_eq!(trunk(up, Pinged::No), unknown);
    assert_eq!(trunk(up, Pinged::Unknown), unknown);
}

#[test]
fn each_word_is_read_and_written_as_itself() {
    let states = [
        "UNREGED",
        "TRYING",
        "REGISTER",
        "REGED",
        "UNREGISTER",
        "FAILED",
        "FAIL_WAIT",
        "EXPIRED",
        "NOREG",
        "DOWN",
        "TIMEOUT",
    ];
    for word in states {
        let state: State = word.parse().unwrap();
        assert!(!matches!(state, State::Unknown(_)), "{word}");
        assert_eq!(state.to_string(), word);
        assert_eq!(serde_json::to_string(&state).unwrap(), format!("\"{word}\""));
        assert_eq!(serde_json::from_str::<State>(&format!("\"{word}\"")).unwrap(), state);
    }
    for word in ["UP", "DOWN", "INVALID"] {
        assert!(!matches!(PingStatus::from(word), PingStatus::Unknown(_)), "{word}");
        assert_eq!(PingStatus::from(word).to_string(), word);
    }
}

#[test]
fn a_word_that_is_not_known_is_not_lost() {
    for word in ["REG_NEW", "reged", ""] {
        assert_eq!(State::from(word), State::Unknown(word.into()));
        assert_eq!(State::from(word).to_string(), word);
        assert_eq!(
            serde_json::to_string(&PingStatus::from(word)).unwrap(),
            format!("\"{word}\"")
        );
    }
}
