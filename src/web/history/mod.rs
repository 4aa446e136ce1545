//! The page with what happened: filters and paging in its address, and undo.

mod undo;

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, get, web};
use askama::Template;
use jiff::Timestamp;
use serde::Deserialize;

use super::address::{gateway_url, with_query};
use super::change::Change;
use super::failure::{Failure, page as page_of};
use super::page::{Frame, show};
use super::sentence;
use super::words;
use crate::history::{EditKind, Entry, Event, HistoryQuery, Kind, is_entry_id};
use crate::language::{message, text};
use crate::operate::{Caller, Service};
use crate::portal::{Problem, SignedIn};
pub(super) use undo::{ask, submit};

/// Entries on a page.
const PAGE: usize = 50;
/// What one may choose as the age of the oldest entry.
const AGES: [&str; 5] = ["1h", "24h", "7d", "30d", "365d"];

#[derive(Template)]
#[template(path = "history.html")]
struct HistoryPage {
    frame: Frame,
    filters: Filters,
    kinds: Vec<(&'static str, String)>,
    ages: Vec<(&'static str, String)>,
    switches: Vec<String>,
    lines: Vec<Line>,
    is_filtered: bool,
    first: Option<String>,
    next: Option<String>,
}

/// The filters, as they stand in the address.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Filters {
    domain: String,
    gateway: String,
    switch: String,
    who: String,
    kind: String,
    since: String,
    after: String,
}

/// An entry.
struct Line {
    id: String,
    ago: String,
    exact: String,
    who: String,
    what: String,
    place: String,
    place_url: Option<String>,
    switch: String,
    changes: Vec<Change>,
    undo: Option<String>,
}

impl Filters {
    fn query(&self) -> Result<HistoryQuery, Problem> {
        let given = |text: &str| Some(text.trim().to_owned()).filter(|text| !text.is_empty());
        let wrong = |name: &str, fix| {
            let reason = message!("{name} can't be read", "{name} 无法识别");
            Problem::bad_request(name, reason, fix)
        };
        let kinds = Kind::ALL.into_iter().filter(|kind| kind.as_str() == self.kind);
        let since = match self.since.as_str() {
            "" => None,
            age => {
                let age = humantime::parse_duration(age)
                    .map_err(|_| wrong("since", text("write 24h or 7d", "请写成 24h 或 7d")))?;
                Timestamp::now().checked_sub(age).ok()
            }
        };
        if !self.after.is_empty() && !is_entry_id(&self.after) {
            return Err(wrong(
                "after",
                text("follow the link to the next page", "请用下一页的链接"),
            ));
        }
        Ok(HistoryQuery {
            domain: given(&self.domain),
            gateway: given(&self.gateway),
            switch: given(&self.switch),
            who: given(&self.who),
            kinds: kinds.collect(),
            since,
            until: None,
            before: given(&self.after),
            limit: PAGE,
        })
    }

    fn url(&self, after: &str) -> String {
        let values = [
            ("domain", self.domain.as_str()),
            ("gateway", &self.gateway),
            ("switch", &self.switch),
            ("who", &self.who),
            ("kind", &self.kind),
            ("since", &self.since),
            ("after", after),
        ];
        with_query("/history", &values)
    }
}

/// The page.
#[get("/history")]
pub(super) async fn list(
    service: web::Data<Service>,
    SignedIn(caller): SignedIn,
    request: HttpRequest,
    filters: web::Query<Filters>,
) -> HttpResponse {
    let answer = make(&service, &caller, &request, filters.into_inner()).await;
    page_of(&request, answer)
}

async fn make(
    service: &Service,
    caller: &Caller,
    request: &HttpRequest,
    filters: Filters,
) -> Result<HttpResponse, Failure> {
    let found = service.history(caller, &filters.query()?).await?;
    let choices = service.choices(caller).await?;
    let (frame, now) = (Frame::new(request, "history"), Timestamp::now());
    let t = frame.t;
    let lines = found.entries.iter().map(|entry| Line {
        id: entry.id.clone(),
        ago: words::ago(t, entry.at, now),
        exact: words::exact(entry.at),
        who: sentence::who(t, &entry.who),
        what: sentence::what(t, &entry.event),
        place: sentence::place(entry),
        place_url: place_url(entry),
        switch: entry.switch.clone().unwrap_or_default(),
        changes: sentence::changes(&entry.event),
        undo: may_undo(caller, entry).then(|| format!("/history/{}/undo", entry.id)),
    });
    let page = HistoryPage {
        lines: lines.collect(),
        kinds: Kind::ALL
            .map(|kind| (kind.as_str(), t.get(sentence::kind(kind)).into_owned()))
            .to_vec(),
        ages: AGES.map(|age| (age, t.with("history-last", age).into_owned())).to_vec(),
        switches: choices.switches,
        is_filtered: filters.url("") != "/history",
        first: (!filters.after.is_empty()).then(|| filters.url("")),
        next: found.next.map(|next| filters.url(&next)),
        filters,
        frame,
    };
    Ok(show(StatusCode::OK, &page))
}

fn place_url(entry: &Entry) -> Option<String> {
    Some(gateway_url(entry.domain.as_deref()?, entry.gateway.as_deref()?))
}

/// Whether it is an edit that this person may take back.
fn may_undo(caller: &Caller, entry: &Entry) -> bool {
    let is_edit = matches!(&entry.event, Event::Edit { edit, .. } if *edit != EditKind::Rename);
    let may_edit = |domain: &str| caller.may_edit(domain).is_ok();
    is_edit && entry.gateway.is_some() && entry.domain.as_deref().is_some_and(may_edit)
}
