//! Calls over gateways and carriers, as this trunkd counted them.

mod model;

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;

use super::service::Service;
use super::{Caller, OperateError};
use crate::calls::CallLog;
use crate::carriers::Carriers;
use crate::gateway::Gateway;

pub use model::{CallFigures, CallStats, CallTally, FailedCall};

impl Service {
    /// The calls of each carrier that has gateways which the caller sees. Empty unless calls are
    /// counted.
    ///
    /// # Errors
    /// No gateways are known.
    pub async fn carrier_calls(&self, caller: &Caller) -> Result<BTreeMap<String, CallStats>, OperateError> {
        let Some(log) = self.heard_calls().cloned() else {
            return Ok(BTreeMap::new());
        };
        let current = self.catalog.all().await;
        let desired = current.map_err(OperateError::unavailable(&self.settings))?.desired;
        let (carriers, caller) = (Carriers::new(&self.settings.carriers), caller.clone());
        // Up to 100,000 gateways.
        let sums = tokio::task::spawn_blocking(move || {
            let mut by_carrier: BTreeMap<String, Vec<&Gateway>> = BTreeMap::new();
            let seen = desired.served().values().map(|entry| &entry.gateway);
            for gateway in seen.filter(|gateway| caller.sees(&gateway.domain)) {
                if let Some(carrier) = carriers.name_of(gateway) {
                    by_carrier.entry(carrier).or_default().push(gateway);
                }
            }
            let stats = |(carrier, gateways): (String, Vec<&Gateway>)| {
                let named = gateways
                    .iter()
                    .map(|gateway| (gateway.name.as_str(), |switch: &str| gateway.serves(Some(switch))));
                (carrier, CallStats::new(log.stats(named, Timestamp::now())))
            };
            by_carrier.into_iter().map(stats).collect()
        });
        sums.await.map_err(|_| OperateError::Interrupted)
    }

    /// The calls of one gateway that these switches have, or had within the last day. `None` unless
    /// calls are counted.
    pub(in crate::operate) async fn gateway_calls(&self, gateway: &str, switches: &[&str]) -> Option<CallStats> {
        let log = self.calls.as_deref()?;
        if self.heard_calls().is_some() {
            return Some(CallStats::of_gateway(log, gateway, switches));
        }
        // What a serving trunkd saved. A switch without calls has nothing that says since when.
        log.read_saved(&self.store, gateway).await.ok()?;
        Some(CallStats::of_gateway(log, gateway, &[]))
    }

    /// The calls that this trunkd hears. `None` for a command, or unless calls are counted.
    pub(in crate::operate) fn heard_calls(&self) -> Option<&Arc<CallLog>> {
        self.calls.as_ref().filter(|_| self.catalog.is_tracking())
    }
}
