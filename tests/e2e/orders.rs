//! Holds and orders: a hold is seen and released wherever it is, and an order does exactly what was shown.

use std::collections::BTreeSet;
use std::future::Future;
use std::path::Path;
use std::process::Command;

use redis::AsyncCommands;
use serde_json::Value;

use crate::support::app::{Other, Start, TestApp, eventually, switch_toml};
use crate::support::fake_switch::{Binding, FakeSwitch, View};
use crate::support::redis::RedisServer;

const IP_TRUNK: &str = r#"{"param":{"realm":"sip.example.net","register":"false"}}"#;
const TEMPLATES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/templates");

fn reconcile(toml: &str) -> String {
    format!("[reconcile]\nresync_interval = \"1s\"\n{toml}")
}

fn names(count: usize) -> Vec<String> {
    (0..count).map(|number| format!("gw{number:02}")).collect()
}

fn running(view: &View) -> BTreeSet<String> {
    view.gateways().iter().map(|gateway| gateway.name.clone()).collect()
}

fn killed(view: &View) -> Vec<String> {
    let kills = view.commands().into_iter().filter(|line| line.contains("killgw"));
    kills.map(|line| line.rsplit(' ').next().unwrap().to_owned()).collect()
}

async fn set_all(other: &Other, names: &[String]) {
    let all: Vec<_> = names.iter().map(|name| (name, IP_TRUNK)).collect();
    let _: () = other
        .connection
        .clone()
        .hset_multiple("cti_gateway@default", &all)
        .await
        .unwrap();
}

async fn delete(other: &Other, names: &[String]) {
    let _: () = other
        .connection
        .clone()
        .hdel("cti_gateway@default", names)
        .await
        .unwrap();
}

/// Where an operator types commands.
struct Console {
    folder: tempfile::TempDir,
}

impl Console {
    fn new(redis: &RedisServer, toml: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let settings = format!("[redis]\nurl = \"{}\"\n{toml}", redis.url());
        std::fs::write(folder.path().join("trunkd.toml"), settings).unwrap();
        Self { folder }
    }

    /// The exit status, and what was said on both outputs.
    async fn run(&self, arguments: &[&str]) -> (Option<i32>, String) {
        run(self.folder.path(), arguments).await
    }
}

async fn run(folder: &Path, arguments: &[&str]) -> (Option<i32>, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_trunkd"));
    command
        .current_dir(folder)
        .args(["--templates", TEMPLATES])
        .args(arguments);
    let output = tokio::task::spawn_blocking(move || command.output().unwrap())
        .await
        .unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout) + &text(&output.stderr))
}

/// A switch with this many gateways, its trunkd with these lines under `[reconcile]`, and a console.
struct Rig {
    redis: RedisServer,
    other: Other,
    switch: FakeSwitch,
    app: TestApp,
    console: Console,
    toml: String,
}

impl Rig {
    async fn start(count: usize, lines: &str) -> Self {
        let (redis, switch) = (RedisServer::start().await, FakeSwitch::builder().start().await);
        let other = Other::new(&redis).await;
        if count > 0 {
            set_all(&other, &names(count)).await;
        }
        let app = TestApp::with_switch(&redis, &switch, &reconcile(&format!("mode = \"apply\"\n{lines}"))).await;
        let toml = format!(
            "{}{}",
            switch_toml(&switch, "fs1"),
            reconcile(&format!("mode = \"apply\"\n{lines}"))
        );
        let console = Console::new(&redis, &toml);
        let rig = Self {
            redis,
            other,
            switch,
            app,
            console,
            toml,
        };
        rig.switch
            .wait_until("they run", |view| running(view).len() == count)
            .await;
        rig.wait_for("/unchanged", count).await;
        rig
    }

    async fn wait_for(&self, pointer: &str, expected: impl Into<Value>) -> Value {
        self.other.wait_for("trunkd:reconcile", "fs1", pointer, expected).await
    }

    /// Another trunkd for the same switch, which does not ask it.
    async fn another(&self) -> TestApp {
        let app = TestApp::start(&self.redis, &self.toml).await;
        planned(&app).await;
        app
    }
}

/// Waits until a trunkd has looked at the switch.
async fn planned(app: &TestApp) {
    let look = async || app.part("reconcile:fs1").await;
    eventually("it has made its first plan", look, Value::is_object).await;
}

async fn serves(app: &TestApp, expected: &[String]) {
    eventually("it is served", async || app.served().await, |served| served == expected).await;
}

#[tokio::test]
async fn gateways_that_are_removed_one_by_one_are_held_like_those_that_are_removed_at_once() {
    let rig = Rig::start(30, "").await;
    // The limit is 6 of 30.
    let mut held = false;
    for name in &names(30)[..15] {
        delete(&rig.other, std::slice::from_ref(name)).await;
        held = eventually(
            "it goes, or is held",
            async || {
                let report = rig.other.field("trunkd:reconcile", "fs1").await.unwrap_or_default();
                (
                    report["held"].is_string(),
                    rig.switch.view(|view| running(view).contains(name)),
                )
            },
            |(held, runs)| *held || !runs,
        )
        .await
        .0;
        if held {
            break;
        }
    }
    assert!(held, "{:?}", rig.switch.view(killed));
    assert_eq!(rig.switch.view(killed).len(), 6);

    // A trunkd that takes over knows of it.
    let Rig {
        redis,
        other,
        switch,
        app,
        toml,
        ..
    } = rig;
    app.stop().await;
    let app = TestApp::asked_by(&[&switch], &redis, &toml).await;
    planned(&app).await;
    delete(&other, &names(30)[7..9]).await;
    app.wait_for_reason("reconcile:fs1", &["held: removes 3 of 30", "6 others"])
        .await;
    assert_eq!(switch.view(killed).len(), 6);
}

#[tokio::test]
async fn removals_that_redis_forgot_are_written_down_again() {
    let rig = Rig::start(30, "").await;
    delete(&rig.other, &names(30)[..5]).await;
    rig.switch
        .wait_until("they are gone", |view| running(view).len() == 25)
        .await;
    let mut connection = rig.other.connection.clone();
    let _: () = connection.del("trunkd:removals:fs1").await.unwrap();
    let written = async || -> usize { rig.other.connection.clone().zcard("trunkd:removals:fs1").await.unwrap() };
    eventually("they are written down", written, |count| *count == 5).await;
    rig.wait_for("/removals_left", 1).await;
    delete(&rig.other, &names(30)[5..7]).await;
    rig.app
        .wait_for_reason("reconcile:fs1", &["held: removes 2 of 30 after 5 others"])
        .await;
}

#[tokio::test]
async fn what_trunkd_that_are_gone_said_is_heard_no_more() {
    let redis = RedisServer::start().await;
    let other = Other::new(&redis).await;
    let held = r#"{"held":"held: removes 15 of 20 (more than 5)","order":"0123","at":"2026-11-25T10:00:00Z"}"#;
    let dead = format!("{},\"written_ms\":1}}", &held[..held.len() - 1]);
    let all = [("fs1", held), ("fs1 dead/1/0", &dead), ("* dead/1/0", &dead)];
    let _: () = other
        .connection
        .clone()
        .hset_multiple("trunkd:reconcile", &all)
        .await
        .unwrap();
    let switch = FakeSwitch::builder().start().await;
    let toml = reconcile("mode = \"apply\"\n");
    let console = Console::new(&redis, &format!("{}{toml}", switch_toml(&switch, "fs1")));
    // Of an older trunkd nobody knows whether it is alive.
    let (_, said) = console.run(&["plan"]).await;
    assert!(
        said.matches("held: removes 15").count() == 1 && !said.contains("dead"),
        "{said}"
    );
    let app = TestApp::with_switch(&redis, &switch, &toml).await;
    planned(&app).await;
    let fields = async || other.hash("trunkd:reconcile").await.into_keys().collect::<Vec<_>>();
    let is_of_app = |field: &String| field.contains(' ') && !field.contains("dead");
    eventually("they are gone", fields, |fields| {
        fields.len() == 2 && fields.iter().all(is_of_app)
    })
    .await;
    app.stop().await;
    assert_eq!(fields().await, [""; 0], "one that stops says so");
}

#[tokio::test]
async fn a_trunkd_that_was_away_while_gateways_went_serves_what_the_others_serve() {
    let rig = Rig::start(20, "max_removals = 15\n").await;
    let second = rig.another().await;
    serves(&second, &names(20)).await;
    eventually(
        "it keeps what it serves",
        async || second.folder().join("last-good").exists(),
        |kept| *kept,
    )
    .await;
    let folder = second.stop().await;
    for name in &names(20)[..15] {
        delete(&rig.other, std::slice::from_ref(name)).await;
    }
    rig.switch
        .wait_until("they are gone", |view| running(view).len() == 5)
        .await;
    // Orders and counts of today are over by the time that it is back.
    let _: () = rig.other.connection.clone().del("trunkd:removals:fs1").await.unwrap();
    let quick = crate::support::app::quick();
    let toml = rig.toml.replace("max_removals = 15", "max_removals = 5");
    let second = TestApp::start_in(&rig.redis, &toml, quick, folder).await;
    planned(&second).await;
    serves(&second, &names(20)[15..]).await;
}

#[tokio::test]
async fn what_a_switch_is_known_not_to_run_is_no_loss_though_nobody_else_says_so() {
    let rig = Rig::start(20, "max_removals = 15\n").await;
    eventually(
        "it is kept",
        async || rig.app.folder().join("last-good").exists(),
        |kept| *kept,
    )
    .await;
    let Rig {
        redis,
        other,
        switch,
        app,
        toml,
        ..
    } = rig;
    let folder = app.stop().await;
    // Somebody else took them off the switch.
    delete(&other, &names(20)[..15]).await;
    for name in &names(20)[..15] {
        switch.api(&format!("sofia profile external killgw {name}")).await;
    }
    switch
        .wait_until("they are gone", |view| running(view).len() == 5)
        .await;
    let toml = toml.replace("max_removals = 15", "max_removals = 5");
    let app = TestApp::launch(&redis, &toml, Start::asked_by(&[&switch]).folder(folder)).await;
    planned(&app).await;
    serves(&app, &names(20)[15..]).await;
}

#[tokio::test]
async fn a_hold_of_any_trunkd_is_shown_and_released() {
    let rig = Rig::start(20, "").await;
    let second = rig.another().await;
    serves(&second, &names(20)).await;
    for app in [&rig.app, &second] {
        eventually(
            "it is kept",
            async || app.folder().join("last-good").exists(),
            |kept| *kept,
        )
        .await;
    }
    let Rig {
        redis,
        other,
        switch,
        app,
        console,
        toml,
    } = rig;
    let folders = [app.stop().await, second.stop().await];
    delete(&other, &names(20)[..19]).await;
    // Nothing is left that shows what the profile took.
    for name in &names(20) {
        switch.api(&format!("sofia profile external killgw {name}")).await;
    }
    switch
        .wait_until("they are gone", |view| running(view).is_empty())
        .await;
    let mut apps = Vec::new();
    for folder in folders {
        apps.push(TestApp::start_in(&redis, &toml, crate::support::app::quick(), folder).await);
    }
    switch.set_binding(Some(Binding::new(apps[0].xml_curl_url())));
    let held = "held: removes 19 of 20 (more than 5)";
    for app in &apps {
        app.wait_for_reason("reconcile:fs1", &[held]).await;
        assert_eq!(app.served().await.len(), 20);
    }
    let (status, said) = console.run(&["plan", "--node", "fs1"]).await;
    assert!(status == Some(2) && said.matches(held).count() == 2, "{said}");
    assert!(said.contains("serves this switch too"), "{said}");
    let (_, said) = console.run(&["status"]).await;
    assert!(said.contains(held), "{said}");
    let (status, said) = console.run(&["apply", "--yes", "--node", "fs1"]).await;
    assert!(status == Some(0) && said.contains("fs1: started 1\n"), "{said}");
    for app in &apps {
        serves(app, &names(20)[19..]).await;
    }
    let (status, said) = console.run(&["plan", "--node", "fs1"]).await;
    assert_eq!(status, Some(0), "{said}");
}

#[tokio::test]
async fn what_a_trunkd_holds_from_switches_in_no_settings_is_hidden_by_no_other() {
    let redis = RedisServer::start().await;
    let other = Other::new(&redis).await;
    set_all(&other, &names(20)).await;
    let holding = TestApp::start(&redis, "").await;
    let toml = reconcile("mode = \"apply\"\n");
    let guarding = TestApp::start(&redis, &toml).await;
    serves(&guarding, &names(20)).await;
    drop(holding);
    delete(&other, &names(20)[..15]).await;
    guarding
        .wait_for_reason("reconcile:*", &["held: removes 15 of 20"])
        .await;
    // A second one, which knows of no loss, says that it holds nothing.
    let second = TestApp::start(&redis, &toml).await;
    let reports = async || {
        let all = other.hash("trunkd:reconcile").await.into_iter();
        let states = all
            .filter(|(field, _)| field.starts_with("* "))
            .map(|(_, report)| report["state"].clone());
        states.collect::<Vec<_>>()
    };
    let before = eventually("both say something", reports, |states| {
        states.len() == 2 && states[0] == states[1]
    })
    .await;
    set_all(&other, &["new".to_owned()]).await;
    eventually(
        "it sees the edit",
        async || second.served().await,
        |served| served.contains(&"new".to_owned()),
    )
    .await;
    let is_of_edit = |states: &Vec<Value>| states[0] != before[0] && states[0] == states[1];
    eventually("both tell of the edit", reports, is_of_edit).await;
    let console = Console::new(&redis, &toml);
    for _ in 0..3 {
        let (status, said) = console.run(&["plan"]).await;
        assert!(status == Some(2) && said.contains("held: removes 15 of 20"), "{said}");
    }
    let (status, said) = console.run(&["apply", "--yes"]).await;
    assert_eq!(status, Some(0), "{said}");
    eventually(
        "it is released",
        async || guarding.served().await,
        |served| served.len() == 6,
    )
    .await;
    let said = console.run(&["plan"]).await.1;
    assert!(!said.contains("held"), "{said}");
}

/// Kills and starts take a while, so that an edit comes in the middle of an order.
async fn slowly(rig: &Rig) {
    rig.switch.slow_commands(std::time::Duration::from_millis(300));
}

#[tokio::test]
async fn an_order_leaves_alone_what_was_removed_after_it_was_shown() {
    let rig = Rig::start(12, "").await;
    rig.app_observes().await;
    delete(&rig.other, &names(12)[..1]).await;
    rig.wait_for("/kill", 1).await;
    slowly(&rig).await;
    let ordering = rig.console.run(&["apply", "--yes"]);
    let removing = async {
        rig.switch
            .wait_until("the order is under way", |view| !killed(view).is_empty())
            .await;
        delete(&rig.other, &names(12)[1..3]).await;
    };
    let ((status, said), ()) = tokio::join!(ordering, removing);
    assert!(status == Some(0) && said.contains("fs1: killed 1"), "{said}");
    rig.wait_for("/kill", 2).await;
    assert_eq!(rig.switch.view(killed), ["gw00"]);
}

impl Rig {
    /// From here on trunkd changes nothing by itself.
    async fn app_observes(&self) {
        let (_, said) = self.console.run(&["pause"]).await;
        assert!(said.contains("Paused"), "{said}");
        self.wait_for("/paused", true).await;
    }
}

#[tokio::test]
async fn a_domain_that_is_written_anew_during_an_order_loses_nothing() {
    let rig = Rig::start(8, "starts_per_second = 1\n").await;
    let tenant = ["t1", "t2"];
    for name in tenant {
        rig.other.set_gateway("tenant", name, IP_TRUNK).await;
        rig.switch.wait_for_state(name, "NOREG").await;
    }
    rig.wait_for("/unchanged", 10).await;
    rig.app_observes().await;
    // So many that it takes many rounds, each with a plan of its own.
    set_all(&rig.other, &names(30)).await;
    rig.wait_for("/start", 22).await;
    rig.switch.slow_commands(std::time::Duration::from_millis(30));
    let mut connection = rig.other.connection.clone();
    let mut ordering = std::pin::pin!(rig.console.run(&["apply", "--yes"]));
    let ordered = || rig.other.field("trunkd:control", "apply:fs1");
    tokio::select! {
        (_, said) = &mut ordering => panic!("{said}"),
        _ = eventually("it is ordered", ordered, Option::is_some) => {}
    }
    let (status, said) = loop {
        tokio::select! {
            ended = &mut ordering => break ended,
            () = tokio::time::sleep(std::time::Duration::from_millis(20)) => {}
        }
        let _: () = connection.del("cti_gateway@tenant").await.unwrap();
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        for name in tenant {
            rig.other.set_gateway("tenant", name, IP_TRUNK).await;
        }
    };
    assert!(status == Some(0) && said.contains("fs1: started 22"), "{said}");
    assert_eq!(rig.switch.view(killed), Vec::<String>::new());
}

/// An order that nobody takes up before something else has happened.
async fn ordered_before(rig: &Rig, arguments: &[&str], happens: impl Future<Output = ()>) -> (Option<i32>, String) {
    let lease = "trunkd:lease:fs1";
    let mut connection = rig.other.connection.clone();
    let holder: String = connection.get(lease).await.unwrap();
    let taken = async || {
        let _: () = rig
            .other
            .connection
            .clone()
            .pset_ex(lease, "elsewhere/1/0", 600_000)
            .await
            .unwrap();
        rig.other.field("trunkd:reconcile", "fs1").await.unwrap_or_default()
    };
    eventually("it stands aside", taken, |report| report["leads"] == false).await;
    let happening = async {
        let ordered = || rig.other.field("trunkd:control", "apply:fs1");
        eventually("it is ordered", ordered, Option::is_some).await;
        happens.await;
        let _: () = connection.set(lease, &holder).await.unwrap();
    };
    tokio::join!(rig.console.run(arguments), happening).0
}

#[tokio::test]
async fn what_changed_since_it_was_shown_is_left_and_told() {
    let rig = Rig::start(3, "").await;
    rig.app_observes().await;
    let other_realm = |realm: &str| format!(r#"{{"param":{{"realm":"{realm}","register":"false"}}}}"#);
    rig.other
        .set_gateway("default", "gw00", &other_realm("b.example.net"))
        .await;
    delete(&rig.other, &names(3)[1..2]).await;
    rig.wait_for("/restart", 1).await;
    rig.wait_for("/kill", 1).await;
    let (status, said) = ordered_before(&rig, &["apply", "--yes"], async {
        rig.other
            .set_gateway("default", "gw00", &other_realm("c.example.net"))
            .await;
        rig.other.set_gateway("default", "gw01", IP_TRUNK).await;
    })
    .await;
    assert!(
        status == Some(1) && said.contains("changed since") && said.contains("gw00") && said.contains("gw01"),
        "{said}"
    );
    assert_eq!(rig.switch.view(killed), Vec::<String>::new());
}

/// One that nobody stamped with a revision.
fn not_ours(switch: &FakeSwitch, profile: &str, name: &str) {
    let xml = format!(r#"<gateway name="{name}"><param name="register" value="false"/></gateway>"#);
    switch.add_gateways(profile, &xml);
}

#[tokio::test]
async fn adopting_leaves_alone_what_took_the_place_of_what_was_shown() {
    let rig = Rig::start(1, "").await;
    not_ours(&rig.switch, "external", "shown");
    rig.other.set_gateway("default", "shown", IP_TRUNK).await;
    rig.app.wait_for_reason("reconcile:fs1", &["shown", "--adopt"]).await;
    let (status, said) = ordered_before(&rig, &["apply", "--yes", "--adopt"], async {
        rig.switch.api("sofia profile external killgw shown").await;
        rig.switch.wait_for_gone("shown").await;
        not_ours(&rig.switch, "internal", "shown");
        rig.other
            .wait_for("trunkd:status:fs1", "shown", "/profile", "internal")
            .await;
    })
    .await;
    assert!(
        status == Some(1) && said.contains("not done: shown: changed since"),
        "{said}"
    );
    assert_eq!(rig.switch.view(killed), Vec::<String>::new());
}

#[tokio::test]
async fn adopting_takes_over_only_what_was_shown() {
    let rig = Rig::start(1, "").await;
    let theirs = |name: &str| not_ours(&rig.switch, "external", name);
    theirs("shown");
    rig.other.set_gateway("default", "shown", IP_TRUNK).await;
    rig.app.wait_for_reason("reconcile:fs1", &["shown", "--adopt"]).await;
    slowly(&rig).await;
    let ordering = rig.console.run(&["apply", "--yes", "--adopt"]);
    let clashing = async {
        rig.switch
            .wait_until("the order is under way", |view| !killed(view).is_empty())
            .await;
        theirs("later");
        rig.other.set_gateway("default", "later", IP_TRUNK).await;
    };
    let ((status, said), ()) = tokio::join!(ordering, clashing);
    assert!(status == Some(0) && said.contains("fs1: restarted 1"), "{said}");
    rig.app.wait_for_reason("reconcile:fs1", &["later", "--adopt"]).await;
    assert_eq!(rig.switch.view(killed), ["shown"]);
}

#[tokio::test]
async fn a_pause_is_in_health_and_in_the_metrics() {
    let rig = Rig::start(1, "").await;
    let paused = r#"trunkd_reconcile_paused{switch="fs1"}"#;
    rig.console.run(&["pause", "--node", "fs1"]).await;
    rig.app
        .wait_for_reason("reconcile:fs1", &["paused since 20", "trunkd resume"])
        .await;
    eventually(
        "it is counted",
        async || rig.app.metric(paused).await,
        |value| *value == Some(1.0),
    )
    .await;
    // Although there is something else to report.
    delete(&rig.other, &names(1)).await;
    rig.app
        .wait_for_reason("reconcile:fs1", &["held: removes 1 of 1", "paused since"])
        .await;
    set_all(&rig.other, &names(1)).await;
    rig.console.run(&["resume"]).await;
    eventually(
        "it is over",
        async || rig.app.metric(paused).await,
        |value| *value == Some(0.0),
    )
    .await;
}

#[tokio::test]
async fn a_switch_that_asks_for_the_first_time_gets_nothing_less_than_the_others() {
    let redis = RedisServer::start().await;
    let other = Other::new(&redis).await;
    set_all(&other, &names(10)).await;
    let app = TestApp::start(&redis, &reconcile("mode = \"apply\"\n")).await;
    serves(&app, &names(10)).await;
    let ask = async |hostname: &str| {
        let form = format!(
            "hostname={hostname}&section=configuration&tag_name=configuration&key_name=name&key_value=sofia.conf&profile=external"
        );
        let request = crate::support::app::http().post(app.xml_curl_url());
        let request = request.header("Content-Type", "application/x-www-form-urlencoded");
        let body = request.body(form).send().await.unwrap().text().await.unwrap();
        body.matches("<gateway name=").count()
    };
    let client = crate::support::app::http();
    for number in 0..4200 {
        let form = format!(
            "hostname=made-up-{number}&section=configuration&tag_name=configuration&key_name=name&key_value=sofia.conf&profile=internal"
        );
        let request = client
            .post(app.xml_curl_url())
            .header("Content-Type", "application/x-www-form-urlencoded");
        request.body(form).send().await.unwrap();
    }
    let _: () = other.connection.clone().del("cti_gateway@default").await.unwrap();
    for hostname in ["fs1", "made-up-7", "made-up-4199", "newcomer"] {
        assert_eq!(ask(hostname).await, 10, "{hostname}");
    }
    // No switch has such a name, and nobody remembers it.
    assert_eq!(ask(&"x".repeat(60_000)).await, 0);
}
