//! The pace of a carrier, over all switches.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use tokio::runtime::Runtime;
use tokio::time::Instant;
use trunkd::carriers::{Attempt, Expected, Load, Progress};
use trunkd::gateway::GatewayName;
use trunkd::redis::Store;
use trunkd::settings::CarrierSettings;

use super::lease::store;
use crate::support::app::{Other, TestApp, eventually, eventually_within, switch_toml};
use crate::support::fake_switch::{Binding, Carrier, FakeSwitch, View, Window};
use crate::support::redis::RedisServer;

const IP_TRUNK: &str = r#"{"param":{"realm":"ip.test","register":"false"}}"#;
const ACCOUNT: &str = r#"{"param":{"realm":"sip.test","username":"u","password":"p"}}"#;
const PACED: &str = "[[carrier]]\nname = \"sip.test\"\nregisters_per_second = 5\n";
const APPLY: &str = "[reconcile]\nmode = \"apply\"\n";
/// Far longer than 1,500 starts at 10 a second take on any machine.
const LONG: Duration = Duration::from_secs(600);
const ONE_SECOND: Window = Window::Real(Duration::from_secs(1));

/// What happens on one switch. Times are in milliseconds.
#[derive(Debug, Clone)]
struct Fate {
    /// When FreeSWITCH's worker runs first, and how long after each run the next one begins.
    first_tick: u64,
    ticks: Vec<u64>,
    /// How late trunkd hears of each REGISTER.
    delays: Vec<u64>,
    /// The time between two plans.
    plans: Vec<u64>,
    gateways: usize,
}

fn fate() -> impl Strategy<Value = Fate> {
    let some = |range: std::ops::Range<u64>| prop::collection::vec(range, 1..8);
    (0..1000u64, some(1000..1400), some(0..260), some(50..400), 1..40usize).prop_map(
        |(first_tick, ticks, delays, plans, gateways)| Fate {
            first_tick,
            ticks,
            delays,
            plans,
            gateways,
        },
    )
}

/// A switch of the model, and the trunkd that changes it.
struct Model {
    fate: Fate,
    name: String,
    load: Load,
    left: usize,
    ticked: usize,
    next_tick: u64,
    planned: usize,
    next_plan: u64,
    /// Started, and not sent yet.
    pending: BTreeSet<GatewayName>,
    /// When trunkd hears that it was sent.
    heard: BTreeMap<GatewayName, u64>,
}

impl Model {
    fn new(number: usize, fate: Fate) -> Self {
        Self {
            name: format!("fs{number}"),
            load: Load::default(),
            left: fate.gateways,
            ticked: 0,
            next_tick: fate.first_tick,
            planned: 0,
            next_plan: 0,
            pending: BTreeSet::new(),
            heard: BTreeMap::new(),
            fate,
        }
    }

    /// FreeSWITCH's worker runs; returns how many REGISTERs it sends.
    fn tick(&mut self, now: u64) -> usize {
        let sent = std::mem::take(&mut self.pending);
        let count = sent.len();
        for (gateway, delay) in sent.into_iter().zip(self.fate.delays.iter().cycle()) {
            self.heard.insert(gateway, now + delay);
        }
        self.next_tick = now + self.fate.ticks[self.ticked % self.fate.ticks.len()];
        self.ticked += 1;
        count
    }

    async fn plan(&mut self, store: &Store, carrier: &CarrierSettings, now: u64, base: Instant) {
        let at = base + Duration::from_millis(now);
        let heard = |gateway: &GatewayName| {
            let is_heard = self.heard.get(gateway).is_some_and(|heard| *heard <= now);
            is_heard.then_some(Attempt {
                instance: 1,
                since: Timestamp::UNIX_EPOCH,
                progress: Progress::Answered,
            })
        };
        self.load.observe(heard, at);
        let usage = self.load.usage(at);
        let granted = store.take_pace(carrier, &self.name, usage, self.left).await.unwrap();
        for _ in 0..granted {
            let gateway = GatewayName::parse(&format!("gw{}", self.left)).unwrap();
            self.load.add(gateway.clone(), None, Expected::OfNewInstance, at);
            self.pending.insert(gateway);
            self.left -= 1;
        }
        self.next_plan = now + self.fate.plans[self.planned % self.fate.plans.len()];
        self.planned += 1;
    }
}

/// When each REGISTER is sent. Ends when all are.
async fn run(store: &Store, carrier: &CarrierSettings, fates: Vec<Fate>) -> Vec<u64> {
    let base = Instant::now();
    let mut models: Vec<_> = fates
        .into_iter()
        .enumerate()
        .map(|(number, fate)| Model::new(number, fate))
        .collect();
    let all: usize = models.iter().map(|model| model.left).sum();
    let mut sent = Vec::new();
    while sent.len() < all {
        let now = models
            .iter()
            .map(|model| model.next_tick.min(model.next_plan))
            .min()
            .unwrap();
        assert!(now < 600_000, "{} of {all} were sent in ten minutes", sent.len());
        for model in &mut models {
            if model.next_tick == now {
                let count = model.tick(now);
                sent.extend(std::iter::repeat_n(now, count));
            }
            if model.next_plan == now {
                model.plan(store, carrier, now, base).await;
            }
        }
    }
    sent
}

#[test]
fn no_second_has_more_registers_than_the_pace_whatever_the_switches_do() {
    let runtime = Runtime::new().unwrap();
    let redis = runtime.block_on(RedisServer::start());
    let store = store(&redis);
    let case = AtomicUsize::new(0);
    let config = ProptestConfig {
        cases: 60,
        ..ProptestConfig::default()
    };
    let fates = (prop::collection::vec(fate(), 1..4), 1..12u32);
    let outcome = TestRunner::new(config).run(&fates, |(fates, pace)| {
        let case = case.fetch_add(1, Ordering::Relaxed);
        let carrier = CarrierSettings::paced(&format!("case{case}.test"), Some(pace), None);
        let gateways: usize = fates.iter().map(|fate| fate.gateways).sum();
        let switches = fates.len();
        let sent = runtime.block_on(run(&store, &carrier, fates));
        for from in &sent {
            let within = sent.iter().filter(|at| (*from..from + 1000).contains(at)).count();
            prop_assert!(
                within <= pace as usize,
                "{within} within a second at {pace} a second: {sent:?}"
            );
        }
        // Each switch may be granted nothing while the others use the pace, but it is used.
        let seconds = sent.iter().max().unwrap() / 1000;
        let enough = gateways.div_ceil(pace as usize) * 3 * switches + 5;
        prop_assert!(
            seconds as usize <= enough,
            "{seconds} s for {gateways} at {pace} a second"
        );
        Ok(())
    });
    outcome.unwrap();
}

async fn set_gateways(other: &Other, prefix: &str, count: usize, value: &str) {
    for number in 0..count {
        other
            .set_gateway("default", &format!("{prefix}{number:02}"), value)
            .await;
    }
}

/// Ticks as slowly as a real one.
async fn slow_switch(name: &str, carrier: &Carrier) -> FakeSwitch {
    let builder = FakeSwitch::builder().switchname(name).carrier(carrier);
    builder.tick(Duration::from_secs(1)).start().await
}

async fn join(app: &TestApp, switch: &FakeSwitch) {
    switch.set_binding(Some(Binding::new(app.xml_curl_url())));
    switch.restart().await;
    switch.wait_until("trunkd listens", |view| view.listeners() == 1).await;
}

/// Waits until trunkd knows the switch and has nothing left to start.
pub(super) async fn settled(other: &Other) {
    let is_settled = |report: &Option<serde_json::Value>| {
        report
            .as_ref()
            .is_some_and(|report| report["knows"] == true && report["start"] == 0)
    };
    let report = || other.field("trunkd:reconcile", "fs1");
    eventually("nothing is left to do", report, is_settled).await;
}

fn count(view: &View, state: &str) -> usize {
    let all = view.gateways();
    all.iter()
        .filter(|gateway| view.state(&gateway.name) == Some(state))
        .count()
}

#[tokio::test]
async fn gateways_of_one_carrier_start_at_its_pace_on_two_switches_and_others_do_not_wait() {
    let (redis, carrier) = (RedisServer::start().await, Carrier::new("sip.test"));
    let other = Other::new(&redis).await;
    let (one, two) = (slow_switch("fs1", &carrier).await, slow_switch("fs2", &carrier).await);
    let toml = format!("{}{}{APPLY}{PACED}", switch_toml(&one, "fs1"), switch_toml(&two, "fs2"));
    let app = TestApp::start(&redis, &toml).await;
    join(&app, &one).await;
    join(&app, &two).await;
    set_gateways(&other, "account", 15, ACCOUNT).await;
    let waits = |report: &Option<serde_json::Value>| {
        let waiting = report.as_ref().map(|report| &report["waiting"]["sip.test"]);
        waiting.is_some_and(|waiting| waiting["per_second"] == 5 && !waiting["gateways"][0].is_null())
    };
    eventually("some wait", || other.field("trunkd:reconcile", "fs1"), waits).await;
    app.wait_for_reason("reconcile:fs1", &["sip.test", "5 REGISTERs a second"])
        .await;
    other.set_gateway("default", "ip", IP_TRUNK).await;
    for switch in [&one, &two] {
        switch.wait_for_state("ip", "NOREG").await;
    }
    assert!(carrier.registers().len() < 30, "the IP trunk waited for all accounts");
    for switch in [&one, &two] {
        switch
            .wait_until("all are registered", |view| count(view, "REGED") == 15)
            .await;
    }
    assert!(carrier.busiest(ONE_SECOND) <= 5, "{:#?}", carrier.registers());
    assert_eq!(carrier.registers().len(), 30);
}

#[tokio::test]
async fn a_switch_that_boots_keeps_to_the_pace_and_gets_what_registers_nowhere_at_once() {
    let (redis, carrier) = (RedisServer::start().await, Carrier::new("sip.test"));
    let other = Other::new(&redis).await;
    set_gateways(&other, "account", 12, ACCOUNT).await;
    set_gateways(&other, "ip", 3, IP_TRUNK).await;
    let switch = slow_switch("fs1", &carrier).await;
    let _app = TestApp::asked_by(
        &[&switch],
        &redis,
        &format!("{}{APPLY}{PACED}", switch_toml(&switch, "fs1")),
    )
    .await;
    // Nobody knows yet whether trunkd reaches the switch once it runs.
    switch.restart().await;
    switch
        .wait_until("all are registered", |view| count(view, "REGED") == 12)
        .await;
    assert!(carrier.busiest(ONE_SECOND) > 5);
    settled(&other).await;
    carrier.forget_received();
    switch.restart().await;
    switch
        .wait_until("the IP trunks run", |view| count(view, "NOREG") == 3)
        .await;
    switch
        .wait_until("all are registered", |view| count(view, "REGED") == 12)
        .await;
    assert!(carrier.busiest(ONE_SECOND) <= 5, "{:#?}", carrier.registers());
    assert_eq!(carrier.registers().len(), 12);
}

#[tokio::test]
async fn the_next_trunkd_counts_what_the_one_before_has_started() {
    let (redis, carrier) = (RedisServer::start().await, Carrier::new("sip.test"));
    let other = Other::new(&redis).await;
    let switch = FakeSwitch::builder().carrier(&carrier).manual_ticks().start().await;
    let toml = format!("{}{APPLY}{PACED}", switch_toml(&switch, "fs1"));
    let one = TestApp::start(&redis, &toml).await;
    join(&one, &switch).await;
    settled(&other).await;
    set_gateways(&other, "account", 20, ACCOUNT).await;
    let started = |view: &View| count(view, "UNREGED");
    switch
        .wait_until("the first are started", |view| started(view) == 5)
        .await;
    drop(one.stop().await);
    let two = TestApp::asked_by(&[&switch], &redis, &toml).await;
    two.wait_for_reason("reconcile:fs1", &["sip.test", "5 REGISTERs a second"])
        .await;
    assert_eq!(switch.view(started), 5, "they are sent in the next second");
    let registered = async || {
        switch.step();
        switch.view(|view| count(view, "REGED"))
    };
    eventually("all are registered", registered, |count| *count == 20).await;
    assert!(carrier.busiest(Window::Seconds(1)) <= 5, "{:#?}", carrier.registers());
}

#[tokio::test]
async fn a_switch_that_boots_gets_a_slice_first_and_the_rest_by_itself() {
    let redis = RedisServer::start().await;
    let other = Other::new(&redis).await;
    set_gateways(&other, "ip", 10, IP_TRUNK).await;
    let switch = FakeSwitch::builder().start().await;
    let app = TestApp::with_switch(&redis, &switch, &format!("{APPLY}boot_slice = 4\n")).await;
    settled(&other).await;
    assert_eq!(app.served().await.len(), 4);
    switch.clear_wire();
    switch.restart().await;
    switch.wait_until("all run", |view| count(view, "NOREG") == 10).await;
    let started = switch.view(|view| view.commands().iter().filter(|line| line.contains("startgw")).count());
    assert_eq!(started, 6);
}

#[tokio::test]
#[ignore = "takes 150 s; `make test` runs it beside the others"]
async fn a_carrier_with_1500_gateways_gets_ten_registers_a_second_when_its_switch_boots() {
    const TRUNKS: usize = 1500;
    let (redis, carrier) = (RedisServer::start().await, Carrier::new("sip.test"));
    let other = Other::new(&redis).await;
    let switch = slow_switch("fs1", &carrier).await;
    let paced = "[[carrier]]\nname = \"sip.test\"\nregisters_per_second = 10\n";
    let app = TestApp::start(&redis, &format!("{}{APPLY}{paced}", switch_toml(&switch, "fs1"))).await;
    join(&app, &switch).await;
    settled(&other).await;
    switch.shutdown().await;
    set_gateways(&other, "account", TRUNKS, ACCOUNT).await;
    switch.boot().await;
    let began = Instant::now();
    let registered = async || switch.view(|view| count(view, "REGED"));
    eventually_within(LONG, "all are registered", registered, |count| *count == TRUNKS).await;
    println!("{TRUNKS} gateways registered within {:?}", began.elapsed());
    assert_eq!(carrier.registers().len(), TRUNKS);
    assert!(carrier.busiest(ONE_SECOND) <= 10, "{}", carrier.busiest(ONE_SECOND));
}
