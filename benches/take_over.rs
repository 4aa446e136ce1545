//! How long a gateway that runs on exactly one switch is away when that switch dies: from its death to the
//! first REGISTER from another one, and until all that it had are registered again. A switch that is killed
//! closes its connections, one that loses its power doesn't.
//!
//! Three FakeSwitches whose second is a second, two trunkd as processes. `make bench` runs this;
//! `docs/benchmarks.md` says how to read what it prints. `TRUNKS=100` and `TRIES=50` choose
//! other numbers: a try takes ten seconds.

#[path = "../tests/support/mod.rs"]
mod support;

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::env;
use std::time::{Duration, Instant};

use common::{Program, Times, is_quick, machine, number};
use support::app::{Other, eventually_within, switch_toml};
use support::fake_switch::{Binding, Carrier, FakeSwitch};
use support::redis::RedisServer;

const NAMES: [&str; 3] = ["fs1", "fs2", "fs3"];
/// Far longer than anything should take.
const PATIENCE: Duration = Duration::from_secs(120);

struct Fleet {
    other: Other,
    carrier: Carrier,
    switches: BTreeMap<&'static str, FakeSwitch>,
    trunks: usize,
}

#[tokio::main]
async fn main() {
    let setting = |name| env::var(name).ok().map(|given| number(&given).max(1));
    let tries = setting("TRIES").unwrap_or(if is_quick() { 1 } else { 10 });
    let sizes = setting("TRUNKS").map_or(vec![1, 100, 1000], |trunks| vec![trunks]);
    println!("{}\n", machine());
    println!("{tries} tries each; failover_after is 6 s\n");
    println!("| death  | trunks | first p50 s | first max s | all p50 s | all max s | moved more than its own |");
    println!("| :----- | -----: | ----------: | ----------: | --------: | --------: | ----------------------: |");
    let without_power = sizes.first().map(|trunks| (Death::WithoutPower, *trunks));
    let killed = sizes.iter().map(|trunks| (Death::Killed, *trunks));
    for (death, trunks) in killed.chain(without_power) {
        let redis = RedisServer::start().await;
        let fleet = Fleet::new(&redis, trunks).await;
        let blocks = fleet.switches.iter().map(|(name, switch)| switch_toml(switch, name));
        let toml = format!("[redis]\nurl = \"{}\"\n{}", redis.url(), blocks.collect::<String>());
        let trunkd = [Program::start(&toml), Program::start(&toml)];
        for (switch, trunkd) in fleet.switches.values().zip(trunkd.iter().cycle()) {
            switch.set_binding(Some(Binding::new(format!("http://{}/xml_curl", trunkd.address))));
        }
        let (mut first, mut all, mut others) = (Vec::new(), Vec::new(), 0);
        for _ in 0..tries {
            let measured = fleet.lose_one(death).await;
            first.push(measured.first);
            all.push(measured.all);
            others += measured.others_moved;
        }
        let (first, all) = (Times::new(first.into_iter()), Times::new(all.into_iter()));
        println!(
            "| {:6} | {trunks:6} | {:11.1} | {:11.1} | {:9.1} | {:9.1} | {others:23} |",
            death.as_str(),
            first.at(50).as_secs_f64(),
            first.at(100).as_secs_f64(),
            all.at(50).as_secs_f64(),
            all.at(100).as_secs_f64(),
        );
    }
}

#[derive(Clone, Copy)]
enum Death {
    Killed,
    WithoutPower,
}

impl Death {
    fn as_str(self) -> &'static str {
        match self {
            Self::Killed => "killed",
            Self::WithoutPower => "power",
        }
    }
}

struct Measured {
    first: Duration,
    all: Duration,
    /// Gateways that moved although their switch lives.
    others_moved: usize,
}

impl Fleet {
    async fn new(redis: &RedisServer, trunks: usize) -> Self {
        let other = Other::new(redis).await;
        let carrier = Carrier::new("sip.test");
        for trunk in 0..trunks {
            let value =
                format!(r#"{{"param":{{"realm":"sip.test","username":"u{trunk}","password":"p"}},"placement":"one"}}"#);
            other.set_gateway("acme", &format!("gw{trunk}"), &value).await;
        }
        let mut switches = BTreeMap::new();
        for name in NAMES {
            let switch = FakeSwitch::builder().switchname(name).carrier(&carrier).sip();
            switches.insert(name, switch.tick(Duration::from_secs(1)).start().await);
        }
        Self {
            other,
            carrier,
            switches,
            trunks,
        }
    }

    /// The switch that has most dies, others register what it had, and it is back.
    async fn lose_one(&self, how: Death) -> Measured {
        let before = self.settled().await;
        let count = |name: &str| before.values().filter(|owner| *owner == name).count();
        let victim = NAMES
            .into_iter()
            .max_by_key(|name| count(name))
            .expect("there are some");
        let lost: BTreeSet<_> = before
            .iter()
            .filter(|(_, owner)| *owner == victim)
            .map(|(name, _)| name)
            .collect();
        self.carrier.forget_received();
        let death = Instant::now();
        match how {
            Death::Killed => self.switches[victim].crash().await,
            Death::WithoutPower => self.switches[victim].cut_off(true),
        }
        let missing = || async {
            let registered = self.registered_since(death, victim);
            let missing = lost.iter().filter(|gateway| !registered.contains_key(**gateway));
            missing.map(|gateway| gateway.to_string()).collect::<Vec<_>>()
        };
        eventually_within(PATIENCE, "others have registered what it had", missing, Vec::is_empty).await;
        let registered = self.registered_since(death, victim);
        let times = || lost.iter().map(|gateway| registered[*gateway].duration_since(death));
        let after = self.owners().await;
        let others = before.iter().filter(|(gateway, _)| !lost.contains(gateway));
        let measured = Measured {
            first: times().min().unwrap_or_default(),
            all: times().max().unwrap_or_default(),
            others_moved: others
                .filter(|(gateway, owner)| after.get(*gateway) != Some(owner))
                .count(),
        };
        match how {
            Death::Killed => self.switches[victim].boot().await,
            Death::WithoutPower => self.switches[victim].cut_off(false),
        }
        measured
    }

    /// Every gateway has a live switch that has registered it, and runs nowhere else. Returns who has which.
    async fn settled(&self) -> BTreeMap<String, String> {
        let look = || async {
            let owners = self.owners().await;
            let is_registered = |(gateway, owner): (&String, &String)| {
                self.switches[owner.as_str()].view(|view| view.state(gateway) == Some("REGED"))
            };
            let registered = owners.iter().filter(|one| is_registered(*one)).count();
            let switches = self.switches.values();
            let views = switches.map(|switch| switch.view(|view| (view.gateways().len(), view.listeners())));
            let (run, listeners): (Vec<_>, Vec<_>) = views.unzip();
            let run: usize = run.into_iter().sum();
            (owners, registered, run, listeners.into_iter().min().unwrap_or_default())
        };
        // Both trunkd listen to all of them.
        let is_settled = |seen: &(BTreeMap<_, _>, usize, usize, usize)| {
            seen.1 == self.trunks && seen.2 == self.trunks && seen.3 >= 2
        };
        eventually_within(PATIENCE, "all are registered", look, is_settled)
            .await
            .0
    }

    fn registered_since(&self, death: Instant, victim: &str) -> BTreeMap<String, Instant> {
        let mut first = BTreeMap::new();
        let sent = self.carrier.registers();
        for register in sent.into_iter().filter(|one| one.switch != victim && one.at > death) {
            first.entry(register.gateway).or_insert(register.at);
        }
        first
    }

    async fn owners(&self) -> BTreeMap<String, String> {
        let records = self.other.hash("trunkd:placement").await.into_iter();
        records
            .filter_map(|(gateway, record)| Some((gateway, record["switch"].as_str()?.to_owned())))
            .collect()
    }
}
