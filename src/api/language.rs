//! The language of texts in an answer.

use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse, HttpResponseBuilder};
use serde::{Deserialize, Serialize};
use utoipa::IntoParams;

use crate::language::{Language, serialize_in};
use crate::portal::asked;

/// For the OpenAPI document, and so that the name is known: [`answer`] reads it from the request.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
pub(super) struct LanguageQuery {
    /// The language of texts for people. Left out: as `Accept-Language` says.
    #[serde(rename = "language")]
    _language: Option<Language>,
}

/// An answer with its texts in the language that the request asks for.
pub(super) fn answer(request: &HttpRequest, mut response: HttpResponseBuilder, value: &impl Serialize) -> HttpResponse {
    let language = asked(request);
    response.insert_header((header::VARY, "Accept-Language"));
    response.insert_header((header::CONTENT_LANGUAGE, language.tag()));
    serialize_in(language, || response.json(value))
}

/// The usual case of [`answer`].
pub(super) fn ok(request: &HttpRequest, value: &impl Serialize) -> HttpResponse {
    answer(request, HttpResponse::Ok(), value)
}
