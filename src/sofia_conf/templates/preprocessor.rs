//! What FreeSWITCH's preprocessor does to the lines of a template (FACTS 8; `preprocess` in switch_xml.c), and what an
//! operator should be told about it.

use std::ops::Range;

use super::lines::{span_at, strictly_inside};

/// The name of a directive's element, in any case.
pub(super) const DIRECTIVE: &str = "x-pre-process";

/// A directive as FreeSWITCH finds it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Directive {
    /// Where its `<` is.
    pub(super) at: usize,
    /// `cmd` and `data`, if FreeSWITCH can read both.
    pub(super) action: Option<(String, String)>,
}

impl Directive {
    /// Whether it puts text that we can't see in its place.
    pub(super) fn inserts(&self) -> bool {
        self.action
            .as_ref()
            .is_some_and(|(cmd, _)| cmd.eq_ignore_ascii_case("include") || cmd.eq_ignore_ascii_case("exec"))
    }
}

/// Something to tell about a place in a text.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Note {
    pub(super) at: usize,
    pub(super) reason: String,
    pub(super) mend: String,
}

/// The lines of a text as the preprocessor reads them: each ends with its CR or LF.
pub(super) fn lines(text: &str) -> impl Iterator<Item = Range<usize>> {
    let mut start = 0;
    text.split_inclusive(['\r', '\n']).map(move |line| {
        let range = start..start + line.len();
        start = range.end;
        range
    })
}

/// What makes FreeSWITCH drop a line whole.
const DROP_MARKS: [&str; 3] = ["<?", "<include>", "</include>"];

/// Whether the preprocessor might not pass a line on as it is, or parts of it if it were broken; `$${…}` aside.
pub(super) fn may_meddle_with(line: &str) -> bool {
    DROP_MARKS.iter().any(|mark| line.contains(mark)) || line.contains("<!--#") || find_directive(line).is_some()
}

/// Where on a line the letters are for which FreeSWITCH drops it whole.
fn drop_mark(line: &str) -> Option<(usize, &'static str)> {
    let looked_at = &line[..end_of_first_variable(line).unwrap_or(line.len())];
    DROP_MARKS
        .into_iter()
        .find_map(|mark| Some((looked_at.find(mark)?, mark)))
}

fn drops(line: &str) -> bool {
    drop_mark(line).is_some()
}

/// Where the first `$${…}` of a line ends. FreeSWITCH puts a NUL there before it looks for what makes it drop the line.
fn end_of_first_variable(line: &str) -> Option<usize> {
    let bytes = line.as_bytes();
    // Braces that are open; each closes the one that was opened last.
    let mut open = Vec::new();
    // Where the first variable that is closed begins and ends.
    let mut first: Option<(usize, usize)> = None;
    for (at, byte) in bytes.iter().enumerate() {
        match byte {
            b'{' => open.push(at),
            b'}' => {
                let Some(brace) = open.pop() else { continue };
                let is_first = first.is_none_or(|(start, _)| brace < start);
                if is_first && bytes[..brace].ends_with(b"$$") {
                    first = Some((brace, at));
                }
            }
            _ => {}
        }
    }
    first.map(|(_, end)| end)
}

fn find_directive(line: &str) -> Option<usize> {
    line.as_bytes()
        .windows(DIRECTIVE.len())
        .position(|window| window.eq_ignore_ascii_case(DIRECTIVE.as_bytes()))
}

/// What the parser gets to see of a text: what the preprocessor drops or acts on is blank, all else is where it was.
/// `breaks` are places, sorted, where a line will be broken before the text is sent. What directives insert is not known here.
pub(super) fn surviving(text: &str, breaks: &[usize]) -> String {
    let mut out = String::with_capacity(text.len());
    let mut in_directive_comment = false;
    for line in lines(text) {
        let mut start = line.start;
        let inner = strictly_inside(breaks, &line).iter().copied();
        for end in inner.chain([line.end]) {
            if start < end {
                push_surviving(&mut out, &text[start..end], &mut in_directive_comment);
                start = end;
            }
        }
    }
    out
}

fn push_surviving(out: &mut String, line: &str, in_directive_comment: &mut bool) {
    if drops(line) {
        return blank(out, line);
    }
    let mut rest = line;
    if *in_directive_comment {
        let Some(end) = line.find("-->") else {
            return blank(out, line);
        };
        *in_directive_comment = false;
        let (gone, left) = line.split_at(end + 3);
        blank(out, gone);
        rest = left;
    }
    if find_directive(rest).is_some() {
        blank(out, rest);
    } else if let Some(start) = rest.find("<!--#") {
        let (kept, directive) = rest.split_at(start);
        out.push_str(kept);
        match directive.find("-->") {
            Some(end) => {
                let (gone, left) = directive.split_at(end + 3);
                blank(out, gone);
                out.push_str(left);
            }
            None => {
                blank(out, directive);
                *in_directive_comment = true;
            }
        }
    } else {
        out.push_str(rest);
    }
}

/// As many spaces as there are bytes; line ends stay.
fn blank(out: &mut String, text: &str) {
    out.extend(
        text.bytes()
            .map(|b| if matches!(b, b'\r' | b'\n') { char::from(b) } else { ' ' }),
    );
}

/// Finds the directives of a text, and what FreeSWITCH will not do as it reads. `comments` are the spans of the
/// comments, sorted.
pub(super) fn examine(text: &str, comments: &[Range<usize>]) -> (Vec<Directive>, Vec<Note>) {
    let mut directives = Vec::new();
    let mut notes = Vec::new();
    for range in lines(text) {
        let line = &text[range.clone()];
        let mut note = |offset: usize, reason: &str, mend: &str| {
            notes.push(Note {
                at: range.start + offset,
                reason: reason.to_owned(),
                mend: mend.to_owned(),
            });
        };
        if let Some((at, mark)) = drop_mark(line) {
            let reason = format!("FreeSWITCH drops a line that holds '{mark}' whole");
            note(
                at,
                &reason,
                &format!("remove the '{mark}', or give it a line of its own"),
            );
        } else if let Some(name) = find_directive(line) {
            let at = name.saturating_sub(1);
            if name == 0 || line.as_bytes()[at] != b'<' {
                if !is_inside(comments, range.start + name, line, range.start) {
                    let mend = "give those letters a line of their own, or remove them";
                    note(
                        name,
                        "FreeSWITCH drops a line that holds the letters X-PRE-PROCESS and is no directive whole",
                        mend,
                    );
                }
                continue;
            }
            let directive = Directive {
                at: range.start + at,
                action: read_action(&line[name..]),
            };
            let end = line[name..].find("/>").map(|end| name + end + 2);
            if span_at(comments, directive.at).is_some() {
                let mend = "remove the line, or rename the element, to Z-PRE-PROCESS for instance";
                note(
                    at,
                    "FreeSWITCH executes a directive inside a comment all the same",
                    mend,
                );
            } else if directive.action.is_none() {
                let mend =
                    "write <X-PRE-PROCESS cmd=\"…\" data=\"…\"/> on one line, in this order and with these quotes";
                note(at, "FreeSWITCH can't read this directive and drops its line", mend);
            }
            if let Some(end) = end
                && has_text_beside(line, range.start, at..end, comments)
            {
                let mend = "give the directive a line of its own";
                note(
                    at,
                    "FreeSWITCH loses what stands on the line of a directive, before and after it",
                    mend,
                );
            }
            directives.push(directive);
        } else if let Some(at) = line.find("<!--#") {
            let mend = "put a space before the '#' if it is meant as a comment";
            note(at, "FreeSWITCH takes '<!--#' for the start of a directive", mend);
        }
    }
    (directives, notes)
}

/// Whether a line's text around an offset is the inside of one comment, so that nothing is lost with it.
fn is_inside(comments: &[Range<usize>], at: usize, line: &str, line_start: usize) -> bool {
    let first = line_start + (line.len() - line.trim_start().len());
    let last = line_start + line.trim_end().len();
    // Of a comment over several lines, its first and its last line hold its marks.
    span_at(comments, at).is_some_and(|c| c.start <= first && last <= c.end && (c.start == first) == (c.end == last))
}

fn has_text_beside(line: &str, line_start: usize, directive: Range<usize>, comments: &[Range<usize>]) -> bool {
    line.char_indices().any(|(offset, c)| {
        !c.is_whitespace() && !directive.contains(&offset) && span_at(comments, line_start + offset).is_none()
    })
}

/// `cmd` and `data` as FreeSWITCH reads them: it looks for these letters, then `=`, then a text in double quotes.
fn read_action(from_name: &str) -> Option<(String, String)> {
    let tag = &from_name[..from_name.find("/>").map_or(from_name.len(), |end| end + 2)];
    let (cmd, rest) = quoted_after(tag, "cmd")?;
    let (data, _) = quoted_after(rest, "data")?;
    Some((cmd.to_owned(), data.to_owned()))
}

fn quoted_after<'a>(text: &'a str, name: &str) -> Option<(&'a str, &'a str)> {
    let start = text
        .as_bytes()
        .windows(name.len())
        .position(|window| window.eq_ignore_ascii_case(name.as_bytes()))?;
    let text = &text[start..];
    let text = &text[text.find('=')?..];
    let text = &text[text.find('"')? + 1..];
    text.split_once('"')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_first_variable_ends_where_freeswitch_counts_its_braces_to_the_end(line in "([$]{2}[{]|[$]|[{]|[}]|a){0,16}") {
            let by_counting = line.match_indices("$${").find_map(|(start, _)| {
                let mut depth = 0;
                let length = line[start + 2..].bytes().position(|b| {
                    depth += i32::from(b == b'{') - i32::from(b == b'}');
                    b == b'}' && depth == 0
                });
                Some(start + 2 + length?)
            });
            prop_assert_eq!(end_of_first_variable(&line), by_counting);
        }
    }
}
