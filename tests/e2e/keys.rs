//! trunkd's own keys in Redis: lost, replaced, or of another type than trunkd keeps there.

use std::collections::BTreeMap;

use redis::AsyncCommands;
use serde_json::Value;

use crate::support::app::{Other, Start, TestApp, eventually, switch_toml};
use crate::support::fake_switch::FakeSwitch;
use crate::support::redis::RedisServer;

const APPLY: &str = "[reconcile]\nmode = \"apply\"\nresync_interval = \"1s\"\n";
const IP_TRUNK: &str = r#"{"param":{"realm":"sip.example.net","register":"false"}}"#;
const OTHER_IP_TRUNK: &str = r#"{"param":{"realm":"other.example.net","register":"false"}}"#;
/// A key that is as good as any.
const OTHER_KEY: &str = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";

/// A switch that runs this many gateways, and its trunkd.
async fn started(gateways: usize) -> (RedisServer, FakeSwitch, TestApp, Other) {
    let (redis, switch) = (RedisServer::start().await, FakeSwitch::builder().start().await);
    let other = Other::new(&redis).await;
    for number in 0..gateways {
        other.set_gateway("default", &format!("gw{number}"), IP_TRUNK).await;
    }
    let app = TestApp::with_switch(&redis, &switch, APPLY).await;
    revisions_known(&other, gateways).await;
    (redis, switch, app, other)
}

/// Waits until every gateway's row has a revision: what runs is known.
async fn revisions_known(other: &Other, gateways: usize) {
    let has_revision = |row: &Value| row["revision"].is_string();
    eventually(
        "every row has its revision",
        || other.hash("trunkd:status:fs1"),
        |rows| rows.len() == gateways && rows.values().all(has_revision),
    )
    .await;
}

/// The instances of the gateways that `started` made: a restarted one is another.
fn instances(switch: &FakeSwitch) -> BTreeMap<String, u64> {
    switch.view(|view| {
        let first = view
            .gateways()
            .into_iter()
            .filter(|gateway| gateway.name.starts_with("gw"));
        first.map(|gateway| (gateway.name.clone(), gateway.instance)).collect()
    })
}

/// An edit that shows that trunkd has seen what was done before it, and that edits still take effect; then
/// nothing is left to do on the switch.
async fn edit_takes_effect(app: &TestApp, other: &Other, switch: &FakeSwitch, name: &str) {
    other.set_gateway("default", name, IP_TRUNK).await;
    switch.wait_for_state(name, "NOREG").await;
    eventually(
        "nothing is left to do",
        || app.metric(r#"trunkd_reconcile_pending{switch="fs1"}"#),
        |pending| *pending == Some(0.0),
    )
    .await;
}

async fn set(other: &Other, key: &str, value: &str) {
    other.connection.clone().set::<_, _, ()>(key, value).await.unwrap();
}

/// Replaces a key by one of a type that trunkd uses nowhere.
async fn spoil(other: &Other, key: &str) {
    let mut connection = other.connection.clone();
    redis::pipe()
        .atomic()
        .del(key)
        .zadd(key, "x", 1)
        .exec_async(&mut connection)
        .await
        .unwrap();
}

#[tokio::test]
async fn a_lost_key_is_put_back_and_a_replaced_one_restarts_nothing() {
    let (_redis, switch, app, other) = started(6).await;
    let before = instances(&switch);
    let first: String = other.connection.clone().get("trunkd:key").await.unwrap();

    other.connection.clone().del::<_, ()>("trunkd:key").await.unwrap();
    edit_takes_effect(&app, &other, &switch, "after-del").await;
    let kept: String = other.connection.clone().get("trunkd:key").await.unwrap();
    assert_eq!(kept, first);

    set(&other, "trunkd:key", OTHER_KEY).await;
    edit_takes_effect(&app, &other, &switch, "after-set").await;
    revisions_known(&other, 8).await;
    assert_eq!(instances(&switch), before, "nothing was restarted");
    let former: Vec<String> = other
        .connection
        .clone()
        .lrange("trunkd:key:former", 0, -1)
        .await
        .unwrap();
    assert_eq!(former, [first], "so that every trunkd knows it");

    // A restart of trunkd, which now reads all of that from Redis, restarts nothing either.
    drop(app.stop().await);
    let app = TestApp::asked_by(
        &[&switch],
        &_redis,
        &format!("{}\n{APPLY}", switch_toml(&switch, "fs1")),
    )
    .await;
    edit_takes_effect(&app, &other, &switch, "after-restart").await;
    assert_eq!(instances(&switch), before);
    // And an edit still restarts the one that it changes.
    other.set_gateway("default", "gw0", OTHER_IP_TRUNK).await;
    eventually(
        "the edited one is another",
        async || {
            instances(&switch)
                .iter()
                .filter(|(name, now)| before[*name] != **now)
                .count()
        },
        |changed| *changed == 1,
    )
    .await;
}

#[tokio::test]
async fn the_key_of_the_last_good_state_counts_when_redis_lost_everything() {
    let (redis, switch, app, other) = started(4).await;
    let before = instances(&switch);
    eventually(
        "the last good state is kept",
        async || app.folder().join("last-good").exists(),
        |kept| *kept,
    )
    .await;
    let folder = app.stop().await;
    // Somebody else made a key meanwhile.
    redis::cmd("FLUSHALL")
        .exec_async(&mut other.connection.clone())
        .await
        .unwrap();
    set(&other, "trunkd:key", OTHER_KEY).await;
    for number in 0..4 {
        other.set_gateway("default", &format!("gw{number}"), IP_TRUNK).await;
    }
    let toml = format!("{}\n{APPLY}", switch_toml(&switch, "fs1"));
    let app = TestApp::launch(&redis, &toml, Start::asked_by(&[&switch]).folder(folder)).await;
    edit_takes_effect(&app, &other, &switch, "new").await;
    assert_eq!(instances(&switch), before);
}

#[tokio::test]
async fn restarts_caused_by_an_unknown_revision_key_are_held() {
    let (redis, switch, app, other) = started(6).await;
    let before = instances(&switch);
    let first: String = other.connection.clone().get("trunkd:key").await.unwrap();
    drop(app.stop().await);
    set(&other, "trunkd:key", OTHER_KEY).await;
    // A data directory of its own, so that nothing is known of the old key.
    let app = TestApp::asked_by(&[&switch], &redis, &format!("{}\n{APPLY}", switch_toml(&switch, "fs1"))).await;
    let told = app
        .wait_for_reason("reconcile:fs1", &["held: restarts 6 of 6", "put the old key back"])
        .await;
    assert_eq!(told["state"], "degraded");
    assert_eq!(instances(&switch), before, "nothing was restarted");
    assert_eq!(app.served().await.len(), 6);

    set(&other, "trunkd:key", &first).await;
    eventually(
        "nothing is held",
        || app.part("reconcile:fs1"),
        |part| part["state"] == "ok",
    )
    .await;
    edit_takes_effect(&app, &other, &switch, "new").await;
    assert_eq!(instances(&switch), before);
}

#[tokio::test]
async fn a_key_of_another_type_is_named_with_the_fix_and_serving_goes_on() {
    let (redis, switch, app, other) = started(2).await;
    let before = instances(&switch);
    spoil(&other, "trunkd:key").await;
    edit_takes_effect(&app, &other, &switch, "new").await;
    let told = app.wait_for_reason("redis", &["trunkd:key", "DEL trunkd:key"]).await;
    assert_eq!(told["state"], "degraded");
    assert_eq!(app.served().await.len(), 3);
    assert_eq!(instances(&switch), before);

    // A fresh start answers as well.
    let fresh = TestApp::start(&redis, "").await;
    assert_eq!(fresh.served().await.len(), 3);
    fresh.wait_for_reason("redis", &["trunkd:key", "DEL trunkd:key"]).await;

    other.connection.clone().del::<_, ()>("trunkd:key").await.unwrap();
    eventually("it is well again", || app.part("redis"), |part| part["state"] == "ok").await;
}

#[tokio::test]
async fn every_key_of_ours_that_is_of_another_type_is_named_with_the_fix() {
    let (_redis, _switch, app, other) = started(2).await;
    let keys = [
        "trunkd:key:former",
        "trunkd:control",
        "trunkd:reconcile",
        "trunkd:switches",
        "trunkd:status:fs1",
        "trunkd:ingest:fs1",
        "trunkd:marks:fs1",
        "trunkd:lease:fs1",
        "gateways",
    ];
    for key in keys {
        spoil(&other, key).await;
        // Something that makes trunkd use its keys.
        other.set_gateway("default", "gw1", IP_TRUNK).await;
        other
            .set_gateway("default", &format!("for-{}", key.len()), IP_TRUNK)
            .await;
        let told = app.wait_for_reason("redis", &[key, "delete"]).await;
        assert_eq!(told["state"], "degraded", "{told}");
        assert!(app.served().await.len() >= 2, "serving goes on");
        other.connection.clone().del::<_, ()>(key).await.unwrap();
        let what = format!("it is well again without {key}");
        eventually(&what, || app.part("redis"), |part| part["state"] == "ok").await;
    }
}
