//! What would happen, or has happened, as a page shows it.

use crate::language::Message;
use crate::operate::gateways::SwitchForecast;
use crate::operate::gateways::bulk::{BulkAnswer, BulkCounts, BulkOutcome};
use crate::operate::gateways::{LeftOut, Restart, RestartOn};
use crate::web::address::gateway_url;
use crate::web::plan::takes;
use crate::web::texts::Texts;

/// Gateways that a page names, and problems that it tells.
const MOST_NAMES: usize = 50;
const MOST_PROBLEMS: usize = 20;

pub(super) struct Outcome {
    /// Gateways that change.
    pub(super) changes: usize,
    /// Numbers with what they count.
    pub(super) counts: Vec<(String, usize)>,
    pub(super) switches: Vec<OnSwitch>,
    pub(super) problems: Vec<ItemProblem>,
    /// `and 7 more`, if there are.
    pub(super) more_problems: Option<String>,
    pub(super) names: Vec<Name>,
    pub(super) more_names: Option<String>,
    /// That they are changed.
    pub(super) done: String,
}

pub(super) struct OnSwitch {
    pub(super) name: String,
    pub(super) starts: usize,
    pub(super) restarts: usize,
    pub(super) stops: usize,
    interruption_seconds: Option<usize>,
    /// Why somebody must approve it.
    pub(super) held: Option<String>,
    pub(super) remarks: Vec<String>,
}

pub(super) struct Name {
    pub(super) domain: String,
    pub(super) name: String,
    pub(super) url: String,
}

/// A gateway that is left alone.
pub(super) struct ItemProblem {
    pub(super) gateway: Name,
    pub(super) reason: String,
    pub(super) fix: String,
}

impl Outcome {
    pub(super) fn of_change(t: Texts, answer: &BulkAnswer) -> Self {
        let mut names = Vec::new();
        let mut problems = Vec::new();
        for item in &answer.items {
            let gateway = Name::new(&item.domain, &item.name);
            match problem(t, &item.outcome) {
                None if names.len() < MOST_NAMES => names.push(gateway),
                Some((reason, fix)) if problems.len() < MOST_PROBLEMS => {
                    problems.push(ItemProblem { gateway, reason, fix })
                }
                _ => {}
            }
        }
        let counts = &answer.counts;
        let all_problems = counts.matched - counts.changed - counts.unchanged;
        Self {
            changes: counts.changed,
            counts: shown_counts(t, counts, answer.dry_run),
            switches: answer.plan.iter().filter_map(|on| OnSwitch::of_change(t, on)).collect(),
            done: t.count("bulk-done", counts.changed).into_owned(),
            more_problems: more(t, all_problems - problems.len()),
            problems,
            more_names: more(t, counts.changed - names.len()),
            names,
        }
    }

    pub(super) fn of_restart(t: Texts, restart: &Restart) -> Self {
        let all = restart.gateways.len();
        let names = restart.gateways.iter().take(MOST_NAMES);
        let names: Vec<_> = names.map(|of| Name::new(of.domain.text(), of.name.as_str())).collect();
        let problems = restart.left_out.iter().take(MOST_PROBLEMS);
        let problems = problems.map(|left_out| ItemProblem::of(t, left_out));
        let problems: Vec<_> = problems.collect();
        let rows = [
            ("bulk-count-restart", all),
            ("bulk-count-left-out", restart.left_out.len()),
        ];
        Self {
            changes: all,
            counts: labelled(t, &rows),
            switches: restart.switches.iter().map(|on| OnSwitch::of_restart(t, on)).collect(),
            done: String::new(),
            more_problems: more(t, restart.left_out.len() - problems.len()),
            problems,
            more_names: more(t, all - names.len()),
            names,
        }
    }

    /// What restarts do to calls. `None` if no switch restarts anything.
    pub(super) fn interruption(&self, t: Texts) -> Option<String> {
        let longest = self.switches.iter().filter_map(|on| on.interruption_seconds).max()?;
        Some(t.count("bulk-interruption", longest).into_owned())
    }
}

impl OnSwitch {
    /// `None`: it has nothing to do.
    fn of_change(t: Texts, on: &SwitchForecast) -> Option<Self> {
        if on.start + on.restart + on.stop == 0 && on.held.is_none() {
            return None;
        }
        let mut remarks = Vec::new();
        if on.paused {
            remarks.push(t.get("bulk-paused").into_owned());
        }
        match on.mode.as_deref() {
            Some("apply") => {}
            Some(mode) => remarks.push(t.with("bulk-mode", mode).into_owned()),
            None => remarks.push(t.get("bulk-nobody").into_owned()),
        }
        remarks.extend(on.lasts.as_ref().map(|lasts| takes(t, lasts)));
        Some(Self {
            name: on.switch.clone(),
            starts: on.start,
            restarts: on.restart,
            stops: on.stop,
            interruption_seconds: on.interruption_seconds,
            held: on.held.as_ref().map(|held| held.in_language(t.0).to_owned()),
            remarks,
        })
    }

    fn of_restart(t: Texts, on: &RestartOn) -> Self {
        let remarks = on.is_away.then(|| t.get("bulk-away").into_owned());
        Self {
            name: on.switch.clone(),
            starts: 0,
            restarts: on.gateways.len(),
            stops: 0,
            interruption_seconds: Some(on.interruption_seconds),
            held: None,
            remarks: remarks.into_iter().collect(),
        }
    }
}

impl Name {
    pub(super) fn new(domain: &str, name: &str) -> Self {
        Self {
            domain: domain.to_owned(),
            name: name.to_owned(),
            url: gateway_url(domain, name),
        }
    }
}

impl ItemProblem {
    fn of(t: Texts, left_out: &LeftOut) -> Self {
        Self {
            gateway: Name::new(&left_out.domain, &left_out.name),
            reason: left_out.reason.in_language(t.0).to_owned(),
            fix: String::new(),
        }
    }
}

fn more(t: Texts, count: usize) -> Option<String> {
    (count > 0).then(|| t.count("bulk-more", count).into_owned())
}

/// Why it is left alone, and the fix.
fn problem(t: Texts, outcome: &BulkOutcome) -> Option<(String, String)> {
    let id = match outcome {
        BulkOutcome::Changed { .. } | BulkOutcome::Unchanged => return None,
        BulkOutcome::Refused { errors } => {
            let first = errors.first()?;
            let text = |message: &Message| message.in_language(t.0).to_owned();
            return Some((text(&first.reason), text(&first.fix)));
        }
        BulkOutcome::ChangedMeanwhile => "bulk-meanwhile",
        BulkOutcome::NoSuchGateway => "bulk-missing",
        BulkOutcome::NotWritten => "bulk-not-written",
        BulkOutcome::Unknown => "bulk-unknown",
    };
    Some((t.get(id).into_owned(), String::new()))
}

fn shown_counts(t: Texts, counts: &BulkCounts, is_preview: bool) -> Vec<(String, usize)> {
    let changed = match is_preview {
        true => "bulk-count-changes",
        false => "bulk-count-changed",
    };
    let rows = [
        (changed, counts.changed),
        ("bulk-count-unchanged", counts.unchanged),
        ("bulk-count-refused", counts.refused),
        ("bulk-count-meanwhile", counts.changed_meanwhile),
        ("bulk-count-missing", counts.missing),
        ("bulk-count-not-written", counts.not_written),
        ("bulk-count-unknown", counts.unknown),
    ];
    labelled(t, &rows)
}

/// The first one always, the others unless they are zero.
fn labelled(t: Texts, rows: &[(&str, usize)]) -> Vec<(String, usize)> {
    let shown = rows
        .iter()
        .enumerate()
        .filter(|(at, (_, count))| *at == 0 || *count > 0);
    shown.map(|(_, (id, count))| (t.get(id).into_owned(), *count)).collect()
}
