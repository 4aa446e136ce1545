//! The state of a gateway on one switch.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::registration::{Calls, PingStatus, Refused, State};

/// The state of a gateway on one switch: the value in `trunkd:status:<switchname>`. Times are RFC
/// 3339 in UTC.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// `None` until an event or a snapshot names it.
    pub profile: Option<String>,
    /// `None` between a gateway's start and the first report of its state.
    pub state: Option<State>,
    pub ping: Option<PingStatus>,
    /// The SIP response that led to the state, such as `403`, and its phrase.
    pub status: Option<String>,
    pub phrase: Option<String>,
    /// When the state was entered.
    pub since: Timestamp,
    /// When the state was last known to be true.
    pub seen: Timestamp,
    /// The `trunkd_revision` that the gateway runs with.
    pub revision: Option<String>,
    /// Whether it can carry calls; `None` if unknown.
    #[serde(default)]
    pub usable: Option<bool>,
    /// When `usable` last changed. `None` in rows from an older trunkd without this field.
    #[serde(default)]
    pub usable_since: Option<Timestamp>,
    /// Why it is not usable, if known.
    #[serde(default)]
    pub reason: Option<String>,
    /// Seconds between two pings, 0 for no pings. `None` until a snapshot has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ping_every: Option<u32>,
    /// The round-trip time of the last answered ping.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ping_ms: Option<f64>,
    /// A ping has been pending longer than is possible, so `ping` is no longer valid.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub ping_stuck: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub calls: Option<Calls>,
    /// The last challenge that FreeSWITCH did not answer. Cleared when the gateway registers or
    /// restarts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub challenge: Option<Challenge>,
    /// When FreeSWITCH tries to register again, while it waits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_at: Option<Timestamp>,
    /// Refusals since it was REGED. `None` while it is, and if there is nothing to say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<Refused>,
    /// The switch is unreachable: this is the last known state.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub stale: bool,
    /// The writer knew nothing about the gateway before `usable_since`. If Redis has an older
    /// value, that one is kept.
    #[serde(skip)]
    pub is_first_sight: bool,
}

/// A challenge that FreeSWITCH did not answer, because its sender is not one of the gateway's hosts
/// (FACTS 45).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Challenge {
    /// The sender's address, if an event has it; FreeSWITCH 1.11 does not send it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub realm: Option<String>,
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
}

/// The words of [`Row::reason`] that are trunkd's own; others are what the carrier answered.
pub mod reason {
    pub const PING_LOST: &str = "ping lost";
    pub const PING_STUCK: &str = "ping stuck";
    pub const CHALLENGE_NOT_ANSWERED: &str = "challenge not answered";
    pub const NO_ANSWER: &str = "no answer";
    pub const UNREGISTERED: &str = "unregistered";
}

impl Row {
    /// A gateway with unknown state.
    pub fn unknown(at: Timestamp) -> Self {
        Self {
            profile: None,
            state: None,
            ping: None,
            status: None,
            phrase: None,
            since: at,
            seen: at,
            revision: None,
            usable: None,
            usable_since: Some(at),
            reason: None,
            ping_every: None,
            ping_ms: None,
            ping_stuck: false,
            calls: None,
            challenge: None,
            retry_at: None,
            refused: None,
            stale: false,
            is_first_sight: false,
        }
    }

    pub fn to_json(&self) -> String {
        // Strings, numbers, times and booleans always serialize.
        serde_json::to_string(self).unwrap_or_default()
    }
}

/// Whether two rows, as JSON, say the same but for when that was last known to be true.
pub(super) fn differ_in_seen(one: &str, other: &str) -> bool {
    fn around_seen(row: &str) -> Option<(&str, &str)> {
        // Inside a text the quotes would be escaped.
        let (before, rest) = row.split_once(r#""seen":""#)?;
        Some((before, rest.split_once('"')?.1))
    }
    let (one, other) = (around_seen(one), around_seen(other));
    one.is_some() && one == other
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_that_differ_only_in_when_they_were_true_say_the_same() {
        let row = Row {
            phrase: Some(r#"say "seen":"x""#.to_owned()),
            ..Row::unknown(Timestamp::UNIX_EPOCH)
        };
        let at = |second| Timestamp::from_second(second).unwrap();
        let later = |phrase: Option<String>| {
            Row {
                seen: at(60),
                phrase,
                ..row.clone()
            }
            .to_json()
        };
        assert!(differ_in_seen(&row.to_json(), &later(row.phrase.clone())));
        assert!(!differ_in_seen(
            &row.to_json(),
            &later(Some(r#"say "seen":"y""#.to_owned()))
        ));
        assert!(!differ_in_seen("", &later(None)) && !differ_in_seen("", ""));
    }
}
