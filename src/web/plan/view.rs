//! The plan of a switch in words.

use crate::control::Conflict;
use crate::language::Bilingual;
use crate::operate::approve::Applied;
use crate::operate::plan::SwitchPlan;
use crate::operate::recorded;
use crate::reconcile::{Action, FieldChange, MASK};
use crate::shown::escaped;
use crate::web::address::gateway_url;
use crate::web::forecast::takes;
use crate::web::texts::Texts;

/// Changes that are named one by one. A plan of thousands stays readable.
const MAX_NAMED: usize = 200;

pub(super) struct OnSwitch {
    pub(super) name: String,
    /// Why the switch could not be read.
    pub(super) error: Option<String>,
    /// `2 to start, 1 to kill`.
    pub(super) summary: Vec<String>,
    pub(super) changes: Vec<Change>,
    /// How many changes are not named.
    pub(super) more: usize,
    pub(super) unchanged: usize,
    /// Why it is held, or not carried out.
    pub(super) notes: Vec<Note>,
    pub(super) conflicts: Vec<String>,
    pub(super) is_in_the_way: bool,
    /// How many changes of an order are left.
    pub(super) running: Option<usize>,
}

/// Why a plan is held, or not carried out.
pub(super) struct Note {
    pub(super) text: String,
    /// The address of what to do about it.
    pub(super) runbook: Option<&'static str>,
}

/// What is done to one gateway.
pub(super) struct Change {
    /// In classes: `up`, `trying`, `down`.
    pub(super) word: &'static str,
    pub(super) verb: String,
    pub(super) gateway: String,
    pub(super) url: Option<String>,
    pub(super) profile: String,
    pub(super) fields: Vec<Field>,
    pub(super) notes: Vec<String>,
}

pub(super) struct Field {
    pub(super) name: String,
    /// `None`: not set.
    pub(super) from: Option<String>,
    pub(super) to: Option<String>,
    pub(super) is_secret: bool,
}

/// What became of a release on one switch.
pub(super) struct Outcome {
    pub(super) switch: String,
    pub(super) is_done: bool,
    pub(super) text: String,
    pub(super) undone: Vec<(String, String)>,
}

impl OnSwitch {
    pub(super) fn new(t: Texts, plan: &SwitchPlan) -> Self {
        let actions = plan.actions();
        let conflicts = plan.plan.iter().flat_map(|plan| &plan.conflicts);
        let last_order = plan.serve.as_ref().and_then(|report| report.last_order.as_ref());
        Self {
            name: plan.switch.clone(),
            error: plan.error.as_ref().map(|error| error.in_language(t.0).to_owned()),
            summary: summary(t, actions),
            changes: actions
                .iter()
                .take(MAX_NAMED)
                .map(|action| Change::new(t, plan, action))
                .collect(),
            more: actions.len().saturating_sub(MAX_NAMED),
            unchanged: plan.plan.as_ref().map_or(0, |plan| plan.unchanged),
            notes: notes(t, plan),
            is_in_the_way: conflicts
                .clone()
                .any(|conflict| matches!(conflict, Conflict::NotOurs { .. })),
            conflicts: conflicts.take(MAX_NAMED).map(|conflict| conflict.text(t.0)).collect(),
            running: last_order.filter(|order| !order.done).map(|order| order.left),
        }
    }
}

fn summary(t: Texts, actions: &[Action]) -> Vec<String> {
    let count = |is_it: fn(&Action) -> bool| actions.iter().filter(|action| is_it(action)).count();
    let counts = [
        ("plan-starts", count(|action| matches!(action, Action::Start { .. }))),
        (
            "plan-restarts",
            count(|action| matches!(action, Action::Restart { .. })),
        ),
        ("plan-kills", count(|action| matches!(action, Action::Kill { .. }))),
    ];
    let counts = counts.into_iter().filter(|(_, count)| *count > 0);
    counts.map(|(id, count)| t.count(id, count).into_owned()).collect()
}

/// Why the plan is held, or not carried out by itself.
fn notes(t: Texts, plan: &SwitchPlan) -> Vec<Note> {
    let known = plan.held.as_ref().map(crate::reconcile::Hold::summary);
    let elsewhere = plan
        .holds
        .iter()
        .filter(|hold| known.as_deref() != Some(hold.held.en()));
    let elsewhere = elsewhere.map(|hold| {
        let values = [("held", hold.held.in_language(t.0)), ("trunkd", hold.trunkd.as_str())];
        t.fill("plan-held-by", &values)
    });
    let held = plan.held.iter().map(|hold| hold.text(t.0)).chain(elsewhere);
    let mut notes: Vec<_> = held.map(|text| Note::new(text, "/runbooks#trunkdplanheld")).collect();
    notes.extend(plan.lasts.as_ref().map(|lasts| Note::plain(takes(t, lasts))));
    if plan.paused {
        notes.push(Note::new(t.get("plan-paused"), "/runbooks#trunkdpausedforlong"));
    }
    let Some(report) = &plan.serve else { return notes };
    if report.mode != "apply" {
        notes.push(Note::plain(t.with("plan-mode", &report.mode)));
    }
    let troubles = report.troubles.iter().take(MAX_NAMED);
    notes.extend(troubles.map(|(gateway, reason)| {
        let reason = recorded(reason);
        let values = [("gateway", &**gateway), ("reason", reason.in_language(t.0))];
        Note::new(t.fill("plan-trouble", &values), "/runbooks#trunkdchangefails")
    }));
    notes
}

impl Note {
    fn new(text: impl Into<String>, runbook: &'static str) -> Self {
        Self {
            text: text.into(),
            runbook: Some(runbook),
        }
    }

    fn plain(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            runbook: None,
        }
    }
}

impl Change {
    fn new(t: Texts, plan: &SwitchPlan, action: &Action) -> Self {
        let gateway = action.gateway();
        let (word, verb) = match action {
            Action::Start { .. } => ("up", "plan-start"),
            Action::Restart { .. } => ("trying", "plan-restart"),
            Action::Kill { .. } => ("down", "plan-kill"),
        };
        let profile = match (action.from(), action.to()) {
            (Some(from), Some(to)) if from.profile != to.profile => format!("{} → {}", from.profile, to.profile),
            (_, Some(to)) => to.profile.to_string(),
            (Some(from), None) => from.profile.to_string(),
            (None, None) => String::new(),
        };
        let is_held = plan.held.as_ref().is_some_and(|hold| hold.removals.contains(gateway));
        let mut notes = change_notes(t, action, is_held);
        notes.extend(plan.tries_again.get(gateway).map(|why| why.in_language(t.0).to_owned()));
        Self {
            word,
            verb: t.get(verb).into_owned(),
            url: action.to().map(|to| gateway_url(&to.domain, gateway.as_str())),
            gateway: gateway.to_string(),
            profile,
            fields: plan
                .changes
                .get(gateway)
                .into_iter()
                .flatten()
                .map(Field::new)
                .collect(),
            notes,
        }
    }
}

/// What a change means to calls.
fn change_notes(t: Texts, action: &Action, is_held: bool) -> Vec<String> {
    let (of_calls, more) = match action {
        Action::Start { .. } => (None, None),
        Action::Restart { from, .. } => (
            action
                .interruption_seconds()
                .map(|seconds| t.count("plan-interrupted", seconds)),
            (!from.is_ours()).then(|| t.get("plan-taken-over")),
        ),
        Action::Kill { .. } => (Some(t.get("plan-calls-stay")), is_held.then(|| t.get("plan-is-held"))),
    };
    let notes = more.into_iter().chain(of_calls);
    notes.map(|note| note.into_owned()).collect()
}

impl Field {
    fn new(change: &FieldChange) -> Self {
        let is_secret = [&change.from, &change.to]
            .into_iter()
            .flatten()
            .any(|value| value == MASK);
        Self {
            name: change.field.clone(),
            from: change.from.as_deref().map(escaped),
            to: change.to.as_deref().map(escaped),
            is_secret,
        }
    }
}

impl Outcome {
    pub(super) fn new(t: Texts, applied: &Applied) -> Self {
        let id = match applied {
            Applied { done: true, .. } => "outcome-done",
            Applied { in_progress: true, .. } => "outcome-goes-on",
            Applied { abandoned: true, .. } => "outcome-abandoned",
            Applied { undone, .. } if !undone.is_empty() => "outcome-undone",
            Applied { .. } => "outcome-still-held",
        };
        let undone = applied.undone.iter().take(MAX_NAMED);
        Self {
            switch: match applied.switch.as_str() {
                "*" => t.get("plan-others").into_owned(),
                name => name.to_owned(),
            },
            is_done: applied.done,
            text: match &applied.still_held {
                Some(held) if !applied.done => {
                    let values = [("outcome", &*t.get(id)), ("held", held.in_language(t.0))];
                    t.fill("outcome-with-hold", &values)
                }
                _ => t.get(id).into_owned(),
            },
            undone: undone
                .map(|(gateway, reason)| (gateway.clone(), reason.in_language(t.0).to_owned()))
                .collect(),
        }
    }
}
