//! Where requests go, by which transport, and whose challenges are answered.

use super::super::finding::{Fault, Note, Severity};
use super::super::freeswitch::{Transport, transport};
use super::super::host::{Host, compared, is_comparable, split_scheme};
use super::super::params::Kind;
use super::{Values, warning};

/// An unknown transport drops the gateway, and so does TLS on a profile without it (FACTS 15).
pub(super) fn register_transport(values: &Values<'_>) -> Vec<Note> {
    const NAME: &str = "register-transport";
    let Some(value) = values.get(NAME) else {
        return Vec::new();
    };
    let tls = values.profile.map(|profile| profile.tls);
    let error = |reason, fix| vec![Fault::new(reason, fix).at(Severity::Error, NAME)];
    match (transport(value), tls) {
        (None, _) => error(
            "is not a transport that FreeSWITCH knows; it would drop the gateway",
            "write udp, tcp, tls or sctp",
        ),
        (Some(Transport::Tls), Some(Some(false))) => error(
            "is TLS, and the profile has none; FreeSWITCH would drop the gateway",
            "set the profile's param tls to true in its template, or write udp or tcp",
        ),
        (Some(Transport::Tls), Some(None)) => vec![warning(
            NAME,
            "is TLS, and a FreeSWITCH global decides whether the profile has it; without, the gateway is dropped",
            "make sure that the switch has TLS on for this profile",
        )],
        _ => Vec::new(),
    }
}

/// `;transport=` in a host decides how a request is sent to it, register-transport what the Contact says, and how what
/// names no transport is sent (**seen**).
pub(super) fn host_transports(values: &Values<'_>) -> Vec<Note> {
    let contact = match values.get("register-transport") {
        Some(text) => transport(text),
        None => Some(Transport::Udp),
    };
    let has_tls = values.profile.is_none_or(|profile| profile.tls != Some(false));
    // What a lost ping makes of the gateway, no call gets by.
    let pinged = values.pings().then(|| (values.registrar(), false));
    let targets = values.targets().map(|param| (param, true));
    targets
        .chain(pinged)
        .filter_map(|(param, has_contact)| {
            let host = values.host(param)?;
            let word = if host.is_sips { "tls" } else { host.transport()? };
            let Some(used) = Transport::of_word(word) else {
                let reason = "has a ;transport= that FreeSWITCH doesn't know: nothing is sent (503)";
                return Some(warning(param, reason, "write udp, tcp, tls or sctp"));
            };
            if used == Transport::Tls && !has_tls {
                let reason = "says TLS, and the profile has no TLS: nothing is sent (503)";
                let fix = "set the profile's param tls to true in its template, or take another transport";
                return Some(warning(param, reason, fix));
            }
            (has_contact && contact.is_some() && contact != Some(used)).then(|| {
                let reason = format!(
                    "requests go by {used}, and the Contact says {}: the carrier may send calls where nobody listens",
                    contact.unwrap_or_default()
                );
                let fix = format!("set register-transport to {}", used.word());
                warning(param, reason, fix)
            })
        })
        .collect()
}

/// proxy, or realm in its place, is appended to `sip:` unchanged: with `sip:` before it neither
/// REGISTER nor ping leaves, and From is broken too unless it needs no proxy (**seen**). A realm
/// beside a proxy is any text.
pub(super) fn request_host(values: &Values<'_>) -> Vec<Note> {
    let param = values.request_param();
    let Some(text) = values.known(param) else {
        return Vec::new();
    };
    let from_is_without = values.is_set("from-domain") || values.is_true("caller-id-in-from");
    let only_calls = !values.registers() && !values.pings();
    let text = match split_scheme(text) {
        (Some("sip"), rest) if only_calls && from_is_without => rest,
        _ => text,
    };
    // An empty parameter at the end keeps a REGISTER from being sent, and nothing else.
    let text = match text.strip_suffix(';') {
        Some(rest) if !values.registers() && !rest.is_empty() => rest,
        _ => text,
    };
    let fault = Host::parse(text, Kind::Host).err();
    fault
        .map(|fault| fault.at(Severity::Warning, param))
        .into_iter()
        .collect()
}

/// Since 1.10.7 a challenge is answered only if its sender is one of the hosts of proxy, register-proxy and
/// outbound-proxy, which FreeSWITCH compares without its last `:` and what follows, or is in gw-auth-acl
/// (`is_legitimate_gateway` in sofia_reg.c; **seen**).
pub(super) fn challenges(values: &Values<'_>) -> Vec<Note> {
    if values.is_set("gw-auth-acl") {
        return Vec::new();
    }
    let texts = [values.request_param(), "register-proxy", "outbound-proxy"].map(|name| values.get(name).map(compared));
    let is_known = |host: &Host<'_>| {
        let known = texts.iter().flatten();
        known
            .clone()
            .any(|text| is_comparable(text) && text.eq_ignore_ascii_case(host.name))
    };
    values
        .targets()
        .filter_map(|param| {
            let (host, text) = (values.host(param)?, values.known(param)?);
            if is_comparable(compared(text)) || is_known(&host) {
                return None;
            }
            if host.is_ipv6() {
                // The fix is work, and without a password there is nothing to answer with.
                let reason = "is an IPv6 address, which FreeSWITCH never finds equal to the sender of a challenge: \
                              no 401 and no 407 is answered";
                let fix = "set gw-auth-acl to the carrier's network, such as 2001:db8::/64";
                let answers = values.registers() || values.is_set("password");
                return answers.then(|| warning(param, reason, fix));
            }
            let reason = "is compared with the sender of a challenge as it stands, parameters included: \
                          no 401 and no 407 is answered";
            let fix = "write the port before the ';' (host:5060;…) and no user part, or set gw-auth-acl to the carrier's network";
            Some(warning(param, reason, fix))
        })
        .collect()
}
