//! The language of a page: chosen by the person, or else the browser's.

use actix_web::cookie::{Cookie, SameSite};
use actix_web::{HttpRequest, HttpResponse, web};
use serde::Deserialize;

use super::address::{local_path, see_other};
use super::texts::Texts;
use crate::language::Language;
use crate::portal::accepted;

/// Keeps the choice.
const COOKIE: &str = "trunkd_language";
/// A year.
const KEPT: actix_web::cookie::time::Duration = actix_web::cookie::time::Duration::days(365);

#[derive(Deserialize)]
pub(super) struct Choice {
    language: Language,
    /// Where to go on.
    #[serde(default)]
    next: String,
}

pub(super) fn texts(request: &HttpRequest) -> Texts {
    let chosen = request
        .cookie(COOKIE)
        .and_then(|cookie| Language::parse(cookie.value()));
    Texts(chosen.unwrap_or_else(|| accepted(request)))
}

/// Chooses a language.
pub(super) async fn choose(form: web::Form<Choice>) -> HttpResponse {
    let Choice { language, next } = form.into_inner();
    let cookie = Cookie::build(COOKIE, language.tag())
        .path("/")
        .same_site(SameSite::Lax)
        .http_only(true)
        .max_age(KEPT)
        .finish();
    see_other(local_path(&next)).cookie(cookie).finish()
}
