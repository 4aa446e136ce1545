//! How FreeSWITCH reads a gateway's values: its words for true, its numbers, its param names, its limits.

use std::collections::HashSet;
use std::sync::LazyLock;

/// Whether FreeSWITCH takes a value for true (FACTS 13; `switch_true` in switch_utils.h).
pub fn is_true(value: &str) -> bool {
    const WORDS: [&str; 7] = ["yes", "on", "true", "t", "enabled", "active", "allow"];
    WORDS.iter().any(|word| value.eq_ignore_ascii_case(word)) || (is_number(value) && atoi(value) != 0)
}

/// Whether a value is one of FreeSWITCH's words for false (`switch_false`). What is neither counts as false, too.
pub(super) fn is_false(value: &str) -> bool {
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

/// Every `<param>` of a gateway that FreeSWITCH reads, by its exact name (FACTS 12; `parse_gateways` in sofia.c).
const PARAMS: [&str; 34] = [
    "register",
    "scheme",
    "realm",
    "username",
    "auth-username",
    "password",
    "caller-id-in-from",
    "extension",
    "extension-in-contact",
    "contact-in-ping",
    "ping",
    "ping-max",
    "ping-min",
    "ping-user-agent",
    "ping-monitoring",
    "proxy",
    "context",
    "expire-seconds",
    "retry-seconds",
    "retry_seconds",
    "908-retry-seconds",
    "timeout-seconds",
    "from-user",
    "from-domain",
    "contact-host",
    "register-proxy",
    "outbound-proxy",
    "distinct-to",
    "destination-prefix",
    "rfc-5626",
    "reg-id",
    "contact-params",
    "register-transport",
    "gw-auth-acl",
];

/// Whether FreeSWITCH knows a param.
pub(super) fn is_param(name: &str) -> bool {
    static NAMES: LazyLock<HashSet<&str>> = LazyLock::new(|| PARAMS.into());
    NAMES.contains(name)
}

/// The params that FreeSWITCH reads as true or false.
pub(super) const BOOLEAN_PARAMS: [&str; 7] = [
    "register",
    "caller-id-in-from",
    "extension-in-contact",
    "contact-in-ping",
    "ping-monitoring",
    "distinct-to",
    "rfc-5626",
];

/// The params that FreeSWITCH replaces by a number of its own when they are under 5 (FACTS 15).
pub(super) const SECONDS_PARAMS: [(&str, u32); 4] = [
    ("expire-seconds", 3600),
    ("retry-seconds", 30),
    ("retry_seconds", 30),
    ("timeout-seconds", 60),
];

/// The least number of seconds FreeSWITCH takes for those, and for `ping`.
pub(super) const MIN_SECONDS: i32 = 5;

/// What fits into `char authentication[256]` (sofia_reg.c), in bytes: longer digest credentials are cut in silence
/// (FACTS 15).
pub(super) const MAX_CREDENTIALS_BYTES: usize = 255;

/// The known param that a name was probably meant to be: the same but for case, '_', '-' and spaces.
pub(super) fn meant_param(name: &str) -> Option<&'static str> {
    let plain = |name: &str| -> String {
        name.chars()
            .filter(|c| c.is_ascii_alphanumeric())
            .map(|c| c.to_ascii_lowercase())
            .collect()
    };
    let wanted = plain(name);
    PARAMS
        .into_iter()
        .find(|known| *known != name && plain(known) == wanted)
}

/// The transports that `register-transport` may name: FreeSWITCH looks at the first letters, in any case (FACTS 12).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Transport {
    Plain,
    Tls,
}

/// `sofia_glue_str2transport`: `None` is the unknown transport, for which FreeSWITCH drops the gateway.
pub(super) fn transport(value: &str) -> Option<Transport> {
    let begins = |prefix: &str| {
        value
            .get(..prefix.len())
            .is_some_and(|start| start.eq_ignore_ascii_case(prefix))
    };
    if begins("udp") || begins("tcp") || begins("sctp") {
        Some(Transport::Plain)
    } else if begins("tls") {
        Some(Transport::Tls)
    } else {
        None
    }
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
            ("udp", Some(Transport::Plain)),
            ("UDPx", Some(Transport::Plain)),
            ("tcp", Some(Transport::Plain)),
            ("sctp", Some(Transport::Plain)),
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

    #[test]
    fn a_param_in_another_case_or_with_underscores_is_recognised() {
        assert_eq!(meant_param("From_User"), Some("from-user"));
        assert_eq!(meant_param("CALLER-ID-IN-FROM"), Some("caller-id-in-from"));
        assert_eq!(meant_param("authusername"), Some("auth-username"));
        assert_eq!(meant_param("codec-prefs"), None);
        assert_eq!(meant_param("realm"), None);
    }
}
