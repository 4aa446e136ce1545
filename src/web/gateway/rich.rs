//! Texts of the catalog and of findings.

use std::fmt;

/// A text in which words between backticks are code. `Display` writes HTML; everything of the text is
/// escaped.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in crate::web) struct Rich(String);

impl Rich {
    pub(in crate::web) fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    pub(in crate::web) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl askama::filters::HtmlSafe for Rich {}

impl fmt::Display for Rich {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A backtick without its partner is itself.
        let pairs = self.0.matches('`').count() / 2 * 2;
        for (at, piece) in self.0.splitn(pairs + 1, '`').enumerate() {
            let is_code = at % 2 == 1;
            if is_code {
                f.write_str("<code>")?;
            }
            let Ok(escaped) = askama::filters::escape(piece, askama::filters::Html);
            write!(f, "{escaped}")?;
            if is_code {
                f.write_str("</code>")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::Rich;

    #[test]
    fn only_backticks_make_html() {
        for (text, expected) in [
            ("as `proxy`; no", "as <code>proxy</code>; no"),
            ("<b>`<i>`&", "&#60;b&#62;<code>&#60;i&#62;</code>&#38;"),
            ("a ` b", "a ` b"),
            ("`a` b `", "<code>a</code> b `"),
            ("", ""),
        ] {
            assert_eq!(Rich::new(text).to_string(), expected);
        }
    }
}
