//! An edit that the carrier refuses is taken back, and one of many gateways is tried with a few first.

use serde_json::{Value, json};
use trunkd::access::Role;

use crate::support::api::{API, Client};
use crate::support::app::{Other, TestApp, eventually, switch_toml};
use crate::support::fake_switch::{FakeSwitch, Outcome, View};
use crate::support::redis::RedisServer;

const APPLY: &str = "[reconcile]\nmode = \"apply\"\nresync_interval = \"1s\"\nverify_within = \"1s\"\n";

pub(super) fn account(user: &str, password: &str) -> String {
    format!(r#"{{"param":{{"realm":"sip.example.net","username":"{user}","password":"{password}"}}}}"#)
}

struct Rig {
    redis: RedisServer,
    switch: FakeSwitch,
    app: TestApp,
    other: Other,
}

impl Rig {
    /// Registered accounts, whose password is `right`.
    async fn start(accounts: &[String], toml: &str) -> Self {
        let (redis, switch) = (RedisServer::start().await, FakeSwitch::builder().start().await);
        let other = Other::new(&redis).await;
        switch.registrar(|registrar| accounts.iter().for_each(|name| registrar.account(name, "right")));
        set_all(&other, accounts, "right").await;
        let app = TestApp::with_switch(&redis, &switch, &format!("{API}{APPLY}{toml}")).await;
        switch
            .wait_until("all are registered", |view| {
                accounts.iter().all(|name| view.state(name) == Some("REGED"))
            })
            .await;
        for name in accounts {
            other.wait_for("trunkd:status:fs1", name, "/usable", true).await;
        }
        other
            .wait_for("trunkd:reconcile", "fs1", "/unchanged", accounts.len())
            .await;
        Self {
            redis,
            switch,
            app,
            other,
        }
    }

    async fn one() -> Self {
        Self::start(&["gw".to_owned()], "").await
    }

    async fn edit(&self, password: &str) {
        self.other.set_gateway("acme", "gw", &account("gw", password)).await;
    }

    /// Waits until the gateway runs with this password, and is registered or refused.
    async fn runs(&self, password: &str, state: &str) {
        runs(&self.switch, password, state).await;
    }

    async fn is(&self, phase: &str) {
        self.other.wait_for("trunkd:rollbacks", "gw", "/phase", phase).await;
    }

    async fn history(&self, kind: &str) -> Vec<Value> {
        self.other.history(kind).await
    }

    /// What the history says about the only hold.
    async fn why_held(&self) -> String {
        let held = eventually("it is recorded", || self.history("hold"), |held| !held.is_empty()).await;
        assert_eq!(held.len(), 1, "{held:?}");
        held[0]["reason"].as_str().unwrap().to_owned()
    }
}

async fn runs(switch: &FakeSwitch, password: &str, state: &str) {
    let what = format!("it runs with the password {password:?} and is {state}");
    switch
        .wait_until(&what, |view| {
            view.gateway("gw").is_some_and(|gateway| gateway.password == password) && view.state("gw") == Some(state)
        })
        .await;
}

pub(super) fn killed(view: &View) -> Vec<String> {
    let commands = view.commands().into_iter();
    commands
        .filter_map(|command| Some(command.split_once(" killgw ")?.1.to_owned()))
        .collect()
}

#[tokio::test]
async fn an_edit_that_the_carrier_refuses_is_taken_back_and_redis_keeps_it() {
    let rig = Rig::one().await;
    let operator = Client::new(&rig.redis, &rig.app, Role::Operator, "acme").await;
    let patch = json!({"param": {"password": "wrong"}});
    let path = "/domains/acme/gateways/gw";
    let written = operator.patch(&format!("{path}?wait=20s"), &patch).await.expect(200);
    let effect = &written.body["effect"][0];
    assert_eq!(effect["outcome"], "rolled_back", "{:#}", written.body);
    let reason = effect["reason"].as_str().unwrap();
    assert!(
        reason.starts_with("rolled back: 403 Forbidden with the new param.password; the version that worked until"),
        "{reason}"
    );
    rig.runs("right", "REGED").await;
    rig.other.wait_for_gone("trunkd:verifying:fs1", "gw").await;
    let stored = rig.other.field("cti_gateway@acme", "gw").await.unwrap();
    assert_eq!(stored["param"]["password"], "wrong", "Redis keeps the new value");
    assert_eq!(rig.switch.view(killed), ["gw", "gw"], "there and back");

    let detail = operator.get(path).await.expect(200).body;
    assert_eq!(detail["validity"], "kept", "{detail:#}");
    assert_eq!(detail["switches"][0]["note"]["code"], "rolled_back", "{detail:#}");
    assert_eq!(detail["switches"][0]["failing"], true);
    let fix = detail["findings"][0]["fix"].as_str().unwrap();
    assert!(fix.contains("trunkd apply"), "{detail:#}");
    let entries = rig.history("rolled_back").await;
    assert_eq!(entries.len(), 1, "{entries:?}");
    assert_eq!(
        (&entries[0]["reason"], &entries[0]["gave_up"]),
        (&json!("403 Forbidden"), &json!(false))
    );
    assert!(!format!("{entries:?}{detail}").contains("right"), "no password shows");

    rig.edit("right").await;
    rig.other.wait_for_gone("trunkd:rollbacks", "gw").await;
    assert_eq!(rig.switch.view(killed).len(), 2, "what runs is what is wanted");
}

#[tokio::test]
async fn a_rolled_back_edit_is_tried_again_after_a_further_edit_and_after_an_apply() {
    let rig = Rig::one().await;
    rig.edit("wrong").await;
    rig.is("rolled_back").await;
    rig.runs("right", "REGED").await;
    rig.edit("wrong too").await;
    eventually(
        "it was tried and taken back",
        || rig.history("rolled_back"),
        |entries| entries.len() == 2,
    )
    .await;
    rig.runs("right", "REGED").await;
    rig.other.wait_for_gone("trunkd:verifying:fs1", "gw").await;

    // The carrier has set the new password meanwhile.
    rig.switch.registrar(|registrar| registrar.account("gw", "wrong too"));
    let admin = Client::admin(&rig.redis, &rig.app).await;
    let plan = admin.get("/plan").await.expect(200).body;
    let id = plan["id"].as_str().unwrap();
    let applied = admin.post("/plan/apply", &json!({"id": id})).await.expect(200).body;
    assert_eq!(applied["items"][0]["done"], true, "{applied:#}");
    rig.runs("wrong too", "REGED").await;
    rig.other.wait_for_gone("trunkd:verifying:fs1", "gw").await;
    assert_eq!(rig.history("rolled_back").await.len(), 2);
}

#[tokio::test]
async fn what_the_carrier_may_take_back_and_what_the_gateway_forbids_is_not_rolled_back() {
    let rig = Rig::one().await;
    rig.switch.registrar(|registrar| registrar.account("gw", "new"));
    let busy = Outcome::Reject(503, "Service Unavailable");
    rig.switch.registrar(|registrar| registrar.set("gw", busy));
    rig.edit("new").await;
    rig.runs("new", "FAIL_WAIT").await;
    rig.other.wait_for_gone("trunkd:verifying:fs1", "gw").await;
    rig.switch.registrar(|registrar| registrar.set("gw", Outcome::Ok));
    rig.runs("new", "REGED").await;
    rig.other.wait_for("trunkd:status:fs1", "gw", "/usable", true).await;

    let forbids = account("gw", "wrong").replacen('{', r#"{"rollback":false,"#, 1);
    rig.other.set_gateway("acme", "gw", &forbids).await;
    rig.runs("wrong", "FAIL_WAIT").await;
    rig.other.wait_for("trunkd:status:fs1", "gw", "/status", "403").await;
    rig.other.wait_for("trunkd:reconcile", "fs1", "/restart", 0).await;
    assert!(rig.other.hash("trunkd:verifying:fs1").await.is_empty());
    assert!(rig.other.hash("trunkd:rollbacks").await.is_empty());
    assert_eq!(rig.history("rolled_back").await, Vec::<Value>::new());
}

#[tokio::test]
async fn if_the_version_before_is_refused_too_the_edit_stays() {
    let rig = Rig::one().await;
    // From now on nothing is right.
    rig.switch.registrar(|registrar| registrar.account("gw", "unknown"));
    rig.edit("wrong").await;
    rig.is("gave_up").await;
    rig.runs("wrong", "FAIL_WAIT").await;
    rig.other.wait_for_gone("trunkd:verifying:fs1", "gw").await;
    let outcomes: Vec<_> = rig
        .history("rolled_back")
        .await
        .iter()
        .map(|entry| entry["gave_up"].clone())
        .collect();
    assert_eq!(outcomes, [false, true]);
    assert_eq!(rig.switch.view(killed).len(), 3);
}

#[tokio::test]
async fn what_one_switch_is_refused_is_taken_back_on_all() {
    let (redis, one) = (RedisServer::start().await, FakeSwitch::builder().start().await);
    let two = FakeSwitch::builder().switchname("fs2").start().await;
    let other = Other::new(&redis).await;
    other.set_gateway("acme", "gw", &account("gw", "right")).await;
    let toml = format!("{}{}{APPLY}", switch_toml(&one, "fs1"), switch_toml(&two, "fs2"));
    let _app = TestApp::asked_by(&[&one, &two], &redis, &toml).await;
    for switch in ["fs1", "fs2"] {
        other
            .wait_for(&format!("trunkd:status:{switch}"), "gw", "/usable", true)
            .await;
        other.wait_for("trunkd:reconcile", switch, "/unchanged", 1).await;
    }
    // The carrier takes the new password from the other switch only.
    one.registrar(|registrar| registrar.account("gw", "right"));
    other.set_gateway("acme", "gw", &account("gw", "wrong")).await;
    other.wait_for("trunkd:rollbacks", "gw", "/switch", "fs1").await;
    for switch in [&one, &two] {
        runs(switch, "right", "REGED").await;
    }
}

pub(super) fn names(count: usize) -> Vec<String> {
    (0..count).map(|number| format!("gw{number:03}")).collect()
}

/// Gives all of them this password, in one edit.
pub(super) async fn set_all(other: &Other, names: &[String], password: &str) {
    let mut edit = redis::cmd("HSET");
    edit.arg("cti_gateway@acme");
    for name in names {
        edit.arg(name).arg(account(name, password));
    }
    edit.exec_async(&mut other.connection.clone()).await.unwrap();
}

/// Waits until this many edits are in a phase.
pub(super) async fn count(other: &Other, phase: &str, count: usize) {
    eventually(
        &format!("{count} edits are {phase}"),
        || other.hash("trunkd:rollbacks"),
        |all| all.values().filter(|record| record["phase"] == phase).count() == count,
    )
    .await;
}

pub(super) async fn all_run(switch: &FakeSwitch, names: &[String], password: &str) {
    let what = format!("all are registered with the password {password:?}");
    switch
        .wait_until(&what, |view| {
            names.iter().all(|name| {
                view.gateway(name).is_some_and(|gateway| gateway.password == password)
                    && view.state(name) == Some("REGED")
            })
        })
        .await;
}

#[tokio::test]
async fn of_200_edits_two_are_tried_and_the_others_are_not_touched_if_these_are_refused() {
    let names = names(200);
    let rig = Rig::start(&names, "starts_per_second = 1000\n").await;
    set_all(&rig.other, &names, "wrong").await;
    count(&rig.other, "rolled_back", 2).await;
    count(&rig.other, "held", 198).await;
    all_run(&rig.switch, &names, "right").await;
    for name in &names[..2] {
        rig.other.wait_for_gone("trunkd:verifying:fs1", name).await;
    }
    assert_eq!(rig.switch.view(killed).len(), 4, "two, there and back");
    assert!(rig.switch.view(killed).iter().all(|name| names[..2].contains(name)));
    let reason = rig.why_held().await;
    assert!(
        reason.starts_with("held: 2 of 2 first ones were refused: 403 Forbidden; 198 more"),
        "{reason}"
    );
    let admin = Client::admin(&rig.redis, &rig.app).await;
    let detail = admin.get("/domains/acme/gateways/gw100").await.expect(200).body;
    let note = &detail["switches"][0]["note"];
    assert_eq!(note["code"], "edit_held", "{detail:#}");
    assert!(
        note["text"]
            .as_str()
            .unwrap()
            .contains("2 of 2 first ones were refused: 403 Forbidden"),
        "{note}"
    );
    assert!(rig.other.hash("trunkd:canaries").await.is_empty());

    rig.switch.restart().await;
    all_run(&rig.switch, &names, "right").await;

    // It was the carrier's mistake.
    for name in &names {
        rig.switch.registrar(|registrar| registrar.account(name, "wrong"));
        rig.other.wait_for("trunkd:status:fs1", name, "/usable", true).await;
    }
    let plan = admin.get("/plan").await.expect(200).body;
    assert_eq!(
        plan["switches"][0]["tries_again"].as_object().map(|again| again.len()),
        Some(200),
        "{plan:#}"
    );
    let id = json!({"id": plan["id"]});
    admin.post("/plan/apply", &id).await.expect(200);
    all_run(&rig.switch, &names, "wrong").await;
}

#[tokio::test]
async fn if_the_first_ones_work_the_others_follow() {
    let names = names(12);
    let rig = Rig::start(&names, "").await;
    for name in &names {
        rig.switch.registrar(|registrar| registrar.account(name, "new"));
    }
    set_all(&rig.other, &names, "new").await;
    all_run(&rig.switch, &names, "new").await;
    let order = rig.switch.view(killed);
    let first: Vec<_> = order[..2].iter().collect();
    assert!(names[..2].iter().all(|name| first.contains(&name)), "{order:?}");
    assert_eq!(order.len(), 12, "each is restarted once: {order:?}");
    count(&rig.other, "waiting", 0).await;
    eventually(
        "no canary is left",
        || rig.other.hash("trunkd:canaries"),
        |left| left.is_empty(),
    )
    .await;
}

#[tokio::test]
async fn if_the_carrier_is_busy_the_others_wait_and_nothing_is_rolled_back() {
    let names = names(12);
    let rig = Rig::start(&names, "").await;
    rig.switch
        .registrar(|registrar| registrar.set_default(Outcome::Reject(503, "Service Unavailable")));
    for name in &names {
        rig.switch.registrar(|registrar| registrar.account(name, "new"));
    }
    set_all(&rig.other, &names, "new").await;
    count(&rig.other, "held", 10).await;
    count(&rig.other, "rolled_back", 0).await;
    assert_eq!(rig.switch.view(killed).len(), 2);
    let reason = rig.why_held().await;
    assert!(reason.contains("503 Service Unavailable"), "{reason}");
}
