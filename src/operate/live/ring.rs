//! The last live events, for any number of listeners that read at their own pace.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use super::event::LiveEvent;
use super::position::LivePosition;

/// Events that are kept. A listener that falls further behind must read everything again.
const KEPT: usize = 8192;

/// Who listens, and what was said last.
#[derive(Default)]
pub(in crate::operate) struct Live {
    pub(super) ring: Ring,
}

pub(super) struct Ring {
    said: Arc<Said>,
    /// How many listen.
    listeners: watch::Sender<usize>,
    /// Whether a follower knows where it is: what happens from then on is said.
    is_followed: watch::Sender<bool>,
}

struct Said {
    events: Mutex<Events>,
    /// The number of the next event.
    next: watch::Sender<u64>,
}

#[derive(Default)]
struct Events {
    /// The number of the first of `kept`.
    first: u64,
    kept: VecDeque<Arc<LiveEvent>>,
}

/// One listener. Ends when dropped.
pub struct Subscription {
    said: Arc<Said>,
    listeners: watch::Sender<usize>,
    next: u64,
    changed: watch::Receiver<u64>,
}

impl Default for Ring {
    fn default() -> Self {
        Self {
            said: Arc::new(Said {
                events: Mutex::default(),
                next: watch::Sender::new(0),
            }),
            listeners: watch::Sender::new(0),
            is_followed: watch::Sender::new(false),
        }
    }
}

impl Ring {
    pub(super) fn subscribe(&self) -> Subscription {
        self.listeners.send_modify(|count| *count += 1);
        let changed = self.said.next.subscribe();
        let next = *changed.borrow();
        Subscription {
            said: self.said.clone(),
            listeners: self.listeners.clone(),
            next,
            changed,
        }
    }

    /// From now on everything is said.
    pub(super) fn set_followed(&self) {
        self.is_followed.send_if_modified(|is| !std::mem::replace(is, true));
    }

    /// Waits until everything is said.
    pub(super) async fn followed(&self) {
        let mut is_followed = self.is_followed.subscribe();
        // The sender lives as long as the ring.
        let _ = is_followed.wait_for(|is| *is).await;
    }

    /// Whether nobody listens any more: who comes now waits for the next follower.
    pub(super) fn is_left(&self) -> bool {
        if self.is_wanted() {
            return false;
        }
        let was_followed = self.is_followed.send_replace(false);
        // Who came just before that may have relied on this follower.
        let is_wanted = self.is_wanted();
        if is_wanted {
            self.is_followed.send_replace(was_followed);
        }
        !is_wanted
    }

    fn is_wanted(&self) -> bool {
        *self.listeners.borrow() > 0
    }

    /// Waits until somebody listens.
    pub(super) async fn wanted(&self) {
        let mut listeners = self.listeners.subscribe();
        // The sender lives as long as the ring.
        let _ = listeners.wait_for(|count| *count > 0).await;
    }

    /// Adds what was said between two positions.
    pub(super) fn push(&self, said: Vec<LiveEvent>, before: &LivePosition, now: &LivePosition) {
        if said.is_empty() {
            return;
        }
        let mut events = self.said.lock();
        events.kept.extend(numbered(said, before, now));
        let excess = events.kept.len().saturating_sub(KEPT);
        events.kept.drain(..excess);
        events.first += excess as u64;
        let next = events.first + events.kept.len() as u64;
        drop(events);
        self.said.next.send_replace(next);
    }
}

/// Gives each event the position to go on from. All but the last get the one before: a client that has only
/// some of them, gets all again.
pub(super) fn numbered(said: Vec<LiveEvent>, before: &LivePosition, now: &LivePosition) -> Vec<Arc<LiveEvent>> {
    let last = said.len().saturating_sub(1);
    let number = |(at, event): (usize, LiveEvent)| {
        let position = if at == last { now } else { before };
        Arc::new(event.at(position))
    };
    said.into_iter().enumerate().map(number).collect()
}

impl Said {
    fn lock(&self) -> MutexGuard<'_, Events> {
        // Changed as a whole.
        self.events.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Subscription {
    /// Waits for more events. `None` if some were missed: everything must be read again.
    pub async fn next(&mut self) -> Option<Vec<Arc<LiveEvent>>> {
        let from = self.next;
        if self.changed.wait_for(|next| *next > from).await.is_err() {
            // The ring is gone: trunkd stops.
            std::future::pending::<()>().await;
        }
        let events = self.said.lock();
        let end = events.first + events.kept.len() as u64;
        self.next = end;
        let skip = from.checked_sub(events.first)?;
        let skip = usize::try_from(skip).unwrap_or(usize::MAX);
        Some(events.kept.iter().skip(skip).cloned().collect())
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.listeners.send_modify(|count| *count -= 1);
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::Ring;

    #[test]
    fn who_comes_after_the_last_one_left_waits_for_the_next_follower() {
        let ring = Ring::default();
        let first = ring.subscribe();
        assert_eq!(ring.followed().now_or_never(), None);
        ring.set_followed();
        let second = ring.subscribe();
        drop(first);
        assert!(!ring.is_left(), "one still listens");
        assert_eq!(ring.followed().now_or_never(), Some(()));
        drop(second);
        assert!(ring.is_left());
        let _third = ring.subscribe();
        assert_eq!(ring.followed().now_or_never(), None);
    }
}
