//! Params and variables.

use super::object::{BAD_KEY, carried, merge, scalar, warn_repeated};
use crate::gateway::finding::{Report, shown};
use crate::gateway::json::{Json, members};
use crate::gateway::names::fix_for_param;
use crate::gateway::param_values::{Param, Params, place};
use crate::gateway::params::NotServed;
use crate::gateway::variables::{caller_profile_field, is_expandable};
use crate::gateway::{Direction, Policy, REVISION_VARIABLE, Variables, hooks, params};
use crate::language::{Text, text};

const THE_NAME: Text = text("the name", "名称");

pub(super) fn read_params(report: &mut Report<'_>, spellings: [Option<(&'static str, Json<'_>)>; 2]) -> Params {
    let merged = merge(report, spellings);
    let mut params = Params {
        incomplete: merged.incomplete,
        ..Params::default()
    };
    for (name, (key, json)) in merged.members {
        if !carried(report, || place(key, &name), THE_NAME, &name) {
            continue;
        }
        let spec = params::param(&name);
        if spec.is_none() {
            let reason = text(
                "FreeSWITCH does not know this param and silently ignores it",
                "FreeSWITCH 不认识此参数，会直接忽略",
            );
            report.warn(place(key, &name), reason, fix_for_param(&name));
        }
        let Some(mut value) = scalar(report, || place(key, &name), json) else {
            params.refused.insert(name);
            continue;
        };
        if value.is_empty() {
            match spec.and_then(|spec| spec.when_empty) {
                Some(meant) => meant.clone_into(&mut value),
                None => continue, // empty is not set
            }
        }
        if let Some(NotServed { reason, fix }) = spec.and_then(|spec| spec.not_served) {
            report.warn(place(key, &name), reason, fix);
            continue;
        }
        params.set.insert(name, Param { value, key });
    }
    params
}

pub(super) fn read_variables(
    report: &mut Report<'_>,
    spellings: [Option<(&'static str, Json<'_>)>; 2],
    policy: &Policy,
) -> Variables {
    let mut variables = Vec::new();
    for (name, (key, json)) in merge(report, spellings).members {
        let place = || place(key, &name);
        if !carried(report, place, THE_NAME, &name) {
            continue;
        }
        if name.is_empty() {
            let fix = text("give it one, or leave it out", "请填写名称，或删除此变量");
            report.error(place(), text("the variable has no name", "变量没有名称"), fix);
            continue;
        }
        // Variables are looked up in any case (switch_event_get_header).
        if name.eq_ignore_ascii_case(REVISION_VARIABLE) {
            report.error(
                place(),
                text("this variable is reserved for trunkd", "此变量为 trunkd 保留"),
                text("rename it, or leave it out", "请改名，或删除此变量"),
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
            let reason = text(
                "makes FreeSWITCH execute a command or an application, which the settings do not allow",
                "会使 FreeSWITCH 执行命令或应用，而设置不允许这样做",
            );
            let fix = text(
                "set it in the dialplan, or name it in gateways.allow_hooks of the settings",
                "请在拨号计划中设置，或将其列入设置项 gateways.allow_hooks",
            );
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
pub(super) fn unexpanded(name: &str) -> (Text, Text) {
    let fix = text(
        "write the value itself, or set the variable in the dialplan",
        "请直接填写值，或在拨号计划中设置该变量",
    );
    match caller_profile_field(name) {
        Some(_) => {
            let reason = text(
                "contains ${…}, which is not expanded: the text is used literally",
                "含有 ${…}，不会被展开：文本按原样使用",
            );
            (reason, fix)
        }
        None => {
            let reason = text(
                "contains ${…}, and FreeSWITCH does not set a gateway's variable to such a value",
                "含有 ${…}，FreeSWITCH 不会把网关的变量设为这样的值",
            );
            (reason, fix)
        }
    }
}

/// The value of a variable and the calls that get it; `None` when it isn't set or is refused.
pub(super) fn read_direction<'a>(
    report: &mut Report<'_>,
    place: impl Fn() -> String,
    json: Json<'a>,
) -> Option<(Json<'a>, Direction)> {
    let Json::Object(raw) = json else {
        return Some((json, Direction::Both));
    };
    let place = place();
    let Some(object) = members(raw) else {
        report.error(place, BAD_KEY, text("write it in plain UTF-8", "请直接用 UTF-8 书写"));
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
                let reason = text(
                    "is not inbound, outbound or both: FreeSWITCH would set the variable on no call",
                    "不是 inbound、outbound 或 both：FreeSWITCH 不会在任何呼叫上设置该变量",
                );
                let fix = text("write inbound, outbound or both", "请填写 inbound、outbound 或 both");
                report.error(format!("{place}.direction"), reason, fix);
                bad = true;
            }
            (other, _) => {
                report.warn(
                    format!("{place}.{}", shown(other)),
                    text("trunkd does not know this key", "trunkd 不认识此键"),
                    text("known are value and direction", "可用的键为 value 和 direction"),
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
                text("the variable has no value", "变量没有值"),
                text(
                    "write {\"value\": …, \"direction\": …}",
                    "请写成 {\"value\": …, \"direction\": …}",
                ),
            );
            None
        }
    }
}
