//! The form's fields, drawn from the catalog of params.

use super::finding::FoundProblem;
use super::sent::Sent;
use super::stored::Stored;
use crate::gateway::params::{ParamDescription, ValueType};
use crate::web::gateway::rich::Rich;
use crate::web::texts::Texts;

/// One control with all that is said about it.
pub(in crate::web::gateway) struct Field {
    /// As the form sends it: `param.realm`.
    pub(in crate::web::gateway) name: String,
    pub(in crate::web::gateway) label: String,
    pub(in crate::web::gateway) value: String,
    /// Not empty: choose one of these.
    pub(in crate::web::gateway) choices: Vec<Choice>,
    /// Offered while typing.
    pub(in crate::web::gateway) offers: Vec<String>,
    pub(in crate::web::gateway) is_number: bool,
    pub(in crate::web::gateway) is_long: bool,
    /// Several words with commas between.
    pub(in crate::web::gateway) is_list: bool,
    pub(in crate::web::gateway) secret: Option<SecretField>,
    pub(in crate::web::gateway) is_required: bool,
    pub(in crate::web::gateway) purpose: Rich,
    pub(in crate::web::gateway) hints: Vec<Rich>,
    pub(in crate::web::gateway) problems: Vec<FoundProblem>,
}

pub(in crate::web::gateway) struct Choice {
    pub(in crate::web::gateway) value: String,
    pub(in crate::web::gateway) label: String,
    pub(in crate::web::gateway) is_chosen: bool,
}

/// A field whose value is never shown.
pub(in crate::web::gateway) struct SecretField {
    /// The control that says what to do with the stored one.
    pub(in crate::web::gateway) choice_name: String,
    /// Empty if nothing is stored.
    pub(in crate::web::gateway) choices: Vec<Choice>,
    pub(in crate::web::gateway) sealed_name: String,
    /// What was typed before, encrypted.
    pub(in crate::web::gateway) sealed: Option<String>,
}

/// What fields are made from.
pub(super) struct Source<'a> {
    pub(super) t: Texts,
    pub(super) stored: &'a Stored,
    pub(super) sent: Option<&'a Sent>,
    pub(super) problems: &'a [FoundProblem],
    pub(super) sealed: &'a [(&'static str, String)],
    /// Values that a new gateway begins with.
    pub(super) defaults: &'a [(&'static str, &'static str)],
    /// Whether there may be a stored secret.
    pub(super) is_edit: bool,
}

impl Field {
    pub(super) fn plain(source: &Source, name: &str, label: String, stored: String, purpose: &str) -> Self {
        let typed = source.sent.and_then(|sent| sent.value(name)).map(str::to_owned);
        Self {
            name: name.to_owned(),
            label,
            value: typed.unwrap_or(stored),
            choices: Vec::new(),
            offers: Vec::new(),
            is_number: false,
            is_long: false,
            is_list: false,
            secret: None,
            is_required: false,
            purpose: Rich::new(purpose),
            hints: Vec::new(),
            problems: source.problems_of(name),
        }
    }

    /// `None` for another spelling or one that isn't served, unless it is set.
    pub(super) fn param(source: &Source, param: &ParamDescription) -> Option<Self> {
        let control = format!("param.{}", param.name);
        let value = source.param(param.name);
        let is_shown = param.served && param.alias_of.is_none();
        if !is_shown && value.is_empty() {
            return None;
        }
        let mut field = Self::plain(source, &control, label(source.t, param.name), value, param.purpose);
        field.is_number = matches!(param.kind, ValueType::Number);
        field.choices = choices(source.t, param, &field.value);
        field.offers = param.special_values.iter().map(|&word| word.to_owned()).collect();
        field.hints = hints(source.t, param);
        if param.secret {
            field.value = String::new();
            field.secret = Some(source.secret(param.name));
        }
        Some(field)
    }

    /// A param that trunkd doesn't know.
    pub(super) fn unknown(source: &Source, name: &str) -> Self {
        let control = format!("param.{name}");
        Self::plain(source, &control, name.to_owned(), source.param(name), "")
    }

    /// The id of its control.
    pub(in crate::web::gateway) fn id(&self) -> String {
        id(&self.name)
    }

    pub(in crate::web::gateway) fn is_bad(&self) -> bool {
        self.problems.iter().any(|problem| problem.is_error)
    }
}

/// An `id` may have no white space.
pub(in crate::web::gateway) fn id(name: &str) -> String {
    let word = |c: char| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' };
    name.chars().map(word).collect()
}

impl Source<'_> {
    /// What a param's field shows.
    fn param(&self, name: &str) -> String {
        if let Some(sent) = self.sent {
            return sent.value(&format!("param.{name}")).unwrap_or_default().to_owned();
        }
        let default = self.defaults.iter().find(|(known, _)| *known == name);
        match default {
            Some((_, value)) => (*value).to_owned(),
            None => self.stored.param(name),
        }
    }

    pub(super) fn problems_of(&self, field: &str) -> Vec<FoundProblem> {
        let here = self.problems.iter().filter(|problem| problem.field == field);
        here.cloned().collect()
    }

    fn secret(&self, name: &str) -> SecretField {
        let chosen = self.sent.map_or("keep", |sent| sent.choice(name));
        let choice = |value: &str, id: &str| Choice {
            value: value.to_owned(),
            label: self.t.get(id).into_owned(),
            is_chosen: value == chosen,
        };
        // Without a session nobody knows what is stored.
        let may_be_stored = self.stored.has_secret(name) || (self.is_edit && self.sent.is_some());
        let sealed = self.sealed.iter().find(|(known, _)| *known == name);
        SecretField {
            choice_name: format!("secret.{name}"),
            choices: match may_be_stored {
                true => vec![
                    choice("keep", "secret-keep"),
                    choice("replace", "secret-replace"),
                    choice("remove", "secret-remove"),
                ],
                false => Vec::new(),
            },
            sealed_name: format!("sealed.{name}"),
            sealed: sealed.map(|(_, sealed)| sealed.clone()),
        }
    }
}

/// The params of most forms have a name that says what they are. FreeSWITCH's own stands beside it.
fn label(t: Texts, param: &str) -> String {
    let id = match param {
        "realm" => "param-realm",
        "username" => "param-username",
        "password" => "param-password",
        "ping" => "param-ping",
        "from-domain" => "param-from-domain",
        "from-user" => "param-from-user",
        "register-proxy" => "param-register-proxy",
        "outbound-proxy" => "param-outbound-proxy",
        _ => return param.to_owned(),
    };
    t.get(id).into_owned()
}

fn choices(t: Texts, param: &ParamDescription, value: &str) -> Vec<Choice> {
    if param.choices.is_empty() {
        return Vec::new();
    }
    let default = match param.default {
        Some(default) => t.with("choice-default", default).into_owned(),
        None => t.get("choice-unset").into_owned(),
    };
    let mut all = vec![(String::new(), default)];
    all.extend(param.choices.iter().map(|&word| {
        let label = match (param.kind, word) {
            (ValueType::Bool, "true") => t.get("choice-yes").into_owned(),
            (ValueType::Bool, _) => t.get("choice-no").into_owned(),
            _ => word.to_owned(),
        };
        (word.to_owned(), label)
    }));
    // Another spelling that somebody else wrote.
    if !all.iter().any(|(word, _)| word == value) {
        all.push((value.to_owned(), value.to_owned()));
    }
    let choice = |(word, label): (String, String)| Choice {
        is_chosen: word == value,
        value: word,
        label,
    };
    all.into_iter().map(choice).collect()
}

fn hints(t: Texts, param: &ParamDescription) -> Vec<Rich> {
    let mut hints = Vec::new();
    if let Some(advice) = param.advice {
        hints.push(Rich::new(advice));
    }
    if let (Some(least), Some(below)) = (param.least, &param.below) {
        let least = t.with("hint-least", &least.to_string());
        hints.push(Rich::new(format!("{least} {}", t.with("hint-below", below))));
    }
    // A select has it as its first choice.
    if param.choices.is_empty() {
        hints.push(default_hint(t, &param.default_text));
    }
    hints
}

pub(super) fn default_hint(t: Texts, default_text: &str) -> Rich {
    Rich::new(match default_text {
        "–" => t.get("hint-no-default"),
        text => t.with("hint-default", text),
    })
}
