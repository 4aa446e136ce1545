//! Compares the gateways that Redis wants with those that each FreeSWITCH runs, and makes the
//! smallest safe change.
//!
//! `plan` decides, `executor` acts, and `Served` guards what FreeSWITCH is served in the meantime.

mod boot;
pub mod executor;
mod ledger;
mod loss;
pub mod others;
pub mod plan;
mod read_switch;
pub mod removals;
mod reporter;
pub mod running;
mod runs;
pub mod served;
mod served_state;
mod starts;
mod state_log;
mod states;

pub use boot::BootRules;
pub use executor::{DesiredSource, Executor, ExecutorContext, Refreshed, Switch, Timing, Unknown, Wanted};
pub use ledger::Ledger;
pub use others::Others;
pub use plan::{
    Action, Actual, Assessment, Authority, Decision, DecisionInput, Differences, Exempt, FieldChange, Have, Held, Hold,
    HoldReason, Known, Limits, Listed, MASK, Plan, Seen, Verdict, Want, Weight, differing_fields, form, judge,
    plan_text, restart_seconds, shown_change, want, wants,
};
pub use read_switch::read_switch;
pub use running::{Rescan, Running, RunningSource};
pub use served::Served;
pub use served_state::{Guard, Runs};
