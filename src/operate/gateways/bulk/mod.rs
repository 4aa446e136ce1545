//! One change to many gateways: those that a filter selects, or those that are named.
//!
//! Each gateway is compared, written and recorded on its own. What can't be changed is reported and
//! stops none of the others.

mod chunks;
mod draft;
mod model;
mod run;

pub(in crate::operate) use draft::wrong_type;
pub use model::{BulkAnswer, BulkCounts, BulkItem, BulkOutcome};
pub(in crate::operate) use run::{MAX_NEW_BYTES, check_expected, may_be_written};

use std::collections::BTreeSet;

use super::super::listing::ListQuery;
use crate::gateway::{Document, DomainName, GatewayName};

/// The most gateways of one call.
pub const MAX_GATEWAYS: usize = 100_000;

/// Which gateways.
#[derive(Debug, Clone)]
pub enum Chosen {
    /// Every one that this selects and the caller sees. Its page doesn't matter.
    Filter(Box<ListQuery>),
    Named(BTreeSet<(DomainName, GatewayName)>),
}

/// What to do with each of them.
#[derive(Clone)]
pub enum Change {
    Enable,
    Disable,
    Delete,
    /// A JSON Merge Patch (RFC 7396) of the value.
    Patch(Document),
    /// Adds these tags.
    Tag(Vec<String>),
    /// Takes these tags away.
    Untag(Vec<String>),
}

#[derive(Debug, Clone, Copy, Default)]
pub struct BulkOptions {
    /// Only say what would happen.
    pub dry_run: bool,
    /// Write also what FreeSWITCH would refuse.
    pub force: bool,
    /// Do nothing unless this many gateways change: those that a person was shown.
    pub expected: Option<usize>,
}
