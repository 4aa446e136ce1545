//! Users: add, remove, set a password.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, get, post, web};
use secrecy::SecretString;
use serde::Deserialize;

use super::{After, back, page, refused, typed_domains};
use crate::access::{NewUser, Role};
use crate::language::Bilingual;
use crate::operate::{Service, people};
use crate::portal::SignedIn;
use crate::web::failure::page as page_of;
use crate::web::texts::Texts;

#[derive(Deserialize)]
pub(in crate::web) struct NewUserForm {
    name: String,
    role: Role,
    #[serde(default)]
    domains: String,
    password: SecretString,
}

#[derive(Deserialize)]
pub(in crate::web) struct Named {
    name: String,
}

#[derive(Deserialize)]
pub(in crate::web) struct NewPassword {
    name: String,
    password: SecretString,
}

/// The page.
#[get("/users")]
pub(in crate::web) async fn list(
    service: web::Data<Service>,
    SignedIn(caller): SignedIn,
    request: HttpRequest,
) -> HttpResponse {
    let answer = page(&service, &caller, &request, StatusCode::OK, After::default()).await;
    page_of(&request, answer)
}

/// Adds a user.
#[post("/users")]
pub(in crate::web) async fn add(
    service: web::Data<Service>,
    SignedIn(caller): SignedIn,
    request: HttpRequest,
    form: web::Form<NewUserForm>,
) -> HttpResponse {
    let NewUserForm {
        name,
        role,
        domains,
        password,
    } = form.into_inner();
    let typed = After {
        at: "user",
        name: name.clone(),
        role: role.to_string(),
        domains: domains.clone(),
        ..After::default()
    };
    let answer = match typed_domains(&domains) {
        Err(problem) => {
            let after = After {
                problem: Some(problem.text(Texts::of(&request).0)),
                ..typed
            };
            page(&service, &caller, &request, StatusCode::UNPROCESSABLE_ENTITY, after).await
        }
        Ok(domains) => {
            let new = NewUser {
                name,
                role,
                domains,
                password,
            };
            match people::add_user(service.people(), &caller, new).await {
                Ok(_) => Ok(back()),
                Err(error) => refused(&service, &caller, &request, error, typed).await,
            }
        }
    };
    page_of(&request, answer)
}

/// Removes a user, and ends his sessions.
#[post("/users/remove")]
pub(in crate::web) async fn remove(
    service: web::Data<Service>,
    SignedIn(caller): SignedIn,
    request: HttpRequest,
    form: web::Form<Named>,
) -> HttpResponse {
    let answer = match people::remove_user(service.people(), &caller, &form.name).await {
        Ok(()) => Ok(back()),
        Err(error) => refused(&service, &caller, &request, error, After::default()).await,
    };
    page_of(&request, answer)
}

/// Sets the password of another user.
#[post("/users/password")]
pub(in crate::web) async fn set_password(
    service: web::Data<Service>,
    SignedIn(caller): SignedIn,
    request: HttpRequest,
    form: web::Form<NewPassword>,
) -> HttpResponse {
    let set = people::set_password(service.people(), &caller, &form.name, &form.password).await;
    let answer = match set {
        Ok(()) => Ok(back()),
        Err(error) => refused(&service, &caller, &request, error, After::default()).await,
    };
    page_of(&request, answer)
}
