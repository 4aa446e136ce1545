//! Gateways that are served, and names of which nothing is served.

use std::sync::Arc;

use imbl::OrdMap;
use imbl::ordmap::DiffItem;

use crate::gateway::{Gateway, GatewayName};

/// A gateway that is served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    pub gateway: Gateway,
    /// Why this is an older version than the one in Redis, when it is: `new value refused, param.username: …`.
    pub kept: Option<String>,
}

/// Every gateway that is served, by name. Two of states that follow each other share what did not change, and are compared by what did.
pub type Entries = OrdMap<GatewayName, Arc<Entry>>;

/// A gateway that is not served as it was, or not served any more.
#[derive(Clone, Copy)]
pub struct EntryChange<'a> {
    pub name: &'a GatewayName,
    pub before: Option<&'a Arc<Entry>>,
    pub now: Option<&'a Arc<Entry>>,
}

impl<'a> EntryChange<'a> {
    /// In the order of the names.
    pub fn between(before: &'a Entries, now: &'a Entries) -> impl Iterator<Item = Self> {
        before.diff(now).map(|item| match item {
            DiffItem::Add(name, now) => Self {
                name,
                before: None,
                now: Some(now),
            },
            DiffItem::Update { old, new } => Self {
                name: new.0,
                before: Some(old.1),
                now: Some(new.1),
            },
            DiffItem::Remove(name, before) => Self {
                name,
                before: Some(before),
                now: None,
            },
        })
    }
}

/// Every name of which nothing is served for that reason. Two of states that follow each other share what did not change.
pub type RefusedNames = OrdMap<GatewayName, Arc<Refused>>;

/// A name of which nothing is served, since the field that it belongs to is refused and no valid version of it is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    pub domain: Arc<str>,
    /// `param.realm: it is empty`.
    pub reason: String,
}
