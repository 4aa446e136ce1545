//! The page behind the link that `trunkd serve` prints: it makes the first admin.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, get, post, web};
use askama::Template;
use secrecy::SecretString;
use serde::Deserialize;

use super::address::see_other;
use super::failure::Failure;
use super::page::{Frame, show};
use crate::operate::{Service, people};
use crate::portal::{Problem, check_origin, peer, session_cookie};

#[derive(Deserialize)]
pub(super) struct Link {
    #[serde(default)]
    code: String,
}

#[derive(Deserialize)]
pub(super) struct Form {
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
pub(super) async fn submit(
    service: web::Data<Service>,
    request: HttpRequest,
    sent: web::Form<Form>,
) -> Result<HttpResponse, Problem> {
    check_origin(&request)?;
    let Form { code, name, password } = sent.into_inner();
    match people::set_up(service.people(), &code, &name, password, peer(&request)?).await {
        Ok(signed_in) => Ok(see_other("/").cookie(session_cookie(&request, &signed_in)).finish()),
        Err(error) => {
            let frame = Frame::new(&request, "");
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
