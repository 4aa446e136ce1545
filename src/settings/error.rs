//! What can be wrong with the settings, said for somebody who was woken up: which key, where it came from, what to write.
//!
//! No variant holds a value that could be secret, so neither `Display` nor `Debug` can show one.

use std::borrow::Cow;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use figment::error::{Actual, Kind};
use figment::value::{Dict, Map, Value};
use figment::{Figment, Metadata, Profile, Provider};
use strsim::levenshtein;

use super::Settings;
use super::sources::insert;

pub(super) const VARIABLE: &str = "environment variable";
pub(super) const FLAG: &str = "flag";

/// Why the settings can't be used.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    #[error("can't read {what} {}: {source}", path.display())]
    Unreadable {
        what: String,
        path: PathBuf,
        source: io::Error,
    },

    #[error("{what} is not UTF-8 text")]
    NotUtf8 { what: String },

    #[error("{}, line {line}, column {column}: this is no TOML: {problem}", path.display())]
    Syntax {
        path: PathBuf,
        line: usize,
        column: usize,
        problem: String,
    },

    #[error("unknown key `{key}` ({origin}){}", hint(suggestion, known))]
    UnknownKey {
        key: String,
        origin: Origin,
        /// What was probably meant, as it would be written there.
        suggestion: Option<String>,
        /// The keys that there are in that table.
        known: Vec<String>,
    },

    #[error("`{key}` is missing ({origin}): each {table} needs one")]
    Missing { key: String, table: String, origin: Origin },

    #[error("`{key}` ({origin}): {problem}")]
    Invalid {
        key: String,
        origin: Origin,
        problem: String,
    },

    #[error("{first} ({first_origin}) and {second} ({second_origin}) are both set: keep one of them")]
    Both {
        first: String,
        first_origin: Origin,
        second: String,
        second_origin: Origin,
    },

    #[error(
        "no Redis is set: give `redis.url` the address of yours (in trunkd.toml under [redis]: url = \"redis://127.0.0.1:6379\"; \
         or TRUNKD_REDIS__URL), name your Sentinels in `redis.sentinel`, or let trunkd run a private one (embedded = true; or \
         TRUNKD_REDIS__EMBEDDED=true)"
    )]
    NoRedis,

    #[error(
        "{} and {} are both set, and only one Redis can hold the gateways: remove {} to use {}, or {} to use {}",
        first.set, second.set, first.removal, second.shown, second.removal, first.shown
    )]
    TwoRedis { first: WayToRedis, second: WayToRedis },

    #[error("`redis.tls` is set, but no connection would look at its certificates, since {why}; or remove `redis.tls`")]
    UnusedCertificates { why: &'static str },

    #[error(
        "`http.listen` is {listen}, beyond loopback, and nothing guards it: whoever reaches it could read the password of every \
         gateway. Set `http.credentials` (in trunkd.toml under [http]: credentials = [\"fs1:a-long-password\"]; or \
         TRUNKD_HTTP__CREDENTIALS) or `http.tls` with a `client_ca`, or listen on 127.0.0.1; `allow_open = true` says that it is \
         meant to be open"
    )]
    Open { listen: SocketAddr },
}

/// One of the ways to a Redis, in words.
#[derive(Debug)]
pub struct WayToRedis {
    /// As it is set.
    pub(super) set: &'static str,
    /// What to remove to be without it, and where that can stand.
    pub(super) removal: &'static str,
    /// What is reached that way.
    pub(super) shown: String,
}

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    File(PathBuf),
    /// An environment variable, by name.
    Variable(String),
    /// A flag, by name.
    Flag(String),
    CommandLine,
    Default,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Origin::File(path) => write!(f, "in {}", path.display()),
            Origin::Variable(name) => write!(f, "from the environment variable {name}"),
            Origin::Flag(flag) => write!(f, "from the flag {flag}"),
            Origin::CommandLine => f.write_str("from the command line"),
            Origin::Default => f.write_str("the default"),
        }
    }
}

impl Origin {
    /// Where the value of `key`, or of what it is in, came from.
    pub(super) fn of(figment: &Figment, key: &str) -> Origin {
        match figment.find_metadata(key) {
            Some(metadata) => Origin::from_metadata(metadata, &key.split('.').collect::<Vec<_>>()),
            None => key
                .rsplit_once('.')
                .map_or(Origin::Default, |(table, _)| Origin::of(figment, table)),
        }
    }

    fn from_metadata(metadata: &Metadata, path: &[&str]) -> Origin {
        let source = metadata.source.as_ref();
        if let Some(path) = source.and_then(|source| source.file_path()) {
            return Origin::File(path.to_owned());
        }
        match (&*metadata.name, source.and_then(|source| source.custom())) {
            (VARIABLE, Some(name)) => Origin::Variable(name.to_owned()),
            (FLAG, _) => match metadata.interpolate(&Profile::Default, path) {
                flag if flag.is_empty() => Origin::CommandLine,
                flag => Origin::Flag(flag),
            },
            _ => Origin::CommandLine,
        }
    }
}

impl SettingsError {
    /// Keeps of figment's error what is no secret: it holds the values themselves.
    pub(super) fn from_figment(error: figment::Error, figment: &Figment) -> SettingsError {
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
            Kind::InvalidType(Actual::Map, _) if path == ["switch"] => SettingsError::Invalid {
                key,
                origin,
                problem: "each switch is a table of its own: write [[switch]], with two brackets".to_owned(),
            },
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
}

/// `switch.1.name` → `switch[2].name`: people count from one, and the number says that it is one of several.
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
        Some(&"switch") => "[[switch]]".to_owned(),
        _ => format!("`{}`", shown_key(path)),
    }
}

/// The shape of a value, and never the value.
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

fn hint(suggestion: &Option<String>, known: &[String]) -> String {
    match suggestion {
        Some(suggestion) => format!(": did you mean `{suggestion}`?"),
        None => format!(": the keys here are {}", known.join(", ")),
    }
}

/// The key that was most likely meant, written as the origin writes it: `TRUNKD_REDIS__URL` for `TRUNKD_REDIS_URL`.
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

/// Every key, found by offering one that can't be: the answer lists those of its table. So this list can't go stale.
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

/// The keys of a table; none for what is no table.
fn keys_of(table: &str) -> Option<&'static [&'static str]> {
    const NO_KEY: &str = "?";
    let mut values = Dict::new();
    match table.strip_prefix("switch") {
        Some("") => {
            let one = Dict::from([(NO_KEY.to_owned(), Value::from(true))]);
            insert(&mut values, "switch", Value::from(vec![one]));
        }
        Some(_) => return None,
        None if table.is_empty() => insert(&mut values, NO_KEY, Value::from(true)),
        None => insert(&mut values, &format!("{table}.{NO_KEY}"), Value::from(true)),
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
