//! Gateways as documents: out, and in.

use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse, Resource, get, web};
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};

use super::body::{BodyLimit, Sent};
use super::language;
use super::responses::{BadRequest, Forbidden, TooLarge, Unauthorized, Unavailable};
use crate::documents::{Format, Secrets};
use crate::language::Language;
use crate::operate::Service;
use crate::operate::export::Selected;
use crate::operate::transfer::{TransferOptions, TransferReport};
use crate::portal::{ListParams, Problem, SignedIn};

/// The largest body, in bytes: 100,000 gateways take some 40 MB.
const MAX_BODY_BYTES: usize = 64 * 1024 * 1024;
/// Gateways that an answer lists one by one.
const MAX_ITEMS: usize = 1000;
/// How many gateways can't be documents.
const LEFT_OUT: &str = "Trunkd-Left-Out";

/// What is exported: the words of `GET /gateways`.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
pub(super) struct ExportQuery {
    q: Option<String>,
    domain: Option<String>,
    state: Option<String>,
    switch: Option<String>,
    profile: Option<String>,
    carrier: Option<String>,
    tag: Option<String>,
    validity: Option<String>,
    /// `yaml`, or `json` for an object in each line.
    #[param(inline)]
    format: FileFormat,
}

#[derive(Debug, Default, Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum FileFormat {
    #[default]
    Yaml,
    Json,
}

/// How to write.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
pub(super) struct ImportQuery {
    /// Only answer what would happen.
    dry_run: bool,
    /// Write also what FreeSWITCH would refuse.
    force: bool,
    /// The language of texts for people. Left out: as `Accept-Language` says.
    #[serde(rename = "language")]
    _language: Option<Language>,
}

impl ExportQuery {
    fn list(self) -> ListParams {
        ListParams {
            domain: self.domain,
            q: self.q,
            state: self.state,
            switch: self.switch,
            profile: self.profile,
            carrier: self.carrier,
            tag: self.tag,
            validity: self.validity,
            ..ListParams::default()
        }
    }
}

/// Gateways as documents
///
/// Those of your domains that the query selects, as YAML documents or as JSON Lines. Secrets are left out:
/// importing the file again keeps what is stored. The header `Trunkd-Left-Out` counts gateways whose value
/// can't be a document, because it is no JSON object.
#[utoipa::path(
    tag = "Files", params(ExportQuery), context_path = "/api/v1",
    responses(
        (status = 200, description = "By domain and name", body = String, content_type = "application/yaml"),
        BadRequest, Unauthorized, Forbidden, Unavailable,
    )
)]
#[get("/export")]
pub(super) async fn export(
    service: web::Data<Service>,
    SignedIn(caller): SignedIn,
    query: web::Query<ExportQuery>,
) -> Result<HttpResponse, Problem> {
    let query = query.into_inner();
    let (format, content_type) = match query.format {
        FileFormat::Yaml => (Format::Yaml, "application/yaml"),
        FileFormat::Json => (Format::Json, "application/x-ndjson"),
    };
    let list = query.list().query()?;
    let exported = service
        .export(&caller, Selected::Filter(&list), Secrets::Omit, format)
        .await?;
    let documents = exported.documents.into_iter();
    Ok(HttpResponse::Ok()
        .insert_header((header::CONTENT_TYPE, content_type))
        .insert_header((LEFT_OUT, exported.left_out.len().to_string()))
        .body(documents.map(|document| document.text).collect::<String>()))
}

/// The call with its own limit of bodies.
pub(super) fn resource() -> Resource {
    web::resource("/import")
        .app_data(web::PayloadConfig::new(MAX_BODY_BYTES))
        .app_data(BodyLimit(MAX_BODY_BYTES))
        .route(web::post().to(import))
}

/// Bring gateways to what documents say
///
/// The body has documents as YAML or JSON, one or many (docs/files.md): `{"domain": …, "name": …, "param":
/// {…}}`, or `"state": "absent"`. Gateways that it doesn't name stay. Each domain is written whole or not at
/// all: if FreeSWITCH would refuse one of its gateways, or somebody else writes one meanwhile, nothing of
/// the domain is written, and its `outcome` says so.
#[utoipa::path(
    post, path = "/import",
    tag = "Files", params(ImportQuery), context_path = "/api/v1",
    request_body(content = Vec<serde_json::Value>, description = "Documents, as `Content-Type` says: JSON or YAML"),
    responses(
        (status = 200, description = "What was done, or would be", body = TransferReport),
        BadRequest, Unauthorized, Forbidden, TooLarge, Unavailable,
    )
)]
pub(super) async fn import(
    service: web::Data<Service>,
    SignedIn(caller): SignedIn,
    query: web::Query<ImportQuery>,
    request: HttpRequest,
    Sent(sent): Sent,
) -> Result<HttpResponse, Problem> {
    let options = TransferOptions {
        force: query.force,
        ..TransferOptions::default()
    };
    let mut report = service
        .import(&caller, sent, format_of(&request), options, query.dry_run)
        .await?;
    report.limit_items(MAX_ITEMS);
    Ok(language::ok(&request, &report))
}

/// As `Content-Type` says, if it says so.
fn format_of(request: &HttpRequest) -> Option<Format> {
    let content_type = request.headers().get(header::CONTENT_TYPE)?.to_str().ok()?;
    match content_type.to_ascii_lowercase() {
        kind if kind.contains("json") => Some(Format::Json),
        kind if kind.contains("yaml") => Some(Format::Yaml),
        _ => None,
    }
}
