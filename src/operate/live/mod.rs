//! What happens, as it happens: changes of gateways and switches, of what is held, and the history.
//!
//! Every trunkd follows the streams in Redis, so each hears of everything, whichever of them saw it.
//! Nothing is read while nobody listens.

mod event;
mod events;
mod position;
mod ring;

pub use event::{LiveEvent, LiveKind};
pub use position::LivePosition;
pub(super) use ring::Live;
pub use ring::Subscription;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::OperateError;
use super::listing::Changed;
use super::service::Service;
use super::status::SwitchNotes;
use crate::observed::Position;

/// How often Redis is asked while somebody listens.
const POLL: Duration = Duration::from_millis(50);
/// After a failure.
const POLL_AGAIN: Duration = Duration::from_secs(1);
/// How often reports and pauses are read: they change a few times a minute.
const NOTES_EVERY: Duration = Duration::from_secs(1);
/// How long a new listener waits for the first look. Later than that, Redis is away.
const FOLLOWED_WITHIN: Duration = Duration::from_secs(2);
/// Entries of the history per look.
const MAX_ENTRIES: usize = 1000;

/// What one follower remembers between two looks.
#[derive(Default)]
struct Follower {
    position: Option<LivePosition>,
    notes: Arc<SwitchNotes>,
    notes_at: Option<Instant>,
    plans: BTreeMap<String, String>,
    /// The last look found Redis away.
    is_away: bool,
}

impl Service {
    /// Listens from now on, or from where `after` says. The first events are those that were missed;
    /// `None` if it is too long ago: everything must be read again.
    ///
    /// # Errors
    /// Redis can't be read.
    pub async fn subscribe(
        &self,
        after: Option<&LivePosition>,
    ) -> Result<(Subscription, Option<Vec<Arc<LiveEvent>>>), OperateError> {
        let subscription = self.live.ring.subscribe();
        // What happens after the answer must not be lost. If Redis is away, a `resync` follows.
        let _ = timeout(FOLLOWED_WITHIN, self.live.ring.followed()).await;
        let Some(after) = after else {
            return Ok((subscription, Some(Vec::new())));
        };
        let missed = self.missed(after).await?;
        Ok((subscription, missed))
    }

    /// Follows the streams while somebody listens, until `stop`.
    pub async fn follow(&self, stop: CancellationToken) {
        let following = async {
            loop {
                self.live.ring.wanted().await;
                let mut follower = Follower::default();
                while !self.live.ring.is_left() {
                    let looked = self.look(&mut follower).await;
                    self.say_whether_away(&mut follower, looked.is_err());
                    let pause = match looked {
                        Ok(()) => POLL,
                        Err(error) => {
                            tracing::debug!("live events: {error}");
                            POLL_AGAIN
                        }
                    };
                    sleep(pause).await;
                }
                self.forget_unsaid();
            }
        };
        stop.run_until_cancelled(following).await;
    }

    /// Tells listeners when Redis goes away and when it is back. Only of this trunkd's own connection.
    fn say_whether_away(&self, follower: &mut Follower, has_failed: bool) {
        let is_away = has_failed || self.stale_since().is_some();
        if let Some(position) = &follower.position
            && is_away != follower.is_away
        {
            self.live.ring.push(vec![events::redis(!is_away)], position, position);
        }
        follower.is_away = is_away;
    }

    async fn look(&self, follower: &mut Follower) -> Result<(), OperateError> {
        self.catch_up().await?;
        let (changed, changes) = self.take_unsaid();
        let said = self.say(follower, &changed, changes).await;
        if said.is_err() {
            self.put_back_unsaid(changed);
        }
        said
    }

    /// Says what changed up to this position in `trunkd:changes`.
    async fn say(&self, follower: &mut Follower, changed: &Changed, changes: String) -> Result<(), OperateError> {
        let away = OperateError::at(&self.settings);
        let Some(before) = follower.position.clone() else {
            let history = self.history.newest_id().await.map_err(away)?;
            let now = LivePosition { changes, history };
            if follower.is_away {
                self.live.ring.push(vec![events::resync()], &now, &now);
            }
            follower.position = Some(now);
            self.live.ring.set_followed();
            return Ok(());
        };
        let is_due = follower.notes_at.is_none_or(|at| at.elapsed() >= NOTES_EVERY);
        if is_due || !changed.rows.is_empty() {
            follower.notes = self.status.notes().await.map_err(away)?;
            follower.notes_at = Some(Instant::now());
        }
        let entries = self.history.after(&before.history, MAX_ENTRIES).await.map_err(away)?;
        let history = entries.last().map_or(before.history.clone(), |entry| entry.id.clone());
        let now = LivePosition { changes, history };
        let mut said = match changed.all {
            true => vec![events::resync()],
            false => self.gateway_events(&changed.rows, &follower.notes.without_numbers()),
        };
        said.extend(self.switch_events(&changed.switches));
        said.extend(events::plans(&follower.notes, &mut follower.plans, is_due));
        said.extend(entries.iter().flat_map(events::entry));
        self.live.ring.push(said, &before, &now);
        follower.position = Some(now);
        Ok(())
    }

    /// What was said after a position, read from Redis: it may have been another trunkd that said it.
    async fn missed(&self, after: &LivePosition) -> Result<Option<Vec<Arc<LiveEvent>>>, OperateError> {
        let away = OperateError::at(&self.settings);
        let Some(position) = Position::parse(&after.changes) else {
            return Ok(None);
        };
        self.catch_up().await?;
        let changes = self.store.changes_since(&position).await.map_err(away)?;
        let Some(changes) = changes else { return Ok(None) };
        let is_kept = self.history.reaches(&after.history).await.map_err(away)?;
        if !is_kept {
            return Ok(None);
        }
        let entries = self.history.after(&after.history, MAX_ENTRIES).await.map_err(away)?;
        if entries.len() == MAX_ENTRIES {
            return Ok(None);
        }
        let notes = self.status.notes().await.map_err(away)?;
        let rows = changes
            .rows
            .into_iter()
            .map(|(switch, names)| (switch.into(), names.into_iter().map(Arc::from).collect()));
        let mut said = self.gateway_events(&rows.collect(), &notes.without_numbers());
        said.extend(entries.iter().flat_map(events::entry));
        let history = entries.last().map_or(after.history.clone(), |entry| entry.id.clone());
        let now = LivePosition {
            changes: changes
                .position
                .map_or(after.changes.clone(), |at| at.as_str().to_owned()),
            history,
        };
        Ok(Some(ring::numbered(said, after, &now)))
    }
}
