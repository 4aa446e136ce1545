//! What stays bounded, whatever Redis, a file or an operator holds in store for trunkd.

use redis::AsyncCommands;
use redis::aio::MultiplexedConnection;

use crate::program::{Serving, TEMPLATES};
use crate::support::app::{TestApp, eventually, quick};
use crate::support::redis::{Data, RedisServer};

const IP_TRUNK: &str = r#"{"param":{"realm":"sip.example.net","register":"false"}}"#;

/// `trunkd serve` in `folder`, on this Redis.
fn serve(folder: &std::path::Path, redis: &RedisServer, toml: &str) -> Serving {
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
    serving
        .wait_for("no longer so: error: domain default, gateway broken")
        .await;
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
    // What each would look like if it were made text, and what an escape of the first looks like.
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
    // Held until then, since all is gone.
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
