//! Answers of `/xml_curl`: trunkd beside a bare actix-web server that has the very same bytes in
//! memory, and beside HGETALL by a C client; all in one run.
//!
//! trunkd is `trunkd serve` as a process, Redis a `redis-server`, and both HTTP servers have one
//! worker. Every request has a connection of its own, on loopback, as FreeSWITCH makes it. `make
//! bench` runs this; `docs/benchmarks.md` says how to read what it prints.
//!
//! One client reads answers in pieces of 16 KiB, as libcurl does for mod_xml_curl; how long it
//! waits depends on that, and `PIECE=65536` tries another size. `QUICK=1` leaves out 10,000
//! gateways and measures less; `GATEWAYS="10 1000"` chooses the sizes.

#[path = "../tests/support/mod.rs"]
mod support;

mod common;

use std::env;
use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::Command;
use std::sync::LazyLock;
use std::time::Instant;

use common::bare_server::{self, BareServer};
use common::{Program, Times, account, is_quick, machine, mib, ms, number, redis_benchmark, request};
use support::app::Other;
use support::redis::RedisServer;

/// Memory, start and edits have their aims at these numbers of gateways.
const FEW: usize = 10;
const MANY: usize = 10_000;
/// Concurrent connections, where a rate is measured.
const CONNECTIONS: usize = 16;

fn main() {
    bare_server::serve_if_asked();
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(measure_all());
}

async fn measure_all() {
    let sizes = match env::var("GATEWAYS") {
        Ok(given) => given.split([' ', ',']).map(number).collect(),
        Err(_) if is_quick() => vec![10, 1000],
        Err(_) => vec![10, 1000, 10_000],
    };
    println!("{}\n", machine());
    println!(
        "| gateways | what, beside what                                 |   trunkd |   beside |  ratio |    aim |        |"
    );
    println!(
        "| -------: | :------------------------------------------------ | -------: | -------: | -----: | -----: | :----- |"
    );
    for gateways in sizes {
        measure(gateways).await;
    }
}

async fn measure(gateways: usize) {
    let redis = RedisServer::start().await;
    let other = Other::new(&redis).await;
    for number in 0..gateways {
        other
            .set_gateway("default", &format!("gw{number:05}"), &account(number))
            .await;
    }
    let began = Instant::now();
    let trunkd = Program::start(&format!("[redis]\nurl = \"{}\"\n", redis.url()));
    // Until it has read Redis it answers 503.
    let whole = loop {
        if let Some(whole) = answer_if_any(trunkd.address, &request("profile=external")) {
            break whole;
        }
    };
    let started = began.elapsed();
    let idle = trunkd.resident();
    let row = Row { gateways };
    let loaded = beside_actix_web(&row, &trunkd, &whole);
    if gateways == FEW {
        row.at_most_alone("resident memory, in MiB", mib(idle), 12.0);
    }
    if gateways >= MANY {
        after_edits(&row, &trunkd, &redis, &other).await;
        row.at_most_alone("resident memory, in MiB", mib(idle), 30.0);
        row.at_most_alone("the same, peak under 16 connections", mib(loaded), 40.0);
        row.alone("the same, after 50 edits", mib(trunkd.resident()));
        row.at_most_alone("start to the first right answer, in ms", ms(started), 100.0);
    }
}

/// Compares the answers, and returns the peak of trunkd's memory under load.
fn beside_actix_web(row: &Row, trunkd: &Program, whole: &[u8]) -> u64 {
    let ask_all = request("profile=external");
    let ask_one = request("profile=external&gateway=gw00001");
    let ask_other = request_for_other_configuration();
    let one = answer(trunkd.address, &ask_one);
    let not_found = answer(trunkd.address, &ask_other);
    let actix = BareServer::start(&[("whole", whole), ("one", &one), ("not_found", &not_found)]);
    let rounds = match row.gateways {
        0..=100 => 4000,
        101..=1000 => 1500,
        _ => 200,
    };
    let rounds = if is_quick() { rounds / 4 } else { rounds };
    let pair = |request: &[u8], path: &str| {
        let to_actix = String::from_utf8_lossy(request).replacen("/xml_curl", path, 1);
        side_by_side(rounds, (trunkd.address, request), (actix.address, to_actix.as_bytes()))
    };
    let rates = |request: &[u8], path: &str| rates(request, trunkd.address, (actix.address, path));

    let (ours, theirs) = pair(&ask_all, "/whole");
    let at = |percent| (ms(ours.at(percent)), ms(theirs.at(percent)));
    let aim = row.pick([2.0, 1.5, 1.5]);
    row.at_most("full answer, 1 connection, p50 in ms, actix-web", at(50), aim);
    row.at_most("the same, p99 in ms, actix-web", at(99), 2.0);
    if row.gateways == FEW {
        let p99_and_p50 = (ms(ours.at(99)), ms(ours.at(50)));
        row.at_most("the same, p99 in ms, its own p50", p99_and_p50, 3.0);
    }

    trunkd.forget_peak();
    let (ours, theirs) = rates(&ask_all, "/whole");
    row.at_least("full answer, 16 connections, answers/s, actix-web", ours, theirs, 0.75);
    let loaded = trunkd.peak();

    let (ours, theirs) = pair(&ask_one, "/one");
    let medians = (ms(ours.at(50)), ms(theirs.at(50)));
    row.at_most("one gateway, 1 connection, p50 in ms, actix-web", medians, 2.0);

    let (ours, theirs) = rates(&ask_other, "/not_found");
    row.at_least("not found, 16 connections, answers/s, actix-web", ours, theirs, 0.85);
    loaded
}

/// Changes one gateway again and again, and asks for the whole document each time.
async fn after_edits(row: &Row, trunkd: &Program, redis: &RedisServer, other: &Other) {
    const EDITS: usize = 50;
    let mut times = Vec::with_capacity(EDITS);
    for edit in 1..=EDITS {
        let value = account(row.gateways + edit);
        other.set_gateway("default", "gw00001", &value).await;
        let asked = Instant::now();
        take(trunkd.address, &request("profile=external"));
        times.push(asked.elapsed());
    }
    let ours = ms(Times::new(times.into_iter()).at(50));
    row.at_most(
        "first answer after an edit, p50 in ms, HGETALL",
        (ours, hgetall(redis)),
        1.5,
    );
}

/// Prints the rows of one number of gateways.
struct Row {
    gateways: usize,
}

impl Row {
    /// The aim at 10, 1,000 and 10,000 gateways.
    fn pick(&self, aims: [f64; 3]) -> f64 {
        match self.gateways {
            0..=100 => aims[0],
            101..=1000 => aims[1],
            _ => aims[2],
        }
    }

    fn at_most(&self, what: &str, (ours, theirs): (f64, f64), aim: f64) {
        self.print(what, ours, theirs, &format!("≤ {aim:.2}"), ours / theirs <= aim);
    }

    fn at_least(&self, what: &str, ours: f64, theirs: f64, aim: f64) {
        self.print(what, ours, theirs, &format!("≥ {aim:.2}"), ours / theirs >= aim);
    }

    fn print(&self, what: &str, ours: f64, theirs: f64, aim: &str, is_met: bool) {
        let digits = if ours >= 100.0 { 0 } else { 3 };
        println!(
            "| {:8} | {what:49} | {ours:8.digits$} | {theirs:8.digits$} | {:6.2} | {aim:>6} | {:6} |",
            self.gateways,
            ours / theirs,
            verdict(is_met)
        );
    }

    /// A figure with nothing beside it.
    fn at_most_alone(&self, what: &str, ours: f64, aim: f64) {
        self.print_alone(what, ours, &format!("≤ {aim:.0}"), verdict(ours <= aim));
    }

    /// A figure without an aim.
    fn alone(&self, what: &str, ours: f64) {
        self.print_alone(what, ours, "", "");
    }

    fn print_alone(&self, what: &str, ours: f64, aim: &str, verdict: &str) {
        println!(
            "| {:8} | {what:49} | {ours:8.1} |          |        | {aim:>6} | {verdict:6} |",
            self.gateways
        );
    }
}

fn verdict(is_met: bool) -> &'static str {
    if is_met { "met" } else { "missed" }
}

/// The times of both, asked in turns, so that other load on the machine hits both.
fn side_by_side(rounds: usize, ours: (SocketAddr, &[u8]), theirs: (SocketAddr, &[u8])) -> (Times, Times) {
    let mut times = [Vec::with_capacity(rounds), Vec::with_capacity(rounds)];
    for round in 0..rounds + rounds / 10 {
        for (times, (address, request)) in times.iter_mut().zip([ours, theirs]) {
            let asked = Instant::now();
            take(address, request);
            // The first rounds warm up.
            if round >= rounds / 10 {
                times.push(asked.elapsed());
            }
        }
    }
    let [ours, theirs] = times.map(|times| Times::new(times.into_iter()));
    (ours, theirs)
}

/// Bytes that the client reads at a time; libcurl reads 16 KiB for mod_xml_curl.
static PIECE: LazyLock<usize> = LazyLock::new(|| env::var("PIECE").map_or(16 * 1024, |given| number(&given)));

/// Reads an answer and discards it.
fn take(address: SocketAddr, request: &[u8]) {
    let mut connection = ask(address, request);
    let mut piece = vec![0; *PIECE];
    while connection.read(&mut piece).expect("it answers") > 0 {}
}

fn answer(address: SocketAddr, request: &[u8]) -> Vec<u8> {
    answer_if_any(address, request).expect("an answer with status 200")
}

/// The body of an answer with status 200.
fn answer_if_any(address: SocketAddr, request: &[u8]) -> Option<Vec<u8>> {
    let mut connection = ask(address, request);
    let mut answer = Vec::new();
    connection.read_to_end(&mut answer).expect("it answers");
    let head = answer
        .windows(4)
        .position(|bytes| bytes == b"\r\n\r\n")
        .expect("a head and a body");
    let is_good = answer.starts_with(b"HTTP/1.1 200 ");
    is_good.then(|| answer.split_off(head + 4))
}

fn ask(address: SocketAddr, request: &[u8]) -> TcpStream {
    let mut connection = TcpStream::connect(address).expect("it lets us in");
    connection.set_nodelay(true).expect("a socket");
    connection.write_all(request).expect("it reads");
    connection
}

/// What mod_xml_curl asks for each configuration that is not ours; as long as the request for ours.
fn request_for_other_configuration() -> Vec<u8> {
    let ours = String::from_utf8(request("")).expect("a request is text");
    ours.replace("key_value=sofia.conf&", "key_value=acl.conf&&&")
        .into_bytes()
}

/// Answers a second at 16 connections, each request on a new one, by wrk. Both are asked in turns,
/// so that other load on the machine hits both.
fn rates(request: &[u8], trunkd: SocketAddr, (actix, path): (SocketAddr, &str)) -> (f64, f64) {
    const TURNS: usize = 4;
    let request = String::from_utf8_lossy(request);
    let form = request.rsplit("\r\n\r\n").next().unwrap_or_default();
    let script = format!(
        "wrk.method = \"POST\"\nwrk.body = \"{form}\"\n\
         wrk.headers[\"Content-Type\"] = \"application/x-www-form-urlencoded\"\n\
         wrk.headers[\"Connection\"] = \"close\"\n"
    );
    let (mut ours, mut theirs) = (0.0, 0.0);
    for _ in 0..TURNS {
        ours += wrk(&format!("http://{trunkd}/xml_curl"), &script);
        theirs += wrk(&format!("http://{actix}{path}"), &script);
    }
    (ours / TURNS as f64, theirs / TURNS as f64)
}

fn wrk(url: &str, script: &str) -> f64 {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("script.lua");
    fs::write(&path, script).expect("the script is written");
    let seconds = if is_quick() { "1" } else { "3" };
    let output = Command::new("wrk")
        .args(["-t", "1", "-c", &CONNECTIONS.to_string(), "-d", seconds, "-s"])
        .args([path.as_os_str(), url.as_ref()])
        .output()
        .expect("wrk is installed: `make bench` installs it");
    let printed = String::from_utf8_lossy(&output.stdout);
    assert!(!printed.contains("Non-2xx"), "{printed}");
    let rate = printed
        .lines()
        .find_map(|line| line.trim().strip_prefix("Requests/sec:"));
    rate.and_then(|rate| rate.trim().parse().ok()).unwrap_or_else(|| {
        panic!(
            "wrk printed no rate: {printed}{}",
            String::from_utf8_lossy(&output.stderr)
        )
    })
}

/// Milliseconds per HGETALL, one after the other on one connection. The latencies of
/// redis-benchmark end at the first bytes of a reply, but its rate counts replies that hiredis has
/// read to the end.
fn hgetall(redis: &RedisServer) -> f64 {
    let rounds = if is_quick() { "50" } else { "200" };
    let printed = redis_benchmark(redis.port(), &["-n", rounds, "--csv", "HGETALL", "cti_gateway@default"]);
    // "test","rps",…
    let rate = printed.lines().last().and_then(|line| line.split(',').nth(1));
    let rate: Option<f64> = rate.and_then(|rate| rate.trim_matches('"').parse().ok());
    1000.0 / rate.unwrap_or_else(|| panic!("redis-benchmark printed no rate: {printed}"))
}
