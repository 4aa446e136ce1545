//! How the plan of one switch is shown to a person. Pure: whether there is a terminal that knows colours is told, not asked.

use std::collections::BTreeMap;

use anstyle::{AnsiColor, Style};
use serde::Serialize;

use super::diff::{Action, Plan};
use super::guard::Hold;
use crate::gateway::RevisionKey;
use crate::gateway::{Direction, Gateway, GatewayName, shown};
use crate::shown::shown as foreign;

/// What stands in a [`FieldChange`] for a secret.
pub const MASK: &str = "(secret)";

/// One field of a gateway that is to change: `param.realm`, `variables.absolute_codec_string`. Secrets are masked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FieldChange {
    pub field: String,
    /// `None`: not set.
    pub from: Option<String>,
    pub to: Option<String>,
}

/// Field → value, a secret's as a digest under the key: fit to be kept, so that a later plan can say what differs.
pub fn form(gateway: &Gateway, key: &RevisionKey) -> BTreeMap<String, String> {
    let kept = fields(gateway).into_iter().map(|(field, value)| {
        let value = if is_secret(&field) { key.digest(&value) } else { value };
        (field, value)
    });
    kept.collect()
}

/// Field → value, unmasked: not to be shown.
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

/// The fields that differ, by name. Of a secret it is told that it changed, never what it was or is.
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

/// Whether a field's name says that its value is nobody's business. Rather one too many: a SIP header may carry a key, too.
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

/// The plan of one switch, a line a change, with a line end. `changes` are the fields of those restarts of which the old version is known; `held`
/// is why it waits, if it does.
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

/// A column is not made wider than this for one long name, in characters.
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

/// What is told of one action.
struct Row {
    /// Sign, verb and colour.
    kind: (char, &'static str, AnsiColor),
    name: String,
    profile: String,
    /// A line each, the first beside the name.
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
        // Quoted, so that white space shows.
        Some(value) => foreign(&format!("{value:?}")).to_string(),
    };
    match (told(&change.from), told(&change.to)) {
        (from, to) if from == to && from == MASK => format!("{field}: changed {MASK}"),
        (from, to) => format!("{field}: {from} → {to}"),
    }
}

/// As many digits of a revision as a person compares.
fn short(revision: &str) -> String {
    foreign(&revision.chars().take(8).collect::<String>()).to_string()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::sync::Arc;

    use insta::assert_snapshot;
    use proptest::prelude::*;

    use super::*;
    use crate::gateway::ProfileName;
    use crate::reconcile::plan::Weight;
    use crate::reconcile::{Actual, Differences, Have, HoldReason, Limits, Verdict, Want, judge};

    fn gateway(name: &str) -> GatewayName {
        GatewayName::parse(name).unwrap()
    }

    fn profile(name: &str) -> ProfileName {
        ProfileName::parse(name).unwrap()
    }

    fn map<const N: usize>(fields: [(&str, &str); N]) -> BTreeMap<String, String> {
        fields.map(|(field, value)| (field.to_owned(), value.to_owned())).into()
    }

    fn want(in_profile: &str, revision: &str) -> Want {
        Want {
            profile: profile(in_profile),
            revision: revision.repeat(32),
            former: Box::default(),
            registers: true,
            domain: Arc::from("acme"),
        }
    }

    fn have(in_profile: &str, revision: Option<&str>) -> Have {
        Have {
            profile: profile(in_profile),
            revision: revision.map(|digit| digit.repeat(32)),
            registers: true,
        }
    }

    /// One of everything: the plan, and the fields that are known to differ.
    fn example() -> (Plan, BTreeMap<GatewayName, Vec<FieldChange>>, Actual) {
        let desired = [
            ("adopted", want("external", "a")),
            ("changed-behind-our-back", want("external", "a")),
            ("edited", want("external", "b")),
            ("late", want("later", "a")),
            ("moved", want("internal", "a")),
            ("new", want("external", "a")),
            ("same", want("external", "a")),
            ("theirs", want("external", "a")),
        ];
        let haves = [
            ("adopted", have("external", None)),
            ("changed-behind-our-back", have("external", Some("7"))),
            ("edited", have("external", Some("a"))),
            ("moved", have("external", Some("a"))),
            ("old1", have("external", Some("a"))),
            ("old2", have("internal", Some("a"))),
            ("same", have("external", Some("a"))),
            ("theirs", have("external", None)),
        ];
        let actual = Actual {
            gateways: haves.map(|(name, have)| (gateway(name), have)).into(),
            profiles: ["external", "internal"].map(profile).into(),
            ghosts: [(gateway("edited"), profile("internal"))].into(),
        };
        let desired = desired.map(|(name, want)| (gateway(name), want)).into();
        let plan = Differences::between(&desired, &actual).plan(&desired, &actual, &[gateway("adopted")].into());
        let changes = differing_fields(
            &map([
                ("param.password", "hunter2"),
                ("param.realm", "a.example.net"),
                ("param.ping", "25"),
            ]),
            &map([
                ("param.password", "hunter3"),
                ("param.realm", "b.example.net"),
                ("variables.sip_h_X-Token", "t0ken"),
                ("variables.greeting", "two\u{202e} words"),
            ]),
        );
        (plan, [(gateway("edited"), changes)].into(), actual)
    }

    #[test]
    fn a_plan_is_shown_a_line_a_change() {
        let (plan, changes, _) = example();
        assert_snapshot!(plan_text("fs1", &plan, &changes, None, false), @r#"
        fs1: 1 to start, 4 to restart, 2 to kill
          ~ restart  adopted                  external             taken over
          ~ restart  changed-behind-our-back  external             revision: 77777777 → aaaaaaaa
          ~ restart  edited                   external             param.password: changed (secret)
                                                                   param.ping: "25" → (not set)
                                                                   param.realm: "a.example.net" → "b.example.net"
                                                                   variables.greeting: (not set) → "two\u{202e} words"
                                                                   variables.sip_h_X-Token: (not set) → (secret)
          ~ restart  moved                    external → internal
          + start    new                      external             (domain acme)
          - kill     old1                     external
          - kill     old2                     internal
          = unchanged 1
          ! profile later does not run on this switch, and has to for late; `sofia profile later start` starts it
          ! gateway theirs of domain acme is left alone: profile external has one of this name without a revision, so it is not ours; `trunkd apply --adopt` takes it over
          ! gateway edited has a ghost in profile internal, whose answers are booked on the live one; `sofia profile internal restart` removes it, and hangs up the calls of that profile
        "#);
    }

    #[test]
    fn a_held_plan_says_so_in_its_title_at_each_removal_and_at_the_end() {
        let (plan, changes, actual) = example();
        let Verdict::Hold(hold) = judge(
            &actual.ours(),
            &plan.removals(),
            false,
            &Limits { max_removals: Some(1) },
            &BTreeSet::new(),
            &BTreeSet::new(),
        ) else {
            panic!("not held");
        };
        assert_snapshot!(plan_text("fs1", &plan, &changes, Some(&hold), false), @r#"
        fs1: 1 to start, 4 to restart, 2 to kill (held)
          ~ restart  adopted                  external             taken over
          ~ restart  changed-behind-our-back  external             revision: 77777777 → aaaaaaaa
          ~ restart  edited                   external             param.password: changed (secret)
                                                                   param.ping: "25" → (not set)
                                                                   param.realm: "a.example.net" → "b.example.net"
                                                                   variables.greeting: (not set) → "two\u{202e} words"
                                                                   variables.sip_h_X-Token: (not set) → (secret)
          ~ restart  moved                    external → internal
          + start    new                      external             (domain acme)
          - kill     old1                     external             (held)
          - kill     old2                     internal             (held)
          = unchanged 1
          ! profile later does not run on this switch, and has to for late; `sofia profile later start` starts it
          ! gateway theirs of domain acme is left alone: profile external has one of this name without a revision, so it is not ours; `trunkd apply --adopt` takes it over
          ! gateway edited has a ghost in profile internal, whose answers are booked on the live one; `sofia profile internal restart` removes it, and hangs up the calls of that profile
          ! held: removes 2 of 6 (more than 1); `trunkd apply` releases it, or undo the edit
        "#);
    }

    #[test]
    fn a_plan_with_nothing_in_it_says_that() {
        let plan = Plan {
            unchanged: 12,
            ..Plan::default()
        };
        assert_snapshot!(plan_text("fs1", &plan, &BTreeMap::new(), None, false), @r#"
        fs1: nothing to do
          = unchanged 12
        "#);
    }

    #[test]
    fn colour_is_only_added() {
        let (plan, changes, actual) = example();
        let hold = Hold {
            removals: plan.removals(),
            weight: Weight {
                ours: actual.ours().len(),
                earlier: 0,
            },
            reason: HoldReason::All,
        };
        let plain = plan_text("fs1", &plan, &changes, Some(&hold), false);
        let coloured = plan_text("fs1", &plan, &changes, Some(&hold), true);
        assert!(!plain.contains('\u{1b}'));
        assert!(coloured.contains("\u{1b}[32m+ start "), "{coloured}");
        let mut stripped = String::new();
        for (at, piece) in coloured.split("\u{1b}[").enumerate() {
            stripped.push_str(if at == 0 {
                piece
            } else {
                piece.split_once('m').unwrap().1
            });
        }
        assert_eq!(stripped, plain);
    }

    #[test]
    fn one_very_long_name_does_not_push_the_others_away() {
        let long = "x".repeat(200);
        let start = |name: &str| Action::Start {
            gateway: gateway(name),
            to: want("external", "a"),
        };
        let plan = Plan {
            actions: vec![start("short"), start(&long)],
            ..Plan::default()
        };
        let text = plan_text("fs1", &plan, &BTreeMap::new(), None, false);
        let width = |line: usize| text.lines().nth(line).unwrap().len();
        assert!(width(1) < 100 && width(2) > 200, "{text}");
    }

    #[test]
    fn what_differs_between_two_versions_of_a_gateway_is_named_as_in_its_json() {
        let version = |password, direction| Gateway {
            domain: Arc::from("acme"),
            name: gateway("gw"),
            profile: profile("external"),
            enabled: true,
            nodes: None,
            params: [("password", password), ("realm", "a")].into_iter().collect(),
            variables: [("codecs", "PCMA", direction)].into_iter().collect(),
        };
        let (old, new) = (
            version("hunter2", Direction::Both),
            version("hunter3", Direction::Inbound),
        );
        let told: Vec<_> = differing_fields(&fields(&old), &fields(&new))
            .iter()
            .map(change_text)
            .collect();
        assert_eq!(
            told,
            [
                "param.password: changed (secret)",
                "variables.codecs direction: (not set) → \"inbound\""
            ]
        );
        assert_eq!(differing_fields(&fields(&old), &fields(&old)), []);
    }

    #[test]
    fn a_secret_is_known_by_its_field_in_any_case() {
        for field in [
            "param.password",
            "variables.sip_auth_password",
            "variables.API_TOKEN",
            "variables.client_Secret",
            "variables.sip_h_Authorization",
            "variables.sip_h_X-Api-Key",
        ] {
            assert!(is_secret(field), "{field}");
        }
        for field in [
            "param.realm",
            "param.username",
            "variables.absolute_codec_string",
            "variables.sip_sticky_contact",
        ] {
            assert!(!is_secret(field), "{field}");
        }
    }

    proptest! {
        #[test]
        fn every_difference_is_told_once_and_no_secret_ever(
            old in prop::collection::btree_map("param\\.(realm|ping|password|username)|variables\\.(my_Token|x)", "[a-z]{8}", 0..6),
            new in prop::collection::btree_map("param\\.(realm|ping|password|username)|variables\\.(my_Token|x)", "[a-z]{8}", 0..6),
        ) {
            let changes = differing_fields(&old, &new);
            let told: BTreeSet<_> = changes.iter().map(|change| &change.field).collect();
            prop_assert_eq!(told.len(), changes.len());
            for field in old.keys().chain(new.keys()) {
                prop_assert_eq!(told.contains(field), old.get(field) != new.get(field));
            }
            let text = serde_json::to_string(&changes).unwrap() + &changes.iter().map(change_text).collect::<String>();
            for (field, value) in old.iter().chain(&new) {
                let is_open = |(name, other): (&String, &String)| other == value && !is_secret(name);
                if is_secret(field) && !old.iter().any(is_open) && !new.iter().any(is_open) {
                    prop_assert!(!text.contains(value.as_str()), "{} is in {}", value, text);
                }
            }
        }
    }
}
