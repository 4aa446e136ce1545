//! Connections are taken as they come, as many at once as there may be; those beyond wait in the socket's queue.

use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::{Sleep, sleep};
use tokio_util::sync::CancellationToken;
use tracing::error;

use crate::throttle::Throttle;

/// Before the next try when the system gives no connection: one that is closed meanwhile may have been what it lacked.
const RETRY: Duration = Duration::from_millis(100);

/// Serves each connection in a task of its own on this thread, until `stop`. A connection has one of the `permits` for as long as it lasts.
pub(super) async fn connections<F: Future<Output = ()> + 'static>(
    listener: std::net::TcpListener,
    permits: Arc<Semaphore>,
    stop: CancellationToken,
    serve: impl Fn(TcpStream, SocketAddr) -> F,
) -> io::Result<()> {
    let listener = TcpListener::from_std(listener)?;
    let told = Throttle::default();
    let mut tick = Tick::new();
    let accepting = async {
        loop {
            let Ok(permit) = permits.clone().acquire_owned().await else {
                return;
            };
            match tick.beside(listener.accept()).await {
                Ok((socket, peer)) => {
                    let served = serve(socket, peer);
                    tokio::task::spawn_local(async move {
                        served.await;
                        drop(permit);
                    });
                }
                Err(error) if is_of_one_connection(&error) => {}
                Err(error) => {
                    if let Some(held) = told.pass(Instant::now()) {
                        let mend = mend(&error);
                        error!(held, "no connection can be taken, trying on: {error}{mend}");
                    }
                    drop(permit);
                    sleep(RETRY).await;
                }
            }
        }
    };
    stop.run_until_cancelled(accepting).await;
    Ok(())
}

/// A timer that is always the next to fire while there are connections. Setting one that fires before all others costs tokio two calls to the system,
/// to wake a thread that may not know of it; and each request sets some, of a few hundred milliseconds and more.
struct Tick {
    next: Pin<Box<Sleep>>,
    is_set: bool,
    has_come: bool,
}

impl Tick {
    const EVERY: Duration = Duration::from_millis(100);

    fn new() -> Self {
        Self {
            next: Box::pin(sleep(Self::EVERY)),
            is_set: false,
            has_come: false,
        }
    }

    /// Waits for a connection. With none between two ticks there are no more of these.
    async fn beside<T>(&mut self, connection: impl Future<Output = T>) -> T {
        let mut connection = pin!(connection);
        loop {
            tokio::select! {
                biased;
                come = &mut connection => {
                    if !self.is_set {
                        self.is_set = true;
                        self.next.as_mut().reset(tokio::time::Instant::now() + Self::EVERY);
                    }
                    self.has_come = true;
                    return come;
                }
                () = &mut self.next, if self.is_set => {
                    self.is_set = self.has_come;
                    self.has_come = false;
                    if self.is_set {
                        self.next.as_mut().reset(tokio::time::Instant::now() + Self::EVERY);
                    }
                }
            }
        }
    }
}

/// Its client was gone before it was taken.
fn is_of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(
        error.kind(),
        ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted
    )
}

fn mend(error: &io::Error) -> &'static str {
    match error.raw_os_error().map(Errno::from_raw) {
        Some(Errno::EMFILE) => {
            "; raise the limit of open files (systemd: LimitNOFILE, shell: ulimit -Hn), or lower http.max_connections"
        }
        Some(Errno::ENFILE) => "; raise the system's limit of open files (sysctl fs.file-max)",
        Some(Errno::ENOMEM | Errno::ENOBUFS) => "; the system has no memory left for it",
        _ => "",
    }
}
