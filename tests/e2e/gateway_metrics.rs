//! `/metrics/gateways`: states, and counters that survive restarts and count once.

use jiff::Timestamp;
use redis::AsyncCommands;
use serde_json::Value;
use trunkd::keys::StatusKeys;
use trunkd::observed::{Begun, Change, Correction, CorrectionOp, Counted, Observation, Observed, Register, Row};
use trunkd::registration::{Calls, State};

use super::lease::store;
use crate::support::app::{Other, TestApp, eventually, quick, switch_toml};
use crate::support::fake_switch::{FORBIDDEN, FakeSwitch, Outcome, View};
use crate::support::redis::RedisServer;

const GATEWAYS: &str = r#"
    <gateway name="reg">
        <param name="username" value="u"/><param name="password" value="p"/>
        <param name="realm" value="carrier.example"/><param name="proxy" value="carrier.example"/>
        <param name="retry-seconds" value="1"/>
    </gateway>
    <gateway name="ip">
        <param name="realm" value="10.0.0.1"/><param name="proxy" value="10.0.0.1"/>
        <param name="register" value="false"/>
    </gateway>"#;

/// A Redis, a switch with [`GATEWAYS`], and the settings of a trunkd that watches it.
async fn rig() -> (RedisServer, FakeSwitch, String) {
    let redis = RedisServer::start().await;
    let switch = FakeSwitch::builder().start().await;
    switch.add_gateways("external", GATEWAYS);
    let toml = switch_toml(&switch, "fs1");
    (redis, switch, toml)
}

/// A trunkd that takes snapshots all the time: calls are counted by those.
async fn start(redis: &RedisServer, toml: &str) -> TestApp {
    let toml = format!("{toml}\n[reconcile]\nresync_interval = \"1s\"\n");
    TestApp::start_with(redis, &toml, quick()).await
}

async fn page(app: &TestApp) -> String {
    let (status, text) = app.get("/metrics/gateways").await;
    assert_eq!(status, 200, "{text}");
    text
}

/// The value of a series whose labels begin with the switch, the gateway and its profile.
fn value(text: &str, metric: &str, gateway: &str, more: &str) -> Option<f64> {
    let series = format!("{metric}{{switch=\"fs1\",gateway=\"{gateway}\",profile=\"external\"{more}}} ");
    text.lines().find_map(|line| line.strip_prefix(&*series)?.parse().ok())
}

async fn wait_for(app: &TestApp, metric: &str, gateway: &str, more: &str, expected: f64) -> String {
    let what = format!("{metric} of {gateway} {more} is {expected}");
    let page = eventually(
        &what,
        || page(app),
        |text| value(text, metric, gateway, more) == Some(expected),
    );
    page.await
}

const OUT: &str = ",direction=\"out\"";
const CALLS: &str = "trunkd_gateway_calls_total";
const FAILED: &str = "trunkd_gateway_failed_calls_total";
const REFUSALS: &str = "trunkd_gateway_refusals_total";

#[tokio::test]
async fn each_gateway_has_its_state_on_a_page_of_its_own() {
    let (redis, switch, toml) = rig().await;
    let other = Other::new(&redis).await;
    let of_redis = r#"{"param":{"realm":"10.0.0.1","proxy":"10.0.0.1","register":"false"},"profile":"external"}"#;
    other.set_gateway("acme.example", "ip", of_redis).await;
    let app = start(&redis, &toml).await;
    switch.wait_for_state("reg", "REGED").await;

    let text = wait_for(&app, "trunkd_gateway_state", "reg", ",state=\"REGED\"", 1.0).await;
    assert_eq!(
        value(&text, "trunkd_gateway_state", "reg", ",state=\"TRYING\""),
        Some(0.0)
    );
    assert_eq!(value(&text, "trunkd_gateway_usable", "reg", ""), Some(1.0));
    let since = value(&text, "trunkd_gateway_since_timestamp_seconds", "reg", "");
    assert!(since.is_some_and(|since| since > 1.7e9), "{text}");
    // Redis wants this one, so its domain is known.
    let of_domain = ",domain=\"acme.example\"";
    let text = wait_for(
        &app,
        "trunkd_gateway_state",
        "ip",
        &format!("{of_domain},state=\"NOREG\""),
        1.0,
    )
    .await;
    assert_eq!(
        value(&text, "trunkd_gateway_usable", "ip", of_domain),
        None,
        "neither registered nor pinged"
    );
    let host = format!("{of_domain},host=\"10.0.0.1\"");
    assert_eq!(value(&text, "trunkd_gateway_info", "ip", &host), Some(1.0));
    let (_, process) = app.get("/metrics").await;
    assert!(!process.contains("trunkd_gateway_state"), "{process}");
}

#[tokio::test]
async fn calls_add_up_over_restarts_of_the_gateway_and_of_trunkd() {
    let (redis, switch, toml) = rig().await;
    let app = start(&redis, &toml).await;
    switch.set_calls("ip", [1, 10, 0, 2]);
    wait_for(&app, CALLS, "ip", OUT, 10.0).await;

    // FreeSWITCH counts from zero again.
    switch.set_calls("ip", [0, 3, 0, 1]);
    let text = wait_for(&app, CALLS, "ip", OUT, 13.0).await;
    assert_eq!(value(&text, CALLS, "ip", ",direction=\"in\""), Some(1.0));
    assert_eq!(value(&text, FAILED, "ip", OUT), Some(3.0));

    // The gateway is deleted and started: its row goes away, what was counted stays.
    switch.api("sofia profile external killgw ip").await;
    switch.wait_for_gone("ip").await;
    let other = Other::new(&redis).await;
    other.wait_for_gone("trunkd:status:fs1", "ip").await;
    switch.add_gateways("external", GATEWAYS);
    switch.set_calls("ip", [0, 2, 0, 0]);
    wait_for(&app, CALLS, "ip", OUT, 15.0).await;

    // Another trunkd goes on where the first one stopped.
    app.stop().await;
    switch.set_calls("ip", [0, 4, 0, 0]);
    let app = start(&redis, &toml).await;
    wait_for(&app, CALLS, "ip", OUT, 17.0).await;
    switch.set_calls("ip", [0, 1, 0, 0]);
    wait_for(&app, CALLS, "ip", OUT, 18.0).await;
}

#[tokio::test]
async fn two_trunkd_count_calls_once() {
    let (redis, switch, toml) = rig().await;
    let first = start(&redis, &toml).await;
    let second = start(&redis, &toml).await;
    for calls in [5, 8, 2, 4] {
        switch.set_calls("ip", [0, calls, 0, 0]);
        let total = if calls > 4 { calls } else { 8 + calls };
        wait_for(&first, CALLS, "ip", OUT, f64::from(total)).await;
        wait_for(&second, CALLS, "ip", OUT, f64::from(total)).await;
    }
}

#[tokio::test]
async fn refusals_are_counted_once_by_two_trunkd() {
    for status in ["", "[status]\nlist = \"gateway-list\"\n"] {
        let (redis, switch, toml) = rig().await;
        let toml = format!("{toml}{status}");
        let first = start(&redis, &toml).await;
        let second = start(&redis, &toml).await;
        switch.wait_until("both listen", |view| view.listeners() == 2).await;
        switch.wait_for_state("reg", "REGED").await;
        wait_for(&second, "trunkd_gateway_usable", "reg", "", 1.0).await;
        switch.registrar(|registrar| registrar.set("reg", FORBIDDEN));
        switch.api("sofia profile external register reg").await;
        let refused = |view: &View<'_>| {
            let refusals = view.events().filter(|event| event.header("Status") == Some("403"));
            refusals.count()
        };
        switch
            .wait_until("it is refused three times", |view| refused(view) >= 3)
            .await;
        switch.registrar(|registrar| registrar.set("reg", Outcome::Ok));
        switch.wait_for_state("reg", "REGED").await;
        switch.wait_for_delivery().await;
        let count = switch.view(refused);
        for app in [&first, &second] {
            wait_for(app, "trunkd_gateway_state", "reg", ",state=\"REGED\"", 1.0).await;
            wait_for(app, REFUSALS, "reg", ",code=\"403\"", count as f64).await;
        }
        // Neither adds to it when what it has yet to write is written.
        first.stop().await;
        let text = wait_for(&second, REFUSALS, "reg", ",code=\"403\"", count as f64).await;
        assert_eq!(
            text.matches(REFUSALS).count(),
            3,
            "its HELP, its TYPE and one series: {text}"
        );
    }
}

#[tokio::test]
async fn the_counters_of_a_switch_that_is_removed_go_with_it() {
    let (redis, switch, toml) = rig().await;
    let app = start(&redis, &toml).await;
    switch.set_calls("ip", [1, 1, 1, 1]);
    wait_for(&app, CALLS, "ip", OUT, 1.0).await;
    app.stop().await;
    let other = Other::new(&redis).await;
    let remaining = FakeSwitch::builder().switchname("fs2").start().await;
    let app = TestApp::start(&redis, &switch_toml(&remaining, "fs2")).await;
    eventually(
        "its counters are gone",
        || other.hash("trunkd:calls:fs1"),
        std::collections::BTreeMap::is_empty,
    )
    .await;
    let text = page(&app).await;
    assert!(!text.contains("\"fs1\"") && text.contains("# TYPE trunkd_gateway_state gauge"));
}

#[tokio::test]
async fn without_redis_there_is_no_page_and_the_reason() {
    let mut redis = RedisServer::start().await;
    let app = TestApp::start(&redis, "").await;
    page(&app).await;
    redis.kill();
    let answer = eventually(
        "it is refused",
        || app.get("/metrics/gateways"),
        |(status, _)| *status == 503,
    );
    assert!(!answer.await.1.trim().is_empty());
}

// ---- the rules of the scripts

const RUN: &str = "core-1";

fn observed(redis: &RedisServer) -> Observed {
    let keys = StatusKeys {
        hash: "gateways".to_owned(),
        channel: None,
        list: None,
        list_max: 0,
    };
    Observed::new(store(redis), keys.into(), "fs1", "a-trunkd".into())
}

fn row(state: State) -> Row {
    Row {
        state: Some(state),
        ..Row::unknown(Timestamp::UNIX_EPOCH)
    }
}

/// A snapshot with one gateway, which had so many outgoing calls, by a trunkd that began it then.
async fn count(observed: &Observed, begun: Begun, outbound: u64) {
    let stored = observed.read().await.unwrap();
    let item = Correction {
        gateway: "gw".to_owned(),
        op: CorrectionOp::Set {
            row: row(State::Noreg).to_json(),
            value: None,
        },
        old_row: stored.rows.get("gw").cloned().unwrap_or_default(),
        old_value: String::new(),
        calls: Some(Calls {
            outbound,
            ..Calls::default()
        }),
    };
    observed.correct(RUN, begun, &[item]).await.unwrap().unwrap();
}

async fn counted(redis: &RedisServer) -> Counted {
    let (_, mut page) = store(redis).read_counted("fs1", 0).await.unwrap();
    page.pop().unwrap()
}

async fn total_out(redis: &RedisServer) -> Option<u64> {
    counted(redis).await.calls.map(|calls| calls.outbound)
}

#[tokio::test]
async fn a_lower_number_is_a_restart_unless_its_snapshot_began_before_the_last_count() {
    let redis = RedisServer::start().await;
    let observed = observed(&redis);
    for (outbound, total) in [(10, 10), (12, 12), (12, 12), (3, 15), (0, 15), (4, 19)] {
        count(&observed, observed.begin(RUN).await.unwrap(), outbound).await;
        assert_eq!(total_out(&redis).await, Some(total));
    }
    // Two trunkd ask at the same time, and the one that was answered first writes last.
    let (early, late) = (observed.begin(RUN).await.unwrap(), observed.begin(RUN).await.unwrap());
    count(&observed, late, 6).await;
    count(&observed, early, 5).await;
    assert_eq!(total_out(&redis).await, Some(21));
    count(&observed, observed.begin(RUN).await.unwrap(), 7).await;
    assert_eq!(total_out(&redis).await, Some(22));
}

fn refused(refusals: impl IntoIterator<Item = (u64, u16)>) -> Observation {
    let register = |(sequence, code)| Register {
        sequence,
        is_sent: true,
        refused: Some(code),
    };
    let registers: Vec<_> = refusals.into_iter().map(register).collect();
    let sequence = registers.last().unwrap().sequence;
    Observation {
        sequence,
        gateway: "gw".into(),
        change: Change::Set(row(State::Failed).into()),
        mark: sequence,
        json: "{}".into(),
        announce: true,
        is_odd: false,
        registers,
    }
}

async fn refusals(redis: &RedisServer) -> Vec<(String, u64)> {
    counted(redis).await.refusals.into_iter().collect()
}

fn times(count: u64) -> Vec<(String, u64)> {
    vec![("403".to_owned(), count)]
}

#[tokio::test]
async fn a_refusal_counts_once_in_whatever_batches_it_comes() {
    let redis = RedisServer::start().await;
    let observed = observed(&redis);
    observed.begin(RUN).await.unwrap();
    let apply = async |observation: Observation| observed.apply(RUN, &[observation]).await.unwrap();
    apply(refused([(5, 403)])).await;
    apply(refused([(5, 403)])).await;
    assert_eq!(refusals(&redis).await, times(1));
    // Merged with others while Redis was away.
    apply(refused([(5, 403), (9, 403), (14, 403)])).await;
    assert_eq!(refusals(&redis).await, times(3));
    apply(refused([(9, 403)])).await;
    assert_eq!(refusals(&redis).await, times(3));
    // The sequences begin again with the next run, or when they turned out to be wrong.
    observed.begin("core-2").await.unwrap();
    observed.apply("core-2", &[refused([(2, 403)])]).await.unwrap();
    apply(refused([(20, 403)])).await;
    assert_eq!(refusals(&redis).await, times(4), "the former run counts no more");
    observed.distrust("core-2").await.unwrap();
    observed.apply("core-2", &[refused([(1, 403)])]).await.unwrap();
    assert_eq!(refusals(&redis).await, times(5));
}

#[tokio::test]
async fn what_was_sent_and_refused_lately_counts_once_too() {
    let redis = RedisServer::start().await;
    let observed = observed(&redis);
    observed.begin(RUN).await.unwrap();
    for batch in [vec![(5, 403)], vec![(5, 403)], vec![(5, 403), (9, 503)]] {
        observed.apply(RUN, &[refused(batch)]).await.unwrap();
    }
    let lately = store(&redis).read_registers("fs1").await.unwrap();
    let gateway = &lately["gw"];
    let codes = [("403".to_owned(), 1), ("503".to_owned(), 1)];
    assert_eq!(gateway.refused, codes.into());
    // Of the minute before only a part counts.
    assert!(gateway.sent > 0.0 && gateway.sent <= 2.0, "{}", gateway.sent);
}

#[tokio::test]
async fn a_revision_gets_into_the_row_also_if_another_trunkd_wrote_the_same_event_without_it() {
    let redis = RedisServer::start().await;
    let (observed, other) = (observed(&redis), Other::new(&redis).await);
    observed.begin(RUN).await.unwrap();
    let apply = async |sequence: u64, revision: Option<&str>| {
        let row = Row {
            revision: revision.map(str::to_owned),
            ..row(State::Reged)
        };
        let observation = Observation {
            change: Change::Set(row.into()),
            registers: Vec::new(),
            ..refused([(sequence, 403)])
        };
        observed.apply(RUN, &[observation]).await.unwrap();
        other.field("trunkd:status:fs1", "gw").await.unwrap()["revision"].clone()
    };
    assert_eq!(apply(5, None).await, Value::Null);
    assert_eq!(apply(5, Some("ab12")).await, "ab12");
    assert_eq!(apply(5, None).await, "ab12", "the event is known");
    assert_eq!(apply(6, None).await, Value::Null, "it is another gateway by now");
    assert_eq!(apply(5, Some("ab12")).await, Value::Null, "of the one before");
}

#[tokio::test]
async fn a_gateway_counts_sixteen_status_codes_apart() {
    let redis = RedisServer::start().await;
    let observed = observed(&redis);
    observed.begin(RUN).await.unwrap();
    let many = refused(
        (0..20)
            .chain(0..20)
            .zip(1..)
            .map(|(code, sequence)| (sequence, 400 + code)),
    );
    observed.apply(RUN, &[many]).await.unwrap();
    let refusals = refusals(&redis).await;
    assert_eq!(refusals.len(), 17, "{refusals:?}");
    assert_eq!(refusals[15], ("415".to_owned(), 2));
    assert_eq!(refusals[16], ("other".to_owned(), 8));
}

#[tokio::test]
async fn counters_are_removed_an_hour_after_their_gateway() {
    let redis = RedisServer::start().await;
    let (observed, other) = (observed(&redis), Other::new(&redis).await);
    observed.begin(RUN).await.unwrap();
    observed.apply(RUN, &[refused([(1, 403)])]).await.unwrap();
    count(&observed, observed.begin(RUN).await.unwrap(), 5).await;
    let gone = Observation {
        change: Change::Delete,
        registers: Vec::new(),
        ..refused([(2, 403)])
    };
    observed.apply(RUN, &[gone]).await.unwrap();
    let snapshot = async || {
        let begun = observed.begin(RUN).await.unwrap();
        observed.correct(RUN, begun, &[]).await.unwrap().unwrap();
    };
    snapshot().await;
    assert_eq!(
        other.hash("trunkd:calls:fs1").await.len(),
        1,
        "it may only be restarted"
    );

    let key = "trunkd:gone:fs1";
    let at: f64 = other.connection.clone().zscore(key, "gw").await.unwrap();
    let _: () = other
        .connection
        .clone()
        .zadd(key, "gw", at - 3601.0 * 1e6)
        .await
        .unwrap();
    snapshot().await;
    assert!(other.hash("trunkd:calls:fs1").await.is_empty());
    assert!(other.hash("trunkd:refusals:fs1").await.is_empty());
    assert!(!other.connection.clone().exists::<_, bool>(key).await.unwrap());
}
