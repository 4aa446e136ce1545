//! Writes gateways: compares with what was read, writes, and records who did it, in one step.

use std::fmt;
use std::sync::LazyLock;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::gateway::{DomainName, GatewayName};
use crate::history::{Entry, History, RECORD_LUA};
use crate::keys;
use crate::redis::StoreError;

/// Limit of one write. A person waits longer than FreeSWITCH.
const EDIT_TIMEOUT: Duration = Duration::from_secs(5);
/// What each edit adds to it. Redis takes about 20 µs for one.
const PER_EDIT: Duration = Duration::from_millis(1);

/// A change of one field of a domain.
pub struct Edit {
    pub gateway: GatewayName,
    /// What the change was made from: the stored bytes, or `None` if there was no such field.
    pub before: Option<Vec<u8>>,
    /// What is stored from now on; `None` deletes the field.
    pub after: Option<Vec<u8>>,
    pub entry: Entry,
}

impl fmt::Debug for Edit {
    /// Values hold passwords.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Edit")
            .field("gateway", &self.gateway)
            .field("entry", &self.entry)
            .finish_non_exhaustive()
    }
}

/// How an edit ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Edited {
    /// The ids of the entries in the history.
    Done(Vec<String>),
    /// Nothing was written: another value stands there now.
    Conflict,
    /// Nothing was written: the domain's key is of this type, and no hash.
    WrongType(String),
}

/// How edits that don't depend on each other ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EditedEach {
    /// For each edit the id of its entry in the history. `None`: another value stands there now, and
    /// was left alone.
    Done(Vec<Option<String>>),
    /// Nothing was written: the domain's key is of this type, and no hash.
    WrongType(String),
}

/// What an edit replaced, and by what. Kept in the gateway's own stream, for a revert.
#[derive(Serialize, Deserialize)]
pub struct Values {
    pub before: Option<String>,
    pub after: Option<String>,
}

/// What the scripts have in common: six values in `ARGV` and three keys, then seven and two per item.
const WRITE: &str = "
local hash, stream, sets = KEYS[1], KEYS[2], KEYS[3]
local kind = redis.call('TYPE', hash).ok
if kind ~= 'none' and kind ~= 'hash' then return {'type', kind} end
local count = tonumber(ARGV[1])
local function item(i)
  local at = 7 + i * 7
  return {
    field = ARGV[at],
    before = ARGV[at + 1] == '1' and ARGV[at + 2],
    after = ARGV[at + 3] == '1' and ARGV[at + 4],
    entry = ARGV[at + 5],
    details = ARGV[at + 6],
    of_gateway = KEYS[4 + i * 2],
    recorded = KEYS[5 + i * 2],
  }
end
local function record_item(one, digest)
  -- What is made again later is not what the set wrote.
  local member = ARGV[5] .. '/' .. one.field
  if not one.after then redis.call('HDEL', sets, member)
  elseif ARGV[6] ~= '' then redis.call('HSET', sets, member, ARGV[6]) end
  redis.call('SET', one.recorded, digest, 'PX', ARGV[3])
  return record(stream, one.of_gateway, one.entry, one.details, ARGV[2], ARGV[3], ARGV[4])
end
local function digest(value) return value and redis.sha1hex(value) or '-' end
local function write_item(one)
  if one.after then redis.call('HSET', hash, one.field, one.after) else redis.call('HDEL', hash, one.field) end
  return record_item(one, digest(one.after))
end
local done = {'ok'}
";

impl History {
    /// Writes all of these fields of a domain, or none.
    ///
    /// # Errors
    /// [`StoreError`]. Then nothing was written, unless the connection broke before the answer.
    pub async fn edit(&self, domain: &DomainName, edits: &[Edit]) -> Result<Edited, StoreError> {
        self.edit_in_set(domain, edits, None).await
    }

    /// The same; `set` is remembered for those that are not deleted.
    ///
    /// # Errors
    /// As [`History::edit`].
    pub async fn edit_in_set(
        &self,
        domain: &DomainName,
        edits: &[Edit],
        set: Option<&str>,
    ) -> Result<Edited, StoreError> {
        static EDIT: LazyLock<redis::Script> = LazyLock::new(|| {
            redis::Script::new(&format!(
                "{RECORD_LUA}{WRITE}
                 for i = 0, count - 1 do
                   local one = item(i)
                   if redis.call('HGET', hash, one.field) ~= one.before then return {{'conflict'}} end
                 end
                 for i = 0, count - 1 do
                   done[#done + 1] = write_item(item(i))
                 end
                 return done"
            ))
        });
        self.run("edit", &EDIT, domain, edits, set).await
    }

    /// Writes each of these fields of a domain that is still what its edit was made from, and leaves the
    /// others alone.
    ///
    /// # Errors
    /// [`StoreError`]. Then nothing was written, unless the connection broke before the answer.
    pub async fn edit_each(&self, domain: &DomainName, edits: &[Edit]) -> Result<EditedEach, StoreError> {
        static EDIT: LazyLock<redis::Script> = LazyLock::new(|| {
            redis::Script::new(&format!(
                "{RECORD_LUA}{WRITE}
                 for i = 0, count - 1 do
                   local one = item(i)
                   local is_same = redis.call('HGET', hash, one.field) == one.before
                   done[#done + 1] = is_same and write_item(one) or ''
                 end
                 return done"
            ))
        });
        Ok(match self.run("edit many", &EDIT, domain, edits, None).await? {
            Edited::Done(ids) => {
                let ids = ids.into_iter().map(|id| (!id.is_empty()).then_some(id));
                EditedEach::Done(ids.collect())
            }
            Edited::WrongType(kind) => EditedEach::WrongType(kind),
            // The script has no such answer.
            Edited::Conflict => EditedEach::Done(vec![None; edits.len()]),
        })
    }

    /// Records edits that were made past trunkd. Each is recorded once, by whichever trunkd notices
    /// it first; one that is no longer current is left to the next look.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn record_noticed(&self, domain: &DomainName, edits: &[Edit]) -> Result<Edited, StoreError> {
        static NOTICE: LazyLock<redis::Script> = LazyLock::new(|| {
            redis::Script::new(&format!(
                "{RECORD_LUA}{WRITE}
                 for i = 0, count - 1 do
                   local one = item(i)
                   local known = digest(one.after)
                   if redis.call('HGET', hash, one.field) == one.after and redis.call('GET', one.recorded) ~= known then
                     done[#done + 1] = record_item(one, known)
                   end
                 end
                 return done"
            ))
        });
        self.run("record edits", &NOTICE, domain, edits, None).await
    }

    async fn run(
        &self,
        operation: &'static str,
        script: &redis::Script,
        domain: &DomainName,
        edits: &[Edit],
        set: Option<&str>,
    ) -> Result<Edited, StoreError> {
        let mut call = script.prepare_invoke();
        call.key(self.store().gateway_keys().key(domain))
            .key(keys::HISTORY)
            .key(keys::SETS);
        call.arg(edits.len());
        for (at, edit) in edits.iter().enumerate() {
            let prepared = self.prepare(&edit.entry);
            if at == 0 {
                call.arg(prepared.entries)
                    .arg(prepared.age_ms)
                    .arg(prepared.per_gateway)
                    .arg(&**domain.text())
                    .arg(set.unwrap_or_default());
            }
            call.key(&prepared.of_gateway)
                .key(keys::recorded(domain.text(), edit.gateway.as_str()));
            call.arg(edit.gateway.as_str());
            for value in [&edit.before, &edit.after] {
                call.arg(u8::from(value.is_some()))
                    .arg(value.as_deref().unwrap_or_default());
            }
            // Without details it can't be reverted.
            let details = Values::of(edit).map(|values| serde_json::to_string(&values).unwrap_or_default());
            call.arg(&prepared.entry).arg(details.unwrap_or_default());
        }
        let limit = EDIT_TIMEOUT + PER_EDIT * u32::try_from(edits.len()).unwrap_or(u32::MAX);
        let answer: Vec<String> = self
            .store()
            .write(operation, limit, async |connection| call.invoke_async(connection).await)
            .await?;
        let mut answer = answer.into_iter();
        Ok(match answer.next().as_deref() {
            Some("ok") => Edited::Done(answer.collect()),
            Some("type") => Edited::WrongType(answer.next().unwrap_or_default()),
            _ => Edited::Conflict,
        })
    }
}

impl Values {
    /// `None` if a value is not UTF-8: it could not be written back from JSON.
    fn of(edit: &Edit) -> Option<Self> {
        let text = |value: &Option<Vec<u8>>| value.clone().map(String::from_utf8).transpose().ok();
        Some(Self {
            before: text(&edit.before)?,
            after: text(&edit.after)?,
        })
    }
}
