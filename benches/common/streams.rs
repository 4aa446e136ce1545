//! Clients of `GET /api/v1/events` that note when each state of a gateway arrives.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use memchr::memmem;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Bytes that a client reads at a time.
const PIECE: usize = 64 * 1024;

/// When each gateway changed last, and to what.
pub struct Sent {
    began: Instant,
    /// Microseconds since `began`, twice, plus one if the gateway is up since then. By number.
    changes: Vec<AtomicU64>,
}

/// Streams that are open.
pub struct Streams {
    tasks: Vec<tokio::task::JoinHandle<Heard>>,
    runtime: Option<tokio::runtime::Runtime>,
    stop: Arc<AtomicBool>,
    open: Arc<AtomicUsize>,
}

/// What one client heard.
#[derive(Default)]
struct Heard {
    times: Vec<Duration>,
    resyncs: usize,
}

/// What all clients heard.
pub struct AllHeard {
    pub times: Vec<Duration>,
    /// How many changes the client heard that heard the fewest.
    pub fewest: usize,
    pub resyncs: usize,
}

impl Sent {
    pub fn new(gateways: usize) -> Self {
        Self {
            began: Instant::now(),
            changes: (0..gateways).map(|_| AtomicU64::default()).collect(),
        }
    }

    pub fn note(&self, gateway: usize, is_up: bool) {
        let at = u64::try_from(self.began.elapsed().as_micros()).unwrap_or_default();
        self.changes[gateway].store(at << 1 | u64::from(is_up), Ordering::Relaxed);
    }

    /// How long ago it was, if that was the last change of this gateway.
    fn since(&self, gateway: usize, is_up: bool) -> Option<Duration> {
        let change = self.changes.get(gateway)?.load(Ordering::Relaxed);
        let is_it = change != 0 && (change & 1 == 1) == is_up;
        is_it.then(|| self.began.elapsed().saturating_sub(Duration::from_micros(change >> 1)))
    }
}

impl Streams {
    /// Returns when all of them have their first bytes.
    pub fn open(count: usize, address: SocketAddr, token: &str, sent: &Arc<Sent>) -> Self {
        // One thread, apart from the switch: neither waits for the other.
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a runtime");
        let (stop, open) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let request = format!(
            "GET /api/v1/events HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {token}\r\n\
             Accept: text/event-stream\r\n\r\n"
        );
        let listen = |_| {
            let (request, sent, stop, open) = (request.clone(), sent.clone(), stop.clone(), open.clone());
            runtime.spawn(async move {
                let mut connection = TcpStream::connect(address).await.expect("it lets us in");
                connection.write_all(request.as_bytes()).await.expect("it reads");
                listen(connection, &sent, &stop, &open).await
            })
        };
        let tasks = (0..count).map(listen).collect();
        while open.load(Ordering::Relaxed) < count {
            std::thread::sleep(Duration::from_millis(10));
        }
        Self {
            tasks,
            runtime: Some(runtime),
            stop,
            open,
        }
    }

    /// Waits for what is on its way, and closes them.
    pub fn close(mut self) -> AllHeard {
        const ON_ITS_WAY: Duration = Duration::from_secs(2);
        std::thread::sleep(ON_ITS_WAY);
        self.stop.store(true, Ordering::Relaxed);
        let runtime = self.runtime.take().expect("closed once");
        let mut all = AllHeard {
            times: Vec::new(),
            fewest: usize::MAX,
            resyncs: 0,
        };
        for task in self.tasks.drain(..) {
            let heard = runtime.block_on(task).expect("a client ends well");
            all.fewest = all.fewest.min(heard.times.len());
            all.resyncs += heard.resyncs;
            all.times.extend(heard.times);
        }
        debug_assert_eq!(self.open.load(Ordering::Relaxed), 0);
        all
    }
}

async fn listen(mut connection: TcpStream, sent: &Sent, stop: &AtomicBool, open: &AtomicUsize) -> Heard {
    const LOOK: Duration = Duration::from_millis(100);
    let mut heard = Heard::default();
    let (mut buffer, mut is_open) = (Vec::with_capacity(2 * PIECE), false);
    while !stop.load(Ordering::Relaxed) {
        let Ok(read) = tokio::time::timeout(LOOK, connection.read_buf(&mut buffer)).await else {
            continue;
        };
        assert!(read.expect("the stream goes on") > 0, "the stream ended");
        if !std::mem::replace(&mut is_open, true) {
            assert!(
                buffer.starts_with(b"HTTP/1.1 200 "),
                "{}",
                String::from_utf8_lossy(&buffer)
            );
            open.fetch_add(1, Ordering::Relaxed);
        }
        // Events end with an empty line; the frames of HTTP lie between them.
        let end = memmem::rfind(&buffer, b"\n\n").map_or(0, |at| at + 2);
        heard.take(&buffer[..end], sent);
        buffer.drain(..end);
    }
    open.fetch_sub(1, Ordering::Relaxed);
    heard
}

impl Heard {
    fn take(&mut self, events: &[u8], sent: &Sent) {
        const GATEWAY: &[u8] = b"event: gateway\n";
        self.resyncs += memmem::find_iter(events, b"event: resync\n").count();
        for at in memmem::find_iter(events, GATEWAY) {
            let data = &events[at + GATEWAY.len()..];
            let data = &data[..memchr::memchr(b'\n', data).unwrap_or(data.len())];
            let number = after(data, b"\"name\":\"gw").and_then(|name| {
                let end = memchr::memchr(b'"', name)?;
                std::str::from_utf8(&name[..end]).ok()?.parse().ok()
            });
            let is_up = after(data, b"\"state\":\"").is_some_and(|state| state.starts_with(b"REGED"));
            let since = number.and_then(|number| sent.since(number, is_up));
            self.times.extend(since);
        }
    }
}

fn after<'a>(data: &'a [u8], what: &[u8]) -> Option<&'a [u8]> {
    Some(&data[memmem::find(data, what)? + what.len()..])
}
