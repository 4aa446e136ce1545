//! What an operator reads at 3 in the morning: `trunkd status`, on a terminal and in a pipe, and
//! `trunkd restore`.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::num::NonZero;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};

use jiff::{SignedDuration, Timestamp};
use nix::pty::Winsize;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};
use trunkd::desired::LastGood;

use super::program::{IP_TRUNK, Rig, Serving, TEMPLATES, json, run, text, write_settings};
use crate::support::app::{Other, eventually, http, switch_toml};
use crate::support::fake_switch::FakeSwitch;
use crate::support::redis::{Data, RedisServer};

/// A zone that needs no files.
const ZONE: &str = "CET-1";

/// A Redis that says what switches do, and settings that name it; no trunkd.
struct Told {
    redis: RedisServer,
    other: Other,
    folder: tempfile::TempDir,
}

fn ago(seconds: i64) -> String {
    (Timestamp::now() - SignedDuration::from_secs(seconds)).to_string()
}

/// A registered gateway with a ping, for three days and four hours.
fn up() -> Value {
    json!({"profile": "external", "state": "REGED", "ping": "UP", "status": null, "phrase": null, "since": ago(60),
           "seen": ago(0), "revision": null, "usable": true, "usable_since": ago(3 * 86_400 + 4 * 3600 + 60), "reason": null,
           "ping_every": 25, "ping_ms": 12.4})
}

/// One that is refused, and was for 2 h 10 min.
fn refused() -> Value {
    let mut row = up();
    for (key, value) in [
        ("state", json!("FAIL_WAIT")),
        ("ping", json!("DOWN")),
        ("usable", json!(false)),
        ("usable_since", json!(ago(7_830))),
        ("reason", json!("403 Forbidden")),
        ("retry_at", json!(ago(-210))),
    ] {
        row[key] = value;
    }
    row
}

impl Told {
    async fn new() -> Self {
        let (redis, folder) = (RedisServer::start().await, tempfile::tempdir().unwrap());
        let other = Other::new(&redis).await;
        write_settings(folder.path(), &redis);
        Self { redis, other, folder }
    }

    /// As a trunkd that is connected to the switch says.
    async fn switch(&self, name: &str) {
        let state = json!({"connected": true, "since": ago(600), "core_uuid": "c", "last_seen": ago(-3600)});
        self.set("trunkd:switches", name, &state.to_string()).await;
    }

    async fn row(&self, switch: &str, gateway: &str, row: &Value) {
        self.set(&format!("trunkd:status:{switch}"), gateway, &row.to_string())
            .await;
    }

    async fn set(&self, key: &str, field: &str, value: &str) {
        redis::cmd("HSET")
            .arg(key)
            .arg(field)
            .arg(value)
            .exec_async(&mut self.other.connection.clone())
            .await
            .unwrap();
    }

    async fn run(&self, arguments: &[&str]) -> (Option<i32>, String) {
        run(self.folder.path(), arguments).await
    }
}

fn non_zero(size: u16) -> NonZero<u16> {
    NonZero::new(size).unwrap()
}

fn emulator(rows: u16, columns: u16) -> vt100::Parser {
    vt100::Parser::new(non_zero(rows), non_zero(columns), 1000)
}

/// trunkd on a terminal of this size.
struct Terminal {
    child: Child,
    master: File,
    slave: String,
    seen: Arc<Mutex<vt100::Parser>>,
    reading: std::thread::JoinHandle<()>,
}

impl Terminal {
    fn start(folder: &Path, arguments: &[&str], rows: u16, columns: u16) -> Self {
        let size = Winsize {
            ws_row: rows,
            ws_col: columns,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        let terminal = nix::pty::openpty(Some(&size), None).unwrap();
        let slave = nix::unistd::ttyname(&terminal.slave).unwrap().display().to_string();
        let mut command = Command::new(env!("CARGO_BIN_EXE_trunkd"));
        command
            .current_dir(folder)
            .env("TZ", ZONE)
            .args(["--templates", TEMPLATES])
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(terminal.slave.try_clone().unwrap())
            .stderr(terminal.slave);
        let child = command.spawn().unwrap();
        let master = File::from(terminal.master);
        let seen = Arc::new(Mutex::new(emulator(rows, columns)));
        let (mut from, to) = (master.try_clone().unwrap(), seen.clone());
        let reading = std::thread::spawn(move || {
            let mut piece = [0; 4096];
            // A terminal that nobody has open any more is an error to read.
            while let Ok(count @ 1..) = from.read(&mut piece) {
                to.lock().unwrap().process(&piece[..count]);
            }
        });
        // The command holds the child's ends of the terminal until it is dropped.
        drop(command);
        Self {
            child,
            master,
            slave,
            seen,
            reading,
        }
    }

    fn lines(&self) -> Vec<String> {
        let seen = self.seen.lock().unwrap();
        let (_, columns) = seen.screen().size();
        seen.screen()
            .rows(0, columns.get())
            .map(|line| line.trim_end().to_owned())
            .collect()
    }

    fn is_alternate(&self) -> bool {
        self.seen.lock().unwrap().screen().alternate_screen()
    }

    async fn wait_for(&self, what: &str, holds: impl Fn(&[String]) -> bool) -> Vec<String> {
        eventually(what, || async { self.lines() }, |lines| holds(lines)).await
    }

    fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(i32::try_from(self.child.id()).unwrap()), signal).unwrap();
    }

    /// Its window gets another size.
    fn resize(&self, rows: u16, columns: u16) {
        self.seen
            .lock()
            .unwrap()
            .screen_mut()
            .set_size(non_zero(rows), non_zero(columns));
        let size = [
            "rows".to_owned(),
            rows.to_string(),
            "cols".to_owned(),
            columns.to_string(),
        ];
        let done = Command::new("stty")
            .args(["-F", &self.slave])
            .args(size)
            .status()
            .unwrap();
        assert!(done.success());
        self.signal(Signal::SIGWINCH);
    }

    /// Its end, and everything that scrolled by.
    async fn end(mut self) -> (ExitStatus, Arc<Mutex<vt100::Parser>>) {
        let status = tokio::task::spawn_blocking(move || {
            let status = self.child.wait().unwrap();
            drop(self.master);
            self.reading.join().unwrap();
            (status, self.seen)
        });
        status.await.unwrap()
    }
}

/// The bytes that `trunkd` writes to a terminal of this width.
async fn written(folder: &Path, arguments: &[&str], columns: u16) -> Vec<u8> {
    let size = Winsize {
        ws_row: 50,
        ws_col: columns,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    let terminal = nix::pty::openpty(Some(&size), None).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_trunkd"));
    command
        .current_dir(folder)
        .args(["--templates", TEMPLATES])
        .args(arguments)
        .stdout(terminal.slave.try_clone().unwrap())
        .stderr(terminal.slave);
    let mut child = command.spawn().unwrap();
    // It holds the child's ends of the terminal.
    drop(command);
    let mut master = File::from(terminal.master);
    let reading = tokio::task::spawn_blocking(move || {
        let mut bytes = Vec::new();
        // Its end is an error: nobody has it open any more.
        let _ = master.read_to_end(&mut bytes);
        child.wait().unwrap();
        bytes
    });
    reading.await.unwrap()
}

/// What `trunkd` writes to a terminal of this width and enough lines.
pub(super) async fn on_terminal(folder: &Path, arguments: &[&str], columns: u16) -> Vec<String> {
    let terminal = Terminal::start(folder, arguments, 500, columns);
    let (_, seen) = terminal.end().await;
    let seen = seen.lock().unwrap();
    let lines: Vec<_> = seen
        .screen()
        .rows(0, columns)
        .map(|line| line.trim_end().to_owned())
        .collect();
    let written = lines
        .iter()
        .rposition(|line| !line.is_empty())
        .map_or(0, |last| last + 1);
    lines[..written].to_vec()
}

#[tokio::test]
async fn a_hundred_and_fifteen_gateways_are_as_many_lines_of_80_columns_the_worst_first() {
    let told = Told::new().await;
    told.switch("fs1").await;
    for number in 0..115 {
        let row = if number % 40 == 7 { refused() } else { up() };
        told.row("fs1", &format!("carrier-{number:03}"), &row).await;
    }
    let mut trying = up();
    trying["state"] = json!("TRYING");
    trying["usable"] = json!(false);
    told.row("fs1", "carrier-100", &trying).await;

    let lines = on_terminal(told.folder.path(), &["status"], 80).await;
    assert_eq!(lines.len(), 2 + 115, "{lines:#?}");
    assert_eq!(lines[0], "fs1: 111 up, 3 down, 1 trying");
    assert!(lines[1].starts_with("GATEWAY      STATE"), "{}", lines[1]);
    for (line, name) in lines[2..].iter().zip([
        "carrier-007",
        "carrier-047",
        "carrier-087",
        "carrier-100",
        "carrier-000",
    ]) {
        assert!(line.starts_with(name), "{line}");
    }
    assert!(
        lines[2].contains("403 Forbidden, down for 2 h 10 min, next try in 3 min"),
        "{}",
        lines[2]
    );

    let (status, said) = told.run(&["status"]).await;
    assert_eq!((status, said.lines().count()), (Some(2), 2 + 115), "{said}");
    assert!(said.lines().skip(2).all(|line| line.starts_with("fs1 ")), "{said}");
    let piped = said.lines().nth(2).unwrap().to_owned();
    for whole in [
        "external",
        "FAIL_WAIT",
        "down for 2 h 10 min, next try in 3 min",
        "not ours",
    ] {
        assert!(piped.contains(whole), "{piped}");
    }
}

#[tokio::test]
async fn no_line_is_wider_than_the_terminal_whatever_the_names_and_notes() {
    let told = Told::new().await;
    for switch in ["fs1", "a-switch-with-a-rather-long-name.example.net"] {
        told.switch(switch).await;
        let long = "a-gateway-with-a-name-that-nobody-would-type-by-hand-twice";
        told.row(switch, long, &refused()).await;
        let mut row = refused();
        row["reason"] = json!("顶顶通 ".repeat(40));
        told.row(switch, "wide", &row).await;
    }
    told.set(
        "cti_gateway@d",
        "typo",
        r#"{"param":{"register":"false"},"nodes":["FS1"]}"#,
    )
    .await;
    told.set(
        "cti_gateway@d",
        "bad",
        r#"{"param":{"register":"perhaps","realm":"a b"},"enabled":"perhaps"}"#,
    )
    .await;
    for columns in [40, 80, 100, 132, 250] {
        let bytes = written(told.folder.path(), &["status"], columns).await;
        // On a terminal ten times as wide nothing is wrapped by the terminal itself.
        let mut parser = emulator(200, 10 * columns);
        parser.process(&bytes);
        let lines: Vec<_> = parser.screen().rows(0, 10 * columns).collect();
        let written = lines.iter().filter(|line| !line.is_empty()).count();
        assert!(written >= 9, "{lines:#?}");
        for (number, line) in lines.iter().enumerate() {
            let number = u16::try_from(number).unwrap();
            let beyond = (columns..10 * columns).find(|column| {
                let cell = parser.screen().cell(number, *column);
                cell.is_some_and(|cell| !cell.contents().trim().is_empty())
            });
            assert_eq!(beyond, None, "{columns}: {line}");
        }
    }
}

#[tokio::test]
async fn what_is_shown_can_be_chosen_and_the_exit_status_is_of_what_is_shown() {
    let told = Told::new().await;
    for switch in ["fs1", "fs2"] {
        told.switch(switch).await;
        told.row(switch, "good", &up()).await;
    }
    told.row("fs2", "bad", &refused()).await;
    told.set("cti_gateway@acme", "good", IP_TRUNK).await;
    let names = |said: &str| -> Vec<String> {
        let rows = said.lines().filter(|line| line.contains(" external "));
        rows.map(|line| line.split_whitespace().take(2).collect::<Vec<_>>().join("/"))
            .collect()
    };
    for (arguments, expected, status) in [
        (&["status"][..], &["fs2/bad", "fs1/good", "fs2/good"][..], 2),
        (&["status", "good"], &["fs1/good", "fs2/good"], 0),
        (&["status", "bad"], &["fs2/bad"], 2),
        (&["status", "--switch", "fs1"], &["fs1/good"], 0),
        (&["status", "--switch", "fs2", "--failing"], &["fs2/bad"], 2),
        (&["status", "--switch", "fs1", "--failing"], &[], 0),
        (&["status", "--domain", "acme"], &["fs1/good", "fs2/good"], 0),
        (&["status", "--state", "fail_wait"], &["fs2/bad"], 2),
        (&["status", "--state", "up"], &["fs1/good", "fs2/good"], 0),
        (&["status", "--limit", "1"], &["fs2/bad"], 2),
    ] {
        let (code, said) = told.run(arguments).await;
        assert_eq!(
            (names(&said), code),
            (expected.iter().map(ToString::to_string).collect(), Some(status)),
            "{said}"
        );
        let mut in_json = arguments.to_vec();
        in_json.push("--json");
        let (code, said) = told.run(&in_json).await;
        assert_eq!(code, Some(status), "{said}");
        let status = json(&said);
        let switches = status["switches"].as_array().unwrap().iter();
        let count: usize = switches
            .map(|switch| switch["gateways"].as_array().unwrap().len())
            .sum();
        assert_eq!(count, expected.len(), "{said}");
    }
    for (arguments, words) in [
        (&["status", "goood"][..], "there is no gateway \"goood\""),
        (
            &["status", "--switch", "fs3"],
            "there is no switch \"fs3\"; known are fs1, fs2",
        ),
        (
            &["status", "--domain", "acne"],
            "there is no gateway of a domain \"acne\"",
        ),
    ] {
        let (code, said) = told.run(arguments).await;
        assert!(code == Some(1) && said.contains(words), "{said}");
    }
    let (code, said) = told.run(&["status", "--state", "REGD"]).await;
    assert!(code == Some(2) && said.contains("FAIL_WAIT"), "{said}");
}

#[tokio::test]
async fn each_gateway_says_how_it_is_since_when_and_why() {
    let told = Told::new().await;
    told.switch("fs1").await;
    let with = |changes: &[(&str, Value)]| {
        let mut row = up();
        for (key, value) in changes {
            row[*key] = value.clone();
        }
        row
    };
    let rows = [
        ("registered", up()),
        ("refused", refused()),
        (
            "challenged",
            with(&[
                ("state", json!("TRYING")),
                ("usable", json!(false)),
                ("usable_since", json!(ago(45))),
                ("challenge", json!({"from": "203.0.113.9", "at": ago(5)})),
            ]),
        ),
        (
            "no-ping",
            with(&[
                ("state", json!("NOREG")),
                ("usable", Value::Null),
                ("ping_every", json!(0)),
            ]),
        ),
        (
            "ping-lost",
            with(&[
                ("state", json!("NOREG")),
                ("ping", json!("DOWN")),
                ("usable", json!(false)),
                ("usable_since", json!(ago(300))),
                ("reason", json!("ping lost")),
            ]),
        ),
        ("stuck", with(&[("ping_stuck", json!(true))])),
    ];
    for (name, row) in &rows {
        told.row("fs1", name, row).await;
    }
    let (_, said) = told.run(&["status"]).await;
    assert!(said.starts_with("fs1: 2 up, 3 down, 1 unknown\n"), "{said}");
    let line = |name: &str| {
        let line = said.lines().find(|line| line.contains(name)).unwrap();
        line.split_whitespace().collect::<Vec<_>>().join(" ")
    };
    for (name, words) in [
        ("registered", &["REGED", "UP 12 ms"][..]),
        ("refused", &["403 Forbidden, down for 2 h 10 min, next try in 3 min"]),
        (
            "challenged",
            &["a challenge from 203.0.113.9 was not answered: set gw-auth-acl, down for 45 s"],
        ),
        ("no-ping", &["NOREG - "]),
        ("ping-lost", &["ping lost, down for 5 min"]),
        ("stuck", &["stuck", "its ping is stuck"]),
    ] {
        for words in words {
            assert!(line(name).contains(words), "{words}: {}", line(name));
        }
    }
    let since = (Timestamp::now() - SignedDuration::from_secs(3 * 86_400 + 4 * 3600 + 60))
        .to_zoned_datetime(jiff::tz::TimeZone::system());
    assert!(
        line("registered").contains(&since.strftime("%Y-%m-%dT%H:").to_string()),
        "{said}"
    );
    assert!(
        line("registered").contains(&since.strftime("%:z").to_string()),
        "{said}"
    );
    let wide = on_terminal(told.folder.path(), &["status", "registered"], 200).await;
    assert!(wide[2].contains(" CET "), "{wide:#?}");

    let json = json(&told.run(&["status", "refused", "--json"]).await.1);
    let gateway = &json["switches"][0]["gateways"][0];
    assert_eq!(
        (&gateway["condition"], &gateway["failing"]),
        (&json!("down"), &json!(true))
    );
    for key in ["usable", "usable_since", "reason", "ping_every", "ping_ms", "retry_at"] {
        assert_eq!(gateway[key], rows[1].1[key], "{key}");
    }
    assert_eq!(json["switches"][0]["counts"]["down"], 3);
}

#[tokio::test]
async fn a_switch_that_is_away_says_why_and_one_that_nobody_has_reported_is_listed() {
    let told = Told::new().await;
    let away = json!({"connected": false, "since": ago(7_830), "core_uuid": "c", "last_seen": ago(7_830),
                      "reason": "refused the event-socket password"});
    told.set("trunkd:switches", "fs1", &away.to_string()).await;
    let toml = format!(
        "[redis]\nurl = \"{}\"\n[[switch]]\nname = \"fs1\"\naddress = \"127.0.0.1:1\"\npassword = \"x\"\n\
         [[switch]]\nname = \"fs2\"\naddress = \"127.0.0.1:2\"\npassword = \"x\"\n",
        told.redis.url()
    );
    std::fs::write(told.folder.path().join("trunkd.toml"), toml).unwrap();
    told.set("cti_gateway@d", "gw", IP_TRUNK).await;
    let (status, said) = told.run(&["status"]).await;
    assert_eq!(status, Some(2), "{said}");
    let lines: Vec<_> = said.lines().collect();
    assert!(
        lines[0].starts_with("fs1: NOT CONNECTED since ")
            && lines[0].contains(" (2 h 10 min): refused the event-socket password;"),
        "{said}"
    );
    assert_eq!(
        lines[1],
        "fs2: NOT CONNECTED: no trunkd has connected to it yet; 1 unknown"
    );
    assert!(!said.contains("name yours in [[switch]]"), "{said}");
}

#[tokio::test]
async fn a_gateway_whose_nodes_name_no_known_switch_is_on_no_switch() {
    let told = Told::new().await;
    told.switch("fs1").await;
    for (name, nodes) in [
        ("case", r#"["FS1"]"#),
        ("unknown", r#"["fs9"]"#),
        ("here", r#"["fs1"]"#),
    ] {
        let value = format!(r#"{{"param":{{"register":"false"}},"nodes":{nodes}}}"#);
        told.set("cti_gateway@d", name, &value).await;
    }
    let (status, said) = told.run(&["status"]).await;
    assert_eq!(status, Some(2), "{said}");
    let line = |name: &str| said.lines().find(|line| line.contains(name)).unwrap().to_owned();
    assert!(
        line("case").starts_with("-  ")
            && line("case").contains(r#"on no switch"#)
            && line("case").contains(r#"its nodes name no known switch: "FS1"; did you mean "fs1"?"#),
        "{said}"
    );
    assert!(line("unknown").contains("known are fs1"), "{said}");
    assert!(line("here").starts_with("fs1 "), "{said}");
    let json = json(&told.run(&["status", "--json"]).await.1);
    assert_eq!(json["on_no_switch"][0]["nodes"], json!(["FS1"]));
}

#[tokio::test]
async fn a_profile_that_does_not_run_is_named_beside_its_gateways_and_the_budget_in_the_summary() {
    let told = Told::new().await;
    told.switch("fs1").await;
    told.set(
        "cti_gateway@d",
        "gw",
        r#"{"param":{"register":"false"},"profile":"internal"}"#,
    )
    .await;
    let report = json!({"mode": "apply", "paused": false, "start": 0, "restart": 0, "kill": 0, "unchanged": 0, "held": null,
        "conflicts": [{"conflict": "profile_not_running", "profile": "internal", "gateways": ["gw"]}],
        "troubles": {}, "pending": {}, "order": null, "at": ago(0), "removals_left": 3});
    told.set("trunkd:reconcile", "fs1", &report.to_string()).await;
    let (status, said) = told.run(&["status"]).await;
    assert_eq!(status, Some(2), "{said}");
    assert!(said.starts_with("fs1: 1 missing; removals left: 3\n"), "{said}");
    let row = said.lines().find(|line| line.starts_with("fs1  ")).unwrap();
    assert!(
        row.contains("profile internal does not run on this switch") && !row.contains("under way"),
        "{said}"
    );
}

#[tokio::test]
async fn watching_takes_one_screen_and_leaves_the_terminal_as_it_was() {
    let told = Told::new().await;
    told.switch("fs1").await;
    for number in 0..115 {
        told.row("fs1", &format!("carrier-{number:03}"), &up()).await;
    }
    told.row("fs1", "carrier-100", &refused()).await;
    for (signal, code) in [(Signal::SIGINT, 130), (Signal::SIGTERM, 143)] {
        let terminal = Terminal::start(told.folder.path(), &["status", "--watch"], 24, 80);
        let lines = terminal
            .wait_for("it is shown", |lines| lines.iter().any(|line| line.contains("more")))
            .await;
        assert!(terminal.is_alternate());
        assert_eq!(lines[0], "fs1: 114 up, 1 down");
        assert!(
            lines[2].starts_with("carrier-100") && lines[3].starts_with("carrier-000"),
            "{lines:#?}"
        );
        assert_eq!(
            (lines[22].as_str(), lines[23].as_str()),
            ("… and 95 more", ""),
            "{lines:#?}"
        );

        terminal.resize(10, 60);
        let lines = terminal
            .wait_for("it is shown anew", |lines| {
                lines.iter().any(|line| line == "… and 109 more")
            })
            .await;
        assert_eq!(lines[0], "fs1: 114 up, 1 down");

        told.row("fs1", "carrier-050", &refused()).await;
        terminal
            .wait_for("what changed is shown", |lines| lines[0] == "fs1: 113 up, 2 down")
            .await;
        told.row("fs1", "carrier-050", &up()).await;

        terminal.signal(signal);
        let (status, seen) = terminal.end().await;
        assert_eq!(status.code(), Some(code));
        let mut seen = seen.lock().unwrap();
        assert!(!seen.screen().alternate_screen() && !seen.screen().hide_cursor());
        assert_eq!(seen.screen().contents(), "", "nothing stays behind");
        seen.screen_mut().set_scrollback(usize::MAX);
        assert_eq!(seen.screen().scrollback(), 0, "nothing scrolled by");
    }
}

#[tokio::test]
async fn it_works_from_any_folder_without_templates() {
    let told = Told::new().await;
    told.switch("fs1").await;
    told.row("fs1", "gw", &up()).await;
    told.set(
        "cti_gateway@d",
        "elsewhere",
        r#"{"param":{"register":"false"},"profile":"mine"}"#,
    )
    .await;
    let config = told.folder.path().join("trunkd.toml").display().to_string();
    let from_root = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_trunkd"));
        let output = command
            .current_dir("/")
            .args(["--config", &config])
            .args(arguments)
            .output()
            .unwrap();
        (output.status.code(), text(&output.stdout), text(&output.stderr))
    };
    let (status, said, errors) = from_root(&["status"]);
    assert_eq!(status, Some(2), "{errors}");
    assert!(said.contains("gw ") && said.contains("elsewhere"), "{said}");
    assert!(errors.contains("not checked against the templates"), "{errors}");
    for arguments in [&["pause"][..], &["resume"]] {
        let (status, _, errors) = from_root(arguments);
        assert_eq!((status, errors.as_str()), (Some(0), ""), "{arguments:?}");
    }
    // Templates beside the settings file are found.
    let copied = Command::new("cp")
        .arg("-r")
        .arg(TEMPLATES)
        .arg(told.folder.path())
        .status()
        .unwrap();
    assert!(copied.success());
    let (status, said, errors) = from_root(&["check"]);
    assert!(
        said.contains("no template for the profile 'mine'"),
        "{status:?} {said} {errors}"
    );
    assert_eq!(from_root(&["status"]).2, "");
    let (status, said, errors) = from_root(&["render", "--profile", "external"]);
    assert!(
        status == Some(0) && said.contains("<profile name=\"external\">"),
        "{errors}"
    );
}

#[tokio::test]
async fn what_a_trunkd_keeps_beside_its_settings_is_found_from_any_folder() {
    let folder = tempfile::tempdir().unwrap();
    let settings = "[redis]\nembedded = true\n[templates]\ndir = \"profiles\"\n";
    std::fs::write(folder.path().join("trunkd.toml"), settings).unwrap();
    let copied = Command::new("cp")
        .arg("-r")
        .arg(TEMPLATES)
        .arg(folder.path().join("profiles"))
        .status()
        .unwrap();
    assert!(copied.success());
    let serving = Serving::start(folder.path(), &["--sample"]);
    serving.url("/health").await;
    let config = folder.path().join("trunkd.toml").display().to_string();
    for (arguments, words) in [
        (&["check"][..], "gateways served: 1; errors: 0"),
        (&["render", "--profile", "external"], r#"<gateway name="sample">"#),
        (&["status", "--json"], r#""findings""#),
        (&["plan"], "the settings name no switch"),
        (&["pause"], "Paused"),
        (&["resume"], "Resumed"),
    ] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_trunkd"));
        command.current_dir("/").args(["--config", &config]).args(arguments);
        let output = tokio::task::spawn_blocking(move || command.output().unwrap())
            .await
            .unwrap();
        let said = text(&output.stdout) + &text(&output.stderr);
        assert!(said.contains(words), "{arguments:?}: {said}");
    }
}

/// Every field of these keys, byte for byte.
async fn stored(other: &Other, keys: &[&str]) -> Vec<BTreeMap<Vec<u8>, Vec<u8>>> {
    let mut all = Vec::new();
    for key in keys {
        let mut command = redis::cmd("HGETALL");
        all.push(
            command
                .arg(key)
                .query_async(&mut other.connection.clone())
                .await
                .unwrap(),
        );
    }
    all
}

fn kept(folder: &Path) -> usize {
    let kept = LastGood::load(&folder.join("data")).unwrap();
    kept.map_or(0, |kept| kept.stored().values().map(BTreeMap::len).sum())
}

#[tokio::test]
async fn what_a_flushed_redis_lost_is_put_back_and_nothing_is_killed() {
    let gateways: Vec<_> = (0..30).map(|number| format!("gw{number:02}")).collect();
    let with: Vec<_> = gateways.iter().map(|name| (name.as_str(), IP_TRUNK)).collect();
    let rig = Rig::start(&with, "").await;
    eventually(
        "all are kept",
        || async { kept(rig.folder.path()) },
        |count| *count == 30,
    )
    .await;
    let (status, said) = rig.run(&["restore"]).await;
    assert!(
        status == Some(0) && said.contains("there is nothing to restore"),
        "{said}"
    );

    // What is refused, disabled or no text is an operator's all the same.
    rig.other
        .set_gateway("acme", "off", r#"{"param":{},"enabled":false}"#)
        .await;
    rig.other.set_gateway("acme", "bad", r#"{"param":"#).await;
    rig.other.set_gateway("default", "gw00", r#"{"broken"#).await;
    let mut odd = redis::cmd("HSET");
    odd.arg("cti_gateway@acme").arg(b"no name \xff").arg(b"\x00\xfe");
    odd.exec_async(&mut rig.other.connection.clone()).await.unwrap();
    let keys = ["cti_gateway@acme", "cti_gateway@default"];
    let before = stored(&rig.other, &keys).await;
    eventually("it is kept", || async { kept(rig.folder.path()) }, |count| *count == 33).await;
    let running = || {
        rig.switch.view(|view| {
            view.gateways()
                .iter()
                .map(|gateway| gateway.instance)
                .collect::<Vec<_>>()
        })
    };
    let instances = running();

    rig.flush_all().await;
    let report = rig.wait_for_report("/kill", 30).await;
    assert!(
        report["held"].as_str().unwrap().contains("every domain is gone"),
        "{report}"
    );
    let health = http().get(rig.serving.url("/health").await).send().await.unwrap();
    assert!(
        health
            .text()
            .await
            .unwrap()
            .contains("`trunkd restore` puts the domains back")
    );
    let (status, said) = rig.run(&["status"]).await;
    assert!(
        status == Some(2) && said.contains("`trunkd restore` puts the domains back"),
        "{said}"
    );
    // Somebody has begun to type them in again.
    let other = r#"{"param":{"realm":"other.example.net","register":"false"}}"#;
    rig.other.set_gateway("acme", "off", other).await;

    let (status, said) = rig.run(&["restore"]).await;
    assert!(status == Some(1) && said.contains("add --yes"), "{said}");
    let (status, said) = rig.answer("n\n", &["restore"]).await;
    assert!(status == Some(1) && said.contains("Nothing was changed"), "{said}");
    assert!(
        said.contains("lacks 32 gateways of it") && said.contains("acme: 2 gateways: bad, no name"),
        "{said}"
    );
    assert!(
        said.contains("default, all of it: 30 gateways: gw00, gw01, ") && said.contains(" and 10 more"),
        "{said}"
    );
    assert_eq!(stored(&rig.other, &keys).await[1].len(), 0);
    let (status, said) = rig.run(&["restore", "--yes"]).await;
    assert!(status == Some(0) && said.ends_with("Restored 32 gateways.\n"), "{said}");

    let mut expected = before;
    expected[0].insert(b"off".to_vec(), other.as_bytes().to_vec());
    assert_eq!(stored(&rig.other, &keys).await, expected);
    rig.wait_for_report("/held", Value::Null).await;
    rig.switch.wait_for_state("off", "NOREG").await;
    assert!(instances.iter().all(|instance| running().contains(instance)));
    let commands = rig
        .switch
        .view(|view| view.commands().iter().map(ToString::to_string).collect::<Vec<_>>());
    assert!(
        !commands.iter().any(|command| command.contains("killgw")),
        "{commands:#?}"
    );
    let (status, said) = rig.run(&["restore"]).await;
    assert!(
        status == Some(0) && said.contains("there is nothing to restore"),
        "{said}"
    );
}

#[tokio::test]
async fn restore_says_what_it_needs() {
    let told = Told::new().await;
    let (status, said) = told.run(&["restore"]).await;
    assert!(
        status == Some(1) && said.contains("there is no last good state in data_dir"),
        "{said}"
    );

    told.other.set_gateway("acme", "gw", IP_TRUNK).await;
    let mut serving = Serving::start(told.folder.path(), &["--templates", TEMPLATES]);
    eventually("it is kept", || async { kept(told.folder.path()) }, |count| *count == 1).await;
    serving.signal(Signal::SIGKILL);
    serving.ended().await;
    for command in [&["FLUSHALL"][..], &["SET", "cti_gateway@acme", "text"]] {
        redis::cmd(command[0])
            .arg(&command[1..])
            .exec_async(&mut told.other.connection.clone())
            .await
            .unwrap();
    }
    let (status, said) = told.run(&["restore", "--yes"]).await;
    assert!(
        status == Some(1) && said.contains("the key of domain acme is a string and no hash: move it away"),
        "{said}"
    );
}

#[tokio::test]
async fn with_redis_away_the_switches_are_asked_and_the_last_good_state_is_what_counts() {
    let mut rig = Rig::start(&[("gw", IP_TRUNK), ("ours", IP_TRUNK)], "").await;
    eventually("it is kept", || async { kept(rig.folder.path()) }, |count| *count == 2).await;
    rig.switch.api("sofia profile external killgw ours").await;
    rig.serving.signal(Signal::SIGKILL);
    rig.serving.ended().await;
    rig.switch.wait_for_gone("ours").await;
    rig.redis.kill();
    let (status, said) = rig.run(&["status"]).await;
    assert_eq!(status, Some(2), "{said}");
    for words in [
        "Connection refused",
        "the desired gateways are those of ",
        "fs1: 1 missing, 1 unknown; read from the switch itself",
        "missing",
        "desired, and not on this switch",
        "NOREG",
    ] {
        assert!(said.contains(words), "{words}: {said}");
    }
    rig.switch.refuse_connections(true).await;
    let (status, said) = rig.run(&["status"]).await;
    assert!(status == Some(2) && said.contains("fs1: NOT CONNECTED: "), "{said}");

    // `check` counts what `trunkd serve` serves.
    let (status, said) = rig.run(&["check"]).await;
    assert!(
        status == Some(1) && said.contains("gateways served: 2 (the last good state, of "),
        "{said}"
    );
    let (status, said) = rig.run(&["render", "--profile", "external"]).await;
    assert!(status == Some(0) && said.contains(r#"<gateway name="gw">"#), "{said}");
}

#[tokio::test]
async fn the_age_of_the_last_good_state_is_a_metric() {
    let mut rig = Rig::start(&[("gw", IP_TRUNK)], "").await;
    let url = rig.serving.url("/metrics").await;
    let age = async || {
        let text = http().get(&url).send().await.unwrap().text().await.unwrap();
        let mut lines = text.lines();
        let age = lines.find_map(|line| line.strip_prefix("trunkd_desired_age_seconds "))?;
        age.parse::<f64>().ok()
    };
    eventually("it is new", age, |age| *age == Some(0.0)).await;
    rig.redis.kill();
    eventually("it grows old", age, |age| *age > Some(1.0)).await;
    rig.redis.restart(Data::Kept).await;
    eventually("it is new again", age, |age| *age == Some(0.0)).await;
}

#[tokio::test]
async fn a_last_good_state_that_cannot_be_used_is_named_when_it_is_missed() {
    let mut told = Told::new().await;
    std::fs::create_dir(told.folder.path().join("data")).unwrap();
    std::fs::write(told.folder.path().join("data/last-good"), "garbage").unwrap();
    let (status, said) = told.run(&["check"]).await;
    assert!(
        status == Some(0) && said.contains("warning: the last good state in "),
        "{said}"
    );
    let (_, said) = told.run(&["status"]).await;
    assert!(!said.contains("last good"), "{said}");
    let (status, said) = told.run(&["restore"]).await;
    assert!(status == Some(1) && said.contains("is damaged"), "{said}");
    told.redis.kill();
    let (status, said) = told.run(&["status"]).await;
    assert!(status == Some(1) && said.contains("Connection refused"), "{said}");
    assert!(
        said.contains("the last good state in data is damaged") || said.contains("last-good is damaged"),
        "{said}"
    );
}

#[tokio::test]
async fn what_is_kept_counts_as_served_for_check_too() {
    let rig = Rig::start(&[("gw", IP_TRUNK)], "").await;
    eventually("it is kept", || async { kept(rig.folder.path()) }, |count| *count == 1).await;
    rig.other.set_gateway("default", "gw", "{").await;
    let (status, said) = rig.run(&["check"]).await;
    assert!(
        status == Some(1) && said.contains("gateways served: 1; errors: 1"),
        "{said}"
    );
    rig.serving.wait_for("domain default, gateway gw").await;
    assert!(!rig.serving.log().contains("error: domain"), "{}", rig.serving.log());
}

/// Takes over a terminal, hides and reorders text, breaks lines, and goes on for long.
fn hostile() -> String {
    format!(
        "\u{1b}]0;owned\u{7}\u{1b}[31m\u{1b}[2J\u{9b}5n\u{202e}\u{200b}\r\nforged: line{}",
        "!".repeat(3000)
    )
}

/// No line acts on a terminal, or is longer than anybody reads.
#[track_caller]
fn assert_harmless(what: &str, said: &str) {
    for line in said.lines() {
        let harmful = line.chars().find(|c| !trunkd::shown::is_harmless(*c));
        assert_eq!(harmful, None, "{what}: {line:?}");
        assert!(line.len() < 12_000, "{what}: {} bytes: {line:?}", line.len());
        assert!(!line.starts_with("forged"), "{what}: {line:?}");
    }
}

/// A switch that is called something else, settings that name it, and a Redis in which nothing is
/// meant well.
async fn hostile_rig() -> (Rig, FakeSwitch) {
    let rig = Rig::start(&[("gw", IP_TRUNK)], "mode = \"observe\"\n").await;
    let other_name: String = hostile()
        .chars()
        .filter(|c| !matches!(c, '\r' | '\n'))
        .take(200)
        .collect();
    let stranger = FakeSwitch::builder().switchname(&other_name).start().await;
    let settings = rig.folder.path().join("trunkd.toml");
    let mut toml = std::fs::read_to_string(&settings).unwrap();
    toml.push_str(&switch_toml(&stranger, "stranger"));
    std::fs::write(&settings, toml).unwrap();

    let bad = hostile();
    let set = async |key: &str, field: &str, value: &str| {
        let mut command = redis::cmd("HSET");
        let command = command.arg(key).arg(field).arg(value);
        command.exec_async(&mut rig.other.connection.clone()).await.unwrap();
    };
    // What runs is not what was shown of it.
    let forms: BTreeMap<String, String> = {
        let mut command = redis::cmd("HGETALL");
        command
            .arg("trunkd:forms")
            .query_async(&mut rig.other.connection.clone())
            .await
            .unwrap()
    };
    for revision in forms.keys() {
        set(
            "trunkd:forms",
            revision,
            &json!({"param.realm": bad, bad.clone(): bad}).to_string(),
        )
        .await;
    }
    let changed = r#"{"param":{"realm":"other.example.net","register":"false"}}"#;
    set("cti_gateway@default", "gw", changed).await;
    let value = json!({"param": {"realm": bad, bad.clone(): bad, "register": bad}, "profile": bad, "nodes": [bad], bad.clone(): 1});
    for domain in ["cti_gateway@default".to_owned(), format!("cti_gateway@{bad}")] {
        set(&domain, &bad, &value.to_string()).await;
        set(&domain, "bad", &value.to_string()).await;
        set(
            &domain,
            "nowhere",
            &json!({"param": {"register": "false"}, "nodes": [bad]}).to_string(),
        )
        .await;
    }
    let mut row = refused();
    for field in ["profile", "state", "ping", "status", "phrase", "reason", "revision"] {
        row[field] = json!(bad);
    }
    row["challenge"] = json!({"from": bad, "at": ago(0)});
    let state = json!({"connected": false, "since": bad, "core_uuid": bad, "last_seen": bad, "reason": bad});
    set("trunkd:switches", &bad, &state.to_string()).await;
    let report = json!({"mode": bad, "paused": false, "start": 0, "restart": 0, "kill": 0, "unchanged": 0, "held": bad,
        "conflicts": [bad, {"conflict": "not_ours", "gateway": "gw", "profile": "internal", "domain": bad}], "troubles": {"gw": bad, bad.clone(): bad}, "pending": {bad.clone(): bad},
        "order": bad, "at": ago(0)});
    for switch in ["fs1", &bad] {
        set(&format!("trunkd:status:{switch}"), &bad, &row.to_string()).await;
        set("trunkd:reconcile", switch, &report.to_string()).await;
    }
    set("trunkd:reconcile", "*", &report.to_string()).await;
    set("trunkd:control", &format!("paused:{bad}"), &bad).await;
    let order = json!({"id": bad, "at": ago(3600)});
    set("trunkd:control", "apply:fs1", &order.to_string()).await;
    rig.serving.wait_for("too long ago").await;
    (rig, stranger)
}

#[tokio::test]
async fn no_command_lets_foreign_text_act_on_a_terminal() {
    let (mut rig, _stranger) = hostile_rig().await;
    let bad = hostile();
    for arguments in [
        &["check"][..],
        &["check", "--json"],
        &["status"],
        &["status", "--failing"],
        &["status", "--json"],
        &["status", &bad],
        &["status", "--switch", &bad],
        &["status", "--switch", "no\u{202e}body"],
        &["status", "no\u{202e}body"],
        &["status", "--domain", "no\u{202e}body"],
        &["plan"],
        &["plan", "--json"],
        &["plan", "--node", &bad],
        &["apply", "--yes", "--node", "fs1"],
        &["apply", "--yes"],
        &["pause", "--node", &bad],
        &["resume", "--node", &bad],
        &["pause", "--node", "no\u{202e}body"],
        &["pause"],
        &["resume"],
        &["restore", "--yes"],
    ] {
        let (_, said) = rig.run(arguments).await;
        assert!(!said.trim().is_empty(), "{arguments:?}");
        assert_harmless(&format!("{arguments:?}"), &said);
    }
    for arguments in [
        &["check"][..],
        &["status"],
        &["status", &bad],
        &["status", "--switch", &bad],
        &["plan"],
    ] {
        let (_, said) = rig.run(arguments).await;
        assert!(
            said.contains(r"\u{1b}]0;owned\u{7}"),
            "it is shown, and not left out: {said}"
        );
    }
    let status = json(&rig.run(&["status", "--json"]).await.1);
    let switches = status["switches"].as_array().unwrap();
    let theirs = switches.iter().find(|switch| switch["name"] == *bad).unwrap();
    assert_eq!(theirs["gateways"][0]["reason"], *bad, "whole in JSON");

    for arguments in [&["status"][..], &["plan"]] {
        let bytes = written(rig.folder.path(), arguments, 80).await;
        assert_harmless(&format!("{arguments:?} on a terminal"), &without_colours(&bytes));
    }
    let terminal = Terminal::start(rig.folder.path(), &["status", "--watch"], 24, 80);
    terminal
        .wait_for("it is shown", |lines| lines.iter().any(|line| line.contains("owned")))
        .await;
    terminal.signal(Signal::SIGTERM);
    let (_, seen) = terminal.end().await;
    assert_eq!(seen.lock().unwrap().screen().contents(), "");

    // As a person at a terminal reads its log.
    let folder = tempfile::tempdir().unwrap();
    let toml = std::fs::read_to_string(rig.folder.path().join("trunkd.toml")).unwrap();
    std::fs::write(folder.path().join("trunkd.toml"), toml + "[log]\nformat = \"human\"\n").unwrap();
    rig.serving.signal(Signal::SIGTERM);
    rig.serving.ended().await;
    let human = Serving::start(folder.path(), &["--templates", TEMPLATES]);
    human.wait_for("cannot reach the switch").await;
    let order = json!({"id": bad, "at": ago(3600)}).to_string();
    eventually(
        "its log names an order",
        async || {
            let mut command = redis::cmd("HSET");
            let command = command.arg("trunkd:control").arg("apply:fs1").arg(&order);
            command.exec_async(&mut rig.other.connection.clone()).await.unwrap();
            human.log()
        },
        |log| log.contains("too long ago"),
    )
    .await;
    assert_harmless("the log", &human.log());
}

/// A Redis whose errors contain terminal escapes.
#[tokio::test]
async fn what_redis_answers_does_not_act_on_a_terminal_either() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let error = format!("-ERR {}\r\n", hostile().replace(['\r', '\n'], " "));
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let error = error.clone();
            tokio::spawn(async move {
                use tokio::io::{AsyncReadExt, AsyncWriteExt};
                let mut buffer = [0; 4096];
                while let Ok(1..) = client.read(&mut buffer).await {
                    if client.write_all(error.repeat(8).as_bytes()).await.is_err() {
                        return;
                    }
                }
            });
        }
    });
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(
        folder.path().join("trunkd.toml"),
        format!("[redis]\nurl = \"redis://{address}\"\n"),
    )
    .unwrap();
    for arguments in [
        &["check"][..],
        &["check", "--json"],
        &["status"],
        &["plan"],
        &["pause"],
        &["resume"],
        &["render"],
    ] {
        let (status, said) = run(folder.path(), arguments).await;
        assert_eq!(status, Some(1), "{said}");
        assert_harmless(&format!("{arguments:?}"), &said);
    }
}

fn without_colours(bytes: &[u8]) -> String {
    let text = text(bytes).replace("\r\n", "\n");
    let mut plain = String::new();
    let mut rest = text.as_str();
    while let Some((before, after)) = rest.split_once("\u{1b}[") {
        plain.push_str(before);
        rest = after.trim_start_matches(|c: char| c.is_ascii_digit() || c == ';');
        rest = rest.strip_prefix('m').unwrap_or_else(|| panic!("no colour: {after:?}"));
    }
    plain + rest
}
