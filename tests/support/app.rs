//! A whole trunkd in this process, as `trunkd serve` runs it, on a Redis of its own, and helpers to
//! ask it and to wait for it.

use std::future::Future;
use std::net::SocketAddr;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use figment::providers::{Format, Toml};
use redis::AsyncCommands;
use redis::aio::MultiplexedConnection;
use serde_json::Value;
use tokio_util::sync::CancellationToken;
use trunkd::app::{AppError, Application, Timing};
use trunkd::placement::Patience;
use trunkd::settings::{Settings, Sources};
use trunkd::{ingest, liveness, reconcile, webhooks};

use super::fake_switch::{Binding, FakeSwitch};
use super::redis::{Group, RedisServer};

/// How long to wait for a condition: far longer than any should take on a busy machine.
const DEADLINE: Duration = Duration::from_secs(20);
/// Fractions of a second for what takes seconds in production.
pub fn quick() -> Timing {
    let ingest = ingest::Timing {
        connection: trunkd::event_socket::Timing {
            connect: Duration::from_secs(5),
            silence: Duration::from_millis(400),
            // On a busy machine a switch must not count as dead, because its events would be lost.
            answer: Duration::from_secs(2),
        },
        resync_interval: Duration::from_secs(60),
        settle: Duration::from_millis(60),
        first_retry: Duration::from_millis(20),
        most_retry: Duration::from_millis(200),
        refused_retry: Duration::from_millis(700),
        touch_interval: Duration::from_millis(100),
        stale_after: Duration::from_millis(500),
        ping_limit: Duration::from_secs(2),
    };
    let reconcile = reconcile::Timing {
        delete: Duration::from_secs(5),
        down: Duration::from_millis(500),
        appear: Duration::from_millis(500),
        confirm: Duration::from_millis(30),
        first_retry: Duration::from_millis(50),
        most_retry: Duration::from_millis(500),
        coalesce: Duration::from_millis(20),
        interval: Duration::from_millis(500),
        lease: Duration::from_secs(1),
        settle: Duration::from_millis(300),
        ..reconcile::Timing::default()
    };
    let webhooks = webhooks::Timing {
        poll: Duration::from_millis(20),
        timeout: Duration::from_secs(2),
        first_retry: Duration::from_millis(20),
        most_retry: Duration::from_millis(100),
        lease: Duration::from_secs(1),
        ..webhooks::Timing::default()
    };
    Timing {
        ingest,
        reconcile,
        webhooks,
        liveness: liveness::Timing {
            interval: Duration::from_millis(50),
        },
        patience: Patience {
            quiet: Duration::from_millis(100),
            leave: Duration::from_secs(5),
            arrive: Duration::from_secs(5),
            again: Duration::from_millis(500),
        },
        save_calls: Duration::from_millis(50),
    }
}

/// A Redis that a trunkd can use.
pub trait Reached {
    /// The lines under `[redis]`.
    fn settings(&self) -> String;
}

impl Reached for RedisServer {
    fn settings(&self) -> String {
        format!("url = {:?}\n", self.url())
    }
}

impl Reached for Group {
    fn settings(&self) -> String {
        Group::settings(self)
    }
}

/// The lines themselves.
impl Reached for str {
    fn settings(&self) -> String {
        self.to_owned()
    }
}

/// A trunkd that runs until it is dropped or stopped.
pub struct TestApp {
    pub address: SocketAddr,
    /// Where the API listens, if the settings have it.
    pub api_address: Option<SocketAddr>,
    stop: CancellationToken,
    thread: Option<JoinHandle<Result<(), AppError>>>,
    folder: tempfile::TempDir,
}

/// How a trunkd is started; by default with [`quick`] timing, an empty data directory, and asked by no switch.
pub struct Start<'a> {
    timing: Timing,
    /// The data directory of an earlier one.
    folder: Option<tempfile::TempDir>,
    /// The switches that ask it for `sofia.conf`. They do from its very first moment: it may start gateways on them
    /// before [`TestApp::launch`] returns.
    asked_by: &'a [&'a FakeSwitch],
}

impl Default for Start<'_> {
    fn default() -> Self {
        Self {
            timing: quick(),
            folder: None,
            asked_by: &[],
        }
    }
}

impl<'a> Start<'a> {
    pub fn asked_by(switches: &'a [&'a FakeSwitch]) -> Self {
        Self {
            asked_by: switches,
            ..Self::default()
        }
    }

    pub fn timing(self, timing: Timing) -> Self {
        Self { timing, ..self }
    }

    pub fn folder(self, folder: tempfile::TempDir) -> Self {
        Self {
            folder: Some(folder),
            ..self
        }
    }
}

impl TestApp {
    /// With these settings (TOML) over a free port, the repository's templates, `redis`, and
    /// switches that are left alone.
    pub async fn start(redis: &(impl Reached + ?Sized), toml: &str) -> Self {
        Self::launch(redis, toml, Start::default()).await
    }

    pub async fn start_with(redis: &(impl Reached + ?Sized), toml: &str, timing: Timing) -> Self {
        Self::launch(redis, toml, Start::default().timing(timing)).await
    }

    /// With the data directory of an earlier one.
    pub async fn start_in(
        redis: &(impl Reached + ?Sized),
        toml: &str,
        timing: Timing,
        folder: tempfile::TempDir,
    ) -> Self {
        Self::launch(redis, toml, Start::default().timing(timing).folder(folder)).await
    }

    /// One that these switches ask for `sofia.conf`.
    pub async fn asked_by(switches: &[&FakeSwitch], redis: &(impl Reached + ?Sized), toml: &str) -> Self {
        Self::launch(redis, toml, Start::asked_by(switches)).await
    }

    pub async fn launch(redis: &(impl Reached + ?Sized), toml: &str, start: Start<'_>) -> Self {
        let Start {
            timing,
            folder,
            asked_by,
        } = start;
        let folder = folder.unwrap_or_else(|| tempfile::tempdir().expect("a data directory"));
        let settings = settings(redis, folder.path(), toml);
        let stop = CancellationToken::new();
        let (send, receive) = tokio::sync::oneshot::channel();
        let (run, may_run) = tokio::sync::oneshot::channel();
        let until = stop.clone();
        // A runtime of its own, like the program: a test that blocks does not block it.
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_multi_thread()
                .worker_threads(2)
                .enable_all()
                .build();
            runtime.expect("a runtime").block_on(async move {
                let application = Application::build(settings, timing).await?;
                let _ = send.send((application.address(), application.api_address()));
                let _ = may_run.await;
                application.run_until_stopped(until).await
            })
        });
        let Ok((address, api_address)) = receive.await else {
            panic!(
                "trunkd did not start: {:?}",
                thread
                    .join()
                    .expect("no panic at the start")
                    .err()
                    .map(|e| e.to_string())
            );
        };
        let app = Self {
            address,
            api_address,
            stop,
            thread: Some(thread),
            folder,
        };
        for switch in asked_by {
            switch.set_binding(Some(Binding::new(app.xml_curl_url())));
        }
        let _ = run.send(());
        app
    }

    /// A trunkd with a switch `fs1` that booted with its `sofia.conf`, connected to each other.
    pub async fn with_switch(redis: &(impl Reached + ?Sized), switch: &FakeSwitch, toml: &str) -> Self {
        Self::with_switches(redis, &[switch], toml).await
    }

    /// The same with several. `toml` has the settings of those after the first, which is `fs1`.
    pub async fn with_switches(redis: &(impl Reached + ?Sized), switches: &[&FakeSwitch], toml: &str) -> Self {
        let toml = format!("{}\n{toml}", switch_toml(switches[0], "fs1"));
        let app = Self::asked_by(switches, redis, &toml).await;
        for switch in switches {
            switch.restart().await;
            switch
                .wait_until("trunkd listens to events", |view| view.listeners() >= 1)
                .await;
        }
        app
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub fn xml_curl_url(&self) -> String {
        self.url("/xml_curl")
    }

    /// What mod_xml_curl would post for `sofia.conf`, with more pairs (`profile=external`) after
    /// it. The status and the body.
    pub async fn ask(&self, more: &str) -> (u16, String) {
        let form = format!(
            "hostname=fs1&section=configuration&tag_name=configuration&key_name=name&key_value=sofia.conf&{more}"
        );
        self.ask_form(&form).await
    }

    /// What mod_xml_curl would post with this form.
    pub async fn ask_form(&self, form: &str) -> (u16, String) {
        let response = http()
            .post(self.xml_curl_url())
            .header("Content-Type", "application/x-www-form-urlencoded")
            .body(form.to_owned())
            .send()
            .await
            .expect("an answer");
        (response.status().as_u16(), response.text().await.expect("a body"))
    }

    /// The names of the gateways in the external profile, as `fs1` gets them.
    pub async fn served(&self) -> Vec<String> {
        let (status, body) = self.ask("profile=external").await;
        assert_eq!(status, 200, "{body}");
        let names = body
            .split("<gateway name=\"")
            .skip(1)
            .map(|rest| rest[..rest.find('"').expect("a quote")].to_owned());
        names.collect()
    }

    pub async fn get(&self, path: &str) -> (u16, String) {
        let response = http().get(self.url(path)).send().await.expect("an answer");
        (response.status().as_u16(), response.text().await.expect("a body"))
    }

    pub async fn health(&self) -> Value {
        serde_json::from_str(&self.get("/health").await.1).expect("/health is JSON")
    }

    /// A part of `/health`, such as `redis` or `switch:fs1`.
    pub async fn part(&self, name: &str) -> Value {
        let health = self.health().await;
        let parts = health["parts"].as_array().expect("parts").clone();
        parts.into_iter().find(|part| part["name"] == name).unwrap_or_default()
    }

    /// Waits until the reason of a part in `/health` contains all of these words.
    pub async fn wait_for_reason(&self, part: &str, words: &[&str]) -> Value {
        let reported = eventually(
            "the reason is in /health",
            || self.part(part),
            |part| {
                let reason = part["reason"].as_str();
                reason.is_some_and(|reason| words.iter().all(|word| reason.contains(word)))
            },
        );
        reported.await
    }

    /// The value of a metric with exactly these labels, as `/metrics` prints it:
    /// `name{label="value"}`.
    pub async fn metric(&self, series: &str) -> Option<f64> {
        let (_, text) = self.get("/metrics").await;
        text.lines()
            .find_map(|line| line.strip_prefix(series)?.strip_prefix(' ')?.parse().ok())
    }

    pub fn folder(&self) -> &std::path::Path {
        self.folder.path()
    }

    /// Stops it as SIGTERM does, and returns its data directory.
    pub async fn stop(mut self) -> tempfile::TempDir {
        self.stop.cancel();
        let thread = self.thread.take().expect("stopped once");
        let ended = tokio::task::spawn_blocking(move || thread.join())
            .await
            .expect("joined");
        ended.expect("no panic").expect("a clean end");
        std::mem::replace(&mut self.folder, tempfile::tempdir().expect("an empty folder"))
    }
}

impl Drop for TestApp {
    fn drop(&mut self) {
        self.stop.cancel();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// A client for plain HTTP; reqwest wants a TLS provider anyway.
pub fn http() -> reqwest::Client {
    http_builder().build().expect("a client")
}

pub fn http_builder() -> reqwest::ClientBuilder {
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder()
}

pub fn settings(redis: &(impl Reached + ?Sized), folder: &std::path::Path, toml: &str) -> Settings {
    let base = format!(
        "data_dir = {folder:?}\n[http]\nlisten = \"127.0.0.1:0\"\n[api]\nenabled = false\nlisten = \"127.0.0.1:0\"\nlook_up_hosts = false\n[redis]\n{}[templates]\ndir = {:?}\n[reconcile]\nmode = \"off\"\n",
        redis.settings(),
        concat!(env!("CARGO_MANIFEST_DIR"), "/templates"),
    );
    let flags = figment::Figment::new()
        .merge(Toml::string(&base))
        .merge(Toml::string(toml));
    Settings::load_from(&Sources::default(), flags).expect("settings of a test")
}

pub fn switch_toml(switch: &FakeSwitch, name: &str) -> String {
    format!(
        "[[switch]]\nname = \"{name}\"\naddress = \"{}\"\npassword = \"ClueCon\"\n",
        switch.address()
    )
}

/// Polls until a condition holds. Panics after 20 s with what it waited for and what it saw last.
pub async fn eventually<T, F>(what: &str, look: impl FnMut() -> F, holds: impl Fn(&T) -> bool) -> T
where
    T: std::fmt::Debug,
    F: Future<Output = T>,
{
    eventually_within(DEADLINE, what, look, holds).await
}

/// The same with another limit.
pub async fn eventually_within<T, F>(
    deadline: Duration,
    what: &str,
    mut look: impl FnMut() -> F,
    holds: impl Fn(&T) -> bool,
) -> T
where
    T: std::fmt::Debug,
    F: Future<Output = T>,
{
    let start = Instant::now();
    loop {
        let seen = look().await;
        if holds(&seen) {
            return seen;
        }
        assert!(
            start.elapsed() < deadline,
            "not within {deadline:?}: {what}; last seen: {seen:#?}"
        );
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Another program that reads and writes Redis.
#[derive(Clone)]
pub struct Other {
    pub connection: MultiplexedConnection,
}

impl Other {
    pub async fn new(redis: &RedisServer) -> Self {
        Self {
            connection: redis.connection().await,
        }
    }

    /// On the server that is the master of a group now.
    pub async fn of_master(group: &Group) -> Self {
        Self {
            connection: group.connection(group.master().await).await,
        }
    }

    pub async fn set_gateway(&self, domain: &str, name: &str, value: &str) {
        let key = format!("cti_gateway@{domain}");
        self.connection
            .clone()
            .hset::<_, _, _, ()>(key, name, value)
            .await
            .expect("HSET");
    }

    pub async fn delete_gateway(&self, domain: &str, name: &str) {
        self.connection
            .clone()
            .hdel::<_, _, ()>(format!("cti_gateway@{domain}"), name)
            .await
            .expect("HDEL");
    }

    pub async fn hash(&self, key: &str) -> std::collections::BTreeMap<String, Value> {
        let raw: std::collections::BTreeMap<String, String> =
            self.connection.clone().hgetall(key).await.expect("HGETALL");
        raw.into_iter()
            .map(|(field, value)| (field, serde_json::from_str(&value).expect("values are JSON")))
            .collect()
    }

    /// In `trunkd:reconcile`, each trunkd has a field for each switch. With the name of a switch
    /// alone, this returns the field of the trunkd that changes it.
    pub async fn field(&self, key: &str, field: &str) -> Option<Value> {
        if key == "trunkd:reconcile" && !field.contains(' ') {
            let all = self.hash(key).await.into_iter();
            let of_switch = all.filter(|(name, _)| name.split_once(' ').is_some_and(|(switch, _)| switch == field));
            return of_switch
                .map(|(_, report)| report)
                .max_by_key(|report| report["leads"] == true);
        }
        let raw: Option<String> = self.connection.clone().hget(key, field).await.expect("HGET");
        raw.map(|value| serde_json::from_str(&value).expect("values are JSON"))
    }

    pub async fn list(&self, key: &str) -> Vec<Value> {
        let raw: Vec<String> = self.connection.clone().lrange(key, 0, -1).await.expect("LRANGE");
        raw.iter()
            .map(|value| serde_json::from_str(value).expect("entries are JSON"))
            .collect()
    }

    /// The entries of the history of this kind, oldest first.
    pub async fn history(&self, kind: &str) -> Vec<Value> {
        let mut range = redis::cmd("XRANGE");
        range.arg(&["trunkd:history", "-", "+"]);
        let entries: Vec<(String, Vec<(String, String)>)> =
            range.query_async(&mut self.connection.clone()).await.expect("XRANGE");
        let parsed = entries
            .into_iter()
            .map(|(_, fields)| serde_json::from_str::<Value>(&fields[0].1).expect("entries are JSON"));
        parsed.filter(|entry| entry["kind"] == kind).collect()
    }

    /// Waits until the value of a field has `expected` at `pointer`, such as `/State`.
    pub async fn wait_for(&self, key: &str, field: &str, pointer: &str, expected: impl Into<Value>) -> Value {
        let expected = expected.into();
        let what = format!("{key} {field} has {pointer} = {expected}");
        let seen = eventually(
            &what,
            || self.field(key, field),
            |value| value.as_ref().and_then(|value| value.pointer(pointer)) == Some(&expected),
        );
        seen.await.expect("a value")
    }

    pub async fn wait_for_gone(&self, key: &str, field: &str) {
        eventually(
            &format!("{key} has no {field}"),
            || self.field(key, field),
            Option::is_none,
        )
        .await;
    }
}
