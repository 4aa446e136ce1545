//! Gateways that run on exactly one switch: where they are, moves, drains, and rebalancing.

use actix_web::{HttpRequest, HttpResponse, get, post, web};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::body::{self, Sent};
use super::gateways::{self, GatewayPath};
use super::language;
use super::responses::{BadRequest, Conflict, Forbidden, NotFound, TooLarge, Unauthorized, Unavailable};
use crate::operate::Service;
use crate::operate::placement::{DrainProgress, MoveAnswer, Rebalance, SwitchPlacement, Where};
use crate::portal::{Problem, SignedIn};

/// How long to wait.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
pub(super) struct MoveQuery {
    /// Answer when the move has ended, but after this time at the latest: `10s`, at most `60s`. It goes on all
    /// the same.
    wait: Option<String>,
}

/// Where to move a gateway.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct MoveTo {
    /// The switch's name.
    to: String,
}

/// The moves that are approved.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RebalanceApproval {
    /// The `id` of the moves as they were shown.
    id: String,
}

/// How gateways are spread.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Spread {
    /// By switch.
    items: Vec<SwitchPlacement>,
}

/// What a rebalance began.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct RebalanceAnswer {
    /// How many moves begin. A gateway that moved meanwhile is left alone.
    moves: usize,
}

/// Where a gateway is
///
/// The switch that has it, if it runs on exactly one, and where that switch's SIP profile answers, for calls that
/// come from another switch. With Redis down, the last known answer.
#[utoipa::path(
    tag = "Gateways", params(GatewayPath), context_path = "/api/v1",
    responses(
        (status = 200, description = "Where it is", body = Where),
        BadRequest, Unauthorized, Forbidden, NotFound, Conflict, Unavailable,
    )
)]
#[get("/domains/{domain}/gateways/{name}/where")]
pub(super) async fn where_is(
    service: web::Data<Service>,
    SignedIn(caller): SignedIn,
    path: web::Path<GatewayPath>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let now = service.where_is(&caller, &path.parse()?).await?;
    Ok(language::ok(&request, &now))
}

/// Move a gateway
///
/// To another one of its switches, if it runs on exactly one. It un-REGISTERs first; calls that are up stay where
/// they are. A move that doesn't work goes back.
#[utoipa::path(
    tag = "Gateways", params(GatewayPath, MoveQuery), context_path = "/api/v1", request_body = MoveTo,
    responses(
        (status = 200, description = "How it ended, or that it goes on", body = MoveAnswer),
        BadRequest, Unauthorized, Forbidden, NotFound, Conflict, TooLarge, Unavailable,
    )
)]
#[post("/domains/{domain}/gateways/{name}/move")]
pub(super) async fn move_gateway(
    service: web::Data<Service>,
    SignedIn(caller): SignedIn,
    path: web::Path<GatewayPath>,
    query: web::Query<MoveQuery>,
    request: HttpRequest,
    Sent(sent): Sent,
) -> Result<HttpResponse, Problem> {
    let (of, wait) = (path.parse()?, query.wait.as_deref().map(gateways::wait).transpose()?);
    let MoveTo { to } = body::json(&sent)?;
    let answer = service.move_gateway(&caller, &of, &to, wait).await?;
    Ok(language::ok(&request, &answer))
}

/// How gateways are spread
///
/// Those of your domains that run on exactly one switch, by switch.
#[utoipa::path(
    tag = "Switches", context_path = "/api/v1",
    responses((status = 200, description = "By switch", body = Spread), Unauthorized, Unavailable)
)]
#[get("/placement")]
pub(super) async fn placement(
    service: web::Data<Service>,
    SignedIn(caller): SignedIn,
) -> Result<HttpResponse, Problem> {
    let items = service.spread(&caller).await?;
    Ok(HttpResponse::Ok().json(Spread { items }))
}

/// Drain a switch
///
/// The gateways that run on it alone move away, a few at a time, and none comes until the drain ends. For admins.
#[utoipa::path(
    tag = "Switches", context_path = "/api/v1", params(("switch" = String, Path, description = "Its switchname")),
    responses(
        (status = 200, description = "What is left on it", body = DrainProgress),
        Unauthorized, Forbidden, NotFound, Unavailable,
    )
)]
#[post("/switches/{switch}/drain")]
pub(super) async fn drain(
    service: web::Data<Service>,
    SignedIn(caller): SignedIn,
    switch: web::Path<String>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    service.drain(&caller, &switch).await?;
    let progress = service.drain_progress(&caller, &switch).await?;
    Ok(language::ok(&request, &progress))
}

/// How far a drain is
///
/// It can be stopped when `gateways`, `leaving` and `calls` are 0. For admins.
#[utoipa::path(
    tag = "Switches", context_path = "/api/v1", params(("switch" = String, Path, description = "Its switchname")),
    responses(
        (status = 200, description = "What is left on it", body = DrainProgress),
        Unauthorized, Forbidden, NotFound, Unavailable,
    )
)]
#[get("/switches/{switch}/drain")]
pub(super) async fn drain_progress(
    service: web::Data<Service>,
    SignedIn(caller): SignedIn,
    switch: web::Path<String>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let progress = service.drain_progress(&caller, &switch).await?;
    Ok(language::ok(&request, &progress))
}

/// End a drain
///
/// The switch may get gateways again. Those that left stay where they are.
#[utoipa::path(
    tag = "Switches", context_path = "/api/v1", params(("switch" = String, Path, description = "Its switchname")),
    responses((status = 204, description = "It is not drained"), Unauthorized, Forbidden, NotFound, Unavailable)
)]
#[post("/switches/{switch}/undrain")]
pub(super) async fn undrain(
    service: web::Data<Service>,
    SignedIn(caller): SignedIn,
    switch: web::Path<String>,
) -> Result<HttpResponse, Problem> {
    service.undrain(&caller, &switch).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// What a rebalance would move
///
/// The moves that would put each gateway where it would be if it were placed now, with the id that approves
/// them. For admins.
#[utoipa::path(
    tag = "Switches", context_path = "/api/v1",
    responses((status = 200, description = "The moves", body = Rebalance), Unauthorized, Forbidden, Unavailable)
)]
#[get("/rebalance")]
pub(super) async fn plan_rebalance(
    service: web::Data<Service>,
    SignedIn(caller): SignedIn,
) -> Result<HttpResponse, Problem> {
    let plan = service.plan_rebalance(&caller).await?;
    Ok(HttpResponse::Ok().json(plan))
}

/// Rebalance
///
/// Begins exactly the moves of this id. 409 with the moves of now in `rebalance` if they are others. For admins.
#[utoipa::path(
    tag = "Switches", context_path = "/api/v1", request_body = RebalanceApproval,
    responses(
        (status = 200, description = "They begin", body = RebalanceAnswer),
        BadRequest, Unauthorized, Forbidden, Conflict, TooLarge, Unavailable,
    )
)]
#[post("/rebalance")]
pub(super) async fn rebalance(
    service: web::Data<Service>,
    SignedIn(caller): SignedIn,
    Sent(sent): Sent,
) -> Result<HttpResponse, Problem> {
    let RebalanceApproval { id } = body::json(&sent)?;
    let moves = service.rebalance(&caller, &id).await?;
    Ok(HttpResponse::Ok().json(RebalanceAnswer { moves }))
}
