//! One gateway of a file.

use super::DocumentProblem;
use super::error::DocumentProblem as Problem;
use crate::gateway::{Document, DomainName, GatewayName};

/// Keys of a document that are not the value's.
pub(super) const DOMAIN: &str = "domain";
pub(super) const NAME: &str = "name";
const STATE: &str = "state";
pub(super) const VALUE: &str = "value";

/// One gateway of a file.
#[derive(Clone)]
pub struct Record {
    pub domain: DomainName,
    pub name: GatewayName,
    /// With secrets as they are written, maybe as references. `None`: `state: absent`.
    pub value: Option<Document>,
    /// Where it begins, from 1.
    pub line: usize,
}

impl Record {
    pub(super) fn read(mut document: Document, line: usize) -> Result<Self, DocumentProblem> {
        let domain = DomainName::from_text(&required(&mut document, DOMAIN)?);
        if !domain.is_writable() {
            return Err(Problem::Domain);
        }
        let name = GatewayName::parse(&required(&mut document, NAME)?).map_err(Problem::Name)?;
        let state = document.take_text(STATE).map_err(|()| Problem::NotText(STATE))?;
        let is_absent = match state.as_deref() {
            None | Some("present") => false,
            Some("absent") => true,
            Some(_) => return Err(Problem::State),
        };
        let value = match document.take_object(VALUE).map_err(|()| Problem::Value)? {
            Some(_) if !document.members().is_empty() => return Err(Problem::Value),
            Some(value) => value,
            None => document,
        };
        Ok(Self {
            domain,
            name,
            value: (!is_absent).then_some(value),
            line,
        })
    }
}

/// Whether a value can't stand beside `domain` and `name`.
pub(super) fn needs_own_key(value: &Document) -> bool {
    [DOMAIN, NAME, STATE, VALUE].into_iter().any(|key| value.has(key))
}

fn required(document: &mut Document, key: &'static str) -> Result<String, DocumentProblem> {
    let text = document.take_text(key).map_err(|()| Problem::NotText(key))?;
    text.ok_or(Problem::Missing(key))
}
