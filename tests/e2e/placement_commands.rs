//! `trunkd gateway where` and `move`, `drain`, `undrain` and `rebalance`, as an operator types them.

use serde_json::{Value, json};

use super::shell::Shell;
use crate::support::api::{API, Client};
use crate::support::app::{Other, TestApp, eventually, switch_toml};
use crate::support::fake_switch::FakeSwitch;
use crate::support::redis::RedisServer;

const APPLY: &str = "[reconcile]\nmode = \"apply\"\nresync_interval = \"1s\"\n";

/// Two switches, a trunkd that changes both, and a shell.
struct Rig {
    redis: RedisServer,
    switches: [FakeSwitch; 2],
    other: Other,
    app: TestApp,
    shell: Shell,
}

async fn rig() -> Rig {
    let redis = RedisServer::start().await;
    let start = |name| FakeSwitch::builder().switchname(name).sip().start();
    let switches = [start("fs1").await, start("fs2").await];
    let named = switches.iter().zip(["fs1", "fs2"]);
    let toml: String = named.map(|(switch, name)| switch_toml(switch, name)).collect();
    let toml = format!("{toml}{APPLY}");
    let [one, two] = &switches;
    let app = TestApp::asked_by(&[one, two], &redis, &format!("{toml}{API}")).await;
    Rig {
        other: Other::new(&redis).await,
        shell: Shell::new(&redis, &toml),
        redis,
        switches,
        app,
    }
}

impl Rig {
    /// A gateway that runs on one switch, with these keys more.
    async fn set(&self, name: &str, more: &str) {
        let value = format!(r#"{{"param":{{"realm":"sip.test","register":"false"}}{more}}}"#);
        self.other.set_gateway("acme", name, &value).await;
    }

    /// Waits until the switch runs it.
    async fn runs(&self, switch: usize, name: &str) {
        self.switches[switch - 1].wait_for_state(name, "NOREG").await;
    }

    /// Waits until `where` says that it is there and not on its way.
    async fn wait_for(&self, name: &str, switch: &str) {
        let place = || async {
            let said = self.shell.gateway(&["where", name, "--json"]).await;
            serde_json::from_str(&said.out).unwrap_or(Value::Null)
        };
        eventually(&format!("{name} is on {switch}"), place, |place| {
            place["switch"] == switch && place["placed"]["step"].is_null()
        })
        .await;
    }
}

const PREFERS_FS1: &str = r#","placement":{"mode":"one","prefer":["fs1"]}"#;

#[tokio::test]
async fn a_gateway_on_one_switch_is_found_and_moved() {
    let rig = rig().await;
    rig.set("gw1", PREFERS_FS1).await;
    rig.set("all", "").await;
    rig.wait_for("gw1", "fs1").await;
    rig.runs(1, "gw1").await;
    rig.runs(2, "all").await;

    let said = rig.shell.gateway(&["where", "gw1"]).await;
    let out = said.expect(0);
    let sip = rig.switches[0].sip_address("external");
    assert!(
        out.starts_with(&format!("gw1 in acme is on fs1 ({sip}), since ")),
        "{out}"
    );
    assert!(out.ends_with(": its first switch.\n"), "{out}");
    let said = rig.shell.gateway(&["where", "all"]).await;
    assert_eq!(said.expect(0), "all in acme runs on all of its switches: fs1, fs2.\n");

    let moved = rig.shell.gateway(&["move", "gw1", "fs2", "--wait", "20s"]).await;
    assert_eq!(moved.expect(0), "gw1 in acme is moved to fs2.\n");
    rig.runs(2, "gw1").await;
    rig.switches[0].wait_for_gone("gw1").await;
    let place = rig.shell.gateway(&["where", "gw1", "--json"]).await.json();
    assert_eq!((&place["switch"], &place["placement"]), (&json!("fs2"), &json!("one")));
    assert_eq!(
        (&place["placed"]["reason"], &place["note"]),
        (&json!("asked"), &Value::Null)
    );
    let got = rig.shell.gateway(&["get", "gw1"]).await;
    assert!(got.expect(0).contains("\nit is on fs2"), "{got:?}");
    let detail = rig.shell.gateway(&["get", "gw1", "--json"]).await.json();
    assert_eq!(detail["placement"]["switch"], "fs2", "{detail:#}");
    let listed = rig.shell.gateway(&["list"]).await;
    assert!(
        listed.expect(0).lines().any(|line| line.ends_with("on fs2 alone")),
        "{listed:?}"
    );
    let history = rig.shell.gateway(&["history", "gw1"]).await;
    assert!(history.expect(0).contains("fs2"), "{history:?}");

    let refused = rig.shell.gateway(&["move", "gw1", "fs2"]).await;
    refused.expect(1);
    assert!(refused.error.contains("can't move to fs2: it is there"), "{refused:?}");
    let refused = rig.shell.gateway(&["move", "all", "fs2"]).await;
    refused.expect(1);
    assert!(refused.error.contains("it runs on all of its switches"), "{refused:?}");
    let refused = rig.shell.gateway(&["move", "gw1", "fs9"]).await;
    refused.expect(1);
    assert!(
        refused.error.contains("no switch \"fs9\"; known are fs1, fs2"),
        "{refused:?}"
    );
}

#[tokio::test]
async fn a_drained_switch_loses_its_gateways_and_gets_them_back_by_a_rebalance() {
    let rig = rig().await;
    rig.set("gw1", PREFERS_FS1).await;
    rig.set("gw2", PREFERS_FS1).await;
    for name in ["gw1", "gw2"] {
        rig.wait_for(name, "fs1").await;
        rig.runs(1, name).await;
    }
    let status = rig.shell.run(&["status"]).await;
    let line = status.out.lines().find(|line| line.starts_with("fs1: "));
    assert!(
        line.is_some_and(|line| line.contains("2 on this switch alone")),
        "{status:?}"
    );

    let drained = rig.shell.run(&["drain", "fs1", "--wait", "30s"]).await;
    let out = drained.expect(0);
    assert!(
        out.starts_with("fs1 is drained since ") && out.contains(" by cli:"),
        "{out}"
    );
    assert!(out.ends_with("Nothing is left: fs1 can be stopped.\n"), "{out}");
    for name in ["gw1", "gw2"] {
        rig.wait_for(name, "fs2").await;
        rig.runs(2, name).await;
        rig.switches[0].wait_for_gone(name).await;
    }
    let progress = rig.shell.run(&["drain", "fs1", "--json"]).await.json();
    assert_eq!(
        (&progress["gateways"], &progress["calls"]),
        (&json!(0), &json!(0)),
        "{progress:#}"
    );
    let status = rig.shell.run(&["status"]).await;
    assert!(status.out.contains("DRAINED since "), "{status:?}");
    let refused = rig.shell.gateway(&["move", "gw1", "fs1"]).await;
    refused.expect(1);
    assert!(refused.error.contains("that switch is drained"), "{refused:?}");
    let none = rig.shell.run(&["rebalance"]).await;
    assert!(none.expect(0).starts_with("Nothing to move"), "{none:?}");

    let undrained = rig.shell.run(&["undrain", "fs1"]).await;
    assert!(
        undrained.expect(0).starts_with("fs1 may get gateways again."),
        "{undrained:?}"
    );
    let again = rig.shell.run(&["undrain", "fs1"]).await;
    assert_eq!(again.expect(0), "fs1 was not drained.\n");
    let unasked = rig.shell.run(&["rebalance"]).await;
    unasked.expect(1);
    assert_eq!(unasked.out, "gw1 in acme: fs2 -> fs1\ngw2 in acme: fs2 -> fs1\n");
    assert!(unasked.error.contains("add --yes to make them"), "{unasked:?}");
    let done = rig.shell.run(&["rebalance", "--yes"]).await;
    assert!(done.expect(0).contains("2 of 2 moves requested."), "{done:?}");
    for name in ["gw1", "gw2"] {
        rig.wait_for(name, "fs1").await;
        rig.runs(1, name).await;
    }
}

#[tokio::test]
async fn what_no_other_switch_may_have_is_stuck_and_a_gateway_without_a_switch_says_why() {
    let rig = rig().await;
    rig.set("gw1", r#","placement":"one","nodes":["fs1"]"#).await;
    rig.wait_for("gw1", "fs1").await;
    let stuck = rig.shell.run(&["drain", "fs1"]).await;
    let out = stuck.expect(2);
    assert!(out.contains("1 gateway left, 0 on their way, 0 calls up\n"), "{out}");
    assert!(out.ends_with("  gw1 in acme: it may run on no other switch\n"), "{out}");

    rig.set("gw2", r#","placement":"one","nodes":["fs1"]"#).await;
    let said = eventually(
        "trunkd knows it",
        || rig.shell.gateway(&["where", "gw2"]),
        |said| said.status == 2,
    )
    .await;
    assert_eq!(
        said.out,
        "gw2 in acme is on no switch: no live switch may have it: fs1 is drained.\n"
    );
    let status = rig.shell.run(&["status"]).await;
    assert!(
        status.expect(2).contains("no live switch may have it: fs1 is drained"),
        "{status:?}"
    );
    let listed = rig.shell.gateway(&["list", "--state", "missing"]).await;
    assert!(listed.expect(0).contains("on no switch"), "{listed:?}");

    // The same by the API, for who may see it.
    let viewer = Client::new(&rig.redis, &rig.app, trunkd::access::Role::Viewer, "acme").await;
    let status = viewer.get("/status").await.expect(200).body;
    let unplaced = &status["on_no_switch"][0];
    assert_eq!(
        (&unplaced["name"], &unplaced["nodes"]),
        (&json!("gw2"), &json!(["fs1"])),
        "{status:#}"
    );
    let spread = viewer.get("/placement").await.expect(200).body;
    assert_eq!(
        (&spread["items"][0]["switch"], &spread["items"][0]["gateways"]),
        (&json!("fs1"), &json!(1))
    );
}

#[tokio::test]
async fn an_edit_of_the_placement_says_which_switches_it_changes() {
    let rig = rig().await;
    rig.set("gw1", "").await;
    rig.set("stays", "").await;
    for switch in [1, 2] {
        rig.runs(switch, "gw1").await;
        rig.runs(switch, "stays").await;
    }
    for switch in ["fs1", "fs2"] {
        let key = format!("trunkd:status:{switch}");
        rig.other.wait_for(&key, "gw1", "/state", "NOREG").await;
    }
    let admin = Client::admin(&rig.redis, &rig.app).await;
    let patch = json!({"placement": {"mode": "one", "prefer": ["fs2"]}});
    let body = json!({"filter": {"q": "gw1"}, "do": {"patch": patch}});
    let forecast = admin.post("/gateways/bulk?dry_run=true", &body).await.expect(200).body;
    let on = |switch: usize| {
        let plan = &forecast["plan"][switch - 1];
        (
            plan["start"].clone(),
            plan["restart"].clone(),
            plan["stop"].clone(),
            plan["held"].clone(),
        )
    };
    assert_eq!(on(1), (json!(0), json!(0), json!(1), Value::Null), "{forecast:#}");
    assert_eq!(on(2), (json!(0), json!(0), json!(0), Value::Null), "{forecast:#}");

    let one = ["set", "gw1", "--placement", "one", "--prefer", "fs2"];
    let would = rig.shell.gateway(&[&one[..], &["--dry-run"]].concat()).await;
    let out = would.expect(2);
    assert!(
        out.ends_with("  fs1: would stop it\n  fs2: nothing would change\n"),
        "{out}"
    );
    let done = rig.shell.gateway(&[&one[..], &["--wait", "20s"]].concat()).await;
    let out = done.expect(0);
    assert!(
        out.contains("  fs1: applied, it is gone\n") && out.contains("  fs2: applied"),
        "{out}"
    );
    rig.switches[0].wait_for_gone("gw1").await;
    let value = rig.other.field("cti_gateway@acme", "gw1").await.unwrap();
    assert_eq!(value["placement"], json!({"mode": "one", "prefer": ["fs2"]}));

    // Exports, files and copies keep the key.
    let exported = rig.shell.run(&["export", "--format", "json"]).await;
    assert!(exported.expect(0).contains(r#""prefer""#), "{exported:?}");
    rig.shell.write("all.json", &exported.out);
    rig.shell.run(&["diff", "-f", "all.json"]).await.expect(0);
    rig.shell.gateway(&["copy", "gw1", "gw2"]).await.expect(0);
    let copy = rig.other.field("cti_gateway@acme", "gw2").await.unwrap();
    assert_eq!(copy["placement"], value["placement"]);

    let would = rig
        .shell
        .gateway(&["set", "gw1", "--placement", "all", "--dry-run"])
        .await;
    let out = would.expect(2);
    assert!(
        out.ends_with("  fs1: would start it\n  fs2: nothing would change\n"),
        "{out}"
    );
    let odd = rig.shell.gateway(&["set", "gw1", "--placement", "both"]).await;
    odd.expect(2);
}
