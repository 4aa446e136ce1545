//! Somebody else saved first: both versions, and the choice.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse};
use askama::Template;

use super::entry::{Entry, Target, secret_params};
use crate::operate::gateways::{Effect, GatewayDetail, Precondition, WriteOptions};
use crate::operate::{Caller, OperateError, Service};
use crate::web::failure::Failure;
use crate::web::gateway::changes::{ChangeRow, EffectRow, change_rows, effect_rows};
use crate::web::page::{Frame, show};

/// What the others made of it.
pub(super) enum Theirs {
    Changed(Box<GatewayDetail>),
    Gone,
}

#[derive(Template)]
#[template(path = "gateway_conflict.html")]
struct ConflictPage {
    frame: Frame,
    name: String,
    is_gone: bool,
    /// A stored secret was to be kept, and is gone.
    loses_secret: bool,
    /// Theirs, and what was typed.
    changes: Vec<ChangeRow>,
    effects: Vec<EffectRow>,
    /// Where mine goes.
    action: String,
    hidden: Vec<(String, String)>,
    /// Where theirs is.
    theirs: String,
}

/// Shows both. What was typed is in the page, so nothing is lost.
pub(super) async fn page(
    service: &Service,
    caller: &Caller,
    request: &HttpRequest,
    entry: &Entry,
    theirs: Theirs,
) -> HttpResponse {
    match make(service, caller, request, entry, &theirs).await {
        Ok(response) => response,
        Err(error) => Failure::from(error).response(request),
    }
}

async fn make(
    service: &Service,
    caller: &Caller,
    request: &HttpRequest,
    entry: &Entry,
    theirs: &Theirs,
) -> Result<HttpResponse, OperateError> {
    let frame = Frame::new(request, "gateways");
    let (Target::Edit(of), Some(sent)) = (&entry.target, &entry.sent) else {
        return Err(OperateError::Interrupted);
    };
    let (mut changes, mut effects): (Vec<ChangeRow>, Vec<Effect>) = (Vec::new(), Vec::new());
    let etag = match theirs {
        Theirs::Gone => None,
        Theirs::Changed(now) => now.etag.as_ref().map(|etag| etag.as_str()),
    };
    if let (Theirs::Changed(_), Some(body)) = (theirs, entry.body()) {
        let options = WriteOptions {
            precondition: Precondition::None,
            dry_run: true,
            force: true,
            ..WriteOptions::default()
        };
        let mine = service.write_gateway(caller, of, &body, &options).await?;
        changes = change_rows(&mine.changes);
        effects = mine.effect;
    }
    let sealed = entry.sealed(service, caller).await;
    let mut hidden = sent.hidden(etag, &sealed);
    let is_gone = matches!(theirs, Theirs::Gone);
    if is_gone {
        hidden.push(("domain".to_owned(), of.domain.to_string()));
        hidden.push(("name".to_owned(), of.name.to_string()));
    }
    let page = ConflictPage {
        name: of.name.to_string(),
        is_gone,
        loses_secret: is_gone && secret_params().any(|name| sent.choice(name) == "keep"),
        changes,
        effects: effect_rows(frame.t, &effects),
        action: if is_gone { Target::New.url() } else { entry.target.url() },
        hidden,
        theirs: if is_gone {
            Target::New.back()
        } else {
            entry.target.url()
        },
        frame,
    };
    Ok(show(StatusCode::CONFLICT, &page))
}
