//! Calls about one gateway.

use std::time::Duration;

use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse, delete, get, patch, post, put, web};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::body::{self, Sent};
use super::language::{self, LanguageQuery};
use super::responses::{
    BadRequest, Conflict, Forbidden, NotFound, PreconditionFailed, TooLarge, Unauthorized, Unavailable, Unprocessable,
};
use crate::gateway::{DomainName, GatewayName, MAX_DOMAIN_BYTES, ValueChange};
use crate::language::{Bilingual, Language, message, text};
use crate::operate::gateways::{Body, ETag, Effect, GatewayDetail, GatewayRef, Precondition, WriteOptions, Written};
use crate::operate::{OperateError, Service};
use crate::portal::{Problem, SignedIn};

/// The longest that a call waits for the effect of a write.
const MAX_WAIT: Duration = Duration::from_secs(60);

/// A gateway in a path. Names are percent-encoded.
#[derive(Debug, Deserialize, IntoParams)]
pub(super) struct GatewayPath {
    /// The domain, as in the Redis key `cti_gateway@<domain>`.
    domain: String,
    /// The gateway's name.
    name: String,
}

/// How to write.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
pub(super) struct WriteQuery {
    /// Only answer what would happen: findings, the difference, and what each switch would do.
    dry_run: bool,
    /// Answer when the write has taken effect on every switch, but after this time at the latest: `10s`,
    /// at most `60s`.
    wait: Option<String>,
    /// Write it even if FreeSWITCH would refuse it, or if it was edited since.
    force: bool,
    /// The language of texts for people. Left out: as `Accept-Language` says.
    #[serde(rename = "language")]
    _language: Option<Language>,
}

/// What a write did, or would do.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct WriteAnswer {
    /// The gateway as it is now; `null` if it was deleted.
    pub gateway: Option<GatewayDetail>,
    /// What changed, key by key. Secrets are only said to have changed.
    pub changes: Vec<ValueChange>,
    /// The id of the entry in the history; `null` if nothing was written.
    pub history: Option<String>,
    /// What each switch does about it. Empty unless `wait` or `dry_run` asks for it.
    pub effect: Vec<Effect>,
    /// Nothing was written.
    pub dry_run: bool,
}

/// The name of a copy, or a new name.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewName {
    /// Letters, digits, `_`, `.` and `-`.
    name: String,
}

/// Which secret to show.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct SecretName {
    /// `param.password`.
    secret: String,
}

/// A secret in plain text.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Secret {
    secret: String,
    value: String,
}

impl GatewayPath {
    pub(super) fn parse(&self) -> Result<GatewayRef, Problem> {
        Ok(GatewayRef {
            domain: domain("domain", &self.domain)?,
            name: gateway_name("name", &self.name)?,
        })
    }
}

impl WriteQuery {
    pub(super) fn options(&self, request: &HttpRequest) -> Result<WriteOptions, Problem> {
        Ok(WriteOptions {
            precondition: precondition(request)?,
            dry_run: self.dry_run,
            force: self.force,
            wait: self.wait.as_deref().map(wait).transpose()?,
            ..WriteOptions::default()
        })
    }
}

/// A domain that can be written: any text without control characters.
pub(super) fn domain(pointer: &str, name: &str) -> Result<DomainName, Problem> {
    let domain = DomainName::from(name);
    if !domain.is_writable() {
        return Err(Problem::bad_request(
            pointer,
            message!(
                "the domain is empty, longer than {MAX_DOMAIN_BYTES} bytes, or holds a control character",
                "域为空、超过 {MAX_DOMAIN_BYTES} 字节，或者含有控制字符"
            ),
            text(
                "name a domain as in the Redis key `cti_gateway@<domain>`",
                "请按 Redis 键 `cti_gateway@<domain>` 中的写法给出域",
            ),
        ));
    }
    Ok(domain)
}

pub(super) fn gateway_name(pointer: &str, name: &str) -> Result<GatewayName, Problem> {
    GatewayName::parse(name).map_err(|error| Problem::bad_request(pointer, error.message(), error.fix()))
}

pub(super) fn wait(given: &str) -> Result<Duration, Problem> {
    let wait = humantime::parse_duration(given).ok().filter(|wait| *wait <= MAX_WAIT);
    wait.ok_or_else(|| {
        Problem::bad_request(
            "wait",
            text("wait is no time of at most 60s", "wait 不是不超过 60s 的时间"),
            text(
                "write a time such as `10s` or `500ms`",
                "请写成 `10s` 或 `500ms` 这样的时间",
            ),
        )
    })
}

/// `If-Match` and `If-None-Match` (RFC 9110).
fn precondition(request: &HttpRequest) -> Result<Precondition, Problem> {
    let header = |name: header::HeaderName| {
        let value = request.headers().get(&name)?;
        Some(value.to_str().map(str::trim).map_err(|_| {
            Problem::bad_request(
                name.to_string(),
                text("the header is no text", "该请求头不是文本"),
                text("send an ETag in quotes, or *", "请发送带引号的 ETag，或者 *"),
            )
        }))
    };
    match (
        header(header::IF_MATCH).transpose()?,
        header(header::IF_NONE_MATCH).transpose()?,
    ) {
        (None, None) => Ok(Precondition::None),
        (Some("*"), None) => Ok(Precondition::Exists),
        (None, Some("*")) => Ok(Precondition::Absent),
        (Some(tags), None) => {
            let tags = tags.split(',').map(|tag| {
                let tag = tag.trim();
                let tag = tag.strip_prefix("W/").unwrap_or(tag);
                tag.strip_prefix('"')
                    .and_then(|tag| tag.strip_suffix('"'))
                    .map(ETag::new)
            });
            let tags: Option<Vec<_>> = tags.collect();
            tags.map(Precondition::Version).ok_or_else(|| {
                Problem::bad_request(
                    "If-Match",
                    text("If-Match is no ETag in quotes", "If-Match 不是带引号的 ETag"),
                    text("send back the ETag of an answer", "请送回应答中的 ETag"),
                )
            })
        }
        (_, Some(_)) => Err(Problem::bad_request(
            "If-None-Match",
            text(
                "only `If-None-Match: *` without If-Match is taken: create, and replace nothing",
                "只接受不带 If-Match 的 `If-None-Match: *`：只新建，不替换",
            ),
            text("leave it out, or send *", "请省略它，或者发送 *"),
        )),
    }
}

pub(super) fn answer(
    request: &HttpRequest,
    written: Result<Written, OperateError>,
    dry_run: bool,
) -> Result<HttpResponse, Problem> {
    let written = written?;
    let etag = written.gateway.as_ref().and_then(|gateway| gateway.etag.clone());
    let is_created = written.is_new && written.gateway.is_some() && !dry_run;
    let mut response = match is_created {
        true => HttpResponse::Created(),
        false => HttpResponse::Ok(),
    };
    if let Some(etag) = etag.filter(|_| !dry_run) {
        response.insert_header((header::ETAG, format!("\"{}\"", etag.as_str())));
    }
    if let Some(gateway) = written.gateway.as_ref().filter(|_| is_created) {
        response.insert_header((header::LOCATION, location(gateway)));
    }
    let answer = WriteAnswer {
        gateway: written.gateway,
        changes: written.changes,
        history: written.history,
        effect: written.effect,
        dry_run,
    };
    Ok(language::answer(request, response, &answer))
}

fn location(gateway: &GatewayDetail) -> String {
    let encode =
        |name: &str| percent_encoding::utf8_percent_encode(name, percent_encoding::NON_ALPHANUMERIC).to_string();
    format!(
        "/api/v1/domains/{}/gateways/{}",
        encode(&gateway.domain),
        encode(&gateway.name)
    )
}

/// One gateway
///
/// What Redis holds, without secrets; what is wrong with it; and what each switch does with it.
#[utoipa::path(
    tag = "Gateways", params(GatewayPath, LanguageQuery), context_path = "/api/v1",
    responses(
        (status = 200, description = "The gateway; `ETag` is the version of its value", body = GatewayDetail),
        BadRequest, Unauthorized, Forbidden, NotFound, Conflict, Unavailable,
    )
)]
#[get("/domains/{domain}/gateways/{name}")]
pub(super) async fn get_gateway(
    service: web::Data<Service>,
    SignedIn(caller): SignedIn,
    path: web::Path<GatewayPath>,
    _query: web::Query<LanguageQuery>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let gateway = service.gateway(&caller, &path.parse()?).await?;
    let mut response = HttpResponse::Ok();
    if let Some(etag) = &gateway.etag {
        response.insert_header((header::ETAG, format!("\"{}\"", etag.as_str())));
    }
    Ok(language::answer(&request, response, &gateway))
}

/// Create or replace a gateway
///
/// The body is the gateway's value as Redis holds it. Secrets that it doesn't mention stay; `null`
/// removes one. `If-Match` replaces only this version, `If-None-Match: *` only creates.
#[utoipa::path(
    tag = "Gateways", params(GatewayPath, WriteQuery), context_path = "/api/v1",
    request_body(content = serde_json::Value, description = "`{\"param\": {…}, \"variables\": {…}, …}`"),
    responses(
        (status = 200, description = "It was replaced, or this was a dry run", body = WriteAnswer),
        (status = 201, description = "It was created", body = WriteAnswer),
        BadRequest, Unauthorized, Forbidden, Conflict, PreconditionFailed, TooLarge, Unprocessable, Unavailable,
    )
)]
#[put("/domains/{domain}/gateways/{name}")]
pub(super) async fn put_gateway(
    service: web::Data<Service>,
    SignedIn(caller): SignedIn,
    path: web::Path<GatewayPath>,
    query: web::Query<WriteQuery>,
    request: HttpRequest,
    Sent(sent): Sent,
) -> Result<HttpResponse, Problem> {
    let (of, options) = (path.parse()?, query.options(&request)?);
    let value = Body::Replace(body::document(&sent)?);
    let written = service.write_gateway(&caller, &of, &value, &options).await;
    answer(&request, written, options.dry_run)
}

/// Change a gateway
///
/// The body is a JSON Merge Patch (RFC 7396) of the value: `null` removes a key.
#[utoipa::path(
    tag = "Gateways", params(GatewayPath, WriteQuery), context_path = "/api/v1",
    request_body(content = serde_json::Value, description = "Such as `{\"param\": {\"realm\": \"sip.example.net\"}}`"),
    responses(
        (status = 200, description = "It was changed, or this was a dry run", body = WriteAnswer),
        BadRequest, Unauthorized, Forbidden, NotFound, Conflict, PreconditionFailed, TooLarge, Unprocessable,
        Unavailable,
    )
)]
#[patch("/domains/{domain}/gateways/{name}")]
pub(super) async fn patch_gateway(
    service: web::Data<Service>,
    SignedIn(caller): SignedIn,
    path: web::Path<GatewayPath>,
    query: web::Query<WriteQuery>,
    request: HttpRequest,
    Sent(sent): Sent,
) -> Result<HttpResponse, Problem> {
    let (of, options) = (path.parse()?, query.options(&request)?);
    let patch = Body::Merge(body::document(&sent)?);
    let written = service.write_gateway(&caller, &of, &patch, &options).await;
    answer(&request, written, options.dry_run)
}

/// Delete a gateway
#[utoipa::path(
    tag = "Gateways", params(GatewayPath, WriteQuery), context_path = "/api/v1",
    responses(
        (status = 200, description = "It was deleted, or this was a dry run", body = WriteAnswer),
        BadRequest, Unauthorized, Forbidden, NotFound, Conflict, PreconditionFailed, Unavailable,
    )
)]
#[delete("/domains/{domain}/gateways/{name}")]
pub(super) async fn delete_gateway(
    service: web::Data<Service>,
    SignedIn(caller): SignedIn,
    path: web::Path<GatewayPath>,
    query: web::Query<WriteQuery>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let (of, options) = (path.parse()?, query.options(&request)?);
    let written = service.delete_gateway(&caller, &of, &options).await;
    answer(&request, written, options.dry_run)
}

/// Copy a gateway
///
/// To a new name in its domain, with its secrets. The copy is disabled.
#[utoipa::path(
    tag = "Gateways", params(GatewayPath, WriteQuery), context_path = "/api/v1", request_body = NewName,
    responses(
        (status = 200, description = "This was a dry run", body = WriteAnswer),
        (status = 201, description = "The copy", body = WriteAnswer),
        BadRequest, Unauthorized, Forbidden, NotFound, Conflict, PreconditionFailed, TooLarge, Unavailable,
    )
)]
#[post("/domains/{domain}/gateways/{name}/copy")]
pub(super) async fn copy_gateway(
    service: web::Data<Service>,
    SignedIn(caller): SignedIn,
    path: web::Path<GatewayPath>,
    query: web::Query<WriteQuery>,
    request: HttpRequest,
    Sent(sent): Sent,
) -> Result<HttpResponse, Problem> {
    let (of, options) = (path.parse()?, query.options(&request)?);
    let to = gateway_name("/name", &body::json::<NewName>(&sent)?.name)?;
    let written = service.copy_gateway(&caller, &of, &to, &options).await;
    answer(&request, written, options.dry_run)
}

/// Rename a gateway
///
/// In one step. Switches stop the old one and start the new one.
#[utoipa::path(
    tag = "Gateways", params(GatewayPath, WriteQuery), context_path = "/api/v1", request_body = NewName,
    responses(
        (status = 200, description = "This was a dry run", body = WriteAnswer),
        (status = 201, description = "The gateway under its new name", body = WriteAnswer),
        BadRequest, Unauthorized, Forbidden, NotFound, Conflict, PreconditionFailed, TooLarge, Unprocessable,
        Unavailable,
    )
)]
#[post("/domains/{domain}/gateways/{name}/rename")]
pub(super) async fn rename_gateway(
    service: web::Data<Service>,
    SignedIn(caller): SignedIn,
    path: web::Path<GatewayPath>,
    query: web::Query<WriteQuery>,
    request: HttpRequest,
    Sent(sent): Sent,
) -> Result<HttpResponse, Problem> {
    let (of, options) = (path.parse()?, query.options(&request)?);
    let to = gateway_name("/name", &body::json::<NewName>(&sent)?.name)?;
    let written = service.rename_gateway(&caller, &of, &to, &options).await;
    answer(&request, written, options.dry_run)
}

/// Show a secret
///
/// For admins. That it was shown is recorded in the history.
#[utoipa::path(
    tag = "Gateways", params(GatewayPath), context_path = "/api/v1", request_body = SecretName,
    responses(
        (status = 200, description = "The secret in plain text", body = Secret),
        BadRequest, Unauthorized, Forbidden, NotFound, Conflict, TooLarge, Unavailable,
    )
)]
#[post("/domains/{domain}/gateways/{name}/reveal")]
pub(super) async fn reveal_secret(
    service: web::Data<Service>,
    SignedIn(caller): SignedIn,
    path: web::Path<GatewayPath>,
    Sent(sent): Sent,
) -> Result<HttpResponse, Problem> {
    let SecretName { secret } = body::json(&sent)?;
    let value = service.reveal_secret(&caller, &path.parse()?, &secret).await?;
    Ok(HttpResponse::Ok().json(Secret { secret, value }))
}

/// What FreeSWITCH gets
///
/// The `<gateway>` element, with secrets replaced by asterisks.
#[utoipa::path(
    tag = "Gateways", params(GatewayPath), context_path = "/api/v1",
    responses(
        (status = 200, description = "XML", body = String, content_type = "application/xml"),
        BadRequest, Unauthorized, Forbidden, NotFound, Conflict, Unavailable,
    )
)]
#[get("/domains/{domain}/gateways/{name}/xml")]
pub(super) async fn gateway_xml(
    service: web::Data<Service>,
    SignedIn(caller): SignedIn,
    path: web::Path<GatewayPath>,
) -> Result<HttpResponse, Problem> {
    let xml = service.gateway_xml(&caller, &path.parse()?).await?;
    Ok(HttpResponse::Ok()
        .content_type("application/xml; charset=utf-8")
        .body(xml))
}
