//! Files of gateways: `trunkd export`, `diff`, `sync`, `backup` and `restore` as an operator types them, and
//! documents by REST, over a real Redis.

use std::os::unix::fs::PermissionsExt;

use redis::AsyncCommands;
use reqwest::Method;
use serde_json::{Value, json};
use trunkd::access::Role;
use trunkd::documents::Format;
use trunkd::operate::files::{SecretSource, read_text};
use trunkd::operate::transfer::{DomainOutcome, TransferOptions};
use trunkd::operate::{Caller, Service};

use super::shell::Shell;
use crate::support::api::{API, Client, send};
use crate::support::app::{Other, TestApp, eventually, settings, switch_toml};
use crate::support::fake_switch::FakeSwitch;
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

const CARRIER: &str = r#"{"param": {"realm": "sip.example.net", "username": "0123",
 "password": "s3cret", "ping": 25.50},
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
            exported.error.contains(r"acme/not utf-8 \xff is left out: "),
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
    shell
        .run(&["sync", "-f", "plain.json", "--yes", "--force"])
        .await
        .expect(0);
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
{"domain":"globex","name":"bad","param":{}}
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
    let (redis, other, shell) = alone().await;
    let app = TestApp::start(&redis, API).await;
    let admin = Client::admin(&redis, &app).await;
    admin.get("/gateways").await.expect(200);
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
    // The serving trunkd takes none of them for an edit of others, and a later one it does.
    other.set_gateway("acme", "last", TRUNK).await;
    let noticed = || async { admin.get("/history?who=redis").await.expect(200).body["items"].clone() };
    let items = eventually("others' edit is recorded", noticed, |items: &Value| items != &json!([])).await;
    assert_eq!(items.as_array().unwrap().len(), 1, "{items:#}");
    assert_eq!(items[0]["gateway"], "last");
    app.stop().await;
}

#[tokio::test]
async fn a_backup_is_written_kept_and_restored() {
    let (redis, other, shell) = alone().await;
    let nothing = shell.run(&["backup", "--dir", "backups"]).await;
    assert!(
        nothing.status == 1 && nothing.error.contains("Redis has no gateways"),
        "{nothing:?}"
    );
    other
        .set_gateway(
            "acme",
            "a",
            r#"{"param":{"realm":"a","username":"u","password":"s3cret"}}"#,
        )
        .await;
    other
        .set_gateway("acme", "b", r#"{"param":{"realm":"b","username":"u","password":"p"}}"#)
        .await;
    // What FreeSWITCH would refuse is backed up and restored all the same.
    other
        .set_gateway("globex", "bad", r#"{"param":{"username":"u"}}"#)
        .await;
    for day in 1..=3 {
        shell.write(&format!("backups/trunkd-gateways-2020-01-0{day}.jsonl"), "");
    }
    let written = shell.run(&["backup", "--dir", "backups", "--keep", "2"]).await;
    assert!(
        written
            .expect(0)
            .starts_with("Wrote 3 gateways to backups/trunkd-gateways-20"),
        "{written:?}"
    );
    let files = std::fs::read_dir(shell.path().join("backups")).unwrap();
    let mut files: Vec<_> = files.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(
        files[0].ends_with("trunkd-gateways-2020-01-03.jsonl") && files.len() == 2,
        "{files:?}"
    );
    assert_eq!(
        std::fs::metadata(&files[1]).unwrap().permissions().mode() & 0o777,
        0o600
    );
    let before = all(&redis).await;

    let mut connection = redis.connection().await;
    let () = redis::cmd("FLUSHALL").query_async(&mut connection).await.unwrap();
    // Somebody has begun to type them in again, and made a mistake.
    let typed = r#"{"param":{"realm":"other","username":"u","password":"p"}}"#;
    other.set_gateway("acme", "a", typed).await;
    other.set_gateway("acme", "b", "{broken").await;
    let file = files[1].to_str().unwrap();
    let shown = shell.run(&["restore", file, "--dry-run"]).await;
    assert!(shown.expect(2).starts_with("+ globex/bad ("), "{shown:?}");
    let shown = shell.run(&["restore", file, "--damaged", "--dry-run"]).await;
    assert!(
        shown.expect(2).contains("~ acme/b (") && !shown.out.contains("acme/a"),
        "{shown:?}"
    );
    shell.run(&["restore", file, "--damaged", "--yes"]).await.expect(0);
    let value = |name: &'static str| stored(&other, "acme", name);
    assert_eq!(value("a").await, serde_json::from_str(typed).ok());
    shell.run(&["sync", "-f", file, "--yes", "--force"]).await.expect(0);
    assert_eq!(all(&redis).await, before);
    assert_eq!(
        shell.run(&["restore", file]).await.expect(0),
        "No gateways.\nNothing to change.\n"
    );
}

#[tokio::test]
async fn a_serving_trunkd_writes_the_backup_of_the_day_or_says_why_it_cannot() {
    let redis = RedisServer::start().await;
    let folder = tempfile::tempdir().unwrap();
    Other::new(&redis)
        .await
        .set_gateway("acme", "a", r#"{"param":{"realm":"a","register":"false"}}"#)
        .await;
    let toml = format!("[backup]\ndir = {:?}\n", folder.path());
    let app = TestApp::start(&redis, &toml).await;
    let files = || async {
        std::fs::read_dir(folder.path())
            .unwrap()
            .flatten()
            .map(|entry| entry.path())
            .collect()
    };
    let is_there =
        |files: &Vec<std::path::PathBuf>| files.iter().any(|file| file.extension().is_some_and(|e| e == "jsonl"));
    let files = eventually("the backup is there", files, is_there).await;
    let text = std::fs::read_to_string(&files[0]).unwrap();
    assert_eq!(
        text,
        "{\"domain\":\"acme\",\"name\":\"a\",\"param\":{\"realm\":\"a\",\"register\":\"false\"}}\n"
    );
    let part = || app.part("backup");
    eventually("it is in the health", part, |part| part["state"] == "ok").await;
    assert_eq!(app.metric("trunkd_backup_ok").await, Some(1.0));
    app.stop().await;

    let in_the_way = folder.path().join("backups");
    std::fs::write(&in_the_way, "a file").unwrap();
    let app = TestApp::start(&redis, &format!("[backup]\ndir = {in_the_way:?}\n")).await;
    let part = app.wait_for_reason("backup", &["backups", "File exists"]).await;
    assert_eq!(
        (&part["state"], &part["runbook"]),
        (&json!("degraded"), &json!("docs/runbooks.md#trunkdbackupfails"))
    );
    assert_eq!(app.metric("trunkd_backup_ok").await, Some(0.0));
    app.stop().await;
}

#[tokio::test]
async fn documents_go_out_and_in_by_rest() {
    let redis = RedisServer::start().await;
    let other = Other::new(&redis).await;
    let value = r#"{"param":{"realm":"a.example","username":"u","password":"s3cret"}}"#;
    other.set_gateway("acme", "a", value).await;
    other.set_gateway("globex", "g", value).await;
    let app = TestApp::start(&redis, API).await;
    let operator = Client::new(&redis, &app, Role::Operator, "acme").await;
    let export = operator.get("/export").await.expect(200);
    assert_eq!(export.headers["trunkd-left-out"], "0");
    let yaml = export.body.as_str().unwrap().to_owned();
    assert_eq!(
        yaml,
        "---\ndomain: acme\nname: a\nparam:\n  realm: a.example\n  username: u\n"
    );

    let import = |path: &str, body: String| {
        let request = operator
            .request(Method::POST, path)
            .header("Content-Type", "application/yaml");
        send(request.body(body))
    };
    let same = import("/import", yaml.clone()).await.expect(200);
    assert_eq!(
        (&same.body["same"], &same.body["domains"][0]["outcome"]),
        (&json!(1), &json!("same"))
    );
    let more =
        yaml.replace("a.example", "b.example") + "---\n{domain: acme, name: b, param: {realm: b, register: false}}\n";
    let dry = import("/import?dry_run=true", more.clone()).await.expect(200);
    assert_eq!(
        (&dry.body["added"], &dry.body["changed"], &dry.body["dry_run"]),
        (&json!(1), &json!(1), &json!(true))
    );
    assert_eq!(stored(&other, "acme", "b").await, None);
    let done = import("/import", more).await.expect(200);
    assert_eq!(done.body["domains"][0]["outcome"], "written");
    let stored_a = stored(&other, "acme", "a").await.unwrap();
    assert_eq!(
        (&stored_a["param"]["realm"], &stored_a["param"]["password"]),
        (&json!("b.example"), &json!("s3cret"))
    );

    for (body, status, reason) in [
        ("{domain: globex, name: g}", 403, "domain_not_yours"),
        (
            "{domain: acme, name: x, param: {password: \"${env:HOME}\"}}",
            400,
            "bad_request",
        ),
        (
            "{domain: acme, name: x, param: {password: \"${file:/etc/passwd}\"}}",
            400,
            "bad_request",
        ),
        ("domain: acme\nname: x\nparam: *a", 400, "bad_request"),
    ] {
        let refused = import("/import", body.to_owned()).await.expect(status);
        assert_eq!(refused.reason(), reason, "{refused:?}");
    }
    app.stop().await;
}

const TRUNK: &str = r#"{"param":{"realm":"r.example","register":"false"}}"#;

fn trunks(domain: &str, names: impl IntoIterator<Item = usize>) -> String {
    let document =
        |n| format!("---\n{{domain: {domain}, name: gw{n}, param: {{realm: r.example, register: \"false\"}}}}\n");
    names.into_iter().map(document).collect()
}

#[tokio::test]
async fn switches_follow_and_a_flood_of_removals_is_foreseen_and_held() {
    let (redis, switch) = (RedisServer::start().await, FakeSwitch::builder().start().await);
    let other = Other::new(&redis).await;
    const APPLY: &str = "[reconcile]\nmode = \"apply\"\nresync_interval = \"1s\"\n";
    let _app = TestApp::with_switch(&redis, &switch, APPLY).await;
    let shell = Shell::new(&redis, &format!("{}{APPLY}", switch_toml(&switch, "fs1")));
    shell.write("git/all.yaml", &trunks("acme", 0..20));
    let sync = ["sync", "-f", "git", "--set", "git", "--prune", "--yes"];
    let synced = shell.run(&sync).await;
    assert!(
        synced
            .expect(0)
            .contains("20 to add.\nfs1: would start 20\nacme: 20 written\n"),
        "{synced:?}"
    );
    for name in ["gw0", "gw19"] {
        other.wait_for("trunkd:status:fs1", name, "/state", "NOREG").await;
    }
    let all_there = || async { other.hash("trunkd:status:fs1").await };
    eventually("the switch has all", all_there, |rows| rows.len() == 20).await;
    shell.write("git/all.yaml", &trunks("acme", 0..5));
    let pruned = shell.run(&sync).await;
    let shown = pruned.expect(0);
    assert!(
        shown.contains("15 to remove, 5 as they are.\nfs1: would stop 15; held: removes 15 of 20"),
        "{shown}"
    );
    assert!(shown.contains(", until `trunkd apply`\nacme: 15 written\n"), "{shown}");
    let held = || async { shell.run(&["plan"]).await.out };
    eventually("it is held", held, |plan| plan.contains("held")).await;
    assert_eq!(switch.view(|view| view.gateways().len()), 20);
}

#[tokio::test]
async fn a_domain_that_somebody_changed_meanwhile_is_left_alone_and_others_are_written() {
    let redis = RedisServer::start().await;
    let other = Other::new(&redis).await;
    let folder = tempfile::tempdir().unwrap();
    let settings = settings(&redis, folder.path(), "");
    let service = Service::open(&settings).unwrap();
    let text = trunks("acme", [1, 2]) + &trunks("globex", [3]);
    let wanted = read_text(text.as_bytes(), Format::Yaml, "test", &SecretSource::None).unwrap();
    let transfer = service
        .draft_transfer(&Caller::cli(), wanted, TransferOptions::default())
        .await;
    let transfer = transfer.unwrap();
    assert_eq!(transfer.report().counts.added, 3);
    other.set_gateway("acme", "gw2", TRUNK).await;
    let report = service.write_transfer(&Caller::cli(), transfer).await.unwrap();
    let outcomes: Vec<_> = report.domains.iter().map(|domain| domain.outcome).collect();
    assert_eq!(outcomes, [DomainOutcome::ChangedMeanwhile, DomainOutcome::Written]);
    assert!(!report.is_clean());
    assert_eq!(stored(&other, "acme", "gw1").await, None);
    assert!(stored(&other, "globex", "gw3").await.is_some());
}

#[tokio::test]
async fn an_import_that_fails_half_way_says_which_domains_are_written_and_goes_on() {
    let redis = RedisServer::start().await;
    let other = Other::new(&redis).await;
    let app = TestApp::start(&redis, API).await;
    let admin = Client::admin(&redis, &app).await;
    admin.get("/gateways").await.expect(200);
    let permit = async |rules: &[&str]| {
        let mut command = redis::cmd("ACL");
        command.arg("SETUSER").arg("default").arg(rules);
        command.exec_async(&mut other.connection.clone()).await.unwrap();
    };
    let document = |domain: &str| json!({"domain": domain, "name": "gw", "param": {"realm": "r", "register": false}});
    let body = json!([document("acme"), document("globex"), document("initech")]);
    permit(&[
        "resetkeys",
        "~cti_gateway@acme",
        "%R~cti_gateway@*",
        "~trunkd:*",
        "~gateways",
    ])
    .await;
    let stopped = admin.post("/import", &body).await.expect(503);
    assert_eq!(stopped.reason(), "redis_refused", "{:#}", stopped.body);
    let outcomes: Vec<_> = stopped.body["import"]["domains"].as_array().unwrap().iter().collect();
    let outcomes: Vec<_> = outcomes
        .iter()
        .map(|domain| domain["outcome"].as_str().unwrap())
        .collect();
    assert_eq!(outcomes, ["written", "not_written", "not_written"]);
    // With nothing written it is a failure like any other.
    let refused = admin.post("/import", &body).await.expect(503);
    assert_eq!((refused.reason(), refused.body.get("import")), ("redis_refused", None));
    permit(&["allkeys"]).await;
    let rest = admin.post("/import", &body).await.expect(200);
    assert_eq!(
        (&rest.body["same"], &rest.body["added"]),
        (&json!(1), &json!(2)),
        "{:#}",
        rest.body
    );
    app.stop().await;
}
