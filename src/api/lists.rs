//! Lists of gateways, domains and switches.

use actix_web::{HttpRequest, HttpResponse, get, web};

use super::language::{self, LanguageQuery};
use super::responses::{BadRequest, Forbidden, Unauthorized, Unavailable};
use crate::operate::Service;
use crate::operate::listing::{Domains, Page, Switches};
use crate::portal::{ListParams, Problem, SignedIn};

/// Gateways
///
/// What Redis wants and what the switches do, a page at a time. `counts` has how many there are of each
/// state and validity for the same filter.
#[utoipa::path(
    tag = "Gateways", params(ListParams), context_path = "/api/v1",
    responses(
        (status = 200, description = "A page", body = Page),
        BadRequest, Unauthorized, Forbidden, Unavailable,
    )
)]
#[get("/gateways")]
pub(super) async fn gateways(
    service: web::Data<Service>,
    SignedIn(caller): SignedIn,
    params: web::Query<ListParams>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let page = service.list(&caller, &params.into_inner().query()?).await?;
    Ok(language::ok(&request, &page))
}

/// Domains
///
/// Those of yours that Redis has, with their gateways by state.
#[utoipa::path(
    tag = "Gateways", context_path = "/api/v1",
    responses((status = 200, description = "By name", body = Domains), Unauthorized, Unavailable)
)]
#[get("/domains")]
pub(super) async fn domains(service: web::Data<Service>, SignedIn(caller): SignedIn) -> Result<HttpResponse, Problem> {
    let domains = service.domains(&caller).await?;
    Ok(HttpResponse::Ok().json(domains))
}

/// Switches
///
/// Their gateways are counted in your domains alone.
#[utoipa::path(
    tag = "Switches", params(LanguageQuery), context_path = "/api/v1",
    responses((status = 200, description = "By name", body = Switches), BadRequest, Unauthorized, Unavailable)
)]
#[get("/switches")]
pub(super) async fn switches(
    service: web::Data<Service>,
    SignedIn(caller): SignedIn,
    _query: web::Query<LanguageQuery>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let switches = service.switches(&caller).await?;
    Ok(language::ok(&request, &switches))
}
