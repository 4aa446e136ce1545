//! Calls that ended: `CHANNEL_HANGUP_COMPLETE`, on a connection of its own (FACTS 40).
//!
//! A busy switch ends thousands of calls a second, each with some 200 headers in 10 kB. So events of
//! calls over no gateway are dropped before they are parsed, and of the others little is kept.

use std::sync::LazyLock;
use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;
use memchr::memmem::Finder;
use serde::{Deserialize, Serialize};

use super::client::{Client, Events};
use super::commands::Commands;
use super::connection::connect;
use super::error::Lost;
use super::event::{EventError, MAX_GATEWAY_BYTES, headers};
use super::session::{OpenError, SwitchAddress, check_name};
use super::timing::Timing;

const EVENT_NAME: &str = "CHANNEL_HANGUP_COMPLETE";
const SUBSCRIBE: &str = "event json CHANNEL_HANGUP_COMPLETE";

/// A leg of a call that ended, over a gateway.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hangup {
    pub gateway: String,
    pub direction: Direction,
    /// `Event-Date-Timestamp`: when FreeSWITCH fired it.
    pub at: Timestamp,
    /// FreeSWITCH's `billsec`: seconds from the answer to the end. `None` if nobody answered.
    pub answered_seconds: Option<u32>,
    /// FreeSWITCH's word, such as `USER_BUSY`.
    pub cause: String,
    /// The SIP status that ended it, if one did.
    pub sip_status: Option<u16>,
}

/// As FreeSWITCH sees it: `In` is a call from the carrier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    In,
    Out,
}

impl Direction {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::In => "in",
            Self::Out => "out",
        }
    }

    pub fn parse(word: &str) -> Option<Self> {
        [Self::In, Self::Out]
            .into_iter()
            .find(|direction| direction.as_str() == word)
    }
}

const HEADERS: [&str; 9] = [
    "Event-Name",
    "Event-Date-Timestamp",
    "Hangup-Cause",
    "Call-Direction",
    "Caller-Channel-Answered-Time",
    "variable_sip_gateway_name",
    "variable_sip_gateway",
    "variable_sip_term_status",
    "variable_billsec",
];

impl Hangup {
    /// Reads the body of a `text/event-json` frame. `None`: the call was over no gateway.
    ///
    /// # Errors
    /// [`EventError`] when it is not a JSON object, or lacks its time.
    pub fn parse(json: &[u8]) -> Result<Option<Self>, EventError> {
        static GATEWAY: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new("\"variable_sip_gateway"));
        // The decoder leaves nothing of an event that is too long.
        if json.is_empty() {
            return Err(EventError::TooLong);
        }
        if GATEWAY.find(json).is_none() {
            return Ok(None);
        }
        let text = String::from_utf8_lossy(json);
        let [
            name,
            at,
            cause,
            direction,
            answered,
            out_over,
            in_over,
            sip_status,
            seconds,
        ] = headers(&text, HEADERS)?;
        if name.as_deref() != Some(EVENT_NAME) {
            return Ok(None);
        }
        let (direction, gateway) = match direction.as_deref() {
            Some("inbound") => (Direction::In, in_over),
            _ => (Direction::Out, out_over),
        };
        let Some(gateway) = gateway.filter(|name| (1..=MAX_GATEWAY_BYTES).contains(&name.len())) else {
            return Ok(None);
        };
        let at = at.and_then(|text| Timestamp::from_microsecond(text.parse().ok()?).ok());
        let is_answered = answered.is_some_and(|time| !time.is_empty() && time != "0");
        Ok(Some(Self {
            gateway: gateway.into_owned(),
            direction,
            at: at.ok_or(EventError::Field {
                subclass: EVENT_NAME,
                field: "Event-Date-Timestamp",
            })?,
            answered_seconds: is_answered.then(|| seconds.and_then(|text| text.parse().ok()).unwrap_or_default()),
            cause: cause.unwrap_or_default().into_owned(),
            sip_status: sip_status.and_then(|text| text.parse().ok()),
        }))
    }
}

/// A connection that hears of calls that end, and of nothing else.
#[derive(Debug)]
pub struct Hangups {
    events: Events,
    /// Held so that the connection stays open.
    _client: Client,
}

impl Hangups {
    /// Connects, authenticates, checks who the switch is, and subscribes.
    ///
    /// # Errors
    /// [`OpenError`], as [`super::Session::open`].
    pub async fn open(switch: &SwitchAddress, timing: Timing) -> Result<Self, OpenError> {
        let (client, events) = connect(&switch.address, &switch.password, timing).await?;
        check_name(&Commands::new(client.clone()), switch).await?;
        client.command(SUBSCRIBE, Duration::from_secs(5)).await?;
        Ok(Self {
            events,
            _client: client,
        })
    }

    /// Waits for events and appends those that are there, `limit` at most. Cancel-safe.
    ///
    /// # Errors
    /// Why the connection is over.
    pub async fn next(&mut self, events: &mut Vec<Bytes>, limit: usize) -> Result<(), Lost> {
        match self.events.next(events, limit).await {
            0 => Err(self.events.lost()),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests;
