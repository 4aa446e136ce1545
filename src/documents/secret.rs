//! Secrets of a file: in plain text, or as a reference to an environment variable or a file.

use super::DocumentProblem;

const ENV: &str = "{env:";
const FILE: &str = "{file:";

/// A secret as it stands in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecretText {
    Plain(String),
    Reference(Reference),
}

/// Where a secret is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reference {
    /// `${env:NAME}`.
    Env(String),
    /// `${file:PATH}`.
    File(String),
}

impl SecretText {
    /// # Errors
    /// [`DocumentProblem::Reference`]: it begins like a reference and is none.
    pub fn parse(text: String) -> Result<Self, DocumentProblem> {
        let Some(dollars) = dollars_of_reference(&text) else {
            return Ok(Self::Plain(text));
        };
        if dollars > 1 {
            return Ok(Self::Plain(text[1..].to_owned()));
        }
        let inside = |start| text[1..].strip_prefix(start)?.strip_suffix('}');
        match (inside(ENV), inside(FILE)) {
            (Some(name), _) if is_variable(name) => Ok(Self::Reference(Reference::Env(name.to_owned()))),
            (_, Some(path)) if !path.is_empty() => Ok(Self::Reference(Reference::File(path.to_owned()))),
            _ => Err(DocumentProblem::Reference),
        }
    }

    /// A plain secret as it must stand in a file.
    pub(super) fn escape(text: String) -> String {
        match dollars_of_reference(&text) {
            Some(_) => format!("${text}"),
            None => text,
        }
    }
}

/// How many `$` stand before `{env:` or `{file:` at the beginning.
fn dollars_of_reference(text: &str) -> Option<usize> {
    let rest = text.trim_start_matches('$');
    let dollars = text.len() - rest.len();
    (dollars > 0 && [ENV, FILE].iter().any(|start| rest.starts_with(start))).then_some(dollars)
}

fn is_variable(name: &str) -> bool {
    let is_good = |c: char| c.is_ascii_alphanumeric() || c == '_';
    name.chars().all(is_good) && name.chars().next().is_some_and(|first| !first.is_ascii_digit())
}
