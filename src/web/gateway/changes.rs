//! What an edit changes, and what the switches do about it, in words.

use serde_json::Value;

use super::rich::Rich;
use crate::gateway::ValueChange;
use crate::operate::gateways::{Effect, Outcome};
use crate::shown::escaped;
use crate::web::texts::Texts;

/// One field before and after.
pub(super) struct ChangeRow {
    pub(super) field: String,
    pub(super) before: String,
    pub(super) after: String,
    /// It is only said to have changed.
    pub(super) is_secret: bool,
}

/// What a switch does, or did.
pub(in crate::web) struct EffectRow {
    pub(in crate::web) switch: String,
    /// For the mark: `up`, `down`, `trying`, `idle`.
    pub(in crate::web) mark: &'static str,
    pub(in crate::web) text: String,
    /// In trunkd's or the carrier's words.
    pub(in crate::web) reason: Rich,
}

pub(super) fn change_rows(changes: &[ValueChange]) -> Vec<ChangeRow> {
    let row = |change: &ValueChange| ChangeRow {
        field: change.field.clone(),
        before: shown(change.before.as_ref()),
        after: shown(change.after.as_ref()),
        is_secret: change.secret,
    };
    changes.iter().map(row).collect()
}

/// Characters that can't be seen are written out.
fn shown(value: Option<&Value>) -> String {
    match value {
        None => String::new(),
        Some(Value::String(text)) => escaped(text),
        Some(value) => escaped(&value.to_string()),
    }
}

/// Without the switches that have nothing to do with it.
pub(in crate::web) fn effect_rows(t: Texts, effects: &[Effect]) -> Vec<EffectRow> {
    let concerned = effects
        .iter()
        .filter(|effect| effect.outcome != Outcome::NotForThisSwitch);
    concerned.map(|effect| row(t, effect)).collect()
}

fn row(t: Texts, effect: &Effect) -> EffectRow {
    let (mark, text, reason) = match &effect.outcome {
        Outcome::Applied => ("up", t.get("effect-applied"), ""),
        Outcome::Failed { reason } => ("down", t.get("effect-failed"), reason.in_language(t.0)),
        Outcome::RolledBack { reason } => ("down", t.get("effect-rolled-back"), reason.in_language(t.0)),
        Outcome::Held { reason } => ("trying", t.get("effect-held"), reason.in_language(t.0)),
        Outcome::Pending { reason } => ("trying", t.get("effect-pending"), reason.in_language(t.0)),
        Outcome::NotForThisSwitch => ("idle", t.get("effect-not-here"), ""),
        Outcome::WouldStart => ("up", t.get("effect-would-start"), ""),
        Outcome::WouldRestart { interruption_seconds } => {
            ("trying", t.count("effect-would-restart", *interruption_seconds), "")
        }
        Outcome::WouldStop => ("down", t.get("effect-would-stop"), ""),
        Outcome::WouldStay => ("idle", t.get("effect-would-stay"), ""),
    };
    EffectRow {
        switch: effect.switch.clone(),
        mark,
        text: text.into_owned(),
        reason: Rich::new(reason),
    }
}
