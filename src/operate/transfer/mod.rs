//! Brings many gateways to what files say, or another system, or an older state: difference first,
//! then all or nothing per domain.
//!
//! How to call it:
//!
//! 1. Make a list of [`Wanted`]: domain, name, and the whole value, or `None` if the gateway shall be
//!    gone. `at` is where it is from (`conf/external/carrier1.xml:12`), for errors and reports.
//! 2. [`Service::draft_transfer`] compares the list with Redis. [`Transfer::report`] is what it found:
//!    a line per gateway with its [`Difference`], its changes field by field (secrets only as changed)
//!    and its findings, and what each switch would do. Nothing is written yet: a dry run ends here.
//! 3. Show the report, ask, and give the same [`Transfer`] to [`Service::write_transfer`]. What was
//!    shown is what is written: a domain that anybody changed in between is left alone.
//!
//! Gateways that the list doesn't name stay, unless a set is pruned. Secrets that a value doesn't
//! mention keep what is stored, and `null` removes one.

mod draft;
mod report;
mod run;
mod set;

pub use report::{
    Difference, DomainOutcome, MAX_PER_DOMAIN, TransferCounts, TransferDomain, TransferItem, TransferReport,
};
pub use set::SetName;

use std::sync::Arc;

use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};

use super::gateways::bulk::MAX_GATEWAYS;
use crate::gateway::{Document, DomainName, GatewayName, RevisionKey};
use draft::Drafted;

#[cfg(doc)]
use super::Service;

/// The most gateways of one transfer.
pub const MAX_WANTED: usize = MAX_GATEWAYS;

/// A gateway as it shall be.
#[derive(Clone)]
pub struct Wanted {
    pub domain: DomainName,
    pub name: GatewayName,
    /// The whole value; `None` if there shall be no such gateway.
    pub value: Option<Document>,
    /// Where it is from, for a person; may be empty.
    pub at: Arc<str>,
}

#[derive(Debug, Clone, Default)]
pub struct TransferOptions {
    /// Write also what FreeSWITCH would refuse.
    pub force: bool,
    /// Remember this set for each gateway of the list.
    pub set: Option<SetName>,
    /// Remove what the set wrote before and the list doesn't name. Needs a set.
    pub prune: bool,
    /// Prune also if the list is empty.
    pub allow_empty: bool,
}

/// A difference that can be written.
pub struct Transfer {
    drafts: Arc<Vec<Drafted>>,
    set: Option<SetName>,
    report: TransferReport,
}

impl Transfer {
    pub fn report(&self) -> &TransferReport {
        &self.report
    }

    /// Two transfers have the same digest under one key exactly if they write the same in place of the same. It
    /// reveals nothing of the values, which may be secret.
    pub fn digest(&self, key: &RevisionKey) -> String {
        let mut content = Sha256::new();
        for drafted in self.drafts.iter().filter(|drafted| drafted.is_write()) {
            let name = [drafted.domain.as_bytes(), drafted.name.as_str().as_bytes()].map(Some);
            let values = [drafted.before.as_deref(), drafted.after.as_deref()];
            for part in name.into_iter().chain(values) {
                let length = part.map_or(u64::MAX, |part| part.len() as u64);
                content.update(length.to_be_bytes());
                content.update(part.unwrap_or_default());
            }
        }
        key.digest(&format!("transfer\0{}", HEXLOWER.encode(&content.finalize())))
    }

    /// For an answer that ends here.
    pub fn into_report(self) -> TransferReport {
        self.report
    }
}
