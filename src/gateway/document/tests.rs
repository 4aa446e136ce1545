use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

fn document(json: &str) -> Document {
    Document::parse(json.as_bytes()).unwrap()
}

#[test]
fn a_document_is_written_as_it_was_read() {
    let json = r#"{"param":{"expire-seconds":007,"x":7.50,"big":123456789012345678901234567890},"note":{"a":[1, 2]},"é":null}"#
        .replace("007", "7");
    assert_eq!(document(&json).to_json(), json);
}

#[test]
fn what_is_no_object_is_refused_without_repeating_it() {
    for (text, error) in [
        ("[\"hunter2\"]", "it is a list, not an object"),
        ("{\"a\" \"hunter2\"}", "it is not JSON: expected `:` at line 1 column 6"),
        ("{\"\\ud800\":1}", "a key has an escape that stands for no character"),
    ] {
        assert_eq!(
            Document::parse(text.as_bytes()).err().as_ref().map(Message::en),
            Some(error)
        );
    }
    assert_eq!(
        Document::parse(b"\xff").err().as_ref().map(Message::en),
        Some("it is not UTF-8")
    );
}

#[test]
fn the_examples_of_rfc_7396() {
    for (original, patch, result) in [
        (r#"{"a":"b"}"#, r#"{"a":"c"}"#, r#"{"a":"c"}"#),
        (r#"{"a":"b"}"#, r#"{"b":"c"}"#, r#"{"a":"b","b":"c"}"#),
        (r#"{"a":"b"}"#, r#"{"a":null}"#, "{}"),
        (r#"{"a":"b","b":"c"}"#, r#"{"a":null}"#, r#"{"b":"c"}"#),
        (r#"{"a":["b"]}"#, r#"{"a":"c"}"#, r#"{"a":"c"}"#),
        (r#"{"a":"c"}"#, r#"{"a":["b"]}"#, r#"{"a":["b"]}"#),
        (
            r#"{"a":{"b":"c"}}"#,
            r#"{"a":{"b":"d","c":null}}"#,
            r#"{"a":{"b":"d"}}"#,
        ),
        (r#"{"a":[{"b":"c"}]}"#, r#"{"a":[1]}"#, r#"{"a":[1]}"#),
        (r#"{"e":null}"#, r#"{"a":1}"#, r#"{"e":null,"a":1}"#),
        ("{}", r#"{"a":{"bb":{"ccc":null}}}"#, r#"{"a":{"bb":{}}}"#),
        (r#"{"a":"b"}"#, r#"{"a":{"c":1}}"#, r#"{"a":{"c":1}}"#),
    ] {
        let mut merged = document(original);
        merged.merge(&document(patch));
        assert_eq!(merged.to_json(), result, "{original} + {patch}");
    }
}

#[test]
fn secrets_are_left_out_and_named() {
    let stored = document(r#"{"param":{"realm":"r","password":"p"},"note":"x"}"#);
    assert_eq!(
        stored.without_secrets().to_json(),
        r#"{"param":{"realm":"r"},"note":"x"}"#
    );
    assert_eq!(stored.secrets(), ["param.password"]);
    assert_eq!(stored.secret("password").as_deref(), Some("p"));
    assert!(document(r#"{"param":{"password":""}}"#).secrets().is_empty());
}

#[test]
fn a_secret_that_is_not_mentioned_stays_and_null_removes_it() {
    let stored = document(r#"{"param":{"realm":"r","password":"p"}}"#);
    let kept = |new: &str| {
        let mut new = document(new);
        new.keep_secrets(&stored);
        new.to_json()
    };
    assert_eq!(
        kept(r#"{"param":{"realm":"s"}}"#),
        r#"{"param":{"realm":"s","password":"p"}}"#
    );
    assert_eq!(
        kept(r#"{"params":{"realm":"s"}}"#),
        r#"{"params":{"realm":"s","password":"p"}}"#
    );
    assert_eq!(
        kept(r#"{"enabled":false}"#),
        r#"{"enabled":false,"param":{"password":"p"}}"#
    );
    assert_eq!(kept(r#"{"param":{"password":"q"}}"#), r#"{"param":{"password":"q"}}"#);
    assert_eq!(kept(r#"{"param":{"password":null}}"#), r#"{"param":{}}"#);
}

#[test]
fn changes_are_told_key_by_key_and_secrets_only_as_changed() {
    let before = document(r#"{"param":{"realm":"a","password":"p","proxy":"x"},"tags":["t"]}"#);
    let after = document(r#"{"param":{"realm":"b","password":"q","ping":25},"tags":["t"],"enabled":false}"#);
    let changes = serde_json::to_value(Document::changes(Some(&before), Some(&after))).unwrap();
    assert_eq!(
        changes,
        json!([
            {"field": "param.realm", "before": "a", "after": "b"},
            {"field": "param.password", "secret": true},
            {"field": "param.ping", "after": 25},
            {"field": "param.proxy", "before": "x"},
            {"field": "enabled", "after": false},
        ])
    );
    let created = serde_json::to_string(&Document::changes(None, Some(&before))).unwrap();
    assert!(!created.contains("\"p\""), "{created}");
    // Something else than an object takes the place of one.
    let odd = document(r#"{"param":"x"}"#);
    let changes = serde_json::to_string(&Document::changes(Some(&before), Some(&odd))).unwrap();
    assert!(
        changes.contains("\"realm\":\"a\"") && !changes.contains("\"p\""),
        "{changes}"
    );
}

fn json_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        "[a-c]{0,2}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 20, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            prop::collection::hash_map("param|params|password|[a-c]", inner, 0..4)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

fn object_value() -> impl Strategy<Value = Value> {
    prop::collection::hash_map("param|params|password|[a-c]", json_value(), 0..4)
        .prop_map(|map| Value::Object(map.into_iter().collect()))
}

/// RFC 7396 as written there.
fn merged(target: Value, patch: &Value) -> Value {
    let Value::Object(patch) = patch else {
        return patch.clone();
    };
    let mut target = match target {
        Value::Object(target) => target,
        _ => serde_json::Map::new(),
    };
    for (key, value) in patch {
        if value.is_null() {
            target.remove(key);
        } else {
            let known = target.remove(key).unwrap_or(Value::Null);
            target.insert(key.clone(), merged(known, value));
        }
    }
    Value::Object(target)
}

proptest! {
    #[test]
    fn a_merge_is_that_of_the_rfc(original in object_value(), patch in object_value()) {
        let mut ours = document(&original.to_string());
        ours.merge(&document(&patch.to_string()));
        let ours: Value = serde_json::from_str(&ours.to_json()).unwrap();
        prop_assert_eq!(ours, merged(original, &patch));
    }

    #[test]
    fn there_are_changes_exactly_if_two_versions_differ(a in object_value(), b in object_value()) {
        let (one, other) = (document(&a.to_string()), document(&b.to_string()));
        prop_assert_eq!(Document::changes(Some(&one), Some(&other)).is_empty(), a == b);
    }

    #[test]
    fn what_is_shown_has_no_secret(value in object_value()) {
        let public = document(&value.to_string()).without_secrets();
        prop_assert!(public.secrets().is_empty());
    }
}
