//! FreeSWITCH's rules for the params of a gateway. It is an error if FreeSWITCH would drop the gateway,
//! and a warning if it would complain, read the value differently, or fail with it.
//!
//! This file checks single values by the kind of their param; [`super::rules`] checks several together.

use std::collections::BTreeSet;
use std::net::IpAddr;

use super::ProfileFacts;
use super::finding::{Fault, Report, Severity};
use super::freeswitch::{atoi, is_false, is_true};
use super::host::{Host, check_contact_host, parameter};
use super::names::{did_you_mean, nearest};
use super::param_values::{DIGITS_ONLY, Params, TYPE_AGAIN, USER_ENDS, first_of, is_plain_number, named, not_plain};
use super::params::{Below, Kind, Number, ParamSpec, SpecialValue, param};
use super::placeholder::holds_placeholder;
use super::rules::{self, Values};
use crate::language::{message, text};
use crate::shown::is_harmless;

/// Checks all params. `profile` has the facts about the gateway's profile, if known.
pub(super) fn check_params(report: &mut Report<'_>, params: &Params, profile: Option<&ProfileFacts>) {
    let mut placeholders = BTreeSet::new();
    for (name, value) in params.set.iter().map(|(name, param)| (name, &param.value)) {
        let fault = match param(name) {
            Some(spec) if holds_placeholder(value, spec.secret) => {
                placeholders.insert(name.as_str());
                Some(placeholder_fault())
            }
            Some(spec) => check_value(spec, value).or_else(|| check_special_values(spec, value)),
            None => check_white_space(value),
        };
        if let Some(fault) = fault {
            report.push(Severity::Warning, Some(params.place(name)), fault);
        }
    }
    let values = Values::new(report.gateway, params, placeholders, profile);
    for note in rules::check(&values) {
        report.push(note.severity, Some(params.place(&note.param)), note.fault);
    }
}

/// Checks one value.
fn check_value(spec: &ParamSpec, value: &str) -> Option<Fault> {
    match spec.kind {
        // Whether these go into a URI at all depends on others.
        Kind::Host => None,
        Kind::Route => Host::parse(value, spec.kind).err(),
        Kind::FromHost => check_from_host(value),
        Kind::ContactHost => check_contact_host(value).err(),
        Kind::Number(number) => check_number(number, spec.example, value),
        Kind::Prefix => check_prefix(value),
        Kind::UriParameters => check_uri_parameters(value),
        Kind::Networks => check_networks(value).or_else(|| check_white_space(value)),
        Kind::Bool if !is_true(value) && !is_false(value) => Some(Fault::new(
            text(
                "is neither true nor false; FreeSWITCH reads it as false",
                "既不是 true 也不是 false，FreeSWITCH 按 false 处理",
            ),
            text("write true or false", "请填写 true 或 false"),
        )),
        Kind::Bool | Kind::Transport | Kind::User | Kind::Header | Kind::Text => check_white_space(value),
    }
}

/// Finds a misspelt word that FreeSWITCH would have replaced.
fn check_special_values(spec: &ParamSpec, value: &str) -> Option<Fault> {
    let is_meant = |special: &&SpecialValue| match value.eq_ignore_ascii_case(special.word) {
        true => !special.in_any_case && value != special.word,
        false => nearest(&value.to_ascii_lowercase(), [special.word]).is_some(),
    };
    let word = spec.special_values.iter().find(is_meant)?.word;
    let reason = message!(
        "is taken as it stands; {word} is what FreeSWITCH replaces",
        "会按原样使用；FreeSWITCH 只替换 {word}"
    );
    Some(Fault::new(reason, did_you_mean(word)))
}

/// Finds invisible characters that were copied with a value.
fn check_white_space(value: &str) -> Option<Fault> {
    let is_plain = value.bytes().all(|byte| matches!(byte, b' '..=b'~'));
    let invisible = || value.chars().enumerate().find(|(_, c)| !is_harmless(*c));
    if let Some((at, c)) = (!is_plain).then(invisible).flatten() {
        let (number, place) = (u32::from(c), at + 1);
        let reason = message!(
            "contains the invisible character U+{number:04X} (character {place})",
            "含有不可见字符 U+{number:04X}（第 {place} 个字符）"
        );
        return Some(Fault::new(reason, TYPE_AGAIN));
    }
    (value.trim() != value).then(|| {
        Fault::new(
            text(
                "begins or ends with white space, which FreeSWITCH passes on",
                "开头或结尾有空白字符，FreeSWITCH 会原样发送",
            ),
            text("remove it unless the carrier wants it", "除非运营商要求，否则请删除"),
        )
    })
}

fn placeholder_fault() -> Fault {
    Fault::new(
        text(
            "contains a placeholder that nothing replaces: FreeSWITCH gets it literally",
            "含有不会被替换的占位符：FreeSWITCH 会原样收到它",
        ),
        text("write the value that was meant", "请填写实际的值"),
    )
}

/// Numbers that FreeSWITCH replaces or ignores (FACTS 15). None of these drops the gateway: `parse_gateways` warns and
/// goes on.
fn check_number(number: Number, example: &str, value: &str) -> Option<Fault> {
    let read = atoi(value);
    let least = number.least;
    // How to say "none".
    let is_off = matches!(number.below, Below::Without(_)) && read == 0;
    if is_plain_number(value) && (read >= least || is_off) {
        return None;
    }
    let mut reason = match number.below {
        // Counted only where there is a ping.
        Below::Keeps(_) => return None,
        below if read < least || is_off => {
            message!(
                "is under {least} or not a number; {does}",
                "小于 {least} 或不是数字；{does}",
                does = below
            )
        }
        _ => not_plain(read),
    };
    let fix = match number.below {
        _ if read >= least && !is_off => DIGITS_ONLY.into(),
        Below::Without(_) => message!(
            "write {least} or more, {example} for instance, or leave it out",
            "请填写不小于 {least} 的数字，例如 {example}，或者不设置"
        ),
        _ => message!("write {least} or more", "请填写不小于 {least} 的数字"),
    };
    if number.is_sent_as_written && !is_plain_number(value.trim_start()) {
        // A header that can't be parsed keeps the whole request from being sent.
        reason = message!(
            "{reason}, but sends no REGISTER with this text",
            "{reason}，但带有这段文本的 REGISTER 不会发出",
            reason = reason
        );
    }
    Some(Fault::new(reason, fix))
}

fn check_prefix(value: &str) -> Option<Fault> {
    let Some(c) = first_of(value, &USER_ENDS) else {
        return check_white_space(value);
    };
    let reason = message!(
        "has a {c}, which can't stand before a called number",
        "含有{c}，不能放在被叫号码前面",
        c = named(c)
    );
    Some(Fault::new(
        reason,
        text("write the digits of the prefix alone", "请只填写报号前缀的数字"),
    ))
}

fn check_from_host(value: &str) -> Option<Fault> {
    // `sofia_outgoing_channel` in mod_sofia.c asks the A leg for a variable, without a look whether there is one.
    if ["auto-aleg-full", "auto-aleg-domain"]
        .iter()
        .any(|word| value.eq_ignore_ascii_case(word))
    {
        return Some(Fault::new(
            text(
                "takes the host from the A leg; a call without one, as originate makes it, ends the whole FreeSWITCH",
                "从 A leg 取得主机；如果呼叫没有 A leg（例如由 originate 发起），整个 FreeSWITCH 会崩溃退出",
            ),
            text(
                "write a host, unless every call over this gateway is a bridge",
                "请填写主机，除非经由此网关的每个呼叫都是桥接（bridge）",
            ),
        ));
    }
    Host::parse(value, Kind::FromHost).err()
}

/// What FreeSWITCH puts into the Contact's URI, before its own `;transport=` and `;gw=`.
fn check_uri_parameters(value: &str) -> Option<Fault> {
    for (name, fix) in [
        (
            "transport",
            text(
                "leave it out: register-transport is what it says",
                "请删除：它由 register-transport 决定",
            ),
        ),
        (
            "gw",
            text("leave it out: FreeSWITCH writes it", "请删除：FreeSWITCH 会自行写入"),
        ),
    ] {
        if parameter(value, name).is_some() {
            let reason = message!(
                "has a parameter {name}, which FreeSWITCH adds itself: Contact has two",
                "含有参数 {name}，而 FreeSWITCH 自己也会添加：Contact 中会出现两个"
            );
            return Some(Fault::new(reason, fix));
        }
    }
    if let Some(c) = value.chars().find(|c| matches!(c, ' ' | '<' | '>' | '"' | ',')) {
        let reason = message!(
            "has a {c}, which the URI in Contact can't hold",
            "含有{c}，Contact 的 URI 中不能有它",
            c = named(c)
        );
        let fix = text(
            "write name=value, with ';' between several",
            "请写成 name=value，多个之间用 ';' 分隔",
        );
        return Some(Fault::new(reason, fix));
    }
    check_white_space(value)
}

/// A single address is taken for the name of a list that is not there
/// (`switch_check_network_list_ip` in switch_core.c), and then no challenge is answered.
fn check_networks(value: &str) -> Option<Fault> {
    let is_address = |item: &str| item.trim().parse::<IpAddr>().is_ok();
    value.split(',').any(is_address).then(|| {
        Fault::new(
            text(
                "has an address without its prefix length: FreeSWITCH finds nobody in it, and answers no challenge",
                "含有不带前缀长度的地址：FreeSWITCH 无法用它匹配任何来源，不会应答任何质询",
            ),
            text(
                "write 192.0.2.1/32 for one IPv4 address, and /128 for one of IPv6",
                "单个 IPv4 地址请写成 192.0.2.1/32，单个 IPv6 地址请加 /128",
            ),
        )
    })
}
