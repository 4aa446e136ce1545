//! Objects of params and variables, and the scalars in them.

use std::collections::BTreeMap;

use serde_json::value::RawValue;

use crate::gateway::finding::Report;
use crate::gateway::json::{Json, items, members};
use crate::gateway::param_values::place;
use crate::language::{Text, message, text};

/// The most params, variables or nodes of one gateway. FreeSWITCH knows 34 params.
pub(super) const MAX_ITEMS: usize = 1000;

pub(super) const SHORTER: Text = text("make the list shorter", "请缩短列表");

pub(super) const BAD_KEY: Text = text(
    "a key has an escape that stands for no character",
    "某个键含有无效的转义",
);

pub(super) const UNKNOWN_KEY: Text = text(
    "trunkd does not know this key and leaves it alone",
    "trunkd 不认识此键，会保持原样",
);

const ONCE: Text = text("give it once", "请只写一次");

pub(super) fn warn_repeated(report: &mut Report<'_>, field: String) {
    let reason = text("is given more than once; the last one wins", "重复出现，以最后一个为准");
    report.warn(field, reason, ONCE);
}

/// Members of one object that may come in two spellings.
#[derive(Default)]
pub(super) struct Merged<'a> {
    /// name → (its spelling of the parent key, value)
    pub(super) members: BTreeMap<String, (&'static str, Json<'a>)>,
    /// Whether one of the two could not be read.
    pub(super) incomplete: bool,
}

/// Members of `param` and `params`, or of `variables` and `variable`. The contract's spelling wins over the other one.
pub(super) fn merge<'a>(report: &mut Report<'_>, spellings: [Option<(&'static str, Json<'a>)>; 2]) -> Merged<'a> {
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
            let reason = text(
                "a name in it has an escape that stands for no character",
                "其中某个名称含有无效的转义",
            );
            let fix = text("write the name in plain UTF-8", "请直接用 UTF-8 书写该名称");
            report.error(key.to_owned(), reason, fix);
            merged.incomplete = true;
            continue;
        };
        if object.members.len() > MAX_ITEMS {
            let count = object.members.len();
            let reason = message!(
                "has {count} members; at most {MAX_ITEMS} are read",
                "有 {count} 项，最多读取 {MAX_ITEMS} 项"
            );
            let fix = text(
                "leave out what FreeSWITCH does not need",
                "请去掉 FreeSWITCH 不需要的内容",
            );
            report.error(key.to_owned(), reason, fix);
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
                let winner = place(winner, &name);
                let reason = message!(
                    "is given as {winner} too, which counts",
                    "同时以 {winner} 给出，以后者为准"
                );
                report.warn(place(key, &name), reason, ONCE);
            } else {
                merged.members.insert(name, (key, value));
            }
        }
    }
    merged
}

/// The object that a value is; `None` when there is none, an error when it is something else.
pub(super) fn object_of<'a>(report: &mut Report<'_>, key: &str, json: &Json<'a>) -> Result<Option<&'a RawValue>, ()> {
    match json {
        Json::Null => Ok(None),
        Json::Object(raw) => Ok(Some(raw)),
        // What PHP writes for an empty object.
        Json::Array(raw) if items(raw).is_empty() => Ok(None),
        other => {
            let reason = message!("is {kind}, not an object", "是{kind}，不是对象", kind = other.kind());
            let fix = text("write it as {\"name\": \"value\"}", "请写成 {\"name\": \"value\"}");
            report.error(key.to_owned(), reason, fix);
            Err(())
        }
    }
}

/// A string, number or boolean as the text FreeSWITCH gets; an error for anything else.
pub(super) fn scalar(report: &mut Report<'_>, place: impl Fn() -> String, json: Json<'_>) -> Option<String> {
    let value = match json {
        Json::String(text) => text,
        Json::Bool(true) => "true".to_owned(),
        Json::Bool(false) => "false".to_owned(),
        Json::Number(digits) if !digits.contains(['e', 'E']) => digits.to_owned(),
        Json::Number(_) => {
            let reason = text(
                "is a number with an exponent, which FreeSWITCH would cut off",
                "是带指数的数字，FreeSWITCH 会把指数部分截掉",
            );
            let fix = text("write all its digits, or a string", "请写出全部数字，或写成字符串");
            report.error(place(), reason, fix);
            return None;
        }
        other => {
            let reason = message!(
                "is {kind}; only a string, a number, true or false can be passed on",
                "是{kind}；只能下发字符串、数字、true 或 false",
                kind = other.kind()
            );
            report.error(place(), reason, text("write a string", "请写成字符串"));
            return None;
        }
    };
    carried(report, place, text("the value", "值"), &value).then_some(value)
}

/// Whether XML and SIP can carry a text (FACTS 9). Says where not, never what.
pub(super) fn carried(report: &mut Report<'_>, place: impl Fn() -> String, what: Text, written: &str) -> bool {
    if written.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
        return true;
    }
    let Some((at, c)) = written.chars().enumerate().find(|(_, c)| is_forbidden(*c)) else {
        return true;
    };
    let (number, at) = (u32::from(c), at + 1);
    let reason = message!(
        "{what} contains the control character U+{number:04X} (character {at})",
        "{what}含有控制字符 U+{number:04X}（第 {at} 个字符）",
        what = what
    );
    let fix = text(
        "remove it: it would end up inside SIP messages",
        "请删除：它会进入 SIP 消息",
    );
    report.error(place(), reason, fix);
    false
}

/// Control characters, line and paragraph separators, and what is no character at all.
pub(super) fn is_forbidden(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}' | '\u{2029}') || u32::from(c) & 0xFFFE == 0xFFFE
}
