//! The metrics of `/metrics/gateways`: series for each gateway on each switch, as Prometheus's text
//! format. Not on `/metrics`, so that nobody pays for them unasked.
//!
//! Written here and not by the recorder's crate: that one keeps every series for good, and holds a
//! string for each of its labels. A hundred thousand gateways are two million series.

use std::fmt::Write as _;
use std::sync::Arc;

use super::STATE_LABELS;
use super::metric::{Metric, counter, gauge};

const INFO: &str = "trunkd_gateway_info";
const STATE: &str = "trunkd_gateway_state";
const USABLE: &str = "trunkd_gateway_usable";
const SINCE: &str = "trunkd_gateway_since_timestamp_seconds";
const PING_MS: &str = "trunkd_gateway_ping_ms";
const REFUSALS: &str = "trunkd_gateway_refusals_total";
const CALLS: &str = "trunkd_gateway_calls_total";
const FAILED_CALLS: &str = "trunkd_gateway_failed_calls_total";

const ENDED_CALLS: &str = "trunkd_gateway_ended_calls";
const CALL_FAILURES: &str = "trunkd_gateway_call_failures";
const ASR: &str = "trunkd_gateway_asr";
const ACD_SECONDS: &str = "trunkd_gateway_acd_seconds";

/// Every metric of a gateway, in the order in which they are written.
pub const OF_GATEWAYS: [Metric; 12] = [
    gauge(
        INFO,
        &["switch", "gateway", "profile", "domain", "host"],
        "Always 1; the label host is where a gateway registers or sends its calls",
    ),
    gauge(
        STATE,
        &["switch", "gateway", "profile", "domain", "state"],
        "1 for the state of a gateway, 0 for the others",
    ),
    gauge(
        USABLE,
        &["switch", "gateway", "profile", "domain"],
        "1 while a gateway can carry calls, 0 while it cannot; absent if unknown",
    ),
    gauge(
        SINCE,
        &["switch", "gateway", "profile", "domain"],
        "When a gateway entered its state",
    ),
    gauge(
        PING_MS,
        &["switch", "gateway", "profile", "domain"],
        "Round-trip time of the last answered ping of a gateway",
    ),
    counter(
        REFUSALS,
        &["switch", "gateway", "profile", "domain", "code"],
        "Registrations of a gateway that failed, by SIP status code",
    ),
    counter(
        CALLS,
        &["switch", "gateway", "profile", "domain", "direction"],
        "Calls over a gateway",
    ),
    counter(
        FAILED_CALLS,
        &["switch", "gateway", "profile", "domain", "direction"],
        "Calls over a gateway that failed",
    ),
    gauge(
        ENDED_CALLS,
        &[
            "switch",
            "gateway",
            "profile",
            "domain",
            "window",
            "direction",
            "outcome",
        ],
        "Calls over a gateway that ended within the window",
    ),
    gauge(
        CALL_FAILURES,
        &["switch", "gateway", "profile", "domain", "window", "cause"],
        "Calls over a gateway that failed within the window, by hangup cause",
    ),
    gauge(
        ASR,
        &["switch", "gateway", "profile", "domain", "window"],
        "Answered calls of all calls that ended within the window, from 0 to 1; absent without calls",
    ),
    gauge(
        ACD_SECONDS,
        &["switch", "gateway", "profile", "domain", "window"],
        "Average duration of answered calls that ended within the window; absent without them",
    ),
];

/// About as much as one chunk of a response takes.
const CHUNK_BYTES: usize = 32 * 1024;

/// One gateway on one switch.
#[derive(Debug, Clone, PartialEq)]
pub struct GatewaySample {
    pub labels: GatewayLabels,
    /// `None` if Redis doesn't say.
    pub host: Option<Box<str>>,
    /// One of [`STATE_LABELS`].
    pub state: &'static str,
    pub usable: Option<bool>,
    /// Unix time.
    pub since_seconds: f64,
    pub ping_ms: Option<f64>,
    pub refusals: Vec<(Box<str>, u64)>,
    /// `None` until a snapshot has them.
    pub calls: Option<CallTotals>,
    /// Empty if calls are not counted, or there were none.
    pub windows: Vec<WindowSample>,
}

/// Calls that ended within a span of time.
#[derive(Debug, Clone, PartialEq)]
pub struct WindowSample {
    pub window: &'static str,
    /// Direction, outcome and calls.
    pub ended: [(&'static str, &'static str, u64); 4],
    /// Failed ones, by hangup cause.
    pub causes: Vec<(&'static str, u64)>,
    pub asr: Option<f64>,
    pub acd: Option<f64>,
}

/// The labels that all series of a gateway have, as text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GatewayLabels(Box<str>);

/// Calls of a gateway, added up over its restarts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CallTotals {
    pub inbound: u64,
    pub outbound: u64,
    pub failed_in: u64,
    pub failed_out: u64,
}

impl GatewayLabels {
    /// A label without a value is left out, which means the same to Prometheus as an empty one.
    pub fn new(switch: &str, gateway: &str, profile: Option<&str>, domain: Option<&str>) -> Self {
        let labels = [
            ("switch", Some(switch)),
            ("gateway", Some(gateway)),
            ("profile", profile),
            ("domain", domain),
        ];
        let mut text = String::new();
        for (name, value) in labels {
            let Some(value) = value else { continue };
            label_into(&mut text, name, value);
        }
        Self(text.into())
    }
}

impl GatewaySample {
    /// A gateway with only its state known.
    pub fn of_state(labels: GatewayLabels, state: &'static str, since_seconds: f64) -> Self {
        Self {
            labels,
            host: None,
            state,
            usable: None,
            since_seconds,
            ping_ms: None,
            refusals: Vec::new(),
            calls: None,
            windows: Vec::new(),
        }
    }

    fn write(&self, name: &str, text: &mut String) {
        let labels = &*self.labels.0;
        let mut line = |more: &[(&str, &str)], value: &dyn std::fmt::Display| {
            let _ = write!(text, "{name}{{{labels}");
            for (label, of) in more {
                label_into(text, label, of);
            }
            let _ = writeln!(text, "}} {value}");
        };
        match name {
            INFO => match self.host.as_deref() {
                Some(host) => line(&[("host", host)], &1),
                None => line(&[], &1),
            },
            STATE => {
                for state in STATE_LABELS {
                    line(&[("state", state)], &u8::from(state == self.state));
                }
            }
            USABLE => {
                if let Some(usable) = self.usable {
                    line(&[], &u8::from(usable));
                }
            }
            SINCE => line(&[], &self.since_seconds),
            PING_MS => {
                if let Some(ping_ms) = self.ping_ms {
                    line(&[], &ping_ms);
                }
            }
            REFUSALS => {
                for (code, count) in &self.refusals {
                    line(&[("code", code)], count);
                }
            }
            CALLS | FAILED_CALLS => {
                let Some(calls) = self.calls else { return };
                let (inbound, outbound) = match name {
                    CALLS => (calls.inbound, calls.outbound),
                    _ => (calls.failed_in, calls.failed_out),
                };
                line(&[("direction", "in")], &inbound);
                line(&[("direction", "out")], &outbound);
            }
            _ => self.windows.iter().for_each(|window| window.write(name, &mut line)),
        }
    }
}

/// Writes a line with these labels besides those of the gateway, and this value.
type WriteLine<'a> = dyn FnMut(&[(&str, &str)], &dyn std::fmt::Display) + 'a;

impl WindowSample {
    fn write(&self, name: &str, line: &mut WriteLine<'_>) {
        let window = ("window", self.window);
        match name {
            ENDED_CALLS => {
                for (direction, outcome, count) in &self.ended {
                    line(&[window, ("direction", direction), ("outcome", outcome)], count);
                }
            }
            CALL_FAILURES => {
                for (cause, count) in &self.causes {
                    line(&[window, ("cause", cause)], count);
                }
            }
            _ => {
                let value = if name == ASR { self.asr } else { self.acd };
                if let Some(value) = value {
                    line(&[window], &value);
                }
            }
        }
    }
}

/// The lines before those of a metric.
pub(super) fn head(metric: &Metric, text: &mut String) {
    let (name, kind, help) = (metric.name, metric.kind.as_str(), metric.help);
    let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}");
}

/// One more label.
pub(super) fn label_into(text: &mut String, name: &str, value: &str) {
    if !text.is_empty() && !text.ends_with('{') {
        text.push(',');
    }
    let _ = write!(text, "{name}=\"");
    for character in value.chars() {
        match character {
            '\\' => text.push_str("\\\\"),
            '"' => text.push_str("\\\""),
            '\n' => text.push_str("\\n"),
            other => text.push(other),
        }
    }
    text.push('"');
}

/// Gateways that can be written.
pub trait GatewaySamples {
    fn samples(&self) -> &[GatewaySample];
}

impl GatewaySamples for Vec<GatewaySample> {
    fn samples(&self) -> &[GatewaySample] {
        self
    }
}

/// The text, in chunks. Only the samples and one chunk are in memory: the text of a hundred
/// thousand gateways takes 200 MB. The format wants all series of a metric together, so it goes
/// through the samples once for each metric.
#[derive(Debug)]
pub struct GatewayText<T> {
    gateways: Arc<T>,
    metric: usize,
    next: usize,
}

impl<T: GatewaySamples> GatewayText<T> {
    pub fn new(gateways: Arc<T>) -> Self {
        Self {
            gateways,
            metric: 0,
            next: 0,
        }
    }
}

impl<T: GatewaySamples> Iterator for GatewayText<T> {
    type Item = String;

    fn next(&mut self) -> Option<String> {
        let samples = self.gateways.samples();
        let mut text = String::with_capacity(CHUNK_BYTES + CHUNK_BYTES / 8);
        while text.len() < CHUNK_BYTES
            && let Some(metric) = OF_GATEWAYS.get(self.metric)
        {
            if self.next == 0 {
                head(metric, &mut text);
            }
            match samples.get(self.next) {
                Some(sample) => {
                    sample.write(metric.name, &mut text);
                    self.next += 1;
                }
                None => {
                    self.metric += 1;
                    self.next = 0;
                }
            }
        }
        (!text.is_empty()).then_some(text)
    }
}

#[cfg(test)]
mod tests;
