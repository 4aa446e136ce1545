//! One gateway: read, write, copy, rename, delete.

mod detail;
mod effect;
mod precondition;
mod write;

pub use detail::{GatewayDetail, OnSwitch, ProblemField, Validity};
pub use effect::{Effect, Outcome};
pub use precondition::{ETag, Precondition};
pub use write::{Body, WriteOptions, Written};

use crate::gateway::{DomainName, GatewayName};

/// The name of a gateway in a domain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GatewayRef {
    pub domain: DomainName,
    pub name: GatewayName,
}
