//! The tutorial and the how-tos are done as they are written: each `sh` block is run, each file that a page shows is
//! written, and the `text` block that follows a command is compared with what the command printed.
//!
//! A comment in the page's source, right before a block, says what is special about it:
//!
//! - `not run: REASON`: it can't be run here, nor is the text below it compared;
//! - `file: NAME`: the block is the contents of this file;
//! - `typed: y`: what a person types when a question comes; several answers with `, ` between.

use std::time::Duration;

use super::page::{self, Block, Page};
use super::scene::{Ran, Scene};
use crate::support::app::eventually_within;

const TUTORIAL: &str = "docs/tutorial.md";
const RESTART: &str = "systemctl restart trunkd";
const HOW_TOS: &str = "docs/how-to";
/// Until what trunkd does by itself shows, on a busy machine: twice `reconcile.resync_interval`, since how long a ping
/// took is read no sooner.
const PATIENCE: Duration = Duration::from_secs(120);
/// Commands that only look, so that they can be asked again until they show what the page shows.
const LOOKS: [&str; 10] = [
    "cat ",
    "curl ",
    "redis-cli HGET",
    "trunkd check",
    "trunkd diff",
    "trunkd gateway get",
    "trunkd gateway list",
    "trunkd history",
    "trunkd plan",
    "trunkd status",
];
/// The commands that nobody runs here, by the reason that their page gives.
const NOT_RUN: [(&str, &str, usize); 9] = [
    ("docs/how-to/git.md", "git wants a name and an address", 1),
    ("docs/how-to/ip-trunk.md", "FreeSWITCH's file", 1),
    ("docs/how-to/move-from-fusionpbx.md", "needs FusionPBX", 2),
    ("docs/how-to/move-from-xml.md", "needs FreeSWITCH", 1),
    ("docs/how-to/tls.md", "FreeSWITCH's file", 1),
    ("docs/how-to/tls.md", "needs FreeSWITCH", 1),
    ("docs/how-to/tls.md", "FreeSWITCH of the tests has no TLS", 1),
    ("docs/how-to/two-switches.md", "FreeSWITCH's file", 1),
    ("docs/tutorial.md", "needs FreeSWITCH", 1),
];

macro_rules! walks {
    ($($test:ident: $page:literal,)*) => {
        $(#[tokio::test]
        async fn $test() {
            Walk::new($page).await.finish().await;
        })*

        #[test]
        fn every_page_with_commands_is_walked() {
            let mut pages: Vec<_> = page::below(HOW_TOS);
            pages.insert(0, TUTORIAL.into());
            let walked = [$($page),*].map(std::path::PathBuf::from);
            assert_eq!(pages, walked);
        }
    };
}

walks! {
    the_tutorial_leads_to_a_registered_trunk: "docs/tutorial.md",
    gateways_come_from_git: "docs/how-to/git.md",
    an_ims_registers: "docs/how-to/ims.md",
    an_ip_trunk_is_up_and_a_silent_one_is_down: "docs/how-to/ip-trunk.md",
    gateways_come_from_fusionpbx: "docs/how-to/move-from-fusionpbx.md",
    gateways_come_from_xml_files: "docs/how-to/move-from-xml.md",
    sentinels_are_followed: "docs/how-to/sentinel.md",
    tls_is_served: "docs/how-to/tls.md",
    two_switches_share_the_gateways: "docs/how-to/two-switches.md",
}

#[test]
fn what_is_not_run_says_why() {
    let mut found = Vec::new();
    let pages = page::below("docs")
        .into_iter()
        .filter(|path| path.starts_with(HOW_TOS) || path.ends_with(TUTORIAL));
    for page in pages.map(Page::read) {
        let reasons = page.blocks.iter().filter_map(|block| match Note::of(block) {
            Note::NotRun(reason) => Some(reason.to_owned()),
            _ => None,
        });
        for reason in reasons {
            let key = (page.path.display().to_string(), reason);
            match found.iter_mut().find(|(known, _)| *known == key) {
                Some((_, count)) => *count += 1,
                None => found.push((key, 1)),
            }
        }
    }
    let found: Vec<_> = found
        .iter()
        .map(|((page, reason), count)| (&**page, &**reason, *count))
        .collect();
    assert_eq!(found, NOT_RUN);
}

/// What the comment before a block says.
enum Note<'a> {
    Nothing,
    NotRun(&'a str),
    File(&'a str),
    Typed(&'a str),
}

impl<'a> Note<'a> {
    fn of(block: &'a Block) -> Self {
        let Some(comment) = &block.comment else {
            return Self::Nothing;
        };
        match comment.split_once(": ") {
            Some(("not run", reason)) => Self::NotRun(reason),
            Some(("file", name)) => Self::File(name),
            Some(("typed", lines)) => Self::Typed(lines),
            _ => panic!("line {}: no such comment: {comment}", block.line),
        }
    }
}

/// A page on its way through a scene.
struct Walk {
    page: Page,
    scene: Scene,
}

impl Walk {
    async fn new(path: &str) -> Self {
        let page = Page::read(path);
        let has_sentinels = page.blocks.iter().any(|block| block.text.contains("26379"));
        let mut scene = Scene::new(has_sentinels).await;
        if path != TUTORIAL {
            scene.install().await;
        }
        Self { page, scene }
    }

    async fn finish(mut self) {
        let blocks = std::mem::take(&mut self.page.blocks);
        assert!(!blocks.is_empty());
        let mut blocks = blocks.iter().peekable();
        while let Some(block) = blocks.next() {
            let shown = blocks.next_if(|next| next.language == "text");
            let shown = shown.map(|shown| &*shown.text);
            match (Note::of(block), &*block.language) {
                (Note::NotRun(_), _) => {}
                (Note::File(name), _) => self.scene.write(name, &block.text),
                (Note::Typed(lines), "sh") => self.run(block, Some(lines), shown).await,
                (Note::Nothing, "sh") => self.run(block, None, shown).await,
                (_, language) => panic!("{}: nothing is done with this {language:?} block", self.place(block)),
            }
        }
    }

    fn place(&self, block: &Block) -> String {
        format!("{}:{}", self.page.path.display(), block.line)
    }

    async fn run(&mut self, block: &Block, typed: Option<&str>, shown: Option<&str>) {
        let (first, rest) = block.text.split_once('\n').unwrap();
        if first.starts_with("make run") {
            self.scene.serve(first).await;
            return self.compare_server(block, shown).await;
        }
        let mut block = block.clone();
        if first == RESTART {
            self.scene.serve("trunkd serve").await;
            block.text = rest.to_owned();
        }
        let block = &block;
        let ran = match shown {
            Some(shown) if only_looks(&block.text) => self.look(block, shown).await,
            _ => self.scene.run(block, typed).await,
        };
        let is_well = match shown {
            // Where the page shows it, another exit status has a meaning: something needs attention.
            Some(shown) => self.scene.is_as_shown(shown, &ran.printed),
            None => ran.status == 0,
        };
        assert!(
            is_well,
            "{}: exit status {}\n{}\n--- printed:\n{}\n--- shown:\n{}\n--- log of the server:\n{}",
            self.place(block),
            ran.status,
            block.text,
            ran.printed,
            shown.unwrap_or("nothing"),
            self.scene.said().1,
        );
    }

    /// Looks again until it is as the page shows it, or for as long as one may wait.
    async fn look(&self, block: &Block, shown: &str) -> Ran {
        let start = std::time::Instant::now();
        loop {
            let ran = self.scene.run(block, None).await;
            if self.scene.is_as_shown(shown, &ran.printed) || start.elapsed() > PATIENCE {
                return ran;
            }
        }
    }

    async fn compare_server(&self, block: &Block, shown: Option<&str>) {
        let Some(shown) = shown else { return };
        let what = format!("{}: it prints what is shown", self.place(block));
        let said = || async { self.scene.said().0 };
        eventually_within(PATIENCE, &what, said, |printed| self.scene.is_as_shown(shown, printed)).await;
    }
}

fn only_looks(text: &str) -> bool {
    let changes = [" -X", " -d", " --data", ">", "|"];
    text.lines().filter(|line| !line.starts_with('#')).all(|line| {
        let is_look = LOOKS.iter().any(|look| line.starts_with(look));
        is_look && !changes.iter().any(|change| line.contains(change))
    })
}
