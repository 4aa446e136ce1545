//! What people sent to import, kept while they look at what it would do. Sealed by `operate`.

use std::sync::LazyLock;
use std::time::Duration;

use crate::import::MAX_BYTES;
use crate::keys;
use crate::redis::{Store, StoreError, script_with_now};

/// How long an upload is kept.
pub const UPLOAD_LASTS: Duration = Duration::from_secs(15 * 60);
/// The most uploads of one person. The oldest one makes room for a new one.
const MOST_UPLOADS: usize = 4;
/// The most bytes of one person's uploads together, sealed: the largest one always fits.
const MOST_BYTES: u64 = MAX_BYTES + 64 * 1024;
/// A large upload takes longer on the network than the answers of Redis otherwise do.
const PATIENCE: Duration = Duration::from_secs(5);

impl Store {
    /// Keeps an upload of this person. Ids begin with the time, in ms.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(crate) async fn keep_upload(&self, owner: &str, id: &str, sealed: &[u8]) -> Result<(), StoreError> {
        static TRIM: LazyLock<redis::Script> = LazyLock::new(|| {
            script_with_now(
                "local uploads, oldest = KEYS[1], now - ARGV[1]
                 local most, most_bytes = tonumber(ARGV[2]), tonumber(ARGV[3])
                 local ids = redis.call('HKEYS', uploads)
                 table.sort(ids, function(one, other) return one > other end)
                 local count, bytes = 0, 0
                 for _, id in ipairs(ids) do
                   count = count + 1
                   bytes = bytes + redis.call('HSTRLEN', uploads, id)
                   local is_old = tonumber(string.match(id, '^%d+') or 0) < oldest
                   if is_old or count > most or (count > 1 and bytes > most_bytes) then
                     redis.call('HDEL', uploads, id)
                   end
                 end",
            )
        });
        let key = keys::uploads(owner);
        let limit = self.timeout().max(PATIENCE);
        self.write("keep upload", limit, async |connection| {
            redis::pipe()
                .hset(&key, id, sealed)
                .cmd("PEXPIRE")
                .arg(&key)
                .arg(UPLOAD_LASTS.as_millis())
                .exec_async(connection)
                .await
        })
        .await?;
        self.write("trim uploads", self.timeout(), async |connection| {
            TRIM.key(&key)
                .arg(UPLOAD_LASTS.as_millis())
                .arg(MOST_UPLOADS)
                .arg(MOST_BYTES)
                .invoke_async(connection)
                .await
        })
        .await
    }

    /// An upload of this person. `None` if it is gone.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(crate) async fn read_upload(&self, owner: &str, id: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let limit = self.timeout().max(PATIENCE);
        self.read("read upload", limit, async |connection| {
            redis::cmd("HGET")
                .arg(keys::uploads(owner))
                .arg(id)
                .query_async(connection)
                .await
        })
        .await
    }

    /// Deletes an upload of this person.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(crate) async fn drop_upload(&self, owner: &str, id: &str) -> Result<(), StoreError> {
        self.write("drop upload", self.timeout(), async |connection| {
            redis::cmd("HDEL")
                .arg(keys::uploads(owner))
                .arg(id)
                .exec_async(connection)
                .await
        })
        .await
    }
}
