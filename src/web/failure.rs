//! The page that says what went wrong.

use std::fmt;

use actix_web::error::InternalError;
use actix_web::http::{Method, StatusCode, header};
use actix_web::web::{FormConfig, QueryConfig, ServiceConfig};
use actix_web::{HttpMessage, HttpRequest, HttpResponse, ResponseError as _};
use askama::Template;

use super::kept::Kept;
use super::page::{Frame, show};
use super::texts::Texts;
use crate::language::{Language, text};
use crate::operate::OperateError;
use crate::portal::Problem;

/// A request that failed.
#[derive(Debug)]
pub(super) struct Failure(Box<Problem>);

#[derive(Template)]
#[template(path = "failure.html")]
struct FailurePage {
    frame: Frame,
    status: u16,
    /// The text's id.
    title: &'static str,
    detail: String,
    /// Redis can't be reached.
    is_away: bool,
    /// The same address may answer in a moment.
    may_come: bool,
    /// What was sent, to send it again.
    kept: Option<Kept>,
}

impl Failure {
    pub(super) fn response(&self, request: &HttpRequest) -> HttpResponse {
        let status = self.status();
        let is_unavailable = status == StatusCode::SERVICE_UNAVAILABLE;
        let kept = request.extensions().get::<Kept>().cloned();
        let page = FailurePage {
            frame: Frame::new(request, section(request.path())),
            status: status.as_u16(),
            title: self.title(),
            detail: self.text(Texts::of(request).0).to_owned(),
            is_away: self.is_away(),
            may_come: is_unavailable && *request.method() == Method::GET,
            kept: kept.filter(|_| is_unavailable),
        };
        show(status, &page)
    }

    pub(super) fn status(&self) -> StatusCode {
        self.0.status_code()
    }

    /// What happened, in this language.
    pub(super) fn text(&self, language: Language) -> &str {
        self.0.detail.in_language(language)
    }

    fn is_away(&self) -> bool {
        self.0.reason == "redis_unavailable"
    }

    fn title(&self) -> &'static str {
        match self.status() {
            StatusCode::UNAUTHORIZED => "failure-signed-out",
            StatusCode::FORBIDDEN => "failure-forbidden",
            StatusCode::NOT_FOUND => "failure-not-found",
            StatusCode::SERVICE_UNAVAILABLE if self.is_away() => "failure-away",
            StatusCode::SERVICE_UNAVAILABLE => "failure-unavailable",
            status if status.is_client_error() => "failure-refused",
            _ => "failure-internal",
        }
    }
}

/// The entry in the navigation of a page that could not be made.
fn section(path: &str) -> &'static str {
    let first = path.split('/').nth(1).unwrap_or_default();
    match first {
        "gateways" | "domains" => "gateways",
        "switches" => "switches",
        "plan" => "plan",
        "history" => "history",
        "import" => "import",
        "users" | "tokens" => "users",
        "password" => "password",
        _ => "",
    }
}

impl From<OperateError> for Failure {
    fn from(error: OperateError) -> Self {
        Problem::from(error).into()
    }
}

impl From<Problem> for Failure {
    fn from(problem: Problem) -> Self {
        Self(Box::new(problem))
    }
}

/// For an address or a form that no page of ours sends.
pub(super) fn configure(config: &mut ServiceConfig) {
    config
        .app_data(QueryConfig::default().error_handler(unreadable))
        .app_data(FormConfig::default().error_handler(unreadable));
}

fn unreadable(error: impl fmt::Debug + fmt::Display + 'static, request: &HttpRequest) -> actix_web::Error {
    let detail = text(
        "the address or the form can't be read: go back, and try again",
        "地址或表单无法解读：请返回重试",
    );
    let failure = Failure::from(Problem::new(StatusCode::BAD_REQUEST, "bad_request", detail));
    InternalError::from_response(error, failure.response(request)).into()
}

/// Turns the failure of a handler into its page.
pub(super) fn page(request: &HttpRequest, result: Result<HttpResponse, Failure>) -> HttpResponse {
    result.unwrap_or_else(|failure| failure.response(request))
}

/// For an address that there isn't.
pub(super) async fn no_such_page(request: HttpRequest) -> HttpResponse {
    let page = FailurePage {
        frame: Frame::new(&request, ""),
        status: 404,
        title: "failure-not-found",
        detail: String::new(),
        is_away: false,
        may_come: false,
        kept: None,
    };
    let mut response = show(StatusCode::NOT_FOUND, &page);
    response
        .headers_mut()
        .insert(header::CACHE_CONTROL, header::HeaderValue::from_static("no-store"));
    response
}
