//! From the events and snapshots of a switch to Redis.

use std::time::Duration;

use redis::AsyncCommands;
use serde_json::json;

use crate::program::{Serving, TEMPLATES};
use crate::support::app::{Other, TestApp, eventually, quick, switch_toml};
use crate::support::fake_switch::{Binding, Event, FORBIDDEN, FakeSwitch, Method, Outcome, View};
use crate::support::redis::{Data, RedisServer};

const ACCOUNT: &str = r#"{"param":{"realm":"sip.example.net","username":"u","password":"p"}}"#;
const IP_TRUNK: &str = r#"{"param":{"realm":"sip.example.net","register":"false"}}"#;
const EVERYTHING: &str = "[status]\nchannel = \"gateway-events\"\nlist = \"gateway-list\"\n";

/// A switch with `carrier1` registered, its trunkd, and their Redis.
async fn registered(toml: &str) -> (RedisServer, FakeSwitch, TestApp, Other) {
    let (redis, switch) = (RedisServer::start().await, FakeSwitch::builder().start().await);
    let other = Other::new(&redis).await;
    other.set_gateway("default", "carrier1", ACCOUNT).await;
    let app = TestApp::with_switch(&redis, &switch, toml).await;
    other.wait_for("gateways", "carrier1", "/State", "REGED").await;
    (redis, switch, app, other)
}

/// Kills `carrier1` and starts it again, with trunkd listening.
async fn replace(switch: &FakeSwitch) {
    switch.api("sofia profile external killgw carrier1").await;
    switch.wait_for_gone("carrier1").await;
    switch.api("sofia profile external startgw carrier1").await;
    switch
        .wait_until("carrier1 came to rest", |view| {
            matches!(view.state("carrier1"), Some("REGED" | "FAIL_WAIT"))
        })
        .await;
}

/// The last event about a gateway, as FreeSWITCH sent it.
fn last_event(switch: &FakeSwitch, gateway: &str) -> Event {
    let is_about = |event: &&Event| event.header("Gateway") == Some(gateway);
    switch.view(|view| view.events().filter(is_about).last().unwrap().clone())
}

/// Waits until the hash holds the last event about a gateway, byte for byte. The switch may say more meanwhile.
async fn wait_for_last(switch: &FakeSwitch, other: &Other, gateway: &str) -> serde_json::Value {
    let both = async || {
        let stored: String = other
            .connection
            .clone()
            .hget("gateways", gateway)
            .await
            .unwrap_or_default();
        (stored, last_event(switch, gateway).to_json())
    };
    let (stored, _) = eventually("the hash has the last event", both, |(stored, sent)| stored == sent).await;
    serde_json::from_str(&stored).unwrap()
}

#[tokio::test]
async fn the_hash_holds_the_latest_event_as_freeswitch_sent_it_and_the_row_what_it_means() {
    let (_redis, switch, app, other) = registered(EVERYTHING).await;
    replace(&switch).await;
    let value = wait_for_last(&switch, &other, "carrier1").await;

    let row = other.wait_for("trunkd:status:fs1", "carrier1", "/state", "REGED").await;
    let revision = switch.view(|view| {
        view.gateway("carrier1")
            .unwrap()
            .inbound("trunkd_revision")
            .map(str::to_owned)
    });
    let row = match &row["revision"] {
        serde_json::Value::Null => {
            other
                .wait_for("trunkd:status:fs1", "carrier1", "/revision", revision.clone().unwrap())
                .await
        }
        _ => row,
    };
    assert_eq!(row["revision"], json!(revision));
    assert_eq!(
        (&row["profile"], &row["ping"], &row["stale"]),
        (&json!("external"), &json!("UP"), &json!(null))
    );
    let keys: Vec<_> = row.as_object().unwrap().keys().cloned().collect();
    let always = "profile state ping status phrase since seen revision usable usable_since reason";
    let (first, rest) = keys.split_at(keys.len().min(11));
    assert_eq!(first.join(" "), always);
    // Only a snapshot has these.
    assert!(rest.is_empty() || rest == ["ping_every", "calls"], "{rest:?}");

    let state = other.wait_for("trunkd:switches", "fs1", "/connected", true).await;
    assert_eq!(state["core_uuid"], value["Core-UUID"]);
    assert_eq!(app.part("switch:fs1").await["state"], "ok");
}

#[tokio::test]
async fn every_event_is_published_and_listed_once_and_the_list_is_trimmed() {
    let (redis, switch) = (RedisServer::start().await, FakeSwitch::builder().start().await);
    let other = Other::new(&redis).await;
    let client = redis::Client::open(redis.url()).unwrap();
    let mut subscription = client.get_async_pubsub().await.unwrap();
    subscription.subscribe("gateway-events").await.unwrap();
    let _app = TestApp::with_switch(&redis, &switch, &format!("{EVERYTHING}list_max = 5\n")).await;
    switch.add_gateways(
        "external",
        r#"<gateway name="a"><param name="register" value="false"/></gateway>"#,
    );
    for _ in 0..3 {
        switch.api("sofia profile external killgw a").await;
        switch.wait_for_gone("a").await;
        switch.add_gateways(
            "external",
            r#"<gateway name="a"><param name="register" value="false"/></gateway>"#,
        );
    }
    let fired = switch.view(|view| view.sequence());
    let last = fired.to_string();
    switch.wait_for_delivery().await;
    let list = eventually(
        "the last event is listed",
        || other.list("gateway-list"),
        |list| {
            list.iter()
                .rfind(|event| event["trunkd-Source"].is_null())
                .is_some_and(|e| e["Event-Sequence"] == last.as_str())
        },
    )
    .await;
    assert!(list.len() <= 5, "{list:#?}");

    use futures_util::StreamExt as _;
    let mut sequences = Vec::new();
    let mut messages = subscription.on_message();
    while sequences.last() != Some(&fired) {
        let message = tokio::time::timeout(Duration::from_secs(20), messages.next())
            .await
            .unwrap()
            .unwrap();
        let event: serde_json::Value = serde_json::from_slice(message.get_payload_bytes()).unwrap();
        if event["trunkd-Source"].is_null() {
            sequences.push(event["Event-Sequence"].as_str().unwrap().parse().unwrap());
        }
    }
    let (adds, kills) = (4, 3);
    assert_eq!(sequences.len(), adds + kills);
    assert!(sequences.is_sorted());
}

#[tokio::test]
async fn a_replaced_gateway_is_not_lost_with_its_predecessors_delete() {
    let (_redis, switch, _app, other) = registered(EVERYTHING).await;
    switch.api("sofia profile external killgw carrier1").await;
    switch.api("sofia profile external startgw carrier1").await;
    switch
        .wait_until("the predecessor is gone", |view| view.all("carrier1").len() == 1)
        .await;
    let last = |list: &[serde_json::Value], kind: &str| list.iter().rposition(|event| event["Event-Subclass"] == kind);
    let listed = eventually(
        "the predecessor's delete is listed, and then the new one's registration",
        || other.list("gateway-list"),
        |list| {
            last(list, "sofia::gateway_delete").is_some() && list.last().is_some_and(|event| event["State"] == "REGED")
        },
    )
    .await;
    let [added, deleted] = ["sofia::gateway_add", "sofia::gateway_delete"].map(|kind| last(&listed, kind).unwrap());
    assert!(added < deleted, "FreeSWITCH fires them in this order: {listed:#?}");
    let sequence = listed.last().unwrap()["Event-Sequence"].as_str().unwrap().to_owned();
    other
        .wait_for("gateways", "carrier1", "/Event-Sequence", sequence)
        .await;
    assert_eq!(
        other.field("trunkd:status:fs1", "carrier1").await.unwrap()["state"],
        "REGED"
    );
}

#[tokio::test]
async fn a_killed_gateway_loses_its_field() {
    let (_redis, switch, _app, other) = registered("").await;
    switch.api("sofia profile external killgw carrier1").await;
    other.wait_for_gone("gateways", "carrier1").await;
    other.wait_for_gone("trunkd:status:fs1", "carrier1").await;
}

#[tokio::test]
async fn a_refused_registration_keeps_its_answer_in_the_row() {
    let (_redis, switch, _app, other) = registered("").await;
    switch.registrar(|registrar| registrar.set("carrier1", FORBIDDEN));
    replace(&switch).await;
    let row = other
        .wait_for("trunkd:status:fs1", "carrier1", "/state", "FAIL_WAIT")
        .await;
    assert_eq!((&row["status"], &row["phrase"]), (&json!("403"), &json!("Forbidden")));
}

#[tokio::test]
async fn doubled_and_reordered_events_end_in_the_true_state_and_are_listed_once() {
    let (_redis, switch, _app, other) = registered(EVERYTHING).await;
    switch.wait_for_delivery().await;
    switch.reorder_next_events(4);
    switch.duplicate_next_events(6);
    switch.api("sofia profile external killgw carrier1").await;
    switch.wait_for_gone("carrier1").await;
    switch.api("sofia profile external startgw carrier1").await;
    switch.wait_for_state("carrier1", "REGED").await;
    switch.wait_for_delivery().await;
    other.wait_for("trunkd:status:fs1", "carrier1", "/state", "REGED").await;
    other.wait_for("gateways", "carrier1", "/State", "REGED").await;
    let fired: Vec<_> = switch.view(|view| view.events().map(|event| event.to_json()).collect());
    let fired: Vec<serde_json::Value> = fired.iter().map(|json| serde_json::from_str(json).unwrap()).collect();
    let core = switch.view(|view| view.core_uuid().to_owned());
    let of_gateways = |events: &[serde_json::Value]| {
        let mut sequences: Vec<u64> = events
            .iter()
            .filter(|event| event["Core-UUID"] == core.as_str() && event["trunkd-Source"].is_null())
            .filter(|event| {
                event["Event-Subclass"]
                    .as_str()
                    .is_some_and(|subclass| subclass.starts_with("sofia::gateway_"))
            })
            .map(|event| event["Event-Sequence"].as_str().unwrap().parse().unwrap())
            .collect();
        sequences.sort_unstable();
        sequences
    };
    let expected = of_gateways(&fired);
    let last = *expected.last().unwrap();
    let listed = eventually(
        "all are listed",
        || other.list("gateway-list"),
        |list| of_gateways(list).last() == Some(&last),
    )
    .await;
    let listed = of_gateways(&listed);
    // Events from before trunkd listened are not in the list.
    let heard: Vec<_> = expected.into_iter().filter(|sequence| *sequence >= listed[0]).collect();
    assert_eq!(listed, heard);
}

#[tokio::test]
async fn what_happened_while_nobody_listened_is_corrected_and_marked() {
    let (redis, switch, app, other) = registered(EVERYTHING).await;
    other.set_gateway("default", "carrier2", IP_TRUNK).await;
    switch.api("sofia profile external startgw carrier2").await;
    other.wait_for("gateways", "carrier2", "/Gateway", "carrier2").await;
    app.stop().await;

    switch.registrar(|registrar| registrar.set("carrier1", FORBIDDEN));
    switch.api("sofia profile external killgw carrier2").await;
    switch.wait_for_gone("carrier2").await;
    switch.api("sofia profile external unregister carrier1").await;
    switch.api("sofia profile external killgw carrier1").await;
    switch.wait_for_gone("carrier1").await;
    switch.add_gateways(
        "external",
        r#"<gateway name="carrier1"><param name="username" value="u"/><param name="password" value="p"/><param name="retry-seconds" value="3000"/></gateway>"#,
    );
    switch.wait_for_state("carrier1", "FAIL_WAIT").await;

    let app = TestApp::start(&redis, &format!("{}\n{EVERYTHING}", switch_toml(&switch, "fs1"))).await;
    let corrected = other.wait_for("gateways", "carrier1", "/State", "FAIL_WAIT").await;
    assert_eq!(
        (&corrected["trunkd-Source"], &corrected["Event-Subclass"]),
        (&json!("snapshot"), &json!("sofia::gateway_state"))
    );
    assert_eq!(corrected["FreeSWITCH-Switchname"], "fs1");
    other.wait_for_gone("gateways", "carrier2").await;
    other.wait_for_gone("trunkd:status:fs1", "carrier2").await;
    let list = other.list("gateway-list").await;
    let marked: Vec<_> = list
        .iter()
        .filter(|event| event["trunkd-Source"] == "snapshot")
        .collect();
    assert!(
        marked
            .iter()
            .any(|e| e["Gateway"] == "carrier2" && e["Event-Subclass"] == "sofia::gateway_delete"),
        "{marked:#?}"
    );
    eventually(
        "the snapshot was counted",
        || app.metric(r#"trunkd_snapshots_total{switch="fs1",outcome="done"}"#),
        Option::is_some,
    )
    .await;
}

#[tokio::test]
async fn lost_events_are_corrected_at_the_next_resync() {
    let (redis, switch) = (RedisServer::start().await, FakeSwitch::builder().start().await);
    let other = Other::new(&redis).await;
    let app = TestApp::start(
        &redis,
        &format!(
            "{}\n[reconcile]\nresync_interval = \"1s\"\n",
            switch_toml(&switch, "fs1")
        ),
    )
    .await;
    switch.wait_until("trunkd listens", |view| view.listeners() == 1).await;
    switch.lose_next_events(1000);
    switch.add_gateways(
        "external",
        r#"<gateway name="a"><param name="register" value="false"/></gateway>"#,
    );
    let value = other.wait_for("gateways", "a", "/State", "NOREG").await;
    assert_eq!(value["trunkd-Source"], "snapshot");
    drop(app);
}

#[tokio::test]
async fn a_restarted_switch_starts_afresh() {
    let (_redis, switch, _app, other) = registered("").await;
    let before = other.field("trunkd:switches", "fs1").await.unwrap();
    switch.restart().await;
    let core = switch.view(|view| view.core_uuid().to_owned());
    assert_ne!(before["core_uuid"], core.as_str());
    other
        .wait_for("trunkd:switches", "fs1", "/core_uuid", core.clone())
        .await;
    other.wait_for("gateways", "carrier1", "/Core-UUID", core).await;
    other.wait_for("trunkd:status:fs1", "carrier1", "/state", "REGED").await;
}

#[tokio::test]
async fn a_dropped_connection_is_opened_again() {
    let (_redis, switch, _app, other) = registered("").await;
    for _ in 0..3 {
        switch.drop_connections();
        switch
            .wait_until("trunkd listens again", |view| view.listeners() == 1)
            .await;
    }
    switch.api("sofia profile external killgw carrier1").await;
    other.wait_for_gone("gateways", "carrier1").await;
}

#[tokio::test]
async fn a_half_open_connection_is_noticed_by_asking() {
    let (_redis, switch, app, _other) = registered("").await;
    switch.stall(true);
    let part = eventually(
        "trunkd noticed",
        || app.part("switch:fs1"),
        |part| part["state"] == "degraded",
    )
    .await;
    assert!(!part["reason"].is_null(), "{part}");
    switch.stall(false);
    eventually(
        "it is connected again",
        || app.part("switch:fs1"),
        |part| part["state"] == "ok",
    )
    .await;
}

#[tokio::test]
async fn a_switch_out_of_reach_has_its_states_marked_stale_until_it_is_back() {
    let (_redis, switch, app, other) = registered(EVERYTHING).await;
    switch.refuse_connections(true).await;
    switch.drop_connections();
    let value = other
        .wait_for("gateways", "carrier1", "/trunkd-Source", "disconnected")
        .await;
    assert_eq!(
        (&value["State"], &value["Event-Subclass"]),
        (&json!("REGED"), &json!("sofia::gateway_state"))
    );
    other.wait_for("trunkd:status:fs1", "carrier1", "/stale", true).await;
    other.wait_for("trunkd:switches", "fs1", "/connected", false).await;
    assert!(
        other
            .list("gateway-list")
            .await
            .iter()
            .any(|event| event["trunkd-Source"] == "disconnected")
    );
    assert_eq!(app.get("/health").await.0, 200);

    switch.refuse_connections(false).await;
    let value = other
        .wait_for("gateways", "carrier1", "/trunkd-Source", "snapshot")
        .await;
    assert_eq!(value["State"], "REGED");
    let row = eventually(
        "the row is fresh",
        || other.field("trunkd:status:fs1", "carrier1"),
        |row| row.as_ref().is_some_and(|row| row["stale"].is_null()),
    );
    assert_eq!(row.await.unwrap()["state"], "REGED");
}

#[tokio::test]
async fn a_wrong_password_is_reported_with_the_fix_and_not_hammered() {
    let (redis, switch) = (
        RedisServer::start().await,
        FakeSwitch::builder().password("other").start().await,
    );
    let app = TestApp::start(&redis, &switch_toml(&switch, "fs1")).await;
    let part = app.wait_for_reason("switch:fs1", &["event_socket.conf.xml"]).await;
    assert!(!part.to_string().contains("ClueCon"));
    let refused = r#"trunkd_switch_connects_total{switch="fs1",outcome="bad_password"}"#;
    eventually(
        "it tries again later",
        || app.metric(refused),
        |count| *count >= Some(2.0),
    )
    .await;
    let tries = switch.view(|view| view.all_connections().len());
    assert!(tries <= 4, "{tries} tries in the time of two");
}

#[tokio::test]
async fn a_rejection_by_the_access_list_is_reported_with_the_fix() {
    let (redis, switch) = (RedisServer::start().await, FakeSwitch::builder().start().await);
    switch.reject_rudely(true);
    let app = TestApp::start(&redis, &switch_toml(&switch, "fs1")).await;
    app.wait_for_reason("switch:fs1", &["apply-inbound-acl"]).await;
    switch.reject_rudely(false);
    eventually("it connects", || app.part("switch:fs1"), |part| part["state"] == "ok").await;
}

#[tokio::test]
async fn a_switch_of_another_name_is_an_error_that_names_both_and_writes_nothing() {
    let (redis, switch) = (
        RedisServer::start().await,
        FakeSwitch::builder().switchname("pbx7").start().await,
    );
    switch.add_gateways(
        "external",
        r#"<gateway name="a"><param name="register" value="false"/></gateway>"#,
    );
    let app = TestApp::start(&redis, &switch_toml(&switch, "fs1")).await;
    eventually(
        "it is told",
        || app.part("switch:fs1"),
        |part| {
            part["reason"]
                .as_str()
                .is_some_and(|reason| reason.contains("\"pbx7\"") && reason.contains("\"fs1\""))
        },
    )
    .await;
    assert!(Other::new(&redis).await.hash("gateways").await.is_empty());
}

#[tokio::test]
async fn with_redis_away_events_are_kept_and_written_in_order_when_it_is_back() {
    let redis = RedisServer::start_with_aof().await;
    let switch = FakeSwitch::builder().start().await;
    let mut redis = redis;
    let other = Other::new(&redis).await;
    other.set_gateway("default", "carrier1", ACCOUNT).await;
    let _app = TestApp::with_switch(&redis, &switch, EVERYTHING).await;
    other.wait_for("gateways", "carrier1", "/State", "REGED").await;
    switch.wait_for_delivery().await;

    redis.kill();
    switch.api("sofia profile external killgw carrier1").await;
    switch.wait_for_gone("carrier1").await;
    switch.api("sofia profile external startgw carrier1").await;
    switch.registrar(|registrar| registrar.set("carrier1", FORBIDDEN));
    switch
        .wait_until("it is refused or registered", |view| {
            view.state("carrier1").is_some_and(|state| state != "UNREGED")
        })
        .await;
    switch.wait_for_delivery().await;
    redis.restart(Data::Kept).await;

    let other = Other::new(&redis).await;
    let state = switch.view(|view| view.state("carrier1").unwrap());
    eventually(
        "the hash is true",
        || other.field("gateways", "carrier1"),
        |value| {
            let now = switch.view(|view| view.state("carrier1").unwrap());
            value.as_ref().is_some_and(|value| value["State"] == now)
        },
    )
    .await;
    let _ = state;
    let core = switch.view(|view| view.core_uuid().to_owned());
    let list = other.list("gateway-list").await;
    let sequences: Vec<u64> = list
        .iter()
        .filter(|event| event["Core-UUID"] == core.as_str() && event["trunkd-Source"].is_null())
        .map(|event| event["Event-Sequence"].as_str().unwrap().parse().unwrap())
        .collect();
    assert!(sequences.is_sorted(), "{sequences:?}");
    assert!(
        list.iter()
            .any(|event| event["Event-Subclass"] == "sofia::gateway_delete"),
        "the delete while Redis was away is listed"
    );
}

#[tokio::test]
async fn what_redis_refuses_to_write_is_not_published_at_each_try() {
    use futures_util::StreamExt as _;
    let toml = "[status]\nchannel = \"gateway-events\"\n"; // no list, whose writing might be refused first
    let (redis, switch, app, other) = registered(toml).await;
    let client = redis::Client::open(redis.url()).unwrap();
    let mut subscription = client.get_async_pubsub().await.unwrap();
    subscription.subscribe("gateway-events").await.unwrap();
    let (core, first) = switch.view(|view| (view.core_uuid().to_owned(), view.sequence() + 1000));
    let stateless = |sequence: u64| {
        let event = json!({"Event-Subclass": "sofia::gateway_invalid_digest_req", "Event-Name": "CUSTOM",
            "Core-UUID": core, "FreeSWITCH-Switchname": "fs1", "Event-Date-Timestamp": "1",
            "Event-Sequence": sequence.to_string(), "Gateway": "carrier1"});
        switch.inject_event(&event.to_string());
    };
    let maxmemory = async |bytes: &str| {
        let mut console = other.connection.clone();
        let mut command = redis::cmd("CONFIG");
        command.arg("SET").arg("maxmemory").arg(bytes);
        command.exec_async(&mut console).await.unwrap();
    };

    maxmemory("1").await;
    stateless(first);
    eventually(
        "it was tried again and again",
        || app.metric(r#"trunkd_redis_errors_total{operation="apply"}"#),
        |failed| *failed >= Some(3.0),
    )
    .await;
    maxmemory("0").await;
    stateless(first + 1);
    let mut heard = Vec::new();
    let mut messages = subscription.on_message();
    while heard.last() != Some(&(first + 1)) {
        let message = tokio::time::timeout(Duration::from_secs(20), messages.next())
            .await
            .unwrap()
            .unwrap();
        let event: serde_json::Value = serde_json::from_slice(message.get_payload_bytes()).unwrap();
        if event["trunkd-Source"].is_null() {
            heard.push(event["Event-Sequence"].as_str().unwrap().parse().unwrap());
        }
    }
    assert_eq!(heard, [first, first + 1]);
}

#[tokio::test]
async fn a_redis_that_lost_everything_is_filled_again() {
    let (mut redis, switch) = (RedisServer::start().await, FakeSwitch::builder().start().await);
    let other = Other::new(&redis).await;
    other.set_gateway("default", "carrier1", ACCOUNT).await;
    let _app = TestApp::with_switch(&redis, &switch, "").await;
    other.wait_for("gateways", "carrier1", "/State", "REGED").await;
    redis.restart(Data::Lost).await;
    let other = Other::new(&redis).await;
    other.wait_for("gateways", "carrier1", "/State", "REGED").await;
    other.wait_for("trunkd:status:fs1", "carrier1", "/state", "REGED").await;

    let mut connection = other.connection.clone();
    redis::cmd("FLUSHALL").exec_async(&mut connection).await.unwrap();
    other.wait_for("gateways", "carrier1", "/State", "REGED").await;
}

#[tokio::test]
async fn with_two_switches_the_field_holds_the_latest_and_falls_back_to_the_other() {
    let redis = RedisServer::start().await;
    let other = Other::new(&redis).await;
    let (one, two) = (
        FakeSwitch::builder().start().await,
        FakeSwitch::builder().switchname("fs2").start().await,
    );
    let toml = format!("{}{}", switch_toml(&one, "fs1"), switch_toml(&two, "fs2"));
    other.set_gateway("default", "carrier1", ACCOUNT).await;
    let _app = TestApp::asked_by(&[&one, &two], &redis, &toml).await;
    for switch in [&one, &two] {
        switch.restart().await;
        switch.wait_until("trunkd listens", |view| view.listeners() == 1).await;
    }
    for name in ["fs1", "fs2"] {
        other
            .wait_for(&format!("trunkd:status:{name}"), "carrier1", "/state", "REGED")
            .await;
    }
    let holder = |value: &serde_json::Value| value["FreeSWITCH-Switchname"].as_str().unwrap().to_owned();
    let first = holder(&other.field("gateways", "carrier1").await.unwrap());
    let (of_first, other_name) = if first == "fs1" { (&one, "fs2") } else { (&two, "fs1") };
    of_first.api("sofia profile external killgw carrier1").await;
    let value = other
        .wait_for("gateways", "carrier1", "/FreeSWITCH-Switchname", other_name)
        .await;
    assert_eq!(value["State"], "REGED");
    other.wait_for_gone(&format!("trunkd:status:{first}"), "carrier1").await;
    let rest = if first == "fs1" { &two } else { &one };
    rest.api("sofia profile external killgw carrier1").await;
    other.wait_for_gone("gateways", "carrier1").await;
}

#[tokio::test]
async fn two_trunkd_on_one_switch_write_and_list_everything_once() {
    let (redis, switch, _app, other) = registered(EVERYTHING).await;
    let toml = format!("{}\n{EVERYTHING}", switch_toml(&switch, "fs1"));
    let _second = TestApp::start(&redis, &toml).await;
    switch.wait_until("both listen", |view| view.listeners() == 2).await;
    switch.api("sofia profile external killgw carrier1").await;
    switch.wait_for_gone("carrier1").await;
    switch.api("sofia profile external startgw carrier1").await;
    switch.wait_for_state("carrier1", "REGED").await;
    let last = last_event(&switch, "carrier1").sequence().to_string();
    let core = switch.view(|view| view.core_uuid().to_owned());
    other.wait_for("gateways", "carrier1", "/State", "REGED").await;
    let sequences = |list: &[serde_json::Value]| -> Vec<String> {
        let events = list
            .iter()
            .filter(|event| event["Core-UUID"] == core.as_str() && event["trunkd-Source"].is_null());
        events
            .map(|event| event["Event-Sequence"].as_str().unwrap().to_owned())
            .collect()
    };
    let list = eventually(
        "the last is listed",
        || other.list("gateway-list"),
        |list| sequences(list).contains(&last),
    )
    .await;
    let mut once = sequences(&list);
    let all = once.len();
    once.sort_unstable();
    once.dedup();
    assert_eq!(once.len(), all, "{list:#?}");
}

#[tokio::test]
async fn a_switch_that_left_the_settings_loses_its_rows() {
    let (redis, switch, app, other) = registered("").await;
    app.stop().await;
    let second = FakeSwitch::builder().switchname("fs2").start().await;
    let app = TestApp::start(&redis, &switch_toml(&second, "fs2")).await;
    other.wait_for_gone("trunkd:switches", "fs1").await;
    other.wait_for_gone("trunkd:status:fs1", "carrier1").await;
    other.wait_for_gone("gateways", "carrier1").await;
    drop((app, switch));
}

#[tokio::test]
async fn a_switch_that_no_trunkd_has_named_for_long_is_forgotten() {
    let redis = RedisServer::start().await;
    let other = Other::new(&redis).await;
    // A day takes 1.4 s here.
    let mut timing = quick();
    timing.ingest.stale_after = Duration::from_millis(1);
    let switch = FakeSwitch::builder().switchname("fs2").start().await;
    let _app = TestApp::start_with(&redis, &switch_toml(&switch, "fs2"), timing).await;
    other.wait_for("trunkd:switches", "fs2", "/connected", true).await;
    // Another trunkd names a switch that it never reaches.
    let away = "[[switch]]\nname = \"away\"\naddress = \"127.0.0.1:1\"\npassword = \"x\"\n";
    let _fellow = TestApp::start(&redis, away).await;
    other.wait_for("trunkd:switches", "away", "/connected", false).await;
    let gone = r#"{"connected":false,"since":"","core_uuid":"","last_seen":""}"#;
    let mut connection = other.connection.clone();
    connection
        .hset::<_, _, _, ()>("trunkd:switches", "renamed", gone)
        .await
        .unwrap();
    connection
        .hset::<_, _, _, ()>("trunkd:status:renamed", "gw", "{}")
        .await
        .unwrap();
    connection
        .hset::<_, _, _, ()>("trunkd:status:away", "gw", "{}")
        .await
        .unwrap();
    other.wait_for_gone("trunkd:switches", "renamed").await;
    other.wait_for_gone("trunkd:status:renamed", "gw").await;
    assert!(other.field("trunkd:switches", "away").await.is_some());
    assert!(other.field("trunkd:status:away", "gw").await.is_some());
    assert!(other.field("trunkd:switches", "fs2").await.is_some());
}

#[tokio::test]
async fn a_switch_without_mod_sofia_is_reported_with_the_fix() {
    let redis = RedisServer::start().await;
    let switch = FakeSwitch::builder()
        .xml_curl(Binding::new("http://127.0.0.1:9/nobody"))
        .start()
        .await;
    assert!(!switch.view(|view| view.sofia_loaded()));
    let mut timing = quick();
    timing.ingest.most_retry = Duration::from_millis(50);
    let app = TestApp::start_with(&redis, &switch_toml(&switch, "fs1"), timing).await;
    app.wait_for_reason("switch:fs1", &["load mod_sofia"]).await;
}

#[tokio::test]
async fn stopping_writes_what_is_held_and_says_that_the_switch_is_not_connected() {
    let (_redis, switch, app, other) = registered("").await;
    switch.api("sofia profile external killgw carrier1").await;
    switch.wait_for_gone("carrier1").await;
    switch.wait_for_delivery().await;
    app.stop().await;
    assert_eq!(other.field("trunkd:switches", "fs1").await.unwrap()["connected"], false);
    switch
        .wait_until("no connection is left", |view| view.connections().is_empty())
        .await;
}

#[tokio::test]
async fn a_lost_commands_connection_is_opened_again_too() {
    let (_redis, switch, _app, other) = registered("").await;
    let commands = switch.view(|view| {
        let found = view
            .connections()
            .into_iter()
            .find(|c| c.commands.iter().any(|line| line.contains("xmlstatus")));
        found.unwrap().id
    });
    switch.drop_connection(commands);
    switch
        .wait_until("there are two again", |view| {
            view.connections().iter().all(|connection| connection.id > commands) && view.connections().len() == 2
        })
        .await;
    // Only a snapshot shows a gateway that does not register.
    switch.add_gateways(
        "external",
        r#"<gateway name="a"><param name="register" value="false"/></gateway>"#,
    );
    other.wait_for("trunkd:status:fs1", "a", "/state", "NOREG").await;
}

#[tokio::test]
async fn a_trunkd_leaves_the_switches_of_others_alone() {
    let (redis, _switch, _app, other) = registered(EVERYTHING).await;
    let second = FakeSwitch::builder().switchname("fs2").start().await;
    let _fellow = TestApp::start(&redis, &switch_toml(&second, "fs2")).await;
    other.wait_for("trunkd:switches", "fs2", "/connected", true).await;
    // Its removals at the start are done once it has reported the switch a second time.
    let seen = other.field("trunkd:switches", "fs2").await.unwrap()["last_seen"].clone();
    let moved = |state: &Option<serde_json::Value>| state.as_ref().is_some_and(|state| state["last_seen"] != seen);
    eventually("it looked again", || other.field("trunkd:switches", "fs2"), moved).await;
    assert_eq!(other.field("gateways", "carrier1").await.unwrap()["State"], "REGED");
    assert_eq!(
        other.field("trunkd:status:fs1", "carrier1").await.unwrap()["state"],
        "REGED"
    );
    let list = other.list("gateway-list").await;
    assert!(
        !list
            .iter()
            .any(|event| event["Event-Subclass"] == "sofia::gateway_delete"),
        "{list:#?}"
    );
}

#[tokio::test]
async fn a_key_of_the_wrong_type_loses_no_event() {
    let (_redis, switch, app, other) = registered(EVERYTHING).await;
    let mut connection = other.connection.clone();
    connection.del::<_, ()>("gateway-list").await.unwrap();
    connection
        .set::<_, _, ()>("gateway-list", "somebody else's")
        .await
        .unwrap();
    replace(&switch).await;
    switch.wait_for_delivery().await;
    app.wait_for_reason("redis", &["gateway-list is a string"]).await;
    connection.del::<_, ()>("gateway-list").await.unwrap();
    let last = switch.view(|view| {
        let events = view.events().map(|event| event.to_json());
        let last = events
            .filter(|json| json.contains(r#""Gateway":"carrier1""#))
            .last()
            .unwrap();
        serde_json::from_str::<serde_json::Value>(&last).unwrap()["Event-Sequence"]
            .as_str()
            .unwrap()
            .to_owned()
    });
    let list = eventually(
        "the last event is listed",
        || other.list("gateway-list"),
        |list| {
            list.iter()
                .any(|event| event["Event-Sequence"] == last.as_str() && event["trunkd-Source"].is_null())
        },
    );
    let list = list.await;
    let events = list.iter().filter(|event| event["trunkd-Source"].is_null());
    let kinds: Vec<_> = events.map(|event| event["Event-Subclass"].as_str().unwrap()).collect();
    assert!(
        kinds.contains(&"sofia::gateway_delete") && kinds.contains(&"sofia::gateway_add"),
        "{kinds:?}"
    );
}

#[tokio::test]
async fn a_stale_state_of_another_switch_takes_no_place() {
    let redis = RedisServer::start().await;
    let other = Other::new(&redis).await;
    let (one, two) = (
        FakeSwitch::builder().start().await,
        FakeSwitch::builder().switchname("fs2").start().await,
    );
    let gateway = r#"<gateway name="a"><param name="register" value="false"/></gateway>"#;
    two.add_gateways("external", gateway);
    let toml = format!("{}{}", switch_toml(&one, "fs1"), switch_toml(&two, "fs2"));
    let _app = TestApp::start(&redis, &toml).await;
    other.wait_for("trunkd:status:fs2", "a", "/state", "NOREG").await;
    two.refuse_connections(true).await;
    two.drop_connections();
    other.wait_for("trunkd:status:fs2", "a", "/stale", true).await;
    one.add_gateways("external", gateway);
    other.wait_for("gateways", "a", "/FreeSWITCH-Switchname", "fs1").await;
    other.wait_for("trunkd:status:fs1", "a", "/state", "NOREG").await;
    one.api("sofia profile external killgw a").await;
    let value = other.wait_for("gateways", "a", "/FreeSWITCH-Switchname", "fs2").await;
    assert_eq!(value["trunkd-Source"], "disconnected");
}

#[tokio::test]
async fn a_burst_is_listed_whole_in_order_and_once_though_it_comes_twice() {
    let (_redis, switch, _app, other) = registered(EVERYTHING).await;
    let gateways: Vec<_> = (0..50).map(|number| format!("burst{number}")).collect();
    let burst = switch.prepare_burst(5000, &gateways);
    let end = switch.prepare_burst(1, &gateways);
    for burst in [&burst, &burst, &end] {
        assert_eq!(switch.fire_burst(burst), 1);
    }
    let of_switch = |list: &[serde_json::Value]| -> Vec<u64> {
        let events = list.iter().filter(|event| event["trunkd-Source"].is_null());
        let sequences = events.map(|event| event["Event-Sequence"].as_str().unwrap().parse().unwrap());
        sequences
            .filter(|sequence| (burst.last_sequence - 4999..=end.last_sequence).contains(sequence))
            .collect()
    };
    let list = eventually(
        "the last is listed",
        || other.list("gateway-list"),
        |list| of_switch(list).last() == Some(&end.last_sequence),
    )
    .await;
    assert!(
        of_switch(&list)
            .into_iter()
            .eq(burst.last_sequence - 4999..=end.last_sequence)
    );
}

#[tokio::test]
async fn after_a_burst_the_hash_has_the_newest_event_of_each_gateway() {
    let (_redis, switch, _app, other) = registered("").await;
    let gateways: Vec<_> = (0..50).map(|number| format!("burst{number}")).collect();
    let xml = gateways
        .iter()
        .map(|name| format!(r#"<gateway name="{name}"><param name="register" value="false"/></gateway>"#));
    switch.add_gateways("external", &xml.collect::<String>());
    other.wait_for("gateways", "burst49", "/State", "NOREG").await;
    let burst = switch.prepare_burst(5000, &gateways);
    switch.fire_burst(&burst);
    eventually(
        "the last event is written",
        || other.field("trunkd:ingest:fs1", "newest"),
        |newest| newest.as_ref().and_then(|newest| newest.as_u64()) >= Some(burst.last_sequence),
    )
    .await;
    let hash = other.hash("gateways").await;
    for (place, gateway) in (1..).zip(&gateways) {
        let value = &hash[gateway.as_str()];
        let last = (burst.last_sequence - 50 + place).to_string();
        // A snapshot knows better: the burst is made up.
        assert!(
            value["Event-Sequence"] == last || value["trunkd-Source"] == "snapshot",
            "{value}"
        );
    }
}

/// `<gateway>` elements of two trunks that do not register: one is pinged every 5 s (ticks), the other one is not.
const PINGED: &str = r#"<gateway name="ip"><param name="realm" value="sip.example.net"/><param name="register" value="false"/>
<param name="ping" value="5"/></gateway>"#;
const NOT_PINGED: &str = r#"<gateway name="ip"><param name="register" value="false"/></gateway>"#;

/// Takes snapshots often, as an operator's trunkd does every minute.
const OFTEN: &str = "[reconcile]\nresync_interval = \"1s\"\n";

/// A trunkd that knows its switch, and these gateways on it.
async fn with_gateways(xml: &str, toml: &str) -> (RedisServer, FakeSwitch, TestApp, Other) {
    let (redis, switch) = (RedisServer::start().await, FakeSwitch::builder().start().await);
    let app = TestApp::start(&redis, &format!("{}\n{toml}", switch_toml(&switch, "fs1"))).await;
    switch.wait_until("trunkd listens", |view| view.listeners() == 1).await;
    known(&app).await;
    switch.add_gateways("external", xml);
    let other = Other::new(&redis).await;
    (redis, switch, app, other)
}

/// Waits until trunkd knows what runs on the switch.
async fn known(app: &TestApp) {
    eventually(
        "the switch is known",
        || app.part("switch:fs1"),
        |part| part["state"] == "ok",
    )
    .await;
}

/// Waits until this many snapshots saw a gateway that fires no event.
async fn compared(other: &Other, gateway: &str, times: usize) -> serde_json::Value {
    let mut last = row(other, gateway).await;
    for _ in 0..times {
        let seen = last["seen"].clone();
        last = wait_for_row(other, gateway, "a comparison", |row| row["seen"] != seen).await;
    }
    last
}

async fn row(other: &Other, gateway: &str) -> serde_json::Value {
    other.field("trunkd:status:fs1", gateway).await.unwrap_or_default()
}

/// Waits until the row of a gateway is as expected.
async fn wait_for_row(
    other: &Other,
    gateway: &str,
    what: &str,
    holds: impl Fn(&serde_json::Value) -> bool,
) -> serde_json::Value {
    eventually(what, || row(other, gateway), holds).await
}

#[tokio::test]
async fn an_event_with_a_list_in_it_is_stored_whole_and_the_row_has_its_text() {
    let (_redis, switch, _app, other) = registered(EVERYTHING).await;
    switch.registrar(|registrar| registrar.set("carrier1", Outcome::Reject(403, "ARRAY::one|:two")));
    replace(&switch).await;
    let row = other
        .wait_for("trunkd:status:fs1", "carrier1", "/state", "FAIL_WAIT")
        .await;
    assert_eq!(
        (&row["status"], &row["phrase"]),
        (&json!("403"), &json!("ARRAY::one|:two"))
    );
    let list = other.list("gateway-list").await;
    let refusal = list.iter().find(|event| event["Status"] == "403").unwrap();
    assert_eq!(refusal["Phrase"], json!(["one", "two"]));
}

#[tokio::test]
async fn an_event_with_a_duplicate_key_is_stored_as_it_came_and_a_snapshot_leaves_it() {
    let (_redis, switch, _app, other) = registered(&format!("{EVERYTHING}{OFTEN}")).await;
    let (core, sequence) = switch.view(|view| (view.core_uuid().to_owned(), view.sequence() + 10));
    let event = format!(
        r#"{{"Event-Subclass":"sofia::gateway_state","Event-Name":"CUSTOM","Core-UUID":"{core}","FreeSWITCH-Switchname":"fs1","Event-Date-Timestamp":"1795401216148003","Event-Sequence":"{sequence}","Gateway":"carrier1","State":"REGED","State":"DOWN","Ping-Status":"UP","X":"1","X":["2"]}}"#
    );
    switch.inject_event(&event);
    let raw = || async {
        other
            .connection
            .clone()
            .hget::<_, _, String>("gateways", "carrier1")
            .await
            .unwrap()
    };
    eventually("it is stored", raw, |raw| *raw == event).await;
    assert_eq!(row(&other, "carrier1").await["state"], "REGED");
    compared(&other, "carrier1", 2).await;
    assert_eq!(raw().await, event);

    // Marking it stale changes nothing else in it.
    switch.refuse_connections(true).await;
    switch.drop_connections();
    let marked = format!(
        r#"{},"trunkd-Source":"disconnected"}}"#,
        event.strip_suffix('}').unwrap()
    );
    eventually("it is marked", raw, |raw| *raw == marked).await;
}

#[tokio::test]
async fn a_challenge_that_was_not_answered_is_in_the_row_until_the_gateway_registers() {
    let (_redis, switch, _app, other) = registered(EVERYTHING).await;
    switch.registrar(|registrar| registrar.set("carrier1", Outcome::Challenged));
    switch.api("sofia profile external killgw carrier1").await;
    switch.wait_for_gone("carrier1").await;
    switch.api("sofia profile external startgw carrier1").await;
    let told = wait_for_row(&other, "carrier1", "the challenge is in the row", |row| {
        !row["challenge"].is_null()
    })
    .await;
    assert_eq!(told["challenge"]["realm"], "sip.example.net");
    assert!(told["challenge"]["at"].is_string(), "{told}");
    assert_eq!(
        (&told["usable"], &told["reason"]),
        (&json!(false), &json!("challenge not answered"))
    );
    // The gateway's state in the hash stays.
    assert!(other.field("gateways", "carrier1").await.unwrap()["State"].is_string());
    let listed = eventually(
        "it is listed",
        || other.list("gateway-list"),
        |list| {
            list.iter()
                .any(|event| event["Event-Subclass"] == "sofia::gateway_invalid_digest_req")
        },
    );
    listed.await;
    // This timeout was not the carrier's, so the reason stays.
    let timed_out = wait_for_row(&other, "carrier1", "it waits", |row| row["state"] == "FAIL_WAIT").await;
    assert_eq!(timed_out["reason"], "challenge not answered");

    switch.registrar(|registrar| registrar.set("carrier1", Outcome::Ok));
    let well = wait_for_row(&other, "carrier1", "it is registered", |row| row["state"] == "REGED").await;
    assert_eq!(
        (&well["challenge"], &well["reason"], &well["usable"]),
        (&json!(null), &json!(null), &json!(true))
    );
}

#[tokio::test]
async fn a_trunk_that_is_not_registered_and_pinged_is_usable_until_a_ping_is_lost() {
    let (_redis, switch, app, other) = with_gateways(PINGED, OFTEN).await;
    switch.set_calls("ip", [1, 2, 3, 4]);
    let up = wait_for_row(&other, "ip", "it is known to be usable", |row| {
        row["usable"] == true && row["ping_ms"].is_number()
    });
    let up = up.await;
    assert_eq!(
        (&up["state"], &up["ping"], &up["ping_every"]),
        (&json!("NOREG"), &json!("UP"), &json!(5))
    );
    assert_eq!((&up["ping_ms"], &up["reason"]), (&json!(0.5), &json!(null)));
    assert_eq!(up["calls"], json!({"in": 1, "out": 2, "failed_in": 3, "failed_out": 4}));

    switch.registrar(|registrar| registrar.set_ping("ip", Outcome::Refused));
    let down = wait_for_row(&other, "ip", "it is not usable", |row| row["usable"] == false).await;
    assert_eq!(
        (&down["state"], &down["ping"], &down["reason"]),
        (&json!("NOREG"), &json!("DOWN"), &json!("ping lost"))
    );
    assert_eq!((&down["status"], &down["ping_ms"]), (&json!("503"), &json!(null)));
    assert_ne!(down["usable_since"], up["usable_since"]);
    let part = eventually(
        "/health has the counts",
        || app.part("switch:fs1"),
        |part| part["gateways"] == json!({"usable": 0, "not_usable": 1, "unknown": 0, "ping_stuck": 0}),
    );
    assert_eq!(part.await["state"], "ok", "the switch itself is well");
    let later = compared(&other, "ip", 1).await;
    assert_eq!(
        (&later["usable_since"], &later["reason"]),
        (&down["usable_since"], &json!("ping lost"))
    );
}

#[tokio::test]
async fn a_trunk_without_registration_and_ping_has_unknown_usability() {
    let (_redis, _switch, _app, other) = with_gateways(NOT_PINGED, OFTEN).await;
    let row = wait_for_row(&other, "ip", "its state is known", |row| row["state"] == "NOREG").await;
    assert_eq!((&row["usable"], &row["ping_every"]), (&json!(null), &json!(0)));
}

#[tokio::test]
async fn a_ping_that_never_ends_is_reported() {
    let (_redis, switch, _app, other) = with_gateways("", OFTEN).await;
    switch.registrar(|registrar| registrar.set_ping("ip", Outcome::After(1 << 30, Box::new(Outcome::Ok))));
    switch.add_gateways("external", PINGED);
    let stuck = wait_for_row(&other, "ip", "it is told", |row| row["ping_stuck"] == true).await;
    assert_eq!(
        (&stuck["ping"], &stuck["usable"], &stuck["reason"]),
        (&json!("UP"), &json!(null), &json!("ping stuck"))
    );
    switch.registrar(|registrar| registrar.set_ping("ip", Outcome::Ok));
    switch.api("sofia profile external killgw ip").await;
    switch.wait_for_gone("ip").await;
    switch.add_gateways("external", PINGED);
    wait_for_row(&other, "ip", "it is well", |row| {
        row["usable"] == true && row["ping_stuck"].is_null()
    })
    .await;
}

/// A trunk that is refused repeatedly, with short waits.
const REFUSED: &str = r#"<gateway name="refused"><param name="username" value="u"/><param name="password" value="p"/>
<param name="retry-seconds" value="5"/></gateway>"#;

/// A trunkd on a switch whose gateway `refused` was refused at least twice.
async fn refused(toml: &str) -> (RedisServer, FakeSwitch, TestApp, Other) {
    let (redis, switch, app, other) = with_gateways("", toml).await;
    switch.registrar(|registrar| registrar.set("refused", FORBIDDEN));
    switch.add_gateways("external", REFUSED);
    wait_for_tries(&switch, 2).await;
    (redis, switch, app, other)
}

async fn wait_for_tries(switch: &FakeSwitch, more: usize) {
    let tries = |view: &View| {
        view.wire()
            .iter()
            .filter(|sent| sent.method == Method::Register)
            .count()
    };
    let before = switch.view(tries);
    switch
        .wait_until("it was tried again", |view| tries(view) >= before + more)
        .await;
}

#[tokio::test]
async fn a_refused_trunk_is_down_since_it_went_down_and_the_reason_outlives_its_tries() {
    let (_redis, switch, _app, other) = refused(OFTEN).await;
    let first = wait_for_row(&other, "refused", "the reason is known", |row| {
        row["reason"] == "403 Forbidden"
    })
    .await;
    assert_eq!(first["usable"], false);
    let fired = |is_it: fn(&Event) -> bool| {
        let usec = switch.view(|view| {
            view.events()
                .find(|event| is_it(event))
                .unwrap()
                .header("Event-Date-Timestamp")
                .map(str::to_owned)
        });
        jiff::Timestamp::from_microsecond(usec.unwrap().parse().unwrap()).unwrap()
    };
    let added = fired(|event| event.subclass() == Some("sofia::gateway_add"));
    let tried = fired(|event| event.header("State") == Some("TRYING"));
    let since: jiff::Timestamp = first["usable_since"].as_str().unwrap().parse().unwrap();
    assert!((added..=tried).contains(&since), "{added} {since} {tried}");
    // Otherwise it is TRYING too briefly to be seen.
    let slowly = Outcome::After(3, Box::new(FORBIDDEN));
    switch.registrar(|registrar| registrar.set("refused", slowly));
    for state in ["UNREGED", "TRYING", "FAIL_WAIT"] {
        let row = wait_for_row(&other, "refused", state, |row| {
            row["state"] == state && row["since"] != first["since"]
        });
        let row = row.await;
        assert_eq!(
            (&row["reason"], &row["usable_since"]),
            (&json!("403 Forbidden"), &first["usable_since"]),
            "{row}"
        );
    }
    // Another answer changes the reason, but it is the same outage.
    switch.registrar(|registrar| registrar.set("refused", Outcome::Reject(503, "Busy")));
    let other_reason = wait_for_row(&other, "refused", "another reason", |row| row["reason"] == "503 Busy").await;
    assert_eq!(other_reason["usable_since"], first["usable_since"]);

    switch.registrar(|registrar| registrar.set("refused", Outcome::Ok));
    let up = wait_for_row(&other, "refused", "it is registered", |row| row["usable"] == true).await;
    assert_eq!((&up["state"], &up["reason"]), (&json!("REGED"), &json!(null)));
    // A repeated registration, by the SIP stack or by hand, is no outage.
    for command in ["sofia profile external register refused"; 2] {
        switch.api(command).await;
        wait_for_tries(&switch, 1).await;
        wait_for_last(&switch, &other, "refused").await;
        switch.wait_for_state("refused", "REGED").await;
        let row = wait_for_row(&other, "refused", "it is REGED again", |row| row["state"] == "REGED").await;
        assert_eq!(
            (&row["usable"], &row["usable_since"]),
            (&json!(true), &up["usable_since"])
        );
    }
}

#[tokio::test]
async fn the_time_of_an_outage_survives_a_restart_of_trunkd() {
    let (redis, switch, app, other) = refused("").await;
    let before = wait_for_row(&other, "refused", "the reason is known", |row| {
        row["reason"] == "403 Forbidden"
    })
    .await;
    app.stop().await;
    wait_for_tries(&switch, 1).await;
    // The list is slow, so that events are written before trunkd has read the rows in Redis.
    switch.slow_commands(Duration::from_millis(150));
    let app = TestApp::start(&redis, &switch_toml(&switch, "fs1")).await;
    for _ in 0..2 {
        wait_for_tries(&switch, 1).await;
        let row = wait_for_row(&other, "refused", "it is tried", |row| row["state"] == "FAIL_WAIT").await;
        assert_eq!(
            (&row["reason"], &row["usable_since"]),
            (&before["reason"], &before["usable_since"])
        );
    }
    switch.slow_commands(Duration::ZERO);
    known(&app).await;
    let row = row(&other, "refused").await;
    assert_eq!(
        (&row["reason"], &row["usable_since"]),
        (&before["reason"], &before["usable_since"])
    );
}

#[tokio::test]
async fn two_trunkd_agree_on_the_time_of_an_outage() {
    let (redis, switch, _app, other) = refused(OFTEN).await;
    let before = wait_for_row(&other, "refused", "the reason is known", |row| {
        row["reason"] == "403 Forbidden"
    })
    .await;
    let _second = TestApp::start(&redis, &format!("{}\n{OFTEN}", switch_toml(&switch, "fs1"))).await;
    switch.wait_until("both listen", |view| view.listeners() == 2).await;
    switch.duplicate_next_events(1000);
    for _ in 0..6 {
        let seen = row(&other, "refused").await["seen"].clone();
        let row = wait_for_row(&other, "refused", "it is written again", |row| row["seen"] != seen).await;
        assert_eq!(
            (&row["reason"], &row["usable_since"]),
            (&before["reason"], &before["usable_since"])
        );
    }
}

#[tokio::test]
async fn a_snapshot_that_adds_a_profile_keeps_the_answer() {
    let (_redis, switch, _app, other) = with_gateways("", OFTEN).await;
    switch.registrar(|registrar| registrar.set("refused", FORBIDDEN));
    switch.lose_next_events(1);
    let slow = REFUSED.replace(r#"value="5""#, r#"value="3000""#);
    switch.add_gateways("external", &slow);
    wait_for_row(&other, "refused", "it waits", |row| row["state"] == "FAIL_WAIT").await;
    let row = compared(&other, "refused", 2).await;
    assert_eq!(
        (&row["profile"], &row["state"]),
        (&json!("external"), &json!("FAIL_WAIT"))
    );
    assert_eq!(row["status"], "403", "{row}");
    assert!(row["retry_at"].is_string(), "{row}");
    assert_eq!(
        (&row["phrase"], &row["reason"]),
        (&json!("Forbidden"), &json!("403 Forbidden"))
    );
}

#[tokio::test]
async fn a_flushed_redis_gets_the_time_of_the_connection_again() {
    let (_redis, _switch, _app, other) = registered("").await;
    let before = other.wait_for("trunkd:switches", "fs1", "/connected", true).await;
    let up = wait_for_row(&other, "carrier1", "it is usable", |row| row["usable"] == true).await;
    let mut connection = other.connection.clone();
    redis::cmd("FLUSHALL").exec_async(&mut connection).await.unwrap();
    let after = other.wait_for("trunkd:switches", "fs1", "/connected", true).await;
    assert_eq!(after["since"], before["since"]);
    let row = wait_for_row(&other, "carrier1", "it is there again", |row| row["state"] == "REGED").await;
    assert_eq!(row["usable_since"], up["usable_since"]);
}

#[tokio::test]
async fn the_reason_of_an_outage_is_in_redis_until_the_switch_is_back() {
    let (_redis, switch, _app, other) = registered("").await;
    switch.refuse_connections(true).await;
    switch.drop_connections();
    let away = other.wait_for("trunkd:switches", "fs1", "/connected", false).await;
    assert!(away["reason"].is_string(), "{away}");
    let refused = eventually(
        "the last error",
        || other.field("trunkd:switches", "fs1"),
        |state| {
            state
                .as_ref()
                .is_some_and(|state| state["reason"].as_str().unwrap_or_default().contains("no connection"))
        },
    );
    assert_eq!(refused.await.unwrap()["since"], away["since"]);
    switch.refuse_connections(false).await;
    let back = other.wait_for("trunkd:switches", "fs1", "/connected", true).await;
    assert_eq!(back["reason"], json!(null));
}

/// The commands of clients, but not of scripts, during `what`.
async fn commands_during(redis: &RedisServer, what: impl Future<Output = ()>) -> Vec<String> {
    use futures_util::StreamExt as _;
    let client = redis::Client::open(redis.url()).unwrap();
    let monitor = client.get_async_monitor().await.unwrap();
    let mut messages = monitor.into_on_message::<String>();
    let mut heard = Vec::new();
    tokio::pin!(what);
    loop {
        tokio::select! {
            () = &mut what => return heard,
            line = messages.next() => heard.extend(line.filter(|line| !line.contains("lua]"))),
        }
    }
}

#[tokio::test]
async fn a_trunkd_that_cannot_reach_a_switch_leaves_it_to_one_that_does_and_marks_it_when_that_is_gone() {
    let (redis, switch, app, other) = registered("").await;
    let nowhere = "[[switch]]\nname = \"fs1\"\naddress = \"127.0.0.1:9\"\npassword = \"ClueCon\"\n";
    let lost = TestApp::start(&redis, nowhere).await;
    let failed = r#"trunkd_switch_connects_total{switch="fs1",outcome="failed"}"#;
    let seen = |times: usize| {
        let (other, mut seen) = (other.clone(), std::collections::BTreeSet::new());
        async move {
            while seen.len() < times {
                let state = other.field("trunkd:switches", "fs1").await.unwrap();
                seen.insert(state["last_seen"].to_string());
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        }
    };
    eventually("it tried", || lost.metric(failed), |tries| *tries >= Some(3.0)).await;
    seen(10).await; // longer than it takes to call the switch lost
    let commands = commands_during(&redis, seen(10)).await;
    let reads: Vec<_> = commands
        .iter()
        .filter(|line| line.contains("\"HGETALL\" \"gateways\""))
        .collect();
    assert!(reads.is_empty(), "{reads:#?}");

    switch.refuse_connections(true).await;
    app.stop().await;
    other.wait_for("trunkd:status:fs1", "carrier1", "/stale", true).await;
    // A second time, although it marked the switch before.
    switch.refuse_connections(false).await;
    let app = TestApp::start(&redis, &switch_toml(&switch, "fs1")).await;
    wait_for_row(&other, "carrier1", "it is fresh", |row| row["stale"].is_null()).await;
    switch.refuse_connections(true).await;
    app.stop().await;
    other.wait_for("trunkd:status:fs1", "carrier1", "/stale", true).await;
}

#[tokio::test]
async fn metrics_and_health_count_the_gateways_that_are_usable_and_those_that_are_not() {
    let (redis, switch) = (
        RedisServer::start().await,
        FakeSwitch::builder().switchname("metered").start().await,
    );
    switch.registrar(|registrar| {
        registrar.set("refused", FORBIDDEN);
        registrar.set("challenged", Outcome::Challenged);
        registrar.set_ping("stuck", Outcome::After(1 << 30, Box::new(Outcome::Ok)));
    });
    let named =
        |xml: &str, before: &str, after: &str| xml.replacen(&format!("\"{before}\""), &format!("\"{after}\""), 1);
    let gateways = [
        REFUSED.to_owned(),
        named(REFUSED, "refused", "well"),
        named(REFUSED, "refused", "challenged"),
        named(PINGED, "ip", "stuck"),
        named(NOT_PINGED, "ip", "silent"),
    ];
    switch.add_gateways("external", &gateways.concat());
    let app = TestApp::start(&redis, &format!("{}\n{OFTEN}", switch_toml(&switch, "metered"))).await;
    let metrics = async || {
        let mut values = Vec::new();
        for series in [
            r#"usable{switch="metered",usable="yes"}"#,
            r#"usable{switch="metered",usable="no"}"#,
            r#"usable{switch="metered",usable="unknown"}"#,
            r#"pings_stuck{switch="metered"}"#,
            r#"challenges{switch="metered"}"#,
        ] {
            values.push(app.metric(&format!("trunkd_switch_{series}")).await.unwrap_or_default());
        }
        values
    };
    eventually("the metrics say so", metrics, |values| {
        *values == [1.0, 2.0, 2.0, 1.0, 1.0]
    })
    .await;
    let counts = json!({"usable": 1, "not_usable": 2, "unknown": 2, "ping_stuck": 1});
    let part = eventually(
        "/health does",
        || app.part("switch:metered"),
        |part| part["gateways"] == counts,
    )
    .await;
    assert_eq!(part["state"], "ok", "the switch itself is well");
}

/// A `gateway_state` event of `carrier1` as the switch would send it, with any sequence.
fn state_event(switch: &FakeSwitch, sequence: &str, state: &str, phrase: &str) -> String {
    let core = switch.view(|view| view.core_uuid().to_owned());
    json!({"Event-Subclass": "sofia::gateway_state", "Event-Name": "CUSTOM", "Core-UUID": core,
        "FreeSWITCH-Switchname": "fs1", "Event-Date-Timestamp": "1795401216148003", "Event-Sequence": sequence,
        "Gateway": "carrier1", "State": state, "Ping-Status": "UP", "Phrase": phrase, "Status": "403"})
    .to_string()
}

/// The id of trunkd's events connection.
fn connection(switch: &FakeSwitch) -> u64 {
    let listens = |line: &String| line.starts_with("event json");
    switch.view(|view| {
        let connections = view.connections();
        let listening = connections
            .iter()
            .find(|connection| connection.commands.iter().any(listens));
        listening.unwrap().id
    })
}

#[tokio::test]
async fn a_too_long_event_is_skipped_and_corrected_by_a_snapshot() {
    let (_redis, switch, _app, other) = registered(EVERYTHING).await;
    let (before, next) = (connection(&switch), switch.view(|view| view.sequence() + 1));
    let long = "x".repeat(200_000);
    switch.inject_event(&state_event(&switch, &next.to_string(), "DOWN", &long));
    // A snapshot gets the state, although none was due.
    let seen = row(&other, "carrier1").await["seen"].clone();
    wait_for_row(&other, "carrier1", "a comparison", |row| row["seen"] != seen).await;
    switch.inject_event(&state_event(&switch, &(next + 1).to_string(), "REGED", "after it"));
    other.wait_for("gateways", "carrier1", "/Phrase", "after it").await;
    assert_eq!(connection(&switch), before, "no carrier ends the connection");
    let list = other.list("gateway-list").await;
    assert!(
        list.iter()
            .all(|event| event["Event-Sequence"] != next.to_string().as_str())
    );
}

#[tokio::test]
async fn a_switch_that_sends_nonsense_is_cut_off_and_named() {
    let (_redis, switch, _app, other) = registered("").await;
    let nonsense = [
        (
            "more than the",
            "Content-Length: 250000000\nContent-Type: text/event-json\n\n{".to_owned(),
        ),
        ("not a number", "Content-Length: -1\n\n".to_owned()),
        ("longer than", "x".repeat(100_000)),
        (
            "100 events in a row",
            "Content-Length: 2\nContent-Type: text/event-json\n\n{]".repeat(100),
        ),
    ];
    for (words, bytes) in nonsense {
        let before = connection(&switch);
        switch.refuse_connections(true).await;
        switch.inject_bytes(bytes);
        let named = eventually(
            words,
            || other.field("trunkd:switches", "fs1"),
            |state| {
                let reason = state.as_ref().and_then(|state| state["reason"].as_str());
                reason.is_some_and(|reason| reason.contains(words))
            },
        );
        named.await;
        switch.refuse_connections(false).await;
        switch
            .wait_until("it listens again", |view| {
                view.listeners() == 1 && connection_is_new(view, before)
            })
            .await;
        other.wait_for("trunkd:switches", "fs1", "/connected", true).await;
    }
    // An occasional unreadable event is no reason to disconnect.
    let before = connection(&switch);
    for number in 0..200 {
        switch.inject_bytes("Content-Length: 2\nContent-Type: text/event-json\n\n{]");
        let sequence = switch.view(|view| view.sequence()) + 1 + number;
        switch.inject_event(&state_event(
            &switch,
            &sequence.to_string(),
            "REGED",
            &number.to_string(),
        ));
    }
    other.wait_for("gateways", "carrier1", "/Phrase", "199").await;
    assert_eq!(connection(&switch), before);
}

fn connection_is_new(view: &View, before: u64) -> bool {
    view.connections().iter().all(|connection| connection.id > before)
}

#[tokio::test]
async fn an_implausible_sequence_changes_nothing_and_later_events_count() {
    let (_redis, switch, _app, other) = registered(EVERYTHING).await;
    let next = switch.view(|view| view.sequence()) + 1;
    let inject = |sequence: u64, state: &str, phrase: &str| {
        switch.inject_event(&state_event(&switch, &sequence.to_string(), state, phrase));
    };
    inject(next, "REGED", "first");
    other.wait_for("gateways", "carrier1", "/Phrase", "first").await;
    for odd in ["18446744073709551615", "9007199254740991", "-5", "1000000000000"] {
        switch.inject_event(&state_event(&switch, odd, "DOWN", "odd"));
    }
    for (sequence, state) in [(next + 1, "FAILED"), (next + 2, "FAIL_WAIT"), (next + 3, "REGED")] {
        inject(sequence, state, state);
        other.wait_for("gateways", "carrier1", "/State", state).await;
        other.wait_for("trunkd:status:fs1", "carrier1", "/state", state).await;
    }
    let odd = other.list("gateway-list").await;
    let odd: Vec<_> = odd.iter().filter(|event| event["Phrase"] == "odd").collect();
    assert_eq!(odd.len(), 2, "what can be told apart is listed: {odd:#?}");
}

#[tokio::test]
async fn sequences_that_leap_take_little_memory_in_redis_and_each_is_listed_once() {
    let (redis, switch, _app, other) = registered(&format!("{EVERYTHING}list_max = 100000\n")).await;
    let _second = TestApp::start(
        &redis,
        &format!("{}\n{EVERYTHING}list_max = 100000\n", switch_toml(&switch, "fs1")),
    )
    .await;
    switch.wait_until("both listen", |view| view.listeners() == 2).await;
    const EVENTS: u64 = 5_000;
    const LEAP: u64 = 100_000;
    let first = switch.view(|view| view.sequence());
    let frames = |numbers: std::ops::RangeInclusive<u64>| {
        let frame = |number: u64| {
            let event = state_event(&switch, &(first + number * LEAP).to_string(), "REGED", "leaping");
            format!(
                "Content-Length: {}\nContent-Type: text/event-json\n\n{event}",
                event.len()
            )
        };
        numbers.map(frame).collect::<String>()
    };
    // In pieces, so that the switch answers between them.
    for start in (1..=EVENTS).step_by(500) {
        switch.inject_bytes(frames(start..=start + 499));
        switch.wait_for_delivery().await;
    }
    let last = (first + EVENTS * LEAP).to_string();
    other
        .wait_for("gateways", "carrier1", "/Event-Sequence", last.as_str())
        .await;
    let leaping = |list: &[serde_json::Value]| {
        let leaping = list
            .iter()
            .filter(|event| event["Phrase"] == "leaping" && event["trunkd-Source"].is_null());
        leaping.count() as u64
    };
    let list = eventually(
        "all are listed",
        || other.list("gateway-list"),
        |list| leaping(list) >= EVENTS,
    )
    .await;
    assert_eq!(leaping(&list), EVENTS);
    let mut connection = other.connection.clone();
    let keys: Vec<String> = connection.keys("trunkd:seen:*").await.unwrap();
    assert!(keys.len() <= 2, "{keys:?}");
    let mut bytes = 0;
    for key in keys {
        let usage: u64 = redis::cmd("MEMORY")
            .arg("USAGE")
            .arg(&key)
            .arg("SAMPLES")
            .arg("0")
            .query_async(&mut connection)
            .await
            .unwrap();
        bytes += usage;
    }
    assert!(bytes < 4 * 1024 * 1024, "{bytes} bytes");
}

#[tokio::test]
async fn a_switchname_of_a_megabyte_is_reported_in_a_few_words() {
    let redis = RedisServer::start().await;
    let name = "\u{1b}[31m".to_owned() + &"x".repeat(1_000_000);
    let switch = FakeSwitch::builder().switchname(&name).start().await;
    let app = TestApp::start(&redis, &switch_toml(&switch, "fs1")).await;
    let part = app.wait_for_reason("switch:fs1", &["switchname"]).await;
    let reason = part["reason"].as_str().unwrap();
    assert!(reason.len() < 1024 && !reason.contains('\u{1b}'), "{reason}");
    let other = Other::new(&redis).await;
    let state = eventually(
        "the reason is in Redis",
        || other.field("trunkd:switches", "fs1"),
        |state| state.as_ref().is_some_and(|state| state["reason"].is_string()),
    );
    assert!(state.await.unwrap()["reason"].as_str().unwrap().len() < 1024);
}

#[tokio::test]
async fn an_implausible_first_sequence_is_outvoted_by_those_that_follow() {
    let (_redis, switch, _app, other) = registered(EVERYTHING).await;
    // No event came on the new connection yet.
    let before = connection(&switch);
    switch.drop_connections();
    switch
        .wait_until("it listens again", |view| {
            view.listeners() == 1 && connection_is_new(view, before)
        })
        .await;
    let next = switch.view(|view| view.sequence()) + 1;
    switch.inject_event(&state_event(&switch, "1000000000000", "DOWN", "odd"));
    eventually(
        "it is listed",
        || other.list("gateway-list"),
        |list| list.iter().any(|event| event["Phrase"] == "odd"),
    )
    .await;
    // A snapshot corrects that, as of that sequence.
    other.wait_for("trunkd:status:fs1", "carrier1", "/state", "REGED").await;
    for number in 0..4 {
        switch.inject_event(&state_event(&switch, &(next + number).to_string(), "FAIL_WAIT", "true"));
    }
    other
        .wait_for("gateways", "carrier1", "/Event-Sequence", (next + 3).to_string())
        .await;
    for (sequence, state) in [(next + 4, "TRYING"), (next + 5, "REGED")] {
        switch.inject_event(&state_event(&switch, &sequence.to_string(), state, state));
        other.wait_for("trunkd:status:fs1", "carrier1", "/state", state).await;
    }
    let newest = other.field("trunkd:ingest:fs1", "newest").await.unwrap();
    assert!(newest.as_u64().unwrap() <= next + 5, "{newest}");
}

/// The program, with a switch that has `carrier1`.
async fn program(redis: &RedisServer, switch: &FakeSwitch) -> (Serving, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let toml = format!(
        "[redis]\nurl = \"{}\"\n{}{EVERYTHING}",
        redis.url(),
        switch_toml(switch, "fs1")
    );
    std::fs::write(folder.path().join("trunkd.toml"), toml).unwrap();
    let serving = Serving::start(folder.path(), &["--templates", TEMPLATES]);
    switch.wait_until("it listens", |view| view.listeners() == 1).await;
    (serving, folder)
}

fn frame(event: &str) -> String {
    format!(
        "Content-Length: {}\nContent-Type: text/event-json\n\n{event}",
        event.len()
    )
}

#[tokio::test]
async fn neither_a_switch_nor_a_carrier_fills_the_log_or_acts_on_a_terminal() {
    let (redis, switch) = (RedisServer::start().await, FakeSwitch::builder().start().await);
    let other = Other::new(&redis).await;
    switch.add_gateways("external", &NOT_PINGED.replace("\"ip\"", "\"carrier1\""));
    let (serving, _folder) = program(&redis, &switch).await;
    other.wait_for("trunkd:status:fs1", "carrier1", "/state", "NOREG").await;
    let hostile = "\u{1b}]0;owned\u{7}\u{202e}\n".repeat(2_000);
    let core = switch.view(|view| view.core_uuid().to_owned());
    let next = switch.view(|view| view.sequence()) + 1;
    let challenge = |number: u64| {
        json!({"Event-Subclass": "sofia::gateway_invalid_digest_req", "Event-Name": "CUSTOM", "Core-UUID": core,
            "FreeSWITCH-Switchname": "fs1", "Event-Date-Timestamp": "1795401216148003", "Gateway": "carrier1",
            "Event-Sequence": (next + number).to_string(), "realm": hostile})
    };
    for number in 0..200 {
        let unreadable = json!({"Event-Name": "CUSTOM", "Event-Subclass": "sofia::gateway_state", "Gateway": hostile});
        let not_json = format!("{{\"Event-Name\":\"CUSTOM\",\"{hostile}");
        let frames = frame(&unreadable.to_string()) + &frame(&not_json) + &frame(&challenge(number).to_string());
        switch.inject_bytes(frames);
        switch.wait_for_delivery().await;
    }
    let at = jiff::Timestamp::from_microsecond(1_795_401_216_148_003)
        .unwrap()
        .to_string();
    other
        .wait_for("trunkd:status:fs1", "carrier1", "/challenge/at", at)
        .await;
    let row = row(&other, "carrier1").await;
    assert_eq!(row["challenge"]["realm"], hostile, "whole in Redis");
    let log = serving.log();
    assert_eq!(log.matches("could not be read").count(), 1, "{log}");
    assert_eq!(log.matches("did not answer a carrier's challenge").count(), 1, "{log}");
    assert!(log.lines().all(|line| line.len() < 4096), "{log}");
    for acts in ["\u{1b}", "\\u001b", "\u{7}", "\u{202e}"] {
        assert!(!log.contains(acts), "{acts:?}: {log}");
    }
}

#[tokio::test]
async fn a_switch_cannot_fill_the_memory_while_redis_takes_nothing() {
    let (redis, switch) = (RedisServer::start().await, FakeSwitch::builder().start().await);
    let other = Other::new(&redis).await;
    switch.add_gateways("external", &NOT_PINGED.replace("\"ip\"", "\"carrier1\""));
    let (serving, _folder) = program(&redis, &switch).await;
    other.wait_for("trunkd:status:fs1", "carrier1", "/state", "NOREG").await;
    let before = serving.peak();
    redis.sigstop();
    let phrase = "x".repeat(60_000);
    let next = switch.view(|view| view.sequence()) + 1;
    // 125 MB of one gateway and 25 MB of made-up ones. The rows contain the phrases too.
    for number in 0..2_500_u64 {
        let event = state_event(&switch, &(next + number).to_string(), "REGED", &phrase);
        let made_up = format!("made-up-{number}");
        let is_made_up = number % 6 == 0;
        let event = if is_made_up {
            event.replace("carrier1", &made_up)
        } else {
            event
        };
        switch.inject_bytes(frame(&event));
        if number % 50 == 0 {
            switch.wait_for_delivery().await;
        }
    }
    switch.wait_for_delivery().await;
    let dropped = r#"trunkd_events_dropped_total{switch="fs1",target="channel_and_list"}"#;
    let url = serving.url("/metrics").await;
    eventually(
        "all were read, and what found no room was counted",
        async || {
            let text = crate::support::app::http()
                .get(&url)
                .send()
                .await
                .unwrap()
                .text()
                .await
                .unwrap();
            text.lines()
                .find_map(|line| line.strip_prefix(dropped)?.trim().parse::<f64>().ok())
        },
        |dropped| *dropped >= Some(1_500.0),
    )
    .await;
    let took = serving.peak() - before;
    redis.sigcont();
    assert!(took < 180 * 1024 * 1024, "{} MiB", took / 1024 / 1024);
    let last = (next + 2_499).to_string();
    other.wait_for("gateways", "carrier1", "/Event-Sequence", last).await;
}
