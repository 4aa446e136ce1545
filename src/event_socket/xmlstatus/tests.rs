use super::*;

#[test]
fn a_profile_says_where_it_takes_sip_over_udp() {
    let recorded = String::from_utf8(recording("sofia-xmlstatus-profile-external")).unwrap();
    let parsed = |text: &str| {
        parse_sip_address(text.as_bytes())
            .unwrap()
            .map(|address| address.to_string())
    };
    assert_eq!(parsed(&recorded).as_deref(), Some("127.0.0.1:51973"));
    // Behind NAT the address that carriers see is another one.
    let behind_nat = recorded.replace("mod_sofia@127.0.0.1", "mod_sofia@192.0.2.1");
    assert_eq!(parsed(&behind_nat).as_deref(), Some("127.0.0.1:51973"));
    let six = recorded
        .replace("<sip-ip>127.0.0.1", "<sip-ip>fd00::7")
        .replace("mod_sofia@127.0.0.1", "mod_sofia@[fd00::7]");
    assert_eq!(parsed(&six).as_deref(), Some("[fd00::7]:51973"));
    assert_eq!(parsed(&recorded.replace("udp,tcp", "tcp")), None);
    assert_eq!(
        parsed(&recorded.replace("<bind-url>", "<tls-bind-url>")),
        None,
        "TLS only"
    );
    assert_eq!(parsed("Invalid Profile!\n"), None);
    assert!(parse_sip_address(b"-ERR sofia Command not found!\n").is_err());
    assert!(parse_sip_address(&recorded.as_bytes()[..400]).is_err());
}

#[test]
fn the_recorded_answers_for_one_gateway() {
    let one = parse_gateway(&recording("sofia-xmlstatus-gateway-gw_ok"))
        .unwrap()
        .unwrap();
    assert_eq!((one.name.as_str(), one.profile.as_str()), ("gw_ok", "external"));
    assert_eq!((one.state, one.ping), (State::Reged, PingStatus::Up));
    assert_eq!(parse_gateway(&recording("sofia-xmlstatus-gateway-nope")).unwrap(), None);
    assert!(parse_gateway(b"-ERR no such command\n").is_err() && parse_gateway(b"").is_err());
    let cut = recording("sofia-xmlstatus-gateway-gw_ok");
    assert!(parse_gateway(&cut[..cut.len() - 20]).is_err());
}

fn recording(name: &str) -> Vec<u8> {
    std::fs::read(format!(
        "{}/tests/recordings/api/{name}.txt",
        env!("CARGO_MANIFEST_DIR")
    ))
    .unwrap()
}

#[test]
fn the_recorded_list_is_read() {
    let list = parse_gateways(&recording("sofia-xmlstatus-gateway")).unwrap();
    let short: Vec<_> = list
        .iter()
        .map(|g| format!("{} {} {} {}", g.profile, g.name, g.state, g.ping))
        .collect();
    assert_eq!(
        short,
        [
            "external gw_noreg NOREG UP",
            "external gw_ping NOREG DOWN",
            "external gw_bad FAIL_WAIT DOWN",
            "external gw_ok REGED UP"
        ]
    );
    assert_eq!(list[3].uptime, Some(Duration::from_micros(11_759_550)));
    assert_eq!(list[1].uptime, None);
}

#[test]
fn what_only_the_list_tells_is_read() {
    let list = parse_gateways(&recording("sofia-xmlstatus-gateway")).unwrap();
    let details = |at: usize| &list[at].details;
    assert_eq!(*details(0), GatewayDetails::default(), "an IP trunk without ping");
    let pinged = GatewayDetails {
        ping_every: 5,
        ping_due: 1_795_401_528,
        ..GatewayDetails::default()
    };
    assert_eq!(*details(1), pinged);
    assert_eq!((details(2).retry, details(3).retry), (Some(5), None));

    let calls = |name: &str| parse_gateway(&recording(name)).unwrap().unwrap().details.calls;
    let during = calls("sofia-xmlstatus-gateway-during-a-call");
    assert_eq!((during.outbound, during.failed_out), (1, 0));
    assert_eq!(calls("sofia-xmlstatus-gateway-after-a-failed-call").failed_out, 1);
    let refused = parse_gateway(&recording("sofia-xmlstatus-gateway-refused"))
        .unwrap()
        .unwrap();
    assert_eq!(refused.details.retry, Some(16));

    let list = parse_gateways(&recording("sofia-xmlstatus-gateway-every-kind")).unwrap();
    let pings = |name: &str| {
        let details = &list.iter().find(|gateway| gateway.name == name).unwrap().details;
        (details.ping_every, details.ping_ms)
    };
    assert_eq!(
        (pings("reged_ping"), pings("ip_ping")),
        ((5, Some(0.9)), (5, Some(1.08)))
    );
    assert_eq!((pings("ip_dead"), pings("ip_noping")), ((5, None), (0, None)));

    let text = String::from_utf8(recording("sofia-xmlstatus-gateway-gw_ok")).unwrap();
    let other = text
        .replace("<context>public</context>", "<context>x\n<retry>7s</retry>\n</context>")
        .replace("<pingtime>0.00", "<pingtime>12.50")
        .replace("<pinging>0", "<pinging>1");
    let details = parse_gateway(other.as_bytes()).unwrap().unwrap().details;
    assert_eq!(
        (details.ping_ms, details.pinging, details.retry),
        (Some(12.5), true, None)
    );
}

#[test]
fn a_gateway_that_is_being_replaced_comes_twice_the_live_one_first() {
    let list = parse_gateways(&recording("sofia-xmlstatus-gateway-while-one-is-replaced")).unwrap();
    let states: Vec<_> = list
        .iter()
        .filter(|g| g.name == "gw_ok")
        .map(|g| g.state.to_string())
        .collect();
    assert_eq!(states, ["UNREGED", "UNREGISTER"]);
}

#[test]
fn values_that_are_not_escaped_do_not_mislead() {
    let reply = String::from_utf8(recording("sofia-xmlstatus-gateway")).unwrap();
    let nasty = reply.replace(
        "<username>alice</username>",
        "<username>a<b & </username>\n<name>x</name>\n<state>DOWN</state></username>",
    );
    let list = parse_gateways(nasty.as_bytes()).unwrap();
    assert_eq!((list[3].name.as_str(), &list[3].state), ("gw_ok", &State::Reged));
}

#[test]
fn a_reply_that_is_no_whole_list_is_never_an_empty_one() {
    let whole = recording("sofia-xmlstatus-gateway");
    assert!(matches!(
        parse_gateways(&whole[..whole.len() / 2]),
        Err(StatusError::NotAList(..))
    ));
    assert!(matches!(parse_gateways(b""), Err(StatusError::NotAList(..))));
    assert!(matches!(
        parse_gateways(b"Invalid Gateway!\n"),
        Err(StatusError::NotAList(..))
    ));
    let unknown = b"-ERR sofia Command not found!\n";
    assert!(
        parse_gateways(unknown)
            .unwrap_err()
            .to_string()
            .contains("load mod_sofia")
    );
}

#[test]
fn the_running_profiles_are_read_from_among_their_gateways() {
    let reply = recording("sofia-xmlstatus");
    assert_eq!(parse_profiles(&reply).unwrap(), ["external", "internal"]);
    let down = String::from_utf8(reply).unwrap().replacen("RUNNING (0)", "DOWN", 1);
    assert_eq!(parse_profiles(down.as_bytes()).unwrap(), ["internal"]);
    assert!(matches!(parse_profiles(b"Invalid\n"), Err(StatusError::NotAList(..))));
}

#[test]
fn a_switch_without_gateways_has_an_empty_list() {
    let reply = b"<?xml version=\"1.0\" encoding=\"ISO-8859-1\"?>\n<gateways>\n</gateways>\n";
    assert_eq!(parse_gateways(reply).unwrap(), []);
}
