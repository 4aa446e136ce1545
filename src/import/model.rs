//! What an import found.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde::{Serialize, Serializer};
use utoipa::ToSchema;

use crate::gateway::Rules;
use crate::language::Message;

/// How to import.
#[derive(Debug, Clone)]
pub struct Options {
    /// The domain of all gateways; without it, the one that the source names.
    pub domain: Option<String>,
    pub profiles: ProfileNames,
    /// FreeSWITCH's global variables that the files don't set: name and value.
    pub globals: Vec<(String, String)>,
    /// What gateways are checked against.
    pub rules: Rules,
}

/// The profiles of trunkd for those of the source.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ProfileNames {
    /// For gateways whose source names none.
    pub default: Option<String>,
    pub renamed: BTreeMap<String, String>,
}

impl ProfileNames {
    pub(super) fn of(&self, source: Option<&str>) -> Option<String> {
        match source {
            Some(name) => Some(self.renamed.get(name).map_or(name, String::as_str).to_owned()),
            None => self.default.clone(),
        }
    }
}

/// Gateways, and what else is to be said about their source.
#[derive(Debug, Default, Serialize, ToSchema)]
#[schema(as = ImportReport)]
pub struct Import {
    /// In the order of the source.
    pub gateways: Vec<Imported>,
    /// About the source as a whole, such as a directive that was not executed.
    pub remarks: Vec<Remark>,
}

/// One gateway of the source.
#[derive(Serialize, ToSchema)]
#[schema(as = ImportedGateway)]
pub struct Imported {
    /// `null` if neither the source nor the call names one.
    pub domain: Option<String>,
    pub name: String,
    #[schema(value_type = String)]
    pub place: Place,
    pub verdict: Verdict,
    pub remarks: Vec<Remark>,
    /// The JSON that trunkd stores. It may hold a password.
    #[serde(skip)]
    pub value: String,
}

/// What becomes of a gateway.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = ImportVerdict)]
pub enum Verdict {
    /// It means what it means in its source.
    Taken,
    /// Something of it was written differently, as the remarks say.
    Changed,
    /// It is not imported, as the remarks say.
    Skipped,
}

/// Where something stands in the source.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    pub file: Arc<str>,
    /// Counted from 1; 0 for the whole file.
    pub line: usize,
}

/// Something to know about the import. Never repeats a value that could be a secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = ImportRemark)]
pub struct Remark {
    /// `file:line`.
    #[schema(value_type = String)]
    pub place: Place,
    pub level: Level,
    /// The place in the gateway's value, such as `param.realm`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    pub reason: Message,
    /// What to do; nothing needs to be done if it is missing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fix: Option<Message>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = ImportLevel)]
pub enum Level {
    /// What was done with it.
    Note,
    /// It is imported, but perhaps not as intended.
    Warning,
    /// It is not imported.
    Error,
}

impl Import {
    pub fn count(&self, verdict: Verdict) -> usize {
        self.gateways
            .iter()
            .filter(|gateway| gateway.verdict == verdict)
            .count()
    }

    /// Whether something could not be imported that should be.
    pub fn has_errors(&self) -> bool {
        let all = self.gateways.iter().flat_map(|gateway| &gateway.remarks);
        all.chain(&self.remarks).any(|remark| remark.level == Level::Error)
    }
}

impl fmt::Debug for Imported {
    /// Without the value: it holds passwords.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Imported")
            .field("domain", &self.domain)
            .field("name", &self.name)
            .field("place", &self.place)
            .field("verdict", &self.verdict)
            .field("remarks", &self.remarks)
            .finish_non_exhaustive()
    }
}

impl Verdict {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Taken => "taken",
            Self::Changed => "changed",
            Self::Skipped => "skipped",
        }
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Note => "note",
            Self::Warning => "warning",
            Self::Error => "error",
        })
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => f.write_str(&self.file),
            line => write!(f, "{}:{line}", self.file),
        }
    }
}

impl Serialize for Place {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl fmt::Display for Remark {
    /// `conf/vars.xml:3: warning: reason; fix`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}: ", self.place, self.level)?;
        if let Some(field) = &self.field {
            write!(f, "{field}: ")?;
        }
        f.write_str(self.reason.en())?;
        match &self.fix {
            Some(fix) => write!(f, "; {}", fix.en()),
            None => Ok(()),
        }
    }
}

impl Remark {
    pub fn new(place: Place, level: Level, reason: impl Into<Message>) -> Self {
        Self {
            place,
            level,
            field: None,
            reason: reason.into(),
            fix: None,
        }
    }

    pub fn with_fix(self, fix: impl Into<Message>) -> Self {
        Self {
            fix: Some(fix.into()),
            ..self
        }
    }

    pub fn at(self, field: impl Into<String>) -> Self {
        Self {
            field: Some(field.into()),
            ..self
        }
    }
}
