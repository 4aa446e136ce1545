//! Every metric of trunkd, in one table ([`ALL`]), and the recorder behind `/metrics`.
//!
//! `docs/metrics.md` explains each metric; `tests/metrics_docs.rs` compares it with the table and
//! with the code that sets the metrics. The values of a label come from a fixed list, from the
//! settings (switches) or are bounded here (domains), so nothing that is written into Redis or sent
//! to trunkd adds series without limit. No label holds a secret, a gateway's name or an address. The
//! series of each gateway are a table of their own ([`OF_GATEWAYS`]), on a page of their own; so are
//! those of carriers ([`OF_CARRIERS`]).

mod gateways;
mod metric;
mod per_carrier;
mod per_gateway;
mod table;

use std::sync::OnceLock;
use std::time::Duration;

use ::metrics::{describe_counter, describe_gauge, describe_histogram, gauge};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle, PrometheusRecorder};

pub use gateways::GatewayGauges;
pub use metric::{Metric, MetricKind};
pub use per_carrier::{
    CARRIER_ENDED_CALLS, CARRIER_GATEWAYS, CARRIER_PARKED, CARRIER_REFUSALS, CARRIER_REGISTER_LIMIT, CARRIER_REGISTERS,
    CARRIER_WAITING, CarrierText, OF_CARRIERS,
};
pub use per_gateway::{
    CallTotals, GatewayLabels, GatewaySample, GatewaySamples, GatewayText, OF_GATEWAYS, WindowSample,
};
pub use table::*;

/// How often [`upkeep`] runs: at a thousand requests a second the samples in between take a few
/// megabytes.
const UPKEEP_INTERVAL: Duration = Duration::from_secs(5);

/// An answer from memory takes tens of microseconds; after five seconds FreeSWITCH has usually
/// given up.
const SECONDS_BUCKETS: [f64; 15] = [
    0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0,
];

/// One gateway takes about 700 bytes; 1 MiB is FreeSWITCH's default limit (FACTS 5).
const BYTES_BUCKETS: [f64; 10] = [
    512.0,
    2_048.0,
    8_192.0,
    32_768.0,
    131_072.0,
    524_288.0,
    1_048_576.0,
    4_194_304.0,
    16_777_216.0,
    67_108_864.0,
];

/// The recorder of the process. The first call installs it; later calls return the same handle, so
/// several applications in one process (as in tests) share it. A process that serves must also run
/// [`upkeep`].
pub fn install() -> PrometheusHandle {
    static HANDLE: OnceLock<PrometheusHandle> = OnceLock::new();
    HANDLE
        .get_or_init(|| {
            let recorder = build_recorder();
            let handle = recorder.handle();
            // Fails only if a recorder is installed already, as a test may do; then that one gets
            // the numbers.
            if ::metrics::set_global_recorder(recorder).is_ok() {
                describe();
            }
            handle
        })
        .clone()
}

/// A recorder that is not installed; tests use it with `metrics::with_local_recorder`.
fn build_recorder() -> PrometheusRecorder {
    let buckets = [
        (XML_CURL_SECONDS, &SECONDS_BUCKETS[..]),
        (XML_CURL_BYTES, &BYTES_BUCKETS[..]),
    ];
    let with_all = buckets
        .into_iter()
        .try_fold(PrometheusBuilder::new(), |builder, (name, bounds)| {
            builder.set_buckets_for_metric(Matcher::Full(name.to_owned()), bounds)
        });
    with_all.expect("no list of bounds is empty").build_recorder()
}

/// Aggregates the samples of the histograms at intervals, forever. Without it, every answer would
/// cost memory until somebody reads `/metrics`.
pub async fn upkeep(handle: PrometheusHandle) {
    loop {
        tokio::time::sleep(UPKEEP_INTERVAL).await;
        handle.run_upkeep();
    }
}

/// Registers the description of every metric, and sets [`BUILD_INFO`].
pub fn describe() {
    for metric in ALL {
        let (name, unit, help) = (metric.name, metric.unit(), metric.help);
        match metric.kind {
            MetricKind::Counter => describe_counter!(name, unit, help),
            MetricKind::Gauge => describe_gauge!(name, unit, help),
            MetricKind::Histogram => describe_histogram!(name, unit, help),
        }
    }
    gauge!(BUILD_INFO, "version" => env!("CARGO_PKG_VERSION")).set(1.0);
}

/// Values of the label `state`: FreeSWITCH's words (FACTS 31), and `other` for an unknown word or
/// no state yet.
pub const STATE_LABELS: [&str; 12] = [
    "UNREGED",
    "TRYING",
    "REGISTER",
    "REGED",
    "UNREGISTER",
    "FAILED",
    "FAIL_WAIT",
    "EXPIRED",
    "NOREG",
    "DOWN",
    "TIMEOUT",
    "other",
];

/// Values of the label `usable`; `unknown` is a gateway that neither registers nor is pinged.
pub const USABLE_LABELS: [&str; 3] = ["yes", "no", "unknown"];

/// A gateway's state as a label, one of [`STATE_LABELS`].
pub fn state_label(state: &str) -> &'static str {
    STATE_LABELS
        .into_iter()
        .find(|known| *known == state)
        .unwrap_or("other")
}

#[cfg(test)]
mod tests;
