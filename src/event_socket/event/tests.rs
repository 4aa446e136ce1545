use super::*;

fn seed(name: &str) -> Bytes {
    let path = format!("{}/tests/recordings/seed/{name}.json", env!("CARGO_MANIFEST_DIR"));
    std::fs::read(path).unwrap().trim_ascii().to_vec().into()
}

#[test]
fn the_recorded_events_are_read_and_their_bytes_kept() {
    let json = seed("event-gateway_state");
    let Event::Gateway(event) = Event::parse(json.clone()).unwrap() else {
        panic!("not a gateway event")
    };
    assert_eq!(event.json, json);
    assert_eq!(
        (event.subclass, &*event.gateway, event.sequence),
        (Subclass::State, "default", 680)
    );
    assert_eq!(event.state, Some(State::Reged));
    assert_eq!(event.ping, Some(PingStatus::Up));
    assert_eq!(event.profile, None);
    assert_eq!(event.at.to_string(), "2022-04-07T15:23:11.284944Z");

    let Event::Gateway(event) = Event::parse(seed("event-gateway_add")).unwrap() else {
        panic!("not a gateway event")
    };
    assert_eq!(
        (event.subclass, event.profile.as_deref(), event.state),
        (Subclass::Add, Some("external"), None)
    );
}

#[test]
fn what_is_no_gateway_event_is_told_apart() {
    for (json, expected) in [
        (
            r#"{"Event-Name":"HEARTBEAT","Event-Sequence":"7"}"#,
            Event::Heartbeat { sequence: Some(7) },
        ),
        (r#"{"Event-Name":"HEARTBEAT"}"#, Event::Heartbeat { sequence: None }),
        (
            r#"{"Event-Name":"CUSTOM","Event-Subclass":"sofia::profile_start"}"#,
            Event::ProfileStart,
        ),
        (
            r#"{"Event-Name":"CUSTOM","Event-Subclass":"sofia::expire"}"#,
            Event::Other("sofia::expire".into()),
        ),
        (r#"{"Event-Name":"RE_SCHEDULE"}"#, Event::Other("RE_SCHEDULE".into())),
    ] {
        assert_eq!(Event::parse(Bytes::from(json)).unwrap(), expected);
    }
}

#[test]
fn a_gateway_event_without_its_order_is_an_error_that_names_the_field() {
    let json = r#"{"Event-Name":"CUSTOM","Event-Subclass":"sofia::gateway_add","Gateway":"g","Event-Sequence":"x"}"#;
    let error = Event::parse(Bytes::from(json)).unwrap_err().to_string();
    assert_eq!(error, "a sofia::gateway_add event has no usable Event-Sequence");
}

fn gateway_event(json: &str) -> GatewayEvent {
    match Event::parse(Bytes::copy_from_slice(json.as_bytes())) {
        Ok(Event::Gateway(event)) => event,
        other => panic!("{json}: {other:?}"),
    }
}

/// The recorded event with a phrase and a status.
fn with_phrase(phrase: &str) -> String {
    let json = String::from_utf8(seed("event-gateway_state").to_vec()).unwrap();
    let phrase = format!(",\"Phrase\":{phrase},\"Status\":\"403\"}}");
    json.strip_suffix('}').unwrap().to_owned() + &phrase
}

#[test]
fn a_header_that_is_a_list_is_the_text_that_freeswitch_has_for_it() {
    for (list, text) in [
        (r#"["one","two"]"#, "ARRAY::one|:two"),
        (r#"["one"]"#, "one"),
        (r#"["a\"b","","c"]"#, "ARRAY::a\"b|:|:c"),
    ] {
        let json = with_phrase(list);
        let event = gateway_event(&json);
        assert_eq!(event.phrase.as_deref(), Some(text));
        assert_eq!(event.status.as_deref(), Some("403"));
        assert_eq!(event.json, json.as_bytes(), "stored as it came");
    }
}

#[test]
fn of_a_header_that_comes_twice_the_first_counts_as_in_freeswitch() {
    let json = with_phrase(r#""Forbidden","Phrase":"No","X-Other":"1","X-Other":["2"],"State":"DOWN""#);
    let event = gateway_event(&json);
    assert_eq!(event.phrase.as_deref(), Some("Forbidden"));
    assert_eq!(event.state, Some(State::Reged));
    assert_eq!(event.json, json.as_bytes());
}

#[test]
fn a_value_that_freeswitch_never_sends_costs_its_header_alone() {
    let event = gateway_event(&with_phrase(r#"null,"X-Number":1.5,"X-Object":{"a":[1]}"#));
    assert_eq!((event.phrase, event.status.as_deref()), (None, Some("403")));
    let deep = format!("{}1{}", "[".repeat(30_000), "]".repeat(30_000));
    let _ = Event::parse(with_phrase(&deep).into());
    let _ = Event::parse(with_phrase(&format!("\"\",\"X\":{deep}")).into());
}

#[test]
fn a_sequence_or_a_name_beyond_all_reason_is_refused_by_its_field() {
    let json = String::from_utf8(seed("event-gateway_state").to_vec()).unwrap();
    let with = |sequence: &str| {
        json.replace(
            r#""Event-Sequence":"680""#,
            &format!(r#""Event-Sequence":"{sequence}""#),
        )
    };
    for sequence in ["18446744073709551615", "-1", "9007199254740992", "1e3", ""] {
        let error = Event::parse(with(sequence).into()).unwrap_err().to_string();
        assert_eq!(
            error, "a sofia::gateway_state event has no usable Event-Sequence",
            "{sequence}"
        );
    }
    assert_eq!(gateway_event(&with("9007199254740991")).sequence, MAX_SEQUENCE);
    let name = "g".repeat(MAX_GATEWAY_BYTES + 1);
    let error = Event::parse(json.replace(r#""default""#, &format!("{name:?}")).into()).unwrap_err();
    assert!(error.to_string().ends_with("no usable Gateway"), "{error}");
}

#[test]
fn bytes_that_are_no_utf8_do_not_cost_the_event() {
    let mut json = seed("event-gateway_state").to_vec();
    let at = json.windows(4).position(|four| four == b"\"ai\"").unwrap();
    json[at + 1] = 0xff;
    let Event::Gateway(event) = Event::parse(json.into()).unwrap() else {
        panic!("not a gateway event")
    };
    assert!(std::str::from_utf8(&event.json).unwrap().contains('\u{fffd}'));
}
