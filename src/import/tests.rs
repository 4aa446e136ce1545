//! Helpers for the tests of every source, and what all sources have in common.

use std::collections::BTreeMap;

use super::*;
use crate::gateway::{ProfileName, Rules};

/// Options that name no domain.
pub(super) fn options() -> Options {
    Options {
        domain: None,
        profiles: ProfileNames::default(),
        globals: Vec::new(),
        rules: Rules::new(ProfileName::parse("external").unwrap(), BTreeMap::new()),
    }
}

pub(super) fn in_domain(domain: &str) -> Options {
    Options {
        domain: Some(domain.to_owned()),
        ..options()
    }
}

/// What was said, a line each: about the source, then about the gateways. Every text is there in both languages.
pub(super) fn said(import: &Import) -> Vec<String> {
    let all = import
        .remarks
        .iter()
        .chain(import.gateways.iter().flat_map(|gateway| &gateway.remarks));
    all.inspect(|remark| {
        remark.reason.check();
        remark.fix.iter().for_each(crate::language::Message::check);
    })
    .map(ToString::to_string)
    .collect()
}

/// `name verdict value`, a line each.
pub(super) fn lines(import: &Import) -> Vec<String> {
    let line = |gateway: &Imported| format!("{} {} {}", gateway.name, gateway.verdict.as_str(), gateway.value);
    import.gateways.iter().map(line).collect()
}

#[track_caller]
pub(super) fn assert_said(import: &Import, expected: &[&str]) {
    let said = said(import);
    assert_eq!(said.len(), expected.len(), "{said:#?}");
    for (said, expected) in said.iter().zip(expected) {
        assert!(said.contains(expected), "{said}\nshould have: {expected}");
    }
}

#[test]
fn a_report_never_shows_a_password() {
    let xml = "<gateway name=\"a\">\n<param name=\"password\" value=\"hunter2 \"/>\n\
               <param name=\"username\" value=\"$${x}hunter2\"/>\n</gateway>";
    let import = fs_xml::import_texts([("a.xml", xml.as_bytes())], &in_domain("acme")).unwrap();
    let shown = format!(
        "{import:?} {} {:?}",
        serde_json::to_string(&import).unwrap(),
        said(&import)
    );
    assert!(shown.contains("has no value") && !shown.contains("hunter2"), "{shown}");
}

#[test]
fn an_error_has_both_languages() {
    for error in [
        sheet::import("x.csv", b"a,b\n", &options()).unwrap_err(),
        sheet::import("x.csv", b"\xff", &options()).unwrap_err(),
        fusionpbx::import("x.sql", b"SELECT 1;", fusionpbx::Naming::Uuid, &options()).unwrap_err(),
        fs_xml::import(&["/no/such/path".into()], &options()).unwrap_err(),
    ] {
        error.reason.check();
        error.fix.check();
    }
}
