//! The texts of a status: counts, and why a gateway needs attention.

use jiff::Timestamp;

use super::super::terminal::age;
use crate::operate::carriers::CarrierStatus;
use crate::operate::status::{Condition, Counts, Gateway};

/// `480 up, 12 down, 3 trying`.
pub(super) fn counts_text(counts: &Counts) -> String {
    let counts = [
        (counts.up, "up"),
        (counts.down, "down"),
        (counts.missing, "missing"),
        (counts.trying, "trying"),
        (counts.unknown, "unknown"),
    ];
    joined(counts)
}

/// The same of a carrier's gateways.
pub(in crate::cli) fn states_text(carrier: &CarrierStatus) -> String {
    let states = ["up", "down", "missing", "trying", "unknown", "idle"];
    joined(states.map(|state| (carrier.state.get(state).copied().unwrap_or(0), state)))
}

fn joined<const WORDS: usize>(counts: [(usize, &str); WORDS]) -> String {
    let counts = counts.iter().filter(|(count, _)| *count > 0);
    let text: Vec<_> = counts.map(|(count, what)| format!("{count} {what}")).collect();
    match text.is_empty() {
        true => "no gateways".to_owned(),
        false => text.join(", "),
    }
}

/// `403 Forbidden, down for 2 h 10 min, next try in 3 min; the edit is not on this switch: paused`.
pub(in crate::cli) fn note(gateway: &Gateway, now: Timestamp) -> String {
    // Old news from a switch that can't be reached.
    let trouble = trouble(gateway, now).filter(|_| gateway.stale != Some(true));
    let note = gateway.note.as_ref().map(|note| note.text.en().to_owned());
    let notes: Vec<_> = trouble.into_iter().chain(note).collect();
    notes.join("; ")
}

fn trouble(gateway: &Gateway, now: Timestamp) -> Option<String> {
    let mut parts = Vec::new();
    let answer = [&gateway.status, &gateway.phrase].map(|part| part.as_deref().unwrap_or_default());
    let answer = answer.join(" ").trim().to_owned();
    if let Some(challenge) = &gateway.challenge {
        let from = challenge
            .from
            .as_ref()
            .map_or_else(String::new, |from| format!(" from {from}"));
        parts.push(format!("a challenge{from} was not answered: set gw-auth-acl"));
    }
    match gateway.condition {
        Condition::Down | Condition::Trying => {
            parts.extend(gateway.reason.clone().or((!answer.is_empty()).then_some(answer)));
            let word = gateway.condition.as_str();
            parts.push(match gateway.usable_since.or(gateway.since) {
                Some(since) => format!("{word} for {}", age(now.duration_since(since))),
                None => word.to_owned(),
            });
            let retry = gateway.retry_at.filter(|retry| *retry > now);
            parts.extend(retry.map(|retry| format!("next try in {}", age(retry.duration_since(now)))));
        }
        Condition::Missing | Condition::Unknown | Condition::Up => {}
    }
    if gateway.ping_stuck {
        parts.push("its ping is stuck, so PING may be wrong".to_owned());
    }
    (!parts.is_empty()).then(|| parts.join(", "))
}
