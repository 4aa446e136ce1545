//! Reads the fields of a domain that changed.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;

use imbl::OrdMap;

use super::domain::{Domain, Slot, Valid, first_error};
use super::entry::Entry;
use crate::all_cores::on_all_cores;
use crate::gateway::finding::shown;
use crate::gateway::parse::{parse_name, parse_value};
use crate::gateway::{FieldChange, Fields, Finding, Gateway, GatewayName, Records, Rules, Severity};
use crate::language::{Message, message, text};

/// Reads fields under these rules.
pub(super) struct FieldReader<'a> {
    pub(super) rules: &'a Rules,
    /// Whether the previous state was read under the same rules.
    pub(super) unchanged_rules: bool,
    /// Edits that are not carried out, and the switches that gateways are on.
    pub(super) records: &'a Records,
    /// The gateways for which these differ from the previous state's.
    pub(super) decided_again: BTreeSet<GatewayName>,
}

impl FieldReader<'_> {
    /// Adds changed names to `changed`.
    pub(super) fn read_hash(
        &self,
        domain: &Arc<str>,
        fields: &Arc<Fields>,
        before: Option<&Arc<Domain>>,
        changed: &mut BTreeSet<GatewayName>,
    ) -> Arc<Domain> {
        let known = before.and_then(|before| before.fields.as_ref());
        let is_same = known.is_some_and(|known| Arc::ptr_eq(known, fields));
        let changes = match known {
            Some(known) if self.unchanged_rules => self.changes(fields, known, is_same),
            _ => all_fields(fields, before.map(|before| &**before)),
        };
        match before {
            Some(before) if is_same && changes.is_empty() => return Arc::clone(before),
            _ => {}
        }
        let mut now = before.map(|before| Domain::clone(before)).unwrap_or_default();
        now.fields = Some(Arc::clone(fields));
        now.finding = None;
        now.is_unreadable = false;
        let mut found = Vec::with_capacity(changes.len());
        for change in changes {
            // A known name needs no second check.
            let slot = std::str::from_utf8(change.name)
                .ok()
                .and_then(|name| now.slots.get_key_value(name));
            let known = slot.map(|(name, slot)| (name.clone(), slot.clone()));
            now.bad_names.remove(change.name);
            match (change.now, known) {
                (Some(value), Some((name, slot))) => {
                    let value_before = change.before;
                    found.push((
                        name,
                        value,
                        Some(Before {
                            slot,
                            value: value_before,
                        }),
                    ));
                }
                (Some(value), None) => match parse_name(domain, change.name) {
                    Ok(name) => found.push((name, value, None)),
                    Err(finding) => {
                        now.bad_names.insert(change.name.into(), Arc::from(finding));
                    }
                },
                (None, Some((name, _))) => {
                    now.slots.remove(&name);
                    changed.insert(name);
                }
                (None, None) => {}
            }
        }
        // The first read: ten thousand values take one core a tenth of a second.
        let read = on_all_cores(&found, |part| {
            let read = |(name, value, before): &(GatewayName, &[u8], Option<Before<'_>>)| {
                self.read_field(domain, name, value, before.as_ref())
            };
            part.iter().map(read).collect::<Vec<_>>()
        });
        for ((name, _, before), slot) in found.into_iter().zip(read.into_iter().flatten()) {
            if before.is_none_or(|before| !before.slot.is(&slot)) {
                now.slots.insert(name.clone(), slot);
                changed.insert(name);
            }
        }
        Arc::new(now)
    }

    /// Changed fields, and unchanged ones whose edit is now carried out, or no longer.
    fn changes<'a>(&'a self, fields: &'a Fields, known: &'a Fields, is_same: bool) -> Vec<FieldChange<'a>> {
        let mut changes = if is_same { Vec::new() } else { fields.changes(known) };
        let changed: HashSet<_> = changes.iter().map(|change| change.name).collect();
        let decided_again = self.decided_again.iter().map(|name| name.as_str().as_bytes());
        let decided_again = decided_again.filter(|name| !changed.contains(name)).filter_map(|name| {
            let value = Some(fields.get(name)?);
            Some(FieldChange {
                name,
                before: value,
                now: value,
            })
        });
        let decided_again: Vec<_> = decided_again.collect();
        changes.extend(decided_again);
        changes
    }

    fn read_field(&self, domain: &Arc<str>, name: &GatewayName, value: &[u8], before: Option<&Before<'_>>) -> Slot {
        if let Some(before) = before
            && self.unchanged_rules
            && before.value == Some(value)
            && !self.decided_again.contains(name)
        {
            return before.slot.clone();
        }
        let parsed = parse_value(domain, name, value, self.rules);
        let mut findings: Vec<_> = parsed.findings.into_iter().map(Arc::new).collect();
        if parsed.gateway.is_some()
            && let Some(good) = self.good_version(domain, name, value, &mut findings)
        {
            return Slot::new(Some(good), findings);
        }
        let valid_before = before.and_then(|before| Some((before.slot.valid()?, before.value)));
        let valid = match parsed.gateway {
            Some(gateway) => {
                let entry = Entry {
                    gateway: self.placed(gateway),
                    kept: None,
                    rollback: None,
                };
                // Other bytes may mean the same gateway.
                let entry = match valid_before {
                    Some((before, _)) if *before.entry == entry => Arc::clone(&before.entry),
                    _ => Arc::new(entry),
                };
                Some(Valid { older: None, entry })
            }
            None => valid_before.map(|(before, value)| {
                let reason = message!(
                    "new value refused, {problem}",
                    "新值被拒绝，{problem}",
                    problem = first_error(&findings)
                );
                self.place(before.keep(reason, value))
            }),
        };
        Slot::new(valid, findings)
    }

    /// The version that runs in place of this edit, if the edit is not carried out.
    fn good_version(
        &self,
        domain: &Arc<str>,
        name: &GatewayName,
        edited: &[u8],
        findings: &mut Vec<Arc<Finding>>,
    ) -> Option<Valid> {
        let rollback = self.records.rollbacks.about(domain, name, edited)?;
        if !rollback.phase.keeps_old() {
            return None;
        }
        let good = rollback.good.as_bytes();
        let gateway = parse_value(domain, name, good, self.rules).gateway?;
        let entry = Entry {
            gateway: self.placed(gateway),
            kept: Some(rollback.reason(edited)),
            rollback: Some(Arc::clone(rollback)),
        };
        findings.extend(entry.rolled_back(edited).map(Arc::new));
        Some(Valid {
            older: Some(good.into()),
            entry: Arc::new(entry),
        })
    }

    /// The gateway on the switch that it is on.
    fn placed(&self, mut gateway: Gateway) -> Gateway {
        if gateway.placement.is_some() {
            let owner = self.records.placements.owner(&gateway.name);
            gateway.nodes = Some(owner.map(str::to_owned).into_iter().collect());
        }
        gateway
    }

    /// The same for a version that is kept.
    fn place(&self, valid: Valid) -> Valid {
        let gateway = &valid.entry.gateway;
        let owner = self.records.placements.owner(&gateway.name);
        let is_there = gateway.nodes.iter().flatten().map(String::as_str).eq(owner);
        if gateway.placement.is_none() || is_there {
            return valid;
        }
        let entry = Entry::clone(&valid.entry);
        let entry = Entry {
            gateway: self.placed(entry.gateway),
            ..entry
        };
        Valid {
            entry: Arc::new(entry),
            ..valid
        }
    }

    /// A key that is not a hash removes nothing: its valid gateways stay. Adds changed names to `changed`.
    pub(super) fn keep_all(
        &self,
        domain: &Arc<str>,
        kind: &str,
        before: Option<&Arc<Domain>>,
        changed: &mut BTreeSet<GatewayName>,
    ) -> Arc<Domain> {
        let (reason, finding) = wrong_type(domain, kind);
        if let Some(before) = before
            && before.finding.as_deref() == Some(&finding)
            && self.decided_again.is_empty()
        {
            return Arc::clone(before);
        }
        let values = before.map(|before| before.values()).unwrap_or_default();
        let known = before.into_iter().flat_map(|before| &before.slots);
        let slots = known.filter_map(|(name, slot)| {
            changed.insert(name.clone());
            let value = values.get(name.as_str().as_bytes()).copied();
            let valid = self.place(slot.valid()?.keep(reason.clone(), value));
            Some((name.clone(), Slot::new(Some(valid), Vec::new())))
        });
        Arc::new(Domain {
            fields: None,
            slots: slots.collect(),
            bad_names: OrdMap::new(),
            finding: Some(Arc::new(finding)),
            is_unreadable: before.is_none_or(|before| before.is_unreadable),
        })
    }
}

/// What was known of a field, and its value; `None` if that could not be read.
struct Before<'a> {
    slot: Slot,
    value: Option<&'a [u8]>,
}

/// All fields as if changed, and deleted ones, by name.
fn all_fields<'a>(fields: &'a Fields, before: Option<&'a Domain>) -> Vec<FieldChange<'a>> {
    let mut all = BTreeMap::new();
    let of = |name| FieldChange {
        name,
        before: None,
        now: None,
    };
    if let Some(before) = before {
        let values = before.values();
        let names = before.slots.keys().map(|name| name.as_str().as_bytes());
        for name in names.chain(before.bad_names.keys().map(|name| &**name)) {
            let value = values.get(name).copied();
            all.insert(
                name,
                FieldChange {
                    before: value,
                    ..of(name)
                },
            );
        }
    }
    for (name, value) in fields.iter() {
        all.entry(name).or_insert(of(name)).now = Some(value);
    }
    all.into_values().collect()
}

/// Why the key of a domain can't be read.
fn wrong_type(domain: &str, kind: &str) -> (Message, Finding) {
    let (name, kind) = (shown(domain), shown(kind));
    let reason = message!(
        "the key of domain {name} is of Redis type '{kind}', not a hash",
        "域 {name} 的键的 Redis 类型为 '{kind}'，不是 hash"
    );
    let finding = Finding {
        domain: domain.to_owned(),
        gateway: None,
        field: None,
        severity: Severity::Error,
        reason: reason.clone(),
        fix: text(
            "delete the key, or store it as a hash; until then its gateways stay as they were",
            "请删除该键，或将其存为 hash；在此之前其网关保持不变",
        )
        .into(),
    };
    (reason, finding)
}
