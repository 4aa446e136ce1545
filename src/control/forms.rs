//! The fields behind each revision, so that a plan can say what differs: the hash `trunkd:forms`. The
//! sorted set `trunkd:forms:used` has the time when each was last needed, by Redis's clock.
//!
//! Every reconciler reports at intervals which revisions its switch runs or should run. A form is
//! dropped when no reconciler has needed it for a long time.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;
use std::time::Duration;

use crate::keys;
use crate::redis::{Store, StoreError, script_with_now};

/// The fields of a gateway: `param.realm` → value, secrets as digests.
pub type Form = BTreeMap<String, String>;

/// Forms per command, so that each ends within the time limit.
const AT_ONCE: usize = 500;
/// The most forms to keep, about 1 kB each. The least recently used are dropped first, and then a plan
/// shows fewer differences.
const MOST_FORMS: usize = 200_000;

impl Store {
    /// The forms of these revisions, if stored.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn read_forms(&self, revisions: &[String]) -> Result<BTreeMap<String, Form>, StoreError> {
        if revisions.is_empty() {
            return Ok(BTreeMap::new());
        }
        let values: Vec<Option<String>> = self
            .read("read forms", self.timeout(), async |connection| {
                redis::cmd("HMGET")
                    .arg(keys::FORMS)
                    .arg(revisions)
                    .query_async(connection)
                    .await
            })
            .await?;
        let found = revisions.iter().zip(values);
        Ok(found
            .filter_map(|(revision, value)| Some((revision.clone(), serde_json::from_str(&value?).ok()?)))
            .collect())
    }

    /// Stores the forms of these revisions and marks them as needed.
    pub(crate) async fn write_forms(&self, forms: &BTreeMap<String, Form>) -> Result<(), StoreError> {
        static WRITE: LazyLock<redis::Script> = LazyLock::new(|| {
            script_with_now(
                "for i = 1, #ARGV, 2 do
                   redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1])
                   redis.call('ZADD', KEYS[2], now, ARGV[i])
                 end",
            )
        });
        let forms: Vec<_> = forms.iter().collect();
        for chunk in forms.chunks(AT_ONCE) {
            let mut call = WRITE.key(keys::FORMS);
            call.key(keys::FORMS_USED);
            for (revision, form) in chunk {
                call.arg(revision).arg(serde_json::to_string(form).unwrap_or_default());
            }
            self.write("write forms", self.timeout(), async |connection| {
                call.invoke_async::<()>(connection).await
            })
            .await?;
        }
        Ok(())
    }

    /// Marks the forms of these revisions as needed, and returns the revisions that have none.
    pub(crate) async fn need_forms(&self, revisions: &BTreeSet<String>) -> Result<BTreeSet<String>, StoreError> {
        static NEED: LazyLock<redis::Script> = LazyLock::new(|| {
            script_with_now(
                "local missing = {}
                 for _, revision in ipairs(ARGV) do
                   if redis.call('HEXISTS', KEYS[1], revision) == 1 then
                     redis.call('ZADD', KEYS[2], now, revision)
                   else
                     missing[#missing + 1] = revision
                   end
                 end
                 return missing",
            )
        });
        let revisions: Vec<_> = revisions.iter().collect();
        let mut missing = BTreeSet::new();
        for chunk in revisions.chunks(AT_ONCE) {
            let mut call = NEED.key(keys::FORMS);
            call.key(keys::FORMS_USED).arg(chunk);
            let found: Vec<String> = self
                .write("need forms", self.timeout(), async |connection| {
                    call.invoke_async(connection).await
                })
                .await?;
            missing.extend(found);
        }
        Ok(missing)
    }

    /// Drops forms that were not needed for this long, and the oldest beyond [`MOST_FORMS`].
    pub(crate) async fn drop_old_forms(&self, unused_for: Duration) -> Result<(), StoreError> {
        static DROP: LazyLock<redis::Script> = LazyLock::new(|| {
            script_with_now(
                "local forms, used, most, at_once = KEYS[1], KEYS[2], tonumber(ARGV[2]), tonumber(ARGV[3])
                 -- Those of an earlier version of trunkd, which kept no record.
                 if redis.call('HLEN', forms) > redis.call('ZCARD', used) then
                   for _, revision in ipairs(redis.call('HKEYS', forms)) do
                     redis.call('ZADD', used, 'NX', now, revision)
                   end
                 end
                 local old = redis.call('ZRANGEBYSCORE', used, '-inf', '(' .. (now - ARGV[1]), 'LIMIT', 0, at_once)
                 local beyond = redis.call('ZCARD', used) - most
                 if #old == 0 and beyond > 0 then
                   old = redis.call('ZRANGE', used, 0, math.min(beyond, at_once) - 1)
                 end
                 for _, revision in ipairs(old) do
                   redis.call('HDEL', forms, revision)
                   redis.call('ZREM', used, revision)
                 end
                 return #old",
            )
        });
        loop {
            let mut call = DROP.key(keys::FORMS);
            call.key(keys::FORMS_USED)
                .arg(unused_for.as_millis())
                .arg(MOST_FORMS)
                .arg(AT_ONCE);
            let dropped: usize = self
                .write("drop old forms", self.timeout(), async |connection| {
                    call.invoke_async(connection).await
                })
                .await?;
            if dropped < AT_ONCE {
                return Ok(());
            }
        }
    }
}
