//! What every page has: who is signed in, the language, where one is.

use actix_web::http::StatusCode;
use actix_web::{HttpMessage, HttpRequest, HttpResponse};
use askama::Template;
use jiff::Timestamp;

use super::texts::Texts;
use super::{assets, words};
use crate::access::{Caller, Role};
use crate::portal::remembered;

/// The frame around a page.
pub(super) struct Frame {
    pub(super) t: Texts,
    /// The name, if somebody is signed in.
    pub(super) user: Option<String>,
    pub(super) is_admin: bool,
    /// Whether he may edit gateways.
    pub(super) may_edit: bool,
    /// The page's entry in the navigation.
    pub(super) here: &'static str,
    /// Set if Redis can't be reached.
    pub(super) away: Option<Away>,
    /// Path and query of this page, to come back to.
    pub(super) path: String,
    pub(super) version: &'static str,
    pub(super) trunkd: &'static str,
}

/// The banner that says that Redis can't be reached.
pub(super) struct Away {
    pub(super) text: String,
    /// Of the state that is shown.
    pub(super) age: Option<Age>,
}

pub(super) struct Age {
    pub(super) seconds: i64,
    pub(super) ago: String,
}

impl Frame {
    pub(super) fn new(request: &HttpRequest, here: &'static str) -> Self {
        let t = Texts::of(request);
        let remembered = remembered(request);
        let away = remembered.as_ref().map(|_| Away::new(t));
        let caller = request.extensions().get::<Caller>().cloned().or(remembered);
        Self {
            t,
            away,
            user: caller.as_ref().map(|caller| caller.identity.name().to_owned()),
            is_admin: caller.as_ref().is_some_and(|caller| caller.role == Role::Admin),
            may_edit: caller.is_some_and(|caller| caller.requires(Role::Operator).is_ok()),
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

    /// What the page shows is the state of this time, if Redis can't be reached.
    pub(super) fn with_age(mut self, since: Option<Timestamp>, now: Timestamp) -> Self {
        if let Some(since) = since {
            self.away = Some(Away::since(self.t, since, now));
        }
        self
    }

    /// How old the state is that is shown, if it may be out of date.
    pub(super) fn seconds_old(&self) -> Option<i64> {
        Some(self.away.as_ref()?.age.as_ref()?.seconds)
    }

    /// The URL of a file.
    pub(super) fn asset(&self, name: &str) -> String {
        format!("/static/{}/{name}", self.version)
    }
}

impl Away {
    /// Nothing of this page is out of date.
    fn new(t: Texts) -> Self {
        Self {
            text: t.get("away").into_owned(),
            age: None,
        }
    }

    fn since(t: Texts, since: Timestamp, now: Timestamp) -> Self {
        Self {
            text: t.with("away-as-of", &words::clock(since, now)).into_owned(),
            age: Some(Age {
                seconds: now.duration_since(since).as_secs().max(0),
                ago: words::ago(t, since, now),
            }),
        }
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
