//! Gateways that run on exactly one switch, spread evenly again: the moves are shown first.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, get, post, web};
use askama::Template;
use serde::Deserialize;

use crate::operate::placement::{Rebalance, RebalanceMove};
use crate::operate::{OperateError, Service};
use crate::portal::SignedIn;
use crate::web::address::gateway_url;
use crate::web::failure::{Failure, page as page_of};
use crate::web::page::{Frame, show};

/// Moves that are named one by one.
const MAX_NAMED: usize = 200;

#[derive(Template)]
#[template(path = "spread.html")]
struct SpreadPage {
    frame: Frame,
    id: String,
    count: usize,
    moves: Vec<Row>,
    /// How many moves are not named.
    more: usize,
    /// The moves changed after they were shown.
    is_other: bool,
    /// How many moves were just asked for.
    begun: Option<usize>,
}

struct Row {
    gateway: String,
    url: String,
    from: String,
    to: String,
}

/// The moves that were shown.
#[derive(Deserialize)]
pub(in crate::web) struct Shown {
    id: String,
}

/// The moves.
#[get("/switches/spread")]
pub(in crate::web) async fn show_moves(
    service: web::Data<Service>,
    SignedIn(caller): SignedIn,
    request: HttpRequest,
) -> HttpResponse {
    let moves = service.plan_rebalance(&caller).await;
    let page = moves.map(|moves| show(StatusCode::OK, &SpreadPage::new(&request, moves)));
    page_of(&request, page.map_err(Failure::from))
}

/// Begins the moves that were shown, and no others.
#[post("/switches/spread")]
pub(in crate::web) async fn start_moves(
    service: web::Data<Service>,
    SignedIn(caller): SignedIn,
    request: HttpRequest,
    shown: web::Form<Shown>,
) -> HttpResponse {
    let page = match service.rebalance(&caller, &shown.id).await {
        Ok(begun) => {
            let page = SpreadPage::new(&request, Rebalance::default());
            let begun = Some(begun);
            Ok(show(StatusCode::OK, &SpreadPage { begun, ..page }))
        }
        Err(OperateError::RebalanceChanged(now)) => {
            let page = SpreadPage::new(&request, *now);
            Ok(show(StatusCode::CONFLICT, &SpreadPage { is_other: true, ..page }))
        }
        Err(error) => Err(error.into()),
    };
    page_of(&request, page)
}

impl SpreadPage {
    fn new(request: &HttpRequest, Rebalance { id, moves }: Rebalance) -> Self {
        Self {
            frame: Frame::new(request, "switches"),
            id,
            count: moves.len(),
            more: moves.len().saturating_sub(MAX_NAMED),
            moves: moves.into_iter().take(MAX_NAMED).map(Row::from).collect(),
            is_other: false,
            begun: None,
        }
    }
}

impl From<RebalanceMove> for Row {
    fn from(wanted: RebalanceMove) -> Self {
        Self {
            url: gateway_url(&wanted.domain, &wanted.gateway),
            gateway: wanted.gateway,
            from: wanted.from,
            to: wanted.to,
        }
    }
}
