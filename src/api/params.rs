//! The catalog of params.

use actix_web::{HttpRequest, HttpResponse, get, web};

use super::language::{self, LanguageQuery};
use super::responses::{BadRequest, Unauthorized, Unavailable};
use crate::gateway::params::{Description, describe};
use crate::portal::{Problem, SignedIn};

/// The params of a gateway
///
/// Every param and key that there is: name, group, type, default, range, whether it is secret, and what
/// it is for. Checks and forms are made from this.
#[utoipa::path(
    tag = "Gateways", params(LanguageQuery), context_path = "/api/v1",
    responses((status = 200, description = "By group", body = Description), BadRequest, Unauthorized, Unavailable)
)]
#[get("/params")]
pub(super) async fn params(
    _caller: SignedIn,
    query: web::Query<LanguageQuery>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let language = query.of(&request);
    let mut response = HttpResponse::Ok();
    language::declare(&mut response, language);
    Ok(response.json(describe(language)))
}
