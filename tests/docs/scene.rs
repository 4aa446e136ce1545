//! Where the commands of a page are run: a clone in a folder of its own, a Redis, Sentinels, two FreeSWITCH, and a
//! terminal on which a person types.
//!
//! What stands in for what, and nothing else does:
//!
//! - `cargo run` and `cargo install` take the trunkd that is built already;
//! - the addresses that the pages name are those of the servers of this test ([`Scene::stand_ins`]), and `redis-cli`
//!   without an address asks the Redis of this test;
//! - `make run` runs on until the next one, as in a second terminal; `systemctl restart trunkd` starts `trunkd serve`
//!   again;
//! - FreeSWITCH is `FakeSwitch`, joined to trunkd already. It runs the gateways of the XML files that a page shows.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use nix::pty::Winsize;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::expected::is_as_shown;
use super::page::{Block, root};
use crate::support::app::eventually_within;
use crate::support::fake_switch::{Binding, FakeSwitch, Outcome};
use crate::support::port::free_port;
use crate::support::redis::{Group, RedisServer};

/// For a command on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);
/// A terminal that shows every column.
const SIZE: Winsize = Winsize {
    ws_row: 200,
    ws_col: 120,
    ws_xpixel: 0,
    ws_ypixel: 0,
};
const PASSWORD: &str = "ClueCon";
/// The settings that the how-tos begin with: those of the tutorial's end.
const SETTINGS: &str = r#"[redis]
url = "redis://127.0.0.1:6379"

[[switch]]
name = "fs1"
address = "127.0.0.1:8021"
password = "ClueCon"
"#;
/// What a clone has, as far as pages use it.
const CLONED: [&str; 7] = [
    "Cargo.toml",
    "Makefile",
    "dev.toml",
    "fs-conf",
    "scripts",
    "templates",
    "trunkd.example.toml",
];

pub(super) struct Scene {
    folder: tempfile::TempDir,
    redis: RedisServer,
    group: Option<Group>,
    switches: Vec<FakeSwitch>,
    http_port: u16,
    api_port: u16,
    server: Option<Server>,
}

/// `trunkd serve` or `make run`, in a terminal of its own.
struct Server {
    child: Child,
    out: PathBuf,
    log: PathBuf,
}

/// What a block did.
pub(super) struct Ran {
    pub(super) status: i32,
    pub(super) printed: String,
}

impl Scene {
    pub(super) async fn new(with_sentinels: bool) -> Self {
        let redis = RedisServer::start().await;
        let group = match with_sentinels {
            true => Some(patient_group().await),
            false => None,
        };
        let (http_port, api_port) = (free_port(), free_port());
        let mut switches = Vec::new();
        for (name, credentials) in [("fs1", "fs1:a-long-secret"), ("fs2", "fs2:another-long-secret")] {
            let switch = FakeSwitch::builder().switchname(name).password(PASSWORD).start().await;
            let mut binding = Binding::new(format!("http://127.0.0.1:{http_port}/xml_curl"));
            binding.credentials = Some(credentials.to_owned());
            switch.set_binding(Some(binding));
            // The carrier in the pages that has gone silent.
            switch.registrar(|registrar| registrar.set_ping("carrier-silent", Outcome::Refused));
            switches.push(switch);
        }
        let scene = Self {
            folder: tempfile::tempdir().unwrap(),
            redis,
            group,
            switches,
            http_port,
            api_port,
            server: None,
        };
        scene.furnish();
        scene
    }

    /// The clone, and the programs that stand in for others.
    fn furnish(&self) {
        fs::create_dir_all(self.checkout()).unwrap();
        for name in CLONED {
            let copied = Command::new("cp")
                .arg("-r")
                .arg(root().join(name))
                .arg(self.checkout())
                .status();
            assert!(copied.unwrap().success());
        }
        let cargo = format!(
            "#!/bin/sh\ncase $1 in\n--version) echo cargo 1.99.0 ;;\n\
             run) while [ \"$1\" != -- ]; do shift; done; shift; mkdir -p target/debug\n\
             ln -sf {trunkd} target/debug/trunkd; exec target/debug/trunkd \"$@\" ;;\n\
             install) ln -sf {trunkd} \"$HOME/.cargo/bin/trunkd\" ;;\nesac\n",
            trunkd = env!("CARGO_BIN_EXE_trunkd")
        );
        self.program("home/.cargo/bin/cargo", &cargo);
        let redis_cli = format!(
            "#!/bin/sh\nPATH={:?} exec redis-cli -p {} \"$@\"\n",
            path(),
            self.redis.port()
        );
        self.program("home/.cargo/bin/redis-cli", &redis_cli);
        for never in ["apt-get", "docker", "fs_cli", "psql", "sudo", "systemctl"] {
            self.program(
                &format!("home/.cargo/bin/{never}"),
                "#!/bin/sh\necho $0 is not for tests\nexit 99\n",
            );
        }
        fs::write(self.folder.path().join("state"), "").unwrap();
    }

    fn program(&self, name: &str, text: &str) {
        let program = self.folder.path().join(name);
        fs::create_dir_all(program.parent().unwrap()).unwrap();
        fs::write(&program, text).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn checkout(&self) -> PathBuf {
        self.folder.path().join("trunkd")
    }

    /// trunkd installed, with settings, and running: where the how-tos begin.
    pub(super) async fn install(&mut self) {
        symlink(
            env!("CARGO_BIN_EXE_trunkd"),
            self.folder.path().join("home/.cargo/bin/trunkd"),
        )
        .unwrap();
        self.write("trunkd.toml", SETTINGS);
        self.serve("trunkd serve").await;
    }

    /// The addresses in the pages, and those of this test.
    fn stand_ins(&self) -> Vec<(String, String)> {
        let [http, api] = [self.http_port, self.api_port].map(|port| format!("127.0.0.1:{port}"));
        let switch = |number: usize| self.switches[number].address().to_string();
        let mut stand_ins = vec![
            ("127.0.0.1:8080", http.clone()),
            ("10.0.0.5:8080", http.clone()),
            ("10.0.0.5:8443", http),
            ("127.0.0.1:8088", api.clone()),
            ("10.0.0.5:8088", api),
            ("127.0.0.1:6379", self.redis.address()),
            ("127.0.0.1:8021", switch(0)),
            ("10.0.0.11:8021", switch(0)),
            ("10.0.0.12:8021", switch(1)),
            ("IP:10.0.0.5", "IP:127.0.0.1".to_owned()),
        ];
        for (number, sentinel) in self.group.iter().flat_map(|group| &group.sentinels).enumerate() {
            let documented = ["10.0.0.1:26379", "10.0.0.2:26379", "10.0.0.3:26379"][number];
            stand_ins.push((documented, sentinel.address()));
        }
        stand_ins
            .into_iter()
            .map(|(name, ours)| (name.to_owned(), ours))
            .collect()
    }

    fn here(&self, text: &str) -> String {
        let stand_ins = self.stand_ins();
        let replace = |text: String, (documented, ours): &(String, String)| text.replace(documented, ours);
        stand_ins.iter().fold(text.to_owned(), replace)
    }

    /// Writes a file that a page shows.
    pub(super) fn write(&self, name: &str, text: &str) {
        let (path, text) = (self.checkout().join(name), self.here(text));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        if name.ends_with(".xml") {
            let lines = text
                .lines()
                .filter(|line| !line.contains("include>") && !line.contains("X-PRE-PROCESS"));
            self.switches[0].add_gateways("external", &lines.collect::<Vec<_>>().join("\n"));
        }
        fs::write(path, text).unwrap();
    }

    pub(super) fn is_as_shown(&self, shown: &str, printed: &str) -> bool {
        is_as_shown(&self.here(shown), printed)
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        let home = self.folder.path().join("home");
        command
            .env_clear()
            .current_dir(self.checkout())
            .env("HOME", &home)
            .env("PATH", format!("{}/.cargo/bin:{}", home.display(), path()))
            .env("TZ", "UTC")
            .env("LANG", "C.UTF-8")
            .env("TERM", "xterm")
            .env("TRUNKD_HTTP__LISTEN", format!("127.0.0.1:{}", self.http_port))
            .env("TRUNKD_API__LISTEN", format!("127.0.0.1:{}", self.api_port));
        command
    }

    /// Runs a block on a terminal, in the folder and with the variables that the one before left.
    pub(super) async fn run(&self, block: &Block, typed: Option<&str>) -> Ran {
        let state = self.folder.path().join("state");
        let script = self.folder.path().join("script");
        // `. state` goes to the folder; set -a keeps every variable for the next block.
        let text = format!(
            ". {state:?}\ntrap '{{ export -p; printf \"cd %q\\n\" \"$PWD\"; }} >{state:?}' EXIT\n\
             set -aeuo pipefail\n{}",
            self.here(&block.text)
        );
        fs::write(&script, text).unwrap();
        let mut command = self.command("setsid");
        command
            .args(["--ctty", "--wait", "timeout", "--foreground"])
            .args([&PATIENCE.as_secs().to_string(), "bash"])
            .arg(&script);
        let typed = typed.map(str::to_owned);
        tokio::task::spawn_blocking(move || on_terminal(command, typed))
            .await
            .unwrap()
    }

    /// Starts a server in place of the one that runs.
    pub(super) async fn serve(&mut self, line: &str) {
        self.stop();
        let [out, log] = ["out", "log"].map(|name| self.folder.path().join(name));
        let mut command = self.command("bash");
        command
            .args([
                "-c",
                &format!(". {:?}; exec {}", self.folder.path().join("state"), self.here(line)),
            ])
            .stdin(Stdio::null())
            .stdout(File::create(&out).unwrap())
            .stderr(File::create(&log).unwrap());
        let child = command.spawn().unwrap();
        self.server = Some(Server { child, out, log });
        let serving = || async { self.said() };
        eventually_within(PATIENCE, "trunkd serves", serving, |(_, log)| {
            log.contains("\"serving\"")
        })
        .await;
    }

    /// What the server printed, and its log, so far.
    pub(super) fn said(&self) -> (String, String) {
        self.server.as_ref().map_or_else(Default::default, Server::said)
    }

    fn stop(&mut self) {
        if let Some(mut server) = self.server.take() {
            let _ = kill(Pid::from_raw(server.child.id().cast_signed()), Signal::SIGTERM);
            let _ = server.child.wait();
        }
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Server {
    fn said(&self) -> (String, String) {
        let read = |path: &Path| fs::read_to_string(path).unwrap_or_default();
        (read(&self.out), read(&self.log))
    }
}

/// A master, a replica and three Sentinels that fail over only when they are told to, however busy the machine is.
async fn patient_group() -> Group {
    let group = Group::start(1, 3).await;
    for sentinel in &group.sentinels {
        let url = format!("redis://{}", sentinel.address());
        let set = ["SENTINEL", "SET", "mymaster", "down-after-milliseconds", "600000"];
        let done = Command::new("redis-cli").args(["-u", &url]).args(set).output().unwrap();
        assert_eq!(String::from_utf8_lossy(&done.stdout).trim(), "OK");
    }
    group
}

fn path() -> String {
    std::env::var("PATH").unwrap()
}

/// Runs it on a terminal of its own. Each line of `typed` is typed when a question waits for it.
fn on_terminal(mut command: Command, typed: Option<String>) -> Ran {
    let terminal = nix::pty::openpty(Some(&SIZE), None).unwrap();
    let end = || Stdio::from(terminal.slave.try_clone().unwrap());
    let mut child = command.stdin(end()).stdout(end()).stderr(end()).spawn().unwrap();
    // The command holds the child's ends of the terminal until it is dropped.
    drop((command, terminal.slave));
    let mut master = File::from(terminal.master);
    let mut lines = typed.iter().flat_map(|typed| typed.split(", "));
    let (mut seen, mut chunk) = (Vec::new(), [0; 4096]);
    // The end of a terminal is an error: nobody has it open any more.
    while let Ok(count) = master.read(&mut chunk) {
        seen.extend_from_slice(&chunk[..count]);
        let is_question = seen.ends_with(b": ") || seen.ends_with(b"[y/N] ");
        if is_question && let Some(line) = lines.next() {
            writeln!(master, "{line}").unwrap();
        }
    }
    let status = child.wait().unwrap().code().unwrap_or(-1);
    let colours = regex::Regex::new(r"\x1b\[[0-9;?]*[A-Za-z]|\r").unwrap();
    let printed = colours.replace_all(&String::from_utf8_lossy(&seen), "").into_owned();
    Ran { status, printed }
}
