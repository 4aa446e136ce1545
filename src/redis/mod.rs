//! Connections to Redis: pools, Sentinel, TLS, tracking, and what went wrong with each operation.
//!
//! Knows nothing of gateways or switches.

pub(crate) mod bulk;
mod failures;
pub(crate) mod link;
mod meter;
mod options;
pub(crate) mod pool;
mod quarantine;
mod sentinel;
mod stream;
mod tls;
pub(crate) mod tracking;
pub(crate) mod wrong_type;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use deadpool::managed::{self, PoolError};
use redis::{AsyncConnectionConfig, ErrorKind, RedisError, ServerErrorKind, Value};
use tokio::sync::watch;
use tokio::time::sleep;

pub use failures::Cause;
pub use options::Options;

use crate::health::{self, Health, Part};
use crate::keys::GatewayKeys;
use crate::metrics;
use bulk::{Bulk, BulkManager, BulkPool};
use failures::{Failures, News};
use link::{ConnectError, Link, Role};
use pool::{Connection, Manager, Pool, Pooled};
use wrong_type::SetKey;

/// Connections that may be open at once, of each kind.
const POOL_SIZE: usize = 16;
/// How often the Sentinels are asked when nobody needs Redis.
const LOOK: Duration = Duration::from_secs(1);

/// A handle to Redis; clones share its connections.
#[derive(Clone)]
pub struct Store {
    /// Apart, so that slow writes of many switches leave connections for answering FreeSWITCH.
    pub(crate) reads: Pool,
    pub(crate) writes: Pool,
    /// For reading whole hashes.
    pub(crate) bulks: BulkPool,
    pub(crate) link: Arc<Link>,
    pub(crate) timeout: Duration,
    pub(crate) gateway_keys: GatewayKeys,
    pub(crate) health: Arc<Health>,
    pub(crate) standing: Arc<Mutex<Standing>>,
    /// Keys that the settings name, and of what type they are.
    pub(crate) set_keys: Arc<Mutex<Vec<SetKey>>>,
}

/// What an operation needs: a Redis that is out of memory, or a replica, still reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Read,
    Write,
}

/// Why reading and writing fail, so that losing and finding Redis is logged once.
#[derive(Debug, Default)]
pub(crate) struct Standing {
    read: Failures,
    write: Failures,
    /// What is read is no master: by those operations alone that look at it.
    role: Option<String>,
    /// No Sentinel can be asked. Redis itself may be well.
    sentinels: Option<String>,
    /// Keys of ours that hold what they must not, and how to fix that; by key or by the operation that met it.
    keys: BTreeMap<&'static str, String>,
    /// There are more orders and pauses than can be.
    pub(crate) is_control_overfull: bool,
}

impl Standing {
    /// Why Redis is of no use, or of half.
    fn down(&self) -> Option<&String> {
        self.read.worst().or(self.role.as_ref()).or(self.write.worst())
    }
}

/// Why Redis could not be used. Names the operation; never holds a password.
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
    /// A key of ours holds another type. Names it, and what to do.
    #[error("{0}")]
    WrongType(String),
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
            set_keys: Arc::default(),
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
    pub(crate) async fn follow_master(self) {
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

    pub(crate) async fn read<T, F>(&self, operation: &'static str, limit: Duration, work: F) -> Result<T, StoreError>
    where
        F: AsyncFnOnce(&mut Connection) -> Result<T, RedisError>,
    {
        self.run(Kind::Read, operation, limit, work).await
    }

    pub(crate) async fn write<T, F>(&self, operation: &'static str, limit: Duration, work: F) -> Result<T, StoreError>
    where
        F: AsyncFnOnce(&mut Connection) -> Result<T, RedisError>,
    {
        self.run(Kind::Write, operation, limit, work).await
    }

    pub(crate) async fn run<T, F>(
        &self,
        kind: Kind,
        operation: &'static str,
        limit: Duration,
        work: F,
    ) -> Result<T, StoreError>
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
    pub(crate) async fn read_bulk<T, F>(
        &self,
        operation: &'static str,
        limit: Duration,
        work: F,
    ) -> Result<T, StoreError>
    where
        F: AsyncFnOnce(&mut Bulk) -> Result<T, RedisError>,
    {
        self.run_on(&self.bulks, Kind::Read, operation, limit, work).await
    }

    /// Runs one operation on a pooled connection within `limit`, and notes how it went.
    pub(crate) async fn run_on<M, T, F>(
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
                    return Err(self.link.redis_error(operation, Cause::Broken, reason));
                }
            };
            connection.used(result.is_ok());
            if let Err(error) = &result
                && error.kind() == ErrorKind::Server(ServerErrorKind::ReadOnly)
            {
                connection.discard();
            }
            match result {
                Ok(result) => Ok(result),
                Err(error) if wrong_type::is_wrong_type(&error) => {
                    drop(connection);
                    Err(self.wrong_type(operation).await)
                }
                Err(error) => Err(self.link.failed(operation, &error)),
            }
        };
        let result = tokio::time::timeout(limit, attempt).await;
        let result = result.unwrap_or_else(|_| Err(self.link.late(operation, limit)));
        self.note(kind, operation, result.as_ref().err());
        result
    }

    pub(crate) fn unwrap_pool(&self, operation: &'static str, error: &PoolError<ConnectError>) -> StoreError {
        match error {
            PoolError::Backend(error) => self.link.error(operation, error),
            other => self.link.redis_error(operation, Cause::Connection, other.to_string()),
        }
    }

    /// Says how an operation went: to the health and the metrics, and to the log when it is news.
    pub(crate) fn note(&self, kind: Kind, operation: &'static str, error: Option<&StoreError>) {
        let now = Instant::now();
        let reason = error.map(ToString::to_string).unwrap_or_default();
        let mut standing = self.standing();
        let failures = match kind {
            Kind::Read => &mut standing.read,
            Kind::Write => &mut standing.write,
        };
        let news = match error {
            Some(error) => failures.failed(operation, error.cause(), &reason, now),
            None => {
                self.link.answered();
                failures.succeeded(operation, now)
            }
        };
        match (news, kind) {
            (Some(News::Failing), _) if matches!(error, Some(StoreError::WrongType(_))) => tracing::error!("{reason}"),
            (Some(News::Failing), Kind::Read) => tracing::error!("Redis cannot be read: {reason}"),
            (Some(News::Failing), Kind::Write) => {
                tracing::error!("Redis takes no writes; the switches' events are kept until it does: {reason}");
            }
            (Some(News::Well), Kind::Read) => tracing::info!("Redis can be read again"),
            (Some(News::Well), Kind::Write) => tracing::info!("Redis takes writes again"),
            (None, _) => {}
        }
        if error.is_some() {
            ::metrics::counter!(metrics::REDIS_ERRORS, "operation" => operation).increment(1);
        }
        self.publish(&standing);
    }

    /// Says whether what is read is a master; if not, why what it holds cannot be relied on.
    pub(crate) fn note_role(&self, operation: &'static str, role: &Role) -> Option<StoreError> {
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

    pub(crate) fn note_sentinels(&self, reason: Option<String>) {
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

    /// Says that a key of ours holds what it must not, or no longer; `what` is the key, or the operation that met it.
    pub(crate) fn note_key(&self, what: &'static str, reason: Option<String>) {
        let mut standing = self.standing();
        let before = match reason.clone() {
            Some(reason) => standing.keys.insert(what, reason),
            None => standing.keys.remove(what),
        };
        if before == reason {
            return;
        }
        match reason {
            Some(reason) => tracing::error!("{reason}"),
            None => tracing::info!("no longer so: {}", before.unwrap_or_default()),
        }
        self.publish(&standing);
    }

    pub(crate) fn publish(&self, standing: &Standing) {
        let down = standing.down();
        ::metrics::gauge!(metrics::REDIS_UP).set(if down.is_none() { 1.0 } else { 0.0 });
        let worst = down
            .or(standing.sentinels.as_ref())
            .or(standing.keys.values().next())
            .cloned();
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

    pub(crate) fn standing(&self) -> MutexGuard<'_, Standing> {
        // Each field is replaced whole.
        self.standing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl StoreError {
    pub(crate) fn cause(&self) -> Cause {
        match self {
            Self::Timeout { .. } => Cause::Broken,
            Self::Redis { cause, .. } => *cause,
            Self::WrongType(_) => Cause::Refused,
            Self::Settings(_) | Self::Unsupported(_) => Cause::Connection,
        }
    }
}
