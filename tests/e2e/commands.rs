//! What is sent to a switch, and what must not be sent any more.

use std::time::Duration;

use redis::AsyncCommands;
use secrecy::SecretString;
use trunkd::event_socket::{self, CommandError};

use crate::support::app::{Other, TestApp, eventually, quick, switch_toml};
use crate::support::fake_switch::{Binding, FakeSwitch, View};
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
    let app = TestApp::start_with(&redis, &format!("{}{APPLY}", switch_toml(&switch, "fs1")), timing).await;
    switch.set_binding(Some(Binding::new(app.xml_curl_url())));
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
