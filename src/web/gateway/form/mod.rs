//! The form of a gateway: a new one, or one that is edited. What is sent is first shown as a review, and
//! written when that is sent on.

mod conflict;
mod entry;
mod field;
mod finding;
mod page;
mod patch;
mod preset;
mod sent;
mod stored;
mod submit;
mod view;

pub(super) use entry::of_path;
pub(super) use finding::FoundProblem;
pub(in crate::web) use page::{edit, new};
pub(super) use sent::Sent;
pub(super) use stored::Stored;
pub(in crate::web) use submit::{check, submit_edit, submit_new};
