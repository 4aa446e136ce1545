//! What happened, and undoing it.

use actix_web::{HttpRequest, HttpResponse, get, post, web};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::gateways::{GatewayPath, WriteAnswer, WriteQuery, answer};
use super::responses::{
    BadRequest, Conflict, Forbidden, NotFound, PreconditionFailed, Unauthorized, Unavailable, Unprocessable,
};
use crate::history::{Entry, HistoryQuery, Kind, is_entry_id};
use crate::language::{message, text};
use crate::operate::Service;
use crate::portal::{MAX_PAGE, page_limit};
use crate::portal::{Problem, SignedIn};

/// Which entries.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
pub(super) struct HistoryParams {
    domain: Option<String>,
    /// With `domain`.
    gateway: Option<String>,
    switch: Option<String>,
    /// `user:alice`, `token:ci`, `cli:root@host`, `redis` or `trunkd`.
    who: Option<String>,
    /// Kinds of entries with commas between: `edit,outage,recovered`.
    kind: Option<String>,
    /// Nothing older: RFC 3339.
    since: Option<String>,
    /// Nothing newer: RFC 3339.
    until: Option<String>,
    /// 100, at most 1000.
    limit: Option<usize>,
    /// The `next` of the page before.
    after: Option<String>,
}

/// A page of the history, newest first.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct HistoryAnswer {
    pub items: Vec<Entry>,
    /// Where the next page begins: send it as `after`. `null` if this is the last.
    pub next: Option<String>,
}

impl HistoryParams {
    fn query(self) -> Result<HistoryQuery, Problem> {
        let limit = page_limit(self.limit)?;
        if self.gateway.is_some() && self.domain.is_none() {
            return Err(Problem::bad_request(
                "domain",
                text("gateway needs domain", "gateway 需要 domain"),
                text("name the domain too", "请同时给出域"),
            ));
        }
        let kinds = self.kind.iter().flat_map(|kinds| kinds.split(','));
        Ok(HistoryQuery {
            kinds: kinds.map(kind).collect::<Result<_, _>>()?,
            since: time("since", self.since.as_deref())?,
            until: time("until", self.until.as_deref())?,
            before: self.after.map(cursor).transpose()?,
            limit,
            domain: self.domain,
            gateway: self.gateway,
            switch: self.switch,
            who: self.who,
        })
    }
}

fn kind(name: &str) -> Result<Kind, Problem> {
    let kind = Kind::ALL.into_iter().find(|kind| kind.as_str() == name.trim());
    kind.ok_or_else(|| {
        let known: Vec<_> = Kind::ALL.iter().map(|kind| kind.as_str()).collect();
        let known = known.join(", ");
        let reason = text("there is no such kind of entry", "没有这种记录");
        Problem::bad_request("kind", reason, message!("write one of {known}", "可用 {known} 之一"))
    })
}

fn time(name: &str, given: Option<&str>) -> Result<Option<Timestamp>, Problem> {
    let parse = |given: &str| {
        given.parse().map_err(|_| {
            let fix = text("write it as 2026-11-26T10:00:00Z", "请写成 2026-11-26T10:00:00Z");
            Problem::bad_request(name, message!("{name} is no time", "{name} 不是时间"), fix)
        })
    };
    given.map(parse).transpose()
}

fn cursor(given: String) -> Result<String, Problem> {
    match is_entry_id(&given) {
        true => Ok(given),
        false => Err(Problem::bad_request(
            "after",
            text("after is no cursor", "after 不是有效的游标"),
            text("send back the `next` of the page before", "请送回上一页的 `next`"),
        )),
    }
}

/// The history
///
/// Edits, outages, actions, holds and sign-ins, newest first. Only what is about your domains.
#[utoipa::path(
    tag = "History", params(HistoryParams), context_path = "/api/v1",
    responses(
        (status = 200, description = "A page", body = HistoryAnswer),
        BadRequest, Unauthorized, Forbidden, Unavailable,
    )
)]
#[get("/history")]
pub(super) async fn get_history(
    service: web::Data<Service>,
    SignedIn(caller): SignedIn,
    params: web::Query<HistoryParams>,
) -> Result<HttpResponse, Problem> {
    let page = service.history(&caller, &params.into_inner().query()?).await?;
    Ok(HttpResponse::Ok().json(HistoryAnswer {
        items: page.entries,
        next: page.next,
    }))
}

/// A gateway's history
///
/// Its last 200 entries are kept whatever happens to others.
#[utoipa::path(
    tag = "History", params(GatewayPath), context_path = "/api/v1",
    responses(
        (status = 200, description = "Newest first", body = HistoryAnswer),
        BadRequest, Unauthorized, Forbidden, Unavailable,
    )
)]
#[get("/domains/{domain}/gateways/{name}/history")]
pub(super) async fn gateway_history(
    service: web::Data<Service>,
    SignedIn(caller): SignedIn,
    path: web::Path<GatewayPath>,
) -> Result<HttpResponse, Problem> {
    let of = path.parse()?;
    let query = HistoryQuery {
        domain: Some(of.domain.to_string()),
        gateway: Some(of.name.to_string()),
        limit: MAX_PAGE,
        ..HistoryQuery::default()
    };
    let page = service.history(&caller, &query).await?;
    Ok(HttpResponse::Ok().json(HistoryAnswer {
        items: page.entries,
        next: page.next,
    }))
}

/// Undo an edit
///
/// Writes back what stood before it, as an edit of its own. 409 if the gateway was edited since, unless
/// `force`.
#[utoipa::path(
    tag = "History", params(("id" = String, Path, description = "The entry"), WriteQuery), context_path = "/api/v1",
    responses(
        (status = 200, description = "It was undone, or this was a dry run", body = WriteAnswer),
        (status = 201, description = "The gateway was created again", body = WriteAnswer),
        BadRequest, Unauthorized, Forbidden, NotFound, Conflict, PreconditionFailed, Unprocessable, Unavailable,
    )
)]
#[post("/history/{id}/revert")]
pub(super) async fn revert(
    service: web::Data<Service>,
    SignedIn(caller): SignedIn,
    id: web::Path<String>,
    query: web::Query<WriteQuery>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let options = query.options(&request)?;
    let written = service.revert(&caller, &id, &options).await;
    answer(&request, written, options.dry_run)
}
