//! What is sent to a switch, and what must not be sent any more.

use std::time::Duration;

use redis::AsyncCommands;
use secrecy::SecretString;
use trunkd::event_socket::{self, CommandError};

use crate::support::app::{Other, Start, TestApp, eventually, quick, switch_toml};
use crate::support::fake_switch::{FakeSwitch, View};
use crate::support::redis::RedisServer;

const APPLY: &str = "[reconcile]\nmode = \"apply\"\nresync_interval = \"1s\"\n";
const IP_TRUNK: &str = r#"{"param":{"realm":"sip.example.net","register":"false"}}"#;
const LONG: Duration = Duration::from_secs(20);

fn count(view: &View, word: &str) -> usize {
    view.commands().iter().filter(|command| command.contains(word)).count()
}

#[tokio::test]
async fn a_command_that_gave_up_in_the_queue_is_never_sent() {
    let switch = FakeSwitch::builder().start().await;
    let timing = event_socket::Timing::default();
    let password = SecretString::from("ClueCon");
    let (client, _events) = event_socket::connect(&switch.address().to_string(), &password, timing)
        .await
        .unwrap();
    switch.slow_commands(Duration::from_millis(300));
    let soon = Duration::from_millis(50);
    let (first, gave_up, cancelled) = tokio::join!(
        client.api("status", LONG),
        client.api("sofia profile external killgw late", soon),
        tokio::time::timeout(soon, client.api("sofia profile external killgw cancelled", LONG)),
    );
    assert!(first.is_ok(), "{first:?}");
    assert!(matches!(gave_up, Err(CommandError::Timeout { .. })), "{gave_up:?}");
    assert!(cancelled.is_err(), "{cancelled:?}");
    // What is sent goes out in order: were they still in the queue, they would come before this one.
    client.api("switchname", LONG).await.unwrap();
    assert_eq!(
        switch.view(|view| count(view, "killgw")),
        0,
        "{:?}",
        switch.view(|view| view.summary())
    );
}

#[tokio::test]
async fn no_queued_kill_is_sent_after_the_lease_moved() {
    let (redis, switch) = (RedisServer::start().await, FakeSwitch::builder().start().await);
    let other = Other::new(&redis).await;
    for name in ["a", "b", "c", "stays1", "stays2", "stays3", "stays4"] {
        other.set_gateway("default", name, IP_TRUNK).await;
    }
    let mut timing = quick();
    timing.ingest.connection = event_socket::Timing::default();
    let toml = format!("{}{APPLY}", switch_toml(&switch, "fs1"));
    let app = TestApp::launch(&redis, &toml, Start::asked_by(&[&switch]).timing(timing)).await;
    switch
        .wait_until("all are there", |view| view.gateways().len() == 7)
        .await;
    let lease = "trunkd:lease:fs1";
    eventually(
        "it has the lease",
        async || other.connection.clone().get::<_, Option<String>>(lease).await.unwrap(),
        Option::is_some,
    )
    .await;
    // Far longer than trunkd takes to notice.
    switch.slow_commands(Duration::from_secs(2));
    let mut removal = redis::cmd("HDEL");
    removal.arg("cti_gateway@default").arg(&["a", "b", "c"]);
    removal.exec_async(&mut other.connection.clone()).await.unwrap();
    switch
        .wait_until("the first kill has come", |view| count(view, "killgw") > 0)
        .await;
    let mut connection = other.connection.clone();
    let _: () = connection.pset_ex(lease, "elsewhere/1/0", 60_000).await.unwrap();
    app.wait_for_reason("reconcile:fs1", &["elsewhere/1/0"]).await;
    switch.slow_commands(Duration::ZERO);
    let before = switch.view(|view| view.commands().len());
    switch
        .wait_until("whatever was in the queue has come", |view| {
            view.commands().len() > before + 2
        })
        .await;
    assert_eq!(
        switch.view(|view| count(view, "killgw")),
        1,
        "{}",
        switch.view(|view| view.summary())
    );
}

/// A switch with gateways, and its trunkd, which changes it. All trunkd of this process count in the same metrics, so
/// the switch has a name of its own.
async fn pair(switch_name: &str, gateways: &[&str]) -> (RedisServer, FakeSwitch, TestApp, Other) {
    let redis = RedisServer::start().await;
    let switch = FakeSwitch::builder().switchname(switch_name).start().await;
    let other = Other::new(&redis).await;
    for name in gateways {
        other.set_gateway("default", name, IP_TRUNK).await;
    }
    let app = TestApp::asked_by(
        &[&switch],
        &redis,
        &format!("{}{APPLY}", switch_toml(&switch, switch_name)),
    )
    .await;
    until_all_run(&other, switch_name, gateways).await;
    (redis, switch, app, other)
}

async fn until_all_run(other: &Other, switch_name: &str, gateways: &[&str]) {
    for name in gateways {
        let rows = format!("trunkd:status:{switch_name}");
        other.wait_for(&rows, name, "/state", "NOREG").await;
    }
}

/// The actions that failed or were refused, as the metrics have them.
async fn failures(app: &TestApp, switch_name: &str) -> Vec<String> {
    let (_, metrics) = app.get("/metrics").await;
    let series = format!("trunkd_reconcile_actions_total{{switch=\"{switch_name}\"");
    let actions = metrics.lines().filter(|line| line.starts_with(&series));
    let failed = actions.filter(|line| !line.contains(r#"outcome="done""#));
    failed.map(str::to_owned).collect()
}

/// Until trunkd's connection for commands has fallen silent twice: time for many plans.
async fn until_two_signs_of_life(switch: &FakeSwitch) {
    let before = switch.view(|view| count(view, "api status"));
    switch
        .wait_until("it was asked for two more signs of life", |view| {
            count(view, "api status") >= before + 4
        })
        .await;
}

#[tokio::test]
async fn while_freeswitch_shuts_down_nothing_is_changed_on_it_and_nothing_counts_as_failed() {
    let (_redis, switch, app, other) = pair("closing", &["a", "b", "c"]).await;
    let before = switch.view(|view| count(view, "startgw"));
    switch.begin_shutdown();
    for name in ["a", "b", "c"] {
        other.wait_for_gone("trunkd:status:closing", name).await;
    }
    other.set_gateway("default", "new", IP_TRUNK).await;
    until_two_signs_of_life(&switch).await;
    assert_eq!(
        switch.view(|view| count(view, "startgw")),
        before,
        "{}",
        switch.view(|view| view.summary())
    );
    app.wait_for_reason("switch:closing", &["shutting down"]).await;
    switch.shutdown().await;
    switch.boot().await;
    until_all_run(&other, "closing", &["a", "b", "c", "new"]).await;
    assert_eq!(failures(&app, "closing").await, [""; 0]);
}

#[tokio::test]
async fn while_mod_sofia_is_not_loaded_nothing_counts_as_failed_and_it_goes_on_when_it_is_back() {
    let (_redis, switch, app, other) = pair("unloaded", &["a", "b"]).await;
    let before = switch.view(|view| count(view, "startgw"));
    assert_eq!(switch.api("unload mod_sofia").await, "+OK\n");
    for name in ["a", "b"] {
        other.wait_for_gone("trunkd:status:unloaded", name).await;
    }
    app.wait_for_reason("switch:unloaded", &["mod_sofia"]).await;
    until_two_signs_of_life(&switch).await;
    let tried = switch.view(|view| count(view, "startgw")) - before;
    assert!(tried <= 2, "it is not tried again and again: {tried}");
    other.set_gateway("default", "new", IP_TRUNK).await;
    assert_eq!(switch.api("load mod_sofia").await, "+OK Reloading XML\n+OK\n");
    until_all_run(&other, "unloaded", &["a", "b", "new"]).await;
    assert_eq!(failures(&app, "unloaded").await, [""; 0]);
}

#[tokio::test]
async fn while_mod_sofia_is_being_unloaded_no_gateway_is_taken_for_one_that_is_not_ours() {
    let redis = RedisServer::start().await;
    let switch = FakeSwitch::builder().switchname("midway").start().await;
    let other = Other::new(&redis).await;
    other.set_gateway("default", "gw", IP_TRUNK).await;
    let mut timing = quick();
    timing.ingest.connection = event_socket::Timing::default();
    let toml = format!("{}{APPLY}", switch_toml(&switch, "midway"));
    let app = TestApp::launch(&redis, &toml, Start::asked_by(&[&switch]).timing(timing)).await;
    until_all_run(&other, "midway", &["gw"]).await;
    // It is read again, and mod_sofia is unloaded right after it listed its gateways. Its last events are late.
    switch.slow_commands(Duration::from_millis(300));
    let asked = |view: &View| count(view, "trunkd_revision");
    let connections = switch.view(|view| view.all_connections().len());
    switch.drop_connections();
    switch
        .wait_until("it is connected again", |view| {
            view.all_connections().len() > connections
        })
        .await;
    let before = switch.view(asked);
    switch
        .wait_until("the revisions are asked for", |view| asked(view) > before)
        .await;
    switch.lose_next_events(1);
    switch.api("unload mod_sofia").await;
    app.wait_for_reason("switch:midway", &["mod_sofia"]).await;
    switch.slow_commands(Duration::ZERO);
    let report = other.field("trunkd:reconcile", "midway").await.unwrap();
    assert_eq!(report["conflicts"], serde_json::json!([]), "{report}");
    switch.api("load mod_sofia").await;
    switch.wait_for_state("gw", "NOREG").await;
}
