//! Which gateways are desired, of all that the domains' keys hold.
//!
//! Invalid is not removed: while a value is bad, its last valid version counts. Only a field or key that is gone,
//! `enabled: false`, and another `profile` or `nodes` take a gateway away.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::ops::{Add, Sub};
use std::sync::Arc;

use imbl::OrdMap;
use imbl::ordmap::DiffItem;

use super::finding::shown;
use super::parse::{parse_name, parse_value};
use super::{
    DomainName, FieldChange, Fields, Finding, Findings, Gateway, GatewayName, RawDomain, RawDomains, Rules, Severity,
};
use crate::all_cores::on_all_cores;

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

impl Counts {
    fn each(self, other: Self, of: impl Fn(usize, usize) -> usize) -> Self {
        Self {
            valid: of(self.valid, other.valid),
            kept: of(self.kept, other.kept),
            invalid: of(self.invalid, other.invalid),
            disabled: of(self.disabled, other.disabled),
            shadowed: of(self.shadowed, other.shadowed),
        }
    }
}

/// The gateways FreeSWITCH is to have, and everything there is to say about the others. Cheap to clone, and two that follow each other share what did
/// not change.
#[derive(Clone, Default)]
pub struct Desired {
    rules: Option<Arc<Rules>>,
    domains: Domains,
    served: Entries,
    refused: RefusedNames,
    findings: Findings,
    counts: BTreeMap<String, Counts>,
    /// The switches that some served gateway names, and how many do.
    nodes: BTreeMap<String, usize>,
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

/// What is known of each domain's key. The first by name comes first.
type Domains = BTreeMap<DomainName, Arc<Domain>>;

/// What is known of one domain's key.
#[derive(Clone, Default)]
struct Domain {
    /// As they were read, to know what changes; `None` when the key could not be read.
    fields: Option<Arc<Fields>>,
    /// Of the fields whose name is a gateway's.
    slots: OrdMap<GatewayName, Slot>,
    /// What is wrong with the names of the others, by field.
    bad_names: OrdMap<Arc<[u8]>, Arc<Finding>>,
    /// About the key itself.
    finding: Option<Arc<Finding>>,
    /// The key is no hash, and what it held before is not known.
    is_unreadable: bool,
}

/// What is known of one field. Cheap to clone.
#[derive(Clone)]
enum Slot {
    /// Of ten thousand nearly all: the gateway is as Redis has it, and there is nothing to say about it.
    Plain(Arc<Entry>),
    Other(Arc<Other>),
}

struct Other {
    valid: Option<Valid>,
    findings: Vec<Arc<Finding>>,
}

impl Slot {
    fn new(valid: Option<Valid>, findings: Vec<Arc<Finding>>) -> Self {
        match valid {
            Some(Valid { older: None, entry }) if findings.is_empty() => Self::Plain(entry),
            valid => Self::Other(Arc::new(Other { valid, findings })),
        }
    }

    fn is(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Plain(one), Self::Plain(other)) => Arc::ptr_eq(one, other),
            (Self::Other(one), Self::Other(other)) => Arc::ptr_eq(one, other),
            _ => false,
        }
    }

    fn valid(&self) -> Option<Valid> {
        match self {
            Self::Plain(entry) => Some(Valid {
                older: None,
                entry: Arc::clone(entry),
            }),
            Self::Other(other) => other.valid.clone(),
        }
    }

    fn findings(&self) -> &[Arc<Finding>] {
        match self {
            Self::Plain(_) => &[],
            Self::Other(other) => &other.findings,
        }
    }
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
        let mut changed = BTreeSet::new();
        for (name, raw) in raw {
            let before = previous.and_then(|previous| previous.domains.get(name));
            let domain = match raw {
                RawDomain::Hash(fields) => known.read_hash(name.text(), fields, before, &mut changed),
                RawDomain::WrongType(kind) => keep_all(name.text(), kind, before, &mut changed),
            };
            domains.insert(name.clone(), domain);
        }
        let before = previous.filter(|_| known.unchanged_rules);
        match before {
            Some(before) => before.with(domains, changed, &rules),
            None => Desired::decide(domains, rules),
        }
    }

    /// The gateway of that name, if it is served.
    pub fn get(&self, name: &str) -> Option<&Arc<Entry>> {
        self.served.get(name)
    }

    /// Every gateway that is served, by name.
    pub fn served(&self) -> &Entries {
        &self.served
    }

    /// The names whose owner has a value that is refused: nothing is served of them, and what a switch runs under one stays as it is.
    pub fn refused(&self) -> &RefusedNames {
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
        self.nodes.contains_key(node)
    }

    /// What is served and none of these switches gets, by name: `nodes` names others alone, or none at all. Where no switch is
    /// known, any that is named may be one.
    pub fn on_no_switch(&self, switches: &[impl AsRef<str>]) -> Vec<&Arc<Entry>> {
        let switches: BTreeSet<_> = switches.iter().map(AsRef::as_ref).collect();
        let is_nowhere = |nodes: &[String]| {
            nodes.is_empty() || !switches.is_empty() && !nodes.iter().any(|node| switches.contains(node.as_str()))
        };
        let entries = self.served.values();
        entries
            .filter(|entry| entry.gateway.nodes.as_deref().is_some_and(is_nowhere))
            .collect()
    }

    /// How many of the gateways that are served name this switch.
    pub fn naming(&self, node: &str) -> usize {
        self.nodes.get(node).copied().unwrap_or_default()
    }

    /// The switches that some served gateway names.
    pub fn nodes(&self) -> impl Iterator<Item = &str> {
        self.nodes.keys().map(String::as_str)
    }

    /// This state, but with these names as `other` has them, or does not.
    pub fn with_those_of(&self, other: &Desired, names: &BTreeSet<GatewayName>) -> Desired {
        let mut next = self.clone();
        for name in names {
            if let Some(before) = next.served.remove(name) {
                count_nodes(&mut next.nodes, &before, |count| count - 1);
            }
            if let Some((name, now)) = other.served.get_key_value(name) {
                count_nodes(&mut next.nodes, now, |count| count + 1);
                next.served.insert(name.clone(), Arc::clone(now));
            }
        }
        next
    }

    /// Sorted by place, each once.
    pub fn findings(&self) -> &Findings {
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
            .map(|(name, domain)| (name.clone(), RawDomain::Hash(domain.last_valid())))
            .collect()
    }

    /// Decides about every name.
    fn decide(domains: Domains, rules: Arc<Rules>) -> Self {
        let mut decision = Decision::of(&rules);
        for (name, domain) in &domains {
            for (gateway, slot) in &domain.slots {
                decision.take(name.text(), gateway, slot);
            }
        }
        let mut findings = Findings::default();
        let own = domains.values().flat_map(|domain| domain.findings());
        own.chain(&decision.findings).for_each(|finding| findings.add(finding));
        let mut nodes = BTreeMap::new();
        for entry in decision.served.values() {
            count_nodes(&mut nodes, entry, |count| count + 1);
        }
        let counts = domains.iter().map(|(name, domain)| {
            let mut counts = decision.counts.get(name.text()).copied().unwrap_or_default();
            counts.invalid += domain.bad_names.len();
            (name.to_string(), counts)
        });
        let counts = counts.collect();
        Self {
            served: decision.served.into_iter().collect(),
            refused: decision.refused.into_iter().collect(),
            findings,
            counts,
            nodes,
            rules: Some(rules),
            domains,
        }
    }

    /// The state after this one, in which these names may be another's, or another thing, in any of the domains.
    fn with(&self, domains: Domains, mut changed: BTreeSet<GatewayName>, rules: &Arc<Rules>) -> Self {
        let gone = self.domains.iter().filter(|(name, _)| !domains.contains_key(*name));
        changed.extend(gone.flat_map(|(_, domain)| domain.slots.keys().cloned()));
        // A look at each name in each domain costs more than a walk over all that there are.
        let fields: usize = domains.values().map(|domain| domain.slots.len()).sum();
        if changed.len() * domains.len() > fields {
            return Self::decide(domains, Arc::clone(rules));
        }
        let about = |domains: &Domains| {
            let mut decision = Decision::of(rules);
            for (name, domain) in domains {
                for gateway in &changed {
                    if let Some((gateway, slot)) = domain.slots.get_key_value(gateway) {
                        decision.take(name.text(), gateway, slot);
                    }
                }
            }
            decision
        };
        let (old, new) = (about(&self.domains), about(&domains));
        let mut next = Self {
            rules: self.rules.clone(),
            served: self.served.clone(),
            refused: self.refused.clone(),
            findings: self.findings.clone(),
            counts: self.counts_with(&domains, &old, &new),
            nodes: self.nodes.clone(),
            domains: BTreeMap::new(),
        };
        for (gateway, entry) in &old.served {
            next.served.remove(gateway);
            count_nodes(&mut next.nodes, entry, |count| count - 1);
        }
        for (gateway, entry) in &new.served {
            next.served.insert(gateway.clone(), Arc::clone(entry));
            count_nodes(&mut next.nodes, entry, |count| count + 1);
        }
        old.refused
            .keys()
            .for_each(|gateway| drop(next.refused.remove(gateway)));
        next.refused.extend(new.refused);
        old.findings.iter().for_each(|finding| next.findings.remove(finding));
        new.findings.iter().for_each(|finding| next.findings.add(finding));
        let none = Arc::<Domain>::default();
        for (name, before) in &self.domains {
            let now = domains.get(name).unwrap_or(&none);
            before
                .differing_findings(now)
                .for_each(|finding| next.findings.remove(finding));
            now.differing_findings(before)
                .for_each(|finding| next.findings.add(finding));
        }
        let come = domains.iter().filter(|(name, _)| !self.domains.contains_key(*name));
        come.flat_map(|(_, domain)| domain.findings())
            .for_each(|finding| next.findings.add(finding));
        next.domains = domains;
        next
    }

    /// What is counted once some names are decided anew.
    fn counts_with(&self, domains: &Domains, old: &Decision<'_>, new: &Decision<'_>) -> BTreeMap<String, Counts> {
        let counts = domains.iter().map(|(name, domain)| {
            let of = |counts: &BTreeMap<Arc<str>, Counts>| counts.get(name.text()).copied().unwrap_or_default();
            let bad_names_before = self.domains.get(name).map_or(0, |before| before.bad_names.len());
            let mut counts = self.counts.get(&**name.text()).copied().unwrap_or_default();
            counts.invalid += domain.bad_names.len();
            counts = counts + of(&new.counts) - of(&old.counts);
            counts.invalid -= bad_names_before;
            (name.to_string(), counts)
        });
        counts.collect()
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
    /// Adds the names of which something changed to `changed`.
    fn read_hash(
        &self,
        domain: &Arc<str>,
        fields: &Arc<Fields>,
        before: Option<&Arc<Domain>>,
        changed: &mut BTreeSet<GatewayName>,
    ) -> Arc<Domain> {
        let fields_before = before.and_then(|before| before.fields.as_ref());
        let changes = match (before, fields_before) {
            (Some(before), Some(known)) if self.unchanged_rules && Arc::ptr_eq(known, fields) => {
                return Arc::clone(before);
            }
            (Some(_), Some(known)) if self.unchanged_rules => fields.changes(known),
            _ => all_fields(fields, before.map(|before| &**before)),
        };
        let mut now = before.map(|before| Domain::clone(before)).unwrap_or_default();
        now.fields = Some(Arc::clone(fields));
        now.finding = None;
        now.is_unreadable = false;
        let mut found = Vec::with_capacity(changes.len());
        for change in changes {
            // A name that was there before needs no second check.
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
        // The first reading: ten thousand values take a core a tenth of a second.
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

    fn read_field(&self, domain: &Arc<str>, name: &GatewayName, value: &[u8], before: Option<&Before<'_>>) -> Slot {
        if let Some(before) = before
            && self.unchanged_rules
            && before.value == Some(value)
        {
            return before.slot.clone();
        }
        let parsed = parse_value(domain, name, value, self.rules);
        let findings: Vec<_> = parsed.findings.into_iter().map(Arc::new).collect();
        let valid_before = before.and_then(|before| Some((before.slot.valid()?, before.value)));
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
                let reason = format!("new value refused, {}", first_error(&findings));
                before.keep(reason, value)
            }),
        };
        Slot::new(valid, findings)
    }
}

/// What was known of a field, and its value then; `None` when that could not be read.
struct Before<'a> {
    slot: Slot,
    value: Option<&'a [u8]>,
}

/// Every field as if it had changed, and those that are gone, by name.
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

impl Domain {
    fn last_valid(&self) -> Arc<Fields> {
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

    /// What the fields held when they were read last.
    fn values(&self) -> HashMap<&[u8], &[u8]> {
        self.fields.iter().flat_map(|fields| fields.iter()).collect()
    }

    /// About the key, and about names that are none.
    fn findings(&self) -> impl Iterator<Item = &Arc<Finding>> {
        self.finding.iter().chain(self.bad_names.values())
    }

    /// Those of them that `other` does not have.
    fn differing_findings<'a>(&'a self, other: &'a Domain) -> impl Iterator<Item = &'a Arc<Finding>> {
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

fn first_error(findings: &[Arc<Finding>]) -> String {
    match findings
        .iter()
        .map(|finding| &**finding)
        .find(|f| f.severity == Severity::Error)
    {
        Some(Finding {
            field: Some(field),
            reason,
            ..
        }) => format!("{field}: {reason}"),
        Some(Finding { reason, .. }) => reason.clone(),
        None => "it is not valid".to_owned(),
    }
}

/// A key that is no hash takes nothing away: all that was valid in it goes on. Adds the names of which something changed to `changed`.
fn keep_all(
    domain: &Arc<str>,
    kind: &str,
    before: Option<&Arc<Domain>>,
    changed: &mut BTreeSet<GatewayName>,
) -> Arc<Domain> {
    let reason = format!(
        "the key of domain {} is of Redis type '{}', not a hash",
        shown(domain),
        shown(kind)
    );
    let finding = Some(Arc::new(Finding {
        domain: domain.to_string(),
        gateway: None,
        field: None,
        severity: Severity::Error,
        reason: reason.clone(),
        fix: "delete the key, or store it as a hash; until then its gateways stay as they were".to_owned(),
    }));
    if let Some(before) = before
        && before.finding == finding
    {
        return Arc::clone(before);
    }
    let values = before.map(|before| before.values()).unwrap_or_default();
    let known = before.into_iter().flat_map(|before| &before.slots);
    let slots = known.filter_map(|(name, slot)| {
        changed.insert(name.clone());
        let value = values.get(name.as_str().as_bytes()).copied();
        let valid = slot.valid()?.keep(reason.clone(), value);
        Some((name.clone(), Slot::new(Some(valid), Vec::new())))
    });
    Arc::new(Domain {
        fields: None,
        slots: slots.collect(),
        bad_names: OrdMap::new(),
        finding,
        is_unreadable: before.is_none_or(|before| before.is_unreadable),
    })
}

/// Who gets a name: a template before all domains, then the first domain by name. Gateways that are disabled claim nothing; one that is
/// refused and never was valid claims its name all the same, so that no typo, and no restart after it, sends its calls to another carrier.
///
/// What becomes of a name has nothing to do with other names: so some can be decided again, and the rest stands.
struct Decision<'a> {
    rules: &'a Rules,
    served: BTreeMap<GatewayName, Arc<Entry>>,
    refused: BTreeMap<GatewayName, Arc<Refused>>,
    findings: Vec<Arc<Finding>>,
    counts: BTreeMap<Arc<str>, Counts>,
}

impl<'a> Decision<'a> {
    fn of(rules: &'a Rules) -> Self {
        Self {
            rules,
            served: BTreeMap::new(),
            refused: BTreeMap::new(),
            findings: Vec::new(),
            counts: BTreeMap::new(),
        }
    }

    fn is_of_template(&self, name: &GatewayName) -> bool {
        self.rules.profiles.values().any(|facts| facts.gateways.contains(name))
    }

    /// Takes a field in. Of one name, those of earlier domains come first.
    fn take(&mut self, domain: &Arc<str>, name: &GatewayName, slot: &Slot) {
        let is_of_template = self.is_of_template(name);
        let counts = self.counts.entry(Arc::clone(domain)).or_default();
        self.findings.extend(slot.findings().iter().cloned());
        let Some(Valid { entry, .. }) = slot.valid() else {
            counts.invalid += 1;
            if !is_of_template && !self.served.contains_key(name) {
                self.refused.entry(name.clone()).or_insert_with(|| {
                    Arc::new(Refused {
                        domain: Arc::clone(domain),
                        reason: first_error(slot.findings()),
                    })
                });
            }
            return;
        };
        let mut owner = None;
        if entry.gateway.enabled {
            if is_of_template {
                owner = Some("a template".to_owned());
            } else if let Some(before) = self.refused.get(name) {
                owner = Some(format!("domain {}, by a value that is refused,", shown(&before.domain)));
            } else if let Some(before) = self.served.get(name) {
                owner = Some(format!("domain {}", shown(&before.gateway.domain)));
            } else {
                self.served.insert(name.clone(), Arc::clone(&entry));
            }
        }
        match (&entry.kept, entry.gateway.enabled, &owner) {
            (Some(_), _, _) => counts.kept += 1,
            (None, false, _) => counts.disabled += 1,
            (None, true, Some(_)) => counts.shadowed += 1,
            (None, true, None) => counts.valid += 1,
        }
        if let Some(owner) = owner {
            self.findings.push(Arc::new(Finding {
                domain: domain.to_string(),
                gateway: Some(name.to_string()),
                field: None,
                severity: Severity::Error,
                reason: format!(
                    "{owner} has a gateway of this name, and FreeSWITCH knows a name once, over all profiles"
                ),
                fix: "rename one of the two".to_owned(),
            }));
        }
    }
}

/// Counts the switches that an entry names, one by one; what comes to nothing is forgotten.
fn count_nodes(nodes: &mut BTreeMap<String, usize>, entry: &Entry, count: impl Fn(usize) -> usize) {
    for node in entry.gateway.nodes.iter().flatten() {
        let known = nodes.remove(node).unwrap_or_default();
        if let counted @ 1.. = count(known) {
            nodes.insert(node.clone(), counted);
        }
    }
}

impl Add for Counts {
    type Output = Self;

    fn add(self, more: Self) -> Self {
        self.each(more, usize::add)
    }
}

impl Sub for Counts {
    type Output = Self;

    fn sub(self, less: Self) -> Self {
        self.each(less, usize::sub)
    }
}

#[cfg(test)]
mod tests {
    use super::super::findings::work::comparisons;
    use super::super::{ProfileFacts, ProfileName};
    use super::*;

    fn name(name: &str) -> GatewayName {
        GatewayName::parse(name).unwrap()
    }

    /// With a template `external` that has these gateways of its own.
    fn rules(of_template: &[&str]) -> Rules {
        let external = ProfileName::parse("external").unwrap();
        let facts = ProfileFacts {
            gateways: of_template.iter().map(|gateway| name(gateway)).collect(),
            ..ProfileFacts::default()
        };
        Rules::new(external.clone(), [(external, facts)].into())
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

    #[test]
    fn what_no_switch_gets_can_be_listed() {
        let gateways = [
            ("all", "1", "null"),
            ("none", "1", "[]"),
            ("one", "1", r#"["fs1"]"#),
            ("upper", "1", r#"["FS1"]"#),
            ("either", "1", r#"["fs1","fs9"]"#),
        ];
        let desired = build(&gateways, &rules(&[]), None);
        let names = |switches: &[&str]| -> Vec<String> {
            let entries = desired.on_no_switch(switches);
            entries.iter().map(|entry| entry.gateway.name.to_string()).collect()
        };
        assert_eq!(names(&["fs1", "fs2"]), ["none", "upper"]);
        assert_eq!(names(&["fs2"]), ["either", "none", "one", "upper"]);
        assert_eq!(names(&[]), ["none"]);
    }

    /// Valid gateways, each with four keys of an operator's own, and fields that are refused.
    fn with_findings(valid: usize, refused: usize, realm_of_gw7: &str) -> RawDomains {
        let own = |n| {
            let realm = if n == 7 { realm_of_gw7 } else { "sip.example.net" };
            format!(r#"{{"param":{{"register":false,"realm":"{realm}"}},"a":1,"b":2,"c":3,"d":4}}"#)
        };
        let valid = (0..valid).map(|n| (format!("gw{n}"), own(n)));
        let refused_values = (0..refused).map(|n| (format!("refused{n}"), "{".to_owned()));
        let refused_names = (0..refused).map(|n| (format!("no name {n}"), "{}".to_owned()));
        let fields = valid.chain(refused_values).chain(refused_names);
        let fields = fields.map(|(name, value)| (name.into_bytes(), value.into_bytes()));
        [("acme".to_owned(), RawDomain::hash(fields))].into()
    }

    #[test]
    fn an_edit_costs_what_it_changes_however_many_findings_there_are() {
        let rules = rules(&[]);
        let cost = |valid, refused| {
            let before = Desired::build(&with_findings(valid, refused, "first"), &rules, None);
            assert_eq!(before.findings().len(), 4 * valid + 2 * refused);
            let raw = with_findings(valid, refused, "second");
            let (comparisons, after) = comparisons(|| {
                let after = Desired::build(&raw, &rules, Some(&before));
                let changes = after.findings().changes_since(before.findings());
                assert_eq!((changes.new.len(), changes.gone.len()), (0, 0));
                after
            });
            assert_eq!(after.get("gw7").unwrap().gateway.param("realm"), Some("second"));
            comparisons
        };
        // Ten times as many findings are a level more in a tree.
        for costs in [[cost(300, 0), cost(3000, 0)], [cost(8, 300), cost(8, 3000)]] {
            assert!(costs[1] < 2 * costs[0] && costs[1] < 1000, "{costs:?} comparisons");
        }
    }

    #[test]
    fn some_names_can_be_taken_from_another_state() {
        let old = build(&[("a", "1", "null"), ("b", "1", r#"["fs1"]"#)], &rules(&[]), None);
        let new = build(&[("a", "2", "null"), ("c", "2", r#"["fs2","fs3"]"#)], &rules(&[]), None);
        let mixed = old.with_those_of(&new, &["b", "c", "unknown"].map(name).into());
        let realm = |name| mixed.get(name).and_then(|entry| entry.gateway.param("realm"));
        assert_eq!((realm("a"), realm("b"), realm("c")), (Some("1"), None, Some("2")));
        assert!(mixed.nodes().eq(["fs2", "fs3"]) && mixed.naming("fs2") == 1);
    }
}
