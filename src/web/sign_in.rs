//! Signing in and out.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, get, post, web};
use askama::Template;
use secrecy::SecretString;
use serde::Deserialize;

use super::address::{local_path, see_other};
use super::failure::{Failure, page as page_of};
use super::page::{Frame, show};
use crate::operate::{OperateError, Service, people};
use crate::portal::{COOKIE, check_origin, no_session_cookie, peer, session_cookie};

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
#[get("/sign-in")]
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
#[post("/sign-in")]
pub(super) async fn submit(service: web::Data<Service>, request: HttpRequest, sent: web::Form<Sent>) -> HttpResponse {
    let answer = sign_in(&service, &request, sent.into_inner()).await;
    page_of(&request, answer)
}

async fn sign_in(service: &Service, request: &HttpRequest, sent: Sent) -> Result<HttpResponse, Failure> {
    check_origin(request)?;
    let Sent { name, password, next } = sent;
    match people::sign_in(service.people(), &name, &password, peer(request)?).await {
        Ok(signed_in) => Ok(see_other(local_path(&next))
            .cookie(session_cookie(request, &signed_in))
            .finish()),
        Err(error) => {
            let frame = Frame::new(request, "");
            let failure = Failure::from(error);
            let page = SignInPage {
                problem: Some(failure.text(frame.t.0).to_owned()),
                frame,
                next: local_path(&next).to_owned(),
                name,
                is_first: false,
            };
            Ok(show(failure.status(), &page))
        }
    }
}

/// Ends the session.
#[post("/sign-out")]
pub(super) async fn sign_out(service: web::Data<Service>, request: HttpRequest) -> HttpResponse {
    let ended = async {
        if let Some(cookie) = request.cookie(COOKIE) {
            let ended = service.access().sign_out(cookie.value()).await;
            ended.map_err(OperateError::Store)?;
        }
        Ok::<_, Failure>(see_other("/sign-in").cookie(no_session_cookie()).finish())
    };
    let ended = ended.await;
    page_of(&request, ended)
}
