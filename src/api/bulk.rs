//! One change to many gateways, and many restarts.

use std::collections::BTreeSet;

use actix_web::{HttpRequest, HttpResponse, Resource, get, web};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::{IntoParams, ToSchema};

use super::body::{self, BodyLimit, Sent};
use super::gateways;
use super::language::{self, LanguageQuery};
use super::responses::{BadRequest, Conflict, Forbidden, NotFound, TooLarge, Unauthorized, Unavailable};
use crate::gateway::{DomainName, GatewayName};
use crate::language::{Language, message, text};
use crate::operate::gateways::bulk::{BulkAnswer, BulkOptions, Change, Chosen, MAX_GATEWAYS};
use crate::operate::gateways::{LeftOut, Restart, RestartOn, RestartOptions, RestartProgress};
use crate::operate::{OperateError, Service};
use crate::portal::ListParams;
use crate::portal::{Problem, SignedIn};

/// The largest body, in bytes: [`MAX_GATEWAYS`] by name take some 6 MB.
const MAX_BODY_BYTES: usize = 16 * 1024 * 1024;

/// Which gateways, and what to do with each: `{"filter": {"tag": "old"}, "do": "disable"}`.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct BulkBody {
    /// All that this selects and that are in your domains; `{}` selects every one.
    filter: Option<BulkFilter>,
    /// Or these, at most 100,000.
    gateways: Option<Vec<NamedGateway>>,
    /// What to do with each of them.
    #[serde(rename = "do")]
    action: BulkAction,
}

/// The same words as in the query of `GET /gateways`.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct BulkFilter {
    q: Option<String>,
    domain: Option<String>,
    state: Option<String>,
    switch: Option<String>,
    profile: Option<String>,
    carrier: Option<String>,
    tag: Option<String>,
    validity: Option<String>,
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NamedGateway {
    domain: String,
    name: String,
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum BulkAction {
    /// Has the switches stop each of them, at most 1,000, and start it with the value that Redis has.
    Restart,
    Enable,
    Disable,
    Delete,
    /// A JSON Merge Patch (RFC 7396) of the value: `null` removes a key.
    #[schema(value_type = serde_json::Value)]
    Patch(Box<RawValue>),
    /// Adds these tags.
    Tag(Vec<String>),
    /// Takes these tags away.
    Untag(Vec<String>),
}

/// How to write.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
pub(super) struct BulkQuery {
    /// Only answer what would happen.
    dry_run: bool,
    /// Write also what FreeSWITCH would refuse.
    force: bool,
    /// With `restart`: only on this switch. Left out: on every one that runs them, or is to.
    switch: Option<String>,
    /// The language of texts for people. Left out: as `Accept-Language` says.
    #[serde(rename = "language")]
    _language: Option<Language>,
}

impl BulkBody {
    /// `None`: they are restarted.
    fn parse(self) -> Result<(Chosen, Option<Change>), Problem> {
        let chosen = match (self.filter, self.gateways) {
            (Some(filter), None) => filter.parse()?,
            (None, Some(gateways)) => named(&gateways)?,
            _ => {
                return Err(Problem::bad_request(
                    "",
                    text(
                        "the body has not exactly one of `filter` and `gateways`",
                        "请求体中应恰好有 `filter` 和 `gateways` 之一",
                    ),
                    text(
                        "write `filter` to select gateways, or `gateways` to name them",
                        "用 `filter` 筛选网关，或者用 `gateways` 列出网关",
                    ),
                ));
            }
        };
        Ok((chosen, self.action.parse()?))
    }
}

impl BulkFilter {
    fn parse(self) -> Result<Chosen, Problem> {
        let params = ListParams {
            domain: self.domain,
            q: self.q,
            state: self.state,
            switch: self.switch,
            profile: self.profile,
            carrier: self.carrier,
            tag: self.tag,
            validity: self.validity,
            ..ListParams::default()
        };
        let query = params.query().map_err(in_filter)?;
        Ok(Chosen::Filter(Box::new(query)))
    }
}

impl BulkAction {
    fn parse(self) -> Result<Option<Change>, Problem> {
        Ok(Some(match self {
            Self::Restart => return Ok(None),
            Self::Enable => Change::Enable,
            Self::Disable => Change::Disable,
            Self::Delete => Change::Delete,
            Self::Patch(patch) => {
                let patch = body::document(patch.get().as_bytes());
                Change::Patch(patch.map_err(|problem| problem.inside("/do/patch"))?)
            }
            Self::Tag(tags) => Change::Tag(tags),
            Self::Untag(tags) => Change::Untag(tags),
        }))
    }
}

fn named(gateways: &[NamedGateway]) -> Result<Chosen, Problem> {
    if gateways.len() > MAX_GATEWAYS {
        return Err(Problem::bad_request(
            "/gateways",
            message!(
                "these are more than {MAX_GATEWAYS} gateways",
                "网关超过 {MAX_GATEWAYS} 个"
            ),
            text("send fewer at once", "请减少一次发送的数量"),
        ));
    }
    let named = gateways.iter().enumerate().map(|(at, named)| {
        let inside = |problem: Problem| problem.inside(&format!("/gateways/{at}"));
        let domain = gateways::domain("/domain", &named.domain).map_err(inside)?;
        let name = gateways::gateway_name("/name", &named.name).map_err(inside)?;
        Ok((domain, name))
    });
    let named: BTreeSet<(DomainName, GatewayName)> = named.collect::<Result<_, Problem>>()?;
    Ok(Chosen::Named(named))
}

/// The same problem in the body, and not in a query.
fn in_filter(problem: Problem) -> Problem {
    problem.inside("/filter/")
}

/// The call with its own limit of bodies.
pub(super) fn resource() -> Resource {
    web::resource("/gateways/bulk")
        .app_data(web::PayloadConfig::new(MAX_BODY_BYTES))
        .app_data(BodyLimit(MAX_BODY_BYTES))
        .route(web::post().to(bulk))
}

/// What became of the call.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
pub(super) enum BulkDone {
    Changed(BulkAnswer),
    Restarting(RestartAnswer),
}

/// Gateways that are restarted, or would be.
#[derive(Serialize, ToSchema)]
pub(super) struct RestartAnswer {
    /// Nothing was begun.
    dry_run: bool,
    /// Ask `GET /restarts/{id}` how far it is; `null` if nothing was begun.
    id: Option<String>,
    /// How many gateways are restarted. One that no switch has or is to have counts too.
    restarted: usize,
    /// Those that can't be.
    left_out: Vec<LeftOut>,
    switches: Vec<RestartingOn>,
}

#[derive(Serialize, ToSchema)]
pub(super) struct RestartingOn {
    switch: String,
    gateways: usize,
    /// No trunkd is connected to it, so nothing is restarted there.
    away: bool,
}

impl RestartAnswer {
    fn new(dry_run: bool, restart: Restart) -> Self {
        let on = |on: RestartOn| RestartingOn {
            gateways: on.gateways.len(),
            switch: on.switch,
            away: on.is_away,
        };
        Self {
            dry_run,
            id: restart.id,
            restarted: restart.gateways.len(),
            left_out: restart.left_out,
            switches: restart.switches.into_iter().map(on).collect(),
        }
    }
}

/// Change or restart many gateways
///
/// Each on its own: what FreeSWITCH would refuse, and what others write meanwhile, is listed under
/// `items` and left alone. Each change has its own entry in the history. A removal of many may have to be
/// approved: see `held` under `plan`. If Redis fails half-way, `bulk` in the problem says what is done.
/// `restart` answers with an `id` instead of `items`, and the restarts go on.
#[utoipa::path(
    post, path = "/gateways/bulk",
    tag = "Gateways", params(BulkQuery), context_path = "/api/v1", request_body = BulkBody,
    responses(
        (status = 200, description = "What was done, or would be", body = BulkDone),
        BadRequest, Unauthorized, Forbidden, NotFound, Conflict, TooLarge, Unavailable,
    )
)]
pub(super) async fn bulk(
    service: web::Data<Service>,
    SignedIn(caller): SignedIn,
    query: web::Query<BulkQuery>,
    request: HttpRequest,
    Sent(sent): Sent,
) -> Result<HttpResponse, Problem> {
    let (chosen, change) = body::json::<BulkBody>(&sent)?.parse()?;
    let done = match change {
        Some(change) => {
            let options = BulkOptions {
                dry_run: query.dry_run,
                force: query.force,
                expected: None,
            };
            let answer = service.change_gateways(&caller, &chosen, &change, options).await;
            answer.map(BulkDone::Changed)
        }
        None => {
            let options = RestartOptions {
                dry_run: query.dry_run,
                switch: query.switch.clone(),
                ..RestartOptions::default()
            };
            let restart = service.restart_many(&caller, &chosen, &options).await;
            restart.map(|restart| BulkDone::Restarting(RestartAnswer::new(query.dry_run, restart)))
        }
    };
    let done = done.map_err(|error| match error {
        OperateError::Query(_) => in_filter(error.into()),
        error => Problem::from(error),
    })?;
    Ok(language::ok(&request, &done))
}

#[derive(Serialize, ToSchema)]
pub(super) struct RestartsAnswer {
    /// By switch. Empty: it is done since a minute, or somebody else began it.
    items: Vec<RestartProgress>,
}

/// How far restarts are
///
/// Of one call of `POST /gateways/bulk`. Only who made that call sees it, and who sees all domains.
#[utoipa::path(
    tag = "Gateways",
    params(("id" = String, Path, description = "The `id` that the call answered with"), LanguageQuery),
    context_path = "/api/v1",
    responses(
        (status = 200, description = "By switch", body = RestartsAnswer), BadRequest, Unauthorized, Unavailable,
    )
)]
#[get("/restarts/{id}")]
pub(super) async fn restarts(
    service: web::Data<Service>,
    SignedIn(caller): SignedIn,
    id: web::Path<String>,
    _query: web::Query<LanguageQuery>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let items = service.restart_progress(&caller, &id).await?;
    Ok(language::ok(&request, &RestartsAnswer { items }))
}
