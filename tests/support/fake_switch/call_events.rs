//! The events of calls, made of recorded ones: what doesn't concern the gateway, the time or the outcome (SDP, codecs,
//! tags) stays as it was recorded.

use super::bus::Bus;
use super::calls::Channel;
use super::event::{self, Event, Origin};
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use std::sync::OnceLock;

const ANSWERED_CALL: &str =
    include_str!("../../recordings/event_socket/a-call-over-a-gateway-that-is-killed-meanwhile.txt");
const REFUSED_CALL: &str = include_str!("../../recordings/event_socket/a-call-that-fails.txt");
/// When the recorded calls began (and were answered) and ended, in microseconds since 1970
const MOMENTS: [&str; 3] = ["1795633488573717", "1795633492113697", "1795633493593690"];
/// `2026-11-25 19:04:48` and `1795633488`
const LENGTH_OF_DATE: usize = 19;
const LENGTH_OF_SECONDS: usize = 10;
/// Every event begins with these, which are made anew
const HEADERS_OF_EVERY_EVENT: usize = 13;

/// What happens to a call
pub(super) enum Moment {
    Create,
    Answer,
    /// When, and how
    HangUp(i64, Ending),
}

pub(super) enum Ending {
    /// FreeSWITCH ends it, with this cause
    Local(&'static str),
    /// The carrier answers the INVITE with this status
    Refused(u16),
}

/// Headers in their order; one may come twice
pub struct Headers(pub Vec<(String, String)>);

/// One of each kind
struct Recorded {
    create: [Headers; 2],
    answer: [Headers; 2],
    hang_up: [Headers; 2],
    refused: Headers,
}

impl Channel {
    pub(super) fn event(&self, moment: Moment, bus: &mut Bus) -> Event {
        let recorded = Recorded::get();
        let direction = usize::from(self.inbound);
        let (template, ended) = match &moment {
            Moment::Create => (&recorded.create[direction], None),
            Moment::Answer => (&recorded.answer[direction], None),
            Moment::HangUp(ended, _) if self.answered.is_none() && !self.inbound => (&recorded.refused, Some(*ended)),
            Moment::HangUp(ended, _) => (&recorded.hang_up[direction], Some(*ended)),
        };
        let word = |name| template.get(name).unwrap_or_default();
        let line = word("Event-Calling-Line-Number").parse().unwrap_or_default();
        let origin = Origin(word("Event-Calling-File"), word("Event-Calling-Function"), line);
        let mut event = bus.create(word("Event-Name"), None, origin);
        for (name, value) in &template.0[HEADERS_OF_EVERY_EVENT..] {
            if self.is_left_out(name, &moment) {
                continue;
            }
            let made = self.identity(name, value, template);
            let made = made
                .or_else(|| self.moment(name, value, ended))
                .or_else(|| match &moment {
                    Moment::HangUp(ended, ending) => self.length(name, *ended).or_else(|| self.outcome(name, ending)),
                    _ => None,
                });
            event = event.with(name, made.unwrap_or_else(|| value.clone()));
        }
        if let Some(gateway) = self.gateway.as_ref().filter(|_| self.inbound) {
            event = event.with("variable_sip_gateway", &**gateway);
        }
        for (name, value) in &self.variables {
            event = event.with(&format!("variable_{name}"), &**value);
        }
        event
    }

    /// What an inbound call that wasn't answered lacks, and an outbound one that wasn't refused
    fn is_left_out(&self, name: &str, moment: &Moment) -> bool {
        const OF_ANSWERED: [&str; 5] = [
            "Channel-Read-",
            "Channel-Write-",
            "variable_answer_stamp",
            "variable_progress_media_stamp",
            "variable_rtp_audio_",
        ];
        const OF_REFUSED: [&str; 4] = [
            "variable_sip_invite_failure_",
            "variable_sip_term_status",
            "variable_sip_term_cause",
            "variable_proto_specific_hangup_cause",
        ];
        let Moment::HangUp(_, ending) = moment else {
            return false;
        };
        let is_one_of = |prefixes: &[&str]| prefixes.iter().any(|prefix| name.starts_with(prefix));
        (self.answered.is_none() && is_one_of(&OF_ANSWERED))
            || (matches!(ending, Ending::Local(_)) && is_one_of(&OF_REFUSED))
    }

    /// Who calls over what
    fn identity(&self, name: &str, value: &str, template: &Headers) -> Option<String> {
        let recorded_gateway = ["gw_loop", "gw_full"].into_iter().find(|known| value.contains(known));
        match name {
            _ if Some(value) == template.get("Unique-ID") => Some(self.uuid.clone()),
            "variable_session_id" => Some(self.session_id.to_string()),
            "variable_sofia_profile_name" | "variable_recovery_profile_name" => Some(self.profile.clone()),
            "Channel-Name" | "Caller-Channel-Name" | "variable_channel_name" => {
                Some(value.replace("external", &self.profile))
            }
            _ => Some(value.replace(recorded_gateway?, self.gateway.as_ref()?)),
        }
    }

    /// A moment, where the recorded value is one
    fn moment(&self, name: &str, value: &str, ended: Option<i64>) -> Option<String> {
        if !MOMENTS.iter().any(|usec| is_same_moment(value, usec)) {
            return None;
        }
        let name = name.to_ascii_lowercase();
        let seconds = if name.contains("_end_") || name.contains("hangup") {
            ended?
        } else if name.contains("answer") || name.contains("progress") {
            self.answered.unwrap_or(0)
        } else {
            self.created
        };
        let usec = seconds.unsigned_abs() * 1_000_000;
        Some(match value.len() {
            LENGTH_OF_DATE => event::dates(usec).0,
            LENGTH_OF_SECONDS => seconds.to_string(),
            _ => usec.to_string(),
        })
    }

    /// How long it took and lasted, in seconds, milliseconds and microseconds
    fn length(&self, name: &str, ended: i64) -> Option<String> {
        let answered = self.answered.unwrap_or(ended);
        let until_answered = self.answered.map_or(0, |answered| answered - self.created);
        let name = name.strip_prefix("variable_")?;
        let (of, factor) = match name {
            "duration" => ("duration", 1),
            "mduration" => ("duration", 1_000),
            "uduration" => ("duration", 1_000_000),
            name => [("msec", 1_000), ("usec", 1_000_000), ("sec", 1)]
                .into_iter()
                .find_map(|(unit, factor)| Some((name.strip_suffix(unit)?, factor)))?,
        };
        let seconds = match of {
            "duration" => ended - self.created,
            "bill" | "flow_bill" => ended - answered,
            "answer" => until_answered,
            "progress_media" if self.inbound => until_answered,
            _ => return None,
        };
        Some((seconds * factor).to_string())
    }

    fn outcome(&self, name: &str, ending: &Ending) -> Option<String> {
        let (cause, q850) = match ending {
            Ending::Local(cause) => (*cause, q850(cause)),
            Ending::Refused(status) => (cause_of(*status), q850(cause_of(*status))),
        };
        match (name, ending) {
            ("Hangup-Cause" | "variable_hangup_cause", _) => Some(cause.to_owned()),
            ("variable_hangup_cause_q850" | "variable_sip_term_cause", _) => Some(q850.to_string()),
            ("variable_sip_term_status" | "variable_sip_invite_failure_status", Ending::Refused(status)) => {
                Some(status.to_string())
            }
            ("variable_sip_invite_failure_phrase", Ending::Refused(status)) => Some(phrase_of(*status).to_owned()),
            ("variable_proto_specific_hangup_cause", Ending::Refused(status)) => Some(format!("sip:{status}")),
            ("variable_sip_hangup_disposition", Ending::Local(_)) if self.answered.is_none() => {
                Some(if self.inbound { "send_refuse" } else { "send_cancel" }.to_owned())
            }
            _ => None,
        }
    }
}

/// In microseconds, in seconds or as a date
fn is_same_moment(value: &str, usec: &str) -> bool {
    value == usec
        || value == &usec[..LENGTH_OF_SECONDS]
        || (value.len() == LENGTH_OF_DATE && usec.parse().is_ok_and(|usec| value == event::dates(usec).0))
}

/// `sofia_glue_sip_cause_to_freeswitch`
fn cause_of(status: u16) -> &'static str {
    match status {
        403 | 407 | 603 => "CALL_REJECTED",
        404 => "UNALLOCATED_NUMBER",
        408 | 504 => "RECOVERY_ON_TIMER_EXPIRE",
        480 => "NO_USER_RESPONSE",
        484 => "INVALID_NUMBER_FORMAT",
        486 | 600 => "USER_BUSY",
        487 => "ORIGINATOR_CANCEL",
        488 | 606 => "INCOMPATIBLE_DESTINATION",
        500 | 503 => "NORMAL_TEMPORARY_FAILURE",
        502 => "NETWORK_OUT_OF_ORDER",
        _ => "NORMAL_UNSPECIFIED",
    }
}

/// `switch_channel_cause_q850`: a cause of FreeSWITCH's own counts as a normal clearing.
fn q850(cause: &str) -> u16 {
    match cause {
        "UNALLOCATED_NUMBER" => 1,
        "USER_BUSY" => 17,
        "NO_USER_RESPONSE" => 18,
        "NO_ANSWER" => 19,
        "CALL_REJECTED" => 21,
        "INVALID_NUMBER_FORMAT" => 28,
        "NORMAL_UNSPECIFIED" => 31,
        "NETWORK_OUT_OF_ORDER" => 38,
        "NORMAL_TEMPORARY_FAILURE" => 41,
        "INCOMPATIBLE_DESTINATION" => 88,
        "RECOVERY_ON_TIMER_EXPIRE" => 102,
        _ => 16,
    }
}

fn phrase_of(status: u16) -> &'static str {
    match status {
        403 => "Forbidden",
        404 => "Not Found",
        408 => "Request Timeout",
        480 => "Temporarily Unavailable",
        486 => "Busy Here",
        503 => "Service Unavailable",
        603 => "Decline",
        _ => "Failure",
    }
}

impl Recorded {
    fn get() -> &'static Recorded {
        static RECORDED: OnceLock<Recorded> = OnceLock::new();
        RECORDED.get_or_init(|| {
            let [
                create_out,
                create_in,
                answer_in,
                answer_out,
                _,
                _,
                hang_up_in,
                hang_up_out,
            ] = bodies(ANSWERED_CALL);
            let [_, refused] = bodies(REFUSED_CALL);
            Recorded {
                create: [create_out, create_in],
                answer: [answer_out, answer_in],
                hang_up: [hang_up_out, hang_up_in],
                refused,
            }
        })
    }
}

/// The events of a recording
fn bodies<const N: usize>(recording: &str) -> [Headers; N] {
    let bodies = recording.split("Content-Type: text/event-json\n\n").skip(1);
    let bodies = bodies.map(|body| {
        let json = body.split("Content-Length: ").next().unwrap_or_default();
        serde_json::from_str(json).expect("a recorded event in JSON")
    });
    let bodies: Vec<Headers> = bodies.collect();
    bodies.try_into().ok().expect("as many events as were recorded")
}

impl Headers {
    pub fn get(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }
}

impl<'de> Deserialize<'de> for Headers {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(InOrder)
    }
}

struct InOrder;

impl<'de> Visitor<'de> for InOrder {
    type Value = Headers;

    fn expecting(&self, out: &mut std::fmt::Formatter) -> std::fmt::Result {
        out.write_str("an object of strings")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Headers, A::Error> {
        let mut headers = Vec::new();
        while let Some(pair) = map.next_entry()? {
            headers.push(pair);
        }
        Ok(Headers(headers))
    }
}
