//! Reads gateways where they stand today: FreeSWITCH's own XML files, FusionPBX, CSV.
//!
//! Files and texts go in; gateways as trunkd stores them come out, each with a report of what was
//! taken, changed and skipped, and why. Executes nothing that a file asks for, and reads nothing
//! outside the folder that was given. Knows neither Redis nor switches.

mod draft;
mod error;
pub mod fs_xml;
pub mod fusionpbx;
mod model;
pub mod sheet;
mod table;
mod words;

pub use error::ImportError;
pub use model::{Import, Imported, Level, Options, Place, ProfileNames, Remark, Verdict};

/// The most gateways of one import.
pub const MAX_GATEWAYS: usize = 100_000;

/// The most that is read of one import, all files together, in bytes.
pub const MAX_BYTES: u64 = 64 * 1024 * 1024;

#[cfg(test)]
mod tests;
