//! The program itself: subcommands, signals, the embedded Redis, and that no secret is ever printed.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use crate::support::app::{Other, eventually, http, switch_toml};
use crate::support::fake_switch::{Binding, FakeSwitch, View};
use crate::support::redis::{Group, RedisServer};

pub(super) const TEMPLATES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/templates");
pub(super) const SOFIA_CONF: &str =
    "hostname=fs1&section=configuration&tag_name=configuration&key_name=name&key_value=sofia.conf&profile=external";
pub(super) const SECRET: &str = "s3cret-of-a-carrier";

/// The API of each takes a free port: tests run beside each other.
pub(super) const API_LISTEN: (&str, &str) = ("TRUNKD_API__LISTEN", "127.0.0.1:0");

/// Runs a subcommand in `folder` to its end.
pub(super) fn trunkd(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_trunkd"));
    command
        .current_dir(folder)
        .args(["--templates", TEMPLATES])
        .args(arguments)
        .env(API_LISTEN.0, API_LISTEN.1);
    command.output().expect("trunkd runs")
}

pub(super) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// `trunkd serve`, and what it says on standard error.
pub(super) struct Serving {
    child: Child,
    log: Arc<Mutex<Vec<String>>>,
}

impl Serving {
    pub(super) fn start(folder: &Path, arguments: &[&str]) -> Self {
        Self::start_from(Command::new(env!("CARGO_BIN_EXE_trunkd")), folder, arguments)
    }

    fn start_from(mut command: Command, folder: &Path, arguments: &[&str]) -> Self {
        let mut child = command
            .current_dir(folder)
            .args(["serve", "--listen", "127.0.0.1:0"])
            .args(arguments)
            .env(API_LISTEN.0, API_LISTEN.1)
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

    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(super) fn log(&self) -> String {
        self.log.lock().unwrap().join("\n")
    }

    pub(super) async fn wait_for(&self, words: &str) -> Value {
        let log = eventually(
            &format!("it says {words:?}"),
            || async { self.log() },
            |log| log.contains(words),
        )
        .await;
        let line = log.lines().rev().find(|line| line.contains(words)).unwrap();
        serde_json::from_str(line).unwrap_or_default()
    }

    /// The most memory that it took so far, in bytes.
    pub(super) fn peak(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        line.trim().strip_suffix(" kB").unwrap().parse::<u64>().unwrap() * 1024
    }

    pub(super) async fn url(&self, path: &str) -> String {
        let line = self.wait_for("\"serving\"").await;
        format!("http://{}{path}", line["address"].as_str().unwrap())
    }

    pub(super) fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(i32::try_from(self.child.id()).unwrap()), signal).unwrap();
    }

    pub(super) async fn ended(&mut self) -> std::process::ExitStatus {
        for _ in 0..2000 {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("it did not end: {}", self.log());
    }
}

/// The embedded Redis of a trunkd in a folder, with a new connection for each command, like other programs.
struct EmbeddedRedis {
    client: redis::Client,
}

impl EmbeddedRedis {
    fn of(folder: &Path) -> Self {
        let socket = folder.join("data/redis/redis.sock");
        let client = redis::Client::open(format!("redis+unix://{}", socket.display())).unwrap();
        Self { client }
    }

    async fn ask<T: redis::FromRedisValue>(&self, command: &redis::Cmd) -> redis::RedisResult<T> {
        let mut connection = self.client.get_multiplexed_async_connection().await?;
        command.query_async(&mut connection).await
    }

    async fn pid(&self) -> Option<Pid> {
        let info: redis::InfoDict = self.ask(redis::cmd("INFO").arg("server")).await.ok()?;
        info.get("process_id").map(Pid::from_raw)
    }

    async fn put(&self, gateway: &str) {
        let mut command = redis::cmd("HSET");
        command
            .arg("cti_gateway@default")
            .arg(gateway)
            .arg(r#"{"param":{"register":"false"}}"#);
        self.ask::<()>(&command).await.unwrap();
    }

    async fn gateways(&self) -> Vec<String> {
        let mut names: Vec<String> = self.ask(redis::cmd("HKEYS").arg("cti_gateway@default")).await.unwrap();
        names.sort();
        names
    }
}

async fn wait_until_gone(pid: Pid) {
    eventually(
        &format!("process {pid} is gone"),
        || async { kill(pid, None).is_err() },
        |gone| *gone,
    )
    .await;
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Settings of nothing but this Redis.
pub(super) fn write_settings(folder: &Path, redis: &RedisServer) {
    std::fs::write(
        folder.join("trunkd.toml"),
        format!("[redis]\nurl = \"{}\"\n", redis.url()),
    )
    .unwrap();
}

#[tokio::test]
async fn check_names_what_is_wrong_and_exits_with_1() {
    let (redis, folder) = (RedisServer::start().await, tempfile::tempdir().unwrap());
    let other = Other::new(&redis).await;
    write_settings(folder.path(), &redis);
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
async fn check_knows_the_switches_and_the_hooks_of_the_settings() {
    let (redis, folder) = (RedisServer::start().await, tempfile::tempdir().unwrap());
    let other = Other::new(&redis).await;
    let put = async |name: &str, more: &str| {
        let value = format!(r#"{{"param":{{"realm":"sip.example.net","register":"false"}},{more}}}"#);
        other.set_gateway("default", name, &value).await;
    };
    put("nowhere", r#""nodes":["FS1"]"#).await;
    put("hook", r#""variables":{"api_hangup_hook":"lua x.lua"}"#).await;
    let check = |more: &str| {
        write_settings(folder.path(), &redis);
        let path = folder.path().join("trunkd.toml");
        let settings = std::fs::read_to_string(&path).unwrap();
        let switch = "[[switch]]\nname = \"fs1\"\naddress = \"127.0.0.1:1\"\npassword = \"x\"\n";
        std::fs::write(&path, format!("{settings}\n{switch}{more}")).unwrap();
        let output = trunkd(folder.path(), &["check"]);
        (output.status.code(), text(&output.stdout))
    };
    let (status, said) = check("");
    assert_eq!(status, Some(1), "{said}");
    for words in [
        "gateway nowhere, nodes: names no switch of the settings ('FS1')",
        "did you mean 'fs1'?",
        "gateway hook, variables.api_hangup_hook: makes FreeSWITCH execute",
        "gateways served: 1; errors: 1; warnings: 1",
    ] {
        assert!(said.contains(words), "{said}");
    }
    let (status, said) = check("[gateways]\nallow_hooks = [\"api_hangup_hook\"]\n");
    assert_eq!(status, Some(0), "{said}");
    assert!(said.contains("gateways served: 2; errors: 0; warnings: 1"), "{said}");
}

#[tokio::test]
async fn render_prints_what_freeswitch_would_get() {
    let (redis, folder) = (RedisServer::start().await, tempfile::tempdir().unwrap());
    let other = Other::new(&redis).await;
    write_settings(folder.path(), &redis);
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
    // Asked first: to serve is to make the key of the revisions, which `render` only reads.
    let served = ask(form.to_owned()).await;
    assert_eq!(rendered(&["render", "--profile", "external", "--node", "fs1"]), served);
    let all_profiles = ask(form.replace("&profile=external", "")).await;
    assert!(all_profiles.contains(r#"<profile name="internal">"#) && !all_profiles.contains("<gateway "));
    assert_eq!(rendered(&["render", "--node", "fs1"]), all_profiles);
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
        text(&unknown.stderr).contains("known are external, internal"),
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
        text(&none.stdout).starts_with("fs1: NOT CONNECTED: no trunkd has connected to it yet; no gateways"),
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
    assert!(said.starts_with("fs1: 1 missing, 1 unknown"), "{said}");
    let line = |name: &str| {
        said.lines()
            .find(|line| line.contains(name))
            .unwrap()
            .split_whitespace()
            .collect::<Vec<_>>()
            .join(" ")
    };
    assert!(line("found").starts_with("fs1 found external NOREG -"), "{said}");
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
    write_settings(folder.path(), &redis);
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
    let served = async |url: String| {
        let request = http()
            .post(url)
            .header("Content-Type", "application/x-www-form-urlencoded");
        request.body(SOFIA_CONF).send().await.unwrap().text().await.unwrap()
    };
    assert!(
        served(url.replace("/health", "/xml_curl"))
            .await
            .contains(r#"<gateway name="sample">"#)
    );
    let redis = EmbeddedRedis::of(folder.path());
    let pid = || redis.pid();
    let first = pid().await.unwrap();

    let second = trunkd(folder.path(), &["serve", "--embedded", "--listen", "127.0.0.1:0"]);
    assert_eq!(second.status.code(), Some(1));
    assert!(
        text(&second.stderr).contains("another trunkd uses the data directory data"),
        "{}",
        text(&second.stderr)
    );

    kill(first, Signal::SIGKILL).unwrap();
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
    wait_until_gone(again).await;

    let mut serving = Serving::start(folder.path(), &["--embedded", "--templates", TEMPLATES]);
    let url = serving.url("/xml_curl").await;
    assert!(
        served(url).await.contains(r#"<gateway name="sample">"#),
        "its data survived"
    );
    let last = pid().await.unwrap();
    serving.signal(Signal::SIGTERM);
    assert!(serving.ended().await.success(), "{}", serving.log());
    wait_until_gone(last).await;
}

#[tokio::test]
async fn a_trunkd_that_is_killed_and_started_again_at_once_finds_its_redis() {
    let folder = tempfile::tempdir().unwrap();
    let arguments = ["--embedded", "--templates", TEMPLATES];
    let redis = EmbeddedRedis::of(folder.path());
    let mut serving = Serving::start(folder.path(), &arguments);
    let mut expected = Vec::new();
    for round in ["a", "b", "c", "hung"] {
        serving.url("/health").await;
        let old = redis.pid().await.unwrap();
        redis.put(round).await;
        expected.push(round);
        if round == "hung" {
            kill(old, Signal::SIGSTOP).unwrap();
        }
        serving.signal(Signal::SIGKILL);
        serving = Serving::start(folder.path(), &arguments);
        serving.url("/health").await;
        let new = redis.pid().await.unwrap();
        assert_ne!(new, old, "the dying server was taken for the new one");
        wait_until_gone(old).await;
        assert_eq!(redis.pid().await, Some(new), "the dying server took the socket along");
        assert_eq!(redis.gateways().await, expected);
    }
}

#[tokio::test]
async fn an_embedded_redis_whose_guard_is_killed_goes_before_the_next_one_comes() {
    let folder = tempfile::tempdir().unwrap();
    let serving = Serving::start(folder.path(), &["--embedded", "--templates", TEMPLATES]);
    let redis = EmbeddedRedis::of(folder.path());
    serving.url("/health").await;
    redis.put("kept").await;
    let old = redis.pid().await.unwrap();
    let status = std::fs::read_to_string(format!("/proc/{old}/status")).unwrap();
    let guard = status.lines().find_map(|line| line.strip_prefix("PPid:")).unwrap();
    kill(Pid::from_raw(guard.trim().parse().unwrap()), Signal::SIGKILL).unwrap();
    serving.wait_for("the embedded Redis runs again").await;
    let new = redis.pid().await.unwrap();
    assert_ne!(new, old);
    wait_until_gone(old).await;
    assert_eq!(redis.pid().await, Some(new));
    assert_eq!(redis.gateways().await, ["kept"]);
}

#[tokio::test]
async fn an_embedded_redis_that_no_longer_answers_is_started_again() {
    let folder = tempfile::tempdir().unwrap();
    let serving = Serving::start(folder.path(), &["--embedded", "--templates", TEMPLATES]);
    let redis = EmbeddedRedis::of(folder.path());
    serving.url("/health").await;
    redis.put("kept").await;
    let old = redis.pid().await.unwrap();
    std::fs::remove_file(folder.path().join("data/redis/redis.sock")).unwrap();
    serving.wait_for("the embedded Redis runs again").await;
    assert!(serving.log().contains("does not answer"), "{}", serving.log());
    wait_until_gone(old).await;
    assert_eq!(redis.gateways().await, ["kept"]);
}

#[tokio::test]
async fn a_start_waits_until_the_embedded_redis_has_read_its_file() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data/redis");
    std::fs::create_dir_all(&data).unwrap();
    let command = "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$1\r\nv\r\n";
    std::fs::write(data.join("appendonly.aof"), command.repeat(2_000_000)).unwrap();
    let arguments = ["--embedded", "--sample", "--templates", TEMPLATES];
    let mut serving = Serving::start(folder.path(), &arguments);
    serving.wait_for("has loaded its append-only file").await;
    serving.signal(Signal::SIGTERM);
    assert!(serving.ended().await.success(), "{}", serving.log());

    let serving = Serving::start(folder.path(), &arguments);
    serving.wait_for("has loaded its append-only file").await;
    serving.url("/health").await;
    let redis = EmbeddedRedis::of(folder.path());
    eventually("the sample is in", || redis.gateways(), |names| names == &["sample"]).await;
}

#[tokio::test]
async fn what_the_embedded_redis_keeps_is_its_users_alone() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data/redis");
    std::fs::create_dir_all(&data).unwrap();
    std::fs::set_permissions(&data, std::fs::Permissions::from_mode(0o755)).unwrap();
    let mut command = Command::new("sh");
    command.args(["-c", "umask 022; exec \"$0\" \"$@\"", env!("CARGO_BIN_EXE_trunkd")]);
    let serving = Serving::start_from(command, folder.path(), &["--embedded", "--templates", TEMPLATES]);
    serving.url("/health").await;
    EmbeddedRedis::of(folder.path()).put("secret").await;

    let (mut folders, mut files) = (vec![data], 0);
    while let Some(folder) = folders.pop() {
        assert_eq!(mode(&folder), 0o700, "{}", folder.display());
        for path in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            if path.is_dir() {
                folders.push(path);
            } else {
                assert_eq!(mode(&path) & 0o077, 0, "{}", path.display());
                files += 1;
            }
        }
    }
    assert!(files >= 3, "the socket, the log and the append-only file");
}

fn mode(path: &Path) -> u32 {
    path.metadata().unwrap().permissions().mode() & 0o777
}

#[tokio::test]
async fn sigterm_ends_it_in_time_with_a_hung_redis_and_a_half_sent_request() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("trunkd.toml"), "[http]\nrequest_timeout = \"60s\"\n").unwrap();
    let mut serving = Serving::start(folder.path(), &["--embedded", "--templates", TEMPLATES]);
    let url = serving.url("").await;
    let redis = EmbeddedRedis::of(folder.path()).pid().await.unwrap();
    let mut client = TcpStream::connect(url.strip_prefix("http://").unwrap()).unwrap();
    let head = "POST /xml_curl HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\n\
                Content-Length: 100\r\nExpect: 100-continue\r\n\r\n";
    client.write_all(head.as_bytes()).unwrap();
    let mut answer = [0; 12];
    client.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"HTTP/1.1 100", "the request is being read");
    client.write_all(b"hostname=fs1").unwrap();
    kill(redis, Signal::SIGSTOP).unwrap();

    serving.signal(Signal::SIGTERM);
    assert!(serving.ended().await.success(), "{}", serving.log());
    eventually(
        "the log says what was cut",
        || async { serving.log() },
        |log| log.contains("\"HTTP server\"") && log.contains("did not end when it was told to; it was killed"),
    )
    .await;
    wait_until_gone(redis).await;
}

#[tokio::test]
async fn systemd_is_told_when_it_serves_and_when_it_stops() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("notify");
    let systemd = tokio::net::UnixDatagram::bind(&socket).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_trunkd"));
    command.env("NOTIFY_SOCKET", &socket);
    let mut serving = Serving::start_from(command, folder.path(), &["--embedded", "--templates", TEMPLATES]);
    let told = async || {
        let mut buffer = [0; 256];
        let read = tokio::time::timeout(Duration::from_secs(20), systemd.recv(&mut buffer)).await;
        text(&buffer[..read.expect("it tells").unwrap()])
    };
    assert_eq!(told().await, "READY=1\n");
    assert!(EmbeddedRedis::of(folder.path()).pid().await.is_some());
    serving.signal(Signal::SIGTERM);
    assert_eq!(told().await, "STOPPING=1\n");
    assert!(serving.ended().await.success(), "{}", serving.log());
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
        &["`redis.url`", "`redis.sentinel`"],
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

#[tokio::test]
async fn a_failover_is_told_once_in_the_log_and_by_the_masters_addresses() {
    let (group, folder) = (Group::start(1, 1).await, tempfile::tempdir().unwrap());
    std::fs::write(
        folder.path().join("trunkd.toml"),
        format!("[redis]\n{}", group.settings()),
    )
    .unwrap();
    let serving = Serving::start(folder.path(), &["--templates", TEMPLATES]);
    let old = group.master().await;
    serving
        .wait_for(&format!(
            "the master \\\"mymaster\\\" is {}",
            group.servers[old].address()
        ))
        .await;
    group.fail_over().await;
    let new = group.next_master(old).await;
    let (old, new) = (group.servers[old].address(), group.servers[new].address());
    serving
        .wait_for(&format!("the master \\\"mymaster\\\" is now {new}, no longer {old}"))
        .await;
    group.wait_until_whole().await;
    let url = serving.url("/health").await;
    let told = async || http().get(&url).send().await.unwrap().text().await.unwrap();
    eventually("health names it", told, |health| {
        health.contains(&format!("the master is {new}"))
    })
    .await;
    assert_eq!(serving.log().matches(" is now ").count(), 1, "{}", serving.log());
}

/// A switch and the program that serves it, with these lines under `[reconcile]`.
pub(super) struct Rig {
    pub(super) redis: RedisServer,
    pub(super) other: Other,
    pub(super) switch: FakeSwitch,
    pub(super) folder: tempfile::TempDir,
    pub(super) serving: Serving,
}

impl Rig {
    pub(super) async fn start(gateways: &[(&str, &str)], reconcile: &str) -> Self {
        let (redis, folder, switch) = (
            RedisServer::start().await,
            tempfile::tempdir().unwrap(),
            FakeSwitch::builder().start().await,
        );
        let other = Other::new(&redis).await;
        for (name, value) in gateways {
            other.set_gateway("default", name, value).await;
        }
        let toml = format!(
            "[redis]\nurl = \"{}\"\n{}[reconcile]\nresync_interval = \"1s\"\n{reconcile}",
            redis.url(),
            switch_toml(&switch, "fs1")
        );
        std::fs::write(folder.path().join("trunkd.toml"), toml).unwrap();
        let serving = Serving::start(folder.path(), &["--templates", TEMPLATES]);
        switch.set_binding(Some(Binding::new(serving.url("/xml_curl").await)));
        switch.restart().await;
        other.wait_for("trunkd:switches", "fs1", "/connected", true).await;
        let rig = Self {
            redis,
            other,
            switch,
            folder,
            serving,
        };
        rig.wait_for_report("/unchanged", gateways.len()).await;
        rig
    }

    pub(super) async fn wait_for_report(&self, pointer: &str, expected: impl Into<Value>) -> Value {
        self.other.wait_for("trunkd:reconcile", "fs1", pointer, expected).await
    }

    /// Runs a subcommand to its end while the switch answers: exit status, and what it said on both outputs.
    pub(super) async fn run(&self, arguments: &[&str]) -> (Option<i32>, String) {
        run(self.folder.path(), arguments).await
    }

    /// As [`Rig::run`], with a person at a terminal who types this.
    pub(super) async fn answer(&self, typed: &str, arguments: &[&str]) -> (Option<i32>, String) {
        let terminal = nix::pty::openpty(None, None).unwrap();
        std::fs::File::from(terminal.master.try_clone().unwrap())
            .write_all(typed.as_bytes())
            .unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_trunkd"));
        command
            .current_dir(self.folder.path())
            .args(["--templates", TEMPLATES])
            .args(arguments)
            .stdin(terminal.slave);
        let output = tokio::task::spawn_blocking(move || command.output().unwrap())
            .await
            .unwrap();
        (output.status.code(), text(&output.stdout) + &text(&output.stderr))
    }

    pub(super) async fn flush_all(&self) {
        redis::cmd("FLUSHALL")
            .exec_async(&mut self.other.connection.clone())
            .await
            .unwrap();
    }
}

pub(super) async fn run(folder: &Path, arguments: &[&str]) -> (Option<i32>, String) {
    let folder = folder.to_owned();
    let arguments: Vec<_> = arguments.iter().map(|argument| (*argument).to_owned()).collect();
    let output = tokio::task::spawn_blocking(move || {
        let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
        trunkd(&folder, &arguments)
    });
    let output = output.await.unwrap();
    (output.status.code(), text(&output.stdout) + &text(&output.stderr))
}

pub(super) fn json(said: &str) -> Value {
    serde_json::from_str(said).unwrap_or_else(|error| panic!("{error}: {said}"))
}

pub(super) const IP_TRUNK: &str = r#"{"param":{"realm":"sip.example.net","register":"false"}}"#;

#[tokio::test]
async fn plan_shows_what_would_change_and_its_exit_status_says_whether() {
    let account = |realm: &str, password: &str| {
        format!(r#"{{"param":{{"realm":"{realm}","username":"u","password":"{password}"}}}}"#)
    };
    let rig = Rig::start(
        &[("gw", &account("a.example.net", SECRET)), ("same", IP_TRUNK)],
        "mode = \"observe\"\n",
    )
    .await;
    let (status, said) = rig.run(&["plan"]).await;
    assert_eq!(status, Some(0), "{said}");
    assert!(
        said.contains("fs1: nothing to do") && said.contains("= unchanged 2"),
        "{said}"
    );

    let changed = account("b.example.net", &format!("{SECRET}2"));
    rig.other.set_gateway("default", "gw", &changed).await;
    rig.other.set_gateway("default", "new", IP_TRUNK).await;
    let (status, said) = rig.run(&["plan", "--node", "fs1"]).await;
    assert_eq!(status, Some(2), "{said}");
    for words in [
        "fs1: 1 to start, 1 to restart",
        "+ start    new",
        "~ restart  gw",
        "param.password: changed (secret)",
        r#"param.realm: "a.example.net" → "b.example.net""#,
        "= unchanged 1",
        r#"reconcile.mode = "observe""#,
    ] {
        assert!(said.contains(words), "{words}: {said}");
    }
    assert!(!said.contains(SECRET) && !said.contains('\u{1b}'), "{said}");

    let (status, said) = rig.run(&["plan", "--json"]).await;
    assert!(status == Some(2) && !said.contains(SECRET), "{said}");
    let plan = json(&said);
    assert_eq!(plan["pending"], true);
    let fs1 = &plan["switches"][0];
    assert_eq!(
        (&fs1["switch"], &fs1["error"], &fs1["held"]),
        (&"fs1".into(), &Value::Null, &Value::Null)
    );
    assert_eq!(fs1["plan"]["actions"][0]["action"], "restart");
    assert_eq!(fs1["changes"]["gw"][0]["field"], "param.password");
    assert_eq!(fs1["serve"]["mode"], "observe");

    let (status, said) = rig.run(&["plan", "--node", "fs9"]).await;
    assert!(status == Some(1) && said.contains("known are fs1"), "{said}");
    rig.switch.refuse_connections(true).await;
    let (status, said) = rig.run(&["plan"]).await;
    assert_eq!(status, Some(1), "{said}");
    assert!(
        said.contains("fs1: no plan: it cannot be read") && said.contains("check `address`"),
        "{said}"
    );
    assert!(!said.contains("nothing to do"), "{said}");
}

#[tokio::test]
async fn apply_releases_a_held_plan_once_and_a_later_flood_is_held_again() {
    let gateways: Vec<_> = (0..3).map(|n| format!("gw{n}")).collect();
    let with: Vec<_> = gateways.iter().map(|name| (name.as_str(), IP_TRUNK)).collect();
    let rig = Rig::start(&with, "").await;
    rig.flush_all().await;
    rig.wait_for_report("/kill", 3).await;
    let (status, said) = rig.run(&["plan"]).await;
    assert_eq!(status, Some(2), "{said}");
    assert!(
        said.contains("3 to kill (held)") && said.contains("every domain is gone from Redis"),
        "{said}"
    );

    let (status, said) = rig.run(&["apply"]).await;
    assert!(status == Some(1) && said.contains("add --yes"), "{said}");
    assert_eq!(rig.switch.view(|view| view.gateways().len()), 3);
    let (status, said) = rig.run(&["apply", "--yes"]).await;
    assert!(status == Some(0) && said.contains("fs1: killed 3\n"), "{said}");
    assert_eq!(rig.switch.view(|view| view.gateways().len()), 0);
    let (status, said) = rig.run(&["apply", "--yes"]).await;
    assert!(status == Some(0) && said.contains("nothing to do"), "{said}");

    for name in &gateways {
        rig.other.set_gateway("default", name, IP_TRUNK).await;
    }
    rig.wait_for_report("/unchanged", 3).await;
    rig.flush_all().await;
    let report = rig.wait_for_report("/kill", 3).await;
    assert!(report["held"].as_str().unwrap().contains("removes 3 of 3"), "{report}");
    assert_eq!(rig.switch.view(|view| view.gateways().len()), 3);
}

#[tokio::test]
async fn where_trunkd_observes_apply_acts_once() {
    let rig = Rig::start(&[("gw", IP_TRUNK)], "mode = \"observe\"\n").await;
    rig.other.set_gateway("default", "new", IP_TRUNK).await;
    rig.wait_for_report("/start", 1).await;
    let (status, said) = rig.answer("n\n", &["apply"]).await;
    assert!(status == Some(1) && said.contains("Nothing was changed"), "{said}");
    assert!(said.contains("Start 1 on fs1? [y/N]"), "{said}");
    assert!(rig.switch.view(|view| view.gateway("new").is_none()));
    let (status, said) = rig.answer("y\n", &["apply"]).await;
    assert!(status == Some(0) && said.contains("fs1: started 1\n"), "{said}");
    rig.switch.wait_for_state("new", "NOREG").await;
    rig.other.delete_gateway("default", "new").await;
    rig.wait_for_report("/kill", 1).await;
    rig.other.set_gateway("default", "newer", IP_TRUNK).await;
    rig.wait_for_report("/start", 1).await;
    assert!(
        rig.switch
            .view(|view| view.gateway("new").is_some() && view.gateway("newer").is_none())
    );
}

#[tokio::test]
async fn adopt_takes_over_a_gateway_that_was_not_ours() {
    let rig = Rig::start(&[], "").await;
    rig.switch.add_gateways(
        "external",
        r#"<gateway name="clash"><param name="register" value="false"/></gateway>"#,
    );
    rig.other
        .wait_for("trunkd:status:fs1", "clash", "/state", "NOREG")
        .await;
    let before = rig.switch.view(|view| view.gateway("clash").unwrap().instance);
    rig.other.set_gateway("default", "clash", IP_TRUNK).await;
    let (status, said) = rig.run(&["apply", "--yes"]).await;
    assert!(status == Some(0) && said.contains("trunkd apply --adopt"), "{said}");
    let (status, said) = rig.run(&["apply", "--yes", "--adopt"]).await;
    assert!(
        status == Some(0) && said.contains("taken over") && said.contains("fs1: restarted 1\n"),
        "{said}"
    );
    assert_ne!(rig.switch.view(|view| view.gateway("clash").unwrap().instance), before);
    rig.wait_for_report("/unchanged", 1).await;
    let (status, said) = rig.run(&["plan"]).await;
    assert!(status == Some(0) && said.contains("= unchanged 1"), "{said}");
}

#[tokio::test]
async fn a_pause_holds_until_it_is_resumed_and_status_says_so() {
    let rig = Rig::start(&[("gw", IP_TRUNK)], "").await;
    let (status, said) = rig.run(&["pause", "--node", "fs9"]).await;
    assert!(status == Some(1) && said.contains("known are fs1"), "{said}");
    let (status, said) = rig.run(&["pause", "--node", "fs1"]).await;
    assert!(
        status == Some(0) && said.contains("until `trunkd resume --node fs1`"),
        "{said}"
    );
    rig.wait_for_report("/paused", true).await;
    rig.other.set_gateway("default", "new", IP_TRUNK).await;
    rig.wait_for_report("/start", 1).await;
    let said = rig.run(&["status"]).await.1;
    assert!(said.lines().next().unwrap().contains("; PAUSED"), "{said}");
    let status = json(&rig.run(&["status", "--json"]).await.1);
    let fs1 = &status["switches"][0];
    assert_eq!(
        (&fs1["watched"], &fs1["paused"], &fs1["mode"]),
        (&true.into(), &true.into(), &"apply".into())
    );
    let missing = &fs1["gateways"][1];
    assert_eq!(missing["name"], "new");
    assert_eq!(missing.get("state"), Some(&Value::Null));
    assert_eq!(missing["observed_revision"], Value::Null);
    assert_eq!(missing["desired_revision"], missing["applied_revision"]);
    assert_eq!(missing["note"]["text"], "desired, and not on this switch: paused");
    let running = &fs1["gateways"][0];
    assert!(
        running["observed_revision"].is_string() && running["note"].is_null(),
        "{running}"
    );
    assert_eq!(running["desired_revision"], running["observed_revision"]);
    assert!(rig.switch.view(|view| view.gateway("new").is_none()));
    let (status, said) = rig.run(&["resume", "--node", "fs1"]).await;
    assert!(status == Some(0) && said.starts_with("Resumed: fs1"), "{said}");
    rig.switch.wait_for_state("new", "NOREG").await;

    // A refused value: what runs stays, and the reason is reported.
    rig.other.set_gateway("default", "gw", "{").await;
    let (_, said) = rig.run(&["status"]).await;
    assert!(said.contains("kept: new value refused"), "{said}");
    assert!(rig.switch.view(|view| view.gateway("gw").is_some()));
}

#[tokio::test]
async fn what_only_looks_writes_nothing_to_redis() {
    let (redis, folder, switch) = (
        RedisServer::start().await,
        tempfile::tempdir().unwrap(),
        FakeSwitch::builder().start().await,
    );
    let other = Other::new(&redis).await;
    let toml = format!("[redis]\nurl = \"{}\"\n{}", redis.url(), switch_toml(&switch, "fs1"));
    std::fs::write(folder.path().join("trunkd.toml"), toml).unwrap();
    other.set_gateway("default", "gw", IP_TRUNK).await;
    for (arguments, expected) in [
        (&["check"][..], 0),
        (&["render", "--profile", "external"], 0),
        (&["status"], 2),
        (&["plan"], 2),
    ] {
        let (status, said) = run(folder.path(), arguments).await;
        assert_eq!(status, Some(expected), "{said}");
    }
    let said = run(folder.path(), &["render", "--profile", "external"]).await.1;
    assert!(said.contains("other values of trunkd_revision"), "{said}");
    let keys: Vec<String> = redis::cmd("KEYS")
        .arg("*")
        .query_async(&mut other.connection.clone())
        .await
        .unwrap();
    assert_eq!(keys, ["cti_gateway@default"]);
}

#[tokio::test]
async fn states_that_nobody_writes_any_more_are_not_shown_as_live() {
    let (redis, folder) = (RedisServer::start().await, tempfile::tempdir().unwrap());
    let other = Other::new(&redis).await;
    write_settings(folder.path(), &redis);
    let state = |connected: bool| {
        format!(
            r#"{{"connected":{connected},"since":"2025-11-24T06:00:00Z","core_uuid":"c","last_seen":"2025-11-24T06:05:00Z"}}"#
        )
    };
    let row = r#"{"profile":"external","state":"FAIL_WAIT","ping":"DOWN","status":"401","phrase":"Unauthorized","since":"2025-11-24T06:00:00Z","seen":"2025-11-24T06:05:00Z","revision":null}"#;
    for (key, field, value) in [
        ("trunkd:switches", "dead", state(true).as_str()),
        ("trunkd:switches", "away", state(false).as_str()),
        ("trunkd:status:dead", "gw", row),
        ("cti_gateway@default", "gw", IP_TRUNK),
        ("cti_gateway@other", "gw", "{"),
    ] {
        redis::cmd("HSET")
            .arg(key)
            .arg(field)
            .arg(value)
            .exec_async(&mut other.connection.clone())
            .await
            .unwrap();
    }
    let (status, said) = run(folder.path(), &["status"]).await;
    assert_eq!(status, Some(2), "{said}");
    assert!(
        said.contains("dead: NOT WATCHED since 2025-11-24") && said.contains("): no trunkd writes"),
        "{said}"
    );
    assert!(said.contains("401 Unauthorized, down for "), "{said}");
    assert!(
        said.contains("switch not connected") && !said.contains("missing"),
        "{said}"
    );
    assert!(
        !said.contains("kept:"),
        "the bad value is of a domain that would not serve it: {said}"
    );
    let status = json(&run(folder.path(), &["status", "--json"]).await.1);
    assert_eq!(status["switches"][1]["watched"], false);
    assert_eq!(
        status["switches"][0]["gateways"][0]["note"]["code"],
        "switch_not_connected"
    );

    let mut command = Command::new(env!("CARGO_BIN_EXE_trunkd"));
    command
        .current_dir(folder.path())
        .args(["--templates", TEMPLATES, "status", "--watch"]);
    let mut watch = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut out = watch.stdout.take().unwrap();
    let twice = tokio::task::spawn_blocking(move || {
        let (mut said, mut piece) = (Vec::new(), [0; 4096]);
        while text(&said).matches("NOT WATCHED").count() < 2 {
            let count = std::io::Read::read(&mut out, &mut piece).unwrap();
            assert!(count > 0, "it ended: {}", text(&said));
            said.extend_from_slice(&piece[..count]);
        }
        text(&said)
    });
    assert!(!twice.await.unwrap().contains('\u{1b}'), "it is no terminal");
    // Not SIGINT, which is ignored in what a shell started in the background.
    kill(Pid::from_raw(i32::try_from(watch.id()).unwrap()), Signal::SIGTERM).unwrap();
    let ended = tokio::task::spawn_blocking(move || watch.wait().unwrap())
        .await
        .unwrap();
    assert_eq!(
        std::os::unix::process::ExitStatusExt::signal(&ended),
        Some(Signal::SIGTERM as i32)
    );
}

#[tokio::test]
async fn an_order_for_nobody_is_refused_and_an_error_says_its_cause_once() {
    let rig = Rig::start(&[("gw", IP_TRUNK)], "mode = \"observe\"\n").await;
    rig.other.set_gateway("default", "new", IP_TRUNK).await;
    let Rig {
        redis,
        other,
        switch,
        folder,
        mut serving,
    } = rig;
    serving.signal(Signal::SIGTERM);
    serving.ended().await;
    let (status, said) = run(folder.path(), &["apply", "--yes"]).await;
    assert!(
        status == Some(1) && said.contains("no trunkd serves this Redis: start `trunkd serve`"),
        "{said}"
    );
    assert_eq!(other.hash("trunkd:control").await.len(), 0);
    assert!(switch.view(|view| view.gateway("new").is_none()));
    drop(redis);
    // With a last good state `status` shows that.
    let _ = std::fs::remove_file(folder.path().join("data/last-good"));
    for arguments in [&["status"][..], &["plan"], &["check"], &["pause"]] {
        let (status, said) = run(folder.path(), arguments).await;
        assert_eq!(
            (status, said.matches("onnection refused").count()),
            (Some(1), 1),
            "{said}"
        );
    }
}

#[tokio::test]
async fn an_order_that_is_given_right_after_trunkd_was_killed_says_what_is_left_of_it() {
    let rig = Rig::start(&[("gw", IP_TRUNK)], "mode = \"observe\"\n").await;
    rig.other.set_gateway("default", "new", IP_TRUNK).await;
    rig.wait_for_report("/start", 1).await;
    rig.serving.signal(Signal::SIGKILL);
    let (status, said) = rig.run(&["apply", "--yes"]).await;
    assert!(
        status == Some(1) && said.contains("fs1: no trunkd took the order up, 1 of 1 were left"),
        "{said}"
    );
    assert_eq!(rig.other.hash("trunkd:control").await.len(), 0, "it was taken back");
}

#[tokio::test]
async fn a_hold_that_grows_is_logged_once() {
    let gateways: Vec<_> = (0..12).map(|n| format!("gw{n}")).collect();
    let with: Vec<_> = gateways.iter().map(|name| (name.as_str(), IP_TRUNK)).collect();
    let rig = Rig::start(&with, "").await;
    redis::cmd("HDEL")
        .arg("cti_gateway@default")
        .arg(&gateways[..6])
        .exec_async(&mut rig.other.connection.clone())
        .await
        .unwrap();
    rig.wait_for_report("/kill", 6).await;
    for kill in 7..11 {
        rig.other.delete_gateway("default", &gateways[kill - 1]).await;
        rig.wait_for_report("/kill", kill).await;
    }
    for name in &gateways[..10] {
        rig.other.set_gateway("default", name, IP_TRUNK).await;
    }
    rig.wait_for_report("/kill", 0).await;
    rig.serving.wait_for("resolved: held: removes").await;
    let log = rig.serving.log();
    let lines = |words: &str| {
        let of_switch = log.lines().filter(|line| line.contains(words) && line.contains("fs1"));
        of_switch.count()
    };
    assert_eq!(lines("held: removes"), 2, "{log}");
}

#[tokio::test]
async fn what_is_held_from_serving_alone_is_planned_and_released_too() {
    let gateways: Vec<_> = (0..8).map(|n| format!("gw{n}")).collect();
    let with: Vec<_> = gateways.iter().map(|name| (name.as_str(), IP_TRUNK)).collect();
    let rig = Rig::start(&with, "").await;
    redis::cmd("HDEL")
        .arg("cti_gateway@default")
        .arg(&gateways[1..])
        .exec_async(&mut rig.other.connection.clone())
        .await
        .unwrap();
    let held = "held: removes 7 of 8 (more than 5)";
    rig.wait_for_report("/held", held).await;
    for name in &gateways[1..] {
        rig.switch.api(&format!("sofia profile external killgw {name}")).await;
    }
    rig.wait_for_report("/kill", 0).await;
    let (status, said) = rig.run(&["plan"]).await;
    assert_eq!(status, Some(2), "{said}");
    assert!(said.contains(&format!("trunkd serve says {held}")), "{said}");
    let (status, said) = rig.run(&["status"]).await;
    assert!(
        status == Some(2) && said.lines().next().unwrap().ends_with(held),
        "{said}"
    );
    let (status, said) = rig.run(&["apply", "--yes"]).await;
    assert!(status == Some(0) && said.contains("fs1: released\n"), "{said}");
    rig.wait_for_report("/held", Value::Null).await;
    rig.other.set_gateway("default", "new", IP_TRUNK).await;
    rig.switch.wait_for_state("new", "NOREG").await;
}

#[tokio::test]
async fn a_second_trunkd_on_a_data_directory_is_refused_by_name() {
    let (redis, folder) = (RedisServer::start().await, tempfile::tempdir().unwrap());
    write_settings(folder.path(), &redis);
    let mut first = Serving::start(folder.path(), &["--templates", TEMPLATES]);
    first.url("/health").await;
    let second = trunkd(folder.path(), &["serve", "--listen", "127.0.0.1:0"]);
    assert_eq!(second.status.code(), Some(1));
    let said = text(&second.stderr);
    assert!(said.contains("another trunkd uses the data directory data"), "{said}");
    first.signal(Signal::SIGKILL);
    first.ended().await;
    let third = Serving::start(folder.path(), &["--templates", TEMPLATES]);
    third.url("/health").await;
}

#[tokio::test]
async fn a_data_directory_that_cannot_be_used_keeps_no_switch_from_its_gateways() {
    let (redis, folder) = (RedisServer::start().await, tempfile::tempdir().unwrap());
    write_settings(folder.path(), &redis);
    Other::new(&redis).await.set_gateway("default", "gw", IP_TRUNK).await;
    // Not even root can make a folder in a file.
    std::fs::write(folder.path().join("data"), "a file").unwrap();
    let serving = Serving::start(folder.path(), &["--templates", TEMPLATES]);
    let asked = format!("{}?{SOFIA_CONF}", serving.url("/xml_curl").await);
    let answer = http().get(asked).send().await.unwrap().text().await.unwrap();
    assert!(answer.contains(r#"<gateway name="gw">"#), "{answer}");
    serving.wait_for("data_dir data cannot be used").await;
}

#[tokio::test]
async fn a_trunkd_that_stalled_between_a_kill_and_its_start_leaves_the_rest_to_whoever_took_over() {
    let (redis, folder) = (RedisServer::start().await, tempfile::tempdir().unwrap());
    let switch = FakeSwitch::builder().manual_ticks().start().await;
    let other = Other::new(&redis).await;
    let account = |password: &str| format!(r#"{{"param":{{"username":"u","password":"{password}"}}}}"#);
    let toml = format!("[redis]\nurl = \"{}\"\n{}", redis.url(), switch_toml(&switch, "fs1"));
    std::fs::write(folder.path().join("trunkd.toml"), toml).unwrap();
    let serving = Serving::start(folder.path(), &["--templates", TEMPLATES]);
    switch.set_binding(Some(Binding::new(serving.url("/xml_curl").await)));
    switch.restart().await;
    other.set_gateway("default", "gw", &account("before")).await;
    switch
        .wait_until("it is there", |view| view.gateway("gw").is_some())
        .await;
    eventually(
        "it is registered",
        async || {
            switch.step();
            switch.view(|view| view.state("gw"))
        },
        |state| *state == Some("REGED"),
    )
    .await;
    other.set_gateway("default", "gw", &account("after")).await;
    let told = |view: &View, word: &str| view.commands().iter().filter(|command| command.contains(word)).count();
    switch
        .wait_until("it is killed", |view| told(view, "killgw") == 1)
        .await;
    serving.signal(Signal::SIGSTOP);
    let starts = switch.view(|view| told(view, "startgw"));
    // Its lease ends, and somebody else has it.
    let mut connection = other.connection.clone();
    let mut take = redis::cmd("SET");
    take.arg(&["trunkd:lease:fs1", "elsewhere/1/0", "NX", "PX", "3600000"]);
    eventually(
        "the lease is over",
        async || {
            take.query_async::<Option<String>>(&mut connection.clone())
                .await
                .unwrap()
        },
        Option::is_some,
    )
    .await;
    switch.steps(3);
    switch.wait_for_gone("gw").await;
    serving.signal(Signal::SIGCONT);
    let health = serving.url("/health").await;
    eventually(
        "it knows",
        async || http().get(&health).send().await.unwrap().text().await.unwrap(),
        |health| health.contains("trunkd elsewhere/1/0 changes this switch"),
    )
    .await;
    assert_eq!(switch.view(|view| told(view, "startgw")), starts);
    // And takes it up when the other one is gone.
    redis::cmd("DEL")
        .arg("trunkd:lease:fs1")
        .exec_async(&mut connection)
        .await
        .unwrap();
    switch
        .wait_until("it is started", |view| told(view, "startgw") == starts + 1)
        .await;
}
