//! What follows after a switch got the first of its gateways when it started.

use std::fmt::Write;
use std::time::Duration;

use trunkd::app::Timing;

use super::pace::settled;
use crate::support::app::{Other, TestApp, eventually, quick, switch_toml};
use crate::support::fake_switch::{Binding, FakeSwitch};
use crate::support::redis::RedisServer;

const AN_HOUR: Duration = Duration::from_secs(60 * 60);
/// `response-max-bytes` as in fs-conf.
const LARGE: usize = 64 * 1024 * 1024;
/// Of a profile that starts.
const FIRST: usize = 100;

/// A switch that runs all of its gateways.
struct Rig {
    switch: FakeSwitch,
    app: TestApp,
    other: Other,
    gateways: usize,
    _redis: RedisServer,
}

impl Rig {
    /// `batch`: how long the switch may take for a batch. Each gateway has `bytes` more than it needs.
    async fn start(following: usize, batch: Duration, bytes: usize) -> Self {
        let redis = RedisServer::start().await;
        let other = Other::new(&redis).await;
        let filler = "x".repeat(bytes);
        for number in 0..FIRST + following {
            let value = format!(
                r#"{{"param":{{"realm":"sip.example.net","register":"false"}},"variable":{{"filler":"{filler}"}}}}"#
            );
            other.set_gateway("default", &format!("ip{number:05}"), &value).await;
        }
        let switch = FakeSwitch::builder().start().await;
        let mut toml = switch_toml(&switch, "fs1");
        write!(
            toml,
            "[redis]\ntimeout = \"5s\"\n[reconcile]\nmode = \"apply\"\nboot_slice = {FIRST}\n"
        )
        .unwrap();
        let timing = Timing {
            ingest: trunkd::ingest::Timing {
                // FakeSwitch answers nothing else while it reads a thousand gateways.
                connection: trunkd::event_socket::Timing::default(),
                ..quick().ingest
            },
            reconcile: trunkd::reconcile::Timing {
                batch,
                ..quick().reconcile
            },
            ..quick()
        };
        let rig = Self {
            app: TestApp::start_with(&redis, &toml, timing).await,
            switch,
            other,
            gateways: FIRST + following,
            _redis: redis,
        };
        eventually(
            "Redis is read",
            || rig.app.part("gateways"),
            |part| part["state"] == "ok",
        )
        .await;
        // Nobody knows yet whether trunkd reaches the switch, so it gets everything.
        rig.restart(LARGE).await;
        settled(&rig.other).await;
        rig
    }

    /// Returns when all of its gateways run: how many were in each batch that FreeSWITCH read.
    async fn restart(&self, response_max_bytes: usize) -> Vec<usize> {
        self.switch.set_binding(Some(Binding {
            response_max_bytes,
            ..Binding::new(self.app.xml_curl_url())
        }));
        self.switch.shutdown().await;
        self.switch.clear_requests();
        self.switch.boot().await;
        self.switch
            .wait_until("all run", |view| view.gateways().len() == self.gateways)
            .await;
        self.switch.view(|view| {
            let all = ("gateway".to_owned(), "_all_".to_owned());
            let batches = view.requests().iter().filter(|request| request.form.contains(&all));
            let gateways = |body: &[u8]| String::from_utf8_lossy(body).matches("<gateway ").count();
            batches.map(|request| gateways(&request.body)).collect()
        })
    }
}

#[tokio::test]
async fn batches_grow_while_the_switch_is_fast() {
    let rig = Rig::start(500 + 1000, AN_HOUR, 0).await;
    assert_eq!(rig.app.served().await.len(), FIRST);
    assert_eq!(rig.restart(LARGE).await, [500, 1000]);
}

#[tokio::test]
async fn batches_shrink_while_the_switch_is_slow() {
    let rig = Rig::start(500 + 250 + 125 + 62 + 50 + 50, Duration::ZERO, 0).await;
    assert_eq!(rig.restart(LARGE).await, [500, 250, 125, 62, 50, 50]);
}

#[tokio::test]
async fn a_batch_that_is_too_long_for_the_switch_follows_in_smaller_ones() {
    let rig = Rig::start(500 + 1000, AN_HOUR, 1400).await;
    assert_eq!(rig.restart(1024 * 1024).await, [500, 0, 500, 500]);
    let report = rig.other.field("trunkd:reconcile", "fs1").await.unwrap();
    assert!(
        report["troubles"].as_object().is_none_or(serde_json::Map::is_empty),
        "{report}"
    );
}

#[tokio::test]
async fn trunkd_connects_to_a_switch_that_starts_without_waiting_for_its_next_attempt() {
    let redis = RedisServer::start().await;
    let switch = FakeSwitch::builder().start().await;
    switch.reject_rudely(true);
    let timing = Timing {
        ingest: trunkd::ingest::Timing {
            refused_retry: AN_HOUR,
            ..quick().ingest
        },
        ..quick()
    };
    let toml = format!("{}[reconcile]\nmode = \"apply\"\n", switch_toml(&switch, "fs1"));
    let app = TestApp::start_with(&redis, &toml, timing).await;
    app.wait_for_reason("switch:fs1", &["apply-inbound-acl"]).await;
    switch.reject_rudely(false);
    switch.set_binding(Some(Binding::new(app.xml_curl_url())));
    switch.restart().await;
    switch
        .wait_until("trunkd listens to events", |view| view.listeners() >= 1)
        .await;
}

#[tokio::test]
async fn what_could_carry_calls_before_a_shutdown_comes_first() {
    let redis = RedisServer::start().await;
    let other = Other::new(&redis).await;
    let switch = FakeSwitch::builder().start().await;
    let app = TestApp::with_switch(&redis, &switch, "[reconcile]\nmode = \"apply\"\nboot_slice = 1\n").await;
    for (name, value) in [
        ("ip", r#"{"param":{"realm":"sip.example.net","register":"false"}}"#),
        (
            "up",
            r#"{"param":{"realm":"sip.example.net","username":"u","password":"p"}}"#,
        ),
    ] {
        other.set_gateway("default", name, value).await;
    }
    other.wait_for("trunkd:status:fs1", "up", "/state", "REGED").await;
    switch.shutdown().await;
    assert_eq!(app.served().await, ["up"]);
}
