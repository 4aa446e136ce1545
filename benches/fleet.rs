//! A fleet that restarts: a thousand FreeSWITCH ask at the same time. Measures answers a second,
//! failures, times and memory while Redis is up, is edited, is stalled and is down.
//!
//! trunkd is `trunkd serve` as a process, Redis a `redis-server`; the clients are in this process
//! and share the machine with both. `make bench` runs this; `docs/benchmarks.md` says how to read
//! what it prints.
//!
//! `GATEWAYS=10000` and `CLIENTS=100` choose other numbers.

#[path = "../tests/support/mod.rs"]
mod support;

mod common;

use std::env;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use common::{Program, Times, account, machine, mib, ms, number, request};
use support::app::Other;
use support::redis::RedisServer;

/// Requests of a FreeSWITCH that starts with one profile: all profiles, then that one.
const ROUNDS: usize = 2;
/// An answer that takes longer has failed: the timeout that fs-conf sets for mod_xml_curl.
const PATIENCE: Duration = Duration::from_secs(3);

#[tokio::main]
async fn main() {
    let setting = |name, default| env::var(name).map_or(default, |given| number(&given)).max(1);
    let (gateways, clients) = (setting("GATEWAYS", 1000), setting("CLIENTS", 1000));
    let mut redis = RedisServer::start().await;
    let other = Other::new(&redis).await;
    for number in 0..gateways {
        other
            .set_gateway("default", &format!("gw{number:05}"), &account(number))
            .await;
    }
    let trunkd = Program::start(&format!("[redis]\nurl = \"{}\"\n", redis.url()));
    println!("{}\n", machine());
    let expected = answer(trunkd.address, &request("profile=external"))
        .await
        .expect("an answer");
    println!(
        "{clients} clients at the same time, {ROUNDS} requests each, every one on a connection of its own; \
         {gateways} gateways, {:.2} MB an answer; trunkd idle: {:.1} MiB\n",
        mb(expected.len()),
        mib(trunkd.resident())
    );
    println!("| Redis             | answers/s | failed | p50 ms | p99 ms | max ms | peak MiB |");
    println!("| :---------------- | --------: | -----: | -----: | -----: | -----: | -------: |");
    for state in ["is up", "is edited", "is stalled", "is down"] {
        match state {
            "is stalled" => redis.sigstop(),
            "is down" => redis.kill(),
            _ => {}
        }
        let editing = (state == "is edited").then(|| tokio::spawn(edit(other.clone())));
        trunkd.forget_peak();
        let (measured, took) = fleet(trunkd.address, clients, expected.len()).await;
        if let Some(editing) = editing {
            editing.abort();
        }
        let failed = measured.iter().filter(|time| time.is_none()).count();
        let times = Times::new(measured.iter().flatten().copied());
        #[allow(clippy::cast_precision_loss, reason = "some thousands")]
        let rate = (measured.len() - failed) as f64 / took.as_secs_f64();
        println!(
            "| {state:17} | {rate:9.0} | {failed:6} | {:6.1} | {:6.1} | {:6.1} | {:8.1} |",
            ms(times.at(50)),
            ms(times.at(99)),
            ms(times.at(100)),
            mib(trunkd.peak())
        );
    }
    trunkd.forget_peak();
    let stuck = readers_of_nothing(trunkd.address, clients).await;
    println!(
        "\n{} clients that ask and then read nothing: peak {:.1} MiB, {:.0} KiB each",
        stuck.len(),
        mib(trunkd.peak()),
        mib(trunkd.peak()) * 1024.0 / f64::from(u32::try_from(clients).unwrap_or(u32::MAX))
    );
}

/// The time of each answer (`None` if it failed), and of all together.
async fn fleet(address: SocketAddr, clients: usize, expected: usize) -> (Vec<Option<Duration>>, Duration) {
    let request: Arc<[u8]> = request("profile=external").into();
    let began = Instant::now();
    let mut asking = JoinSet::new();
    for _ in 0..clients {
        let request = request.clone();
        asking.spawn(async move {
            let mut times = Vec::with_capacity(ROUNDS);
            for _ in 0..ROUNDS {
                let asked = Instant::now();
                let answered = timeout(PATIENCE, answer(address, &request)).await;
                let is_whole = answered.is_ok_and(|answer| answer.is_ok_and(|answer| is_whole(&answer, expected)));
                times.push(is_whole.then(|| asked.elapsed()));
            }
            times
        });
    }
    let times = asking.join_all().await.concat();
    (times, began.elapsed())
}

/// An edit changes the length by a few bytes at most.
fn is_whole(answer: &[u8], expected: usize) -> bool {
    answer.starts_with(b"HTTP/1.1 200 ") && answer.ends_with(b"</document>\n") && answer.len().abs_diff(expected) < 64
}

async fn answer(address: SocketAddr, request: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut connection = TcpStream::connect(address).await?;
    connection.write_all(request).await?;
    let mut answer = Vec::new();
    connection.read_to_end(&mut answer).await?;
    Ok(answer)
}

/// Changes one gateway again and again.
async fn edit(other: Other) {
    for number in 0.. {
        let value = account(number % 1000).replace("a-long-password", "another-password");
        other.set_gateway("default", "gw00000", &value).await;
        sleep(Duration::from_millis(10)).await;
    }
}

/// The connections of clients that ask and then read nothing, once trunkd has written what it can.
async fn readers_of_nothing(address: SocketAddr, clients: usize) -> Vec<TcpStream> {
    let mut stuck = Vec::with_capacity(clients);
    for _ in 0..clients {
        let socket = tokio::net::TcpSocket::new_v4().expect("a socket");
        let _ = socket.set_recv_buffer_size(4096);
        let mut connection = socket.connect(address).await.expect("trunkd lets it in");
        connection
            .write_all(&request("profile=external"))
            .await
            .expect("trunkd reads");
        stuck.push(connection);
    }
    for connection in &stuck {
        // The first bytes have arrived, so the answer exists.
        let _ = timeout(PATIENCE, connection.readable()).await;
    }
    stuck
}

#[allow(clippy::cast_precision_loss, reason = "shown with two digits after the point")]
fn mb(bytes: usize) -> f64 {
    bytes as f64 / 1e6
}
