//! Whether two values mean the same, however they are written.

use serde_json::value::RawValue;

use super::super::json::{Json, items, members};
use super::{Document, Node, ValueChange, is_secret, is_unset};

/// Lists and objects inside of each other that are read. What is deeper counts as it is written.
const MAX_DEPTH: usize = 64;

impl Document {
    /// What differs in meaning: the order of keys, spaces, escapes and secrets that are not set don't
    /// matter. Digits of numbers do, because FreeSWITCH gets them as they are written.
    pub fn differences(before: Option<&Self>, after: Option<&Self>) -> Vec<ValueChange> {
        let plain = |document: Option<&Self>| document.map(|document| document.plain().0);
        Self::changes(plain(before).as_ref(), plain(after).as_ref())
    }

    /// The same value without spaces, needless escapes and secrets that are not set. `None` if a list in
    /// it is too deep, or has an escape that stands for no character.
    pub fn to_plain(&self) -> Option<Self> {
        let (plain, is_whole) = self.plain();
        is_whole.then_some(plain)
    }

    /// The same, as far as it goes, and whether it is whole.
    fn plain(&self) -> (Self, bool) {
        let mut plain = self.clone();
        plain.retain_params(|name, node| !(is_secret(name) && is_unset(node)));
        let is_whole = flatten(&mut plain.0);
        (plain, is_whole)
    }
}

fn flatten(members: &mut [(String, Node)]) -> bool {
    let mut is_whole = true;
    for (_, node) in members {
        match node {
            Node::Object(members) => is_whole &= flatten(members),
            Node::Leaf(text) if text.starts_with(['[', '{']) => {
                let raw: Option<&RawValue> = serde_json::from_str(text).ok();
                match raw.and_then(|raw| plain(&Json::one_level(raw), MAX_DEPTH)) {
                    Some(plain) => *text = plain,
                    None => is_whole = false,
                }
            }
            Node::Leaf(_) => {}
        }
    }
    is_whole
}

/// `None`: it is too deep, or has an escape that stands for no character.
fn plain(json: &Json<'_>, depth: usize) -> Option<String> {
    let text = |text: &str| serde_json::Value::from(text).to_string();
    Some(match json {
        Json::Null => "null".to_owned(),
        Json::Bool(value) => value.to_string(),
        Json::Number(digits) => (*digits).to_owned(),
        Json::String(value) => text(value),
        Json::BadString => return None,
        Json::Array(raw) => {
            let depth = depth.checked_sub(1)?;
            let items = items(raw);
            let items: Option<Vec<_>> = items.iter().map(|item| plain(item, depth)).collect();
            format!("[{}]", items?.join(","))
        }
        Json::Object(raw) => {
            let depth = depth.checked_sub(1)?;
            let mut members = members(raw)?.members;
            members.sort_by(|(one, _), (other, _)| one.cmp(other));
            let members = members.iter();
            let members: Option<Vec<_>> = members
                .map(|(key, value)| Some(format!("{}:{}", text(key), plain(value, depth)?)))
                .collect();
            format!("{{{}}}", members?.join(","))
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn is_same(one: &str, other: &str) -> bool {
        let read = |text: &str| Document::parse(text.as_bytes()).unwrap();
        Document::differences(Some(&read(one)), Some(&read(other))).is_empty()
    }

    #[test]
    fn spelling_is_no_difference_and_digits_are() {
        assert!(is_same(
            r#"{"a":1,"tags":["x", "\u0079"]}"#,
            r#"{"tags":["x","y"],"a":1}"#
        ));
        assert!(is_same(r#"{"x":[{"a":1, "b":[ ]}]}"#, r#"{"x":[{"b":[],"a":1}]}"#));
        assert!(!is_same(r#"{"x":[1.50]}"#, r#"{"x":[1.5]}"#));
        assert!(!is_same(r#"{"a":1.50}"#, r#"{"a":1.5}"#));
        assert!(!is_same(r#"{"a":"1"}"#, r#"{"a":1}"#));
    }

    #[test]
    fn a_secret_that_is_not_set_is_as_good_as_none() {
        assert!(is_same(
            r#"{"param":{"password":null}}"#,
            r#"{"param":{"password":""}}"#
        ));
        assert!(is_same(r#"{"param":{"password":""}}"#, r#"{"param":{}}"#));
        assert!(!is_same(r#"{"param":{"password":"p"}}"#, r#"{"param":{}}"#));
    }

    #[test]
    fn depth_does_not_exhaust_the_stack() {
        let deep = format!(r#"{{"a":{}{}}}"#, "[".repeat(100_000), "]".repeat(100_000));
        assert!(is_same(&deep, &deep));
    }
}
