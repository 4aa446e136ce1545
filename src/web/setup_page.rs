//! The page behind the link that `trunkd serve` prints: it makes the first admin.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, get, post, web};
use secrecy::SecretString;
use serde::Deserialize;

use crate::operate::{Service, people};
use crate::portal::{Problem, peer, session_cookie};

const PAGE: &str = include_str!("setup.html");
const HTML: &str = "text/html; charset=utf-8";

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

#[get("/setup")]
pub(super) async fn page(link: web::Query<Link>) -> HttpResponse {
    show(StatusCode::OK, &link.code, "")
}

#[post("/setup")]
pub(super) async fn submit(
    service: web::Data<Service>,
    request: HttpRequest,
    form: web::Form<Form>,
) -> Result<HttpResponse, Problem> {
    let Form { code, name, password } = form.into_inner();
    match people::set_up(service.people(), &code, &name, password, peer(&request)?).await {
        Ok(signed_in) => Ok(HttpResponse::Ok()
            .cookie(session_cookie(&request, &signed_in))
            .content_type(HTML)
            .body(format!(
                "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>trunkd</title><p>{} is an admin now, and \
                 signed in. The API is described at <a href=\"/api/docs/\">/api/docs</a>.</html>",
                escape(&name)
            ))),
        Err(error) => {
            let problem = Problem::from(error);
            let status = StatusCode::from_u16(problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            Ok(show(status, &code, &problem.detail))
        }
    }
}

fn show(status: StatusCode, code: &str, message: &str) -> HttpResponse {
    let message = match message {
        "" => String::new(),
        message => format!("<p role=\"alert\">{}</p>", escape(message)),
    };
    let html = PAGE.replace("{{message}}", &message).replace("{{code}}", &escape(code));
    HttpResponse::build(status).content_type(HTML).body(html)
}

fn escape(text: &str) -> String {
    quick_xml::escape::escape(text).into_owned()
}
