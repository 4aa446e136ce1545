//! The files that operators copy to FreeSWITCH, compared with what FreeSWITCH would make of them,
//! and the steps of fs-conf/README.md.

// The lint's own exception for tests stops at the functions that they share.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use quick_xml::events::{BytesStart, Event};

/// What mod_xml_curl and mod_event_socket read, by name (`do_config` in mod_xml_curl.c, `config` in
/// mod_event_socket.c). They ignore anything else without a word, so nobody would notice a misspelt
/// one.
const KNOWN: [(&str, &[&str]); 2] = [
    (
        "xml_curl.conf.xml",
        &[
            "gateway-url",
            "gateway-credentials",
            "auth-scheme",
            "timeout",
            "enable-cacert-check",
            "enable-ssl-verifyhost",
            "ssl-cacert-file",
            "ssl-cert-path",
            "ssl-key-path",
            "response-max-bytes",
        ],
    ),
    (
        "event_socket.conf.xml",
        &["nat-map", "listen-ip", "listen-port", "password", "apply-inbound-acl"],
    ),
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn text_of(name: &str) -> String {
    fs::read_to_string(root().join("fs-conf/autoload_configs").join(name)).unwrap()
}

/// Every XML file under fs-conf/.
fn xml_files() -> Vec<PathBuf> {
    fn walk(folder: &Path, into: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, into);
            } else if path.extension().is_some_and(|extension| extension == "xml") {
                into.push(path);
            }
        }
    }
    let mut files = Vec::new();
    walk(&root().join("fs-conf"), &mut files);
    assert!(files.len() >= KNOWN.len(), "{files:?}");
    files
}

fn attribute(tag: &BytesStart, name: &str) -> Option<String> {
    tag.try_get_attribute(name)
        .unwrap()
        .map(|found| found.value.into_owned())
}

/// The `attribute`s of the elements `element`, in order; those in comments as well if `in_comments`.
fn attributes(text: &str, element: &str, name: &str, in_comments: bool) -> Vec<String> {
    let mut found = Vec::new();
    let mut reader = quick_xml::Reader::from_str(text);
    loop {
        match reader.read_event().unwrap() {
            Event::Empty(tag) | Event::Start(tag) if tag.name().as_ref() == element => {
                found.extend(attribute(&tag, name));
            }
            Event::Comment(comment) if in_comments => {
                let inner = comment.to_string();
                if inner.trim_start().starts_with(&format!("<{element}")) {
                    found.extend(attributes(&inner, element, name, true));
                }
            }
            Event::Eof => return found,
            _ => {}
        }
    }
}

/// The modules that a modules.conf.xml loads, in order.
fn modules(text: &str) -> Vec<String> {
    attributes(text, "load", "module", false)
}

#[track_caller]
fn assert_mod_xml_curl_is_loaded_before_mod_sofia(text: &str) {
    let modules = modules(text);
    let wanted: Vec<_> = modules
        .iter()
        .filter(|module| ["mod_xml_curl", "mod_sofia"].contains(&module.as_str()))
        .collect();
    assert_eq!(wanted, ["mod_xml_curl", "mod_sofia"], "{text}");
}

#[test]
fn every_param_is_one_that_freeswitch_reads() {
    for (file, known) in KNOWN {
        let text = text_of(file);
        let params = attributes(&text, "param", "name", true);
        assert!(!params.is_empty(), "{file}");
        assert_eq!(params.len(), attributes(&text, "param", "value", true).len(), "{file}");
        for param in params {
            assert!(known.contains(&param.as_str()), "{param} in {file}");
        }
    }
}

/// FACTS 8: the preprocessor sees every line, comments included.
#[test]
fn nothing_in_them_is_a_directive_to_freeswitchs_preprocessor() {
    for file in xml_files() {
        let text = fs::read_to_string(&file).unwrap().to_ascii_lowercase();
        for directive in ["$${", "<?", "<include>", "</include>", "x-pre-process", "<!--#"] {
            assert!(!text.contains(directive), "{directive} in {}", file.display());
        }
    }
}

#[test]
fn the_binding_has_a_time_limit_and_room_for_a_fleet() {
    let text = text_of("xml_curl.conf.xml");
    for needed in [
        r#"<param name="gateway-url" value="http://127.0.0.1:8080/xml_curl" bindings="configuration"/>"#,
        r#"<param name="timeout" value="3"/>"#,
        r#"<param name="response-max-bytes" value="67108864"/>"#,
    ] {
        let line = text.lines().find(|line| line.trim() == needed);
        assert!(line.is_some(), "{needed} is in force");
    }
}

/// FACTS 51: FreeSWITCH reads pre_load_modules.conf.xml before its own database exists, and a
/// mod_xml_curl with a binding then crashes it at every start.
#[test]
fn nothing_is_preloaded() {
    for file in xml_files() {
        let text = fs::read_to_string(&file).unwrap();
        let names = attributes(&text, "configuration", "name", false);
        assert_eq!(names.len(), 1, "{}", file.display());
        assert_ne!(names[0], "pre_load_modules.conf", "{}", file.display());
        assert!(file.to_str().unwrap().ends_with(&format!("/{}.xml", names[0])));
    }
    let compose = fs::read_to_string(root().join("compose.yaml")).unwrap();
    assert!(!compose.contains("pre_load_modules"));
}

/// An operator has a modules.conf.xml of their own, which `cp fs-conf/autoload_configs/*.xml` must not replace.
#[test]
fn no_modules_conf_is_among_the_files_to_copy() {
    assert!(!root().join("fs-conf/autoload_configs/modules.conf.xml").exists());
}

#[test]
fn compose_mounts_files_that_exist_and_loads_mod_xml_curl_before_mod_sofia() {
    let compose = fs::read_to_string(root().join("compose.yaml")).unwrap();
    let mut modules = 0;
    for line in compose.lines() {
        let Some(mount) = line.trim().strip_prefix("- ./") else {
            continue;
        };
        let file = mount.split(':').next().unwrap();
        let text = fs::read_to_string(root().join(file)).unwrap();
        let name = Path::new(file).file_name().unwrap().to_str().unwrap();
        assert!(mount.ends_with(&format!("/autoload_configs/{name}:ro")), "{mount}");
        if name == "modules.conf.xml" {
            assert_mod_xml_curl_is_loaded_before_mod_sofia(&text);
            modules += 1;
        }
    }
    assert_eq!(modules, 1, "compose.yaml mounts a modules.conf.xml");
}

/// FreeSWITCH's configuration folder with the modules.conf.xml given.
fn conf(modules: &str) -> tempfile::TempDir {
    let conf = tempfile::tempdir().unwrap();
    fs::create_dir(conf.path().join("autoload_configs")).unwrap();
    write(&conf, "modules.conf.xml", modules);
    conf
}

fn write(conf: &tempfile::TempDir, file: &str, text: &str) {
    fs::write(conf.path().join("autoload_configs").join(file), text).unwrap();
}

fn modules_conf(lines: &[&str]) -> String {
    format!(
        "<configuration name=\"modules.conf\">\n  <modules>\n{}\n  </modules>\n</configuration>\n",
        lines.join("\n")
    )
}

/// Runs the indented lines of fs-conf/README.md that hold `part`, as an operator would, with `$CONF` set.
fn run_line_of_the_readme(part: &str, conf: &Path) {
    let readme = fs::read_to_string(root().join("fs-conf/README.md")).unwrap();
    let lines: Vec<&str> = readme
        .lines()
        .filter(|line| line.starts_with("    ") && line.contains(part))
        .map(str::trim)
        .collect();
    assert_eq!(lines.len(), 1, "one line of fs-conf/README.md holds {part}: {lines:?}");
    let output = Command::new("sh")
        .args(["-euc", lines[0]])
        .env("CONF", conf)
        .current_dir(root())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn the_documented_edit_puts_mod_xml_curl_before_mod_sofia_and_touches_nothing_else() {
    const SOFIA: &str = r#"    <load module="mod_sofia"/>"#;
    const LOOPBACK: &str = r#"    <load module="mod_loopback"/>"#;
    const CONSOLE: &str = r#"    <load module="mod_console"/>"#;
    const CURL: &str = r#"    <load module="mod_xml_curl"/>"#;
    const IN_COMMENT: &str = r#"    <!-- <load module="mod_xml_curl"/> -->"#;
    let cases: [(&str, &[&str]); 5] = [
        ("as in the vanilla file", &[CONSOLE, IN_COMMENT, SOFIA, LOOPBACK]),
        ("nowhere", &[CONSOLE, SOFIA, LOOPBACK]),
        ("below", &[CONSOLE, SOFIA, LOOPBACK, CURL]),
        ("there already", &[CONSOLE, CURL, SOFIA, LOOPBACK]),
        (
            "mod_sofia also in a comment",
            &[
                "<!-- <load module=\"mod_sofia\"/> -->",
                CONSOLE,
                "\t<load  module='mod_sofia' />",
                LOOPBACK,
            ],
        ),
    ];
    for (case, lines) in cases {
        let conf = conf(&modules_conf(lines));
        // Twice, since an operator may.
        for _ in 0..2 {
            run_line_of_the_readme("modules.conf.xml", conf.path());
            let text = fs::read_to_string(conf.path().join("autoload_configs/modules.conf.xml")).unwrap();
            assert_mod_xml_curl_is_loaded_before_mod_sofia(&text);
            let expected = ["mod_console", "mod_xml_curl", "mod_sofia", "mod_loopback"];
            assert_eq!(modules(&text), expected, "{case}");
        }
    }
}

const PROFILES: &str = r#"<!-- <gateway name="in-a-comment"/> -->
<configuration name="sofia.conf">
  <profiles>
    <profile name="external">
      <gateways>
      </gateways>
    </profile>
  </profiles>
</configuration>
"#;

/// A folder in which all steps of fs-conf/README.md have been done.
fn joined() -> tempfile::TempDir {
    let conf = conf(&modules_conf(&[
        r#"<!-- <load module="mod_sofia"/>"#,
        r#"-->  <load module="mod_xml_curl"/>"#,
        r#"<load module="mod_sofia"/>"#,
    ]));
    for (file, _) in KNOWN {
        write(&conf, file, &text_of(file));
    }
    write(&conf, "sofia.conf.xml", PROFILES);
    conf
}

fn check(conf: &tempfile::TempDir) -> Output {
    Command::new("sh")
        .arg(root().join("fs-conf/check.sh"))
        .arg(conf.path())
        .output()
        .unwrap()
}

#[test]
fn the_check_passes_a_folder_in_which_every_step_was_done() {
    let conf = joined();
    let output = check(&conf);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{text}");
    assert!(!text.contains("FIX"), "{text}");
    assert!(text.contains("http://127.0.0.1:8080/xml_curl"), "{text}");
    // What vanilla has is fine.
    let pgsql =
        r#"<configuration name="pre_load_modules.conf"><modules><load module="mod_pgsql"/></modules></configuration>"#;
    write(&conf, "pre_load_modules.conf.xml", pgsql);
    assert!(check(&conf).status.success());
}

#[test]
fn the_check_names_each_step_that_is_missing() {
    let with_gateway = PROFILES.replace("<gateways>", "<gateways>\n<gateway name=\"old\"/>");
    let includes = PROFILES.replace(
        "<profiles>",
        "<profiles>\n<X-PRE-PROCESS cmd=\"include\" data=\"../sip_profiles/*.xml\"/>",
    );
    let curl = text_of("xml_curl.conf.xml");
    let without = |name: &str| -> String {
        let lines = curl.lines().filter(|line| !line.contains(name));
        lines.collect::<Vec<_>>().join("\n")
    };
    let below = modules_conf(&[r#"<load module="mod_sofia"/>"#, r#"<load module="mod_xml_curl"/>"#]);
    let in_comment = modules_conf(&[
        r#"<!-- <load module="mod_xml_curl"/> -->"#,
        r#"<load module="mod_sofia"/>"#,
    ]);
    let preloaded = r#"<configuration name="pre_load_modules.conf"><modules>
        <load module="mod_xml_curl"/></modules></configuration>"#;
    let cases: [(&str, &str, &str); 10] = [
        ("modules.conf.xml", &below, "above"),
        ("modules.conf.xml", &in_comment, "does not load mod_xml_curl"),
        ("pre_load_modules.conf.xml", preloaded, "crashes"),
        (
            "xml_curl.conf.xml",
            "<configuration name=\"xml_curl.conf\"/>",
            "no gateway-url",
        ),
        ("xml_curl.conf.xml", &without("\"timeout\""), "timeout"),
        (
            "xml_curl.conf.xml",
            &without("response-max-bytes"),
            "response-max-bytes",
        ),
        ("sofia.conf.xml", "", "holds no profile"),
        ("sofia.conf.xml", &with_gateway, "holds gateways"),
        ("sofia.conf.xml", &includes, "sip_profiles"),
        (
            "event_socket.conf.xml",
            "<configuration name=\"event_socket.conf\"/>",
            "password",
        ),
    ];
    for (file, text, said) in cases {
        let conf = joined();
        write(&conf, file, text);
        let output = check(&conf);
        let shown = String::from_utf8(output.stdout).unwrap();
        assert_eq!(output.status.code(), Some(1), "{file}: {shown}");
        let fixes: Vec<&str> = shown.lines().filter(|line| line.starts_with("FIX")).collect();
        assert_eq!(fixes.len(), 1, "{file}: {shown}");
        assert!(
            fixes[0].contains(file) && fixes[0].contains(said),
            "{file}, {said}: {shown}"
        );
    }
}

#[test]
fn the_check_names_files_that_are_not_there() {
    let empty = tempfile::tempdir().unwrap();
    assert_eq!(check(&empty).status.code(), Some(2), "no configuration folder");
    for file in [
        "modules.conf.xml",
        "xml_curl.conf.xml",
        "event_socket.conf.xml",
        "sofia.conf.xml",
    ] {
        let conf = joined();
        fs::remove_file(conf.path().join("autoload_configs").join(file)).unwrap();
        let output = check(&conf);
        let shown = String::from_utf8(output.stdout).unwrap();
        assert_eq!(output.status.code(), Some(1), "{file}: {shown}");
        assert!(
            shown.lines().any(|line| line.starts_with("FIX") && line.contains(file)),
            "{shown}"
        );
    }
}
