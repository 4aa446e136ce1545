//! Changes of `trunkd:placement`: compare-and-set on the epoch of each record, each with its entry of the
//! history in the same step.

use std::sync::LazyLock;

use crate::gateway::{GatewayName, Placed};
use crate::history::{Entry, History, RECORD_LUA};
use crate::keys;
use crate::redis::StoreError;

/// Records per call of Redis.
const CHUNK: usize = 100;

/// A record to write if it has this epoch.
#[derive(Debug, Clone)]
pub struct PlacementChange {
    pub gateway: GatewayName,
    /// `None`: if there is no record.
    pub epoch: Option<u64>,
    /// `None` deletes the record.
    pub placed: Option<Placed>,
    pub entry: Option<Entry>,
}

impl History {
    /// Writes those records whose epoch is still the expected one. A record that Redis lost, or that can't be
    /// read, counts as the expected one. Says of each change whether it was made.
    ///
    /// # Errors
    /// [`StoreError`]. Then some may be written.
    pub async fn place(&self, changes: &[PlacementChange]) -> Result<Vec<bool>, StoreError> {
        static PLACE: LazyLock<redis::Script> = LazyLock::new(|| {
            redis::Script::new(&format!(
                "{RECORD_LUA}
                 local done = {{}}
                 for i = 0, #KEYS - 3 do
                   local at = 4 + i * 4
                   local name, epoch, placed, entry = ARGV[at], ARGV[at + 1], ARGV[at + 2], ARGV[at + 3]
                   local value = redis.call('HGET', KEYS[1], name)
                   local is_read, known = pcall(cjson.decode, value or '')
                   known = is_read and type(known) == 'table' and type(known.epoch) == 'number' and known or nil
                   local is_same
                   if epoch == '' then is_same = not known
                   else is_same = not known or known.epoch == tonumber(epoch) end
                   if is_same then
                     if placed == '' then redis.call('HDEL', KEYS[1], name)
                     else redis.call('HSET', KEYS[1], name, placed) end
                     if entry ~= '' then
                       record(KEYS[2], KEYS[3 + i], entry, '', ARGV[1], ARGV[2], ARGV[3])
                     end
                   end
                   done[i + 1] = is_same and 1 or 0
                 end
                 return done"
            ))
        });
        let limits = self.limits();
        let mut done = Vec::with_capacity(changes.len());
        for part in changes.chunks(CHUNK) {
            let mut call = PLACE.key(keys::PLACEMENT);
            call.key(keys::HISTORY)
                .arg(limits.entries)
                .arg(limits.age.as_millis())
                .arg(limits.per_gateway);
            for change in part {
                let prepared = change.entry.as_ref().map(|entry| self.prepare(entry));
                let (of_gateway, entry) = prepared
                    .map(|entry| (entry.of_gateway, entry.entry))
                    .unwrap_or_default();
                call.key(of_gateway)
                    .arg(change.gateway.as_str())
                    .arg(change.epoch.map(|epoch| epoch.to_string()).unwrap_or_default())
                    .arg(change.placed.as_ref().map(json).unwrap_or_default())
                    .arg(entry);
            }
            let store = self.store();
            let made: Vec<bool> = store
                .write("place gateways", store.timeout(), async |connection| {
                    call.invoke_async(connection).await
                })
                .await?;
            done.extend(made);
        }
        Ok(done)
    }
}

fn json(placed: &Placed) -> String {
    // Texts, numbers and times always serialize.
    serde_json::to_string(placed).unwrap_or_default()
}
