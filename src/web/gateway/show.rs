//! The page of one gateway: its state on each switch, findings, what happened, and the XML.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, get, web};
use askama::Template;
use jiff::Timestamp;
use serde::Deserialize;

use super::calls::CallsTable;
use super::changes::{EffectRow, effect_rows};
use super::form::{FoundProblem, Stored, of_path};
use super::placed::PlacedView;
use super::timeline::{self, Happened};
use crate::carriers::Parked;
use crate::history::{Entry, HistoryQuery};
use crate::language::Bilingual;
use crate::operate::gateways::{Effect, GatewayDetail, GatewayRef, Validity};
use crate::operate::listing::ListState;
use crate::operate::placement::PlacementMode;
use crate::operate::recorded;
use crate::operate::status::{Deviation, Gateway};
use crate::operate::{Caller, OperateError, Service};
use crate::portal::SignedIn;
use crate::shown::escaped;
use crate::web::address::gateway_url;
use crate::web::failure::{Failure, no_such_page, page as page_of};
use crate::web::page::{Frame, show};
use crate::web::runbooks;
use crate::web::texts::Texts;
use crate::web::words;

/// Entries of the timeline.
const ENTRIES: usize = 50;

#[derive(Deserialize)]
pub(in crate::web) struct Wanted {
    /// What was just done.
    done: Option<String>,
}

#[derive(Template)]
#[template(path = "gateway.html")]
struct GatewayPage {
    frame: Frame,
    name: String,
    domain: String,
    url: String,
    events: String,
    /// What was just done.
    done: Option<String>,
    problem: Option<String>,
    /// Set unless it is plainly served.
    validity: Option<String>,
    /// What was typed as the name of a copy, or as the new name, and can't be one.
    copy_name: Option<String>,
    new_name: Option<String>,
    is_enabled: bool,
    /// On any switch.
    is_parked: bool,
    /// An older version runs, because the carrier refused the edit, or others.
    is_rolled_back: bool,
    facts: Vec<(String, String)>,
    switches: Vec<SwitchRow>,
    /// `None` unless it runs on exactly one of its switches.
    placed: Option<PlacedView>,
    /// `None` unless calls are counted.
    calls: Option<CallsTable>,
    findings: Vec<FoundProblem>,
    /// `None` while it can't be read.
    timeline: Option<Vec<Happened>>,
    /// `None` if FreeSWITCH doesn't get it.
    xml: Option<String>,
    may_edit: bool,
}

/// The gateway on one switch.
struct SwitchRow {
    switch: String,
    state: &'static str,
    state_label: String,
    /// FreeSWITCH's own word.
    word: String,
    /// In the carrier's words, FreeSWITCH's or trunkd's.
    reason: String,
    explanation: String,
    /// What to do about it.
    advice: String,
    /// The address of more of it.
    runbook: Option<&'static str>,
    effect: Option<EffectRow>,
    ping: String,
    since: String,
    since_exact: String,
    retry: String,
}

/// What the page says besides the state.
#[derive(Default)]
pub(super) struct Said {
    pub(super) done: Option<String>,
    pub(super) problem: Option<String>,
    pub(super) copy_name: Option<String>,
    pub(super) new_name: Option<String>,
}

/// The page.
#[get("/domains/{domain}/gateways/{name}")]
pub(in crate::web) async fn view(
    service: web::Data<Service>,
    SignedIn(caller): SignedIn,
    request: HttpRequest,
    wanted: web::Query<Wanted>,
) -> HttpResponse {
    let Some(of) = of_path(&request) else {
        return no_such_page(request).await;
    };
    let said = Said {
        done: wanted.into_inner().done,
        ..Said::default()
    };
    let made = make(&service, &caller, &request, &of, said, StatusCode::OK).await;
    page_of(&request, made.map_err(Failure::from))
}

/// The page after something failed, which says so.
pub(super) async fn failed(
    service: &Service,
    caller: &Caller,
    request: &HttpRequest,
    of: &GatewayRef,
    failure: Failure,
    said: Said,
) -> HttpResponse {
    let status = failure.status();
    // That page keeps what was typed.
    if status == StatusCode::SERVICE_UNAVAILABLE {
        return failure.response(request);
    }
    let said = Said {
        problem: Some(failure.text(Texts::of(request).0).to_owned()),
        ..said
    };
    match make(service, caller, request, of, said, status).await {
        Ok(page) => page,
        Err(_) => failure.response(request),
    }
}

async fn make(
    service: &Service,
    caller: &Caller,
    request: &HttpRequest,
    of: &GatewayRef,
    said: Said,
    status: StatusCode,
) -> Result<HttpResponse, OperateError> {
    let detail = service.gateway(caller, of).await?;
    let effects = service.effect(caller, of).await?;
    let xml = match service.gateway_xml(caller, of).await {
        Ok(xml) => Some(xml),
        Err(OperateError::NotServed(_)) => None,
        Err(error) => return Err(error),
    };
    let entries = match detail.stale_since {
        Some(_) => None,
        None => Some(entries(service, caller, of).await?),
    };
    let place = detail.placement.as_ref();
    let placed = place.filter(|place| place.placement == PlacementMode::One);
    let targets = match (placed, detail.stale_since) {
        (Some(_), None) => service.move_targets(caller, of).await?,
        _ => Vec::new(),
    };
    let now = Timestamp::now();
    let frame = Frame::new(request, "gateways").with_age(detail.stale_since, now);
    let t = frame.t;
    let may_edit = caller.may_edit(of.domain.text()).is_ok();
    let stored = Stored::of(&detail);
    let page = GatewayPage {
        url: gateway_url(&detail.domain, &detail.name),
        events: events(&detail),
        done: said.done.as_deref().and_then(|done| done_text(t, done)),
        problem: said.problem,
        copy_name: said.copy_name,
        new_name: said.new_name,
        validity: match detail.validity {
            Validity::Valid => None,
            validity => Some(t.get(words::validity(validity)).into_owned()),
        },
        is_enabled: stored.as_ref().is_none_or(Stored::is_enabled),
        is_parked: detail.switches.iter().any(|on| parked(on).is_some()),
        is_rolled_back: detail.switches.iter().any(is_rolled_back),
        facts: stored.as_ref().map(|stored| facts(t, stored)).unwrap_or_default(),
        switches: switch_rows(t, &detail.switches, &effects, now),
        placed: placed.map(|place| PlacedView::new(t, place, targets, now)),
        calls: detail.call_stats.as_ref().map(|stats| CallsTable::new(t, stats, now)),
        findings: detail
            .findings
            .iter()
            .map(|finding| FoundProblem::of(t, finding))
            .collect(),
        timeline: entries.map(|entries| timeline::rows(t, entries, may_edit, now)),
        xml,
        may_edit,
        name: detail.name,
        domain: detail.domain,
        frame,
    };
    Ok(show(status, &page))
}

async fn entries(service: &Service, caller: &Caller, of: &GatewayRef) -> Result<Vec<Entry>, OperateError> {
    let query = HistoryQuery {
        domain: Some(of.domain.to_string()),
        gateway: Some(of.name.to_string()),
        limit: ENTRIES,
        ..HistoryQuery::default()
    };
    Ok(service.history(caller, &query).await?.entries)
}

/// The events about this gateway.
fn events(detail: &GatewayDetail) -> String {
    let query = form_urlencoded::Serializer::new(String::new())
        .append_pair("domain", &detail.domain)
        .append_pair("name", &detail.name)
        .finish();
    format!("/api/v1/events?{query}")
}

fn done_text(t: Texts, done: &str) -> Option<String> {
    let id = match done {
        "saved" => "done-saved",
        "restart" => "done-restart",
        "register" => "done-register",
        "unregister" => "done-unregister",
        "park" => "done-park",
        "unpark" => "done-unpark",
        "move" => "done-move",
        "again" => "done-again",
        "copy" => "done-copy",
        "rename" => "done-rename",
        "undo" => "done-undo",
        _ => return None,
    };
    Some(t.get(id).into_owned())
}

/// What people want to know of it; secrets are in none of these.
fn facts(t: Texts, stored: &Stored) -> Vec<(String, String)> {
    let param = |id: &str, name: &str| (t.get(id).into_owned(), stored.param(name));
    let key = |id: &str, name: &str| (t.get(id).into_owned(), stored.text(name));
    let list = |id: &str, name: &str| (t.get(id).into_owned(), stored.texts(name).join(", "));
    let all = [
        key("field-description", "description"),
        key("column-carrier", "carrier"),
        list("fact-tags", "tags"),
        param("param-realm", "realm"),
        ("proxy".to_owned(), stored.param("proxy")),
        param("param-username", "username"),
        key("column-profile", "profile"),
        list("field-nodes", "nodes"),
    ];
    let set = all.into_iter().filter(|(_, value)| !value.is_empty());
    set.map(|(label, value)| (label, escaped(&value))).collect()
}

fn parked(gateway: &Gateway) -> Option<&Parked> {
    match &gateway.deviation {
        Some(Deviation::Parked { parked }) => Some(parked),
        _ => None,
    }
}

fn is_rolled_back(gateway: &Gateway) -> bool {
    let deviation = gateway.deviation.as_ref();
    deviation.is_some_and(|deviation| matches!(deviation, Deviation::RolledBack { .. } | Deviation::EditHeld { .. }))
}

fn switch_rows(t: Texts, on: &[Gateway], effects: &[Effect], now: Timestamp) -> Vec<SwitchRow> {
    let row = |gateway: &Gateway| {
        let effect = effects.iter().find(|effect| effect.switch == gateway.switch);
        let parked = parked(gateway);
        // What is parked shows why, and not that it is unregistered.
        let reason = match parked {
            Some(parked) => parked.answer(),
            None => words::reason(gateway),
        };
        let reason = reason.unwrap_or_default();
        let state = ListState::from(gateway.condition);
        let since = gateway.usable_since.or(gateway.since);
        SwitchRow {
            switch: gateway.switch.clone(),
            state: state.as_str(),
            state_label: t.get(words::state(state)).into_owned(),
            word: gateway.state.as_ref().map(ToString::to_string).unwrap_or_default(),
            explanation: words::explanation(t, &reason).unwrap_or_default(),
            advice: words::advice(t, &reason).unwrap_or_default(),
            runbook: runbooks::of_gateway(gateway),
            reason: match (&gateway.deviation, parked) {
                (Some(deviation), Some(_)) => deviation.text(t.0),
                _ => recorded(&reason).in_language(t.0).to_owned(),
            },
            effect: effect.and_then(|effect| effect_rows(t, std::slice::from_ref(effect)).pop()),
            ping: gateway.ping_ms.map_or_else(String::new, |ms| format!("{ms:.0}")),
            since: since.map_or_else(String::new, |since| words::ago(t, since, now)),
            since_exact: since.map_or_else(String::new, words::exact),
            retry: gateway.retry_at.map_or_else(String::new, words::exact),
        }
    };
    on.iter().map(row).collect()
}
