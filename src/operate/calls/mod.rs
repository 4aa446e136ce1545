//! Calls over gateways, as this trunkd counted them.

mod model;

use std::sync::Arc;

use super::service::Service;
use crate::calls::CallLog;

pub use model::{CallFigures, CallStats, CallTally, FailedCall};

impl Service {
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

    /// The calls of all gateways: those that this trunkd hears, or for a command, those that one saved.
    /// `None` unless calls are counted, or if they can't be read.
    pub(in crate::operate) async fn known_calls(&self) -> Option<Arc<CallLog>> {
        let log = self.calls.as_ref()?;
        if self.heard_calls().is_none() {
            log.restore_all(&self.store).await.ok()?;
        }
        Some(log.clone())
    }

    /// The calls that this trunkd hears. `None` for a command, or unless calls are counted.
    pub(in crate::operate) fn heard_calls(&self) -> Option<&Arc<CallLog>> {
        self.calls.as_ref().filter(|_| self.catalog.is_tracking())
    }
}
