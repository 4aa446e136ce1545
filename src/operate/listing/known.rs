//! What all lists are made from.

use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use jiff::Timestamp;

use super::fleet::{Changed, Fleet};
use super::index::Index;
use crate::carriers::Carriers;
use crate::desired::Current;

/// What lists are made from. Shared by all requests.
pub(in crate::operate) struct Listing {
    /// One reader of Redis at a time. The others usually find everything read.
    pub(super) reading: tokio::sync::Mutex<()>,
    known: RwLock<Known>,
}

/// The last known state of everything.
#[derive(Default)]
pub(in crate::operate) struct Known {
    pub(in crate::operate) fleet: Fleet,
    pub(in crate::operate) index: Index,
    /// When Redis said all this, or that nothing else had changed.
    pub(super) read_at: Option<Timestamp>,
    /// What changed since live events were last made. Kept while somebody listens.
    pub(super) unsaid: Option<Changed>,
}

impl Known {
    /// The desired gateways; `None` before the first read.
    pub(super) fn current(&self) -> Option<&Current> {
        self.index.source()
    }

    /// Set if Redis could not be read the last time: the time of what is known.
    pub(in crate::operate) fn stale_since(&self) -> Option<Timestamp> {
        self.age_with(self.current()?)
    }

    /// The time of what is known, together with these gateways, if Redis could not be read for them.
    pub(in crate::operate) fn age_with(&self, current: &Current) -> Option<Timestamp> {
        let (gateways_at, _) = current.stale.as_ref()?;
        Some(self.read_at.unwrap_or(*gateways_at))
    }
}

impl Listing {
    pub(in crate::operate) fn new(carriers: Carriers) -> Self {
        let known = Known {
            index: Index::new(carriers),
            ..Known::default()
        };
        Self {
            reading: tokio::sync::Mutex::default(),
            known: RwLock::new(known),
        }
    }

    pub(in crate::operate) fn read(&self) -> RwLockReadGuard<'_, Known> {
        // A panic while it is changed leaves it whole: each part is replaced.
        self.known.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn write(&self) -> RwLockWriteGuard<'_, Known> {
        self.known.write().unwrap_or_else(PoisonError::into_inner)
    }
}
