//! Lists of gateways, domains and switches.

use actix_web::{HttpResponse, get, web};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::body::page_limit;
use super::guard::SignedIn;
use super::problem::Problem;
use super::responses::{BadRequest, Forbidden, Unauthorized, Unavailable};
use crate::operate::Service;
use crate::operate::gateways::Validity;
use crate::operate::listing::{Cursor, Direction, DomainSummary, ListQuery, Page, Sort, SwitchSummary};

/// Which gateways, in which order.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
pub(super) struct ListParams {
    pub(super) domain: Option<String>,
    /// Words that all occur in name, description, carrier, realm, proxy, username or tags.
    pub(super) q: Option<String>,
    /// Words with commas between: `up`, `down` (with `missing`), `missing`, `trying`, `unknown`, `idle`, or
    /// FreeSWITCH's own, such as `REGED` and `FAIL_WAIT`.
    pub(super) state: Option<String>,
    /// Only gateways that this switch has or is to have. `state` then means that on it.
    pub(super) switch: Option<String>,
    pub(super) profile: Option<String>,
    pub(super) carrier: Option<String>,
    pub(super) tag: Option<String>,
    /// Words with commas between: `valid`, `disabled`, `kept`, `invalid`, `shadowed`.
    pub(super) validity: Option<String>,
    /// `name`, `domain`, `state`, `since`, `ping_ms`, `profile` or `carrier`; `-` in front turns it round.
    pub(super) sort: Option<String>,
    /// 100, at most 1000.
    pub(super) limit: Option<usize>,
    /// The `next` of the page before.
    pub(super) after: Option<String>,
}

#[derive(Serialize, ToSchema)]
pub(super) struct Domains {
    items: Vec<DomainSummary>,
}

#[derive(Serialize, ToSchema)]
pub(super) struct Switches {
    items: Vec<SwitchSummary>,
}

impl ListParams {
    pub(super) fn query(self) -> Result<ListQuery, Problem> {
        let limit = page_limit(self.limit)?;
        let (sort, direction) = sort(self.sort.as_deref())?;
        let words = |words: Option<String>| -> Vec<String> {
            let words = words.unwrap_or_default();
            let words = words.split(',').map(str::trim).filter(|word| !word.is_empty());
            words.map(str::to_owned).collect()
        };
        let after = self.after.as_deref().map(Cursor::parse).transpose();
        Ok(ListQuery {
            states: words(self.state),
            validity: words(self.validity)
                .iter()
                .map(|word| validity(word))
                .collect::<Result<_, _>>()?,
            after: after.map_err(|error| {
                Problem::bad_request("after", error.to_string(), "send back the `next` of the page before")
            })?,
            domain: self.domain,
            search: self.q,
            switch: self.switch,
            profile: self.profile,
            carrier: self.carrier,
            tag: self.tag,
            sort,
            direction,
            limit,
        })
    }
}

fn sort(text: Option<&str>) -> Result<(Sort, Direction), Problem> {
    let Some(text) = text else {
        return Ok((Sort::default(), Direction::default()));
    };
    Sort::parse(text).ok_or_else(|| {
        let names = Sort::ALL.map(|(name, _)| name).join(", ");
        Problem::bad_request(
            "sort",
            "there is no such order",
            format!("write one of {names}, or - and one"),
        )
    })
}

fn validity(word: &str) -> Result<Validity, Problem> {
    Validity::parse(word).ok_or_else(|| {
        let names = Validity::ALL.map(Validity::as_str).join(", ");
        Problem::bad_request("validity", "there is no such word", format!("write some of {names}"))
    })
}

/// Gateways
///
/// What Redis wants and what the switches do, a page at a time. `counts` has how many there are of each
/// state and validity for the same filter.
#[utoipa::path(
    tag = "Gateways", params(ListParams), context_path = "/api/v1",
    responses(
        (status = 200, description = "A page", body = Page),
        BadRequest, Unauthorized, Forbidden, Unavailable,
    )
)]
#[get("/gateways")]
pub(super) async fn gateways(
    service: web::Data<Service>,
    SignedIn(caller): SignedIn,
    params: web::Query<ListParams>,
) -> Result<HttpResponse, Problem> {
    let page = service.list(&caller, &params.into_inner().query()?).await?;
    Ok(HttpResponse::Ok().json(page))
}

/// Domains
///
/// Those of yours that Redis has, with their gateways by state.
#[utoipa::path(
    tag = "Gateways", context_path = "/api/v1",
    responses((status = 200, description = "By name", body = Domains), Unauthorized, Unavailable)
)]
#[get("/domains")]
pub(super) async fn domains(service: web::Data<Service>, SignedIn(caller): SignedIn) -> Result<HttpResponse, Problem> {
    let items = service.domains(&caller).await?;
    Ok(HttpResponse::Ok().json(Domains { items }))
}

/// Switches
#[utoipa::path(
    tag = "Switches", context_path = "/api/v1",
    responses((status = 200, description = "By name", body = Switches), Unauthorized, Unavailable)
)]
#[get("/switches")]
pub(super) async fn switches(service: web::Data<Service>, SignedIn(caller): SignedIn) -> Result<HttpResponse, Problem> {
    let items = service.switches(&caller).await?;
    Ok(HttpResponse::Ok().json(Switches { items }))
}
