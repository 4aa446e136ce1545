//! The tasks of trunkd. Each has a name, none may end by itself, and all are stopped together.

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

/// A task ended although nobody stopped it. trunkd must not go on without it.
#[derive(Debug, thiserror::Error)]
#[error("the task {name:?} {how}, which is a bug of trunkd: it cannot go on without this task")]
pub struct EndedEarly {
    name: String,
    how: &'static str,
}

impl Tasks {
    /// No task yet. Tasks end when `stop` is cancelled.
    pub(super) fn new(stop: CancellationToken) -> Self {
        Self {
            stop,
            running: JoinSet::new(),
            names: HashMap::new(),
        }
    }

    /// Spawns a task that watches the token itself, because it has something left to do when it is
    /// cancelled.
    pub(super) fn spawn<F>(&mut self, name: impl Display, task: impl FnOnce(CancellationToken) -> F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let id = self.running.spawn(task(self.stop.clone())).id();
        self.names.insert(id, name.to_string());
    }

    /// Spawns a task that may be dropped at any point when the token is cancelled.
    pub(super) fn spawn_cut(&mut self, name: impl Display, task: impl Future<Output = ()> + Send + 'static) {
        self.spawn(name, |stop| async move {
            stop.run_until_cancelled(task).await;
        });
    }

    /// Waits until a task panics, or ends without being stopped.
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

    /// Stops the tasks and waits for them. Those that still run at the deadline are cut, and named
    /// in the log.
    pub(super) async fn finish(mut self, deadline: Instant) {
        self.stop.cancel();
        while let Ok(Some(ended)) = timeout_at(deadline, self.running.join_next_with_id()).await {
            let how = how(&ended);
            let task = self.forget(ended);
            if how == PANICKED {
                tracing::error!(task, "panicked while stopping, which is a bug of trunkd");
            }
        }
        for task in self.names.values() {
            tracing::warn!(task, "did not stop in time, and is cut");
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
