//! What FreeSWITCH's gateways do → Redis.

use std::time::Duration;

use redis::AsyncCommands;
use serde_json::json;

use crate::support::app::{Other, TestApp, eventually, quick, switch_toml};
use crate::support::fake_switch::{Binding, FORBIDDEN, FakeSwitch};
use crate::support::redis::{Data, RedisServer};

const ACCOUNT: &str = r#"{"param":{"realm":"sip.example.net","username":"u","password":"p"}}"#;
const IP_TRUNK: &str = r#"{"param":{"realm":"sip.example.net","register":"false"}}"#;
const EVERYTHING: &str = "[status]\nchannel = \"gateway-events\"\nlist = \"gateway-list\"\n";

/// A switch that has `carrier1` registered, its trunkd, and both of their Redis.
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

#[tokio::test]
async fn the_hash_holds_the_latest_event_as_freeswitch_sent_it_and_the_row_what_it_means() {
    let (_redis, switch, app, other) = registered(EVERYTHING).await;
    replace(&switch).await;
    let last = switch.view(|view| view.sequence()).to_string();
    let value = other.wait_for("gateways", "carrier1", "/Event-Sequence", last).await;
    let sent = switch.view(|view| {
        let last = view
            .events()
            .filter(|event| event.to_json().contains(r#""Gateway":"carrier1""#))
            .last();
        last.unwrap().to_json()
    });
    let raw: String = other.connection.clone().hget("gateways", "carrier1").await.unwrap();
    assert_eq!(raw, sent);

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
    assert_eq!(
        keys,
        [
            "profile", "state", "ping", "status", "phrase", "since", "seen", "revision"
        ]
    );

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
    switch.wait_for_state("carrier1", "REGED").await;
    let sequence = switch.view(|view| view.sequence()).to_string();
    other
        .wait_for("gateways", "carrier1", "/Event-Sequence", sequence)
        .await;
    let kinds: Vec<_> = other
        .list("gateway-list")
        .await
        .iter()
        .map(|e| e["Event-Subclass"].as_str().unwrap().to_owned())
        .collect();
    let (deleted, added) = (
        kinds.iter().rposition(|kind| kind == "sofia::gateway_delete").unwrap(),
        kinds.iter().rposition(|kind| kind == "sofia::gateway_add").unwrap(),
    );
    assert!(added < deleted, "FreeSWITCH fires them in this order: {kinds:?}");
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
    // What fired before trunkd listened was not heard.
    let heard: Vec<_> = expected.into_iter().filter(|sequence| *sequence >= listed[0]).collect();
    assert_eq!(listed, heard);
}

#[tokio::test]
async fn what_happened_while_nobody_listened_is_mended_and_marked() {
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
    let mended = other.wait_for("gateways", "carrier1", "/State", "FAIL_WAIT").await;
    assert_eq!(
        (&mended["trunkd-Source"], &mended["Event-Subclass"]),
        (&json!("snapshot"), &json!("sofia::gateway_state"))
    );
    assert_eq!(mended["FreeSWITCH-Switchname"], "fs1");
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
async fn events_that_were_lost_on_the_way_are_made_up_for_at_the_next_resync() {
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
async fn a_wrong_password_is_told_with_the_mend_and_not_hammered() {
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
async fn being_turned_away_by_the_access_list_is_told_with_the_mend() {
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
async fn of_two_switches_the_field_holds_the_latest_and_falls_back_to_the_other() {
    let redis = RedisServer::start().await;
    let other = Other::new(&redis).await;
    let (one, two) = (
        FakeSwitch::builder().start().await,
        FakeSwitch::builder().switchname("fs2").start().await,
    );
    let toml = format!("{}{}", switch_toml(&one, "fs1"), switch_toml(&two, "fs2"));
    other.set_gateway("default", "carrier1", ACCOUNT).await;
    let app = TestApp::start(&redis, &toml).await;
    for switch in [&one, &two] {
        switch.set_binding(Some(Binding::new(app.xml_curl_url())));
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
    switch.wait_for_delivery().await;
    let last = switch.view(|view| view.sequence()).to_string();
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
async fn a_switch_that_no_trunkd_has_named_for_long_is_forgotten_whenever_it_came() {
    let redis = RedisServer::start().await;
    let other = Other::new(&redis).await;
    // What takes a day takes 1.4 s here.
    let mut timing = quick();
    timing.ingest.stale_after = Duration::from_millis(1);
    let switch = FakeSwitch::builder().switchname("fs2").start().await;
    let _app = TestApp::start_with(&redis, &switch_toml(&switch, "fs2"), timing).await;
    other.wait_for("trunkd:switches", "fs2", "/connected", true).await;
    // Another one names a switch that it never reaches.
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
async fn a_switch_without_mod_sofia_is_told_with_the_mend() {
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
    // A gateway that does not register is told by the list alone.
    switch.add_gateways(
        "external",
        r#"<gateway name="a"><param name="register" value="false"/></gateway>"#,
    );
    other.wait_for("trunkd:status:fs1", "a", "/state", "NOREG").await;
}

#[tokio::test]
async fn a_trunkd_with_other_switches_leaves_those_of_its_fellows_alone() {
    let (redis, _switch, _app, other) = registered(EVERYTHING).await;
    let second = FakeSwitch::builder().switchname("fs2").start().await;
    let _fellow = TestApp::start(&redis, &switch_toml(&second, "fs2")).await;
    other.wait_for("trunkd:switches", "fs2", "/connected", true).await;
    // Whatever it was to remove at its start it has removed by the time that it said so again.
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
async fn a_state_of_a_switch_that_is_out_of_reach_takes_no_place_as_if_it_were_true() {
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
async fn of_a_burst_the_hash_has_the_newest_of_each_gateway() {
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
