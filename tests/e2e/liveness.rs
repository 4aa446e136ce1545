//! Which switches are dead, as all trunkd see it.

use std::time::Duration;

use serde_json::Value;

use crate::support::app::{Other, TestApp, eventually, quick, switch_toml};
use crate::support::fake_switch::FakeSwitch;
use crate::support::port::free_port;
use crate::support::redis::RedisServer;

const ON_ONE: &str = r#"{"param":{"realm":"ip.test","register":"false"},"placement":"one"}"#;
/// Longer than the shortest that the settings allow: on a busy machine a switch must not count as lost that only
/// answers late.
const FAILOVER: &str = "[placement]\nfailover_after = \"4s\"\n";
const FAILOVER_AFTER: Duration = Duration::from_secs(4);
const NAMES: [&str; 3] = ["fs1", "fs2", "fs3"];

/// Three switches, and a gateway that runs on one of them.
struct Rig {
    redis: RedisServer,
    other: Other,
    switches: Vec<FakeSwitch>,
}

impl Rig {
    async fn new() -> Self {
        let redis = RedisServer::start().await;
        let other = Other::new(&redis).await;
        other.set_gateway("acme", "gw1", ON_ONE).await;
        let mut switches = Vec::new();
        for name in NAMES {
            switches.push(FakeSwitch::builder().switchname(name).sip().start().await);
        }
        Self { redis, other, switches }
    }

    fn toml(&self) -> String {
        let switches = self.switches.iter().zip(NAMES);
        let blocks: String = switches.map(|(switch, name)| switch_toml(switch, name)).collect();
        format!("{FAILOVER}{blocks}")
    }

    /// A trunkd that sees each switch in both ways.
    async fn trunkd(&self) -> TestApp {
        let app = TestApp::start(&self.redis, &self.toml()).await;
        for name in NAMES {
            wait_for_life(&app, name, "live").await;
            wait_for_sip(&app, name, 1.0).await;
        }
        app
    }

    /// Waits until one trunkd has lost `fs1` in these ways for longer than any death takes.
    async fn wait_for_silence(&self, ways: &[&str]) {
        let is_lost = |sights: &Value| {
            let silence = |way: &&str| {
                sights["switches"]["fs1"][*way]["for_ms"]
                    .as_u64()
                    .map(Duration::from_millis)
            };
            ways.iter().all(|way| silence(way) > Some(FAILOVER_AFTER * 3 / 2))
        };
        eventually(
            "it is lost for long",
            || self.other.hash("trunkd:sights"),
            |all| all.values().any(is_lost),
        )
        .await;
    }
}

async fn life(app: &TestApp, switch: &str, life: &str) -> Option<f64> {
    app.metric(&format!("trunkd_switch_life{{switch=\"{switch}\",life=\"{life}\"}}"))
        .await
}

async fn wait_for_life(app: &TestApp, switch: &str, expected: &str) {
    eventually(
        &format!("{switch} is {expected}"),
        || life(app, switch, expected),
        |is_it| *is_it == Some(1.0),
    )
    .await;
}

async fn wait_for_sip(app: &TestApp, switch: &str, expected: f64) {
    let series = format!("trunkd_switch_sip_up{{switch=\"{switch}\"}}");
    eventually(
        &format!("{series} {expected}"),
        || app.metric(&series),
        |up| *up == Some(expected),
    )
    .await;
}

#[tokio::test]
async fn a_switch_that_is_killed_is_dead_and_all_of_them_at_once_are_not() {
    let mut rig = Rig::new().await;
    let app = rig.trunkd().await;
    assert_ne!(app.part("liveness:fs1").await["state"], "degraded");

    drop(rig.switches.remove(0));
    let part = app
        .wait_for_reason(
            "liveness:fs1",
            &["dead since", "neither its event socket nor SIP answers"],
        )
        .await;
    assert_eq!(part["state"], "degraded");
    wait_for_life(&app, "fs1", "dead").await;
    wait_for_life(&app, "fs2", "live").await;

    // Now trunkd reaches nothing, so it may be trunkd.
    rig.switches.clear();
    for name in NAMES {
        app.wait_for_reason(
            &format!("liveness:{name}"),
            &["no trunkd reaches any switch", "nothing is moved"],
        )
        .await;
        wait_for_life(&app, name, "unknown").await;
    }
}

#[tokio::test]
async fn a_switch_that_loses_its_power_is_dead_although_it_closes_no_connection() {
    let rig = Rig::new().await;
    let mut timing = quick();
    // By itself it would not ask within this test.
    timing.ingest.connection.silence = Duration::from_secs(3600);
    let app = TestApp::start_with(&rig.redis, &rig.toml(), timing).await;
    for name in NAMES {
        wait_for_sip(&app, name, 1.0).await;
    }
    rig.switches[0].cut_off(true);
    wait_for_life(&app, "fs1", "dead").await;
    wait_for_life(&app, "fs2", "live").await;
    rig.switches[0].cut_off(false);
    wait_for_life(&app, "fs1", "live").await;
}

#[tokio::test]
async fn a_switch_whose_sip_answers_is_only_degraded() {
    let rig = Rig::new().await;
    let app = rig.trunkd().await;
    rig.switches[0].refuse_connections(true).await;
    rig.switches[0].drop_connections();
    app.wait_for_reason("liveness:fs1", &["SIP answers, but its event socket is lost"])
        .await;
    rig.wait_for_silence(&["event_socket"]).await;
    wait_for_life(&app, "fs1", "degraded").await;
    rig.switches[0].refuse_connections(false).await;
    wait_for_life(&app, "fs1", "live").await;
    eventually(
        "it is well again",
        || app.part("liveness:fs1"),
        |part| part["state"] == "ok",
    )
    .await;
}

#[tokio::test]
async fn a_switch_whose_event_socket_is_connected_is_live_without_sip() {
    let rig = Rig::new().await;
    let app = rig.trunkd().await;
    rig.switches[0].silence_sip(true);
    wait_for_sip(&app, "fs1", 0.0).await;
    rig.wait_for_silence(&["sip"]).await;
    // On a busy machine the event socket may be opened again meanwhile.
    wait_for_life(&app, "fs1", "live").await;
    rig.switches[0].silence_sip(false);
    wait_for_sip(&app, "fs1", 1.0).await;
}

#[tokio::test]
async fn a_trunkd_that_is_cut_off_from_a_switch_does_not_make_it_dead() {
    let mut rig = Rig::new().await;
    let app = rig.trunkd().await;
    // The way of this one to `fs1` leads nowhere.
    let nowhere = format!("sip = \"127.0.0.1:{}\"\n", free_port());
    let address = rig.switches[0].address().to_string();
    let toml = rig.toml().replace(
        &format!("address = \"{address}\"\n"),
        &format!("address = \"127.0.0.1:{}\"\n{nowhere}", free_port()),
    );
    let cut_off = TestApp::start(&rig.redis, &toml).await;
    rig.wait_for_silence(&["event_socket", "sip"]).await;
    wait_for_sip(&cut_off, "fs1", 0.0).await;
    for trunkd in [&app, &cut_off] {
        wait_for_life(trunkd, "fs1", "live").await;
    }
    // It agrees when the other one loses the switch.
    drop(rig.switches.remove(0));
    for trunkd in [&app, &cut_off] {
        wait_for_life(trunkd, "fs1", "dead").await;
    }
}

#[tokio::test]
async fn a_trunkd_that_starts_after_the_death_knows_where_sip_answered() {
    let mut rig = Rig::new().await;
    let app = rig.trunkd().await;
    let (toml, sip) = (rig.toml(), rig.switches[0].sip_address("external").to_string());
    let mut connection = rig.other.connection.clone();
    let known: String = redis::AsyncCommands::hget(&mut connection, "trunkd:sip", "fs1")
        .await
        .unwrap();
    assert_eq!(known, sip);
    app.stop().await;
    drop(rig.switches.remove(0));
    let app = TestApp::start(&rig.redis, &toml).await;
    wait_for_life(&app, "fs1", "dead").await;
}

#[tokio::test]
async fn nobody_is_watched_while_no_gateway_runs_on_one_switch() {
    let rig = Rig::new().await;
    rig.other.delete_gateway("acme", "gw1").await;
    let app = TestApp::start(&rig.redis, &rig.toml()).await;
    eventually(
        "it is connected",
        || app.part("switch:fs1"),
        |part| part["state"] == "ok",
    )
    .await;
    assert!(rig.other.hash("trunkd:sights").await.is_empty());
    rig.other.set_gateway("acme", "gw1", ON_ONE).await;
    wait_for_life(&app, "fs1", "live").await;
    // The metrics are those of all tests.
    eventually(
        "it shares what it sees",
        || rig.other.hash("trunkd:sights"),
        |sights| sights.len() == 1,
    )
    .await;
}
