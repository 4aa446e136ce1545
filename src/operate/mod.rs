//! What a person or a program can ask of trunkd: gateways, the status, the plan, orders, pauses, checks,
//! a restore, the history, users and tokens. The only door for the command line and the API.
//!
//! Answers with data, never with text that somebody else must parse. No HTTP, no terminal.

pub mod approve;
pub mod backup;
mod by_word;
pub mod calls;
mod carrier_metrics;
pub mod carriers;
pub mod check;
mod error;
pub mod export;
pub mod files;
pub mod foreign;
mod gateway_metrics;
pub mod gateways;
pub mod health;
mod held;
mod hosts;
mod import;
pub mod listing;
pub mod live;
mod noticed;
pub mod order;
mod past;
pub mod pause;
pub mod people;
pub mod placement;
pub mod plan;
mod pool;
mod recorded;
pub mod restore;
mod sealed;
mod service;
pub mod sources;
pub mod status;
pub mod transfer;
pub mod upload;

pub use by_word::ByWord;
pub use error::OperateError;
pub use noticed::Noticed;
pub(crate) use recorded::recorded;
pub use service::Service;

pub use crate::access::Caller;

use jiff::{SignedDuration, Timestamp};

use crate::observed::SwitchState;

/// A serving trunkd reports a connected switch every 5 s. After this long without, no trunkd is
/// connected to it.
const WATCHED_FOR: SignedDuration = SignedDuration::from_secs(15);

/// Whether a trunkd is connected to the switch, so that what Redis says about it is true.
pub fn is_watched(state: &SwitchState, now: Timestamp) -> bool {
    let seen = state.last_seen.parse::<Timestamp>();
    state.connected && seen.is_ok_and(|seen| now.duration_since(seen) <= WATCHED_FOR)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_switch_is_watched_while_its_trunkd_keeps_reporting() {
        let state = |connected, last_seen: &str| SwitchState {
            connected,
            since: String::new(),
            core_uuid: String::new(),
            last_seen: last_seen.to_owned(),
            reason: None,
        };
        let now: Timestamp = "2026-11-26T10:00:15Z".parse().unwrap();
        assert!(is_watched(&state(true, "2026-11-26T10:00:00Z"), now));
        assert!(!is_watched(&state(true, "2026-11-26T09:59:59Z"), now));
        assert!(!is_watched(&state(false, "2026-11-26T10:00:15Z"), now));
        assert!(!is_watched(&state(true, ""), now));
    }
}
