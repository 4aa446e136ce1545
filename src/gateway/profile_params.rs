//! The settings of a profile, by name: what is often written into a gateway, where FreeSWITCH ignores it.

/// Whether a name, in lower case, is that of a param of `<settings>` in a profile (`config_sofia` in sofia.c), and not
/// of a gateway's too.
pub(super) fn is_profile_param(name: &str) -> bool {
    PROFILE_PARAMS.binary_search(&name).is_ok()
}

/// Sorted, in lower case: FreeSWITCH reads these in any.
#[rustfmt::skip]
const PROFILE_PARAMS: &[&str] = &[
    "3pcc-reinvite-bridged-on-ack", "abort-on-empty-external-ip", "accept-blind-auth",
    "accept-blind-reg", "aggressive-nat-detection", "all-reg-options-ping", "allow-update",
    "apply-candidate-acl", "apply-inbound-acl", "apply-inbound-acl-x-token", "apply-nat-acl",
    "apply-proxy-acl", "apply-proxy-acl-x-token", "apply-register-acl", "auth-all-packets",
    "auth-calls", "auth-calls-acl-only", "auth-messages", "auth-require-user", "auth-subscriptions",
    "auto-invite-100", "auto-jitterbuffer-msec", "auto-restart", "auto-rtp-bugs",
    "bind-attempt-interval", "bind-attempts", "bind-params", "bitpacking", "blind-auth-reply-403",
    "caller-id-type", "capture-server", "challenge-realm",
    "channel-xml-fetch-on-nightmare-transfer", "cid-in-1xx", "cng-pt", "codec-prefs",
    "confirm-blind-transfer", "contact-user", "db-inner-post-trans-execute",
    "db-inner-pre-trans-execute", "db-post-trans-execute", "db-pre-trans-execute",
    "db-spin-up-wait-ms", "dbname", "debug", "debug-presence", "debug-sla", "dialplan",
    "disable-auth-messages", "disable-auth-subscriptions", "disable-hold", "disable-naptr",
    "disable-register", "disable-rtp-auto-adjust", "disable-srv", "disable-srv503",
    "disable-transcoding", "disable-transfer", "dtmf-duration", "dtmf-type", "enable-100rel",
    "enable-3pcc", "enable-chat", "enable-compact-headers", "enable-rfc-5626", "enable-soa",
    "enable-timer", "enforce-blind-auth-result", "ext-rtp-ip", "ext-sip-ip", "ext-sip-port",
    "extended-info-parsing", "fire-bye-response-events", "fire-message-events",
    "fire-transfer-events", "force-publish-expires", "force-register-db-domain",
    "force-register-domain", "force-subscription-domain", "force-subscription-expires",
    "forward-unsolicited-mwi-notify", "full-id-in-dialplan", "hold-music", "ignore-183nosdp",
    "in-dialog-chat", "inbound-bypass-media", "inbound-codec-negotiation", "inbound-codec-prefs",
    "inbound-late-negotiation", "inbound-no-media", "inbound-proxy-media",
    "inbound-reg-force-matching-username", "inbound-reg-in-new-thread",
    "inbound-use-callid-as-uuid", "keepalive-method", "liberal-dtmf", "local-network-acl",
    "log-auth-failures", "log-level", "make-every-transfer-a-nightmare", "manage-presence",
    "manage-shared-appearance", "manual-redirect", "manual-rtp-bugs", "manual-video-rtp-bugs",
    "max-auth-validity", "max-calls", "max-proceeding", "max-recv-requests-per-second",
    "max-reg-threads", "max-registrations-per-extension", "media-option", "minimum-session-expires",
    "multiple-registrations", "mwi-use-reg-callid", "nat-options-ping", "ndlb-allow-bad-iananame",
    "ndlb-allow-crypto-in-avp", "ndlb-allow-nondup-sdp", "ndlb-broken-auth-hash",
    "ndlb-expires-in-register-response", "ndlb-force-rport", "ndlb-proxy-never-patch-reinvites",
    "ndlb-received-in-nat-reg-contact", "ndlb-sendrecv-in-session",
    "ndlb-support-asterisk-missing-srtp-auth", "nonce-ttl", "odbc-dsn", "outbound-codec-prefs",
    "outbound-use-uuid-as-callid", "p-asserted-id-parse", "parse-all-invite-headers",
    "parse-invite-tel-params", "pass-callee-id", "pass-rfc2833", "ping-mean-interval",
    "ping-thread-frequency", "pnp-provision-url", "presence-disable-early", "presence-hold-state",
    "presence-hosts", "presence-privacy", "presence-probe-on-register", "presence-proto-lookup",
    "profile-standby", "proxy-hold", "proxy-info", "proxy-info-content-types", "proxy-message",
    "proxy-notify-events", "proxy-refer", "proxy-refer-replaces", "record-path", "record-template",
    "reg-deny-binding-fetch-and-no-lookup", "registration-thread-frequency", "require-secure-rtp",
    "reuse-connections", "rewrite-multicasted-fs-path", "rfc-7989", "rfc-7989-filter",
    "rfc-7989-force-old", "rfc2833-pt", "rfc8760-auth-algorithms", "rtcp-audio-interval-msec",
    "rtcp-video-interval-msec", "rtp-autofix-timing", "rtp-digit-delay", "rtp-hold-timeout-sec",
    "rtp-ip", "rtp-notimer-during-bridge", "rtp-rewrite-timestamps", "rtp-timeout-sec",
    "rtp-timer-name", "send-display-update", "send-message-query-on-register",
    "send-presence-on-register", "session-timeout", "shutdown-on-fail", "sip-capture", "sip-domain",
    "sip-expires-late-margin", "sip-expires-max-deviation", "sip-force-expires",
    "sip-force-expires-max", "sip-force-expires-min", "sip-ip", "sip-messages-respond-200-ok",
    "sip-options-respond-503-on-busy", "sip-port", "sip-subscribe-respond-200-ok",
    "sip-subscription-max-deviation", "sip-trace", "sip-user-ping-max", "sip-user-ping-min",
    "socket-tcp-keepalive", "stir-shaken-as-key", "stir-shaken-as-url", "stir-shaken-vs-ca-dir",
    "stir-shaken-vs-cert-path-check", "stir-shaken-vs-require-date", "suppress-cng", "supress-cng",
    "t38-passthru", "tcp-always-nat", "tcp-keepalive", "tcp-ping2pong", "tcp-pingpong",
    "tcp-unreg-on-socket-close", "timer-t1", "timer-t1x64", "timer-t2", "timer-t4", "tls",
    "tls-always-nat", "tls-bind-params", "tls-cert-dir", "tls-ciphers", "tls-only",
    "tls-orq-connect-timeout", "tls-passphrase", "tls-sip-port", "tls-timeout", "tls-verify-date",
    "tls-verify-depth", "tls-verify-in-subjects", "tls-verify-policy", "tls-version", "tracelevel",
    "track-calls", "unregister-on-options-fail", "update-refresher", "use-port-for-acl-check",
    "user-agent-filter", "user-agent-string", "vad", "watchdog-enabled", "watchdog-event-timeout",
    "watchdog-step-timeout", "ws-binding", "wss-binding",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_names_are_sorted_and_none_is_a_gateways() {
        assert!(PROFILE_PARAMS.is_sorted());
        assert!(
            PROFILE_PARAMS
                .iter()
                .all(|name| super::super::params::param(name).is_none())
        );
        assert!(is_profile_param("dtmf-type") && !is_profile_param("realm"));
    }
}
