use proptest::collection::{hash_map, vec};
use proptest::prelude::*;
use serde_json::Value;

use super::*;
use crate::gateway::{Document, DomainName};

#[track_caller]
fn one(text: &str) -> Record {
    let records = read(text.as_bytes(), Format::Yaml).unwrap();
    assert_eq!(records.len(), 1);
    records.into_iter().next().unwrap()
}

#[track_caller]
fn value(text: &str) -> String {
    one(text).value.unwrap().to_json()
}

#[track_caller]
fn refused(text: &str, format: Format) -> String {
    let error = read(text.as_bytes(), format).err().unwrap();
    let chinese = crate::language::Bilingual::chinese(&error.problem);
    assert!(!chinese.is_ascii(), "{chinese}");
    error.to_string()
}

#[test]
fn digits_stay_as_they_are_written() {
    let text = "domain: d\nname: gw\nparam:\n  username: 0123\n  caller: +4930123\n  a: 1.50\n  b: 0x1F\n  c: 1e5\n  \
                d: 12:30:45\n  e: no\n  f: true\n  g:\n  h: '25'\n  i: 123456789012345678901234567890\n  j: .5\n";
    assert_eq!(
        value(text),
        concat!(
            r#"{"param":{"username":"0123","caller":"+4930123","a":1.50,"b":"0x1F","c":1e5,"d":"12:30:45","e":"no","#,
            r#""f":true,"g":null,"h":"25","i":123456789012345678901234567890,"j":".5"}}"#
        )
    );
}

#[test]
fn a_file_has_one_document_or_many() {
    let many =
        "# ours\n---\ndomain: d\nname: a\n---\n- {domain: d, name: b}\n- domain: d\n  name: c\n  state: absent\n---\n";
    let names = |records: Vec<Record>| -> Vec<(String, usize, bool)> {
        let record = |record: Record| (record.name.to_string(), record.line, record.value.is_some());
        records.into_iter().map(record).collect()
    };
    let (a, b, c) = ("a".to_owned(), "b".to_owned(), "c".to_owned());
    let expected = [(a.clone(), 3, true), (b.clone(), 6, true), (c.clone(), 7, false)];
    assert_eq!(names(read(many.as_bytes(), Format::Yaml).unwrap()), expected);
    let lines = "\u{feff}{\"domain\":\"d\",\"name\":\"a\"}\n[{\"domain\":\"d\",\"name\":\"b\"},\n\n\
                 {\"domain\":\"d\",\"name\":\"c\",\"state\":\"absent\"}]\n";
    let expected = [(a, 1, true), (b, 2, true), (c, 4, false)];
    assert_eq!(names(read(lines.as_bytes(), Format::Json).unwrap()), expected);
    assert!(read(b"", Format::Yaml).unwrap().is_empty());
    assert!(read(b"\n", Format::Json).unwrap().is_empty());
}

#[test]
fn errors_name_the_line_and_repeat_no_value() {
    use Format::{Json, Yaml};
    for (text, format, expected) in [
        (
            "domain: d\nname: gw\nparam: {password: hunter2",
            Yaml,
            "3: this can't be read: ",
        ),
        ("domain: d\nname: gw\nparam: &p {a: b}\nother: *p", Yaml, "4: aliases"),
        ("domain: d\nname: gw\nparam:\n  password: !x hunter2", Yaml, "4: tags"),
        (
            "domain: d\nname: gw\na: 1\na: 2",
            Yaml,
            "4: the key \"a\" is there twice",
        ),
        ("domain: d\nname: gw\n[a]: 1", Yaml, "3: a key is not a text"),
        ("---\nhunter2", Yaml, "2: this is not a gateway"),
        ("\nname: gw", Yaml, "2: the document has no domain"),
        ("domain: d", Yaml, "1: the document has no name"),
        ("domain: 1\nname: gw", Yaml, "1: domain is not a text"),
        ("domain: d\nname: g w", Yaml, "1: character 2 of the name"),
        ("domain: \"\"\nname: gw", Yaml, "1: the domain is not a text of 1"),
        ("domain: d\nname: gw\nstate: gone", Yaml, "1: state is neither"),
        ("domain: d\nname: gw\nvalue: {}\nparam: {}", Yaml, "1: value is not"),
        (
            "{\"domain\": \"d\",\n \"name\": hunter2}",
            Json,
            "2: this can't be read: expected value",
        ),
        ("{}\n", Json, "1: the document has no domain"),
        ("[\n1]", Json, "2: this is not a gateway"),
    ] {
        let said = refused(text, format);
        assert!(said.starts_with(expected), "{text:?}: {said}");
        assert!(!said.contains("hunter2"), "{said}");
    }
    let said = read(b"domain: d\nname: \xff", Format::Yaml).err().unwrap().to_string();
    assert!(said.starts_with("2: this is not UTF-8"), "{said}");
}

#[test]
fn depth_is_bounded_and_bombs_do_not_explode() {
    let deep = format!("{{domain: d, name: gw, a: {}1{}}}", "[".repeat(40), "]".repeat(40));
    assert!(refused(&deep, Format::Yaml).contains("in each other"));
    let deeper = format!("{{domain: d, name: gw, a: {}", "[".repeat(100_000));
    refused(&deeper, Format::Yaml);
    let json = format!(
        r#"{{"domain":"d","name":"gw","a":{}{}}}"#,
        "[".repeat(100_000),
        "]".repeat(100_000)
    );
    assert!(refused(&json, Format::Json).contains("in each other"));
    let bomb = "domain: d\nname: gw\na: &a [x,x]\nb: &b [*a,*a]\nc: [*b,*b]";
    assert!(refused(bomb, Format::Yaml).contains("aliases"));
}

#[test]
fn a_secret_is_plain_or_a_reference() {
    let parse = |text: &str| SecretText::parse(text.to_owned());
    let plain = |text: &str| Ok(SecretText::Plain(text.to_owned()));
    let env = |name: &str| Ok(SecretText::Reference(Reference::Env(name.to_owned())));
    let file = |path: &str| Ok(SecretText::Reference(Reference::File(path.to_owned())));
    assert_eq!(parse("${env:GW_1}"), env("GW_1"));
    assert_eq!(parse("${file:secrets/gw 1}"), file("secrets/gw 1"));
    assert_eq!(parse("p$w"), plain("p$w"));
    assert_eq!(parse("${x}"), plain("${x}"));
    assert_eq!(parse("$${env:X}"), plain("${env:X}"));
    for bad in ["${env:}", "${env:1X}", "${env:X", "${file:}", "${env:X}y"] {
        assert_eq!(parse(bad), Err(DocumentProblem::Reference), "{bad}");
    }
}

#[test]
fn a_document_is_written_for_people() {
    let stored = concat!(
        r#"{"param":{"realm":"sip.example.net","ping":25,"password":"p"},"#,
        r#""variables":{"p:x":{"value":"no","direction":"inbound"}},"tags":["a"],"nodes":[],"x":{}}"#
    );
    let mut out = String::new();
    write(
        &mut out,
        &"default".into(),
        b"carrier1",
        stored.as_bytes(),
        Secrets::Env,
        Format::Yaml,
    )
    .unwrap();
    assert_eq!(
        out,
        "---\ndomain: default\nname: carrier1\nparam:\n  realm: sip.example.net\n  ping: 25\n  password: \
         \"${env:TRUNKD_SECRET_default_carrier1_password}\"\nvariables:\n  \"p:x\":\n    value: \"no\"\n    \
         direction: inbound\ntags: [\"a\"]\nnodes: []\nx: {}\n"
    );
    let mut out = String::new();
    write(
        &mut out,
        &"a.b".into(),
        b"gw",
        b"{\"param\":{\"password\":1}}",
        Secrets::Env,
        Format::Json,
    )
    .unwrap();
    assert_eq!(out, "{\"domain\":\"a.b\",\"name\":\"gw\",\"param\":{}}\n");
}

#[test]
fn what_can_not_be_a_document_is_named() {
    let refused = |domain: &[u8], name: &[u8], value: &[u8]| {
        let mut out = String::new();
        let domain = DomainName::new(domain);
        let refused = write(&mut out, &domain, name, value, Secrets::Omit, Format::Yaml).unwrap_err();
        assert_eq!(out, "");
        refused
    };
    assert_eq!(refused(b"", b"gw", b"{}"), Unwritable::Domain);
    assert_eq!(refused(b"a\nb", b"gw", b"{}"), Unwritable::Domain);
    assert!(matches!(refused(b"d", b"\xff", b"{}"), Unwritable::Name(_)));
    assert!(matches!(refused(b"d", b"gw", b"\xff"), Unwritable::Value(_)));
    assert!(matches!(
        refused(b"d", b"gw", br#"{"a":["\ud800"]}"#),
        Unwritable::Value(_)
    ));
    let deep = format!(r#"{{"a":{}{}}}"#, "[".repeat(40), "]".repeat(40));
    assert_eq!(refused(b"d", b"gw", deep.as_bytes()), Unwritable::TooDeep);
    let key = format!(r#"{{"{}":1}}"#, "k".repeat(5000));
    assert_eq!(refused(b"d", b"gw", key.as_bytes()), Unwritable::Key);
}

fn json_value() -> impl Strategy<Value = Value> {
    let text = prop_oneof![
        any::<String>(),
        "[-+.0-9exXob_:~ ]{0,6}",
        prop::sample::select(vec![
            "true",
            "No",
            "null",
            "~",
            "",
            "- a",
            "# x",
            "a: b",
            "a #b",
            "\u{85}",
            "\u{2028}x",
            "\u{feff}",
            "${env:X}",
            "$${file:Y}",
            "---",
            "...",
            "\t",
            " x ",
            "'",
            "\"",
            "\\",
            "*a",
            "&a",
            "!a",
            "<<",
            "%a",
            "@a",
            "`a",
        ])
        .prop_map(str::to_owned),
    ];
    let number = prop_oneof![any::<i64>().prop_map(Value::from), any::<f64>().prop_map(Value::from)];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        number,
        text.prop_map(Value::from),
    ];
    let key = prop_oneof![
        "param|params|variables|password|name|domain|state|value|<<",
        any::<String>()
    ];
    leaf.prop_recursive(4, 24, 5, move |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Value::from),
            hash_map(key.clone(), inner, 0..4).prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

fn object() -> impl Strategy<Value = String> {
    let key = prop_oneof![
        "param|params|variables|password|name|domain|state|value",
        any::<String>()
    ];
    hash_map(key, json_value(), 0..5).prop_map(|map| Value::Object(map.into_iter().collect()).to_string())
}

proptest! {
    #[test]
    fn what_is_written_is_read_back(value in object(), domain in vec(any::<u8>(), 1..8), is_json in any::<bool>()) {
        let format = if is_json { Format::Json } else { Format::Yaml };
        let domain = DomainName::new(&domain);
        let stored = Document::parse(value.as_bytes()).unwrap();
        for secrets in [Secrets::Plain, Secrets::Omit] {
            let mut out = String::new();
            let written = write(&mut out, &domain, b"gw", value.as_bytes(), secrets, format);
            prop_assert_eq!(written.is_ok(), domain.is_writable());
            if written.is_err() {
                continue;
            }
            let records = read(out.as_bytes(), format);
            let records = records.map_err(|error| TestCaseError::fail(format!("{error}: {out:?}")))?;
            prop_assert_eq!(records.len(), 1);
            let record = records.into_iter().next().unwrap();
            prop_assert_eq!(&record.domain, &domain);
            let mut back = record.value.unwrap();
            let read_secret = |_: &str, text: String| match SecretText::parse(text)? {
                SecretText::Plain(text) => Ok(text),
                SecretText::Reference(_) => Err(DocumentProblem::Reference),
            };
            prop_assert_eq!(back.change_secrets(read_secret), Ok(()));
            back.keep_secrets(&stored);
            let differences = Document::differences(Some(&stored), Some(&back));
            prop_assert!(differences.is_empty(), "{:?}: {:?}", differences, out);
        }
    }

    #[test]
    fn no_text_makes_it_panic(text in vec(any::<u8>(), 0..200), is_json in any::<bool>()) {
        let _ = read(&text, if is_json { Format::Json } else { Format::Yaml });
    }

    #[test]
    fn no_yaml_makes_it_panic(parts in vec(prop::sample::select(vec![
        "domain: d\n", "name: gw\n", "- ", "  ", "? ", ": ", "{", "}", "[", "]", ",", "\"", "'", "|\n", ">\n", "&a ",
        "*a", "!x ", "!!str ", "<<: ", "#", "\n", "---\n", "...\n", "%YAML 1.2\n", "a", "\t", "\u{85}", "\u{feff}", "0",
    ]), 0..40)) {
        let _ = read(parts.concat().as_bytes(), Format::Yaml);
    }
}
