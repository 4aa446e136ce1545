//! `placement`: whether a gateway runs on all of its switches, or on one.

use std::time::Duration;

use super::object::{UNKNOWN_KEY, warn_repeated};
use super::settings::{SwitchList, read_switches};
use crate::gateway::finding::{Report, shown};
use crate::gateway::json::{Json, members};
use crate::gateway::names::fix_for_member;
use crate::gateway::{Failback, OnOne, Policy};
use crate::language::{Text, message, text};

const KEY: &str = "placement";
const FIX: Text = text(
    "write \"all\", \"one\", or {\"mode\": \"one\", \"prefer\": [\"fs1\"], \"failback\": \"after 10m\"}",
    "请填写 \"all\"、\"one\" 或 {\"mode\": \"one\", \"prefer\": [\"fs1\"], \"failback\": \"after 10m\"}",
);
const FAILBACK_FIX: Text = text(
    "write \"manual\" or, for example, \"after 10m\"",
    "请填写 \"manual\"，或例如 \"after 10m\"",
);
/// The longest time after which a gateway goes back.
const MAX_FAILBACK: Duration = Duration::from_secs(30 * 24 * 60 * 60);
const MEMBERS: [&str; 3] = ["mode", "prefer", "failback"];

/// `None` if the gateway runs on all of its switches. Else the switches to choose from are not set yet.
pub(super) fn read_placement(report: &mut Report<'_>, json: Option<Json<'_>>, policy: &Policy) -> Option<OnOne> {
    match json {
        None | Some(Json::Null) => None,
        Some(Json::Object(raw)) => {
            let Some(object) = members(raw) else {
                let reason = text("has a key that is not plain UTF-8", "含有不是普通 UTF-8 的键");
                report.error(KEY.to_owned(), reason, FIX);
                return None;
            };
            for key in &object.repeated {
                warn_repeated(report, format!("{KEY}.{}", shown(key)));
            }
            let (mut one, mut runs_on_one) = (OnOne::default(), false);
            for (key, json) in object.members {
                match key.as_str() {
                    "mode" => runs_on_one = read_mode(report, "placement.mode", &json),
                    "prefer" => one.prefer = read_prefer(report, json, policy),
                    "failback" => one.failback = read_failback(report, json),
                    _ => {
                        let fix = fix_for_member(&key, &MEMBERS);
                        report.warn(format!("{KEY}.{}", shown(&key)), UNKNOWN_KEY, fix);
                    }
                }
            }
            runs_on_one.then_some(one)
        }
        Some(mode) => read_mode(report, KEY, &mode).then(OnOne::default),
    }
}

/// Whether it is `"one"`.
fn read_mode(report: &mut Report<'_>, field: &str, json: &Json<'_>) -> bool {
    let reason = match json {
        Json::String(mode) => match mode.as_str() {
            "one" => return true,
            "all" | "" => return false,
            mode => {
                let mode = shown(mode);
                message!(
                    "is '{mode}', not \"all\" or \"one\"",
                    "是 '{mode}'，不是 \"all\" 或 \"one\""
                )
            }
        },
        other => message!(
            "is {kind}, not \"all\" or \"one\"",
            "是{kind}，不是 \"all\" 或 \"one\"",
            kind = other.kind()
        ),
    };
    report.error(field.to_owned(), reason, FIX);
    false
}

fn read_prefer(report: &mut Report<'_>, json: Json<'_>, policy: &Policy) -> Box<[String]> {
    let list = SwitchList {
        field: "placement.prefer",
        fix: text(
            "write a list of switchnames, the best one first, such as [\"fs1\", \"fs2\"]",
            "请填写 switchname 列表，首选在前，例如 [\"fs1\", \"fs2\"]",
        ),
    };
    let mut prefer: Vec<String> = Vec::new();
    for switch in read_switches(report, &list, Some(json), policy).unwrap_or_default() {
        if !prefer.contains(&switch) {
            prefer.push(switch);
        }
    }
    prefer.into_boxed_slice()
}

fn read_failback(report: &mut Report<'_>, json: Json<'_>) -> Failback {
    let read = match &json {
        Json::Null => Some(Failback::Manual),
        Json::String(word) if word.is_empty() || word == "manual" => Some(Failback::Manual),
        Json::String(word) => word
            .strip_prefix("after ")
            .and_then(|time| humantime::parse_duration(time.trim()).ok())
            .filter(|after| *after <= MAX_FAILBACK)
            .map(Failback::After),
        _ => None,
    };
    read.unwrap_or_else(|| {
        let reason = text(
            "is neither \"manual\" nor \"after\" and a time of up to 30 days",
            "既不是 \"manual\"，也不是 \"after\" 加不超过 30 天的时间",
        );
        report.error("placement.failback".to_owned(), reason, FAILBACK_FIX);
        Failback::Manual
    })
}

/// A preferred switch that is none of the gateway's `nodes` never gets it.
pub(super) fn check_prefer(report: &mut Report<'_>, one: &OnOne) {
    let Some(switch) = one.prefer.iter().find(|switch| !one.allows(switch)) else {
        return;
    };
    let switch = shown(switch);
    report.warn(
        "placement.prefer".to_owned(),
        message!(
            "names '{switch}', which is not in `nodes`",
            "其中的 '{switch}' 不在 nodes 中"
        ),
        text(
            "add it to `nodes`, or leave it out here",
            "请将其加入 `nodes`，或从此处去掉",
        ),
    );
}
