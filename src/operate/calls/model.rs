//! Calls that ended, as data.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use crate::calls::{CallLog, Failure, Figures, Span, Stats, Tally};

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
    /// Nobody answered, no matter who gave up.
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

impl CallStats {
    pub(in crate::operate) fn of_gateway(log: &CallLog, gateway: &str, switches: &[&str]) -> Self {
        Self::of_gateways(log, [(gateway, |switch: &str| switches.contains(&switch))])
    }

    /// The sum of gateways, each with whether it is on a switch.
    pub(in crate::operate) fn of_gateways<'a, On: Fn(&str) -> bool>(
        log: &CallLog,
        gateways: impl IntoIterator<Item = (&'a str, On)>,
    ) -> Self {
        Self::new(log.stats(gateways, Timestamp::now()))
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
