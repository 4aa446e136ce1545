//! Drains of a switch: what one would mean comes first.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, get, post, web};
use askama::Template;
use serde::Deserialize;

use super::back;
use super::placement::{StuckList, calls};
use crate::operate::{Caller, Service};
use crate::portal::SignedIn;
use crate::web::failure::{Failure, page as page_of};
use crate::web::page::{Frame, show};

#[derive(Template)]
#[template(path = "drain.html")]
struct DrainPage {
    frame: Frame,
    switch: String,
    /// How many gateways move.
    moves: usize,
    stuck: Option<StuckList>,
    /// `7 calls up`.
    calls: String,
}

#[derive(Deserialize)]
pub(in crate::web) struct Which {
    switch: String,
}

/// What a drain would move.
#[get("/switches/drain")]
pub(in crate::web) async fn ask_to_drain(
    service: web::Data<Service>,
    SignedIn(caller): SignedIn,
    request: HttpRequest,
    which: web::Query<Which>,
) -> HttpResponse {
    let page = ask(&service, &caller, &request, &which.switch).await;
    page_of(&request, page)
}

/// Begins it.
#[post("/switches/drain")]
pub(in crate::web) async fn start_drain(
    service: web::Data<Service>,
    SignedIn(caller): SignedIn,
    request: HttpRequest,
    which: web::Form<Which>,
) -> HttpResponse {
    let drained = service.drain(&caller, &which.switch).await;
    page_of(&request, drained.map(|_| back()).map_err(Failure::from))
}

/// Ends it.
#[post("/switches/undrain")]
pub(in crate::web) async fn end_drain(
    service: web::Data<Service>,
    SignedIn(caller): SignedIn,
    request: HttpRequest,
    which: web::Form<Which>,
) -> HttpResponse {
    let ended = service.undrain(&caller, &which.switch).await;
    page_of(&request, ended.map(|_| back()).map_err(Failure::from))
}

async fn ask(service: &Service, caller: &Caller, request: &HttpRequest, switch: &str) -> Result<HttpResponse, Failure> {
    let now = service.drain_progress(caller, switch).await?;
    let frame = Frame::new(request, "switches");
    let page = DrainPage {
        moves: now.switch.gateways.saturating_sub(now.stuck),
        stuck: StuckList::of(frame.t, &now),
        calls: calls(frame.t, now.calls),
        switch: now.switch.switch,
        frame,
    };
    Ok(show(StatusCode::OK, &page))
}
