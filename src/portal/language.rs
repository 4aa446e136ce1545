//! The language that somebody reads.

use actix_web::HttpRequest;
use actix_web::http::header;

use crate::language::Language;

/// The first language of `Accept-Language` that there is; English if there is none.
pub(crate) fn accepted(request: &HttpRequest) -> Language {
    let header = request.headers().get(header::ACCEPT_LANGUAGE);
    let header = header.and_then(|header| header.to_str().ok()).unwrap_or_default();
    let mut wanted = header.split(',').map(|part| {
        let tag = part.split(';').next().unwrap_or_default().trim();
        tag.split('-').next().unwrap_or_default().to_ascii_lowercase()
    });
    wanted
        .find_map(|tag| match tag.as_str() {
            "zh" => Some(Language::Zh),
            "en" => Some(Language::En),
            _ => None,
        })
        .unwrap_or(Language::En)
}
