//! Values to set one by one, for people who don't write JSON.

use serde_json::Value;

use crate::gateway::{Direction, Document};

/// What to set in a gateway's value. Everything else stays.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Assignments {
    /// Name and value; `None` removes the param.
    pub params: Vec<(String, Option<String>)>,
    /// The same for variables.
    pub variables: Vec<(String, Option<String>)>,
    /// The calls that a variable is for.
    pub directions: Vec<(String, Direction)>,
    /// The switches that get the gateway; an empty list means all.
    pub nodes: Option<Vec<String>>,
    /// On how many of them it runs: `all`, `one`, or the whole key `placement`.
    pub placement: Option<Value>,
    /// The switches that it prefers if it runs on exactly one; an empty list means none.
    pub prefer: Option<Vec<String>>,
    /// Texts at the top, such as `profile`; an empty one removes the key.
    pub texts: Vec<(&'static str, String)>,
    pub enabled: Option<bool>,
    /// Tags to add.
    pub tags: Vec<String>,
    /// Tags to take away.
    pub untags: Vec<String>,
}

impl Assignments {
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    pub(super) fn apply(&self, value: &mut Document) {
        for (name, text) in &self.params {
            value.set_param(name, text.as_deref());
        }
        for (name, text) in &self.variables {
            value.set_variable(name, text.as_deref());
        }
        for (name, direction) in &self.directions {
            value.set_direction(name, *direction);
        }
        match &self.nodes {
            Some(nodes) if nodes.is_empty() => value.remove("nodes"),
            Some(nodes) => value.set("nodes", &nodes.as_slice().into()),
            None => {}
        }
        if let Some(placement) = &self.placement {
            value.set_placement(placement);
        }
        if let Some(prefer) = &self.prefer {
            value.set_prefer(prefer);
        }
        for (key, text) in &self.texts {
            match text.is_empty() {
                true => value.remove(key),
                false => value.set(key, &text.as_str().into()),
            }
        }
        if let Some(enabled) = self.enabled.filter(|enabled| *enabled != value.is_enabled()) {
            value.set("enabled", &enabled.into());
        }
        value.add_texts("tags", &self.tags);
        value.remove_texts("tags", &self.untags);
    }
}
