//! Connections that are kept for reuse, of whatever kind of Redis.
//!
//! A manager of our own, since deadpool-redis's for Sentinel is of another type than its own for a plain Redis, and drops a connection to an old
//! master only when that no longer answers: one time-out after another when it hangs.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use deadpool::managed::{self, Metrics, RecycleError, RecycleResult};
use redis::aio::{ConnectionLike, MultiplexedConnection};
use redis::{AsyncConnectionConfig, Cmd, Pipeline, RedisFuture, Value};
use tokio::time::Instant;

use super::link::{ConnectError, Connected, Link};

pub(super) type Pool = managed::Pool<Manager>;

/// What every kind of connection that is kept has.
pub(super) trait Pooled {
    fn generation(&self) -> u64;

    /// It is not used again: another one may lead to a better server.
    fn discard(&mut self);

    /// Whether what it was used for last was answered.
    fn used(&mut self, is_answered: bool);
}

/// What answered so lately is not asked whether it lives: batch after batch, each costs one round trip.
pub(super) const JUST_NOW: Duration = Duration::from_millis(20);

pub(super) struct Manager {
    link: Arc<Link>,
    config: AsyncConnectionConfig,
    pings: AtomicUsize,
}

pub(super) struct Connection {
    inner: MultiplexedConnection,
    generation: u64,
    is_spent: bool,
    answered: Option<Instant>,
}

impl Manager {
    pub(super) fn new(link: Arc<Link>, config: AsyncConnectionConfig) -> Self {
        Self {
            link,
            config,
            pings: AtomicUsize::new(0),
        }
    }
}

impl Pooled for Connection {
    fn generation(&self) -> u64 {
        self.generation
    }

    fn discard(&mut self) {
        self.is_spent = true;
    }

    fn used(&mut self, is_answered: bool) {
        self.answered = is_answered.then(Instant::now);
    }
}

impl managed::Manager for Manager {
    type Type = Connection;
    type Error = ConnectError;

    async fn create(&self) -> Result<Connection, ConnectError> {
        let Connected {
            connection, generation, ..
        } = self.link.connect(&self.config, None).await?;
        Ok(Connection {
            inner: connection,
            generation,
            is_spent: false,
            answered: None,
        })
    }

    async fn recycle(&self, connection: &mut Connection, _: &Metrics) -> RecycleResult<ConnectError> {
        if connection.is_spent {
            return Err(RecycleError::message("it is to be used no more"));
        }
        let generation = connection.generation;
        let answered_lately = connection.answered.is_some_and(|at| at.elapsed() < JUST_NOW);
        if answered_lately && self.link.is_current(generation) {
            return Ok(());
        }
        let number = self.pings.fetch_add(1, Ordering::Relaxed).to_string();
        let mut ping = redis::cmd("PING");
        // Both at once: the question whether it lives costs a round trip anyhow.
        let asked = async { tokio::join!(ping.arg(&number).query_async::<String>(connection), self.link.confirm()).0 };
        let answer = tokio::select! {
            answer = asked => answer,
            () = self.link.moved(generation) => return Err(RecycleError::message("the master moved")),
        };
        match answer {
            Ok(answer) if answer == number && self.link.is_current(generation) => Ok(()),
            Ok(_) => Err(RecycleError::message("it answers something else")),
            Err(error) => {
                self.link.lose();
                Err(RecycleError::Backend(error.into()))
            }
        }
    }
}

impl ConnectionLike for Connection {
    fn req_packed_command<'a>(&'a mut self, cmd: &'a Cmd) -> RedisFuture<'a, Value> {
        self.inner.req_packed_command(cmd)
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        cmd: &'a Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        self.inner.req_packed_commands(cmd, offset, count)
    }

    fn get_db(&self) -> i64 {
        self.inner.get_db()
    }
}
