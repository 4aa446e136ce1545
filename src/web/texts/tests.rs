use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use super::*;

const ENGLISH_SOURCE: &str = include_str!("en.ftl");
const CHINESE_SOURCE: &str = include_str!("zh.ftl");

/// The ids of a catalog, in order.
fn ids(source: &str) -> Vec<&str> {
    let is_entry = |line: &&str| line.starts_with(|c: char| c.is_ascii_lowercase());
    let entries = source.lines().filter(is_entry);
    entries.filter_map(|line| Some(line.split_once(" =")?.0)).collect()
}

/// The variables that a catalog's message uses.
fn variables(source: &str, id: &str) -> BTreeSet<String> {
    let start = source.find(&format!("{id} =")).expect("the id");
    let rest = &source[start..];
    let end = rest.find("\n\n").unwrap_or(rest.len());
    let message: String = rest[..end]
        .lines()
        .enumerate()
        .take_while(|(at, line)| *at == 0 || line.starts_with([' ', '}']))
        .map(|(_, line)| line)
        .collect();
    message
        .split('$')
        .skip(1)
        .map(|after| after.chars().take_while(char::is_ascii_alphanumeric).collect())
        .collect()
}

/// The text of every page and of the code behind it.
pub(in crate::web) fn sources() -> Vec<String> {
    let mut found = Vec::new();
    read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src/web"), &mut found);
    found
}

fn read(folder: &Path, found: &mut Vec<String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let is_source = path.extension().is_some_and(|kind| kind == "rs" || kind == "html");
        if path.is_dir() {
            read(&path, found);
        } else if is_source && !path.ends_with("tests.rs") {
            found.push(fs::read_to_string(path).unwrap());
        }
    }
}

#[test]
fn both_catalogs_are_well_formed() {
    for source in [ENGLISH_SOURCE, CHINESE_SOURCE] {
        let resource = FluentResource::try_new(source.to_owned());
        assert!(resource.is_ok(), "{:?}", resource.err().map(|(_, errors)| errors));
        let unique: BTreeSet<_> = ids(source).into_iter().collect();
        assert_eq!(unique.len(), ids(source).len(), "an id stands twice");
    }
}

#[test]
fn both_catalogs_have_the_same_texts_with_the_same_values() {
    assert_eq!(ids(ENGLISH_SOURCE), ids(CHINESE_SOURCE));
    for id in ids(ENGLISH_SOURCE) {
        assert_eq!(variables(ENGLISH_SOURCE, id), variables(CHINESE_SOURCE, id), "{id}");
    }
}

#[test]
fn every_text_that_is_asked_for_is_there_and_every_one_is_used() {
    let all = sources().concat();
    let quoted: BTreeSet<&str> = all.split('"').collect();
    let unused: Vec<_> = ids(ENGLISH_SOURCE)
        .into_iter()
        .filter(|id| !quoted.contains(id))
        .collect();
    assert!(unused.is_empty(), "nobody uses {unused:?}");
    let known: BTreeSet<_> = ids(ENGLISH_SOURCE).into_iter().collect();
    for call in ["t.get(\"", "t.count(\"", "t.with(\"", "t.fill(\""] {
        for after in all.split(call).skip(1) {
            let id = after.split('"').next().unwrap();
            assert!(known.contains(id), "there is no text {id:?}");
        }
    }
}

#[test]
fn numbers_and_values_stand_in_the_text() {
    let (en, zh) = (Texts(Language::En), Texts(Language::Zh));
    assert_eq!(en.count("total", 1), "1 gateway");
    assert_eq!(en.count("total", 4211), "4211 gateways");
    assert_eq!(zh.count("total", 4211), "共 4211 个网关");
    assert_eq!(
        en.with("away-as-of", "08:15:38 UTC"),
        "Redis can't be reached, and nothing can be changed. This is the state as of 08:15:38 UTC"
    );
}
