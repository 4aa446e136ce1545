//! One change to many gateways.

use std::collections::BTreeSet;

use actix_web::{HttpRequest, HttpResponse, Resource, web};
use serde::Deserialize;
use serde_json::value::RawValue;
use utoipa::{IntoParams, ToSchema};

use super::body::{self, BodyLimit, Sent};
use super::gateways;
use super::language;
use super::responses::{BadRequest, Forbidden, TooLarge, Unauthorized, Unavailable};
use crate::gateway::{DomainName, GatewayName};
use crate::language::Language;
use crate::operate::gateways::bulk::{BulkAnswer, BulkOptions, Change, Chosen, MAX_GATEWAYS};
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
    change: BulkChange,
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
pub(super) enum BulkChange {
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
    /// The language of `errors`. Left out: as `Accept-Language` says.
    language: Option<Language>,
}

impl BulkBody {
    fn parse(self) -> Result<(Chosen, Change), Problem> {
        let chosen = match (self.filter, self.gateways) {
            (Some(filter), None) => filter.parse()?,
            (None, Some(gateways)) => named(&gateways)?,
            _ => {
                return Err(Problem::bad_request(
                    "",
                    "the body has not exactly one of `filter` and `gateways`",
                    "write `filter` to select gateways, or `gateways` to name them",
                ));
            }
        };
        Ok((chosen, self.change.parse()?))
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

impl BulkChange {
    fn parse(self) -> Result<Change, Problem> {
        Ok(match self {
            Self::Enable => Change::Enable,
            Self::Disable => Change::Disable,
            Self::Delete => Change::Delete,
            Self::Patch(patch) => {
                let patch = body::document(patch.get().as_bytes());
                Change::Patch(patch.map_err(|problem| problem.inside("/do/patch"))?)
            }
            Self::Tag(tags) => Change::Tag(tags),
            Self::Untag(tags) => Change::Untag(tags),
        })
    }
}

fn named(gateways: &[NamedGateway]) -> Result<Chosen, Problem> {
    if gateways.len() > MAX_GATEWAYS {
        return Err(Problem::bad_request(
            "/gateways",
            format!("these are more than {MAX_GATEWAYS} gateways"),
            "send fewer at once",
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
        .route(web::post().to(change_gateways))
}

/// Change many gateways
///
/// Each on its own: what FreeSWITCH would refuse, and what others write meanwhile, is listed under
/// `items` and left alone. Each change has its own entry in the history. A removal of many may have to be
/// approved: see `held` under `plan`. If Redis fails half-way, `bulk` in the problem says what is done.
#[utoipa::path(
    post, path = "/gateways/bulk",
    tag = "Gateways", params(BulkQuery), context_path = "/api/v1", request_body = BulkBody,
    responses(
        (status = 200, description = "What was done, or would be", body = BulkAnswer),
        BadRequest, Unauthorized, Forbidden, TooLarge, Unavailable,
    )
)]
pub(super) async fn change_gateways(
    service: web::Data<Service>,
    SignedIn(caller): SignedIn,
    query: web::Query<BulkQuery>,
    request: HttpRequest,
    Sent(sent): Sent,
) -> Result<HttpResponse, Problem> {
    let language = language::asked(query.language, &request);
    let (chosen, change) = body::json::<BulkBody>(&sent)?.parse()?;
    let options = BulkOptions {
        dry_run: query.dry_run,
        force: query.force,
        expected: None,
    };
    let answer = service.change_gateways(&caller, &chosen, &change, options).await;
    let mut answer = answer.map_err(|error| match error {
        OperateError::Query(_) => in_filter(error.into()),
        error => Problem::of(error, language),
    })?;
    answer.translate(language);
    let mut response = HttpResponse::Ok();
    language::declare(&mut response, language);
    Ok(response.json(answer))
}
