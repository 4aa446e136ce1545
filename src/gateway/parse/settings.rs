//! `enabled`, `rollback`, `profile` and `nodes`.

use super::object::{MAX_ITEMS, SHORTER, is_forbidden};
use crate::gateway::finding::{Report, shown};
use crate::gateway::freeswitch::{is_false, is_true};
use crate::gateway::json::{Json, items};
use crate::gateway::nodes::unknown_nodes;
use crate::gateway::{Policy, ProfileName, Rules};
use crate::language::{Bilingual, Message, Text, message, text};

/// A key that is true or false, and true if it is not set.
pub(super) fn read_bool(report: &mut Report<'_>, key: &str, json: Option<Json<'_>>) -> bool {
    const FIX: Text = text("write true or false", "请填写 true 或 false");
    let word = match json {
        None | Some(Json::Null) => return true,
        Some(Json::Bool(value)) => return value,
        Some(Json::String(word)) => word,
        Some(Json::Number(digits)) => digits.to_owned(),
        Some(other) => {
            let reason = message!(
                "is {kind}, not true or false",
                "是{kind}，不是 true 或 false",
                kind = other.kind()
            );
            report.error(key.to_owned(), reason, FIX);
            return true;
        }
    };
    if is_true(&word) {
        true
    } else if is_false(&word) && !word.is_empty() {
        false
    } else {
        let reason = text("is neither true nor false", "既不是 true 也不是 false");
        report.error(key.to_owned(), reason, FIX);
        true
    }
}

pub(super) fn read_profile(report: &mut Report<'_>, json: Option<Json<'_>>, rules: &Rules) -> Option<ProfileName> {
    let field = || "profile".to_owned();
    let known = || -> Message {
        let names: Vec<_> = rules.profiles.keys().map(ProfileName::as_str).collect();
        match names.is_empty() {
            true => text("write the name of a profile", "请填写 profile 的名称").into(),
            false => {
                let (en, zh) = (names.join(", "), names.join("、"));
                message!("known are {en}", "可用的 profile 为 {zh}")
            }
        }
    };
    let name = match json {
        None | Some(Json::Null) => rules.default_profile.to_string(),
        Some(Json::String(name)) if name.is_empty() => rules.default_profile.to_string(),
        Some(Json::String(name)) => name,
        Some(other) => {
            let reason = message!(
                "is {kind}, not the name of a profile",
                "是{kind}，不是 profile 的名称",
                kind = other.kind()
            );
            report.error(field(), reason, known());
            return None;
        }
    };
    match ProfileName::parse(&name) {
        Ok(profile) if rules.profiles.is_empty() || rules.profiles.contains_key(&profile) => Some(profile),
        Ok(profile) => {
            let name = shown(profile.as_str());
            let reason = message!(
                "there is no template for the profile '{name}'",
                "没有 profile '{name}' 的模板"
            );
            report.error(field(), reason, known());
            None
        }
        Err(error) => {
            report.error(field(), error.message(), known());
            None
        }
    }
}

pub(super) fn read_nodes(report: &mut Report<'_>, json: Option<Json<'_>>, policy: &Policy) -> Option<Vec<String>> {
    let list = SwitchList {
        field: "nodes",
        fix: text(
            "write a list of switchnames, such as [\"fs1\"], or leave it out for every switch",
            "请填写 switchname 列表，例如 [\"fs1\"]；不设置则下发到所有 FreeSWITCH",
        ),
    };
    // A bad name has an error of its own.
    let is_empty = matches!(&json, Some(Json::Array(raw)) if items(raw).is_empty());
    let mut nodes = read_switches(report, &list, json, policy)?;
    if is_empty {
        let reason = text(
            "is an empty list, so no switch gets this gateway",
            "是空列表，此网关不会下发到任何 FreeSWITCH",
        );
        report.warn(list.field.to_owned(), reason, list.fix);
    }
    nodes.sort_unstable();
    nodes.dedup();
    Some(nodes)
}

/// A key that is a list of switchnames.
pub(super) struct SwitchList {
    pub(super) field: &'static str,
    pub(super) fix: Text,
}

/// The switchnames of a list, in its order. `None` if there is none.
pub(super) fn read_switches(
    report: &mut Report<'_>,
    list: &SwitchList,
    json: Option<Json<'_>>,
    policy: &Policy,
) -> Option<Vec<String>> {
    let field = || list.field.to_owned();
    let raw = match json {
        None | Some(Json::Null) => return None,
        Some(Json::Array(raw)) => raw,
        Some(other) => {
            let reason = message!(
                "is {kind}, not a list of switchnames",
                "是{kind}，不是 switchname 列表",
                kind = other.kind()
            );
            report.error(field(), reason, list.fix);
            return None;
        }
    };
    let items = items(raw);
    if items.len() > MAX_ITEMS {
        let count = items.len();
        let reason = message!(
            "has {count} names; at most {MAX_ITEMS} are read",
            "有 {count} 个名称，最多读取 {MAX_ITEMS} 个"
        );
        report.error(field(), reason, SHORTER);
        return None;
    }
    let mut switches = Vec::with_capacity(items.len());
    for (at, item) in items.into_iter().enumerate() {
        match item {
            Json::String(node) if !node.is_empty() && !node.contains(is_forbidden) => switches.push(node),
            Json::String(_) => {
                let reason = text("is empty or contains a control character", "为空或含有控制字符");
                report.error(format!("{}[{at}]", list.field), reason, list.fix);
            }
            other => {
                let reason = message!(
                    "is {kind}, not a switchname",
                    "是{kind}，不是 switchname",
                    kind = other.kind()
                );
                report.error(format!("{}[{at}]", list.field), reason, list.fix);
            }
        }
    }
    if let Some(fault) = unknown_nodes(&switches, &policy.switches) {
        report.warn(field(), fault.reason, fault.fix);
    }
    Some(switches)
}
