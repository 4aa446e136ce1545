//! A gateway's state on one switch.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::registration::{Calls, PingStatus, State};

/// A gateway's state on one switch: the value in `trunkd:status:<switchname>`. Times are RFC 3339 in UTC.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// `None` until an event or a snapshot names it.
    pub profile: Option<String>,
    /// `None` between a gateway's start and the first sign of its state.
    pub state: Option<State>,
    pub ping: Option<PingStatus>,
    /// The SIP answer that led to the state, such as `403`, and its phrase.
    pub status: Option<String>,
    pub phrase: Option<String>,
    /// When the state was entered.
    pub since: Timestamp,
    /// When the state was last known to be true.
    pub seen: Timestamp,
    /// The `trunkd_revision` that the gateway runs with.
    pub revision: Option<String>,
    /// Whether calls can go over it; `None` when nobody knows.
    #[serde(default)]
    pub usable: Option<bool>,
    /// When that last changed; `None` in rows of a trunkd that did not tell it.
    #[serde(default)]
    pub usable_since: Option<Timestamp>,
    /// Why it is not usable, if that is known.
    #[serde(default)]
    pub reason: Option<String>,
    /// Seconds between two pings, 0 for none; `None` until a snapshot tells it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ping_every: Option<u32>,
    /// The round trip of the last answered ping.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ping_ms: Option<f64>,
    /// A ping has been under way for longer than one can take: `ping` is no longer true.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub ping_stuck: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub calls: Option<Calls>,
    /// The last challenge that FreeSWITCH did not answer, until the gateway is registered, or started anew.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub challenge: Option<Challenge>,
    /// When FreeSWITCH tries to register again, while it waits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_at: Option<Timestamp>,
    /// The switch is out of reach: this is its last known state.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub stale: bool,
    /// Who made the row knew nothing of the gateway before `usable_since`: if Redis does, that stands.
    #[serde(skip)]
    pub is_first_sight: bool,
}

/// A challenge that FreeSWITCH did not answer, since its sender is none of the gateway's hosts (FACTS 45).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Challenge {
    /// The sender's address, where an event tells it: FreeSWITCH 1.11 does not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub realm: Option<String>,
    pub at: Timestamp,
}

impl Row {
    /// Of a gateway of which nothing is known yet.
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
            stale: false,
            is_first_sight: false,
        }
    }

    pub fn to_json(&self) -> String {
        // Strings, numbers, times and booleans always serialize.
        serde_json::to_string(self).unwrap_or_default()
    }
}
