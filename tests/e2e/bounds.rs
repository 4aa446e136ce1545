//! What stays bounded, whatever is in Redis, in a file or in an order.

use std::fs::Permissions;
use std::net::SocketAddr;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use nix::sys::signal::Signal;
use nix::sys::stat::Mode;
use nix::unistd::mkfifo;
use redis::AsyncCommands;
use redis::aio::MultiplexedConnection;
use serde_json::Value;

use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use trunkd::control::Drained;
use trunkd::operate::sources;

use crate::program::{SOFIA_CONF, Serving, TEMPLATES};
use crate::support::app::{TestApp, eventually, http, quick, settings, switch_toml};
use crate::support::fake_switch::{Binding, FakeSwitch};
use crate::support::redis::{Data, RedisServer};

const IP_TRUNK: &str = r#"{"param":{"realm":"sip.example.net","register":"false"}}"#;

/// `trunkd serve` in `folder`, on this Redis.
fn serve(folder: &Path, redis: &RedisServer, toml: &str) -> Serving {
    let settings = format!("{toml}\n[redis]\nurl = \"{}\"\n", redis.url());
    std::fs::write(folder.join("trunkd.toml"), settings).unwrap();
    Serving::start(folder, &["--templates", TEMPLATES, "--data-dir", "data"])
}

async fn put(connection: &mut MultiplexedConnection, fields: &[(String, String)]) {
    for some in fields.chunks(1000) {
        let mut command = redis::cmd("HSET");
        command.arg("cti_gateway@default");
        for (name, value) in some {
            command.arg(name).arg(value);
        }
        command.exec_async(connection).await.unwrap();
    }
}

fn lines_with(log: &str, words: &str) -> usize {
    log.lines().filter(|line| line.contains(words)).count()
}

#[tokio::test]
async fn forty_thousand_findings_are_some_lines_and_a_summary_and_an_edit_is_its_own() {
    let (redis, folder) = (RedisServer::start().await, tempfile::tempdir().unwrap());
    let mut connection = redis.connection().await;
    // Each of four keys of the operator's own is a warning.
    let own = r#"{"param":{"realm":"sip.example.net","register":"false"},"a":1,"b":2,"c":3,"d":4}"#;
    let gateways: Vec<_> = (0..10_000).map(|n| (format!("gw{n:05}"), own.to_owned())).collect();
    put(&mut connection, &gateways).await;
    let serving = serve(folder.path(), &redis, "[log]\nformat = \"json\"\n");
    serving.wait_for("40000 warnings").await;
    let log = serving.log();
    let told = lines_with(&log, "domain default");
    assert_eq!(told, 20, "{log}");

    put(&mut connection, &[("broken".to_owned(), "{".to_owned())]).await;
    serving.wait_for("gateway broken").await;
    put(&mut connection, &[("broken".to_owned(), IP_TRUNK.to_owned())]).await;
    serving.wait_for("resolved: domain default, gateway broken").await;
    let news: Vec<_> = serving
        .log()
        .lines()
        .skip(log.lines().count())
        .map(str::to_owned)
        .collect();
    let about_gateways = news.iter().filter(|line| line.contains("domain default"));
    assert!(
        about_gateways.clone().all(|line| line.contains("gateway broken")),
        "{news:#?}"
    );
    assert_eq!(about_gateways.count(), 2, "{news:#?}");
}

#[tokio::test]
async fn domains_whose_names_are_no_text_stay_apart() {
    let mut redis = RedisServer::start().await;
    let mut connection = redis.connection().await;
    // What each would look like as lossy text, and what an escape of the first looks like.
    let keys: [&[u8]; 4] = [
        b"cti_gateway@\xff",
        b"cti_gateway@\xfe",
        "cti_gateway@\u{fffd}".as_bytes(),
        br"cti_gateway@\xff",
    ];
    for (number, key) in keys.iter().enumerate() {
        let _: () = connection.hset(key, format!("gw{number}"), IP_TRUNK).await.unwrap();
        let _: () = connection.hset(key, "same", IP_TRUNK).await.unwrap();
    }
    let app = TestApp::start(&redis, "").await;
    assert_eq!(app.served().await, ["gw0", "gw1", "gw2", "gw3", "same"]);

    let _: () = connection.hdel(keys[0], "gw0").await.unwrap();
    assert_eq!(app.served().await, ["gw1", "gw2", "gw3", "same"]);
    let _: () = connection.del(keys[1]).await.unwrap();
    assert_eq!(app.served().await, ["gw2", "gw3", "same"]);
    let _: () = connection.hset(keys[1], "back", IP_TRUNK).await.unwrap();
    assert_eq!(app.served().await, ["back", "gw2", "gw3", "same"]);

    // They stay apart on the disk, too.
    let kept = || async { std::fs::read_to_string(app.folder().join("last-good")).unwrap_or_default() };
    eventually("all is kept", kept, |kept| {
        kept.contains("back") && !kept.contains("gw1")
    })
    .await;
    let folder = app.stop().await;
    redis.kill();
    let app = TestApp::start_in(&redis, "", quick(), folder).await;
    assert_eq!(app.served().await, ["back", "gw2", "gw3", "same"]);
    redis.restart(Data::Lost).await;
    let mut connection = redis.connection().await;
    // Held until then, because all of them are gone.
    for (key, gateway) in [(keys[1], "back"), (keys[2], "gw2"), (keys[3], "gw3")] {
        let _: () = connection.hset(key, gateway, IP_TRUNK).await.unwrap();
    }
    eventually(
        "they are known again",
        || app.served(),
        |served| *served == ["back", "gw2", "gw3"],
    )
    .await;
}

fn fifo(path: impl AsRef<Path>) {
    mkfifo(path.as_ref(), Mode::from_bits_truncate(0o600)).unwrap();
}

/// A folder with a data directory as trunkd makes it.
fn folder_with_data() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::DirBuilder::new()
        .mode(0o700)
        .create(folder.path().join("data"))
        .unwrap();
    folder
}

#[tokio::test]
async fn a_fifo_in_the_place_of_the_last_good_state_or_the_lock_holds_nothing_up() {
    let redis = RedisServer::start().await;
    for (file, words) in [
        ("last-good", "last-good cannot be read: it is a FIFO"),
        ("lock", "its lock cannot be opened: it is a FIFO"),
    ] {
        let folder = folder_with_data();
        fifo(folder.path().join("data").join(file));
        let mut serving = serve(folder.path(), &redis, "[log]\nformat = \"json\"\n");
        serving.wait_for(words).await;
        serving.wait_for("\"serving\"").await;
        serving.signal(Signal::SIGTERM);
        assert!(serving.ended().await.success(), "{}", serving.log());
    }
}

#[tokio::test]
async fn a_data_directory_that_cannot_be_written_shows_in_health_until_it_can() {
    let redis = RedisServer::start().await;
    let app = TestApp::start(&redis, "").await;
    let mut connection = redis.connection().await;
    let _: () = connection.hset("cti_gateway@default", "gw", IP_TRUNK).await.unwrap();
    let kept = || async { std::fs::read_to_string(app.folder().join("last-good")).unwrap_or_default() };
    eventually("it is kept", kept, |kept| kept.contains("gw")).await;
    assert_eq!(app.part("data_dir").await["state"], "ok");

    // Not even root can write there.
    std::fs::remove_file(app.folder().join("last-good")).unwrap();
    std::fs::create_dir(app.folder().join("last-good")).unwrap();
    let _: () = connection.hset("cti_gateway@default", "gw2", IP_TRUNK).await.unwrap();
    let part = app
        .wait_for_reason("data_dir", &["last-good", "cannot be written"])
        .await;
    assert_eq!(part["state"], "degraded");

    std::fs::remove_dir(app.folder().join("last-good")).unwrap();
    let _: () = connection.hset("cti_gateway@default", "gw3", IP_TRUNK).await.unwrap();
    eventually("it is kept again", kept, |kept| kept.contains("gw3")).await;
    eventually("/health says so", || app.part("data_dir"), |part| part["state"] == "ok").await;
}

#[tokio::test]
async fn a_data_directory_that_others_may_write_to_is_not_used() {
    let redis = RedisServer::start().await;
    let folder = folder_with_data();
    let data = folder.path().join("data");
    std::fs::set_permissions(&data, Permissions::from_mode(0o777)).unwrap();
    let serving = serve(folder.path(), &redis, "[log]\nformat = \"json\"\n");
    serving.wait_for("data_dir data is not safe: its mode is 0777").await;
    let health = serving.url("/health").await;
    let health = http().get(health).send().await.unwrap().text().await.unwrap();
    let health: Value = serde_json::from_str(&health).unwrap();
    let part = health["parts"]
        .as_array()
        .unwrap()
        .iter()
        .find(|part| part["name"] == "data_dir")
        .cloned();
    let reason = part.expect("a part")["reason"].to_string();
    assert!(reason.contains("chmod go-w"), "{reason}");
    assert_eq!(std::fs::read_dir(&data).unwrap().count(), 0, "nothing is put there");
}

/// What is no Redis: it sends `first`, and then `rest` for as long as anybody takes it, on each
/// connection.
struct Junk {
    address: SocketAddr,
    /// The most bytes that were read on one connection.
    most: Arc<AtomicUsize>,
    connections: Arc<AtomicUsize>,
}

impl Junk {
    async fn start(first: &'static [u8], rest: &'static [u8]) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let junk = Self {
            address: listener.local_addr().unwrap(),
            most: Arc::default(),
            connections: Arc::default(),
        };
        let (most, connections) = (junk.most.clone(), junk.connections.clone());
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                connections.fetch_add(1, Ordering::Relaxed);
                let most = most.clone();
                tokio::spawn(async move {
                    let rest = rest.repeat(64 * 1024 / rest.len().max(1));
                    let (mut sent, mut part) = (0, first);
                    while stream.write_all(part).await.is_ok() && !rest.is_empty() {
                        sent += part.len();
                        most.fetch_max(sent, Ordering::Relaxed);
                        part = &rest;
                    }
                });
            }
        });
        junk
    }
}

#[tokio::test]
async fn a_redis_that_sends_junk_is_cut_off_and_named_and_not_hammered() {
    // What the kernel buffers on both sides of a connection before anybody reads it.
    const BUFFERED: usize = 16 * 1024 * 1024;
    let shapes: [(&[u8], &[u8], &str); 6] = [
        (b"$9000000000000000000\r\n", b"a", "too many bytes"),
        (b"$-2\r\n", b"a", "a length is negative"),
        (b"*4000000000\r\n", b":1\r\n", "too many values"),
        (b"+", b"a", "a line is longer"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", b"", "begins with"),
        (b"*1\r\n", b"*1\r\n", "nested"),
    ];
    for (first, rest, words) in shapes {
        let junk = Junk::start(first, rest).await;
        let folder = folder_with_data();
        let settings = format!(
            "[log]\nformat = \"json\"\n[redis]\nurl = \"redis://{}\"\n",
            junk.address
        );
        std::fs::write(folder.path().join("trunkd.toml"), settings).unwrap();
        let serving = Serving::start(folder.path(), &["--templates", TEMPLATES, "--data-dir", "data"]);
        let health = serving.url("/health").await;
        let address = junk.address.to_string();
        let told = || async {
            let health = http().get(&health).send().await.unwrap().text().await.unwrap();
            let health: Value = serde_json::from_str(&health).unwrap();
            let part = health["parts"]
                .as_array()
                .unwrap()
                .iter()
                .find(|part| part["name"] == "redis")
                .cloned();
            part.unwrap_or_default()["reason"]
                .as_str()
                .unwrap_or_default()
                .to_owned()
        };
        eventually("/health names it", told, |told| {
            told.contains(&address) && told.contains(words)
        })
        .await;
        // It keeps retrying.
        let before = junk.connections.load(Ordering::Relaxed);
        let tries = || async { junk.connections.load(Ordering::Relaxed) };
        eventually("it tries again", tries, |tries| *tries > before + 2).await;
        let most = junk.most.load(Ordering::Relaxed);
        assert!(most < BUFFERED, "{most} bytes were taken of {}", first.escape_ascii());
        let log = serving.log();
        assert_eq!(lines_with(&log, "disconnected from Redis at"), 1, "{log}");
        assert!(lines_with(&log, &address) < 8, "{log}");
    }
}

#[tokio::test]
async fn what_redis_refuses_again_and_again_is_logged_once() {
    let (redis, folder) = (RedisServer::start().await, folder_with_data());
    let mut connection = redis.connection().await;
    let _: () = connection.set("trunkd:control", "no hash").await.unwrap();
    let switch = FakeSwitch::builder().start().await;
    let toml = format!("[log]\nformat = \"json\"\n{}", switch_toml(&switch, "fs1"));
    let serving = serve(folder.path(), &redis, &toml);
    switch.set_binding(Some(Binding::new(serving.url("/xml_curl").await)));
    for n in 0..5 {
        // Each edit is read, and makes the reconciler send a command that Redis refuses.
        let gateway = format!("gw{n}");
        put(&mut connection, &[(gateway.clone(), IP_TRUNK.to_owned())]).await;
        let body = || fetch(&serving);
        eventually("it is served", body, |body| body.contains(&gateway)).await;
    }
    let log = serving.log();
    assert!(
        lines_with(&log, "Redis cannot be read") <= 1 && lines_with(&log, "can be read again") <= 1,
        "{log}"
    );
}

async fn fetch(serving: &Serving) -> String {
    let url = format!("{}?{SOFIA_CONF}", serving.url("/xml_curl").await);
    http()
        .get(url)
        .send()
        .await
        .expect("an answer")
        .text()
        .await
        .expect("a body")
}

#[tokio::test]
async fn a_million_fields_among_the_orders_hold_no_edit_up_and_hide_no_pause_or_drain() {
    let (redis, switch) = (RedisServer::start().await, FakeSwitch::builder().start().await);
    let mut connection = redis.local_connection(None).await;
    let fill = redis::Script::new(
        "for first = tonumber(ARGV[1]), ARGV[1] + 9999, 1000 do
           local fields = {}
           for n = first, first + 999 do fields[#fields + 1] = 'apply:nobody' .. n; fields[#fields + 1] = '{}' end
           redis.call('HSET', KEYS[1], unpack(fields))
         end",
    );
    for first in (1..1_000_000).step_by(10_000) {
        let mut fill = fill.key("trunkd:control");
        let _: () = fill.arg(first).invoke_async(&mut connection).await.unwrap();
    }
    let _: () = connection.hset("trunkd:control", b"\xff", b"\xff").await.unwrap();
    let app = TestApp::with_switch(&redis, &switch, "[reconcile]\nmode = \"apply\"\n").await;
    put(&mut connection, &[("gw1".to_owned(), IP_TRUNK.to_owned())]).await;
    switch.wait_for_state("gw1", "NOREG").await;
    app.wait_for_reason("control", &["trunkd:control has 1000001 fields", "delete all but"])
        .await;

    let _: () = connection
        .hset("trunkd:control", "paused:fs1", "2026-11-25T12:00:00Z")
        .await
        .unwrap();
    app.wait_for_reason("reconcile:fs1", &["paused"]).await;
    let store = sources::store(&settings(&redis, app.folder(), "")).unwrap();
    let drained = Drained {
        at: jiff::Timestamp::UNIX_EPOCH,
        by: "cli:root".to_owned(),
    };
    store.drain("fs1", &drained).await.unwrap();
    let control = store.read_control().await.unwrap();
    assert_eq!(control.drained.get("fs1"), Some(&drained));
    let _: () = connection.hdel("trunkd:control", "paused:fs1").await.unwrap();
    put(&mut connection, &[("gw2".to_owned(), IP_TRUNK.to_owned())]).await;
    switch.wait_for_state("gw2", "NOREG").await;
    let _: () = connection.unlink("trunkd:control").await.unwrap();
    eventually("all is well", || app.part("control"), |part| part["state"] == "ok").await;
}
