//! A TCP proxy on a free port of 127.0.0.1. It forwards to the first of its servers that accepts the
//! connection, and can cut replies short.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use rand::RngExt;
use rand::rngs::StdRng;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_util::sync::{CancellationToken, DropGuard};

/// Runs until it is dropped. That also closes its connections.
pub struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    _stop: DropGuard,
}

struct Shared {
    servers: Box<dyn Fn() -> Vec<SocketAddr> + Send + Sync>,
    cutter: Mutex<Option<StdRng>>,
    cuts: AtomicUsize,
    open: watch::Sender<bool>,
}

impl Proxy {
    /// `servers` is called for each connection.
    pub async fn start(servers: impl Fn() -> Vec<SocketAddr> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0))
            .await
            .expect("a free port of 127.0.0.1");
        let address = listener.local_addr().expect("the address of a bound listener");
        let shared = Arc::new(Shared {
            servers: Box::new(servers),
            cutter: Mutex::new(None),
            cuts: AtomicUsize::new(0),
            open: watch::Sender::new(true),
        });
        let stop = CancellationToken::new();
        tokio::spawn(
            stop.clone()
                .run_until_cancelled_owned(listen(listener, Arc::clone(&shared), stop.clone())),
        );
        Self {
            address,
            shared,
            _stop: stop.drop_guard(),
        }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// While closed, it ends its connections and every new one immediately.
    pub fn set_open(&self, open: bool) {
        self.shared.open.send_replace(open);
    }

    /// With `Some`, each connection ends after a random number of bytes from the server, wherever that is.
    /// `None` stops cutting.
    pub fn cut_replies(&self, random: Option<StdRng>) {
        *self.shared.cutter.lock().unwrap_or_else(PoisonError::into_inner) = random;
    }

    /// How many connections were cut.
    pub fn cuts(&self) -> usize {
        self.shared.cuts.load(Ordering::Relaxed)
    }
}

async fn listen(listener: TcpListener, shared: Arc<Shared>, stop: CancellationToken) {
    loop {
        if let Ok((client, _)) = listener.accept().await {
            let passing = pass(Arc::clone(&shared), client);
            tokio::spawn(stop.clone().run_until_cancelled_owned(passing));
        }
    }
}

/// When either side closes, both connections end.
async fn pass(shared: Arc<Shared>, client: TcpStream) {
    let mut open = shared.open.subscribe();
    if !*open.borrow() {
        return;
    }
    let Some(server) = shared.connect().await else { return };
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let (mut from_client, to_client) = client.into_split();
    let (from_server, mut to_server) = server.into_split();
    tokio::select! {
        _ = tokio::io::copy(&mut from_client, &mut to_server) => {}
        () = shared.reply(from_server, to_client) => {}
        _ = open.wait_for(|open| !open) => {}
    }
}

impl Shared {
    async fn connect(&self) -> Option<TcpStream> {
        for server in (self.servers)() {
            if let Ok(stream) = TcpStream::connect(server).await {
                return Some(stream);
            }
        }
        None
    }

    async fn reply(&self, mut from_server: OwnedReadHalf, mut to_client: OwnedWriteHalf) {
        let mut bytes = vec![0; 16 * 1024];
        let mut left = None;
        while let Ok(read @ 1..) = from_server.read(&mut bytes).await {
            let passes = self.passes(read, &mut left);
            if to_client.write_all(&bytes[..passes]).await.is_err() {
                return;
            }
            if passes < read {
                self.cuts.fetch_add(1, Ordering::Relaxed);
                return;
            }
        }
    }

    /// How many of these bytes pass. `left` is what may still pass on a connection that will be cut.
    fn passes(&self, read: usize, left: &mut Option<usize>) -> usize {
        let mut cutter = self.cutter.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(random) = &mut *cutter else {
            *left = None;
            return read;
        };
        // Spread over orders of magnitude: some connections end in their first line, some in a long list.
        let left = left.get_or_insert_with(|| {
            let about = 1 << random.random_range(0..11);
            random.random_range(about..2 * about)
        });
        let passes = read.min(*left);
        *left -= passes;
        passes
    }
}
