//! Redis → `sofia.conf`.

use std::time::Instant;

use redis::AsyncCommands;

use crate::support::app::{Other, TestApp, eventually};
use crate::support::fake_switch::{Binding, FakeSwitch, Used};
use crate::support::redis::{Data, RedisServer};

const IP_TRUNK: &str = r#"{"param":{"realm":"sip.example.net","register":"false"}}"#;

fn account(password: &str) -> String {
    format!(r#"{{"param":{{"realm":"sip.example.net","username":"u","password":"{password}"}}}}"#)
}

#[tokio::test]
async fn a_booting_freeswitch_gets_its_profiles_and_the_gateways_of_redis() {
    let (redis, switch) = (RedisServer::start().await, FakeSwitch::builder().start().await);
    let other = Other::new(&redis).await;
    other.set_gateway("default", "carrier1", &account("p")).await;
    other.set_gateway("counted", "carrier2", IP_TRUNK).await;
    let app = TestApp::with_switch(&redis, &switch, "").await;

    switch.wait_for_state("carrier1", "REGED").await;
    switch.wait_for_state("carrier2", "NOREG").await;
    switch.view(|view| {
        let profiles: Vec<_> = view.profiles().iter().map(|profile| profile.name.clone()).collect();
        assert_eq!(profiles, ["external", "internal"]);
        for request in view.sofia_requests() {
            assert_eq!(
                (request.status, request.used),
                (Some(200), Used::Answer),
                "{:?}",
                request.error
            );
            let done = request.preprocessed.as_ref().unwrap();
            assert_eq!(done.dropped_lines, Vec::<String>::new());
        }
        assert!(
            view.requests()
                .iter()
                .any(|request| request.configuration() != "sofia.conf" && request.status == Some(200))
        );
    });
    assert_eq!(
        app.metric(r#"trunkd_gateways{domain="counted",validity="valid"}"#)
            .await,
        Some(1.0)
    );
}

#[tokio::test]
async fn a_write_that_redis_acknowledged_is_in_the_next_answer() {
    let redis = RedisServer::start().await;
    let (app, other) = (TestApp::start(&redis, "").await, Other::new(&redis).await);
    for round in 0..50 {
        let name = format!("gw{round}");
        other.set_gateway("default", &name, IP_TRUNK).await;
        assert!(app.served().await.contains(&name));
        other.delete_gateway("default", &name).await;
        assert!(!app.served().await.contains(&name));
    }
}

#[tokio::test]
async fn startgw_gets_one_gateway_and_startgw_all_gets_all_without_settings() {
    let redis = RedisServer::start().await;
    let (app, other) = (TestApp::start(&redis, "").await, Other::new(&redis).await);
    other.set_gateway("a", "gw1", IP_TRUNK).await;
    other.set_gateway("b", "gw2", IP_TRUNK).await;
    let (_, one) = app.ask("profile=external&reconfig=true&gateway=gw1").await;
    assert!(
        one.contains(r#"<gateway name="gw1">"#) && !one.contains("gw2") && !one.contains("<settings>"),
        "{one}"
    );
    let (_, all) = app.ask("profile=external&reconfig=true&gateway=_all_").await;
    assert!(
        all.contains("gw1") && all.contains("gw2") && !all.contains("<settings>"),
        "{all}"
    );
    let (status, absent) = app.ask("profile=external&reconfig=true&gateway=nobody").await;
    assert!(
        status == 200 && !absent.contains("<gateway ") && absent.contains(r#"<profile name="external">"#),
        "{absent}"
    );
}

#[tokio::test]
async fn each_switch_gets_the_gateways_of_its_nodes_and_each_profile_its_own() {
    let redis = RedisServer::start().await;
    let (app, other) = (TestApp::start(&redis, "").await, Other::new(&redis).await);
    for (name, more) in [
        ("everywhere", ""),
        ("here", r#","nodes":["fs1","fs9"]"#),
        ("there", r#","nodes":["fs2"]"#),
        ("inside", r#","profile":"internal""#),
        ("off", r#","enabled":false"#),
    ] {
        let value = format!(r#"{{"param":{{"realm":"sip.example.net","register":"false"}}{more}}}"#);
        other.set_gateway("default", name, &value).await;
    }
    assert_eq!(app.served().await, ["everywhere", "here"]);
    let (_, internal) = app.ask("profile=internal").await;
    assert!(internal.contains("inside") && !internal.contains("everywhere"));
}

#[tokio::test]
async fn a_value_that_went_bad_keeps_its_last_valid_version_until_it_is_removed() {
    let redis = RedisServer::start().await;
    let (app, other) = (TestApp::start(&redis, "").await, Other::new(&redis).await);
    other.set_gateway("going-bad", "gw", &account("first")).await;
    other.set_gateway("going-bad", "never", "{").await;
    assert_eq!(app.served().await, ["gw"]);
    for bad in [
        "{",
        "[]",
        r#"{"param":{"register":"true"}}"#,
        r#"{"param":{"realm":"a\nb","register":"false"}}"#,
    ] {
        other.set_gateway("going-bad", "gw", bad).await;
        let (_, body) = app.ask("profile=external").await;
        assert!(body.contains(r#"value="first""#), "{bad}: {body}");
        let (_, one) = app.ask("profile=external&gateway=gw").await;
        assert!(one.contains(r#"value="first""#), "{bad}: {one}");
    }
    assert_eq!(
        app.metric(r#"trunkd_gateways{domain="going-bad",validity="kept"}"#)
            .await,
        Some(1.0)
    );
    assert_eq!(
        app.metric(r#"trunkd_gateways{domain="going-bad",validity="invalid"}"#)
            .await,
        Some(1.0)
    );

    let mut connection = other.connection.clone();
    connection
        .rename::<_, _, ()>("cti_gateway@going-bad", "elsewhere")
        .await
        .unwrap();
    connection
        .set::<_, _, ()>("cti_gateway@going-bad", "no hash")
        .await
        .unwrap();
    assert_eq!(
        app.served().await,
        ["gw"],
        "a domain key of the wrong type removes nothing"
    );
    connection.del::<_, ()>("cti_gateway@going-bad").await.unwrap();
    assert_eq!(app.served().await, Vec::<String>::new());
}

#[tokio::test]
async fn of_one_name_in_two_domains_the_first_is_served() {
    let redis = RedisServer::start().await;
    let (app, other) = (TestApp::start(&redis, "").await, Other::new(&redis).await);
    other.set_gateway("b", "gw", &account("of-b")).await;
    other.set_gateway("a", "gw", &account("of-a")).await;
    let (_, body) = app.ask("profile=external").await;
    assert!(body.contains("of-a") && !body.contains("of-b"));
    let (_, one) = app.ask("profile=external&gateway=gw").await;
    assert!(one.contains("of-a") && !one.contains("of-b"));
    other.delete_gateway("a", "gw").await;
    let (_, one) = app.ask("profile=external&gateway=gw").await;
    assert!(one.contains("of-b"));
}

#[tokio::test]
async fn with_redis_away_the_last_good_state_is_served_within_the_limit_and_health_says_so() {
    let mut redis = RedisServer::start().await;
    let (app, other) = (TestApp::start(&redis, "").await, Other::new(&redis).await);
    other.set_gateway("default", "gw", IP_TRUNK).await;
    assert_eq!(app.served().await, ["gw"]);

    redis.kill();
    assert_eq!(app.served().await, ["gw"]);
    let health = app.health().await;
    assert_eq!(
        (&health["status"], &health["serving"]),
        (&"degraded".into(), &true.into())
    );
    assert!(
        app.part("redis").await["reason"].as_str().unwrap().contains("Redis"),
        "{health}"
    );
    assert_eq!(
        app.get("/health").await.0,
        200,
        "no balancer drains a trunkd that can answer"
    );

    redis.restart(Data::Lost).await;
    eventually("Redis is read again", || app.served(), Vec::is_empty).await;
    assert_eq!(app.part("redis").await["state"], "ok");

    let other = Other::new(&redis).await;
    other.set_gateway("default", "gw2", IP_TRUNK).await;
    assert_eq!(app.served().await, ["gw2"]);
    redis.sigstop();
    let asked = Instant::now();
    assert_eq!(app.served().await, ["gw2"]);
    assert!(
        asked.elapsed().as_secs() < 5,
        "a Redis that hangs was waited for without a limit"
    );
    redis.sigcont();
}

#[tokio::test]
async fn with_redis_never_seen_the_answer_is_503_and_freeswitch_uses_its_disk() {
    let mut redis = RedisServer::start().await;
    redis.kill();
    let app = TestApp::start(&redis, "").await;
    let (status, body) = app.ask("profile=external").await;
    assert_eq!(status, 503, "{body}");
    assert_eq!(app.get("/health").await.0, 503);
    assert_eq!(app.get("/health/live").await.0, 200);

    let disk = r#"<configuration name="sofia.conf"><profiles><profile name="external"><settings/><gateways/></profile></profiles></configuration>"#;
    let switch = FakeSwitch::builder()
        .disk(disk)
        .xml_curl(Binding::new(app.xml_curl_url()))
        .start()
        .await;
    switch.view(|view| {
        assert!(view.sofia_loaded());
        assert!(view.sofia_requests().iter().all(|request| request.used == Used::Disk));
    });

    redis.restart(Data::Lost).await;
    Other::new(&redis).await.set_gateway("default", "gw", IP_TRUNK).await;
    eventually(
        "it serves",
        || app.ask("profile=external"),
        |(status, _)| *status == 200,
    )
    .await;
    assert_eq!(app.served().await, ["gw"]);
}

#[tokio::test]
async fn the_revision_of_a_gateway_changes_with_it_alone_and_holds_over_a_restart() {
    let redis = RedisServer::start().await;
    let other = Other::new(&redis).await;
    let revision = |body: &str| {
        let at = body.find("trunkd_revision").expect("a revision");
        body[at..].split('"').nth(2).expect("its value").to_owned()
    };
    other.set_gateway("default", "gw", &account("one")).await;
    let app = TestApp::start(&redis, "").await;
    let first = revision(&app.ask("profile=external&gateway=gw").await.1);
    let reordered = r#"{"variables":{},"param":{"password":"one","username":"u","realm":"sip.example.net"}}"#;
    other.set_gateway("default", "gw", reordered).await;
    assert_eq!(revision(&app.ask("profile=external&gateway=gw").await.1), first);
    app.stop().await;

    let app = TestApp::start(&redis, "").await;
    assert_eq!(revision(&app.ask("profile=external&gateway=gw").await.1), first);
    other.set_gateway("default", "gw", &account("two")).await;
    assert_ne!(revision(&app.ask("profile=external&gateway=gw").await.1), first);

    let key: String = other.connection.clone().get("trunkd:key").await.unwrap();
    other.connection.clone().del::<_, ()>("trunkd:key").await.unwrap();
    let _ = app.served().await;
    let put_back: String = other.connection.clone().get("trunkd:key").await.unwrap();
    assert_eq!(put_back, key, "a key that Redis lost is put back");
}

#[tokio::test]
async fn domains_can_be_named_and_keys_have_another_prefix() {
    let redis = RedisServer::start().await;
    let other = Other::new(&redis).await;
    let mut connection = other.connection.clone();
    for (key, name) in [("pbx:gw@a", "gwa"), ("pbx:gw@b", "gwb"), ("cti_gateway@a", "other")] {
        connection.hset::<_, _, _, ()>(key, name, IP_TRUNK).await.unwrap();
    }
    let app = TestApp::start(&redis, "[redis]\ngateway_keys = \"pbx:gw@*\"\n").await;
    assert_eq!(app.served().await, ["gwa", "gwb"]);
    let app = TestApp::start(&redis, "[redis]\ngateway_keys = \"pbx:gw@*\"\ndomains = [\"b\"]\n").await;
    assert_eq!(app.served().await, ["gwb"]);
}

#[tokio::test]
async fn nothing_in_a_value_reaches_freeswitchs_preprocessor() {
    let (redis, switch) = (
        RedisServer::start().await,
        FakeSwitch::builder().global("secret", "leaked").start().await,
    );
    let other = Other::new(&redis).await;
    let nasty = r#"$${secret} <?x?> <include> <X-PRE-PROCESS cmd=\"exec\" data=\"id\"/> x-pre-process <!--#exec id--> \" ' & 顶顶通"#;
    let value =
        format!(r#"{{"param":{{"realm":"r","register":"false","password":"{nasty}"}},"variables":{{"v":"{nasty}"}}}}"#);
    other.set_gateway("default", "gw", &value).await;
    let _app = TestApp::with_switch(&redis, &switch, "").await;
    switch.wait_for_state("gw", "NOREG").await;
    switch.view(|view| {
        let expected = nasty.replace('\\', "");
        let gateway = view.gateway("gw").unwrap();
        assert_eq!(
            gateway.params.iter().find(|(name, _)| name == "password").unwrap().1,
            expected
        );
        for request in view.sofia_requests() {
            let done = request.preprocessed.as_ref().unwrap();
            let ours: Vec<_> = done
                .executed
                .iter()
                .filter(|directive| !directive.contains("sip_profiles/"))
                .collect();
            assert!(ours.is_empty(), "{ours:?}");
            assert!(!done.expanded_globals.contains(&"secret".to_owned()));
        }
    });
}
