//! What a form changes: a merge patch (RFC 7396) that leaves alone what the person left alone.

use secrecy::ExposeSecret;
use serde_json::{Map, Value, json};

use super::sent::{SHOWS_NODES, SecretEdit, Sent, SentVariable};
use super::stored::{FAILBACK, PLACEMENT, PREFER, Placement, Stored};

/// The patch that makes `stored` what was sent. Values that look the same keep their type, and keys that
/// the form doesn't show stay.
pub(super) fn patch(stored: &Stored, sent: &Sent, secrets: &[(&str, SecretEdit)]) -> Value {
    let mut patch = Map::new();
    let mut params = Map::new();
    for (name, typed) in sent.params() {
        let typed = typed.trim();
        if !is_same(&stored.param(name), typed) {
            params.insert(name.to_owned(), or_null(typed));
        }
    }
    put(&mut patch, stored.param_key(), params);
    for (name, edit) in secrets {
        let value = match edit {
            SecretEdit::Keep => continue,
            SecretEdit::Replace(secret) => json!(secret.expose_secret()),
            SecretEdit::Remove => Value::Null,
        };
        let params = patch.entry(stored.secret_key(name)).or_insert_with(|| json!({}));
        params[*name] = value;
    }
    put(&mut patch, stored.variable_key(), variables(stored, sent));
    for key in ["profile", "description", "carrier"] {
        let typed = sent.text(key);
        if sent.value(key).is_some() && !is_same(&stored.text(key), typed) {
            patch.insert(key.to_owned(), or_null(typed));
        }
    }
    if let Some(enabled) = sent.value("enabled") {
        let enabled = enabled != "false";
        if enabled != stored.is_enabled() {
            patch.insert("enabled".to_owned(), enabled.into());
        }
    }
    if let Some(rollback) = sent.value("rollback") {
        let rollback = rollback != "false";
        if rollback != stored.may_roll_back() {
            let value = if rollback { Value::Null } else { false.into() };
            patch.insert("rollback".to_owned(), value);
        }
    }
    if let Some(tags) = sent.value("tags") {
        list(&mut patch, stored, "tags", words(tags));
    }
    if let Some(mode) = sent.value(PLACEMENT) {
        let now = Placement {
            mode: mode.to_owned(),
            prefer: words(sent.text(PREFER)),
            failback: sent.text(FAILBACK).to_owned(),
        };
        if now != stored.placement() {
            patch.insert(PLACEMENT.to_owned(), placement(&now, stored.has_placement_parts()));
        }
    }
    // Boxes that aren't ticked send nothing.
    if sent.value(SHOWS_NODES).is_some() {
        list(
            &mut patch,
            stored,
            "nodes",
            sent.all("nodes").map(str::to_owned).collect(),
        );
    }
    Value::Object(patch)
}

/// A word says it all, unless more is set.
fn placement(now: &Placement, has_parts: bool) -> Value {
    let is_plain = now.prefer.is_empty() && now.failback.is_empty();
    match now.mode.as_str() {
        "all" if is_plain => Value::Null,
        mode if is_plain && !has_parts => json!(mode),
        mode => json!({
            "mode": mode,
            "prefer": if now.prefer.is_empty() { Value::Null } else { json!(now.prefer) },
            "failback": or_null(&now.failback),
        }),
    }
}

fn words(typed: &str) -> Vec<String> {
    let words = typed.split([',', '，']).map(str::trim);
    words.filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

fn list(patch: &mut Map<String, Value>, stored: &Stored, key: &str, now: Vec<String>) {
    let before = stored.texts(key);
    // The form has switches in its own order.
    let sorted = |list: &[String]| {
        let mut list = list.to_vec();
        list.sort();
        list
    };
    if sorted(&before) != sorted(&now) {
        patch.insert(key.to_owned(), if now.is_empty() { Value::Null } else { json!(now) });
    }
}

fn variables(stored: &Stored, sent: &Sent) -> Map<String, Value> {
    let (before, now) = (stored.variables(), sent.variables());
    let mut patch = Map::new();
    for gone in before
        .iter()
        .filter(|known| !now.iter().any(|row| row.name == known.name))
    {
        patch.insert(gone.name.clone(), Value::Null);
    }
    for row in &now {
        let was = before.iter().find(|known| known.name == row.name);
        if was.is_some_and(|was| is_same(&was.value, &row.value) && was.direction == row.direction) {
            continue;
        }
        patch.insert(row.name.clone(), value(row));
    }
    patch
}

fn value(row: &SentVariable) -> Value {
    match row.direction.as_str() {
        "" => json!(row.value),
        direction => json!({"value": row.value, "direction": direction}),
    }
}

fn put(patch: &mut Map<String, Value>, key: &str, values: Map<String, Value>) {
    if !values.is_empty() {
        patch.insert(key.to_owned(), Value::Object(values));
    }
}

fn or_null(text: &str) -> Value {
    match text.is_empty() {
        true => Value::Null,
        false => json!(text),
    }
}

/// An input shows no line breaks, and what is around a text is trimmed.
fn is_same(stored: &str, typed: &str) -> bool {
    let bare = |text: &str| text.replace(['\r', '\n'], "").trim().to_owned();
    stored == typed || bare(stored) == bare(typed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gateway::Document;

    fn stored(value: &str) -> Stored {
        Stored::from_json(value, &["param.password"])
    }

    fn patched(before: &str, body: &str) -> String {
        let sent = Sent::parse(body.as_bytes(), |param| param == "password");
        let secret = sent.secret("password").unwrap_or(SecretEdit::Keep);
        let patch = patch(&stored(before), &sent, &[("password", secret)]);
        let mut document = Document::parse(before.as_bytes()).unwrap();
        document.merge(&Document::parse(patch.to_string().as_bytes()).unwrap());
        document.to_json()
    }

    #[test]
    fn what_is_left_alone_stays_byte_for_byte() {
        let before = concat!(
            r#"{"x":[1.0],"params":{"ping":25,"register":true,"odd":"1"},"nodes":["b","a"],"enabled":"yes","#,
            r#""variable":{"v":{"value":"1","direction":"inbound","more":1}}}"#
        );
        let body = "param.ping=25&param.register=true&param.odd=1&param.realm=&shows_nodes=1&nodes=a&nodes=b&enabled=true\
                    &tags=&variable.name=v&variable.value=1&variable.direction=inbound&profile=&description=&carrier=";
        assert_eq!(patched(before, body), before);
    }

    #[test]
    fn placement_is_a_word_or_has_parts() {
        const ALL: &str = "{}";
        const ONE: &str = r#"{"placement":"one"}"#;
        const MORE: &str = r#"{"placement":{"mode":"one","prefer":["fs2","fs1"],"failback":"after 10m","x":1}}"#;
        let body = |mode: &str, prefer: &str, failback: &str| {
            format!("placement={mode}&placement.prefer={prefer}&placement.failback={failback}")
        };
        for (before, body, after) in [
            (ALL, body("all", "", ""), ALL),
            (ALL, body("one", "", ""), ONE),
            (ONE, body("one", "", ""), ONE),
            (ONE, body("all", "", ""), ALL),
            (
                ONE,
                body("one", "fs2,+fs1", ""),
                r#"{"placement":{"mode":"one","prefer":["fs2","fs1"]}}"#,
            ),
            (MORE, body("one", "fs2,fs1", "after+10m"), MORE),
            (MORE, body("one", "", ""), r#"{"placement":{"mode":"one","x":1}}"#),
            (MORE, body("all", "", ""), ALL),
            (r#"{"placement":"odd"}"#, body("all", "", ""), ALL),
        ] {
            assert_eq!(patched(before, &body), after, "{before} {body}");
        }
    }

    #[test]
    fn what_is_typed_changes_and_what_is_emptied_goes() {
        let before = r#"{"param":{"realm":"a","ping":25,"password":"p"},"tags":["x"],"carrier":"c","own":1}"#;
        let body = "param.realm=b&param.ping=&param.password=new&tags=x, y&carrier=&enabled=false\
                    &variable.name=n&variable.value=1&variable.direction=outbound";
        let after: Value = serde_json::from_str(&patched(before, body)).unwrap();
        let expected = json!({
            "param": {"realm": "b", "password": "new"}, "tags": ["x", "y"], "own": 1, "enabled": false,
            "variables": {"n": {"value": "1", "direction": "outbound"}},
        });
        assert_eq!(after, expected);
    }
}
