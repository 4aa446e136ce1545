//! Reads the rows of a switch page by page, with the counters of each gateway.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::WRITE_TIMEOUT;
use super::row::Row;
use super::text::text;
use crate::keys;
use crate::redis::{Store, StoreError};
use crate::registration::Calls;

/// Gateways in a page, so that other clients of Redis wait a few milliseconds at most.
const PAGE: usize = 1000;

/// The state of a gateway on one switch, and what was counted.
#[derive(Debug, Clone, PartialEq)]
pub struct Counted {
    pub gateway: String,
    pub row: Row,
    /// Added up over restarts of the gateway. `None` until a snapshot has them.
    pub calls: Option<Calls>,
    /// Refused registrations by SIP status code; `other` for the codes that found no room.
    pub refusals: BTreeMap<String, u64>,
}

/// An entry of [`keys::calls`].
#[derive(Deserialize)]
struct CallsEntry {
    total: [u64; 4],
}

/// An entry of [`keys::refusals`].
#[derive(Deserialize)]
struct RefusalsEntry {
    codes: BTreeMap<String, u64>,
}

impl Store {
    /// A page of the gateways on a switch, from `cursor`: 0 at first, then the one returned, until
    /// that is 0. While rows are written, a gateway may come twice.
    pub async fn read_counted(&self, switch: &str, cursor: u64) -> Result<(u64, Vec<Counted>), StoreError> {
        type Rows = Vec<(Vec<u8>, Vec<u8>)>;
        type Found = Vec<Option<Vec<u8>>>;
        let (next, rows, (calls, refusals)) = self
            .read("read counters", WRITE_TIMEOUT, async |connection| {
                let mut scan = redis::cmd("HSCAN");
                scan.arg(keys::status(switch)).arg(cursor).arg("COUNT").arg(PAGE);
                let (next, rows): (u64, Rows) = scan.query_async(connection).await?;
                if rows.is_empty() {
                    return Ok((next, rows, (Found::new(), Found::new())));
                }
                let names: Vec<&[u8]> = rows.iter().map(|(name, _)| &**name).collect();
                let counters = redis::pipe()
                    .hmget(keys::calls(switch), &names)
                    .hmget(keys::refusals(switch), &names)
                    .query_async::<(Found, Found)>(connection)
                    .await?;
                Ok((next, rows, counters))
            })
            .await?;
        let counters = calls.into_iter().zip(refusals);
        let page = rows
            .into_iter()
            .zip(counters)
            .filter_map(|((gateway, row), (calls, refusals))| {
                let row: Row = serde_json::from_slice(&row).ok()?;
                let refusals = refusals.and_then(|entry| serde_json::from_slice::<RefusalsEntry>(&entry).ok());
                Some(Counted {
                    gateway: text(gateway),
                    calls: calls.map_or(row.calls, |entry| total(&entry).or(row.calls)),
                    refusals: refusals.map(|entry| entry.codes).unwrap_or_default(),
                    row,
                })
            });
        Ok((next, page.collect()))
    }
}

/// A gateway without calls has no entry: its row has what there is, zeros.
fn total(entry: &[u8]) -> Option<Calls> {
    let entry: CallsEntry = serde_json::from_slice(entry).ok()?;
    let [inbound, outbound, failed_in, failed_out] = entry.total;
    Some(Calls {
        inbound,
        outbound,
        failed_in,
        failed_out,
    })
}
