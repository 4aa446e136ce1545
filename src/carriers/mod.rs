//! Which carrier a gateway belongs to, and how gently that carrier is registered with.
//! No clock, no I/O.

mod load;
pub mod parking;
mod starts;

use std::sync::Arc;

use sha2::{Digest, Sha256};

use crate::gateway::{Gateway, GatewayName};
use crate::settings::CarrierSettings;

pub use load::{Attempt, Expected, Load, Progress, Usage};
pub use parking::{CarrierOut, Parked, Registration};
pub use starts::{Lasts, Starts};

/// FreeSWITCH's `expire-seconds` when a gateway has none (FACTS 12).
const DEFAULT_EXPIRE: u64 = 3600;
/// FreeSWITCH replaces what is shorter by an hour (FACTS 15).
const SHORTEST_EXPIRE: u64 = 5;
const EXPIRE_SECONDS: &str = "expire-seconds";

/// The carriers of the settings.
#[derive(Debug, Clone, Default)]
pub struct Carriers(Arc<[CarrierSettings]>);

impl Carriers {
    pub fn new(settings: &[CarrierSettings]) -> Self {
        Self(settings.into())
    }

    /// The carrier of a gateway: what its key `carrier` says, else its host; or the name of the
    /// `[[carrier]]` that has either. `None` if it has no readable host.
    pub fn name_of(&self, gateway: &Gateway) -> Option<String> {
        let own = gateway.carrier_name()?;
        Some(match self.known(&own) {
            Some(known) => known.name.clone(),
            None => own,
        })
    }

    /// The settings of the gateway's carrier, if it has any.
    pub fn of(&self, gateway: &Gateway) -> Option<&CarrierSettings> {
        if self.0.is_empty() {
            return None;
        }
        self.known(&gateway.carrier_name()?)
    }

    /// The carrier that the settings call so.
    pub fn named(&self, name: &str) -> Option<&CarrierSettings> {
        self.0.iter().find(|carrier| carrier.name == name)
    }

    /// Those of the settings.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|carrier| carrier.name.as_str())
    }

    fn known(&self, name: &str) -> Option<&CarrierSettings> {
        let named = |carrier: &&CarrierSettings| carrier.name.eq_ignore_ascii_case(name);
        let lower = name.to_ascii_lowercase();
        let lists = |carrier: &&CarrierSettings| carrier.hosts.iter().any(|host| host.is_match(&lower));
        self.0.iter().find(named).or_else(|| self.0.iter().find(lists))
    }

    /// The gateway as FreeSWITCH gets it, if that differs: with its `expire-seconds` shortened by the
    /// carrier's jitter. The same gateway always gets the same.
    pub fn spread(&self, gateway: &Gateway) -> Option<Gateway> {
        let most = u64::from(self.of(gateway)?.jitter.get());
        if most == 0 || !gateway.registers() {
            return None;
        }
        let expire = match gateway.param(EXPIRE_SECONDS) {
            Some(text) => text.parse().ok().filter(|expire| *expire >= SHORTEST_EXPIRE)?,
            None => DEFAULT_EXPIRE,
        };
        let less = expire * most * share(&gateway.name) / (100 * u64::from(u32::MAX));
        let shortened = (expire - less).max(SHORTEST_EXPIRE).to_string();
        let mut params: Vec<_> = gateway
            .params
            .iter()
            .filter(|(name, _)| *name != EXPIRE_SECONDS)
            .collect();
        let at = params.partition_point(|(name, _)| *name < EXPIRE_SECONDS);
        params.insert(at, (EXPIRE_SECONDS, &shortened));
        Some(Gateway {
            params: params.into_iter().collect(),
            ..gateway.clone()
        })
    }
}

/// From 0 to `u32::MAX`, evenly spread over names.
fn share(name: &GatewayName) -> u64 {
    let digest = Sha256::digest(name.as_str());
    let (first, _) = digest.split_at(4);
    first.iter().fold(0, |share, byte| share << 8 | u64::from(*byte))
}

#[cfg(test)]
mod tests;
