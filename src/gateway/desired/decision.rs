//! Which domain gets a name.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::counts::Counts;
use super::domain::{Slot, Valid, first_error};
use super::entry::{Entry, Refused};
use crate::gateway::finding::shown;
use crate::gateway::{Finding, GatewayName, Rules, Severity};
use crate::language::{Message, message, text};

/// Decides who gets a name: a template first, then the first domain by name. Disabled gateways claim
/// nothing. A refused one that was never valid still claims its name, so that no typo, and no restart
/// after it, sends its calls to another carrier.
///
/// Names are independent of each other, so some can be decided again without the rest.
pub(super) struct Decision<'a> {
    rules: &'a Rules,
    pub(super) served: BTreeMap<GatewayName, Arc<Entry>>,
    pub(super) refused: BTreeMap<GatewayName, Arc<Refused>>,
    pub(super) findings: Vec<Arc<Finding>>,
    pub(super) counts: BTreeMap<Arc<str>, Counts>,
}

impl<'a> Decision<'a> {
    pub(super) fn of(rules: &'a Rules) -> Self {
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

    /// Adds a field. Fields of earlier domains must come first.
    pub(super) fn take(&mut self, domain: &Arc<str>, name: &GatewayName, slot: &Slot) {
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
        let mut owner: Option<Message> = None;
        if entry.gateway.enabled {
            if is_of_template {
                owner = Some(text("a template", "模板").into());
            } else if let Some(before) = self.refused.get(name) {
                let domain = shown(&before.domain);
                owner = Some(message!(
                    "domain {domain}, by a value that is refused,",
                    "域 {domain}（值被拒绝）"
                ));
            } else if let Some(before) = self.served.get(name) {
                let domain = shown(&before.gateway.domain);
                owner = Some(message!("domain {domain}", "域 {domain} "));
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
                reason: message!(
                    "{owner} has a gateway of this name, and FreeSWITCH knows a name once, over all profiles",
                    "{owner}已有同名网关，而 FreeSWITCH 中同一名称在所有 profile 中只能有一个",
                    owner = owner
                ),
                fix: text("rename one of the two", "请为其中一个改名").into(),
            }));
        }
    }
}

/// Updates the count of each switch that an entry names. Counts of 0 are removed.
pub(super) fn count_nodes(nodes: &mut BTreeMap<String, usize>, entry: &Entry, count: impl Fn(usize) -> usize) {
    for node in entry.gateway.nodes.iter().flatten() {
        let known = nodes.remove(node).unwrap_or_default();
        if let counted @ 1.. = count(known) {
            nodes.insert(node.clone(), counted);
        }
    }
}
