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
