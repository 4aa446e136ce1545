//! The language that somebody reads.

use actix_web::HttpRequest;
use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header;
use actix_web::middleware::Next;

use super::problem::Problem;
use crate::language::Language;

/// The language of `?language=`, or else of `Accept-Language`.
pub(crate) fn asked(request: &HttpRequest) -> Language {
    let mut query = form_urlencoded::parse(request.query_string().as_bytes());
    let named = query.find_map(|(name, value)| (name == "language").then(|| Language::parse(&value))?);
    named.unwrap_or_else(|| accepted(request))
}

/// Answers with problems in the language that the client asks for.
pub(super) async fn translate_problems(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, actix_web::Error> {
    let language = asked(request.request());
    let response = next.call(request).await?.map_into_boxed_body();
    let error = response.response().error();
    match error.and_then(|error| error.as_error::<Problem>()) {
        None => Ok(response),
        Some(problem) => {
            let translated = problem.in_language(language);
            Ok(response.into_response(translated))
        }
    }
}

/// The language of `Accept-Language`; English if it names none that trunkd speaks.
pub(crate) fn accepted(request: &HttpRequest) -> Language {
    let header = request.headers().get(header::ACCEPT_LANGUAGE);
    let header = header.and_then(|value| value.to_str().ok());
    header.and_then(preferred).unwrap_or_default()
}

/// The language with the highest weight that trunkd speaks (RFC 9110).
fn preferred(accepted: &str) -> Option<Language> {
    let ranges = accepted.split(',').filter_map(|range| {
        let mut parts = range.split(';').map(str::trim);
        let language = Language::parse(&parts.next()?.split('-').next()?.to_ascii_lowercase())?;
        let weight = parts.find_map(|part| part.strip_prefix("q="));
        let weight: f32 = weight.map_or(Some(1.0), |weight| weight.parse().ok())?;
        (weight > 0.0).then_some((weight, language))
    });
    // Of equal ones the first.
    let best = ranges.reduce(|best, next| if next.0 > best.0 { next } else { best });
    best.map(|(_, language)| language)
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
