//! The page behind the link that `trunkd serve` prints: it makes the first admin.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, get, post, web};
use askama::Template;
use secrecy::SecretString;
use serde::Deserialize;

use super::address::see_other;
use super::failure::{Failure, page as page_of};
use super::page::{Frame, show};
use crate::operate::{Service, people};
use crate::portal::{check_origin, peer, session_cookie};

#[derive(Deserialize)]
pub(super) struct Link {
    #[serde(default)]
    code: String,
}

#[derive(Deserialize)]
pub(super) struct Sent {
    code: String,
    name: String,
    password: SecretString,
}

#[derive(Template)]
#[template(path = "setup.html")]
struct SetupPage {
    frame: Frame,
    code: String,
    name: String,
    problem: Option<String>,
}

#[get("/setup")]
pub(super) async fn form(request: HttpRequest, link: web::Query<Link>) -> HttpResponse {
    let page = SetupPage {
        frame: Frame::new(&request, ""),
        code: link.into_inner().code,
        name: String::new(),
        problem: None,
    };
    show(StatusCode::OK, &page)
}

#[post("/setup")]
pub(super) async fn submit(service: web::Data<Service>, request: HttpRequest, sent: web::Form<Sent>) -> HttpResponse {
    let answer = set_up(&service, &request, sent.into_inner()).await;
    page_of(&request, answer)
}

async fn set_up(service: &Service, request: &HttpRequest, sent: Sent) -> Result<HttpResponse, Failure> {
    check_origin(request)?;
    let Sent { code, name, password } = sent;
    match people::set_up(service.people(), &code, &name, password, peer(request)?).await {
        Ok(signed_in) => Ok(see_other("/").cookie(session_cookie(request, &signed_in)).finish()),
        Err(error) => {
            let frame = Frame::new(request, "");
            let failure = Failure::from(error);
            let page = SetupPage {
                problem: Some(failure.text(frame.t.0).to_owned()),
                frame,
                code,
                name,
            };
            Ok(show(failure.status(), &page))
        }
    }
}
