//! The API does what its OpenAPI document says. This test knows the document and nothing else: it sends
//! every operation valid and invalid input, and every answer must be one that the document allows.

use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use redis::AsyncCommands;
use reqwest::Method;
use serde_json::{Map, Value, json};
use trunkd::access::Role;

use crate::support::api::{API, Client, send};
use crate::support::app::{Other, TestApp};
use crate::support::redis::RedisServer;

/// Requests per operation.
const ROUNDS: usize = 25;
/// Streams don't end, so they are tested elsewhere.
const ENDLESS: &str = "/api/v1/events";

/// One operation of the document.
struct Operation<'a> {
    path: &'a str,
    method: Method,
    spec: &'a Value,
}

fn operations(document: &Value) -> Vec<Operation<'_>> {
    let paths = document["paths"].as_object().unwrap();
    let of_path = paths.iter().flat_map(|(path, methods)| {
        let methods = methods.as_object().unwrap().iter();
        methods.map(move |(method, spec)| Operation {
            path,
            method: method.to_uppercase().parse().unwrap(),
            spec,
        })
    });
    of_path.collect()
}

/// Follows a `$ref`.
fn resolved<'a>(document: &'a Value, schema: &'a Value) -> &'a Value {
    match schema["$ref"].as_str() {
        Some(reference) => resolved(document, document.pointer(&reference[1..]).expect("a schema")),
        None => schema,
    }
}

/// A value that a schema allows, now and then one that it doesn't.
fn value(document: &Value, name: &str, schema: &Value, random: &mut StdRng) -> Value {
    let schema = resolved(document, schema);
    if random.random_ratio(1, 12) {
        let odd = [
            json!(null),
            json!(-1),
            json!("\u{0}\u{202e}'\"<>"),
            json!([]),
            json!({"zz": 1}),
            json!("x".repeat(500)),
        ];
        return odd.choose(random).unwrap().clone();
    }
    if let Some(one) = schema["oneOf"].as_array().and_then(|options| options.choose(random)) {
        return value(document, name, one, random);
    }
    if let Some(word) = schema["enum"].as_array().and_then(|words| words.choose(random)) {
        return word.clone();
    }
    let kind = match &schema["type"] {
        Value::Array(kinds) => kinds[0].as_str(),
        kind => kind.as_str(),
    };
    match kind {
        Some("boolean") => json!(random.random_bool(0.5)),
        Some("integer") => json!(random.random_range(0..2000)),
        Some("array") => json!([value(document, name, &schema["items"], random)]),
        Some("object") => {
            let mut object = Map::new();
            for (name, schema) in schema["properties"].as_object().into_iter().flatten() {
                if random.random_ratio(11, 12) {
                    object.insert(name.clone(), value(document, name, schema, random));
                }
            }
            if random.random_ratio(1, 10) {
                object.insert("unknown".to_owned(), json!("x"));
            }
            Value::Object(object)
        }
        Some("string") => words(name, random),
        // Anything, such as a gateway's value.
        _ => gateway(random),
    }
}

/// What a parameter or key of this name may well be.
fn words(name: &str, random: &mut StdRng) -> Value {
    let known: &[&str] = match name {
        "domain" => &["acme", "acme", "globex"],
        "name" | "gateway" => &["g1", "g2", "new", "alice"],
        "switch" => &["fs1"],
        "role" => &["viewer", "operator", "admin"],
        "password" | "new" | "old" => &["a long password"],
        "secret" => &["param.password"],
        "expires" => &["90d"],
        "wait" => &["10ms"],
        "since" | "until" => &["2026-11-26T10:00:00Z"],
        "language" => &["en", "zh"],
        "sort" => &["name", "-state"],
        "state" => &["up,down", "REGED"],
        "kind" => &["edit", "edit,reveal"],
        "validity" => &["valid"],
        _ => &["acme", "1-1", "*", "x", "../.."],
    };
    json!(known.choose(random).unwrap())
}

fn gateway(random: &mut StdRng) -> Value {
    let values = [
        json!({"param": {"register": false, "realm": "sip.example.net"}}),
        json!({"param": {"realm": "sip.example.net", "username": "u", "password": "p"}, "tags": ["a"]}),
        json!({"param": {"realm": null}}),
        json!({"param": "x"}),
        json!({"enabled": false}),
        json!({}),
    ];
    values.choose(random).unwrap().clone()
}

fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn encoded(text: &str) -> String {
    form_urlencoded::byte_serialize(text.as_bytes())
        .collect::<String>()
        .replace('+', "%20")
}

/// Path and query with values for the parameters.
fn target(document: &Value, operation: &Operation<'_>, random: &mut StdRng) -> String {
    let mut path = operation.path.to_owned();
    let mut query = Vec::new();
    for parameter in operation.spec["parameters"].as_array().into_iter().flatten() {
        let name = parameter["name"].as_str().unwrap();
        let mut given = text(&value(document, name, &parameter["schema"], random));
        match parameter["in"].as_str().unwrap() {
            "path" => {
                // An empty segment is another path.
                if given.is_empty() || given.contains("..") {
                    given = "x".to_owned();
                }
                path = path.replace(&format!("{{{name}}}"), &encoded(&given));
            }
            "query" if random.random_ratio(1, 3) => query.push(format!("{name}={}", encoded(&given))),
            _ => {}
        }
    }
    match query.is_empty() {
        true => path,
        false => format!("{path}?{}", query.join("&")),
    }
}

/// Gateways, a switch and a user to find, whatever was deleted before.
async fn prepare(redis: &RedisServer, other: &Other) {
    for name in ["g1", "g2"] {
        let value = json!({"param": {"realm": "r", "username": "u", "password": "p"}});
        other.set_gateway("acme", name, &value.to_string()).await;
    }
    let mut connection = redis.connection().await;
    let now = jiff::Timestamp::now().to_string();
    let switch = json!({"connected": true, "since": now, "core_uuid": "", "last_seen": now}).to_string();
    let _: () = connection.hset("trunkd:switches", "fs1", switch).await.unwrap();
}

#[tokio::test]
async fn every_answer_is_one_that_the_document_allows() {
    let redis = RedisServer::start().await;
    let other = Other::new(&redis).await;
    let app = TestApp::start(&redis, &format!("{API}[reconcile]\nmode = \"apply\"\n")).await;
    let callers = [
        Client::new(&redis, &app, Role::Admin, "*").await,
        Client::new(&redis, &app, Role::Operator, "acme").await,
        Client::new(&redis, &app, Role::Viewer, "acme").await,
    ];
    let document = serde_json::to_value(trunkd::api::document()).unwrap();
    let all = operations(&document);
    assert!(all.len() >= 30, "only {} operations", all.len());
    let mut succeeded = std::collections::BTreeSet::new();
    for operation in all.iter().filter(|operation| operation.path != ENDLESS) {
        prepare(&redis, &other).await;
        let mut random = StdRng::seed_from_u64(operation.path.len() as u64);
        for round in 0..ROUNDS {
            let target = target(&document, operation, &mut random);
            let path = target.strip_prefix("/api/v1").unwrap();
            let mut request = callers[round % callers.len()].request(operation.method.clone(), path);
            let mut sent = String::new();
            if let Some(body) = operation.spec.pointer("/requestBody/content/application~1json/schema") {
                sent = match random.random_ratio(1, 10) {
                    true => "{\"broken".to_owned(),
                    false => value(&document, "", body, &mut random).to_string(),
                };
                request = request.body(sent.clone());
            }
            let answer = send(request).await;
            let what = format!(
                "{} {target} {sent}\n{} {:#}",
                operation.method, answer.status, answer.body
            );
            assert!(answer.status < 500, "{what}");
            if answer.status < 300 {
                succeeded.insert(format!("{} {}", operation.method, operation.path));
            }
            let allowed = operation.spec["responses"].get(answer.status.to_string());
            assert!(allowed.is_some(), "the document doesn't allow this: {what}");
            if answer.status >= 400 {
                assert_eq!(answer.headers["content-type"], "application/problem+json", "{what}");
                assert!(answer.body["reason"].is_string(), "{what}");
            }
        }
    }
    // Most of what is sent must make sense, or this would test refusals only.
    assert!(
        succeeded.len() * 3 > all.len() * 2,
        "only these succeeded: {succeeded:#?}"
    );
}
