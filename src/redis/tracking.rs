//! Follows changes in Redis: one RESP3 connection with `CLIENT TRACKING ON BCAST`.
//!
//! Redis sends an invalidation for every change under the prefixes, in order with the replies on this
//! connection. So if a small command (the *fence*) is answered with no invalidation before it, what was
//! read earlier is still exact. The push sender handles invalidations inline, before the next reply is
//! delivered: a channel to another task would be too late.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use redis::{AsyncConnectionConfig, ErrorKind, ProtocolVersion, PushInfo, PushKind, Value};
use tokio::runtime::Handle;
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::error::{ConnectError, StoreError};
use super::link::{Connected, Link};
use super::role::RedisRole;
use super::sentinel::Patience;
use crate::backoff::Backoff;

/// Sends a fence this often when nobody asks, to notice a connection that died silently.
const IDLE_FENCE: Duration = Duration::from_secs(5);
/// Beyond this many changed keys, or bytes of their names, everything is read again. That costs no
/// more, and bounds the memory while nobody asks.
const MAX_DIRTY_KEYS: usize = 10_000;
const MAX_DIRTY_BYTES: usize = 4 * 1024 * 1024;
/// Retry interval when tracking is refused (an old or restricted Redis).
const REFUSED_RETRY: Duration = Duration::from_secs(60);

/// Tells readers whether what they know is still exact.
pub(crate) struct Tracking {
    marks: Arc<Marks>,
    fences: mpsc::Sender<oneshot::Sender<Fence>>,
}

/// What must be read again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Dirty {
    /// Nothing changed since the last [`Tracking::take`].
    Clean,
    Keys(BTreeSet<Vec<u8>>),
    /// Everything: the connection is new, or there was a flush.
    All,
}

/// A position in the stream of invalidations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Mark(u64);

/// The result of a fence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fence {
    /// Every change that Redis acknowledged before the fence is marked.
    Passed,
    /// There is no tracking at the moment; known data may be old.
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
    /// Bytes of the marked keys' names; a key marked twice counts twice.
    dirty_bytes: usize,
    /// Rises whenever `dirty` grows.
    mark: Mark,
    /// Rises with each connection, so that a late push of an old one is ignored.
    connection: u64,
    up: bool,
}

impl Tracking {
    /// Runs the connection on the `runtime` that arrives, or on the current one if the sender is dropped.
    /// Reconnects until `stop`.
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

    /// Waits until every change acknowledged before this call is marked, or [`Fence::Open`] if that
    /// can't be known.
    pub(crate) async fn fence(&self) -> Fence {
        let (answer, answered) = oneshot::channel();
        match self.fences.send(answer).await {
            Ok(()) => answered.await.unwrap_or(Fence::Open),
            Err(_) => Fence::Open,
        }
    }

    /// Takes what must be read again, with the mark that the read will reflect. Call this *before*
    /// reading, so that changes during the read are marked again.
    pub(crate) fn take(&self) -> (Dirty, Mark) {
        let mut state = self.marks.lock();
        let dirty = state.dirty.replace(Dirty::Clean).unwrap_or(Dirty::All);
        state.dirty_bytes = 0;
        (dirty, state.mark)
    }

    /// Marks something as changed.
    pub(crate) fn mark(&self, dirty: Dirty) {
        self.marks.mark(dirty);
        self.marks.changed.notify_one();
    }

    /// The read failed, so the next reader must repeat it. Wakes nobody.
    pub(crate) fn put_back(&self, dirty: Dirty) {
        self.marks.mark(dirty);
    }

    /// Whether a read at `mark` reflects every invalidation so far. An empty `dirty` would not prove
    /// that: a read may be in progress.
    pub(crate) fn is_newest(&self, mark: Mark) -> bool {
        let state = self.marks.lock();
        state.up && state.mark == mark
    }

    /// Waits until something is marked, or tracking starts or stops. Earlier marks count.
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

/// The keys of an invalidation. Null means a flush.
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
    /// Redis refused tracking.
    Tracking(StoreError),
    Connection(StoreError),
}

impl Worker {
    async fn run(mut self) {
        let mut backoff = Backoff::new(Duration::from_millis(50), Duration::from_secs(2));
        let mut is_logged = false;
        // Ends when every sender is gone.
        while !self.asked.is_closed() {
            let wait = match self.connect().await {
                Ok(connection) => {
                    tracing::debug!("tracking changes in Redis");
                    is_logged = false;
                    backoff.reset();
                    self.answer_fences(connection).await;
                    self.link.mark_lost();
                    backoff.delay()
                }
                Err(Refusal::Tracking(error)) => {
                    if !is_logged {
                        tracing::warn!(
                            %error,
                            "Redis does not report changes (CLIENT TRACKING needs Redis 6): trunkd reads gateways at \
                             each request and polls every second (name the domains in redis.domains if that takes too \
                             long)"
                        );
                        is_logged = true;
                    }
                    REFUSED_RETRY
                }
                Err(Refusal::Connection(error)) => {
                    tracing::debug!(%error, "no connection for tracking");
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
                    self.link.connect_error(OPERATION, &ConnectError::Redis(error)),
                ));
            }
            Err(error) => return Err(Refusal::Connection(self.link.connect_error(OPERATION, &error))),
        };
        // The fences of a replica never pass.
        if let Ok(RedisRole::Replica { of }) = &connected.role {
            return Err(Refusal::Connection(self.link.replica_error(OPERATION, of)));
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
                return Err(refused(self.link.connect_error(OPERATION, &error.into())));
            }
            Err(_) => {
                return Err(Refusal::Connection(self.link.timeout_error(OPERATION, self.limit)));
            }
        }
        let mut state = self.marks.lock();
        state.up = true;
        // Anything may have changed while there was no tracking.
        state.dirty = Some(Dirty::All);
        state.mark.0 += 1;
        drop(state);
        self.marks.changed.notify_one();
        Ok(connected)
    }

    /// One fence at a time. A request that arrives while one is in flight waits for the next, which is
    /// written after the request. With Sentinel a fence also asks the Sentinels: a former master may not
    /// know yet that it was replaced.
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
            let fence = async {
                tokio::join!(
                    role.query_async::<Value>(&mut connection),
                    self.link.refresh_master(Patience::Prompt)
                )
                .0
            };
            let answered = tokio::select! {
                answered = timeout(self.limit, fence) => answered.ok(),
                () = self.link.moved(generation) => None,
            };
            let passed = match answered {
                Some(Ok(role)) => {
                    RedisRole::of(&role) == RedisRole::Master
                        && self.link.is_current(generation)
                        && self.marks.lock().up
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

    /// Without a connection every fence is open.
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
    fn changes_are_remembered_by_key_up_to_a_bound() {
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

    /// Tracking on connection 1, with nothing left to read.
    fn tracking() -> Tracking {
        let tracking = Tracking {
            marks: Arc::default(),
            fences: mpsc::channel(1).0,
        };
        tracking.take();
        let mut state = tracking.marks.lock();
        state.connection = 1;
        state.up = true;
        drop(state);
        tracking
    }

    fn invalidation(data: Vec<Value>) -> PushInfo {
        PushInfo {
            kind: PushKind::Invalidate,
            data,
        }
    }

    fn of_keys(keys: &[&str]) -> Vec<Value> {
        let keys = keys.iter().map(|key| Value::BulkString(key.as_bytes().to_vec()));
        vec![Value::Array(keys.collect())]
    }

    #[test]
    fn an_invalidation_names_its_keys_and_any_other_form_means_everything() {
        let named = BTreeSet::from([b"a".to_vec(), b"b".to_vec()]);
        assert_eq!(invalidated(&of_keys(&["b", "a"])), Dirty::Keys(named));
        assert_eq!(invalidated(&[Value::Nil]), Dirty::All, "a flush");
        assert_eq!(invalidated(&of_keys(&[])), Dirty::All);
        assert_eq!(invalidated(&[]), Dirty::All);
        assert_eq!(invalidated(&[Value::Array(vec![Value::Int(1)])]), Dirty::All);
    }

    #[test]
    fn the_first_read_covers_everything() {
        let tracking = Tracking {
            marks: Arc::default(),
            fences: mpsc::channel(1).0,
        };
        tracking.mark(keys(0..1, 8));
        assert_eq!(tracking.take().0, Dirty::All);
        assert_eq!(tracking.take().0, Dirty::Clean);
    }

    #[test]
    fn a_change_during_a_read_is_left_for_the_next_one() {
        let tracking = tracking();
        tracking.mark(keys(0..1, 8));
        let (dirty, mark) = tracking.take();
        assert_eq!(dirty, keys(0..1, 8));
        assert!(tracking.is_newest(mark));

        tracking.mark(keys(0..1, 8));
        assert!(!tracking.is_newest(mark), "the read may have missed the second change");
        assert_eq!(tracking.take().0, keys(0..1, 8));
    }

    #[test]
    fn what_a_failed_read_puts_back_joins_what_changed_meanwhile() {
        let tracking = tracking();
        tracking.mark(keys(0..1, 8));
        let (dirty, _) = tracking.take();
        tracking.mark(keys(1..2, 8));
        tracking.put_back(dirty);
        assert_eq!(tracking.take().0, keys(0..2, 8));

        tracking.put_back(Dirty::All);
        tracking.mark(keys(0..1, 8));
        assert_eq!(tracking.take().0, Dirty::All);
    }

    #[test]
    fn late_pushes_of_an_old_connection_change_nothing() {
        let tracking = tracking();
        let (_, mark) = tracking.take();
        tracking.marks.push(0, invalidation(of_keys(&["a"])));
        tracking.marks.down(0);
        assert!(tracking.is_newest(mark));
        assert_eq!(tracking.take().0, Dirty::Clean);

        tracking.marks.push(1, invalidation(of_keys(&["a"])));
        assert!(!tracking.is_newest(mark));
        assert_eq!(tracking.take().0, Dirty::Keys(BTreeSet::from([b"a".to_vec()])));
    }

    #[test]
    fn when_the_connection_is_lost_everything_must_be_read_again() {
        let tracking = tracking();
        let (_, mark) = tracking.take();
        tracking.marks.down(1);
        assert!(!tracking.is_up());
        assert!(!tracking.is_newest(mark));
        let (dirty, mark) = tracking.take();
        assert_eq!(dirty, Dirty::All);
        assert!(
            !tracking.is_newest(mark),
            "nothing is known to be newest without tracking"
        );
    }
}
