//! What FreeSWITCH's preprocessor does to the lines of a template (FACTS 8; `preprocess` in switch_xml.c), and which
//! lines an operator should change because of it.

use std::ops::Range;

use super::spans::{span_at, strictly_inside};

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
    /// Whether FreeSWITCH replaces it with text that we can't see.
    pub(super) fn inserts(&self) -> bool {
        self.action
            .as_ref()
            .is_some_and(|(cmd, _)| cmd.eq_ignore_ascii_case("include") || cmd.eq_ignore_ascii_case("exec"))
    }
}

/// A line that FreeSWITCH reads differently from what it seems to say.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Problem {
    pub(super) at: usize,
    pub(super) reason: String,
    pub(super) fix: String,
}

/// The lines of a text as the preprocessor reads them: each ends with its CR or LF.
pub(crate) fn lines(text: &str) -> impl Iterator<Item = Range<usize>> {
    let mut start = 0;
    text.split_inclusive(['\r', '\n']).map(move |line| {
        let range = start..start + line.len();
        start = range.end;
        range
    })
}

/// Texts that make FreeSWITCH drop the whole line.
const DROP_MARKS: [&str; 3] = ["<?", "<include>", "</include>"];

/// Whether the preprocessor might change a line, or parts of it if line ends were added. Does not count `$${…}`.
pub(super) fn may_change(line: &str) -> bool {
    DROP_MARKS.iter().any(|mark| line.contains(mark)) || line.contains("<!--#") || find_directive(line).is_some()
}

/// Where a line has a text that makes FreeSWITCH drop it.
pub(crate) fn drop_mark(line: &str) -> Option<(usize, &'static str)> {
    let looked_at = &line[..end_of_first_variable(line).unwrap_or(line.len())];
    DROP_MARKS
        .into_iter()
        .find_map(|mark| Some((looked_at.find(mark)?, mark)))
}

fn drops(line: &str) -> bool {
    drop_mark(line).is_some()
}

/// Where the first `$${…}` of a line ends. FreeSWITCH puts a NUL there before it looks for the drop marks.
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

/// Where a line has the letters of a directive.
pub(crate) fn find_directive(line: &str) -> Option<usize> {
    line.as_bytes()
        .windows(DIRECTIVE.len())
        .position(|window| window.eq_ignore_ascii_case(DIRECTIVE.as_bytes()))
}

/// The text that the parser sees: spaces in place of what the preprocessor drops or acts on, all else where it was.
/// `breaks` are sorted offsets where line ends will be added. Text that directives insert is unknown.
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

/// Finds the directives of a text, and the lines that FreeSWITCH reads differently from what they seem to say.
/// `comments` are the sorted spans of the comments.
pub(super) fn examine(text: &str, comments: &[Range<usize>]) -> (Vec<Directive>, Vec<Problem>) {
    let mut directives = Vec::new();
    let mut problems = Vec::new();
    for range in lines(text) {
        let line = &text[range.clone()];
        let mut report = |offset: usize, reason: &str, fix: &str| {
            problems.push(Problem {
                at: range.start + offset,
                reason: reason.to_owned(),
                fix: fix.to_owned(),
            });
        };
        if let Some((at, mark)) = drop_mark(line) {
            let reason = format!("FreeSWITCH drops any line that contains '{mark}'");
            report(
                at,
                &reason,
                &format!("remove the '{mark}', or give it a line of its own"),
            );
        } else if let Some(name) = find_directive(line) {
            let line = DirectiveLine {
                text: line,
                range: &range,
                comments,
            };
            directives.extend(examine_directive(&line, name, &mut report));
        } else if let Some(at) = line.find("<!--#") {
            let fix = "put a space before the '#' if it is meant as a comment";
            report(at, "FreeSWITCH takes '<!--#' for the start of a directive", fix);
        }
    }
    (directives, problems)
}

/// A line that has the letters of a directive.
struct DirectiveLine<'a> {
    text: &'a str,
    range: &'a Range<usize>,
    comments: &'a [Range<usize>],
}

fn examine_directive(
    line: &DirectiveLine<'_>,
    name: usize,
    report: &mut dyn FnMut(usize, &str, &str),
) -> Option<Directive> {
    let at = name.checked_sub(1).filter(|at| line.text.as_bytes()[*at] == b'<');
    let Some(at) = at else {
        if !line.is_inside_comment(name) {
            let reason = "FreeSWITCH drops any line that contains X-PRE-PROCESS, even if it is not a directive";
            report(name, reason, "give those letters a line of their own, or remove them");
        }
        return None;
    };
    let directive = Directive {
        at: line.range.start + at,
        action: read_action(&line.text[name..]),
    };
    if span_at(line.comments, directive.at).is_some() {
        let fix = "remove the line, or rename the element, to Z-PRE-PROCESS for instance";
        report(at, "FreeSWITCH executes a directive inside a comment all the same", fix);
    } else if directive.action.is_none() {
        let fix = "write <X-PRE-PROCESS cmd=\"…\" data=\"…\"/> on one line, in this order and with these quotes";
        report(at, "FreeSWITCH can't read this directive and drops its line", fix);
    }
    let end = line.text[name..].find("/>").map(|end| name + end + 2);
    if end.is_some_and(|end| line.has_text_beside(at..end)) {
        let reason = "FreeSWITCH loses what stands on the line of a directive, before and after it";
        report(at, reason, "give the directive a line of its own");
    }
    Some(directive)
}

impl DirectiveLine<'_> {
    /// Whether the line is the inside of one comment, so that FreeSWITCH loses only that comment.
    fn is_inside_comment(&self, at: usize) -> bool {
        let start = self.range.start;
        let first = start + (self.text.len() - self.text.trim_start().len());
        let last = start + self.text.trim_end().len();
        // The first and last lines of a longer comment hold its marks.
        span_at(self.comments, start + at)
            .is_some_and(|c| c.start <= first && last <= c.end && (c.start == first) == (c.end == last))
    }

    fn has_text_beside(&self, directive: Range<usize>) -> bool {
        self.text.char_indices().any(|(offset, c)| {
            !c.is_whitespace()
                && !directive.contains(&offset)
                && span_at(self.comments, self.range.start + offset).is_none()
        })
    }
}

/// `cmd` and `data` as FreeSWITCH reads them: it looks for these letters, then `=`, then a text in double quotes.
pub(crate) fn read_action(from_name: &str) -> Option<(String, String)> {
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
