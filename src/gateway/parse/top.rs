//! The keys of a gateway's value.

use super::notes::{check_tags, check_text};
use super::object::warn_repeated;
use crate::gateway::finding::{Report, shown};
use crate::gateway::json::{Json, members};
use crate::gateway::names::fix_for_key;

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
}

pub(super) fn read_top<'a>(report: &mut Report<'_>, value: &'a [u8]) -> Option<Top<'a>> {
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
            "description" | "carrier" => check_text(report, &key, &json),
            "tags" => check_tags(report, &json),
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
