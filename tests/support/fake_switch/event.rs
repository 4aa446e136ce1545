//! Events: their headers in FreeSWITCH's order, and the three forms in which they travel (`switch_event.c`).

use std::time::{SystemTime, UNIX_EPOCH};

/// Every name that `event …` takes (`EVENT_NAMES`), but for `ALL`.
pub const NAMES: &[&str] = &[
    "CUSTOM",
    "CLONE",
    "CHANNEL_CREATE",
    "CHANNEL_DESTROY",
    "CHANNEL_STATE",
    "CHANNEL_CALLSTATE",
    "CHANNEL_ANSWER",
    "CHANNEL_HANGUP",
    "CHANNEL_HANGUP_COMPLETE",
    "CHANNEL_EXECUTE",
    "CHANNEL_EXECUTE_COMPLETE",
    "CHANNEL_HOLD",
    "CHANNEL_UNHOLD",
    "CHANNEL_BRIDGE",
    "CHANNEL_UNBRIDGE",
    "CHANNEL_PROGRESS",
    "CHANNEL_PROGRESS_MEDIA",
    "CHANNEL_OUTGOING",
    "CHANNEL_PARK",
    "CHANNEL_UNPARK",
    "CHANNEL_APPLICATION",
    "CHANNEL_ORIGINATE",
    "CHANNEL_UUID",
    "API",
    "LOG",
    "INBOUND_CHAN",
    "OUTBOUND_CHAN",
    "STARTUP",
    "SHUTDOWN",
    "PUBLISH",
    "UNPUBLISH",
    "TALK",
    "NOTALK",
    "SESSION_CRASH",
    "MODULE_LOAD",
    "MODULE_UNLOAD",
    "DTMF",
    "MESSAGE",
    "PRESENCE_IN",
    "NOTIFY_IN",
    "PRESENCE_OUT",
    "PRESENCE_PROBE",
    "MESSAGE_WAITING",
    "MESSAGE_QUERY",
    "ROSTER",
    "CODEC",
    "BACKGROUND_JOB",
    "DETECTED_SPEECH",
    "DETECTED_TONE",
    "PRIVATE_COMMAND",
    "HEARTBEAT",
    "TRAP",
    "ADD_SCHEDULE",
    "DEL_SCHEDULE",
    "EXE_SCHEDULE",
    "RE_SCHEDULE",
    "RELOADXML",
    "NOTIFY",
    "PHONE_FEATURE",
    "PHONE_FEATURE_SUBSCRIBE",
    "SEND_MESSAGE",
    "RECV_MESSAGE",
    "REQUEST_PARAMS",
    "CHANNEL_DATA",
    "GENERAL",
    "COMMAND",
    "SESSION_HEARTBEAT",
    "CLIENT_DISCONNECTED",
    "SERVER_DISCONNECTED",
    "SEND_INFO",
    "RECV_INFO",
    "RECV_RTCP_MESSAGE",
    "SEND_RTCP_MESSAGE",
    "CALL_SECURE",
    "NAT",
    "RECORD_START",
    "RECORD_STOP",
    "PLAYBACK_START",
    "PLAYBACK_STOP",
    "CALL_UPDATE",
    "FAILURE",
    "SOCKET_DATA",
    "MEDIA_BUG_START",
    "MEDIA_BUG_STOP",
    "CONFERENCE_DATA_QUERY",
    "CONFERENCE_DATA",
    "CALL_SETUP_REQ",
    "CALL_SETUP_RESULT",
    "CALL_DETAIL",
    "DEVICE_STATE",
    "TEXT",
    "SHUTDOWN_REQUESTED",
    "CERT_RELOAD",
];

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    pub headers: Vec<(String, String)>,
    pub body: Option<String>,
}

/// Where in FreeSWITCH an event is made: file, function and line travel with it.
#[derive(Debug, Clone, Copy)]
pub struct Origin(pub &'static str, pub &'static str, pub u32);

impl Event {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    pub fn name(&self) -> &str {
        self.header("Event-Name").unwrap_or_default()
    }

    pub fn subclass(&self) -> Option<&str> {
        self.header("Event-Subclass")
    }

    /// `Event-Sequence`
    pub fn sequence(&self) -> u64 {
        self.header("Event-Sequence")
            .and_then(|number| number.parse().ok())
            .unwrap_or_default()
    }

    pub fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    /// `switch_event_serialize_json`: a header that was added twice is there twice. A value that begins with `ARRAY::`
    /// became a list when its header was added (FACTS 50).
    pub fn to_json(&self) -> String {
        let mut pairs = Vec::with_capacity(self.headers.len());
        let mut push =
            |name: &str, value: serde_json::Value| pairs.push(format!("{}:{value}", serde_json::Value::from(name)));
        for (name, value) in &self.headers {
            let list = value.strip_prefix("ARRAY::").filter(|list| !list.is_empty());
            match list {
                Some(list) => push(name, list.split("|:").collect::<Vec<_>>().into()),
                None => push(name, value.as_str().into()),
            }
        }
        if let Some(body) = &self.body {
            push("Content-Length", body.len().to_string().into());
            push("_body", body.as_str().into());
        }
        format!("{{{}}}", pairs.join(","))
    }

    /// `switch_event_serialize`, values percent-encoded
    pub fn to_plain(&self) -> String {
        let mut text = String::new();
        for (name, value) in &self.headers {
            let value = if value.is_empty() {
                "_undef_".to_owned()
            } else {
                url_encode(value)
            };
            text += &format!("{name}: {value}\n");
        }
        match self.body.as_deref() {
            Some(body) if !body.is_empty() => text += &format!("Content-Length: {}\n\n{body}", body.len()),
            _ => text.push('\n'),
        }
        text
    }

    /// `name=value&…` of an HTTP request (`switch_event_build_param_string`), after `prefix`
    pub fn to_params(&self, prefix: &str) -> String {
        let mut text = prefix.to_owned();
        for (name, value) in &self.headers {
            text += &format!("&{name}={}", url_encode(value));
        }
        text
    }
}

/// `switch_url_encode`: what is a `%XX` already stays as it is.
pub fn url_encode(text: &str) -> String {
    const UNSAFE: &[u8] = b"\r\n #%&+:;<=>?@[\\]^`{|}\"";
    const HEX: &[u8] = b"0123456789ABCDEF";
    let bytes = text.as_bytes();
    let mut encoded = String::with_capacity(bytes.len());
    for (at, &c) in bytes.iter().enumerate() {
        let is_encoded = c == b'%'
            && bytes
                .get(at + 1..at + 3)
                .is_some_and(|two| two.iter().all(|digit| HEX.contains(digit)));
        if !is_encoded && (!(b' '..=b'~').contains(&c) || UNSAFE.contains(&c)) {
            encoded += &format!("%{c:02X}");
        } else {
            encoded.push(char::from(c));
        }
    }
    encoded
}

/// Microseconds since 1970
pub fn now_usec() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |elapsed| elapsed.as_micros() as u64)
}

/// `Event-Date-Local` (our FreeSWITCH lives in UTC) and `Event-Date-GMT`
pub fn dates(usec: u64) -> (String, String) {
    const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    const MONTHS: [&str; 12] = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ];
    let seconds = usec / 1_000_000;
    let (day_number, second) = (seconds / 86_400, seconds % 86_400);
    // Days to a date: eras of 400 years that begin in March (Howard Hinnant's civil_from_days).
    let z = day_number + 719_468;
    let (era, day_of_era) = (z / 146_097, z % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 {
        month_from_march + 3
    } else {
        month_from_march - 9
    };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    let time = format!("{:02}:{:02}:{:02}", second / 3600, second % 3600 / 60, second % 60);
    let (week_day, month_name) = (DAYS[(day_number % 7) as usize], MONTHS[month as usize - 1]);
    (
        format!("{year:04}-{month:02}-{day:02} {time}"),
        format!("{week_day}, {day:02} {month_name} {year:04} {time} GMT"),
    )
}
