//! Follows the history and posts entry by entry, in order. The place is kept in Redis, so that a
//! restart or another trunkd continues there.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::Timing;
use super::filter::Filter;
use super::receiver::{Answer, Post, Receiver};
use crate::backoff::Backoff;
use crate::control::{Lease, Term};
use crate::health::{Health, Part, State};
use crate::history::{History, RawEntry};
use crate::redis::{Store, StoreError};
use crate::{keys, metrics};

/// Entries per read: what is held in memory.
const BATCH: usize = 32;

pub(super) struct Poster {
    pub(super) name: String,
    pub(super) filter: Filter,
    pub(super) receiver: Receiver,
    pub(super) history: History,
    pub(super) lease: Arc<Lease>,
    pub(super) health: Arc<Health>,
    pub(super) timing: Timing,
    /// `None` until it was read.
    pub(super) place: Option<Place>,
    /// The last post failed.
    pub(super) is_failing: bool,
}

/// How far the webhook is, in this term of the lease.
pub(super) struct Place {
    term: Term,
    /// The last entry that it is done with.
    id: String,
    is_stored: bool,
}

/// What to do next.
enum Next {
    Read,
    Wait,
    /// The receiver is gone for good.
    End,
}

/// How the delivery of an entry ended.
enum Delivery {
    Done,
    /// We were stopped, or another trunkd posts now.
    Interrupted,
    Gone,
}

impl Poster {
    /// Ends when `stop` is cancelled, or when the receiver is gone.
    pub(super) async fn run(&mut self, stop: &CancellationToken) {
        self.set_lag(0.0);
        self.health.set(self.part(), State::Ok, None);
        while !stop.is_cancelled() {
            let next = match self.lease.term() {
                // The store has logged the error.
                Some(term) => self.post_some(term, stop).await.unwrap_or(Next::Wait),
                None => {
                    self.stand_by();
                    Next::Wait
                }
            };
            match next {
                Next::Read => {}
                Next::Wait => pause(self.timing.poll, stop).await,
                Next::End => return,
            }
        }
    }

    /// Another trunkd posts, or Redis is away.
    fn stand_by(&mut self) {
        self.set_lag(0.0);
        self.is_failing = false;
        let other = self.lease.other().map(|other| format!("{other} posts to it"));
        self.health.set(self.part(), State::Ok, other);
    }

    async fn post_some(&mut self, term: Term, stop: &CancellationToken) -> Result<Next, StoreError> {
        let place = self.place(term).await?;
        let entries = self.history.after(&place, BATCH).await?;
        let is_last = entries.len() < BATCH;
        for entry in entries {
            let is_posted = self.is_to_be_posted(&entry);
            if is_posted {
                match self.deliver(&entry, term, stop).await {
                    Delivery::Done => {}
                    Delivery::Interrupted => return Ok(Next::Read),
                    Delivery::Gone => return Ok(Next::End),
                }
            }
            self.place = Some(Place {
                term,
                id: entry.id,
                is_stored: false,
            });
            if is_posted {
                self.store_place().await?;
            }
            if stop.is_cancelled() {
                break;
            }
        }
        self.store_place().await?;
        self.set_lag(0.0);
        Ok(if is_last { Next::Wait } else { Next::Read })
    }

    fn is_to_be_posted(&self, entry: &RawEntry) -> bool {
        if !self.filter.selects(entry) {
            return false;
        }
        let is_old = age(entry) > self.timing.most_age;
        if is_old {
            self.count("given_up");
            tracing::warn!(
                webhook = self.name,
                entry = entry.id,
                "this entry is too old to be posted"
            );
        }
        !is_old
    }

    async fn deliver(&mut self, entry: &RawEntry, term: Term, stop: &CancellationToken) -> Delivery {
        let body = serde_json::to_string(&entry.json).unwrap_or_default();
        let post = Post {
            event: entry.text("kind").unwrap_or_default(),
            id: &entry.id,
            body: &body,
        };
        let mut backoff = Backoff::new(self.timing.first_retry, self.timing.most_retry);
        let give_up_at = Instant::now() + self.timing.give_up;
        loop {
            self.set_lag(age(entry).as_secs_f64());
            if stop.is_cancelled() || self.lease.term() != Some(term) {
                return Delivery::Interrupted;
            }
            match self.receiver.post(&post).await {
                Answer::Taken => {
                    self.record_success();
                    return Delivery::Done;
                }
                Answer::Gone => {
                    self.record_gone();
                    return Delivery::Gone;
                }
                Answer::Failed { reason, retry_after } => {
                    self.set_lag(age(entry).as_secs_f64());
                    self.record_failure(&reason);
                    let now = Instant::now();
                    if now >= give_up_at {
                        self.record_given_up(&entry.id);
                        return Delivery::Done;
                    }
                    let asked = retry_after.unwrap_or_default().min(self.timing.most_retry_after);
                    let until = (now + backoff.delay().max(asked)).min(give_up_at);
                    self.wait_until(until, entry, term, stop).await;
                }
            }
        }
    }

    /// Returns early if we may not post any more.
    async fn wait_until(&self, until: Instant, entry: &RawEntry, term: Term, stop: &CancellationToken) {
        while !stop.is_cancelled() && self.lease.term() == Some(term) {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            pause(left.min(self.timing.poll), stop).await;
            self.set_lag(age(entry).as_secs_f64());
        }
    }

    /// The last entry that is done. Another trunkd may have moved it before this term.
    async fn place(&mut self, term: Term) -> Result<String, StoreError> {
        if let Some(place) = self.place.as_ref().filter(|place| place.term == term) {
            return Ok(place.id.clone());
        }
        let stored = self.history.store().webhook_place(&self.name).await?;
        let is_stored = stored.is_some();
        let former = self.place.take().map(|place| place.id);
        let id = match stored.or(former) {
            Some(id) => id,
            // A new webhook is not told the past.
            None => self.history.newest_id().await?,
        };
        self.place = Some(Place {
            term,
            id: id.clone(),
            is_stored,
        });
        self.store_place().await?;
        self.health.set(self.part(), State::Ok, None);
        Ok(id)
    }

    async fn store_place(&mut self) -> Result<(), StoreError> {
        let Some(place) = self.place.as_mut().filter(|place| !place.is_stored) else {
            return Ok(());
        };
        self.history.store().set_webhook_place(&self.name, &place.id).await?;
        place.is_stored = true;
        Ok(())
    }

    fn record_success(&mut self) {
        self.count("delivered");
        if self.is_failing {
            tracing::info!(webhook = self.name, receiver = %self.receiver.url(), "the receiver takes entries again");
        }
        self.is_failing = false;
        self.health.set(self.part(), State::Ok, None);
    }

    fn record_failure(&mut self, reason: &str) {
        self.count("failed");
        let url = self.receiver.url();
        if !self.is_failing {
            tracing::warn!(
                webhook = self.name,
                receiver = %url,
                "an entry was not taken and is posted again: {reason}"
            );
        }
        self.is_failing = true;
        let reason = format!("{url}: {reason}; entries wait and are posted again");
        self.health.set(self.part(), State::Degraded, Some(reason));
    }

    fn record_given_up(&self, entry: &str) {
        self.count("given_up");
        tracing::error!(
            webhook = self.name,
            entry,
            "this entry was not taken within {:?} and is skipped; `trunkd history` has it",
            self.timing.give_up
        );
    }

    fn record_gone(&self) {
        let url = self.receiver.url();
        let reason = format!(
            "{url} answers 410 Gone: nothing more is posted until a restart; write its new URL into the settings, or \
             remove the webhook"
        );
        tracing::error!(webhook = self.name, "{reason}");
        self.count("failed");
        self.set_lag(0.0);
        self.health.set(self.part(), State::Degraded, Some(reason));
    }

    fn part(&self) -> Part {
        Part::Webhook(self.name.clone())
    }

    fn count(&self, outcome: &'static str) {
        let webhook = self.name.clone();
        ::metrics::counter!(metrics::WEBHOOK_DELIVERIES, "webhook" => webhook, "outcome" => outcome).increment(1);
    }

    fn set_lag(&self, seconds: f64) {
        ::metrics::gauge!(metrics::WEBHOOK_LAG_SECONDS, "webhook" => self.name.clone()).set(seconds);
    }
}

/// How long ago the entry was recorded.
fn age(entry: &RawEntry) -> Duration {
    let ms = Timestamp::now().as_millisecond() - entry.recorded_ms();
    Duration::from_millis(u64::try_from(ms).unwrap_or_default())
}

async fn pause(time: Duration, stop: &CancellationToken) {
    stop.run_until_cancelled(sleep(time)).await;
}

impl Store {
    /// The last entry that the webhook is done with.
    async fn webhook_place(&self, webhook: &str) -> Result<Option<String>, StoreError> {
        let id: Option<String> = self
            .read("read webhook", self.timeout(), async |connection| {
                redis::cmd("HGET")
                    .arg(keys::WEBHOOKS)
                    .arg(webhook)
                    .query_async(connection)
                    .await
            })
            .await?;
        Ok(id.filter(|id| is_id(id)))
    }

    async fn set_webhook_place(&self, webhook: &str, id: &str) -> Result<(), StoreError> {
        self.write("write webhook", self.timeout(), async |connection| {
            redis::cmd("HSET")
                .arg(keys::WEBHOOKS)
                .arg(webhook)
                .arg(id)
                .query_async(connection)
                .await
        })
        .await
    }
}

/// An id of a Redis stream. Anything else was not written by trunkd.
fn is_id(id: &str) -> bool {
    id.split_once('-')
        .is_some_and(|(ms, seq)| ms.parse::<u64>().is_ok() && seq.parse::<u64>().is_ok())
}
