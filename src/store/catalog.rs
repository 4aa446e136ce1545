//! The desired gateways: read from Redis at each question, with the last good state for when Redis cannot be read.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwap;
use jiff::Timestamp;
use rand::Rng;
use redis::Value;

use super::{GatewayKeys, Store, StoreError, keys};
use crate::gateway::{Desired, Finding, RawDomain, RawDomains, Rules, Severity};
use crate::metrics::{self, GatewayGauges};
use crate::sofia_conf::RevisionKey;

/// Keys that one step of SCAN looks at.
const SCAN_COUNT: usize = 1000;

/// Reads the desired gateways and remembers the last good state. Shared in an `Arc`.
pub struct Catalog {
    store: Store,
    rules: ArcSwap<Rules>,
    /// Numbers the reads, so that a slow one never replaces the outcome of a later one.
    reads: AtomicU64,
    good: Mutex<Option<Good>>,
    gauges: Mutex<GatewayGauges>,
}

#[derive(Clone)]
struct Good {
    desired: Arc<Desired>,
    key: RevisionKey,
    read: u64,
    at: Timestamp,
}

/// The desired gateways, and how fresh they are.
#[derive(Debug, Clone)]
pub struct Current {
    pub desired: Arc<Desired>,
    pub key: RevisionKey,
    /// When Redis cannot be read: since when this is the state, and why.
    pub stale: Option<(Timestamp, StoreError)>,
}

/// Redis cannot be read, and never could since the start.
#[derive(Debug, Clone, thiserror::Error)]
#[error("no gateways are known: {0}")]
pub struct Unavailable(#[from] StoreError);

impl Catalog {
    pub fn new(store: Store, rules: Rules) -> Self {
        Self {
            store,
            rules: ArcSwap::from_pointee(rules),
            reads: AtomicU64::new(0),
            good: Mutex::new(None),
            gauges: Mutex::default(),
        }
    }

    /// The templates changed, and the rules with them.
    pub fn set_rules(&self, rules: Rules) {
        self.rules.store(Arc::new(rules));
    }

    /// Every desired gateway as of now; the last good state if Redis cannot be read.
    ///
    /// # Errors
    /// [`Unavailable`] when Redis cannot be read and there is no last good state.
    pub async fn all(&self) -> Result<Current, Unavailable> {
        let read = self.reads.fetch_add(1, Ordering::Relaxed);
        match self.store.read_gateways(None).await {
            Ok(raw) => {
                let key = self.key(&raw.key).await;
                Ok(self.adopt(read, &raw.domains, key))
            }
            Err(error) => self.last_good(error),
        }
    }

    /// What is desired of the name `gateway` alone, at the cost of one field a domain.
    ///
    /// # Errors
    /// As [`Catalog::all`].
    pub async fn one(&self, gateway: &str) -> Result<Current, Unavailable> {
        match self.store.read_gateways(Some(gateway)).await {
            Ok(raw) => {
                let key = self.key(&raw.key).await;
                let before = self.lock().as_ref().map(|good| good.desired.clone());
                let desired = Desired::build(&raw.domains, &self.rules.load(), before.as_deref());
                Ok(Current {
                    desired: Arc::new(desired),
                    key,
                    stale: None,
                })
            }
            Err(error) => self.last_good(error),
        }
    }

    fn adopt(&self, read: u64, raw: &RawDomains, key: RevisionKey) -> Current {
        let before = self.lock().clone();
        let built = Desired::build(raw, &self.rules.load(), before.as_ref().map(|good| &*good.desired));
        let desired = Arc::new(built);
        let good = Good {
            desired: desired.clone(),
            key: key.clone(),
            read,
            at: Timestamp::now(),
        };
        let mut current = self.lock();
        if current.as_ref().is_none_or(|newest| newest.read < read) {
            let known = current.replace(good);
            drop(current);
            tell(
                known.as_ref().map_or(&[], |good| good.desired.findings()),
                desired.findings(),
            );
            ::metrics::gauge!(metrics::DESIRED_AGE_SECONDS).set(0.0);
            self.gauges
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .set(by_validity(&desired));
        }
        Current {
            desired,
            key,
            stale: None,
        }
    }

    fn last_good(&self, error: StoreError) -> Result<Current, Unavailable> {
        match &*self.lock() {
            Some(good) => {
                let age = Timestamp::now().duration_since(good.at).as_secs_f64();
                ::metrics::gauge!(metrics::DESIRED_AGE_SECONDS).set(age);
                let stale = Some((good.at, error));
                Ok(Current {
                    desired: good.desired.clone(),
                    key: good.key.clone(),
                    stale,
                })
            }
            None => Err(Unavailable(error)),
        }
    }

    /// The key behind the revisions: what Redis holds; a new one where there is none, or ours put back if Redis lost it.
    async fn key(&self, stored: &Option<Vec<u8>>) -> RevisionKey {
        let known = self.lock().as_ref().map(|good| good.key.clone());
        match stored {
            Some(stored) => match std::str::from_utf8(stored)
                .ok()
                .and_then(|hex| RevisionKey::from_hex(hex).ok())
            {
                Some(key) => key,
                None => {
                    let name = keys::REVISION_KEY;
                    tracing::error!(
                        "{name} in Redis is not 64 hex digits; revisions hold only until trunkd stops: delete it, and a new one is made"
                    );
                    known.unwrap_or_else(new_key)
                }
            },
            None => {
                let ours = known.unwrap_or_else(new_key);
                match self.store.keep_key(&ours).await {
                    Ok(Some(kept)) => RevisionKey::from_hex(&kept).unwrap_or(ours),
                    Ok(None) => ours,
                    Err(error) => {
                        tracing::warn!(%error, "the key of the revisions cannot be stored; they hold only until trunkd stops");
                        ours
                    }
                }
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<Good>> {
        // The value is replaced whole, so a panic elsewhere cannot have left half of one.
        self.good.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn new_key() -> RevisionKey {
    RevisionKey::new(rand::rng().random())
}

/// Logs what is newly wrong and what is mended, once a change.
fn tell(known: &[Finding], now: &[Finding]) {
    for finding in now.iter().filter(|finding| !known.contains(finding)) {
        match finding.severity {
            Severity::Error => tracing::error!("{finding}"),
            Severity::Warning => tracing::warn!("{finding}"),
        }
    }
    for finding in known
        .iter()
        .filter(|finding| finding.severity == Severity::Error && !now.contains(finding))
    {
        tracing::info!("no longer so: {finding}");
    }
}

/// domain, validity and count of each.
fn by_validity(desired: &Desired) -> impl Iterator<Item = (&str, &'static str, u64)> {
    desired.counts().iter().flat_map(|(domain, counts)| {
        let each = [
            ("valid", counts.valid),
            ("kept", counts.kept),
            ("invalid", counts.invalid),
            ("disabled", counts.disabled),
            ("shadowed", counts.shadowed),
        ];
        each.map(|(validity, count)| (domain.as_str(), validity, u64::try_from(count).unwrap_or(u64::MAX)))
    })
}

/// The domains as they were read, and the stored key.
struct Raw {
    domains: RawDomains,
    key: Option<Vec<u8>>,
}

impl Store {
    /// The domains' hashes, or of each only the field `gateway`.
    async fn read_gateways(&self, gateway: Option<&str>) -> Result<Raw, StoreError> {
        self.run("read gateways", self.timeout, async |connection| {
            let domains = self.domains(connection).await?;
            let mut pipe = redis::pipe();
            pipe.ignore_errors().get(keys::REVISION_KEY);
            for (_, key) in &domains {
                match gateway {
                    Some(gateway) => pipe.hget(key, gateway),
                    None => pipe.hgetall(key),
                };
                pipe.cmd("TYPE").arg(key);
            }
            let mut replies = pipe.query_async::<Vec<Value>>(connection).await?.into_iter();
            let key = redis::from_redis_value(replies.next().unwrap_or(Value::Nil).extract_error()?)?;
            let mut raw = Raw {
                domains: RawDomains::new(),
                key,
            };
            for (domain, _) in domains {
                let (content, kind) = (
                    replies.next().unwrap_or(Value::Nil),
                    replies.next().unwrap_or(Value::Nil),
                );
                let kind: String = redis::from_redis_value(kind.extract_error()?)?;
                let read = match (kind.as_str(), gateway) {
                    // It went between SCAN and here.
                    ("none", _) => continue,
                    ("hash", None) => RawDomain::Hash(redis::from_redis_value(content.extract_error()?)?),
                    ("hash", Some(name)) => {
                        let value: Option<Vec<u8>> = redis::from_redis_value(content.extract_error()?)?;
                        RawDomain::Hash(
                            value
                                .map(|value| (name.as_bytes().to_vec(), value))
                                .into_iter()
                                .collect(),
                        )
                    }
                    _ => RawDomain::WrongType(kind),
                };
                raw.domains.insert(domain, read);
            }
            Ok(raw)
        })
        .await
    }

    /// domain and key of each, by name.
    async fn domains(
        &self,
        connection: &mut deadpool_redis::Connection,
    ) -> Result<Vec<(String, Vec<u8>)>, redis::RedisError> {
        let pattern = match &self.gateway_keys {
            GatewayKeys::Domains { domains, .. } => {
                return Ok(domains
                    .iter()
                    .map(|name| (name.clone(), self.gateway_keys.key(name).into_bytes()))
                    .collect());
            }
            GatewayKeys::Pattern(pattern) => pattern,
        };
        let (mut cursor, mut found) = (0u64, BTreeMap::new());
        loop {
            let (next, keys): (u64, Vec<Vec<u8>>) = redis::cmd("SCAN")
                .arg(cursor)
                .arg("MATCH")
                .arg(pattern)
                .arg("COUNT")
                .arg(SCAN_COUNT)
                .query_async(connection)
                .await?;
            for key in keys {
                if let Some(domain) = self.gateway_keys.domain(&String::from_utf8_lossy(&key)) {
                    found.insert(domain.to_owned(), key.clone());
                }
            }
            if next == 0 {
                return Ok(found.into_iter().collect());
            }
            cursor = next;
        }
    }

    /// Stores the key unless there is one; answers what is stored then.
    async fn keep_key(&self, key: &RevisionKey) -> Result<Option<String>, StoreError> {
        let hex = key.to_hex();
        self.run("store the revision key", self.timeout, async |connection| {
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
        .await
    }

    /// Puts a gateway in where no domain's key exists yet. Answers whether it did.
    pub async fn seed_gateway(&self, domain: &str, gateway: &str, value: &str) -> Result<bool, StoreError> {
        let raw = self.read_gateways(Some(gateway)).await?;
        if !raw.domains.is_empty() {
            return Ok(false);
        }
        let key = self.gateway_keys.key(domain);
        self.run("store the sample gateway", self.timeout, async |connection| {
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
