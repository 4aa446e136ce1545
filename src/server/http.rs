//! The HTTP side: which path leads where, who is let in, how long a client may take, and what is counted and logged of it.
//!
//! What an answer to FreeSWITCH is, [`xml_curl`] decides. One request a connection, as FreeSWITCH does it
//! anyway (FACTS 10): on a connection that is kept alive the server would time only the first request's head, and a client could
//! hold it open for ever with the second.

use std::io;
use std::net::TcpListener;
use std::panic::AssertUnwindSafe;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ::metrics::counter;
use actix_http::{HttpService, Protocol};
use actix_service::{Service, ServiceFactory, map_config};
use actix_web::body::MessageBody;
use actix_web::dev::{AppConfig, ServiceRequest, ServiceResponse};
use actix_web::error::{Error, ErrorInternalServerError};
use actix_web::http::{KeepAlive, Method, StatusCode, header};
use actix_web::middleware::{Next, from_fn};
use actix_web::{App, HttpRequest, HttpResponse, web};
use futures_util::FutureExt as _;
use futures_util::future::try_join_all;
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::sync::Semaphore;
use tokio::sync::oneshot::error::RecvError;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, warn};

use super::accept;
use super::record::{Peer, Record, Throttles};
use super::security::{AllowList, Credentials, Verdict};
use super::tls::{self, TlsError};
use super::wire::{Body, Exchange, Io, Wire};
use super::workers::Workers;
use crate::health::Health;
use crate::metrics::HTTP_REFUSED;
use crate::settings::HttpSettings;
use crate::sofia_conf::Text;
use crate::xml_curl::{self, Answer, Documents, Outcome, Request, Source};

/// How long requests that are being answered are waited for; the stop of trunkd itself waits less.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a connection may take to close once all is said.
const DISCONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// For how many times `http.request_timeout` a client may take no byte of its answer.
const STALLED_REQUEST_TIMEOUTS: u32 = 4;
/// For how many times `http.request_timeout` a connection may last, whatever state it is in: two minutes by default, time enough for any answer.
/// Without, it could be held for ever by who does not send the rest of a request that was refused.
const CONNECTION_REQUEST_TIMEOUTS: u32 = 24;

#[derive(Debug, thiserror::Error)]
pub enum BindError {
    #[error(transparent)]
    Tls(#[from] TlsError),
    #[error("the HTTP server cannot use its listening socket: {0}")]
    Socket(#[from] io::Error),
}

/// Why nobody is answered any more.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    #[error("an HTTP worker panicked, which is a bug of trunkd; the panic's own message stands above")]
    Panicked(#[from] RecvError),
    #[error("an HTTP worker cannot use the listening socket: {0}")]
    Socket(#[from] io::Error),
}

/// An HTTP server on a socket that listens already.
pub struct Server<S> {
    listener: TcpListener,
    site: Arc<Site<S>>,
    tls: Option<TlsAcceptor>,
    max_connections: usize,
}

/// Makes all that can be made before it serves.
///
/// # Errors
/// A TLS file that cannot be used, or the socket.
pub fn bind<S: Source>(
    listener: TcpListener,
    settings: &HttpSettings,
    source: Arc<S>,
    documents: Documents,
    health: Arc<Health>,
    prometheus: PrometheusHandle,
) -> Result<Server<S>, BindError> {
    bound_stalled_readers(&listener, settings.request_timeout * STALLED_REQUEST_TIMEOUTS)?;
    listener.set_nonblocking(true)?;
    let tls = match &settings.tls {
        Some(files) => {
            let mut tls = tls::server_config(&files.cert, &files.key, files.client_ca.as_deref())?;
            tls.alpn_protocols = vec![b"http/1.1".to_vec()];
            Some(TlsAcceptor::from(Arc::new(tls)))
        }
        None => None,
    };
    Ok(Server {
        listener,
        site: Arc::new(Site {
            source,
            documents,
            health,
            prometheus,
            credentials: Credentials::new(&settings.credentials),
            allow: AllowList::new(settings.allow.iter().copied()),
            max_body: settings.max_body,
            request_timeout: settings.request_timeout,
            throttles: Arc::default(),
        }),
        tls,
        max_connections: settings.max_connections,
    })
}

/// Has the kernel end a connection whose client takes nothing of what was written: the server itself waits for such a client
/// for ever. Accepted sockets have the option from the listening one.
fn bound_stalled_readers(listener: &TcpListener, limit: Duration) -> io::Result<()> {
    #[cfg(target_os = "linux")]
    socket2::SockRef::from(listener).set_tcp_user_timeout(Some(limit))?;
    #[cfg(not(target_os = "linux"))]
    let _ = (listener, limit);
    Ok(())
}

impl<S: Source> Server<S> {
    /// Serves until `stop`, and returns when every request is answered that was being answered then. What takes too long for that is left to
    /// `workers`, and ends with them.
    ///
    /// # Errors
    /// [`ServeError`], as soon as one of the workers serves no more.
    pub async fn run(self, workers: &Workers, stop: CancellationToken) -> Result<(), ServeError> {
        let most = u32::try_from(self.max_connections).unwrap_or(u32::MAX);
        let permits = Arc::new(Semaphore::new(most as usize));
        let (listener, site, tls) = (Arc::new(self.listener), self.site, self.tls);
        let of_all = permits.clone();
        let serving = workers.run(move || {
            let (listener, site, tls) = (listener.clone(), site.clone(), tls.clone());
            serve(listener, site, tls, permits.clone(), stop.clone())
        });
        let serving = serving
            .into_iter()
            .map(async |worker| Ok::<_, ServeError>(worker.await??));
        try_join_all(serving).await?;
        if timeout(SHUTDOWN_TIMEOUT, of_all.acquire_many(most)).await.is_err() {
            let connections = most as usize - of_all.available_permits();
            warn!(connections, "they did not end in time, and are cut");
        }
        Ok(())
    }
}

/// What one worker does.
async fn serve<S: Source>(
    listener: Arc<TcpListener>,
    site: Arc<Site<S>>,
    tls: Option<TlsAcceptor>,
    permits: Arc<Semaphore>,
    stop: CancellationToken,
) -> io::Result<()> {
    let own = listener.try_clone()?;
    // Nobody else may keep it open when this one stops.
    drop(listener);
    let (request_timeout, address) = (site.request_timeout, own.local_addr()?);
    let app = App::new()
        .app_data(web::Data::from(site))
        .wrap(from_fn(guard::<S, _>))
        .route("/xml_curl", web::to(xml_curl::<S>))
        .service(web::resource("/health").get(show_health::<S>).head(show_health::<S>))
        .service(web::resource("/health/live").get(show_live).head(show_live))
        .service(web::resource("/metrics").get(show_metrics::<S>).head(show_metrics::<S>))
        .default_service(web::to(nothing_here));
    let stopping = stop.clone();
    let service = HttpService::build()
        .keep_alive(KeepAlive::Disabled)
        .client_request_timeout(request_timeout)
        .client_disconnect_timeout(DISCONNECT_TIMEOUT)
        .local_addr(address)
        // It has the head alone, and is to let that go before it looks at the body again.
        .h1_write_buffer_size(1)
        .graceful_shutdown_signal(move || stopping.clone().cancelled_owned())
        .on_connect_ext(|wire: &Wire, data| {
            data.insert(wire.exchange().clone());
        })
        .finish(map_config(app, |()| AppConfig::default()))
        .new_service(())
        .await
        .map_err(|()| io::Error::other("the routes cannot be made"))?;
    let service = Rc::new(service);
    accept::connections(own, permits, stop, move |socket, peer| {
        let (service, tls) = (service.clone(), tls.clone());
        async move {
            let exchange = Rc::<Exchange>::default();
            let io = match tls {
                None => Io::Plain(socket),
                Some(tls) => match timeout(request_timeout, tls.accept(socket)).await {
                    Ok(Ok(io)) => Io::Tls(Box::new(io)),
                    Ok(Err(error)) => return debug!(peer = %Peer(Some(peer)), %error, "no TLS"),
                    Err(_) => return debug!(peer = %Peer(Some(peer)), "the TLS handshake took too long"),
                },
            };
            // Boxed, for it is kilobytes that would be copied into each future around it.
            let answering = Box::pin(service.call((Wire::new(io, exchange.clone()), Protocol::Http1, Some(peer))));
            match timeout(request_timeout * CONNECTION_REQUEST_TIMEOUTS, answering).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => debug!(peer = %Peer(Some(peer)), %error, "a connection failed"),
                Err(_) => debug!(peer = %Peer(Some(peer)), "a connection took too long, and is cut"),
            }
            // With it goes the record of an answer that was sent at once.
            drop(exchange);
        }
    })
    .await
}

/// What every request is answered from; one for all workers.
struct Site<S> {
    source: Arc<S>,
    documents: Documents,
    health: Arc<Health>,
    prometheus: PrometheusHandle,
    credentials: Credentials,
    allow: AllowList,
    max_body: usize,
    request_timeout: Duration,
    throttles: Arc<Throttles>,
}

/// Around every path: turns away who is in no allowed network, and makes a panic one failed request instead of a lost
/// connection.
async fn guard<S: Source, B: MessageBody + 'static>(
    site: web::Data<Site<S>>,
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let peer = request.peer_addr();
    if !site.allow.permits(peer.map(|peer| peer.ip())) {
        counter!(HTTP_REFUSED, "reason" => "network").increment(1);
        if let Some(held) = site.throttles.not_allowed.pass(Instant::now()) {
            warn!(peer = %Peer(peer), held, "refused: the address is in no network of http.allow");
        }
        let reason = "your address is in no network that http.allow names\n";
        return Ok(request
            .into_response(plain(StatusCode::FORBIDDEN, reason))
            .map_into_right_body());
    }
    let path = request.path().to_owned();
    match AssertUnwindSafe(async { next.call(request).await })
        .catch_unwind()
        .await
    {
        Ok(answered) => answered.map(ServiceResponse::map_into_left_body),
        Err(_) => {
            error!(
                path,
                "the handler panicked: this is a bug of trunkd; the panic's own message stands above"
            );
            Err(ErrorInternalServerError(
                "trunkd failed on this request: its log says more\n",
            ))
        }
    }
}

async fn xml_curl<S: Source>(
    request: HttpRequest,
    payload: web::Payload,
    site: web::Data<Site<S>>,
) -> Result<HttpResponse<Body>, Error> {
    let mut record = Record::new(site.throttles.clone(), request.peer_addr());
    let answer = match site.read(&request, payload).await {
        Ok(Request::Other) => Answer::not_found(),
        Ok(Request::SofiaConf(asked)) => {
            xml_curl::answer(&*site.source, &site.documents, record.asked.insert(asked)).await
        }
        Err(refusal) => refusal,
    };
    record.answered(&answer);
    let exchange = request
        .conn_data::<Rc<Exchange>>()
        .ok_or_else(|| ErrorInternalServerError("a connection of no worker\n"))?;
    exchange.keep(record);
    respond(&request, answer, exchange.clone())
}

impl<S: Source> Site<S> {
    async fn read(&self, request: &HttpRequest, payload: web::Payload) -> Result<Request, Answer> {
        let headers = request.headers();
        match self
            .credentials
            .verdict(headers.get(header::AUTHORIZATION).map(|value| value.as_bytes()))
        {
            Verdict::Admitted => {}
            Verdict::NotGiven => return Err(Answer::refused(Outcome::Challenged, NOT_GIVEN)),
            Verdict::Wrong => return Err(Answer::refused(Outcome::Unauthorized, WRONG)),
        }
        let read = match *request.method() {
            Method::GET | Method::HEAD => Request::from_query(request.query_string().as_bytes()),
            Method::POST => {
                let body = self.body(payload).await?;
                Request::from_body(headers.get(header::CONTENT_TYPE).map(|value| value.as_bytes()), &body)
            }
            _ => {
                return Err(Answer::refused(
                    Outcome::MethodNotAllowed,
                    "mod_xml_curl uses POST or GET",
                ));
            }
        };
        read.map_err(|error| Answer::refused(Outcome::BadRequest, error.to_string()))
    }

    async fn body(&self, payload: web::Payload) -> Result<web::Bytes, Answer> {
        match tokio::time::timeout(self.request_timeout, payload.to_bytes_limited(self.max_body)).await {
            Ok(Ok(Ok(body))) => Ok(body),
            Ok(Ok(Err(error))) => Err(Answer::refused(
                Outcome::BadRequest,
                format!("the body cannot be read: {error}"),
            )),
            Ok(Err(_)) => {
                let reason = format!("the body is longer than http.max_body allows, {} bytes", self.max_body);
                Err(Answer::refused(Outcome::TooLarge, reason))
            }
            Err(_) => {
                let reason = format!(
                    "the body did not come within http.request_timeout, {:?}",
                    self.request_timeout
                );
                Err(Answer::refused(Outcome::TimedOut, reason))
            }
        }
    }
}

const NOT_GIVEN: &str =
    "credentials are asked for: set gateway-credentials in the xml_curl binding to a pair of http.credentials";
const WRONG: &str =
    "the credentials are not among http.credentials: compare gateway-credentials in the xml_curl binding";

fn respond(request: &HttpRequest, answer: Answer, exchange: Rc<Exchange>) -> Result<HttpResponse<Body>, Error> {
    let status = StatusCode::from_u16(answer.outcome.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = HttpResponse::build(status);
    match answer.outcome {
        Outcome::Served | Outcome::NotFound => response.content_type("text/xml; charset=utf-8"),
        _ => response.content_type(PLAIN),
    };
    match answer.outcome {
        Outcome::Challenged | Outcome::Unauthorized => {
            response.insert_header((header::WWW_AUTHENTICATE, "Basic realm=\"trunkd\""))
        }
        Outcome::MethodNotAllowed => response.insert_header((header::ALLOW, "GET, HEAD, POST")),
        _ => &mut response,
    };
    response.no_chunking(answer.body.len() as u64);
    let body = match *request.method() {
        Method::HEAD => Text::default(),
        _ => answer.body,
    };
    response.message_body(Body::new(exchange, body))
}

async fn show_health<S: Source>(site: web::Data<Site<S>>) -> HttpResponse {
    let report = site.health.report();
    let status = if report.serving {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    HttpResponse::build(status).json(report)
}

async fn show_live() -> HttpResponse {
    plain(StatusCode::OK, "live\n")
}

async fn show_metrics<S: Source>(site: web::Data<Site<S>>) -> HttpResponse {
    HttpResponse::Ok()
        .content_type("text/plain; version=0.0.4; charset=utf-8")
        .body(site.prometheus.render())
}

async fn nothing_here() -> HttpResponse {
    plain(
        StatusCode::NOT_FOUND,
        "trunkd answers at /xml_curl, /health, /health/live and /metrics\n",
    )
}

const PLAIN: &str = "text/plain; charset=utf-8";

fn plain(status: StatusCode, text: &'static str) -> HttpResponse {
    HttpResponse::build(status).content_type(PLAIN).body(text)
}
