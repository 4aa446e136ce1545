//! Gateways that are served, and names under which nothing is served.

use std::sync::Arc;

use imbl::OrdMap;
use imbl::ordmap::DiffItem;

use crate::gateway::{Finding, Gateway, GatewayName, Rollback, Severity};
use crate::language::Message;

/// A gateway that is served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    pub gateway: Gateway,
    /// Set if this is an older version than the one in Redis: `new value refused, param.username: …`.
    pub kept: Option<Message>,
    /// Set if it is so because the edit in Redis is not carried out.
    pub rollback: Option<Arc<Rollback>>,
}

impl Entry {
    /// The finding that the edit in Redis is not carried out, if so.
    pub fn rolled_back(&self, edited: &[u8]) -> Option<Finding> {
        let rollback = self.rollback.as_ref()?;
        Some(Finding {
            domain: self.gateway.domain.to_string(),
            gateway: Some(self.gateway.name.to_string()),
            field: None,
            severity: Severity::Warning,
            reason: rollback.reason(edited),
            fix: rollback.fix().into(),
        })
    }
}

/// The served gateways by name. Successive states share what did not change, and a comparison costs what
/// changed.
pub type Entries = OrdMap<GatewayName, Arc<Entry>>;

/// A gateway that differs between two states.
#[derive(Clone, Copy)]
pub struct EntryChange<'a> {
    pub name: &'a GatewayName,
    pub before: Option<&'a Arc<Entry>>,
    pub now: Option<&'a Arc<Entry>>,
}

impl<'a> EntryChange<'a> {
    /// In order of names.
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

/// Names under which nothing is served. Successive states share what did not change.
pub type RefusedNames = OrdMap<GatewayName, Arc<Refused>>;

/// A name under which nothing is served: its field is refused, and no valid version is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    pub domain: Arc<str>,
    /// `param.realm: it is empty`.
    pub reason: Message,
}
