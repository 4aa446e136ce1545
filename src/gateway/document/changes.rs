//! What an edit changes, key by key.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::{Document, Node, PARAM_KEYS, is_secret};

/// One key of a gateway's value that an edit changes. A secret is only said to have changed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ValueChange {
    /// `param.realm`, `tags`.
    pub field: String,
    /// The value before; left out if there was none, or if it is secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<Value>,
    /// The value after; left out if there is none, or if it is secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<Value>,
    /// Whether the value is secret.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub secret: bool,
}

impl Document {
    /// What differs between two versions, in the order of the later one.
    pub fn changes(before: Option<&Self>, after: Option<&Self>) -> Vec<ValueChange> {
        let empty = Self::empty();
        let (before, after) = (before.unwrap_or(&empty), after.unwrap_or(&empty));
        let mut changes = Vec::new();
        compare(&mut changes, "", &before.0, &after.0);
        changes
    }

    /// The same of two stored values. What is no object counts as empty.
    pub fn byte_changes(before: Option<&[u8]>, after: Option<&[u8]>) -> Vec<ValueChange> {
        let read = |value: Option<&[u8]>| value.and_then(|value| Self::parse(value).ok());
        Self::changes(read(before).as_ref(), read(after).as_ref())
    }
}

fn compare(changes: &mut Vec<ValueChange>, path: &str, before: &[(String, Node)], after: &[(String, Node)]) {
    let find = |members: &[(String, Node)], key: &str| members.iter().position(|(known, _)| known == key);
    for (key, now) in after {
        let was = find(before, key).map(|at| &before[at].1);
        one(changes, path, key, was, Some(now));
    }
    for (key, was) in before.iter().filter(|(key, _)| find(after, key).is_none()) {
        one(changes, path, key, Some(was), None);
    }
}

fn one(changes: &mut Vec<ValueChange>, path: &str, key: &str, before: Option<&Node>, after: Option<&Node>) {
    if before == after {
        return;
    }
    let field = match path {
        "" => key.to_owned(),
        path => format!("{path}.{key}"),
    };
    let members = |node: Option<&Node>| match node {
        Some(Node::Object(members)) => Some(members.clone()),
        None => Some(Vec::new()),
        Some(Node::Leaf(_)) => None,
    };
    if let (Some(was), Some(now)) = (members(before), members(after))
        && !(was.is_empty() && now.is_empty())
    {
        return compare(changes, &field, &was, &now);
    }
    let secret = PARAM_KEYS.contains(&path) && is_secret(key);
    let shown = |node: Option<&Node>| node.filter(|_| !secret).map(value);
    changes.push(ValueChange {
        field,
        before: shown(before),
        after: shown(after),
        secret,
    });
}

fn value(node: &Node) -> Value {
    match node {
        Node::Leaf(text) => serde_json::from_str(text).unwrap_or(Value::Null),
        // The other side is no object. Its secrets stay out.
        Node::Object(members) => members
            .iter()
            .filter(|(key, _)| !is_secret(key))
            .map(|(key, node)| (key.clone(), value(node)))
            .collect::<serde_json::Map<_, _>>()
            .into(),
    }
}
