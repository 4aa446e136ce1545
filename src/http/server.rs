//! The HTTP server: from the listening socket to the routes.
//!
//! actix-server accepts connections and hands them to its workers; actix-http speaks HTTP. Between
//! them trunkd does two things that actix-web's `HttpServer` has no hook for: it decides who is let
//! in, before the TLS handshake and before anything is read ([`gate`]), and it ends a connection
//! after its first response (`connection`).

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

use super::connection::{ConnectionEnd, DISCONNECT_TIMEOUT, OneRequestIo, serve_one};
use super::gate::{self, Gate, Refusal, SwitchAddresses};
use super::gateway_page::MetricsPages;
use super::request_log::Peer;
use super::routes::{AppState, PLAIN, routes};
use super::security::AllowList;
use super::tls::{Tls, TlsError};
use crate::health::Health;
use crate::metrics::{HTTP_CUT, HTTP_REFUSED};
use crate::settings::HttpSettings;
use crate::shown::shown;
use crate::throttle::Throttle;
use crate::xml_curl::{ConfigSource, DocumentCache};

/// How long actix waits at a stop for requests in flight. trunkd itself waits for a shorter time.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(5);
/// A client may read nothing of its response for this many times `http.request_timeout`.
const STALL_FACTOR: u32 = 4;
/// A connection may last this many times `http.request_timeout`: two minutes by default, enough for
/// any response.
const CONNECTION_FACTOR: u32 = 24;
/// Clients that are refused with a reason at the same time. Others are dropped without one.
const MAX_REFUSALS: usize = 64;
/// Bytes read and discarded from a client that is refused.
const MAX_READ_OF_REFUSED: u64 = 16 * 1024;
/// actix-http adds a chunk of the body to a write buffer that holds less than this. So the head
/// goes out together with the first chunk, and a slow reader costs one chunk, not two.
const WRITE_BUFFER_BYTES: usize = 1024;

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
    frontend: Arc<Frontend>,
    state: Arc<AppState<S>>,
    workers: usize,
    max_connections: usize,
    first_runtime: Option<oneshot::Sender<Handle>>,
}

/// What happens to a connection before the routes; shared by the workers.
struct Frontend {
    gate: Arc<Gate>,
    tls: Option<Arc<Tls>>,
    request_timeout: Duration,
    refusals: Semaphore,
    throttles: Throttles,
}

/// One throttle for each kind of line that any client can cause.
#[derive(Default)]
struct Throttles {
    tls: Throttle,
    no_http: Throttle,
    failed: Throttle,
    cut: Throttle,
}

/// Builds the server; [`Server::run`] starts it.
///
/// # Errors
/// A TLS file that cannot be used, or the socket.
pub fn bind<S: ConfigSource>(
    listener: TcpListener,
    settings: &HttpSettings,
    switches: Arc<SwitchAddresses>,
    source: Arc<S>,
    cache: DocumentCache,
    health: Arc<Health>,
    metrics: MetricsPages,
) -> Result<Server<S>, BindError> {
    set_options(&listener, settings.request_timeout * STALL_FACTOR)?;
    let tls = settings
        .tls
        .clone()
        .map(|files| Tls::load("http.tls", files))
        .transpose()?
        .map(Arc::new);
    let max_connections = gate::most_connections(settings.max_connections, switches.count()) + MAX_REFUSALS;
    let gate = Gate::new(
        AllowList::new(settings.allow.iter().copied()),
        switches,
        health.clone(),
        settings.max_connections,
        settings.request_timeout,
    );
    let frontend = Frontend {
        gate: Arc::new(gate),
        tls,
        request_timeout: settings.request_timeout,
        refusals: Semaphore::new(MAX_REFUSALS),
        throttles: Throttles::default(),
    };
    Ok(Server {
        listener,
        frontend: Arc::new(frontend),
        state: Arc::new(AppState::new(settings, source, cache, health, metrics)),
        workers: settings.workers,
        max_connections,
        first_runtime: None,
    })
}

/// Sets what accepted sockets inherit: small writes are not delayed, and the kernel ends a
/// connection whose client acknowledges nothing for `limit`.
fn set_options(listener: &TcpListener, limit: Duration) -> io::Result<()> {
    let socket = socket2::SockRef::from(listener);
    socket.set_tcp_nodelay(true)?;
    #[cfg(target_os = "linux")]
    socket.set_tcp_user_timeout(Some(limit))?;
    #[cfg(not(target_os = "linux"))]
    let _ = limit;
    Ok(())
}

impl<S: ConfigSource> Server<S> {
    /// The TLS files, if the server speaks HTTPS.
    pub fn tls(&self) -> Option<Arc<Tls>> {
        self.frontend.tls.clone()
    }

    /// Sends the runtime of the first worker to `first_runtime`. What every response waits for
    /// should run there: if two threads must wake each other, a small response takes a third
    /// longer.
    pub fn send_runtime_to(&mut self, first_runtime: oneshot::Sender<Handle>) {
        self.first_runtime = Some(first_runtime);
    }

    /// Serves until `stop`. Returns when the requests in flight are answered or out of time.
    ///
    /// # Errors
    /// The workers cannot be started, or the socket cannot be used.
    pub async fn run(self, stop: CancellationToken) -> io::Result<()> {
        let (frontend, state, stopping) = (self.frontend, self.state, stop.clone());
        let first_runtime = Arc::new(Mutex::new(self.first_runtime));
        let factory = move || {
            let (frontend, state, stop, first_runtime) =
                (frontend.clone(), state.clone(), stopping.clone(), first_runtime.clone());
            fn_factory(move || {
                let mut first_runtime = first_runtime.lock().unwrap_or_else(PoisonError::into_inner);
                if let Some(first_runtime) = first_runtime.take() {
                    let _ = first_runtime.send(Handle::current());
                }
                worker(frontend.clone(), state.clone(), stop.clone())
            })
        };
        let server = actix_server::Server::build()
            .workers(self.workers)
            .max_concurrent_connections(self.max_connections)
            .shutdown_timeout(SHUTDOWN_TIMEOUT.as_secs())
            .shutdown_signal(stop.cancelled_owned())
            .listen("http", self.listener, factory)?;
        server.run().await
    }
}

type Io = Either<TcpStream, TlsStream<TcpStream>>;

/// The service of one worker; it is called for each connection.
async fn worker<S: ConfigSource>(
    frontend: Arc<Frontend>,
    state: Arc<AppState<S>>,
    stop: CancellationToken,
) -> Result<impl Service<TcpStream, Response = (), Error = (), Future = impl Future<Output = Result<(), ()>>>, ()> {
    let signal = stop.clone();
    let service = HttpService::build()
        .keep_alive(KeepAlive::Disabled)
        .client_request_timeout(frontend.request_timeout)
        .client_disconnect_timeout(DISCONNECT_TIMEOUT)
        .h1_write_buffer_size(WRITE_BUFFER_BYTES)
        .graceful_shutdown_signal(move || signal.clone().cancelled_owned())
        .on_connect_ext(|io: &OneRequestIo<Io>, data| {
            data.insert(io.exchange().clone());
        })
        .finish(map_config(routes(state), |()| AppConfig::default()))
        .new_service(())
        .await?;
    let service = Rc::new(service);
    Ok(fn_service(move |socket: TcpStream| {
        let (frontend, service, stop) = (frontend.clone(), service.clone(), stop.clone());
        async move {
            frontend.serve(&*service, socket, stop).await;
            Ok(())
        }
    }))
}

impl Frontend {
    async fn serve<H>(&self, service: &H, socket: TcpStream, stop: CancellationToken)
    where
        H: Service<(OneRequestIo<Io>, Protocol, Option<SocketAddr>), Response = (), Error = DispatchError>,
    {
        let Ok(peer) = socket.peer_addr() else {
            return;
        };
        let Some(admitted) = stop.run_until_cancelled(self.gate.admit(peer)).await else {
            return;
        };
        let permit = match admitted {
            Ok(permit) => permit,
            Err(refusal) => return self.refuse(socket, refusal).await,
        };
        let Some(Some(io)) = stop.run_until_cancelled(self.secure(socket, peer)).await else {
            return;
        };
        let limit = self.request_timeout * CONNECTION_FACTOR;
        self.log_end(peer, serve_one(service, io, peer, limit).await);
        drop(permit);
    }

    /// Does the TLS handshake, if the server speaks HTTPS. `None` if it fails.
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
        if let Some(held) = self.throttles.tls.pass(Instant::now()) {
            let (peer, error) = (Peer(Some(peer)), shown(&error));
            warn!(
                %peer,
                held,
                "TLS handshake failed: {error}; check the client's URL and certificates against http.tls"
            );
        }
        None
    }

    /// Sends the reason, if this is plain HTTP: with TLS, that would take a handshake.
    async fn refuse(&self, mut socket: TcpStream, refusal: Refusal) {
        let Ok(_permit) = self.refusals.try_acquire() else {
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
        let response = format!(
            "HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\ncontent-type: {PLAIN}\r\n\r\n{reason}",
            reason.len()
        );
        let goodbye = async {
            socket.write_all(response.as_bytes()).await?;
            socket.shutdown().await?;
            // A socket that is closed with unread bytes in it loses what was written.
            let mut rest = socket.take(MAX_READ_OF_REFUSED);
            tokio::io::copy(&mut rest, &mut tokio::io::sink()).await
        };
        let _ = timeout(DISCONNECT_TIMEOUT, goodbye).await;
    }

    fn log_end(&self, peer: SocketAddr, end: ConnectionEnd) {
        let peer = Peer(Some(peer));
        let pass = |throttle: &Throttle| throttle.pass(Instant::now());
        match end {
            ConnectionEnd::Normally => {}
            ConnectionEnd::Failed(DispatchError::Parse(error)) => {
                if let Some(held) = pass(&self.throttles.no_http) {
                    warn!(%peer, held, "not an HTTP request: {}", shown(&error.to_string()));
                }
            }
            ConnectionEnd::Failed(error) => {
                if let Some(held) = pass(&self.throttles.failed) {
                    debug!(%peer, held, "connection failed: {}", shown(&error.to_string()));
                }
            }
            ConnectionEnd::TooLong => {
                counter!(HTTP_CUT, "reason" => "too_long").increment(1);
                if let Some(held) = pass(&self.throttles.failed) {
                    debug!(%peer, held, "connection cut: it reached its time limit");
                }
            }
            ConnectionEnd::Cut => {
                counter!(HTTP_CUT, "reason" => "memory").increment(1);
                if let Some(held) = pass(&self.throttles.cut) {
                    warn!(%peer, held, "connection cut: it read so slowly that old documents took too much memory");
                }
            }
        }
    }
}
