//! How long an edit takes: from a client's HSET of a new gateway to the `startgw` of it at the switch's event socket.
//!
//! Everything is real but the switch, which is the tests' FakeSwitch with FreeSWITCH's tick of 1 s:
//! a `redis-server` of its own, and trunkd as `trunkd serve` runs it. All of it shares this
//! machine. `make bench` runs it; `docs/benchmarks.md` says how to read what it prints.
//!
//! `QUICK=1` measures a few edits; `GATEWAYS="10000"` and `EDITS=200` choose for themselves;
//! `DOMAINS=100` spreads the gateways.

#[path = "../tests/support/mod.rs"]
mod support;

mod common;

use std::env;
use std::fmt::Write as _;
use std::io;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::{Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::{Context, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;
use trunkd::app::Timing;

use common::{Times, account, is_quick, machine, ms, number};
use support::app::{Other, TestApp, eventually, switch_toml};
use support::fake_switch::{Binding, FakeSwitch};
use support::redis::RedisServer;

/// From HSET to the wire, at 99 of 100 edits.
fn aim(gateways: usize) -> Duration {
    Duration::from_millis(match gateways {
        0..=100 => 10,
        101..=10_000 => 25,
        _ => 100,
    })
}

/// The limit that fs-conf sets for mod_xml_curl.
const RESPONSE_MAX_BYTES: usize = 256 * 1024 * 1024;
/// After an edit is done, before the next: longer than the reconciler waits to look at what the switch did meanwhile.
const PAUSE: Duration = Duration::from_millis(300);
/// Edits that nobody counts, until caches and connections are warm.
const WARM_UP: usize = 5;

/// What the executor logs at the level `trace`, in order.
const LOOKS: &str = "looking";
const KNOWS: &str = "what is wanted is known";
const ACTS: &str = "acting";

fn main() {
    let marks = Marks::default();
    let ours = Targets::new().with_target("trunkd::reconcile::executor", Level::TRACE);
    let warnings = Warnings::default();
    let to = warnings.clone();
    let layer = tracing_subscriber::fmt::layer()
        .with_writer(move || to.clone())
        .with_ansi(false);
    tracing_subscriber::registry()
        .with(marks.clone().with_filter(ours))
        .with(layer.with_filter(LevelFilter::WARN))
        .init();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .thread_name("bench")
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(run(&marks, &warnings));
}

async fn run(marks: &Marks, warnings: &Warnings) {
    let (sizes, edits): (&[usize], _) = if is_quick() {
        (&[10, 1_000], 10)
    } else {
        (&[10, 1_000, 10_000], 100)
    };
    let sizes = match env::var("GATEWAYS") {
        Ok(given) => given.split([' ', ',']).map(number).collect(),
        Err(_) => sizes.to_vec(),
    };
    let edits = env::var("EDITS").map_or(edits, |given| number(&given)).max(1);
    let domains = env::var("DOMAINS").map_or(1, |given| number(&given)).max(1);

    println!("{}\n", machine());
    println!(
        "HSET of a new gateway → its startgw at the event socket, in ms; {edits} edits, each alone; gateways in {domains} domain(s)\n"
    );
    println!(
        "| gateways |    p50 |    p90 |    p99 |    max |       noticed |          read |       decided |          sent |      verified |"
    );
    println!(
        "| -------: | -----: | -----: | -----: | -----: | ------------: | ------------: | ------------: | ------------: | ------------: |"
    );
    let mut p99s = Vec::new();
    for gateways in sizes {
        let measured = measure(gateways, edits, domains, marks, warnings).await;
        let whole = Times::new(measured.iter().map(Edit::whole));
        let mut row = format!("| {gateways:8} ");
        for time in [50, 90, 99, 100].map(|percent| whole.at(percent)) {
            let _ = write!(row, "| {:6.1} ", ms(time));
        }
        for leg in 0..LEGS {
            let leg = Times::new(measured.iter().map(|edit| edit.legs[leg]));
            let _ = write!(row, "| {:5.1} … {:5.1} ", ms(leg.at(50)), ms(leg.at(99)));
        }
        println!("{row}|");
        p99s.push((gateways, whole.at(99)));
    }
    println!();
    let warnings = warnings.take();
    if !warnings.is_empty() {
        println!(
            "Warnings while it was measured:\n{}",
            String::from_utf8_lossy(&warnings)
        );
    }
    for (gateways, p99) in &p99s {
        let aim = aim(*gateways);
        let verdict = if *p99 <= aim { "met" } else { "missed" };
        println!(
            "p99 at {gateways} gateways: {:.1} ms, aim {} ms: {verdict}",
            ms(*p99),
            aim.as_millis()
        );
    }
    if let [(few, first), .., (many, last)] = &p99s[..] {
        println!(
            "p99 at {many} ÷ p99 at {few}: {:.1} (flat in the number of gateways is 1.0)",
            last.as_secs_f64() / first.as_secs_f64()
        );
    }
}

/// One edit after the other, each once the one before is done.
async fn measure(gateways: usize, edits: usize, domains: usize, marks: &Marks, warnings: &Warnings) -> Vec<Edit> {
    let earlier = warnings.take();
    let redis = RedisServer::start().await;
    let other = Other::new(&redis).await;
    for number in 0..gateways {
        let value = account(number);
        other
            .set_gateway(&domain(number, domains), &format!("gw{number:05}"), &value)
            .await;
    }
    let switch = FakeSwitch::builder().tick(Duration::from_secs(1)).start().await;
    let toml = format!("{}\n[reconcile]\nmode = \"apply\"\n", switch_toml(&switch, "fs1"));
    let app = TestApp::start_with(&redis, &toml, Timing::default()).await;
    let binding = Binding {
        response_max_bytes: RESPONSE_MAX_BYTES,
        ..Binding::new(app.xml_curl_url())
    };
    eventually(
        "trunkd has read them",
        || app.ask("profile=external"),
        |(status, _)| *status == 200,
    )
    .await;
    switch.set_binding(Some(binding));
    switch.restart().await;
    switch
        .wait_until("all are registered", |view| {
            let all = view.gateways();
            all.len() == gateways && all.iter().all(|gateway| gateway.state.name() == "REGED")
        })
        .await;
    settled(&other, |report| report["unchanged"] == gateways).await;
    // The snapshot that the registrations asked for.
    tokio::time::sleep(2 * Timing::default().ingest.settle).await;

    // Those of a switch that starts say nothing of the edits.
    warnings.take();
    let mut measured = Vec::with_capacity(edits);
    for number in 0..WARM_UP + edits {
        let name = format!("new{number:05}");
        let (domain, value) = (domain(number, domains), account(number));
        marks.take();
        let sent = Instant::now();
        other.set_gateway(&domain, &name, &value).await;
        let edit = Edit::watch(&switch, &name, sent, marks).await;
        tokio::time::sleep(PAUSE).await;
        settled(&other, |_| true).await;
        if number >= WARM_UP {
            measured.push(edit);
        }
    }
    let while_measured = warnings.take();
    app.stop().await;
    warnings.set([earlier, while_measured].concat());
    measured
}

/// Until the reconciler says that nothing is left to do.
async fn settled(other: &Other, and: impl Fn(&serde_json::Value) -> bool) {
    eventually(
        "nothing is left to do",
        || other.field("trunkd:reconcile", "fs1"),
        |report| {
            report.as_ref().is_some_and(|report| {
                and(report) && ["start", "restart", "kill"].iter().all(|count| report[count] == 0)
            })
        },
    )
    .await;
}

fn domain(number: usize, domains: usize) -> String {
    format!("tenant{:04}", number % domains)
}

/// What one edit took: HSET → the executor looks → it knows what Redis wants → it acts → `startgw`
/// at the socket → the question whether it is there.
struct Edit {
    legs: [Duration; LEGS],
}

const LEGS: usize = 5;

impl Edit {
    async fn watch(switch: &FakeSwitch, name: &str, sent: Instant, marks: &Marks) -> Self {
        let start = format!("api sofia profile external startgw {name}");
        let ask = format!("api eval ${{sofia_gateway_data({name} ");
        let (mut wire, mut verified) = (None, None);
        switch
            .wait_until(&format!("{name} is started and verified"), |view| {
                wire = wire.or_else(|| view.arrival(|line| line == start));
                verified = verified.or_else(|| view.arrival(|line| line.starts_with(&ask)));
                wire.is_some() && verified.is_some()
            })
            .await;
        let (wire, verified) = (wire.unwrap_or(sent), verified.unwrap_or(sent));
        // The executor may look again between: the step that counts is the last that began before.
        let told = marks.take();
        let last = |what: &str, before: Instant| {
            let so_far = told.iter().filter(|(word, at)| word == what && *at <= before);
            so_far.map(|(_, at)| *at).next_back().unwrap_or(sent)
        };
        let acts = last(ACTS, wire);
        let knows = last(KNOWS, acts);
        let looks = last(LOOKS, knows).max(sent);
        let times = [sent, looks, knows, acts, wire, verified];
        let mut legs = [Duration::ZERO; LEGS];
        for (leg, pair) in legs.iter_mut().zip(times.windows(2)) {
            *leg = pair[1].saturating_duration_since(pair[0]);
        }
        Self { legs }
    }

    /// HSET to the wire.
    fn whole(&self) -> Duration {
        self.legs[..4].iter().sum()
    }
}

/// Lines of the log, kept out of the table.
#[derive(Clone, Default)]
struct Warnings(Arc<Mutex<Vec<u8>>>);

impl Warnings {
    fn take(&self) -> Vec<u8> {
        std::mem::take(&mut self.0.lock().expect("no panic while logging"))
    }

    fn set(&self, lines: Vec<u8>) {
        *self.0.lock().expect("no panic while logging") = lines;
    }
}

impl io::Write for Warnings {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("no panic while logging").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The times of the executor's log lines.
#[derive(Clone, Default)]
struct Marks(Arc<Mutex<Vec<(String, Instant)>>>);

impl Marks {
    fn take(&self) -> Vec<(String, Instant)> {
        std::mem::take(&mut self.0.lock().expect("no panic while marking"))
    }
}

impl<S: Subscriber> Layer<S> for Marks {
    fn on_event(&self, event: &tracing::Event<'_>, _: Context<'_, S>) {
        let at = Instant::now();
        let mut message = Message(String::new());
        event.record(&mut message);
        self.0.lock().expect("no panic while marking").push((message.0, at));
    }
}

struct Message(String);

impl Visit for Message {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        if field.name() == "message" {
            let _ = write!(self.0, "{value:?}");
        }
    }
}
