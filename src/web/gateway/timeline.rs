//! What happened to a gateway, newest first.

use jiff::Timestamp;

use super::changes::{ChangeRow, change_rows};
use crate::history::{ActionKind, ActionOutcome, EditKind, Entry, Event};
use crate::operate::recorded;
use crate::web::sentence::what;
use crate::web::texts::Texts;
use crate::web::words;

/// One entry of the history.
pub(super) struct Happened {
    /// Its id, to undo it. `None` if it can't be undone, or not by this person.
    pub(super) undo: Option<String>,
    pub(super) ago: String,
    pub(super) exact: String,
    pub(super) who: String,
    pub(super) switch: String,
    pub(super) text: String,
    /// In the words of a carrier, FreeSWITCH or trunkd.
    pub(super) reason: String,
    pub(super) explanation: String,
    pub(super) changes: Vec<ChangeRow>,
}

pub(super) fn rows(t: Texts, entries: Vec<Entry>, may_edit: bool, now: Timestamp) -> Vec<Happened> {
    entries.into_iter().map(|entry| row(t, entry, may_edit, now)).collect()
}

fn row(t: Texts, entry: Entry, may_edit: bool, now: Timestamp) -> Happened {
    let (text, reason) = text(t, &entry.event);
    let (changes, can_undo) = match &entry.event {
        // A rename is undone by renaming it back.
        Event::Edit { edit, changes, .. } => (change_rows(changes), *edit != EditKind::Rename),
        _ => (Vec::new(), false),
    };
    Happened {
        ago: words::ago(t, entry.at, now),
        exact: words::exact(entry.at),
        explanation: match &entry.event {
            Event::Outage { reason, .. } | Event::RolledBack { reason, .. } => {
                words::explanation(t, reason).unwrap_or_default()
            }
            _ => String::new(),
        },
        undo: (can_undo && may_edit).then_some(entry.id),
        who: entry.who,
        switch: entry.switch.unwrap_or_default(),
        text,
        reason: recorded(&reason).in_language(t.0).to_owned(),
        changes,
    }
}

/// What happened, and why.
fn text(t: Texts, event: &Event) -> (String, String) {
    let own = |id: &str| (t.get(id).into_owned(), String::new());
    match event {
        Event::Edit { edit, other_name, .. } => edited(t, *edit, other_name.as_deref()),
        Event::Outage { reason, .. } => (t.get("past-outage").into_owned(), reason.clone()),
        Event::Recovered { reason, seconds, .. } => {
            let seconds = usize::try_from(*seconds).unwrap_or(usize::MAX);
            (t.count("past-recovered", seconds).into_owned(), reason.clone())
        }
        Event::Action {
            action,
            outcome,
            reason,
            ..
        } => action_text(t, *action, *outcome, reason.as_deref()),
        Event::RolledBack { reason, gave_up, .. } => {
            let id = if *gave_up { "past-give-up" } else { "past-roll-back" };
            (t.get(id).into_owned(), reason.clone())
        }
        Event::Reveal { .. } => own("past-reveal"),
        Event::Hold { reason, reason_zh } => {
            let reason = words::hold(t, reason, reason_zh.as_deref());
            (t.get("past-hold").into_owned(), reason.to_owned())
        }
        Event::Release => own("past-release"),
        other => (what(t, other), String::new()),
    }
}

fn edited(t: Texts, edit: EditKind, other: Option<&str>) -> (String, String) {
    let id = match edit {
        EditKind::Create => "past-create",
        EditKind::Change => "past-change",
        EditKind::Delete => "past-delete",
        EditKind::Copy => "past-copy",
        EditKind::Rename => "past-rename",
        EditKind::Revert => "past-revert",
    };
    (t.get(id).into_owned(), other.unwrap_or_default().to_owned())
}

fn action_text(t: Texts, action: ActionKind, outcome: ActionOutcome, reason: Option<&str>) -> (String, String) {
    let id = match action {
        ActionKind::Start => "past-start",
        ActionKind::Restart => "past-restart",
        ActionKind::Kill => "past-kill",
        ActionKind::Register => "past-register",
        ActionKind::Unregister => "past-unregister",
        ActionKind::Park => "past-park",
        ActionKind::Unpark => "past-unpark",
    };
    let text = t.get(id);
    let text = match outcome {
        ActionOutcome::Done => text.into_owned(),
        ActionOutcome::Failed => t.with("past-failed", &text).into_owned(),
    };
    (text, reason.unwrap_or_default().to_owned())
}
