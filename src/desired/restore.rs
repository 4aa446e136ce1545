//! Writes back what Redis lost of the last good state. Never overwrites anything.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;
use std::time::Duration;

use super::LastGood;
use crate::gateway::DomainName;
use crate::keys;
use crate::redis::{Store, StoreError};

/// Limit for writing everything in one step: 100,000 gateways take a second.
const RESTORE_TIMEOUT: Duration = Duration::from_secs(60);

/// What Redis lacks of a domain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missing {
    pub domain: DomainName,
    /// The missing fields with their values.
    pub fields: BTreeMap<Vec<u8>, Vec<u8>>,
    /// Whether the domain has no other fields.
    pub is_whole_domain: bool,
    /// The key's type, if it is not a hash. Then nothing can be written.
    pub wrong_type: Option<String>,
}

impl Store {
    /// What Redis lacks of the last good state, by domain. A field with another value is not missing.
    ///
    /// # Errors
    /// [`StoreError`], also if this Redis is not a master.
    pub async fn missing(&self, kept: &LastGood) -> Result<Vec<Missing>, StoreError> {
        self.ping().await?;
        let stored = kept.stored();
        let present: Vec<(String, Vec<Vec<u8>>)> = self
            .read("look for what is missing", RESTORE_TIMEOUT, async |connection| {
                let mut present = Vec::with_capacity(stored.len());
                for domain in stored.keys() {
                    let key = self.gateway_keys().key(domain);
                    let kind: String = redis::cmd("TYPE").arg(&key).query_async(connection).await?;
                    let fields = match kind.as_str() {
                        "hash" => redis::cmd("HKEYS").arg(&key).query_async(connection).await?,
                        _ => Vec::new(),
                    };
                    present.push((kind, fields));
                }
                Ok(present)
            })
            .await?;
        let missing = stored
            .into_iter()
            .zip(present)
            .map(|((domain, fields), (kind, present))| {
                let present: BTreeSet<_> = present.iter().map(Vec::as_slice).collect();
                let fields = fields.into_iter().filter(|(name, _)| !present.contains(name));
                Missing {
                    domain: domain.clone(),
                    fields: fields.map(|(name, value)| (name.to_vec(), value.to_vec())).collect(),
                    is_whole_domain: present.is_empty(),
                    wrong_type: (kind != "hash" && kind != "none").then_some(kind),
                }
            });
        Ok(missing.filter(|missing| !missing.fields.is_empty()).collect())
    }

    /// Writes the missing fields, and the revision key if there is none, in one step: with half of them
    /// back, the other half would count as removed. Returns the number of fields written. Fields that
    /// reappeared meanwhile stay unchanged.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn put_back(&self, kept: &LastGood, missing: &[Missing]) -> Result<usize, StoreError> {
        // A script, because the documented ACL user may not use MULTI.
        static PUT_BACK: LazyLock<redis::Script> = LazyLock::new(|| {
            redis::Script::new(
                "local set, at = 0, 2
                 for key = 1, #KEYS - 1 do
                   local kind = redis.call('TYPE', KEYS[key]).ok
                   local count = tonumber(ARGV[at])
                   at = at + 1
                   for _ = 1, count do
                     if kind == 'none' or kind == 'hash' then
                       set = set + redis.call('HSETNX', KEYS[key], ARGV[at], ARGV[at + 1])
                     end
                     at = at + 2
                   end
                 end
                 redis.call('SET', KEYS[#KEYS], ARGV[1], 'NX')
                 return set",
            )
        });
        let mut call = PUT_BACK.prepare_invoke();
        for missing in missing {
            call.key(self.gateway_keys().key(&missing.domain));
        }
        call.key(keys::REVISION_KEY).arg(kept.key.to_hex());
        for missing in missing {
            call.arg(missing.fields.len());
            for (name, value) in &missing.fields {
                call.arg(name).arg(value);
            }
        }
        self.write("put back what is missing", RESTORE_TIMEOUT, async |connection| {
            call.invoke_async(connection).await
        })
        .await
    }
}
