//! Gateways as text for people and git: YAML or JSON, one or many in a file.
//!
//! A document is an object with `domain`, `name`, and beside them the keys of the gateway's value as in
//! Redis. `state: absent` says that there shall be no such gateway. A value that has a key of one of these
//! names itself stands under `value`.
//!
//! Pure: text in, records out, and the other way round. Nothing is read from disk or environment.

mod error;
mod json;
mod record;
mod secret;
mod write;
mod yaml;

pub use error::{DocumentError, DocumentProblem};
pub use record::Record;
pub use secret::{Reference, SecretText};
pub use write::{Secrets, Unwritable, write};

/// The most documents that are read together.
pub const MAX_DOCUMENTS: usize = 100_000;
/// Lists and objects in each other.
const MAX_DEPTH: usize = 32;
/// The longest key, in bytes.
const MAX_KEY_BYTES: usize = 4096;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Documents separated by `---`, or a list of them.
    Yaml,
    /// One object, objects one after the other, or a list of them.
    Json,
}

/// The records in a text, in its order.
///
/// # Errors
/// [`DocumentError`] with the line. It repeats nothing that may be secret.
pub fn read(text: &[u8], format: Format) -> Result<Vec<Record>, DocumentError> {
    let text = std::str::from_utf8(text).map_err(|error| {
        let line = 1 + memchr::memchr_iter(b'\n', &text[..error.valid_up_to()]).count();
        DocumentError::new(line, DocumentProblem::NotUtf8)
    })?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    match format {
        Format::Yaml => yaml::read(text),
        Format::Json => json::read(text),
    }
}

#[cfg(test)]
mod tests;
