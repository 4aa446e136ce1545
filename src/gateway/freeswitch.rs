//! How FreeSWITCH reads a gateway's values: its words for true, its numbers, its transports, its limits.

use std::fmt;

/// Whether FreeSWITCH reads a value as true (FACTS 13; `switch_true` in switch_utils.h).
pub fn is_true(value: &str) -> bool {
    const WORDS: [&str; 7] = ["yes", "on", "true", "t", "enabled", "active", "allow"];
    WORDS.iter().any(|word| value.eq_ignore_ascii_case(word)) || (is_number(value) && atoi(value) != 0)
}

/// Whether a value is one of FreeSWITCH's words for false (`switch_false`). Other words also count as
/// false.
pub(crate) fn is_false(value: &str) -> bool {
    const WORDS: [&str; 7] = ["no", "off", "false", "f", "disabled", "inactive", "disallow"];
    WORDS.iter().any(|word| value.eq_ignore_ascii_case(word)) || (is_number(value) && atoi(value) == 0)
}

/// `switch_is_number`: a sign, then digits and points only.
fn is_number(value: &str) -> bool {
    let digits = value.strip_prefix(['-', '+']).unwrap_or(value);
    digits.bytes().all(|b| b == b'.' || b.is_ascii_digit())
}

/// The C library's `atoi` as glibc has it: leading white space, a sign, digits; the rest is ignored, and what doesn't
/// fit is first held at the bounds of 64 bits and then cut to 32.
pub(super) fn atoi(value: &str) -> i32 {
    let value = value.trim_start_matches([' ', '\t', '\n', '\u{b}', '\u{c}', '\r']);
    let (negative, digits) = match value.as_bytes().first() {
        Some(b'-') => (true, &value[1..]),
        Some(b'+') => (false, &value[1..]),
        _ => (false, value),
    };
    let mut number: i64 = 0;
    for digit in digits
        .bytes()
        .take_while(u8::is_ascii_digit)
        .map(|b| i64::from(b - b'0'))
    {
        number = number.saturating_mul(10);
        number = if negative {
            number.saturating_sub(digit)
        } else {
            number.saturating_add(digit)
        };
    }
    #[allow(clippy::cast_possible_truncation)] // as C does
    let cut = number as i32;
    cut
}

/// The size of `char authentication[256]` (sofia_reg.c), in bytes: longer digest credentials are silently
/// truncated (FACTS 15).
pub(super) const MAX_CREDENTIALS_BYTES: usize = 255;

/// The transports of a gateway (`sofia_transport_t`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Transport {
    #[default]
    Udp,
    Tcp,
    Tls,
    Sctp,
}

impl Transport {
    pub(super) const ALL: [Self; 4] = [Self::Udp, Self::Tcp, Self::Tls, Self::Sctp];

    /// As in a URI.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Udp => "udp",
            Self::Tcp => "tcp",
            Self::Tls => "tls",
            Self::Sctp => "sctp",
        }
    }

    /// The transport of a URI's `;transport=`.
    pub(super) fn of_word(word: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|known| known.word().eq_ignore_ascii_case(word))
    }
}

impl fmt::Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.word().to_ascii_uppercase())
    }
}

/// The transport that `register-transport` names: FreeSWITCH looks at the first letters, in any case (FACTS 12;
/// `sofia_glue_str2transport`). `None` is the unknown transport, for which FreeSWITCH drops the gateway.
pub(super) fn transport(value: &str) -> Option<Transport> {
    let begins = |known: &Transport| {
        let word = known.word();
        value
            .get(..word.len())
            .is_some_and(|start| start.eq_ignore_ascii_case(word))
    };
    Transport::ALL.into_iter().find(begins)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_that_count_as_true() {
        for word in [
            "yes", "on", "true", "t", "enabled", "active", "allow", "TRUE", "Yes", "1", "-1", "+3", "1.5", "42",
        ] {
            assert!(is_true(word), "{word}");
        }
        // "0.5" is cut to 0; 2^32 is cut to 0; "enable" and "y" are no words of FreeSWITCH's.
        for word in [
            "no",
            "off",
            "false",
            "0",
            "0.5",
            "enable",
            "y",
            "",
            "+",
            "-",
            "truee",
            " true",
            "1x",
            "4294967296",
        ] {
            assert!(!is_true(word), "{word}");
        }
        for word in ["no", "Off", "FALSE", "f", "disabled", "inactive", "disallow", "0", "00"] {
            assert!(is_false(word), "{word}");
        }
        assert!(!is_false("enable"));
    }

    #[test]
    fn numbers_are_read_as_c_reads_them() {
        for (text, number) in [
            ("60", 60),
            ("  7s", 7),
            ("-3", -3),
            ("+4", 4),
            ("x", 0),
            ("", 0),
            ("--3", 0),
            ("4294967301", 5),
            ("99999999999999999999", -1),
            ("-99999999999999999999", 0),
        ] {
            assert_eq!(atoi(text), number, "{text:?}");
        }
    }

    #[test]
    fn a_transport_is_known_by_its_first_letters() {
        for (text, expected) in [
            ("udp", Some(Transport::Udp)),
            ("UDPx", Some(Transport::Udp)),
            ("tcp", Some(Transport::Tcp)),
            ("sctp", Some(Transport::Sctp)),
            ("tls", Some(Transport::Tls)),
            ("TLSv1", Some(Transport::Tls)),
            ("ws", None),
            ("", None),
            ("ud", None),
            ("顶", None),
        ] {
            assert_eq!(transport(text), expected, "{text:?}");
        }
    }
}
