//! A document taken apart, for files: its members, and its secrets.

use super::{Document, Node, PARAM_KEYS, find, is_secret};

/// The value of a key.
pub enum Member<'a> {
    Object(Members<'a>),
    /// Anything else, as JSON.
    Json(&'a str),
}

/// The members of an object.
#[derive(Clone, Copy)]
pub struct Members<'a>(&'a [(String, Node)]);

impl<'a> Members<'a> {
    pub fn iter(self) -> impl Iterator<Item = (&'a str, Member<'a>)> {
        self.0.iter().map(|(key, node)| {
            let member = match node {
                Node::Object(members) => Member::Object(Members(members)),
                Node::Leaf(json) => Member::Json(json),
            };
            (key.as_str(), member)
        })
    }

    pub fn is_empty(self) -> bool {
        self.0.is_empty()
    }
}

impl Document {
    pub fn members(&self) -> Members<'_> {
        Members(&self.0)
    }

    pub fn has(&self, key: &str) -> bool {
        find(&self.0, key).is_some()
    }

    /// Takes a text out. `Err`: the value is something else.
    #[expect(clippy::result_unit_err, reason = "there is nothing more to say")]
    pub fn take_text(&mut self, key: &str) -> Result<Option<String>, ()> {
        match self.take(key) {
            None => Ok(None),
            Some(node) => node.text().map(Some).ok_or(()),
        }
    }

    /// Takes an object out. `Err`: the value is something else.
    #[expect(clippy::result_unit_err, reason = "there is nothing more to say")]
    pub fn take_object(&mut self, key: &str) -> Result<Option<Self>, ()> {
        match self.take(key) {
            None => Ok(None),
            Some(Node::Object(members)) => Ok(Some(Self(members))),
            Some(Node::Leaf(_)) => Err(()),
        }
    }

    /// Puts an object under a key that isn't there.
    pub fn put_object(&mut self, key: &str, object: Self) {
        self.0.push((key.to_owned(), Node::Object(object.0)));
    }

    /// Puts the members of another one behind those that are there.
    pub fn append(&mut self, other: Self) {
        self.0.extend(other.0);
    }

    /// Gives each secret that is a text another one.
    ///
    /// # Errors
    /// That of `change`, which gets the param and its text.
    pub fn change_secrets<E>(&mut self, mut change: impl FnMut(&str, String) -> Result<String, E>) -> Result<(), E> {
        for (key, node) in &mut self.0 {
            let Node::Object(params) = node else { continue };
            if !PARAM_KEYS.contains(&key.as_str()) {
                continue;
            }
            for (name, node) in params.iter_mut().filter(|(name, _)| is_secret(name)) {
                if let Some(text) = node.text() {
                    *node = Node::Leaf(serde_json::Value::from(change(name, text)?).to_string());
                }
            }
        }
        Ok(())
    }

    /// Leaves out secrets that are no texts.
    pub fn drop_odd_secrets(&mut self) {
        self.retain_params(|name, node| !is_secret(name) || node.text().is_some());
    }

    fn take(&mut self, key: &str) -> Option<Node> {
        let at = self.0.iter().position(|(known, _)| known == key)?;
        Some(self.0.remove(at).1)
    }
}

impl Node {
    /// If it is a string.
    fn text(&self) -> Option<String> {
        match self {
            Self::Leaf(json) => serde_json::from_str(json).ok(),
            Self::Object(_) => None,
        }
    }
}
