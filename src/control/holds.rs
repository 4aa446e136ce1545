//! Which plans are held, so that each hold has one entry in the history, no matter how many trunkd
//! lead the switch while it lasts.

use std::sync::LazyLock;

use crate::history::{Entry, History, RECORD_LUA};
use crate::keys;
use crate::redis::{Store, StoreError};

impl Store {
    /// Records that the plan of a switch is held, unless that is recorded.
    pub(crate) async fn begin_hold(&self, history: &History, switch: &str, entry: &Entry) -> Result<(), StoreError> {
        static BEGIN: LazyLock<redis::Script> = LazyLock::new(|| {
            redis::Script::new(&format!(
                "{RECORD_LUA}
                 if redis.call('HEXISTS', KEYS[1], ARGV[1]) == 1 then return end
                 local id = record(KEYS[2], '', ARGV[2], '', ARGV[3], ARGV[4], 0)
                 redis.call('HSET', KEYS[1], ARGV[1], id)"
            ))
        });
        self.record_hold(&BEGIN, history, switch, entry).await
    }

    /// Records that it is no longer held, if a hold is recorded.
    pub(crate) async fn end_hold(&self, history: &History, switch: &str, entry: &Entry) -> Result<(), StoreError> {
        static END: LazyLock<redis::Script> = LazyLock::new(|| {
            redis::Script::new(&format!(
                "{RECORD_LUA}
                 if redis.call('HEXISTS', KEYS[1], ARGV[1]) == 0 then return end
                 record(KEYS[2], '', ARGV[2], '', ARGV[3], ARGV[4], 0)
                 redis.call('HDEL', KEYS[1], ARGV[1])"
            ))
        });
        self.record_hold(&END, history, switch, entry).await
    }

    async fn record_hold(
        &self,
        script: &'static redis::Script,
        history: &History,
        switch: &str,
        entry: &Entry,
    ) -> Result<(), StoreError> {
        let prepared = history.prepare(entry);
        let mut call = script.key(keys::HELD);
        call.key(keys::HISTORY)
            .arg(switch)
            .arg(&prepared.entry)
            .arg(prepared.entries)
            .arg(prepared.age_ms);
        self.write("record hold", self.timeout(), async |connection| {
            call.invoke_async::<()>(connection).await
        })
        .await
    }
}
