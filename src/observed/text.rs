//! Bytes and times from Redis as text.

use std::collections::HashMap;

use jiff::Timestamp;

/// A hash as Redis sends it. Bytes, so that one value with invalid UTF-8 does not cost the others.
pub(super) type Pairs = HashMap<Vec<u8>, Vec<u8>>;

pub(super) fn texts(pairs: Pairs) -> HashMap<String, String> {
    pairs
        .into_iter()
        .map(|(name, value)| (text(name), text(value)))
        .collect()
}

pub(super) fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap_or_else(|e| String::from_utf8_lossy(e.as_bytes()).into_owned())
}

/// RFC 3339 with milliseconds.
pub(super) fn stamp(at: Timestamp) -> String {
    format!("{at:.3}")
}
