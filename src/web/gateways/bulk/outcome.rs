//! What would happen, or has happened, as a page shows it.

use crate::language::Message;
use crate::operate::gateways::bulk::{BulkAnswer, BulkCounts, BulkOutcome};
use crate::operate::gateways::{LeftOut, Restart, RestartOn};
use crate::web::forecast::{Name, OnSwitch, counted, more};
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
            switches: OnSwitch::all(t, &answer.plan),
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
            counts: counted(t, &rows),
            switches: restart.switches.iter().map(|on| of_restart(t, on)).collect(),
            done: String::new(),
            more_problems: more(t, restart.left_out.len() - problems.len()),
            problems,
            more_names: more(t, all - names.len()),
            names,
        }
    }
}

fn of_restart(t: Texts, on: &RestartOn) -> OnSwitch {
    let remarks = on.is_away.then(|| t.get("bulk-away").into_owned());
    OnSwitch {
        name: on.switch.clone(),
        starts: 0,
        restarts: on.gateways.len(),
        stops: 0,
        interruption_seconds: Some(on.interruption_seconds),
        held: None,
        remarks: remarks.into_iter().collect(),
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
    counted(t, &rows)
}
