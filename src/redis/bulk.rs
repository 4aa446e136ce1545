//! Connections on which whole hashes are read.
//!
//! The client library makes a value of every field and takes three times as long over ten thousand of them as hiredis does. Here a reply stays the
//! piece of memory that came, and of it only where each string stands is noted, while the rest is still coming.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::{Bytes, BytesMut};
use deadpool::managed::{self, Metrics, RecycleResult};
use redis::{ErrorKind, Pipeline, RedisConnectionInfo, RedisError, RedisResult, Value};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::link::{self, ConnectError, Link};
use super::pool::{Kept, Pooled};
use super::stream::{Room, Stream};
use crate::gateway::{Fields, Span};

/// What is read at a time, at least.
const READ_BYTES: usize = 64 * 1024;

pub(crate) type BulkPool = managed::Pool<BulkManager>;

pub(crate) struct BulkManager {
    link: Arc<Link>,
    /// How much came last: the next time it will be about as much.
    expected: Arc<AtomicUsize>,
}

/// One question at a time.
pub(crate) struct Bulk {
    /// Ends at what is no reply, and at more than a reply may hold.
    stream: Box<dyn Stream>,
    /// For the whole of an answer, which is kept until all of it is there.
    room: Room,
    expected: Arc<AtomicUsize>,
    /// Spent while a question is under way: whoever gives up in the middle leaves replies behind.
    kept: Kept,
}

/// A reply as it came.
pub(crate) struct Reply {
    bytes: Bytes,
    /// Its strings.
    spans: Vec<Span>,
}

impl BulkManager {
    pub(crate) fn new(link: Arc<Link>) -> Self {
        Self {
            link,
            expected: Arc::default(),
        }
    }
}

impl managed::Manager for BulkManager {
    type Type = Bulk;
    type Error = ConnectError;

    async fn create(&self) -> Result<Bulk, ConnectError> {
        let (stream, user, generation) = self.link.open_stream().await?;
        let mut bulk = Bulk {
            stream,
            room: self.link.room(),
            expected: self.expected.clone(),
            kept: Kept::new(generation),
        };
        bulk.greet(&user).await?;
        Ok(bulk)
    }

    async fn recycle(&self, bulk: &mut Bulk, _: &Metrics) -> RecycleResult<ConnectError> {
        let kept = bulk.kept;
        let ping = async {
            let mut ping = redis::pipe();
            ping.cmd("PING");
            bulk.ask(&ping).await.map(|_| true)
        };
        kept.check(&self.link, ping).await
    }
}

impl Pooled for Bulk {
    fn kept(&self) -> &Kept {
        &self.kept
    }

    fn kept_mut(&mut self) -> &mut Kept {
        &mut self.kept
    }
}

impl Bulk {
    /// As the user, and to the database, of the settings; to a server that can be used.
    async fn greet(&mut self, user: &RedisConnectionInfo) -> Result<(), ConnectError> {
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
            Some(Ok(hello)) => link::mode_of(hello),
            _ => {
                let mut info = redis::pipe();
                info.cmd("INFO").arg("cluster");
                let info = self.ask(&info).await?.pop().and_then(|info| info.value().ok());
                link::mode_by_info(info.and_then(|info| redis::from_redis_value(info).ok()))
            }
        };
        link::refuse(mode.as_deref())
    }

    /// Sends all commands at once, and waits for the reply of each. Of a reply that says no, [`Reply`] tells.
    pub(crate) async fn ask(&mut self, commands: &Pipeline) -> RedisResult<Vec<Reply>> {
        let was_spent = std::mem::replace(&mut self.kept.is_spent, true);
        self.stream.write_all(&commands.get_packed_pipeline()).await?;
        self.stream.flush().await?;
        let replies = self.receive(commands.len()).await;
        // From here on it is whoever asked that has them.
        let _ = self.room.set(0);
        let replies = replies?;
        self.kept.is_spent = was_spent;
        Ok(replies)
    }

    async fn receive(&mut self, count: usize) -> RedisResult<Vec<Reply>> {
        let mut received = BytesMut::with_capacity(match count {
            1 => 0,
            _ => self.expected.load(Ordering::Relaxed),
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
            let room = self.room.set(received.len());
            room.map_err(|refusal| io::Error::new(io::ErrorKind::InvalidData, refusal))?;
        }
        if count > 1 {
            self.expected.store(received.len() + READ_BYTES, Ordering::Relaxed);
        }
        let len = received.len();
        // What is kept is not to hold much more than it is, when it was expected to be longer. What it grew into by itself was never touched.
        let mut all = match received.capacity() > 2 * len + 2 * READ_BYTES {
            true => Bytes::copy_from_slice(&received),
            false => received.freeze(),
        };
        let replies = ends.into_iter().scan(0, |start, (end, spans)| {
            let bytes = all.split_to(end - *start);
            *start = end;
            // A small one is not to keep all the others in memory.
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
    /// What Redis said if it said no.
    pub(crate) fn value(&self) -> RedisResult<Value> {
        redis::parse_redis_value(&self.bytes)?.extract_error()
    }

    /// The fields of HGETALL.
    ///
    /// # Errors
    /// What Redis said if it said no.
    pub(crate) fn into_fields(self) -> RedisResult<Fields> {
        if !self.bytes.starts_with(b"*") {
            self.value()?;
        }
        Fields::within(self.bytes, &self.spans).ok_or_else(|| malformed("it is no list of names and values"))
    }
}

/// Finds where replies end in what has come so far.
#[derive(Default)]
struct Scan {
    /// How far it has come.
    at: usize,
    start: usize,
    /// How many values are still to come of this reply; `None` before it began.
    missing: Option<u64>,
    spans: Vec<Span>,
}

impl Scan {
    /// The strings of the next reply, once it is there in full; it ends at `at`.
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
                    let number = number().ok_or_else(|| malformed("a length is no number"))?;
                    // -1 is nothing at all.
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
                _ => return Err(malformed("it is none of RESP2")),
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
        fn a_reply_ends_where_it_ends_however_its_bytes_come(replies in vec(0..REPLIES.len(), 0..8), pieces in vec(1..40usize, 0..40)) {
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
    fn a_hash_is_its_fields_and_an_error_is_what_redis_said() {
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
    fn what_is_no_reply_is_refused() {
        for bytes in [&b"HTTP/1.1 400 Bad Request\r\n"[..], b"$x\r\n", b"%1\r\n", b"\r\n"] {
            assert!(Scan::default().next(bytes).is_err(), "{}", bytes.escape_ascii());
        }
    }
}
