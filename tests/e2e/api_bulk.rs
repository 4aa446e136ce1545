//! One change to many gateways, over a real Redis and FakeSwitch.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};
use trunkd::access::Role;
use trunkd::gateway::Document;
use trunkd::history::HistoryQuery;
use trunkd::operate::gateways::bulk::{BulkOptions, Change, Chosen};
use trunkd::operate::{Caller, Service};

use crate::support::api::Client;
use crate::support::app::{Other, TestApp, eventually, settings};
use crate::support::fake_switch::FakeSwitch;
use crate::support::redis::RedisServer;

/// Redis is given time to answer on a busy machine.
const API: &str = "[api]\nenabled = true\n[redis]\ntimeout = \"10s\"\n";
const APPLY: &str = "[reconcile]\nmode = \"apply\"\nresync_interval = \"1s\"\n";
const BULK: &str = "/gateways/bulk";
const DRY_RUN: &str = "/gateways/bulk?dry_run=true";

fn ip_trunk(more: Value) -> String {
    let mut value = json!({"param": {"realm": "sip.example.net", "register": "false"}});
    let more = more.as_object().unwrap().clone();
    value.as_object_mut().unwrap().extend(more);
    value.to_string()
}

fn account() -> String {
    json!({"param": {"realm": "sip.example.net", "username": "u", "password": "p"}}).to_string()
}

/// A trunkd with its API and no switch, and gateways in Redis.
async fn alone(gateways: &[(&str, &str, String)]) -> (RedisServer, TestApp, Client, Other) {
    let redis = RedisServer::start().await;
    let other = Other::new(&redis).await;
    for (domain, name, value) in gateways {
        other.set_gateway(domain, name, value).await;
    }
    let app = TestApp::start(&redis, API).await;
    let client = Client::admin(&redis, &app).await;
    (redis, app, client, other)
}

async fn stored(other: &Other, domain: &str) -> BTreeMap<String, Value> {
    other.hash(&format!("cti_gateway@{domain}")).await
}

/// matched, changed, unchanged, refused.
fn counts(answer: &Value) -> [u64; 4] {
    ["matched", "changed", "unchanged", "refused"].map(|word| answer[word].as_u64().unwrap())
}

/// By name: `a changed, b refused`.
fn outcomes(answer: &Value) -> String {
    let items = answer["items"].as_array().unwrap().iter();
    let mut named: Vec<_> = items
        .map(|item| {
            format!(
                "{} {}",
                item["name"].as_str().unwrap(),
                item["outcome"].as_str().unwrap()
            )
        })
        .collect();
    named.sort();
    named.join(", ")
}

/// The kinds and whose they are of a gateway's entries, newest first.
async fn edits(client: &Client, domain: &str, name: &str) -> Vec<(String, String)> {
    let path = format!("/domains/{domain}/gateways/{name}/history");
    let history = client.get(&path).await.expect(200);
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let items = history.body["items"].as_array().unwrap().clone();
    items
        .iter()
        .filter(|entry| entry["kind"] == "edit")
        .map(|entry| (text(&entry["who"]), text(&entry["edit"])))
        .collect()
}

#[tokio::test]
async fn what_a_filter_selects_is_disabled_and_enabled_and_the_switch_follows() {
    let (redis, switch) = (RedisServer::start().await, FakeSwitch::builder().start().await);
    let other = Other::new(&redis).await;
    for name in ["a", "b"] {
        other
            .set_gateway("acme", name, &ip_trunk(json!({"tags": ["old"]})))
            .await;
    }
    for name in ["c", "d"] {
        other.set_gateway("acme", name, &ip_trunk(json!({}))).await;
    }
    let app = TestApp::with_switch(&redis, &switch, &format!("{API}{APPLY}")).await;
    let client = Client::admin(&redis, &app).await;
    for name in ["a", "b", "c", "d"] {
        other.wait_for("trunkd:status:fs1", name, "/state", "NOREG").await;
    }
    let body = |word: &str| json!({"filter": {"tag": "old"}, "do": word});

    // What it would do is what it then does.
    let would = client.post(DRY_RUN, &body("disable")).await.expect(200);
    assert_eq!(would.body["dry_run"], true);
    assert!(
        stored(&other, "acme")
            .await
            .values()
            .all(|value| value.get("enabled").is_none())
    );
    let done = client.post(BULK, &body("disable")).await.expect(200);
    assert_eq!(counts(&done.body), [2, 2, 0, 0], "{:#}", done.body);
    for answer in [&would.body, &done.body] {
        assert_eq!(outcomes(answer), "a changed, b changed");
        let plan = &answer["plan"][0];
        assert_eq!(
            (
                &plan["switch"],
                &plan["start"],
                &plan["restart"],
                &plan["stop"],
                &plan["held"]
            ),
            (&json!("fs1"), &json!(0), &json!(0), &json!(2), &Value::Null),
            "{plan:#}"
        );
    }
    assert!(
        would.body["items"]
            .as_array()
            .unwrap()
            .iter()
            .all(|item| item["history"].is_null())
    );
    switch.wait_for_gone("a").await;
    switch.wait_for_gone("b").await;
    assert!(switch.view(|view| view.state("c").is_some() && view.state("d").is_some()));

    // Again, nothing is left to do.
    let again = client.post(BULK, &body("disable")).await.expect(200);
    assert_eq!(counts(&again.body), [2, 0, 2, 0]);
    assert_eq!(again.body["items"], json!([]));
    let enabled = client.post(BULK, &body("enable")).await.expect(200);
    assert_eq!(counts(&enabled.body), [2, 2, 0, 0]);
    assert_eq!(enabled.body["plan"][0]["start"], 2, "{:#}", enabled.body);
    switch.wait_for_state("a", "NOREG").await;
    switch.wait_for_state("b", "NOREG").await;
}

#[tokio::test]
async fn a_patch_that_makes_one_invalid_changes_the_others() {
    let gateways = [
        ("acme", "a", account()),
        ("acme", "b", account()),
        ("acme", "ip", ip_trunk(json!({}))),
    ];
    let (_redis, _app, client, other) = alone(&gateways).await;
    let body = json!({"filter": {}, "do": {"patch": {"param": {"register": "true", "ping": 25}}}});
    for path in [DRY_RUN, BULK] {
        let answer = client.post(path, &body).await.expect(200);
        assert_eq!(counts(&answer.body), [3, 2, 0, 1], "{:#}", answer.body);
        // What has a problem comes first.
        let refused = &answer.body["items"][0];
        assert_eq!(
            (&refused["name"], &refused["outcome"]),
            (&json!("ip"), &json!("refused"))
        );
        let pointers = refused["errors"]
            .as_array()
            .unwrap()
            .iter()
            .map(|error| &error["pointer"]);
        assert_eq!(pointers.collect::<Vec<_>>(), ["/param/password", "/param/username"]);
        assert!(refused["errors"][0]["fix"].is_string());
    }
    let now = stored(&other, "acme").await;
    assert_eq!(
        (&now["a"]["param"]["ping"], &now["b"]["param"]["ping"]),
        (&json!(25), &json!(25))
    );
    assert_eq!(now["ip"]["param"].get("ping"), None);
    // A secret that the patch doesn't mention stays.
    assert_eq!(now["a"]["param"]["password"], "p");
    let forced = client.post(&format!("{BULK}?force=true"), &body).await.expect(200);
    assert_eq!(counts(&forced.body), [3, 1, 2, 0], "{:#}", forced.body);
    assert_eq!(stored(&other, "acme").await["ip"]["param"]["ping"], 25);
}

#[tokio::test]
async fn tags_are_added_and_taken_away() {
    let gateways = [
        ("acme", "a", ip_trunk(json!({"tags": ["x"], "own": 1.50}))),
        ("acme", "b", ip_trunk(json!({}))),
        ("globex", "c", ip_trunk(json!({"tags": ["new", "y"]}))),
        ("globex", "broken", "{".to_owned()),
    ];
    let (_redis, _app, client, other) = alone(&gateways).await;
    let body = json!({"filter": {}, "do": {"tag": ["new", "y"]}});
    let tagged = client.post(BULK, &body).await.expect(200);
    assert_eq!(counts(&tagged.body), [4, 2, 1, 1], "{:#}", tagged.body);
    assert_eq!(outcomes(&tagged.body), "a changed, b changed, broken refused");
    let acme = stored(&other, "acme").await;
    assert_eq!(
        (&acme["a"]["tags"], &acme["b"]["tags"]),
        (&json!(["x", "new", "y"]), &json!(["new", "y"]))
    );
    let body = json!({"filter": {"tag": "new"}, "do": {"untag": ["new", "y"]}});
    assert_eq!(counts(&client.post(BULK, &body).await.expect(200).body), [3, 3, 0, 0]);
    let acme = stored(&other, "acme").await;
    assert_eq!((&acme["a"]["tags"], acme["b"].get("tags")), (&json!(["x"]), None));
    assert_eq!(acme["a"]["own"], 1.50);
}

#[tokio::test]
async fn named_gateways_are_deleted_and_one_that_there_is_not_is_said() {
    let gateways = [
        ("acme", "a", account()),
        ("acme", "all", account()),
        ("globex", "a", account()),
        ("globex", "broken", "{".to_owned()),
    ];
    let (redis, app, client, other) = alone(&gateways).await;
    let named = |named: &[(&str, &str)]| {
        let named: Vec<_> = named
            .iter()
            .map(|(domain, name)| json!({"domain": domain, "name": name}))
            .collect();
        json!({"gateways": named, "do": "delete"})
    };
    let chosen = [
        ("acme", "all"),
        ("acme", "all"),
        ("acme", "nothing"),
        ("none", "a"),
        ("globex", "broken"),
    ];
    let deleted = client.post(BULK, &named(&chosen)).await.expect(200);
    assert_eq!(counts(&deleted.body), [4, 2, 0, 0], "{:#}", deleted.body);
    assert_eq!(deleted.body["missing"], 2);
    let missing = deleted.body["items"].as_array().unwrap().iter().take(2);
    assert!(
        missing.clone().all(|item| item["outcome"] == "no_such_gateway"),
        "{missing:#?}"
    );
    assert_eq!(stored(&other, "acme").await.keys().collect::<Vec<_>>(), ["a"]);
    assert_eq!(stored(&other, "globex").await.keys().collect::<Vec<_>>(), ["a"]);

    // An operator changes his own domains only, and a filter of his selects only those.
    let operator = Client::new(&redis, &app, Role::Operator, "acme").await;
    let foreign = operator.post(BULK, &named(&[("acme", "a"), ("globex", "a")])).await;
    assert_eq!(foreign.expect(403).reason(), "domain_not_yours");
    let body = json!({"filter": {"domain": "globex"}, "do": "delete"});
    let foreign = operator.post(BULK, &body).await;
    assert_eq!(foreign.expect(403).reason(), "domain_not_yours");
    let viewer = Client::new(&redis, &app, Role::Viewer, "*").await;
    for path in [BULK, DRY_RUN] {
        let refused = viewer.post(path, &named(&[("acme", "a")])).await.expect(403);
        assert_eq!(refused.reason(), "role_too_low");
    }
    let own = operator
        .post(BULK, &json!({"filter": {}, "do": "delete"}))
        .await
        .expect(200);
    assert_eq!(counts(&own.body), [1, 1, 0, 0]);
    assert!(stored(&other, "acme").await.is_empty());
    assert_eq!(stored(&other, "globex").await.len(), 1);
}

#[tokio::test]
async fn a_flood_of_removals_is_said_to_be_held_before_and_after() {
    let (redis, switch) = (RedisServer::start().await, FakeSwitch::builder().start().await);
    let other = Other::new(&redis).await;
    for number in 1..=8 {
        other
            .set_gateway("acme", &format!("g{number}"), &ip_trunk(json!({})))
            .await;
    }
    let app = TestApp::with_switch(&redis, &switch, &format!("{API}{APPLY}")).await;
    let client = Client::admin(&redis, &app).await;
    for number in 1..=8 {
        other
            .wait_for("trunkd:status:fs1", &format!("g{number}"), "/state", "NOREG")
            .await;
    }
    let gateways: Vec<_> = (1..=7)
        .map(|number| json!({"domain": "acme", "name": format!("g{number}")}))
        .collect();
    let held = "held: removes 7 of 8 (more than 5)";
    for path in [DRY_RUN, BULK] {
        let body = json!({"gateways": gateways, "do": "delete"});
        let answer = client.post(path, &body).await.expect(200);
        let plan = &answer.body["plan"][0];
        assert_eq!((&plan["stop"], &plan["held"]), (&json!(7), &json!(held)), "{plan:#}");
    }
    // And that is what the switch's trunkd says.
    let said = eventually(
        "the plan is held",
        || async { client.get("/switches").await.expect(200).body["items"][0]["held"].clone() },
        Value::is_string,
    );
    assert_eq!(said.await, held);
    assert_eq!(switch.view(|view| view.gateways().len()), 8);

    // All of them: nothing would be left in Redis.
    let last = client
        .post(DRY_RUN, &json!({"filter": {}, "do": "delete"}))
        .await
        .expect(200);
    let plan = &last.body["plan"][0];
    assert_eq!(plan["stop"], 1, "{plan:#}");
    assert!(
        plan["held"].as_str().unwrap().contains("every domain is gone"),
        "{plan:#}"
    );
}

#[tokio::test]
async fn what_others_write_meanwhile_is_reported_and_not_overwritten() {
    // Without a trunkd, so that the only script is that of the bulk edit.
    let redis = RedisServer::start().await;
    let other = Other::new(&redis).await;
    for name in ["a", "b"] {
        other.set_gateway("acme", name, &account()).await;
    }
    let folder = tempfile::tempdir().unwrap();
    let service = Arc::new(Service::open(&settings(&redis, folder.path(), "")).unwrap());
    // Redis holds back writes and scripts, in their order.
    let client_command = async |arguments: &[&str]| {
        let mut command = redis::cmd("CLIENT");
        command.arg(arguments);
        command.exec_async(&mut other.connection.clone()).await.unwrap();
    };
    client_command(&["PAUSE", "60000", "WRITE"]).await;
    let writer = Other::new(&redis).await;
    let theirs = ip_trunk(json!({"description": "theirs"}));
    let write = tokio::spawn(async move { writer.set_gateway("acme", "a", &theirs).await });
    waits(&other, "hset").await;
    let bulk_service = service.clone();
    let bulk = tokio::spawn(async move {
        let all = Chosen::Filter(Box::default());
        let patch = Change::Patch(Document::parse(br#"{"description":"ours"}"#).unwrap());
        let caller = Caller::cli();
        bulk_service
            .change_gateways(&caller, &all, &patch, BulkOptions::default())
            .await
    });
    waits(&other, "evalsha").await;
    client_command(&["UNPAUSE"]).await;
    write.await.unwrap();
    let answer = serde_json::to_value(bulk.await.unwrap().unwrap()).unwrap();
    assert_eq!(outcomes(&answer), "a changed_meanwhile, b changed");
    assert_eq!(
        (&answer["changed"], &answer["changed_meanwhile"]),
        (&json!(1), &json!(1))
    );
    let now = stored(&other, "acme").await;
    assert_eq!(
        (&now["a"]["description"], &now["b"]["description"]),
        (&json!("theirs"), &json!("ours"))
    );
    let query = HistoryQuery {
        limit: 10,
        ..HistoryQuery::default()
    };
    let history = service.history(&Caller::cli(), &query).await.unwrap();
    let entries: Vec<_> = history.entries.iter().map(|entry| entry.gateway.as_deref()).collect();
    assert_eq!(entries, [Some("b")]);
    assert!(history.entries[0].who.starts_with("cli:"), "{history:?}");
}

/// Until Redis holds back this command of somebody.
pub(super) async fn waits(other: &Other, command: &str) {
    let list = || async {
        let list: String = redis::cmd("CLIENT")
            .arg("LIST")
            .query_async(&mut other.connection.clone())
            .await
            .unwrap();
        list
    };
    let is_held = |line: &str| line.contains(" flags=b") && line.contains(&format!(" cmd={command}"));
    eventually(command, list, |list: &String| list.lines().any(is_held)).await;
}

#[tokio::test]
async fn each_gateway_has_its_entry_in_the_history_and_one_can_be_reverted() {
    let gateways = [("acme", "a", account()), ("acme", "b", account())];
    let (redis, app, _client, other) = alone(&gateways).await;
    let operator = Client::new(&redis, &app, Role::Operator, "acme").await;
    let body = json!({"filter": {"q": "sip.example"}, "do": {"patch": {"param": {"password": "q"}, "carrier": "x"}}});
    let done = operator.post(BULK, &body).await.expect(200);
    let who = "token:operator-of-acme".to_owned();
    for name in ["a", "b"] {
        assert_eq!(
            edits(&operator, "acme", name).await,
            [(who.clone(), "change".to_owned())]
        );
    }
    let history = operator.get("/history?kind=edit").await.expect(200).body;
    assert_eq!(history["items"].as_array().unwrap().len(), 2, "{history:#}");
    assert_eq!(
        history["items"][0]["changes"],
        json!([{"field": "param.password", "secret": true}, {"field": "carrier", "after": "x"}])
    );
    let a = done.body["items"]
        .as_array()
        .unwrap()
        .iter()
        .find(|item| item["name"] == "a");
    let id = a.unwrap()["history"].as_str().unwrap();
    operator
        .post(&format!("/history/{id}/revert"), &Value::Null)
        .await
        .expect(200);
    let now = stored(&other, "acme").await;
    assert_eq!(
        (&now["a"]["param"]["password"], &now["b"]["param"]["password"]),
        (&json!("p"), &json!("q"))
    );
}

#[tokio::test]
async fn thousands_at_once_are_recorded_once_each_and_as_ours() {
    let redis = RedisServer::start().await;
    let other = Other::new(&redis).await;
    let names: Vec<_> = (0..5000).map(|number| format!("gw{number}")).collect();
    let fields: Vec<_> = names.iter().map(|name| (name, ip_trunk(json!({})))).collect();
    let mut fill = redis::cmd("HSET");
    fill.arg("cti_gateway@acme").arg(&fields);
    fill.exec_async(&mut other.connection.clone()).await.unwrap();
    let app = TestApp::start(&redis, API).await;
    let client = Client::admin(&redis, &app).await;
    client.get("/gateways").await.expect(200);
    // By name, in a body that is larger than those of other calls may be.
    let padding = "x".repeat(200);
    let gateways: Vec<_> = names
        .iter()
        .map(|name| json!({"domain": "acme", "name": name}))
        .chain((0..5000).map(|number| json!({"domain": "none", "name": format!("{padding}{number}")})))
        .collect();
    let body = json!({"gateways": gateways, "do": {"tag": ["new"]}});
    assert!(body.to_string().len() > 1024 * 1024);
    let done = client.post(BULK, &body).await.expect(200);
    assert_eq!(counts(&done.body), [10_000, 5000, 0, 0]);
    assert_eq!(done.body["items"].as_array().unwrap().len(), 1000);
    assert_eq!(done.body["left_out"], 9000);
    // The trunkd notices its own edits, and a later one of others after them.
    other.set_gateway("acme", "last", &account()).await;
    let noticed = || async { client.get("/history?who=redis").await.expect(200).body["items"].clone() };
    let of_others = eventually("others' edit is recorded", noticed, |items: &Value| items != &json!([])).await;
    assert_eq!(of_others.as_array().unwrap().len(), 1, "{of_others:#}");
    assert_eq!(of_others[0]["gateway"], "last");
    assert_eq!(edits(&client, "acme", "gw4999").await.len(), 1);
}

#[tokio::test]
async fn a_failure_half_way_says_what_is_done_and_the_same_call_goes_on() {
    let gateways = [
        ("acme", "a", account()),
        ("globex", "b", account()),
        ("initech", "c", account()),
    ];
    let (_redis, _app, client, other) = alone(&gateways).await;
    client.get("/gateways").await.expect(200);
    let permit = async |rules: &[&str]| {
        let mut command = redis::cmd("ACL");
        command.arg("SETUSER").arg("default").arg(rules);
        command.exec_async(&mut other.connection.clone()).await.unwrap();
    };
    permit(&[
        "resetkeys",
        "~cti_gateway@acme",
        "%R~cti_gateway@*",
        "~trunkd:*",
        "~gateways",
    ])
    .await;
    let body = json!({"filter": {}, "do": "disable"});
    let stopped = client.post(BULK, &body).await.expect(503);
    assert_eq!(stopped.reason(), "redis_refused", "{:#}", stopped.body);
    assert!(stopped.headers.contains_key("retry-after"));
    let detail = stopped.body["detail"].as_str().unwrap();
    assert!(detail.starts_with("1 of 3 gateways are written"), "{detail}");
    let bulk = &stopped.body["bulk"];
    assert_eq!(
        (&bulk["changed"], &bulk["not_written"]),
        (&json!(1), &json!(2)),
        "{bulk:#}"
    );
    assert_eq!(outcomes(bulk), "a changed, b not_written, c not_written");
    assert_eq!(stored(&other, "acme").await["a"]["enabled"], false);
    // With nothing written it is a failure like any other.
    let refused = client.post(BULK, &body).await.expect(503);
    assert_eq!((refused.reason(), refused.body.get("bulk")), ("redis_refused", None));
    permit(&["allkeys"]).await;
    let rest = client.post(BULK, &body).await.expect(200);
    assert_eq!(counts(&rest.body), [3, 2, 1, 0], "{:#}", rest.body);
}

#[tokio::test]
async fn a_body_that_makes_no_sense_is_answered_with_its_place_and_fix() {
    let (_redis, _app, client, other) = alone(&[("acme", "a", account())]).await;
    let before = stored(&other, "acme").await;
    let many = vec![json!({"domain": "acme", "name": "a"}); 100_001];
    let nobody = json!([{"domain": "acme", "name": "no name"}]);
    for (body, pointer, words) in [
        (json!({"do": "delete"}), "", "exactly one of `filter` and `gateways`"),
        (json!({"filter": {}, "gateways": [], "do": "delete"}), "", "exactly one"),
        (json!({"filter": {}}), "", "missing field `do`"),
        (
            json!({"filter": {"domian": "acme"}, "do": "delete"}),
            "/filter/domian",
            "did you mean `domain`?",
        ),
        (
            json!({"filter": {"limit": "1"}, "do": "delete"}),
            "/filter/limit",
            "unknown field",
        ),
        (
            json!({"filter": {"state": "updown"}, "do": "delete"}),
            "/filter/state",
            "REGED",
        ),
        (
            json!({"filter": {"validity": "good"}, "do": "delete"}),
            "/filter/validity",
            "write some of valid",
        ),
        (json!({"filter": {}, "do": "delet"}), "/do", "did you mean `delete`?"),
        (json!({"filter": {}, "do": {"patch": []}}), "/do/patch", "not an object"),
        (
            json!({"filter": {}, "do": {"tag": "x"}}),
            "/do/tag",
            "expected a sequence",
        ),
        (json!({"filter": {}, "do": {"tag": ["x"], "untag": ["y"]}}), "/do", ""),
        (
            json!({"gateways": many, "do": "delete"}),
            "/gateways",
            "more than 100000",
        ),
        (
            json!({"gateways": nobody, "do": "delete"}),
            "/gateways/0/name",
            "rename it",
        ),
        (
            json!({"gateways": [{"name": "a"}], "do": "delete"}),
            "/gateways/0",
            "missing field `domain`",
        ),
    ] {
        let refused = client.post(BULK, &body).await.expect(400);
        let error = &refused.body["errors"][0];
        let body = &body.to_string()[..200.min(body.to_string().len())];
        assert_eq!(error["pointer"], pointer, "{body} {error:#}");
        let said = format!("{} {}", error["reason"], error["fix"]);
        assert!(said.contains(words), "{body} {said}");
    }
    assert_eq!(stored(&other, "acme").await, before);
}
