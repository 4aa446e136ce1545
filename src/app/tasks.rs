//! The tasks that trunkd consists of. Each has a name, none may end before its time, and all are stopped together.

use std::collections::HashMap;
use std::fmt::Display;
use std::future::Future;

use tokio::task::{Id, JoinError, JoinSet};
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;

pub(super) struct Tasks {
    stop: CancellationToken,
    running: JoinSet<()>,
    names: HashMap<Id, String>,
}

/// A task that is over though nobody stopped it: trunkd would go on without what it did.
#[derive(Debug, thiserror::Error)]
#[error("the task {name:?} {how}, which is a bug of trunkd: it cannot go on without it")]
pub struct EndedEarly {
    name: String,
    how: &'static str,
}

impl Tasks {
    /// None yet; they end when `stop` is cancelled.
    pub(super) fn new(stop: CancellationToken) -> Self {
        Self {
            stop,
            running: JoinSet::new(),
            names: HashMap::new(),
        }
    }

    /// A task that heeds the token itself, because it has something left to do then.
    pub(super) fn spawn<F>(&mut self, name: impl Display, task: impl FnOnce(CancellationToken) -> F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let id = self.running.spawn(task(self.stop.clone())).id();
        self.names.insert(id, name.to_string());
    }

    /// A task that may be dropped wherever it is when the token is cancelled.
    pub(super) fn spawn_cut(&mut self, name: impl Display, task: impl Future<Output = ()> + Send + 'static) {
        self.spawn(name, |stop| async move {
            stop.run_until_cancelled(task).await;
        });
    }

    /// Until a task panics, or ends without being told to. For ever when none does.
    pub(super) async fn ended_early(&mut self) -> EndedEarly {
        while let Some(ended) = self.running.join_next_with_id().await {
            let how = how(&ended);
            let name = self.forget(ended);
            if how == PANICKED || !self.stop.is_cancelled() {
                return EndedEarly { name, how };
            }
        }
        std::future::pending().await
    }

    /// Tells the tasks to end, and waits for that; those that run at the deadline are cut, and named in the log.
    pub(super) async fn finish(mut self, deadline: Instant) {
        self.stop.cancel();
        while let Ok(Some(ended)) = timeout_at(deadline, self.running.join_next_with_id()).await {
            let how = how(&ended);
            let task = self.forget(ended);
            if how == PANICKED {
                tracing::error!(task, "panicked while it was being stopped: this is a bug of trunkd");
            }
        }
        for task in self.names.values() {
            tracing::warn!(task, "did not stop in time; it is cut");
        }
    }

    fn forget(&mut self, ended: Result<(Id, ()), JoinError>) -> String {
        let id = ended.map_or_else(|error| error.id(), |(id, ())| id);
        self.names.remove(&id).unwrap_or_default()
    }
}

const PANICKED: &str = "panicked";

fn how(ended: &Result<(Id, ()), JoinError>) -> &'static str {
    match ended {
        Ok(_) => "ended by itself",
        Err(error) if error.is_panic() => PANICKED,
        Err(_) => "was cancelled",
    }
}

#[cfg(test)]
mod tests;
