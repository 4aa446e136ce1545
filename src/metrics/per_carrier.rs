//! The metrics of `/metrics/carriers`, as Prometheus's text format. On a page of their own, because they
//! are summed up from Redis when somebody asks.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::metric::{Metric, gauge};
use super::per_gateway::{head, label_into};

pub const CARRIER_GATEWAYS: &str = "trunkd_carrier_gateways";
pub const CARRIER_PARKED: &str = "trunkd_carrier_parked";
pub const CARRIER_WAITING: &str = "trunkd_carrier_waiting";
pub const CARRIER_REGISTERS: &str = "trunkd_carrier_registers_per_second";
pub const CARRIER_REGISTER_LIMIT: &str = "trunkd_carrier_register_limit";
pub const CARRIER_REFUSALS: &str = "trunkd_carrier_refusals";
pub const CARRIER_ENDED_CALLS: &str = "trunkd_carrier_ended_calls";

/// Every metric of a carrier, in the order in which they are written.
pub const OF_CARRIERS: [Metric; 7] = [
    gauge(
        CARRIER_GATEWAYS,
        &["carrier", "switch", "state"],
        "Gateways of a carrier on a switch, by state",
    ),
    gauge(
        CARRIER_PARKED,
        &["carrier", "switch"],
        "Gateways of a carrier that are parked on a switch",
    ),
    gauge(
        CARRIER_WAITING,
        &["carrier", "switch"],
        "Gateways of a carrier that wait for its pace on a switch",
    ),
    gauge(
        CARRIER_REGISTERS,
        &["carrier", "switch"],
        "REGISTERs a second that a switch sent to a carrier within the last minute",
    ),
    gauge(
        CARRIER_REGISTER_LIMIT,
        &["carrier"],
        "The registers_per_second of a carrier in the settings; absent without a limit",
    ),
    gauge(
        CARRIER_REFUSALS,
        &["carrier", "switch", "code"],
        "Registrations that a carrier refused within the last hour, by SIP status code",
    ),
    gauge(
        CARRIER_ENDED_CALLS,
        &["carrier", "window", "direction", "outcome"],
        "Calls over a carrier that ended within the window",
    ),
];

/// The text in the making: the value of each series of each metric, by its labels.
#[derive(Debug, Default)]
pub struct CarrierText(BTreeMap<&'static str, BTreeMap<String, f64>>);

impl CarrierText {
    /// Adds to the series with these labels. A carrier may have the name of the sum of the others, and Prometheus
    /// refuses a page on which a series stands twice.
    pub fn add(&mut self, metric: &'static str, labels: &[(&str, &str)], value: f64) {
        let mut series = String::new();
        for (label, of) in labels {
            label_into(&mut series, label, of);
        }
        *self.0.entry(metric).or_default().entry(series).or_default() += value;
    }

    pub fn into_text(self) -> String {
        let mut text = String::new();
        for metric in &OF_CARRIERS {
            head(metric, &mut text);
            for (labels, value) in self.0.get(metric.name).into_iter().flatten() {
                let _ = writeln!(text, "{}{{{labels}}} {value}", metric.name);
            }
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_series_stands_once_under_the_head_of_its_metric_and_labels_are_escaped() {
        let mut text = CarrierText::default();
        for parked in [2.0, 1.0] {
            text.add(CARRIER_PARKED, &[("carrier", "a\"b\\c\n"), ("switch", "fs1")], parked);
        }
        text.add(
            CARRIER_GATEWAYS,
            &[("carrier", "a"), ("switch", "fs1"), ("state", "up")],
            7.0,
        );
        let text = text.into_text();
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines[1], "# TYPE trunkd_carrier_gateways gauge");
        assert_eq!(
            lines[2],
            r#"trunkd_carrier_gateways{carrier="a",switch="fs1",state="up"} 7"#
        );
        assert_eq!(lines[5], r#"trunkd_carrier_parked{carrier="a\"b\\c\n",switch="fs1"} 3"#);
        assert_eq!(lines.len(), 2 * OF_CARRIERS.len() + 2);
    }
}
