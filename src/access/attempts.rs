//! Failed sign-ins are slowed down, for each name and each address, by counters that every trunkd
//! shares.
//!
//! Up to [`FREE_FAILURES`] cost nothing. After that an attempt counts as failed from its start, so
//! that many at the same moment gain nothing, and one that succeeds takes that back.

use std::net::{IpAddr, Ipv6Addr};
use std::sync::LazyLock;
use std::time::Duration;

use redis::Script;

use super::Access;
use super::error::AccessError;
use super::grant::is_name;
use crate::keys;
use crate::redis::{StoreError, script_with_now};

const FREE_FAILURES: u32 = 5;
/// Failures are forgotten when there was none for this long.
const REMEMBERED_FOR: Duration = Duration::from_secs(15 * 60);
/// The wait after [`FREE_FAILURES`]. It doubles with each further one.
const FIRST_WAIT: Duration = Duration::from_secs(1);
const LONGEST_WAIT: Duration = Duration::from_secs(5 * 60);

/// The network of one subscriber: somebody with one IPv6 address has 2^64.
const IPV6_NETWORK: u128 = !0 << 64;

/// Stands for every name that nobody can have. No name contains it.
pub(super) const IMPOSSIBLE_NAME: &str = "?";

/// An attempt that was let through.
pub(super) struct Attempt {
    /// The counters, and whether it counts as failed there already.
    counters: Vec<(String, bool)>,
}

/// The counters are hashes: `failures`, `last` (when, in ms) and `before` (the one before the
/// last).
const COUNT: &str = "local function count(key, failures, last)
       redis.call('HSET', key, 'failures', failures + 1, 'last', now, 'before', last)
       redis.call('PEXPIRE', key, ARGV[1])
     end
     local function read(key)
       local kept = redis.call('HMGET', key, 'failures', 'last')
       local failures, last = tonumber(kept[1]) or 0, tonumber(kept[2]) or 0
       if now - last >= tonumber(ARGV[1]) then return 0, 0 end
       return failures, last
     end";

/// Answers with the wait in ms, then with 1 for each counter in which it counts already.
static BEGIN: LazyLock<Script> = LazyLock::new(|| {
    script_with_now(&format!(
        "{COUNT}
         local free, first, longest = tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
         local wait = 0
         for _, key in ipairs(KEYS) do
           local failures, last = read(key)
           if failures >= free then
             local pause = math.min(longest, first * 2 ^ (failures - free))
             -- No longer than a pause, should the clock have been set back.
             wait = math.max(wait, math.min(pause, last + pause - now))
           end
         end
         local answer = {{math.ceil(wait)}}
         if wait > 0 then return answer end
         for i, key in ipairs(KEYS) do
           local failures, last = read(key)
           answer[i + 1] = 0
           if failures >= free then
             count(key, failures, last)
             answer[i + 1] = 1
           end
         end
         return answer"
    ))
});

static FAILED: LazyLock<Script> = LazyLock::new(|| {
    script_with_now(&format!(
        "{COUNT}
         for _, key in ipairs(KEYS) do
           count(key, read(key))
         end"
    ))
});

/// Takes back one failure.
static TAKE_BACK: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "local kept = redis.call('HMGET', KEYS[1], 'failures', 'before')
         if kept[1] then
           redis.call('HSET', KEYS[1], 'failures', math.max(tonumber(kept[1]) - 1, 0), 'last', kept[2] or 0)
         end",
    )
});

impl Access {
    /// Lets an attempt through, unless there were too many failures.
    ///
    /// # Errors
    /// [`AccessError::TooMany`].
    pub(super) async fn begin_attempt(&self, keys: Vec<String>) -> Result<Attempt, AccessError> {
        let mut call = BEGIN.prepare_invoke();
        for key in &keys {
            call.key(key);
        }
        call.arg(millis(REMEMBERED_FOR))
            .arg(FREE_FAILURES)
            .arg(millis(FIRST_WAIT))
            .arg(millis(LONGEST_WAIT));
        let answer: Vec<u64> = self.run("begin sign-in", &call).await?;
        let (wait_ms, counted) = answer.split_first().map_or((0, &[][..]), |(wait, rest)| (*wait, rest));
        if wait_ms > 0 {
            let retry_after = Duration::from_millis(wait_ms);
            return Err(AccessError::TooMany { retry_after });
        }
        let counted = counted.iter().map(|counted| *counted == 1);
        Ok(Attempt {
            counters: keys.into_iter().zip(counted).collect(),
        })
    }

    pub(super) async fn attempt_failed(&self, attempt: Attempt) -> Result<(), StoreError> {
        let mut uncounted = attempt.counters.iter().filter(|(_, counted)| !counted).peekable();
        if uncounted.peek().is_none() {
            return Ok(());
        }
        let mut call = FAILED.prepare_invoke();
        for (key, _) in uncounted {
            call.key(key);
        }
        call.arg(millis(REMEMBERED_FOR));
        self.run("count failed sign-in", &call).await
    }

    /// Forgets the failures of the name, but not those of the address: somebody with a password of
    /// his own could otherwise guess those of others.
    pub(super) async fn attempt_succeeded(&self, attempt: Attempt, name: &str) -> Result<(), StoreError> {
        let of_name = keys::sign_ins_of_name(name);
        for (key, counted) in &attempt.counters {
            if *key == of_name {
                self.store
                    .write("forget failed sign-ins", self.store.timeout(), async |connection| {
                        redis::cmd("DEL").arg(key).exec_async(connection).await
                    })
                    .await?;
            } else if *counted {
                self.run::<()>("take back failed sign-in", &TAKE_BACK.key(key)).await?;
            }
        }
        Ok(())
    }
}

/// A name as it may stand in a key.
pub(super) fn possible_name(name: &str) -> &str {
    match is_name(name) {
        true => name,
        false => IMPOSSIBLE_NAME,
    }
}

pub(super) fn of_address(peer: IpAddr) -> String {
    let address = match peer.to_canonical() {
        IpAddr::V6(peer) => Ipv6Addr::from_bits(peer.to_bits() & IPV6_NETWORK).into(),
        peer => peer,
    };
    keys::sign_ins_of_address(&address.to_string())
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ipv6_network_counts_as_one_address() {
        let key = |peer: &str| of_address(peer.parse().unwrap());
        assert_eq!(key("2001:db8:1:2:3:4:5:6"), "trunkd:sign-ins:address:2001:db8:1:2::");
        assert_eq!(key("2001:db8:1:2::9"), key("2001:db8:1:2:3:4:5:6"));
        assert_ne!(key("2001:db8:1:3::9"), key("2001:db8:1:2::9"));
        assert_eq!(key("::ffff:192.0.2.1"), "trunkd:sign-ins:address:192.0.2.1");
    }

    #[test]
    fn names_that_nobody_can_have_share_one_counter() {
        assert_eq!(possible_name("alice"), "alice");
        for name in ["", "?", "a b", &"x".repeat(100_000)] {
            assert_eq!(possible_name(name), IMPOSSIBLE_NAME);
        }
        assert!(!is_name(IMPOSSIBLE_NAME));
    }
}
