//! Gateways that were removed from a switch without approval within a window: `trunkd:removals:<switch>`.
//! So the next lease holder knows how many may still be removed.

use std::sync::LazyLock;
use std::time::Duration;

use crate::keys;
use crate::redis::{Store, StoreError, script_with_now, since_epoch};

/// A gateway, and how long ago it was removed, by Redis's clock.
pub type Removal = (String, Duration);

impl Store {
    /// The removals within the window.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn read_removals(&self, switch: &str, window: Duration) -> Result<Vec<Removal>, StoreError> {
        let (time, found): ((u64, u64), Vec<(String, f64)>) = self
            .read("read removals", self.timeout(), async |connection| {
                redis::pipe()
                    .cmd("TIME")
                    .cmd("ZRANGE")
                    .arg(keys::removals(switch))
                    .arg(&["0", "-1", "WITHSCORES"])
                    .query_async(connection)
                    .await
            })
            .await?;
        let now = since_epoch(time);
        let ages = found.into_iter().map(|(gateway, ms)| {
            let at = Duration::try_from_secs_f64(ms / 1e3).unwrap_or_default();
            (gateway, now.saturating_sub(at))
        });
        Ok(ages.filter(|(_, age)| *age < window).collect())
    }

    /// Records that these were removed this long ago, and returns all of the window. Called before the
    /// removal, so that a crash forgets none.
    ///
    /// # Errors
    /// [`StoreError`]. Then none may be removed.
    pub async fn record_removals(
        &self,
        switch: &str,
        gone: &[Removal],
        window: Duration,
    ) -> Result<Vec<Removal>, StoreError> {
        static RECORD: LazyLock<redis::Script> = LazyLock::new(|| {
            script_with_now(
                "local window = tonumber(ARGV[1])
                 redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', string.format('(%d', now - window))
                 for i = 2, #ARGV, 2 do
                   local at, known = now - tonumber(ARGV[i + 1]), redis.call('ZSCORE', KEYS[1], ARGV[i])
                   if at > now - window and (not known or tonumber(known) < at) then
                     redis.call('ZADD', KEYS[1], string.format('%d', at), ARGV[i])
                   end
                 end
                 redis.call('PEXPIRE', KEYS[1], ARGV[1])
                 local all = redis.call('ZRANGE', KEYS[1], 0, -1, 'WITHSCORES')
                 for i = 2, #all, 2 do all[i] = string.format('%d', math.max(0, now - tonumber(all[i]))) end
                 return all",
            )
        });
        let mut call = RECORD.key(keys::removals(switch));
        call.arg(window.as_millis());
        for (gateway, age) in gone {
            call.arg(gateway).arg(age.as_millis());
        }
        let found: Vec<(String, u64)> = self
            .write("record removals", self.timeout(), async |connection| {
                call.invoke_async(connection).await
            })
            .await?;
        let ages = found
            .into_iter()
            .map(|(gateway, ms)| (gateway, Duration::from_millis(ms)));
        Ok(ages.collect())
    }
}
