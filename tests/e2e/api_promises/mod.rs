//! Every answer that the OpenAPI document promises can be had, and looks as it says.
//!
//! `scripts.rs` has a script for each operation and each status. A promise without a script fails the
//! test, so a new operation or status needs a script. 401, 413 and 503 need none where a
//! request without a token, a body that is too large, or Redis gone is enough.

mod conforms;
mod scripts;
mod world;

use std::collections::BTreeSet;

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::bilingual::english_sentence;
use conforms::problems;
use scripts::{Script, scripts, scripts_without_redis};
use world::{Sent, World};

/// More than a body may have (1 MiB).
const TOO_LARGE: usize = (1 << 20) + 1;

/// An operation and a status that the document has for it.
type Promise = (String, u16);

#[tokio::test]
async fn every_promised_answer_is_given_and_looks_as_documented() {
    let document = serde_json::to_value(trunkd::api::document()).unwrap();
    let mut world = World::start().await;
    let mut open = promises(&document);
    let mut dry = BTreeSet::new();
    for script in scripts() {
        let sent = play(&world, &document, &script).await;
        open.remove(&(script.operation.to_owned(), script.status));
        if sent.call.contains("dry_run=true") {
            assert_eq!(sent.answer.body["dry_run"], true, "{}", sent.call);
            dry.insert(script.operation.to_owned());
        }
    }
    assert_eq!(
        dry,
        with_parameter(&document, "dry_run"),
        "each has a script that tries it"
    );
    for (operation, status) in open.clone() {
        let sent = match status {
            401 => world.nobody(&sample(&operation), Value::Null).await,
            413 => world.admin(&sample(&operation), json!("x".repeat(TOO_LARGE))).await,
            _ => continue,
        };
        check(&document, &operation, status, &sent);
        open.remove(&(operation, status));
    }
    world.redis.kill();
    for script in scripts_without_redis() {
        play(&world, &document, &script).await;
        open.remove(&(script.operation.to_owned(), script.status));
    }
    for (operation, status) in open.clone().into_iter().filter(|(_, status)| *status == 503) {
        let sent = world.admin(&sample(&operation), Value::Null).await;
        check(&document, &operation, status, &sent);
        assert!(sent.answer.headers.contains_key("retry-after"), "{operation}");
        open.remove(&(operation, status));
    }
    assert!(open.is_empty(), "no script in scripts.rs asks for these: {open:#?}");
}

async fn play(world: &World, document: &Value, script: &Script) -> Sent {
    let sent = (script.ask)(world).await;
    check(document, script.operation, script.status, &sent);
    sent
}

/// The answer to this request is what the document says about this operation and status.
fn check(document: &Value, operation: &str, status: u16, sent: &Sent) {
    let what = format!(
        "{operation} {status}: {}\n{} {:#}",
        sent.call, sent.answer.status, sent.answer.body
    );
    assert!(is_of(&sent.call, operation), "this asks another operation: {what}");
    assert_eq!(sent.answer.status, status, "{what}");
    let (method, path) = operation.split_once(' ').unwrap();
    let spec = &document["paths"][format!("/api/v1{path}")][method.to_lowercase()];
    let promised = &spec["responses"][status.to_string()];
    assert!(promised.is_object(), "the document has no such answer: {what}");
    let Some(contents) = promised["content"].as_object() else {
        assert_eq!(sent.answer.body, "", "the document promises no body: {what}");
        return;
    };
    let kind = sent.answer.headers["content-type"].to_str().unwrap();
    let kind = kind.split(';').next().unwrap();
    let content = contents.get(kind).unwrap_or_else(|| panic!("{kind}: {what}"));
    if kind.ends_with("json") {
        let found = problems(document, &content["schema"], &sent.answer.body, "");
        assert!(found.is_empty(), "{found:#?}\n{what}");
    }
    if status >= 400 {
        assert_eq!(kind, "application/problem+json", "{what}");
        assert_eq!(sent.answer.body["status"], status, "{what}");
    }
    let english: Vec<_> = texts(&sent.answer.body).filter_map(english_sentence).collect();
    assert!(
        english.is_empty(),
        "English for who reads Chinese: {english:#?}\n{what}"
    );
    if status == 429 {
        assert!(sent.answer.headers.contains_key("retry-after"), "{what}");
    }
}

/// Texts for people. What the history keeps is as it was recorded.
fn texts(body: &Value) -> Box<dyn Iterator<Item = &str> + '_> {
    match body {
        Value::Object(object) if object.contains_key("who") => Box::new(std::iter::empty()),
        Value::Object(object) => Box::new(
            object
                .iter()
                .filter(|(key, _)| *key != "title")
                .flat_map(|(_, value)| texts(value)),
        ),
        Value::Array(items) => Box::new(items.iter().flat_map(texts)),
        Value::String(text) => Box::new(std::iter::once(&**text)),
        _ => Box::new(std::iter::empty()),
    }
}

fn promises(document: &Value) -> BTreeSet<Promise> {
    let of_operation = |(operation, spec): (String, &Value)| {
        let statuses = spec["responses"].as_object().unwrap().keys();
        let statuses: Vec<u16> = statuses.map(|status| status.parse().unwrap()).collect();
        statuses.into_iter().map(move |status| (operation.clone(), status))
    };
    operations(document).into_iter().flat_map(of_operation).collect()
}

/// `GET /gateways` and what the document has about it.
fn operations(document: &Value) -> Vec<(String, &Value)> {
    let paths = document["paths"].as_object().unwrap();
    let of_path = paths.iter().flat_map(|(path, methods)| {
        let path = path.strip_prefix("/api/v1").unwrap();
        let methods = methods.as_object().unwrap().iter();
        methods.map(move |(method, spec)| (format!("{} {path}", method.to_uppercase()), spec))
    });
    of_path.collect()
}

fn with_parameter(document: &Value, name: &str) -> BTreeSet<String> {
    let has = |spec: &Value| {
        let parameters = spec["parameters"].as_array();
        parameters.is_some_and(|all| all.iter().any(|parameter| parameter["name"] == name))
    };
    let with = operations(document).into_iter().filter(|(_, spec)| has(spec));
    with.map(|(operation, _)| operation).collect()
}

/// A call of this operation.
fn sample(operation: &str) -> String {
    let parts = operation.split('/').map(|part| match part.starts_with('{') {
        true => "sample",
        false => part,
    });
    parts.collect::<Vec<_>>().join("/")
}

fn is_of(call: &str, operation: &str) -> bool {
    let call = call.split('?').next().unwrap();
    let (call, operation): (Vec<_>, Vec<_>) = (call.split('/').collect(), operation.split('/').collect());
    let mut parts = call.iter().zip(&operation);
    call.len() == operation.len() && parts.all(|(said, part)| part.starts_with('{') || said == part)
}

fn method_and_path(call: &str) -> (Method, &str) {
    let (method, path) = call.split_once(' ').expect("a method and a path");
    (method.parse().expect("a method"), path)
}
