//! Signing in and out, and the first admin.

use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse, delete, get, post, web};
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::body::{self, Sent};
use super::responses::{BadRequest, Forbidden, TooLarge, TooMany, Unauthorized, Unavailable, Unprocessable};
use crate::access::{self, Caller};
use crate::operate::{OperateError, Service, people};
use crate::portal::{COOKIE, Problem, SignedIn, no_session_cookie, peer, session_cookie};

/// Name and password.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Credentials {
    name: String,
    #[schema(value_type = String, format = Password)]
    password: SecretString,
}

/// The code that `trunkd serve` printed, and the account to make.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Setup {
    code: String,
    name: String,
    #[schema(value_type = String, format = Password)]
    password: SecretString,
}

/// Who is signed in.
#[derive(Serialize, ToSchema)]
pub(super) struct Me {
    /// `user:NAME` or `token:NAME`.
    identity: String,
    #[schema(value_type = String)]
    role: access::Role,
    /// `"*"`, or a list of names.
    #[schema(value_type = serde_json::Value)]
    domains: access::Domains,
}

impl Me {
    fn of(caller: &Caller) -> Self {
        Self {
            identity: caller.identity.to_string(),
            role: caller.role,
            domains: caller.domains.clone(),
        }
    }
}

/// Sign in
///
/// Opens a session and sets its cookie. Programs use a token instead.
#[utoipa::path(
    tag = "Session", context_path = "/api/v1", request_body = Credentials, security(()),
    responses(
        (status = 200, description = "Signed in; the cookie is set", body = Me),
        BadRequest, Unauthorized, TooLarge, TooMany, Unavailable,
    )
)]
#[post("/session")]
pub(super) async fn sign_in(
    service: web::Data<Service>,
    request: HttpRequest,
    Sent(sent): Sent,
) -> Result<HttpResponse, Problem> {
    let Credentials { name, password } = body::json(&sent)?;
    let signed_in = people::sign_in(service.people(), &name, &password, peer(&request)?).await?;
    Ok(welcome(&request, &signed_in))
}

/// Make the first admin
///
/// With the code that `trunkd serve` printed, valid once and for 15 minutes.
#[utoipa::path(
    tag = "Session", context_path = "/api/v1", request_body = Setup, security(()),
    responses(
        (status = 200, description = "The admin is made and signed in; the cookie is set", body = Me),
        BadRequest, Unauthorized, TooLarge, Unprocessable, TooMany, Unavailable,
    )
)]
#[post("/setup")]
pub(super) async fn set_up(
    service: web::Data<Service>,
    request: HttpRequest,
    Sent(sent): Sent,
) -> Result<HttpResponse, Problem> {
    let Setup { code, name, password } = body::json(&sent)?;
    let signed_in = people::set_up(service.people(), &code, &name, password, peer(&request)?).await?;
    Ok(welcome(&request, &signed_in))
}

/// Who am I
#[utoipa::path(
    tag = "Session", context_path = "/api/v1",
    responses((status = 200, description = "The caller", body = Me), Unauthorized, Unavailable)
)]
#[get("/session")]
pub(super) async fn who_am_i(SignedIn(caller): SignedIn) -> HttpResponse {
    HttpResponse::Ok().json(Me::of(&caller))
}

/// Sign out
///
/// Ends the session of the cookie. A token stays valid.
#[utoipa::path(
    tag = "Session", context_path = "/api/v1",
    responses((status = 204, description = "Signed out"), Unauthorized, Forbidden, Unavailable)
)]
#[delete("/session")]
pub(super) async fn sign_out(
    service: web::Data<Service>,
    _caller: SignedIn,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let mut response = HttpResponse::NoContent();
    if let Some(cookie) = request.cookie(COOKIE) {
        let ended = service.access().sign_out(cookie.value()).await;
        ended.map_err(OperateError::Store)?;
        response.cookie(no_session_cookie());
    }
    Ok(response.finish())
}

fn welcome(request: &HttpRequest, signed_in: &access::SignedIn) -> HttpResponse {
    HttpResponse::Ok()
        .cookie(session_cookie(request, signed_in))
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .json(Me::of(&signed_in.caller))
}
