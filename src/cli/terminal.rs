//! Text that people read: how wide it may be, and times as they say them.

use std::io::IsTerminal;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// Columns and lines of the terminal that standard output is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Size {
    pub(super) columns: usize,
    pub(super) lines: usize,
}

/// Of a terminal that reports none, such as a serial console.
pub(super) const UNKNOWN_SIZE: Size = Size { columns: 80, lines: 24 };

/// `None` when standard output is no terminal, so that nothing is shortened for it.
pub(super) fn size() -> Option<Size> {
    if !std::io::stdout().is_terminal() {
        return None;
    }
    // Not crossterm's: that one asks the controlling terminal, wherever the output goes.
    let size = terminal_size::terminal_size_of(std::io::stdout()).map(|(columns, lines)| Size {
        columns: columns.0.into(),
        lines: lines.0.into(),
    });
    Some(size.unwrap_or(UNKNOWN_SIZE))
}

/// As many columns as a terminal uses for the text.
pub(super) fn width_of(text: &str) -> usize {
    text.width()
}

/// The text in at most `width` columns; one that is cut ends in `…`.
pub(super) fn clip(text: &str, width: usize) -> String {
    if text.width() <= width {
        return text.to_owned();
    }
    let mut clipped = String::new();
    let mut used = 1;
    for c in text.chars() {
        used += c.width().unwrap_or(0);
        if used > width {
            break;
        }
        clipped.push(c);
    }
    if width > 0 {
        clipped.truncate(clipped.trim_end().len());
        clipped.push('…');
    }
    clipped
}

/// The text in lines of at most `width` columns, broken between words; each line but the first is
/// indented.
pub(super) fn wrap(text: &str, width: usize) -> Vec<String> {
    let options = textwrap::Options::new(width)
        .subsequent_indent("    ")
        .word_separator(textwrap::WordSeparator::AsciiSpace)
        .word_splitter(textwrap::WordSplitter::NoHyphenation);
    let lines = textwrap::wrap(text, options);
    lines.into_iter().map(std::borrow::Cow::into_owned).collect()
}

/// `45 s`, `12 min`, `2 h 10 min`, `3 d 4 h`.
pub(super) fn age(age: SignedDuration) -> String {
    let seconds = age.as_secs().max(0);
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    let two = |large: i64, unit: &str, small: i64, small_unit: &str| match small {
        0 => format!("{large} {unit}"),
        _ => format!("{large} {unit} {small} {small_unit}"),
    };
    match () {
        () if days > 0 => two(days, "d", hours % 24, "h"),
        () if hours > 0 => two(hours, "h", minutes % 60, "min"),
        () if minutes > 0 => format!("{minutes} min"),
        () => format!("{seconds} s"),
    }
}

/// The local time with its zone, and the date unless it is today's: `14:02:11 CET`, `2026-11-24
/// 14:02:11 CET`.
pub(super) fn clock(at: Timestamp, now: Timestamp) -> String {
    let zone = TimeZone::system();
    let (at, now) = (at.to_zoned_datetime(zone.clone()), now.to_zoned_datetime(zone));
    let format = match at.date() == now.date() {
        true => "%H:%M:%S %Z",
        false => "%Y-%m-%d %H:%M:%S %Z",
    };
    at.strftime(format).to_string()
}

/// `2026-11-24T14:02:11+01:00`, for programs.
pub(super) fn stamp(at: Timestamp) -> String {
    let at = at.to_zoned_datetime(TimeZone::system());
    at.strftime("%Y-%m-%dT%H:%M:%S%:z").to_string()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn ages_are_said_in_their_two_largest_units() {
        let cases = [
            (-5, "0 s"),
            (0, "0 s"),
            (59, "59 s"),
            (60, "1 min"),
            (3599, "59 min"),
            (3600, "1 h"),
            (7800, "2 h 10 min"),
            (86_399, "23 h 59 min"),
            (86_400, "1 d"),
            (98_000, "1 d 3 h"),
        ];
        for (seconds, expected) in cases {
            assert_eq!(age(SignedDuration::from_secs(seconds)), expected);
        }
    }

    #[test]
    fn what_is_clipped_says_so_and_counts_columns_not_characters() {
        assert_eq!(clip("403 Forbidden", 13), "403 Forbidden");
        assert_eq!(clip("403 Forbidden", 12), "403 Forbidd…");
        assert_eq!(clip("403 Forbidden", 5), "403…");
        assert_eq!(clip("顶顶通密码", 10), "顶顶通密码");
        assert_eq!(clip("顶顶通密码", 9), "顶顶通密…");
        assert_eq!(clip("顶顶通密码", 8), "顶顶通…");
        assert_eq!(clip("abc", 0), "");
    }

    #[test]
    fn lines_break_between_words() {
        let text = "fs1: 480 up, 12 down; held: removes 40 of 50";
        assert_eq!(wrap(text, 80), [text]);
        let broken = ["fs1: 480 up, 12 down;", "    held: removes 40 of", "    50"];
        assert_eq!(wrap(text, 23), broken);
    }

    proptest! {
        #[test]
        fn nothing_is_wider_than_it_may_be(text in "[ a-z顶…é]{0,60}", width in 6usize..40) {
            prop_assert!(clip(&text, width).width() <= width);
            for line in wrap(&text, width) {
                prop_assert!(line.width() <= width, "{line:?}");
            }
        }
    }
}
