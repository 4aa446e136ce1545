//! `trunkd serve`: builds the parts, starts them, and stops them together.
//!
//! Holds no rule about gateways or switches, and no HTTP route.

mod build;
mod error;
mod freshness;
mod last_good;
mod open_files;
mod placement;
mod reconcile;
mod run;
mod source;
mod systemd;
mod tasks;
mod templates;
mod upkeep;

pub use build::{Application, Timing};
pub use error::AppError;
pub use tasks::EndedEarly;
