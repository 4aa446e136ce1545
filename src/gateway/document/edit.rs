//! Edits of single values, whichever spelling of `param` and `variables` stands there.

use serde_json::Value;

use super::super::Direction;
use super::{Document, NULL, Node, PARAM_KEYS, find, object, object_mut};

/// Both spellings of the key that variables are under.
const VARIABLE_KEYS: [&str; 2] = ["variables", "variable"];
/// The key that says on how many switches a gateway runs.
const PLACEMENT: &str = "placement";

impl Document {
    /// Sets a param; `None` removes it.
    pub fn set_param(&mut self, name: &str, value: Option<&str>) {
        self.set_member(PARAM_KEYS, name, value);
    }

    /// Sets a variable; `None` removes it. A direction that is written there stays.
    pub fn set_variable(&mut self, name: &str, value: Option<&str>) {
        self.set_member(VARIABLE_KEYS, name, value);
    }

    /// Limits a variable that is set to calls of one direction, or to none.
    pub fn set_direction(&mut self, name: &str, direction: Direction) {
        for key in VARIABLE_KEYS {
            if object(&self.0, key).is_some_and(|members| find(members, name).is_some()) {
                let members = object_mut(&mut self.0, key);
                members
                    .iter_mut()
                    .filter(|(known, _)| known == name)
                    .for_each(|(_, value)| limit(value, direction));
            }
        }
    }

    fn set_member(&mut self, keys: [&str; 2], name: &str, value: Option<&str>) {
        let has = |key: &&str| object(&self.0, key).is_some_and(|members| find(members, name).is_some());
        let here: Vec<_> = keys.into_iter().filter(has).collect();
        let Some(value) = value else {
            for key in here {
                object_mut(&mut self.0, key).retain(|(known, _)| known != name);
            }
            return;
        };
        // Of both spellings the first counts, and both must not differ.
        let at = match here.is_empty() {
            false => here,
            true if object(&self.0, keys[0]).is_none() && object(&self.0, keys[1]).is_some() => vec![keys[1]],
            true => vec![keys[0]],
        };
        for key in at {
            set(object_mut(&mut self.0, key), name, value);
        }
    }

    /// Adds texts that a list at the top doesn't have, such as `tags`.
    pub fn add_texts(&mut self, key: &str, texts: &[String]) {
        let mut all = self.texts(key);
        let count = all.len();
        for text in texts {
            if !all.contains(text) {
                all.push(text.clone());
            }
        }
        if all.len() > count {
            self.set(key, &all.into());
        }
    }

    /// Takes texts out of a list at the top. If none is left, the key goes, too.
    pub fn remove_texts(&mut self, key: &str, texts: &[String]) {
        let mut left = self.texts(key);
        let count = left.len();
        left.retain(|text| !texts.contains(text));
        match left.len() {
            0 if count > 0 => self.remove(key),
            len if len < count => self.set(key, &left.into()),
            _ => {}
        }
    }

    /// Sets on how many switches the gateway runs: `all`, `one`, or the whole key. If only that is given, what
    /// else the key holds stays.
    pub fn set_placement(&mut self, placement: &Value) {
        match placement.as_str() {
            Some(mode) if object(&self.0, PLACEMENT).is_some() => set(object_mut(&mut self.0, PLACEMENT), "mode", mode),
            Some("all") => self.remove(PLACEMENT),
            _ => {
                self.remove(PLACEMENT);
                let patch = serde_json::json!({ PLACEMENT: placement }).to_string();
                if let Ok(patch) = Self::parse(patch.as_bytes()) {
                    self.merge(&patch);
                }
            }
        }
    }

    /// Sets the switches that the gateway prefers if it runs on exactly one.
    pub fn set_prefer(&mut self, switches: &[String]) {
        let mode = self.text(PLACEMENT);
        if switches.is_empty() && object(&self.0, PLACEMENT).is_none() {
            return;
        }
        let members = object_mut(&mut self.0, PLACEMENT);
        if find(members, "mode").is_none() {
            set(members, "mode", mode.as_deref().unwrap_or("all"));
        }
        members.retain(|(known, _)| known != "prefer");
        if !switches.is_empty() {
            members.push(("prefer".to_owned(), Node::Leaf(Value::from(switches).to_string())));
        }
    }

    /// Takes over the keys at the top of `stored` that this document doesn't have, but for params and
    /// variables.
    pub fn keep_keys(&mut self, stored: &Self) {
        for (key, node) in &stored.0 {
            let is_value = PARAM_KEYS.contains(&key.as_str()) || VARIABLE_KEYS.contains(&key.as_str());
            if !is_value && find(&self.0, key).is_none() {
                self.0.push((key.clone(), node.clone()));
            }
        }
    }

    /// Removes a key at the top.
    pub fn remove(&mut self, key: &str) {
        self.0.retain(|(known, _)| known != key);
    }
}

fn set(members: &mut Vec<(String, Node)>, name: &str, value: &str) {
    let new = Node::Leaf(Value::from(value).to_string());
    match members.iter_mut().find(|(known, _)| known == name) {
        // `{"value": "x", "direction": "inbound"}`.
        Some((_, Node::Object(parts))) if find(parts, "value").is_some() => set(parts, "value", value),
        Some((_, Node::Leaf(text))) if is_same(text, value) => {}
        Some((_, known)) => *known = new,
        None => members.push((name.to_owned(), new)),
    }
}

/// `"x"` becomes `{"value": "x", "direction": "inbound"}`, or the other way round.
fn limit(value: &mut Node, direction: Direction) {
    let word = Node::Leaf(Value::from(direction.as_str()).to_string());
    match value {
        Node::Object(parts) if direction == Direction::Both => {
            let at = parts.iter().position(|(key, _)| key == "value");
            if let Some(at) = at {
                *value = parts.swap_remove(at).1;
            }
        }
        Node::Object(parts) => match parts.iter_mut().find(|(key, _)| key == "direction") {
            Some((_, known)) => *known = word,
            None => parts.push(("direction".to_owned(), word)),
        },
        Node::Leaf(_) if direction == Direction::Both => {}
        Node::Leaf(text) => {
            let text = Node::Leaf(std::mem::take(text));
            *value = Node::Object(vec![("value".to_owned(), text), ("direction".to_owned(), word)]);
        }
    }
}

/// `25` and `"25"` mean the same.
fn is_same(written: &str, value: &str) -> bool {
    let text: Option<String> = serde_json::from_str(written).ok();
    written != NULL && text.as_deref().unwrap_or(written) == value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(before: &str, edit: impl FnOnce(&mut Document), after: &str) {
        let mut document = Document::parse(before.as_bytes()).unwrap();
        edit(&mut document);
        assert_eq!(document.to_json(), after);
    }

    #[test]
    fn a_param_is_set_under_the_spelling_that_stands_there() {
        let set = |document: &mut Document| document.set_param("realm", Some("r"));
        check("{}", set, r#"{"param":{"realm":"r"}}"#);
        check(r#"{"params":{"realm":"x"}}"#, set, r#"{"params":{"realm":"r"}}"#);
        check(r#"{"params":{"ping":1}}"#, set, r#"{"params":{"ping":1,"realm":"r"}}"#);
        check(
            r#"{"param":{"realm":"x"},"params":{"realm":"y"}}"#,
            set,
            r#"{"param":{"realm":"r"},"params":{"realm":"r"}}"#,
        );
        check(r#"{"param":null}"#, set, r#"{"param":{"realm":"r"}}"#);
    }

    #[test]
    fn what_means_the_same_stays_as_it_is_written() {
        let set = |document: &mut Document| document.set_param("ping", Some("25"));
        check(r#"{"param":{"ping":25}}"#, set, r#"{"param":{"ping":25}}"#);
        check(r#"{"param":{"ping":"25"}}"#, set, r#"{"param":{"ping":"25"}}"#);
        check(r#"{"param":{"ping":26}}"#, set, r#"{"param":{"ping":"25"}}"#);
    }

    #[test]
    fn a_removed_param_is_gone_under_both_spellings() {
        let remove = |document: &mut Document| document.set_param("realm", None);
        check(
            r#"{"param":{"realm":"x","a":1},"params":{"realm":"y"}}"#,
            remove,
            r#"{"param":{"a":1},"params":{}}"#,
        );
        check("{}", remove, "{}");
    }

    #[test]
    fn keys_that_are_not_mentioned_are_kept_but_for_params_and_variables() {
        let stored = r#"{"param":{"ping":1},"variables":{"a":"b"},"tags":["x"],"nodes":["fs1"],"odd":{"y":1}}"#;
        let stored = Document::parse(stored.as_bytes()).unwrap();
        check(
            r#"{"param":{"realm":"r"},"nodes":["fs2"]}"#,
            |document| document.keep_keys(&stored),
            r#"{"param":{"realm":"r"},"nodes":["fs2"],"tags":["x"],"odd":{"y":1}}"#,
        );
    }

    #[test]
    fn the_placement_is_set_and_what_else_the_key_holds_stays() {
        let mode = |mode: &str| {
            let mode = Value::from(mode);
            move |document: &mut Document| document.set_placement(&mode)
        };
        check("{}", mode("one"), r#"{"placement":"one"}"#);
        check(r#"{"placement":"one"}"#, mode("all"), "{}");
        let long = r#"{"placement":{"mode":"one","failback":"after 10m"}}"#;
        check(
            long,
            mode("all"),
            r#"{"placement":{"mode":"all","failback":"after 10m"}}"#,
        );
        let whole = serde_json::json!({"mode": "one", "prefer": ["fs1"]});
        let set = |document: &mut Document| document.set_placement(&whole);
        check(long, set, r#"{"placement":{"mode":"one","prefer":["fs1"]}}"#);
    }

    #[test]
    fn preferred_switches_are_set_beside_the_mode() {
        let prefer = |switches: &[&str]| {
            let switches: Vec<_> = switches.iter().map(ToString::to_string).collect();
            move |document: &mut Document| document.set_prefer(&switches)
        };
        let both = r#"{"placement":{"mode":"one","prefer":["fs2","fs1"]}}"#;
        check(r#"{"placement":"one"}"#, prefer(&["fs2", "fs1"]), both);
        check(
            both,
            prefer(&["fs3"]),
            r#"{"placement":{"mode":"one","prefer":["fs3"]}}"#,
        );
        check(both, prefer(&[]), r#"{"placement":{"mode":"one"}}"#);
        check(r#"{"placement":"one"}"#, prefer(&[]), r#"{"placement":"one"}"#);
        check(
            "{}",
            prefer(&["fs1"]),
            r#"{"placement":{"mode":"all","prefer":["fs1"]}}"#,
        );
    }

    #[test]
    fn a_variable_keeps_its_direction() {
        let set = |document: &mut Document| document.set_variable("p:x", Some("2"));
        check(
            r#"{"variables":{"p:x":{"value":"1","direction":"inbound"}}}"#,
            set,
            r#"{"variables":{"p:x":{"value":"2","direction":"inbound"}}}"#,
        );
        check(r#"{"variable":{"a":"b"}}"#, set, r#"{"variable":{"a":"b","p:x":"2"}}"#);
    }

    #[test]
    fn a_direction_is_set_and_taken_away() {
        let inbound = |document: &mut Document| document.set_direction("a", Direction::Inbound);
        let both = |document: &mut Document| document.set_direction("a", Direction::Both);
        let limited = r#"{"variables":{"a":{"value":"1","direction":"inbound"},"b":"2"}}"#;
        let outbound = limited.replace("inbound", "outbound");
        check(r#"{"variables":{"a":"1","b":"2"}}"#, inbound, limited);
        check(&outbound, inbound, limited);
        check(limited, both, r#"{"variables":{"a":"1","b":"2"}}"#);
        check(r#"{"variable":{"a":1}}"#, both, r#"{"variable":{"a":1}}"#);
        check("{}", inbound, "{}");
    }
}
