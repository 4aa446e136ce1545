use super::*;

fn frames(bytes: &[u8], step: usize) -> Vec<Frame> {
    let (mut decoder, mut buffer, mut found) = (Decoder::default(), BytesMut::new(), Vec::new());
    for chunk in bytes.chunks(step) {
        buffer.extend_from_slice(chunk);
        while let Some(frame) = decoder.decode(&mut buffer).unwrap() {
            found.push(frame);
        }
    }
    assert!(
        buffer.iter().all(|&byte| byte == b'\n'),
        "left over: {:?}",
        String::from_utf8_lossy(&buffer)
    );
    found
}

#[test]
fn every_recording_is_read_the_same_whole_and_byte_by_byte() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/recordings/event_socket");
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let bytes = std::fs::read(&path).unwrap();
        let whole = frames(&bytes, bytes.len());
        // Some recordings hold a whole connection, the others the events of one alone.
        if bytes.starts_with(b"Content-Type: auth/request") {
            assert!(whole.len() > 2, "{}", path.display());
            assert_eq!(whole[0].content_type, ContentType::AuthRequest, "{}", path.display());
        } else {
            let events = whole.iter().all(|frame| frame.content_type == ContentType::EventJson);
            assert!(!whole.is_empty() && events, "{}", path.display());
        }
        assert_eq!(whole, frames(&bytes, 1), "{}", path.display());
    }
}

#[test]
fn an_api_response_keeps_its_body_to_the_byte() {
    let found = frames(b"Content-Type: api/response\nContent-Length: 3\n\nvm\n\n", 7);
    assert_eq!(&found[0].body[..], b"vm\n");
}

#[test]
fn a_length_that_is_no_number_or_too_large_is_refused() {
    for (length, reason) in [("x", "not a number"), ("999999999999", "more than")] {
        let mut buffer = BytesMut::from(format!("Content-Length: {length}\n\n").as_bytes());
        let error = Decoder::default().decode(&mut buffer).unwrap_err().to_string();
        assert!(error.contains(reason), "{error}");
    }
}

#[test]
fn an_event_beyond_its_bound_is_passed_over_without_being_kept() {
    let long = vec![b'x'; MAX_EVENT_BYTES * 3];
    let mut bytes = format!("Content-Length: {}\nContent-Type: text/event-json\n\n", long.len()).into_bytes();
    bytes.extend_from_slice(&long);
    bytes.extend_from_slice(b"Content-Length: 2\nContent-Type: text/event-json\n\n{}");
    let (mut decoder, mut buffer, mut found) = (Decoder::default(), BytesMut::new(), Vec::new());
    for chunk in bytes.chunks(1000) {
        buffer.extend_from_slice(chunk);
        while let Some(frame) = decoder.decode(&mut buffer).unwrap() {
            found.push(frame);
        }
        assert!(buffer.len() <= 1000, "{} bytes wait", buffer.len());
    }
    let bodies: Vec<_> = found
        .iter()
        .map(|frame| (frame.content_type.clone(), &frame.body[..]))
        .collect();
    assert_eq!(
        bodies,
        [(ContentType::EventJson, &b""[..]), (ContentType::EventJson, &b"{}"[..])]
    );
    assert!(matches!(
        crate::event_socket::Event::parse(found[0].body.clone()),
        Err(crate::event_socket::EventError::TooLong)
    ));
}

#[test]
fn what_announces_more_than_its_kind_ever_has_is_refused_by_kind() {
    for (kind, length, is_refused) in [
        ("text/event-json", MAX_SKIPPED_BYTES, false),
        ("text/event-json", MAX_SKIPPED_BYTES + 1, true),
        ("api/response", MAX_BODY_BYTES, false),
        ("api/response", MAX_BODY_BYTES + 1, true),
        ("command/reply", MAX_SMALL_BYTES + 1, true),
        ("text/disconnect-notice", MAX_SMALL_BYTES, false),
        ("text/disconnect-notice", MAX_SMALL_BYTES + 1, true),
        ("log/data", MAX_SMALL_BYTES + 1, true),
    ] {
        for head in [
            format!("Content-Type: {kind}\nContent-Length: {length}\n\n"),
            format!("Content-Length: {length}\nContent-Type: {kind}\n\n"),
        ] {
            let answer = Decoder::default().decode(&mut BytesMut::from(head.as_bytes()));
            assert_eq!(answer.is_err(), is_refused, "{head}");
        }
    }
    let kind = "x".repeat(5000);
    let head = format!("Content-Type: {kind}\nContent-Length: 99999\n\n");
    let error = Decoder::default()
        .decode(&mut BytesMut::from(head.as_bytes()))
        .unwrap_err();
    assert!(error.to_string().len() < 500, "{error}");
}

#[test]
fn endless_headers_are_refused() {
    let mut buffer = BytesMut::from(&vec![b'x'; MAX_HEADERS_BYTES + 1][..]);
    assert!(matches!(
        Decoder::default().decode(&mut buffer),
        Err(FrameError::HeadersTooLong)
    ));
}
