//! Signing in and out.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use askama::Template;
use secrecy::SecretString;
use serde::Deserialize;

use super::address::{local_path, see_other};
use super::failure::Failure;
use super::page::{Frame, show};
use crate::operate::{Service, people};
use crate::portal::{COOKIE, no_session_cookie, peer, session_cookie};

#[derive(Deserialize)]
pub(super) struct Wanted {
    #[serde(default)]
    next: String,
}

#[derive(Deserialize)]
pub(super) struct Sent {
    name: String,
    password: SecretString,
    #[serde(default)]
    next: String,
}

#[derive(Template)]
#[template(path = "sign_in.html")]
struct SignInPage {
    frame: Frame,
    next: String,
    name: String,
    /// Why it failed.
    problem: Option<String>,
    /// Nobody can sign in yet.
    is_first: bool,
}

/// The sign-in page.
pub(super) async fn form(
    service: web::Data<Service>,
    request: HttpRequest,
    wanted: web::Query<Wanted>,
) -> HttpResponse {
    let is_first = matches!(service.access().has_users().await, Ok(false));
    let page = SignInPage {
        frame: Frame::new(&request, ""),
        next: local_path(&wanted.next).to_owned(),
        name: String::new(),
        problem: None,
        is_first,
    };
    show(StatusCode::OK, &page)
}

/// Signs in and goes on to where one wanted.
pub(super) async fn submit(service: web::Data<Service>, request: HttpRequest, sent: web::Form<Sent>) -> HttpResponse {
    let Sent { name, password, next } = sent.into_inner();
    let signed_in = async {
        let peer = peer(&request)?;
        let signed_in = people::sign_in(service.people(), &name, &password, peer).await;
        signed_in.map_err(Failure::from)
    };
    match signed_in.await {
        Ok(signed_in) => see_other(local_path(&next))
            .cookie(session_cookie(&request, &signed_in))
            .finish(),
        Err(failure) => {
            let frame = Frame::new(&request, "");
            let page = SignInPage {
                problem: Some(failure.text(frame.t.0).to_owned()),
                frame,
                next: local_path(&next).to_owned(),
                name,
                is_first: false,
            };
            show(failure.status(), &page)
        }
    }
}

/// Ends the session. While Redis is away, only this browser and this trunkd forget it.
pub(super) async fn sign_out(service: web::Data<Service>, request: HttpRequest) -> HttpResponse {
    if let Some(cookie) = request.cookie(COOKIE)
        && let Err(error) = service.access().sign_out(cookie.value()).await
    {
        tracing::warn!("a session could not be ended in Redis; it ends when it is not used for 12 hours: {error}");
    }
    see_other("/sign-in").cookie(no_session_cookie()).finish()
}
