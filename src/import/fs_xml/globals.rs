//! FreeSWITCH's global variables, `$${name}`, as the files set them.

use std::collections::HashMap;

use super::super::words::quoted;
use super::super::{ImportError, MAX_BYTES, Place};
use crate::language::{Message, message};

/// Stands around the number of a variable that has no value. No text has these characters: they are
/// noncharacters of Unicode, and [`decoded`] takes them out of files.
const OPEN: char = '\u{FDD0}';
const CLOSE: char = '\u{FDD1}';
/// Stands for bytes that are not UTF-8.
const NOT_UTF8: char = '\u{FDD2}';

/// The longest value, in bytes. FreeSWITCH cuts lines at 1 MiB.
const MAX_VALUE_BYTES: usize = 64 * 1024;

/// Variables by name, in lower case: FreeSWITCH finds them in any.
#[derive(Default)]
pub(super) struct Globals {
    values: HashMap<String, String>,
    /// Those that a directive would set that is never run.
    not_run: HashMap<String, (String, Place)>,
    /// Those that were used and have no value.
    missing: Vec<Missing>,
    numbers: HashMap<String, usize>,
}

/// A variable without a value.
pub(super) struct Missing {
    pub(super) name: String,
    reason: Message,
}

impl Globals {
    /// Sets a variable from `name=value`, as the directive `set` does. The value loses its `${`.
    pub(super) fn assign(&mut self, assignment: &str) {
        if let Some((name, value)) = assignment.split_once('=') {
            self.set(name.trim_end_matches(' '), value.trim_start_matches(' '));
        }
    }

    pub(super) fn set(&mut self, name: &str, value: &str) {
        let mut value = value.replace("${", "%{");
        if value.len() > MAX_VALUE_BYTES {
            value.clear();
        }
        let name = name.to_ascii_lowercase();
        self.not_run.remove(&name);
        self.values.insert(name, value);
    }

    /// Remembers that a directive such as `stun-set` sets a variable, and was not run.
    pub(super) fn not_run(&mut self, directive: &str, assignment: &str, place: &Place) {
        let name = assignment.split('=').next().unwrap_or_default();
        let name = name.trim_end_matches(' ').to_ascii_lowercase();
        self.values.remove(&name);
        self.not_run.insert(name, (directive.to_owned(), place.clone()));
    }

    /// Replaces each `$${name}` of a line. One without a value becomes a mark.
    pub(super) fn expand(&mut self, line: &str) -> Result<String, ImportError> {
        let mut out = String::with_capacity(line.len());
        let mut rest = line;
        while let Some(at) = rest.find("$${") {
            out.push_str(&rest[..at]);
            rest = &rest[at..];
            let Some(end) = end_of_braces(&rest[2..]).map(|end| end + 2) else {
                break; // as FreeSWITCH: what is never closed stays
            };
            match self.values.get(&rest[3..end].to_ascii_lowercase()) {
                Some(value) => out.push_str(value),
                None => {
                    let number = self.number(&rest[3..end]);
                    out.push_str(&format!("{OPEN}{number}{CLOSE}"));
                }
            }
            if out.len() as u64 > MAX_BYTES {
                return Err(ImportError::too_large(quoted(&rest[3..end])));
            }
            rest = &rest[end + 1..];
        }
        out.push_str(rest);
        Ok(out)
    }

    fn number(&mut self, name: &str) -> usize {
        let key = name.to_ascii_lowercase();
        if let Some(number) = self.numbers.get(&key) {
            return *number;
        }
        let shown = quoted(&format!("$${{{name}}}"));
        let reason = match self.not_run.get(&key) {
            Some((directive, place)) => message!(
                "{shown} has no value: {directive} at {place} sets it, which is never executed here",
                "{shown} 没有值：它由 {place} 的 {directive} 设置，而这里从不执行它"
            ),
            None => message!("{shown} has no value in these files", "{shown} 在这些文件中没有值"),
        };
        let number = self.missing.len();
        self.missing.push(Missing {
            name: name.to_owned(),
            reason,
        });
        self.numbers.insert(key, number);
        number
    }

    /// A text with `$${name}` again where the variable has no value.
    pub(super) fn readable(&self, text: &str) -> String {
        let mut parts = text.split(OPEN);
        let mut out = parts.next().unwrap_or_default().to_owned();
        for part in parts {
            let (number, rest) = part.split_once(CLOSE).unwrap_or((part, ""));
            let missing = number.parse().ok().and_then(|number: usize| self.missing.get(number));
            out.extend(missing.map(|missing| format!("$${{{}}}", missing.name)));
            out.push_str(rest);
        }
        out.replace(NOT_UTF8, "\u{FFFD}")
    }

    /// The variables without a value that a text uses.
    pub(super) fn missing_in(&self, text: &str) -> impl Iterator<Item = &Missing> {
        text.split(OPEN).skip(1).filter_map(|part| {
            let number = part.split(CLOSE).next()?;
            self.missing.get(number.parse::<usize>().ok()?)
        })
    }
}

impl Missing {
    pub(super) fn reason(&self) -> Message {
        self.reason.clone()
    }

    pub(super) fn fix(&self) -> Message {
        let name = crate::shown::shown(&self.name);
        message!(
            "import the vars.xml that sets it as well, give the value with --set {name}=VALUE, or write it in the file",
            "请一并导入设置它的 vars.xml，或用 --set {name}=VALUE 给出值，或直接写在文件中"
        )
    }
}

/// Where the brace that a text begins with is closed (`switch_find_end_paren`).
fn end_of_braces(text: &str) -> Option<usize> {
    let mut depth = 0usize;
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'{' => depth += 1,
            b'}' => {
                depth -= 1;
                if depth == 0 {
                    return Some(at);
                }
            }
            _ => {}
        }
    }
    None
}

/// A file's text, in which all marks are ours.
pub(super) fn decoded(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        out.push_str(&chunk.valid().replace([OPEN, CLOSE, NOT_UTF8], "\u{FFFD}"));
        if !chunk.invalid().is_empty() {
            out.push(NOT_UTF8);
        }
    }
    out
}

/// Whether the file had bytes here that are not UTF-8.
pub(super) fn is_broken(text: &str) -> bool {
    text.contains(NOT_UTF8)
}
