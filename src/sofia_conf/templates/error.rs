//! Errors and warnings about templates, each with its place and its fix.

use std::fmt;
use std::path::{Path, PathBuf};

use serde::Serialize;

/// Why the templates can't be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}: {reason}; {fix}", Location { file: file.display(), line: *line, column: *column })]
pub struct TemplateError {
    pub file: PathBuf,
    /// Counted from 1; `None` if the whole file is at fault.
    pub line: Option<usize>,
    /// In characters, counted from 1.
    pub column: Option<usize>,
    pub reason: String,
    pub fix: String,
}

impl TemplateError {
    /// An error about a whole file or folder.
    pub(super) fn of_file(file: &Path, reason: impl Into<String>, fix: impl Into<String>) -> Self {
        TemplateError {
            file: file.to_owned(),
            line: None,
            column: None,
            reason: reason.into(),
            fix: fix.into(),
        }
    }
}

/// Something in a template that FreeSWITCH will not do, although it looks as if it would.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, thiserror::Error)]
#[error("{}: {reason}; {fix}", Location { file: file.display(), line: Some(*line), column: None })]
pub struct TemplateWarning {
    pub file: PathBuf,
    /// Counted from 1.
    pub line: usize,
    pub reason: String,
    pub fix: String,
}

/// `file:line:column`, as compilers write it and editors understand it.
struct Location<D> {
    file: D,
    line: Option<usize>,
    column: Option<usize>,
}

impl<D: fmt::Display> fmt::Display for Location<D> {
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
