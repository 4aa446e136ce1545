//! The status for programs: one shape in the command and in the API.

use jiff::{SignedDuration, Timestamp};
use redis::AsyncCommands;
use serde_json::{Value, json};
use trunkd::access::Role;

use super::program::{json, run, write_settings};
use crate::support::api::{API, Client};
use crate::support::app::{Other, TestApp, eventually};
use crate::support::redis::RedisServer;

fn at(seconds: i64) -> String {
    (Timestamp::now() + SignedDuration::from_secs(seconds)).to_string()
}

fn row(state: &str, usable: Option<bool>, reason: Option<&str>, revision: Option<&str>) -> Value {
    json!({"profile": "external", "state": state, "ping": "UP", "status": null, "phrase": null, "since": at(-60),
           "seen": at(-1), "revision": revision, "usable": usable, "usable_since": at(-60), "reason": reason,
           "ping_every": 25, "ping_ms": 12.4, "calls": {"in": 1, "out": 2, "failed_in": 0, "failed_out": 0}})
}

/// A trunkd that is connected to no switch. What it knows of fs1, which is watched, and of fs2, which
/// is not, stands in Redis.
struct Fleet {
    redis: RedisServer,
    app: TestApp,
    admin: Client,
    folder: tempfile::TempDir,
}

impl Fleet {
    async fn start() -> Self {
        let redis = RedisServer::start().await;
        let other = Other::new(&redis).await;
        for (domain, name, nodes) in [
            ("acme", "refused", "fs1"),
            ("acme", "missing", "fs1"),
            ("acme", "unseen", "fs2"),
            ("acme", "nowhere", "fs9"),
            ("globex", "outdated", "fs1"),
            ("globex", "refused", "fs1"),
        ] {
            let value = json!({"param": {"register": false, "realm": "r"}, "nodes": [nodes]});
            other.set_gateway(domain, name, &value.to_string()).await;
        }
        other.set_gateway("globex", "bad", r#"{"param":{"realm":"r"}}"#).await;
        let mut connection = redis.connection().await;
        for (name, last_seen) in [("fs1", at(3600)), ("fs2", at(-60))] {
            // As if another trunkd had it in its settings, so that it is not removed.
            let now = Timestamp::now().as_millisecond();
            let fields = [("seen:other", now), ("named", now)];
            let _: () = connection
                .hset_multiple(format!("trunkd:ingest:{name}"), &fields)
                .await
                .unwrap();
            let state = json!({"connected": true, "since": at(-600), "core_uuid": "c", "last_seen": last_seen});
            let _: () = connection
                .hset("trunkd:switches", name, state.to_string())
                .await
                .unwrap();
        }
        for (name, row) in [
            ("refused", row("FAIL_WAIT", Some(false), Some("403 Forbidden"), None)),
            ("outdated", row("NOREG", Some(true), None, Some("0123"))),
            ("theirs", row("REGED", Some(true), None, None)),
            ("pinged", row("NOREG", Some(false), Some("ping lost"), Some("4567"))),
        ] {
            let key = "trunkd:status:fs1";
            let _: () = connection.hset(key, name, row.to_string()).await.unwrap();
        }
        let app = TestApp::start(&redis, API).await;
        let admin = Client::admin(&redis, &app).await;
        let folder = tempfile::tempdir().unwrap();
        write_settings(folder.path(), &redis);
        Self {
            redis,
            app,
            admin,
            folder,
        }
    }

    async fn command(&self, arguments: &[&str]) -> Value {
        let arguments = [&["status", "--json"], arguments].concat();
        json(&run(self.folder.path(), &arguments).await.1)
    }

    async fn call(&self, query: &str) -> Value {
        self.admin.get(&format!("/status{query}")).await.expect(200).body
    }
}

fn gateways(status: &Value) -> Vec<&Value> {
    let switches = status["switches"].as_array().unwrap().iter();
    let gateways = switches.flat_map(|switch| switch["gateways"].as_array().unwrap());
    gateways.collect()
}

#[tokio::test]
async fn the_command_and_every_call_show_a_gateway_in_the_same_way() {
    let fleet = Fleet::start().await;
    let status = fleet.command(&[]).await;
    assert_eq!(status["version"], 1);
    assert_eq!(fleet.call("").await, status);
    assert_eq!(gateways(&status).len(), 6, "{status:#}");
    let list = fleet.admin.get("/gateways").await.expect(200).body;
    for gateway in gateways(&status) {
        let name = gateway["name"].as_str().unwrap();
        let items = list["items"].as_array().unwrap();
        let is_it = |item: &&Value| item["name"] == name && item["domain"] == gateway["domain"];
        let listed = items.iter().find(is_it).unwrap();
        assert_eq!(listed["switches"], json!([gateway]), "{name}");
        assert_eq!(listed["state"], gateway["condition"], "{name}");
        if let Some(domain) = gateway["domain"].as_str() {
            let path = format!("/domains/{domain}/gateways/{name}");
            let one = fleet.admin.get(&path).await.expect(200).body;
            assert_eq!(one["switches"], json!([gateway]), "{name}");
        }
    }
    // The gateway of another domain is not shown as that of this one.
    let shadowed = fleet.admin.get("/domains/globex/gateways/refused").await.expect(200);
    assert_eq!(shadowed.body["switches"], json!([]));
}

#[tokio::test]
async fn every_gateway_that_needs_attention_has_a_code() {
    let fleet = Fleet::start().await;
    let status = fleet.call("?failing=true").await;
    let codes: Vec<_> = gateways(&status)
        .iter()
        .map(|gateway| {
            let note = &gateway["note"];
            [
                &gateway["name"],
                &gateway["reason_code"],
                &note["code"],
                &note["blocked_by"],
            ]
            .map(Value::as_str)
        })
        .collect();
    assert_eq!(
        codes,
        [
            [Some("missing"), None, Some("missing"), Some("no_reconciler")],
            [Some("outdated"), None, Some("outdated"), Some("no_reconciler")],
            [
                Some("pinged"),
                Some("ping_lost"),
                Some("unwanted"),
                Some("no_reconciler")
            ],
            [Some("refused"), Some("refused"), None, None],
            [Some("unseen"), None, Some("missing"), Some("no_trunkd")],
        ]
    );
    // Nobody knows whether a switch that is not watched has it.
    let unseen = fleet.call("?name=unseen").await;
    assert_eq!(gateways(&unseen)[0]["condition"], "unknown");
    assert_eq!(unseen["on_no_switch"], json!([]));
    let nowhere = fleet.call("?name=nowhere").await;
    assert_eq!(nowhere["on_no_switch"][0]["nodes"], json!(["fs9"]));
    for (query, arguments) in [
        ("?switch=fs1&state=down", &["--switch", "fs1", "--state", "down"][..]),
        ("?domain=globex&failing=true", &["--domain", "globex", "--failing"]),
        ("?name=missing,refused&limit=1", &["missing", "refused", "--limit", "1"]),
    ] {
        let status = fleet.call(query).await;
        assert_eq!(status, fleet.command(arguments).await, "{query}");
        assert!(gateways(&status).len() < 4, "{query} selects");
    }
}

#[tokio::test]
async fn the_status_shows_the_callers_domains() {
    let fleet = Fleet::start().await;
    let viewer = Client::new(&fleet.redis, &fleet.app, Role::Viewer, "acme").await;
    let status = viewer.get("/status").await.expect(200).body;
    let names: Vec<_> = gateways(&status).iter().map(|gateway| &gateway["name"]).collect();
    assert_eq!(names, ["missing", "refused", "unseen"]);
    let counts = json!({"up": 0, "down": 1, "missing": 1, "trying": 0, "unknown": 0});
    assert_eq!(status["switches"][0]["counts"], counts);
    assert_eq!(status["findings"], json!([]));
    assert_eq!(status["on_no_switch"][0]["name"], "nowhere");
    assert_eq!(
        viewer.get("/status?domain=globex").await.expect(403).reason(),
        "domain_not_yours"
    );
    for (query, reason) in [("?name=outdated", "no_such_gateway"), ("?switch=fs3", "no_such_switch")] {
        let refused = viewer.get(&format!("/status{query}")).await.expect(404);
        assert_eq!(refused.reason(), reason);
    }
    for query in ["?state=sideways", "?limit=0", "?nam=x"] {
        viewer.get(&format!("/status{query}")).await.expect(400);
    }
}

#[tokio::test]
async fn with_redis_out_of_service_the_status_says_so_and_is_the_last_known_one() {
    let fleet = Fleet::start().await;
    let before = fleet.call("").await;
    assert_eq!(before["redis_down"], Value::Null);
    let mut connection = fleet.redis.connection().await;
    let mut replica = redis::cmd("REPLICAOF");
    let () = replica
        .arg("127.0.0.1")
        .arg(1)
        .query_async(&mut connection)
        .await
        .unwrap();
    let status = eventually(
        "it says so",
        || fleet.call(""),
        |status| !status["redis_down"].is_null(),
    )
    .await;
    assert!(status["redis_down"]["last_good"].is_string(), "{status:#}");
    assert_eq!(gateways(&status).len(), gateways(&before).len());
    assert_eq!(status["well"], false);
}
