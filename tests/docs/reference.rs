//! The reference pages against the code: settings, the command line, the API, keys, the history. Those of metrics,
//! the status and the params have tests of their own.

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

use http::StatusCode;
use regex::Regex;
use trunkd::history::Kind;
use trunkd::settings::{Flags, Settings, Sources};

use super::page::{Page, root};

#[test]
fn the_settings_page_has_every_key_and_no_other() {
    let mut documented = BTreeSet::new();
    for row in rows("docs/settings.md", "| key |") {
        let keys = in_backticks(&row[0]);
        let (prefix, keys) = match keys[0].strip_prefix("[[") {
            Some(table) => (format!("{}.", table.trim_end_matches("]]")), &keys[1..]),
            None => (String::new(), &keys[..]),
        };
        // `{ cert, key }`: the keys of a table.
        let inner = in_backticks(&row[2]).into_iter().find_map(|text| {
            let inner = text.strip_prefix('{')?.strip_suffix('}')?;
            Some(inner.split(',').map(|key| key.trim().to_owned()).collect::<Vec<_>>())
        });
        for key in keys {
            match &inner {
                Some(inner) => documented.extend(inner.iter().map(|inner| format!("{prefix}{key}.{inner}"))),
                None => {
                    documented.insert(format!("{prefix}{key}"));
                }
            }
        }
    }
    assert_eq!(documented, Settings::keys().into_iter().collect());
}

#[test]
fn the_defaults_of_the_settings_page_are_those_of_the_code() {
    let defaults = format!("{:#?}", Settings::default());
    let mut compared = 0;
    for row in rows("docs/settings.md", "| key |") {
        let [key] = &in_backticks(&row[0])[..] else { continue };
        let Some(default) = row[1].strip_prefix('`').and_then(|text| text.strip_suffix('`')) else {
            continue;
        };
        // A default that is more than one value is a sentence.
        if default.contains('`') {
            continue;
        }
        let variable = format!("TRUNKD_{}", key.to_uppercase().replace('.', "__"));
        let sources = Sources {
            environment: vec![(variable.into(), default.into())],
            ..Sources::default()
        };
        let settings = Settings::load_from(&sources, Flags::new()).unwrap();
        assert_eq!(
            format!("{settings:#?}"),
            defaults,
            "the default of {key} is not {default}"
        );
        compared += 1;
    }
    assert!(compared > 20, "only {compared} defaults were compared");
}

#[test]
fn the_commands_page_has_every_command_and_every_flag_and_no_other() {
    let page = fs::read_to_string(root().join("docs/commands.md")).unwrap();
    // What a command's own page explains is explained.
    let linked = Page::read("docs/commands.md")
        .targets
        .into_iter()
        .filter(|target| !target.contains(['/', '#']));
    let more: String = linked
        .map(|page| fs::read_to_string(root().join("docs").join(page)).unwrap())
        .collect();
    let mut flags = BTreeSet::new();
    let mut missing = Vec::new();
    visit(&[], &mut |command, help| {
        let is_there = match command {
            [] => true,
            [name] => page.contains(&format!("`trunkd {name}")),
            [name, inner] => {
                let row = page
                    .lines()
                    .filter(|line| line.starts_with(&format!("| `trunkd {name} ")));
                let cells: String = row
                    .map(|row| row.split(" | ").next().unwrap().to_owned() + "|")
                    .collect();
                cells.split([' ', '|', '\\', '`']).any(|word| word == inner)
            }
            _ => page.contains(&command.join(" ")),
        };
        if !is_there {
            missing.push(format!("trunkd {}", command.join(" ")));
        }
        flags.extend(flags_in(help));
    });
    assert!(missing.is_empty(), "not in docs/commands.md: {missing:?}");
    let standard = ["--help", "--version"].map(str::to_owned);
    let flags: BTreeSet<_> = flags.into_iter().filter(|flag| !standard.contains(flag)).collect();
    let explained = &flags_in(&page) | &flags_in(&more);
    let missing: Vec<_> = flags.difference(&explained).collect();
    assert!(
        missing.is_empty(),
        "not in docs/commands.md nor in a page that it links to: {missing:?}"
    );
    let unknown: Vec<_> = flags_in(&page).difference(&flags).cloned().collect();
    assert!(unknown.is_empty(), "no command of docs/commands.md has {unknown:?}");
}

/// Calls `see` with the help of a command and of those below it.
fn visit(command: &[String], see: &mut impl FnMut(&[String], &str)) {
    let output = Command::new(env!("CARGO_BIN_EXE_trunkd"))
        .args(command)
        .arg("--help")
        .output()
        .unwrap();
    let help = String::from_utf8(output.stdout).unwrap();
    see(command, &help);
    let inner = help
        .lines()
        .skip_while(|line| *line != "Commands:")
        .skip(1)
        .take_while(|line| !line.is_empty());
    // What is indented further goes on with the text of the line before.
    let names = inner.filter_map(|line| line.strip_prefix("  ").filter(|line| !line.starts_with(' ')));
    for name in names
        .filter_map(|line| line.split_whitespace().next())
        .filter(|name| *name != "help")
    {
        visit(&[command, &[name.to_owned()]].concat(), see);
    }
}

fn flags_in(text: &str) -> BTreeSet<String> {
    let flag = Regex::new(r"--[a-z][a-z-]+").unwrap();
    flag.find_iter(text).map(|flag| flag.as_str().to_owned()).collect()
}

#[test]
fn the_api_page_has_every_reason_of_an_error_with_its_status_and_no_other() {
    let documented: BTreeSet<(String, String)> = rows("docs/api.md", "| status | `reason` |")
        .iter()
        .flat_map(|row| in_backticks(&row[1]).into_iter().map(|reason| (row[0].clone(), reason)))
        .filter(|(_, reason)| reason.chars().all(|c| c.is_ascii_lowercase() || c == '_'))
        .collect();
    let pair = Regex::new(r#"StatusCode::([A-Z_]+),\s*"([a-z_]+)""#).unwrap();
    let mut made = BTreeSet::new();
    for file in ["src/api", "src/portal"].into_iter().flat_map(sources) {
        for found in pair.captures_iter(&file) {
            made.insert((status(&found[1]), found[2].to_owned()));
        }
    }
    assert!(made.len() > 30, "{made:?}");
    assert_eq!(documented, made);
}

#[test]
fn the_api_page_names_every_call() {
    let page = fs::read_to_string(root().join("docs/api.md")).unwrap();
    let document = serde_json::to_value(trunkd::api::document()).unwrap();
    let paths = document["paths"].as_object().unwrap().keys();
    let missing: BTreeSet<_> = paths
        .filter_map(|path| path.rsplit('/').find(|part| !part.starts_with('{')))
        .filter(|part| !page.contains(&format!("/{part}")))
        .collect();
    assert!(missing.is_empty(), "not in docs/api.md: {missing:?}");
}

#[test]
fn the_redis_page_has_every_key_of_trunkds_own_and_no_other() {
    let stem = |key: &str| key.split(['{', '<', '*']).next().unwrap().to_owned();
    let page = fs::read_to_string(root().join("docs/redis.md")).unwrap();
    let cells = page
        .lines()
        .filter_map(|line| line.strip_prefix("| ")?.split(" | ").next());
    let documented: BTreeSet<_> = cells
        .flat_map(in_backticks)
        .filter(|key| key.starts_with("trunkd:"))
        .map(|key| stem(&key))
        .collect();
    let code = fs::read_to_string(root().join("src/keys.rs")).unwrap();
    let key = Regex::new(r#""(trunkd:[^"]+)""#).unwrap();
    let made: BTreeSet<_> = key.captures_iter(&code).map(|found| stem(&found[1])).collect();
    assert!(made.len() > 20, "{made:?}");
    let missing: Vec<_> = made.difference(&documented).collect();
    assert!(missing.is_empty(), "not in docs/redis.md: {missing:?}");
    // `trunkd:lease:webhook:` is a lease.
    let is_made = |key: &&String| {
        made.iter()
            .any(|made| *made == **key || (made.ends_with(':') && key.starts_with(made)))
    };
    let unknown: Vec<_> = documented.iter().filter(|key| !is_made(key)).collect();
    assert!(unknown.is_empty(), "not in src/keys.rs: {unknown:?}");
}

#[test]
fn the_history_page_has_every_kind_of_entry_and_no_other() {
    let documented: BTreeSet<_> = rows("docs/history.md", "| kind |")
        .iter()
        .flat_map(|row| in_backticks(&row[0]))
        .collect();
    assert_eq!(documented, Kind::ALL.map(|kind| kind.as_str().to_owned()).into());
}

/// `CONFLICT` is 409.
fn status(name: &str) -> String {
    let codes = (400..600).filter_map(|code| StatusCode::from_u16(code).ok());
    let mut named = codes.filter(|code| {
        let reason = code.canonical_reason().unwrap_or_default();
        reason.to_uppercase().replace([' ', '-'], "_") == name
    });
    named
        .next()
        .unwrap_or_else(|| panic!("{name} is no status"))
        .as_u16()
        .to_string()
}

/// The text of every source file in a folder, without its tests.
fn sources(folder: &str) -> Vec<String> {
    let files = fs::read_dir(root().join(folder))
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let files = files.filter(|path| path.extension().is_some_and(|extension| extension == "rs"));
    let text = |path| fs::read_to_string(path).unwrap();
    files
        .map(text)
        .map(|text| text.split("#[cfg(test)]").next().unwrap().to_owned())
        .collect()
}

/// The cells of the table that begins with this.
fn rows(page: &str, heading: &str) -> Vec<Vec<String>> {
    let text = fs::read_to_string(root().join(page)).unwrap();
    let table = text.lines().skip_while(|line| !line.starts_with(heading)).skip(2);
    let rows: Vec<Vec<String>> = table
        .take_while(|line| line.starts_with('|'))
        .map(|line| {
            line.trim_matches('|')
                .split(" | ")
                .map(|cell| cell.trim().to_owned())
                .collect()
        })
        .collect();
    assert!(!rows.is_empty(), "{page} has no table {heading}");
    rows
}

fn in_backticks(text: &str) -> Vec<String> {
    text.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}
