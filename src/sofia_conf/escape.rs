//! The only escaper: it writes attribute values in which FreeSWITCH's preprocessor finds nothing to act on.

use std::borrow::Cow;

/// Escapes a text for the inside of a double-quoted attribute value.
///
/// Before any parser sees the document, FreeSWITCH's preprocessor reads it line by line and acts on `$${`, `<?`,
/// `<include>`, `<!--#` and the letters `x-pre-process` in any case, wherever they are (FACTS 8). quick-xml's own
/// escaper knows none of these. They cannot appear in what this function returns:
///
/// - `<`, `>`, `&` and quotes become references, so a value neither opens nor closes anything;
/// - a `$` before another `$` becomes a reference, so two of them never touch;
/// - a `-` between `x` and `p`, in any case, becomes a reference, which breaks the directive's name.
///
/// None of these sequences contains a quote or a space, so none can span two attributes. Line ends, tabs and other
/// control characters become references too, because a parser would turn them into spaces. NUL cannot be written in
/// XML and becomes U+FFFD; `gateway::parse` rejects all of them anyway.
pub(super) fn escape(value: &str) -> Cow<'_, str> {
    let bytes = value.as_bytes();
    let Some(first) = bytes.iter().position(|byte| MAY_NEED_REFERENCE[usize::from(*byte)]) else {
        return value.into();
    };
    let mut out = String::new();
    let mut done = 0;
    for (at, &byte) in bytes.iter().enumerate().skip(first) {
        let reference: Cow<'_, str> = match byte {
            b'&' => "&amp;".into(),
            b'<' => "&lt;".into(),
            b'>' => "&gt;".into(),
            b'"' => "&quot;".into(),
            b'\'' => "&apos;".into(),
            b'$' if bytes.get(at + 1) == Some(&b'$') => "&#36;".into(),
            b'-' if at > 0 && is_x_before_p(bytes[at - 1], bytes.get(at + 1)) => "&#45;".into(),
            0 => "\u{FFFD}".into(),
            1..=0x1F | 0x7F => format!("&#{byte};").into(),
            _ => continue,
        };
        out.push_str(&value[done..at]);
        out.push_str(&reference);
        done = at + 1;
    }
    if done == 0 {
        return value.into();
    }
    out.push_str(&value[done..]);
    out.into()
}

/// Nearly every value has none of these.
const MAY_NEED_REFERENCE: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = byte < 0x20 || matches!(byte as u8, b'&' | b'<' | b'>' | b'"' | b'\'' | b'$' | b'-' | 0x7F);
        byte += 1;
    }
    table
};

fn is_x_before_p(before: u8, after: Option<&u8>) -> bool {
    before.eq_ignore_ascii_case(&b'x') && after.is_some_and(|b| b.eq_ignore_ascii_case(&b'p'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ordinary_values_are_not_escaped() {
        for value in [
            "caller-id-in-from",
            "a-b.example.net:5060",
            "p:caller_id_number",
            "${sip_to_user}",
            "顶顶通",
            "a\\b$",
        ] {
            assert_eq!(escape(value), value);
        }
    }

    #[test]
    fn sequences_the_preprocessor_acts_on_become_references() {
        for (value, expected) in [
            ("$${domain}", "&#36;${domain}"),
            ("$$$${a}", "&#36;&#36;&#36;${a}"),
            ("<?xml?>", "&lt;?xml?&gt;"),
            ("<include>", "&lt;include&gt;"),
            ("X-PRE-PROCESS", "X&#45;PRE-PROCESS"),
            ("x-pre-process x-Pre", "x&#45;pre-process x&#45;Pre"),
            ("<!--#exec -->", "&lt;!--#exec --&gt;"),
            ("\"'&amp;", "&quot;&apos;&amp;amp;"),
            ("a\nb\t\u{7f}", "a&#10;b&#9;&#127;"),
            ("a\0", "a\u{FFFD}"),
        ] {
            assert_eq!(escape(value), expected, "{value:?}");
        }
    }
}
