//! Every metric that trunkd has, by name, with its unit and its labels, and the recorder behind `/metrics`.
//!
//! A label's values come from a fixed list, from the settings (switches), or are bounded here (domains): a metric never grows with
//! what somebody writes into Redis or sends us. No label ever holds a secret, a gateway's name or an address.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::OnceLock;
use std::time::Duration;

use ::metrics::{Unit, describe_counter, describe_gauge, describe_histogram, gauge};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle, PrometheusRecorder};

/// Counter: requests to `/xml_curl` that were answered. `kind` (what was asked for), `outcome` (how it was answered).
pub const XML_CURL_REQUESTS: &str = "trunkd_xml_curl_requests_total";
/// Histogram, seconds: from a request read to its answer ready. `kind`.
pub const XML_CURL_SECONDS: &str = "trunkd_xml_curl_seconds";
/// Histogram, bytes: size of an answer's body. `kind`.
pub const XML_CURL_BYTES: &str = "trunkd_xml_curl_bytes";
/// Counter: answers over 1 MiB, which FreeSWITCH throws away unless its binding sets `response-max-bytes` (FACT 5). No label.
pub const XML_CURL_OVERSIZED: &str = "trunkd_xml_curl_oversized_total";
/// Counter: requests for `sofia.conf` by a switch that is in no settings, where there are any. No label.
pub const UNKNOWN_SWITCH_REQUESTS: &str = "trunkd_unknown_switch_requests_total";
/// Gauge: names of such switches within the last hour; more are not told apart from 64 on. No label.
pub const UNKNOWN_SWITCHES: &str = "trunkd_unknown_switches";
/// Counter: connections turned away before a request was read. `reason` (`network`, `full`, `tls`).
pub const HTTP_REFUSED: &str = "trunkd_http_refused_total";
/// Gauge: connections that are open, those that wait for room not included. No label.
pub const HTTP_CONNECTIONS: &str = "trunkd_http_connections";
/// Counter: connections cut off before their end. `reason` (`too_long`; `memory`: slow readers held too many old documents).
pub const HTTP_CUT: &str = "trunkd_http_cut_total";
/// Gauge: gateways in Redis. `domain` (at most [`DOMAIN_LABELS_MAX`], the rest together as `other`), `validity`.
pub const GATEWAYS: &str = "trunkd_gateways";
/// Gauge, seconds: age of the desired gateways that are being served; near 0 while Redis answers. No label.
pub const DESIRED_AGE_SECONDS: &str = "trunkd_desired_age_seconds";
/// Gauge: 1 while the templates in use are those on disk, 0 after a broken one was refused. No label.
pub const TEMPLATES_OK: &str = "trunkd_templates_ok";
/// Counter: events a switch sent. `switch`, `subclass` (of [`subclass_label`]).
pub const EVENTS: &str = "trunkd_events_total";
/// Counter: events that became what Redis holds of their gateway; of several that were written together, the newest. `switch`.
pub const EVENTS_STORED: &str = "trunkd_events_stored_total";
/// Counter: events older than what is stored, or seen before. `switch`.
pub const EVENTS_STALE: &str = "trunkd_events_stale_total";
/// Counter: events that could not be kept for lack of room. `switch`, `target` (`hash`, `channel_and_list`; `unreadable` for those that
/// could not be read, or were too long).
pub const EVENTS_DROPPED: &str = "trunkd_events_dropped_total";
/// Gauge: events read from a switch and not yet in Redis. `switch`.
pub const INGEST_BACKLOG: &str = "trunkd_ingest_backlog";
/// Gauge: 1 while a switch's event socket is connected and subscribed. `switch`.
pub const SWITCH_CONNECTED: &str = "trunkd_switch_connected";
/// Counter: tries to connect to a switch. `switch`, `outcome`.
pub const SWITCH_CONNECTS: &str = "trunkd_switch_connects_total";
/// Gauge: gateways that a switch runs. `switch`, `state` (of [`state_label`]).
pub const SWITCH_GATEWAYS: &str = "trunkd_switch_gateways";
/// Gauge: gateways that a switch runs, by whether calls can go over them. `switch`, `usable` (of [`USABLE_LABELS`]).
pub const SWITCH_USABLE: &str = "trunkd_switch_usable";
/// Gauge: gateways whose ping has been under way for longer than one can take, so that its state says nothing. `switch`.
pub const SWITCH_PINGS_STUCK: &str = "trunkd_switch_pings_stuck";
/// Gauge: gateways whose carrier's challenge was not answered, for want of gw-auth-acl. `switch`.
pub const SWITCH_CHALLENGES: &str = "trunkd_switch_challenges";
/// Counter: comparisons of a switch's own list with what is stored. `switch`, `outcome`.
pub const SNAPSHOTS: &str = "trunkd_snapshots_total";
/// Counter: stored states that a comparison set right. `switch`.
pub const SNAPSHOT_CORRECTIONS: &str = "trunkd_snapshot_corrections_total";
/// Counter: changes of gateways on a switch. `switch`, `action` (start, restart, kill), `outcome` (done, refused, failed).
pub const RECONCILE_ACTIONS: &str = "trunkd_reconcile_actions_total";
/// Gauge: 1 while this trunkd, of several, is the one that may change the switch. `switch`.
pub const RECONCILE_LEASE: &str = "trunkd_reconcile_lease";
/// Gauge: 1 while a switch's plan is held. `switch`.
pub const RECONCILE_HELD: &str = "trunkd_reconcile_held";
/// Gauge: 1 while a switch is changed by orders alone, since somebody paused it. `switch`.
pub const RECONCILE_PAUSED: &str = "trunkd_reconcile_paused";
/// Gauge: changes that a switch's plan still has to make. `switch`.
pub const RECONCILE_PENDING: &str = "trunkd_reconcile_pending";
/// Gauge: what an operator must fix on a switch. `switch`.
pub const RECONCILE_CONFLICTS: &str = "trunkd_reconcile_conflicts";
/// Counter: commands to Redis that failed or took too long. `operation`.
pub const REDIS_ERRORS: &str = "trunkd_redis_errors_total";
/// Gauge: 1 while Redis answers. No label.
pub const REDIS_UP: &str = "trunkd_redis_up";
/// Gauge: always 1. `version`.
pub const BUILD_INFO: &str = "trunkd_build_info";

/// Domains with a label of their own. Each is a handful of series, and a dashboard with more lines than this is read by nobody.
pub const DOMAIN_LABELS_MAX: usize = 200;

/// How often [`upkeep`] takes in what the histograms gathered: at a thousand requests a second some megabytes at most.
const UPKEEP_INTERVAL: Duration = Duration::from_secs(5);

/// An answer from memory takes tens of microseconds; past five seconds FreeSWITCH has usually given up.
const SECONDS_BUCKETS: [f64; 15] = [
    0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0,
];

/// One gateway is some 700 bytes; the bound at 1 MiB is the one FreeSWITCH has by itself (FACT 5).
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

/// The process's recorder, installed at the first call; each later call gives the same handle, so that several applications in one
/// process (as tests have them) share it. Whoever serves must also run [`upkeep`].
pub fn install() -> PrometheusHandle {
    static HANDLE: OnceLock<PrometheusHandle> = OnceLock::new();
    HANDLE
        .get_or_init(|| {
            let recorder = build_recorder();
            let handle = recorder.handle();
            // Fails only where another recorder stands already, as in a test that brought its own: then it gets the numbers.
            if ::metrics::set_global_recorder(recorder).is_ok() {
                describe();
            }
            handle
        })
        .clone()
}

/// A recorder of one's own, for `metrics::with_local_recorder`; its `handle()` renders it. Call [`describe`] within to have the
/// descriptions.
pub fn build_recorder() -> PrometheusRecorder {
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

/// Takes in what the histograms gathered, again and again, for ever: without it, and with nobody reading `/metrics`, each answer
/// would cost memory.
pub async fn upkeep(handle: PrometheusHandle) {
    loop {
        tokio::time::sleep(UPKEEP_INTERVAL).await;
        handle.run_upkeep();
    }
}

/// Registers every metric's description, and sets [`BUILD_INFO`].
pub fn describe() {
    describe_counter!(
        XML_CURL_REQUESTS,
        "Requests to /xml_curl that were answered, by what was asked and how it was answered"
    );
    describe_histogram!(
        XML_CURL_SECONDS,
        Unit::Seconds,
        "Time from a request to /xml_curl to its answer"
    );
    describe_histogram!(XML_CURL_BYTES, Unit::Bytes, "Size of an answer of /xml_curl");
    describe_counter!(
        XML_CURL_OVERSIZED,
        "Answers over 1 MiB, which FreeSWITCH throws away unless response-max-bytes is set in its xml_curl.conf.xml"
    );
    describe_counter!(
        UNKNOWN_SWITCH_REQUESTS,
        "Requests for sofia.conf by a switch that no [[switch]] names"
    );
    describe_gauge!(
        UNKNOWN_SWITCHES,
        "Switch names that no [[switch]] has and that asked within the last hour, 64 at most"
    );
    describe_counter!(
        HTTP_REFUSED,
        "Connections turned away before a request was read, by reason"
    );
    describe_gauge!(HTTP_CONNECTIONS, "Connections to the HTTP server that are open");
    describe_counter!(HTTP_CUT, "Connections cut off before their end, by reason");
    describe_gauge!(GATEWAYS, "Gateways in Redis, by domain and validity");
    describe_gauge!(
        DESIRED_AGE_SECONDS,
        Unit::Seconds,
        "Age of the desired gateways that are being served"
    );
    describe_gauge!(TEMPLATES_OK, "1 while the templates in use are those on disk");
    describe_counter!(EVENTS, "Events that a switch sent, by subclass");
    describe_counter!(EVENTS_STORED, "Events that became what Redis holds of their gateway");
    describe_counter!(EVENTS_STALE, "Events older than what is stored, or seen before");
    describe_counter!(
        EVENTS_DROPPED,
        "Events that could not be kept for lack of room, by what they were for"
    );
    describe_gauge!(INGEST_BACKLOG, "Events read from a switch and not yet in Redis");
    describe_gauge!(SWITCH_CONNECTED, "1 while a switch's event socket is connected");
    describe_counter!(SWITCH_CONNECTS, "Tries to connect to a switch, by outcome");
    describe_gauge!(SWITCH_GATEWAYS, "Gateways that a switch runs, by state");
    describe_gauge!(
        SWITCH_USABLE,
        "Gateways that a switch runs, by whether calls can go over them"
    );
    describe_gauge!(
        SWITCH_PINGS_STUCK,
        "Gateways whose ping has been under way for longer than one can take"
    );
    describe_gauge!(
        SWITCH_CHALLENGES,
        "Gateways whose carrier's challenge FreeSWITCH did not answer"
    );
    describe_counter!(
        SNAPSHOTS,
        "Comparisons of a switch's own list of gateways with what is stored, by outcome"
    );
    describe_counter!(SNAPSHOT_CORRECTIONS, "Stored states that a comparison set right");
    describe_counter!(
        RECONCILE_ACTIONS,
        "Changes of gateways on a switch, by action and outcome"
    );
    describe_gauge!(
        RECONCILE_LEASE,
        "1 while this trunkd is the one that may change the switch"
    );
    describe_gauge!(
        RECONCILE_HELD,
        "1 while a switch's plan is held because it removes too much"
    );
    describe_gauge!(
        RECONCILE_PAUSED,
        "1 while a switch is paused, so that only `trunkd apply` changes it"
    );
    describe_gauge!(RECONCILE_PENDING, "Changes that a switch's plan still has to make");
    describe_gauge!(RECONCILE_CONFLICTS, "What an operator must fix on a switch");
    describe_counter!(
        REDIS_ERRORS,
        "Commands to Redis that failed or took too long, by operation"
    );
    describe_gauge!(REDIS_UP, "1 while Redis answers");
    describe_gauge!(BUILD_INFO, "Always 1; its label is the version");
    gauge!(BUILD_INFO, "version" => env!("CARGO_PKG_VERSION")).set(1.0);
}

/// The subclass of an event as a label: what mod_sofia sends of gateways (FACT 30), anything else as `other`.
pub fn subclass_label(subclass: &str) -> &'static str {
    bounded(
        subclass,
        &[
            "sofia::gateway_add",
            "sofia::gateway_state",
            "sofia::gateway_delete",
            "sofia::gateway_invalid_digest_req",
            "sofia::profile_start",
            "HEARTBEAT",
        ],
    )
}

/// The label `state`: FreeSWITCH's words (FACT 31), `other` for a word that is not known, or for none yet.
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

/// The label `usable`: `unknown` for a gateway that neither registers nor is pinged.
pub const USABLE_LABELS: [&str; 3] = ["yes", "no", "unknown"];

/// A gateway's state as a label, one of [`STATE_LABELS`].
pub fn state_label(state: &str) -> &'static str {
    bounded(state, &STATE_LABELS)
}

fn bounded(value: &str, known: &[&'static str]) -> &'static str {
    known.iter().copied().find(|known| *known == value).unwrap_or("other")
}

/// Sets [`GATEWAYS`], with at most [`DOMAIN_LABELS_MAX`] domains as labels in the life of this value, first come, first named.
/// Keep one for each store.
#[derive(Debug, Default)]
pub struct GatewayGauges {
    named: BTreeSet<String>,
    /// What is on display, so that what is gone is set to 0: a series can't be taken back.
    shown: BTreeSet<(String, &'static str)>,
}

impl GatewayGauges {
    /// Shows `counts`, (domain, validity, gateways), and 0 for whatever was shown before and is not among them.
    pub fn set<'a>(&mut self, counts: impl IntoIterator<Item = (&'a str, &'static str, u64)>) {
        let mut next: BTreeMap<(String, &'static str), u64> = self.shown.iter().map(|key| (key.clone(), 0)).collect();
        for (domain, validity, gateways) in counts {
            *next.entry((self.label(domain), validity)).or_default() += gateways;
        }
        for ((domain, validity), gateways) in &next {
            gauge!(GATEWAYS, "domain" => domain.clone(), "validity" => *validity).set(*gateways as f64);
        }
        self.shown = next.into_keys().collect();
    }

    fn label(&mut self, domain: &str) -> String {
        if !self.named.contains(domain) {
            if self.named.len() >= DOMAIN_LABELS_MAX {
                return "other".to_owned();
            }
            self.named.insert(domain.to_owned());
        }
        domain.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use ::metrics::{counter, histogram, with_local_recorder};

    use super::*;

    fn rendered(record: impl FnOnce()) -> String {
        let recorder = build_recorder();
        with_local_recorder(&recorder, record);
        recorder.handle().render()
    }

    #[test]
    fn histograms_have_buckets_of_their_unit() {
        let text = rendered(|| {
            describe();
            histogram!(XML_CURL_SECONDS, "kind" => "rescan").record(0.0007);
            histogram!(XML_CURL_BYTES, "kind" => "rescan").record(900_000.0);
        });
        assert!(
            text.contains(r#"trunkd_xml_curl_seconds_bucket{kind="rescan",le="0.001"} 1"#),
            "{text}"
        );
        assert!(
            text.contains(r#"trunkd_xml_curl_bytes_bucket{kind="rescan",le="1048576"} 1"#),
            "{text}"
        );
        assert!(
            text.contains(r#"trunkd_xml_curl_bytes_bucket{kind="rescan",le="524288"} 0"#),
            "{text}"
        );
        assert!(text.contains("# HELP trunkd_xml_curl_seconds "), "{text}");
        assert!(text.contains("trunkd_build_info{version="), "{text}");
    }

    #[test]
    fn installing_twice_gives_the_same_recorder() {
        let (first, second) = (install(), install());
        counter!(XML_CURL_OVERSIZED).increment(1);
        assert!(first.render().contains("trunkd_xml_curl_oversized_total 1"));
        assert!(second.render().contains("trunkd_xml_curl_oversized_total 1"));
    }

    #[test]
    fn domains_past_the_bound_share_one_label_and_gone_ones_fall_to_zero() {
        let domains: Vec<String> = (0..DOMAIN_LABELS_MAX + 50).map(|n| format!("tenant-{n:03}")).collect();
        let text = rendered(|| {
            let mut gauges = GatewayGauges::default();
            gauges.set(domains.iter().map(|domain| (domain.as_str(), "valid", 3)));
            // The first tenant leaves and its label stays taken; a new one does not get a label of its own.
            gauges.set(
                domains[1..]
                    .iter()
                    .map(String::as_str)
                    .chain(["newcomer"])
                    .map(|domain| (domain, "valid", 2)),
            );
        });
        let series: Vec<&str> = text
            .lines()
            .filter(|line| line.starts_with("trunkd_gateways{"))
            .collect();
        assert_eq!(series.len(), DOMAIN_LABELS_MAX + 1);
        assert!(series.contains(&r#"trunkd_gateways{domain="tenant-000",validity="valid"} 0"#));
        assert!(series.contains(&r#"trunkd_gateways{domain="tenant-199",validity="valid"} 2"#));
        assert!(series.contains(&r#"trunkd_gateways{domain="other",validity="valid"} 102"#));
    }

    #[test]
    fn labels_outside_the_known_words_are_other() {
        assert_eq!(state_label("REGED"), "REGED");
        assert_eq!(state_label("reged; rm -rf"), "other");
        assert_eq!(subclass_label("sofia::gateway_state"), "sofia::gateway_state");
        assert_eq!(subclass_label("sofia::whatever"), "other");
    }
}
