//! `docs/metrics.md`, the table in `src/metrics/table.rs` and the code that sets the metrics agree; alerts and
//! dashboard use what there is, and each alert has its runbook and its tests.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use trunkd::event_socket::Subclass;
use trunkd::metrics::{self, Metric};
use trunkd::xml_curl::{RequestKind, RequestOutcome};

type Labels = BTreeSet<String>;

/// The tables of metrics, in the docs and in the code, and the docs' tables of their labels.
const TABLES: [(&str, &str, &[Metric]); 3] = [
    ("metric", "label", metrics::ALL),
    ("gateway metric", "gateway label", &metrics::OF_GATEWAYS),
    ("carrier metric", "carrier label", &metrics::OF_CARRIERS),
];

#[test]
fn the_docs_list_every_metric_with_its_type_labels_and_unit() {
    for (title, _, all) in TABLES {
        let expected: BTreeMap<_, _> = all
            .iter()
            .map(|metric| {
                let unit = metric.unit().as_str().to_owned();
                (
                    metric.name.to_owned(),
                    (metric.kind.as_str().to_owned(), labels(metric), unit),
                )
            })
            .collect();
        let documented: BTreeMap<_, _> = rows(title)
            .into_iter()
            .map(|row| {
                assert!(!row[4].is_empty(), "{} has no meaning", row[0]);
                let labels = in_backticks(&row[2]).into_iter().collect();
                (in_backticks(&row[0]).concat(), (row[1].clone(), labels, row[3].clone()))
            })
            .collect();
        assert_eq!(documented, expected);
    }
}

#[test]
fn the_docs_explain_the_values_of_every_label() {
    for (_, title, all) in TABLES {
        let explained: BTreeSet<_> = rows(title)
            .into_iter()
            .flat_map(|row| {
                let label = in_backticks(&row[0]).concat();
                let of = in_backticks(&row[1]).pop();
                let matching = all.iter().filter(move |metric| match of.as_deref() {
                    None => true,
                    Some(name) => {
                        name == metric.name
                            || name
                                .strip_suffix('*')
                                .is_some_and(|start| metric.name.starts_with(start))
                    }
                });
                let with_label: Vec<_> = matching.filter(|metric| labels(metric).contains(&label)).collect();
                assert!(!with_label.is_empty(), "no metric has the label of this row: {row:?}");
                with_label.into_iter().map(move |metric| (metric.name, label.clone()))
            })
            .collect();
        let expected: BTreeSet<_> = all
            .iter()
            .flat_map(|metric| labels(metric).into_iter().map(|label| (metric.name, label)))
            .collect();
        assert_eq!(explained, expected);
    }
}

#[test]
fn the_docs_list_the_values_that_the_code_lists() {
    let subclasses = Subclass::ALL.map(Subclass::as_str);
    let kinds = RequestKind::ALL.map(RequestKind::as_str);
    let outcomes = RequestOutcome::ALL.map(RequestOutcome::as_str);
    let lists: [(&str, &str, &[&str]); 5] = [
        ("kind", "trunkd_xml_curl_*", &kinds),
        ("outcome", "trunkd_xml_curl_requests_total", &outcomes),
        ("state", "trunkd_switch_gateways", &metrics::STATE_LABELS),
        ("usable", "trunkd_switch_usable", &metrics::USABLE_LABELS),
        ("subclass", "trunkd_events_total", &subclasses),
    ];
    let rows = rows("label");
    for (label, of, values) in lists {
        let row = rows
            .iter()
            .find(|row| in_backticks(&row[0]) == [label] && in_backticks(&row[1]) == [of]);
        assert_eq!(in_backticks(&row.unwrap()[2]), values, "{label}");
    }
    let of_gateways = self::rows("gateway label");
    let state = of_gateways.iter().find(|row| in_backticks(&row[0]) == ["state"]);
    assert_eq!(in_backticks(&state.unwrap()[2]), metrics::STATE_LABELS);
}

#[test]
fn the_code_sets_every_metric_with_the_labels_of_the_table() {
    let by_constant: BTreeMap<_, _> = constants();
    let mut mentioned = BTreeSet::new();
    for path in source_files() {
        let text = fs::read_to_string(&path).unwrap();
        let words = text.split(|c: char| !c.is_alphanumeric() && c != '_');
        mentioned.extend(words.filter(|word| by_constant.contains_key(*word)).map(str::to_owned));
        for call in calls(&text) {
            let constant = call
                .split([',', ')'])
                .next()
                .unwrap()
                .trim()
                .trim_start_matches("metrics::");
            let Some(metric) = by_constant.get(constant) else {
                // A variable for one of several metrics.
                assert!(
                    constant.chars().all(|c| c.is_lowercase() || c == '_'),
                    "{constant} is no metric"
                );
                continue;
            };
            let before_arrows = call
                .match_indices("=>")
                .map(|(at, _)| call[..at].trim_end().trim_end_matches('"'));
            let set: Labels = before_arrows
                .map(|before| before.rsplit('"').next().unwrap().to_owned())
                .collect();
            assert!(set == labels(metric), "{}: {call} of {metric:?}", path.display());
        }
    }
    // It is set where the metrics are described.
    mentioned.insert("BUILD_INFO".to_owned());
    assert_eq!(mentioned, by_constant.into_keys().collect());
}

const RULES: &str = "packaging/prometheus/trunkd.rules.yml";

fn text_of(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap()
}

/// `name{label="…",…}` without its quotes' contents → the name, and the labels it is selected by.
fn selectors(text: &str) -> Vec<(&str, Vec<&str>)> {
    let is_name = |c: char| c.is_ascii_lowercase() || c == '_';
    text.match_indices("trunkd_")
        .map(|(start, _)| {
            let rest = &text[start..];
            let (name, after) = rest.split_at(rest.find(|c| !is_name(c)).unwrap());
            let matchers = after
                .strip_prefix('{')
                .map_or("", |after| after.split('}').next().unwrap());
            let labels = matchers.match_indices('=').filter_map(|(at, _)| {
                let label = matchers[..at].trim_end_matches('!');
                let label = &label[label.rfind(|c| !is_name(c)).map_or(0, |at| at + 1)..];
                (!label.is_empty()).then_some(label)
            });
            (name, labels.collect())
        })
        .collect()
}

#[test]
fn alerts_and_dashboard_name_metrics_and_labels_that_exist() {
    let documented: BTreeMap<_, Labels> = TABLES
        .into_iter()
        .flat_map(|(title, ..)| rows(title))
        .map(|row| {
            (
                in_backticks(&row[0]).concat(),
                in_backticks(&row[2]).into_iter().collect(),
            )
        })
        .collect();
    for (file, at_least) in [(RULES, 20), ("packaging/grafana/trunkd.json", 50)] {
        let text = text_of(file);
        let selectors = selectors(&text);
        assert!(selectors.len() > at_least, "{file}: only {}", selectors.len());
        for (name, labels) in selectors {
            let metric = name.trim_end_matches("_bucket");
            let known = documented.get(metric).unwrap_or_else(|| panic!("{file}: {name}"));
            for label in labels {
                assert!(known.contains(label), "{file}: {name} has no label {label}");
            }
        }
    }
}

#[test]
fn the_dashboard_has_its_rows_and_variables() {
    let dashboard: serde_json::Value = serde_json::from_str(&text_of("packaging/grafana/trunkd.json")).unwrap();
    let list = |pointer: &str| dashboard.pointer(pointer).unwrap().as_array().unwrap().clone();
    let (panels, variables) = (list("/panels"), list("/templating/list"));
    let rows: Vec<_> = panels
        .iter()
        .filter(|panel| panel["type"] == "row")
        .map(|row| &row["title"])
        .collect();
    assert_eq!(rows, ["Fleet", "Carriers", "One gateway: $gateway", "trunkd itself"]);
    let names: Vec<_> = variables.iter().map(|variable| &variable["name"]).collect();
    assert_eq!(names, ["datasource", "switch", "domain", "gateway"]);
    let ids: BTreeSet<_> = panels.iter().map(|panel| panel["id"].as_u64().unwrap()).collect();
    assert_eq!(ids.len(), panels.len());
    for panel in panels.iter().filter(|panel| panel["type"] != "row") {
        let targets = panel["targets"].as_array().unwrap();
        assert!(
            targets
                .iter()
                .all(|target| !target["expr"].as_str().unwrap().is_empty()),
            "{panel}"
        );
    }
}

#[test]
fn each_alert_has_a_runbook_and_a_test_in_which_it_fires() {
    let (rules, tests) = (text_of(RULES), text_of("packaging/prometheus/trunkd.rules.test.yml"));
    let alerts: BTreeSet<_> = rules
        .split("- alert: ")
        .skip(1)
        .map(|rule| rule.lines().next().unwrap())
        .collect();
    assert!(alerts.len() > 10, "{alerts:?}");
    for rule in rules.split("- alert: ").skip(1) {
        let name = rule.lines().next().unwrap();
        let url = format!("runbook_url: docs/runbooks.md#{}\n", name.to_lowercase());
        assert!(rule.contains(&url), "{name}: {url}");
        assert!(
            ["critical", "warning"]
                .iter()
                .any(|severity| rule.contains(&format!("severity: {severity}}}")))
        );
    }
    let runbooks = text_of("docs/runbooks.md");
    let headings: BTreeSet<_> = runbooks.lines().filter_map(|line| line.strip_prefix("### ")).collect();
    assert_eq!(headings, alerts);
    let fires = tests
        .split("- alertname: ")
        .skip(1)
        .filter(|test| test.contains("exp_labels"));
    let fires: BTreeSet<_> = fires.map(|test| test.lines().next().unwrap()).collect();
    assert_eq!(fires, alerts);
}

fn labels(metric: &Metric) -> Labels {
    metric.labels.iter().map(ToString::to_string).collect()
}

/// The rows of the table in the docs whose first column has this title.
fn rows(title: &str) -> Vec<Vec<String>> {
    let text = fs::read_to_string(root().join("docs/metrics.md")).unwrap();
    let table = text
        .lines()
        .skip_while(|line| !line.starts_with(&format!("| {title} |")));
    table
        .skip(2)
        .take_while(|line| line.starts_with('|'))
        .map(|line| {
            line.trim_matches('|')
                .split('|')
                .map(|cell| cell.trim().to_owned())
                .collect()
        })
        .collect()
}

fn in_backticks(text: &str) -> Vec<String> {
    text.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

/// The metrics by the name of their constant.
fn constants() -> BTreeMap<String, &'static Metric> {
    let text = fs::read_to_string(root().join("src/metrics/table.rs")).unwrap();
    let constants = text.lines().filter_map(|line| {
        let (constant, name) = line.strip_prefix("pub const ")?.split_once(": &str = ")?;
        let name = name.trim_matches(['"', ';']);
        let metric = metrics::ALL.iter().find(|metric| metric.name == name);
        Some((
            constant.to_owned(),
            metric.unwrap_or_else(|| panic!("{constant} is not in metrics::ALL")),
        ))
    });
    let constants: BTreeMap<_, _> = constants.collect();
    assert_eq!(constants.len(), metrics::ALL.len());
    constants
}

/// The arguments of each `counter!`, `gauge!` and `histogram!`.
fn calls(text: &str) -> Vec<&str> {
    let macros = ["counter!(", "gauge!(", "histogram!("];
    let starts = macros
        .iter()
        .flat_map(|name| text.match_indices(name).map(|(at, name)| at + name.len()));
    starts
        .map(|start| {
            let mut depth = 1;
            let end = text[start..].find(|c| {
                depth += match c {
                    '(' => 1,
                    ')' => -1,
                    _ => 0,
                };
                depth == 0
            });
            &text[start..start + end.unwrap()]
        })
        .collect()
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn source_files() -> Vec<PathBuf> {
    let mut folders = vec![root().join("src")];
    let mut files = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => folders.push(path),
                false => files.push(path),
            }
        }
    }
    files.retain(|path| path.extension().is_some_and(|extension| extension == "rs"));
    files.retain(|path| {
        !path.ends_with("src/metrics.rs") && !path.ends_with("src/metrics/table.rs") && !path.ends_with("tests.rs")
    });
    files
}
