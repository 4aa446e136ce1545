//! Gateways that their carrier refuses.

use std::time::Duration;

use redis::AsyncCommands;
use serde_json::{Value, json};
use trunkd::access::Role;
use trunkd::app::Timing;

use crate::support::api::{API, Client};
use crate::support::app::{Other, Start, TestApp, eventually, quick, switch_toml};
use crate::support::fake_switch::{BUSY, Carrier, FORBIDDEN, FakeSwitch, Outcome};
use crate::support::redis::RedisServer;

const APPLY: &str = "[reconcile]\nmode = \"apply\"\nresync_interval = \"1s\"\n";
const PARKED: &str = "trunkd:parked:fs1";
const AN_HOUR: Duration = Duration::from_secs(3600);

struct Rig {
    redis: RedisServer,
    switch: FakeSwitch,
    carrier: Carrier,
    other: Other,
    app: TestApp,
    admin: Client,
}

impl Rig {
    async fn start(first_park: Duration) -> Self {
        let (redis, carrier) = (RedisServer::start().await, Carrier::new("sip.test"));
        let switch = FakeSwitch::builder().carrier(&carrier).start().await;
        Self::with(redis, carrier, switch, first_park).await
    }

    async fn with(redis: RedisServer, carrier: Carrier, switch: FakeSwitch, first_park: Duration) -> Self {
        let app = trunkd(&redis, &switch, first_park).await;
        Self {
            admin: Client::admin(&redis, &app).await,
            other: Other::new(&redis).await,
            redis,
            switch,
            carrier,
            app,
        }
    }

    /// Another trunkd in its place.
    async fn restart_trunkd(self, first_park: Duration) -> Self {
        drop(self.app.stop().await);
        let app = trunkd(&self.redis, &self.switch, first_park).await;
        Self { app, ..self }
    }

    async fn set(&self, gateway: &str, password: &str) {
        let value = value(gateway, password);
        self.other.set_gateway("acme", gateway, &value).await;
    }

    async fn refuse(&self, gateway: &str) {
        self.carrier.answer(gateway, FORBIDDEN);
        self.set(gateway, "p").await;
    }

    /// Waits until it is parked and down.
    async fn parked(&self, gateway: &str) -> Value {
        let parked = self.other.wait_for(PARKED, gateway, "/phase", "waiting").await;
        assert_eq!(self.state(gateway), Some("DOWN".to_owned()));
        parked
    }

    fn state(&self, gateway: &str) -> Option<String> {
        self.switch.view(|view| view.state(gateway).map(str::to_owned))
    }

    fn registers(&self, gateway: &str) -> usize {
        let registers = self.carrier.registers();
        registers.iter().filter(|one| one.gateway == gateway).count()
    }

    /// Waits until the carrier was asked that often.
    async fn asked(&self, gateway: &str, times: usize) {
        let what = format!("{gateway} registers {times} times");
        eventually(&what, async || self.registers(gateway), |count| *count >= times).await;
    }

    async fn wait_for_metric(&self, series: &str, value: f64) {
        eventually(series, || self.app.metric(series), |seen| *seen == Some(value)).await;
    }

    /// Entries of the history, oldest first.
    async fn history(&self, kinds: &str) -> Vec<Value> {
        let page = self.admin.get(&format!("/history?kind={kinds}")).await.expect(200);
        let mut items = page.body["items"].as_array().unwrap().clone();
        items.reverse();
        items
    }
}

fn value(username: &str, password: &str) -> String {
    let params = json!({"realm": "sip.test", "username": username, "password": password, "retry-seconds": "1"});
    json!({ "param": params }).to_string()
}

async fn trunkd(redis: &RedisServer, switch: &FakeSwitch, first_park: Duration) -> TestApp {
    let timing = Timing {
        reconcile: trunkd::reconcile::Timing {
            first_park,
            ..quick().reconcile
        },
        ..quick()
    };
    let toml = format!("{}{API}{APPLY}", switch_toml(switch, "fs1"));
    TestApp::launch(redis, &toml, Start::asked_by(&[switch]).timing(timing)).await
}

#[tokio::test]
async fn a_gateway_that_is_refused_for_good_is_parked_and_an_edit_tries_again() {
    let rig = Rig::start(AN_HOUR).await;
    rig.set("good", "p").await;
    rig.refuse("bad").await;
    let parked = rig.parked("bad").await;
    assert_eq!(
        (&parked["code"], &parked["phrase"]),
        (&json!("403"), &json!("Forbidden"))
    );
    assert_eq!((&parked["by"], &parked["tries"]), (&json!("trunkd"), &json!(0)));
    assert_eq!(rig.registers("bad"), 5);
    assert_eq!(rig.state("good").as_deref(), Some("REGED"));
    rig.wait_for_metric(r#"trunkd_parked_gateways{switch="fs1"}"#, 1.0)
        .await;
    let note = async || {
        let shown = rig.admin.get("/domains/acme/gateways/bad").await.expect(200);
        shown.body["switches"][0]["note"].clone()
    };
    let note = eventually("the note says so", note, |note| note["code"] == "parked").await;
    assert!(note["text"].as_str().unwrap().contains("403 Forbidden"), "{note:#}");

    rig.carrier.answer("bad", Outcome::Ok);
    rig.set("bad", "right").await;
    rig.switch.wait_for_state("bad", "REGED").await;
    rig.other.wait_for_gone(PARKED, "bad").await;
    let entries = rig.history("parked,unparked").await;
    let kinds: Vec<_> = entries.iter().map(|entry| entry["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["parked", "unparked"]);
    assert_eq!(entries[0]["reason"], "403 Forbidden");
    assert_eq!(entries[1]["reason"], "edited");
    assert_eq!(entries[1]["gateway"], "bad");
}

#[tokio::test]
async fn a_parked_gateway_tries_again_after_longer_and_longer_waits() {
    let rig = Rig::start(Duration::from_millis(200)).await;
    rig.refuse("bad").await;
    rig.other.wait_for(PARKED, "bad", "/tries", 2).await;
    // One REGISTER each time.
    assert!(rig.registers("bad") <= 8, "{}", rig.registers("bad"));
    rig.carrier.answer("bad", Outcome::Ok);
    rig.switch.wait_for_state("bad", "REGED").await;
    rig.other.wait_for_gone(PARKED, "bad").await;
    let entries = rig.history("unparked").await;
    assert_eq!(entries.last().unwrap()["reason"], "registered");
}

#[tokio::test]
async fn nothing_is_parked_for_a_carrier_that_is_busy() {
    let rig = Rig::start(AN_HOUR).await;
    rig.carrier.answer("busy", BUSY);
    rig.set("busy", "p").await;
    rig.asked("busy", 8).await;
    assert!(rig.other.hash(PARKED).await.is_empty());
}

#[tokio::test]
async fn if_most_gateways_of_a_carrier_fail_together_it_is_told_once_and_nothing_is_parked() {
    let rig = Rig::start(AN_HOUR).await;
    rig.set("e", "p").await;
    rig.switch.wait_for_state("e", "REGED").await;
    let gateways = ["a", "b", "c", "d"];
    for gateway in gateways {
        rig.carrier.answer(gateway, FORBIDDEN);
    }
    let values = gateways.map(|gateway| (gateway, value(gateway, "p")));
    let mut redis = rig.other.connection.clone();
    redis
        .hset_multiple::<_, _, _, ()>("cti_gateway@acme", &values)
        .await
        .unwrap();
    for gateway in gateways {
        rig.asked(gateway, 7).await;
    }
    assert!(rig.other.hash(PARKED).await.is_empty());
    let out = rig.other.field("trunkd:carriers-out:fs1", "sip.test").await.unwrap();
    assert_eq!(out["of"], 5);
    let entries = rig.history("carrier_out,carrier_back").await;
    assert_eq!(entries.len(), 1, "{entries:#?}");
    assert_eq!(
        (&entries[0]["kind"], &entries[0]["carrier"]),
        (&json!("carrier_out"), &json!("sip.test"))
    );
    let series = r#"trunkd_carrier_out{carrier="sip.test",switch="fs1"}"#;
    rig.wait_for_metric(series, 1.0).await;
    rig.app
        .wait_for_reason("reconcile:fs1", &["sip.test", "fail together"])
        .await;

    for gateway in gateways {
        rig.carrier.answer(gateway, Outcome::Ok);
    }
    for gateway in gateways {
        rig.switch.wait_for_state(gateway, "REGED").await;
    }
    rig.other.wait_for_gone("trunkd:carriers-out:fs1", "sip.test").await;
    assert_eq!(rig.history("carrier_back").await.len(), 1);
}

#[tokio::test]
async fn gateways_that_have_only_just_begun_to_register_make_no_carrier_fail() {
    let (redis, carrier) = (RedisServer::start().await, Carrier::new("sip.test"));
    // Each takes a while until it is REGED.
    let switch = FakeSwitch::builder().carrier(&carrier).tick(Duration::from_millis(400));
    let rig = Rig::with(redis, carrier, switch.start().await, AN_HOUR).await;
    let gateways = ["a", "b", "c", "d"];
    for gateway in gateways {
        rig.set(gateway, "p").await;
    }
    for gateway in gateways {
        rig.switch.wait_for_state(gateway, "REGED").await;
    }
    for gateway in gateways {
        rig.other
            .wait_for("trunkd:status:fs1", gateway, "/state", "REGED")
            .await;
    }
    let entries = rig.history("carrier_out,carrier_back").await;
    assert!(entries.is_empty(), "{entries:#?}");
}

#[tokio::test]
async fn a_parked_gateway_that_somebody_registers_is_no_longer_parked() {
    let rig = Rig::start(AN_HOUR).await;
    rig.refuse("bad").await;
    rig.parked("bad").await;
    rig.carrier.answer("bad", Outcome::Ok);
    rig.switch.api("sofia profile external register bad").await;
    rig.other.wait_for_gone(PARKED, "bad").await;
    rig.switch.wait_for_state("bad", "REGED").await;
    let entries = rig.history("unparked").await;
    assert_eq!(entries[0]["reason"], "by_hand");
}

#[tokio::test]
async fn what_is_parked_stays_parked_when_trunkd_and_the_switch_restart() {
    let rig = Rig::start(AN_HOUR).await;
    rig.set("good", "p").await;
    rig.refuse("bad").await;
    let before = rig.parked("bad").await;
    let rig = rig.restart_trunkd(AN_HOUR).await;
    eventually(
        "it knows",
        async || rig.other.field("trunkd:reconcile", "fs1").await,
        |report| {
            report
                .as_ref()
                .is_some_and(|report| report["knows"] == true && report["leads"] == true)
        },
    )
    .await;
    assert_eq!(rig.other.field(PARKED, "bad").await, Some(before.clone()));
    rig.carrier.forget_received();
    rig.switch.restart().await;
    rig.switch.wait_for_state("good", "REGED").await;
    rig.other.wait_for("trunkd:status:fs1", "good", "/state", "REGED").await;
    // A rescan doesn't bring it either.
    rig.switch.api("sofia profile external rescan").await;
    rig.set("late", "p").await;
    rig.switch.wait_for_state("late", "REGED").await;
    assert_eq!(rig.state("bad"), None);
    assert_eq!(rig.registers("bad"), 0);
    assert_eq!(rig.other.field(PARKED, "bad").await, Some(before));

    // An absent one is started by an edit.
    rig.carrier.answer("bad", Outcome::Ok);
    rig.set("bad", "right").await;
    rig.switch.wait_for_state("bad", "REGED").await;
}

#[tokio::test]
async fn an_absent_parked_gateway_is_started_for_its_next_try() {
    let rig = Rig::start(Duration::from_secs(2)).await;
    rig.refuse("bad").await;
    rig.parked("bad").await;
    rig.carrier.answer("bad", Outcome::Ok);
    rig.switch.restart().await;
    rig.switch.wait_for_state("bad", "REGED").await;
    rig.other.wait_for_gone(PARKED, "bad").await;
}

#[tokio::test]
async fn a_trunkd_that_dies_in_the_middle_leaves_it_to_the_next_one() {
    let rig = Rig::start(AN_HOUR).await;
    rig.refuse("bad").await;
    let mut parked = rig.parked("bad").await;
    // It died before it sent `unregister`.
    rig.switch.api("sofia profile external register bad").await;
    drop(rig.app.stop().await);
    let save = async |parked: &Value| {
        let mut redis = rig.other.connection.clone();
        redis
            .hset::<_, _, _, ()>(PARKED, "bad", parked.to_string())
            .await
            .unwrap();
    };
    parked["phase"] = json!("stopping");
    save(&parked).await;
    let app = trunkd(&rig.redis, &rig.switch, AN_HOUR).await;
    rig.other.wait_for(PARKED, "bad", "/phase", "waiting").await;
    assert_eq!(
        rig.switch.view(|view| view.state("bad").map(str::to_owned)).as_deref(),
        Some("DOWN")
    );

    // It died before it sent `register`.
    drop(app.stop().await);
    parked["phase"] = json!("trying");
    save(&parked).await;
    rig.carrier.answer("bad", Outcome::Ok);
    let _app = trunkd(&rig.redis, &rig.switch, AN_HOUR).await;
    rig.switch.wait_for_state("bad", "REGED").await;
    rig.other.wait_for_gone(PARKED, "bad").await;
}

#[tokio::test]
async fn an_operator_parks_and_unparks_a_gateway() {
    let rig = Rig::start(AN_HOUR).await;
    rig.set("trunk", "p").await;
    rig.switch.wait_for_state("trunk", "REGED").await;
    rig.other
        .wait_for("trunkd:status:fs1", "trunk", "/state", "REGED")
        .await;
    let operator = Client::new(&rig.redis, &rig.app, Role::Operator, "acme").await;
    let path = |action: &str| format!("/domains/acme/gateways/trunk/{action}?wait=15s");
    let done = operator.post(&path("park"), &Value::Null).await.expect(200);
    assert_eq!(done.body["effect"][0]["outcome"], "applied", "{:#}", done.body);
    let parked = rig.parked("trunk").await;
    assert!(parked["by"].as_str().unwrap().starts_with("token:"), "{parked:#}");
    assert_eq!(parked["next_try"], Value::Null);
    let done = operator.post(&path("unpark"), &Value::Null).await.expect(200);
    assert_eq!(done.body["effect"][0]["outcome"], "applied", "{:#}", done.body);
    rig.switch.wait_for_state("trunk", "REGED").await;
    assert!(rig.other.hash(PARKED).await.is_empty());
    let again = operator.post(&path("unpark"), &Value::Null).await.expect(200);
    assert_eq!(
        again.body["effect"][0]["reason"], "it is not parked",
        "{:#}",
        again.body
    );
    let viewer = Client::new(&rig.redis, &rig.app, Role::Viewer, "acme").await;
    viewer.post(&path("park"), &Value::Null).await.expect(403);
}

#[tokio::test]
async fn an_edit_of_a_gateway_that_was_unregistered_by_hand_is_applied() {
    let rig = Rig::start(AN_HOUR).await;
    rig.set("trunk", "p").await;
    rig.switch.wait_for_state("trunk", "REGED").await;
    rig.switch.api("sofia profile external unregister trunk").await;
    rig.other.wait_for("trunkd:status:fs1", "trunk", "/state", "DOWN").await;
    rig.set("trunk", "other").await;
    rig.switch.wait_for_state("trunk", "REGED").await;
    assert!(rig.other.hash(PARKED).await.is_empty());
}
