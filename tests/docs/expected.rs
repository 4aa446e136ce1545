//! Compares what a page shows with what was printed. Times, ids, durations and the width of columns may differ, and
//! `…` stands for anything: alone on a line for any number of lines.

use regex::{Captures, Regex};

/// What differs from run to run, and what stands for it in the pattern.
const VARYING: [(&str, &str); 6] = [
    (r"\d{4}-\d\d-\d\dT[\d:.]+Z", r"\S+"),
    (r"\d\d:\d\d:\d\d( [A-Z]{3,4})?", r"\d\d:\d\d:\d\d( \S+)?"),
    (r"\b\d+(\.\d+)? (ms|s|min|h)\b", r"\d+(\.\d+)? \w+"),
    (r"trk_\w+", r"trk_[\w-]+"),
    (r"\b\d{13}-\d+\b", r"\d{13}-\d+"),
    (r"\b[0-9a-f]{12,}\b", r"[0-9a-f]+"),
];

pub(super) fn is_as_shown(shown: &str, printed: &str) -> bool {
    pattern(shown).is_match(&squeezed(printed))
}

fn pattern(shown: &str) -> Regex {
    let varying = VARYING.map(|(as_shown, _)| format!("({as_shown})")).join("|");
    let varying = Regex::new(&format!("…|{varying}")).unwrap();
    let mut lines = String::new();
    for line in squeezed(shown).lines() {
        match line {
            "…" => lines.push_str("(.*\n)*?"),
            line => {
                lines.push_str(&line_pattern(line, &varying));
                lines.push('\n');
            }
        }
    }
    Regex::new(&format!(r"\A{lines}\z")).unwrap()
}

fn line_pattern(line: &str, varying: &Regex) -> String {
    let mut pattern = String::new();
    let mut end = 0;
    for found in varying.find_iter(line) {
        pattern.push_str(&regex::escape(&line[end..found.start()]));
        pattern.push_str(replacement(found.as_str()));
        end = found.end();
    }
    pattern + &regex::escape(&line[end..])
}

fn replacement(found: &str) -> &'static str {
    let of = |as_shown: &str| Regex::new(&format!(r"\A(?:{as_shown})\z")).unwrap().is_match(found);
    VARYING
        .iter()
        .find(|(as_shown, _)| of(as_shown))
        .map_or(".*", |(_, pattern)| pattern)
}

/// Lines without spaces at their ends, with single ones inside, each with its line end.
fn squeezed(text: &str) -> String {
    let spaces = Regex::new(r"[ \t]+").unwrap();
    let line = |line: &str| spaces.replace_all(line.trim(), |_: &Captures| " ").into_owned() + "\n";
    text.trim().lines().map(line).collect()
}

#[test]
fn times_ids_and_widths_may_differ_and_nothing_else() {
    let shown = "carrier1  REGED  UP 12 ms  14:02:13 CET\n…\nid 1700000000000-0 in …\n";
    for printed in [
        "carrier1 REGED UP 0.5 ms 09:00:00 UTC\nid 1800000000000-1 in default",
        "  carrier1    REGED  UP 3 ms  09:00:00 +08 \nmore\nand more\nid 1800000000000-1 in acme\n",
    ] {
        assert!(is_as_shown(shown, printed), "{printed}");
    }
    for printed in [
        "carrier2 REGED UP 0.5 ms 09:00:00 UTC\nid 1800000000000-1 in default",
        "carrier1 DOWN UP 0.5 ms 09:00:00 UTC\nid 1800000000000-1 in default",
        "carrier1 REGED UP 0.5 ms 09:00:00 UTC",
        "carrier1 REGED UP 0.5 ms 09:00:00 UTC\nid 1800000000000-1 in default\nmore",
    ] {
        assert!(!is_as_shown(shown, printed), "{printed}");
    }
    assert!(is_as_shown("nothing (…)", "nothing (at all)"));
    assert!(!is_as_shown("a.c", "abc"));
}
