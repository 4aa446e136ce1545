//! Answers: trunkd beside nginx with a static file of the same bytes, and beside reading the hash with a C client; all in one run.
//!
//! trunkd is `trunkd serve` as a process, Redis a `redis-server`, nginx has two workers, trunkd its default of one; each on loopback, every request on a connection of its own, as
//! FreeSWITCH does it. `make bench` runs it; `docs/benchmarks.md` says how to read what it prints.
//!
//! One client takes answers in pieces of 16 KiB, as libcurl does for mod_xml_curl: how long it waits depends on that, so `PIECE=65536` tries another.
//! `QUICK=1` leaves out 10,000 gateways and measures less; `GATEWAYS="10 1000"` chooses the sizes.

#[path = "../tests/support/mod.rs"]
mod support;

mod common;

use std::env;
use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use common::{Program, Times, account, is_quick, machine, mib, ms, number, redis_benchmark, request};
use support::app::Other;
use support::redis::RedisServer;

/// Where memory, start and edits have their aims.
const FEW: usize = 10;
const MANY: usize = 10_000;
/// Connections at once, where a rate is measured.
const CONNECTIONS: usize = 16;
const NOT_SERVED: &str = "key_value=acl.conf";

#[tokio::main]
async fn main() {
    let sizes = match env::var("GATEWAYS") {
        Ok(given) => given.split([' ', ',']).map(number).collect(),
        Err(_) if is_quick() => vec![10, 1000],
        Err(_) => vec![10, 1000, 10_000],
    };
    println!("{}\n", machine());
    println!(
        "| gateways | what                                           |   trunkd |   beside |  ratio |    aim |        |"
    );
    println!(
        "| -------: | :--------------------------------------------- | -------: | -------: | -----: | -----: | :----- |"
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
    let toml = format!("[redis]\nurl = \"{}\"\n", redis.url());
    let began = Instant::now();
    let trunkd = Program::start(&toml);
    let ask = |more: &str| request(more);
    // What it answers before it has read Redis is a 503.
    let whole = loop {
        if let Some(whole) = answer_if_any(trunkd.address, &ask("profile=external")) {
            break whole;
        }
    };
    let started = began.elapsed();
    let idle = trunkd.resident();
    let one = answer(trunkd.address, &ask("profile=external&gateway=gw00001"));
    let other_configuration = not_served();
    let not_found = answer(trunkd.address, &other_configuration);
    let nginx = Nginx::start(&[("whole", &whole), ("one", &one), ("not_found", &not_found)]);
    let row = Row { gateways };

    let rounds = match gateways {
        0..=100 => 4000,
        101..=1000 => 1500,
        _ => 200,
    };
    let rounds = if is_quick() { rounds / 4 } else { rounds };
    let pair =
        |request: &[u8], file: &str| side_by_side(rounds, (trunkd.address, request), (nginx.address, &get(file)));

    let (ours, theirs) = pair(&ask("profile=external"), "whole");
    let at = |percent| (ms(ours.at(percent)), ms(theirs.at(percent)));
    row.at_most("full answer, 1 connection, p50 in ms, nginx", at(50), 2.0);
    row.at_most("the same, p99 in ms, nginx", at(99), 3.0);

    trunkd.forget_peak();
    let (ours, theirs) = rates(&trunkd, &ask("profile=external"), &nginx, "whole");
    let aim = pick(gateways, [0.85, 0.85, 1.4]);
    row.at_least("full answer, 16 connections, answers/s, nginx", ours, theirs, aim);
    let loaded = trunkd.peak();

    let (ours, theirs) = pair(&ask("profile=external&gateway=gw00001"), "one");
    let medians = (ms(ours.at(50)), ms(theirs.at(50)));
    row.at_most("one gateway, 1 connection, p50 in ms, nginx", medians, 2.0);

    let (ours, theirs) = rates(&trunkd, &other_configuration, &nginx, "not_found");
    row.at_least("not found, 16 connections, answers/s, nginx", ours, theirs, 1.0);

    if gateways < MANY {
        if gateways == FEW {
            row.memory("resident memory, in MiB", mib(idle), 12.0);
        }
        return;
    }
    let mut edits = Vec::new();
    for edit in 0..50 {
        other
            .set_gateway("default", "gw00001", &account(gateways + 1 + edit))
            .await;
        let asked = Instant::now();
        take(trunkd.address, &ask("profile=external"));
        edits.push(asked.elapsed());
    }
    let ours = Times::new(edits.into_iter()).at(50);
    let edited = trunkd.resident();
    let theirs = hgetall(&redis);
    row.at_most(
        "first answer after an edit, p50 in ms, HGETALL",
        (ms(ours), theirs),
        1.5,
    );
    row.memory("resident memory, in MiB", mib(idle), 30.0);
    row.memory("the same, the most under 16 connections", mib(loaded), 40.0);
    row.plain("the same, after 50 edits", mib(edited));
    row.memory("start to first right answer, in ms", ms(started), 100.0);
}

/// What an aim is at 10, 1,000 and 10,000 gateways.
fn pick(gateways: usize, aims: [f64; 3]) -> f64 {
    match gateways {
        0..=100 => aims[0],
        101..=1000 => aims[1],
        _ => aims[2],
    }
}

struct Row {
    gateways: usize,
}

impl Row {
    fn at_most(&self, what: &str, (ours, theirs): (f64, f64), aim: f64) {
        self.print(what, ours, theirs, &format!("≤ {aim:.2}"), ours / theirs <= aim);
    }

    fn at_least(&self, what: &str, ours: f64, theirs: f64, aim: f64) {
        self.print(what, ours, theirs, &format!("≥ {aim:.2}"), ours / theirs >= aim);
    }

    fn print(&self, what: &str, ours: f64, theirs: f64, aim: &str, is_met: bool) {
        let digits = if ours >= 100.0 { 0 } else { 3 };
        println!(
            "| {:8} | {what:46} | {ours:8.digits$} | {theirs:8.digits$} | {:6.2} | {aim:>6} | {:6} |",
            self.gateways,
            ours / theirs,
            verdict(is_met)
        );
    }

    /// No aim was set for it.
    fn plain(&self, what: &str, ours: f64) {
        println!(
            "| {:8} | {what:46} | {ours:8.1} |          |        |        |        |",
            self.gateways
        );
    }

    fn memory(&self, what: &str, ours: f64, aim: f64) {
        println!(
            "| {:8} | {what:46} | {ours:8.1} |          |        | {:>6} | {:6} |",
            self.gateways,
            format!("≤ {aim:.0}"),
            verdict(ours <= aim)
        );
    }
}

fn verdict(is_met: bool) -> &'static str {
    if is_met { "met" } else { "missed" }
}

/// The times of each, asked in turns, so that whatever else the machine does hits both.
fn side_by_side(rounds: usize, ours: (SocketAddr, &[u8]), theirs: (SocketAddr, &[u8])) -> (Times, Times) {
    let mut times = [Vec::with_capacity(rounds), Vec::with_capacity(rounds)];
    for round in 0..rounds + rounds / 10 {
        for (times, (address, request)) in times.iter_mut().zip([ours, theirs]) {
            let asked = Instant::now();
            take(address, request);
            // The first ones warm it up.
            if round >= rounds / 10 {
                times.push(asked.elapsed());
            }
        }
    }
    let [ours, theirs] = times.map(|times| Times::new(times.into_iter()));
    (ours, theirs)
}

/// How long the pieces are in which an answer is taken: for mod_xml_curl libcurl takes 16 KiB at a time.
static PIECE: LazyLock<usize> = LazyLock::new(|| env::var("PIECE").map_or(16 * 1024, |given| number(&given)));

/// Takes an answer and throws it away.
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

fn get(file: &str) -> Vec<u8> {
    format!("GET /{file} HTTP/1.1\r\nHost: nginx\r\nConnection: close\r\n\r\n").into_bytes()
}

/// What mod_xml_curl asks for each configuration that is not ours.
fn not_served() -> Vec<u8> {
    let served = String::from_utf8(request("")).expect("a request is text");
    served
        .replace("key_value=sofia.conf&", &format!("{NOT_SERVED}&&&"))
        .into_bytes()
}

/// Answers a second at 16 connections, each a new one, by wrk: a quarter each in turns, so that whatever else the machine does hits both.
fn rates(trunkd: &Program, ours: &[u8], nginx: &Nginx, file: &str) -> (f64, f64) {
    const TURNS: usize = 4;
    let text = String::from_utf8_lossy(ours);
    let form = text.rsplit("\r\n\r\n").next().unwrap_or_default().to_owned();
    let post = format!(
        "wrk.method = \"POST\"\nwrk.body = \"{form}\"\nwrk.headers[\"Content-Type\"] = \"application/x-www-form-urlencoded\"\nwrk.headers[\"Connection\"] = \"close\"\n"
    );
    let close = "wrk.headers[\"Connection\"] = \"close\"\n";
    let (mut of_trunkd, mut of_nginx) = (0.0, 0.0);
    for _ in 0..TURNS {
        of_trunkd += wrk(&format!("http://{}/xml_curl", trunkd.address), &post);
        of_nginx += wrk(&format!("http://{}/{file}", nginx.address), close);
    }
    (of_trunkd / TURNS as f64, of_nginx / TURNS as f64)
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
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(!said.contains("Non-2xx"), "{said}");
    let rate = said.lines().find_map(|line| line.trim().strip_prefix("Requests/sec:"));
    rate.and_then(|rate| rate.trim().parse().ok())
        .unwrap_or_else(|| panic!("wrk says no rate: {said}{}", String::from_utf8_lossy(&output.stderr)))
}

/// What HGETALL takes in milliseconds, one after the other on one connection. redis-benchmark's latencies end when the first bytes of a reply are there;
/// its rate counts replies that hiredis has read to their end.
fn hgetall(redis: &RedisServer) -> f64 {
    let rounds = if is_quick() { "50" } else { "200" };
    let said = redis_benchmark(redis.port(), &["-n", rounds, "--csv", "HGETALL", "cti_gateway@default"]);
    // "test","rps",…
    let rate = said.lines().last().and_then(|line| line.split(',').nth(1));
    let rate: Option<f64> = rate.and_then(|rate| rate.trim_matches('"').parse().ok());
    1000.0 / rate.unwrap_or_else(|| panic!("redis-benchmark says no rate: {said}"))
}

/// nginx with static files, gone with its value.
struct Nginx {
    child: Child,
    address: SocketAddr,
    _folder: TempDir,
}

impl Nginx {
    fn start(files: &[(&str, &[u8])]) -> Self {
        // Its workers are another user, who has to get to the files.
        let folder = tempfile::Builder::new()
            .permissions(std::os::unix::fs::PermissionsExt::from_mode(0o755))
            .tempdir()
            .expect("a folder");
        for (name, bytes) in files {
            fs::write(folder.path().join(name), bytes).expect("a file");
        }
        let port = TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr());
        let address = port.expect("a free port");
        let settings = settings(folder.path(), address);
        let path = folder.path().join("nginx.conf");
        fs::write(&path, settings).expect("settings");
        let child = Command::new("nginx")
            .arg("-c")
            .arg(&path)
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("nginx is installed: `make bench` installs it");
        let deadline = Instant::now() + Duration::from_secs(10);
        while TcpStream::connect(address).is_err() {
            assert!(Instant::now() < deadline, "nginx does not listen");
            std::thread::sleep(Duration::from_millis(10));
        }
        Self {
            child,
            address,
            _folder: folder,
        }
    }
}

fn settings(folder: &Path, address: SocketAddr) -> String {
    let folder = folder.display();
    format!(
        "daemon off;\nworker_processes 2;\npid {folder}/nginx.pid;\nerror_log {folder}/error.log;\n\
         events {{ worker_connections 1024; }}\n\
         http {{\n  access_log off;\n  sendfile on;\n  tcp_nopush on;\n  default_type \"text/xml; charset=utf-8\";\n  open_file_cache max=16;\n\
         \x20 client_body_temp_path {folder}/body;\n  proxy_temp_path {folder}/proxy;\n  fastcgi_temp_path {folder}/fastcgi;\n\
         \x20 uwsgi_temp_path {folder}/uwsgi;\n  scgi_temp_path {folder}/scgi;\n\
         \x20 server {{ listen {address} backlog=4096; root {folder}; }}\n}}\n"
    )
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // The master ends its workers when it is told to; killed, it would leave them.
        let pid = nix::unistd::Pid::from_raw(i32::try_from(self.child.id()).unwrap_or_default());
        let _ = nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM);
        let _ = self.child.wait();
    }
}
