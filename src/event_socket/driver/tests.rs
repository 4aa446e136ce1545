//! On paused time: the clock only moves when every task waits for it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::*;
use crate::event_socket::client::{Client, Events, Permit};
use crate::event_socket::error::CommandError;

const STATUS_REPLY: &[u8] = b"Content-Type: api/response\nContent-Length: 3\n\nok\n";

/// A driven connection and its peer, whose receive buffer holds `buffer_bytes`.
fn connection(buffer_bytes: usize) -> (Client, Events, DuplexStream, JoinHandle<()>) {
    let (socket, peer) = tokio::io::duplex(buffer_bytes);
    let (commands, command_queue) = mpsc::channel(8);
    let (event_sender, queue) = mpsc::channel(8);
    let driver = Driver::new(FrameStream::new(socket), command_queue, event_sender, Timing::default());
    let lost = Arc::new(OnceLock::new());
    let (reason, pulse) = (lost.clone(), driver.pulse.clone());
    let task = tokio::spawn(async move { driver.run(&reason).await });
    (Client { commands, pulse }, Events { queue, lost }, peer, task)
}

async fn next_line(peer: &mut DuplexStream) -> String {
    let mut line = Vec::new();
    while !line.ends_with(b"\n\n") {
        line.push(peer.read_u8().await.unwrap());
    }
    String::from_utf8(line).unwrap().trim_end().to_owned()
}

#[tokio::test(start_paused = true)]
async fn a_silent_peer_is_asked_after_25_s_and_dead_5_s_later() {
    let (_client, mut events, mut peer, _task) = connection(1024);
    let start = Instant::now();
    assert_eq!(next_line(&mut peer).await, SIGN_OF_LIFE);
    assert_eq!(start.elapsed(), Duration::from_secs(25));
    events.ended().await;
    assert_eq!(start.elapsed(), Duration::from_secs(30));
    assert_eq!(events.lost(), Lost::Silent(Timing::default().answer));
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_answers_lives_and_is_asked_again() {
    let (client, _events, mut peer, _task) = connection(1024);
    let start = Instant::now();
    for asked in 1..=100 {
        assert_eq!(next_line(&mut peer).await, SIGN_OF_LIFE);
        assert_eq!(start.elapsed(), Duration::from_secs(25 * asked));
        peer.write_all(STATUS_REPLY).await.unwrap();
    }
    assert!(!client.is_over());
}

#[tokio::test(start_paused = true)]
async fn any_byte_is_a_sign_of_life() {
    let (_client, _events, mut peer, _task) = connection(1024);
    let start = Instant::now();
    for _ in 0..10 {
        tokio::time::sleep(Duration::from_secs(20)).await;
        peer.write_all(b"\n").await.unwrap();
    }
    assert_eq!(next_line(&mut peer).await, SIGN_OF_LIFE);
    assert_eq!(start.elapsed(), Duration::from_secs(225));
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_is_doubted_is_asked_at_once_and_dead_5_s_later() {
    let (client, mut events, mut peer, _task) = connection(1024);
    for _ in 0..3 {
        let start = Instant::now();
        client.pulse.doubt();
        assert_eq!(next_line(&mut peer).await, SIGN_OF_LIFE);
        assert_eq!(start.elapsed(), Duration::ZERO);
        tokio::time::sleep(Duration::from_secs(3)).await;
        assert_eq!(client.pulse.owed_for(), Duration::from_secs(3));
        peer.write_all(STATUS_REPLY).await.unwrap();
        tokio::task::yield_now().await;
        assert_eq!(client.pulse.owed_for(), Duration::ZERO);
    }
    let start = Instant::now();
    client.pulse.doubt();
    events.ended().await;
    assert_eq!(start.elapsed(), Duration::from_secs(5));
    assert_eq!(client.pulse.owed_for(), Duration::from_secs(5));
    assert_eq!(events.lost(), Lost::Silent(Duration::from_secs(5)));
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_takes_no_bytes_is_dead_too() {
    let (client, mut events, _peer, _task) = connection(4);
    let start = Instant::now();
    let error = client.api("sofia status", Duration::from_secs(60)).await.unwrap_err();
    assert!(matches!(error, CommandError::Lost { .. }), "{error}");
    events.ended().await;
    assert_eq!(start.elapsed(), Timing::default().answer);
    assert_eq!(events.lost(), Lost::Silent(Timing::default().answer));
}

#[tokio::test(start_paused = true)]
async fn a_late_reply_is_not_taken_for_the_next_one() {
    let (client, _events, mut peer, _task) = connection(1024);
    let first = client.api("first", Duration::from_secs(1)).await.unwrap_err();
    assert!(matches!(first, CommandError::Timeout { .. }), "{first}");
    let second = tokio::spawn(async move { client.api("second", Duration::from_secs(9)).await });
    assert_eq!(next_line(&mut peer).await, "api first");
    peer.write_all(b"Content-Type: api/response\nContent-Length: 4\n\nlate")
        .await
        .unwrap();
    assert_eq!(next_line(&mut peer).await, "api second");
    peer.write_all(STATUS_REPLY).await.unwrap();
    assert_eq!(&second.await.unwrap().unwrap()[..], b"ok\n");
}

#[tokio::test(start_paused = true)]
async fn a_command_that_waited_is_only_written_while_it_is_wanted_and_permitted() {
    let (client, _events, mut peer, _task) = connection(1024);
    let is_holder = Arc::new(AtomicBool::new(true));
    let permit = Permit::new({
        let is_holder = is_holder.clone();
        move || is_holder.load(Ordering::Relaxed)
    });
    let limit = Duration::from_secs(20);
    let send = |command: &'static str, limit, permit: Option<Permit>| {
        let client = client.clone();
        tokio::spawn(async move { client.run(command, limit, permit).await })
    };
    let slow = send("slow", limit, None);
    assert_eq!(next_line(&mut peer).await, "api slow");
    let abandoned = send("abandoned", Duration::from_secs(1), None);
    tokio::task::yield_now().await;
    let revoked = send("revoked", limit, Some(permit));
    assert!(matches!(abandoned.await.unwrap(), Err(CommandError::Timeout { .. })));
    is_holder.store(false, Ordering::Relaxed);
    peer.write_all(STATUS_REPLY).await.unwrap();
    assert!(slow.await.unwrap().is_ok());
    assert!(matches!(revoked.await.unwrap(), Err(CommandError::NotPermitted { .. })));
    let last = send("last", limit, None);
    assert_eq!(
        next_line(&mut peer).await,
        "api last",
        "neither of the others was written"
    );
    last.abort();
}

#[tokio::test(start_paused = true)]
async fn events_that_arrived_are_delivered_before_the_reason_of_the_end() {
    let (_client, mut events, mut peer, _task) = connection(1024);
    peer.write_all(b"Content-Type: text/event-json\nContent-Length: 2\n\n{}")
        .await
        .unwrap();
    peer.write_all(b"Content-Type: text/disconnect-notice\nContent-Length: 8\n\nGood-bye")
        .await
        .unwrap();
    let mut received = Vec::new();
    assert_eq!(events.next(&mut received, 9).await, 1);
    assert_eq!(events.next(&mut received, 9).await, 0);
    assert_eq!(events.lost(), Lost::Notice("Good-bye".to_owned()));
}
