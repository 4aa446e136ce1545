//! The metrics of `/metrics`.

use super::metric::{Metric, counter, gauge, histogram};

pub const XML_CURL_REQUESTS: &str = "trunkd_xml_curl_requests_total";
pub const XML_CURL_SECONDS: &str = "trunkd_xml_curl_seconds";
pub const XML_CURL_BYTES: &str = "trunkd_xml_curl_bytes";
pub const XML_CURL_OVERSIZED: &str = "trunkd_xml_curl_oversized_total";
pub const UNKNOWN_SWITCH_REQUESTS: &str = "trunkd_unknown_switch_requests_total";
pub const UNKNOWN_SWITCHES: &str = "trunkd_unknown_switches";
pub const HTTP_REFUSED: &str = "trunkd_http_refused_total";
pub const HTTP_CONNECTIONS: &str = "trunkd_http_connections";
pub const HTTP_CUT: &str = "trunkd_http_cut_total";
pub const TLS_EXPIRY: &str = "trunkd_tls_expiry_timestamp_seconds";
pub const GATEWAYS: &str = "trunkd_gateways";
pub const DESIRED_AGE_SECONDS: &str = "trunkd_desired_age_seconds";
pub const TEMPLATES_OK: &str = "trunkd_templates_ok";
pub const BACKUP_OK: &str = "trunkd_backup_ok";
pub const EVENTS: &str = "trunkd_events_total";
pub const EVENTS_STORED: &str = "trunkd_events_stored_total";
pub const EVENTS_STALE: &str = "trunkd_events_stale_total";
pub const EVENTS_DROPPED: &str = "trunkd_events_dropped_total";
pub const INGEST_BACKLOG: &str = "trunkd_ingest_backlog";
pub const SWITCH_CONNECTED: &str = "trunkd_switch_connected";
pub const SWITCH_SIP_UP: &str = "trunkd_switch_sip_up";
pub const SWITCH_LIFE: &str = "trunkd_switch_life";
pub const SWITCH_CONNECTS: &str = "trunkd_switch_connects_total";
pub const SWITCH_GATEWAYS: &str = "trunkd_switch_gateways";
pub const SWITCH_USABLE: &str = "trunkd_switch_usable";
pub const GATEWAY_OUTAGES: &str = "trunkd_gateway_outages_total";
pub const SWITCH_PINGS_STUCK: &str = "trunkd_switch_pings_stuck";
pub const SWITCH_CHALLENGES: &str = "trunkd_switch_challenges";
pub const CALLS_CONNECTED: &str = "trunkd_calls_connected";
pub const CALLS_COUNTED: &str = "trunkd_calls_counted_total";
pub const CALLS_DROPPED: &str = "trunkd_calls_dropped_total";
pub const SNAPSHOTS: &str = "trunkd_snapshots_total";
pub const SNAPSHOT_CORRECTIONS: &str = "trunkd_snapshot_corrections_total";
pub const RECONCILE_ACTIONS: &str = "trunkd_reconcile_actions_total";
pub const ROLLBACKS: &str = "trunkd_rollbacks_total";
pub const EDITS_HELD: &str = "trunkd_edits_held";
pub const RECONCILE_LEASE: &str = "trunkd_reconcile_lease";
pub const RECONCILE_HELD: &str = "trunkd_reconcile_held";
pub const RECONCILE_PAUSED: &str = "trunkd_reconcile_paused";
pub const RECONCILE_PENDING: &str = "trunkd_reconcile_pending";
pub const RECONCILE_CONFLICTS: &str = "trunkd_reconcile_conflicts";
pub const PARKED_GATEWAYS: &str = "trunkd_parked_gateways";
pub const CARRIER_OUT: &str = "trunkd_carrier_out";
pub const PLACEMENT_GATEWAYS: &str = "trunkd_placement_gateways";
pub const PLACEMENT_WITHOUT_SWITCH: &str = "trunkd_placement_without_switch";
pub const PLACEMENT_MOVES: &str = "trunkd_placement_moves_total";
pub const WEBHOOK_DELIVERIES: &str = "trunkd_webhook_deliveries_total";
pub const WEBHOOK_LAG_SECONDS: &str = "trunkd_webhook_lag_seconds";
pub const REDIS_ERRORS: &str = "trunkd_redis_errors_total";
pub const REDIS_UP: &str = "trunkd_redis_up";
pub const BUILD_INFO: &str = "trunkd_build_info";

/// Every metric there is.
pub const ALL: &[Metric] = &[
    counter(
        XML_CURL_REQUESTS,
        &["kind", "outcome"],
        "Requests to /xml_curl, by what was asked and how it was answered",
    ),
    histogram(
        XML_CURL_SECONDS,
        &["kind"],
        "Time from a request to /xml_curl to its answer",
    ),
    histogram(XML_CURL_BYTES, &["kind"], "Size of an answer of /xml_curl"),
    counter(
        XML_CURL_OVERSIZED,
        &[],
        "Answers over 1 MiB, which FreeSWITCH discards unless response-max-bytes is set in its xml_curl.conf.xml",
    ),
    counter(
        UNKNOWN_SWITCH_REQUESTS,
        &[],
        "Requests for sofia.conf by a switch that no [[switch]] names",
    ),
    gauge(
        UNKNOWN_SWITCHES,
        &[],
        "Switch names that no [[switch]] has and that asked within the last hour, 64 at most",
    ),
    counter(
        HTTP_REFUSED,
        &["reason"],
        "Connections refused before a request was read, by reason",
    ),
    gauge(HTTP_CONNECTIONS, &[], "Open connections to the HTTP server"),
    counter(
        HTTP_CUT,
        &["reason"],
        "Connections cut before their answer was sent, by reason",
    ),
    gauge(
        TLS_EXPIRY,
        &["section"],
        "When the certificate that clients see expires, by the settings that name it",
    ),
    gauge(
        GATEWAYS,
        &["domain", "validity"],
        "Gateways in Redis, by domain and validity",
    ),
    gauge(
        DESIRED_AGE_SECONDS,
        &[],
        "Age of the desired gateways that are being served",
    ),
    gauge(TEMPLATES_OK, &[], "1 while the templates in use are those on disk"),
    gauge(BACKUP_OK, &[], "1 unless the backup of the day could not be written"),
    counter(
        EVENTS,
        &["subclass", "switch"],
        "Events that a switch sent, by subclass",
    ),
    counter(
        EVENTS_STORED,
        &["switch"],
        "Events that became the state of their gateway in Redis",
    ),
    counter(
        EVENTS_STALE,
        &["switch"],
        "Events older than what is stored, or seen before",
    ),
    counter(
        EVENTS_DROPPED,
        &["switch", "target"],
        "Events that could not be kept, by what they were for",
    ),
    gauge(
        INGEST_BACKLOG,
        &["switch"],
        "Events read from a switch and not yet written to Redis",
    ),
    gauge(
        SWITCH_CONNECTED,
        &["switch"],
        "1 while the event socket of a switch is connected",
    ),
    gauge(
        SWITCH_SIP_UP,
        &["switch"],
        "1 while the SIP of a switch answers, NaN if nobody knows where; only while a gateway runs on one switch",
    ),
    gauge(
        SWITCH_LIFE,
        &["life", "switch"],
        "1 for what a switch is, as all trunkd see it; only while a gateway runs on one switch",
    ),
    counter(
        SWITCH_CONNECTS,
        &["outcome", "switch"],
        "Attempts to connect to a switch, by outcome",
    ),
    gauge(
        SWITCH_GATEWAYS,
        &["state", "switch"],
        "Gateways that a switch runs, by state",
    ),
    gauge(
        SWITCH_USABLE,
        &["switch", "usable"],
        "Gateways that a switch runs, by whether they can carry calls",
    ),
    counter(
        GATEWAY_OUTAGES,
        &["switch"],
        "Outages of gateways on a switch that this trunkd recorded",
    ),
    gauge(
        SWITCH_PINGS_STUCK,
        &["switch"],
        "Gateways whose ping has been pending for longer than a ping can take",
    ),
    gauge(
        SWITCH_CHALLENGES,
        &["switch"],
        "Gateways whose carrier sent a challenge that FreeSWITCH did not answer",
    ),
    gauge(
        CALLS_CONNECTED,
        &["switch"],
        "1 while the calls of a switch are counted",
    ),
    counter(
        CALLS_COUNTED,
        &["switch"],
        "Calls over gateways of a switch that ended and were counted",
    ),
    counter(
        CALLS_DROPPED,
        &["reason", "switch"],
        "Calls that ended and could not be counted",
    ),
    counter(
        SNAPSHOTS,
        &["outcome", "switch"],
        "Snapshots of the gateways on a switch, by outcome",
    ),
    counter(
        SNAPSHOT_CORRECTIONS,
        &["switch"],
        "Stored states that a snapshot corrected",
    ),
    counter(
        RECONCILE_ACTIONS,
        &["action", "outcome", "switch"],
        "Changes of gateways on a switch, by action and outcome",
    ),
    counter(
        ROLLBACKS,
        &["outcome", "switch"],
        "Edits that a carrier refused, by what became of them",
    ),
    gauge(
        EDITS_HELD,
        &["phase"],
        "Gateways that run an older version than Redis holds, by the reason",
    ),
    gauge(
        RECONCILE_LEASE,
        &["switch"],
        "1 while this trunkd holds the lease on a switch and may change it",
    ),
    gauge(
        RECONCILE_HELD,
        &["switch"],
        "1 while the plan of a switch is held because it removes too much",
    ),
    gauge(
        RECONCILE_PAUSED,
        &["switch"],
        "1 while a switch is paused, so that only `trunkd apply` changes it",
    ),
    gauge(
        RECONCILE_PENDING,
        &["switch"],
        "Changes in the plan of a switch that are not made yet",
    ),
    gauge(
        RECONCILE_CONFLICTS,
        &["switch"],
        "Conflicts on a switch that an operator must fix",
    ),
    gauge(
        PARKED_GATEWAYS,
        &["switch"],
        "Gateways that are parked on a switch, most of them because their carrier refuses them",
    ),
    gauge(
        PLACEMENT_GATEWAYS,
        &["switch"],
        "Gateways with `\"placement\": \"one\"` that are on a switch",
    ),
    gauge(
        PLACEMENT_WITHOUT_SWITCH,
        &[],
        "Gateways with `\"placement\": \"one\"` that no live switch has",
    ),
    counter(
        PLACEMENT_MOVES,
        &["reason"],
        "Gateways that this trunkd put on another switch: failover, drain, edit, failback, asked, rebalance, returned",
    ),
    gauge(
        CARRIER_OUT,
        &["carrier", "switch"],
        "1 while more than half of a carrier's gateways on a switch fail together",
    ),
    counter(
        WEBHOOK_DELIVERIES,
        &["outcome", "webhook"],
        "Posts to a webhook, by outcome",
    ),
    gauge(
        WEBHOOK_LAG_SECONDS,
        &["webhook"],
        "Age of the oldest entry that a webhook has not taken yet",
    ),
    counter(
        REDIS_ERRORS,
        &["operation"],
        "Redis operations that failed or timed out",
    ),
    gauge(REDIS_UP, &[], "1 while Redis answers"),
    gauge(BUILD_INFO, &["version"], "Always 1; the label is the version of trunkd"),
];
