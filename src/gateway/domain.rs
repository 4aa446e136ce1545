//! Names of domains: bytes, because a Redis key may contain any, and a text for display.

use std::borrow::Borrow;
use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::fmt::{self, Write as _};
use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use super::RawDomain;

/// The longest name of a domain that is written, in bytes.
pub const MAX_DOMAIN_BYTES: usize = 255;

/// A domain's name, as in its key. Compared as bytes. Cheap to clone.
#[derive(Clone)]
pub struct DomainName {
    bytes: Arc<[u8]>,
    text: Arc<str>,
}

impl DomainName {
    pub fn new(bytes: &[u8]) -> Self {
        let mut text = String::with_capacity(bytes.len());
        for chunk in bytes.utf8_chunks() {
            text.push_str(&chunk.valid().replace('\\', r"\\"));
            for byte in chunk.invalid() {
                // Writing to a string never fails.
                let _ = write!(text, r"\x{byte:02x}");
            }
        }
        Self {
            bytes: bytes.into(),
            text: text.into(),
        }
    }

    /// The name that has this [`text`](Self::text). A backslash that begins no escape is literal.
    pub fn from_text(text: &str) -> Self {
        let mut bytes = Vec::with_capacity(text.len());
        let mut rest = text;
        while let Some(at) = rest.find('\\') {
            bytes.extend_from_slice(&rest.as_bytes()[..at]);
            let escape = &rest[at..];
            let hex = escape.strip_prefix(r"\x").and_then(|digits| digits.get(..2));
            let byte = hex.and_then(|hex| u8::from_str_radix(hex, 16).ok());
            let (byte, len) = match byte {
                Some(byte) => (byte, r"\xff".len()),
                None if escape.starts_with(r"\\") => (b'\\', 2),
                None => (b'\\', 1),
            };
            bytes.push(byte);
            rest = &escape[len..];
        }
        bytes.extend_from_slice(rest.as_bytes());
        Self::new(&bytes)
    }

    /// Whether this is a name for a domain that is written: any text without control characters.
    pub fn is_writable(&self) -> bool {
        (1..=MAX_DOMAIN_BYTES).contains(&self.bytes.len()) && !self.text.chars().any(char::is_control)
    }

    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// For display: bytes that are not UTF-8 as `\xff`, backslashes doubled. Unique for each name.
    pub fn text(&self) -> &Arc<str> {
        &self.text
    }
}

impl From<&str> for DomainName {
    fn from(name: &str) -> Self {
        Self::new(name.as_bytes())
    }
}

impl From<String> for DomainName {
    fn from(name: String) -> Self {
        Self::new(name.as_bytes())
    }
}

impl fmt::Display for DomainName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.text)
    }
}

impl fmt::Debug for DomainName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.text)
    }
}

impl Borrow<[u8]> for DomainName {
    fn borrow(&self) -> &[u8] {
        &self.bytes
    }
}

impl PartialEq for DomainName {
    fn eq(&self, other: &Self) -> bool {
        self.bytes == other.bytes
    }
}

impl Eq for DomainName {}

impl PartialOrd for DomainName {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for DomainName {
    fn cmp(&self, other: &Self) -> Ordering {
        self.bytes.cmp(&other.bytes)
    }
}

/// domain → what its key holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RawDomains(BTreeMap<DomainName, RawDomain>);

impl RawDomains {
    pub fn new() -> Self {
        Self::default()
    }
}

impl Deref for RawDomains {
    type Target = BTreeMap<DomainName, RawDomain>;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl DerefMut for RawDomains {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.0
    }
}

impl<D: Into<DomainName>> FromIterator<(D, RawDomain)> for RawDomains {
    fn from_iter<T: IntoIterator<Item = (D, RawDomain)>>(domains: T) -> Self {
        let domains = domains.into_iter();
        Self(domains.map(|(name, domain)| (name.into(), domain)).collect())
    }
}

impl<D: Into<DomainName>, const N: usize> From<[(D, RawDomain); N]> for RawDomains {
    fn from(domains: [(D, RawDomain); N]) -> Self {
        domains.into_iter().collect()
    }
}

impl<D: Into<DomainName>> Extend<(D, RawDomain)> for RawDomains {
    fn extend<T: IntoIterator<Item = (D, RawDomain)>>(&mut self, domains: T) {
        let domains = domains.into_iter();
        self.0.extend(domains.map(|(name, domain)| (name.into(), domain)));
    }
}

impl IntoIterator for RawDomains {
    type Item = (DomainName, RawDomain);
    type IntoIter = std::collections::btree_map::IntoIter<DomainName, RawDomain>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl<'a> IntoIterator for &'a RawDomains {
    type Item = (&'a DomainName, &'a RawDomain);
    type IntoIter = std::collections::btree_map::Iter<'a, DomainName, RawDomain>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.iter()
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn text_is_unambiguous() {
        let text = |bytes: &[u8]| DomainName::new(bytes).text().to_string();
        assert_eq!(text(b"sip.example.net"), "sip.example.net");
        assert_eq!(text("münchen".as_bytes()), "münchen");
        assert_eq!(text(b"a\xffb\xc3"), r"a\xffb\xc3");
        assert_eq!(text(br"a\xff"), r"a\\xff");
        assert_eq!(text("\u{fffd}".as_bytes()), "\u{fffd}");
    }

    proptest! {
        #[test]
        fn a_text_leads_back_to_its_name(bytes in vec(prop_oneof![Just(b'\\'), Just(b'x'), Just(b'f'), any::<u8>()], 0..12)) {
            let name = DomainName::new(&bytes);
            let back = DomainName::from_text(name.text());
            prop_assert_eq!(back.as_bytes(), &bytes[..]);
        }

        #[test]
        fn names_are_ordered_by_their_bytes(a in vec(any::<u8>(), 0..4), b in vec(any::<u8>(), 0..4)) {
            prop_assert_eq!(DomainName::new(&a).cmp(&DomainName::new(&b)), a.cmp(&b));
        }

        #[test]
        fn any_text_is_read(text in any::<String>()) {
            DomainName::from_text(&text);
        }
    }
}
