//! One's own password.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, get, post, web};
use askama::Template;
use secrecy::SecretString;
use serde::Deserialize;

use crate::access::AccessError;
use crate::language::Bilingual;
use crate::operate::{OperateError, Service, people};
use crate::portal::{Problem, SignedIn, peer, session_cookie};
use crate::web::address::see_other;
use crate::web::failure::{Failure, page as page_of};
use crate::web::page::{Frame, show};

#[derive(Template)]
#[template(path = "password.html")]
struct PasswordPage {
    frame: Frame,
    /// Why it was refused.
    problem: Option<String>,
    /// The present one is wrong.
    is_wrong: bool,
    is_done: bool,
}

#[derive(Deserialize)]
pub(in crate::web) struct Wanted {
    /// It was changed.
    #[serde(default)]
    done: bool,
}

#[derive(Deserialize)]
pub(in crate::web) struct Form {
    old: SecretString,
    new: SecretString,
}

/// The page.
#[get("/password")]
pub(in crate::web) async fn form(request: HttpRequest, wanted: web::Query<Wanted>) -> HttpResponse {
    let page = PasswordPage {
        frame: Frame::new(&request, "password"),
        problem: None,
        is_wrong: false,
        is_done: wanted.done,
    };
    show(StatusCode::OK, &page)
}

/// Changes it. That ends every session, so this browser is signed in anew.
#[post("/password")]
pub(in crate::web) async fn change(
    service: web::Data<Service>,
    SignedIn(caller): SignedIn,
    request: HttpRequest,
    sent: web::Form<Form>,
) -> HttpResponse {
    let Form { old, new } = sent.into_inner();
    let people = service.people();
    if let Err(error) = people::set_own_password(people, &caller, &old, &new).await {
        return refused(&request, error);
    }
    let again = async {
        let name = caller.identity.name();
        let signed_in = people::sign_in(people, name, &new, peer(&request)?).await?;
        Ok::<_, Failure>(
            see_other("/password?done=true")
                .cookie(session_cookie(&request, &signed_in))
                .finish(),
        )
    };
    let answer = again.await;
    page_of(&request, answer)
}

fn refused(request: &HttpRequest, error: OperateError) -> HttpResponse {
    let frame = Frame::new(request, "password");
    let is_wrong = matches!(error, OperateError::Access(AccessError::WrongCredentials));
    let text = match is_wrong {
        true => frame.t.get("password-wrong").into_owned(),
        false => error.text(frame.t.0),
    };
    let status = match is_wrong {
        // With 401 the browser would think that nobody is signed in.
        true => StatusCode::UNPROCESSABLE_ENTITY,
        false => StatusCode::from_u16(Problem::from(error).status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
    };
    let page = PasswordPage {
        frame,
        problem: Some(text),
        is_wrong,
        is_done: false,
    };
    show(status, &page)
}
