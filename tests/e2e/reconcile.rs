//! An edit in Redis takes effect by itself, safely, on every switch.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::Value;

use crate::support::app::{Other, Start, TestApp, eventually, quick, switch_toml};
use crate::support::fake_switch::{Binding, FORBIDDEN, FakeSwitch, Method, View};
use crate::support::redis::{Data, RedisServer};

const APPLY: &str = "[reconcile]\nmode = \"apply\"\nresync_interval = \"1s\"\n";
const IP_TRUNK: &str = r#"{"param":{"realm":"sip.example.net","register":"false"}}"#;

fn account(password: &str) -> String {
    format!(r#"{{"param":{{"realm":"sip.example.net","username":"u","password":"{password}"}}}}"#)
}

/// A switch and its trunkd, which changes it.
async fn pair(gateways: &[(&str, &str)], toml: &str) -> (RedisServer, FakeSwitch, TestApp, Other) {
    let (redis, switch) = (RedisServer::start().await, FakeSwitch::builder().start().await);
    let other = Other::new(&redis).await;
    for (name, value) in gateways {
        other.set_gateway("default", name, value).await;
    }
    let app = TestApp::with_switch(&redis, &switch, &format!("{toml}{APPLY}")).await;
    for (name, _) in gateways {
        let what = format!("{name} came to rest");
        switch
            .wait_until(&what, |view| {
                matches!(view.state(name), Some("REGED" | "NOREG" | "FAIL_WAIT"))
            })
            .await;
    }
    settled(&other, "fs1").await;
    (redis, switch, app, other)
}

/// Waits until the reconciler of a switch says that nothing is left to do.
async fn settled(other: &Other, switch: &str) -> Value {
    let nothing = |report: &Option<Value>| {
        report
            .as_ref()
            .is_some_and(|report| ["start", "restart", "kill"].iter().all(|count| report[count] == 0))
    };
    eventually(
        "nothing is left to do",
        || other.field("trunkd:reconcile", switch),
        nothing,
    )
    .await
    .unwrap()
}

fn changes(view: &View) -> Vec<String> {
    let changes = view
        .commands()
        .into_iter()
        .filter(|command| command.contains("startgw") || command.contains("killgw"));
    changes.map(str::to_owned).collect()
}

fn names(view: &View) -> BTreeSet<String> {
    view.gateways().iter().map(|gateway| gateway.name.clone()).collect()
}

#[tokio::test]
async fn a_new_gateway_is_registered_by_itself_and_a_removed_one_goes() {
    let (_redis, switch, _app, other) = pair(&[("stays", IP_TRUNK)], "").await;
    other.set_gateway("default", "new", &account("p")).await;
    switch.wait_for_state("new", "REGED").await;
    other.wait_for("gateways", "new", "/State", "REGED").await;
    assert_eq!(switch.view(changes), ["api sofia profile external startgw new"]);

    other.delete_gateway("default", "new").await;
    switch.wait_for_gone("new").await;
    other.wait_for_gone("gateways", "new").await;
    assert_eq!(switch.view(changes)[1..], ["api sofia profile external killgw new"]);
}

#[tokio::test]
async fn a_changed_password_unregisters_strictly_before_it_registers_again() {
    let (_redis, switch, _app, other) = pair(&[("gw", &account("p0")), ("same", &account("q"))], "").await;
    let untouched = switch.view(|view| view.gateway("same").unwrap().instance);
    for round in 1..=8 {
        switch.clear_wire();
        let before = switch.view(|view| view.gateway("gw").unwrap().instance);
        let password = format!("p{round}");
        other.set_gateway("default", "gw", &account(&password)).await;
        switch
            .wait_until("the new one is registered", |view| {
                view.gateway("gw").is_some_and(|gw| gw.password == password) && view.state("gw") == Some("REGED")
            })
            .await;
        switch.view(|view| {
            let of = |method: Method, instance_is_old: bool| {
                let mut found = view
                    .wire()
                    .iter()
                    .filter(|entry| entry.gateway == "gw" && entry.method == method);
                found
                    .find(|entry| (entry.instance == before) == instance_is_old)
                    .map(|entry| entry.order)
            };
            let (gone, come) = (of(Method::Unregister, true), of(Method::Register, false));
            assert!(gone.is_some() && gone < come, "{:?}", view.wire());
            let events: Vec<_> = view
                .events()
                .map(|event| event.to_json())
                .filter(|json| json.contains(r#""Gateway":"gw""#))
                .collect();
            let delete = events.iter().rposition(|json| json.contains("gateway_delete")).unwrap();
            let add = events.iter().rposition(|json| json.contains("gateway_add")).unwrap();
            assert!(delete < add, "the delete is awaited");
        });
        settled(&other, "fs1").await;
    }
    assert_eq!(
        switch.view(|view| view.gateway("same").unwrap().instance),
        untouched,
        "what did not change is not touched"
    );
}

#[tokio::test]
async fn every_way_a_key_can_change_is_noticed() {
    let (_redis, switch, _app, other) = pair(&[], "").await;
    let mut connection = other.connection.clone();
    let mut run = async |parts: &[&str]| {
        let mut command = redis::cmd(parts[0]);
        command.arg(&parts[1..]).exec_async(&mut connection).await.unwrap();
    };
    run(&["HSET", "elsewhere", "renamed", IP_TRUNK]).await;
    run(&["RENAME", "elsewhere", "cti_gateway@b"]).await;
    switch.wait_for_state("renamed", "NOREG").await;
    run(&["COPY", "cti_gateway@b", "cti_gateway@c"]).await;
    run(&[
        "EVAL",
        "return redis.call('HSET', KEYS[1], 'scripted', ARGV[1])",
        "1",
        "cti_gateway@new",
        IP_TRUNK,
    ])
    .await;
    switch.wait_for_state("scripted", "NOREG").await;
    run(&["PEXPIRE", "cti_gateway@new", "10"]).await;
    switch.wait_for_gone("scripted").await;
    run(&["DEL", "cti_gateway@b"]).await;
    settled(&other, "fs1").await;
    assert_eq!(
        switch.view(names),
        ["renamed".to_owned()].into(),
        "domain c has it still"
    );
}

#[tokio::test]
async fn enabled_profile_and_nodes_move_a_gateway() {
    let (_redis, switch, _app, other) = pair(&[("gw", IP_TRUNK), ("other", IP_TRUNK), ("third", IP_TRUNK)], "").await;
    let with = |more: &str| format!(r#"{{"param":{{"realm":"sip.example.net","register":"false"}}{more}}}"#);
    other
        .set_gateway("default", "gw", &with(r#","profile":"internal""#))
        .await;
    switch
        .wait_until("it moved", |view| {
            view.gateway("gw").is_some_and(|gw| gw.profile == "internal")
        })
        .await;
    other.set_gateway("default", "gw", &with(r#","enabled":false"#)).await;
    switch.wait_for_gone("gw").await;
    other.set_gateway("default", "gw", &with(r#","nodes":["fs1"]"#)).await;
    switch.wait_for_state("gw", "NOREG").await;
    other.set_gateway("default", "gw", &with(r#","nodes":["fs2"]"#)).await;
    switch.wait_for_gone("gw").await;
    assert!(switch.view(|view| view.ghosts().is_empty()));
}

#[tokio::test]
async fn a_flushed_store_is_held_and_a_switch_that_boots_meanwhile_gets_everything() {
    for count in [3usize, 300] {
        let gateways: Vec<_> = (0..count).map(|n| format!("gw{n}")).collect();
        let with: Vec<_> = gateways.iter().map(|name| (name.as_str(), IP_TRUNK)).collect();
        let (_redis, switch, app, other) = pair(&with, "").await;
        let killed = |view: &View| {
            changes(view)
                .iter()
                .filter(|command| command.contains("killgw"))
                .count()
        };
        redis::cmd("FLUSHALL")
            .exec_async(&mut other.connection.clone())
            .await
            .unwrap();
        let report = other.wait_for("trunkd:reconcile", "fs1", "/kill", count).await;
        assert!(
            report["held"]
                .as_str()
                .unwrap()
                .contains(&format!("removes {count} of {count}")),
            "{report}"
        );
        let part = app.part("reconcile:fs1").await;
        assert_eq!(part["state"], "degraded");
        assert!(part["reason"].as_str().unwrap().contains("trunkd apply"), "{part}");
        assert_eq!(app.get("/health").await.0, 200);

        switch.restart().await;
        switch
            .wait_until("it has them all", |view| names(view).len() == count)
            .await;
        assert_eq!(switch.view(killed), 0);
    }
}

#[tokio::test]
async fn a_held_plan_goes_on_when_the_edit_is_undone() {
    let gateways: Vec<_> = (0..8).map(|n| format!("gw{n}")).collect();
    let with: Vec<_> = gateways.iter().map(|name| (name.as_str(), IP_TRUNK)).collect();
    let (_redis, switch, app, other) = pair(&with, "").await;
    let mut connection = other.connection.clone();
    redis::cmd("HDEL")
        .arg("cti_gateway@default")
        .arg(&gateways[..7])
        .exec_async(&mut connection)
        .await
        .unwrap();
    let report = other
        .wait_for("trunkd:reconcile", "fs1", "/held", "held: removes 7 of 8 (more than 5)")
        .await;
    assert_eq!(report["kill"], 7);
    assert_eq!(
        app.served().await.len(),
        8,
        "what is held from killing is held from serving"
    );
    // With the plan held, what is added waits too.
    other.set_gateway("default", "new", IP_TRUNK).await;
    other.wait_for("trunkd:reconcile", "fs1", "/start", 1).await;
    // Together: one after the other, the remaining removals would soon not be a flood.
    let mut undo = redis::cmd("HSET");
    undo.arg("cti_gateway@default");
    for name in &gateways[..7] {
        undo.arg(name).arg(IP_TRUNK);
    }
    undo.exec_async(&mut connection).await.unwrap();
    switch.wait_for_state("new", "NOREG").await;
    settled(&other, "fs1").await;
    assert_eq!(switch.view(changes), ["api sofia profile external startgw new"]);
}

#[tokio::test]
async fn a_value_made_invalid_leaves_the_gateway_up_as_it_was() {
    let (_redis, switch, _app, other) = pair(&[("gw", &account("p")), ("marker", IP_TRUNK)], "").await;
    let instance = switch.view(|view| view.gateway("gw").unwrap().instance);
    other.set_gateway("default", "gw", "{").await;
    other.set_gateway("default", "after", IP_TRUNK).await;
    switch.wait_for_state("after", "NOREG").await;
    settled(&other, "fs1").await;
    assert_eq!(switch.view(|view| view.gateway("gw").unwrap().instance), instance);
    assert_eq!(switch.view(|view| view.state("gw")), Some("REGED"));
}

#[tokio::test]
async fn a_value_made_invalid_leaves_the_gateway_up_even_when_trunkd_is_started_after_it() {
    let (redis, switch, app, other) = pair(&[("gw", &account("p")), ("marker", IP_TRUNK)], "").await;
    let instance = switch.view(|view| view.gateway("gw").unwrap().instance);
    app.stop().await;
    other.set_gateway("default", "gw", "{").await;
    let _app = TestApp::asked_by(&[&switch], &redis, &format!("{}{APPLY}", switch_toml(&switch, "fs1"))).await;
    other.delete_gateway("default", "marker").await;
    switch.wait_for_gone("marker").await;
    settled(&other, "fs1").await;
    assert_eq!(switch.view(|view| view.gateway("gw").unwrap().instance), instance);
}

#[tokio::test]
async fn a_domain_that_cannot_be_read_loses_no_gateway_even_when_trunkd_is_started_after_it() {
    let (redis, switch, app, other) = pair(&[("gw", IP_TRUNK)], "").await;
    other.set_gateway("tenant", "stays", IP_TRUNK).await;
    switch.wait_for_state("stays", "NOREG").await;
    settled(&other, "fs1").await;
    app.stop().await;
    let mut connection = other.connection.clone();
    let key = "cti_gateway@default";
    let _: () = redis::cmd("SET")
        .arg(key)
        .arg("{}")
        .query_async(&mut connection)
        .await
        .unwrap();
    let _app = TestApp::asked_by(&[&switch], &redis, &format!("{}{APPLY}", switch_toml(&switch, "fs1"))).await;
    other.delete_gateway("tenant", "stays").await;
    other.set_gateway("tenant", "marker", IP_TRUNK).await;
    switch.wait_for_state("marker", "NOREG").await;
    settled(&other, "fs1").await;
    assert_eq!(switch.view(names), ["gw", "marker", "stays"].map(str::to_owned).into());
    // With the key out of the way it is known what is gone.
    let _: () = redis::cmd("DEL").arg(key).query_async(&mut connection).await.unwrap();
    switch
        .wait_until("what is gone was killed", |view| {
            names(view) == ["marker".to_owned()].into()
        })
        .await;
}

#[tokio::test]
async fn a_field_named_all_is_refused_and_kills_nothing() {
    let (_redis, switch, app, other) = pair(&[("gw", IP_TRUNK)], "").await;
    for name in ["_all_", "_ALL_", "x y", "x\nkillgw", ""] {
        other.set_gateway("default", name, IP_TRUNK).await;
        other.delete_gateway("default", name).await;
        other.set_gateway("default", name, IP_TRUNK).await;
    }
    other.set_gateway("default", "after", IP_TRUNK).await;
    switch.wait_for_state("after", "NOREG").await;
    settled(&other, "fs1").await;
    assert_eq!(switch.view(changes), ["api sofia profile external startgw after"]);
    assert_eq!(app.served().await, ["after", "gw"]);
}

#[tokio::test]
async fn a_burst_of_edits_takes_a_handful_of_plans_and_reloads() {
    let (_redis, switch, _app, other) = pair(&[], "").await;
    let mut pipe = redis::pipe();
    for n in 0..1000 {
        pipe.hset("cti_gateway@default", format!("gw{n}"), IP_TRUNK).ignore();
    }
    pipe.exec_async(&mut other.connection.clone()).await.unwrap();
    switch
        .wait_until("all are there", |view| names(view).len() == 1000)
        .await;
    settled(&other, "fs1").await;
    let reloads = switch.view(changes).len();
    assert!(reloads < 60, "{reloads} reloads for one burst");
    let twice = switch.view(|view| view.log().iter().filter(|line| line.contains("duplicate")).count());
    assert_eq!(twice, 0);
}

#[tokio::test]
async fn changes_by_hand_beside_us_converge() {
    let (_redis, switch, _app, other) = pair(&[("gw", &account("p")), ("ip", IP_TRUNK)], "").await;
    switch.api("sofia profile external killgw gw").await;
    switch
        .wait_until("it was gone and is back", |view| {
            view.all("gw").len() == 1 && view.state("gw") == Some("REGED")
        })
        .await;
    switch.api("sofia profile external rescan").await;
    switch.api("sofia profile external restart").await;
    switch
        .wait_until("both are back", |view| {
            view.state("gw") == Some("REGED") && view.state("ip") == Some("NOREG")
        })
        .await;
    switch.api("sofia profile external killgw ip").await;
    switch.api("sofia profile external startgw ip").await;
    settled(&other, "fs1").await;
    switch
        .wait_until("one of each is left", |view| {
            let is_alone = |name| view.all(name).len() == 1;
            is_alone("gw") && is_alone("ip") && view.ghosts().is_empty() && names(view).len() == 2
        })
        .await;
}

#[tokio::test]
async fn what_is_not_ours_is_never_touched_and_a_conflict_is_reported_with_the_fix() {
    let (redis, switch) = (RedisServer::start().await, FakeSwitch::builder().start().await);
    let other = Other::new(&redis).await;
    let app = TestApp::with_switch(&redis, &switch, APPLY).await;
    switch.add_gateways(
        "external",
        r#"<gateway name="theirs"><param name="register" value="false"/></gateway>"#,
    );
    switch.add_gateways(
        "external",
        r#"<gateway name="clash"><param name="register" value="false"/></gateway>"#,
    );
    other.wait_for("trunkd:status:fs1", "clash", "/state", "NOREG").await;
    other.set_gateway("default", "clash", IP_TRUNK).await;
    app.wait_for_reason("reconcile:fs1", &["clash", "trunkd apply --adopt"])
        .await;
    other.set_gateway("default", "after", IP_TRUNK).await;
    switch.wait_for_state("after", "NOREG").await;
    assert_eq!(switch.view(changes), ["api sofia profile external startgw after"]);
}

/// The trouble that is reported of the gateway `gw` on `fs1`.
async fn trouble(other: &Other) -> String {
    let report = eventually(
        "it is told",
        || other.field("trunkd:reconcile", "fs1"),
        |report| {
            report
                .as_ref()
                .is_some_and(|report| report["troubles"]["gw"].is_string())
        },
    );
    report.await.unwrap()["troubles"]["gw"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_gateway_that_freeswitch_refuses_is_told_and_not_tried_for_ever() {
    let (redis, switch) = (RedisServer::start().await, FakeSwitch::builder().start().await);
    let other = Other::new(&redis).await;
    let app = TestApp::with_switch(&redis, &switch, APPLY).await;
    settled(&other, "fs1").await;
    // The profile of the sample has no TLS, which only FreeSWITCH knows.
    let tls = r#"{"param":{"realm":"sip.example.net","register":"false","register-transport":"tls"}}"#;
    other.set_gateway("default", "gw", tls).await;
    let told = trouble(&other).await;
    assert!(
        told.contains("does not have it after startgw, though it asked"),
        "{told}"
    );
    let refused = r#"trunkd_reconcile_actions_total{switch="fs1",action="start",outcome="refused"}"#;
    eventually(
        "it is refused three times",
        || app.metric(refused),
        |count| *count >= Some(3.0),
    )
    .await;
    let tried = switch.view(changes).len();
    other.set_gateway("default", "marker", IP_TRUNK).await;
    switch.wait_for_state("marker", "NOREG").await;
    assert_eq!(
        switch.view(changes).len(),
        tried + 1,
        "the refused version is not tried again"
    );
    other.set_gateway("default", "gw", IP_TRUNK).await;
    switch.wait_for_state("gw", "NOREG").await;
}

#[tokio::test]
async fn what_a_new_gateway_leaves_open_is_asked_for_by_its_name_and_not_by_a_list_of_all() {
    let (_redis, switch, _app, other) = pair(&[("gw", &account("p")), ("ip", IP_TRUNK)], "").await;
    let told = async |name: &str, state: &str| {
        let look = || other.field("trunkd:status:fs1", name);
        eventually(&format!("{name} is {state}, with its revision"), look, |row| {
            row.as_ref()
                .is_some_and(|row| row["state"] == state && row["revision"].is_string())
        })
        .await;
    };
    told("gw", "REGED").await;
    told("ip", "NOREG").await;
    let lists = |view: &View| {
        view.commands()
            .iter()
            .filter(|line| line.ends_with("xmlstatus gateway"))
            .count()
    };
    // What the start asked for may still list all beside the first ones.
    let mut costs_no_list = false;
    for another in ["ip1", "ip2", "ip3", "ip4", "ip5"] {
        let before = switch.view(lists);
        // No event of FreeSWITCH says that it does not register.
        other.set_gateway("default", another, IP_TRUNK).await;
        told(another, "NOREG").await;
        other.wait_for("gateways", another, "/State", "NOREG").await;
        let by_name = format!("api sofia xmlstatus gateway {another}");
        costs_no_list |= switch.view(|view| lists(view) == before && view.commands().contains(&by_name.as_str()));
    }
    assert!(costs_no_list, "each had all of them listed");
}

#[tokio::test]
async fn a_gateway_that_freeswitch_did_not_ask_for_is_tried_again_until_it_does() {
    let (redis, switch) = (RedisServer::start().await, FakeSwitch::builder().start().await);
    let other = Other::new(&redis).await;
    let app = TestApp::with_switch(&redis, &switch, APPLY).await;
    settled(&other, "fs1").await;
    // The switch asks somebody else now, who has no gateways.
    let empty = RedisServer::start().await;
    let _elsewhere = TestApp::asked_by(&[&switch], &empty, "").await;
    // For other reasons it asks us, which is no sign that it refused anything.
    let asking = async {
        loop {
            app.ask("profile=external").await;
        }
    };
    let tried = async {
        other.set_gateway("default", "gw", IP_TRUNK).await;
        let told = trouble(&other).await;
        assert!(told.contains("did not ask this trunkd for it"), "{told}");
        let failed = r#"trunkd_reconcile_actions_total{switch="fs1",action="start",outcome="failed"}"#;
        eventually("it is tried again", || app.metric(failed), |count| *count >= Some(4.0)).await;
    };
    tokio::select! {
        () = asking => {}
        () = tried => {}
    }
    switch.set_binding(Some(Binding::new(app.xml_curl_url())));
    switch.wait_for_state("gw", "NOREG").await;
    eventually(
        "the trouble is over",
        || other.field("trunkd:reconcile", "fs1"),
        |report| report.as_ref().is_some_and(|report| report["troubles"]["gw"].is_null()),
    )
    .await;
}

#[tokio::test]
async fn two_switches_get_what_their_nodes_say() {
    let redis = RedisServer::start().await;
    let other = Other::new(&redis).await;
    let (one, two) = (
        FakeSwitch::builder().start().await,
        FakeSwitch::builder().switchname("fs2").start().await,
    );
    let toml = format!("{}{}{APPLY}", switch_toml(&one, "fs1"), switch_toml(&two, "fs2"));
    let _app = TestApp::asked_by(&[&one, &two], &redis, &toml).await;
    for switch in [&one, &two] {
        switch.restart().await;
        switch.wait_until("trunkd listens", |view| view.listeners() == 1).await;
    }
    let on = |nodes: &str| format!(r#"{{"param":{{"realm":"sip.example.net","register":"false"}},"nodes":[{nodes}]}}"#);
    other.set_gateway("default", "both", &on(r#""fs1","fs2""#)).await;
    other.set_gateway("default", "first", &on(r#""fs1""#)).await;
    other.set_gateway("default", "second", &on(r#""fs2""#)).await;
    let set = |names: &[&str]| -> BTreeSet<String> { names.iter().map(|name| (*name).to_owned()).collect() };
    one.wait_until("fs1 has its own", |view| names(view) == set(&["both", "first"]))
        .await;
    two.wait_until("fs2 has its own", |view| names(view) == set(&["both", "second"]))
        .await;
    other.set_gateway("default", "first", &on(r#""fs2""#)).await;
    one.wait_until("it left fs1", |view| names(view) == set(&["both"]))
        .await;
    two.wait_until("it came to fs2", |view| {
        names(view) == set(&["both", "first", "second"])
    })
    .await;
}

#[tokio::test]
async fn the_order_in_which_the_parts_start_does_not_matter() {
    let mut redis = RedisServer::start_with_aof().await;
    let other = Other::new(&redis).await;
    other.set_gateway("default", "gw", &account("p")).await;
    // FreeSWITCH first, with nothing but its disk; then trunkd; Redis last.
    let disk = r#"<configuration name="sofia.conf"><profiles><profile name="external"><settings/><gateways/></profile></profiles></configuration>"#;
    let switch = FakeSwitch::builder()
        .disk(disk)
        .xml_curl(Binding::new("http://127.0.0.1:9/nobody"))
        .start()
        .await;
    assert!(switch.view(|view| view.sofia_loaded() && view.gateways().is_empty()));
    redis.kill();
    let _app = TestApp::asked_by(&[&switch], &redis, &format!("{}{APPLY}", switch_toml(&switch, "fs1"))).await;
    redis.restart(Data::Kept).await;
    switch.wait_for_state("gw", "REGED").await;

    // A switch that is away while an edit is made, and comes back with what it had.
    switch.refuse_connections(true).await;
    switch.drop_connections();
    let other = Other::new(&redis).await;
    other.set_gateway("default", "gw", &account("q")).await;
    other.set_gateway("default", "new", &account("r")).await;
    switch.refuse_connections(false).await;
    switch
        .wait_until("the edit is there", |view| {
            view.gateway("gw").is_some_and(|gw| gw.password == "q")
        })
        .await;
    switch.wait_for_state("new", "REGED").await;
}

#[tokio::test]
async fn a_trunkd_that_died_in_the_middle_of_a_plan_is_followed_by_one_that_finishes_it() {
    let (redis, switch) = (RedisServer::start().await, FakeSwitch::builder().start().await);
    let other = Other::new(&redis).await;
    let toml = format!("{}{APPLY}starts_per_second = 5\n", switch_toml(&switch, "fs1"));
    let app = TestApp::asked_by(&[&switch], &redis, &toml).await;
    switch.restart().await;
    switch.wait_until("trunkd listens", |view| view.listeners() == 1).await;
    for n in 0..12 {
        other.set_gateway("default", &format!("gw{n}"), &account("p")).await;
    }
    switch
        .wait_until("it is in the middle", |view| (1..12).contains(&names(view).len()))
        .await;
    app.stop().await;
    assert!(switch.view(|view| names(view).len() < 12), "it was in the middle");
    let _app = TestApp::asked_by(&[&switch], &redis, &toml).await;
    switch.wait_until("all are there", |view| names(view).len() == 12).await;
    settled(&other, "fs1").await;
    // The command that was on its way when trunkd died may be sent again; no gateway comes twice.
    let added = |view: &View| {
        view.events()
            .filter(|event| event.to_json().contains("sofia::gateway_add"))
            .count()
    };
    assert_eq!(switch.view(added), 12);
    assert_eq!(switch.view(|view| view.gateways().len()), 12);
}

#[tokio::test]
async fn observe_changes_nothing_and_a_pause_stops_changing_until_it_is_resumed() {
    let (redis, switch, app, other) = pair(&[("gw", IP_TRUNK)], "").await;
    let store = trunkd::redis::Store::new(
        trunkd::redis::Options::from_settings(
            &crate::support::app::settings(&redis, app.folder(), "").redis,
            app.folder(),
        )
        .unwrap(),
        std::sync::Arc::default(),
    );
    store.pause(Some("fs1"), jiff::Timestamp::now()).await.unwrap();
    other.wait_for("trunkd:reconcile", "fs1", "/paused", true).await;
    other.set_gateway("default", "new", IP_TRUNK).await;
    other.wait_for("trunkd:reconcile", "fs1", "/start", 1).await;
    assert_eq!(switch.view(names), ["gw".to_owned()].into());
    store.resume(None).await.unwrap();
    switch.wait_for_state("new", "NOREG").await;
    app.stop().await;

    let toml = format!(
        "{}[reconcile]\nmode = \"observe\"\nresync_interval = \"1s\"\n",
        switch_toml(&switch, "fs1")
    );
    let _app = TestApp::asked_by(&[&switch], &redis, &toml).await;
    other.wait_for("trunkd:reconcile", "fs1", "/mode", "observe").await;
    other.set_gateway("default", "newer", IP_TRUNK).await;
    other.wait_for("trunkd:reconcile", "fs1", "/start", 1).await;
    assert_eq!(switch.view(names), ["gw".to_owned(), "new".to_owned()].into());
}

#[tokio::test]
async fn a_refused_registration_is_no_reason_to_start_again() {
    let (_redis, switch, _app, other) = pair(&[], "").await;
    switch.registrar(|registrar| registrar.set("gw", FORBIDDEN));
    other.set_gateway("default", "gw", &account("wrong")).await;
    switch.wait_for_state("gw", "FAIL_WAIT").await;
    other.wait_for("trunkd:status:fs1", "gw", "/status", "403").await;
    settled(&other, "fs1").await;
    assert_eq!(switch.view(changes).len(), 1);
}

#[tokio::test]
async fn a_ghost_is_reported_with_the_fix_and_the_real_gateway_is_left_alone() {
    let (_redis, switch, app, _other) = pair(&[("gw", &account("p"))], "").await;
    let instance = switch.view(|view| view.gateway("gw").unwrap().instance);
    // Somebody's rescan of another profile brought a second one of the name.
    switch.add_gateways(
        "internal",
        r#"<gateway name="gw"><param name="username" value="u"/><param name="password" value="p"/></gateway>"#,
    );
    assert_eq!(switch.view(|view| view.ghosts().len()), 1);
    app.wait_for_reason("reconcile:fs1", &["gw", "sofia profile internal restart"])
        .await;
    assert_eq!(switch.view(|view| view.gateway("gw").unwrap().instance), instance);
    assert!(switch.view(changes).is_empty());
}

#[tokio::test]
async fn a_profile_that_does_not_run_is_told_with_the_command_that_starts_it() {
    let redis = RedisServer::start().await;
    let other = Other::new(&redis).await;
    let disk = r#"<configuration name="sofia.conf"><profiles><profile name="external"><settings/><gateways/></profile></profiles></configuration>"#;
    let switch = FakeSwitch::builder()
        .disk(disk)
        .xml_curl(Binding::new("http://127.0.0.1:9/nobody"))
        .start()
        .await;
    let app = TestApp::asked_by(&[&switch], &redis, &format!("{}{APPLY}", switch_toml(&switch, "fs1"))).await;
    other
        .set_gateway(
            "default",
            "inside",
            r#"{"param":{"register":"false"},"profile":"internal"}"#,
        )
        .await;
    other.set_gateway("default", "outside", IP_TRUNK).await;
    switch.wait_for_state("outside", "NOREG").await;
    app.wait_for_reason("reconcile:fs1", &["inside", "sofia profile internal start"])
        .await;
    assert_eq!(switch.view(changes), ["api sofia profile external startgw outside"]);
}

#[tokio::test]
async fn a_flood_of_new_gateways_registers_at_its_pace_and_one_edit_does_not_wait_behind_it() {
    let (redis, switch) = (RedisServer::start().await, FakeSwitch::builder().start().await);
    let other = Other::new(&redis).await;
    let toml = format!("{}{APPLY}starts_per_second = 20\n", switch_toml(&switch, "fs1"));
    let _app = TestApp::asked_by(&[&switch], &redis, &toml).await;
    let mut flood = redis::cmd("HSET");
    flood.arg("cti_gateway@default");
    for n in 0..100 {
        flood.arg(format!("flood{n}")).arg(account("p"));
    }
    flood.exec_async(&mut other.connection.clone()).await.unwrap();
    switch.wait_until("it began", |view| !names(view).is_empty()).await;
    other.set_gateway("default", "zzz", &account("p")).await;
    switch
        .wait_until("the edit is there", |view| view.gateway("zzz").is_some())
        .await;
    let left = 101 - switch.view(|view| names(view).len());
    assert!(left > 30, "the edit came before the flood was over, {left} are left");
    switch
        .wait_until("all are there", |view| names(view).len() == 101)
        .await;
    settled(&other, "fs1").await;
    let most = switch.view(|view| {
        let requests = view.sofia_requests().into_iter();
        let batches = requests.filter(|request| {
            request
                .form
                .iter()
                .any(|(name, value)| name == "gateway" && value == "_all_")
        });
        batches
            .map(|request| String::from_utf8_lossy(&request.body).matches("<gateway name=").count())
            .max()
    });
    assert!(
        most.is_some_and(|most| most <= 20),
        "an answer of {most:?} gateways to a batch of 20"
    );
}

/// What the reconciler restarts when FreeSWITCH has something else under a gateway's name, without an event.
#[tokio::test]
async fn a_gateway_swapped_without_an_event_is_restarted_within_a_resync_interval() {
    let (_redis, switch, _app, other) = pair(&[("gw", IP_TRUNK), ("same", IP_TRUNK)], "").await;
    let instance = |name: &str| switch.view(|view| view.gateway(name).unwrap().instance);
    let row = eventually(
        "its revision is in Redis",
        || other.field("trunkd:status:fs1", "gw"),
        |row| row.as_ref().is_some_and(|row| row["revision"].is_string()),
    );
    let right = row.await.unwrap()["revision"].as_str().unwrap().to_owned();
    let untouched = instance("same");
    let old = r#"<gateway name="gw">
        <param name="realm" value="old.example.net"/><param name="register" value="false"/>
        <variables><variable name="trunkd_revision" value="0123" direction="inbound"/></variables>
        </gateway>"#;
    switch.swap_gateway_unheard("external", "gw", old);
    switch
        .wait_until("it runs as Redis wants it", |view| {
            view.gateway("gw")
                .is_some_and(|gw| gw.inbound("trunkd_revision") == Some(&right))
        })
        .await;
    settled(&other, "fs1").await;
    other.wait_for("trunkd:status:fs1", "gw", "/revision", right).await;
    assert_eq!(instance("same"), untouched);
}

/// The same, but its replacement is not ours: it is reported and left alone.
#[tokio::test]
async fn a_gateway_swapped_without_an_event_for_one_that_is_not_ours_is_told() {
    let (_redis, switch, app, other) = pair(&[("gw", IP_TRUNK)], "").await;
    let theirs = r#"<gateway name="gw"><param name="register" value="false"/></gateway>"#;
    switch.swap_gateway_unheard("external", "gw", theirs);
    app.wait_for_reason("reconcile:fs1", &["gw", "trunkd apply --adopt"])
        .await;
    other
        .wait_for("trunkd:status:fs1", "gw", "/revision", Value::Null)
        .await;
}

#[tokio::test]
async fn a_gateway_that_is_being_deleted_is_not_taken_for_one_that_is_not_ours() {
    let redis = RedisServer::start().await;
    let switch = FakeSwitch::builder().manual_ticks().start().await;
    let other = Other::new(&redis).await;
    other.set_gateway("default", "gw", IP_TRUNK).await;
    let mut timing = quick();
    // Longer than this test takes: FreeSWITCH deletes within two of its ticks.
    timing.ingest.settle = Duration::from_secs(600);
    let toml = format!("{}{APPLY}", switch_toml(&switch, "fs1"));
    let _app = TestApp::launch(&redis, &toml, Start::asked_by(&[&switch]).timing(timing)).await;
    other.wait_for("trunkd:status:fs1", "gw", "/state", "NOREG").await;
    settled(&other, "fs1").await;
    assert_eq!(
        switch.api("sofia profile external killgw gw").await,
        "+OK gateway marked for deletion.\n"
    );
    let asked = |view: &View| view.commands().iter().filter(|line| line.contains("eval")).count();
    let before = switch.view(asked);
    switch
        .wait_until("its revision was asked for again", |view| asked(view) > before)
        .await;
    let lists = |view: &View| {
        view.commands()
            .iter()
            .filter(|line| line.ends_with("xmlstatus gateway"))
            .count()
    };
    let listed = switch.view(lists);
    switch
        .wait_until("trunkd had time for another plan", |view| lists(view) > listed + 1)
        .await;
    let report = other.field("trunkd:reconcile", "fs1").await.unwrap();
    assert_eq!(report["conflicts"], serde_json::json!([]), "{report}");
    switch.steps(2);
    switch.wait_for_state("gw", "NOREG").await;
}

#[tokio::test]
async fn on_a_large_switch_all_revisions_are_compared_in_small_commands() {
    let gateways: Vec<_> = (0..300).map(|n| format!("gw{n}")).collect();
    let with: Vec<_> = gateways.iter().map(|name| (name.as_str(), IP_TRUNK)).collect();
    let (_redis, switch, _app, other) = pair(&with, "").await;
    eventually(
        "all revisions are known",
        || other.hash("trunkd:status:fs1"),
        |rows| rows.len() == 300 && rows.values().all(|row| row["revision"].is_string()),
    )
    .await;
    let asked = |view: &View| -> Vec<usize> {
        let commands = view.commands().into_iter();
        commands.map(|line| line.matches("trunkd_revision").count()).collect()
    };
    let small = |view: &View| {
        asked(view)
            .into_iter()
            .filter(|gateways| *gateways <= 250)
            .sum::<usize>()
    };
    let larger = |view: &View| asked(view).into_iter().filter(|gateways| *gateways > 250).count();
    // Whatever is asked for from here on is known already.
    let before = switch.view(|view| (small(view), larger(view)));
    switch
        .wait_until("all were compared twice", |view| small(view) >= before.0 + 600)
        .await;
    assert_eq!(switch.view(larger), before.1);
}

#[tokio::test]
async fn what_a_plan_needs_to_say_what_differs_is_kept_for_every_switch() {
    let redis = RedisServer::start().await;
    let other = Other::new(&redis).await;
    let (one, two) = (
        FakeSwitch::builder().start().await,
        FakeSwitch::builder().switchname("fs2").start().await,
    );
    let toml = format!("{}{}{APPLY}", switch_toml(&one, "fs1"), switch_toml(&two, "fs2"));
    let _app = TestApp::asked_by(&[&one, &two], &redis, &toml).await;
    let on = |node: &str, realm: usize| {
        format!(r#"{{"param":{{"realm":"sip{realm}.example.net","register":"false"}},"nodes":["{node}"]}}"#)
    };
    other.set_gateway("default", "second", &on("fs2", 0)).await;
    two.wait_for_state("second", "NOREG").await;
    settled(&other, "fs2").await;
    // On the other switch version follows version, of many gateways.
    for round in 0..5 {
        let mut edit = redis::cmd("HSET");
        edit.arg("cti_gateway@default");
        for n in 0..120 {
            edit.arg(format!("gw{n}")).arg(on("fs1", round));
        }
        edit.exec_async(&mut other.connection.clone()).await.unwrap();
        let proxy = format!("sip:sip{round}.example.net");
        one.wait_until("it has this version", |view| {
            view.gateways().len() == 120 && view.gateways().iter().all(|gateway| gateway.proxy == proxy)
        })
        .await;
        settled(&other, "fs1").await;
    }
    let forms = other.hash("trunkd:forms").await;
    let form = |switch: &FakeSwitch, name: &str| {
        let revision = switch.view(|view| {
            view.gateway(name)
                .unwrap()
                .inbound("trunkd_revision")
                .unwrap()
                .to_owned()
        });
        forms.get(&revision).cloned()
    };
    assert!(form(&one, "gw7").is_some());
    let second = form(&two, "second").expect("another switch's form is not dropped");
    assert_eq!(second["param.realm"], "sip0.example.net", "{second}");
}

#[tokio::test]
async fn a_form_that_no_switch_needs_any_more_is_dropped_and_one_that_is_lost_is_written_again() {
    let (redis, switch) = (RedisServer::start().await, FakeSwitch::builder().start().await);
    let other = Other::new(&redis).await;
    let mut timing = quick();
    timing.reconcile.forms_kept = Duration::from_secs(2);
    let toml = format!("{}{APPLY}", switch_toml(&switch, "fs1"));
    let _app = TestApp::launch(&redis, &toml, Start::asked_by(&[&switch]).timing(timing)).await;
    // As an earlier version of trunkd left it, without the time of its last use.
    let mut connection = other.connection.clone();
    let _: () = redis::cmd("HSET")
        .arg("trunkd:forms")
        .arg("of-an-earlier-version")
        .arg("{}")
        .query_async(&mut connection)
        .await
        .unwrap();
    let mut revisions = Vec::new();
    for password in ["p", "q"] {
        other.set_gateway("default", "gw", &account(password)).await;
        switch
            .wait_until("it has the password", |view| {
                view.gateway("gw").is_some_and(|gateway| gateway.password == password)
            })
            .await;
        let revision = |view: &View| {
            view.gateway("gw")
                .unwrap()
                .inbound("trunkd_revision")
                .unwrap()
                .to_owned()
        };
        revisions.push(switch.view(revision));
    }
    let kept = async || -> Vec<String> { other.hash("trunkd:forms").await.into_keys().collect() };
    eventually("only what is needed is kept", kept, |kept| *kept == revisions[1..]).await;
    let _: () = redis::cmd("DEL")
        .arg("trunkd:forms")
        .query_async(&mut connection)
        .await
        .unwrap();
    eventually("it is written again", kept, |kept| *kept == revisions[1..]).await;
}
