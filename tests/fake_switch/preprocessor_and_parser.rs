//! FACTS 8 and 9, statement by statement.

use crate::support::fs_xml::{self, Element, Preprocessed};
use std::collections::BTreeMap;

fn preprocess(document: &str) -> Preprocessed {
    let globals = [("default_password", "s3cret"), ("domain", "sip.example.net")];
    let globals: BTreeMap<_, _> = globals.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    fs_xml::preprocess(document.as_bytes(), &globals)
}

fn text(document: &str) -> String {
    String::from_utf8(preprocess(document).text).unwrap()
}

fn parse(document: &str) -> Element {
    fs_xml::parse(&preprocess(document).text).unwrap()
}

/// The value of `<param value="…"/>` as mod_sofia would read it.
fn value(escaped: &str) -> String {
    parse(&format!(
        "<params>\n  <param name=\"x\" value=\"{escaped}\"/>\n</params>\n"
    ))
    .child("param")
    .and_then(|param| param.attribute("value"))
    .unwrap()
    .to_owned()
}

#[test]
fn a_global_variable_is_expanded_anywhere_and_its_value_leaks() {
    let done = preprocess("<param value=\"pay $${default_password} now\"/>\n<!-- $${domain} -->\n");
    assert_eq!(
        done.text,
        b"<param value=\"pay s3cret now\"/>\n<!-- sip.example.net -->\n"
    );
    assert_eq!(done.expanded_globals, ["default_password", "domain"]);
}

#[test]
fn global_names_are_found_in_any_case_and_an_unknown_one_becomes_nothing() {
    assert_eq!(text("[$${DEFAULT_Password}][$${nope}]\n"), "[s3cret][]\n");
}

#[test]
fn a_brace_inside_a_variable_counts_and_one_that_never_closes_stays() {
    assert_eq!(text("[$${a{b}c}] $${open {\n"), "[] $${open {\n");
    assert_eq!(text("$${open\n"), "$${open\n");
}

#[test]
fn a_dollar_as_a_character_reference_arrives_as_literal_text() {
    assert_eq!(value("&#36;${default_password}"), "$${default_password}");
    assert_eq!(value("$&#36;{default_password}"), "$${default_password}");
}

#[test]
fn one_dollar_is_no_global_variable() {
    assert_eq!(value("${default_password} $x $$y"), "${default_password} $x $$y");
}

#[test]
fn a_line_with_a_processing_instruction_or_an_include_tag_is_dropped_whole() {
    let done = preprocess("<?xml version=\"1.0\"?>\n<include>\n<a>\n</include><b/>\n</a>\n");
    assert_eq!(done.text, b"<a>\n</a>\n");
    assert_eq!(
        done.dropped_lines,
        ["<?xml version=\"1.0\"?>", "<include>", "</include><b/>"]
    );
}

#[test]
fn a_document_on_one_line_with_an_xml_declaration_vanishes() {
    let done = preprocess("<?xml version=\"1.0\"?><document type=\"freeswitch/xml\"></document>\n");
    assert!(done.text.is_empty());
    assert_eq!(fs_xml::parse(&done.text).unwrap_err(), "root tag missing");
}

#[test]
fn include_with_a_space_or_in_capitals_is_no_include_tag() {
    assert_eq!(
        text("<include >\n<INCLUDE>\n<includes>\n"),
        "<include >\n<INCLUDE>\n<includes>\n"
    );
}

#[test]
fn pre_process_letters_drop_the_line_in_any_case_even_inside_a_value() {
    let done = preprocess("<a>\n<param value=\"an x-PRE-process word\"/>\nX-Pre-Process\n</a>\n");
    assert_eq!(done.text, b"<a>\n</a>\n");
    assert_eq!(
        done.dropped_lines,
        ["<param value=\"an x-PRE-process word\"/>", "X-Pre-Process"]
    );
    assert!(done.executed.is_empty());
}

#[test]
fn pre_process_after_a_less_than_is_executed_even_inside_a_value_or_a_comment() {
    let done = preprocess(
        "<param value='<x-pre-process cmd=\"exec\" data=\"id\"/>'/>\n<!-- <X-PRE-PROCESS cmd=\"exec\" data=\"ls -l\"/> -->\n",
    );
    assert_eq!(done.executed, ["exec id", "exec ls -l"]);
    assert!(done.text.is_empty());
}

#[test]
fn set_changes_what_later_lines_see_and_every_directive_is_recorded() {
    let done = preprocess(concat!(
        "[$${mine}]\n",
        "<X-PRE-PROCESS cmd=\"set\" data=\"mine = a${b}\"/>\n",
        "[$${mine}]\n",
        "<X-PRE-PROCESS cmd=\"include\" data=\"external/*.xml\"/>\n",
        "<X-PRE-PROCESS cmd=\"exec-set\" data=\"x=date\"/>\n",
        "<X-PRE-PROCESS cmd=\"stun-set\" data=\"x=stun\"/>\n",
        "<X-PRE-PROCESS cmd=\"env-set\" data=\"x=$HOME\"/>\n",
    ));
    assert_eq!(done.text, b"[]\n[a%{b}]\n");
    let ran = [
        "set mine=a${b}",
        "include external/*.xml",
        "exec-set x=date",
        "stun-set x=stun",
        "env-set x=$HOME",
    ];
    assert_eq!(done.executed, ran);
    assert!(
        done.dropped_lines.is_empty(),
        "a directive alone on its line loses nothing"
    );
}

#[test]
fn a_pre_process_with_a_reference_in_it_is_safe_and_arrives_intact() {
    assert_eq!(value("x-pre&#45;process"), "x-pre-process");
    assert_eq!(
        value("&lt;X&#45;PRE-PROCESS cmd=&quot;exec&quot;"),
        "<X-PRE-PROCESS cmd=\"exec\""
    );
}

#[test]
fn what_stands_beside_a_directive_on_its_line_is_lost() {
    let done = preprocess("<gateways><X-PRE-PROCESS cmd=\"include\" data=\"x.xml\"/></gateways>\n");
    assert!(done.text.is_empty());
    assert_eq!(done.executed, ["include x.xml"]);
    assert_eq!(done.dropped_lines.len(), 1);
}

#[test]
fn a_directive_in_single_quotes_does_nothing() {
    let done = preprocess("<X-PRE-PROCESS cmd='exec' data='id'/>\n");
    assert!(done.executed.is_empty() && done.text.is_empty());
}

#[test]
fn an_old_style_directive_runs_and_keeps_what_stands_beside_it() {
    let done = preprocess("<a><!--#set \"k=v\"--><b/>\n<!--#exec id-->\n<!--#include data=\"x/*.xml\" -->$${k}</a>\n");
    assert_eq!(done.text, b"<a><b/>\n\nv</a>\n");
    assert_eq!(done.executed, ["set k=v", "exec id", "include x/*.xml"]);
}

#[test]
fn an_old_style_directive_that_does_not_close_swallows_lines_to_the_next_comment_end() {
    let done = preprocess("<a>\n<!--#exec id\n<b/>\n<c/> --><d/>\n</a>\n");
    assert_eq!(done.text, b"<a>\n<d/>\n</a>\n");
    assert_eq!(done.executed, ["exec id"]);
    assert_eq!(done.dropped_lines, ["<b/>"]);
}

#[test]
fn a_plain_comment_passes_over_several_lines_too() {
    let document = "<a>\n<!-- # one\n <param name=\"x\" value=\"y\"/>\n-->\n<!-- two --><b/>\n</a>\n";
    assert_eq!(text(document), document);
    let root = parse(document);
    assert_eq!(root.children.len(), 1);
    assert_eq!(root.children[0].name, "b");
}

#[test]
fn a_line_over_a_mebibyte_loses_the_character_at_each_cut() {
    let line: String = (0..1_200_000u32).map(|n| char::from(b'a' + (n % 26) as u8)).collect();
    let done = text(&line);
    assert_eq!(done.len(), line.len() - 1);
    assert_eq!(done[..1_048_574], line[..1_048_574]);
    assert_eq!(done[1_048_574..], line[1_048_575..]);
}

#[test]
fn nul_ends_its_line() {
    assert_eq!(text("ab\0cd\nef\n"), "abef\n");
}

#[test]
fn references_and_raw_utf8_arrive_right_in_attribute_values() {
    assert_eq!(value("&lt;&amp;&quot;&apos;&gt;"), "<&\"'>");
    assert_eq!(value("&#10;&#9;&#x41;&#13;&#x9876;"), "\n\tA\r顶");
    assert_eq!(value("顶顶通密码 é 🎺"), "顶顶通密码 é 🎺");
    assert_eq!(value("&amp;lt; &amp;#65; &amp;amp;"), "&lt; &#65; &amp;");
}

#[test]
fn what_is_no_reference_stays_as_it_is() {
    for literal in [
        "&",
        "&nope;",
        "&#0;",
        "&#;",
        "&#X41;",
        "&#-1;",
        "&# 1;",
        "&#65",
        "&#xFFFFFFFFFF;",
        "a&b",
    ] {
        assert_eq!(value(literal), literal);
    }
}

#[test]
fn raw_white_space_in_a_value_becomes_spaces_and_in_text_stays() {
    assert_eq!(value("a\tb\r\nc\nd"), "a b c d");
    assert_eq!(parse("<a>x\r\n\ty<b/>z</a>\n").text, "x\n\tyz");
}

#[test]
fn the_parser_does_not_validate() {
    let root = parse("junk <a  two='2'\n one = \"1\" bare one=\"again\">t<![CDATA[<&amp;>]]></a > trailing\n");
    let expected = [("two", "2"), ("one", "1"), ("bare", ""), ("one", "again")];
    assert_eq!(
        root.attributes,
        expected.map(|(name, value)| (name.to_owned(), value.to_owned()))
    );
    assert_eq!(root.attribute("one"), Some("1"));
    assert_eq!(root.text, "t<&amp;>");
}

#[test]
fn what_the_parser_cannot_take_is_an_error() {
    for (document, error) in [
        ("<a><b></a>\n", "unexpected closing tag </a>"),
        ("<a>\n<b>\n", "unclosed tag <b>"),
        ("<a/><b/>\n", "markup outside of root element"),
        ("<a x=\"1></a>\n", "missing \""),
        ("<a><!-- a -- b --></a>\n", "unclosed <!--"),
        ("<a>1 < 2</a>\n", "unexpected <"),
        ("nothing here\n", "root tag missing"),
    ] {
        let found = fs_xml::parse(document.as_bytes()).unwrap_err();
        assert!(found.ends_with(error), "{document:?}: {found}");
    }
}

#[test]
fn entities_of_an_internal_dtd_are_expanded() {
    let root = parse("<!DOCTYPE a [\n<!ENTITY who \"you &amp; me\">\n]>\n<a x=\"for &who;\"/>\n");
    assert_eq!(root.attribute("x"), Some("for you & me"));
}
