//! The desired gateways: read from Redis, followed as they change, and kept on disk as the last good
//! state.
//!
//! Knows neither XML nor HTTP.

mod catalog;
mod counts;
mod current;
mod edit;
mod finding_log;
mod last_good;
mod read;
mod records;
mod restore;
mod revision_key;
mod rollbacks;
mod sets;

pub use catalog::Catalog;
pub use current::{Current, Unavailable};
pub use edit::{Edit, Edited, EditedEach, Values};
pub use last_good::{LastGood, LastGoodError, remove_leftovers};
pub use restore::Missing;
