//! The desired gateways as Redis has them now, or the last good state if Redis can't be read.
//!
//! With [`Tracking`] a request costs one fence, and only changed domains are read again. Without it,
//! every request reads everything.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use jiff::Timestamp;
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::LastGood;
use super::counts::set_gauges;
use super::current::{Current, Good, Unavailable};
use super::finding_log::log_changes;
use super::last_good::refused;
use super::read::{FULL_READ, Raw, Wanted};
use super::records::{ReadRecords, WantedRecords};
use crate::gateway::{Desired, RawDomains, Records, RevisionKey, Rules};
use crate::keys;
use crate::metrics::{self, GatewayGauges};
use crate::redis::tracking::{Dirty, Fence, Mark, Tracking};
use crate::redis::{Store, StoreError};
use crate::telemetry::ms;

/// How often to poll for changes without tracking.
const POLL: Duration = Duration::from_secs(1);

/// Reads the desired gateways and remembers the last good state. Shared in an `Arc`.
pub struct Catalog {
    store: Store,
    /// Writes nothing. If Redis has no key, revisions are made with a temporary one.
    read_only: bool,
    rules: ArcSwap<Rules>,
    /// Runs reads that outlive their request.
    runtime: Handle,
    /// `None` for a command that reads once.
    tracking: Option<Tracking>,
    /// One refresh at a time. Waiters usually find it done.
    refreshing: tokio::sync::Mutex<()>,
    /// Numbers the reads, so that a slow one never replaces the result of a later one.
    reads: AtomicU64,
    good: Mutex<Option<Good>>,
    gauges: Mutex<GatewayGauges>,
}

impl Catalog {
    /// A catalog that reads everything on each request and writes nothing.
    pub fn read_only(store: Store, rules: Rules) -> Self {
        Self {
            store,
            read_only: true,
            rules: ArcSwap::from_pointee(rules),
            runtime: Handle::current(),
            tracking: None,
            refreshing: tokio::sync::Mutex::default(),
            // A restored state counts as the read before the first.
            reads: AtomicU64::new(1),
            good: Mutex::new(None),
            gauges: Mutex::default(),
        }
    }

    /// A catalog that tracks changes until `stop`. The connection runs on `runtime`: best that of the HTTP
    /// worker, so that a request wakes no other thread.
    pub fn tracking(store: Store, rules: Rules, runtime: oneshot::Receiver<Handle>, stop: CancellationToken) -> Self {
        let tracking = Tracking::start(
            runtime,
            store.link().clone(),
            store.followed_keys(),
            store.timeout(),
            stop.clone(),
        );
        if store.link().has_sentinels() {
            let store = store.clone();
            tokio::spawn(async move { stop.run_until_cancelled(store.follow_master()).await });
        }
        Self {
            tracking: Some(tracking),
            read_only: false,
            ..Self::read_only(store, rules)
        }
    }

    /// Starts from the last good state of an earlier trunkd. It is served while Redis can't be read, and is
    /// the previous state for the first read.
    pub fn restore(&self, kept: LastGood) -> Arc<Desired> {
        let rules = self.rules.load_full();
        let desired = Arc::new(Desired::build_with(
            &kept.domains,
            &kept.placements.into(),
            &rules,
            None,
        ));
        *self.lock() = Some(Good {
            domains: Arc::new(kept.domains),
            rules,
            desired: desired.clone(),
            key: kept.key,
            read: 0,
            mark: None,
            is_doubtful: false,
            at: kept.at,
        });
        desired
    }

    /// What is known without asking Redis, and since when.
    pub fn known(&self) -> Option<(Current, Timestamp)> {
        self.lock().as_ref().map(|good| (good.current(None), good.at))
    }

    /// The gateways as they were last read, without asking Redis; `None` if they never were.
    pub fn last(&self) -> Option<Arc<Desired>> {
        Some(self.lock().as_ref()?.desired.clone())
    }

    /// What to store for a later trunkd, with the state behind it.
    pub fn to_keep(&self) -> Option<(Arc<Desired>, LastGood)> {
        let good = self.lock().clone().filter(|good| !good.is_doubtful)?;
        let domains = good.desired.last_valid();
        let kept = LastGood {
            at: good.at,
            key: good.key,
            refused: refused(&good.domains, &domains),
            placements: good.desired.placements().clone(),
            domains,
        };
        Some((good.desired, kept))
    }

    /// Sets new rules, after the templates changed.
    pub fn set_rules(&self, rules: Rules) {
        self.rules.store(Arc::new(rules));
        if let Some(tracking) = &self.tracking {
            tracking.mark(Dirty::All);
        }
    }

    /// Whether it follows Redis, as a trunkd that serves does, and no command.
    pub fn is_tracking(&self) -> bool {
        self.tracking.is_some()
    }

    /// What gateways are checked against.
    pub fn rules(&self) -> Arc<Rules> {
        self.rules.load_full()
    }

    /// Waits until something may have changed; without tracking, for the poll interval.
    pub async fn changed(&self) {
        match &self.tracking {
            Some(tracking) if tracking.is_up() => tracking.changed().await,
            _ => tokio::time::sleep(POLL).await,
        }
    }

    /// All desired gateways as of now, or the last good state if Redis can't be read in time.
    ///
    /// # Errors
    /// [`Unavailable`] if Redis can't be read and there is no last good state.
    pub async fn all(self: &Arc<Self>) -> Result<Current, Unavailable> {
        let limit = self.store.timeout();
        let fresh = async {
            match &self.tracking {
                Some(tracking) if tracking.fence().await == Fence::Passed => self.catch_up().await,
                _ => self.read_all(limit, None).await,
            }
        };
        let read = match tokio::time::timeout(limit, fresh).await {
            Ok(read) => read,
            Err(_) => Err(self.store.late_read(limit)),
        };
        read.or_else(|error| self.last_good(error))
    }

    /// What was read last, if Redis answers: for a write that compares before it writes. Costs no read,
    /// and may lack the last changes.
    pub async fn glance(&self) -> Option<Current> {
        let fence = self.tracking.as_ref()?.fence();
        let passed = tokio::time::timeout(self.store.timeout(), fence).await.ok()?;
        let good = self.lock();
        let good = good.as_ref().filter(|good| !good.is_doubtful)?;
        (passed == Fence::Passed).then(|| good.current(None))
    }

    /// Like [`Catalog::all`], but reads everything: SWAPDB sends no invalidation.
    ///
    /// # Errors
    /// As [`Catalog::all`].
    pub async fn read_again(self: &Arc<Self>) -> Result<Current, Unavailable> {
        if let Some(tracking) = &self.tracking {
            tracking.mark(Dirty::All);
        }
        self.all().await
    }

    /// The desired gateway of this name, at the least cost. The result may contain others.
    ///
    /// # Errors
    /// As [`Catalog::all`].
    pub async fn one(self: &Arc<Self>, gateway: &str) -> Result<Current, Unavailable> {
        if self.tracking.as_ref().is_some_and(Tracking::is_up) {
            return self.all().await;
        }
        match self
            .store
            .read_gateways(&Wanted::Gateway(gateway), self.store.timeout())
            .await
        {
            Ok(Raw { doubt: Some(doubt), .. }) if self.has_good() => self.last_good(doubt),
            Ok(raw) => {
                let key = self.key(&raw).await;
                let before = self.lock().as_ref().map(|good| good.desired.clone());
                let records = self.records(raw.records);
                let desired = Desired::build_with(&raw.domains, &records, &self.rules.load(), before.as_deref());
                Ok(Current {
                    desired: Arc::new(desired),
                    domains: Arc::new(raw.domains),
                    key,
                    is_whole: false,
                    stale: raw.doubt.map(|doubt| (Timestamp::now(), doubt)),
                })
            }
            Err(error) => self.last_good(error),
        }
    }

    /// Reads what was invalidated. The read continues if the request gives up: with a large Redis the first
    /// one may take longer than a response may.
    async fn catch_up(self: &Arc<Self>) -> Result<Current, StoreError> {
        if let Some(current) = self.exact() {
            return Ok(current);
        }
        let catalog = self.clone();
        // Not on a thread that answers requests.
        let reading = self.runtime.spawn(async move {
            let _alone = catalog.refreshing.lock().await;
            // The read before ours began after its marks were taken, so after what our fence saw.
            match catalog.exact() {
                Some(current) => Ok(current),
                None => catalog.read_marked().await,
            }
        });
        reading.await.unwrap_or_else(|error| match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // The runtime is shutting down.
            Err(_) => Err(self.store.broken_read("trunkd is stopping")),
        })
    }

    async fn read_marked(&self) -> Result<Current, StoreError> {
        let (dirty, mark) = match &self.tracking {
            Some(tracking) => {
                let (dirty, mark) = tracking.take();
                (dirty, Some(mark))
            }
            None => (Dirty::All, None),
        };
        let known = self
            .lock()
            .as_ref()
            .map(|good| (good.domains.clone(), good.key.clone()));
        let done = match (&dirty, known) {
            (Dirty::Keys(keys), Some((domains, key)))
                if !keys.iter().any(|key| key.starts_with(keys::REVISION_KEY.as_bytes())) =>
            {
                self.read_some(keys, &domains, key, mark).await
            }
            _ => self.read_all(FULL_READ, mark).await,
        };
        let is_done = matches!(&done, Ok(current) if current.stale.is_none());
        if let (false, Some(tracking)) = (is_done, &self.tracking) {
            tracking.put_back(dirty);
        }
        done
    }

    /// The known state, if nothing changed since it was read.
    fn exact(&self) -> Option<Current> {
        let good = self.lock();
        let (good, tracking) = (good.as_ref()?, self.tracking.as_ref()?);
        good.mark.filter(|mark| tracking.is_newest(*mark))?;
        Some(good.current(None))
    }

    async fn read_some(
        &self,
        changed: &BTreeSet<Vec<u8>>,
        known: &RawDomains,
        key: RevisionKey,
        mark: Option<Mark>,
    ) -> Result<Current, StoreError> {
        let domains: Vec<_> = changed.iter().filter_map(|key| self.store.domain_of(key)).collect();
        let read = self.reads.fetch_add(1, Ordering::Relaxed);
        let began = Instant::now();
        let wanted = Wanted::Domains {
            domains: &domains,
            records: WantedRecords::of(changed),
        };
        let raw = self.store.read_gateways(&wanted, FULL_READ).await?;
        let read_in = began.elapsed();
        if let Some(doubt) = raw.doubt {
            return Err(doubt);
        }
        let known_records = self.records(raw.records);
        let changed: BTreeSet<_> = domains.iter().map(|(name, _)| name).collect();
        let unchanged = known.iter().filter(|(name, _)| !changed.contains(name));
        let mut all: RawDomains = unchanged.map(|(name, raw)| (name.clone(), raw.clone())).collect();
        all.extend(raw.domains);
        Ok(self.adopt(read, (all, known_records, read_in), key, mark, None))
    }

    /// The data of a server that is not a master is served if nothing better is known, and is never fresh.
    async fn read_all(&self, limit: Duration, mark: Option<Mark>) -> Result<Current, StoreError> {
        let read = self.reads.fetch_add(1, Ordering::Relaxed);
        let began = Instant::now();
        let raw = self.store.read_gateways(&Wanted::All, limit).await?;
        let read_in = began.elapsed();
        match raw.doubt {
            Some(doubt) if self.has_good() => Err(doubt),
            _ => {
                let key = self.key(&raw).await;
                let mark = mark.filter(|_| raw.doubt.is_none());
                let records = self.records(raw.records);
                let read_parts = (raw.domains, records, read_in);
                Ok(self.adopt(read, read_parts, key, mark, raw.doubt))
            }
        }
    }

    fn adopt(
        &self,
        read: u64,
        (domains, records, read_in): (RawDomains, Records, Duration),
        key: RevisionKey,
        mark: Option<Mark>,
        doubt: Option<StoreError>,
    ) -> Current {
        let began = Instant::now();
        let (before, rules) = (self.lock().clone(), self.rules.load_full());
        let is_same = |good: &&Good| {
            Arc::ptr_eq(&good.rules, &rules) && *good.domains == domains && *good.desired.records() == records
        };
        // With tracking, something did change.
        let desired = match before.as_ref().filter(|_| mark.is_none()).filter(is_same) {
            Some(good) => good.desired.clone(),
            None => {
                let before = before.as_ref().map(|good| &*good.desired);
                Arc::new(Desired::build_with(&domains, &records, &rules, before))
            }
        };
        tracing::debug!(
            read_ms = ms(read_in),
            decided_ms = ms(began.elapsed()),
            domains = domains.len(),
            served = desired.served().len(),
            "gateways read"
        );
        let good = Good {
            rules,
            domains: Arc::new(domains),
            desired: desired.clone(),
            key,
            read,
            mark,
            is_doubtful: doubt.is_some(),
            at: Timestamp::now(),
        };
        let adopted = good.current(doubt.map(|doubt| (good.at, doubt)));
        let mut current = self.lock();
        let is_better = |known: &Good| known.read < read && (known.is_doubtful || !good.is_doubtful);
        if current.as_ref().is_none_or(is_better) {
            let known = current.replace(good);
            drop(current);
            ::metrics::gauge!(metrics::DESIRED_AGE_SECONDS).set(0.0);
            if known
                .as_ref()
                .is_none_or(|known| !Arc::ptr_eq(&known.desired, &desired))
            {
                log_changes(known.as_ref().map(|good| good.desired.findings()), desired.findings());
                set_gauges(
                    &mut self.gauges.lock().unwrap_or_else(PoisonError::into_inner),
                    &desired,
                );
            }
        }
        adopted
    }

    /// What of trunkd's own records was not read is as it was.
    fn records(&self, read: ReadRecords) -> Records {
        let known = self.lock().as_ref().map(|good| good.desired.clone());
        read.after(&known.unwrap_or_default())
    }

    /// Whether there is a state from a master.
    fn has_good(&self) -> bool {
        self.lock().as_ref().is_some_and(|good| !good.is_doubtful)
    }

    fn last_good(&self, error: StoreError) -> Result<Current, Unavailable> {
        match &*self.lock() {
            Some(good) => {
                let age = Timestamp::now().duration_since(good.at).as_secs_f64();
                ::metrics::gauge!(metrics::DESIRED_AGE_SECONDS).set(age);
                Ok(good.current(Some((good.at, error))))
            }
            None => Err(error.into()),
        }
    }

    /// The key behind the revisions: that of Redis, or ours if Redis lost it, or a new one.
    async fn key(&self, raw: &Raw) -> RevisionKey {
        let known = self.lock().as_ref().map(|good| good.key.clone());
        let may_write = !self.read_only && raw.doubt.is_none();
        self.store.revision_key(&raw.key, known, may_write).await
    }

    fn lock(&self) -> MutexGuard<'_, Option<Good>> {
        // The value is replaced whole.
        self.good.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
