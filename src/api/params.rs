//! The catalog of params.

use actix_web::{HttpRequest, HttpResponse, get, web};

use super::language::{self, LanguageQuery};
use super::responses::{BadRequest, Unauthorized, Unavailable};
use crate::gateway::params::{Description, describe};
use crate::portal::{SignedIn, asked};

/// The params of a gateway
///
/// Every param and key that there is: name, group, type, default, range, whether it is secret, and what
/// it is for. Checks and forms are made from this.
#[utoipa::path(
    tag = "Gateways", params(LanguageQuery), context_path = "/api/v1",
    responses((status = 200, description = "By group", body = Description), BadRequest, Unauthorized, Unavailable)
)]
#[get("/params")]
pub(super) async fn params(_caller: SignedIn, _query: web::Query<LanguageQuery>, request: HttpRequest) -> HttpResponse {
    language::ok(&request, &describe(asked(&request)))
}
