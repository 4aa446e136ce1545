//! Objects of params and variables, and the scalars in them.

use std::collections::BTreeMap;

use serde_json::value::RawValue;

use crate::gateway::finding::Report;
use crate::gateway::json::{Json, items, members};
use crate::gateway::param_values::place;

/// The most params, variables or nodes of one gateway. FreeSWITCH knows 34 params.
pub(super) const MAX_ITEMS: usize = 1000;

pub(super) fn warn_repeated(report: &mut Report<'_>, field: String) {
    report.warn(field, "is given more than once; the last one wins", "give it once");
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
pub(super) fn object_of<'a>(report: &mut Report<'_>, key: &str, json: &Json<'a>) -> Result<Option<&'a RawValue>, ()> {
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
pub(super) fn scalar(report: &mut Report<'_>, place: impl Fn() -> String, json: Json<'_>) -> Option<String> {
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
pub(super) fn carried(report: &mut Report<'_>, place: impl Fn() -> String, what: &str, text: &str) -> bool {
    if text.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
        return true;
    }
    let Some((at, c)) = text.chars().enumerate().find(|(_, c)| is_forbidden(*c)) else {
        return true;
    };
    let reason = format!(
        "{what} contains the control character U+{:04X} (character {})",
        u32::from(c),
        at + 1
    );
    report.error(place(), reason, "remove it: it would end up inside SIP messages");
    false
}

/// Control characters, line and paragraph separators, and what is no character at all.
pub(super) fn is_forbidden(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}' | '\u{2029}') || u32::from(c) & 0xFFFE == 0xFFFE
}
