//! The Chinese pages say what the English ones say: the same headings in the same order and the same commands.

use std::path::Path;

use super::page::{self, Page};

/// Each Chinese page, and the English one that it follows.
const TRANSLATIONS: [(&str, &str); 8] = [
    ("README.zh-CN.md", "README.md"),
    ("docs/zh-CN/tutorial.md", "docs/tutorial.md"),
    ("docs/zh-CN/join-freeswitch.md", "fs-conf/README.md"),
    ("docs/zh-CN/ims.md", "docs/how-to/ims.md"),
    ("docs/zh-CN/troubleshooting.md", "docs/troubleshooting.md"),
    ("docs/zh-CN/runbooks.md", "docs/runbooks.md"),
    ("docs/zh-CN/carriers.md", "docs/carriers.md"),
    ("docs/zh-CN/calls.md", "docs/calls.md"),
];
/// For those who come from the original system, who read Chinese.
const IN_CHINESE_ALONE: &str = "从原系统迁移";

#[test]
fn each_page_has_the_headings_and_the_commands_of_the_english_one() {
    for (chinese, english) in TRANSLATIONS {
        let [ours, theirs] = [chinese, english].map(Page::read);
        assert_eq!(levels(&ours), levels(&theirs), "{chinese}: headings of {english}");
        let [ours, theirs] = [ours, theirs].map(|page| commands(&page));
        for (ours, theirs) in ours.iter().zip(&theirs) {
            assert_eq!(ours, theirs, "{chinese}");
        }
        assert_eq!(ours.len(), theirs.len(), "{chinese}: blocks of {english}");
    }
}

#[test]
fn each_page_is_in_its_language_and_each_chinese_page_follows_an_english_one() {
    for path in page::below("docs/zh-CN") {
        let is_known = TRANSLATIONS.iter().any(|(chinese, _)| Path::new(chinese) == path);
        assert!(is_known, "{} is in no row of TRANSLATIONS", path.display());
    }
    for (chinese, english) in TRANSLATIONS {
        for heading in Page::read(chinese).headings {
            assert!(
                is_chinese(&heading.text) || is_name(&heading.text),
                "{chinese}: {}",
                heading.text
            );
        }
        for heading in Page::read(english).headings {
            assert!(!is_chinese(&heading.text), "{english}: {}", heading.text);
        }
    }
}

#[test]
fn each_readme_leads_to_the_other() {
    for (readme, other) in [("README.md", "README.zh-CN.md"), ("README.zh-CN.md", "README.md")] {
        assert!(
            Page::read(readme).targets.iter().any(|target| target == other),
            "{readme}"
        );
    }
}

/// Where the headings stand in the order, without the section that only the Chinese page has.
fn levels(page: &Page) -> Vec<u8> {
    let headings = page.headings.iter().filter(|heading| heading.text != IN_CHINESE_ALONE);
    headings.map(|heading| heading.level).collect()
}

/// The blocks without their comments, which are in the language of the page.
fn commands(page: &Page) -> Vec<String> {
    let without_comments = |line: &str| {
        let code = line.split(" # ").next().unwrap();
        let is_comment = code.trim_start().starts_with("# ");
        (!is_comment).then(|| code.split_whitespace().collect::<Vec<_>>().join(" "))
    };
    let block = |text: &str| text.lines().filter_map(without_comments).collect::<Vec<_>>().join("\n");
    page.blocks.iter().map(|of| block(&of.text)).collect()
}

/// Of the program, or of an alert.
fn is_name(text: &str) -> bool {
    text == "trunkd" || text.starts_with("Trunkd")
}

fn is_chinese(text: &str) -> bool {
    text.chars().any(|c| matches!(c, '\u{4e00}'..='\u{9fff}'))
}
