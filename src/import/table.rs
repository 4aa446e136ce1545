//! Rows with named columns: a CSV file, or a table of a database.

use std::sync::Arc;

use super::words::foreign;
use super::{ImportError, MAX_BYTES, MAX_GATEWAYS, Place};
use crate::language::{message, text};

/// Columns and rows. A cell is `None` if it has no value.
pub(super) struct Table {
    pub(super) columns: Vec<String>,
    pub(super) rows: Vec<Row>,
}

pub(super) struct Row {
    pub(super) place: Place,
    pub(super) cells: Vec<Option<String>>,
}

impl Table {
    /// Reads CSV: commas, semicolons or tabs, whichever the first line has most of; a byte order mark is no text.
    pub(super) fn of_csv(name: &str, bytes: &[u8]) -> Result<Self, ImportError> {
        let file: Arc<str> = name.into();
        if bytes.len() as u64 > MAX_BYTES {
            return Err(ImportError::too_large(&file));
        }
        let text = std::str::from_utf8(bytes).map_err(|_| ImportError::not_utf8(&file))?;
        let text = text.strip_prefix('\u{FEFF}').unwrap_or(text);
        let mut reader = csv::ReaderBuilder::new()
            .delimiter(delimiter(text))
            .flexible(true)
            .from_reader(text.as_bytes());
        let columns = reader.headers().map_err(malformed(&file))?;
        let columns: Vec<_> = columns.iter().map(|column| column.trim().to_owned()).collect();
        let mut rows = Vec::new();
        for record in reader.records() {
            let record = record.map_err(malformed(&file))?;
            let line = record.position().map_or(0, csv::Position::line);
            let place = Place {
                file: file.clone(),
                line: usize::try_from(line).unwrap_or_default(),
            };
            let is_blank = record.iter().all(|cell| cell.trim().is_empty());
            if is_blank {
                continue;
            }
            if record.len() > columns.len() {
                return Err(too_many_cells(&place, record.len(), columns.len()));
            }
            if rows.len() == MAX_GATEWAYS {
                return Err(ImportError::too_many_gateways(place));
            }
            let cells = record.iter().map(|cell| (!cell.is_empty()).then(|| cell.to_owned()));
            rows.push(Row {
                place,
                cells: cells.collect(),
            });
        }
        Ok(Self { columns, rows })
    }

    /// The place of the header.
    pub(super) fn header(&self, name: &str) -> Place {
        Place {
            file: name.into(),
            line: 1,
        }
    }

    pub(super) fn column(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|column| column.eq_ignore_ascii_case(name))
    }
}

impl Row {
    pub(super) fn cell(&self, column: Option<usize>) -> Option<&str> {
        self.cells.get(column?)?.as_deref()
    }
}

/// What separates the cells of the first line.
fn delimiter(text: &str) -> u8 {
    let header = text.lines().next().unwrap_or_default();
    let count = |delimiter: &u8| memchr::memchr_iter(*delimiter, header.as_bytes()).count();
    // Of equal counts the last wins, so the comma stands there.
    [b'\t', b';', b','].into_iter().max_by_key(count).unwrap_or(b',')
}

fn malformed(file: &Arc<str>) -> impl Fn(csv::Error) -> ImportError + '_ {
    move |error| {
        let error = foreign(error);
        let reason = message!("the CSV is malformed: {error}", "CSV 格式有误：{error}");
        ImportError::new(file, reason, text("correct it", "请更正"))
    }
}

fn too_many_cells(place: &Place, cells: usize, columns: usize) -> ImportError {
    let reason = message!(
        "the row has {cells} cells, and the header {columns}",
        "该行有 {cells} 个单元格，而表头只有 {columns} 个"
    );
    let fix = text(
        "put cells that contain the separator into double quotes",
        "请用双引号括起含有分隔符的单元格",
    );
    ImportError::new(place, reason, fix)
}
