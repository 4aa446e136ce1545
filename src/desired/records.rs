//! What trunkd itself has recorded about gateways: `trunkd:rollbacks` and `trunkd:placement`, each with a
//! record per gateway. Read with the gateways, because they decide which version of one counts, and where.
//! A record about what Redis no longer has means nothing.

use std::collections::BTreeSet;

use redis::RedisError;
use serde::de::DeserializeOwned;

use crate::gateway::{Desired, Fields, GatewayName, Placements, Records, Rollbacks};
use crate::keys;
use crate::redis::{Store, is_wrong_type};

/// Which of trunkd's own records to read.
#[derive(Clone, Copy)]
pub(super) struct WantedRecords {
    /// Edits that are not carried out.
    pub(super) rollbacks: bool,
    /// Which switch has a gateway.
    pub(super) placements: bool,
}

impl WantedRecords {
    /// Those among changed keys.
    pub(super) fn of(changed: &BTreeSet<Vec<u8>>) -> Self {
        Self {
            rollbacks: changed.contains(keys::ROLLBACKS.as_bytes()),
            placements: changed.contains(keys::PLACEMENT.as_bytes()),
        }
    }
}

/// What was read of trunkd's own records; `None` if they were not asked for, or can't be read.
#[derive(Default)]
pub(super) struct ReadRecords {
    pub(super) rollbacks: Option<Rollbacks>,
    pub(super) placements: Option<Placements>,
}

impl ReadRecords {
    /// What was not read is as in `known`. A gateway whose placement vanished from Redis stays on its switch.
    pub(super) fn after(self, known: &Desired) -> Records {
        let before = known.placements();
        Records {
            rollbacks: self.rollbacks.unwrap_or_else(|| known.rollbacks().clone()),
            placements: match self.placements {
                Some(placements) => placements.with_lost(before, |name| known.is_on_one(name)),
                None => before.clone(),
            },
        }
    }
}

impl Store {
    /// The records in the reply to `HGETALL`; what can't be read is skipped. `None` if the key has a type that
    /// trunkd did not make. `then` is what happens when it is deleted.
    ///
    /// # Errors
    /// Redis refused, for another reason than the content of the key.
    pub(super) fn records_in<T, R>(
        &self,
        reply: Result<Fields, RedisError>,
        key: &'static str,
        then: &str,
    ) -> Result<Option<R>, RedisError>
    where
        T: DeserializeOwned,
        R: FromIterator<(GatewayName, T)>,
    {
        let (records, problem) = match reply {
            Ok(fields) => (Some(parse(&fields)), None),
            Err(error) if is_wrong_type(&error) => {
                let problem = format!(
                    "{key} in Redis is of a type that trunkd did not make: delete it (redis-cli DEL {key}), and {then}"
                );
                (None, Some(problem))
            }
            Err(error) => return Err(error),
        };
        self.status().record_key(key, problem);
        Ok(records)
    }
}

fn parse<T: DeserializeOwned, R: FromIterator<(GatewayName, T)>>(fields: &Fields) -> R {
    let records = fields.iter().filter_map(|(name, record)| {
        let name = GatewayName::parse(std::str::from_utf8(name).ok()?).ok()?;
        Some((name, serde_json::from_slice(record).ok()?))
    });
    records.collect()
}
