//! Where a value came from, for error messages.

use std::fmt;
use std::path::PathBuf;

use figment::{Figment, Metadata, Profile};

/// Names of figment metadata, by which [`Origin`] recognizes our providers.
pub(super) const VARIABLE: &str = "environment variable";
pub(super) const FLAG: &str = "flag";

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
    /// Where the value of `key`, or of its table, came from.
    pub(super) fn of(figment: &Figment, key: &str) -> Origin {
        match figment.find_metadata(key) {
            Some(metadata) => Origin::from_metadata(metadata, &key.split('.').collect::<Vec<_>>()),
            None => key
                .rsplit_once('.')
                .map_or(Origin::Default, |(table, _)| Origin::of(figment, table)),
        }
    }

    pub(super) fn from_metadata(metadata: &Metadata, path: &[&str]) -> Origin {
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
