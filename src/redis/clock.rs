//! Redis's clock: trunkd on several machines must agree on what is old.

use std::time::Duration;

/// A script that begins with `now`, in ms.
pub(crate) fn script_with_now(body: &str) -> redis::Script {
    redis::Script::new(&format!(
        "local time = redis.call('TIME')
         local now = time[1] * 1000 + math.floor(time[2] / 1000)
         {body}"
    ))
}

/// A reply to `TIME`.
pub(crate) fn since_epoch((seconds, micros): (u64, u64)) -> Duration {
    Duration::from_secs(seconds) + Duration::from_micros(micros)
}
