//! Where requests go, by which transport, and whose challenges are answered.

use super::super::finding::{Fault, Note, Severity};
use super::super::freeswitch::{Transport, transport};
use super::super::host::{Host, compared, is_comparable, split_scheme};
use super::super::params::Kind;
use super::{Values, warning};
use crate::language::{Text, message, text};

const TRANSPORTS: Text = text("write udp, tcp, tls or sctp", "请填写 udp、tcp、tls 或 sctp");

/// An unknown transport drops the gateway, and so does TLS on a profile without it (FACTS 15).
pub(super) fn register_transport(values: &Values<'_>) -> Vec<Note> {
    const NAME: &str = "register-transport";
    let Some(value) = values.get(NAME) else {
        return Vec::new();
    };
    let tls = values.profile.map(|profile| profile.tls);
    let error = |reason: Text, fix: Text| vec![Fault::new(reason, fix).at(Severity::Error, NAME)];
    match (transport(value), tls) {
        (None, _) => error(
            text(
                "is not a transport that FreeSWITCH knows; it would drop the gateway",
                "不是 FreeSWITCH 支持的传输协议；FreeSWITCH 会丢弃该网关",
            ),
            TRANSPORTS,
        ),
        (Some(Transport::Tls), Some(Some(false))) => error(
            text(
                "is TLS, and the profile has none; FreeSWITCH would drop the gateway",
                "为 TLS，而 profile 没有启用 TLS；FreeSWITCH 会丢弃该网关",
            ),
            text(
                "set the profile's param tls to true in its template, or write udp or tcp",
                "请在模板中将 profile 的参数 tls 设为 true，或者填写 udp 或 tcp",
            ),
        ),
        (Some(Transport::Tls), Some(None)) => vec![warning(
            NAME,
            text(
                "is TLS, and a FreeSWITCH global decides whether the profile has it; without, the gateway is dropped",
                "为 TLS，而 profile 是否启用 TLS 由 FreeSWITCH 的全局变量决定；没有启用时网关会被丢弃",
            ),
            text(
                "make sure that the switch has TLS on for this profile",
                "请确认 FreeSWITCH 已为该 profile 启用 TLS",
            ),
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
                let reason = text(
                    "has a ;transport= that FreeSWITCH doesn't know: nothing is sent (503)",
                    "其中的 ;transport= 不是 FreeSWITCH 支持的传输协议：什么都不会发出（503）",
                );
                return Some(warning(param, reason, TRANSPORTS));
            };
            if used == Transport::Tls && !has_tls {
                let reason = text(
                    "says TLS, and the profile has no TLS: nothing is sent (503)",
                    "要求 TLS，而 profile 没有启用 TLS：什么都不会发出（503）",
                );
                let fix = text(
                    "set the profile's param tls to true in its template, or take another transport",
                    "请在模板中将 profile 的参数 tls 设为 true，或者换用其他传输协议",
                );
                return Some(warning(param, reason, fix));
            }
            (has_contact && contact.is_some() && contact != Some(used)).then(|| {
                let contact = contact.unwrap_or_default();
                let reason = message!(
                    "requests go by {used}, and the Contact says {contact}: the carrier may send calls where nobody \
                     listens",
                    "请求经 {used} 发送，而 Contact 声明的是 {contact}：运营商可能把呼叫送到无人监听的地方"
                );
                let word = used.word();
                let fix = message!(
                    "set register-transport to {word}",
                    "请将 register-transport 设为 {word}"
                );
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
            let (host, written) = (values.host(param)?, values.known(param)?);
            if is_comparable(compared(written)) || is_known(&host) {
                return None;
            }
            if host.is_ipv6() {
                // The fix is work, and without a password there is nothing to answer with.
                let reason = text(
                    "is an IPv6 address, which FreeSWITCH never finds equal to the sender of a challenge: \
                     no 401 and no 407 is answered",
                    "是 IPv6 地址，FreeSWITCH 永远不会认为它与质询的来源相同：401 和 407 都得不到应答",
                );
                let fix = text(
                    "set gw-auth-acl to the carrier's network, such as 2001:db8::/64",
                    "请将 gw-auth-acl 设为运营商的网段，例如 2001:db8::/64",
                );
                let answers = values.registers() || values.is_set("password");
                return answers.then(|| warning(param, reason, fix));
            }
            let reason = text(
                "is compared with the sender of a challenge as it stands, parameters included: \
                 no 401 and no 407 is answered",
                "会连同 URI 参数一起按原样与质询的来源比较：401 和 407 都得不到应答",
            );
            let fix = text(
                "write the port before the ';' (host:5060;…) and no user part, or set gw-auth-acl to the carrier's \
                 network",
                "请在 ';' 前写明端口（host:5060;…）且不带用户部分，或将 gw-auth-acl 设为运营商的网段",
            );
            Some(warning(param, reason, fix))
        })
        .collect()
}
