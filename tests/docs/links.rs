//! Every link inside the repository leads to a file that is there, and to a heading that is in it.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

use super::page::{self, Page, root};

#[test]
fn every_link_and_every_anchor_leads_somewhere() {
    let pages: BTreeMap<PathBuf, Page> = page::all().into_iter().map(|page| (page.path.clone(), page)).collect();
    let (mut broken, mut followed) = (Vec::new(), 0);
    for page in pages.values() {
        for target in &page.targets {
            if target.contains("://") || target.starts_with("mailto:") {
                continue;
            }
            followed += 1;
            let (file, anchor) = target.split_once('#').unwrap_or((target, ""));
            let path = match file {
                "" => page.path.clone(),
                file => beside(&page.path, file),
            };
            let is_there = root().join(&path).exists();
            let has_anchor = anchor.is_empty()
                || pages
                    .get(&path)
                    .is_some_and(|page| page.anchors().iter().any(|known| known == anchor));
            if !is_there || !has_anchor {
                broken.push(format!("{}: {target}", page.path.display()));
            }
        }
    }
    assert!(broken.is_empty(), "{broken:#?}");
    assert!(followed > 100, "only {followed} links found");
}

/// A page that nothing leads to is found by nobody.
#[test]
fn the_index_leads_to_every_page() {
    for (index, folder, but) in [
        ("docs/README.md", "docs", Some("docs/zh-CN")),
        ("README.zh-CN.md", "docs/zh-CN", None),
    ] {
        let index = Page::read(index);
        let known: Vec<PathBuf> = index.targets.iter().map(|target| beside(&index.path, target)).collect();
        for path in page::below(folder) {
            let is_elsewhere = but.is_some_and(|but| path.starts_with(but));
            let is_listed = path == index.path || known.contains(&path);
            assert!(
                is_elsewhere || is_listed,
                "{} is not in {}",
                path.display(),
                index.path.display()
            );
        }
    }
}

/// `../README.md` beside `docs/api.md` is `README.md`.
fn beside(page: &Path, target: &str) -> PathBuf {
    let mut path = page.parent().unwrap().to_owned();
    for part in Path::new(target).components() {
        match part {
            Component::ParentDir => assert!(path.pop(), "{target} leads out of the repository"),
            Component::Normal(name) => path.push(name),
            _ => {}
        }
    }
    path
}
