//! Reads the desired gateways from Redis.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use redis::{ErrorKind, RedisError};

use super::records::{ReadRecords, WantedRecords};
use super::revision_key::{MAX_FORMER_KEYS, StoredKey};
use crate::gateway::{DomainName, RawDomain, RawDomains};
use crate::keys::{self, GatewayKeys};
use crate::redis::{Access, Cause, HashConnection, RedisRole, Reply, Store, StoreError};

/// The name of the operation in messages.
pub(super) const READ: &str = "read gateways";
/// Keys per step of SCAN: other clients of Redis wait some milliseconds.
const SCAN_COUNT: usize = 10_000;
/// Limit of a read that no answer waits for. A Redis with millions of keys takes seconds to scan.
pub(super) const FULL_READ: Duration = Duration::from_secs(10);

/// Which gateways to read.
pub(super) enum Wanted<'a> {
    All,
    /// Only this field of each domain.
    Gateway(&'a str),
    /// These domains, each with its key.
    Domains {
        domains: &'a [(DomainName, Vec<u8>)],
        /// And these of trunkd's own records.
        records: WantedRecords,
    },
}

impl Wanted<'_> {
    fn records(&self) -> WantedRecords {
        match self {
            Self::All | Self::Gateway(_) => WantedRecords {
                rollbacks: true,
                placements: true,
            },
            Self::Domains { records, .. } => *records,
        }
    }
}

/// The domains and the stored revision key.
pub(super) struct Raw {
    pub(super) domains: RawDomains,
    pub(super) key: StoredKey,
    pub(super) records: ReadRecords,
    /// Why the data may be old, if the server is not a master.
    pub(super) doubt: Option<StoreError>,
}

impl Store {
    pub(super) async fn read_gateways(&self, wanted: &Wanted<'_>, limit: Duration) -> Result<Raw, StoreError> {
        let read = self.read_hashes(READ, limit, async |bulk| {
            let domains = match wanted {
                Wanted::Domains { domains, .. } => domains.to_vec(),
                Wanted::All | Wanted::Gateway(_) => self.domains(bulk).await?,
            };
            let mut pipe = redis::pipe();
            pipe.get(keys::REVISION_KEY);
            pipe.lrange(keys::FORMER_REVISION_KEYS, 0, MAX_FORMER_KEYS - 1);
            let records = wanted.records();
            if records.rollbacks {
                pipe.hgetall(keys::ROLLBACKS);
            }
            if records.placements {
                pipe.hgetall(keys::PLACEMENT);
            }
            for (_, key) in &domains {
                match wanted {
                    Wanted::Gateway(gateway) => pipe.hget(key, gateway),
                    Wanted::All | Wanted::Domains { .. } => pipe.hgetall(key),
                };
                pipe.cmd("TYPE").arg(key);
            }
            // Last: a server that is a master now was one during the read.
            pipe.cmd("ROLE");
            let mut replies = bulk.ask(&pipe).await?.into_iter();
            let mut next = || {
                replies
                    .next()
                    .ok_or_else(|| RedisError::from((ErrorKind::Parse, "a reply is missing")))
            };
            let key = StoredKey::read(next()?.value(), next()?.value())?;
            let mut read = ReadRecords::default();
            if records.rollbacks {
                let remedy = "edits that were rolled back are tried again";
                let rollbacks = self.records_in(next()?.into_fields(), keys::ROLLBACKS, remedy)?;
                read.rollbacks = Some(rollbacks.unwrap_or_default());
            }
            if records.placements {
                read.placements = self.records_in(next()?.into_fields(), keys::PLACEMENT, "trunkd writes it again")?;
            }
            let mut raw = Raw {
                domains: RawDomains::new(),
                key,
                records: read,
                doubt: None,
            };
            for (domain, _) in domains {
                let (content, kind) = (next()?, next()?);
                if let Some(read) = read_domain(wanted, content, kind)? {
                    raw.domains.insert(domain, read);
                }
            }
            let role = RedisRole::of(&next()?.value()?);
            if role != RedisRole::Master {
                bulk.discard();
            }
            Ok((raw, role))
        });
        let (raw, role) = read.await?;
        let doubt = self.check_role(READ, &role);
        Ok(Raw { doubt, ..raw })
    }

    /// A read of gateways took too long.
    pub(super) fn late_read(&self, limit: Duration) -> StoreError {
        let late = self.link().timeout_error(READ, limit);
        self.record(Access::Read, READ, Some(&late));
        late
    }

    /// A read of gateways was given up.
    pub(super) fn broken_read(&self, reason: &str) -> StoreError {
        self.link().redis_error(READ, Cause::Broken, reason.to_owned())
    }

    /// The beginnings of all keys that decide which gateways are desired.
    pub(super) fn followed_keys(&self) -> Vec<String> {
        let own = [keys::REVISION_KEY, keys::CONTROL, keys::ROLLBACKS, keys::PLACEMENT];
        let gateways = self.gateway_keys().prefix();
        [gateways].into_iter().chain(own).map(str::to_owned).collect()
    }

    /// The domain of a changed key, with the key; `None` if it is not a domain that is served.
    pub(super) fn domain_of(&self, key: &[u8]) -> Option<(DomainName, Vec<u8>)> {
        let domain = self.gateway_keys().domain(key)?;
        let served = match self.gateway_keys() {
            GatewayKeys::Pattern(_) => true,
            GatewayKeys::Domains { domains, .. } => domains.iter().any(|known| known.as_bytes() == domain.as_bytes()),
        };
        served.then(|| (domain, key.to_vec()))
    }

    /// Domain and key of each, by name.
    async fn domains(&self, bulk: &mut HashConnection) -> Result<Vec<(DomainName, Vec<u8>)>, RedisError> {
        let pattern = match self.gateway_keys() {
            GatewayKeys::Domains { domains, .. } => {
                let domains = domains.iter().map(|name| DomainName::from(name.as_str()));
                return Ok(domains
                    .map(|name| (name.clone(), self.gateway_keys().key(&name)))
                    .collect());
            }
            GatewayKeys::Pattern(pattern) => pattern,
        };
        let (mut cursor, mut found) = (0u64, BTreeMap::new());
        loop {
            let mut scan = redis::pipe();
            let arguments = scan.cmd("SCAN").arg(cursor).arg("MATCH").arg(pattern);
            arguments.arg("COUNT").arg(SCAN_COUNT);
            let mut keys = Vec::new();
            let mut next = 0;
            for reply in bulk.ask(&scan).await? {
                (next, keys) = redis::from_redis_value::<(u64, Vec<Vec<u8>>)>(reply.value()?)?;
            }
            for key in keys {
                if let Some(domain) = self.gateway_keys().domain(&key) {
                    found.insert(domain, key);
                }
            }
            if next == 0 {
                return Ok(found.into_iter().collect());
            }
            cursor = next;
        }
    }

    /// Writes a gateway if there is no domain yet, and returns whether it did.
    pub async fn seed_gateway(&self, domain: &str, gateway: &str, value: &str) -> Result<bool, StoreError> {
        let raw = self.read_gateways(&Wanted::Gateway(gateway), FULL_READ).await?;
        if !raw.domains.is_empty() {
            return Ok(false);
        }
        let key = self.gateway_keys().key(&DomainName::from(domain));
        self.write("store the sample gateway", self.timeout(), async |connection| {
            redis::cmd("HSETNX")
                .arg(key)
                .arg(gateway)
                .arg(value)
                .query_async(connection)
                .await
        })
        .await
    }
}

/// A domain by its content and its type. `None` if it is not there.
fn read_domain(wanted: &Wanted<'_>, content: Reply, kind: Reply) -> Result<Option<RawDomain>, RedisError> {
    let kind: String = redis::from_redis_value(kind.value()?)?;
    Ok(match (kind.as_str(), wanted) {
        // It was deleted after the SCAN, or the deletion is the change.
        ("none", _) => None,
        ("hash", Wanted::Gateway(name)) => {
            let value: Option<Vec<u8>> = redis::from_redis_value(content.value()?)?;
            Some(RawDomain::hash(value.map(|value| (name.as_bytes().to_vec(), value))))
        }
        ("hash", _) => match content.into_fields()? {
            // Redis has no empty hashes: it was created in between, which is another change.
            fields if fields.is_empty() => None,
            fields => Some(RawDomain::Hash(Arc::new(fields))),
        },
        _ => Some(RawDomain::WrongType(kind)),
    })
}
