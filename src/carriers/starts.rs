//! How long gateways take to start, at the pace of the switch and of their carriers.

use std::collections::BTreeMap;

use serde::Serialize;
use utoipa::ToSchema;

use crate::settings::CarrierSettings;

/// A restart counts at its carrier from the kill on: about four seconds.
const RESTART_SECONDS: u64 = 4;

/// Gateways that register when they start, on one switch.
#[derive(Debug, Default)]
pub struct Starts<'a> {
    all: u64,
    /// Seconds of its pace that a carrier needs, times that pace.
    carriers: BTreeMap<&'a str, (u32, u64)>,
}

/// How long it takes until all have started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Lasts {
    pub seconds: u64,
    /// The carrier whose pace decides that; `null` if it is `reconcile.starts_per_second`.
    pub carrier: Option<String>,
}

impl<'a> Starts<'a> {
    /// One more that registers.
    pub fn add(&mut self, carrier: Option<&'a CarrierSettings>, is_restart: bool) {
        self.all += 1;
        if let Some(carrier) = carrier
            && let Some(pace) = carrier.registers_per_second
        {
            let (_, needed) = self.carriers.entry(&carrier.name).or_insert((pace, 0));
            *needed += if is_restart { RESTART_SECONDS } else { 1 };
        }
    }

    /// `None` if all start within a second. Other switches may use the pace of a carrier too; then it
    /// lasts longer.
    pub fn lasts(&self, starts_per_second: u32) -> Option<Lasts> {
        let by_switch = (self.all / u64::from(starts_per_second.max(1)), None);
        let of_carriers = self.carriers.iter().map(|(name, (pace, needed))| {
            let seconds = needed.div_ceil(u64::from(*pace).max(1));
            // The first second's worth starts at once.
            (seconds.saturating_sub(1), Some((*name).to_owned()))
        });
        let (seconds, carrier) = of_carriers.chain([by_switch]).max()?;
        (seconds > 0).then_some(Lasts { seconds, carrier })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_slowest_decides() {
        let paced = CarrierSettings::paced("slow.test", Some(10), None);
        let in_flight = CarrierSettings::paced("other.test", None, Some(1));
        let mut starts = Starts::default();
        assert_eq!(starts.lasts(50), None);
        (0..40).for_each(|_| starts.add(Some(&in_flight), false));
        assert_eq!(starts.lasts(50), None);
        (0..1500).for_each(|_| starts.add(Some(&paced), false));
        let lasts = |seconds, carrier: Option<&str>| {
            let carrier = carrier.map(str::to_owned);
            Some(Lasts { seconds, carrier })
        };
        assert_eq!(starts.lasts(50), lasts(149, Some("slow.test")));
        assert_eq!(starts.lasts(1), lasts(1540, None));
        (0..100).for_each(|_| starts.add(Some(&paced), true));
        assert_eq!(starts.lasts(50), lasts(189, Some("slow.test")));
    }
}
