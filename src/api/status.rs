//! The status of everything.

use actix_web::{HttpRequest, HttpResponse, get, web};
use serde::Deserialize;
use utoipa::IntoParams;

use super::language;
use super::responses::{BadRequest, Forbidden, NotFound, Unauthorized, Unavailable};
use crate::language::text;
use crate::operate::Service;
use crate::operate::status::{NoSuchState, Selection, StateFilter, Status};
use crate::portal::{Problem, SignedIn};
use crate::portal::{page_limit, words};

/// Which gateways.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
pub(super) struct StatusParams {
    /// Names with commas between.
    name: Option<String>,
    switch: Option<String>,
    domain: Option<String>,
    /// Words with commas between: `up`, `down`, `missing`, `trying`, `unknown`, `parked`, or FreeSWITCH's
    /// own.
    state: Option<String>,
    /// Only gateways that need attention.
    failing: bool,
    /// 100, at most 1000; the worst first.
    limit: Option<usize>,
}

impl StatusParams {
    fn selection(self) -> Result<Selection, Problem> {
        let states = words(self.state.as_deref()).map(|word| word.parse::<StateFilter>());
        let states: Result<_, _> = states.collect();
        Ok(Selection {
            names: words(self.name.as_deref()).map(str::to_owned).collect(),
            switches: self.switch.into_iter().collect(),
            states: states.map_err(|NoSuchState(fix)| {
                Problem::bad_request("state", text("there is no such state", "没有这样的状态"), fix)
            })?,
            failing: self.failing,
            domains: self.domain.into_iter().collect(),
            limit: Some(page_limit(self.limit)?),
        })
    }
}

/// Status
///
/// What `trunkd status --json` prints: each switch with its gateways, what is wrong, and a code for why.
/// `version` is the version of this shape.
#[utoipa::path(
    tag = "Switches", params(StatusParams), context_path = "/api/v1",
    responses(
        (status = 200, description = "The status", body = Status),
        BadRequest, Unauthorized, Forbidden, NotFound, Unavailable,
    )
)]
#[get("/status")]
pub(super) async fn status(
    service: web::Data<Service>,
    SignedIn(caller): SignedIn,
    params: web::Query<StatusParams>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let status = service.status(&caller, &params.into_inner().selection()?).await?;
    Ok(language::ok(&request, &status))
}
