//! The operator's own FreeSWITCH files: `sofia.conf.xml` and `sip_profiles/*.xml`.
//!
//! They pass through byte for byte. This folder finds where our gateways go in, which facts about a profile
//! FreeSWITCH's rules depend on, and where FreeSWITCH will not do what the file seems to say.
//!
//! Writes no gateway: that is `document` and `render`.

mod file;
mod lines;
mod load;
mod outline;
mod preprocessor;

pub(super) use load::{Part, Profile};
pub use load::{TemplateError, TemplateWarning, Templates};
