//! The routes, and the handler of `/xml_curl`: credentials, the request's size and time limits, its
//! metrics and log line. What the answer is, [`xml_curl`] decides.

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

use super::access::{Record, Throttles};
use super::connection::{Exchange, OnlyAnswer};
use super::in_flight::{Document, InFlight};
use super::security::{Credentials, Verdict};
use crate::health::Health;
use crate::settings::HttpSettings;
use crate::xml_curl::{self, Answer, Documents, Outcome, Request, Source};

/// What every request is answered from; one for all workers.
pub(super) struct Site<S> {
    source: Arc<S>,
    documents: Documents,
    health: Arc<Health>,
    prometheus: PrometheusHandle,
    credentials: Credentials,
    max_body: usize,
    request_timeout: Duration,
    in_flight: Arc<InFlight>,
    throttles: Arc<Throttles>,
}

impl<S: Source> Site<S> {
    pub(super) fn new(
        settings: &HttpSettings,
        source: Arc<S>,
        documents: Documents,
        health: Arc<Health>,
        prometheus: PrometheusHandle,
    ) -> Self {
        Self {
            source,
            documents,
            health,
            prometheus,
            credentials: Credentials::new(&settings.credentials),
            max_body: settings.max_body,
            request_timeout: settings.request_timeout,
            in_flight: Arc::default(),
            throttles: Arc::default(),
        }
    }
}

pub(super) fn routes<S: Source>(
    site: Arc<Site<S>>,
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
        .app_data(web::Data::from(site))
        .wrap(from_fn(only_answer))
        .route("/xml_curl", web::to(xml_curl::<S>))
        .service(page("/health", show_health::<S>))
        .service(page("/health/live", show_live))
        .service(page("/metrics", show_metrics::<S>))
        .default_service(web::to(nothing_here))
}

/// Wraps every route: its answer is the only one on the connection.
async fn only_answer(request: ServiceRequest, next: Next<BoxBody>) -> Result<ServiceResponse<impl MessageBody>, Error> {
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
        OnlyAnswer::new(body, exchange)
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
/// 50), so POST and GET count in any case. HEAD must be exact: to any other spelling of it,
/// actix-http would send a body.
fn method(given: &Method) -> Option<Method> {
    let is = |method: &Method| given.as_str().eq_ignore_ascii_case(method.as_str());
    if *given == Method::HEAD {
        return Some(Method::HEAD);
    }
    [Method::POST, Method::GET].into_iter().find(is)
}

async fn xml_curl<S: Source>(
    request: HttpRequest,
    payload: web::Payload,
    site: web::Data<Site<S>>,
) -> Result<HttpResponse, Error> {
    let exchange = request
        .conn_data::<Rc<Exchange>>()
        .ok_or_else(|| ErrorInternalServerError("this connection has no exchange\n"))?;
    let mut record = Record::new(site.throttles.clone(), request.peer_addr());
    let answering = AssertUnwindSafe(site.answer(&request, payload, exchange, &mut record));
    let answer = answering.catch_unwind().await.unwrap_or_else(|_| {
        let path = request.path();
        error!(
            path,
            "the handler panicked: this is a bug of trunkd; the panic's own message stands above"
        );
        Answer::refused(Outcome::Failed, "trunkd failed on this request: its log says more")
    });
    record.answered(&answer);
    // Runs after this task has written what it can of the answer: the client needn't wait for the
    // log.
    actix_web::rt::spawn(async move { drop(record) });
    Ok(site.respond(answer, exchange))
}

impl<S: Source> Site<S> {
    async fn answer(
        &self,
        request: &HttpRequest,
        payload: web::Payload,
        exchange: &Exchange,
        record: &mut Record,
    ) -> Answer {
        let read = self.read(request, payload, exchange).await;
        exchange.request_is_taken();
        match read {
            Ok(Request::Other) => Answer::not_found(),
            Ok(Request::SofiaConf(asked)) => {
                xml_curl::answer(&*self.source, &self.documents, record.asked.insert(asked)).await
            }
            Err(refusal) => refusal,
        }
    }

    async fn read(&self, request: &HttpRequest, payload: web::Payload, exchange: &Exchange) -> Result<Request, Answer> {
        let headers = request.headers();
        match self
            .credentials
            .verdict(headers.get(header::AUTHORIZATION).map(|value| value.as_bytes()))
        {
            Verdict::Admitted => {}
            Verdict::NotGiven => return Err(Answer::refused(Outcome::Challenged, NOT_GIVEN)),
            Verdict::Wrong => return Err(Answer::refused(Outcome::Unauthorized, WRONG)),
        }
        let read = match method(request.method()) {
            Some(Method::GET | Method::HEAD) => Request::from_query(request.query_string().as_bytes()),
            Some(Method::POST) => {
                let body = self.body(payload, exchange).await?;
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

    async fn body(&self, payload: web::Payload, exchange: &Exchange) -> Result<web::Bytes, Answer> {
        let deadline = exchange.began() + self.request_timeout;
        match timeout_at(deadline, payload.to_bytes_limited(self.max_body)).await {
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
                    "the request did not come within http.request_timeout, {:?}",
                    self.request_timeout
                );
                Err(Answer::refused(Outcome::TimedOut, reason))
            }
        }
    }

    fn respond(&self, answer: Answer, exchange: &Exchange) -> HttpResponse {
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
        let is_shared = answer.outcome == Outcome::Served;
        let sending = is_shared.then(|| self.in_flight.begin(&answer.body, exchange.cut()));
        response.body(Document::new(answer.body, sending))
    }
}

const NOT_GIVEN: &str =
    "credentials are asked for: set gateway-credentials in the xml_curl binding to a pair of http.credentials";
const WRONG: &str =
    "the credentials are not among http.credentials: compare gateway-credentials in the xml_curl binding";

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

pub(super) const PLAIN: &str = "text/plain; charset=utf-8";

fn plain(status: StatusCode, text: &'static str) -> HttpResponse {
    HttpResponse::build(status).content_type(PLAIN).body(text)
}
