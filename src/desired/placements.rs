//! The hash `trunkd:placement`: gateway → the one switch that has it.
//!
//! Read with the gateways, because it decides which switch gets one. A record about a gateway that runs
//! everywhere means nothing.

use redis::RedisError;

use crate::gateway::{Fields, GatewayName, Placements};
use crate::keys;
use crate::redis::{Store, is_wrong_type};

/// Parses the reply to `HGETALL`. What can't be read counts as lost.
fn parse(fields: &Fields) -> Placements {
    let records = fields.iter().filter_map(|(name, record)| {
        let name = GatewayName::parse(std::str::from_utf8(name).ok()?).ok()?;
        Some((name, serde_json::from_slice(record).ok()?))
    });
    records.collect()
}

impl Store {
    /// `None` if the key can't be read.
    ///
    /// # Errors
    /// Redis refused, for another reason than the content of the key.
    pub(super) fn placements_in(&self, reply: Result<Fields, RedisError>) -> Result<Option<Placements>, RedisError> {
        let (placements, problem) = match reply {
            Ok(fields) => (Some(parse(&fields)), None),
            Err(error) if is_wrong_type(&error) => {
                let key = keys::PLACEMENT;
                let problem = format!(
                    "{key} in Redis is of a type that trunkd did not make: delete it (redis-cli DEL {key}), and \
                     trunkd writes it again"
                );
                (None, Some(problem))
            }
            Err(error) => return Err(error),
        };
        self.status().record_key(keys::PLACEMENT, problem);
        Ok(placements)
    }
}
