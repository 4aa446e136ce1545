//! A page of the documentation, as the other tests need it: headings, links and blocks of code.

use std::fs;
use std::path::{Path, PathBuf};

use pulldown_cmark::{CodeBlockKind, Event, Options, Parser, Tag, TagEnd};

/// Pages that must link only to what exists.
const PAGES: [&str; 6] = [
    "README.md",
    "README.zh-CN.md",
    "ARCHITECTURE.md",
    "CHANGELOG.md",
    "SECURITY.md",
    "fs-conf/README.md",
];

pub(super) struct Page {
    /// From the root of the repository.
    pub(super) path: PathBuf,
    pub(super) headings: Vec<Heading>,
    /// Of links and pictures, as they are written.
    pub(super) targets: Vec<String>,
    pub(super) blocks: Vec<Block>,
}

pub(super) struct Heading {
    pub(super) level: u8,
    pub(super) text: String,
}

#[derive(Clone)]
pub(super) struct Block {
    /// `sh`, `text`, …; empty for an indented block.
    pub(super) language: String,
    pub(super) text: String,
    /// The comment right before it: `not run: needs systemd`.
    pub(super) comment: Option<String>,
    pub(super) line: usize,
}

pub(super) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every page, by its path from the root.
pub(super) fn all() -> Vec<Page> {
    let mut paths: Vec<PathBuf> = PAGES.iter().map(PathBuf::from).collect();
    paths.extend(below("docs"));
    paths.iter().map(Page::read).collect()
}

/// The pages in a folder and its folders, sorted.
pub(super) fn below(folder: &str) -> Vec<PathBuf> {
    let (mut folders, mut found) = (vec![PathBuf::from(folder)], Vec::new());
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(root().join(&folder)).unwrap() {
            let path = folder.join(entry.unwrap().file_name());
            match root().join(&path).is_dir() {
                true => folders.push(path),
                false if path.extension().is_some_and(|extension| extension == "md") => found.push(path),
                false => {}
            }
        }
    }
    found.sort();
    found
}

impl Page {
    pub(super) fn read(path: impl AsRef<Path>) -> Self {
        let path = path.as_ref();
        let text = fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let mut page = Self {
            path: path.to_owned(),
            headings: Vec::new(),
            targets: Vec::new(),
            blocks: Vec::new(),
        };
        let (mut comment, mut heading, mut block) = (None, None, None::<Block>);
        for (event, range) in Parser::new_ext(&text, Options::ENABLE_TABLES).into_offset_iter() {
            match event {
                Event::Start(Tag::CodeBlock(kind)) => {
                    block = Some(Block {
                        language: match kind {
                            CodeBlockKind::Fenced(language) => language.into_string(),
                            CodeBlockKind::Indented => String::new(),
                        },
                        text: String::new(),
                        comment: comment.take(),
                        line: text[..range.start].matches('\n').count() + 1,
                    });
                }
                Event::Text(words) if block.is_some() => block.as_mut().unwrap().text.push_str(&words),
                Event::End(TagEnd::CodeBlock) => page.blocks.extend(block.take()),
                Event::Html(html) => {
                    let inner = html
                        .trim()
                        .strip_prefix("<!--")
                        .and_then(|html| html.strip_suffix("-->"));
                    comment = inner.map(|inner| inner.trim().to_owned());
                }
                Event::Start(Tag::HtmlBlock) | Event::End(TagEnd::HtmlBlock) => {}
                other => {
                    comment = None;
                    page.prose(other, &mut heading);
                }
            }
        }
        page
    }

    fn prose(&mut self, event: Event, heading: &mut Option<Heading>) {
        match event {
            Event::Start(Tag::Heading { level, .. }) => {
                *heading = Some(Heading {
                    level: level as u8,
                    text: String::new(),
                });
            }
            Event::End(TagEnd::Heading(_)) => self.headings.extend(heading.take()),
            Event::Start(Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. }) => {
                self.targets.push(dest_url.into_string());
            }
            Event::Text(words) | Event::Code(words) => {
                if let Some(heading) = heading {
                    heading.text.push_str(&words);
                }
            }
            _ => {}
        }
    }

    /// The anchors of its headings, as GitHub makes them.
    pub(super) fn anchors(&self) -> Vec<String> {
        self.headings.iter().map(|heading| anchor(&heading.text)).collect()
    }
}

fn anchor(heading: &str) -> String {
    let kept = heading
        .to_lowercase()
        .chars()
        .filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'))
        .collect::<String>();
    kept.replace(' ', "-")
}
