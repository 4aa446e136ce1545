use super::*;

fn address(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

/// What a FreeSWITCH answered, with another Call-ID.
fn recorded(call_id: &str) -> String {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/recordings/sip/options-answer.txt");
    let text = std::fs::read_to_string(path).unwrap().replace("\r\n", "\n");
    text.replace("Call-ID: probe1", call_id).replace('\n', "\r\n")
}

#[test]
fn a_request_has_what_rfc_3261_demands() {
    let mut options = Options::new("5e88");
    options.next(address("192.0.2.1:40000"), address("192.0.2.9:5080"));
    let text = options.next(address("192.0.2.1:40000"), address("192.0.2.9:5080"));
    let lines: Vec<_> = text.split("\r\n").collect();
    assert_eq!(lines[0], "OPTIONS sip:192.0.2.9:5080 SIP/2.0");
    for header in [
        "Via: SIP/2.0/UDP 192.0.2.1:40000;branch=z9hG4bKtrunkd-5e88-2;rport",
        "Max-Forwards: 70",
        "To: <sip:192.0.2.9:5080>",
        "Call-ID: trunkd-5e88-2",
        "CSeq: 2 OPTIONS",
        "Content-Length: 0",
    ] {
        assert!(lines.contains(&header), "{header} is not in {text}");
    }
    assert!(text.ends_with("\r\n\r\n"));
    let six = Options::new("1").next(address("[::1]:40000"), address("[::1]:5080"));
    assert!(six.starts_with("OPTIONS sip:[::1]:5080 SIP/2.0\r\n"), "{six}");
}

#[test]
fn the_answer_of_a_freeswitch_counts_and_nothing_else_does() {
    let options = Options::new("5e88");
    for call_id in ["Call-ID: trunkd-5e88-1", "call-id:trunkd-5e88-77", "i: trunkd-5e88-2"] {
        assert!(options.is_answer(recorded(call_id).as_bytes()), "{call_id}");
    }
    let refused = recorded("Call-ID: trunkd-5e88-1").replace("200 OK", "503 Maximum Calls In Progress");
    assert!(options.is_answer(refused.as_bytes()));

    let others = recorded("Call-ID: trunkd-77-1");
    let request = recorded("Call-ID: trunkd-5e88-1").replace("SIP/2.0 200 OK", "OPTIONS sip:x SIP/2.0");
    let body = "SIP/2.0 200 OK\r\nContent-Length: 30\r\n\r\nCall-ID: trunkd-5e88-1\r\n";
    for datagram in [
        others.as_bytes(),
        request.as_bytes(),
        body.as_bytes(),
        b"",
        b"\xff\xfe",
        b"SIP/2.0 ",
    ] {
        assert!(!options.is_answer(datagram), "{}", String::from_utf8_lossy(datagram));
    }
}
