//! What several trunkd and their operators share through Redis about changing switches: orders, jobs,
//! pauses, reports, removals, verifications and canaries of edits, leases, and the forms behind revisions.
//!
//! Decides nothing: `reconcile` does.

mod canaries;
mod conflict;
mod fields;
mod forms;
mod holds;
mod jobs;
mod lease;
mod orders;
mod removals;
mod reports;
pub(crate) mod trouble;
mod verifications;

pub use canaries::Canary;
pub use conflict::Conflict;
pub use forms::Form;
pub use jobs::{Job, JobAction, JobOutcome};
pub use lease::{Lease, Term};
pub use orders::{Control, OTHER_SWITCHES, Order, OrderContent, OrderedAction, Version};
pub use removals::Removal;
pub use reports::{OrderReport, REPORT_LASTS, Report, Reports};
pub use verifications::{Good, Verification};
