//! What Redis itself tells of changes: one RESP3 connection with `CLIENT TRACKING ON BCAST`.
//!
//! Redis sends an invalidation for every change under the prefixes, whoever makes it, and in order with the replies on this connection. So a
//! small command (the *fence*) that is sent when a question comes, and answered with no invalidation before it, proves that what was read
//! before is still exact. The push sender takes invalidations in inline, before the reply behind them is handed out: a channel that another
//! task reads would be too late.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use redis::{AsyncConnectionConfig, ErrorKind, ProtocolVersion, PushInfo, PushKind, Value};
use tokio::runtime::Handle;
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::StoreError;
use super::link::{ConnectError, Connected, Link, Role};
use crate::backoff::Backoff;

/// A fence is asked this often when nobody else asks, so that a connection that died silently is noticed.
const IDLE_FENCE: Duration = Duration::from_secs(5);
/// When more keys than these changed, or their names take more bytes, everything is read again: it costs no more, and takes less
/// memory while nobody asks.
const MAX_DIRTY_KEYS: usize = 10_000;
const MAX_DIRTY_BYTES: usize = 4 * 1024 * 1024;
/// Where tracking is refused (an old or restricted Redis) it is tried again after this.
const REFUSED_RETRY: Duration = Duration::from_secs(60);

/// Shared by whoever asks whether what it knows is still exact.
pub(crate) struct Tracking {
    marks: Arc<Marks>,
    fences: mpsc::Sender<oneshot::Sender<Fence>>,
}

/// What the invalidations left to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Dirty {
    /// Nothing changed since the last [`Tracking::take`].
    Clean,
    Keys(BTreeSet<Vec<u8>>),
    /// Read everything again: the connection is new, or a FLUSHALL told nothing more.
    All,
}

/// A moment in what Redis told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Mark(u64);

/// The answer of a fence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fence {
    /// Every change that Redis acknowledged before the fence was asked for is marked.
    Passed,
    /// There is no tracking at the moment; what is known may be old.
    Open,
}

struct Marks {
    state: Mutex<State>,
    changed: Notify,
}

impl Default for Marks {
    fn default() -> Self {
        let state = State {
            dirty: None,
            dirty_bytes: 0,
            mark: Mark(0),
            connection: 0,
            up: false,
        };
        Self {
            state: Mutex::new(state),
            changed: Notify::new(),
        }
    }
}

struct State {
    dirty: Option<Dirty>,
    /// What the names of keys that were marked take, one that was marked twice counted twice.
    dirty_bytes: usize,
    /// Moves with everything that makes `dirty` worse.
    mark: Mark,
    /// Rises with each connection, so that a late push of an old one marks nothing but "all".
    connection: u64,
    up: bool,
}

impl Tracking {
    /// Starts the connection on the `runtime` that is sent, or on this one if none will be. It is opened
    /// again whenever it ends, until `stop`.
    pub(crate) fn start(
        runtime: oneshot::Receiver<Handle>,
        link: Arc<Link>,
        prefixes: Vec<String>,
        limit: Duration,
        stop: CancellationToken,
    ) -> Self {
        let (fences, asked) = mpsc::channel(1024);
        let marks = Arc::new(Marks::default());
        let worker = Worker {
            link,
            prefixes,
            limit,
            marks: marks.clone(),
            asked,
        };
        let here = Handle::current();
        tokio::spawn(async move {
            let runtime = runtime.await.unwrap_or(here);
            runtime.spawn(async move { stop.run_until_cancelled(worker.run()).await });
        });
        Self { marks, fences }
    }

    /// Waits until every change acknowledged before this call is marked; [`Fence::Open`] when that cannot be told.
    pub(crate) async fn fence(&self) -> Fence {
        let (answer, answered) = oneshot::channel();
        match self.fences.send(answer).await {
            Ok(()) => answered.await.unwrap_or(Fence::Open),
            Err(_) => Fence::Open,
        }
    }

    /// What must be read again, and the mark that the reading will reflect. Asked *before* the reading begins: what changes while it goes on is
    /// marked anew.
    pub(crate) fn take(&self) -> (Dirty, Mark) {
        let mut state = self.marks.lock();
        let dirty = state.dirty.replace(Dirty::Clean).unwrap_or(Dirty::All);
        state.dirty_bytes = 0;
        (dirty, state.mark)
    }

    /// Something is to be read again.
    pub(crate) fn mark(&self, dirty: Dirty) {
        self.marks.mark(dirty);
        self.marks.changed.notify_one();
    }

    /// The reading failed: it is still to be done, by whoever asks next. That is no change to wake anybody for.
    pub(crate) fn put_back(&self, dirty: Dirty) {
        self.marks.mark(dirty);
    }

    /// Whether what reflects `mark` reflects everything that Redis told. That nothing is left to be read would not say so: somebody may be
    /// reading.
    pub(crate) fn is_newest(&self, mark: Mark) -> bool {
        let state = self.marks.lock();
        state.up && state.mark == mark
    }

    /// Until something is marked, or tracking came or went. Marks made while nobody waited count.
    pub(crate) async fn changed(&self) {
        self.marks.changed.notified().await;
    }

    pub(crate) fn is_up(&self) -> bool {
        self.marks.lock().up
    }
}

impl Marks {
    fn lock(&self) -> MutexGuard<'_, State> {
        // Each change of the state is one assignment.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn mark(&self, more: Dirty) {
        let mut state = self.lock();
        state.mark.0 += 1;
        if let Dirty::Keys(keys) = &more {
            state.dirty_bytes += keys.iter().map(Vec::len).sum::<usize>();
        }
        state.dirty = Some(match (state.dirty.take(), more) {
            (before, Dirty::Clean) => before.unwrap_or(Dirty::All),
            (None | Some(Dirty::All), _) | (_, Dirty::All) => Dirty::All,
            (Some(Dirty::Clean), more) => more,
            (Some(Dirty::Keys(mut keys)), Dirty::Keys(more)) => {
                keys.extend(more);
                Dirty::Keys(keys)
            }
        });
        if let Some(Dirty::Keys(keys)) = &state.dirty
            && (keys.len() > MAX_DIRTY_KEYS || state.dirty_bytes > MAX_DIRTY_BYTES)
        {
            state.dirty = Some(Dirty::All);
        }
    }

    /// Called inline by the connection's reader.
    fn push(&self, connection: u64, info: PushInfo) {
        match info.kind {
            PushKind::Invalidate if self.lock().connection == connection => {
                self.mark(invalidated(&info.data));
                self.changed.notify_one();
            }
            PushKind::Invalidate => {}
            PushKind::Disconnection => self.down(connection),
            _ => {}
        }
    }

    fn down(&self, connection: u64) {
        let mut state = self.lock();
        if state.connection == connection {
            state.up = false;
            state.dirty = Some(Dirty::All);
            state.mark.0 += 1;
            drop(state);
            self.changed.notify_one();
        }
    }
}

/// The keys of an invalidation; a null tells nothing but that there was a flush.
fn invalidated(data: &[Value]) -> Dirty {
    let mut keys = BTreeSet::new();
    for value in data {
        let Value::Array(items) = value else { return Dirty::All };
        for item in items {
            let Value::BulkString(key) = item else {
                return Dirty::All;
            };
            keys.insert(key.clone());
        }
    }
    if keys.is_empty() { Dirty::All } else { Dirty::Keys(keys) }
}

struct Worker {
    link: Arc<Link>,
    prefixes: Vec<String>,
    limit: Duration,
    marks: Arc<Marks>,
    asked: mpsc::Receiver<oneshot::Sender<Fence>>,
}

enum Refusal {
    /// Redis said no to tracking itself.
    Tracking(StoreError),
    Connection(StoreError),
}

impl Worker {
    async fn run(mut self) {
        let mut backoff = Backoff::new(Duration::from_millis(50), Duration::from_secs(2));
        let mut told = false;
        // Until nobody can ask any more.
        while !self.asked.is_closed() {
            let wait = match self.connect().await {
                Ok(connection) => {
                    tracing::debug!("Redis tells of changes");
                    told = false;
                    backoff.reset();
                    self.answer_fences(connection).await;
                    self.link.lose();
                    backoff.delay()
                }
                Err(Refusal::Tracking(error)) => {
                    if !told {
                        tracing::warn!(%error, "Redis does not tell of changes (CLIENT TRACKING, since Redis 6): gateways are read at each request, and looked for every second (name the domains in redis.domains if that takes too long)");
                        told = true;
                    }
                    REFUSED_RETRY
                }
                Err(Refusal::Connection(error)) => {
                    tracing::debug!(%error, "no connection that tells of changes");
                    backoff.delay()
                }
            };
            self.refuse_while(wait).await;
        }
    }

    async fn connect(&self) -> Result<Connected, Refusal> {
        const OPERATION: &str = "track changes";
        let number = {
            let mut state = self.marks.lock();
            state.connection += 1;
            state.connection
        };
        let marks = self.marks.clone();
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(self.limit.max(Duration::from_secs(1))))
            .set_response_timeout(None)
            .set_push_sender(move |info| {
                marks.push(number, info);
                Ok::<_, redis::aio::SendError>(())
            });
        let mut connected = match self.link.connect(&config, Some(ProtocolVersion::RESP3)).await {
            Ok(connected) => connected,
            Err(ConnectError::Redis(error)) if error.kind() == ErrorKind::RESP3NotSupported => {
                return Err(Refusal::Tracking(
                    self.link.error(OPERATION, &ConnectError::Redis(error)),
                ));
            }
            Err(error) => return Err(Refusal::Connection(self.link.error(OPERATION, &error))),
        };
        // Its fences would never pass.
        if let Ok(Role::Replica { of }) = &connected.role {
            return Err(Refusal::Connection(self.link.replica(OPERATION, of)));
        }
        let mut track = redis::cmd("CLIENT");
        track.arg("TRACKING").arg("ON").arg("BCAST");
        for prefix in &self.prefixes {
            track.arg("PREFIX").arg(prefix);
        }
        match timeout(self.limit, track.exec_async(&mut connected.connection)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                let refused = match error.is_io_error() {
                    true => Refusal::Connection,
                    false => Refusal::Tracking,
                };
                return Err(refused(self.link.error(OPERATION, &error.into())));
            }
            Err(_) => {
                return Err(Refusal::Connection(self.link.late(OPERATION, self.limit)));
            }
        }
        let mut state = self.marks.lock();
        state.up = true;
        // What was known before may have changed while nobody told.
        state.dirty = Some(Dirty::All);
        state.mark.0 += 1;
        drop(state);
        self.marks.changed.notify_one();
        Ok(connected)
    }

    /// One fence at a time; whoever asks while it is on its way waits for the next, which is written after the asking. With Sentinel a fence asks
    /// those too: a master that is one no longer may not have heard of it yet.
    async fn answer_fences(&mut self, connected: Connected) {
        let Connected {
            mut connection,
            generation,
            ..
        } = connected;
        let number = self.marks.lock().connection;
        loop {
            let first = tokio::select! {
                first = timeout(IDLE_FENCE, self.asked.recv()) => first,
                () = self.link.moved(generation) => return self.marks.down(number),
            };
            let first = match first {
                Ok(Some(first)) => Some(first),
                Ok(None) => return,
                Err(_) => None,
            };
            let mut waiting: Vec<_> = first.into_iter().collect();
            while let Ok(more) = self.asked.try_recv() {
                waiting.push(more);
            }
            let role = redis::cmd("ROLE");
            let fence = async { tokio::join!(role.query_async::<Value>(&mut connection), self.link.confirm()).0 };
            let answered = tokio::select! {
                answered = timeout(self.limit, fence) => answered.ok(),
                () = self.link.moved(generation) => None,
            };
            let passed = match answered {
                Some(Ok(role)) => {
                    Role::of(&role) == Role::Master && self.link.is_current(generation) && self.marks.lock().up
                }
                Some(Err(_)) | None => false,
            };
            let answer = if passed { Fence::Passed } else { Fence::Open };
            for one in waiting {
                let _ = one.send(answer);
            }
            if !passed {
                self.marks.down(number);
                return;
            }
        }
    }

    /// Without a connection every fence is open at once.
    async fn refuse_while(&mut self, wait: Duration) {
        let refusing = async {
            while let Some(one) = self.asked.recv().await {
                let _ = one.send(Fence::Open);
            }
        };
        tokio::select! {
            () = refusing => {}
            () = sleep(wait) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(range: std::ops::Range<usize>, len: usize) -> Dirty {
        Dirty::Keys(
            range
                .map(|number| [format!("{number:08}").into_bytes(), vec![b'k'; len - 8]].concat())
                .collect(),
        )
    }

    #[test]
    fn what_changes_while_nobody_asks_is_remembered_key_by_key_up_to_a_bound() {
        let marks = Marks::default();
        marks.lock().dirty = Some(Dirty::Clean);
        for some in 0..10 {
            marks.mark(keys(some * 1000..(some + 1) * 1000, 8));
        }
        assert_eq!(marks.lock().dirty, Some(keys(0..MAX_DIRTY_KEYS, 8)));
        marks.mark(keys(20_000..20_001, 8));
        assert_eq!(marks.lock().dirty, Some(Dirty::All));

        let marks = Marks::default();
        marks.lock().dirty = Some(Dirty::Clean);
        marks.mark(keys(0..1, MAX_DIRTY_BYTES));
        assert_eq!(marks.lock().dirty, Some(keys(0..1, MAX_DIRTY_BYTES)));
        marks.mark(keys(1..2, 8));
        assert_eq!(marks.lock().dirty, Some(Dirty::All));
    }
}
