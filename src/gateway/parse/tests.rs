use super::super::{ProfileFacts, Variable};
use super::object::MAX_ITEMS;
use super::top::MAX_VALUE_BYTES;
use super::*;
use crate::gateway::{Direction, ProfileName};

fn rules() -> Rules {
    let facts = |tls| ProfileFacts {
        tls,
        ..ProfileFacts::default()
    };
    let profile = |name| ProfileName::parse(name).unwrap();
    let profiles = [("external", Some(false)), ("internal", None), ("secure", Some(true))];
    Rules::new(
        profile("external"),
        profiles.map(|(name, tls)| (profile(name), facts(tls))).into(),
    )
}

fn read(json: &str) -> Parsed {
    parse("acme", b"gw", json.as_bytes(), &rules())
}

/// The gateway of a value that there is nothing to say about.
#[track_caller]
fn clean(json: &str) -> Gateway {
    let parsed = read(json);
    assert_eq!(said(&parsed), "", "{json}");
    parsed.gateway.unwrap()
}

#[track_caller]
fn said(parsed: &Parsed) -> String {
    for finding in &parsed.findings {
        finding.reason.check();
        finding.fix.check();
    }
    parsed
        .findings
        .iter()
        .map(|f| f.to_string().replace("domain acme, gateway gw", "…"))
        .collect::<Vec<_>>()
        .join("\n")
}

/// Served, with one warning that has these words in it.
#[track_caller]
fn warned(json: &str, words: &str) -> Gateway {
    let parsed = read(json);
    assert!(
        parsed.findings.len() == 1 && said(&parsed).starts_with("warning: "),
        "{json}: {}",
        said(&parsed)
    );
    assert!(said(&parsed).contains(words), "{json}: {}", said(&parsed));
    parsed.gateway.unwrap()
}

/// Not served, with one finding that has these words in it.
#[track_caller]
fn refused(json: &str, words: &str) {
    let parsed = read(json);
    assert!(
        parsed.findings.len() == 1 && said(&parsed).starts_with("error: "),
        "{json}: {}",
        said(&parsed)
    );
    assert!(said(&parsed).contains(words), "{json}: {}", said(&parsed));
    assert_eq!(parsed.gateway, None);
}

/// An IP trunk with more params.
fn ip(params: &str) -> String {
    format!(r#"{{"param":{{"register":false,"realm":"sip.example.net",{params}}}}}"#)
}

/// An account trunk with more params.
fn account(params: &str) -> String {
    format!(r#"{{"param":{{"realm":"sip.example.net","username":"u","password":"p",{params}}}}}"#)
}

fn first(gateway: &Gateway) -> Variable<'_> {
    gateway.variables.iter().next().unwrap()
}

#[test]
fn the_value_of_the_original_documentation_is_read() {
    let gateway = clean(include_str!("../../../tests/recordings/seed/gateway.json"));
    let params: Vec<_> = gateway.params.iter().collect();
    assert_eq!(
        params,
        [
            ("caller-id-in-from", "true"),
            ("password", "mytrunk@ddt"),
            ("realm", "180.76.224.191:35560"),
            ("register", "true"),
            ("username", "mytrunk"),
        ]
    );
    assert_eq!(gateway.variables.iter().count(), 1);
    assert_eq!(first(&gateway).direction, Direction::Both);
    assert_eq!(
        (gateway.profile.as_str(), gateway.enabled, &gateway.nodes),
        ("external", true, &None)
    );
    assert!(gateway.registers() && gateway.serves(Some("any")) && gateway.serves(None));
}

#[test]
fn values_are_strings_numbers_and_booleans() {
    let gateway = clean(&ip(
        r#""expire-seconds":60,"caller-id-in-from":true,"destination-prefix":007e0,"x":null"#
            .replace("007e0", "7.50")
            .as_str(),
    ));
    assert_eq!(gateway.param("expire-seconds"), Some("60"));
    assert_eq!(gateway.param("caller-id-in-from"), Some("true"));
    assert_eq!(gateway.param("destination-prefix"), Some("7.50"));
    assert_eq!(gateway.param("x"), None);
    let long = "12345678901234567890123456789";
    assert_eq!(
        clean(&ip(&format!("\"extension\":{long}"))).param("extension"),
        Some(long)
    );
    refused(&ip(r#""extension":[1]"#), "param.extension: is a list");
    refused(&ip(r#""extension":{"a":1}"#), "param.extension: is an object");
    refused(
        &ip(r#""expire-seconds":1e3"#),
        "param.expire-seconds: is a number with an exponent",
    );
    refused(&ip(r#""extension":"\ud800""#), "an escape that stands for no character");
    refused(r#"{"param":"x"}"#, "param: is a string, not an object");
}

#[test]
fn an_empty_param_is_not_set_and_an_empty_register_is_false() {
    let gateway = clean(r#"{"param":{"register":"","realm":"r","contact-host":"","from-user":"","username":""}}"#);
    assert_eq!(
        gateway.params.iter().collect::<Vec<_>>(),
        [("realm", "r"), ("register", "false")]
    );
    assert!(!gateway.registers());
}

#[test]
fn other_spellings_are_taken_and_the_contracts_wins() {
    let gateway = clean(r#"{"params":{"register":"false","realm":"r"},"variable":{"a":"1"}}"#);
    assert_eq!((gateway.param("realm"), first(&gateway).value), (Some("r"), "1"));
    let gateway = warned(
        r#"{"params":{"register":"false","realm":"other"},"param":{"realm":"ours"}}"#,
        "params.realm: is given as param.realm too, which counts",
    );
    assert_eq!(
        (gateway.param("realm"), gateway.param("register")),
        (Some("ours"), Some("false"))
    );
    // null is "not set", so the other one counts
    let gateway = clean(r#"{"params":{"register":"false","realm":"other"},"param":{"realm":null}}"#);
    assert_eq!(gateway.param("realm"), Some("other"));
    // PHP writes an empty object like this
    assert!(clean(r#"{"param":{"register":0},"variables":[]}"#).variables.is_empty());
}

#[test]
fn a_variable_has_a_direction() {
    let json = |v: &str| format!(r#"{{"param":{{"register":false}},"variables":{{"a":{v}}}}}"#);
    for (value, direction) in [
        (r#""1""#, Direction::Both),
        (r#"{"value":"1"}"#, Direction::Both),
        (r#"{"value":1,"direction":"both"}"#, Direction::Both),
        (r#"{"value":"1","direction":"inbound"}"#, Direction::Inbound),
        (r#"{"value":"1","direction":"OUTBOUND"}"#, Direction::Outbound),
    ] {
        let gateway = clean(&json(value));
        assert_eq!((first(&gateway).value, first(&gateway).direction), ("1", direction));
    }
    assert!(
        clean(&json(r#"{"value":null,"direction":"inbound"}"#))
            .variables
            .is_empty()
    );
    assert_eq!(first(&clean(&json(r#""""#))).value, "");
    refused(
        &json(r#"{"value":"1","direction":"in"}"#),
        "variables.a.direction: is not inbound, outbound or both",
    );
    refused(&json(r#"{"value":"1","direction":1}"#), "variables.a.direction");
    refused(
        &json(r#"{"direction":"inbound"}"#),
        "variables.a: the variable has no value",
    );
    refused(&json(r#"{"value":[]}"#), "variables.a: is a list");
    warned(
        &json(r#"{"value":"1","note":"x"}"#),
        "variables.a.note: trunkd does not know this key",
    );
}

#[test]
fn the_variable_of_the_revision_is_reserved() {
    for name in ["trunkd_revision", "Trunkd_Revision"] {
        let json = format!(r#"{{"param":{{"register":false}},"variables":{{"{name}":"1"}}}}"#);
        refused(&json, "this variable is reserved for trunkd");
    }
    refused(
        r#"{"param":{"register":false},"variables":{"":"1"}}"#,
        "the variable has no name",
    );
}

#[test]
fn unknown_keys_and_params_are_served_with_a_warning() {
    warned(
        r#"{"param":{"register":false},"note":"x"}"#,
        "note: trunkd does not know this key",
    );
    let gateway = warned(&ip(r#""From_User":"x""#), "did you mean from-user?");
    assert_eq!(gateway.param("From_User"), Some("x"));
    warned(
        &ip(r#""codec-prefs":"x""#),
        "param.codec-prefs: FreeSWITCH does not know this param",
    );
}

#[test]
fn a_key_given_twice_is_a_warning_and_the_last_counts() {
    assert_eq!(
        warned(
            &ip(r#""proxy":"a","proxy":"b""#),
            "param.proxy: is given more than once"
        )
        .param("proxy"),
        Some("b")
    );
    warned(
        r#"{"param":{},"param":{"register":false}}"#,
        "param: is given more than once",
    );
}

#[test]
fn registering_needs_a_username_and_a_password() {
    refused(
        r#"{"param":{"password":"p"}}"#,
        "param.username: is not set, and register is true",
    );
    refused(
        r#"{"param":{"username":"u","register":"Yes"}}"#,
        "param.password: is not set",
    );
    assert_eq!(read("{}").findings.len(), 2);
    clean(r#"{"param":{"register":"no"}}"#);
    // "enable" is no word of FreeSWITCH's for true
    assert!(
        !warned(
            r#"{"param":{"register":"enable"}}"#,
            "param.register: is neither true nor false"
        )
        .registers()
    );
}

#[test]
fn a_transport_that_the_profile_lacks_is_refused() {
    for transport in ["udp", "TCP", "sctp", "udpfoo"] {
        clean(&ip(&format!(r#""register-transport":"{transport}""#)));
    }
    refused(
        &ip(r#""register-transport":"ws""#),
        "is not a transport that FreeSWITCH knows",
    );
    refused(&ip(r#""register-transport":"TLS""#), "is TLS, and the profile has none");
    let on =
        |profile: &str| format!(r#"{{"param":{{"register":false,"register-transport":"tls"}},"profile":"{profile}"}}"#);
    warned(
        &on("internal"),
        "is TLS, and a FreeSWITCH global decides whether the profile has it",
    );
    clean(&on("secure"));
}

#[test]
fn seconds_that_freeswitch_replaces_are_a_warning() {
    for (name, default) in [
        ("expire-seconds", 3600),
        ("retry-seconds", 30),
        ("retry_seconds", 30),
        ("timeout-seconds", 60),
    ] {
        for value in ["4", "0", "-60", "x", "4294967300"] {
            let words = format!("param.{name}: is under 5 or not a number; FreeSWITCH takes {default} instead");
            warned(&ip(&format!(r#""{name}":"{value}""#)), &words);
        }
        clean(&ip(&format!(r#""{name}":5"#)));
        warned(&ip(&format!(r#""{name}":"60s""#)), "FreeSWITCH reads it as 60");
    }
    for value in ["4", "-1", "x"] {
        warned(
            &ip(&format!(r#""ping":"{value}""#)),
            "param.ping: is under 5 or not a number; FreeSWITCH does not ping",
        );
    }
    clean(&ip(r#""ping":0"#));
    clean(&ip(r#""ping":25"#));
    warned(
        &ip(r#""retry-seconds":60,"retry_seconds":90"#),
        "is given beside retry-seconds, and counts",
    );
}

#[test]
fn credentials_that_freeswitch_would_cut_are_refused_when_they_are_needed() {
    // Digest:sip.example.net:u: are 25 bytes, and :sip.example.net: holds 15 of them
    let json = |register: bool, bytes: usize| {
        let password = "x".repeat(bytes);
        format!(
            r#"{{"param":{{"register":{register},"realm":"sip.example.net","username":"u","password":"{password}"}}}}"#
        )
    };
    clean(&json(true, 228));
    warned(
        &json(true, 229),
        "make 254 bytes; FreeSWITCH cuts them at 255, and the quotes around the realm are two more",
    );
    warned(&json(true, 230), "make 255 bytes");
    refused(
        &json(true, 231),
        "param.password: scheme:realm:username:password make 256 bytes",
    );
    warned(&json(false, 300), "and authentication fails");
    assert!(!format!("{:?}", read(&json(true, 231))).contains("xxx"));
}

#[test]
fn a_colon_in_the_account_name_is_refused_when_it_is_needed() {
    refused(
        r#"{"param":{"username":"a:b","password":"p"}}"#,
        "param.username: contains a ':'",
    );
    refused(
        &account(r#""auth-username":"a:b""#),
        "param.auth-username: contains a ':'",
    );
    warned(
        &ip(r#""username":"a:b","password":"p""#),
        "param.username: contains a ':'",
    );
    clean(r#"{"param":{"username":"a:b","auth-username":"a","password":"p:q"}}"#);
}

#[test]
fn what_xml_and_sip_cannot_carry_is_refused() {
    for c in [
        "\\n",
        "\\u0000",
        "\\t",
        "\u{7f}",
        "\u{85}",
        "\u{9f}",
        "\u{2028}",
        "\u{2029}",
        "\u{FFFE}",
        "\u{FFFF}",
        "\u{1FFFE}",
    ] {
        refused(
            &ip(&format!(r#""proxy":"a{c}b""#)),
            "param.proxy: the value contains the control character U+",
        );
        refused(
            &ip(&format!(r#""a{c}":"b""#)),
            "the name contains the control character U+",
        );
        let variable =
            |name: &str, value: &str| format!(r#"{{"param":{{"register":false}},"variables":{{"{name}":"{value}"}}}}"#);
        refused(&variable("a", c), "variables.a: the value contains");
        refused(&variable(c, "a"), "the name contains");
    }
    clean(r#"{"param":{"realm":"r","username":"u","password":"顶顶通密码 \"'<&>$${x}\\\u0041"}}"#);
}

#[test]
fn the_profile_must_have_a_template() {
    assert_eq!(
        clean(r#"{"param":{"register":false},"profile":"internal"}"#)
            .profile
            .as_str(),
        "internal"
    );
    for json in [r#""profile":null"#, r#""profile":"""#] {
        assert_eq!(
            clean(&format!(r#"{{"param":{{"register":false}},{json}}}"#))
                .profile
                .as_str(),
            "external"
        );
    }
    refused(
        r#"{"param":{"register":false},"profile":"nope"}"#,
        "profile: there is no template for the profile 'nope'; known are external, internal, secure",
    );
    refused(
        r#"{"param":{"register":false},"profile":"a b"}"#,
        "profile: character 2 of the name",
    );
    refused(
        r#"{"param":{"register":false},"profile":1}"#,
        "profile: is a number, not the name of a profile",
    );
}

#[test]
fn nodes_say_which_switches_get_it() {
    let gateway = clean(r#"{"param":{"register":false},"nodes":["fs2","fs1","fs2"]}"#);
    assert_eq!(
        gateway.nodes.as_deref(),
        Some(&["fs1".to_owned(), "fs2".to_owned()][..])
    );
    assert!(gateway.serves(Some("fs1")) && !gateway.serves(Some("fs3")) && gateway.serves(None));
    assert!(!warned(r#"{"param":{"register":false},"nodes":[]}"#, "is an empty list").serves(Some("fs1")));
    refused(
        r#"{"param":{"register":false},"nodes":"fs1"}"#,
        "nodes: is a string, not a list of switchnames",
    );
    refused(
        r#"{"param":{"register":false},"nodes":["fs1",""]}"#,
        "nodes[1]: is empty",
    );
    refused(r#"{"param":{"register":false},"nodes":[1]}"#, "nodes[0]: is a number");
}

#[test]
fn what_people_note_about_a_gateway_never_takes_it_out() {
    let noted = |more: &str| format!(r#"{{"param":{{"register":false}},{more}}}"#);
    clean(&noted(
        r#""description":"x","carrier":"Example Telecom","tags":["a","顶"]"#,
    ));
    clean(&noted(r#""description":null,"carrier":"","tags":null"#));
    clean(&noted(r#""tags":[]"#));
    warned(
        &noted(r#""description":1"#),
        "description: is a number, not a string; trunkd ignores it",
    );
    warned(
        &noted(r#""carrier":["x"]"#),
        "carrier: is a list, not a string; trunkd ignores it",
    );
    warned(
        &noted(r#""tags":"a""#),
        "tags: is a string, not a list of strings; trunkd ignores it",
    );
    warned(
        &noted(r#""tags":["a",1,2]"#),
        "tags[1]: is a number, not a string; trunkd ignores it",
    );
    warned(&noted(r#""tags":[""]"#), "tags[0]: is empty");
    warned(
        &noted(&format!(r#""tags":[{}"a"]"#, r#""a","#.repeat(MAX_ITEMS))),
        "tags: has 1001 tags",
    );
    warned(&noted(r#""carier":"x""#), "did you mean carrier?");
    warned(
        &noted(r#""x":1"#),
        "known are param, variables, profile, enabled, nodes, placement, description, tags, carrier",
    );
}

#[test]
fn a_gateway_that_is_disabled_is_not_refused_for_the_rest() {
    for enabled in ["false", "0", "\"no\"", "\"false\""] {
        assert!(!clean(&format!(r#"{{"param":{{"register":false}},"enabled":{enabled}}}"#)).enabled);
    }
    for enabled in ["true", "null", "1", "\"yes\""] {
        assert!(clean(&format!(r#"{{"param":{{"register":false}},"enabled":{enabled}}}"#)).enabled);
    }
    let parsed = read(r#"{"enabled":false,"profile":"nope","param":{"username":"a\nb"}}"#);
    assert!(parsed.gateway.is_some_and(|gateway| !gateway.enabled));
    assert!(parsed.findings.len() > 1 && parsed.findings.iter().all(|f| f.severity == Severity::Warning));
    for enabled in ["\"maybe\"", "[]", "\"\""] {
        refused(
            &format!(r#"{{"param":{{"register":false}},"enabled":{enabled}}}"#),
            "enabled: is",
        );
    }
}

#[test]
fn what_is_no_json_is_refused_with_its_place_and_without_its_content() {
    for (value, words) in [
        (
            &b"hunter2"[..],
            "the value is not JSON: expected value at line 1 column 1",
        ),
        (
            b"{\"param\":\n {\"password\": \"hunter2\"",
            "the value is not JSON: EOF while parsing an object at line 2",
        ),
        (b"[\"hunter2\"]", "the value is a list, not a JSON object"),
        (b"\"hunter2\"", "the value is a string, not a JSON object"),
        (b"", "the value is not JSON: EOF"),
        (b"{\n\"hunter2\xff\"}", "the value is not UTF-8 (at line 2 column 9)"),
    ] {
        let parsed = parse("acme", b"gw", value, &rules());
        assert!(
            parsed.gateway.is_none() && said(&parsed).contains(words),
            "{}",
            said(&parsed)
        );
        assert!(!format!("{parsed:?}").contains("hunter2"));
    }
}

#[test]
fn size_and_numbers_are_bounded() {
    let fill = |bytes: usize| {
        let json = ip(r#""context":"""#);
        json.replace(
            "\"context\":\"\"",
            &format!("\"context\":\"{}\"", "x".repeat(bytes - json.len())),
        )
    };
    assert_eq!(fill(MAX_VALUE_BYTES).len(), MAX_VALUE_BYTES);
    clean(&fill(MAX_VALUE_BYTES));
    refused(
        &fill(MAX_VALUE_BYTES + 1),
        "the value is 65537 bytes long; at most 65536 are read",
    );
    let many: Vec<_> = (0..=MAX_ITEMS).map(|i| format!("\"v{i}\":1")).collect();
    refused(
        &format!(r#"{{"param":{{"register":false}},"variables":{{{}}}}}"#, many.join(",")),
        "has 1001 members",
    );
}

#[test]
fn what_freeswitch_would_pass_on_by_mistake_is_a_warning() {
    warned(
        &ip(r#""password":"secret ""#),
        "param.password: begins or ends with white space",
    );
    warned(&ip(r#""rfc-5626":true"#), "without a reg-id");
    clean(&ip(r#""rfc-5626":true,"reg-id":1"#));
    warned(
        &ip(r#""caller-id-in-from":"y""#),
        "is neither true nor false; FreeSWITCH reads it as false",
    );
}

#[test]
fn no_finding_and_no_debug_output_holds_a_value() {
    let json = r#"{"param":{"username":"hunter2:","password":"hunter2\n","expire-seconds":"hunter2","register":"hunter2",
        "register-transport":"hunter2","ping":"hunter2 ","realm":["hunter2"]},"variables":{"a":{"value":"hunter2","direction":"hunter2"},
        "b":"hunter2\u0000"},"enabled":"hunter2","nodes":["hunter2\n"]}"#;
    let parsed = read(json);
    assert!(parsed.findings.len() >= 8);
    assert!(!format!("{parsed:?}{}", said(&parsed)).contains("hunter2"));
    assert!(!serde_json::to_string(&parsed.findings).unwrap().contains("hunter2"));
    assert!(!format!("{:?}", clean(&account(r#""from-user":"hunter2""#))).contains("hunter2"));
}

#[test]
fn a_name_that_is_refused_is_shown_in_one_short_line() {
    for (field, shown) in [
        (&b"a\nb"[..], "a\\u{a}b"),
        (b"\xff", "\u{FFFD}"),
        (b"_ALL_", "_ALL_"),
        (b"", ""),
    ] {
        let parsed = parse("acme", field, b"{}", &rules());
        assert!(parsed.gateway.is_none());
        assert_eq!(parsed.findings.len(), 1);
        assert_eq!(parsed.findings[0].gateway.as_deref(), Some(shown));
        assert_eq!(parsed.findings[0].to_string().lines().count(), 1);
    }
    let long = parse("acme", "x".repeat(300).as_bytes(), b"{}", &rules());
    assert!(
        long.findings[0]
            .gateway
            .as_ref()
            .is_some_and(|g| g.chars().count() == 65 && g.ends_with('…'))
    );
}

#[test]
fn a_finding_is_one_line_and_one_json_object() {
    let parsed = read(&ip(r#""expire-seconds":1"#));
    assert_eq!(
        parsed.findings[0].to_string(),
        "warning: domain acme, gateway gw, param.expire-seconds: is under 5 or not a number; FreeSWITCH takes 3600 instead; write 5 or more"
    );
    assert_eq!(
        serde_json::to_value(&parsed.findings[0]).unwrap(),
        serde_json::json!({
            "domain": "acme", "gateway": "gw", "field": "param.expire-seconds", "severity": "warning",
            "reason": "is under 5 or not a number; FreeSWITCH takes 3600 instead", "fix": "write 5 or more",
        })
    );
}

#[test]
fn gateways_of_one_carrier_have_the_same_host() {
    for (params, host) in [
        (r#""realm":"SIP.example.net""#, Some("sip.example.net")),
        (
            r#""realm":"a.example","proxy":"sbc.example.net:5070;transport=tcp""#,
            Some("sbc.example.net"),
        ),
        (
            r#""realm":"a.example","proxy":"b.example","register-proxy":"sip:c.example""#,
            Some("c.example"),
        ),
        (r#""realm":"a.example","proxy":"""#, Some("a.example")),
        (r#""proxy":"[2001:db8::1]:5061""#, Some("[2001:db8::1]")),
        ("", Some("gw")),
        (r#""realm":"no host at all""#, None),
    ] {
        let parsed = read(&format!(
            r#"{{"param":{{"register":"false"{}{params}}}}}"#,
            if params.is_empty() { "" } else { "," }
        ));
        let gateway = parsed.gateway.expect(params);
        assert_eq!(gateway.carrier_host().as_deref(), host, "{params}");
    }
}
