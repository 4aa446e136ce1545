//! Calls over gateways, from their ends on the event socket to the API, the metrics and the command line.

use jiff::Timestamp;
use redis::AsyncCommands;
use serde_json::{Value, json};
use trunkd::access::Role;
use trunkd::app::Timing;

use super::shell::Shell;
use crate::support::api::{API, Client};
use crate::support::app::{Other, Start, TestApp, eventually, quick, switch_toml};
use crate::support::fake_switch::{FakeSwitch, View};
use crate::support::redis::RedisServer;

const ENABLED: &str = "[calls]\nenabled = true\n";
const IP_TRUNK: &str = r#"{"param":{"realm":"sip.example.net","register":"false"},"profile":"external"}"#;
const SUBSCRIBED: &str = "event json CHANNEL_HANGUP_COMPLETE";

struct Rig {
    redis: RedisServer,
    other: Other,
    switch: FakeSwitch,
    app: TestApp,
    admin: Client,
    toml: String,
}

/// A trunkd that counts the calls of a switch of this name, which runs `acme`'s gateway a1 and `globex`'s g1.
async fn rig(switchname: &str) -> Rig {
    rig_with(switchname, quick()).await
}

async fn rig_with(switchname: &str, timing: Timing) -> Rig {
    let redis = RedisServer::start().await;
    let other = Other::new(&redis).await;
    other.set_gateway("acme", "a1", IP_TRUNK).await;
    other.set_gateway("globex", "g1", IP_TRUNK).await;
    let switch = FakeSwitch::builder().switchname(switchname).start().await;
    let toml = format!("{}\n{API}{ENABLED}", switch_toml(&switch, switchname));
    let app = TestApp::launch(&redis, &toml, Start::asked_by(&[&switch]).timing(timing)).await;
    switch.restart().await;
    switch.wait_until("trunkd counts calls", is_counting).await;
    switch.wait_for_state("a1", "NOREG").await;
    switch.wait_for_state("g1", "NOREG").await;
    let admin = Client::admin(&redis, &app).await;
    let rig = Rig {
        redis,
        other,
        switch,
        app,
        admin,
        toml,
    };
    rig.until_listed("a1", |gateway| gateway["switches"][0]["state"] == "NOREG")
        .await;
    rig
}

/// The connection for calls.
fn calls_connection(view: &View) -> Option<u64> {
    let connections = view.connections();
    let of_calls = connections
        .iter()
        .find(|connection| connection.commands.iter().any(|command| command == SUBSCRIBED));
    of_calls.map(|connection| connection.id)
}

fn is_counting(view: &View) -> bool {
    calls_connection(view).is_some() && view.listeners() == 2
}

impl Rig {
    fn answered(&self, gateway: &str) {
        let call = self.switch.dial(gateway).unwrap();
        self.switch.pick_up(&call);
        self.switch.hang_up(call, "NORMAL_CLEARING");
    }

    fn refused(&self, gateway: &str, status: u16) {
        self.switch.refuse(self.switch.dial(gateway).unwrap(), status);
    }

    async fn until_listed(&self, name: &str, holds: impl Fn(&Value) -> bool) -> Value {
        let path = format!("/gateways?q={name}");
        let listed = async || self.admin.get(&path).await.expect(200).body["items"][0].clone();
        eventually(name, listed, holds).await
    }

    /// Waits until this many calls of the last day were answered and have failed.
    async fn until_counted(&self, name: &str, answered: u64, failed: u64) -> Value {
        let gateway = self.until_listed(name, |gateway| {
            let day = &gateway["call_stats"]["last_24h"];
            day["answered"] == answered && day["failed"] == failed
        });
        gateway.await["call_stats"].clone()
    }
}

#[tokio::test]
async fn unless_enabled_nobody_asks_a_switch_for_its_calls() {
    let (redis, switch) = (RedisServer::start().await, FakeSwitch::builder().start().await);
    Other::new(&redis).await.set_gateway("acme", "a1", IP_TRUNK).await;
    let app = TestApp::with_switch(&redis, &switch, API).await;
    let admin = Client::admin(&redis, &app).await;
    let page = admin.get("/gateways").await.expect(200).body;
    assert_eq!(page["items"][0]["call_stats"], Value::Null);
    let one = admin.get("/domains/acme/gateways/a1").await.expect(200).body;
    assert_eq!(one["call_stats"], Value::Null);
    switch.view(|view| {
        let commands = view.commands();
        assert!(
            !commands.iter().any(|command| command.contains("CHANNEL")),
            "{commands:?}"
        );
        assert_eq!(view.connections().len(), 2);
    });
    assert_eq!(app.part("calls:fs1").await, Value::Null);
}

#[tokio::test]
async fn each_gateway_has_its_calls_by_outcome_for_those_who_see_it() {
    let rig = rig("fs-outcomes").await;
    let before = Timestamp::now();
    rig.answered("a1");
    rig.answered("a1");
    rig.refused("a1", 486);
    rig.switch.hang_up(rig.switch.ring("a1"), "ORIGINATOR_CANCEL");
    rig.switch.hang_up(rig.switch.ring(None), "NORMAL_CLEARING");
    let stats = rig.until_counted("a1", 2, 2).await;
    let day = &stats["last_24h"];
    assert_eq!(day["asr_percent"], 50.0);
    assert!(day["acd_seconds"].is_number(), "{day}");
    assert_eq!(day["in"], json!({"answered": 0, "failed": 1}));
    assert_eq!(day["out"], json!({"answered": 2, "failed": 1}));
    assert_eq!(day["causes"], json!({"ORIGINATOR_CANCEL": 1, "USER_BUSY": 1}));
    assert_eq!(stats["last_5m"], *day);
    assert_eq!(stats["last_1h"], *day);
    let since: Timestamp = stats["since"].as_str().unwrap().parse().unwrap();
    assert!(since <= before && stats["complete_since"].is_string(), "{stats}");
    assert_eq!(stats["last_failure"]["switch"], "fs-outcomes");
    assert_eq!(rig.app.part("calls:fs-outcomes").await["state"], "ok");

    let one = rig.admin.get("/domains/acme/gateways/a1").await.expect(200).body;
    assert_eq!(one["call_stats"]["last_24h"], *day);
    let other = rig.admin.get("/domains/globex/gateways/g1").await.expect(200).body;
    assert_eq!(other["call_stats"]["last_24h"]["asr_percent"], Value::Null);

    let (_, metrics) = rig.app.get("/metrics/gateways").await;
    let of_gateway = r#"{switch="fs-outcomes",gateway="a1",profile="external",domain="acme","#;
    for series in [
        format!(r#"trunkd_gateway_ended_calls{of_gateway}window="1h",direction="out",outcome="answered"}} 2"#),
        format!(r#"trunkd_gateway_call_failures{of_gateway}window="24h",cause="USER_BUSY"}} 1"#),
        format!(r#"trunkd_gateway_asr{of_gateway}window="5m"}} 0.5"#),
    ] {
        assert!(metrics.contains(&series), "{series} is not in {metrics}");
    }
    assert!(!metrics.contains(r#"trunkd_gateway_asr{switch="fs-outcomes",gateway="g1""#));

    let limited = Client::new(&rig.redis, &rig.app, Role::Viewer, "globex").await;
    let page = limited.get("/gateways").await.expect(200).body;
    assert!(!page.to_string().contains("USER_BUSY"), "{page}");
    limited.get("/domains/acme/gateways/a1").await.expect(403);
}

#[tokio::test]
async fn a_call_that_outlives_its_gateway_counts_and_calls_of_others_dont() {
    let rig = rig("fs-outlived").await;
    rig.switch.add_gateways(
        "external",
        r#"<gateway name="theirs"><param name="register" value="false"/></gateway>"#,
    );
    rig.refused("theirs", 503);
    let call = rig.switch.dial("a1").unwrap();
    rig.switch.pick_up(&call);
    rig.switch.api("sofia profile external killgw a1").await;
    rig.switch.wait_for_gone("a1").await;
    rig.switch.hang_up(call, "NORMAL_CLEARING");
    rig.until_counted("a1", 1, 0).await;
    let theirs = rig.until_listed("theirs", |gateway| gateway["name"] == "theirs").await;
    assert_eq!(theirs["call_stats"], Value::Null);
    let counted = rig
        .app
        .metric(r#"trunkd_calls_counted_total{switch="fs-outlived"}"#)
        .await;
    assert_eq!(counted, Some(1.0), "the other one came first, and was not counted");
}

#[tokio::test]
async fn after_a_lost_connection_counting_goes_on_and_the_gap_is_told() {
    let rig = rig("fs-lost").await;
    rig.answered("a1");
    let before = rig.until_counted("a1", 1, 0).await;
    let (of_calls, all) = rig
        .switch
        .view(|view| (calls_connection(view).unwrap(), view.connections().len()));
    rig.switch.drop_connection(of_calls);
    let is_back = |view: &View| calls_connection(view).is_some_and(|id| id != of_calls);
    rig.switch.wait_until("trunkd counts calls again", is_back).await;
    let after = rig
        .until_listed("a1", |gateway| {
            let complete = &gateway["call_stats"]["complete_since"];
            complete.is_string() && *complete != before["complete_since"]
        })
        .await;
    assert_eq!(after["call_stats"]["since"], before["since"]);
    assert_eq!(rig.switch.view(|view| view.connections().len()), all);
    rig.answered("a1");
    rig.until_counted("a1", 2, 0).await;
}

#[tokio::test]
async fn a_flood_of_calls_is_not_in_the_way_of_the_events_of_gateways() {
    const FLOOD: u64 = 5_000;
    const STATES: usize = 500;
    // A connection that is stalled, or a switch that is busy making the flood, is not dead.
    let mut timing = quick();
    timing.ingest.connection = trunkd::event_socket::Timing::default();
    let rig = rig_with("fs-flood", timing).await;
    let of_calls = rig.switch.view(|view| calls_connection(view).unwrap());
    // What trunkd has not read of the flood waits on a connection of its own.
    rig.switch.stall_connection(of_calls, true);
    let gateways = ["a1".to_owned(), "theirs".to_owned()];
    let calls = rig.switch.prepare_burst_of_calls(FLOOD as usize, &gateways);
    assert_eq!(rig.switch.fire_burst(&calls), 1, "one connection hears calls");
    let states = rig.switch.prepare_burst(STATES, &gateways[..1]);
    assert_eq!(rig.switch.fire_burst(&states), 1, "another one hears of gateways");
    rig.other
        .wait_for("gateways", "a1", "/Event-Sequence", states.last_sequence.to_string())
        .await;
    rig.switch.stall_connection(of_calls, false);
    rig.until_counted("a1", FLOOD / 2, 0).await;
}

#[tokio::test]
async fn figures_outlive_trunkd_and_commands_show_them() {
    let mut rig = rig("fs-kept").await;
    rig.answered("a1");
    rig.refused("a1", 403);
    let before = rig.until_counted("a1", 1, 1).await;
    rig.app.stop().await;
    let key = "trunkd:ended-calls:fs-kept";
    let left: i64 = rig.other.connection.ttl(key).await.unwrap();
    assert!(left > 24 * 3600, "{left}");

    let shell = Shell::new(&rig.redis, &rig.toml);
    let out = shell.gateway(&["get", "a1"]).await;
    let out = out.expect(0);
    assert!(
        out.contains("calls of the last 24h: 1 answered, 1 failed, ASR 50 %"),
        "{out}"
    );
    assert!(
        out.contains("last failed call: CALL_REJECTED (SIP 403) on fs-kept"),
        "{out}"
    );
    let json = shell.gateway(&["get", "a1", "--json"]).await;
    let json: Value = serde_json::from_str(json.expect(0)).unwrap();
    assert_eq!(json["call_stats"]["last_24h"], before["last_24h"]);
    assert_eq!(json["call_stats"]["since"], before["since"]);

    rig.app = TestApp::start(&rig.redis, &rig.toml).await;
    rig.admin = Client::named(&rig.redis, &rig.app, "again", Role::Admin, "*").await;
    let after = rig.until_counted("a1", 1, 1).await;
    assert_eq!(after["since"], before["since"]);
    assert_eq!(after["last_failure"], before["last_failure"]);
    rig.switch.wait_until("trunkd counts calls", is_counting).await;
    rig.answered("a1");
    rig.until_counted("a1", 2, 1).await;
}
