//! Gateways of other systems, as an upload.

use actix_web::{HttpRequest, HttpResponse, Resource, web};
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};

use super::body::{BodyLimit, Sent};
use super::gateways;
use super::language;
use super::responses::{BadRequest, Forbidden, TooLarge, Unauthorized, Unavailable, Unprocessable};
use crate::import::MAX_BYTES;
use crate::language::Language;
use crate::operate::Service;
use crate::operate::foreign::{Format, ImportAnswer, ImportOptions, Naming};
use crate::portal::{Problem, SignedIn};

/// Gateways that an answer lists one by one.
const MAX_ITEMS: usize = 1000;

/// What the body is.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Kind {
    /// One XML file of FreeSWITCH. It can include no other.
    FsXml,
    /// FusionPBX's `v_gateways`, as `pg_dump` or CSV.
    Fusionpbx,
    /// A spreadsheet with a header.
    Csv,
}

/// What gateways of FusionPBX are called.
#[derive(Debug, Default, Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum Name {
    /// The UUID, in lower case.
    #[default]
    Uuid,
    /// The column `gateway`.
    Gateway,
}

/// How to import.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
pub(super) struct ForeignQuery {
    /// The domain of all gateways. Left out: the one that the source names.
    domain: Option<String>,
    /// The profile of gateways whose source names none.
    profile: Option<String>,
    /// What gateways of FusionPBX are called.
    #[param(inline)]
    name: Name,
    /// The file's name, for the places in the report.
    file: Option<String>,
    /// Also replace gateways that are stored already and differ.
    overwrite: bool,
    /// Only answer what would happen.
    dry_run: bool,
    /// The language of texts for people. Left out: as `Accept-Language` says.
    #[serde(rename = "language")]
    _language: Option<Language>,
}

/// The call with its own limit of bodies.
pub(super) fn resource() -> Resource {
    let most = usize::try_from(MAX_BYTES).unwrap_or(usize::MAX);
    web::resource("/import/{kind}")
        .app_data(web::PayloadConfig::new(most))
        .app_data(BodyLimit(most))
        .route(web::post().to(import_foreign))
}

/// Import gateways of another system
///
/// The body is a file: FreeSWITCH's XML, FusionPBX's table or a spreadsheet (docs/import.md). The answer says
/// of each gateway what was taken, changed and skipped, and what was written, or would be. Gateways that are
/// stored already and differ are left alone unless `overwrite`. Each domain is written whole or not at all.
#[utoipa::path(
    post, path = "/import/{kind}",
    tag = "Files", params(("kind" = inline(Kind), Path, description = "What the body is"), ForeignQuery),
    context_path = "/api/v1",
    request_body(content = String, content_type = "text/plain", description = "The file"),
    responses(
        (status = 200, description = "What was done, or would be", body = ImportAnswer),
        BadRequest, Unauthorized, Forbidden, TooLarge, Unprocessable, Unavailable,
    )
)]
pub(super) async fn import_foreign(
    service: web::Data<Service>,
    SignedIn(caller): SignedIn,
    kind: web::Path<Kind>,
    query: web::Query<ForeignQuery>,
    request: HttpRequest,
    Sent(sent): Sent,
) -> Result<HttpResponse, Problem> {
    let query = query.into_inner();
    let (format, extension) = match (*kind, query.name) {
        (Kind::FsXml, _) => (Format::FsXml, "xml"),
        (Kind::Fusionpbx, Name::Uuid) => (Format::FusionPbx(Naming::Uuid), "sql"),
        (Kind::Fusionpbx, Name::Gateway) => (Format::FusionPbx(Naming::Gateway), "sql"),
        (Kind::Csv, _) => (Format::Csv, "csv"),
    };
    let mut options = ImportOptions::default();
    if let Some(domain) = &query.domain {
        options.domain = Some(gateways::domain("/domain", domain)?);
    }
    options.profiles.default = query.profile;
    let name = query.file.unwrap_or_else(|| format!("upload.{extension}"));
    let import = service.read_upload(&caller, format, name, sent, options).await?;
    let draft = service.draft_import(&caller, import, query.overwrite).await?;
    let mut answer = match query.dry_run {
        true => draft.into_answer(),
        false => service.write_import(&caller, draft).await?,
    };
    answer.difference.limit_items(MAX_ITEMS);
    Ok(language::ok(&request, &answer))
}
