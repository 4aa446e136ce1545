//! Turns figment's errors into ours, which hold no values, and suggests keys for unknown ones.

use std::borrow::Cow;

use figment::error::{Actual, Kind};
use figment::value::{Dict, Map, Value};
use figment::{Figment, Metadata, Profile, Provider};
use strsim::levenshtein;

use super::error::SettingsError;
use super::model::Settings;
use super::origin::{FLAG, Origin};
use super::sources::insert;

/// Keys that are lists of tables.
const LISTS: [&str; 3] = ["carrier", "switch", "webhook"];

/// Drops the values that figment's error holds: they may be secrets.
pub(super) fn translate(error: figment::Error, figment: &Figment) -> SettingsError {
    let path: Vec<&str> = error.path.iter().map(String::as_str).collect();
    let origin = match &error.metadata {
        Some(metadata) => Origin::from_metadata(metadata, &path),
        None => Origin::of(figment, &path.join(".")),
    };
    let key = shown_key(&path);
    match error.kind {
        Kind::UnknownField(_, known) => {
            let known = known.iter().map(|name| (*name).to_owned()).collect();
            SettingsError::UnknownKey {
                suggestion: suggestion(&path, &origin),
                key,
                origin,
                known,
            }
        }
        Kind::MissingField(field) => {
            let whole: Vec<&str> = path.iter().copied().chain([&*field]).collect();
            SettingsError::Missing {
                key: shown_key(&whole),
                table: shown_table(&path),
                origin,
            }
        }
        Kind::Message(problem) => SettingsError::Invalid { key, origin, problem },
        Kind::InvalidType(Actual::Map, _) if path.len() == 1 && LISTS.contains(&path[0]) => {
            let problem = format!("each {key} is a table of its own: write [[{key}]], with two brackets");
            SettingsError::Invalid { key, origin, problem }
        }
        Kind::InvalidType(actual, expected) | Kind::InvalidValue(actual, expected) => {
            let problem = format!("this is {}, expected {}", shape(&actual), wanted(&expected));
            SettingsError::Invalid { key, origin, problem }
        }
        _ => SettingsError::Invalid {
            key,
            origin,
            problem: "this value can't be read".to_owned(),
        },
    }
}

/// `switch.1.name` → `switch[2].name`: people count from one.
fn shown_key(path: &[&str]) -> String {
    let mut key = String::new();
    for part in path {
        match part.parse::<usize>() {
            Ok(index) => key.push_str(&format!("[{}]", index + 1)),
            Err(_) if key.is_empty() => key.push_str(part),
            Err(_) => {
                key.push('.');
                key.push_str(part);
            }
        }
    }
    key
}

fn shown_table(path: &[&str]) -> String {
    match path.first() {
        Some(list) if LISTS.contains(list) => format!("[[{list}]]"),
        _ => format!("`{}`", shown_key(path)),
    }
}

/// The kind of a value, never the value.
fn shape(actual: &Actual) -> &'static str {
    match actual {
        Actual::Bool(_) => "true or false",
        Actual::Unsigned(_) | Actual::Signed(_) | Actual::Float(_) => "a number",
        Actual::Char(_) | Actual::Str(_) => "text",
        Actual::Seq => "a list",
        Actual::Map => "a table",
        _ => "something else",
    }
}

fn wanted(expected: &str) -> Cow<'_, str> {
    match expected {
        "a string" | "path string" => "text, in quotes".into(),
        "a sequence" => "a list".into(),
        _ if expected.starts_with("struct ") => "a table of keys".into(),
        _ => expected.into(),
    }
}

/// The key that was probably meant, spelled as its origin spells keys: `TRUNKD_REDIS__URL` for `TRUNKD_REDIS_URL`.
fn suggestion(path: &[&str], origin: &Origin) -> Option<String> {
    let unindexed: Vec<&str> = path
        .iter()
        .copied()
        .filter(|part| part.parse::<usize>().is_err())
        .collect();
    let meant = unindexed.join(".");
    let squeeze = |key: &str| key.replace(['_', '.', '-'], "").to_ascii_lowercase();
    let keys = all_keys();
    let of_distance = |most: usize| {
        let near = keys
            .iter()
            .map(|key| (levenshtein(&squeeze(key), &squeeze(&meant)), key));
        near.filter(|(distance, _)| *distance <= most).min().map(|(_, key)| key)
    };
    let key = of_distance(2)?;
    Some(match origin {
        Origin::Variable(_) => format!("TRUNKD_{}", key.replace('.', "__").to_ascii_uppercase()),
        _ => key.clone(),
    })
}

/// Every key. Asks serde: the error about an unknown key lists the known ones, so this list can't go stale.
pub(super) fn all_keys() -> Vec<String> {
    let mut keys = Vec::new();
    let mut tables = vec![String::new()];
    while let Some(table) = tables.pop() {
        for name in keys_of(&table).unwrap_or_default() {
            let key = if table.is_empty() {
                (*name).to_owned()
            } else {
                format!("{table}.{name}")
            };
            if keys_of(&key).is_some() {
                tables.push(key);
            } else {
                keys.push(key);
            }
        }
    }
    keys.sort();
    keys
}

/// The keys of a table; `None` if it is not a table.
fn keys_of(table: &str) -> Option<&'static [&'static str]> {
    const NO_KEY: &str = "?";
    let mut values = Dict::new();
    match table.split_once('.') {
        None if LISTS.contains(&table) => {
            let one = Dict::from([(NO_KEY.to_owned(), Value::from(true))]);
            insert(&mut values, table, Value::from(vec![one]));
        }
        Some((list, _)) if LISTS.contains(&list) => return None,
        None if table.is_empty() => insert(&mut values, NO_KEY, Value::from(true)),
        _ => insert(&mut values, &format!("{table}.{NO_KEY}"), Value::from(true)),
    }
    match Figment::from(Offered(values)).extract::<Settings>().err()?.kind {
        Kind::UnknownField(name, known) if name == NO_KEY => Some(known),
        _ => None,
    }
}

struct Offered(Dict);

impl Provider for Offered {
    fn metadata(&self) -> Metadata {
        Metadata::named(FLAG)
    }

    fn data(&self) -> figment::Result<Map<Profile, Dict>> {
        Ok(Map::from([(Profile::Default, self.0.clone())]))
    }
}
