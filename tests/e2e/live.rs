//! Lists of gateways and live events, over a real Redis and FakeSwitch.

use redis::AsyncCommands;
use serde_json::{Value, json};
use trunkd::access::Role;

use crate::support::api::{API, Client, SentEvent};
use crate::support::app::{Other, TestApp, eventually, switch_toml};
use crate::support::fake_switch::{Binding, FORBIDDEN, FakeSwitch};
use crate::support::redis::RedisServer;

const IP_TRUNK: &str = r#"{"param":{"realm":"sip.example.net","register":"false"}}"#;
const APPLY: &str = "[reconcile]\nmode = \"apply\"\nresync_interval = \"1s\"\n";

fn account(realm: &str) -> Value {
    json!({"param": {"realm": realm, "username": "u", "password": "p"}})
}

async fn fleet(gateways: &[(&str, &str, Value)]) -> (RedisServer, FakeSwitch, TestApp, Client) {
    let refuses = FakeSwitch::builder().registrar(|registrar| registrar.set("a2", FORBIDDEN));
    let (redis, switch) = (RedisServer::start().await, refuses.start().await);
    let other = Other::new(&redis).await;
    for (domain, name, value) in gateways {
        other.set_gateway(domain, name, &value.to_string()).await;
    }
    let app = TestApp::with_switch(&redis, &switch, &format!("{API}{APPLY}")).await;
    let admin = Client::admin(&redis, &app).await;
    (redis, switch, app, admin)
}

fn names(page: &Value) -> Vec<&str> {
    let items = page["items"].as_array().unwrap();
    items.iter().map(|item| item["name"].as_str().unwrap()).collect()
}

async fn list(client: &Client, query: &str) -> Value {
    client.get(&format!("/gateways{query}")).await.expect(200).body
}

#[tokio::test]
async fn a_list_has_what_redis_wants_and_what_the_switches_do() {
    let gateways = [
        ("acme", "a1", account("sip.one.example")),
        ("acme", "a2", account("sip.two.example")),
        ("acme", "bad", json!({"param": {"realm": "r"}})),
        (
            "acme",
            "off",
            json!({"param": {"register": false, "realm": "r"}, "enabled": false, "description": "Spare trunk", "tags": ["spare"]}),
        ),
        ("globex", "a1", account("sip.other.example")),
        (
            "globex",
            "g1",
            json!({"param": {"register": false, "realm": "r"}, "carrier": "Telco", "nodes": ["elsewhere"]}),
        ),
    ];
    let (redis, switch, app, admin) = fleet(&gateways).await;
    switch.wait_for_state("a1", "REGED").await;
    let page = eventually(
        "both have come to rest",
        || list(&admin, "?state=up,down"),
        |page| {
            let state = &page["counts"]["state"];
            let is_done = page["items"][0]["switches"][0]["note"].is_null();
            state["up"] == 1 && state["down"] == 1 && is_done
        },
    )
    .await;
    assert_eq!(names(&page), ["a1", "a2"]);
    let on = &page["items"][0]["switches"][0];
    assert_eq!(
        (&on["switch"], &on["state"], &on["note"]),
        (&json!("fs1"), &json!("REGED"), &Value::Null)
    );
    assert_eq!(on["desired_revision"], on["observed_revision"]);

    let all = list(&admin, "").await;
    assert_eq!(names(&all), ["a1", "a1", "a2", "bad", "g1", "off"]);
    assert_eq!(all["total"], 6);
    assert_eq!(
        all["counts"]["validity"],
        json!({"valid": 3, "shadowed": 1, "invalid": 1, "disabled": 1})
    );
    assert!(!all.to_string().contains("\"p\""));
    for (query, expected) in [
        ("?domain=globex", &["a1", "g1"][..]),
        ("?q=SPARE", &["off"]),
        ("?q=two.example", &["a2"]),
        ("?q=spare+trunk", &["off"]),
        ("?q=spare+nothing", &[]),
        ("?tag=spare", &["off"]),
        ("?carrier=Telco", &["g1"]),
        ("?validity=invalid,disabled", &["bad", "off"]),
        ("?state=idle", &["a1", "bad", "g1", "off"]),
        ("?state=REGED", &["a1"]),
        ("?switch=fs1", &["a1", "a2"]),
        ("?switch=fs1&state=up", &["a1"]),
        ("?switch=nowhere", &[]),
        ("?profile=external&validity=valid", &["a1", "a2", "g1"]),
        ("?sort=-name", &["off", "g1", "bad", "a2", "a1", "a1"]),
    ] {
        assert_eq!(names(&list(&admin, query).await), expected, "{query}");
    }
    for query in [
        "?state=upp",
        "?sort=colour",
        "?validity=good",
        "?limit=0",
        "?after=x",
        "?dommain=acme",
    ] {
        admin.get(&format!("/gateways{query}")).await.expect(400);
    }

    let domains = admin.get("/domains").await.expect(200).body;
    assert_eq!(
        (&domains["items"][0]["name"], &domains["items"][0]["gateways"]),
        (&json!("acme"), &json!(4))
    );
    let switches = admin.get("/switches").await.expect(200).body;
    let fs1 = &switches["items"][0];
    assert_eq!(
        (&fs1["name"], &fs1["connected"], &fs1["mode"]),
        (&json!("fs1"), &json!(true), &json!("apply"))
    );
    assert_eq!(fs1["state"]["up"], 1);

    // Others see only what is theirs.
    let viewer = Client::new(&redis, &app, Role::Viewer, "globex").await;
    assert_eq!(names(&list(&viewer, "").await), ["a1", "g1"]);
    viewer.get("/gateways?domain=acme").await.expect(403);
    assert_eq!(
        viewer.get("/domains").await.expect(200).body["items"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
}

#[tokio::test]
async fn pages_stay_right_while_others_edit() {
    let redis = RedisServer::start().await;
    let other = Other::new(&redis).await;
    let value = json!({"param": {"register": false, "realm": "r"}}).to_string();
    for n in 0..25 {
        other.set_gateway("acme", &format!("g{n:02}"), &value).await;
    }
    let app = TestApp::start(&redis, API).await;
    let admin = Client::admin(&redis, &app).await;
    for sort in ["name", "-name", "state", "since", "-ping_ms"] {
        let mut seen = Vec::new();
        let mut after = String::new();
        loop {
            let page = list(&admin, &format!("?limit=10&sort={sort}{after}")).await;
            seen.extend(names(&page).into_iter().map(str::to_owned));
            // What was seen already goes, and what comes before appears.
            other.delete_gateway("acme", &seen[0]).await;
            other.set_gateway("acme", &seen[0], &value).await;
            match page["next"].as_str() {
                Some(next) => after = format!("&after={next}"),
                None => break,
            }
        }
        let mut expected: Vec<_> = (0..25).map(|n| format!("g{n:02}")).collect();
        if sort.starts_with('-') {
            expected.reverse();
        }
        assert_eq!(seen, expected, "{sort}");
    }
    // An edit is in the very next list.
    admin
        .put(
            "/domains/acme/gateways/new",
            &json!({"param": {"register": false, "realm": "r"}}),
        )
        .await
        .expect(201);
    assert_eq!(list(&admin, "?q=new").await["total"], 1);
    admin.delete("/domains/acme/gateways/new").await.expect(200);
    assert_eq!(list(&admin, "?q=new").await["total"], 0);
}

/// The states of a gateway, as the events tell them.
fn states(events: &[SentEvent], gateway: &str) -> Vec<String> {
    let of_gateway = events
        .iter()
        .filter(|event| event.kind == "gateway" && event.data["name"] == gateway);
    of_gateway
        .map(|event| event.data["state"].as_str().unwrap_or("-").to_owned())
        .collect()
}

#[tokio::test]
async fn two_trunkd_tell_each_state_change_once_to_their_own_listeners() {
    let (redis, switch, one, admin) =
        fleet(&[("acme", "stays", json!({"param": {"register": false, "realm": "r"}}))]).await;
    let toml = format!("{}\n{API}{APPLY}", switch_toml(&switch, "fs1"));
    let other = TestApp::start(&redis, &toml).await;
    switch.wait_until("both listen", |view| view.listeners() == 2).await;
    let (mut here, mut there) = (admin.events("", None).await, admin.at(&other).events("", None).await);
    admin
        .put("/domains/acme/gateways/new", &account("sip.example.net"))
        .await
        .expect(201);
    let is_up = |event: &SentEvent| event.data["name"] == "new" && event.data["condition"] == "up";
    let is_edit = |event: &SentEvent| event.kind == "history" && event.data["kind"] == "edit";
    for events in [&mut here, &mut there] {
        let seen = events.until(is_up).await;
        let states = states(&seen, "new");
        let mut once = states.clone();
        once.dedup();
        assert_eq!(states, once, "each once");
        assert_eq!(states.last().unwrap(), "REGED");
        assert_eq!(seen.iter().filter(|event| is_edit(event)).count(), 1, "{seen:#?}");
    }
    drop(one);
}

#[tokio::test]
async fn a_listener_goes_on_where_it_stopped_at_any_trunkd() {
    let (redis, _switch, _app, admin) =
        fleet(&[("acme", "g", json!({"param": {"register": false, "realm": "r"}}))]).await;
    let other = TestApp::start(&redis, API).await;
    let edit = |n: u32| {
        let (admin, patch) = (admin.clone(), json!({"description": format!("edit {n}")}));
        async move { admin.patch("/domains/acme/gateways/g", &patch).await.expect(200) }
    };
    let is_edit = |n: u32| move |event: &SentEvent| event.data["changes"][0]["after"] == format!("edit {n}");
    let mut events = admin.events("", None).await;
    edit(1).await;
    let last = events.until(is_edit(1)).await.pop().unwrap().id;
    drop(events);
    edit(2).await;
    edit(3).await;
    let mut events = admin.at(&other).events("", Some(&last)).await;
    let seen = events.until(is_edit(3)).await;
    assert!(seen.iter().any(is_edit(2)), "{seen:#?}");
    assert!(!seen.iter().any(is_edit(1)), "{seen:#?}");

    // Too long ago, or another Redis: everything is to be read again.
    let mut events = admin.events("", Some("1-1_1-1")).await;
    assert_eq!(events.next().await.kind, "resync");
    admin.get("/events?nam=x").await.expect(400);
    let nonsense = admin
        .request(reqwest::Method::GET, "/events")
        .header("Last-Event-ID", "x");
    crate::support::api::send(nonsense).await.expect(400);
}

#[tokio::test]
async fn a_listener_hears_only_what_is_his() {
    let (redis, _switch, app, admin) = fleet(&[
        ("acme", "a", json!({"param": {"register": false, "realm": "r"}})),
        ("globex", "g", json!({"param": {"register": false, "realm": "r"}})),
    ])
    .await;
    let viewer = Client::new(&redis, &app, Role::Viewer, "globex").await;
    viewer.get("/events?domain=acme").await.expect(403);
    let (mut all, mut his) = (admin.events("", None).await, viewer.events("", None).await);
    let mut named = admin.events("?domain=globex&name=g", None).await;
    admin
        .patch("/domains/acme/gateways/a", &json!({"description": "x"}))
        .await
        .expect(200);
    admin
        .post("/tokens", &json!({"name": "t", "role": "viewer"}))
        .await
        .expect(201);
    admin
        .patch("/domains/globex/gateways/g", &json!({"description": "x"}))
        .await
        .expect(200);
    let is_last = |event: &SentEvent| event.data["gateway"] == "g" && event.data["kind"] == "edit";
    let history = |seen: Vec<SentEvent>| -> Vec<Value> {
        let of_history = seen.into_iter().filter(|event| event.kind == "history");
        of_history.map(|event| event.data["gateway"].clone()).collect()
    };
    assert_eq!(history(all.until(is_last).await), [json!("a"), Value::Null, json!("g")]);
    assert_eq!(history(his.until(is_last).await), [json!("g")]);
    assert_eq!(history(named.until(is_last).await), [json!("g")]);
}

#[tokio::test]
async fn a_flushed_redis_and_a_lost_switch_are_told() {
    let (redis, switch, app, admin) = fleet(&[("acme", "g", account("sip.example.net"))]).await;
    switch.wait_for_state("g", "REGED").await;
    let mut events = admin.events("", None).await;
    switch.refuse_connections(true).await;
    switch.drop_connections();
    let lost = events
        .until(|event| event.kind == "switch" && event.data["state"]["connected"] == false)
        .await;
    assert_eq!(lost.last().unwrap().data["switch"], "fs1");
    switch.refuse_connections(false).await;
    events
        .until(|event| event.kind == "switch" && event.data["state"]["connected"] == true)
        .await;
    let mut connection = redis.connection().await;
    let _: () = connection.del("trunkd:changes").await.unwrap();
    switch.set_binding(Some(Binding::new(app.xml_curl_url())));
    events.until(|event| event.kind == "resync").await;
}

#[tokio::test]
async fn a_write_past_trunkd_is_recorded_once_by_two_of_them_and_can_be_undone() {
    let redis = RedisServer::start().await;
    let other = Other::new(&redis).await;
    other
        .set_gateway("acme", "old", &account("sip.one.example").to_string())
        .await;
    let (one, two) = (TestApp::start(&redis, API).await, TestApp::start(&redis, API).await);
    let admin = Client::admin(&redis, &one).await;
    for app in [&one, &two] {
        eventually("it serves", || app.served(), |served| served == &["old"]).await;
    }
    let edits = async |expected: usize| {
        let edits = || async { admin.get("/history?kind=edit").await.expect(200).body["items"].clone() };
        let seen = eventually("they are recorded", edits, |items| {
            items.as_array().unwrap().len() >= expected
        })
        .await;
        let seen = seen.as_array().unwrap().clone();
        assert_eq!(seen.len(), expected, "{seen:#?}");
        seen[0].clone()
    };
    other
        .set_gateway("acme", "old", &account("sip.two.example").to_string())
        .await;
    let edit = edits(1).await;
    assert_eq!((&edit["who"], &edit["edit"]), (&json!("redis"), &json!("change")));
    assert_eq!(
        edit["changes"],
        json!([{"field": "param.realm", "before": "sip.one.example", "after": "sip.two.example"}])
    );
    other
        .set_gateway("acme", "new", &account("sip.one.example").to_string())
        .await;
    assert_eq!(edits(2).await["edit"], "create");
    other.delete_gateway("acme", "new").await;
    let deletion = edits(3).await;
    assert_eq!(deletion["edit"], "delete");
    // What came through the API is not taken for another's.
    admin
        .patch("/domains/acme/gateways/old", &json!({"description": "x"}))
        .await
        .expect(200);
    other
        .set_gateway("acme", "marker", &account("sip.one.example").to_string())
        .await;
    edits(5).await;
    let revert = format!("/history/{}/revert", deletion["id"].as_str().unwrap());
    admin.post(&revert, &Value::Null).await.expect(201);
    assert_eq!(
        other.field("cti_gateway@acme", "new").await,
        Some(account("sip.one.example"))
    );

    // A whole Redis that is emptied is one look, and not a flood of the history.
    let fields = (0..2200).map(|n| (format!("g{n}"), account("sip.one.example").to_string()));
    let mut connection = redis.connection().await;
    let _: () = connection
        .hset_multiple("cti_gateway@bulk", &fields.collect::<Vec<_>>())
        .await
        .unwrap();
    let summary = || async { admin.get("/history?kind=edits").await.expect(200).body["items"].clone() };
    let summary = eventually("the rest is counted", summary, |items| {
        !items.as_array().unwrap().is_empty()
    })
    .await;
    assert_eq!(summary[0]["created"], 200);
}

#[tokio::test]
async fn an_edit_while_no_trunkd_ran_is_recorded_when_one_starts() {
    let redis = RedisServer::start().await;
    let other = Other::new(&redis).await;
    other
        .set_gateway("acme", "g", &account("sip.one.example").to_string())
        .await;
    let app = TestApp::start(&redis, API).await;
    let kept = || async { app.folder().join("last-good").exists() };
    eventually("the state is kept", kept, |kept| *kept).await;
    let folder = app.stop().await;
    other
        .set_gateway("acme", "g", &account("sip.two.example").to_string())
        .await;
    let app = TestApp::start_in(&redis, API, crate::support::app::quick(), folder).await;
    let admin = Client::admin(&redis, &app).await;
    let edits = || async { admin.get("/history?kind=edit").await.expect(200).body["items"].clone() };
    let seen = eventually("it is recorded", edits, |items| !items.as_array().unwrap().is_empty()).await;
    assert_eq!(
        (&seen[0]["who"], &seen[0]["changes"][0]["after"]),
        (&json!("redis"), &json!("sip.two.example"))
    );
}

#[tokio::test]
async fn an_edit_that_undoes_another_between_two_looks_is_recorded() {
    let redis = RedisServer::start().await;
    let other = Other::new(&redis).await;
    other.set_gateway("acme", "stays", &account("r").to_string()).await;
    let app = TestApp::start(&redis, API).await;
    let kept = || async { app.folder().join("last-good").exists() };
    eventually("the state is kept", kept, |kept| *kept).await;
    let folder = app.stop().await;
    // This trunkd sees neither the gateway that another one makes, nor that it goes.
    let elsewhere = TestApp::start(&redis, API).await;
    let admin = Client::admin(&redis, &elsewhere).await;
    let path = "/domains/acme/gateways/new";
    admin.put(path, &account("r")).await.expect(201);
    elsewhere.stop().await;
    other.delete_gateway("acme", "new").await;
    let app = TestApp::start_in(&redis, API, crate::support::app::quick(), folder).await;
    let admin = admin.at(&app);
    let edits = || async { admin.get(&format!("{path}/history")).await.expect(200).body["items"].clone() };
    let seen = eventually("it is recorded", edits, |items| items[0]["edit"] == "delete").await;
    assert_eq!(seen[0]["who"], "redis");
    assert_eq!(seen[1]["edit"], "create");
    // What was deleted can be brought back.
    let revert = format!("/history/{}/revert", seen[0]["id"].as_str().unwrap());
    admin.post(&revert, &Value::Null).await.expect(201);
    assert_eq!(other.field("cti_gateway@acme", "new").await, Some(account("r")));
}

#[tokio::test]
async fn a_plan_is_approved_by_what_was_shown() {
    let ip = json!({"param": {"register": false, "realm": "r"}});
    let gateways: Vec<_> = ["a", "b", "c", "d", "e", "f", "g", "h"]
        .map(|name| ("acme", name, ip.clone()))
        .into();
    let (redis, switch, app, admin) = fleet(&gateways).await;
    switch.wait_until("all run", |view| view.gateways().len() == 8).await;
    let calm = || async { admin.get("/plan").await.expect(200).body };
    let calm = eventually("nothing is left to do", calm, |plan| plan["pending"] == false).await;
    // What the other switches are served counts from then on.
    let state = calm["switches"][0]["serve"]["state"].clone();
    Other::new(&redis)
        .await
        .wait_for("trunkd:reconcile", "*", "/state", state)
        .await;
    let mut connection = redis.connection().await;
    let gone: Vec<_> = gateways.iter().skip(1).map(|(_, name, _)| *name).collect();
    let _: () = connection.hdel("cti_gateway@acme", gone).await.unwrap();
    let held = || async { admin.get("/plan").await.expect(200).body };
    let is_some = |list: &Value| !list.as_array().unwrap().is_empty();
    let held = eventually("it is held, also from switches in no settings", held, |plan| {
        is_some(&plan["switches"][0]["holds"]) && is_some(&plan["others_held"])
    })
    .await;
    assert_ne!(held["id"], calm["id"]);
    let outdated = admin.post("/plan/apply", &json!({"id": calm["id"]})).await.expect(409);
    assert_eq!(
        (outdated.reason(), &outdated.body["plan"]["id"]),
        ("plan_changed", &held["id"])
    );
    let viewer = Client::new(&redis, &app, Role::Viewer, "*").await;
    assert_eq!(
        viewer
            .post("/plan/apply", &json!({"id": held["id"]}))
            .await
            .expect(403)
            .reason(),
        "role_too_low"
    );
    let scoped = Client::new(&redis, &app, Role::Operator, "globex").await;
    assert_eq!(scoped.get("/plan").await.expect(200).body["pending"], false);
    let adopt = scoped.get("/plan?adopt=true").await.expect(403);
    assert_eq!(adopt.reason(), "domain_not_yours");
    let applied = admin.post("/plan/apply", &json!({"id": held["id"]})).await.expect(200);
    assert_eq!(
        (&applied.body["items"][0]["done"], &applied.body["items"][0]["switch"]),
        (&json!(true), &json!("fs1"))
    );
    assert_eq!(switch.view(|view| view.gateways().len()), 1);
    let history = admin.get("/history?kind=apply").await.expect(200).body;
    assert_eq!(history["items"][0]["plan"], held["id"]);

    admin.post("/switches/fs1/pause", &Value::Null).await.expect(204);
    let switches = admin.get("/switches").await.expect(200).body;
    assert_eq!(switches["items"][0]["paused"], true);
    admin.post("/switches/fs1/resume", &Value::Null).await.expect(200);
    admin.post("/switches/nowhere/pause", &Value::Null).await.expect(404);
}

/// The gateways that a plan kills, by what it shows.
fn kills(plan: &Value) -> Vec<&str> {
    let actions = plan["switches"][0]["plan"]["actions"].as_array().unwrap().iter();
    let kills = actions.filter(|action| action["action"] == "kill");
    kills.map(|action| action["gateway"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn an_operator_releases_what_is_held_of_his_domains_alone() {
    let (redis, switch) = (RedisServer::start().await, FakeSwitch::builder().start().await);
    let app = TestApp::with_switch(&redis, &switch, &format!("{API}{APPLY}")).await;
    let admin = Client::admin(&redis, &app).await;
    let other = Other::new(&redis).await;
    let mut connection = other.connection.clone();
    let names = |domain: &str| (0..7).map(|number| format!("{domain}{number}")).collect::<Vec<_>>();
    for domain in ["acme", "globex"] {
        let gateways: Vec<_> = names(domain).into_iter().map(|name| (name, IP_TRUNK)).collect();
        let key = format!("cti_gateway@{domain}");
        let _: () = connection.hset_multiple(key, &gateways).await.unwrap();
    }
    switch.wait_until("all run", |view| view.gateways().len() == 14).await;
    let operator = Client::new(&redis, &app, Role::Operator, "acme").await;
    let (mut all, mut his_events) = (admin.events("", None).await, operator.events("", None).await);
    // More than five at a time are held.
    for domain in ["acme", "globex"] {
        let gone = &names(domain)[..6];
        let _: () = connection.hdel(format!("cti_gateway@{domain}"), gone).await.unwrap();
    }
    eventually(
        "all of it is held",
        async || admin.get("/plan").await.expect(200).body,
        |plan| kills(plan).len() == 12 && !plan["switches"][0]["holds"].as_array().unwrap().is_empty(),
    )
    .await;
    let his = eventually(
        "his part is shown",
        async || operator.get("/plan").await.expect(200).body,
        |plan| kills(plan).len() == 6,
    )
    .await;
    assert_eq!(kills(&his), names("acme")[..6]);
    assert!(!his.to_string().contains("globex"), "{his:#}");
    let hold = &his["switches"][0]["held"];
    assert_eq!(
        (
            &hold["ours"],
            &hold["earlier"],
            &hold["reason"],
            &his["switches"][0]["plan"]["unchanged"]
        ),
        (&json!(7), &json!(0), &json!({"kind": "all_domains"}), &json!(1))
    );
    check_numbers(&admin, &operator).await;
    let is_hold = |event: &SentEvent| event.data["kind"] == "hold";
    let said = |events: Vec<SentEvent>| events.iter().map(|event| event.data.to_string()).collect::<String>();
    let (all, his_events) = (said(all.until(is_hold).await), said(his_events.until(is_hold).await));
    assert!(all.contains("held: removes 12 of 14"), "{all}");
    assert!(!his_events.contains(" 14"), "{his_events}");

    operator
        .post("/plan/apply", &json!({"id": his["id"]}))
        .await
        .expect(200);
    let left: Vec<_> = names("acme")[6..].iter().cloned().chain(names("globex")).collect();
    switch
        .wait_until("his are gone", |view| {
            let mut running: Vec<_> = view.gateways().iter().map(|gateway| gateway.name.clone()).collect();
            running.sort();
            running == left
        })
        .await;
    let rest = admin.get("/plan").await.expect(200).body;
    assert_eq!(kills(&rest), names("globex")[..6]);
    assert_eq!(operator.get("/plan").await.expect(200).body["pending"], false);
}

/// The numbers of a hold count all domains, so they are for who sees all of them.
async fn check_numbers(admin: &Client, operator: &Client) {
    let last = json!({"gateways": [{"domain": "acme", "name": "acme6"}], "do": "delete"});
    for path in [
        "/switches",
        "/status",
        "/history?kind=hold",
        "/plan",
        "/gateways/bulk?dry_run=true",
    ] {
        let of = async |client: &Client| match path.starts_with("/gateways/bulk") {
            true => client.post(path, &last).await.expect(200).body.to_string(),
            false => client.get(path).await.expect(200).body.to_string(),
        };
        let (all, his) = (of(admin).await, of(operator).await);
        assert!(all.contains(" of 14"), "{path}: {all}");
        assert!(his.contains("held: ") && !his.contains(" 14"), "{path}: {his}");
    }
    let left =
        async |client: &Client| client.get("/switches").await.expect(200).body["items"][0]["removals_left"].clone();
    assert_eq!((left(admin).await, left(operator).await), (json!(5), json!(null)));
}

#[tokio::test]
async fn a_snapshot_that_changes_nothing_names_no_gateway_and_lists_say_when_it_was() {
    let (redis, switch, _app, admin) = fleet(&[("acme", "a1", account("sip.one.example"))]).await;
    switch.wait_for_state("a1", "REGED").await;
    let item = || async { list(&admin, "").await["items"][0]["switches"][0].clone() };
    let at_rest = eventually("it has come to rest", item, |on| {
        on["state"] == "REGED" && on["desired_revision"] == on["observed_revision"]
    });
    let seen = |on: &Value| on["seen"].as_str().unwrap().parse::<jiff::Timestamp>().unwrap();
    let before = at_rest.await;
    let later = eventually("a snapshot was taken", item, |on| seen(on) > seen(&before)).await;
    assert_eq!((&later["since"], &later["state"]), (&before["since"], &before["state"]));

    type Last = Vec<(String, std::collections::HashMap<String, String>)>;
    let last = || async {
        let mut command = redis::cmd("XREVRANGE");
        command.arg("trunkd:changes").arg(&["+", "-", "COUNT", "1"]);
        let last: Last = command.query_async(&mut redis.connection().await).await.unwrap();
        last[0].1.clone()
    };
    eventually("it names no gateway", last, |last| {
        last["names"].is_empty() && last["seen"].parse::<jiff::Timestamp>().is_ok()
    })
    .await;
}
