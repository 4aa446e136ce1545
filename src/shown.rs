//! Makes foreign text safe to show on a terminal, in a log line or on a page.
//!
//! A carrier's reason phrase, a gateway's name, a Redis reply or an HTTP header can contain escape
//! sequences, characters that reorder or hide text, or a megabyte of data. Store such text
//! unchanged; show it through [`shown`].

use std::fmt::{self, Display, Formatter, Write as _};

/// The most that is shown of one text, in bytes of the original. A reason phrase, a host name or an
/// error fits, but a hostile megabyte does not fill the terminal or the log.
pub const MAX_SHOWN_BYTES: usize = 256;

/// The most that is shown of one of our lines that quotes foreign text, in bytes.
pub const MAX_LINE_BYTES: usize = 4096;

/// Displays `text` on one line. Control, formatting and invisible characters become `\u{…}`. A text
/// longer than [`MAX_SHOWN_BYTES`] is cut and ends in `… (N bytes)`.
pub fn shown(text: &str) -> Shown<'_> {
    Shown {
        text,
        max_bytes: MAX_SHOWN_BYTES,
    }
}

/// Like [`shown`], for a whole line (an error, a note) that may quote several foreign texts. It is
/// cut at [`MAX_LINE_BYTES`].
pub fn shown_line(text: &str) -> Shown<'_> {
    Shown {
        text,
        max_bytes: MAX_LINE_BYTES,
    }
}

/// An error with its causes, shown: for libraries whose own text ends before the reason.
pub fn with_causes(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    let text = causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"));
    shown(&text).to_string()
}

/// Like [`shown`], but cut at `max_bytes`.
pub fn shown_within(text: &str, max_bytes: usize) -> Shown<'_> {
    Shown { text, max_bytes }
}

/// See [`shown`].
#[derive(Debug, Clone, Copy)]
pub struct Shown<'a> {
    text: &'a str,
    max_bytes: usize,
}

impl Display for Shown<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let text = self.text;
        // `str::floor_char_boundary` needs Rust 1.91.
        let mut cut = self.max_bytes.min(text.len());
        while !text.is_char_boundary(cut) {
            cut -= 1;
        }
        write_escaped(&text[..cut], f)?;
        if cut < text.len() {
            write!(f, "… ({} bytes)", text.len())?;
        }
        Ok(())
    }
}

/// The whole text, escaped like [`shown`] but never cut.
pub fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    // Writing to a string does not fail.
    let _ = write_escaped(text, &mut safe);
    safe
}

fn write_escaped(text: &str, to: &mut impl fmt::Write) -> fmt::Result {
    for c in text.chars() {
        if is_harmless(c) {
            to.write_char(c)?;
        } else {
            write!(to, "{}", c.escape_default())?;
        }
    }
    Ok(())
}

/// The last resort for lines that may quote foreign text anywhere: escapes everything that acts on
/// a terminal, except line breaks and colours (SGR), which are ours.
pub fn shown_lines(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(|c: char| c != '\n' && !is_harmless(c)) {
        let (before, from) = rest.split_at(at);
        safe.push_str(before);
        let colour = colour_len(from);
        safe.push_str(&from[..colour]);
        rest = &from[colour..];
        if let (0, Some(c)) = (colour, from.chars().next()) {
            safe.extend(c.escape_default());
            rest = &from[c.len_utf8()..];
        }
    }
    safe + rest
}

/// The length of the colour sequence (such as `ESC [ 38;5;9 m`) that the text begins with, or 0.
fn colour_len(text: &str) -> usize {
    let Some(parameters) = text.strip_prefix("\x1b[") else {
        return 0;
    };
    match parameters.find(|c: char| !matches!(c, '0'..='9' | ';')) {
        Some(end) if parameters[end..].starts_with('m') => "\x1b[".len() + end + 1,
        Some(_) | None => 0,
    }
}

/// JSON with everything that acts on a terminal written as `\u…`. No value changes.
pub fn shown_json(json: &str) -> String {
    let mut safe = String::with_capacity(json.len());
    for c in json.chars() {
        // Outside its strings, this JSON has no control characters except line breaks.
        if c == '\n' || is_harmless(c) {
            safe.push(c);
            continue;
        }
        let mut units = [0; 2];
        for unit in c.encode_utf16(&mut units) {
            // Writing to a string does not fail.
            let _ = write!(safe, "\\u{unit:04x}");
        }
    }
    safe
}

/// Whether a terminal shows the character itself, in its place.
pub fn is_harmless(c: char) -> bool {
    !c.is_control() && !is_format(c) && (c == ' ' || !c.is_whitespace())
}

/// Characters that are invisible or change how their neighbours are shown: bidi controls,
/// zero-width characters, joiners, variation selectors, tags, the soft hyphen, fillers and
/// annotations.
fn is_format(c: char) -> bool {
    matches!(c,
        '\u{00AD}' | '\u{034F}' | '\u{0600}'..='\u{0605}' | '\u{061C}' | '\u{06DD}' | '\u{070F}'
        | '\u{115F}'..='\u{1160}' | '\u{17B4}'..='\u{17B5}' | '\u{180B}'..='\u{180F}'
        | '\u{200B}'..='\u{200F}' | '\u{2028}'..='\u{202E}' | '\u{2060}'..='\u{206F}'
        | '\u{3164}' | '\u{FE00}'..='\u{FE0F}' | '\u{FEFF}' | '\u{FFA0}' | '\u{FFF0}'..='\u{FFFB}'
        | '\u{1BCA0}'..='\u{1BCA3}' | '\u{1D173}'..='\u{1D17A}' | '\u{E0000}'..='\u{E0FFF}')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn plain_text_is_unchanged() {
        for text in ["", "403 Forbidden", "顶顶通 密码", "naïve – “quoted” & <b>", "مرحبا"] {
            assert_eq!(shown(text).to_string(), text);
        }
    }

    #[test]
    fn control_and_invisible_characters_are_escaped() {
        let cases = [
            ("\x1b]0;owned\x07", "\\u{1b}]0;owned\\u{7}"),
            ("a\r\nb\tc", "a\\r\\nb\\tc"),
            ("\u{9b}31m", "\\u{9b}31m"),
            ("abc\u{202e}fed", "abc\\u{202e}fed"),
            ("zero\u{200b}width\u{feff}", "zero\\u{200b}width\\u{feff}"),
            ("line\u{2028}break\u{a0}space", "line\\u{2028}break\\u{a0}space"),
        ];
        for (text, expected) in cases {
            assert_eq!(shown(text).to_string(), expected);
        }
    }

    #[test]
    fn long_text_is_cut_between_characters_and_ends_in_its_length() {
        let text = "é".repeat(3_000);
        let short = shown(&text).to_string();
        assert!(short.ends_with("é… (6000 bytes)"), "{short}");
        assert_eq!(short.chars().filter(|c| *c == 'é').count(), MAX_SHOWN_BYTES / 2);
        let odd = format!("a{text}");
        assert_eq!(
            shown(&odd).to_string().chars().filter(|c| *c == 'é').count(),
            (MAX_SHOWN_BYTES - 1) / 2
        );
    }

    #[test]
    fn colours_and_line_breaks_pass_and_other_control_characters_are_escaped() {
        for same in ["", "a\nb", "\x1b[38;5;9mred\x1b[39m", "\x1b[m", "顶顶通"] {
            assert_eq!(shown_lines(same), same);
        }
        for (text, expected) in [
            ("\x1b]0;owned\x07", "\\u{1b}]0;owned\\u{7}"),
            ("\x1b[2J", "\\u{1b}[2J"),
            ("\x1b[1;1H\x1b[1m", "\\u{1b}[1;1H\x1b[1m"),
            ("\x1b[", "\\u{1b}["),
            ("a\rb\u{9b}31m\u{202e}", "a\\rb\\u{9b}31m\\u{202e}"),
        ] {
            assert_eq!(shown_lines(text), expected);
        }
    }

    proptest! {
        #[test]
        fn json_is_safe_to_show_and_keeps_its_value(text in any::<String>()) {
            let json = shown_json(&serde_json::to_string(&[&text]).unwrap());
            prop_assert!(json.chars().all(is_harmless));
            prop_assert_eq!(serde_json::from_str::<Vec<String>>(&json).unwrap(), [text]);
        }

        #[test]
        fn shown_text_never_acts_on_a_terminal(text in any::<String>()) {
            let text = shown(&text).to_string();
            prop_assert!(text.chars().all(is_harmless));
            prop_assert!(text.len() <= 10 * MAX_SHOWN_BYTES + 32);
        }

        #[test]
        fn a_shown_line_never_acts_on_a_terminal(text in any::<String>(), times in 1usize..200) {
            let text = shown_line(&text.repeat(times)).to_string();
            prop_assert!(text.chars().all(is_harmless));
            prop_assert!(text.len() <= 10 * MAX_LINE_BYTES + 32);
        }
    }
}
