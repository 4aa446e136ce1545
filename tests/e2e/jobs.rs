//! Gateways that an operator has restarted, registered and unregistered by name.

use serde_json::{Value, json};
use trunkd::access::Role;

use crate::support::api::{API, Client};
use crate::support::app::{Other, TestApp, eventually, switch_toml};
use crate::support::fake_switch::{Binding, FORBIDDEN, FakeSwitch, View};
use crate::support::redis::RedisServer;

const APPLY: &str = "[reconcile]\nmode = \"apply\"\nresync_interval = \"1s\"\n";
const ACCOUNT: &str = r#"{"param":{"realm":"sip.example.net","username":"u","password":"p"}}"#;
const IP_TRUNK: &str = r#"{"param":{"realm":"sip.example.net","register":"false"}}"#;

struct Fleet {
    redis: RedisServer,
    switch: FakeSwitch,
    app: TestApp,
    other: Other,
    operator: Client,
}

/// A switch that runs `carrier1`, which is registered, and `trunk`, which never registers.
async fn fleet() -> Fleet {
    let (redis, switch) = (RedisServer::start().await, FakeSwitch::builder().start().await);
    let app = TestApp::with_switch(&redis, &switch, &format!("{API}{APPLY}")).await;
    let other = Other::new(&redis).await;
    other.set_gateway("acme", "carrier1", ACCOUNT).await;
    other.set_gateway("acme", "trunk", IP_TRUNK).await;
    switch.wait_for_state("carrier1", "REGED").await;
    switch.wait_for_state("trunk", "NOREG").await;
    other.wait_for("trunkd:status:fs1", "carrier1", "/state", "REGED").await;
    other.wait_for("trunkd:status:fs1", "trunk", "/state", "NOREG").await;
    let operator = Client::new(&redis, &app, Role::Operator, "acme").await;
    Fleet {
        redis,
        switch,
        app,
        other,
        operator,
    }
}

fn path(gateway: &str, action: &str) -> String {
    format!("/domains/acme/gateways/{gateway}/{action}?wait=15s")
}

fn instance(view: &View, gateway: &str) -> Option<u64> {
    view.gateway(gateway).map(|gateway| gateway.instance)
}

fn sent(view: &View, verb: &str) -> Vec<String> {
    let commands = view.commands().into_iter();
    commands
        .filter(|command| command.contains(verb))
        .map(str::to_owned)
        .collect()
}

/// Who did what on the switch, oldest first.
async fn actions(client: &Client, gateway: &str) -> Vec<(String, String, String)> {
    let history = client
        .get(&format!("/domains/acme/gateways/{gateway}/history"))
        .await
        .expect(200);
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let items = history.body["items"].as_array().unwrap().iter().rev();
    items
        .filter(|entry| entry["kind"] == "action")
        .map(|entry| (text(&entry["who"]), text(&entry["action"]), text(&entry["outcome"])))
        .collect()
}

#[tokio::test]
async fn a_restart_is_answered_when_the_gateway_is_up_again_and_touches_no_other() {
    let fleet = fleet().await;
    let before = fleet
        .switch
        .view(|view| (instance(view, "carrier1"), instance(view, "trunk")));
    let done = fleet
        .operator
        .post(&path("carrier1", "restart"), &Value::Null)
        .await
        .expect(200);
    assert_eq!(
        done.body,
        json!({"effect": [{"switch": "fs1", "outcome": "applied", "state": "REGED"}]})
    );
    let after = fleet
        .switch
        .view(|view| (instance(view, "carrier1"), instance(view, "trunk")));
    assert!(before.0 != after.0 && before.1 == after.1, "{before:?} {after:?}");

    let done = fleet
        .operator
        .post(&path("trunk", "restart"), &Value::Null)
        .await
        .expect(200);
    assert_eq!(done.body["effect"][0]["outcome"], "applied", "{:#}", done.body);
    assert_ne!(fleet.switch.view(|view| instance(view, "trunk")), after.1);

    let done = actions(&fleet.operator, "carrier1").await;
    let who = "token:operator-of-acme".to_owned();
    assert_eq!(
        done.last(),
        Some(&(who, "restart".to_owned(), "done".to_owned())),
        "{done:?}"
    );
}

#[tokio::test]
async fn a_gateway_is_unregistered_and_registered_again() {
    let fleet = fleet().await;
    let (operator, switch) = (&fleet.operator, &fleet.switch);
    let down = operator
        .post(&path("carrier1", "unregister"), &Value::Null)
        .await
        .expect(200);
    assert_eq!(
        down.body["effect"],
        json!([{"switch": "fs1", "outcome": "applied", "state": "DOWN"}])
    );
    // The plan leaves it down.
    assert_eq!(switch.view(|view| view.state("carrier1")), Some("DOWN"));
    let up = operator
        .post(&path("carrier1", "register"), &Value::Null)
        .await
        .expect(200);
    assert_eq!(
        up.body["effect"],
        json!([{"switch": "fs1", "outcome": "applied", "state": "REGED"}])
    );

    // The carrier's words are the answer.
    switch.registrar(|registrar| registrar.set("carrier1", FORBIDDEN));
    let refused = operator
        .post(&path("carrier1", "register"), &Value::Null)
        .await
        .expect(200);
    let effect = &refused.body["effect"][0];
    assert_eq!(effect["outcome"], "failed", "{effect:#}");
    assert!(effect["reason"].as_str().unwrap().contains("403"), "{effect:#}");

    let kinds: Vec<_> = actions(operator, "carrier1")
        .await
        .into_iter()
        .map(|(_, action, _)| action)
        .collect();
    assert_eq!(kinds, ["start", "unregister", "register", "register"]);
}

#[tokio::test]
async fn a_paused_switch_restarts_what_it_is_asked_to_and_nothing_else() {
    let fleet = fleet().await;
    let admin = Client::admin(&fleet.redis, &fleet.app).await;
    admin.post("/switches/fs1/pause", &Value::Null).await.expect(204);
    let trunk = fleet.switch.view(|view| instance(view, "trunk"));
    fleet
        .other
        .set_gateway(
            "acme",
            "trunk",
            r#"{"param":{"realm":"sip2.example.net","register":"false"}}"#,
        )
        .await;
    let done = fleet
        .operator
        .post(&path("carrier1", "restart"), &Value::Null)
        .await
        .expect(200);
    assert_eq!(done.body["effect"][0]["outcome"], "applied", "{:#}", done.body);
    assert_eq!(fleet.switch.view(|view| instance(view, "trunk")), trunk);

    // A restart brings the value that Redis has.
    fleet
        .operator
        .post(&path("trunk", "restart"), &Value::Null)
        .await
        .expect(200);
    let realm = fleet.switch.view(|view| view.gateway("trunk").unwrap().realm.clone());
    assert_eq!(realm, "sip2.example.net");
}

#[tokio::test]
async fn what_cannot_be_done_says_why() {
    let fleet = fleet().await;
    let operator = &fleet.operator;
    let refused = operator
        .post(&path("trunk", "register"), &Value::Null)
        .await
        .expect(200);
    let effect = &refused.body["effect"][0];
    assert_eq!(effect["outcome"], "failed", "{effect:#}");
    assert!(
        effect["reason"].as_str().unwrap().contains("does not register"),
        "{effect:#}"
    );

    // FreeSWITCH would take this name for every gateway of the profile.
    fleet.other.set_gateway("acme", "All", ACCOUNT).await;
    fleet.switch.wait_for_state("All", "REGED").await;
    for action in ["register", "unregister"] {
        let refused = operator.post(&path("All", action), &Value::Null).await.expect(422);
        assert!(
            refused.body["detail"].as_str().unwrap().contains("every gateway"),
            "{:#}",
            refused.body
        );
    }
    operator.post(&path("All", "restart"), &Value::Null).await.expect(200);
    assert!(fleet.switch.view(|view| sent(view, "register ")).is_empty());
    assert_eq!(fleet.switch.view(|view| view.state("carrier1")), Some("REGED"));

    operator.post(&path("nope", "restart"), &Value::Null).await.expect(404);
    let elsewhere = "/domains/acme/gateways/carrier1/restart?switch=fs9";
    let unknown = operator.post(elsewhere, &Value::Null).await.expect(404);
    assert_eq!(unknown.reason(), "no_such_switch");
    let disabled = r#"{"enabled":false,"param":{"realm":"sip.example.net","register":"false"}}"#;
    fleet.other.set_gateway("acme", "off", disabled).await;
    let refused = operator.post(&path("off", "restart"), &Value::Null).await.expect(404);
    assert_eq!(refused.reason(), "not_served");

    let viewer = Client::new(&fleet.redis, &fleet.app, Role::Viewer, "acme").await;
    viewer
        .post(&path("carrier1", "restart"), &Value::Null)
        .await
        .expect(403);
    let stranger = Client::new(&fleet.redis, &fleet.app, Role::Operator, "globex").await;
    stranger
        .post(&path("carrier1", "restart"), &Value::Null)
        .await
        .expect(403);
}

#[tokio::test]
async fn a_switch_that_cannot_be_reached_is_not_asked_later() {
    let fleet = fleet().await;
    fleet.switch.crash().await;
    eventually(
        "the switch is known to be away",
        async || fleet.other.field("trunkd:switches", "fs1").await,
        |switch| switch.as_ref().is_some_and(|switch| switch["connected"] == false),
    )
    .await;
    let refused = fleet
        .operator
        .post(&path("carrier1", "restart"), &Value::Null)
        .await
        .expect(409);
    assert_eq!(refused.reason(), "switch_not_connected");
    assert_eq!(fleet.other.hash("trunkd:control").await.len(), 0);
}

#[tokio::test]
async fn the_lease_holder_restarts_it_once_whichever_trunkd_was_asked() {
    let fleet = fleet().await;
    let toml = format!("{}\n{API}{APPLY}", switch_toml(&fleet.switch, "fs1"));
    let second = TestApp::start(&fleet.redis, &toml).await;
    eventually(
        "it knows the switch",
        async || second.part("reconcile:fs1").await,
        |part| part.is_object(),
    )
    .await;
    for client in [fleet.operator.clone(), fleet.operator.at(&second)] {
        let done = client
            .post(&path("carrier1", "restart"), &Value::Null)
            .await
            .expect(200);
        assert_eq!(done.body["effect"][0]["outcome"], "applied", "{:#}", done.body);
    }
    assert_eq!(fleet.switch.view(|view| sent(view, "killgw carrier1")).len(), 2);
    // The holder goes while a restart waits for it, or is under way: the other one completes it.
    fleet.switch.set_binding(Some(Binding::new(second.xml_curl_url())));
    let path = "/domains/acme/gateways/carrier1/restart?wait=30s";
    let client = fleet.operator.at(&second);
    let (done, _) = tokio::join!(client.post(path, &Value::Null), fleet.app.stop());
    let done = done.expect(200);
    assert_eq!(done.body["effect"][0]["outcome"], "applied", "{:#}", done.body);
    assert_eq!(fleet.switch.view(|view| view.state("carrier1")), Some("REGED"));
}

#[tokio::test]
async fn many_are_restarted_with_one_call_and_those_that_cannot_be_say_why() {
    let fleet = fleet().await;
    fleet
        .other
        .set_gateway("acme", "off", r#"{"enabled":false,"param":{}}"#)
        .await;
    fleet.other.set_gateway("globex", "theirs", IP_TRUNK).await;
    fleet.switch.wait_for_state("theirs", "NOREG").await;
    let instances = || {
        let names = ["carrier1", "trunk", "theirs"];
        fleet.switch.view(|view| names.map(|name| instance(view, name)))
    };
    let before = instances();
    let all = json!({"filter": {}, "do": "restart"});
    let would = fleet
        .operator
        .post("/gateways/bulk?dry_run=true", &all)
        .await
        .expect(200);
    let expected = json!({
        "dry_run": true,
        "id": null,
        "restarted": 2,
        "left_out": [{
            "domain": "acme",
            "name": "off",
            "reason": "the gateway \"off\" is not served: see its findings",
        }],
        "switches": [{"switch": "fs1", "gateways": 2, "away": false}],
    });
    assert_eq!(would.body, expected);
    assert_eq!(instances(), before);

    let begun = fleet.operator.post("/gateways/bulk", &all).await.expect(200);
    let call = format!("/restarts/{}", begun.body["id"].as_str().unwrap());
    let progress = || async { fleet.operator.get(&call).await.expect(200).body };
    let done = eventually("all are restarted", progress, |shown| {
        shown["items"][0]["state"] == "done"
    })
    .await;
    let expected = json!({"items": [{"switch": "fs1", "state": "done", "all": 2, "left": 0, "failed": {}}]});
    assert_eq!(done, expected);
    let after = instances();
    assert!(after[0] != before[0] && after[1] != before[1], "{before:?} {after:?}");
    assert_eq!(after[2], before[2], "it is in another domain");
    let stranger = Client::new(&fleet.redis, &fleet.app, Role::Operator, "globex").await;
    assert_eq!(stranger.get(&call).await.expect(200).body["items"], json!([]));

    let names = json!({"gateways": [{"domain": "acme", "name": "trunk"}], "do": "restart"});
    fleet
        .operator
        .post("/gateways/bulk?switch=fs1", &names)
        .await
        .expect(200);
    let elsewhere = fleet
        .operator
        .post("/gateways/bulk?switch=fs9", &names)
        .await
        .expect(404);
    assert_eq!(elsewhere.reason(), "no_such_switch");
}

#[tokio::test]
async fn switches_count_the_gateways_of_the_callers_domains_alone() {
    let fleet = fleet().await;
    fleet.other.set_gateway("globex", "theirs", IP_TRUNK).await;
    let lost =
        r#"<gateway name="taken"><param name="realm" value="x"/><param name="register" value="false"/></gateway>"#;
    fleet.switch.add_gateways("external", lost);
    fleet.other.set_gateway("globex", "taken", IP_TRUNK).await;
    fleet.switch.wait_for_state("theirs", "NOREG").await;
    let admin = Client::admin(&fleet.redis, &fleet.app).await;
    let of = async |client: &Client| client.get("/switches").await.expect(200).body["items"][0].clone();
    let all = || of(&admin);
    let all = eventually("all are counted", all, |switch| {
        switch["state"] == json!({"up": 1, "unknown": 3}) && switch["conflicts"][0]["code"] == "name_in_use"
    });
    all.await;
    let ours = of(&fleet.operator).await;
    assert_eq!(ours["state"], json!({"up": 1, "unknown": 1}));
    assert_eq!(ours["conflicts"], json!([]));
}
