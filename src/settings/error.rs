//! What can be wrong with the settings, said for somebody who was woken up: which key, where it came from, what to write.
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

    #[error("{}, line {line}, column {column}: this is no TOML: {problem}", path.display())]
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
        /// What was probably meant, as it would be written there.
        suggestion: Option<String>,
        /// The keys that there are in that table.
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
        "no Redis is set: give `redis.url` the address of yours (in trunkd.toml under [redis]: url = \"redis://127.0.0.1:6379\"; \
         or TRUNKD_REDIS__URL), name your Sentinels in `redis.sentinel`, or let trunkd run a private one (embedded = true; or \
         TRUNKD_REDIS__EMBEDDED=true)"
    )]
    NoRedis,

    #[error(
        "{} and {} are both set, and only one Redis can hold the gateways: remove {} to use {}, or {} to use {}",
        first.set, second.set, first.removal, second.shown, second.removal, first.shown
    )]
    TwoRedis { first: WayToRedis, second: WayToRedis },

    #[error("`redis.tls` is set, but no connection would look at its certificates, since {why}; or remove `redis.tls`")]
    UnusedCertificates { why: &'static str },

    #[error(
        "`http.listen` is {listen}, beyond loopback, and nothing guards it: whoever reaches it could read the password of every \
         gateway. Set `http.credentials` (in trunkd.toml under [http]: credentials = [\"fs1:a-long-password\"]; or \
         TRUNKD_HTTP__CREDENTIALS) or `http.tls` with a `client_ca`, or listen on 127.0.0.1; `allow_open = true` says that it is \
         meant to be open"
    )]
    Open { listen: SocketAddr },
}

/// One of the ways to a Redis, in words.
#[derive(Debug)]
pub struct WayToRedis {
    /// As it is set.
    pub(super) set: &'static str,
    /// What to remove to be without it, and where that can stand.
    pub(super) removal: &'static str,
    /// What is reached that way.
    pub(super) shown: String,
}

fn hint(suggestion: &Option<String>, known: &[String]) -> String {
    match suggestion {
        Some(suggestion) => format!(": did you mean `{suggestion}`?"),
        None => format!(": the keys here are {}", known.join(", ")),
    }
}
