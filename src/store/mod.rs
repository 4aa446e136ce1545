//! Everything that is in Redis: the desired gateways that are read and the observed state that is written.
//!
//! The only room with Redis commands and key names. Knows nothing of XML, HTTP or the event socket.

mod bulk;
mod catalog;
mod control;
mod data_dir;
mod embedded;
mod keys;
mod last_good;
mod lease;
mod link;
mod observed;
mod options;
mod pool;
mod removals;
mod reports;
mod sentinel;
mod tls;
mod tracking;

use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use deadpool::managed::{self, PoolError};
use redis::{AsyncConnectionConfig, ErrorKind, RedisError, ServerErrorKind, Value};
use tokio::sync::watch;
use tokio::time::sleep;

pub use catalog::{Catalog, Current, Unavailable};
pub use control::{Control, Form, OTHER_SWITCHES, Order, OrderContent, OrderedAction, Version};
pub use data_dir::{DataDir, DataDirError};
pub use embedded::{Embedded, EmbeddedError};
pub use keys::{GatewayKeys, StatusKeys};
pub use last_good::{LastGood, LastGoodError};
pub use lease::{Lease, Term};
pub use observed::{Applied, Change, Mend, MendOp, Observation, Observed, Row, StaleItem, Stored, SwitchState};
pub use options::Options;
pub use removals::Removal;
pub use reports::{OrderReport, REPORT_LASTS, Report, Reports};

use crate::health::{self, Health, Part};
use crate::metrics;
use bulk::{Bulk, BulkManager, BulkPool};
use link::{ConnectError, Link, Role};
use pool::{Connection, Manager, Pool, Pooled};

/// Connections that may be open at once, of each kind.
const POOL_SIZE: usize = 16;
/// How often the Sentinels are asked when nobody needs Redis.
const LOOK: Duration = Duration::from_secs(1);

/// A handle to Redis; clones share its connections.
#[derive(Clone)]
pub struct Store {
    /// Apart, so that slow writes of many switches leave connections for answering FreeSWITCH.
    reads: Pool,
    writes: Pool,
    /// For reading whole hashes.
    bulks: BulkPool,
    link: Arc<Link>,
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
    /// What is read is no master: by those operations alone that look at it.
    role: Option<String>,
    /// No Sentinel can be asked. Redis itself may be well.
    sentinels: Option<String>,
}

impl Standing {
    /// Why Redis is of no use, or of half.
    fn down(&self) -> Option<&String> {
        [&self.read, &self.role, &self.write].into_iter().flatten().next()
    }
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
    /// Redis answers, and will never do.
    #[error("{0}")]
    Unsupported(String),
}

impl Store {
    /// Prepares the connections; none is opened yet, so this works while Redis is away.
    ///
    /// # Errors
    /// [`StoreError::Settings`] when the address makes no sense.
    pub fn new(options: Options, health: Arc<Health>) -> Result<Self, StoreError> {
        let limit = options.timeout.max(Duration::from_secs(1));
        let link = Arc::new(Link::new(&options.way, options.tls.clone(), limit));
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(limit))
            // Each operation has its own limit; this one only frees a connection that will never answer.
            .set_response_timeout(Some(options.timeout.max(Duration::from_secs(5))));
        let pool = || {
            let pool = Pool::builder(Manager::new(link.clone(), config.clone())).max_size(POOL_SIZE);
            pool.build().map_err(|error| StoreError::Settings(error.to_string()))
        };
        let bulks = BulkPool::builder(BulkManager::new(link.clone())).max_size(POOL_SIZE);
        Ok(Self {
            reads: pool()?,
            writes: pool()?,
            bulks: bulks.build().map_err(|error| StoreError::Settings(error.to_string()))?,
            link: link.clone(),
            timeout: options.timeout,
            gateway_keys: options.gateway_keys.clone(),
            health,
            standing: Arc::default(),
        })
    }

    /// Whether Redis answers, and is a master.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn ping(&self) -> Result<(), StoreError> {
        const OPERATION: &str = "ROLE";
        let role: Value = self
            .read(OPERATION, self.timeout, async |connection| {
                let role: Value = redis::cmd("ROLE").query_async(connection).await?;
                if Role::of(&role) != Role::Master {
                    connection.discard();
                }
                Ok(role)
            })
            .await?;
        self.note_role(OPERATION, &Role::of(&role)).map_or(Ok(()), Err)
    }

    /// Meets Redis for the first time. One that is away may come yet.
    ///
    /// # Errors
    /// [`StoreError::Unsupported`] when it answers, and is of a kind that trunkd cannot work with.
    pub async fn meet(&self) -> Result<(), StoreError> {
        match self.ping().await {
            Err(error @ StoreError::Unsupported(_)) => Err(error),
            Err(_) | Ok(()) => Ok(()),
        }
    }

    /// Tells whenever Redis was found again after it was lost, be it the same server or another: it may lack what it had acknowledged.
    pub(crate) fn found(&self) -> watch::Receiver<u64> {
        self.link.found()
    }

    /// For ever: asks the Sentinels where the master is though nobody needs Redis, and drops what is connected to one that is no longer.
    async fn follow_master(self) {
        let mut moves = self.link.moves();
        let looking = async {
            loop {
                let away = self.link.look().await.err();
                self.note_sentinels(away.map(|away| away.to_string()));
                sleep(LOOK).await;
            }
        };
        let dropping = async {
            while moves.changed().await.is_ok() {
                for pool in [&self.reads, &self.writes] {
                    pool.retain(|connection, _| self.link.is_current(connection.generation()));
                }
                self.bulks.retain(|bulk, _| self.link.is_current(bulk.generation()));
            }
        };
        tokio::join!(looking, dropping);
    }

    async fn read<T, F>(&self, operation: &'static str, limit: Duration, work: F) -> Result<T, StoreError>
    where
        F: AsyncFnOnce(&mut Connection) -> Result<T, RedisError>,
    {
        self.run(Kind::Read, operation, limit, work).await
    }

    async fn write<T, F>(&self, operation: &'static str, limit: Duration, work: F) -> Result<T, StoreError>
    where
        F: AsyncFnOnce(&mut Connection) -> Result<T, RedisError>,
    {
        self.run(Kind::Write, operation, limit, work).await
    }

    async fn run<T, F>(&self, kind: Kind, operation: &'static str, limit: Duration, work: F) -> Result<T, StoreError>
    where
        F: AsyncFnOnce(&mut Connection) -> Result<T, RedisError>,
    {
        let pool = match kind {
            Kind::Read => &self.reads,
            Kind::Write => &self.writes,
        };
        self.run_on(pool, kind, operation, limit, work).await
    }

    /// As [`Store::read`], where the whole of what is read is large.
    async fn read_bulk<T, F>(&self, operation: &'static str, limit: Duration, work: F) -> Result<T, StoreError>
    where
        F: AsyncFnOnce(&mut Bulk) -> Result<T, RedisError>,
    {
        self.run_on(&self.bulks, Kind::Read, operation, limit, work).await
    }

    /// Runs one operation on a pooled connection within `limit`, and notes how it went.
    async fn run_on<M, T, F>(
        &self,
        pool: &managed::Pool<M>,
        kind: Kind,
        operation: &'static str,
        limit: Duration,
        work: F,
    ) -> Result<T, StoreError>
    where
        M: managed::Manager<Error = ConnectError, Type: Pooled>,
        F: AsyncFnOnce(&mut M::Type) -> Result<T, RedisError>,
    {
        let attempt = async {
            let connection = pool.get().await;
            let mut connection = connection.map_err(|error| self.unwrap_pool(operation, &error))?;
            let generation = connection.generation();
            let result = tokio::select! {
                result = work(&mut connection) => result,
                // It may hang for as long as it likes.
                () = self.link.moved(generation) => {
                    let reason = "the master moved meanwhile".to_owned();
                    return Err(StoreError::Redis { operation, reason });
                }
            };
            connection.used(result.is_ok());
            if let Err(error) = &result
                && error.kind() == ErrorKind::Server(ServerErrorKind::ReadOnly)
            {
                connection.discard();
            }
            result.map_err(|error| StoreError::Redis {
                operation,
                reason: self.link.describe(&error),
            })
        };
        let result = within(operation, limit, attempt).await;
        self.note(kind, result.as_ref().err());
        result
    }

    fn unwrap_pool(&self, operation: &'static str, error: &PoolError<ConnectError>) -> StoreError {
        match error {
            PoolError::Backend(error) => self.link.error(operation, error),
            other => StoreError::Redis {
                operation,
                reason: other.to_string(),
            },
        }
    }

    /// Says how an operation went: to the health and the metrics, and to the log when it went otherwise than the one before.
    fn note(&self, kind: Kind, error: Option<&StoreError>) {
        let reason = error.map(ToString::to_string);
        let mut standing = self.standing();
        let before = match kind {
            Kind::Read => std::mem::replace(&mut standing.read, reason.clone()),
            Kind::Write => std::mem::replace(&mut standing.write, reason.clone()),
        };
        match (&before, &reason, kind) {
            (None, Some(reason), Kind::Read) => {
                tracing::error!("Redis cannot be read: {reason}");
            }
            (None, Some(reason), Kind::Write) => {
                tracing::error!("Redis takes no writes; the switches' events are kept until it does: {reason}");
            }
            (Some(_), None, Kind::Read) => tracing::info!("Redis can be read again"),
            (Some(_), None, Kind::Write) => tracing::info!("Redis takes writes again"),
            _ => {}
        }
        if let Some(error) = error {
            ::metrics::counter!(metrics::REDIS_ERRORS, "operation" => error.operation()).increment(1);
        }
        self.publish(&standing);
    }

    /// Says whether what is read is a master; if not, why what it holds cannot be relied on.
    fn note_role(&self, operation: &'static str, role: &Role) -> Option<StoreError> {
        let error = match role {
            Role::Master => None,
            Role::Replica { of } => Some(self.link.replica(operation, of)),
        };
        let reason = error.as_ref().map(ToString::to_string);
        let mut standing = self.standing();
        let before = std::mem::replace(&mut standing.role, reason.clone());
        match (before, reason) {
            (None, Some(reason)) => tracing::error!("Redis is no master, so nothing is changed for its sake: {reason}"),
            (Some(_), None) => tracing::info!("Redis is a master again"),
            _ => {}
        }
        self.publish(&standing);
        error
    }

    fn note_sentinels(&self, reason: Option<String>) {
        let mut standing = self.standing();
        let before = std::mem::replace(&mut standing.sentinels, reason.clone());
        if before == reason {
            return;
        }
        match (before, reason) {
            (None, Some(reason)) => tracing::error!("a failover of Redis would not be noticed: {reason}"),
            (Some(_), None) => tracing::info!("the Sentinels answer again"),
            _ => {}
        }
        self.publish(&standing);
    }

    fn publish(&self, standing: &Standing) {
        let down = standing.down();
        ::metrics::gauge!(metrics::REDIS_UP).set(if down.is_none() { 1.0 } else { 0.0 });
        let worst = down.or(standing.sentinels.as_ref()).cloned();
        let state = match worst {
            None => health::State::Ok,
            Some(_) => health::State::Degraded,
        };
        let master = self.link.master().map(|address| format!("the master is {address}"));
        let reason = match (worst, master) {
            (Some(worst), Some(master)) => Some(format!("{worst}; {master}")),
            (worst, master) => worst.or(master),
        };
        self.health.set(Part::Redis, state, reason);
    }

    fn standing(&self) -> MutexGuard<'_, Standing> {
        // Each field is replaced whole.
        self.standing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl StoreError {
    fn operation(&self) -> &'static str {
        match self {
            Self::Timeout { operation, .. } | Self::Redis { operation, .. } => operation,
            Self::Settings(_) => "settings",
            Self::Unsupported(_) => "connect",
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
