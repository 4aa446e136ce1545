//! How trunkd is built, installed and started: the Debian package with its manual pages, the image, the
//! systemd unit, `make run`.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::BTreeSet;
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
    // The pages don't compile without what they are made of.
    for file in ["askama.toml", "docs/runbooks.md", "docs/zh-CN/runbooks.md"] {
        assert!(folder.path().join(file).exists(), "{file}");
    }
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

fn output(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {error}");
    String::from_utf8(output.stdout).unwrap()
}

fn trunkd(arguments: &[&str]) -> String {
    output(Command::new(env!("CARGO_BIN_EXE_trunkd")).args(arguments))
}

/// As `trunkd --help` lists them.
fn subcommands() -> BTreeSet<String> {
    let help = trunkd(&["--help"]);
    let listed = help.lines().skip_while(|line| *line != "Commands:").skip(1);
    listed
        .take_while(|line| !line.is_empty())
        // A continued description is indented further.
        .filter_map(|line| line.strip_prefix("  ").filter(|line| !line.starts_with(' ')))
        .filter_map(|line| line.split_whitespace().next())
        .filter(|name| *name != "help")
        .map(str::to_owned)
        .collect()
}

#[test]
fn each_subcommand_has_a_manual_page_that_man_reads_without_a_warning() {
    let folder = tempfile::tempdir().unwrap();
    let pages = folder.path().join("man");
    trunkd(&["man", pages.to_str().unwrap()]);
    let names: BTreeSet<String> = fs::read_dir(&pages)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    let subcommands = subcommands();
    assert!(subcommands.len() > 10, "{subcommands:?}");
    let missing = subcommands
        .iter()
        .filter(|name| !names.contains(&format!("trunkd-{name}.1")));
    assert_eq!(missing.count(), 0, "{names:?}");
    for name in ["trunkd.1", "trunkd-gateway-set.1"] {
        assert!(names.contains(name), "{names:?}");
    }
    for name in names {
        let page = pages.join(&name);
        let man = Command::new("man")
            .args([
                "--warnings",
                "--encoding=UTF-8",
                "--troff-device=utf8",
                "--ditroff",
                "--local-file",
            ])
            .arg(&page)
            .output()
            .unwrap();
        assert_eq!(String::from_utf8_lossy(&man.stderr), "", "{name}");
        // The line of `whatis` and `apropos`.
        let title = format!("\"{} - ", name.trim_end_matches(".1"));
        assert!(output(Command::new("lexgrog").arg(&page)).contains(&title), "{name}");
    }
}

#[test]
fn each_shell_gets_completions() {
    for (shell, mark) in [
        ("bash", "complete -F _trunkd"),
        ("zsh", "#compdef trunkd"),
        ("fish", "complete -c trunkd"),
    ] {
        let script = trunkd(&["completions", shell]);
        assert!(script.contains(mark), "{shell}");
        for name in subcommands() {
            assert!(script.contains(&name), "{shell}: {name}");
        }
    }
    let folder = tempfile::tempdir().unwrap();
    let script = folder.path().join("trunkd.bash");
    fs::write(&script, trunkd(&["completions", "bash"])).unwrap();
    output(Command::new("bash").arg("-n").arg(&script));
}

/// A package of the trunkd that `cargo test` built: its control files are unpacked in `DEBIAN`.
struct Package {
    folder: tempfile::TempDir,
    /// `(mode, path)`, and ` -> target` after a link's.
    files: BTreeSet<(String, String)>,
}

impl Package {
    fn build() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let built = output(
            Command::new("scripts/build-deb.sh")
                .arg(env!("CARGO_BIN_EXE_trunkd"))
                .current_dir(root())
                .env("CARGO_TARGET_DIR", folder.path()),
        );
        let package = built.trim();
        let listed = output(Command::new("dpkg-deb").args(["--contents", package]));
        let files = listed.lines().map(|line| {
            let (mode, path) = line.split_once(' ').unwrap();
            (mode.to_owned(), path[path.find("./").unwrap() + 1..].to_owned())
        });
        output(
            Command::new("dpkg-deb")
                .args(["--control", package])
                .arg(folder.path().join("DEBIAN")),
        );
        Self {
            files: files.collect(),
            folder,
        }
    }

    fn control(&self, name: &str) -> String {
        fs::read_to_string(self.folder.path().join("DEBIAN").join(name)).unwrap()
    }
}

/// `make deb-test` installs it in a fresh Debian.
#[test]
fn the_debian_package_has_what_a_service_needs() {
    let package = Package::build();
    for (mode, path) in [
        ("-rwxr-xr-x", "/usr/bin/trunkd"),
        ("-rw-r-----", "/etc/trunkd/trunkd.toml"),
        ("-rw-r--r--", "/etc/trunkd/templates/sofia.conf.xml"),
        ("-rw-r--r--", "/etc/trunkd/templates/sip_profiles/external.xml"),
        ("-rw-r--r--", "/usr/lib/systemd/system/trunkd.service"),
        ("-rw-r--r--", "/usr/lib/sysusers.d/trunkd.conf"),
        ("-rwxr-xr-x", "/usr/share/trunkd/fs-conf/check.sh"),
        (
            "-rw-r--r--",
            "/usr/share/trunkd/fs-conf/autoload_configs/xml_curl.conf.xml",
        ),
        ("-rw-r--r--", "/usr/share/trunkd/grafana/trunkd.json"),
        ("-rw-r--r--", "/usr/share/trunkd/prometheus/trunkd.rules.yml"),
        ("-rw-r--r--", "/usr/share/man/man1/trunkd.1.gz"),
        ("-rw-r--r--", "/usr/share/man/man1/trunkd-gateway-set.1.gz"),
        ("-rw-r--r--", "/usr/share/bash-completion/completions/trunkd"),
        ("-rw-r--r--", "/usr/share/zsh/vendor-completions/_trunkd"),
        ("-rw-r--r--", "/usr/share/fish/vendor_completions.d/trunkd.fish"),
        ("-rw-r--r--", "/usr/share/doc/trunkd/copyright"),
        ("-rw-r--r--", "/usr/share/doc/trunkd/changelog.Debian.gz"),
        ("-rw-r--r--", "/usr/share/doc/trunkd/docs/install.md"),
        ("lrwxrwxrwx", "/usr/share/doc/trunkd/fs-conf -> ../../trunkd/fs-conf"),
    ] {
        let file = (mode.to_owned(), path.to_owned());
        assert!(package.files.contains(&file), "{file:?} is not in {:#?}", package.files);
    }
    // Each profile of the repository, so that a new one isn't forgotten.
    let conffiles = package.control("conffiles");
    for entry in fs::read_dir(root().join("templates/sip_profiles")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(
            conffiles.contains(&format!("/etc/trunkd/templates/sip_profiles/{name}\n")),
            "{conffiles}"
        );
    }
    assert!(conffiles.contains("/etc/trunkd/trunkd.toml\n"), "{conffiles}");
    let control = package.control("control");
    let version = format!("Version: {}-1\n", env!("CARGO_PKG_VERSION"));
    assert!(control.contains(&version), "{control}");
    let depends = control.lines().find(|line| line.starts_with("Depends: ")).unwrap();
    assert!(depends.contains("libc6 (>= "), "{depends}");
    let postinst = package.control("postinst");
    // The user comes first: the file is given to it.
    let steps = [
        "systemd-sysusers ${DPKG_ROOT:+--root=\"$DPKG_ROOT\"} trunkd.conf",
        "deb-systemd-helper enable trunkd.service",
        "deb-systemd-invoke try-restart trunkd.service",
        "chown root:trunkd /etc/trunkd /etc/trunkd/trunkd.toml",
    ];
    let places: Vec<_> = steps.iter().map(|step| postinst.find(step).expect(step)).collect();
    assert!(places.is_sorted(), "{postinst}");
    assert!(
        package
            .control("prerm")
            .contains("deb-systemd-invoke stop trunkd.service")
    );
    assert!(package.control("postrm").contains("rm -rf /var/lib/trunkd"));
    for script in ["postinst", "prerm", "postrm"] {
        output(
            Command::new("sh")
                .arg("-n")
                .arg(package.folder.path().join("DEBIAN").join(script)),
        );
    }
    assert!(text_of("packaging/trunkd.service").contains("\nExecStart=/usr/bin/trunkd serve "));
}

#[test]
fn the_version_has_one_place() {
    assert_eq!(
        trunkd(&["--version"]).trim(),
        concat!("trunkd ", env!("CARGO_PKG_VERSION"))
    );
    let manifest = text_of("Cargo.toml");
    let line = format!("version = \"{}\"", env!("CARGO_PKG_VERSION"));
    assert_eq!(manifest.lines().filter(|other| *other == line).count(), 1);
    for file in [
        "Dockerfile",
        "compose.yaml",
        "packaging/trunkd.service",
        "scripts/build-deb.sh",
        "docs/install.md",
    ] {
        assert!(
            !text_of(file).contains(env!("CARGO_PKG_VERSION")),
            "{file} names the version"
        );
    }
}

#[test]
fn the_image_checks_itself_and_compose_leaves_that_to_it() {
    let dockerfile = text_of("Dockerfile");
    let image = dockerfile.rsplit("\nFROM ").next().unwrap();
    let check = image.lines().find(|line| line.starts_with("HEALTHCHECK ")).unwrap();
    assert!(check.ends_with("CMD [\"trunkd\", \"health\"]"), "{check}");
    let compose = text_of("compose.yaml");
    let services = compose
        .split("\nservices:\n")
        .nth(1)
        .unwrap()
        .split("\nvolumes:\n")
        .next()
        .unwrap();
    let trunkd = services
        .split("\n  trunkd:\n")
        .nth(1)
        .unwrap()
        .split("\n  freeswitch:\n")
        .next()
        .unwrap();
    assert!(
        trunkd.contains("build: .") && !trunkd.contains("healthcheck:"),
        "{trunkd}"
    );
    // FreeSWITCH waits for it.
    assert!(
        services.contains("      trunkd:\n        condition: service_healthy\n"),
        "{services}"
    );
    let mounted: Vec<_> = compose
        .lines()
        .filter_map(|line| line.trim().strip_prefix("- ./")?.split_once(':'))
        .collect();
    assert!(mounted.len() >= 3, "{mounted:?}");
    for (file, _) in mounted {
        assert!(root().join(file).is_file(), "compose.yaml mounts {file}");
    }
}
