//! Choosing the language of the pages.

use actix_web::cookie::{Cookie, SameSite};
use actix_web::{HttpResponse, web};
use serde::Deserialize;

use super::address::{local_path, see_other};
use super::texts::LANGUAGE_COOKIE;
use crate::language::Language;

/// A year.
const KEPT: actix_web::cookie::time::Duration = actix_web::cookie::time::Duration::days(365);

#[derive(Deserialize)]
pub(super) struct Choice {
    language: Language,
    /// Where to go on.
    #[serde(default)]
    next: String,
}

/// Chooses a language.
pub(super) async fn choose(form: web::Form<Choice>) -> HttpResponse {
    let Choice { language, next } = form.into_inner();
    let cookie = Cookie::build(LANGUAGE_COOKIE, language.tag())
        .path("/")
        .same_site(SameSite::Lax)
        .http_only(true)
        .max_age(KEPT)
        .finish();
    see_other(local_path(&next)).cookie(cookie).finish()
}
