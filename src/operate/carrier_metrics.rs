//! The series of each carrier, for Prometheus. From Redis, as those of gateways are: any trunkd answers
//! for the fleet.

use super::calls::{CallFigures, CallStats};
use super::carriers::CarrierStatus;
use super::{OperateError, Service};
use crate::metrics::{
    CARRIER_ENDED_CALLS, CARRIER_GATEWAYS, CARRIER_PARKED, CARRIER_REFUSALS, CARRIER_REGISTER_LIMIT, CARRIER_REGISTERS,
    CARRIER_WAITING, CarrierText,
};

impl Service {
    /// As Prometheus's text format. Bounded: the carriers of the settings, the largest of the others, and
    /// the rest as one.
    ///
    /// # Errors
    /// Redis can't be read.
    pub async fn carrier_metrics(&self) -> Result<String, OperateError> {
        // Lists show what was known last; what may be old is no metric.
        self.store.switch_names().await?;
        let list = self.most_carriers().await?;
        let mut text = CarrierText::default();
        list.all().for_each(|carrier| add(&mut text, carrier));
        Ok(text.into_text())
    }
}

#[allow(clippy::cast_precision_loss, reason = "nobody has 2^53 gateways or calls")]
fn add(text: &mut CarrierText, carrier: &CarrierStatus) {
    let name = ("carrier", carrier.name.as_str());
    if let Some(limit) = carrier.registers.limit_per_second {
        text.add(CARRIER_REGISTER_LIMIT, &[name], f64::from(limit));
    }
    for on in &carrier.switches {
        let switch = ("switch", on.switch.as_str());
        for (state, count) in &on.state {
            text.add(CARRIER_GATEWAYS, &[name, switch, ("state", state)], *count as f64);
        }
        text.add(CARRIER_PARKED, &[name, switch], on.parked as f64);
        text.add(CARRIER_WAITING, &[name, switch], on.waiting as f64);
        text.add(CARRIER_REGISTERS, &[name, switch], on.registers_per_second);
        for (code, count) in &on.refused {
            text.add(CARRIER_REFUSALS, &[name, switch, ("code", code)], *count as f64);
        }
    }
    if let Some(calls) = &carrier.call_stats {
        windows(calls).into_iter().for_each(|(window, figures)| {
            for (direction, outcome, count) in ended(figures) {
                let labels = [name, ("window", window), ("direction", direction), ("outcome", outcome)];
                text.add(CARRIER_ENDED_CALLS, &labels, count as f64);
            }
        });
    }
}

fn windows(calls: &CallStats) -> [(&'static str, &CallFigures); 3] {
    [("5m", &calls.last_5m), ("1h", &calls.last_1h), ("24h", &calls.last_24h)]
}

fn ended(figures: &CallFigures) -> [(&'static str, &'static str, u64); 4] {
    [
        ("in", "answered", figures.inbound.answered),
        ("in", "failed", figures.inbound.failed),
        ("out", "answered", figures.outbound.answered),
        ("out", "failed", figures.outbound.failed),
    ]
}
