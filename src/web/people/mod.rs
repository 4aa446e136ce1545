//! Users and tokens, for admins; and everybody's own password.

mod password;
mod tokens;
mod users;

pub(super) use password::{change as change_password, form as password_form};
pub(super) use tokens::{create as create_token, revoke as revoke_token};
pub(super) use users::{add as add_user, list, remove as remove_user, set_password};

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse};
use askama::Template;
use jiff::Timestamp;

use super::failure::Failure;
use super::page::{Frame, show};
use super::words;
use crate::access::{Domains, DomainsError, Identity, Role, Token, User};
use crate::operate::{Caller, OperateError, Service, people};
use crate::web::address::see_other;

#[derive(Template)]
#[template(path = "users.html")]
struct UsersPage {
    frame: Frame,
    users: Vec<UserRow>,
    tokens: Vec<TokenRow>,
    after: After,
}

/// What the last form did.
#[derive(Default)]
struct After {
    /// Why it was refused.
    problem: Option<String>,
    /// Which form that was: `user` or `token`.
    at: &'static str,
    /// What was typed there.
    name: String,
    role: String,
    domains: String,
    expires: String,
    /// A new token's name and secret.
    created: Option<(String, String)>,
}

struct UserRow {
    name: String,
    role: &'static str,
    domains: String,
    added: String,
    is_self: bool,
    is_last_admin: bool,
}

struct TokenRow {
    name: String,
    role: &'static str,
    domains: String,
    by: String,
    used: Option<String>,
    expires: Option<String>,
}

/// The page with both lists, after a form.
async fn page(
    service: &Service,
    caller: &Caller,
    request: &HttpRequest,
    status: StatusCode,
    after: After,
) -> Result<HttpResponse, Failure> {
    let users = people::users(service.people(), caller).await?;
    let tokens = people::tokens(service.people(), caller).await?;
    let (frame, now) = (Frame::new(request, "users"), Timestamp::now());
    let t = frame.t;
    let admins = users.iter().filter(|user| user.role == Role::Admin).count();
    let user = |user: User| UserRow {
        role: role(user.role),
        domains: domains(&user.domains),
        added: words::ago(t, user.created_at, now),
        is_self: caller.identity == Identity::User(user.name.clone()),
        is_last_admin: user.role == Role::Admin && admins == 1,
        name: user.name,
    };
    let token = |token: Token| TokenRow {
        role: role(token.role),
        domains: domains(&token.domains),
        by: token.created_by,
        used: token.last_used_at.map(|at| words::ago(t, at, now)),
        expires: token.expires_at.map(words::exact),
        name: token.name,
    };
    let page = UsersPage {
        users: users.into_iter().map(user).collect(),
        tokens: tokens.into_iter().map(token).collect(),
        after,
        frame,
    };
    Ok(show(status, &page))
}

/// The page again, with why a form was refused and what was typed.
async fn refused(
    service: &Service,
    caller: &Caller,
    request: &HttpRequest,
    error: OperateError,
    after: After,
) -> Result<HttpResponse, Failure> {
    let failure = Failure::from(error);
    let status = failure.status();
    // Who may not see the page gets no other.
    if status == StatusCode::FORBIDDEN || status.is_server_error() {
        return Err(failure);
    }
    let after = After {
        problem: Some(failure.text(Frame::new(request, "users").t.0).to_owned()),
        ..after
    };
    page(service, caller, request, status, after).await
}

fn back() -> HttpResponse {
    see_other("/users").finish()
}

/// The id of a role's name.
fn role(role: Role) -> &'static str {
    match role {
        Role::Viewer => "role-viewer",
        Role::Operator => "role-operator",
        Role::Admin => "role-admin",
    }
}

fn domains(domains: &Domains) -> String {
    domains.to_string().replace(',', ", ")
}

/// What was typed: nothing means all.
fn typed_domains(text: &str) -> Result<Domains, DomainsError> {
    match text.trim() {
        "" => Ok(Domains::All),
        text => text.parse(),
    }
}
