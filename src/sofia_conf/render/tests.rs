use std::collections::BTreeMap;

use proptest::collection::btree_map;
use proptest::prelude::*;

use super::*;
use crate::gateway::{GatewayName, ProfileName};

#[path = "../../../tests/support/fs_xml.rs"]
#[allow(dead_code, unreachable_pub)]
mod fs_xml;
#[path = "../../../tests/support/nasty.rs"]
#[allow(unreachable_pub)]
mod nasty;
use nasty::text;

const KEY: RevisionKey = RevisionKey::new([7; 32]);

fn globals() -> BTreeMap<String, String> {
    let names = ["conf_dir", "local_ip_v4", "domain", "x", "a", "password", ""];
    names.map(|name| (name.to_owned(), "LEAKED".to_owned())).into()
}

/// The `name` and `value` of an element's children, each name once.
fn values(element: &fs_xml::Element, children: &str) -> BTreeMap<String, String> {
    let attribute = |child: &fs_xml::Element, name| child.attribute(name).unwrap().to_owned();
    let all: Vec<_> = element
        .children_named(children)
        .map(|child| (attribute(child, "name"), attribute(child, "value")))
        .collect();
    let by_name: BTreeMap<_, _> = all.iter().cloned().collect();
    assert_eq!(by_name.len(), all.len(), "each name once");
    by_name
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2500, failure_persistence: None, ..ProptestConfig::default() })]

    /// Tests the escaper without `gateway::parse`, which rejects some of these texts. Only NUL can't be carried.
    #[test]
    fn the_escaper_carries_every_text(params in btree_map(text(true), text(true), 0..4), variables in btree_map(text(true), text(true), 0..4)) {
        let carried = |text: &str| text.replace('\0', "\u{FFFD}");
        let distinct = |texts: &BTreeMap<String, String>| {
            let mut names: Vec<_> = texts.keys().map(|name| carried(name)).collect();
            names.sort();
            names.dedup();
            names.len() == texts.len() && !names.iter().any(|name| name == REVISION_VARIABLE)
        };
        prop_assume!(distinct(&params) && distinct(&variables));
        let gateway = Gateway {
            domain: "acme".into(),
            name: GatewayName::parse("x-pre-process").unwrap(),
            profile: ProfileName::parse("external").unwrap(),
            enabled: true,
            nodes: None,
            placement: None,
            carrier: None,
            rollback: true,
            params: params.iter().collect(),
            variables: variables
                .iter()
                .map(|(name, value)| (name, value, Direction::Both))
                .collect(),
        };
        let mut xml = Vec::new();
        write_gateway(&mut xml, &gateway, &KEY, &Carriers::default(), "");
        let seen = fs_xml::preprocess(&xml, &globals());
        prop_assert_eq!(
            (&seen.executed, &seen.dropped_lines, &seen.expanded_globals),
            (&vec![], &vec![], &vec![])
        );
        prop_assert_eq!(String::from_utf8_lossy(&seen.text), String::from_utf8_lossy(&xml));
        let element = fs_xml::parse(&seen.text).map_err(TestCaseError::fail)?;
        prop_assert_eq!(element.attribute("name"), Some("x-pre-process"));
        let expected = |texts: &BTreeMap<String, String>| {
            let texts = texts.iter().map(|(name, value)| (carried(name), carried(value)));
            texts.collect::<BTreeMap<_, _>>()
        };
        prop_assert_eq!(values(&element, "param"), expected(&params));
        let mut got = values(element.child("variables").unwrap(), "variable");
        prop_assert_eq!(got.remove(REVISION_VARIABLE), Some(revision(&gateway, &KEY)));
        prop_assert_eq!(got, expected(&variables));
    }
}
