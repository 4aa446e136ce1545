//! The language of a page: chosen by the person, or else the browser's.

use actix_web::cookie::{Cookie, SameSite};
use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse, post, web};
use serde::Deserialize;

use super::address::local_path;
use super::texts::Texts;
use crate::language::Language;
use crate::portal::{Problem, check_origin};

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
    let chosen = request.cookie(COOKIE).and_then(|cookie| parse(cookie.value()));
    let header = request.headers().get(header::ACCEPT_LANGUAGE);
    let accepted = header.and_then(|value| value.to_str().ok());
    Texts(chosen.or_else(|| accepted.and_then(preferred)).unwrap_or_default())
}

fn parse(word: &str) -> Option<Language> {
    match word {
        "en" => Some(Language::En),
        "zh" => Some(Language::Zh),
        _ => None,
    }
}

/// The language of `Accept-Language` with the highest weight that trunkd speaks (RFC 9110).
fn preferred(accepted: &str) -> Option<Language> {
    let ranges = accepted.split(',').filter_map(|range| {
        let mut parts = range.split(';').map(str::trim);
        let language = parse(parts.next()?.split('-').next()?.to_ascii_lowercase().as_str())?;
        let weight = parts.find_map(|part| part.strip_prefix("q="));
        let weight: f32 = weight.map_or(Some(1.0), |weight| weight.parse().ok())?;
        (weight > 0.0).then_some((weight, language))
    });
    // Of equal ones the first.
    let best = ranges.reduce(|best, next| if next.0 > best.0 { next } else { best });
    best.map(|(_, language)| language)
}

/// Chooses a language.
#[post("/language")]
pub(super) async fn choose(request: HttpRequest, form: web::Form<Choice>) -> Result<HttpResponse, Problem> {
    check_origin(&request)?;
    let Choice { language, next } = form.into_inner();
    let word = match language {
        Language::En => "en",
        Language::Zh => "zh",
    };
    let cookie = Cookie::build(COOKIE, word)
        .path("/")
        .same_site(SameSite::Lax)
        .http_only(true)
        .max_age(KEPT)
        .finish();
    Ok(HttpResponse::SeeOther()
        .cookie(cookie)
        .insert_header((header::LOCATION, local_path(&next)))
        .finish())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_language_that_there_is_is_taken() {
        for (accepted, expected) in [
            ("zh-CN,zh;q=0.9,en;q=0.8", Some(Language::Zh)),
            ("en-US,en;q=0.9,zh;q=0.8", Some(Language::En)),
            ("de,fr;q=0.9,zh-TW;q=0.2", Some(Language::Zh)),
            ("en;q=0.5, zh", Some(Language::Zh)),
            ("en;q=0, de", None),
            ("de", None),
            ("", None),
            (";;,q=x,zh;q=x", None),
        ] {
            assert_eq!(preferred(accepted), expected, "{accepted}");
        }
    }
}
