//! Templates and gateways → document, held against a model of FreeSWITCH's preprocessor and parser.

#![allow(clippy::unwrap_used)]

#[path = "support/fs_xml.rs"]
#[allow(dead_code, unreachable_pub)]
mod fs_xml;
#[path = "support/nasty.rs"]
#[allow(unreachable_pub)]
mod nasty;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::OnceLock;

use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use trunkd::gateway::{
    Desired, Direction, GatewayName, ProfileName, REVISION_VARIABLE, RawDomain, RawDomains, Severity, parse,
};
use trunkd::sofia_conf::{GatewayQuery, NOT_FOUND, Query, RevisionKey, Templates, revision};

use nasty::text;

const KEY: RevisionKey = RevisionKey::new([7; 32]);

/// The templates that come with trunkd.
fn shipped() -> Templates {
    Templates::load(Path::new("templates")).unwrap()
}

/// Small templates with a profile of everything that FreeSWITCH acts on.
fn small() -> &'static Templates {
    static TEMPLATES: OnceLock<Templates> = OnceLock::new();
    TEMPLATES.get_or_init(|| {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("sip_profiles")).unwrap();
        let write = |name: &str, text: &str| fs::write(dir.path().join(name), text).unwrap();
        write("sofia.conf.xml", "<configuration name=\"sofia.conf\">\n<profiles/>\n</configuration>\n");
        write(
            "sip_profiles/external.xml",
            "<include>\n<profile name=\"external\">\n  <gateways>\n    <X-PRE-PROCESS cmd=\"include\" data=\"sip_profiles/external/*.xml\"/>\n  </gateways>\n  <settings>\n    <param name=\"sip-ip\" value=\"$${local_ip_v4}\"/>\n  </settings>\n</profile>\n</include>\n",
        );
        write("sip_profiles/x-pre-process.xml", "<profile name=\"secure\"><settings><param name=\"tls\" value=\"yes\"/></settings></profile>\n");
        Templates::load(dir.path()).unwrap()
    })
}

fn desired(templates: &Templates, domains: &[(&str, &[(&str, &str)])]) -> Desired {
    let raw: RawDomains = domains
        .iter()
        .map(|(domain, fields)| {
            let fields = fields
                .iter()
                .map(|(name, json)| (name.as_bytes().to_vec(), json.as_bytes().to_vec()));
            ((*domain).to_owned(), RawDomain::hash(fields))
        })
        .collect();
    build(templates, &raw)
}

fn build(templates: &Templates, raw: &RawDomains) -> Desired {
    let rules = templates.rules(&ProfileName::parse("external").unwrap()).unwrap();
    Desired::build(raw, &rules, None)
}

fn query<'a>(profile: Option<&'a str>, gateway: GatewayQuery<'a>) -> Query<'a> {
    Query {
        profile,
        gateway,
        node: None,
    }
}

/// What the operators of the snapshots have: the original documentation's gateway, one for another
/// profile and switch, one that is disabled, and one that is refused.
fn example(templates: &Templates) -> Desired {
    desired(
        templates,
        &[(
            "acme",
            &[
                ("gw_ok", include_str!("recordings/seed/gateway.json")),
                (
                    "phones-out",
                    r#"{"profile":"internal","nodes":["fs1"],"param":{"register":false,"realm":"10.0.0.9","ping":25},
                        "variables":{"absolute_codec_string":"PCMA,PCMU","p:caller_id_number":{"value":1001,"direction":"outbound"}}}"#,
                ),
                (
                    "resting",
                    r#"{"enabled":false,"param":{"register":false,"realm":"10.0.0.9"}}"#,
                ),
                ("broken", r#"{"param":{"username":"u"}}"#),
            ],
        )],
    )
}

/// FreeSWITCH uses the settings of this answer alone, and asks for each profile's gateways right after it. Its parser
/// takes longer for each gateway the more there are.
#[test]
fn at_start_up_freeswitch_gets_all_profiles_without_our_gateways() {
    let templates = shipped();
    let document = templates
        .document(&example(&templates), &KEY, &query(None, GatewayQuery::None))
        .unwrap();
    assert_eq!(gateways(&read(&document)), [""; 0]);
    let asked_for = |node| Query {
        node,
        ..query(None, GatewayQuery::None)
    };
    for node in [None, Some("fs1"), Some("fs2")] {
        let of_node = templates
            .document(&example(&templates), &KEY, &asked_for(node))
            .unwrap();
        assert_eq!(of_node, document, "it is the same for every switch");
    }
    insta::assert_snapshot!("startup_all_profiles", document);
}

#[test]
fn one_profile_comes_with_its_settings_and_the_global_ones() {
    let templates = shipped();
    let document = templates
        .document(&example(&templates), &KEY, &query(Some("internal"), GatewayQuery::None))
        .unwrap();
    insta::assert_snapshot!("startup_one_profile", document);
}

#[test]
fn startgw_gets_that_gateway_alone() {
    let templates = shipped();
    let document = templates
        .document(
            &example(&templates),
            &KEY,
            &query(Some("external"), GatewayQuery::One("gw_ok")),
        )
        .unwrap();
    insta::assert_snapshot!("startgw", document);
}

#[test]
fn startgw_all_gets_every_gateway_of_the_profile() {
    let templates = shipped();
    let document = templates
        .document(&example(&templates), &KEY, &query(Some("external"), GatewayQuery::All))
        .unwrap();
    insta::assert_snapshot!("startgw_all", document);
}

#[test]
fn what_trunkd_does_not_serve_is_not_found() {
    insta::assert_snapshot!("not_found", NOT_FOUND);
    let seen = read(NOT_FOUND);
    assert_eq!(
        seen.child("section")
            .and_then(|s| s.child("result"))
            .and_then(|r| r.attribute("status")),
        Some("not found")
    );
}

#[test]
fn nasty_values_arrive_and_nothing_else_happens() {
    let json = r#"{"param": {"register": false, "realm": "$${domain}", "proxy": "<?xml?> <include> </include>", "from-user": "X-PRE-PROCESS",
        "password": "\"'&<>\\ &#36; &amp;", "context": "<X-PRE-PROCESS cmd=\"exec\" data=\"id\"/>", "x-pre-process": "x-Pre-Process"},
        "variables": {"<!--#exec cmd=\"id\" -->": "-->", "a-b.example.net": "${sip_to_user}", "顶顶通": "顶顶通密码 😀", "$$$${x}": "$$$${x}$"}}"#;
    let templates = small();
    let desired = desired(templates, &[("acme", &[("x-pre-process", json)])]);
    let document = templates
        .document(
            &desired,
            &KEY,
            &query(Some("external"), GatewayQuery::One("x-pre-process")),
        )
        .unwrap();
    insta::assert_snapshot!("nasty_values", document);
    let seen = fs_xml::preprocess(document.as_bytes(), &globals());
    assert_eq!(
        (seen.executed, seen.dropped_lines, seen.expanded_globals),
        (vec![], vec![], vec![])
    );
}

#[test]
fn a_profile_without_a_template_is_not_found() {
    let templates = shipped();
    let desired = example(&templates);
    for gateway in [GatewayQuery::None, GatewayQuery::One("gw_ok"), GatewayQuery::All] {
        assert_eq!(templates.document(&desired, &KEY, &query(Some("nope"), gateway)), None);
        assert_eq!(templates.document(&desired, &KEY, &query(Some(""), gateway)), None);
    }
}

#[test]
fn freeswitch_compares_profile_names_in_any_case() {
    let templates = shipped();
    let desired = example(&templates);
    let document = |name| {
        templates
            .document(&desired, &KEY, &query(Some(name), GatewayQuery::None))
            .unwrap()
    };
    assert_eq!(document("EXTERNAL"), document("external"));
}

#[test]
fn a_gateway_is_served_on_its_profile_and_its_nodes_only() {
    let templates = shipped();
    let desired = example(&templates);
    let names = |profile, gateway, node| {
        let query = Query { profile, gateway, node };
        gateways(&read(&templates.document(&desired, &KEY, &query).unwrap()))
    };
    assert_eq!(
        names(Some("external"), GatewayQuery::None, Some("fs1")),
        ["external/gw_ok"]
    );
    assert_eq!(
        names(Some("internal"), GatewayQuery::None, None),
        ["internal/phones-out"]
    );
    assert_eq!(
        names(Some("internal"), GatewayQuery::None, Some("fs1")),
        ["internal/phones-out"]
    );
    assert_eq!(names(Some("internal"), GatewayQuery::None, Some("fs2")), [""; 0]);
    assert_eq!(
        names(Some("internal"), GatewayQuery::All, Some("fs1")),
        ["internal/phones-out"]
    );
    assert_eq!(
        names(Some("internal"), GatewayQuery::One("phones-out"), Some("fs1")),
        ["internal/phones-out"]
    );
    assert_eq!(
        names(Some("internal"), GatewayQuery::One("phones-out"), Some("fs2")),
        [""; 0]
    );
    assert_eq!(
        names(Some("external"), GatewayQuery::One("phones-out"), Some("fs1")),
        [""; 0]
    );
    // without a profile, as `render --gateway` asks
    assert_eq!(
        names(None, GatewayQuery::One("phones-out"), None),
        ["internal/phones-out"]
    );
    assert_eq!(
        names(None, GatewayQuery::All, None),
        ["external/gw_ok", "internal/phones-out"]
    );
    for name in ["resting", "broken", "nope", "_all_", "<x>"] {
        assert_eq!(names(Some("external"), GatewayQuery::One(name), None), [""; 0]);
    }
}

#[test]
fn the_profiles_alone_are_what_freeswitch_keeps_on_disk() {
    let templates = shipped();
    let alone = templates.without_gateways();
    // Where FreeSWITCH includes it, there is a section around it already.
    let on_disk = format!(
        "<document type=\"freeswitch/xml\">\n<section name=\"configuration\">\n{alone}</section>\n</document>\n"
    );
    assert_eq!(gateways(&read(&on_disk)), [""; 0]);
    let empty = templates
        .document(&Desired::default(), &KEY, &query(None, GatewayQuery::None))
        .unwrap();
    assert_eq!(on_disk, empty);
    let document = alone;
    for profile in ["external", "internal"] {
        let file = fs::read_to_string(format!("templates/sip_profiles/{profile}.xml")).unwrap();
        assert!(document.contains(&file), "{profile}.xml passes through byte for byte");
    }
}

#[test]
fn the_profiles_that_come_with_trunkd_are_whole_after_freeswitchs_preprocessor() {
    let templates = shipped();
    let document = templates
        .document(&example(&templates), &KEY, &query(None, GatewayQuery::None))
        .unwrap();
    let seen = fs_xml::preprocess(document.as_bytes(), &globals());
    assert_eq!(seen.dropped_lines, [""; 0]);
    assert_eq!(
        seen.executed,
        ["include LEAKED/sip_profiles/external/*.xml"],
        "of every template, this is the one directive"
    );
    let profiles = profiles(&fs_xml::parse(&seen.text).unwrap());
    for (name, profile) in [("external", &profiles[0]), ("internal", &profiles[1])] {
        assert_eq!(profile.attribute("name"), Some(name));
        let settings = profile.child("settings").unwrap();
        let port = settings
            .child_where("param", "name", "sip-port")
            .and_then(|p| p.attribute("value"));
        assert!(port.is_some() && settings.children_named("param").count() > 25);
    }
}

#[test]
fn the_revision_changes_with_what_is_rendered_and_with_the_key_alone() {
    let templates = small();
    let rules = templates.rules(&ProfileName::parse("external").unwrap()).unwrap();
    let revision = |json: &str, key: &RevisionKey| {
        let gateway = parse("acme", b"gw", json.as_bytes(), &rules).gateway.unwrap();
        revision(&gateway, key)
    };
    let base = r#"{"param":{"register":false,"realm":"r","proxy":"p"},"variables":{"a":"1","b":"2"}}"#;
    let same = [
        r#"{"variables":{"b":"2","a":"1"},"params":{"proxy":"p","realm":"r","register":"false"}}"#,
        r#"{"param":{"register":"","realm":"r","proxy":"p","from-user":""},"variables":{"a":1,"b":{"value":2}},"nodes":["fs1"],"note":1}"#,
    ];
    for json in same {
        assert_eq!(revision(json, &KEY), revision(base, &KEY), "{json}");
    }
    let other = [
        r#"{"param":{"register":false,"realm":"r","proxy":"q"},"variables":{"a":"1","b":"2"}}"#,
        r#"{"param":{"register":false,"realm":"r","proxy":"p"},"variables":{"a":"1","b":{"value":"2","direction":"inbound"}}}"#,
        r#"{"param":{"register":false,"realm":"r","proxy":"p"},"variables":{"a":"1"}}"#,
        r#"{"param":{"register":false,"realm":"r","proxy":"p"}}"#,
    ];
    for json in other {
        assert_ne!(revision(json, &KEY), revision(base, &KEY), "{json}");
    }
    let revised = revision(base, &KEY);
    assert!(revised.len() == 32 && revised.bytes().all(|b| b.is_ascii_hexdigit()));
    assert_ne!(revision(base, &RevisionKey::new([8; 32])), revised);
}

#[test]
fn a_document_holds_the_revision_and_debug_output_no_secret() {
    let templates = small();
    let desired = desired(
        templates,
        &[("acme", &[("gw_ok", include_str!("recordings/seed/gateway.json"))])],
    );
    let query = query(Some("external"), GatewayQuery::One("gw_ok"));
    let document = templates.next_document(&desired, &KEY, &query, None).unwrap();
    let revision = revision(&desired.get("gw_ok").unwrap().gateway, &KEY);
    assert!(document.text().to_string().contains(&revision));
    assert!(document.text().to_string().contains("mytrunk@ddt"));
    assert!(!format!("{document:?}{desired:?}{KEY:?}").contains("mytrunk@ddt"));
    assert_eq!(format!("{KEY:?}"), "RevisionKey(redacted)");
}

#[test]
fn a_key_is_read_back_from_its_hexadecimal_form() {
    let key = RevisionKey::new(std::array::from_fn(|i| u8::try_from(i * 8).unwrap()));
    let hex = key.to_hex();
    assert_eq!(hex.len(), 64);
    assert_eq!(RevisionKey::from_hex(&hex), Ok(key.clone()));
    assert_eq!(RevisionKey::from_hex(&hex.to_uppercase()), Ok(key));
    for bad in [
        "",
        "00",
        &hex[1..],
        &format!("{hex}0"),
        &format!("g{}", &hex[1..]),
        &format!("+{}", &hex[1..]),
        &"é".repeat(32),
    ] {
        assert!(RevisionKey::from_hex(bad).is_err(), "{bad}");
    }
}

/// What FreeSWITCH reads of a document.
fn read(document: &str) -> fs_xml::Element {
    fs_xml::parse(&fs_xml::preprocess(document.as_bytes(), &globals()).text).unwrap()
}

fn globals() -> BTreeMap<String, String> {
    let names = ["conf_dir", "local_ip_v4", "domain", "x", "a", "password", ""];
    names.map(|name| (name.to_owned(), "LEAKED".to_owned())).into()
}

fn profiles(document: &fs_xml::Element) -> Vec<fs_xml::Element> {
    let configuration = document
        .child_where("section", "name", "configuration")
        .and_then(|section| section.child_where("configuration", "name", "sofia.conf"));
    let profiles = configuration
        .and_then(|configuration| configuration.child("profiles"))
        .unwrap();
    profiles.children_named("profile").cloned().collect()
}

/// `profile/gateway` of every gateway of a document.
fn gateways(document: &fs_xml::Element) -> Vec<String> {
    let mut names = Vec::new();
    for profile in profiles(document) {
        for gateway in profile
            .child("gateways")
            .into_iter()
            .flat_map(|g| g.children_named("gateway"))
        {
            names.push(format!(
                "{}/{}",
                profile.attribute("name").unwrap(),
                gateway.attribute("name").unwrap()
            ));
        }
    }
    names
}

/// A gateway as it was asked for or as FreeSWITCH reads it: params, and variables with the calls that get them.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Seen {
    params: BTreeMap<String, String>,
    variables: BTreeMap<String, (String, Direction)>,
}

impl Seen {
    /// As `parse_gateways` reads a `<gateway>` (FACTS 16).
    fn of(gateway: &fs_xml::Element) -> Seen {
        let attribute = |element: &fs_xml::Element, name| element.attribute(name).unwrap().to_owned();
        let params = gateway.children_named("param");
        let params: Vec<_> = params.map(|p| (attribute(p, "name"), attribute(p, "value"))).collect();
        let variables = gateway.child("variables").unwrap();
        let variables: Vec<_> = variables
            .children_named("variable")
            .map(|v| {
                let direction = match v.attribute("direction") {
                    None => Direction::Both,
                    Some("inbound") => Direction::Inbound,
                    Some("outbound") => Direction::Outbound,
                    Some(other) => panic!("direction {other}"),
                };
                (attribute(v, "name"), (attribute(v, "value"), direction))
            })
            .collect();
        let seen = Seen {
            params: params.iter().cloned().collect(),
            variables: variables
                .iter()
                .filter(|(name, _)| name != REVISION_VARIABLE)
                .cloned()
                .collect(),
        };
        assert_eq!(
            (seen.params.len(), seen.variables.len() + 1),
            (params.len(), variables.len()),
            "each name once"
        );
        let (_, (revision, direction)) = variables.iter().find(|(name, _)| name == REVISION_VARIABLE).unwrap();
        assert!(revision.len() == 32 && *direction == Direction::Inbound);
        seen
    }

    /// What an operator may expect of what he wrote: empty params are not set, an empty `register` is false.
    fn expected(&self) -> Seen {
        let mut expected = self.clone();
        if let Some(register) = expected.params.get_mut("register").filter(|value| value.is_empty()) {
            *register = "false".to_owned();
        }
        expected.params.retain(|_, value| !value.is_empty());
        expected
    }

    fn json(&self) -> String {
        let variables: serde_json::Map<_, _> = self
            .variables
            .iter()
            .map(|(name, (value, direction))| {
                let value = match direction {
                    Direction::Both => serde_json::json!(value),
                    Direction::Inbound => serde_json::json!({"value": value, "direction": "inbound"}),
                    Direction::Outbound => serde_json::json!({"direction": "outbound", "value": value}),
                };
                (name.clone(), value)
            })
            .collect();
        serde_json::json!({"param": self.params, "variables": variables}).to_string()
    }
}

fn name() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => "[A-Za-z0-9_.-]{1,6}",
        2 => prop::sample::select(&["x-pre-process", "X-PRE-PROCESS", "_all_", "_ALL_", "include", "x-p"][..]).prop_map(str::to_owned),
        1 => text(true),
    ]
}

fn seen() -> impl Strategy<Value = Seen> {
    let known = prop::sample::select(
        &[
            "realm",
            "proxy",
            "username",
            "password",
            "from-user",
            "context",
            "contact-params",
        ][..],
    );
    let param = prop_oneof![2 => known.prop_map(str::to_owned), 1 => text(false)];
    let direction = prop::sample::select(&[Direction::Both, Direction::Inbound, Direction::Outbound][..]);
    (
        btree_map(
            param,
            (text(false), text(true)).prop_flat_map(|(good, bad)| prop_oneof![19 => Just(good), 1 => Just(bad)]),
            0..5,
        ),
        btree_map(text(false), (text(false), direction), 0..4),
        prop_oneof![8 => Just("false"), 1 => Just(""), 1 => Just("true")],
    )
        .prop_map(|(mut params, variables, register)| {
            params.insert("register".to_owned(), register.to_owned());
            Seen { params, variables }
        })
}

/// Pieces of profile files, as operators and FreeSWITCH's authors write them, on one line or several.
fn profile_file() -> impl Strategy<Value = String> {
    const DIRECTIVE: &str = "<X-PRE-PROCESS cmd=\"set\" data=\"x=1\"/>";
    const COMMENTS: [&str; 6] = [
        "<!-- <gateways> -->",
        "<!--#set x=1 -->",
        "<!-- x -- y -->",
        "<!-- \n -->",
        "<!-- <?pi?>\n-->",
        "<!--->-->",
    ];
    const PIECES: [&str; 12] = [
        "\n",
        "\n",
        "\r\n",
        " ",
        "\t",
        "text",
        "<aliases/>",
        "<?pi?>",
        "<a b=\"<include>\"/>",
        "<a b=\"$${x}\"/>",
        "&amp;",
        DIRECTIVE,
    ];
    let filler = || {
        let piece = prop_oneof![8 => prop::sample::select(&PIECES[..]), 2 => prop::sample::select(&COMMENTS[..])];
        vec(piece, 0..4).prop_map(|pieces| pieces.concat())
    };
    let gateways = prop_oneof![
        2 => Just("<gateways/>".to_owned()),
        1 => Just(String::new()),
        4 => (filler(), filler()).prop_map(|(a, b)| format!("<gateways>{a}<gateway name=\"own\"/>{b}</gateways>")),
        4 => filler().prop_map(|a| format!("<gateways>{a}</gateways>")),
    ];
    let profile = (filler(), gateways, filler(), filler(), filler()).prop_map(|(a, gateways, b, c, d)| {
        format!("<profile name=\"a\">{a}{gateways}{b}<settings>{c}</settings>{d}</profile>")
    });
    (
        prop::sample::select(
            &[
                "",
                "",
                "\u{FEFF}",
                "<?xml version=\"1.0\"?>",
                "<?xml version=\"1.0\"?>\n",
            ][..],
        ),
        filler(),
        profile,
        filler(),
        any::<bool>(),
    )
        .prop_map(|(start, a, profile, b, wrapped)| {
            let (open, close) = if wrapped { ("<include>", "</include>") } else { ("", "") };
            format!("{start}{open}{a}{profile}{b}{close}")
        })
}

#[test]
fn a_document_shares_with_the_one_before_what_did_not_change() {
    let templates = shipped();
    let state = |changed: u32| {
        let fields = (0..500).map(|number| {
            let realm = if number == changed { "other" } else { "same" };
            let value =
                format!(r#"{{"param":{{"register":"false","realm":"{realm}"}},"variables":{{"v":"{number:0500}"}}}}"#);
            (format!("gw{number:03}").into_bytes(), value.into_bytes())
        });
        let raw: RawDomains = [("acme".to_owned(), RawDomain::hash(fields))].into();
        build(&templates, &raw)
    };
    let query = query(Some("external"), GatewayQuery::None);
    let before = templates.next_document(&state(7), &KEY, &query, None).unwrap();
    let next = templates
        .next_document(&state(350), &KEY, &query, Some(&before))
        .unwrap();
    let is_there = |piece: &&bytes::Bytes| {
        before
            .text()
            .pieces()
            .iter()
            .any(|known| known.as_ptr() == piece.as_ptr())
    };
    let pieces = next.text().pieces();
    assert!(pieces.len() > 4, "{:?}", next.text());
    assert_eq!(pieces.iter().filter(is_there).count(), pieces.len() - 2);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever changes between two states, and whichever gateways come, go or move to another profile.
    #[test]
    fn a_document_made_from_the_one_before_is_the_one_that_is_written_anew(
        states in vec(btree_map(0u8..8, (0u8..3, any::<bool>(), any::<bool>()), 0..8), 1..6),
        gateway in prop_oneof![Just(GatewayQuery::None), Just(GatewayQuery::All)],
        profile in prop_oneof![Just(None), Just(Some("external"))],
        node in prop_oneof![Just("fs1"), Just("fs2")],
    ) {
        let templates = shipped();
        let query = Query { node: Some(node), ..query(profile, gateway) };
        let (mut desired, mut before) = (None, None);
        for state in states {
            let fields = state.iter().map(|(name, (realm, is_internal, is_for_one))| {
                let profile = if *is_internal { "internal" } else { "external" };
                let nodes = if *is_for_one { r#"["fs1"]"# } else { "null" };
                // Long ones, so that they do not all fit one block.
                let long = "a".repeat(if name % 2 == 0 { 40_000 } else { 100 });
                let value = format!(
                    r#"{{"param":{{"register":"false","realm":"{realm}"}},"profile":"{profile}","nodes":{nodes},"variables":{{"long":"{long}"}}}}"#
                );
                (format!("gw{name}").into_bytes(), value.into_bytes())
            });
            let raw: RawDomains = [("acme".to_owned(), RawDomain::hash(fields))].into();
            let rules = templates.rules(&ProfileName::parse("external").unwrap()).unwrap();
            let now = Desired::build(&raw, &rules, desired.as_ref());
            let next = templates.next_document(&now, &KEY, &query, before.as_ref()).unwrap();
            let anew = templates.document(&now, &KEY, &query).unwrap();
            prop_assert_eq!(next.text().to_string(), anew);
            (desired, before) = (Some(now), Some(next));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_value_arrives_exactly_or_its_gateway_is_reported(wanted in btree_map(name(), seen(), 1..4)) {
        let templates = small();
        let fields = wanted.iter().map(|(name, seen)| (name.as_bytes().to_vec(), seen.json().into_bytes()));
        let raw: RawDomains = [("acme".to_owned(), RawDomain::hash(fields))].into();
        let desired = build(templates, &raw);

        let errors = desired.findings().iter().filter(|f| f.severity == Severity::Error);
        let reported = errors.map(|f| f.gateway.clone()).collect::<std::collections::BTreeSet<_>>();
        let expected: BTreeMap<String, Seen> =
            wanted.iter().filter(|(name, _)| desired.get(name).is_some()).map(|(name, seen)| (name.clone(), seen.expected())).collect();
        let refused = wanted.len() - expected.len();
        prop_assert!(reported.len() == refused || refused > 1, "each gateway is served or reported: {:?}", desired.findings());
        for (name, _) in wanted.iter().filter(|(name, _)| !expected.contains_key(*name)) {
            if GatewayName::parse(name).is_ok() {
                prop_assert!(reported.contains(&Some(name.clone())), "{name:?}");
            }
        }

        let empty = Desired::default();
        let at_start_up = query(None, GatewayQuery::None);
        prop_assert_eq!(templates.document(&desired, &KEY, &at_start_up), templates.document(&empty, &KEY, &at_start_up));
        let mut queries = vec![query(Some("external"), GatewayQuery::None), query(Some("external"), GatewayQuery::All)];
        queries.extend(wanted.keys().map(|name| query(Some("external"), GatewayQuery::One(name))));
        for query in queries {
            let document = templates.document(&desired, &KEY, &query).unwrap();
            let seen = fs_xml::preprocess(document.as_bytes(), &globals());
            prop_assert_eq!(&seen.dropped_lines, &[""; 0]);
            // What happens is what happens without our gateways: what the template says.
            let alone = fs_xml::preprocess(templates.document(&empty, &KEY, &query).unwrap().as_bytes(), &globals());
            if !matches!(query.gateway, GatewayQuery::One(_)) {
                prop_assert_eq!(&seen.executed, &alone.executed);
                prop_assert_eq!(&seen.expanded_globals, &alone.expanded_globals);
            }
            let only = match query.gateway {
                GatewayQuery::One(name) => {
                    let served = expected.contains_key(name);
                    prop_assert_eq!(seen.executed.len(), usize::from(!served));
                    prop_assert_eq!(&seen.expanded_globals, &[""; 0]);
                    Some(name)
                }
                _ => None,
            };
            let root = fs_xml::parse(&seen.text).map_err(TestCaseError::fail)?;
            let external = profiles(&root).into_iter().find(|p| p.attribute("name") == Some("external")).unwrap();
            let gateways = external.child("gateways").unwrap();
            prop_assert_eq!(external.children_named("gateways").count(), 1);
            prop_assert_eq!(external.child("settings").is_some(), query.gateway == GatewayQuery::None);
            let got: BTreeMap<String, Seen> = gateways
                .children_named("gateway")
                .map(|gateway| (gateway.attribute("name").unwrap().to_owned(), Seen::of(gateway)))
                .collect();
            let want: BTreeMap<String, Seen> =
                expected.iter().filter(|(name, _)| only.is_none_or(|only| only == *name)).map(|(n, s)| (n.clone(), s.clone())).collect();
            prop_assert_eq!(gateways.children.len(), want.len());
            prop_assert_eq!(got, want);
        }
    }

    /// Whatever a template file is, it is refused, or our gateway arrives with the profile around it.
    #[test]
    fn no_template_that_is_taken_costs_a_gateway(file in profile_file()) {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("sip_profiles")).unwrap();
        fs::write(dir.path().join("sofia.conf.xml"), "<configuration name=\"sofia.conf\"><profiles></profiles></configuration>").unwrap();
        fs::write(dir.path().join("sip_profiles/a.xml"), &file).unwrap();
        fs::write(dir.path().join("sip_profiles/b.xml"), "<profile name=\"b\"/>").unwrap();
        let Ok(templates) = Templates::load(dir.path()) else { return Ok(()) };
        let rules = templates.rules(&ProfileName::parse("a").unwrap()).unwrap();
        let raw: RawDomains =
            [("acme".to_owned(), RawDomain::hash([(b"gw".to_vec(), br#"{"param":{"register":false}}"#.to_vec())]))].into();
        let desired = Desired::build(&raw, &rules, None);
        for (query, has_settings, has_ours) in [
            (query(None, GatewayQuery::None), true, false),
            (query(Some("a"), GatewayQuery::None), true, true),
            (query(Some("a"), GatewayQuery::All), false, true),
            (query(Some("a"), GatewayQuery::One("gw")), false, true),
        ] {
            let document = templates.document(&desired, &KEY, &query).unwrap();
            let seen = fs_xml::preprocess(document.as_bytes(), &globals());
            let root = fs_xml::parse(&seen.text).map_err(|error| TestCaseError::fail(format!("{error}\n{document}")))?;
            let found = profiles(&root);
            prop_assert_eq!(found.len(), if query.profile.is_some() { 1 } else { 2 }, "{}", document);
            let gateways: Vec<_> = found[0].child("gateways").into_iter().flat_map(|all| all.children_named("gateway")).collect();
            let ours = gateways.iter().any(|gateway| gateway.attribute("name") == Some("gw"));
            prop_assert_eq!(ours, has_ours, "{}", document);
            // What FreeSWITCH loses of the settings, there was a warning about.
            let settings = found[0].child("settings").is_some();
            prop_assert!(settings == has_settings || !templates.warnings().is_empty(), "{}", document);
        }
    }
}
