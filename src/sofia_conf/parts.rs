//! What the template files consist of, and what can be wrong with them.

use std::collections::HashMap;
use std::fmt;
use std::path::PathBuf;

use serde::Serialize;

use crate::gateway::{GatewayName, ProfileFacts, ProfileName};

/// Why the templates can't be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}: {reason}; {fix}", FilePosition { file: file.display(), line: *line, column: *column })]
pub struct TemplateError {
    pub file: PathBuf,
    /// Counted from 1; `None` for the whole file.
    pub line: Option<usize>,
    /// In characters, counted from 1.
    pub column: Option<usize>,
    pub reason: String,
    pub fix: String,
}

/// Something in a template that FreeSWITCH does differently than it looks.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, thiserror::Error)]
#[error("{}: {reason}; {fix}", FilePosition { file: file.display(), line: Some(*line), column: None })]
pub struct TemplateWarning {
    pub file: PathBuf,
    /// Counted from 1.
    pub line: usize,
    pub reason: String,
    pub fix: String,
}

/// `file:line:column`, as compilers write it and editors understand it.
struct FilePosition<D> {
    file: D,
    line: Option<usize>,
    column: Option<usize>,
}

impl<D: fmt::Display> fmt::Display for FilePosition<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file)?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
        }
        if let Some(column) = self.column {
            write!(f, ":{column}")?;
        }
        Ok(())
    }
}

/// A piece of the content of `<profiles>`.
#[derive(Debug, Clone)]
pub(super) enum Part {
    /// Comments and directives between the profiles.
    Text(String),
    Profile(Profile),
}

/// A profile from its file.
#[derive(Debug, Clone)]
pub(super) struct Profile {
    pub(super) name: ProfileName,
    pub(super) facts: ProfileFacts,
    /// The whole `<profile>`, for when there are no gateways to insert.
    pub(super) untouched: String,
    /// The text before and after the gateways to insert.
    pub(super) before: String,
    pub(super) after: String,
    /// The indentation of our `<gateway>` lines.
    pub(super) indent: String,
    /// The template's own gateways: name, and the `<gateway>` element unchanged.
    pub(super) own_gateways: Vec<(GatewayName, String)>,
    /// The content of the template's `<gateways>`.
    pub(super) own_section: String,
    /// Whether directives in that section add gateways that trunkd can't see.
    pub(super) own_section_has_more: bool,
}

/// State while all files are read.
#[derive(Default)]
pub(super) struct Loading {
    pub(super) warnings: Vec<TemplateWarning>,
    /// Bytes read so far.
    pub(super) bytes: u64,
    /// Lower-case name → position: FreeSWITCH ignores the case of profile names.
    pub(super) profiles: HashMap<String, String>,
    /// Gateway names → position. They are unique over all profiles (FACTS 18).
    pub(super) gateways: HashMap<GatewayName, String>,
}
