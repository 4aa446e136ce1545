//! Tells other programs what happened: posts entries of the history to the receivers of the
//! `[[webhook]]` tables.
//!
//! Each webhook is a task of its own, so a receiver that is slow or away keeps nobody else waiting.
//! Entries stay in the history until they are posted: no queue grows here. Decides nothing about
//! gateways.

mod error;
mod filter;
mod poster;
mod receiver;
mod retry_after;
mod signature;

use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

pub use error::WebhookError;
use filter::Filter;
use poster::Poster;
use receiver::Receiver;

use crate::control::Lease;
use crate::health::Health;
use crate::history::History;
use crate::keys;
use crate::settings::WebhookSettings;

/// How long a post that is under way when trunkd stops may still take.
const STOP_LIMIT: Duration = Duration::from_secs(2);

/// The delays of a webhook. The defaults are for production; tests shorten them.
#[derive(Debug, Clone)]
pub struct Timing {
    /// The time between two looks for new entries.
    pub poll: Duration,
    /// How long a receiver may take to answer.
    pub timeout: Duration,
    /// The first and the longest delay before an entry is posted again.
    pub first_retry: Duration,
    pub most_retry: Duration,
    /// The longest delay that a receiver may ask for with `Retry-After`.
    pub most_retry_after: Duration,
    /// How long an entry is tried before it is skipped.
    pub give_up: Duration,
    /// Older entries are not posted: those of a webhook that was out of the settings for a while.
    pub most_age: Duration,
    /// When the trunkd that posts dies, another one takes over within twice this time.
    pub lease: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            poll: Duration::from_secs(1),
            timeout: Duration::from_secs(10),
            first_retry: Duration::from_secs(1),
            most_retry: Duration::from_secs(60),
            most_retry_after: Duration::from_secs(5 * 60),
            give_up: Duration::from_secs(60 * 60),
            most_age: Duration::from_secs(24 * 60 * 60),
            lease: Duration::from_secs(5),
        }
    }
}

/// One webhook that can post.
pub struct Webhook {
    poster: Poster,
    lease: Arc<Lease>,
}

impl Webhook {
    /// `holder` is the name of this trunkd.
    ///
    /// # Errors
    /// [`WebhookError`]: its `ca` file can't be used.
    pub fn new(
        settings: &WebhookSettings,
        history: History,
        holder: Arc<str>,
        health: Arc<Health>,
        timing: Timing,
    ) -> Result<Self, WebhookError> {
        let of = keys::webhook(&settings.name);
        let lease = Arc::new(Lease::new(history.store().clone(), &of, holder, timing.lease));
        let poster = Poster {
            name: settings.name.clone(),
            filter: Filter::new(settings),
            receiver: Receiver::new(settings, timing.timeout)?,
            history,
            lease: lease.clone(),
            health,
            timing,
            place: None,
            is_failing: false,
        };
        Ok(Self { poster, lease })
    }

    /// Posts until `stop`, whenever this trunkd holds the webhook's lease.
    pub async fn run(mut self, stop: CancellationToken) {
        let is_late = async {
            stop.cancelled().await;
            sleep(STOP_LIMIT).await;
        };
        tokio::select! {
            () = self.poster.run(&stop) => {}
            () = self.lease.hold() => {}
            () = is_late => {}
        }
        // The store has logged any Redis error.
        let _ = self.lease.release().await;
        // A receiver that is gone ends the posts, but not the task.
        stop.cancelled().await;
    }
}
