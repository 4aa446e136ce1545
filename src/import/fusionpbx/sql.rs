//! The rows of some tables in an SQL dump: `COPY … FROM stdin` and `INSERT`, as `pg_dump` writes them.
//!
//! Reads one statement after the other, so that a text in a row of another table is never taken for one.

use std::collections::HashMap;
use std::sync::Arc;

use super::super::table::{Row, Table};
use super::super::{ImportError, MAX_GATEWAYS, Place};
use crate::language::{message, text};

/// A word, a text or a sign of SQL.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    /// A name, a keyword or a number. Names without quotes are in lower case.
    Word(String),
    Text(String),
    Sign(char),
}

/// The tables of these names, without their schema.
pub(super) fn read(file: &Arc<str>, dump: &str, tables: &[&str]) -> Result<HashMap<String, Table>, ImportError> {
    let mut reader = Reader {
        file,
        rest: dump,
        line: 1,
        tables,
        created: HashMap::new(),
        found: HashMap::new(),
    };
    while reader.statement()? {}
    Ok(reader.found)
}

struct Reader<'a> {
    file: &'a Arc<str>,
    rest: &'a str,
    line: usize,
    tables: &'a [&'a str],
    /// The columns of `CREATE TABLE`.
    created: HashMap<String, Vec<String>>,
    found: HashMap<String, Table>,
}

impl Reader<'_> {
    /// Reads a statement; `false` at the end.
    fn statement(&mut self) -> Result<bool, ImportError> {
        let mut tokens = Vec::new();
        let mut first = None;
        loop {
            self.skip_blank();
            let line = self.line;
            match self.token()? {
                None | Some(Token::Sign(';')) => break,
                Some(token) => {
                    first.get_or_insert(line);
                    tokens.push((token, line));
                }
            }
        }
        let words: Vec<_> = tokens.iter().take(3).map(|(token, _)| word(token)).collect();
        match words[..] {
            ["copy", ..] => self.copy(&tokens)?,
            ["insert", "into", ..] => self.insert(&tokens, first.unwrap_or_default())?,
            ["create", "table", ..] => self.create(&tokens),
            [] => return Ok(!self.rest.is_empty()),
            _ => {}
        }
        Ok(true)
    }

    /// `COPY public.v_gateways (a, b) FROM stdin;` and the lines behind it.
    fn copy(&mut self, tokens: &[(Token, usize)]) -> Result<(), ImportError> {
        if !tokens.iter().any(|(token, _)| word(token) == "stdin") {
            return Ok(());
        }
        let (table, after) = name(&tokens[1..]);
        let columns = names_in_parentheses(after);
        self.take_line();
        while let Some(line) = self.take_line() {
            if line == "\\." {
                break;
            }
            if self.tables.contains(&table.as_str()) {
                let cells = line.split('\t').map(copied).collect();
                let row = self.line - 1;
                self.push(&table, &columns, cells, row)?;
            }
        }
        Ok(())
    }

    /// `INSERT INTO public.v_gateways (a, b) VALUES (1, 'x'), (2, NULL);`
    fn insert(&mut self, tokens: &[(Token, usize)], line: usize) -> Result<(), ImportError> {
        let (table, after) = name(&tokens[2..]);
        if !self.tables.contains(&table.as_str()) {
            return Ok(());
        }
        let named = names_in_parentheses(after);
        let columns = match named.is_empty() {
            false => named,
            true => self.created.get(&table).cloned().unwrap_or_default(),
        };
        if columns.is_empty() {
            let reason = text("the INSERT names no columns", "INSERT 没有写明列名");
            let fix = text(
                "dump with `--column-inserts`, or without `--inserts`",
                "导出时请使用 `--column-inserts`，或不使用 `--inserts`",
            );
            return Err(ImportError::new(self.place(line), reason, fix));
        }
        let values = after.iter().position(|(token, _)| word(token) == "values");
        let Some(values) = values else { return Ok(()) };
        let mut cells = None;
        for (token, line) in &after[values + 1..] {
            match (token, &mut cells) {
                (Token::Sign('('), None) => cells = Some(vec![None]),
                (Token::Sign(')'), Some(row)) => {
                    let row = std::mem::take(row);
                    cells = None;
                    self.push(&table, &columns, row, *line)?;
                }
                (Token::Sign(','), Some(row)) => row.push(None),
                (Token::Text(value), Some(row)) => set_last(row, value),
                (Token::Word(value), Some(row)) if value != "null" => set_last(row, value),
                _ => {}
            }
        }
        Ok(())
    }

    /// `CREATE TABLE public.v_gateways ( a uuid NOT NULL, b text );`
    fn create(&mut self, tokens: &[(Token, usize)]) {
        const NO_COLUMN: [&str; 5] = ["constraint", "primary", "unique", "foreign", "check"];
        let (table, after) = name(&tokens[2..]);
        let mut columns = Vec::new();
        let (mut depth, mut is_first) = (0, true);
        for (token, _) in after {
            match token {
                Token::Sign('(') => depth += 1,
                Token::Sign(')') => depth -= 1,
                Token::Sign(',') if depth == 1 => is_first = true,
                Token::Word(name) if depth == 1 && is_first => {
                    is_first = false;
                    if !NO_COLUMN.contains(&name.as_str()) {
                        columns.push(name.clone());
                    }
                }
                _ => {}
            }
        }
        self.created.insert(table, columns);
    }

    fn push(
        &mut self,
        table: &str,
        columns: &[String],
        cells: Vec<Option<String>>,
        line: usize,
    ) -> Result<(), ImportError> {
        let place = self.place(line);
        if cells.len() != columns.len() {
            let (cells, columns) = (cells.len(), columns.len());
            let reason = message!(
                "the row has {cells} values for {columns} columns",
                "该行有 {cells} 个值，列有 {columns} 个"
            );
            return Err(ImportError::new(
                place,
                reason,
                text("dump the table again", "请重新导出该表"),
            ));
        }
        let found = self.found.entry(table.to_owned()).or_insert_with(|| Table {
            columns: columns.to_vec(),
            rows: Vec::new(),
        });
        if found.rows.len() == MAX_GATEWAYS {
            return Err(ImportError::too_many_gateways(place));
        }
        // Statements may name the columns in another order.
        let cells = match found.columns == columns {
            true => cells,
            false => reordered(&found.columns, columns, &cells),
        };
        found.rows.push(Row { place, cells });
        Ok(())
    }

    fn place(&self, line: usize) -> Place {
        Place {
            file: self.file.clone(),
            line,
        }
    }

    fn take_line(&mut self) -> Option<String> {
        if self.rest.is_empty() {
            return None;
        }
        let end = self.rest.find('\n').map_or(self.rest.len(), |end| end + 1);
        let line = self.take(end);
        let line = line.strip_suffix('\n').unwrap_or(line);
        Some(line.strip_suffix('\r').unwrap_or(line).to_owned())
    }

    /// Skips white space and comments.
    fn skip_blank(&mut self) {
        loop {
            let blank = self.rest.len() - self.rest.trim_start().len();
            self.take(blank);
            // `\restrict` and other commands of psql stand alone on a line, like comments.
            let end = match () {
                () if self.rest.starts_with("--") || self.rest.starts_with('\\') => self.rest.find('\n'),
                () if self.rest.starts_with("/*") => self.rest.find("*/").map(|end| end + 2),
                () => return,
            };
            self.take(end.unwrap_or(self.rest.len()));
        }
    }

    fn token(&mut self) -> Result<Option<Token>, ImportError> {
        let Some(first) = self.rest.chars().next() else {
            return Ok(None);
        };
        Ok(Some(match first {
            '\'' => Token::Text(self.quoted('\'', false)?),
            '"' | '`' => Token::Word(self.quoted(first, false)?),
            'E' | 'e' if self.rest[1..].starts_with('\'') => {
                self.take(1);
                Token::Text(self.quoted('\'', true)?)
            }
            '$' => match dollar_tag(self.rest) {
                Some(tag) => Token::Text(self.dollar_quoted(tag)?),
                None => {
                    self.take(1);
                    Token::Sign('$')
                }
            },
            c if is_word(c) => {
                let end = self.rest.find(|c| !is_word(c)).unwrap_or(self.rest.len());
                Token::Word(self.take(end).to_ascii_lowercase())
            }
            c => {
                self.take(c.len_utf8());
                Token::Sign(c)
            }
        }))
    }

    /// A text in quotes. Two quotes inside of it stand for one.
    fn quoted(&mut self, quote: char, with_backslashes: bool) -> Result<String, ImportError> {
        let start = self.line;
        let mut out = String::new();
        let mut chars = self.rest.char_indices().skip(1).peekable();
        while let Some((at, c)) = chars.next() {
            match c {
                '\\' if with_backslashes => {
                    if let Some((_, c)) = chars.next() {
                        out.push(unescaped(c));
                    }
                }
                c if c == quote => match chars.peek() {
                    Some((_, next)) if *next == quote => {
                        chars.next();
                        out.push(c);
                    }
                    _ => {
                        self.take(at + c.len_utf8());
                        return Ok(out);
                    }
                },
                c => out.push(c),
            }
        }
        Err(self.unclosed(start))
    }

    fn dollar_quoted(&mut self, tag: &str) -> Result<String, ImportError> {
        let start = self.line;
        let inside = &self.rest[tag.len()..];
        let end = inside.find(tag).ok_or_else(|| self.unclosed(start))?;
        let content = inside[..end].to_owned();
        self.take(end + 2 * tag.len());
        Ok(content)
    }

    fn unclosed(&self, line: usize) -> ImportError {
        let reason = text("a text has no closing quote", "文本缺少结束引号");
        ImportError::new(self.place(line), reason, text("dump the table again", "请重新导出该表"))
    }
}

impl<'a> Reader<'a> {
    fn take(&mut self, bytes: usize) -> &'a str {
        let (taken, rest) = self.rest.split_at(bytes);
        self.rest = rest;
        self.line += memchr::memchr_iter(b'\n', taken.as_bytes()).count();
        taken
    }
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '_' | '.' | '-' | '+')
}

fn word(token: &Token) -> &str {
    match token {
        Token::Word(word) => word,
        Token::Text(_) | Token::Sign(_) => "",
    }
}

/// The last part of `public.v_gateways`, and the tokens behind the name.
fn name(tokens: &[(Token, usize)]) -> (String, &[(Token, usize)]) {
    const BEFORE: [&str; 4] = ["only", "if", "not", "exists"];
    let mut last = String::new();
    for (at, (token, _)) in tokens.iter().enumerate() {
        match token {
            Token::Word(word) if BEFORE.contains(&word.as_str()) => {}
            Token::Word(word) if last.is_empty() || word.starts_with('.') || last.ends_with('.') => {
                last.push_str(word);
            }
            _ => return (table_of(&last), &tokens[at..]),
        }
    }
    (table_of(&last), &[])
}

fn table_of(name: &str) -> String {
    name.rsplit('.').next().unwrap_or_default().to_owned()
}

/// The names of `(a, "b")`, if that comes next.
fn names_in_parentheses(tokens: &[(Token, usize)]) -> Vec<String> {
    let Some((Token::Sign('('), _)) = tokens.first() else {
        return Vec::new();
    };
    let inside = tokens[1..].iter().map(|(token, _)| token);
    let inside = inside.take_while(|token| **token != Token::Sign(')'));
    inside
        .map(word)
        .filter(|word| !word.is_empty())
        .map(str::to_owned)
        .collect()
}

/// `$$` or `$name$` at the start of a text.
fn dollar_tag(text: &str) -> Option<&str> {
    let end = text[1..].find('$')? + 2;
    let tag = &text[..end];
    let is_tag = tag[1..end - 1].chars().all(|c| c.is_alphanumeric() || c == '_');
    is_tag.then_some(tag)
}

/// Of a cast such as `'x'::text` the text counts, which comes first.
fn set_last(row: &mut [Option<String>], value: &str) {
    if let Some(cell @ None) = row.last_mut() {
        *cell = Some(value.to_owned());
    }
}

fn reordered(to: &[String], from: &[String], cells: &[Option<String>]) -> Vec<Option<String>> {
    let cell = |column: &String| {
        let at = from.iter().position(|known| known == column)?;
        cells.get(at)?.clone()
    };
    to.iter().map(cell).collect()
}

/// A field of COPY's text format.
fn copied(field: &str) -> Option<String> {
    if field == "\\N" {
        return None;
    }
    let mut out = String::with_capacity(field.len());
    let mut chars = field.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => out.extend(chars.next().map(unescaped)),
            c => out.push(c),
        }
    }
    Some(out)
}

fn unescaped(c: char) -> char {
    match c {
        'b' => '\u{8}',
        'f' => '\u{C}',
        'n' => '\n',
        'r' => '\r',
        't' => '\t',
        'v' => '\u{B}',
        c => c,
    }
}

#[cfg(test)]
mod tests;
