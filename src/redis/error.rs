//! What can go wrong with Redis, in an operator's words. No error holds a password.

use std::fmt;
use std::time::Duration;

use redis::{ErrorKind, RedisError, ServerErrorKind};

use crate::language::Bilingual;
use crate::settings::HostPort;
use crate::shown::shown;

/// Why Redis could not be used. Names the server and the operation.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    #[error("{server} did not answer within {limit:?} ({operation})")]
    Timeout {
        server: String,
        operation: &'static str,
        limit: Duration,
    },
    #[error("{server} ({operation}): {reason}")]
    Redis {
        server: String,
        operation: &'static str,
        cause: Cause,
        reason: String,
    },
    /// One of our keys has another type. The text names the key and the fix.
    #[error("{0}")]
    WrongType(String),
    #[error("Redis settings: {0}")]
    Settings(String),
    /// The server answers, but trunkd can never work with it.
    #[error("{0}")]
    Unsupported(String),
}

/// Why an operation failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// There was no connection, which affects every other operation too.
    Connection,
    /// It took too long, or the connection ended.
    Broken,
    /// Redis refused it.
    Refused,
}

/// Why there is no connection.
#[derive(Debug)]
pub(crate) enum ConnectError {
    Redis(RedisError),
    /// Already in an operator's words.
    Explained(String),
    /// trunkd can never work with this kind of server.
    Unsupported(String),
}

/// Why no Sentinel names a master. The text lists every Sentinel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum NoMaster {
    /// Those that answer don't know the name.
    Unknown { name: String, asked: String },
    /// None answers.
    Unreachable { name: String, reasons: String },
}

impl StoreError {
    pub(super) fn cause(&self) -> Cause {
        match self {
            Self::Timeout { .. } => Cause::Broken,
            Self::Redis { cause, .. } => *cause,
            Self::WrongType(_) => Cause::Refused,
            Self::Settings(_) | Self::Unsupported(_) => Cause::Connection,
        }
    }
}

impl Bilingual for StoreError {
    /// Redis's own words stay as they are.
    fn chinese(&self) -> String {
        match self {
            Self::Timeout {
                server,
                operation,
                limit,
            } => format!("{server} 在 {limit:?} 内没有应答（{operation}）"),
            Self::Redis {
                server,
                operation,
                reason,
                ..
            } => format!("{server} 出错（{operation}）：{reason}"),
            Self::WrongType(reason) => format!("Redis 中某个键的类型有误：{reason}"),
            Self::Settings(reason) => format!("Redis 的设置有误：{reason}"),
            Self::Unsupported(reason) => format!("不支持该 Redis 服务器：{reason}"),
        }
    }
}

impl ConnectError {
    /// Adds the address that the Sentinels gave, because no settings contain it. If none of them
    /// confirms it now, `none` says why, and that is what to fix.
    pub(super) fn at(self, master: &str, address: &HostPort, none: Option<&NoMaster>) -> Self {
        if let Some(none) = none {
            return Self::Explained(none.to_string());
        }
        match self {
            Self::Redis(error) if error.is_io_error() => {
                let fix = match tls_fix(&error) {
                    "" => {
                        "; if it runs, it must be reachable from here at that address (`replica-announce-ip`, \
                         `sentinel announce-ip`)"
                    }
                    fix => fix,
                };
                let error = error.to_string();
                Self::Explained(format!(
                    "the master {master:?}, {address} as the Sentinels say, cannot be reached: {}{fix}",
                    shown(&error)
                ))
            }
            Self::Explained(reason) => Self::Explained(format!(
                "the master {master:?}, {address} as the Sentinels say: {reason}"
            )),
            error => error,
        }
    }
}

impl From<RedisError> for ConnectError {
    fn from(error: RedisError) -> Self {
        Self::Redis(error)
    }
}

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Redis(error) => error.fmt(f),
            Self::Explained(reason) | Self::Unsupported(reason) => f.write_str(reason),
        }
    }
}

impl fmt::Display for NoMaster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown { name, asked } => write!(
                f,
                "no Sentinel knows a master named {name:?} ({asked}): check redis.sentinel.master; `SENTINEL \
                 MASTERS` lists those that a Sentinel knows"
            ),
            Self::Unreachable { name, reasons } => write!(
                f,
                "no Sentinel can be asked for the master {name:?} ({reasons}): check redis.sentinel.nodes, and \
                 that the Sentinels run"
            ),
        }
    }
}

impl std::error::Error for ConnectError {}

/// The error in an operator's words, with the usual fix if there is one. Redis's own text is
/// untrusted.
pub(super) fn describe(error: &RedisError, has_sentinels: bool) -> String {
    let fix = match error.kind() {
        ErrorKind::AuthenticationFailed => "; check redis.username and redis.password",
        ErrorKind::Server(ServerErrorKind::NoPerm) => {
            "; give trunkd's Redis user this command and these keys (docs/redis.md: Redis user)"
        }
        ErrorKind::Server(ServerErrorKind::ReadOnly) if has_sentinels => {
            "; it was made a replica: a failover is under way"
        }
        ErrorKind::Server(ServerErrorKind::ReadOnly) => "; this is a replica: point redis.url at the master",
        ErrorKind::Server(ServerErrorKind::MasterDown) => {
            "; this is a replica that lost its master and serves no data until it finds it again"
        }
        ErrorKind::Server(ServerErrorKind::BusyLoading) => "; it will answer when that is done",
        _ if error.code() == Some("NOAUTH") => "; set redis.password",
        _ if error.code() == Some("OOM") => "; Redis is out of memory: raise its maxmemory or free some",
        _ if error.code() == Some("MISCONF") => "; Redis cannot write its disk: free space there",
        _ => tls_fix(error),
    };
    format!("{}{fix}", shown(&error.to_string()))
}

/// The usual fix when TLS fails.
pub(super) fn tls_fix(error: &RedisError) -> &'static str {
    if !error.is_io_error() {
        return "";
    }
    let text = error.to_string();
    let has = |words: &str| text.contains(words);
    match () {
        () if has("UnknownIssuer") => "; set redis.tls.ca to the authority that signed its certificate",
        () if has("NotValidForName") || has("not valid for name") => {
            "; its certificate must name the host, or the address, that trunkd connects to"
        }
        () if has("CertificateRequired") || has("requires a certificate") => {
            "; it asks for a certificate: set redis.tls.cert and redis.tls.key"
        }
        () if has("InvalidContentType") => "; the server does not use TLS on that port",
        () => "",
    }
}
