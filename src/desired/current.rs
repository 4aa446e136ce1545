//! The state that a catalog has read, and what it hands out.

use std::sync::Arc;

use jiff::Timestamp;

use crate::gateway::{Desired, RawDomains, RevisionKey, Rules};
use crate::redis::StoreError;
use crate::redis::tracking::Mark;

#[derive(Clone)]
pub(super) struct Good {
    /// What `desired` was built from.
    pub(super) domains: Arc<RawDomains>,
    pub(super) rules: Arc<Rules>,
    pub(super) desired: Arc<Desired>,
    pub(super) key: RevisionKey,
    pub(super) read: u64,
    /// The invalidations that this reflects; `None` without tracking.
    pub(super) mark: Option<Mark>,
    /// It comes from a server that is not a master, because nothing better is known.
    pub(super) is_doubtful: bool,
    pub(super) at: Timestamp,
}

impl Good {
    pub(super) fn current(&self, stale: Option<(Timestamp, StoreError)>) -> Current {
        Current {
            desired: self.desired.clone(),
            domains: self.domains.clone(),
            key: self.key.clone(),
            is_whole: true,
            stale,
        }
    }
}

/// The desired gateways, and how fresh they are.
#[derive(Debug, Clone)]
pub struct Current {
    pub desired: Arc<Desired>,
    /// What it was made from.
    pub domains: Arc<RawDomains>,
    pub key: RevisionKey,
    /// Whether these are all gateways, or only those of the requested name.
    pub is_whole: bool,
    /// Set if Redis can't be read or is not a master: the time of this state, and the reason.
    pub stale: Option<(Timestamp, StoreError)>,
}

/// Redis can't be read, and there is no last good state.
#[derive(Debug, Clone, thiserror::Error)]
#[error("no gateways are known: {0}")]
pub struct Unavailable(#[from] StoreError);
