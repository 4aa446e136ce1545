//! Files of gateways: how long `trunkd export` takes for a whole fleet, and `trunkd sync`, `trunkd import` and a
//! restore for ten thousand gateways, with the memory that they need.
//!
//! Every figure is a command as an operator types it, from its start to its end, over a `redis-server` on this
//! machine. `make bench` runs it. `QUICK=1` exports 10,000 gateways; `GATEWAYS=1000` and `SYNCED=100` choose for
//! themselves.

#[path = "../tests/support/mod.rs"]
mod support;

mod common;

use std::env;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::resource::{UsageWho, getrusage};

use common::{Times, account, is_quick, machine, mib, ms, number};
use support::redis::RedisServer;

const EXPORT_AIM: Duration = Duration::from_secs(2);
const SYNC_AIM: Duration = Duration::from_secs(3);
/// Redis may be slow once; nobody judges by one run.
const ROUNDS: usize = 5;

fn main() {
    let of = |name, default| env::var(name).map_or(default, |given| number(&given)).max(1);
    let gateways = of("GATEWAYS", if is_quick() { 10_000 } else { 100_000 });
    let synced = of("SYNCED", 10_000);
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let redis = runtime.block_on(RedisServer::start());
    let folder = tempfile::tempdir().expect("a folder");
    let settings = format!("[redis]\nurl = {:?}\n", redis.url());
    std::fs::write(folder.path().join("trunkd.toml"), settings).expect("settings can be written");
    let run = |arguments: &[&str]| trunkd(folder.path(), arguments);
    println!("{}\n", machine());
    println!("| what                                     |   p50 ms | aim ms |        | peak MiB |");
    println!("| :--------------------------------------- | -------: | -----: | :----- | -------: |");

    // The peak is that of the largest command so far, so the small ones come first.
    runtime.block_on(fill(&redis, synced, 1));
    run(&["export", "--secrets", "plain", "-o", "synced.yaml"]);
    run(&["export", "--secrets", "plain", "--format", "json", "-o", "synced.jsonl"]);
    for file in ["synced.yaml", "synced.jsonl"] {
        let flush = || runtime.block_on(flush(&redis));
        let sync = || run(&["sync", "-f", file, "--yes"]);
        row(&format!("sync of {synced} new, {file}"), SYNC_AIM, flush, sync);
        row(
            &format!("sync of {synced} that are there, {file}"),
            SYNC_AIM,
            || {},
            sync,
        );
        let restore = || run(&["restore", file, "--yes"]);
        row(&format!("restore of {synced}, {file}"), SYNC_AIM, flush, restore);
    }
    std::fs::write(folder.path().join("foreign.xml"), foreign_xml(synced)).expect("a file can be written");
    std::fs::write(folder.path().join("foreign.csv"), foreign_csv(synced)).expect("a file can be written");
    for (source, file) in [("fs-xml", "foreign.xml"), ("csv", "foreign.csv")] {
        let flush = || runtime.block_on(flush(&redis));
        let import = || run(&["import", source, file, "--domain", "foreign", "--yes"]);
        row(&format!("import of {synced} new, {source}"), SYNC_AIM, flush, import);
    }
    runtime.block_on(flush(&redis));
    runtime.block_on(fill(&redis, gateways, 100));
    for (format, file) in [("yaml", "all.yaml"), ("json", "all.jsonl")] {
        let export = || run(&["export", "--secrets", "plain", "--format", format, "-o", file]);
        row(&format!("export of {gateways}, {format}"), EXPORT_AIM, || {}, export);
    }
}

fn row(what: &str, aim: Duration, prepare: impl Fn(), command: impl Fn() -> Duration) {
    let times = (0..ROUNDS).map(|_| {
        prepare();
        command()
    });
    let p50 = Times::new(times).at(50);
    let verdict = if p50 <= aim { "met" } else { "missed" };
    let peak = getrusage(UsageWho::RUSAGE_CHILDREN)
        .expect("the kernel knows")
        .max_rss();
    let peak = mib(u64::try_from(peak).unwrap_or_default() * 1024);
    println!(
        "| {what:40} | {:8.1} | {:6.0} | {verdict:6} | {peak:8.1} |",
        ms(p50),
        ms(aim)
    );
}

/// What the gateways of other systems have.
const PARAMS: [(&str, &str); 6] = [
    ("realm", "sip.example.net"),
    ("proxy", "sbc.example.net:5070"),
    ("username", "account"),
    ("password", "secret"),
    ("expire-seconds", "600"),
    ("retry-seconds", "30"),
];

/// A file of FreeSWITCH.
fn foreign_xml(count: usize) -> String {
    let params: String = PARAMS
        .iter()
        .map(|(name, value)| format!("    <param name=\"{name}\" value=\"{value}\"/>\n"))
        .collect();
    let gateways = (0..count).map(|number| format!("  <gateway name=\"gw{number}\">\n{params}  </gateway>\n"));
    format!("<include>\n{}</include>\n", gateways.collect::<String>())
}

/// A spreadsheet.
fn foreign_csv(count: usize) -> String {
    let line = |name: &str, cells: [&str; 6]| format!("{name},{}\n", cells.join(","));
    let gateways = (0..count).map(|number| line(&format!("gw{number}"), PARAMS.map(|(_, value)| value)));
    line("name", PARAMS.map(|(name, _)| name)) + &gateways.collect::<String>()
}

/// How long the command took.
fn trunkd(folder: &Path, arguments: &[&str]) -> Duration {
    let began = Instant::now();
    let status = Command::new(env!("CARGO_BIN_EXE_trunkd"))
        .current_dir(folder)
        .arg("--templates")
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("templates"))
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .status()
        .expect("trunkd runs");
    assert!(status.success(), "{arguments:?}: {status}");
    began.elapsed()
}

async fn fill(redis: &RedisServer, gateways: usize, domains: usize) {
    const PER_PIPELINE: usize = 1000;
    let mut connection = redis.connection().await;
    let all: Vec<_> = (0..gateways).collect();
    for some in all.chunks(PER_PIPELINE) {
        let mut pipe = redis::pipe();
        for gateway in some {
            let key = format!("cti_gateway@domain{:03}", gateway % domains);
            pipe.hset(key, format!("gw{gateway}"), account(*gateway)).ignore();
        }
        pipe.exec_async(&mut connection).await.expect("Redis answers");
    }
}

async fn flush(redis: &RedisServer) {
    let mut connection = redis.connection().await;
    let flushed: redis::RedisResult<()> = redis::cmd("FLUSHALL").query_async(&mut connection).await;
    flushed.expect("Redis answers");
}
