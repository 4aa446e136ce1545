//! Connections to Redis: pools, Sentinel, TLS, tracking, and what went wrong with each operation.
//!
//! Knows nothing of gateways or switches, and no key names but those in the advice about keys of a
//! wrong type.

mod clock;
mod error;
mod failures;
mod hash_reader;
mod link;
mod meter;
mod options;
mod pool;
mod quarantine;
mod role;
mod sentinel;
mod status;
mod stream;
mod tls;
pub(crate) mod tracking;
mod wrong_type;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, ErrorKind, RedisError, ServerErrorKind, Value};
use tokio::sync::watch;
use tokio::time::sleep;

pub(crate) use clock::{script_with_now, since_epoch};
pub use error::{Cause, StoreError};
pub(crate) use hash_reader::{HashConnection, Reply};
pub(crate) use link::Link;
pub use options::Options;
pub(crate) use pool::{Access, Burst};
pub(crate) use role::RedisRole;
pub(crate) use status::RedisStatus;
pub(crate) use wrong_type::is_wrong_type;

use crate::health::Health;
use crate::keys::GatewayKeys;
use error::ConnectError;
use hash_reader::HashReader;
use pool::Pools;
use sentinel::Patience;
use wrong_type::ConfiguredKey;

/// How often the Sentinels are asked when nobody needs Redis.
const SENTINEL_INTERVAL: Duration = Duration::from_secs(1);
/// The shortest time to wait for a new connection.
const MIN_CONNECT_LIMIT: Duration = Duration::from_secs(1);
/// Frees a connection that will never answer. Each operation has a shorter limit of its own.
const MIN_RESPONSE_LIMIT: Duration = Duration::from_secs(5);

/// A handle to Redis. Clones share its connections.
#[derive(Clone)]
pub struct Store {
    pools: Arc<Pools>,
    hashes: Arc<HashReader>,
    link: Arc<Link>,
    timeout: Duration,
    gateway_keys: GatewayKeys,
    status: Arc<RedisStatus>,
    /// Keys that the settings name, with the type each must have.
    configured_keys: Arc<Mutex<Vec<ConfiguredKey>>>,
}

impl Store {
    /// Prepares the connections. None is opened yet, so this works while Redis is down.
    pub fn new(options: Options, health: Arc<Health>) -> Self {
        let limit = options.timeout.max(MIN_CONNECT_LIMIT);
        let link = Arc::new(Link::new(&options.address, options.tls.clone(), limit));
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(limit))
            .set_response_timeout(Some(options.timeout.max(MIN_RESPONSE_LIMIT)));
        Self {
            pools: Arc::new(Pools::new(link.clone(), config)),
            hashes: Arc::new(HashReader::new(link.clone())),
            timeout: options.timeout,
            gateway_keys: options.gateway_keys,
            status: Arc::new(RedisStatus::new(health, link.clone())),
            link,
            configured_keys: Arc::default(),
        }
    }

    /// The same for somebody who can wait at least this long for an answer.
    #[must_use]
    pub(crate) fn patient(&self, limit: Duration) -> Self {
        Self {
            timeout: self.timeout.max(limit),
            ..self.clone()
        }
    }

    /// The limit of one read on behalf of a request.
    pub(crate) fn timeout(&self) -> Duration {
        self.timeout
    }

    pub(crate) fn gateway_keys(&self) -> &GatewayKeys {
        &self.gateway_keys
    }

    pub(crate) fn link(&self) -> &Arc<Link> {
        &self.link
    }

    pub(crate) fn status(&self) -> &RedisStatus {
        &self.status
    }

    /// Whether Redis answers and is a master.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn ping(&self) -> Result<(), StoreError> {
        const OPERATION: &str = "ROLE";
        let role = async {
            let mut pooled = self.connection(Access::Read, OPERATION).await?;
            let generation = pooled.generation;
            let role = redis::cmd("ROLE");
            let role = role.query_async::<Value>(pooled.connection());
            let role = self.until_moved(generation, OPERATION, role).await?;
            let role = role.map_err(|error| self.link.operation_error(OPERATION, &error))?;
            let role = RedisRole::of(&role);
            if role != RedisRole::Master {
                pooled.discard();
            }
            Ok(role)
        };
        let role = self.within(OPERATION, self.timeout, role).await;
        self.record(Access::Read, OPERATION, role.as_ref().err());
        self.check_role(OPERATION, &role?).map_or(Ok(()), Err)
    }

    /// Contacts Redis for the first time. If it is down, it may come up later.
    ///
    /// # Errors
    /// [`StoreError::Unsupported`] if it answers, and trunkd can't work with it.
    pub async fn check_server(&self) -> Result<(), StoreError> {
        match self.ping().await {
            Err(error @ StoreError::Unsupported(_)) => Err(error),
            Err(_) | Ok(()) => Ok(()),
        }
    }

    /// Changes whenever Redis can be reached again after a loss, at the same server or another: it may
    /// lack acknowledged writes.
    pub(crate) fn recovered(&self) -> watch::Receiver<u64> {
        self.link.recovered()
    }

    /// Runs forever: asks the Sentinels for the master even if nobody needs Redis, and closes
    /// connections to a former master.
    pub(crate) async fn follow_master(self) {
        let mut moves = self.link.moves();
        let asking = async {
            loop {
                let error = self.link.refresh_master(Patience::All).await.err();
                self.status.record_sentinels(error.map(|error| error.to_string()));
                sleep(SENTINEL_INTERVAL).await;
            }
        };
        let closing = async {
            while moves.changed().await.is_ok() {
                self.pools.close_obsolete();
                self.hashes.close_obsolete();
            }
        };
        tokio::join!(asking, closing);
    }

    pub(crate) async fn read<T, F>(&self, operation: &'static str, limit: Duration, work: F) -> Result<T, StoreError>
    where
        F: AsyncFnOnce(&mut MultiplexedConnection) -> Result<T, RedisError>,
    {
        self.run(Access::Read, operation, limit, None, work).await
    }

    pub(crate) async fn write<T, F>(&self, operation: &'static str, limit: Duration, work: F) -> Result<T, StoreError>
    where
        F: AsyncFnOnce(&mut MultiplexedConnection) -> Result<T, RedisError>,
    {
        self.run(Access::Write, operation, limit, None, work).await
    }

    /// Like [`Store::write`], but a write that follows another one of the burst within moments uses
    /// the same connection, without a PING.
    pub(crate) async fn write_burst<T, F>(
        &self,
        burst: &Burst,
        operation: &'static str,
        limit: Duration,
        work: F,
    ) -> Result<T, StoreError>
    where
        F: AsyncFnOnce(&mut MultiplexedConnection) -> Result<T, RedisError>,
    {
        self.run(Access::Write, operation, limit, Some(burst), work).await
    }

    /// Runs one operation within `limit`, and records how it ended.
    async fn run<T, F>(
        &self,
        access: Access,
        operation: &'static str,
        limit: Duration,
        burst: Option<&Burst>,
        work: F,
    ) -> Result<T, StoreError>
    where
        F: AsyncFnOnce(&mut MultiplexedConnection) -> Result<T, RedisError>,
    {
        let attempt = async {
            if let Some(burst) = burst
                && let Some((mut connection, generation)) = burst.reuse(&self.link)
            {
                let result = self.until_moved(generation, operation, work(&mut connection)).await?;
                let result = self.unwrap(operation, result).await?;
                burst.keep(connection, generation);
                return Ok(result);
            }
            let mut pooled = self.connection(access, operation).await?;
            let generation = pooled.generation;
            let result = work(pooled.connection());
            let result = self.until_moved(generation, operation, result).await?;
            match (&result, burst) {
                (Ok(_), Some(burst)) => burst.keep(pooled.connection().clone(), generation),
                (Err(error), _) if error.kind() == ErrorKind::Server(ServerErrorKind::ReadOnly) => pooled.discard(),
                _ => drop(pooled),
            }
            self.unwrap(operation, result).await
        };
        let result = self.within(operation, limit, attempt).await;
        self.record(access, operation, result.as_ref().err());
        result
    }

    /// Runs one operation on the connection for whole hashes within `limit`, and records how it ended.
    pub(crate) async fn read_hashes<T, F>(
        &self,
        operation: &'static str,
        limit: Duration,
        work: F,
    ) -> Result<T, StoreError>
    where
        F: AsyncFnOnce(&mut HashConnection) -> Result<T, RedisError>,
    {
        let attempt = async {
            let connection = self.hashes.get().await;
            let mut connection = connection.map_err(|error| self.link.connect_error(operation, &error))?;
            let generation = connection.generation;
            let result = self.until_moved(generation, operation, work(&mut connection)).await?;
            self.hashes.put_back(connection);
            self.unwrap(operation, result).await
        };
        let result = self.within(operation, limit, attempt).await;
        self.record(Access::Read, operation, result.as_ref().err());
        result
    }

    async fn connection(&self, access: Access, operation: &'static str) -> Result<pool::Pooled, StoreError> {
        let pooled = self.pools.get(access).await;
        pooled.map_err(|error: ConnectError| self.link.connect_error(operation, &error))
    }

    async fn within<T>(
        &self,
        operation: &'static str,
        limit: Duration,
        attempt: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        let result = tokio::time::timeout(limit, attempt).await;
        result.unwrap_or_else(|_| Err(self.link.timeout_error(operation, limit)))
    }

    /// Gives up when the master moves: the old one may hang for as long as it likes.
    async fn until_moved<T>(
        &self,
        generation: u64,
        operation: &'static str,
        work: impl Future<Output = T>,
    ) -> Result<T, StoreError> {
        tokio::select! {
            result = work => Ok(result),
            () = self.link.moved(generation) => {
                let reason = "the master moved meanwhile".to_owned();
                Err(self.link.redis_error(operation, Cause::Broken, reason))
            }
        }
    }

    async fn unwrap<T>(&self, operation: &'static str, result: Result<T, RedisError>) -> Result<T, StoreError> {
        match result {
            Ok(result) => Ok(result),
            Err(error) if is_wrong_type(&error) => Err(self.wrong_type(operation).await),
            Err(error) => Err(self.link.operation_error(operation, &error)),
        }
    }

    /// Records how an operation ended.
    pub(crate) fn record(&self, access: Access, operation: &'static str, error: Option<&StoreError>) {
        if error.is_none() {
            self.link.lift_quarantine();
        }
        self.status.record(access, operation, error);
    }

    /// Records the role of the server that was read. The error says why its data can't be trusted.
    pub(crate) fn check_role(&self, operation: &'static str, role: &RedisRole) -> Option<StoreError> {
        let error = match role {
            RedisRole::Master => None,
            RedisRole::Replica { of } => Some(self.link.replica_error(operation, of)),
        };
        self.status.record_role(error.as_ref().map(ToString::to_string));
        error
    }
}
