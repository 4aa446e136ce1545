//! The rooms of the code and the one direction in which they may know each other (ARCHITECTURE.md), read from the source itself.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// From top to bottom: a room may use rooms of the lines below its own, never of its own line or above.
const FLOORS: &[&[&str]] = &[
    &["main", "lib"],
    &["cli"],
    &["app"],
    &["http"],
    &["xml_curl"],
    &["reconcile", "ingest"],
    &["desired", "observed", "control"],
    &["redis"],
    &["embedded"],
    &["keys", "data_dir"],
    &["event_socket"],
    &["sofia_conf"],
    &["gateway", "registration"],
    &["telemetry"],
    &[
        "settings",
        "metrics",
        "health",
        "backoff",
        "all_cores",
        "files",
        "shown",
        "throttle",
    ],
];

#[test]
fn no_arrow_between_rooms_points_back() {
    let mut arrows = 0;
    let mut wrong = Vec::new();
    for file in source_files() {
        let from = room(&file);
        for (line, to) in uses(&fs::read_to_string(&file).unwrap()) {
            arrows += 1;
            if to != from && floor(&to) <= floor(&from) {
                wrong.push(format!("{}:{line}: {from} → {to}", file.display()));
            }
        }
    }
    assert!(
        arrows > 20,
        "only {arrows} arrows found: does this test still read the source?"
    );
    assert!(wrong.is_empty(), "arrows that point back:\n{}", wrong.join("\n"));
}

#[test]
fn every_room_has_its_floor_and_every_floor_its_rooms() {
    let rooms: BTreeSet<_> = source_files().iter().map(|file| room(file)).collect();
    let known: BTreeSet<_> = FLOORS.iter().copied().flatten().map(ToString::to_string).collect();
    assert_eq!(rooms, known);
}

#[test]
fn what_a_room_never_holds_is_not_in_it() {
    // Deciding is apart from doing: what decides is asked and answers.
    let pure: &[&str] = &[
        "async ",
        ".await",
        "tokio",
        "std::fs",
        "std::io",
        "std::net",
        "std::process",
        "std::time",
        "jiff",
        "Instant",
        "rand",
        "redis",
        "crate::event_socket",
    ];
    // Room or file, and what the names of crates and modules there would give away.
    let never: &[(&str, &[&str])] = &[
        (
            "gateway",
            &[
                "redis::",
                "quick_xml",
                "tokio::",
                "actix_web",
                "std::fs",
                "Timestamp::now",
            ],
        ),
        (
            "sofia_conf",
            &[
                "redis::",
                "tokio::",
                "actix_web",
                "std::net",
                "Timestamp::now",
                "Instant::now",
            ],
        ),
        ("desired", &["actix_web", "quick_xml"]),
        ("observed", &["actix_web", "quick_xml"]),
        ("control", &["actix_web", "quick_xml"]),
        ("redis", &["actix_web", "quick_xml", "crate::gateway::Gateway"]),
        ("xml_curl", &["redis::", "event_socket"]),
        ("event_socket", &["redis::", "deadpool"]),
        ("ingest", &["redis::", "startgw", "killgw", "rescan"]),
        ("reconcile/diff.rs", pure),
        ("reconcile/guard.rs", pure),
        ("reconcile/plan_text.rs", pure),
    ];
    let mut read = BTreeSet::new();
    for file in source_files() {
        let text = fs::read_to_string(&file).unwrap();
        for (name, words) in never
            .iter()
            .filter(|(name, _)| *name == room(&file) || file.ends_with(Path::new("src").join(name)))
        {
            read.insert(*name);
            for word in *words {
                let code = text
                    .lines()
                    .filter(|line| !line.trim_start().starts_with("//"))
                    .take_while(|line| *line != "mod tests {");
                // `redis::` is the crate; `crate::redis::` is the room.
                let found: Vec<_> = code
                    .filter(|line| match *word {
                        "redis::" => line.replace("crate::redis::", "").contains(word),
                        _ => line.contains(word),
                    })
                    .collect();
                assert!(
                    found.is_empty(),
                    "{} holds {word}, which {name} never does: {found:?}",
                    file.display()
                );
            }
        }
    }
    assert_eq!(
        read,
        never.iter().map(|(name, _)| *name).collect(),
        "rooms and files that there are not"
    );
}

#[test]
fn only_the_settings_read_the_environment() {
    for file in source_files().iter().filter(|file| room(file) != "settings") {
        let text = fs::read_to_string(file).unwrap();
        // `env::args` is the command line, and `env!` is read when trunkd is built.
        for word in ["env::var", "env::vars"] {
            assert!(
                !text.contains(word),
                "{} reads the environment by {word}",
                file.display()
            );
        }
    }
}

fn floor(room: &str) -> usize {
    FLOORS
        .iter()
        .position(|floor| floor.contains(&room))
        .unwrap_or_else(|| panic!("{room} has no floor in FLOORS"))
}

fn source_files() -> Vec<PathBuf> {
    fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, found);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
    }
    let mut found = Vec::new();
    walk(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut found);
    found.sort();
    found
}

/// `src/store/keys.rs` and `src/store/mod.rs` are in `store`, `src/metrics.rs` is `metrics`.
fn room(file: &Path) -> String {
    let inside = file
        .strip_prefix(Path::new(env!("CARGO_MANIFEST_DIR")).join("src"))
        .unwrap();
    let first = inside.components().next().unwrap().as_os_str().to_str().unwrap();
    first.trim_end_matches(".rs").to_owned()
}

/// Each `crate::room` in the text with its line, those in groups (`use crate::{a, b}`) too.
fn uses(text: &str) -> Vec<(usize, String)> {
    let word = |text: &str| {
        text.chars()
            .take_while(|c| c.is_alphanumeric() || *c == '_')
            .collect::<String>()
    };
    let mut found = Vec::new();
    for (index, line) in text
        .lines()
        .enumerate()
        .filter(|(_, line)| !line.trim_start().starts_with("//"))
    {
        for (at, prefix) in line.match_indices("crate::") {
            let is_macro_crate = line[..at].ends_with('$');
            let rest = &line[at + prefix.len()..];
            match rest.strip_prefix('{') {
                Some(group) => found.extend(group.split(", ").map(|item| (index + 1, word(item.trim())))),
                None if !is_macro_crate => found.push((index + 1, word(rest))),
                None => {}
            }
        }
    }
    found
}
