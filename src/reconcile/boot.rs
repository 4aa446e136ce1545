//! What a switch gets when it starts, if that is not everything: FreeSWITCH reads its configuration in
//! time that grows with the square of it (FACTS 52), and registers all that it has read within seconds
//! (FACTS 44). The executor starts the rest, in batches and at the pace of each carrier.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

use crate::carriers::Carriers;
use crate::gateway::{Desired, Gateway, GatewayName};

/// What decides what a switch gets first.
#[derive(Debug, Clone)]
pub struct BootRules {
    /// The most gateways of a profile; 0 is all.
    pub slice: usize,
    pub carriers: Carriers,
}

impl BootRules {
    /// The gateways of this profile that the switch gets when it starts. Those that could carry calls
    /// before come first; what is parked does not come at all. `None` if it gets all of them.
    pub fn first(
        &self,
        desired: &Desired,
        switch: &str,
        profile: &str,
        was_usable: &HashSet<Arc<str>>,
        parked: &BTreeSet<GatewayName>,
    ) -> Option<BTreeSet<GatewayName>> {
        let gateways = desired.served().values().map(|entry| &entry.gateway);
        let wanted: Vec<_> = gateways
            .filter(|gateway| gateway.profile.as_str().eq_ignore_ascii_case(profile) && gateway.serves(Some(switch)))
            .collect();
        let is_left_out = |gateway: &Gateway| self.waits_for_pace(gateway) || parked.contains(&gateway.name);
        let mut first: Vec<_> = wanted.iter().filter(|gateway| !is_left_out(gateway)).collect();
        if self.slice > 0 && first.len() > self.slice {
            // Sorted by name already, and this keeps that order.
            first.sort_by_key(|gateway| !was_usable.contains(gateway.name.as_str()));
            first.truncate(self.slice);
        }
        (first.len() < wanted.len()).then(|| first.iter().map(|gateway| gateway.name.clone()).collect())
    }

    fn waits_for_pace(&self, gateway: &Gateway) -> bool {
        let carrier = self
            .carriers
            .of(gateway)
            .filter(|carrier| carrier.pace_boot && carrier.is_paced());
        carrier.is_some() && gateway.registers()
    }
}

#[cfg(test)]
mod tests;
