//! Finds keys of ours that have the wrong type.
//!
//! Redis refuses a command with `WRONGTYPE` without naming the key. trunkd looks it up and says how to
//! fix it. Everything that doesn't need the key continues.

use std::sync::PoisonError;
use std::time::Duration;

use redis::RedisError;

use super::Store;
use super::error::StoreError;
use crate::keys;
use crate::shown::shown;

/// Limit of one search, which may not reach the end of a large Redis.
const SEARCH_LIMIT: Duration = Duration::from_secs(1);
/// Keys per step of SCAN.
const SCAN_COUNT: usize = 1_000;
/// The message names this many keys; more of them hint at another problem.
const MAX_NAMED: usize = 3;

/// Key (or prefix, if it ends with ':'), its type, and what happens when it is deleted.
const OWN_KEYS: [(&str, &str, &str); 25] = [
    (keys::REVISION_KEY, "string", "trunkd writes back the key that it knows"),
    (
        keys::FORMER_REVISION_KEYS,
        "list",
        "trunkd writes it again when it needs it",
    ),
    (
        keys::CONTROL,
        "hash",
        "pauses and orders in it are lost, and until then no switch is changed",
    ),
    (keys::RECONCILE, "hash", "trunkd writes it again"),
    (keys::FORMS, "hash", "trunkd writes it again"),
    (keys::FORMS_USED, "zset", "trunkd writes it again"),
    (keys::SWITCHES, "hash", "trunkd writes it again"),
    (keys::SIGHTS, "hash", "trunkd writes it again"),
    (keys::SIP_ADDRESSES, "hash", "trunkd writes it again"),
    (keys::ROLLBACKS, "hash", "edits that were rolled back are tried again"),
    (
        keys::CANARIES,
        "hash",
        "edits of many gateways are tried with a few again",
    ),
    (keys::WEBHOOKS, "hash", "each webhook begins with the newest entry"),
    (
        keys::USERS,
        "hash",
        "every user in it is lost; make them again with `trunkd user add`",
    ),
    (
        keys::TOKENS,
        "hash",
        "every token in it is lost; make new ones with `trunkd token create`",
    ),
    (keys::SETUP, "string", "a restart of trunkd makes a new setup code"),
    ("trunkd:session:", "string", "its user signs in again"),
    ("trunkd:sign-ins:", "hash", "failed sign-ins in it are forgotten"),
    ("trunkd:lease:", "string", "the lease of the switch is taken again"),
    (
        "trunkd:order:",
        "string",
        "the order in it is lost; give it again with `trunkd apply`",
    ),
    ("trunkd:removals:", "zset", "removals of the last minutes are forgotten"),
    (
        "trunkd:verifying:",
        "hash",
        "edits of the last seconds are not rolled back",
    ),
    ("trunkd:status:", "hash", "trunkd writes it again"),
    ("trunkd:ingest:", "hash", "trunkd writes it again"),
    ("trunkd:marks:", "hash", "trunkd writes it again"),
    ("trunkd:seen:", "hash", "trunkd writes it again"),
];

/// Whether Redis refused a command because of a key's type. Old versions say so only in the text of a
/// script's error.
pub(crate) fn is_wrong_type(error: &RedisError) -> bool {
    error.code() == Some("WRONGTYPE") || error.to_string().contains("WRONGTYPE")
}

/// A key that the settings name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ConfiguredKey {
    pub(crate) key: String,
    pub(crate) kind: &'static str,
    pub(crate) setting: &'static str,
}

impl Store {
    /// Registers a key from the settings, with the type that it must have.
    pub(crate) fn expect_type(&self, key: &str, kind: &'static str, setting: &'static str) {
        let mut keys = self.configured_keys.lock().unwrap_or_else(PoisonError::into_inner);
        let key = key.to_owned();
        let configured = ConfiguredKey { key, kind, setting };
        if !keys.contains(&configured) {
            keys.push(configured);
        }
    }

    /// An error that names the keys of a wrong type, after `operation` ran into one.
    pub(super) async fn wrong_type(&self, operation: &'static str) -> StoreError {
        let found = tokio::time::timeout(SEARCH_LIMIT, self.find_wrong_types()).await;
        let mut found = found.ok().and_then(Result::ok).unwrap_or_default();
        let more = found.len().saturating_sub(MAX_NAMED);
        found.truncate(MAX_NAMED);
        if more > 0 {
            found.push(format!("and {more} more"));
        }
        let reason = match found.is_empty() {
            true => format!("a key of trunkd has the wrong type ({operation})"),
            false => found.join("; "),
        };
        StoreError::WrongType(reason)
    }

    async fn find_wrong_types(&self) -> Result<Vec<String>, RedisError> {
        let Ok(mut connection) = self.pools.get(super::Access::Read).await else {
            return Ok(Vec::new());
        };
        let configured = self
            .configured_keys
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        let mut found = Vec::new();
        for ConfiguredKey { key, kind, setting } in &configured {
            let actual = type_of(connection.connection(), key.as_bytes()).await?;
            if actual != *kind && actual != "none" {
                found.push(format!(
                    "{0} is a {actual} in Redis, but {setting} needs a {kind}: delete or rename it, or set \
                     {setting} to another name",
                    shown(key)
                ));
            }
        }
        let mut cursor = 0_u64;
        loop {
            let (next, keys): (u64, Vec<Vec<u8>>) = redis::cmd("SCAN")
                .arg(cursor)
                .arg("MATCH")
                .arg("trunkd:*")
                .arg("COUNT")
                .arg(SCAN_COUNT)
                .query_async(connection.connection())
                .await?;
            for key in keys {
                let name = String::from_utf8_lossy(&key);
                let Some((_, kind, consequence)) = expected(&name) else {
                    continue;
                };
                let actual = type_of(connection.connection(), &key).await?;
                if actual != kind && actual != "none" {
                    let name = shown(&name);
                    found.push(format!(
                        "{name} is a {actual} in Redis, but trunkd needs a {kind}: delete it (redis-cli DEL \
                         {name}); {consequence}"
                    ));
                }
            }
            if next == 0 {
                return Ok(found);
            }
            cursor = next;
        }
    }
}

fn expected(name: &str) -> Option<(&'static str, &'static str, &'static str)> {
    let is_match = |known: &str| match known.ends_with(':') {
        true => name.starts_with(known),
        false => name == known,
    };
    OWN_KEYS.into_iter().find(|(known, ..)| is_match(known))
}

async fn type_of(connection: &mut impl redis::aio::ConnectionLike, key: &[u8]) -> Result<String, RedisError> {
    redis::cmd("TYPE").arg(key).query_async(connection).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_recognised_by_name_or_prefix() {
        let kind = |name| expected(name).map(|(_, kind, _)| kind);
        assert_eq!(kind("trunkd:key"), Some("string"));
        assert_eq!(kind("trunkd:key:former"), Some("list"));
        assert_eq!(kind("trunkd:status:fs1"), Some("hash"));
        assert_eq!(kind("trunkd:control"), Some("hash"));
        assert_eq!(kind("trunkd:control2"), None);
        assert_eq!(kind("gateways"), None);
    }
}
