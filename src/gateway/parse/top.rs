//! The keys of a gateway's value.

use super::notes::{check_tags, check_text, noted};
use super::object::{BAD_KEY, UNKNOWN_KEY, warn_repeated};
use crate::gateway::finding::{Report, shown};
use crate::gateway::json::{Json, Object, members};
use crate::gateway::names::fix_for_key;
use crate::language::{message, text};

/// The largest value, in bytes. A gateway takes about 700. FreeSWITCH's preprocessor splits a line at
/// 1 MiB, and the longest escape makes six bytes of one.
pub(super) const MAX_VALUE_BYTES: usize = 64 * 1024;

/// The known keys of a value, not parsed yet.
#[derive(Default)]
pub(super) struct Top<'a> {
    /// The contract's spelling and the other one: (key, its value).
    pub(super) params: [Option<(&'static str, Json<'a>)>; 2],
    pub(super) variables: [Option<(&'static str, Json<'a>)>; 2],
    pub(super) profile: Option<Json<'a>>,
    pub(super) enabled: Option<Json<'a>>,
    pub(super) nodes: Option<Json<'a>>,
    pub(super) placement: Option<Json<'a>>,
    /// Without blanks around it; `None` if it says nothing.
    pub(super) carrier: Option<Box<str>>,
    pub(super) rollback: Option<Json<'a>>,
}

/// The object that the value is, if it can be read.
fn read_object<'a>(report: &mut Report<'_>, value: &'a [u8]) -> Option<Object<'a>> {
    if value.len() > MAX_VALUE_BYTES {
        let bytes = value.len();
        let reason = message!(
            "the value is {bytes} bytes long; at most {MAX_VALUE_BYTES} are read",
            "值长 {bytes} 字节，最多读取 {MAX_VALUE_BYTES} 字节"
        );
        report.error(None, reason, text("make it shorter", "请缩短"));
        return None;
    }
    let json = match std::str::from_utf8(value) {
        Ok(json) => json,
        Err(error) => {
            let good = &value[..error.valid_up_to()];
            let line = good.iter().filter(|b| **b == b'\n').count() + 1;
            let column = good.iter().rev().take_while(|b| **b != b'\n').count() + 1;
            let reason = message!(
                "the value is not UTF-8 (at line {line} column {column})",
                "值不是 UTF-8 编码（第 {line} 行第 {column} 列）"
            );
            let fix = text("write it as JSON in UTF-8", "请写成 UTF-8 编码的 JSON");
            report.error(None, reason, fix);
            return None;
        }
    };
    let object = match Json::read(json) {
        Ok(Json::Object(raw)) => members(raw),
        Ok(other) => {
            let reason = message!(
                "the value is {kind}, not a JSON object",
                "值是{kind}，不是 JSON 对象",
                kind = other.kind()
            );
            let fix = text(
                "write it as {\"param\": {…}, \"variables\": {…}}",
                "请写成 {\"param\": {…}, \"variables\": {…}}",
            );
            report.error(None, reason, fix);
            return None;
        }
        Err(error) => {
            let reason = message!("the value is not JSON: {error}", "值不是 JSON：{error}", error = error);
            report.error(None, reason, text("write it as JSON", "请写成 JSON"));
            return None;
        }
    };
    if object.is_none() {
        let fix = text("write the key in plain UTF-8", "请直接用 UTF-8 书写该键");
        report.error(None, BAD_KEY, fix);
    }
    object
}

pub(super) fn read_top<'a>(report: &mut Report<'_>, value: &'a [u8]) -> Option<Top<'a>> {
    let object = read_object(report, value)?;
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
            "placement" => top.placement = Some(json),
            "rollback" => top.rollback = Some(json),
            "description" => check_text(report, &key, &json),
            "carrier" => {
                check_text(report, &key, &json);
                top.carrier = noted(&json);
            }
            "tags" => check_tags(report, &json),
            "subscriptions" => {
                let reason = text("trunkd does not serve subscriptions", "trunkd 不下发 subscriptions");
                let fix = text(
                    "leave them out, or keep this gateway in a file on the switch",
                    "请去掉它，或将此网关保留在 FreeSWITCH 本机的文件中",
                );
                report.warn(shown(&key), reason, fix);
            }
            _ => {
                report.warn(shown(&key), UNKNOWN_KEY, fix_for_key(&key));
            }
        }
    }
    Some(top)
}
