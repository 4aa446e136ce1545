//! What every page has: who is signed in, the language, where one is.

use actix_web::http::StatusCode;
use actix_web::{HttpMessage, HttpRequest, HttpResponse};
use askama::Template;

use super::assets;
use super::texts::Texts;
use crate::access::{Caller, Role};

/// The frame around a page.
pub(super) struct Frame {
    pub(super) t: Texts,
    /// The name, if somebody is signed in.
    pub(super) user: Option<String>,
    pub(super) is_admin: bool,
    /// The page's entry in the navigation.
    pub(super) here: &'static str,
    /// Path and query of this page, to come back to.
    pub(super) path: String,
    pub(super) version: &'static str,
    pub(super) trunkd: &'static str,
}

impl Frame {
    pub(super) fn new(request: &HttpRequest, here: &'static str) -> Self {
        let caller = request.extensions().get::<Caller>().cloned();
        Self {
            t: Texts::of(request),
            user: caller.as_ref().map(|caller| caller.identity.name().to_owned()),
            is_admin: caller.is_some_and(|caller| caller.role == Role::Admin),
            here,
            path: request
                .uri()
                .path_and_query()
                .map_or("/", |path| path.as_str())
                .to_owned(),
            version: &assets::VERSION,
            trunkd: env!("CARGO_PKG_VERSION"),
        }
    }

    /// The URL of a file.
    pub(super) fn asset(&self, name: &str) -> String {
        format!("/static/{}/{name}", self.version)
    }
}

/// A page as an answer.
pub(super) fn show(status: StatusCode, page: &impl Template) -> HttpResponse {
    match page.render() {
        Ok(html) => HttpResponse::build(status)
            .content_type("text/html; charset=utf-8")
            .body(html),
        Err(error) => {
            tracing::error!("a page can't be rendered, which is a bug of trunkd: {error}");
            HttpResponse::InternalServerError().finish()
        }
    }
}
