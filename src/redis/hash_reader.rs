//! Reads whole hashes on a connection of its own.
//!
//! The redis crate creates a value for every field, which takes several times as long as hiredis for
//! ten thousand fields (ARCHITECTURE.md has the figures). Here a reply stays one piece of memory, with
//! the position of each string.

use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use redis::{ErrorKind, Pipeline, RedisConnectionInfo, RedisError, RedisResult, Value};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use super::error::ConnectError;
use super::link::Link;
use super::role::{check_mode, mode_of_hello, mode_of_info};
use super::sentinel::Patience;
use super::stream::{ReplyBudget, Stream};
use crate::gateway::{Fields, Span};

/// Bytes to read at a time, at least.
const READ_BYTES: usize = 64 * 1024;
/// Without tracking every request reads whole hashes: so many may do so at a time.
const MAX_CONNECTIONS: usize = 16;
/// A connection that answered this recently is not pinged before it is used again.
const TRUST_FOR: Duration = Duration::from_millis(20);

/// Opens the connection when it is needed, and keeps it.
pub(super) struct HashReader {
    link: Arc<Link>,
    idle: Mutex<Option<HashConnection>>,
    turns: Arc<Semaphore>,
    /// Size of the last reply: the next one will be similar.
    expected_bytes: Arc<AtomicUsize>,
}

/// A connection for one request at a time.
pub(crate) struct HashConnection {
    /// Ends at anything that is not a reply, and at oversized replies.
    stream: Box<dyn Stream>,
    budget: ReplyBudget,
    expected_bytes: Arc<AtomicUsize>,
    pub(super) generation: u64,
    /// When the last reply was complete. `None` while a request is in progress: after a cancelled one
    /// the connection would deliver the wrong replies.
    answered: Option<Instant>,
    is_spent: bool,
    /// `None` while it is idle.
    turn: Option<OwnedSemaphorePermit>,
}

/// A reply as Redis sent it.
pub(crate) struct Reply {
    bytes: Bytes,
    /// Its strings.
    spans: Vec<Span>,
}

impl HashReader {
    pub(super) fn new(link: Arc<Link>) -> Self {
        Self {
            link,
            idle: Mutex::new(None),
            turns: Arc::new(Semaphore::new(MAX_CONNECTIONS)),
            expected_bytes: Arc::default(),
        }
    }

    /// The idle connection if it is alive, else a new one.
    pub(super) async fn get(&self) -> Result<HashConnection, ConnectError> {
        let turn = self.turns.clone().acquire_owned().await.ok();
        let idle = self.lock().take();
        if let Some(mut idle) = idle.filter(|idle| self.link.is_current(idle.generation)) {
            let generation = idle.generation;
            let is_alive = tokio::select! {
                is_alive = async { tokio::join!(idle.is_alive(), self.link.refresh_master(Patience::Prompt)).0 } => is_alive,
                () = self.link.moved(generation) => false,
            };
            if is_alive && self.link.is_current(generation) {
                idle.turn = turn;
                return Ok(idle);
            }
            self.link.mark_lost();
        }
        let (stream, user, generation) = self.link.open_stream().await?;
        let mut connection = HashConnection {
            stream,
            budget: self.link.reply_budget(),
            expected_bytes: self.expected_bytes.clone(),
            generation,
            answered: None,
            is_spent: false,
            turn,
        };
        connection.log_in(&user).await?;
        Ok(connection)
    }

    /// Takes the connection back, unless it can't be used again.
    pub(super) fn put_back(&self, mut connection: HashConnection) {
        connection.turn = None;
        if connection.answered.is_some() && !connection.is_spent {
            *self.lock() = Some(connection);
        }
    }

    pub(super) fn close_obsolete(&self) {
        self.lock().take_if(|idle| !self.link.is_current(idle.generation));
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<HashConnection>> {
        // The value is replaced whole.
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl HashConnection {
    /// The connection is not used again.
    pub(crate) fn discard(&mut self) {
        self.is_spent = true;
    }

    async fn is_alive(&mut self) -> bool {
        if self.answered.is_some_and(|at| at.elapsed() < TRUST_FOR) {
            return true;
        }
        let mut ping = redis::pipe();
        ping.cmd("PING");
        self.ask(&ping).await.is_ok()
    }

    /// Logs in, selects the database, and checks that trunkd can work with the server.
    async fn log_in(&mut self, user: &RedisConnectionInfo) -> Result<(), ConnectError> {
        let mut greeting = redis::pipe();
        if let Some(password) = user.password() {
            let auth = greeting.cmd("AUTH");
            if let Some(name) = user.username() {
                auth.arg(name);
            }
            auth.arg(password);
        }
        if user.db() != 0 {
            greeting.cmd("SELECT").arg(user.db());
        }
        greeting.cmd("HELLO");
        let mut replies = self.ask(&greeting).await?;
        let hello = replies.pop();
        for (at, reply) in replies.iter().enumerate() {
            reply.value().map_err(|error| match error.code() {
                Some("WRONGPASS" | "ERR") if at == 0 && user.password().is_some() => {
                    RedisError::from((ErrorKind::AuthenticationFailed, "Password authentication failed"))
                }
                _ => error,
            })?;
        }
        let mode = match hello.map(|hello| hello.value()) {
            Some(Ok(hello)) => mode_of_hello(hello),
            _ => {
                let mut info = redis::pipe();
                info.cmd("INFO").arg("cluster");
                let info = self.ask(&info).await?.pop().and_then(|info| info.value().ok());
                mode_of_info(info.and_then(|info| redis::from_redis_value(info).ok()))
            }
        };
        check_mode(mode.as_deref())
    }

    /// Sends all commands, then waits for their replies. An error reply is `Ok` here: see [`Reply::value`].
    pub(crate) async fn ask(&mut self, commands: &Pipeline) -> RedisResult<Vec<Reply>> {
        self.answered = None;
        self.stream.write_all(&commands.get_packed_pipeline()).await?;
        self.stream.flush().await?;
        let replies = self.receive(commands.len()).await;
        // The caller owns these bytes now.
        let _ = self.budget.set(0);
        let replies = replies?;
        self.answered = Some(Instant::now());
        Ok(replies)
    }

    async fn receive(&mut self, count: usize) -> RedisResult<Vec<Reply>> {
        let mut received = BytesMut::with_capacity(match count {
            1 => 0,
            _ => self.expected_bytes.load(Ordering::Relaxed),
        });
        let mut scan = Scan::default();
        let mut ends = Vec::with_capacity(count);
        while ends.len() < count {
            if let Some(spans) = scan.next(&received)? {
                ends.push((scan.at, spans));
                continue;
            }
            received.reserve(READ_BYTES);
            if self.stream.read_buf(&mut received).await? == 0 {
                return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
            }
            let budget = self.budget.set(received.len());
            budget.map_err(|refusal| io::Error::new(io::ErrorKind::InvalidData, refusal))?;
        }
        if count > 1 {
            self.expected_bytes
                .store(received.len() + READ_BYTES, Ordering::Relaxed);
        }
        let len = received.len();
        // Gives memory back if the reply was much shorter than expected.
        let mut all = match received.capacity() > 2 * len + 2 * READ_BYTES {
            true => Bytes::copy_from_slice(&received),
            false => received.freeze(),
        };
        let replies = ends.into_iter().scan(0, |start, (end, spans)| {
            let bytes = all.split_to(end - *start);
            *start = end;
            // A small reply must not keep the whole buffer alive.
            let bytes = match bytes.len() < len / 2 {
                true => Bytes::copy_from_slice(&bytes),
                false => bytes,
            };
            Some(Reply { bytes, spans })
        });
        Ok(replies.collect())
    }
}

impl Reply {
    /// # Errors
    /// The error reply of Redis.
    pub(crate) fn value(&self) -> RedisResult<Value> {
        redis::parse_redis_value(&self.bytes)?.extract_error()
    }

    /// The fields of HGETALL.
    ///
    /// # Errors
    /// The error reply of Redis.
    pub(crate) fn into_fields(self) -> RedisResult<Fields> {
        if !self.bytes.starts_with(b"*") {
            self.value()?;
        }
        Fields::within(self.bytes, &self.spans).ok_or_else(|| malformed("it is not a list of names and values"))
    }
}

/// Finds the ends of replies in the bytes received so far.
#[derive(Default)]
struct Scan {
    /// Position after the last complete value.
    at: usize,
    start: usize,
    /// Values still missing in this reply; `None` before it begins.
    missing: Option<u64>,
    spans: Vec<Span>,
}

impl Scan {
    /// The strings of the next reply once it is complete. It ends at `at`.
    fn next(&mut self, received: &[u8]) -> RedisResult<Option<Vec<Span>>> {
        loop {
            let missing = match self.missing {
                Some(0) => {
                    self.missing = None;
                    self.start = self.at;
                    return Ok(Some(std::mem::take(&mut self.spans)));
                }
                Some(missing) => missing,
                None => 1,
            };
            let rest = &received[self.at..];
            let Some(line) = rest.iter().position(|&byte| byte == b'\n') else {
                return Ok(None);
            };
            let after = self.at + line + 1;
            let number = || {
                let digits = rest[..line].trim_ascii_end().get(1..)?;
                std::str::from_utf8(digits).ok()?.parse::<i64>().ok()
            };
            let (end, more) = match rest[0] {
                b'+' | b'-' | b':' => (after, 0),
                kind @ (b'$' | b'*') => {
                    let number = number().ok_or_else(|| malformed("a length is not a number"))?;
                    // A length of -1 is null.
                    match (kind, u64::try_from(number).unwrap_or_default()) {
                        (b'$', _) if number < 0 => (after, 0),
                        (b'$', len) => {
                            let len = usize::try_from(len).map_err(|_| malformed("a string is too long"))?;
                            let end = after.saturating_add(len).saturating_add(2);
                            if received.len() < end {
                                return Ok(None);
                            }
                            let span = Span::new(after - self.start, len);
                            self.spans
                                .push(span.ok_or_else(|| malformed("it is longer than 4 GiB"))?);
                            (end, 0)
                        }
                        (_, items) => (after, items),
                    }
                }
                _ => return Err(malformed("it is not RESP2")),
            };
            self.at = end;
            self.missing = Some(missing - 1 + more);
        }
    }
}

fn malformed(what: &'static str) -> RedisError {
    RedisError::from((ErrorKind::Parse, "a reply cannot be read", what.to_owned()))
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    const REPLIES: [&[u8]; 9] = [
        b"+OK\r\n",
        b"-NOPERM no\r\n",
        b":-42\r\n",
        b"$-1\r\n",
        b"$0\r\n\r\n",
        b"*0\r\n",
        b"*4\r\n$1\r\na\r\n$6\r\n$1\r\n*\n\r\n$1\r\nb\r\n$0\r\n\r\n",
        b"*2\r\n$1\r\n0\r\n*2\r\n$3\r\nk\r\n\r\n$1\r\n*\r\n",
        b"*3\r\n$6\r\nmaster\r\n:0\r\n*0\r\n",
    ];

    proptest! {
        #[test]
        fn the_end_of_a_reply_does_not_depend_on_how_its_bytes_arrive(replies in vec(0..REPLIES.len(), 0..8), pieces in vec(1..40usize, 0..40)) {
            let all: Vec<u8> = replies.iter().flat_map(|&reply| REPLIES[reply].iter().copied()).collect();
            let (mut scan, mut ends, mut came) = (Scan::default(), Vec::new(), 0);
            for piece in pieces.into_iter().chain([all.len()]) {
                came = (came + piece).min(all.len());
                while let Some(spans) = scan.next(&all[..came]).unwrap() {
                    ends.push((scan.at, spans.len()));
                }
            }
            let mut end = 0;
            let expected: Vec<_> = replies.iter().map(|&reply| {
                end += REPLIES[reply].len();
                let strings = [0, 0, 0, 0, 1, 0, 4, 3, 1];
                (end, strings[reply])
            }).collect();
            prop_assert_eq!(ends, expected);
        }
    }

    #[test]
    fn a_hash_becomes_fields_and_an_error_reply_an_error() {
        let reply = |bytes: &'static [u8]| {
            let mut scan = Scan::default();
            let spans = scan.next(bytes).unwrap().unwrap();
            Reply {
                bytes: Bytes::from_static(bytes),
                spans,
            }
        };
        let fields = reply(REPLIES[6]).into_fields().unwrap();
        let expected: [(&[u8], &[u8]); 2] = [(b"a", b"$1\r\n*\n"), (b"b", b"")];
        assert_eq!(fields.iter().collect::<Vec<_>>(), expected);
        let error = reply(REPLIES[1]).into_fields().unwrap_err();
        assert_eq!(error.code(), Some("NOPERM"));
        assert!(reply(REPLIES[7]).into_fields().is_err(), "three strings");
    }

    #[test]
    fn bytes_that_are_not_a_reply_are_refused() {
        for bytes in [&b"HTTP/1.1 400 Bad Request\r\n"[..], b"$x\r\n", b"%1\r\n", b"\r\n"] {
            assert!(Scan::default().next(bytes).is_err(), "{}", bytes.escape_ascii());
        }
    }
}
