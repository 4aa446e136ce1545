//! Everything that is in Redis: the desired gateways that are read and the observed state that is written.
//!
//! The only room with Redis commands and key names. Knows nothing of XML, HTTP or the event socket.

mod catalog;
mod control;
mod data_dir;
mod embedded;
mod keys;
mod last_good;
mod lease;
mod observed;
mod tracking;

use std::future::Future;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use deadpool_redis::{Manager, Pool};
use redis::{AsyncConnectionConfig, ConnectionInfo, ErrorKind, IntoConnectionInfo, RedisError, ServerErrorKind};
use secrecy::ExposeSecret;

pub use catalog::{Catalog, Current, Unavailable};
pub use control::{Control, Form, OTHER_SWITCHES, Order, Report};
pub use data_dir::{DataDir, DataDirError};
pub use embedded::{Embedded, EmbeddedError};
pub use keys::{GatewayKeys, StatusKeys};
pub use last_good::{LastGood, LastGoodError};
pub use lease::{Lease, Term};
pub use observed::{Applied, Change, Mend, MendOp, Observation, Observed, Row, StaleItem, Stored, SwitchState};

use crate::health::{self, Health, Part};
use crate::metrics;
use crate::settings::RedisSettings;

/// Connections that may be open at once, of each kind.
const POOL_SIZE: usize = 16;

/// How to reach Redis.
#[derive(Clone)]
pub struct Options {
    pub connection: ConnectionInfo,
    /// The limit of one read on behalf of a request, connection included.
    pub timeout: Duration,
    pub gateway_keys: GatewayKeys,
}

impl Options {
    /// The embedded server's socket when `redis.embedded`, else `redis.url` with the user and the password of the settings.
    ///
    /// # Errors
    /// [`StoreError::Settings`] when the URL makes no sense, or there is none.
    pub fn from_settings(redis: &RedisSettings, data_dir: &Path) -> Result<Self, StoreError> {
        let connection = match &redis.url {
            _ if redis.embedded => Embedded::connection(data_dir),
            None => {
                return Err(StoreError::Settings(
                    "set redis.url, or redis.embedded = true".to_owned(),
                ));
            }
            Some(url) => {
                let info = url.expose_secret().into_connection_info();
                // The library's error could quote the URL, and with it a password.
                let info = info.map_err(|_| {
                    StoreError::Settings(format!("redis.url is not a Redis URL: {}", redis.shown_url()))
                })?;
                let mut user = info.redis_settings().clone();
                if let Some(name) = &redis.username {
                    user = user.set_username(name);
                }
                if let Some(password) = &redis.password {
                    user = user.set_password(password.expose_secret());
                }
                info.set_redis_settings(user)
            }
        };
        let gateway_keys = match &redis.domains[..] {
            [] => GatewayKeys::Pattern(redis.gateway_keys.clone()),
            domains => GatewayKeys::Domains {
                prefix: redis.key_prefix().to_owned(),
                domains: domains.to_vec(),
            },
        };
        Ok(Self {
            connection,
            timeout: redis.timeout,
            gateway_keys,
        })
    }
}

/// A handle to Redis; clones share its connections.
#[derive(Clone)]
pub struct Store {
    /// Apart, so that slow writes of many switches leave connections for answering FreeSWITCH.
    reads: Pool,
    writes: Pool,
    connection: ConnectionInfo,
    timeout: Duration,
    gateway_keys: GatewayKeys,
    health: Arc<Health>,
    standing: Arc<Mutex<Standing>>,
}

/// What an operation needs: a Redis that is out of memory, or a replica, still reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Read,
    Write,
}

/// Why reading and writing last failed, so that losing and finding Redis is logged once.
#[derive(Debug, Default)]
struct Standing {
    read: Option<String>,
    write: Option<String>,
}

/// Why Redis could not be used. Names the operation; never holds a password.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    #[error("Redis did not answer within {limit:?} ({operation})")]
    Timeout { operation: &'static str, limit: Duration },
    #[error("Redis ({operation}): {reason}")]
    Redis { operation: &'static str, reason: String },
    #[error("Redis settings: {0}")]
    Settings(String),
}

impl Store {
    /// Prepares the connections; none is opened yet, so this works while Redis is away.
    ///
    /// # Errors
    /// [`StoreError::Settings`] when the address makes no sense.
    pub fn new(options: Options, health: Arc<Health>) -> Result<Self, StoreError> {
        let settings = |error: &dyn std::fmt::Display| StoreError::Settings(error.to_string());
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(options.timeout.max(Duration::from_secs(1))))
            // Each operation has its own limit; this one only frees a connection that will never answer.
            .set_response_timeout(Some(options.timeout.max(Duration::from_secs(5))));
        let pool = || {
            let manager = Manager::new_with_config(options.connection.clone(), config.clone());
            let manager = manager.map_err(|error| settings(&error))?;
            let pool = Pool::builder(manager).max_size(POOL_SIZE).build();
            pool.map_err(|error| settings(&error))
        };
        Ok(Self {
            reads: pool()?,
            writes: pool()?,
            connection: options.connection.clone(),
            timeout: options.timeout,
            gateway_keys: options.gateway_keys.clone(),
            health,
            standing: Arc::default(),
        })
    }

    /// Whether Redis answers.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn ping(&self) -> Result<(), StoreError> {
        self.read("PING", self.timeout, async |connection| {
            redis::cmd("PING").exec_async(connection).await
        })
        .await
    }

    async fn read<T, F>(&self, operation: &'static str, limit: Duration, work: F) -> Result<T, StoreError>
    where
        F: AsyncFnOnce(&mut deadpool_redis::Connection) -> Result<T, RedisError>,
    {
        self.run(Kind::Read, operation, limit, work).await
    }

    async fn write<T, F>(&self, operation: &'static str, limit: Duration, work: F) -> Result<T, StoreError>
    where
        F: AsyncFnOnce(&mut deadpool_redis::Connection) -> Result<T, RedisError>,
    {
        self.run(Kind::Write, operation, limit, work).await
    }

    /// Runs one operation on a pooled connection within `limit`, and notes how it went.
    async fn run<T, F>(&self, kind: Kind, operation: &'static str, limit: Duration, work: F) -> Result<T, StoreError>
    where
        F: AsyncFnOnce(&mut deadpool_redis::Connection) -> Result<T, RedisError>,
    {
        let pool = match kind {
            Kind::Read => &self.reads,
            Kind::Write => &self.writes,
        };
        let attempt = async {
            let mut connection = pool.get().await.map_err(|error| unwrap_pool(operation, error))?;
            let result = work(&mut connection).await;
            result.map_err(|error| describe(operation, &error))
        };
        let result = within(operation, limit, attempt).await;
        self.note(kind, result.as_ref().err());
        result
    }

    /// Says how an operation went: to the health and the metrics, and to the log when it went otherwise than the one before.
    fn note(&self, kind: Kind, error: Option<&StoreError>) {
        let reason = error.map(ToString::to_string);
        let mut standing = self.standing.lock().unwrap_or_else(PoisonError::into_inner);
        let before = match kind {
            Kind::Read => std::mem::replace(&mut standing.read, reason.clone()),
            Kind::Write => std::mem::replace(&mut standing.write, reason.clone()),
        };
        let any = standing.read.as_ref().or(standing.write.as_ref()).cloned();
        match (&before, &reason, kind) {
            (None, Some(reason), Kind::Read) => {
                tracing::error!(
                    "Redis cannot be read; what was read before goes on being served, if it ever was: {reason}"
                );
            }
            (None, Some(reason), Kind::Write) => {
                tracing::error!("Redis takes no writes; the switches' events are kept until it does: {reason}");
            }
            (Some(_), None, Kind::Read) => tracing::info!("Redis can be read again"),
            (Some(_), None, Kind::Write) => tracing::info!("Redis takes writes again"),
            _ => {}
        }
        drop(standing);
        if let Some(error) = error {
            ::metrics::counter!(metrics::REDIS_ERRORS, "operation" => error.operation()).increment(1);
        }
        ::metrics::gauge!(metrics::REDIS_UP).set(if any.is_none() { 1.0 } else { 0.0 });
        let state = if any.is_none() {
            health::State::Ok
        } else {
            health::State::Degraded
        };
        self.health.set(Part::Redis, state, any);
    }
}

impl StoreError {
    fn operation(&self) -> &'static str {
        match self {
            Self::Timeout { operation, .. } | Self::Redis { operation, .. } => operation,
            Self::Settings(_) => "settings",
        }
    }
}

async fn within<T>(
    operation: &'static str,
    limit: Duration,
    attempt: impl Future<Output = Result<T, StoreError>>,
) -> Result<T, StoreError> {
    tokio::time::timeout(limit, attempt)
        .await
        .unwrap_or(Err(StoreError::Timeout { operation, limit }))
}

fn unwrap_pool(operation: &'static str, error: deadpool_redis::PoolError) -> StoreError {
    match error {
        deadpool_redis::PoolError::Backend(error) => describe(operation, &error),
        other => StoreError::Redis {
            operation,
            reason: other.to_string(),
        },
    }
}

/// The error in an operator's words, with the mend where there is a usual one.
fn describe(operation: &'static str, error: &RedisError) -> StoreError {
    let mend = match error.kind() {
        ErrorKind::AuthenticationFailed => "; check redis.username and redis.password",
        ErrorKind::Server(ServerErrorKind::NoPerm) => {
            "; give trunkd's Redis user this command and these keys (README: Redis user)"
        }
        ErrorKind::Server(ServerErrorKind::ReadOnly) => "; this is a replica: point redis.url at the master",
        ErrorKind::Server(ServerErrorKind::Moved | ServerErrorKind::ClusterDown | ServerErrorKind::CrossSlot) => {
            "; Redis Cluster is not supported: use a standalone Redis"
        }
        _ if error.code() == Some("NOAUTH") => "; set redis.password",
        _ if error.code() == Some("OOM") => "; Redis is out of memory: raise its maxmemory or free some",
        _ if error.code() == Some("MISCONF") => "; Redis cannot write its disk: free space there",
        _ => "",
    };
    StoreError::Redis {
        operation,
        reason: format!("{error}{mend}"),
    }
}

/// A script of ours; the shared part stands before each.
macro_rules! script {
    ($name:literal) => {{
        static SCRIPT: std::sync::LazyLock<redis::Script> = std::sync::LazyLock::new(|| {
            redis::Script::new(concat!(
                include_str!("scripts/common.lua"),
                include_str!(concat!("scripts/", $name, ".lua"))
            ))
        });
        &*SCRIPT
    }};
}
use script;
