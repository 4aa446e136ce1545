//! The page that says what went wrong.

use actix_web::http::{StatusCode, header};
use actix_web::{HttpRequest, HttpResponse, ResponseError as _};
use askama::Template;

use super::language;
use super::page::{Frame, show};
use crate::language::{Bilingual, Language, Message};
use crate::operate::OperateError;
use crate::portal::Problem;

/// A request that failed.
#[derive(Debug)]
pub(super) struct Failure {
    problem: Box<Problem>,
    /// What happened, for people.
    detail: Message,
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
            detail: self.detail.in_language(language::texts(request).0).to_owned(),
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
        self.detail.in_language(language)
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
        let detail = Message::new(error.text(Language::En), error.text(Language::Zh));
        Self {
            problem: Box::new(Problem::from(error)),
            detail,
        }
    }
}

impl From<Problem> for Failure {
    fn from(problem: Problem) -> Self {
        Self {
            detail: Message::same(&problem.detail),
            problem: Box::new(problem),
        }
    }
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
