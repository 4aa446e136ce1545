//! Reads YAML 1.2 by its events, into the JSON of the same value.
//!
//! serde would read `+4930123`, `0123` and `1.50` as numbers, and FreeSWITCH would get other digits. So a
//! plain scalar is a number only if JSON writes it like that, and any other is a text.

use std::collections::HashSet;

use serde_json::value::RawValue;
use serde_saphyr::granit_parser::{Event, Parser, ScalarStyle, ScanError, Span, options};

use super::{DocumentError, DocumentProblem, MAX_DEPTH, MAX_DOCUMENTS, MAX_KEY_BYTES, Record};
use crate::gateway::Document;
use crate::language::Message;

pub(super) fn read(text: &str) -> Result<Vec<Record>, DocumentError> {
    let options = options! {
        // Escaped, a key may take six times its length.
        simple_key_max_lookahead: 8 * MAX_KEY_BYTES,
        flow_nesting_limit: 2 * MAX_DEPTH,
        block_nesting_limit: 2 * MAX_DEPTH,
    };
    let mut reader = Reader {
        events: Parser::new_from_str_with_options(text, options),
        line: 1,
        records: Vec::new(),
    };
    reader.read_all().map_err(|problem| match problem {
        Stop::Here(problem) => DocumentError::new(reader.line, problem),
        Stop::At(error) => error,
    })?;
    Ok(reader.records)
}

struct Reader<E> {
    events: E,
    /// Of the last event.
    line: usize,
    records: Vec<Record>,
}

/// What ends the reading.
enum Stop {
    /// In the line of the last event.
    Here(DocumentProblem),
    At(DocumentError),
}

impl From<DocumentProblem> for Stop {
    fn from(problem: DocumentProblem) -> Self {
        Self::Here(problem)
    }
}

impl<'a, E: Iterator<Item = Result<(Event<'a>, Span), ScanError>>> Reader<E> {
    fn next(&mut self) -> Result<Event<'a>, Stop> {
        match self.events.next() {
            Some(Ok((event, span))) => {
                // An end is behind what it ends.
                if !matches!(event, Event::MappingEnd | Event::SequenceEnd | Event::DocumentEnd) {
                    self.line = span.start.line();
                }
                Ok(event)
            }
            Some(Err(error)) => {
                let problem = DocumentProblem::Syntax(Message::same(error.kind().to_string()));
                Err(Stop::At(DocumentError::new(error.marker().line(), problem)))
            }
            None => Ok(Event::StreamEnd),
        }
    }

    fn read_all(&mut self) -> Result<(), Stop> {
        loop {
            match self.next()? {
                Event::StreamEnd => return Ok(()),
                Event::StreamStart | Event::DocumentStart(..) | Event::DocumentEnd => {}
                // An empty document, as after a last `---`.
                Event::Scalar(text, ScalarStyle::Plain, ..) if is_null(&text) => {}
                Event::SequenceStart(_, _, None) => loop {
                    match self.next()? {
                        Event::SequenceEnd => break,
                        event => self.record(event)?,
                    }
                },
                event => self.record(event)?,
            }
        }
    }

    fn record(&mut self, event: Event<'a>) -> Result<(), Stop> {
        let line = self.line;
        let at = |problem| Stop::At(DocumentError::new(line, problem));
        if !matches!(event, Event::MappingStart(..)) {
            return Err(at(DocumentProblem::NotAnObject));
        }
        if self.records.len() >= MAX_DOCUMENTS {
            return Err(at(DocumentProblem::TooMany));
        }
        let mut json = String::new();
        self.node(event, &mut json, MAX_DEPTH)?;
        let document = Document::parse(json.as_bytes()).map_err(|said| at(DocumentProblem::Syntax(said)))?;
        self.records.push(Record::read(document, line).map_err(at)?);
        Ok(())
    }

    /// Writes the node that begins with this event.
    fn node(&mut self, event: Event<'a>, json: &mut String, depth: usize) -> Result<(), Stop> {
        match event {
            Event::Scalar(text, style, _, tag) => {
                let is_plain = match tag {
                    None => style == ScalarStyle::Plain,
                    Some(tag) if tag.is_yaml_core_schema_tag("str") => false,
                    Some(_) => return Err(DocumentProblem::Tag.into()),
                };
                json.push_str(&match is_plain.then(|| plain(&text)).flatten() {
                    Some(literal) => literal.to_owned(),
                    None => quoted(&text),
                });
                Ok(())
            }
            Event::SequenceStart(.., Some(_)) | Event::MappingStart(.., Some(_)) => Err(DocumentProblem::Tag.into()),
            Event::SequenceStart(..) => {
                let depth = depth.checked_sub(1).ok_or(DocumentProblem::TooDeep)?;
                json.push('[');
                loop {
                    match self.next()? {
                        Event::SequenceEnd => break,
                        event => self.node(event, json, depth)?,
                    }
                    json.push(',');
                }
                close(json, ']');
                Ok(())
            }
            Event::MappingStart(..) => self.mapping(json, depth.checked_sub(1).ok_or(DocumentProblem::TooDeep)?),
            Event::Alias(_) | Event::UnresolvedAlias(_) => Err(DocumentProblem::Alias.into()),
            _ => Err(DocumentProblem::NotAnObject.into()),
        }
    }

    fn mapping(&mut self, json: &mut String, depth: usize) -> Result<(), Stop> {
        let mut keys = HashSet::new();
        json.push('{');
        loop {
            let key = match self.next()? {
                Event::MappingEnd => break,
                Event::Scalar(key, _, _, None) if key.len() <= MAX_KEY_BYTES => key,
                Event::Alias(_) => return Err(DocumentProblem::Alias.into()),
                _ => return Err(DocumentProblem::Key.into()),
            };
            json.push_str(&quoted(&key));
            json.push(':');
            let key = key.into_owned();
            if keys.contains(&key) {
                return Err(DocumentProblem::RepeatedKey(key).into());
            }
            keys.insert(key);
            let value = self.next()?;
            self.node(value, json, depth)?;
            json.push(',');
        }
        close(json, '}');
        Ok(())
    }
}

/// In place of the comma behind the last item.
fn close(json: &mut String, end: char) {
    if json.ends_with(',') {
        json.pop();
    }
    json.push(end);
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

fn is_null(text: &str) -> bool {
    matches!(text, "" | "~" | "null" | "Null" | "NULL")
}

/// The JSON of a scalar without quotes; `None` if it is a text.
pub(super) fn plain(text: &str) -> Option<&str> {
    match text {
        "true" | "True" | "TRUE" => Some("true"),
        "false" | "False" | "FALSE" => Some("false"),
        _ if is_null(text) => Some("null"),
        _ if is_number(text) => Some(text),
        _ => None,
    }
}

/// As JSON writes numbers.
fn is_number(text: &str) -> bool {
    text.starts_with(|c: char| c == '-' || c.is_ascii_digit())
        && text.ends_with(|c: char| c.is_ascii_digit())
        && serde_json::from_str::<&RawValue>(text).is_ok()
}
