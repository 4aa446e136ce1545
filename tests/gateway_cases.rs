//! Gateways from bug reports, guides and configuration files, each tried on a FreeSWITCH or read in its source: what
//! it can't work with is reported at the field that is to be changed, and what works there is not reported at all.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::{BTreeMap, BTreeSet};

#[path = "support/bilingual.rs"]
#[allow(unreachable_pub)]
mod bilingual;

use trunkd::gateway::{
    AllowedHooks, Desired, Parsed, Policy, ProfileFacts, ProfileName, RawDomain, Rules, Severity, parse,
};
use trunkd::language::Language;

/// `external` has neither TLS nor RFC 5626, `secure` has both, `internal` leaves both to FreeSWITCH globals.
fn rules() -> Rules {
    let profile = |name| ProfileName::parse(name).unwrap();
    let facts = |on| ProfileFacts {
        tls: on,
        rfc_5626: on,
        ..ProfileFacts::default()
    };
    Rules::new(
        profile("external"),
        BTreeMap::from([
            (profile("external"), facts(Some(false))),
            (profile("secure"), facts(Some(true))),
            (profile("internal"), facts(None)),
        ]),
    )
}

#[track_caller]
fn read(json: &str) -> Parsed {
    read_under(json, &rules())
}

/// Every finding is there in both languages.
#[track_caller]
fn read_under(json: &str, rules: &Rules) -> Parsed {
    let parsed = parse("acme", b"gw", json.as_bytes(), rules);
    for finding in &parsed.findings {
        for text in [&finding.reason, &finding.fix] {
            bilingual::check(text.en(), text.in_language(Language::Zh));
        }
    }
    parsed
}

/// The params of an account trunk, in JSON.
fn account(params: &str) -> String {
    trunk(&format!(r#""username":"u","password":"p",{params}"#))
}

/// The params of an IP trunk, in JSON.
fn ip(params: &str) -> String {
    trunk(&format!(r#""register":false,{params}"#))
}

fn trunk(params: &str) -> String {
    format!(r#"{{"param":{{{params}}}}}"#)
}

fn said(parsed: &Parsed) -> String {
    parsed.findings.iter().map(|finding| format!("\n  {finding}")).collect()
}

/// The gateway is served, and there is nothing to say about it.
#[track_caller]
fn silent(json: &str) {
    let parsed = read(json);
    assert!(
        parsed.gateway.is_some() && parsed.findings.is_empty(),
        "{json}{}",
        said(&parsed)
    );
}

/// The gateway is served, and these are the findings: where, and some words of each.
#[track_caller]
fn warned(json: &str, expected: &[(&str, &str)]) {
    let parsed = read(json);
    assert!(parsed.gateway.is_some(), "{json}{}", said(&parsed));
    assert_eq!(parsed.findings.len(), expected.len(), "{json}{}", said(&parsed));
    for (field, words) in expected {
        assert!(
            parsed
                .findings
                .iter()
                .any(|finding| finding.field.as_deref() == Some(*field) && finding.to_string().contains(words)),
            "{json}: no finding at {field} says {words:?}{}",
            said(&parsed)
        );
    }
}

const UNANSWERED: &str = "challenge";

#[test]
fn a_host_with_parameters_and_no_port_never_has_its_challenge_answered() {
    warned(
        &ip(r#""proxy":"192.0.2.5:5061","outbound-proxy":"192.0.2.9;lr","username":"u","password":"p""#),
        &[("param.outbound-proxy", UNANSWERED)],
    );
    warned(
        &ip(r#""proxy":"192.0.2.5:5061;transport=tls","outbound-proxy":"192.0.2.9;transport=tls","register-transport":"tls""#)
            .replace("{\"param\"", "{\"profile\":\"secure\",\"param\""),
        &[("param.outbound-proxy", UNANSWERED)],
    );
    silent(&ip(
        r#""proxy":"192.0.2.5:5061","outbound-proxy":"192.0.2.9:5060;lr","password":"p""#,
    ));
    silent(&ip(
        r#""proxy":"192.0.2.5:5061","outbound-proxy":"192.0.2.9;lr","gw-auth-acl":"192.0.2.0/24""#,
    ));
    warned(
        &account(r#""proxy":"sip.example.net;transport=udp""#),
        &[("param.proxy", UNANSWERED)],
    );
    warned(
        &account(r#""realm":"sip.example.net;transport=udp""#),
        &[("param.realm", UNANSWERED)],
    );
    silent(&account(r#""proxy":"sip.example.net""#));
    silent(&account(r#""proxy":"sip.example.net:5060;transport=udp""#));
    silent(&account(r#""realm":"carrier.invalid","register-proxy":"192.0.2.1""#));
    silent(&account(
        r#""realm":"carrier.invalid","register-proxy":"192.0.2.1:5060;transport=udp""#,
    ));
    // Calls go to the realm, which is a name that may resolve.
    warned(
        &account(r#""realm":"carrier.invalid","register-proxy":"192.0.2.1;transport=udp""#),
        &[("param.register-proxy", UNANSWERED)],
    );
    // A colon or a bracket behind the port moves the cut.
    for host in ["192.0.2.1:5060;x=a:b", "192.0.2.1:5060;x=[::1]"] {
        warned(
            &account(&format!(r#""proxy":"{host}""#)),
            &[("param.proxy", UNANSWERED)],
        );
    }
    // A user part is in the way as well.
    warned(
        &account(r#""realm":"carrier.invalid","register-proxy":"u@192.0.2.1:5060""#),
        &[("param.register-proxy", UNANSWERED)],
    );
}

#[test]
fn a_host_that_is_compared_in_another_param_may_look_as_it_likes() {
    // The address is that of another param, which FreeSWITCH can compare.
    silent(&account(
        r#""proxy":"192.0.2.1","register-proxy":"192.0.2.1;lr","outbound-proxy":"sip:u@192.0.2.1""#,
    ));
    // Nothing is ever sent to this proxy.
    silent(&account(
        r#""proxy":"192.0.2.1;lr","register-proxy":"192.0.2.2","outbound-proxy":"192.0.2.3""#,
    ));
    // Only calls go to the outbound-proxy of an IP trunk, and only they to its proxy.
    silent(&ip(r#""proxy":"192.0.2.1","register-proxy":"192.0.2.2;lr""#));
}

#[test]
fn an_ipv6_address_never_has_its_challenge_answered() {
    for host in [
        "[2001:db8::1]:5060",
        "[2001:db8::1]",
        "[2001:db8::1]:5060;transport=udp",
    ] {
        warned(
            &account(&format!(r#""proxy":"{host}""#)),
            &[("param.proxy", UNANSWERED)],
        );
        silent(&account(&format!(r#""proxy":"{host}","gw-auth-acl":"2001:db8::/32""#)));
        // Who has no password answers no challenge anyway.
        silent(&ip(&format!(r#""proxy":"{host}""#)));
        warned(
            &ip(&format!(r#""proxy":"{host}","password":"p""#)),
            &[("param.proxy", UNANSWERED)],
        );
    }
}

#[test]
fn an_acl_takes_networks_and_names_of_lists() {
    for acl in [
        "192.0.2.0/24",
        "192.0.2.1/32,2001:db8::/32",
        "carriers",
        "loopback.auto",
    ] {
        silent(&account(&format!(r#""proxy":"192.0.2.1","gw-auth-acl":"{acl}""#)));
    }
    // An address alone is taken for the name of a list, and every challenge refused.
    for acl in ["192.0.2.1", "192.0.2.0/24,192.0.3.1", "2001:db8::1"] {
        warned(
            &account(&format!(r#""proxy":"192.0.2.1","gw-auth-acl":"{acl}""#)),
            &[("param.gw-auth-acl", "/32")],
        );
    }
}

#[test]
fn a_scheme_before_a_host_is_one_too_many() {
    for scheme in ["sip:", "SIP:", "sips:"] {
        for name in ["proxy", "realm"] {
            let host = format!(r#""{name}":"{scheme}us1.sip.example.net""#);
            let field = format!("param.{name}");
            warned(&ip(&host), &[(&field, "begins with")]);
            warned(&account(&host), &[(&field, "begins with")]);
            warned(&ip(&format!(r#"{host},"ping":25"#)), &[(&field, "begins with")]);
            warned(
                &ip(&format!(r#"{host},"ping":25,"from-domain":"example.net""#)),
                &[(&field, "begins with")],
            );
        }
    }
    // Calls are all that such a trunk does, and From doesn't need the proxy: seen to work.
    silent(&ip(r#""proxy":"sip:192.0.2.1:5060","from-domain":"example.net""#));
    silent(&ip(r#""proxy":"sip:192.0.2.1:5060","caller-id-in-from":true"#));
    // FreeSWITCH takes it off.
    silent(&account(r#""realm":"192.0.2.1","register-proxy":"sip:192.0.2.1:5060""#));
    silent(&account(
        r#""realm":"192.0.2.1","outbound-proxy":"SIP:192.0.2.1:5060;lr""#,
    ));
    // Beside a proxy the realm is no host at all.
    silent(&account(r#""realm":"sip:example.net","proxy":"192.0.2.1""#));
    silent(&account(r#""realm":"Example Telecom, Inc.","proxy":"192.0.2.1""#));
    warned(
        &account(r#""realm":"192.0.2.1","from-domain":"sip:example.net""#),
        &[("param.from-domain", "begins with")],
    );
}

#[test]
fn placeholders_that_nothing_fills_in_are_reported() {
    for placeholder in [
        "$${local_ip_v4}:6060",
        "${PROVIDER_HOST}",
        "sip.${region}.example.net",
        "{{host}}",
        "{{ carrier.host }}:5060",
        "%HOST%",
    ] {
        for name in ["proxy", "realm", "register-proxy", "outbound-proxy"] {
            let params = format!(r#""realm":"192.0.2.1","{name}":"{placeholder}""#);
            let params = params.replace(r#""realm":"192.0.2.1","realm""#, r#""realm""#);
            warned(&ip(&params), &[(&format!("param.{name}"), "placeholder")]);
        }
    }
    for placeholder in ["$${sip_gateway_username}", "${USER}", "{{user}}", "%USER%"] {
        for name in ["from-user", "extension", "context", "contact-params", "auth-username"] {
            warned(
                &account(&format!(r#""realm":"192.0.2.1","{name}":"{placeholder}""#)),
                &[(&format!("param.{name}"), "placeholder")],
            );
        }
        warned(
            &trunk(&format!(
                r#""realm":"192.0.2.1","username":"{placeholder}","password":"{placeholder}""#
            )),
            &[("param.username", "placeholder"), ("param.password", "placeholder")],
        );
    }
    // What only looks like one, in a password or an escape.
    for password in ["& \\\" < > $ !", "a$${b", "x${y}z", "a%b%c", "100%", "{{", "p}}{{q"] {
        silent(&trunk(&format!(
            r#""realm":"192.0.2.1","username":"u","password":"{password}""#
        )));
    }
    silent(&account(r#""realm":"192.0.2.1","from-user":"%2B15550100%40x""#));
    // A gateway's variable is not expanded: FreeSWITCH refuses to set one that holds ${…}.
    let variable = |name: &str, value: &str| {
        format!(r#"{{"param":{{"register":false,"realm":"192.0.2.1"}},"variables":{{"{name}":"{value}"}}}}"#)
    };
    for value in ["${caller_id_number}", "x$${hold_music}"] {
        warned(&variable("a", value), &[("variables.a", "does not set")]);
        warned(&variable("p:ani", value), &[("variables.p:ani", "used literally")]);
    }
    silent(&variable("ringback", "%(2000,4000,440,480)"));
}

#[test]
fn hosts_copied_from_somewhere_are_reported() {
    for (host, words) in [
        ("sip example net", "space"),
        (" 192.0.2.1", "space"),
        ("192.0.2.1 ", "space"),
        ("192.0.2.1; transport=tcp", "space"),
        ("http://sip.example.net", "URL"),
        ("192.0.2.1,192.0.2.2", "comma"),
        ("\u{200b}192.0.2.1", "invisible"),
        ("192.0.2.1\u{a0}", "invisible"),
        ("１９２.0.2.1", "U+FF11"),
        ("münchen.example.net", "U+00FC"),
        ("host:abc", "port"),
        ("192.0.2.1:", "port"),
        ("192.0.2.1:0", "port"),
        ("192.0.2.1:99999", "port"),
        ("192.0.2.1:5060x", "port"),
        ("a:5060:5060", "port"),
        ("192.0.2.1:5060/x", "port"),
        ("[::1", "bracket"),
        ("::1]", "bracket"),
        ("[192.0.2.1]", "bracket"),
        ("2001:db8::1", "bracket"),
        ("@", "user part"),
        ("@192.0.2.1", "user part"),
        ("u@192.0.2.1", "user part"),
        (";", "no host"),
        (":", "no host"),
        (":5060", "no host"),
        (";transport=udp", "no host"),
        ("192.0.2.256", "IPv4"),
        ("192.0.2", "IPv4"),
        ("192.0.2.1.", "IPv4"),
        ("a..b", "two dots"),
        (".example.net", "dot"),
        ("192.0.2.1;", "empty parameter"),
        ("<sip:192.0.2.1>", "'<'"),
        ("192.0.2.1?x=y", "'?'"),
        ("192.0.2.1#x", "'#'"),
        ("a/b", "'/'"),
        ("a*b", "'*'"),
        ("%31.example.net", "'%'"),
        ("a\\\"b", "'\"'"),
    ] {
        for name in ["proxy", "realm"] {
            let trunk = ip(&format!(r#""{name}":"{host}""#));
            match host {
                "192.0.2.1;" => silent(&trunk), // it keeps REGISTER alone from being sent
                _ => warned(&trunk, &[(&format!("param.{name}"), words)]),
            }
            warned(
                &account(&format!(r#""{name}":"{host}""#)),
                &[(&format!("param.{name}"), words)],
            );
        }
        if matches!(host, "@192.0.2.1" | "u@192.0.2.1" | "192.0.2.1;") {
            continue; // seen to work there
        }
        for name in ["register-proxy", "outbound-proxy"] {
            let params = format!(r#""realm":"192.0.2.1","{name}":"{host}""#);
            warned(&account(&params), &[(&format!("param.{name}"), words)]);
        }
    }
    for host in [
        "sip.example.net",
        "SIP.EXAMPLE.NET",
        "sip_1.example.net",
        "sip.example.net.",
        "localhost",
        "xn--mnchen-3ya.example.net",
        "1.2.3.4.in-addr.example",
        "192.0.2.1:5060;lr;x=y",
    ] {
        silent(&account(&format!(r#""proxy":"{host}""#)));
    }
    silent(&account(
        r#""realm":"example.net","from-domain":"example.net","register-proxy":"sip.example.net:35090","outbound-proxy":"sip.example.net:35090""#,
    ));
}

#[test]
fn a_host_of_from_is_not_resolved() {
    for host in [
        "example.net",
        "example.net:5060",
        "192.0.2.256",
        "[2001:db8::1]",
        "carrier;x=y",
    ] {
        silent(&account(&format!(r#""realm":"192.0.2.1","from-domain":"{host}""#)));
    }
    for host in ["a b", "a@b", "a,b", "a>b", "2001:db8::1", "a:b", ";", "münchen"] {
        let parsed = read(&account(&format!(r#""realm":"192.0.2.1","from-domain":"{host}""#)));
        assert_eq!(parsed.findings.len(), 1, "{host}{}", said(&parsed));
        assert_eq!(parsed.findings[0].field.as_deref(), Some("param.from-domain"));
    }
    // FreeSWITCH's own words. A call without an A leg, as `originate` makes it, ends FreeSWITCH itself.
    for word in ["auto-aleg-full", "AUTO-ALEG-DOMAIN"] {
        warned(
            &ip(&format!(r#""realm":"192.0.2.1","from-domain":"{word}""#)),
            &[("param.from-domain", "originate")],
        );
    }
}

#[test]
fn a_contact_host_is_a_bare_host() {
    for host in ["sip-ip", "192.0.2.1", "2001:db8::1", "pbx.example.net"] {
        silent(&account(&format!(r#""realm":"192.0.2.1","contact-host":"{host}""#)));
    }
    for host in ["192.0.2.1:5070", "[2001:db8::1]", "sip:pbx", "a b", "a@b", "a;b", "a>b"] {
        let parsed = read(&account(&format!(r#""realm":"192.0.2.1","contact-host":"{host}""#)));
        assert_eq!(parsed.findings.len(), 1, "{host}{}", said(&parsed));
        assert_eq!(parsed.findings[0].field.as_deref(), Some("param.contact-host"));
    }
}

#[test]
fn a_user_name_must_fit_where_it_goes() {
    let user = |name: &str, more: &str| {
        trunk(&format!(
            r#""realm":"192.0.2.1","username":"{name}","password":"p"{more}"#
        ))
    };
    warned(&user("+15550100@ims.example.net", ""), &[("param.username", "two '@'")]);
    silent(&user(
        "+15550100@ims.example.net",
        r#","from-user":"+15550100","from-domain":"ims.example.net""#,
    ));
    silent(&user("a@b", r#","from-user":"a""#));
    silent(&user("a%40b", ""));
    // It is in To as well, whatever from-user is.
    for name in ["u 1", "u,1", "u;1", "u?1", "u%1"] {
        warned(&user(name, ""), &[("param.username", "REGISTER")]);
        warned(&user(name, r#","from-user":"a""#), &[("param.username", "REGISTER")]);
    }
    // An IP trunk has no To of its own.
    silent(&ip(r#""realm":"192.0.2.1","username":"u 1","from-user":"a""#));
    silent(&ip(r#""realm":"192.0.2.1","username":"a@b","caller-id-in-from":true"#));
    warned(
        &ip(r#""realm":"192.0.2.1","username":"a@b""#),
        &[("param.username", "two '@'")],
    );
    warned(
        &ip(r#""realm":"192.0.2.1","username":"u 1""#),
        &[("param.username", "From")],
    );
    for name in ["a@b", "a b", "a>b", "a<b", "a%b", "a\\\"b"] {
        warned(
            &account(&format!(r#""realm":"192.0.2.1","from-user":"{name}""#)),
            &[("param.from-user", "From")],
        );
    }
    for name in [
        "+15550100",
        "a!b",
        "a#b",
        "a$b",
        "a&b",
        "a'b",
        "a(b)",
        "a*b",
        "a/b",
        "a=b",
        "a_b",
        "a~b",
        "a|b",
        "顶顶通",
    ] {
        silent(&user(name, ""));
        silent(&account(&format!(r#""realm":"192.0.2.1","from-user":"{name}""#)));
    }
    // The digest puts the account name in quotes.
    warned(
        &user("u", r#","auth-username":"a\"b""#),
        &[("param.auth-username", "quotation mark")],
    );
    silent(&user("u", r#","auth-username":"a b@c""#));
    // The Contact takes the extension, or else the user name.
    warned(
        &user("a@b", r#","from-user":"a","extension-in-contact":true"#),
        &[("param.username", "Contact")],
    );
    silent(&user(
        "a@b",
        r#","from-user":"a","extension-in-contact":true,"extension":"123""#,
    ));
    warned(
        &user("u", r#","extension-in-contact":true,"extension":"a>b""#),
        &[("param.extension", "Contact")],
    );
    silent(&user("u", r#","extension":"a>b""#));
    for prefix in ["a@b", "a b", " 9", "a<b", "a\\\"b"] {
        warned(
            &ip(&format!(r#""realm":"192.0.2.1","destination-prefix":"{prefix}""#)),
            &[("param.destination-prefix", "called number")],
        );
    }
    for prefix in ["00", "+49", "9#", "*31*"] {
        silent(&ip(&format!(r#""realm":"192.0.2.1","destination-prefix":"{prefix}""#)));
    }
}

#[test]
fn params_of_another_name_get_the_right_one() {
    let named = |name: &str| read(&ip(&format!(r#""realm":"192.0.2.1","{name}":"x""#)));
    for (name, words) in [
        ("sip_cid_type", "variables.sip_cid_type"),
        ("cid-type", "variables.sip_cid_type"),
        ("codec-prefs", "variables.absolute_codec_string"),
        ("absolute_codec_string", "variables.absolute_codec_string"),
        ("sip_sticky_contact", "variables.sip_sticky_contact"),
        ("rtp_secure_media", "variables.rtp_secure_media"),
        ("p:caller_id_number", "variables.p:caller_id_number"),
        ("dtmf-type", "profile"),
        ("suppress-cng", "profile"),
        ("tls-version", "profile"),
        ("rtp-autofix-timing", "profile"),
        ("user-agent-string", "profile"),
        ("inbound-codec-prefs", "profile"),
        ("rfc5626", "did you mean rfc-5626?"),
        ("From_User", "did you mean from-user?"),
        ("register-proxy-port", "behind the host"),
        ("port", "behind the host"),
        ("expires", "did you mean expire-seconds?"),
        ("options-ping", "did you mean ping?"),
        ("hostname", "nodes"),
        ("pasword", "did you mean password?"),
        ("usrename", "did you mean username?"),
        ("outbond-proxy", "did you mean outbound-proxy?"),
        ("secret", "did you mean password?"),
        ("transport", "did you mean register-transport?"),
        ("channels", "limit"),
        ("nodes", "beside param"),
        ("profile", "beside param"),
        ("enabled", "beside param"),
        ("insecure", "correct the name"),
        ("nat-options", "correct the name"),
    ] {
        let parsed = named(name);
        assert_eq!(parsed.findings.len(), 1, "{name}{}", said(&parsed));
        let finding = &parsed.findings[0];
        assert_eq!(finding.field.as_deref(), Some(&*format!("param.{name}")));
        assert!(
            finding.reason.en().contains("FreeSWITCH does not know this param"),
            "{finding}"
        );
        assert!(finding.fix.en().contains(words), "{name}: {finding}");
    }
    warned(
        r#"{"param":{"register":false,"realm":"192.0.2.1"},"subscriptions":[{"event":"message-summary"}]}"#,
        &[("subscriptions", "does not serve subscriptions")],
    );
    for (key, words) in [
        ("parm", "did you mean param?"),
        ("node", "did you mean nodes?"),
        ("hostname", "did you mean nodes?"),
        ("realm", "under param"),
    ] {
        warned(
            &format!(r#"{{"param":{{"register":false,"realm":"192.0.2.1"}},"{key}":"x"}}"#),
            &[(key, words)],
        );
    }
}

#[test]
fn the_user_agent_of_pings_is_left_out_since_freeswitch_sends_freed_memory() {
    let parsed = read(&ip(r#""realm":"192.0.2.1","ping":5,"ping-user-agent":"Example SBC""#));
    assert_eq!(parsed.findings.len(), 1, "{}", said(&parsed));
    let finding = &parsed.findings[0];
    assert_eq!(finding.field.as_deref(), Some("param.ping-user-agent"));
    assert!(
        finding.reason.en().contains("freed memory") && finding.reason.en().contains("left out"),
        "{finding}"
    );
    assert!(finding.fix.en().contains("user-agent-string"), "{finding}");
    let gateway = parsed.gateway.unwrap();
    assert_eq!(gateway.param("ping-user-agent"), None);
    assert_eq!(gateway.param("ping"), Some("5"));
    silent(&ip(r#""realm":"192.0.2.1","ping-user-agent":"""#));
}

#[test]
fn pings_must_be_able_to_count_to_what_they_need() {
    let ping = |params: &str| ip(&format!(r#""realm":"192.0.2.1","ping":5,{params}"#));
    warned(&ping(r#""ping-min":3"#), &[("param.ping-min", "DOWN")]);
    warned(&ping(r#""ping-min":3,"ping-max":2"#), &[("param.ping-min", "DOWN")]);
    warned(&ping(r#""ping-max":0"#), &[("param.ping-max", "DOWN")]);
    warned(&ping(r#""ping-max":"-1""#), &[("param.ping-max", "DOWN")]);
    warned(&ping(r#""ping-max":"three""#), &[("param.ping-max", "not a number")]);
    warned(&ping(r#""ping-min":0"#), &[("param.ping-min", "never")]);
    warned(&ping(r#""ping-min":"-1""#), &[("param.ping-min", "never")]);
    warned(&ping(r#""ping-min":"one""#), &[("param.ping-min", "not a number")]);
    warned(&ping(r#""ping-max":"3x""#), &[("param.ping-max", "plain number")]);
    silent(&ping(r#""ping-min":1,"ping-max":1"#));
    silent(&ping(r#""ping-min":2,"ping-max":3"#));
    silent(&ping(r#""ping-min":3,"ping-max":3"#));
    // Without a ping nothing is counted.
    silent(&ip(r#""realm":"192.0.2.1","ping-min":3"#));
    silent(&ip(r#""realm":"192.0.2.1","ping":0,"ping-min":3"#));
    silent(&account(r#""realm":"192.0.2.1","ping":5,"ping-max":3"#));
    silent(&ip(r#""realm":"192.0.2.1","ping":25"#));
}

#[test]
fn seconds_that_freeswitch_cannot_read_are_reported() {
    // Seen: the text goes into the Expires header unchanged, and no REGISTER is sent.
    for value in ["60s", "60.5", "+60"] {
        warned(
            &account(&format!(r#""realm":"192.0.2.1","expire-seconds":"{value}""#)),
            &[("param.expire-seconds", "no REGISTER")],
        );
    }
    warned(
        &account(r#""realm":"192.0.2.1","908-retry-seconds":"x""#),
        &[("param.908-retry-seconds", "retry-seconds")],
    );
    silent(&account(r#""realm":"192.0.2.1","908-retry-seconds":0"#));
    silent(&account(r#""realm":"192.0.2.1","908-retry-seconds":600"#));
}

#[test]
fn the_contact_has_one_transport_and_one_gateway() {
    for params in ["transport=udp", ";Transport=tcp", "tport=tls;transport=udp"] {
        warned(
            &account(&format!(r#""realm":"192.0.2.1","contact-params":"{params}""#)),
            &[("param.contact-params", "transport")],
        );
    }
    warned(
        &account(r#""realm":"192.0.2.1","contact-params":"gw=x""#),
        &[("param.contact-params", "gw")],
    );
    for params in ["a>b", "a=<x>", "a b", "a,b", "\\\"x\\\""] {
        warned(
            &account(&format!(r#""realm":"192.0.2.1","contact-params":"{params}""#)),
            &[("param.contact-params", "Contact")],
        );
    }
    for params in ["tport=tls", ";a=b", "ob", "expires=60", "a=b;"] {
        silent(&account(&format!(r#""realm":"192.0.2.1","contact-params":"{params}""#)));
    }
}

#[test]
fn rfc_5626_needs_its_profile() {
    let on = |profile: &str, params: &str| {
        format!(r#"{{"profile":"{profile}","param":{{"register":false,"realm":"192.0.2.1","rfc-5626":true{params}}}}}"#)
    };
    for params in ["", r#","reg-id":1"#] {
        warned(&on("external", params), &[("param.rfc-5626", "enable-rfc-5626")]);
    }
    warned(&on("secure", ""), &[("param.rfc-5626", "reg-id")]);
    silent(&on("secure", r#","reg-id":1"#));
    silent(&on("internal", r#","reg-id":1"#));
    silent(&on("external", "").replace("true", "false"));
}

#[test]
fn the_transport_of_a_host_must_be_that_of_the_contact() {
    warned(
        &account(r#""proxy":"192.0.2.1:5060;transport=tcp""#),
        &[("param.proxy", "register-transport")],
    );
    warned(
        &account(r#""proxy":"192.0.2.1:5060;Transport=TCP""#),
        &[("param.proxy", "register-transport")],
    );
    silent(&account(
        r#""proxy":"192.0.2.1:5060;transport=tcp","register-transport":"tcp""#,
    ));
    silent(&account(r#""proxy":"192.0.2.1:5060;transport=udp""#));
    silent(&account(r#""proxy":"192.0.2.1:5060","register-transport":"tcp""#));
    warned(
        &account(r#""proxy":"192.0.2.1:5060;transport=udp","register-transport":"tcp""#),
        &[("param.proxy", "register-transport")],
    );
    warned(
        &account(r#""realm":"192.0.2.1","register-proxy":"192.0.2.1:5060;transport=tcp""#),
        &[("param.register-proxy", "register-transport")],
    );
    warned(
        &ip(r#""realm":"192.0.2.1","outbound-proxy":"192.0.2.1:5060;transport=tcp""#),
        &[("param.outbound-proxy", "register-transport")],
    );
    // If a request goes to another host, the proxy's transport doesn't count.
    silent(&account(
        r#""proxy":"192.0.2.1:5060;transport=tcp","register-proxy":"192.0.2.2","outbound-proxy":"192.0.2.2""#,
    ));
    silent(&account(
        r#""proxy":"192.0.2.1:5060;transport=udp","register-transport":"tcp",
        "register-proxy":"192.0.2.1:5060;transport=tcp","outbound-proxy":"192.0.2.1:5060;transport=tcp""#,
    ));
    warned(
        &account(r#""proxy":"192.0.2.1:5060;transport=tpc""#),
        &[("param.proxy", "that FreeSWITCH doesn't know")],
    );
    // tls on a profile without
    warned(
        &account(r#""proxy":"192.0.2.1:5061;transport=tls""#),
        &[("param.proxy", "has no TLS")],
    );
    warned(
        &ip(r#""realm":"192.0.2.1","outbound-proxy":"sips:192.0.2.1:5061""#),
        &[("param.outbound-proxy", "has no TLS")],
    );
    // Pings, too: an IP trunk whose pings are lost is DOWN, and no call gets by.
    warned(
        &ip(r#""proxy":"192.0.2.1:5061;transport=tls","outbound-proxy":"192.0.2.1","ping":25"#),
        &[("param.proxy", "has no TLS")],
    );
    for proxy in [
        r#""proxy":"192.0.2.1:5061;transport=tls""#,
        r#""proxy":"192.0.2.1;transport=tcp","ping":25"#,
    ] {
        silent(&ip(&format!(r#"{proxy},"outbound-proxy":"192.0.2.1""#)));
    }
    let secure = |params: &str| account(params).replace("{\"param\"", "{\"profile\":\"secure\",\"param\"");
    warned(
        &secure(r#""proxy":"192.0.2.1:5061;transport=tls""#),
        &[("param.proxy", "register-transport")],
    );
    silent(&secure(
        r#""proxy":"192.0.2.1:5061;transport=tls","register-transport":"tls""#,
    ));
    silent(&secure(
        r#""realm":"192.0.2.1","outbound-proxy":"sips:192.0.2.1:5061","register-transport":"tls""#,
    ));
    let internal = account(r#""proxy":"voice.example.net","register-transport":"tls""#);
    warned(
        &internal.replace("{\"param\"", "{\"profile\":\"internal\",\"param\""),
        &[("param.register-transport", "global")],
    );
}

#[test]
fn what_was_seen_to_work_is_not_reported() {
    silent(&account(
        r#""realm":"ims.example.net","register-proxy":"192.0.2.1","outbound-proxy":"192.0.2.1""#,
    ));
    silent(&account(r#""realm":"ims.example.net","proxy":"192.0.2.1""#));
    // A number but 0 is true.
    silent(&ip(r#""realm":"192.0.2.1","caller-id-in-from":15550100"#));
    // `auto` takes the dialled number, as `auto_to_user` does.
    silent(&ip(r#""realm":"192.0.2.1","extension":"auto_to_user""#));
    silent(&ip(r#""realm":"192.0.2.1","extension":"AUTO_TO_USER""#));
    silent(&ip(r#""realm":"192.0.2.1","extension":"auto""#));
    silent(&account(
        r#""realm":"192.0.2.1","extension":"auto_to_user","extension-in-contact":true"#,
    ));
    // … but not for calls to auto@…, which the carrier then gets.
    warned(
        &account(r#""realm":"192.0.2.1","extension":"auto","extension-in-contact":true"#),
        &[("param.extension", "auto_to_user")],
    );
    for typo in ["auto-to-user", "autotouser", "auto_to_users", "auto_touser"] {
        warned(
            &ip(&format!(r#""realm":"192.0.2.1","extension":"{typo}""#)),
            &[("param.extension", "did you mean auto_to_user?")],
        );
    }
    // In this very spelling alone.
    silent(&account(r#""realm":"192.0.2.1","contact-host":"sip-ip""#));
    for typo in ["SIP-IP", "sip_ip"] {
        warned(
            &account(&format!(r#""realm":"192.0.2.1","contact-host":"{typo}""#)),
            &[("param.contact-host", "did you mean sip-ip?")],
        );
    }
    silent(
        r#"{"param":{"register":false,"realm":"192.0.2.1"},"variables":{"a":{"value":"int.example.net","direction":"inbound"}}}"#,
    );
    silent(&account(r#""realm":"192.0.2.1","extension-in-contact":true"#));
}

fn policy(switches: &[&str], hooks: AllowedHooks) -> Policy {
    Policy {
        switches: switches.iter().map(|name| (*name).to_owned()).collect(),
        hooks,
    }
}

#[test]
fn nodes_that_name_no_known_switch_are_reported() {
    let said = |nodes: &str, switches: &[&str]| {
        let json = format!(r#"{{"param":{{"register":false,"realm":"192.0.2.1"}},"nodes":{nodes}}}"#);
        let rules = rules().with_policy(policy(switches, AllowedHooks::None));
        let parsed = read_under(&json, &rules);
        assert!(parsed.gateway.is_some(), "{}", said(&parsed));
        said(&parsed)
    };
    for nodes in [r#"["FS1"]"#, r#"["fs2"]"#, r#"["fs2","fs3"]"#] {
        let said = said(nodes, &["fs1"]);
        assert!(said.contains("nodes: ") && said.contains("on no switch"), "{said}");
    }
    assert!(said(r#"["FS1"]"#, &["fs1"]).contains("did you mean 'fs1'?"));
    let partly = said(r#"["fs1","fs2"]"#, &["fs1"]);
    assert!(partly.contains("'fs2'") && !partly.contains("on no switch"), "{partly}");
    assert_eq!(said(r#"["fs1"]"#, &["fs1", "fs2"]), "");
    assert_eq!(said("null", &["fs1"]), "");
    // With no switch in the settings any name may be right.
    assert_eq!(said(r#"["fs9"]"#, &[]), "");
}

#[test]
fn a_variable_that_executes_is_refused_unless_the_settings_allow_it() {
    let json = |variables: &str| {
        format!(r#"{{"param":{{"register":false,"realm":"192.0.2.1"}},"variables":{{{variables}}}}}"#)
    };
    let under = |variables: &str, hooks: AllowedHooks| {
        let rules = rules().with_policy(policy(&[], hooks));
        read_under(&json(variables), &rules)
    };
    for variables in [
        r#""api_hangup_hook":"system touch /tmp/x""#,
        r#""api_on_originate":{"value":"system touch /tmp/x","direction":"outbound"}"#,
        r#""execute_on_answer":{"value":"system touch /tmp/x","direction":"inbound"}"#,
        r#""hold_music":"system::touch /tmp/x""#,
    ] {
        let parsed = under(variables, AllowedHooks::None);
        assert_eq!(
            (parsed.gateway.is_none(), parsed.findings.len()),
            (true, 1),
            "{}",
            said(&parsed)
        );
        let finding = &parsed.findings[0];
        assert_eq!(finding.severity, Severity::Error);
        assert!(finding.field.as_deref().unwrap().starts_with("variables."), "{finding}");
        assert!(
            finding.fix.en().contains("gateways.allow_hooks") && !finding.to_string().contains("touch"),
            "{finding}"
        );
        let parsed = under(variables, AllowedHooks::All);
        assert!(
            parsed.gateway.is_some() && parsed.findings.is_empty(),
            "{}",
            said(&parsed)
        );
    }
    let one = AllowedHooks::Names(["api_hangup_hook".to_owned()].into());
    assert!(
        under(r#""api_hangup_hook":"lua cdr.lua""#, one.clone())
            .gateway
            .is_some()
    );
    assert!(
        under(r#""api_hangup_hook":"lua cdr.lua","api_on_answer":"x""#, one)
            .gateway
            .is_none()
    );
}

#[test]
fn a_hook_that_is_written_into_a_gateway_leaves_its_last_valid_version() {
    let build = |variables: &str, previous: Option<&Desired>| {
        let value = format!(r#"{{"param":{{"register":false,"realm":"192.0.2.1"}},"variables":{{{variables}}}}}"#);
        let domains = [(
            "acme".to_owned(),
            RawDomain::hash([(b"gw".to_vec(), value.into_bytes())]),
        )]
        .into();
        Desired::build(&domains, &rules(), previous)
    };
    let before = build(r#""sip_sticky_contact":"true""#, None);
    let after = build(
        r#""sip_sticky_contact":"true","api_hangup_hook":"system x""#,
        Some(&before),
    );
    let entry = after.get("gw").unwrap();
    assert_eq!(entry.gateway, before.get("gw").unwrap().gateway);
    assert!(entry.kept.as_ref().unwrap().en().contains("variables.api_hangup_hook"));
    // Nothing valid was known: nothing is served.
    assert!(build(r#""api_hangup_hook":"system x""#, None).get("gw").is_none());
}

#[test]
fn many_unknown_names_make_short_findings() {
    let members = |count: usize| -> String {
        let members: Vec<_> = (0..count).map(|n| format!(r#""unknown-param-{n}":"x""#)).collect();
        members.join(",")
    };
    let parsed = read(&ip(&members(900)));
    assert_eq!(parsed.findings.len(), 900);
    let nodes: Vec<_> = (0..1000).map(|n| format!("\"node{n}\"")).collect();
    let switches: Vec<_> = (0..1000).map(|n| format!("switch{n}")).collect();
    let switches: BTreeSet<_> = switches.into_iter().collect();
    let rules = rules().with_policy(Policy {
        switches,
        hooks: AllowedHooks::None,
    });
    let json = format!(
        r#"{{"param":{{"register":false,"realm":"192.0.2.1"}},"nodes":[{}]}}"#,
        nodes.join(",")
    );
    let parsed = read_under(&json, &rules);
    assert_eq!(parsed.findings.len(), 1);
    assert!(parsed.findings[0].to_string().len() < 400, "{}", parsed.findings[0]);
}

#[test]
fn no_finding_repeats_a_value() {
    let json = r#"{"param":{"username":"hunter2@x y","password":"${hunter2}","proxy":"hunter2;;","realm":"hunter2 x","from-domain":"hunter2 x",
        "register-proxy":"hunter2:x","outbound-proxy":"hunter2;x","contact-host":"hunter2:1","contact-params":"hunter2 x","extension":"hunter2 <",
        "extension-in-contact":true,"gw-auth-acl":"hunter2","ping-user-agent":"hunter2","ping":"5","ping-min":"hunter2","ping-max":"hunter2",
        "destination-prefix":"hunter2 x","expire-seconds":"7hunter2","908-retry-seconds":"hunter2","from-user":"hunter2 x",
        "register-transport":"tlshunter2"},"profile":"secure","variables":{"a":"${hunter2}","p:b":"${hunter2(x)}","api_hangup_hook":"hunter2"}}"#;
    let parsed = read(json);
    assert!(parsed.findings.len() >= 16, "{}", said(&parsed));
    assert!(
        !format!("{parsed:?}{}", said(&parsed)).contains("hunter2"),
        "{}",
        said(&parsed)
    );
}

proptest::proptest! {
    /// Whatever their values, all params that FreeSWITCH reads are checked, with short findings.
    #[test]
    fn any_values_are_checked(values in proptest::collection::vec("[ -~顶\u{200b}é１]{0,24}|(sip:)?[a-z@]{0,3}[0-9.:\\[\\]]{0,12}[;=:a-z]{0,12}|[$%{}a-z(){} \\\\]{0,16}", 34)) {
        let names = trunkd::gateway::params::PARAMS.iter().map(|spec| spec.name.to_owned());
        let params: serde_json::Map<_, _> = names.zip(values.iter().cloned().map(serde_json::Value::from)).collect();
        let variables = serde_json::json!({"p:a": values[0], "hold_music": values[1], "transfer_on_fail": values[2]});
        let parsed = read(&serde_json::json!({"param": params, "variables": variables}).to_string());
        proptest::prop_assert!(parsed.findings.len() < 80);
        for finding in &parsed.findings {
            proptest::prop_assert!(finding.to_string().len() < 500, "{finding}");
            proptest::prop_assert_eq!(finding.to_string().lines().count(), 1);
        }
        proptest::prop_assert_eq!(
            parsed.gateway.is_none(),
            parsed.findings.iter().any(|finding| finding.severity == Severity::Error)
        );
    }
}
