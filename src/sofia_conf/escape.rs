//! The one escaper: attribute values in which FreeSWITCH's preprocessor finds nothing to act on.

/// Escapes a text for a double-quoted attribute value.
///
/// FreeSWITCH's preprocessor reads the document line by line, before any parser, and acts on `$${`, `<?`,
/// `<include>`, `<!--#` and `x-pre-process` in any case, wherever they appear (FACTS 8). None of these can
/// result from this function:
///
/// - `<`, `>`, `&` and quotes are always references, so a value neither opens nor closes anything;
/// - a `$` before another `$` is a reference, so no two are ever adjacent;
/// - a `-` between `x` and `p` in any case is a reference, so a directive's name can't begin.
///
/// No sequence that the preprocessor looks for contains a quote or a space, so none can span two
/// attributes. Line ends and tabs, which a parser would turn into spaces, and other control characters
/// are references. NUL can't be represented and becomes U+FFFD; `gateway::parse` refuses it before.
pub(super) fn escape_attribute(value: &str) -> String {
    let mut out = String::with_capacity(value.len());
    let bytes = value.as_bytes();
    let mut done = 0;
    for (at, &byte) in bytes.iter().enumerate() {
        let reference = match byte {
            b'&' => "&amp;",
            b'<' => "&lt;",
            b'>' => "&gt;",
            b'"' => "&quot;",
            b'\'' => "&apos;",
            b'$' if bytes.get(at + 1) == Some(&b'$') => "&#36;",
            b'-' if at > 0 && is_x_before_p(bytes[at - 1], bytes.get(at + 1)) => "&#45;",
            0 => "\u{FFFD}",
            1..=0x1F | 0x7F => {
                out.push_str(&value[done..at]);
                out.push_str("&#");
                out.push_str(&byte.to_string());
                out.push(';');
                done = at + 1;
                continue;
            }
            _ => continue,
        };
        out.push_str(&value[done..at]);
        out.push_str(reference);
        done = at + 1;
    }
    out.push_str(&value[done..]);
    out
}

fn is_x_before_p(before: u8, after: Option<&u8>) -> bool {
    before.eq_ignore_ascii_case(&b'x') && after.is_some_and(|b| b.eq_ignore_ascii_case(&b'p'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ordinary_values_stay_as_they_are() {
        for value in [
            "caller-id-in-from",
            "a-b.example.net:5060",
            "p:caller_id_number",
            "${sip_to_user}",
            "顶顶通",
            "a\\b$",
        ] {
            assert_eq!(escape_attribute(value), value);
        }
    }

    #[test]
    fn what_the_preprocessor_looks_for_is_written_as_references() {
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
            assert_eq!(escape_attribute(value), expected, "{value:?}");
        }
    }
}
