//! Names of sets.

use std::fmt;
use std::str::FromStr;

const MAX_BYTES: usize = 64;

/// The name of a set of files, such as `git-prod`: 1 to 64 letters, digits, `_`, `.` and `-`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SetName(String);

/// Why a text is not the name of a set.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the name of a set has 1 to {MAX_BYTES} letters, digits, '_', '.' and '-'")]
pub struct SetNameError;

impl SetName {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for SetName {
    type Err = SetNameError;

    fn from_str(name: &str) -> Result<Self, SetNameError> {
        let is_good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
        match (1..=MAX_BYTES).contains(&name.len()) && name.chars().all(is_good) {
            true => Ok(Self(name.to_owned())),
            false => Err(SetNameError),
        }
    }
}

impl fmt::Display for SetName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
