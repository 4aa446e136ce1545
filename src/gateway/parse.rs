//! The JSON value of a gateway → [`Gateway`], or the reasons why not.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::value::RawValue;

use super::check::{Param, Params, check_params, place};
use super::finding::{Report, shown};
use super::freeswitch::{is_false, is_true};
use super::json::{Json, items, members};
use super::names::{fix_for_key, fix_for_param};
use super::nodes::unknown_nodes;
use super::params;
use super::variables::{caller_profile_field, is_expandable};
use super::{
    Direction, Finding, Gateway, GatewayName, Policy, ProfileName, REVISION_VARIABLE, Rules, Severity, Variables, hooks,
};

/// The largest value that is read, in bytes. A gateway takes some 700; FreeSWITCH's preprocessor splits a line at 1
/// MiB, and the longest escape makes six bytes of one.
const MAX_VALUE_BYTES: usize = 64 * 1024;

/// The most params, variables or nodes of one gateway. FreeSWITCH knows 34 params.
const MAX_ITEMS: usize = 1000;

/// What became of a value: a gateway if FreeSWITCH would take it, and in either case what there is to say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parsed {
    /// `None` exactly when a finding is an error.
    pub gateway: Option<Gateway>,
    pub findings: Vec<Finding>,
}

/// Reads one field of a `cti_gateway@<domain>` hash, under FreeSWITCH's rules.
///
/// A value that says `enabled: false` is never refused for the rest of it: who wants a gateway gone shall have it gone.
pub fn parse(domain: &str, field: &[u8], value: &[u8], rules: &Rules) -> Parsed {
    match parse_name(domain, field) {
        Ok(name) => parse_value(&Arc::from(domain), &name, value, rules),
        Err(finding) => Parsed {
            gateway: None,
            findings: vec![*finding],
        },
    }
}

/// The name, from the hash field. The error names the rule that it breaks.
pub(super) fn parse_name(domain: &str, field: &[u8]) -> Result<GatewayName, Box<Finding>> {
    let finding = |reason: String, fix: &str| {
        Box::new(Finding {
            domain: domain.to_owned(),
            gateway: Some(shown(&String::from_utf8_lossy(field))),
            field: None,
            severity: Severity::Error,
            reason,
            fix: fix.to_owned(),
        })
    };
    let text = std::str::from_utf8(field).map_err(|_| {
        finding(
            "the name is not UTF-8".to_owned(),
            "name it with letters, digits, '_', '.' and '-' only",
        )
    })?;
    GatewayName::parse(text).map_err(|error| finding(error.to_string(), error.fix()))
}

/// The gateway of a name, from the field's value.
pub(super) fn parse_value(domain: &Arc<str>, name: &GatewayName, value: &[u8], rules: &Rules) -> Parsed {
    let mut report = Report {
        domain,
        gateway: name.as_str(),
        findings: Vec::new(),
    };
    let gateway = read_top(&mut report, value).map(|top| read_gateway(&mut report, domain, name, top, rules));
    let mut findings = report.findings;
    findings.sort_unstable();
    findings.dedup();
    let refused = findings.iter().any(|f| f.severity == Severity::Error);
    match gateway {
        Some(gateway) if !refused => Parsed {
            gateway: Some(gateway),
            findings,
        },
        Some(gateway) if !gateway.enabled => {
            // Not served anyway. It may still come to be enabled, so the errors are told, as warnings.
            for finding in &mut findings {
                finding.severity = Severity::Warning;
            }
            Parsed {
                gateway: Some(gateway),
                findings,
            }
        }
        _ => Parsed {
            gateway: None,
            findings,
        },
    }
}

/// The keys of a value that we know, not yet looked into.
#[derive(Default)]
struct Top<'a> {
    /// The contract's spelling and the other one: (key, its value).
    params: [Option<(&'static str, Json<'a>)>; 2],
    variables: [Option<(&'static str, Json<'a>)>; 2],
    profile: Option<Json<'a>>,
    enabled: Option<Json<'a>>,
    nodes: Option<Json<'a>>,
}

fn read_top<'a>(report: &mut Report<'_>, value: &'a [u8]) -> Option<Top<'a>> {
    if value.len() > MAX_VALUE_BYTES {
        let reason = format!(
            "the value is {} bytes long; at most {MAX_VALUE_BYTES} are read",
            value.len()
        );
        report.error(None, reason, "make it shorter");
        return None;
    }
    let text = match std::str::from_utf8(value) {
        Ok(text) => text,
        Err(error) => {
            let good = &value[..error.valid_up_to()];
            let line = good.iter().filter(|b| **b == b'\n').count() + 1;
            let column = good.iter().rev().take_while(|b| **b != b'\n').count() + 1;
            let reason = format!("the value is not UTF-8 (at line {line} column {column})");
            report.error(None, reason, "write it as JSON in UTF-8");
            return None;
        }
    };
    let object = match Json::read(text) {
        Ok(Json::Object(raw)) => members(raw),
        Ok(other) => {
            let reason = format!("the value is {}, not a JSON object", other.kind());
            report.error(None, reason, "write it as {\"param\": {…}, \"variables\": {…}}");
            return None;
        }
        Err(error) => {
            report.error(None, format!("the value is not JSON: {error}"), "write it as JSON");
            return None;
        }
    };
    let Some(object) = object else {
        report.error(
            None,
            "a key has an escape that stands for no character",
            "write the key in plain UTF-8",
        );
        return None;
    };
    for key in &object.repeated {
        warn_repeated(report, shown(key));
    }
    let mut top = Top::default();
    for (key, json) in object.members {
        match key.as_str() {
            "param" => top.params[0] = Some(("param", json)),
            "params" => top.params[1] = Some(("params", json)),
            "variables" => top.variables[0] = Some(("variables", json)),
            "variable" => top.variables[1] = Some(("variable", json)),
            "profile" => top.profile = Some(json),
            "enabled" => top.enabled = Some(json),
            "nodes" => top.nodes = Some(json),
            "subscriptions" => {
                let reason = "trunkd does not serve subscriptions";
                let fix = "leave them out, or keep this gateway in a file on the switch";
                report.warn(shown(&key), reason, fix);
            }
            _ => {
                let reason = "trunkd does not know this key and leaves it alone";
                report.warn(shown(&key), reason, fix_for_key(&key));
            }
        }
    }
    Some(top)
}

fn warn_repeated(report: &mut Report<'_>, field: String) {
    report.warn(field, "is given more than once; the last one counts", "give it once");
}

fn read_gateway(
    report: &mut Report<'_>,
    domain: &Arc<str>,
    name: &GatewayName,
    top: Top<'_>,
    rules: &Rules,
) -> Gateway {
    let enabled = read_enabled(report, top.enabled);
    let profile = read_profile(report, top.profile, rules);
    let nodes = read_nodes(report, top.nodes, &rules.policy);
    let params = read_params(report, top.params);
    let variables = read_variables(report, top.variables, &rules.policy);
    let facts = profile.as_ref().and_then(|profile| rules.profiles.get(profile));
    check_params(report, &params, facts);
    Gateway {
        domain: Arc::clone(domain),
        name: name.clone(),
        profile: profile.unwrap_or_else(|| rules.default_profile.clone()),
        enabled,
        nodes: nodes.map(Vec::into_boxed_slice),
        params: params.set.iter().map(|(name, param)| (name, &param.value)).collect(),
        variables,
    }
}

fn read_enabled(report: &mut Report<'_>, json: Option<Json<'_>>) -> bool {
    let text = match json {
        None | Some(Json::Null) => return true,
        Some(Json::Bool(enabled)) => return enabled,
        Some(Json::String(text)) => text,
        Some(Json::Number(digits)) => digits.to_owned(),
        Some(other) => {
            let reason = format!("is {}, not true or false", other.kind());
            report.error("enabled".to_owned(), reason, "write true or false");
            return true;
        }
    };
    if is_true(&text) {
        true
    } else if is_false(&text) && !text.is_empty() {
        false
    } else {
        report.error("enabled".to_owned(), "is neither true nor false", "write true or false");
        true
    }
}

fn read_profile(report: &mut Report<'_>, json: Option<Json<'_>>, rules: &Rules) -> Option<ProfileName> {
    let field = || "profile".to_owned();
    let known = || {
        let names: Vec<_> = rules.profiles.keys().map(ProfileName::as_str).collect();
        match names.is_empty() {
            true => "write the name of a profile".to_owned(),
            false => format!("known are {}", names.join(", ")),
        }
    };
    let text = match json {
        None | Some(Json::Null) => rules.default_profile.to_string(),
        Some(Json::String(text)) if text.is_empty() => rules.default_profile.to_string(),
        Some(Json::String(text)) => text,
        Some(other) => {
            report.error(
                field(),
                format!("is {}, not the name of a profile", other.kind()),
                known(),
            );
            return None;
        }
    };
    match ProfileName::parse(&text) {
        Ok(profile) if rules.profiles.is_empty() || rules.profiles.contains_key(&profile) => Some(profile),
        Ok(profile) => {
            let reason = format!("there is no template for the profile '{}'", shown(profile.as_str()));
            report.error(field(), reason, known());
            None
        }
        Err(error) => {
            report.error(field(), error.to_string(), known());
            None
        }
    }
}

fn read_nodes(report: &mut Report<'_>, json: Option<Json<'_>>, policy: &Policy) -> Option<Vec<String>> {
    const FIX: &str = "write a list of switchnames, such as [\"fs1\"], or leave it out for every switch";
    let field = || "nodes".to_owned();
    let raw = match json {
        None | Some(Json::Null) => return None,
        Some(Json::Array(raw)) => raw,
        Some(other) => {
            report.error(field(), format!("is {}, not a list of switchnames", other.kind()), FIX);
            return None;
        }
    };
    let items = items(raw);
    if items.len() > MAX_ITEMS {
        report.error(
            field(),
            format!("has {} names; at most {MAX_ITEMS} are read", items.len()),
            "make the list shorter",
        );
        return None;
    }
    if items.is_empty() {
        report.warn(field(), "is an empty list, so no switch gets this gateway", FIX);
    }
    let mut nodes = Vec::with_capacity(items.len());
    for (at, item) in items.into_iter().enumerate() {
        match item {
            Json::String(node) if !node.is_empty() && !node.contains(is_forbidden) => nodes.push(node),
            Json::String(_) => {
                report.error(format!("nodes[{at}]"), "is empty or holds a control character", FIX);
            }
            other => report.error(
                format!("nodes[{at}]"),
                format!("is {}, not a switchname", other.kind()),
                FIX,
            ),
        }
    }
    nodes.sort_unstable();
    nodes.dedup();
    if let Some(fault) = unknown_nodes(&nodes, &policy.switches) {
        report.warn(field(), fault.reason, fault.fix);
    }
    Some(nodes)
}

/// Members of one object that may come in two spellings.
#[derive(Default)]
struct Merged<'a> {
    /// name → (which spelling it stands under, value)
    members: BTreeMap<String, (&'static str, Json<'a>)>,
    /// Whether one of the two could not be read.
    incomplete: bool,
}

/// Members of `param` and `params`, or of `variables` and `variable`. The contract's spelling wins over the other one.
fn merge<'a>(report: &mut Report<'_>, spellings: [Option<(&'static str, Json<'a>)>; 2]) -> Merged<'a> {
    let mut merged = Merged::default();
    for (key, json) in spellings.into_iter().flatten() {
        let raw = match object_of(report, key, &json) {
            Ok(Some(raw)) => raw,
            Ok(None) => continue,
            Err(()) => {
                merged.incomplete = true;
                continue;
            }
        };
        let Some(object) = members(raw) else {
            let reason = "a name in it has an escape that stands for no character";
            report.error(key.to_owned(), reason, "write the name in plain UTF-8");
            merged.incomplete = true;
            continue;
        };
        if object.members.len() > MAX_ITEMS {
            let reason = format!("has {} members; at most {MAX_ITEMS} are read", object.members.len());
            report.error(key.to_owned(), reason, "leave out what FreeSWITCH does not need");
            merged.incomplete = true;
            continue;
        }
        for name in &object.repeated {
            warn_repeated(report, place(key, name));
        }
        for (name, value) in object.members {
            if matches!(value, Json::Null) {
                continue; // not set
            }
            if let Some((winner, _)) = merged.members.get(&name) {
                let reason = format!("is given as {} too, which counts", place(winner, &name));
                report.warn(place(key, &name), reason, "give it once");
            } else {
                merged.members.insert(name, (key, value));
            }
        }
    }
    merged
}

/// The object that a value is; `None` when there is none, an error when it is something else.
fn object_of<'a>(report: &mut Report<'_>, key: &str, json: &Json<'a>) -> Result<Option<&'a RawValue>, ()> {
    match json {
        Json::Null => Ok(None),
        Json::Object(raw) => Ok(Some(raw)),
        // What PHP writes for an empty object.
        Json::Array(raw) if items(raw).is_empty() => Ok(None),
        other => {
            let reason = format!("is {}, not an object", other.kind());
            report.error(key.to_owned(), reason, "write it as {\"name\": \"value\"}");
            Err(())
        }
    }
}

/// A string, number or boolean as the text FreeSWITCH gets; an error for anything else.
fn scalar(report: &mut Report<'_>, place: impl Fn() -> String, json: Json<'_>) -> Option<String> {
    let text = match json {
        Json::String(text) => text,
        Json::Bool(true) => "true".to_owned(),
        Json::Bool(false) => "false".to_owned(),
        Json::Number(digits) if !digits.contains(['e', 'E']) => digits.to_owned(),
        Json::Number(_) => {
            let reason = "is a number with an exponent, which FreeSWITCH would cut off";
            report.error(place(), reason, "write all its digits, or a string");
            return None;
        }
        other => {
            let reason = format!(
                "is {}; only a string, a number, true or false can be passed on",
                other.kind()
            );
            report.error(place(), reason, "write a string");
            return None;
        }
    };
    carried(report, place, "the value", &text).then_some(text)
}

/// Whether XML and SIP can carry a text (FACTS 9). Says where not, never what.
fn carried(report: &mut Report<'_>, place: impl Fn() -> String, what: &str, text: &str) -> bool {
    if text.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
        return true;
    }
    let Some((at, c)) = text.chars().enumerate().find(|(_, c)| is_forbidden(*c)) else {
        return true;
    };
    let reason = format!(
        "{what} holds the control character U+{:04X} (character {})",
        u32::from(c),
        at + 1
    );
    report.error(place(), reason, "remove it: it would end up inside SIP messages");
    false
}

/// Control characters, line and paragraph separators, and what is no character at all.
fn is_forbidden(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}' | '\u{2029}') || u32::from(c) & 0xFFFE == 0xFFFE
}

fn read_params(report: &mut Report<'_>, spellings: [Option<(&'static str, Json<'_>)>; 2]) -> Params {
    let merged = merge(report, spellings);
    let mut params = Params {
        incomplete: merged.incomplete,
        ..Params::default()
    };
    for (name, (key, json)) in merged.members {
        if !carried(report, || place(key, &name), "the name", &name) {
            continue;
        }
        if params::param(&name).is_none() {
            let reason = "FreeSWITCH does not know this param and ignores it in silence";
            report.warn(place(key, &name), reason, fix_for_param(&name));
        }
        let Some(mut value) = scalar(report, || place(key, &name), json) else {
            params.refused.insert(name);
            continue;
        };
        if value.is_empty() {
            if name != "register" {
                continue; // empty is not set
            }
            "false".clone_into(&mut value);
        }
        if name == "ping-user-agent" {
            // `gateway->options_user_agent` in sofia.c is a pointer into the answer's XML, which mod_xml_curl frees.
            let reason = "is left out: over mod_xml_curl FreeSWITCH would send freed memory to the carrier";
            report.warn(
                place(key, &name),
                reason,
                "set user-agent-string in the profile's template",
            );
            continue;
        }
        params.set.insert(name, Param { value, key });
    }
    params
}

fn read_variables(
    report: &mut Report<'_>,
    spellings: [Option<(&'static str, Json<'_>)>; 2],
    policy: &Policy,
) -> Variables {
    let mut variables = Vec::new();
    for (name, (key, json)) in merge(report, spellings).members {
        let place = || place(key, &name);
        if !carried(report, place, "the name", &name) {
            continue;
        }
        if name.is_empty() {
            report.error(place(), "the variable has no name", "give it one, or leave it out");
            continue;
        }
        // Variables are looked up in any case (switch_event_get_header).
        if name.eq_ignore_ascii_case(REVISION_VARIABLE) {
            report.error(
                place(),
                "trunkd keeps this variable for itself",
                "rename it, or leave it out",
            );
            continue;
        }
        let Some((json, direction)) = read_direction(report, place, json) else {
            continue;
        };
        let Some(value) = scalar(report, place, json) else {
            continue;
        };
        if hooks::is_forbidden(&name, &value, &policy.hooks) {
            let reason = "makes FreeSWITCH execute a command or an application, which the settings do not allow";
            let fix = "set it in the dialplan, or name it in gateways.allow_hooks of the settings";
            report.error(place(), reason, fix);
            continue;
        }
        if is_expandable(&value) {
            let (reason, fix) = unexpanded(&name);
            report.warn(place(), reason, fix);
        }
        variables.push((name, value, direction));
    }
    variables.into_iter().collect()
}

/// What FreeSWITCH does with a value that holds `${…}` (FACTS 16).
fn unexpanded(name: &str) -> (&'static str, &'static str) {
    let fix = "write the value itself, or set the variable in the dialplan";
    match caller_profile_field(name) {
        Some(_) => ("holds ${…}, which is not expanded: the text is used as it stands", fix),
        None => (
            "holds ${…}, and FreeSWITCH does not set a gateway's variable to such a value",
            fix,
        ),
    }
}

/// The value of a variable and the calls that get it; `None` when it isn't set or is refused.
fn read_direction<'a>(
    report: &mut Report<'_>,
    place: impl Fn() -> String,
    json: Json<'a>,
) -> Option<(Json<'a>, Direction)> {
    let Json::Object(raw) = json else {
        return Some((json, Direction::Both));
    };
    let place = place();
    let Some(object) = members(raw) else {
        report.error(
            place,
            "a key has an escape that stands for no character",
            "write it in plain UTF-8",
        );
        return None;
    };
    for key in &object.repeated {
        warn_repeated(report, format!("{place}.{}", shown(key)));
    }
    let (mut value, mut direction, mut bad) = (None, Direction::Both, false);
    for (key, json) in object.members {
        match (key.as_str(), json) {
            ("value", json) => value = Some(json),
            ("direction", Json::Null) => {}
            ("direction", Json::String(word)) if word.eq_ignore_ascii_case("inbound") => direction = Direction::Inbound,
            ("direction", Json::String(word)) if word.eq_ignore_ascii_case("outbound") => {
                direction = Direction::Outbound
            }
            ("direction", Json::String(word)) if word.eq_ignore_ascii_case("both") => {}
            ("direction", _) => {
                let reason = "is none of inbound, outbound and both: FreeSWITCH would set the variable on no call";
                report.error(format!("{place}.direction"), reason, "write inbound, outbound or both");
                bad = true;
            }
            (other, _) => {
                report.warn(
                    format!("{place}.{}", shown(other)),
                    "trunkd does not know this key",
                    "known are value and direction",
                );
            }
        }
    }
    match value {
        _ if bad => None,
        Some(Json::Null) => None,
        Some(value) => Some((value, direction)),
        None => {
            report.error(
                place,
                "the variable has no value",
                "write {\"value\": …, \"direction\": …}",
            );
            None
        }
    }
}

#[cfg(test)]
mod tests;
