//! FreeSWITCH's side of HTTP: routes, credentials, the allow-list, TLS, health and metrics.
//!
//! Decides nothing about gateways: `xml_curl` makes the responses.
//!
//! A connection goes through `gate` (who is let in), `server` (TLS, actix-http), `connection` (one
//! request and no more) and `routes` (an actix-web `App`).

mod connection;
mod gate;
mod gateway_page;
mod in_flight;
mod own;
mod request_log;
mod routes;
mod security;
mod server;
mod tls;

pub use gate::{SwitchAddresses, most_connections};
pub use gateway_page::{MetricsPages, ReadGateways};
pub use own::{OwnAnswer, OwnError, ask_health};
pub(crate) use security::AllowList;
pub use server::{BindError, Server, bind};
pub use tls::{Tls, TlsError};
