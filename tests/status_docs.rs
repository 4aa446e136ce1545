//! `docs/status.md` names every field and every code of the status, with its type. The code is asked
//! by way of the OpenAPI document, which is made from it.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use serde_json::Value;

/// The type in the OpenAPI document, and what the docs call it.
const OBJECTS: [(&str, &str); 20] = [
    ("Status", "status"),
    ("RedisDown", "redis down"),
    ("SwitchStatus", "switch"),
    ("DrainedSince", "drained"),
    ("ConditionCounts", "counts"),
    ("GatewayOnSwitch", "gateway"),
    ("Calls", "calls"),
    ("Challenge", "challenge"),
    ("Note", "note"),
    ("Finding", "finding"),
    ("UnplacedGateway", "gateway on no switch"),
    ("CarrierList", "carriers"),
    ("CarrierStatus", "carrier"),
    ("RegisterRate", "register rate"),
    ("CarrierOnSwitch", "carrier on switch"),
    ("OutOnSwitch", "out"),
    ("CallStats", "call stats"),
    ("CallFigures", "call figures"),
    ("CallTally", "call tally"),
    ("FailedCall", "failed call"),
];
const CODES: [(&str, &str); 5] = [
    ("Condition", "condition"),
    ("ReasonCode", "reason code"),
    ("NoteCode", "note code"),
    ("BlockCode", "blocked by"),
    ("Severity", "severity"),
];

#[test]
fn the_docs_list_every_field_with_its_type() {
    let schemas = schemas();
    for (name, title) in OBJECTS {
        let documented: BTreeMap<_, _> = rows(&format!("{title} field"))
            .into_iter()
            .map(|row| (in_backticks(&row[0]), row[1].clone()))
            .collect();
        assert_eq!(documented, fields(&schemas, &schemas[name]), "{title}");
    }
}

#[test]
fn the_docs_explain_every_code() {
    let schemas = schemas();
    for (name, title) in CODES {
        let documented: BTreeSet<_> = rows(title)
            .into_iter()
            .map(|row| {
                assert!(!row[1].is_empty(), "{} has no meaning", row[0]);
                in_backticks(&row[0])
            })
            .collect();
        assert_eq!(documented, codes(&schemas[name]), "{title}");
    }
}

#[test]
fn no_type_of_the_status_is_left_out() {
    let schemas = schemas();
    let (mut reached, mut next) = (BTreeSet::new(), vec!["Status".to_owned()]);
    while let Some(name) = next.pop() {
        next.extend(references(&schemas[&name]));
        reached.insert(name);
        next.retain(|name| !reached.contains(name));
    }
    // Its fields are among those of the switch, and a message is a string.
    reached.remove("SwitchState");
    reached.remove("Message");
    let known = OBJECTS.iter().chain(&CODES).map(|(name, _)| (*name).to_owned());
    assert_eq!(reached, known.collect());
}

fn schemas() -> Value {
    let document = serde_json::to_value(trunkd::api::document()).unwrap();
    document["components"]["schemas"].clone()
}

/// The fields of an object and their types, in the words of the docs.
fn fields(schemas: &Value, schema: &Value) -> BTreeMap<String, String> {
    if let Some(parts) = schema["allOf"].as_array() {
        let parts = parts.iter().map(|part| match name_of(part) {
            Some(name) => fields(schemas, &schemas[name]),
            None => fields(schemas, part),
        });
        return parts.flatten().collect();
    }
    let properties = schema["properties"].as_object().unwrap();
    let words = properties.iter().map(|(name, schema)| (name.clone(), words(schema)));
    words.collect()
}

/// The type in the words of the docs.
fn words(schema: &Value) -> String {
    if let Some(name) = name_of(schema).filter(|name| *name != "Message") {
        let known = OBJECTS.iter().chain(&CODES).find(|(known, _)| *known == name);
        return known.unwrap_or_else(|| panic!("{name} is not documented")).1.to_owned();
    }
    if let Some(kinds) = schema["oneOf"].as_array() {
        return kinds.iter().map(words).collect::<Vec<_>>().join(" or ");
    }
    let kinds = match &schema["type"] {
        _ if name_of(schema).is_some() => vec![Value::from("string")],
        Value::Array(kinds) => kinds.clone(),
        kind => vec![kind.clone()],
    };
    let words = kinds.iter().map(|kind| match kind.as_str().unwrap() {
        "array" => format!("list of {}", self::words(&schema["items"])),
        "string" if schema["format"] == "date-time" => "time".to_owned(),
        kind => kind.to_owned(),
    });
    words.collect::<Vec<_>>().join(" or ")
}

fn codes(schema: &Value) -> BTreeSet<String> {
    let codes = schema["enum"].as_array().unwrap().iter();
    codes.map(|code| code.as_str().unwrap().to_owned()).collect()
}

fn name_of(schema: &Value) -> Option<&str> {
    schema["$ref"].as_str()?.rsplit('/').next()
}

/// Every type that is named in a schema.
fn references(schema: &Value) -> Vec<String> {
    let own = name_of(schema).map(str::to_owned);
    let below: Vec<&Value> = match schema {
        Value::Object(object) => object.values().collect(),
        Value::Array(items) => items.iter().collect(),
        _ => Vec::new(),
    };
    own.into_iter().chain(below.into_iter().flat_map(references)).collect()
}

/// The rows of the table in the docs whose first column has this title.
fn rows(title: &str) -> Vec<Vec<String>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/status.md");
    let text = fs::read_to_string(path).unwrap();
    let heading = format!("| {title} |");
    let table = text.lines().skip_while(|line| !line.starts_with(&heading)).skip(2);
    let rows: Vec<Vec<String>> = table
        .take_while(|line| line.starts_with('|'))
        .map(|line| {
            let cells = line.trim_matches('|').split('|');
            cells.map(|cell| cell.trim().to_owned()).collect()
        })
        .collect();
    assert!(!rows.is_empty(), "no table {title:?}");
    rows
}

fn in_backticks(text: &str) -> String {
    text.split('`').nth(1).unwrap_or_default().to_owned()
}
