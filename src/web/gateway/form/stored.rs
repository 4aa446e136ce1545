//! A gateway's stored value, as a form shows it.

use serde_json::{Map, Value};

use super::sent::SentVariable;
use crate::gateway::{Document, is_false};
use crate::operate::gateways::GatewayDetail;

pub(super) const PLACEMENT: &str = "placement";
pub(super) const PREFER: &str = "placement.prefer";
pub(super) const FAILBACK: &str = "placement.failback";

/// On how many switches a gateway runs, as it is written.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Placement {
    /// `all` or `one`.
    pub(super) mode: String,
    /// The best switch first.
    pub(super) prefer: Vec<String>,
    pub(super) failback: String,
}

/// The value without its secrets.
pub(in crate::web::gateway) struct Stored {
    document: Document,
    value: Map<String, Value>,
    /// `param.password`
    secrets: Vec<String>,
}

impl Stored {
    /// Nothing yet.
    pub(super) fn empty() -> Self {
        Self {
            document: Document::empty(),
            value: Map::new(),
            secrets: Vec::new(),
        }
    }

    /// `None` if it is no JSON object.
    pub(in crate::web::gateway) fn of(detail: &GatewayDetail) -> Option<Self> {
        let text = detail.value.as_ref()?.get();
        Some(Self {
            document: Document::parse(text.as_bytes()).ok()?,
            value: serde_json::from_str(text).ok()?,
            secrets: detail.secrets.clone(),
        })
    }

    /// The key that params are under, in the spelling that the value uses.
    pub(super) fn param_key(&self) -> &'static str {
        self.spelling("param", "params")
    }

    /// The same of variables.
    pub(super) fn variable_key(&self) -> &'static str {
        self.spelling("variables", "variable")
    }

    fn spelling(&self, name: &'static str, other: &'static str) -> &'static str {
        match !self.value.contains_key(name) && self.value.contains_key(other) {
            true => other,
            false => name,
        }
    }

    /// A param's text; empty if it isn't set.
    pub(in crate::web::gateway) fn param(&self, name: &str) -> String {
        self.document.param(name).unwrap_or_default()
    }

    /// The params that are set to a text, number or boolean.
    pub(super) fn param_names(&self) -> Vec<&str> {
        let params = self.value.get(self.param_key()).and_then(Value::as_object);
        let scalar = |(_, value): &(&String, &Value)| !value.is_object() && !value.is_array();
        let names = params.into_iter().flatten().filter(scalar);
        names.map(|(name, _)| name.as_str()).collect()
    }

    pub(super) fn variables(&self) -> Vec<SentVariable> {
        let variables = self.value.get(self.variable_key()).and_then(Value::as_object);
        variables.into_iter().flatten().map(variable).collect()
    }

    /// A text of a key at the top; also of a number.
    pub(in crate::web::gateway) fn text(&self, key: &str) -> String {
        self.value.get(key).map(scalar).unwrap_or_default()
    }

    pub(in crate::web::gateway) fn texts(&self, key: &str) -> Vec<String> {
        self.document.texts(key)
    }

    pub(super) fn placement(&self) -> Placement {
        let parts = self.value.get(PLACEMENT).and_then(Value::as_object);
        let part = |name: &str| parts.and_then(|parts| parts.get(name));
        let prefer = part("prefer").and_then(Value::as_array).into_iter().flatten();
        let mode = match parts {
            Some(_) => part("mode").map(scalar).unwrap_or_default(),
            None => self.text(PLACEMENT),
        };
        Placement {
            mode: if mode.is_empty() { "all".to_owned() } else { mode },
            prefer: prefer.map(scalar).collect(),
            failback: part("failback").map(scalar).unwrap_or_default(),
        }
    }

    /// Whether [`PLACEMENT`] has parts.
    pub(super) fn has_placement_parts(&self) -> bool {
        self.value.get(PLACEMENT).is_some_and(Value::is_object)
    }

    pub(in crate::web::gateway) fn is_enabled(&self) -> bool {
        self.document.is_enabled()
    }

    /// Whether an edit that the carrier refuses may be taken back.
    pub(super) fn may_roll_back(&self) -> bool {
        let word = self.text("rollback");
        word.is_empty() || !is_false(&word)
    }

    pub(super) fn has_secret(&self, param: &str) -> bool {
        self.secrets.iter().any(|path| is_at(path, param))
    }

    /// The key that a secret is under.
    pub(super) fn secret_key(&self, param: &str) -> &str {
        let path = self.secrets.iter().find(|path| is_at(path, param));
        path.and_then(|path| Some(path.split_once('.')?.0))
            .unwrap_or(self.param_key())
    }

    /// Keys at the top that trunkd doesn't know.
    pub(super) fn unknown_keys(&self, known: impl Fn(&str) -> bool) -> Vec<&str> {
        let keys = self.value.keys().map(String::as_str);
        keys.filter(|key| !known(key)).collect()
    }
}

fn scalar(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Number(_) | Value::Bool(_) => value.to_string(),
        _ => String::new(),
    }
}

fn is_at(path: &str, param: &str) -> bool {
    path.split_once('.').is_some_and(|(_, name)| name == param)
}

fn variable((name, value): (&String, &Value)) -> SentVariable {
    let text = |value: &Value| match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        value => value.to_string(),
    };
    let (value, direction) = match value {
        Value::Object(inner) => (
            inner.get("value").map(text).unwrap_or_default(),
            inner.get("direction").map(text).unwrap_or_default(),
        ),
        value => (text(value), String::new()),
    };
    SentVariable {
        name: name.clone(),
        value,
        // As if it weren't there.
        direction: if direction == "both" { String::new() } else { direction },
    }
}

#[cfg(test)]
impl Stored {
    pub(super) fn from_json(value: &str, secrets: &[&str]) -> Self {
        Self {
            document: Document::parse(value.as_bytes()).unwrap().without_secrets(),
            value: serde_json::from_str(value).unwrap(),
            secrets: secrets.iter().map(|&secret| secret.to_owned()).collect(),
        }
    }
}
