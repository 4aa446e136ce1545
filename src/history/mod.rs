//! What happened: edits, outages, actions, holds, sign-ins. Kept in Redis streams, bounded by count
//! and by age.
//!
//! Records, and reads back. Decides nothing.

mod entry;
mod follow;
mod read;
mod record;

pub use entry::{Access, ActionKind, ActionOutcome, EditKind, Entry, Event};
pub use follow::RawEntry;
pub use read::{HistoryPage, HistoryQuery, Kind, is_entry_id};
pub use record::{Prepared, RECORD_LUA};

use std::time::Duration;

use crate::redis::Store;
use crate::settings::HistorySettings;

/// The record in Redis. Cheap to clone.
#[derive(Clone)]
pub struct History {
    store: Store,
    limits: Limits,
}

/// How much is kept.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    pub entries: usize,
    pub age: Duration,
    /// Entries that are kept for each gateway, whatever happens to others.
    pub per_gateway: usize,
}

const PER_GATEWAY: usize = 200;

impl History {
    pub fn new(store: Store, settings: &HistorySettings) -> Self {
        Self {
            store,
            limits: Limits {
                entries: settings.max_entries,
                age: settings.max_age,
                per_gateway: PER_GATEWAY,
            },
        }
    }

    /// For scripts of other rooms that record entries.
    pub fn limits(&self) -> Limits {
        self.limits
    }
}
