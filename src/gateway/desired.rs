//! Decides which gateways of all domains are desired.
//!
//! Invalid is not removed: while a value is bad, its last valid version counts. Only a deleted field or
//! key, `enabled: false`, or another `profile` or `nodes` removes a gateway.

mod counts;
mod decision;
mod domain;
mod entry;
mod read;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use jiff::Timestamp;

use super::{
    DomainName, Findings, GatewayName, Placements, RawDomain, RawDomains, Records, Rollback, Rollbacks, Rules,
};
pub use counts::Counts;
use decision::{Decision, count_nodes};
use domain::{Domain, Domains};
pub use entry::{Entries, Entry, EntryChange, Refused, RefusedNames};
use read::FieldReader;

/// The gateways that FreeSWITCH should have, and the findings about all. Cheap to clone; successive states
/// share what did not change.
#[derive(Clone, Default)]
pub struct Desired {
    rules: Option<Arc<Rules>>,
    domains: Domains,
    served: Entries,
    refused: RefusedNames,
    findings: Findings,
    counts: BTreeMap<String, Counts>,
    /// The switches that served gateways name, with the number of gateways.
    nodes: BTreeMap<String, usize>,
    records: Records,
}

impl Desired {
    /// Builds the state from the content of Redis. Valid versions of `previous` are kept while a new value
    /// is bad. An unchanged field is not parsed again and keeps its `Arc<Entry>`.
    pub fn build(raw: &RawDomains, rules: &Rules, previous: Option<&Desired>) -> Desired {
        Self::build_with(raw, &Records::default(), rules, previous)
    }

    /// The same, with edits that are not carried out, and with the switches that gateways are on.
    pub fn build_with(raw: &RawDomains, records: &Records, rules: &Rules, previous: Option<&Desired>) -> Desired {
        let same_rules = previous
            .and_then(|p| p.rules.as_ref())
            .filter(|before| ***before == *rules);
        let known = FieldReader {
            rules,
            unchanged_rules: same_rules.is_some(),
            records,
            decided_again: previous
                .map(|previous| records.differing(&previous.records))
                .unwrap_or_default(),
        };
        let rules = same_rules.map_or_else(|| Arc::new(rules.clone()), Arc::clone);

        let mut domains = BTreeMap::new();
        let mut changed = BTreeSet::new();
        for (name, raw) in raw {
            let before = previous.and_then(|previous| previous.domains.get(name));
            let domain = match raw {
                RawDomain::Hash(fields) => known.read_hash(name.text(), fields, before, &mut changed),
                RawDomain::WrongType(kind) => known.keep_all(name.text(), kind, before, &mut changed),
            };
            domains.insert(name.clone(), domain);
        }
        let before = previous.filter(|_| known.unchanged_rules);
        let mut now = match before {
            Some(before) => before.with(domains, changed, &rules),
            None => Desired::decide(domains, rules),
        };
        now.records = records.clone();
        now
    }

    /// This state as if every edit were carried out. `raw` is what it was built from.
    pub fn carrying_out_all(&self, raw: &RawDomains, rules: &Rules) -> Desired {
        Self::build_with(raw, &self.placements().clone().into(), rules, Some(self))
    }

    /// The edits that are not, or not simply, carried out. They may be about values that Redis no longer
    /// has.
    pub fn rollbacks(&self) -> &Rollbacks {
        &self.records.rollbacks
    }

    /// Which switch has each gateway that runs on exactly one. Records of gateways that Redis no longer has, or
    /// that run everywhere, mean nothing.
    pub fn placements(&self) -> &Placements {
        &self.records.placements
    }

    /// Whether the gateway of this name is served on exactly one switch.
    pub fn is_on_one(&self, name: &GatewayName) -> bool {
        self.get(name.as_str()).is_some_and(|entry| entry.gateway.is_on_one())
    }

    /// Whether it is not decided yet which switch has this gateway. Whatever runs it stays as it is.
    pub fn is_unplaced(&self, name: &GatewayName) -> bool {
        self.is_on_one(name) && self.placements().get(name).is_none()
    }

    /// What trunkd itself has decided about gateways.
    pub fn records(&self) -> &Records {
        &self.records
    }

    /// The records about values that Redis no longer has, or that are of no use any more.
    pub fn outdated_rollbacks(&self, now: Timestamp) -> Vec<(GatewayName, Arc<Rollback>)> {
        let outdated = self.rollbacks().iter().filter(|(name, rollback)| {
            let domain = self.domains.get(&DomainName::from_text(&rollback.domain));
            let Some(domain) = domain else { return true };
            // What a domain that can't be read has is not known.
            let Some(fields) = &domain.fields else { return false };
            let value = fields.get(name.as_str().as_bytes());
            rollback.is_over(now) || !value.is_some_and(|value| rollback.is_about(&rollback.domain, value))
        });
        outdated
            .map(|(name, rollback)| (name.clone(), Arc::clone(rollback)))
            .collect()
    }

    /// The value that Redis has of a served gateway.
    pub fn stored_value(&self, name: &GatewayName) -> Option<&[u8]> {
        self.domain_of(name)?.fields.as_ref()?.get(name.as_str().as_bytes())
    }

    /// The value of the version of a gateway that is served.
    pub fn served_value(&self, name: &GatewayName) -> Option<Vec<u8>> {
        let older = self.domain_of(name)?.slots.get(name)?.valid()?.older;
        match older {
            Some(older) => Some(older.to_vec()),
            None => Some(self.stored_value(name)?.to_vec()),
        }
    }

    fn domain_of(&self, name: &GatewayName) -> Option<&Domain> {
        let domain = &self.served.get(name)?.gateway.domain;
        self.domains.get(&DomainName::from_text(domain)).map(|domain| &**domain)
    }

    /// The gateway of this name, if it is served.
    pub fn get(&self, name: &str) -> Option<&Arc<Entry>> {
        self.served.get(name)
    }

    /// The same, if it is this domain's.
    pub fn get_in(&self, domain: &str, name: &str) -> Option<&Arc<Entry>> {
        self.get(name).filter(|entry| *entry.gateway.domain == *domain)
    }

    /// Whether this switch gets the gateway of this name.
    pub fn serves(&self, name: &GatewayName, switch: &str) -> bool {
        let entry = self.get(name.as_str());
        entry.is_some_and(|entry| entry.gateway.serves(Some(switch)))
    }

    /// Whether a switch that runs the gateway of this name loses it for good. One on exactly one switch moves
    /// instead.
    pub fn loses(&self, name: &GatewayName, switch: &str) -> bool {
        !self.serves(name, switch) && !self.is_on_one(name)
    }

    /// Every gateway that is served, by name.
    pub fn served(&self) -> &Entries {
        &self.served
    }

    /// Names whose owner has a refused value. Nothing is served under them, and what a switch runs under
    /// one stays.
    pub fn refused(&self) -> &RefusedNames {
        &self.refused
    }

    /// Only these of the served gateways.
    pub fn only(&self, names: &BTreeSet<GatewayName>) -> Desired {
        let served = names.iter().filter_map(|name| self.served.get_key_value(name));
        Desired {
            served: served.map(|(name, entry)| (name.clone(), Arc::clone(entry))).collect(),
            ..Desired::default()
        }
    }

    /// Whether a domain's key is not a hash and never was since trunkd started: its gateways are unknown,
    /// not removed.
    pub fn has_unreadable_domain(&self) -> bool {
        self.domains.values().any(|domain| domain.is_unreadable)
    }

    /// Whether a served gateway names this switch. All switches that none names get the same gateways.
    pub fn names_node(&self, node: &str) -> bool {
        self.nodes.contains_key(node)
    }

    /// Served gateways that none of these switches gets, by name: their `nodes` name only others, or none.
    /// If no switch is known, any name may be right.
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

    /// How many served gateways name this switch.
    pub fn naming(&self, node: &str) -> usize {
        self.nodes.get(node).copied().unwrap_or_default()
    }

    /// The switches that served gateways name.
    pub fn nodes(&self) -> impl Iterator<Item = &str> {
        self.nodes.keys().map(String::as_str)
    }

    /// This state, with these names as in `other`.
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

    /// Sorted by place, without duplicates.
    pub fn findings(&self) -> &Findings {
        &self.findings
    }

    /// domain → the number of its fields by kind.
    pub fn counts(&self) -> &BTreeMap<String, Counts> {
        &self.counts
    }

    /// The last valid value of every gateway, served or not. After a restart `build(saved)` followed by
    /// `build(current, Some(saved))` serves what was served before.
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
            records: Records::default(),
        }
    }

    /// The next state, in which these names may have changed in any domain.
    fn with(&self, domains: Domains, mut changed: BTreeSet<GatewayName>, rules: &Arc<Rules>) -> Self {
        let gone = self.domains.iter().filter(|(name, _)| !domains.contains_key(*name));
        changed.extend(gone.flat_map(|(_, domain)| domain.slots.keys().cloned()));
        // Looking up each name in each domain costs more than walking over all fields.
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
            records: Records::default(),
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

    /// The counts after some names were decided again.
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
    /// Names only: the values contain passwords.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Desired")
            .field("served", &self.served)
            .field("findings", &self.findings)
            .field("counts", &self.counts)
            .finish_non_exhaustive()
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
