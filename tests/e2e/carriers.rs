//! What happens at each carrier, in the API, on the command line and for Prometheus.

use std::time::Duration;

use serde_json::{Value, json};
use trunkd::access::Role;

use super::shell::Shell;
use crate::support::api::{API, Client};
use crate::support::app::{Other, TestApp, eventually, switch_toml};
use crate::support::fake_switch::{Builder, Carrier, FORBIDDEN, FakeSwitch, Outcome};
use crate::support::redis::RedisServer;

const APPLY: &str = "[reconcile]\nmode = \"apply\"\nresync_interval = \"1s\"\n";
const PACED: &str = "[[carrier]]\nname = \"Main\"\nmatch = [\"sip.test\"]\nregisters_per_second = 50\n";
const CALLS: &str = "[calls]\nenabled = true\n";

struct Rig {
    redis: RedisServer,
    switch: FakeSwitch,
    carrier: Carrier,
    other: Other,
    app: TestApp,
    admin: Client,
    settings: String,
}

impl Rig {
    async fn start(toml: &str) -> Self {
        Self::with_switch(FakeSwitch::builder(), toml).await
    }

    async fn with_switch(switch: Builder, toml: &str) -> Self {
        let (redis, carrier) = (RedisServer::start().await, Carrier::new("sip.test"));
        let switch = switch.carrier(&carrier).start().await;
        let settings = format!("{}{toml}", switch_toml(&switch, "fs1"));
        let app = TestApp::with_switch(&redis, &switch, &format!("{toml}{API}{APPLY}")).await;
        Self {
            admin: Client::admin(&redis, &app).await,
            other: Other::new(&redis).await,
            redis,
            switch,
            carrier,
            app,
            settings,
        }
    }

    async fn set(&self, domain: &str, gateway: &str, realm: &str) {
        let params = json!({"realm": realm, "username": gateway, "password": "p", "retry-seconds": "1"});
        let value = json!({ "param": params });
        self.other.set_gateway(domain, gateway, &value.to_string()).await;
    }

    async fn up(&self, domain: &str, gateway: &str, realm: &str) {
        self.set(domain, gateway, realm).await;
        self.switch.wait_for_state(gateway, "REGED").await;
    }

    /// Waits until the API says so of a carrier.
    async fn wait_for(&self, client: &Client, name: &str, holds: impl Fn(&Value) -> bool) -> Value {
        let look = async || {
            let answer = client.get(&format!("/carriers?name={name}")).await.expect(200);
            answer.body["items"][0].clone()
        };
        eventually(&format!("the API says it of {name}"), look, holds).await
    }

    /// As `/metrics/carriers` has it.
    async fn metric(&self, series: &str) -> Option<f64> {
        let (status, text) = self.app.get("/metrics/carriers").await;
        assert_eq!(status, 200, "{text}");
        text.lines()
            .find_map(|line| line.strip_prefix(series)?.strip_prefix(' ')?.parse().ok())
    }
}

#[tokio::test]
async fn gateways_registers_and_refusals_are_told_by_carrier_wherever_one_asks() {
    let rig = Rig::start(PACED).await;
    rig.up("acme", "good", "sip.test").await;
    rig.up("globex", "theirs", "other.test").await;
    rig.carrier.answer("bad", FORBIDDEN);
    rig.set("acme", "bad", "SIP.test:5060").await;
    rig.other
        .wait_for("trunkd:parked:fs1", "bad", "/phase", "waiting")
        .await;

    let is_parked = |carrier: &Value| carrier["parked"] == 1 && carrier["refused"]["403"] == 5;
    let main = rig.wait_for(&rig.admin, "Main", is_parked).await;
    assert_eq!(
        (&main["gateways"], &main["state"]),
        (&json!(2), &json!({"up": 1, "down": 1}))
    );
    let registers = &main["registers"];
    assert!(registers["per_second"].as_f64().unwrap() > 0.0, "{registers}");
    assert_eq!(
        (&registers["limit_per_second"], &registers["limit_in_flight"]),
        (&json!(50), &Value::Null)
    );
    let on = &main["switches"][0];
    assert_eq!(
        (&on["switch"], &on["parked"], &on["refused"]),
        (&json!("fs1"), &json!(1), &json!({"403": 5}))
    );
    assert_eq!(main["out_since"], Value::Null);

    let all = rig.admin.get("/carriers").await.expect(200).body;
    let items = all["items"].as_array().unwrap();
    let names: Vec<_> = items.iter().map(|carrier| carrier["name"].as_str().unwrap()).collect();
    assert_eq!((names, &all["total"]), (vec!["Main", "other.test"], &json!(2)));
    let first = rig.admin.get("/carriers?limit=1").await.expect(200).body;
    assert_eq!(
        (&first["others"]["name"], &first["others"]["gateways"]),
        (&json!("other"), &json!(1))
    );
    let list = async || rig.admin.get("/gateways?carrier=Main").await.expect(200).body;
    let listed = eventually("the list counts it", list, |page| page["counts"]["parked"] == 1).await;
    assert_eq!(listed["total"], 2);
    let list = async || rig.admin.get("/gateways?state=parked").await.expect(200).body;
    let parked = eventually("the list has it", list, |page| page["total"] == 1).await;
    assert_eq!(parked["items"][0]["name"], "bad");

    let shell = Shell::new(&rig.redis, &rig.settings);
    let told = shell.run(&["carriers", "Main", "--json"]).await.json();
    assert_eq!(told["items"][0]["refused"], json!({"403": 5}));
    assert_eq!(told["items"][0]["parked"], 1);
    let table = shell.run(&["carriers"]).await;
    for words in ["Main", "1 up, 1 down", "403: 5", "1 parked", "other.test"] {
        assert!(table.expect(0).contains(words), "{words}: {}", table.out);
    }
    let listed = shell.gateway(&["list", "--state=parked"]).await;
    assert!(
        listed.expect(0).contains("bad") && !listed.out.contains("good"),
        "{}",
        listed.out
    );
    let status = shell.run(&["status", "--state=parked", "--json"]).await;
    let status: Value = serde_json::from_str(status.expect(2)).unwrap();
    let gateways: Vec<_> = status["switches"][0]["gateways"]
        .as_array()
        .unwrap()
        .iter()
        .map(|on| &on["name"])
        .collect();
    assert_eq!(gateways, [&json!("bad")]);
    let status = shell.run(&["status"]).await;
    assert!(
        status.expect(2).contains("carrier Main: 1 up, 1 down;"),
        "{}",
        status.out
    );
    let status = rig.admin.get("/status?failing=true").await.expect(200).body;
    assert_eq!(status["carriers"]["items"][0]["parked"], 1);

    let series = r#"trunkd_carrier_refusals{carrier="Main",switch="fs1",code="403"}"#;
    assert_eq!(rig.metric(series).await, Some(5.0));
    let series = r#"trunkd_carrier_gateways{carrier="other.test",switch="fs1",state="up"}"#;
    assert_eq!(rig.metric(series).await, Some(1.0));
    let series = r#"trunkd_carrier_register_limit{carrier="Main"}"#;
    assert_eq!(rig.metric(series).await, Some(50.0));
}

#[tokio::test]
async fn who_sees_one_domain_sees_the_numbers_of_its_gateways_alone() {
    let rig = Rig::start(PACED).await;
    rig.up("acme", "a", "sip.test").await;
    rig.up("globex", "g", "sip.test").await;
    rig.up("globex", "h", "other.test").await;
    let all = |carrier: &Value| carrier["state"] == json!({"up": 2});
    rig.wait_for(&rig.admin, "Main", all).await;
    let viewer = Client::new(&rig.redis, &rig.app, Role::Viewer, "acme").await;
    let seen = viewer.get("/carriers").await.expect(200).body;
    assert_eq!(seen["total"], 1, "{seen:#}");
    assert_eq!(seen["items"][0]["state"], json!({"up": 1}));
    let status = viewer.get("/status").await.expect(200).body;
    assert_eq!(status["carriers"]["items"][0]["gateways"], 1);
}

#[tokio::test]
async fn a_carrier_that_is_out_comes_first_and_says_on_which_switch() {
    let rig = Rig::start("").await;
    rig.up("acme", "fine", "fine.test").await;
    let gateways = ["a", "b", "c"];
    for gateway in gateways {
        rig.carrier.answer(gateway, FORBIDDEN);
        rig.set("acme", gateway, "sip.test").await;
    }
    rig.other
        .wait_for("trunkd:carriers-out:fs1", "sip.test", "/of", 3)
        .await;
    let is_out = |carrier: &Value| !carrier["out_since"].is_null();
    let out = rig.wait_for(&rig.admin, "sip.test", is_out).await;
    let on = &out["switches"][0]["out"];
    assert_eq!((&on["failing"], &on["of"]), (&json!(3), &json!(3)));
    let all = rig.admin.get("/carriers").await.expect(200).body;
    assert_eq!(all["items"][0]["name"], "sip.test");
    let viewer = Client::new(&rig.redis, &rig.app, Role::Viewer, "acme").await;
    let seen = viewer.get("/carriers?name=sip.test").await.expect(200).body;
    assert_eq!(seen["items"][0]["switches"][0]["out"]["of"], Value::Null);
    let shell = Shell::new(&rig.redis, &rig.settings);
    let told = shell.run(&["carriers"]).await;
    assert!(told.expect(0).contains("OUT on fs1 for "), "{}", told.out);
    for gateway in gateways {
        rig.carrier.answer(gateway, Outcome::Ok);
    }
    let is_back = |carrier: &Value| carrier["out_since"].is_null();
    rig.wait_for(&rig.admin, "sip.test", is_back).await;
}

#[tokio::test]
async fn what_waits_for_the_pace_is_counted_until_it_registers() {
    let slow = "[[carrier]]\nname = \"sip.test\"\nregisters_per_second = 1\n";
    // One registers in each of its seconds, so the others wait for long enough to be seen.
    let switch = FakeSwitch::builder().tick(Duration::from_millis(500));
    let rig = Rig::with_switch(switch, slow).await;
    for number in 0..8 {
        rig.set("acme", &format!("gw{number}"), "sip.test").await;
    }
    let waits = |carrier: &Value| carrier["waiting"].as_u64().is_some_and(|waiting| waiting > 0);
    let waiting = rig.wait_for(&rig.admin, "sip.test", waits).await;
    assert_eq!(waiting["registers"]["limit_per_second"], 1);
    let done = |carrier: &Value| carrier["waiting"] == 0 && carrier["state"] == json!({"up": 8});
    let done = rig.wait_for(&rig.admin, "sip.test", done).await;
    assert_eq!(done["refused"], json!({}));
}

#[tokio::test]
async fn calls_are_summed_up_by_carrier() {
    let rig = Rig::start(CALLS).await;
    rig.up("acme", "a", "sip.test").await;
    rig.up("acme", "b", "sip.test").await;
    rig.switch
        .wait_until("calls are counted", |view| view.listeners() == 2)
        .await;
    for gateway in ["a", "b"] {
        let call = rig.switch.dial(gateway).unwrap();
        rig.switch.pick_up(&call);
        rig.switch.hang_up(call, "NORMAL_CLEARING");
    }
    rig.switch.refuse(rig.switch.dial("a").unwrap(), 486);
    let counted = |carrier: &Value| {
        let hour = &carrier["call_stats"]["last_1h"];
        hour["out"] == json!({"answered": 2, "failed": 1})
    };
    rig.wait_for(&rig.admin, "sip.test", counted).await;
    let series = r#"trunkd_carrier_ended_calls{carrier="sip.test",window="1h",direction="out",outcome="answered"}"#;
    assert_eq!(rig.metric(series).await, Some(2.0));
}
