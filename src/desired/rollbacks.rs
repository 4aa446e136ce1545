//! Writes the hash `trunkd:rollbacks`: gateway → what becomes of an edit of it that is not simply carried
//! out. A record about a value that Redis no longer has means nothing.

use std::sync::{Arc, LazyLock};

use crate::gateway::{DomainName, GatewayName, Phase, Rollback};
use crate::history::{Entry, History, RECORD_LUA};
use crate::keys;
use crate::redis::{Store, StoreError};

/// Records per call of Redis: each may hold a value of 64 KiB.
const CHUNK: usize = 100;

/// Defines `known(key, name)`: the record of a gateway, empty if there is none that can be read.
const KNOWN_LUA: &str = "
local function known(key, name)
  local is_read, record = pcall(cjson.decode, redis.call('HGET', key, name) or '')
  return is_read and type(record) == 'table' and record or {}
end
";

impl Store {
    /// Records what becomes of edits, unless that is decided already. The number of new records.
    ///
    /// # Errors
    /// [`StoreError`]. Then some may be recorded.
    pub async fn hold_edits(&self, held: &[(GatewayName, Rollback)]) -> Result<usize, StoreError> {
        static HOLD: LazyLock<redis::Script> = LazyLock::new(|| {
            redis::Script::new(&format!(
                "{KNOWN_LUA}
                 local new = 0
                 for i = 1, #ARGV, 3 do
                   if known(KEYS[1], ARGV[i]).edit ~= ARGV[i + 1] then
                     redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 2])
                     new = new + 1
                   end
                 end
                 return new"
            ))
        });
        let mut new = 0;
        for part in held.chunks(CHUNK) {
            let mut call = HOLD.key(keys::ROLLBACKS);
            for (name, record) in part {
                call.arg(name.as_str()).arg(&record.edit).arg(json(record));
            }
            new += self
                .write("hold edits", self.timeout(), async |connection| {
                    call.invoke_async::<usize>(connection).await
                })
                .await?;
        }
        Ok(new)
    }

    /// Changes records that are still about the same edit and in the same phase. The number of those
    /// changed.
    ///
    /// # Errors
    /// [`StoreError`]. Then some may be changed.
    pub async fn change_rollbacks(&self, changes: &[(GatewayName, Phase, Rollback)]) -> Result<usize, StoreError> {
        static CHANGE: LazyLock<redis::Script> = LazyLock::new(|| {
            redis::Script::new(&format!(
                "{KNOWN_LUA}
                 local changed = 0
                 for i = 1, #ARGV, 4 do
                   local record = known(KEYS[1], ARGV[i])
                   if record.edit == ARGV[i + 1] and record.phase == ARGV[i + 2] then
                     redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 3])
                     changed = changed + 1
                   end
                 end
                 return changed"
            ))
        });
        let mut changed = 0;
        for part in changes.chunks(CHUNK) {
            let mut call = CHANGE.key(keys::ROLLBACKS);
            for (name, from, record) in part {
                call.arg(name.as_str())
                    .arg(&record.edit)
                    .arg(from.as_str())
                    .arg(json(record));
            }
            changed += self
                .write("change held edits", self.timeout(), async |connection| {
                    call.invoke_async::<usize>(connection).await
                })
                .await?;
        }
        Ok(changed)
    }

    /// Deletes records that are still about these edits, and in the same phase.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn forget_rollbacks(&self, outdated: &[(GatewayName, Arc<Rollback>)]) -> Result<(), StoreError> {
        static FORGET: LazyLock<redis::Script> = LazyLock::new(|| {
            redis::Script::new(&format!(
                "{KNOWN_LUA}
                 for i = 1, #ARGV, 3 do
                   local record = known(KEYS[1], ARGV[i])
                   if record.edit == ARGV[i + 1] and record.phase == ARGV[i + 2] then
                     redis.call('HDEL', KEYS[1], ARGV[i])
                   end
                 end"
            ))
        });
        for part in outdated.chunks(CHUNK) {
            let mut call = FORGET.key(keys::ROLLBACKS);
            for (name, record) in part {
                call.arg(name.as_str()).arg(&record.edit).arg(record.phase.as_str());
            }
            self.write("forget held edits", self.timeout(), async |connection| {
                call.invoke_async::<()>(connection).await
            })
            .await?;
        }
        Ok(())
    }
}

impl History {
    /// Takes an edit back, or gives that up, and records it: once, whichever trunkd does it first.
    /// `edited` is the value of the edit: nothing is done if another one stands there. Whether it was done.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn roll_back(
        &self,
        name: &GatewayName,
        edited: &[u8],
        rollback: &Rollback,
        entry: &Entry,
    ) -> Result<bool, StoreError> {
        static ROLL_BACK: LazyLock<redis::Script> = LazyLock::new(|| {
            redis::Script::new(&format!(
                "{RECORD_LUA}{KNOWN_LUA}
                 local name, edited, edit, phase, rollback = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]
                 if redis.call('HGET', KEYS[1], name) ~= edited then return 0 end
                 local before = known(KEYS[2], name)
                 local is_known = before.edit == edit
                 if phase == 'gave_up' then
                   if not is_known or before.phase ~= 'rolled_back' then return 0 end
                 elseif is_known and before.phase ~= 'released' then return 0 end
                 redis.call('HSET', KEYS[2], name, rollback)
                 record(KEYS[3], KEYS[4], ARGV[6], '', ARGV[7], ARGV[8], ARGV[9])
                 return 1"
            ))
        });
        let prepared = self.prepare(entry);
        let domain = DomainName::from_text(&rollback.domain);
        let mut call = ROLL_BACK.key(self.store().gateway_keys().key(&domain));
        call.key(keys::ROLLBACKS)
            .key(keys::HISTORY)
            .key(&prepared.of_gateway)
            .arg(name.as_str())
            .arg(edited)
            .arg(&rollback.edit)
            .arg(rollback.phase.as_str())
            .arg(json(rollback))
            .arg(&prepared.entry)
            .arg(prepared.entries)
            .arg(prepared.age_ms)
            .arg(prepared.per_gateway);
        self.store()
            .write("roll back", self.store().timeout(), async |connection| {
                call.invoke_async(connection).await
            })
            .await
    }
}

fn json(rollback: &Rollback) -> String {
    // Texts, numbers and times always serialize.
    serde_json::to_string(rollback).unwrap_or_default()
}
