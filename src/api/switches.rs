//! The switches, and pauses.

use actix_web::{HttpResponse, post, web};
use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use super::guard::SignedIn;
use super::problem::Problem;
use super::responses::{Forbidden, NotFound, Unauthorized, Unavailable};
use crate::operate::Service;

/// What a resume left as it was.
#[derive(Serialize, ToSchema)]
pub(super) struct ResumeAnswer {
    /// The switch stays paused, because every switch is (`trunkd pause` without a switch).
    all_paused: bool,
    /// `reconcile.mode` of this trunkd: with `observe` or `off` it changes no switch by itself.
    mode: &'static str,
}

/// Pause a switch
///
/// Nothing is changed on it until `resume`. Gateways are served and watched as before.
#[utoipa::path(
    tag = "Switches", context_path = "/api/v1", params(("switch" = String, Path, description = "Its switchname")),
    responses((status = 204, description = "Paused"), Unauthorized, Forbidden, NotFound, Unavailable)
)]
#[post("/switches/{switch}/pause")]
pub(super) async fn pause(
    service: web::Data<Service>,
    SignedIn(caller): SignedIn,
    switch: web::Path<String>,
) -> Result<HttpResponse, Problem> {
    service.pause(&caller, Some(&switch), Timestamp::now()).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// End a pause
#[utoipa::path(
    tag = "Switches", context_path = "/api/v1", params(("switch" = String, Path, description = "Its switchname")),
    responses((status = 200, description = "Resumed", body = ResumeAnswer), Unauthorized, Forbidden, NotFound, Unavailable)
)]
#[post("/switches/{switch}/resume")]
pub(super) async fn resume(
    service: web::Data<Service>,
    SignedIn(caller): SignedIn,
    switch: web::Path<String>,
) -> Result<HttpResponse, Problem> {
    let resumed = service.resume(&caller, Some(&switch)).await?;
    Ok(HttpResponse::Ok().json(ResumeAnswer {
        all_paused: resumed.all_paused,
        mode: resumed.mode.as_str(),
    }))
}
