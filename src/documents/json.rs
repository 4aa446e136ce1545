//! Reads JSON: one object, objects one after the other (JSON Lines), or lists of objects.

use serde_json::value::RawValue;

use super::{DocumentError, DocumentProblem, MAX_DEPTH, MAX_DOCUMENTS, Record};
use crate::gateway::Document;
use crate::language::Message;

pub(super) fn read(text: &str) -> Result<Vec<Record>, DocumentError> {
    let mut lines = Lines { text, at: 0, line: 1 };
    let mut records = Vec::new();
    for value in serde_json::Deserializer::from_str(text).into_iter::<&RawValue>() {
        let value = value.map_err(|error| {
            let said = error.to_string();
            // Its texts are fixed, and say the line themselves.
            let said = Message::same(said.split(" at line ").next().unwrap_or_default());
            DocumentError::new(error.line(), DocumentProblem::Syntax(said))
        })?;
        let line = lines.line_of(value.get());
        if depth(value.get()) > MAX_DEPTH {
            return Err(DocumentError::new(line, DocumentProblem::TooDeep));
        }
        if value.get().starts_with('[') {
            let items: Vec<&RawValue> = serde_json::from_str(value.get())
                .map_err(|error| DocumentError::new(line, DocumentProblem::Syntax(Message::same(error.to_string()))))?;
            for item in items {
                let line = lines.line_of(item.get());
                push(&mut records, item.get(), line)?;
            }
        } else {
            push(&mut records, value.get(), line)?;
        }
    }
    Ok(records)
}

fn push(records: &mut Vec<Record>, value: &str, line: usize) -> Result<(), DocumentError> {
    let at = |problem| DocumentError::new(line, problem);
    if records.len() >= MAX_DOCUMENTS {
        return Err(at(DocumentProblem::TooMany));
    }
    if !value.starts_with('{') {
        return Err(at(DocumentProblem::NotAnObject));
    }
    let document = Document::parse(value.as_bytes()).map_err(|said| at(DocumentProblem::Syntax(said)))?;
    records.push(Record::read(document, line).map_err(at)?);
    Ok(())
}

/// How many lists and objects are in each other at most.
pub(super) fn depth(json: &str) -> usize {
    let (mut depth, mut most, mut is_text, mut is_escaped) = (0usize, 0, false, false);
    for byte in json.bytes() {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' => is_escaped = is_text,
            b'"' => is_text = !is_text,
            b'[' | b'{' if !is_text => {
                depth += 1;
                most = most.max(depth);
            }
            b']' | b'}' if !is_text => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    most
}

/// Counts lines as far as they are asked for.
struct Lines<'a> {
    text: &'a str,
    at: usize,
    line: usize,
}

impl Lines<'_> {
    /// The line of a part of the text. Parts come in their order.
    fn line_of(&mut self, part: &str) -> usize {
        let at = (part.as_ptr() as usize).saturating_sub(self.text.as_ptr() as usize);
        let before = self.text.as_bytes().get(self.at..at).unwrap_or_default();
        self.line += memchr::memchr_iter(b'\n', before).count();
        self.at = at.max(self.at);
        self.line
    }
}
