//! `trunkd export`, `diff` and `sync`, as an operator types them, over a real Redis.

use std::os::unix::fs::PermissionsExt;

use redis::AsyncCommands;
use serde_json::Value;

use super::shell::Shell;
use crate::support::app::Other;
use crate::support::redis::RedisServer;

async fn alone() -> (RedisServer, Other, Shell) {
    let redis = RedisServer::start().await;
    let (other, shell) = (Other::new(&redis).await, Shell::new(&redis, ""));
    (redis, other, shell)
}

async fn stored(other: &Other, domain: &str, name: &str) -> Option<Value> {
    other.field(&format!("cti_gateway@{domain}"), name).await
}

/// All keys of gateways, as bytes.
async fn all(redis: &RedisServer) -> Vec<(Vec<u8>, Vec<(Vec<u8>, Vec<u8>)>)> {
    let mut connection = redis.connection().await;
    let mut keys: Vec<Vec<u8>> = connection.keys("cti_gateway@*").await.unwrap();
    keys.sort();
    let mut all = Vec::new();
    for key in keys {
        let mut fields: Vec<(Vec<u8>, Vec<u8>)> = connection.hgetall(&key).await.unwrap();
        fields.sort();
        all.push((key, fields));
    }
    all
}

const CARRIER: &str = r#"{"param": {"realm": "sip.example.net", "username": "0123", "password": "s3cret", "ping": 25.50},
 "variables": {"p:caller_id_number": "+4930123"}, "tags": ["a", "b"], "name": "kept", "x": [1.0, {"y": null}]}"#;

#[tokio::test]
async fn what_is_exported_is_synced_without_a_change_and_fills_an_empty_redis() {
    let (redis, other, shell) = alone().await;
    other.set_gateway("acme", "carrier1", CARRIER).await;
    other
        .set_gateway(
            "acme",
            "carrier2",
            r#"{"param":{"realm":"b.example","username":"u","password":"p"}}"#,
        )
        .await;
    other
        .set_gateway("globex", "gw", r#"{"enabled": false, "param": {"realm": "x"}}"#)
        .await;
    let mut connection = redis.connection().await;
    let odd: &[(&[u8], &[u8], &[u8])] = &[
        (
            b"cti_gateway@\xff\\odd",
            b"gw9",
            br#"{"param":{"realm":"\u00e9\u2028"}}"#,
        ),
        (b"cti_gateway@acme", b"not utf-8 \xff", b"{}"),
        (b"cti_gateway@acme", b"broken", b"{\xff"),
    ];
    for (key, field, value) in odd {
        let () = connection.hset(*key, *field, *value).await.unwrap();
    }
    let before = all(&redis).await;

    for (secrets, format, file) in [
        ("omit", "yaml", "omit.yaml"),
        ("plain", "json", "plain.json"),
        ("plain", "yaml", "all/"),
    ] {
        let exported = shell
            .run(&["export", "--secrets", secrets, "--format", format, "-o", file])
            .await;
        exported.expect(2);
        assert!(
            exported.error.contains(r"acme/not utf-8 \\xff is left out: "),
            "{}",
            exported.error
        );
        assert!(
            exported.error.contains("acme/broken is left out: it is not UTF-8"),
            "{}",
            exported.error
        );
        assert_eq!(shell.run(&["diff", "-f", file]).await.expect(0), "4 as they are.\n");
        shell.run(&["sync", "-f", file, "--yes"]).await.expect(0);
        assert_eq!(all(&redis).await, before, "{secrets} {format}");
    }
    let mode = |file: &str| std::fs::metadata(shell.path().join(file)).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode("plain.json"), mode("all/acme/carrier1.yaml")), (0o600, 0o600));
    let omitted = std::fs::read_to_string(shell.path().join("omit.yaml")).unwrap();
    assert!(
        !omitted.contains("s3cret") && omitted.contains("username: \"0123\""),
        "{omitted}"
    );
    let env = shell.run(&["export", "--domain", "acme", "--secrets", "env"]).await;
    assert!(env.out.contains("${env:TRUNKD_SECRET_acme_carrier1_password}") && !env.out.contains("s3cret"));

    let () = redis::cmd("FLUSHALL").query_async(&mut connection).await.unwrap();
    shell.run(&["sync", "-f", "plain.json", "--yes"]).await.expect(0);
    assert_eq!(shell.run(&["diff", "-f", "all/"]).await.expect(0), "4 as they are.\n");
    let carrier: Value = serde_json::from_str(CARRIER).unwrap();
    assert_eq!(stored(&other, "acme", "carrier1").await, Some(carrier));
    let raw: String = connection.hget("cti_gateway@acme", "carrier1").await.unwrap();
    assert!(raw.contains("25.50"), "{raw}");
}

const FILES: &str = "---
domain: acme
name: carrier1
param:
  realm: a.example
  username: u
  password: ${env:TRUNKD_SECRET_OF_TEST}
---
domain: acme
name: carrier2
param: {realm: b.example, username: u, password: \"${file:secret}\"}
";

#[tokio::test]
async fn sync_shows_the_difference_writes_it_and_is_idempotent() {
    let (_redis, other, shell) = alone().await;
    shell.write("git/carriers.yaml", FILES);
    shell.write("git/secret", "from-a-file\n");
    other
        .set_gateway(
            "acme",
            "mine",
            r#"{"param":{"realm":"m.example","username":"u","password":"p"}}"#,
        )
        .await;
    other
        .set_gateway(
            "acme",
            "carrier2",
            r#"{"param":{"realm":"old.example","username":"u"},"tags":["t"]}"#,
        )
        .await;

    let diff = shell.run(&["diff", "-f", "git"]).await;
    let shown = diff.expect(2);
    assert!(
        shown.contains("+ acme/carrier1 (git/carriers.yaml:2): param.realm \"a.example\""),
        "{shown}"
    );
    assert!(shown.contains("~ acme/carrier2 (git/carriers.yaml:9): param.realm \"old.example\" -> \"b.example\""));
    assert!(
        shown.contains("param.password (secret), tags [\"t\"] removed"),
        "{shown}"
    );
    assert!(
        shown.contains("1 to add, 1 to change.\n") && !shown.contains("from-"),
        "{shown}"
    );
    shell.run(&["sync", "-f", "git", "--dry-run"]).await.expect(2);
    let unasked = shell.run(&["sync", "-f", "git"]).await;
    assert!(
        unasked.status == 1 && unasked.error.contains("add --yes"),
        "{unasked:?}"
    );
    assert_eq!(stored(&other, "acme", "carrier1").await, None);

    let synced = shell.run(&["sync", "-f", "git", "--yes"]).await;
    assert!(synced.expect(0).ends_with("acme: 2 written\n"), "{synced:?}");
    let password = |value: Option<Value>| value.unwrap()["param"]["password"].clone();
    assert_eq!(
        password(stored(&other, "acme", "carrier1").await),
        "from-the-environment"
    );
    assert_eq!(password(stored(&other, "acme", "carrier2").await), "from-a-file");
    let again = shell.run(&["sync", "-f", "git", "--yes"]).await;
    assert_eq!(again.expect(0), "2 as they are.\nNothing to change.\n");
    let history = shell.run(&["history", "--json"]).await.json();
    let items = history["items"].as_array().unwrap();
    let by_us: Vec<_> = items
        .iter()
        .filter(|item| item["who"].as_str().unwrap().starts_with("cli:"))
        .collect();
    assert_eq!(by_us.len(), 2, "{history}");
    assert!(stored(&other, "acme", "mine").await.is_some());
}

#[tokio::test]
async fn only_what_a_set_wrote_and_no_longer_has_is_pruned() {
    let (redis, other, shell) = alone().await;
    let trunk =
        |name: &str| format!("---\n{{domain: acme, name: {name}, param: {{realm: r, username: u, password: p}}}}\n");
    shell.write("git/a.yaml", &trunk("a"));
    shell.write("git/b.yaml", &trunk("b"));
    other
        .set_gateway(
            "acme",
            "mine",
            r#"{"param":{"realm":"m","username":"u","password":"p"}}"#,
        )
        .await;
    // What the files have already belongs to the set as well.
    other
        .set_gateway("acme", "b", r#"{"param":{"realm":"r","username":"u","password":"p"}}"#)
        .await;
    let sync = ["sync", "-f", "git", "--set", "prod", "--yes"];
    shell.run(&sync).await.expect(0);

    std::fs::remove_file(shell.path().join("git/b.yaml")).unwrap();
    shell.run(&sync).await.expect(0);
    assert!(stored(&other, "acme", "b").await.is_some());
    let other_set = shell
        .run(&["sync", "-f", "git", "--set", "other", "--prune", "--yes"])
        .await;
    assert!(other_set.expect(0).contains("1 as they are"), "{other_set:?}");
    let pruned = shell.run(&[&sync[..], &["--prune"]].concat()).await;
    // The other set has taken `a` over, and has it still.
    assert!(pruned.expect(0).contains("- acme/b (set prod)"), "{pruned:?}");
    assert_eq!(stored(&other, "acme", "b").await, None);
    assert!(stored(&other, "acme", "mine").await.is_some());

    std::fs::remove_file(shell.path().join("git/a.yaml")).unwrap();
    let empty = shell.run(&[&sync[..], &["--prune"]].concat()).await;
    assert!(empty.status == 1 && empty.error.contains("--allow-empty"), "{empty:?}");
    assert!(stored(&other, "acme", "a").await.is_some());
    // A gateway that is deleted and made again by hand is no longer the set's.
    shell.gateway(&["delete", "a", "--yes"]).await.expect(0);
    shell
        .gateway(&["set", "a", "realm=r", "username=u", "password=p", "--domain=acme"])
        .await
        .expect(0);
    let empty = shell.run(&[&sync[..], &["--prune", "--allow-empty"]].concat()).await;
    assert_eq!(empty.expect(0), "No gateways.\nNothing to change.\n");
    assert!(stored(&other, "acme", "a").await.is_some());
    let _ = redis;
}

#[tokio::test]
async fn absent_deletes_and_what_is_refused_stops_its_domain_alone() {
    let (_redis, other, shell) = alone().await;
    other
        .set_gateway(
            "acme",
            "gone",
            r#"{"param":{"realm":"m","username":"u","password":"p"}}"#,
        )
        .await;
    let documents = r#"{"domain":"acme","name":"gone","state":"absent"}
{"domain":"globex","name":"good","param":{"realm":"r","username":"u","password":"p"}}
{"domain":"globex","name":"bad","param":{"username":"u","password":"p","expire-seconds":"x"}}
"#;
    let synced = shell.typed(&["sync", "-f", "-", "--yes"], documents).await;
    let shown = synced.expect(1);
    assert!(shown.contains("- acme/gone (stdin:1)\n"), "{shown}");
    assert!(
        shown.contains("! globex/bad (stdin:3)") && shown.contains("    error: "),
        "{shown}"
    );
    assert!(
        shown.contains("acme: 1 written\nglobex: not written: a gateway is refused\n"),
        "{shown}"
    );
    assert_eq!(stored(&other, "acme", "gone").await, None);
    assert_eq!(stored(&other, "globex", "good").await, None);
}

#[tokio::test]
async fn nothing_outside_of_what_is_named_is_read() {
    let (_redis, _other, shell) = alone().await;
    shell.write("outside.yaml", &FILES.replace("${file:secret}", "p"));
    shell.write("git/.hidden/x.yaml", "not: read");
    shell.write("git/readme.md", "not read");
    assert_eq!(shell.run(&["diff", "-f", "git"]).await.expect(0), "No gateways.\n");
    std::os::unix::fs::symlink("..", shell.path().join("git/up")).unwrap();
    assert_eq!(shell.run(&["diff", "-f", "git"]).await.expect(0), "No gateways.\n");
    std::os::unix::fs::symlink("../outside.yaml", shell.path().join("git/link.yaml")).unwrap();
    let linked = shell.run(&["diff", "-f", "git"]).await;
    assert!(
        linked.status == 1 && linked.error.contains("git/link.yaml is a link to a file outside"),
        "{linked:?}"
    );
    std::fs::remove_file(shell.path().join("git/link.yaml")).unwrap();
    for path in ["../outside.yaml", "/etc/hostname", "none"] {
        let document = format!("domain: d\nname: gw\nparam: {{realm: r, password: \"${{file:{path}}}\"}}\n");
        shell.write("git/gw.yaml", &document);
        let refused = shell.run(&["diff", "-f", "git"]).await;
        assert!(
            refused.status == 1 && refused.error.contains("git/gw.yaml:1: the secret in"),
            "{refused:?}"
        );
    }
    shell.write("git/gw.yaml", "domain: d\n\nname: {password: hunter2}\n");
    let wrong = shell.run(&["sync", "-f", "git", "--yes"]).await;
    assert_eq!(
        wrong.error,
        "trunkd: git/gw.yaml:1: name is not a text: put it in quotes\n"
    );
    let twice = format!("{FILES}{FILES}").replace("${file:secret}", "p");
    let twice = shell.typed(&["sync", "-f", "-", "--yes"], &twice).await;
    assert!(
        twice.error.contains("is there twice: stdin:2 and stdin:13"),
        "{twice:?}"
    );
}

#[tokio::test]
async fn ten_thousand_gateways_are_synced_in_one_step() {
    let (redis, _other, shell) = alone().await;
    let document = |n: usize| {
        format!(
            r#"{{"domain":"acme","name":"gw{n}","param":{{"realm":"r{n}.example","username":"u","password":"p"}}}}"#
        )
    };
    let documents: Vec<_> = (0..10_000).map(document).collect();
    shell.write("many.jsonl", &documents.join("\n"));
    let synced = shell.run(&["sync", "-f", "many.jsonl", "--yes", "--set", "many"]).await;
    assert!(synced.expect(0).ends_with("acme: 10000 written\n"));
    assert_eq!(
        shell.run(&["diff", "-f", "many.jsonl"]).await.expect(0),
        "10000 as they are.\n"
    );
    let mut connection = redis.connection().await;
    let count: usize = connection.hlen("cti_gateway@acme").await.unwrap();
    assert_eq!(count, 10_000);
}
