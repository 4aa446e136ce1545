//! Verdicts in `/health`, in the metrics, and in the log when they change.

use std::collections::BTreeMap;
use std::sync::Arc;

use ::metrics::gauge;

use super::verdict::{Judgement, Life, Verdict, Why};
use crate::control::{Sight, Signal};
use crate::health::{Health, Part, State};
use crate::metrics;

/// The values of the label `life`.
const LIVES: [&str; 4] = ["live", "degraded", "dead", "unknown"];

pub(super) struct Reporter {
    health: Arc<Health>,
    /// What each switch in `/health` was last said to be.
    said: BTreeMap<String, Said>,
}

/// What is worth a line in the log when it changes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Said {
    Live,
    Degraded,
    Dead,
    CutOff,
}

impl Reporter {
    pub(super) fn new(health: Arc<Health>) -> Self {
        Self {
            health,
            said: BTreeMap::new(),
        }
    }

    pub(super) fn report(&mut self, seen: &BTreeMap<String, Sight>, judgement: &Judgement) {
        for (switch, sight) in seen {
            let verdict = judgement.of(switch);
            gauge!(metrics::SWITCH_SIP_UP, "switch" => switch.clone()).set(sip_up(sight.sip));
            for label in LIVES {
                let is_it = f64::from(u8::from(label == life_label(verdict.life)));
                gauge!(metrics::SWITCH_LIFE, "switch" => switch.clone(), "life" => label).set(is_it);
            }
            self.report_health(switch, verdict);
        }
    }

    /// Nobody watches any more.
    pub(super) fn clear(&mut self) {
        for (switch, _) in std::mem::take(&mut self.said) {
            self.health.set(Part::Liveness(switch), State::Ok, None);
        }
    }

    fn report_health(&mut self, switch: &str, verdict: Verdict) {
        let Some((said, reason)) = said(verdict) else { return };
        let before = self.said.get(switch).copied();
        if before.unwrap_or(Said::Live) == said {
            // `since` varies by milliseconds, and stays as it was.
            return;
        }
        match &reason {
            Some(reason) if said == Said::Dead => tracing::error!(switch, "{reason}"),
            Some(reason) => tracing::warn!(switch, "{reason}"),
            None => tracing::info!(switch, "the switch is live again"),
        }
        let state = match reason {
            Some(_) => State::Degraded,
            None => State::Ok,
        };
        self.health.set(Part::Liveness(switch.to_owned()), state, reason);
        self.said.insert(switch.to_owned(), said);
    }
}

/// What to say; `None` if there is no news.
fn said(Verdict { life, why }: Verdict) -> Option<(Said, Option<String>)> {
    Some(match (life, why) {
        (Life::Live, _) => (Said::Live, None),
        (Life::Degraded { since }, _) => (
            Said::Degraded,
            Some(format!("since {since:.0}: {why}; its gateways stay where they are")),
        ),
        (Life::Dead { since }, _) => (
            Said::Dead,
            Some(format!(
                "dead since {since:.0}: {why}; its gateways that run on one switch go to others"
            )),
        ),
        (Life::Unknown, Why::CutOff(_)) => (
            Said::CutOff,
            Some(format!("it does not answer, but {why}: nothing is moved")),
        ),
        (Life::Unknown, _) => return None,
    })
}

fn sip_up(sip: Signal) -> f64 {
    match sip {
        Signal::Alive { .. } => 1.0,
        Signal::Lost { .. } | Signal::Never { .. } => 0.0,
        Signal::Unknown => f64::NAN,
    }
}

fn life_label(life: Life) -> &'static str {
    let [live, degraded, dead, unknown] = LIVES;
    match life {
        Life::Live => live,
        Life::Degraded { .. } => degraded,
        Life::Dead { .. } => dead,
        Life::Unknown => unknown,
    }
}
