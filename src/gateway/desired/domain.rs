//! What is known of one domain's key.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use imbl::OrdMap;
use imbl::ordmap::DiffItem;

use super::entry::Entry;
use crate::gateway::{DomainName, Fields, Finding, GatewayName, Severity};
use crate::language::{Message, message, text};

/// The domains by name.
pub(super) type Domains = BTreeMap<DomainName, Arc<Domain>>;

/// What is known of one domain's key.
#[derive(Clone, Default)]
pub(super) struct Domain {
    /// The last fields, to find changes; `None` if the key could not be read.
    pub(super) fields: Option<Arc<Fields>>,
    /// Fields with a valid name.
    pub(super) slots: OrdMap<GatewayName, Slot>,
    /// Findings about invalid names, by field.
    pub(super) bad_names: OrdMap<Arc<[u8]>, Arc<Finding>>,
    /// A finding about the key itself.
    pub(super) finding: Option<Arc<Finding>>,
    /// The key is not a hash, and its previous content is unknown.
    pub(super) is_unreadable: bool,
}

/// What is known of one field. Cheap to clone.
#[derive(Clone)]
pub(super) enum Slot {
    /// The usual case: the gateway is as in Redis, without findings.
    Plain(Arc<Entry>),
    Other(Arc<Other>),
}

pub(super) struct Other {
    pub(super) valid: Option<Valid>,
    pub(super) findings: Vec<Arc<Finding>>,
}

impl Slot {
    pub(super) fn new(valid: Option<Valid>, findings: Vec<Arc<Finding>>) -> Self {
        match valid {
            Some(Valid { older: None, entry }) if findings.is_empty() => Self::Plain(entry),
            valid => Self::Other(Arc::new(Other { valid, findings })),
        }
    }

    pub(super) fn is(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Plain(one), Self::Plain(other)) => Arc::ptr_eq(one, other),
            (Self::Other(one), Self::Other(other)) => Arc::ptr_eq(one, other),
            _ => false,
        }
    }

    pub(super) fn valid(&self) -> Option<Valid> {
        match self {
            Self::Plain(entry) => Some(Valid {
                older: None,
                entry: Arc::clone(entry),
            }),
            Self::Other(other) => other.valid.clone(),
        }
    }

    pub(super) fn findings(&self) -> &[Arc<Finding>] {
        match self {
            Self::Plain(_) => &[],
            Self::Other(other) => &other.findings,
        }
    }
}

/// The last valid version of a field's value.
#[derive(Clone)]
pub(super) struct Valid {
    /// The value of this version, if the field has another value now.
    pub(super) older: Option<Arc<[u8]>>,
    pub(super) entry: Arc<Entry>,
}

impl Domain {
    pub(super) fn last_valid(&self) -> Arc<Fields> {
        let is_newest = |slot: &Slot| slot.valid().is_some_and(|valid| valid.older.is_none());
        if let Some(fields) = &self.fields
            && fields.len() == self.slots.len()
            && self.slots.values().all(is_newest)
        {
            return Arc::clone(fields);
        }
        let values = self.values();
        let fields = self.slots.iter().filter_map(|(gateway, slot)| {
            let gateway = gateway.as_str().as_bytes();
            let value = match slot.valid()?.older {
                Some(older) => older.to_vec(),
                None => values.get(gateway)?.to_vec(),
            };
            Some((gateway.to_vec(), value))
        });
        Arc::new(fields.collect())
    }

    /// The values of the fields when last read.
    pub(super) fn values(&self) -> HashMap<&[u8], &[u8]> {
        self.fields.iter().flat_map(|fields| fields.iter()).collect()
    }

    /// Findings about the key and about invalid names.
    pub(super) fn findings(&self) -> impl Iterator<Item = &Arc<Finding>> {
        self.finding.iter().chain(self.bad_names.values())
    }

    /// The findings that `other` doesn't have.
    pub(super) fn differing_findings<'a>(&'a self, other: &'a Domain) -> impl Iterator<Item = &'a Arc<Finding>> {
        let own = self
            .finding
            .iter()
            .filter(|finding| other.finding.as_ref() != Some(*finding));
        own.chain(other.bad_names.diff(&self.bad_names).filter_map(|change| match change {
            DiffItem::Add(_, finding) => Some(finding),
            DiffItem::Update { new: (_, finding), .. } => Some(finding),
            DiffItem::Remove(..) => None,
        }))
    }
}

impl Valid {
    /// `value` is the field's value when this was the newest version.
    pub(super) fn keep(&self, reason: Message, value: Option<&[u8]>) -> Valid {
        let older = self.older.clone().or_else(|| value.map(Arc::from));
        let entry = match self.entry.kept.as_ref() == Some(&reason) {
            true => Arc::clone(&self.entry),
            false => Arc::new(Entry {
                gateway: self.entry.gateway.clone(),
                kept: Some(reason),
                rollback: None,
            }),
        };
        Valid { older, entry }
    }
}

pub(super) fn first_error(findings: &[Arc<Finding>]) -> Message {
    match findings
        .iter()
        .map(|finding| &**finding)
        .find(|f| f.severity == Severity::Error)
    {
        Some(Finding {
            field: Some(field),
            reason,
            ..
        }) => message!("{field}: {reason}", "{field}：{reason}", reason = reason),
        Some(Finding { reason, .. }) => reason.clone(),
        None => text("it is not valid", "无效").into(),
    }
}
