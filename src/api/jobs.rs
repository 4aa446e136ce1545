//! Calls that have a gateway restarted, registered, unregistered, parked or unparked on its switches.

use actix_web::{HttpRequest, HttpResponse, post, web};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::gateways::{self, GatewayPath};
use super::language;
use super::responses::{BadRequest, Conflict, Forbidden, NotFound, Unauthorized, Unavailable, Unprocessable};
use crate::control::JobAction;
use crate::operate::gateways::{Effect, JobRequest};
use crate::operate::{Caller, Service};
use crate::portal::{Problem, SignedIn};

/// Where to do it.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub(super) struct JobQuery {
    /// Only on this switch. Otherwise on every switch that runs the gateway, or is to.
    switch: Option<String>,
    /// Answer when it has taken effect on every switch, but after this time at the latest: `10s`, at most
    /// `60s`. What no trunkd has taken up by then is taken back.
    wait: Option<String>,
}

/// What came of it.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct JobAnswer {
    /// Without `wait`, what is to be done is `pending`.
    pub effect: Vec<Effect>,
}

async fn run(
    request: &HttpRequest,
    service: &Service,
    caller: &Caller,
    path: &GatewayPath,
    query: JobQuery,
    action: JobAction,
) -> Result<HttpResponse, Problem> {
    let job = JobRequest {
        action,
        wait: query.wait.as_deref().map(gateways::wait).transpose()?,
        switch: query.switch,
    };
    let effect = service.run_job(caller, &path.parse()?, &job).await?;
    Ok(language::ok(request, &JobAnswer { effect }))
}

/// Restart a gateway
///
/// Stops it and starts it with the value that Redis has, also on a paused switch. Calls stay up; new ones
/// fail for a few seconds. A gateway that doesn't run is started.
#[utoipa::path(
    tag = "Gateways", params(GatewayPath, JobQuery), context_path = "/api/v1",
    responses(
        (status = 200, description = "What each switch does about it", body = JobAnswer),
        BadRequest, Unauthorized, Forbidden, NotFound, Conflict, Unavailable,
    )
)]
#[post("/domains/{domain}/gateways/{name}/restart")]
pub(super) async fn restart_gateway(
    service: web::Data<Service>,
    SignedIn(caller): SignedIn,
    path: web::Path<GatewayPath>,
    query: web::Query<JobQuery>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    run(
        &request,
        &service,
        &caller,
        &path,
        query.into_inner(),
        JobAction::Restart,
    )
    .await
}

/// Register a gateway now
///
/// Whatever it waits for: after a refusal, or after it was unregistered.
#[utoipa::path(
    tag = "Gateways", params(GatewayPath, JobQuery), context_path = "/api/v1",
    responses(
        (status = 200, description = "What each switch does about it", body = JobAnswer),
        BadRequest, Unauthorized, Forbidden, NotFound, Conflict, Unprocessable, Unavailable,
    )
)]
#[post("/domains/{domain}/gateways/{name}/register")]
pub(super) async fn register_gateway(
    service: web::Data<Service>,
    SignedIn(caller): SignedIn,
    path: web::Path<GatewayPath>,
    query: web::Query<JobQuery>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    run(
        &request,
        &service,
        &caller,
        &path,
        query.into_inner(),
        JobAction::Register,
    )
    .await
}

/// Unregister a gateway
///
/// It stays down until it is registered or restarted, or FreeSWITCH restarts.
#[utoipa::path(
    tag = "Gateways", params(GatewayPath, JobQuery), context_path = "/api/v1",
    responses(
        (status = 200, description = "What each switch does about it", body = JobAnswer),
        BadRequest, Unauthorized, Forbidden, NotFound, Conflict, Unprocessable, Unavailable,
    )
)]
#[post("/domains/{domain}/gateways/{name}/unregister")]
pub(super) async fn unregister_gateway(
    service: web::Data<Service>,
    SignedIn(caller): SignedIn,
    path: web::Path<GatewayPath>,
    query: web::Query<JobQuery>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    run(
        &request,
        &service,
        &caller,
        &path,
        query.into_inner(),
        JobAction::Unregister,
    )
    .await
}

/// Park a gateway
///
/// Unregisters it until it is unparked or edited, also if FreeSWITCH restarts.
#[utoipa::path(
    tag = "Gateways", params(GatewayPath, JobQuery), context_path = "/api/v1",
    responses(
        (status = 200, description = "What each switch does about it", body = JobAnswer),
        BadRequest, Unauthorized, Forbidden, NotFound, Conflict, Unprocessable, Unavailable,
    )
)]
#[post("/domains/{domain}/gateways/{name}/park")]
pub(super) async fn park_gateway(
    service: web::Data<Service>,
    SignedIn(caller): SignedIn,
    path: web::Path<GatewayPath>,
    query: web::Query<JobQuery>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    run(&request, &service, &caller, &path, query.into_inner(), JobAction::Park).await
}

/// Unpark a gateway
///
/// Registers it now. It fails on a switch where the gateway is not parked.
#[utoipa::path(
    tag = "Gateways", params(GatewayPath, JobQuery), context_path = "/api/v1",
    responses(
        (status = 200, description = "What each switch does about it", body = JobAnswer),
        BadRequest, Unauthorized, Forbidden, NotFound, Conflict, Unprocessable, Unavailable,
    )
)]
#[post("/domains/{domain}/gateways/{name}/unpark")]
pub(super) async fn unpark_gateway(
    service: web::Data<Service>,
    SignedIn(caller): SignedIn,
    path: web::Path<GatewayPath>,
    query: web::Query<JobQuery>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    run(
        &request,
        &service,
        &caller,
        &path,
        query.into_inner(),
        JobAction::Unpark,
    )
    .await
}
