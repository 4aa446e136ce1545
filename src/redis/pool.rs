//! Connections for ordinary commands, pooled by deadpool-redis.
//!
//! Before there is a pool for a server, a connection that checks every byte ([`Link::connect`]) has
//! verified that it is a Redis which trunkd can work with. After a Sentinel failover new pools replace
//! the old ones, which are closed.

use std::cell::Cell;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use deadpool_redis::{Hook, HookError, Manager, Pool, PoolError, Runtime};
use redis::aio::MultiplexedConnection;
use redis::io::tcp::TcpSettings;
use redis::{AsyncConnectionConfig, ConnectionInfo};
use tokio::time::Instant;

use super::error::ConnectError;
use super::link::Link;
use super::role::identify;
use super::sentinel::Patience;

/// Open connections, for reads and for writes each.
const POOL_SIZE: usize = 16;
/// A pooled connection is pinged before it is used again. Within this time after the last reply a
/// [`Burst`] does without.
const BURST_GAP: Duration = Duration::from_millis(20);

/// What an operation needs: a Redis that is out of memory, or a replica, can still be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    Read,
    Write,
}

/// The pools for the current server.
pub(super) struct Pools {
    link: Arc<Link>,
    config: AsyncConnectionConfig,
    current: Mutex<Option<Arc<ServerPools>>>,
    /// Held while new pools are made.
    opening: tokio::sync::Mutex<()>,
}

struct ServerPools {
    generation: u64,
    reads: Pool,
    /// Separate, so that slow writes for many switches leave connections for answering FreeSWITCH.
    writes: Pool,
}

/// A connection in use. It returns to its pool on drop.
pub(super) struct Pooled {
    connection: deadpool_redis::Connection,
    pub(super) generation: u64,
}

/// Keeps the connection of a writer for as long as one batch follows the other, so that a batch
/// costs one round trip.
#[derive(Default)]
pub(crate) struct Burst(Mutex<Option<BurstConnection>>);

struct BurstConnection {
    connection: MultiplexedConnection,
    generation: u64,
    answered: Instant,
}

impl Pools {
    pub(super) fn new(link: Arc<Link>, config: AsyncConnectionConfig) -> Self {
        Self {
            link,
            config,
            current: Mutex::new(None),
            opening: tokio::sync::Mutex::default(),
        }
    }

    /// A connection that just answered a PING, or a new one.
    pub(super) async fn get(&self, access: Access) -> Result<Pooled, ConnectError> {
        let pools = self.pools().await?;
        let pool = match access {
            Access::Read => &pools.reads,
            Access::Write => &pools.writes,
        };
        if pool.status().available == 0 {
            self.link.check_quarantine()?;
        }
        let pinging = Pinging {
            link: self.link.clone(),
            is_waiting: Cell::new(false),
        };
        // In parallel: the PING costs a round trip anyway.
        let pooled = PINGING.scope(pinging, Box::pin(pool.get()));
        let pooled = async { tokio::join!(pooled, self.link.refresh_master(Patience::Prompt)) };
        let moved = || ConnectError::Explained("the master moved meanwhile".to_owned());
        let connection = tokio::select! {
            (connection, asked) = pooled => {
                connection.map_err(|error| self.link.explain(connect_error(error), asked.err().as_ref()))?
            }
            () = self.link.moved(pools.generation) => return Err(moved()),
        };
        match self.link.is_current(pools.generation) {
            true => Ok(Pooled {
                connection,
                generation: pools.generation,
            }),
            false => Err(moved()),
        }
    }

    /// Closes the pools of a server that is no longer the master.
    pub(super) fn close_obsolete(&self) {
        let mut current = self.lock();
        if let Some(pools) = current.take_if(|pools| !self.link.is_current(pools.generation)) {
            pools.close();
        }
    }

    async fn pools(&self) -> Result<Arc<ServerPools>, ConnectError> {
        if let Some(pools) = self.usable() {
            return Ok(pools);
        }
        let _alone = self.opening.lock().await;
        if let Some(pools) = self.usable() {
            return Ok(pools);
        }
        let checked = self.link.connect(&self.config, None).await?;
        let pools = Arc::new(ServerPools {
            generation: checked.generation,
            reads: self.pool(&checked.info, checked.generation)?,
            writes: self.pool(&checked.info, checked.generation)?,
        });
        if let Some(old) = self.lock().replace(pools.clone()) {
            old.close();
        }
        Ok(pools)
    }

    fn usable(&self) -> Option<Arc<ServerPools>> {
        let current = self.lock();
        current
            .as_ref()
            .filter(|pools| self.link.is_current(pools.generation))
            .cloned()
    }

    fn pool(&self, info: &ConnectionInfo, generation: u64) -> Result<Pool, ConnectError> {
        // A batch is several segments: without this each may wait for the acknowledgement of the last.
        let info = info.clone().set_tcp_settings(TcpSettings::default().set_nodelay(true));
        let manager = Manager::new_with_config(info, self.config.clone())?;
        let link = self.link.clone();
        let check = Hook::async_fn(move |connection: &mut MultiplexedConnection, _| {
            let link = link.clone();
            Box::pin(async move {
                let role = identify(connection).await.map_err(hook_error)?;
                link.check_sentinel_role(&role).map_err(hook_error)?;
                let _ = PINGING.try_with(Pinging::end_lost);
                if link.is_current(generation) {
                    link.mark_reached();
                }
                Ok(())
            })
        });
        Pool::builder(manager)
            .max_size(POOL_SIZE)
            .runtime(Runtime::Tokio1)
            .pre_recycle(Hook::sync_fn(|_, _| {
                let _ = PINGING.try_with(Pinging::begin);
                Ok(())
            }))
            .post_recycle(Hook::sync_fn(|_, _| {
                let _ = PINGING.try_with(Pinging::end);
                Ok(())
            }))
            .post_create(check)
            .build()
            .map_err(|error| ConnectError::Explained(error.to_string()))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Arc<ServerPools>>> {
        // The value is replaced whole.
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

tokio::task_local! {
    /// The PING of the caller, which deadpool's hooks can't tell from those of others.
    static PINGING: Pinging;
}

/// Notices a pooled connection that does not answer its PING: deadpool drops it, and tries another one
/// or opens a new one.
struct Pinging {
    link: Arc<Link>,
    is_waiting: Cell<bool>,
}

impl Pinging {
    fn begin(&self) {
        self.end_lost();
        self.is_waiting.set(true);
    }

    fn end(&self) {
        self.is_waiting.set(false);
    }

    /// A PING that is still waited for was lost with its connection.
    fn end_lost(&self) {
        if self.is_waiting.replace(false) {
            self.link.mark_lost();
        }
    }
}

impl Drop for Pinging {
    fn drop(&mut self) {
        self.end_lost();
    }
}

impl ServerPools {
    fn close(&self) {
        self.reads.close();
        self.writes.close();
    }
}

impl Pooled {
    pub(super) fn connection(&mut self) -> &mut MultiplexedConnection {
        &mut self.connection
    }

    /// Drops the connection: another one may lead to a better server.
    pub(super) fn discard(self) {
        drop(deadpool_redis::Connection::take(self.connection));
    }
}

impl Burst {
    /// The connection of the last batch, if that was a moment ago.
    pub(super) fn reuse(&self, link: &Link) -> Option<(MultiplexedConnection, u64)> {
        let last = self.lock().take()?;
        let is_fresh = last.answered.elapsed() < BURST_GAP && link.is_current(last.generation);
        is_fresh.then_some((last.connection, last.generation))
    }

    pub(super) fn keep(&self, connection: MultiplexedConnection, generation: u64) {
        *self.lock() = Some(BurstConnection {
            connection,
            generation,
            answered: Instant::now(),
        });
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<BurstConnection>> {
        // The value is replaced whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn connect_error(error: PoolError) -> ConnectError {
    match error {
        PoolError::Backend(error) | PoolError::PostCreateHook(HookError::Backend(error)) => error.into(),
        PoolError::PostCreateHook(HookError::Message(reason)) => ConnectError::Explained(reason.into_owned()),
        PoolError::Closed => ConnectError::Explained("the master moved meanwhile".to_owned()),
        error => ConnectError::Explained(error.to_string()),
    }
}

fn hook_error(error: ConnectError) -> HookError {
    match error {
        ConnectError::Redis(error) => HookError::Backend(error),
        ConnectError::Explained(reason) | ConnectError::Unsupported(reason) => HookError::message(reason),
    }
}
