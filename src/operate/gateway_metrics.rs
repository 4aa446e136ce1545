//! The series of each gateway, for Prometheus.
//!
//! From Redis, not from this trunkd's own view of the switches. Redis has every switch, so any
//! trunkd answers for the fleet, and one scrape job is enough. The counters are only there, as they
//! must be the same whichever trunkd answers. The states are as fresh: an event is in Redis within
//! milliseconds. Only the calls of the last minutes and hours are from this trunkd's memory.

use std::collections::HashSet;

use jiff::Timestamp;

use super::{OperateError, Service};
use crate::calls::{CallLog, Figures, Span};
use crate::gateway::{Desired, GatewayName};
use crate::metrics::{CallTotals, GatewayLabels, GatewaySample, WindowSample, state_label};
use crate::observed::Counted;

impl Service {
    /// Every gateway on every switch that Redis knows. Read page by page, so that neither Redis nor
    /// this process handles all of it together.
    ///
    /// # Errors
    /// Redis can't be read.
    pub async fn gateway_metrics(&self) -> Result<Vec<GatewaySample>, OperateError> {
        let desired = self
            .catalog
            .all()
            .await
            .map_err(OperateError::unavailable(&self.settings))?
            .desired;
        let mut switches = self.store.switch_names().await?;
        switches.sort_unstable();
        let mut samples = Vec::new();
        for switch in switches {
            let mut seen = HashSet::new();
            let mut cursor = 0;
            loop {
                let (next, page) = self.store.read_counted(&switch, cursor).await?;
                let new = page.into_iter().filter(|counted| seen.insert(counted.gateway.clone()));
                samples.extend(new.map(|counted| GatewaySample {
                    windows: windows(self.calls.as_deref(), &switch, &counted.gateway),
                    ..sample(&switch, counted, &desired)
                }));
                if next == 0 {
                    break;
                }
                cursor = next;
            }
        }
        Ok(samples)
    }
}

fn sample(switch: &str, counted: Counted, desired: &Desired) -> GatewaySample {
    let Counted {
        gateway,
        row,
        calls,
        refusals,
    } = counted;
    // What a switch runs without having it from Redis is of no domain.
    let name = GatewayName::parse(&gateway)
        .ok()
        .filter(|name| desired.serves(name, switch));
    let entry = name.and_then(|name| desired.get(name.as_str()));
    let domain = entry.map(|entry| &*entry.gateway.domain);
    let state = state_label(row.state.as_ref().map_or("", |state| state.as_str()));
    let since_seconds = row.since.as_duration().as_secs_f64();
    GatewaySample {
        labels: GatewayLabels::new(switch, &gateway, row.profile.as_deref(), domain),
        host: entry.and_then(|entry| entry.gateway.carrier_host()).map(Into::into),
        state,
        since_seconds,
        // Nobody knows what a switch that is out of reach is doing.
        usable: row.usable.filter(|_| !row.stale),
        ping_ms: row.ping_ms,
        refusals: refusals.into_iter().map(|(code, count)| (code.into(), count)).collect(),
        calls: calls.map(|calls| CallTotals {
            inbound: calls.inbound,
            outbound: calls.outbound,
            failed_in: calls.failed_in,
            failed_out: calls.failed_out,
        }),
        windows: Vec::new(),
    }
}

fn windows(log: Option<&CallLog>, switch: &str, gateway: &str) -> Vec<WindowSample> {
    let figures = log.and_then(|log| log.on_switch(switch, gateway, Timestamp::now()));
    let Some(figures) = figures else {
        return Vec::new();
    };
    Span::ALL
        .into_iter()
        .zip(&figures)
        .map(|(span, of)| window(span, of))
        .collect()
}

fn window(span: Span, figures: &Figures) -> WindowSample {
    WindowSample {
        window: span.as_str(),
        ended: [
            ("in", "answered", figures.inbound.answered),
            ("in", "failed", figures.inbound.failed),
            ("out", "answered", figures.outbound.answered),
            ("out", "failed", figures.outbound.failed),
        ],
        causes: figures
            .causes
            .iter()
            .map(|(cause, count)| (cause.as_str(), *count))
            .collect(),
        asr: figures.asr(),
        acd: figures.acd(),
    }
}
