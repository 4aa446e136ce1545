//! Templates and gateways → the document that FreeSWITCH reads. The only writer and escaper of XML.
//!
//! Knows nothing of the network, Redis or the clock.

mod blocks;
mod document;
mod escape;
mod render;
mod templates;

pub use crate::gateway::{KeyError, RevisionKey, revision};
pub use blocks::Text;
pub use document::{Document, GatewayQuery, NOT_FOUND, Query};
pub use render::masked_gateway;
pub(crate) use templates::preprocessor;
pub use templates::{TemplateError, TemplateWarning, Templates};
