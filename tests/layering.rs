//! The rooms of the code (ARCHITECTURE.md), checked in the source itself: which room may use which,
//! no circle of files, what a room never holds, and how long a function and a file may be.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use syn::spanned::Spanned;
use syn::visit::{self, Visit};

/// From top to bottom. A room may use rooms on lower floors, never one on its own floor or above.
const FLOORS: &[&[&str]] = &[
    &["main", "lib"],
    &["cli"],
    &["app"],
    &["api", "web", "webhooks"],
    &["portal"],
    &["operate"],
    &["http"],
    &["xml_curl"],
    &["reconcile", "ingest", "calls", "placement"],
    &["liveness"],
    &["access", "desired", "observed", "control"],
    &["history"],
    &["redis"],
    &["embedded"],
    &["keys", "data_dir"],
    &["event_socket", "import"],
    &["sofia_conf", "documents"],
    &["carriers"],
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
        "language",
    ],
];

/// A function fits on a screen, and a file does one thing. Both a little beyond what we aim at (60
/// and 400 lines), so that nobody splits a function because of one line.
const MAX_FUNCTION_LINES: usize = 70;
const MAX_FILE_LINES: usize = 430;

#[test]
fn rooms_use_only_rooms_below_them() {
    let mut count = 0;
    let mut wrong = Vec::new();
    for source in sources() {
        for path in source.paths.iter().filter(|path| path[0] == "crate") {
            let Some(to) = path.get(1).filter(|to| !is_macro(to)) else {
                continue;
            };
            count += 1;
            if *to != source.room && floor(to) <= floor(&source.room) {
                wrong.push(format!("{}: {} uses {to}", source.name(), source.room));
            }
        }
    }
    assert!(
        count > 200,
        "only {count} uses found: does this test still read the source?"
    );
    assert!(wrong.is_empty(), "these point upward:\n{}", wrong.join("\n"));
}

#[test]
fn no_files_use_each_other_in_a_circle() {
    let sources = sources();
    let modules = Modules::new(&sources);
    let graph: BTreeMap<&Path, BTreeSet<&Path>> = sources
        .iter()
        .map(|source| (source.path.as_path(), modules.used_by(source)))
        .collect();
    let arrows: usize = graph.values().map(BTreeSet::len).sum();
    assert!(arrows > 200, "only {arrows} arrows found");
    let circles: Vec<_> = graph.keys().filter_map(|file| circle_through(file, &graph)).collect();
    let circles: BTreeSet<_> = circles
        .iter()
        .map(|circle| {
            let mut names: Vec<_> = circle.iter().map(|file| shown(file)).collect();
            names.sort();
            names.join(", ")
        })
        .collect();
    assert!(circles.is_empty(), "files use each other in circles:\n{circles:#?}");
}

#[test]
fn every_room_has_its_floor_and_every_floor_its_rooms() {
    let rooms: BTreeSet<_> = sources().into_iter().map(|source| source.room).collect();
    let known: BTreeSet<_> = FLOORS.iter().copied().flatten().map(ToString::to_string).collect();
    assert_eq!(rooms, known);
}

#[test]
fn functions_and_files_are_short() {
    let mut long = Vec::new();
    for source in sources() {
        let lines = source.lines_without_tests();
        if lines > MAX_FILE_LINES && !is_table(&source) {
            long.push(format!("{}: {lines} lines", source.name()));
        }
        let mut functions = Functions::default();
        functions.visit_file(&source.syntax);
        for (name, lines) in functions.0 {
            if lines > MAX_FUNCTION_LINES {
                long.push(format!("{}: fn {name} has {lines} lines", source.name()));
            }
        }
    }
    assert!(
        long.is_empty(),
        "longer than {MAX_FUNCTION_LINES} lines a function or {MAX_FILE_LINES} a file:\n{}",
        long.join("\n")
    );
}

#[test]
fn what_a_room_never_holds_is_not_in_it() {
    // Code that decides gets values and returns values.
    let pure: &[&str] = &[
        "async ",
        ".await",
        "tokio::time::sleep",
        "std::fs",
        "std::io",
        "std::net",
        "std::process",
        "jiff::Timestamp::now",
        "Instant::now",
        "rand",
        "redis",
        "crate::event_socket",
    ];
    let passive: &[&str] = &["async ", ".await", "tokio::", "redis", "Timestamp::now", "Instant::now"];
    // Room or file, and names of crates and modules that must not appear there.
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
        (
            "documents",
            &[
                "redis::",
                "tokio::",
                "actix_web",
                "std::fs",
                "std::net",
                "Timestamp::now",
            ],
        ),
        ("desired", &["actix_web", "quick_xml"]),
        ("observed", &["actix_web", "quick_xml"]),
        ("control", &["actix_web", "quick_xml"]),
        ("history", &["actix_web", "quick_xml"]),
        (
            "access",
            &["actix_web", "quick_xml", "clap", "println!", "eprint", "crate::gateway"],
        ),
        ("webhooks", &["actix_web", "quick_xml", "anyhow", "crate::gateway"]),
        ("redis", &["actix_web", "quick_xml", "crate::gateway::Gateway"]),
        ("xml_curl", &["redis::", "event_socket"]),
        (
            "import",
            &[
                "redis::",
                "tokio::",
                "actix_web",
                "anyhow",
                "clap",
                "std::net",
                "std::process",
                "Timestamp::now",
                "println!",
                "eprint",
            ],
        ),
        ("event_socket", &["redis::", "deadpool"]),
        ("ingest", &["redis::", "startgw", "killgw", "rescan"]),
        ("calls", &["actix_web", "quick_xml", "startgw", "killgw"]),
        ("calls/window.rs", passive),
        ("calls/switch.rs", passive),
        ("calls/stats.rs", passive),
        (
            "api",
            &["redis::", "crate::redis", "anyhow", "clap", "println!", "eprint"],
        ),
        (
            "web/",
            &["redis::", "crate::redis", "anyhow", "clap", "println!", "eprint"],
        ),
        (
            "portal",
            &["redis::", "crate::redis", "anyhow", "clap", "println!", "eprint"],
        ),
        ("operate", &["anyhow", "clap", "println!", "eprint", "actix_web"]),
        ("reconcile/plan/", pure),
    ];
    let mut read = BTreeSet::new();
    for source in sources() {
        let inside = shown(&source.path);
        for (name, words) in never
            .iter()
            .filter(|(name, _)| *name == source.room || inside.starts_with(name))
        {
            read.insert(*name);
            for line in source.code_lines() {
                // `redis::` is the crate; `crate::redis::` is the room.
                let line = line.replace("crate::redis::", "crate::");
                let found = words.iter().find(|word| line.contains(**word));
                assert!(found.is_none(), "{inside}: {name} never holds {found:?}: {line}");
            }
        }
    }
    let listed: BTreeSet<_> = never.iter().map(|(name, _)| *name).collect();
    assert_eq!(read, listed, "rooms and files that don't exist");
}

#[test]
fn only_the_settings_read_the_environment() {
    for source in sources().iter().filter(|source| source.room != "settings") {
        // `env::args` is the command line, and `env!` is read at build time.
        for word in ["env::var", "env::vars"] {
            let text = &source.text;
            assert!(
                !text.contains(word),
                "{} reads the environment with {word}",
                source.name()
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

/// A file that is mostly one table, such as the catalog of params, may be longer.
fn is_table(source: &Source) -> bool {
    source.text.contains("//! Table:")
}

fn is_macro(name: &str) -> bool {
    name.ends_with('!')
}

/// One source file outside of `tests.rs`.
struct Source {
    path: PathBuf,
    text: String,
    syntax: syn::File,
    /// The first folder or file name below `src`.
    room: String,
    /// `["reconcile", "executor"]` for `src/reconcile/executor.rs` and `src/reconcile/executor/mod.rs`.
    module: Vec<String>,
    /// Every path outside of tests that begins with `crate` or `super`.
    paths: Vec<Vec<String>>,
}

impl Source {
    fn read(path: PathBuf) -> Self {
        let text = fs::read_to_string(&path).unwrap();
        let syntax = syn::parse_file(&text).unwrap();
        let mut module: Vec<String> = shown(&path)
            .trim_end_matches(".rs")
            .split('/')
            .map(str::to_owned)
            .collect();
        let room = module[0].clone();
        if module.last().unwrap() == "mod" {
            module.pop();
        }
        let mut paths = Paths::default();
        paths.visit_file(&syntax);
        let paths = paths.0;
        Self {
            path,
            text,
            syntax,
            room,
            module,
            paths,
        }
    }

    fn name(&self) -> String {
        format!("src/{}", shown(&self.path))
    }

    fn is_mod(&self) -> bool {
        self.path.ends_with("mod.rs")
    }

    fn lines_without_tests(&self) -> usize {
        let tests: usize = self
            .syntax
            .items
            .iter()
            .filter(|item| is_test(item))
            .map(|item| item.span().end().line - item.span().start().line + 1)
            .sum();
        self.text.lines().count() - tests
    }

    /// The lines outside of comments and tests.
    fn code_lines(&self) -> impl Iterator<Item = &str> {
        self.text
            .lines()
            .take_while(|line| *line != "mod tests {")
            .filter(|line| !line.trim_start().starts_with("//"))
    }
}

/// Finds the file that a path of a `use` leads to, also through the `pub use` of a `mod.rs`.
struct Modules<'a> {
    files: BTreeMap<&'a [String], &'a Source>,
    /// Module and re-exported name → the path behind it.
    exports: BTreeMap<(&'a [String], String), Vec<String>>,
}

impl<'a> Modules<'a> {
    fn new(sources: &'a [Source]) -> Self {
        let files = sources.iter().map(|source| (&source.module[..], source)).collect();
        let mut exports = BTreeMap::new();
        for source in sources {
            for item in &source.syntax.items {
                let syn::Item::Use(item) = item else { continue };
                if matches!(item.vis, syn::Visibility::Inherited) {
                    continue;
                }
                let mut paths = Vec::new();
                flatten(&item.tree, Vec::new(), &mut paths);
                for path in paths {
                    let name = path.last().unwrap().clone();
                    exports.insert((&source.module[..], name), path);
                }
            }
        }
        Self { files, exports }
    }

    fn used_by(&self, source: &'a Source) -> BTreeSet<&'a Path> {
        let used = source.paths.iter().filter_map(|path| self.file(source, path, 0));
        // A `mod.rs` and the files of its folder belong together.
        let is_family = |other: &Source| {
            (source.is_mod() && other.module.starts_with(&source.module))
                || (other.is_mod() && source.module.starts_with(&other.module))
        };
        used.filter(|other| other.path != source.path && !is_family(other))
            .map(|other| other.path.as_path())
            .collect()
    }

    fn file(&self, from: &Source, path: &[String], depth: usize) -> Option<&'a Source> {
        let mut at = match path[0].as_str() {
            "crate" => Vec::new(),
            "super" => from.module[..from.module.len() - 1].to_vec(),
            _ => from.module.clone(),
        };
        let rest = if matches!(path[0].as_str(), "crate" | "super" | "self") {
            &path[1..]
        } else {
            path
        };
        for (index, name) in rest.iter().enumerate() {
            if name == "super" {
                at.pop();
                continue;
            }
            at.push(name.clone());
            if self.files.contains_key(&at[..]) {
                continue;
            }
            at.pop();
            let module = *self.files.get(&at[..])?;
            let behind = self.exports.get(&(&module.module[..], name.clone()));
            return match behind {
                Some(behind) if depth < 5 => {
                    let whole: Vec<_> = behind.iter().chain(&rest[index + 1..]).cloned().collect();
                    self.file(module, &whole, depth + 1).or(Some(module))
                }
                _ => Some(module),
            };
        }
        self.files.get(&at[..]).copied()
    }
}

/// The shortest way from `file` back to itself.
fn circle_through<'a>(file: &'a Path, graph: &BTreeMap<&'a Path, BTreeSet<&'a Path>>) -> Option<Vec<&'a Path>> {
    let mut ways = std::collections::VecDeque::from([vec![file]]);
    let mut seen = BTreeSet::new();
    while let Some(way) = ways.pop_front() {
        for next in graph.get(way.last()?)? {
            if *next == file {
                return Some(way);
            }
            if seen.insert(*next) {
                ways.push_back(way.iter().copied().chain([*next]).collect());
            }
        }
    }
    None
}

/// Collects the paths of `use` items and of expressions and types, outside of tests.
#[derive(Default)]
struct Paths(Vec<Vec<String>>);

impl<'ast> Visit<'ast> for Paths {
    fn visit_item(&mut self, item: &'ast syn::Item) {
        if !is_test(item) {
            visit::visit_item(self, item);
        }
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        let mut paths = Vec::new();
        flatten(&item.tree, Vec::new(), &mut paths);
        self.0.extend(paths.into_iter().filter(|path| is_ours(&path[0])));
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let names: Vec<_> = path.segments.iter().map(|part| part.ident.to_string()).collect();
        if names.len() > 1 && is_ours(&names[0]) {
            self.0.push(names);
        }
        visit::visit_path(self, path);
    }
}

/// Each function with its length.
#[derive(Default)]
struct Functions(Vec<(String, usize)>);

impl Functions {
    fn add(&mut self, signature: &syn::Signature, block: &syn::Block) {
        let lines = block.span().end().line - signature.span().start().line + 1;
        self.0.push((signature.ident.to_string(), lines));
    }
}

impl<'ast> Visit<'ast> for Functions {
    fn visit_item(&mut self, item: &'ast syn::Item) {
        if !is_test(item) {
            visit::visit_item(self, item);
        }
    }

    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        self.add(&item.sig, &item.block);
        visit::visit_item_fn(self, item);
    }

    fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
        self.add(&item.sig, &item.block);
        visit::visit_impl_item_fn(self, item);
    }
}

fn is_ours(first: &str) -> bool {
    matches!(first, "crate" | "super" | "self")
}

fn is_test(item: &syn::Item) -> bool {
    let attributes = match item {
        syn::Item::Mod(item) => &item.attrs,
        syn::Item::Fn(item) => &item.attrs,
        syn::Item::Use(item) => &item.attrs,
        syn::Item::Impl(item) => &item.attrs,
        _ => return false,
    };
    let is_test = |attribute: &syn::Attribute| {
        attribute.path().is_ident("cfg")
            && attribute
                .parse_args::<syn::Path>()
                .is_ok_and(|condition| condition.is_ident("test"))
    };
    attributes.iter().any(is_test)
}

fn flatten(tree: &syn::UseTree, mut before: Vec<String>, into: &mut Vec<Vec<String>>) {
    match tree {
        syn::UseTree::Path(path) => {
            before.push(path.ident.to_string());
            flatten(&path.tree, before, into);
        }
        syn::UseTree::Name(name) if name.ident == "self" => into.push(before),
        syn::UseTree::Name(name) => {
            before.push(name.ident.to_string());
            into.push(before);
        }
        syn::UseTree::Rename(name) => {
            before.push(name.ident.to_string());
            into.push(before);
        }
        syn::UseTree::Glob(_) => into.push(before),
        syn::UseTree::Group(group) => {
            for tree in &group.items {
                flatten(tree, before.clone(), into);
            }
        }
    }
}

/// Every file below `src`, without those of tests.
fn sources() -> Vec<Source> {
    fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, found);
            } else if path.extension().is_some_and(|extension| extension == "rs") && !path.ends_with("tests.rs") {
                found.push(path);
            }
        }
    }
    let mut found = Vec::new();
    walk(&src(), &mut found);
    found.sort();
    found.into_iter().map(Source::read).collect()
}

fn src() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

/// The path below `src`.
fn shown(file: &Path) -> String {
    file.strip_prefix(src()).unwrap().display().to_string()
}
