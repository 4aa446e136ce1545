//! Errors of the settings, for an operator at 3 in the morning: which key, where its value came from, what to write.
//!
//! No variant holds a value that could be secret, so neither `Display` nor `Debug` can show one.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use super::origin::Origin;

/// Why the settings can't be used.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    #[error("can't read {what} {}: {source}", path.display())]
    Unreadable {
        what: String,
        path: PathBuf,
        source: io::Error,
    },

    #[error("{what} is not UTF-8 text")]
    NotUtf8 { what: String },

    #[error("{}, line {line}, column {column}: invalid TOML: {problem}", path.display())]
    Syntax {
        path: PathBuf,
        line: usize,
        column: usize,
        problem: String,
    },

    #[error("unknown key `{key}` ({origin}){}", hint(suggestion, known))]
    UnknownKey {
        key: String,
        origin: Origin,
        /// The key that was probably meant, spelled as there.
        suggestion: Option<String>,
        /// The keys of that table.
        known: Vec<String>,
    },

    #[error("`{key}` is missing ({origin}): each {table} needs one")]
    Missing { key: String, table: String, origin: Origin },

    #[error("`{key}` ({origin}): {problem}")]
    Invalid {
        key: String,
        origin: Origin,
        problem: String,
    },

    #[error("{first} ({first_origin}) and {second} ({second_origin}) are both set: keep one of them")]
    Both {
        first: String,
        first_origin: Origin,
        second: String,
        second_origin: Origin,
    },

    #[error(
        "no Redis is set: set `redis.url` (TRUNKD_REDIS__URL), such as \"redis://127.0.0.1:6379\"; or \
         `redis.sentinel`; or \
         `redis.embedded = true` (TRUNKD_REDIS__EMBEDDED=true) for a private one"
    )]
    NoRedis,

    #[error(
        "{} and {} are both set, and only one Redis can hold the gateways: remove {} to use {}, or {} to use {}",
        first.set, second.set, first.removal, second.shown, second.removal, first.shown
    )]
    TwoRedis { first: WayToRedis, second: WayToRedis },

    #[error("`redis.tls` is set, but no connection uses TLS: {why}, or remove `redis.tls`")]
    UnusedCertificates { why: &'static str },

    #[error(
        "`http.listen` is {listen}, beyond loopback, and nothing guards it: anyone who reaches it could read \
         the password of every gateway. Set `http.credentials` (TRUNKD_HTTP__CREDENTIALS=fs1:a-long-password) or \
         `http.tls` with a `client_ca`, or listen on 127.0.0.1. If it is meant to be open, set `http.allow_open = true`"
    )]
    Open { listen: SocketAddr },
    #[error(
        "`api.listen` is {listen}, so passwords and tokens of people would cross the network unencrypted: set \
         `api.tls`, or `api.behind_proxy = true` if a proxy in front does TLS, or listen on 127.0.0.1"
    )]
    PlainApi { listen: SocketAddr },
}

/// One of the ways to reach a Redis, for the error about two of them.
#[derive(Debug)]
pub struct WayToRedis {
    /// The setting.
    pub(super) set: &'static str,
    /// What to remove, and where it may be set.
    pub(super) removal: &'static str,
    /// The Redis that it reaches.
    pub(super) shown: String,
}

fn hint(suggestion: &Option<String>, known: &[String]) -> String {
    match suggestion {
        Some(suggestion) => format!(": did you mean `{suggestion}`?"),
        None => format!(": the keys here are {}", known.join(", ")),
    }
}
