//! What Redis wants against what each FreeSWITCH runs → the smallest safe change.
//!
//! Deciding and doing are apart. Here is what decides: [`Differences`] makes the plan of one switch, [`judge`] says whether its removals may happen,
//! [`plan_text()`] shows it to a person. These take values and return values: no async, no I/O, no clock in their files.

mod assess;
pub mod decision;
pub mod diff;
pub mod executor;
pub mod guard;
pub mod known;
pub mod ledger;
pub mod ordered;
pub mod others;
pub mod plan_text;
pub mod removals;
mod reporter;
pub mod running;
pub mod served;
mod standing;
mod states;
mod told;

pub use assess::{Assessment, Exempt};
pub use decision::{Decision, Look, Word};
pub use diff::{Action, Actual, Differences, Have, Plan, Want};
pub use executor::{Executor, Learned, Shared, Switch, Timing, Unknown, Wanted, Wanting};
pub use guard::{Held, Hold, HoldReason, Limits, Verdict, judge};
pub use known::{Known, Listed, look, wants};
pub use ledger::Ledger;
pub use ordered::shown as shown_change;
pub use others::Others;
pub use plan_text::{FieldChange, MASK, changed_fields, differing_fields, form, plan_text};
pub use running::{Rescan, Running, RunningSource};
pub use served::Served;
pub use standing::{Guard, Runs};
