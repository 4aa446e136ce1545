//! The carriers.

use actix_web::{HttpRequest, HttpResponse, get, web};
use serde::Deserialize;
use utoipa::IntoParams;

use super::language;
use super::responses::{BadRequest, Unauthorized, Unavailable};
use crate::operate::Service;
use crate::operate::carriers::{CarrierQuery, Carriers};
use crate::portal::{Problem, SignedIn, page_limit};

/// Which carriers.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
pub(super) struct CarrierParams {
    /// Only this one.
    name: Option<String>,
    /// How many to list: 100 by default, at most 1000. The rest are summed in `others`.
    limit: Option<usize>,
}

/// Carriers
///
/// Gateways, REGISTERs, refusals and calls of each carrier, over all switches and on each, in your
/// domains only. Those that are out come first, then those of the settings, then the largest.
#[utoipa::path(
    tag = "Gateways", params(CarrierParams), context_path = "/api/v1",
    responses((status = 200, description = "The carriers", body = Carriers), BadRequest, Unauthorized, Unavailable)
)]
#[get("/carriers")]
pub(super) async fn carriers(
    service: web::Data<Service>,
    SignedIn(caller): SignedIn,
    params: web::Query<CarrierParams>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let CarrierParams { name, limit } = params.into_inner();
    let query = CarrierQuery {
        name,
        limit: page_limit(limit)?,
    };
    Ok(language::ok(&request, &service.carriers(&caller, &query).await?))
}
