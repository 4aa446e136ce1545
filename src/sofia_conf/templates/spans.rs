//! Sorted spans and offsets, searched by halving.

use std::ops::Range;

/// The span that contains an offset. `spans` are sorted and do not overlap.
pub(super) fn span_at(spans: &[Range<usize>], at: usize) -> Option<&Range<usize>> {
    let next = spans.partition_point(|span| span.start <= at);
    spans[..next].last().filter(|span| span.contains(&at))
}

/// The offsets strictly inside a range. `offsets` are sorted.
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
