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
mod tests {
    use std::time::Duration;

    use super::*;

    fn tasks() -> Tasks {
        Tasks::new(CancellationToken::new())
    }

    #[tokio::test]
    async fn a_panic_is_told_by_the_tasks_name() {
        let mut tasks = tasks();
        tasks.spawn_cut("healthy", std::future::pending());
        tasks.spawn_cut("ingest of fs1", async { panic!("as a bug would") });
        let told = tasks.ended_early().await.to_string();
        assert!(told.contains("\"ingest of fs1\" panicked"), "{told}");
    }

    #[tokio::test]
    async fn a_task_that_is_cancelled_did_not_panic() {
        let mut tasks = tasks();
        let cancelled = tasks.running.spawn(std::future::pending());
        tasks.names.insert(cancelled.id(), "cut short".to_owned());
        cancelled.abort();
        let told = tasks.ended_early().await.to_string();
        assert!(told.contains("\"cut short\" was cancelled"), "{told}");
    }

    #[tokio::test]
    async fn a_task_that_ends_unasked_is_told_by_its_name() {
        let mut tasks = tasks();
        tasks.spawn("quitter", |_| async {});
        let told = tasks.ended_early().await.to_string();
        assert!(told.contains("\"quitter\" ended by itself"), "{told}");
    }

    #[tokio::test]
    async fn tasks_that_end_because_they_were_told_to_are_no_failure() {
        let mut tasks = tasks();
        tasks.spawn("obedient", |stop| async move { stop.cancelled().await });
        tasks.stop.cancel();
        let told = tokio::time::timeout(Duration::from_millis(50), tasks.ended_early()).await;
        assert!(told.is_err(), "{told:?}");
        assert!(tasks.names.is_empty(), "it has ended");
    }

    #[tokio::test]
    async fn a_task_that_does_not_stop_is_cut_at_the_deadline() {
        let mut tasks = tasks();
        let (kept, dropped) = tokio::sync::oneshot::channel::<()>();
        tasks.spawn("deaf", |_| async move {
            let _kept = kept;
            std::future::pending().await
        });
        tasks.finish(Instant::now()).await;
        assert!(dropped.await.is_err(), "its future is gone");
    }
}
