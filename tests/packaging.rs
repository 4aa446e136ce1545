//! How trunkd is built and started: the image, the systemd unit, `make run`.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// For a trunkd on a busy machine to say something.
const PATIENCE: Duration = Duration::from_secs(60);

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn text_of(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap()
}

/// A `COPY` from the build context: `(sources, destination)`.
struct Copy {
    sources: Vec<String>,
    destination: String,
}

/// The `COPY` lines of each stage of the Dockerfile, in order. Those from another stage are left out.
fn copies_by_stage() -> Vec<Vec<Copy>> {
    let mut stages: Vec<Vec<Copy>> = Vec::new();
    for line in text_of("Dockerfile").lines() {
        let mut words = line.split_whitespace();
        match words.next() {
            Some("FROM") => stages.push(Vec::new()),
            Some("COPY") if !line.contains("--from=") => {
                let mut sources: Vec<String> = words.map(str::to_owned).collect();
                let destination = sources.pop().unwrap();
                stages.last_mut().unwrap().push(Copy { sources, destination });
            }
            _ => {}
        }
    }
    stages
}

/// Whether `.dockerignore` leaves the path out of the build context. As Docker does: the last
/// pattern that matches the path or one of its parents decides. Ours are a lone `*` and plain
/// paths; the test refuses any other kind.
fn is_ignored(path: &Path) -> bool {
    let mut ignored = false;
    for line in text_of(".dockerignore").lines().map(str::trim) {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let pattern = line.strip_prefix('!').unwrap_or(line);
        assert!(
            pattern == "*" || !pattern.contains(['*', '?', '[']),
            "teach this test the pattern {line}"
        );
        if pattern == "*" || path.ancestors().any(|ancestor| ancestor == Path::new(pattern)) {
            ignored = !line.starts_with('!');
        }
    }
    ignored
}

/// Copies a file or folder of the build context, without what `.dockerignore` leaves out. Says
/// whether anything was copied.
fn copy_from_context(path: &Path, to: &Path) -> bool {
    let from = root().join(path);
    if from.is_dir() {
        let mut copied = false;
        for entry in fs::read_dir(&from).unwrap() {
            let name = entry.unwrap().file_name();
            copied |= copy_from_context(&path.join(&name), &to.join(&name));
        }
        return copied;
    }
    if is_ignored(path) {
        return false;
    }
    fs::create_dir_all(to.parent().unwrap()).unwrap();
    fs::copy(&from, to).unwrap_or_else(|error| panic!("{}: {error}", from.display()));
    true
}

#[test]
fn everything_the_dockerfile_copies_is_in_the_build_context() {
    let folder = tempfile::tempdir().unwrap();
    let stages = copies_by_stage();
    assert_eq!(stages.len(), 2, "a stage that builds, and the image");
    for (stage, copies) in stages.iter().enumerate() {
        assert!(!copies.is_empty());
        for source in copies.iter().flat_map(|copy| &copy.sources) {
            let to = folder.path().join(stage.to_string()).join(source);
            assert!(
                copy_from_context(Path::new(source), &to),
                "{source} is left out by .dockerignore"
            );
        }
    }
}

/// Cargo builds nothing while a target that Cargo.toml names has no file, even one that the image
/// doesn't need. `cargo fetch` checks that as `cargo build` does; `cargo metadata` doesn't.
#[test]
fn cargo_accepts_what_the_dockerfile_copies() {
    let folder = tempfile::tempdir().unwrap();
    for copy in &copies_by_stage()[0] {
        for source in &copy.sources {
            let destination = match copy.destination.ends_with('/') {
                true => folder.path().join(&copy.destination).join(source),
                false => folder.path().join(&copy.destination),
            };
            copy_from_context(Path::new(source), &destination);
        }
    }
    let output = Command::new(env!("CARGO"))
        .args(["fetch", "--locked", "--offline", "--target", &host()])
        .current_dir(folder.path())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    // It says where the pages are; without it they don't compile.
    assert!(folder.path().join("askama.toml").exists());
}

/// The platform of this machine: crates of other platforms needn't be on it.
fn host() -> String {
    let output = Command::new(env!("CARGO")).arg("-vV").output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let host = text.lines().find_map(|line| line.strip_prefix("host: "));
    host.unwrap().to_owned()
}

/// A core dump would hold every SIP password.
#[test]
fn the_unit_allows_no_core_dump() {
    let unit = text_of("packaging/trunkd.service");
    let service = unit
        .split("[Service]")
        .nth(1)
        .unwrap()
        .split("[Install]")
        .next()
        .unwrap();
    assert!(service.lines().any(|line| line == "LimitCORE=0"));
}

/// The arguments that `make run` gives to trunkd, as `make -n` shows them.
fn arguments_of_make_run() -> Vec<String> {
    let output = Command::new("make")
        .args(["-n", "run"])
        .current_dir(root())
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let line = text.lines().find(|line| line.contains("cargo run")).unwrap();
    let arguments = line.split_once(" -- ").unwrap().1;
    arguments.split_whitespace().map(str::to_owned).collect()
}

/// README has its readers write a trunkd.toml in the clone.
#[test]
fn make_run_works_beside_a_trunkd_toml_of_your_own() {
    let folder = tempfile::tempdir().unwrap();
    let mine = "nonsense = true\n[http]\nlisten = \"192.0.2.1:1\"\n[redis]\nurl = \"redis://192.0.2.1\"\n";
    fs::write(folder.path().join("trunkd.toml"), mine).unwrap();
    for file in [
        "dev.toml",
        "templates/sofia.conf.xml",
        "templates/sip_profiles/external.xml",
    ] {
        let to = folder.path().join(file);
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        fs::copy(root().join(file), to).unwrap();
    }
    let mut trunkd = Command::new(env!("CARGO_BIN_EXE_trunkd"))
        .args(arguments_of_make_run())
        .args(["--listen", "127.0.0.1:0"])
        .current_dir(folder.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .unwrap();
    let (sender, printed) = mpsc::channel();
    let out = BufReader::new(trunkd.stdout.take().unwrap());
    std::thread::spawn(move || out.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
    // What to try is printed once it serves. Pasted, that must read the same settings.
    let mut lines = Vec::new();
    while let Ok(line) = printed.recv_timeout(PATIENCE) {
        lines.push(line);
        if lines.last().unwrap().contains("--config dev.toml") {
            break;
        }
    }
    let _ = kill(Pid::from_raw(trunkd.id().cast_signed()), Signal::SIGTERM);
    let ended = trunkd.wait().unwrap();
    assert!(ended.success(), "{lines:#?}");
    assert!(lines.last().unwrap().contains("--config dev.toml"), "{lines:#?}");
    // A trunkd with that trunkd.toml may run at the same time, on the default data_dir.
    assert!(!folder.path().join("data").exists());
}
