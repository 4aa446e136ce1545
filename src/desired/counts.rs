//! The gateways of each domain by validity, for the metric.

use crate::gateway::Desired;

/// Domain, validity and count.
pub(super) fn by_validity(desired: &Desired) -> impl Iterator<Item = (&str, &'static str, u64)> {
    desired.counts().iter().flat_map(|(domain, counts)| {
        let each = [
            ("valid", counts.valid),
            ("kept", counts.kept),
            ("invalid", counts.invalid),
            ("disabled", counts.disabled),
            ("shadowed", counts.shadowed),
        ];
        each.map(|(validity, count)| (domain.as_str(), validity, u64::try_from(count).unwrap_or(u64::MAX)))
    })
}
