//! The page that says what went wrong.

use std::fmt;

use actix_web::error::InternalError;
use actix_web::http::{StatusCode, header};
use actix_web::web::{FormConfig, QueryConfig, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse, ResponseError as _};
use askama::Template;

use super::page::{Frame, show};
use super::texts::Texts;
use crate::language::{Language, text};
use crate::operate::OperateError;
use crate::portal::Problem;

/// A request that failed.
#[derive(Debug)]
pub(super) struct Failure {
    problem: Box<Problem>,
}

#[derive(Template)]
#[template(path = "failure.html")]
struct FailurePage {
    frame: Frame,
    status: u16,
    /// The text's id.
    title: &'static str,
    detail: String,
}

impl Failure {
    pub(super) fn response(&self, request: &HttpRequest) -> HttpResponse {
        let status = self.status();
        let page = FailurePage {
            frame: Frame::new(request, ""),
            status: status.as_u16(),
            title: title(status),
            detail: self.text(Texts::of(request).0).to_owned(),
        };
        show(status, &page)
    }
}

impl Failure {
    pub(super) fn status(&self) -> StatusCode {
        self.problem.status_code()
    }

    /// What happened, in this language.
    pub(super) fn text(&self, language: Language) -> &str {
        self.problem.detail.in_language(language)
    }
}

fn title(status: StatusCode) -> &'static str {
    match status {
        StatusCode::UNAUTHORIZED => "failure-signed-out",
        StatusCode::FORBIDDEN => "failure-forbidden",
        StatusCode::NOT_FOUND => "failure-not-found",
        StatusCode::SERVICE_UNAVAILABLE => "failure-unavailable",
        status if status.is_client_error() => "failure-refused",
        _ => "failure-internal",
    }
}

impl From<OperateError> for Failure {
    fn from(error: OperateError) -> Self {
        Problem::from(error).into()
    }
}

impl From<Problem> for Failure {
    fn from(problem: Problem) -> Self {
        Self {
            problem: Box::new(problem),
        }
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
    };
    let mut response = show(StatusCode::NOT_FOUND, &page);
    response
        .headers_mut()
        .insert(header::CACHE_CONTROL, header::HeaderValue::from_static("no-store"));
    response
}
