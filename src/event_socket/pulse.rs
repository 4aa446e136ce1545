//! Whether the peer of a connection lives: when it is asked for a sign of life, and when it is dead.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use super::error::Lost;
use super::timing::Timing;

/// The pulse of one connection. Its driver keeps it; others may take it and doubt it.
#[derive(Debug)]
pub struct Pulse {
    timing: Timing,
    doubted: Notify,
    state: Mutex<State>,
}

#[derive(Debug, Clone, Copy)]
struct State {
    /// When the last byte arrived.
    heard: Instant,
    /// When the peer was asked, if it hasn't answered yet.
    asked: Option<Instant>,
}

impl Pulse {
    pub(super) fn new(timing: Timing) -> Self {
        Self {
            timing,
            doubted: Notify::new(),
            state: Mutex::new(State {
                heard: Instant::now(),
                asked: None,
            }),
        }
    }

    /// Something else suggests that the peer is dead: it is asked now, not only after a long silence.
    pub fn doubt(&self) {
        self.doubted.notify_one();
    }

    /// How long the peer has owed us a sign of life; zero if it owes none.
    pub fn owed_for(&self) -> Duration {
        self.lock().asked.map(|asked| asked.elapsed()).unwrap_or_default()
    }

    pub(super) fn heard(&self) {
        *self.lock() = State {
            heard: Instant::now(),
            asked: None,
        };
    }

    /// Waits until the peer is to be asked. Cancel-safe.
    ///
    /// # Errors
    /// It was asked, and doesn't answer.
    pub(super) async fn ask(&self) -> Result<(), Lost> {
        let State { heard, asked } = *self.lock();
        match asked {
            None => {
                tokio::select! {
                    () = sleep_until(heard + self.timing.silence) => {}
                    () = self.doubted.notified() => {}
                }
                self.lock().asked = Some(Instant::now());
                Ok(())
            }
            Some(asked) => {
                sleep_until(asked + self.timing.answer).await;
                Err(Lost::Silent(self.timing.answer))
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Each field is replaced whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
