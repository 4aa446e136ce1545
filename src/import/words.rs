//! Foreign words in messages.

use std::fmt::Display;

use crate::shown::shown;

/// The words of a crate or of the system for a message: they stay English.
pub(super) fn foreign(error: impl Display) -> String {
    quoted(&error.to_string().replace('`', "'"))
}

/// A foreign word for a message.
pub(super) fn quoted(word: &str) -> String {
    format!("`{}`", shown(word))
}
