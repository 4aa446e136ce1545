//! The metric of the gateways in Redis, with a limit for the number of domains.

use std::collections::{BTreeMap, BTreeSet};

use ::metrics::gauge;

use super::table::GATEWAYS;

/// Domains with a label of their own; the others share `other`. Each domain is a handful of series.
const DOMAIN_LABELS_MAX: usize = 200;

/// Sets [`GATEWAYS`]. The first 200 domains get a label of their own, for as long
/// as this value lives.
#[derive(Debug, Default)]
pub struct GatewayGauges {
    named: BTreeSet<String>,
    /// The series that exist. A series cannot be removed, so one that is gone is set to 0.
    series: BTreeSet<(String, &'static str)>,
}

impl GatewayGauges {
    /// Sets `counts` (domain, validity, gateways), and every other series that exists to 0.
    pub fn set<'a>(&mut self, counts: impl IntoIterator<Item = (&'a str, &'static str, u64)>) {
        let mut next: BTreeMap<(String, &'static str), u64> = self.series.iter().map(|key| (key.clone(), 0)).collect();
        for (domain, validity, gateways) in counts {
            *next.entry((self.label(domain), validity)).or_default() += gateways;
        }
        for ((domain, validity), gateways) in &next {
            gauge!(GATEWAYS, "domain" => domain.clone(), "validity" => *validity).set(*gateways as f64);
        }
        self.series = next.into_keys().collect();
    }

    fn label(&mut self, domain: &str) -> String {
        if !self.named.contains(domain) {
            if self.named.len() >= DOMAIN_LABELS_MAX {
                return "other".to_owned();
            }
            self.named.insert(domain.to_owned());
        }
        domain.to_owned()
    }
}

#[cfg(test)]
mod tests;
