use super::*;

/// The events of a recording, in the order in which they came.
fn recorded(name: &str) -> Vec<String> {
    let path = format!(
        "{}/tests/recordings/event_socket/{name}.txt",
        env!("CARGO_MANIFEST_DIR")
    );
    let text = std::fs::read_to_string(path).unwrap();
    let events = text
        .lines()
        .filter(|line| line.starts_with("{\"Event-Name\":\"CHANNEL_"));
    events
        .map(|line| line.trim_end_matches(|c| c != '}').to_owned())
        .collect()
}

fn hangups(name: &str) -> Vec<Option<Hangup>> {
    let events = recorded(name);
    let hangups = events.iter().filter(|json| json.contains(EVENT_NAME));
    hangups.map(|json| Hangup::parse(json.as_bytes()).unwrap()).collect()
}

#[test]
fn a_recorded_call_over_a_gateway_that_was_killed_meanwhile_is_read() {
    let [inbound, outbound] = &hangups("a-call-over-a-gateway-that-is-killed-meanwhile")[..] else {
        panic!("two legs")
    };
    assert_eq!(*inbound, None, "it came in over no gateway");
    let expected = Hangup {
        gateway: "gw_loop".to_owned(),
        direction: Direction::Out,
        at: "2026-11-25T19:04:52.113697Z".parse().unwrap(),
        answered_seconds: Some(4),
        cause: "MANAGER_REQUEST".to_owned(),
        sip_status: None,
    };
    assert_eq!(*outbound, Some(expected));
}

#[test]
fn a_recorded_call_that_fails_says_why() {
    let [Some(hangup)] = &hangups("a-call-that-fails")[..] else {
        panic!("one leg")
    };
    assert_eq!((&*hangup.gateway, hangup.direction), ("gw_full", Direction::Out));
    assert_eq!((&*hangup.cause, hangup.sip_status), ("USER_BUSY", Some(486)));
    assert_eq!(hangup.answered_seconds, None);
}

#[test]
fn the_direction_says_which_variable_names_the_gateway() {
    let parse = |more: &str| {
        let json =
            format!(r#"{{"Event-Name":"CHANNEL_HANGUP_COMPLETE","Event-Date-Timestamp":"1795633493593690",{more}}}"#);
        Hangup::parse(json.as_bytes()).unwrap()
    };
    let both = r#""variable_sip_gateway":"came_in","variable_sip_gateway_name":"went_out""#;
    let gateway = |direction: &str| {
        parse(&format!(r#""Call-Direction":"{direction}",{both}"#))
            .unwrap()
            .gateway
    };
    assert_eq!(gateway("inbound"), "came_in");
    assert_eq!(gateway("outbound"), "went_out");
    assert_eq!(
        parse(r#""Call-Direction":"inbound","variable_sip_gateway_name":"gw""#),
        None
    );
    let long = "g".repeat(MAX_GATEWAY_BYTES + 1);
    assert_eq!(parse(&format!(r#""variable_sip_gateway_name":"{long}""#)), None);
}

#[test]
fn a_call_over_no_gateway_is_dropped_before_it_is_parsed() {
    // Not even JSON.
    assert_eq!(Hangup::parse(b"{variable_sip_gateway_name").unwrap(), None);
    let quoted = br#"{"Event-Name":"CHANNEL_HANGUP_COMPLETE","variable_x":"\"variable_sip_gateway_name\":\"gw\""}"#;
    assert_eq!(Hangup::parse(quoted).unwrap(), None);
}

#[test]
fn what_can_not_be_read_is_an_error() {
    assert!(matches!(Hangup::parse(b""), Err(EventError::TooLong)));
    assert!(matches!(
        Hangup::parse(br#"{"variable_sip_gateway_name":"gw""#),
        Err(EventError::Json(_))
    ));
    let no_time = br#"{"Event-Name":"CHANNEL_HANGUP_COMPLETE","variable_sip_gateway_name":"gw"}"#;
    assert!(
        Hangup::parse(no_time)
            .unwrap_err()
            .to_string()
            .contains("Event-Date-Timestamp")
    );
}
