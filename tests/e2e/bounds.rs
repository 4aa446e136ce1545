//! What stays bounded, whatever Redis, a file or an operator holds in store for trunkd.

use redis::aio::MultiplexedConnection;

use crate::program::{Serving, TEMPLATES};
use crate::support::redis::RedisServer;

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
