//! Redis → `sofia.conf`.

use std::time::Instant;

use redis::AsyncCommands;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::program::run;
use crate::support::app::{Other, TestApp, eventually, quick, switch_toml};
use crate::support::fake_switch::{Binding, FakeSwitch, Used};
use crate::support::redis::{Data, RedisServer};

const IP_TRUNK: &str = r#"{"param":{"realm":"sip.example.net","register":"false"}}"#;

fn account(password: &str) -> String {
    format!(r#"{{"param":{{"realm":"sip.example.net","username":"u","password":"{password}"}}}}"#)
}

#[tokio::test]
async fn a_freeswitch_that_boots_gets_its_profiles_and_the_gateways_in_redis() {
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
    // So that the removal is not one of all gateways.
    other.set_gateway("another", "stays", IP_TRUNK).await;
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
async fn a_variable_that_executes_never_reaches_a_switch_unless_it_is_allowed() {
    let redis = RedisServer::start().await;
    let other = Other::new(&redis).await;
    let gateway = |variable: &str| {
        format!(r#"{{"param":{{"realm":"sip.example.net","register":"false"}},"variables":{{{variable}}}}}"#)
    };
    let app = TestApp::start(&redis, "").await;
    other
        .set_gateway("default", "gw", &gateway(r#""sip_sticky_contact":"true""#))
        .await;
    assert_eq!(app.served().await, ["gw"]);
    let hook = gateway(r#""sip_sticky_contact":"false","api_hangup_hook":"system touch x""#);
    other.set_gateway("default", "gw", &hook).await;
    other.set_gateway("default", "new", &hook).await;
    let (_, body) = app.ask("profile=external").await;
    assert!(!body.contains("api_hangup_hook") && !body.contains("\"new\""), "{body}");
    assert!(body.contains(r#"name="sip_sticky_contact" value="true""#), "{body}");
    drop(app);

    let app = TestApp::start(&redis, "[gateways]\nallow_hooks = true\n").await;
    assert_eq!(app.served().await, ["gw", "new"]);
    let (_, body) = app.ask("profile=external").await;
    assert!(
        body.contains(r#"name="api_hangup_hook" value="system touch x""#),
        "{body}"
    );
}

#[tokio::test]
async fn a_value_that_went_bad_keeps_its_last_valid_version_until_it_is_removed() {
    let redis = RedisServer::start().await;
    let (app, other) = (TestApp::start(&redis, "").await, Other::new(&redis).await);
    other.set_gateway("going-bad", "gw", &account("first")).await;
    other.set_gateway("going-bad", "never", "{").await;
    other.set_gateway("well", "stays", IP_TRUNK).await;
    assert_eq!(app.served().await, ["gw", "stays"]);
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
        .set::<_, _, ()>("cti_gateway@going-bad", "no hash")
        .await
        .unwrap();
    assert_eq!(
        app.served().await,
        ["gw", "stays"],
        "a domain key of the wrong type removes nothing"
    );
    connection.del::<_, ()>("cti_gateway@going-bad").await.unwrap();
    assert_eq!(app.served().await, ["stays"]);
}

#[tokio::test]
async fn if_two_domains_define_a_name_the_first_is_served() {
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
    app.wait_for_reason("gateways", &["the last good state, of 2", " s old, is served: Redis"])
        .await;
    assert_eq!(
        app.get("/health").await.0,
        200,
        "no balancer drains a trunkd that can answer"
    );

    redis.restart(Data::Lost).await;
    eventually(
        "Redis is read again",
        || app.part("gateways"),
        |part| part["state"] == "ok",
    )
    .await;
    assert_eq!(app.part("redis").await["state"], "ok");
    // Redis came back empty, and nobody asked for that. It counts as a flood of removals even where
    // trunkd changes no switch.
    assert_eq!(app.served().await, ["gw"]);
    app.wait_for_reason(
        "reconcile:*",
        &["every domain is gone from Redis", "`trunkd apply` releases it"],
    )
    .await;

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

#[tokio::test]
async fn the_redis_user_of_the_readme_has_all_rights_that_trunkd_needs() {
    let (redis, switch) = (RedisServer::start().await, FakeSwitch::builder().start().await);
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/redis.md")).unwrap();
    let line = page
        .lines()
        .find_map(|line| line.trim().strip_prefix("ACL SETUSER "))
        .unwrap();
    let other = Other::new(&redis).await;
    let mut connection = other.connection.clone();
    let mut rule = redis::cmd("ACL");
    rule.arg("SETUSER");
    for word in line.split_whitespace() {
        rule.arg(word.trim_matches('\''));
    }
    rule.exec_async(&mut connection).await.unwrap();

    let toml = "[redis]\nusername = \"trunkd\"\npassword = \"password\"\n[status]\nlist = \"your:list\"\nchannel = \"your:channel\"\n\
                [reconcile]\nmode = \"apply\"\n";
    let app = TestApp::with_switch(&redis, &switch, toml).await;
    other.set_gateway("default", "gw", IP_TRUNK).await;
    switch.wait_for_state("gw", "NOREG").await;

    let redis_toml = format!(
        "[redis]\nurl = \"{}\"\nusername = \"trunkd\"\npassword = \"password\"\n",
        redis.url()
    );
    let toml = redis_toml + &switch_toml(&switch, "fs1");
    std::fs::write(app.folder().join("trunkd.toml"), toml).unwrap();
    let templates = concat!(env!("CARGO_MANIFEST_DIR"), "/templates");
    for (arguments, expected) in [
        (&["pause"][..], 0),
        (&["apply", "--yes"], 0),
        (&["plan"], 0),
        (&["status"], 0),
        (&["resume"], 0),
    ] {
        let arguments = [arguments, &["--templates", templates]].concat();
        let (status, said) = run(app.folder(), &arguments).await;
        assert_eq!(status, Some(expected), "{arguments:?}: {said}");
        if arguments[0] == "pause" {
            other.wait_for("trunkd:reconcile", "fs1", "/paused", true).await;
            other.set_gateway("default", "new", IP_TRUNK).await;
            other.wait_for("trunkd:reconcile", "fs1", "/start", 1).await;
        }
    }
    switch.wait_for_state("new", "NOREG").await;
    other.wait_for("gateways", "gw", "/State", "NOREG").await;
    assert!(!other.list("your:list").await.is_empty());
    let refused: redis::Value = redis::cmd("ACL").arg("LOG").query_async(&mut connection).await.unwrap();
    assert_eq!(refused, redis::Value::Array(Vec::new()));
}

#[tokio::test]
async fn a_redis_that_does_not_tell_of_changes_is_read_at_each_request() {
    let (redis, switch) = (RedisServer::start().await, FakeSwitch::builder().start().await);
    let other = Other::new(&redis).await;
    let mut connection = other.connection.clone();
    let rule = ["SETUSER", "plain", "on", ">p", "~*", "&*", "+@all", "-client|tracking"];
    redis::cmd("ACL")
        .arg(&rule[..])
        .exec_async(&mut connection)
        .await
        .unwrap();
    let toml = "[redis]\nusername = \"plain\"\npassword = \"p\"\n[reconcile]\nmode = \"apply\"\n";
    let app = TestApp::with_switch(&redis, &switch, toml).await;
    for round in 0..20 {
        let name = format!("gw{round}");
        other.set_gateway("default", &name, IP_TRUNK).await;
        let (_, one) = app.ask(&format!("profile=external&gateway={name}")).await;
        assert!(one.contains(&format!("<gateway name=\"{name}\">")));
        assert!(app.served().await.contains(&name));
    }
    switch.wait_for_state("gw19", "NOREG").await;
}

#[tokio::test]
async fn a_reading_that_takes_longer_than_an_answer_may_goes_on_until_it_is_done() {
    let redis = RedisServer::start().await;
    let other = Other::new(&redis).await;
    let mut connection = other.connection.clone();
    let script = "for i = 1, 3000 do redis.call('SET', 'other:' .. ARGV[1] .. ':' .. i, '') end";
    for round in 0..100 {
        let mut fill = redis::cmd("EVAL");
        fill.arg(script)
            .arg(0)
            .arg(round)
            .exec_async(&mut connection)
            .await
            .unwrap();
    }
    other.set_gateway("default", "gw", IP_TRUNK).await;
    let app = TestApp::start(&redis, "[redis]\ntimeout = \"10ms\"\n").await;
    eventually(
        "it is served",
        || app.ask("profile=external"),
        |(status, _)| *status == 200,
    )
    .await;
    other.set_gateway("default", "gw2", IP_TRUNK).await;
    // With such a short limit, a busy machine may serve the last good state.
    eventually("the edit is served", || app.served(), |names| *names == ["gw", "gw2"]).await;
}

#[tokio::test]
async fn a_trunkd_that_starts_while_redis_is_away_serves_what_the_one_before_knew() {
    let mut redis = RedisServer::start().await;
    let other = Other::new(&redis).await;
    let app = TestApp::start(&redis, "").await;
    other.set_gateway("default", "kept", &account("kept-version")).await;
    assert_eq!(app.served().await, ["kept"]);
    let kept = app.folder().join("last-good");
    let holds = |words: &'static str| {
        let kept = kept.clone();
        move || {
            let text = std::fs::read_to_string(&kept).unwrap_or_default();
            async move { text.contains(words) }
        }
    };
    eventually("it is on disk", holds("kept-version"), |holds| *holds).await;
    other.set_gateway("default", "kept", "{").await;
    other.set_gateway("default", "new", &account("new-one")).await;
    assert_eq!(app.served().await, ["kept", "new"]);
    eventually("the next state is on disk", holds("new-one"), |holds| *holds).await;
    let revision = app.ask("profile=external&gateway=new").await.1;
    redis.kill();

    let folder = app.stop().await;
    let app = TestApp::start_in(&redis, "", quick(), folder).await;
    assert_eq!(app.served().await, ["kept", "new"]);
    assert_eq!(
        app.ask("profile=external&gateway=new").await.1,
        revision,
        "the key of the revisions is kept too"
    );
    let health = app.health().await;
    assert_eq!(
        (&health["status"], &health["serving"]),
        (&"degraded".into(), &true.into())
    );
    let switch = FakeSwitch::builder()
        .xml_curl(Binding::new(app.xml_curl_url()))
        .start()
        .await;
    switch.wait_for_state("kept", "REGED").await;

    let folder = app.stop().await;
    let path = folder.path().join("last-good");
    let mut bytes = std::fs::read(&path).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    std::fs::write(&path, bytes).unwrap();
    let app = TestApp::start_in(&redis, "", quick(), folder).await;
    assert_eq!(app.ask("profile=external").await.0, 503, "a damaged file is ignored");
}

#[tokio::test]
async fn a_trunkd_that_starts_in_the_middle_of_a_mistake_goes_on_holding() {
    let redis = RedisServer::start().await;
    let (other, toml) = (Other::new(&redis).await, "[reconcile]\nmode = \"apply\"\n");
    let app = TestApp::start(&redis, toml).await;
    for name in ["a", "b", "c"] {
        other.set_gateway("default", name, IP_TRUNK).await;
    }
    assert_eq!(app.served().await, ["a", "b", "c"]);
    let path = app.folder().join("last-good");
    eventually(
        "it is on disk",
        || async { std::fs::read_to_string(&path).unwrap_or_default() },
        |text| text.contains("\"c\""),
    )
    .await;
    redis::cmd("FLUSHALL")
        .exec_async(&mut other.connection.clone())
        .await
        .unwrap();
    assert_eq!(app.served().await, ["a", "b", "c"]);
    let folder = app.stop().await;
    let app = TestApp::start_in(&redis, toml, quick(), folder).await;
    assert_eq!(app.served().await, ["a", "b", "c"]);
}

/// Kills the tracking connections (`flags=t`).
async fn end_tracking(other: &Other) -> usize {
    let mut connection = other.connection.clone();
    let clients: String = redis::cmd("CLIENT")
        .arg("LIST")
        .query_async(&mut connection)
        .await
        .unwrap();
    let field = |line: &str, name: &str| {
        line.split(' ')
            .find_map(|field| field.strip_prefix(name).map(str::to_owned))
    };
    let tracked = clients
        .lines()
        .filter(|line| field(line, "flags=").is_some_and(|flags| flags.contains('t')));
    let ids: Vec<_> = tracked.filter_map(|line| field(line, "id=")).collect();
    for id in &ids {
        let kill = ["KILL", "ID", id];
        redis::cmd("CLIENT")
            .arg(&kill[..])
            .exec_async(&mut connection)
            .await
            .unwrap();
    }
    ids.len()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn answers_are_fresh_with_many_writers_at_once_and_while_tracking_is_lost() {
    let redis = RedisServer::start_with(&["--io-threads", "4"]).await;
    let app = std::sync::Arc::new(TestApp::start(&redis, "[redis]\ntimeout = \"5s\"\n").await);
    let other = Other::new(&redis).await;
    let writers: Vec<_> = (0..6)
        .map(|writer| {
            let (app, redis) = (app.clone(), redis.url());
            tokio::spawn(async move {
                let client = redis::Client::open(redis).unwrap();
                let mut connection = client.get_multiplexed_async_connection().await.unwrap();
                let (domain, name) = (format!("cti_gateway@domain{}", writer % 3), format!("gw{writer}"));
                for round in 0..400 {
                    let password = format!("{writer}-{round}-");
                    connection
                        .hset::<_, _, _, ()>(&domain, &name, account(&password))
                        .await
                        .unwrap();
                    let asked = if round % 2 == 0 {
                        format!("&gateway={name}")
                    } else {
                        String::new()
                    };
                    let (_, body) = app.ask(&format!("profile=external{asked}")).await;
                    assert!(
                        body.contains(&format!("value=\"{password}\"")),
                        "{name} is not at round {round}"
                    );
                }
            })
        })
        .collect();
    let mut ended = 0;
    while writers.iter().any(|writer| !writer.is_finished()) {
        ended += end_tracking(&other).await;
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    for writer in writers {
        writer.await.unwrap();
    }
    assert!(ended > 3, "tracking was lost {ended} times");
    eventually("it is back at last", || end_tracking(&other), |ended| *ended == 1).await;
}

#[tokio::test]
async fn a_hold_for_a_switch_that_is_not_configured_is_reported_and_can_be_released() {
    let redis = RedisServer::start().await;
    let other = Other::new(&redis).await;
    let app = TestApp::start(&redis, "[reconcile]\nmode = \"apply\"\n").await;
    for name in ["a", "b", "c"] {
        other.set_gateway("default", name, IP_TRUNK).await;
    }
    assert_eq!(app.served().await, ["a", "b", "c"]);
    redis::cmd("FLUSHALL")
        .exec_async(&mut other.connection.clone())
        .await
        .unwrap();
    let told = eventually(
        "it is told",
        || app.part("reconcile:*"),
        |part| part["state"] == "degraded",
    )
    .await;
    assert!(told["reason"].as_str().unwrap().contains("removes 3 of 3"), "{told}");
    assert_eq!(app.served().await, ["a", "b", "c"]);

    let toml = app.folder().join("trunkd.toml");
    std::fs::write(&toml, format!("[redis]\nurl = \"{}\"\n", redis.url())).unwrap();
    let mut apply = std::process::Command::new(env!("CARGO_BIN_EXE_trunkd"));
    apply
        .args([
            "apply",
            "--yes",
            "--templates",
            concat!(env!("CARGO_MANIFEST_DIR"), "/templates"),
            "--config",
        ])
        .arg(&toml);
    let output = tokio::task::spawn_blocking(move || apply.output().unwrap())
        .await
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(String::from_utf8_lossy(&output.stdout).contains("switches that trunkd only serves: held"));
    eventually("it is released", || app.served(), Vec::is_empty).await;
    eventually(
        "health is well",
        || app.part("reconcile:*"),
        |part| part["state"] == "ok",
    )
    .await;
}

/// Everything that one client receives.
async fn ask_alone(address: std::net::SocketAddr, request: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut connection = TcpStream::connect(address).await?;
    connection.write_all(request).await?;
    let mut answer = Vec::new();
    connection.read_to_end(&mut answer).await?;
    Ok(answer)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fleet_that_asks_all_at_once_gets_whole_answers_with_redis_there_stalled_and_gone() {
    const CLIENTS: usize = 1000;
    let mut redis = RedisServer::start().await;
    let other = Other::new(&redis).await;
    for number in 0..100 {
        other.set_gateway("default", &format!("gw{number}"), IP_TRUNK).await;
    }
    let app = TestApp::start(&redis, "").await;
    let (_, expected) = app.ask("profile=external").await;
    let form =
        "hostname=fs1&section=configuration&tag_name=configuration&key_name=name&key_value=sofia.conf&profile=external";
    let request = format!(
        "POST /xml_curl HTTP/1.1\r\nHost: trunkd\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{form}",
        form.len()
    );
    for state in ["there", "stalled", "gone"] {
        match state {
            "stalled" => redis.sigstop(),
            "gone" => redis.kill(),
            _ => {}
        }
        let asking = (0..CLIENTS).map(|_| {
            let (address, request) = (app.address, request.clone());
            tokio::spawn(async move { ask_alone(address, request.as_bytes()).await })
        });
        for answer in futures_util::future::join_all(asking).await {
            let answer = answer.unwrap().unwrap();
            let text = String::from_utf8_lossy(&answer);
            assert!(
                text.starts_with("HTTP/1.1 200 ") && text.ends_with(&expected),
                "with Redis {state}: {} bytes, {}",
                answer.len(),
                text.lines().next().unwrap_or_default()
            );
        }
    }
}
