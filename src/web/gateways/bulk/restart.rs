//! How far the restart of many gateways is.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, get, web};
use askama::Template;

use super::super::super::failure::{Failure, page as page_of};
use super::super::super::page::{Frame, show};
use crate::operate::Service;
use crate::operate::gateways::{RestartProgress, RestartState};
use crate::portal::SignedIn;
use crate::web::texts::Texts;

/// Failures that the page tells.
const MOST_FAILURES: usize = 50;

#[derive(Template)]
#[template(path = "restarts.html")]
struct RestartsPage {
    frame: Frame,
    is_under_way: bool,
    switches: Vec<OnSwitch>,
    /// Switch, gateway, why.
    failures: Vec<(String, String, String)>,
    more_failures: usize,
}

struct OnSwitch {
    name: String,
    state: String,
    all: usize,
    restarted: usize,
    left: usize,
    failed: usize,
}

/// Shown again and again until all is done.
#[get("/gateways/restarts/{id}")]
pub(in crate::web) async fn show_progress(
    service: web::Data<Service>,
    SignedIn(caller): SignedIn,
    request: HttpRequest,
    id: web::Path<String>,
) -> HttpResponse {
    let shown = service.restart_progress(&caller, &id).await;
    let shown = shown
        .map(|progress| show(StatusCode::OK, &page(Frame::new(&request, "gateways"), progress)))
        .map_err(Failure::from);
    page_of(&request, shown)
}

fn page(frame: Frame, progress: Vec<RestartProgress>) -> RestartsPage {
    let is_under_way = progress.iter().any(RestartProgress::is_under_way);
    let switches = progress.iter().map(|on| OnSwitch::new(frame.t, on)).collect();
    let language = frame.t.0;
    let failed = progress.into_iter().flat_map(|on| {
        let failed = on.failed.into_iter();
        failed.map(move |(gateway, reason)| (on.switch.clone(), gateway, reason.in_language(language).to_owned()))
    });
    let mut failures: Vec<_> = failed.collect();
    let more_failures = failures.len().saturating_sub(MOST_FAILURES);
    failures.truncate(MOST_FAILURES);
    RestartsPage {
        frame,
        is_under_way,
        switches,
        failures,
        more_failures,
    }
}

impl OnSwitch {
    fn new(t: Texts, on: &RestartProgress) -> Self {
        let state = match on.state {
            RestartState::Waiting => "restarts-waiting",
            RestartState::Running => "restarts-running",
            RestartState::Done => "restarts-done",
            RestartState::GivenUp => "restarts-given-up",
        };
        Self {
            name: on.switch.clone(),
            state: t.get(state).into_owned(),
            all: on.all,
            restarted: on.all - on.left - on.failed.len(),
            left: on.left,
            failed: on.failed.len(),
        }
    }
}
