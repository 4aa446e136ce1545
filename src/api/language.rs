//! The language of texts in an answer.

use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponseBuilder};
use serde::Deserialize;
use utoipa::IntoParams;

use crate::language::Language;
use crate::portal::accepted;

#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
pub(super) struct LanguageQuery {
    /// The language of texts for people. Left out: as `Accept-Language` says.
    language: Option<Language>,
}

impl LanguageQuery {
    pub(super) fn of(&self, request: &HttpRequest) -> Language {
        asked(self.language, request)
    }
}

/// The language of `?language=`, or else of `Accept-Language`.
pub(super) fn asked(named: Option<Language>, request: &HttpRequest) -> Language {
    named.unwrap_or_else(|| accepted(request))
}

/// Says in which language the answer is.
pub(super) fn declare(response: &mut HttpResponseBuilder, language: Language) {
    response.insert_header((header::VARY, "Accept-Language"));
    response.insert_header((header::CONTENT_LANGUAGE, language.tag()));
}
