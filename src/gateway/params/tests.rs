use std::collections::BTreeSet;
use std::fmt::Write as _;

use super::super::variables::VARIABLES;
use super::*;

/// The text between two marks of docs/gateways.md.
fn of_page(mark: &str) -> &'static str {
    let page = include_str!("../../../docs/gateways.md");
    let (_, rest) = page
        .split_once(&format!("<!-- {mark} -->\n"))
        .expect("docs/gateways.md has the mark");
    rest.split_once("<!-- end -->")
        .expect("docs/gateways.md has the end mark")
        .0
}

/// The tables of params that docs/gateways.md must have.
fn params_in_markdown() -> String {
    let mut text = String::new();
    for group in Group::ALL {
        let _ = writeln!(
            text,
            "\n**{}**\n\n| param | what it is for | default | advice |\n| --- | --- | --- | --- |",
            group.title().en
        );
        for spec in PARAMS.iter().filter(|spec| spec.group == group) {
            let _ = writeln!(
                text,
                "| `{}` | {} | {} | {} |",
                spec.name,
                spec.purpose.en,
                spec.default.in_language(Language::En),
                spec.advice.map_or("", |advice| advice.en)
            );
        }
    }
    text.push('\n');
    text
}

fn variables_in_markdown() -> String {
    let mut text = "\n| variable | what it is for | advice |\n| --- | --- | --- |\n".to_owned();
    for spec in VARIABLES {
        let _ = writeln!(text, "| `{}` | {} | {} |", spec.name, spec.purpose.en, spec.advice.en);
    }
    text.push('\n');
    text
}

#[test]
fn the_docs_have_the_catalog() {
    for (mark, expected) in [("params", params_in_markdown()), ("variables", variables_in_markdown())] {
        assert!(
            of_page(mark) == expected,
            "docs/gateways.md between the marks `{mark}` must be:\n{expected}"
        );
    }
}

#[test]
fn every_param_is_there_once_and_under_one_group() {
    let names: BTreeSet<_> = PARAMS.iter().map(|spec| spec.name).collect();
    assert_eq!(names.len(), PARAMS.len());
    assert!(PARAMS.is_sorted_by_key(|spec| spec.group));
    for spec in PARAMS {
        assert_eq!(param(spec.name), Some(&spec));
        for text in [spec.purpose].into_iter().chain(spec.advice) {
            assert!(text.en.ends_with('.') && text.zh.ends_with('。'), "{}", spec.name);
        }
    }
    assert_eq!(param("Realm"), None);
    assert_eq!(PARAMS.iter().filter(|spec| spec.secret).count(), 1);
}

#[test]
fn every_param_is_named_where_its_fact_is_told() {
    let facts = include_str!("../../../docs/freeswitch.md");
    for spec in PARAMS {
        let (_, text) = facts.split_once(&format!("\n{}. ", spec.fact())).unwrap();
        let known = facts.split_once("\n12. ").unwrap().1.split_once("\n13. ").unwrap().0;
        assert!(
            known.contains(&format!("`{}`", spec.name)),
            "{} is not among the params of fact 12",
            spec.name
        );
        assert!(!text.is_empty());
    }
}

#[test]
fn a_default_that_is_a_value_is_one_of_its_kind() {
    for spec in PARAMS {
        let Fallback::Value(value) = spec.default else { continue };
        match spec.kind {
            Kind::Bool => assert!(matches!(value, "true" | "false"), "{}", spec.name),
            Kind::Number(number) => assert!(value.parse::<i32>().unwrap() >= number.least, "{}", spec.name),
            _ => assert!(!value.is_empty()),
        }
        if let Kind::Number(Number {
            below: Below::Takes(instead),
            ..
        }) = spec.kind
        {
            assert_eq!(value, instead.to_string(), "{}", spec.name);
        }
    }
}
