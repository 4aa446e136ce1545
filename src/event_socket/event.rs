//! The events that are subscribed to, typed; the bytes stay as FreeSWITCH sent them.

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;
use jiff::Timestamp;
use serde::Deserialize;

use crate::registration::{PingStatus, State};

/// What a subscribed event is (FACTS 30).
#[derive(Debug, Clone, PartialEq)]
#[allow(clippy::large_enum_variant, reason = "nearly all of them are the large one")]
pub enum Event {
    Gateway(GatewayEvent),
    /// `HEARTBEAT`: the switch is alive. Carries nothing that is kept.
    Heartbeat,
    /// `sofia::profile_start`: a profile came up, and its gateways with it (FACTS 29).
    ProfileStart,
    /// `SHUTDOWN`: FreeSWITCH ends. Its modules are unloaded next, and its gateways deleted with them.
    Shutdown,
    /// Anything else, by its `Event-Name`.
    Other(String),
}

/// The event's kind, as far as gateways go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Subclass {
    Add,
    State,
    Delete,
    /// A registrar's challenge that FreeSWITCH could not use; says nothing of the gateway's state.
    InvalidDigestReq,
}

impl Subclass {
    pub const ALL: [Subclass; 4] = [Self::Add, Self::State, Self::Delete, Self::InvalidDigestReq];

    /// FreeSWITCH's own word for it.
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
    /// The JSON as FreeSWITCH sent it; bytes that are no UTF-8 are replaced by U+FFFD, since JSON cannot carry them.
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
    #[error("an event is not the JSON that FreeSWITCH sends: {0}")]
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
    /// [`EventError`] when it is no JSON object of strings, or a gateway event lacks what orders it.
    pub fn parse(json: Bytes) -> Result<Self, EventError> {
        let replaced;
        let (json, text) = match std::str::from_utf8(&json) {
            Ok(text) => (json.clone(), text),
            Err(_) => {
                replaced = String::from_utf8_lossy(&json);
                (Bytes::copy_from_slice(replaced.as_bytes()), &*replaced)
            }
        };
        let wire: Wire = serde_json::from_str(text)?;
        match &*wire.event_name.0 {
            "HEARTBEAT" => return Ok(Self::Heartbeat),
            "SHUTDOWN" => return Ok(Self::Shutdown),
            "CUSTOM" => {}
            other => return Ok(Self::Other(other.to_owned())),
        }
        let subclass = wire.event_subclass.as_ref().map_or("", |subclass| &*subclass.0);
        if subclass == "sofia::profile_start" {
            return Ok(Self::ProfileStart);
        }
        let Some(subclass) = Subclass::ALL.into_iter().find(|known| known.as_str() == subclass) else {
            return Ok(Self::Other(subclass.to_owned()));
        };
        let missing = |field| EventError::Field {
            subclass: subclass.as_str(),
            field,
        };
        let gateway = wire
            .gateway
            .filter(|name| !name.0.is_empty())
            .ok_or(missing("Gateway"))?;
        let sequence = wire
            .event_sequence
            .and_then(|text| text.0.parse().ok())
            .ok_or(missing("Event-Sequence"))?;
        let at = wire
            .event_date_timestamp
            .and_then(|text| Timestamp::from_microsecond(text.0.parse().ok()?).ok())
            .ok_or(missing("Event-Date-Timestamp"))?;
        Ok(Self::Gateway(GatewayEvent {
            subclass,
            gateway: gateway.0.into(),
            profile: wire.profile_name.map(Text::into),
            state: wire.state.map(|word| State::from(&*word.0)),
            ping: wire.ping_status.map(|word| PingStatus::from(&*word.0)),
            status: wire.status.map(Text::into),
            phrase: wire.phrase.map(Text::into),
            core_uuid: wire.core_uuid.ok_or(missing("Core-UUID"))?.into(),
            switchname: wire.switchname.ok_or(missing("FreeSWITCH-Switchname"))?.into(),
            sequence,
            at,
            json,
        }))
    }
}

/// The fields that decide; the others are only passed on.
#[derive(Deserialize)]
struct Wire<'a> {
    #[serde(rename = "Event-Name", borrow)]
    event_name: Text<'a>,
    #[serde(rename = "Event-Subclass", borrow)]
    event_subclass: Option<Text<'a>>,
    #[serde(rename = "Core-UUID", borrow)]
    core_uuid: Option<Text<'a>>,
    #[serde(rename = "FreeSWITCH-Switchname", borrow)]
    switchname: Option<Text<'a>>,
    #[serde(rename = "Event-Sequence", borrow)]
    event_sequence: Option<Text<'a>>,
    #[serde(rename = "Event-Date-Timestamp", borrow)]
    event_date_timestamp: Option<Text<'a>>,
    #[serde(rename = "Gateway", borrow)]
    gateway: Option<Text<'a>>,
    #[serde(rename = "profile-name", borrow)]
    profile_name: Option<Text<'a>>,
    #[serde(rename = "State", borrow)]
    state: Option<Text<'a>>,
    #[serde(rename = "Ping-Status", borrow)]
    ping_status: Option<Text<'a>>,
    #[serde(rename = "Status", borrow)]
    status: Option<Text<'a>>,
    #[serde(rename = "Phrase", borrow)]
    phrase: Option<Text<'a>>,
}

/// A string of JSON, copied only where something in it is escaped.
#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

impl From<Text<'_>> for String {
    fn from(text: Text<'_>) -> Self {
        text.0.into_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seed(name: &str) -> Bytes {
        let path = format!("{}/tests/recordings/seed/{name}.json", env!("CARGO_MANIFEST_DIR"));
        std::fs::read(path).unwrap().trim_ascii().to_vec().into()
    }

    #[test]
    fn the_recorded_events_are_read_and_their_bytes_kept() {
        let json = seed("event-gateway_state");
        let Event::Gateway(event) = Event::parse(json.clone()).unwrap() else {
            panic!("not a gateway event")
        };
        assert_eq!(event.json, json);
        assert_eq!(
            (event.subclass, &*event.gateway, event.sequence),
            (Subclass::State, "default", 680)
        );
        assert_eq!(event.state, Some(State::Reged));
        assert_eq!(event.ping, Some(PingStatus::Up));
        assert_eq!(event.profile, None);
        assert_eq!(event.at.to_string(), "2022-04-07T15:23:11.284944Z");

        let Event::Gateway(event) = Event::parse(seed("event-gateway_add")).unwrap() else {
            panic!("not a gateway event")
        };
        assert_eq!(
            (event.subclass, event.profile.as_deref(), event.state),
            (Subclass::Add, Some("external"), None)
        );
    }

    #[test]
    fn what_is_no_gateway_event_is_told_apart() {
        for (json, expected) in [
            (r#"{"Event-Name":"HEARTBEAT"}"#, Event::Heartbeat),
            (
                r#"{"Event-Name":"CUSTOM","Event-Subclass":"sofia::profile_start"}"#,
                Event::ProfileStart,
            ),
            (
                r#"{"Event-Name":"CUSTOM","Event-Subclass":"sofia::expire"}"#,
                Event::Other("sofia::expire".into()),
            ),
            (r#"{"Event-Name":"RE_SCHEDULE"}"#, Event::Other("RE_SCHEDULE".into())),
        ] {
            assert_eq!(Event::parse(Bytes::from(json)).unwrap(), expected);
        }
    }

    #[test]
    fn a_gateway_event_without_its_order_is_an_error_that_names_the_field() {
        let json =
            r#"{"Event-Name":"CUSTOM","Event-Subclass":"sofia::gateway_add","Gateway":"g","Event-Sequence":"x"}"#;
        let error = Event::parse(Bytes::from(json)).unwrap_err().to_string();
        assert_eq!(error, "a sofia::gateway_add event has no usable Event-Sequence");
    }

    #[test]
    fn bytes_that_are_no_utf8_do_not_cost_the_event() {
        let mut json = seed("event-gateway_state").to_vec();
        let at = json.windows(4).position(|four| four == b"\"ai\"").unwrap();
        json[at + 1] = 0xff;
        let Event::Gateway(event) = Event::parse(json.into()).unwrap() else {
            panic!("not a gateway event")
        };
        assert!(std::str::from_utf8(&event.json).unwrap().contains('\u{fffd}'));
    }
}
