//! Whether a gateway can carry calls, since when, and why not. Pure.

use crate::observed::Row;
use crate::observed::reason::{CHALLENGE_NOT_ANSWERED, NO_ANSWER, PING_LOST, PING_STUCK, UNREGISTERED};
use crate::registration::{PingStatus, Pinged, State, is_final_refusal, is_usable};

/// What a row was made from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RowSource {
    /// An event that carried a SIP answer.
    EventWithAnswer,
    /// An event without one.
    Event,
    Snapshot,
}

/// Fills in the fields about usability; the others are set. `before` is the previous row.
pub(super) fn judge(row: &mut Row, before: Option<&Row>, source: RowSource) {
    let was = before.and_then(|before| before.usable);
    row.usable = usable(row, was, source);
    let goes_on = before.filter(|before| before.usable == row.usable);
    (row.usable_since, row.is_first_sight) = match (goes_on, before) {
        (Some(before), _) if before.usable_since.is_some() => (before.usable_since, before.is_first_sight),
        (_, before) => (Some(row.seen), before.is_none()),
    };
    row.reason = match row.usable {
        Some(true) => None,
        Some(false) => why_not(row, before, source),
        None => row.ping_stuck.then(|| PING_STUCK.to_owned()),
    };
}

fn usable(row: &Row, was: Option<bool>, source: RowSource) -> Option<bool> {
    let pinged = match (row.ping_every, source) {
        // Only a ping makes a gateway that does not register fire one (FACTS 31).
        (_, RowSource::EventWithAnswer | RowSource::Event) => Pinged::Yes,
        (Some(0), _) => Pinged::No,
        (Some(_), _) => Pinged::Yes,
        (None, _) => Pinged::Unknown,
    };
    let usable = is_usable(row.state.as_ref()?, row.ping.as_ref(), pinged, was);
    // A stuck ping says nothing, and nothing else is known about a trunk that does not register.
    usable.filter(|usable| !(*usable && row.ping_stuck && row.state == Some(State::Noreg)))
}

fn why_not(row: &Row, before: Option<&Row>, source: RowSource) -> Option<String> {
    let reason = match row.state.as_ref()? {
        State::Noreg => PING_LOST,
        State::Down | State::Unregister => UNREGISTERED,
        State::Timeout if row.challenge.is_some() => CHALLENGE_NOT_ANSWERED,
        State::Timeout => NO_ANSWER,
        _ if source == RowSource::EventWithAnswer && is_lost_ping(row, before) => PING_LOST,
        _ => {
            let answered = refusal(row).filter(|_| source == RowSource::EventWithAnswer);
            // Between two attempts no event carries the result of the last one.
            let was_down = before.filter(|before| before.usable == Some(false));
            let known = || was_down.and_then(|before| before.reason.clone());
            return answered.or_else(known).or_else(|| refusal(row));
        }
    };
    Some(reason.to_owned())
}

/// A registered gateway whose ping is lost is FAILED with what the ping was answered by (FACTS 47).
fn is_lost_ping(row: &Row, before: Option<&Row>) -> bool {
    let was_registered = before.is_some_and(|before| before.state == Some(State::Reged));
    let is_of_ping = matches!(row.status.as_deref(), Some("408" | "503"));
    was_registered && is_of_ping && row.state == Some(State::Failed) && row.ping == Some(PingStatus::Down)
}

/// Whether the carrier refused the last registration, and won't answer anything else to the same one.
pub(super) fn is_refused_for_good(row: &Row) -> bool {
    let has_failed = matches!(row.state, Some(State::Failed | State::FailWait)) && row.usable == Some(false);
    has_failed && row.status.as_deref().is_some_and(is_final_refusal)
}

/// `403 Forbidden`; `None` when the answer was no refusal.
fn refusal(row: &Row) -> Option<String> {
    let status = row.status.as_deref().filter(|status| !status.starts_with(['1', '2']))?;
    let phrase = row.phrase.as_deref().unwrap_or_default();
    Some(format!("{status} {phrase}").trim_end().to_owned())
}
