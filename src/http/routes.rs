//! The routes, and the handler of `/xml_curl`: credentials, the size and time limits of a request,
//! its metrics and log line. `xml_curl` decides what the response is.

use std::panic::AssertUnwindSafe;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use actix_web::body::{BodySize, BoxBody, MessageBody};
use actix_web::dev::{ServiceFactory, ServiceRequest, ServiceResponse};
use actix_web::error::{Error, ErrorInternalServerError};
use actix_web::guard::{self, GuardContext};
use actix_web::http::{Method, StatusCode, header};
use actix_web::middleware::{Next, from_fn};
use actix_web::{App, HttpRequest, HttpResponse, Resource, Responder, web};
use futures_util::FutureExt as _;
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::time::timeout_at;
use tracing::error;

use super::connection::{Exchange, OnlyResponse};
use super::gateway_page::{GatewayPage, MetricsPages};
use super::in_flight::{DocumentBody, InFlight};
use super::request_log::{RequestLog, Throttles};
use super::security::{Authentication, Credentials};
use crate::health::Health;
use crate::settings::HttpSettings;
use crate::xml_curl::{self, ConfigSource, DocumentCache, Request, RequestOutcome, Response};

/// Shared by the handlers of all workers.
pub(super) struct AppState<S> {
    source: Arc<S>,
    cache: DocumentCache,
    health: Arc<Health>,
    prometheus: PrometheusHandle,
    gateways: GatewayPage,
    credentials: Credentials,
    max_body: usize,
    request_timeout: Duration,
    in_flight: Arc<InFlight>,
    throttles: Arc<Throttles>,
}

impl<S: ConfigSource> AppState<S> {
    pub(super) fn new(
        settings: &HttpSettings,
        source: Arc<S>,
        cache: DocumentCache,
        health: Arc<Health>,
        metrics: MetricsPages,
    ) -> Self {
        Self {
            source,
            cache,
            health,
            prometheus: metrics.process,
            gateways: GatewayPage::new(metrics.gateways),
            credentials: Credentials::new(&settings.credentials),
            max_body: settings.max_body,
            request_timeout: settings.request_timeout,
            in_flight: Arc::default(),
            throttles: Arc::default(),
        }
    }
}

pub(super) fn routes<S: ConfigSource>(
    state: Arc<AppState<S>>,
) -> App<
    impl ServiceFactory<
        ServiceRequest,
        Config = (),
        Response = ServiceResponse<impl MessageBody>,
        Error = Error,
        InitError = (),
    >,
> {
    App::new()
        .app_data(web::Data::from(state))
        .wrap(from_fn(only_response))
        .route("/xml_curl", web::to(xml_curl::<S>))
        .service(page("/health", show_health::<S>))
        .service(page("/health/live", show_live))
        .service(page("/metrics", show_metrics::<S>))
        .service(page("/metrics/gateways", show_gateways::<S>))
        .service(page("/metrics/carriers", show_carriers::<S>))
        .default_service(web::to(nothing_here))
}

/// Wraps every route: its response is the only one on the connection.
async fn only_response(
    request: ServiceRequest,
    next: Next<BoxBody>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let exchange = request
        .conn_data::<Rc<Exchange>>()
        .cloned()
        .ok_or_else(|| ErrorInternalServerError("this connection has no exchange\n"))?;
    let answered = next.call(request).await?;
    Ok(answered.map_body(|head, body| {
        let body = match body.size() {
            BodySize::None | BodySize::Sized(0) => {
                let reason = head.status.canonical_reason().unwrap_or("refused");
                BoxBody::new(format!("{reason}\n"))
            }
            _ => body,
        };
        OnlyResponse::new(body, exchange)
    }))
}

/// A page for GET (in any case) and HEAD.
fn page<F, Args>(path: &str, handler: F) -> Resource
where
    F: actix_web::Handler<Args>,
    Args: actix_web::FromRequest + 'static,
    F::Output: Responder + 'static,
{
    let is_read =
        |context: &GuardContext<'_>| matches!(method(&context.head().method), Some(Method::GET | Method::HEAD));
    web::resource(path)
        .route(web::route().guard(guard::fn_guard(is_read)).to(handler))
        .default_service(web::to(|| async {
            HttpResponse::MethodNotAllowed()
                .insert_header((header::ALLOW, "GET, HEAD"))
                .content_type(PLAIN)
                .body("this path takes GET and HEAD\n")
        }))
}

/// POST, GET or HEAD. FreeSWITCH sends the `method` of its binding as it is written there (FACTS
/// 50), so POST and GET may be in any case. HEAD must be exact: actix-http would send a body to any
/// other spelling of it.
fn method(sent: &Method) -> Option<Method> {
    let is = |method: &Method| sent.as_str().eq_ignore_ascii_case(method.as_str());
    if *sent == Method::HEAD {
        return Some(Method::HEAD);
    }
    [Method::POST, Method::GET].into_iter().find(is)
}

async fn xml_curl<S: ConfigSource>(
    request: HttpRequest,
    payload: web::Payload,
    state: web::Data<AppState<S>>,
) -> Result<HttpResponse, Error> {
    let exchange = request
        .conn_data::<Rc<Exchange>>()
        .ok_or_else(|| ErrorInternalServerError("this connection has no exchange\n"))?;
    let mut log = RequestLog::new(state.throttles.clone(), request.peer_addr());
    let answering = AssertUnwindSafe(state.answer(&request, payload, exchange, &mut log));
    let response = answering.catch_unwind().await.unwrap_or_else(|_| {
        let path = request.path();
        error!(
            path,
            "the handler panicked, which is a bug of trunkd; the line above has the panic's message"
        );
        Response::failed()
    });
    log.respond(&response);
    // Writes the line after this task has written what it can of the response, so that the client
    // need not wait for it.
    actix_web::rt::spawn(async move { drop(log) });
    Ok(state.respond(response, exchange))
}

impl<S: ConfigSource> AppState<S> {
    async fn answer(
        &self,
        request: &HttpRequest,
        payload: web::Payload,
        exchange: &Exchange,
        log: &mut RequestLog,
    ) -> Response {
        let read = self.read(request, payload, exchange).await;
        exchange.end_of_request();
        match read {
            Ok(Request::Other) => Response::not_found(),
            Ok(Request::SofiaConf(request)) => {
                xml_curl::answer(&*self.source, &self.cache, log.request.insert(request)).await
            }
            Err(refusal) => refusal,
        }
    }

    async fn read(
        &self,
        request: &HttpRequest,
        payload: web::Payload,
        exchange: &Exchange,
    ) -> Result<Request, Response> {
        let headers = request.headers();
        let authorization = headers.get(header::AUTHORIZATION).map(|value| value.as_bytes());
        match self.credentials.check(authorization) {
            Authentication::Accepted => {}
            Authentication::Missing => {
                return Err(Response::refused(RequestOutcome::Challenged, CREDENTIALS_MISSING));
            }
            Authentication::Wrong => return Err(Response::refused(RequestOutcome::Unauthorized, CREDENTIALS_WRONG)),
        }
        let read = match method(request.method()) {
            Some(Method::GET | Method::HEAD) => Request::from_query(request.query_string().as_bytes()),
            Some(Method::POST) => {
                let body = self.body(payload, exchange).await?;
                Request::from_body(headers.get(header::CONTENT_TYPE).map(|value| value.as_bytes()), &body)
            }
            _ => {
                return Err(Response::refused(
                    RequestOutcome::MethodNotAllowed,
                    "mod_xml_curl uses POST or GET",
                ));
            }
        };
        read.map_err(|error| Response::refused(RequestOutcome::BadRequest, error.to_string()))
    }

    async fn body(&self, payload: web::Payload, exchange: &Exchange) -> Result<web::Bytes, Response> {
        let deadline = exchange.began() + self.request_timeout;
        match timeout_at(deadline, payload.to_bytes_limited(self.max_body)).await {
            Ok(Ok(Ok(body))) => Ok(body),
            Ok(Ok(Err(error))) => Err(Response::refused(
                RequestOutcome::BadRequest,
                format!("the body cannot be read: {error}"),
            )),
            Ok(Err(_)) => {
                let reason = format!("the body is longer than http.max_body allows, {} bytes", self.max_body);
                Err(Response::refused(RequestOutcome::TooLarge, reason))
            }
            Err(_) => {
                let reason = format!(
                    "the request did not arrive within http.request_timeout, {:?}",
                    self.request_timeout
                );
                Err(Response::refused(RequestOutcome::TimedOut, reason))
            }
        }
    }

    fn respond(&self, response: Response, exchange: &Exchange) -> HttpResponse {
        let status = StatusCode::from_u16(response.outcome.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut builder = HttpResponse::build(status);
        match response.outcome {
            RequestOutcome::Served | RequestOutcome::NotFound => builder.content_type("text/xml; charset=utf-8"),
            RequestOutcome::Challenged | RequestOutcome::Unauthorized => builder
                .content_type(PLAIN)
                .insert_header((header::WWW_AUTHENTICATE, "Basic realm=\"trunkd\"")),
            RequestOutcome::MethodNotAllowed => builder
                .content_type(PLAIN)
                .insert_header((header::ALLOW, "GET, HEAD, POST")),
            _ => builder.content_type(PLAIN),
        };
        let is_document = response.outcome == RequestOutcome::Served;
        let guard = is_document.then(|| self.in_flight.begin(&response.body, exchange.cut()));
        builder.body(DocumentBody::new(response.body, guard))
    }
}

const CREDENTIALS_MISSING: &str =
    "credentials are required: set gateway-credentials in the xml_curl binding to a pair of http.credentials";
const CREDENTIALS_WRONG: &str =
    "the credentials are not among http.credentials: compare gateway-credentials in the xml_curl binding";

async fn show_health<S: ConfigSource>(state: web::Data<AppState<S>>) -> HttpResponse {
    let report = state.health.report();
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

async fn show_metrics<S: ConfigSource>(state: web::Data<AppState<S>>) -> HttpResponse {
    HttpResponse::Ok()
        .content_type(PROMETHEUS)
        .body(state.prometheus.render())
}

async fn show_gateways<S: ConfigSource>(state: web::Data<AppState<S>>) -> HttpResponse {
    scraped(state.gateways.body().await)
}

async fn show_carriers<S: ConfigSource>(state: web::Data<AppState<S>>) -> HttpResponse {
    scraped(state.gateways.carriers().await)
}

fn scraped(body: Result<impl MessageBody + 'static, String>) -> HttpResponse {
    match body {
        Ok(body) => HttpResponse::Ok().content_type(PROMETHEUS).body(body),
        Err(reason) => HttpResponse::ServiceUnavailable()
            .content_type(PLAIN)
            .body(format!("{reason}\n")),
    }
}

async fn nothing_here() -> HttpResponse {
    plain(
        StatusCode::NOT_FOUND,
        "trunkd answers at /xml_curl, /health, /health/live, /metrics, /metrics/gateways and /metrics/carriers\n",
    )
}

/// Prometheus's text format.
const PROMETHEUS: &str = "text/plain; version=0.0.4; charset=utf-8";
pub(super) const PLAIN: &str = "text/plain; charset=utf-8";

fn plain(status: StatusCode, text: &'static str) -> HttpResponse {
    HttpResponse::build(status).content_type(PLAIN).body(text)
}
