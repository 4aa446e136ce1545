//! Turns templates and gateways into the document that FreeSWITCH reads. The only writer and escaper
//! of XML.
//!
//! Knows nothing of the network, Redis or the clock.

mod blocks;
mod document;
mod escape;
mod include_path;
mod lines;
mod outline;
mod parts;
mod preprocessor;
mod profile_file;
mod render;
mod sofia_conf_file;
mod spans;
mod template_file;
mod templates;

pub use blocks::Text;
pub use document::{Document, GatewayQuery, NOT_FOUND, Query};
pub use parts::{TemplateError, TemplateWarning};
pub use templates::Templates;
