//! Whether a value is as a schema of the document says. As much of JSON Schema as the document uses.

use serde_json::{Map, Value};

/// What is wrong with the value.
pub(super) fn problems(document: &Value, schema: &Value, value: &Value, at: &str) -> Vec<String> {
    if let Some(reference) = schema["$ref"].as_str() {
        let schema = document.pointer(&reference[1..]).expect("a schema");
        return problems(document, schema, value, at);
    }
    if let Some(parts) = schema["allOf"].as_array() {
        let found = parts.iter().flat_map(|part| problems(document, part, value, at));
        // Each part knows only some of the keys.
        return found.filter(|problem| !is_undocumented(problem)).collect();
    }
    if let Some(choices) = schema["oneOf"].as_array() {
        let mut found: Vec<_> = choices
            .iter()
            .map(|choice| problems(document, choice, value, at))
            .collect();
        found.sort_by_key(|problems| {
            (
                problems.iter().filter(|problem| !is_undocumented(problem)).count(),
                problems.len(),
            )
        });
        return found.into_iter().next().unwrap_or_default();
    }
    let mut found = Vec::new();
    if !has_type(&schema["type"], value) {
        found.push(format!("{at}: {value} is no {}", schema["type"]));
    }
    if let Some(words) = schema["enum"].as_array()
        && !words.contains(value)
    {
        found.push(format!("{at}: {value} is none of {words:?}"));
    }
    if let Some(items) = value.as_array() {
        for (number, item) in items.iter().enumerate() {
            found.extend(problems(document, &schema["items"], item, &format!("{at}/{number}")));
        }
    }
    if let Some(object) = value.as_object() {
        found.extend(problems_of_keys(document, schema, object, at));
    }
    found
}

const UNDOCUMENTED: &str = "is not documented";

fn is_undocumented(problem: &str) -> bool {
    problem.ends_with(UNDOCUMENTED)
}

fn problems_of_keys(document: &Value, schema: &Value, object: &Map<String, Value>, at: &str) -> Vec<String> {
    let mut found = Vec::new();
    for key in schema["required"].as_array().into_iter().flatten() {
        if !object.contains_key(key.as_str().unwrap()) {
            found.push(format!("{at}: {key} is missing"));
        }
    }
    let properties = schema["properties"].as_object();
    let others = &schema["additionalProperties"];
    for (key, value) in object {
        let at = format!("{at}/{key}");
        match properties.and_then(|properties| properties.get(key)) {
            Some(property) => found.extend(problems(document, property, value, &at)),
            None if others.is_object() => found.extend(problems(document, others, value, &at)),
            None if properties.is_some() => found.push(format!("{at} {UNDOCUMENTED}")),
            None => {}
        }
    }
    found
}

fn has_type(kinds: &Value, value: &Value) -> bool {
    let is = |kind: &Value| match kind.as_str() {
        Some("null") => value.is_null(),
        Some("boolean") => value.is_boolean(),
        Some("integer") => value.is_i64() || value.is_u64(),
        Some("number") => value.is_number(),
        Some("string") => value.is_string(),
        Some("array") => value.is_array(),
        Some("object") => value.is_object(),
        other => panic!("an unknown type: {other:?}"),
    };
    match kinds {
        Value::Null => true,
        Value::Array(kinds) => kinds.iter().any(is),
        kind => is(kind),
    }
}

#[test]
fn a_value_that_a_schema_does_not_allow_is_noticed() {
    use serde_json::json;
    let schema = json!({"type": "object", "required": ["a"], "properties": {
        "a": {"type": ["string", "null"]}, "b": {"type": "array", "items": {"enum": ["x"]}},
    }});
    let of = |value: Value| problems(&json!({}), &schema, &value, "").len();
    assert_eq!(of(json!({"a": null, "b": ["x"]})), 0);
    for value in [
        json!([]),
        json!({}),
        json!({"a": 1}),
        json!({"a": "", "b": ["y"]}),
        json!({"a": "", "c": 1}),
    ] {
        assert_eq!(of(value.clone()), 1, "{value}");
    }
}
