//! FusionPBX: its table `v_gateways`, as CSV or as `pg_dump` writes it. Columns become what FusionPBX's
//! own `sofia.conf` makes of them.

mod sql;

use std::collections::HashMap;
use std::sync::Arc;

use super::draft::{self, Draft, Remarks, Unique};
use super::table::{Row, Table};
use super::words::quoted;
use super::{Import, ImportError, Level, MAX_BYTES, Options, Remark};
use crate::gateway::Direction;
use crate::language::{Text, message, text};

const GATEWAYS: &str = "v_gateways";
const DOMAINS: &str = "v_domains";

/// What a gateway is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Naming {
    /// By its UUID in lower case, as FusionPBX's dialplans dial it.
    #[default]
    Uuid,
    /// By its column `gateway`.
    Gateway,
}

/// Columns, and the params that FusionPBX makes of them.
const PARAMS: [(&str, &str); 23] = [
    ("username", "username"),
    ("password", "password"),
    ("distinct_to", "distinct-to"),
    ("auth_username", "auth-username"),
    ("realm", "realm"),
    ("from_user", "from-user"),
    ("from_domain", "from-domain"),
    ("proxy", "proxy"),
    ("register_proxy", "register-proxy"),
    ("outbound_proxy", "outbound-proxy"),
    ("expire_seconds", "expire-seconds"),
    ("register", "register"),
    ("contact_params", "contact-params"),
    ("retry_seconds", "retry-seconds"),
    ("extension", "extension"),
    ("ping", "ping"),
    ("ping_min", "ping-min"),
    ("ping_max", "ping-max"),
    ("contact_in_ping", "contact-in-ping"),
    ("caller_id_in_from", "caller-id-in-from"),
    ("extension_in_contact", "extension-in-contact"),
    ("context", "context"),
    ("hostname", "hostname"),
];

/// Columns that are no param, each read by name below, or of no use here.
const OTHERS: [&str; 17] = [
    "gateway_uuid",
    "domain_uuid",
    "gateway",
    "register_transport",
    "sip_cid_type",
    "codec_prefs",
    "profile",
    "enabled",
    "description",
    "supress_cng",
    "channels",
    "insert_date",
    "insert_user",
    "update_date",
    "update_user",
    "domain_name",
    "gateway_id",
];

/// Columns that say something that a gateway of FreeSWITCH can't have.
const LEFT_OUT: [(&str, Text, Text); 2] = [
    (
        "supress_cng",
        text(
            "`supress_cng` was left out: FreeSWITCH ignores it in a gateway",
            "已略过 `supress_cng`：FreeSWITCH 在网关中会忽略它",
        ),
        text(
            "set `suppress-cng` in the profile",
            "请在 profile 中设置 `suppress-cng`",
        ),
    ),
    (
        "channels",
        text(
            "`channels` was left out: a gateway of FreeSWITCH has no limit of calls",
            "已略过 `channels`：FreeSWITCH 的网关没有并发呼叫数限制",
        ),
        text(
            "use the application `limit` in the dialplan",
            "请在拨号计划中使用应用 `limit`",
        ),
    ),
];

/// Imports a CSV file or a dump.
///
/// # Errors
/// It is neither, has no `v_gateways`, or is too large.
pub fn import(name: &str, bytes: &[u8], naming: Naming, options: &Options) -> Result<Import, ImportError> {
    if bytes.len() as u64 > MAX_BYTES {
        let reason = message!("the file has more than {MAX_BYTES} bytes", "文件超过 {MAX_BYTES} 字节");
        let fix = text(
            "dump two tables only: `pg_dump -t v_gateways -t v_domains`",
            "请只导出两个表：`pg_dump -t v_gateways -t v_domains`",
        );
        return Err(ImportError::new(name, reason, fix));
    }
    let (gateways, domains) = tables(name, bytes)?;
    let header = gateways.header(name);
    if gateways.column("gateway_uuid").is_none() {
        let reason = text("there is no column `gateway_uuid`", "没有 `gateway_uuid` 列");
        let fix = text(
            "export `v_gateways` with its column names",
            "请导出 `v_gateways`，并带上列名",
        );
        return Err(ImportError::new(header, reason, fix));
    }
    let mut remarks = Remarks::default();
    for column in gateways.columns.iter().filter(|column| !is_known(column)) {
        let shown = quoted(column);
        let reason = message!("the column {shown} was left out", "已略过列 {shown}");
        remarks.push(Remark::new(header.clone(), Level::Warning, reason));
    }
    let reading = Reading {
        table: &gateways,
        domains: &domains,
        naming,
    };
    let drafts = gateways.rows.iter().map(|row| reading.draft(row));
    draft::finish(drafts.collect(), remarks.into_list(), Unique::InDomain, options)
}

fn is_known(column: &str) -> bool {
    PARAMS.iter().any(|(known, _)| *known == column) || OTHERS.contains(&column)
}

/// The gateways, and the names of the domains by their UUID, if the dump has them.
fn tables(name: &str, bytes: &[u8]) -> Result<(Table, HashMap<String, String>), ImportError> {
    let file: Arc<str> = name.into();
    let content = std::str::from_utf8(bytes).map_err(|_| ImportError::not_utf8(name))?;
    // A header of CSV has the column; a dump names the table first.
    let first = content
        .lines()
        .map(str::trim)
        .find(|line| !line.is_empty())
        .unwrap_or_default();
    if first.contains("gateway_uuid") && !first.contains('(') {
        return Ok((Table::of_csv(name, bytes)?, HashMap::new()));
    }
    let mut tables = sql::read(&file, content, &[GATEWAYS, DOMAINS])?;
    let domains = tables.remove(DOMAINS).map(|domains| {
        let (uuid, name) = (domains.column("domain_uuid"), domains.column("domain_name"));
        let pair = |row: &Row| Some((row.cell(uuid)?.to_owned(), row.cell(name)?.to_owned()));
        domains.rows.iter().filter_map(pair).collect()
    });
    match tables.remove(GATEWAYS) {
        Some(gateways) => Ok((gateways, domains.unwrap_or_default())),
        None => {
            let reason = text(
                "it has no rows of the table `v_gateways`",
                "其中没有 `v_gateways` 表的数据",
            );
            let fix = text(
                "export it with `pg_dump -t v_gateways -t v_domains`, or as CSV with a header",
                "请用 `pg_dump -t v_gateways -t v_domains` 导出，或导出为带表头的 CSV",
            );
            Err(ImportError::new(name, reason, fix))
        }
    }
}

struct Reading<'a> {
    table: &'a Table,
    domains: &'a HashMap<String, String>,
    naming: Naming,
}

impl Reading<'_> {
    fn cell<'r>(&self, row: &'r Row, column: &str) -> Option<&'r str> {
        row.cell(self.table.column(column)).filter(|cell| !cell.is_empty())
    }

    fn draft(&self, row: &Row) -> Draft {
        let cell = |column: &str| self.cell(row, column);
        let uuid = cell("gateway_uuid").unwrap_or_default().to_ascii_lowercase();
        let gateway = cell("gateway").unwrap_or_default();
        let mut draft = match self.naming {
            Naming::Uuid => Draft::new(uuid, row.place.clone()),
            Naming::Gateway => Draft::new(gateway.trim(), row.place.clone()),
        };
        draft.domain = self.domain(row);
        draft.profile = Some(cell("profile").unwrap_or("external").to_owned());
        let description = match (self.naming, cell("description")) {
            (Naming::Uuid, Some(text)) if gateway != text => format!("{gateway}: {text}"),
            (Naming::Uuid, _) => gateway.to_owned(),
            (Naming::Gateway, text) => text.unwrap_or_default().to_owned(),
        };
        if !description.is_empty() {
            draft.key("description", description, row.place.clone());
        }
        // FusionPBX gives FreeSWITCH those alone that are true; newer ones keep a boolean.
        if !cell("enabled").is_some_and(|word| matches!(word, "true" | "t")) {
            draft.key("enabled", false, row.place.clone());
        }
        self.params(row, &mut draft);
        draft
    }

    fn domain(&self, row: &Row) -> Option<String> {
        let named = self.cell(row, "domain_name").map(str::to_owned);
        named.or_else(|| self.domains.get(self.cell(row, "domain_uuid")?).cloned())
    }

    fn params(&self, row: &Row, draft: &mut Draft) {
        let place = || row.place.clone();
        for (column, param) in PARAMS {
            if let Some(value) = self.cell(row, column) {
                draft.param(param, value, place());
            }
        }
        // FusionPBX writes udp for any other word.
        if let Some(word) = self.cell(row, "register_transport") {
            let word = match word {
                "tcp" | "tls" => word,
                _ => "udp",
            };
            draft.param("register-transport", word, place());
        }
        if let Some(kind) = self.cell(row, "sip_cid_type") {
            draft.variable("sip_cid_type", kind, Direction::Both, place());
        }
        if let Some(codecs) = self.cell(row, "codec_prefs") {
            draft.param("codec-prefs", codecs, place());
        }
        for (column, reason, fix) in LEFT_OUT {
            // FusionPBX writes 0 for no limit.
            if self
                .cell(row, column)
                .is_some_and(|value| value != "0" && value != "false")
            {
                draft.changed(Remark::new(place(), Level::Warning, reason).with_fix(fix));
            }
        }
    }
}

#[cfg(test)]
mod tests;
