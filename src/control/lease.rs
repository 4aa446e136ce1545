//! Which of several trunkd may change a switch: the key `trunkd:lease:<switch>` contains the holder's
//! name, and expires unless the holder renews it. `trunkd:lease:webhook:<name>` says in the same way
//! which one posts to a webhook, and `trunkd:lease:calls:<switch>` which one saves calls.
//!
//! A holder counts on its monotonic clock, from before it asked. So it stops before Redis gives the
//! lease to another trunkd, whatever kept it from renewing.

mod clock;

use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use crate::health::{self, Part};
pub use clock::Term;
use clock::{Found, LeaseClock};

use crate::keys;
use crate::redis::{Store, StoreError};
use crate::shown::shown;

/// Renewals per length of the lease.
const LOOKS: u32 = 4;
/// The longest lease that any trunkd takes. A longer one was set by something else, or by hand.
const LONGEST: Duration = Duration::from_secs(60);

/// The lease of one switch, as one trunkd sees it. One task calls [`Lease::renew_or_take`]; any task may call
/// [`Lease::term`].
pub struct Lease {
    store: Store,
    switch: Box<str>,
    key: String,
    /// The name of this trunkd.
    holder: Arc<str>,
    length: Duration,
    state: Mutex<LeaseState>,
    changed: watch::Sender<()>,
}

#[derive(Default)]
struct LeaseState {
    clock: LeaseClock,
    /// A problem with the key that no trunkd would cause.
    oddity: Option<String>,
}

impl Lease {
    pub fn new(store: Store, switch: &str, holder: Arc<str>, length: Duration) -> Self {
        Self {
            store,
            switch: switch.into(),
            key: keys::lease(switch),
            holder,
            length,
            state: Mutex::default(),
            changed: watch::Sender::new(()),
        }
    }

    /// The time between two renewals.
    pub fn interval(&self) -> Duration {
        self.length / LOOKS
    }

    /// The current term if we hold the lease, by our clock. Checked before every command that changes the
    /// switch.
    pub fn term(&self) -> Option<Term> {
        self.lock().clock.term(Instant::now())
    }

    /// The other holder, if known.
    pub fn other(&self) -> Option<String> {
        self.lock().clock.other().map(|other| shown(other).to_string())
    }

    /// Changes when the holder changes.
    pub fn changed(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }

    /// Renews the lease, or takes it if nobody holds it.
    ///
    /// # Errors
    /// [`StoreError`]. We then keep the lease for the rest of its time.
    pub async fn renew_or_take(&self) -> Result<(), StoreError> {
        let asked = Instant::now();
        let mut found = self.renew().await?;
        if found == Found::Nobodys && self.lock().clock.may_take(Instant::now()) {
            found = self.take().await?;
        }
        let has_changed = self.lock().clock.record(found, asked, self.length, self.interval());
        if has_changed {
            self.changed.send_replace(());
        }
        Ok(())
    }

    /// Renews the lease, or takes it, forever.
    pub async fn hold(&self) {
        loop {
            // The store has logged any error.
            let _ = self.renew_or_take().await;
            sleep(self.interval()).await;
        }
    }

    /// The same while `wanted` is true, forever.
    pub async fn hold_while(&self, mut wanted: watch::Receiver<bool>) {
        while wanted.wait_for(|wanted| *wanted).await.is_ok() {
            tokio::select! {
                () = self.hold() => {}
                _ = wanted.wait_for(|wanted| !*wanted) => {}
            }
            // If Redis does not answer, it expires by itself.
            let _ = self.release().await;
        }
        std::future::pending().await
    }

    /// Releases the lease if we hold it, so that the next trunkd need not wait.
    pub async fn release(&self) -> Result<(), StoreError> {
        if !self.lock().clock.release() {
            return Ok(());
        }
        self.changed.send_replace(());
        // Not deleted: a key that vanished early was lost by Redis, and its holder may not know yet.
        static RELEASE: LazyLock<redis::Script> = LazyLock::new(|| {
            redis::Script::new(
                "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('SET', KEYS[1], '', 'PX', \
                 ARGV[2]) end",
            )
        });
        self.run(&RELEASE, "release the lease").await
    }

    async fn renew(&self) -> Result<Found, StoreError> {
        static RENEW: LazyLock<redis::Script> = LazyLock::new(|| {
            redis::Script::new(
                "local kind = redis.call('TYPE', KEYS[1]).ok
                 if kind ~= 'string' and kind ~= 'none' then
                   return redis.error_reply('WRONGTYPE ' .. KEYS[1] .. ' is a ' .. kind
                     .. ', but trunkd needs a string for the lease: redis-cli DEL ' .. KEYS[1])
                 end
                 local holder = redis.call('GET', KEYS[1])
                 local left = redis.call('PTTL', KEYS[1])
                 -- No trunkd sets a lease without an expiry, or with one this long. Shorten it; its holder can
                 -- still renew it.
                 if holder == ARGV[1] or left == -1 or left > tonumber(ARGV[3]) then
                   redis.call('PEXPIRE', KEYS[1], ARGV[2])
                 end
                 -- A name can be as long as Redis allows: answer with the start of it.
                 return {holder and string.sub(holder, 1, 1000), redis.call('PTTL', KEYS[1]), left}",
            )
        });
        let (holder, left, left_before): (Option<Vec<u8>>, i64, i64) = self.run(&RENEW, "renew the lease").await?;
        let holder = holder.map(|holder| String::from_utf8_lossy(&holder).into_owned());
        self.report_length(holder.as_deref(), left_before);
        Ok(match holder {
            None => Found::Nobodys,
            Some(holder) if *holder == *self.holder => Found::Ours,
            // Released.
            Some(holder) if holder.is_empty() => self.take_given_up().await?,
            Some(holder) => Found::Others(holder, Duration::from_millis(u64::try_from(left).unwrap_or_default())),
        })
    }

    /// Reports a lease that would last longer than any trunkd's.
    fn report_length(&self, holder: Option<&str>, left_ms: i64) {
        let left = Duration::from_millis(u64::try_from(left_ms).unwrap_or_default());
        let holder = holder.filter(|holder| **holder != *self.holder && left > LONGEST.max(self.length));
        let part = Part::Lease(self.switch.to_string());
        let mut state = self.lock();
        let Some(holder) = holder else {
            if let Some(oddity) = state.oddity.take() {
                self.store
                    .status()
                    .health()
                    .set(part, health::State::Ok, Some(format!("before: {oddity}")));
            }
            return;
        };
        let oddity = format!(
            "{} was to last {} s longer, held by {}, and no trunkd takes it for more than {LONGEST:?}: it ends \
             within {:?} unless its holder renews it; \
             `redis-cli DEL {0}` releases it at once, and `trunkd pause` is the way to keep a switch as it is",
            self.key,
            left.as_millis().div_ceil(1000),
            shown(holder),
            self.length,
        );
        if state.oddity.is_none() {
            tracing::warn!("{oddity}");
        }
        self.store
            .status()
            .health()
            .set(part, health::State::Degraded, Some(oddity.clone()));
        state.oddity = Some(oddity);
    }

    /// `SET NX PX`: if several try at the same time, one gets it.
    async fn take(&self) -> Result<Found, StoreError> {
        let taken: Option<String> = self
            .store
            .write("take the lease", self.store.timeout(), async |connection| {
                redis::cmd("SET")
                    .arg(&self.key)
                    .arg(&*self.holder)
                    .arg("NX")
                    .arg("PX")
                    .arg(self.length.as_millis())
                    .query_async(connection)
                    .await
            })
            .await?;
        Ok(taken.map_or(Found::Nobodys, |_| Found::Ours))
    }

    async fn take_given_up(&self) -> Result<Found, StoreError> {
        static TAKE: LazyLock<redis::Script> = LazyLock::new(|| {
            redis::Script::new(
                "if redis.call('GET', KEYS[1]) == '' then return redis.call('SET', KEYS[1], ARGV[1], 'PX', \
                 ARGV[2]).ok end",
            )
        });
        let taken: Option<String> = self.run(&TAKE, "take the lease").await?;
        Ok(taken.map_or(Found::Nobodys, |_| Found::Ours))
    }

    async fn run<T: redis::FromRedisValue>(
        &self,
        script: &'static redis::Script,
        operation: &'static str,
    ) -> Result<T, StoreError> {
        let mut call = script.key(&self.key);
        let longest = LONGEST.max(self.length);
        call.arg(&*self.holder)
            .arg(self.length.as_millis())
            .arg(longest.as_millis());
        self.store
            .write(operation, self.store.timeout(), async |connection| {
                call.invoke_async(connection).await
            })
            .await
    }

    fn lock(&self) -> MutexGuard<'_, LeaseState> {
        // Each field is replaced whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
