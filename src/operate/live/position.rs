//! A place in the streams that live events are made from.

use std::fmt;
use std::str::FromStr;

/// How far somebody has read: an id of `trunkd:changes` and one of `trunkd:history`. The same at every
/// trunkd.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LivePosition {
    pub(super) changes: String,
    pub(super) history: String,
}

impl fmt::Display for LivePosition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}_{}", self.changes, self.history)
    }
}

impl FromStr for LivePosition {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (changes, history) = text.split_once('_').ok_or(())?;
        let is_id = |text: &str| crate::observed::Position::parse(text).is_some();
        match is_id(changes) && is_id(history) {
            true => Ok(Self {
                changes: changes.to_owned(),
                history: history.to_owned(),
            }),
            false => Err(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_is_read_as_it_is_written() {
        let text = "1764151200000-0_1764151200001-3";
        assert_eq!(
            text.parse::<LivePosition>().map(|at| at.to_string()).as_deref(),
            Ok(text)
        );
        for bad in ["", "1-0", "1-0_", "x_1-0", "1_2"] {
            assert!(bad.parse::<LivePosition>().is_err(), "{bad}");
        }
    }
}
