//! FreeSWITCH's side of HTTP: routes, credentials, the allow-list, TLS, health and metrics.
//!
//! Decides nothing about gateways: `xml_curl` makes the answers.

mod access;
mod connection;
pub mod gate;
mod in_flight;
pub mod security;
pub mod server;
mod site;
pub mod tls;
