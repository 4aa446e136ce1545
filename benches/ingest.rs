//! How many events of a switch trunkd takes to Redis in a second, beside what Redis itself takes:
//! `redis-benchmark` with HSET of values of the same length, in pipelines of 100 on one connection.
//! And what a burst costs while Redis is stalled: memory, and events that channel and list don't
//! get. And whether a flood of calls on their own connection slows the events of gateways.
//!
//! The switch is the tests' FakeSwitch, in this process; it sends a burst that was made before, as
//! fast as the socket takes it. `redis-server` and `trunkd serve` are processes; all share this
//! machine. `make bench` runs it; `docs/benchmarks.md` says how to read what it prints.
//!
//! `QUICK=1` is a tenth of the events; `EVENTS=50000`, `GATEWAYS=100` and `ROUNDS=5` choose for
//! themselves; `CASE="hash only"` picks one row, `CASE=stalled` or `CASE=calls` one of the others;
//! `CALLS=5000` is how many calls end a second in the last one.

#[path = "../tests/support/mod.rs"]
mod support;

mod common;

use std::env;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use redis::AsyncCommands;
use redis::aio::MultiplexedConnection;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use common::{Program, is_quick, machine, mib, number, redis_benchmark};
use support::app::{Other, eventually, switch_toml};
use support::fake_switch::{Burst, FakeSwitch};
use support::redis::RedisServer;

const CHANNEL: &str = "gateway-events";
const LIST: &str = "gateway-list";
/// A run that takes longer is broken.
const DEADLINE: Duration = Duration::from_secs(120);
/// How often Redis is asked how far it is: cheap for it, and a fraction of what is measured.
const POLL: Duration = Duration::from_millis(2);
/// What the snapshots ask for that follow a change of many gateways.
const SETTLED: Duration = Duration::from_secs(4);

struct Case {
    name: &'static str,
    announces: bool,
    subscribes: bool,
    /// Events a second to HSETs a second, in percent.
    aim: u32,
}

const CASES: [Case; 3] = [
    Case {
        name: "hash only",
        announces: false,
        subscribes: false,
        aim: 20,
    },
    Case {
        name: "hash, channel, list",
        announces: true,
        subscribes: false,
        aim: 10,
    },
    Case {
        name: "the same, 1 subscriber",
        announces: true,
        subscribes: true,
        aim: 10,
    },
];

struct Size {
    events: usize,
    gateways: Vec<String>,
    rounds: usize,
}

#[tokio::main]
async fn main() {
    let of = |name, default| env::var(name).map_or(default, |given| number(&given)).max(1);
    let size = Size {
        events: of("EVENTS", if is_quick() { 20_000 } else { 200_000 }),
        gateways: (0..of("GATEWAYS", 1000)).map(|n| format!("gw{n:05}")).collect(),
        rounds: of("ROUNDS", 3),
    };
    let case = env::var("CASE").ok();
    let chosen = |name: &str| case.as_ref().is_none_or(|case| case == name);
    println!("{}\n", machine());
    println!(
        "{} events of {} gateways in one burst of one switch; the best of {} rounds\n",
        size.events,
        size.gateways.len(),
        size.rounds
    );
    println!("| written                | events/s | HSET/s | ratio | aim  |        | peak MiB |");
    println!("| :--------------------- | -------: | -----: | ----: | ---: | :----- | -------: |");
    for case in CASES.iter().filter(|case| chosen(case.name)) {
        println!("{}", measure(case, &size).await);
    }
    if chosen("stalled") {
        println!("\n{}", stalled(&size).await);
    }
    if chosen("calls") {
        println!("\n{}", flooded(&size, of("CALLS", 5000)).await);
    }
}

async fn measure(case: &Case, size: &Size) -> String {
    let scene = Scene::set(case.announces, size).await;
    let heard = Arc::new(AtomicUsize::new(0));
    if case.subscribes {
        subscribe(&scene.redis, heard.clone()).await;
    }
    let (mut best, mut most_sets, mut peak) = (0.0_f64, 0.0_f64, 0);
    for _ in 0..size.rounds {
        let burst = scene.switch.prepare_burst(size.events, &size.gateways);
        let value = scene.value().await;
        most_sets = most_sets.max(most_writes(&scene.redis, &value, size.gateways.len()));
        scene.forget_list().await;
        heard.store(0, Ordering::Relaxed);
        scene.trunkd.forget_peak();
        let took = scene.take(&burst).await;
        peak = peak.max(scene.trunkd.peak());
        best = best.max(per_second(size.events, took));
        if case.announces {
            let dropped = scene.dropped().await;
            let listed = scene.listed().await;
            assert_eq!((listed, dropped), (size.events, 0), "every event is listed, once");
        }
        if case.subscribes {
            eventually(
                "all were heard",
                async || heard.load(Ordering::Relaxed),
                |heard| *heard == size.events,
            )
            .await;
        }
    }
    let ratio = 100.0 * best / most_sets;
    let verdict = if ratio >= f64::from(case.aim) { "met" } else { "missed" };
    format!(
        "| {:22} | {best:8.0} | {most_sets:6.0} | {ratio:4.1}% | {:3}% | {verdict:6} | {:8.1} |",
        case.name,
        case.aim,
        mib(peak)
    )
}

/// The whole burst while Redis answers nothing; then Redis goes on.
async fn stalled(size: &Size) -> String {
    let scene = Scene::set(true, size).await;
    let burst = scene.switch.prepare_burst(size.events, &size.gateways);
    scene.forget_list().await;
    let idle = scene.trunkd.resident();
    scene.trunkd.forget_peak();
    let before = scene.events().await;
    scene.redis.sigstop();
    let fired = Instant::now();
    scene.switch.fire_burst(&burst);
    scene.switch.wait_for_delivery().await;
    eventually(
        "trunkd has read the burst",
        || scene.events(),
        |events| *events == before + size.events,
    )
    .await;
    let drained = fired.elapsed();
    let peak = scene.trunkd.peak();
    scene.redis.sigcont();
    scene.until(burst.last_sequence).await;
    let (listed, dropped) = (scene.listed().await, scene.dropped().await);
    format!(
        "Redis stalled for a whole burst: the switch's socket was drained in {:.1} s, peak {:.1} MiB ({:.1} before);\n\
         afterwards the channel and the list got {listed} events, and {dropped} were counted as dropped: {} of {}",
        drained.as_secs_f64(),
        mib(peak),
        mib(idle),
        listed + dropped,
        size.events
    )
}

/// The same burst by turns alone and while calls end all the time.
async fn flooded(size: &Size, calls_per_second: usize) -> String {
    /// How often some of them end.
    const STEP: Duration = Duration::from_millis(100);
    let scene = Scene::set_with(size, "[calls]\nenabled = true\n[reconcile]\nmode = \"off\"\n").await;
    // Only calls over gateways that are in Redis count.
    for name in &size.gateways {
        let ip_trunk = r#"{"param":{"realm":"sip.example.net","register":"false"},"profile":"external"}"#;
        scene.other.set_gateway("bench", name, ip_trunk).await;
    }
    let calls = scene
        .switch
        .prepare_burst_of_calls(calls_per_second.div_ceil(10), &size.gateways);
    let counted = || scene.counted("trunkd_calls_counted_total{");
    let some = || {
        scene.switch.fire_burst(&calls);
        counted()
    };
    // Until trunkd has read the gateways from Redis, their calls are not counted.
    eventually("calls are counted", some, |counted| *counted > 0).await;
    scene.switch.wait_for_delivery().await;
    let (before, mut fired) = (settled(counted).await, 0);
    let (mut quiet, mut busy) = (0.0_f64, 0.0_f64);
    for _ in 0..size.rounds {
        let burst = scene.switch.prepare_burst(size.events, &size.gateways);
        quiet = quiet.max(per_second(size.events, scene.take(&burst).await));
        let burst = scene.switch.prepare_burst(size.events, &size.gateways);
        let flood = async {
            loop {
                assert_eq!(scene.switch.fire_burst(&calls), 1, "trunkd counts calls");
                fired += calls.events;
                sleep(STEP).await;
            }
        };
        let took = tokio::select! {
            took = scene.take(&burst) => took,
            () = flood => Duration::MAX,
        };
        busy = busy.max(per_second(size.events, took));
    }
    eventually("all calls are counted", counted, |counted| *counted == before + fired).await;
    format!(
        "While {calls_per_second} calls end a second: {busy:.0} events/s of gateways, {quiet:.0} without ({:.0} %); {fired} calls, all counted",
        100.0 * busy / quiet
    )
}

/// The number once it stays the same.
async fn settled(mut count: impl AsyncFnMut() -> usize) -> usize {
    let mut before = count().await;
    loop {
        sleep(Duration::from_millis(500)).await;
        let now = count().await;
        if now == before {
            return now;
        }
        before = now;
    }
}

/// Redis, a switch with its gateways, and a trunkd that knows them.
struct Scene {
    redis: RedisServer,
    other: Other,
    switch: FakeSwitch,
    trunkd: Program,
    last_gateway: String,
}

impl Scene {
    async fn set(announces: bool, size: &Size) -> Self {
        let status = if announces {
            // Nothing is trimmed: what is there is counted.
            format!(
                "[status]\nchannel = {CHANNEL:?}\nlist = {LIST:?}\nlist_max = {}\n",
                10 * size.events
            )
        } else {
            String::new()
        };
        Self::set_with(size, &status).await
    }

    /// With these settings besides.
    async fn set_with(size: &Size, more: &str) -> Self {
        let redis = RedisServer::start().await;
        let other = Other::new(&redis).await;
        let switch = FakeSwitch::builder().tick(Duration::from_secs(1)).start().await;
        let xml: Vec<_> = size
            .gateways
            .iter()
            .map(|name| format!(r#"<gateway name="{name}"><param name="register" value="false"/></gateway>"#))
            .collect();
        switch.add_gateways("external", &xml.concat());
        let toml = format!(
            "{more}[redis]\nurl = {:?}\n{}",
            redis.url(),
            switch_toml(&switch, "fs1")
        );
        let trunkd = Program::start(&toml);
        let rows = || async { other.hash("trunkd:status:fs1").await.len() };
        eventually("all gateways have rows", rows, |rows| *rows == size.gateways.len()).await;
        sleep(SETTLED).await;
        let last_gateway = size.gateways[(size.events - 1) % size.gateways.len()].clone();
        Self {
            redis,
            other,
            switch,
            trunkd,
            last_gateway,
        }
    }

    /// From the first byte of the burst until Redis holds its last event.
    async fn take(&self, burst: &Burst) -> Duration {
        let fired = Instant::now();
        assert_eq!(self.switch.fire_burst(burst), 1, "trunkd listens");
        self.until(burst.last_sequence).await;
        fired.elapsed()
    }

    /// The newest sequence that Redis reflects is written with what it reflects.
    async fn until(&self, sequence: u64) {
        let mut connection = self.connection();
        let reached = async {
            while connection
                .hget::<_, _, u64>("trunkd:ingest:fs1", "newest")
                .await
                .unwrap_or(0)
                < sequence
            {
                sleep(POLL).await;
            }
        };
        timeout(DEADLINE, reached)
            .await
            .expect("Redis gets the last event in time");
    }

    /// What a gateway's field holds.
    async fn value(&self) -> String {
        let value: String = self
            .connection()
            .hget("gateways", &self.last_gateway)
            .await
            .expect("a value");
        value
    }

    async fn forget_list(&self) {
        let _: () = self.connection().del(LIST).await.expect("Redis answers");
    }

    /// Events that the switch sent; what a snapshot set right has no place in the count.
    async fn listed(&self) -> usize {
        const PART: isize = 10_000;
        let mut listed = 0;
        for from in (0..).step_by(PART.unsigned_abs()) {
            let part: Vec<String> = self
                .connection()
                .lrange(LIST, from, from + PART - 1)
                .await
                .expect("a list");
            if part.is_empty() {
                break;
            }
            listed += part.iter().filter(|event| !event.contains("trunkd-Source")).count();
        }
        listed
    }

    async fn dropped(&self) -> usize {
        self.counted("trunkd_events_dropped_total{").await
    }

    async fn events(&self) -> usize {
        self.counted("trunkd_events_total{").await
    }

    /// The sum of the series that begin so.
    async fn counted(&self, series: &str) -> usize {
        let mut connection = TcpStream::connect(self.trunkd.address).await.expect("trunkd listens");
        let request = b"GET /metrics HTTP/1.1\r\nHost: trunkd\r\nConnection: close\r\n\r\n";
        connection.write_all(request).await.expect("trunkd reads");
        let mut answer = String::new();
        connection.read_to_string(&mut answer).await.expect("an answer");
        let lines = answer.lines().filter(|line| line.starts_with(series));
        lines
            .filter_map(|line| line.rsplit_once(' '))
            .map(|(_, count)| number(count))
            .sum()
    }

    fn connection(&self) -> MultiplexedConnection {
        self.other.connection.clone()
    }
}

/// How many HSET of such a value Redis takes in a second.
fn most_writes(redis: &RedisServer, value: &str, gateways: usize) -> f64 {
    let fields = gateways.to_string();
    let how = ["-P", "100", "-n", "400000", "-q", "-r", &fields];
    let what = ["HSET", "benchmark", "gw:__rand_int__", value];
    let text = redis_benchmark(redis.port(), &[&how[..], &what].concat());
    let before = text.rsplit_once(" requests per second").map(|(before, _)| before);
    let rate = before.and_then(|before| before.rsplit_once(' ')?.1.parse().ok());
    rate.unwrap_or_else(|| panic!("redis-benchmark says {text:?}"))
}

/// Counts the messages on the channel, at little cost: only their lengths are read.
async fn subscribe(redis: &RedisServer, heard: Arc<AtomicUsize>) {
    let mut connection = TcpStream::connect(redis.address()).await.expect("Redis listens");
    let command = format!("SUBSCRIBE {CHANNEL}\r\n");
    connection.write_all(command.as_bytes()).await.expect("Redis reads");
    let answer = format!("*3\r\n$9\r\nsubscribe\r\n${}\r\n{CHANNEL}\r\n:1\r\n", CHANNEL.len());
    let mut answered = vec![0; answer.len()];
    connection.read_exact(&mut answered).await.expect("Redis answers");
    assert_eq!(answered, answer.as_bytes());
    let header = format!("*3\r\n$7\r\nmessage\r\n${}\r\n{CHANNEL}\r\n$", CHANNEL.len()).len();
    tokio::spawn(async move {
        let mut buffer = Vec::new();
        while connection.read_buf(&mut buffer).await.is_ok_and(|read| read > 0) {
            let mut at = 0;
            while let Some(end) = message_end(&buffer[at..], header) {
                at += end;
                heard.fetch_add(1, Ordering::Relaxed);
            }
            buffer.drain(..at);
            buffer.reserve(64 * 1024);
        }
    });
}

/// The end of the first message once it is complete. This many bytes come before the length of its payload.
fn message_end(bytes: &[u8], header: usize) -> Option<usize> {
    let rest = bytes.get(header..)?;
    let digits = rest.iter().position(|&byte| byte == b'\r')?;
    let length: usize = std::str::from_utf8(&rest[..digits]).ok()?.parse().ok()?;
    let end = header + digits + 2 + length + 2;
    (bytes.len() >= end).then_some(end)
}

#[allow(clippy::cast_precision_loss, reason = "some hundred thousands")]
fn per_second(count: usize, time: Duration) -> f64 {
    count as f64 / time.as_secs_f64()
}
