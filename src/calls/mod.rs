//! Calls over gateways, counted from their ends: answered and failed ones, ASR and ACD over 5 minutes,
//! an hour and a day. On only if `[calls] enabled = true`: a busy switch ends thousands of calls a
//! second.
//!
//! Each switch is heard on a connection of its own (`listener`), so calls are never in the way of the
//! events of gateways. Every trunkd hears every call, and answers from its own memory: nothing is
//! counted twice. What decides takes values, and the time as one: `window`, `switch`, `stats`.
//!
//! How many calls are up is not known here. FreeSWITCH has no such number for a gateway, and to count
//! it one would have to hear of each call's beginning, too: twice the events.

mod cause;
mod listener;
mod saved;
mod stats;
mod switch;
mod window;

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;

pub use cause::Cause;
pub use listener::{Listener, OurGateways, Timing};
pub use stats::Stats;
use switch::SwitchCalls;
pub use switch::{Failure, Since};
pub use window::{Figures, Span, Tally};

/// What was counted on each switch. Shared by the listeners that write and everybody who reads.
#[derive(Debug, Default)]
pub struct CallLog {
    switches: BTreeMap<String, Mutex<SwitchCalls>>,
}

impl CallLog {
    pub fn new(switches: impl IntoIterator<Item = String>) -> Self {
        let switches = switches.into_iter().map(|name| (name, Mutex::default()));
        Self {
            switches: switches.collect(),
        }
    }

    /// The calls of gateways, each over the switches that it is on, or was within the last day.
    pub fn stats<'a, On: Fn(&str) -> bool>(
        &self,
        gateways: impl IntoIterator<Item = (&'a str, On)>,
        now: Timestamp,
    ) -> Stats {
        let mut stats = Stats::default();
        let now = seconds(now);
        for (gateway, is_on) in gateways {
            for name in self.switches.keys() {
                // One at a time, so that a listener never waits for a carrier with many gateways.
                let Some(switch) = self.lock(name) else { continue };
                let calls = switch.get(gateway);
                if calls.is_some() || is_on(name) {
                    stats.add(name, switch.since, calls, now);
                }
            }
        }
        stats
    }

    /// The calls of a gateway on one switch, as [`Span::ALL`]. `None` if there were none within the
    /// last day.
    pub fn on_switch(&self, switch: &str, gateway: &str, now: Timestamp) -> Option<[Figures; Span::ALL.len()]> {
        Some(self.lock(switch)?.get(gateway)?.figures(seconds(now)))
    }

    fn lock(&self, switch: &str) -> Option<MutexGuard<'_, SwitchCalls>> {
        let switch = self.switches.get(switch)?;
        // After a panic a sum may be wrong for a day at most.
        Some(switch.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Since 1970.
fn seconds(now: Timestamp) -> u64 {
    u64::try_from(now.as_second()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event_socket::{Direction, Hangup};

    pub(super) fn hangup(gateway: &str, at: Timestamp, answered_seconds: Option<u32>) -> Hangup {
        Hangup {
            gateway: gateway.to_owned(),
            direction: Direction::In,
            at,
            answered_seconds,
            cause: "NO_ANSWER".to_owned(),
            sip_status: None,
        }
    }

    #[test]
    fn a_carrier_has_the_sum_of_its_gateways_over_their_switches() {
        let at = |second: i64| Timestamp::from_second(1_795_633_000 + second).unwrap();
        let log = CallLog::new(["fs1", "fs2", "fs3"].map(str::to_owned));
        for (switch, connected) in [("fs1", 0), ("fs2", 20)] {
            let mut calls = log.lock(switch).unwrap();
            calls.since.connected(at(connected));
            for (gateway, second, answered) in [("a", 30, Some(60)), ("b", 31, None), ("other", 32, None)] {
                assert!(calls.add(&hangup(gateway, at(second + connected), answered), seconds(at(100))));
            }
        }
        let stats = |gateways: &[&'static str], on: &'static [&'static str]| {
            let named = gateways
                .iter()
                .map(|gateway| (*gateway, |switch: &str| on.contains(&switch)));
            log.stats(named, at(100))
        };
        let both = stats(&["a", "b"], &["fs1", "fs2"]);
        let hour = both.of(Span::Hour);
        assert_eq!((hour.answered(), hour.failed(), hour.acd()), (2, 2, Some(60.0)));
        let (switch, failure) = both.last_failure.clone().unwrap();
        assert_eq!((&*switch, failure.at), ("fs2", at(51)));
        let since = both.since.unwrap();
        assert_eq!((since.counted, since.complete), (Some(at(20)), Some(at(20))));

        // Nobody listens to fs3 yet.
        let with_third = stats(&["a"], &["fs3"]);
        assert_eq!(with_third.since.unwrap().complete, None);
        assert_eq!(with_third.of(Span::Day).answered(), 2, "it was on the others");
        assert_eq!(stats(&[], &["fs1"]), Stats::default());
        let none = stats(&["c"], &["fs1"]);
        assert_eq!(none.of(Span::Day).attempted(), 0);
        assert_eq!(log.on_switch("fs1", "c", at(100)), None);
        assert_eq!(log.on_switch("fs2", "a", at(100)).unwrap()[0].answered(), 1);
    }
}
