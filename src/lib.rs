//! trunkd serves FreeSWITCH its SIP gateways from Redis, and keeps in Redis what each gateway is
//! really doing.
//!
//! Data flows one way: Redis → [`desired`] → [`gateway`] → [`sofia_conf`] → [`xml_curl`] →
//! FreeSWITCH → [`event_socket`] → [`ingest`] → [`observed`] → Redis. `ARCHITECTURE.md` says what
//! each room holds and never holds; `tests/layering.rs` reads the `use crate::` lines and fails if
//! one points upward.

pub mod access;
mod all_cores;
pub mod api;
pub mod app;
pub mod backoff;
pub mod calls;
pub mod carriers;
pub mod cli;
pub mod control;
pub mod data_dir;
pub mod desired;
pub mod documents;
pub mod embedded;
pub mod event_socket;
pub mod files;
pub mod gateway;
pub mod health;
pub mod history;
pub mod http;
pub mod import;
pub mod ingest;
pub mod keys;
pub mod language;
pub mod liveness;
pub mod metrics;
pub mod observed;
pub mod operate;
pub mod placement;
pub mod portal;
pub mod reconcile;
pub mod redis;
pub mod registration;
pub mod settings;
pub mod shown;
pub mod sofia_conf;
pub mod telemetry;
pub mod throttle;
pub mod web;
pub mod webhooks;
pub mod xml_curl;
