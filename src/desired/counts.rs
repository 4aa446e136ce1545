//! How many gateways there are of each kind, for the metrics.

use crate::gateway::{Desired, Phase};
use crate::metrics::{self, GatewayGauges};

/// Domain, validity and count.
fn by_validity(desired: &Desired) -> impl Iterator<Item = (&str, &'static str, u64)> {
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

/// Sets the metrics about the desired gateways.
pub(super) fn set_gauges(gauges: &mut GatewayGauges, desired: &Desired) {
    gauges.set(by_validity(desired));
    for phase in [Phase::RolledBack, Phase::Waiting, Phase::Held] {
        let held = desired.rollbacks().count(phase);
        ::metrics::gauge!(metrics::EDITS_HELD, "phase" => phase.as_str()).set(held as f64);
    }
}
