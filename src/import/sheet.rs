//! A spreadsheet as CSV. The header says what each column is: a param by its name, `var:NAME` for a
//! variable (`var-in:` and `var-out:` for those of one direction), or one of [`KEYS`].

use serde_json::Value;

use super::draft::{self, Draft, HOSTNAME, Remarks, Unique, VARIABLES_AS_PARAMS};
use super::table::{Row, Table};
use super::words::quoted;
use super::{Import, ImportError, Level, Options, Place, Remark};
use crate::gateway::params::param;
use crate::gateway::variables::is_variable;
use crate::gateway::{Direction, fix_for_param, is_false, is_true, param_spelt};
use crate::language::{message, text};

/// Columns that are no param. Cells of `nodes` and `tags` hold several, with commas or semicolons between.
pub const KEYS: [&str; 8] = [
    "name",
    "domain",
    "profile",
    "enabled",
    "nodes",
    "description",
    "tags",
    "carrier",
];

/// What a column is.
enum Column {
    Name,
    Domain,
    Profile,
    Enabled,
    Texts(&'static str),
    Text(&'static str),
    Param(String),
    Variable(String, Direction),
    Unknown,
}

/// Imports CSV.
///
/// # Errors
/// It is no CSV, has no column `name`, or is too large.
pub fn import(name: &str, bytes: &[u8], options: &Options) -> Result<Import, ImportError> {
    let table = Table::of_csv(name, bytes)?;
    let header = table.header(name);
    let mut remarks = Remarks::default();
    let columns: Vec<_> = table
        .columns
        .iter()
        .map(|column| Column::of(column, &header, &mut remarks))
        .collect();
    if !columns.iter().any(|column| matches!(column, Column::Name)) {
        let reason = text("there is no column `name`", "没有 `name` 列");
        let fix = text(
            "write the columns' names into the first line",
            "请在第一行写上各列的名称",
        );
        return Err(ImportError::new(header, reason, fix));
    }
    let drafts = table.rows.iter().map(|row| draft_of(row, &columns));
    draft::finish(drafts.collect(), remarks.into_list(), Unique::InDomain, options)
}

impl Column {
    fn of(name: &str, header: &Place, remarks: &mut Remarks) -> Self {
        for (prefix, direction) in [
            ("var:", Direction::Both),
            ("var-in:", Direction::Inbound),
            ("var-out:", Direction::Outbound),
        ] {
            if let Some(variable) = name.strip_prefix(prefix) {
                return Self::Variable(variable.to_owned(), direction);
            }
        }
        let key = KEYS.into_iter().find(|key| key.eq_ignore_ascii_case(name));
        match key {
            Some("name") => Self::Name,
            Some("domain") => Self::Domain,
            Some("profile") => Self::Profile,
            Some("enabled") => Self::Enabled,
            Some(key @ ("nodes" | "tags")) => Self::Texts(key),
            Some(key) => Self::Text(key),
            None if param(name).is_some() => Self::Param(name.to_owned()),
            None => Self::of_other(name, header, remarks),
        }
    }

    fn of_other(name: &str, header: &Place, remarks: &mut Remarks) -> Self {
        if name.is_empty() {
            return Self::Unknown;
        }
        let shown = quoted(name);
        let mut read_as = |known: &str| {
            let reason = message!(
                "the column {shown} was read as `{known}`",
                "列 {shown} 已按 `{known}` 读取"
            );
            remarks.push(Remark::new(header.clone(), Level::Note, reason));
        };
        if let Some(known) = param_spelt(name) {
            read_as(known);
            return Self::Param(known.to_owned());
        }
        if name == HOSTNAME {
            read_as("nodes");
            return Self::Texts("nodes");
        }
        let mapped = VARIABLES_AS_PARAMS.iter().find(|(param, _)| *param == name);
        let variable = mapped.map_or(name, |(_, variable)| variable);
        if mapped.is_some() || is_variable(name) {
            read_as(&format!("var:{variable}"));
            return Self::Variable(variable.to_owned(), Direction::Both);
        }
        let reason = message!(
            "the column {shown} is no param of FreeSWITCH's, and was left out",
            "列 {shown} 不是 FreeSWITCH 的参数，已略过"
        );
        remarks.push(Remark::new(header.clone(), Level::Warning, reason).with_fix(fix_for_param(name)));
        Self::Unknown
    }
}

fn draft_of(row: &Row, columns: &[Column]) -> Draft {
    let mut draft = Draft::new("", row.place.clone());
    for (column, cell) in columns.iter().zip(&row.cells) {
        let Some(cell) = cell else { continue };
        let place = row.place.clone();
        match column {
            Column::Name => cell.trim().clone_into(&mut draft.name),
            Column::Domain => draft.domain = Some(cell.trim().to_owned()),
            Column::Profile => draft.profile = Some(cell.trim().to_owned()),
            Column::Enabled => match cell.trim() {
                word if is_true(word) => {}
                word if is_false(word) => draft.key("enabled", false, place),
                // Refused when the gateway is checked.
                word => draft.key("enabled", Value::from(word), place),
            },
            Column::Texts(key) => {
                let texts: Vec<_> = cell
                    .split([',', ';'])
                    .map(str::trim)
                    .filter(|text| !text.is_empty())
                    .collect();
                draft.key(key, texts, place);
            }
            Column::Text(key) => draft.key(key, cell.as_str(), place),
            Column::Param(name) => draft.param(name, cell, place),
            Column::Variable(name, direction) => draft.variable(name, cell, *direction, place),
            Column::Unknown => {}
        }
    }
    draft
}

#[cfg(test)]
mod tests;
