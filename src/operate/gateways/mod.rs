//! One gateway: read, write, copy, rename, delete; restart and register it on switches. And one change to many.

mod again;
mod assign;
pub mod bulk;
mod effect;
mod forecast;
mod jobs;
mod locate;
mod model;
mod precondition;
mod read;
mod rename;
mod restart;
mod reveal;
mod sealed;
mod undo;
mod write;

pub use assign::Assignments;
pub use effect::{Effect, Outcome};
pub use forecast::SwitchForecast;
pub(in crate::operate) use forecast::{NewValue, desired_after};
pub use jobs::JobRequest;
pub use model::{GatewayDetail, ProblemField, Validity};
pub use precondition::{ETag, Precondition};
pub(in crate::operate) use read::stored;
pub use restart::{LeftOut, MAX_RESTARTS, Restart, RestartOn, RestartOptions, RestartProgress, RestartState};
pub(in crate::operate) use write::entry;
pub use write::{Body, WriteOptions, Written};

use crate::gateway::{DomainName, GatewayName};

/// The name of a gateway in a domain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GatewayRef {
    pub domain: DomainName,
    pub name: GatewayName,
}
