//! The HTTP side: which path leads where, who is let in, how long a client may take, and what is counted and logged of it.
//!
//! What an answer to FreeSWITCH is, [`xml_curl`] decides. One request a connection, as FreeSWITCH does it
//! anyway (FACTS 10): on a connection that is kept alive the server would time only the first request's head, and a client could
//! hold it open for ever with the second.

use std::any::Any;
use std::convert::Infallible;
use std::fmt;
use std::io;
use std::net::{Shutdown, SocketAddr, TcpListener};
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use ::metrics::{counter, histogram};
use actix_tls::accept::rustls_0_23::TlsStream;
use actix_web::body::{BodySize, MessageBody};
use actix_web::dev::{Extensions, Server, ServiceRequest, ServiceResponse};
use actix_web::error::{Error, ErrorInternalServerError};
use actix_web::http::{KeepAlive, Method, StatusCode, header};
use actix_web::middleware::{Next, from_fn};
use actix_web::rt::net::TcpStream as TcpConnection;
use actix_web::rt::task::JoinHandle;
use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
use bytes::Bytes;
use futures_util::FutureExt as _;
use metrics_exporter_prometheus::PrometheusHandle;
use tracing::{debug, error, info, trace, warn};

use super::security::{AllowList, Credentials, Verdict};
use super::throttle::Throttle;
use super::tls::{self, TlsError};
use crate::health::Health;
use crate::metrics::{HTTP_REFUSED, XML_CURL_BYTES, XML_CURL_OVERSIZED, XML_CURL_REQUESTS, XML_CURL_SECONDS};
use crate::settings::HttpSettings;
use crate::sofia_conf::Text;
use crate::xml_curl::{
    self, Answer, Documents, FREESWITCH_MAX_BYTES, Gateway, Kind, Outcome, Request, SofiaConf, Source,
};

/// How long the workers wait for requests that are being answered; the stop of trunkd itself waits less.
const SHUTDOWN_TIMEOUT_SECONDS: u64 = 5;
/// How long a connection may take to close once all is said.
const DISCONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// For how many times `http.request_timeout` a client may take no byte of its answer.
const STALLED_REQUEST_TIMEOUTS: u32 = 4;
/// For how many times `http.request_timeout` a connection may last: two minutes by default, time enough for any answer.
const CONNECTION_REQUEST_TIMEOUTS: u32 = 24;
/// What a connection's buffer takes of a body at a time.
const PIECE_BYTES: usize = 64 * 1024;
/// A name out of a form is logged to this length; what is longer is no name.
const LOGGED_NAME_CHARS: usize = 255;

#[derive(Debug, thiserror::Error)]
pub enum BindError {
    #[error(transparent)]
    Tls(#[from] TlsError),
    #[error("the HTTP server cannot use its listening socket: {0}")]
    Socket(#[from] io::Error),
}

/// Serves on a socket that listens already; the caller awaits the [`Server`] and stops it by its handle.
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
) -> Result<Server, BindError> {
    let site = web::Data::new(Site {
        source,
        documents,
        health,
        prometheus,
        credentials: Credentials::new(&settings.credentials),
        allow: AllowList::new(settings.allow.iter().copied()),
        max_body: settings.max_body,
        request_timeout: settings.request_timeout,
        throttles: Throttles::default(),
    });
    bound_stalled_readers(&listener, settings.request_timeout * STALLED_REQUEST_TIMEOUTS)?;
    let server = HttpServer::new(move || {
        App::new()
            .app_data(site.clone())
            .wrap(from_fn(guard::<S, _>))
            .route("/xml_curl", web::to(xml_curl::<S>))
            .service(web::resource("/health").get(show_health::<S>).head(show_health::<S>))
            .service(web::resource("/health/live").get(show_live).head(show_live))
            .service(web::resource("/metrics").get(show_metrics::<S>).head(show_metrics::<S>))
            .default_service(web::to(nothing_here))
    })
    .on_connect(end_after(settings.request_timeout * CONNECTION_REQUEST_TIMEOUTS))
    .workers(settings.workers)
    // The server counts connections a worker.
    .max_connections(settings.max_connections.div_ceil(settings.workers))
    .keep_alive(KeepAlive::Disabled)
    .client_request_timeout(settings.request_timeout)
    .client_disconnect_timeout(DISCONNECT_TIMEOUT)
    .tls_handshake_timeout(settings.request_timeout)
    .shutdown_timeout(SHUTDOWN_TIMEOUT_SECONDS)
    .disable_signals();
    let server = match &settings.tls {
        Some(files) => {
            let tls = tls::server_config(&files.cert, &files.key, files.client_ca.as_deref())?;
            server.listen_rustls_0_23(listener, tls)?
        }
        None => server.listen(listener)?,
    };
    Ok(server.run())
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

/// Ends every connection after `limit`, whatever state it is in: the server may wait for ever for the rest of a request that it has refused.
fn end_after(limit: Duration) -> impl Fn(&dyn Any, &mut Extensions) + Clone {
    move |connection, data| {
        let tls = connection
            .downcast_ref::<TlsStream<TcpConnection>>()
            .map(|tls| tls.get_ref().0);
        let Some(connection) = tls.or_else(|| connection.downcast_ref::<TcpConnection>()) else {
            return;
        };
        if let Ok(socket) = socket2::SockRef::from(connection).try_clone() {
            let end = actix_web::rt::spawn(async move {
                actix_web::rt::time::sleep(limit).await;
                let _ = socket.shutdown(Shutdown::Both);
            });
            data.insert(OnlyWhileOpen(end));
        }
    }
}

/// What the server drops with the connection.
struct OnlyWhileOpen(JoinHandle<()>);

impl Drop for OnlyWhileOpen {
    fn drop(&mut self) {
        self.0.abort();
    }
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
    throttles: Throttles,
}

#[derive(Default)]
struct Throttles {
    not_allowed: Throttle,
    refused: [Throttle; Outcome::COUNT],
    oversized: [Throttle; Kind::COUNT],
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

async fn xml_curl<S: Source>(request: HttpRequest, payload: web::Payload, site: web::Data<Site<S>>) -> HttpResponse {
    let mut record = Record {
        started: Instant::now(),
        throttles: &site.throttles,
        peer: request.peer_addr(),
        asked: None,
        answer: None,
    };
    let answer = match site.read(&request, payload).await {
        Ok(Request::Other) => Answer::not_found(),
        Ok(Request::SofiaConf(asked)) => {
            xml_curl::answer(&*site.source, &site.documents, record.asked.insert(asked)).await
        }
        Err(refusal) => refusal,
    };
    record.answer = Some(answer.clone());
    respond(answer)
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

fn respond(answer: Answer) -> HttpResponse {
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
    response.body(SharedBody { text: answer.body, piece: 0 })
}

/// A body that many answers share. It is taken piece by piece: the server copies what it is given into a buffer of the connection, and a thousand
/// slow clients must not mean a thousand copies.
struct SharedBody {
    text: Text,
    piece: usize,
}

impl MessageBody for SharedBody {
    type Error = Infallible;

    fn size(&self) -> BodySize {
        BodySize::Sized(self.text.len() as u64)
    }

    fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Bytes, Infallible>>> {
        let piece = self.text.pieces().get(self.piece).cloned();
        self.piece += 1;
        Poll::Ready(piece.map(Ok))
    }
}

/// Counts and logs a request to `/xml_curl` when it is dropped, which is however the request ends: also when the handler
/// panicked or the client went away before there was an answer.
struct Record<'a> {
    started: Instant,
    throttles: &'a Throttles,
    peer: Option<SocketAddr>,
    asked: Option<SofiaConf>,
    answer: Option<Answer>,
}

impl Drop for Record<'_> {
    fn drop(&mut self) {
        let kind = self.asked.as_ref().map_or(Kind::Other, SofiaConf::kind);
        let unanswered = if std::thread::panicking() {
            Outcome::Failed
        } else {
            Outcome::Abandoned
        };
        let answer = self.answer.take().unwrap_or_else(|| Answer::refused(unanswered, ""));
        let elapsed = self.started.elapsed();

        let labels = [("kind", kind.as_str()), ("outcome", answer.outcome.as_str())];
        counter!(XML_CURL_REQUESTS, &labels).increment(1);
        histogram!(XML_CURL_SECONDS, "kind" => kind.as_str()).record(elapsed);
        if answer.outcome == Outcome::Served {
            histogram!(XML_CURL_BYTES, "kind" => kind.as_str()).record(answer.body.len() as f64);
            self.warn_of_size(kind, answer.body.len());
        }
        match &self.asked {
            Some(asked) => log(asked, &answer, elapsed),
            None => self.log_refusal(&answer),
        }
    }
}

impl Record<'_> {
    fn warn_of_size(&self, kind: Kind, bytes: usize) {
        if bytes <= FREESWITCH_MAX_BYTES {
            return;
        }
        counter!(XML_CURL_OVERSIZED).increment(1);
        if let Some(held) = self.throttles.oversized[kind as usize].pass(Instant::now()) {
            // Room to grow, and never beyond what FreeSWITCH reads with atoi.
            let room = bytes.saturating_mul(4).next_power_of_two().min(1 << 30);
            warn!(
                kind = kind.as_str(),
                bytes,
                held,
                "the answer is over 1 MiB: FreeSWITCH throws it away (\"Oversized file detected\") unless its xml_curl binding \
                 has <param name=\"response-max-bytes\" value=\"{room}\"/>"
            );
        }
    }

    /// Of what is no request for `sofia.conf`, only refusals are worth a line.
    fn log_refusal(&self, answer: &Answer) {
        let outcome = answer.outcome.as_str();
        let reason = answer.body.to_string();
        let (peer, reason) = (Peer(self.peer), reason.trim_end());
        match answer.outcome {
            Outcome::Served | Outcome::NotFound => trace!(%peer, outcome, "not sofia.conf"),
            // Every request begins so where the binding's auth-scheme is `any`.
            Outcome::Challenged => debug!(%peer, outcome, "asked for credentials"),
            _ => {
                if let Some(held) = self.throttles.refused[answer.outcome as usize].pass(Instant::now()) {
                    warn!(%peer, outcome, held, "refused: {reason}");
                }
            }
        }
    }
}

/// One line for each request for `sofia.conf`. Never its headers: they hold credentials.
fn log(asked: &SofiaConf, answer: &Answer, elapsed: Duration) {
    macro_rules! line {
        ($level:ident, $($message:tt)+) => {
            $level!(
                kind = asked.kind().as_str(),
                profile = asked.profile.as_deref().map(clip),
                gateway = match &asked.gateway {
                    Gateway::NotAsked => None,
                    Gateway::All => Some("_all_"),
                    Gateway::One(name) => Some(clip(name)),
                },
                node = clip(&asked.node),
                outcome = answer.outcome.as_str(),
                bytes = answer.body.len(),
                ms = elapsed.as_secs_f64() * 1e3,
                stale_since = answer.stale_since.map(tracing::field::display),
                $($message)+
            )
        };
    }
    match answer.outcome {
        // One for each gateway that changes: a line a piece is for who looks for it.
        Outcome::Served if asked.kind() == Kind::Startgw => line!(debug, "sofia.conf"),
        Outcome::Served => line!(info, "sofia.conf"),
        Outcome::NotFound => line!(
            info,
            "sofia.conf: no template is for this profile; FreeSWITCH takes its XML on disk"
        ),
        Outcome::Abandoned => line!(warn, "sofia.conf: the client went away before it had its answer"),
        Outcome::Failed => line!(
            error,
            "sofia.conf: the handler panicked; FreeSWITCH takes its XML on disk"
        ),
        _ => {
            let reason = answer.body.to_string();
            line!(
                warn,
                "sofia.conf: {}; FreeSWITCH takes its XML on disk",
                reason.trim_end()
            )
        }
    }
}

fn clip(name: &str) -> &str {
    name.char_indices()
        .nth(LOGGED_NAME_CHARS)
        .map_or(name, |(end, _)| &name[..end])
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

/// The socket's peer as logs show it: without the `::ffff:` that a dual-stack socket puts before an IPv4 address.
struct Peer(Option<SocketAddr>);

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(peer) => write!(f, "{}", peer.ip().to_canonical()),
            None => f.write_str("unknown"),
        }
    }
}
