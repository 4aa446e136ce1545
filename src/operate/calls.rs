//! Calls over gateways and carriers, as this trunkd counted them.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use super::service::Service;
use super::{Caller, OperateError};
use crate::calls::{CallLog, Failure, Figures, Span, Stats, Tally};
use crate::carriers::Carriers;
use crate::gateway::Gateway;

/// Calls that ended, of a gateway or a carrier, over all its switches.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct CallStats {
    /// When counting began, on the last of its switches. `null` before.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub since: Option<Timestamp>,
    /// When this was read: now, or when a trunkd saved it.
    #[schema(value_type = String, format = DateTime)]
    pub as_of: Timestamp,
    /// Since when no call was missed. `null` while trunkd isn't connected to one of its switches.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub complete_since: Option<Timestamp>,
    pub last_5m: CallFigures,
    pub last_1h: CallFigures,
    pub last_24h: CallFigures,
    pub last_failure: Option<FailedCall>,
}

/// Calls within a span of time.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct CallFigures {
    pub answered: u64,
    /// Nobody answered, whoever gave up.
    pub failed: u64,
    /// Answer-seizure ratio: answered calls of all calls, in percent. `null` without calls.
    pub asr_percent: Option<f64>,
    /// Average call duration, from the answer to the end. `null` without answered calls.
    pub acd_seconds: Option<f64>,
    /// From the carrier.
    #[serde(rename = "in")]
    pub inbound: CallTally,
    /// To the carrier.
    #[serde(rename = "out")]
    pub outbound: CallTally,
    /// Failed calls by FreeSWITCH's hangup cause, such as `USER_BUSY`.
    #[schema(value_type = BTreeMap<String, u64>)]
    pub causes: BTreeMap<&'static str, u64>,
}

/// Calls in one direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
pub struct CallTally {
    pub answered: u64,
    pub failed: u64,
}

/// A call that failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct FailedCall {
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
    pub switch: String,
    /// `in` or `out`.
    #[schema(value_type = String)]
    pub direction: &'static str,
    /// FreeSWITCH's hangup cause.
    #[schema(value_type = String)]
    pub cause: &'static str,
    /// The SIP status that ended it; `null` if none did.
    pub sip_status: Option<u16>,
}

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
    pub(super) async fn gateway_calls(&self, gateway: &str, switches: &[&str]) -> Option<CallStats> {
        let log = self.calls.as_deref()?;
        // A command hears no calls. What a serving trunkd saved is as good.
        if !self.catalog.is_tracking() {
            log.read_saved(&self.store, gateway).await.ok()?;
        }
        Some(CallStats::of_gateway(log, gateway, switches))
    }

    /// The calls that this trunkd hears. `None` for a command, or unless calls are counted.
    pub(super) fn heard_calls(&self) -> Option<&Arc<CallLog>> {
        self.calls.as_ref().filter(|_| self.catalog.is_tracking())
    }
}

impl CallStats {
    pub(super) fn of_gateway(log: &CallLog, gateway: &str, switches: &[&str]) -> Self {
        let on = [(gateway, |switch: &str| switches.contains(&switch))];
        Self::new(log.stats(on, Timestamp::now()))
    }

    fn new(stats: Stats) -> Self {
        let since = stats.since.unwrap_or_default();
        let figures = |span: Span| CallFigures::of(stats.of(span));
        Self {
            since: since.counted,
            complete_since: since.complete,
            as_of: since.as_of.unwrap_or_else(Timestamp::now),
            last_5m: figures(Span::FiveMinutes),
            last_1h: figures(Span::Hour),
            last_24h: figures(Span::Day),
            last_failure: stats
                .last_failure
                .map(|(switch, failure)| FailedCall::new(switch, failure)),
        }
    }
}

impl CallFigures {
    fn of(figures: &Figures) -> Self {
        Self {
            answered: figures.answered(),
            failed: figures.failed(),
            asr_percent: figures.asr().map(|ratio| rounded(ratio * 100.0)),
            acd_seconds: figures.acd().map(rounded),
            inbound: figures.inbound.into(),
            outbound: figures.outbound.into(),
            causes: figures
                .causes
                .iter()
                .map(|(cause, count)| (cause.as_str(), *count))
                .collect(),
        }
    }
}

impl FailedCall {
    fn new(switch: String, failure: Failure) -> Self {
        Self {
            at: failure.at,
            switch,
            direction: failure.direction.as_str(),
            cause: failure.cause.as_str(),
            sip_status: failure.sip_status,
        }
    }
}

impl From<Tally> for CallTally {
    fn from(tally: Tally) -> Self {
        Self {
            answered: tally.answered,
            failed: tally.failed,
        }
    }
}

/// To one decimal.
fn rounded(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}
