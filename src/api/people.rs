//! Users and tokens.

use std::time::Duration;

use actix_web::{HttpResponse, delete, get, post, put, web};
use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::body::{self, Sent};
use super::responses::{
    BadRequest, Conflict, Forbidden, NotFound, TooLarge, TooMany, Unauthorized, Unavailable, Unprocessable,
};
use crate::access::{Domains, NewToken, NewUser, Role, Token, User};
use crate::language::text;
use crate::operate::{Service, people};
use crate::portal::{Problem, SignedIn};

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewUserBody {
    name: String,
    /// `viewer`, `operator` or `admin`.
    #[schema(value_type = String)]
    role: Role,
    /// `"*"`, or a list of names.
    #[schema(value_type = serde_json::Value)]
    #[serde(default = "all_domains")]
    domains: Domains,
    /// At least 8 characters.
    #[schema(value_type = String, format = Password)]
    password: SecretString,
}

/// A new password.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewPassword {
    /// The present one; needed for your own password.
    #[schema(value_type = Option<String>, format = Password)]
    old: Option<SecretString>,
    #[schema(value_type = String, format = Password)]
    new: SecretString,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewTokenBody {
    name: String,
    /// `viewer`, `operator` or `admin`.
    #[schema(value_type = String)]
    role: Role,
    /// `"*"`, or a list of names.
    #[schema(value_type = serde_json::Value)]
    #[serde(default = "all_domains")]
    domains: Domains,
    /// How long it is valid, such as `90d`. Left out: until it is revoked.
    expires: Option<String>,
}

#[derive(Serialize, ToSchema)]
pub(super) struct Users {
    items: Vec<User>,
}

#[derive(Serialize, ToSchema)]
pub(super) struct Tokens {
    items: Vec<Token>,
}

/// A token, with its secret, which is shown this once.
#[derive(Serialize, ToSchema)]
pub(super) struct CreatedToken {
    #[serde(flatten)]
    token: Token,
    /// Send it as `Authorization: Bearer`.
    secret: String,
}

fn all_domains() -> Domains {
    Domains::All
}

/// The users
#[utoipa::path(
    tag = "Users and tokens", context_path = "/api/v1",
    responses((status = 200, description = "By name", body = Users), Unauthorized, Forbidden, Unavailable)
)]
#[get("/users")]
pub(super) async fn users(service: web::Data<Service>, SignedIn(caller): SignedIn) -> Result<HttpResponse, Problem> {
    let items = people::users(service.people(), &caller).await?;
    Ok(HttpResponse::Ok().json(Users { items }))
}

/// Add a user
#[utoipa::path(
    tag = "Users and tokens", context_path = "/api/v1", request_body = NewUserBody,
    responses(
        (status = 201, description = "The user", body = User),
        BadRequest, Unauthorized, Forbidden, Conflict, TooLarge, Unprocessable, Unavailable,
    )
)]
#[post("/users")]
pub(super) async fn add_user(
    service: web::Data<Service>,
    SignedIn(caller): SignedIn,
    Sent(sent): Sent,
) -> Result<HttpResponse, Problem> {
    let new: NewUserBody = body::json(&sent)?;
    let new = NewUser {
        name: new.name,
        role: new.role,
        domains: new.domains,
        password: new.password,
    };
    let user = people::add_user(service.people(), &caller, new).await?;
    Ok(HttpResponse::Created().json(user))
}

/// Remove a user
///
/// Every session of the user ends. The last admin stays.
#[utoipa::path(
    tag = "Users and tokens", context_path = "/api/v1", params(("name" = String, Path, description = "The user")),
    responses((status = 204, description = "Removed"), Unauthorized, Forbidden, NotFound, Conflict, Unavailable)
)]
#[delete("/users/{name}")]
pub(super) async fn remove_user(
    service: web::Data<Service>,
    SignedIn(caller): SignedIn,
    name: web::Path<String>,
) -> Result<HttpResponse, Problem> {
    people::remove_user(service.people(), &caller, &name).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// Set a password
///
/// Every session of the user ends. For your own password the old one is needed.
#[utoipa::path(
    tag = "Users and tokens", context_path = "/api/v1", params(("name" = String, Path, description = "The user")),
    request_body = NewPassword,
    responses(
        (status = 204, description = "Changed"),
        BadRequest, Unauthorized, Forbidden, NotFound, Conflict, TooLarge, Unprocessable, TooMany, Unavailable,
    )
)]
#[put("/users/{name}/password")]
pub(super) async fn set_password(
    service: web::Data<Service>,
    SignedIn(caller): SignedIn,
    name: web::Path<String>,
    Sent(sent): Sent,
) -> Result<HttpResponse, Problem> {
    let NewPassword { old, new } = body::json(&sent)?;
    let people = service.people();
    match old {
        Some(old) if caller.identity == crate::access::Identity::User(name.to_string()) => {
            people::set_own_password(people, &caller, &old, &new).await?;
        }
        _ => people::set_password(people, &caller, &name, &new).await?,
    }
    Ok(HttpResponse::NoContent().finish())
}

/// The tokens
#[utoipa::path(
    tag = "Users and tokens", context_path = "/api/v1",
    responses((status = 200, description = "By name", body = Tokens), Unauthorized, Forbidden, Unavailable)
)]
#[get("/tokens")]
pub(super) async fn tokens(service: web::Data<Service>, SignedIn(caller): SignedIn) -> Result<HttpResponse, Problem> {
    let items = people::tokens(service.people(), &caller).await?;
    Ok(HttpResponse::Ok().json(Tokens { items }))
}

/// Create a token
///
/// Its secret is shown this once.
#[utoipa::path(
    tag = "Users and tokens", context_path = "/api/v1", request_body = NewTokenBody,
    responses(
        (status = 201, description = "The token with its secret", body = CreatedToken),
        BadRequest, Unauthorized, Forbidden, Conflict, TooLarge, Unprocessable, Unavailable,
    )
)]
#[post("/tokens")]
pub(super) async fn create_token(
    service: web::Data<Service>,
    SignedIn(caller): SignedIn,
    Sent(sent): Sent,
) -> Result<HttpResponse, Problem> {
    let new: NewTokenBody = body::json(&sent)?;
    let expires_at = new.expires.as_deref().map(expiry).transpose()?;
    let new = NewToken {
        name: new.name,
        role: new.role,
        domains: new.domains,
        created_by: caller.identity.clone(),
        expires_at,
    };
    let (token, secret) = people::create_token(service.people(), &caller, new).await?;
    Ok(HttpResponse::Created().json(CreatedToken {
        token,
        secret: secret.expose_secret().to_owned(),
    }))
}

/// Revoke a token
///
/// Every trunkd refuses it from now on.
#[utoipa::path(
    tag = "Users and tokens", context_path = "/api/v1", params(("name" = String, Path, description = "The token")),
    responses((status = 204, description = "Revoked"), Unauthorized, Forbidden, NotFound, Unavailable)
)]
#[delete("/tokens/{name}")]
pub(super) async fn revoke_token(
    service: web::Data<Service>,
    SignedIn(caller): SignedIn,
    name: web::Path<String>,
) -> Result<HttpResponse, Problem> {
    people::revoke_token(service.people(), &caller, &name).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// The longest validity of a token.
const MAX_VALIDITY: Duration = Duration::from_secs(10 * 366 * 24 * 3600);

fn expiry(given: &str) -> Result<Timestamp, Problem> {
    let valid = humantime::parse_duration(given).ok();
    let valid = valid.filter(|valid| !valid.is_zero() && *valid <= MAX_VALIDITY);
    let at = valid.and_then(|valid| Timestamp::now().checked_add(valid).ok());
    at.ok_or_else(|| {
        Problem::bad_request(
            "/expires",
            text(
                "expires is no time of at most 10 years",
                "expires 不是不超过 10 年的时间",
            ),
            text("write `90d` or `12h`", "请写成 `90d` 或 `12h`"),
        )
    })
}
