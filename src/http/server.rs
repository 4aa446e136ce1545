//! The HTTP server: from the listening socket to the routes in `site`.
//!
//! actix-server accepts connections and hands them to its workers; actix-http speaks HTTP. Two
//! things stand between them for which actix-web's `HttpServer` has no place: the decision who is
//! let in, before the TLS handshake and before anything is read ([`gate`]), and the end of a
//! connection after its first answer (`connection`).

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use ::metrics::counter;
use actix_http::error::DispatchError;
use actix_http::{HttpService, Protocol};
use actix_service::{Service, ServiceFactory, fn_factory, fn_service, map_config};
use actix_web::dev::AppConfig;
use actix_web::http::KeepAlive;
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, oneshot};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::either::Either;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use super::access::Peer;
use super::connection::{DISCONNECT_TIMEOUT, Ended, OneRequest, converse};
use super::gate::{self, Gate, Refusal, SwitchAddresses};
use super::security::AllowList;
use super::site::{PLAIN, Site, routes};
use super::tls::{Tls, TlsError};
use crate::health::Health;
use crate::metrics::{HTTP_CUT, HTTP_REFUSED};
use crate::settings::HttpSettings;
use crate::shown::shown;
use crate::throttle::Throttle;
use crate::xml_curl::{Documents, Source};

/// How long a stop waits for requests that are being answered. The stop of trunkd itself waits
/// less.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(5);
/// A client may read nothing of its answer for this many times `http.request_timeout`.
const STALLED_REQUEST_TIMEOUTS: u32 = 4;
/// A connection may last this many times `http.request_timeout`, whatever it does: two minutes by
/// default, enough for any answer.
const CONNECTION_REQUEST_TIMEOUTS: u32 = 24;
/// Clients turned away with a reason at the same time. Any others are dropped without one.
const MOST_REASONS: usize = 64;
/// Bytes read and discarded from a client that is turned away.
const MOST_READ_OF_REFUSED: u64 = 16 * 1024;

/// actix-http adds a piece of a body to a write buffer that holds less than this: the head of an
/// answer goes out together with the first piece, and a slow reader costs one piece, not two.
const ROOM_FOR_HEAD: usize = 1024;

#[derive(Debug, thiserror::Error)]
pub enum BindError {
    #[error(transparent)]
    Tls(#[from] TlsError),
    #[error("the HTTP server cannot use its listening socket: {0}")]
    Socket(#[from] io::Error),
}

/// An HTTP server on a socket that is already listening.
pub struct Server<S> {
    listener: TcpListener,
    front: Arc<Front>,
    site: Arc<Site<S>>,
    workers: usize,
    most_connections: usize,
    first_runtime: Option<oneshot::Sender<Handle>>,
}

/// Between the listening socket and the routes; shared by the workers.
struct Front {
    gate: Arc<Gate>,
    tls: Option<Arc<Tls>>,
    request_timeout: Duration,
    reasons: Semaphore,
    lines: Lines,
}

/// One throttle for each kind of log line that any client can cause.
#[derive(Default)]
struct Lines {
    tls: Throttle,
    no_http: Throttle,
    failed: Throttle,
    cut: Throttle,
}

/// Builds everything that can be built before it serves.
///
/// # Errors
/// A TLS file that cannot be used, or the socket.
pub fn bind<S: Source>(
    listener: TcpListener,
    settings: &HttpSettings,
    switches: Arc<SwitchAddresses>,
    source: Arc<S>,
    documents: Documents,
    health: Arc<Health>,
    prometheus: PrometheusHandle,
) -> Result<Server<S>, BindError> {
    set_options(&listener, settings.request_timeout * STALLED_REQUEST_TIMEOUTS)?;
    let tls = settings.tls.clone().map(Tls::load).transpose()?.map(Arc::new);
    let most_connections = gate::most_connections(settings.max_connections, switches.count()) + MOST_REASONS;
    let gate = Gate::new(
        AllowList::new(settings.allow.iter().copied()),
        switches,
        health.clone(),
        settings.max_connections,
        settings.request_timeout,
    );
    let front = Front {
        gate: Arc::new(gate),
        tls,
        request_timeout: settings.request_timeout,
        reasons: Semaphore::new(MOST_REASONS),
        lines: Lines::default(),
    };
    Ok(Server {
        listener,
        front: Arc::new(front),
        site: Arc::new(Site::new(settings, source, documents, health, prometheus)),
        workers: settings.workers,
        most_connections,
        first_runtime: None,
    })
}

/// Sets what accepted sockets inherit: the kernel ends a connection whose client acknowledges
/// nothing for `limit` (the server would wait), and small writes are sent at once.
fn set_options(listener: &TcpListener, limit: Duration) -> io::Result<()> {
    let socket = socket2::SockRef::from(listener);
    socket.set_tcp_nodelay(true)?;
    #[cfg(target_os = "linux")]
    socket.set_tcp_user_timeout(Some(limit))?;
    #[cfg(not(target_os = "linux"))]
    let _ = limit;
    Ok(())
}

impl<S: Source> Server<S> {
    /// The TLS files, if it serves HTTPS.
    pub fn tls(&self) -> Option<Arc<Tls>> {
        self.front.tls.clone()
    }

    /// Sends the runtime of the first worker to `first_runtime`. What every answer waits for should
    /// run there: two threads that wake each other cost a small answer a third more time.
    pub fn send_runtime_to(&mut self, first_runtime: oneshot::Sender<Handle>) {
        self.first_runtime = Some(first_runtime);
    }

    /// Serves until `stop`; returns when the requests in flight are answered or have run out of
    /// time.
    ///
    /// # Errors
    /// The workers cannot be started, or the socket cannot be used.
    pub async fn run(self, stop: CancellationToken) -> io::Result<()> {
        let (front, site, stopping) = (self.front, self.site, stop.clone());
        let first_runtime = Arc::new(Mutex::new(self.first_runtime));
        let factory = move || {
            let (front, site, stop, first_runtime) =
                (front.clone(), site.clone(), stopping.clone(), first_runtime.clone());
            fn_factory(move || {
                let mut first_runtime = first_runtime.lock().unwrap_or_else(PoisonError::into_inner);
                if let Some(first_runtime) = first_runtime.take() {
                    let _ = first_runtime.send(Handle::current());
                }
                worker(front.clone(), site.clone(), stop.clone())
            })
        };
        let server = actix_server::Server::build()
            .workers(self.workers)
            .max_concurrent_connections(self.most_connections)
            .shutdown_timeout(SHUTDOWN_TIMEOUT.as_secs())
            .shutdown_signal(stop.cancelled_owned())
            .listen("http", self.listener, factory)?;
        server.run().await
    }
}

type Io = Either<TcpStream, TlsStream<TcpStream>>;

/// The service that one worker runs for each connection.
async fn worker<S: Source>(
    front: Arc<Front>,
    site: Arc<Site<S>>,
    stop: CancellationToken,
) -> Result<impl Service<TcpStream, Response = (), Error = (), Future = impl Future<Output = Result<(), ()>>>, ()> {
    let signal = stop.clone();
    let service = HttpService::build()
        .keep_alive(KeepAlive::Disabled)
        .client_request_timeout(front.request_timeout)
        .client_disconnect_timeout(DISCONNECT_TIMEOUT)
        .h1_write_buffer_size(ROOM_FOR_HEAD)
        .graceful_shutdown_signal(move || signal.clone().cancelled_owned())
        .on_connect_ext(|io: &OneRequest<Io>, data| {
            data.insert(io.exchange().clone());
        })
        .finish(map_config(routes(site), |()| AppConfig::default()))
        .new_service(())
        .await?;
    let service = Rc::new(service);
    Ok(fn_service(move |socket: TcpStream| {
        let (front, service, stop) = (front.clone(), service.clone(), stop.clone());
        async move {
            front.serve(&*service, socket, stop).await;
            Ok(())
        }
    }))
}

impl Front {
    async fn serve<H>(&self, service: &H, socket: TcpStream, stop: CancellationToken)
    where
        H: Service<(OneRequest<Io>, Protocol, Option<SocketAddr>), Response = (), Error = DispatchError>,
    {
        let Ok(peer) = socket.peer_addr() else {
            return;
        };
        let Some(admitted) = stop.run_until_cancelled(self.gate.admit(peer)).await else {
            return;
        };
        let place = match admitted {
            Ok(place) => place,
            Err(refusal) => return self.turn_away(socket, refusal).await,
        };
        let Some(Some(io)) = stop.run_until_cancelled(self.secure(socket, peer)).await else {
            return;
        };
        let limit = self.request_timeout * CONNECTION_REQUEST_TIMEOUTS;
        self.log_end(peer, converse(service, io, peer, limit).await);
        drop(place);
    }

    /// Does the TLS handshake, if there is one to do. `None` when it fails.
    async fn secure(&self, socket: TcpStream, peer: SocketAddr) -> Option<Io> {
        let Some(tls) = &self.tls else {
            return Some(Either::Left(socket));
        };
        let handshake = TlsAcceptor::from(tls.current()).accept(socket);
        let error = match timeout(self.request_timeout, handshake).await {
            Ok(Ok(secured)) => return Some(Either::Right(secured)),
            Ok(Err(error)) => error.to_string(),
            Err(_) => format!("it took longer than http.request_timeout ({:?})", self.request_timeout),
        };
        counter!(HTTP_REFUSED, "reason" => "tls").increment(1);
        if let Some(held) = self.lines.tls.pass(Instant::now()) {
            let (peer, error) = (Peer(Some(peer)), shown(&error));
            warn!(%peer, held, "TLS handshake failed: {error}; check the client's URL and certificates against http.tls");
        }
        None
    }

    /// Gives the reason over plain HTTP; over TLS there is no telling without a handshake.
    async fn turn_away(&self, mut socket: TcpStream, refusal: Refusal) {
        let Ok(_reason) = self.reasons.try_acquire() else {
            return;
        };
        if self.tls.is_some() {
            return;
        }
        let (status, reason) = match refusal {
            Refusal::Network => ("403 Forbidden", "your address is in no network that http.allow names\n"),
            Refusal::Full => (
                "503 Service Unavailable",
                "there are as many connections as http.max_connections allows\n",
            ),
        };
        let answer = format!(
            "HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\ncontent-type: {PLAIN}\r\n\r\n{reason}",
            reason.len()
        );
        let goodbye = async {
            socket.write_all(answer.as_bytes()).await?;
            socket.shutdown().await?;
            // Closing a socket with unread bytes in it discards what was written.
            let mut rest = socket.take(MOST_READ_OF_REFUSED);
            tokio::io::copy(&mut rest, &mut tokio::io::sink()).await
        };
        let _ = timeout(DISCONNECT_TIMEOUT, goodbye).await;
    }

    fn log_end(&self, peer: SocketAddr, ended: Ended) {
        let peer = Peer(Some(peer));
        let pass = |line: &Throttle| line.pass(Instant::now());
        match ended {
            Ended::Normally => {}
            Ended::Failed(DispatchError::Parse(error)) => {
                if let Some(held) = pass(&self.lines.no_http) {
                    let error = error.to_string();
                    warn!(%peer, held, "not an HTTP request: {}", shown(&error));
                }
            }
            Ended::Failed(error) => {
                if let Some(held) = pass(&self.lines.failed) {
                    let error = error.to_string();
                    debug!(%peer, held, "connection failed: {}", shown(&error));
                }
            }
            Ended::TooLong => {
                counter!(HTTP_CUT, "reason" => "too_long").increment(1);
                if let Some(held) = pass(&self.lines.failed) {
                    debug!(%peer, held, "connection cut: it took too long");
                }
            }
            Ended::Cut => {
                counter!(HTTP_CUT, "reason" => "memory").increment(1);
                if let Some(held) = pass(&self.lines.cut) {
                    warn!(
                        %peer,
                        held,
                        "connection cut: it read so slowly that old documents took too much memory"
                    );
                }
            }
        }
    }
}
