//! Finds the line of an offset by binary search: a template file may have a hundred thousand lines.

use std::ops::Range;

use super::preprocessor;

/// The lines of a text.
#[derive(Default)]
pub(super) struct Lines {
    /// Lines as FreeSWITCH's preprocessor reads them: each ends with its CR or LF.
    preprocessed: Vec<Line>,
    /// The ends of lines as people count them.
    line_feeds: Vec<usize>,
}

struct Line {
    range: Range<usize>,
    /// False for a last line without a line end.
    is_ended: bool,
    /// Where white space ends.
    first_word: usize,
    /// Whether the preprocessor might change it.
    is_at_risk: bool,
}

impl Lines {
    /// The lines of `text`. `uncut` has the same length; it shows what the preprocessor might change.
    pub(super) fn of(text: &str, uncut: &str) -> Self {
        let preprocessed = preprocessor::lines(text).map(|range| {
            let blank = text[range.clone()]
                .bytes()
                .take_while(|byte| matches!(byte, b' ' | b'\t'));
            Line {
                first_word: range.start + blank.count(),
                is_at_risk: preprocessor::may_change(&uncut[range.clone()]),
                is_ended: text[range.clone()].ends_with(['\r', '\n']),
                range,
            }
        });
        Self {
            preprocessed: preprocessed.collect(),
            line_feeds: text.match_indices('\n').map(|(at, _)| at).collect(),
        }
    }

    /// The number of the line that holds an offset, counted from 1.
    pub(super) fn number(&self, at: usize) -> usize {
        self.line_feeds.partition_point(|end| *end < at) + 1
    }

    /// The start of the line, if nothing but white space stands between it and `at`; else `at`.
    pub(super) fn start_if_blank(&self, at: usize) -> usize {
        match self.line_of(at) {
            Some(line) if at <= line.first_word => line.range.start,
            _ => at,
        }
    }

    /// Whether the preprocessor might change the line that holds an offset.
    pub(super) fn is_at_risk(&self, at: usize) -> bool {
        self.line_of(at).is_some_and(|line| line.is_at_risk)
    }

    /// `None` after the end of the last line.
    fn line_of(&self, at: usize) -> Option<&Line> {
        let next = self.preprocessed.partition_point(|line| line.range.start <= at);
        let line = self.preprocessed.get(next.checked_sub(1)?)?;
        (at < line.range.end || !line.is_ended).then_some(line)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn lines_are_found_as_by_looking_through_all(text in "[ \ta\r\nü<?]{0,20}") {
            let lines = Lines::of(&text, &text);
            for at in (0..=text.len()).filter(|at| text.is_char_boundary(*at)) {
                let is_end = |c: char| matches!(c, '\r' | '\n');
                let start = text[..at].rfind(is_end).map_or(0, |end| end + 1);
                let end = text[at..].find(is_end).map_or(text.len(), |end| at + end + 1);
                let is_blank = text[start..at].chars().all(|c| matches!(c, ' ' | '\t'));
                prop_assert_eq!(lines.number(at), text[..at].matches('\n').count() + 1);
                prop_assert_eq!(lines.start_if_blank(at), if is_blank { start } else { at });
                prop_assert_eq!(lines.is_at_risk(at), preprocessor::may_change(&text[start..end]));
            }
        }
    }
}
