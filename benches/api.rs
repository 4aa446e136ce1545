//! The operators' API at many gateways: how long a page, one gateway and a write take, and how soon a
//! change of state reaches a hundred open pages; and what all of that costs FreeSWITCH.
//!
//! trunkd is `trunkd serve` as a process, Redis a `redis-server`. The switch is the tests' FakeSwitch, in
//! this process: its gateways come from trunkd and are registered. All of it shares this machine. `make
//! bench` runs it; `docs/benchmarks.md` says how to read what it prints.
//!
//! `QUICK=1` takes 10,000 gateways and measures less; `GATEWAYS=1000`, `DOMAINS=1`, `CLIENTS=10` and
//! `RATE=100` choose for themselves.

#[path = "../tests/support/mod.rs"]
mod support;

mod common;

use std::env;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use secrecy::ExposeSecret;
use serde_json::{Value, json};
use trunkd::access::{Access, Identity, NewToken, Role};
use trunkd::operate::sources;

use common::http::{HttpClient, ask_once};
use common::streams::{AllHeard, Sent, Streams};
use common::{Program, Times, account, is_quick, machine, mib, ms, number, request};
use support::app::{settings, switch_toml};
use support::fake_switch::{Binding, FakeSwitch};
use support::redis::RedisServer;

/// The limit that fs-conf sets for mod_xml_curl.
const RESPONSE_MAX_BYTES: usize = 256 * 1024 * 1024;
/// A switch with this many gateways starts within this time, or never.
const START_DEADLINE: Duration = Duration::from_secs(180);
/// The snapshots that a start asks for.
const SETTLED: Duration = Duration::from_secs(8);
/// The switch's gateways change in steps of this length, evenly.
const STEP: Duration = Duration::from_millis(10);
/// How often a person does something while states change: looks at a page, opens two gateways, saves one.
const CLICK: Duration = Duration::from_millis(200);
/// Between two requests of FreeSWITCH.
const ASK_EVERY: Duration = Duration::from_millis(5);

#[derive(Clone, Copy)]
struct Size {
    gateways: usize,
    domains: usize,
    clients: usize,
    /// Changes of state a second.
    rate: usize,
    /// Requests of each kind.
    rounds: usize,
    /// How long each load lasts.
    load: Duration,
}

impl Size {
    fn chosen() -> Self {
        let of = |name, default| env::var(name).map_or(default, |given| number(&given)).max(1);
        let pick = |whole, quick| if is_quick() { quick } else { whole };
        Self {
            gateways: of("GATEWAYS", pick(100_000, 10_000)),
            domains: of("DOMAINS", 100),
            clients: of("CLIENTS", 100),
            rate: of("RATE", 1000),
            rounds: of("ROUNDS", pick(500, 100)),
            load: Duration::from_secs(of("LOAD_SECONDS", pick(20, 5)) as u64),
        }
    }
}

fn main() {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let size = Size::chosen();
    println!("{}\n", machine());
    println!(
        "{} gateways in {} domains, all on one switch and registered; {} changes of state a second to {} streams\n",
        size.gateways, size.domains, size.rate, size.clients
    );
    let scene = Arc::new(runtime.block_on(Scene::set(size)));
    println!(
        "| what                                               |   p50 ms |   p99 ms | aim                  |        |"
    );
    println!(
        "| :------------------------------------------------- | -------: | -------: | :------------------- | :----- |"
    );
    pages(&scene);
    html_page(&scene);
    one_gateway(&scene);
    writes(&scene);
    memory(&runtime, size);
    under_load(&scene);
}

/// Redis, a switch with its gateways, a trunkd that knows them, and a token.
struct Scene {
    size: Size,
    redis: RedisServer,
    switch: FakeSwitch,
    trunkd: Program,
    token: String,
}

impl Scene {
    async fn set(size: Size) -> Self {
        let redis = RedisServer::start().await;
        fill(&redis, size).await;
        let switch = FakeSwitch::builder().tick(Duration::from_secs(1)).start().await;
        let toml = format!(
            "[redis]\nurl = {:?}\n{}[reconcile]\nmode = \"apply\"\n",
            redis.url(),
            switch_toml(&switch, "fs1")
        );
        let trunkd = Program::start(&toml);
        let binding = Binding {
            response_max_bytes: RESPONSE_MAX_BYTES,
            ..Binding::new(format!("http://{}/xml_curl", trunkd.address))
        };
        switch.set_binding(Some(binding));
        let scene = Self {
            token: token(&redis).await,
            size,
            redis,
            switch,
            trunkd,
        };
        scene
            .until("trunkd has read all gateways", |page| page["total"] == size.gateways)
            .await;
        scene.switch.restart().await;
        let state = "all are registered";
        scene
            .until(state, |page| page["counts"]["state"]["up"] == size.gateways)
            .await;
        tokio::time::sleep(SETTLED).await;
        scene
    }

    /// Until this holds for the list of all gateways.
    async fn until(&self, what: &str, holds: impl Fn(&Value) -> bool) {
        let began = Instant::now();
        loop {
            let answer = self.client().0.ask("GET", "/api/v1/gateways?limit=1", "");
            if answer.status == 200 && holds(&answer.json(200)) {
                return;
            }
            assert!(began.elapsed() < START_DEADLINE, "in vain until {what}");
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    }

    fn client(&self) -> Client {
        let headers = format!("Authorization: Bearer {}\r\n", self.token);
        Client(HttpClient::new(self.trunkd.api, &headers))
    }

    fn path(&self, gateway: usize) -> String {
        format!("/domains/{}/gateways/{}", domain(gateway, self.size), name(gateway))
    }
}

struct Client(HttpClient);

impl Client {
    fn get(&mut self, path: &str) -> (Duration, Value) {
        let answer = self.0.ask("GET", &format!("/api/v1{path}"), "");
        (answer.took, answer.json(200))
    }

    fn patch(&mut self, path: &str, body: &Value) -> Duration {
        let answer = self.0.ask("PATCH", &format!("/api/v1{path}"), &body.to_string());
        answer.json(200);
        answer.took
    }
}

fn name(gateway: usize) -> String {
    format!("gw{gateway:05}")
}

fn domain(gateway: usize, size: Size) -> String {
    format!("tenant{:03}", gateway % size.domains)
}

/// With what operators add to a gateway for themselves.
fn value(gateway: usize) -> String {
    let carrier = gateway % 20;
    account(gateway).replacen(
        '{',
        &format!(
            r#"{{"description":"trunk {gateway} of carrier {carrier}","carrier":"carrier{carrier}","tags":["tag{}"],"#,
            gateway % 7
        ),
        1,
    )
}

async fn fill(redis: &RedisServer, size: Size) {
    const PER_PIPELINE: usize = 1000;
    let mut connection = redis.connection().await;
    let all: Vec<_> = (0..size.gateways).collect();
    for some in all.chunks(PER_PIPELINE) {
        let mut pipe = redis::pipe();
        for &gateway in some {
            let key = format!("cti_gateway@{}", domain(gateway, size));
            pipe.hset(key, name(gateway), value(gateway)).ignore();
        }
        pipe.exec_async(&mut connection).await.expect("Redis answers");
    }
}

async fn token(redis: &RedisServer) -> String {
    let store = sources::store(&settings(redis, std::path::Path::new("unused"), "")).expect("a store");
    let new = NewToken {
        name: "bench".to_owned(),
        role: Role::Admin,
        domains: "*".parse().expect("domains"),
        created_by: Identity::Cli("root@bench".to_owned()),
        expires_at: None,
    };
    let (_, secret) = Access::new(store).create_token(new).await.expect("a token");
    secret.expose_secret().to_owned()
}

/// A list that somebody pages through.
struct List {
    what: &'static str,
    query: String,
    /// How many of so many gateways it selects.
    total: usize,
    after: Option<String>,
}

impl List {
    fn all(size: Size) -> Vec<Self> {
        let one = size.gateways / 2;
        let every = |of: usize| size.gateways / of + usize::from(size.gateways % of > 7);
        let list = |what, query: &str, total| Self {
            what,
            query: query.to_owned(),
            total,
            after: None,
        };
        let in_domain = format!("domain={}", domain(3, size));
        vec![
            list("list", "", size.gateways),
            list("filter by domain", &in_domain, (size.gateways - 4) / size.domains + 1),
            list("filter by state and carrier", "state=up&carrier=carrier7", every(20)),
            list("sort by since, longest last", "sort=-since", size.gateways),
            list("sort by carrier", "sort=carrier", size.gateways),
            list("search that finds one", &format!("q=user{one:05}"), 1),
            list("search that finds many", "q=sip7.example", every(50)),
        ]
    }

    /// The next page, or the first again. Panics if it is not exact.
    fn next(&mut self, client: &mut Client, is_quiet: bool) -> Duration {
        const LIMIT: usize = 100;
        let after = self.after.take().map(|after| format!("&after={after}"));
        let (took, page) = client.get(&format!(
            "/gateways?{}&limit={LIMIT}{}",
            self.query,
            after.unwrap_or_default()
        ));
        let items = page["items"].as_array().expect("items").len();
        if is_quiet {
            assert_eq!(page["total"], self.total, "{}", self.query);
            assert!(items == LIMIT || page["next"].is_null(), "{} has {items}", self.query);
        }
        self.after = page["next"].as_str().map(str::to_owned);
        took
    }
}

fn pages(scene: &Scene) {
    let mut client = scene.client();
    for mut list in List::all(scene.size) {
        let times = Times::new((0..scene.size.rounds).map(|_| list.next(&mut client, true)));
        row(&format!("a page: {}", list.what), &times, Some(20.0));
    }
}

/// The page that people open, as it comes before compression.
fn html_page(scene: &Scene) {
    const MAX_KB: f64 = 150.0;
    let mut client = scene.client();
    let (mut times, mut largest) = (Vec::new(), 0);
    for _ in 0..scene.size.rounds {
        let answer = client.0.ask("GET", "/gateways", "");
        assert_eq!(answer.status, 200, "the page of the gateways");
        largest = largest.max(answer.body.len());
        times.push(answer.took);
    }
    row("the gateways page (HTML)", &Times::new(times.into_iter()), Some(60.0));
    #[allow(clippy::cast_precision_loss, reason = "a page is far below 2^52 bytes")]
    let kb = largest as f64 / 1000.0;
    figure("  its size, in kB", kb, &format!("≤ {MAX_KB} kB"), kb <= MAX_KB);
}

fn one_gateway(scene: &Scene) {
    let mut client = scene.client();
    let paths = spread(scene.size).map(|gateway| scene.path(gateway));
    let times = Times::new(paths.map(|path| client.get(&path).0));
    row("one gateway (GET)", &times, Some(2.0));
}

/// In turns with what a program does that writes Redis itself: one HSET and one XADD.
fn writes(scene: &Scene) {
    let mut client = scene.client();
    let redis = redis::Client::open(scene.redis.url()).expect("a URL");
    let mut bare = redis.get_connection().expect("Redis lets us in");
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for (round, gateway) in spread(scene.size).enumerate() {
        let body = json!({"description": format!("edit {round}")});
        ours.push(client.patch(&scene.path(gateway), &body));
        let (field, value) = (name(gateway), value(gateway));
        let asked = Instant::now();
        redis::cmd("HSET")
            .arg("bare")
            .arg(field)
            .arg(&value)
            .exec(&mut bare)
            .expect("HSET");
        let mut entry = redis::cmd("XADD");
        entry
            .arg("bare:history")
            .arg(&["MAXLEN", "~", "100000", "*", "entry"])
            .arg(&value);
        entry.exec(&mut bare).expect("XADD");
        theirs.push(asked.elapsed());
    }
    let [ours, theirs] = [ours, theirs].map(|times| Times::new(times.into_iter()));
    row("a write with history (PATCH)", &ours, Some(4.0));
    row("HSET and XADD, bare", &theirs, None);
    ratio("PATCH ÷ HSET and XADD, p50", ours.at(50), theirs.at(50), 1.5);
}

/// Gateways all over the list, one a round.
fn spread(size: Size) -> impl Iterator<Item = usize> {
    const STRIDE: usize = 7919;
    (0..size.rounds).map(move |round| round * STRIDE % size.gateways)
}

/// At few gateways, where nothing else needs memory: what is free after a snapshot of many would hide it.
fn memory(runtime: &tokio::runtime::Runtime, size: Size) {
    const GATEWAYS: usize = 1000;
    // Until trunkd has as many events as it keeps.
    const FILLED: Duration = Duration::from_secs(12);
    let few = Size {
        gateways: GATEWAYS,
        domains: 1,
        ..size
    };
    let scene = Arc::new(runtime.block_on(Scene::set(few)));
    let (sent, next) = (Arc::new(Sent::new(GATEWAYS)), Arc::default());
    let (_, one) = with_streams(&scene, &sent, &next, 1, || std::thread::sleep(FILLED));
    let (_, all) = with_streams(&scene, &sent, &next, size.clients, || std::thread::sleep(size.load / 2));
    let each = mib(all.saturating_sub(one) / (size.clients as u64 - 1).max(1)) * 1024.0;
    figure("memory per stream at its peak, in KiB", each, "≤ 64 KiB", each <= 64.0);
}

fn under_load(scene: &Arc<Scene>) {
    let quiet = Times::new((0..scene.size.rounds).map(|_| ask_freeswitch(scene)));
    let sent = Arc::new(Sent::new(scene.size.gateways));
    let next = Arc::new(AtomicUsize::new(0));

    let (heard, _) = with_streams(scene, &sent, &next, scene.size.clients, || {
        std::thread::sleep(scene.size.load)
    });
    stream_rows(scene, "a change to every stream", &heard, Some(250.0));

    let mut clicks = Clicks::default();
    let mut asked = Vec::new();
    let (heard, _) = with_streams(scene, &sent, &next, scene.size.clients, || {
        let stop = AtomicBool::new(false);
        std::thread::scope(|threads| {
            threads.spawn(|| clicks.run(scene, &stop));
            let until = Instant::now() + scene.size.load;
            while Instant::now() < until {
                asked.push(ask_freeswitch(scene));
                std::thread::sleep(ASK_EVERY);
            }
            stop.store(true, Ordering::Relaxed);
        });
    });
    println!("\nAll at the same time: changes, streams, and every 200 ms a page, two gateways and a write:\n");
    stream_rows(scene, "a change to every stream", &heard, None);
    for (what, times) in [
        ("a page", clicks.pages),
        ("one gateway (GET)", clicks.gateways),
        ("a write (PATCH)", clicks.writes),
    ] {
        row(what, &Times::new(times.into_iter()), None);
    }
    let loaded = Times::new(asked.into_iter());
    row("/xml_curl before, one gateway", &quiet, None);
    row("/xml_curl meanwhile, one gateway", &loaded, None);
    ratio("/xml_curl meanwhile ÷ before, p50", loaded.at(50), quiet.at(50), 1.5);
}

/// FreeSWITCH asks for one gateway.
fn ask_freeswitch(scene: &Scene) -> Duration {
    ask_once(scene.trunkd.address, &request("profile=external&gateway=gw00001"))
}

/// Does `work` while gateways change and this many streams are open. Returns what these heard, and the
/// peak of trunkd's memory.
fn with_streams(
    scene: &Arc<Scene>,
    sent: &Arc<Sent>,
    next: &Arc<AtomicUsize>,
    count: usize,
    work: impl FnOnce(),
) -> (Heard, u64) {
    let streams = Streams::open(count, scene.trunkd.api, &scene.token, sent);
    scene.trunkd.forget_peak();
    let stop = AtomicBool::new(false);
    let began = next.load(Ordering::Relaxed);
    std::thread::scope(|threads| {
        threads.spawn(|| change_states(scene, sent, next, &stop));
        work();
        stop.store(true, Ordering::Relaxed);
    });
    let heard = streams.close();
    let changes = next.load(Ordering::Relaxed) - began;
    (Heard { all: heard, changes }, scene.trunkd.peak())
}

struct Heard {
    all: AllHeard,
    changes: usize,
}

/// One gateway after the other loses its registration, or gets it back in the next round.
fn change_states(scene: &Scene, sent: &Sent, next: &AtomicUsize, stop: &AtomicBool) {
    let size = scene.size;
    let per_step = (size.rate * usize::try_from(STEP.as_millis()).unwrap_or(1)).div_ceil(1000);
    let began = Instant::now();
    for step in 1.. {
        if stop.load(Ordering::Relaxed) {
            return;
        }
        let first = next.fetch_add(per_step, Ordering::Relaxed);
        let is_up = (first / size.gateways) % 2 == 1;
        let gateways: Vec<_> = (first..first + per_step)
            .map(|gateway| gateway % size.gateways)
            .collect();
        for &gateway in &gateways {
            sent.note(gateway, is_up);
        }
        let names: Vec<_> = gateways.into_iter().map(name).collect();
        scene.switch.answer_registrations(&names, is_up);
        std::thread::sleep((began + STEP * step).saturating_duration_since(Instant::now()));
    }
}

/// A person at work.
#[derive(Default)]
struct Clicks {
    pages: Vec<Duration>,
    gateways: Vec<Duration>,
    writes: Vec<Duration>,
}

impl Clicks {
    fn run(&mut self, scene: &Scene, stop: &AtomicBool) {
        let mut client = scene.client();
        let mut lists = List::all(scene.size);
        let kinds = lists.len();
        for (round, gateway) in (0..).zip(spread(Size {
            rounds: usize::MAX,
            ..scene.size
        })) {
            if stop.load(Ordering::Relaxed) {
                return;
            }
            let began = Instant::now();
            self.pages.push(lists[round % kinds].next(&mut client, false));
            let path = scene.path(gateway);
            for _ in 0..2 {
                self.gateways.push(client.get(&path).0);
            }
            self.writes
                .push(client.patch(&path, &json!({"description": format!("click {round}")})));
            std::thread::sleep(CLICK.saturating_sub(began.elapsed()));
        }
    }
}

fn stream_rows(scene: &Scene, what: &str, heard: &Heard, aim: Option<f64>) {
    let times = Times::new(heard.all.times.iter().copied());
    row(what, &times, aim);
    println!(
        "| {:50} | {:8} | {:8} | {:20} | {:6} |",
        format!("  changes, and the fewest that one of {} heard", scene.size.clients),
        heard.changes,
        heard.all.fewest,
        format!("{} told to read anew", heard.all.resyncs),
        verdict(heard.all.resyncs == 0)
    );
}

/// A row with the aim of its p99 in milliseconds.
fn row(what: &str, times: &Times, aim: Option<f64>) {
    let (p50, p99) = (ms(times.at(50)), ms(times.at(99)));
    let (text, is_met) = match aim {
        Some(aim) => (format!("p99 ≤ {aim} ms"), verdict(p99 <= aim)),
        None => (String::new(), ""),
    };
    println!("| {what:50} | {p50:8.2} | {p99:8.2} | {text:20} | {is_met:6} |");
}

fn ratio(what: &str, ours: Duration, theirs: Duration, aim: f64) {
    let ratio = ours.as_secs_f64() / theirs.as_secs_f64();
    figure(what, ratio, &format!("≤ {aim}"), ratio <= aim);
}

fn figure(what: &str, figure: f64, aim: &str, is_met: bool) {
    println!(
        "| {what:50} | {figure:8.2} | {:8} | {aim:20} | {:6} |",
        "",
        verdict(is_met)
    );
}

fn verdict(is_met: bool) -> &'static str {
    if is_met { "met" } else { "missed" }
}
