//! Texts that something else was to fill in: a value that was moved here from a FreeSWITCH file, where `$${name}` is a
//! global variable, or from a template whose program never ran over it.

/// Whether a value holds `$${name}`, `${name}`, `{{name}}` or `%NAME%`. A secret may well hold such
/// characters: it must be nothing else.
pub(super) fn holds_placeholder(value: &str, is_secret: bool) -> bool {
    if !value.bytes().any(|byte| matches!(byte, b'$' | b'{' | b'%')) {
        return false; // nearly always
    }
    let is_hit = |length: Option<usize>, at: usize| {
        length.is_some_and(|length| !is_secret || (at == 0 && length == value.len()))
    };
    value
        .match_indices(['$', '{', '%'])
        .any(|(at, _)| is_hit(placeholder_length(&value[at..]), at))
}

/// The length of the placeholder that a text begins with.
fn placeholder_length(text: &str) -> Option<usize> {
    for (open, close) in [("$${", "}"), ("${", "}"), ("{{", "}}"), ("%", "%")] {
        let Some(rest) = text.strip_prefix(open) else { continue };
        // A name of reasonable length: so a value full of openings stays linear.
        let window = &rest.as_bytes()[..rest.len().min(LONGEST_NAME)];
        let close = close.as_bytes();
        let Some(end) = window.windows(close.len()).position(|bytes| bytes == close) else {
            continue;
        };
        let name = rest[..end].trim();
        if is_name(name) && !(open == "%" && is_no_name(name)) {
            return Some(open.len() + end + close.len());
        }
    }
    None
}

/// In bytes, with the spaces around it.
const LONGEST_NAME: usize = 64;

fn is_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-' | b':'))
}

/// Whether a `%` is followed by a single letter, or by the digits of an escape such as `%C3%A9`.
fn is_no_name(name: &str) -> bool {
    let Some(digits) = name.get(..2) else { return true };
    digits.bytes().all(|byte| byte.is_ascii_hexdigit())
        && (name.len() == 2 || digits.bytes().any(|byte| byte.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_are_told_from_what_only_looks_like_one() {
        for (value, anywhere, alone) in [
            ("$${local_ip_v4}:5060", true, false),
            ("$${pw}", true, true),
            ("${PW}", true, true),
            ("{{ pw }}", true, true),
            ("%PW%", true, true),
            ("a%PW%b", true, false),
            ("%C3%A9", false, false),
            ("%40bob%40", false, false),
            ("%A9b%", false, false),
            ("100%", false, false),
            ("a$b{c}", false, false),
            ("${}", false, false),
            ("{{}}", false, false),
            ("%(2000,4000,440,480)", false, false),
            ("", false, false),
        ] {
            let found = (holds_placeholder(value, false), holds_placeholder(value, true));
            assert_eq!(found, (anywhere, alone), "{value}");
        }
    }
}
