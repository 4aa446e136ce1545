//! The operators' API, over a real Redis and FakeSwitch.

use redis::AsyncCommands;
use reqwest::Method;
use serde_json::{Value, json};
use trunkd::access::Role;

use crate::support::api::{API, Answer, Client, base, send};
use crate::support::app::{Other, TestApp, eventually, http};
use crate::support::fake_switch::{FORBIDDEN, FakeSwitch, Outcome};
use crate::support::redis::RedisServer;

const APPLY: &str = "[reconcile]\nmode = \"apply\"\nresync_interval = \"1s\"\n";
const GATEWAY: &str = "/domains/acme/gateways/carrier1";

fn account(password: &str) -> Value {
    json!({"param": {"realm": "sip.example.net", "username": "u", "password": password}})
}

fn ip_trunk() -> Value {
    json!({"param": {"realm": "sip.example.net", "register": false}})
}

/// A trunkd with its API and no switch.
async fn alone() -> (RedisServer, TestApp, Client) {
    let redis = RedisServer::start().await;
    let app = TestApp::start(&redis, API).await;
    let client = Client::admin(&redis, &app).await;
    (redis, app, client)
}

async fn stored(redis: &RedisServer) -> Option<Value> {
    Other::new(redis).await.field("cti_gateway@acme", "carrier1").await
}

/// The edits of the gateway, newest first: who, what, and which fields.
async fn edits(client: &Client) -> Vec<(String, String, Vec<String>)> {
    let history = client.get(&format!("{GATEWAY}/history")).await.expect(200);
    let items = history.body["items"].as_array().unwrap().clone();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    items
        .iter()
        .filter(|entry| entry["kind"] == "edit")
        .map(|entry| {
            let fields = entry["changes"].as_array().unwrap().iter();
            (
                text(&entry["who"]),
                text(&entry["edit"]),
                fields.map(|change| text(&change["field"])).collect(),
            )
        })
        .collect()
}

#[tokio::test]
async fn an_operator_puts_a_trunk_and_is_answered_when_it_is_registered() {
    let (redis, switch) = (RedisServer::start().await, FakeSwitch::builder().start().await);
    let toml = format!("{API}{APPLY}rollback = false\n");
    let app = TestApp::with_switch(&redis, &switch, &toml).await;
    let operator = Client::new(&redis, &app, Role::Operator, "acme").await;
    // Without it, the last gateway would go, and that is held.
    operator
        .put("/domains/acme/gateways/stays?wait=10s", &ip_trunk())
        .await
        .expect(201);

    let put = operator
        .put(&format!("{GATEWAY}?wait=10s"), &account("p"))
        .await
        .expect(201);
    assert_eq!(
        put.body["effect"],
        json!([{"switch": "fs1", "outcome": "applied", "state": "REGED"}])
    );
    assert_eq!(put.body["gateway"]["switches"][0]["condition"], "up");
    assert!(switch.view(|view| view.state("carrier1") == Some("REGED")));

    // The carrier refuses the next password.
    switch.registrar(|registrar| registrar.set("carrier1", FORBIDDEN));
    let refused = operator
        .patch(&format!("{GATEWAY}?wait=15s"), &json!({"param": {"password": "wrong"}}))
        .await
        .expect(200);
    let effect = &refused.body["effect"][0];
    assert_eq!(effect["outcome"], "failed", "{effect:#}");
    assert!(effect["reason"].as_str().unwrap().contains("403"), "{effect:#}");

    // The next one works, and is not called failed because of the one before.
    switch.registrar(|registrar| registrar.set("carrier1", Outcome::After(2, Box::new(Outcome::Ok))));
    let corrected = operator
        .patch(&format!("{GATEWAY}?wait=15s"), &json!({"param": {"password": "right"}}))
        .await
        .expect(200);
    assert_eq!(
        corrected.body["effect"][0]["outcome"], "applied",
        "{:#}",
        corrected.body
    );
    switch.registrar(|registrar| registrar.set("carrier1", FORBIDDEN));
    let refused = operator
        .patch(&format!("{GATEWAY}?wait=15s"), &json!({"param": {"password": "wrong"}}))
        .await
        .expect(200);
    assert_eq!(refused.body["effect"][0]["outcome"], "failed", "{:#}", refused.body);

    // Undone, the one before is back.
    switch.registrar(|registrar| registrar.set("carrier1", Outcome::Ok));
    let id = refused.body["history"].as_str().unwrap();
    let reverted = operator
        .post(&format!("/history/{id}/revert?wait=15s"), &Value::Null)
        .await
        .expect(200);
    assert_eq!(reverted.body["effect"][0]["outcome"], "applied", "{:#}", reverted.body);
    assert_eq!(stored(&redis).await.unwrap()["param"]["password"], "right");

    let deleted = operator.delete(&format!("{GATEWAY}?wait=10s")).await.expect(200);
    assert_eq!(deleted.body["gateway"], Value::Null);
    assert_eq!(deleted.body["effect"][0]["outcome"], "applied", "{:#}", deleted.body);
    switch.wait_for_gone("carrier1").await;
}

#[tokio::test]
async fn secrets_are_written_and_never_read() {
    let (redis, _app, admin) = alone().await;
    let put = admin.put(GATEWAY, &account("hunter2")).await.expect(201);
    assert_eq!(put.body["gateway"]["secrets"], json!(["param.password"]));
    assert_eq!(
        put.body["gateway"]["value"],
        json!({"param": {"realm": "sip.example.net", "username": "u"}})
    );

    // What is read can be written back: the password stays.
    let mut value = admin.get(GATEWAY).await.expect(200).body["value"].clone();
    value["param"]["realm"] = "other.example.net".into();
    let put = admin.put(GATEWAY, &value).await.expect(200);
    assert_eq!(stored(&redis).await.unwrap()["param"]["password"], "hunter2");
    assert_eq!(
        put.body["changes"],
        json!([{"field": "param.realm", "before": "sip.example.net", "after": "other.example.net"}])
    );
    let changed = admin
        .patch(GATEWAY, &json!({"param": {"password": "x"}}))
        .await
        .expect(200);
    assert_eq!(
        changed.body["changes"],
        json!([{"field": "param.password", "secret": true}])
    );
    let removed = admin
        .patch(&format!("{GATEWAY}?force=true"), &json!({"param": {"password": null}}))
        .await
        .expect(200);
    assert_eq!(removed.body["gateway"]["secrets"], json!([]));
    assert!(stored(&redis).await.unwrap()["param"].get("password").is_none());

    admin.put(GATEWAY, &account("hunter2")).await.expect(200);
    let revealed = admin
        .post(&format!("{GATEWAY}/reveal"), &json!({"secret": "param.password"}))
        .await
        .expect(200);
    assert_eq!(revealed.body["value"], "hunter2");
    for path in [
        GATEWAY,
        "/history",
        &format!("{GATEWAY}/history"),
        &format!("{GATEWAY}/xml"),
    ] {
        let answer = admin.get(path).await.expect(200);
        assert!(
            !answer.body.to_string().contains("hunter2"),
            "{path}: {:#}",
            answer.body
        );
    }
    let history = admin.get("/history?kind=reveal").await.expect(200);
    assert_eq!(history.body["items"][0]["field"], "param.password");
}

#[tokio::test]
async fn two_writers_one_412_and_nothing_is_lost() {
    let (redis, _app, admin) = alone().await;
    let first = admin.put(GATEWAY, &ip_trunk()).await.expect(201);
    let etag = first.etag.clone().unwrap();
    let with_tag = |tag: &str, body: Value| {
        let request = admin.request(Method::PATCH, GATEWAY).header("If-Match", tag.to_owned());
        send(request.body(body.to_string()))
    };
    let (one, other) = tokio::join!(
        with_tag(&etag, json!({"param": {"proxy": "a.example.net"}})),
        with_tag(&etag, json!({"param": {"proxy": "b.example.net"}}))
    );
    let (won, lost) = match one.status {
        200 => (one, other),
        _ => (other, one),
    };
    let won = won.expect(200);
    let lost = lost.expect(412);
    assert_eq!(lost.reason(), "changed_meanwhile");
    assert_eq!(lost.body["current"]["value"], won.body["gateway"]["value"]);
    assert_eq!(lost.etag, won.etag);
    assert_eq!(
        stored(&redis).await.unwrap()["param"]["proxy"],
        won.body["gateway"]["value"]["param"]["proxy"]
    );

    let create = |path: &str| {
        let request = admin.request(Method::PUT, path).header("If-None-Match", "*");
        send(request.body(ip_trunk().to_string()))
    };
    create(GATEWAY).await.expect(412);
    create("/domains/acme/gateways/new").await.expect(201);
    with_tag("\"nonsense\"", json!({})).await.expect(412);
    with_tag("nonsense", json!({})).await.expect(400);
    with_tag("*", json!({"description": "x"})).await.expect(200);
}

#[tokio::test]
async fn writers_without_a_condition_all_take_place() {
    let (redis, _app, admin) = alone().await;
    admin.put(GATEWAY, &ip_trunk()).await.expect(201);
    let patches = (0..6).map(|n| {
        let (admin, patch) = (admin.clone(), json!({"variables": {format!("v{n}"): "x"}}));
        async move { admin.patch(GATEWAY, &patch).await }
    });
    for answer in futures_util::future::join_all(patches).await {
        answer.expect(200);
    }
    let variables = stored(&redis).await.unwrap()["variables"].clone();
    assert_eq!(variables.as_object().unwrap().len(), 6, "{variables}");
    assert_eq!(edits(&admin).await.len(), 7);
}

#[tokio::test]
async fn what_freeswitch_would_refuse_is_refused_with_place_reason_and_fix() {
    let (redis, _app, admin) = alone().await;
    let refused = admin
        .put(GATEWAY, &json!({"param": {"realm": "sip.example.net"}}))
        .await
        .expect(422);
    assert_eq!(refused.reason(), "refused");
    assert_eq!(refused.headers["content-type"], "application/problem+json");
    let pointers: Vec<_> = refused.body["errors"]
        .as_array()
        .unwrap()
        .iter()
        .map(|error| error["pointer"].as_str().unwrap())
        .collect();
    assert_eq!(pointers, ["/param/password", "/param/username"]);
    assert_eq!(stored(&redis).await, None);
    // Redis may hold it, as when anybody else writes it.
    let forced = admin
        .put(
            &format!("{GATEWAY}?force=true"),
            &json!({"param": {"realm": "sip.example.net"}}),
        )
        .await
        .expect(201);
    assert_eq!(forced.body["gateway"]["validity"], "invalid");
    // Keys of the operator's own are kept, with a warning.
    let own = json!({"param": {"realm": "r", "register": false}, "billing": {"id": 7.50}});
    let put = admin.put(GATEWAY, &own).await.expect(200);
    assert_eq!(put.body["gateway"]["findings"][0]["pointer"], "/billing");
    admin.patch(GATEWAY, &json!({"description": "x"})).await.expect(200);
    assert_eq!(stored(&redis).await.unwrap()["billing"], json!({"id": 7.5}));
}

#[tokio::test]
async fn a_dry_run_says_what_would_happen_and_writes_nothing() {
    let (redis, switch) = (RedisServer::start().await, FakeSwitch::builder().start().await);
    let app = TestApp::with_switch(&redis, &switch, &format!("{API}{APPLY}")).await;
    let admin = Client::admin(&redis, &app).await;
    let outcome = |answer: &Answer| answer.body["effect"][0]["outcome"].as_str().unwrap().to_owned();

    let dry = admin
        .put(&format!("{GATEWAY}?dry_run=true"), &account("p"))
        .await
        .expect(200);
    assert_eq!(
        (outcome(&dry).as_str(), &dry.body["history"]),
        ("would_start", &Value::Null)
    );
    assert_eq!(stored(&redis).await, None);
    admin
        .put(&format!("{GATEWAY}?wait=10s"), &account("p"))
        .await
        .expect(201);
    let patch = format!("{GATEWAY}?dry_run=true");
    let changed = admin
        .patch(&patch, &json!({"param": {"expire-seconds": 60}}))
        .await
        .expect(200);
    assert_eq!(outcome(&changed), "would_restart");
    assert_eq!(changed.body["effect"][0]["interruption_seconds"], 4);
    assert_eq!(
        changed.body["changes"],
        json!([{"field": "param.expire-seconds", "after": 60}])
    );
    let same = admin.patch(&patch, &json!({"description": "x"})).await.expect(200);
    assert_eq!(outcome(&same), "would_stay");
    let elsewhere = admin
        .patch(&patch, &json!({"nodes": ["fs1", "fs2"], "enabled": false}))
        .await
        .expect(200);
    assert_eq!(outcome(&elsewhere), "would_stop");
    assert_eq!(outcome(&admin.delete(&patch).await.expect(200)), "would_stop");
    assert!(stored(&redis).await.is_some());
    assert_eq!(edits(&admin).await.len(), 1);
}

#[tokio::test]
async fn a_gateway_is_copied_renamed_and_read_as_xml() {
    let (redis, _app, admin) = alone().await;
    admin.put(GATEWAY, &account("p")).await.expect(201);
    let copy = admin
        .post(&format!("{GATEWAY}/copy"), &json!({"name": "carrier2"}))
        .await
        .expect(201);
    assert_eq!(copy.body["gateway"]["validity"], "disabled");
    assert_eq!(copy.headers["location"], "/api/v1/domains/acme/gateways/carrier2");
    let taken = admin
        .post(&format!("{GATEWAY}/copy"), &json!({"name": "carrier2"}))
        .await
        .expect(409);
    assert_eq!(taken.reason(), "name_taken");

    let renamed = admin
        .post(&format!("{GATEWAY}/rename"), &json!({"name": "main"}))
        .await
        .expect(201);
    assert_eq!(renamed.body["gateway"]["name"], "main");
    admin.get(GATEWAY).await.expect(404);
    let other = Other::new(&redis).await;
    assert_eq!(other.field("cti_gateway@acme", "main").await, Some(account("p")));
    assert_eq!(stored(&redis).await, None);
    let (_, edit, _) = &edits(&admin).await[0];
    assert_eq!(edit, "rename");

    let xml = admin.get("/domains/acme/gateways/main/xml").await.expect(200);
    let xml = xml.body.as_str().unwrap();
    assert!(
        xml.contains("<gateway name=\"main\">") && xml.contains("value=\"********\""),
        "{xml}"
    );
    let disabled = admin.get("/domains/acme/gateways/carrier2/xml").await.expect(404);
    assert_eq!(disabled.reason(), "not_served");
}

#[tokio::test]
async fn a_revert_is_refused_if_the_gateway_was_edited_since() {
    let (redis, _app, admin) = alone().await;
    admin.put(GATEWAY, &account("old")).await.expect(201);
    let edit = admin
        .patch(GATEWAY, &json!({"param": {"realm": "b.example.net"}}))
        .await
        .expect(200);
    let revert = format!("/history/{}/revert", edit.body["history"].as_str().unwrap());
    admin.patch(GATEWAY, &json!({"param": {"ping": 25}})).await.expect(200);
    let refused = admin.post(&revert, &Value::Null).await.expect(409);
    assert_eq!(refused.reason(), "edited_since");
    assert_eq!(refused.body["since"], json!([{"field": "param.ping", "after": 25}]));
    assert_eq!(
        refused.body["revert"],
        json!([
            {"field": "param.realm", "before": "b.example.net", "after": "sip.example.net"},
            {"field": "param.ping", "before": 25},
        ])
    );
    admin
        .post(&format!("{revert}?force=true"), &Value::Null)
        .await
        .expect(200);
    assert_eq!(stored(&redis).await, Some(account("old")));
    let newest = &edits(&admin).await[0];
    assert_eq!(newest.1, "revert");

    // What was deleted comes back, and what was created goes.
    let deleted = admin.delete(GATEWAY).await.expect(200);
    let revert = |answer: &Answer| format!("/history/{}/revert", answer.body["history"].as_str().unwrap());
    admin.post(&revert(&deleted), &Value::Null).await.expect(201);
    assert_eq!(stored(&redis).await, Some(account("old")));
    let created = admin.put("/domains/acme/gateways/new", &ip_trunk()).await.expect(201);
    admin.post(&revert(&created), &Value::Null).await.expect(200);
    admin.get("/domains/acme/gateways/new").await.expect(404);
    for (id, status, reason) in [("1-1", 404, "no_such_entry"), ("x", 404, "no_such_entry")] {
        let answer = admin
            .post(&format!("/history/{id}/revert"), &Value::Null)
            .await
            .expect(status);
        assert_eq!(answer.reason(), reason);
    }
}

#[tokio::test]
async fn who_may_do_too_little_is_refused() {
    let (redis, app, admin) = alone().await;
    admin.put(GATEWAY, &account("p")).await.expect(201);
    let viewer = Client::new(&redis, &app, Role::Viewer, "acme").await;
    let operator = Client::new(&redis, &app, Role::Operator, "other").await;
    viewer.get(GATEWAY).await.expect(200);
    for answer in [
        viewer.put(GATEWAY, &ip_trunk()).await,
        viewer.patch(GATEWAY, &json!({})).await,
        viewer.delete(GATEWAY).await,
        viewer.post(&format!("{GATEWAY}/copy"), &json!({"name": "x"})).await,
        viewer.post(&format!("{GATEWAY}/rename"), &json!({"name": "x"})).await,
        viewer
            .post(&format!("{GATEWAY}/reveal"), &json!({"secret": "password"}))
            .await,
        viewer.get("/users").await,
        viewer.post("/tokens", &json!({"name": "t", "role": "admin"})).await,
        viewer.post("/switches/fs1/pause", &Value::Null).await,
        operator
            .post(&format!("{GATEWAY}/reveal"), &json!({"secret": "password"}))
            .await,
        operator.post("/switches/fs1/pause", &Value::Null).await,
    ] {
        assert_eq!(answer.expect(403).reason(), "role_too_low");
    }
    for answer in [
        operator.get(GATEWAY).await,
        operator.put(GATEWAY, &ip_trunk()).await,
        operator.get(&format!("{GATEWAY}/history")).await,
        operator.get("/history?domain=acme").await,
        operator.get("/domains/nowhere/gateways/x").await,
    ] {
        assert_eq!(answer.expect(403).reason(), "domain_not_yours");
    }
    // The whole history has only what is about his domains.
    assert_eq!(operator.get("/history").await.expect(200).body["items"], json!([]));
    assert_eq!(stored(&redis).await, Some(account("p")));

    let nobody = |path: &str| send(http().get(format!("{}{path}", base(&app))));
    for path in [GATEWAY, "/history", "/nothing"] {
        assert_eq!(nobody(path).await.expect(401).reason(), "not_signed_in");
    }
    let wrong = send(
        http()
            .get(format!("{}/history", base(&app)))
            .bearer_auth("trk_nonsense"),
    )
    .await;
    assert_eq!(wrong.expect(401).headers["www-authenticate"], "Bearer realm=\"trunkd\"");
}

#[tokio::test]
async fn bad_input_is_named_with_its_fix() {
    let (_redis, _app, admin) = alone().await;
    admin.put(GATEWAY, &ip_trunk()).await.expect(201);
    let error = |answer: Answer| {
        let answer = answer.expect(400);
        let error = &answer.body["errors"][0];
        let text = |name: &str| error[name].as_str().unwrap().to_owned();
        (text("pointer"), text("reason"), text("fix"))
    };
    let copy = format!("{GATEWAY}/copy");
    let (_, reason, fix) = error(admin.post(&copy, &json!({"nam": "x"})).await);
    assert!(
        reason.contains("`nam`") && fix == "did you mean `name`?",
        "{reason}; {fix}"
    );
    let (pointer, reason, _) = error(admin.post(&copy, &json!({"name": 7})).await);
    assert_eq!(pointer, "/name");
    assert!(reason.contains("expected a string"), "{reason}");
    let (pointer, _, fix) = error(admin.post(&copy, &json!({"name": "a b"})).await);
    assert_eq!((pointer.as_str(), fix.as_str()), ("/name", "rename it"));
    let (_, reason, _) = error(send(admin.request(Method::PUT, GATEWAY).body("{\"param\":")).await);
    assert!(reason.contains("EOF"), "{reason}");
    let (_, reason, fix) = error(admin.get("/history?limt=3").await);
    assert!(
        reason.contains("`limt`") && fix == "did you mean `limit`?",
        "{reason}; {fix}"
    );
    for path in [
        "/history?limit=0",
        "/history?since=yesterday",
        "/history?kind=edited",
        "/history?after=x",
    ] {
        error(admin.get(path).await);
    }
    error(admin.put(&format!("{GATEWAY}?wait=1h"), &ip_trunk()).await);
    error(admin.get("/domains/acme/gateways/a%20b").await);

    let large = send(admin.request(Method::PUT, GATEWAY).body("x".repeat(1024 * 1024 + 1))).await;
    assert_eq!(large.expect(413).reason(), "body_too_large");
    for (path, reason) in [
        ("/domains/acme/gateways/nothing", "no_such_gateway"),
        ("/domains/nowhere/gateways/carrier1", "no_such_domain"),
        ("/nothing", "no_such_path"),
    ] {
        assert_eq!(admin.get(path).await.expect(404).reason(), reason);
    }
    let missing = admin
        .patch("/domains/acme/gateways/nothing", &json!({}))
        .await
        .expect(404);
    assert_eq!(missing.reason(), "no_such_gateway");
}

#[tokio::test]
async fn a_redis_that_is_away_or_refuses_is_a_503_and_nothing_is_half_written() {
    let (mut redis, _app, admin) = alone().await;
    admin.put(GATEWAY, &account("p")).await.expect(201);
    let mut connection = redis.connection().await;
    let limit = |bytes: &'static str| {
        let mut connection = connection.clone();
        async move {
            let set: () = redis::cmd("CONFIG")
                .arg(&["SET", "maxmemory", bytes])
                .query_async(&mut connection)
                .await
                .unwrap();
            set
        }
    };
    limit("1").await;
    let refused = admin
        .patch(GATEWAY, &json!({"param": {"realm": "x.example.net"}}))
        .await
        .expect(503);
    limit("0").await;
    assert_eq!(refused.reason(), "redis_refused");
    let detail = refused.body["detail"].as_str().unwrap();
    assert!(
        detail.contains("out of memory") && detail.contains("nothing was written"),
        "{detail}"
    );
    assert!(refused.headers.contains_key("retry-after"));
    assert_eq!(stored(&redis).await, Some(account("p")));
    let recorded: usize = redis::cmd("XLEN")
        .arg("trunkd:history")
        .query_async(&mut connection)
        .await
        .unwrap();
    assert_eq!(recorded, 1, "no entry for what was not written");

    // A key of another type.
    let _: () = connection.set("cti_gateway@odd", "x").await.unwrap();
    let odd = admin.put("/domains/odd/gateways/g", &ip_trunk()).await.expect(409);
    assert_eq!(odd.reason(), "wrong_type");

    redis.kill();
    let away = admin.put(GATEWAY, &ip_trunk()).await.expect(503);
    assert_eq!(away.reason(), "redis_unavailable");
}

#[tokio::test]
async fn people_sign_in_with_a_cookie_and_write_only_from_our_own_pages() {
    let (_redis, app, admin) = alone().await;
    let user = json!({"name": "alice", "role": "operator", "domains": ["acme"], "password": "correct horse"});
    admin.post("/users", &user).await.expect(201);
    let session = format!("{}/session", base(&app));
    let sign_in = |password: &str| {
        send(
            http()
                .post(&session)
                .body(json!({"name": "alice", "password": password}).to_string()),
        )
    };
    assert_eq!(sign_in("wrong horse").await.expect(401).reason(), "wrong_credentials");
    let signed_in = sign_in("correct horse").await.expect(200);
    assert_eq!(
        signed_in.body,
        json!({"identity": "user:alice", "role": "operator", "domains": ["acme"]})
    );
    let cookie = signed_in.headers["set-cookie"].to_str().unwrap().to_owned();
    assert!(
        cookie.contains("HttpOnly") && cookie.contains("SameSite=Strict"),
        "{cookie}"
    );
    let cookie = cookie.split(';').next().unwrap().to_owned();
    let put = |headers: &[(&str, &str)]| {
        let mut request = http().put(format!("{}{GATEWAY}", base(&app))).header("Cookie", &cookie);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        send(request.body(ip_trunk().to_string()))
    };
    assert_eq!(put(&[]).await.expect(403).reason(), "cross_site");
    assert_eq!(
        put(&[("Origin", "http://evil.example.net")]).await.expect(403).reason(),
        "cross_site"
    );
    assert_eq!(
        put(&[("Sec-Fetch-Site", "cross-site")]).await.expect(403).reason(),
        "cross_site"
    );
    put(&[("Sec-Fetch-Site", "same-origin")]).await.expect(201);
    let origin = format!("http://{}", app.api_address.unwrap());
    put(&[("Origin", &origin)]).await.expect(200);
    assert_eq!(edits(&admin).await[0].0, "user:alice");

    let sign_out = http()
        .delete(&session)
        .header("Cookie", &cookie)
        .header("Origin", &origin);
    send(sign_out).await.expect(204);
    let me = http().get(&session).header("Cookie", &cookie);
    assert_eq!(send(me).await.expect(401).reason(), "not_signed_in");

    let history = admin.get("/history?kind=access").await.expect(200);
    let entries: Vec<_> = history.body["items"]
        .as_array()
        .unwrap()
        .iter()
        .rev()
        .map(|entry| &entry["access"])
        .collect();
    assert_eq!(entries, ["user_added", "sign_in_failed", "sign_in"]);
}

#[tokio::test]
async fn a_token_revoked_on_one_trunkd_is_refused_on_the_other() {
    let (redis, one, admin) = alone().await;
    let other = TestApp::start(&redis, API).await;
    let created = admin
        .post("/tokens", &json!({"name": "ci", "role": "viewer", "expires": "90d"}))
        .await
        .expect(201);
    let secret = created.body["secret"].as_str().unwrap().to_owned();
    let ask = |app: &TestApp| send(http().get(format!("{}/session", base(app))).bearer_auth(&secret));
    assert_eq!(ask(&other).await.expect(200).body["identity"], "token:ci");
    assert!(
        !admin
            .get("/tokens")
            .await
            .expect(200)
            .body
            .to_string()
            .contains(&secret)
    );
    admin.delete("/tokens/ci").await.expect(204);
    ask(&one).await.expect(401);
    ask(&other).await.expect(401);
    admin.delete("/tokens/ci").await.expect(404);
}

#[tokio::test]
async fn the_document_and_its_page_need_no_sign_in_and_nothing_from_elsewhere() {
    let (_redis, app, _admin) = alone().await;
    let root = format!("http://{}", app.api_address.unwrap());
    let document = send(http().get(format!("{root}/api/openapi.json"))).await.expect(200);
    assert_eq!(document.body["openapi"], "3.1.0");
    assert!(document.body["paths"]["/api/v1/domains/{domain}/gateways/{name}"]["put"].is_object());
    let page = send(http().get(format!("{root}/api/docs/"))).await.expect(200);
    let page = page.body.as_str().unwrap();
    assert!(page.contains("swagger-ui"), "{page}");
    let elsewhere = page.split(['"', '\'']).find(|part| part.contains("://"));
    assert_eq!(elsewhere, None);
    let script = send(http().get(format!("{root}/api/docs/swagger-ui-bundle.js")))
        .await
        .expect(200);
    assert!(script.headers.contains_key("content-security-policy"));
}

#[tokio::test]
async fn the_api_takes_nothing_from_networks_that_it_does_not_know() {
    let redis = RedisServer::start().await;
    let app = TestApp::start(&redis, &format!("{API}allow = [\"192.0.2.0/24\"]\n")).await;
    let refused = send(http().get(format!("{}/session", base(&app)))).await.expect(403);
    assert_eq!(refused.reason(), "network_not_allowed");
}

#[tokio::test]
async fn a_port_that_is_taken_costs_the_api_and_not_the_switches() {
    let redis = RedisServer::start().await;
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let listen = taken.local_addr().unwrap();
    let app = TestApp::start(&redis, &format!("[api]\nenabled = true\nlisten = \"{listen}\"\n")).await;
    assert_eq!(app.api_address, None);
    let part = app.part("api").await;
    assert!(part["reason"].as_str().unwrap().contains("api.listen"), "{part}");
    let other = Other::new(&redis).await;
    other.set_gateway("acme", "carrier1", &ip_trunk().to_string()).await;
    eventually("it serves", || app.served(), |served| served == &["carrier1"]).await;
}
