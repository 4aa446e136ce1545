//! What several trunkd and their operators share through Redis about changing switches: orders, jobs,
//! pauses, reports, removals, verifications and canaries of edits, leases, what each sees of the
//! switches, the forms behind revisions, and imports that are looked at.
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
mod pace;
mod parked;
mod placements;
mod removals;
mod reports;
mod sights;
pub(crate) mod trouble;
mod uploads;
mod verifications;

pub use canaries::Canary;
pub use conflict::Conflict;
pub use forms::Form;
pub use jobs::{Job, JobAction, JobOutcome};
pub use lease::{Lease, Term};
pub use orders::{Control, Drained, OTHER_SWITCHES, Order, OrderContent, OrderedAction, Version};
pub use parked::Parking;
pub use placements::PlacementChange;
pub use removals::Removal;
pub use reports::{OrderReport, REPORT_LASTS, Report, Reports, Waiting};
pub use sights::{SIGHT_LASTS, Sight, Sights, Signal, TrunkdSights};
pub use uploads::UPLOAD_LASTS;
pub use verifications::{Good, Verification};
