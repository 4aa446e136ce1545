//! Connections that are kept for reuse, of whatever kind of Redis.
//!
//! A manager of our own, since deadpool-redis's for Sentinel is of another type than its own for a plain Redis, and drops a connection to an old
//! master only when that no longer answers: one time-out after another when it hangs.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use deadpool::managed::{self, Metrics, RecycleError, RecycleResult};
use redis::aio::ConnectionLike;
use redis::{AsyncConnectionConfig, Cmd, Pipeline, RedisFuture, RedisResult, Value};
use tokio::time::Instant;

use super::link::{ConnectError, Connected, Link};
use super::stream::Driven;

pub(crate) type Pool = managed::Pool<Manager>;

/// What every kind of connection that is kept has.
pub(crate) trait Pooled {
    fn kept(&self) -> &Kept;

    fn kept_mut(&mut self) -> &mut Kept;

    fn generation(&self) -> u64 {
        self.kept().generation
    }

    /// It is not used again: another one may lead to a better server.
    fn discard(&mut self) {
        self.kept_mut().is_spent = true;
    }

    /// Whether what it was used for last was answered.
    fn used(&mut self, is_answered: bool) {
        self.kept_mut().answered = is_answered.then(Instant::now);
    }
}

/// What is known of a connection while it is kept.
#[derive(Clone, Copy)]
pub(crate) struct Kept {
    generation: u64,
    pub(crate) is_spent: bool,
    answered: Option<Instant>,
}

/// What answered so lately is not asked whether it lives: batch after batch, each costs one round trip.
const JUST_NOW: Duration = Duration::from_millis(20);

pub(crate) struct Manager {
    link: Arc<Link>,
    config: AsyncConnectionConfig,
    pings: AtomicUsize,
}

pub(crate) struct Connection {
    inner: Driven,
    kept: Kept,
}

impl Manager {
    pub(crate) fn new(link: Arc<Link>, config: AsyncConnectionConfig) -> Self {
        Self {
            link,
            config,
            pings: AtomicUsize::new(0),
        }
    }
}

impl Kept {
    pub(crate) fn new(generation: u64) -> Self {
        Self {
            generation,
            is_spent: false,
            answered: None,
        }
    }

    /// Whether it may be used again. It is asked by `ping`, which says whether the answer was the right one, unless it answered just now.
    pub(crate) async fn check(
        self,
        link: &Link,
        ping: impl Future<Output = RedisResult<bool>>,
    ) -> RecycleResult<ConnectError> {
        if self.is_spent {
            return Err(RecycleError::message("it is to be used no more"));
        }
        let answered_lately = self.answered.is_some_and(|at| at.elapsed() < JUST_NOW);
        if answered_lately && link.is_current(self.generation) {
            return Ok(());
        }
        // Both at once: the question whether it lives costs a round trip anyhow.
        let asked = async { tokio::join!(ping, link.confirm()).0 };
        let answer = tokio::select! {
            answer = asked => answer,
            () = link.moved(self.generation) => return Err(RecycleError::message("the master moved")),
        };
        match answer {
            Ok(true) if link.is_current(self.generation) => Ok(()),
            Ok(_) => Err(RecycleError::message("it answers something else, or the master moved")),
            Err(error) => {
                link.lose();
                Err(RecycleError::Backend(error.into()))
            }
        }
    }
}

impl Pooled for Connection {
    fn kept(&self) -> &Kept {
        &self.kept
    }

    fn kept_mut(&mut self) -> &mut Kept {
        &mut self.kept
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
            kept: Kept::new(generation),
        })
    }

    async fn recycle(&self, connection: &mut Connection, _: &Metrics) -> RecycleResult<ConnectError> {
        let number = self.pings.fetch_add(1, Ordering::Relaxed).to_string();
        let kept = connection.kept;
        let ping = async {
            let answer: String = redis::cmd("PING").arg(&number).query_async(connection).await?;
            Ok(answer == number)
        };
        kept.check(&self.link, ping).await
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
