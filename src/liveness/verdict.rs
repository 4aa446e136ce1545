//! From what all trunkd see of the switches: which of them are dead.
//!
//! - One trunkd that reaches a switch, in either way, is enough to keep it alive.
//! - A trunkd that reaches no switch at all is cut off itself. It has no vote.
//! - A switch is dead if all others have lost it in both ways, for long enough. One that never
//!   reached it may have started after the death: it agrees, but doesn't know since when.
//! - If more than half of the switches are lost within a minute, it is probably the network around
//!   us, or we are: nothing is dead.
//! - A judge must have watched for as long, without a gap: Redis may have lost what others wrote.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

use crate::control::{SIGHT_LASTS, Sight, Sights, Signal, TrunkdSights};
use crate::settings::PlacementSettings;

/// How long the event socket alone must be lost, if that counts at all.
const EVENT_SOCKET_ALONE: Duration = Duration::from_secs(60);
/// Switches that are lost within this time may be lost for the same reason.
const TOGETHER: Duration = Duration::from_secs(60);

/// What the settings say about a death.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rules {
    pub failover_after: Duration,
    pub failover_on_event_socket: bool,
}

/// What a switch is. Times are by Redis's clock, and vary by some milliseconds from one judgement
/// to the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Life {
    /// Its event socket is connected.
    Live,
    /// Its event socket is lost, and it may well be alive. It stays what it is.
    Degraded { since: Timestamp },
    /// Others may take over what it had.
    Dead { since: Timestamp },
    /// Nobody can say, or not yet.
    #[default]
    Unknown,
}

/// Why a switch is what it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Why {
    Connected,
    /// SIP answers, the event socket is lost.
    OnlySip,
    /// The event socket is lost, and some trunkd doesn't know where SIP would answer.
    SipUnknown,
    /// Neither answers.
    Silent,
    CutOff(CutOff),
    /// No trunkd that reaches any switch has told about it within [`SIGHT_LASTS`].
    #[default]
    NotSeen,
}

/// Why it looks as if we were the ones who are cut off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CutOff {
    /// No trunkd reaches any switch.
    Everything,
    /// More than half of the switches were lost within a minute.
    Many { lost: usize, of: usize },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Verdict {
    pub life: Life,
    pub why: Why,
}

/// What all switches are.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Judgement {
    /// By switch.
    pub switches: BTreeMap<String, Verdict>,
    /// While this is set, nothing is dead.
    pub cut_off: Option<CutOff>,
    /// Another trunkd that could place gateways is connected to more switches than this one.
    pub sees_fewer: bool,
}

/// Judges again and again, and remembers when a switch was last reached by anybody.
#[derive(Debug)]
pub struct Judge {
    rules: Rules,
    /// Since when, and until when, sights were read without a gap.
    watching: Option<(Instant, Instant)>,
    /// By switch.
    reached: BTreeMap<String, Reached>,
}

/// The last sign of life that any trunkd has told of, by our clock.
#[derive(Debug, Clone, Copy, Default)]
struct Reached {
    by_event_socket: Option<Instant>,
    at_all: Option<Instant>,
}

/// What those who have a vote say together about a switch.
#[derive(Debug, Clone, Copy)]
struct Opinion {
    why: Why,
    /// How long it has been so; 0 for [`Why::Connected`].
    lasts: Duration,
}

impl From<&PlacementSettings> for Rules {
    fn from(settings: &PlacementSettings) -> Self {
        Self {
            failover_after: settings.failover_after,
            failover_on_event_socket: settings.failover_on_event_socket,
        }
    }
}

impl Rules {
    /// How long a switch must be so until it is dead; `None` if it never is.
    fn death_after(&self, why: Why) -> Option<Duration> {
        match why {
            Why::Silent => Some(self.failover_after),
            Why::OnlySip | Why::SipUnknown if self.failover_on_event_socket => {
                Some(EVENT_SOCKET_ALONE.max(self.failover_after))
            }
            _ => None,
        }
    }
}

impl Judgement {
    /// Of a switch that nobody watches it is unknown.
    pub fn of(&self, switch: &str) -> Verdict {
        self.switches.get(switch).copied().unwrap_or_default()
    }

    pub fn is_dead(&self, switch: &str) -> bool {
        matches!(self.of(switch).life, Life::Dead { .. })
    }
}

impl Judge {
    pub fn new(rules: Rules) -> Self {
        Self {
            rules,
            watching: None,
            reached: BTreeMap::new(),
        }
    }

    /// What the switches are, by sights that were read at `now`.
    pub fn judge(&mut self, sights: &Sights, now: Instant) -> Judgement {
        let fresh: Vec<_> = sights.fresh().collect();
        self.remember(&fresh, now);
        let voters: Vec<_> = fresh.iter().filter(|(sights, _)| reaches_any(sights)).collect();
        let names: BTreeSet<&str> = sights.by_trunkd.values().flat_map(names).collect();
        let opinions: BTreeMap<&str, Option<Opinion>> = names
            .into_iter()
            .map(|name| {
                let votes: Vec<_> = voters
                    .iter()
                    .filter_map(|(sights, age)| Some((*sights.switches.get(name)?, *age)))
                    .collect();
                (name, opinion(&votes))
            })
            .collect();
        let is_nobody_left = voters.is_empty() && fresh.iter().any(|(sights, _)| !sights.switches.is_empty());
        let cut_off = match is_nobody_left {
            true => Some(CutOff::Everything),
            false => self.lost_together(opinions.values().flatten()),
        };
        let verdict = |name, opinion: Option<Opinion>| match opinion {
            Some(opinion) => {
                let watched = self.watched(name, opinion.why, now);
                self.verdict(opinion, watched, cut_off, sights.now_ms)
            }
            None => Verdict {
                life: Life::Unknown,
                why: cut_off.map_or(Why::NotSeen, |cut_off| {
                    self.cut_off_or_early(cut_off, self.watched(name, Why::Silent, now))
                }),
            },
        };
        let switches = opinions.into_iter();
        Judgement {
            switches: switches
                .map(|(name, opinion)| (name.to_owned(), verdict(name, opinion)))
                .collect(),
            cut_off,
            sees_fewer: false,
        }
    }

    fn remember(&mut self, fresh: &[(&TrunkdSights, Duration)], now: Instant) {
        let since = match self.watching {
            Some((since, until)) if now.saturating_duration_since(until) <= SIGHT_LASTS => since,
            _ => {
                self.reached.clear();
                now
            }
        };
        self.watching = Some((since, now));
        for (sights, age) in fresh {
            for (name, sight) in &sights.switches {
                let told = |signal: Signal| now.checked_sub(signal.last_sign()?.saturating_add(*age));
                let (by_event_socket, by_sip) = (told(sight.event_socket), told(sight.sip));
                let reached = self.reached.entry(name.clone()).or_default();
                reached.by_event_socket = reached.by_event_socket.max(by_event_socket);
                reached.at_all = reached.at_all.max(by_event_socket).max(by_sip);
            }
        }
    }

    /// How long we have watched it being so, whatever clocks say.
    fn watched(&self, name: &str, why: Why, now: Instant) -> Duration {
        let reached = self.reached.get(name).copied().unwrap_or_default();
        let reached = match why {
            Why::Silent => reached.at_all,
            _ => reached.by_event_socket,
        };
        // A sign of life may be older than our watch.
        let since = reached.max(self.watching.map(|(since, _)| since)).unwrap_or(now);
        now.saturating_duration_since(since)
    }

    fn lost_together<'a>(&self, opinions: impl Iterator<Item = &'a Opinion> + Clone) -> Option<CutOff> {
        let of = opinions.clone().count();
        let lost: Vec<_> = opinions
            .filter(|opinion| self.rules.death_after(opinion.why).is_some())
            .map(|opinion| opinion.lasts)
            .collect();
        let lost_within = |start: &Duration| {
            let within = |lasts: &&Duration| **lasts >= *start && **lasts - *start <= TOGETHER;
            lost.iter().filter(within).count()
        };
        let lost = lost.iter().map(lost_within).max()?;
        (lost * 2 > of).then_some(CutOff::Many { lost, of })
    }

    /// What is lost for a moment only, as at every start, is not worth a word yet.
    fn cut_off_or_early(&self, cut_off: CutOff, lasts: Duration) -> Why {
        match lasts >= self.rules.failover_after {
            true => Why::CutOff(cut_off),
            false => Why::Silent,
        }
    }

    fn verdict(&self, opinion: Opinion, watched: Duration, cut_off: Option<CutOff>, now_ms: u64) -> Verdict {
        let Opinion { why, lasts } = opinion;
        let since = before(now_ms, lasts);
        let is_dead = self
            .rules
            .death_after(why)
            .is_some_and(|limit| lasts.min(watched) >= limit);
        match (why, cut_off) {
            (Why::Connected, _) => Verdict { life: Life::Live, why },
            (Why::Silent, Some(cut_off)) => Verdict {
                life: Life::Unknown,
                why: self.cut_off_or_early(cut_off, lasts.min(watched)),
            },
            (_, None) if is_dead => Verdict {
                life: Life::Dead { since },
                why,
            },
            (Why::OnlySip | Why::SipUnknown, _) => Verdict {
                life: Life::Degraded { since },
                why,
            },
            _ => Verdict {
                life: Life::Unknown,
                why,
            },
        }
    }
}

fn reaches_any(sights: &TrunkdSights) -> bool {
    sights.switches.values().any(|sight| sight.is_alive())
}

fn names(sights: &TrunkdSights) -> impl Iterator<Item = &str> {
    sights.switches.keys().map(String::as_str)
}

/// `None` without votes. Each vote has its age.
fn opinion(votes: &[(Sight, Duration)]) -> Option<Opinion> {
    let has = |is: fn(&Sight) -> bool| votes.iter().any(|(sight, _)| is(sight));
    let why = if votes.is_empty() {
        return None;
    } else if has(|sight| sight.event_socket.is_alive()) {
        Why::Connected
    } else if has(|sight| sight.sip.is_alive()) {
        Why::OnlySip
    } else if has(|sight| sight.sip == Signal::Unknown || sight.event_socket == Signal::Unknown) {
        Why::SipUnknown
    } else {
        Why::Silent
    };
    let silences = votes.iter().filter_map(|(sight, age)| {
        let (silence, was_reached) = match why {
            Why::Silent => silence_of_both(*sight)?,
            _ => (sight.event_socket.silence()?, is_lost(sight.event_socket)),
        };
        Some((silence.saturating_add(*age), was_reached))
    });
    let silences: Vec<(Duration, bool)> = silences.collect();
    let reached_before = silences.iter().filter(|(_, was_reached)| *was_reached);
    // Those that never reached it only know that it is silent, not since when.
    let lasts = reached_before.map(|(silence, _)| *silence).min();
    let lasts = lasts.or_else(|| silences.iter().map(|(silence, _)| *silence).max());
    Some(Opinion {
        why,
        lasts: lasts.filter(|_| why != Why::Connected).unwrap_or_default(),
    })
}

/// For how long neither has answered, and whether one of them ever did.
fn silence_of_both(sight: Sight) -> Option<(Duration, bool)> {
    let silence = sight.event_socket.silence()?.min(sight.sip.silence()?);
    Some((silence, is_lost(sight.event_socket) || is_lost(sight.sip)))
}

fn is_lost(signal: Signal) -> bool {
    matches!(signal, Signal::Lost { .. })
}

fn before(now_ms: u64, lasts: Duration) -> Timestamp {
    let lasts_ms = u64::try_from(lasts.as_millis()).unwrap_or(u64::MAX);
    let ms = i64::try_from(now_ms.saturating_sub(lasts_ms)).unwrap_or(i64::MAX);
    Timestamp::from_millisecond(ms).unwrap_or(Timestamp::MAX)
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Self::Connected => f.write_str("its event socket is connected"),
            Self::OnlySip => f.write_str("SIP answers, but its event socket is lost"),
            Self::SipUnknown => f.write_str("its event socket is lost, and nobody knows where its SIP would answer"),
            Self::Silent => f.write_str("neither its event socket nor SIP answers"),
            Self::CutOff(cut_off) => cut_off.fmt(f),
            Self::NotSeen => f.write_str("no trunkd has reported on it for 3 s"),
        }
    }
}

impl fmt::Display for CutOff {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Self::Everything => f.write_str("no trunkd reaches any switch, so it is probably trunkd that is cut off"),
            Self::Many { lost, of } => write!(
                f,
                "{lost} of {of} switches were lost within a minute, so the network probably failed, not the switches"
            ),
        }
    }
}

#[cfg(test)]
mod tests;
