//! Counts of gateways.

use std::collections::BTreeMap;

/// How many there are of each word.
pub type ByWord = BTreeMap<&'static str, usize>;
