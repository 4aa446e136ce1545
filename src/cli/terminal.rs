//! Talks to a person at a terminal: how wide a text may be, how times are written, a question.

use std::io::{IsTerminal, Write};

use comfy_table::{ContentArrangement, Table, presets};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use super::while_doing;

/// Spaces between two columns.
const GAP: usize = 2;

/// The size of the terminal behind standard output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Size {
    pub(super) columns: usize,
    pub(super) lines: usize,
}

/// For a terminal that reports no size, such as a serial console.
pub(super) const UNKNOWN_SIZE: Size = Size { columns: 80, lines: 24 };

/// `None` if standard output is not a terminal: then nothing is shortened.
pub(super) fn size() -> Option<Size> {
    if !std::io::stdout().is_terminal() {
        return None;
    }
    // crossterm would ask the controlling terminal, even if the output goes elsewhere.
    let size = terminal_size::terminal_size_of(std::io::stdout()).map(|(columns, lines)| Size {
        columns: columns.0.into(),
        lines: lines.0.into(),
    });
    Some(size.unwrap_or(UNKNOWN_SIZE))
}

/// The number of columns that the text takes on a terminal.
pub(super) fn width_of(text: &str) -> usize {
    text.width()
}

/// `12 gateways`.
pub(super) fn gateways(count: usize) -> String {
    match count {
        1 => "1 gateway".to_owned(),
        _ => format!("{count} gateways"),
    }
}

/// Cuts the text to `width` columns. A text that was cut ends in `…`.
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

/// Breaks the text between words into lines of at most `width` columns. All lines but the first are
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

/// [`clock`] on a terminal, [`stamp`] elsewhere.
pub(super) fn moment(at: Timestamp, now: Timestamp) -> String {
    match size() {
        Some(_) => clock(at, now),
        None => stamp(at),
    }
}

/// A plain table. Nothing is cut: cells are short, or worth a second line.
pub(super) fn table<const COLUMNS: usize>(
    headings: [&str; COLUMNS],
    rows: impl IntoIterator<Item = [String; COLUMNS]>,
) -> String {
    let mut table = Table::new();
    table
        .load_style(presets::NOTHING)
        .set_content_arrangement(ContentArrangement::Disabled)
        .set_header(headings)
        .add_rows(rows);
    for column in table.column_iter_mut() {
        column.set_padding((0, u16::try_from(GAP).unwrap_or_default()));
    }
    table.lines().map(|line| format!("{}\n", line.trim_end())).collect()
}

/// A table whose lines are cut to the width of a terminal. `widest` is of all columns but the last, which
/// gets what they leave.
pub(super) fn fitted_table<const COLUMNS: usize>(
    headings: [&str; COLUMNS],
    widest: &[usize],
    rows: Vec<[String; COLUMNS]>,
    size: Option<Size>,
) -> String {
    let Some(size) = size else {
        return table(headings, rows);
    };
    let mut left = size.columns;
    let widths: [usize; COLUMNS] = std::array::from_fn(|column| {
        let cells = rows.iter().map(|row| width_of(&row[column]));
        let natural = cells.max().unwrap_or(0).max(headings[column].len());
        let most = widest.get(column).copied().unwrap_or(usize::MAX);
        let width = natural.min(most).min(left);
        left = left.saturating_sub(width + GAP);
        width
    });
    let fitted = |row: &[String; COLUMNS]| std::array::from_fn(|column| clip(&row[column], widths[column]));
    table(headings, rows.iter().map(fitted).collect::<Vec<_>>())
}

/// Asks for a yes on standard error. `without_terminal` says what to do where nobody can answer.
pub(super) fn confirm(question: &str, without_terminal: &'static str) -> anyhow::Result<bool> {
    let stdin = std::io::stdin();
    if !stdin.is_terminal() {
        anyhow::bail!("there is no terminal to ask on: {without_terminal}");
    }
    eprint!("{question} [y/N] ");
    std::io::stderr().flush().map_err(while_doing("cannot ask"))?;
    let mut answer = String::new();
    stdin.read_line(&mut answer).map_err(while_doing("cannot ask"))?;
    Ok(matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_age_is_written_in_its_two_largest_units() {
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
    fn clipped_text_ends_in_an_ellipsis_and_is_measured_in_columns() {
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
        fn clipped_and_wrapped_text_fits_the_width(text in "[ a-z顶…é]{0,60}", width in 6usize..40) {
            prop_assert!(clip(&text, width).width() <= width);
            for line in wrap(&text, width) {
                prop_assert!(line.width() <= width, "{line:?}");
            }
        }
    }
}
