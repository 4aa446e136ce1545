//! Tokens of programs: create and revoke.

use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, post, web};
use jiff::Timestamp;
use secrecy::ExposeSecret;
use serde::Deserialize;

use super::{After, back, page, refused, typed_domains};
use crate::access::{NewToken, Role};
use crate::language::Bilingual;
use crate::operate::{Service, people};
use crate::portal::SignedIn;
use crate::web::failure::page as page_of;
use crate::web::texts::Texts;

/// A day, as people count the validity of a token.
const DAY: Duration = Duration::from_secs(24 * 3600);

#[derive(Deserialize)]
pub(in crate::web) struct NewTokenForm {
    name: String,
    role: Role,
    #[serde(default)]
    domains: String,
    /// Days; empty: until it is revoked.
    #[serde(default)]
    expires: String,
}

#[derive(Deserialize)]
pub(in crate::web) struct Named {
    name: String,
}

/// Creates a token. Its secret is in this answer only.
#[post("/tokens")]
pub(in crate::web) async fn create(
    service: web::Data<Service>,
    SignedIn(caller): SignedIn,
    request: HttpRequest,
    form: web::Form<NewTokenForm>,
) -> HttpResponse {
    let form = form.into_inner();
    let typed = After {
        at: "token",
        name: form.name.clone(),
        role: form.role.to_string(),
        domains: form.domains.clone(),
        expires: form.expires.clone(),
        ..After::default()
    };
    let domains = match typed_domains(&form.domains) {
        Ok(domains) => domains,
        Err(problem) => {
            let after = After {
                problem: Some(problem.text(Texts::of(&request).0)),
                ..typed
            };
            let answer = page(&service, &caller, &request, StatusCode::UNPROCESSABLE_ENTITY, after).await;
            return page_of(&request, answer);
        }
    };
    let days: Option<u32> = form.expires.parse().ok().filter(|days| *days > 0);
    let new = NewToken {
        name: form.name.clone(),
        role: form.role,
        domains,
        created_by: caller.identity.clone(),
        expires_at: days.and_then(|days| Timestamp::now().checked_add(DAY * days).ok()),
    };
    let answer = match people::create_token(service.people(), &caller, new).await {
        Ok((token, secret)) => {
            let after = After {
                created: Some((token.name, secret.expose_secret().to_owned())),
                ..After::default()
            };
            page(&service, &caller, &request, StatusCode::CREATED, after).await
        }
        Err(error) => refused(&service, &caller, &request, error, typed).await,
    };
    page_of(&request, answer)
}

/// Revokes a token.
#[post("/tokens/revoke")]
pub(in crate::web) async fn revoke(
    service: web::Data<Service>,
    SignedIn(caller): SignedIn,
    request: HttpRequest,
    form: web::Form<Named>,
) -> HttpResponse {
    let answer = match people::revoke_token(service.people(), &caller, &form.name).await {
        Ok(()) => Ok(back()),
        Err(error) => refused(&service, &caller, &request, error, After::default()).await,
    };
    page_of(&request, answer)
}
