//! What several trunkd and their operators share through Redis about changing switches: orders, jobs,
//! pauses, reports, removals, leases, and the forms behind revisions.
//!
//! Decides nothing: `reconcile` does.

mod conflict;
mod fields;
mod forms;
mod holds;
mod jobs;
mod lease;
mod orders;
mod pace;
mod parked;
mod removals;
mod reports;
pub(crate) mod trouble;

pub use conflict::Conflict;
pub use forms::Form;
pub use jobs::{Job, JobAction, JobOutcome};
pub use lease::{Lease, Term};
pub use orders::{Control, OTHER_SWITCHES, Order, OrderContent, OrderedAction, Version};
pub use parked::Parking;
pub use removals::Removal;
pub use reports::{OrderReport, REPORT_LASTS, Report, Reports, Waiting};
