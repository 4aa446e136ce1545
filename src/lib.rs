//! trunkd serves FreeSWITCH its SIP gateways from Redis and keeps in Redis what each gateway is really doing.
//!
//! Data flows one way: Redis → [`store`] → [`gateway`] → [`sofia_conf`] → [`xml_curl`] → FreeSWITCH → [`event_socket`] →
//! [`ingest`] → [`store`] → Redis. `ARCHITECTURE.md` names what each room holds and never holds; `tests/layering.rs` reads
//! the `use crate::` lines and fails on an arrow that points back.

mod all_cores;
pub mod backoff;
pub mod cli;
pub mod event_socket;
pub mod files;
pub mod gateway;
pub mod health;
pub mod ingest;
pub mod metrics;
pub mod reconcile;
pub mod registration;
pub mod server;
pub mod settings;
pub mod shown;
pub mod sofia_conf;
pub mod store;
pub mod telemetry;
pub mod throttle;
pub mod xml_curl;
