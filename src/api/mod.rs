//! The operators' REST API. Thin: it parses a request, calls `operate`, and writes the answer.
//!
//! Never holds decisions or Redis. Every error is a problem document (RFC 9457).

mod body;
mod events;
mod gateways;
mod guard;
mod history;
mod lists;
mod openapi;
mod params;
mod people;
mod problem;
mod responses;
mod server;
mod session;
mod setup_page;
mod status;
mod switches;

pub use openapi::document;
pub use server::{Api, ApiError};
