//! The catalog of params.

use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse, get, web};
use serde::Deserialize;
use utoipa::IntoParams;

use super::responses::{BadRequest, Unauthorized, Unavailable};
use crate::gateway::params::{Description, describe};
use crate::language::Language;
use crate::portal::Problem;
use crate::portal::SignedIn;

#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
pub(super) struct ParamsQuery {
    /// The language of the texts. Left out: as `Accept-Language` says.
    language: Option<Language>,
}

/// The params of a gateway
///
/// Every param and key that there is: name, group, type, default, range, whether it is secret, and what
/// it is for. Checks and forms are made from this.
#[utoipa::path(
    tag = "Gateways", params(ParamsQuery), context_path = "/api/v1",
    responses((status = 200, description = "By group", body = Description), BadRequest, Unauthorized, Unavailable)
)]
#[get("/params")]
pub(super) async fn params(
    _caller: SignedIn,
    query: web::Query<ParamsQuery>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let language = query.language.unwrap_or_else(|| preferred(&request));
    Ok(HttpResponse::Ok()
        .insert_header((header::VARY, "Accept-Language"))
        .json(describe(language)))
}

/// The first language of `Accept-Language` that there is; English if there is none.
fn preferred(request: &HttpRequest) -> Language {
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
