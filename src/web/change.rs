//! What an edit changes, field by field. `changes.html` shows it.

use serde_json::Value;

use crate::gateway::ValueChange;
use crate::shown::shown_within;

/// The most of a value that a page shows, in bytes.
const MAX_VALUE_BYTES: usize = 4096;

/// One field.
pub(super) struct Change {
    pub(super) field: String,
    /// `None`: not set.
    pub(super) before: Option<String>,
    pub(super) after: Option<String>,
    pub(super) is_secret: bool,
}

impl Change {
    pub(super) fn new(change: &ValueChange) -> Self {
        Self {
            field: shown_within(&change.field, MAX_VALUE_BYTES).to_string(),
            before: change.before.as_ref().map(text),
            after: change.after.as_ref().map(text),
            is_secret: change.secret,
        }
    }
}

/// A string without its quotes. Characters that can't be seen are written out.
fn text(value: &Value) -> String {
    let shown = |text: &str| shown_within(text, MAX_VALUE_BYTES).to_string();
    value.as_str().map_or_else(|| shown(&value.to_string()), shown)
}
