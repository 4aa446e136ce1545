//! When a gateway that its carrier refuses is parked, and when it may try again. FreeSWITCH itself tries
//! for ever (FACTS 39), and carriers ban addresses for that. Values in, values out.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::registration::{Refused, State};

/// The longest wait between two tries, in first waits: a day, if the first is an hour.
const LONGEST_WAIT: u32 = 24;
/// A gateway that was REGED so recently with this configuration gets twice as many refusals.
const RECENTLY: SignedDuration = SignedDuration::from_hours(1);
/// Gateways of a carrier that begin to fail within this time fail together.
const TOGETHER: SignedDuration = SignedDuration::from_mins(5);
/// A gateway that has tried for so long fails, whatever is known of its tries.
const LONG: SignedDuration = SignedDuration::from_mins(1);
/// Fewer say nothing about their carrier.
pub const FEWEST_TOGETHER: usize = 3;

/// A gateway that is parked on a switch: its value in `trunkd:parked:<switch>`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parked {
    /// The version that was refused. An edit unparks it.
    pub revision: String,
    /// The carrier's last answer: `403`. `None` if a person parked it.
    #[serde(default)]
    pub code: Option<String>,
    #[serde(default)]
    pub phrase: Option<String>,
    pub since: Timestamp,
    /// `None`: not by itself.
    #[serde(default)]
    pub next_try: Option<Timestamp>,
    /// How often it was tried since.
    #[serde(default)]
    pub tries: u32,
    /// `trunkd`, or the person as in the history.
    pub by: String,
    pub phase: Phase,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// It is to be unregistered, and perhaps is not yet.
    Stopping,
    /// It is down or absent.
    Waiting,
    /// It registers, or is about to.
    Trying,
}

/// How the registration of a gateway stands that is not REGED.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registration {
    /// `None` between its start and the first report.
    pub state: Option<State>,
    /// Since when calls can't use it. `None` if they can, or that is not known.
    pub down_since: Option<Timestamp>,
    /// An event said why the last try was in vain. A snapshot alone does not.
    pub has_failed: bool,
    pub refused: Option<Refused>,
}

/// A gateway on the switch.
#[derive(Debug, Clone, Copy)]
pub enum Sight<'a> {
    Absent,
    Registered,
    Unregistered(&'a Registration),
}

#[derive(Debug, Clone, Copy)]
pub struct Rules {
    /// Refusals in a row; 0 parks nothing.
    pub after: u32,
    pub first_wait: Duration,
}

/// What to do next about a parked gateway.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    Unregister,
    /// It is down or absent now.
    Confirm,
    /// It may try again, at the pace of its carrier.
    Try,
    /// The try was not sent.
    Register,
    /// The carrier refused it again.
    ParkAgain,
    Unpark(Unparked),
}

/// Why a gateway is no longer parked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Unparked {
    Registered,
    /// Redis wants another version, or none.
    Edited,
    /// Somebody registered or restarted it on the switch.
    ByHand,
    /// Parking was turned off.
    Off,
}

/// A carrier with which most gateways of a switch fail at the same time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CarrierOut {
    pub failing: usize,
    /// How many register with it.
    pub of: usize,
    /// When the first of them began to fail.
    pub since: Timestamp,
}

impl Unparked {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Registered => "registered",
            Self::Edited => "edited",
            Self::ByHand => "by hand",
            Self::Off => "parking is off",
        }
    }
}

impl Registration {
    /// Since when it fails, although FreeSWITCH wants to register it. One that has only just begun does not.
    pub fn failing_since(&self, now: Timestamp) -> Option<Timestamp> {
        let is_told = matches!(self.state, Some(State::Down | State::Unregister));
        let since = self.down_since.filter(|_| !is_told)?;
        let has_failed = self.waits() || self.has_failed;
        (has_failed || now.duration_since(since) >= LONG).then_some(since)
    }

    /// Whether the last answer is there and the next REGISTER is not sent yet.
    fn waits(&self) -> bool {
        matches!(self.state, Some(State::Failed | State::FailWait))
    }

    fn is_down(&self) -> bool {
        matches!(self.state, Some(State::Down | State::Unregister))
    }

    fn refusals(&self) -> u32 {
        self.refused.as_ref().map_or(0, |refused| refused.in_a_row)
    }

    /// Whether it was refused so often that it is parked, if its carrier is not out. Never while an answer may be on
    /// its way: it may be the good one.
    pub fn is_to_park(&self, rules: Rules, now: Timestamp) -> bool {
        let up_until = self.refused.as_ref().and_then(|refused| refused.up_until);
        let was_up = up_until.is_some_and(|until| now.duration_since(until) < RECENTLY);
        let after = rules.after.saturating_mul(if was_up { 2 } else { 1 });
        after > 0 && self.waits() && self.refusals() >= after
    }
}

impl Rules {
    /// How long it waits after this many tries in vain.
    pub fn wait(&self, tries: u32) -> Duration {
        let times = 2u32.checked_pow(tries).unwrap_or(LONGEST_WAIT).min(LONGEST_WAIT);
        self.first_wait.saturating_mul(times)
    }

    fn next_try(&self, tries: u32, now: Timestamp) -> Option<Timestamp> {
        now.checked_add(self.wait(tries)).ok()
    }
}

impl Parked {
    /// The carrier refused this version too often.
    pub fn refused(revision: &str, registration: &Registration, rules: Rules, now: Timestamp) -> Self {
        Self {
            next_try: rules.next_try(0, now),
            ..Self::by(revision, "trunkd", now)
        }
        .answered(registration)
    }

    /// A person parks it, until somebody unparks it.
    pub fn by(revision: &str, who: &str, now: Timestamp) -> Self {
        Self {
            revision: revision.to_owned(),
            code: None,
            phrase: None,
            since: now,
            next_try: None,
            tries: 0,
            by: who.to_owned(),
            phase: Phase::Stopping,
        }
    }

    /// The try was in vain.
    #[must_use]
    pub fn again(&self, registration: &Registration, rules: Rules, now: Timestamp) -> Self {
        let tries = self.tries.saturating_add(1);
        Self {
            tries,
            next_try: rules.next_try(tries, now),
            phase: Phase::Stopping,
            ..self.clone()
        }
        .answered(registration)
    }

    #[must_use]
    pub fn in_phase(&self, phase: Phase) -> Self {
        Self { phase, ..self.clone() }
    }

    fn answered(self, registration: &Registration) -> Self {
        let refused = registration.refused.clone();
        let (code, phrase) = refused
            .map(|refused| (refused.code, refused.phrase))
            .unwrap_or_default();
        Self { code, phrase, ..self }
    }

    fn is_by_person(&self) -> bool {
        self.next_try.is_none()
    }

    /// `403 Forbidden`; `None` if a person parked it.
    pub fn answer(&self) -> Option<String> {
        let code = self.code.as_ref()?;
        let phrase = self.phrase.as_deref().unwrap_or_default();
        Some(format!("{code} {phrase}").trim_end().to_owned())
    }

    /// Whether it is not to run, or not to register, now.
    pub fn is_stopped(&self) -> bool {
        self.phase != Phase::Trying
    }

    /// What to do next. `is_same` says that Redis still wants the version that is parked.
    pub fn next(&self, is_same: bool, sight: Sight<'_>, rules: Rules, now: Timestamp) -> Option<Step> {
        if !is_same {
            return Some(Step::Unpark(Unparked::Edited));
        }
        let is_off = rules.after == 0 && !self.is_by_person();
        match (self.phase, sight) {
            (Phase::Stopping, Sight::Absent) => Some(Step::Confirm),
            (Phase::Stopping, Sight::Registered) if self.is_by_person() => Some(Step::Unregister),
            // The good answer came at the last moment.
            (Phase::Stopping, Sight::Registered) => Some(Step::Unpark(Unparked::Registered)),
            (Phase::Stopping, Sight::Unregistered(it)) => match &it.state {
                Some(State::Down) if self.was_accepted_since(it, rules) => Some(Step::Try),
                Some(State::Down) => Some(Step::Confirm),
                Some(State::Unregister) => None,
                _ => (it.waits() || self.is_by_person()).then_some(Step::Unregister),
            },
            (Phase::Waiting, Sight::Absent) => self.is_due(is_off, now).then_some(Step::Try),
            (Phase::Waiting, Sight::Unregistered(it)) if it.is_down() => self.is_due(is_off, now).then_some(Step::Try),
            (Phase::Waiting, Sight::Unregistered(_) | Sight::Registered) => Some(Step::Unpark(Unparked::ByHand)),
            (Phase::Trying, Sight::Absent) => None,
            (Phase::Trying, Sight::Registered) => Some(Step::Unpark(Unparked::Registered)),
            (Phase::Trying, Sight::Unregistered(it)) if it.is_down() => Some(Step::Register),
            (Phase::Trying, Sight::Unregistered(it)) if it.waits() && it.refusals() > 0 => Some(match is_off {
                true => Step::Unpark(Unparked::Off),
                false => Step::ParkAgain,
            }),
            (Phase::Trying, Sight::Unregistered(_)) => None,
        }
    }

    /// Whether it registered after it was decided to park it: the good answer came before it was unregistered.
    fn was_accepted_since(&self, it: &Registration, rules: Rules) -> bool {
        let decided = self
            .next_try
            .and_then(|next_try| next_try.checked_sub(rules.wait(self.tries)).ok());
        let up_until = it.refused.as_ref().and_then(|refused| refused.up_until);
        decided
            .zip(up_until)
            .is_some_and(|(decided, up_until)| up_until > decided)
    }

    fn is_due(&self, is_off: bool, now: Timestamp) -> bool {
        is_off || self.next_try.is_some_and(|at| at <= now)
    }
}

/// The carriers that are out: more than half of their gateways, and at least three, began to fail together. `failing`
/// are those that fail, each with its carrier and since when; `registering` says how many register with a carrier.
pub fn carriers_out(
    failing: impl IntoIterator<Item = (String, Timestamp)>,
    registering: impl Fn(&str) -> usize,
) -> BTreeMap<String, CarrierOut> {
    let mut begins: BTreeMap<String, Vec<Timestamp>> = BTreeMap::new();
    for (carrier, since) in failing {
        begins.entry(carrier).or_default().push(since);
    }
    let out = begins.into_iter().filter_map(|(carrier, mut begins)| {
        begins.sort_unstable();
        let together = |(at, since): (usize, &Timestamp)| {
            let rest = &begins[at..];
            (
                rest.partition_point(|begin| begin.duration_since(*since) <= TOGETHER),
                *since,
            )
        };
        let (failing, since) = begins
            .iter()
            .enumerate()
            .map(together)
            .max_by_key(|(count, _)| *count)?;
        let of = registering(&carrier);
        (failing >= FEWEST_TOGETHER && failing * 2 > of).then_some((carrier, CarrierOut { failing, of, since }))
    });
    out.collect()
}

#[cfg(test)]
mod tests;
