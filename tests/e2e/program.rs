//! The program itself: subcommands, signals, the embedded Redis, and that no secret is ever printed.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use crate::support::app::{Other, eventually, http};
use crate::support::fake_switch::FakeSwitch;
use crate::support::redis::RedisServer;

const TEMPLATES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/templates");
const SECRET: &str = "s3cret-of-a-carrier";

/// Runs a subcommand in `folder` to its end.
fn trunkd(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_trunkd"));
    command
        .current_dir(folder)
        .args(["--templates", TEMPLATES])
        .args(arguments);
    command.output().expect("trunkd runs")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// `trunkd serve`, and what it says on standard error.
struct Serving {
    child: Child,
    log: Arc<Mutex<Vec<String>>>,
}

impl Serving {
    fn start(folder: &Path, arguments: &[&str]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_trunkd"))
            .current_dir(folder)
            .args(["serve", "--listen", "127.0.0.1:0"])
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("trunkd runs");
        let log = Arc::new(Mutex::new(Vec::new()));
        let (lines, to) = (BufReader::new(child.stderr.take().unwrap()).lines(), log.clone());
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                to.lock().unwrap().push(line);
            }
        });
        Self { child, log }
    }

    fn log(&self) -> String {
        self.log.lock().unwrap().join("\n")
    }

    async fn wait_for(&self, words: &str) -> Value {
        let log = eventually(
            &format!("it says {words:?}"),
            || async { self.log() },
            |log| log.contains(words),
        )
        .await;
        let line = log.lines().rev().find(|line| line.contains(words)).unwrap();
        serde_json::from_str(line).unwrap_or_default()
    }

    async fn url(&self, path: &str) -> String {
        let line = self.wait_for("\"serving\"").await;
        format!("http://{}{path}", line["address"].as_str().unwrap())
    }

    fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(i32::try_from(self.child.id()).unwrap()), signal).unwrap();
    }

    async fn ended(&mut self) -> std::process::ExitStatus {
        for _ in 0..2000 {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("it did not end: {}", self.log());
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test]
async fn check_names_what_is_wrong_and_exits_with_1() {
    let (redis, folder) = (RedisServer::start().await, tempfile::tempdir().unwrap());
    let other = Other::new(&redis).await;
    std::fs::write(
        folder.path().join("trunkd.toml"),
        format!("[redis]\nurl = \"{}\"\n", redis.url()),
    )
    .unwrap();
    let good = format!(r#"{{"param":{{"realm":"sip.example.net","username":"u","password":"{SECRET}"}}}}"#);
    other.set_gateway("default", "good", &good).await;
    let output = trunkd(folder.path(), &["check"]);
    assert!(output.status.success(), "{}", text(&output.stdout));
    assert!(text(&output.stdout).contains("gateways served: 1; errors: 0"));

    other
        .set_gateway("default", "bad", &format!(r#"{{"param":{{"password":"{SECRET}"}}}}"#))
        .await;
    other.set_gateway("default", "_ALL_", &good).await;
    let output = trunkd(folder.path(), &["check"]);
    let said = text(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(
        said.contains("gateway bad") && said.contains("username") && said.contains("_ALL_"),
        "{said}"
    );
    assert!(!said.contains(SECRET) && !text(&output.stderr).contains(SECRET));

    let json: Value = serde_json::from_slice(&trunkd(folder.path(), &["check", "--json"]).stdout).unwrap();
    assert_eq!(json["served"], 1);
    assert!(
        json["gateways"]
            .as_array()
            .unwrap()
            .iter()
            .any(|finding| finding["gateway"] == "bad" && finding["severity"] == "error")
    );
}

#[tokio::test]
async fn render_prints_what_freeswitch_would_get() {
    let (redis, folder) = (RedisServer::start().await, tempfile::tempdir().unwrap());
    let other = Other::new(&redis).await;
    std::fs::write(
        folder.path().join("trunkd.toml"),
        format!("[redis]\nurl = \"{}\"\n", redis.url()),
    )
    .unwrap();
    let value = r#"{"param":{"realm":"sip.example.net","register":"false"},"nodes":["fs1"]}"#;
    other.set_gateway("default", "gw", value).await;
    let serving = Serving::start(folder.path(), &["--templates", TEMPLATES]);
    let form =
        "hostname=fs1&section=configuration&tag_name=configuration&key_name=name&key_value=sofia.conf&profile=external";
    let ask = async |form: String| {
        let request = http().post(serving.url("/xml_curl").await);
        let request = request
            .header("Content-Type", "application/x-www-form-urlencoded")
            .body(form);
        request.send().await.unwrap().text().await.unwrap()
    };
    let rendered = |arguments: &[&str]| text(&trunkd(folder.path(), arguments).stdout);
    assert_eq!(
        rendered(&["render", "--profile", "external", "--node", "fs1"]),
        ask(form.to_owned()).await
    );
    let one = rendered(&["render", "--profile", "external", "--node", "fs1", "--gateway", "gw"]);
    assert_eq!(one, ask(format!("{form}&reconfig=true&gateway=gw")).await);
    assert!(one.contains(r#"<gateway name="gw">"#));
    let elsewhere = rendered(&["render", "--profile", "external", "--node", "fs2"]);
    assert!(elsewhere.contains("<gateways>") && !elsewhere.contains(r#"<gateway name="gw">"#));
    assert!(rendered(&["render", "--profile", "external"]).contains(r#"<gateway name="gw">"#));

    let bare = trunkd(folder.path(), &["--config", "/dev/null", "render", "--no-gateways"]);
    assert!(bare.status.success(), "{}", text(&bare.stderr));
    assert!(
        text(&bare.stdout).contains(r#"<profile name="external">"#) && !text(&bare.stdout).contains("sip.example.net")
    );

    let unknown = trunkd(folder.path(), &["render", "--profile", "nope"]);
    assert_eq!(unknown.status.code(), Some(1));
    assert!(
        text(&unknown.stderr).contains("there are: external, internal"),
        "{}",
        text(&unknown.stderr)
    );
}

#[tokio::test]
async fn status_shows_each_switchs_gateways() {
    let (redis, folder, switch) = (
        RedisServer::start().await,
        tempfile::tempdir().unwrap(),
        FakeSwitch::builder().start().await,
    );
    let other = Other::new(&redis).await;
    let toml = format!(
        "[redis]\nurl = \"{}\"\n[[switch]]\nname = \"fs1\"\naddress = \"{}\"\npassword = \"ClueCon\"\n",
        redis.url(),
        switch.address()
    );
    std::fs::write(folder.path().join("trunkd.toml"), toml).unwrap();
    let none = trunkd(folder.path(), &["status"]);
    assert!(
        text(&none.stdout).contains("No switch has been connected yet"),
        "{}",
        text(&none.stdout)
    );

    switch.add_gateways(
        "external",
        r#"<gateway name="found"><param name="register" value="false"/></gateway>"#,
    );
    other
        .set_gateway("default", "wanted", r#"{"param":{"register":"false"}}"#)
        .await;
    let serving = Serving::start(folder.path(), &["--templates", TEMPLATES]);
    other.wait_for("trunkd:status:fs1", "found", "/state", "NOREG").await;
    other.wait_for("trunkd:switches", "fs1", "/connected", true).await;
    let said = text(&trunkd(folder.path(), &["status"]).stdout);
    assert!(said.starts_with("fs1  connected since "), "{said}");
    let line = |name: &str| {
        said.lines()
            .find(|line| line.contains(name))
            .unwrap()
            .split_whitespace()
            .collect::<Vec<_>>()
            .join(" ")
    };
    assert!(line("found").starts_with("found external NOREG UP"), "{said}");
    assert!(line("wanted").contains("missing"), "{said}");
    assert!(!said.contains('\u{1b}'), "no colours where no terminal is");

    let metrics = http()
        .get(serving.url("/metrics").await)
        .send()
        .await
        .unwrap()
        .text()
        .await
        .unwrap();
    assert!(
        metrics.contains("trunkd_switch_connected{switch=\"fs1\"} 1\n"),
        "{metrics}"
    );

    let json: Value = serde_json::from_slice(&trunkd(folder.path(), &["status", "--json"]).stdout).unwrap();
    assert_eq!(json["switches"][0]["name"], "fs1");
    assert_eq!(json["switches"][0]["gateways"][0]["state"], "NOREG");
}

#[tokio::test]
async fn sighup_reads_templates_again_and_a_broken_one_is_refused_by_file_and_line() {
    let (redis, folder) = (RedisServer::start().await, tempfile::tempdir().unwrap());
    let templates = folder.path().join("templates");
    std::fs::create_dir_all(templates.join("sip_profiles")).unwrap();
    for file in ["sofia.conf.xml", "sip_profiles/external.xml"] {
        std::fs::copy(Path::new(TEMPLATES).join(file), templates.join(file)).unwrap();
    }
    std::fs::write(
        folder.path().join("trunkd.toml"),
        format!("[redis]\nurl = \"{}\"\n", redis.url()),
    )
    .unwrap();
    let serving = Serving::start(folder.path(), &[]);
    let url = serving
        .url("/xml_curl?section=configuration&tag_name=configuration&key_name=name&key_value=sofia.conf&hostname=fs1")
        .await;
    let profiles = async || {
        let body = http().get(&url).send().await.unwrap().text().await.unwrap();
        body.matches("<profile name=").count()
    };
    assert_eq!(profiles().await, 1);

    std::fs::copy(
        Path::new(TEMPLATES).join("sip_profiles/internal.xml"),
        templates.join("sip_profiles/internal.xml"),
    )
    .unwrap();
    serving.signal(Signal::SIGHUP);
    eventually("the new profile is served", &profiles, |count| *count == 2).await;

    std::fs::write(
        templates.join("sip_profiles/internal.xml"),
        "<profile name=\"internal\">\n  <gateways>\n</profile>\n",
    )
    .unwrap();
    serving.signal(Signal::SIGHUP);
    serving.wait_for("the last good ones stay in use").await;
    assert!(serving.log().contains("internal.xml:3"), "{}", serving.log());
    assert_eq!(profiles().await, 2);
    let health = http()
        .get(serving.url("/health").await)
        .send()
        .await
        .unwrap()
        .text()
        .await
        .unwrap();
    assert!(health.contains("internal.xml"), "{health}");
}

#[tokio::test]
async fn the_embedded_redis_lives_and_dies_with_trunkd_and_keeps_its_data() {
    let folder = tempfile::tempdir().unwrap();
    let arguments = ["--embedded", "--sample", "--templates", TEMPLATES];
    let mut serving = Serving::start(folder.path(), &arguments);
    let url = serving.url("/health").await;
    let form =
        "hostname=fs1&section=configuration&tag_name=configuration&key_name=name&key_value=sofia.conf&profile=external";
    let served = async |url: String| {
        let request = http()
            .post(url)
            .header("Content-Type", "application/x-www-form-urlencoded");
        request.body(form).send().await.unwrap().text().await.unwrap()
    };
    assert!(
        served(url.replace("/health", "/xml_curl"))
            .await
            .contains(r#"<gateway name="sample">"#)
    );
    let socket = folder.path().join("data/redis/redis.sock");
    let pid = || async {
        let client = redis::Client::open(format!("redis+unix://{}", socket.display())).unwrap();
        let mut connection = client.get_multiplexed_async_connection().await.ok()?;
        let info: String = redis::cmd("INFO")
            .arg("server")
            .query_async(&mut connection)
            .await
            .ok()?;
        info.lines()
            .find_map(|line| line.strip_prefix("process_id:")?.trim().parse::<i32>().ok())
    };
    let first = pid().await.unwrap();

    let second = trunkd(folder.path(), &["serve", "--embedded", "--listen", "127.0.0.1:0"]);
    assert_eq!(second.status.code(), Some(1));
    assert!(
        text(&second.stderr).contains("another trunkd uses the data directory data"),
        "{}",
        text(&second.stderr)
    );

    kill(Pid::from_raw(first), Signal::SIGKILL).unwrap();
    let again = eventually("it is started again", pid, |now| now.is_some_and(|now| now != first))
        .await
        .unwrap();
    assert!(
        served(url.replace("/health", "/xml_curl"))
            .await
            .contains(r#"<gateway name="sample">"#)
    );

    serving.signal(Signal::SIGKILL);
    serving.ended().await;
    eventually(
        "it died with trunkd",
        || async { kill(Pid::from_raw(again), None).is_err() },
        |gone| *gone,
    )
    .await;

    let mut serving = Serving::start(folder.path(), &["--embedded", "--templates", TEMPLATES]);
    let url = serving.url("/xml_curl").await;
    assert!(
        served(url).await.contains(r#"<gateway name="sample">"#),
        "its data survived"
    );
    let last = pid().await.unwrap();
    serving.signal(Signal::SIGTERM);
    assert!(serving.ended().await.success(), "{}", serving.log());
    eventually(
        "it stopped with trunkd",
        || async { kill(Pid::from_raw(last), None).is_err() },
        |gone| *gone,
    )
    .await;
}

#[tokio::test]
async fn a_start_that_cannot_work_says_why_and_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let refused = |toml: &str, words: &[&str]| {
        std::fs::write(folder.path().join("trunkd.toml"), toml).unwrap();
        let output = trunkd(folder.path(), &["serve", "--listen", "127.0.0.1:0"]);
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{said}");
        for word in words {
            assert!(said.contains(word), "{said}");
        }
        assert!(!said.contains(SECRET), "{said}");
    };
    refused("", &["redis.url", "embedded = true"]);
    refused("[redis]\nurll = \"x\"\n", &["urll", "trunkd.toml"]);
    refused(&format!("[redis]\nurl = \"redis://:{SECRET}@\"\n"), &["redis.url"]);
    refused(
        "[redis]\nurl = \"redis://127.0.0.1:1\"\n[redis.sentinel]\nmaster = \"m\"\nnodes = [\"127.0.0.1:2\"]\n",
        &["sentinel"],
    );
    refused(
        "[redis]\nurl = \"redis://127.0.0.1:1\"\n[templates]\ndefault_profile = \"nope\"\n",
        &["nope"],
    );
    std::fs::write(
        folder.path().join("trunkd.toml"),
        "[redis]\nurl = \"redis://127.0.0.1:1\"\n",
    )
    .unwrap();
    let output = trunkd(folder.path(), &["serve", "--listen", "0.0.0.0:0"]);
    let said = text(&output.stderr);
    assert!(
        !output.status.success() && said.contains("credentials") && said.contains("allow_open"),
        "{said}"
    );
}

#[tokio::test]
async fn no_secret_reaches_a_log_a_metric_or_a_page() {
    let redis = RedisServer::start_with(&["--requirepass", "redis-s3cret"]).await;
    let switch = FakeSwitch::builder().password("socket-s3cret").start().await;
    let folder = tempfile::tempdir().unwrap();
    let toml = format!(
        "[http]\ncredentials = [\"fs1:http-s3cret\"]\n[redis]\nurl = \"redis://:redis-s3cret@{}\"\n[log]\nlevel = \"trace\"\n\
         [[switch]]\nname = \"fs1\"\naddress = \"{}\"\npassword = \"socket-s3cret\"\n",
        redis.address(),
        switch.address()
    );
    std::fs::write(folder.path().join("trunkd.toml"), toml).unwrap();
    let client = redis::Client::open(format!("redis://:redis-s3cret@{}", redis.address())).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    for (name, value) in [
        (
            "good",
            r#"{"param":{"realm":"r","username":"u","password":"sip-s3cret"}}"#,
        ),
        ("bad", r#"{"param":{"password":"sip-s3cret"}}"#),
        ("broken", r#"{"param":{"password":"sip-s3cret""#),
        (
            "control",
            "{\"param\":{\"realm\":\"r\",\"username\":\"u\",\"password\":\"sip-s3cret\\u0007\"}}",
        ),
        (
            "long",
            &format!(
                r#"{{"param":{{"realm":"r","username":"u","password":"{}"}}}}"#,
                "sip-s3cret".repeat(40)
            ),
        ),
    ] {
        redis::cmd("HSET")
            .arg("cti_gateway@default")
            .arg(name)
            .arg(value)
            .exec_async(&mut connection)
            .await
            .unwrap();
    }
    let mut serving = Serving::start(folder.path(), &["--templates", TEMPLATES]);
    let form = "hostname=fs1&section=configuration&tag_name=configuration&key_name=name&key_value=sofia.conf";
    let client = http();
    for password in ["http-s3cret", "wrong-s3cret"] {
        let request = client
            .post(serving.url("/xml_curl").await)
            .basic_auth("fs1", Some(password));
        let response = request
            .header("Content-Type", "application/x-www-form-urlencoded")
            .body(form)
            .send()
            .await
            .unwrap();
        assert_eq!(response.status().is_success(), password == "http-s3cret");
    }
    switch.wait_until("trunkd listens", |view| view.listeners() == 1).await;
    let mut pages = String::new();
    for path in ["/health", "/metrics"] {
        pages += &http()
            .get(serving.url(path).await)
            .send()
            .await
            .unwrap()
            .text()
            .await
            .unwrap();
    }
    for arguments in [&["check"][..], &["check", "--json"], &["status"], &["status", "--json"]] {
        let output = trunkd(folder.path(), arguments);
        pages += &text(&output.stdout);
        pages += &text(&output.stderr);
    }
    serving.signal(Signal::SIGTERM);
    serving.ended().await;
    let log = serving.log();
    assert!(log.contains("gateway bad"), "the bad gateway is told: {log}");
    for (place, said) in [("log", &log), ("pages", &pages)] {
        let leaks: Vec<_> = said.lines().filter(|line| line.contains("s3cret")).collect();
        assert!(leaks.is_empty(), "{place}: {leaks:#?}");
    }
}
