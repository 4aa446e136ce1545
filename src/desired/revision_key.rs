//! The key behind the revisions: `trunkd:key`, and its predecessors.
//!
//! Every trunkd on one Redis must make the same revisions, so the key in Redis counts. Gateways on the
//! switches carry revisions made with the key of their time. A replaced key (by hand, or because Redis
//! lost it while no trunkd knew it) is remembered, so that nothing restarts because of it.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use rand::RngExt;
use redis::{RedisError, RedisResult, Value};

use crate::gateway::RevisionKey;
use crate::keys;
use crate::redis::{Store, StoreError, is_wrong_type};

/// How many replaced keys are remembered. Each is an accident.
pub(crate) const MAX_FORMER_KEYS: isize = 8;

/// The values of `trunkd:key` and `trunkd:key:former`.
pub(crate) struct StoredKey {
    current: Result<Option<RevisionKey>, BadKey>,
    former: Vec<RevisionKey>,
    /// `trunkd:key:former` is not a list.
    is_former_lost: bool,
}

/// The value is not a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "{name} in Redis is {what}: delete it (redis-cli DEL {name}), and trunkd puts the key that it knows back",
    name = keys::REVISION_KEY
)]
struct BadKey {
    what: &'static str,
}

impl StoredKey {
    /// From the replies to `GET` and `LRANGE`.
    ///
    /// # Errors
    /// Redis refused, for another reason than the content of the keys.
    pub(crate) fn read(current: RedisResult<Value>, former: RedisResult<Value>) -> Result<Self, RedisError> {
        let current = match current {
            Ok(Value::Nil) => Ok(None),
            Ok(value) => redis::from_redis_value::<Vec<u8>>(value)
                .ok()
                .and_then(|bytes| RevisionKey::from_hex(std::str::from_utf8(&bytes).ok()?).ok())
                .map(Some)
                .ok_or(BadKey {
                    what: "not 64 hexadecimal digits",
                }),
            Err(error) if is_wrong_type(&error) => Err(BadKey {
                what: "of a type that trunkd did not make",
            }),
            Err(error) => return Err(error),
        };
        let (former, is_former_lost) = match former {
            Ok(value) => (
                redis::from_redis_value::<Vec<Vec<u8>>>(value).unwrap_or_default(),
                false,
            ),
            Err(error) if is_wrong_type(&error) => (Vec::new(), true),
            Err(error) => return Err(error),
        };
        let former = former.iter().filter_map(|hex| std::str::from_utf8(hex).ok());
        Ok(Self {
            current,
            former: former.filter_map(|hex| RevisionKey::from_hex(hex).ok()).collect(),
            is_former_lost,
        })
    }
}

fn new_key() -> RevisionKey {
    RevisionKey::new(rand::rng().random())
}

impl Store {
    /// Whether Redis has the key behind the revisions. Without it, the revisions of a read-only catalog are
    /// made with a temporary key.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn has_key(&self) -> Result<bool, StoreError> {
        self.read("look for the revision key", self.timeout(), async |connection| {
            redis::cmd("EXISTS")
                .arg(keys::REVISION_KEY)
                .query_async(connection)
                .await
        })
        .await
    }

    /// The key for revisions, from Redis or from what this trunkd knew. If Redis has none, it gets the known
    /// one or a new one, and the former ones.
    pub(crate) async fn revision_key(
        &self,
        stored: &StoredKey,
        known: Option<RevisionKey>,
        may_write: bool,
    ) -> RevisionKey {
        self.status().record_key(
            keys::REVISION_KEY,
            stored.current.as_ref().err().map(ToString::to_string),
        );
        let lost = format!(
            "{name} in Redis is of a type that trunkd did not make: delete it (redis-cli DEL {name})",
            name = keys::FORMER_REVISION_KEYS
        );
        self.status()
            .record_key(keys::FORMER_REVISION_KEYS, stored.is_former_lost.then_some(lost));
        let current = match &stored.current {
            Ok(Some(current)) => current.clone(),
            Ok(None) if may_write => self.put_key(known.clone().unwrap_or_else(new_key)).await,
            Ok(None) | Err(_) => known.clone().unwrap_or_else(new_key),
        };
        let mut former = stored.former.clone();
        if let Some(known) = known {
            if known.to_hex() != current.to_hex() {
                tracing::warn!(
                    "{} in Redis was replaced; gateways that run with a revision of the old key are left as they are",
                    keys::REVISION_KEY
                );
            }
            former.extend(known.former());
            former.push(known);
        }
        let key = current.after(&former);
        let stored: BTreeSet<_> = stored.former.iter().map(RevisionKey::to_hex).collect();
        let unpublished: Vec<_> = key
            .former()
            .iter()
            .map(RevisionKey::to_hex)
            .filter(|hex| !stored.contains(hex))
            .collect();
        if may_write && !unpublished.is_empty() && self.put_former_keys(&unpublished).await.is_err() {
            tracing::warn!("another trunkd may not know the old key of the revisions: it could not be stored in Redis");
        }
        key
    }

    /// Stores the key unless there is one, and returns the stored one.
    async fn put_key(&self, ours: RevisionKey) -> RevisionKey {
        let hex = ours.to_hex();
        let kept = self
            .write("store the revision key", self.timeout(), async |connection| {
                let (_, kept): (Value, Option<String>) = redis::pipe()
                    .cmd("SET")
                    .arg(keys::REVISION_KEY)
                    .arg(&hex)
                    .arg("NX")
                    .get(keys::REVISION_KEY)
                    .query_async(connection)
                    .await?;
                Ok(kept)
            })
            .await;
        match kept {
            Ok(kept) => kept.and_then(|hex| RevisionKey::from_hex(&hex).ok()).unwrap_or(ours),
            Err(error) => {
                tracing::warn!(%error, "the key of the revisions cannot be stored; they hold only until trunkd stops");
                ours
            }
        }
    }

    async fn put_former_keys(&self, hex: &[String]) -> Result<(), StoreError> {
        static PUT: LazyLock<redis::Script> = LazyLock::new(|| {
            redis::Script::new(
                "for i = 2, #ARGV do
                   redis.call('LREM', KEYS[1], 0, ARGV[i])
                   redis.call('LPUSH', KEYS[1], ARGV[i])
                 end
                 redis.call('LTRIM', KEYS[1], 0, ARGV[1] - 1)",
            )
        });
        self.write("store former revision keys", self.timeout(), async |connection| {
            PUT.key(keys::FORMER_REVISION_KEYS)
                .arg(MAX_FORMER_KEYS)
                .arg(hex)
                .invoke_async(connection)
                .await
        })
        .await
    }
}
