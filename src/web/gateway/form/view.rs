//! The form as its page shows it.

use super::field::{Choice, Field, Source, default_hint};
use super::finding::FoundProblem;
use super::preset::Preset;
use super::sent::SentVariable;
use super::stored::{FAILBACK, PLACEMENT, PREFER};
use crate::gateway::params::{Description, GroupDescription, describe};
use crate::gateway::value_keys::KEYS;
use crate::operate::listing::{Choices, Offers};
use crate::web::gateway::rich::Rich;

/// Rows for variables that are not there yet.
const EMPTY_ROWS: usize = 2;

/// All fields.
pub(in crate::web::gateway) struct FormView {
    /// The few that most gateways need.
    pub(in crate::web::gateway) first: Vec<Field>,
    /// Profile, tags and so on.
    pub(in crate::web::gateway) settings: Vec<Field>,
    /// The switches to choose from.
    pub(in crate::web::gateway) nodes: Vec<Choice>,
    pub(in crate::web::gateway) node_problems: Vec<FoundProblem>,
    pub(in crate::web::gateway) groups: Vec<GroupView>,
    pub(in crate::web::gateway) variables: Vec<VariableRow>,
    pub(in crate::web::gateway) known_variables: Vec<KnownVariable>,
    /// Keys that stay as they are.
    pub(in crate::web::gateway) unknown_keys: String,
    /// What is about no field that is shown.
    pub(in crate::web::gateway) general: Vec<FoundProblem>,
}

pub(in crate::web::gateway) struct GroupView {
    pub(in crate::web::gateway) title: String,
    pub(in crate::web::gateway) fields: Vec<Field>,
    /// How many of them are set.
    pub(in crate::web::gateway) set: usize,
    pub(in crate::web::gateway) is_open: bool,
}

pub(in crate::web::gateway) struct VariableRow {
    pub(in crate::web::gateway) number: usize,
    pub(in crate::web::gateway) row: SentVariable,
    pub(in crate::web::gateway) problems: Vec<FoundProblem>,
}

pub(in crate::web::gateway) struct KnownVariable {
    pub(in crate::web::gateway) name: &'static str,
    pub(in crate::web::gateway) purpose: Rich,
    pub(in crate::web::gateway) advice: Rich,
}

impl VariableRow {
    /// The id of its findings.
    pub(in crate::web::gateway) fn id(&self) -> String {
        format!("variable-{}", self.number)
    }

    pub(in crate::web::gateway) fn is_bad(&self) -> bool {
        self.problems.iter().any(|problem| problem.is_error)
    }
}

impl FormView {
    pub(super) fn new(source: &Source, preset: Preset, offers: &Offers) -> Self {
        let catalog = describe(source.t.0);
        let mut first = match source.is_edit {
            true => Vec::new(),
            false => identity(source, &offers.names),
        };
        for name in preset.params() {
            let params = catalog.groups.iter().flat_map(|group| &group.params);
            let param = params.into_iter().find(|param| param.name == *name);
            first.extend(param.and_then(|param| Field::param(source, param)));
        }
        mark_required(&mut first, preset);
        let is_first = |name: &str| preset.params().contains(&name);
        let mut groups: Vec<_> = catalog
            .groups
            .iter()
            .map(|group| group_view(source, group, is_first))
            .collect();
        groups.extend(others(source));
        let mut view = Self {
            first,
            settings: settings(source, &catalog, offers),
            nodes: nodes(source, &offers.names),
            node_problems: source.problems_of("nodes"),
            groups,
            variables: variables(source),
            known_variables: catalog
                .variables
                .iter()
                .map(|variable| KnownVariable {
                    name: variable.name,
                    purpose: Rich::new(variable.purpose),
                    advice: Rich::new(variable.advice),
                })
                .collect(),
            unknown_keys: source.stored.unknown_keys(is_known_key).join(", "),
            general: Vec::new(),
        };
        view.general = view.left_over(source.problems);
        view
    }

    /// The fields in their order.
    pub(in crate::web::gateway) fn fields(&self) -> impl Iterator<Item = &Field> {
        let grouped = self.groups.iter().flat_map(|group| &group.fields);
        self.first.iter().chain(&self.settings).chain(grouped)
    }

    /// Whether something in "More" is set or wrong.
    pub(in crate::web::gateway) fn is_more_open(&self) -> bool {
        let wrong = self.settings.iter().any(|field| !field.problems.is_empty());
        wrong || !self.node_problems.is_empty()
    }

    pub(in crate::web::gateway) fn are_variables_open(&self) -> bool {
        self.variables.iter().any(|row| !row.row.is_blank())
    }

    fn left_over(&self, problems: &[FoundProblem]) -> Vec<FoundProblem> {
        let is_shown = |problem: &&FoundProblem| {
            let field = &problem.field;
            field == "nodes"
                || self.fields().any(|shown| shown.name == *field)
                || self.variables.iter().any(|row| row.problems.contains(problem))
        };
        problems.iter().filter(|problem| !is_shown(problem)).cloned().collect()
    }
}

/// Name and domain, which a gateway keeps.
fn identity(source: &Source, known: &Choices) -> Vec<Field> {
    let t = source.t;
    let name = Field {
        is_required: true,
        ..Field::plain(
            source,
            "name",
            t.get("column-name").into_owned(),
            String::new(),
            &t.get("field-name"),
        )
    };
    let domain = match known.domains.as_slice() {
        [only] => only.clone(),
        [] => "default".to_owned(),
        _ => String::new(),
    };
    let domain = Field {
        is_required: true,
        offers: known.domains.clone(),
        ..Field::plain(
            source,
            "domain",
            t.get("column-domain").into_owned(),
            domain,
            &t.get("field-domain"),
        )
    };
    vec![name, domain]
}

fn mark_required(first: &mut [Field], preset: Preset) {
    let needed: &[&str] = match preset {
        Preset::Ip => &["param.realm"],
        Preset::Account | Preset::Ims => &["param.realm", "param.username"],
    };
    for field in first {
        field.is_required |= needed.contains(&field.name.as_str());
    }
}

fn group_view(source: &Source, group: &GroupDescription, is_first: impl Fn(&str) -> bool) -> GroupView {
    let params = group.params.iter().filter(|param| !is_first(param.name));
    let fields: Vec<_> = params.filter_map(|param| Field::param(source, param)).collect();
    GroupView {
        title: group.title.to_owned(),
        set: fields.iter().filter(|field| !field.value.is_empty()).count(),
        is_open: fields.iter().any(|field| !field.problems.is_empty()),
        fields,
    }
}

/// Params that trunkd doesn't know.
fn others(source: &Source) -> Option<GroupView> {
    let mut names = source.stored.param_names();
    if let Some(sent) = source.sent {
        for (name, _) in sent.params() {
            if !names.contains(&name) {
                names.push(name);
            }
        }
    }
    names.retain(|name| crate::gateway::params::param(name).is_none());
    let fields: Vec<_> = names.into_iter().map(|name| Field::unknown(source, name)).collect();
    (!fields.is_empty()).then(|| GroupView {
        title: source.t.get("group-unknown").into_owned(),
        set: fields.len(),
        is_open: true,
        fields,
    })
}

fn settings(source: &Source, catalog: &Description, offers: &Offers) -> Vec<Field> {
    let t = source.t;
    let field = |key: &str, id: &str, stored: String, words: &[String]| {
        let known = catalog.keys.iter().find(|known| known.name == key);
        Field {
            offers: words.to_vec(),
            hints: known
                .map(|key| default_hint(t, &key.default_text))
                .into_iter()
                .collect(),
            ..Field::plain(
                source,
                key,
                t.get(id).into_owned(),
                stored,
                known.map_or("", |key| key.purpose),
            )
        }
    };
    let stored = source.stored;
    let mut enabled = field("enabled", "field-enabled", stored.is_enabled().to_string(), &[]);
    let choice = |value: &str, id: &str, now: &str| Choice {
        value: value.to_owned(),
        label: t.get(id).into_owned(),
        is_chosen: value == now,
    };
    enabled.choices = vec![
        choice("true", "choice-yes", &enabled.value),
        choice("false", "choice-no", &enabled.value),
    ];
    let mut rollback = field("rollback", "field-rollback", stored.may_roll_back().to_string(), &[]);
    rollback.choices = vec![
        choice("true", "choice-yes", &rollback.value),
        choice("false", "choice-no", &rollback.value),
    ];
    let mut profile = field("profile", "column-profile", stored.text("profile"), &offers.profiles);
    if !offers.default_profile.is_empty() {
        profile.hints = vec![default_hint(t, &format!("`{}`", offers.default_profile))];
    }
    let mut tags = field("tags", "field-tags", stored.texts("tags").join(", "), &offers.tags);
    tags.is_list = true;
    let mut description = field("description", "field-description", stored.text("description"), &[]);
    description.is_long = true;
    let mut settings = vec![
        enabled,
        profile,
        field("carrier", "column-carrier", stored.text("carrier"), &offers.carriers),
        tags,
        rollback,
        description,
    ];
    settings.extend(placement(source, &offers.names.switches));
    settings
}

/// On how many of its switches it runs, on which best, and when it goes back there.
fn placement(source: &Source, switches: &[String]) -> [Field; 3] {
    let (t, stored) = (source.t, source.stored.placement());
    let field = |name: &str, id: &str, stored: String, purpose: &str, default: &str| Field {
        hints: vec![default_hint(t, default)],
        ..Field::plain(source, name, t.get(id).into_owned(), stored, &t.get(purpose))
    };
    let mut mode = field(
        PLACEMENT,
        "field-placement",
        stored.mode,
        "field-placement-hint",
        "`all`",
    );
    let choices = [("all", "choice-all"), ("one", "choice-one")];
    let choice = |(value, id): (&str, &str)| Choice {
        value: value.to_owned(),
        label: t.get(id).into_owned(),
        is_chosen: value == mode.value,
    };
    mode.choices = choices.into_iter().map(choice).collect();
    let mut prefer = field(
        PREFER,
        "field-prefer",
        stored.prefer.join(", "),
        "field-prefer-hint",
        "–",
    );
    prefer.is_list = true;
    prefer.offers = switches.to_vec();
    let mut failback = field(
        FAILBACK,
        "field-failback",
        stored.failback,
        "field-failback-hint",
        "`manual`",
    );
    failback.offers = ["manual", "after 10m", "after 1h"].map(str::to_owned).to_vec();
    [mode, prefer, failback]
}

/// Known switches, and those that the gateway names.
fn nodes(source: &Source, known: &Choices) -> Vec<Choice> {
    let chosen: Vec<String> = match source.sent {
        Some(sent) => sent.all("nodes").map(str::to_owned).collect(),
        None => source.stored.texts("nodes"),
    };
    let mut all = known.switches.clone();
    all.extend(chosen.iter().filter(|name| !known.switches.contains(name)).cloned());
    let choice = |name: String| Choice {
        is_chosen: chosen.contains(&name),
        label: name.clone(),
        value: name,
    };
    all.into_iter().map(choice).collect()
}

fn variables(source: &Source) -> Vec<VariableRow> {
    // Blank rows too: findings are placed by a row's number.
    let mut rows = match source.sent {
        Some(sent) => sent.variable_rows(),
        None => source.stored.variables(),
    };
    let blank = rows.iter().filter(|row| row.is_blank()).count();
    let more = EMPTY_ROWS.saturating_sub(blank);
    rows.extend(std::iter::repeat_n(SentVariable::default(), more));
    let row = |(at, row): (usize, SentVariable)| VariableRow {
        number: at + 1,
        problems: match row.is_blank() {
            true => Vec::new(),
            false => source.problems_of(&format!("variable.{}", row.name)),
        },
        row,
    };
    rows.into_iter().enumerate().map(row).collect()
}

fn is_known_key(key: &str) -> bool {
    KEYS.iter()
        .any(|known| known.name == key || known.other_name == Some(key))
}
