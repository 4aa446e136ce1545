//! States and times in words.

use jiff::{SignedDuration, Timestamp};

use super::texts::Texts;
use crate::language::Language;
use crate::operate::gateways::Validity;
use crate::operate::listing::ListState;
use crate::operate::status::Gateway;

/// The id of a state's name.
pub(super) fn state(state: ListState) -> &'static str {
    match state {
        ListState::Down => "state-down",
        ListState::Missing => "state-missing",
        ListState::Trying => "state-trying",
        ListState::Unknown => "state-unknown",
        ListState::Up => "state-up",
        ListState::Idle => "state-idle",
    }
}

/// The id of a validity's name.
pub(super) fn validity(validity: Validity) -> &'static str {
    match validity {
        Validity::Valid => "validity-valid",
        Validity::Disabled => "validity-disabled",
        Validity::Kept => "validity-kept",
        Validity::Invalid => "validity-invalid",
        Validity::Shadowed => "validity-shadowed",
    }
}

/// Why calls can't use it, in FreeSWITCH's or the carrier's words. `None` if they can, or nobody said.
pub(super) fn reason(gateway: &Gateway) -> Option<String> {
    if gateway.usable == Some(true) {
        return None;
    }
    // Between the 200 and REGED the last answer is no refusal.
    let refusal = || gateway.answer().filter(|answer| !answer.starts_with('2'));
    gateway.reason.clone().or_else(refusal)
}

/// What a carrier's answer, or FreeSWITCH's reason, means to an operator. `None` if it says so itself.
pub(super) fn explanation(t: Texts, reason: &str) -> Option<String> {
    let status = reason.split(' ').next().and_then(|word| word.parse::<u16>().ok());
    let id = match (status, reason) {
        (Some(401 | 407 | 904), _) => "explain-401",
        (Some(403), _) => "explain-403",
        (Some(404), _) => "explain-404",
        (Some(408), _) => "explain-408",
        (Some(423), _) => "explain-423",
        (Some(480 | 486), _) => "explain-480",
        (Some(500 | 502 | 503 | 504), _) => "explain-503",
        (Some(908), _) => "explain-503",
        (Some(status @ 400..), _) if status < 700 => "explain-refused",
        (_, "ping lost") => "explain-ping-lost",
        (_, "ping stuck") => "explain-ping-stuck",
        (_, "no answer") => "explain-408",
        (_, "unregistered") => "explain-unregistered",
        _ => return None,
    };
    Some(t.get(id).into_owned())
}

/// What to do about a reason.
pub(super) fn advice(t: Texts, reason: &str) -> Option<String> {
    let status = reason.split(' ').next().and_then(|word| word.parse::<u16>().ok());
    let id = match (status, reason) {
        (Some(401 | 403 | 404 | 407), _) => "advice-account",
        (Some(408 | 500 | 502 | 503 | 504 | 908), _) | (_, "no answer" | "ping lost") => "advice-reach",
        _ => return None,
    };
    Some(t.get(id).into_owned())
}

/// Why a plan was held, from the history. An older trunkd said it in English alone.
pub(super) fn hold<'a>(t: Texts, english: &'a str, chinese: Option<&'a str>) -> &'a str {
    match t.0 {
        Language::En => english,
        Language::Zh => chinese.unwrap_or(english),
    }
}

/// How long ago, in the largest unit that fits.
pub(super) fn ago(t: Texts, at: Timestamp, now: Timestamp) -> String {
    let seconds = now.duration_since(at).max(SignedDuration::ZERO).as_secs();
    let seconds = usize::try_from(seconds).unwrap_or_default();
    let (id, count) = match seconds {
        0..60 => ("ago-seconds", seconds),
        60..3600 => ("ago-minutes", seconds / 60),
        3600..172_800 => ("ago-hours", seconds / 3600),
        _ => ("ago-days", seconds / 86_400),
    };
    t.count(id, count).into_owned()
}

/// `08:15:38 UTC`, with its date if that is another day.
pub(super) fn clock(at: Timestamp, now: Timestamp) -> String {
    let day = |at: Timestamp| at.strftime("%Y-%m-%d").to_string();
    match day(at) == day(now) {
        true => at.strftime("%H:%M:%S UTC").to_string(),
        false => exact(at),
    }
}

/// `2026-11-26 08:15:38 UTC`
pub(super) fn exact(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M:%S UTC").to_string()
}
