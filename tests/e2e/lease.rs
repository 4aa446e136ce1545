//! Several trunkd for one fleet: each serves and listens, one at a time changes a switch.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use redis::AsyncCommands;
use trunkd::control::{Lease, OrderContent, OrderedAction, Version};
use trunkd::health::Health;
use trunkd::redis::{Options, Store};

use crate::support::app::{Other, TestApp, eventually, settings, switch_toml};
use crate::support::fake_switch::{Binding, FakeSwitch, View};
use crate::support::redis::RedisServer;

const APPLY: &str = "[reconcile]\nmode = \"apply\"\nresync_interval = \"1s\"\n";
const IP_TRUNK: &str = r#"{"param":{"realm":"sip.example.net","register":"false"}}"#;

/// Two trunkd that may both change one switch, which asks the first one for its configuration.
async fn two_trunkd(redis: &RedisServer, switch: &FakeSwitch, toml: &str) -> (TestApp, TestApp) {
    let first = TestApp::with_switch(redis, switch, &format!("{APPLY}{toml}")).await;
    let toml = format!("{}\n{APPLY}{toml}", switch_toml(switch, "fs1"));
    let second = TestApp::start(redis, &toml).await;
    // What each knows of the switch is what it guards.
    for app in [&first, &second] {
        eventually(
            "it has made its first plan",
            async || app.part("reconcile:fs1").await,
            |part| part.is_object(),
        )
        .await;
    }
    (first, second)
}

/// How often each command was sent to the switch.
fn changes(view: &View) -> BTreeMap<String, usize> {
    let mut changes = BTreeMap::new();
    let told = view.commands().into_iter();
    for command in told.filter(|command| command.contains("startgw") || command.contains("killgw")) {
        *changes.entry(command.to_owned()).or_default() += 1;
    }
    changes
}

pub(super) fn store(redis: &RedisServer) -> Store {
    let folder = tempfile::tempdir().unwrap();
    let settings = settings(redis, folder.path(), "");
    let options = Options::from_settings(&settings.redis, folder.path()).unwrap();
    Store::new(options, Arc::new(Health::new()))
}

async fn lease(redis: &RedisServer, holder: &str, length: Duration) -> Lease {
    Lease::new(store(redis), "fs1", holder.into(), length)
}

#[tokio::test]
async fn of_two_trunkd_only_the_lease_holder_changes_the_switch_and_the_other_takes_over() {
    let (redis, switch) = (RedisServer::start().await, FakeSwitch::builder().start().await);
    let other = Other::new(&redis).await;
    let (first, second) = two_trunkd(&redis, &switch, "").await;
    let mut expected = BTreeMap::new();
    for round in 0..10 {
        let name = format!("gw{round}");
        other.set_gateway("default", &name, IP_TRUNK).await;
        switch.wait_for_state(&name, "NOREG").await;
        expected.insert(format!("api sofia profile external startgw {name}"), 1);
    }
    let reason = "changes this switch";
    let told = eventually(
        "the one says of the other that it does the work",
        async || [first.part("reconcile:fs1").await, second.part("reconcile:fs1").await],
        |parts| {
            let told = parts
                .iter()
                .filter(|part| part["reason"].as_str().is_some_and(|told| told.contains(reason)));
            told.count() == 1
        },
    )
    .await;
    assert!(told.iter().all(|part| part["state"] == "ok"), "{told:?}");
    assert_eq!(switch.view(changes), expected, "nothing was done twice");

    // The second serves from now on, and does the work.
    switch.set_binding(Some(Binding::new(second.xml_curl_url())));
    first.stop().await;
    other.set_gateway("default", "later", IP_TRUNK).await;
    switch.wait_for_state("later", "NOREG").await;
    expected.insert("api sofia profile external startgw later".to_owned(), 1);
    assert_eq!(switch.view(changes), expected);
}

#[tokio::test]
async fn while_another_has_the_lease_nothing_is_changed_and_its_end_is_noticed() {
    let (redis, switch) = (RedisServer::start().await, FakeSwitch::builder().start().await);
    let other = Other::new(&redis).await;
    let mut connection = other.connection.clone();
    let _: () = connection
        .pset_ex("trunkd:lease:fs1", "elsewhere/1/0", 1500)
        .await
        .unwrap();
    let app = TestApp::with_switch(&redis, &switch, APPLY).await;
    other.set_gateway("default", "gw", IP_TRUNK).await;
    app.wait_for_reason("reconcile:fs1", &["trunkd elsewhere/1/0 changes this switch"])
        .await;
    assert_eq!(app.served().await, ["gw"], "each serves all the same");
    assert_eq!(switch.view(changes), BTreeMap::new());
    // Whoever had it died: it is not renewed.
    switch.wait_for_state("gw", "NOREG").await;
    let holder: String = connection.get("trunkd:lease:fs1").await.unwrap();
    assert_ne!(holder, "elsewhere/1/0");
}

#[tokio::test]
async fn a_lease_that_cannot_be_renewed_ends_by_its_holders_own_clock() {
    let redis = RedisServer::start().await;
    let lease = lease(&redis, "a", Duration::from_millis(600)).await;
    lease.renew_or_take().await.unwrap();
    let first = lease.term().expect("nobody else has it");
    lease.renew_or_take().await.unwrap();
    assert_eq!(lease.term(), Some(first), "renewed, it is the same");
    redis.sigstop();
    assert!(lease.renew_or_take().await.is_err());
    eventually("it is over", async || lease.term(), Option::is_none).await;
    redis.sigcont();
    eventually(
        "it is taken again",
        async || lease.renew_or_take().await.map(|()| lease.term()).ok().flatten(),
        Option::is_some,
    )
    .await;
    assert_ne!(
        lease.term(),
        Some(first),
        "what was begun under the old one is not gone on with"
    );
}

#[tokio::test]
async fn a_lease_that_redis_lost_is_not_taken_before_it_would_have_expired() {
    let redis = RedisServer::start().await;
    let length = Duration::from_secs(4);
    let (a, b) = (lease(&redis, "a", length).await, lease(&redis, "b", length).await);
    a.renew_or_take().await.unwrap();
    b.renew_or_take().await.unwrap();
    assert_eq!((b.term(), b.other().as_deref()), (None, Some("a")));
    let mut connection = redis.connection().await;
    redis::cmd("FLUSHALL").exec_async(&mut connection).await.unwrap();
    b.renew_or_take().await.unwrap();
    assert!(b.term().is_none() && a.term().is_some(), "its holder does not know yet");
    a.renew_or_take().await.unwrap();
    b.renew_or_take().await.unwrap();
    assert!(b.term().is_none() && a.term().is_some());
    // Lost together with its holder, it is over at its time.
    redis::cmd("FLUSHALL").exec_async(&mut connection).await.unwrap();
    eventually(
        "the other takes it",
        async || b.renew_or_take().await.map(|()| b.term()).ok().flatten(),
        Option::is_some,
    )
    .await;
    assert!(a.term().is_none());
}

#[tokio::test]
async fn a_released_lease_is_taken_at_once() {
    let redis = RedisServer::start().await;
    let length = Duration::from_secs(3600);
    let (a, b) = (lease(&redis, "a", length).await, lease(&redis, "b", length).await);
    a.renew_or_take().await.unwrap();
    b.renew_or_take().await.unwrap();
    a.release().await.unwrap();
    assert!(a.term().is_none());
    b.renew_or_take().await.unwrap();
    assert!(b.term().is_some());
    a.renew_or_take().await.unwrap();
    assert_eq!((a.term(), a.other().as_deref()), (None, Some("b")));
}

#[tokio::test]
async fn an_approval_for_a_switch_counts_for_every_trunkd() {
    let (redis, switch) = (RedisServer::start().await, FakeSwitch::builder().start().await);
    let other = Other::new(&redis).await;
    let names: BTreeSet<String> = (0..8).map(|number| format!("gw{number}")).collect();
    for name in &names {
        other.set_gateway("default", name, IP_TRUNK).await;
    }
    let (first, second) = two_trunkd(&redis, &switch, "").await;
    for name in &names {
        switch.wait_for_state(name, "NOREG").await;
    }
    let mut connection = other.connection.clone();
    let disabled: Vec<_> = names
        .iter()
        .skip(1)
        .map(|name| (name, r#"{"enabled":false}"#))
        .collect();
    // Together: one after the other, they would not be a flood.
    let _: () = connection
        .hset_multiple("cti_gateway@default", &disabled)
        .await
        .unwrap();
    for app in [&first, &second] {
        app.wait_for_reason("reconcile:fs1", &["removes 7 of 8"]).await;
        assert_eq!(app.served().await.len(), 8);
    }
    let mut content = OrderContent::default();
    for name in names.iter().skip(1) {
        let row = other.field("trunkd:status:fs1", name).await.unwrap();
        let from = Version {
            profile: "external".to_owned(),
            revision: row["revision"].as_str().map(str::to_owned),
        };
        let kill = OrderedAction {
            from: Some(from),
            to: None,
        };
        content.actions.insert(name.clone(), kill);
    }
    store(&redis).order("fs1", &content, "cli:root@test").await.unwrap();
    switch
        .wait_until("they are gone", |view| view.gateways().len() == 1)
        .await;
    for app in [&first, &second] {
        eventually(
            "it is served to none",
            async || app.served().await,
            |served| *served == ["gw0"],
        )
        .await;
        eventually(
            "it is well",
            async || app.part("reconcile:fs1").await,
            |part| part["state"] == "ok",
        )
        .await;
    }
    let done = other.field("trunkd:control", "apply:fs1").await.unwrap();
    assert!(done["done_at"].is_string(), "{done}");
}

#[tokio::test]
async fn a_lease_longer_than_any_trunkds_is_reported_and_expires_unless_renewed() {
    let (redis, switch) = (RedisServer::start().await, FakeSwitch::builder().start().await);
    let other = Other::new(&redis).await;
    let mut connection = other.connection.clone();
    let year = 365 * 24 * 60 * 60;
    let holder = format!("forgotten/\x1b[31m{}", "x".repeat(100_000));
    let _: () = connection.set_ex("trunkd:lease:fs1", &holder, year).await.unwrap();
    let app = TestApp::with_switch(&redis, &switch, APPLY).await;
    other.set_gateway("default", "gw", IP_TRUNK).await;
    let words = [
        "trunkd:lease:fs1",
        "31536000 s",
        "forgotten/\\u{1b}[31m",
        "DEL trunkd:lease:fs1",
    ];
    let part = app.wait_for_reason("lease:fs1", &words).await;
    assert!(part["reason"].as_str().unwrap().len() < 1000, "{part}");
    // Nobody renews it.
    switch.wait_for_state("gw", "NOREG").await;
    eventually(
        "all is well",
        async || app.part("lease:fs1").await,
        |part| part["state"] == "ok",
    )
    .await;
}

#[tokio::test]
async fn a_lease_key_of_another_type_is_named_with_the_fix() {
    let (redis, switch) = (RedisServer::start().await, FakeSwitch::builder().start().await);
    let other = Other::new(&redis).await;
    let mut connection = other.connection.clone();
    let _: () = connection.hset("trunkd:lease:fs1", "a", "b").await.unwrap();
    let app = TestApp::with_switch(&redis, &switch, APPLY).await;
    other.set_gateway("default", "gw", IP_TRUNK).await;
    app.wait_for_reason("redis", &["trunkd:lease:fs1 is a hash", "DEL trunkd:lease:fs1"])
        .await;
    assert_eq!(switch.view(changes), BTreeMap::new());
    let _: () = connection.del("trunkd:lease:fs1").await.unwrap();
    switch.wait_for_state("gw", "NOREG").await;
}
