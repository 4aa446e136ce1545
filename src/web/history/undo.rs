//! Undoing an edit: first what it would change, then the write.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, get, post, web};
use askama::Template;
use serde::Deserialize;

use crate::operate::gateways::WriteOptions;
use crate::operate::{Caller, OperateError, Service};
use crate::portal::SignedIn;
use crate::web::address::see_other;
use crate::web::change::Change;
use crate::web::failure::{Failure, page as page_of};
use crate::web::gateway::{EffectRow, effect_rows};
use crate::web::page::{Frame, show};

#[derive(Template)]
#[template(path = "undo.html")]
struct UndoPage {
    frame: Frame,
    id: String,
    /// What undoing it would change now.
    revert: Vec<Change>,
    /// What was changed since, if anything.
    since: Vec<Change>,
    is_edited_since: bool,
    effects: Vec<EffectRow>,
}

#[derive(Deserialize)]
pub(in crate::web) struct Form {
    /// Also if it was edited since.
    #[serde(default)]
    force: bool,
}

/// What undoing an edit would change.
#[get("/history/{id}/undo")]
pub(in crate::web) async fn ask(
    service: web::Data<Service>,
    SignedIn(caller): SignedIn,
    request: HttpRequest,
    id: web::Path<String>,
) -> HttpResponse {
    let answer = preview(&service, &caller, &request, &id).await;
    page_of(&request, answer)
}

/// Undoes it.
#[post("/history/{id}/undo")]
pub(in crate::web) async fn submit(
    service: web::Data<Service>,
    SignedIn(caller): SignedIn,
    request: HttpRequest,
    id: web::Path<String>,
    form: web::Form<Form>,
) -> HttpResponse {
    let options = WriteOptions {
        force: form.force,
        ..WriteOptions::default()
    };
    let answer = match service.revert(&caller, &id, &options).await {
        Ok(_) => Ok(see_other("/history").finish()),
        // Somebody edited it while this was looked at.
        Err(OperateError::EditedSince { .. }) => preview(&service, &caller, &request, &id).await,
        Err(error) => Err(error.into()),
    };
    page_of(&request, answer)
}

async fn preview(service: &Service, caller: &Caller, request: &HttpRequest, id: &str) -> Result<HttpResponse, Failure> {
    let options = WriteOptions {
        dry_run: true,
        ..WriteOptions::default()
    };
    let frame = Frame::new(request, "history");
    let all = |changes: &[crate::gateway::ValueChange]| changes.iter().map(Change::new).collect::<Vec<_>>();
    let (status, revert, since, effects) = match service.revert(caller, id, &options).await {
        Ok(written) => (StatusCode::OK, all(&written.changes), None, written.effect),
        Err(OperateError::EditedSince { since, revert }) => {
            (StatusCode::CONFLICT, all(&revert), Some(all(&since)), Vec::new())
        }
        Err(error) => return Err(error.into()),
    };
    let page = UndoPage {
        id: id.to_owned(),
        revert,
        is_edited_since: since.is_some(),
        since: since.unwrap_or_default(),
        effects: effect_rows(frame.t, &effects),
        frame,
    };
    Ok(show(status, &page))
}
