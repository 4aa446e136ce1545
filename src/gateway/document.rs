//! A gateway's value as an operator edits it: keys that trunkd doesn't know, the order of keys and
//! the digits of numbers stay as they were written.

mod changes;
mod edit;
mod parts;
mod same;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use serde_json::value::RawValue;

use super::json::{Json, members};
use super::params;
use crate::language::{Message, message, text};

pub use changes::ValueChange;
pub use parts::{Member, Members};

/// Objects inside of objects that are merged key by key. Deeper ones are replaced whole.
const MAX_DEPTH: usize = 16;

/// Both spellings of the key that params are under.
const PARAM_KEYS: [&str; 2] = ["param", "params"];

/// An object of JSON. Cheap to edit, and written back as it was read.
#[derive(Clone, PartialEq, Eq)]
pub struct Document(Vec<(String, Node)>);

#[derive(Clone, PartialEq, Eq)]
enum Node {
    Object(Vec<(String, Node)>),
    /// Anything else, as it was written.
    Leaf(String),
}

const NULL: &str = "null";

impl Document {
    /// Reads an object. The error is a sentence that repeats nothing of the text.
    ///
    /// # Errors
    /// It isn't JSON in UTF-8, or no object.
    pub fn parse(value: &[u8]) -> Result<Self, Message> {
        let utf8 = std::str::from_utf8(value).map_err(|_| text("it is not UTF-8", "它不是 UTF-8"))?;
        let not_json = |error: Message| message!("it is not JSON: {error}", "它不是 JSON：{error}", error = error);
        match Json::read(utf8).map_err(not_json)? {
            Json::Object(raw) => {
                let bad_key = text(
                    "a key has an escape that stands for no character",
                    "某个键含有不对应任何字符的转义",
                );
                read_object(raw, MAX_DEPTH).map(Self).ok_or_else(|| bad_key.into())
            }
            other => Err(message!(
                "it is {kind}, not an object",
                "它是{kind}，不是对象",
                kind = other.kind()
            )),
        }
    }

    /// The object without any key.
    pub fn empty() -> Self {
        Self(Vec::new())
    }

    /// Applies a JSON Merge Patch (RFC 7396): `null` removes a key, an object is merged, anything
    /// else replaces.
    pub fn merge(&mut self, patch: &Self) {
        merge(&mut self.0, &patch.0);
    }

    /// Takes over the secrets of `stored` that this document doesn't mention, and removes those that
    /// it sets to `null`.
    pub fn keep_secrets(&mut self, stored: &Self) {
        let mentioned: BTreeSet<String> = PARAM_KEYS
            .iter()
            .flat_map(|key| object(&self.0, key).unwrap_or_default())
            .map(|(name, _)| name.clone())
            .collect();
        for from in PARAM_KEYS {
            let params = object(&stored.0, from).unwrap_or_default();
            let secrets = params.iter().filter(|(name, node)| is_secret(name) && !is_unset(node));
            for (name, secret) in secrets.filter(|(name, _)| !mentioned.contains(name)) {
                // Under the key where it was, if that is there.
                let to = match [from, PARAM_KEYS[1]]
                    .into_iter()
                    .find(|key| object(&self.0, key).is_some())
                {
                    Some(key) => key,
                    None => PARAM_KEYS[0],
                };
                let params = object_mut(&mut self.0, to);
                if find(params, name).is_none() {
                    params.push((name.clone(), secret.clone()));
                }
            }
        }
        self.retain_params(|name, node| !(is_secret(name) && *node == Node::Leaf(NULL.to_owned())));
    }

    /// The same without its secrets.
    pub fn without_secrets(&self) -> Self {
        let mut public = self.clone();
        public.retain_params(|name, _| !is_secret(name));
        public
    }

    /// Where secrets are set: `param.password`.
    pub fn secrets(&self) -> Vec<String> {
        PARAM_KEYS
            .iter()
            .flat_map(|key| {
                let params = object(&self.0, key).unwrap_or_default();
                params
                    .iter()
                    .filter(|(name, node)| is_secret(name) && !is_unset(node))
                    .map(move |(name, _)| format!("{key}.{name}"))
            })
            .collect()
    }

    /// The text of a secret, such as `password`.
    pub fn secret(&self, name: &str) -> Option<String> {
        let (_, node) = self.secret_nodes().find(|(known, _)| *known == name)?;
        match node {
            Node::Leaf(text) => serde_json::from_str(text).ok(),
            Node::Object(_) => None,
        }
    }

    /// The text of a key at the top, such as `description`.
    pub fn text(&self, key: &str) -> Option<String> {
        match find(&self.0, key)? {
            Node::Leaf(text) => serde_json::from_str(text).ok(),
            Node::Object(_) => None,
        }
    }

    /// The text of a param that is no secret: a string as it is, anything else as it was written.
    pub fn param(&self, name: &str) -> Option<String> {
        let node = PARAM_KEYS.iter().find_map(|key| find(object(&self.0, key)?, name))?;
        match node {
            Node::Leaf(text) if !is_secret(name) && !is_unset(node) => {
                Some(serde_json::from_str(text).unwrap_or_else(|_| text.clone()))
            }
            _ => None,
        }
    }

    /// `enabled`, as `parse` reads it; true if it isn't there or makes no sense.
    pub fn is_enabled(&self) -> bool {
        let Some(Node::Leaf(text)) = find(&self.0, "enabled") else {
            return true;
        };
        let text: String = serde_json::from_str(text).unwrap_or_else(|_| text.clone());
        text == NULL || !super::freeswitch::is_false(&text)
    }

    /// The texts of a list at the top, such as `tags`. What is no text is left out.
    pub fn texts(&self, key: &str) -> Vec<String> {
        let Some(Node::Leaf(text)) = find(&self.0, key) else {
            return Vec::new();
        };
        let items: Vec<serde_json::Value> = serde_json::from_str(text).unwrap_or_default();
        items
            .into_iter()
            .filter_map(|item| item.as_str().map(str::to_owned))
            .collect()
    }

    /// Sets a key at the top.
    pub fn set(&mut self, key: &str, value: &serde_json::Value) {
        let node = Node::Leaf(value.to_string());
        match self.0.iter_mut().find(|(known, _)| known == key) {
            Some((_, known)) => *known = node,
            None => self.0.push((key.to_owned(), node)),
        }
    }

    pub fn to_json(&self) -> String {
        let mut out = String::new();
        write_object(&mut out, &self.0);
        out
    }

    /// For an answer that contains it.
    pub fn to_raw(&self) -> Box<RawValue> {
        // What was read from JSON is JSON.
        RawValue::from_string(self.to_json()).unwrap_or_else(|_| RawValue::NULL.to_owned())
    }

    fn secret_nodes(&self) -> impl Iterator<Item = (&str, &Node)> {
        let params = PARAM_KEYS.iter().filter_map(|key| object(&self.0, key));
        let named = params.flatten().map(|(name, node)| (name.as_str(), node));
        named.filter(|(name, node)| is_secret(name) && !is_unset(node))
    }

    fn retain_params(&mut self, keep: impl Fn(&str, &Node) -> bool) {
        for (key, node) in &mut self.0 {
            if let Node::Object(params) = node
                && PARAM_KEYS.contains(&key.as_str())
            {
                params.retain(|(name, node)| keep(name, node));
            }
        }
    }
}

/// Whether the value of a param may never be shown.
pub(super) fn is_secret(param: &str) -> bool {
    params::param(param).is_some_and(|spec| spec.secret)
}

/// `null` and the empty string mean "not set".
fn is_unset(node: &Node) -> bool {
    matches!(node, Node::Leaf(text) if text == NULL || text == "\"\"")
}

fn read_object(raw: &RawValue, depth: usize) -> Option<Vec<(String, Node)>> {
    let read = |(key, json): (String, Json<'_>)| {
        let node = match json {
            Json::Object(raw) if depth > 0 => Node::Object(read_object(raw, depth - 1)?),
            Json::Object(raw) | Json::Array(raw) => Node::Leaf(raw.get().to_owned()),
            Json::Null => Node::Leaf(NULL.to_owned()),
            Json::Bool(value) => Node::Leaf(value.to_string()),
            Json::Number(digits) => Node::Leaf(digits.to_owned()),
            Json::String(text) => Node::Leaf(serde_json::Value::from(text).to_string()),
            Json::BadString => return None,
        };
        Some((key, node))
    };
    members(raw)?.members.into_iter().map(read).collect()
}

fn merge(into: &mut Vec<(String, Node)>, patch: &[(String, Node)]) {
    for (key, node) in patch {
        match node {
            Node::Leaf(text) if text == NULL => into.retain(|(known, _)| known != key),
            Node::Leaf(_) => match into.iter_mut().find(|(known, _)| known == key) {
                Some((_, known)) => *known = node.clone(),
                None => into.push((key.clone(), node.clone())),
            },
            Node::Object(patch) => merge(object_mut(into, key), patch),
        }
    }
}

fn find<'a>(members: &'a [(String, Node)], key: &str) -> Option<&'a Node> {
    members.iter().find(|(known, _)| known == key).map(|(_, node)| node)
}

fn object<'a>(members: &'a [(String, Node)], key: &str) -> Option<&'a [(String, Node)]> {
    match find(members, key)? {
        Node::Object(members) => Some(members),
        Node::Leaf(_) => None,
    }
}

/// The object under the key. It is made, also in place of something else, if it isn't there.
fn object_mut<'a>(members: &'a mut Vec<(String, Node)>, key: &str) -> &'a mut Vec<(String, Node)> {
    let at = members.iter().position(|(known, _)| known == key).unwrap_or_else(|| {
        members.push((key.to_owned(), Node::Object(Vec::new())));
        members.len() - 1
    });
    let node = &mut members[at].1;
    if let Node::Leaf(_) = node {
        *node = Node::Object(Vec::new());
    }
    match node {
        Node::Object(members) => members,
        Node::Leaf(_) => unreachable!("it was just made an object"),
    }
}

fn write_object(out: &mut String, members: &[(String, Node)]) {
    out.push('{');
    for (at, (key, node)) in members.iter().enumerate() {
        if at > 0 {
            out.push(',');
        }
        out.push_str(&serde_json::Value::from(key.as_str()).to_string());
        out.push(':');
        match node {
            Node::Object(members) => write_object(out, members),
            Node::Leaf(text) => out.push_str(text),
        }
    }
    out.push('}');
}
