//! Shows the plan of one switch to a person. Pure: the caller decides whether to use colours.

use std::collections::BTreeMap;

use anstyle::{AnsiColor, Style};
use serde::Serialize;

use super::diff::{Action, Plan};
use super::guard::Hold;
use crate::gateway::RevisionKey;
use crate::gateway::{Direction, Gateway, GatewayName, shown};
use crate::shown::shown as foreign;

/// Shown in a [`FieldChange`] in place of a secret.
pub const MASK: &str = "(secret)";

/// A changed field of a gateway: `param.realm`, `variables.absolute_codec_string`. Secrets are
/// masked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FieldChange {
    pub field: String,
    /// `None`: not set.
    pub from: Option<String>,
    pub to: Option<String>,
}

/// Field → value, with a keyed digest for each secret. Safe to store, so that a later plan can show
/// what differs.
pub fn form(gateway: &Gateway, key: &RevisionKey) -> BTreeMap<String, String> {
    let kept = fields(gateway).into_iter().map(|(field, value)| {
        let value = if is_secret(&field) { key.digest(&value) } else { value };
        (field, value)
    });
    kept.collect()
}

/// Field → value, unmasked. Never show this.
fn fields(gateway: &Gateway) -> BTreeMap<String, String> {
    let mut fields = BTreeMap::new();
    for (name, value) in gateway.params.iter() {
        fields.insert(format!("param.{name}"), value.to_owned());
    }
    for variable in gateway.variables.iter() {
        let field = format!("variables.{}", variable.name);
        let direction = match variable.direction {
            Direction::Both => None,
            Direction::Inbound => Some("inbound"),
            Direction::Outbound => Some("outbound"),
        };
        if let Some(direction) = direction {
            fields.insert(format!("{field} direction"), direction.to_owned());
        }
        fields.insert(field, variable.value.to_owned());
    }
    fields
}

/// The fields that differ, by name. For a secret it says only that it changed, never the old or the
/// new value.
pub fn differing_fields(old: &BTreeMap<String, String>, new: &BTreeMap<String, String>) -> Vec<FieldChange> {
    let mut names: Vec<_> = old.keys().chain(new.keys()).collect();
    names.sort_unstable();
    names.dedup();
    let differing = names.into_iter().filter(|name| old.get(*name) != new.get(*name));
    let change = |name: &String| {
        let told = |value: &String| {
            if is_secret(name) {
                MASK.to_owned()
            } else {
                value.clone()
            }
        };
        FieldChange {
            field: name.clone(),
            from: old.get(name).map(told),
            to: new.get(name).map(told),
        }
    };
    differing.map(change).collect()
}

/// Whether a field's name suggests that its value is secret. Errs on the safe side: a SIP header
/// may carry a key, too.
fn is_secret(field: &str) -> bool {
    const WORDS: [&str; 11] = [
        "pass",
        "pwd",
        "bearer",
        "cookie",
        "secret",
        "token",
        "credential",
        "authorization",
        "api-key",
        "api_key",
        "apikey",
    ];
    let field = field.to_ascii_lowercase();
    WORDS.iter().any(|word| field.contains(word))
}

/// The plan of one switch, one line per change, each with a line end. `changes` are the changed
/// fields of restarts whose old version is known; `held` is why the plan is held, if it is.
pub fn plan_text(
    switch: &str,
    plan: &Plan,
    changes: &BTreeMap<GatewayName, Vec<FieldChange>>,
    held: Option<&Hold>,
    colour: bool,
) -> String {
    let style = |style: Style| if colour { style } else { Style::new() };
    let fg = |colour: AnsiColor| style(colour.on_default());
    let (title, dim, warn) = (
        style(Style::new().bold()),
        style(Style::new().dimmed()),
        fg(AnsiColor::Yellow),
    );

    let rows: Vec<_> = plan
        .actions
        .iter()
        .map(|action| Row::of(action, changes, held))
        .collect();
    let width = |column: fn(&Row) -> &str| {
        rows.iter()
            .map(|row| column(row).chars().count())
            .max()
            .unwrap_or(0)
            .min(MAX_COLUMN)
    };
    let (name_width, profile_width) = (width(|row| &row.name), width(|row| &row.profile));

    let mut out = format!("{title}{switch}: {}{title:#}\n", summary(plan, held));
    for row in &rows {
        let (sign, verb, colour) = row.kind;
        let (paint, name, profile) = (fg(colour), &row.name, &row.profile);
        let mut before =
            format!("  {paint}{sign} {verb:<7}  {name:<name_width$}{paint:#}  {profile:<profile_width$}  ");
        if row.notes.is_empty() {
            line(&mut out, &before, "");
        }
        for note in &row.notes {
            line(&mut out, &before, note);
            before = " ".repeat("  + restart  ".len() + name_width + 2 + profile_width + 2);
        }
    }
    if plan.unchanged > 0 {
        line(&mut out, "  ", &format!("{dim}= unchanged {}{dim:#}", plan.unchanged));
    }
    for conflict in &plan.conflicts {
        line(&mut out, "  ", &format!("{warn}!{warn:#} {conflict}"));
    }
    if let Some(hold) = held {
        line(&mut out, "  ", &format!("{warn}! {hold}{warn:#}"));
    }
    out
}

/// The widest that one long name may make a column, in characters.
const MAX_COLUMN: usize = 40;

fn line(out: &mut String, before: &str, text: &str) {
    out.push_str(format!("{before}{text}").trim_end());
    out.push('\n');
}

/// `1 to start, 2 to restart, 3 to kill (held)`.
fn summary(plan: &Plan, held: Option<&Hold>) -> String {
    let count = |is_it: fn(&Action) -> bool| plan.actions.iter().filter(|action| is_it(action)).count();
    let counts = [
        (count(|action| matches!(action, Action::Start { .. })), "to start"),
        (count(|action| matches!(action, Action::Restart { .. })), "to restart"),
        (count(|action| matches!(action, Action::Kill { .. })), "to kill"),
    ];
    let counts = counts.iter().filter(|(count, _)| *count > 0);
    let mut text = counts
        .map(|(count, what)| format!("{count} {what}"))
        .collect::<Vec<_>>()
        .join(", ");
    if text.is_empty() {
        text.push_str("nothing to do");
    }
    if held.is_some() {
        text.push_str(" (held)");
    }
    text
}

/// How one action is shown.
struct Row {
    /// Sign, verb and colour.
    kind: (char, &'static str, AnsiColor),
    name: String,
    profile: String,
    /// One line each, the first beside the name.
    notes: Vec<String>,
}

impl Row {
    fn of(action: &Action, changes: &BTreeMap<GatewayName, Vec<FieldChange>>, held: Option<&Hold>) -> Self {
        let gateway = action.gateway();
        let row = |kind, profile: String, notes| Self {
            kind,
            name: gateway.to_string(),
            profile,
            notes,
        };
        match action {
            Action::Start { to, .. } => row(
                ('+', "start", AnsiColor::Green),
                to.profile.to_string(),
                vec![format!("(domain {})", shown(&to.domain))],
            ),
            Action::Restart { from, to, .. } => {
                let moved = from.profile != to.profile;
                let profile = if moved {
                    format!("{} → {}", from.profile, to.profile)
                } else {
                    to.profile.to_string()
                };
                let mut notes: Vec<_> = changes.get(gateway).into_iter().flatten().map(change_text).collect();
                match &from.revision {
                    None => notes.insert(0, "taken over".to_owned()),
                    Some(old) if notes.is_empty() && *old != to.revision => {
                        notes.push(format!("revision: {} → {}", short(old), short(&to.revision)));
                    }
                    Some(_) => {}
                }
                row(('~', "restart", AnsiColor::Yellow), profile, notes)
            }
            Action::Kill { from, .. } => {
                let is_held = held.is_some_and(|hold| hold.removals.contains(gateway));
                let notes = is_held.then(|| "(held)".to_owned());
                row(
                    ('-', "kill", AnsiColor::Red),
                    from.profile.to_string(),
                    notes.into_iter().collect(),
                )
            }
        }
    }
}

/// `param.realm: "a.example.net" → "b.example.net"`.
fn change_text(change: &FieldChange) -> String {
    let field = shown(&change.field);
    let told = |value: &Option<String>| match value.as_deref() {
        None => "(not set)".to_owned(),
        Some(MASK) => MASK.to_owned(),
        // Quoted, so that white space is visible.
        Some(value) => foreign(&format!("{value:?}")).to_string(),
    };
    match (told(&change.from), told(&change.to)) {
        (from, to) if from == to && from == MASK => format!("{field}: changed {MASK}"),
        (from, to) => format!("{field}: {from} → {to}"),
    }
}

/// The first digits of a revision: enough for a person to compare.
fn short(revision: &str) -> String {
    foreign(&revision.chars().take(8).collect::<String>()).to_string()
}

#[cfg(test)]
mod tests;
