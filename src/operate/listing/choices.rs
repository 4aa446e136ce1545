//! Names for filters and forms to offer.

use std::collections::BTreeSet;

use jiff::Timestamp;

use super::super::service::Service;
use super::super::{Caller, OperateError};

/// By name.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Choices {
    /// Those that the caller sees.
    pub domains: Vec<String>,
    /// Those that Redis or the settings know.
    pub switches: Vec<String>,
    /// Set if Redis can't be read: since when these are the last known ones.
    pub stale_since: Option<Timestamp>,
}

impl Service {
    /// The names alone. [`Service::domains`] and [`Service::switches`] count all gateways.
    ///
    /// # Errors
    /// Redis can't be read, and no gateways are known.
    pub async fn choices(&self, caller: &Caller) -> Result<Choices, OperateError> {
        self.catch_up().await?;
        let known = self.listing().read();
        let domains = known.current().into_iter().flat_map(|current| current.domains.keys());
        let domains = domains.map(|domain| domain.text()).filter(|domain| caller.sees(domain));
        let domains: BTreeSet<_> = domains.map(ToString::to_string).collect();
        let configured = self.settings.switches.iter().map(|switch| switch.name.clone());
        let seen = known.fleet.switches().map(|(name, _)| name.to_string());
        let switches: BTreeSet<_> = configured.chain(seen).collect();
        Ok(Choices {
            domains: domains.into_iter().collect(),
            switches: switches.into_iter().collect(),
            stale_since: known.stale_since(),
        })
    }
}
