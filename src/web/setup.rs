//! The page behind the link that `trunkd serve` prints: it makes the first admin.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use askama::Template;
use secrecy::SecretString;
use serde::Deserialize;

use super::address::see_other;
use super::failure::Failure;
use super::page::{Frame, show};
use crate::operate::{Service, people};
use crate::portal::{peer, session_cookie};

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

pub(super) async fn form(request: HttpRequest, link: web::Query<Link>) -> HttpResponse {
    let page = SetupPage {
        frame: Frame::new(&request, ""),
        code: link.into_inner().code,
        name: String::new(),
        problem: None,
    };
    show(StatusCode::OK, &page)
}

pub(super) async fn submit(service: web::Data<Service>, request: HttpRequest, sent: web::Form<Sent>) -> HttpResponse {
    let Sent { code, name, password } = sent.into_inner();
    let set_up = async {
        let peer = peer(&request)?;
        let set_up = people::set_up(service.people(), &code, &name, password, peer).await;
        set_up.map_err(Failure::from)
    };
    match set_up.await {
        Ok(signed_in) => see_other("/").cookie(session_cookie(&request, &signed_in)).finish(),
        Err(failure) => {
            let frame = Frame::new(&request, "");
            let page = SetupPage {
                problem: Some(failure.text(frame.t.0).to_owned()),
                frame,
                code,
                name,
            };
            show(failure.status(), &page)
        }
    }
}
