//! The threads that answer HTTP, each with a runtime of its own: a request stays on the thread that took it.
//!
//! They last as long as the [`Workers`], and so does what is spawned on their runtimes.

use std::io;
use std::pin::Pin;
use std::thread;

use tokio::runtime::{Builder, Handle, LocalOptions};
use tokio::sync::{mpsc, oneshot};

pub struct Workers {
    first: Handle,
    jobs: Vec<mpsc::UnboundedSender<Job>>,
}

/// Makes, on the worker's thread, what it is to do.
type Job = Box<dyn FnOnce() -> Pin<Box<dyn Future<Output = ()>>> + Send>;

impl Workers {
    /// # Errors
    /// The system gives no thread, or no files for its runtime.
    pub fn start(count: usize) -> io::Result<Self> {
        let mut first = None;
        let mut jobs = Vec::with_capacity(count);
        for number in 1..=count.max(1) {
            let (sender, receiver) = mpsc::unbounded_channel();
            let (ready, runtime) = std::sync::mpsc::channel();
            thread::Builder::new()
                .name(format!("http worker {number}"))
                .spawn(move || work(&ready, receiver))?;
            let runtime = runtime.recv().map_err(io::Error::other)??;
            first.get_or_insert(runtime);
            jobs.push(sender);
        }
        let first = first.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(Self { first, jobs })
    }

    /// The runtime of the first. What every answer waits for belongs there: on one thread nobody has to be woken.
    pub fn first(&self) -> &Handle {
        &self.first
    }

    /// Runs what `job` makes on each of the threads. Who receives gets what comes of it, or an error when it panicked.
    pub(super) fn run<T, F>(&self, job: impl Fn() -> F + Clone + Send + 'static) -> Vec<oneshot::Receiver<T>>
    where
        T: Send + 'static,
        F: Future<Output = T> + 'static,
    {
        let run_on = |worker: &mpsc::UnboundedSender<Job>| {
            let (done, outcome) = oneshot::channel();
            let job = job.clone();
            // A worker that is no more drops the job, and `done` with it.
            let _ = worker.send(Box::new(move || {
                let running = job();
                Box::pin(async move {
                    let _ = done.send(running.await);
                })
            }));
            outcome
        };
        self.jobs.iter().map(run_on).collect()
    }
}

fn work(ready: &std::sync::mpsc::Sender<io::Result<Handle>>, mut jobs: mpsc::UnboundedReceiver<Job>) {
    let runtime = match Builder::new_current_thread()
        .enable_all()
        .build_local(LocalOptions::default())
    {
        Ok(runtime) => runtime,
        Err(error) => {
            let _ = ready.send(Err(error));
            return;
        }
    };
    let _ = ready.send(Ok(runtime.handle().clone()));
    runtime.block_on(async {
        while let Some(job) = jobs.recv().await {
            tokio::task::spawn_local(job());
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_job_runs_on_each_thread_and_stays_there() {
        let workers = Workers::start(2).unwrap();
        let ran = workers.run(|| async {
            let began = thread::current().id();
            let spawned = tokio::task::spawn_local(async { thread::current().id() });
            assert_eq!(spawned.await.unwrap(), began);
            began
        });
        let mut threads = Vec::new();
        for one in ran {
            threads.push(one.await.unwrap());
        }
        assert_eq!(threads.len(), 2);
        assert_ne!(threads[0], threads[1]);
        let of_first = workers.first().spawn(async { thread::current().id() }).await.unwrap();
        assert_eq!(of_first, threads[0]);
    }

    #[tokio::test]
    async fn a_panic_is_told_to_whoever_waits() {
        let workers = Workers::start(1).unwrap();
        for one in workers.run::<(), _>(|| async { panic!("as told by the test") }) {
            assert!(one.await.is_err());
        }
    }

    #[tokio::test]
    async fn the_threads_end_with_their_owner() {
        let workers = Workers::start(1).unwrap();
        let (kept, dropped) = oneshot::channel::<()>();
        workers.first().spawn(async move {
            let _kept = kept;
            std::future::pending::<()>().await;
        });
        drop(workers);
        assert!(dropped.await.is_err());
    }
}
