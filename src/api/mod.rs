//! The operators' REST API. Thin: it parses a request, calls `operate`, and writes the answer.
//!
//! Never holds decisions or Redis. Every error is a problem document (RFC 9457).

mod body;
mod bulk;
mod carriers;
mod events;
mod files;
mod gateways;
mod history;
mod import;
mod jobs;
mod language;
mod lists;
mod openapi;
mod params;
mod people;
mod placement;
mod responses;
mod routes;
mod session;
mod status;
mod switches;

pub use openapi::document;
pub use routes::Api;
