//! Decides what to change on a switch: takes values and returns values.
//!
//! No async, no I/O, no clock.

mod assess;
mod canary;
mod decision;
mod diff;
mod guard;
mod interruption;
mod known;
mod ordered;
mod text;
mod verification;

pub use assess::{Assessment, Exempt};
pub use canary::{First, Next, next};
pub use decision::{Authority, Decision, DecisionInput};
pub use diff::{Action, Actual, Differences, Have, Plan, Want};
pub use guard::{Held, Hold, HoldReason, Limits, Verdict, Weight, judge, weigh};
pub use interruption::restart_seconds;
pub use known::{Known, Listed, Seen, want, wants};
pub use ordered::shown as shown_change;
pub use ordered::{Ordered, Progress};
pub use text::{FieldChange, MASK, differing_fields, form, plan_text};
pub use verification::{Edited, Verdict as EditVerdict, Version, verify};
