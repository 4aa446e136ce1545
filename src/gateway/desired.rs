//! Which gateways are desired, of all that the domains' keys hold.
//!
//! Invalid is not removed: while a value is bad, its last valid version counts. Only a field or key that is gone,
//! `enabled: false`, and another `profile` or `nodes` take a gateway away.

use std::collections::btree_map::Entry as MapEntry;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use super::finding::shown;
use super::parse::{parse_name, parse_value};
use super::{Fields, Finding, Gateway, GatewayName, RawDomain, RawDomains, Rules, Severity};

/// A gateway that is served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    pub gateway: Gateway,
    /// Why this is an older version than the one in Redis, when it is: `new value refused, param.username: …`.
    pub kept: Option<String>,
}

/// How many fields of a domain are what; each field is counted once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize)]
pub struct Counts {
    /// Served as Redis has it.
    pub valid: usize,
    /// The value is refused; the last valid version counts.
    pub kept: usize,
    /// The name or the value is refused, and there is no valid version to keep.
    pub invalid: usize,
    /// Valid, and `enabled` is false.
    pub disabled: usize,
    /// Valid, but the name belongs to an earlier domain or to a template.
    pub shadowed: usize,
}

/// The gateways FreeSWITCH is to have, and everything there is to say about the others. Cheap to share in an `Arc`.
#[derive(Clone, Default)]
pub struct Desired {
    rules: Option<Arc<Rules>>,
    domains: BTreeMap<Arc<str>, Arc<Domain>>,
    served: BTreeMap<GatewayName, Arc<Entry>>,
    refused: BTreeMap<GatewayName, Refused>,
    findings: Vec<Finding>,
    counts: BTreeMap<String, Counts>,
    /// The switches that some served gateway names.
    nodes: BTreeSet<String>,
}

/// A name of which nothing is served, since the field that it belongs to is refused and no valid version of it is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    pub domain: Arc<str>,
    /// `param.realm: it is empty`.
    pub reason: String,
}

/// What is known of one domain's key.
#[derive(Clone, Default)]
struct Domain {
    /// As they were read, to know what changes; `None` when the key could not be read.
    fields: Option<Arc<Fields>>,
    /// Of the fields whose name is a gateway's.
    slots: BTreeMap<GatewayName, Arc<Slot>>,
    /// About the key itself, and about fields whose name is refused.
    findings: Vec<Finding>,
    /// How many those fields are.
    bad_names: usize,
    /// The key is no hash, and what it held before is not known.
    is_unreadable: bool,
}

/// What is known of one field.
struct Slot {
    valid: Option<Valid>,
    findings: Vec<Finding>,
}

/// The last valid version of a field's value.
#[derive(Clone)]
struct Valid {
    /// Where that is not the field's value any more.
    older: Option<Arc<[u8]>>,
    entry: Arc<Entry>,
}

impl Desired {
    /// Decides from what Redis holds. `previous` is the state before, whose valid versions are kept while a new value
    /// is bad. A field that did not change is not read again, and keeps its `Arc<Entry>`.
    pub fn build(raw: &RawDomains, rules: &Rules, previous: Option<&Desired>) -> Desired {
        let same_rules = previous
            .and_then(|p| p.rules.as_ref())
            .filter(|before| ***before == *rules);
        let known = Known {
            rules,
            unchanged_rules: same_rules.is_some(),
        };
        let rules = same_rules.map_or_else(|| Arc::new(rules.clone()), Arc::clone);

        let mut domains = BTreeMap::new();
        for (name, raw) in raw {
            let (name, before) = match previous.and_then(|p| p.domains.get_key_value(name.as_str())) {
                Some((name, domain)) => (Arc::clone(name), Some(domain)),
                None => (Arc::from(name.as_str()), None),
            };
            let domain = match raw {
                RawDomain::Hash(fields) => known.read_hash(&name, fields, before),
                RawDomain::WrongType(kind) => Arc::new(keep_all(&name, kind, before.map(|before| &**before))),
            };
            domains.insert(name, domain);
        }
        decide(domains, rules)
    }

    /// The gateway of that name, if it is served.
    pub fn get(&self, name: &str) -> Option<&Arc<Entry>> {
        self.served.get(name)
    }

    /// Every gateway that is served, by name.
    pub fn served(&self) -> &BTreeMap<GatewayName, Arc<Entry>> {
        &self.served
    }

    /// The names whose owner has a value that is refused: nothing is served of them, and what a switch runs under one stays as it is.
    pub fn refused(&self) -> &BTreeMap<GatewayName, Refused> {
        &self.refused
    }

    /// Of what is served, these alone.
    pub fn only(&self, names: &BTreeSet<GatewayName>) -> Desired {
        let served = names.iter().filter_map(|name| self.served.get_key_value(name));
        Desired {
            served: served.map(|(name, entry)| (name.clone(), Arc::clone(entry))).collect(),
            ..Desired::default()
        }
    }

    /// Whether a domain's key is no hash, and never was since anybody looked: its gateways are not among these, and are not gone either.
    pub fn has_unreadable_domain(&self) -> bool {
        self.domains.values().any(|domain| domain.is_unreadable)
    }

    /// Whether a gateway that is served names this switch. All that none names get the same gateways.
    pub fn names_node(&self, node: &str) -> bool {
        self.nodes.contains(node)
    }

    /// Sorted by place, each once.
    pub fn findings(&self) -> &[Finding] {
        &self.findings
    }

    /// domain → how many of its fields are what.
    pub fn counts(&self) -> &BTreeMap<String, Counts> {
        &self.counts
    }

    /// The last valid value of every gateway, served or not: what to put by so that after a restart `build(saved)` and
    /// then `build(current, Some(that))` serves what was served before.
    pub fn last_valid(&self) -> RawDomains {
        self.domains
            .iter()
            .map(|(name, domain)| {
                let fields = domain.slots.iter().filter_map(|(gateway, slot)| {
                    let value = match &slot.valid.as_ref()?.older {
                        Some(older) => older.to_vec(),
                        None => domain.value(gateway)?.to_vec(),
                    };
                    Some((gateway.as_str().as_bytes().to_vec(), value))
                });
                (name.to_string(), RawDomain::hash(fields))
            })
            .collect()
    }
}

impl fmt::Debug for Desired {
    /// Names only: the values that are kept for comparison hold passwords.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Desired")
            .field("served", &self.served)
            .field("findings", &self.findings)
            .field("counts", &self.counts)
            .finish_non_exhaustive()
    }
}

/// What fields are read under.
struct Known<'a> {
    rules: &'a Rules,
    /// Whether what was read before was read under the same rules.
    unchanged_rules: bool,
}

impl Known<'_> {
    fn read_hash(&self, domain: &Arc<str>, fields: &Arc<Fields>, before: Option<&Arc<Domain>>) -> Arc<Domain> {
        let fields_before = before.and_then(|before| before.fields.as_ref());
        if let Some(before) = before
            && self.unchanged_rules
            && fields_before.is_some_and(|before| Arc::ptr_eq(before, fields))
        {
            return Arc::clone(before);
        }
        let mut now = Domain {
            fields: Some(Arc::clone(fields)),
            ..Domain::default()
        };
        let mut found = Vec::with_capacity(fields.len());
        // All are sorted by the bytes of the name: one walk over them, without a search for each.
        let mut known = before.iter().flat_map(|before| &before.slots).peekable();
        let mut old_values = fields_before.iter().flat_map(|fields| fields.iter()).peekable();
        for (field, value) in &**fields {
            while known
                .next_if(|(name, _)| name.as_str().as_bytes() < &field[..])
                .is_some()
            {}
            while old_values.next_if(|(old, _)| *old < field).is_some() {}
            let old_value = old_values.next_if(|(old, _)| *old == field).map(|(_, value)| value);
            // A name that was there before needs no second check.
            if let Some((name, slot)) = known.next_if(|(name, _)| name.as_str().as_bytes() == &field[..]) {
                let before = Before {
                    slot,
                    value: old_value.map(Vec::as_slice),
                };
                found.push((name.clone(), value, Some(before)));
                continue;
            }
            match parse_name(domain, field) {
                Ok(name) => found.push((name, value, None)),
                Err(finding) => {
                    now.findings.push(*finding);
                    now.bad_names += 1;
                }
            }
        }
        let read = |(name, value, before): &(GatewayName, &Vec<u8>, Option<Before<'_>>)| {
            (name.clone(), self.read_field(domain, name, value, *before))
        };
        now.slots = match before {
            Some(_) => found.iter().map(read).collect(),
            // The first reading: ten thousand values take a core a tenth of a second.
            None => on_all_cores(&found, read).into_iter().collect(),
        };
        Arc::new(now)
    }

    fn read_field(&self, domain: &Arc<str>, name: &GatewayName, value: &[u8], before: Option<Before<'_>>) -> Arc<Slot> {
        if let Some(before) = before
            && self.unchanged_rules
            && before.value == Some(value)
        {
            return Arc::clone(before.slot);
        }
        let parsed = parse_value(domain, name, value, self.rules);
        let valid_before = before.and_then(|before| Some((before.slot.valid.as_ref()?, before.value)));
        let valid = match parsed.gateway {
            Some(gateway) => {
                let entry = Entry { gateway, kept: None };
                // Other bytes may say the same: then it is the same entry.
                let entry = match valid_before {
                    Some((before, _)) if *before.entry == entry => Arc::clone(&before.entry),
                    _ => Arc::new(entry),
                };
                Some(Valid { older: None, entry })
            }
            None => valid_before.map(|(before, value)| {
                let reason = format!("new value refused, {}", first_error(&parsed.findings));
                before.keep(reason, value)
            }),
        };
        Arc::new(Slot {
            valid,
            findings: parsed.findings,
        })
    }
}

/// What was known of a field, and its value then; `None` when that could not be read.
#[derive(Clone, Copy)]
struct Before<'a> {
    slot: &'a Arc<Slot>,
    value: Option<&'a [u8]>,
}

impl Domain {
    fn value(&self, gateway: &GatewayName) -> Option<&[u8]> {
        let value = self.fields.as_ref()?.get(gateway.as_str().as_bytes())?;
        Some(value)
    }
}

/// Does the work for each item, in their order.
fn on_all_cores<T: Sync, R: Send>(items: &[T], work: impl Fn(&T) -> R + Sync) -> Vec<R> {
    /// Fewer are done before another thread has begun.
    const A_CORE: usize = 500;
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let share = items.len().div_ceil(cores).max(A_CORE);
    let Some((first, others)) = items.split_at_checked(share) else {
        return items.iter().map(work).collect();
    };
    std::thread::scope(|scope| {
        let others: Vec<_> = others
            .chunks(share)
            .map(|part| scope.spawn(|| part.iter().map(&work).collect::<Vec<_>>()))
            .collect();
        let mut done: Vec<R> = first.iter().map(&work).collect();
        for part in others {
            done.extend(part.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        }
        done
    })
}

impl Valid {
    /// `value` is what the field held when this was its newest version.
    fn keep(&self, reason: String, value: Option<&[u8]>) -> Valid {
        let older = self.older.clone().or_else(|| value.map(Arc::from));
        let entry = match self.entry.kept.as_ref() == Some(&reason) {
            true => Arc::clone(&self.entry),
            false => Arc::new(Entry {
                gateway: self.entry.gateway.clone(),
                kept: Some(reason),
            }),
        };
        Valid { older, entry }
    }
}

fn first_error(findings: &[Finding]) -> String {
    match findings.iter().find(|f| f.severity == Severity::Error) {
        Some(Finding {
            field: Some(field),
            reason,
            ..
        }) => format!("{field}: {reason}"),
        Some(Finding { reason, .. }) => reason.clone(),
        None => "it is not valid".to_owned(),
    }
}

/// A key that is no hash takes nothing away: all that was valid in it goes on.
fn keep_all(domain: &Arc<str>, kind: &str, before: Option<&Domain>) -> Domain {
    let reason = format!(
        "the key of domain {} is of Redis type '{}', not a hash",
        shown(domain),
        shown(kind)
    );
    let known = before.into_iter().flat_map(|before| &before.slots);
    let slots = known.filter_map(|(name, slot)| {
        let value = before.and_then(|before| before.value(name));
        let valid = slot.valid.as_ref()?.keep(reason.clone(), value);
        Some((
            name.clone(),
            Arc::new(Slot {
                valid: Some(valid),
                findings: Vec::new(),
            }),
        ))
    });
    Domain {
        fields: None,
        slots: slots.collect(),
        is_unreadable: before.is_none_or(|before| before.is_unreadable),
        findings: vec![Finding {
            domain: domain.to_string(),
            gateway: None,
            field: None,
            severity: Severity::Error,
            reason: reason.clone(),
            mend: "delete the key, or store it as a hash; until then its gateways stay as they were".to_owned(),
        }],
        bad_names: 0,
    }
}

/// Who gets a name: a template before all domains, then the first domain by name. Gateways that are disabled claim nothing; one that is
/// refused and never was valid claims its name all the same, so that no typo, and no restart after it, sends its calls to another carrier.
fn decide(domains: BTreeMap<Arc<str>, Arc<Domain>>, rules: Arc<Rules>) -> Desired {
    let of_templates: BTreeSet<&GatewayName> = rules.profiles.values().flat_map(|facts| &facts.gateways).collect();
    let mut served: BTreeMap<GatewayName, Arc<Entry>> = BTreeMap::new();
    let mut refused: BTreeMap<GatewayName, Refused> = BTreeMap::new();
    let mut findings = Vec::new();
    let mut counts = BTreeMap::new();
    for (domain_name, domain) in &domains {
        let mut count = Counts {
            invalid: domain.bad_names,
            ..Counts::default()
        };
        findings.extend(domain.findings.iter().cloned());
        for (name, slot) in &domain.slots {
            findings.extend(slot.findings.iter().cloned());
            let Some(Valid { entry, .. }) = &slot.valid else {
                count.invalid += 1;
                if !of_templates.contains(name) && !served.contains_key(name) {
                    refused.entry(name.clone()).or_insert_with(|| Refused {
                        domain: Arc::clone(domain_name),
                        reason: first_error(&slot.findings),
                    });
                }
                continue;
            };
            let mut shadowed = false;
            if entry.gateway.enabled {
                let owner = if of_templates.contains(name) {
                    Some("a template".to_owned())
                } else if let Some(before) = refused.get(name) {
                    Some(format!("domain {}, by a value that is refused,", shown(&before.domain)))
                } else {
                    match served.entry(name.clone()) {
                        MapEntry::Vacant(place) => {
                            place.insert(Arc::clone(entry));
                            None
                        }
                        MapEntry::Occupied(place) => Some(format!("domain {}", shown(&place.get().gateway.domain))),
                    }
                };
                if let Some(owner) = owner {
                    shadowed = true;
                    findings.push(Finding {
                        domain: domain_name.to_string(),
                        gateway: Some(name.to_string()),
                        field: None,
                        severity: Severity::Error,
                        reason: format!(
                            "{owner} has a gateway of this name, and FreeSWITCH knows a name once, over all profiles"
                        ),
                        mend: "rename one of the two".to_owned(),
                    });
                }
            }
            match (&entry.kept, entry.gateway.enabled, shadowed) {
                (Some(_), _, _) => count.kept += 1,
                (None, false, _) => count.disabled += 1,
                (None, true, true) => count.shadowed += 1,
                (None, true, false) => count.valid += 1,
            }
        }
        counts.insert(domain_name.to_string(), count);
    }
    findings.sort_unstable();
    findings.dedup();
    let nodes = served.values().filter_map(|entry| entry.gateway.nodes.as_ref());
    let nodes = nodes.flatten().cloned().collect();
    Desired {
        rules: Some(Arc::clone(&rules)),
        domains,
        served,
        refused,
        findings,
        counts,
        nodes,
    }
}

#[cfg(test)]
mod tests {
    use super::super::{ProfileFacts, ProfileName};
    use super::*;

    fn name(name: &str) -> GatewayName {
        GatewayName::parse(name).unwrap()
    }

    /// With a template `external` that has these gateways of its own.
    fn rules(of_template: &[&str]) -> Rules {
        let external = ProfileName::parse("external").unwrap();
        let facts = ProfileFacts {
            tls: None,
            gateways: of_template.iter().map(|gateway| name(gateway)).collect(),
        };
        Rules {
            default_profile: external.clone(),
            profiles: [(external, facts)].into(),
        }
    }

    /// A domain of IP trunks with these realms and nodes.
    fn build(gateways: &[(&str, &str, &str)], rules: &Rules, previous: Option<&Desired>) -> Desired {
        let value = |realm, nodes| format!(r#"{{"param":{{"register":false,"realm":"{realm}"}},"nodes":{nodes}}}"#);
        let fields = gateways
            .iter()
            .map(|(name, realm, nodes)| (name.as_bytes().to_vec(), value(realm, nodes).into_bytes()));
        let domains = [("acme".to_owned(), RawDomain::hash(fields))].into();
        Desired::build(&domains, rules, previous)
    }

    #[test]
    fn of_what_is_served_some_can_be_taken_alone() {
        let all = build(&[("a", "1", "null"), ("b", "1", "null")], &rules(&[]), None);
        let some = all.only(&["a", "unknown"].map(name).into());
        assert!(Arc::ptr_eq(some.get("a").unwrap(), all.get("a").unwrap()));
        assert_eq!(some.served().len(), 1);
    }
}
