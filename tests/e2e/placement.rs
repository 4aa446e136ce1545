//! Gateways that run on exactly one of several switches.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use redis::AsyncCommands;
use serde_json::Value;

use crate::support::app::{Other, TestApp, eventually, eventually_within, quick, switch_toml};
use crate::support::fake_switch::{Carrier, FakeSwitch};
use crate::support::port::free_port;
use crate::support::redis::RedisServer;

const SETTINGS: &str = "[placement]\nfailover_after = \"2s\"\n[reconcile]\nmode = \"apply\"\n";
/// For a thousand gateways on a busy machine
const DEADLINE: Duration = Duration::from_secs(90);
const NAMES: [&str; 3] = ["fs1", "fs2", "fs3"];

fn account(user: &str, more: &str) -> String {
    format!(r#"{{"param":{{"realm":"sip.test","username":"{user}","password":"p"}},"placement":"one"{more}}}"#)
}

/// Switches that share a carrier, a Redis, and what runs on them.
struct Rig {
    redis: RedisServer,
    other: Other,
    carrier: Carrier,
    switches: BTreeMap<&'static str, FakeSwitch>,
}

impl Rig {
    /// With gateways `gw0` and so on, each of an account of its own.
    async fn new(switches: usize, gateways: usize) -> Self {
        let redis = RedisServer::start().await;
        let other = Other::new(&redis).await;
        let carrier = Carrier::new("sip.test");
        for gateway in 0..gateways {
            carrier.account(&format!("u{gateway}"), "p");
            let value = account(&format!("u{gateway}"), "");
            other.set_gateway("acme", &format!("gw{gateway}"), &value).await;
        }
        let mut all = BTreeMap::new();
        for name in NAMES.into_iter().take(switches) {
            let switch = FakeSwitch::builder().switchname(name).carrier(&carrier).sip();
            all.insert(name, switch.start().await);
        }
        Self {
            redis,
            other,
            carrier,
            switches: all,
        }
    }

    fn toml(&self, more: &str) -> String {
        let blocks = self.switches.iter().map(|(name, switch)| switch_toml(switch, name));
        format!("{SETTINGS}{more}{}", blocks.collect::<String>())
    }

    /// A trunkd, which all switches ask from now on.
    async fn trunkd(&self, more: &str) -> TestApp {
        let switches: Vec<_> = self.switches.values().collect();
        TestApp::asked_by(&switches, &self.redis, &self.toml(more)).await
    }

    /// What each switch runs, in any state.
    fn runs(&self, switch: &str) -> BTreeSet<String> {
        self.switches[switch].view(|view| {
            let gateways = view.gateways();
            gateways.iter().map(|gateway| gateway.name.clone()).collect()
        })
    }

    /// Waits until each gateway is registered by the switch that has it, and runs there alone. Returns who has
    /// which.
    async fn wait_until_placed(&self, gateways: usize) -> BTreeMap<String, String> {
        eventually_within(
            DEADLINE,
            "each gateway is registered on exactly its switch",
            || async {
                let owners = self.owners().await;
                let runs = self.switches.keys().flat_map(|switch| {
                    self.runs(switch)
                        .into_iter()
                        .map(|gateway| (gateway, (*switch).to_owned()))
                });
                let is_registered = |(gateway, switch): &(String, String)| {
                    self.switches[switch.as_str()].view(|view| view.state(gateway) == Some("REGED"))
                };
                let runs: Vec<_> = runs.collect();
                let registered = runs.iter().filter(|one| is_registered(one)).count();
                (owners, runs, registered)
            },
            |(owners, runs, registered)| {
                let is_owner = |(gateway, switch): &(String, String)| owners.get(gateway) == Some(switch);
                owners.len() == gateways
                    && runs.len() == gateways
                    && *registered == gateways
                    && runs.iter().all(is_owner)
            },
        )
        .await
        .0
    }

    /// Waits until a switch has none of the gateways. Returns who has which.
    async fn wait_until_left(&self, switch: &str, gateways: usize) -> BTreeMap<String, String> {
        eventually_within(
            DEADLINE,
            "each gateway belongs to another switch",
            || self.owners(),
            |owners| owners.len() == gateways && of(owners, switch).is_empty(),
        )
        .await
    }

    /// gateway → the switch that its record names, unless it moves.
    async fn owners(&self) -> BTreeMap<String, String> {
        let records = self.other.hash("trunkd:placement").await;
        let settled = records.into_iter().filter(|(_, record)| record["move"].is_null());
        settled
            .filter_map(|(name, record)| Some((name, record["switch"].as_str()?.to_owned())))
            .collect()
    }

    /// As `trunkd drain` does it.
    async fn drain(&self, switch: &str, drained: bool) {
        let (mut redis, field) = (self.other.connection.clone(), format!("drained:{switch}"));
        let value = r#"{"at":"2026-11-26T12:00:00Z","by":"cli:test"}"#;
        let done: Result<(), _> = match drained {
            true => redis.hset("trunkd:control", field, value).await,
            false => redis.hdel("trunkd:control", field).await,
        };
        done.unwrap();
    }

    async fn record(&self, gateway: &str) -> Value {
        self.other.field("trunkd:placement", gateway).await.unwrap_or_default()
    }
}

fn of(owners: &BTreeMap<String, String>, switch: &str) -> BTreeSet<String> {
    let of = owners.iter().filter(|(_, owner)| *owner == switch);
    of.map(|(gateway, _)| gateway.clone()).collect()
}

#[tokio::test]
async fn each_gateway_runs_on_exactly_one_switch_and_another_takes_over_when_it_dies() {
    let rig = Rig::new(3, 12).await;
    let _app = rig.trunkd("").await;
    let before = rig.wait_until_placed(12).await;
    for name in NAMES {
        assert!(!of(&before, name).is_empty(), "{before:?}");
    }

    rig.switches["fs1"].crash().await;
    let lost = of(&before, "fs1");
    let after = eventually(
        "the others have what fs1 had",
        || rig.owners(),
        |owners| lost.iter().all(|gateway| owners[gateway] != "fs1"),
    )
    .await;
    for (gateway, owner) in &before {
        assert_eq!(lost.contains(gateway), after[gateway] != *owner, "{gateway}");
    }
    for gateway in &lost {
        rig.switches[after[gateway].as_str()]
            .wait_for_state(gateway, "REGED")
            .await;
    }

    // It comes back, and gets nothing of it from its boot.
    rig.switches["fs1"].boot().await;
    rig.switches["fs1"].wait_for_connections(2).await;
    assert_eq!(rig.wait_until_placed(12).await, after);
    let moves = rig.other.history("moved").await;
    assert_eq!(moves.len(), lost.len(), "{moves:#?}");
}

#[tokio::test]
async fn of_a_thousand_gateways_exactly_those_of_the_switch_that_died_move() {
    const GATEWAYS: usize = 1000;
    let rig = Rig::new(3, GATEWAYS).await;
    let pace = "starts_per_second = 1000\n";
    let _apps = [rig.trunkd(pace).await, rig.trunkd(pace).await];
    let before = rig.wait_until_placed(GATEWAYS).await;

    rig.switches["fs1"].crash().await;
    let after = rig.wait_until_placed(GATEWAYS).await;
    let lost = of(&before, "fs1");
    for (gateway, owner) in &before {
        assert_eq!(lost.contains(gateway), after[gateway] != *owner, "{gateway}");
    }
    let moves = rig.other.history("moved").await;
    let moved: BTreeSet<_> = moves
        .iter()
        .filter_map(|entry| Some(entry["gateway"].as_str()?.to_owned()))
        .collect();
    assert_eq!((moves.len(), moved), (lost.len(), lost));
    assert!(moves.iter().all(|entry| entry["reason"] == "failover"));
}

#[tokio::test]
async fn a_switch_that_was_only_cut_off_gives_up_what_moved_before_anything_else() {
    let rig = Rig::new(3, 9).await;
    let _app = rig.trunkd("").await;
    let before = rig.wait_until_placed(9).await;
    let lost = of(&before, "fs2");
    rig.switches["fs2"].cut_off(true);
    let after = eventually(
        "the others have what fs2 had",
        || rig.owners(),
        |owners| lost.iter().all(|gateway| owners[gateway] != "fs2"),
    )
    .await;
    assert_eq!(rig.runs("fs2"), lost, "nobody could tell it");
    // An edit waits for it too, of a gateway that it may keep.
    rig.other
        .set_gateway(
            "acme",
            "everywhere",
            r#"{"param":{"realm":"ip.test","register":"false"}}"#,
        )
        .await;
    rig.switches["fs2"].clear_wire();
    rig.switches["fs2"].cut_off(false);
    rig.switches["fs2"]
        .wait_until("it runs what it may", |view| {
            view.gateways().len() == 1 && view.gateway("everywhere").is_some()
        })
        .await;
    let commands = rig.switches["fs2"].view(|view| {
        let commands = view.commands().into_iter().map(str::to_owned);
        commands.collect::<Vec<_>>()
    });
    let first = |what: &str| commands.iter().rposition(|command| command.contains(what));
    let last_kill = first("killgw").unwrap();
    let start = commands
        .iter()
        .position(|command| command.contains("startgw everywhere"))
        .unwrap();
    assert!(last_kill < start, "{commands:?}");
    assert_eq!(rig.owners().await, after);
}

#[tokio::test]
async fn a_drained_switch_loses_its_gateways_without_a_moment_of_two_registrations() {
    let rig = Rig::new(2, 8).await;
    let app = rig.trunkd("").await;
    let before = rig.wait_until_placed(8).await;
    assert!(!of(&before, "fs1").is_empty());
    rig.drain("fs1", true).await;
    let after = rig.wait_until_left("fs1", 8).await;
    assert_eq!(rig.wait_until_placed(8).await, after);
    assert!(rig.runs("fs1").is_empty());
    assert_eq!(rig.carrier.most_registrations(), 1, "of one account at a time");
    rig.drain("fs1", false).await;
    // The tests of this process share their metrics.
    eventually(
        "the metric has them",
        || app.metric("trunkd_placement_gateways{switch=\"fs2\"}"),
        |count| *count == Some(8.0),
    )
    .await;
}

#[tokio::test]
async fn a_move_that_the_carrier_refuses_goes_back() {
    let rig = Rig::new(2, 1).await;
    let _app = rig.trunkd("").await;
    let owners = rig.wait_until_placed(1).await;
    let here = owners["gw0"].clone();
    let there = if here == "fs1" { "fs2" } else { "fs1" };
    // The way from there to the carrier is broken.
    rig.carrier.cut_off(there, true);
    rig.drain(&here, true).await;
    let record = eventually(
        "it was tried there",
        || rig.record("gw0"),
        |record| record["switch"] == there,
    )
    .await;
    assert_eq!(record["move"]["from"], here);
    rig.drain(&here, false).await;
    eventually(
        "it is back",
        || rig.record("gw0"),
        |record| record["switch"] == here && record["reason"] == "returned" && record["move"].is_null(),
    )
    .await;
    rig.switches[here.as_str()].wait_for_state("gw0", "REGED").await;
}

#[tokio::test]
async fn records_that_redis_lost_are_written_again_and_nothing_moves() {
    let rig = Rig::new(2, 6).await;
    let _app = rig.trunkd("").await;
    let before = rig.wait_until_placed(6).await;
    for switch in rig.switches.values() {
        switch.clear_wire();
    }
    let mut redis = rig.other.connection.clone();
    let () = redis.del("trunkd:placement").await.unwrap();
    eventually("they are back", || rig.owners(), |owners| *owners == before).await;
    let () = redis
        .hset("trunkd:placement", "gw0", r#"{"no":"record"}"#)
        .await
        .unwrap();
    eventually("it is right again", || rig.owners(), |owners| *owners == before).await;
    assert_eq!(rig.wait_until_placed(6).await, before);
    for switch in rig.switches.values() {
        assert!(
            switch.view(|view| view.wire().is_empty()),
            "nothing was sent to the carrier"
        );
    }
}

#[tokio::test]
async fn another_trunkd_goes_on_with_the_moves_of_one_that_stopped() {
    let rig = Rig::new(2, 30).await;
    let carrier = "[[carrier]]\nname = \"sip.test\"\nregisters_per_second = 2\n";
    let first = rig.trunkd(carrier).await;
    let before = rig.wait_until_placed(30).await;
    rig.drain("fs1", true).await;
    let moves = |records: &BTreeMap<String, Value>| records.values().any(|record| !record["move"].is_null());
    eventually("a move begins", || rig.other.hash("trunkd:placement"), moves).await;
    let second = rig.trunkd(carrier).await;
    first.stop().await;
    let after = rig.wait_until_left("fs1", 30).await;
    assert_eq!(rig.wait_until_placed(30).await, after);
    assert_ne!(before, after);
    assert_eq!(rig.carrier.most_registrations(), 1, "of one account at a time");
    second.stop().await;
}

#[tokio::test]
async fn the_trunkd_that_sees_most_switches_places_gateways() {
    let rig = Rig::new(2, 4).await;
    let address = rig.switches["fs1"].address().to_string();
    let toml = rig.toml("").replace(&address, &format!("127.0.0.1:{}", free_port()));
    let cut_off = TestApp::start(&rig.redis, &toml).await;
    let holder = || async {
        let mut redis = rig.other.connection.clone();
        redis.get::<_, Option<String>>("trunkd:lease:placement").await.unwrap()
    };
    let first = eventually("it has the lease", holder, Option::is_some).await;
    let _app = rig.trunkd("").await;
    let is_another = |holder: &Option<String>| holder.as_ref().is_some_and(|name| !name.is_empty()) && *holder != first;
    eventually("the one that sees both has it", holder, is_another).await;
    rig.wait_until_placed(4).await;
    rig.drain("fs1", true).await;
    rig.wait_until_left("fs1", 4).await;
    rig.wait_until_placed(4).await;
    drop(cut_off);
}

#[tokio::test]
async fn a_switch_is_served_only_what_it_has_also_when_redis_is_away_and_trunkd_starts() {
    let mut rig = Rig::new(2, 8).await;
    let app = rig.trunkd("").await;
    let owners = rig.wait_until_placed(8).await;
    async fn served(app: &TestApp, switch: &str) -> BTreeSet<String> {
        let (status, body) = app.ask_form(&form(switch)).await;
        assert_eq!(status, 200, "{body}");
        let names = body.split("<gateway name=\"").skip(1);
        names
            .map(|rest| rest.split('"').next().unwrap_or_default().to_owned())
            .collect()
    }
    fn form(switch: &str) -> String {
        format!(
            "hostname={switch}&section=configuration&tag_name=configuration&key_name=name&key_value=sofia.conf&profile=external"
        )
    }
    for switch in ["fs1", "fs2"] {
        assert_eq!(served(&app, switch).await, of(&owners, switch));
    }
    assert!(served(&app, "unknown").await.is_empty());
    eventually(
        "the last good state has the placement",
        || async { std::fs::read_to_string(app.folder().join("last-good")).unwrap_or_default() },
        |text| text.contains("\"placements\""),
    )
    .await;
    let folder = app.stop().await;
    rig.redis.kill();
    let app = TestApp::start_in(&rig.redis, &rig.toml(""), quick(), folder).await;
    for switch in ["fs1", "fs2"] {
        assert_eq!(served(&app, switch).await, of(&owners, switch));
    }
}

#[tokio::test]
async fn where_no_switch_may_be_changed_health_says_which_gateways_nobody_has() {
    let rig = Rig::new(1, 1).await;
    let toml = rig.toml("").replace("mode = \"apply\"", "mode = \"observe\"");
    let app = TestApp::start(&rig.redis, &toml).await;
    app.wait_for_reason("placement", &["no live switch", "gw0"]).await;
    let lease = rig.other.connection.clone().exists("trunkd:lease:placement").await;
    assert!(!lease.unwrap_or(true), "another trunkd may place them");
    let _other = rig.trunkd("").await;
    eventually("it has one", || app.part("placement"), |part| part["state"] == "ok").await;
}
