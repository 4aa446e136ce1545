//! Redis with replicas and Sentinel: failovers that no request notices, and the errors when there is no master.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use redis::AsyncCommands;
use redis::aio::MultiplexedConnection;

use crate::support::app::{Other, Start, TestApp, eventually, settings, switch_toml};
use crate::support::fake_switch::{FORBIDDEN, FakeSwitch, Outcome};
use crate::support::redis::{Certificates, Data, Group, RedisServer, Setup};

const IP_TRUNK: &str = r#"{"param":{"realm":"sip.example.net","register":"false"}}"#;
const TEMPLATES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/templates");
/// Leaves time for a new connection on a busy machine.
const APPLY: &str = "[redis]\ntimeout = \"1s\"\n[reconcile]\nmode = \"apply\"\n";

/// Edits after a failover. Each must be in the next answer.
const FRESH_ROUNDS: usize = 250;

fn account(password: &str) -> String {
    format!(r#"{{"param":{{"realm":"sip.example.net","username":"u","password":"{password}"}}}}"#)
}

/// Sends requests, edits and switch events without a pause, until it is stopped.
struct Load {
    app: Arc<TestApp>,
    stop: Arc<AtomicBool>,
    requests: Arc<AtomicUsize>,
    failures: Arc<std::sync::Mutex<Vec<String>>>,
    tasks: Vec<tokio::task::JoinHandle<()>>,
}

impl Load {
    fn start(app: &Arc<TestApp>, switch: &Arc<FakeSwitch>, edited: MultiplexedConnection) -> Self {
        let mut load = Self {
            app: app.clone(),
            stop: Arc::default(),
            requests: Arc::default(),
            failures: Arc::default(),
            tasks: Vec::new(),
        };
        for asked in ["profile=external", "profile=external&reconfig=true&gateway=steady"] {
            load.ask(asked);
            load.ask(asked);
        }
        load.edit(edited);
        load.flap(switch.clone());
        load
    }

    fn ask(&mut self, asked: &'static str) {
        let (app, stop, requests, failures) = (
            self.app.clone(),
            self.stop.clone(),
            self.requests.clone(),
            self.failures.clone(),
        );
        self.tasks.push(tokio::spawn(async move {
            while !stop.load(Ordering::Relaxed) {
                let (status, body) = app.ask(asked).await;
                requests.fetch_add(1, Ordering::Relaxed);
                let is_whole = body.contains(r#"<gateway name="steady">"#) && body.trim_end().ends_with("</document>");
                if status != 200 || !is_whole {
                    failures.lock().unwrap().push(format!("{asked}: {status} {body}"));
                }
            }
        }));
    }

    /// Edits on the old master until it refuses: a program that doesn't know about failovers.
    fn edit(&mut self, mut edited: MultiplexedConnection) {
        let stop = self.stop.clone();
        self.tasks.push(tokio::spawn(async move {
            for round in 0.. {
                let value = account(&format!("before-{round}"));
                let written: Result<(), _> = edited.hset("cti_gateway@default", "edited", value).await;
                if written.is_err() || stop.load(Ordering::Relaxed) {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }));
    }

    /// A carrier that alternately refuses and accepts the registration.
    fn flap(&mut self, switch: Arc<FakeSwitch>) {
        let stop = self.stop.clone();
        self.tasks.push(tokio::spawn(async move {
            while !stop.load(Ordering::Relaxed) {
                for (outcome, state) in [(FORBIDDEN, "FAIL_WAIT"), (Outcome::Ok, "REGED")] {
                    switch.registrar(|registrar| registrar.set("flaps", outcome));
                    switch.api("sofia profile external register flaps").await;
                    switch.wait_for_state("flaps", state).await;
                }
            }
        }));
    }

    /// Stops, and returns the number of requests and those that failed.
    async fn end(self) -> (usize, Vec<String>) {
        self.stop.store(true, Ordering::Relaxed);
        for task in self.tasks {
            task.await.unwrap();
        }
        let failures = std::mem::take(&mut *self.failures.lock().unwrap());
        (self.requests.load(Ordering::Relaxed), failures)
    }
}

/// Waits until trunkd reports that it uses the master that the Sentinels name, and returns it. On a busy
/// machine they may fail over once more.
async fn uses_the_master(app: &TestApp, group: &Group) -> usize {
    let used = async || {
        let master = group.master().await;
        let reason = format!("the master is {}", group.servers[master].address());
        let part = app.part("redis").await;
        (master, part["state"] == "ok" && part["reason"] == reason.as_str(), part)
    };
    let (master, ..) = eventually("trunkd uses the master", used, |(_, is_used, _)| *is_used).await;
    master
}

/// Waits until every state in Redis is what the switch has.
async fn wait_for_true_states(other: &Other, switch: &FakeSwitch) {
    let truth = || {
        switch.view(|view| {
            let gateways = view.gateways();
            let states = gateways.iter().map(|gateway| {
                (
                    gateway.name.clone(),
                    view.state(&gateway.name).unwrap_or_default().to_owned(),
                )
            });
            states.collect::<std::collections::BTreeMap<_, _>>()
        })
    };
    for (key, field) in [("trunkd:status:fs1", "state"), ("gateways", "State")] {
        eventually(
            &format!("{key} holds what the switch has"),
            || other.hash(key),
            |stored| {
                let stored = stored
                    .iter()
                    .map(|(name, value)| (name.clone(), value[field].as_str().unwrap_or_default().to_owned()));
                stored.collect::<std::collections::BTreeMap<_, _>>() == truth()
            },
        )
        .await;
    }
}

/// A failover under load. `cause` gets the group and the index of its master.
async fn fails_over(what: &str, cause: impl AsyncFnOnce(&mut Group, usize)) {
    let (mut group, switch) = (Group::start(2, 3).await, Arc::new(FakeSwitch::builder().start().await));
    let other = Other::of_master(&group).await;
    for name in ["steady", "edited", "flaps"] {
        let value = if name == "steady" {
            IP_TRUNK.to_owned()
        } else {
            account("p")
        };
        other.set_gateway("default", name, &value).await;
    }
    let app = Arc::new(TestApp::with_switch(&group, &switch, APPLY).await);
    switch.wait_for_state("flaps", "REGED").await;
    let old = uses_the_master(&app, &group).await;
    group.wait_until_whole().await;

    let load = Load::start(&app, &switch, other.connection.clone());
    eventually(
        "there is load",
        || async { load.requests.load(Ordering::Relaxed) },
        |requests| *requests > 50,
    )
    .await;
    let start = Instant::now();
    cause(&mut group, old).await;
    group.next_master(old).await;
    let named = start.elapsed();
    let new = uses_the_master(&app, &group).await;
    let used = start.elapsed();

    // From here on no write that the new master acknowledged may be missing, though the old one may still
    // consider itself the master.
    let other = Other {
        connection: group.connection(new).await,
    };
    for round in 0..FRESH_ROUNDS {
        let password = format!("after-{round}-");
        other.set_gateway("default", "edited", &account(&password)).await;
        let (status, body) = app.ask("profile=external").await;
        assert!(
            status == 200 && body.contains(&format!("value=\"{password}\"")),
            "{what}: the edit of round {round} is not in the next answer: {status}"
        );
    }
    other.set_gateway("default", "new", IP_TRUNK).await;
    switch.wait_for_state("new", "NOREG").await;
    switch
        .wait_until("the last edit is on the switch", |view| {
            view.gateway("edited")
                .is_some_and(|gateway| gateway.password == format!("after-{}-", FRESH_ROUNDS - 1))
        })
        .await;

    let (requests, failures) = load.end().await;
    println!(
        "{what}: requests {requests}, failures {}; named after {named:?}, used after {used:?}",
        failures.len()
    );
    assert_eq!(failures, Vec::<String>::new());
    wait_for_true_states(&other, &switch).await;
    if group.servers[old].is_running() {
        group.servers[old].sigcont();
        group.wait_until_whole().await;
        assert_eq!(uses_the_master(&app, &group).await, new);
    }
    other.wait_for("trunkd:switches", "fs1", "/connected", true).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_master_that_dies_is_followed_and_no_request_fails() {
    fails_over("killed", async |group, master| group.servers[master].kill()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_master_that_hangs_is_followed_and_no_request_fails() {
    fails_over("stopped", async |group, master| group.servers[master].sigstop()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_manual_failover_is_followed_and_no_request_fails() {
    fails_over("SENTINEL FAILOVER", async |group, _| group.fail_over().await).await;
}

#[tokio::test]
async fn a_former_master_that_wakes_up_is_not_read_while_it_considers_itself_the_master() {
    let group = Group::start(1, 1).await;
    Other::of_master(&group)
        .await
        .set_gateway("default", "gw", IP_TRUNK)
        .await;
    let app = TestApp::start(&group, APPLY).await;
    assert_eq!(app.served().await, ["gw"]);
    group.wait_until_whole().await;
    let old = group.master().await;
    group.servers[old].sigstop();
    group.next_master(old).await;
    uses_the_master(&app, &group).await;
    let other = Other::of_master(&group).await;
    other.set_gateway("default", "gw2", IP_TRUNK).await;
    assert_eq!(app.served().await, ["gw", "gw2"]);
    group.servers[old].sigcont();
    for round in 0..100 {
        let name = format!("new{round:03}");
        other.set_gateway("default", &name, IP_TRUNK).await;
        assert!(app.served().await.contains(&name), "round {round}");
    }
    group.wait_until_whole().await;
    assert_eq!(app.served().await.len(), 102);
}

#[tokio::test]
async fn dead_and_hung_sentinels_are_skipped_and_health_reports_when_none_is_left() {
    let mut group = Group::start(1, 3).await;
    let other = Other::of_master(&group).await;
    other.set_gateway("default", "gw", IP_TRUNK).await;
    group.sentinels[0].kill();
    group.sentinels[1].sigstop();
    let app = TestApp::start(&group, "[redis]\ntimeout = \"3s\"\n").await;
    assert_eq!(app.served().await, ["gw"]);
    assert_eq!(uses_the_master(&app, &group).await, 0);

    group.sentinels[1].kill();
    group.sentinels[2].kill();
    let told = app
        .wait_for_reason("redis", &["no Sentinel can be asked", "\"mymaster\""])
        .await;
    for sentinel in &group.sentinels {
        assert!(told["reason"].as_str().unwrap().contains(&sentinel.address()), "{told}");
    }
    // Without Sentinels there is no failover, so the master stays the same, also for new connections.
    let mut connection = other.connection.clone();
    redis::cmd("CLIENT")
        .arg(&["KILL", "TYPE", "normal", "SKIPME", "yes"])
        .exec_async(&mut connection)
        .await
        .unwrap();
    other.set_gateway("default", "gw2", IP_TRUNK).await;
    assert_eq!(app.served().await, ["gw", "gw2"]);

    group.sentinels[2].restart().await;
    assert_eq!(uses_the_master(&app, &group).await, 0);
}

#[tokio::test]
async fn a_failover_works_with_passwords_and_tls_on_servers_and_sentinels() {
    let group = Group::start_with(Setup {
        replicas: 1,
        sentinels: 1,
        password: Some("servers-s3cret"),
        sentinel_password: Some("sentinels-s3cret"),
        certificates: Some(Certificates::new()),
    })
    .await;
    let app = TestApp::start(&group, APPLY).await;
    let old = uses_the_master(&app, &group).await;
    group.fail_over().await;
    group.next_master(old).await;
    uses_the_master(&app, &group).await;
    Other::of_master(&group)
        .await
        .set_gateway("default", "gw", IP_TRUNK)
        .await;
    assert_eq!(app.served().await, ["gw"]);

    let folder = tempfile::tempdir().unwrap();
    for (password, words) in [
        ("", "set redis.password"),
        ("password = \"wrong-s3cret\"", "check redis.username and redis.password"),
    ] {
        let lines = group.settings().replace("password = \"servers-s3cret\"", password);
        let (status, said) = run(folder.path(), &lines, "", &["check"]).await;
        assert!(
            status == Some(1) && said.contains(words) && !said.contains("s3cret"),
            "{said}"
        );
    }
}

/// Runs a subcommand with these lines under `[redis]`. Returns its exit status and output.
async fn run(folder: &Path, redis: &str, more: &str, arguments: &[&str]) -> (Option<i32>, String) {
    std::fs::write(folder.join("trunkd.toml"), format!("[redis]\n{redis}{more}")).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_trunkd"));
    command
        .current_dir(folder)
        .args(["--templates", TEMPLATES])
        .args(arguments);
    let output = tokio::task::spawn_blocking(move || command.output().unwrap())
        .await
        .unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8_lossy(&said).into_owned())
}

#[tokio::test]
async fn every_subcommand_works_with_sentinel() {
    let (group, switch, folder) = (
        Group::start(1, 1).await,
        FakeSwitch::builder().start().await,
        tempfile::tempdir().unwrap(),
    );
    let other = Other::of_master(&group).await;
    other.set_gateway("default", "gw", IP_TRUNK).await;
    let _app = TestApp::with_switch(&group, &switch, APPLY).await;
    other.wait_for("trunkd:status:fs1", "gw", "/state", "NOREG").await;
    other.wait_for("trunkd:reconcile", "fs1", "/unchanged", 1).await;
    let switches = switch_toml(&switch, "fs1");
    let says = async |arguments: &[&str], words: &str| {
        let (status, said) = run(folder.path(), &group.settings(), &switches, arguments).await;
        assert!(said.contains(words), "{arguments:?}: {said}");
        status
    };
    assert_eq!(says(&["check"], "gateways served: 1; errors: 0").await, Some(0));
    assert_eq!(says(&["render", "--profile", "external"], "\"gw\"").await, Some(0));
    assert_eq!(says(&["status"], "NOREG").await, Some(0));
    assert_eq!(says(&["plan"], "unchanged 1").await, Some(0));
    assert_eq!(says(&["pause"], "Paused").await, Some(0));
    other.wait_for("trunkd:reconcile", "fs1", "/paused", true).await;
    other.set_gateway("default", "new", IP_TRUNK).await;
    assert_eq!(says(&["plan"], "new").await, Some(2));
    assert_eq!(says(&["apply", "--yes"], "started 1").await, Some(0));
    assert_eq!(says(&["resume"], "Resumed").await, Some(0));
}

#[tokio::test]
async fn without_a_master_the_error_names_the_cause() {
    let folder = tempfile::tempdir().unwrap();
    let mut group = Group::start_with(Setup {
        replicas: 0,
        sentinels: 2,
        sentinel_password: Some("sentinels-s3cret"),
        ..Setup::default()
    })
    .await;
    let nodes: Vec<_> = group.sentinels.iter().map(|sentinel| sentinel.address()).collect();
    let refused = async |redis: &str, words: &[&str]| {
        for command in ["check", "pause", "status"] {
            let (status, said) = run(folder.path(), redis, "", &[command]).await;
            assert_eq!(status, Some(1), "{command}: {said}");
            for word in words {
                assert!(said.contains(word), "{command}: {word:?} is not in: {said}");
            }
            assert!(!said.contains("s3cret"), "{said}");
        }
    };
    let with = |change: &dyn Fn(String) -> String| change(group.settings());
    let unknown = with(&|text| text.replace("mymaster", "nomaster"));
    refused(
        &unknown,
        &["no Sentinel knows a master named \"nomaster\"", &nodes[0], &nodes[1]],
    )
    .await;
    let wrong = with(&|text| text.replace("sentinels-s3cret", "wrong-s3cret"));
    refused(
        &wrong,
        &["no Sentinel can be asked", "redis.sentinel.password", &nodes[1]],
    )
    .await;
    let none = with(&|text| text.replace(", password = \"sentinels-s3cret\"", ""));
    refused(&none, &["set redis.sentinel.password"]).await;
    let server = format!(
        "sentinel = {{ master = \"mymaster\", nodes = [\"{}\"] }}\n",
        group.servers[0].address()
    );
    refused(&server, &["this is not a Sentinel"]).await;
    let sentinel = format!("url = \"redis://:sentinels-s3cret@{}\"\n", nodes[0]);
    refused(&sentinel, &["this is a Sentinel", "redis.sentinel.nodes"]).await;

    group.servers[0].kill();
    refused(
        &group.settings(),
        &[
            "the master \"mymaster\"",
            &group.servers[0].address(),
            "cannot be reached",
        ],
    )
    .await;
    for sentinel in &mut group.sentinels {
        sentinel.kill();
    }
    refused(
        &group.settings(),
        &["no Sentinel can be asked", &nodes[0], &nodes[1], "refused"],
    )
    .await;
}

#[tokio::test]
async fn every_command_refuses_a_cluster_and_health_reports_one_that_appears_later() {
    let mut cluster = RedisServer::start_with(&["--cluster-enabled", "yes"]).await;
    let folder = tempfile::tempdir().unwrap();
    let words = ["Redis Cluster is not supported", "redis.sentinel"];
    let url = format!("url = \"{}\"\n", cluster.url());
    let serve = ["serve", "--listen", "127.0.0.1:0"];
    for arguments in [&["check"][..], &["plan"], &["pause"], &["status"], &["render"], &serve] {
        let more = "[[switch]]\nname = \"fs1\"\naddress = \"127.0.0.1:1\"\npassword = \"p\"\n";
        let (status, said) = run(folder.path(), &url, more, arguments).await;
        assert_eq!(status, Some(1), "{arguments:?}: {said}");
        assert!(words.iter().all(|word| said.contains(word)), "{arguments:?}: {said}");
    }
    // A user with the rights that the docs list, and no others.
    let rule = "SETUSER trunkd on >p ~* &* +@read +@write +@scripting +@connection +role";
    let mut connection = cluster.connection().await;
    redis::cmd("ACL")
        .arg(&rule.split(' ').collect::<Vec<_>>()[..])
        .exec_async(&mut connection)
        .await
        .unwrap();
    let restricted = format!("{url}username = \"trunkd\"\npassword = \"p\"\n");
    let (status, said) = run(folder.path(), &restricted, "", &serve).await;
    assert!(status == Some(1) && said.contains(words[0]), "{said}");

    cluster.kill();
    let app = TestApp::start(&cluster, "").await;
    assert_eq!(app.ask("profile=external").await.0, 503);
    cluster.restart(Data::Lost).await;
    app.wait_for_reason("redis", &words).await;
    assert_eq!(app.ask("profile=external").await.0, 503);
}

#[tokio::test]
async fn a_replica_is_served_when_nothing_better_is_known_but_no_switch_is_changed() {
    let group = Group::start(1, 1).await;
    let switch = FakeSwitch::builder().start().await;
    let other = Other::of_master(&group).await;
    for name in ["one", "two"] {
        other.set_gateway("default", name, IP_TRUNK).await;
    }
    group.wait_until_whole().await;
    let replica = &group.servers[1];
    let toml = "[reconcile]\nmode = \"apply\"\nresync_interval = \"1s\"\nmax_removals = 100\n";
    let app = TestApp::with_switch(replica, &switch, toml).await;
    for name in ["one", "two"] {
        switch.wait_for_state(name, "NOREG").await;
    }
    let master = group.servers[0].address();
    let told = app
        .wait_for_reason("redis", &["a replica of", &master, "point redis.url at the master"])
        .await;
    assert_eq!(told["state"], "degraded");

    other.delete_gateway("default", "two").await;
    eventually(
        "it serves what the replica has",
        || app.served(),
        |names| *names == ["one"],
    )
    .await;
    let (_, one) = app.ask("profile=external&gateway=one").await;
    assert!(one.contains(r#"<gateway name="one">"#), "{one}");
    // Enough polls of the switch for it to have been killed.
    let polled = switch.view(|view| view.commands().len());
    switch
        .wait_until("trunkd has polled the switch again", |view| {
            view.commands().len() > polled + 4
        })
        .await;
    assert!(
        switch.view(|view| view.gateway("two").is_some()),
        "a replica never causes a kill"
    );
    assert!(
        !app.folder().join("last-good").exists(),
        "a replica's data is not kept as last good state"
    );
}

#[tokio::test]
async fn a_demoted_master_is_not_read_until_it_is_a_master_again() {
    let (redis, another) = (RedisServer::start().await, RedisServer::start().await);
    let other = Other::new(&redis).await;
    other.set_gateway("default", "gw", IP_TRUNK).await;
    Other::new(&another)
        .await
        .set_gateway("default", "of-another", IP_TRUNK)
        .await;
    let app = TestApp::start(&redis, "").await;
    assert_eq!(app.served().await, ["gw"]);
    let replica_of = async |host: &str, port: &str| {
        let mut connection = other.connection.clone();
        redis::cmd("REPLICAOF")
            .arg(host)
            .arg(port)
            .exec_async(&mut connection)
            .await
            .unwrap();
    };
    replica_of("127.0.0.1", &another.port().to_string()).await;
    eventually(
        "it holds what its new master holds",
        || other.hash("cti_gateway@default"),
        |hash| hash.contains_key("of-another"),
    )
    .await;
    for _ in 0..20 {
        assert_eq!(app.served().await, ["gw"]);
        let (_, one) = app.ask("profile=external&gateway=gw").await;
        assert!(one.contains(r#"<gateway name="gw">"#), "{one}");
    }
    app.wait_for_reason("redis", &["replica"]).await;
    replica_of("NO", "ONE").await;
    eventually("it is read again", || app.served(), |names| *names == ["of-another"]).await;
    eventually("health is well", || app.part("redis"), |part| part["state"] == "ok").await;
    other.set_gateway("default", "gw2", IP_TRUNK).await;
    assert_eq!(app.served().await, ["gw2", "of-another"]);
}

#[tokio::test]
async fn writes_that_a_restarted_redis_lost_are_written_again_before_the_next_resync() {
    let mut redis = RedisServer::start().await;
    let switch = FakeSwitch::builder().start().await;
    let other = Other::new(&redis).await;
    other.set_gateway("default", "gw", &account("p")).await;
    let mut timing = crate::support::app::quick();
    // Neither of these may be what repairs the data.
    timing.ingest.touch_interval = Duration::from_secs(3600);
    let toml = format!(
        "{}[reconcile]\nmode = \"off\"\nresync_interval = \"1h\"\n",
        switch_toml(&switch, "fs1")
    );
    let app = TestApp::launch(&redis, &toml, Start::asked_by(&[&switch]).timing(timing)).await;
    switch.restart().await;
    other.wait_for("gateways", "gw", "/State", "REGED").await;
    other.wait_for("trunkd:status:fs1", "gw", "/state", "REGED").await;
    eventually(
        "it was compared",
        || app.part("switch:fs1"),
        |part| part["state"] == "ok",
    )
    .await;

    let mut connection = other.connection.clone();
    redis::cmd("SAVE").exec_async(&mut connection).await.unwrap();
    switch.registrar(|registrar| registrar.set("gw", FORBIDDEN));
    switch.api("sofia profile external register gw").await;
    switch.wait_for_state("gw", "FAIL_WAIT").await;
    other.wait_for("trunkd:status:fs1", "gw", "/state", "FAIL_WAIT").await;
    other.wait_for("gateways", "gw", "/State", "FAIL_WAIT").await;
    redis.restart(Data::Kept).await;

    let other = Other::new(&redis).await;
    other.wait_for("gateways", "gw", "/State", "FAIL_WAIT").await;
    other.wait_for("trunkd:status:fs1", "gw", "/state", "FAIL_WAIT").await;
}

#[tokio::test]
async fn tls_uses_a_private_authority_and_a_client_certificate() {
    let certificates = Certificates::new();
    let path = |name: &str| certificates.path(name);
    let folder = tempfile::tempdir().unwrap();
    for asks in [false, true] {
        let arguments = RedisServer::tls_arguments(&certificates, asks);
        let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
        let redis = RedisServer::start_with(&arguments).await;
        let url = format!("url = \"rediss://{}\"\n", redis.address());
        let ca = format!("{url}tls = {{ ca = {:?} }}\n", path("ca.pem"));
        let both = format!(
            "{url}tls = {{ ca = {:?}, cert = {:?}, key = {:?} }}\n",
            path("ca.pem"),
            path("cert.pem"),
            path("key.pem")
        );
        let (status, said) = run(folder.path(), &url, "", &["check"]).await;
        assert!(status == Some(1) && said.contains("set redis.tls.ca"), "{said}");
        if asks {
            let (status, said) = run(folder.path(), &ca, "", &["check"]).await;
            assert!(status == Some(1) && said.contains("redis.tls.cert"), "{said}");
        }
        let app = TestApp::start(if asks { both.as_str() } else { ca.as_str() }, "").await;
        let other = Other {
            connection: redis.local_connection(None).await,
        };
        other.set_gateway("default", "gw", IP_TRUNK).await;
        assert_eq!(app.served().await, ["gw"]);
        assert_eq!(app.part("redis").await["state"], "ok");
    }
    let url = "url = \"rediss://127.0.0.1:1\"\n";
    for (tls, words) in [
        ("ca = \"absent.pem\"".to_owned(), "redis.tls.ca: cannot read absent.pem"),
        (format!("ca = {:?}", path("key.pem")), "contains no certificate"),
        (
            format!("cert = {:?}, key = {:?}", path("cert.pem"), path("cert.pem")),
            "contains no private key",
        ),
        (
            format!("cert = {:?}, key = {:?}", path("ca.pem"), path("key.pem")),
            "is not the key of the first certificate",
        ),
    ] {
        let (status, said) = run(folder.path(), &format!("{url}tls = {{ {tls} }}\n"), "", &["check"]).await;
        assert!(status == Some(1) && said.contains(words), "{words}: {said}");
    }
}

#[tokio::test]
async fn redis_can_be_reached_through_a_unix_socket() {
    let redis = RedisServer::start().await;
    let url = format!("url = \"unix://{}\"\n", redis.socket_path().display());
    let app = TestApp::start(url.as_str(), "").await;
    Other::new(&redis).await.set_gateway("default", "gw", IP_TRUNK).await;
    assert_eq!(app.served().await, ["gw"]);
    assert!(
        settings(url.as_str(), app.folder(), "")
            .redis
            .shown_url()
            .starts_with("unix://")
    );
}
