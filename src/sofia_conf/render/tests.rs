use std::collections::BTreeMap;

use proptest::collection::btree_map;
use proptest::prelude::*;

use super::*;
use crate::gateway::{GatewayName, ProfileName};

/// The model of FreeSWITCH's preprocessor and parser.
#[allow(dead_code, unreachable_pub, reason = "shared with the integration tests")]
#[path = "../../../tests/support/fs_xml.rs"]
mod fs_xml;

/// Pieces that the preprocessor or a parser could act on.
const NASTY: [&str; 22] = [
    "$${x}",
    "$$",
    "$",
    "{x}",
    "<?",
    "<include>",
    "</include>",
    "<!--#set",
    "-->",
    "x-pre-process",
    "X-PRE-PROCESS",
    "x",
    "-",
    "pre",
    "<",
    ">",
    "&",
    "\"",
    "'",
    "\n",
    "\r",
    "\0",
];

fn text() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        6 => prop::sample::select(&NASTY[..]).prop_map(str::to_owned),
        2 => any::<char>().prop_map(|c| c.to_string()),
        2 => "[a-z0-9.:-]{1,8}",
    ];
    prop::collection::vec(piece, 0..6).prop_map(|pieces| pieces.concat())
}

proptest! {
    /// The escaper does not rely on what `gateway::parse` refuses. Only NUL can't be represented.
    #[test]
    fn every_text_arrives(params in btree_map(text(), text(), 0..4), variables in btree_map(text(), text(), 0..4)) {
        let arriving = |text: &str| text.replace('\0', "\u{FFFD}");
        let is_distinct = |texts: &BTreeMap<String, String>| {
            let mut names: Vec<_> = texts.keys().map(|name| arriving(name)).collect();
            names.dedup();
            names.len() == texts.len() && !names.iter().any(|name| name == REVISION_VARIABLE)
        };
        prop_assume!(is_distinct(&params) && is_distinct(&variables));
        let gateway = Gateway {
            domain: "acme".into(),
            name: GatewayName::parse("x-pre-process").unwrap(),
            profile: ProfileName::parse("external").unwrap(),
            enabled: true,
            nodes: None,
            params: params.iter().collect(),
            variables: variables.iter().map(|(name, value)| (name, value, Direction::Both)).collect(),
        };
        let key = RevisionKey::new([7; 32]);
        let mut xml = String::new();
        push_gateway(&mut xml, &gateway, &key, "");
        let globals = ["x", "a", ""].map(|name| (name.to_owned(), "LEAKED".to_owned())).into();
        let seen = fs_xml::preprocess(xml.as_bytes(), &globals);
        prop_assert_eq!(
            (&seen.executed, &seen.dropped_lines, &seen.expanded_globals),
            (&vec![], &vec![], &vec![])
        );
        prop_assert_eq!(String::from_utf8_lossy(&seen.text), xml.as_str());
        let element = fs_xml::parse(&seen.text).map_err(TestCaseError::fail)?;
        prop_assert_eq!(element.attribute("name"), Some("x-pre-process"));
        let read = |element: &fs_xml::Element| {
            let attribute = |name| element.attribute(name).unwrap().to_owned();
            (attribute("name"), attribute("value"))
        };
        let got: BTreeMap<_, _> = element.children_named("param").map(read).collect();
        let expected: BTreeMap<_, _> = params.iter().map(|(name, value)| (arriving(name), arriving(value))).collect();
        prop_assert_eq!(got, expected);
        let got: BTreeMap<_, _> = element.child("variables").unwrap().children_named("variable").map(read).collect();
        let mut expected: BTreeMap<_, _> =
            variables.iter().map(|(name, value)| (arriving(name), arriving(value))).collect();
        expected.insert(REVISION_VARIABLE.to_owned(), revision(&gateway, &key));
        prop_assert_eq!(got, expected);
    }
}
