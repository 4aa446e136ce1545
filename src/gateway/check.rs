//! FreeSWITCH's rules for the params of a gateway. It is an error if FreeSWITCH would drop the gateway,
//! and a warning if it would complain, read the value differently, or fail with it.
//!
//! This file checks single values by the kind of their param; [`super::rules`] checks several together.

use std::collections::BTreeSet;
use std::net::IpAddr;

use super::ProfileFacts;
use super::finding::{Fault, Report};
use super::freeswitch::{atoi, is_false, is_true};
use super::host::{Host, check_contact_host, parameter};
use super::names::nearest;
use super::param_values::{Params, USER_ENDS, first_of, is_plain_number, named};
use super::params::{Below, Kind, Number, ParamSpec, SpecialValue, param};
use super::placeholder::holds_placeholder;
use super::rules::{self, Values};
use crate::language::Language;
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
            report.warn(params.place(name), fault.reason, fault.fix);
        }
    }
    let values = Values::new(report.gateway, params, placeholders, profile);
    for note in rules::check(&values) {
        report.push(
            note.severity,
            Some(params.place(&note.param)),
            note.fault.reason.into_owned(),
            note.fault.fix.into_owned(),
        );
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
            "is neither true nor false; FreeSWITCH reads it as false",
            "write true or false",
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
    let reason = format!("is taken as it stands; {word} is what FreeSWITCH replaces");
    Some(Fault::new(reason, format!("did you mean {word}?")))
}

/// Finds invisible characters that were copied with a value.
fn check_white_space(value: &str) -> Option<Fault> {
    let is_plain = value.bytes().all(|byte| matches!(byte, b' '..=b'~'));
    let invisible = || value.chars().enumerate().find(|(_, c)| !is_harmless(*c));
    if let Some((at, c)) = (!is_plain).then(invisible).flatten() {
        let reason = format!(
            "contains the invisible character U+{:04X} (character {})",
            u32::from(c),
            at + 1
        );
        return Some(Fault::new(reason, "remove it, or type the value again"));
    }
    (value.trim() != value).then(|| {
        Fault::new(
            "begins or ends with white space, which FreeSWITCH passes on",
            "remove it unless the carrier wants it",
        )
    })
}

fn placeholder_fault() -> Fault {
    Fault::new(
        "contains a placeholder that nothing replaces: FreeSWITCH gets it literally",
        "write the value that was meant",
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
            let does = below.in_language(Language::En);
            format!("is under {least} or not a number; {does}")
        }
        _ => format!("is not a plain number; FreeSWITCH reads it as {read}"),
    };
    let fix = match number.below {
        _ if read >= least && !is_off => "write digits only".to_owned(),
        Below::Without(_) => format!("write {least} or more, {example} for instance, or leave it out"),
        _ => format!("write {least} or more"),
    };
    if number.is_sent_as_written && !is_plain_number(value.trim_start()) {
        // A header that can't be parsed keeps the whole request from being sent.
        reason.push_str(", but sends no REGISTER with this text");
    }
    Some(Fault::new(reason, fix))
}

fn check_prefix(value: &str) -> Option<Fault> {
    let Some(c) = first_of(value, &USER_ENDS) else {
        return check_white_space(value);
    };
    let reason = format!("has a {}, which can't stand before a called number", named(c));
    Some(Fault::new(reason, "write the digits of the prefix alone"))
}

fn check_from_host(value: &str) -> Option<Fault> {
    // `sofia_outgoing_channel` in mod_sofia.c asks the A leg for a variable, without a look whether there is one.
    if ["auto-aleg-full", "auto-aleg-domain"]
        .iter()
        .any(|word| value.eq_ignore_ascii_case(word))
    {
        return Some(Fault::new(
            "takes the host from the A leg; a call without one, as originate makes it, ends the whole FreeSWITCH",
            "write a host, unless every call over this gateway is a bridge",
        ));
    }
    Host::parse(value, Kind::FromHost).err()
}

/// What FreeSWITCH puts into the Contact's URI, before its own `;transport=` and `;gw=`.
fn check_uri_parameters(value: &str) -> Option<Fault> {
    for (name, fix) in [
        ("transport", "leave it out: register-transport is what it says"),
        ("gw", "leave it out: FreeSWITCH writes it"),
    ] {
        if parameter(value, name).is_some() {
            let reason = format!("has a parameter {name}, which FreeSWITCH adds itself: Contact has two");
            return Some(Fault::new(reason, fix));
        }
    }
    if let Some(c) = value.chars().find(|c| matches!(c, ' ' | '<' | '>' | '"' | ',')) {
        let reason = format!("has a {}, which the URI in Contact can't hold", named(c));
        return Some(Fault::new(reason, "write name=value, with ';' between several"));
    }
    check_white_space(value)
}

/// A single address is taken for the name of a list that is not there
/// (`switch_check_network_list_ip` in switch_core.c), and then no challenge is answered.
fn check_networks(value: &str) -> Option<Fault> {
    let is_address = |item: &str| item.trim().parse::<IpAddr>().is_ok();
    value.split(',').any(is_address).then(|| {
        Fault::new(
            "has an address without its prefix length: FreeSWITCH finds nobody in it, and answers no challenge",
            "write 192.0.2.1/32 for one IPv4 address, and /128 for one of IPv6",
        )
    })
}
