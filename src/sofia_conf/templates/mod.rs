//! The operator's own FreeSWITCH files: `sofia.conf.xml` and `sip_profiles/*.xml`.
//!
//! They pass through byte for byte. This folder finds where our gateways go in, which facts about a profile
//! FreeSWITCH's rules depend on, and where FreeSWITCH will not do what the file seems to say.
//!
//! Writes no gateway: `document` and `render` do that.

mod configuration;
mod error;
mod facts;
mod file;
mod include_path;
mod lines;
mod load;
mod outline;
mod parts;
pub(crate) mod preprocessor;
mod profiles;
mod spans;

pub use error::{TemplateError, TemplateWarning};
pub use load::Templates;
pub(super) use parts::{Part, Profile};

#[cfg(test)]
mod tests;
