//! Where values come from: the settings file, the environment, the flags. Each becomes a figment
//! provider whose metadata says which file, variable or flag it was, for [`Origin`].

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

use figment::providers::{Format, Toml};
use figment::value::{Dict, Map, Value};
use figment::{Metadata, Profile, Provider, Source};

use super::error::SettingsError;
use super::origin::{FLAG, Origin, VARIABLE};

/// Where the settings file is looked for when neither the flag nor `TRUNKD_CONFIG` names one.
const SEARCHED: [&str; 2] = ["trunkd.toml", "/etc/trunkd/trunkd.toml"];

/// Variables that begin as ours do but are other software's: what Kubernetes and Docker links put
/// into every container beside a service named `trunkd`, secrets of exported gateways, and what our own
/// tests are told.
const FOREIGN: [&str; 5] = [
    "TRUNKD_SERVICE_",
    "TRUNKD_PORT",
    "TRUNKD_SECRET_",
    "TRUNKD_TEST_",
    "TRUNKD_CHAOS_",
];

/// Keys whose variable may hold a TOML list or table. Any other variable is taken literally, so
/// that a password may begin with a bracket.
const STRUCTURED: [&str; 13] = [
    "api.allow",
    "api.tls",
    "carrier",
    "gateways.allow_hooks",
    "http.credentials",
    "http.allow",
    "http.tls",
    "redis.domains",
    "redis.tls",
    "redis.sentinel",
    "redis.sentinel.nodes",
    "switch",
    "webhook",
];

/// Where settings come from, the flags apart.
#[derive(Clone, Default)]
pub struct Sources {
    /// The file that must be read.
    pub config: Option<PathBuf>,
    /// The first of these that exists is read if `config` is `None`.
    pub search: Vec<PathBuf>,
    /// The environment.
    pub environment: Vec<(OsString, OsString)>,
}

impl Sources {
    /// The real environment, and the usual places for the file.
    pub fn of_this_process(config: Option<&Path>) -> Self {
        Sources {
            config: config.map(Path::to_owned),
            search: SEARCHED.iter().map(PathBuf::from).collect(),
            environment: std::env::vars_os().collect(),
        }
    }

    /// The folder that systemd's `StateDirectory=` made, as the default of `data_dir`.
    pub(super) fn state_directory(&self) -> Option<Variable> {
        let folders = self
            .environment
            .iter()
            .find(|(name, _)| name == "STATE_DIRECTORY")?
            .1
            .to_str()?;
        let first = folders.split(':').next().filter(|folder| !folder.is_empty())?;
        Some(Variable {
            name: "STATE_DIRECTORY".to_owned(),
            key: "data_dir".to_owned(),
            value: first.into(),
        })
    }

    /// The settings file, read; none when none is named and none is found.
    pub(super) fn settings_file(&self) -> Result<Option<SettingsFile>, SettingsError> {
        let by_variable = self
            .environment
            .iter()
            .find(|(name, value)| name == "TRUNKD_CONFIG" && !value.is_empty());
        let named = self
            .config
            .clone()
            .or_else(|| by_variable.map(|(_, path)| PathBuf::from(path)));
        if let Some(path) = named {
            return SettingsFile::read(&path)
                .map(Some)
                .map_err(|source| SettingsError::Unreadable {
                    what: "the settings file".to_owned(),
                    path,
                    source,
                });
        }
        for path in &self.search {
            match SettingsFile::read(path) {
                Ok(file) => return Ok(Some(file)),
                Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {}
                Err(source) => {
                    let what = "the settings file".to_owned();
                    return Err(SettingsError::Unreadable {
                        what,
                        path: path.clone(),
                        source,
                    });
                }
            }
        }
        Ok(None)
    }

    /// The variables that name a key, sorted by name. An empty one counts as not set, as Compose files rely on.
    pub(super) fn variables(&self) -> Result<Vec<Variable>, SettingsError> {
        let mut variables = Vec::new();
        for (name, value) in &self.environment {
            let Some(name) = name.to_str().filter(|name| is_ours(name)) else {
                continue;
            };
            if value.is_empty() {
                continue;
            }
            let Some(value) = value.to_str() else {
                return Err(SettingsError::NotUtf8 {
                    what: format!("the variable {name}"),
                });
            };
            variables.push(Variable::parse(name, value)?);
        }
        variables.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(variables)
    }
}

/// A variable that a file of gateways refers to as `${env:NAME}`. `None` if it is not set, or not UTF-8.
pub fn secret_variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

fn is_ours(name: &str) -> bool {
    name.starts_with("TRUNKD_") && name != "TRUNKD_CONFIG" && !FOREIGN.iter().any(|foreign| name.starts_with(foreign))
}

/// A settings file that was read but not yet understood.
pub(super) struct SettingsFile {
    pub(super) path: PathBuf,
    text: Vec<u8>,
}

impl SettingsFile {
    fn read(path: &Path) -> io::Result<Self> {
        Ok(SettingsFile {
            path: path.to_owned(),
            text: std::fs::read(path)?,
        })
    }

    pub(super) fn provider(&self) -> Result<impl Provider + use<>, SettingsError> {
        let text = std::str::from_utf8(&self.text).map_err(|_| SettingsError::NotUtf8 {
            what: format!("the settings file {}", self.path.display()),
        })?;
        // The error's own text shows the line, which may hold a password: its message and its place do not.
        let values: Dict = Toml::from_str(text).map_err(|error| {
            let before = &text[..error.span().map_or(0, |span| span.start.min(text.len()))];
            let line = before.matches('\n').count() + 1;
            let column = before.rsplit('\n').next().map_or(0, |start| start.chars().count()) + 1;
            SettingsError::Syntax {
                path: self.path.clone(),
                line,
                column,
                problem: one_line(error.message()),
            }
        })?;
        Ok(Given {
            metadata: Metadata::from("file", Source::File(self.path.clone())),
            values,
        })
    }
}

/// One environment variable that names a key.
pub(super) struct Variable {
    name: String,
    key: String,
    value: Value,
}

impl Variable {
    fn parse(name: &str, text: &str) -> Result<Self, SettingsError> {
        let key = name
            .trim_start_matches("TRUNKD_")
            .to_ascii_lowercase()
            .replace("__", ".");
        let is_toml = STRUCTURED.contains(&key.as_str()) && text.starts_with(['[', '{']);
        let value = if is_toml {
            let mut table: Dict =
                Toml::from_str(&format!("value = {text}")).map_err(|error| SettingsError::Invalid {
                    key: key.clone(),
                    origin: Origin::Variable(name.to_owned()),
                    problem: format!(
                        "its value starts like a TOML list or table but is not valid: {}",
                        one_line(error.message())
                    ),
                })?;
            table.remove("value").unwrap_or_else(|| Value::from(text))
        } else {
            Value::from(text)
        };
        Ok(Variable {
            name: name.to_owned(),
            key,
            value,
        })
    }
}

impl Provider for Variable {
    fn metadata(&self) -> Metadata {
        Metadata::from(VARIABLE, Source::Custom(self.name.clone()))
    }

    fn data(&self) -> figment::Result<Map<Profile, Dict>> {
        let mut values = Dict::new();
        insert(&mut values, &self.key, self.value.clone());
        Ok(Map::from([(Profile::Default, values)]))
    }
}

/// The flags of the command line that are settings, each with its name so that an error can say which one it was.
///
/// ```
/// # use trunkd::settings::{Flags, Settings, Sources};
/// let listen = Some("127.0.0.1:9090".to_owned());
/// let flags = Flags::new().set("--listen", "http.listen", listen).set("--embedded", "redis.embedded", Some(true));
/// let settings = Settings::load_from(&Sources::default(), flags)?;
/// assert_eq!(settings.http.listen.port(), 9090);
/// # Ok::<(), trunkd::settings::SettingsError>(())
/// ```
#[derive(Default)]
pub struct Flags {
    values: Dict,
    names: BTreeMap<String, String>,
}

impl Flags {
    pub fn new() -> Self {
        Flags::default()
    }

    /// Sets `key` (dotted) because `flag` was given; none: it was not.
    pub fn set(mut self, flag: &str, key: &str, value: Option<impl Into<Value>>) -> Self {
        if let Some(value) = value {
            insert(&mut self.values, key, value.into());
            self.names.insert(key.to_owned(), flag.to_owned());
        }
        self
    }
}

impl Provider for Flags {
    fn metadata(&self) -> Metadata {
        let names = self.names.clone();
        Metadata::named(FLAG).interpolater(move |_: &Profile, keys: &[&str]| {
            // The path of an item of a list is longer than the key that was set.
            let path = keys.join(".");
            let of_key = |key: &str| path == key || path.strip_prefix(key).is_some_and(|rest| rest.starts_with('.'));
            names
                .iter()
                .find(|(key, _)| of_key(key))
                .map(|(_, flag)| flag.clone())
                .unwrap_or_default()
        })
    }

    fn data(&self) -> figment::Result<Map<Profile, Dict>> {
        Ok(Map::from([(Profile::Default, self.values.clone())]))
    }
}

struct Given {
    metadata: Metadata,
    values: Dict,
}

impl Provider for Given {
    fn metadata(&self) -> Metadata {
        self.metadata.clone()
    }

    fn data(&self) -> figment::Result<Map<Profile, Dict>> {
        Ok(Map::from([(Profile::Default, self.values.clone())]))
    }
}

/// Puts `value` at the dotted `key`.
pub(super) fn insert(values: &mut Dict, key: &str, value: Value) {
    match key.split_once('.') {
        None => {
            values.insert(key.to_owned(), value);
        }
        Some((table, rest)) => {
            let entry = values
                .entry(table.to_owned())
                .or_insert_with(|| Value::from(Dict::new()));
            if let Value::Dict(_, inner) = entry {
                insert(inner, rest, value);
            }
        }
    }
}

/// The parser's message, which may run over several lines, in one.
fn one_line(message: &str) -> String {
    message.split_whitespace().collect::<Vec<_>>().join(" ")
}
