//! Everything that is in Redis: the desired gateways that are read and the observed state that is written.
//!
//! The only room with Redis commands and key names. Knows nothing of XML, HTTP or the event socket.

mod catalog;
mod embedded;
mod keys;
mod observed;

use std::future::Future;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use deadpool_redis::{Manager, Pool};
use redis::{AsyncConnectionConfig, ConnectionInfo, ErrorKind, IntoConnectionInfo, RedisError, ServerErrorKind};
use secrecy::ExposeSecret;

pub use catalog::{Catalog, Current, Unavailable};
pub use embedded::{Embedded, EmbeddedError};
pub use keys::{GatewayKeys, StatusKeys};
pub use observed::{Applied, Change, Mend, MendOp, Observation, Observed, Row, StaleItem, Stored, SwitchState};

use crate::health::{self, Health, Part};
use crate::metrics;
use crate::settings::RedisSettings;

/// Connections that may be open at once: requests, the ingest of each switch and the command line share them.
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
    pool: Pool,
    timeout: Duration,
    gateway_keys: GatewayKeys,
    health: Arc<Health>,
    /// Whether the last operation reached Redis, so that losing and finding it is logged once.
    up: Arc<AtomicBool>,
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
        let manager = Manager::new_with_config(options.connection, config).map_err(|error| settings(&error))?;
        let pool = Pool::builder(manager)
            .max_size(POOL_SIZE)
            .build()
            .map_err(|error| settings(&error))?;
        let Options {
            timeout, gateway_keys, ..
        } = options;
        Ok(Self {
            pool,
            timeout,
            gateway_keys,
            health,
            up: Arc::new(AtomicBool::new(true)),
        })
    }

    /// Whether Redis answers.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn ping(&self) -> Result<(), StoreError> {
        self.run("PING", self.timeout, async |connection| {
            redis::cmd("PING").exec_async(connection).await
        })
        .await
    }

    /// Runs one operation on a pooled connection within `limit`, and notes how it went.
    async fn run<T, F>(&self, operation: &'static str, limit: Duration, work: F) -> Result<T, StoreError>
    where
        F: AsyncFnOnce(&mut deadpool_redis::Connection) -> Result<T, RedisError>,
    {
        let attempt = async {
            let mut connection = self.pool.get().await.map_err(|error| unwrap_pool(operation, error))?;
            let result = work(&mut connection).await;
            result.map_err(|error| describe(operation, &error))
        };
        let result = within(operation, limit, attempt).await;
        self.note(&result);
        result
    }

    fn note<T>(&self, result: &Result<T, StoreError>) {
        match result {
            Ok(_) => {
                if !self.up.swap(true, Ordering::Relaxed) {
                    tracing::info!("Redis is back");
                }
                self.health.set(Part::Redis, health::State::Ok, None);
                ::metrics::gauge!(metrics::REDIS_UP).set(1.0);
            }
            Err(error) => {
                if self.up.swap(false, Ordering::Relaxed) {
                    tracing::error!(%error, "Redis cannot be used; sofia.conf is answered from the last good state, events are kept until it is back");
                }
                self.health
                    .set(Part::Redis, health::State::Degraded, Some(error.to_string()));
                ::metrics::gauge!(metrics::REDIS_UP).set(0.0);
                ::metrics::counter!(metrics::REDIS_ERRORS, "operation" => error.operation()).increment(1);
            }
        }
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
