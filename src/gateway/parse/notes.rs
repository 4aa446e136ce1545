//! `description`, `carrier` and `tags`: what people note about a gateway. FreeSWITCH never gets them, so a bad one
//! is a warning, and the gateway is served.

use super::object::MAX_ITEMS;
use crate::gateway::finding::Report;
use crate::gateway::json::{Json, items};

/// Checks a key whose value is a text.
pub(super) fn check_text(report: &mut Report<'_>, key: &str, json: &Json<'_>) {
    if !matches!(json, Json::Null | Json::String(_)) {
        let reason = format!("is {}, not a string; trunkd ignores it", json.kind());
        report.warn(key.to_owned(), reason, "write a string, or leave it out");
    }
}

pub(super) fn check_tags(report: &mut Report<'_>, json: &Json<'_>) {
    const FIX: &str = "write a list of strings, such as [\"backup\"], or leave it out";
    let field = || "tags".to_owned();
    let raw = match json {
        Json::Null => return,
        Json::Array(raw) => raw,
        other => {
            let reason = format!("is {}, not a list of strings; trunkd ignores it", other.kind());
            return report.warn(field(), reason, FIX);
        }
    };
    let tags = items(raw);
    if tags.len() > MAX_ITEMS {
        let reason = format!("has {} tags; at most {MAX_ITEMS} are read", tags.len());
        return report.warn(field(), reason, "make the list shorter");
    }
    // One finding is enough: a list of a thousand numbers is one mistake.
    for (at, tag) in tags.iter().enumerate() {
        let reason = match tag {
            Json::String(tag) if !tag.is_empty() => continue,
            Json::String(_) => "is empty".to_owned(),
            other => format!("is {}, not a string; trunkd ignores it", other.kind()),
        };
        return report.warn(format!("tags[{at}]"), reason, FIX);
    }
}
