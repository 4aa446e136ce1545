//! Where the lines of a text begin, and sorted spans of it: found by halving, since a template file may have a hundred
//! thousand of each.

use std::ops::Range;

use super::preprocessor;

/// The lines of a text.
#[derive(Default)]
pub(super) struct Lines {
    /// As FreeSWITCH's preprocessor reads them: each ends with its CR or LF.
    preprocessed: Vec<Line>,
    /// The ends of those that people count.
    line_feeds: Vec<usize>,
}

struct Line {
    range: Range<usize>,
    /// The last one may have no end.
    is_ended: bool,
    /// Where something else than white space begins.
    first_word: usize,
    /// Whether the preprocessor might change it.
    is_at_risk: bool,
}

impl Lines {
    /// Of `text`. What the preprocessor might do is read from `uncut`, which is as long.
    pub(super) fn of(text: &str, uncut: &str) -> Self {
        let preprocessed = preprocessor::lines(text).map(|range| {
            let blank = text[range.clone()]
                .bytes()
                .take_while(|byte| matches!(byte, b' ' | b'\t'));
            Line {
                first_word: range.start + blank.count(),
                is_at_risk: preprocessor::may_meddle_with(&uncut[range.clone()]),
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

    /// `None` behind the end of the last line.
    fn line_of(&self, at: usize) -> Option<&Line> {
        let next = self.preprocessed.partition_point(|line| line.range.start <= at);
        let line = self.preprocessed.get(next.checked_sub(1)?)?;
        (at < line.range.end || !line.is_ended).then_some(line)
    }
}

/// Of spans that are sorted and apart from each other, the one that holds an offset.
pub(super) fn span_at(spans: &[Range<usize>], at: usize) -> Option<&Range<usize>> {
    let next = spans.partition_point(|span| span.start <= at);
    spans[..next].last().filter(|span| span.contains(&at))
}

/// Of sorted offsets, those strictly inside a range.
pub(super) fn strictly_inside<'a>(offsets: &'a [usize], range: &Range<usize>) -> &'a [usize] {
    let first = offsets.partition_point(|at| *at <= range.start);
    let end = offsets.partition_point(|at| *at < range.end);
    offsets.get(first..end).unwrap_or_default()
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
                prop_assert_eq!(lines.is_at_risk(at), preprocessor::may_meddle_with(&text[start..end]));
            }
        }

        #[test]
        fn spans_are_found_as_by_looking_through_all(mut ends in proptest::collection::btree_set(0..40usize, 0..12), at in 0..45usize, to in 0..45usize) {
            if ends.len() % 2 == 1 {
                ends.pop_last();
            }
            let ends: Vec<_> = ends.into_iter().collect();
            let spans: Vec<_> = ends.chunks(2).map(|pair| pair[0]..pair[1]).collect();
            prop_assert_eq!(span_at(&spans, at), spans.iter().find(|span| span.contains(&at)));
            let expected: Vec<_> = ends.iter().copied().filter(|end| at < *end && *end < to).collect();
            prop_assert_eq!(strictly_inside(&ends, &(at..to)), expected);
        }
    }
}
