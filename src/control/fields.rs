//! Reads `trunkd:control`, which anybody with write access can make a hash of any size.

use std::collections::BTreeMap;

use redis::{RedisError, Value};

use super::OTHER_SWITCHES;
use crate::health::{Part, State};
use crate::keys;
use crate::redis::{Store, StoreError};

/// The most fields to read. Each switch has three, plus one for all switches.
const MAX_FIELDS: usize = 4096;
/// Fields per step of HSCAN.
const SCAN_COUNT: usize = 1000;

/// Field and value as bytes.
type Pair = (Vec<u8>, Vec<u8>);

impl Store {
    /// The fields of the hash that are text. If there are too many: those of every switch that Redis
    /// knows, and some of the others.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(crate) async fn read_control_fields(&self) -> Result<BTreeMap<String, String>, StoreError> {
        let read = self.read("read control", self.timeout(), async |connection| {
            let len: usize = redis::cmd("HLEN").arg(keys::CONTROL).query_async(connection).await?;
            let fields = match len <= MAX_FIELDS {
                true => redis::cmd("HGETALL").arg(keys::CONTROL).query_async(connection).await?,
                false => read_some(connection).await?,
            };
            Ok((len, fields))
        });
        let (len, fields): (usize, Vec<Pair>) = read.await?;
        self.record_control_size(len);
        let text = |(field, value)| Some((String::from_utf8(field).ok()?, String::from_utf8(value).ok()?));
        Ok(fields.into_iter().filter_map(text).collect())
    }

    fn record_control_size(&self, len: usize) {
        let health = self.status().health();
        let was_too_large = self.status().record_control_size(len > MAX_FIELDS);
        match (was_too_large, len > MAX_FIELDS) {
            (false, false) => {}
            (true, false) => health.set(Part::Control, State::Ok, None),
            (_, true) => {
                let reason = format!(
                    "{} has {len} fields and only {MAX_FIELDS} are read, including those of known switches: \
                     delete all but `paused`, `paused:SWITCH`, `drained:SWITCH`, `apply:SWITCH` and \
                     `job:SWITCH:ID`",
                    keys::CONTROL
                );
                if !was_too_large {
                    tracing::error!("{reason}");
                }
                health.set(Part::Control, State::Degraded, Some(reason));
            }
        }
    }
}

async fn read_some(connection: &mut impl redis::aio::ConnectionLike) -> Result<Vec<Pair>, RedisError> {
    let mut found = Vec::new();
    let mut cursor = 0u64;
    while found.len() < MAX_FIELDS {
        let mut scan = redis::cmd("HSCAN");
        scan.arg(keys::CONTROL).arg(cursor).arg("COUNT").arg(SCAN_COUNT);
        let (next, some): (u64, Vec<Pair>) = scan.query_async(connection).await?;
        found.extend(some);
        if next == 0 {
            break;
        }
        cursor = next;
    }
    found.truncate(MAX_FIELDS);
    let known: usize = redis::cmd("HLEN").arg(keys::SWITCHES).query_async(connection).await?;
    let mut switches: Vec<Value> = match known <= MAX_FIELDS {
        true => redis::cmd("HKEYS").arg(keys::SWITCHES).query_async(connection).await?,
        false => Vec::new(),
    };
    switches.push(Value::BulkString(OTHER_SWITCHES.into()));
    let switches = switches
        .iter()
        .filter_map(|switch| redis::from_redis_value_ref::<String>(switch).ok());
    let fields: Vec<_> = super::orders::fields_of(switches).collect();
    let values: Vec<Option<Vec<u8>>> = redis::cmd("HMGET")
        .arg(keys::CONTROL)
        .arg(&fields)
        .query_async(connection)
        .await?;
    let named = fields.into_iter().zip(values);
    found.extend(named.filter_map(|(field, value)| Some((field.into_bytes(), value?))));
    Ok(found)
}
