//! Templates and gateways → the document FreeSWITCH reads. The only writer and escaper of XML.
//!
//! Knows nothing of the network, Redis or the clock.

mod blocks;
mod document;
mod escape;
mod lines;
mod outline;
mod preprocessor;
mod render;
mod template_file;
mod templates;

pub use blocks::Text;
pub use document::{Document, GatewayQuery, NOT_FOUND, Query};

pub use crate::gateway::{KeyError, RevisionKey, revision};
pub use templates::{TemplateError, TemplateWarning, Templates};
