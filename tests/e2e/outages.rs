//! What happened to gateways on switches, in the history: once, however many trunkd watch.

use redis::AsyncCommands;
use serde_json::{Value, json};
use trunkd::access::Role;

use crate::program::trunkd;
use crate::support::api::{API, Client};
use crate::support::app::{Other, TestApp, eventually, switch_toml};
use crate::support::fake_switch::{FORBIDDEN, FakeSwitch, Method, Outcome};
use crate::support::redis::RedisServer;

const APPLY: &str = "[reconcile]\nmode = \"apply\"\nresync_interval = \"1s\"\n";
const ACCOUNT: &str =
    r#"{"param":{"realm":"sip.example.net","username":"u","password":"p","expire-seconds":"20","retry-seconds":"5"}}"#;
const IP_TRUNK: &str = r#"{"param":{"realm":"sip.example.net","register":"false"}}"#;
/// Kinds of entries about a switch and its gateways.
const OUTAGES: &str = "outage,recovered,switch_lost,switch_back";

struct Rig {
    redis: RedisServer,
    switch: FakeSwitch,
    app: TestApp,
    client: Client,
    other: Other,
}

impl Rig {
    /// A switch with these gateways of the domain `acme`, registered.
    async fn with(gateways: &[&str]) -> Self {
        let (redis, switch) = (RedisServer::start().await, FakeSwitch::builder().start().await);
        let app = TestApp::with_switch(&redis, &switch, &format!("{API}{APPLY}")).await;
        let client = Client::admin(&redis, &app).await;
        let other = Other::new(&redis).await;
        for gateway in gateways {
            other.set_gateway("acme", gateway, ACCOUNT).await;
            other.wait_for("trunkd:status:fs1", gateway, "/state", "REGED").await;
        }
        Self {
            redis,
            switch,
            app,
            client,
            other,
        }
    }

    /// The entries of these kinds, oldest first.
    async fn entries(&self, kinds: &str) -> Vec<Value> {
        let answer = self.client.get(&format!("/history?limit=1000&kind={kinds}")).await;
        let mut entries = answer.expect(200).body["items"].as_array().unwrap().clone();
        entries.reverse();
        entries
    }

    async fn wait_for(&self, kinds: &str, count: usize) -> Vec<Value> {
        eventually(
            &format!("{count} entries of {kinds}"),
            || self.entries(kinds),
            |entries| entries.len() >= count,
        )
        .await
    }

    /// The carrier answers the next registrations like this, and FreeSWITCH registers now.
    async fn register(&self, gateway: &str, outcome: Outcome) {
        self.switch.registrar(|registrar| registrar.set(gateway, outcome));
        let command = format!("sofia profile external register {gateway}");
        self.switch.api(&command).await;
    }

    /// Everything before this is in the history: an outage of another gateway is.
    async fn after_a_mark(&self, gateway: &str) -> Vec<Value> {
        self.register(gateway, FORBIDDEN).await;
        eventually(
            "the mark is recorded",
            || self.entries(OUTAGES),
            |entries| entries.iter().any(|entry| entry["gateway"] == gateway),
        )
        .await
    }
}

/// The kind and the gateway of each.
fn what(entries: &[Value]) -> Vec<(&str, &str)> {
    entries
        .iter()
        .map(|entry| {
            (
                entry["kind"].as_str().unwrap(),
                entry["gateway"].as_str().unwrap_or_default(),
            )
        })
        .collect()
}

#[tokio::test]
async fn a_refused_gateway_is_an_outage_and_recovers_from_it() {
    let rig = Rig::with(&["carrier1"]).await;
    rig.register("carrier1", FORBIDDEN).await;
    let outage = rig.wait_for(OUTAGES, 1).await.remove(0);
    for (field, value) in [
        ("kind", "outage"),
        ("who", "trunkd"),
        ("domain", "acme"),
        ("gateway", "carrier1"),
        ("switch", "fs1"),
        ("reason", "403 Forbidden"),
    ] {
        assert_eq!(outage[field], value, "{outage:#}");
    }
    // The four events of each retry are none of their own.
    rig.switch
        .wait_until("it was refused three times", |view| {
            let refused = view.wire().iter().filter(|wire| wire.status == Some(403));
            refused.count() >= 3
        })
        .await;
    rig.switch.registrar(|registrar| registrar.set("carrier1", Outcome::Ok));
    let entries = rig.wait_for(OUTAGES, 2).await;
    assert_eq!(
        what(&entries),
        [("outage", "carrier1"), ("recovered", "carrier1")],
        "{entries:#?}"
    );
    assert_eq!(entries[1]["outage"], outage["id"]);
    assert_eq!(entries[1]["reason"], "403 Forbidden");
    assert!(entries[1]["seconds"].is_u64());

    let own = rig.client.get("/domains/acme/gateways/carrier1/history").await;
    let own = own.expect(200).body["items"].as_array().unwrap().clone();
    let kinds: Vec<_> = own.iter().map(|entry| entry["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds.iter().filter(|kind| **kind == "outage").count(), 1, "{kinds:?}");
    assert_eq!(kinds.iter().filter(|kind| **kind == "recovered").count(), 1);
    let metric = rig.app.metric("trunkd_gateway_outages_total{switch=\"fs1\"}").await;
    assert!(metric >= Some(1.0), "{metric:?}");
    let known = rig.other.field("trunkd:outages:fs1", "carrier1").await.unwrap();
    assert_eq!(
        (known["open"].is_null(), known["recent"].as_array().unwrap().len()),
        (true, 1)
    );
}

#[tokio::test]
async fn a_first_registration_that_is_refused_is_an_outage() {
    let rig = Rig::with(&[]).await;
    rig.switch.registrar(|registrar| registrar.set("carrier1", FORBIDDEN));
    // It is not parked before it is looked at: then it would be down because somebody unregistered it.
    let patient = ACCOUNT.replace(r#""retry-seconds":"5""#, r#""retry-seconds":"3600""#);
    rig.other.set_gateway("acme", "carrier1", &patient).await;
    let entries = rig.wait_for(OUTAGES, 1).await;
    assert_eq!(entries[0]["reason"], "403 Forbidden");
}

#[tokio::test]
async fn registrations_of_a_healthy_gateway_are_no_outages() {
    let rig = Rig::with(&["carrier1", "mark"]).await;
    rig.switch
        .wait_until("it registered again and again", |view| {
            let sent = view.wire().iter().filter(|wire| wire.gateway == "carrier1");
            sent.filter(|wire| wire.method != Method::Options).count() >= 4
        })
        .await;
    let entries = rig.after_a_mark("mark").await;
    assert_eq!(what(&entries), [("outage", "mark")]);
}

#[tokio::test]
async fn an_edit_is_no_outage_unless_the_carrier_refuses_what_was_edited() {
    let rig = Rig::with(&["carrier1", "mark"]).await;
    let edited = ACCOUNT.replace("\"p\"", "\"p2\"");
    rig.other.set_gateway("acme", "carrier1", &edited).await;
    let actions = eventually(
        "it was restarted",
        || rig.entries("action"),
        |actions| actions.iter().any(|action| action["action"] == "restart"),
    )
    .await;
    let restart = actions.iter().find(|action| action["action"] == "restart").unwrap();
    assert_eq!(
        (
            &restart["outcome"],
            &restart["who"],
            &restart["domain"],
            &restart["gateway"]
        ),
        (&json!("done"), &json!("trunkd"), &json!("acme"), &json!("carrier1"))
    );
    rig.other
        .wait_for("trunkd:status:fs1", "carrier1", "/state", "REGED")
        .await;
    let entries = rig.after_a_mark("mark").await;
    assert_eq!(what(&entries), [("outage", "mark")], "{entries:#?}");

    rig.switch.registrar(|registrar| registrar.set("carrier1", FORBIDDEN));
    rig.other.set_gateway("acme", "carrier1", ACCOUNT).await;
    let entries = rig.wait_for(OUTAGES, 2).await;
    assert_eq!(what(&entries), [("outage", "mark"), ("outage", "carrier1")]);
    // Another edit that doesn't help is the same outage; one that helps ends it.
    rig.other.set_gateway("acme", "carrier1", &edited).await;
    eventually(
        "it was restarted again",
        || rig.entries("action"),
        |actions| actions.iter().filter(|action| action["action"] == "restart").count() >= 3,
    )
    .await;
    rig.other
        .wait_for("trunkd:status:fs1", "carrier1", "/state", "FAIL_WAIT")
        .await;
    rig.switch.registrar(|registrar| registrar.set("carrier1", Outcome::Ok));
    let entries = rig.wait_for(OUTAGES, 3).await;
    assert_eq!(entries[2]["outage"], entries[1]["id"], "{entries:#?}");
}

#[tokio::test]
async fn two_trunkd_record_each_outage_once_and_a_switch_that_is_away_once() {
    let rig = Rig::with(&["carrier1", "carrier2"]).await;
    let toml = format!("{}\n{API}{APPLY}", switch_toml(&rig.switch, "fs1"));
    let _second = TestApp::start(&rig.redis, &toml).await;
    rig.switch.wait_until("both listen", |view| view.listeners() == 2).await;
    for gateway in ["carrier1", "carrier2"] {
        rig.register(gateway, FORBIDDEN).await;
    }
    rig.wait_for("outage", 2).await;
    rig.switch.registrar(|registrar| registrar.set("carrier1", Outcome::Ok));
    rig.wait_for("recovered", 1).await;

    rig.switch.refuse_connections(true).await;
    rig.switch.drop_connections();
    let lost = rig.wait_for("switch_lost", 1).await;
    assert_eq!(
        (
            &lost[0]["switch"],
            &lost[0]["gateways"],
            &lost[0]["usable"],
            &lost[0]["gateway"]
        ),
        (&json!("fs1"), &json!(2), &json!(1), &Value::Null),
        "{lost:#?}"
    );
    rig.switch.refuse_connections(false).await;
    let back = rig.wait_for("switch_back", 1).await;
    assert_eq!(back[0]["outage"], lost[0]["id"]);
    rig.switch.registrar(|registrar| registrar.set("carrier2", Outcome::Ok));
    rig.wait_for("recovered", 2).await;
    let entries = rig.entries(OUTAGES).await;
    let mut kinds = what(&entries);
    kinds.sort_unstable();
    let expected = [
        ("outage", "carrier1"),
        ("outage", "carrier2"),
        ("recovered", "carrier1"),
        ("recovered", "carrier2"),
        ("switch_back", ""),
        ("switch_lost", ""),
    ];
    assert_eq!(kinds, expected, "{entries:#?}");
}

#[tokio::test]
async fn each_action_is_recorded_and_a_large_plan_is_summed_up() {
    let rig = Rig::with(&["carrier1"]).await;
    let starts = rig.wait_for("action", 1).await;
    assert_eq!(
        (&starts[0]["action"], &starts[0]["outcome"]),
        (&json!("start"), &json!("done"))
    );
    let names: Vec<_> = (0..250).map(|number| format!("gw{number}")).collect();
    let fields: Vec<_> = names.iter().map(|name| (name.as_str(), IP_TRUNK)).collect();
    let _: () = rig
        .other
        .connection
        .clone()
        .hset_multiple("cti_gateway@acme", &fields)
        .await
        .unwrap();
    let sums = rig.wait_for("actions", 1).await;
    assert_eq!(
        (&sums[0]["started"], &sums[0]["failed"]),
        (&json!(250), &json!(0)),
        "{sums:#?}"
    );
    assert_eq!(rig.entries("action").await.len(), 1);
    assert_eq!(rig.entries("actions").await.len(), 1);

    let _: () = rig
        .other
        .connection
        .clone()
        .hdel("cti_gateway@acme", &names[..200])
        .await
        .unwrap();
    let holds = rig.wait_for("hold", 1).await;
    let reason = holds[0]["reason"].as_str().unwrap();
    assert!(reason.starts_with("held: removes 200 of 251"), "{reason}");
    let _: () = rig
        .other
        .connection
        .clone()
        .hset_multiple("cti_gateway@acme", &fields)
        .await
        .unwrap();
    let released = rig.wait_for("release", 1).await;
    assert_eq!(
        (&released[0]["who"], &released[0]["switch"]),
        (&json!("trunkd"), &json!("fs1"))
    );
    assert_eq!(rig.entries("hold").await.len(), 1);
}

#[tokio::test]
async fn a_hold_that_an_operator_releases_names_him() {
    let rig = Rig::with(&["carrier1", "carrier2"]).await;
    let names: Vec<_> = (0..30).map(|number| format!("gw{number}")).collect();
    let fields: Vec<_> = names.iter().map(|name| (name.as_str(), IP_TRUNK)).collect();
    let mut connection = rig.other.connection.clone();
    let _: () = connection.hset_multiple("cti_gateway@acme", &fields).await.unwrap();
    rig.wait_for("action", 32).await;
    let _: () = connection.hdel("cti_gateway@acme", &names).await.unwrap();
    rig.wait_for("hold", 1).await;

    let folder = tempfile::tempdir().unwrap();
    let toml = switch_toml(&rig.switch, "fs1");
    let settings = format!("[redis]\nurl = \"{}\"\n{toml}", rig.redis.url());
    std::fs::write(folder.path().join("trunkd.toml"), settings).unwrap();
    let applied = tokio::task::spawn_blocking(move || trunkd(folder.path(), &["apply", "--yes"])).await;
    let applied = applied.unwrap();
    assert!(applied.status.success(), "{applied:?}");
    let released = rig.wait_for("release", 1).await;
    let who = released[0]["who"].as_str().unwrap();
    assert!(who.starts_with("cli:"), "{who}");
    let killed = rig.wait_for("action", 62).await;
    let killed = killed.iter().filter(|action| action["action"] == "kill");
    assert!(
        killed.clone().all(|kill| kill["domain"] == "acme"),
        "the domain that it had"
    );
    assert_eq!(killed.count(), 30);
    assert_eq!(rig.entries("hold").await.len(), 1);
}

#[tokio::test]
async fn a_gateway_that_is_not_ours_is_in_no_domain_and_only_for_those_who_see_all() {
    let rig = Rig::with(&["carrier1"]).await;
    rig.switch.registrar(|registrar| registrar.set("stranger", FORBIDDEN));
    rig.switch.add_gateways(
        "external",
        r#"<gateway name="stranger"><param name="realm" value="sip.example.org"/>
           <param name="username" value="u"/><param name="password" value="p"/></gateway>"#,
    );
    let entries = rig.wait_for(OUTAGES, 1).await;
    assert_eq!(what(&entries), [("outage", "stranger")]);
    assert_eq!(entries[0]["domain"], Value::Null);
    rig.register("carrier1", FORBIDDEN).await;
    rig.wait_for(OUTAGES, 2).await;
    let viewer = Client::new(&rig.redis, &rig.app, Role::Viewer, "acme").await;
    let seen = viewer.get(&format!("/history?kind={OUTAGES}")).await.expect(200);
    let seen = seen.body["items"].as_array().unwrap().clone();
    assert_eq!(what(&seen), [("outage", "carrier1")]);
}

#[tokio::test]
async fn what_happened_while_no_trunkd_ran_is_made_up_for() {
    let rig = Rig::with(&["carrier1", "carrier2"]).await;
    rig.register("carrier1", FORBIDDEN).await;
    let before = rig.wait_for("outage", 1).await;
    let Rig {
        redis,
        switch,
        app,
        client,
        other,
    } = rig;
    app.stop().await;
    switch.registrar(|registrar| {
        registrar.set("carrier1", Outcome::Ok);
        registrar.set("carrier2", FORBIDDEN);
    });
    switch.wait_for_state("carrier1", "REGED").await;
    switch.api("sofia profile external register carrier2").await;
    switch.wait_for_state("carrier2", "FAIL_WAIT").await;

    let app = TestApp::start(&redis, &format!("{}\n{API}{APPLY}", switch_toml(&switch, "fs1"))).await;
    let client = client.at(&app);
    let rig = Rig {
        redis,
        switch,
        app,
        client,
        other,
    };
    let entries = rig.wait_for(OUTAGES, 3).await;
    let mut after = what(&entries[1..]);
    after.sort_unstable();
    assert_eq!(
        after,
        [("outage", "carrier2"), ("recovered", "carrier1")],
        "{entries:#?}"
    );
    let recovered = entries.iter().find(|entry| entry["kind"] == "recovered").unwrap();
    assert_eq!(recovered["outage"], before[0]["id"]);
    assert!(entries.iter().all(|entry| entry["domain"] == "acme"), "{entries:#?}");
}

#[tokio::test]
async fn a_lost_ping_is_an_outage_of_an_ip_trunk() {
    let rig = Rig::with(&[]).await;
    let pinged = r#"{"param":{"realm":"sip.example.net","register":"false","ping":"5","ping-max":"1","ping-min":"1"}}"#;
    rig.other.set_gateway("acme", "trunk", pinged).await;
    rig.switch.wait_for_state("trunk", "NOREG").await;
    rig.switch
        .registrar(|registrar| registrar.set_ping("trunk", Outcome::Refused));
    let lost = rig.wait_for(OUTAGES, 1).await;
    assert_eq!(lost[0]["reason"], "ping lost");
    rig.switch
        .registrar(|registrar| registrar.set_ping("trunk", Outcome::Ok));
    let entries = rig.wait_for(OUTAGES, 2).await;
    assert_eq!(entries[1]["outage"], lost[0]["id"]);
}

#[tokio::test]
async fn a_gateway_that_flaps_does_not_fill_the_history() {
    const MAX_PER_HOUR: usize = 20;
    let rig = Rig::with(&["carrier1", "mark"]).await;
    for _ in 0..MAX_PER_HOUR + 2 {
        rig.register("carrier1", FORBIDDEN).await;
        rig.other
            .wait_for("trunkd:status:fs1", "carrier1", "/usable", false)
            .await;
        if rig.entries("outage").await.len() < MAX_PER_HOUR {
            rig.other
                .wait_for("trunkd:outages:fs1", "carrier1", "/open/reason", "403 Forbidden")
                .await;
        }
        rig.register("carrier1", Outcome::Ok).await;
        rig.other
            .wait_for("trunkd:status:fs1", "carrier1", "/state", "REGED")
            .await;
        eventually(
            "no outage is open",
            || rig.other.field("trunkd:outages:fs1", "carrier1"),
            |known| known.as_ref().is_some_and(|known| known["open"].is_null()),
        )
        .await;
    }
    let entries = rig.after_a_mark("mark").await;
    let of = |kind: &'static str| {
        entries
            .iter()
            .filter(move |entry| entry["kind"] == kind && entry["gateway"] == "carrier1")
    };
    assert_eq!(
        (of("outage").count(), of("recovered").count()),
        (MAX_PER_HOUR, MAX_PER_HOUR)
    );
}

#[tokio::test]
async fn a_redis_that_lost_its_data_hears_of_the_outages_that_are_still_open() {
    let rig = Rig::with(&["carrier1"]).await;
    rig.register("carrier1", FORBIDDEN).await;
    rig.wait_for("outage", 1).await;
    let mut connection = rig.other.connection.clone();
    let _: () = redis::cmd("FLUSHALL").query_async(&mut connection).await.unwrap();
    // The token went with the rest.
    rig.other.set_gateway("acme", "carrier1", ACCOUNT).await;
    let client = Client::admin(&rig.redis, &rig.app).await;
    let entries = eventually(
        "the outage is recorded again",
        || async { client.get("/history?kind=outage").await.expect(200).body["items"].clone() },
        |items| !items.as_array().unwrap().is_empty(),
    )
    .await;
    assert_eq!(entries[0]["gateway"], "carrier1");
    rig.switch.registrar(|registrar| registrar.set("carrier1", Outcome::Ok));
    let recovered = eventually(
        "it recovers",
        || async { client.get("/history?kind=recovered").await.expect(200).body["items"].clone() },
        |items| !items.as_array().unwrap().is_empty(),
    )
    .await;
    assert_eq!(recovered[0]["outage"], entries[0]["id"]);
}
