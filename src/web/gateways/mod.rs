//! The page with all gateways: filters, sorting and paging, all in its address.

pub(super) mod bulk;
mod filters;
mod row;

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, get, web};
use askama::Template;
use jiff::Timestamp;

use super::failure::{Failure, page as page_of};
use super::page::{Frame, show};
use crate::operate::listing::{Choices, Page};
use crate::operate::{Caller, Service};
use crate::portal::{ListParams, SignedIn};
use filters::{Chip, Column, Field, Order};
use row::Row;

/// Gateways on a page.
const PAGE: usize = 50;

#[derive(Template)]
#[template(path = "gateways.html")]
struct GatewaysPage {
    frame: Frame,
    rows: Vec<Row>,
    columns: Vec<Column>,
    orders: Vec<Order>,
    chips: Vec<Chip>,
    fields: Vec<Field>,
    search: String,
    /// Filters that have no field of their own.
    hidden: Vec<(&'static str, String)>,
    total: usize,
    /// Whether anything is left out by a filter.
    is_filtered: bool,
    next: Option<String>,
    first: Option<String>,
    /// The filters again, for "all that match".
    filter: String,
    /// Where all that match are a file.
    export: String,
}

/// The list.
#[get("/gateways")]
pub(super) async fn list(
    service: web::Data<Service>,
    SignedIn(caller): SignedIn,
    request: HttpRequest,
    params: web::Query<ListParams>,
) -> HttpResponse {
    let page = make(&service, &caller, &request, params.into_inner()).await;
    page_of(&request, page)
}

async fn make(
    service: &Service,
    caller: &Caller,
    request: &HttpRequest,
    mut params: ListParams,
) -> Result<HttpResponse, Failure> {
    params.limit.get_or_insert(PAGE);
    // An empty field of the form is no filter.
    for field in [
        &mut params.domain,
        &mut params.q,
        &mut params.state,
        &mut params.switch,
        &mut params.profile,
        &mut params.carrier,
        &mut params.tag,
        &mut params.validity,
        &mut params.sort,
    ] {
        field.take_if(|text| text.is_empty());
    }
    let found = service.list(caller, &params.clone().query()?).await?;
    let choices = service.choices(caller).await?;
    let now = Timestamp::now();
    let frame = Frame::new(request, "gateways").with_age(found.stale_since, now);
    let page = page(frame, &params, found, &choices, now);
    Ok(show(StatusCode::OK, &page))
}

fn page(frame: Frame, params: &ListParams, found: Page, choices: &Choices, now: Timestamp) -> GatewaysPage {
    let t = frame.t;
    GatewaysPage {
        columns: filters::columns(t, params),
        orders: filters::orders(t, params),
        chips: filters::chips(t, params, &found.counts),
        fields: filters::fields(t, params, choices),
        search: params.q.clone().unwrap_or_default(),
        hidden: filters::hidden(params),
        total: found.total,
        is_filtered: filters::is_filtered(params),
        next: found.next.map(|next| {
            filters::url(&ListParams {
                after: Some(next),
                ..params.clone()
            })
        }),
        first: params.after.as_ref().map(|_| {
            filters::url(&ListParams {
                after: None,
                ..params.clone()
            })
        }),
        rows: found.items.into_iter().map(|item| Row::new(t, item, now)).collect(),
        export: format!("/api/v1/export?{}", filters::filter(params)),
        filter: filters::filter(params),
        frame,
    }
}
