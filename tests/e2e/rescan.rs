//! What FreeSWITCH gets of its configuration at a start, and at a rescan.

use crate::support::app::{Other, TestApp, eventually};
use crate::support::fake_switch::{FakeSwitch, View};
use crate::support::redis::RedisServer;

const APPLY: &str = "[reconcile]\nmode = \"apply\"\nresync_interval = \"1s\"\n";
const IP_TRUNK: &str = r#"{"param":{"realm":"sip.example.net","register":"false"}}"#;
/// FreeSWITCH refuses it, because the profile of the sample has no TLS.
const REFUSED: &str = r#"{"param":{"realm":"sip.example.net","register":"false","register-transport":"tls"}}"#;

/// A switch with two gateways, known to its trunkd.
async fn pair(settings: &str) -> (RedisServer, FakeSwitch, TestApp, Other) {
    let (redis, switch) = (RedisServer::start().await, FakeSwitch::builder().start().await);
    let other = Other::new(&redis).await;
    for name in ["a", "b"] {
        other.set_gateway("default", name, IP_TRUNK).await;
    }
    let app = TestApp::with_switch(&redis, &switch, settings).await;
    for name in ["a", "b"] {
        other.wait_for("trunkd:status:fs1", name, "/state", "NOREG").await;
    }
    (redis, switch, app, other)
}

/// The gateways in the answer to FreeSWITCH's latest request for `sofia.conf`.
fn served(view: &View) -> Vec<String> {
    let body = String::from_utf8_lossy(&view.sofia_requests().last().unwrap().body).into_owned();
    let names = body.split("<gateway name=\"").skip(1);
    names.map(|rest| rest[..rest.find('"').unwrap()].to_owned()).collect()
}

async fn rescan(switch: &FakeSwitch) -> Vec<String> {
    let reply = switch.api("sofia profile external rescan").await;
    assert!(reply.contains("+OK scan complete"), "{reply}");
    switch.view(served)
}

#[tokio::test]
async fn a_start_gets_the_profiles_without_gateways_and_then_each_with_all_of_them() {
    let (_redis, switch, _app, _other) = pair(APPLY).await;
    switch.clear_requests();
    switch.restart().await;
    let answers = switch.view(|view| {
        let answers = view.sofia_requests().into_iter().map(|request| {
            let body = String::from_utf8_lossy(&request.body);
            let profile = request.field("profile").unwrap_or("none").to_owned();
            (
                profile,
                body.matches("<gateway name=").count(),
                body.matches("<settings>").count(),
            )
        });
        answers.collect::<Vec<_>>()
    });
    let expected = [("none", 0, 2), ("external", 2, 1), ("internal", 0, 1)];
    assert_eq!(
        answers,
        expected.map(|(profile, gateways, settings)| (profile.to_owned(), gateways, settings))
    );
    switch.wait_until("both run", |view| view.gateways().len() == 2).await;
}

#[tokio::test]
async fn a_rescan_gets_the_gateways_that_do_not_run_and_no_others() {
    let (_redis, switch, _app, other) = pair(APPLY).await;
    other.set_gateway("default", "refused", REFUSED).await;
    let seen = async || {
        let names = rescan(&switch).await;
        let settings = switch
            .view(|view| String::from_utf8_lossy(&view.sofia_requests().last().unwrap().body).contains("<settings>"));
        (names, settings)
    };
    eventually("only what is missing is served", seen, |seen| {
        *seen == (vec!["refused".to_owned()], true)
    })
    .await;
    // FreeSWITCH's own view of it: nothing is passed over as known, and nothing that runs was
    // touched.
    let duplicates = |view: &View| view.log().iter().filter(|line| line.contains("duplicate")).count();
    let before = switch.view(duplicates);
    rescan(&switch).await;
    assert_eq!(switch.view(duplicates), before);
    assert_eq!(switch.view(|view| view.gateways().len()), 2);
    // A gateway that FreeSWITCH lost by itself comes back.
    switch.api("sofia profile external killgw a").await;
    switch.wait_for_gone("a").await;
    rescan(&switch).await;
    switch.wait_for_state("a", "NOREG").await;
}

#[tokio::test]
async fn a_rescan_gets_all_gateways_where_trunkd_would_not_start_what_is_missing() {
    for settings in ["", "[reconcile]\nmode = \"observe\"\nresync_interval = \"1s\"\n"] {
        let (_redis, switch, _app, other) = pair(settings).await;
        if !settings.is_empty() {
            other.wait_for("trunkd:reconcile", "fs1", "/mode", "observe").await;
        }
        assert_eq!(rescan(&switch).await, ["a", "b"], "{settings}");
    }
    let (_redis, switch, _app, other) = pair(APPLY).await;
    eventually("nothing is missing", async || rescan(&switch).await, Vec::is_empty).await;
    let paused = redis::cmd("HSET")
        .arg("trunkd:control")
        .arg("paused")
        .arg("now")
        .to_owned();
    paused.exec_async(&mut other.connection.clone()).await.unwrap();
    eventually(
        "a pause is heeded",
        async || rescan(&switch).await,
        |names| names.len() == 2,
    )
    .await;
}

#[tokio::test]
async fn a_rescan_gets_all_gateways_when_it_is_not_known_what_runs() {
    let (_redis, switch, app, _other) = pair(APPLY).await;
    eventually("nothing is missing", async || rescan(&switch).await, Vec::is_empty).await;
    let rescan_of = async |who: &str| {
        let form = format!(
            "hostname={who}&section=configuration&tag_name=configuration&key_name=name&key_value=sofia.conf\
             &FreeSWITCH-Switchname={who}&profile=external&reconfig=true"
        );
        app.ask_form(&form).await.1.matches("<gateway name=").count()
    };
    let core = switch.view(|view| view.core_uuid().to_owned());
    assert_eq!(rescan_of(&format!("fs1&Core-UUID={core}")).await, 0);
    assert_eq!(rescan_of("fs1").await, 2, "which run of FreeSWITCH asks is not known");
    assert_eq!(rescan_of("fs1&Core-UUID=another").await, 2, "FreeSWITCH was restarted");
    assert_eq!(
        rescan_of(&format!("fs2&Core-UUID={core}")).await,
        2,
        "nobody knows this switch"
    );
    switch.refuse_connections(true).await;
    switch.drop_connections();
    eventually(
        "the connection is lost",
        async || rescan(&switch).await,
        |names| names.len() == 2,
    )
    .await;
    switch.refuse_connections(false).await;
    eventually("it is known again", async || rescan(&switch).await, Vec::is_empty).await;
}

#[tokio::test]
async fn switches_that_are_not_configured_are_served_and_reported() {
    let (_redis, _switch, app, _other) = pair("").await;
    assert_eq!(app.part("unknown_switches").await["reason"], serde_json::Value::Null);
    let before = app
        .metric("trunkd_unknown_switch_requests_total")
        .await
        .unwrap_or_default();
    for name in ["FS1", "fs%1b%5b2J"] {
        let form = format!(
            "hostname=x&section=configuration&tag_name=configuration&key_name=name&key_value=sofia.conf\
             &FreeSWITCH-Switchname={name}&profile=external"
        );
        assert_eq!(app.ask_form(&form).await.1.matches("<gateway name=").count(), 2);
    }
    let part = app
        .wait_for_reason(
            "unknown_switches",
            &["2 switch names", "\"FS1\"", "fs\\u{1b}[2J", "[[switch]]"],
        )
        .await;
    assert_eq!(part["state"], "ok", "anybody can ask: it is no fault of trunkd's");
    let after = app.metric("trunkd_unknown_switch_requests_total").await.unwrap();
    assert!(after >= before + 2.0, "{before} → {after}");
}
