//! The events that we subscribe to, typed. The bytes stay as FreeSWITCH sent them. A carrier can influence some: its
//! reason phrase can turn a header into a list (FACTS 50).

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use jiff::Timestamp;
use serde::Deserialize;
use serde::de::{Deserializer as _, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::frame::MAX_EVENT_BYTES;
use crate::registration::{PingStatus, State};

/// Numbers are exact in Redis's scripts up to here. A switch that fires a million events a second gets there after 285
/// years, so a higher one is not FreeSWITCH's.
pub const MAX_SEQUENCE: u64 = (1 << 53) - 1;
/// Longer than any name that an operator types, and short enough for a key.
pub(super) const MAX_GATEWAY_BYTES: usize = 1024;

/// What a subscribed event is (FACTS 30).
#[derive(Debug, Clone, PartialEq)]
#[allow(clippy::large_enum_variant, reason = "nearly all of them are the large one")]
pub enum Event {
    Gateway(GatewayEvent),
    /// `HEARTBEAT`: the switch is alive. Carries the sequence that it has reached.
    Heartbeat {
        sequence: Option<u64>,
    },
    /// `sofia::profile_start`: a profile came up, and its gateways with it (FACTS 29).
    ProfileStart,
    /// `SHUTDOWN`: FreeSWITCH is stopping. It unloads its modules next, which deletes its gateways.
    Shutdown,
    /// Anything else, by its `Event-Name`.
    Other(String),
}

/// The subclasses of gateway events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Subclass {
    Add,
    State,
    Delete,
    /// FreeSWITCH did not answer a challenge, because its sender is none of the gateway's hosts
    /// (FACTS 45). Says nothing about the state.
    InvalidDigestReq,
}

impl Subclass {
    pub const ALL: [Subclass; 4] = [Self::Add, Self::State, Self::Delete, Self::InvalidDigestReq];

    /// FreeSWITCH's own name for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Add => "sofia::gateway_add",
            Self::State => "sofia::gateway_state",
            Self::Delete => "sofia::gateway_delete",
            Self::InvalidDigestReq => "sofia::gateway_invalid_digest_req",
        }
    }
}

/// One event of one gateway.
#[derive(Debug, Clone, PartialEq)]
pub struct GatewayEvent {
    /// The JSON as FreeSWITCH sent it. Bytes that are not UTF-8 are replaced by U+FFFD, because JSON cannot carry them.
    pub json: Bytes,
    pub subclass: Subclass,
    pub gateway: Arc<str>,
    /// Only add and delete name the profile (FACTS 30).
    pub profile: Option<String>,
    pub state: Option<State>,
    pub ping: Option<PingStatus>,
    /// The SIP answer that led here, on the event that follows one (FACTS 31).
    pub status: Option<String>,
    pub phrase: Option<String>,
    /// The realm of the challenge, on [`Subclass::InvalidDigestReq`]. No header has the sender's address.
    pub realm: Option<String>,
    pub core_uuid: String,
    pub switchname: String,
    /// Rises by one an event within one run of FreeSWITCH (FACTS 32).
    pub sequence: u64,
    /// `Event-Date-Timestamp`: when FreeSWITCH fired it.
    pub at: Timestamp,
}

/// Why an event could not be read.
#[derive(Debug, thiserror::Error)]
pub enum EventError {
    #[error("an event is longer than {MAX_EVENT_BYTES} bytes and was not read")]
    TooLong,
    #[error("an event is not JSON as FreeSWITCH sends it: {0}")]
    Json(#[from] serde_json::Error),
    #[error("a {subclass} event has no usable {field}")]
    Field {
        subclass: &'static str,
        field: &'static str,
    },
}

impl Event {
    /// Reads the body of a `text/event-json` frame.
    ///
    /// # Errors
    /// [`EventError`] when it is not a JSON object, or when a gateway event lacks its name, sequence or time.
    pub fn parse(json: Bytes) -> Result<Self, EventError> {
        // The decoder leaves nothing of an event that is too long.
        if json.is_empty() {
            return Err(EventError::TooLong);
        }
        let replaced;
        let (json, text) = match std::str::from_utf8(&json) {
            Ok(text) => (json.clone(), text),
            Err(_) => {
                replaced = String::from_utf8_lossy(&json);
                (Bytes::copy_from_slice(replaced.as_bytes()), &*replaced)
            }
        };
        let [name, subclass, sequence, rest @ ..] = headers(text, HEADERS)?;
        let sequence = sequence
            .and_then(|text| text.parse().ok())
            .filter(|&number| number <= MAX_SEQUENCE);
        match name.as_deref().unwrap_or_default() {
            "HEARTBEAT" => return Ok(Self::Heartbeat { sequence }),
            "SHUTDOWN" => return Ok(Self::Shutdown),
            "CUSTOM" => {}
            other => return Ok(Self::Other(other.to_owned())),
        }
        match subclass.as_deref().unwrap_or_default() {
            "sofia::profile_start" => Ok(Self::ProfileStart),
            subclass => match Subclass::ALL.into_iter().find(|known| known.as_str() == subclass) {
                Some(subclass) => Ok(Self::Gateway(gateway_event(json.clone(), subclass, sequence, rest)?)),
                None => Ok(Self::Other(subclass.to_owned())),
            },
        }
    }
}

/// The headers that we read; the others are only passed on. The first ones are in every event.
const HEADERS: [&str; 13] = [
    "Event-Name",
    "Event-Subclass",
    "Event-Sequence",
    "Core-UUID",
    "FreeSWITCH-Switchname",
    "Event-Date-Timestamp",
    "Gateway",
    "profile-name",
    "State",
    "Ping-Status",
    "Status",
    "Phrase",
    "realm",
];

fn gateway_event(
    json: Bytes,
    subclass: Subclass,
    sequence: Option<u64>,
    headers: [Option<Cow<'_, str>>; 10],
) -> Result<GatewayEvent, EventError> {
    let missing = |field| EventError::Field {
        subclass: subclass.as_str(),
        field,
    };
    let [
        core_uuid,
        switchname,
        at,
        gateway,
        profile,
        state,
        ping,
        status,
        phrase,
        realm,
    ] = headers;
    let gateway = gateway.filter(|name| (1..=MAX_GATEWAY_BYTES).contains(&name.len()));
    let at = at.and_then(|text| Timestamp::from_microsecond(text.parse().ok()?).ok());
    Ok(GatewayEvent {
        subclass,
        gateway: gateway.ok_or(missing("Gateway"))?.into(),
        sequence: sequence.ok_or(missing("Event-Sequence"))?,
        at: at.ok_or(missing("Event-Date-Timestamp"))?,
        profile: profile.map(Cow::into_owned),
        state: state.map(|word| State::from(&*word)),
        ping: ping.map(|word| PingStatus::from(&*word)),
        status: status.map(Cow::into_owned),
        phrase: phrase.map(Cow::into_owned),
        realm: realm.map(Cow::into_owned),
        core_uuid: core_uuid.ok_or(missing("Core-UUID"))?.into_owned(),
        switchname: switchname.ok_or(missing("FreeSWITCH-Switchname"))?.into_owned(),
        json,
    })
}

/// The texts of these headers of an event in JSON, in the order of `names`. If a header comes
/// twice, the first one counts, as in FreeSWITCH. A list becomes FreeSWITCH's `ARRAY::one|:two`
/// (FACTS 50).
///
/// # Errors
/// When the text is not a JSON object.
pub fn headers<'a, const N: usize>(
    json: &'a str,
    names: [&str; N],
) -> Result<[Option<Cow<'a, str>>; N], serde_json::Error> {
    let mut reader = serde_json::Deserializer::from_str(json);
    let found = reader.deserialize_map(Headers(names))?;
    reader.end()?;
    Ok(found)
}

struct Headers<'n, const N: usize>([&'n str; N]);

impl<'de, const N: usize> Visitor<'de> for Headers<'_, N> {
    type Value = [Option<Cow<'de, str>>; N];

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of headers")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut found = [const { None }; N];
        while let Some(Text(name)) = map.next_key()? {
            match self.0.iter().position(|known| *known == name) {
                Some(at) if found[at].is_none() => found[at] = text_of(map.next_value()?),
                _ => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(found)
    }
}

/// A JSON string, copied only if it contains escapes.
#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

/// The text of a header's value; `None` for a type that FreeSWITCH never sends.
fn text_of(value: &RawValue) -> Option<Cow<'_, str>> {
    fn string(value: &RawValue) -> Option<Cow<'_, str>> {
        Some(serde_json::from_str::<Text<'_>>(value.get()).ok()?.0)
    }
    if !value.get().starts_with('[') {
        return string(value);
    }
    let items: Vec<&RawValue> = serde_json::from_str(value.get()).ok()?;
    let mut texts: Vec<_> = items.into_iter().map(|item| string(item).unwrap_or_default()).collect();
    match texts.len() {
        1 => texts.pop(),
        _ => Some(format!("ARRAY::{}", texts.join("|:")).into()),
    }
}

#[cfg(test)]
mod tests;
