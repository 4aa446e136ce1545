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
    let error = tasks.ended_early().await.to_string();
    assert!(error.contains("\"ingest of fs1\" panicked"), "{error}");
}

#[tokio::test]
async fn a_task_that_is_cancelled_did_not_panic() {
    let mut tasks = tasks();
    let cancelled = tasks.running.spawn(std::future::pending());
    tasks.names.insert(cancelled.id(), "cut short".to_owned());
    cancelled.abort();
    let error = tasks.ended_early().await.to_string();
    assert!(error.contains("\"cut short\" was cancelled"), "{error}");
}

#[tokio::test]
async fn a_task_that_ends_by_itself_is_reported_by_name() {
    let mut tasks = tasks();
    tasks.spawn("quitter", |_| async {});
    let error = tasks.ended_early().await.to_string();
    assert!(error.contains("\"quitter\" ended by itself"), "{error}");
}

#[tokio::test]
async fn a_task_that_ends_because_it_is_stopped_is_no_failure() {
    let mut tasks = tasks();
    tasks.spawn("obedient", |stop| async move { stop.cancelled().await });
    tasks.stop.cancel();
    let error = tokio::time::timeout(Duration::from_millis(50), tasks.ended_early()).await;
    assert!(error.is_err(), "{error:?}");
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
