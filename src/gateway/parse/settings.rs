//! `enabled`, `profile` and `nodes`.

use super::object::{MAX_ITEMS, is_forbidden};
use crate::gateway::finding::{Report, shown};
use crate::gateway::freeswitch::{is_false, is_true};
use crate::gateway::json::{Json, items};
use crate::gateway::nodes::unknown_nodes;
use crate::gateway::{Policy, ProfileName, Rules};

pub(super) fn read_enabled(report: &mut Report<'_>, json: Option<Json<'_>>) -> bool {
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

pub(super) fn read_profile(report: &mut Report<'_>, json: Option<Json<'_>>, rules: &Rules) -> Option<ProfileName> {
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

pub(super) fn read_nodes(report: &mut Report<'_>, json: Option<Json<'_>>, policy: &Policy) -> Option<Vec<String>> {
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
                report.error(format!("nodes[{at}]"), "is empty or contains a control character", FIX);
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
