//! The switches, and pauses.

use actix_web::{HttpRequest, HttpResponse, get, post, web};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::body::{self, Sent};
use super::language;
use super::responses::{BadRequest, Conflict, Forbidden, NotFound, TooLarge, Unauthorized, Unavailable};
use crate::operate::Service;
use crate::operate::approve::Applied;
use crate::operate::plan::ShownPlan;
use crate::portal::{Problem, SignedIn};

/// The switch.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
pub(super) struct PlanQuery {
    /// Left out: of all.
    switch: Option<String>,
    /// Take over gateways of a wanted name that trunkd did not start.
    adopt: bool,
}

/// The plan that is approved.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Approval {
    /// The `id` of the plan as it was shown, for the same `switch` and `adopt`.
    id: String,
    switch: Option<String>,
    #[serde(default)]
    adopt: bool,
}

#[derive(Serialize, ToSchema)]
pub(super) struct ApplyAnswer {
    items: Vec<Applied>,
}

/// The plan
///
/// What would change on each switch, what is held, and why. Each switch is asked what it runs.
#[utoipa::path(
    tag = "Switches", params(PlanQuery), context_path = "/api/v1",
    responses(
        (status = 200, description = "The plan, with the id that approves it", body = ShownPlan),
        BadRequest, Unauthorized, Forbidden, NotFound, Conflict, Unavailable,
    )
)]
#[get("/plan")]
pub(super) async fn plan(
    service: web::Data<Service>,
    SignedIn(caller): SignedIn,
    query: web::Query<PlanQuery>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let shown = service.plan(&caller, query.switch.as_deref(), query.adopt).await?;
    Ok(language::ok(&request, &shown))
}

/// Approve a plan
///
/// Does exactly what the plan of this id shows, also if it is held or the switch is paused. 409 with the
/// plan of now if it is another one.
#[utoipa::path(
    tag = "Switches", context_path = "/api/v1", request_body = Approval,
    responses(
        (status = 200, description = "What became of it on each switch", body = ApplyAnswer),
        BadRequest, Unauthorized, Forbidden, NotFound, Conflict, TooLarge, Unavailable,
    )
)]
#[post("/plan/apply")]
pub(super) async fn apply(
    service: web::Data<Service>,
    SignedIn(caller): SignedIn,
    request: HttpRequest,
    Sent(sent): Sent,
) -> Result<HttpResponse, Problem> {
    let Approval { id, switch, adopt } = body::json(&sent)?;
    let items = service.apply(&caller, &id, switch.as_deref(), adopt).await?;
    Ok(language::ok(&request, &ApplyAnswer { items }))
}

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
    responses(
        (status = 200, description = "Resumed", body = ResumeAnswer), Unauthorized, Forbidden, NotFound, Unavailable,
    )
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
