//! `trunkd gateway`, as an operator types it, over a real Redis and FakeSwitch.

use serde_json::{Value, json};

use super::shell::Shell;
use super::status::on_terminal;
use crate::support::app::{Other, TestApp, switch_toml};
use crate::support::fake_switch::{FORBIDDEN, FakeSwitch};
use crate::support::redis::RedisServer;

const APPLY: &str = "[reconcile]\nmode = \"apply\"\nresync_interval = \"1s\"\n";

/// A Redis, another program that writes it, and a shell.
async fn alone() -> (RedisServer, Other, Shell) {
    let redis = RedisServer::start().await;
    let (other, shell) = (Other::new(&redis).await, Shell::new(&redis, ""));
    (redis, other, shell)
}

async fn stored(other: &Other, domain: &str, name: &str) -> Option<Value> {
    other.field(&format!("cti_gateway@{domain}"), name).await
}

const SET: [&str; 6] = [
    "set",
    "carrier1",
    "realm=sip.example.net",
    "username=u",
    "password=@-",
    "--domain=default",
];

#[tokio::test]
async fn set_creates_a_gateway_and_then_changes_what_is_named() {
    let (_redis, other, shell) = alone().await;
    let created = shell.gateway_typed(&SET, "s3cret\n").await;
    assert_eq!(created.expect(0), "Created carrier1 in default.\n");
    let value = json!({"param": {"realm": "sip.example.net", "username": "u", "password": "s3cret"}});
    assert_eq!(stored(&other, "default", "carrier1").await, Some(value));

    // The domain is the only one that has the name.
    let more = [
        "set",
        "carrier1",
        "username=",
        "realm=other.example.net",
        "register=false",
        "var:p:caller_id_number=1001",
        "--profile=external",
        "--description=main trunk",
        "--tag=a",
        "--tag=b",
        "--disabled",
    ];
    let changed = shell.gateway(&more).await;
    let out = changed.expect(0);
    assert!(
        out.starts_with("Changed carrier1 in default: param.realm \"sip.example.net\" -> \"other.example.net\""),
        "{out}"
    );
    let now = json!({
        "param": {"realm": "other.example.net", "password": "s3cret", "register": "false"},
        "variables": {"p:caller_id_number": "1001"},
        "profile": "external",
        "description": "main trunk",
        "enabled": false,
        "tags": ["a", "b"],
    });
    assert_eq!(stored(&other, "default", "carrier1").await, Some(now));
    let again = shell.gateway(&more).await;
    assert_eq!(
        again.expect(0),
        "carrier1 in default is so already: nothing to change.\n"
    );
    let tags = shell
        .gateway(&["set", "carrier1", "--untag=a", "--tag=c", "--enabled"])
        .await;
    tags.expect(0);
    let value = stored(&other, "default", "carrier1").await.unwrap();
    assert_eq!((&value["tags"], &value["enabled"]), (&json!(["b", "c"]), &json!(true)));

    let history = shell.gateway(&["history", "carrier1"]).await;
    let out = history.expect(0);
    assert_eq!(out.lines().count(), 3, "{out}");
    let first = out.lines().next().unwrap();
    assert!(
        first.contains(" cli:") && first.contains("default/carrier1: create: "),
        "{out}"
    );
    for said in [created, changed, history] {
        assert!(!format!("{said:?}").contains("s3cret"), "{said:?}");
    }
}

#[tokio::test]
async fn what_freeswitch_would_refuse_or_not_know_is_said_with_its_place_and_fix() {
    let (_redis, other, shell) = alone().await;
    let refused = shell
        .gateway(&["set", "gw", "realm=sip.example.net", "--domain", "acme"])
        .await;
    refused.expect(1);
    assert!(refused.error.contains("--force writes it all the same"), "{refused:?}");
    assert!(
        refused.error.contains("error: param.password is not set"),
        "{refused:?}"
    );
    assert_eq!(stored(&other, "acme", "gw").await, None);
    let misspelt = shell
        .gateway(&["set", "gw", "register=false", "relm=x", "--domain", "acme"])
        .await;
    assert_eq!(misspelt.expect(0), "Created gw in acme.\n");
    assert!(
        misspelt.error.contains("warning: param.relm") && misspelt.error.contains("did you mean realm?"),
        "{misspelt:?}"
    );
    let forced = shell.gateway(&["set", "gw", "register=true", "--force"]).await;
    forced.expect(0);
    assert_eq!(stored(&other, "acme", "gw").await.unwrap()["param"]["register"], "true");
    let got = shell.gateway(&["get", "gw"]).await;
    assert!(got.expect(0).contains("error: param.password is not set"), "{got:?}");
}

#[tokio::test]
async fn a_name_in_several_domains_or_in_none_needs_its_domain() {
    let (_redis, other, shell) = alone().await;
    let value = r#"{"param":{"register":"false"}}"#;
    other.set_gateway("acme", "gw", value).await;
    other.set_gateway("globex", "gw", value).await;
    for arguments in [
        ["get", "gw"].as_slice(),
        &["set", "gw", "realm=x"],
        &["delete", "gw", "--yes"],
        &["copy", "gw", "gw2"],
        &["rename", "gw", "gw2"],
    ] {
        let said = shell.gateway(arguments).await;
        said.expect(1);
        let expected = "trunkd: several domains have a gateway \"gw\": acme, globex; name one of them\n";
        assert_eq!(said.error, expected, "{arguments:?}");
    }
    let absent = shell.gateway(&["set", "new", "register=false"]).await;
    absent.expect(1);
    let expected = "trunkd: no domain has a gateway \"new\": add --domain to create it\n";
    assert_eq!(absent.error, expected);
    let absent = shell.gateway(&["get", "new", "--domain", "acme"]).await;
    absent.expect(1);
    assert_eq!(absent.error, "trunkd: the domain \"acme\" has no gateway \"new\"\n");
    let odd = shell
        .gateway(&["set", "no name", "register=false", "--domain", "acme"])
        .await;
    odd.expect(2);
    shell
        .gateway(&["set", "gw", "realm", "--domain", "acme"])
        .await
        .expect(1);
    shell.gateway(&["set", "gw", "--domain", "acme"]).await.expect(1);
}

#[tokio::test]
async fn an_edit_is_shown_before_and_waited_for_until_the_switch_has_it() {
    let (redis, switch) = (RedisServer::start().await, FakeSwitch::builder().start().await);
    let other = Other::new(&redis).await;
    let _app = TestApp::with_switch(&redis, &switch, &format!("{APPLY}rollback = false\n")).await;
    let shell = Shell::new(&redis, &format!("{}{APPLY}", switch_toml(&switch, "fs1")));
    // Without it, the last gateway would go, and that is held.
    other
        .set_gateway("default", "stays", r#"{"param":{"register":"false"}}"#)
        .await;
    other.wait_for("trunkd:status:fs1", "stays", "/state", "NOREG").await;

    let would = shell.gateway_typed(&[&SET[..], &["--dry-run"]].concat(), "p").await;
    assert_eq!(
        would.expect(2),
        "Would create carrier1 in default.\n  fs1: would start it\n"
    );
    assert_eq!(stored(&other, "default", "carrier1").await, None);
    let created = shell.gateway_typed(&[&SET[..], &["--wait", "15s"]].concat(), "p").await;
    assert_eq!(
        created.expect(0),
        "Created carrier1 in default.\n  fs1: applied, REGED\n"
    );
    let shown = shell.gateway(&["get", "carrier1"]).await;
    let out = shown.expect(0);
    assert!(
        out.starts_with("carrier1 in default: valid\n  param.realm     sip.example.net\n"),
        "{out}"
    );
    assert!(out.contains("param.password  ********\n"), "{out}");
    assert!(out.contains("\nfs1: up, REGED since "), "{out}");

    switch.registrar(|registrar| registrar.set("carrier1", FORBIDDEN));
    let refused = shell
        .gateway_typed(&["set", "carrier1", "password=@-", "--wait=15s"], "wrong")
        .await;
    let out = refused.expect(1);
    assert!(out.contains("  fs1: failed: 403 Forbidden"), "{out}");
    let listed = shell.gateway(&["list", "--state", "down"]).await;
    let line = listed.expect(0).lines().nth(1).unwrap().to_owned();
    let cells: Vec<_> = line.split_whitespace().take(5).collect();
    assert_eq!(cells, ["carrier1", "default", "external", "down", "0/1"], "{line}");
    assert!(line.contains("403 Forbidden, down for"), "{line}");

    // Nobody can answer a question here.
    let unasked = shell.gateway(&["delete", "carrier1"]).await;
    unasked.expect(1);
    assert!(unasked.error.contains("add --yes to delete it"), "{unasked:?}");
    let would = shell.gateway(&["delete", "carrier1", "--dry-run"]).await;
    assert_eq!(
        would.expect(2),
        "Would delete carrier1 in default.\n  fs1: would stop it\n"
    );
    let deleted = shell.gateway(&["delete", "carrier1", "--yes", "--wait", "15s"]).await;
    assert_eq!(
        deleted.expect(0),
        "Deleted carrier1 in default.\n  fs1: applied, it is gone\n"
    );
    switch.wait_for_gone("carrier1").await;
    // Its history is still there.
    let history = shell.gateway(&["history", "carrier1", "--json"]).await.json();
    let edits = history["items"].as_array().unwrap().iter();
    let edits: Vec<_> = edits
        .filter(|entry| entry["kind"] == "edit")
        .map(|entry| &entry["edit"])
        .collect();
    assert_eq!(edits, ["delete", "change", "create"]);
}

#[tokio::test]
async fn lists_are_filtered_and_have_the_shape_of_the_api() {
    let (_redis, other, shell) = alone().await;
    for (domain, name, more) in [
        ("acme", "a1", r#""tags":["x"],"carrier":"c1""#),
        ("acme", "a2", r#""enabled":false"#),
        ("globex", "b1", r#""description":"spare trunk""#),
    ] {
        let value = format!(r#"{{"param":{{"register":"false","realm":"sip.example.net"}},{more}}}"#);
        other.set_gateway(domain, name, &value).await;
    }
    let names = async |arguments: &[&str]| -> String {
        let page = shell.gateway(&[&["list", "--json"], arguments].concat()).await.json();
        assert!(
            page["counts"]["state"].is_object() && page["total"].is_u64(),
            "{page:#}"
        );
        let items = page["items"].as_array().unwrap();
        let names: Vec<_> = items.iter().map(|item| item["name"].as_str().unwrap()).collect();
        names.join(" ")
    };
    assert_eq!(names(&[]).await, "a1 a2 b1");
    assert_eq!(names(&["--domain", "acme"]).await, "a1 a2");
    assert_eq!(names(&["spare", "sip.example"]).await, "b1");
    assert_eq!(names(&["--tag", "x"]).await, "a1");
    assert_eq!(names(&["--carrier", "c1"]).await, "a1");
    assert_eq!(names(&["--validity", "disabled,invalid"]).await, "a2");
    assert_eq!(names(&["--profile", "internal"]).await, "");
    assert_eq!(names(&["--state", "idle", "--sort", "-domain"]).await, "b1 a1 a2");
    let some = shell.gateway(&["list", "--limit", "2"]).await;
    let out = some.expect(0);
    assert!(
        out.contains("a2       acme    external  idle   -   disabled\n"),
        "{out}"
    );
    assert!(out.ends_with("… and 1 more: name fewer, or raise --limit\n"), "{out}");
    let page = shell.gateway(&["list", "--limit", "2", "--json"]).await.json();
    assert_eq!(names(&["--after", page["next"].as_str().unwrap()]).await, "b1");
    let wrong = shell.gateway(&["list", "--validity", "good"]).await;
    wrong.expect(2);
    assert!(wrong.error.contains("write some of valid"), "{wrong:?}");
    shell.gateway(&["list", "--state", "updown"]).await.expect(1);

    let one = shell.gateway(&["get", "a1", "--json"]).await.json();
    assert_eq!(one["value"]["carrier"], "c1");
    assert_eq!((&one["validity"], &one["findings"]), (&json!("valid"), &json!([])));
}

#[tokio::test]
async fn a_list_fits_a_terminal() {
    let (_redis, other, shell) = alone().await;
    let (domain, name) = ("a-domain-with-a-long-name.example.net", "n".repeat(60));
    other
        .set_gateway(domain, &name, r#"{"enabled":false,"param":{}}"#)
        .await;
    let lines = on_terminal(shell.path(), &["gateway", "list"], 80).await;
    assert!(lines.iter().all(|line| line.chars().count() <= 80), "{lines:#?}");
    assert!(
        lines[1].starts_with("nnn") && lines[1].ends_with("disabled"),
        "{lines:#?}"
    );
}

#[tokio::test]
async fn a_gateway_is_copied_and_renamed_with_its_secret() {
    let (_redis, other, shell) = alone().await;
    let account = r#"{"param":{"realm":"r.example.net","username":"u","password":"p"}}"#;
    other.set_gateway("acme", "gw", account).await;
    let would = shell.gateway(&["copy", "gw", "gw2", "--dry-run"]).await;
    assert_eq!(would.expect(2), "Would copy gw in acme to gw2, disabled.\n");
    let copied = shell.gateway(&["copy", "gw", "gw2"]).await;
    assert_eq!(copied.expect(0), "Copied gw in acme to gw2, disabled.\n");
    let copy = stored(&other, "acme", "gw2").await.unwrap();
    assert_eq!(
        (&copy["enabled"], &copy["param"]["password"]),
        (&json!(false), &json!("p"))
    );
    let taken = shell.gateway(&["rename", "gw", "gw2"]).await;
    taken.expect(1);
    assert!(taken.error.contains("has a gateway \"gw2\" already"), "{taken:?}");
    let renamed = shell.gateway(&["rename", "gw", "gw3"]).await;
    assert_eq!(renamed.expect(0), "Renamed gw in acme to gw3.\n");
    assert_eq!(stored(&other, "acme", "gw").await, None);
    let now = stored(&other, "acme", "gw3").await.unwrap();
    assert_eq!(now["param"]["password"], "p");
    let out = shell.gateway(&["get", "gw3"]).await;
    assert!(
        !out.expect(0).contains("\"p\"") && out.out.contains("********"),
        "{out:?}"
    );
}

#[tokio::test]
async fn with_redis_away_a_command_says_so_and_ends_with_1() {
    let (mut redis, _other, shell) = alone().await;
    redis.kill();
    for arguments in [
        ["list"].as_slice(),
        &["get", "gw"],
        &["set", "gw", "realm=x", "--domain=a"],
    ] {
        let said = shell.gateway(arguments).await;
        said.expect(1);
        assert!(said.error.starts_with("trunkd: cannot read Redis at "), "{said:?}");
    }
}

#[tokio::test]
async fn a_gateway_is_restarted_unregistered_and_registered() {
    let (redis, switch) = (RedisServer::start().await, FakeSwitch::builder().start().await);
    let _app = TestApp::with_switch(&redis, &switch, APPLY).await;
    let shell = Shell::new(&redis, &format!("{}\n{APPLY}", switch_toml(&switch, "fs1")));
    let mut set = SET.to_vec();
    set.push("--wait=15s");
    shell.gateway_typed(&set, "s3cret\n").await.expect(0);
    let before = switch.view(|view| view.gateway("carrier1").unwrap().instance);

    let restarted = shell.gateway(&["restart", "carrier1"]).await;
    assert_eq!(
        restarted.expect(0),
        "carrier1 in default is restarted.\n  fs1: applied, REGED\n"
    );
    assert_ne!(switch.view(|view| view.gateway("carrier1").unwrap().instance), before);
    let down = shell.gateway(&["unregister", "carrier1"]).await;
    assert_eq!(
        down.expect(0),
        "carrier1 in default is unregistered.\n  fs1: applied, DOWN\n"
    );
    let up = shell.gateway(&["register", "carrier1"]).await;
    up.expect(0);
    let parked = shell.gateway(&["park", "carrier1"]).await;
    assert_eq!(
        parked.expect(0),
        "carrier1 in default is parked.\n  fs1: applied, DOWN\n"
    );
    let unparked = shell.gateway(&["unpark", "carrier1"]).await;
    assert_eq!(
        unparked.expect(0),
        "carrier1 in default is unparked.\n  fs1: applied, REGED\n"
    );
    switch.registrar(|registrar| registrar.set("carrier1", FORBIDDEN));
    let refused = shell.gateway(&["register", "carrier1"]).await;
    let out = refused.expect(1);
    assert!(
        out.starts_with("Could not register carrier1 in default.\n  fs1: failed: 403 Forbidden"),
        "{out}"
    );
    let unknown = shell.gateway(&["restart", "carrier1", "--switch=fs9"]).await;
    assert!(
        unknown.error.contains("there is no switch \"fs9\"; known are fs1"),
        "{unknown:?}"
    );
    let history = shell.gateway(&["history", "carrier1"]).await;
    assert!(history.expect(0).contains("unregister"), "{history:?}");
}

#[tokio::test]
async fn many_gateways_are_restarted_by_name_or_by_what_selects_them() {
    let (redis, switch) = (RedisServer::start().await, FakeSwitch::builder().start().await);
    let _app = TestApp::with_switch(&redis, &switch, APPLY).await;
    let other = Other::new(&redis).await;
    for (name, carrier) in [("a1", "c1"), ("a2", "c1"), ("b1", "c2")] {
        let value = json!({"carrier": carrier, "param": {"realm": "r.example.net", "register": false}});
        other.set_gateway("acme", name, &value.to_string()).await;
        switch.wait_for_state(name, "NOREG").await;
        other.wait_for("trunkd:status:fs1", name, "/state", "NOREG").await;
    }
    other
        .set_gateway("acme", "off", r#"{"enabled":false,"param":{}}"#)
        .await;
    let shell = Shell::new(&redis, &format!("{}\n{APPLY}", switch_toml(&switch, "fs1")));
    let instances = || switch.view(|view| ["a1", "a2", "b1"].map(|name| view.gateway(name).unwrap().instance));
    let before = instances();

    let would = shell.gateway(&["restart", "--carrier", "c1", "--dry-run"]).await;
    assert_eq!(would.expect(2), "Would restart 2 gateways: fs1 2.\n");
    let asked = shell.gateway(&["restart", "--carrier", "c1"]).await;
    asked.expect(1);
    assert!(asked.error.contains("add --yes"), "{asked:?}");
    assert_eq!(instances(), before);
    let done = shell.gateway(&["restart", "--carrier", "c1", "--yes"]).await;
    assert_eq!(done.expect(0), "fs1: restarted 2 of 2\n");
    let after = instances();
    assert!(
        after[0] != before[0] && after[1] != before[1] && after[2] == before[2],
        "{before:?} {after:?}"
    );

    let named = shell.gateway(&["restart", "a1", "b1", "off", "--switch", "fs1"]).await;
    assert_eq!(named.expect(1), "fs1: restarted 2 of 2\n");
    assert!(
        named
            .error
            .contains("off in acme is left out: the gateway \"off\" is not served"),
        "{named:?}"
    );
    assert_ne!(instances()[2], before[2]);
    for wrong in [["restart"].as_slice(), &["restart", "a1", "--carrier", "c1"]] {
        let said = shell.gateway(wrong).await;
        said.expect(1);
        assert_eq!(said.out, "");
    }
    let unknown = shell.gateway(&["restart", "a1", "b1", "--switch", "fs9"]).await;
    assert!(unknown.error.contains("there is no switch \"fs9\""), "{unknown:?}");
}

#[tokio::test]
async fn nodes_and_directions_of_variables_are_set() {
    let (_redis, other, shell) = alone().await;
    let set = [
        "set",
        "gw",
        "realm=r",
        "register=false",
        "inbound:a=1",
        "var:b=2",
        "--nodes",
        "fs1, fs2",
        "--domain=acme",
    ];
    shell.gateway(&set).await.expect(0);
    let gateway = stored(&other, "acme", "gw").await.unwrap();
    assert_eq!(gateway["nodes"], json!(["fs1", "fs2"]));
    assert_eq!(
        gateway["variables"],
        json!({"a": {"value": "1", "direction": "inbound"}, "b": "2"})
    );
    let both = shell
        .gateway(&["set", "gw", "var:a=3", "outbound:b=2", "--nodes="])
        .await;
    both.expect(0);
    let gateway = stored(&other, "acme", "gw").await.unwrap();
    assert_eq!(gateway.get("nodes"), None);
    let variables = json!({
        "a": {"value": "3", "direction": "inbound"},
        "b": {"value": "2", "direction": "outbound"},
    });
    assert_eq!(gateway["variables"], variables);
    shell.gateway(&["set", "gw", "both:a=3"]).await.expect(0);
    let gateway = stored(&other, "acme", "gw").await.unwrap();
    assert_eq!(gateway["variables"]["a"], "3");
}
