//! `description`, `carrier` and `tags`: what people note about a gateway. FreeSWITCH never gets them, so a bad one
//! is a warning, and the gateway is served.

use super::object::{MAX_ITEMS, SHORTER};
use crate::gateway::finding::Report;
use crate::gateway::json::{Json, items};
use crate::language::{Message, Text, message, text};

/// Checks a key whose value is a text.
pub(super) fn check_text(report: &mut Report<'_>, key: &str, json: &Json<'_>) {
    if !matches!(json, Json::Null | Json::String(_)) {
        let fix = text("write a string, or leave it out", "请填写字符串，或不设置");
        report.warn(key.to_owned(), no_string(json), fix);
    }
}

/// The text, unless it is blank.
pub(super) fn noted(json: &Json<'_>) -> Option<Box<str>> {
    match json {
        Json::String(text) => Some(text.trim()).filter(|text| !text.is_empty()).map(Into::into),
        _ => None,
    }
}

fn no_string(json: &Json<'_>) -> Message {
    message!(
        "is {kind}, not a string; trunkd ignores it",
        "是{kind}，不是字符串；trunkd 会忽略它",
        kind = json.kind()
    )
}

pub(super) fn check_tags(report: &mut Report<'_>, json: &Json<'_>) {
    const FIX: Text = text(
        "write a list of strings, such as [\"backup\"], or leave it out",
        "请填写字符串列表，例如 [\"backup\"]，或不设置",
    );
    let field = || "tags".to_owned();
    let raw = match json {
        Json::Null => return,
        Json::Array(raw) => raw,
        other => {
            let reason = message!(
                "is {kind}, not a list of strings; trunkd ignores it",
                "是{kind}，不是字符串列表；trunkd 会忽略它",
                kind = other.kind()
            );
            return report.warn(field(), reason, FIX);
        }
    };
    let tags = items(raw);
    if tags.len() > MAX_ITEMS {
        let count = tags.len();
        let reason = message!(
            "has {count} tags; at most {MAX_ITEMS} are read",
            "有 {count} 个标签，最多读取 {MAX_ITEMS} 个"
        );
        return report.warn(field(), reason, SHORTER);
    }
    // One finding is enough: a list of a thousand numbers is one mistake.
    for (at, tag) in tags.iter().enumerate() {
        let reason = match tag {
            Json::String(tag) if !tag.is_empty() => continue,
            Json::String(_) => text("is empty", "为空").into(),
            other => no_string(other),
        };
        return report.warn(format!("tags[{at}]"), reason, FIX);
    }
}
