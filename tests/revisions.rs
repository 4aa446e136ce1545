//! The revisions of gateways, pinned for ever.
//!
//! A gateway whose revision changes with a new release is restarted on every switch of every fleet. If
//! this test fails, the form that revisions are made of was changed: change it back. A new param needs a
//! field of its own there, written only where it is set.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::BTreeMap;

use serde::Deserialize;
use trunkd::gateway::{ProfileFacts, ProfileName, RevisionKey, Rules, parse, revision};

#[derive(Deserialize)]
struct Pinned {
    name: String,
    revision: String,
    value: serde_json::Value,
}

fn rules() -> Rules {
    let external = ProfileName::parse("external").unwrap();
    Rules::new(external.clone(), [(external, ProfileFacts::default())].into())
}

#[test]
fn revisions_are_the_same_in_every_release() {
    let pinned: Vec<Pinned> = serde_json::from_str(include_str!("fixtures/revisions.json")).unwrap();
    assert_eq!(pinned.len(), 50);
    let key = RevisionKey::new(std::array::from_fn(|i| u8::try_from(i).unwrap()));
    let mut changed = BTreeMap::new();
    for one in &pinned {
        let value = one.value.to_string();
        let parsed = parse("acme", one.name.as_bytes(), value.as_bytes(), &rules());
        let gateway = parsed
            .gateway
            .unwrap_or_else(|| panic!("{}: {:?}", one.name, parsed.findings));
        let now = revision(&gateway, &key);
        if now != one.revision {
            changed.insert(&one.name, now);
        }
    }
    assert!(changed.is_empty(), "these would restart: {changed:#?}");
}
